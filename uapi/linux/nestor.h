/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Nestor's additions to the KVM ABI, and KVM numbers that an older <linux/kvm.h> lacks: the module
 * speaks one ABI whatever kernel it was built for, and so do programs built with old headers.
 */
#ifndef _UAPI_LINUX_NESTOR_H
#define _UAPI_LINUX_NESTOR_H

#include <linux/kvm.h>

/* Capabilities, and their flags. */
#ifndef KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST
#define KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST	(1ULL << 2)
#define KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST	(1ULL << 3)
#endif
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
#ifndef KVM_X86_QUIRK_NESTED_SVM_SHARED_PAT
#define KVM_X86_QUIRK_NESTED_SVM_SHARED_PAT (1 << 11)
#endif
#ifndef KVM_X86_GRP_SYSTEM
#define KVM_X86_GRP_SYSTEM 0
#endif

/* kvm_nested_state.hdr.svm; the second field is newer than some <linux/kvm.h>. */
struct nestor_svm_nested_state_hdr {
	__u64 vmcb_pa;
	__u64 gpat;
};

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

/* A field of a VMCS or VMCB, or what else a VM entry looks at, by the name that nestor-rules(7) uses. */
struct nestor_entry_value {
	char name[24];
	__u64 value;
};

/* What the CPU does when a rule is broken. */
#define NESTOR_EFFECT_VMFAIL		0	/* VM-instruction error 'code' */
#define NESTOR_EFFECT_ENTRY_FAILURE	1	/* basic exit reason 'code', with 'qualification' */
#define NESTOR_EFFECT_VMEXIT_INVALID	2
#define NESTOR_EFFECT_GP		3	/* #GP(0) */
#define NESTOR_EFFECT_ADVICE		4	/* nothing: accepted, and hardly meant */

#define NESTOR_RULE_FIELDS		8

/* A rule of VM entry that a state breaks. */
struct nestor_broken_rule {
	char id[40];		/* stable: see nestor-rules(7) */
	char text[160];		/* what has to hold */
	char section[64];	/* the manual's, by its title */
	__u32 effect;		/* NESTOR_EFFECT_* */
	__u32 code;
	__u32 qualification;
	__u32 nr_fields;
	__u64 bits;		/* offending bits of the first field, or 1 */
	struct nestor_entry_value fields[NESTOR_RULE_FIELDS];	/* that the verdict depends on */
};

/*
 * NESTOR_GET_ENTRY_FAILURE, on a vCPU: why its last VM entry failed that did (KVM_EXIT_FAIL_ENTRY). The whole state
 * is there as well, most of all for the case that no rule is found broken: nr_rules is 0 then.
 *
 * The counts are how many elements there is room for, and become how many there are; what exceeds the room is left
 * out. -ENOENT when no entry of this vCPU has failed.
 */
struct nestor_entry_failure {
	char vendor[8];		/* "intel", "amd" */
	__u64 reason;		/* kvm_run.fail_entry.hardware_entry_failure_reason */
	__u64 qualification;	/* exit qualification, on Intel */
	__u32 cpu;
	__u32 nr_rules;
	__u32 nr_values;
	__u32 nr_caps;
	__u64 rules;		/* struct nestor_broken_rule * */
	__u64 values;		/* struct nestor_entry_value *: the state */
	__u64 caps;		/* struct nestor_entry_value *: what the CPU supports */
};

#define NESTOR_GET_ENTRY_FAILURE _IOWR(KVMIO, 0xf0, struct nestor_entry_failure)

/*
 * NESTOR_PROBE_ENTRY, on a vCPU: one VM entry with a state that the CPU may refuse, to learn what it does.
 *
 * The state is the vCPU's own with some values replaced, for this entry. It can name any physical memory and any MSR:
 * so this needs CAP_SYS_ADMIN (-EPERM), a kernel that is not locked down (-EPERM), and a module that was loaded with
 * probe_entry=y (-EOPNOTSUPP). A CPU that accepts a broken host state is lost, so host state is replaced only with
 * NESTOR_PROBE_HOST_STATE (else -EPERM). -EINVAL: no such value, or this CPU has no such field. What the vCPU's
 * registers are afterwards is undefined: set them before it is used again.
 */
#define NESTOR_PROBE_CHANGES		64
#define NESTOR_PROBE_HOST_STATE		(1 << 0)

struct nestor_probe_entry {
	__u64 changes;		/* struct nestor_entry_value * */
	__u32 nr_changes;
	__u32 flags;
	__u64 memory;		/* 4096 bytes to copy to 'page' before, or NULL */
	__u64 page;		/* out: physical address of a page that the state may name, and of one of zeros behind
				 * it; constant for a vCPU
				 */
	__u32 effect;		/* out: what the CPU did: NESTOR_EFFECT_*, ADVICE when it entered the guest */
	__u32 code;
	__u64 qualification;
	struct nestor_entry_failure state;	/* in: room; out: what was entered with, and the hardware's reason */
};

#define NESTOR_PROBE_ENTRY _IOWR(KVMIO, 0xf1, struct nestor_probe_entry)

#endif
