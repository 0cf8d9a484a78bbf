// SPDX-License-Identifier: GPL-2.0
#include "vm/ops.h"

/*
 * Bring register groups here from the VMCS or VMCB. Groups that are here are not fetched again: they may
 * be newer than hardware's.
 */
void vcpu_fetch_slow(struct vcpu *vcpu, u32 groups)
{
	groups &= ~vcpu->regs.valid;
	vendor->fetch(vcpu, groups);
	vcpu->regs.valid |= groups;
}

bool vcpu_is_long_mode(struct vcpu *vcpu)
{
	return vcpu->regs.efer & EFER_LMA;
}

bool vcpu_is_64bit(struct vcpu *vcpu)
{
	if (!vcpu_is_long_mode(vcpu))
		return false;
	vcpu_fetch(vcpu, REGS_CS);
	return vcpu->regs.seg[SEG_CS].attr & SEG_ATTR_L;
}

bool vcpu_is_protected(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_CR0);
	return vcpu->regs.cr0 & X86_CR0_PE;
}

bool vcpu_is_paging(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_CR0);
	return vcpu->regs.cr0 & X86_CR0_PG;
}

/* The CPL is the DPL of SS on both vendors; real mode is 0 and virtual-8086 mode 3. */
int vcpu_cpl(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_CS | REGS_CR0);
	return vcpu->regs.cpl;
}

u64 vcpu_rip(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_RIP);
	return vcpu->regs.rip;
}

u64 vcpu_linear_rip(struct vcpu *vcpu)
{
	u64 rip = vcpu_rip(vcpu);

	if (vcpu_is_64bit(vcpu))
		return rip;
	vcpu_fetch(vcpu, REGS_CS);
	return (u32)(vcpu->regs.seg[SEG_CS].base + rip);
}

u64 vcpu_rflags(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_RFLAGS);
	return vcpu->regs.rflags;
}

void vcpu_set_rip(struct vcpu *vcpu, u64 rip)
{
	vcpu->regs.rip = rip;
	vcpu_dirty(vcpu, REGS_RIP);
}

void vcpu_set_rflags(struct vcpu *vcpu, u64 rflags)
{
	vcpu->regs.rflags = rflags | X86_EFLAGS_FIXED;
	vcpu_dirty(vcpu, REGS_RFLAGS);
}

u64 vcpu_gpr(struct vcpu *vcpu, int gpr)
{
	if (gpr == GPR_RSP)
		vcpu_fetch(vcpu, REGS_RSP);
	return vcpu->regs.gpr[gpr];
}

void vcpu_set_gpr(struct vcpu *vcpu, int gpr, u64 value)
{
	vcpu->regs.gpr[gpr] = value;
	if (gpr == GPR_RSP)
		vcpu_dirty(vcpu, REGS_RSP);
}
