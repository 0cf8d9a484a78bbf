/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Second-level tables: entries and walks. For mmu/ only.
 *
 * Locking: whoever walks holds mmu.lock. For reading, entries change by compare-and-exchange and only
 * towards more: absent to table or leaf, read-only to writable, one large leaf to the same mapping in
 * smaller leaves. For writing, everything may go. Tables are unlinked under the lock for writing and
 * freed after mmu_tlb_sync(), so neither a walk nor a CPU can be in them; no RCU is needed.
 * The CPU sets accessed and dirty bits at any time: entries are never stored to plainly.
 */
#ifndef NESTOR_TDP_H
#define NESTOR_TDP_H

#include <linux/bits.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mm.h>

#include "mmu/mmu.h"

#define TDP_LEVEL_BITS		9
#define TDP_ENTRIES		BIT(TDP_LEVEL_BITS)
#define TDP_ADDRESS		GENMASK_ULL(51, PAGE_SHIFT)

/* Ignored by the CPU in leaves of EPT and NPT: the host's mapping allows writes. */
#define TDP_HOST_WRITABLE	BIT_ULL(52)

/* Pages under one entry of a table of @level; level 1 holds 4 KiB leaves. */
static inline u64 tdp_pages(int level)
{
	return 1ull << (TDP_LEVEL_BITS * (level - 1));
}

static inline unsigned int tdp_index(u64 gfn, int level)
{
	return (gfn >> (TDP_LEVEL_BITS * (level - 1))) & (TDP_ENTRIES - 1);
}

/* The first frame after the entry of @level that has @gfn. */
static inline u64 tdp_next(u64 gfn, int level)
{
	return (gfn | (tdp_pages(level) - 1)) + 1;
}

static inline bool tdp_present(u64 e)
{
	return e & tdp_format.present;
}

static inline bool tdp_leaf(u64 e, int level)
{
	return level == 1 || e & tdp_format.large;
}

static inline u64 tdp_pfn(u64 e)
{
	return (e & TDP_ADDRESS & ~tdp_format.enc_mask) >> PAGE_SHIFT;
}

static inline u64 *tdp_child(u64 e)
{
	return __va(tdp_pfn(e) << PAGE_SHIFT);
}

static inline bool tdp_executable(u64 e)
{
	return tdp_format.exec ? e & tdp_format.exec : !(e & tdp_format.noexec);
}

static inline u64 tdp_set_executable(u64 e)
{
	return (e | tdp_format.exec) & ~tdp_format.noexec;
}

/* Does a present leaf let this access through? */
static inline bool tdp_allows(u64 e, const struct fault *fault)
{
	if (fault->write && !(e & tdp_format.write))
		return false;
	return !fault->exec || tdp_executable(e);
}

/**
 * struct tdp_iter - the present leaves of a range of frames, in order
 * @space: address space
 * @gfn: next frame to look at; @leaf_gfn is the first frame of the leaf found
 *
 * Under mmu.lock, which may be released and taken again between two steps.
 */
struct tdp_iter {
	struct vm *vm;
	int space;
	u64 gfn, end;
	u64 leaf_gfn;
	int level;
	u64 *ep;
	u64 old;
};

bool tdp_next_leaf(struct tdp_iter *it);

/* The deepest entry for @gfn: a leaf, or an entry that is not present. Under mmu.lock. */
u64 *tdp_lookup(struct vm *vm, int space, u64 gfn, int *level);

enum tdp_result {
	TDP_DONE,	/* mapped, by this call or by somebody faster */
	TDP_RACED,	/* an entry changed underway: fault again */
	TDP_NO_TABLE,	/* the vCPU's cache of tables is empty */
	TDP_IN_THE_WAY,	/* there is a table where a leaf shall be, or another page: zap first */
};

/* In the vCPU's address space: map @gfn by @leaf, an entry of @level complete but for the address alignment of its size. */
enum tdp_result tdp_map(struct vcpu *vcpu, u64 gfn, int level, u64 leaf, const struct fault *fault);

/**
 * struct tdp_zap - what a zap has removed and not yet given back
 * @tables: unlinked subtrees, page->private is the level of the top table
 * @may_yield: mmu.lock may be released in between
 * @changed: something was removed
 */
struct tdp_zap {
	struct list_head tables;
	bool may_yield;
	bool changed;
};

#define TDP_ZAP(name, yield) \
	struct tdp_zap name = { LIST_HEAD_INIT(name.tables), .may_yield = (yield) }

/* Under mmu.lock for writing; then, without it, tdp_zap_finish(). A leaf at an edge goes as a whole. */
void tdp_zap_range(struct vm *vm, int space, u64 start, u64 end, struct tdp_zap *zap);
void tdp_zap_finish(struct vm *vm, struct tdp_zap *zap);

/* All tables, after the last user is gone. */
void tdp_free_all(struct vm *vm, int space);

/* Module parameter: large leaves are not executable (iTLB multihit erratum). */
bool tdp_large_noexec(const struct vm *vm);

#endif
