/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a test prints: the Test Anything Protocol, as the kernel's own selftests do. A failed check
 * makes the program fail at its end; a missing feature makes it a skip (exit 4).
 */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <stdbool.h>

#define TAP_SKIP	4

/* One check: "ok" or "not ok" with the description. Returns @ok. */
bool tap_check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A check that cannot be made here. */
void tap_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line for the reader. */
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The whole program cannot run here. */
void tap_skip_all(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The program cannot go on. */
void tap_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Prints the plan; what main() returns. */
int tap_done(void);

#endif
