/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arithmetic of clocks: frequencies as fixed-point ratios. Knows no kernel, so that unit tests can
 * include it.
 */
#ifndef NESTOR_CPU_TIMESCALE_H
#define NESTOR_CPU_TIMESCALE_H

#include "emulate/types.h"

/**
 * struct timescale - converts ticks of one clock into another's, as pvclock pages have it
 *
 * out = (in << @shift) * @mul / 2^32, a negative shift going right.
 */
struct timescale {
	s8 shift;
	u32 mul;
};

/**
 * timescale_make - from @from_hz to @to_hz
 *
 * Both between 1 and 2^60. The multiplier has its highest bit set, for precision.
 */
static inline struct timescale timescale_make(u64 from_hz, u64 to_hz)
{
	u64 from = from_hz, to = to_hz;
	struct timescale s = { 0 };

	while (to >= from) {
		from <<= 1;
		s.shift++;
	}
	while (2 * to < from) {
		to <<= 1;
		s.shift--;
	}
	/* Now 1/2 <= to / from < 1; both into 32 bits. */
	while (from >> 32) {
		from >>= 1;
		to >>= 1;
	}
	/* Equal only by the rounding just done. */
	s.mul = to < from ? (to << 32) / from : ~0u;
	return s;
}

static inline u64 timescale_apply(struct timescale s, u64 delta)
{
	if (s.shift < 0)
		delta >>= -s.shift;
	else
		delta <<= s.shift;
	return (u64)(((unsigned __int128)delta * s.mul) >> 32);
}

/* TSC scaling: @ratio has @frac_bits bits behind the point. */
static inline u64 tsc_scale(u64 tsc, u64 ratio, u8 frac_bits)
{
	return (u64)(((unsigned __int128)tsc * ratio) >> frac_bits);
}

/**
 * tsc_ratio - guest frequency to host frequency
 *
 * 0 when it does not fit into 64 bits. @host_khz below 2^32.
 */
static inline u64 tsc_ratio(u32 guest_khz, u32 host_khz, u8 frac_bits)
{
	u64 whole = guest_khz / host_khz, rest = guest_khz % host_khz, frac = 0;
	int i;

	if (frac_bits && whole >> (64 - frac_bits))
		return 0;
	/* Long division, bit by bit: 128-bit division is not in the kernel. */
	for (i = 0; i < frac_bits; i++) {
		rest <<= 1;
		frac <<= 1;
		if (rest >= host_khz) {
			rest -= host_khz;
			frac |= 1;
		}
	}
	return (whole << frac_bits) | frac;
}

/* Is @khz within @ppm millionths of @base? */
static inline bool khz_within(u32 khz, u32 base, u32 ppm)
{
	u64 slack = (u64)base * ppm / 1000000;

	return khz >= base - slack && khz <= base + slack;
}

#endif
