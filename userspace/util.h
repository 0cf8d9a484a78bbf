/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_UTIL_H
#define NESTOR_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

/**
 * enum exit_status - what nestor's exit status says; the man page lists them
 * @STATUS_OK: the guest powered itself off, or the command succeeded
 * @STATUS_FAILED: the guest crashed, or the host refused something
 * @STATUS_USAGE: a bad option or an unusable file
 * @STATUS_REBOOT: the guest asked for a reset
 * @STATUS_HANGUP: SIGHUP
 * @STATUS_INTERRUPTED: SIGINT, or the console's escape key
 * @STATUS_QUIT: SIGQUIT, which asks for a report on every vCPU
 * @STATUS_TERMINATED: SIGTERM
 */
enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_REBOOT = 3,
	STATUS_HANGUP = 129,
	STATUS_INTERRUPTED = 130,
	STATUS_QUIT = 131,
	STATUS_TERMINATED = 143,
};

void pr_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void pr_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *xcalloc(size_t count, size_t size);
char *xstrdup(const char *s);

/* Round @v up or down to a multiple of @align, a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return align_down(v + align - 1, align);
}

#endif
