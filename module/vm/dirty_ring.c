// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty ring: KVM_CAP_DIRTY_LOG_RING and KVM_RESET_DIRTY_RINGS.
 *
 * As with the bitmap, a page of a logged slot is writable only while it is reported: a fault pushes
 * the entry and grants the write under mmu.lock for reading, the reset forbids it under the lock for
 * writing. User space reads a page after the reset, so whatever was written before is seen, and
 * whatever is written later makes another entry.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>

#include "vm/slots.h"

/* What one burst may add once the soft limit is reached. */
#define RESERVED_ENTRIES	64

int dirty_ring_init(struct vcpu *vcpu)
{
	struct dirty_ring *ring = &vcpu->dirty_ring;
	u32 bytes = vcpu->vm->dirty_ring_bytes;

	spin_lock_init(&ring->lock);
	if (!bytes)
		return 0;
	ring->entries = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ring->entries)
		return -ENOMEM;
	ring->size = bytes / sizeof(*ring->entries);
	ring->soft_limit = ring->size - RESERVED_ENTRIES;
	return 0;
}

void dirty_ring_destroy(struct vcpu *vcpu)
{
	vfree(vcpu->dirty_ring.entries);
	vcpu->dirty_ring.entries = NULL;
}

static u32 entries_waiting(const struct dirty_ring *ring)
{
	return READ_ONCE(ring->pushed) - READ_ONCE(ring->reset);
}

bool dirty_ring_soft_full(const struct vcpu *vcpu)
{
	return entries_waiting(&vcpu->dirty_ring) >= vcpu->dirty_ring.soft_limit;
}

/**
 * dirty_ring_push - report a page
 * @vcpu: in whose ring
 * @slot: a logged slot
 * @offset: of the page in the slot
 *
 * Any context but NMI. The vCPU leaves the guest at the soft limit, so that the ring is never full
 * where guests write; user space that makes the kernel write by one ioctl after the other and never
 * resets loses what it asked for.
 */
void dirty_ring_push(struct vcpu *vcpu, const struct slot *slot, u64 offset)
{
	struct dirty_ring *ring = &vcpu->dirty_ring;
	struct kvm_dirty_gfn *entry;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	if (entries_waiting(ring) < ring->size) {
		entry = &ring->entries[ring->pushed & (ring->size - 1)];
		WRITE_ONCE(entry->slot, (u32)slot->as_id << 16 | slot->id);
		WRITE_ONCE(entry->offset, offset);
		/* User space that sees the flag sees the rest. */
		smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
		WRITE_ONCE(ring->pushed, ring->pushed + 1);
	}
	spin_unlock_irqrestore(&ring->lock, flags);
	if (dirty_ring_soft_full(vcpu))
		vcpu_request(vcpu, REQ_DIRTY_RING_FULL);
}

bool dirty_ring_has_pgoff(const struct vm *vm, unsigned long pgoff)
{
	return pgoff >= KVM_DIRTY_LOG_PAGE_OFFSET &&
	       pgoff - KVM_DIRTY_LOG_PAGE_OFFSET < vm->dirty_ring_bytes / PAGE_SIZE;
}

struct page *dirty_ring_page(const struct vcpu *vcpu, unsigned long pgoff)
{
	if (!dirty_ring_has_pgoff(vcpu->vm, pgoff) || !vcpu->dirty_ring.entries)
		return NULL;
	return vmalloc_to_page((void *)vcpu->dirty_ring.entries +
			       ((pgoff - KVM_DIRTY_LOG_PAGE_OFFSET) << PAGE_SHIFT));
}

/**
 * dirty_ring_enable - give every vCPU to come a dirty ring; bitmaps are not used then
 * @vm: without vCPUs
 * @bytes: size of a ring
 *
 * -EINVAL: not a power of two, too small, set already, or there are vCPUs; -E2BIG.
 */
int dirty_ring_enable(struct vm *vm, u64 bytes)
{
	int r = -EINVAL;

	if (!is_power_of_2(bytes) || bytes < PAGE_SIZE ||
	    bytes < RESERVED_ENTRIES * sizeof(struct kvm_dirty_gfn))
		return -EINVAL;
	if (bytes > DIRTY_RING_MAX_BYTES)
		return -E2BIG;
	mutex_lock(&vm->lock);
	if (!vm->created_vcpus && !vm->dirty_ring_bytes) {
		vm->dirty_ring_bytes = bytes;
		r = 0;
	}
	mutex_unlock(&vm->lock);
	return r;
}

/**
 * struct reset_batch - pages of one slot that are forbidden to write in one go
 * @slot: number, address space above bit 16, as in the entries
 * @first: of 64 pages
 * @mask: those to forbid
 */
struct reset_batch {
	u32 slot;
	u64 first;
	unsigned long mask;
};

/* Under vm->slots_lock. What user space made up names no page, or one that is then reported again. */
static void reset_pages(struct vm *vm, struct reset_batch *b)
{
	const struct slot *slot;

	if (!b->mask)
		return;
	slot = vm_slot_by_id(vm, b->slot);
	if (slot && slot->flags & KVM_MEM_LOG_DIRTY_PAGES && b->first < slot->npages) {
		if (slot->npages - b->first < BITS_PER_LONG)
			b->mask &= BIT(slot->npages - b->first) - 1;
		write_lock(&vm->mmu.lock);
		mmu_write_protect_mask(vm, slot, slot->base_gfn + b->first, b->mask);
		write_unlock(&vm->mmu.lock);
	}
	b->mask = 0;
}

static void batch_add(struct vm *vm, struct reset_batch *b, u32 slot, u64 offset)
{
	if (b->mask && (b->slot != slot || b->first != round_down(offset, BITS_PER_LONG)))
		reset_pages(vm, b);
	b->slot = slot;
	b->first = round_down(offset, BITS_PER_LONG);
	b->mask |= BIT(offset % BITS_PER_LONG);
}

/* Take back what user space has read. Entries are read once, and never more of them than were pushed. */
static int reset_ring(struct vm *vm, struct dirty_ring *ring, int *count)
{
	struct reset_batch batch = {};
	u32 n = entries_waiting(ring);
	int r = 0;

	while (n--) {
		struct kvm_dirty_gfn *entry = &ring->entries[ring->reset & (ring->size - 1)];
		u32 slot;
		u64 offset;

		if (signal_pending(current)) {
			r = -EINTR;
			break;
		}
		/* Its flag is set when user space has read the rest; pairs with its release. */
		if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
			break;
		slot = READ_ONCE(entry->slot);
		offset = READ_ONCE(entry->offset);
		smp_store_release(&entry->flags, 0);
		WRITE_ONCE(ring->reset, ring->reset + 1);
		(*count)++;
		batch_add(vm, &batch, slot, offset);
		cond_resched();
	}
	reset_pages(vm, &batch);
	return r;
}

/**
 * dirty_rings_reset - KVM_RESET_DIRTY_RINGS
 * @vm: the VM
 *
 * Number of entries; -EINVAL without rings. When it returns, a write to one of their pages is
 * reported again. A signal ends it early: the rest is for the next call.
 */
int dirty_rings_reset(struct vm *vm)
{
	struct vcpu *vcpu;
	int i, count = 0;

	if (!vm->dirty_ring_bytes)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	vm_for_each_vcpu(i, vcpu, vm) {
		if (reset_ring(vm, &vcpu->dirty_ring, &count))
			break;
	}
	mutex_unlock(&vm->slots_lock);
	mmu_tlb_sync(vm);
	return count;
}
