// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the pair of 8259s requests, acknowledges and ends interrupts in the right order.
 */
#include <string.h>

#include "irq/pic_logic.h"
#include "tap.h"

static struct pic_pair pic;
static u16 acked;

static void finish(const struct pic_effect *e)
{
	acked |= e->acked;
	if (e->refresh)
		pic_refresh(&pic);
}

static void command(int n, u8 value)
{
	struct pic_effect e = {};

	pic_write_command(&pic, n, value, &e);
	finish(&e);
}

static u16 data(int n, u8 value)
{
	struct pic_effect e = {};

	pic_write_data(&pic, n, value, &e);
	finish(&e);
	return e.unmasked;
}

static u8 read_port(int n, bool data_port)
{
	struct pic_effect e = {};
	u8 value = pic_read(&pic, n, data_port, &e);

	finish(&e);
	return value;
}

static u8 take(void)
{
	struct pic_effect e = {};
	u8 vector = pic_acknowledge(&pic, &e);

	finish(&e);
	return vector;
}

static int line(int pin, bool level)
{
	int r = pic_input(&pic.chip[pin / 8], pin % 8, level);

	pic_refresh(&pic);
	return r;
}

static void pulse(int pin)
{
	line(pin, true);
	line(pin, false);
}

/* As every PC's firmware and kernel do. */
static void init(u8 icw4)
{
	memset(&pic, 0, sizeof(pic));
	acked = 0;
	pic.chip[0].elcr_mask = PIC_ELCR_MASK_MASTER;
	pic.chip[1].elcr_mask = PIC_ELCR_MASK_SLAVE;
	command(0, 0x11);
	data(0, 0x20);
	data(0, 0x04);
	data(0, icw4);
	command(1, 0x11);
	data(1, 0x28);
	data(1, 0x02);
	data(1, icw4);
	data(0, 0);
	data(1, 0);
	acked = 0;
}

static void test_simple(void)
{
	init(1);
	tap_ok(!pic.output, "no request, no INTR");
	tap_ok(line(4, true) == 1 && pic.output, "an edge raises INTR");
	tap_ok(take() == 0x24 && !pic.output, "its vector, and INTR falls");
	line(4, true);
	tap_ok(!pic.chip[0].irr, "the same level again is no edge");
	line(4, false);
	pulse(4);
	tap_ok(!pic.output, "the same again waits for the EOI");
	command(0, 0x20);
	tap_ok(acked == 1 << 4 && pic.output, "EOI acknowledges, and the next one comes");
}

static void test_priority(void)
{
	init(1);
	pulse(5);
	pulse(3);
	tap_ok(take() == 0x23, "the lower pin first");
	tap_ok(!pic.output, "pin 5 does not interrupt pin 3");
	pulse(1);
	tap_ok(pic.output && take() == 0x21, "pin 1 interrupts pin 3");
	command(0, 0x20);
	tap_ok(acked == 1 << 1, "EOI ends the most urgent one");
	command(0, 0x63);
	tap_ok(acked == (1 << 1 | 1 << 3), "specific EOI ends the one it names");
	tap_ok(take() == 0x25, "then pin 5");
	command(0, 0xa0);
	pulse(5);
	pulse(6);
	tap_ok(take() == 0x26, "rotation puts the ended pin last");
	command(0, 0x20);
	tap_ok(take() == 0x25, "and it comes after all others");
	command(0, 0x20);
	command(0, 0xc7);
	pulse(7);
	pulse(0);
	tap_ok(take() == 0x20, "set priority: 7 is the lowest again");
}

static void test_mask(void)
{
	init(1);
	tap_ok(data(0, 0x10) == 0 && line(4, true) == -1 && !pic.output, "a masked pin raises nothing");
	tap_ok(data(0, 0x00) == 1 << 4 && pic.output, "unmasking lets the request through");
	tap_ok(read_port(0, true) == 0, "the mask can be read");
	tap_ok(read_port(0, false) == 0x10, "IRR can be read");
	take();
	command(0, 0x0b);
	tap_ok(read_port(0, false) == 0x10, "ISR can be read");
	data(1, 0xff);
	tap_ok(data(1, 0xbf) == 1 << 14, "the slave's pins are 8 to 15");
}

static void test_slave(void)
{
	init(1);
	pulse(12);
	tap_ok(pic.output && take() == 0x2c, "a slave's vector");
	tap_ok(pic.chip[0].isr == 1 << 2 && pic.chip[1].isr == 1 << 4, "both chips are in service");
	pulse(8);
	tap_ok(!pic.output, "the master holds back the slave's next one");
	command(1, 0x20);
	command(0, 0x20);
	tap_ok(acked == (1 << 12 | 1 << 2) && pic.output, "after both EOIs it comes");
	take();
	command(1, 0x20);
	command(0, 0x20);

	init(0x11);
	pulse(12);
	take();
	pulse(8);
	tap_ok(pic.output && take() == 0x28, "special fully nested: it interrupts");
}

static void test_level(void)
{
	init(1);
	pic.chip[1].elcr = 1 << 3;
	line(11, true);
	tap_ok(take() == 0x2b, "a level");
	command(1, 0x20);
	command(0, 0x20);
	tap_ok(pic.output, "still high: again");
	line(11, false);
	tap_ok(take() == 0x2f, "gone before the acknowledge: spurious, by the slave");
	tap_ok(pic.chip[1].isr == 0 && pic.chip[0].isr == 1 << 2, "only the master is in service");
	command(0, 0x20);
	tap_ok(!pic.output && take() == 0x27 && !pic.chip[0].isr, "spurious by the master");
}

static void test_auto_eoi(void)
{
	init(3);
	pulse(6);
	tap_ok(take() == 0x26 && acked == 1 << 6 && !pic.chip[0].isr, "automatic EOI");
	command(0, 0x80);
	pulse(6);
	take();
	pulse(6);
	pulse(7);
	tap_ok(take() == 0x27, "automatic EOI with rotation");
}

static void test_poll(void)
{
	init(1);
	command(0, 0x0c);
	tap_ok(read_port(0, false) == 7, "poll without a request");
	pulse(6);
	command(0, 0x0c);
	tap_ok(read_port(0, false) == 0x86 && acked == 1 << 6 && !pic.output, "poll takes and ends it");
	pulse(10);
	command(1, 0x0c);
	tap_ok(read_port(1, false) == 0x82 && !pic.output, "poll of the slave clears the master's input");
}

static void test_init(void)
{
	init(1);
	pulse(6);
	command(0, 0x11);
	tap_ok(acked == 1 << 6 && !pic.chip[0].irr, "ICW1 forgets edges, and says so");
}

/* Whatever user space restores, nothing loops and no index leaves its array. */
static void test_any_state(void)
{
	unsigned int seed = 1, i, k;

	for (i = 0; i < 200000; i++) {
		for (k = 0; k < sizeof(pic.chip); k++) {
			seed = seed * 1103515245 + 12345;
			((u8 *)pic.chip)[k] = seed >> 16;
		}
		pic_refresh(&pic);
		take();
		read_port(i & 1, i & 2);
		command(i & 1, seed >> 8);
		data(i & 1, seed >> 9);
	}
	tap_ok(true, "any state can be run");
}

int main(void)
{
	test_simple();
	test_priority();
	test_mask();
	test_slave();
	test_level();
	test_auto_eoi();
	test_poll();
	test_init();
	test_any_state();
	return tap_done();
}
