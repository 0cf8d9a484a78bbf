/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pair of 8259A interrupt controllers of a PC as a state machine. No kernel header, so that the
 * unit tests build it too.
 *
 * The state is KVM's, for KVM_GET_IRQCHIP. @last_irr is the level of each input, @init_state counts
 * the initialisation words, @init4 says that ICW4 comes.
 */
#ifndef NESTOR_PIC_LOGIC_H
#define NESTOR_PIC_LOGIC_H

#include <linux/kvm.h>

#include "emulate/types.h"

#define PIC_CASCADE	2	/* the slave's output is this input of the master */
#define PIC_SPURIOUS	7
#define PIC_NONE	8

#define PIC_ELCR_MASK_MASTER	0xf8
#define PIC_ELCR_MASK_SLAVE	0xde

struct pic_pair {
	struct kvm_pic_state chip[2];	/* master, slave */
	bool output;			/* INTR */
};

/**
 * struct pic_effect - what an access did beyond the registers
 * @acked: pins (0 to 15) that were acknowledged
 * @unmasked: pins that were unmasked
 * @refresh: outputs may have changed: call pic_refresh(), after those who wait for @acked were told
 */
struct pic_effect {
	u16 acked;
	u16 unmasked;
	bool refresh;
};

/* Rank of the most urgent pin in @mask, 0 the highest; PIC_NONE when it is empty. */
static inline int pic_rank(const struct kvm_pic_state *c, u8 mask)
{
	int rank = 0;

	if (!mask)
		return PIC_NONE;
	while (!(mask & 1u << ((rank + c->priority_add) & 7)))
		rank++;
	return rank;
}

/*
 * The pin that the chip requests service for, or -1. In special fully nested mode the slave may
 * interrupt again while one of its interrupts is in service in the master.
 */
static inline int pic_requested(const struct pic_pair *p, int n)
{
	const struct kvm_pic_state *c = &p->chip[n];
	int rank = pic_rank(c, c->irr & ~c->imr);
	u8 in_service = c->isr;

	if (c->special_fully_nested_mode && n == 0)
		in_service &= ~(1u << PIC_CASCADE);
	if (rank == PIC_NONE || rank >= pic_rank(c, in_service))
		return -1;
	return (rank + c->priority_add) & 7;
}

/* 1: a new request; 0: it was pending already; -1: masked. */
static inline int pic_input(struct kvm_pic_state *c, int pin, bool level)
{
	u8 bit = 1u << pin;
	int fresh = 1;

	if (level && (c->elcr & bit || !(c->last_irr & bit))) {
		fresh = !(c->irr & bit);
		c->irr |= bit;
	}
	if (!level && c->elcr & bit)
		c->irr &= ~bit;
	if (level)
		c->last_irr |= bit;
	else
		c->last_irr &= ~bit;
	return c->imr & bit ? -1 : fresh;
}

/* Carry requests from the slave to the master and from there to INTR. */
static inline void pic_refresh(struct pic_pair *p)
{
	if (pic_requested(p, 1) >= 0) {
		/* Edge triggered: each request is a pulse. */
		pic_input(&p->chip[0], PIC_CASCADE, true);
		pic_input(&p->chip[0], PIC_CASCADE, false);
	}
	p->output = pic_requested(p, 0) >= 0;
}

static inline void pic_end(struct pic_pair *p, int n, int pin, struct pic_effect *e)
{
	p->chip[n].isr &= ~(1u << pin);
	e->acked |= 1u << (pin + 8 * n);
}

/* INTA: in service from now on, except with automatic EOI. */
static inline void pic_begin(struct pic_pair *p, int n, int pin, struct pic_effect *e)
{
	struct kvm_pic_state *c = &p->chip[n];

	c->isr |= 1u << pin;
	/* A level stays requested while the line is high. */
	if (!(c->elcr & 1u << pin))
		c->irr &= ~(1u << pin);
	if (!c->auto_eoi)
		return;
	if (c->rotate_on_auto_eoi)
		c->priority_add = (pin + 1) & 7;
	pic_end(p, n, pin, e);
}

/* The CPU's interrupt acknowledge: the vector. A request that has gone meanwhile gives the spurious one. */
static inline u8 pic_acknowledge(struct pic_pair *p, struct pic_effect *e)
{
	int pin = pic_requested(p, 0), slave_pin;

	e->refresh = true;
	if (pin < 0)
		return p->chip[0].irq_base + PIC_SPURIOUS;
	pic_begin(p, 0, pin, e);
	if (pin != PIC_CASCADE)
		return p->chip[0].irq_base + pin;
	slave_pin = pic_requested(p, 1);
	if (slave_pin < 0)
		return p->chip[1].irq_base + PIC_SPURIOUS;
	pic_begin(p, 1, slave_pin, e);
	return p->chip[1].irq_base + slave_pin;
}

/* ICW1. Edges that were pending are lost, and count as acknowledged: who sent them may send again. */
static inline void pic_start_init(struct pic_pair *p, int n, u8 icw1, struct pic_effect *e)
{
	struct kvm_pic_state *c = &p->chip[n];
	u8 lost = c->irr & ~c->elcr;

	c->init4 = icw1 & 1;
	c->last_irr = 0;
	c->irr &= c->elcr;
	c->isr &= ~lost;
	c->imr = 0;
	c->priority_add = 0;
	c->special_mask = 0;
	c->read_reg_select = 0;
	if (!c->init4) {
		c->special_fully_nested_mode = 0;
		c->auto_eoi = 0;
	}
	c->init_state = 1;
	e->acked |= (u16)lost << (8 * n);
}

/* OCW2: EOI and priority rotation. */
static inline void pic_write_ocw2(struct pic_pair *p, int n, u8 value, struct pic_effect *e)
{
	struct kvm_pic_state *c = &p->chip[n];
	bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;
	int pin = value & 7, rank;

	if (!eoi && !specific) {
		c->rotate_on_auto_eoi = rotate;
		return;
	}
	if (eoi && !specific) {
		rank = pic_rank(c, c->isr);
		if (rank == PIC_NONE)
			return;
		pin = (rank + c->priority_add) & 7;
	} else if (!eoi && !rotate) {
		return;		/* no operation */
	}
	if (rotate)
		c->priority_add = (pin + 1) & 7;
	if (eoi)
		pic_end(p, n, pin, e);
	e->refresh = true;
}

static inline void pic_write_command(struct pic_pair *p, int n, u8 value, struct pic_effect *e)
{
	struct kvm_pic_state *c = &p->chip[n];

	if (value & 0x10) {
		pic_start_init(p, n, value, e);
	} else if (value & 0x08) {	/* OCW3 */
		if (value & 0x04)
			c->poll = 1;
		if (value & 0x02)
			c->read_reg_select = value & 1;
		if (value & 0x40)
			c->special_mask = value >> 5 & 1;
	} else {
		pic_write_ocw2(p, n, value, e);
	}
}

static inline void pic_write_data(struct pic_pair *p, int n, u8 value, struct pic_effect *e)
{
	struct kvm_pic_state *c = &p->chip[n];

	switch (c->init_state) {
	case 0:				/* OCW1 */
		e->unmasked |= (u16)(c->imr & ~value & 0xff) << (8 * n);
		c->imr = value;
		e->refresh = true;
		break;
	case 1:				/* ICW2 */
		c->irq_base = value & 0xf8;
		c->init_state = 2;
		break;
	case 2:				/* ICW3: a PC is wired in one way only */
		c->init_state = c->init4 ? 3 : 0;
		break;
	case 3:				/* ICW4 */
		c->special_fully_nested_mode = value >> 4 & 1;
		c->auto_eoi = value >> 1 & 1;
		c->init_state = 0;
		break;
	}
}

/* The read after a poll command is an acknowledge with its EOI. */
static inline u8 pic_read_poll(struct pic_pair *p, int n, struct pic_effect *e)
{
	struct kvm_pic_state *c = &p->chip[n];
	int pin = pic_requested(p, n);

	c->poll = 0;
	e->refresh = true;
	if (pin < 0)
		return PIC_SPURIOUS;
	if (n == 1) {
		p->chip[0].isr &= ~(1u << PIC_CASCADE);
		p->chip[0].irr &= ~(1u << PIC_CASCADE);
	}
	c->irr &= ~(1u << pin);
	pic_end(p, n, pin, e);
	return 0x80 | pin;
}

static inline u8 pic_read(struct pic_pair *p, int n, bool data, struct pic_effect *e)
{
	struct kvm_pic_state *c = &p->chip[n];

	if (c->poll)
		return pic_read_poll(p, n, e);
	if (data)
		return c->imr;
	return c->read_reg_select ? c->isr : c->irr;
}

#endif
