// SPDX-License-Identifier: GPL-2.0
/*
 * Write protection for the dirty log, or what takes its place where the CPU keeps a log (mmu_logs_writes()).
 *
 * Large leaves are protected whole and stay: reads go on at full size, and the first write splits them.
 */
#include <linux/sched.h>

#include "mmu/tdp.h"
#include "nested/nested.h"
#include "vm/vm.h"

/* True when the leaf could be written to without being seen. The CPU may set bits meanwhile. */
static bool protect_leaf(struct tdp_iter *it)
{
	u64 bit = it->level == 1 && mmu_logs_writes(it->vm) ? tdp_format.dirty : tdp_format.write;

	while (it->old & bit) {
		if (try_cmpxchg64(it->ep, &it->old, it->old & ~bit))
			return true;
	}
	return false;
}

/**
 * mmu_write_protect - make every write to a range of frames fault, or be logged by the CPU
 * @vm: the VM
 * @space: address space
 * @start: first frame
 * @end: first frame after it
 *
 * Takes mmu.lock; when it returns, no TLB allows another write.
 */
void mmu_write_protect(struct vm *vm, int space, u64 start, u64 end)
{
	struct tdp_iter it = { .vm = vm, .space = space, .gfn = start, .end = end };
	bool changed = false;

	write_lock(&vm->mmu.lock);
	if (shadow_used(vm))
		changed = shadow_protect(vm, start, end);
	while (tdp_next_leaf(&it)) {
		changed |= protect_leaf(&it);
		if (need_resched() || rwlock_needbreak(&vm->mmu.lock)) {
			if (changed)
				mmu_tlb_raise(vm);
			cond_resched_rwlock_write(&vm->mmu.lock);
		}
	}
	if (changed)
		mmu_tlb_raise(vm);
	write_unlock(&vm->mmu.lock);
	mmu_tlb_sync(vm);
}

/* See mmu.h. */
void mmu_write_protect_mask(struct vm *vm, const struct slot *slot, u64 gfn, unsigned long mask)
{
	struct tdp_iter it = { .vm = vm, .space = slot->as_id };
	bool changed = false;

	lockdep_assert_held_write(&vm->mmu.lock);
	if (!mask)
		return;
	it.gfn = gfn + __ffs(mask);
	it.end = gfn + __fls(mask) + 1;
	if (shadow_used(vm))
		changed = shadow_protect(vm, it.gfn, it.end);
	while (tdp_next_leaf(&it)) {
		if (it.level > 1 || mask & BIT(it.leaf_gfn - gfn))
			changed |= protect_leaf(&it);
	}
	if (changed)
		mmu_tlb_raise(vm);
}
