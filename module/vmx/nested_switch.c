// SPDX-License-Identifier: GPL-2.0
/*
 * From L2 to L1: L2's registers into vmcs12, and L1's host state out of it.
 *
 * SDM, VM Exits: Saving Guest State, Saving MSRs, Loading Host State, Loading MSRs. Where memory is involved and the burst
 * is not over, the exit waits for it in nested.exit, with REQ_NESTED set.
 */
#include <asm/cpufeature.h>

#include "cpu/control.h"
#include "trace/trace.h"
#include "vmx/vmx.h"

/* SDM, VMX Aborts. */
enum vmx_abort { ABORT_SAVE_MSRS = 1, ABORT_HOST_PDPTES = 2, ABORT_LOAD_MSRS = 4 };

/* A field of vmcs12 that the CPU writes: what VM entry checks is read again, but was valid. */
#define SAVE(nested, field, value)						\
	do {									\
		typeof((nested)->vmcs12->field) saved = (value);		\
										\
		if ((nested)->vmcs12->field != saved) {				\
			(nested)->vmcs12->field = saved;			\
			__set_bit(V12_##field, (nested)->stale);		\
		}								\
	} while (0)

static void save_segments(struct nested_vmx *nested, const struct regs *r)
{
#define SAVE_SEG(seg_nr, name)							\
	do {									\
		const struct segment *s = &r->seg[seg_nr];			\
										\
		SAVE(nested, guest_##name##_selector, s->selector);		\
		SAVE(nested, guest_##name##_base, s->base);			\
		SAVE(nested, guest_##name##_limit, s->limit);			\
		SAVE(nested, guest_##name##_ar, s->attr);			\
	} while (0)
	SAVE_SEG(SEG_ES, es);
	SAVE_SEG(SEG_CS, cs);
	SAVE_SEG(SEG_SS, ss);
	SAVE_SEG(SEG_DS, ds);
	SAVE_SEG(SEG_FS, fs);
	SAVE_SEG(SEG_GS, gs);
	SAVE_SEG(SEG_LDTR, ldtr);
	SAVE_SEG(SEG_TR, tr);
#undef SAVE_SEG
	SAVE(nested, guest_gdtr_base, r->gdt.base);
	SAVE(nested, guest_gdtr_limit, r->gdt.limit);
	SAVE(nested, guest_idtr_base, r->idt.base);
	SAVE(nested, guest_idtr_limit, r->idt.limit);
}

static void save_by_controls(struct vmx_vcpu *vmx, const struct regs *r)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;

	if (v->exit_controls & EXIT_SAVE_DEBUG) {
		SAVE(nested, guest_debugctl, r->debugctl);
		SAVE(nested, guest_dr7, r->dr7);
	}
	if (v->exit_controls & EXIT_SAVE_PAT)
		SAVE(nested, guest_pat, r->pat);
	if (v->exit_controls & EXIT_SAVE_EFER)
		SAVE(nested, guest_efer, r->efer);
	if (v->exit_controls & EXIT_SAVE_PREEMPTION_TIMER && v->pin_controls & PIN_PREEMPTION_TIMER)
		SAVE(nested, preemption_timer, nested_vmx_timer_left(vmx));
	/* An unrestricted guest may have entered or left IA-32e mode (IA32_VMX_MISC bit 5). */
	if (nested->caps.misc & VMX_MISC_SAVE_LMA)
		SAVE(nested, entry_controls,
		     (v->entry_controls & ~ENTRY_IA32E) | (r->efer & EFER_LMA ? ENTRY_IA32E : 0));
	if (nested_vmx_uses(v, CPU2_EPT) && r->cr0 & X86_CR0_PG && r->cr4 & X86_CR4_PAE && !(r->efer & EFER_LMA)) {
		SAVE(nested, guest_pdpte0, r->pdptr[0]);
		SAVE(nested, guest_pdpte1, r->pdptr[1]);
		SAVE(nested, guest_pdpte2, r->pdptr[2]);
		SAVE(nested, guest_pdpte3, r->pdptr[3]);
	}
}

static u32 interruptibility(const struct vmx_vcpu *vmx, const struct nested_exit *e)
{
	bool nmi = vmx->nmi_blocked;

	/* Delivering an NMI had blocked them (SDM, Saving Non-Register State). */
	if (e->vectoring & INTR_VALID && FIELD_GET(INTR_TYPE, e->vectoring) == INTR_NMI)
		nmi = vmx->nested.vmcs12->pin_controls & PIN_VIRTUAL_NMIS;
	/* What was blocked again for IRET's next attempt is L1's to block. */
	if (vmx_nmi_unblocked(e->reason, e->qualification, e->intr))
		nmi = false;
	return vmx_interruptibility(vmx, nmi);
}

static void save_guest(struct vmx_vcpu *vmx, const struct nested_exit *e)
{
	struct nested_vmx *nested = &vmx->nested;
	struct vcpu *vcpu = &vmx->vcpu;
	const struct regs *r = &vcpu->regs;

	vcpu_fetch(vcpu, REGS_ALL);
	SAVE(nested, guest_cr0, r->cr0);
	SAVE(nested, guest_cr3, r->cr3);
	SAVE(nested, guest_cr4, r->cr4);
	SAVE(nested, guest_rip, r->rip);
	SAVE(nested, guest_rsp, r->gpr[GPR_RSP]);
	SAVE(nested, guest_rflags, r->rflags);
	SAVE(nested, guest_sysenter_cs, r->sysenter_cs);
	SAVE(nested, guest_sysenter_esp, r->sysenter_esp);
	SAVE(nested, guest_sysenter_eip, r->sysenter_eip);
	save_segments(nested, r);
	save_by_controls(vmx, r);
	SAVE(nested, guest_interruptibility, interruptibility(vmx, e));
	SAVE(nested, guest_activity, nested_vmx_activity(vcpu));
	SAVE(nested, guest_pending_debug, nested->pending_debug);
}

/* SDM, Recording VM-Exit Information. What an exit does not define is zero, so that L1 learns nothing of others'. */
static void save_information(struct nested_vmx *nested, const struct nested_exit *e)
{
	struct vmcs12 *v = nested->vmcs12;

	v->exit_reason = e->reason;
	v->exit_qualification = e->qualification;
	v->exit_intr_info = e->intr;
	v->exit_error_code = e->intr & INTR_HAS_ERROR ? e->intr_error : 0;
	v->vectoring_info = e->vectoring;
	v->vectoring_error_code = e->vectoring & INTR_HAS_ERROR ? e->vectoring_error : 0;
	v->exit_insn_length = e->length;
	v->exit_insn_info = e->insn_info;
	v->guest_linear_address = e->gla;
	v->guest_physical_address = e->gpa;
	SAVE(nested, entry_intr_info, v->entry_intr_info & ~INTR_VALID);
}

/* 0, or the abort. Outside of a burst. */
static enum vmx_abort store_msrs(struct vcpu *vcpu)
{
	const struct vmcs12 *v = to_vmx(vcpu)->nested.vmcs12;
	u64 gpa = v->exit_msr_store;
	struct nested_msr e;
	u32 i;

	for (i = 0; i < v->exit_msr_store_count; i++, gpa += sizeof(e)) {
		if (i >= NESTED_MAX_MSRS || vcpu_read_guest(vcpu, gpa, &e, offsetof(struct nested_msr, value)) ||
		    e.reserved || e.index >> 8 == 8 || !msr_filter_allows(vcpu, e.index, false) ||
		    msr_get(vcpu, e.index, &e.value, false) ||
		    vcpu_write_guest(vcpu, gpa + offsetof(struct nested_msr, value), &e.value, sizeof(e.value)))
			return ABORT_SAVE_MSRS;
	}
	return 0;
}

static enum vmx_abort load_msrs(struct vcpu *vcpu)
{
	const struct vmcs12 *v = to_vmx(vcpu)->nested.vmcs12;
	u64 gpa = v->exit_msr_load;
	struct nested_msr e;
	u32 i;

	for (i = 0; i < v->exit_msr_load_count; i++, gpa += sizeof(e)) {
		if (i >= NESTED_MAX_MSRS || vcpu_read_guest(vcpu, gpa, &e, sizeof(e)) || e.reserved ||
		    e.index >> 8 == 8 || e.index == MSR_FS_BASE || e.index == MSR_GS_BASE ||
		    !msr_filter_allows(vcpu, e.index, true) || msr_set(vcpu, e.index, e.value, false))
			return ABORT_LOAD_MSRS;
	}
	return 0;
}

/* SDM, Loading Host Segment and Descriptor-Table Registers. */
static void load_host_segments(struct regs *r, const struct vmcs12 *v)
{
	const u32 code = 0xb | SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_G, data = 0x3 | SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_G |
		  SEG_ATTR_DB;
	const struct { int seg; u16 selector; u64 base; } segs[] = {
		{ SEG_ES, v->host_es_selector },
		{ SEG_SS, v->host_ss_selector },
		{ SEG_DS, v->host_ds_selector },
		{ SEG_FS, v->host_fs_selector, v->host_fs_base },
		{ SEG_GS, v->host_gs_selector, v->host_gs_base },
	};
	int i;

	r->seg[SEG_CS] = (struct segment) {
		.selector = v->host_cs_selector, .limit = U32_MAX,
		.attr = code | (v->exit_controls & EXIT_HOST_64BIT ? SEG_ATTR_L : SEG_ATTR_DB),
	};
	for (i = 0; i < ARRAY_SIZE(segs); i++)
		r->seg[segs[i].seg] = (struct segment) {
			.selector = segs[i].selector, .base = segs[i].base, .limit = U32_MAX,
			.attr = data | (segs[i].selector ? 0 : SEG_ATTR_UNUSABLE),
		};
	r->seg[SEG_TR] = (struct segment) {
		.selector = v->host_tr_selector, .base = v->host_tr_base, .limit = 0x67,
		.attr = 0xb | SEG_ATTR_P,
	};
	r->seg[SEG_LDTR] = (struct segment) { .attr = SEG_ATTR_UNUSABLE };
	r->cpl = 0;
	r->gdt = (struct dtable){ v->host_gdtr_base, U16_MAX };
	r->idt = (struct dtable){ v->host_idtr_base, U16_MAX };
}

static u64 host_efer(const struct vmcs12 *v, u64 efer)
{
	if (v->exit_controls & EXIT_LOAD_EFER)
		return v->host_efer;
	if (v->exit_controls & EXIT_HOST_64BIT)
		return efer | EFER_LMA | EFER_LME;
	return efer & ~(u64)(EFER_LMA | EFER_LME);
}

#define CR0_KEPT	((u64)(X86_CR0_CD | X86_CR0_NW))

static void load_host(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	const struct vmcs12 *v = vmx->nested.vmcs12;
	struct regs *r = &vcpu->regs;

	r->efer = host_efer(v, r->efer);
	r->cr0 = (v->host_cr0 & ~CR0_KEPT) | (r->cr0 & CR0_KEPT) | X86_CR0_ET;
	r->cr3 = v->host_cr3;
	r->cr4 = v->host_cr4 | (v->exit_controls & EXIT_HOST_64BIT ? X86_CR4_PAE : 0);
	r->rip = v->host_rip;
	r->gpr[GPR_RSP] = v->host_rsp;
	r->rflags = X86_EFLAGS_FIXED;
	r->sysenter_cs = v->host_sysenter_cs;
	r->sysenter_esp = v->host_sysenter_esp;
	r->sysenter_eip = v->host_sysenter_eip;
	load_host_segments(r, v);
	if (v->exit_controls & EXIT_LOAD_PAT)
		r->pat = v->host_pat;
	r->debugctl = 0;
	cpu_set_dr(vcpu, 7, 0);
	r->int_shadow = 0;
	vcpu_dirty(vcpu, REGS_ALL);
	cpu_cr4_changed(vcpu);
}

/* L1 cannot go on: SDM, VMX Aborts. Its VMCS tells why, and the CPU shuts down. */
static void abort_l1(struct vmx_vcpu *vmx, enum vmx_abort why)
{
	u32 indicator = why;

	vmx->nested.vmcs12->abort = why;
	vcpu_write_guest(&vmx->vcpu, nested_vmx_vmcs_address(&vmx->nested) + offsetof(struct vmcs12, abort), &indicator,
			 sizeof(indicator));
	vcpu_request(&vmx->vcpu, REQ_TRIPLE_FAULT);
}

/* Nothing of L2's is left but in vmcs12; registers are still L2's. */
static void leave_l2(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	struct vcpu *vcpu = &vmx->vcpu;
	struct events *ev = &vcpu->events;

	vcpu->nested.guest_mode = false;
	vcpu->nested.walks = false;
	vcpu->nested.root = NULL;
	vcpu->nested.log.index = NULL;
	vcpu->nested.own_tpr = false;
	vcpu->nested.steps = vcpu->nested.stepped = vcpu->nested.shutdown = false;
	vcpu->nested.exception.pending = false;
	nested->apic_loaded = nested->posted_waits = false;
	nested->run_pending = nested->rsm_pending = false;
	nested->exit_waits = nested->violation_waits = nested->merge_waits = false;
	nested->exit_at_once = false;
	nested->timer_runs = false;
	hrtimer_cancel(&nested->idle_timer);
	nested->windows = 0;
	ev->exception.pending = ev->exception.injected = false;
	ev->interrupt.injected = false;
	ev->nmi.injected = false;
	vmx->inject = 0;
	vmx->soft_length = 0;
	vmx_use_vmcs(vmx, &vmx->vmcs01);
	vmx->nmi_blocked = nested->nmi_blocked01;
	vmx_clear_halt(vcpu);
	if (vcpu->mp_state == KVM_MP_STATE_HALTED || vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu_request(vcpu, REQ_EVENT);
}

static bool host_is_pae(const struct vmcs12 *v)
{
	return !(v->exit_controls & EXIT_HOST_64BIT) && v->host_cr4 & X86_CR4_PAE;
}

/* L1 runs on, with what its VMCS says. Outside of a burst, unless nothing of it is in memory. */
static void enter_l1(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	const struct vmcs12 *v = vmx->nested.vmcs12;
	enum vmx_abort why = 0;

	leave_l2(vmx);
	vmx->nested.shadow_stale = vmx->nested.shadow_linked;
	load_host(vmx);
	/* Without VPIDs every transition flushes, and L1 may count on it. */
	if (!nested_vmx_uses(v, CPU2_VPID))
		vmx->vmcs01.flush |= FLUSH_VPID;
	/* L2's branch predictions must not steer L1, which its own IBRS was to keep apart. */
	if (guest_has(vcpu, X86_FEATURE_SPEC_CTRL) && boot_cpu_has(X86_FEATURE_IBPB))
		nst_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	if (host_is_pae(v) && mmu_load_pdptrs(vcpu, v->host_cr3))
		why = ABORT_HOST_PDPTES;
	if (!why)
		why = load_msrs(vcpu);
	if (why)
		abort_l1(vmx, why);
}

/* With everything at hand. */
static void finish_exit(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct nested_exit *e = &nested->exit;
	enum vmx_abort why;

	if (e->reason & VMX_EXIT_REASONS_FAILED_VMENTRY) {
		nested->vmcs12->exit_reason = e->reason;
		nested->vmcs12->exit_qualification = e->qualification;
		enter_l1(vmx);
		nested_vmx_evmcs_store(&vmx->vcpu);
		return;
	}
	if (!nested->pending_debug_stale)
		nested->pending_debug = vmx_pending_debug(vmx);
	nested->pending_debug_stale = false;
	save_guest(vmx, e);
	save_information(nested, e);
	nested_vmx_evmcs_store(&vmx->vcpu);
	why = store_msrs(&vmx->vcpu);
	if (why) {
		leave_l2(vmx);
		abort_l1(vmx, why);
		return;
	}
	if (e->intr & INTR_VALID && FIELD_GET(INTR_TYPE, e->intr) == INTR_NMI)
		nested->nmi_blocked01 = true;
	enter_l1(vmx);
}

static bool needs_memory(const struct vmcs12 *v)
{
	return v->exit_msr_store_count || v->exit_msr_load_count || host_is_pae(v);
}

/*
 * nested_vmx_exit - leave L2 for L1, as nested.exit says
 */
void nested_vmx_exit(struct vmx_vcpu *vmx)
{
	const struct nested_exit *e = &vmx->nested.exit;

	if (trace_nested_exit_enabled())
		trace_nested_exit(vmx->vcpu.id, e->reason, vcpu_rip(&vmx->vcpu), e->qualification, e->gpa, e->intr,
				  e->vectoring);
	if ((vmx->vcpu.in_burst && needs_memory(vmx->nested.vmcs12)) || nested_vmx_apic_store(vmx)) {
		vmx->nested.exit_waits = true;
		vcpu_request(&vmx->vcpu, REQ_NESTED);
	} else {
		finish_exit(vmx);
	}
}

/* nested_vmx_entry_failure - an entry into L2 that failed behind its checks of controls: L1 gets it as an exit */
void nested_vmx_entry_failure(struct vmx_vcpu *vmx, u32 reason, u64 qualification)
{
	vmx->nested.exit = (struct nested_exit) {
		.reason = reason | VMX_EXIT_REASONS_FAILED_VMENTRY,
		.qualification = qualification,
	};
	if (!vmx->vcpu.nested.guest_mode)
		vmx->nested.nmi_blocked01 = vmx->nmi_blocked;
	nested_vmx_exit(vmx);
}

/* REQ_NESTED */
int nested_vmx_sync(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int err;

	if (nested_vmx_evmcs_sync(vcpu)) {
		vcpu_request(vcpu, REQ_NESTED);
		return vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	}
	if (vmx->nested.violation_waits) {
		nested_vmx_violation(vmx);
		return RUN_GUEST;
	}
	if (vmx->nested.exit_waits) {
		if (nested_vmx_apic_store(vmx))
			vcpu_request(vcpu, REQ_NESTED);
		else
			finish_exit(vmx);
		return RUN_GUEST;
	}
	if (!vcpu->nested.guest_mode)
		return RUN_GUEST;
	if (vmx->nested.merge_waits) {
		err = nested_vmx_read_memory(vcpu);
		vmx->nested.merge_waits = false;
		if (err)
			return err;
	}
	if (nested_vmx_timer_ends_wait(vmx))
		return RUN_GUEST;
	nested_vmx_apic_merge_posted(vcpu);
	if (!nested_vmx_apic_bring_in(vcpu))
		return RUN_GUEST;
	vcpu_request(vcpu, REQ_NESTED);
	return vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
}

/* nested_vmx_save_guest - vmcs12 as it would be if L2 exited now; for KVM_GET_NESTED_STATE */
void nested_vmx_save_guest(struct vmx_vcpu *vmx)
{
	const struct nested_exit none = {};

	if (!vmx->nested.pending_debug_stale)
		vmx->nested.pending_debug = vmx_pending_debug(vmx);
	save_guest(vmx, &none);
}

/*
 * nested_vmx_leave - back to L1 as if it had never entered L2
 */
void nested_vmx_leave(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vcpu->nested.guest_mode)
		return;
	vcpu_fetch(vcpu, REGS_ALL);
	leave_l2(vmx);
	vcpu_dirty(vcpu, REGS_ALL);
}
