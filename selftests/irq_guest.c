// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a guest's local APIC works, in xAPIC and in x2APIC mode and on the way between them: registers, priorities,
 * IPIs to itself, the timer, level-triggered interrupts. All of it is the same whatever the CPU does of it, and where the
 * CPU does it there are no exits.
 *
 * nestor-test: cpu=amd
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 * nestor-test: cpu=intel params=apic_accel=none timeout=900
 * nestor-test: cpu=amd-bochs tlb=tagged params=apic_accel=avic,ipi timeout=900
 */
#include <string.h>

#include "apic.h"
#include "flat.h"
#include "self.h"
#include "tap.h"

#define APIC		0xfee00000ul
#define IOAPIC		0xfec00000ul
#define MOVED		0xfed00000ul
#define PIN		4

/* What the guest asks of the host. */
enum { DONE, LINE_UP, LINE_DOWN, COUNT, COUNTED };

#define ROUNDS		100

static struct self s;
static bool x2apic;	/* the guest's mode */

static uint32_t read32(uint64_t address)
{
	uint32_t value;

	asm volatile("movl (%1), %0" : "=r" (value) : "r" (address) : "memory");
	return value;
}

static void write32(uint64_t address, uint32_t value)
{
	asm volatile("movl %0, (%1)" : : "r" (value), "r" (address) : "memory");
}

static uint32_t get(uint32_t reg)
{
	return x2apic ? self_rdmsr(MSR_X2APIC(reg)) : read32(APIC + reg);
}

static void put(uint32_t reg, uint32_t value)
{
	if (x2apic)
		self_wrmsr(MSR_X2APIC(reg), value);
	else
		write32(APIC + reg, value);
}

static bool bit(uint32_t base, uint8_t vector)
{
	return get(base + vector / 32 * 0x10) >> vector % 32 & 1;
}

/* The interrupt that gets through now; -1: none. */
static int64_t take(void)
{
	int64_t vector = SELF_TRY("sti\n nop\n nop\n nop\n cli", "i" (0));

	asm volatile("cli");
	return vector;
}

static int64_t wait(void)
{
	int64_t vector = SELF_TRY("sti\n hlt", "i" (0));

	asm volatile("cli");
	return vector;
}

/* By the ICR's shorthand. */
static void to_self(uint8_t vector)
{
	put(APIC_ICR, 0x44000 | vector);
}

static uint64_t read_cr8(void)
{
	uint64_t value;

	asm volatile("mov %%cr8, %0" : "=r" (value));
	return value;
}

static void write_cr8(uint64_t value)
{
	asm volatile("mov %0, %%cr8" : : "r" (value) : "memory");
}

static void test_common_registers(void)
{
	uint32_t count;

	CHECK_IS(get(APIC_LVR) & 0xff, 0x14, "the version");
	put(APIC_SPIV, APIC_ENABLE);
	CHECK_IS(get(APIC_SPIV), APIC_ENABLE, "SPIV");
	put(APIC_TASKPRI, 0x25);
	CHECK_IS(get(APIC_TASKPRI), 0x25, "TPR");
	CHECK_IS(get(APIC_PROCPRI), 0x25, "PPR follows TPR");
	CHECK_IS(read_cr8(), 2, "so does CR8");
	write_cr8(0xd);
	CHECK_IS(get(APIC_TASKPRI), 0xd0, "and TPR follows CR8");
	put(APIC_TASKPRI, 0);
	CHECK_IS(read_cr8(), 0, "both ways");
	put(APIC_LVT1, ~0u);
	CHECK_IS(get(APIC_LVT1) & ~0x1f7ffu, 0, "LVT: only defined bits stay");
	put(APIC_LVT1, 0x10000);
	put(APIC_TDCR, 0xb);
	CHECK_IS(get(APIC_TDCR), 0xb, "TDCR");
	put(APIC_LVTT, 0x10053);
	put(APIC_TMICT, 0x40000000);
	CHECK_IS(get(APIC_TMICT), 0x40000000, "the timer's initial count");
	count = get(APIC_TMCCT);
	CHECK(count && count <= 0x40000000 && get(APIC_TMCCT) <= count, "its current count goes down");
	put(APIC_TMICT, 0);
	CHECK_IS(get(APIC_TMCCT), 0, "and stops");
}

static void test_xapic_registers(void)
{
	uint8_t high;

	CHECK_IS(get(APIC_ID), 0, "the id");
	put(APIC_ID, 0x05ffffff);
	CHECK_IS(get(APIC_ID), 0x05000000, "is writable");
	asm volatile("movb (%1), %0" : "=r" (high) : "r" (APIC + APIC_ID + 3) : "memory");
	CHECK_IS(high, 5, "a byte of a register");
	put(APIC_ID, 0);
	put(APIC_LDR, ~0u);
	CHECK_IS(get(APIC_LDR), 0xff000000, "LDR");
	put(APIC_DFR, 0);
	CHECK_IS(get(APIC_DFR), 0x0fffffff, "DFR");
	put(APIC_DFR, ~0u);
	put(APIC_ESR, ~0u);
	CHECK_IS(get(APIC_ESR), 0, "no error");
	put(APIC_ICR2, ~0u);
	CHECK_IS(get(APIC_ICR2), 0xff000000, "ICR's upper half");
	put(APIC_ICR2, 0);
	CHECK_IS(get(APIC_EOI), 0, "EOI is not to be read");
	put(APIC_LVR, 0);
	CHECK_IS(get(APIC_LVR) & 0xff, 0x14, "nor the version to be written");
	CHECK_IS(get(0x10), 0, "what is no register");
}

static void test_interrupts(void)
{
	to_self(0x51);
	CHECK(bit(APIC_IRR, 0x51), "an IPI to itself is requested");
	CHECK_IS(take(), 0x51, "and taken");
	CHECK(bit(APIC_ISR, 0x51) && !bit(APIC_IRR, 0x51), "it is in service");
	CHECK_IS(get(APIC_PROCPRI), 0x50, "with its priority");
	put(APIC_EOI, 0);
	CHECK(!bit(APIC_ISR, 0x51), "EOI ends it");
	CHECK_IS(get(APIC_PROCPRI), 0, "and its priority");
	to_self(0x51);
	to_self(0x61);
	CHECK_IS(take(), 0x61, "of two the higher one comes first");
	CHECK_IS(take(), -1, "the other waits");
	put(APIC_EOI, 0);
	CHECK_IS(take(), 0x51, "until EOI");
	put(APIC_EOI, 0);
	put(APIC_TASKPRI, 0x60);
	to_self(0x51);
	CHECK_IS(take(), -1, "TPR holds it back");
	write_cr8(5);
	CHECK_IS(take(), -1, "and CR8");
	write_cr8(0);
	CHECK_IS(take(), 0x51, "until it is lowered");
	put(APIC_EOI, 0);
	if (x2apic) {
		self_wrmsr(MSR_X2APIC(APIC_ICR), 0x4052);
		CHECK_IS(take(), 0x52, "by its id");
		put(APIC_EOI, 0);
		put(APIC_SELF_IPI, 0x54);
		CHECK_IS(take(), 0x54, "by SELF_IPI");
	} else {
		put(APIC_ICR2, 0);
		put(APIC_ICR, 0x4052);
		CHECK_IS(take(), 0x52, "by its id");
	}
	put(APIC_EOI, 0);
	put(APIC_TASKPRI, 0);
	put(APIC_LVTT, 0x53);
	put(APIC_TMICT, 1000);
	CHECK_IS(wait(), 0x53, "the timer");
	put(APIC_EOI, 0);
	put(APIC_EOI, 0);
	CHECK_IS(take(), -1, "nothing is left");
}

static void set_pin(uint32_t low)
{
	write32(IOAPIC, 0x11 + 2 * PIN);
	write32(IOAPIC + 0x10, 0);
	write32(IOAPIC, 0x10 + 2 * PIN);
	write32(IOAPIC + 0x10, low);
}

/* The I/O APIC has to hear of the EOI, of a vector that was nothing to it a moment ago. */
static void test_level(uint8_t vector)
{
	to_self(vector);
	CHECK_IS(take(), vector, "an edge");
	put(APIC_EOI, 0);
	set_pin(0x8000 | vector);
	self_exit(LINE_UP);
	CHECK_IS(take(), vector, "a level-triggered interrupt");
	CHECK_IS(take(), -1, "once");
	put(APIC_EOI, 0);
	CHECK_IS(take(), vector, "and again while the line is high");
	self_exit(LINE_DOWN);
	put(APIC_EOI, 0);
	CHECK_IS(take(), -1, "but not when it is low");
	self_exit(LINE_UP);
	CHECK_IS(take(), vector, "the next one");
	self_exit(LINE_DOWN);
	put(APIC_EOI, 0);
	set_pin(0x10000);
}

static void test_cost(void)
{
	unsigned int i;

	self_exit(COUNT);
	for (i = 0; i < ROUNDS; i++) {
		put(APIC_TASKPRI, 0x10);
		if (x2apic)
			put(APIC_SELF_IPI, 0x61);
		else
			to_self(0x61);
		take();
		put(APIC_EOI, get(APIC_ISR) & 0);
		put(APIC_TASKPRI, 0);
	}
	self_exit(COUNTED);
}

static void base(uint64_t value)
{
	self_wrmsr(MSR_APIC_BASE, value | APIC_BASE_BSP);
}

static void guest(void)
{
	asm volatile("cli");
	self_map_apics();
	/* The PIC has the line as well. */
	put(APIC_LVT0, 0x10000);
	/* Bochs forgets the vector of a virtual interrupt whose delivery exits because the host has no page for it yet. */
	CHECK_IS(SELF_TRY("int $0x51", "i" (0)), 0x51, "a handler");
	CHECK_IS(SELF_TRY("int $0x73", "i" (0)), 0x73, "and another");
	test_common_registers();
	test_xapic_registers();
	test_interrupts();
	test_level(0x71);
	test_cost();
	base(APIC | APIC_BASE_ON | APIC_BASE_X2);
	CHECK_IS(read32(APIC + APIC_LVR), ~0u, "x2APIC mode: nothing is in the page");
	x2apic = true;
	test_common_registers();
	test_interrupts();
	test_level(0x72);
	test_cost();
	base(APIC);
	CHECK_IS(read32(APIC + APIC_LVR), ~0u, "off: nothing is in the page");
	x2apic = false;
	base(APIC | APIC_BASE_ON);
	test_common_registers();
	test_interrupts();
	base(MOVED | APIC_BASE_ON);
	CHECK_IS(read32(MOVED + APIC_LVR) & 0xff, 0x14, "moved: the version");
	write32(MOVED + APIC_TASKPRI, 0x30);
	CHECK_IS(read_cr8(), 3, "moved: TPR");
	write_cr8(0);
	base(APIC | APIC_BASE_ON);
	test_common_registers();
	test_interrupts();
	test_level(0x73);
	self_exit(DONE);
}

static void raise_line(int level)
{
	struct kvm_irq_level line = { .irq = PIN, .level = level };

	KVM(s.vm, KVM_IRQ_LINE, &line);
}

static void check_cost(int64_t exits)
{
	if (apic_accelerated(x2apic))
		tap_check(exits < ROUNDS, "%lld exits for %d interrupts", (long long)exits, ROUNDS);
	else
		tap_check(exits >= ROUNDS, "%lld exits for %d interrupts without help", (long long)exits, ROUNDS);
}

static void handle(uint32_t word)
{
	static int64_t exits;

	switch (word) {
	case LINE_UP:
		raise_line(1);
		break;
	case LINE_DOWN:
		raise_line(0);
		break;
	case COUNT:
		exits = kvm_counter(s.vcpu, "exits");
		break;
	case COUNTED:
		check_cost(kvm_counter(s.vcpu, "exits") - exits);
		break;
	}
}

int main(void)
{
	self_create(&s);
	self_run_all(&s, guest, handle);
	return tap_done();
}
