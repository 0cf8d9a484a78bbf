/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_UNIT_RANDOM_H
#define NESTOR_UNIT_RANDOM_H

#include "emulate/types.h"

/* SplitMix64: any seed is a good one, and the same seed gives the same numbers everywhere. */
static u64 rng_state;

static inline u64 rnd(void)
{
	u64 z = rng_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline unsigned int below(unsigned int n)
{
	return rnd() % n;
}

static inline bool one_in(unsigned int n)
{
	return !below(n);
}

#endif
