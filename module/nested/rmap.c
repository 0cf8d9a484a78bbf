// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to L1's memory reaches the leaves of shadow tables that map it: notifiers, slots, the dirty log.
 *
 * A leaf that goes is made again, from L1's tables and the host's, by the fault that follows.
 */
#include "nested/shadow.h"
#include "vm/vm.h"

/* Whether the leaf was of interest. */
typedef bool (*leaf_fn)(struct vcpu *vcpu, struct shadow_table *t, unsigned int i);

static struct shadow_table *table_of(struct shadow_leaf *leaf)
{
	return container_of(leaf - leaf->index, struct shadow_table, leaf[0]);
}

static bool drop(struct vcpu *vcpu, struct shadow_table *t, unsigned int i)
{
	shadow_drop_leaf(vcpu, t, i);
	return true;
}

/* Reads go on. The CPU may set bits meanwhile. */
static bool protect(struct vcpu *vcpu, struct shadow_table *t, unsigned int i)
{
	u64 e = READ_ONCE(t->entries[i]);

	while (e & tdp_format.write) {
		if (try_cmpxchg64(&t->entries[i], &e, e & ~tdp_format.write))
			return true;
	}
	return false;
}

static bool is_young(struct vcpu *vcpu, struct shadow_table *t, unsigned int i)
{
	return READ_ONCE(t->entries[i]) & tdp_format.accessed;
}

/* Lost against the CPU: the page is in use. */
static bool make_old(struct vcpu *vcpu, struct shadow_table *t, unsigned int i)
{
	u64 e = READ_ONCE(t->entries[i]);

	if (!(e & tdp_format.accessed))
		return false;
	try_cmpxchg64(&t->entries[i], &e, e & ~tdp_format.accessed);
	return true;
}

static bool for_leaves_of_frame(struct vcpu *vcpu, u64 gfn1, int level, leaf_fn fn)
{
	struct vcpu_shadow *s = vcpu->nested.shadow;
	struct shadow_leaf *leaf;
	struct shadow_table *t;
	struct hlist_node *next;
	bool any = false;

	hash_for_each_possible_safe(s->by_frame, leaf, next, node, shadow_frame_key(gfn1, level)) {
		t = table_of(leaf);
		if (leaf->gfn1 == gfn1 && t->level == level)
			any |= fn(vcpu, t, leaf->index);
	}
	return any;
}

/* There are fewer leaves than frames in the range. */
static bool for_all_leaves(struct vcpu *vcpu, u64 start, u64 end, leaf_fn fn)
{
	struct vcpu_shadow *s = vcpu->nested.shadow;
	struct shadow_leaf *leaf;
	struct shadow_table *t;
	struct hlist_node *next;
	bool any = false;
	int bucket;

	hash_for_each_safe(s->by_frame, bucket, next, leaf, node) {
		t = table_of(leaf);
		if (leaf->gfn1 < end && leaf->gfn1 + tdp_pages(t->level) > start)
			any |= fn(vcpu, t, leaf->index);
	}
	return any;
}

static bool for_leaves_of_vcpu(struct vcpu *vcpu, u64 start, u64 end, leaf_fn fn)
{
	struct vcpu_shadow *s = vcpu->nested.shadow;
	bool any = false;
	int level;
	u64 gfn;

	if (!s || !s->nr_leaves)
		return false;
	if (end - start > s->nr_leaves)
		return for_all_leaves(vcpu, start, end, fn);
	for (level = 1; level <= 3; level++)
		for (gfn = start & ~(tdp_pages(level) - 1); gfn < end; gfn += tdp_pages(level))
			any |= for_leaves_of_frame(vcpu, gfn, level, fn);
	return any;
}

static bool for_leaves(struct vm *vm, u64 start, u64 end, leaf_fn fn)
{
	struct vcpu *vcpu;
	bool any = false;
	int i;

	vm_for_each_vcpu(i, vcpu, vm)
		any |= for_leaves_of_vcpu(vcpu, start, end, fn);
	return any;
}

bool shadow_zap(struct vm *vm, u64 start, u64 end)
{
	lockdep_assert_held_write(&vm->mmu.lock);
	return for_leaves(vm, start, end, drop);
}

bool shadow_protect(struct vm *vm, u64 start, u64 end)
{
	lockdep_assert_held_write(&vm->mmu.lock);
	return for_leaves(vm, start, end, protect);
}

/* The vCPU's own thread may be adding leaves under the lock for reading. */
bool shadow_age(struct vm *vm, u64 start, u64 end, bool clear)
{
	lockdep_assert_held_write(&vm->mmu.lock);
	return for_leaves(vm, start, end, clear ? make_old : is_young);
}
