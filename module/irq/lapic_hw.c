// SPDX-License-Identifier: GPL-2.0
/*
 * Local APIC: the part that the CPU does, where it delivers virtual interrupts.
 *
 * While the guest runs the CPU moves requests from IRR to ISR and takes EOIs, in the page of registers itself. Between
 * an exit and the next entry the page is the software's, which finds in it what the CPU did, and tells it by the guest
 * interrupt status what changed. Requests by others go to struct lapic_posted meanwhile.
 *
 * AVIC looks at the page by itself at each entry, and others set IRR at any time (cpu_caps.shared_irr).
 */
#include "irq/chips.h"
#include "irq/lapic.h"

static void take_requests(struct lapic *apic, unsigned long *from)
{
	unsigned long requests;
	int word, half;

	for (word = 0; word < 256 / BITS_PER_LONG; word++) {
		if (!READ_ONCE(from[word]))
			continue;
		requests = xchg(&from[word], 0);
		for (half = 0; half < 2; half++, requests >>= 32) {
			u32 reg = APIC_IRR + (2 * word + half) * 0x10;

			if ((u32)requests)
				lapic_set_reg(apic, reg, lapic_reg(apic, reg) | (u32)requests);
		}
	}
}

void lapic_take_posted(struct lapic *apic)
{
	struct lapic_posted *posted = apic->posted;

	/* The mark before the requests: one that comes now is seen here, or marked again. */
	if (test_and_clear_bit(POSTED_OUTSTANDING, &posted->control))
		take_requests(apic, posted->requests);
	if (test_and_clear_bit(POSTED_KEPT, &posted->control)) {
		take_requests(apic, apic->kept);
		apic->eoi_stale = true;
	}
	apic->status_stale = true;
	WRITE_ONCE(apic->irr_pending, true);
}

void *lapic_page(struct vcpu *vcpu)
{
	return vcpu->lapic->regs;
}

bool lapic_x2apic_mode(const struct vcpu *vcpu)
{
	return lapic_in_x2apic(vcpu->lapic);
}

bool lapic_at_default(const struct vcpu *vcpu)
{
	return PHYS_PFN(vcpu->apic_base) == PHYS_PFN(APIC_DEFAULT_PHYS_BASE);
}

bool lapic_hw_fits(const struct vcpu *vcpu)
{
	const struct lapic *apic = vcpu->lapic;

	return lapic_hw_enabled(apic) && !lapic_in_x2apic(apic) && lapic_at_default(vcpu) && !lapic_accepts_extint(apic);
}

bool lapic_hw_address(struct vcpu *vcpu, struct apic_address *a)
{
	if (!vcpu->lapic || !lapic_hw_enabled(vcpu->lapic))
		return false;
	lapic_address(vcpu->lapic, a);
	return true;
}

/* With trigger_lock. */
static void set_trigger(struct lapic *apic, u8 vector, bool level, bool edge_told)
{
	__assign_bit(vector, apic->edges, edge_told);
	if (level || edge_told)
		set_bit(vector % 32, lapic_bits(apic, APIC_TMR, vector));
	else
		clear_bit(vector % 32, lapic_bits(apic, APIC_TMR, vector));
}

/* Before a request goes into the IRR that the CPU takes it from. */
void lapic_hw_set_trigger(struct lapic *apic, u8 vector, bool level)
{
	bool edge_told = !level && test_bit(vector, apic->vcpu->vm->irq->eoi_vectors);
	unsigned long flags;

	if (lapic_test_vector(apic, APIC_TMR, vector) == (level || edge_told) &&
	    test_bit(vector, apic->edges) == edge_told)
		return;
	raw_spin_lock_irqsave(&apic->trigger_lock, flags);
	set_trigger(apic, vector, level, edge_told);
	raw_spin_unlock_irqrestore(&apic->trigger_lock, flags);
}

/* Somebody waits for EOIs whose interrupts are on their way already. The vCPU's thread. */
static void renew_triggers(struct lapic *apic)
{
	unsigned long flags;
	unsigned int vector;

	raw_spin_lock_irqsave(&apic->trigger_lock, flags);
	for_each_set_bit(vector, apic->vcpu->vm->irq->eoi_vectors, 256)
		if (!lapic_test_vector(apic, APIC_TMR, vector) &&
		    (lapic_test_vector(apic, APIC_IRR, vector) || lapic_test_vector(apic, APIC_ISR, vector)))
			set_trigger(apic, vector, false, true);
	raw_spin_unlock_irqrestore(&apic->trigger_lock, flags);
}

void *lapic_posted_page(struct vcpu *vcpu)
{
	return vcpu->lapic->posted;
}

void lapic_hw_set_delivery(struct vcpu *vcpu, bool on, bool posting)
{
	struct lapic *apic = vcpu->lapic;

	if (apic->delivery == on && apic->posting == posting)
		return;
	apic->delivery = on;
	/* Whoever still reads the old value has made its request before: it is found for REQ_EVENT. */
	WRITE_ONCE(apic->posting, posting);
	smp_mb();
	apic->isr_stale = true;
	apic->status_stale = true;
	apic->eoi_stale = true;
	WRITE_ONCE(apic->irr_pending, true);
	vcpu_request(vcpu, REQ_EVENT);
}

void lapic_hw_set_page(struct vcpu *vcpu, bool on)
{
	struct lapic *apic = vcpu->lapic;

	if (apic->page == on)
		return;
	apic->page = on;
	if (on)
		mmu_allow_apic_page(vcpu->vm);
	else
		mmu_forbid_apic_page(vcpu->vm);
}

bool lapic_hw_has_page(const struct vcpu *vcpu)
{
	return vcpu->lapic && vcpu->lapic->page;
}

bool lapic_hw_enter(struct vcpu *vcpu, u16 *status)
{
	struct lapic *apic = vcpu->lapic;
	int isr, irr;

	lapic_sync(apic);
	if (likely(!apic->status_stale))
		return false;
	apic->status_stale = false;
	isr = max(lapic_in_service(apic), 0);
	irr = max(apic_highest(apic->regs, APIC_IRR), 0);
	*status = isr << 8 | irr;
	return true;
}

void lapic_hw_show_ppr(struct vcpu *vcpu)
{
	lapic_update_ppr(vcpu->lapic);
}

void lapic_hw_eoi(struct vcpu *vcpu, u8 vector)
{
	lapic_send_eoi(vcpu->lapic, vector);
}

void lapic_end_interrupt(struct vcpu *vcpu)
{
	lapic_eoi(vcpu->lapic);
}

/*
 * Read behind the requests that this entry takes along: vectors are published before they are sent.
 */
const u64 *lapic_hw_eoi_vectors(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;
	bool changed = false;
	u64 vectors;
	int i;

	BUILD_BUG_ON(sizeof(vcpu->vm->irq->eoi_vectors) != sizeof(apic->eoi_told));
	if (likely(!apic->eoi_stale))
		return NULL;
	apic->eoi_stale = false;
	for (i = 0; i < ARRAY_SIZE(apic->eoi_told); i++) {
		vectors = READ_ONCE(vcpu->vm->irq->eoi_vectors[i]);
		changed |= vectors != apic->eoi_told[i];
		apic->eoi_told[i] = vectors;
	}
	return changed ? apic->eoi_told : NULL;
}

void lapic_hw_renew_eoi_vectors(struct vcpu *vcpu)
{
	vcpu->lapic->eoi_stale = true;
	vcpu->lapic->status_stale = true;
	if (cpu_caps.shared_irr)
		renew_triggers(vcpu->lapic);
}

/* For what the vCPU may have in service or requested: what is requested from now on brings them along. */
void lapic_hw_eoi_vectors_changed(struct vm *vm)
{
	struct vcpu *vcpu;
	int i;

	if (!cpu_caps.virtual_delivery)
		return;
	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu_request(vcpu, REQ_EOI_VECTORS);
		vcpu_kick(vcpu);
	}
}
