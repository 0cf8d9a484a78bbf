// SPDX-License-Identifier: GPL-2.0
/*
 * The MSR bitmap, MSRs that hold the guest's values during a burst, and MSRs that only VMX knows.
 */
#include "vmx/vmx.h"

/* SDM, MSR-Bitmap Address: four bitmaps of 1 KiB, reads before writes, low MSRs before high ones. */
#define BITMAP_WRITES	(2048 * 8)
#define BITMAP_HIGH	(1024 * 8)
#define MSRS_IN_BITMAP	8192
#define MSR_HIGH_BASE	0xc0000000

/* The bit that intercepts reads of @msr, or -1: other MSRs always exit. */
static int bitmap_bit(u32 msr)
{
	if (msr < MSRS_IN_BITMAP)
		return msr;
	if (msr - MSR_HIGH_BASE < MSRS_IN_BITMAP)
		return BITMAP_HIGH + msr - MSR_HIGH_BASE;
	return -1;
}

/* Of L1's bitmap: the bit that says whether an access exits, or -1: it does. */
int vmx_msr_bitmap_bit(u32 msr, bool write)
{
	int bit = bitmap_bit(msr);

	return bit < 0 ? bit : bit + (write ? BITMAP_WRITES : 0);
}

void vmx_msr_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write)
{
	void *bitmap = to_vmx(vcpu)->vmcs01.msr_bitmap;
	int bit = bitmap_bit(msr);

	if (bit < 0)
		return;
	to_vmx(vcpu)->nested.bitmap_merged = false;
	/* An MSR that user space filters is never given to the guest. */
	__assign_bit(bit, bitmap, read || !msr_filter_allows(vcpu, msr, false));
	__assign_bit(bit + BITMAP_WRITES, bitmap, write || !msr_filter_allows(vcpu, msr, true));
}

/* MSRs that the VMCS holds, or a burst switches. */
static const u32 direct_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/* How long the core slept: for guests that choose its C-states (KVM_X86_DISABLE_EXITS_CSTATE). */
static const u32 cstate_msrs[] = {
	MSR_CORE_C1_RES, MSR_CORE_C3_RESIDENCY, MSR_CORE_C6_RESIDENCY, MSR_CORE_C7_RESIDENCY,
};

/*
 * vmx_update_msr_bitmap - recompute which MSR accesses exit
 *
 * IA32_SPEC_CTRL exits until the guest uses it: reading it back on every exit has its price.
 */
void vmx_update_msr_bitmap(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	int i;

	memset(vmx->vmcs01.msr_bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(direct_msrs); i++)
		vmx_msr_intercept(vcpu, direct_msrs[i], false, false);
	vmx_msr_intercept(vcpu, MSR_IA32_TSC, false, true);
	if (vcpu->vm->caps.disabled_exits & KVM_X86_DISABLE_EXITS_CSTATE)
		for (i = 0; i < ARRAY_SIZE(cstate_msrs); i++)
			vmx_msr_intercept(vcpu, cstate_msrs[i], false, true);
	vmx_apic_msrs(vmx);
	/* Commands: they have no state, and act on the guest's own predictions and cache. */
	if (guest_has(vcpu, X86_FEATURE_SPEC_CTRL))
		vmx_msr_intercept(vcpu, MSR_IA32_PRED_CMD, true, false);
	if (guest_has(vcpu, X86_FEATURE_FLUSH_L1D))
		vmx_msr_intercept(vcpu, MSR_IA32_FLUSH_CMD, true, false);
	vmx->run_flags &= ~VMX_RUN_SAVE_SPEC_CTRL;
	if (vmx->pass_spec_ctrl && guest_has(vcpu, X86_FEATURE_SPEC_CTRL)) {
		vmx_msr_intercept(vcpu, MSR_IA32_SPEC_CTRL, false, false);
		/* A filter may still intercept it; reading it back then does no harm. */
		vmx->run_flags |= VMX_RUN_SAVE_SPEC_CTRL;
	}
}

/*
 * MSRs without a field in the VMCS that the guest's code uses. In a burst they hold the guest's
 * values, at its end again what they held before. SYSCALL's matter only with EFER.SCE; of them the
 * guest can write only IA32_KERNEL_GS_BASE without an exit.
 */
enum { SWITCH_KERNEL_GS_BASE, SWITCH_STAR, SWITCH_LSTAR, SWITCH_SFMASK, SWITCH_UMWAIT };

static const struct {
	u32 msr;
	size_t value;		/* offset in struct vcpu */
} switched[] = {
	[SWITCH_KERNEL_GS_BASE] = { MSR_KERNEL_GS_BASE, offsetof(struct vcpu, regs.kernel_gs_base) },
	[SWITCH_STAR] = { MSR_STAR, offsetof(struct vcpu, regs.star) },
	[SWITCH_LSTAR] = { MSR_LSTAR, offsetof(struct vcpu, regs.lstar) },
	[SWITCH_SFMASK] = { MSR_SYSCALL_MASK, offsetof(struct vcpu, regs.sfmask) },
	[SWITCH_UMWAIT] = { MSR_IA32_UMWAIT_CONTROL,
			    offsetof(struct vcpu, cpu_state.umwait_control) },
};
static_assert(ARRAY_SIZE(switched) == VMX_NR_SWITCHED);

static u64 *switched_value(struct vmx_vcpu *vmx, int i)
{
	return (void *)&vmx->vcpu + switched[i].value;
}

static u32 needed(struct vmx_vcpu *vmx)
{
	u32 need = BIT(SWITCH_KERNEL_GS_BASE);

	if (vmx->vcpu.regs.efer & EFER_SCE)
		need |= BIT(SWITCH_STAR) | BIT(SWITCH_LSTAR) | BIT(SWITCH_SFMASK);
	if (vmx_get(vmx, LAZY_CPU2) & CPU2_USER_WAIT)
		need |= BIT(SWITCH_UMWAIT);
	return need;
}

static void load(struct vmx_vcpu *vmx, u32 which)
{
	unsigned long msrs = which;
	int i;

	for_each_set_bit(i, &msrs, VMX_NR_SWITCHED) {
		u64 guest = *switched_value(vmx, i);

		vmx->host.loaded[i] = guest;
		vmx->host.msr[i] = nst_rdmsr(switched[i].msr);
		if (vmx->host.msr[i] != guest)
			nst_wrmsr(switched[i].msr, guest);
	}
	vmx->host.msrs |= which;
}

void vmx_msrs_enter(struct vmx_vcpu *vmx)
{
	vmx->host.msrs = 0;
	load(vmx, needed(vmx));
}

/*
 * vmx_msrs_update - before an entry: load what the guest has come to need
 * @rewrite: values in struct regs changed during this burst
 */
void vmx_msrs_update(struct vmx_vcpu *vmx, bool rewrite)
{
	unsigned long loaded = vmx->host.msrs;
	u64 guest;
	int i;

	if (rewrite) {
		for_each_set_bit(i, &loaded, VMX_NR_SWITCHED) {
			guest = *switched_value(vmx, i);
			/* The guest may have written IA32_KERNEL_GS_BASE by itself. */
			if (guest == vmx->host.loaded[i] && i != SWITCH_KERNEL_GS_BASE)
				continue;
			vmx->host.loaded[i] = guest;
			nst_wrmsr(switched[i].msr, guest);
		}
	}
	if (needed(vmx) & ~loaded)
		load(vmx, needed(vmx) & ~loaded);
}

/*
 * vmx_msrs_leave - put back what the burst found
 */
void vmx_msrs_leave(struct vmx_vcpu *vmx)
{
	struct regs *regs = &vmx->vcpu.regs;
	unsigned long loaded = vmx->host.msrs;
	u64 guest;
	int i;

	for_each_set_bit(i, &loaded, VMX_NR_SWITCHED) {
		guest = *switched_value(vmx, i);
		if (i == SWITCH_KERNEL_GS_BASE && !(regs->valid & REGS_SYSCALL)) {
			guest = nst_rdmsr(MSR_KERNEL_GS_BASE);
			regs->kernel_gs_base = guest;
		}
		/*
		 * What a handler changed after the last entry is not in the CPU yet: then the
		 * comparison proves nothing.
		 */
		if (guest != vmx->host.msr[i] || regs->dirty & REGS_SYSCALL || i == SWITCH_UMWAIT)
			nst_wrmsr(switched[i].msr, vmx->host.msr[i]);
	}
	vmx->host.msrs = 0;
}

static bool is_capability(u32 msr)
{
	return msr >= MSR_IA32_VMX_BASIC && msr <= MSR_IA32_VMX_VMFUNC;
}

/* What VMX a guest has. */
int vmx_get_msr(struct vcpu *vcpu, u32 msr, u64 *value, bool host)
{
	if (!is_capability(msr))
		return -ENOENT;
	*value = nested_vmx_caps_get(vcpu, msr, host);
	return 0;
}

int vmx_set_msr(struct vcpu *vcpu, u32 msr, u64 value, bool host)
{
	if (!is_capability(msr))
		return -ENOENT;
	return host ? nested_vmx_caps_set(vcpu, msr, value) : -EINVAL;
}

int vmx_get_feature_msr(u32 msr, u64 *value)
{
	if (!is_capability(msr))
		return -ENOENT;
	*value = nested_vmx_caps_host(msr);
	return 0;
}
