// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: CPUID leaves, offered and as the guest has them.
 */
#include <linux/bitfield.h>
#include <linux/cpu.h>
#include <asm/cpufeature.h>

#include "pv/hyperv.h"
#include "vm/ops.h"

/* Guests look for enlightenments of this version: those of Windows Server 2016. */
#define BUILD			0x3839
#define VERSION			(10 << 16)
/* How often a guest tries a lock before it says that it spins. */
#define SPINS			0xfff
/* Logical processors that a guest may expect of the host. */
#define MAX_LOGICAL_PROCESSORS	64

static void set_vendor(struct kvm_cpuid_entry2 *e, u32 max)
{
	static const char name[12] = "Linux KVM Hv";

	e->eax = max;
	memcpy(&e->ebx, name, 4);
	memcpy(&e->ecx, name + 4, 4);
	memcpy(&e->edx, name + 8, 4);
}

static void set_features(struct kvm_cpuid_entry2 *e, bool apic)
{
	e->eax = HV_CAN_VP_RUNTIME | HV_CAN_REF_COUNTER | HV_CAN_SYNIC | HV_CAN_STIMER | HV_CAN_APIC |
		 HV_CAN_HYPERCALL | HV_CAN_VP_INDEX | HV_CAN_RESET | HV_CAN_REF_TSC |
		 HV_CAN_FREQUENCIES | HV_CAN_REENLIGHTENMENT | HV_CAN_TSC_INVARIANT;
	e->ebx = HV_CAN_POST_MESSAGES | HV_CAN_SIGNAL_EVENTS | HV_CAN_DEBUG | HV_CAN_EXT_CALLS;
	e->edx = HV_HAS_GUEST_DEBUGGING | HV_HAS_XMM_INPUT | HV_HAS_FREQUENCIES | HV_HAS_CRASH |
		 HV_HAS_DEBUG_MSRS | HV_HAS_EXT_GVA_RANGES;
	if (apic)
		e->edx |= HV_HAS_DIRECT_STIMER;
}

static void set_hints(struct kvm_cpuid_entry2 *e, bool apic, bool evmcs)
{
	e->eax = HV_HINT_REMOTE_FLUSH | HV_HINT_APIC_MSRS | HV_HINT_RELAXED_TIMING | HV_HINT_NO_AUTO_EOI |
		 HV_HINT_EX_MASKS;
	if (apic)
		e->eax |= HV_HINT_CLUSTER_IPI;
	if (evmcs)
		e->eax |= HV_HINT_EVMCS;
	if (!cpu_smt_possible())
		e->eax |= HV_HINT_NO_CORE_SHARING;
	e->ebx = SPINS;
}

static void set_nested(struct kvm_cpuid_entry2 *e, u16 evmcs_versions)
{
	e->eax = FIELD_PREP(HV_NESTED_EVMCS, evmcs_versions) | HV_NESTED_MSR_BITMAP;
	if (cpu_caps.nested && vendor->nested->after_flush)
		e->eax |= HV_NESTED_DIRECT_FLUSH;
}

void hv_cpuid_supported(struct kvm_cpuid_entry2 *entries, const struct vcpu *vcpu)
{
	static const u32 leaves[HV_CPUID_ENTRIES] = {
		HV_LEAF_VENDOR, HV_LEAF_INTERFACE, HV_LEAF_VERSION, HV_LEAF_FEATURES, HV_LEAF_HINTS,
		HV_LEAF_LIMITS, HV_LEAF_DEBUG_VENDOR, HV_LEAF_DEBUG_INTERFACE, HV_LEAF_DEBUG_CAPS,
		HV_LEAF_NESTED,
	};
	u16 evmcs_versions = hv_evmcs_versions(vcpu);
	bool apic = !vcpu || vcpu->lapic;
	struct kvm_cpuid_entry2 *e;
	int i;

	for (i = 0; i < HV_CPUID_ENTRIES; i++) {
		e = &entries[i];
		*e = (struct kvm_cpuid_entry2) { .function = leaves[i] };
		switch (e->function) {
		case HV_LEAF_VENDOR:
			set_vendor(e, HV_LEAF_DEBUG_CAPS);
			break;
		case HV_LEAF_INTERFACE:
			e->eax = HV_SIGNATURE_HV1;
			break;
		case HV_LEAF_VERSION:
			e->eax = BUILD;
			e->ebx = VERSION;
			break;
		case HV_LEAF_FEATURES:
			set_features(e, apic);
			break;
		case HV_LEAF_HINTS:
			set_hints(e, apic, evmcs_versions);
			break;
		case HV_LEAF_LIMITS:
			e->eax = NESTOR_MAX_VCPUS;
			e->ebx = MAX_LOGICAL_PROCESSORS;
			break;
		case HV_LEAF_DEBUG_VENDOR:
			set_vendor(e, 0);
			break;
		case HV_LEAF_DEBUG_INTERFACE:
			e->eax = HV_SIGNATURE_VS1;
			break;
		case HV_LEAF_DEBUG_CAPS:
			e->eax = HV_DEBUG_ALLOWED;
			break;
		case HV_LEAF_NESTED:
			set_nested(e, evmcs_versions);
			break;
		}
	}
}

static bool is_hyperv(struct vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(vcpu, HV_LEAF_INTERFACE, 0);

	return e && e->eax == HV_SIGNATURE_HV1;
}

int hv_cpuid_prepare(struct vcpu *vcpu)
{
	return is_hyperv(vcpu) ? hv_vcpu_prepare(vcpu) : 0;
}

void hv_cpuid_changed(struct vcpu *vcpu)
{
	struct vcpu_hv *hv = vcpu->hv;
	const struct kvm_cpuid_entry2 *e;

	if (!hv)
		return;
	hv->features = (struct hv_features) { 0 };
	hv->enabled = is_hyperv(vcpu);
	if (!hv->enabled)
		return;
	e = cpuid_find(vcpu, HV_LEAF_FEATURES, 0);
	if (e) {
		hv->features.eax = e->eax;
		hv->features.ebx = e->ebx;
		hv->features.edx = e->edx;
	}
	e = cpuid_find(vcpu, HV_LEAF_HINTS, 0);
	if (e) {
		hv->features.hints = e->eax;
		hv->features.spins = e->ebx;
	}
	e = cpuid_find(vcpu, HV_LEAF_NESTED, 0);
	if (e)
		hv->features.nested = e->eax;
	e = cpuid_find(vcpu, HV_LEAF_DEBUG_CAPS, 0);
	if (e)
		hv->features.debug = e->eax;
}

bool hv_may_hide_invariant_tsc(struct vcpu *vcpu)
{
	return vcpu->hv && vcpu->hv->features.eax & HV_CAN_TSC_INVARIANT;
}

/**
 * hv_hides_invariant_tsc - is CPUID's invariant-TSC bit taken from what the guest sees?
 * @vcpu: the vCPU
 *
 * A guest that is offered HV_MSR_TSC_INVARIANT sees the bit after it has asked for it there: so it
 * knows that its host may emulate TSC accesses otherwise (TLFS, Reenlightenment).
 */
bool hv_hides_invariant_tsc(struct vcpu *vcpu)
{
	return hv_may_hide_invariant_tsc(vcpu) &&
	       !(READ_ONCE(vcpu->vm->hv->tsc_invariant) & HV_TSC_INVARIANT_EXPOSE);
}
