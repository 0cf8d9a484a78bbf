// SPDX-License-Identifier: GPL-2.0
/* The hypervisor's device node: opening it and checking what it offers. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm.h"
#include "util.h"

#define CPUID_MAX_ENTRIES 256

static const char *const default_nodes[] = { "/dev/nestor", "/dev/kvm" };

/* What the run loop cannot do without; anything else is used when it is there. */
static const struct {
	int cap;
	int min;
	const char *what;
} required_capabilities[] = {
	{ KVM_CAP_IRQCHIP, 1, "in-kernel PIC, I/O APIC and local APIC (KVM_CAP_IRQCHIP)" },
	{ KVM_CAP_HLT, 1, "HLT exits (KVM_CAP_HLT)" },
	{ KVM_CAP_USER_MEMORY, 1, "memory slots (KVM_CAP_USER_MEMORY)" },
	{ KVM_CAP_SET_TSS_ADDR, 1, "placing the TSS (KVM_CAP_SET_TSS_ADDR)" },
	{ KVM_CAP_EXT_CPUID, 1, "CPUID lists (KVM_CAP_EXT_CPUID)" },
	{ KVM_CAP_MP_STATE, 1, "vCPU start-up states (KVM_CAP_MP_STATE)" },
	{ KVM_CAP_PIT2, 1, "in-kernel PIT (KVM_CAP_PIT2)" },
	{ KVM_CAP_IRQ_ROUTING, 64, "interrupt routing with 64 routes (KVM_CAP_IRQ_ROUTING)" },
	{ KVM_CAP_IRQFD, 1, "interrupts from eventfds (KVM_CAP_IRQFD)" },
	{ KVM_CAP_IOEVENTFD, 1, "eventfds from guest writes (KVM_CAP_IOEVENTFD)" },
	{ KVM_CAP_SIGNAL_MSI, 1, "message-signalled interrupts (KVM_CAP_SIGNAL_MSI)" },
	{ KVM_CAP_IMMEDIATE_EXIT, 1, "stopping a vCPU (KVM_CAP_IMMEDIATE_EXIT)" },
};

/**
 * kvm__ioctl() - issue an ioctl and report a failure by name
 *
 * Return: the ioctl's result, or a negative errno.
 */
int kvm__ioctl(int fd, unsigned long request, void *arg, const char *name)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0) {
		ret = -errno;
		pr_err("%s: %s", name, strerror(-ret));
	}
	return ret;
}

/** kvm__extension() - ask for the value of a capability; 0 when it is missing */
int kvm__extension(const struct kvm *kvm, int cap)
{
	int ret = ioctl(kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return ret < 0 ? 0 : ret;
}

/**
 * kvm__check_capabilities() - name every required capability that is missing
 *
 * Return: 0, or -EOPNOTSUPP after one line per missing capability.
 */
int kvm__check_capabilities(const struct kvm *kvm)
{
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(required_capabilities); i++) {
		if (kvm__extension(kvm, required_capabilities[i].cap) >=
		    required_capabilities[i].min)
			continue;
		pr_err("%s lacks %s", kvm->path, required_capabilities[i].what);
		ret = -EOPNOTSUPP;
	}
	return ret;
}

/** kvm__is_nestor() - whether the node is Nestor's own, not one that KVM may hold */
bool kvm__is_nestor(const struct kvm *kvm)
{
	return !strcmp(kvm->path, default_nodes[0]);
}

static int kvm__open_node(struct kvm *kvm, const char *path)
{
	if (path) {
		kvm->path = path;
		kvm->fd = open(path, O_RDWR | O_CLOEXEC);
		if (kvm->fd >= 0)
			return 0;
		pr_err("%s: %s", path, strerror(errno));
		return -ENOENT;
	}
	for (size_t i = 0; i < ARRAY_SIZE(default_nodes); i++) {
		kvm->path = default_nodes[i];
		kvm->fd = open(kvm->path, O_RDWR | O_CLOEXEC);
		if (kvm->fd >= 0)
			return 0;
		/* A node that is there but closed to us is the one that was meant. */
		if (errno != ENOENT) {
			pr_err("%s: %s", kvm->path, strerror(errno));
			return -ENOENT;
		}
	}
	pr_err("neither %s nor %s is there: load the nestor module",
	       default_nodes[0], default_nodes[1]);
	return -ENOENT;
}

static int kvm__read_cpuid(struct kvm *kvm)
{
	kvm->cpuid = xcalloc(1, sizeof(*kvm->cpuid) +
			     CPUID_MAX_ENTRIES * sizeof(kvm->cpuid->entries[0]));
	kvm->cpuid->nent = CPUID_MAX_ENTRIES;
	return KVM_IOCTL(kvm->fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid);
}

/**
 * kvm__open() - open the hypervisor's device node
 * @kvm: filled in
 * @path: the node, or NULL for /dev/nestor and then /dev/kvm
 *
 * Return: 0; -ENOENT when no node can be opened; another negative errno when the
 * node is no usable hypervisor. The reason is reported.
 */
int kvm__open(struct kvm *kvm, const char *path)
{
	int version, size, ret;

	*kvm = (struct kvm){ .fd = -1 };
	ret = kvm__open_node(kvm, path);
	if (ret)
		return ret;

	version = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		pr_err("%s does not speak the KVM API, version %d", kvm->path,
		       KVM_API_VERSION);
		ret = -ENOTTY;
		goto fail;
	}
	size = KVM_IOCTL(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	if (size < 0) {
		ret = size;
		goto fail;
	}
	kvm->run_size = size;
	ret = kvm__read_cpuid(kvm);
	if (ret)
		goto fail;
	return 0;

fail:
	kvm__close(kvm);
	return ret;
}

/** kvm__close() - give back what kvm__open() took */
void kvm__close(struct kvm *kvm)
{
	free(kvm->cpuid);
	kvm->cpuid = NULL;
	if (kvm->fd >= 0)
		close(kvm->fd);
	kvm->fd = -1;
}
