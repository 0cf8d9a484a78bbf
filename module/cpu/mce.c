// SPDX-License-Identifier: GPL-2.0
/*
 * Machine-check banks: what the guest reads, and errors that user space injects.
 *
 * SDM, Machine-Check Architecture.
 */
#include <linux/nospec.h>
#include <asm/mce.h>

#include "cpu/msr.h"
#include "irq/irq.h"
#include "vm/ops.h"

/* Registers of a bank: MCi_CTL, MCi_STATUS, MCi_ADDR, MCi_MISC. */
enum { BANK_CTL, BANK_STATUS, BANK_ADDR, BANK_MISC, BANK_REGS };

#define MCG_CAP_BANKS		GENMASK_ULL(7, 0)
#define MCG_CAP_EXTENDED	GENMASK_ULL(23, 16)
#define HWCR_MCSTATUS_WR_EN	BIT_ULL(18)

static unsigned int nr_banks(const struct cpu_state *c)
{
	return c->mcg_cap & MCG_CAP_BANKS;
}

u64 cpu_mce_cap_supported(void)
{
	u64 cap = MCG_CTL_P | MCG_SER_P;

	if (cpu_caps.vmx)
		cap |= MCG_LMCE_P | MCG_CMCI_P;
	return cap;
}

/**
 * cpu_setup_mce - KVM_X86_SETUP_MCE
 * @vcpu: the vCPU
 * @mcg_cap: IA32_MCG_CAP: the number of banks and what they can
 */
int cpu_setup_mce(struct vcpu *vcpu, u64 mcg_cap)
{
	struct cpu_state *c = &vcpu->cpu_state;
	unsigned int banks = mcg_cap & MCG_CAP_BANKS, i;
	bool cmci_changed;

	if (!banks || banks > MCE_BANKS)
		return -EINVAL;
	if (mcg_cap & ~(cpu_mce_cap_supported() | MCG_CAP_BANKS | MCG_CAP_EXTENDED))
		return -EINVAL;
	cmci_changed = (c->mcg_cap ^ mcg_cap) & MCG_CMCI_P;
	c->mcg_cap = mcg_cap;
	if (cmci_changed)
		lapic_cmci_changed(vcpu);
	if (mcg_cap & MCG_CTL_P)
		c->mcg_ctl = ~0ull;
	for (i = 0; i < banks; i++) {
		c->mce_banks[i * BANK_REGS + BANK_CTL] = ~0ull;
		c->mce_ctl2[i] = 0;
	}
	return 0;
}

/* Uncorrected, but nobody has used the data: recorded without an exception. */
static bool no_action_needed(const struct kvm_x86_mce *mce)
{
	return !mce->mcg_status && mce->status & MCI_STATUS_UC &&
	       !(mce->status & (MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR));
}

/* Signalled as a corrected error is, where the guest asked for that: SDM, Corrected Machine Check Interrupt. */
static void record_no_action(struct vcpu *vcpu, u64 *bank, u64 ctl2, const struct kvm_x86_mce *mce)
{
	bank[BANK_STATUS] = mce->status;
	bank[BANK_ADDR] = mce->addr;
	bank[BANK_MISC] = mce->misc;
	vcpu->cpu_state.mcg_status = 0;
	if (vcpu->cpu_state.mcg_cap & MCG_CMCI_P && ctl2 & MCI_CTL2_CMCI_EN)
		lapic_send_cmci(vcpu);
}

static void record(struct cpu_state *c, u64 *bank, const struct kvm_x86_mce *mce)
{
	u64 status = mce->status;

	if (bank[BANK_STATUS] & MCI_STATUS_VAL)
		status |= MCI_STATUS_OVER;
	bank[BANK_STATUS] = status;
	bank[BANK_ADDR] = mce->addr;
	bank[BANK_MISC] = mce->misc;
}

static void raise_mce(struct vcpu *vcpu, u64 *bank, const struct kvm_x86_mce *mce)
{
	struct cpu_state *c = &vcpu->cpu_state;

	vcpu_fetch(vcpu, REGS_CR4);
	/* An error during the handling of another, or without a handler, shuts the CPU down. */
	if (c->mcg_status & MCG_STATUS_MCIP || !(vcpu->regs.cr4 & X86_CR4_MCE)) {
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
		return;
	}
	record(c, bank, mce);
	c->mcg_status = mce->mcg_status;
	vcpu_raise(vcpu, EXC_MC);
}

/**
 * cpu_set_mce - KVM_X86_SET_MCE
 * @vcpu: the vCPU
 * @mce: the error; -EINVAL for a bank that there is not
 */
int cpu_set_mce(struct vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	struct cpu_state *c = &vcpu->cpu_state;
	bool uncorrected = mce->status & MCI_STATUS_UC;
	u64 *bank;
	u32 i;

	if (mce->bank >= nr_banks(c) || !(mce->status & MCI_STATUS_VAL))
		return -EINVAL;
	i = array_index_nospec(mce->bank, MCE_BANKS);
	bank = &c->mce_banks[i * BANK_REGS];

	if (no_action_needed(mce)) {
		record_no_action(vcpu, bank, c->mce_ctl2[i], mce);
		return 0;
	}
	/* The guest turned reporting of uncorrected errors off. */
	if (uncorrected && ((c->mcg_cap & MCG_CTL_P && c->mcg_ctl != ~0ull) || bank[BANK_CTL] != ~0ull))
		return 0;
	if (uncorrected)
		raise_mce(vcpu, bank, mce);
	else if (!(bank[BANK_STATUS] & MCI_STATUS_VAL) || !(bank[BANK_STATUS] & MCI_STATUS_UC))
		record(c, bank, mce);
	else
		/* An uncorrected error is not overwritten by a corrected one. */
		bank[BANK_STATUS] |= MCI_STATUS_OVER;
	return 0;
}

int msr_get_mcg_ctl(struct vcpu *vcpu, struct msr_access *a)
{
	if (!(vcpu->cpu_state.mcg_cap & MCG_CTL_P) && !a->host)
		return -EINVAL;
	a->value = vcpu->cpu_state.mcg_ctl;
	return 0;
}

int msr_set_mcg_ctl(struct vcpu *vcpu, struct msr_access *a)
{
	if (!(vcpu->cpu_state.mcg_cap & MCG_CTL_P) && (a->value || !a->host))
		return -EINVAL;
	if (a->value && a->value != ~0ull)
		return -EINVAL;
	vcpu->cpu_state.mcg_ctl = a->value;
	return 0;
}

/* NULL: the guest has fewer banks. */
static u64 *bank_reg(struct vcpu *vcpu, u32 msr)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u32 i = msr - MSR_IA32_MC0_CTL;

	if (i >= nr_banks(c) * BANK_REGS)
		return NULL;
	return &c->mce_banks[array_index_nospec(i, ARRAY_SIZE(c->mce_banks))];
}

int msr_get_mce_bank(struct vcpu *vcpu, struct msr_access *a)
{
	const u64 *reg = bank_reg(vcpu, a->index);

	if (!reg)
		return -EINVAL;
	a->value = *reg;
	return 0;
}

int msr_set_mce_bank(struct vcpu *vcpu, struct msr_access *a)
{
	u64 *reg = bank_reg(vcpu, a->index);
	bool may_set_status = vcpu->cpu_state.vendor_amd &&
			      vcpu->cpu_state.hwcr & HWCR_MCSTATUS_WR_EN;

	if (!reg)
		return -EINVAL;
	switch ((a->index - MSR_IA32_MC0_CTL) % BANK_REGS) {
	case BANK_CTL:
		/*
		 * All or nothing, but Linux clears bit 10 in bank 4 for a K8 erratum, and UnixWare bit 0 of
		 * bank 1.
		 */
		if (a->value && (a->value | BIT(10) | BIT(0)) != ~0ull)
			return -EINVAL;
		break;
	case BANK_STATUS:
		if (!a->host && a->value && !may_set_status)
			return -EINVAL;
		break;
	}
	*reg = a->value;
	return 0;
}

/* Thresholds of corrected errors: without MCG_CMCI_P they exist for user space, as zero. NULL: the guest has fewer banks. */
static u64 *bank_ctl2(struct vcpu *vcpu, u32 msr)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u32 i = msr - MSR_IA32_MC0_CTL2;

	return i < nr_banks(c) ? &c->mce_ctl2[array_index_nospec(i, MCE_BANKS)] : NULL;
}

int msr_get_mci_ctl2(struct vcpu *vcpu, struct msr_access *a)
{
	const u64 *reg = bank_ctl2(vcpu, a->index);

	if (!reg || (!(vcpu->cpu_state.mcg_cap & MCG_CMCI_P) && !a->host))
		return -EINVAL;
	a->value = *reg;
	return 0;
}

int msr_set_mci_ctl2(struct vcpu *vcpu, struct msr_access *a)
{
	u64 *reg = bank_ctl2(vcpu, a->index);

	if (!reg || a->value & ~(MCI_CTL2_CMCI_EN | MCI_CTL2_CMCI_THRESHOLD_MASK))
		return -EINVAL;
	if (!(vcpu->cpu_state.mcg_cap & MCG_CMCI_P) && (a->value || !a->host))
		return -EINVAL;
	*reg = a->value;
	return 0;
}

/* Local machine checks: the guest may turn them on when its firmware allowed it. */
static bool lmce_allowed(struct vcpu *vcpu, const struct msr_access *a)
{
	return a->host || vcpu->cpu_state.feat_ctl & FEAT_CTL_LMCE_ENABLED;
}

int msr_get_mcg_ext_ctl(struct vcpu *vcpu, struct msr_access *a)
{
	if (!lmce_allowed(vcpu, a))
		return -EINVAL;
	a->value = vcpu->cpu_state.mcg_ext_ctl;
	return 0;
}

int msr_set_mcg_ext_ctl(struct vcpu *vcpu, struct msr_access *a)
{
	if (!lmce_allowed(vcpu, a) || a->value & ~(u64)MCG_EXT_CTL_LMCE_EN)
		return -EINVAL;
	vcpu->cpu_state.mcg_ext_ctl = a->value;
	return 0;
}
