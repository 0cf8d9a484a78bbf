/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM ioctls <-> objects. The only folder that knows KVM_* ioctl and capability numbers.
 *
 * An ioctl whose argument is one structure is a line of a table: the number, the structure's size,
 * the direction, a function. What copies, checks and releases is written once (arg.c).
 */
#ifndef NESTOR_ABI_H
#define NESTOR_ABI_H

#include <linux/fs.h>
#include <linux/kvm.h>

#include <linux/nestor.h>

struct vm;
struct vcpu;

extern const struct file_operations system_fops;	/* /dev/nestor and /dev/kvm: abi/system.c */

/* abi/arg.c: the structure behind an ioctl's pointer. */
enum {
	ARG_IN = 1,		/* copied from user space before the call */
	ARG_OUT = 2,		/* copied to user space when the call succeeded; starts zeroed */
	ARG_INOUT = ARG_IN | ARG_OUT,
	ARG_APIC = 4,		/* vCPU ioctls: -EINVAL at once without an in-kernel local APIC */
};

/**
 * struct abi_arg - a copy of an ioctl's structure
 * @buf: the copy: @small, or allocated
 * @small: large enough for what some VMMs ask for at every exit
 */
struct abi_arg {
	void *buf;
	u64 small[64];
};

int abi_arg_begin(struct abi_arg *arg, u8 dir, size_t size, const void __user *argp);
/* @r: what the call returned; negative: nothing is copied. Returns @r or -EFAULT. */
long abi_arg_end(struct abi_arg *arg, u8 dir, size_t size, void __user *argp, long r);

/* abi/cap.c: value of a capability; @vm NULL on the system fd; 0 when unknown. */
long abi_check_extension(struct vm *vm, long cap);
int abi_enable_vm_cap(struct vm *vm, const struct kvm_enable_cap *cap);
int abi_enable_vcpu_cap(struct vcpu *vcpu, const struct kvm_enable_cap *cap);
u32 abi_xsave_size(void);				/* of KVM_GET_XSAVE2 and KVM_SET_XSAVE */

int abi_create_vm(unsigned long type);			/* abi/vm.c: fd or -errno */
int abi_create_vcpu(struct vm *vm, unsigned long id);	/* abi/vcpu.c: fd or -errno */

/* abi/entry_failure.c: see uapi/linux/nestor.h */
struct check_state;
int abi_copy_entry_state(const struct check_state *state, struct nestor_entry_failure *f);
int abi_get_entry_failure(struct vcpu *vcpu, void *arg);
int abi_probe_entry(struct vcpu *vcpu, void *arg);	/* abi/probe.c */

/* abi/stats_fd.c: KVM_GET_STATS_FD: fd or -errno */
int abi_vm_stats_fd(struct vm *vm);
int abi_vcpu_stats_fd(struct vcpu *vcpu);

/* abi/lists.c: the ioctls with a list of any length behind a header. */
int abi_get_cpuid_list(unsigned int cmd, struct kvm_cpuid2 __user *list);
int abi_get_hv_cpuid(struct vcpu *vcpu, struct kvm_cpuid2 __user *list);	/* @vcpu NULL: the system fd */
int abi_set_cpuid(struct vcpu *vcpu, struct kvm_cpuid __user *list);
int abi_set_cpuid2(struct vcpu *vcpu, struct kvm_cpuid2 __user *list);
int abi_get_cpuid2(struct vcpu *vcpu, struct kvm_cpuid2 __user *list);
int abi_get_msr_list(unsigned int cmd, struct kvm_msr_list __user *list);
int abi_get_feature_msrs(struct kvm_msrs __user *msrs);	/* these three: number of MSRs done */
int abi_get_msrs(struct vcpu *vcpu, struct kvm_msrs __user *msrs);
int abi_set_msrs(struct vcpu *vcpu, struct kvm_msrs __user *msrs);
int abi_one_reg(struct vcpu *vcpu, unsigned int cmd, const struct kvm_one_reg __user *argp);
int abi_get_reg_list(struct kvm_reg_list __user *list);

/* abi/device.c */
int abi_create_device(struct vm *vm, struct kvm_create_device *cd);
int abi_system_attr(unsigned int cmd, const struct kvm_device_attr *attr);
int abi_vcpu_attr(struct vcpu *vcpu, unsigned int cmd, const struct kvm_device_attr *attr);

/* abi/irqfd.c */
int abi_irqfd(struct vm *vm, const struct kvm_irqfd *args);
void abi_irqfd_release(struct vm *vm);			/* the VM's fd was closed */
int abi_irqfd_setup(void);				/* module load: workqueue */
void abi_irqfd_cleanup(void);

/* abi/ioeventfd.c */
int abi_ioeventfd(struct vm *vm, const struct kvm_ioeventfd *args);

/* abi/coalesced.c: KVM_(UN)REGISTER_COALESCED_MMIO */
int abi_register_coalesced(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
int abi_unregister_coalesced(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);

#endif
