// SPDX-License-Identifier: GPL-2.0
/*
 * Verify what VMX does with a guest hypervisor's EPT beyond translating: it logs the pages that L2 writes to.
 *
 * nestor-test: cpu=intel kernel=6.1,7.3 cpus=1 timeout=900
 */
#include <errno.h>
#include <string.h>

#include "self.h"
#include "tap.h"
#include "vmx_l1.h"

static struct self s;

#define IN_L2	100	/* what L2 says to the host: its state is saved and set */

L2(l2_read, "mov (%rdi), %rax");
L2(l2_write, "mov %rax, (%rdi)");
L2(l2_nop, "nop");
L2(l2_say_write, "out %eax, $0x80\n mov %rax, (%rdi)");

/* Pages of 4 KiB that the tests change the entries of. */
static uint64_t *pt;

#define PAGE(n)		(EPT_TEST + (n) * 4096ull)
#define ENTRY(n)	pt[(PAGE(n) - 0x200000) >> 12]
#define EPTP(flags)	((uint64_t)l1.pml4 | 0x1e | (flags))
#define EPTP_AD		0x40
#define EPT_FLAGS	0x300ull
#define EPT_RWX		0x37ull

static bool launched;

static uint64_t go_on(void)
{
	uint64_t reason = enter(!launched);

	launched |= reason < 0x10000;
	return reason;
}

/* Run code of L2's that accesses a page. */
static uint64_t run(void (*code)(void), uint64_t address)
{
	l2_regs.rdi = address;
	vmwrite(GUEST_RIP, (uint64_t)code);
	return go_on();
}

/* Accessed and dirty flags are all set, but for those of the pages of the tests. */
static void make_flagged_ept(void)
{
	uint64_t *pd, i;

	make_ept();
	pt = split_ept();
	pd = (uint64_t *)(l1.pdpt[0] & ~0xfffull);
	for (i = 0; i < 512; i++) {
		pd[i] |= i == 1 ? 0x100 : EPT_FLAGS;
		pt[i] |= EPT_FLAGS;
	}
	for (i = 0; i < 8; i++)
		l1.pdpt[i] |= i ? EPT_FLAGS : 0x100;
	l1.pml4[0] |= 0x100;
	for (i = 0; i < 8; i++)
		ENTRY(i) = PAGE(i) | EPT_RWX;
}

static void begin(void (*code)(void), uint32_t cpu2, uint64_t eptp_flags)
{
	start(code, 0, CPU2_EPT | cpu2);
	vmwrite(EPT_POINTER, EPTP(eptp_flags));
	launched = false;
	flush_ept();
}

static bool offers(uint32_t cpu2)
{
	return self_rdmsr(MSR_VMX_CPU2) >> 32 & cpu2;
}

static void test_pml(void)
{
	volatile uint64_t *log = self_page();

	CHECK(offers(CPU2_PML), "page-modification logging is offered");
	make_flagged_ept();
	begin(l2_write, CPU2_PML, EPTP_AD);
	vmwrite(PML_ADDRESS, (uint64_t)log);
	vmwrite(PML_INDEX, 511);
	CHECK_IS(run(l2_write, PAGE(0) + 0x128), EXIT_VMCALL, "L2 writes to a page");
	CHECK_IS(log[511], PAGE(0), "whose address is logged");
	CHECK_IS(field(PML_INDEX), 510, "and the index counts down");
	CHECK_IS(ENTRY(0) & EPT_FLAGS, EPT_FLAGS, "with its dirty flag set");
	CHECK_IS(run(l2_write, PAGE(0) + 0x130), EXIT_VMCALL, "another write to the page");
	CHECK_IS(run(l2_read, PAGE(1)), EXIT_VMCALL, "a read of the next one");
	CHECK_IS(ENTRY(1) & EPT_FLAGS, 0x100, "sets its accessed flag");
	CHECK_IS(field(PML_INDEX), 510, "neither is logged");
	l2_regs.rax = IN_L2;
	CHECK_IS(run(l2_say_write, PAGE(1)), EXIT_VMCALL, "it is written to after L2's state was saved and set");
	CHECK_IS(log[510], PAGE(1), "and logged");
	CHECK_IS(field(PML_INDEX), 509, "at an index that went with the state");
	ENTRY(0) &= ~EPT_FLAGS;
	flush_ept();
	vmwrite(PML_INDEX, 0);
	CHECK_IS(run(l2_write, PAGE(0)), EXIT_VMCALL, "a write after L1 has cleared the flag");
	CHECK_IS(log[0], PAGE(0), "is logged again, in the last entry");
	CHECK_IS(field(PML_INDEX), 0xffff, "the log is full");
	CHECK_IS(run(l2_write, PAGE(0)), EXIT_VMCALL, "what sets no flag goes on");
	*(volatile uint64_t *)PAGE(2) = 0x5a5a;
	l2_regs.rax = 0x77;
	CHECK_IS(run(l2_write, PAGE(2)), EXIT_PML_FULL, "what would set one exits");
	CHECK_IS(field(EXIT_QUALIFICATION), 0, "with its qualification");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_write, "before the instruction");
	CHECK_IS(*(volatile uint64_t *)PAGE(2), 0x5a5a, "which has not written");
	CHECK_IS(ENTRY(2) & EPT_FLAGS, 0, "and set no flag");
	CHECK_IS(run(l2_read, PAGE(2)), EXIT_PML_FULL, "so does a read that would set the accessed flag");
	vmwrite(PML_INDEX, 512);
	CHECK_IS(run(l2_write, PAGE(2)), EXIT_PML_FULL, "an index of 512 is none either");
	vmwrite(PML_INDEX, 5);
	CHECK_IS(go_on(), EXIT_VMCALL, "with room it goes on");
	CHECK_IS(log[5], PAGE(2), "and is logged there");
	CHECK_IS(*(volatile uint64_t *)PAGE(2), 0x77, "and written");

	vmwrite(EPT_POINTER, EPTP(0));
	vmwrite(PML_INDEX, 511);
	log[511] = 0;
	CHECK_IS(run(l2_write, PAGE(3)), EXIT_VMCALL, "without accessed and dirty flags");
	CHECK(!log[511] && field(PML_INDEX) == 511, "nothing is logged");
	vmwrite(PML_ADDRESS, (uint64_t)log + 8);
	CHECK_IS(go_on(), 0x10007, "a log that is not aligned is refused");
	vmwrite(PML_ADDRESS, 1ull << 60);
	CHECK_IS(go_on(), 0x10007, "so is one beyond the width");
	vmwrite(PML_ADDRESS, (uint64_t)log);
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, CPU2_PML));
	CHECK_IS(go_on(), 0x10007, "and a log without EPT");
	begin(l2_write, 0, EPTP_AD);
	ENTRY(3) &= ~EPT_FLAGS;
	flush_ept();
	CHECK_IS(run(l2_write, PAGE(3)), EXIT_VMCALL, "a write without the control");
	CHECK(!log[511] && field(PML_INDEX) == 511, "is not logged");
}

static void guest(void)
{
	enter_vmx_operation();
	test_pml();
	self_exit(0);
}

/* What user space takes away is neither in the MSRs nor accepted. */
static void guest_without(void)
{
	static const struct { uint32_t control; const char *refused; } controls[] = {
		{ CPU2_PML, "PML is refused when user space has taken it away" },
	};
	unsigned int i;

	enter_vmx_operation();
	make_flagged_ept();
	for (i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		begin(l2_nop, 0, 0);
		vmwrite(CPU2_CONTROLS, field(CPU2_CONTROLS) | controls[i].control);
		CHECK(!offers(controls[i].control) && go_on() == 0x10007, controls[i].refused);
	}
	begin(l2_nop, 0, 0);
	CHECK_IS(run(l2_nop, 0), EXIT_VMCALL, "without them L2 runs");
	self_exit(0);
}

static int set_msr(uint32_t index, uint64_t value)
{
	struct { struct kvm_msrs list; struct kvm_msr_entry entry; } m = {
		.list.nmsrs = 1, .entry = { .index = index, .data = value },
	};

	return kvm_raw(s.vcpu, KVM_SET_MSRS, &m);
}

static uint64_t get_msr(uint32_t index)
{
	struct { struct kvm_msrs list; struct kvm_msr_entry entry; } m = { .list.nmsrs = 1, .entry.index = index };

	KVM(s.vcpu, KVM_GET_MSRS, &m);
	return m.entry.data;
}

static void take_away(void)
{
	uint64_t all = CPU2_PML, cpu2 = get_msr(MSR_VMX_CPU2);

	tap_check(set_msr(MSR_VMX_CPU2, cpu2 | 1ull << 63) == 0, "a control that is not offered cannot be added");
	tap_check(set_msr(MSR_VMX_CPU2, cpu2 & ~(all << 32)) == 1, "controls can be taken away");
}

static void in_l2(void)
{
	static struct { struct kvm_nested_state head; uint8_t data[8192]; } saved, again;

	saved.head.size = again.head.size = sizeof(saved);
	KVM(s.vcpu, KVM_GET_NESTED_STATE, &saved);
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &saved);
	KVM(s.vcpu, KVM_GET_NESTED_STATE, &again);
	tap_check(!memcmp(&saved, &again, saved.head.size), "what is set is what is got");
}

static void run_guest(void (*function)(void))
{
	uint32_t word;

	self_start(&s, function);
	do {
		word = self_run(&s);
		if (word == IN_L2)
			in_l2();
		else
			self_report();
	} while (word);
}

int main(void)
{
	self_create(&s);
	if (!self_offers_vmx(&s))
		tap_skip_all("no VMX for guests here");
	run_guest(guest);
	self_destroy(&s);
	self_create(&s);
	take_away();
	run_guest(guest_without);
	return tap_done();
}
