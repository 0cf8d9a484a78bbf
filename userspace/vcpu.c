// SPDX-License-Identifier: GPL-2.0
/* A virtual CPU: creation, its state at reset, and the loop that runs it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crashdump.h"
#include "util.h"
#include "vm.h"

#define MSR_IA32_MISC_ENABLE		0x1a0
#define MISC_ENABLE_FAST_STRING		(1ULL << 0)
#define MSR_MTRR_PHYSBASE0		0x200
#define MSR_MTRR_PHYSMASK0		0x201
#define MTRR_PHYSMASK_VALID		(1ULL << 11)
#define MSR_MTRR_FIX64K_00000		0x250
#define MSR_MTRR_FIX16K_80000		0x258
#define MSR_MTRR_FIX16K_A0000		0x259
#define MSR_MTRR_FIX4K_C0000		0x268
#define MSR_MTRR_FIX4K_COUNT		8
#define MSR_MTRR_DEF_TYPE		0x2ff
#define MTRR_ENABLE			(1ULL << 11)
#define MTRR_FIXED_ENABLE		(1ULL << 10)
#define MTRR_TYPE_UC			0ULL
#define MTRR_TYPE_WB			6ULL
#define MTRR_FIXED_WB			0x0606060606060606ULL

#define APIC_LVT_LINT0			0x350
#define APIC_LVT_LINT1			0x360
#define APIC_MODE_NMI			(4u << 8)
#define APIC_MODE_EXTINT		(7u << 8)

/**
 * vcpu__set_msr() - write one MSR
 *
 * Return: 0 or a negative errno, reported with the MSR's number.
 */
int vcpu__set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry = { .index = index, .data = value },
	};
	int ret = ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);

	if (ret == 1)
		return 0;
	ret = ret < 0 ? -errno : -EINVAL;
	pr_err("cannot set MSR 0x%x to 0x%llx: %s", index, (unsigned long long)value,
	       strerror(-ret));
	return ret;
}

/*
 * Memory types as firmware leaves them: write-back, except VGA memory and the
 * hole. The mask is limited to 36 bits, which every CPU has.
 */
static int vcpu__set_mtrrs(struct vcpu *vcpu)
{
	const struct {
		uint32_t index;
		uint64_t value;
	} msrs[] = {
		{ MSR_MTRR_PHYSBASE0, MEM_HOLE_START | MTRR_TYPE_UC },
		{ MSR_MTRR_PHYSMASK0,
		  (0xfffffffffULL & ~(MEM_HOLE_END - MEM_HOLE_START - 1)) | MTRR_PHYSMASK_VALID },
		{ MSR_MTRR_FIX64K_00000, MTRR_FIXED_WB },
		{ MSR_MTRR_FIX16K_80000, MTRR_FIXED_WB },
		{ MSR_MTRR_FIX16K_A0000, 0 },
		{ MSR_MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_FIXED_ENABLE | MTRR_TYPE_WB },
	};
	int ret;

	for (uint32_t i = 0; i < MSR_MTRR_FIX4K_COUNT; i++) {
		ret = vcpu__set_msr(vcpu, MSR_MTRR_FIX4K_C0000 + i, MTRR_FIXED_WB);
		if (ret)
			return ret;
	}
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		ret = vcpu__set_msr(vcpu, msrs[i].index, msrs[i].value);
		if (ret)
			return ret;
	}
	return 0;
}

/* Virtual wire mode, as firmware leaves it: the PIC at LINT0, NMI at LINT1. */
static int vcpu__set_lapic(struct vcpu *vcpu)
{
	uint32_t lint0 = APIC_MODE_EXTINT, lint1 = APIC_MODE_NMI;
	struct kvm_lapic_state lapic;
	int ret = KVM_IOCTL(vcpu->fd, KVM_GET_LAPIC, &lapic);

	if (ret < 0)
		return ret;
	memcpy(&lapic.regs[APIC_LVT_LINT0], &lint0, sizeof(lint0));
	memcpy(&lapic.regs[APIC_LVT_LINT1], &lint1, sizeof(lint1));
	ret = KVM_IOCTL(vcpu->fd, KVM_SET_LAPIC, &lapic);
	return ret < 0 ? ret : 0;
}

static int vcpu__reset(struct vcpu *vcpu)
{
	int ret = cpuid__apply(vcpu);

	if (!ret)
		ret = vcpu__set_mtrrs(vcpu);
	if (!ret)
		ret = vcpu__set_msr(vcpu, MSR_IA32_MISC_ENABLE, MISC_ENABLE_FAST_STRING);
	return ret ? ret : vcpu__set_lapic(vcpu);
}

/**
 * vcpu__create() - make a vCPU in its state at reset, with its CPUID
 *
 * vCPU 0 is ready to run; the others wait for INIT and SIPI.
 *
 * Return: 0 or a negative errno, reported; nothing is left behind then.
 */
int vcpu__create(struct vcpu *vcpu, struct vm *vm, unsigned int id)
{
	int ret;

	*vcpu = (struct vcpu){ .vm = vm, .id = id };
	vcpu->fd = KVM_IOCTL(vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)id);
	if (vcpu->fd < 0)
		return vcpu->fd;
	vcpu->run = mmap(NULL, vm->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		ret = -errno;
		pr_err("cannot map vCPU %u: %s", id, strerror(-ret));
		close(vcpu->fd);
		return ret;
	}
	ret = vcpu__reset(vcpu);
	if (ret)
		vcpu__destroy(vcpu);
	return ret;
}

/** vcpu__destroy() - free a vCPU whose thread is gone */
void vcpu__destroy(struct vcpu *vcpu)
{
	munmap(vcpu->run, vcpu->vm->kvm->run_size);
	close(vcpu->fd);
}

static void vcpu__handle_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		bus__access(&vcpu->vm->bus, IO_PORT, run->io.port, data, run->io.size,
			    run->io.direction == KVM_EXIT_IO_OUT);
}

/* Ports are probed at will on a PC; memory where nobody answers is a mistake. */
static void vcpu__handle_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (!bus__access(&vcpu->vm->bus, IO_MMIO, run->mmio.phys_addr, run->mmio.data,
			 run->mmio.len, run->mmio.is_write))
		crashdump__report_mmio(vcpu);
}

static void vcpu__handle_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm__end(vcpu->vm, VM_POWEROFF);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm__end(vcpu->vm, VM_REBOOT);
		break;
	default:
		crashdump__report(vcpu);
	}
}

static void vcpu__handle_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu__handle_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		vcpu__handle_mmio(vcpu);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu__handle_system_event(vcpu);
		break;
	default:
		crashdump__report(vcpu);
	}
}

static void *vcpu__thread(void *arg)
{
	struct vcpu *vcpu = arg;

	while (vm__ended(vcpu->vm) == VM_RUNNING) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0)
			vcpu__handle_exit(vcpu);
		else if (errno != EINTR && errno != EAGAIN)
			crashdump__report_error(vcpu, errno);
	}
	return NULL;
}

/** vcpu__start() - let a vCPU run in a thread of its own */
int vcpu__start(struct vcpu *vcpu)
{
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	ret = thread__start(&vcpu->thread, name, vcpu__thread, vcpu);
	vcpu->running = !ret;
	return ret;
}

/** vcpu__stop() - bring a vCPU out of the guest and wait for its thread */
void vcpu__stop(struct vcpu *vcpu)
{
	if (!vcpu->running)
		return;
	/* For a thread that is about to enter when the kick arrives. */
	*(volatile uint8_t *)&vcpu->run->immediate_exit = 1;
	thread__join(vcpu->thread);
	vcpu->running = false;
}
