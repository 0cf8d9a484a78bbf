// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_CREATE_DEVICE, and the attributes of the system and of vCPUs.
 */
#include <linux/uaccess.h>

#include "abi/abi.h"
#include "vm/vm.h"

/*
 * The only device type of x86 is VFIO's, and VFIO finds its KVM by the name of a symbol of kvm.ko:
 * it cannot be told of Nestor. Assigned devices work without it, through plain VFIO and irqfds.
 */
int abi_create_device(struct vm *vm, struct kvm_create_device *cd)
{
	return -ENODEV;
}

/* KVM_GET_DEVICE_ATTR and KVM_HAS_DEVICE_ATTR on the system fd. */
int abi_system_attr(unsigned int cmd, const struct kvm_device_attr *attr)
{
	if (attr->group != KVM_X86_GRP_SYSTEM || attr->attr != KVM_X86_XCOMP_GUEST_SUPP)
		return -ENXIO;
	if (cmd == KVM_HAS_DEVICE_ATTR)
		return 0;
	return put_user(cpu_caps.guest_xcr0, (u64 __user *)u64_to_user_ptr(attr->addr));
}

/* KVM_{GET,SET,HAS}_DEVICE_ATTR on a vCPU: the TSC offset. */
int abi_vcpu_attr(struct vcpu *vcpu, unsigned int cmd, const struct kvm_device_attr *attr)
{
	u64 __user *value = u64_to_user_ptr(attr->addr);
	u64 offset;

	if (attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;

	switch (cmd) {
	case KVM_GET_DEVICE_ATTR:
		return put_user(vcpu->cpu_state.tsc_offset, value);
	case KVM_SET_DEVICE_ATTR:
		if (get_user(offset, value))
			return -EFAULT;
		tsc_set_offset(vcpu, offset);
		return 0;
	default:
		return 0;
	}
}
