// SPDX-License-Identifier: GPL-2.0
/*
 * #VMEXIT: from L2 to L1.
 */
#include "cpu/control.h"
#include "irq/irq.h"
#include "svm/nested.h"
#include "trace/trace.h"

#define DR7_RESET		0x400

/* Of L1's virtual interrupt the CPU changes V_IRQ, when L2 takes it. */
void nested_svm_save_int_ctl(struct svm_vcpu *svm)
{
	struct vmcb_control *ctl12 = &svm->nested.vmcb12->control;

	if (!svm->nested.usurped && !svm->virq && !nested_svm_holds_virq(svm))
		ctl12->int_ctl = (ctl12->int_ctl & ~(u32)INT_CTL_IRQ) | (svm->vmcb->control.int_ctl & INT_CTL_IRQ);
}

/* L1's virtual interrupt as vmcb02 has it. */
u32 nested_svm_injection(struct svm_vcpu *svm)
{
	u32 injection = svm->nested.vmcb12->control.int_ctl & INT_CTL_INJECTION;

	return nested_svm_holds_virq(svm) ? injection & ~(u32)INT_CTL_IRQ : injection;
}

/* After ours, L1's again. */
void nested_svm_restore_int_ctl(struct svm_vcpu *svm)
{
	struct vmcb_control *ctl = &svm->vmcb->control;

	ctl->int_ctl = (ctl->int_ctl & ~(u32)INT_CTL_INJECTION) | nested_svm_injection(svm);
	ctl->int_vector = svm->nested.vmcb12->control.int_vector & 0xff;
	svm_dirty(svm, CLEAN_INTR);
}

/* vmcb12's int_ctl as #VMEXIT writes it. */
u32 nested_svm_int_ctl(struct svm_vcpu *svm)
{
	u32 int_ctl;

	nested_svm_save_int_ctl(svm);
	int_ctl = svm->nested.vmcb12->control.int_ctl;
	if (svm->vcpu.nested.own_tpr)
		int_ctl = (int_ctl & ~(u32)INT_CTL_TPR) | svm->vcpu.nested.tpr;
	return int_ctl;
}

/* The event whose delivery did not end, as EXITINTINFO and EVENTINJ have it. */
u32 nested_svm_event_info(struct vcpu *vcpu, u32 *error)
{
	struct events *ev = &vcpu->events;
	u32 info = 0;

	if (ev->exception.injected) {
		info = EVENT_VALID | FIELD_PREP(EVENT_TYPE, EVENT_TYPE_EXCEPTION) | ev->exception.vector |
		       (ev->exception.has_error ? EVENT_ERROR_VALID : 0);
		*error = ev->exception.error;
	} else if (ev->nmi.injected) {
		info = EVENT_VALID | FIELD_PREP(EVENT_TYPE, EVENT_TYPE_NMI) | EXC_NMI;
	} else if (ev->interrupt.injected) {
		info = EVENT_VALID | ev->interrupt.vector |
		       FIELD_PREP(EVENT_TYPE, ev->interrupt.soft ? EVENT_TYPE_SOFT : EVENT_TYPE_INTR);
	}
	return info;
}

/* It is L1's now. */
static void forget_event(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;

	memset(&ev->exception, 0, sizeof(ev->exception));
	ev->nmi.injected = false;
	ev->interrupt.injected = false;
}

/* Exits because of an instruction: L1 is told the next one, where it was offered that. */
bool nested_svm_tells_next_rip(struct svm_vcpu *svm, u64 code)
{
	if (!guest_has(&svm->vcpu, X86_FEATURE_NRIPS))
		return false;
	switch (code) {
	case SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR0 + 63:
	case SVM_EXIT_CR0_SEL_WRITE ... SVM_EXIT_MSR:
	case SVM_EXIT_VMRUN ... SVM_EXIT_RDPRU:
	case SVM_EXIT_INVPCID:
		return true;
	default:
		return false;
	}
}

/* So it is for the exceptions of INT3, INTO and BOUND, if the CPU raised them (APM volume 2, State Saved on Exit). */
static bool exception_tells_next_rip(const struct vmcb_control *ctl, u64 code)
{
	return ctl->exit_code == code && code >= SVM_EXIT_EXCP_BASE + EXC_BP && code <= SVM_EXIT_EXCP_BASE + EXC_BR;
}

/* 0 where the code cannot be read, which L2 has executed from a translation that it has not flushed. */
static u64 next_rip(struct svm_vcpu *svm)
{
	u64 rip = svm_next_rip(svm);

	return rip == vcpu_rip(&svm->vcpu) ? 0 : rip;
}

static void fill_control(struct svm_vcpu *svm, u64 code, u64 info1, u64 info2)
{
	struct vmcb_control *ctl = &svm->vmcb->control;
	struct vcpu *vcpu = &svm->vcpu;
	u32 info, error = 0;

	if (!guest_has(vcpu, X86_FEATURE_NRIPS))
		ctl->next_rip = svm->nested.vmcb12->control.next_rip;
	else if (!nested_svm_tells_next_rip(svm, code) && !exception_tells_next_rip(ctl, code))
		ctl->next_rip = 0;
	else if (!svm_features.nrips)
		ctl->next_rip = next_rip(svm);
	info = nested_svm_event_info(vcpu, &error);
	forget_event(vcpu);
	if (info) {
		ctl->exit_int_info = info;
		ctl->exit_int_info_err = error;
	}
	nested_svm_fill_bytes(svm, code, info1);
	ctl->exit_code = code;
	ctl->exit_info_1 = info1;
	ctl->exit_info_2 = info2;
	ctl->event_inj = ctl->event_inj_err = 0;
	ctl->int_ctl = nested_svm_int_ctl(svm);
	ctl->int_vector = svm->nested.vmcb12->control.int_vector;
}

/* Whatever of L2's state is not in vmcb02, or there as L0 needs it. */
static void fill_save(struct svm_vcpu *svm)
{
	struct vmcb_save *save = &svm->vmcb->save;
	struct vcpu *vcpu = &svm->vcpu;
	struct regs *r = &vcpu->regs;

	svm_settle_regs(svm);
	save->rax = r->gpr[GPR_RAX];
	save->cr2 = r->cr2;
	save->cr0 = (save->cr0 & ~(u64)CR0_CACHE_BITS) | (r->cr0 & CR0_CACHE_BITS);
	save->efer = r->efer;
	save->dr7 = r->dr7;
}

/* L1 goes on with what VMRUN left in vmcb01. */
static void switch_to_l1(struct svm_vcpu *svm)
{
	struct vmcb_save *save = &svm->vmcb01->save, *save02 = &svm->nested.vmcb02->save;
	struct vcpu *vcpu = &svm->vcpu;
	struct regs *r = &vcpu->regs;
	u64 old_cr0 = r->cr0;
	bool own_tpr = vcpu->nested.own_tpr;

	svm_keep_flush(svm);
	vcpu->nested.guest_mode = false;
	vcpu->nested.walks = false;
	vcpu->nested.own_tpr = false;
	vcpu->nested.root = NULL;
	svm->nested.usurped = false;
	svm->vmcb = svm->vmcb01;
	svm->vmcb_pa = svm->vmcb01_pa;
	nested_svm_set_gif(svm, false);
	save->rflags &= ~X86_EFLAGS_VM;
	save->cpl = 0;
	if (!svm->nested.own_pat)
		save->g_pat = save02->g_pat;
	/* #VMEXIT loads no DR6 of the host's. */
	save->dr6 = save02->dr6;
	save->dbgctl = save02->dbgctl;
	save->spec_ctrl = save02->spec_ctrl;
	svm->vmcb01->control.int_state = 0;
	svm->vmcb01->control.event_inj = 0;
	svm->vmcb01->control.exit_int_info = 0;

	r->gpr[GPR_RAX] = save->rax;
	r->efer = save->efer;
	r->cr0 = save->cr0 | svm->nested.cr0_cache_bits;
	r->cr4 = save->cr4;
	r->dr7 = DR7_RESET;
	nested_svm_registers_loaded(vcpu, old_cr0);
	if (vcpu->mp_state == KVM_MP_STATE_HALTED)
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	memset(&vcpu->nested.exception, 0, sizeof(vcpu->nested.exception));
	svm->nested.soft_from_l1 = svm->nested.nmi_from_l1 = false;
	svm_vmcb_switched(svm);
	nested_level_changed(vcpu, own_tpr);
}

/* As upstream: L1's VMCB has gone, and L1 cannot be told what happened. */
static void lost_vmcb12(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQ_TRIPLE_FAULT);
}

/**
 * nested_svm_exit - L1 instead of L2
 * @svm: running L2
 * @code: exit code, and so on
 * @info1: EXITINFO1
 * @info2: EXITINFO2
 *
 * Never fails: where L1's memory is not there in a burst, REQ_NESTED writes to it before L1 runs.
 */
void nested_svm_exit(struct svm_vcpu *svm, u64 code, u64 info1, u64 info2)
{
	struct vmcb_control *ctl = &svm->vmcb->control;
	struct vcpu *vcpu = &svm->vcpu;
	int r;

	fill_control(svm, code, info1, info2);
	fill_save(svm);
	trace_nested_exit(vcpu->id, code, svm->vmcb->save.rip, info1, info2, ctl->exit_int_info,
			  ctl->exit_int_info_err);
	r = nested_svm_write_vmcb12(svm);
	switch_to_l1(svm);
	if (r == -EAGAIN) {
		svm->nested.unwritten = true;
		vcpu_request(vcpu, REQ_NESTED);
	} else if (r) {
		lost_vmcb12(vcpu);
	}
}

int nested_svm_sync(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->nested.unwritten) {
		svm->nested.unwritten = false;
		if (nested_svm_write_vmcb12(svm))
			lost_vmcb12(vcpu);
	}
	if (svm->nested.merge_pending && vcpu->nested.guest_mode) {
		svm->nested.merge_pending = false;
		/* As upstream: user space has restored an L2 without the memory that it needs. */
		if (nested_svm_merge_msrpm(svm, svm->nested.vmcb12_gpa))
			return vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	}
	return RUN_GUEST;
}

/* L1 instead of L2, of which nothing is told. */
static void drop_l2(struct svm_vcpu *svm)
{
	svm_settle_regs(svm);
	forget_event(&svm->vcpu);
	switch_to_l1(svm);
}

/* Back to L1 without an exit: L1 is about to be reset, or to get another state. */
void nested_svm_leave(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!vcpu->nested.guest_mode)
		return;
	drop_l2(svm);
	nested_svm_set_gif(svm, true);
}

/*
 * L0's own rules let it pass, and the CPU's did not. As upstream, also where it is user space that has made it of L2.
 * What the CPU has left in vmcb02 is not L2's state: QEMU writes the host's there. RUN_GUEST
 * or RUN_SLOW.
 */
int nested_svm_refused_by_cpu(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	int r = nested_svm_write_invalid(svm, svm->nested.vmcb12_gpa);

	if (r == -EAGAIN)
		return RUN_SLOW;
	if (r)
		lost_vmcb12(vcpu);
	trace_nested_exit(vcpu->id, SVM_EXIT_ERR, 0, 0, 0, 0, 0);
	pr_info_ratelimited("vcpu %u: VMRUN of the VMCB at 0x%llx failed: the CPU refuses it\n", vcpu->id,
			    svm->nested.vmcb12_gpa);
	drop_l2(svm);
	return RUN_GUEST;
}

/* An exit that only software makes (TLFS, Nested Virtualization). */
#define HV_EXIT_CODE		0xf0000000ull
#define HV_EXIT_AFTER_FLUSH	1

void nested_svm_after_flush(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->control.exit_int_info = 0;
	nested_svm_exit(svm, HV_EXIT_CODE, HV_EXIT_AFTER_FLUSH, 0);
}

/* RUN_GUEST: L1 has it. RUN_SLOW. -ENOENT: it is L0's to handle. */
int nested_svm_reflect_exit(struct svm_vcpu *svm)
{
	struct vmcb_control *ctl = &svm->vmcb->control;
	/* Outside a burst that is a lost race: L2 executes it again. */
	int again = svm->vcpu.in_burst ? RUN_SLOW : RUN_GUEST;
	u64 info1 = ctl->exit_info_1;
	int wants;

	if (nested_svm_name_cr_read(svm))
		return again;
	wants = nested_svm_wants_exit(svm);
	if (wants <= 0)
		return wants == -EAGAIN ? RUN_SLOW : -ENOENT;
	if (nested_svm_assist(svm, ctl->exit_code, &info1))
		return again;
	nested_svm_exit(svm, ctl->exit_code, info1, ctl->exit_info_2);
	return RUN_GUEST;
}

void nested_svm_reflect_insn(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 code = svm->nested.insn_code;

	/* What the CPU itself would make an exit of comes again, with all there is to tell. */
	if (code == SVM_EXIT_CR0_SEL_WRITE)
		nested_svm_exit(svm, code, nested_svm_assist_cr0(vcpu), 0);
}

bool nested_svm_intercepts(struct vcpu *vcpu, enum nested_event event, u8 vector, u32 error)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	switch (event) {
	case NESTED_EXCEPTION:
		return l1_intercepts(svm, ICPT_EXCEPTION + (vector & 31));
	case NESTED_INTERRUPT:
		return l1_intercepts(svm, ICPT_INTR);
	case NESTED_NMI:
		return l1_intercepts(svm, ICPT_NMI);
	case NESTED_INIT:
		return l1_intercepts(svm, ICPT_INIT);
	case NESTED_SMI:
		return l1_intercepts(svm, ICPT_SMI);
	default:
		return l1_intercepts(svm, ICPT_SHUTDOWN);
	}
}

static void reflect_exception(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct exception e = vcpu->nested.exception;
	u64 info2 = 0;

	if (e.vector == EXC_PF)
		info2 = e.has_payload ? e.payload : vcpu->regs.cr2;
	else if (e.vector == EXC_DB && e.has_payload)
		vcpu_add_dr6(vcpu, e.payload);
	nested_svm_exit(svm, SVM_EXIT_EXCP_BASE + e.vector, e.has_error ? e.error : 0, info2);
}

/* Between two entries: what the last exit left in the VMCB is not of this event. */
void nested_svm_reflect(struct vcpu *vcpu, enum nested_event event)
{
	static const u16 codes[] = {
		[NESTED_INTERRUPT] = SVM_EXIT_INTR, [NESTED_NMI] = SVM_EXIT_NMI, [NESTED_INIT] = SVM_EXIT_INIT,
		[NESTED_SMI] = SVM_EXIT_SMI, [NESTED_SHUTDOWN] = SVM_EXIT_SHUTDOWN,
	};
	struct svm_vcpu *svm = to_svm(vcpu);

	/* It waits until L1 sets GIF, as every event that made an exit. */
	if (event == NESTED_INIT)
		lapic_latch_init(vcpu, true);
	svm->vmcb->control.exit_int_info = 0;
	if (event == NESTED_EXCEPTION)
		reflect_exception(svm);
	else
		nested_svm_exit(svm, codes[event], 0, 0);
}
