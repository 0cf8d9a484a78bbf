/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Virtual machines for tests, on the device that $NESTOR_DEVICE names: /dev/nestor unless it says
 * otherwise. /dev/kvm is the control.
 *
 * Every ioctl has a raw form, which returns the result or -errno, and an asserting one, which ends
 * the program when it fails.
 */
#ifndef TEST_VM_H
#define TEST_VM_H

#include <linux/kvm.h>
#include <linux/nestor.h>
#include <stddef.h>
#include <stdint.h>

const char *device_path(void);
int device_open(void);				/* skips the program when there is none */

/* The result, or -errno. */
int kvm_raw(int fd, unsigned long cmd, const void *arg);
int kvm_raw_value(int fd, unsigned long cmd, unsigned long arg);

/* The result; a failure ends the program. */
int kvm_must(int fd, unsigned long cmd, const void *arg, const char *name);
#define KVM(fd, cmd, arg)	kvm_must(fd, cmd, arg, #cmd)
#define KVM_VALUE(fd, cmd, arg)	kvm_must(fd, cmd, (const void *)(unsigned long)(arg), #cmd)

int kvm_cap(int fd, int cap);			/* KVM_CHECK_EXTENSION */
#define REQUIRE_CAP(fd, cap)						\
	do {								\
		if (!kvm_cap(fd, cap))					\
			tap_skip_all("%s lacks " #cap, device_path());	\
	} while (0)

/* All exits that KVM_CAP_X86_DISABLE_EXITS offers, of a VM without vCPUs. */
void vm_disable_exits(int vm);

/* A counter of the VM or vCPU whose fd is @of; -1 when there is none of that name. */
int64_t kvm_counter(int of, const char *name);
int64_t stats_counter(int fd, const char *name);	/* KVM_GET_STATS_FD's file, which a vCPU that runs has as well */
/* Second-level leaves of all sizes that a VM has. */
int64_t vm_leaves(int vm);

/* The calling thread runs on this CPU from now on; skips the program when there is none. */
void on_cpu(int cpu);

/**
 * guarded() - memory of @size bytes that ends where nothing is mapped
 *
 * Zeroed. An access to one byte more than it has faults.
 */
void *guarded(size_t size);

/* Bits of a physical address, as CPUID has them. */
unsigned int physical_bits(void);

/* The next number of a row that looks random (xorshift); *@x is not 0. */
static inline uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

#endif
