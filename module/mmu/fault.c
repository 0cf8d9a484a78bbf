// SPDX-License-Identifier: GPL-2.0
/*
 * Second-level faults: find the slot, get the host's page, map it.
 *
 * The page is not kept: it is looked up, mapped, and let go. That the host has not taken it back in
 * between is known from the invalidation count, compared under mmu.lock.
 */
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "mmu/notifier.h"
#include "mmu/tdp.h"
#include "trace/trace.h"
#include "vm/slots.h"

/**
 * struct mapping - what a fault has found out
 * @fault: the fault
 * @slot: valid under SRCU while the slots have @generation
 * @generation: of the slots
 * @gfn: the frame
 * @hva: where the VMM has it
 * @seq: the invalidation count before the host's page was looked up
 * @page: reference to the page, NULL when the host maps something without struct page
 * @pfn: the host's frame
 * @prot: cache type and encryption of such a mapping
 * @slot_writable: the slot is not read-only
 * @writable: the host lets us write, and the slot as well
 * @level: size of the leaf, once the page is there
 * @in_the_way: the leaf's place is taken
 */
struct mapping {
	const struct fault *fault;
	const struct slot *slot;
	u64 generation;
	u64 gfn;
	unsigned long hva;
	unsigned long seq;
	struct page *page;
	unsigned long pfn;
	pgprot_t prot;
	bool slot_writable;
	bool writable;
	bool in_the_way;
	int level;
};

static bool logged(const struct mapping *m)
{
	return m->slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

/*
 * The level at which the host maps @hva. Interrupts are off, so the host's page tables are not freed
 * under the walk; mmu.lock and the invalidation count say that the answer stays true. Every entry is
 * read once: it may turn from a table into a leaf meanwhile.
 */
static int host_level(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

/* Does a leaf of @level around @gfn lie in the slot, with frames and host addresses in step? */
static bool slot_allows_level(const struct slot *slot, u64 gfn, int level)
{
	u64 pages = tdp_pages(level), first = gfn & ~(pages - 1);

	if ((slot->base_gfn ^ (slot->hva >> PAGE_SHIFT)) & (pages - 1))
		return false;
	return first >= slot->base_gfn && first + pages <= slot->base_gfn + slot->npages;
}

static int choose_level(struct vcpu *vcpu, const struct mapping *m)
{
	int level, host;

	/* Dirty pages are tracked by 4 KiB. */
	if (logged(m) || !slot_allows_level(m->slot, m->gfn, 2))
		return 1;
	if (m->fault->exec && tdp_large_noexec())
		return 1;
	host = host_level(vcpu->vm->mm, m->hva);
	for (level = host; level > 1; level--) {
		if (tdp_format.leaf_levels & BIT(level - 1) &&
		    slot_allows_level(m->slot, m->gfn, level))
			break;
	}
	return level;
}

/* The leaf entry. RAM is write-back; what has no struct page has the cache type that the host uses. */
static u64 make_leaf(const struct mapping *m)
{
	const struct tdp_format *f = &tdp_format;
	u64 pfn = m->pfn & ~(tdp_pages(m->level) - 1);
	u64 e = (pfn << PAGE_SHIFT) | (f->read ? f->read : f->present) | f->user | f->accessed;

	if (m->page) {
		e |= f->memtype_wb | f->enc_mask;
	} else {
		bool uncached = pgprot_val(m->prot) & (_PAGE_PWT | _PAGE_PCD);

		e |= uncached ? f->memtype_uc : f->memtype_wb;
		e |= pgprot_val(m->prot) & f->enc_mask;
	}
	if (m->level > 1)
		e |= f->large;
	if (m->level > 1 && tdp_large_noexec())
		e |= f->noexec;
	else
		e |= f->exec;
	if (m->writable)
		e |= TDP_HOST_WRITABLE;
	/* In a logged slot the first write of each page must fault. */
	if (m->writable && (m->fault->write || !logged(m)))
		e |= f->write | f->dirty;
	return e;
}

/*
 * The page is marked dirty when the guest may write to it from now on, also where the dirty log wants
 * to see the first write: writeback takes the mapping away through the notifier before it
 * cleans the page, and a clean page would be dropped with what the guest wrote.
 */
static void mark_dirty(struct vcpu *vcpu, const struct mapping *m, u64 leaf)
{
	if (m->writable && m->page && !PageReserved(m->page))
		SetPageDirty(m->page);
	if (leaf & tdp_format.write)
		vm_mark_dirty(vcpu->vm, m->slot, m->gfn);
}

/* Under mmu.lock for reading, the page not invalidated. */
static enum fault_result map_locked(struct vcpu *vcpu, struct mapping *m)
{
	enum tdp_result r;
	u64 leaf;

	m->level = choose_level(vcpu, m);
	for (;;) {
		leaf = make_leaf(m);
		mark_dirty(vcpu, m, leaf);
		r = tdp_map(vcpu, m->gfn, m->level, leaf, m->fault);
		/* A leaf split for execution stays split, or data and code would fight for it. */
		if (r != TDP_IN_THE_WAY || m->level == 1 || !tdp_large_noexec())
			break;
		m->level--;
	}
	m->in_the_way = r == TDP_IN_THE_WAY;
	switch (r) {
	case TDP_DONE:
		return FAULT_FIXED;
	case TDP_RACED:
		return FAULT_RETRY;
	default:
		return FAULT_SLOW;
	}
}

/*
 * FAULT_SLOW: not here; outside a burst that means that tables are missing or in the way.
 * Under SRCU, with m->slot valid.
 */
static enum fault_result map_page(struct vcpu *vcpu, struct mapping *m)
{
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	enum fault_result r = FAULT_RETRY;

	/* A burst does not wait. */
	if (!read_trylock(&mmu->lock)) {
		if (vcpu->in_burst)
			return FAULT_SLOW;
		read_lock(&mmu->lock);
	}
	if (!mmu_invalidated(mmu, m->seq, m->hva))
		r = map_locked(vcpu, m);
	read_unlock(&mmu->lock);
	return r;
}

/*
 * A right is missing in a leaf that exists: grant it without looking at the host again when the host
 * allows writes and only the dirty log did not. Under SRCU. FAULT_SLOW: that is not the case.
 */
static enum fault_result grant_right(struct vcpu *vcpu, struct mapping *m)
{
	const struct fault *fault = m->fault;
	struct vm *vm = vcpu->vm;
	enum fault_result r = FAULT_SLOW;
	u64 *ep, e;
	int level;

	if (!read_trylock(&vm->mmu.lock)) {
		if (vcpu->in_burst)
			return FAULT_SLOW;
		read_lock(&vm->mmu.lock);
	}
	ep = tdp_lookup(vm, m->gfn, &level);
	e = READ_ONCE(*ep);
	if (!tdp_present(e))
		goto out;
	if (tdp_allows(e, fault)) {
		r = FAULT_FIXED;
	} else if (fault->write && e & TDP_HOST_WRITABLE && (level == 1 || !logged(m)) &&
		   (!fault->exec || tdp_executable(e))) {
		vm_mark_dirty(vm, m->slot, m->gfn);
		r = try_cmpxchg64(ep, &e, e | tdp_format.write | tdp_format.dirty) ?
			FAULT_FIXED : FAULT_RETRY;
	}
out:
	read_unlock(&vm->mmu.lock);
	return r;
}

static bool got_page(struct mapping *m, struct page *page, bool writable)
{
	m->page = page;
	m->pfn = page_to_pfn(page);
	m->writable = writable && m->slot_writable;
	return true;
}

/* Without sleeping, from the host's page tables as they are. */
static bool get_page_fast(struct mapping *m)
{
	struct page *page;

	if (m->slot_writable && get_user_pages_fast_only(m->hva, 1, FOLL_WRITE, &page) == 1)
		return got_page(m, page, true);
	if (!m->fault->write && get_user_pages_fast_only(m->hva, 1, 0, &page) == 1)
		return got_page(m, page, false);
	return false;
}

/*
 * The VMA has no struct pages: ask its page tables, after a fault if need be. Under mmap_lock, which
 * fixup_user_fault() may give up; then -EAGAIN.
 */
static int follow_pfn_locked(struct mapping *m)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, m->hva);
	bool unlocked = false;
	int r;

	if (!vma || !(vma->vm_flags & (VM_IO | VM_PFNMAP)))
		return -EFAULT;
	r = compat_follow_pfn(vma, m->hva, &m->pfn, &m->prot, &m->writable);
	if (r || (m->fault->write && !m->writable)) {
		r = fixup_user_fault(current->mm, m->hva,
				     m->fault->write ? FAULT_FLAG_WRITE : 0, &unlocked);
		if (unlocked)
			return -EAGAIN;
		if (r)
			return r;
		r = compat_follow_pfn(vma, m->hva, &m->pfn, &m->prot, &m->writable);
	}
	if (!r && m->fault->write && !m->writable)
		r = -EFAULT;
	m->writable &= m->slot_writable;
	return r;
}

static int get_pfn(struct mapping *m)
{
	int r;

	mmap_read_lock(current->mm);
	do {
		r = follow_pfn_locked(m);
	} while (r == -EAGAIN && !fatal_signal_pending(current));
	mmap_read_unlock(current->mm);
	return r;
}

/* May sleep. 0, -EAGAIN: let a signal be handled first; another errno: there is no memory. */
static int get_page_slow(struct mapping *m)
{
	unsigned int flags = FOLL_HWPOISON | COMPAT_FOLL_INTERRUPTIBLE;
	struct page *page, *writable;
	int r;

	if (m->fault->write)
		flags |= FOLL_WRITE;
	r = get_user_pages_unlocked(m->hva, 1, &page, flags);
	if (r == 1) {
		/* The write that often follows a read need not fault again. */
		if (!m->fault->write && m->slot_writable &&
		    get_user_pages_fast_only(m->hva, 1, FOLL_WRITE, &writable) == 1) {
			put_page(page);
			got_page(m, writable, true);
		} else {
			got_page(m, page, m->fault->write);
		}
		return 0;
	}
	if (r == -EINTR || r == -EAGAIN)
		return -EAGAIN;
	if (r == -EHWPOISON) {
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)m->hva, PAGE_SHIFT, current);
		return -EAGAIN;
	}
	return get_pfn(m);
}

/*
 * The page was there, but not the tables for it, or its place was taken: smaller leaves where a large
 * one shall be, or another page. The guest faults again; without tables, the run loop says -ENOMEM.
 */
static enum fault_result make_room(struct vcpu *vcpu, const struct mapping *m)
{
	u64 pages = tdp_pages(m->level), first = m->gfn & ~(pages - 1);

	mmu_topup(vcpu);
	if (m->in_the_way)
		mmu_zap_gfns(vcpu->vm, first, first + pages);
	return FAULT_RETRY;
}

static enum fault_result memory_fault(struct vcpu *vcpu, const struct mapping *m)
{
	struct nestor_memory_fault *mf = nestor_run_memory_fault(vcpu->run);

	vcpu->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	mf->flags = 0;
	mf->gpa = m->gfn << PAGE_SHIFT;
	mf->size = PAGE_SIZE;
	return FAULT_ERROR;
}

/* Outside a burst, and outside SRCU while sleeping: the slots may change meanwhile. */
static enum fault_result fault_slow(struct vcpu *vcpu, struct mapping *m)
{
	struct vm *vm = vcpu->vm;
	enum fault_result r;
	int idx, err;

	m->seq = mmu_invalidate_seq(&vm->mmu);
	m->page = NULL;
	err = get_page_slow(m);
	if (err == -EAGAIN)
		return FAULT_RETRY;
	if (err)
		return memory_fault(vcpu, m);

	r = FAULT_RETRY;
	idx = srcu_read_lock(&vm->srcu);
	if (vm_slots(vm)->generation == m->generation)
		r = map_page(vcpu, m);
	srcu_read_unlock(&vm->srcu, idx);
	if (m->page)
		put_page(m->page);
	return r;
}

/* Under SRCU, without sleeping. FAULT_SLOW: sleeping would help. */
static enum fault_result fault_fast(struct vcpu *vcpu, struct mapping *m)
{
	struct slots *slots = vm_slots(vcpu->vm);
	enum fault_result r;

	m->slot = slots_find(slots, m->gfn);
	if (!m->slot)
		return FAULT_MMIO;
	m->generation = slots->generation;
	m->slot_writable = !(m->slot->flags & KVM_MEM_READONLY);
	if (m->fault->write && !m->slot_writable)
		return FAULT_READONLY;
	m->hva = slot_hva(m->slot, m->gfn);

	if (m->fault->present) {
		r = grant_right(vcpu, m);
		if (r != FAULT_SLOW)
			return r;
	}
	m->seq = mmu_invalidate_seq(&vcpu->vm->mmu);
	if (!get_page_fast(m))
		return FAULT_SLOW;
	r = map_page(vcpu, m);
	put_page(m->page);
	return r;
}

/**
 * mmu_handle_fault - make a guest-physical address accessible, or say what it is
 * @vcpu: the vCPU
 * @fault: the fault
 *
 * In a burst nothing sleeps: FAULT_SLOW when the host's page is not there, tables have run out or
 * the lock is taken. Outside, sleeps, with no lock and no SRCU section held meanwhile.
 * FAULT_ERROR: kvm_run tells the address; KVM_RUN returns -EFAULT.
 */
enum fault_result mmu_handle_fault(struct vcpu *vcpu, const struct fault *fault)
{
	struct vm *vm = vcpu->vm;
	struct mapping m = { .fault = fault, .gfn = fault->gpa >> PAGE_SHIFT };
	enum fault_result r;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	r = fault_fast(vcpu, &m);
	srcu_read_unlock(&vm->srcu, idx);

	if (r == FAULT_SLOW && !vcpu->in_burst) {
		if (!m.level)
			r = fault_slow(vcpu, &m);
		if (r == FAULT_SLOW)
			r = make_room(vcpu, &m);
	}
	trace_fault(vcpu->id, fault->gpa, fault->write, fault->exec, fault->present, m.level, r);
	return r;
}
