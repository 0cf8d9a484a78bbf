// SPDX-License-Identifier: GPL-2.0
/*
 * Memory operands of the VMX instructions, from what the exit tells of them.
 *
 * SDM, Information for VM Exits Due to Instruction Execution: the qualification is the displacement, the rest of the
 * address is in the instruction information. The CPU has checked neither segment nor address.
 */
#include "vmx/vmx.h"

enum { ADDRESS_16, ADDRESS_32, ADDRESS_64 };

/* Types of data and code segments. */
#define TYPE_CODE	BIT(3)
#define TYPE_DOWN	BIT(2)
#define TYPE_RW		BIT(1)		/* data: writable; code: readable */

static u64 truncate(u64 offset, u32 address_size)
{
	return address_size == ADDRESS_16 ? (u16)offset : address_size == ADDRESS_32 ? (u32)offset : offset;
}

static u64 effective_address(struct vmx_vcpu *vmx, u32 info)
{
	u64 offset = vmx_exit_qualification(vmx);

	if (!(info & INSN_NO_BASE))
		offset += vcpu_gpr(&vmx->vcpu, FIELD_GET(INSN_BASE, info));
	if (!(info & INSN_NO_INDEX))
		offset += vcpu_gpr(&vmx->vcpu, FIELD_GET(INSN_INDEX, info)) << FIELD_GET(INSN_SCALE, info);
	return truncate(offset, FIELD_GET(INSN_ADDRESS_SIZE, info));
}

/* SDM, Limit Checking: an expand-down segment has its bytes above the limit. */
static bool in_limit(const struct segment *s, u64 offset, unsigned int size)
{
	u64 last = offset + size - 1;

	if (s->attr & TYPE_CODE || !(s->attr & TYPE_DOWN))
		return last <= s->limit;
	return offset > s->limit && last <= (s->attr & SEG_ATTR_DB ? U32_MAX : U16_MAX);
}

static bool segment_allows(const struct segment *s, u64 offset, unsigned int size, bool write)
{
	if (s->attr & SEG_ATTR_UNUSABLE)
		return false;
	if (write ? (s->attr & TYPE_CODE || !(s->attr & TYPE_RW)) : (s->attr & TYPE_CODE && !(s->attr & TYPE_RW)))
		return false;
	return in_limit(s, offset, size);
}

/* False: a fault was raised. */
static bool linear_address(struct vcpu *vcpu, unsigned int size, bool write, u64 *linear)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 info = vmx_exit_insn_info(vmx);
	unsigned int seg = FIELD_GET(INSN_SEGMENT, info);
	u64 offset = effective_address(vmx, info);
	const struct segment *s;
	bool allowed;

	if (seg > SEG_GS)
		seg = SEG_DS;
	if (vcpu_is_64bit(vcpu)) {
		*linear = offset;
		if (seg >= SEG_FS) {
			vcpu_fetch(vcpu, REGS_SEGS);
			*linear += vcpu->regs.seg[seg].base;
		}
		vcpu_fetch(vcpu, REGS_CR4);
		allowed = __is_canonical_address(*linear, vcpu->regs.cr4 & X86_CR4_LA57 ? 57 : 48);
	} else {
		vcpu_fetch(vcpu, REGS_SEGS);
		s = &vcpu->regs.seg[seg];
		*linear = (u32)(s->base + offset);
		allowed = segment_allows(s, offset, size, write);
	}
	if (!allowed)
		vcpu_raise_error(vcpu, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
	return allowed;
}

bool nested_vmx_read_operand(struct vcpu *vcpu, void *buf, unsigned int size, int *next)
{
	struct mmu_exception e;
	u64 linear, gpa;
	int err;

	*next = RUN_GUEST;
	if (!linear_address(vcpu, size, false, &linear))
		return false;
	err = mmu_read_gva(vcpu, linear, buf, size, 0, &e, &gpa);
	if (err)
		*next = vcpu_access_failed(vcpu, err, &e);
	return !err;
}

bool nested_vmx_write_operand(struct vcpu *vcpu, const void *buf, unsigned int size, int *next)
{
	struct mmu_exception e;
	u64 linear, gpa;
	int err;

	*next = RUN_GUEST;
	if (!linear_address(vcpu, size, true, &linear))
		return false;
	err = mmu_write_gva(vcpu, linear, buf, size, 0, &e, &gpa);
	if (err)
		*next = vcpu_access_failed(vcpu, err, &e);
	return !err;
}
