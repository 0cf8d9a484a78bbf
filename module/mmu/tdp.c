// SPDX-License-Identifier: GPL-2.0
/*
 * Second-level tables, EPT and NPT by one walker. tdp.h has the locking rules.
 */
#include <linux/gfp.h>
#include <linux/sched.h>

#include "mmu/tdp.h"
#include "nested/nested.h"
#include "vm/vm.h"

struct tdp_format tdp_format;

/* Descend from the root to the deepest entry for @gfn. */
u64 *tdp_lookup(struct vm *vm, int space, u64 gfn, int *level)
{
	u64 *table = vm->mmu.roots[space].table, *ep, e;
	int l = vm->mmu.levels;

	for (;;) {
		ep = &table[tdp_index(gfn, l)];
		e = READ_ONCE(*ep);
		if (!tdp_present(e) || tdp_leaf(e, l))
			break;
		table = tdp_child(e);
		l--;
	}
	*level = l;
	return ep;
}

static void iter_found(struct tdp_iter *it, u64 *ep, u64 e, int level)
{
	it->ep = ep;
	it->old = e;
	it->level = level;
	it->leaf_gfn = it->gfn & ~(tdp_pages(level) - 1);
	it->gfn = tdp_next(it->gfn, level);
}

/**
 * tdp_next_leaf - find the next present leaf at or after it->gfn
 * @it: the iterator
 *
 * Starts from the root once for every lowest table, so nothing is remembered that a yield could
 * make stale; absent parts of the range are skipped at their level.
 */
bool tdp_next_leaf(struct tdp_iter *it)
{
	u64 *ep, e;
	int level;

	while (it->gfn < it->end) {
		ep = tdp_lookup(it->vm, it->space, it->gfn, &level);
		do {
			e = READ_ONCE(*ep);
			if (tdp_present(e)) {
				if (!tdp_leaf(e, level))
					break;
				iter_found(it, ep, e, level);
				return true;
			}
			it->gfn = tdp_next(it->gfn, level);
			ep++;
		} while (tdp_index(it->gfn, level) && it->gfn < it->end);
	}
	return false;
}

static void count_leaves(struct vm *vm, int level, long n)
{
	atomic64_t *const gauge[] = {
		&vm->stats.pages_4k, &vm->stats.pages_2m, &vm->stats.pages_1g,
	};

	atomic64_add(n, gauge[level - 1]);
}

/* Tables come from the vCPU's cache: bursts cannot allocate. */
static u64 *take_table(struct vcpu *vcpu)
{
	struct vcpu_mmu *mmu = &vcpu->mmu;

	return mmu->nr_cached ? mmu->table_cache[--mmu->nr_cached] : NULL;
}

/* @table is zeroed. */
static void put_table(struct vcpu *vcpu, u64 *table)
{
	vcpu->mmu.table_cache[vcpu->mmu.nr_cached++] = table;
}

static u64 table_entry(u64 *table)
{
	return __pa(table) | tdp_format.table | tdp_format.enc_mask;
}

static enum tdp_result link_table(struct vcpu *vcpu, u64 *ep, u64 old)
{
	u64 *table = take_table(vcpu);

	if (!table)
		return TDP_NO_TABLE;
	if (!try_cmpxchg64(ep, &old, table_entry(table))) {
		put_table(vcpu, table);
		return TDP_RACED;
	}
	atomic64_inc(&vcpu->vm->stats.table_pages);
	return TDP_DONE;
}

/* One of the smaller leaves that a leaf @e of @level is split into. */
static u64 split_entry(u64 e, int level, unsigned int i)
{
	e += (i * tdp_pages(level - 1)) << PAGE_SHIFT;
	if (level - 1 > 1)
		return e;
	/* Bit 7 of a 4 KiB leaf means something else in NPT. Only the size forbade execution. */
	return tdp_set_executable(e & ~tdp_format.large);
}

/*
 * Replace a large leaf by a table that maps the same. Nothing is taken away, so nothing needs a
 * flush: a CPU may use the old translation until somebody revokes it, which raises the generation.
 */
static enum tdp_result split_leaf(struct vcpu *vcpu, u64 *ep, u64 old, int level)
{
	struct vm *vm = vcpu->vm;
	u64 *table = take_table(vcpu);
	unsigned int i;

	if (!table)
		return TDP_NO_TABLE;
	for (i = 0; i < TDP_ENTRIES; i++)
		table[i] = split_entry(old, level, i);
	if (!try_cmpxchg64(ep, &old, table_entry(table))) {
		clear_page(table);
		put_table(vcpu, table);
		return TDP_RACED;
	}
	atomic64_inc(&vm->stats.table_pages);
	count_leaves(vm, level, -1);
	count_leaves(vm, level - 1, TDP_ENTRIES);
	atomic64_inc(&vm->stats.split_leaves);
	return TDP_DONE;
}

static enum tdp_result install_leaf(struct vm *vm, u64 *ep, int level, u64 leaf,
				    const struct fault *fault)
{
	u64 old = READ_ONCE(*ep), new = leaf;

	if (tdp_present(old)) {
		if (!tdp_leaf(old, level) || tdp_pfn(old) != tdp_pfn(leaf))
			return TDP_IN_THE_WAY;
		if (tdp_allows(old, fault))
			return TDP_DONE;
		/* Keep what others have granted, and the CPU's accessed and dirty bits. */
		new |= old;
		if (tdp_executable(old) || tdp_executable(leaf))
			new = tdp_set_executable(new);
	}
	if (!try_cmpxchg64(ep, &old, new))
		return TDP_RACED;
	if (!tdp_present(old))
		count_leaves(vm, level, 1);
	return TDP_DONE;
}

/**
 * tdp_map - map a frame
 * @vcpu: its cache of tables is used
 * @gfn: the frame
 * @level: size of the leaf
 * @leaf: the entry
 * @fault: the access that must get through
 *
 * Under mmu.lock for reading, in a burst or outside. A larger leaf on the way that lets the access
 * through is as good; one that does not is split.
 */
enum tdp_result tdp_map(struct vcpu *vcpu, u64 gfn, int level, u64 leaf, const struct fault *fault)
{
	struct vm *vm = vcpu->vm;
	u64 *table = vcpu_root(vcpu)->table, *ep, e;
	int l = vm->mmu.levels;
	enum tdp_result r;

	while (l > level) {
		ep = &table[tdp_index(gfn, l)];
		e = READ_ONCE(*ep);
		if (!tdp_present(e)) {
			r = link_table(vcpu, ep, e);
		} else if (tdp_leaf(e, l)) {
			if (tdp_allows(e, fault))
				return TDP_DONE;
			r = split_leaf(vcpu, ep, e, l);
		} else {
			table = tdp_child(e);
			l--;
			continue;
		}
		if (r != TDP_DONE)
			return r;
	}
	return install_leaf(vm, &table[tdp_index(gfn, l)], l, leaf, fault);
}

static void zap_leaf(struct vm *vm, u64 *ep, int level, struct tdp_zap *zap)
{
	/* The CPU may be setting bits in the entry. */
	xchg(ep, 0);
	zap->changed = true;
	count_leaves(vm, level, -1);
	atomic64_inc(&vm->stats.zapped_leaves);
}

/* Take a table out with everything below it; @level is that of its own entries. */
static void zap_table(u64 *ep, int level, struct tdp_zap *zap)
{
	struct page *page = virt_to_page(tdp_child(xchg(ep, 0)));

	set_page_private(page, level);
	list_add(&page->lru, &zap->tables);
	zap->changed = true;
}

/*
 * Zap what lies under one entry, or a run of 4 KiB leaves in one table; return the next frame. A
 * table that is covered whole is unlinked at once, whatever is below: 512 GiB in one step.
 */
static u64 zap_step(struct vm *vm, int space, u64 gfn, u64 end, struct tdp_zap *zap)
{
	u64 *table = vm->mmu.roots[space].table, *ep, e;
	int level = vm->mmu.levels;

	for (;; level--) {
		ep = &table[tdp_index(gfn, level)];
		e = READ_ONCE(*ep);
		if (level == 1)
			break;
		if (!tdp_present(e))
			return tdp_next(gfn, level);
		if (tdp_leaf(e, level)) {
			zap_leaf(vm, ep, level, zap);
			return tdp_next(gfn, level);
		}
		if (!(gfn & (tdp_pages(level) - 1)) && tdp_next(gfn, level) <= end) {
			zap_table(ep, level - 1, zap);
			return tdp_next(gfn, level);
		}
		table = tdp_child(e);
	}
	do {
		if (tdp_present(READ_ONCE(*ep)))
			zap_leaf(vm, ep, 1, zap);
		ep++;
		gfn++;
	} while (gfn < end && tdp_index(gfn, 1));
	return gfn;
}

void tdp_zap_range(struct vm *vm, int space, u64 start, u64 end, struct tdp_zap *zap)
{
	end = min(end, tdp_pages(vm->mmu.levels + 1));
	if (shadow_used(vm) && start < end)
		zap->changed |= shadow_zap(vm, start, end);
	while (start < end) {
		start = zap_step(vm, space, start, end, zap);
		if (!zap->may_yield || start >= end)
			continue;
		if (need_resched() || rwlock_needbreak(&vm->mmu.lock)) {
			/* Whoever finds entries gone relies on the generation. */
			if (zap->changed)
				mmu_tlb_raise(vm);
			cond_resched_rwlock_write(&vm->mmu.lock);
		}
	}
	if (zap->changed)
		mmu_tlb_raise(vm);
}

/* Free a table, of which nobody knows, and what is below; recursion is as deep as the levels. */
static void free_table(struct vm *vm, u64 *table, int level, bool may_sleep)
{
	unsigned int i, leaves = 0;

	for (i = 0; i < TDP_ENTRIES; i++) {
		u64 e = table[i];

		if (!tdp_present(e))
			continue;
		if (tdp_leaf(e, level))
			leaves++;
		else
			free_table(vm, tdp_child(e), level - 1, may_sleep);
	}
	if (leaves) {
		count_leaves(vm, level, -(long)leaves);
		atomic64_add(leaves, &vm->stats.zapped_leaves);
	}
	atomic64_dec(&vm->stats.table_pages);
	free_page((unsigned long)table);
	if (may_sleep)
		cond_resched();
}

/**
 * tdp_zap_finish - make a zap effective in all TLBs and free unlinked tables
 * @vm: the VM
 * @zap: what was zapped
 *
 * Also when this zap found nothing: what somebody else has removed may not be flushed yet.
 */
void tdp_zap_finish(struct vm *vm, struct tdp_zap *zap)
{
	struct page *page, *next;

	mmu_tlb_sync(vm);
	list_for_each_entry_safe(page, next, &zap->tables, lru) {
		list_del(&page->lru);
		free_table(vm, page_address(page), page_private(page), zap->may_yield);
	}
}

void tdp_free_all(struct vm *vm, int space)
{
	struct tdp_root *root = &vm->mmu.roots[space];

	if (root->table)
		free_table(vm, root->table, vm->mmu.levels, true);
	root->table = NULL;
}
