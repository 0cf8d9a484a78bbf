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

static int set_accessed_dirty(struct vcpu *vcpu, struct nested_walk *w, const struct l1_entry *leaf, bool atomic)
{
	u64 bits;
	int level, r = 0;

	for (level = vcpu->nested.root->key.levels; level >= w->level && !r; level--) {
		bits = leaf->accessed;
		if (level == w->level && w->access & L1_WRITE)
			bits |= leaf->dirty;
		r = set_bits(vcpu, w, level, bits, atomic);
	}
	w->dirty = !leaf->dirty || w->entry[w->level] & leaf->dirty;
	return r;
}

/* 0, -EFAULT, -EAGAIN, or 1: begin again. */
static int walk_once(struct vcpu *vcpu, struct nested_walk *w, bool atomic)
{
	const struct shadow_key *key = &vcpu->nested.root->key;
	struct l1_entry e;
	int r;

	w->rights = L1_ALL;
	w->bad = w->present = false;
	w->level = key->levels;
	w->table[w->level] = key->root;
	if (beyond_tables(w, key->levels))
		return -EFAULT;
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

int nested_translate(struct vcpu *vcpu, u64 gpa2, u8 access, bool in_walk, bool atomic, u64 *gpa1)
{
	struct nested_walk *w = &vcpu->nested.failed;
	int r;

	w->gpa2 = gpa2;
	w->access = access;
	w->in_walk = in_walk;
	r = nested_walk(vcpu, w, atomic);
	*gpa1 = w->gpa1;
	return r;
}
