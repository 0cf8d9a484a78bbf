// SPDX-License-Identifier: GPL-2.0
/*
 * Events of L2's that L1 takes as exits.
 *
 * Exceptions are sorted out when they are raised: one that L1 takes is kept apart, so that what it interrupted in its
 * delivery is still there to be told to L1, and the two make no double fault, which only L1 could find.
 */
#include "irq/irq.h"
#include "nested/nested.h"
#include "vm/ops.h"

static bool l1_takes(struct vcpu *vcpu, enum nested_event event)
{
	return vendor->nested->intercepts(vcpu, event, 0, 0);
}

bool nested_takes_exception(struct vcpu *vcpu, const struct exception *e)
{
	if (!vcpu->nested.guest_mode || !vendor->nested->intercepts(vcpu, NESTED_EXCEPTION, e->vector, e->error))
		return false;
	vcpu->nested.exception = *e;
	vcpu->nested.exception.pending = true;
	return true;
}

static bool nmi_waits(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;

	return (ev->nmi.pending || atomic_read(&ev->nmi.queued)) && vendor->nmi_allowed(vcpu) &&
	       l1_takes(vcpu, NESTED_NMI);
}

static bool interrupt_waits(struct vcpu *vcpu)
{
	return irq_pending(vcpu) >= 0 && l1_takes(vcpu, NESTED_INTERRUPT) && vendor_call(interrupt_allowed)(vcpu);
}

/* What waits for the next entry, in the order in which events are taken (SDM, Priority Among Concurrent Events). */
static bool next_event(struct vcpu *vcpu, enum nested_event *event)
{
	if (vcpu->nested.exception.pending)
		*event = NESTED_EXCEPTION;
	else if (vcpu->events.exception.pending)
		return false;
	else if (vcpu->nested.stepped)
		*event = NESTED_STEP;
	else if (nmi_waits(vcpu))
		*event = NESTED_NMI;
	else if (interrupt_waits(vcpu))
		*event = NESTED_INTERRUPT;
	else
		return false;
	return true;
}

/* What user space made pending (KVM_SET_VCPU_EVENTS) was not sorted when it was raised. */
static void sort_pending(struct vcpu *vcpu)
{
	struct exception *e = &vcpu->events.exception;

	if (e->pending && nested_takes_exception(vcpu, e))
		memset(e, 0, sizeof(*e));
}

/*
 * L2 instead of L1, or L1 again: what the other level blocked may go now, and what was L1's may make an exit. What is in
 * vcpu->events is seen without being asked for, so there is nothing to do but for interrupts, and for a TPR that both share.
 */
void nested_level_changed(struct vcpu *vcpu, bool own_tpr)
{
	if (!own_tpr || irq_pending(vcpu) >= 0)
		vcpu_request(vcpu, REQ_EVENT);
}

bool nested_take_events(struct vcpu *vcpu)
{
	enum nested_event event;

	sort_pending(vcpu);
	if (!next_event(vcpu, &event))
		return false;
	/*
	 * As on a CPU the event is delivered first, and L2 exits before its handler's first instruction. A hypervisor that
	 * injects one and interrupts itself, to get the CPU back at once, would otherwise never get any further.
	 */
	if (event != NESTED_EXCEPTION && event_injected(&vcpu->events)) {
		vcpu_exit_behind_event(vcpu);
		return false;
	}
	vendor->nested->reflect(vcpu, event);
	return !vcpu->nested.guest_mode;
}

/*
 * What arrives after nested_take_events() looked, or waited behind the notification of posted interrupts, is for the next time,
 * which the sender's kick or the window that is asked for brings at once.
 */
bool nested_keeps(struct vcpu *vcpu, enum nested_event event)
{
	return vcpu->nested.guest_mode && l1_takes(vcpu, event);
}

/* Events that are no exception, interrupt or NMI: the caller has found one. True: L1 has it now. */
bool nested_takes(struct vcpu *vcpu, enum nested_event event)
{
	if (!nested_keeps(vcpu, event))
		return false;
	vendor->nested->reflect(vcpu, event);
	return true;
}
