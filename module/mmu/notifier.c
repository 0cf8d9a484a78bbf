// SPDX-License-Identifier: GPL-2.0
/*
 * mmu_notifier: pages are not pinned, the host takes them back whenever it wants (swap, migration, KSM,
 * balloon, munmap), and says so here first.
 */
#include <linux/mmu_notifier.h>
#include <linux/srcu.h>
#include <linux/wait.h>

#include "mmu/notifier.h"
#include "mmu/tdp.h"
#include "vm/slots.h"

static struct vm *notifier_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct vm, mmu.notifier);
}

/* Only a hull is kept: what one of several overlapping invalidations covered cannot be subtracted. */
static void begin_invalidation(struct vm_mmu *mmu, unsigned long start, unsigned long end)
{
	if (!mmu->invalidate_in_progress++) {
		mmu->invalidate_start = start;
		mmu->invalidate_end = end;
		return;
	}
	mmu->invalidate_start = min(mmu->invalidate_start, start);
	mmu->invalidate_end = max(mmu->invalidate_end, end);
}

static int invalidate_range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct vm *vm = notifier_vm(mn);
	struct vm_mmu *mmu = &vm->mmu;
	TDP_ZAP(zap, mmu_notifier_range_blockable(range));
	struct hva_iter it;
	bool overlap;
	int idx;

	/* From here to the end the slots stay as they are, so both see the same overlap. */
	spin_lock(&mmu->invalidate_lock);
	mmu->invalidate_active++;
	spin_unlock(&mmu->invalidate_lock);

	idx = srcu_read_lock(&vm->srcu);
	it = hva_iter(vm_slots(vm), range->start, range->end);
	overlap = hva_next(&it);
	if (overlap) {
		write_lock(&mmu->lock);
		begin_invalidation(mmu, range->start, range->end);
		do {
			tdp_zap_range(vm, it.gfn, it.gfn_end, &zap);
		} while (hva_next(&it));
		write_unlock(&mmu->lock);
	}
	srcu_read_unlock(&vm->srcu, idx);
	if (overlap) {
		atomic64_inc(&vm->stats.invalidations);
		tdp_zap_finish(vm, &zap);
	}
	return 0;
}

static void invalidate_range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct vm *vm = notifier_vm(mn);
	struct vm_mmu *mmu = &vm->mmu;
	struct hva_iter it;
	bool wake;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	it = hva_iter(vm_slots(vm), range->start, range->end);
	if (hva_next(&it)) {
		write_lock(&mmu->lock);
		/* A fault that looked the page up during the invalidation sees one or the other. */
		WRITE_ONCE(mmu->invalidate_seq, mmu->invalidate_seq + 1);
		mmu->invalidate_in_progress--;
		write_unlock(&mmu->lock);
	}
	srcu_read_unlock(&vm->srcu, idx);

	spin_lock(&mmu->invalidate_lock);
	wake = !--mmu->invalidate_active;
	spin_unlock(&mmu->invalidate_lock);
	if (wake)
		wake_up(&mmu->invalidate_wait);
}

/**
 * mmu_publish_slots - make a snapshot of the slots the current one
 * @vm: the VM
 * @slots: the snapshot
 *
 * Waits for a moment when no invalidation is between its start and its end; else the end might look
 * at other slots than the start did, and the count of those in progress would go wrong.
 */
void mmu_publish_slots(struct vm *vm, struct slots *slots)
{
	struct vm_mmu *mmu = &vm->mmu;

	spin_lock(&mmu->invalidate_lock);
	wait_event_cmd(mmu->invalidate_wait, !mmu->invalidate_active,
		       spin_unlock(&mmu->invalidate_lock), spin_lock(&mmu->invalidate_lock));
	rcu_assign_pointer(vm->memory.slots, slots);
	spin_unlock(&mmu->invalidate_lock);
}

/* The process is going: no thread of it runs a vCPU, and its pages are freed without further notice. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	mmu_zap_gfns(notifier_vm(mn), 0, ~0ull);
}

/*
 * Accessed bits are cleared without a flush, as the host does in its own tables on x86: a
 * translation that stays in a TLB makes a page look older than it is, which costs at worst a fault.
 */
static bool age_leaves(struct vm *vm, u64 gfn, u64 end, bool clear)
{
	struct tdp_iter it = { .vm = vm, .gfn = gfn, .end = end };
	bool young = false;

	while (tdp_next_leaf(&it)) {
		if (!(it.old & tdp_format.accessed))
			continue;
		young = true;
		if (!clear)
			break;
		/* Lost against the CPU or a fault: the page is in use. */
		try_cmpxchg64(it.ep, &it.old, it.old & ~tdp_format.accessed);
	}
	return young;
}

static bool age_range(struct vm *vm, unsigned long start, unsigned long end, bool clear)
{
	struct hva_iter it;
	bool young = false;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	it = hva_iter(vm_slots(vm), start, end);
	read_lock(&vm->mmu.lock);
	while (hva_next(&it))
		young |= age_leaves(vm, it.gfn, it.gfn_end, clear);
	read_unlock(&vm->mmu.lock);
	srcu_read_unlock(&vm->srcu, idx);
	return young;
}

/* Without accessed bits, the way to learn about the next access is to take the mapping away. */
static bool zap_to_age(struct vm *vm, unsigned long start, unsigned long end)
{
	TDP_ZAP(zap, false);
	struct hva_iter it;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	it = hva_iter(vm_slots(vm), start, end);
	write_lock(&vm->mmu.lock);
	while (hva_next(&it))
		tdp_zap_range(vm, it.gfn, it.gfn_end, &zap);
	write_unlock(&vm->mmu.lock);
	srcu_read_unlock(&vm->srcu, idx);
	tdp_zap_finish(vm, &zap);
	return zap.changed;
}

static compat_young_t clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
					unsigned long start, unsigned long end)
{
	if (!tdp_format.accessed)
		return zap_to_age(notifier_vm(mn), start, end);
	return age_range(notifier_vm(mn), start, end, true);
}

static compat_young_t clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
				  unsigned long start, unsigned long end)
{
	return age_range(notifier_vm(mn), start, end, true);
}

static compat_young_t test_young(struct mmu_notifier *mn, struct mm_struct *mm,
				 unsigned long address)
{
	return age_range(notifier_vm(mn), address, address + PAGE_SIZE, false);
}

static const struct mmu_notifier_ops notifier_ops = {
	.release = release,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.invalidate_range_start = invalidate_range_start,
	.invalidate_range_end = invalidate_range_end,
};

int mmu_notifier_start(struct vm *vm)
{
	vm->mmu.notifier.ops = &notifier_ops;
	return mmu_notifier_register(&vm->mmu.notifier, vm->mm);
}

void mmu_notifier_stop(struct vm *vm)
{
	mmu_notifier_unregister(&vm->mmu.notifier, vm->mm);
}

/* See mmu.h. */
void mmu_zap_gfns(struct vm *vm, u64 start, u64 end)
{
	TDP_ZAP(zap, true);

	write_lock(&vm->mmu.lock);
	tdp_zap_range(vm, start, end, &zap);
	write_unlock(&vm->mmu.lock);
	tdp_zap_finish(vm, &zap);
}
