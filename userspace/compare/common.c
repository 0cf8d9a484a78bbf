// SPDX-License-Identifier: GPL-2.0
/*
 * What both devices offer: guests get no more than that, so that what they meet is the same. What one offers alone
 * shows when the lists are compared.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "compare/compare.h"
#include "l1.h"
#include "util.h"

#define ANY_INDEX	(~0u)

/* The registers that are bits of features: of which both have to have one. */
static const struct {
	uint32_t function, index;
	bool eax, ebx, ecx, edx;
} features[] = {
	{ 1, ANY_INDEX, false, false, true, true }, { 6, ANY_INDEX, true, false, true, false },
	{ 7, 0, false, true, true, true }, { 7, 1, true, true, true, true }, { 7, 2, true, true, true, true },
	{ 0xd, 0, true, false, false, true }, { 0xd, 1, true, false, true, true }, { 0x14, ANY_INDEX, true, true, true, true },
	{ 0x40000001, ANY_INDEX, true, false, false, true }, { 0x80000001, ANY_INDEX, false, false, true, true },
	{ 0x80000007, ANY_INDEX, false, false, false, true }, { 0x80000008, ANY_INDEX, false, true, false, false },
	{ 0x8000000a, ANY_INDEX, false, false, false, true }, { 0x8000001f, ANY_INDEX, true, true, true, true },
	{ 0x80000021, ANY_INDEX, true, false, true, false },
};

static void intersect(struct kvm_cpuid_entry2 *e, const struct kvm_cpuid_entry2 *other)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].function != e->function ||
		    (features[i].index != ANY_INDEX && features[i].index != e->index))
			continue;
		e->eax &= features[i].eax ? other->eax : ~0u;
		e->ebx &= features[i].ebx ? other->ebx : ~0u;
		e->ecx &= features[i].ecx ? other->ecx : ~0u;
		e->edx &= features[i].edx ? other->edx : ~0u;
	}
}

/* SDM, VMX Capability Reporting Facility: bits that have to be 1 in the low half, that may be in the high one. */
static bool is_pair(uint32_t index)
{
	return index <= 0x484 || index == 0x48b || (index >= 0x48d && index <= 0x490);
}

static bool has_to_be_one(uint32_t index)
{
	return index == 0x486 || index == 0x488;
}

static void intersect_msrs(struct kvm_msrs *msrs, const struct kvm_msrs *other)
{
	if (msrs->nmsrs > other->nmsrs)
		msrs->nmsrs = other->nmsrs;
	for (uint32_t i = 0; i < msrs->nmsrs; i++) {
		uint64_t a = msrs->entries[i].data, b = other->entries[i].data;

		if (is_pair(msrs->entries[i].index))
			msrs->entries[i].data = ((a | b) & 0xffffffff) | (a & b & ~0xffffffffULL);
		else
			msrs->entries[i].data = has_to_be_one(msrs->entries[i].index) ? a | b : a & b;
	}
}

/* Of a vCPU: some controls need features of its CPUID. */
static struct kvm_msrs *read_vmx_msrs(const struct kvm *kvm, const struct kvm_cpuid2 *cpuid)
{
	int vm = ioctl(kvm->fd, KVM_CREATE_VM, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	struct kvm_msrs *msrs;

	ioctl(vcpu, KVM_SET_CPUID2, cpuid);
	msrs = l1__read_vmx_msrs(vcpu);
	close(vcpu);
	close(vm);
	return msrs;
}

/** common__init() - read both and keep what they share */
void common__init(struct common *common, const struct kvm *a, const struct kvm *b)
{
	struct kvm_cpuid2 *list = xcalloc(1, sizeof(*list) + a->cpuid->nent * sizeof(list->entries[0]));
	struct kvm_msrs *other;

	for (uint32_t i = 0; i < a->cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &a->cpuid->entries[i];
		const struct kvm_cpuid_entry2 *of_b = cpuid__find(b->cpuid, e->function, e->index);

		if (!of_b)
			continue;
		list->entries[list->nent] = *of_b;
		intersect(&list->entries[list->nent++], e);
	}
	common->cpuid = list;
	common->msrs = read_vmx_msrs(a, list);
	other = read_vmx_msrs(b, list);
	intersect_msrs(common->msrs, other);
	free(other);
}

void common__exit(struct common *common)
{
	free(common->cpuid);
	free(common->msrs);
}
