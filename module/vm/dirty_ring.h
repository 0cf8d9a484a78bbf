/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The dirty ring: pages that were written to, in the order of the writes, one ring per vCPU.
 *
 * Its entries lie in memory that user space maps and writes: it marks what it has read
 * (KVM_DIRTY_GFN_F_RESET). Positions are kept here alone, and no entry is trusted.
 */
#ifndef NESTOR_DIRTY_RING_H
#define NESTOR_DIRTY_RING_H

#include <linux/kvm.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct page;
struct slot;
struct vcpu;
struct vm;

#define DIRTY_RING_MAX_ENTRIES	65536
#define DIRTY_RING_MAX_BYTES	(DIRTY_RING_MAX_ENTRIES * sizeof(struct kvm_dirty_gfn))

/**
 * struct dirty_ring - a vCPU's ring
 * @entries: shared with user space: hostile; NULL when the VM has no rings
 * @size: of entries, a power of two
 * @soft_limit: from so many on KVM_RUN returns KVM_EXIT_DIRTY_RING_FULL: what one burst and one
 *	  emulated instruction may still add finds room above
 * @lock: innermost; writers other than the vCPU's own thread are rare, but there are some
 * @pushed: count of entries ever written, under @lock
 * @reset: count of entries that user space gave back, under vm->slots_lock
 */
struct dirty_ring {
	struct kvm_dirty_gfn *entries;
	u32 size;
	u32 soft_limit;
	spinlock_t lock;
	u32 pushed;
	u32 reset;
};

/* 0, -ENOMEM. With no ring size set for the VM: nothing to do. */
int dirty_ring_init(struct vcpu *vcpu);
void dirty_ring_destroy(struct vcpu *vcpu);

void dirty_ring_push(struct vcpu *vcpu, const struct slot *slot, u64 offset);
/* No more than the soft limit of entries wait for user space. */
bool dirty_ring_soft_full(const struct vcpu *vcpu);
/* The ring's page at this offset of the vCPU's mapping, or NULL. */
struct page *dirty_ring_page(const struct vcpu *vcpu, unsigned long pgoff);
bool dirty_ring_has_pgoff(const struct vm *vm, unsigned long pgoff);

/* KVM_CAP_DIRTY_LOG_RING. Upstream's errnos. */
int dirty_ring_enable(struct vm *vm, u64 bytes);
/* KVM_RESET_DIRTY_RINGS: number of entries that were given back. */
int dirty_rings_reset(struct vm *vm);

#endif
