// SPDX-License-Identifier: GPL-2.0
#include "svm/nested.h"

static void svm_cpuid_changed(struct vcpu *vcpu)
{
	svm_intercepts_changed(vcpu);
}

/* VMRUN starts a CPU that runs, and an exit from HLT leaves RIP behind it. */
static void svm_clear_halt(struct vcpu *vcpu)
{
}

/* All CR4 bits that CPUID offers work in an SVM guest. */
static bool svm_cr4_valid(struct vcpu *vcpu, u64 cr4)
{
	return true;
}

/* APM volume 2, VM_CR MSR: SVMDIS. */
static bool svm_efer_valid(struct vcpu *vcpu, u64 efer)
{
	return !(efer & EFER_SVME && to_svm(vcpu)->nested.vm_cr & VM_CR_SVMDIS);
}

const struct vendor_ops svm_ops = {
	.name = "SVM",
	.vcpu_size = sizeof(struct svm_vcpu),
	.probe = svm_probe,
	.setup = svm_setup,
	.cleanup = svm_cleanup,
	.vm_init = svm_apic_vm_init,
	.vm_destroy = svm_apic_vm_destroy,
	.vcpu_init = svm_vcpu_init,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = svm_vcpu_reset,
	.cpuid_changed = svm_cpuid_changed,
	.burst_enter = svm_burst_enter,
	.burst_leave = svm_burst_leave,
	.enter = svm_enter,
	.handle_exit = svm_handle_exit,
	.fetch = svm_fetch,
	.interrupt_allowed = svm_interrupt_allowed,
	.nmi_allowed = svm_nmi_allowed,
	.inject_interrupt = svm_inject_interrupt,
	.inject_nmi = svm_inject_nmi,
	.inject_exception = svm_inject_exception,
	.cancel_injection = svm_cancel_injection,
	.open_interrupt_window = svm_open_interrupt_window,
	.open_nmi_window = svm_open_nmi_window,
	.nmi_masked = svm_nmi_masked,
	.set_nmi_masked = svm_set_nmi_masked,
	.clear_halt = svm_clear_halt,
	.update_tpr = svm_update_tpr,
	.doorbell = svm_doorbell,
	.apic_ids_changed = svm_apic_ids_changed,
	.skip_instruction = svm_skip_instruction,
	.tlb_flush = svm_tlb_flush,
	.tlb_flush_address = svm_tlb_flush_address,
	.root_changed = svm_root_changed,
	.intercepts_changed = svm_intercepts_changed,
	.msr_intercept = svm_msr_intercept,
	.cr4_valid = svm_cr4_valid,
	.efer_valid = svm_efer_valid,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.write_tsc_offset = svm_write_tsc_offset,
	.nested = &svm_nested_ops,
	.exit_info = svm_exit_info,
	.entry_state = svm_entry_state,
	.probe_entry = svm_probe_entry,
	.exit_names = svm_exit_names,
	.emergency_leave = svm_emergency_leave,
};
