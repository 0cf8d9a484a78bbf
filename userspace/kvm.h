/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_KVM_H
#define NESTOR_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * struct kvm - an open hypervisor device node
 * @path: the node's path, for messages
 * @fd: its descriptor
 * @run_size: bytes to map for a vCPU's struct kvm_run
 * @cpuid: what the hypervisor can offer a guest, as it was read once
 */
struct kvm {
	const char *path;
	int fd;
	size_t run_size;
	struct kvm_cpuid2 *cpuid;
};

int kvm__open(struct kvm *kvm, const char *path);
void kvm__close(struct kvm *kvm);
int kvm__extension(const struct kvm *kvm, int cap);
int kvm__check_capabilities(const struct kvm *kvm);
bool kvm__is_nestor(const struct kvm *kvm);
int kvm__ioctl(int fd, unsigned long request, void *arg, const char *name);

/* Issue @request and name it in the message when it fails. */
#define KVM_IOCTL(fd, request, arg) kvm__ioctl(fd, request, arg, #request)

#endif
