// SPDX-License-Identifier: GPL-2.0
/* The tiny VM that a benchmark runs in. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench/bench.h"
#include "bench/layout.h"
#include "boot/boot.h"
#include "util.h"

#define SEL_CODE	0x10
#define GATE_INTERRUPT	0x8e00
#define IDT_ENTRIES	(VECTOR_ANSWER + 1)

extern const char bench_handle_event[], bench_handle_answer[];

static uint64_t code_address(const char *code)
{
	return BENCH_CODE + (uint64_t)(code - bench_code_start);
}

/* SDM, '64-Bit Mode IDT'. */
static void set_gate(struct guest *guest, unsigned int vector, const char *handler)
{
	uint64_t address = code_address(handler);
	uint64_t gate[2] = {
		(address & 0xffff) | SEL_CODE << 16 | (uint64_t)GATE_INTERRUPT << 32 |
			(address >> 16 & 0xffff) << 48,
		address >> 32,
	};

	memcpy(memory__ptr(&guest->vm, BENCH_IDT + vector * sizeof(gate), sizeof(gate)), gate,
	       sizeof(gate));
}

/**
 * guest__create() - make a VM with the guest code in it
 *
 * Return: 0, or a negative errno with the reason in @result.
 */
int guest__create(struct guest *guest, const struct bench *bench, struct result *result)
{
	size_t size = bench_code_end - bench_code_start;
	int ret;

	guest->config = (struct vm_config){
		.cpus = bench->benchmark->peer ? 2 : bench->benchmark->cpus ?: 1,
		.memory = BENCH_MEMORY,
		.backing = PAGES_4K,
	};
	ret = vm__create(&guest->vm, bench->kvm, &guest->config);
	if (ret) {
		result__fail(result, "no VM: %s", strerror(-ret));
		return ret;
	}
	memcpy(memory__ptr(&guest->vm, BENCH_CODE, size), bench_code_start, size);
	set_gate(guest, VECTOR_EVENT, bench_handle_event);
	set_gate(guest, VECTOR_ANSWER, bench_handle_answer);
	return 0;
}

/** guest__destroy() - free a VM that no thread runs any more */
void guest__destroy(struct guest *guest)
{
	vm__destroy(&guest->vm);
}

/** guest__set_param() - set one of PARAM_* */
void guest__set_param(struct guest *guest, uint64_t param, uint64_t value)
{
	memcpy(memory__ptr(&guest->vm, param, sizeof(value)), &value, sizeof(value));
}

/* Each vCPU has tables of its own: one is set up while the other runs. */
static int enter(struct vcpu *vcpu, const char *code)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;
	int ret = entry__apply(vcpu, &(struct boot_entry){
		.mode = BOOT_LONG,
		.rip = code_address(code),
		.rsp = BENCH_STACK - 0x1000 * vcpu->id,
		.tables = BENCH_TABLES + BOOT_TABLES_SIZE * vcpu->id,
		.gdt = BOOT_GDT,
	});

	if (!ret)
		ret = KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);
	if (ret < 0)
		return ret;
	sregs.idt = (struct kvm_dtable){ .base = BENCH_IDT, .limit = IDT_ENTRIES * 16 - 1 };
	ret = KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	if (ret >= 0)
		ret = KVM_IOCTL(vcpu->fd, KVM_SET_MP_STATE, &runnable);
	return ret < 0 ? ret : 0;
}

/** guest__enter() - point a vCPU at an entry point of the guest code */
int guest__enter(struct guest *guest, unsigned int cpu, const char *code,
		 struct result *result)
{
	int ret = enter(&guest->vm.vcpus[cpu], code);

	if (ret)
		result__fail(result, "vCPU %u cannot be set up: %s", cpu, strerror(-ret));
	return ret;
}

/* The place says which of the hypervisor's duties it is stuck in. */
static void explain_hang(struct guest *guest, struct result *result)
{
	struct kvm_regs regs;

	if (ioctl(guest->vm.vcpus[0].fd, KVM_GET_REGS, &regs) < 0)
		regs.rip = 0;
	result__fail(result, "the guest does not come to an end, rip 0x%llx rflags 0x%llx rcx 0x%llx r12 %lld",
		     regs.rip, regs.rflags, regs.rcx, regs.r12);
}

/**
 * guest__run() - run vCPU 0 up to its next exit to user space
 *
 * Return: whether there was one; else the reason is in @result.
 */
bool guest__run(struct guest *guest, struct result *result)
{
	if (ioctl(guest->vm.vcpus[0].fd, KVM_RUN, 0) == 0)
		return true;
	if (errno == EINTR)
		explain_hang(guest, result);
	else
		result__fail(result, "KVM_RUN: %s", strerror(errno));
	return false;
}

/**
 * guest__run_to_done() - run vCPU 0 until it says that it is done
 *
 * Return: whether it did; else the reason is in @result.
 */
bool guest__run_to_done(struct guest *guest, struct result *result)
{
	const struct kvm_run *run = guest->vm.vcpus[0].run;

	if (!guest__run(guest, result))
		return false;
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_DONE)
		return true;
	if (run->exit_reason == KVM_EXIT_SHUTDOWN)
		result__fail(result, "the guest died of an exception");
	else
		result__fail(result, "unexpected exit reason %u", run->exit_reason);
	return false;
}

/** guest__collect() - append the samples that the guest has taken to the result's */
void guest__collect(struct guest *guest, struct result *result, unsigned int count)
{
	memcpy(result->samples + result->count,
	       memory__ptr(&guest->vm, BENCH_SAMPLES, count * sizeof(uint64_t)),
	       count * sizeof(uint64_t));
	result->count += count;
}
