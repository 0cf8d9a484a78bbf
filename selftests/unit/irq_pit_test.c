// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the 8254's channels count, latch and read as the data sheet says.
 */
#include <string.h>

#include "irq/pit_logic.h"
#include "tap.h"

#define SECOND	PIT_NS_PER_SEC

static struct kvm_pit_channel_state channel(u8 mode, u32 count)
{
	return (struct kvm_pit_channel_state) { .mode = mode, .count = count, .rw_mode = PIT_WORD };
}

/* Any moment inside tick @n. */
static u64 at_tick(u64 n)
{
	return (n * SECOND + SECOND / 2) / PIT_HZ;
}

static void test_time(void)
{
	tap_ok(pit_ticks(SECOND) == PIT_HZ && pit_ticks(0) == 0, "ticks of a second");
	tap_ok(pit_ticks(~0ull) / PIT_HZ == ~0ull / SECOND,
	       "ticks of the longest time");
	tap_ok(pit_ns(PIT_HZ) == SECOND && pit_ns(0x10000) == 54925401, "length of a count");
}

static void test_counters(void)
{
	struct kvm_pit_channel_state c = channel(0, 1000);
	bool ok = true;
	u32 i;

	for (i = 0; i < 5000; i++)
		ok &= pit_counter(&c, at_tick(i)) == (u16)(1000 - i);
	tap_ok(ok, "mode 0 counts down, and through 0");
	tap_ok(!pit_output(&c, at_tick(999)) && pit_output(&c, at_tick(1000)), "mode 0 output rises at 0");

	c = channel(2, 1000);
	for (ok = true, i = 0; i < 5000; i++)
		ok &= pit_counter(&c, at_tick(i)) == 1000 - i % 1000;
	tap_ok(ok, "mode 2 reloads");

	c = channel(3, 1000);
	for (ok = true, i = 0; i < 5000; i++)
		ok &= pit_counter(&c, at_tick(i)) == 1000 - 2 * i % 1000;
	tap_ok(ok, "mode 3 counts by two");
	for (ok = true, i = 0; i < 5000; i++)
		ok &= pit_output(&c, at_tick(i)) == (i % 1000 < 500);
	tap_ok(ok, "mode 3 output is a square wave");

	c = channel(1, 10);
	tap_ok(pit_output(&c, at_tick(9)) && !pit_output(&c, at_tick(10)), "mode 1 output is a one-shot");
	c = channel(4, 10);
	tap_ok(!pit_output(&c, at_tick(9)) && pit_output(&c, at_tick(10)) && !pit_output(&c, at_tick(11)),
	       "mode 4 output is a strobe");
	c = channel(2, 0);
	tap_ok(pit_counter(&c, at_tick(1)) == 0xffff, "a count of 0 is 65536");
	c = channel(3, 0x80000000);
	tap_ok(pit_counter(&c, at_tick(1)) == 0xfffe, "a count that cannot be is 65536");
}

static void test_access(void)
{
	struct kvm_pit_channel_state c = channel(PIT_MODE_OFF, PIT_MAX_COUNT);
	u32 count = 0;

	pit_control(&c, 0x34, 0);
	tap_ok(c.mode == 2 && c.rw_mode == PIT_WORD && !c.bcd, "control word");
	tap_ok(!pit_write_count(&c, 0x34, &count) && pit_write_count(&c, 0x12, &count) && count == 0x1234,
	       "a word in two bytes");
	c.count = count;
	tap_ok(pit_read(&c, 0) == 0x34 && pit_read(&c, 0) == 0x12, "read in the same order");

	pit_latch_count(&c, at_tick(0x34));
	pit_latch_count(&c, at_tick(0x99));
	tap_ok(pit_read(&c, at_tick(0x77)) == 0x00 && pit_read(&c, at_tick(0x88)) == 0x12,
	       "a latched count stays until it is read");
	tap_ok(pit_read(&c, at_tick(1)) == 0x33, "then the counter again");
	pit_read(&c, 0);

	pit_latch_status(&c, 0);
	pit_latch_count(&c, at_tick(4));
	tap_ok(pit_read(&c, 0) == 0x34, "status comes before the count");
	tap_ok(pit_read(&c, 0) == 0x30 && pit_read(&c, 0) == 0x12, "then the latched count");

	pit_control(&c, 0x3c, 0);
	tap_ok(c.mode == 2, "mode 6 is mode 2");
	pit_control(&c, 0x3e, 0);
	tap_ok(c.mode == 3, "mode 7 is mode 3");
	pit_control(&c, 0x10, 0);
	tap_ok(pit_write_count(&c, 0x56, &count) && count == 0x56, "low byte only");
	pit_control(&c, 0x20, 0);
	tap_ok(pit_write_count(&c, 0x56, &count) && count == 0x5600, "high byte only");
}

static void test_gate(void)
{
	struct kvm_pit_channel_state c = channel(2, 100);

	tap_ok(pit_gate_restarts(&c, true) && !pit_gate_restarts(&c, false), "the gate's rise restarts mode 2");
	c.gate = 1;
	tap_ok(!pit_gate_restarts(&c, true), "a high gate does not rise");
	c = channel(0, 100);
	tap_ok(!pit_gate_restarts(&c, true), "mode 0 is not restarted");
}

int main(void)
{
	test_time();
	test_counters();
	test_access();
	test_gate();
	return tap_done();
}
