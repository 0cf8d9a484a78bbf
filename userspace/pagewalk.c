// SPDX-License-Identifier: GPL-2.0
/*
 * A read-only walk of the guest's page tables, for crash reports. It follows
 * 'Paging' in the SDM for 32-bit, PAE, 4-level and 5-level paging, and looks only
 * at presence and page size: rights do not matter to somebody who reads the code.
 */
#include <string.h>

#include "crashdump.h"
#include "util.h"
#include "vm.h"

#define CR0_PG		(1ULL << 31)
#define CR4_PSE		(1ULL << 4)
#define CR4_PAE		(1ULL << 5)
#define CR4_LA57	(1ULL << 12)
#define EFER_LMA	(1ULL << 10)
#define PTE_PRESENT	(1ULL << 0)
#define PTE_LARGE	(1ULL << 7)
#define PTE_ADDR	0x000ffffffffff000ULL

/**
 * struct format - how one paging mode's tables look
 * @levels: how many there are
 * @entry_size: 4 or 8 bytes
 * @bits: index bits of each level
 * @top_bits: index bits of the top level
 * @large: deepest level (1 is the last) at which an entry may map a page
 */
struct format {
	unsigned int levels;
	unsigned int entry_size;
	unsigned int bits;
	unsigned int top_bits;
	unsigned int large;
};

static struct format format_of(const struct kvm_sregs *sregs)
{
	if (sregs->efer & EFER_LMA)
		return (struct format){ sregs->cr4 & CR4_LA57 ? 5 : 4, 8, 9, 9, 3 };
	if (sregs->cr4 & CR4_PAE)
		return (struct format){ 3, 8, 9, 2, 2 };
	return (struct format){ 2, 4, 10, 10, sregs->cr4 & CR4_PSE ? 2 : 1 };
}

static uint64_t root_of(const struct kvm_sregs *sregs, const struct format *f)
{
	if (f->entry_size == 4)
		return sregs->cr3 & 0xfffff000;
	if (f->levels == 3)
		return sregs->cr3 & 0xffffffe0;
	return sregs->cr3 & PTE_ADDR;
}

static bool read_entry(const struct vm *vm, uint64_t gpa, unsigned int size, uint64_t *entry)
{
	const void *p = memory__ptr(vm, gpa, size);

	*entry = 0;
	if (p)
		memcpy(entry, p, size);
	return p;
}

/* A large 32-bit page keeps address bits 39:32 in its entry's bits 20:13. */
static uint64_t frame_of(const struct format *f, unsigned int level, uint64_t entry)
{
	if (f->entry_size == 4 && level == 2)
		return (entry & 0xffc00000) | ((entry >> 13) & 0xff) << 32;
	return entry & PTE_ADDR;
}

static bool is_leaf(const struct format *f, unsigned int level, uint64_t entry)
{
	return level == 1 || (level <= f->large && (entry & PTE_LARGE));
}

/**
 * pagewalk__walk() - translate a linear address as the guest's CPU would
 * @vm: the VM, whose memory holds the tables
 * @sregs: the vCPU's control registers
 * @linear: the address
 * @walk: filled in with every entry on the way
 */
void pagewalk__walk(const struct vm *vm, const struct kvm_sregs *sregs, uint64_t linear,
		    struct walk *walk)
{
	struct format f = format_of(sregs);
	uint64_t table = root_of(sregs, &f);

	*walk = (struct walk){ .mapped = false };
	if (!(sregs->cr0 & CR0_PG)) {
		walk->mapped = true;
		walk->gpa = linear;
		return;
	}
	for (unsigned int level = f.levels; level; level--) {
		unsigned int shift = 12 + (level - 1) * f.bits;
		unsigned int bits = level == f.levels ? f.top_bits : f.bits;
		uint64_t at = table + ((linear >> shift) & ((1u << bits) - 1)) * f.entry_size;
		uint64_t entry, mask = (1ULL << shift) - 1;

		if (!read_entry(vm, at, f.entry_size, &entry)) {
			walk->problem = "the table is outside of RAM";
			return;
		}
		walk->step[walk->levels].level = level;
		walk->step[walk->levels].address = at;
		walk->step[walk->levels++].entry = entry;
		if (!(entry & PTE_PRESENT)) {
			walk->problem = "not present";
			return;
		}
		table = frame_of(&f, level, entry);
		if (is_leaf(&f, level, entry)) {
			walk->mapped = true;
			walk->gpa = (table & ~mask) | (linear & mask);
			return;
		}
	}
}
