// SPDX-License-Identifier: GPL-2.0
/* Messages and allocation. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/*
 * One write per message: vCPU and device threads report concurrently, and a
 * line must stay whole.
 */
static void vreport(const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "nestor: %s", prefix);

	vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	fprintf(stderr, "%s\n", line);
}

/** pr_err() - print one line that says what failed */
void pr_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vreport("", fmt, ap);
	va_end(ap);
}

/** pr_warn() - print one line about something that the VM survives */
void pr_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vreport("warning: ", fmt, ap);
	va_end(ap);
}

static void out_of_memory(void)
{
	fputs("nestor: out of memory\n", stderr);
	exit(STATUS_FAILED);
}

/** xcalloc() - calloc() that ends the program instead of failing */
void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		out_of_memory();
	return p;
}

/** xstrdup() - strdup() that ends the program instead of failing */
char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		out_of_memory();
	return p;
}
