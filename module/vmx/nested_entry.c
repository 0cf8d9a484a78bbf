// SPDX-License-Identifier: GPL-2.0
/*
 * VMLAUNCH and VMRESUME of L1's: the checks, and L1's VMCS becoming L2's registers.
 *
 * SDM, VM Entries. The checks are check/'s table with what L1 was offered, so that L1 learns the same verdict as on a
 * CPU; rules whose values did not change since they held are not asked again. What can fail because guest memory is not
 * there right now is done first: from nested_enter_l2() on there is no way back but an exit.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/apicdef.h>

#include "cpu/control.h"
#include "trace/trace.h"
#include "vmx/vmx.h"

static struct check_index *rules_by_field;

int nested_vmx_check_setup(void)
{
	rules_by_field = kvmalloc(sizeof(*rules_by_field), GFP_KERNEL);
	if (!rules_by_field)
		return -ENOMEM;
	check_index_make(rules_by_field, &check_vmx);
	return 0;
}

void nested_vmx_check_cleanup(void)
{
	kvfree(rules_by_field);
	rules_by_field = NULL;
}

/**
 * struct moment - what an entry is checked for that its VMCS does not say
 * @resume: the instruction is VMRESUME
 * @lma: L1 is in IA-32e mode
 * @mov_ss: L1 is blocked by MOV SS
 * @entry: the instruction is executed now; else L2 has run since, and its event has been delivered
 * @restored: user space says so, and may fill L1's memory later
 */
struct moment {
	bool resume, lma, mov_ss, entry, restored;
};

/* Values that are no fields of the VMCS; those that stay the same break no rule that they did not break before. */
static void set_value(struct nested_vmx *nested, unsigned int field, u64 value, u64 *changed)
{
	if (check_known(nested->check, field) && nested->check->values[field] == value)
		return;
	check_set(nested->check, field, value);
	changed[field / 64] |= BIT_ULL(field % 64);
}

/*
 * What lies in L1's memory and is checked: the VMCS that the link pointer points to. A restored L1 may have its memory
 * later. -EAGAIN or 0.
 */
static int check_memory(struct vcpu *vcpu, const struct moment *moment, u64 *changed)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	const struct vmcs12 *v = nested->vmcs12;
	u64 link = v->link_pointer;
	u32 revision = ~0u, tpr = ~0u;

	if (!moment->entry)
		return 0;
	if (v->cpu_controls & CPU_TPR_SHADOW && !moment->restored) {
		if (vcpu_read_guest(vcpu, v->virtual_apic + APIC_TASKPRI, &tpr, sizeof(tpr)) == -EAGAIN)
			return -EAGAIN;
		set_value(nested, VF_virtual_tpr, tpr, changed);
	}
	if (likely(link == NO_VMCS))
		return 0;
	if (!(link & ~PAGE_MASK) && vcpu_read_guest(vcpu, link, &revision, sizeof(revision)) == -EAGAIN)
		return -EAGAIN;
	set_value(nested, VF_link_revision, revision, changed);
	return 0;
}

/* Fields of vmcs12 that changed into the values to be checked; those of L1's own making are asked about. */
static void collect_changes(struct nested_vmx *nested, u64 *changed)
{
	unsigned int i, field;

	for_each_set_bit(i, nested->stale, V12_NR) {
		field = vmcs12_checked[i];
		if (field)
			check_set(nested->check, field, vmcs12_get(nested->vmcs12, i, 0));
		if (field && test_bit(i, nested->dirty))
			changed[field / 64] |= BIT_ULL(field % 64);
	}
}

static void collect_moment(struct nested_vmx *nested, const struct moment *moment, u64 *changed)
{
	set_value(nested, VF_mov_ss_blocking, moment->mov_ss, changed);
	set_value(nested, VF_launched, nested->vmcs12->launched, changed);
	set_value(nested, VF_vmresume, moment->resume, changed);
	set_value(nested, VF_vmcs_pointer, nested_vmx_vmcs_address(nested), changed);
	if (!moment->entry)
		set_value(nested, VF_entry_intr_info, nested->vmcs12->entry_intr_info & ~INTR_VALID, changed);
	if (nested->check->caps[VCAP_host_lma] == moment->lma)
		return;
	nested->check->caps[VCAP_host_lma] = moment->lma;
	changed[VF_exit_controls / 64] |= BIT_ULL(VF_exit_controls % 64);
	changed[VF_entry_controls / 64] |= BIT_ULL(VF_entry_controls % 64);
}

/* -EAGAIN, or 0 with the rule that is broken, or NULL. */
static int check_entry(struct vcpu *vcpu, const struct moment *moment, const struct check_rule **rule)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u64 changed[CHECK_WORDS] = {};

	if (nested->caps_stale) {
		check_init(nested->check, &check_vmx);
		nested_vmx_caps_check(vcpu, nested->check->caps);
		nested->check->caps[VCAP_host_lma] = moment->lma;
		bitmap_fill(nested->stale, V12_NR);
		bitmap_fill(nested->dirty, V12_NR);
	}
	if (check_memory(vcpu, moment, changed))
		return -EAGAIN;
	collect_changes(nested, changed);
	collect_moment(nested, moment, changed);
	*rule = check_verdict_changed(nested->check, rules_by_field, changed);
	/* What has failed is asked about again. */
	nested->caps_stale = *rule;
	if (!*rule) {
		bitmap_zero(nested->stale, V12_NR);
		bitmap_zero(nested->dirty, V12_NR);
	} else {
		trace_nested_refused(vcpu->id, nested_vmx_vmcs_address(nested), (*rule)->id,
				     nested->check->values[(*rule)->fields[0]]);
	}
	return 0;
}

/* Everything that needs memory. 0, RUN_SLOW or -errno. */
static int prepare(struct vcpu *vcpu, struct shadow_root **root)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	struct shadow_key key;

	if (vcpu->in_burst && nested->vmcs12->entry_msr_load_count)
		return RUN_SLOW;
	nested_vmx_ept_key(vcpu, nested->vmcs12->eptp, &key);
	*root = shadow_root(vcpu, &key);
	if (!*root)
		return vcpu->in_burst ? RUN_SLOW : -ENOMEM;
	nested->apic_loaded = false;
	if (nested_vmx_merge_msr_bitmaps(vmx) || nested_vmx_apic_load(vmx) || nested_vmx_evmcs_prepare(vcpu))
		return RUN_SLOW;
	if (vcpu->in_burst)
		return nested_vmx_apic_has_frame(vcpu) ? 0 : RUN_SLOW;
	/* As upstream, which knows memory only: on a CPU any address will do. */
	return nested_vmx_apic_bring_in(vcpu) ? vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL) : 0;
}

static void use_root(struct vcpu *vcpu, struct shadow_root *root)
{
	vcpu->nested.guest_mode = true;
	nested_vmx_use_tables(vcpu, root);
	vcpu->nested.steps = to_vmx(vcpu)->nested.vmcs12->cpu_controls & CPU_MONITOR_TRAP;
	nested_vmx_apic_update_tpr(to_vmx(vcpu));
	nested_vmx_use_vmcs02(to_vmx(vcpu));
}

/* CR0 bits that an entry leaves as they are (SDM, Loading Guest Control Registers, Debug Registers, and MSRs). */
#define CR0_KEPT	((u64)(X86_CR0_CD | X86_CR0_NW))

static u64 entry_efer(const struct vmcs12 *v, u64 efer)
{
	if (v->entry_controls & ENTRY_LOAD_EFER)
		return v->guest_efer;
	if (v->entry_controls & ENTRY_IA32E)
		return efer | EFER_LMA | EFER_LME;
	return efer & ~(u64)(EFER_LMA | EFER_LME);
}

static void load_segments(struct regs *r, const struct vmcs12 *v)
{
#define LOAD(nr, name)	(r->seg[nr] = (struct segment){ .selector = v->guest_##name##_selector,	\
							 .base = v->guest_##name##_base,		\
							 .limit = v->guest_##name##_limit,		\
							 .attr = v->guest_##name##_ar })
	LOAD(SEG_ES, es);
	LOAD(SEG_CS, cs);
	LOAD(SEG_SS, ss);
	LOAD(SEG_DS, ds);
	LOAD(SEG_FS, fs);
	LOAD(SEG_GS, gs);
	LOAD(SEG_LDTR, ldtr);
	LOAD(SEG_TR, tr);
#undef LOAD
	r->cpl = FIELD_GET(SEG_ATTR_DPL, v->guest_ss_ar);
	r->gdt = (struct dtable){ v->guest_gdtr_base, v->guest_gdtr_limit };
	r->idt = (struct dtable){ v->guest_idtr_base, v->guest_idtr_limit };
}

/* @entry: L1 enters L2; else L2 goes on, and what vmcs12 need not hold is in the vCPU. */
static void load_registers(struct vcpu *vcpu, bool entry)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct vmcs12 *v = vmx->nested.vmcs12;
	struct regs *r = &vcpu->regs;

	r->cr0 = (v->guest_cr0 & ~CR0_KEPT) | (r->cr0 & CR0_KEPT) | X86_CR0_ET;
	r->cr3 = v->guest_cr3;
	r->cr4 = v->guest_cr4;
	if (entry)
		r->efer = entry_efer(v, r->efer);
	r->rip = v->guest_rip;
	r->gpr[GPR_RSP] = v->guest_rsp;
	r->rflags = v->guest_rflags;
	load_segments(r, v);
	r->sysenter_cs = v->guest_sysenter_cs;
	r->sysenter_esp = v->guest_sysenter_esp;
	r->sysenter_eip = v->guest_sysenter_eip;
	r->pdptr[0] = v->guest_pdpte0;
	r->pdptr[1] = v->guest_pdpte1;
	r->pdptr[2] = v->guest_pdpte2;
	r->pdptr[3] = v->guest_pdpte3;
	if (entry && v->entry_controls & ENTRY_LOAD_PAT)
		r->pat = v->guest_pat;
	if (entry && v->entry_controls & ENTRY_LOAD_DEBUG) {
		r->debugctl = 0;
		cpu_set_dr(vcpu, 7, v->guest_dr7);
	}
	r->int_shadow = (v->guest_interruptibility & INTERRUPTIBILITY_STI ? SHADOW_STI : 0) |
			(v->guest_interruptibility & INTERRUPTIBILITY_MOV_SS ? SHADOW_MOV_SS : 0);
	vmx->nmi_blocked = v->guest_interruptibility & INTERRUPTIBILITY_NMI;
	vcpu_dirty(vcpu, REGS_ALL);
	cpu_cr4_changed(vcpu);
}

/* SDM, Loading MSRs. 0, or the number of the entry that cannot be loaded, from 1. Outside of bursts. */
static u32 load_msrs(struct vcpu *vcpu, u64 gpa, u32 count)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	struct nested_msr e;
	u32 i;

	for (i = 0; i < count; i++, gpa += sizeof(e)) {
		u64 changed[CHECK_WORDS] = {};

		if (i >= NESTED_MAX_MSRS || vcpu_read_guest(vcpu, gpa, &e, sizeof(e)))
			return i + 1;
		set_value(nested, VF_msr_index, e.index, changed);
		set_value(nested, VF_msr_reserved, e.reserved, changed);
		if (check_verdict_changed(nested->check, rules_by_field, changed) ||
		    !msr_filter_allows(vcpu, e.index, true) || msr_set(vcpu, e.index, e.value, false)) {
			nested->caps_stale = true;
			return i + 1;
		}
	}
	return 0;
}

static bool loads_pdptes(const struct vmcs12 *v)
{
	return !nested_vmx_uses(v, CPU2_EPT) && v->guest_cr0 & X86_CR0_PG && v->guest_cr4 & X86_CR4_PAE &&
	       !(v->entry_controls & ENTRY_IA32E);
}

/* From vmcs12 into the vCPU. 0, or the qualification of an entry failure with its reason. */
static u64 enter_l2(struct vcpu *vcpu, struct shadow_root *root, u32 *reason)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	struct vmcs12 *v = nested->vmcs12;
	u32 failed;

	/* What an entry keeps. L1's own values are gone with it, as in a CPU: an exit loads them from vmcs12. */
	vcpu_fetch(vcpu, REGS_CR0 | REGS_SYSCALL | REGS_DEBUGCTL | REGS_SHADOW);
	nested->nmi_blocked01 = vmx->nmi_blocked;
	use_root(vcpu, root);
	load_registers(vcpu, true);
	nested_vmx_update_tsc(vmx);
	nested_vmx_update_controls(vmx);
	if (loads_pdptes(v) && mmu_load_pdptrs(vcpu, v->guest_cr3)) {
		*reason = EXIT_REASON_INVALID_STATE;
		return ENTRY_FAIL_PDPTES;
	}
	failed = load_msrs(vcpu, v->entry_msr_load, v->entry_msr_load_count);
	if (failed)
		*reason = EXIT_REASON_MSR_LOAD_FAIL;
	return failed;
}

static int entry_failure(struct vcpu *vcpu, u32 reason, u64 qualification)
{
	nested_vmx_entry_failure(to_vmx(vcpu), reason, qualification);
	return RUN_GUEST;
}

/* No CPU has such a VMCS: the errors are upstream's. */
static int evmcs_refused(struct vcpu *vcpu, int err)
{
	if (err == -EAGAIN)
		return RUN_SLOW;
	if (err == -EINVAL)
		return nested_vmx_fail_invalid(vcpu);
	vcpu_raise(vcpu, EXC_UD);
	return RUN_GUEST;
}

static int handle_entry(struct vcpu *vcpu, bool resume)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	struct moment moment = { .resume = resume, .entry = true };
	const struct check_rule *rule;
	struct shadow_root *root;
	u64 qualification;
	u32 reason;
	int r;

	if (!nested_vmx_permitted(vcpu))
		return RUN_GUEST;
	r = nested_vmx_evmcs_enter(vcpu, resume);
	if (unlikely(r))
		return evmcs_refused(vcpu, r);
	if (nested_vmx_vmcs_address(nested) == NO_VMCS || nested->vmcs12->revision & VMCS12_SHADOW)
		return nested_vmx_fail_invalid(vcpu);
	nested_vmx_shadowing_read(vmx);
	/* From the instruction on, however long it takes here. */
	nested_vmx_start_timer(vmx);
	vcpu_fetch(vcpu, REGS_SHADOW);
	moment.lma = vcpu->regs.efer & EFER_LMA;
	moment.mov_ss = vcpu->regs.int_shadow & SHADOW_MOV_SS;
	if (check_entry(vcpu, &moment, &rule))
		return RUN_SLOW;
	if (rule && rule->effect == CHECK_VMFAIL)
		return nested_vmx_fail(vcpu, rule->code);
	if (rule || loads_pdptes(nested->vmcs12)) {
		/* An exit, and memory. */
		if (vcpu->in_burst)
			return RUN_SLOW;
	}
	if (rule)
		return entry_failure(vcpu, rule->code, rule->qualification);
	r = prepare(vcpu, &root);
	if (r)
		return r;
	qualification = enter_l2(vcpu, root, &reason);
	if (qualification)
		return entry_failure(vcpu, reason, qualification);
	nested->vmcs12->launched = 1;
	nested->run_pending = true;
	nested->pending_debug = nested->vmcs12->guest_pending_debug;
	nested->pending_debug_stale = true;
	vmx_clear_halt(vcpu);
	vcpu_request(vcpu, REQ_EVENT);
	return nested_vmx_load_activity(vmx);
}

/*
 * nested_vmx_resume_l2 - L2 runs, says KVM_SET_NESTED_STATE or RSM
 *
 * L1's memory may not be there yet: REQ_NESTED reads it. When L2's timer expires is known already. 0, -EINVAL: no CPU could have got there; -ENOMEM.
 */
int nested_vmx_resume_l2(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;
	const struct check_rule *rule;
	struct moment moment = { .restored = true };
	struct shadow_root *root;
	struct shadow_key key;

	/* The entry was made from a mode that was right, and is not made again. */
	moment.resume = v->launched;
	moment.lma = v->exit_controls & EXIT_HOST_64BIT;
	moment.entry = nested->run_pending;
	nested->caps_stale = true;
	if (check_entry(vcpu, &moment, &rule) || rule)
		return -EINVAL;
	nested_vmx_ept_key(vcpu, nested->vmcs12->eptp, &key);
	root = shadow_root(vcpu, &key);
	if (!root)
		return -ENOMEM;
	vcpu_fetch(vcpu, REGS_ALL);
	nested->nmi_blocked01 = false;
	nested->apic_loaded = false;
	use_root(vcpu, root);
	load_registers(vcpu, nested->run_pending);
	nested_vmx_update_tsc(vmx);
	nested_vmx_update_controls(vmx);
	nested->pending_debug = v->guest_pending_debug;
	nested->pending_debug_stale = true;
	nested->timer_runs = v->pin_controls & PIN_PREEMPTION_TIMER;
	nested_vmx_restore_activity(vmx);
	memset(vmx->vmcs02.msr_bitmap, 0xff, PAGE_SIZE);
	nested->bitmap_merged = false;
	nested->merge_waits = true;
	vcpu_request(vcpu, REQ_NESTED);
	return 0;
}

/* nested_vmx_read_memory - what L1's memory says about L2. 0 or -errno */
int nested_vmx_read_memory(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct vmcs12 *v = vmx->nested.vmcs12;

	if (loads_pdptes(v) && mmu_load_pdptrs(vcpu, vcpu->regs.cr3))
		return -EINVAL;
	if (nested_vmx_merge_msr_bitmaps(vmx) || nested_vmx_apic_load(vmx))
		return -EFAULT;
	nested_vmx_apic_update_tpr(vmx);
	return 0;
}

int nested_vmx_handle_vmlaunch(struct vcpu *vcpu)
{
	return handle_entry(vcpu, false);
}

int nested_vmx_handle_vmresume(struct vcpu *vcpu)
{
	return handle_entry(vcpu, true);
}
