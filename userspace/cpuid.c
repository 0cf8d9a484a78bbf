// SPDX-License-Identifier: GPL-2.0
/* The guest's CPUID: what the hypervisor supports, with this vCPU's place in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "util.h"
#include "vm.h"

#define CPUID_1_ECX_TSC_DEADLINE	(1u << 24)
#define CPUID_1_ECX_HYPERVISOR		(1u << 31)
#define CPUID_1_EDX_HTT			(1u << 28)
#define CPUID_80000001_ECX_CMP_LEGACY	(1u << 1)

#define LEVEL_SMT	1
#define LEVEL_CORE	2

/* Leaf of the hypervisor range with TSC and bus frequency, after VMware's. */
#define CPUID_HV_BASE	0x40000000
#define CPUID_HV_TIMING	0x40000010
#define APIC_BUS_KHZ	1000000

/* Entries that editing may add to the supported ones. */
#define CPUID_EXTRA	8

/**
 * struct topology - one package of single-threaded cores
 * @id: this vCPU's APIC ID
 * @cores: cores in the package
 * @shift: bits of the APIC ID that number the cores
 */
struct topology {
	unsigned int id;
	unsigned int cores;
	unsigned int shift;
};

static struct topology topology_of(const struct vcpu *vcpu)
{
	struct topology t = { .id = vcpu->id, .cores = vcpu->vm->config->cpus };

	while ((1u << t.shift) < t.cores)
		t.shift++;
	return t;
}

/** cpuid__find() - the entry of a function, and of @index where the function has several; NULL: there is none */
struct kvm_cpuid_entry2 *cpuid__find(struct kvm_cpuid2 *list, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < list->nent; i++)
		if (list->entries[i].function == function &&
		    (!(list->entries[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || list->entries[i].index == index))
			return &list->entries[i];
	return NULL;
}

static void cpuid__drop(struct kvm_cpuid2 *list, uint32_t function)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < list->nent; i++)
		if (list->entries[i].function != function)
			list->entries[kept++] = list->entries[i];
	list->nent = kept;
}

/** cpuid__is_amd() - is it a CPU of AMD's, or of Hygon's, which are alike? */
bool cpuid__is_amd(struct kvm_cpuid2 *list)
{
	const struct kvm_cpuid_entry2 *e = cpuid__find(list, 0, 0);

	/* "Auth", "Hygo" */
	return e && (e->ebx == 0x68747541 || e->ebx == 0x6f677948);
}

/* Leaves 4 and 0x8000001d: caches up to level 2 are private, the rest shared. */
static void fix_cache(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	uint32_t level = (e->eax >> 5) & 7;
	uint32_t sharing = level > 2 ? (1u << t->shift) - 1 : 0;

	if (!(e->eax & 0x1f))
		return;
	e->eax = (e->eax & 0x3fff) | (sharing & 0xfff) << 14;
	if (e->function == 4)
		e->eax |= (((1u << t->shift) - 1) & 0x3f) << 26;
}

static void fix_entry(struct kvm_cpuid_entry2 *e, const struct topology *t,
		      const struct vm *vm, bool amd)
{
	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xffff) | (t->cores & 0xff) << 16 | t->id << 24;
		e->ecx |= CPUID_1_ECX_HYPERVISOR;
		if (kvm__extension(vm->kvm, KVM_CAP_TSC_DEADLINE_TIMER))
			e->ecx |= CPUID_1_ECX_TSC_DEADLINE;
		if (t->cores > 1)
			e->edx |= CPUID_1_EDX_HTT;
		break;
	case 4:
	case 0x8000001d:
		fix_cache(e, t);
		break;
	case 0x80000001:
		if (amd && t->cores > 1)
			e->ecx |= CPUID_80000001_ECX_CMP_LEGACY;
		break;
	case 0x80000008:
		if (amd)
			e->ecx = t->shift << 12 | (t->cores - 1);
		break;
	case 0x8000001e:
		e->eax = t->id;
		e->ebx = t->id & 0xff;
		e->ecx = 0;
		break;
	}
}

static void add_level(struct kvm_cpuid2 *list, uint32_t function, uint32_t index,
		      uint32_t type, const struct topology *t)
{
	list->entries[list->nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = type == LEVEL_CORE ? t->shift : 0,
		.ebx = type == LEVEL_CORE ? t->cores : type == LEVEL_SMT,
		.ecx = type << 8 | index,
		.edx = t->id,
	};
}

/* Leaves 0xb and 0x1f hold this host CPU's place in the host: make them anew. */
static void rebuild_levels(struct kvm_cpuid2 *list, const struct topology *t)
{
	static const uint32_t leaves[] = { 0xb, 0x1f };
	uint32_t max = cpuid__find(list, 0, 0) ? cpuid__find(list, 0, 0)->eax : 0;

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		bool there = cpuid__find(list, leaves[i], 0);

		cpuid__drop(list, leaves[i]);
		if (leaves[i] > max || (leaves[i] == 0x1f && !there))
			continue;
		add_level(list, leaves[i], 0, LEVEL_SMT, t);
		add_level(list, leaves[i], 1, LEVEL_CORE, t);
		add_level(list, leaves[i], 2, 0, t);
	}
}

/* Spares the guest the calibration of its timers against the PIT. */
static void add_timing(struct kvm_cpuid2 *list, const struct vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *base = cpuid__find(list, CPUID_HV_BASE, 0);
	int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);

	if (!base || khz <= 0)
		return;
	if (base->eax < CPUID_HV_TIMING)
		base->eax = CPUID_HV_TIMING;
	cpuid__drop(list, CPUID_HV_TIMING);
	list->entries[list->nent++] = (struct kvm_cpuid_entry2){
		.function = CPUID_HV_TIMING,
		.eax = khz,
		.ebx = APIC_BUS_KHZ,
	};
}

/**
 * cpuid__apply() - set a vCPU's CPUID
 *
 * Everything the hypervisor supports is passed on. Only what depends on the
 * vCPU or on the machine around it is filled in: APIC IDs, topology, the
 * hypervisor bit, and the TSC deadline timer, which older hypervisors announce
 * as a capability rather than in the list.
 */
int cpuid__apply(struct vcpu *vcpu)
{
	const struct kvm_cpuid2 *supported = vcpu->vm->kvm->cpuid;
	struct topology t = topology_of(vcpu);
	struct kvm_cpuid2 *list;
	int ret;

	list = xcalloc(1, sizeof(*list) +
		       (supported->nent + CPUID_EXTRA) * sizeof(list->entries[0]));
	memcpy(list, supported,
	       sizeof(*list) + supported->nent * sizeof(list->entries[0]));
	for (uint32_t i = 0; i < list->nent; i++)
		fix_entry(&list->entries[i], &t, vcpu->vm, cpuid__is_amd(list));
	rebuild_levels(list, &t);
	add_timing(list, vcpu);
	ret = KVM_IOCTL(vcpu->fd, KVM_SET_CPUID2, list);
	free(list);
	return ret < 0 ? ret : 0;
}
