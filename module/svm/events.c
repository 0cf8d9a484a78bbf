// SPDX-License-Identifier: GPL-2.0
/*
 * Giving events to the guest, and taking back those whose delivery an exit interrupted.
 */
#include "irq/irq.h"
#include "svm/nested.h"

static bool svm_in_shadow(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_SHADOW);
	return vcpu->regs.int_shadow;
}

static void svm_inject(struct svm_vcpu *svm, u32 type, u8 vector, bool has_error, u32 error)
{
	struct vmcb_control *ctl = &svm->vmcb->control;

	ctl->event_inj = EVENT_VALID | FIELD_PREP(EVENT_TYPE, type) | vector |
			 (has_error ? EVENT_ERROR_VALID : 0);
	ctl->event_inj_err = error;
}

/* A guest hypervisor says what its guest shall see; there need be no such instruction. */
static u64 soft_next_rip(struct svm_vcpu *svm, u32 type)
{
	int len;

	if (svm->nested.soft_from_l1)
		return svm->nested.soft_next_rip;
	len = vcpu_instruction_length(&svm->vcpu);
	if (len < 0)
		len = type == EVENT_TYPE_SOFT ? 2 : 1;
	return vcpu_rip(&svm->vcpu) + len;
}

/*
 * INT3, INTO and INT n push the address behind them, which the CPU takes from next_rip. A CPU without that field pushes RIP: it
 * moves, and back if the delivery is interrupted, because the instruction then runs again.
 */
static void svm_inject_soft(struct svm_vcpu *svm, u32 type, u8 vector)
{
	struct vcpu *vcpu = &svm->vcpu;
	u64 rip = vcpu_rip(vcpu), next = soft_next_rip(svm, type);

	svm_inject(svm, type, vector, false, 0);
	if (svm_features.nrips) {
		svm->vmcb->control.next_rip = next;
		return;
	}
	svm->soft_moved = true;
	svm->soft_rip = rip;
	vcpu_set_rip(vcpu, next);
}

/* The instruction that raised it is over, and the interrupt shadow with it. */
static void end_shadow(struct vcpu *vcpu)
{
	if (likely(!svm_in_shadow(vcpu)))
		return;
	vcpu->regs.int_shadow = 0;
	vcpu_dirty(vcpu, REGS_SHADOW);
}

/* TF is ours while a step waits for its end. An event that comes first would push it, and clear it. */
static void end_step(struct svm_vcpu *svm)
{
	if (likely(!svm->stepping))
		return;
	vcpu_fetch(&svm->vcpu, REGS_RFLAGS);
	svm->stepping = false;
	vcpu_dirty(&svm->vcpu, REGS_RFLAGS);
	svm_intercepts_changed(&svm->vcpu);
}

/* An NMI waits for nothing but the end of an instruction, or of what this entry delivers. */
static bool nmi_is_next(struct svm_vcpu *svm)
{
	/* One that is L1's ends L2 by itself. */
	return svm_gif(svm) && (!svm->nmi_masked || svm->nmi_iret) && !nested_keeps(&svm->vcpu, NESTED_NMI);
}

void svm_inject_exception(struct vcpu *vcpu, const struct exception *e)
{
	end_step(to_svm(vcpu));
	end_shadow(vcpu);
	if (exception_is_software(e->vector))
		svm_inject_soft(to_svm(vcpu), EVENT_TYPE_EXCEPTION, e->vector);
	else
		svm_inject(to_svm(vcpu), EVENT_TYPE_EXCEPTION, e->vector, e->has_error, e->error);
}

void svm_withdraw_virq(struct svm_vcpu *svm)
{
	svm->virq = false;
	if (svm->vcpu.nested.guest_mode) {
		nested_svm_restore_int_ctl(svm);
		return;
	}
	svm->vmcb->control.int_ctl &= ~(u32)(INT_CTL_IRQ | INT_CTL_IGN_TPR | INT_CTL_PRIO);
	svm_dirty(svm, CLEAN_INTR);
}

/* Shall the guest exit as soon as it has taken an interrupt? The host's, which sees to that, would come before a virtual one. */
static bool exits_behind(struct svm_vcpu *svm)
{
	const struct events *ev = &svm->vcpu.events;

	return ev->smi_deferred || ((ev->nmi.pending || atomic_read(&ev->nmi.queued)) && nmi_is_next(svm));
}

/* L1 may have a virtual interrupt of its own there, or inject one that L2 is not ready for; or L2 shall exit behind it. */
static bool may_use_virq02(struct svm_vcpu *svm)
{
	const struct events *ev = &svm->vcpu.events;

	if (irq_pending(&svm->vcpu) >= 0 || ev->nmi.pending || atomic_read(&ev->nmi.queued))
		return false;
	return !svm->nested.usurped && !(svm->vmcb->control.int_ctl & INT_CTL_IRQ) &&
	       !l1_intercepts(svm, ICPT_VINTR) && vcpu_rflags(&svm->vcpu) & X86_EFLAGS_IF && !svm_in_shadow(&svm->vcpu);
}

/*
 * Hardware interrupts are given to the CPU as its virtual interrupt, which it takes before the guest's first instruction, the
 * conditions having been checked. EVENTINJ would do as well on hardware, but QEMU (up to 10.0 at least) delivers an interrupt
 * injected so twice: its VMRUN delivers it and leaves the vector as the exception that its CPU loop has to raise, which an
 * exit request to that loop does, whatever IF says, unless a #VMEXIT or another interrupt came before.
 */
static void svm_raise_virq(struct svm_vcpu *svm, u8 vector)
{
	struct vmcb_control *ctl = &svm->vmcb->control;

	/* AVIC has no use for V_IRQ. */
	if (unlikely(svm->avic || exits_behind(svm) || (svm->vcpu.nested.guest_mode && !may_use_virq02(svm)))) {
		svm_inject(svm, EVENT_TYPE_INTR, vector, false, 0);
		return;
	}
	if (unlikely(svm->vcpu.nested.guest_mode))
		nested_svm_save_int_ctl(svm);
	svm_clear_intercept(svm, ICPT_VINTR);
	ctl->int_ctl |= INT_CTL_IRQ | INT_CTL_IGN_TPR | INT_CTL_PRIO;
	ctl->int_vector = vector;
	svm->virq = true;
	svm_dirty(svm, CLEAN_INTR);
}

/*
 * @soft: only user space can ask for it (KVM_SET_VCPU_EVENTS); a soft interrupt whose delivery an exit interrupted is not
 * injected again, see svm_complete_events(). One that user space restores is taken whatever RFLAGS.IF says: a virtual interrupt
 * would wait.
 */
void svm_inject_interrupt(struct vcpu *vcpu, u8 vector, bool soft)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	end_step(svm);
	if (soft)
		svm_inject_soft(svm, EVENT_TYPE_SOFT, vector);
	else if (unlikely(!(vcpu_rflags(vcpu) & X86_EFLAGS_IF) || svm_in_shadow(vcpu)))
		svm_inject(svm, EVENT_TYPE_INTR, vector, false, 0);
	else
		svm_raise_virq(svm, vector);
}

/* The CPU keeps no account of NMI blocking: it lasts until the handler's IRET, which is intercepted for that. */
void svm_inject_nmi(struct vcpu *vcpu)
{
	end_step(to_svm(vcpu));
	if (!to_svm(vcpu)->nested.nmi_from_l1)
		svm_set_nmi_masked(vcpu, true);
	svm_inject(to_svm(vcpu), EVENT_TYPE_NMI, EXC_NMI, false, 0);
}

void svm_cancel_injection(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->control.event_inj = 0;
	if (svm->soft_moved) {
		svm->soft_moved = false;
		vcpu_set_rip(vcpu, svm->soft_rip);
	}
	if (svm->virq)
		svm_withdraw_virq(svm);
}

/* With virtual interrupts L2 has its own RFLAGS.IF, and L1's, as it was at VMRUN, decides about L1's. */
static bool l2_interrupt_allowed(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	if (l1_masks_interrupts(svm) && !(svm->vmcb01->save.rflags & X86_EFLAGS_IF))
		return false;
	if (!l1_masks_interrupts(svm) && !(vcpu_rflags(vcpu) & X86_EFLAGS_IF))
		return false;
	return l1_intercepts(svm, ICPT_INTR) || (vcpu_rflags(vcpu) & X86_EFLAGS_IF && !svm_in_shadow(vcpu));
}

bool svm_interrupt_allowed(struct vcpu *vcpu)
{
	if (unlikely(!svm_gif(to_svm(vcpu))))
		return false;
	if (unlikely(vcpu->nested.guest_mode))
		return l2_interrupt_allowed(to_svm(vcpu));
	return vcpu_rflags(vcpu) & X86_EFLAGS_IF && !svm_in_shadow(vcpu);
}

bool svm_nmi_masked(struct vcpu *vcpu)
{
	return to_svm(vcpu)->nmi_masked;
}

void svm_set_nmi_masked(struct vcpu *vcpu, bool masked)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->nmi_masked = masked;
	if (masked)
		svm_set_intercept(svm, ICPT_IRET);
	else
		svm_clear_intercept(svm, ICPT_IRET);
}

bool svm_nmi_allowed(struct vcpu *vcpu)
{
	if (unlikely(!svm_gif(to_svm(vcpu))))
		return false;
	if (vcpu->nested.guest_mode && l1_intercepts(to_svm(vcpu), ICPT_NMI))
		return true;
	return !to_svm(vcpu)->nmi_masked && !svm_in_shadow(vcpu);
}

/* The same in an L2: L1's own virtual interrupt waits meanwhile. STGI, or an exit to L1, looks again by itself. */
static void window02(struct svm_vcpu *svm, bool open)
{
	struct vmcb_control *ctl = &svm->vmcb->control;

	if (open == svm->nested.usurped || (open && l1_intercepts(svm, ICPT_INTR)))
		return;
	if (open) {
		nested_svm_save_int_ctl(svm);
		if (svm->virq) {
			svm->virq = false;
			svm_inject(svm, EVENT_TYPE_INTR, ctl->int_vector, false, 0);
		}
		ctl->int_ctl |= INT_CTL_INJECTION;
		ctl->int_vector = 0;
		svm_set_intercept(svm, ICPT_VINTR);
	} else {
		svm_clear_intercept(svm, ICPT_VINTR);
		nested_svm_restore_int_ctl(svm);
	}
	svm->nested.usurped = open;
	svm_dirty(svm, CLEAN_INTR);
}

/*
 * A virtual interrupt that is intercepted: the guest exits when it could be taken. There is only one: an interrupt that was to
 * go by it goes by EVENTINJ.
 */
void svm_open_interrupt_window(struct vcpu *vcpu, bool open)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control *ctl = &svm->vmcb->control;

	if (unlikely(vcpu->nested.guest_mode)) {
		window02(svm, open);
		return;
	}
	/* STGI looks again, unless it does not exit: then the window is GIF's as well. */
	if (open && !svm_gif(svm) && !svm->nested.vgif)
		return;
	/* AVIC is given up for a window, and taken up when user space has seen it. */
	if (vcpu->vm->avic && (open ? svm->avic : vcpu->request_interrupt_window))
		vcpu_request(vcpu, REQ_INTERCEPTS);
	if (open) {
		if (svm->virq) {
			svm->virq = false;
			svm_inject(svm, EVENT_TYPE_INTR, ctl->int_vector, false, 0);
		}
		ctl->int_ctl |= INT_CTL_IRQ | INT_CTL_IGN_TPR | INT_CTL_PRIO;
		ctl->int_vector = 0;
		svm_set_intercept(svm, ICPT_VINTR);
	} else {
		ctl->int_ctl &= ~(u32)(INT_CTL_IRQ | INT_CTL_IGN_TPR | INT_CTL_PRIO);
		svm_clear_intercept(svm, ICPT_VINTR);
	}
	svm_dirty(svm, CLEAN_INTR);
}

/*
 * An NMI waits. While one is being handled, the IRET intercept tells when it ends; from there, and in an interrupt shadow, a
 * single step tells when the instruction is over.
 */
void svm_open_nmi_window(struct vcpu *vcpu, bool open)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (open)
		nested_svm_watch_gif(svm);
	if (!open || svm->stepping || !nmi_is_next(svm))
		return;
	/* What this entry delivers would push our TF, and the handler would begin without it. */
	if (event_injected(&vcpu->events)) {
		vcpu_exit_behind_event(vcpu);
		return;
	}
	svm->stepping_had = vcpu_rflags(vcpu) & (X86_EFLAGS_TF | X86_EFLAGS_RF);
	svm->stepping = true;
	vcpu_dirty(vcpu, REGS_RFLAGS);
	svm_set_intercept(svm, ICPT_EXCEPTION + EXC_DB);
}

/*
 * CR8 writes are intercepted, so the V_TPR field only serves the guest's reads of CR8. With AVIC the CPU keeps the field and the
 * register's page the same, but for what the software writes into the page.
 */
void svm_update_tpr(struct vcpu *vcpu, int tpr, int max_irr)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control *ctl = &svm->vmcb->control;

	if (unlikely(svm->avic))
		lapic_hw_show_ppr(vcpu);
	if ((ctl->int_ctl & INT_CTL_TPR) == tpr || vcpu->nested.own_tpr)
		return;
	ctl->int_ctl = (ctl->int_ctl & ~(u32)INT_CTL_TPR) | tpr;
	svm_dirty(svm, CLEAN_INTR);
}

static void svm_requeue(struct vcpu *vcpu, u32 info, u32 error)
{
	struct events *ev = &vcpu->events;
	u8 vector = info & EVENT_VECTOR;

	vcpu_request(vcpu, REQ_EVENT);
	/* QEMU calls a virtual interrupt an exception here; none has such a number. */
	if (vector >= 32 && FIELD_GET(EVENT_TYPE, info) == EVENT_TYPE_EXCEPTION)
		info = (info & ~EVENT_TYPE) | FIELD_PREP(EVENT_TYPE, EVENT_TYPE_INTR);
	switch (FIELD_GET(EVENT_TYPE, info)) {
	case EVENT_TYPE_NMI:
		ev->nmi.injected = true;
		break;
	case EVENT_TYPE_EXCEPTION:
		/* RIP is still at INT3 or INTO: they run again. */
		if (exception_is_software(vector) && !to_svm(vcpu)->nested.soft_from_l1)
			break;
		ev->exception = (struct exception) {
			.injected = true, .vector = vector,
			.has_error = info & EVENT_ERROR_VALID, .error = error,
		};
		break;
	case EVENT_TYPE_SOFT:
		/* RIP is still at INT n, which runs again. */
		if (!to_svm(vcpu)->nested.soft_from_l1)
			break;
		fallthrough;
	case EVENT_TYPE_INTR:
		ev->interrupt.injected = true;
		ev->interrupt.soft = FIELD_GET(EVENT_TYPE, info) == EVENT_TYPE_SOFT;
		ev->interrupt.vector = vector;
		break;
	}
}

/*
 * svm_complete_events - after an exit: what was injected has been delivered, or comes back
 */
void svm_complete_events(struct svm_vcpu *svm)
{
	struct vmcb_control *ctl = &svm->vmcb->control;
	struct events *ev = &svm->vcpu.events;

	if (unlikely(svm->nmi_iret)) {
		/* Past the IRET, NMIs are open. */
		if (svm->vmcb->save.rip != svm->nmi_iret_rip) {
			svm->nmi_iret = false;
			svm->nmi_masked = false;
			vcpu_request(&svm->vcpu, REQ_EVENT);
		}
	}
	if (unlikely(svm->soft_moved)) {
		svm->soft_moved = false;
		if (ctl->exit_int_info & EVENT_VALID)
			svm->vmcb->save.rip = svm->soft_rip;
	}
	ctl->event_inj = 0;
	ev->exception.injected = false;
	ev->nmi.injected = false;
	ev->interrupt.injected = false;
	if (svm->virq) {
		/* Still there: the exit came first, and it has to go again. */
		if (ctl->int_ctl & INT_CTL_IRQ && !(ctl->exit_int_info & EVENT_VALID)) {
			ev->interrupt.injected = true;
			vcpu_request(&svm->vcpu, REQ_EVENT);
		}
		/* Its delivery caused the exit. QEMU calls it an exception, and those of 3 and 4 would be dropped below. */
		if ((ctl->exit_int_info & (EVENT_VALID | EVENT_ERROR_VALID)) == EVENT_VALID &&
		    (u8)ctl->exit_int_info == ctl->int_vector)
			ctl->exit_int_info &= ~(u32)EVENT_TYPE;
		svm_withdraw_virq(svm);
	}
	if (unlikely(ctl->exit_int_info & EVENT_VALID))
		svm_requeue(&svm->vcpu, ctl->exit_int_info, ctl->exit_int_info_err);
	else
		svm->nested.soft_from_l1 = svm->nested.nmi_from_l1 = false;
}
