// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls that carry a list behind a header with its length: CPUID entries, MSR numbers, MSRs.
 */
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "abi/abi.h"
#include "irq/irq.h"
#include "pv/hyperv.h"

#define MAX_CPUID_ENTRIES	256
/* What VMMs have room for; the table of MSRs is kept below it. */
#define MAX_MSR_LIST		256
/* KVM_GET_MSRS and KVM_SET_MSRS take fewer than this at a time. */
#define MAX_MSRS_AT_ONCE	256

/* Upstream asks for clean padding here, and did not in time for KVM_GET_SUPPORTED_CPUID. */
static bool padding_is_clean(const struct kvm_cpuid_entry2 __user *entries, u32 nent)
{
	u32 pad[3];
	u32 i;

	for (i = 0; i < nent; i++) {
		if (copy_from_user(pad, entries[i].padding, sizeof(pad)))
			return false;
		if (pad[0] | pad[1] | pad[2])
			return false;
	}
	return true;
}

/*
 * KVM_GET_SUPPORTED_CPUID and KVM_GET_EMULATED_CPUID. -E2BIG when the caller's list is too short; it
 * asks again with a longer one.
 */
int abi_get_cpuid_list(unsigned int cmd, struct kvm_cpuid2 __user *list)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid2 head;
	u32 nent;
	int r;

	if (copy_from_user(&head, list, sizeof(head)))
		return -EFAULT;
	if (!head.nent)
		return -E2BIG;
	nent = min_t(u32, head.nent, MAX_CPUID_ENTRIES);
	if (cmd == KVM_GET_EMULATED_CPUID && !padding_is_clean(list->entries, nent))
		return -EINVAL;

	entries = kvcalloc(nent, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	r = cmd == KVM_GET_EMULATED_CPUID ? cpuid_emulated(entries, &nent) :
					    cpuid_supported(entries, &nent);
	if (!r && (copy_to_user(list->entries, entries, array_size(nent, sizeof(*entries))) ||
		   put_user(nent, &list->nent)))
		r = -EFAULT;
	kvfree(entries);
	return r;
}

/* KVM_GET_SUPPORTED_HV_CPUID on the system fd (@vcpu is NULL) or on a vCPU. */
int abi_get_hv_cpuid(struct vcpu *vcpu, struct kvm_cpuid2 __user *list)
{
	struct kvm_cpuid_entry2 entries[HV_CPUID_ENTRIES];
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, list, sizeof(head)))
		return -EFAULT;
	if (head.nent < HV_CPUID_ENTRIES)
		return -E2BIG;
	hv_cpuid_supported(entries, vcpu);
	if (copy_to_user(list->entries, entries, sizeof(entries)))
		return -EFAULT;
	return put_user(HV_CPUID_ENTRIES, &list->nent);
}

static int set_cpuid(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nent)
{
	int r = cpuid_set(vcpu, entries, nent);

	if (r)
		kvfree(entries);
	return r;
}

/* KVM_SET_CPUID: entries without an index. */
int abi_set_cpuid(struct vcpu *vcpu, struct kvm_cpuid __user *list)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid_entry *old = NULL;
	struct kvm_cpuid head;
	u32 nent, i;

	if (copy_from_user(&head, list, sizeof(head)))
		return -EFAULT;
	nent = head.nent;
	if (nent > MAX_CPUID_ENTRIES)
		return -E2BIG;
	if (nent) {
		old = vmemdup_user(list->entries, array_size(nent, sizeof(*old)));
		if (IS_ERR(old))
			return PTR_ERR(old);
		entries = kvcalloc(nent, sizeof(*entries), GFP_KERNEL_ACCOUNT);
		if (!entries) {
			kvfree(old);
			return -ENOMEM;
		}
	}
	for (i = 0; i < nent; i++) {
		entries[i].function = old[i].function;
		entries[i].eax = old[i].eax;
		entries[i].ebx = old[i].ebx;
		entries[i].ecx = old[i].ecx;
		entries[i].edx = old[i].edx;
	}
	kvfree(old);
	return set_cpuid(vcpu, entries, nent);
}

int abi_set_cpuid2(struct vcpu *vcpu, struct kvm_cpuid2 __user *list)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, list, sizeof(head)))
		return -EFAULT;
	if (head.nent > MAX_CPUID_ENTRIES)
		return -E2BIG;
	if (head.nent) {
		entries = vmemdup_user(list->entries, array_size(head.nent, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	return set_cpuid(vcpu, entries, head.nent);
}

int abi_get_cpuid2(struct vcpu *vcpu, struct kvm_cpuid2 __user *list)
{
	u32 have = vcpu->cpu_state.nr_cpuid;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, list, sizeof(head)))
		return -EFAULT;
	if (head.nent < have)
		return -E2BIG;
	cpuid_update_runtime(vcpu);
	if (copy_to_user(list->entries, vcpu->cpu_state.cpuid,
			 array_size(have, sizeof(*vcpu->cpu_state.cpuid))))
		return -EFAULT;
	return put_user(have, &list->nent);
}

/*
 * KVM_GET_MSR_INDEX_LIST and KVM_GET_MSR_FEATURE_INDEX_LIST. The length is written back also with
 * -E2BIG: that is how callers learn it.
 */
int abi_get_msr_list(unsigned int cmd, struct kvm_msr_list __user *list)
{
	u32 room, n = MAX_MSR_LIST;
	u32 *indices;
	int r;

	if (get_user(room, &list->nmsrs))
		return -EFAULT;
	indices = kmalloc_array(n, sizeof(*indices), GFP_KERNEL);
	if (!indices)
		return -ENOMEM;
	r = cmd == KVM_GET_MSR_INDEX_LIST ? msr_index_list(indices, &n) :
					    msr_feature_list(indices, &n);
	if (r)
		goto out;
	if (put_user(n, &list->nmsrs))
		r = -EFAULT;
	else if (room < n)
		r = -E2BIG;
	else if (copy_to_user(list->indices, indices, array_size(n, sizeof(*indices))))
		r = -EFAULT;
out:
	kfree(indices);
	return r;
}

static int do_get_feature(struct vcpu *vcpu, struct kvm_msr_entry *e)
{
	return msr_get_feature(e->index, &e->data);
}

static int do_get(struct vcpu *vcpu, struct kvm_msr_entry *e)
{
	int err = msr_get(vcpu, e->index, &e->data, true);

	if (err)
		msr_log_refusal(vcpu, e->index, 0, false, err);
	return err;
}

static int do_set(struct vcpu *vcpu, struct kvm_msr_entry *e)
{
	int err = msr_set(vcpu, e->index, e->data, true);

	if (err)
		msr_log_refusal(vcpu, e->index, e->data, true, err);
	return err;
}

/*
 * The ABI tells how many MSRs were done, and so which one was refused, but not why. @vcpu is NULL
 * for the system fd.
 */
static int msr_io(struct vcpu *vcpu, struct kvm_msrs __user *msrs, bool writeback,
		  int (*one)(struct vcpu *vcpu, struct kvm_msr_entry *e))
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	int r;

	if (copy_from_user(&head, msrs, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MAX_MSRS_AT_ONCE)
		return -E2BIG;
	size = array_size(head.nmsrs, sizeof(*entries));
	entries = memdup_user(msrs->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);

	for (r = 0; r < head.nmsrs; r++)
		if (one(vcpu, &entries[r]))
			break;

	if (writeback && copy_to_user(msrs->entries, entries, size))
		r = -EFAULT;
	kfree(entries);
	return r;
}

int abi_get_feature_msrs(struct kvm_msrs __user *msrs)
{
	return msr_io(NULL, msrs, true, do_get_feature);
}

int abi_get_msrs(struct vcpu *vcpu, struct kvm_msrs __user *msrs)
{
	return msr_io(vcpu, msrs, true, do_get);
}

int abi_set_msrs(struct vcpu *vcpu, struct kvm_msrs __user *msrs)
{
	return msr_io(vcpu, msrs, false, do_set);
}

/*
 * KVM_GET_ONE_REG and KVM_SET_ONE_REG: MSRs by another door, where a refusal has an errno. Of the
 * registers that only KVM has a number for there is one, the shadow-stack pointer, and guests are
 * offered no shadow stacks.
 */
int abi_one_reg(struct vcpu *vcpu, unsigned int cmd, const struct kvm_one_reg __user *argp)
{
	struct kvm_one_reg reg;
	u64 __user *user;
	u64 value;

	if (copy_from_user(&reg, argp, sizeof(reg)))
		return -EFAULT;
	/* Architecture, size, type and what is reserved, at once. */
	if ((reg.id & ~(u64)U32_MAX) != KVM_X86_REG_MSR(0))
		return -EINVAL;
	user = u64_to_user_ptr(reg.addr);
	if (cmd == KVM_GET_ONE_REG) {
		if (msr_get(vcpu, reg.id, &value, true))
			return -EINVAL;
		return put_user(value, user);
	}
	if (get_user(value, user))
		return -EFAULT;
	return msr_set(vcpu, reg.id, value, true) ? -EINVAL : 0;
}

/* KVM_GET_REG_LIST: those that are not in the list of MSRs. */
int abi_get_reg_list(struct kvm_reg_list __user *list)
{
	return put_user(0, &list->n);
}
