/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_VCPU_H
#define NESTOR_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vm;

/**
 * struct vcpu - a virtual CPU; its thread alone issues its ioctls while it runs
 * @vm: the VM
 * @id: its number and APIC ID
 * @fd: its descriptor
 * @run: the area that it shares with the hypervisor
 * @thread: the thread, once @running
 * @running: whether there is a thread to join
 */
struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool running;
};

int vcpu__create(struct vcpu *vcpu, struct vm *vm, unsigned int id);
void vcpu__destroy(struct vcpu *vcpu);
int vcpu__start(struct vcpu *vcpu);
void vcpu__stop(struct vcpu *vcpu);
int vcpu__set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* cpuid.c */
struct kvm_cpuid_entry2 *cpuid__find(struct kvm_cpuid2 *list, uint32_t function, uint32_t index);
bool cpuid__is_amd(struct kvm_cpuid2 *list);
int cpuid__apply(struct vcpu *vcpu);

#endif
