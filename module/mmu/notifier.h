/* SPDX-License-Identifier: GPL-2.0 */
/* The host's changes of guest memory. For mmu/ only. */
#ifndef NESTOR_NOTIFIER_H
#define NESTOR_NOTIFIER_H

#include "mmu/mmu.h"

int mmu_notifier_start(struct vm *vm);
void mmu_notifier_stop(struct vm *vm);

/**
 * mmu_invalidated - may a host page that was looked up at @seq no longer be mapped?
 * @seq: mmu_invalidate_seq() before the look-up
 *
 * Under mmu.lock, which the entry is then written under: an invalidation either is seen here, or
 * comes later and finds the entry.
 */
static inline bool mmu_invalidated(const struct vm_mmu *mmu, unsigned long seq, unsigned long hva)
{
	if (mmu->invalidate_in_progress && hva >= mmu->invalidate_start && hva < mmu->invalidate_end)
		return true;
	return mmu->invalidate_seq != seq;
}

static inline unsigned long mmu_invalidate_seq(const struct vm_mmu *mmu)
{
	unsigned long seq = READ_ONCE(mmu->invalidate_seq);

	/* Before the page tables of the host are read. */
	smp_rmb();
	return seq;
}

#endif
