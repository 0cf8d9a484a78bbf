// SPDX-License-Identifier: GPL-2.0
/*
 * The MSR permission map, and MSRs that only AMD CPUs have.
 */
#include "svm/nested.h"

/* APM volume 2, MSR Intercepts: three ranges of 8192 MSRs, two bits each, read below write. */
static const u32 svm_msrpm_ranges[] = { 0x00000000, 0xc0000000, 0xc0010000 };

#define MSRS_IN_RANGE	8192

/* The bit that intercepts reads of @msr, or -1: MSRs outside the ranges are always intercepted. */
int svm_msrpm_bit(u32 msr)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(svm_msrpm_ranges); i++) {
		u32 offset = msr - svm_msrpm_ranges[i];

		if (offset < MSRS_IN_RANGE)
			return (i * MSRS_IN_RANGE + offset) * 2;
	}
	return -1;
}

void svm_msr_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	int bit = svm_msrpm_bit(msr);

	if (bit < 0)
		return;
	/* An MSR that user space filters is never given to the guest. */
	__assign_bit(bit, svm->msrpm, read || !msr_filter_allows(vcpu, msr, false));
	__assign_bit(bit + 1, svm->msrpm, write || !msr_filter_allows(vcpu, msr, true));
	svm->msrpm_generation++;
	svm_dirty(svm, CLEAN_PERM_MAPS);
}

/* What VMLOAD and VMSAVE, or the VMCB, switch anyway. */
static const u32 svm_direct_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE, MSR_FS_BASE, MSR_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

void svm_init_msrpm(struct svm_vcpu *svm)
{
	int i;

	memset(svm->msrpm, 0xff, 2 * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(svm_direct_msrs); i++)
		svm_msr_intercept(&svm->vcpu, svm_direct_msrs[i], false, false);
}

int svm_get_msr(struct vcpu *vcpu, u32 msr, u64 *value, bool host)
{
	const struct svm_nested *n = &to_svm(vcpu)->nested;

	switch (msr) {
	case MSR_VM_CR:
		/* Where SVM is not offered it is disabled, and locked so. */
		*value = guest_has(vcpu, X86_FEATURE_SVM) ? n->vm_cr : VM_CR_SVMDIS | VM_CR_LOCK;
		return 0;
	case MSR_VM_HSAVE_PA:
		*value = n->hsave_pa;
		return 0;
	}
	return -ENOENT;
}

/* APM volume 2, VM_CR MSR. The lock, and with it SVMDIS, can be set and not taken away. */
static int set_vm_cr(struct vcpu *vcpu, u64 value, bool host)
{
	struct svm_nested *n = &to_svm(vcpu)->nested;
	u64 locked = VM_CR_LOCK | VM_CR_SVMDIS;

	if (value & ~(u64)VM_CR_VALID)
		return -EINVAL;
	if (!host && n->vm_cr & VM_CR_LOCK)
		value = (value & ~locked) | (n->vm_cr & locked);
	/* SVM cannot be disabled while it is in use. */
	if (!host && value & VM_CR_SVMDIS && vcpu->regs.efer & EFER_SVME)
		return -EINVAL;
	n->vm_cr = value;
	return 0;
}

static int set_hsave_pa(struct vcpu *vcpu, u64 value, bool host)
{
	if (!host && !nested_svm_address_valid(to_svm(vcpu), value))
		return -EINVAL;
	to_svm(vcpu)->nested.hsave_pa = value & PAGE_MASK;
	return 0;
}

int svm_set_msr(struct vcpu *vcpu, u32 msr, u64 value, bool host)
{
	switch (msr) {
	case MSR_VM_CR:
	case MSR_VM_HSAVE_PA:
		/* User space may restore what it read. */
		if (!guest_has(vcpu, X86_FEATURE_SVM))
			return host ? 0 : -EINVAL;
		return msr == MSR_VM_CR ? set_vm_cr(vcpu, value, host) : set_hsave_pa(vcpu, value, host);
	}
	return -ENOENT;
}
