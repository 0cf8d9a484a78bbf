// SPDX-License-Identifier: GPL-2.0
/*
 * Verify what VMX does with a guest hypervisor's EPT beyond translating: it logs the pages that L2 writes to, L2 switches
 * between EPTs, user-mode addresses have a right to execute of their own, violations are exceptions of L2's, and those of
 * IRET tell that it had unblocked NMIs.
 *
 * nestor-test: cpu=intel kernel=6.1,7.3 cpus=1 timeout=900
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "nested.h"
#include "self.h"
#include "tap.h"
#include "vmx_l1.h"

static struct self s;

/* What L2 says to the host: its state is saved and set; the area of #VE is taken away as well. */
#define IN_L2		100
#define IN_L2_AREA	101

L2(l2_read, "mov (%rdi), %rax");
L2(l2_write, "mov %rax, (%rdi)");
L2(l2_nop, "nop");
L2(l2_call, "call *%rdi");
L2(l2_say_write, "out %eax, $0x80\n mov %rax, (%rdi)");
L2(l2_say_read, "out %eax, $0x80\n mov (%rdi), %rax");

#define VMFUNC		".byte 0x0f, 0x01, 0xd4\n"
L2(l2_vmfunc, VMFUNC "mov (%rdi), %rax");
L2(l2_vmfunc_say, VMFUNC "mov $100, %eax\n out %eax, $0x80\n mov (%rdi), %rax");

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

/* An EPT as the other, but for PAGE(0), which is PAGE(1) there. Its EPTP. */
static uint64_t make_other_ept(uint64_t flags)
{
	uint64_t *pml4 = self_page(), *pdpt = self_page(), *pd = self_page(), *other_pt = self_page(), i;
	const uint64_t *old_pd = (uint64_t *)(l1.pdpt[0] & ~0xfffull);

	for (i = 0; i < 512; i++) {
		pdpt[i] = l1.pdpt[i];
		pd[i] = old_pd[i];
		other_pt[i] = pt[i];
	}
	other_pt[(PAGE(0) - 0x200000) >> 12] = PAGE(1) | EPT_RWX;
	pd[1] = (uint64_t)other_pt | 0x107;
	pdpt[0] = (uint64_t)pd | 0x107;
	pml4[0] = (uint64_t)pdpt | 0x107;
	return (uint64_t)pml4 | 0x1e | flags;
}

/* VMFUNC of L2's, and a read of PAGE(0) behind it. */
static uint64_t vmfunc(uint64_t rax, uint64_t rcx)
{
	l2_regs.rax = rax;
	l2_regs.rcx = rcx;
	return run(l2_vmfunc, PAGE(0));
}

static void test_vmfunc_refused(const uint64_t *list)
{
	vmwrite(EPTP_LIST, (uint64_t)list + 8);
	CHECK_IS(go_on(), 0x10007, "an EPTP list that is not aligned is refused");
	vmwrite(EPTP_LIST, 1ull << 60);
	CHECK_IS(go_on(), 0x10007, "so is one beyond the width");
	vmwrite(EPTP_LIST, (uint64_t)list);
	vmwrite(VMFUNC_CONTROLS, 3);
	CHECK_IS(go_on(), 0x10007, "and a function that is not offered");
	vmwrite(VMFUNC_CONTROLS, 1);
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, CPU2_VMFUNC));
	CHECK_IS(go_on(), 0x10007, "and EPTP switching without EPT");
	begin(l2_vmfunc, 0, 0);
	self_recover = (uint64_t)l2_nop;
	self_fault.vector = -1;
	CHECK_IS(vmfunc(0, 0), EXIT_VMCALL, "without the control");
	CHECK_IS(self_fault.vector, 6, "VMFUNC is undefined");
	self_recover = 0;
}

static void test_vmfunc(void)
{
	uint64_t *list = self_page(), other;

	if (!offers(CPU2_VMFUNC))
		return;
	CHECK_IS(self_rdmsr(MSR_VMX_VMFUNC), 1, "EPTP switching is offered, and no other function");
	make_flagged_ept();
	other = make_other_ept(0);
	list[0] = EPTP(0);
	list[1] = list[511] = other;
	list[2] = other | 1;
	list[3] = other | 1ull << 60;
	*(volatile uint64_t *)PAGE(0) = 0x1000;
	*(volatile uint64_t *)PAGE(1) = 0x2000;
	begin(l2_vmfunc, CPU2_VMFUNC, 0);
	vmwrite(EPTP_LIST, (uint64_t)list);
	vmwrite(VMFUNC_CONTROLS, 0);
	CHECK_IS(vmfunc(0, 1), EXIT_VMFUNC, "a function that L1 does not enable exits");
	CHECK_IS(field(EXIT_INSN_LENGTH), 3, "with the instruction's length");
	CHECK_IS(field(EXIT_QUALIFICATION), 0, "and no qualification");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_vmfunc, "before it");
	vmwrite(VMFUNC_CONTROLS, 1);
	CHECK_IS(vmfunc(0, 1), EXIT_VMCALL, "EPTP switching makes no exit");
	CHECK_IS(l2_regs.rax, 0x2000, "what L2 reads is the other EPT's");
	CHECK_IS(field(EPT_POINTER), other, "and the EPTP is in the VMCS");
	CHECK_IS(vmfunc(0, 1ull << 32), EXIT_VMCALL, "the upper half of RCX does not matter");
	CHECK_IS(l2_regs.rax, 0x1000, "and L2 is back");
	CHECK_IS(vmfunc(1ull << 32, 511), EXIT_VMCALL, "nor that of RAX, the last of the list");
	CHECK_IS(l2_regs.rax, 0x2000, "is taken");
	CHECK_IS(vmfunc(0, 512), EXIT_VMFUNC, "behind the list it exits");
	CHECK_IS(vmfunc(0, 2), EXIT_VMFUNC, "an EPTP with another memory type exits");
	CHECK_IS(vmfunc(0, 3), EXIT_VMFUNC, "and one beyond the width");
	CHECK_IS(vmfunc(0, 4), EXIT_VMFUNC, "and one of zeros");
	CHECK_IS(field(EPT_POINTER), other, "the EPTP stays then");
	CHECK_IS(vmfunc(1, 0), EXIT_VMFUNC, "function 1 exits");
	CHECK_IS(vmfunc(63, 0), EXIT_VMFUNC, "and 63");
	self_recover = (uint64_t)l2_nop;
	self_fault.vector = -1;
	CHECK_IS(vmfunc(64, 0), EXIT_VMCALL, "function 64");
	CHECK_IS(self_fault.vector, 6, "is undefined");
	self_recover = 0;
	l2_regs.rax = l2_regs.rcx = 0;
	CHECK_IS(run(l2_vmfunc_say, PAGE(0)), EXIT_VMCALL, "L2's state is saved and set after a switch");
	CHECK_IS(l2_regs.rax, 0x1000, "which goes with it");
	test_vmfunc_refused(list);
}

#define EPT_USER_EXEC	0x400ull
#define READ_EXEC	0x35ull		/* by supervisor-mode addresses, or by all without the control */
#define READ_EXEC_USER	0x431ull

static void allow_user_exec(void)
{
	uint64_t *pd = (uint64_t *)(l1.pdpt[0] & ~0xfffull), i;

	for (i = 0; i < 512; i++) {
		pd[i] |= EPT_USER_EXEC;
		pt[i] |= EPT_USER_EXEC;
	}
	for (i = 0; i < 8; i++)
		l1.pdpt[i] |= EPT_USER_EXEC;
	l1.pml4[0] |= EPT_USER_EXEC;
}

/* L2's own page-table entry of an address; it uses L1's tables. */
static uint64_t *l2_entry(uint64_t address)
{
	uint64_t table = read_cr3();
	int shift;

	for (shift = 39; shift > 12; shift -= 9)
		table = ((uint64_t *)table)[address >> shift & 511] & ~0xfffull;
	return &((uint64_t *)table)[address >> 12 & 511];
}

static uint64_t call(uint64_t page, uint64_t rights)
{
	ENTRY(page) = PAGE(page) | rights;
	flush_ept();
	vmwrite(GUEST_RSP, (uint64_t)l1.stack + 4096 - 8);
	return run(l2_call, PAGE(page));
}

/* PAGE(0) is a user-mode address, PAGE(1) a supervisor-mode one. */
static void test_mbec(void)
{
	uint64_t *pd;

	if (!offers(CPU2_MBEC))
		return;
	make_flagged_ept();
	allow_user_exec();
	*(volatile uint8_t *)PAGE(0) = *(volatile uint8_t *)PAGE(1) = 0xc3;
	*l2_entry(PAGE(1)) &= ~4ull;
	begin(l2_call, CPU2_MBEC, 0);
	CHECK_IS(call(0, READ_EXEC_USER), EXIT_VMCALL, "a user-mode address, with a right of its own");
	CHECK_IS(call(0, READ_EXEC), EXIT_EPT_VIOLATION, "with that of supervisor-mode addresses");
	CHECK_IS(field(EXIT_QUALIFICATION), 0x1ac, "is a violation with its qualification");
	CHECK_IS(field(GUEST_LINEAR), PAGE(0), "and address");
	CHECK_IS(call(1, READ_EXEC), EXIT_VMCALL, "a supervisor-mode address, with that");
	CHECK_IS(call(1, READ_EXEC_USER), EXIT_EPT_VIOLATION, "with that of user-mode addresses");
	CHECK_IS(field(EXIT_QUALIFICATION), 0x1cc, "is a violation as well");
	CHECK_IS(call(0, EPT_RWX), EXIT_EPT_VIOLATION, "all other rights do not make up for it");
	CHECK_IS(field(EXIT_QUALIFICATION) & 0x7f, 0x3c, "and are told");
	if (self_rdmsr(MSR_VMX_EPT_VPID) & 1) {
		CHECK_IS(call(0, EPT_USER_EXEC | 0x30), EXIT_VMCALL, "execute-only, for user-mode addresses");
		CHECK_IS(run(l2_read, PAGE(0)), EXIT_EPT_VIOLATION, "is not read");
		CHECK_IS(field(EXIT_QUALIFICATION), 0x1c1, "and present");
	}
	CHECK_IS(call(0, EPT_USER_EXEC | 0x32), EXIT_EPT_MISCONFIG, "without read rights, write is a misconfiguration");
	pd = (uint64_t *)(l1.pdpt[0] & ~0xfffull);
	pd[1] &= ~EPT_USER_EXEC;
	CHECK_IS(call(0, READ_EXEC_USER), EXIT_EPT_VIOLATION, "the right is needed at every level");
	CHECK_IS(field(EXIT_QUALIFICATION) & 0x7f, 0xc, "or is none");
	pd[1] |= EPT_USER_EXEC;
	l2_regs.rdi = PAGE(0);
	CHECK_IS(call(0, READ_EXEC_USER), EXIT_VMCALL, "with it L2 goes on");
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, CPU2_MBEC));
	CHECK_IS(go_on(), 0x10007, "without EPT the control is refused");
	begin(l2_call, 0, 0);
	CHECK_IS(call(0, READ_EXEC), EXIT_VMCALL, "without the control bit 2 is for user-mode addresses, too");
	CHECK_IS(call(0, READ_EXEC_USER), EXIT_EPT_VIOLATION, "and bit 10 is ignored");
	CHECK_IS(field(EXIT_QUALIFICATION), 0x18c, "as the qualification tells");
	*l2_entry(PAGE(1)) |= 4;
}

#define SUPPRESS_VE	(1ull << 63)

/* SDM, Format of the Virtualization-Exception Information Area. */
static volatile struct {
	uint32_t reason, busy;
	uint64_t qualification, linear, physical;
	uint16_t eptp_index;
} *area;

/* L2 accesses a page whose entry is @entry, and has a handler for what follows. */
static uint64_t violate(void (*code)(void), uint64_t entry)
{
	ENTRY(0) = entry;
	flush_ept();
	area->busy = 0;
	area->reason = 0;
	self_fault.vector = -1;
	self_recover = (uint64_t)l2_nop;
	return run(code, PAGE(0) + 0x18);
}

static void begin_ve(uint32_t cpu2)
{
	begin(l2_read, CPU2_VE | cpu2, 0);
	vmwrite(VE_INFO, (uint64_t)area);
	vmwrite(EPTP_INDEX, 7);
	vmwrite(EXCEPTION_BITMAP, 0);
}

static void test_ve_exits(void)
{
	CHECK_IS(violate(l2_read, SUPPRESS_VE), EXIT_EPT_VIOLATION, "an entry that suppresses it exits");
	CHECK_IS(area->reason, 0, "and nothing is written");
	CHECK_IS(violate(l2_write, SUPPRESS_VE | PAGE(0) | 0x31), EXIT_EPT_VIOLATION, "so does one that is present");
	CHECK_IS(violate(l2_read, PAGE(0) | 0x32), EXIT_EPT_MISCONFIG, "misconfigurations exit in any case");
	violate(l2_read, 0);
	area->reason = 0x55;
	vmwrite(GUEST_RIP, (uint64_t)l2_read);
	CHECK_IS(go_on(), EXIT_EPT_VIOLATION, "while the area is busy it exits");
	CHECK_IS(area->reason, 0x55, "and the area stays as it is");
	CHECK_IS(field(EXIT_QUALIFICATION), 0x181, "with the qualification");

	vmwrite(EXCEPTION_BITMAP, 1u << 20);
	CHECK_IS(violate(l2_read, 0), EXIT_EXCEPTION, "L1 can have the exception");
	CHECK_IS(field(EXIT_INTR_INFO), 0x80000314, "which has no error code");
	CHECK_IS(area->reason, 48, "with the information for L2");
	vmwrite(EXCEPTION_BITMAP, 0);

	area->busy = 0;
	vmwrite(GUEST_RSP, PAGE(0) + 0x800);
	vmwrite(ENTRY_INTR_INFO, 0x80000b0d);
	vmwrite(ENTRY_ERROR_CODE, 0);
	CHECK_IS(go_on(), EXIT_EPT_VIOLATION, "while an event is delivered it exits");
	CHECK_IS(field(VECTORING_INFO), 0x80000b0d, "and tells of the event");
	vmwrite(GUEST_RSP, (uint64_t)l1.stack + 4096 - 8);
}

static void test_ve_state(void)
{
	l2_regs.rax = IN_L2_AREA;
	CHECK_IS(violate(l2_say_read, 0), EXIT_VMCALL, "L2's state was saved and set, and the area was not in memory");
	CHECK(self_fault.vector == 20 && area->busy == ~0u && area->eptp_index == 7, "but is when it is written");
	if (offers(CPU2_VMFUNC)) {
		uint64_t *list = self_page();

		list[3] = EPTP(0);
		begin_ve(CPU2_VMFUNC);
		vmwrite(EPTP_LIST, (uint64_t)list);
		vmwrite(VMFUNC_CONTROLS, 1);
		l2_regs.rax = 0;
		l2_regs.rcx = 3;
		CHECK_IS(violate(l2_vmfunc, 0), EXIT_VMCALL, "a violation behind EPTP switching");
		CHECK_IS(area->eptp_index, 3, "tells which EPT it is of");
		CHECK_IS(field(EPTP_INDEX), 3, "as the VMCS does");
	}
}

/* SDM, Convertible EPT Violations: protection has to be on. L2's data is PAGE(0), its code PAGE(1). */
static void test_ve_real_mode(void)
{
	/* mov 0x18, %ax; vmcall */
	static const uint8_t code[] = { 0xa1, 0x18, 0x00, 0x0f, 0x01, 0xc1 };
	unsigned int i;

	if (!offers(CPU2_UNRESTRICTED))
		return;
	begin_ve(CPU2_UNRESTRICTED);
	memcpy((void *)PAGE(1), code, sizeof(code));
	ENTRY(1) = PAGE(1) | EPT_RWX;
	vmwrite(ENTRY_CONTROLS, adjust(MSR_VMX_TRUE_ENTRY, 0));
	vmwrite(GUEST_CR0, read_cr0() & ~0x80000001ull);
	for (i = 0; i < 6; i++) {
		vmwrite(GUEST_ES_BASE + 2 * i, i == 1 ? PAGE(1) : PAGE(0));
		vmwrite(GUEST_ES_LIMIT + 2 * i, 0xffff);
		vmwrite(GUEST_ES_AR + 2 * i, i == 1 ? 0x9b : 0x93);
	}
	area->busy = area->reason = 0;
	ENTRY(0) = 0;
	flush_ept();
	vmwrite(GUEST_RIP, 0);
	CHECK_IS(go_on(), EXIT_EPT_VIOLATION, "in real mode it exits");
	CHECK_IS(area->reason, 0, "and nothing is written");
	CHECK_IS(field(GUEST_PHYSICAL), PAGE(0) + 0x18, "but the address");
	ENTRY(0) = PAGE(0) | EPT_RWX;
	flush_ept();
	CHECK_IS(go_on(), EXIT_VMCALL, "with the page there L2 goes on");
}

static void test_ve(void)
{
	uint64_t *pd;

	CHECK(offers(CPU2_VE), "virtualization exceptions are offered");
	area = self_page();
	make_flagged_ept();
	begin_ve(0);
	CHECK_IS(violate(l2_read, 0), EXIT_VMCALL, "a violation makes no exit");
	CHECK_IS(self_fault.vector, 20, "but an exception of L2's");
	CHECK_IS(self_fault.rip, (uint64_t)l2_read, "at the instruction");
	CHECK_IS(area->reason, 48, "the area has the exit reason");
	CHECK_IS(area->busy, 0xffffffff, "is busy");
	CHECK_IS(area->qualification, 0x181, "has the qualification");
	CHECK_IS(area->linear, PAGE(0) + 0x18, "linear address");
	CHECK_IS(area->physical, PAGE(0) + 0x18, "and guest-physical address");
	CHECK_IS(area->eptp_index, 7, "and the EPTP index");
	CHECK_IS(violate(l2_write, PAGE(0) | 0x31), EXIT_VMCALL, "a page that cannot be written");
	CHECK_IS(self_fault.vector, 20, "is an exception");
	CHECK_IS(area->qualification, 0x18a, "with its qualification");
	pd = (uint64_t *)(l1.pdpt[0] & ~0xfffull);
	pd[1] |= SUPPRESS_VE;
	CHECK_IS(violate(l2_read, 0), EXIT_VMCALL, "an entry for a table does not suppress it");
	CHECK_IS(self_fault.vector, 20, "below it");
	pd[1] &= ~SUPPRESS_VE;
	test_ve_exits();
	test_ve_state();

	begin_ve(0);
	vmwrite(VE_INFO, (uint64_t)area + 8);
	CHECK_IS(go_on(), 0x10007, "an area that is not aligned is refused");
	vmwrite(VE_INFO, 1ull << 60);
	CHECK_IS(go_on(), 0x10007, "so is one beyond the width");
	begin(l2_read, 0, 0);
	CHECK_IS(violate(l2_read, 0), EXIT_EPT_VIOLATION, "without the control it exits");
	self_recover = 0;
	test_ve_real_mode();
}

#define PIN_VIRTUAL_NMIS	0x28u	/* and exiting */
#define BLOCKED_BY_NMI		8
#define NMI_UNBLOCKED		0x1000

L2(l2_iret, "iretq");

static uint64_t iret(uint64_t blocked, uint64_t entry)
{
	ENTRY(0) = entry;
	flush_ept();
	vmwrite(GUEST_INTERRUPTIBILITY, blocked);
	vmwrite(GUEST_RSP, PAGE(0));
	return run(l2_iret, 0);
}

/* SDM, Information About NMI Unblocking Due to IRET. */
static void test_nmi_unblocked(void)
{
	uint64_t *frame = (uint64_t *)PAGE(0);

	make_flagged_ept();
	begin(l2_iret, 0, 0);
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, PIN_VIRTUAL_NMIS));
	frame[0] = (uint64_t)l2_nop;
	frame[1] = SELF_CS;
	frame[2] = 2;
	frame[3] = (uint64_t)l1.stack + 4096 - 8;
	frame[4] = SELF_DS;
	CHECK_IS(iret(BLOCKED_BY_NMI, 0), EXIT_EPT_VIOLATION, "IRET finds no stack");
	CHECK_IS(field(EXIT_QUALIFICATION) & NMI_UNBLOCKED, NMI_UNBLOCKED, "and had unblocked NMIs");
	CHECK_IS(field(GUEST_INTERRUPTIBILITY) & BLOCKED_BY_NMI, 0, "which are unblocked");
	CHECK_IS(iret(0, 0), EXIT_EPT_VIOLATION, "another time");
	CHECK_IS(field(EXIT_QUALIFICATION) & NMI_UNBLOCKED, 0, "they were not blocked");
	CHECK_IS(iret(BLOCKED_BY_NMI, PAGE(0) | EPT_RWX), EXIT_VMCALL, "with a stack IRET is executed");
	CHECK_IS(field(GUEST_INTERRUPTIBILITY) & BLOCKED_BY_NMI, 0, "and NMIs are unblocked");
}

static void guest(void)
{
	enter_vmx_operation();
	test_pml();
	test_vmfunc();
	test_mbec();
	test_ve();
	test_nmi_unblocked();
	self_exit(0);
}

/* What user space takes away is neither in the MSRs nor accepted. */
static void guest_without(void)
{
	static const struct { uint32_t control; const char *refused; } controls[] = {
		{ CPU2_PML, "PML is refused when user space has taken it away" },
		{ CPU2_VMFUNC, "and so are VM functions" },
		{ CPU2_MBEC, "and mode-based execute control" },
		{ CPU2_VE, "and virtualization exceptions" },
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
	uint64_t all = CPU2_PML | CPU2_VMFUNC | CPU2_MBEC | CPU2_VE, cpu2 = get_msr(MSR_VMX_CPU2);

	tap_check(set_msr(MSR_VMX_CPU2, cpu2 | 1ull << 63) == 0, "a control that is not offered cannot be added");
	tap_check(set_msr(MSR_VMX_CPU2, cpu2 & ~(all << 32)) == 1, "controls can be taken away");
}

static void in_l2(uint32_t word)
{
	static struct nested_state saved, again;

	nested_get(s.vcpu, &saved);
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &saved);
	nested_get(s.vcpu, &again);
	tap_check(!memcmp(&saved, &again, sizeof(saved)), "what is set is what is got");
	if (word == IN_L2_AREA)
		tap_check(!madvise(s.memory + (uint64_t)area, 4096, MADV_REMOVE), "the area is taken away");
}

int main(void)
{
	self_create_vmx(&s);
	self_run_all(&s, guest, in_l2);
	self_destroy(&s);
	self_create(&s);
	take_away();
	self_run_all(&s, guest_without, NULL);
	return tap_done();
}
