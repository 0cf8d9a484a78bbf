// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that local APICs take the interrupts that are for them, keep their state over
 * KVM_GET_LAPIC and KVM_SET_LAPIC, refuse what cannot be, and that their timers fire.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 * nestor-test: cpu=intel params=apic_accel=none timeout=900
 */
#include <errno.h>
#include <string.h>

#include "apic.h"
#include "tap.h"
#include "vm.h"

static void test_reset(void)
{
	struct kvm_lapic_state s;
	struct machine m;
	int i, ok = 1;

	machine_make(&m, IRQCHIP_FULL, 2);
	lapic_load(m.cpu[1], &s);
	tap_check(reg_of(&s, APIC_ID) == 1u << 24, "reset: the id is the vCPU's");
	tap_check((reg_of(&s, APIC_LVR) & 0xff) == 0x14 && reg_of(&s, APIC_LVR) >> 16 >= 4,
		  "reset: version 0x%x", reg_of(&s, APIC_LVR));
	tap_check(reg_of(&s, APIC_SPIV) == 0xff && reg_of(&s, APIC_DFR) == ~0u,
		  "reset: disabled by software, flat");
	for (i = APIC_LVTT; i <= APIC_LVTERR; i += 0x10)
		ok &= reg_of(&s, i) == 0x10000;
	tap_check(ok, "reset: LVT entries are masked");
	tap_check(apic_get(m.cpu[0], APIC_LVT0) == 0x700, "reset: the boot CPU listens to the PIC");
	tap_check(msr_get(m.cpu[0], MSR_APIC_BASE) == (0xfee00000 | APIC_BASE_ON | APIC_BASE_BSP) &&
		  msr_get(m.cpu[1], MSR_APIC_BASE) == (0xfee00000 | APIC_BASE_ON), "reset: APIC_BASE");
	machine_close(&m);
}

static void test_base(void)
{
	const uint64_t base = 0xfee00000 | APIC_BASE_BSP;
	struct machine m;
	int cpu;

	machine_make(&m, IRQCHIP_FULL, 1);
	cpu = m.cpu[0];
	tap_check(!msr_write(cpu, MSR_APIC_BASE, base | APIC_BASE_X2), "base: x2APIC needs the enable bit");
	tap_check(!msr_write(cpu, MSR_APIC_BASE, base | APIC_BASE_ON | 1), "base: low bits are reserved");
	tap_check(!msr_write(cpu, MSR_APIC_BASE, base | APIC_BASE_ON | 1ull << 60),
		  "base: the address has a width");
	tap_check(msr_write(cpu, MSR_APIC_BASE, 0xfed00000 | APIC_BASE_ON), "base: it can be moved");
	tap_check(msr_write(cpu, MSR_APIC_BASE, base | APIC_BASE_ON | APIC_BASE_X2), "base: x2APIC");
	tap_check(apic_get(cpu, APIC_LDR) == 1, "base: x2APIC sets the logical id");
	tap_check(msr_write(cpu, MSR_APIC_BASE, base | APIC_BASE_ON), "base: user space may go back");
	tap_check(msr_write(cpu, MSR_APIC_BASE, base), "base: off");
	machine_close(&m);
}

static void test_physical(void)
{
	struct machine m;
	int i;

	machine_make(&m, IRQCHIP_FULL, 3);
	tap_check(send_msi(&m, MSI_TO(1), 0, 0x41) == 0, "MSI: nobody is enabled by software");
	tap_check(send_msi(&m, MSI_TO(1) | MSI_HINT, 0, MSI_NMI) == 1, "MSI: an NMI with a hint to choose, that has no choice");
	for (i = 0; i < 3; i++)
		apic_put(m.cpu[i], APIC_SPIV, APIC_ENABLE);
	tap_check(send_msi(&m, MSI_TO(1), 0, 0x41) == 1 && apic_took(m.cpu[1], 0x41) &&
		  !apic_took(m.cpu[0], 0x41) && !apic_took(m.cpu[2], 0x41), "MSI: by id");
	tap_check(send_msi(&m, MSI_TO(9), 0, 0x41) == 0, "MSI: an id that nobody has");
	tap_check(send_msi(&m, MSI_TO(0xff), 0, 0x42) == 3 && apic_took(m.cpu[0], 0x42) &&
		  apic_took(m.cpu[1], 0x42) && apic_took(m.cpu[2], 0x42), "MSI: broadcast");
	apic_put(m.cpu[2], APIC_ID, 7u << 24);
	tap_check(send_msi(&m, MSI_TO(7), 0, 0x43) == 1 && apic_took(m.cpu[2], 0x43),
		  "MSI: a changed id counts");
	/* Two or more times, so that the answer comes from the map as well as from a search. */
	sleep_ms(200);
	tap_check(send_msi(&m, MSI_TO(2), 0, 0x43) == 0 && send_msi(&m, MSI_TO(7), 0, 0x43) == 1 &&
		  apic_took(m.cpu[2], 0x43), "MSI: and the old one no longer");
	tap_check(send_msi(&m, MSI_TO(1), 0, 0x44 | MSI_LEVEL) == 1 && apic_vector(m.cpu[1], APIC_TMR, 0x44),
		  "MSI: level in TMR");
	tap_check(send_msi(&m, MSI_TO(1), 0, 0x44) == 1 && !apic_vector(m.cpu[1], APIC_TMR, 0x44),
		  "MSI: edge in TMR");
	tap_check(send_msi(&m, MSI_TO(0), 0, 0x45) == 1 && send_msi(&m, MSI_TO(0), 0, 0x45) == 1,
		  "MSI: twice is once");
	msr_write(m.cpu[0], MSR_APIC_BASE, 0xfee00000);
	tap_check(send_msi(&m, MSI_TO(0), 0, 0x46) == 0, "MSI: an APIC that is off takes nothing");
	machine_close(&m);
}

static void test_logical(void)
{
	struct machine m;
	int i;

	machine_make(&m, IRQCHIP_FULL, 3);
	for (i = 0; i < 3; i++) {
		apic_put(m.cpu[i], APIC_SPIV, APIC_ENABLE);
		apic_put(m.cpu[i], APIC_LDR, 1u << (24 + i));
	}
	for (i = 0; i < 2; i++, sleep_ms(200)) {
		const char *how = i ? "map" : "search";

		tap_check(send_msi(&m, MSI_TO(6) | MSI_LOGICAL, 0, 0x51) == 2 && !apic_took(m.cpu[0], 0x51) &&
			  apic_took(m.cpu[1], 0x51) && apic_took(m.cpu[2], 0x51), "flat, %s", how);
		/* Vector hashing: vector modulo the number of candidates, in order of their ids. */
		tap_check(send_msi(&m, MSI_TO(6) | MSI_LOGICAL, 0, 0x51 | MSI_LOWEST) == 1 &&
			  !apic_took(m.cpu[1], 0x51) && apic_took(m.cpu[2], 0x51), "lowest priority, %s", how);
		tap_check(send_msi(&m, MSI_TO(6) | MSI_LOGICAL, 0, 0x52 | MSI_LOWEST) == 1 &&
			  apic_took(m.cpu[1], 0x52) && !apic_took(m.cpu[2], 0x52),
			  "lowest priority, another vector, %s", how);
		tap_check(send_msi(&m, MSI_TO(6) | MSI_LOGICAL | MSI_HINT, 0, 0x51) == 1 &&
			  apic_took(m.cpu[2], 0x51), "redirection hint, %s", how);
		tap_check(send_msi(&m, MSI_TO(8) | MSI_LOGICAL, 0, 0x51) == 0, "nobody's bit, %s", how);
	}
	for (i = 0; i < 3; i++) {
		apic_put(m.cpu[i], APIC_DFR, 0x0fffffff);
		apic_put(m.cpu[i], APIC_LDR, (i == 2 ? 0x11u : 0x01u << i) << 24);
	}
	for (i = 0; i < 2; i++, sleep_ms(200)) {
		const char *how = i ? "map" : "search";

		tap_check(send_msi(&m, MSI_TO(0x03) | MSI_LOGICAL, 0, 0x53) == 2 && apic_took(m.cpu[0], 0x53) &&
			  apic_took(m.cpu[1], 0x53) && !apic_took(m.cpu[2], 0x53), "cluster 0, %s", how);
		tap_check(send_msi(&m, MSI_TO(0x11) | MSI_LOGICAL, 0, 0x53) == 1 && apic_took(m.cpu[2], 0x53),
			  "cluster 1, %s", how);
	}
	/* Different models side by side, and one id for two. */
	apic_put(m.cpu[0], APIC_DFR, ~0u);
	apic_put(m.cpu[1], APIC_LDR, 0x11u << 24);
	for (i = 0; i < 2; i++, sleep_ms(200))
		tap_check(send_msi(&m, MSI_TO(0x11) | MSI_LOGICAL, 0, 0x54) == 3 && apic_took(m.cpu[0], 0x54) &&
			  apic_took(m.cpu[1], 0x54) && apic_took(m.cpu[2], 0x54), "mixed models, %d", i);
	machine_close(&m);
}

static void icr(int cpu, uint32_t dest, uint32_t low)
{
	if (!msr_write(cpu, MSR_X2APIC(APIC_ICR), (uint64_t)dest << 32 | low))
		tap_fail("ICR 0x%x was refused", low);
}

static void test_ipi(void)
{
	struct machine m;
	int i;

	machine_make(&m, IRQCHIP_FULL, 3);
	for (i = 0; i < 3; i++)
		apic_enter_x2apic(m.cpu[i]);
	for (i = 0; i < 2; i++, sleep_ms(200)) {
		icr(m.cpu[0], 2, 0x4061);
		tap_check(apic_took(m.cpu[2], 0x61) && !apic_took(m.cpu[1], 0x61), "IPI: by id, %d", i);
		icr(m.cpu[0], 0x0003, 0x4861);
		tap_check(apic_took(m.cpu[0], 0x61) && apic_took(m.cpu[1], 0x61) &&
			  !apic_took(m.cpu[2], 0x61), "IPI: logical cluster, %d", i);
		icr(m.cpu[0], 0x10003, 0x4861);
		tap_check(!apic_took(m.cpu[0], 0x61) && !apic_took(m.cpu[1], 0x61), "IPI: other cluster, %d", i);
	}
	icr(m.cpu[1], 0, 0x44062);
	tap_check(!apic_took(m.cpu[0], 0x62) && apic_took(m.cpu[1], 0x62), "IPI: to itself");
	icr(m.cpu[1], 0, 0x84063);
	tap_check(apic_took(m.cpu[0], 0x63) && apic_took(m.cpu[1], 0x63) && apic_took(m.cpu[2], 0x63),
		  "IPI: to all");
	icr(m.cpu[1], 0, 0xc4064);
	tap_check(apic_took(m.cpu[0], 0x64) && !apic_took(m.cpu[1], 0x64) && apic_took(m.cpu[2], 0x64),
		  "IPI: to all others");
	icr(m.cpu[1], ~0u, 0x4065);
	tap_check(apic_took(m.cpu[0], 0x65) && apic_took(m.cpu[1], 0x65) && apic_took(m.cpu[2], 0x65),
		  "IPI: broadcast destination");
	tap_check(msr_write(m.cpu[2], MSR_X2APIC(APIC_SELF_IPI), 0x66) && apic_took(m.cpu[2], 0x66), "SELF_IPI");
	tap_check(msr_get(m.cpu[1], MSR_X2APIC(APIC_ICR)) == 0xffffffff00004065ull, "ICR keeps 64 bits");
	tap_check(apic_get(m.cpu[1], APIC_ICR2) == ~0u, "KVM_GET_LAPIC has its upper half in ICR2");
	tap_check(send_msi(&m, MSI_TO(0xff), 0, 0x67) == 3, "a device's 0xff is a broadcast");
	machine_close(&m);
}

static int mp_state(int cpu)
{
	struct kvm_mp_state state;

	KVM(cpu, KVM_GET_MP_STATE, &state);
	return state.mp_state;
}

static void test_startup(void)
{
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct machine m;

	machine_make(&m, IRQCHIP_FULL, 2);
	apic_enter_x2apic(m.cpu[0]);
	tap_check(mp_state(m.cpu[1]) == KVM_MP_STATE_UNINITIALIZED, "start-up: waits for INIT");
	icr(m.cpu[0], 1, 0x4612);
	tap_check(mp_state(m.cpu[1]) == KVM_MP_STATE_UNINITIALIZED, "start-up: a SIPI before is dropped");
	icr(m.cpu[0], 1, 0x4500);
	tap_check(mp_state(m.cpu[1]) == KVM_MP_STATE_INIT_RECEIVED, "start-up: INIT");
	icr(m.cpu[0], 1, 0x4634);
	tap_check(mp_state(m.cpu[1]) == KVM_MP_STATE_RUNNABLE, "start-up: SIPI");
	KVM(m.cpu[1], KVM_GET_SREGS, &sregs);
	KVM(m.cpu[1], KVM_GET_REGS, &regs);
	tap_check(sregs.cs.base == 0x34000 && sregs.cs.selector == 0x3400 && regs.rip == 0,
		  "start-up: at the SIPI's vector");
	icr(m.cpu[0], 1, 0x4656);
	tap_check(mp_state(m.cpu[1]) == KVM_MP_STATE_RUNNABLE, "start-up: a second SIPI is dropped");
	KVM(m.cpu[1], KVM_GET_SREGS, &sregs);
	tap_check(sregs.cs.base == 0x34000, "start-up: and changes nothing");
	icr(m.cpu[0], 1, 0x8500);
	tap_check(mp_state(m.cpu[1]) == KVM_MP_STATE_RUNNABLE, "INIT level de-assert does nothing");
	icr(m.cpu[0], 1, 0x4400);
	KVM(m.cpu[1], KVM_GET_VCPU_EVENTS, &events);
	tap_check(events.nmi.pending == 1, "IPI: NMI");
	icr(m.cpu[0], 0, 0x4500);
	tap_check(mp_state(m.cpu[0]) == KVM_MP_STATE_RUNNABLE, "INIT: the boot CPU starts again");
	KVM(m.cpu[0], KVM_GET_REGS, &regs);
	tap_check(regs.rip == 0xfff0, "INIT: at the reset vector");
	tap_check(msr_get(m.cpu[0], MSR_APIC_BASE) & APIC_BASE_X2, "INIT: the APIC's mode stays");
	machine_close(&m);
}

static void test_registers(void)
{
	struct machine m;
	uint64_t value;
	int cpu;

	machine_make(&m, IRQCHIP_FULL, 1);
	cpu = m.cpu[0];
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_TASKPRI), 0) && !msr_read(cpu, MSR_X2APIC(APIC_ID), &value),
		  "x2APIC MSRs need x2APIC mode");
	apic_enter_x2apic(cpu);
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_ID), 0), "the id is read-only");
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_LDR), 0), "LDR is read-only");
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_DFR), ~0u) && !msr_read(cpu, MSR_X2APIC(APIC_DFR), &value),
		  "there is no DFR");
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_ICR2), 0) && !msr_read(cpu, MSR_X2APIC(APIC_ICR2), &value),
		  "there is no ICR2");
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_ESR), 1) && msr_write(cpu, MSR_X2APIC(APIC_ESR), 0),
		  "ESR takes 0 only");
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_ICR), 1 << 13) &&
		  !msr_write(cpu, MSR_X2APIC(APIC_ICR), 1 << 16) &&
		  !msr_write(cpu, MSR_X2APIC(APIC_ICR), 1 << 20), "ICR has reserved bits");
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_SELF_IPI), 0x100) &&
		  !msr_read(cpu, MSR_X2APIC(APIC_SELF_IPI), &value), "SELF_IPI is 8 bits, write-only");
	tap_check(!msr_write(cpu, MSR_X2APIC(APIC_TASKPRI), 1ull << 32), "registers are 32 bits");
	tap_check(!msr_read(cpu, MSR_X2APIC(APIC_EOI), &value), "EOI cannot be read");
	tap_check(!msr_write(cpu, 0x8ff, 0) && !msr_read(cpu, 0x8ff, &value), "nothing above 0x83f");
	tap_check(msr_write(cpu, MSR_X2APIC(APIC_LVT1), 0xffffffff) &&
		  (msr_get(cpu, MSR_X2APIC(APIC_LVT1)) & ~0x1f7ffull) == 0, "LVT: only defined bits stay");
	msr_write(cpu, MSR_X2APIC(APIC_LVT1), 0x400);
	msr_write(cpu, MSR_X2APIC(APIC_SPIV), 0xff);
	tap_check(msr_get(cpu, MSR_X2APIC(APIC_LVT1)) == 0x10400, "disabling by software masks the LVT");
	tap_check(msr_write(cpu, MSR_X2APIC(APIC_LVT1), 0x400) &&
		  msr_get(cpu, MSR_X2APIC(APIC_LVT1)) == 0x10400, "and keeps it so");
	machine_close(&m);
}

static void test_priority(void)
{
	struct kvm_lapic_state s;
	struct machine m;
	int cpu;

	machine_make(&m, IRQCHIP_FULL, 1);
	cpu = m.cpu[0];
	apic_enter_x2apic(cpu);
	lapic_load(cpu, &s);
	reg_to(&s, APIC_ISR + 0x20, 1u << 1);		/* 0x41 */
	reg_to(&s, APIC_ISR + 0x30, 1u << 2);		/* 0x62 */
	tap_check(lapic_store(cpu, &s) == 0, "two vectors in service");
	tap_check(msr_get(cpu, MSR_X2APIC(APIC_PROCPRI)) == 0x60, "PPR is the higher one's class");
	msr_write(cpu, MSR_X2APIC(APIC_TASKPRI), 0x75);
	tap_check(msr_get(cpu, MSR_X2APIC(APIC_PROCPRI)) == 0x75, "or TPR");
	msr_write(cpu, MSR_X2APIC(APIC_TASKPRI), 0);
	msr_write(cpu, MSR_X2APIC(APIC_EOI), 0);
	tap_check(!apic_vector(cpu, APIC_ISR, 0x62) && apic_vector(cpu, APIC_ISR, 0x41),
		  "EOI ends the higher one");
	tap_check(msr_get(cpu, MSR_X2APIC(APIC_PROCPRI)) == 0x40, "PPR falls");
	msr_write(cpu, MSR_X2APIC(APIC_EOI), 0);
	msr_write(cpu, MSR_X2APIC(APIC_EOI), 0);
	tap_check(msr_get(cpu, MSR_X2APIC(APIC_PROCPRI)) == 0, "EOI with nothing in service is ignored");
	machine_close(&m);
}

static void test_state(void)
{
	struct kvm_lapic_state before, after;
	struct machine m;
	int cpu;

	machine_make(&m, IRQCHIP_FULL, 1);
	cpu = m.cpu[0];
	lapic_load(cpu, &before);
	reg_to(&before, APIC_SPIV, APIC_ENABLE);
	reg_to(&before, APIC_TASKPRI, 0x30);
	reg_to(&before, APIC_PROCPRI, 0x30);
	reg_to(&before, APIC_LDR, 0x5a000000);
	reg_to(&before, APIC_LVT1, 0x8432);
	reg_to(&before, APIC_ICR, 0x4077);
	reg_to(&before, APIC_ICR2, 0x03000000);
	reg_to(&before, APIC_TDCR, 0xb);
	reg_to(&before, APIC_IRR + 0x50, 0x12345678);
	reg_to(&before, APIC_TMR + 0x50, 0x10);
	tap_check(lapic_store(cpu, &before) == 0, "state: KVM_SET_LAPIC");
	lapic_load(cpu, &after);
	tap_check(!memcmp(&before, &after, sizeof(before)), "state: KVM_GET_LAPIC gives the same");
	/* Garbage is no reason for anything but an answer. */
	memset(&before, 0xff, sizeof(before));
	lapic_store(cpu, &before);
	memset(&before, 0x5a, sizeof(before));
	lapic_store(cpu, &before);
	tap_check(msr_get(cpu, MSR_APIC_BASE) != 0, "state: garbage does no harm");
	machine_close(&m);
}

static void test_wide_ids(void)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X2APIC_API,
		.args = { KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	};
	static const uint32_t ids[] = { 0, 5, 0x105 };
	struct kvm_lapic_state s;
	struct machine m;
	int i;

	machine_open(&m, IRQCHIP_FULL);
	KVM(m.vm, KVM_ENABLE_CAP, &cap);
	machine_add_cpus(&m, 3, ids);
	tap_check(apic_get(m.cpu[1], APIC_ID) == 5u << 24, "wide ids: the xAPIC format stays");
	apic_put(m.cpu[2], APIC_SPIV, APIC_ENABLE);
	tap_check(send_msi(&m, MSI_TO(5), 0x100, 0x71) == 1 && apic_took(m.cpu[2], 0x71),
		  "wide ids: reach an xAPIC");
	for (i = 0; i < 3; i++)
		apic_enter_x2apic(m.cpu[i]);
	tap_check(apic_get(m.cpu[2], APIC_ID) == 0x105, "wide ids: in KVM_GET_LAPIC");
	tap_check(apic_get(m.cpu[2], APIC_LDR) == (0x10 << 16 | 1 << 5), "wide ids: logical id");
	for (i = 0; i < 2; i++, sleep_ms(200)) {
		tap_check(send_msi(&m, MSI_TO(5), 0x100, 0x71) == 1 && apic_took(m.cpu[2], 0x71) &&
			  !apic_took(m.cpu[1], 0x71), "wide ids: MSI above 255, %d", i);
		tap_check(send_msi(&m, MSI_TO(5), 0, 0x72) == 1 && apic_took(m.cpu[1], 0x72) &&
			  !apic_took(m.cpu[2], 0x72), "wide ids: MSI to its alias, %d", i);
		tap_check(send_msi(&m, MSI_TO(0x20) | MSI_LOGICAL, 0x100000, 0x73) == 1 &&
			  apic_took(m.cpu[2], 0x73), "wide ids: logical MSI, %d", i);
		tap_check(send_msi(&m, MSI_TO(0xff), 0, 0x74) == 0, "wide ids: 0xff is no broadcast, %d", i);
		tap_check(send_msi(&m, MSI_TO(0xff), 0xffffff00, 0x75) == 3, "wide ids: broadcast, %d", i);
	}
	tap_check(send_msi(&m, MSI_TO(5), 1, 0x71) == -EINVAL, "wide ids: the low byte of the upper address");
	lapic_load(m.cpu[2], &s);
	reg_to(&s, APIC_ID, 5);
	tap_check(lapic_store(m.cpu[2], &s) == -EINVAL, "wide ids: a wrong id is refused");
	machine_close(&m);
}

static void test_timer_modes(int cpu)
{
	uint64_t count, later;

	msr_write(cpu, MSR_X2APIC(APIC_TDCR), 0xb);
	msr_write(cpu, MSR_X2APIC(APIC_LVTT), 0x81);
	msr_write(cpu, MSR_X2APIC(APIC_TMICT), 300 * 1000 * 1000);
	count = msr_get(cpu, MSR_X2APIC(APIC_TMCCT));
	sleep_ms(20);
	later = msr_get(cpu, MSR_X2APIC(APIC_TMCCT));
	tap_check(count <= 300000000 && later < count && later > 0, "timer: counts down: %lu, %lu", count, later);
	tap_check(!apic_vector(cpu, APIC_IRR, 0x81), "timer: not yet");
	sleep_ms(400);
	tap_check(apic_takes(cpu, 0x81, 3000), "timer: one-shot");
	tap_check(msr_get(cpu, MSR_X2APIC(APIC_TMCCT)) == 0, "timer: stays at 0");

	msr_write(cpu, MSR_X2APIC(APIC_LVTT), 0x20082);
	msr_write(cpu, MSR_X2APIC(APIC_TMICT), 50 * 1000 * 1000);
	tap_check(apic_takes(cpu, 0x82, 3000) && apic_takes(cpu, 0x82, 3000) && apic_takes(cpu, 0x82, 3000),
		  "timer: periodic");
	msr_write(cpu, MSR_X2APIC(APIC_LVTT), 0x30082);
	apic_took(cpu, 0x82);
	tap_check(!apic_takes(cpu, 0x82, 200), "timer: masked");
	msr_write(cpu, MSR_X2APIC(APIC_TMICT), 0);
	msr_write(cpu, MSR_X2APIC(APIC_LVTT), 0x20082);
	tap_check(!apic_takes(cpu, 0x82, 200), "timer: an initial count of 0 stops it");

	/* The shortest period there is: bounded, or the host would not get out of its timer. */
	msr_write(cpu, MSR_X2APIC(APIC_TMICT), 1);
	tap_check(apic_takes(cpu, 0x82, 3000), "timer: shortest period");
	msr_write(cpu, MSR_X2APIC(APIC_TMICT), 0);
	apic_took(cpu, 0x82);
}

static void test_timer_restore(int cpu)
{
	struct kvm_lapic_state s;

	msr_write(cpu, MSR_X2APIC(APIC_LVTT), 0x83);
	lapic_load(cpu, &s);
	reg_to(&s, APIC_TMICT, 2000 * 1000 * 1000);
	reg_to(&s, APIC_TMCCT, 100 * 1000 * 1000);
	tap_check(lapic_store(cpu, &s) == 0 && apic_takes(cpu, 0x83, 1500),
		  "timer: goes on from the current count");
	apic_put(cpu, APIC_TMICT, 0);
	apic_took(cpu, 0x83);
}

static void test_deadline(struct machine *m)
{
	int cpu = m->cpu[0];
	uint64_t khz = kvm_raw_value(cpu, KVM_GET_TSC_KHZ, 0);

	if (kvm_cap(m->vm, KVM_CAP_TSC_DEADLINE_TIMER) <= 0) {
		tap_skip("no TSC deadline timer");
		return;
	}
	tap_check(msr_write(cpu, MSR_DEADLINE, 12345) && msr_get(cpu, MSR_DEADLINE) == 0,
		  "deadline: ignored in other modes");
	msr_write(cpu, MSR_X2APIC(APIC_LVTT), 0x40084);
	tap_check(msr_write(cpu, MSR_X2APIC(APIC_TMICT), 1000) && msr_get(cpu, MSR_X2APIC(APIC_TMICT)) == 0,
		  "deadline: there is no count");
	msr_write(cpu, MSR_DEADLINE, msr_get(cpu, MSR_TSC) + 100 * khz);
	tap_check(msr_get(cpu, MSR_DEADLINE) != 0, "deadline: armed");
	tap_check(apic_takes(cpu, 0x84, 3000), "deadline: fires");
	tap_check(msr_get(cpu, MSR_DEADLINE) == 0, "deadline: and is disarmed");
	msr_write(cpu, MSR_DEADLINE, 1);
	tap_check(apic_takes(cpu, 0x84, 1000), "deadline: in the past");
	msr_write(cpu, MSR_DEADLINE, ~0ull);
	tap_check(!apic_takes(cpu, 0x84, 100), "deadline: far in the future");
	msr_write(cpu, MSR_DEADLINE, 0);
	tap_check(msr_get(cpu, MSR_DEADLINE) == 0, "deadline: disarmed");
	msr_write(cpu, MSR_DEADLINE, ~0ull >> 1);
	msr_write(cpu, MSR_X2APIC(APIC_LVTT), 0x84);
	msr_write(cpu, MSR_X2APIC(APIC_LVTT), 0x40084);
	tap_check(msr_get(cpu, MSR_DEADLINE) == 0, "deadline: a change of mode disarms");
}

static void test_timer(void)
{
	struct machine m;

	machine_make(&m, IRQCHIP_FULL, 1);
	apic_enter_x2apic(m.cpu[0]);
	test_timer_modes(m.cpu[0]);
	test_timer_restore(m.cpu[0]);
	test_deadline(&m);
	machine_close(&m);
}

int main(void)
{
	test_reset();
	test_base();
	test_physical();
	test_logical();
	test_ipi();
	test_startup();
	test_registers();
	test_priority();
	test_state();
	test_wide_ids();
	test_timer();
	return tap_done();
}
