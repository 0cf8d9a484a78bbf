/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadow tables: what L1 wrote, in the format of this CPU, and with host memory where L1's tables say gpa1. For nested/
 * and mmu/ only.
 *
 * They are the vCPU's own: only its thread adds to them, under mmu.lock for reading, and leaves of them go under
 * mmu.lock for writing, when the memory that they map does. Links between tables are its thread's alone.
 *
 * A flush by L1 unlinks tables and keeps them, with the entries of L1's that they were made from: the fault that links
 * one again compares these with L1's memory and drops what has changed. So a flush costs one exit for each table, not
 * for each leaf, and a guest hypervisor that flushes all the time (upstream's flushes whole ASIDs for everything) is not
 * punished with an empty table.
 */
#ifndef NESTOR_SHADOW_H
#define NESTOR_SHADOW_H

#include <linux/hashtable.h>

#include "mmu/tdp.h"
#include "nested/nested.h"

#define SHADOW_MAX_ROOTS	16	/* of a vCPU */
#define SHADOW_MAX_TABLES	8192	/* of a vCPU: 8 GiB of L2's memory in 4 KiB pages, several times */
#define SHADOW_CACHED		4	/* tables that one fault may take */

/* shadow_table.source of a table that splits a larger leaf of L1's, or that lies above L1's top table. */
#define SHADOW_NO_SOURCE	(~0ull)

/**
 * struct shadow_leaf - a present leaf, found by the frame of L1's that it maps
 * @node: in vcpu_shadow.by_frame; unhashed when the entry is no leaf
 * @gfn1: the first frame
 * @index: of the entry, and of this in shadow_table.leaf
 */
struct shadow_leaf {
	struct hlist_node node;
	u64 gfn1 : 48;
	u64 index : 16;
};

/**
 * struct shadow_table - a table of a root
 * @entries: the page that the CPU reads
 * @copy: the entries of L1's that @entries were made from; of a split leaf, @copy[0] is that leaf
 * @source: gpa1 of L1's table, or SHADOW_NO_SOURCE
 * @gfn2: the first frame of L2's that it translates
 * @parent, @index: the entry that links it; NULL: none
 * @by_place: in vcpu_shadow.by_place, by root, level and @gfn2
 * @all: in vcpu_shadow.tables
 * @linked: in shadow_root.linked, while @parent
 */
struct shadow_table {
	u64 *entries;
	u64 *copy;
	struct shadow_root *root;
	u64 source;
	u64 gfn2;
	int level;
	unsigned int index;
	struct shadow_table *parent;
	struct hlist_node by_place;
	struct list_head all;
	struct list_head linked;
	struct shadow_leaf leaf[TDP_ENTRIES];
};

struct vcpu_shadow {
	struct list_head roots;		/* the one used last is first */
	unsigned int nr_roots;
	struct list_head tables;
	unsigned int nr_tables;
	unsigned long nr_leaves;
	DECLARE_HASHTABLE(by_place, 10);
	DECLARE_HASHTABLE(by_frame, 13);
	struct shadow_table *cache[SHADOW_CACHED];
	int nr_cached;
};

static inline u64 shadow_frame_key(u64 gfn1, int level)
{
	return gfn1 << 3 | level;
}

static inline bool shadow_is_leaf(const struct shadow_table *t, unsigned int i)
{
	return !hlist_unhashed(&t->leaf[i].node);
}

/* Under mmu.lock for reading by the vCPU's own thread, or for writing. */
void shadow_drop_leaf(struct vcpu *vcpu, struct shadow_table *t, unsigned int i);

int shadow_topup(struct vcpu *vcpu);

/* Map w->gpa2 by a leaf of @level, complete but for L1's rights. Under mmu.lock for reading. */
enum tdp_result shadow_map(struct vcpu *vcpu, const struct nested_walk *w, int level, u64 leaf);

#endif
