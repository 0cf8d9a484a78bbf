// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a VM entry that is refused leaves nothing behind, for each rule of the SDM that it can break: the verdict is
 * the SDM's, L1's registers and its VMCS are as they were but for the fields that tell why, what L1 has flushed before is
 * flushed, the VMCS without the mistake is entered, and the host keeps nothing. The same for KVM_SET_NESTED_STATE.
 *
 * On emulators that flush at every VM entry and exit a flush that is lost goes unseen.
 *
 * nestor-test: cpu=intel kernel=6.1,7.3 cpus=1 timeout=900
 * nestor-test: cpu=intel kernel=6.1 tlb=tagged cpus=2 timeout=900
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "../userspace/check/breach.h"
#include "nested.h"
#include "self.h"
#include "tap.h"
#include "usage.h"
#include "vm.h"
#include "vmx_l1.h"

#pragma GCC target("general-regs-only")	/* L1 does not change others' registers between two looks at them */

#define MSR_KERNEL_GS	0xc0000102
#define KERNEL_GS	0x5a5a000ull

#define WINDOW		(5ull << 30)	/* L1's: one of the pages, or the other */
#define PTE		0x67ull
#define TABLE		7ull
#define EPT_LEAF	0x37ull
#define A		0xaaaaull	/* the pages' first words */
#define B		0xbbbbull

#define MAX_CHANGES	64
#define MAX_FIELDS	256

/* What L1 says: it is ready for a command; the VMCS has the mistakes; the entry was refused. */
enum { READY = 1, BROKEN, REFUSED };

/* From the host to L1. */
static volatile struct command {
	bool end, enter, resume, clear, mov_ss;
	unsigned int nr;
	struct { uint32_t encoding; uint64_t value, good; } change[MAX_CHANGES];
	uint32_t link_revision, tpr;
	struct { uint32_t index, reserved; uint64_t value; } msr;
} command;

/* And back. */
static volatile struct {
	uint64_t verdict, qualification;
	uint64_t window_before, window_after;
	uint64_t changed;		/* a field of the VMCS that should not have, or -1 */
	uint64_t again, l2;		/* the next entry's exit reason, and what L2 read */
	uint64_t a, b;			/* what L2 is to read when the EPT leads there */
} result;

/* All fields that L1 can read: encodings, and what they were at the first good exit. */
static volatile uint32_t encodings[MAX_FIELDS];
static volatile uint64_t plain[MAX_FIELDS], before[MAX_FIELDS];
static volatile bool readable[MAX_FIELDS];
static volatile unsigned int nr_fields;

static volatile uint64_t caps[16];

/* Pages for what the rules are about. */
static uint8_t *pages[24];
static volatile uint64_t *window_pte, *ept_pte;
static uint64_t *page_a, *page_b;

static struct self s;

L2(l2_look, "mov (%rdi), %rax");

static void make_window(void)
{
	uint64_t *pdpt = (uint64_t *)(*(uint64_t *)(read_cr3() & ~0xfffull) & ~0xfffull), *pd = self_page(), *pt = self_page();

	pdpt[WINDOW >> 30] = (uint64_t)pd | TABLE;
	pd[0] = (uint64_t)pt | TABLE;
	pt[0] = (uint64_t)page_a | PTE;
	window_pte = pt;
}

/* From one page to the other. */
static void remap(volatile uint64_t *pte)
{
	*pte ^= (uint64_t)page_a ^ (uint64_t)page_b;
}

static void read_fields(volatile uint64_t *values)
{
	unsigned int i;
	uint64_t value;

	for (i = 0; i < nr_fields; i++) {
		readable[i] = vmread(encodings[i], &value) == VM_SUCCEED;
		values[i] = value;
	}
}

/* Those that a refusal writes, and that vm_enter() does. */
static bool may_change(uint32_t encoding)
{
	return encoding == EXIT_REASON || encoding == EXIT_QUALIFICATION || encoding == INSN_ERROR || encoding == HOST_RSP ||
	       encoding == HOST_RIP;
}

static uint64_t compare_fields(void)
{
	unsigned int i;
	uint64_t value;

	for (i = 0; i < nr_fields; i++) {
		vmread(encodings[i], &value);
		if (value != before[i] && !may_change(encodings[i]))
			return encodings[i];
	}
	return -1;
}

/* As vm_enter(), but with HOST_RIP as it is: what is expected is that nothing comes back by it. */
static uint64_t bare_entry(void)
{
	int r;

	if (command.mov_ss)
		r = VM_RESULT("mov %2, %%ss\n vmresume", "r" (SELF_DS));
	else
		r = VM_RESULT("vmresume", "i" (0));
	return 0x10000 + vm_error(r);
}

static uint64_t bad_entry(void)
{
	unsigned int i;

	for (i = 0; i < command.nr; i++)
		if (command.change[i].encoding == HOST_RIP)
			return bare_entry();
	return command.mov_ss ? bare_entry() : enter(!command.resume);
}

static void make_mistakes(void)
{
	unsigned int i;

	for (i = 0; i < command.nr; i++)
		vmwrite(command.change[i].encoding, command.change[i].value);
	*(volatile uint32_t *)l1.other_vmcs = command.link_revision;
	*(volatile uint32_t *)(pages[2] + 0x80) = command.tpr;
	*(volatile typeof(command.msr) *)pages[8] = command.msr;
	if (command.clear) {
		vmclear((uint64_t)l1.vmcs);
		vmptrld((uint64_t)l1.vmcs);
	}
}

static void repair(void)
{
	unsigned int i;

	for (i = 0; i < command.nr; i++)
		vmwrite(command.change[i].encoding, command.change[i].good);
	vmwrite(GUEST_RIP, (uint64_t)l2_look);
	l2_regs.rdi = EPT_TEST;
	l2_regs.rax = 0;
	result.again = enter(command.clear);
	result.l2 = l2_regs.rax;
}

static void obey(void)
{
	make_mistakes();
	read_fields(before);
	self_exit(BROKEN);
	result.window_before = *(volatile uint64_t *)WINDOW;
	remap(ept_pte);
	flush_ept();
	if (command.enter) {
		remap(window_pte);
		asm volatile("invlpg (%0)" : : "r" (WINDOW) : "memory");
		result.verdict = bad_entry();
		result.window_after = *(volatile uint64_t *)WINDOW;
		self_exit(REFUSED);
		result.qualification = field(EXIT_QUALIFICATION);
		result.changed = compare_fields();
	}
	repair();
}

static void read_caps(void)
{
	static const uint32_t msrs[] = {
		MSR_VMX_BASIC, MSR_VMX_MISC, MSR_VMX_TRUE_PIN, MSR_VMX_TRUE_CPU, MSR_VMX_CPU2, MSR_VMX_TRUE_EXIT,
		MSR_VMX_TRUE_ENTRY, 0x486, 0x487, 0x488, 0x489, MSR_VMX_EPT_VPID,
	};
	unsigned int i;

	for (i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		caps[i] = self_rdmsr(msrs[i]);
	if (caps[4] >> 32 & CPU2_VMFUNC)
		caps[i] = self_rdmsr(MSR_VMX_VMFUNC);
}

static void guest(void)
{
	unsigned int i;

	enter_vmx_operation();
	make_ept();
	ept_pte = &split_ept()[(EPT_TEST - 0x200000) >> 12];
	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		pages[i] = self_page();
	page_a = self_page();
	page_b = self_page();
	/* What a failed entry loads, as exits do. */
	((uint64_t *)pages[9])[0] = MSR_KERNEL_GS;
	((uint64_t *)pages[9])[1] = KERNEL_GS;
	*page_a = A;
	*page_b = B;
	make_window();
	*ept_pte = (uint64_t)page_a | EPT_LEAF;
	flush_ept();
	read_caps();
	self_wrmsr(MSR_KERNEL_GS, KERNEL_GS);
	l2_regs.rdi = EPT_TEST;
	start(l2_look, 0, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_VMCALL, "L2 runs");
	CHECK_IS(l2_regs.rax, A, "and reads by its EPT");
	/* So that it runs again: those of the host that vm_enter() writes are not of the plain state. */
	vmwrite(GUEST_RIP, (uint64_t)l2_look);
	read_fields(plain);
	for (;;) {
		self_exit(READY);
		if (command.end)
			break;
		obey();
	}
	self_exit(0);
}

/* Behind the fields that rules know, those that exits write and a few more. */
static void list_fields(void)
{
	static const uint32_t more[] = {
		0x2400, 0x4400, 0x4402, 0x4404, 0x4406, 0x4408, 0x440a, 0x440c, 0x440e, 0x6000, 0x6002, 0x6004, 0x6006,
		0x6008, 0x6400, 0x640a, 0x4004, 0x4006, 0x4008, 0x201c, 0x482e,
	};
	unsigned int i;

	for (i = 1; i < VF_NR; i++)
		if (check_vmx.fields[i].where != CHECK_NOWHERE)
			encodings[nr_fields++] = check_vmx.fields[i].where;
	for (i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		encodings[nr_fields++] = more[i];
}

static unsigned int position(uint32_t encoding)
{
	unsigned int i;

	for (i = 0; i < nr_fields && encodings[i] != encoding; i++)
		;
	return i;
}

static uint64_t physical_mask(void)
{
	return (1ull << physical_bits()) - 1;
}

/* The VMCS that L1 has entered, and the CPU that it sees. */
static void get_plain(struct check_state *state)
{
	static const unsigned int caps_of[] = {
		VCAP_basic, VCAP_misc, VCAP_pin, VCAP_cpu, VCAP_cpu2, VCAP_exit, VCAP_entry, VCAP_cr0_fixed0, VCAP_cr0_fixed1,
		VCAP_cr4_fixed0, VCAP_cr4_fixed1, VCAP_ept_vpid, VCAP_vmfunc,
	};
	unsigned int i;

	check_init(state, &check_vmx);
	for (i = 1; i < VF_NR; i++) {
		unsigned int at = position(check_vmx.fields[i].where);

		if (at < nr_fields && readable[at])
			check_set(state, i, plain[at]);
	}
	check_set(state, VF_mov_ss_blocking, 0);
	check_set(state, VF_launched, 1);
	check_set(state, VF_vmresume, 1);
	check_set(state, VF_vmcs_pointer, (uint64_t)l1.vmcs);
	check_set(state, VF_virtual_tpr, 0x50);
	check_set(state, VF_link_revision, l1.revision);
	for (i = 0; i < sizeof(caps_of) / sizeof(caps_of[0]); i++)
		state->caps[caps_of[i]] = caps[i];
	state->caps[VCAP_cr3_settable] = physical_mask();
	state->caps[VCAP_physical_bits] = physical_bits();
	state->caps[VCAP_linear_bits] = 48;
	/* Bits 63:32 of these are reserved; which others are does not matter. */
	state->caps[VCAP_debugctl_settable] = state->caps[VCAP_efer_settable] = 0xffffffff;
	state->caps[VCAP_host_lma] = 1;
}

static void want(struct check_state *state, unsigned int control, unsigned int cap, uint64_t bits)
{
	check_set(state, control, (state->values[control] | bits) & state->caps[cap] >> 32);
}

static void set_page(struct check_state *state, unsigned int number, unsigned int field)
{
	check_set(state, field, (uint64_t)pages[number]);
}

/* All that L1 is offered, but for what excludes another: it is not entered like this. */
static void take_all(struct check_state *state)
{
	static const unsigned int addresses[] = {
		VF_io_bitmap_a, VF_io_bitmap_b, VF_virtual_apic, VF_posted_descriptor, VF_pml_address, VF_eptp_list,
		VF_vmread_bitmap, VF_vmwrite_bitmap, VF_entry_msr_load, VF_exit_msr_load, VF_exit_msr_store, VF_ve_info,
		VF_msr_bitmap,
	};
	unsigned int i;

	want(state, VF_pin_controls, VCAP_pin, 0xe9);
	want(state, VF_cpu_controls, VCAP_cpu, 0x90000000 | 1 << 25 | 1 << 22 | CPU_TPR_SHADOW);
	want(state, VF_cpu2_controls, VCAP_cpu2, CPU2_EPT | CPU2_VPID | CPU2_UNRESTRICTED | CPU2_X2APIC | CPU2_APIC_REGISTERS |
	     CPU2_DELIVERY | CPU2_VMFUNC | CPU2_SHADOWING | CPU2_PML | CPU2_VE | CPU2_MBEC | 1 << 25);
	want(state, VF_exit_controls, VCAP_exit, 1 << 12 | 1 << 15 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21 | 1 << 22);
	want(state, VF_entry_controls, VCAP_entry, 1 << 13 | 1 << 14 | 1 << 15);
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		set_page(state, i, addresses[i]);
	check_set(state, VF_posted_vector, 0xf2);
	check_set(state, VF_vmfunc_controls, state->caps[VCAP_vmfunc] & 1);
	check_set(state, VF_tsc_multiplier, 1ull << 48);
	check_set(state, VF_guest_pat, 0x0007040600070406);
	check_set(state, VF_host_pat, 0x0007040600070406);
	check_set(state, VF_link_pointer, (uint64_t)l1.other_vmcs);
	check_set(state, VF_link_revision, l1.revision | 1u << 31);
	if (!(state->values[VF_cpu2_controls] & CPU2_SHADOWING))
		check_set(state, VF_link_revision, l1.revision);
	check_set(state, VF_entry_msr_load_count, 1);
	check_set(state, VF_exit_msr_load_count, 1);
	check_set(state, VF_exit_msr_store_count, 1);
	check_set(state, VF_guest_ldtr_selector, 0x48);
	check_set(state, VF_guest_ldtr_ar, 0x82);
	check_set(state, VF_guest_ldtr_limit, 0xfff);
}

static void take_apic_page(struct check_state *state)
{
	want(state, VF_cpu_controls, VCAP_cpu, CPU_TPR_SHADOW | CPU_SECONDARY);
	want(state, VF_cpu2_controls, VCAP_cpu2, CPU2_APIC_ACCESSES);
	set_page(state, 2, VF_virtual_apic);
	set_page(state, 13, VF_apic_access);
}

static void take_tpr(struct check_state *state)
{
	want(state, VF_cpu_controls, VCAP_cpu, CPU_TPR_SHADOW | CPU_SECONDARY);
	set_page(state, 2, VF_virtual_apic);
	check_set(state, VF_tpr_threshold, 2);
}

static void inject_nmi(struct check_state *state)
{
	want(state, VF_pin_controls, VCAP_pin, 0x28);
	check_set(state, VF_entry_intr_info, 0x80000202);
}

static void inject_gp(struct check_state *state)
{
	check_set(state, VF_entry_intr_info, 0x80000b0d);
}

static void inject_interrupt(struct check_state *state)
{
	check_set(state, VF_entry_intr_info, 0x80000030);
	check_set(state, VF_guest_rflags, 0x202);
}

static void inject_soft(struct check_state *state)
{
	check_set(state, VF_entry_intr_info, 0x80000480);
	check_set(state, VF_entry_insn_length, 2);
}

static void halt(struct check_state *state)
{
	check_set(state, VF_guest_activity, 1);
}

static void leave_long_mode(struct check_state *state)
{
	check_set(state, VF_entry_controls, state->values[VF_entry_controls] & ~(uint64_t)ENTRY_IA32E);
	check_set(state, VF_guest_cs_ar, 0xc09b);
	check_set(state, VF_guest_rip, 0x100000);
}

static void use_pae(struct check_state *state)
{
	leave_long_mode(state);
	check_set(state, VF_guest_pdpte0, 0x3001);
	check_set(state, VF_guest_pdpte1, 0x4001);
	check_set(state, VF_guest_pdpte2, 0x5001);
	check_set(state, VF_guest_pdpte3, 0x6001);
}

static void use_v86(struct check_state *state)
{
	unsigned int i;

	leave_long_mode(state);
	check_set(state, VF_guest_rflags, 0x20002);
	for (i = 0; i < 6; i++) {
		check_set(state, VF_guest_es_selector + i, 0x1000);
		check_set(state, VF_guest_es_base + i, 0x10000);
		check_set(state, VF_guest_es_limit + i, 0xffff);
		check_set(state, VF_guest_es_ar + i, 0xf3);
	}
	check_set(state, VF_guest_rip, 0x100);
}

static void use_user_mode(struct check_state *state)
{
	unsigned int i;

	for (i = 0; i < 6; i++) {
		check_set(state, VF_guest_es_selector + i, 0x2b);
		check_set(state, VF_guest_es_ar + i, 0xc0f3);
	}
	check_set(state, VF_guest_cs_selector, 0x33);
	check_set(state, VF_guest_cs_ar, 0xa09f);
	check_set(state, VF_guest_interruptibility, 1);
	check_set(state, VF_guest_rflags, 0x302);
	check_set(state, VF_guest_pending_debug, 0x4000);
}

static void load_msr(struct check_state *state)
{
	set_page(state, 8, VF_entry_msr_load);
	check_set(state, VF_entry_msr_load_count, 1);
	check_set(state, VF_msr_index, MSR_KERNEL_GS);
	check_set(state, VF_msr_reserved, 0);
}

/* Without EPT, which several controls need. */
static void leave_ept(struct check_state *state)
{
	want(state, VF_cpu2_controls, VCAP_cpu2, CPU2_VMFUNC);
	check_set(state, VF_cpu2_controls, state->values[VF_cpu2_controls] & ~(uint64_t)CPU2_EPT);
}

static void take_interrupts(struct check_state *state)
{
	want(state, VF_pin_controls, VCAP_pin, 1);
}

/* Room for one MSR each, at the end of the addresses. */
static void use_last_areas(struct check_state *state)
{
	static const unsigned int areas[][2] = {
		{ VF_exit_msr_store, VF_exit_msr_store_count }, { VF_exit_msr_load, VF_exit_msr_load_count },
		{ VF_entry_msr_load, VF_entry_msr_load_count },
	};
	unsigned int i;

	for (i = 0; i < 3; i++) {
		check_set(state, areas[i][0], physical_mask() - 15);
		check_set(state, areas[i][1], 1);
	}
}

static void nothing_more(struct check_state *state)
{
}

/* Whatever a rule needs that is to be broken alone. */
static void (*const overlays[])(struct check_state *state) = {
	nothing_more, take_all, take_apic_page, take_tpr, inject_nmi, inject_gp, inject_interrupt, inject_soft, halt, use_pae,
	use_v86, use_user_mode, load_msr, leave_ept, take_interrupts, use_last_areas,
};
#define NR_OVERLAYS	(sizeof(overlays) / sizeof(overlays[0]))

static bool find_breach(const struct check_rule *rule, struct check_state *broken)
{
	struct check_state state;
	unsigned int i;

	for (i = 0; i < NR_OVERLAYS; i++) {
		get_plain(&state);
		overlays[i](&state);
		if (breach__find(rule, &state, 1, broken))
			return true;
	}
	return false;
}

static void add_change(uint32_t encoding, uint64_t value, uint64_t good)
{
	unsigned int n = command.nr++;

	if (n >= MAX_CHANGES)
		tap_fail("more than %u changes", MAX_CHANGES);
	command.change[n].encoding = encoding;
	command.change[n].value = value;
	command.change[n].good = good;
}

static void put_command(const struct check_state *broken)
{
	unsigned int i;

	memset((void *)&command, 0, sizeof(command));
	for (i = 1; i < VF_NR; i++) {
		unsigned int at = position(check_vmx.fields[i].where);

		if (at < nr_fields && readable[at] && broken->values[i] != plain[at])
			add_change(encodings[at], broken->values[i], plain[at]);
	}
	command.resume = broken->values[VF_vmresume];
	command.clear = !broken->values[VF_launched];
	command.mov_ss = broken->values[VF_mov_ss_blocking];
	command.link_revision = broken->values[VF_link_revision];
	command.tpr = broken->values[VF_virtual_tpr];
	command.msr.index = check_known(broken, VF_msr_index) ? broken->values[VF_msr_index] : MSR_KERNEL_GS;
	command.msr.reserved = broken->values[VF_msr_reserved];
	command.msr.value = KERNEL_GS;
}

static void expect(uint32_t word)
{
	uint32_t said = self_run(&s);

	if (said != word)
		tap_fail("L1 says %u where %u is expected", said, word);
}

/* The next entry, with nothing wrong. */
static void check_repaired(const char *name)
{
	uint64_t wanted;

	expect(READY);
	wanted = (*(uint64_t *)(s.memory + (uint64_t)ept_pte) & ~0xfffull) == (uint64_t)page_a ? A : B;
	if (!tap_check(result.again == EXIT_VMCALL && result.l2 == wanted, "%s: without it L2 runs, by the EPT as it is now",
		       name))
		tap_note("exit reason %#llx, L2 read %#llx", (unsigned long long)result.again, (unsigned long long)result.l2);
}

static struct image image_before, image_after;

static void audit(const char *name, uint64_t verdict, uint64_t qualification)
{
	command.enter = true;
	expect(BROKEN);
	image_take(s.sys, s.vcpu, &image_before);
	expect(REFUSED);
	image_take(s.sys, s.vcpu, &image_after);
	tap_check(image_same(&image_before, &image_after), "%s: L1's registers are as they were", name);
	check_repaired(name);
	if (!tap_check(result.verdict == verdict && (!qualification || result.qualification == qualification),
		       "%s: refused as the SDM says", name))
		tap_note("%#llx, qualification %#llx", (unsigned long long)result.verdict,
			 (unsigned long long)result.qualification);
	if (!tap_check(result.changed == ~0ull, "%s: L1's VMCS is as it was", name))
		tap_note("field %#llx", (unsigned long long)result.changed);
	tap_check((result.window_before == A && result.window_after == B) ||
		  (result.window_before == B && result.window_after == A), "%s: L1's flush is not lost", name);
}

static uint64_t verdict_of(const struct check_rule *rule)
{
	return (rule->effect == CHECK_VMFAIL ? 0x10000u : 0x80000000u) + rule->code;
}

/* At least so many of the rules can be broken with any CPU that has EPT. */
#define MIN_RULES	200

static void test_rules(void)
{
	struct check_state broken;
	unsigned int i, nr = 0;

	for (i = 0; i < check_vmx.nr_rules; i++) {
		const struct check_rule *rule = &check_vmx.rules[i];

		if (rule->effect == CHECK_ADVICE)
			continue;
		if (!find_breach(rule, &broken)) {
			tap_note("%s is of a feature that L1 is not offered, or cannot be broken alone", rule->id);
			continue;
		}
		put_command(&broken);
		audit(rule->id, verdict_of(rule), rule->qualification);
		nr++;
	}
	tap_check(nr >= MIN_RULES, "%u rules were broken, one by one", nr);
}

/* What is in memory, and no rule's. */
static void test_memory(void)
{
	uint64_t *pdptes = (uint64_t *)(s.memory + (uint64_t)pages[14]);
	struct { uint32_t index, reserved; uint64_t value; } *second = (void *)(s.memory + (uint64_t)pages[8] + 16);
	struct check_state state;

	get_plain(&state);
	load_msr(&state);
	check_set(&state, VF_entry_msr_load_count, 2);
	second->index = 0xc0000100;
	put_command(&state);
	audit("the second MSR to be loaded is FS_BASE", 0x80000022, 2);
	second->index = 0xdeadbeef;
	put_command(&state);
	audit("the second MSR to be loaded is none", 0x80000022, 2);

	get_plain(&state);
	load_msr(&state);
	check_set(&state, VF_entry_msr_load, 0x20000000);
	put_command(&state);
	audit("MSRs to be loaded are where no memory is", 0x80000022, 1);

	get_plain(&state);
	leave_long_mode(&state);
	check_set(&state, VF_cpu2_controls, state.values[VF_cpu2_controls] & ~(uint64_t)CPU2_EPT);
	set_page(&state, 14, VF_guest_cr3);
	pdptes[0] = 0x3001 | 1ull << 5;
	put_command(&state);
	audit("a PDPTE with a reserved bit", 0x80000021, 2);
	check_set(&state, VF_guest_cr3, 0x20000000);
	put_command(&state);
	audit("PDPTEs where no memory is", 0x80000021, 2);
}

/* L2 is to run, with the VMCS that L1 has made. */
static void refuse_state(const char *name)
{
	struct nested_state state, bad;

	expect(BROKEN);
	nested_get(s.vcpu, &state);
	image_take(s.sys, s.vcpu, &image_before);
	bad = state;
	bad.head.flags |= KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING;
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &bad) == -EINVAL, "KVM_SET_NESTED_STATE: %s", name);
	image_take(s.sys, s.vcpu, &image_after);
	tap_check(nested_is(s.vcpu, &state) && image_same(&image_before, &image_after), "%s: L1 is as it was", name);
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &state);
	tap_check(nested_is(s.vcpu, &state), "%s: its state can be set", name);
	check_repaired(name);
}

/* Who enters, and from where, is not in the state; nor is what lies in memory that is not there yet. */
static bool is_of_state(const struct check_state *broken, const struct check_rule *rule)
{
	return broken->values[VF_vmresume] && broken->values[VF_launched] && !broken->values[VF_mov_ss_blocking] &&
	       rule->fields[0] != VF_msr_index && rule->fields[0] != VF_msr_reserved && rule->fields[0] != VF_link_revision &&
	       strcmp(rule->id, "tpr_threshold_vtpr") && strcmp(rule->id, "link_current");
}

static void test_states(void)
{
	struct check_state broken;
	unsigned int i;

	for (i = 0; i < check_vmx.nr_rules; i++) {
		const struct check_rule *rule = &check_vmx.rules[i];

		if (rule->effect == CHECK_ADVICE || !find_breach(rule, &broken) || !is_of_state(&broken, rule))
			continue;
		put_command(&broken);
		refuse_state(rule->id);
	}
}

static void end(void)
{
	command.end = true;
	expect(0);
	self_destroy(&s);
}

static void begin(void)
{
	self_create_vmx(&s);
	self_start(&s, guest);
	expect(READY);
}

/* Slots can go, and the pages under them. */
static void test_slots(void)
{
	struct kvm_userspace_memory_region region = {}, of_image = { .slot = 1 };
	struct check_state state;

	get_plain(&state);
	check_set(&state, VF_guest_rflags, 0);
	put_command(&state);
	command.enter = true;
	expect(BROKEN);
	expect(REFUSED);
	tap_check(vm_leaves(s.vm) > 0, "a VM has made use of memory");
	KVM(s.vm, KVM_SET_USER_MEMORY_REGION, &of_image);
	KVM(s.vm, KVM_SET_USER_MEMORY_REGION, &region);
	tap_check(!vm_leaves(s.vm), "none of which is mapped when it is taken away");
	self_add_memory(&s);
	check_repaired("memory that has come back");
}

/* A VM in which nothing goes right, and which ends by a VMX abort where @aborts. */
static void live_and_fail(bool aborts)
{
	static const struct { unsigned int field; uint64_t value; } mistakes[] = {
		{ VF_vpid, 0 }, { VF_host_cr0, 0 }, { VF_guest_rflags, 0 }, { VF_entry_msr_load_count, 1 },
	};
	struct check_state state;
	unsigned int i;

	begin();
	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		get_plain(&state);
		check_set(&state, VF_cpu2_controls, state.values[VF_cpu2_controls] | CPU2_VPID);
		check_set(&state, mistakes[i].field, mistakes[i].value);
		if (mistakes[i].field == VF_entry_msr_load_count)
			check_set(&state, VF_entry_msr_load, 0x20000000);
		put_command(&state);
		command.enter = true;
		expect(BROKEN);
		expect(REFUSED);
		expect(READY);
	}
	if (aborts) {
		get_plain(&state);
		check_set(&state, VF_exit_msr_load_count, 1);
		check_set(&state, VF_exit_msr_load, 0x20000000);
		put_command(&state);
		command.enter = true;
		expect(BROKEN);
		KVM(s.vcpu, KVM_RUN, NULL);
		if (s.run->exit_reason != KVM_EXIT_SHUTDOWN)
			tap_check(false, "a VMX abort is a shutdown: %u", s.run->exit_reason);
		self_destroy(&s);
	} else {
		end();
	}
}

#define LIVES	150

int main(void)
{
	static struct usage usage;
	int users = module_users(), i;

	list_fields();
	begin();
	self_report();
	test_rules();
	test_memory();
	test_states();
	test_slots();
	end();
	tap_check(module_users() == users, "the module has as many users as before");
	live_and_fail(true);
	usage_take(&usage);
	for (i = 0; i < LIVES; i++)
		live_and_fail(i & 1);
	usage_check("refused", &usage, LIVES);
	return tap_done();
}
