/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test output in TAP.
 */
#ifndef NESTOR_UNIT_TAP_H
#define NESTOR_UNIT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failures;

/**
 * tap_ok() - report one test
 * @ok: passed
 * @fmt: name
 *
 * Return: @ok.
 */
__attribute__((format(printf, 2, 3)))
static inline bool tap_ok(bool ok, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	tap_failures += !ok;
	return ok;
}

/* Report a test that cannot run here, and why. */
static inline void tap_skip(const char *name, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, name, why);
	fflush(stdout);
}

/* Print the plan. Return: exit status of the program. */
static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures != 0;
}

#endif
