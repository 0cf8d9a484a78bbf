/* SPDX-License-Identifier: GPL-2.0 */
/* The host's changes of guest memory. For mmu/ only. */
#ifndef NESTOR_NOTIFIER_H
#define NESTOR_NOTIFIER_H

#include "mmu/mmu.h"

int mmu_notifier_start(struct vm *vm);
void mmu_notifier_stop(struct vm *vm);

/**
 * mmu_invalidating - is an invalidation of a host page in progress?
 * @mmu: the VM's
 * @hva: the page's address
 *
 * Under mmu.lock and with the slot found. When it is not, the host's page tables may be relied on while
 * the lock is held: an invalidation that begins now waits for it before the host changes anything.
 */
static inline bool mmu_invalidating(const struct vm_mmu *mmu, unsigned long hva)
{
	const struct hva_range *r;

	if (likely(!READ_ONCE(mmu->invalidate_in_progress)))
		return false;
	for (r = mmu->invalidating; r <= &mmu->invalidating[MMU_INVALIDATIONS]; r++)
		if (hva >= READ_ONCE(r->start) && hva < READ_ONCE(r->end))
			return true;
	return false;
}

void mmu_wait_invalidation(struct vm_mmu *mmu, unsigned long hva);

/**
 * mmu_invalidated - may a host page that was looked up at @seq no longer be mapped?
 * @mmu: the VM's
 * @seq: mmu_invalidate_seq() before the look-up, but after the slot was found
 * @hva: its address
 *
 * Under mmu.lock, which the entry is then written under. An invalidation of the page is seen here in
 * progress; or it has ended and raised the count; or it has yet to zap, and finds the entry. When it
 * began before the slot was there and so has nothing to zap, its beginning was made visible before
 * it looked for slots, and whoever sees the slot sees it too. So slots may change at any time: they
 * need not, as in upstream, wait for a moment without invalidations, which may be long in coming.
 *
 * Ranges are read while they change. One that is being written has its zap to come; one that is being
 * removed has raised the count before.
 */
static inline bool mmu_invalidated(const struct vm_mmu *mmu, unsigned long seq, unsigned long hva)
{
	if (mmu_invalidating(mmu, hva))
		return true;
	smp_rmb();
	return READ_ONCE(mmu->invalidate_seq) != seq;
}

/* Under SRCU or not, with the slot found. */
static inline unsigned long mmu_invalidate_seq(const struct vm_mmu *mmu)
{
	unsigned long seq = READ_ONCE(mmu->invalidate_seq);

	/* Before the page tables of the host are read. */
	smp_rmb();
	return seq;
}

#endif
