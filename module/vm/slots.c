// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: KVM_SET_USER_MEMORY_REGION.
 *
 * Readers see a snapshot under SRCU. A change builds the next snapshot in the memory of the one
 * before the current, which nobody reads any more, publishes it and waits for the readers of the old
 * one. That is linear in the number of slots above the change, but a copy of pointers: a tree per
 * snapshot would make changes cheaper and every look-up dearer.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vm/slots.h"

/* The bound of upstream's dirty-log interface, which counts pages in an unsigned int. */
#define SLOT_MAX_PAGES	((1ul << 31) - 1)

static struct slots *slots_alloc(u32 capacity)
{
	size_t by_gfn = capacity * sizeof(struct slot *);
	struct slots *slots;

	slots = kvzalloc(sizeof(*slots) + by_gfn + capacity * sizeof(struct slot_hva),
			 GFP_KERNEL_ACCOUNT);
	if (!slots)
		return NULL;
	slots->capacity = capacity;
	slots->by_gfn = (void *)(slots + 1);
	slots->by_hva = (void *)slots->by_gfn + by_gfn;
	return slots;
}

int vm_memory_init(struct vm *vm)
{
	struct vm_space *space = vm->memory.spaces;
	struct slots *slots;

	xa_init(&vm->memory.by_id);
	for (; space < vm->memory.spaces + NESTOR_ADDRESS_SPACES; space++) {
		slots = slots_alloc(16);
		if (!slots)
			return -ENOMEM;
		RCU_INIT_POINTER(space->slots, slots);
	}
	return 0;
}

static u32 slot_key(const struct slot *slot)
{
	return (u32)slot->as_id << 16 | slot->id;
}

static void slot_free(struct slot *slot)
{
	kvfree(slot->dirty_bitmap);
	kfree(slot);
}

static void space_destroy(struct vm_space *space)
{
	struct slots *slots = rcu_dereference_protected(space->slots, true);
	u32 i;

	if (!slots)
		return;
	for (i = 0; i < slots->nr; i++)
		slot_free(slots->by_gfn[i]);
	RCU_INIT_POINTER(space->slots, NULL);
	kvfree(slots);
	kvfree(space->spare);
	space->spare = NULL;
}

/* After mmu_vm_release(): no notifier looks any more. */
void vm_memory_destroy(struct vm *vm)
{
	int i;

	for (i = 0; i < NESTOR_ADDRESS_SPACES; i++)
		space_destroy(&vm->memory.spaces[i]);
	xa_destroy(&vm->memory.by_id);
}

/* Room for the next snapshot, allocated before anything is changed. */
static int slots_reserve(struct vm *vm, int as_id)
{
	struct vm_space *space = &vm->memory.spaces[as_id];
	u32 need = vm_slots(vm, as_id)->nr_hva + 1;	/* no fewer than nr */

	if (space->spare && space->spare->capacity >= need)
		return 0;
	kvfree(space->spare);
	space->same_gfn = 0;
	space->same_hva = 0;
	space->spare = slots_alloc(roundup_pow_of_two(max(need, 16u)));
	return space->spare ? 0 : -ENOMEM;
}

/*
 * Pointers only: the slots themselves are not touched, there may be many. @to holds the snapshot before
 * @from; what both begin with stays, so that slots added in the order of their addresses cost nothing
 * for those below them.
 */
static void copy_by_gfn(struct vm_space *space, struct slots *to, const struct slots *from,
			struct slot *old, struct slot *new)
{
	u32 del = old ? slots_upto(from, old->base_gfn) - 1 : from->nr;
	u32 ins = new ? slots_upto(from, new->base_gfn) : from->nr;
	u32 i, n = min3(space->same_gfn, del, ins);

	for (i = n; i <= from->nr; i++) {
		if (new && i == ins)
			to->by_gfn[n++] = new;
		if (i < from->nr && i != del)
			to->by_gfn[n++] = from->by_gfn[i];
	}
	to->nr = n;
	space->same_gfn = min(del, ins);
}

static void add_hva(struct slots *to, const struct slot_hva *h)
{
	struct slot_hva *last = &to->by_hva[to->nr_hva++];

	*last = *h;
	last->max_end = last == to->by_hva ? h->end : max(h->end, last[-1].max_end);
}

/* Those that were forgotten are left out. */
static void copy_by_hva(struct vm_space *space, struct slots *to, const struct slots *from,
			const struct slot *new)
{
	struct slot_hva h = {};
	u32 i, ins = from->nr_hva;

	if (new) {
		h.start = new->hva;
		h.end = new->hva + (new->npages << PAGE_SHIFT);
		h.base_gfn = new->base_gfn;
		ins = slots_below_hva(from, h.start + 1);
	}
	i = min(space->same_hva, ins);
	space->same_hva = ins;
	to->nr_hva = i;
	for (; i <= from->nr_hva; i++) {
		if (new && i == ins)
			add_hva(to, &h);
		if (i == from->nr_hva)
			break;
		if (from->by_hva[i].end == from->by_hva[i].start)
			space->same_hva = min(space->same_hva, i);
		else
			add_hva(to, &from->by_hva[i]);
	}
}

/*
 * Stop to listen to the host about a slot that is gone, in place: a reader that sees the old end zaps
 * what is no longer mapped, or what faults in again.
 */
static void forget_hva(struct vm_space *space, struct slots *slots, const struct slot *slot)
{
	u32 i = slots_below_hva(slots, slot->hva);

	/* Slots may share host memory: several may begin here. */
	while (slots->by_hva[i].base_gfn != slot->base_gfn)
		i++;
	WRITE_ONCE(slots->by_hva[i].end, slots->by_hva[i].start);
	space->same_hva = min(space->same_hva, i);
}

/* Is @new where @old was? */
static bool same_place(const struct slot *old, const struct slot *new)
{
	return old && new && old->base_gfn == new->base_gfn;
}

static bool logged(const struct slot *slot)
{
	return slot && slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

/* Bitmaps begin with all ones: pages are protected when user space clears their bits. */
static bool starts_all_set(const struct vm *vm)
{
	return vm->caps.manual_dirty_log & KVM_DIRTY_LOG_INITIALLY_SET && !vm->dirty_ring_bytes;
}

/* @new is published and @old unreachable: make the second-level tables agree. */
static void apply_change(struct vm *vm, const struct slot *old, const struct slot *new)
{
	u64 end = old->base_gfn + old->npages;

	if (!same_place(old, new)) {
		mmu_zap_gfns(vm, old->as_id, old->base_gfn, end);
		return;
	}
	/* Flags only, and of these only logging may change. A read-only slot has no dirty pages. */
	if (new->flags & KVM_MEM_READONLY)
		return;
	if (!logged(new))
		mmu_zap_gfns(vm, old->as_id, old->base_gfn, end);	/* large leaves come back with the next faults */
	else if (!starts_all_set(vm))
		mmu_write_protect(vm, old->as_id, old->base_gfn, end);
}

/**
 * slots_replace - publish a change of the slots and make the second-level tables agree
 * @vm: the VM
 * @old: goes, or NULL
 * @new: comes, or NULL
 *
 * When it returns, nobody uses @old any more: accesses to guest memory hold SRCU while they touch
 * it, or are made in a burst, and faults that slept compare the generation before they map. Until it is zapped, the host
 * still finds @old by its address: what it takes back meanwhile is mapped.
 *
 * slots_reserve() has been called.
 */
static void slots_replace(struct vm *vm, struct slot *old, struct slot *new)
{
	struct vm_memory *mem = &vm->memory;
	int as_id = old ? old->as_id : new->as_id;
	struct vm_space *space = &mem->spaces[as_id];
	struct slots *now = vm_slots(vm, as_id), *next = space->spare;
	/* What the CPU logs is told by its address, which is in no slot until the tables forget it. */
	bool moves = mmu_logs_writes(vm) && logged(old) && logged(new) && !same_place(old, new);

	copy_by_gfn(space, next, now, old, new);
	copy_by_hva(space, next, now, same_place(old, new) ? NULL : new);
	next->generation = now->generation + 1;
	next->hint = 0;

	/* Before the first write that the CPU logs, and until the last one is collected. */
	WRITE_ONCE(mem->nr_logged, mem->nr_logged + logged(new));
	if (moves)
		WRITE_ONCE(mem->moving, old);
	WRITE_ONCE(mem->generation, mem->generation + 1);
	rcu_assign_pointer(space->slots, next);
	vm_wait_for_readers(vm);
	WRITE_ONCE(mem->generation, mem->generation + 1);
	space->spare = now;
	mem->nr_pages += (new ? new->npages : 0) - (old ? old->npages : 0);

	if (old)
		apply_change(vm, old, new);
	if (new)
		mmu_slot_added(vm, new);
	if (moves) {
		vm_kick_all_sync(vm);		/* the last writes are collected */
		WRITE_ONCE(mem->moving, NULL);
		vm_kick_all_sync(vm);		/* nobody uses it */
	}
	WRITE_ONCE(mem->nr_logged, mem->nr_logged - logged(old));
	if (old && !same_place(old, new))
		forget_hva(space, next, old);
}

/* Does anything but @ignore overlap [start, end)? */
static bool slots_overlap(const struct slots *slots, u64 start, u64 end, const struct slot *ignore)
{
	u32 i = slots_upto(slots, end - 1);

	while (i--) {
		const struct slot *slot = slots->by_gfn[i];

		if (slot->base_gfn + slot->npages <= start)
			return false;
		if (slot != ignore)
			return true;
	}
	return false;
}

static int check_region(const struct kvm_userspace_memory_region *r)
{
	if (!slot_id_valid(r->slot))
		return -EINVAL;
	if (r->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return -EINVAL;
	if (!PAGE_ALIGNED(r->memory_size) || !PAGE_ALIGNED(r->guest_phys_addr) ||
	    !PAGE_ALIGNED(r->userspace_addr))
		return -EINVAL;
	/* The kernel uses the addresses without further checks later on. */
	if (r->userspace_addr != untagged_addr(r->userspace_addr) ||
	    !access_ok((void __user *)(unsigned long)r->userspace_addr, r->memory_size))
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr ||
	    r->memory_size >> PAGE_SHIFT > SLOT_MAX_PAGES)
		return -EINVAL;
	return 0;
}

static unsigned long *alloc_dirty_bitmap(struct vm *vm, u64 npages)
{
	unsigned long *bitmap = kvcalloc(2 * BITS_TO_LONGS(npages), sizeof(long),
					 GFP_KERNEL_ACCOUNT);

	if (bitmap && starts_all_set(vm))
		bitmap_set(bitmap, 0, npages);
	return bitmap;
}

static struct slot *slot_alloc(struct vm *vm, const struct kvm_userspace_memory_region *r,
			       const struct slot *old)
{
	struct slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->id = (u16)r->slot;
	slot->as_id = r->slot >> 16;
	slot->flags = r->flags;
	slot->hva = r->userspace_addr;
	slot->base_gfn = r->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = r->memory_size >> PAGE_SHIFT;
	if (!(r->flags & KVM_MEM_LOG_DIRTY_PAGES) || vm->dirty_ring_bytes)
		return slot;
	/* A log that goes on keeps its bits, also when the slot moves. */
	slot->dirty_bitmap = old ? old->dirty_bitmap : NULL;
	if (!slot->dirty_bitmap)
		slot->dirty_bitmap = alloc_dirty_bitmap(vm, slot->npages);
	if (!slot->dirty_bitmap) {
		kfree(slot);
		return NULL;
	}
	return slot;
}

static int delete_slot(struct vm *vm, struct slot *old)
{
	int r = slots_reserve(vm, old->as_id);

	if (r)
		return r;
	slots_replace(vm, old, NULL);
	xa_erase(&vm->memory.by_id, slot_key(old));
	slot_free(old);
	return 0;
}

/* Create when @old is NULL, else move or change flags. */
static int set_slot(struct vm *vm, const struct kvm_userspace_memory_region *r, struct slot *old)
{
	struct slot *new = slot_alloc(vm, r, old);
	int err;

	if (!new)
		return -ENOMEM;
	err = slots_reserve(vm, new->as_id);
	if (!err)
		err = xa_err(xa_store(&vm->memory.by_id, slot_key(new), new, GFP_KERNEL_ACCOUNT));
	if (err) {
		if (old && new->dirty_bitmap == old->dirty_bitmap)
			new->dirty_bitmap = NULL;
		slot_free(new);
		return err;
	}
	slots_replace(vm, old, new);
	if (!old)
		return 0;
	if (new->dirty_bitmap == old->dirty_bitmap)
		old->dirty_bitmap = NULL;
	slot_free(old);
	return 0;
}

static int set_region(struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	struct vm_memory *mem = &vm->memory;
	struct slot *old = vm_slot_by_id(vm, r->slot);
	u64 base = r->guest_phys_addr >> PAGE_SHIFT, npages = r->memory_size >> PAGE_SHIFT;

	if (!npages)
		return old ? delete_slot(vm, old) : -EINVAL;
	if (old) {
		if (r->userspace_addr != old->hva || npages != old->npages ||
		    (r->flags ^ old->flags) & KVM_MEM_READONLY)
			return -EINVAL;
		if (base == old->base_gfn)
			return r->flags == old->flags ? 0 : set_slot(vm, r, old);
	} else if (mem->nr_pages + npages < mem->nr_pages) {
		return -EINVAL;
	}
	if (slots_overlap(vm_slots(vm, r->slot >> 16), base, base + npages, old))
		return -EEXIST;
	if (base + npages > mmu_max_gfn())
		return -EINVAL;
	return set_slot(vm, r, old);
}

/**
 * vm_set_memory_region - KVM_SET_USER_MEMORY_REGION: create, move, delete a slot, change its flags
 * @vm: the VM
 * @region: argument of the ioctl
 *
 * 0; -EINVAL: alignment, range, flags, a change of size, address or KVM_MEM_READONLY, deletion of what
 * is not there; -EEXIST: overlap; -ENOMEM. The order of the checks is upstream's. When it
 * returns, no vCPU can reach memory that the change took away.
 */
int vm_set_memory_region(struct vm *vm, const struct kvm_userspace_memory_region *region)
{
	int r = check_region(region);

	if (r)
		return r;
	mutex_lock(&vm->slots_lock);
	r = set_region(vm, region);
	mutex_unlock(&vm->slots_lock);
	return r;
}
