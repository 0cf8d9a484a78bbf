// SPDX-License-Identifier: GPL-2.0
/*
 * What a VM entry looks at, for the rules in check/: the VMCS, and what this CPU supports.
 */
#include <asm/cpufeature.h>
#include <asm/processor.h>

#include "vmx/vmx.h"

#define MSR_VMX_PROCBASED_CTLS3	0x492
#define MSR_VMX_EXIT_CTLS2	0x493

/* IA32_PERF_GLOBAL_CTRL: general-purpose and fixed counters, and bit 48, that of the metrics. */
static u64 perf_global_settable(void)
{
	u32 eax, ebx, ecx, edx;

	if (boot_cpu_data.cpuid_level < 0xa)
		return 0;
	cpuid(0xa, &eax, &ebx, &ecx, &edx);
	return (BIT_ULL(eax >> 8 & 0xff) - 1) | (BIT_ULL(edx & 0x1f) - 1) << 32 | BIT_ULL(48);
}

/* Bits that no CPU in use reserves are left out of the question: a rule shall not accuse a value that is right. */
static u64 debugctl_settable(bool bus_lock)
{
	return GENMASK_ULL(15, 6) | BIT_ULL(1) | BIT_ULL(0) | (bus_lock ? BIT_ULL(2) : 0);
}

static u64 efer_settable(void)
{
	return EFER_SCE | EFER_LME | EFER_LMA | (boot_cpu_has(X86_FEATURE_NX) ? EFER_NX : 0);
}

/* An MSR that the CPU may lack; the controls that it would allow are then none. */
static u64 capability(u32 msr)
{
	u64 value;

	return nst_rdmsr_safe(msr, &value) ? 0 : value;
}

/* SDM, VMX Capability Reporting Facility. */
static void read_capability_msrs(u64 *caps)
{
	bool true_controls;

	caps[VCAP_basic] = capability(MSR_IA32_VMX_BASIC);
	true_controls = caps[VCAP_basic] & VMX_BASIC_TRUE_CONTROLS;
	caps[VCAP_misc] = capability(MSR_IA32_VMX_MISC);
	caps[VCAP_pin] = capability(true_controls ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS);
	caps[VCAP_cpu] = capability(true_controls ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS);
	caps[VCAP_cpu2] = capability(MSR_IA32_VMX_PROCBASED_CTLS2);
	caps[VCAP_cpu3] = capability(MSR_VMX_PROCBASED_CTLS3);
	caps[VCAP_exit] = capability(true_controls ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS);
	caps[VCAP_exit2] = capability(MSR_VMX_EXIT_CTLS2);
	caps[VCAP_entry] = capability(true_controls ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS);
	caps[VCAP_cr0_fixed0] = capability(MSR_IA32_VMX_CR0_FIXED0);
	caps[VCAP_cr0_fixed1] = capability(MSR_IA32_VMX_CR0_FIXED1);
	caps[VCAP_cr4_fixed0] = capability(MSR_IA32_VMX_CR4_FIXED0);
	caps[VCAP_cr4_fixed1] = capability(MSR_IA32_VMX_CR4_FIXED1);
	caps[VCAP_ept_vpid] = capability(MSR_IA32_VMX_EPT_VPID_CAP);
	caps[VCAP_vmfunc] = capability(MSR_IA32_VMX_VMFUNC);
}

static void read_caps(u64 *caps)
{
	u32 widths = cpuid_eax(0x80000008);

	read_capability_msrs(caps);
	caps[VCAP_physical_bits] = widths & 0xff;
	caps[VCAP_linear_bits] = widths >> 8 & 0xff;
	caps[VCAP_bus_lock] = boot_cpu_data.cpuid_level >= 7 && cpuid_ecx(7) & BIT(24);
	caps[VCAP_debugctl_settable] = debugctl_settable(caps[VCAP_bus_lock]);
	caps[VCAP_perf_global_settable] = perf_global_settable();
	caps[VCAP_efer_settable] = efer_settable();
	caps[VCAP_rtit_settable] = GENMASK_ULL(56, 55) | GENMASK_ULL(47, 0);
	caps[VCAP_lbr_settable] = 0x7f000f;
	/* Bits 62:61 enable linear-address masking. */
	caps[VCAP_cr3_settable] = (BIT_ULL(widths & 0xff) - 1) | GENMASK_ULL(62, 61);
	caps[VCAP_host_lma] = 1;
	caps[VCAP_smm] = 0;
	caps[VCAP_sgx] = boot_cpu_has(X86_FEATURE_SGX);
	caps[VCAP_rtm] = boot_cpu_has(X86_FEATURE_RTM);
}

/* VMREAD of a field that the CPU may lack. */
static bool read_field(u32 encoding, u64 *value)
{
	bool failed;

	asm volatile(VMX_INSN("vmread %[field], %[value]")
		     : [value] "=r" (*value), "=@ccna" (failed) : [field] "r" ((u64)encoding));
	return !failed;
}

static bool write_field(u32 encoding, u64 value)
{
	bool failed;

	asm volatile(VMX_INSN("vmwrite %[value], %[field]")
		     : "=@ccna" (failed) : [field] "r" ((u64)encoding), [value] "rm" (value));
	return !failed;
}

/* Every field of the current VMCS, in a burst or a visit. */
static void read_fields(struct check_state *state)
{
	unsigned int i;
	u64 value;

	for (i = 1; i < check_vmx.nr_fields; i++)
		if (check_vmx.fields[i].where != CHECK_NOWHERE && read_field(check_vmx.fields[i].where, &value))
			check_set(state, i, value);
}

/*
 * vmx_entry_state - what the last entry, which failed, looked at; outside a burst
 *
 * The VMCS is as it was, but for the event: it was taken back. What the instruction was is remembered. 0 or -EIO.
 */
int vmx_entry_state(struct vcpu *vcpu, struct check_state *state)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long flags;

	check_init(state, &check_vmx);
	read_caps(state->caps);
	if (vmx_visit_begin(vmx, &flags))
		return -EIO;
	read_fields(state);
	vmx_visit_end(vmx, flags);
	check_set(state, VF_entry_intr_info, vmx->failed.event);
	check_set(state, VF_vmresume, vmx->failed.resume);
	check_set(state, VF_launched, vmx->failed.resume);
	check_set(state, VF_mov_ss_blocking, 0);
	check_set(state, VF_vmcs_pointer, vmx->vmcs->pa);
	return 0;
}

/* Put back what the first @nr changes replaced. */
static void undo_changes(struct entry_probe *probe, unsigned int nr)
{
	while (nr--)
		if (check_vmx.fields[probe->changes[nr].field].where != CHECK_NOWHERE)
			write_field(check_vmx.fields[probe->changes[nr].field].where, probe->changes[nr].old);
}

/* -EINVAL for a field that this CPU does not have. */
static int make_changes(struct vmx_vcpu *vmx, struct entry_probe *probe)
{
	unsigned int i;

	for (i = 0; i < probe->nr_changes; i++) {
		unsigned int field = probe->changes[i].field;
		u32 where = check_vmx.fields[field].where;

		if (where != CHECK_NOWHERE) {
			if (read_field(where, &probe->changes[i].old) && write_field(where, probe->changes[i].value))
				continue;
		} else if (field == VF_vmresume) {
			/* Only chooses the instruction. */
			vmx->vmcs->launched = probe->changes[i].value;
			continue;
		} else if (field == VF_launched) {
			continue;	/* made so before */
		}
		undo_changes(probe, i);
		return -EINVAL;
	}
	return 0;
}

static bool wants_launched(const struct entry_probe *probe)
{
	unsigned int i;

	for (i = 0; i < probe->nr_changes; i++)
		if (probe->changes[i].field == VF_launched && probe->changes[i].value)
			return true;
	return false;
}

static void take_result(struct vmx_vcpu *vmx, struct entry_probe *probe)
{
	probe->reason = vmx->exit.reason;
	probe->qualification = 0;
	probe->code = 0;
	if (vmx->result == VMX_RUN_FAULT) {
		probe->effect = CHECK_GP;
	} else if (vmx->result == VMX_RUN_VMFAIL) {
		probe->effect = CHECK_VMFAIL;
		probe->code = vmx->entry_error;
	} else if (vmx->exit.reason & VMX_EXIT_REASONS_FAILED_VMENTRY) {
		probe->effect = CHECK_ENTRY_FAILURE;
		probe->code = vmx_basic_reason(vmx);
		probe->qualification = vmx_exit_qualification(vmx);
	} else {
		probe->effect = CHECK_ADVICE;
	}
}

/*
 * vmx_probe_entry - enter with some fields of the VMCS replaced; in a burst
 */
int vmx_probe_entry(struct vcpu *vcpu, struct entry_probe *probe)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool launched;
	int r;

	vmx_write_state(vmx);
	if (wants_launched(probe))
		vmx_enter(vcpu);
	launched = vmx->vmcs->launched;
	vmx->vmcs->launched = false;	/* VMLAUNCH, whatever the VMCS is */
	r = make_changes(vmx, probe);
	if (r)
		return r;
	check_init(&probe->state, &check_vmx);
	read_caps(probe->state.caps);
	read_fields(&probe->state);
	check_set(&probe->state, VF_vmresume, vmx->vmcs->launched);
	check_set(&probe->state, VF_launched, launched);
	check_set(&probe->state, VF_mov_ss_blocking, 0);
	check_set(&probe->state, VF_vmcs_pointer, vmx->vmcs->pa);
	vmx_enter(vcpu);
	take_result(vmx, probe);
	undo_changes(probe, probe->nr_changes);
	return 0;
}
