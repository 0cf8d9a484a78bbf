// SPDX-License-Identifier: GPL-2.0
/*
 * Set-up of a VM's second-level tables, the vCPUs' caches of table pages, and TLB generations.
 */
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched/mm.h>
#include <asm/apicdef.h>

#include "mmu/notifier.h"
#include "mmu/tdp.h"
#include "nested/shadow.h"
#include "vm/slots.h"
#include "vm/vm.h"

static bool nx_huge_pages = true;
module_param(nx_huge_pages, bool, 0444);
MODULE_PARM_DESC(nx_huge_pages,
		 "no-execute large pages on CPUs with the iTLB multihit erratum (default: on)");

/*
 * Machine Check Error on Page Size Change: instruction fetches through a large translation while its
 * size changes can stop the machine, so no guest gets to fetch through one unless somebody who may
 * stop the machine anyway has said that this guest is trusted.
 */
bool tdp_large_noexec(const struct vm *vm)
{
	return nx_huge_pages && boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !vm->caps.exec_huge_pages;
}

/* As the CPU says it: boot_cpu_data has it less the bits of memory encryption. */
static int host_physical_bits(void)
{
	if (boot_cpu_data.extended_cpuid_level < 0x80000008)
		return 36;
	return cpuid_eax(0x80000008) & 0xff;
}

u64 mmu_max_gfn(void)
{
	int bits = min(host_physical_bits(), PAGE_SHIFT + TDP_LEVEL_BITS * tdp_format.levels);

	return 1ull << (bits - PAGE_SHIFT);
}

bool mmu_logs_writes(const struct vm *vm)
{
	return tdp_format.log && !vm->dirty_ring_bytes;
}

static int root_init(struct tdp_root *root)
{
	root->flushed = alloc_percpu_gfp(u64, GFP_KERNEL_ACCOUNT);
	root->table = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!root->flushed || !root->table)
		return -ENOMEM;
	root->pa = __pa(root->table);
	return 0;
}

/* With no tables left below it. */
static void root_destroy(struct tdp_root *root)
{
	free_page((unsigned long)root->table);
	free_percpu(root->flushed);
	root->table = NULL;
	root->flushed = NULL;
}

/**
 * mmu_vm_init - make the root tables and begin to listen to changes of the VM's address space
 * @vm: the VM, with slots set up
 *
 * 0, -ENOMEM, or -EINTR when the caller is being killed.
 */
int mmu_vm_init(struct vm *vm)
{
	struct vm_mmu *mmu = &vm->mmu;
	int space, r;

	rwlock_init(&mmu->lock);
	spin_lock_init(&mmu->invalidate_lock);
	init_waitqueue_head(&mmu->invalidate_wait);
	/* No CPU has flushed generation 1: a root that was freed may have had the same address. */
	atomic64_set(&mmu->tlb_generation, 1);
	atomic64_set(&mmu->tlb_synced, 1);
	mmu->levels = tdp_format.levels;
	for (space = 0; space < NESTOR_ADDRESS_SPACES; space++) {
		r = root_init(&mmu->roots[space]);
		if (r)
			goto fail;
	}
	atomic64_set(&vm->stats.table_pages, NESTOR_ADDRESS_SPACES);
	r = -ENOMEM;
	if (cpu_caps.apic_page) {
		mmu->apic_page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!mmu->apic_page)
			goto fail;
	}

	r = mmu_notifier_start(vm);
	if (!r)
		return 0;
fail:
	for (space = 0; space < NESTOR_ADDRESS_SPACES; space++)
		root_destroy(&mmu->roots[space]);
	free_page((unsigned long)mmu->apic_page);
	mmu->apic_page = NULL;
	return r;
}

/*
 * No vCPU of the VM runs or will run, but vm_kick_all_sync() still works. Unregistering calls the
 * notifier's release(), which zaps everything, unless the process's exit has done so.
 */
void mmu_vm_release(struct vm *vm)
{
	if (vm->mmu.roots[0].table)
		mmu_notifier_stop(vm);
}

void mmu_vm_destroy(struct vm *vm)
{
	int space;

	for (space = 0; space < NESTOR_ADDRESS_SPACES; space++) {
		tdp_free_all(vm, space);
		root_destroy(&vm->mmu.roots[space]);
	}
	free_page((unsigned long)vm->mmu.apic_page);
	vm->mmu.apic_page = NULL;
}

static void zap_apic_page(struct vm *vm)
{
	int space;

	for (space = 0; space < NESTOR_ADDRESS_SPACES; space++)
		mmu_zap_gfns(vm, space, PHYS_PFN(APIC_DEFAULT_PHYS_BASE), PHYS_PFN(APIC_DEFAULT_PHYS_BASE) + 1);
}

/* Zapped by whoever forbids, also when others have: their zap may not be over. */
void mmu_forbid_apic_page(struct vm *vm)
{
	write_lock(&vm->mmu.lock);
	vm->mmu.apic_page_forbidden++;
	write_unlock(&vm->mmu.lock);
	zap_apic_page(vm);
}

void mmu_allow_apic_page(struct vm *vm)
{
	write_lock(&vm->mmu.lock);
	vm->mmu.apic_page_forbidden--;
	write_unlock(&vm->mmu.lock);
}

void mmu_slot_added(struct vm *vm, const struct slot *slot)
{
	if (vm->mmu.apic_page && PHYS_PFN(APIC_DEFAULT_PHYS_BASE) - slot->base_gfn < slot->npages)
		zap_apic_page(vm);
}

void mmu_vcpu_init(struct vcpu *vcpu)
{
	vcpu->mmu.tlb_generation = 0;
	vcpu->mmu.tlb_cpu = -1;
	vcpu->mmu.nr_cached = 0;
}

void mmu_vcpu_destroy(struct vcpu *vcpu)
{
	shadow_destroy(vcpu);
	while (vcpu->mmu.nr_cached)
		free_page((unsigned long)vcpu->mmu.table_cache[--vcpu->mmu.nr_cached]);
}

/* One fault may take a table for every level below the root. */
#define TABLES_PER_FAULT	4

int mmu_topup(struct vcpu *vcpu)
{
	struct vcpu_mmu *mmu = &vcpu->mmu;
	void *table;

	BUILD_BUG_ON(TABLES_PER_FAULT > MMU_CACHED_TABLES);
	while (mmu->nr_cached < MMU_CACHED_TABLES) {
		table = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!table)
			return mmu->nr_cached < TABLES_PER_FAULT ? -ENOMEM : 0;
		mmu->table_cache[mmu->nr_cached++] = table;
	}
	return vcpu->nested.shadow ? shadow_topup(vcpu) : 0;
}

/*
 * TLB generations. A CPU may hold translations as old as the generation it last flushed at. Whoever
 * enters the guest compares first; whoever takes rights away raises the generation and waits
 * until no vCPU is in a burst that began before that. The next burst, anywhere, then flushes.
 */
void mmu_tlb_raise(struct vm *vm)
{
	/* A full barrier: entries are changed before the generation tells it. */
	atomic64_inc_return(&vm->mmu.tlb_generation);
}

void mmu_tlb_sync(struct vm *vm)
{
	struct vm_mmu *mmu = &vm->mmu;
	s64 generation = atomic64_read(&mmu->tlb_generation);
	s64 synced = atomic64_read(&mmu->tlb_synced);

	if (synced >= generation)
		return;
	atomic64_inc(&vm->stats.tlb_shootdowns);
	vm_kick_all_sync(vm);
	while (synced < generation &&
	       !atomic64_try_cmpxchg(&mmu->tlb_synced, &synced, generation))
		;
}

void mmu_flush_remote(struct vm *vm)
{
	mmu_tlb_raise(vm);
	mmu_tlb_sync(vm);
}

bool mmu_needs_flush(struct vcpu *vcpu)
{
	u64 generation = atomic64_read(&vcpu->vm->mmu.tlb_generation);
	const struct tdp_root *root = vcpu_root(vcpu);
	struct vcpu_mmu *mmu = &vcpu->mmu;

	if (tdp_format.tag_per_root) {
		if (__this_cpu_read(*root->flushed) == generation)
			return false;
		__this_cpu_write(*root->flushed, generation);
		return true;
	}
	if (mmu->tlb_generation == generation && mmu->tlb_cpu == smp_processor_id())
		return false;
	mmu->tlb_generation = generation;
	mmu->tlb_cpu = smp_processor_id();
	return true;
}
