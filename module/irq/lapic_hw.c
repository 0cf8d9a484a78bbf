// SPDX-License-Identifier: GPL-2.0
/*
 * Local APIC: the part that the CPU does, where it delivers virtual interrupts.
 *
 * While the guest runs the CPU moves requests from IRR to ISR and takes EOIs, in the page of registers itself. Between
 * an exit and the next entry the page is the software's, which finds in it what the CPU did, and tells it by the guest
 * interrupt status what changed. Requests by others go to struct lapic_posted meanwhile.
 */
#include "irq/chips.h"
#include "irq/lapic.h"

void lapic_take_posted(struct lapic *apic)
{
	struct lapic_posted *posted = apic->posted;
	unsigned long requests;
	int word, half;

	/* The mark before the requests: one that comes now is seen here, or marked again. */
	clear_bit(POSTED_OUTSTANDING, &posted->control);
	smp_mb__after_atomic();
	for (word = 0; word < ARRAY_SIZE(posted->requests); word++) {
		if (!READ_ONCE(posted->requests[word]))
			continue;
		requests = xchg(&posted->requests[word], 0);
		for (half = 0; half < 2; half++, requests >>= 32) {
			u32 reg = APIC_IRR + (2 * word + half) * 0x10;

			if ((u32)requests)
				lapic_set_reg(apic, reg, lapic_reg(apic, reg) | (u32)requests);
		}
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
	/* Whoever still reads the old value has marked its request before: it is found for REQ_EVENT. */
	WRITE_ONCE(apic->posting, posting);
	smp_mb();
	apic->status_stale = true;
	WRITE_ONCE(apic->irr_pending, true);
	vcpu_request(vcpu, REQ_EVENT);
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

void lapic_hw_left(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	apic->isr_stale = true;
	WRITE_ONCE(apic->irr_pending, true);
}

void lapic_hw_eoi(struct vcpu *vcpu, u8 vector)
{
	lapic_send_eoi(vcpu->lapic, vector);
}

void lapic_hw_eoi_vectors(struct vcpu *vcpu, u64 vectors[4])
{
	int i;

	BUILD_BUG_ON(sizeof(vcpu->vm->irq->eoi_vectors) != 4 * sizeof(*vectors));
	for (i = 0; i < 4; i++)
		vectors[i] = READ_ONCE(vcpu->vm->irq->eoi_vectors[i]);
}

/*
 * A vCPU that is in the guest leaves it before it can take an interrupt whose EOI it would keep to itself: requests are
 * seen by the CPU at an entry only, and this one then as well.
 */
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
