// SPDX-License-Identifier: GPL-2.0
/*
 * Second-level faults: find the slot, find the host's page, map it.
 *
 * No reference to the page is taken for that. While mmu.lock is held and no invalidation of the page
 * is in progress, the host does not change its own mapping, so what the host's page tables say is
 * copied. A page that is not there is brought in first, by GUP and without locks; what the host's
 * tables do not tell even then (zero page, device memory) is mapped as GUP or follow_pfn said, if
 * no invalidation has ended since.
 */
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <asm/apicdef.h>

#include "irq/irq.h"
#include "mmu/notifier.h"
#include "mmu/tdp.h"
#include "nested/shadow.h"
#include "trace/trace.h"
#include "vm/slots.h"

/**
 * struct mapping - what a fault has found out
 * @fault: the fault
 * @slot: valid under SRCU while the slots have @generation
 * @generation: of the slots
 * @gfn: the frame
 * @hva: where the VMM has it
 * @pfn: the host's frame
 * @ram: it has a struct page, and is not reserved for somebody
 * @prot: cache type and encryption of what is no RAM
 * @slot_writable: the slot is not read-only
 * @writable: the host lets us write, and the slot as well
 * @host_level: size of the host's mapping
 * @level: size of the leaf, once the page is there
 * @in_the_way: the leaf's place is taken
 * @invalidating: the host is changing its mapping
 * @guest_waits: a guest is at it, and can be told if it takes long
 * @written: counts as written to. As upstream, whose tests ask for it: what a guest's guest reads, unless the tables of its
 *	hypervisor keep a dirty bit, which is clear
 */
struct mapping {
	const struct fault *fault;
	const struct slot *slot;
	u64 generation;
	u64 gfn;
	unsigned long hva;
	unsigned long pfn;
	pgprot_t prot;
	bool ram;
	bool slot_writable;
	bool writable;
	bool in_the_way;
	bool invalidating;
	bool guest_waits;
	bool written;
	int host_level;
	int level;
};

/**
 * struct host_leaf - how the host maps an address
 * @level: 1 to 3; 0 when it does not
 * @special: no page that could be given back: zero page, device memory
 * @readable: by user space, protection keys included
 * @writable: the same
 * @pfn: the frame of the address itself
 */
struct host_leaf {
	int level;
	bool special, readable, writable;
	unsigned long pfn;
};

static bool logged(const struct mapping *m)
{
	return m->slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

/*
 * Walk the host's page tables as GUP's fast path does: with interrupts off they are not freed, and
 * every entry is read once, since it may turn from a table into a leaf meanwhile.
 */
static void host_lookup(struct mm_struct *mm, unsigned long hva, struct host_leaf *h)
{
	unsigned long flags;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;
	pte_t pte;

	h->level = 0;
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
		h->level = 3;
		h->special = compat_pud_special(pud);
		h->readable = pud_access_permitted(pud, false);
		h->writable = pud_access_permitted(pud, true);
		h->pfn = pud_pfn(pud) + PFN_DOWN(hva & ~PUD_MASK);
		goto out;
	}

	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_none(pmd) || !pmd_present(pmd))
		goto out;
	if (pmd_leaf(pmd)) {
		h->level = 2;
		h->special = compat_pmd_special(pmd);
		h->readable = pmd_access_permitted(pmd, false);
		h->writable = pmd_access_permitted(pmd, true);
		h->pfn = pmd_pfn(pmd) + PFN_DOWN(hva & ~PMD_MASK);
		goto out;
	}

	pte = READ_ONCE(*pte_offset_kernel(&pmd, hva));
	if (!pte_present(pte))
		goto out;
	h->level = 1;
	h->special = pte_special(pte);
	h->readable = pte_access_permitted(pte, false);
	h->writable = pte_access_permitted(pte, true);
	h->pfn = pte_pfn(pte);
out:
	local_irq_restore(flags);
}

/* Does a leaf of @level around @gfn lie in the slot, with frames and host addresses in step? */
static bool slot_allows_level(const struct slot *slot, u64 gfn, int level)
{
	u64 pages = tdp_pages(level), first = gfn & ~(pages - 1);

	if ((slot->base_gfn ^ (slot->hva >> PAGE_SHIFT)) & (pages - 1))
		return false;
	return first >= slot->base_gfn && first + pages <= slot->base_gfn + slot->npages;
}

static int choose_level(const struct vm *vm, const struct mapping *m)
{
	int level;

	/* Dirty pages are tracked by 4 KiB. */
	if (m->host_level <= 1 || logged(m))
		return 1;
	if (m->fault->exec && tdp_large_noexec(vm))
		return 1;
	level = m->host_level;
	if (m->fault->walk)
		level = min(level, m->fault->walk->level);
	for (; level > 1; level--) {
		if (tdp_format.leaf_levels & BIT(level - 1) &&
		    slot_allows_level(m->slot, m->gfn, level))
			break;
	}
	return level;
}

/* The leaf entry. RAM is write-back; what has no struct page has the cache type that the host uses. */
static u64 make_leaf(const struct vm *vm, const struct mapping *m)
{
	const struct tdp_format *f = &tdp_format;
	u64 pfn = m->pfn & ~(tdp_pages(m->level) - 1);
	u64 e = (pfn << PAGE_SHIFT) | (f->read ? f->read : f->present) | f->user | f->accessed;

	if (m->ram) {
		e |= f->memtype_wb | f->enc_mask;
	} else {
		bool uncached = pgprot_val(m->prot) & (_PAGE_PWT | _PAGE_PCD);

		e |= uncached ? f->memtype_uc : f->memtype_wb;
		e |= pgprot_val(m->prot) & f->enc_mask;
	}
	if (m->level > 1)
		e |= f->large;
	if (m->level > 1 && tdp_large_noexec(vm))
		e |= f->noexec;
	else
		e |= f->exec;
	if (m->writable)
		e |= TDP_HOST_WRITABLE;
	/* In a logged slot the first write of each page must be seen. */
	if (m->writable && (m->fault->write || m->written || !logged(m)))
		e |= f->write | f->dirty;
	else if (m->writable && mmu_logs_writes(vm) && !m->fault->walk)
		e |= f->write;
	return e;
}

/*
 * The page is marked dirty when the guest may write to it from now on, also where the dirty log wants
 * to see the first write: writeback takes the mapping away through the notifier before it
 * cleans the page, and a clean page would be dropped with what the guest wrote.
 */
static void mark_dirty(struct vcpu *vcpu, const struct mapping *m, u64 leaf)
{
	u64 written = tdp_format.write | tdp_format.dirty;
	struct page *page;

	if (m->writable && m->ram) {
		page = pfn_to_page(m->pfn);
		if (!PageReserved(page) && !PageDirty(page))
			SetPageDirty(page);
	}
	if ((leaf & written) == written)
		vm_mark_dirty(vcpu->vm, vcpu, m->slot, m->gfn);
}

static enum fault_result mapped(enum tdp_result r)
{
	switch (r) {
	case TDP_DONE:
		return FAULT_FIXED;
	case TDP_RACED:
		return FAULT_RETRY;
	default:
		return FAULT_SLOW;
	}
}

/* Under mmu.lock for reading, the page not invalidated. FAULT_SLOW: tables or the place are missing. */
static enum fault_result map_locked(struct vcpu *vcpu, struct mapping *m)
{
	enum tdp_result r;
	u64 leaf;

	m->level = choose_level(vcpu->vm, m);
	for (;;) {
		leaf = make_leaf(vcpu->vm, m);
		mark_dirty(vcpu, m, leaf);
		if (m->fault->walk)
			r = shadow_map(vcpu, m->fault->walk, m->level, leaf);
		else
			r = tdp_map(vcpu, m->gfn, m->level, leaf, m->fault);
		/* A leaf split for execution stays split, or data and code would fight for it. */
		if (r != TDP_IN_THE_WAY || m->level == 1 || !tdp_large_noexec(vcpu->vm))
			break;
		m->level--;
	}
	m->in_the_way = r == TDP_IN_THE_WAY;
	return mapped(r);
}

/*
 * A right is missing in a leaf that exists: grant it without looking at the host when the host
 * allows writes and only the dirty log did not. FAULT_SLOW: that is not the case.
 */
static enum fault_result grant_right(struct vcpu *vcpu, struct mapping *m)
{
	const struct fault *fault = m->fault;
	u64 *ep, e;
	int level;

	ep = tdp_lookup(vcpu->vm, vcpu_space(vcpu), m->gfn, &level);
	e = READ_ONCE(*ep);
	if (!tdp_present(e))
		return FAULT_SLOW;
	if (tdp_allows(e, fault))
		return FAULT_FIXED;
	if (!fault->write || !(e & TDP_HOST_WRITABLE) || (level > 1 && logged(m)) ||
	    (fault->exec && !tdp_executable(e)))
		return FAULT_SLOW;
	vm_mark_dirty(vcpu->vm, vcpu, m->slot, m->gfn);
	if (!try_cmpxchg64(ep, &e, e | tdp_format.write | tdp_format.dirty))
		return FAULT_RETRY;
	return FAULT_FIXED;
}

/* Use what the host's page tables say, if they say enough. Under mmu.lock, the page not invalidated. */
static bool use_host_leaf(struct vcpu *vcpu, struct mapping *m)
{
	struct host_leaf h;

	host_lookup(vcpu->vm->mm, m->hva, &h);
	m->host_level = h.level;
	if (!h.level || h.special || !h.readable || (m->fault->write && !h.writable))
		return false;
	m->pfn = h.pfn;
	m->ram = true;
	m->writable = h.writable && m->slot_writable;
	return true;
}

static enum fault_result fault_locked(struct vcpu *vcpu, struct mapping *m)
{
	enum fault_result r;

	if (m->fault->present && !m->fault->walk) {
		r = grant_right(vcpu, m);
		if (r != FAULT_SLOW)
			return r;
	}
	m->invalidating = mmu_invalidating(&vcpu->vm->mmu, m->hva);
	if (m->invalidating || !use_host_leaf(vcpu, m))
		return FAULT_SLOW;
	return map_locked(vcpu, m);
}

/*
 * The local APIC's page, where the CPU handles accesses to it. Fetches from there stay what they are without that. A slot in
 * its place comes first.
 */
static bool is_apic_page(const struct vcpu *vcpu, const struct mapping *m)
{
	return m->gfn == PHYS_PFN(APIC_DEFAULT_PHYS_BASE) && !m->fault->exec && !m->fault->walk && lapic_hw_has_page(vcpu);
}

/* Under mmu.lock. */
static enum fault_result map_apic_page(struct vcpu *vcpu, struct mapping *m)
{
	const struct tdp_format *f = &tdp_format;
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	u64 leaf = __pa(mmu->apic_page) | f->read | f->write | f->user | f->noexec | f->accessed | f->dirty | f->memtype_wb |
		   f->enc_mask;

	if (mmu->apic_page_forbidden)
		return FAULT_MMIO;
	m->level = 1;
	return mapped(tdp_map(vcpu, m->gfn, 1, leaf, m->fault));
}

/* Under SRCU, without sleeping. FAULT_SLOW: sleeping would help. */
static enum fault_result fault_fast(struct vcpu *vcpu, struct mapping *m)
{
	struct slots *slots = vcpu_slots(vcpu);
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	enum fault_result r;

	m->slot = slots_find(slots, m->gfn);
	if (unlikely(!m->slot)) {
		if (!is_apic_page(vcpu, m))
			return FAULT_MMIO;
	} else {
		m->generation = slots->generation;
		m->slot_writable = !(m->slot->flags & KVM_MEM_READONLY);
		if (m->fault->write && !m->slot_writable)
			return FAULT_READONLY;
		m->hva = slot_hva(m->slot, m->gfn);
	}

	/* A burst does not wait. */
	if (!read_trylock(&mmu->lock)) {
		if (vcpu->in_burst)
			return FAULT_SLOW;
		read_lock(&mmu->lock);
	}
	r = m->slot ? fault_locked(vcpu, m) : map_apic_page(vcpu, m);
	read_unlock(&mmu->lock);
	return r;
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
	m->ram = false;
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
static int bring_in(struct vcpu *vcpu, struct mapping *m)
{
	unsigned int flags = FOLL_HWPOISON | COMPAT_FOLL_INTERRUPTIBLE;
	struct page *page;
	int r = 0;

	if (m->fault->write)
		flags |= FOLL_WRITE;
	/* Where it takes long the guest can do something else meanwhile, if it knows how. */
	if (unlikely(vcpu->apf.enable) && m->guest_waits && apf_possible(vcpu)) {
		r = get_user_pages_unlocked(m->hva, 1, &page, flags | FOLL_NOWAIT);
		if (!r && apf_start(vcpu, m->gfn, m->hva, m->fault->write))
			return -EAGAIN;
	}
	if (r != 1)
		r = get_user_pages_unlocked(m->hva, 1, &page, flags);
	if (r == 1) {
		m->pfn = page_to_pfn(page);
		m->ram = true;
		m->writable = m->fault->write;
		/* Whether it is still that page, the invalidation count will tell. */
		put_page(page);
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

/* Map what was brought in, or what the host's page tables say about it by now. Under SRCU. */
static enum fault_result map_brought_in(struct vcpu *vcpu, struct mapping *m, unsigned long seq)
{
	struct vm *vm = vcpu->vm;
	enum fault_result r = FAULT_RETRY;

	if (vcpu_slots(vcpu)->generation != m->generation)
		return FAULT_RETRY;
	read_lock(&vm->mmu.lock);
	if (!mmu_invalidated(&vm->mmu, seq, m->hva)) {
		use_host_leaf(vcpu, m);
		r = map_locked(vcpu, m);
	}
	read_unlock(&vm->mmu.lock);
	return r;
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
	unsigned long seq = mmu_invalidate_seq(&vm->mmu);
	enum fault_result r;
	int idx, err;

	err = bring_in(vcpu, m);
	if (err == -EAGAIN)
		return FAULT_RETRY;
	if (err)
		return memory_fault(vcpu, m);
	idx = srcu_read_lock(&vm->srcu);
	r = map_brought_in(vcpu, m, seq);
	srcu_read_unlock(&vm->srcu, idx);
	return r;
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
		mmu_zap_gfns(vcpu->vm, vcpu_space(vcpu), first, first + pages);
	return FAULT_RETRY;
}

static enum fault_result fault_outside(struct vcpu *vcpu, struct mapping *m)
{
	enum fault_result r = FAULT_SLOW;

	if (m->invalidating) {
		mmu_wait_invalidation(&vcpu->vm->mmu, m->hva);
		return FAULT_RETRY;
	}
	if (!m->level)
		r = fault_slow(vcpu, m);
	return r == FAULT_SLOW ? make_room(vcpu, m) : r;
}

static enum fault_result handle_fault(struct vcpu *vcpu, struct mapping *m)
{
	const struct fault *fault = m->fault;
	struct vm *vm = vcpu->vm;
	enum fault_result r;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	r = fault_fast(vcpu, m);
	srcu_read_unlock(&vm->srcu, idx);

	if (r == FAULT_SLOW && !vcpu->in_burst)
		r = fault_outside(vcpu, m);
	trace_fault(vcpu->id, fault->gpa, fault->write, fault->exec, fault->present, m->level, r);
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
	struct mapping m = {
		.fault = fault, .gfn = fault->gpa >> PAGE_SHIFT, .guest_waits = !fault->vectoring,
		.written = vcpu->nested.guest_mode && (!fault->walk || (fault->walk->dirty && fault->walk->rights & L1_WRITE)),
	};

	return handle_fault(vcpu, &m);
}

/* Under SRCU. */
static bool host_has_frame(struct vcpu *vcpu, struct mapping *m)
{
	struct vm_mmu *mmu = &vcpu->vm->mmu;
	bool found;

	if (!read_trylock(&mmu->lock)) {
		if (vcpu->in_burst)
			return false;
		read_lock(&mmu->lock);
	}
	found = !mmu_invalidating(mmu, m->hva) && use_host_leaf(vcpu, m);
	read_unlock(&mmu->lock);
	return found;
}

/**
 * mmu_frame - the frame that a page of the guest's is in now
 * @vcpu: the vCPU
 * @gpa: the page's address
 * @frame: out: its physical address
 *
 * Does not sleep. It stays the frame until the second-level tables change.
 *
 * Return: false when there is none that the VM has for itself, or when that cannot be known right now.
 */
bool mmu_frame(struct vcpu *vcpu, u64 gpa, u64 *frame)
{
	const struct fault fault = { .gpa = gpa, .write = true };
	struct mapping m = { .fault = &fault, .gfn = gpa >> PAGE_SHIFT };
	bool found = false;
	int idx;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	m.slot = slots_find(vcpu_slots(vcpu), m.gfn);
	if (m.slot && !(m.slot->flags & KVM_MEM_READONLY)) {
		m.hva = slot_hva(m.slot, m.gfn);
		found = host_has_frame(vcpu, &m);
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	*frame = (u64)m.pfn << PAGE_SHIFT;
	return found;
}

/**
 * mmu_prefault - map the page at an address as a read by the guest would, outside KVM_RUN
 * @vcpu: the vCPU, its mutex held
 * @gpa: where
 *
 * Return: how many bytes from @gpa on are mapped now, more than 0; -ENOENT when there is no memory,
 * -EFAULT when there is none behind it, -EINTR for a signal, -EIO for a VM that is dead, -ENOMEM.
 */
long mmu_prefault(struct vcpu *vcpu, u64 gpa)
{
	const struct fault fault = { .gpa = gpa };
	enum fault_result r;
	struct mapping m;
	int err;

	do {
		if (signal_pending(current))
			return -EINTR;
		if (test_bit(REQ_VM_DEAD, &vcpu->requests))
			return -EIO;
		cond_resched();
		err = mmu_topup(vcpu);
		if (err)
			return err;
		m = (struct mapping){ .fault = &fault, .gfn = gpa >> PAGE_SHIFT };
		r = handle_fault(vcpu, &m);
	} while (r == FAULT_RETRY);

	switch (r) {
	case FAULT_FIXED:
		return (tdp_pages(m.level) << PAGE_SHIFT) - (gpa & ((tdp_pages(m.level) << PAGE_SHIFT) - 1));
	case FAULT_MMIO:
		return -ENOENT;
	default:
		return -EFAULT;
	}
}
