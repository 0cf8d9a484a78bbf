// SPDX-License-Identifier: GPL-2.0
/* The virtual machine: creation, memory slots, start and end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util.h"
#include "vm.h"

/* CREATE_VM sleeps in the kernel and gives up when a signal arrives. */
static int vm__create_fd(const struct kvm *kvm)
{
	int fd;

	do {
		fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	} while (fd < 0 && errno == EINTR);
	if (fd >= 0)
		return fd;
	fd = -errno;
	pr_err("%s: cannot create a VM: %s", kvm->path, strerror(-fd));
	return fd;
}

/* What must be in place before the first vCPU: upstream refuses some of it later. */
static int vm__init_chips(struct vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity_map = IDENTITY_MAP;
	int ret;

	ret = KVM_IOCTL(vm->fd, KVM_SET_TSS_ADDR, (void *)TSS_BASE);
	if (ret < 0)
		return ret;
	if (kvm__extension(vm->kvm, KVM_CAP_SET_IDENTITY_MAP_ADDR)) {
		ret = KVM_IOCTL(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
		if (ret < 0)
			return ret;
	}
	ret = KVM_IOCTL(vm->fd, KVM_CREATE_IRQCHIP, NULL);
	if (ret < 0)
		return ret;
	ret = KVM_IOCTL(vm->fd, KVM_CREATE_PIT2, &pit);
	return ret < 0 ? ret : irq__init(vm);
}

static int vm__create_vcpus(struct vm *vm)
{
	int ret;

	vm->vcpus = xcalloc(vm->config->cpus, sizeof(*vm->vcpus));
	for (unsigned int i = 0; i < vm->config->cpus; i++) {
		ret = vcpu__create(&vm->vcpus[i], vm, i);
		if (ret)
			return ret;
		vm->nr_vcpus++;
	}
	return 0;
}

/**
 * vm__create() - make a VM with memory, interrupt controllers and vCPUs
 * @vm: filled in
 * @kvm: the hypervisor; must outlive the VM
 * @config: the wanted machine; must outlive the VM
 *
 * Return: 0 or a negative errno, reported; nothing is left behind then.
 */
int vm__create(struct vm *vm, const struct kvm *kvm, const struct vm_config *config)
{
	int ret;

	*vm = (struct vm){ .kvm = kvm, .config = config, .fd = -1 };
	bus__init(&vm->bus);
	ret = loop__init(&vm->loop);
	if (ret)
		return ret;
	vm->fd = vm__create_fd(kvm);
	ret = vm->fd < 0 ? vm->fd : vm__init_chips(vm);
	if (!ret)
		ret = memory__init(vm, config->memory, config->backing);
	if (!ret)
		ret = vm__create_vcpus(vm);
	if (ret)
		vm__destroy(vm);
	return ret;
}

/** vm__destroy() - free a VM whose vCPU and device threads are gone */
void vm__destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu__destroy(&vm->vcpus[i]);
	free(vm->vcpus);
	vm->vcpus = NULL;
	vm->nr_vcpus = 0;
	irq__exit(vm);
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
	memory__exit(vm);
	loop__exit(&vm->loop);
	bus__exit(&vm->bus);
}

/**
 * vm__set_slot() - put host memory into the guest's physical address space
 * @vm: the VM
 * @slot: the slot's number
 * @gpa: guest-physical address
 * @size: bytes; 0 deletes the slot
 * @host: the memory
 */
int vm__set_slot(struct vm *vm, unsigned int slot, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};
	int ret = KVM_IOCTL(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);

	return ret < 0 ? ret : 0;
}

/** vm__start() - start every vCPU's thread; vm__join() ends those that started */
int vm__start(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = vcpu__start(&vm->vcpus[i]);
	return ret;
}

/** vm__join() - stop every vCPU and wait for its thread */
void vm__join(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu__stop(&vm->vcpus[i]);
}

/**
 * vm__end() - say why the VM has to stop, and wake the main thread
 *
 * Return: whether this is the first reason given, the one that counts.
 */
bool vm__end(struct vm *vm, enum vm_end why)
{
	int running = VM_RUNNING;

	if (!atomic_compare_exchange_strong(&vm->end, &running, why))
		return false;
	loop__stop(&vm->loop);
	return true;
}
