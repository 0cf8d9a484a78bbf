// SPDX-License-Identifier: GPL-2.0
/*
 * Suite nested, on Intel: a guest hypervisor executes VMLAUNCH with a VMCS that is good but for a field or two, L2 one
 * instruction; the verdict, the exit and the guest state in the VMCS are compared.
 */
#include <stdio.h>
#include <string.h>

#include "../../module/check/check.h"
#include "boot/boot.h"
#include "compare/compare.h"
#include "compare/guest.h"
#include "l1.h"
#include "util.h"

#define MSR_VMX_CR0_FIXED0	0x486

extern const char compare_vmx_l1[], compare_vmx_l1_exit[], compare_vmx_l1_end[];

/* Exit information; no rule is about it. */
static const struct {
	const char *name;
	uint32_t encoding;
} exit_fields[] = {
	{ "VM-instruction error", 0x4400 }, { "exit reason", 0x4402 }, { "exit qualification", 0x6400 },
	{ "exit interruption information", 0x4404 }, { "exit interruption error code", 0x4406 },
	{ "IDT-vectoring information", 0x4408 }, { "exit instruction length", 0x440c },
	{ "exit instruction information", 0x440e }, { "guest-linear address", 0x640a },
};

/* L2: an instruction, then VMCALL, which always exits. */
static const struct {
	const char *name;
	uint8_t size, bytes[4];
} l2_insns[] = {
	{ "vmcall", 3, { 0x0f, 0x01, 0xc1 } }, { "cpuid", 2, { 0x0f, 0xa2 } }, { "hlt", 1, { 0xf4 } },
	{ "ud2", 2, { 0x0f, 0x0b } }, { "int3", 1, { 0xcc } }, { "mov %cr0, %rax", 3, { 0x0f, 0x20, 0xc0 } },
	{ "mov %cr3, %rax", 3, { 0x0f, 0x20, 0xd8 } }, { "mov %dr7, %rax", 3, { 0x0f, 0x21, 0xf8 } }, { "pushf", 1, { 0x9c } },
	{ "sgdt (%rsp)", 4, { 0x0f, 0x01, 0x04, 0x24 } }, { "in %dx, %al", 1, { 0xec } }, { "pause", 2, { 0xf3, 0x90 } },
	{ "sti", 1, { 0xfb } }, { "invlpg (%rsp)", 4, { 0x0f, 0x01, 0x3c, 0x24 } }, { "wbinvd", 2, { 0x0f, 0x09 } },
	{ "rdmsr", 2, { 0x0f, 0x32 } }, { "vmread %rax, %rcx", 3, { 0x0f, 0x78, 0xc1 } },
};

/* Words of a step: two fields with values, L2's instruction; the second field does nothing when its value is 0. */
enum { W_FIELD, W_VALUE, W_FIELD2, W_VALUE2, W_INSN };

static bool exists(const struct check_field *f)
{
	return f->where != CHECK_NOWHERE;
}

static unsigned int field_of(const struct step *step, unsigned int word)
{
	unsigned int i = 1 + step__pick(step, word, check_vmx.nr_fields - 1);

	while (!exists(&check_vmx.fields[i]))
		i--;
	return i;
}

static uint64_t good_value(const struct subject *s, unsigned int field)
{
	const struct l1_layout layout = {
		.code = L2_CODE, .stack = L2_STACK, .tables = GUEST_TABLES, .gdt = BOOT_GDT, .idt = GUEST_IDT,
		.host_rip = GUEST_CODE + (uint64_t)(compare_vmx_l1_exit - compare_vmx_l1), .host_rsp = GUEST_STACK - 0x100,
	};

	return l1__vmcs_value(&layout, s->common->msrs, field);
}

static void nested_vmx__describe(const struct step *step, char *buf, size_t size)
{
	int n = snprintf(buf, size, "VMLAUNCH");
	char words[48];

	for (unsigned int w = W_FIELD; w <= W_FIELD2; w += W_FIELD2 - W_FIELD) {
		if (!step->word[w + 1])
			continue;
		step__words(step->word[w + 1], words, sizeof(words));
		n += snprintf(buf + n, size - n, ", %s %s", check_vmx.fields[field_of(step, w)].name, words);
	}
	snprintf(buf + n, size - n, ", L2 executes %s", l2_insns[step__pick(step, W_INSN, ARRAY_SIZE(l2_insns))].name);
}

static void put_pair(struct subject *s, uint32_t list, unsigned int i, uint64_t field, uint64_t value)
{
	uint64_t pair[2] = { field, value };

	memcpy(s->memory + list + i * sizeof(pair), pair, sizeof(pair));
}

/* The fields to write, and behind them those that were changed; a field of ~0 ends the list. */
static void make_vmcs(struct subject *s, const struct step *step)
{
	unsigned int n = 0;

	for (unsigned int i = 1; i < check_vmx.nr_fields; i++)
		if (exists(&check_vmx.fields[i]) && good_value(s, i))
			put_pair(s, VMX_WRITES, n++, check_vmx.fields[i].where, good_value(s, i));
	for (unsigned int w = W_FIELD; w <= W_FIELD2; w += W_FIELD2 - W_FIELD) {
		unsigned int i = field_of(step, w);

		if (step->word[w + 1])
			put_pair(s, VMX_WRITES, n++, check_vmx.fields[i].where,
				 step__mutate(good_value(s, i), step->word[w + 1]));
	}
	put_pair(s, VMX_WRITES, n, ~0ULL, 0);
}

static void make_reads(struct subject *s)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(exit_fields); i++)
		put_pair(s, VMX_READS, n++, exit_fields[i].encoding, 0);
	for (unsigned int i = 1; i < check_vmx.nr_fields; i++)
		if (exists(&check_vmx.fields[i]))
			put_pair(s, VMX_READS, n++, check_vmx.fields[i].where, 0);
	put_pair(s, VMX_READS, n, ~0ULL, 0);
}

static uint64_t read_value(struct subject *s, unsigned int i)
{
	uint64_t value;

	memcpy(&value, s->memory + VMX_READS + 16 * i + 8, sizeof(value));
	return value;
}

static void observe_vmcs(struct subject *s)
{
	unsigned int n = 0;
	uint64_t flags;

	memcpy(&flags, s->memory + VMX_FLAGS, sizeof(flags));
	observe__number(s, "flags behind VMLAUNCH", flags);
	for (size_t i = 0; i < ARRAY_SIZE(exit_fields); i++)
		observe__number(s, exit_fields[i].name, read_value(s, n++));
	for (unsigned int i = 1; i < check_vmx.nr_fields; i++)
		if (exists(&check_vmx.fields[i]))
			observe__number(s, check_vmx.fields[i].name, read_value(s, n++));
}

static void make_l2(struct subject *s, const struct step *step)
{
	unsigned int which = step__pick(step, W_INSN, ARRAY_SIZE(l2_insns));
	static const uint8_t end[] = { 0x0f, 0x01, 0xc1 };

	memcpy(s->memory + L2_CODE, l2_insns[which].bytes, l2_insns[which].size);
	memcpy(s->memory + L2_CODE + l2_insns[which].size, end, sizeof(end));
}

static void nested_vmx__step(struct subject *s, const struct step *step)
{
	struct kvm_regs regs = { .rsp = GUEST_STACK, .rflags = 2 };

	memset(s->memory + VMX_VMCS, 0, 4096);
	make_vmcs(s, step);
	make_reads(s);
	make_l2(s, step);
	memset(s->memory + VMX_FLAGS, 0xff, 8);
	subject__execute(s, compare_vmx_l1, compare_vmx_l1_end - compare_vmx_l1, &regs);
	if (s->over)
		return;
	observe_vmcs(s);
	observe__vcpu(s);
	/* The guest is in root mode now, or somewhere in L2: the next case begins anew. */
	s->over = true;
}

/* Those that follow from others, or from CPUID, can not be set: controls without "true", what CR0 and CR4 may have. */
static bool is_derived(uint32_t index)
{
	return (index >= 0x481 && index <= 0x484) || index == 0x487 || index == 0x489;
}

static int nested_vmx__open(struct subject *s, const struct compare_case *c)
{
	struct kvm_sregs sregs;
	int ret = subject__create_in_long_mode(s, CHIPS_NONE);

	(void)c;
	if (ret)
		return ret;
	for (uint32_t i = 0; i < s->common->msrs->nmsrs; i++) {
		const struct kvm_msr_entry *e = &s->common->msrs->entries[i];

		if (!is_derived(e->index))
			subject__set_msr(s, e->index, e->data);
	}
	subject__set_msr(s, L1_MSR_FEATURE_CONTROL, L1_FEATURE_CONTROL_VMX);
	subject__get_sregs(s, &sregs);
	sregs.cr0 |= l1__msr(s->common->msrs, MSR_VMX_CR0_FIXED0);
	sregs.cr4 |= L1_CR4_VMXE;
	return subject__set_sregs(s, &sregs);
}

static const char *nested_vmx__missing(const struct common *common)
{
	const struct kvm_cpuid_entry2 *e = cpuid__find(common->cpuid, 1, 0);

	return e && e->ecx & 1 << 5 ? NULL : "no VMX for guests";
}

const struct suite nested_vmx_suite = {
	.name = "nested", .summary = "verdicts on VMCSs, and exits of L2", .max_steps = 1, .missing = nested_vmx__missing,
	.open = nested_vmx__open, .step = nested_vmx__step, .describe = nested_vmx__describe,
};
