// SPDX-License-Identifier: GPL-2.0
/*
 * VMRUN: from L1 to L2.
 */
#include "cpu/control.h"
#include "svm/nested.h"
#include "trace/trace.h"

/* A CPU without paging for L1's tables uses the VM's: L1 then shadows L2's tables itself. */
static void prepare_control(struct svm_vcpu *svm, const struct shadow_root *root)
{
	const struct vmcb_control *ctl12 = &svm->nested.vmcb12->control, *ctl01 = &svm->vmcb01->control;
	struct vmcb_control *ctl02 = &svm->nested.vmcb02->control;

	nested_svm_merge_all_intercepts(svm);
	ctl02->iopm_base_pa = ctl01->iopm_base_pa;
	ctl02->tsc_offset = ctl01->tsc_offset + ctl12->tsc_offset;
	ctl02->tlb_control = TLB_CTL_NOTHING;
	ctl02->int_ctl = (ctl12->int_ctl & INT_CTL_TPR) | nested_svm_injection(svm) | INT_CTL_MASKING;
	ctl02->int_vector = ctl12->int_vector & 0xff;
	ctl02->int_state = ctl12->int_state & INT_STATE_SHADOW;
	ctl02->exit_int_info = 0;
	ctl02->event_inj = 0;
	ctl02->nested_ctl = NESTED_CTL_NP;
	ctl02->nested_cr3 = __sme_set(shadow_root_pa(&svm->vcpu, root));
	/* PAUSE exits at once where L1 wants it to and is not offered the filter. */
	ctl02->pause_filter_count = ctl01->pause_filter_count;
	ctl02->pause_filter_thresh = ctl01->pause_filter_thresh;
	if (l1_intercepts(svm, ICPT_PAUSE)) {
		ctl02->pause_filter_count = ctl12->pause_filter_count;
		ctl02->pause_filter_thresh = ctl12->pause_filter_thresh;
	}
}

/* EFER.LMA is ignored: it follows from LME and CR0.PG. */
static u64 effective_efer(const struct vmcb_save *save12)
{
	u64 efer = save12->efer & ~EFER_LMA;

	return efer & EFER_LME && save12->cr0 & X86_CR0_PG ? efer | EFER_LMA : efer;
}

static void prepare_save(struct svm_vcpu *svm)
{
	const struct vmcb_save *save12 = &svm->nested.vmcb12->save, *save01 = &svm->vmcb01->save;
	struct vmcb_save *save02 = &svm->nested.vmcb02->save;

	save02->es = save12->es;
	save02->cs = save12->cs;
	save02->ss = save12->ss;
	save02->ds = save12->ds;
	save02->gdtr = save12->gdtr;
	save02->idtr = save12->idtr;
	save02->cpl = save12->cpl;
	save02->efer = effective_efer(save12) | EFER_SVME;
	save02->cr4 = save12->cr4;
	save02->cr3 = save12->cr3;
	save02->cr0 = (save12->cr0 & ~(u64)CR0_CACHE_BITS) | X86_CR0_ET;
	save02->dr6 = save12->dr6 | DR6_RESERVED;
	save02->rflags = save12->rflags | X86_EFLAGS_FIXED;
	save02->rip = save12->rip;
	save02->rsp = save12->rsp;
	save02->g_pat = svm->nested.own_pat ? save12->g_pat : save01->g_pat;
	/* Shared between L1 and L2, as long as L1 is not offered to have them switched. */
	save02->dbgctl = save01->dbgctl;
	save02->spec_ctrl = save01->spec_ctrl;
}

/*
 * An event that L1 injects is one whose delivery is under way: what an exit finds undelivered is told to L1, and anything
 * else makes it go on.
 */
void nested_svm_take_event(struct svm_vcpu *svm)
{
	struct vmcb *vmcb12 = svm->nested.vmcb12;
	u32 inj = vmcb12->control.event_inj;
	struct events *ev = &svm->vcpu.events;
	u8 vector = inj & EVENT_VECTOR;

	svm->nested.soft_from_l1 = svm->nested.nmi_from_l1 = false;
	if (!(inj & EVENT_VALID))
		return;
	vmcb12->control.event_inj = 0;
	svm->nested.soft_next_rip = guest_has(&svm->vcpu, X86_FEATURE_NRIPS) ?
				    vmcb12->control.next_rip : vmcb12->save.rip;
	switch (FIELD_GET(EVENT_TYPE, inj)) {
	case EVENT_TYPE_NMI:
		ev->nmi.injected = true;
		svm->nested.nmi_from_l1 = true;
		break;
	case EVENT_TYPE_EXCEPTION:
		ev->exception = (struct exception) {
			.injected = true, .vector = vector,
			.has_error = inj & EVENT_ERROR_VALID, .error = vmcb12->control.event_inj_err,
		};
		svm->nested.soft_from_l1 = exception_is_software(vector);
		break;
	case EVENT_TYPE_SOFT:
		svm->nested.soft_from_l1 = true;
		fallthrough;
	case EVENT_TYPE_INTR:
		ev->interrupt.injected = true;
		ev->interrupt.soft = svm->nested.soft_from_l1;
		ev->interrupt.vector = vector;
		break;
	}
}

/* CR0, CR4, EFER and DR7 are those of another level, and all others in its VMCB. */
void nested_svm_registers_loaded(struct vcpu *vcpu, u64 old_cr0)
{
	struct regs *r = &vcpu->regs;

	r->valid = REGS_EFER | REGS_CR0 | REGS_CR4;
	r->dirty = 0;
	/* Whether CR0 is intercepted depends on these. */
	if ((old_cr0 ^ r->cr0) & CR0_CACHE_BITS)
		vcpu_dirty(vcpu, REGS_CR0);
	if (r->dr7 != vcpu->cpu_state.effective_dr7)
		cpu_update_dr7(vcpu);
	cpu_cr4_changed(vcpu);
}

/* What of L2's is not in the VMCB only. */
static void load_registers(struct svm_vcpu *svm)
{
	const struct vmcb_save *save12 = &svm->nested.vmcb12->save;
	struct vcpu *vcpu = &svm->vcpu;
	struct regs *r = &vcpu->regs;
	u64 old_cr0 = r->cr0;

	r->gpr[GPR_RAX] = save12->rax;
	r->cr2 = save12->cr2;
	r->efer = effective_efer(save12);
	r->cr0 = save12->cr0 | X86_CR0_ET;
	r->cr4 = save12->cr4;
	r->dr7 = (save12->dr7 & ~(u64)GENMASK(63, 32)) | BIT(10);
	nested_svm_registers_loaded(vcpu, old_cr0);
}

/* Put all of L1's state into vmcb01, where it stays until the next #VMEXIT. */
static void store_l1(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	svm_open_interrupt_window(vcpu, false);
	svm_settle_regs(svm);
	svm->vmcb01->save.rax = vcpu->regs.gpr[GPR_RAX];
	svm->nested.cr0_cache_bits = vcpu->regs.cr0 & CR0_CACHE_BITS;
}

/*
 * With nested paging a guest has a PAT of its own (APM volume 2, Nested Paging). Upstream let L1 and L2 share one, and still does
 * unless its user says otherwise: so does Nestor.
 */
bool nested_svm_wants_own_pat(struct svm_vcpu *svm, const struct vmcb *vmcb12)
{
	return vmcb12->control.nested_ctl & NESTED_CTL_NP &&
	       READ_ONCE(svm->vcpu.vm->caps.disabled_quirks) & KVM_X86_QUIRK_NESTED_SVM_SHARED_PAT;
}

u64 *nested_svm_l1_pat(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	return svm->nested.own_pat ? &svm->vmcb01->save.g_pat : NULL;
}

/**
 * nested_svm_switch_to_l2 - what runs is vmcb02
 * @svm: with all of L1's state in vmcb01, and vmcb12's controls at hand
 * @root: of L2's translations
 * @gpa1: of vmcb12
 *
 * L2's registers are the caller's business.
 */
void nested_svm_switch_to_l2(struct svm_vcpu *svm, struct shadow_root *root, u64 gpa1)
{
	const struct vmcb *vmcb12 = svm->nested.vmcb12;
	struct vcpu_nested *n = &svm->vcpu.nested;

	n->guest_mode = true;
	n->root = root;
	n->walks = root->key.levels;
	/* The CPU's walker needs to write to L2's page tables. */
	n->table_access = L1_READ | L1_WRITE;
	n->own_tpr = l1_masks_interrupts(svm);
	n->tpr = vmcb12->control.int_ctl & INT_CTL_TPR;
	svm->nested.vmcb12_gpa = gpa1;
	svm->nested.gif = true;
	svm->nested.usurped = false;
	svm->nested.own_pat = nested_svm_wants_own_pat(svm, vmcb12);
	svm->vmcb = svm->nested.vmcb02;
	svm->vmcb_pa = svm->nested.vmcb02_pa;
	prepare_control(svm, root);
	svm_vmcb_switched(svm);
}

/* L2's registers, as vmcb12 has them. */
void nested_svm_load_l2(struct svm_vcpu *svm)
{
	prepare_save(svm);
	load_registers(svm);
}

static void enter(struct svm_vcpu *svm, struct shadow_root *root, u64 gpa1)
{
	trace_nested_enter(svm->vcpu.id, gpa1, svm->nested.vmcb12->save.rip, svm->nested.vmcb12->control.event_inj);
	store_l1(svm);
	nested_svm_switch_to_l2(svm, root, gpa1);
	nested_svm_load_l2(svm);
}

/* VMRUN found nothing to run: L1 goes on behind it as if L2 had exited at once. RUN_SLOW: L1's memory is not there. */
static int refuse(struct svm_vcpu *svm, u64 gpa1)
{
	if (nested_svm_write_invalid(svm, gpa1) == -EAGAIN)
		return RUN_SLOW;
	svm_advance_rip(&svm->vcpu);
	nested_svm_set_gif(svm, false);
	return RUN_GUEST;
}

static int vmrun_gp(struct vcpu *vcpu)
{
	vcpu_raise_error(vcpu, EXC_GP, 0);
	return RUN_GUEST;
}

/*
 * Nested paging works as the host's paging does (APM volume 2, Nested Paging): the host must have it on. Without PAE
 * its tables have entries of four bytes, which L1 is not offered.
 */
static bool l1_can_nest_paging(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	if (!(svm->nested.vmcb12->control.nested_ctl & NESTED_CTL_NP))
		return true;
	vcpu_fetch(vcpu, REGS_CR0 | REGS_CR4);
	return vcpu->regs.cr0 & X86_CR0_PG && vcpu->regs.cr4 & X86_CR4_PAE;
}

/* The VMCB at @gpa1 is copied. */
static int run_l2(struct svm_vcpu *svm, u64 gpa1)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct shadow_root *root;
	struct shadow_key key;
	int r;

	if (!l1_can_nest_paging(svm) || !nested_svm_check(svm, svm->nested.vmcb12, gpa1))
		return refuse(svm, gpa1);
	nested_svm_key(svm, &key);
	root = shadow_root(vcpu, &key);
	if (!root)
		return vcpu->in_burst ? RUN_SLOW : -ENOMEM;
	r = nested_svm_enlighten(svm);
	if (r)
		return r == -EAGAIN ? RUN_SLOW : vmrun_gp(vcpu);
	r = nested_svm_merge_msrpm(svm, gpa1);
	if (r)
		return r == -EAGAIN ? RUN_SLOW : refuse(svm, gpa1);
	svm_advance_rip(vcpu);
	nested_svm_tlb_control(svm);
	enter(svm, root, gpa1);
	nested_svm_take_event(svm);
	nested_level_changed(vcpu, vcpu->nested.own_tpr);
	return RUN_GUEST;
}

int svm_handle_vmrun(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 gpa1;
	int r;

	if (!nested_svm_may_execute(vcpu))
		return RUN_GUEST;
	/* As upstream: RSM and KVM_GET_NESTED_STATE know an L2 that an SMI has interrupted, and none of SMM's own. */
	if (vcpu->events.in_smm) {
		vcpu_raise(vcpu, EXC_UD);
		return RUN_GUEST;
	}
	gpa1 = nested_svm_operand(vcpu);
	if (!nested_svm_address_valid(svm, gpa1) || !svm->nested.hsave_pa)
		return vmrun_gp(vcpu);
	if (!svm->nested.vmcb02) {
		if (vcpu->in_burst)
			return RUN_SLOW;
		if (nested_svm_prepare(svm))
			return -ENOMEM;
	}
	r = nested_svm_read_vmcb12(svm, gpa1);
	if (r)
		return r == -EAGAIN ? RUN_SLOW : nested_svm_no_memory(vcpu);
	return run_l2(svm, gpa1);
}

/* Each time. */
void nested_svm_before_entry(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct vmcb_control *ctl = &svm->vmcb->control;
	u32 tpr = vcpu->nested.own_tpr ? vcpu->nested.tpr : ctl->int_ctl & INT_CTL_TPR;

	if ((ctl->int_ctl & INT_CTL_TPR) != tpr) {
		ctl->int_ctl = (ctl->int_ctl & ~(u32)INT_CTL_TPR) | tpr;
		svm_dirty(svm, CLEAN_INTR);
	}
	if (unlikely(vcpu->nested.root->flush) && shadow_needs_flush(vcpu, vcpu->nested.root))
		svm_tlb_flush(vcpu, TLB_ALL);
}
