// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that IPIs between vCPUs arrive, each once, however their destination is written, and whether it runs or halts. Where
 * the CPU sends or delivers them, those who run need no exit for it.
 *
 * nestor-test: cpu=amd
 * nestor-test: cpu=intel timeout=900
 * nestor-test: cpu=amd-bochs tlb=tagged params=apic_accel=avic,ipi timeout=900
 */
#include <pthread.h>
#include <string.h>

#include "apic.h"
#include "self.h"
#include "tap.h"

#define APIC		0xfee00000ul
#define VECTOR		0x61
#define END_VECTOR	0x51	/* of IPIs that end phases */
#define ROUNDS		200
#define PATIENCE	20000000u	/* turns of a loop */

/* What the guest asks of the host. */
enum { DONE, MAPPED, COUNT, COUNTED, COUNTED_RUNNING };

/* vCPU 0 sends; 1 runs or halts; 2 always halts, so that two CPUs of the host are enough. */
#define CPUS		3

#define ICR_LOGICAL	0x800
#define ICR_OTHERS	0xc0000

/* @both: vCPU 2 is meant as well */
static const struct {
	const char *name;
	uint32_t icr, dest;
	bool both;
	enum { FLAT, CLUSTERS, X2APIC } model;
} modes[] = {
	{ "physical", 0, 1, false, FLAT },
	{ "logical, flat", ICR_LOGICAL, 2, false, FLAT },
	{ "logical, flat, both", ICR_LOGICAL, 6, true, FLAT },
	{ "logical, clusters", ICR_LOGICAL, 0x12, false, CLUSTERS },
	{ "logical, clusters, both", ICR_LOGICAL, 0x16, true, CLUSTERS },
	{ "others", ICR_OTHERS, 0, true, FLAT },
	{ "x2APIC, physical", 0, 1, false, X2APIC },
	{ "x2APIC, logical, both", ICR_LOGICAL, 6, true, X2APIC },
};

#define PHASES		(2 * sizeof(modes) / sizeof(modes[0]))

static struct self s;
static int stats[2];			/* counters of the first vCPUs */
static volatile unsigned int phase;	/* what the sender is at: two per mode */
static volatile unsigned int ready[CPUS];
static volatile uint32_t taken[CPUS];
static volatile bool x2apic[CPUS];	/* the vCPU's mode */

static uint32_t get(uint32_t reg)
{
	return x2apic[self_cpu()] ? self_rdmsr(MSR_X2APIC(reg)) : *(volatile uint32_t *)(APIC + reg);
}

static void put(uint32_t reg, uint32_t value)
{
	if (x2apic[self_cpu()])
		self_wrmsr(MSR_X2APIC(reg), value);
	else
		*(volatile uint32_t *)(APIC + reg) = value;
}

__attribute__((target("general-regs-only")))
static void interrupt(uint64_t vector)
{
	if (vector == VECTOR)
		taken[self_cpu()]++;
	put(APIC_EOI, 0);
}

/* This vCPU's APIC. Its logical ids are a bit each, in the model's low nibble. */
static void prepare(unsigned int mode)
{
	uint32_t logical = 1u << self_cpu();

	if (modes[mode].model == X2APIC) {
		self_wrmsr(MSR_APIC_BASE, self_rdmsr(MSR_APIC_BASE) | APIC_BASE_X2);
		x2apic[self_cpu()] = true;
	} else {
		put(APIC_DFR, modes[mode].model == FLAT ? ~0u : 0x0fffffff);
		put(APIC_LDR, (modes[mode].model == FLAT ? logical : 0x10 | logical) << 24);
	}
}

static void enable(void)
{
	put(APIC_SPIV, APIC_ENABLE);
	put(APIC_LVT0, 0x10000);
}

static void send(uint32_t icr, uint32_t dest)
{
	if (x2apic[self_cpu()]) {
		self_wrmsr(MSR_X2APIC(APIC_ICR), (uint64_t)dest << 32 | icr);
	} else {
		put(APIC_ICR2, dest << 24);
		put(APIC_ICR, icr);
	}
}

static bool becomes(volatile uint32_t *what, uint32_t value)
{
	unsigned int i;

	for (i = 0; *what != value && i < PATIENCE; i++)
		asm volatile("pause");
	return *what == value;
}

static void target(void)
{
	unsigned int cpu = self_cpu(), i;

	enable();
	for (i = 0; i < PHASES; i++) {
		while (phase < i)
			asm volatile("pause");
		if (i % 2 == 0)
			prepare(i / 2);
		ready[cpu] = i + 1;
		/* There is an IPI after the phase as well. */
		while (phase == i)
			if (cpu == 2 || i % 2)
				asm volatile("cli\n cmp %0, %1\n jne 1f\n sti\n hlt\n 1: sti" : : "r" (i), "m" (phase)
					     : "memory", "cc");
			else
				asm volatile("sti" : : : "memory");
		asm volatile("cli");
	}
	self_exit(DONE);
}

/* In two phases: vCPU 1 runs, and it halts. */
static void test_mode(unsigned int mode, bool halted)
{
	uint32_t first = taken[1], second = taken[2], rounds = 0;

	CHECK(becomes(&ready[1], phase + 1) && becomes(&ready[2], phase + 1), "they are ready");
	self_exit(COUNT);
	do {
		send(0x4000 | VECTOR | modes[mode].icr, modes[mode].dest);
		rounds++;
	} while (becomes(&taken[1], first + rounds) && (!modes[mode].both || becomes(&taken[2], second + rounds)) &&
		 rounds < ROUNDS);
	self_exit(halted || modes[mode].both ? COUNTED : COUNTED_RUNNING);
	CHECK_IS(rounds, ROUNDS, modes[mode].name);
	CHECK_IS(taken[1] - first, ROUNDS, halted ? "each once where it halts" : "each once");
	CHECK_IS(taken[2] - second, modes[mode].both ? ROUNDS : 0, "and at the other vCPU if it is meant");
	CHECK(!(get(APIC_ICR) & 0x1000), "ICR is idle");
	phase++;
	send(0x4000 | ICR_OTHERS | END_VECTOR, 0);
}

static void sender(void)
{
	self_map_apics();
	self_exit(MAPPED);
	enable();
	while (phase < PHASES) {
		if (phase % 2 == 0)
			prepare(phase / 2);
		test_mode(phase / 2, phase % 2);
	}
	self_exit(DONE);
}

static void *run_target(void *arg)
{
	if (self_run_cpu(&s, (uintptr_t)arg) != DONE)
		tap_fail("vCPU %lu has no questions", (unsigned long)arg);
	return NULL;
}

/* An exit that IPIs do not need may come for other reasons. */
static void check_cost(const int64_t *exits)
{
	if (apic_sends_ipis(x2apic[0]))
		tap_check(exits[0] < ROUNDS, "%lld exits to send %d", (long long)exits[0], ROUNDS);
	else
		tap_check(exits[0] >= ROUNDS, "%lld exits to send %d without help", (long long)exits[0], ROUNDS);
	if (apic_accelerated(x2apic[1]))
		tap_check(exits[1] < ROUNDS, "%lld exits to receive them", (long long)exits[1]);
	else
		tap_check(exits[1] >= ROUNDS, "%lld exits to receive them without help", (long long)exits[1]);
}

static void count(uint32_t word)
{
	static int64_t before[2];
	int64_t now[2];
	int i;

	for (i = 0; i < 2; i++) {
		now[i] = stats_counter(stats[i], "exits");
		if (word == COUNT)
			before[i] = now[i];
		now[i] -= before[i];
	}
	if (word == COUNTED_RUNNING)
		check_cost(now);
}

int main(void)
{
	pthread_t threads[CPUS];
	uintptr_t cpu;
	uint32_t word;

	self_create_cpus(&s, CPUS);
	for (cpu = 0; cpu < 2; cpu++)
		stats[cpu] = KVM(s.cpus[cpu].fd, KVM_GET_STATS_FD, NULL);
	self_interrupt = interrupt;
	self_start_cpu(&s, 0, sender);
	if (self_run_cpu(&s, 0) != MAPPED)
		tap_fail("no APIC");
	for (cpu = 1; cpu < CPUS; cpu++) {
		self_start_cpu(&s, cpu, target);
		pthread_create(&threads[cpu], NULL, run_target, (void *)cpu);
	}
	while ((word = self_run_cpu(&s, 0)) != DONE)
		count(word);
	for (cpu = 1; cpu < CPUS; cpu++)
		pthread_join(threads[cpu], NULL);
	self_report();
	return tap_done();
}
