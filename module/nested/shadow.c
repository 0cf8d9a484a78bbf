// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow tables: roots, links and leaves. shadow.h has the rules.
 */
#include <linux/gfp.h>
#include <linux/hash.h>
#include <linux/slab.h>

#include "nested/shadow.h"
#include "vm/ops.h"

static u64 place_key(const struct shadow_root *root, int level, u64 gfn2)
{
	return gfn2 << 3 ^ level ^ (unsigned long)root;
}

static struct shadow_table *child_of(u64 entry)
{
	return (struct shadow_table *)page_private(virt_to_page(tdp_child(entry)));
}

static void free_table(struct shadow_table *t)
{
	if (t->entries)
		set_page_private(virt_to_page(t->entries), 0);
	free_page((unsigned long)t->entries);
	free_page((unsigned long)t->copy);
	kvfree(t);
}

static struct shadow_table *alloc_table(void)
{
	struct shadow_table *t = kvzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);

	if (!t)
		return NULL;
	t->entries = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	t->copy = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!t->entries || !t->copy) {
		free_table(t);
		return NULL;
	}
	set_page_private(virt_to_page(t->entries), (unsigned long)t);
	INIT_LIST_HEAD(&t->linked);
	return t;
}

void shadow_drop_leaf(struct vcpu *vcpu, struct shadow_table *t, unsigned int i)
{
	/* The CPU may be setting bits in the entry. */
	xchg(&t->entries[i], 0);
	hash_del(&t->leaf[i].node);
	vcpu->nested.shadow->nr_leaves--;
}

static void unlink_table(struct shadow_table *t)
{
	xchg(&t->parent->entries[t->index], 0);
	t->parent = NULL;
	list_del_init(&t->linked);
}

/* Nothing that was below a table can be reached when it is not itself: links stay with the table that has them. */
static void clear_table(struct vcpu *vcpu, struct shadow_table *t)
{
	unsigned int i;

	for (i = 0; i < TDP_ENTRIES; i++) {
		if (shadow_is_leaf(t, i))
			shadow_drop_leaf(vcpu, t, i);
		else if (t->entries[i])
			unlink_table(child_of(t->entries[i]));
	}
}

static struct shadow_table *find_table(struct vcpu_shadow *s, const struct shadow_root *root, int level, u64 gfn2)
{
	struct shadow_table *t;

	hash_for_each_possible(s->by_place, t, by_place, place_key(root, level, gfn2))
		if (t->root == root && t->level == level && t->gfn2 == gfn2)
			return t;
	return NULL;
}

/* A table of the cache becomes one of the root's. The list of tables is read by others under mmu.lock for writing. */
static struct shadow_table *take_table(struct vcpu_shadow *s, struct shadow_root *root, int level, u64 gfn2)
{
	struct shadow_table *t;

	if (!s->nr_cached)
		return NULL;
	t = s->cache[--s->nr_cached];
	t->root = root;
	t->level = level;
	t->gfn2 = gfn2;
	t->source = SHADOW_NO_SOURCE;
	hash_add(s->by_place, &t->by_place, place_key(root, level, gfn2));
	list_add(&t->all, &s->tables);
	s->nr_tables++;
	return t;
}

/* Under mmu.lock for writing; the caller frees the table. */
static void remove_table(struct vcpu *vcpu, struct shadow_table *t)
{
	clear_table(vcpu, t);
	if (t->parent)
		unlink_table(t);
	hash_del(&t->by_place);
	list_del(&t->all);
	vcpu->nested.shadow->nr_tables--;
}

/* All tables of a root but @keep, which may be NULL. */
static void free_tables(struct vcpu *vcpu, const struct shadow_root *root, const struct shadow_table *keep)
{
	struct shadow_table *t, *next;
	LIST_HEAD(gone);

	write_lock(&vcpu->vm->mmu.lock);
	list_for_each_entry_safe(t, next, &vcpu->nested.shadow->tables, all) {
		if (t->root != root || t == keep)
			continue;
		remove_table(vcpu, t);
		list_add(&t->all, &gone);
	}
	write_unlock(&vcpu->vm->mmu.lock);
	list_for_each_entry_safe(t, next, &gone, all)
		free_table(t);
}

static void remove_root(struct vcpu *vcpu, struct shadow_root *root)
{
	free_tables(vcpu, root, NULL);
	list_del(&root->link);
	vcpu->nested.shadow->nr_roots--;
	kfree(root);
}

static struct shadow_root *last_root(struct vcpu *vcpu)
{
	struct shadow_root *root;

	list_for_each_entry_reverse(root, &vcpu->nested.shadow->roots, link)
		if (root != vcpu->nested.root)
			return root;
	return NULL;
}

static bool make_shadow(struct vcpu *vcpu)
{
	struct vcpu_shadow *s;

	if (vcpu->nested.shadow)
		return true;
	s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return false;
	INIT_LIST_HEAD(&s->roots);
	INIT_LIST_HEAD(&s->tables);
	/* Whoever zaps looks from now on. */
	write_lock(&vcpu->vm->mmu.lock);
	vcpu->nested.shadow = s;
	vcpu->vm->mmu.nr_shadows++;
	write_unlock(&vcpu->vm->mmu.lock);
	return true;
}

/**
 * shadow_topup - tables for the next fault
 * @vcpu: the vCPU
 *
 * May sleep. 0 or -ENOMEM. A vCPU that has more tables than it may have loses those of the roots that it does not use,
 * or, if these are not what takes the space, its own.
 */
int shadow_topup(struct vcpu *vcpu)
{
	struct vcpu_shadow *s = vcpu->nested.shadow;
	struct shadow_root *root;

	while (s->nr_cached < SHADOW_CACHED) {
		s->cache[s->nr_cached] = alloc_table();
		if (!s->cache[s->nr_cached])
			return -ENOMEM;
		s->nr_cached++;
	}
	while (s->nr_tables > SHADOW_MAX_TABLES) {
		root = last_root(vcpu);
		if (!root) {
			vcpu->nested.root->flush = true;
			free_tables(vcpu, vcpu->nested.root, vcpu->nested.root->table);
			break;
		}
		remove_root(vcpu, root);
	}
	return 0;
}

static bool same_key(const struct shadow_key *a, const struct shadow_key *b)
{
	return a->root == b->root && a->tag == b->tag && a->mode == b->mode && a->levels == b->levels;
}

static struct shadow_root *make_root(struct vcpu *vcpu, const struct shadow_key *key)
{
	struct shadow_root *root;
	struct vcpu_shadow *s;

	if (!make_shadow(vcpu) || shadow_topup(vcpu))
		return NULL;
	s = vcpu->nested.shadow;
	root = kzalloc(sizeof(*root), GFP_KERNEL_ACCOUNT);
	if (!root)
		return NULL;
	if (s->nr_roots >= SHADOW_MAX_ROOTS)
		remove_root(vcpu, last_root(vcpu));
	root->key = *key;
	root->asid_cpu = root->tlb_cpu = -1;
	INIT_LIST_HEAD(&root->linked);
	if (key->levels) {
		write_lock(&vcpu->vm->mmu.lock);
		root->table = take_table(s, root, tdp_format.levels, 0);
		write_unlock(&vcpu->vm->mmu.lock);
	}
	list_add(&root->link, &s->roots);
	s->nr_roots++;
	return root;
}

struct shadow_root *shadow_root(struct vcpu *vcpu, const struct shadow_key *key)
{
	struct vcpu_shadow *s = vcpu->nested.shadow;
	struct shadow_root *root;

	if (s) {
		list_for_each_entry(root, &s->roots, link) {
			if (!same_key(&root->key, key))
				continue;
			if (!list_is_first(&root->link, &s->roots))
				list_move(&root->link, &s->roots);
			return root;
		}
	}
	return vcpu->in_burst ? NULL : make_root(vcpu, key);
}

u64 shadow_root_pa(struct vcpu *vcpu, const struct shadow_root *root)
{
	return root->table ? __pa(root->table->entries) : vcpu_root(vcpu)->pa;
}

/* Links are the thread's own: no lock is needed. The CPU walks these tables only while this vCPU's guest runs. */
void shadow_flush(struct vcpu *vcpu, struct shadow_root *root)
{
	struct shadow_table *t, *next;

	list_for_each_entry_safe(t, next, &root->linked, linked)
		unlink_table(t);
	root->flush = true;
}

void shadow_flush_match(struct vcpu *vcpu, bool (*match)(const struct shadow_key *key, const void *arg), const void *arg)
{
	struct shadow_root *root;

	if (!vcpu->nested.shadow)
		return;
	list_for_each_entry(root, &vcpu->nested.shadow->roots, link)
		if (!match || match(&root->key, arg))
			shadow_flush(vcpu, root);
}

void shadow_flush_tlb(struct vcpu *vcpu)
{
	struct shadow_root *root;

	if (!vcpu->nested.shadow)
		return;
	list_for_each_entry(root, &vcpu->nested.shadow->roots, link)
		root->flush = true;
}

bool shadow_needs_flush(struct vcpu *vcpu, struct shadow_root *root)
{
	u64 generation = atomic64_read(&vcpu->vm->mmu.tlb_generation);

	if (!root->flush && root->tlb_generation == generation && root->tlb_cpu == smp_processor_id())
		return false;
	root->flush = false;
	root->tlb_generation = generation;
	root->tlb_cpu = smp_processor_id();
	return true;
}

void shadow_destroy(struct vcpu *vcpu)
{
	struct vcpu_shadow *s = vcpu->nested.shadow;
	struct shadow_root *root, *next;

	if (!s)
		return;
	vcpu->nested.root = NULL;
	list_for_each_entry_safe(root, next, &s->roots, link)
		remove_root(vcpu, root);
	while (s->nr_cached)
		free_table(s->cache[--s->nr_cached]);
	write_lock(&vcpu->vm->mmu.lock);
	vcpu->nested.shadow = NULL;
	vcpu->vm->mmu.nr_shadows--;
	write_unlock(&vcpu->vm->mmu.lock);
	kvfree(s);
}

static u8 entry_rights(const struct shadow_key *key, u64 entry, int level)
{
	struct l1_entry e;

	vendor->nested->decode(key, entry, level, &e);
	return e.rights;
}

/* The CPU looks at exec_user for those roots only whose L1 tells user-mode addresses apart. */
static u64 limit_rights(u64 e, u8 rights)
{
	if (e & tdp_format.exec && rights & L1_EXEC_USER)
		e |= tdp_format.exec_user;
	if (!(rights & L1_READ))
		e &= ~tdp_format.read;
	if (!(rights & L1_WRITE))
		e &= ~(tdp_format.write | tdp_format.dirty);
	if (!(rights & L1_EXEC))
		e = (e & ~tdp_format.exec) | tdp_format.noexec;
	return e;
}

#define COMPARED	64	/* entries of L1's at a time, on the stack */

/*
 * Drop the leaves that L1's table no longer says. A gap is compared as well: that costs less than to look for it. False
 * when L1's table cannot be read now.
 */
static bool compare_table(struct vcpu *vcpu, struct shadow_table *t)
{
	u64 now[COMPARED];
	unsigned int i, j;

	for (i = 0; i < TDP_ENTRIES; i += COMPARED) {
		if (vm_read_atomic(vcpu->vm, t->source + i * sizeof(u64), now, sizeof(now)))
			return false;
		for (j = 0; j < COMPARED; j++)
			if (unlikely(now[j] != t->copy[i + j]) && shadow_is_leaf(t, i + j))
				shadow_drop_leaf(vcpu, t, i + j);
	}
	return true;
}

/* Where the entries of a table of @level come from: L1's table there, or a leaf of L1's above. */
static u64 source_of(const struct shadow_root *root, const struct nested_walk *w, int level)
{
	return level >= w->level && level <= root->key.levels ? w->table[level] : SHADOW_NO_SOURCE;
}

/* The table of @level for the walk's address, made from what L1 has there now. NULL: the cache is empty. */
static struct shadow_table *get_table(struct vcpu *vcpu, const struct nested_walk *w, int level)
{
	struct vcpu_shadow *s = vcpu->nested.shadow;
	struct shadow_root *root = vcpu->nested.root;
	u64 gfn2 = w->gpa2 >> PAGE_SHIFT & ~(tdp_pages(level + 1) - 1);
	u64 source = source_of(root, w, level);
	struct shadow_table *t = find_table(s, root, level, gfn2);
	bool split = level < w->level;

	if (!t) {
		t = take_table(s, root, level, gfn2);
		if (!t)
			return NULL;
	} else if (t->source != source || (split && t->copy[0] != w->entry[w->level]) ||
		   (source != SHADOW_NO_SOURCE && !compare_table(vcpu, t))) {
		clear_table(vcpu, t);
	}
	t->source = source;
	if (split)
		t->copy[0] = w->entry[w->level];
	return t;
}

/* Take out what is at an entry. Translations by it are flushed before L2 runs again. */
static void clear_entry(struct vcpu *vcpu, struct shadow_table *t, unsigned int i)
{
	if (!t->entries[i])
		return;
	if (shadow_is_leaf(t, i))
		shadow_drop_leaf(vcpu, t, i);
	else
		unlink_table(child_of(t->entries[i]));
	vcpu->nested.root->flush = true;
}

/* Make the entry of @t for the walk's address point to a table of the level below, and return that. */
static struct shadow_table *descend(struct vcpu *vcpu, const struct nested_walk *w, struct shadow_table *t)
{
	const struct shadow_key *key = &vcpu->nested.root->key;
	unsigned int i = tdp_index(w->gpa2 >> PAGE_SHIFT, t->level);
	bool from_l1 = t->level > w->level && t->level <= key->levels;
	u8 rights = from_l1 ? entry_rights(key, w->entry[t->level], t->level) : L1_ALL;
	struct shadow_table *child;

	/* A link that is there was made since the last flush. L1 may have added rights, or made it another table. */
	if (t->entries[i] && !shadow_is_leaf(t, i) && !(from_l1 && t->copy[i] != w->entry[t->level]))
		return child_of(t->entries[i]);
	clear_entry(vcpu, t, i);
	child = get_table(vcpu, w, t->level - 1);
	if (!child)
		return NULL;
	/* It may be linked at this place only. */
	child->parent = t;
	child->index = i;
	list_add(&child->linked, &vcpu->nested.root->linked);
	if (from_l1)
		t->copy[i] = w->entry[t->level];
	WRITE_ONCE(t->entries[i], limit_rights(__pa(child->entries) | tdp_format.table | tdp_format.enc_mask, rights));
	return child;
}

enum tdp_result shadow_map(struct vcpu *vcpu, const struct nested_walk *w, int level, u64 leaf)
{
	struct vcpu_shadow *s = vcpu->nested.shadow;
	struct shadow_root *root = vcpu->nested.root;
	struct shadow_table *t = root->table;
	struct shadow_leaf *rmap;
	unsigned int i;

	while (t->level > level) {
		t = descend(vcpu, w, t);
		if (!t)
			return TDP_NO_TABLE;
	}
	i = tdp_index(w->gpa2 >> PAGE_SHIFT, level);
	/* A leaf split for execution stays split, or data and code would fight for it. */
	if (level > 1 && t->entries[i] && !shadow_is_leaf(t, i) && tdp_large_noexec(vcpu->vm))
		return TDP_IN_THE_WAY;
	leaf = limit_rights(leaf, entry_rights(&root->key, w->entry[w->level], w->level));
	if (!w->dirty && !(w->access & L1_WRITE))
		leaf &= ~(tdp_format.write | tdp_format.dirty);
	if (t->entries[i] == leaf)
		return TDP_DONE;
	clear_entry(vcpu, t, i);
	if (level == w->level)
		t->copy[i] = w->entry[level];
	rmap = &t->leaf[i];
	rmap->index = i;
	rmap->gfn1 = w->gpa1 >> PAGE_SHIFT & ~(tdp_pages(level) - 1);
	hash_add(s->by_frame, &rmap->node, shadow_frame_key(rmap->gfn1, level));
	s->nr_leaves++;
	WRITE_ONCE(t->entries[i], leaf);
	return TDP_DONE;
}

/* L1's answer to a fault may be to map another page: no CPU keeps the translation that it faulted on. */
static void forget_address(struct vcpu *vcpu, u64 gpa2)
{
	struct shadow_table *t = vcpu->nested.root->table;
	unsigned int i;

	for (;;) {
		i = tdp_index(gpa2 >> PAGE_SHIFT, t->level);
		if (!t->entries[i])
			return;
		if (shadow_is_leaf(t, i))
			break;
		t = child_of(t->entries[i]);
	}
	clear_entry(vcpu, t, i);
}

static u8 fault_access(const struct fault *fault, const struct nested_linear *linear)
{
	return (fault->write ? L1_WRITE : 0) | (fault->exec ? nested_fetch_access(linear) : 0) |
	       (fault->write || fault->exec ? 0 : L1_READ);
}

/**
 * shadow_handle_fault - a second-level fault of L2's, where L1 has tables of its own
 * @vcpu: the vCPU
 * @fault: fault->gpa is a gpa2
 * @gpa1: out, what L1 translates it to
 *
 * As mmu_handle_fault(); FAULT_NESTED when it is L1's to handle, see vcpu->nested.failed.
 */
enum fault_result shadow_handle_fault(struct vcpu *vcpu, const struct fault *fault, u64 *gpa1)
{
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	struct nested_walk *w = &vcpu->nested.failed;
	const struct nested_linear linear = {
		.address = fault->gva, .valid = fault->gva_valid, .in_walk = fault->in_walk, .user = fault->user_address,
	};
	struct fault fault1 = *fault;
	int r;

	/* @gpa1 may well be @fault's. */
	r = nested_translate(vcpu, fault->gpa, fault_access(fault, &linear), &linear, false, gpa1);
	if (r == -EAGAIN)
		return vcpu->in_burst ? FAULT_SLOW : FAULT_RETRY;
	if (r) {
		if (!read_trylock(&mmu->lock)) {
			if (vcpu->in_burst)
				return FAULT_SLOW;
			read_lock(&mmu->lock);
		}
		forget_address(vcpu, w->gpa2);
		read_unlock(&mmu->lock);
		return FAULT_NESTED;
	}
	fault1.gpa = w->gpa1;
	fault1.walk = w;
	return mmu_handle_fault(vcpu, &fault1);
}
