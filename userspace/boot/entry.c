// SPDX-License-Identifier: GPL-2.0
/* The first vCPU's registers at its first instruction. */
#include <string.h>

#include "boot/boot.h"
#include "util.h"
#include "vm.h"

#define CR0_PE		(1ULL << 0)
#define CR0_ET		(1ULL << 4)
#define CR0_NE		(1ULL << 5)
#define CR0_PG		(1ULL << 31)
#define CR4_PAE		(1ULL << 5)
#define EFER_LME	(1ULL << 8)
#define EFER_LMA	(1ULL << 10)
#define RFLAGS_FIXED	(1ULL << 1)

#define PTE_PRESENT	(1ULL << 0)
#define PTE_WRITE	(1ULL << 1)
#define PTE_LARGE	(1ULL << 7)
#define TABLE_SIZE	0x1000
#define TABLE_ENTRIES	512
#define MAPPED_GIB	4

/* The selectors that the Linux boot protocol wants: code 0x10, data 0x18. */
#define SEL_CODE	0x10
#define SEL_DATA	0x18
#define SEL_TSS		0x20
#define GDT_ENTRIES	5

#define TYPE_CODE	0xb	/* execute, read, accessed */
#define TYPE_DATA	0x3	/* read, write, accessed */
#define TYPE_TSS	0xb	/* busy */

static struct kvm_segment flat_code(bool long_mode)
{
	return (struct kvm_segment){
		.selector = SEL_CODE, .limit = 0xffffffff, .type = TYPE_CODE, .present = 1,
		.s = 1, .g = 1, .l = long_mode, .db = !long_mode,
	};
}

static struct kvm_segment flat_data(void)
{
	return (struct kvm_segment){
		.selector = SEL_DATA, .limit = 0xffffffff, .type = TYPE_DATA, .present = 1,
		.s = 1, .g = 1, .db = 1,
	};
}

/* Nobody switches tasks, but a CPU in protected mode has to have a busy TSS. */
static struct kvm_segment task(void)
{
	return (struct kvm_segment){
		.selector = SEL_TSS, .limit = 0x67, .type = TYPE_TSS, .present = 1,
	};
}

/* SDM, 'Segment Descriptors'. */
static uint64_t descriptor(const struct kvm_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;
	uint64_t access = s->type | s->s << 4 | s->dpl << 5 | s->present << 7;
	uint64_t flags = s->avl | s->l << 1 | s->db << 2 | s->g << 3;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 | access << 40 |
	       (limit >> 16 & 0xf) << 48 | flags << 52 | (s->base >> 24 & 0xff) << 56;
}

/* The table agrees with the loaded segments: a guest may reload from it. */
static void load_flat_segments(const struct vm *vm, struct kvm_sregs *sregs, uint64_t gdt,
			       bool long_mode)
{
	struct kvm_segment code = flat_code(long_mode), data = flat_data(), tss = task();
	uint64_t *entries = memory__ptr(vm, gdt, GDT_ENTRIES * sizeof(*entries));

	memset(entries, 0, GDT_ENTRIES * sizeof(*entries));
	entries[SEL_CODE / 8] = descriptor(&code);
	entries[SEL_DATA / 8] = descriptor(&data);
	entries[SEL_TSS / 8] = descriptor(&tss);
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = tss;
	sregs->gdt = (struct kvm_dtable){ .base = gdt, .limit = GDT_ENTRIES * 8 - 1 };
	sregs->idt = (struct kvm_dtable){ .base = 0, .limit = 0 };
}

/*
 * Pages of 2 MiB: every CPU has them. The first 4 GiB, so that the interrupt
 * controllers are mapped too.
 */
static void build_identity_map(const struct vm *vm, uint64_t tables)
{
	uint64_t *pml4 = memory__ptr(vm, tables, BOOT_TABLES_SIZE);
	uint64_t *pdpt = pml4 + TABLE_ENTRIES;
	uint64_t *pd = pdpt + TABLE_ENTRIES;

	memset(pml4, 0, BOOT_TABLES_SIZE);
	pml4[0] = (tables + TABLE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < MAPPED_GIB; i++)
		pdpt[i] = (tables + (2 + i) * TABLE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < MAPPED_GIB * TABLE_ENTRIES; i++)
		pd[i] = i << 21 | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
}

static void enter_real_mode(struct kvm_sregs *sregs, const struct boot_entry *entry)
{
	struct kvm_segment *segments[] = { &sregs->cs, &sregs->ds, &sregs->es,
					   &sregs->fs, &sregs->gs, &sregs->ss };

	for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
		segments[i]->base = entry->rip & ~0xffffULL;
		segments[i]->selector = segments[i]->base >> 4;
	}
}

static void enter_long_mode(const struct vm *vm, struct kvm_sregs *sregs,
			    const struct boot_entry *entry)
{
	build_identity_map(vm, entry->tables);
	sregs->cr3 = entry->tables;
	sregs->cr4 |= CR4_PAE;
	sregs->cr0 |= CR0_PG;
	sregs->efer |= EFER_LME | EFER_LMA;
}

/**
 * entry__apply() - put a vCPU at its first instruction
 * @vcpu: the vCPU, in its state at reset
 * @entry: the wanted state
 */
int entry__apply(struct vcpu *vcpu, const struct boot_entry *entry)
{
	bool real = entry->mode == BOOT_REAL;
	struct kvm_regs regs = {
		.rip = real ? entry->rip & 0xffff : entry->rip,
		.rsp = entry->rsp,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
		.rflags = RFLAGS_FIXED,
	};
	struct kvm_sregs sregs;
	int ret = KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, &sregs);

	if (ret < 0)
		return ret;
	if (real) {
		enter_real_mode(&sregs, entry);
	} else {
		load_flat_segments(vcpu->vm, &sregs, entry->gdt, entry->mode == BOOT_LONG);
		sregs.cr0 = CR0_PE | CR0_ET | CR0_NE;
	}
	if (entry->mode == BOOT_LONG)
		enter_long_mode(vcpu->vm, &sregs, entry);
	ret = KVM_IOCTL(vcpu->fd, KVM_SET_SREGS, &sregs);
	if (ret >= 0)
		ret = KVM_IOCTL(vcpu->fd, KVM_SET_REGS, &regs);
	return ret < 0 ? ret : 0;
}
