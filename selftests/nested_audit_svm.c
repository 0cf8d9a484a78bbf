// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a VMRUN that is refused leaves nothing behind, for each rule of the APM that it can break: L1's registers and
 * memory are as they were but for what #VMEXIT writes, what L1 has flushed before is flushed, the VMCB without the mistake
 * runs, and the host keeps nothing. The same for KVM_SET_NESTED_STATE.
 *
 * On emulators that flush at every VM entry and exit a flush that is lost goes unseen. Upstream's kvm-amd (7.3) fails the
 * checks of what it does not look at: nCR3, G_PAT, SEV, AVIC, and exceptions that 64-bit mode does not raise.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 */
#include <asm/processor-flags.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "../userspace/check/breach.h"
#include "nested.h"
#include "svm.h"
#include "tap.h"
#include "usage.h"

L2_CODE_BLOCK(
	"l2_look: mov 0x3a000, %eax\n vmmcall\n"
	"l2_say: mov $0x200, %dx\n out %al, %dx\n mov 0x3a000, %eax\n vmmcall\n"
	/*
	 * L1's: read at R8, write RDI to the page-table entry at RSI and R11 to the nested one at R13, flush both, VMRUN of
	 * RAX, read again; then as always.
	 */
	"l1_audit: mov (%r8), %r9\n mov %rdi, (%rsi)\n invlpg (%r8)\n"
	" mov %r11, (%r13)\n mov %rax, %r12\n mov $0x3a000, %eax\n mov $1, %ecx\n invlpga\n mov %r12, %rax\n"
	" 1: vmrun\n mov (%r8), %r10\n out %al, $0x70\n jmp 1b\n"
);
extern const char l2_look[], l2_say[], l1_audit[];

/* Pages whose first word is their number; the same offsets are in the second 2 MiB. */
#define A		0x3b000ull
#define B		0x3c000ull
#define WINDOW		0x2000000ull	/* L1's: the first or the second 2 MiB */
#define WINDOW_ENTRY	(L1_TABLES + 0x2000 + 8 * (WINDOW >> 21))
#define NPT_ENTRY	(L1_NPT + 0x3000 + 8 * (L2_DATA >> 12))
#define NO_MEMORY	0x10000000ull

/* Accessed and dirty already. */
#define PTE		0x67ull
#define LARGE		0xe7ull

enum { A_LOW = 1, B_LOW, A_HIGH };

static struct svm_test t;
static struct test_vmcb good;

static uint64_t *at(uint64_t gpa)
{
	return (uint64_t *)(t.memory + gpa);
}

static void prepare(const char *label)
{
	svm_prepare(&t, label);
	svm_make_npt(&t, false);
	t.vmcb->tlb_control = 0;
	*at(A) = A_LOW;
	*at(B) = B_LOW;
	*at(A + L1_HIGH) = A_HIGH;
	/* Where it was: L1 flushes what it changes, and nobody else does. */
	*at(WINDOW_ENTRY) = (*at(WINDOW_ENTRY) & L1_HIGH) | LARGE;
	*at(NPT_ENTRY) = A | PTE;
	good = *t.vmcb;
}

static uint64_t field_value(const struct test_vmcb *v, const struct check_field *f)
{
	uint64_t value = 0;

	memcpy(&value, (const char *)v + f->where, f->bytes);
	return value;
}

/* The VMCB, and the CPU that the guest sees. Bits 63:32 of CR4 and EFER are reserved; which others are does not matter. */
static void get_state(struct check_state *state)
{
	unsigned int i;

	check_init(state, &check_svm);
	for (i = 1; i < SF_NR; i++)
		if (check_svm.fields[i].where != CHECK_NOWHERE)
			check_set(state, i, field_value(&good, &check_svm.fields[i]));
	check_set(state, SF_vmcb_address, L1_VMCB);
	state->caps[SCAP_physical_bits] = physical_bits();
	state->caps[SCAP_features] = t.features;
	state->caps[SCAP_linear_bits] = 48;
	state->caps[SCAP_cr4_settable] = state->caps[SCAP_efer_settable] = 0xffffffff;
	state->caps[SCAP_cr3_settable] = (1ull << physical_bits()) - 1;
	state->caps[SCAP_long_mode] = 1;
}

/* Where @broken differs from the good VMCB, into @v. The operand of VMRUN. */
static uint64_t put_state(const struct check_state *broken, struct test_vmcb *v)
{
	unsigned int i;

	for (i = 1; i < SF_NR; i++) {
		const struct check_field *f = &check_svm.fields[i];

		if (f->where != CHECK_NOWHERE && broken->values[i] != field_value(&good, f))
			memcpy((char *)v + f->where, &broken->values[i], f->bytes);
	}
	return broken->values[SF_vmcb_address];
}

/* Fields that #VMEXIT writes when there is nothing to run. */
static void forget_exit(struct test_vmcb *v)
{
	v->exit_code = v->exit_info_1 = v->exit_info_2 = 0;
	v->exit_int_info = v->exit_int_info_err = v->event_inj = v->event_inj_err = 0;
}

static uint8_t memory[SVM_MEMORY];

/* All of L1's memory but for its stack, what is at VM_HSAVE_PA, and the VMCB, which is compared by fields. */
static bool same_memory(const struct test_vmcb *vmcb)
{
	struct test_vmcb before = *vmcb, after = *t.vmcb;

	forget_exit(&before);
	forget_exit(&after);
	if (memcmp(&before, &after, sizeof(before)))
		return false;
	memcpy(memory + L1_VMCB, t.memory + L1_VMCB, 0x2000);
	memcpy(memory + L1_STACK - 0x1000, t.memory + L1_STACK - 0x1000, 0x1000);
	memcpy(memory + (WINDOW_ENTRY & ~0xfffull), t.memory + (WINDOW_ENTRY & ~0xfffull), 0x1000);
	return !memcmp(memory, t.memory, SVM_MEMORY);
}

static bool exited(int port, uint64_t code)
{
	if (port == SVM_DONE && t.vmcb->exit_code == code)
		return true;
	tap_note("port %#x, exit code %#llx, RIP %#llx", port, (unsigned long long)t.vmcb->exit_code,
		 (unsigned long long)t.vmcb->rip);
	return false;
}

/* L1 maps another page for itself, and one for L2, and executes VMRUN with @rax. */
static int run_audit(uint64_t rax)
{
	struct kvm_regs regs = {
		.rip = svm_l2_address(l1_audit), .rsp = L1_STACK, .rflags = 2, .rax = rax,
		.rsi = WINDOW_ENTRY, .rdi = *at(WINDOW_ENTRY) ^ L1_HIGH, .r8 = WINDOW + A,
		.r13 = NPT_ENTRY, .r11 = *at(NPT_ENTRY) ^ A ^ B,
	};

	KVM(t.vcpu, KVM_SET_REGS, &regs);
	return svm_run(&t);
}

/* The VMCB in memory is refused as @vector, or as VMEXIT_INVALID where that is 0. */
static void audit(const char *name, uint64_t rax, unsigned int vector)
{
	static struct image before, after;
	struct test_vmcb vmcb = *t.vmcb;
	const struct kvm_regs *r = &after.regs;
	bool was_high = *at(WINDOW_ENTRY) & L1_HIGH;
	struct nested_state state;
	int port;

	/* What the last exit has left is not what this one leaves. */
	t.vmcb->exit_info_1 = t.vmcb->exit_info_2 = vmcb.exit_info_1 = 0x5a5a;
	image_take(t.sys, t.vcpu, &before);
	memcpy(memory, t.memory, SVM_MEMORY);
	port = run_audit(rax);
	memcpy(memory + (NPT_ENTRY & ~0xfffull), t.memory + (NPT_ENTRY & ~0xfffull), 0x1000);
	image_take(t.sys, t.vcpu, &after);
	if (vector)
		tap_check(port == SVM_HANDLER + (int)vector, "%s: exception %u", name, vector);
	else
		tap_check(exited(port, EXIT_INVALID), "%s: VMEXIT_INVALID", name);
	tap_check(same_memory(&vmcb), "%s: L1's memory is as it was", name);
	nested_get(t.vcpu, &state);
	tap_check(!(state.head.flags & KVM_STATE_NESTED_GUEST_MODE), "%s: L1 runs", name);
	if (!vector) {
		tap_check(image_same(&before, &after) && r->rax == rax && r->rsp == L1_STACK,
			  "%s: L1's registers are as they were", name);
		tap_check(r->r9 == (was_high ? A_HIGH : A_LOW) && r->r10 == (was_high ? A_LOW : A_HIGH),
			  "%s: L1's flush is not lost", name);
		tap_check(!(state.head.flags & KVM_STATE_NESTED_GIF_SET), "%s: GIF is clear", name);
	}

	*t.vmcb = good;
	port = vector ? run_audit(L1_VMCB) : svm_continue(&t);
	tap_check(exited(port, EXIT_VMMCALL), "%s: without the mistake it runs", name);
	tap_check(t.vmcb->rax == (*at(NPT_ENTRY) == (A | PTE) ? A_LOW : B_LOW), "%s: L2's flush is not lost", name);
	*t.vmcb = good;
}

/* A CPU without any feature has as many. */
#define MIN_RULES	24

static void test_rules(void)
{
	struct check_state state, broken;
	unsigned int i, nr = 0;

	prepare(l2_look);
	/* All accessed bits that L1 and L2 ever set. */
	tap_check(run_audit(L1_VMCB + 1) == SVM_HANDLER + 13 && exited(run_audit(L1_VMCB), EXIT_VMMCALL), "a VMCB runs");
	*t.vmcb = good;
	get_state(&state);
	for (i = 0; i < check_svm.nr_rules; i++) {
		const struct check_rule *rule = &check_svm.rules[i];

		if (rule->effect == CHECK_ADVICE)
			continue;
		if (!breach__find(rule, &state, 2, &broken)) {
			tap_note("%s is of a feature that L1 is not offered, or cannot be broken alone", rule->id);
			continue;
		}
		nr++;
		audit(rule->id, put_state(&broken, t.vmcb), rule->effect == CHECK_GP ? 13 : 0);
	}
	tap_check(nr >= MIN_RULES, "%u rules were broken, one by one", nr);
}

/*
 * Without paging no rule asks for anything in CR3, and emulators refuse reserved bits in it nevertheless: L0 learns that from its
 * CPU. One that does not mind runs L2.
 */
static void break_for_cpu(void)
{
	t.vmcb->cr0 &= ~(uint64_t)X86_CR0_PG;
	t.vmcb->cr3 |= 1ull << 58;
}

static void test_cpu_refuses(void)
{
	prepare(l2_look);
	break_for_cpu();
	if (exited(run_audit(L1_VMCB), EXIT_INVALID)) {
		prepare(l2_look);
		tap_check(exited(run_audit(L1_VMCB), EXIT_VMMCALL), "a VMCB runs");
		*t.vmcb = good;
		break_for_cpu();
		audit("bits of CR3 that this CPU alone refuses", L1_VMCB, 0);
	} else {
		tap_check(exited(SVM_DONE, EXIT_VMMCALL), "bits of CR3 are nothing to this CPU without paging");
	}
}

/* What VMRUN needs that is not in the VMCB, or not in memory. */
static void test_memory(void)
{
	struct kvm_regs regs;

	prepare(l2_look);
	svm_intercept(&t, EXIT_MSR);
	t.vmcb->msrpm = NO_MEMORY;
	audit("an MSR permission map where no memory is", L1_VMCB, 0);

	svm_set_msr(&t, MSR_VM_HSAVE_PA, 0);
	tap_check(run_audit(L1_VMCB) == SVM_HANDLER + 13, "VM_HSAVE_PA is 0: #GP");
	svm_set_msr(&t, MSR_VM_HSAVE_PA, L1_HSAVE);
	tap_check(exited(run_audit(L1_VMCB), EXIT_VMMCALL), "VM_HSAVE_PA is set: L2 runs");

	tap_check(run_audit(NO_MEMORY) < 0 && t.run->exit_reason == KVM_EXIT_INTERNAL_ERROR,
		  "a VMCB where no memory is: KVM_EXIT_INTERNAL_ERROR");
	KVM(t.vcpu, KVM_GET_REGS, &regs);
	tap_check(regs.rax == NO_MEMORY, "at VMRUN");
	regs.rax = L1_VMCB;
	KVM(t.vcpu, KVM_SET_REGS, &regs);
	tap_check(exited(svm_continue(&t), EXIT_VMMCALL), "which can be executed again");
}

/* APM volume 2, VMRUN Instruction: what #VMEXIT writes into the VMCB. Reserved bytes, and what VMLOAD loads, stay. */
static void test_untouched(void)
{
	static const struct { const char *name; size_t offset, size; } kept[] = {
#define KEPT(field)	{ #field, offsetof(struct test_vmcb, field), sizeof(good.field) }
		KEPT(intercepts), KEPT(r018), KEPT(pause_threshold), KEPT(pause_count), KEPT(iopm), KEPT(msrpm),
		KEPT(tsc_offset), KEPT(asid), KEPT(tlb_control), KEPT(r05d), KEPT(nested_ctl), KEPT(r098),
		KEPT(nested_cr3), KEPT(virt_ext), KEPT(clean), KEPT(r0c4), KEPT(r0e0), KEPT(hv_control), KEPT(hv_vp_id),
		KEPT(hv_vm_id), KEPT(hv_partition_assist), KEPT(r3f8), KEPT(fs), KEPT(gs), KEPT(ldtr), KEPT(tr), KEPT(r4a0),
		KEPT(r4cc), KEPT(r4d8), KEPT(r580), KEPT(star), KEPT(lstar), KEPT(cstar), KEPT(sfmask),
		KEPT(kernel_gs_base), KEPT(sysenter_cs), KEPT(sysenter_esp), KEPT(sysenter_eip), KEPT(r648), KEPT(dbgctl),
		KEPT(branches), KEPT(r698),
	};
	static const size_t filled[][2] = {
#define FILL(field)	{ offsetof(struct test_vmcb, field), sizeof(good.field) }
		FILL(r018), FILL(r05d), FILL(r0c4), FILL(r0e0), FILL(r3f8), FILL(fs), FILL(gs), FILL(ldtr), FILL(tr),
		FILL(r4a0), FILL(r4cc), FILL(r4d8), FILL(r580), FILL(star), FILL(lstar), FILL(cstar), FILL(sfmask),
		FILL(kernel_gs_base), FILL(sysenter_cs), FILL(sysenter_esp), FILL(sysenter_eip), FILL(r648), FILL(dbgctl),
		FILL(branches), FILL(r698),
	};
	struct test_vmcb before;
	unsigned int i;

	prepare(l2_look);
	for (i = 0; i < sizeof(filled) / sizeof(filled[0]); i++)
		memset((char *)t.vmcb + filled[i][0], 0x5a, filled[i][1]);
	t.vmcb->clean = 0x3ff;
	t.vmcb->tsc_offset = 0x123456789;
	before = *t.vmcb;
	tap_check(exited(svm_run(&t), EXIT_VMMCALL), "a VMCB runs whatever is in reserved fields");
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		tap_check(!memcmp((char *)&before + kept[i].offset, (char *)t.vmcb + kept[i].offset, kept[i].size),
			  "#VMEXIT leaves %s as it is", kept[i].name);
}

/* L1's part of a saved state, with one mistake each. */
static const struct mistake {
	const char *name;
	size_t offset;
	uint64_t clear, set;
} mistakes[] = {
#define WRONG(name, field, clear, set)	{ name, offsetof(struct test_vmcb, field), clear, set }
	WRONG("CR0.PG is 0", cr0, 1ull << 31, 0),
	WRONG("CR0.PE is 0", cr0, 1, 0),
	WRONG("CR0.NW without CD", cr0, 0, 1ull << 29),
	WRONG("CR0 above bit 31", cr0, 0, 1ull << 32),
	WRONG("CR3 beyond the physical addresses", cr3, 0, 1ull << 60),
	WRONG("a reserved bit of CR4", cr4, 0, 1ull << 40),
	WRONG("long mode without PAE", cr4, 0x20, 0),
	WRONG("EFER.SVME is 0", efer, 0x1000, 0),
	WRONG("EFER.LMA without LME", efer, 0x100, 0),
	WRONG("a reserved bit of EFER", efer, 0, 1ull << 40),
	WRONG("RFLAGS.VM", rflags, 0, 1ull << 17),
	WRONG("DR6 above bit 31", dr6, 0, 1ull << 32),
	WRONG("DR7 above bit 31", dr7, 0, 1ull << 32),
	WRONG("CS.L and CS.D", cs.attrib, 0, 0x400),
};

/* @bad is refused, by a vCPU that is in the state @now, and nothing of it is left. */
static void refuse_state(const char *name, const struct nested_state *bad, const struct nested_state *now)
{
	static struct image before, after;

	image_take(t.sys, t.vcpu, &before);
	if (!tap_check(kvm_raw(t.vcpu, KVM_SET_NESTED_STATE, bad) == -EINVAL, "KVM_SET_NESTED_STATE: %s", name)) {
		nested_put(t.vcpu, now, &before);
		return;
	}
	image_take(t.sys, t.vcpu, &after);
	tap_check(nested_is(t.vcpu, now) && image_same(&before, &after) &&
		  !memcmp(&before.regs, &after.regs, sizeof(before.regs)), "%s: nothing has changed", name);
}

/* Whether a rule looks at controls only: L2's registers are not in the state. */
static bool about_controls(const struct check_state *broken)
{
	unsigned int i;

	for (i = 1; i < SF_NR; i++) {
		const struct check_field *f = &check_svm.fields[i];

		if (f->where != CHECK_NOWHERE && f->where >= offsetof(struct test_vmcb, es) &&
		    broken->values[i] != field_value(&good, f))
			return false;
	}
	return true;
}

static void refuse_states(const struct nested_state *saved, const struct nested_state *now)
{
	struct check_state state, broken;
	struct nested_state bad;
	unsigned int i;

	get_state(&state);
	for (i = 0; i < check_svm.nr_rules; i++) {
		const struct check_rule *rule = &check_svm.rules[i];

		if (rule->effect != CHECK_VMEXIT_INVALID || !breach__find(rule, &state, 1, &broken) ||
		    !about_controls(&broken))
			continue;
		bad = *saved;
		put_state(&broken, (struct test_vmcb *)bad.data);
		refuse_state(rule->id, &bad, now);
	}
	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		uint64_t value;

		bad = *saved;
		memcpy(&value, bad.data + mistakes[i].offset, sizeof(value));
		value = (value & ~mistakes[i].clear) | mistakes[i].set;
		memcpy(bad.data + mistakes[i].offset, &value, sizeof(value));
		refuse_state(mistakes[i].name, &bad, now);
	}
}

static void test_states(void)
{
	struct nested_state in_l2, in_l1;
	struct kvm_nested_state none = nested_none(KVM_STATE_NESTED_FORMAT_SVM);
	struct kvm_sregs s;

	prepare(l2_say);
	t.vmcb->tlb_control = 1;
	tap_check(svm_run(&t) == SVM_L2_PORT, "L2 runs");
	nested_get(t.vcpu, &in_l2);
	refuse_states(&in_l2, &in_l2);
	tap_check(exited(svm_continue(&t), EXIT_VMMCALL), "L2 goes on after all that");
	tap_check(t.vmcb->rax == A_LOW, "on its page tables");
	KVM(t.vcpu, KVM_GET_SREGS, &s);
	tap_check(s.cr3 == L1_TABLES && s.cr4 == 0x20 && s.efer == 0x1500, "and L1 on its own");

	nested_get(t.vcpu, &in_l1);
	refuse_states(&in_l2, &in_l1);
	*t.vmcb = good;
	t.vmcb->rip = svm_l2_address(l2_look);
	tap_check(exited(svm_continue(&t), EXIT_VMMCALL), "L1, which was asked to be L2, goes on after all that");
	KVM(t.vcpu, KVM_SET_NESTED_STATE, &none);
}

/* Slots can go, and the pages under them. */
static void test_slots(void)
{
	struct kvm_userspace_memory_region region = {}, of_smm = { .slot = 1 << 16 };
	int port;

	prepare(l2_look);
	t.vmcb->asid = 0;
	tap_check(exited(svm_run(&t), EXIT_INVALID), "a VMRUN is refused");
	tap_check(vm_leaves(t.vm) > 0, "it has made use of memory");
	KVM(t.vm, KVM_SET_USER_MEMORY_REGION, &of_smm);
	KVM(t.vm, KVM_SET_USER_MEMORY_REGION, &region);
	tap_check(!vm_leaves(t.vm), "none of which is mapped when it is taken away");
	region.memory_size = SVM_MEMORY;
	region.userspace_addr = (uintptr_t)t.memory;
	KVM(t.vm, KVM_SET_USER_MEMORY_REGION, &region);
	t.vmcb->asid = 1;
	port = svm_continue(&t);
	tap_check(exited(port, EXIT_VMMCALL), "it can come back");
}

#define LIVES	100

/* A VM in which nothing has gone right. */
static void live_and_fail(void)
{
	struct nested_state bad;

	svm_open(&t);
	prepare(l2_say);
	t.vmcb->asid = 0;
	svm_run(&t);
	t.vmcb->asid = 1;
	svm_continue(&t);
	nested_get(t.vcpu, &bad);
	((struct test_vmcb *)bad.data)->asid = 0;
	kvm_raw(t.vcpu, KVM_SET_NESTED_STATE, &bad);
	svm_close(&t);
}

int main(void)
{
	static struct usage before;
	int users = module_users(), i;

	svm_open(&t);
	test_rules();
	test_cpu_refuses();
	test_memory();
	test_untouched();
	test_states();
	test_slots();
	svm_close(&t);
	tap_check(module_users() == users, "the module has as many users as before");
	live_and_fail();
	usage_take(&before);
	for (i = 0; i < LIVES; i++)
		live_and_fail();
	usage_check("refused", &before, LIVES);
	return tap_done();
}
