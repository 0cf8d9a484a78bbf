/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM ioctls <-> objects. The only folder that knows KVM_* ioctl and capability numbers.
 */
#ifndef NESTOR_ABI_H
#define NESTOR_ABI_H

#include <linux/fs.h>

struct vm;
struct vcpu;

extern const struct file_operations system_fops;	/* /dev/nestor and /dev/kvm: abi/system.c */

/* Value of a capability; @vm NULL on the system fd; 0 when unknown. abi/cap.c */
long abi_check_extension(struct vm *vm, long cap);
struct kvm_enable_cap;
int abi_enable_vm_cap(struct vm *vm, const struct kvm_enable_cap *cap);
int abi_enable_vcpu_cap(struct vcpu *vcpu, const struct kvm_enable_cap *cap);

int abi_create_vm(unsigned long type);			/* abi/vm.c: fd or -errno */
int abi_create_vcpu(struct vm *vm, unsigned long id);	/* abi/vcpu.c: fd or -errno */
int abi_create_device(struct vm *vm, void __user *arg);	/* abi/device.c */
int abi_vm_stats_fd(struct vm *vm);			/* abi/stats_fd.c */
int abi_vcpu_stats_fd(struct vcpu *vcpu);

/* abi/irqfd.c, abi/ioeventfd.c */
struct kvm_irqfd;
struct kvm_ioeventfd;
int abi_irqfd(struct vm *vm, const struct kvm_irqfd *args);
int abi_ioeventfd(struct vm *vm, const struct kvm_ioeventfd *args);
void abi_irqfd_release(struct vm *vm);			/* vm destruction */
void abi_irqfd_routing_changed(struct vm *vm);		/* called by irq_set_routing(), under vm->slots_lock... any sleepable context */
int abi_irqfd_setup(void);				/* module load: workqueue */
void abi_irqfd_cleanup(void);

/* abi/coalesced.c: KVM_(UN)REGISTER_COALESCED_MMIO */
struct kvm_coalesced_mmio_zone;
int abi_register_coalesced(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
int abi_unregister_coalesced(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);

#endif
