// SPDX-License-Identifier: GPL-2.0
/* Random cases: SplitMix64, so that a seed and a number make the same case everywhere. */
#include <inttypes.h>
#include <stdio.h>

#include "compare/compare.h"

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/**
 * case__generate() - make a random case
 * @c: filled in
 * @max_steps: of it
 * @seed: of the whole run
 * @number: of the case
 */
void case__generate(struct compare_case *c, unsigned int max_steps, uint64_t seed, uint64_t number)
{
	uint64_t state = seed ^ number * 0xd1342543de82ef95ULL;

	c->nr_steps = 1 + next(&state) % max_steps;
	for (unsigned int i = 0; i < c->nr_steps; i++)
		for (unsigned int w = 0; w < STEP_WORDS; w++)
			c->steps[i].word[w] = next(&state);
}

/**
 * step__mutate() - a value that is worth trying in place of another
 *
 * Most random numbers are as bad as each other; what matters are single bits, small numbers, masks and addresses.
 * A word of 0 changes nothing.
 */
uint64_t step__mutate(uint64_t old, uint64_t word)
{
	uint64_t rest = word >> 8;

	if (!word)
		return old;
	switch (word & 7) {
	case 0:
		return rest & 0xff;
	case 1:
	case 2:
		return old ^ 1ULL << (rest & 63);
	case 3:
		return old ^ 1ULL << (rest & 63) ^ 1ULL << (rest >> 6 & 63);
	case 4:
		return ~0ULL >> (rest & 63);
	case 5:
		return (rest & 0xfffff) << 12;
	case 6:
		return -(rest & 0xff);
	default:
		return rest * 0x9e3779b97f4a7c15ULL;
	}
}

/** step__words() - what step__mutate() makes of a value, in words */
void step__words(uint64_t word, char *buf, size_t size)
{
	uint64_t rest = word >> 8;

	switch (word ? word & 7 : 8) {
	case 8:
		snprintf(buf, size, "as it is");
		break;
	case 1:
	case 2:
		snprintf(buf, size, "with bit %u changed", (unsigned int)(rest & 63));
		break;
	case 3:
		snprintf(buf, size, "with bits %u and %u changed", (unsigned int)(rest & 63), (unsigned int)(rest >> 6 & 63));
		break;
	default:
		snprintf(buf, size, "0x%" PRIx64, step__mutate(0, word));
	}
}
