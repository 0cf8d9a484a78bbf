// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log: KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG.
 *
 * A page of a logged slot is writable in the second-level tables only while its bit is set. Faults set
 * the bit and grant the write under mmu.lock for reading; here bits are taken and writes forbidden
 * under the lock for writing, word by word, so the lock may be given up in between. The kernel's own
 * writes set the bit after the data: the reader of a log sees the data or finds the bit next time.
 *
 * Where the CPU keeps a log of its own, a page is writable and its leaf's dirty bit clear while its bit is not set: the
 * CPU sets that bit and logs the page, and the burst's end sets the page's bit here. So nobody is in a burst that began
 * before the log is read; what a CPU has logged since is found the next time, as its page's bit was not set yet.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "vm/slots.h"

void vm_mark_dirty(struct vm *vm, struct vcpu *vcpu, const struct slot *slot, u64 gfn)
{
	if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return;
	if (vm->dirty_ring_bytes) {
		/* Before there is a vCPU no guest has run, and nothing to be told changes. */
		vcpu = vcpu ?: vm_vcpu(vm, 0);
		if (vcpu)
			dirty_ring_push(vcpu, slot, gfn - slot->base_gfn);
		return;
	}
	/* Unconditionally: the locked operation also orders the data before the bit. */
	set_bit(gfn - slot->base_gfn, slot->dirty_bitmap);
}

bool vm_logs_writes(const struct vm *vm)
{
	return READ_ONCE(vm->memory.nr_logged);
}

void vcpu_mark_logged(struct vcpu *vcpu, const u64 *gpas, unsigned int n)
{
	struct vm *vm = vcpu->vm;
	const struct slot *slot, *moving = READ_ONCE(vm->memory.moving);
	struct slots *slots = vcpu_slots(vcpu);
	unsigned int i;

	for (i = 0; i < n; i++) {
		u64 gfn = READ_ONCE(gpas[i]) >> PAGE_SHIFT;

		slot = slots_find(slots, gfn);
		if (slot)
			vm_mark_dirty(vm, vcpu, slot, gfn);
		if (unlikely(moving) && moving->as_id == vcpu_space(vcpu) && slot_has(moving, gfn))
			vm_mark_dirty(vm, vcpu, moving, gfn);
	}
}

/* Under vm->slots_lock. */
static struct slot *logged_slot(struct vm *vm, u32 id)
{
	struct slot *slot;

	if (!slot_id_valid(id))
		return ERR_PTR(-EINVAL);
	slot = vm_slot_by_id(vm, id);
	if (!slot || !slot->dirty_bitmap)
		return ERR_PTR(-ENOENT);
	return slot;
}

static unsigned long *second_bitmap(const struct slot *slot)
{
	return slot->dirty_bitmap + BITS_TO_LONGS(slot->npages);
}

/* Clear the bits of @mask in word @i; what was set is returned and can no longer be written. */
static unsigned long take_word(struct vm *vm, struct slot *slot, u64 i, unsigned long mask)
{
	unsigned long *word = &slot->dirty_bitmap[i];

	if (!(READ_ONCE(*word) & mask))
		return 0;
	mask &= atomic_long_fetch_andnot(mask, (atomic_long_t *)word);
	mmu_write_protect_mask(vm, slot, slot->base_gfn + i * BITS_PER_LONG, mask);
	return mask;
}

/* Take all bits into the second bitmap. */
static void take_log(struct vm *vm, struct slot *slot)
{
	unsigned long *copy = second_bitmap(slot);
	u64 i, n = BITS_TO_LONGS(slot->npages);

	write_lock(&vm->mmu.lock);
	for (i = 0; i < n; i++) {
		copy[i] = take_word(vm, slot, i, ~0ul);
		cond_resched_rwlock_write(&vm->mmu.lock);
	}
	write_unlock(&vm->mmu.lock);
	mmu_tlb_sync(vm);
}

static int get_log(struct vm *vm, struct kvm_dirty_log *log)
{
	struct slot *slot = logged_slot(vm, log->slot);
	unsigned long *bitmap;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (mmu_logs_writes(vm))
		vm_kick_all_sync(vm);
	if (vm->caps.manual_dirty_log) {
		bitmap = slot->dirty_bitmap;
	} else {
		take_log(vm, slot);
		bitmap = second_bitmap(slot);
	}
	if (copy_to_user(log->dirty_bitmap, bitmap, BITS_TO_LONGS(slot->npages) * sizeof(long)))
		return -EFAULT;
	return 0;
}

/**
 * vm_get_dirty_log - copy a slot's log to user space
 * @vm: the VM
 * @log: argument of the ioctl
 *
 * Bits are cleared and pages write-protected again, unless KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2
 * leaves that to KVM_CLEAR_DIRTY_LOG. -ENXIO: the VM has dirty rings instead; -EINVAL: slot number;
 * -ENOENT: no such slot or not logged.
 */
int vm_get_dirty_log(struct vm *vm, struct kvm_dirty_log *log)
{
	int r;

	if (vm->dirty_ring_bytes)
		return -ENXIO;
	mutex_lock(&vm->slots_lock);
	r = get_log(vm, log);
	mutex_unlock(&vm->slots_lock);
	return r;
}

static int clear_log(struct vm *vm, struct kvm_clear_dirty_log *log)
{
	struct slot *slot = logged_slot(vm, log->slot);
	u64 i, n, rest, first = log->first_page;
	unsigned long *mask;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (first > slot->npages || log->num_pages > slot->npages - first)
		return -EINVAL;
	rest = slot->npages - first;
	if (log->num_pages < rest && log->num_pages % BITS_PER_LONG)
		return -EINVAL;

	n = BITS_TO_LONGS(log->num_pages);
	mask = second_bitmap(slot);
	if (copy_from_user(mask, log->dirty_bitmap, n * sizeof(long)))
		return -EFAULT;

	write_lock(&vm->mmu.lock);
	for (i = 0; i < n; i++) {
		if (mask[i])
			take_word(vm, slot, first / BITS_PER_LONG + i, mask[i]);
		cond_resched_rwlock_write(&vm->mmu.lock);
	}
	write_unlock(&vm->mmu.lock);
	mmu_tlb_sync(vm);
	return 0;
}

/**
 * vm_clear_dirty_log - clear the given bits of a slot's log and catch writes to these pages again
 * @vm: the VM
 * @log: argument of the ioctl
 *
 * -ENXIO: the VM has dirty rings instead; -EINVAL: first page or number of pages not a multiple of 64 (the last part of a slot may be
 * short), or beyond the slot; -ENOENT: no such slot or not logged.
 */
int vm_clear_dirty_log(struct vm *vm, struct kvm_clear_dirty_log *log)
{
	int r;

	if (vm->dirty_ring_bytes)
		return -ENXIO;
	/* Upstream refuses these before it looks for the slot. */
	if (!slot_id_valid(log->slot) || log->first_page % BITS_PER_LONG)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	r = clear_log(vm, log);
	mutex_unlock(&vm->slots_lock);
	return r;
}
