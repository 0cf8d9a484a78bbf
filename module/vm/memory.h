/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest physical memory: slots, and access to guest memory from the kernel.
 *
 * The slots are an RCU-like snapshot: a sorted array published under vm->srcu, replaced whole
 * under vm->slots_lock. Access goes through the host virtual address and the caller's page
 * tables (current->mm is vm->mm), so no page is pinned.
 */
#ifndef NESTOR_MEMORY_H
#define NESTOR_MEMORY_H

#include <linux/kvm.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct vcpu;
struct vm;
struct slots;

#define NESTOR_MAX_SLOTS	32764

/**
 * struct slot - a memory slot
 * @dirty_bitmap: one bit per 4 KiB page; NULL without KVM_MEM_LOG_DIRTY_PAGES, and where dirty
 *	  rings are used. The second half is the copy that KVM_GET_DIRTY_LOG works on.
 */
struct slot {
	u64 base_gfn;
	u64 npages;
	unsigned long hva;
	u32 flags;			/* KVM_MEM_* */
	u16 id;
	u16 as_id;
	unsigned long *dirty_bitmap;
};

/* The slots of one address space. */
struct vm_space {
	struct slots __rcu *slots;	/* [s] */
	struct slots *spare;		/* vm->slots_lock: the snapshot before this one, used for the next */
	u32 same_gfn, same_hva;		/* vm->slots_lock: elements that @slots and @spare both begin with */
};

struct vm_memory {
	struct vm_space spaces[NESTOR_ADDRESS_SPACES];
	struct xarray by_id;		/* vm->slots_lock: address space and id, as in the ABI -> slot */
	u64 nr_pages;			/* vm->slots_lock: in all slots */
	unsigned int nr_logged;		/* written under vm->slots_lock: at least as many slots are logged */
	const struct slot *moving;	/* [s] logged, and still mapped where it was; in bursts only */
	u64 generation;			/* [s] odd while an update is on its way */
};

int vm_memory_init(struct vm *vm);
void vm_memory_destroy(struct vm *vm);

/* KVM_SET_USER_MEMORY_REGION(2); takes vm->slots_lock. Upstream's errnos. */
int vm_set_memory_region(struct vm *vm, const struct kvm_userspace_memory_region *region);

/* KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG. */
struct kvm_dirty_log;
struct kvm_clear_dirty_log;
int vm_get_dirty_log(struct vm *vm, struct kvm_dirty_log *log);
int vm_clear_dirty_log(struct vm *vm, struct kvm_clear_dirty_log *log);

/* For the log, if there is one. @vcpu: in whose ring; NULL when no vCPU is the cause. */
void vm_mark_dirty(struct vm *vm, struct vcpu *vcpu, const struct slot *slot, u64 gfn);
/* Any slot logged? Else nothing needs to be collected. */
bool vm_logs_writes(const struct vm *vm);
/* Guest-physical addresses from the CPU's log. In the burst that they were logged in, which keeps the slots. */
void vcpu_mark_logged(struct vcpu *vcpu, const u64 *gpas, unsigned int n);

/*
 * Read or write guest physical memory, page boundaries included. Take vm->srcu themselves and mark
 * pages dirty. A VM's memory is that of address space 0, a vCPU's is what it sees. 0; -EFAULT: no slot, read-only slot, or the host page cannot be had. The _atomic
 * forms never sleep (inside bursts): -EAGAIN when the host page is not there right now.
 */
int vm_read(struct vm *vm, u64 gpa, void *buf, size_t len);
int vm_write(struct vm *vm, u64 gpa, const void *buf, size_t len);
int vm_read_atomic(struct vm *vm, u64 gpa, void *buf, size_t len);
int vm_write_atomic(struct vm *vm, u64 gpa, const void *buf, size_t len);
/* Is there a slot? What an address in a guest's MSR must have. */
bool vm_is_memory(struct vm *vm, u64 gpa);

/* Pick by vcpu->in_burst. */
int vcpu_read_guest(struct vcpu *vcpu, u64 gpa, void *buf, size_t len);
int vcpu_write_guest(struct vcpu *vcpu, u64 gpa, const void *buf, size_t len);
/* Compare-and-exchange of 1, 2, 4, 8 or 16 bytes, naturally aligned. 0, 1 when the old value differed
 * (then *old has it), or an errno as above. */
int vcpu_cmpxchg_guest(struct vcpu *vcpu, u64 gpa, void *old, const void *new, int len);

/**
 * struct guest_page - a page of the guest's while it is copied from or to
 * @vcpu, @gpa, @write: who accesses what
 * @slot, @at: out: where it is, between guest_page_begin() and guest_page_end()
 * @attempts: how often it had to be brought in
 * @idx: of SRCU
 *
 * For structures of which a few words are wanted: word by word between user_access_begin() and _end() they cost less than
 * by the routines above, and much less than by string instructions where these are counted, or emulated, byte by byte.
 *
 * guest_page_begin(): 0 or -EFAULT. Up to guest_page_end() nothing sleeps and page faults fail the copy. guest_page_retry(),
 * after guest_page_end(), with the copy's -EAGAIN: 0: the page is there now, begin again; else the verdict: -EFAULT, in a
 * burst -EAGAIN.
 */
struct guest_page {
	struct vcpu *vcpu;
	u64 gpa;
	bool write;
	const struct slot *slot;
	void __user *at;
	unsigned int attempts;
	int idx;
};
int guest_page_begin(struct guest_page *p);
void guest_page_end(struct guest_page *p);
int guest_page_retry(struct guest_page *p, int r);

/*
 * For what the hypervisor keeps in guest memory for a vCPU (kvmclock and the like). The caller may
 * sleep.
 */
int vcpu_write_pv(struct vcpu *vcpu, u64 gpa, const void *buf, size_t len);

#endif
