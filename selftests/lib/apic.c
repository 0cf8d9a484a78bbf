// SPDX-License-Identifier: GPL-2.0
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "apic.h"
#include "flat.h"
#include "tap.h"
#include "vm.h"

#define MAX_CPUID	256

static struct kvm_cpuid2 *supported_cpuid(struct machine *m)
{
	static union {
		struct kvm_cpuid2 list;
		char room[sizeof(struct kvm_cpuid2) + MAX_CPUID * sizeof(struct kvm_cpuid_entry2)];
	} cpuid;

	cpuid.list.nent = MAX_CPUID;
	KVM(m->dev, KVM_GET_SUPPORTED_CPUID, &cpuid.list);
	return &cpuid.list;
}

bool cpuid_has_ecx1(struct machine *m, int bit)
{
	struct kvm_cpuid2 *list = supported_cpuid(m);

	for (unsigned int i = 0; i < list->nent; i++)
		if (list->entries[i].function == 1)
			return list->entries[i].ecx >> bit & 1;
	return false;
}

/* Does Nestor's apic_accel= name @word? SVM's are part of "all" where there is x2AVIC; false where the CPU has no AVIC. */
static bool accel_named(const char *word)
{
	FILE *f = fopen("/sys/module/nestor/parameters/apic_accel", "r");
	unsigned int eax, ebx, ecx, edx = 0;
	char words[128] = "";

	if (!f)
		return false;
	fgets(words, sizeof(words), f);
	fclose(f);
	if (!flat_is_amd())
		return !strcmp(words, "all\n");
	__get_cpuid(0x8000000a, &eax, &ebx, &ecx, &edx);
	return edx & 1 << 13 && (strstr(words, word) || (edx & 1 << 18 && !strcmp(words, "all\n")));
}

bool apic_accelerated(bool x2apic)
{
	return !(flat_is_amd() && x2apic) && accel_named("avic");
}

bool apic_sends_ipis(bool x2apic)
{
	unsigned int eax = 0, ebx, ecx, edx;

	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
	/* Erratum 1235 of AMD's family 17h. */
	return flat_is_amd() && !x2apic && accel_named("ipi") && (eax >> 20 & 0xff) != 8;
}

/* The TSC deadline timer is the in-kernel APIC's, which user space adds: KVM_CAP_TSC_DEADLINE_TIMER. */
static void set_cpuid(struct machine *m, int cpu)
{
	struct kvm_cpuid2 *list = supported_cpuid(m);

	for (unsigned int i = 0; i < list->nent; i++)
		if (list->entries[i].function == 1)
			list->entries[i].ecx |= 1u << 21 |
				(kvm_cap(m->vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0 ? 1u << 24 : 0);
	KVM(cpu, KVM_SET_CPUID2, list);
}

void machine_open(struct machine *m, enum irqchip kind)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	memset(m, 0, sizeof(*m));
	m->dev = device_open();
	m->vm = KVM_VALUE(m->dev, KVM_CREATE_VM, 0);
	if (kind == IRQCHIP_SPLIT)
		KVM(m->vm, KVM_ENABLE_CAP, &split);
	else
		KVM_VALUE(m->vm, KVM_CREATE_IRQCHIP, 0);
}

void machine_add_cpus(struct machine *m, int nr, const uint32_t *ids)
{
	int size = KVM_VALUE(m->dev, KVM_GET_VCPU_MMAP_SIZE, 0);

	for (int i = 0; i < nr; i++) {
		int cpu = KVM_VALUE(m->vm, KVM_CREATE_VCPU, ids ? ids[i] : (uint32_t)m->nr_cpus);

		set_cpuid(m, cpu);
		m->run[m->nr_cpus] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
		if (m->run[m->nr_cpus] == MAP_FAILED)
			tap_fail("cannot map kvm_run");
		m->cpu[m->nr_cpus++] = cpu;
	}
}

void machine_make(struct machine *m, enum irqchip kind, int nr_cpus)
{
	machine_open(m, kind);
	machine_add_cpus(m, nr_cpus, NULL);
}

void machine_close(struct machine *m)
{
	int size = KVM_VALUE(m->dev, KVM_GET_VCPU_MMAP_SIZE, 0);

	for (int i = 0; i < m->nr_cpus; i++) {
		munmap(m->run[i], size);
		close(m->cpu[i]);
	}
	close(m->vm);
	close(m->dev);
}

union one_msr {
	struct kvm_msrs list;
	char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

int msr_write(int cpu, uint32_t msr, uint64_t value)
{
	union one_msr one = { .list.nmsrs = 1 };

	one.list.entries[0] = (struct kvm_msr_entry) { .index = msr, .data = value };
	return KVM(cpu, KVM_SET_MSRS, &one);
}

int msr_read(int cpu, uint32_t msr, uint64_t *value)
{
	union one_msr one = { .list.nmsrs = 1 };
	int r;

	one.list.entries[0] = (struct kvm_msr_entry) { .index = msr };
	r = KVM(cpu, KVM_GET_MSRS, &one);
	*value = one.list.entries[0].data;
	return r;
}

uint64_t msr_get(int cpu, uint32_t msr)
{
	uint64_t value;

	if (msr_read(cpu, msr, &value) != 1)
		tap_fail("MSR 0x%x cannot be read", msr);
	return value;
}

void lapic_load(int cpu, struct kvm_lapic_state *s)
{
	memset(s, 0, sizeof(*s));
	KVM(cpu, KVM_GET_LAPIC, s);
}

int lapic_store(int cpu, const struct kvm_lapic_state *s)
{
	return kvm_raw(cpu, KVM_SET_LAPIC, s);
}

uint32_t reg_of(const struct kvm_lapic_state *s, uint32_t reg)
{
	uint32_t value;

	memcpy(&value, s->regs + reg, sizeof(value));
	return value;
}

void reg_to(struct kvm_lapic_state *s, uint32_t reg, uint32_t value)
{
	memcpy(s->regs + reg, &value, sizeof(value));
}

uint32_t apic_get(int cpu, uint32_t reg)
{
	struct kvm_lapic_state s;

	lapic_load(cpu, &s);
	return reg_of(&s, reg);
}

void apic_put(int cpu, uint32_t reg, uint32_t value)
{
	struct kvm_lapic_state s;

	lapic_load(cpu, &s);
	reg_to(&s, reg, value);
	if (lapic_store(cpu, &s))
		tap_fail("KVM_SET_LAPIC was refused");
}

bool apic_vector(int cpu, uint32_t base, uint8_t vector)
{
	return apic_get(cpu, base + vector / 32 * 0x10) >> vector % 32 & 1;
}

bool apic_took(int cpu, uint8_t vector)
{
	uint32_t reg = APIC_IRR + vector / 32 * 0x10;
	uint32_t irr = apic_get(cpu, reg);

	if (!(irr >> vector % 32 & 1))
		return false;
	apic_put(cpu, reg, irr & ~(1u << vector % 32));
	return true;
}

static void on_alarm(int signal)
{
}

int run_for(int cpu, int ms)
{
	/* Again and again: the first may come before KVM_RUN. */
	struct itimerval on = { .it_value = { ms / 1000, ms % 1000 * 1000 }, .it_interval.tv_usec = 1000 };
	struct itimerval off = {};
	struct sigaction action = { .sa_handler = on_alarm };
	int r;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &on, NULL);
	r = kvm_raw_value(cpu, KVM_RUN, 0);
	setitimer(ITIMER_REAL, &off, NULL);
	return r;
}

void doze(int cpu, int ms)
{
	struct kvm_mp_state halted = { .mp_state = KVM_MP_STATE_HALTED };

	KVM(cpu, KVM_SET_MP_STATE, &halted);
	/* Upstream's 7.x does not always stay inside. */
	if (run_for(cpu, ms) != -EINTR)
		sleep_ms(ms);
}

bool apic_takes(int cpu, uint8_t vector, int ms)
{
	for (int waited = 0; waited < ms && !apic_vector(cpu, APIC_IRR, vector); waited += 20)
		doze(cpu, 20);
	return apic_took(cpu, vector);
}

void apic_enter_x2apic(int cpu)
{
	uint64_t base = msr_get(cpu, MSR_APIC_BASE);

	if (!msr_write(cpu, MSR_APIC_BASE, base | APIC_BASE_ON | APIC_BASE_X2))
		tap_skip_all("%s has no x2APIC", device_path());
	if (!msr_write(cpu, MSR_X2APIC(APIC_SPIV), APIC_ENABLE))
		tap_fail("SPIV cannot be written");
}

int send_msi(struct machine *m, uint32_t address_lo, uint32_t address_hi, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = address_lo, .address_hi = address_hi, .data = data };

	return kvm_raw(m->vm, KVM_SIGNAL_MSI, &msi);
}

int irq_line(struct machine *m, uint32_t gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	KVM(m->vm, KVM_IRQ_LINE_STATUS, &line);
	return line.status;
}

void sleep_ms(int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}
