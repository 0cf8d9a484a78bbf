// SPDX-License-Identifier: GPL-2.0
/*
 * The walk of L1's second-level tables, for faults of L2 and for accesses that are made for it.
 *
 * Every entry is read once. Accessed and dirty bits are set by compare-and-exchange on what was read, from the top to
 * the leaf, when the walk is known to succeed.
 */
#include "nested/nested.h"
#include "vm/ops.h"

/* Another vCPU of L1 may keep changing an entry. */
#define MAX_WALKS	64

static int read_entry(struct vcpu *vcpu, u64 gpa, u64 *entry, bool atomic)
{
	if (atomic)
		return vm_read_atomic(vcpu->vm, gpa, entry, sizeof(*entry));
	return vcpu_read_guest(vcpu, gpa, entry, sizeof(*entry));
}

static unsigned int entry_index(const struct nested_walk *w, int level)
{
	return w->gpa2 >> (PAGE_SHIFT + 9 * (level - 1)) & 511;
}

static u64 entry_gpa(const struct nested_walk *w, int level)
{
	return w->table[level] + entry_index(w, level) * sizeof(u64);
}

/* Bits of a gpa2 that no table translates. PAE's top table has four entries. */
static bool beyond_tables(const struct nested_walk *w, int levels)
{
	return w->gpa2 >> (levels == 3 ? 32 : PAGE_SHIFT + 9 * levels);
}

/* 0, or 1 when the entry changed meanwhile, or -EAGAIN. A table in ROM has its bits as they are. */
static int set_bits(struct vcpu *vcpu, struct nested_walk *w, int level, u64 bits, bool atomic)
{
	u64 old = w->entry[level], new = old | bits;
	int r;

	if (old == new)
		return 0;
	if (atomic && !vcpu->in_burst)
		return -EAGAIN;
	r = vcpu_cmpxchg_guest(vcpu, entry_gpa(w, level), &old, &new, sizeof(new));
	if (!r)
		w->entry[level] = new;
	return r == -EFAULT ? 0 : r;
}

/* The bits that the walk sets in the entry of a level. */
static u64 walk_bits(const struct nested_walk *w, const struct l1_entry *leaf, int level)
{
	return leaf->accessed | (level == w->level && w->access & L1_WRITE ? leaf->dirty : 0);
}

static bool bits_missing(const struct nested_walk *w, const struct l1_entry *leaf, int levels)
{
	int level;

	for (level = levels; level >= w->level; level--)
		if (walk_bits(w, leaf, level) & ~w->entry[level])
			return true;
	return false;
}

/*
 * SDM, Page-Modification Logging: before any bit is set there has to be room. The address is written before the dirty bit,
 * which L1 would else find without it, and counts when that bit was set: until then the next one takes its place.
 * -EFAULT with w->log_full, -EAGAIN or 0.
 */
static int write_log(struct vcpu *vcpu, struct nested_walk *w, bool dirty, bool atomic)
{
	const struct nested_log *log = &vcpu->nested.log;
	u64 page = w->gpa2 & PAGE_MASK;
	u16 index = *log->index;
	int r;

	w->log_full = index >= NESTED_LOG_ENTRIES;
	if (w->log_full)
		return -EFAULT;
	if (!dirty)
		return 0;
	if (atomic && !vcpu->in_burst)
		return -EAGAIN;
	r = vcpu_write_guest(vcpu, log->gpa + index * sizeof(page), &page, sizeof(page));
	/* Where no memory is nothing is kept. */
	return r == -EAGAIN ? r : 0;
}

static int set_accessed_dirty(struct vcpu *vcpu, struct nested_walk *w, const struct l1_entry *leaf, bool atomic)
{
	int level, levels = vcpu->nested.root->key.levels, r = 0;
	bool dirties = walk_bits(w, leaf, w->level) & leaf->dirty & ~w->entry[w->level];

	if (unlikely(vcpu->nested.log.index) && bits_missing(w, leaf, levels))
		r = write_log(vcpu, w, dirties, atomic);
	for (level = levels; level >= w->level && !r; level--)
		r = set_bits(vcpu, w, level, walk_bits(w, leaf, level), atomic);
	w->dirty = !leaf->dirty || w->entry[w->level] & leaf->dirty;
	if (unlikely(vcpu->nested.log.index) && !r && dirties && w->dirty)
		--*vcpu->nested.log.index;
	return r;
}

/* 0, -EFAULT, -EAGAIN, or 1: begin again. */
static int walk_once(struct vcpu *vcpu, struct nested_walk *w, bool atomic)
{
	const struct shadow_key *key = &vcpu->nested.root->key;
	struct l1_entry e;
	int r;

	w->rights = L1_ALL;
	w->bad = w->log_full = w->present = false;
	w->level = key->levels;
	w->table[w->level] = key->root;
	if (beyond_tables(w, key->levels)) {
		w->level = 0;
		return -EFAULT;
	}
	for (;;) {
		r = read_entry(vcpu, entry_gpa(w, w->level), &w->entry[w->level], atomic);
		if (r)
			return r;
		vendor->nested->decode(key, w->entry[w->level], w->level, &e);
		if (!e.present)
			return -EFAULT;
		w->bad = e.bad;
		if (e.bad)
			return -EFAULT;
		w->rights &= e.rights;
		if (e.leaf)
			break;
		w->level--;
		w->table[w->level] = e.gpa;
	}
	w->present = true;
	if (w->access & ~w->rights)
		return -EFAULT;
	w->gpa1 = e.gpa | (w->gpa2 & (BIT_ULL(PAGE_SHIFT + 9 * (w->level - 1)) - 1));
	return set_accessed_dirty(vcpu, w, &e, atomic);
}

int nested_walk(struct vcpu *vcpu, struct nested_walk *w, bool atomic)
{
	int i, r = 1;

	for (i = 0; i < MAX_WALKS && r > 0; i++)
		r = walk_once(vcpu, w, atomic || vcpu->in_burst);
	/* Lost every race: L2 accesses it again. */
	return r > 0 ? -EAGAIN : r;
}

int nested_translate(struct vcpu *vcpu, u64 gpa2, u8 access, const struct nested_linear *linear, bool atomic, u64 *gpa1)
{
	struct nested_walk *w = &vcpu->nested.failed;
	int r;

	w->gpa2 = gpa2;
	w->access = access;
	w->linear = *linear;
	r = nested_walk(vcpu, w, atomic);
	*gpa1 = w->gpa1;
	return r;
}
