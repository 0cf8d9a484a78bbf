// SPDX-License-Identifier: GPL-2.0
/*
 * The MSR permission map, and MSRs that only AMD CPUs have.
 */
#include "svm/svm.h"

/* APM volume 2, MSR Intercepts: three ranges of 8192 MSRs, two bits each, read below write. */
static const u32 svm_msrpm_ranges[] = { 0x00000000, 0xc0000000, 0xc0010000 };

#define MSRS_IN_RANGE	8192

/* The bit that intercepts reads of @msr, or -1: MSRs outside the ranges are always intercepted. */
static int svm_msrpm_bit(u32 msr)
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

int svm_get_msr(struct vcpu *vcpu, u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_VM_CR:
		/* SVM is not offered: disabled, and locked so. */
		*value = VM_CR_SVMDIS | VM_CR_LOCK;
		return 0;
	case MSR_VM_HSAVE_PA:
		*value = 0;
		return 0;
	}
	return -ENOENT;
}

int svm_set_msr(struct vcpu *vcpu, u32 msr, u64 value, bool host)
{
	switch (msr) {
	case MSR_VM_CR:
	case MSR_VM_HSAVE_PA:
		/* User space may restore what it read. */
		return host ? 0 : -EINVAL;
	}
	return -ENOENT;
}
