// SPDX-License-Identifier: GPL-2.0
/*
 * Verify the arithmetic of clocks: pvclock's shift and multiplier, TSC scaling ratios, tolerances.
 */
#include <stdlib.h>

#include "cpu/timescale.h"
#include "tap.h"

#define GHZ	1000000000ull

static u64 apart(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

/* An hour's worth of ticks must come out right to a part in 2^31. */
static bool exact(u64 from_hz, u64 to_hz)
{
	struct timescale s = timescale_make(from_hz, to_hz);
	u64 got = timescale_apply(s, from_hz * 3600);

	return s.mul & 1u << 31 && apart(got, to_hz * 3600) <= (to_hz * 3600 >> 30) + 1;
}

static void test_timescale(void)
{
	static const u64 tsc_hz[] = {
		1000, 999999, 1000000, 32768, 66666666, GHZ / 2, GHZ - 1, GHZ, GHZ + 1, 2 * GHZ,
		2100000000, 2893202000, 4 * GHZ, 4294967295, 4294967296, 4294967297, 5100000000,
		10 * GHZ,
	};
	bool good = true;
	size_t i;
	int n;

	for (i = 0; i < sizeof(tsc_hz) / sizeof(tsc_hz[0]); i++) {
		tap_ok(exact(tsc_hz[i], GHZ), "%llu Hz to ns", (unsigned long long)tsc_hz[i]);
		good &= exact(GHZ, tsc_hz[i]);
	}
	tap_ok(good, "and back");
	srand(1);
	for (good = true, n = 0; n < 100000; n++)
		good &= exact((u64)rand() * 3 + 1000, (u64)rand() * 2 + 1000);
	tap_ok(good, "random frequencies");
}

static void test_ratio(void)
{
	u64 vmx = tsc_ratio(2000000, 1000000, 48), svm = tsc_ratio(1500000, 1000000, 32);
	u64 third = tsc_ratio(1000000, 3000000, 48);

	tap_ok(vmx == 2ull << 48, "twice the frequency, VMX");
	tap_ok(svm == 3ull << 31, "one and a half, SVM");
	tap_ok(tsc_scale(1000, vmx, 48) == 2000, "scales by two");
	tap_ok(tsc_scale(1ull << 60, svm, 32) == 3ull << 59, "large counts do not overflow");
	tap_ok(apart(tsc_scale(3000000000000ull, third, 48), 1000000000000ull) <= 1, "a third");
	tap_ok(!tsc_ratio(~0u, 1, 48), "a ratio that does not fit");
	tap_ok(tsc_ratio(1, ~0u, 48) == (1ull << 48) / ~0u, "the smallest");
}

static void test_tolerance(void)
{
	tap_ok(khz_within(2000000, 2000000, 250), "equal");
	tap_ok(khz_within(2000500, 2000000, 250) && khz_within(1999500, 2000000, 250), "at the edge");
	tap_ok(!khz_within(2000501, 2000000, 250) && !khz_within(1999499, 2000000, 250), "past it");
}

int main(void)
{
	test_timescale();
	test_ratio();
	test_tolerance();
	return tap_done();
}
