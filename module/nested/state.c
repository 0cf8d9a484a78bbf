// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE: the header that both vendors share.
 */
#include <linux/moduleparam.h>
#include <linux/uaccess.h>

#include "nested/nested.h"
#include "vm/ops.h"

bool nested_enabled = true;
module_param_named(nested, nested_enabled, bool, 0444);
MODULE_PARM_DESC(nested, "guests may be hypervisors (default: yes)");

#define KNOWN_FLAGS	(KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING | KVM_STATE_NESTED_EVMCS | \
			 KVM_STATE_NESTED_MTF_PENDING | KVM_STATE_NESTED_GIF_SET)

u32 nested_state_size(void)
{
	return cpu_caps.nested ? vendor->nested->get_state(NULL, NULL, 0) : 0;
}

int nested_get_state(struct vcpu *vcpu, struct kvm_nested_state __user *user)
{
	u32 size;
	long r;

	if (get_user(size, &user->size))
		return -EFAULT;
	r = vendor->nested->get_state(vcpu, user, size);
	if (r < 0)
		return r;
	if (r <= size)
		return 0;
	return put_user((u32)r, &user->size) ? -EFAULT : -E2BIG;
}

int nested_set_state(struct vcpu *vcpu, struct kvm_nested_state __user *user)
{
	struct kvm_nested_state head;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.size < sizeof(head) || head.flags & ~KNOWN_FLAGS)
		return -EINVAL;
	if (head.flags & KVM_STATE_NESTED_RUN_PENDING && !(head.flags & KVM_STATE_NESTED_GUEST_MODE))
		return -EINVAL;
	return vendor->nested->set_state(vcpu, user, &head);
}
