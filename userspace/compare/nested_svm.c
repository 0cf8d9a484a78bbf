// SPDX-License-Identifier: GPL-2.0
/*
 * Suite nested, on AMD: a guest hypervisor executes VMRUN with a VMCB that is good but for a field or two, L2 one
 * instruction; the verdict, the exit and the whole VMCB are compared.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../module/check/check.h"
#include "boot/boot.h"
#include "compare/compare.h"
#include "l1.h"
#include "util.h"

#define VMCB		GUEST_OWN
#define HSAVE		(GUEST_OWN + 0x1000)
#define L2_CODE		(GUEST_OWN + 0x2000)
#define L2_STACK	(GUEST_OWN + 0x4000)
#define PERMISSIONS	0x10000u

#define MSR_VM_HSAVE_PA	0xc0010117
#define VMEXIT_INVALID	UINT64_MAX
#define NO_EXIT		0xcccccccc	/* no exit code: L2 runs, or has never run */

static const struct l1_layout layout = {
	.code = L2_CODE, .stack = L2_STACK, .tables = GUEST_TABLES, .gdt = BOOT_GDT, .idt = GUEST_IDT,
	.permissions = PERMISSIONS,
};

/* What exits say, which no rule is about. */
static const struct {
	const char *name;
	uint16_t at, size;
} exit_fields[] = {
	{ "exit_code", 0x70, 8 }, { "exit_info_1", 0x78, 8 }, { "exit_info_2", 0x80, 8 }, { "exit_int_info", 0x88, 8 },
	{ "cr2", 0x640, 8 }, { "rax", 0x5f8, 8 },
};

/* L2: an instruction, then VMMCALL, and HLT should that not be intercepted. */
static const struct {
	const char *name;
	uint8_t size, bytes[4];
} l2_insns[] = {
	{ "vmmcall", 3, { 0x0f, 0x01, 0xd9 } }, { "cpuid", 2, { 0x0f, 0xa2 } }, { "hlt", 1, { 0xf4 } },
	{ "ud2", 2, { 0x0f, 0x0b } }, { "int3", 1, { 0xcc } }, { "mov %cr0, %rax", 3, { 0x0f, 0x20, 0xc0 } },
	{ "mov %dr7, %rax", 3, { 0x0f, 0x21, 0xf8 } }, { "invlpga", 3, { 0x0f, 0x01, 0xdf } }, { "pushf", 1, { 0x9c } },
	{ "sgdt (%rsp)", 4, { 0x0f, 0x01, 0x04, 0x24 } }, { "in %dx, %al", 1, { 0xec } }, { "pause", 2, { 0xf3, 0x90 } },
	{ "vmload", 3, { 0x0f, 0x01, 0xda } }, { "clgi", 3, { 0x0f, 0x01, 0xdd } }, { "sti", 1, { 0xfb } },
	{ "invlpg (%rsp)", 4, { 0x0f, 0x01, 0x3c, 0x24 } }, { "wbinvd", 2, { 0x0f, 0x09 } }, { "rdmsr", 2, { 0x0f, 0x32 } },
};

/* Words of a step: two fields with values, L2's instruction; the second field does nothing when its value is 0. */
enum { W_FIELD, W_VALUE, W_FIELD2, W_VALUE2, W_INSN };

static const struct check_field *field_of(const struct step *step, unsigned int word)
{
	/* Those in memory come last. */
	unsigned int nr = check_svm.nr_fields - 1, i = 1 + step__pick(step, word, nr);

	while (check_svm.fields[i].where == CHECK_NOWHERE)
		i--;
	return &check_svm.fields[i];
}

static uint64_t good_value(const struct check_field *field)
{
	return l1__vmcb_value(&layout, field - check_svm.fields);
}

static void nested_svm__describe(const struct step *step, char *buf, size_t size)
{
	int n = snprintf(buf, size, "VMRUN");

	for (unsigned int w = W_FIELD; w <= W_FIELD2; w += W_FIELD2 - W_FIELD) {
		const struct check_field *f = field_of(step, w);
		uint64_t value = step__mutate(good_value(f), step->word[w + 1]);

		if (step->word[w + 1])
			n += snprintf(buf + n, size - n, " with %s 0x%" PRIx64, f->name,
				      value & (UINT64_MAX >> (64 - 8 * f->bytes)));
	}
	snprintf(buf + n, size - n, ", L2 executes %s", l2_insns[step__pick(step, W_INSN, ARRAY_SIZE(l2_insns))].name);
}

static void put(struct subject *s, const struct check_field *f, uint64_t value)
{
	memcpy(s->memory + VMCB + f->where, &value, f->bytes);
}

static uint64_t *exit_code(const struct subject *s)
{
	return (uint64_t *)(s->memory + VMCB + exit_fields[0].at);
}

/* The clean bits of a VMCB that was run before, and changed since, would be a lie. */
static void make_vmcb(struct subject *s, const struct step *step)
{
	memset(s->memory + VMCB, 0, 4096);
	for (unsigned int i = 1; i < check_svm.nr_fields; i++)
		if (check_svm.fields[i].where != CHECK_NOWHERE)
			put(s, &check_svm.fields[i], good_value(&check_svm.fields[i]));
	for (unsigned int w = W_FIELD; w <= W_FIELD2; w += W_FIELD2 - W_FIELD) {
		const struct check_field *f = field_of(step, w);

		put(s, f, step__mutate(good_value(f), step->word[w + 1]));
	}
	if (s->own[0]++)
		put(s, &check_svm.fields[SF_clean], 0);
	*exit_code(s) = NO_EXIT;
}

static void make_l2(struct subject *s, const struct step *step)
{
	unsigned int which = step__pick(step, W_INSN, ARRAY_SIZE(l2_insns));
	static const uint8_t end[] = { 0x0f, 0x01, 0xd9, 0xf4, 0xeb, 0xfd };

	memcpy(s->memory + L2_CODE, l2_insns[which].bytes, l2_insns[which].size);
	memcpy(s->memory + L2_CODE + l2_insns[which].size, end, sizeof(end));
}

/* Of a VMCB that was refused no more than the exit is defined: upstream may have left that to the CPU. */
static void observe_vmcb(struct subject *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(exit_fields); i++) {
		uint64_t value = 0;

		memcpy(&value, s->memory + VMCB + exit_fields[i].at, exit_fields[i].size);
		observe__number(s, exit_fields[i].name, value);
	}
	for (unsigned int i = 1; i < check_svm.nr_fields; i++) {
		const struct check_field *f = &check_svm.fields[i];
		uint64_t value = 0;

		if (f->where == CHECK_NOWHERE || *exit_code(s) == VMEXIT_INVALID)
			continue;
		memcpy(&value, s->memory + VMCB + f->where, f->bytes);
		observe__number(s, f->name, value);
	}
	memcpy(s->seen + VMCB, s->memory + VMCB, 4096);
	memcpy(s->seen + HSAVE, s->memory + HSAVE, 4096);
}

static void nested_svm__step(struct subject *s, const struct step *step)
{
	static const uint8_t vmrun[] = { 0x0f, 0x01, 0xd8 };
	struct kvm_regs regs = { .rax = VMCB, .rsp = GUEST_STACK, .rflags = 2 };

	make_vmcb(s, step);
	make_l2(s, step);
	memcpy(s->seen + L2_CODE, s->memory + L2_CODE, 4096);
	subject__execute(s, vmrun, sizeof(vmrun), &regs);
	if (s->over)
		return;
	observe_vmcb(s);
	observe__vcpu(s);
	observe__memory(s);
	/* A guest that is left in L2, or stopped, is not where the next step begins. */
	s->over = s->vcpu.run->exit_reason != KVM_EXIT_IO || s->vcpu.run->io.port != PORT_DONE || *exit_code(s) == NO_EXIT;
}

static int nested_svm__open(struct subject *s, const struct compare_case *c)
{
	struct kvm_sregs sregs;
	int ret = subject__create_in_long_mode(s, CHIPS_NONE);

	(void)c;
	if (ret)
		return ret;
	subject__get_sregs(s, &sregs);
	sregs.efer |= L1_EFER_SVME;
	ret = subject__set_sregs(s, &sregs);
	subject__set_msr(s, MSR_VM_HSAVE_PA, HSAVE);
	return ret;
}

static const char *nested_svm__missing(const struct common *common)
{
	const struct kvm_cpuid_entry2 *e = cpuid__find(common->cpuid, 0x80000001, 0);

	return cpuid__is_amd(common->cpuid) && e && e->ecx & 4 ? NULL : "no SVM for guests";
}

const struct suite nested_svm_suite = {
	.name = "nested", .summary = "verdicts on VMCBs, and exits of L2", .max_steps = 4, .missing = nested_svm__missing,
	.open = nested_svm__open, .step = nested_svm__step, .describe = nested_svm__describe,
};
