// SPDX-License-Identifier: GPL-2.0
/*
 * Suite mmu: the guest's page tables with bits changed, memory slots that come, go and are read-only or logged, and
 * accesses through them from both rings: faults, accessed and dirty bits, exits, dirty logs, KVM_TRANSLATE.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compare/compare.h"
#include "util.h"

/* 5 GiB: what the identity map leaves free. The tables are the suite's own pages. */
#define GVA		0x140000000ULL
#define GVA_LARGE	(GVA + 0x200000)
#define PDPT_ENTRY	(GUEST_TABLES + 0x1000 + 5 * 8)
#define PD		GUEST_OWN
#define PT		(GUEST_OWN + 0x1000)

#define SLOT		1
#define SLOT_GPA	GUEST_SIZE
#define SLOT_PAGES	16
#define SLOT_HOST	0x100000	/* offset in the subject's memory */

#define PTE_USER	0x7ULL
#define PTE_LARGE	0x80ULL

enum kind { ACCESS, ENTRY, CONTROL, SET_SLOT, DIRTY_LOG, TRANSLATE, NR_KINDS };

/* Words of a step. */
enum { W_KIND, W_WHAT, W_VALUE, W_RING, W_OFFSET };

/* The entries, and what they are at first. */
static const struct {
	const char *name;
	uint32_t at;
	uint64_t value;
} entries[] = {
	{ "PTE 0", PT, GUEST_DATA | PTE_USER }, { "PTE 1", PT + 8, (GUEST_DATA + 0x1000) | PTE_USER },
	{ "PTE 2", PT + 16, SLOT_GPA | PTE_USER }, { "PTE 3", PT + 24, (SLOT_GPA + 0x1000) | PTE_USER },
	{ "PTE 4", PT + 32, GUEST_MMIO | PTE_USER }, { "PTE 5", PT + 40, GUEST_DATA | PTE_USER },
	{ "PDE 0", PD, PT | PTE_USER }, { "PDE 1", PD + 8, SLOT_GPA | PTE_LARGE | PTE_USER },
	{ "PDPTE", PDPT_ENTRY, PD | PTE_USER },
};

static const struct {
	const char *name;
	uint8_t size, bytes[4];
	bool fetch, write;
} accesses[] = {
	{ "read", 2, { 0x8b, 0x03 }, false, false },		/* mov (%rbx), %eax */
	{ "write", 2, { 0x89, 0x03 }, false, true },		/* mov %eax, (%rbx) */
	{ "increment", 2, { 0xff, 0x03 }, false, true },	/* incl (%rbx) */
	{ "8-byte read", 3, { 0x48, 0x8b, 0x03 }, false, false },
	{ "exchange", 2, { 0x87, 0x03 }, false, true },		/* xchg %eax, (%rbx) */
	{ "jump to", 2, { 0xff, 0xe3 }, true, false },		/* jmp *%rbx */
};

/* At the beginning of each data page: out %al, $PORT_DONE; jmp to it. Writes write the same. */
static const uint8_t landing[] = { 0xe6, PORT_DONE, 0xeb, 0xfc };

/* Controls that change what an entry means; bits of CR0, CR4 and EFER. */
static const struct {
	const char *name;
	char reg;
	uint8_t bit;
} controls[] = {
	{ "CR0.WP", '0', 16 }, { "CR0.AM", '0', 18 }, { "CR4.SMEP", '4', 20 }, { "CR4.SMAP", '4', 21 }, { "CR4.PKE", '4', 22 },
	{ "EFER.NXE", 'e', 11 }, { "CR4.PGE", '4', 7 },
};

static const uint32_t slot_flags[] = { 0, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY };
static const unsigned int slot_pages[] = { SLOT_PAGES, 0, 1, 3 };

static enum kind kind_of(const struct step *step)
{
	/* Accesses are what shows something. */
	unsigned int n = step__pick(step, W_KIND, NR_KINDS + 4);

	return n < NR_KINDS ? n : ACCESS;
}

static uint64_t gva_of(const struct step *step)
{
	static const unsigned int offsets[] = { 0, 0, 0xffe, 0x123 };
	unsigned int page = step->word[W_VALUE] % 8;
	unsigned int offset = offsets[step__pick(step, W_OFFSET, ARRAY_SIZE(offsets))];

	if (accesses[step__pick(step, W_WHAT, ARRAY_SIZE(accesses))].fetch)
		offset = 0;
	return (page == 7 ? GVA_LARGE : GVA + page * 4096ULL) + offset;
}

static unsigned int ring_of(const struct step *step)
{
	return step->word[W_RING] & 1 ? 3 : 0;
}

/* A slot that is there can be neither resized nor made read-only. */
static bool is_anew(const struct step *step)
{
	return step->word[W_RING] & 1;
}

static uint64_t entry_value(const struct step *step)
{
	return step__mutate(entries[step__pick(step, W_WHAT, ARRAY_SIZE(entries))].value, step->word[W_VALUE]);
}

static void mmu__describe(const struct step *step, char *buf, size_t size)
{
	switch (kind_of(step)) {
	case ACCESS:
		snprintf(buf, size, "%s 0x%" PRIx64 " at CPL %u%s",
			 accesses[step__pick(step, W_WHAT, ARRAY_SIZE(accesses))].name, gva_of(step), ring_of(step),
			 step->word[W_RING] & 2 ? " with AC" : "");
		break;
	case ENTRY:
		snprintf(buf, size, "%s = 0x%" PRIx64, entries[step__pick(step, W_WHAT, ARRAY_SIZE(entries))].name,
			 entry_value(step));
		break;
	case CONTROL:
		snprintf(buf, size, "KVM_SET_SREGS with %s the other way",
			 controls[step__pick(step, W_WHAT, ARRAY_SIZE(controls))].name);
		break;
	case SET_SLOT:
		snprintf(buf, size, "KVM_SET_USER_MEMORY_REGION of %u pages with flags 0x%x%s",
			 slot_pages[step->word[W_VALUE] % ARRAY_SIZE(slot_pages)],
			 slot_flags[step__pick(step, W_WHAT, ARRAY_SIZE(slot_flags))],
			 is_anew(step) ? ", after one of none" : "");
		break;
	case DIRTY_LOG:
		snprintf(buf, size, "KVM_GET_DIRTY_LOG");
		break;
	default:
		snprintf(buf, size, "KVM_TRANSLATE 0x%" PRIx64, gva_of(step));
	}
}

static void set_ring(struct subject *s, unsigned int ring)
{
	struct kvm_sregs sregs;

	subject__get_sregs(s, &sregs);
	sregs.cs.dpl = sregs.ss.dpl = ring;
	sregs.cs.selector = (sregs.cs.selector & ~3) | ring;
	sregs.ss.selector = (sregs.ss.selector & ~3) | ring;
	subject__set_sregs(s, &sregs);
}

/* What ioctls change in its tables the guest sees when it has loaded CR3. */
static void flush(struct subject *s)
{
	static const uint8_t reload[] = { 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8 };
	struct kvm_regs regs = { .rsp = GUEST_STACK, .rflags = 2 };

	set_ring(s, 0);
	subject__execute(s, reload, sizeof(reload), &regs);
}

/* In own[0]: pages of the slot that the guest has written to since their log was read. */
static void note_written(struct subject *s, uint64_t gva)
{
	struct kvm_translation t = { .linear_address = gva };
	uint64_t page;

	if (subject__ioctl(s->vcpu.fd, KVM_TRANSLATE, &t) || !t.valid)
		return;
	page = (t.physical_address - SLOT_GPA) / 4096;
	if (page < SLOT_PAGES)
		s->own[0] |= 1ULL << page;
}

static void access_memory(struct subject *s, const struct step *step)
{
	unsigned int which = step__pick(step, W_WHAT, ARRAY_SIZE(accesses));
	struct kvm_regs regs = { .rbx = gva_of(step), .rsp = GUEST_STACK, .rflags = 2 | (step->word[W_RING] & 2 ? 0x43002 : 0x3000) };
	struct kvm_sregs sregs;
	uint32_t value;

	flush(s);
	if (s->over)
		return;
	set_ring(s, ring_of(step));
	memcpy(&value, landing, sizeof(value));
	regs.rax = value;
	subject__execute(s, accesses[which].bytes, accesses[which].size, &regs);
	if (s->over)
		return;
	if (accesses[which].write && s->vcpu.run->exit_reason == KVM_EXIT_IO && s->vcpu.run->io.port == PORT_DONE) {
		note_written(s, regs.rbx);
		note_written(s, regs.rbx + 3);
	}
	observe__regs(s);
	subject__get_sregs(s, &sregs);
	observe__number(s, "cr2", sregs.cr2);
}

static void set_control(struct subject *s, const struct step *step)
{
	unsigned int which = step__pick(step, W_WHAT, ARRAY_SIZE(controls));
	uint64_t bit = 1ULL << controls[which].bit;
	struct kvm_sregs sregs;

	subject__get_sregs(s, &sregs);
	if (controls[which].reg == '0')
		sregs.cr0 ^= bit;
	else if (controls[which].reg == '4')
		sregs.cr4 ^= bit;
	else
		sregs.efer ^= bit;
	observe__result(s, "KVM_SET_SREGS", subject__set_sregs(s, &sregs));
}

static void set_slot(struct subject *s, unsigned int pages, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = SLOT, .flags = flags, .guest_phys_addr = SLOT_GPA, .memory_size = pages * 4096ULL,
		.userspace_addr = (uintptr_t)s->memory + SLOT_HOST,
	};

	s->own[0] = 0;
	observe__result(s, "KVM_SET_USER_MEMORY_REGION", subject__ioctl(s->vm.fd, KVM_SET_USER_MEMORY_REGION, &region));
}

/* Upstream logs what it maps for writing when the guest reads, too, which is no harm: only what was written counts. */
static void get_dirty_log(struct subject *s)
{
	uint64_t bitmap = 0;
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = &bitmap };

	observe__result(s, "KVM_GET_DIRTY_LOG", subject__ioctl(s->vm.fd, KVM_GET_DIRTY_LOG, &log));
	observe__number(s, "dirty pages", bitmap & s->own[0]);
	s->own[0] = 0;
}

static void translate(struct subject *s, const struct step *step)
{
	struct kvm_translation t = { .linear_address = gva_of(step) };

	observe__result(s, "KVM_TRANSLATE", subject__ioctl(s->vcpu.fd, KVM_TRANSLATE, &t));
	observe__number(s, "valid", t.valid);
	observe__number(s, "physical address", t.physical_address);
}

static void observe_entries(struct subject *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		uint64_t value;

		memcpy(&value, s->memory + entries[i].at, sizeof(value));
		observe__number(s, entries[i].name, value);
	}
}

static void mmu__step(struct subject *s, const struct step *step)
{
	uint64_t value = entry_value(step);

	switch (kind_of(step)) {
	case ACCESS:
		access_memory(s, step);
		break;
	case ENTRY:
		memcpy(s->memory + entries[step__pick(step, W_WHAT, ARRAY_SIZE(entries))].at, &value, sizeof(value));
		break;
	case CONTROL:
		set_control(s, step);
		break;
	case SET_SLOT:
		if (is_anew(step))
			set_slot(s, 0, 0);
		set_slot(s, slot_pages[step->word[W_VALUE] % ARRAY_SIZE(slot_pages)],
			 slot_flags[step__pick(step, W_WHAT, ARRAY_SIZE(slot_flags))]);
		break;
	case DIRTY_LOG:
		get_dirty_log(s);
		break;
	default:
		translate(s, step);
	}
	if (s->over)
		return;
	observe_entries(s);
	observe__memory(s);
}

static int mmu__open(struct subject *s, const struct compare_case *c)
{
	int ret = subject__create_in_long_mode(s, CHIPS_NONE);

	(void)c;
	if (ret)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		memcpy(s->memory + entries[i].at, &entries[i].value, sizeof(entries[i].value));
	for (unsigned int page = 0; page < 2; page++)
		memcpy(s->memory + GUEST_DATA + page * 4096, landing, sizeof(landing));
	for (unsigned int page = 0; page < SLOT_PAGES; page++)
		memcpy(s->memory + SLOT_HOST + page * 4096, landing, sizeof(landing));
	set_slot(s, SLOT_PAGES, 0);
	return 0;
}

const struct suite mmu_suite = {
	.name = "mmu", .summary = "page tables, memory slots, dirty logs", .max_steps = MAX_STEPS,
	.open = mmu__open, .step = mmu__step, .describe = mmu__describe,
};
