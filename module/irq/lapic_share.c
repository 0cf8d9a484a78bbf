// SPDX-License-Identifier: GPL-2.0
/*
 * Local APIC: what a guest and its APIC say to each other in guest memory, to save exits.
 *
 * PV EOI (MSR_KVM_PV_EOI_EN, and the APIC assist word of Hyper-V): a bit says that the interrupt in service needs no EOI
 * message. A guest that finds it set clears it instead of writing the EOI register. Set when nothing depends on the
 * EOI: no other interrupt waits, and no I/O APIC wants to know. Looked at behind every exit, so that in between
 * the APIC's registers are right.
 *
 * VAPIC (KVM_SET_VAPIC_ADDR): a word with TPR and the classes of what is in service and requested, for 32-bit guests
 * that user space has patched to use it. An APIC that is disabled leaves the word alone.
 *
 * In a burst a page may be gone for the moment: then the burst ends, and lapic_attend() is called again outside.
 */
#include <uapi/asm/kvm_para.h>

#include "irq/chips.h"
#include "irq/lapic.h"
#include "vm/ops.h"

#define PV_EOI_BIT	BIT(0)

static bool pv_eoi_fits(const struct vcpu *vcpu, struct lapic *apic)
{
	/* Where the CPU ends interrupts, an EOI costs no exit anyway. */
	return vcpu->pv_eoi & KVM_MSR_ENABLED && !apic->delivery && lapic_in_service(apic) >= 0 &&
	       !READ_ONCE(apic->irr_pending) && !test_bit(apic->isr_highest, vcpu->vm->irq->eoi_vectors);
}

static void offer_pv_eoi(struct vcpu *vcpu)
{
	static const u8 bit = PV_EOI_BIT;

	if (!vcpu_write_guest(vcpu, vcpu->pv_eoi & ~KVM_MSR_ENABLED, &bit, sizeof(bit)))
		vcpu->apic_attention |= APIC_PV_EOI;
}

/* 0, or -EAGAIN. */
static int collect_pv_eoi(struct vcpu *vcpu)
{
	u64 gpa = vcpu->pv_eoi & ~KVM_MSR_ENABLED;
	u8 word = PV_EOI_BIT;
	int r;

	r = vcpu_read_guest(vcpu, gpa, &word, sizeof(word));
	if (!r && word & PV_EOI_BIT) {
		word &= ~PV_EOI_BIT;
		r = vcpu_write_guest(vcpu, gpa, &word, sizeof(word));
		word |= PV_EOI_BIT;
	}
	if (r == -EAGAIN)
		return r;
	vcpu->apic_attention &= ~APIC_PV_EOI;
	/* Memory that is not there any more says nothing. */
	if (!r && !(word & PV_EOI_BIT)) {
		vcpu->stats.pv_eois++;
		lapic_eoi(vcpu->lapic);
	}
	return 0;
}

/* SDM, Task and Processor Priorities: the classes, and the request as a whole. */
static u32 vapic_word(struct lapic *apic)
{
	u32 isr = max(lapic_in_service(apic), 0), irr = max(apic_highest(apic->regs, APIC_IRR), 0);

	return (lapic_reg(apic, APIC_TASKPRI) & 0xff) | (isr & 0xf0) << 8 | irr << 24;
}

static int collect_vapic(struct vcpu *vcpu)
{
	u32 word;
	int r;

	r = vcpu_read_guest(vcpu, vcpu->vapic_gpa, &word, sizeof(word));
	if (r == -EAGAIN) {
		vcpu->apic_attention |= APIC_VAPIC_UNREAD;
		return r;
	}
	vcpu->apic_attention &= ~APIC_VAPIC_UNREAD;
	if (!r && (u8)word != (u8)lapic_reg(vcpu->lapic, APIC_TASKPRI))
		lapic_write_tpr(vcpu->lapic, word);
	/* A page that nobody wrote to is there for reading only, and lapic_share() cannot write to it. */
	if (!r && !vcpu->in_burst) {
		word = vapic_word(vcpu->lapic);
		vcpu_write_guest(vcpu, vcpu->vapic_gpa, &word, sizeof(word));
	}
	return 0;
}

/*
 * lapic_share - before an entry with events: what the guest shall find in memory
 *
 * In a burst a page that is not there ends it, where the guest would be told something old.
 */
void lapic_share(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;
	u32 word;

	if (pv_eoi_fits(vcpu, apic))
		offer_pv_eoi(vcpu);
	if (!(vcpu->apic_attention & APIC_VAPIC) || !apic->sw_enabled)
		return;
	word = vapic_word(apic);
	if (vcpu_write_guest(vcpu, vcpu->vapic_gpa, &word, sizeof(word)) == -EAGAIN) {
		vcpu->apic_attention |= APIC_VAPIC_UNREAD;
		vcpu_request(vcpu, REQ_EVENT);
		vcpu_request(vcpu, REQ_KICK);
	}
}

/*
 * lapic_attend - behind an exit: what the guest left in memory
 *
 * An EOI register that is written before this one has been collected ends the same interrupt, and this one then the
 * next: their number is right.
 */
void lapic_attend(struct vcpu *vcpu)
{
	int r = 0;

	if (vcpu->apic_attention & APIC_PV_EOI)
		r = collect_pv_eoi(vcpu);
	if (vcpu->apic_attention & APIC_VAPIC && vcpu->lapic->sw_enabled)
		r |= collect_vapic(vcpu);
	if (r)
		vcpu_request(vcpu, REQ_KICK);
}

/**
 * lapic_set_pv_eoi - where the guest has its EOI word
 * @vcpu: the vCPU
 * @data: the address, a multiple of 4, with KVM_MSR_ENABLED; or 0
 *
 * The bit is the lowest one of the word, in KVM's format as in Hyper-V's. 0, or -EINVAL.
 */
int lapic_set_pv_eoi(struct vcpu *vcpu, u64 data)
{
	u64 gpa = data & ~(u64)KVM_MSR_ENABLED;

	if (!IS_ALIGNED(gpa, 4))
		return -EINVAL;
	if (data & KVM_MSR_ENABLED && !vm_is_memory(vcpu->vm, gpa))
		return -EINVAL;
	vcpu->pv_eoi = data;
	return 0;
}

/**
 * lapic_set_vapic - KVM_SET_VAPIC_ADDR
 * @vcpu: with an APIC
 * @gpa: of the word; 0: none
 */
int lapic_set_vapic(struct vcpu *vcpu, u64 gpa)
{
	if (gpa && !(vm_is_memory(vcpu->vm, gpa) && vm_is_memory(vcpu->vm, gpa + sizeof(u32) - 1)))
		return -EINVAL;
	vcpu->vapic_gpa = gpa;
	vcpu->apic_attention &= ~(APIC_VAPIC | APIC_VAPIC_UNREAD);
	if (gpa)
		vcpu->apic_attention |= APIC_VAPIC;
	return 0;
}
