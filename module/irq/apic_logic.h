/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a local APIC computes: priorities, destinations, timer arithmetic. No kernel header, so
 * that the unit tests build it too.
 */
#ifndef NESTOR_APIC_LOGIC_H
#define NESTOR_APIC_LOGIC_H

#include "emulate/types.h"

#define APIC_DEST_BROADCAST	0xffu
#define X2APIC_DEST_BROADCAST	0xffffffffu
#define APIC_DFR_IS_FLAT	0xffffffffu
#define APIC_DFR_IS_CLUSTER	0x0fffffffu

/* Eight 32-bit words, 16 bytes apart, hold the 256 bits of IRR, ISR and TMR. */
static inline volatile u32 *apic_vector_word(void *regs, u32 base, u8 vector)
{
	return (volatile u32 *)((char *)regs + base + (vector / 32) * 0x10);
}

/* The highest set bit that is not above @limit, or -1. */
static inline int apic_highest_upto(void *regs, u32 base, u8 limit)
{
	int word = limit / 32;
	u32 bits = *apic_vector_word(regs, base, limit) & (0xffffffffu >> (31 - limit % 32));

	while (!bits) {
		if (--word < 0)
			return -1;
		bits = *apic_vector_word(regs, base, word * 32);
	}
	return word * 32 + 31 - __builtin_clz(bits);
}

static inline int apic_highest(void *regs, u32 base)
{
	return apic_highest_upto(regs, base, 255);
}

/* SDM, Task and Processor Priorities. @isr: highest vector in service or -1. */
static inline u8 apic_ppr(u8 tpr, int isr)
{
	u8 isr_class = isr < 0 ? 0 : isr & 0xf0;

	return (tpr & 0xf0) >= isr_class ? tpr : isr_class;
}

/* SDM, Logical Destination Mode in x2APIC Mode. */
static inline u32 apic_x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1u << (id & 0xf);
}

/**
 * struct apic_address - what decides whether a message is for this APIC
 * @x2apic_id: the initial id, which is the id in x2APIC mode
 * @xapic_id: as the guest may have changed it
 * @ldr: the register; in xAPIC mode the logical id is in its top byte
 */
struct apic_address {
	bool x2apic;
	u32 x2apic_id;
	u8 xapic_id;
	u32 ldr;
	u32 dfr;
};

static inline bool apic_is_broadcast(const struct apic_address *a, u32 mda)
{
	return mda == (a->x2apic ? X2APIC_DEST_BROADCAST : APIC_DEST_BROADCAST);
}

/*
 * A vCPU that starts in xAPIC mode with an id above 255 can be reached by that id all the same: no
 * xAPIC id can mean it, and how else would a hot-plugged one get its INIT.
 */
static inline bool apic_has_id(const struct apic_address *a, u32 id)
{
	return id == (a->x2apic || id > 0xff ? a->x2apic_id : a->xapic_id);
}

static inline bool apic_match_physical(const struct apic_address *a, u32 mda)
{
	return apic_is_broadcast(a, mda) || apic_has_id(a, mda);
}

static inline bool apic_match_logical(const struct apic_address *a, u32 mda)
{
	u32 id = a->ldr;

	if (apic_is_broadcast(a, mda))
		return true;
	if (a->x2apic)
		return id >> 16 == mda >> 16 && (id & mda & 0xffff);
	id >>= 24;
	if (a->dfr == APIC_DFR_IS_FLAT)
		return id & mda;
	if (a->dfr == APIC_DFR_IS_CLUSTER)
		return id >> 4 == mda >> 4 && (id & mda & 0xf);
	return false;
}

/* Position of the @n-th set bit of @mask, counted from 0; @mask has more than @n bits. */
static inline unsigned int apic_nth_bit(u16 mask, unsigned int n)
{
	while (n--)
		mask &= mask - 1;
	return __builtin_ctz(mask);
}

/* SDM, Divide Configuration Register: 1 to 128. */
static inline u32 apic_divisor(u32 tdcr)
{
	return 1u << ((((tdcr & 3) | (tdcr & 8) >> 1) + 1) & 7);
}

/* a * b, or @max when that is smaller. */
static inline u64 apic_mul_max(u64 a, u64 b, u64 max)
{
	u64 product;

	if (__builtin_mul_overflow(a, b, &product) || product > max)
		return max;
	return product;
}

/*
 * Guest TSC cycles to nanoseconds, @max when it is longer. No mul_u64_u64_div_u64(): its quotient
 * overflows into a divide error, and both the deadline and the frequency are the guest's or the VMM's.
 */
static inline u64 apic_cycles_to_ns(u64 cycles, u32 khz, u64 max)
{
	u64 ms = cycles / khz, ns = (cycles % khz) * 1000000 / khz;

	if (ms > (max - ns) / 1000000)
		return max;
	return ms * 1000000 + ns;
}

/* MSI address: bits 19:12, and with 32-bit ids address_hi 31:8 above them. */
static inline u32 apic_msi_dest(u32 address_lo, u32 address_hi, bool ids_32bit)
{
	u32 dest = address_lo >> 12 & 0xff;

	return ids_32bit ? dest | (address_hi & 0xffffff00) : dest;
}

#endif
