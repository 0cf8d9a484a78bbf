// SPDX-License-Identifier: GPL-2.0
/*
 * Suite cpu: what the guest's CPU is. CPUID and MSR lists, and single instructions that the hypervisor handles or
 * that change how others behave, each with all registers behind it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/compare.h"
#include "util.h"

#define MAX_LIST	512

/* Instructions with operands in RAX, RCX, RDX, and RBX, which points to memory. */
static const struct insn {
	const char *name;
	uint8_t size, bytes[8];
} insns[] = {
	{ "cpuid", 2, { 0x0f, 0xa2 } },
	{ "rdmsr", 2, { 0x0f, 0x32 } },
	{ "wrmsr", 2, { 0x0f, 0x30 } },
	{ "wrmsr", 2, { 0x0f, 0x30 } },
	{ "mov %rax, %cr0", 3, { 0x0f, 0x22, 0xc0 } },
	{ "mov %cr0, %rax", 3, { 0x0f, 0x20, 0xc0 } },
	{ "mov %rax, %cr2", 3, { 0x0f, 0x22, 0xd0 } },
	{ "mov %rax, %cr4", 3, { 0x0f, 0x22, 0xe0 } },
	{ "mov %cr4, %rax", 3, { 0x0f, 0x20, 0xe0 } },
	{ "mov %rax, %cr8", 4, { 0x44, 0x0f, 0x22, 0xc0 } },
	{ "mov %cr8, %rax", 4, { 0x44, 0x0f, 0x20, 0xc0 } },
	{ "mov %rax, %cr1", 3, { 0x0f, 0x22, 0xc8 } },
	{ "mov %rax, %dr0", 3, { 0x0f, 0x23, 0xc0 } },
	{ "mov %rax, %dr3", 3, { 0x0f, 0x23, 0xd8 } },
	{ "mov %rax, %dr4", 3, { 0x0f, 0x23, 0xe0 } },
	{ "mov %rax, %dr6", 3, { 0x0f, 0x23, 0xf0 } },
	{ "mov %rax, %dr7", 3, { 0x0f, 0x23, 0xf8 } },
	{ "mov %dr6, %rax", 3, { 0x0f, 0x21, 0xf0 } },
	{ "mov %dr7, %rax", 3, { 0x0f, 0x21, 0xf8 } },
	{ "xsetbv", 3, { 0x0f, 0x01, 0xd1 } },
	{ "xgetbv", 3, { 0x0f, 0x01, 0xd0 } },
	{ "lmsw %ax", 3, { 0x0f, 0x01, 0xf0 } },
	{ "smsw %rax", 4, { 0x48, 0x0f, 0x01, 0xe0 } },
	{ "clts", 2, { 0x0f, 0x06 } },
	{ "invd", 2, { 0x0f, 0x08 } },
	{ "wbinvd", 2, { 0x0f, 0x09 } },
	{ "invlpg (%rbx)", 3, { 0x0f, 0x01, 0x3b } },
	{ "invpcid (%rbx), %rax", 5, { 0x66, 0x0f, 0x38, 0x82, 0x03 } },
	{ "swapgs", 3, { 0x0f, 0x01, 0xf8 } },
	{ "wrfsbase %rax", 5, { 0xf3, 0x48, 0x0f, 0xae, 0xd0 } },
	{ "rdgsbase %rax", 5, { 0xf3, 0x48, 0x0f, 0xae, 0xc8 } },
	{ "rdpid %rax", 4, { 0xf3, 0x0f, 0xc7, 0xf8 } },
	{ "monitor", 3, { 0x0f, 0x01, 0xc8 } },
	{ "mwait", 3, { 0x0f, 0x01, 0xc9 } },
	{ "pause", 2, { 0xf3, 0x90 } },
	{ "vmcall", 3, { 0x0f, 0x01, 0xc1 } },
	{ "vmmcall", 3, { 0x0f, 0x01, 0xd9 } },
	{ "hlt", 1, { 0xf4 } },
	{ "in %dx, %eax", 1, { 0xed } },
	{ "out %al, %dx", 1, { 0xee } },
	{ "outsl", 1, { 0x6f } },
	{ "insb", 1, { 0x6c } },
	{ "ud2", 2, { 0x0f, 0x0b } },
	{ "int3", 1, { 0xcc } },
	{ "int $0x20", 2, { 0xcd, 0x20 } },
	{ "int1", 1, { 0xf1 } },
	{ "sgdt (%rbx)", 3, { 0x0f, 0x01, 0x03 } },
	{ "sidt (%rbx)", 3, { 0x0f, 0x01, 0x0b } },
	{ "lldt %ax", 3, { 0x0f, 0x00, 0xd0 } },
	{ "ltr %ax", 3, { 0x0f, 0x00, 0xd8 } },
	{ "str %rax", 4, { 0x48, 0x0f, 0x00, 0xc8 } },
	{ "mov %ax, %ss", 2, { 0x8e, 0xd0 } },
	{ "mov %ax, %ds", 2, { 0x8e, 0xd8 } },
	{ "push %rax; popf", 2, { 0x50, 0x9d } },
	{ "pushf; pop %rax", 2, { 0x9c, 0x58 } },
	{ "sti", 1, { 0xfb } },
	{ "syscall", 2, { 0x0f, 0x05 } },
	{ "sysenter", 2, { 0x0f, 0x34 } },
	{ "rdpmc", 2, { 0x0f, 0x33 } },
	{ "rsm", 2, { 0x0f, 0xaa } },
	{ "vmload", 3, { 0x0f, 0x01, 0xda } },
	{ "vmrun", 3, { 0x0f, 0x01, 0xd8 } },
	{ "stgi", 3, { 0x0f, 0x01, 0xdc } },
	{ "vmxon (%rbx)", 4, { 0xf3, 0x0f, 0xc7, 0x33 } },
	{ "vmread %rax, %rcx", 3, { 0x0f, 0x78, 0xc1 } },
	{ "xsaves (%rbx)", 3, { 0x0f, 0xc7, 0x2b } },
};

/* MSRs whose value is not a matter of time. */
static const uint32_t msrs[] = {
	0x277, 0x1b, 0x3a, 0x3b, 0x48, 0x49, 0x8b, 0xce, 0xcd, 0xfe, 0x10a, 0x10b, 0x122, 0x140, 0x174, 0x175, 0x176, 0x179,
	0x17a, 0x17b, 0x17f, 0x186, 0x198, 0x199, 0x1a0, 0x1a2, 0x1a6, 0x1b0, 0x1d9, 0x1dc, 0x1fc, 0x200, 0x201, 0x20f, 0x250,
	0x258, 0x268, 0x26f, 0x280, 0x2ff, 0x300, 0x309, 0x345, 0x38d, 0x38f, 0x390, 0x400, 0x401, 0x403, 0x434, 0x480, 0x485,
	0x48b, 0x490, 0x491, 0x560, 0x606, 0x6a0, 0x6a2, 0x6a4, 0x6a8, 0x6e1, 0x802, 0x808, 0xda0, 0xd90, 0xc0000080,
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0000104, 0xc001001f,
	0xc0010010, 0xc0010015, 0xc0010016, 0xc0010055, 0xc0010058, 0xc0010063, 0xc0010064, 0xc0010111, 0xc0010112, 0xc0010114,
	0xc0010115, 0xc0010117, 0xc001011f, 0xc0011020, 0xc0011022, 0xc0011029, 0xc001102c, 0x4b564d02, 0x4b564d03, 0x4b564d04,
	0x4b564d05, 0x4b564d07, 0x40000000, 0x40000021, 0, 0x1, 0x2, 0xffffffff,
};

static const uint32_t leaves[] = {
	0, 1, 2, 3, 4, 5, 6, 7, 9, 0xa, 0xb, 0xd, 0xf, 0x10, 0x12, 0x14, 0x15, 0x16, 0x19, 0x1d, 0x1f, 0x24, 0x40000000,
	0x40000001, 0x40000002, 0x80000000, 0x80000001, 0x80000002, 0x80000005, 0x80000006, 0x80000007, 0x80000008,
	0x8000000a, 0x80000019, 0x8000001a, 0x8000001d, 0x8000001e, 0x8000001f, 0x80000021, 0x80000022, 0xc0000000, 0xffffffff,
};

/* Words of a step: the instruction, and what RAX, RCX, RDX and RFLAGS are made of. */
enum { W_INSN, W_RAX, W_RCX, W_RDX, W_FLAGS, W_RING };

#define RFLAGS_SETTABLE	0x244dd5ULL	/* no VM, no VIF, no VIP */
#define RING3_ONE_IN	8
#define CR4_MCE		0x40

static const struct insn *insn_of(const struct step *step)
{
	return &insns[step__pick(step, W_INSN, ARRAY_SIZE(insns))];
}

static bool is(const struct insn *insn, const char *name)
{
	return !strncmp(insn->name, name, strlen(name));
}

static bool in_ring_3(const struct step *step)
{
	return step->word[W_RING] && !(step->word[W_RING] % RING3_ONE_IN);
}

/* Values that are near to what the instruction is about. */
static void choose_registers(const struct step *step, const struct insn *insn, const struct kvm_sregs *sregs,
			     struct kvm_regs *regs)
{
	uint64_t rax = 0;

	if (is(insn, "mov %rax, %cr0") || is(insn, "lmsw"))
		rax = sregs->cr0;
	else if (is(insn, "mov %rax, %cr4"))
		rax = sregs->cr4;
	regs->rax = step__mutate(rax, step->word[W_RAX]);
	/* Where upstream has to emulate these it drops bits 63:32, and those of CR0 it leaves to the CPU: QEMU's ignores them. */
	if (is(insn, "mov %rax, %cr0") || is(insn, "mov %rax, %cr4"))
		regs->rax &= UINT32_MAX;
	/* On AMD upstream's guests see the host's CR4.MCE. */
	if (is(insn, "mov %rax, %cr4"))
		regs->rax |= CR4_MCE;
	regs->rcx = step__mutate(0, step->word[W_RCX]);
	regs->rdx = step__mutate(0, step->word[W_RDX]);
	if (is(insn, "cpuid")) {
		regs->rax = leaves[step->word[W_RAX] % ARRAY_SIZE(leaves)];
		regs->rcx &= 0xf;
	} else if (is(insn, "rdmsr") || is(insn, "wrmsr")) {
		regs->rcx = msrs[step->word[W_RCX] % ARRAY_SIZE(msrs)];
		if (!(step->word[W_RDX] & 3))
			regs->rdx = 0;
	} else if (is(insn, "in") || is(insn, "out")) {
		/* Ports that nothing in the kernel claims. */
		regs->rdx = 0xe00 | (regs->rdx & 0xff);
	}
	regs->rbx = regs->rsi = regs->rdi = GUEST_DATA + 0x100;
	regs->rsp = GUEST_STACK - 0x100;
	regs->rflags = 2 | (step__mutate(0, step->word[W_FLAGS]) & RFLAGS_SETTABLE);
}

static void cpu__describe(const struct step *step, char *buf, size_t size)
{
	const struct insn *insn = insn_of(step);
	struct kvm_regs regs = { 0 };
	struct kvm_sregs unknown = { 0 };

	choose_registers(step, insn, &unknown, &regs);
	snprintf(buf, size, "%s with rax 0x%llx%s, rcx 0x%llx, rdx 0x%llx, rflags 0x%llx%s", insn->name, regs.rax,
		 is(insn, "mov %rax, %cr") || is(insn, "lmsw") ? " (bits to change)" : "", regs.rcx, regs.rdx, regs.rflags,
		 in_ring_3(step) ? ", CPL 3" : "");
}

static void set_ring(struct subject *s, struct kvm_sregs *sregs, unsigned int ring)
{
	struct kvm_segment *segments[] = { &sregs->cs, &sregs->ss, &sregs->ds, &sregs->es };

	if (sregs->cs.dpl == ring)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
		segments[i]->dpl = ring;
		segments[i]->selector = (segments[i]->selector & ~3) | ring;
	}
	subject__set_sregs(s, sregs);
}

/* An exception leaves the CPU in ring 0, where the next step finds it. */
static void cpu__step(struct subject *s, const struct step *step)
{
	const struct insn *insn = insn_of(step);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	subject__get_sregs(s, &sregs);
	if (sregs.cr0 & 1)
		set_ring(s, &sregs, in_ring_3(step) ? 3 : 0);
	memset(&regs, 0, sizeof(regs));
	choose_registers(step, insn, &sregs, &regs);
	subject__execute(s, insn->bytes, insn->size, &regs);
	if (s->over)
		return;
	observe__vcpu(s);
	observe__memory(s);
}

static int cpu__open(struct subject *s, const struct compare_case *c)
{
	int ret = subject__create_in_long_mode(s, CHIPS_NONE);
	struct kvm_sregs sregs;

	(void)c;
	if (ret)
		return ret;
	subject__get_sregs(s, &sregs);
	sregs.cr4 |= CR4_MCE;
	return subject__set_sregs(s, &sregs);
}

static void list_cpuid(struct subject *s, const char *const names[4], unsigned long request)
{
	struct kvm_cpuid2 *list = xcalloc(1, sizeof(*list) + MAX_LIST * sizeof(list->entries[0]));

	list->nent = MAX_LIST;
	if (!subject__ioctl(s->kvm->fd, request, list))
		for (uint32_t i = 0; i < list->nent; i++) {
			const struct kvm_cpuid_entry2 *e = &list->entries[i];
			uint64_t at = (uint64_t)e->function << 16 | e->index;

			observe__at(s, names[0], at, e->eax);
			observe__at(s, names[1], at, e->ebx);
			observe__at(s, names[2], at, e->ecx);
			observe__at(s, names[3], at, e->edx);
		}
	free(list);
}

static void list_msrs(struct subject *s, const char *name, unsigned long request, bool values)
{
	struct kvm_msr_list *list = xcalloc(1, sizeof(*list) + MAX_LIST * sizeof(list->indices[0]));

	list->nmsrs = MAX_LIST;
	if (!subject__ioctl(s->kvm->fd, request, list))
		for (uint32_t i = 0; i < list->nmsrs; i++) {
			struct { struct kvm_msrs list; struct kvm_msr_entry entry; } msr = {
				.list.nmsrs = 1, .entry.index = list->indices[i],
			};

			if (values)
				subject__ioctl(s->kvm->fd, KVM_GET_MSRS, &msr);
			observe__at(s, name, list->indices[i], msr.entry.data);
		}
	free(list);
}

static void cpu__lists(struct subject *s)
{
	static const char *const supported[] = { "CPUID EAX", "CPUID EBX", "CPUID ECX", "CPUID EDX" };
	static const char *const emulated[] = {
		"emulated CPUID EAX", "emulated CPUID EBX", "emulated CPUID ECX", "emulated CPUID EDX",
	};

	list_cpuid(s, supported, KVM_GET_SUPPORTED_CPUID);
	list_cpuid(s, emulated, KVM_GET_EMULATED_CPUID);
	list_msrs(s, "MSR", KVM_GET_MSR_INDEX_LIST, false);
	list_msrs(s, "feature MSR", KVM_GET_MSR_FEATURE_INDEX_LIST, true);
}

const struct suite cpu_suite = {
	.name = "cpu", .summary = "CPUID, MSRs, control registers, exits", .max_steps = MAX_STEPS,
	.lists = cpu__lists, .open = cpu__open, .step = cpu__step, .describe = cpu__describe,
};
