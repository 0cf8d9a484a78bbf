// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the local APIC's arithmetic is right: vector search, priorities, destinations, timers.
 */
#include <stdlib.h>
#include <string.h>

#include "irq/apic_logic.h"
#include "tap.h"

static _Alignas(4096) u8 page[4096];

static void set_vector(u8 vector)
{
	*apic_vector_word(page, 0x200, vector) |= 1u << vector % 32;
}

static void test_highest(void)
{
	bool ok = true;
	int limit, i, want;

	ok &= apic_highest(page, 0x200) == -1;
	for (i = 0; i < 2000; i++) {
		u8 vectors[3] = { rand(), rand(), rand() };

		memset(page, 0, sizeof(page));
		/* The words next to the registers belong to nobody. */
		memset(page + 0x1f4, 0xff, 12);
		memset(page + 0x204, 0xff, 12);
		memset(page + 0x280, 0xff, 16);
		set_vector(vectors[0]);
		set_vector(vectors[1]);
		set_vector(vectors[2]);
		limit = rand() & 0xff;
		want = -1;
		for (int v = 0; v < 3; v++)
			if (vectors[v] <= limit && vectors[v] > want)
				want = vectors[v];
		ok &= apic_highest_upto(page, 0x200, limit) == want;
	}
	tap_ok(ok, "the highest vector not above a limit");
}

static void test_ppr(void)
{
	tap_ok(apic_ppr(0x20, -1) == 0x20, "PPR is TPR with nothing in service");
	tap_ok(apic_ppr(0x00, -1) == 0x00, "PPR is 0 with neither");
	tap_ok(apic_ppr(0x2f, 0x2a) == 0x2f, "PPR is all of TPR in the same class");
	tap_ok(apic_ppr(0x2f, 0x31) == 0x30, "PPR is the class in service when that is higher");
}

static void test_divisor(void)
{
	static const u8 tdcr[] = { 0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa };
	unsigned int i;
	bool ok = true;

	for (i = 0; i < sizeof(tdcr); i++)
		ok &= apic_divisor(tdcr[i]) == 1u << i;
	tap_ok(ok, "divide configurations are 1 to 128");
	tap_ok(apic_divisor(0xfffffff4) == 2, "bits without a meaning are ignored");
}

static struct apic_address xapic(u8 id, u8 logical, u32 dfr)
{
	return (struct apic_address) {
		.x2apic_id = id, .xapic_id = id, .ldr = (u32)logical << 24, .dfr = dfr,
	};
}

static struct apic_address x2apic(u32 id)
{
	return (struct apic_address) {
		.x2apic = true, .x2apic_id = id, .xapic_id = id, .ldr = apic_x2apic_ldr(id),
		.dfr = APIC_DFR_IS_FLAT,
	};
}

static void test_physical(void)
{
	struct apic_address a = xapic(5, 0, APIC_DFR_IS_FLAT), b = x2apic(5);

	tap_ok(apic_match_physical(&a, 5) && !apic_match_physical(&a, 6), "xAPIC id");
	tap_ok(apic_match_physical(&a, 0xff), "xAPIC broadcast");
	tap_ok(!apic_match_physical(&a, 0xffffffff), "32-bit broadcast is none for an xAPIC");
	a.xapic_id = 9;
	tap_ok(apic_match_physical(&a, 9) && !apic_match_physical(&a, 5), "an xAPIC id can be changed");

	tap_ok(apic_match_physical(&b, 5) && !apic_match_physical(&b, 0x105), "x2APIC id, all 32 bits");
	tap_ok(!apic_match_physical(&b, 0xff), "0xff is an ordinary id in x2APIC mode");
	tap_ok(apic_match_physical(&b, 0xffffffff), "x2APIC broadcast");

	a = xapic(0x05, 0, APIC_DFR_IS_FLAT);
	a.x2apic_id = 0x105;
	tap_ok(apic_match_physical(&a, 0x105) && apic_match_physical(&a, 5),
	       "an id above 255 reaches a CPU that is still in xAPIC mode");
}

static void test_logical(void)
{
	struct apic_address a = xapic(0, 0x04, APIC_DFR_IS_FLAT);
	struct apic_address c = xapic(0, 0x24, APIC_DFR_IS_CLUSTER), b;

	tap_ok(apic_match_logical(&a, 0x06) && !apic_match_logical(&a, 0x03), "flat: any common bit");
	tap_ok(apic_match_logical(&a, 0xff), "flat: broadcast");
	tap_ok(apic_match_logical(&c, 0x26) && !apic_match_logical(&c, 0x16) &&
	       !apic_match_logical(&c, 0x23), "cluster: the same cluster and a common bit");
	a.dfr = 0x8fffffff;
	tap_ok(!apic_match_logical(&a, 0x04), "a model that does not exist matches nothing");

	b = x2apic(0x123);
	tap_ok(b.ldr == (0x12 << 16 | 1 << 3), "x2APIC logical id");
	tap_ok(apic_match_logical(&b, 0x12 << 16 | 0xffff) && !apic_match_logical(&b, 0x13 << 16 | 8) &&
	       !apic_match_logical(&b, 0x12 << 16 | 0xfff7), "x2APIC: the same cluster and a common bit");
}

static void test_nth_bit(void)
{
	tap_ok(apic_nth_bit(0x8000, 0) == 15 && apic_nth_bit(0x8421, 0) == 0 &&
	       apic_nth_bit(0x8421, 2) == 10 && apic_nth_bit(0x8421, 3) == 15, "n-th bit");
}

static void test_time(void)
{
	const u64 max = 0x7fffffffffffffffull;
	bool ok = true;
	int i;

	tap_ok(apic_cycles_to_ns(2000000, 2000000, max) == 1000000, "a millisecond of a 2 GHz TSC");
	tap_ok(apic_cycles_to_ns(1, 3000000, max) == 0, "less than a nanosecond");
	tap_ok(apic_cycles_to_ns(~0ull, 1, max) == max, "longest delay, slowest TSC");
	tap_ok(apic_cycles_to_ns(~0ull, 0xffffffff, max) <= max, "longest delay, fastest TSC");
	for (i = 0; i < 100000; i++) {
		u64 cycles = ((u64)rand() << 33 ^ (u64)rand() << 16 ^ rand()) >> rand() % 64;
		u32 khz = 1 + rand() % 10000000;
		unsigned __int128 want = (unsigned __int128)cycles * 1000000 / khz;

		if (want > max)
			want = max;
		ok &= apic_cycles_to_ns(cycles, khz, max) == (u64)want;
	}
	tap_ok(ok, "cycles to nanoseconds against 128-bit arithmetic");

	tap_ok(apic_mul_max(1ull << 40, 1ull << 30, max) == max &&
	       apic_mul_max(3, 5, max) == 15 && apic_mul_max(3, 5, 14) == 14, "bounded products");
}

static void test_msi(void)
{
	tap_ok(apic_msi_dest(0xfee12000, 0xabcdef00, false) == 0x12, "8-bit MSI destination");
	tap_ok(apic_msi_dest(0xfee12000, 0xabcdef00, true) == 0xabcdef12, "32-bit MSI destination");
}

int main(void)
{
	test_highest();
	test_ppr();
	test_divisor();
	test_physical();
	test_logical();
	test_nth_bit();
	test_time();
	test_msi();
	return tap_done();
}
