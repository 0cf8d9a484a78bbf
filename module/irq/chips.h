/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VM-wide interrupt controllers inside irq/.
 */
#ifndef NESTOR_CHIPS_H
#define NESTOR_CHIPS_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "irq/irq.h"
#include "irq/pic_logic.h"
#include "vm/iobus.h"

struct apic_map;
struct irq_table;
struct pit;

#define PIC_PINS	16
#define IOAPIC_PINS	KVM_IOAPIC_NUM_PINS

/**
 * struct pic - the pair of 8259s
 * @lines: per pin, who holds the line high
 */
struct pic {
	raw_spinlock_t lock;
	struct vm *vm;				/* [c] */
	struct pic_pair pair;			/* [lock], pair.output is read by everybody */
	unsigned long lines[PIC_PINS];		/* [lock] */
	struct iodev master, slave, elcr;
};

/**
 * struct ioapic - an 82093AA
 * @irr: pins whose line is high, or whose edge came
 * @delivered: pins whose edge has been sent; KVM_GET_IRQCHIP does not report these as pending
 * @storm: per pin, EOIs in a row that found the line still high
 */
struct ioapic {
	raw_spinlock_t lock;
	struct vm *vm;				/* [c] */
	u32 select, id, irr, delivered;		/* [lock] */
	u64 redir[IOAPIC_PINS];			/* [lock] */
	unsigned long lines[IOAPIC_PINS];	/* [lock] */
	u32 storm[IOAPIC_PINS];			/* [lock] */
	struct delayed_work reinject;
	struct iodev dev;
};

/**
 * struct vm_irq - a VM's interrupt controllers
 * @nr_pins: IRQCHIP_SPLIT: the first GSIs are pins of user space's I/O APIC
 * @table: routing table
 * @acks: list of struct irq_ack_notifier
 * @eoi_vectors: vectors whose EOI may concern an I/O APIC pin; the others cost one bit test
 * @nmi_lvt0s: number of APICs with lapic.lvt0_nmi
 * @map: APIC id to local APIC. Valid while its generation is @map_generation and it knows all vCPUs.
 */
struct vm_irq {
	enum irqchip_mode mode;			/* [c] */
	u32 nr_pins;				/* [c] */
	struct mutex lock;
	struct irq_table __rcu *table;		/* written under lock, read under vm->irq_srcu */
	struct hlist_head acks;			/* the same */
	unsigned long eoi_vectors[256 / BITS_PER_LONG];	/* [a] written under ioapic.lock or lock */
	atomic_t nmi_lvt0s;
	struct apic_map __rcu *map;		/* RCU; written by map_work */
	atomic64_t map_generation;
	struct work_struct map_work;
	struct vm *vm;				/* [c] */
	struct pic pic;
	struct ioapic ioapic;
	struct pit *pit;			/* [l], then constant */
};

/* A bit per source; the line is their OR. */
static inline bool irq_line(unsigned long *line, int source, bool level)
{
	if (level)
		__set_bit(source, line);
	else
		__clear_bit(source, line);
	return *line;
}

/* deliver.c */
void apic_map_init(struct vm_irq *irq);
void apic_map_destroy(struct vm_irq *irq);

/* routing.c */
int irq_default_routing(struct vm_irq *irq);
int irq_empty_routing(struct vm_irq *irq);
void irq_free_routing(struct vm_irq *irq);
void irq_publish_eoi_vectors(struct vm_irq *irq, const unsigned long *vectors);
/* Does the VMM's I/O APIC want this vCPU's EOI of @vector? */
bool irq_split_wants_eoi(struct vcpu *vcpu, u8 vector, bool level);
/* Ask the notifiers that resample to do so; @ask false: are there any? */
bool irq_resample(struct vm *vm, u32 chip, u32 pin, bool ask);
void irq_unmasked(struct vm *vm, u32 chip, u32 pin);

/* pic.c */
int pic_init(struct vm_irq *irq);
void pic_destroy(struct vm_irq *irq);
int pic_set_pin(struct pic *pic, u32 pin, int source, bool level);
int pic_take(struct pic *pic);
void pic_get(struct pic *pic, int chip, struct kvm_pic_state *state);
void pic_set(struct pic *pic, int chip, const struct kvm_pic_state *state);

/* ioapic.c */
int ioapic_init(struct vm_irq *irq);
void ioapic_destroy(struct vm_irq *irq);
int ioapic_set_pin(struct ioapic *ioapic, u32 pin, int source, bool level);
void ioapic_eoi(struct vcpu *vcpu, u8 vector, bool level);
void ioapic_update_eoi_vectors(struct ioapic *ioapic);
void ioapic_get(struct ioapic *ioapic, struct kvm_ioapic_state *state);
void ioapic_set(struct ioapic *ioapic, const struct kvm_ioapic_state *state);

/* pit.c */
void pit_unmasked(struct pit *pit);
void pit_destroy(struct vm_irq *irq);

#endif
