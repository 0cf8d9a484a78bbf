// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: a guest hypervisor lets its guest (L2) flush TLBs by hypercalls that do not exit to it (TLFS, Nested
 * Virtualization: Direct Virtual Flush).
 */
#include "pv/hyperv.h"
#include "vm/ops.h"

int hv_enter_l2(struct vcpu *vcpu, bool direct, u64 partition)
{
	struct vcpu_hv *hv = vcpu->hv;
	u32 features;
	int r;

	if (!direct || !(hv->features.nested & HV_NESTED_DIRECT_FLUSH) || !(hv->assist & HV_PAGE_ENABLE)) {
		hv->direct_flush = false;
		return 0;
	}
	r = vcpu_read_guest(vcpu, (hv->assist & HV_PAGE_ADDRESS) + HV_ASSIST_NESTED, &features, sizeof(features));
	if (r)
		return r;
	hv->partition_assist = partition;
	hv->direct_flush = features & HV_ASSIST_DIRECT_CALLS;
	return 0;
}

static bool is_flush(u16 code)
{
	return code == HV_CALL_FLUSH_SPACE || code == HV_CALL_FLUSH_LIST || code == HV_CALL_FLUSH_SPACE_EX ||
	       code == HV_CALL_FLUSH_LIST_EX;
}

bool hv_takes_call(struct vcpu *vcpu)
{
	if (!vcpu->hv || !vcpu->hv->direct_flush || !hv_hypercalls_enabled(vcpu))
		return false;
	return is_flush(vcpu->regs.gpr[vcpu_is_64bit(vcpu) ? GPR_RCX : GPR_RAX]);
}

/* The page counts those in L1 that wait for translations to go which L2 may be using. */
u64 hv_flushed(struct vcpu *vcpu, bool *tell)
{
	u32 waiting;

	if (vcpu_read_guest(vcpu, vcpu->hv->partition_assist, &waiting, sizeof(waiting)))
		return HV_INVALID_INPUT;
	*tell = waiting;
	return HV_SUCCESS;
}
