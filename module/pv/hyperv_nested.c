// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments of guest hypervisors (TLFS, Nested Virtualization): which enlightened VMCS is the current one; and L2's
 * that flush TLBs by hypercalls that do not exit to L1 (Direct Virtual Flush).
 */
#include "pv/hyperv.h"
#include "vm/ops.h"

/* Versions of enlightened VMCSs that this vCPU may use, of any (NULL) those that there are: HV_NESTED_EVMCS. */
u16 hv_evmcs_versions(const struct vcpu *vcpu)
{
	if (!cpu_caps.nested || !vendor->nested->enable_evmcs || (vcpu && !vcpu->nested.evmcs))
		return 0;
	return HV_EVMCS_VERSION << 8 | HV_EVMCS_VERSION;
}

int hv_enable_evmcs(struct vcpu *vcpu, u16 *versions)
{
	if (!hv_evmcs_versions(NULL))
		return -ENOTTY;
	vendor->nested->enable_evmcs(vcpu);
	*versions = hv_evmcs_versions(vcpu);
	return 0;
}

int hv_current_evmcs(struct vcpu *vcpu, u64 *address)
{
	const struct vcpu_hv *hv = vcpu->hv;
	struct hv_assist_entry entry;
	int r;

	*address = HV_NO_EVMCS;
	if (!(hv->assist & HV_PAGE_ENABLE))
		return 0;
	r = vcpu_read_guest(vcpu, (hv->assist & HV_PAGE_ADDRESS) + HV_ASSIST_ENTRY, &entry, sizeof(entry));
	if (r == -EAGAIN)
		return r;
	if (!r && entry.enlightened)
		*address = entry.evmcs;
	return 0;
}

int hv_enter_l2(struct vcpu *vcpu, bool direct, u64 partition)
{
	struct vcpu_hv *hv = vcpu->hv;
	u32 features;
	int r;

	hv->direct_flush = false;
	if (!direct || !(hv->features.nested & HV_NESTED_DIRECT_FLUSH) || !(hv->assist & HV_PAGE_ENABLE))
		return 0;
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
