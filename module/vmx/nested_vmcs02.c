// SPDX-License-Identifier: GPL-2.0
/*
 * vmcs02: what the CPU is told for L2, from what L0 needs and what L1 asked for.
 *
 * Nothing of vmcs12 goes into it but by a mask: a control that is not named here is L0's alone, so no control of L1's
 * ever takes an intercept away that L0 needs.
 */
#include <linux/math64.h>
#include <asm/apicdef.h>
#include <asm/msr.h>

#include "vmx/vmx.h"

/* Exits that L1 can add. Those that L0 needs stay, and are sorted out when they come. */
#define CPU_FROM_L1	(CPU_INTR_WINDOW | CPU_HLT_EXITING | CPU_INVLPG_EXITING | CPU_MWAIT_EXITING |	\
			 CPU_RDPMC_EXITING | CPU_RDTSC_EXITING | CPU_CR3_LOAD_EXITING |			\
			 CPU_CR3_STORE_EXITING | CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING |		\
			 CPU_NMI_WINDOW | CPU_MOV_DR_EXITING | CPU_MONITOR_TRAP | CPU_MONITOR_EXITING |	\
			 CPU_PAUSE_EXITING)
#define CPU2_FROM_L1	(CPU2_DESCRIPTOR_EXITING | CPU2_WBINVD_EXITING | CPU2_RDRAND_EXITING |		\
			 CPU2_RDSEED_EXITING | CPU2_VMFUNC | CPU2_MBEC)

/* Instructions that L2 has if L1 has them and lets it. */
#define CPU2_BOTH	(CPU2_RDTSCP | CPU2_INVPCID | CPU2_XSAVES | CPU2_USER_WAIT | CPU2_UNRESTRICTED_GUEST)

/*
 * nested_vmx_write_constants - what does not change in vmcs02, which was just cleared and is loaded
 */
void nested_vmx_write_constants(struct nested_vmx *nested)
{
	nested_vmx_apic_write_constants(nested);
	/* No function is the CPU's: where L2 has the instruction, each exits. */
	if (vmx_caps.cpu2_allowed & CPU2_VMFUNC)
		vmwrite64(VMCS_VMFUNC_CONTROLS, 0);
}

static u32 primary_controls(const struct vmx_vcpu *vmx, u32 l0, const struct vmcs12 *v)
{
	return l0 | (v->cpu_controls & CPU_FROM_L1) | vmx->nested.windows;
}

static u32 secondary_controls(const struct vmx_vcpu *vmx, u32 controls, const struct vmcs12 *v)
{
	u32 asked = nested_vmx_cpu2(v);

	controls &= ~(u32)CPU2_BOTH | asked;
	/* The shadow VMCS is L1's. */
	controls &= ~(u32)CPU2_VMCS_SHADOWING;
	/* It would log gpa2s; leaves of shadow tables are made without need of it. */
	if (vmx->vcpu.nested.root->table)
		controls &= ~(u32)CPU2_PML;
	controls |= asked & CPU2_FROM_L1;
	if (!vmx->vmcs02.vpid)
		controls &= ~(u32)CPU2_VPID;
	return controls;
}

/* Bits that change hands: take what the guest has now before the mask says otherwise. */
static void set_masks(struct vmx_vcpu *vmx, const struct vmcs12 *v)
{
	u64 cr0 = vmx->vmcs01.lazy[LAZY_CR0_MASK] | v->cr0_mask;
	u64 cr4 = vmx->vmcs01.lazy[LAZY_CR4_MASK] | v->cr4_mask;

	if (cr0 == vmx_get(vmx, LAZY_CR0_MASK) && cr4 == vmx_get(vmx, LAZY_CR4_MASK))
		return;
	vcpu_fetch(&vmx->vcpu, REGS_CR0 | REGS_CR4);
	vmx_set(vmx, LAZY_CR0_MASK, cr0);
	vmx_set(vmx, LAZY_CR4_MASK, cr4);
	vcpu_dirty(&vmx->vcpu, REGS_CR0 | REGS_CR4);
}

/*
 * With accessed and dirty flags the CPU's own accesses to L2's page tables are writes (SDM, Accessed and Dirty Flags for
 * EPT), which L1's tables need not allow unless L1 asked for the flags.
 */
static u64 eptp02(struct vcpu *vcpu)
{
	const struct shadow_root *root = vcpu->nested.root;
	u64 eptp = vmx_eptp(shadow_root_pa(vcpu, root));

	return root->table && !(root->key.mode & NESTED_KEY_AD) ? eptp & ~EPTP_AD : eptp;
}

/*
 * nested_vmx_update_controls - controls of vmcs02, while L2 runs or is about to
 */
void nested_vmx_update_controls(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;
	struct vmx_vmcs *vmcs01 = &vmx->vmcs01;
	bool timer = v->pin_controls & PIN_PREEMPTION_TIMER;
	u32 cpu = vmcs01->lazy[LAZY_CPU] & ~(u32)(CPU_INTR_WINDOW | CPU_NMI_WINDOW), cpu2 = vmcs01->lazy[LAZY_CPU2];

	nested_vmx_apic_controls(v, &cpu, &cpu2);
	vmx_set(vmx, LAZY_PIN, vmcs01->lazy[LAZY_PIN] | (timer ? PIN_PREEMPTION_TIMER : 0));
	vmx_set(vmx, LAZY_CPU, primary_controls(vmx, cpu, v));
	vmx_set(vmx, LAZY_CPU2, secondary_controls(vmx, cpu2, v));
	vmx_set(vmx, LAZY_EXIT, vmcs01->lazy[LAZY_EXIT]);
	vmx_set(vmx, LAZY_EXCEPTIONS, vmcs01->lazy[LAZY_EXCEPTIONS] | v->exception_bitmap);
	/* Page faults exit for L1 alone. */
	vmx_set(vmx, LAZY_PF_MASK, v->pf_error_mask);
	vmx_set(vmx, LAZY_PF_MATCH, v->pf_error_match);
	vmx_set(vmx, LAZY_XSS_BITMAP, nested_vmx_uses(v, CPU2_XSAVES) ? v->xss_exit_bitmap : 0);
	vmx_set(vmx, LAZY_EPTP, eptp02(&vmx->vcpu));
	set_masks(vmx, v);
}

/*
 * nested_vmx_update_tsc - L2's TSC: L1's, scaled and moved as L1 says
 */
void nested_vmx_update_tsc(struct vmx_vcpu *vmx)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;
	u64 ratio = vmx->vmcs01.lazy[LAZY_TSC_MULTIPLIER], offset = vmx->vmcs01.lazy[LAZY_TSC_OFFSET];

	if (v->cpu_controls & CPU_TSC_OFFSETTING) {
		if (nested_vmx_uses(v, CPU2_TSC_SCALING)) {
			/* The offset is signed, the multiplier is not. */
			offset = (s64)offset < 0 ? -mul_u64_u64_shr(-offset, v->tsc_multiplier, 48) :
						   mul_u64_u64_shr(offset, v->tsc_multiplier, 48);
			ratio = max(mul_u64_u64_shr(ratio, v->tsc_multiplier, 48), 1ull);
		}
		offset += v->tsc_offset;
	}
	vmx_set(vmx, LAZY_TSC_OFFSET, offset);
	vmx_set(vmx, LAZY_TSC_MULTIPLIER, ratio);
}

/* L1's MSR bitmap matters where L0 would not intercept; elsewhere it is asked when an exit has come. */
static const struct {
	u16 word;		/* of 64 bits in a bitmap of reads */
	u64 mask;
} l0_open[] = {
	{ MSR_IA32_TSC / 64, BIT_ULL(MSR_IA32_TSC % 64) },
	{ MSR_IA32_SPEC_CTRL / 64, BIT_ULL(MSR_IA32_SPEC_CTRL % 64) | BIT_ULL(MSR_IA32_PRED_CMD % 64) },
	{ MSR_IA32_FLUSH_CMD / 64, BIT_ULL(MSR_IA32_FLUSH_CMD % 64) },
	{ MSR_IA32_SYSENTER_CS / 64, GENMASK_ULL(MSR_IA32_SYSENTER_EIP % 64, MSR_IA32_SYSENTER_CS % 64) },
	/* High MSRs: 1 KiB further on. */
	{ 128 + (MSR_FS_BASE - 0xc0000000) / 64,
	  GENMASK_ULL((MSR_KERNEL_GS_BASE - 0xc0000000) % 64, (MSR_FS_BASE - 0xc0000000) % 64) },
};

#define BITMAP_WORDS	512
#define WRITES		256	/* the words of writes are that much further on */

/* 0 or -EAGAIN. Memory that is not there reads as all ones: everything exits. */
static int read_bitmap_word(struct vcpu *vcpu, u64 gpa, u64 *word)
{
	int err = vcpu_read_guest(vcpu, gpa, word, sizeof(*word));

	if (err == -EAGAIN)
		return err;
	if (err)
		*word = ~0ull;
	return 0;
}

/* L0 opens none of these by itself; those that are opened here are no MSRs of an APIC's, but L2's virtual one's. */
static int merge_apic_msrs(struct vmx_vcpu *vmx)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;
	u64 *bitmap02 = vmx->vmcs02.msr_bitmap, word, opened;
	unsigned int write, at;

	for (write = 0; write < 2; write++) {
		at = APIC_BASE_MSR / 64 + write * WRITES;
		opened = nested_vmx_apic_msrs(v, write);
		word = ~0ull;
		if (opened && v->cpu_controls & CPU_MSR_BITMAPS &&
		    read_bitmap_word(&vmx->vcpu, v->msr_bitmap + at * sizeof(u64), &word))
			return -EAGAIN;
		bitmap02[at] = word | ~opened;
	}
	return 0;
}

/*
 * nested_vmx_merge_msr_bitmaps - vmcs02's bitmap: an access exits if L0 or L1 says so
 *
 * Not again where L1 would tell of a change to its own, and has not. 0 or -EAGAIN.
 */
int nested_vmx_merge_msr_bitmaps(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;
	const u64 *bitmap01 = vmx->vmcs01.msr_bitmap;
	u64 *bitmap02 = vmx->vmcs02.msr_bitmap, word = ~0ull;
	unsigned int i, write, at;

	if (nested->evmcs != NO_VMCS && nested->bitmap_merged)
		return 0;
	for (i = 0; i < ARRAY_SIZE(l0_open); i++) {
		for (write = 0; write < 2; write++) {
			at = l0_open[i].word + write * WRITES;
			/* Nothing open there: L1's is not needed. */
			if (!(~bitmap01[at] & l0_open[i].mask)) {
				bitmap02[at] = ~0ull;
				continue;
			}
			if (v->cpu_controls & CPU_MSR_BITMAPS &&
			    read_bitmap_word(&vmx->vcpu, v->msr_bitmap + at * sizeof(u64), &word))
				return -EAGAIN;
			bitmap02[at] = bitmap01[at] | word | ~l0_open[i].mask;
		}
	}
	nested->bitmap_merged = !merge_apic_msrs(vmx);
	return nested->bitmap_merged ? 0 : -EAGAIN;
}

/* nested_vmx_use_vmcs02 - L2's translations are VPID02's; those of another VPID12 are not for it */
void nested_vmx_use_vmcs02(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;
	u16 vpid12 = nested_vmx_uses(v, CPU2_VPID) ? v->vpid : 0;

	vmx_use_vmcs(vmx, &vmx->vmcs02);
	if (!vpid12 || vpid12 != nested->vpid12)
		vmx->vmcs02.flush |= FLUSH_VPID;
	nested->vpid12 = vpid12;
}

#define TIMER_MAX	((u64)U32_MAX << NESTED_TIMER_RATE)

/*
 * nested_vmx_start_timer - L2's VMX-preemption timer begins
 *
 * It counts on while L0 handles an exit of L2's, as if L2 ran: the CPU's own timer is set to what is left at every entry.
 */
void nested_vmx_start_timer(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;

	nested->timer_runs = v->pin_controls & PIN_PREEMPTION_TIMER;
	if (nested->timer_runs)
		nested->timer_deadline = guest_tsc(&vmx->vcpu) + ((u64)v->preemption_timer << NESTED_TIMER_RATE);
}

/* What is left of L2's timer, in ticks of L1's TSC. No more than a timer can hold: the TSC may have been set back. */
u64 nested_vmx_ticks_left(struct vmx_vcpu *vmx)
{
	s64 left = vmx->nested.timer_deadline - guest_tsc(&vmx->vcpu);

	return clamp_t(s64, left, 0, TIMER_MAX);
}

/* The same in ticks of L1's timer. */
u32 nested_vmx_timer_left(struct vmx_vcpu *vmx)
{
	return nested_vmx_ticks_left(vmx) >> NESTED_TIMER_RATE;
}

static void write_timer(struct vmx_vcpu *vmx)
{
	u64 left = nested_vmx_ticks_left(vmx), ratio = vmx->vmcs01.lazy[LAZY_TSC_MULTIPLIER];

	/* 37 bits of ticks: the division does not overflow. */
	if (ratio != cpu_caps.tsc_ratio_default)
		left = mul_u64_u64_div_u64(left, cpu_caps.tsc_ratio_default, max(ratio, BIT_ULL(22)));
	vmwrite32(VMCS_PREEMPTION_TIMER, min_t(u64, left >> vmx_caps.timer_rate, U32_MAX));
}

/*
 * nested_vmx_prepare_entry - right before an entry into L2, in the burst: what is the moment's
 */
void nested_vmx_prepare_entry(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;
	struct shadow_root *root = vmx->vcpu.nested.root;

	if (nested->run_pending) {
		vmx->inject = v->entry_intr_info & INTR_VALID ? v->entry_intr_info : 0;
		vmx->inject_error = v->entry_error_code;
		vmx->inject_length = v->entry_insn_length;
	}
	if (nested->pending_debug_stale) {
		vmwriten(VMCS_GUEST_PENDING_DEBUG, nested->pending_debug);
		nested->pending_debug_stale = false;
	}
	nested_vmx_apic_enter(vmx);
	if (nested->timer_runs)
		write_timer(vmx);
	if (root->table && shadow_needs_flush(&vmx->vcpu, root))
		vmx->vmcs02.flush |= FLUSH_EPT | FLUSH_VPID;
	/* What waits for L1 takes effect as soon as L2 has been entered: an exit at once. */
	if (unlikely(nested->exit_at_once)) {
		nested->exit_at_once = false;
		vcpu_request(&vmx->vcpu, REQ_EVENT);
		smp_send_reschedule(smp_processor_id());
	}
}

/* CR0 and CR4 as L2 reads them. */
u64 nested_vmx_cr0_shadow(const struct vmx_vcpu *vmx, u64 cr0)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;

	if (likely(!vmx->vcpu.nested.guest_mode))
		return cr0;
	return (cr0 & ~v->cr0_mask) | (v->cr0_shadow & v->cr0_mask);
}

u64 nested_vmx_cr4_shadow(const struct vmx_vcpu *vmx, u64 cr4)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;

	if (likely(!vmx->vcpu.nested.guest_mode))
		return cr4;
	return (cr4 & ~v->cr4_mask) | (v->cr4_shadow & v->cr4_mask);
}

/*
 * nested_vmx_cr_write - what L2 writes to CR0 or CR4 where L0 alone wants to see it: L1's bits stay
 */
u64 nested_vmx_cr_write(struct vmx_vcpu *vmx, int cr, u64 value)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;
	u64 mask = cr == 0 ? v->cr0_mask : cr == 4 ? v->cr4_mask : 0;

	vcpu_fetch(&vmx->vcpu, REGS_CR0 | REGS_CR4);
	return (value & ~mask) | ((cr == 0 ? vmx->vcpu.regs.cr0 : vmx->vcpu.regs.cr4) & mask);
}
