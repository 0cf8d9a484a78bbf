// SPDX-License-Identifier: GPL-2.0
/*
 * Memory-type range registers. Guests can set them up and read them back; the memory type of an
 * access comes from the second-level tables and PAT (SDM, Memory Cache Control).
 */
#include <asm/mtrr.h>

#include "cpu/msr.h"
#include "vm/ops.h"

#define MTRR_BASE_RESERVED	GENMASK_ULL(11, 8)
#define MTRR_MASK_RESERVED	GENMASK_ULL(10, 0)
#define MTRR_DEFTYPE_VALID	(GENMASK_ULL(11, 10) | GENMASK_ULL(7, 0))

/* UC, WC, WT, WP, WB. */
static bool type_valid(u8 type)
{
	return type < 8 && BIT(type) & (BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6));
}

static u64 *mtrr(struct vcpu *vcpu, u32 msr)
{
	struct cpu_state *c = &vcpu->cpu_state;

	switch (msr) {
	case MTRRphysBase_MSR(0) ... MTRRphysMask_MSR(ARRAY_SIZE(c->mtrr_var) / 2 - 1):
		return &c->mtrr_var[msr - MTRRphysBase_MSR(0)];
	case MSR_MTRRfix64K_00000:
		return &c->mtrr_fixed[0];
	case MSR_MTRRfix16K_80000 ... MSR_MTRRfix16K_A0000:
		return &c->mtrr_fixed[1 + msr - MSR_MTRRfix16K_80000];
	case MSR_MTRRfix4K_C0000 ... MSR_MTRRfix4K_F8000:
		return &c->mtrr_fixed[3 + msr - MSR_MTRRfix4K_C0000];
	default:
		return &c->mtrr_def;
	}
}

static bool fixed_valid(u64 value)
{
	int i;

	for (i = 0; i < 64; i += 8)
		if (!type_valid(value >> i))
			return false;
	return true;
}

static bool variable_valid(struct vcpu *vcpu, u32 msr, u64 value)
{
	u64 reserved = ~(BIT_ULL(vcpu->cpu_state.maxphyaddr) - 1);

	/* Bases have even numbers, masks odd ones. */
	if (msr & 1)
		return !(value & (reserved | MTRR_MASK_RESERVED));
	return type_valid(value) && !(value & (reserved | MTRR_BASE_RESERVED));
}

static bool valid(struct vcpu *vcpu, u32 msr, u64 value)
{
	if (msr == MSR_MTRRdefType)
		return !(value & ~MTRR_DEFTYPE_VALID) && type_valid(value);
	if (msr >= MSR_MTRRfix64K_00000)
		return fixed_valid(value);
	return variable_valid(vcpu, msr, value);
}

int msr_get_mtrr(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = *mtrr(vcpu, a->index);
	return 0;
}

int msr_set_mtrr(struct vcpu *vcpu, struct msr_access *a)
{
	if (!valid(vcpu, a->index, a->value))
		return -EINVAL;
	*mtrr(vcpu, a->index) = a->value;
	return 0;
}
