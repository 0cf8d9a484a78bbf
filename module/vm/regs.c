// SPDX-License-Identifier: GPL-2.0
#include "vm/ops.h"

/*
 * Bring register groups here from the VMCS or VMCB. Groups that are here are not fetched again: they may
 * be newer than hardware's.
 */
void vcpu_fetch_slow(struct vcpu *vcpu, u32 groups)
{
	groups &= ~vcpu->regs.valid;
	vendor_call(fetch)(vcpu, groups);
	vcpu->regs.valid |= groups;
}

u64 vcpu_linear_rip(struct vcpu *vcpu)
{
	u64 rip = vcpu_rip(vcpu);

	if (vcpu_is_64bit(vcpu))
		return rip;
	vcpu_fetch(vcpu, REGS_CS);
	return (u32)(vcpu->regs.seg[SEG_CS].base + rip);
}
