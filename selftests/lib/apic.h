/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupt controllers seen from outside: what a device or another CPU sends lands in IRR, which
 * KVM_GET_LAPIC shows, and x2APIC registers can be written with KVM_SET_MSRS. So most of their behaviour
 * can be tested without a guest.
 */
#ifndef TEST_APIC_H
#define TEST_APIC_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#define APIC_ID		0x20
#define APIC_LVR	0x30
#define APIC_TASKPRI	0x80
#define APIC_PROCPRI	0xa0
#define APIC_EOI	0xb0
#define APIC_LDR	0xd0
#define APIC_DFR	0xe0
#define APIC_SPIV	0xf0
#define APIC_ISR	0x100
#define APIC_TMR	0x180
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVTT	0x320
#define APIC_LVT0	0x350
#define APIC_LVT1	0x360
#define APIC_LVTERR	0x370
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_SELF_IPI	0x3f0

#define APIC_ENABLE	0x1ff			/* SPIV: on, spurious vector 0xff */
#define APIC_BASE_BSP	0x100ull
#define APIC_BASE_X2	0x400ull
#define APIC_BASE_ON	0x800ull

#define MSR_APIC_BASE	0x1b
#define MSR_TSC		0x10
#define MSR_DEADLINE	0x6e0
#define MSR_X2APIC(reg)	(0x800 + ((reg) >> 4))

#define MAX_CPUS	4

enum irqchip { IRQCHIP_FULL, IRQCHIP_SPLIT };

struct machine {
	int dev, vm;
	int nr_cpus;
	int cpu[MAX_CPUS];
	struct kvm_run *run[MAX_CPUS];
};

/* A VM without memory; the vCPUs' ids are @ids, or 0, 1, .. when it is NULL. Supported CPUID is set. */
void machine_open(struct machine *m, enum irqchip kind);
void machine_add_cpus(struct machine *m, int nr, const uint32_t *ids);
void machine_make(struct machine *m, enum irqchip kind, int nr_cpus);
void machine_close(struct machine *m);
bool cpuid_has_ecx1(struct machine *m, int bit);	/* leaf 1, ECX, as supported */

/* Does the CPU deliver interrupts to guests of Nestor's, and end them, without an exit? */
bool apic_accelerated(bool x2apic);
bool apic_sends_ipis(bool x2apic);			/* and IPIs to vCPUs that run */

/* 1, or 0 when the MSR or the value was refused. */
int msr_write(int cpu, uint32_t msr, uint64_t value);
int msr_read(int cpu, uint32_t msr, uint64_t *value);
uint64_t msr_get(int cpu, uint32_t msr);		/* must work */

void lapic_load(int cpu, struct kvm_lapic_state *s);
int lapic_store(int cpu, const struct kvm_lapic_state *s);	/* 0 or -errno */
uint32_t reg_of(const struct kvm_lapic_state *s, uint32_t reg);
void reg_to(struct kvm_lapic_state *s, uint32_t reg, uint32_t value);
uint32_t apic_get(int cpu, uint32_t reg);
void apic_put(int cpu, uint32_t reg, uint32_t value);
bool apic_vector(int cpu, uint32_t base, uint8_t vector);
/* Is it requested? And take it back. */
bool apic_took(int cpu, uint8_t vector);
/* The same within @ms, while the vCPU dozes. */
bool apic_takes(int cpu, uint8_t vector, int ms);
/* KVM_RUN for @ms at most: the result or -errno. */
int run_for(int cpu, int ms);
/* Run the vCPU for @ms, halted and with interrupts off: upstream's APIC timer needs that. */
void doze(int cpu, int ms);
void apic_enter_x2apic(int cpu);			/* and enable by software */

/* KVM_SIGNAL_MSI: the result or -errno. */
int send_msi(struct machine *m, uint32_t address_lo, uint32_t address_hi, uint32_t data);
#define MSI_TO(dest)	(0xfee00000u | (uint32_t)(dest) << 12)
#define MSI_LOGICAL	4u
#define MSI_HINT	8u
#define MSI_LEVEL	0x8000u
#define MSI_LOWEST	0x100u
#define MSI_NMI		0x400u

int irq_line(struct machine *m, uint32_t gsi, int level);	/* KVM_IRQ_LINE_STATUS's status */
void sleep_ms(int ms);

#endif
