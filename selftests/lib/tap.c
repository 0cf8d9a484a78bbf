// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tap.h"

static unsigned int checks, failures;

static void begin(void)
{
	static bool begun;

	if (!begun) {
		setvbuf(stdout, NULL, _IOLBF, 0);
		printf("TAP version 13\n");
	}
	begun = true;
}

#define PRINT(format)				\
	do {					\
		va_list args_;			\
						\
		va_start(args_, format);	\
		vprintf(format, args_);		\
		va_end(args_);			\
	} while (0)

bool tap_check(bool ok, const char *format, ...)
{
	begin();
	failures += !ok;
	printf("%s %u ", ok ? "ok" : "not ok", ++checks);
	PRINT(format);
	printf("\n");
	return ok;
}

void tap_skip(const char *format, ...)
{
	begin();
	printf("ok %u # SKIP ", ++checks);
	PRINT(format);
	printf("\n");
}

void tap_note(const char *format, ...)
{
	begin();
	printf("# ");
	PRINT(format);
	printf("\n");
}

void tap_skip_all(const char *format, ...)
{
	begin();
	printf("1..0 # SKIP ");
	PRINT(format);
	printf("\n");
	exit(TAP_SKIP);
}

void tap_fail(const char *format, ...)
{
	begin();
	printf("not ok %u ", ++checks);
	PRINT(format);
	printf("\n1..%u\n", checks);
	exit(1);
}

int tap_done(void)
{
	begin();
	printf("1..%u\n", checks);
	if (failures)
		printf("# %u of %u failed\n", failures, checks);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
