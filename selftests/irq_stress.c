// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that interrupts can be sent from everywhere while ids, modes and routes change under them, and
 * that a VM can go away with every timer running. What fails here fails in the host's log: the check is
 * that everything ends.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2 timeout=400
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 * nestor-test: cpu=intel params=apic_accel=none timeout=900
 * nestor-test: cpu=amd-bochs tlb=tagged params=apic_accel=avic,ipi timeout=900
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "apic.h"
#include "flat.h"
#include "tap.h"
#include "vm.h"

static struct machine m;
static int event;
static atomic_bool stop;
static atomic_ulong sent, changed;

/* Messages, lines and an eventfd. */
static void *sender(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	uint64_t one = 1;

	while (!stop) {
		unsigned int r = rand_r(&seed);

		send_msi(&m, MSI_TO(r >> 8 & 0xff) | (r & 12), 0, 0x20 + (r >> 16 & 0xbf) + (r & 0x8100));
		irq_line(&m, r >> 4 & 31, r & 1);
		if (write(event, &one, sizeof(one)) != sizeof(one))
			tap_fail("eventfd");
		sent++;
	}
	return NULL;
}

/* Ids, logical ids, modes, software enable, timers. */
static void *changer(void *arg)
{
	unsigned int seed = (uintptr_t)arg + 100;
	struct kvm_lapic_state s;

	while (!stop) {
		unsigned int r = rand_r(&seed);
		int cpu = m.cpu[r % m.nr_cpus];

		lapic_load(cpu, &s);
		reg_to(&s, APIC_ID, (r >> 4 & 7) << 24);
		reg_to(&s, APIC_LDR, 1u << (24 + (r >> 8 & 7)));
		reg_to(&s, APIC_DFR, r & 0x1000 ? ~0u : 0x0fffffff);
		reg_to(&s, APIC_SPIV, r & 0x2000 ? APIC_ENABLE : 0xff);
		reg_to(&s, APIC_LVT0, r & 0x4000 ? 0x400 : 0x700);
		reg_to(&s, APIC_LVTT, r & 0x8000 ? 0x20030 : 0x31);
		reg_to(&s, APIC_TDCR, r >> 16 & 0xb);
		reg_to(&s, APIC_TMICT, r >> 12);
		lapic_store(cpu, &s);
		msr_write(cpu, MSR_APIC_BASE, 0xfee00000 | (r >> 20 & 3) << 10);
		if (r & 0x1000000)
			msr_write(cpu, MSR_X2APIC(APIC_ICR), (uint64_t)(r & 0x10f) << 32 | 0x4000 | (r & 0xc08ff));
		changed++;
	}
	return NULL;
}

static void set_routes(unsigned int r)
{
	struct {
		struct kvm_irq_routing table;
		struct kvm_irq_routing_entry entries[32];
	} routes = { .table.nr = 32 };

	for (int i = 0; i < 32; i++) {
		struct kvm_irq_routing_entry *e = &routes.entries[i];

		e->gsi = i;
		if (r >> i & 1 || i >= KVM_IOAPIC_NUM_PINS) {
			e->type = KVM_IRQ_ROUTING_MSI;
			e->u.msi.address_lo = MSI_TO(i & 3);
			e->u.msi.data = 0x40 + i;
		} else {
			e->type = KVM_IRQ_ROUTING_IRQCHIP;
			e->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
			e->u.irqchip.pin = i;
		}
	}
	KVM(m.vm, KVM_SET_GSI_ROUTING, &routes);
}

/* Routes, redirection entries, the PIT. */
static void *rewirer(void *arg)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_reinject_control control = {};
	struct kvm_pit_state2 pit = {};
	unsigned int seed = (uintptr_t)arg + 200;

	while (!stop) {
		unsigned int r = rand_r(&seed);

		set_routes(r);
		chip.chip.ioapic.irr = rand_r(&seed);
		for (int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
			chip.chip.ioapic.redirtbl[i].bits = (uint64_t)(rand_r(&seed) & 0x83) << 56 |
							    (rand_r(&seed) & 0x8900) | (0x30 + i);
		KVM(m.vm, KVM_SET_IRQCHIP, &chip);
		pit.channels[0] = (struct kvm_pit_channel_state) { .mode = 2 + (r & 1), .count = r >> 20 };
		KVM(m.vm, KVM_SET_PIT2, &pit);
		control.pit_reinject = r >> 1 & 1;
		KVM(m.vm, KVM_REINJECT_CONTROL, &control);
	}
	return NULL;
}

static void round_begin(void)
{
	struct kvm_pit_config config = {};
	struct kvm_irqfd irqfd = { .gsi = 30 };
	int i;

	machine_open(&m, IRQCHIP_FULL);
	KVM(m.vm, KVM_CREATE_PIT2, &config);
	machine_add_cpus(&m, 3, NULL);
	event = eventfd(0, 0);
	irqfd.fd = event;
	KVM(m.vm, KVM_IRQFD, &irqfd);
	for (i = 0; i < 3; i++)
		apic_put(m.cpu[i], APIC_SPIV, APIC_ENABLE);
}

int main(void)
{
	void *(*const roles[])(void *) = { sender, changer, rewirer, sender, changer };
	pthread_t threads[5];
	/* Bochs takes a minute for a second. */
	const unsigned int rounds = flat_is_amd() ? 6 : 2, round_ms = flat_is_amd() ? 700 : 150;
	uintptr_t round, i;

	for (round = 0; round < rounds; round++) {
		round_begin();
		stop = false;
		for (i = 0; i < 5; i++)
			pthread_create(&threads[i], NULL, roles[i], (void *)(round * 10 + i));
		sleep_ms(round_ms);
		stop = true;
		for (i = 0; i < 5; i++)
			pthread_join(threads[i], NULL);
		/* Timers are still armed. */
		machine_close(&m);
		close(event);
	}
	tap_check(sent && changed, "%lu rounds of sending, %lu of changing", sent, changed);
	return tap_done();
}
