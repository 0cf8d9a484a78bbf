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
#include "nested/nested.h"
#include "vm/slots.h"

static struct vm *notifier_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct vm, mmu.notifier);
}

static void set_range(struct hva_range *r, unsigned long start, unsigned long end)
{
	WRITE_ONCE(r->start, start);
	WRITE_ONCE(r->end, end);
}

/* A place that holds these values; 0, 0 for a free one. Under invalidate_lock. */
static struct hva_range *find_range(struct vm_mmu *mmu, unsigned long start, unsigned long end)
{
	struct hva_range *r = mmu->invalidating;
	int i;

	for (i = 0; i < MMU_INVALIDATIONS; i++, r++)
		if (r->start == start && r->end == end)
			return r;
	return NULL;
}

/*
 * What goes on at the same time is mostly little, and is kept range by range: one hull around a page
 * of the VMM's heap and a page of guest memory would stop the faults of all that lies between.
 */
static void begin_invalidation(struct vm_mmu *mmu, unsigned long start, unsigned long end)
{
	struct hva_range *r;

	spin_lock(&mmu->invalidate_lock);
	r = find_range(mmu, 0, 0);
	if (!r) {
		r = &mmu->invalidating[MMU_INVALIDATIONS];
		if (mmu->invalidate_overflow++) {
			start = min(r->start, start);
			end = max(r->end, end);
		}
	}
	set_range(r, start, end);
	WRITE_ONCE(mmu->invalidate_in_progress, mmu->invalidate_in_progress + 1);
	spin_unlock(&mmu->invalidate_lock);
	/* Before the slots are read; pairs with their publication. See mmu_invalidated(). */
	smp_mb();
}

static void end_invalidation(struct vm_mmu *mmu, unsigned long start, unsigned long end,
			     bool overlap)
{
	struct hva_range *r;

	spin_lock(&mmu->invalidate_lock);
	if (overlap)
		WRITE_ONCE(mmu->invalidate_seq, mmu->invalidate_seq + 1);
	/* Whoever no longer sees it in progress sees the count. */
	smp_wmb();
	r = find_range(mmu, start, end);
	if (r)
		set_range(r, 0, 0);
	else if (!--mmu->invalidate_overflow)
		set_range(&mmu->invalidating[MMU_INVALIDATIONS], 0, 0);
	WRITE_ONCE(mmu->invalidate_in_progress, mmu->invalidate_in_progress - 1);
	spin_unlock(&mmu->invalidate_lock);
	if (wq_has_sleeper(&mmu->invalidate_wait))
		wake_up_all(&mmu->invalidate_wait);
}

/* The longest that a vCPU does not look whether somebody wants something of it. */
#define INVALIDATION_WAIT	msecs_to_jiffies(10)

/*
 * Sleep until no invalidation of a page is in progress. The vCPU could as well fault until then, but
 * on the CPU that the one who invalidates may be waiting for.
 */
void mmu_wait_invalidation(struct vm_mmu *mmu, unsigned long hva)
{
	wait_event_interruptible_timeout(mmu->invalidate_wait, !mmu_invalidating(mmu, hva),
					 INVALIDATION_WAIT);
}

/* Zap what any address space has of the range. True: something of it is in a slot. Under SRCU. */
static bool zap_hva_range(struct vm *vm, unsigned long start, unsigned long end, struct tdp_zap *zap)
{
	bool overlap = false;
	struct hva_iter it;
	int space;

	for (space = 0; space < NESTOR_ADDRESS_SPACES; space++) {
		it = hva_iter(vm_slots(vm, space), start, end);
		if (!hva_next(&it))
			continue;
		overlap = true;
		write_lock(&vm->mmu.lock);
		do {
			tdp_zap_range(vm, space, it.gfn, it.gfn_end, zap);
		} while (hva_next(&it));
		write_unlock(&vm->mmu.lock);
	}
	return overlap;
}

static int invalidate_range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct vm *vm = notifier_vm(mn);
	TDP_ZAP(zap, mmu_notifier_range_blockable(range));
	bool overlap;
	int idx;

	begin_invalidation(&vm->mmu, range->start, range->end);

	idx = srcu_read_lock(&vm->srcu);
	overlap = zap_hva_range(vm, range->start, range->end, &zap);
	srcu_read_unlock(&vm->srcu, idx);
	if (overlap) {
		atomic64_inc(&vm->stats.invalidations);
		tdp_zap_finish(vm, &zap);
	}
	return 0;
}

static bool in_any_slot(struct vm *vm, unsigned long start, unsigned long end)
{
	struct hva_iter it;
	int space;

	for (space = 0; space < NESTOR_ADDRESS_SPACES; space++) {
		it = hva_iter(vm_slots(vm, space), start, end);
		if (hva_next(&it))
			return true;
	}
	return false;
}

/* Memory that is in no slot does not disturb faults, nor take mmu.lock. */
static void invalidate_range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct vm *vm = notifier_vm(mn);
	bool overlap;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	overlap = in_any_slot(vm, range->start, range->end);
	srcu_read_unlock(&vm->srcu, idx);
	end_invalidation(&vm->mmu, range->start, range->end, overlap);
}

/* The process is going: no thread of it runs a vCPU, and its pages are freed without further notice. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	int space;

	for (space = 0; space < NESTOR_ADDRESS_SPACES; space++)
		mmu_zap_gfns(notifier_vm(mn), space, 0, ~0ull);
}

/*
 * Accessed bits are cleared without a flush, as the host does in its own tables on x86: a
 * translation that stays in a TLB makes a page look older than it is, which costs at worst a fault.
 */
static bool age_leaves(struct vm *vm, int space, u64 gfn, u64 end, bool clear)
{
	struct tdp_iter it = { .vm = vm, .space = space, .gfn = gfn, .end = end };
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

/* Those that map it for an L2, which a thread that reads may be making. Under SRCU. */
static bool age_shadows(struct vm *vm, struct hva_iter it, bool clear)
{
	bool young = false;

	write_lock(&vm->mmu.lock);
	while (hva_next(&it))
		young |= shadow_age(vm, it.gfn, it.gfn_end, clear);
	write_unlock(&vm->mmu.lock);
	return young;
}

static bool age_range(struct vm *vm, unsigned long start, unsigned long end, bool clear)
{
	struct hva_iter it;
	bool young = false;
	int idx, space;

	idx = srcu_read_lock(&vm->srcu);
	read_lock(&vm->mmu.lock);
	for (space = 0; space < NESTOR_ADDRESS_SPACES; space++) {
		it = hva_iter(vm_slots(vm, space), start, end);
		while (hva_next(&it))
			young |= age_leaves(vm, space, it.gfn, it.gfn_end, clear);
	}
	read_unlock(&vm->mmu.lock);
	for (space = 0; shadow_used(vm) && space < NESTOR_ADDRESS_SPACES; space++)
		young |= age_shadows(vm, hva_iter(vm_slots(vm, space), start, end), clear);
	srcu_read_unlock(&vm->srcu, idx);
	return young;
}

/* Without accessed bits, the way to learn about the next access is to take the mapping away. */
static bool zap_to_age(struct vm *vm, unsigned long start, unsigned long end)
{
	TDP_ZAP(zap, false);
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	zap_hva_range(vm, start, end, &zap);
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
void mmu_zap_gfns(struct vm *vm, int space, u64 start, u64 end)
{
	TDP_ZAP(zap, true);

	write_lock(&vm->mmu.lock);
	tdp_zap_range(vm, space, start, end, &zap);
	write_unlock(&vm->mmu.lock);
	tdp_zap_finish(vm, &zap);
}
