// SPDX-License-Identifier: GPL-2.0
/* Exit reasons in words. */
#include <stdio.h>

#include "../module/check/check.h"
#include "crashdump.h"
#include "util.h"

#define VMX_ENTRY_FAILED	(1ULL << 31)

static const char *const exit_names[] = {
	[KVM_EXIT_UNKNOWN] = "KVM_EXIT_UNKNOWN",
	[KVM_EXIT_IO] = "KVM_EXIT_IO",
	[KVM_EXIT_MMIO] = "KVM_EXIT_MMIO",
	[KVM_EXIT_EXCEPTION] = "KVM_EXIT_EXCEPTION",
	[KVM_EXIT_HYPERCALL] = "KVM_EXIT_HYPERCALL",
	[KVM_EXIT_DEBUG] = "KVM_EXIT_DEBUG",
	[KVM_EXIT_HLT] = "KVM_EXIT_HLT",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "KVM_EXIT_IRQ_WINDOW_OPEN",
	[KVM_EXIT_SHUTDOWN] = "KVM_EXIT_SHUTDOWN (triple fault)",
	[KVM_EXIT_FAIL_ENTRY] = "KVM_EXIT_FAIL_ENTRY",
	[KVM_EXIT_SET_TPR] = "KVM_EXIT_SET_TPR",
	[KVM_EXIT_TPR_ACCESS] = "KVM_EXIT_TPR_ACCESS",
	[KVM_EXIT_NMI] = "KVM_EXIT_NMI",
	[KVM_EXIT_INTERNAL_ERROR] = "KVM_EXIT_INTERNAL_ERROR",
	[KVM_EXIT_SYSTEM_EVENT] = "KVM_EXIT_SYSTEM_EVENT",
	[KVM_EXIT_IOAPIC_EOI] = "KVM_EXIT_IOAPIC_EOI",
	[KVM_EXIT_HYPERV] = "KVM_EXIT_HYPERV",
	[KVM_EXIT_X86_RDMSR] = "KVM_EXIT_X86_RDMSR",
	[KVM_EXIT_X86_WRMSR] = "KVM_EXIT_X86_WRMSR",
	[KVM_EXIT_DIRTY_RING_FULL] = "KVM_EXIT_DIRTY_RING_FULL",
	[KVM_EXIT_X86_BUS_LOCK] = "KVM_EXIT_X86_BUS_LOCK",
};

static const char *const internal_errors[] = {
	[KVM_INTERNAL_ERROR_EMULATION] = "an instruction could not be emulated",
	[KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at the same time",
	[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an event was delivered",
	[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit reason nobody asked for",
};

static const char *lookup(const char *const *names, size_t count, uint64_t index)
{
	return index < count && names[index] ? names[index] : "unknown";
}

/* In one call: vCPU and device threads may print at the same time. The reason says by itself whose it is. */
static void print_fail_entry(const struct kvm_run *run)
{
	uint64_t reason = run->fail_entry.hardware_entry_failure_reason;
	bool svm = (uint32_t)reason == 0xffffffff;

	fprintf(stderr, "entry failure reason 0x%llx of the hardware: %s: %s\n", (unsigned long long)reason,
		svm ? "VMRUN" : reason & VMX_ENTRY_FAILED ? "VM entry failed" : "VM-instruction error",
		check_reason(svm ? &check_svm : &check_vmx, reason));
}

static void print_internal_error(const struct kvm_run *run)
{
	uint32_t ndata = run->internal.ndata;

	fprintf(stderr, "suberror %u: %s\n", run->internal.suberror,
		lookup(internal_errors, ARRAY_SIZE(internal_errors), run->internal.suberror));
	if (ndata > ARRAY_SIZE(run->internal.data))
		ndata = ARRAY_SIZE(run->internal.data);
	for (uint32_t i = 0; i < ndata; i++)
		fprintf(stderr, "  data[%u] 0x%016llx\n", i,
			(unsigned long long)run->internal.data[i]);
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || ndata < 1 ||
	    !(run->emulation_failure.flags &
	      KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	fprintf(stderr, "  instruction");
	for (unsigned int i = 0; i < run->emulation_failure.insn_size &&
	     i < sizeof(run->emulation_failure.insn_bytes); i++)
		fprintf(stderr, " %02x", run->emulation_failure.insn_bytes[i]);
	fprintf(stderr, "\n");
}

/** exitreason__name() - its name, with what it stands for where that is not the same */
const char *exitreason__name(uint32_t reason)
{
	return lookup(exit_names, ARRAY_SIZE(exit_names), reason);
}

/** exitreason__print() - print why KVM_RUN returned, decoded as far as it is known */
void exitreason__print(const struct kvm_run *run)
{
	fprintf(stderr, "exit reason %u: %s\n", run->exit_reason, exitreason__name(run->exit_reason));
	switch (run->exit_reason) {
	case KVM_EXIT_UNKNOWN:
		fprintf(stderr, "hardware exit reason 0x%llx\n",
			(unsigned long long)run->hw.hardware_exit_reason);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		print_fail_entry(run);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		print_internal_error(run);
		break;
	case KVM_EXIT_EXCEPTION:
		fprintf(stderr, "exception %u, error code 0x%x\n", run->ex.exception,
			run->ex.error_code);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		fprintf(stderr, "system event %u\n", run->system_event.type);
		break;
	}
}
