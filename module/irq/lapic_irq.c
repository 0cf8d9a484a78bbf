// SPDX-License-Identifier: GPL-2.0
/*
 * Local APIC: an interrupt's way through it. Accepting, priorities, acknowledge, EOI, INIT and SIPI.
 */
#include "cpu/smm.h"
#include "irq/chips.h"
#include "irq/lapic.h"
#include "pv/hyperv.h"
#include "vm/ops.h"

/*
 * The bit first, the hint second; lapic_lower_hint() does it the other way round. So when the search
 * there missed this bit, the hint set here is the later one and stays.
 */
static bool lapic_set_irr(struct lapic *apic, u8 vector)
{
	bool was_set = test_and_set_bit(vector % 32, lapic_bits(apic, APIC_IRR, vector));

	WRITE_ONCE(apic->irr_pending, true);
	return !was_set;
}

static void lapic_lower_hint(struct lapic *apic)
{
	/* The CPU sets bits of IRR by itself. */
	if (apic->delivery)
		return;
	WRITE_ONCE(apic->irr_pending, false);
	smp_mb();
	if (apic_highest(apic->regs, APIC_IRR) >= 0)
		WRITE_ONCE(apic->irr_pending, true);
}

static void lapic_set_trigger(struct lapic *apic, u8 vector, bool level)
{
	if (cpu_caps.shared_irr) {
		lapic_hw_set_trigger(apic, vector, level);
		return;
	}
	if (lapic_test_vector(apic, APIC_TMR, vector) == level)
		return;
	if (level)
		set_bit(vector % 32, lapic_bits(apic, APIC_TMR, vector));
	else
		clear_bit(vector % 32, lapic_bits(apic, APIC_TMR, vector));
}

/*
 * As above for requests that the vCPU moves to IRR, or the CPU by itself unless they are to be kept from it: true when the
 * vCPU has to be told.
 */
static bool lapic_post(struct lapic *apic, u8 vector, bool keep)
{
	if (test_and_set_bit(vector, keep ? apic->kept : apic->posted->requests))
		return false;
	/* The request before the mark; pairs with lapic_take_posted(). */
	return !test_and_set_bit(keep ? POSTED_KEPT : POSTED_OUTSTANDING, &apic->posted->control);
}

/* @source itself is in an exit handler and looks at its requests before it enters the guest. */
static void lapic_notify(struct lapic *apic, struct vcpu *source, enum vcpu_req req)
{
	vcpu_request(apic->vcpu, req);
	if (apic->vcpu != source)
		vcpu_wake(apic->vcpu);
}

/* The CPU need not leave the guest for a request that it finds by itself. Behind it; pairs with lapic_hw_set_delivery(). */
static void tell_request(struct lapic *apic, struct vcpu *source)
{
	if (!READ_ONCE(apic->posting) || apic->vcpu == source)
		lapic_notify(apic, source, REQ_EVENT);
	else
		vcpu_wake_posted(apic->vcpu);
}

/* One whose EOI has to leave the guest goes in by an entry, which brings the EOIs of interest along. */
static void post_request(struct lapic *apic, u8 vector, struct vcpu *source)
{
	bool keep = test_bit(vector, apic->vcpu->vm->irq->eoi_vectors);

	if (!lapic_post(apic, vector, keep))
		return;
	if (keep)
		lapic_notify(apic, source, REQ_EVENT);
	else
		tell_request(apic, source);
}

static bool accept_fixed(struct lapic *apic, const struct irq_msg *msg, struct vcpu *source)
{
	if (msg->level && !msg->assert)
		return false;
	if (!lapic_hw_enabled(apic) || !READ_ONCE(apic->sw_enabled))
		return false;
	lapic_set_trigger(apic, msg->vector, msg->level);
	/* Whoever set a bit that was set already has told the vCPU, or is about to. */
	if (apic->posted)
		post_request(apic, msg->vector, source);
	else if (lapic_set_irr(apic, msg->vector))
		tell_request(apic, source);
	return true;
}

static bool accept_init(struct lapic *apic, const struct irq_msg *msg, struct vcpu *source)
{
	/* INIT level de-assert only ever synchronised arbitration ids. */
	if (msg->level && !msg->assert)
		return false;
	/* A SIPI that came before belongs to an earlier INIT. */
	WRITE_ONCE(apic->events, BIT(LAPIC_INIT));
	lapic_notify(apic, source, REQ_KICK);
	return true;
}

/**
 * lapic_accept - a message has found its APIC
 * @apic: the destination
 * @msg: the message
 * @source: the vCPU that sends it from an exit handler of its own, or NULL
 *
 * Any context. False: dropped.
 */
bool lapic_accept(struct lapic *apic, const struct irq_msg *msg, struct vcpu *source)
{
	switch (msg->delivery_mode) {
	case APIC_DM_FIXED_:
	case APIC_DM_LOWEST_:
		return accept_fixed(apic, msg, source);
	case APIC_DM_NMI_:
		vcpu_send_nmi(apic->vcpu);
		return true;
	case APIC_DM_SMI_:
		vcpu_send_smi(apic->vcpu);
		return true;
	case APIC_DM_INIT_:
		return accept_init(apic, msg, source);
	case APIC_DM_STARTUP_:
		WRITE_ONCE(apic->sipi_vector, msg->vector);
		/* The vector before the event; pairs with test_and_clear_bit() in lapic_accept_events(). */
		smp_mb__before_atomic();
		set_bit(LAPIC_SIPI, &apic->events);
		lapic_notify(apic, source, REQ_KICK);
		return true;
	case APIC_DM_REMRD_:
		lapic_notify(apic, source, REQ_UNHALT);
		return true;
	case APIC_DM_REQUESTED_:
		WRITE_ONCE(apic->irr_pending, true);
		tell_request(apic, source);
		return true;
	default:
		/* ExtINT reaches a CPU through LVT0 and irq_pending(). */
		return false;
	}
}

bool lapic_send_vector(struct vcpu *vcpu, u8 vector, struct vcpu *source)
{
	const struct irq_msg msg = { .vector = vector, .delivery_mode = APIC_DM_FIXED_, .assert = true };

	return lapic_accept(vcpu->lapic, &msg, source);
}

/* An interrupt of the APIC's own: timer, LINT0, ... Any context. */
bool lapic_local_deliver(struct lapic *apic, int lvt)
{
	u32 entry = lapic_reg(apic, lvt_reg(lvt));
	struct irq_msg msg = {
		.vector = entry & APIC_VECTOR_MASK,
		.delivery_mode = GET_APIC_DELIVERY_MODE(entry),
		.level = entry & APIC_LVT_LEVEL_TRIGGER,
		.assert = true,
	};

	if (!lapic_hw_enabled(apic) || entry & APIC_LVT_MASKED)
		return false;
	return lapic_accept(apic, &msg, NULL);
}

void lapic_send_cmci(struct vcpu *vcpu)
{
	if (vcpu->lapic)
		lapic_local_deliver(vcpu->lapic, LVT_CMCI);
}

/* The vector that the local APIC has for the CPU now, or -1. */
static int lapic_deliverable(struct lapic *apic)
{
	int irr;

	if (!READ_ONCE(apic->irr_pending) || !lapic_hw_enabled(apic))
		return -1;
	irr = apic_highest(apic->regs, APIC_IRR);
	if (irr < 0) {
		lapic_lower_hint(apic);
		return -1;
	}
	if ((irr & 0xf0) <= apic_ppr(lapic_reg(apic, APIC_TASKPRI), lapic_in_service(apic)))
		return -1;
	return irr;
}

static bool extint_waits(const struct vcpu *vcpu, const struct lapic *apic)
{
	const struct vm_irq *irq = vcpu->vm->irq;
	bool waits = irq->mode == IRQCHIP_KERNEL ? READ_ONCE(irq->pic.pair.output) : apic->external >= 0;

	return unlikely(waits) && lapic_accepts_extint(apic);
}

int irq_pending(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	if (!apic)
		return -1;
	if (extint_waits(vcpu, apic))
		return 0;
	lapic_sync(apic);
	return lapic_deliverable(apic);
}

int irq_injectable(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	if (!apic || !apic->delivery)
		return irq_pending(vcpu);
	return extint_waits(vcpu, apic) ? 0 : -1;
}

static int take_extint(struct vcpu *vcpu, struct lapic *apic)
{
	int vector;

	if (irqchip_mode(vcpu->vm) == IRQCHIP_KERNEL)
		return pic_take(&vcpu->vm->irq->pic);
	vector = apic->external;
	apic->external = -1;
	return vector;
}

int irq_take(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;
	int vector;

	if (!apic)
		return -1;
	if (extint_waits(vcpu, apic))
		return take_extint(vcpu, apic);
	vector = apic->delivery ? -1 : lapic_deliverable(apic);
	if (vector < 0)
		return -1;
	clear_bit(vector % 32, lapic_bits(apic, APIC_IRR, vector));
	lapic_lower_hint(apic);
	/* An interrupt that is never in service does not hold back the next. */
	if (unlikely(vcpu->hv) && hv_synic_auto_eoi(vcpu, vector)) {
		lapic_recheck(apic);
		return vector;
	}
	__set_bit(vector % 32, lapic_bits(apic, APIC_ISR, vector));
	apic->isr_highest = vector;
	return vector;
}

int irq_queue_external(struct vcpu *vcpu, u8 vector)
{
	struct lapic *apic = vcpu->lapic;

	if (irqchip_mode(vcpu->vm) != IRQCHIP_SPLIT || !apic)
		return -ENXIO;
	if (apic->external >= 0)
		return -EEXIST;
	apic->external = vector;
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

void lapic_recheck(struct lapic *apic)
{
	if (READ_ONCE(apic->irr_pending) || extint_waits(apic->vcpu, apic))
		vcpu_request(apic->vcpu, REQ_EVENT);
}

u8 lapic_max_irr(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	if (!apic || !READ_ONCE(apic->irr_pending))
		return 0;
	return max(apic_highest(apic->regs, APIC_IRR), 0);
}

/* Something may get through now; and vendor->update_tpr() must know, for guests read CR8 without an exit. */
void lapic_write_tpr(struct lapic *apic, u8 tpr)
{
	lapic_set_reg(apic, APIC_TASKPRI, tpr);
	vcpu_request(apic->vcpu, REQ_EVENT);
}

void lapic_set_tpr(struct vcpu *vcpu, u8 cr8)
{
	if (vcpu->lapic)
		lapic_write_tpr(vcpu->lapic, (cr8 & 0xf) << 4);
}

u8 lapic_get_cr8(struct vcpu *vcpu)
{
	return vcpu->lapic ? lapic_reg(vcpu->lapic, APIC_TASKPRI) >> 4 & 0xf : 0;
}

/*
 * The EOI message. Which vectors concern an I/O APIC is one bit test here; which pins, and whether
 * this vCPU is meant, is found out only then, from what the pins say at that moment. Upstream keeps
 * a bitmap per vCPU instead, and recomputes all of them at every change of a pin.
 */
void lapic_send_eoi(struct lapic *apic, u8 vector)
{
	struct vcpu *vcpu = apic->vcpu;
	bool level;

	if (likely(!test_bit(vector, vcpu->vm->irq->eoi_vectors)))
		return;
	level = lapic_test_vector(apic, APIC_TMR, vector) && !test_bit(vector, apic->edges);
	if (irqchip_mode(vcpu->vm) == IRQCHIP_KERNEL) {
		ioapic_eoi(vcpu, vector, level);
	} else if (irq_split_wants_eoi(vcpu, vector, level) && !lapic_suppresses_eoi(apic)) {
		apic->ioapic_eoi = vector;
		vcpu_request(vcpu, REQ_IOAPIC_EOI_EXIT);
	}
}

/* SDM, Signaling Interrupt Servicing Completion. */
void lapic_eoi(struct lapic *apic)
{
	int vector = lapic_in_service(apic);

	/* Guests do write EOI with nothing in service, while they test their timers. */
	if (vector < 0)
		return;
	__clear_bit(vector % 32, lapic_bits(apic, APIC_ISR, vector));
	apic->isr_highest = vector ? apic_highest_upto(apic->regs, APIC_ISR, vector - 1) : -1;
	apic->status_stale = true;
	lapic_recheck(apic);
	if (unlikely(apic->vcpu->hv))
		hv_synic_eoi(apic->vcpu, vector);
	lapic_send_eoi(apic, vector);
}

u8 lapic_pending_ioapic_eoi(struct vcpu *vcpu)
{
	return vcpu->lapic ? vcpu->lapic->ioapic_eoi : 0;
}

/*
 * SDM, Restrictions on VMX Operation: in root operation INIT waits for its end, and a SIPI is lost. APM volume 2, Global
 * Interrupt Flag: the same without GIF.
 */
static bool init_is_blocked(struct vcpu *vcpu)
{
	if (likely(!vendor->nested || !vendor->nested->blocks_init(vcpu)))
		return false;
	if (!vcpu->nested.guest_mode)
		clear_bit(LAPIC_SIPI, &vcpu->lapic->events);
	return true;
}

bool lapic_has_init_or_sipi(struct vcpu *vcpu)
{
	return vcpu->lapic && READ_ONCE(vcpu->lapic->events) && !vcpu->events.in_smm && !init_is_blocked(vcpu);
}

bool lapic_latched_init(struct vcpu *vcpu)
{
	return vcpu->lapic && test_bit(LAPIC_INIT, &vcpu->lapic->events);
}

void lapic_latch_init(struct vcpu *vcpu, bool latched)
{
	if (!vcpu->lapic)
		return;
	if (latched) {
		set_bit(LAPIC_INIT, &vcpu->lapic->events);
		vcpu_request(vcpu, REQ_KICK);
	} else {
		clear_bit(LAPIC_INIT, &vcpu->lapic->events);
	}
}

void lapic_drop_sipi(struct vcpu *vcpu)
{
	if (vcpu->lapic)
		clear_bit(LAPIC_SIPI, &vcpu->lapic->events);
}

void lapic_pend_sipi(struct vcpu *vcpu)
{
	set_bit(LAPIC_SIPI, &vcpu->lapic->events);
}

void lapic_set_sipi_vector(struct vcpu *vcpu, u8 vector)
{
	if (vcpu->lapic)
		WRITE_ONCE(vcpu->lapic->sipi_vector, vector);
}

u8 lapic_sipi_vector(struct vcpu *vcpu)
{
	return vcpu->lapic ? READ_ONCE(vcpu->lapic->sipi_vector) : 0;
}

/* SDM, MP Initialization Protocol Algorithm: start at VV000H. */
static void start_at_sipi_vector(struct vcpu *vcpu, u8 vector)
{
	vcpu_fetch(vcpu, REGS_SEGS | REGS_CS);
	vcpu->regs.seg[SEG_CS].selector = vector << 8;
	vcpu->regs.seg[SEG_CS].base = vector << 12;
	vcpu_dirty(vcpu, REGS_SEGS | REGS_CS);
	vcpu_set_rip(vcpu, 0);
}

static void take_init(struct vcpu *vcpu)
{
	bool running = vcpu->mp_state == KVM_MP_STATE_RUNNABLE || vcpu->mp_state == KVM_MP_STATE_HALTED;

	if (nested_takes(vcpu, NESTED_INIT))
		return;
	if (running && vendor->nested && vendor->nested->redirect_init && vendor->nested->redirect_init(vcpu))
		return;
	vcpu_reset(vcpu, true);
	WRITE_ONCE(vcpu->mp_state, vcpu->is_bsp ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED);
}

bool lapic_accept_events(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	if (!lapic_has_init_or_sipi(vcpu))
		return vcpu->mp_state == KVM_MP_STATE_RUNNABLE;
	if (test_and_clear_bit(LAPIC_INIT, &apic->events))
		take_init(vcpu);
	/* Only a CPU that waits for it takes a SIPI; any other drops it. */
	if (test_and_clear_bit(LAPIC_SIPI, &apic->events) &&
	    vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED && !nested_takes(vcpu, NESTED_SIPI)) {
		start_at_sipi_vector(vcpu, READ_ONCE(apic->sipi_vector));
		WRITE_ONCE(vcpu->mp_state, KVM_MP_STATE_RUNNABLE);
	}
	return vcpu->mp_state == KVM_MP_STATE_RUNNABLE;
}
