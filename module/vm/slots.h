/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Snapshots of the memory slots, for vm/ and mmu/ only.
 */
#ifndef NESTOR_SLOTS_H
#define NESTOR_SLOTS_H

#include <linux/srcu.h>

#include "vm/vm.h"

/**
 * struct slot_hva - a slot in the order of host virtual addresses
 * @start: its first byte
 * @end: the first byte after it; @start when the slot is gone
 * @base_gfn: its first frame
 * @max_end: the largest end of this slot and of all before it: slots may share host memory, and
 *	a search that goes down from the last candidate knows where to stop
 */
struct slot_hva {
	unsigned long start, end;
	unsigned long max_end;
	u64 base_gfn;
};

/**
 * struct slots - one state of all slots, not changed once it is published (but see forget_hva())
 * @generation: rises with every publication, so two looks at the slots can be compared although
 *	the memory of a snapshot is used again
 * @nr: number of slots
 * @capacity: room in both arrays
 * @hint: where the last search ended; any value is fine
 * @by_gfn: sorted by base_gfn; slots do not overlap there
 * @nr_hva: number of elements of @by_hva
 * @by_hva: sorted by start
 */
struct slots {
	u64 generation;
	u32 nr, nr_hva, capacity;
	u32 hint;
	struct slot **by_gfn;
	struct slot_hva *by_hva;
};

static inline struct slots *vm_slots(struct vm *vm, int space)
{
	/* Interrupts are off in a burst: see vm_wait_for_readers(). */
	return srcu_dereference_check(vm->memory.spaces[space].slots, &vm->srcu,
				      lockdep_is_held(&vm->slots_lock) || irqs_disabled());
}

/* What the vCPU sees. */
static inline struct slots *vcpu_slots(struct vcpu *vcpu)
{
	return vm_slots(vcpu->vm, vcpu_space(vcpu));
}

/* Address space above bit 16, as in the ABI. Under vm->slots_lock. */
static inline struct slot *vm_slot_by_id(struct vm *vm, u32 id)
{
	return xa_load(&vm->memory.by_id, id);
}

static inline bool slot_id_valid(u32 id)
{
	return (u16)id < NESTOR_MAX_SLOTS && id >> 16 < NESTOR_ADDRESS_SPACES;
}

static inline bool slot_has(const struct slot *slot, u64 gfn)
{
	return gfn - slot->base_gfn < slot->npages;
}

static inline unsigned long slot_hva(const struct slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

/* Number of slots that begin at or below @gfn: the last of them is the only one that can have it. */
static inline u32 slots_upto(const struct slots *slots, u64 gfn)
{
	u32 low = 0, high = slots->nr, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (slots->by_gfn[mid]->base_gfn <= gfn)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The slot that has @gfn, or NULL. Accesses cluster, so the last hit is tried first. */
static inline const struct slot *slots_find(struct slots *slots, u64 gfn)
{
	u32 i = READ_ONCE(slots->hint);
	const struct slot *slot;

	if (likely(i < slots->nr)) {
		slot = slots->by_gfn[i];
		if (likely(slot_has(slot, gfn)))
			return slot;
	}
	i = slots_upto(slots, gfn);
	if (!i)
		return NULL;
	slot = slots->by_gfn[i - 1];
	if (!slot_has(slot, gfn))
		return NULL;
	WRITE_ONCE(slots->hint, i - 1);
	return slot;
}

/* Number of slots that begin below @end in host virtual addresses. */
static inline u32 slots_below_hva(const struct slots *slots, unsigned long end)
{
	u32 low = 0, high = slots->nr_hva, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (slots->by_hva[mid].start < end)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/**
 * struct hva_iter - the frames of all slots that lie in a range of host virtual addresses
 * @slots: under SRCU
 * @start: of the range
 * @end: of the range, exclusive
 * @left: how many slots are left to look at
 * @gfn: out, one slot's part of the range; pages that are only touched count
 * @gfn_end: out, exclusive
 */
struct hva_iter {
	const struct slots *slots;
	unsigned long start, end;
	u32 left;
	u64 gfn, gfn_end;
};

static inline struct hva_iter hva_iter(const struct slots *slots, unsigned long start,
				       unsigned long end)
{
	return (struct hva_iter) {
		.slots = slots, .start = start, .end = end,
		.left = slots_below_hva(slots, end),
	};
}

static inline bool hva_next(struct hva_iter *it)
{
	const struct slot_hva *h;
	unsigned long first, last;

	while (it->left && it->slots->by_hva[it->left - 1].max_end > it->start) {
		h = &it->slots->by_hva[--it->left];
		first = max(it->start, h->start);
		last = min(it->end, READ_ONCE(h->end)) - 1;
		if (last + 1 <= first)
			continue;
		it->gfn = h->base_gfn + ((first - h->start) >> PAGE_SHIFT);
		it->gfn_end = h->base_gfn + ((last - h->start) >> PAGE_SHIFT) + 1;
		return true;
	}
	return false;
}

#endif
