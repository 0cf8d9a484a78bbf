// SPDX-License-Identifier: GPL-2.0
/*
 * The system fd: /dev/nestor and /dev/kvm.
 */
#include <linux/module.h>
#include <linux/uaccess.h>

#include "abi/abi.h"
#include "cpu/cpu.h"

/* kvm_run, port I/O data, and the ring of coalesced writes. */
#define VCPU_MMAP_PAGES		3

static long system_get_mce_cap(u64 __user *argp)
{
	return put_user(cpu_mce_cap_supported(), argp);
}

static long system_device_attr(unsigned int cmd, const void __user *argp)
{
	struct kvm_device_attr attr;

	if (copy_from_user(&attr, argp, sizeof(attr)))
		return -EFAULT;
	return abi_system_attr(cmd, &attr);
}

static long system_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : VCPU_MMAP_PAGES * PAGE_SIZE;
	case KVM_CREATE_VM:
		return abi_create_vm(arg);
	case KVM_CHECK_EXTENSION:
		return abi_check_extension(NULL, arg);
	case KVM_GET_MSR_INDEX_LIST:
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return abi_get_msr_list(cmd, argp);
	case KVM_GET_SUPPORTED_CPUID:
	case KVM_GET_EMULATED_CPUID:
		return abi_get_cpuid_list(cmd, argp);
	case KVM_GET_SUPPORTED_HV_CPUID:
		return abi_get_hv_cpuid(NULL, argp);
	case KVM_GET_MSRS:
		return abi_get_feature_msrs(argp);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		return system_get_mce_cap(argp);
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return system_device_attr(cmd, argp);
	default:
		return -EINVAL;
	}
}

const struct file_operations system_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = system_ioctl,
	.compat_ioctl = system_ioctl,
	.llseek = noop_llseek,
};
