/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a channel of the 8254 timer shows, from the time since its count was loaded. No kernel header, so
 * that the unit tests build it too.
 */
#ifndef NESTOR_PIT_LOGIC_H
#define NESTOR_PIT_LOGIC_H

#include <linux/kvm.h>

#include "emulate/types.h"

#define PIT_HZ		1193182
#define PIT_NS_PER_SEC	1000000000ull
#define PIT_MAX_COUNT	0x10000		/* what a count of 0 means */
#define PIT_MODE_OFF	0xff		/* never programmed */

/* Access: the order in which a 16-bit count passes an 8-bit port. */
enum { PIT_LATCH, PIT_LSB, PIT_MSB, PIT_WORD, PIT_WORD_MSB };

/* Ticks in @ns; neither step overflows for any @ns. */
static inline u64 pit_ticks(u64 ns)
{
	return ns / PIT_NS_PER_SEC * PIT_HZ + ns % PIT_NS_PER_SEC * PIT_HZ / PIT_NS_PER_SEC;
}

static inline u64 pit_ns(u32 ticks)
{
	return ticks * PIT_NS_PER_SEC / PIT_HZ;
}

static inline u32 pit_initial(const struct kvm_pit_channel_state *c)
{
	return c->count && c->count <= PIT_MAX_COUNT ? c->count : PIT_MAX_COUNT;
}

/* The counter, @ns after it was loaded. */
static inline u16 pit_counter(const struct kvm_pit_channel_state *c, u64 ns)
{
	u32 initial = pit_initial(c);
	u64 ticks = pit_ticks(ns);

	switch (c->mode) {
	case 0:
	case 1:
	case 4:
	case 5:
		/* One-shot: at 0 it wraps and goes on. */
		return initial - ticks;
	case 3:
		/* Square wave: two steps at each tick, twice around for one period. */
		return initial - 2 * ticks % initial;
	default:
		return initial - ticks % initial;
	}
}

/* The output pin. */
static inline bool pit_output(const struct kvm_pit_channel_state *c, u64 ns)
{
	u32 initial = pit_initial(c);
	u64 ticks = pit_ticks(ns);

	switch (c->mode) {
	case 1:
		return ticks < initial;
	case 2:
		return ticks && ticks % initial == 0;
	case 3:
		return ticks % initial < (initial + 1) / 2;
	case 4:
	case 5:
		return ticks == initial;
	default:
		return ticks >= initial;
	}
}

static inline bool pit_is_periodic(u8 mode)
{
	return mode == 2 || mode == 3;
}

static inline void pit_latch_count(struct kvm_pit_channel_state *c, u64 ns)
{
	if (c->count_latched)
		return;
	c->latched_count = pit_counter(c, ns);
	c->count_latched = c->rw_mode;
}

static inline void pit_latch_status(struct kvm_pit_channel_state *c, u64 ns)
{
	if (c->status_latched)
		return;
	c->status = pit_output(c, ns) << 7 | (c->rw_mode & 3) << 4 | (c->mode & 7) << 1 | (c->bcd & 1);
	c->status_latched = 1;
}

/* A control word for this channel; not the read-back command. */
static inline void pit_control(struct kvm_pit_channel_state *c, u8 value, u64 ns)
{
	u8 access = value >> 4 & 3;

	if (access == PIT_LATCH) {
		pit_latch_count(c, ns);
		return;
	}
	c->rw_mode = access;
	c->read_state = access;
	c->write_state = access;
	c->mode = value >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;	/* the top bit does not count for modes 2 and 3 */
	c->bcd = value & 1;
}

/* A byte of the count. True: it is complete, in *@count. */
static inline bool pit_write_count(struct kvm_pit_channel_state *c, u8 value, u32 *count)
{
	switch (c->write_state) {
	case PIT_WORD:
		c->write_latch = value;
		c->write_state = PIT_WORD_MSB;
		return false;
	case PIT_WORD_MSB:
		*count = c->write_latch | value << 8;
		c->write_state = PIT_WORD;
		return true;
	case PIT_MSB:
		*count = value << 8;
		return true;
	default:
		*count = value;
		return true;
	}
}

static inline u8 pit_read_latched(struct kvm_pit_channel_state *c)
{
	switch (c->count_latched) {
	case PIT_WORD:
		c->count_latched = PIT_MSB;
		return c->latched_count;
	case PIT_MSB:
		c->count_latched = 0;
		return c->latched_count >> 8;
	default:
		c->count_latched = 0;
		return c->latched_count;
	}
}

static inline u8 pit_read(struct kvm_pit_channel_state *c, u64 ns)
{
	u16 count;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->count_latched)
		return pit_read_latched(c);
	count = pit_counter(c, ns);
	switch (c->read_state) {
	case PIT_WORD:
		c->read_state = PIT_WORD_MSB;
		return count;
	case PIT_WORD_MSB:
		c->read_state = PIT_WORD;
		return count >> 8;
	case PIT_MSB:
		return count >> 8;
	default:
		return count;
	}
}

/* Modes 0 and 4 stop while the gate is low, which is not modelled; the others start at its rise. */
static inline bool pit_gate_restarts(const struct kvm_pit_channel_state *c, bool gate)
{
	return gate && !c->gate && (c->mode == 1 || c->mode == 2 || c->mode == 3 || c->mode == 5);
}

#endif
