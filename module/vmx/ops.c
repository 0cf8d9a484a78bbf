// SPDX-License-Identifier: GPL-2.0
#include "vmx/vmx.h"

static int vmx_vm_init(struct vm *vm)
{
	return 0;
}

static void vmx_vm_destroy(struct vm *vm)
{
}

static const struct nested_ops vmx_nested_ops = {
	.decode = nested_vmx_decode,
	.intercepts = nested_vmx_intercepts,
	.reflect = nested_vmx_reflect,
	.reflect_walk = nested_vmx_reflect_walk,
	.insn = nested_vmx_insn,
	.reflect_insn = nested_vmx_reflect_insn,
	.blocks_init = nested_vmx_blocks_init,
	.blocks_smi = nested_vmx_blocks_smi,
	.smm_enter = nested_vmx_smm_enter,
	.smm_leave = nested_vmx_smm_leave,
	.sync = nested_vmx_sync,
	.after_flush = nested_vmx_after_flush,
	.enable_evmcs = nested_vmx_enable_evmcs,
	.wakes = nested_vmx_apic_wakes,
	.waits = nested_vmx_waits,
	.leave = nested_vmx_leave,
	.get_state = nested_vmx_get_state,
	.set_state = nested_vmx_set_state,
};

const struct vendor_ops vmx_ops = {
	.name = "VMX",
	.vcpu_size = sizeof(struct vmx_vcpu),
	.probe = vmx_probe,
	.setup = vmx_setup,
	.cleanup = vmx_cleanup,
	.vm_init = vmx_vm_init,
	.vm_destroy = vmx_vm_destroy,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_destroy = vmx_vcpu_destroy,
	.vcpu_reset = vmx_vcpu_reset,
	.cpuid_changed = vmx_intercepts_changed,
	.burst_enter = vmx_burst_enter,
	.burst_leave = vmx_burst_leave,
	.enter = vmx_enter,
	.handle_exit = vmx_handle_exit,
	.fetch = vmx_fetch,
	.interrupt_allowed = vmx_interrupt_allowed,
	.nmi_allowed = vmx_nmi_allowed,
	.inject_interrupt = vmx_inject_interrupt,
	.inject_nmi = vmx_inject_nmi,
	.inject_exception = vmx_inject_exception,
	.cancel_injection = vmx_cancel_injection,
	.open_interrupt_window = vmx_open_interrupt_window,
	.open_nmi_window = vmx_open_nmi_window,
	.nmi_masked = vmx_nmi_masked,
	.set_nmi_masked = vmx_set_nmi_masked,
	.clear_halt = vmx_clear_halt,
	.update_tpr = vmx_update_tpr,
	.host_interrupt = vmx_host_interrupt,
	.doorbell = vmx_doorbell,
	.skip_instruction = vmx_skip_instruction,
	.tlb_flush = vmx_tlb_flush,
	.tlb_flush_address = vmx_tlb_flush_address,
	.root_changed = vmx_root_changed,
	.intercepts_changed = vmx_intercepts_changed,
	.msr_intercept = vmx_msr_intercept,
	.cr0_valid = vmx_cr0_valid,
	.cr4_valid = vmx_cr4_valid,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.get_feature_msr = vmx_get_feature_msr,
	.write_tsc_offset = vmx_write_tsc_offset,
	.exit_info = vmx_exit_info,
	.entry_state = vmx_entry_state,
	.probe_entry = vmx_probe_entry,
	.exit_names = vmx_exit_names,
	.emergency_leave = vmx_emergency_leave,
	.nested = &vmx_nested_ops,
};
