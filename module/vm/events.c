// SPDX-License-Identifier: GPL-2.0
/*
 * Exceptions, interrupts and NMIs on their way into a vCPU.
 */
#include <linux/smp.h>

#include "irq/irq.h"
#include "vm/ops.h"
#include "trace/trace.h"

enum exc_class { EXC_BENIGN, EXC_CONTRIBUTORY, EXC_PAGE_FAULT };

/* SDM and APM: which pairs of exceptions make a double fault. */
static enum exc_class exception_class(u8 vector)
{
	switch (vector) {
	case EXC_PF:
	case EXC_VE:
		return EXC_PAGE_FAULT;
	case EXC_DE:
	case EXC_TS:
	case EXC_NP:
	case EXC_SS:
	case EXC_GP:
	case EXC_CP:
		return EXC_CONTRIBUTORY;
	default:
		return EXC_BENIGN;
	}
}

static bool makes_double_fault(u8 first, u8 second)
{
	enum exc_class a = exception_class(first), b = exception_class(second);

	if (a == EXC_CONTRIBUTORY)
		return b == EXC_CONTRIBUTORY;
	return a == EXC_PAGE_FAULT && b != EXC_BENIGN;
}

/* Bit 16 (RTM) and bit 11 (bus lock) are active low. */
void vcpu_add_dr6(struct vcpu *vcpu, u64 payload)
{
	vcpu_fetch(vcpu, REGS_DR);
	vcpu->regs.dr6 &= ~(u64)DR_TRAP_BITS;
	vcpu->regs.dr6 |= DR6_RESERVED | payload;
	vcpu->regs.dr6 ^= payload & (BIT(16) | BIT(11));
	vcpu_dirty(vcpu, REGS_DR);
}

/*
 * vcpu_deliver_payload - move an exception's payload into CR2 or DR6
 * @vcpu: the vCPU
 * @e: its exception
 *
 * Done when the exception is given to hardware, and when user space that does not know payloads
 * (KVM_CAP_EXCEPTION_PAYLOAD off) reads the vCPU's state.
 */
void vcpu_deliver_payload(struct vcpu *vcpu, struct exception *e)
{
	if (!e->has_payload)
		return;
	switch (e->vector) {
	case EXC_DB:
		vcpu_add_dr6(vcpu, e->payload);
		break;
	case EXC_PF:
		vcpu->regs.cr2 = e->payload;
		break;
	}
	e->has_payload = false;
	e->payload = 0;
}

static void raise(struct vcpu *vcpu, const struct exception *new)
{
	struct exception *e = &vcpu->events.exception;
	struct exception next = *new;

	vcpu_request(vcpu, REQ_EVENT);
	if (unlikely(vcpu->nested.guest_mode) && nested_takes_exception(vcpu, new))
		return;
	if (e->pending || e->injected) {
		if (e->vector == EXC_DF) {
			/* A fault while a double fault is delivered: shutdown. */
			vcpu_request(vcpu, REQ_TRIPLE_FAULT);
			return;
		}
		if (makes_double_fault(e->vector, new->vector)) {
			/* CR2 shows the second page fault even then. */
			if (new->vector == EXC_PF && new->has_payload)
				vcpu->regs.cr2 = new->payload;
			next = (struct exception) {
				.vector = EXC_DF, .has_error = true,
			};
			if (unlikely(vcpu->nested.guest_mode) && nested_takes_exception(vcpu, &next))
				return;
		}
		/* Else the second is delivered: the first comes again when its instruction does. */
	}
	next.pending = true;
	next.injected = false;
	*e = next;
	if (!vcpu->vm->caps.exception_payload)
		vcpu_deliver_payload(vcpu, e);
}

/* Error codes exist in protected mode only. */
void vcpu_raise_error(struct vcpu *vcpu, u8 vector, u32 error)
{
	raise(vcpu, &(struct exception) {
		.vector = vector, .has_error = vcpu_is_protected(vcpu), .error = error,
	});
}

void vcpu_raise(struct vcpu *vcpu, u8 vector)
{
	raise(vcpu, &(struct exception) { .vector = vector });
}

void vcpu_raise_pf(struct vcpu *vcpu, u64 address, u32 error)
{
	raise(vcpu, &(struct exception) {
		.vector = EXC_PF, .has_error = true, .error = error,
		.has_payload = true, .payload = address,
	});
}

void vcpu_raise_db(struct vcpu *vcpu, u64 dr6_payload)
{
	raise(vcpu, &(struct exception) {
		.vector = EXC_DB, .has_payload = true, .payload = dr6_payload,
	});
}

void vcpu_send_nmi(struct vcpu *vcpu)
{
	atomic_inc(&vcpu->events.nmi.queued);
	vcpu_request(vcpu, REQ_EVENT);
	vcpu_wake(vcpu);
}

/*
 * vcpu_queue_interrupt - KVM_INTERRUPT without an in-kernel APIC
 *
 * It takes the place of one that is queued already: user space is the interrupt controller.
 */
void vcpu_queue_interrupt(struct vcpu *vcpu, u8 vector)
{
	vcpu->events.interrupt.injected = true;
	vcpu->events.interrupt.soft = false;
	vcpu->events.interrupt.vector = vector;
	vcpu_request(vcpu, REQ_EVENT);
}

static void inject_exception(struct vcpu *vcpu, bool again)
{
	struct exception *e = &vcpu->events.exception;

	/* A fault pushes RFLAGS with RF set; #DB as a trap and traps proper do not. */
	if (!again && e->vector != EXC_DB && e->vector != EXC_BP && e->vector != EXC_OF)
		vcpu_set_rflags(vcpu, vcpu_rflags(vcpu) | X86_EFLAGS_RF);
	if (e->vector == EXC_DB && !again) {
		vcpu_deliver_payload(vcpu, e);
		if (vcpu->regs.dr7 & DR7_GD) {
			vcpu->regs.dr7 &= ~(u64)DR7_GD;
			cpu_update_dr7(vcpu);
		}
	}
	vcpu_deliver_payload(vcpu, e);
	e->pending = false;
	e->injected = true;
	vcpu->stats.exceptions++;
	trace_inject(vcpu->id, 2, e->vector, e->has_error, e->error, again);
	vendor->inject_exception(vcpu, e);
}

static void inject_interrupt(struct vcpu *vcpu, bool again)
{
	struct events *ev = &vcpu->events;

	ev->interrupt.injected = true;
	vcpu->stats.irq_injections++;
	trace_inject(vcpu->id, ev->interrupt.soft ? 3 : 0, ev->interrupt.vector, false, 0, again);
	vendor->inject_interrupt(vcpu, ev->interrupt.vector, ev->interrupt.soft);
}

/* The PIC's line may have fallen since irq_injectable() looked: then there is nothing to take. */
static void take_interrupt(struct vcpu *vcpu)
{
	int vector = irq_take(vcpu);

	if (vector < 0)
		return;
	vcpu->events.interrupt.vector = vector;
	vcpu->events.interrupt.soft = false;
	inject_interrupt(vcpu, false);
}

static void inject_nmi(struct vcpu *vcpu, bool again)
{
	vcpu->events.nmi.injected = true;
	vcpu->stats.nmi_injections++;
	trace_inject(vcpu->id, 1, EXC_NMI, false, 0, again);
	vendor->inject_nmi(vcpu);
}

/* vcpu_collect_nmis - NMIs that others sent become pending: one, or two while none is being handled */
void vcpu_collect_nmis(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;
	unsigned int limit = vendor->nmi_masked(vcpu) || ev->nmi.injected ? 1 : 2;

	ev->nmi.pending += atomic_xchg(&ev->nmi.queued, 0);
	ev->nmi.pending = min(ev->nmi.pending, limit);
}

/* CR8 accesses need to exit while the TPR hides an interrupt; on AMD guests read CR8 without one, whoever has the APIC. */
static void update_tpr(struct vcpu *vcpu)
{
	if (!vcpu->lapic) {
		vendor->update_tpr(vcpu, vcpu->regs.cr8, 0);
		return;
	}
	vendor->update_tpr(vcpu, lapic_get_cr8(vcpu), lapic_max_irr(vcpu));
	if (unlikely(vcpu->pv_eoi || vcpu->apic_attention))
		lapic_share(vcpu);
}

/*
 * vcpu_exit_behind_event - something waits for the event that the next entry delivers
 *
 * In the burst. An interrupt ends the entry before the handler's first instruction.
 */
void vcpu_exit_behind_event(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQ_EVENT);
	smp_send_reschedule(smp_processor_id());
}

/*
 * vcpu_inject_events - give hardware the next event, open windows for those that wait
 *
 * In the burst, right before entry. Order: what was interrupted in its delivery, exceptions, NMI,
 * interrupts (SDM, Priority Among Concurrent Events).
 */
void vcpu_inject_events(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;
	bool busy = true;

	if (unlikely(vcpu->nested.guest_mode))
		nested_take_events(vcpu);
	if (ev->exception.injected)
		inject_exception(vcpu, true);
	else if (ev->nmi.injected && !ev->exception.pending)
		inject_nmi(vcpu, true);
	else if (ev->interrupt.injected && !ev->exception.pending)
		inject_interrupt(vcpu, true);
	else if (ev->exception.pending)
		inject_exception(vcpu, false);
	else
		busy = false;

	if (atomic_read(&ev->nmi.queued))
		vcpu_collect_nmis(vcpu);
	/* A debugger steps through one thread of execution: nothing new from outside until it lets go. */
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ))
		goto out;
	if (ev->nmi.pending) {
		if (!busy && vendor->nmi_allowed(vcpu) && likely(!nested_keeps(vcpu, NESTED_NMI))) {
			ev->nmi.pending--;
			inject_nmi(vcpu, false);
			busy = true;
		}
		if (ev->nmi.pending)
			vendor->open_nmi_window(vcpu, true);
	}
	if (irq_injectable(vcpu) >= 0) {
		if (!busy && vendor_call(interrupt_allowed)(vcpu) && likely(!nested_keeps(vcpu, NESTED_INTERRUPT)))
			take_interrupt(vcpu);
		/* Another one, or the same still: be told when it can go. */
		if (irq_injectable(vcpu) >= 0)
			vendor->open_interrupt_window(vcpu, true);
	} else if (vcpu->request_interrupt_window && !vendor_call(interrupt_allowed)(vcpu)) {
		vendor->open_interrupt_window(vcpu, true);
	}
out:
	/* An SMI waits for what was given: an interrupt ends this entry before its first instruction. */
	if (unlikely(ev->smi_deferred) && event_injected(ev))
		smp_send_reschedule(smp_processor_id());
	update_tpr(vcpu);
}
