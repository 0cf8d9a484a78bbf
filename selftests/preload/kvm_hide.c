// SPDX-License-Identifier: GPL-2.0
/*
 * Loaded before a VMM (LD_PRELOAD): ioctls on KVM's device and what comes from it are answered as by a kernel that
 * lacks something.
 *
 *	KVM_HIDE_CAPS="121 192"		these capabilities answer 0, and cannot be enabled
 *	KVM_HIDE_IOCTLS="0xae67"	these ioctls (type and number) fail with ENOTTY
 *	KVM_HIDE_LOG=FILE		one line for every hidden thing that was asked for
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define TYPE_AND_NUMBER	0xffff

static bool listed(const char *variable, unsigned long number)
{
	const char *p = getenv(variable);
	char *end;

	for (; p && *p; p = end) {
		if (strtoul(p, &end, 0) == number && end != p)
			return true;
		if (end == p)
			return false;
	}
	return false;
}

static void note(const char *what, unsigned long number)
{
	const char *name = getenv("KVM_HIDE_LOG");
	FILE *log = name ? fopen(name, "ae") : NULL;

	if (!log)
		return;
	fprintf(log, "%s %lu\n", what, number);
	fclose(log);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int fd, unsigned long request, ...);
	const struct kvm_enable_cap *enable;
	unsigned long arg;
	va_list args;

	va_start(args, request);
	arg = va_arg(args, unsigned long);
	va_end(args);
	if (!next)
		next = dlsym(RTLD_NEXT, "ioctl");
	if (_IOC_TYPE(request) != KVMIO)
		return next(fd, request, arg);
	if (listed("KVM_HIDE_IOCTLS", request & TYPE_AND_NUMBER)) {
		note("ioctl", request & TYPE_AND_NUMBER);
		errno = ENOTTY;
		return -1;
	}
	if (request == KVM_CHECK_EXTENSION && listed("KVM_HIDE_CAPS", arg)) {
		note("checked", arg);
		return 0;
	}
	enable = (const struct kvm_enable_cap *)arg;
	if (request == KVM_ENABLE_CAP && listed("KVM_HIDE_CAPS", enable->cap)) {
		note("enabled", enable->cap);
		errno = EINVAL;
		return -1;
	}
	return next(fd, request, arg);
}
