// SPDX-License-Identifier: GPL-2.0
/*
 * The walk of the guest's own page tables, for accesses that the hypervisor makes for the guest.
 *
 * A walk never sleeps: it runs under SRCU and tries every entry as it is. When the host has no page
 * for one, the walk ends; outside a burst that page is brought in and the walk starts over. Entries
 * are read once, and accessed and dirty bits are set by compare-and-exchange on the value that was
 * checked, as the CPU does.
 */
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "mmu/paging.h"
#include "vm/slots.h"

/* Another vCPU may keep changing an entry; the host may keep taking a page. */
#define MAX_WALKS	64

static_assert(PF_WRITE == PAGING_E_W && PF_USER == PAGING_E_U && PF_FETCH == PAGING_E_FETCH &&
	      PF_IMPLICIT == PAGING_IMPLICIT);

enum walk_result {
	WALK_DONE,
	WALK_FAULT,	/* walk.error is the error code */
	WALK_RACED,	/* an entry changed: start over */
	WALK_NO_PAGE,	/* walk.hva is not accessible right now */
	WALK_NESTED,	/* L1 does not map it for L2: vcpu->nested.failed */
	WALK_NESTED_AGAIN, /* the same, but only without sleeping */
};

/**
 * struct walk - one walk
 * @vm: whose memory
 * @vcpu: whose walk
 * @p: the rules
 * @gva: the address
 * @access: PF_*
 * @root: physical address of the table of level @top
 * @gpa: out, the translation
 * @error: out, error code of #PF, less the bits of the access
 * @hva_write: the host had no page to write to at @hva
 * @hva: where the host had no page
 * @top: level where the walk begins
 * @leaf: level where it ended
 * @user_address: user mode may use @gva, as it has found when it has ended
 * @entry: entries by level
 * @entry_gfn: frames that they are in
 * @entry_gpa2: where L2 has them
 * @user: where they are for the VMM, 0 when the slot is read-only
 */
struct walk {
	struct vm *vm;
	struct vcpu *vcpu;
	struct paging p;
	u64 gva, access;
	u64 root;
	u64 gpa;
	u32 error;
	bool hva_write;
	unsigned long hva;
	int top, leaf;
	bool user_address;
	u64 entry[PAGING_MAX_LEVELS + 1];
	u64 entry_gfn[PAGING_MAX_LEVELS + 1];
	u64 entry_gpa2[PAGING_MAX_LEVELS + 1];
	unsigned long user[PAGING_MAX_LEVELS + 1];
};

static bool mode_has_pae(const struct regs *r)
{
	return r->cr4 & X86_CR4_PAE;
}

static u8 paging_levels(const struct regs *r)
{
	if (!(r->cr0 & X86_CR0_PG))
		return 0;
	if (r->efer & EFER_LMA)
		return r->cr4 & X86_CR4_LA57 ? 5 : 4;
	return mode_has_pae(r) ? 3 : 2;
}

static void paging_of(struct vcpu *vcpu, struct paging *p)
{
	struct regs *r = &vcpu->regs;

	vcpu_fetch(vcpu, REGS_CR0 | REGS_CR3 | REGS_CR4 | REGS_EFER);
	*p = (struct paging) {
		.levels = paging_levels(r),
		.maxphyaddr = vcpu->cpu_state.maxphyaddr,
		.wp = r->cr0 & X86_CR0_WP,
		.pse = r->cr4 & X86_CR4_PSE,
		.nx = r->efer & EFER_NX && mode_has_pae(r),
		.smep = r->cr4 & X86_CR4_SMEP,
		.smap = r->cr4 & X86_CR4_SMAP,
		/* The CPU's own walker lets guests use them whatever their CPUID says. */
		.gbpages = boot_cpu_has(X86_FEATURE_GBPAGES),
		.amd = vcpu->cpu_state.vendor_amd,
		.pkru = vcpu->cpu_state.fpu.pkru,
	};
	p->pke = r->cr4 & X86_CR4_PKE && p->levels >= 4;
	if (p->smap)
		p->ac = vcpu_rflags(vcpu) & X86_EFLAGS_AC;
	if (p->levels == 3)
		vcpu_fetch(vcpu, REGS_PDPTRS);
}

static enum walk_result walk_fault(struct walk *w, u32 error)
{
	w->error = error;
	return WALK_FAULT;
}

static enum walk_result walk_no_page(struct walk *w, unsigned long hva, bool write)
{
	w->hva = hva;
	w->hva_write = write;
	return WALK_NO_PAGE;
}

/* L2's physical addresses are L1's to translate. */
static enum walk_result to_gpa1(struct walk *w, u64 *gpa, u8 access, bool in_walk)
{
	const struct nested_linear linear = {
		.address = w->gva, .valid = true, .in_walk = in_walk, .user = !in_walk && w->user_address,
	};
	int r;

	if (access == L1_EXEC)
		access = nested_fetch_access(&linear);
	r = nested_translate(w->vcpu, *gpa, access, &linear, true, gpa);

	return !r ? WALK_DONE : r == -EAGAIN ? WALK_NESTED_AGAIN : WALK_NESTED;
}

/* Read the entry of @level in the table at @table. An address without memory reads as not present. */
static enum walk_result read_entry(struct walk *w, u64 table, int level)
{
	int size = paging_entry_size(&w->p);
	u64 gpa = table + paging_index(&w->p, w->gva, level) * size;
	const struct slot *slot;
	enum walk_result r;
	unsigned long hva;
	u32 low;
	int err;

	if (unlikely(w->vcpu->nested.walks)) {
		w->entry_gpa2[level] = gpa;
		r = to_gpa1(w, &gpa, w->vcpu->nested.table_access, true);
		if (r != WALK_DONE)
			return r;
	}
	slot = slots_find(vcpu_slots(w->vcpu), gpa >> PAGE_SHIFT);
	if (!slot)
		return walk_fault(w, 0);
	hva = slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	pagefault_disable();
	if (size == 8) {
		err = __get_user(w->entry[level], (u64 __user *)hva);
	} else {
		err = __get_user(low, (u32 __user *)hva);
		w->entry[level] = low;
	}
	pagefault_enable();
	if (err)
		return walk_no_page(w, hva, false);
	w->entry_gfn[level] = gpa >> PAGE_SHIFT;
	w->user[level] = slot->flags & KVM_MEM_READONLY ? 0 : hva;
	return WALK_DONE;
}

static int cmpxchg_entry(struct walk *w, int level, u64 old, u64 new)
{
	void __user *p = (void __user *)w->user[level];
	u32 old32 = old;
	int r;

	pagefault_disable();
	if (paging_entry_size(&w->p) == 8)
		r = __try_cmpxchg_user((u64 __user *)p, &old, new, fault64);
	else
		r = __try_cmpxchg_user((u32 __user *)p, &old32, (u32)new, fault32);
	pagefault_enable();
	return r;
}

/*
 * Does L1 let an entry be written that it lets be read? SDM, Accessed and Dirty Flags for EPT: without those, reading a
 * table of L2's needs no right to write, setting bits in it does.
 */
static enum walk_result l1_lets_write(struct walk *w, int level)
{
	u64 gpa = w->entry_gpa2[level];
	enum walk_result r;

	if (likely(!w->vcpu->nested.walks) || w->vcpu->nested.table_access & L1_WRITE)
		return WALK_DONE;
	r = to_gpa1(w, &gpa, L1_READ | L1_WRITE, true);
	return r == WALK_DONE && gpa >> PAGE_SHIFT != w->entry_gfn[level] ? WALK_RACED : r;
}

/*
 * Set accessed bits on the path and the dirty bit in the leaf. In a read-only slot they stay as
 * they are, as upstream does: tables in ROM have them set.
 */
static enum walk_result set_accessed_dirty(struct walk *w)
{
	enum walk_result allowed;
	u64 want, gfn;
	int level, r;

	for (level = w->top; level >= w->leaf; level--) {
		want = PAGING_A;
		if (level == w->leaf && w->access & PAGING_E_W)
			want |= PAGING_D;
		if ((w->entry[level] & want) == want || !w->user[level])
			continue;
		allowed = l1_lets_write(w, level);
		if (allowed != WALK_DONE)
			return allowed;
		r = cmpxchg_entry(w, level, w->entry[level], w->entry[level] | want);
		if (r < 0)
			return walk_no_page(w, w->user[level], true);
		if (r)
			return WALK_RACED;
		gfn = w->entry_gfn[level];
		vm_mark_dirty(w->vm, w->vcpu, slots_find(vcpu_slots(w->vcpu), gfn), gfn);
	}
	return WALK_DONE;
}

/* Descend from w->root, the table of level w->top. */
static enum walk_result walk_tables(struct walk *w)
{
	const struct paging *p = &w->p;
	u64 table = w->root, rights = PAGING_W | PAGING_U, all = ~0ull, entry;
	enum walk_result r;
	u32 error;
	int level;

	for (level = w->top;; level--) {
		r = read_entry(w, table, level);
		if (r != WALK_DONE)
			return r;
		entry = w->entry[level];
		if (!(entry & PAGING_P))
			return walk_fault(w, 0);
		if (entry & paging_reserved(p, entry, level))
			return walk_fault(w, PAGING_E_P | PAGING_E_RSVD);
		rights = (rights & entry & (PAGING_W | PAGING_U)) | ((rights | entry) & PAGING_NX);
		all &= entry;
		if (paging_is_leaf(p, entry, level))
			break;
		table = paging_table(p, entry);
	}
	w->leaf = level;
	w->user_address = rights & PAGING_U;
	error = paging_denied(p, rights, entry, w->access);
	if (error)
		return walk_fault(w, error);
	w->gpa = paging_address(p, entry, w->gva, level);
	/* Nearly always the bits are set already. */
	if (likely(all & PAGING_A && (entry & PAGING_D || !(w->access & PAGING_E_W))))
		return WALK_DONE;
	return set_accessed_dirty(w);
}

/* Where the walk begins. PAE paging has its top level in registers, checked when they were loaded. */
static enum walk_result walk_begin(struct vcpu *vcpu, struct walk *w)
{
	u64 pdpte;

	w->top = w->p.levels;
	w->root = paging_table(&w->p, vcpu->regs.cr3);
	if (w->p.levels != 3)
		return WALK_DONE;
	pdpte = vcpu->regs.pdptr[(w->gva >> 30) & 3];
	if (!(pdpte & PAGING_P))
		return walk_fault(w, 0);
	w->top = 2;
	w->root = paging_table(&w->p, pdpte);
	return WALK_DONE;
}

static u8 l1_access(u64 access)
{
	return access & PF_FETCH ? L1_EXEC : access & PF_WRITE ? L1_WRITE : L1_READ;
}

static enum walk_result walk_once(struct vcpu *vcpu, struct walk *w)
{
	enum walk_result r;
	int idx;

	/* User pointers mean something else in another address space. */
	if (unlikely(current->mm != w->vm->mm))
		return walk_fault(w, 0);
	r = walk_begin(vcpu, w);
	if (r != WALK_DONE)
		return r;
	idx = srcu_read_lock(&w->vm->srcu);
	w->gpa = w->gva;
	/* SDM, Exit Qualification for EPT Violations: what addresses are without paging. */
	w->user_address = true;
	if (w->p.levels)
		r = walk_tables(w);
	if (unlikely(vcpu->nested.walks) && r == WALK_DONE)
		r = to_gpa1(w, &w->gpa, l1_access(w->access), false);
	srcu_read_unlock(&w->vm->srcu, idx);
	return r;
}

/* Sleeps. Bring in what the walk missed. */
static bool walk_bring_in(const struct walk *w)
{
	char __user *p = (char __user *)w->hva;

	if (fatal_signal_pending(current))
		return false;
	return w->hva_write ? !fault_in_safe_writeable(p, 1) : !fault_in_readable(p, 1);
}

/* Sleeps. Walk L1's tables for the address that could not be translated otherwise, and keep nothing of it. */
static bool walk_nested(struct vcpu *vcpu)
{
	if (fatal_signal_pending(current))
		return false;
	nested_walk(vcpu, &vcpu->nested.failed, false);
	return true;
}

static enum walk_result walk(struct vcpu *vcpu, struct walk *w)
{
	enum walk_result r;
	int i;

	for (i = 0; i < MAX_WALKS; i++) {
		r = walk_once(vcpu, w);
		if (r == WALK_DONE || r == WALK_FAULT || r == WALK_NESTED)
			return r;
		if (r == WALK_NO_PAGE && (vcpu->in_burst || !walk_bring_in(w)))
			break;
		if (r == WALK_NESTED_AGAIN && (vcpu->in_burst || !walk_nested(vcpu)))
			break;
	}
	/* A burst tries again outside; there, memory that cannot be had is not there. */
	return vcpu->in_burst ? r : walk_fault(w, 0);
}

/**
 * mmu_gva_to_gpa - translate a guest-virtual address as the guest's CPU would for this access
 * @vcpu: the CPU
 * @gva: linear address
 * @access: PF_WRITE, PF_USER, PF_FETCH, PF_IMPLICIT
 * @e: out, when it fails
 *
 * Sets accessed and dirty bits. ~0: fault in *e, or e->again.
 */
u64 mmu_gva_to_gpa(struct vcpu *vcpu, u64 gva, u64 access, struct mmu_exception *e)
{
	enum walk_result r;
	struct walk w;

	/* One by one: clearing the arrays, which the walk fills, would cost as much as a level of it. */
	w.vm = vcpu->vm;
	w.vcpu = vcpu;
	w.gva = gva;
	w.access = access;
	*e = (struct mmu_exception) { .address = gva };
	paging_of(vcpu, &w.p);
	if (!w.p.levels && !vcpu->nested.walks)
		return gva;
	if (!paging_canonical(&w.p, gva)) {
		e->vector = EXC_GP;
		return ~0ull;
	}
	r = walk(vcpu, &w);
	if (r == WALK_DONE)
		return w.gpa;
	e->vector = r == WALK_NESTED ? EXC_NESTED : EXC_PF;
	if (r == WALK_NESTED)
		return ~0ull;
	if (r == WALK_FAULT)
		e->error = w.error | paging_access_error(&w.p, access);
	else
		e->again = true;
	return ~0ull;
}

static int translate(struct vcpu *vcpu, u64 gva, u64 access, struct mmu_exception *e, u64 *gpa)
{
	*gpa = mmu_gva_to_gpa(vcpu, gva, access, e);
	if (*gpa != ~0ull)
		return 0;
	return e->again ? -EAGAIN : -EFAULT;
}

/* @buf is only read when @access has PF_WRITE. */
static int access_gva(struct vcpu *vcpu, u64 gva, void *buf, size_t len, u64 access,
		      struct mmu_exception *e, u64 *gpa)
{
	size_t n;
	int r;

	while (len) {
		n = min_t(size_t, len, PAGE_SIZE - offset_in_page(gva));
		r = translate(vcpu, gva, access, e, gpa);
		if (r)
			return r;
		if (access & PF_WRITE)
			r = vcpu_write_guest(vcpu, *gpa, buf, n);
		else
			r = vcpu_read_guest(vcpu, *gpa, buf, n);
		if (r)
			return r == -EAGAIN ? r : -ENODEV;
		gva += n;
		buf += n;
		len -= n;
	}
	return 0;
}

int mmu_read_gva(struct vcpu *vcpu, u64 gva, void *buf, size_t len, u64 access,
		 struct mmu_exception *e, u64 *gpa)
{
	return access_gva(vcpu, gva, buf, len, access & ~(u64)PF_WRITE, e, gpa);
}

/**
 * mmu_write_gva - write to guest-virtual memory
 * @vcpu: the CPU
 * @gva: linear address
 * @buf: the data
 * @len: bytes
 * @access: PF_USER, PF_IMPLICIT
 * @e: out, for -EFAULT
 * @gpa: out, for -ENODEV
 *
 * A write that crosses pages writes nothing when a later page faults: all of them are translated
 * first, as the CPU checks all before it writes.
 */
int mmu_write_gva(struct vcpu *vcpu, u64 gva, const void *buf, size_t len, u64 access,
		  struct mmu_exception *e, u64 *gpa)
{
	u64 page;
	int r;

	access |= PF_WRITE;
	if (len > PAGE_SIZE - offset_in_page(gva)) {
		for (page = gva; page < gva + len; page = (page | ~PAGE_MASK) + 1) {
			r = translate(vcpu, page, access, e, gpa);
			if (r)
				return r;
		}
	}
	return access_gva(vcpu, gva, (void *)buf, len, access, e, gpa);
}

static int read_pdptrs(struct vcpu *vcpu, u64 cr3, u64 *pdptr)
{
	u64 gpa = cr3 & paging_bits(5, 31);
	int r = 0;

	if (unlikely(vcpu->nested.walks))
		/* Reads, also where those of other tables count as writes: SDM, Accessed and Dirty Flags for EPT. */
		r = nested_translate(vcpu, gpa, L1_READ, &(struct nested_linear){ .in_walk = true }, false, &gpa);
	if (!r)
		r = vcpu_read_guest(vcpu, gpa, pdptr, sizeof(vcpu->regs.pdptr));
	return r;
}

/**
 * mmu_load_pdptrs - load the four PDPTEs of PAE paging
 * @vcpu: the CPU
 * @cr3: where they are
 *
 * SDM, PDPTE Registers: a present one with a reserved bit set is #GP, and then none is loaded.
 */
int mmu_load_pdptrs(struct vcpu *vcpu, u64 cr3)
{
	struct paging p = { .levels = 3, .maxphyaddr = vcpu->cpu_state.maxphyaddr };
	u64 pdptr[4];
	int i, r = read_pdptrs(vcpu, cr3, pdptr);

	if (r)
		return r == -EAGAIN ? r : -EINVAL;
	for (i = 0; i < 4; i++) {
		if (pdptr[i] & PAGING_P && pdptr[i] & paging_pdpte_reserved(&p))
			return -EINVAL;
	}
	memcpy(vcpu->regs.pdptr, pdptr, sizeof(pdptr));
	vcpu_dirty(vcpu, REGS_PDPTRS);
	return 0;
}

/**
 * mmu_fetch_pdptrs - the four PDPTEs of a CPU that reads them from memory at every use
 * @vcpu: the CPU
 * @cr3: where they are
 *
 * The CPU has used them as they are, and QEMU's sets the accessed bit in them, which is reserved.
 */
void mmu_fetch_pdptrs(struct vcpu *vcpu, u64 cr3)
{
	if (read_pdptrs(vcpu, cr3, vcpu->regs.pdptr))
		memset(vcpu->regs.pdptr, 0, sizeof(vcpu->regs.pdptr));
}
