/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Second-level page tables (EPT and NPT by one walker) and the walk of the guest's own tables.
 */
#ifndef NESTOR_MMU_H
#define NESTOR_MMU_H

#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

struct nested_walk;
struct vcpu;
struct vm;
struct slot;

/*
 * Guest-physical address spaces of a VM, each with slots and second-level tables of its own: 0, and what a vCPU in
 * system-management mode sees, 1 (KVM_CAP_MULTI_ADDRESS_SPACE).
 */
#define NESTOR_ADDRESS_SPACES	2

/**
 * struct tdp_format - how one kind of second-level table is written
 * @levels:	4 or 5
 * @leaf_levels: bit n: a leaf is allowed at level n + 1 (0: 4 KiB, 1: 2 MiB, 2: 1 GiB)
 * @present:	bits of which at least one is set in every present entry
 * @read, @write, @exec, @noexec: rights; zero when the format has no such bit
 * @exec_user:	execution by user-mode addresses, where a guest hypervisor may have told the CPU to look at it
 * @user:	NPT: every nested access is a user access
 * @large:	set in a 2 MiB or 1 GiB leaf
 * @accessed, @dirty: zero when the CPU keeps none
 * @table:	rights and flags of an entry that points to a table
 * @enc_mask:	SME C-bit for RAM
 * @memtype_wb, @memtype_uc: leaf bits for write-back and uncached
 * @log: the CPU logs the frames in whose leaves it sets the dirty bit; see mmu_logs_writes()
 * @tag_per_root: the CPU tags translations by the root alone (EPT), so that one flush on a CPU serves
 *		all vCPUs of the VM; clear when the tag is the vCPU's own (ASID)
 *
 * The vendor fills it once at load (setup()).
 */
struct tdp_format {
	int levels;
	u32 leaf_levels;
	u64 present, read, write, exec, exec_user, noexec, user, large, accessed, dirty, table, enc_mask;
	u64 memtype_wb, memtype_uc;
	bool log;
	bool tag_per_root;
};

/**
 * struct fault - a second-level fault, as the vendor decoded it
 * @gva_valid: @gva is known (VMX)
 * @user_address: it is one of user mode's (VMX, where the CPU tells)
 * @vectoring: the access was part of delivering an event, not of the instruction at RIP
 * @walk: how L1's tables translated an address of L2's to @gpa, which a shadow table shall map; NULL: the VM's own
 *	tables
 */
struct fault {
	u64 gpa;
	u64 gva;
	bool gva_valid;
	bool user_address;
	bool write, exec, user;
	bool present;		/* a right was missing, not the mapping */
	bool in_walk;		/* the access was to a guest page table */
	bool vectoring;
	const struct nested_walk *walk;
};

/* What mmu_handle_fault() found. */
enum fault_result {
	FAULT_FIXED,		/* mapped: enter again */
	FAULT_MMIO,		/* no slot there: emulate, nothing may be mapped */
	FAULT_READONLY,		/* write to a read-only slot: emulate, the write is an MMIO exit */
	FAULT_SLOW,		/* in a burst: needs to sleep */
	FAULT_RETRY,		/* lost a race: enter again */
	FAULT_ERROR,		/* -EFAULT to user space, KVM_EXIT_MEMORY_FAULT filled */
	FAULT_NESTED,		/* of L2's, and L1's to handle */
};

struct hva_range {
	unsigned long start, end;
};

#define MMU_INVALIDATIONS	8	/* at a time, known exactly */

/**
 * struct tdp_root - the second-level tables of one address space
 * @table: [c] the root table
 * @pa: [c] its physical address
 * @flushed: [i] generation that each CPU has flushed; tag_per_root
 */
struct tdp_root {
	u64 *table;
	u64 pa;
	u64 __percpu *flushed;
};

struct vm_mmu {
	rwlock_t lock;
	struct tdp_root roots[NESTOR_ADDRESS_SPACES];
	int levels;			/* [c] */
	struct mmu_notifier notifier;
	/* Written under invalidate_lock, read under [m]: mmu_invalidated(). */
	spinlock_t invalidate_lock;	/* innermost */
	unsigned long invalidate_seq;	/* how many of slots' memory have ended */
	unsigned int invalidate_in_progress;
	unsigned int invalidate_overflow;	/* those in progress that found no place of their own */
	struct hva_range invalidating[MMU_INVALIDATIONS + 1];	/* empty ones are zero; last: a hull */
	wait_queue_head_t invalidate_wait;	/* faults that would only fault again */
	atomic64_t tlb_generation;	/* raised under [m] by every change that takes rights away */
	atomic64_t tlb_synced;		/* [a] no vCPU is in a burst begun before this generation */
	unsigned int nr_shadows;	/* [m] vCPUs that have shadow tables for an L2 */
	void *apic_page;		/* [c] NULL without cpu_caps.apic_page */
	unsigned int apic_page_forbidden;	/* [m] vCPUs that do not bear it in the tables */
};

#define MMU_CACHED_TABLES	8

struct vcpu_mmu {
	u64 tlb_generation;		/* [i] flushed for this vCPU, on ... */
	int tlb_cpu;			/* [i] ... this CPU; unless tag_per_root */
	int nr_cached;			/* [v] */
	void *table_cache[MMU_CACHED_TABLES];	/* [v] zeroed table pages, topped up outside bursts */
};

/* Module load: the format is the vendor's. */
extern struct tdp_format tdp_format;

int mmu_vm_init(struct vm *vm);			/* after vm_memory_init(): the notifier may call */
void mmu_vm_release(struct vm *vm);		/* notifier gone, all leaves zapped */
void mmu_vm_destroy(struct vm *vm);		/* tables freed */
void mmu_vcpu_init(struct vcpu *vcpu);
void mmu_vcpu_destroy(struct vcpu *vcpu);
int mmu_topup(struct vcpu *vcpu);		/* may sleep; before a burst; 0 or -ENOMEM */

enum fault_result mmu_handle_fault(struct vcpu *vcpu, const struct fault *fault);
long mmu_prefault(struct vcpu *vcpu, u64 gpa);
bool mmu_frame(struct vcpu *vcpu, u64 gpa, u64 *frame);

/* Slot changes, under vm->slots_lock. No TLB has a stale translation when they return. */
void mmu_zap_gfns(struct vm *vm, int space, u64 start, u64 end);
/* No write that is not seen after this: by a fault, or in the CPU's log. */
void mmu_write_protect(struct vm *vm, int space, u64 start, u64 end);

/*
 * The frames @gfn + n of @slot for every bit n of @mask. Under mmu.lock for writing; mmu_tlb_sync() after
 * unlocking.
 */
void mmu_write_protect_mask(struct vm *vm, const struct slot *slot, u64 gfn, unsigned long mask);

/*
 * Does the CPU see to it that writes to logged slots are known? Then a small leaf stays writable, with its dirty bit clear.
 * Not for dirty rings, which have no room for what a whole log of the CPU's may bring.
 */
bool mmu_logs_writes(const struct vm *vm);

/*
 * The page by whose frame the CPU knows accesses to the local APIC, where it handles them (lapic_hw.c). Faults map it at
 * the APIC's address while no vCPU forbids that: one for which the CPU does not handle them would find memory there. No TLB
 * has it when mmu_forbid_apic_page() returns; like other changes of the tables it is not for bursts.
 */
void mmu_forbid_apic_page(struct vm *vm);
void mmu_allow_apic_page(struct vm *vm);
/* A slot comes, and takes the place. */
void mmu_slot_added(struct vm *vm, const struct slot *slot);

/* Frames below this can be mapped. */
u64 mmu_max_gfn(void);

/*
 * Translations in TLBs. Whoever takes rights away calls mmu_tlb_raise() before it releases mmu.lock,
 * and mmu_tlb_sync() before it relies on the change: tables freed, pages given back, a log read. The
 * sync also waits for what others raised, so finding an entry already gone is as good as removing
 * it. Any context with interrupts on, also atomic, but no burst. mmu_flush_remote() is both in one.
 */
void mmu_tlb_raise(struct vm *vm);
void mmu_tlb_sync(struct vm *vm);
void mmu_flush_remote(struct vm *vm);

/* Before entry, in the burst: true when second-level translations must be flushed on this CPU. */
bool mmu_needs_flush(struct vcpu *vcpu);	/* the vendor that gets true flushes before it enters */

/*
 * The guest's own page tables. Access bits as in a #PF error code. On failure returns ~0ull and
 * fills *e (vector #PF with error code and address, or #GP for a non-canonical address); in a burst
 * -EAGAIN may be reported through *again: leave the burst and try again.
 */
#define PF_PRESENT	BIT(0)
#define PF_WRITE	BIT(1)
#define PF_USER		BIT(2)
#define PF_RSVD		BIT(3)
#define PF_FETCH	BIT(4)
#define PF_PK		BIT(5)
#define PF_IMPLICIT	BIT(48)	/* implicit supervisor access: descriptor tables and the like; not in error codes */

struct mmu_exception {
	u8 vector;
	u32 error;
	u64 address;
	bool again;
};

u64 mmu_gva_to_gpa(struct vcpu *vcpu, u64 gva, u64 access, struct mmu_exception *e);
/* 0, -EFAULT with *e filled, -EAGAIN (burst), or -ENODEV: the page is no memory (*gpa has the address). */
int mmu_read_gva(struct vcpu *vcpu, u64 gva, void *buf, size_t len, u64 access, struct mmu_exception *e, u64 *gpa);
int mmu_write_gva(struct vcpu *vcpu, u64 gva, const void *buf, size_t len, u64 access, struct mmu_exception *e, u64 *gpa);

/* 0 with regs.pdptr written and marked dirty, -EINVAL (reserved bits: #GP), -EAGAIN */
int mmu_load_pdptrs(struct vcpu *vcpu, u64 cr3);
void mmu_fetch_pdptrs(struct vcpu *vcpu, u64 cr3);

#endif
