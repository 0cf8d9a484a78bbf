// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that PIC, I/O APIC, PIT and routing turn lines into interrupts and EOIs into the next ones, keep
 * their state over the ioctls, and refuse what cannot be.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 * nestor-test: cpu=amd-bochs tlb=tagged params=apic_accel=avic,ipi timeout=900
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apic.h"
#include "tap.h"
#include "vm.h"

#define REDIR_LOGICAL	0x800ull
#define REDIR_REMOTE	0x4000ull
#define REDIR_LEVEL	0x8000ull
#define REDIR_MASKED	0x10000ull
#define REDIR_TO(dest)	((uint64_t)(dest) << 56)

static struct kvm_ioapic_state ioapic(struct machine *m)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	KVM(m->vm, KVM_GET_IRQCHIP, &chip);
	return chip.chip.ioapic;
}

static void set_ioapic(struct machine *m, const struct kvm_ioapic_state *state)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC, .chip.ioapic = *state };

	KVM(m->vm, KVM_SET_IRQCHIP, &chip);
}

static uint64_t redir(struct machine *m, int pin)
{
	return ioapic(m).redirtbl[pin].bits;
}

/* What KVM_RUN exits with: the boot CPU has no memory, so it does not get far. */
static uint32_t run(struct machine *m)
{
	int r = run_for(m->cpu[0], 50);

	return r ? ~0u : m->run[0]->exit_reason;
}

static void set_redir(struct machine *m, int pin, uint64_t bits)
{
	struct kvm_ioapic_state state = ioapic(m);

	state.redirtbl[pin].bits = bits;
	set_ioapic(m, &state);
	/* Upstream's vCPU learns only when it runs which EOIs matter. */
	run(m);
}

/* What the CPU does to take an interrupt: from IRR to ISR. */
static void take(int cpu, uint8_t vector)
{
	uint32_t reg = vector / 32 * 0x10, bit = 1u << vector % 32;
	struct kvm_lapic_state s;

	lapic_load(cpu, &s);
	reg_to(&s, APIC_IRR + reg, reg_of(&s, APIC_IRR + reg) & ~bit);
	reg_to(&s, APIC_ISR + reg, reg_of(&s, APIC_ISR + reg) | bit);
	if (lapic_store(cpu, &s))
		tap_fail("KVM_SET_LAPIC was refused");
}

static void eoi(int cpu)
{
	if (!msr_write(cpu, MSR_X2APIC(APIC_EOI), 0))
		tap_fail("EOI was refused");
}

static void test_ioapic_reset(void)
{
	struct kvm_ioapic_state state;
	struct machine m;
	int pin, ok = 1;

	machine_make(&m, IRQCHIP_FULL, 1);
	state = ioapic(&m);
	for (pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
		ok &= state.redirtbl[pin].bits == REDIR_MASKED;
	tap_check(ok && state.base_address == 0xfec00000 && !state.irr && !state.id, "I/O APIC: reset");
	state.id = 3;
	state.ioregsel = 0x12;
	state.redirtbl[5].bits = REDIR_MASKED | REDIR_LEVEL | REDIR_TO(7) | 0x2045;
	set_ioapic(&m, &state);
	tap_check(!memcmp((struct kvm_ioapic_state[]){ ioapic(&m) }, &state, sizeof(state)),
		  "I/O APIC: state");
	machine_close(&m);
}

static void test_ioapic_edge(void)
{
	struct machine m;

	machine_make(&m, IRQCHIP_FULL, 2);
	apic_enter_x2apic(m.cpu[0]);
	apic_enter_x2apic(m.cpu[1]);
	tap_check(irq_line(&m, 20, 1) < 0 && irq_line(&m, 20, 0) >= 0, "I/O APIC: masked");
	set_redir(&m, 20, REDIR_TO(1) | 0x91);
	irq_line(&m, 20, 0);
	tap_check(irq_line(&m, 20, 1) == 1 && apic_took(m.cpu[1], 0x91), "I/O APIC: an edge");
	tap_check(irq_line(&m, 20, 1) == 0 && !apic_took(m.cpu[1], 0x91), "I/O APIC: no edge");
	irq_line(&m, 20, 0);
	tap_check(irq_line(&m, 20, 1) == 1 && apic_took(m.cpu[1], 0x91), "I/O APIC: another edge");
	irq_line(&m, 20, 0);
	set_redir(&m, 20, REDIR_TO(0xff) | 0x92);
	tap_check(irq_line(&m, 20, 1) == 2 && apic_took(m.cpu[0], 0x92) && apic_took(m.cpu[1], 0x92),
		  "I/O APIC: broadcast");
	irq_line(&m, 20, 0);
	set_redir(&m, 20, REDIR_TO(3) | REDIR_LOGICAL | 0x193);
	tap_check(irq_line(&m, 20, 1) == 1 && apic_took(m.cpu[1], 0x93), "I/O APIC: lowest priority");
	tap_check(irq_line(&m, 24, 1) < 0 && irq_line(&m, ~0u, 1) < 0, "no such GSI");
	machine_close(&m);
}

static void test_ioapic_level(void)
{
	struct machine m;
	int cpu;

	machine_make(&m, IRQCHIP_FULL, 1);
	cpu = m.cpu[0];
	apic_enter_x2apic(cpu);
	set_redir(&m, 20, REDIR_LEVEL | 0xa1);
	tap_check(irq_line(&m, 20, 1) == 1 && apic_vector(cpu, APIC_IRR, 0xa1) &&
		  apic_vector(cpu, APIC_TMR, 0xa1), "level: sent");
	tap_check(redir(&m, 20) & REDIR_REMOTE, "level: remote IRR");
	irq_line(&m, 20, 1);
	take(cpu, 0xa1);
	tap_check(!apic_vector(cpu, APIC_IRR, 0xa1), "level: not again before the EOI");
	eoi(cpu);
	tap_check(apic_vector(cpu, APIC_IRR, 0xa1) && redir(&m, 20) & REDIR_REMOTE,
		  "level: still high at the EOI: again");
	take(cpu, 0xa1);
	irq_line(&m, 20, 0);
	eoi(cpu);
	tap_check(!apic_vector(cpu, APIC_IRR, 0xa1) && !(redir(&m, 20) & REDIR_REMOTE),
		  "level: low at the EOI: done");

	/* EOI while masked, the line still high: it waits. */
	irq_line(&m, 20, 1);
	take(cpu, 0xa1);
	set_redir(&m, 20, REDIR_LEVEL | REDIR_MASKED | REDIR_REMOTE | 0xa1);
	eoi(cpu);
	tap_check(!apic_vector(cpu, APIC_IRR, 0xa1) && !(redir(&m, 20) & REDIR_REMOTE), "level: masked");
	set_redir(&m, 20, REDIR_LEVEL | 0xa1);
	tap_check(apic_took(cpu, 0xa1), "level: sent when it is unmasked");
	machine_close(&m);
}

/* An EOI for each of many interrupts in a row does not stop the line for good. */
static void test_storm(void)
{
	struct machine m;
	int i, cpu, delayed = 0;

	machine_make(&m, IRQCHIP_FULL, 1);
	cpu = m.cpu[0];
	apic_enter_x2apic(cpu);
	set_redir(&m, 20, REDIR_LEVEL | 0xa1);
	irq_line(&m, 20, 1);
	for (i = 0; i < 10100; i++) {
		if (!apic_vector(cpu, APIC_IRR, 0xa1)) {
			delayed++;
			sleep_ms(50);
			if (!apic_vector(cpu, APIC_IRR, 0xa1))
				break;
		}
		take(cpu, 0xa1);
		eoi(cpu);
	}
	tap_check(i == 10100 && delayed == 1, "storm: %d interrupts, %d delayed", i, delayed);
	machine_close(&m);
}

static struct kvm_pic_state pic(struct machine *m, int n)
{
	struct kvm_irqchip chip = { .chip_id = n };

	KVM(m->vm, KVM_GET_IRQCHIP, &chip);
	return chip.chip.pic;
}

static void test_pic(void)
{
	struct kvm_irqchip chip = { .chip_id = 3 };
	struct kvm_pic_state state;
	struct machine m;

	machine_make(&m, IRQCHIP_FULL, 1);
	tap_check(kvm_raw(m.vm, KVM_GET_IRQCHIP, &chip) == -EINVAL &&
		  kvm_raw(m.vm, KVM_SET_IRQCHIP, &chip) == -EINVAL, "there are three chips");
	irq_line(&m, 4, 1);
	tap_check(pic(&m, 0).irr & 0x10 && pic(&m, 0).last_irr & 0x10, "PIC: a line of the master");
	irq_line(&m, 4, 0);
	tap_check(pic(&m, 0).irr & 0x10 && !(pic(&m, 0).last_irr & 0x10), "PIC: its edge stays");
	irq_line(&m, 12, 1);
	tap_check(pic(&m, 1).irr & 0x10 && pic(&m, 0).irr & 0x04, "PIC: a line of the slave");
	state = pic(&m, 0);
	state.imr = 0xfb;
	state.irq_base = 0x20;
	state.elcr = 0x20;
	chip = (struct kvm_irqchip) { .chip_id = 0, .chip.pic = state };
	KVM(m.vm, KVM_SET_IRQCHIP, &chip);
	state = pic(&m, 0);
	tap_check(state.imr == 0xfb && state.irq_base == 0x20 && state.elcr == 0x20, "PIC: state");
	memset(&chip.chip, 0xff, sizeof(chip.chip));
	KVM(m.vm, KVM_SET_IRQCHIP, &chip);
	chip.chip_id = 1;
	KVM(m.vm, KVM_SET_IRQCHIP, &chip);
	irq_line(&m, 3, 1);
	irq_line(&m, 9, 1);
	chip.chip_id = 2;
	KVM(m.vm, KVM_SET_IRQCHIP, &chip);
	tap_check(irq_line(&m, 3, 0) >= 0, "garbage does no harm");
	machine_close(&m);
}

/* Channel 0, mode 2, @count. */
static void set_pit(struct machine *m, uint32_t count, uint32_t flags)
{
	struct kvm_pit_state2 state = { .flags = flags };

	state.channels[0] = (struct kvm_pit_channel_state) {
		.count = count, .mode = 2, .rw_mode = 3, .gate = 1,
	};
	KVM(m->vm, KVM_SET_PIT2, &state);
}

static void test_pit(void)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_reinject_control control = {};
	struct kvm_pit_state2 state;
	struct machine m;
	int cpu;

	machine_open(&m, IRQCHIP_SPLIT);
	tap_check(kvm_raw(m.vm, KVM_CREATE_PIT2, &config) < 0, "PIT: not without a PIC");
	machine_close(&m);

	machine_open(&m, IRQCHIP_FULL);
	tap_check(kvm_raw(m.vm, KVM_GET_PIT2, &state) == -ENXIO &&
		  kvm_raw(m.vm, KVM_REINJECT_CONTROL, &control) == -ENXIO, "PIT: there is none yet");
	KVM(m.vm, KVM_CREATE_PIT2, &config);
	tap_check(kvm_raw(m.vm, KVM_CREATE_PIT2, &config) == -EEXIST, "PIT: only one");
	machine_add_cpus(&m, 1, NULL);
	cpu = m.cpu[0];
	apic_enter_x2apic(cpu);
	set_redir(&m, 0, 0xb1);

	set_pit(&m, 11932, 0);		/* 10 ms */
	KVM(m.vm, KVM_GET_PIT2, &state);
	tap_check(state.channels[0].mode == 2 && state.channels[0].count == 11932, "PIT: state");
	tap_check(apic_takes(cpu, 0xb1, 1000), "PIT: a tick");
	/* With reinjection the next one waits for the EOI of this one, whose vector was taken back. */
	tap_check(!apic_takes(cpu, 0xb1, 200), "PIT: the next waits for the EOI");
	take(cpu, 0xb1);
	eoi(cpu);
	tap_check(apic_takes(cpu, 0xb1, 1000), "PIT: after which it comes");
	KVM(m.vm, KVM_REINJECT_CONTROL, &control);
	tap_check(apic_takes(cpu, 0xb1, 1000) && apic_takes(cpu, 0xb1, 1000) && apic_takes(cpu, 0xb1, 1000),
		  "PIT: without reinjection they just come");
	set_pit(&m, 11932, KVM_PIT_FLAGS_HPET_LEGACY);
	apic_took(cpu, 0xb1);
	tap_check(!apic_takes(cpu, 0xb1, 200), "PIT: silent in HPET legacy mode");
	set_pit(&m, 1, 0);
	tap_check(apic_takes(cpu, 0xb1, 1000), "PIT: shortest period");
	memset(&state, 0xff, sizeof(state));
	kvm_raw(m.vm, KVM_SET_PIT2, &state);
	tap_check(kvm_raw(m.vm, KVM_GET_PIT2, &state) == 0, "PIT: garbage does no harm");
	set_pit(&m, 1, 0);
	machine_close(&m);
}

static int set_routes(struct machine *m, int n, const struct kvm_irq_routing_entry *entries)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + n * sizeof(*entries));
	int r;

	table->nr = n;
	memcpy(table->entries, entries, n * sizeof(*entries));
	r = kvm_raw(m->vm, KVM_SET_GSI_ROUTING, table);
	free(table);
	return r;
}

#define MSI_ROUTE(g, lo, d)								\
	{ .gsi = g, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = lo, .data = d } }
#define PIN_ROUTE(g, chip, p)								\
	{ .gsi = g, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { .irqchip = chip, .pin = p } }

static void test_routing(void)
{
	const struct kvm_irq_routing_entry good[] = {
		MSI_ROUTE(100, MSI_TO(0), 0xc1), PIN_ROUTE(7, KVM_IRQCHIP_IOAPIC, 20),
		PIN_ROUTE(7, KVM_IRQCHIP_PIC_SLAVE, 3), MSI_ROUTE(4095, MSI_TO(1), 0xc2),
	};
	const struct {
		const char *what;
		struct kvm_irq_routing_entry entries[2];
	} bad[] = {
		{ "GSI too large", { MSI_ROUTE(4096, MSI_TO(0), 0xc1) } },
		{ "unknown type", { { .gsi = 1, .type = 77 } } },
		{ "no such pin", { PIN_ROUTE(1, KVM_IRQCHIP_IOAPIC, 24) } },
		{ "no such PIC pin", { PIN_ROUTE(1, KVM_IRQCHIP_PIC_MASTER, 8) } },
		{ "no such chip", { PIN_ROUTE(1, 3, 1) } },
		{ "flags of a pin", { { .gsi = 1, .type = KVM_IRQ_ROUTING_IRQCHIP, .flags = 1 } } },
		{ "two messages", { MSI_ROUTE(1, MSI_TO(0), 0xc1), MSI_ROUTE(1, MSI_TO(0), 0xc2) } },
		{ "message and pin", { MSI_ROUTE(1, MSI_TO(0), 0xc1), PIN_ROUTE(1, KVM_IRQCHIP_IOAPIC, 1) } },
		{ "two pins of a chip", { PIN_ROUTE(1, KVM_IRQCHIP_IOAPIC, 2),
					  PIN_ROUTE(1, KVM_IRQCHIP_IOAPIC, 1) } },
	};
	struct machine m;
	unsigned int i;

	machine_make(&m, IRQCHIP_FULL, 2);
	apic_enter_x2apic(m.cpu[0]);
	apic_enter_x2apic(m.cpu[1]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_check(set_routes(&m, bad[i].entries[1].type ? 2 : 1, bad[i].entries) == -EINVAL,
			  "routing: %s", bad[i].what);
	set_redir(&m, 20, 0xc3);
	tap_check(irq_line(&m, 20, 1) == 1 && apic_took(m.cpu[0], 0xc3), "routing: GSI 20 is pin 20");
	irq_line(&m, 20, 0);
	tap_check(set_routes(&m, 4, good) == 0, "routing: a new table");
	tap_check(irq_line(&m, 20, 1) < 0 && !apic_took(m.cpu[0], 0xc3), "routing: GSI 20 is nothing");
	tap_check(irq_line(&m, 7, 1) >= 1 && apic_took(m.cpu[0], 0xc3) && pic(&m, 1).irr & 8,
		  "routing: GSI 7 is two pins");
	tap_check(irq_line(&m, 100, 1) == 1 && apic_took(m.cpu[0], 0xc1), "routing: GSI 100 is a message");
	tap_check(irq_line(&m, 100, 0) < 0 && !apic_took(m.cpu[0], 0xc1), "routing: sent when it rises");
	tap_check(irq_line(&m, 4095, 1) == 1 && apic_took(m.cpu[1], 0xc2), "routing: the last GSI");
	tap_check(set_routes(&m, 0, good) == 0 && irq_line(&m, 100, 1) < 0, "routing: an empty table");
	machine_close(&m);
}

static void test_split(void)
{
	const struct kvm_irq_routing_entry routes[] = {
		MSI_ROUTE(3, MSI_TO(0), 0xd1 | MSI_LEVEL), MSI_ROUTE(4, MSI_TO(0), 0xd2),
		MSI_ROUTE(30, MSI_TO(0), 0xd3 | MSI_LEVEL),
	};
	const struct kvm_irq_routing_entry pin = PIN_ROUTE(1, KVM_IRQCHIP_IOAPIC, 1);
	struct kvm_interrupt interrupt = { .irq = 0x33 };
	struct machine m;
	int cpu;

	machine_make(&m, IRQCHIP_SPLIT, 1);
	cpu = m.cpu[0];
	apic_enter_x2apic(cpu);
	tap_check(set_routes(&m, 1, &pin) == -EINVAL, "split: there are no pins");
	tap_check(set_routes(&m, 3, routes) == 0, "split: messages");
	irq_line(&m, 4, 1);
	take(cpu, 0xd2);
	eoi(cpu);
	tap_check(run(&m) != KVM_EXIT_IOAPIC_EOI, "split: the EOI of an edge is no exit");
	irq_line(&m, 30, 1);
	take(cpu, 0xd3);
	eoi(cpu);
	tap_check(run(&m) != KVM_EXIT_IOAPIC_EOI, "split: nor of what is no pin");
	irq_line(&m, 3, 1);
	take(cpu, 0xd1);
	eoi(cpu);
	tap_check(run(&m) == KVM_EXIT_IOAPIC_EOI && m.run[0]->eoi.vector == 0xd1, "split: of a level it is");
	tap_check(run(&m) != KVM_EXIT_IOAPIC_EOI, "split: once");
	tap_check(kvm_raw(cpu, KVM_INTERRUPT, &interrupt) == 0 &&
		  kvm_raw(cpu, KVM_INTERRUPT, &interrupt) == -EEXIST, "split: one external interrupt");
	machine_close(&m);
}

#define SPIV_DIRECTED_EOI	0x1000
#define VERSION_DIRECTED_EOI	0x1000000

static int say_directed_eoi(struct machine *m, uint64_t flags)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args = { flags } };

	return kvm_raw(m->vm, KVM_ENABLE_CAP, &cap);
}

/* A guest that tells user space's I/O APIC itself, as far as user space says that it can. */
static void run_directed_eoi(uint64_t flags, bool announced, bool suppressed, const char *who)
{
	const struct kvm_irq_routing_entry route = MSI_ROUTE(3, MSI_TO(0), 0xd1 | MSI_LEVEL);
	struct machine m;
	uint64_t version = 0;
	int cpu;

	machine_make(&m, IRQCHIP_SPLIT, 1);
	cpu = m.cpu[0];
	if (flags)
		tap_check(say_directed_eoi(&m, flags) == 0, "directed EOI: user space says %s", who);
	apic_enter_x2apic(cpu);
	tap_check(msr_read(cpu, MSR_X2APIC(APIC_LVR), &version) && !!(version & VERSION_DIRECTED_EOI) == announced,
		  "directed EOI, %s: %s", who, announced ? "announced" : "not announced");
	tap_check(msr_write(cpu, MSR_X2APIC(APIC_SPIV), 0x1ff | (announced ? SPIV_DIRECTED_EOI : 0)),
		  "directed EOI, %s: the guest does as it reads", who);
	set_routes(&m, 1, &route);
	irq_line(&m, 3, 1);
	take(cpu, 0xd1);
	eoi(cpu);
	tap_check((run(&m) == KVM_EXIT_IOAPIC_EOI) != suppressed, "directed EOI, %s: %s", who,
		  suppressed ? "no exit" : "an exit");
	machine_close(&m);
}

static void test_directed_eoi(void)
{
	const uint64_t on = KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST, off = KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST;
	struct machine m;

	machine_make(&m, IRQCHIP_FULL, 1);
	tap_check(say_directed_eoi(&m, on) == -EINVAL, "directed EOI: the I/O APIC in the kernel cannot");
	tap_check(say_directed_eoi(&m, on | off) == -EINVAL, "directed EOI: not yes and no");
	tap_check(!(kvm_raw(m.vm, KVM_CHECK_EXTENSION, (void *)KVM_CAP_X2APIC_API) & on), "directed EOI: nor is it offered");
	machine_close(&m);
	run_directed_eoi(0, true, false, "nothing said");
	run_directed_eoi(on, true, true, "yes");
	run_directed_eoi(off, false, false, "no");
}

int main(void)
{
	test_ioapic_reset();
	test_ioapic_edge();
	test_ioapic_level();
	test_storm();
	test_pic();
	test_pit();
	test_routing();
	test_split();
	test_directed_eoi();
	return tap_done();
}
