/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The vendor-free half of nesting: a guest (L1) that is a hypervisor, and its guest (L2).
 *
 * Suffixes: 01 is what runs L1, 12 what L1 wrote for L2, 02 what runs L2. A gpa1 is L1's guest-physical address, which
 * the VM's slots translate; a gpa2 is L2's, which L1's second-level tables translate to a gpa1, if L1 uses any.
 */
#ifndef NESTOR_NESTED_H
#define NESTOR_NESTED_H

#include <linux/kvm.h>
#include <linux/types.h>

#include "emulate/emulate.h"
#include "mmu/mmu.h"
#include "vm/events.h"

struct shadow_root;
struct vcpu_shadow;

/*
 * Rights in L1's tables. Where a format has no such right (NPT: read), a present entry has it; where it tells no user-mode
 * addresses apart, L1_EXEC comes with L1_EXEC_USER.
 */
#define L1_READ		BIT(0)
#define L1_WRITE	BIT(1)
#define L1_EXEC		BIT(2)		/* by supervisor-mode linear addresses */
#define L1_EXEC_USER	BIT(3)		/* by user-mode ones */
#define L1_FETCH	(L1_EXEC | L1_EXEC_USER)
#define L1_ALL		(L1_READ | L1_WRITE | L1_FETCH)

#define L1_MAX_LEVELS	5

/**
 * struct shadow_key - what gives L1's second-level tables, and translations made with them, their meaning
 * @root: gpa1 of the top table; 0 without @levels
 * @tag: L1's name for translations (ASID12, VPID12): another one shares nothing
 * @mode: the vendor's: everything else that changes the meaning of entries
 * @levels: of L1's tables; 0: L1 uses none, a gpa2 is a gpa1
 */
struct shadow_key {
	u64 root;
	u32 tag;
	u32 mode;
	u8 levels;
};

/**
 * struct l1_entry - an entry of L1's tables, decoded
 * @present: translates
 * @bad: reserved bits are set, or a combination that the CPU refuses
 * @leaf: maps a page of its level's size
 * @rights: L1_*
 * @gpa: gpa1 of the page or of the next table
 * @accessed, @dirty: masks of the bits that a walk, and one for a write that ends here, sets; 0: none kept
 */
struct l1_entry {
	bool present, bad, leaf;
	u8 rights;
	u64 gpa;
	u64 accessed, dirty;
};

/**
 * struct nested_linear - the linear address of L2's that an access is made for
 * @valid: there is one, @address
 * @in_walk: the access is to a page table of L2's own, not to what that translates to
 * @user: L2's page tables let user mode use it; unless @in_walk
 */
struct nested_linear {
	u64 address;
	bool valid, in_walk, user;
};

/* L1_* that a fetch needs. */
static inline u8 nested_fetch_access(const struct nested_linear *linear)
{
	return linear->user ? L1_EXEC_USER : L1_EXEC;
}

/**
 * struct nested_walk - the walk of L1's tables for an access by L2
 * @gpa2: the address
 * @access: L1_READ, L1_WRITE or one of L1_FETCH; several when all are needed
 * @linear: whose
 * @gpa1: out, the translation
 * @rights: out: ANDed over all levels, up to where the walk ended; leaf level too
 * @dirty: out: the leaf's dirty bit is set, or L1 keeps none: writes need not be seen
 * @level: out: of the leaf, or of the entry that ended the walk; 0: the address is beyond the tables
 * @bad: out: -EFAULT because of reserved bits
 * @log_full: out: -EFAULT because L1's log has no room, see struct nested_log
 * @present: out: -EFAULT although all entries were present
 * @table: out: gpa1 of the table of each level, down to @level
 * @entry: out: the entry in each
 */
struct nested_walk {
	u64 gpa2;
	u8 access;
	struct nested_linear linear;

	u64 gpa1;
	u8 rights;
	bool dirty, bad, log_full, present;
	int level;
	u64 table[L1_MAX_LEVELS + 1];
	u64 entry[L1_MAX_LEVELS + 1];
};

#define NESTED_LOG_ENTRIES	512

/**
 * struct nested_log - where L1 wants to find the pages of which L2 makes the dirty bit be set
 * @gpa: gpa1 of its page of addresses
 * @index: of the next one, in what the vendor keeps for L1; it counts down, and the log is full when it is none of the
 *	page's. NULL: there is no log
 */
struct nested_log {
	u64 gpa;
	u16 *index;
};

/* What L1 may take as an exit of L2 instead of L2's taking it. */
enum nested_event {
	NESTED_EXCEPTION,		/* vcpu->nested.exception */
	NESTED_INTERRUPT,		/* from the local APIC or PIC; not yet taken */
	NESTED_NMI,
	NESTED_INIT,
	NESTED_SIPI,			/* only where L2 waits for it: lapic_sipi_vector() */
	NESTED_SMI,
	NESTED_SHUTDOWN,
	NESTED_STEP,			/* vcpu->nested.stepped */
};

/**
 * struct nested_ops - what a vendor has for nesting; vendor_ops.nested, NULL: cannot
 * @decode: an entry of L1's second-level tables
 * @intercepts: does L1 take this event as an exit? Only asked while L2 runs. For exceptions @vector and @error
 * @reflect: leave L2 for L1 because of this event, or do what the CPU does with it while L2 runs on. Never fails: what
 *	cannot be written to L1's memory in a burst is written by @sync, which a REQ_NESTED of the vendor's own asks for
 * @reflect_walk: the same for the access that vcpu->nested.failed describes
 * @insn: does L1 intercept what the emulator is about to do for L2? As emu_ops.intercept
 * @reflect_insn: leave L2 because of what @insn has just found
 * @blocks_init: may INIT not be taken now?
 * @redirect_init: INIT is an exception for this guest, which is raised: true. NULL: for none
 * @blocks_smi: may an SMI not be taken now?
 * @smm_enter: SMM begins; the registers are in SMRAM already. From L2 back to L1, whose state the handler's replaces.
 *	1: SMRAM keeps @vmcb for @smm_leave; 0: nothing; -errno: L1's state cannot be kept
 * @smm_leave: SMM ends, the registers will come from SMRAM: back to what @smm_enter found. @vmcb: from SMRAM, NULL: of
 *	no L2. -errno: there is no such state
 * @l1_pat: where L1's PAT is while an L2 runs that has its own; NULL: they share one. NULL op: user space's is the one in use
 * @after_flush: L2 has flushed TLBs by a hypercall that L1 wants to hear of (pv/hyperv_nested.c). NULL: it never does
 * @enable_evmcs: user space lets L1 use enlightened VMCSs: sets vcpu->nested.evmcs. NULL: there are none
 * @waits: L2 is halted, and its vCPU about to sleep. NULL: nothing is to be done
 * @wakes: has L2 an interrupt of L1's making that ends its halt? NULL: never
 * @sync: REQ_NESTED, outside of a burst. enum run_next or -errno
 * @leave: back to L1 as if it had never entered L2: reset, KVM_SET_NESTED_STATE
 * @get_state: KVM_GET_NESTED_STATE. @size is what user space has room for. Bytes needed or -errno
 * @set_state: KVM_SET_NESTED_STATE, the header copied already. 0 or -errno
 */
struct nested_ops {
	void (*decode)(const struct shadow_key *key, u64 entry, int level, struct l1_entry *out);
	bool (*intercepts)(struct vcpu *vcpu, enum nested_event event, u8 vector, u32 error);
	void (*reflect)(struct vcpu *vcpu, enum nested_event event);
	void (*reflect_walk)(struct vcpu *vcpu);
	int (*insn)(struct vcpu *vcpu, const struct emu_intercept *info);
	void (*reflect_insn)(struct vcpu *vcpu);
	bool (*blocks_init)(struct vcpu *vcpu);
	bool (*redirect_init)(struct vcpu *vcpu);
	bool (*blocks_smi)(struct vcpu *vcpu);
	int (*smm_enter)(struct vcpu *vcpu, u64 *vmcb);
	int (*smm_leave)(struct vcpu *vcpu, const u64 *vmcb);
	u64 *(*l1_pat)(struct vcpu *vcpu);
	void (*after_flush)(struct vcpu *vcpu);
	void (*enable_evmcs)(struct vcpu *vcpu);
	void (*waits)(struct vcpu *vcpu);
	bool (*wakes)(struct vcpu *vcpu);
	int (*sync)(struct vcpu *vcpu);
	void (*leave)(struct vcpu *vcpu);
	long (*get_state)(struct vcpu *vcpu, struct kvm_nested_state __user *user, u32 size);
	int (*set_state)(struct vcpu *vcpu, struct kvm_nested_state __user *user,
			 const struct kvm_nested_state *head);
};

/**
 * struct vcpu_nested - embedded in struct vcpu
 * @guest_mode: L2 runs: registers, events and translations are L2's
 * @root: the tables and the tag of the L2 that runs; NULL in L1
 * @walks: gpa2 differs from gpa1: root->key.levels, while L2 runs
 * @own_tpr: CR8 is not L1's task priority but L2's virtual one, @tpr
 * @evmcs: KVM_CAP_HYPERV_ENLIGHTENED_VMCS is enabled
 * @table_access: L1_* that reading one of L2's own page tables needs of L1's
 * @log: L1's, while L2 runs
 * @shadow: all shadow tables of this vCPU; NULL until its guest first enters an L2
 * @shutdown: L2 is halted, in the shutdown state: nothing but an NMI, a machine check, INIT or an SMI ends it
 * @steps: L1 wants an exit behind every instruction of L2's; @stepped: L0 has executed one
 * @exception: that L2 raised and L1 takes; @exception.pending
 * @failed: the walk of L1's tables that ended in a fault, for mmu_exception.vector == EXC_NESTED
 */
struct vcpu_nested {
	bool guest_mode;		/* [v] */
	bool walks;			/* [v] */
	bool own_tpr;			/* [v] */
	u8 tpr;				/* [v] */
	bool evmcs;			/* [v] */
	u8 table_access;		/* [v] */
	struct nested_log log;		/* [v] */
	struct shadow_root *root;	/* [v] */
	struct vcpu_shadow *shadow;	/* [v]; others look at it under mmu.lock, for writing */
	bool shutdown;			/* [v] */
	bool steps, stepped;		/* [v] */
	struct exception exception;	/* [v] */
	struct nested_walk failed;	/* [v] */
};

/* In mmu_exception.vector: no exception of L2's, but vcpu->nested.failed, for nested_ops.reflect_walk(). */
#define EXC_NESTED	0xff

/*
 * walk.c: L1's tables, those of vcpu->nested.root. 0; -EFAULT: L1 does not map it so, *w tells; -EAGAIN: not without
 * sleeping. Sets accessed and dirty bits. @atomic: does not sleep, as always in a burst.
 */
int nested_walk(struct vcpu *vcpu, struct nested_walk *w, bool atomic);
/* The same for an address that is accessed for L2. vcpu->nested.failed tells where it failed, -EAGAIN included. */
int nested_translate(struct vcpu *vcpu, u64 gpa2, u8 access, const struct nested_linear *linear, bool atomic, u64 *gpa1);

/**
 * struct shadow_root - L1's tables, shadowed: maps gpa2 to host memory; and what names its translations in the TLB
 * @key: whose
 * @table: the top table, in the format of this CPU; NULL without key.levels: the VM's own tables are used
 * @asid: the vendor's name for its translations (ASID, VPID); @asid_generation, @asid_cpu: where that is valid
 * @flush: its translations must go before the next entry, on any CPU
 * @tlb_generation, @tlb_cpu: second-level translations flushed as of vm->mmu.tlb_generation, there
 */
struct shadow_root {
	struct shadow_key key;
	struct shadow_table *table;
	u32 asid;
	u64 asid_generation;
	int asid_cpu;
	bool flush;
	u64 tlb_generation;
	int tlb_cpu;
	struct list_head link;
	struct list_head linked;	/* tables that the CPU can reach, but for the top one */
};

/*
 * shadow.c. All by the vCPU's own thread.
 *
 * shadow_root() finds or makes the root of a key: NULL in a burst when it has to be made, outside when there is no
 * memory. The one that was used longest ago gives way, but never the one that is in use.
 */
struct shadow_root *shadow_root(struct vcpu *vcpu, const struct shadow_key *key);
u64 shadow_root_pa(struct vcpu *vcpu, const struct shadow_root *root);
/* L1 told the CPU to forget what it read of L1's tables: of one root; of those with @match; of all. */
void shadow_flush(struct vcpu *vcpu, struct shadow_root *root);
/* Guest-virtual translations of every L2 are stale: before the next entry by each root. */
void shadow_flush_tlb(struct vcpu *vcpu);
void shadow_flush_match(struct vcpu *vcpu, bool (*match)(const struct shadow_key *key, const void *arg), const void *arg);
/* True when the root's translations must be flushed on this CPU, in the burst before entry; the caller does it. */
bool shadow_needs_flush(struct vcpu *vcpu, struct shadow_root *root);
/* A fault at fault->gpa, a gpa2. FAULT_NESTED: L1's, see nested.failed. On FAULT_MMIO and the like *gpa1 is set. */
enum fault_result shadow_handle_fault(struct vcpu *vcpu, const struct fault *fault, u64 *gpa1);
void shadow_destroy(struct vcpu *vcpu);

/*
 * rmap.c, for mmu/, under mmu.lock for writing: frames of L1's lose their place; have to be seen when written to; their
 * accessed bits are read and cleared. True: rights are gone, the TLB generation has to be raised; was accessed.
 */
bool shadow_zap(struct vm *vm, u64 start, u64 end);
bool shadow_protect(struct vm *vm, u64 start, u64 end);
bool shadow_age(struct vm *vm, u64 start, u64 end, bool clear);

/* struct vm is not complete here. */
#define shadow_used(vm)	unlikely((vm)->mmu.nr_shadows)

/*
 * events.c. nested_take_events(): before entry, while L2 runs: events that wait and that L1 takes. nested_takes(): one that
 * the caller has found. True: L1 runs now. nested_takes_exception(): L2 has raised it; true: L1 will get it. nested_keeps():
 * L2 runs and must not be given this event, since it is L1's.
 */
bool nested_take_events(struct vcpu *vcpu);
void nested_level_changed(struct vcpu *vcpu, bool own_tpr);	/* @own_tpr: of L2 */
bool nested_takes(struct vcpu *vcpu, enum nested_event event);
bool nested_keeps(struct vcpu *vcpu, enum nested_event event);
bool nested_takes_exception(struct vcpu *vcpu, const struct exception *e);

/* Module parameter. */
extern bool nested_enabled;

/* state.c: KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE. */
u32 nested_state_size(void);		/* the most that there can be; 0: not offered */
int nested_get_state(struct vcpu *vcpu, struct kvm_nested_state __user *user);
int nested_set_state(struct vcpu *vcpu, struct kvm_nested_state __user *user);

#endif
