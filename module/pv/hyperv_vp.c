// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: hypercalls to sets of virtual processors, which flush TLBs and send interrupts.
 */
#include <linux/bitfield.h>
#include <linux/bitops.h>

#include "irq/irq.h"
#include "pv/hyperv.h"

/**
 * struct vp_set - whom a call is for
 * @all: everybody
 * @valid: bit n: processors 64 * n to 64 * n + 63 have a word in @banks
 * @banks: their words, one behind the other
 */
struct vp_set {
	bool all;
	u64 valid;
	u64 *banks;
};

static bool set_has(const struct vp_set *set, u32 vp)
{
	u32 bank = vp / 64;

	if (set->all)
		return true;
	if (bank >= HV_BANKS || !(set->valid & BIT_ULL(bank)))
		return false;
	return set->banks[hweight64(set->valid & (BIT_ULL(bank) - 1))] & BIT_ULL(vp % 64);
}

/* One word: the first 64 processors. */
static void set_from_mask(struct vp_set *set, u64 mask)
{
	set->all = false;
	set->valid = 1;
	set->banks[0] = mask;
}

/*
 * TLFS, Sparse Virtual Processor Sets. The header's size has to agree with the mask, so there are at most
 * 64 words. They are part of the input even where the format says 'all'.
 */
static bool set_from_input(struct vm *vm, struct hv_call *call, u64 format, u64 valid, struct vp_set *set)
{
	set->valid = valid;
	return call->var_header == hweight64(valid) &&
	       hv_call_read(vm, call, set->banks, call->var_header);
}

static bool enters_l2(struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->nested.shadow);
}

/**
 * hv_call_flush - HvCallFlushVirtualAddress{Space,List}, and their Ex forms
 * @vcpu: the caller, not in a burst
 * @call: the input
 *
 * Flushes all translations of those meant, whatever the address space and the list say: more than asked is
 * allowed, and CR3 of a processor that runs is not known here. An L2's processors are whichever enter it, and what they have
 * of it stays in the TLB while they run another: all of them are meant. Returns when none of them runs with the old
 * ones any more.
 */
u64 hv_call_flush(struct vcpu *vcpu, struct hv_call *call)
{
	struct vp_set set = { .banks = vcpu->hv->banks };
	struct vm *vm = vcpu->vm;
	u64 head[4];
	struct vcpu *v;
	int i;

	if (call->code == HV_CALL_FLUSH_SPACE || call->code == HV_CALL_FLUSH_LIST) {
		/* Address space, flags, processors. */
		if (!hv_call_read(vm, call, head, 3))
			return HV_INVALID_INPUT;
		set_from_mask(&set, head[2]);
		/* Windows Server 2012 sends an empty mask, and does not work when nothing is flushed. */
		set.all = head[1] & HV_FLUSH_ALL_VPS || !head[2];
	} else {
		/* Address space, flags, format, banks that are there. */
		if (!hv_call_read(vm, call, head, 4) || !set_from_input(vm, call, head[2], head[3], &set))
			return HV_INVALID_INPUT;
		set.all = head[2] != HV_SET_SPARSE;
	}
	vm_for_each_vcpu(i, v, vm)
		if (vcpu->nested.guest_mode ? enters_l2(v) : set_has(&set, hv_vp_index(v)))
			vcpu_request(v, REQ_TLB_FLUSH);
	vm_kick_requested_sync(vm, REQ_TLB_FLUSH);
	return HV_SUCCESS | FIELD_PREP(HV_CALL_REPS, call->reps);
}

/**
 * hv_call_send_ipi - HvCallSendSyntheticClusterIpi, and its Ex form
 * @vcpu: the caller; in a burst only for HV_CALL_SEND_IPI's fast form
 * @call: the input
 */
u64 hv_call_send_ipi(struct vcpu *vcpu, struct hv_call *call)
{
	struct vp_set set = { .banks = vcpu->hv->banks };
	struct vm *vm = vcpu->vm;
	struct vcpu *v;
	u64 head[3];
	u32 vector;
	int i;

	if (!vcpu->lapic)
		return HV_INVALID_INPUT;
	if (call->code == HV_CALL_SEND_IPI) {
		/* Vector, processors. */
		if (!hv_call_read(vm, call, head, 2) || (call->fast && head[0] >> 32))
			return HV_INVALID_INPUT;
		set_from_mask(&set, head[1]);
	} else {
		/* Vector, format, banks that are there. */
		if (!hv_call_read(vm, call, head, 3) || !set_from_input(vm, call, head[1], head[2], &set))
			return HV_INVALID_INPUT;
		set.all = head[1] == HV_SET_ALL;
		if (!set.all && !call->var_header)
			return HV_SUCCESS;
	}
	vector = head[0];
	if (vector < HV_IPI_FIRST_VECTOR || vector > HV_IPI_LAST_VECTOR)
		return HV_INVALID_INPUT;
	vm_for_each_vcpu(i, v, vm)
		if (set_has(&set, hv_vp_index(v)))
			lapic_send_vector(v, vector, vcpu);
	return HV_SUCCESS;
}
