/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Nestor's additions to the KVM ABI, and KVM numbers that an older <linux/kvm.h> lacks: the module
 * speaks one ABI whatever kernel it was built for, and so do programs built with old headers.
 */
#ifndef _UAPI_LINUX_NESTOR_H
#define _UAPI_LINUX_NESTOR_H

#include <linux/kvm.h>

/* Capabilities. */
#ifndef KVM_CAP_USER_MEMORY2
#define KVM_CAP_USER_MEMORY2 231
#endif
#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232
#endif
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES 235
#endif
#ifndef KVM_CAP_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY 236
#endif
#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS 237
#endif
#ifndef KVM_CAP_X86_GUEST_MODE
#define KVM_CAP_X86_GUEST_MODE 238
#endif

#ifndef KVM_X86_DEFAULT_VM
#define KVM_X86_DEFAULT_VM 0
#endif
#ifndef KVM_RUN_X86_GUEST_MODE
#define KVM_RUN_X86_GUEST_MODE (1 << 2)
#endif
#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL (1 << 7)
#endif
#ifndef KVM_X86_QUIRK_STUFF_FEATURE_MSRS
#define KVM_X86_QUIRK_STUFF_FEATURE_MSRS (1 << 8)
#endif
#ifndef KVM_X86_QUIRK_IGNORE_GUEST_PAT
#define KVM_X86_QUIRK_IGNORE_GUEST_PAT (1 << 9)
#endif
#ifndef KVM_X86_GRP_SYSTEM
#define KVM_X86_GRP_SYSTEM 0
#endif

/* KVM_SET_USER_MEMORY_REGION2, with KVM_CAP_USER_MEMORY2. */
#ifndef KVM_SET_USER_MEMORY_REGION2
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#endif

/* The id of an MSR for KVM_GET_ONE_REG and KVM_SET_ONE_REG, with KVM_CAP_ONE_REG on this architecture. */
#ifndef KVM_X86_REG_MSR
#define KVM_X86_REG_TYPE_MSR 2
#define KVM_X86_REG_MSR(index) \
	(KVM_REG_X86 | KVM_REG_SIZE_U64 | (__u64)KVM_X86_REG_TYPE_MSR << 32 | (index))
#endif

/* KVM_PRE_FAULT_MEMORY, with KVM_CAP_PRE_FAULT_MEMORY. */
#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

/*
 * KVM_EXIT_MEMORY_FAULT: KVM_RUN failed with -EFAULT (or -EHWPOISON), and this is where. The structure
 * lies at the union of struct kvm_run, which an older header cannot be given a new member for.
 */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

struct nestor_memory_fault {
	__u64 flags;
	__u64 gpa;
	__u64 size;
};

#define nestor_run_memory_fault(run) ((struct nestor_memory_fault *)&(run)->hw)

/* KVM_EXIT_HYPERCALL: older headers have 32 bits where the flags are. */
struct nestor_hypercall {
	__u64 nr;
	__u64 args[6];
	__u64 ret;
	__u64 flags;
};

#define nestor_run_hypercall(run) ((struct nestor_hypercall *)&(run)->hypercall)

#ifndef KVM_EXIT_HYPERCALL_LONG_MODE
#define KVM_EXIT_HYPERCALL_LONG_MODE (1 << 0)
#endif

#endif
