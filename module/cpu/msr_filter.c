// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_X86_SET_MSR_FILTER: which MSRs a guest may access by itself.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "cpu/msr.h"
#include "vm/ops.h"

struct filter_range {
	u32 flags;		/* KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE */
	u32 base, n;
	unsigned long *allowed;	/* one bit per MSR */
};

struct msr_filter {
	bool default_allow;
	unsigned int nr_ranges;
	struct filter_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

static bool is_x2apic(u32 msr)
{
	return msr >= 0x800 && msr <= 0x8ff;
}

/**
 * msr_filter_allows - may the guest access @msr?
 * @vcpu: the vCPU
 * @msr: its number
 * @write: WRMSR, not RDMSR
 *
 * The first range that has the MSR decides. x2APIC MSRs cannot be filtered. Any context.
 */
bool msr_filter_allows(struct vcpu *vcpu, u32 msr, bool write)
{
	u32 kind = write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ;
	const struct msr_filter *filter;
	struct vm *vm = vcpu->vm;
	bool allowed = true;
	unsigned int i;
	int idx;

	if (likely(!rcu_access_pointer(vm->msr_filter)) || is_x2apic(msr))
		return true;
	idx = srcu_read_lock(&vm->srcu);
	filter = srcu_dereference(vm->msr_filter, &vm->srcu);
	if (filter) {
		allowed = filter->default_allow;
		for (i = 0; i < filter->nr_ranges; i++) {
			const struct filter_range *r = &filter->ranges[i];

			if (r->flags & kind && msr - r->base < r->n) {
				allowed = test_bit(msr - r->base, r->allowed);
				break;
			}
		}
	}
	srcu_read_unlock(&vm->srcu, idx);
	return allowed;
}

void msr_filter_free(struct msr_filter *filter)
{
	unsigned int i;

	if (!filter)
		return;
	for (i = 0; i < filter->nr_ranges; i++)
		kfree(filter->ranges[i].allowed);
	kfree(filter);
}

static int filter_add_range(struct msr_filter *filter, const struct kvm_msr_filter_range *user)
{
	struct filter_range *r = &filter->ranges[filter->nr_ranges];
	size_t size = BITS_TO_LONGS((u64)user->nmsrs) * sizeof(long);

	if (!user->nmsrs)
		return 0;
	if (!user->flags || user->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE))
		return -EINVAL;
	if (size > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;
	r->allowed = memdup_user((const void __user *)user->bitmap, size);
	if (IS_ERR(r->allowed))
		return PTR_ERR(r->allowed);
	r->flags = user->flags;
	r->base = user->base;
	r->n = user->nmsrs;
	filter->nr_ranges++;
	return 0;
}

/* The filter of @user, NULL for one that allows everything, or an error. */
static struct msr_filter *make_filter(const struct kvm_msr_filter *user)
{
	bool default_allow = !(user->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	struct msr_filter *filter;
	unsigned int i;
	int err = 0;

	filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	if (!filter)
		return ERR_PTR(-ENOMEM);
	filter->default_allow = default_allow;
	for (i = 0; i < ARRAY_SIZE(user->ranges) && !err; i++)
		err = filter_add_range(filter, &user->ranges[i]);
	/* Without ranges there is nothing that it could allow. */
	if (!err && !filter->nr_ranges && !default_allow)
		err = -EINVAL;
	if (!err && filter->nr_ranges)
		return filter;
	msr_filter_free(filter);
	return ERR_PTR(err);
}

/**
 * msr_filter_set - KVM_X86_SET_MSR_FILTER
 * @vm: the VM
 * @user: what user space gave, copied
 *
 * 0; -EINVAL: unknown flags, a bitmap that is too large, or one that allows nothing at all; -ENOMEM; -EFAULT.
 */
int msr_filter_set(struct vm *vm, const struct kvm_msr_filter *user)
{
	struct msr_filter *filter, *old;
	struct vcpu *vcpu;
	int i;

	if (user->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	filter = make_filter(user);
	if (IS_ERR(filter))
		return PTR_ERR(filter);

	mutex_lock(&vm->slots_lock);
	old = rcu_replace_pointer(vm->msr_filter, filter, lockdep_is_held(&vm->slots_lock));
	mutex_unlock(&vm->slots_lock);
	synchronize_srcu(&vm->srcu);
	msr_filter_free(old);

	/* MSRs that guests access without an exit may have to exit now, or no more. */
	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu_request(vcpu, REQ_INTERCEPTS);
		vcpu_kick(vcpu);
	}
	return 0;
}
