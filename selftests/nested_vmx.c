// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a guest can be a hypervisor with VMX: every instruction with its errors and faults, the checks of VM entry,
 * exits that it asked for and no others, EPT with leaves of all sizes.
 *
 * nestor-test: cpu=intel kernel=6.1,7.3 cpus=1 timeout=900
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "nested.h"
#include "self.h"
#include "tap.h"
#include "vmx_l1.h"

static struct self s;

static void enable_vmx(void)
{
	l1.revision = self_rdmsr(MSR_VMX_BASIC);
	l1.vmxon = new_region(l1.revision);
	l1.vmcs = new_region(l1.revision);
	l1.other_vmcs = new_region(l1.revision);
	l1.stack = self_page();
	CHECK_IS(self_rdmsr(MSR_FEATURE_CONTROL), 0, "IA32_FEATURE_CONTROL is open at first");
	CHECK_IS(SELF_TRY("vmxon %0", "m" (l1.vmxon)), 6, "VMXON without CR4.VMXE");
	write_cr4(read_cr4() | CR4_VMXE);
	CHECK_IS(SELF_TRY("vmxon %0", "m" (l1.vmxon)), 13, "VMXON without IA32_FEATURE_CONTROL");
	self_wrmsr(MSR_FEATURE_CONTROL, 5);
	CHECK_IS(self_rdmsr(MSR_FEATURE_CONTROL), 5, "IA32_FEATURE_CONTROL can be locked with VMX on");
	CHECK_IS(SELF_TRY("wrmsr", "c" (MSR_FEATURE_CONTROL), "d" (0)), 13, "and not be written then");
}

/* Before VMXON every instruction but VMXON is undefined. */
static void test_outside(void)
{
	uint64_t field = GUEST_RIP, value = 0, descriptor[2] = {};

	CHECK_IS(SELF_TRY("vmxoff", "m" (value)), 6, "VMXOFF outside VMX operation");
	CHECK_IS(SELF_TRY("vmclear %0", "m" (l1.vmcs)), 6, "VMCLEAR outside VMX operation");
	CHECK_IS(SELF_TRY("vmptrld %0", "m" (l1.vmcs)), 6, "VMPTRLD outside VMX operation");
	CHECK_IS(SELF_TRY("vmptrst %0", "m" (value)), 6, "VMPTRST outside VMX operation");
	CHECK_IS(SELF_TRY("vmread %0, %1", "r" (field), "m" (value)), 6, "VMREAD outside VMX operation");
	CHECK_IS(SELF_TRY("vmwrite %1, %0", "r" (field), "m" (value)), 6, "VMWRITE outside VMX operation");
	CHECK_IS(SELF_TRY("vmlaunch", "m" (value)), 6, "VMLAUNCH outside VMX operation");
	CHECK_IS(SELF_TRY("vmresume", "m" (value)), 6, "VMRESUME outside VMX operation");
	CHECK_IS(SELF_TRY("invept %0, %1", "m" (descriptor), "r" (field)), 6, "INVEPT outside VMX operation");
	CHECK_IS(SELF_TRY("invvpid %0, %1", "m" (descriptor), "r" (field)), 6, "INVVPID outside VMX operation");
}

static void test_vmxon(void)
{
	uint64_t far = 1ull << 60;

	CHECK_IS(vmxon((uint64_t)l1.vmxon + 8), VMFAIL_INVALID, "VMXON of an address that is not aligned");
	CHECK_IS(vmxon(far), VMFAIL_INVALID, "VMXON of an address beyond the width");
	*(volatile uint32_t *)l1.vmxon = l1.revision + 1;
	CHECK_IS(vmxon((uint64_t)l1.vmxon), VMFAIL_INVALID, "VMXON of a region of another revision");
	*(volatile uint32_t *)l1.vmxon = l1.revision | 1u << 31;
	CHECK_IS(vmxon((uint64_t)l1.vmxon), VMFAIL_INVALID, "VMXON of a shadow VMCS");
	*(volatile uint32_t *)l1.vmxon = l1.revision;
	CHECK_IS(SELF_TRY("vmxon 0(%0)", "r" (1ull << 62)), 13, "VMXON of an operand that is not canonical");
	CHECK_IS(SELF_TRY("vmxon 0(%0)", "r" (SELF_UNMAPPED)), 14, "VMXON of an operand that is not mapped");
	CHECK_IS(vmxon((uint64_t)l1.vmxon), VM_SUCCEED, "VMXON");
	CHECK_IS(vmxon((uint64_t)l1.vmxon), VMFAIL_INVALID, "VMXON in VMX operation, without a VMCS");
	CHECK_IS(SELF_TRY("mov %0, %%cr4", "r" (read_cr4() & ~(uint64_t)CR4_VMXE)), 13, "CR4.VMXE cannot be cleared");
	CHECK_IS(SELF_TRY("mov %0, %%cr0", "r" (read_cr0() & ~0x20ull)), 13, "CR0.NE cannot be cleared");
}

static void test_pointers(void)
{
	uint64_t p, vmcs = (uint64_t)l1.vmcs, other = (uint64_t)l1.other_vmcs, value;

	CHECK_IS(vmptrst(), ~0ull, "no VMCS is current at first");
	CHECK_IS(vmread(GUEST_RIP, &value), VMFAIL_INVALID, "VMREAD without a VMCS");
	CHECK_IS(vmwrite(GUEST_RIP, 0), VMFAIL_INVALID, "VMWRITE without a VMCS");
	CHECK_IS(vmlaunch(), VMFAIL_INVALID, "VMLAUNCH without a VMCS");
	CHECK_IS(vmptrld(vmcs + 1), VMFAIL_INVALID, "VMPTRLD that fails without a VMCS");
	CHECK_IS(vmclear(vmcs), VM_SUCCEED, "VMCLEAR");
	CHECK_IS(vmptrld(vmcs), VM_SUCCEED, "VMPTRLD");
	CHECK_IS(vmptrst(), vmcs, "VMPTRST tells it");
	CHECK_IS(vm_error(vmptrld(vmcs + 8)), 9, "VMPTRLD of an address that is not aligned");
	CHECK_IS(vm_error(vmptrld(1ull << 60)), 9, "VMPTRLD of an address beyond the width");
	CHECK_IS(vm_error(vmptrld((uint64_t)l1.vmxon)), 10, "VMPTRLD of the VMXON pointer");
	*(volatile uint32_t *)l1.other_vmcs = l1.revision + 1;
	CHECK_IS(vm_error(vmptrld(other)), 11, "VMPTRLD of another revision");
	CHECK_IS(vm_error(vmptrld(0x8000000000ull - 4096)), 11, "VMPTRLD of what is no memory");
	*(volatile uint32_t *)l1.other_vmcs = l1.revision;
	CHECK_IS(vm_error(vmclear(vmcs + 8)), 2, "VMCLEAR of an address that is not aligned");
	CHECK_IS(vm_error(vmclear((uint64_t)l1.vmxon)), 3, "VMCLEAR of the VMXON pointer");
	CHECK_IS(vm_error(vmxon(vmcs)), 15, "VMXON in VMX operation");
	CHECK_IS(vmptrst(), vmcs, "failures leave the VMCS current");

	/* Each VMCS keeps its own. */
	CHECK_IS(vmwrite(GUEST_RIP, 0x1111), VM_SUCCEED, "VMWRITE");
	vmclear(other);
	CHECK_IS(vmptrld(other), VM_SUCCEED, "VMPTRLD of a second one");
	vmwrite(GUEST_RIP, 0x2222);
	vmptrld(vmcs);
	vmread(GUEST_RIP, &p);
	CHECK_IS(p, 0x1111, "the first has its value");
	vmclear(other);
	vmptrld(other);
	vmread(GUEST_RIP, &p);
	CHECK_IS(p, 0x2222, "the second has its own behind VMCLEAR");
	vmclear(other);
	CHECK_IS(vmptrst(), ~0ull, "VMCLEAR of the current VMCS leaves none");
	vmptrld(vmcs);
}

static void test_fields(void)
{
	uint64_t value, all = ~0ull;

	vmwrite(GUEST_ES_SELECTOR, all);
	vmread(GUEST_ES_SELECTOR, &value);
	CHECK_IS(value, 0xffff, "a field of 16 bits");
	vmwrite(PIN_CONTROLS, all);
	vmread(PIN_CONTROLS, &value);
	CHECK_IS(value, 0xffffffff, "a field of 32 bits");
	vmwrite(EPT_POINTER, 0x1122334455667788);
	vmread(EPT_POINTER + 1, &value);
	CHECK_IS(value, 0x11223344, "the upper half of a field of 64 bits");
	vmwrite(EPT_POINTER + 1, 0xaabbccdd);
	vmread(EPT_POINTER, &value);
	CHECK_IS(value, 0xaabbccdd55667788, "written alone");
	CHECK_IS(vm_error(vmread(0x6830, &value)), 12, "VMREAD of a field that does not exist");
	CHECK_IS(vm_error(vmwrite(0x6830, 0)), 12, "VMWRITE of a field that does not exist");
	CHECK_IS(vm_error(vmread(GUEST_RIP + 1, &value)), 12, "the upper half of a natural-width field");
	CHECK_IS(vm_error(vmread(1ull << 32 | GUEST_RIP, &value)), 12, "an encoding beyond 32 bits");
	CHECK_IS(vmwrite(EXIT_REASON, 0x55), self_rdmsr(MSR_VMX_MISC) >> 29 & 1 ? VM_SUCCEED : VMFAIL_VALID,
		 "VMWRITE to a read-only field is as IA32_VMX_MISC says");
	CHECK_IS(SELF_TRY("vmread %0, (%1)", "r" ((uint64_t)GUEST_RIP), "r" (SELF_UNMAPPED)), 14,
		 "VMREAD to memory that is not mapped");
	CHECK_IS(self_fault.error, 2, "is a write");
	CHECK_IS(SELF_TRY("vmwrite (%1), %0", "r" ((uint64_t)GUEST_RIP), "r" (SELF_UNMAPPED)), 14,
		 "VMWRITE from memory that is not mapped");
	CHECK_IS(self_fault.error, 0, "is a read");
}

static void test_invalidation(void)
{
	struct { uint64_t first, second; } d = {};

	CHECK_IS(vm_error(invept(0, &d)), 28, "INVEPT of type 0");
	CHECK_IS(vm_error(invept(3, &d)), 28, "INVEPT of type 3");
	CHECK_IS(vm_error(invept(1ull << 32 | 2, &d)), 28, "INVEPT of a type beyond 32 bits");
	CHECK_IS(vm_error(invept(1, &d)), 28, "INVEPT of an EPTP that is none");
	CHECK_IS(invept(2, &d), VM_SUCCEED, "INVEPT of all");
	d.first = (uint64_t)l1.pml4 | 0x1e;
	CHECK_IS(invept(1, &d), VM_SUCCEED, "INVEPT of one");
	CHECK_IS(SELF_TRY("invept (%0), %1", "r" (SELF_UNMAPPED), "r" (2ull)), 14, "INVEPT reads its descriptor in any case");
	d.first = 0;
	CHECK_IS(vm_error(invvpid(1, &d)), 28, "INVVPID of VPID 0");
	CHECK_IS(vm_error(invvpid(4, &d)), 28, "INVVPID of type 4");
	d.first = 0x10001;
	CHECK_IS(vm_error(invvpid(1, &d)), 28, "INVVPID with reserved bits");
	d.first = 1;
	d.second = 1ull << 62;
	CHECK_IS(vm_error(invvpid(0, &d)), 28, "INVVPID of an address that is not canonical");
	d.second = 0;
	CHECK_IS(invvpid(0, &d), VM_SUCCEED, "INVVPID of an address");
	CHECK_IS(invvpid(1, &d), VM_SUCCEED, "INVVPID of a context");
	CHECK_IS(invvpid(2, &d), VM_SUCCEED, "INVVPID of all");
	CHECK_IS(invvpid(3, &d), VM_SUCCEED, "INVVPID of a context but for global translations");
}

L2(l2_cpuid, "cpuid");
L2(l2_hlt, "hlt");
L2(l2_rdtsc, "rdtsc");
L2(l2_rdtscp, "rdtscp");
L2(l2_invlpg, "invlpg (%rdi)");
L2(l2_rdpmc, "rdpmc");
L2(l2_write_cr3, "mov %rdi, %cr3");
L2(l2_read_cr3, "mov %cr3, %rax");
L2(l2_write_cr0, "mov %rdi, %cr0");
L2(l2_write_cr4, "mov %rdi, %cr4");
L2(l2_read_cr0, "mov %cr0, %rax");
L2(l2_write_cr8, "mov %rdi, %cr8");
L2(l2_read_cr8, "mov %cr8, %rax");
L2(l2_clts, "clts");
L2(l2_lmsw, "lmsw %di");
L2(l2_read_dr, "mov %dr0, %rax");
L2(l2_out, "out %al, %dx");
L2(l2_ins, "insb");
L2(l2_rdmsr, "rdmsr");
L2(l2_wrmsr, "wrmsr");
L2(l2_pause, "pause");
L2(l2_wbinvd, "wbinvd");
L2(l2_monitor, "monitor");
L2(l2_mwait, "mwait");
L2(l2_sgdt, "sgdt (%rdi)");
L2(l2_str, "str %ax");
L2(l2_ud, "ud2");
L2(l2_int3, "int3");
L2(l2_read, "mov (%rdi), %rax");
L2(l2_write, "mov %rax, (%rdi)");
L2(l2_call, "call *%rdi");
L2(l2_nop, "nop\n nop");
L2(l2_spin, "2: pause\n jmp 2b");
L2(l2_xsetbv, "xsetbv");
L2(l2_vmxon, "vmxon (%rdi)");
L2(l2_invept, "invept (%rdi), %rax");

L2(l2_sti, "sti\n nop\n nop");
L2(l2_halt, "sti\n hlt");
L2(l2_read32, "mov (%rdi), %eax");
L2(l2_write32, "mov %eax, (%rdi)");
L2(l2_vmread, "vmread %rcx, %rax");
L2(l2_vmwrite, "vmwrite %rax, %rcx");

L2(l2_say, "out %eax, $0x80");
L2(l2_say_apic, "mov %rbx, %cr8\n out %eax, $0x80\n mov (%rdi), %eax");

static void test_run(uint32_t cpu2, const char *what)
{
	start(l2_cpuid, 0, cpu2);
	CHECK_IS(enter(false), 0x10005, "VMRESUME of a VMCS that was not launched");
	CHECK_IS(enter(true), EXIT_CPUID, what);
	CHECK_IS(field(EXIT_INSN_LENGTH), 2, "with the instruction's length");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_cpuid, "RIP is at it");
	skip();
	CHECK_IS(enter(true), 0x10004, "VMLAUNCH of a VMCS that was launched");
	CHECK_IS(enter(false), EXIT_VMCALL, "and on to VMCALL");
	CHECK_IS(field(EXIT_INSN_LENGTH), 3, "three bytes");
	CHECK_IS(field(EXIT_INTR_INFO) >> 31, 0, "no event");
}

/* Each exit with the control that makes it, and without. */
static const struct {
	const char *name;
	void (*code)(void);
	uint32_t reason, cpu, cpu2;
	uint64_t rax, rcx, rdx, rdi, qualification;
} exits[] = {
	{ "HLT", l2_hlt, 12, .cpu = 1u << 7 },
	{ "RDTSC", l2_rdtsc, 16, .cpu = 1u << 12 },
	{ "RDTSCP", l2_rdtscp, 51, .cpu = 1u << 12, .cpu2 = 1u << 3 },
	{ "INVLPG", l2_invlpg, 14, .cpu = 1u << 9, .rdi = 0x5000, .qualification = 0x5000 },
	{ "RDPMC", l2_rdpmc, 15, .cpu = 1u << 11 },
	{ "MOV from CR3", l2_read_cr3, 28, .cpu = 1u << 16, .qualification = 0x13 },
	{ "MOV to CR8", l2_write_cr8, 28, .cpu = 1u << 19, .qualification = 0x708 },
	{ "MOV from CR8", l2_read_cr8, 28, .cpu = 1u << 20, .qualification = 0x18 },
	{ "MOV from DR0", l2_read_dr, 29, .cpu = 1u << 23, .qualification = 0x10 },
	{ "OUT", l2_out, 30, .cpu = 1u << 24, .rdx = 0xf1, .qualification = 0xf10000 },
	{ "PAUSE", l2_pause, 40, .cpu = 1u << 30 },
	{ "WBINVD", l2_wbinvd, 54, .cpu2 = 1u << 6 },
	{ "MONITOR", l2_monitor, 39, .cpu = 1u << 29, .rax = 0x5000 },
	{ "MWAIT", l2_mwait, 36, .cpu = 1u << 10 },
	{ "SGDT", l2_sgdt, 46, .cpu2 = 1u << 2, .rdi = 0x300000 },
	{ "STR", l2_str, 47, .cpu2 = 1u << 2 },
};

/* HLT would wait, OUT go to the test, and L1 has no counters: those are not run without their control. */
static bool runs_without(uint32_t reason)
{
	return reason != 12 && reason != 30 && reason != 15;
}

static void set_l2(unsigned int i)
{
	l2_regs.rax = exits[i].rax;
	l2_regs.rcx = exits[i].rcx;
	l2_regs.rdx = exits[i].rdx;
	l2_regs.rdi = exits[i].rdi;
}

static void test_exits(void)
{
	uint64_t cpu = self_rdmsr(MSR_VMX_TRUE_CPU) >> 32, cpu2 = self_rdmsr(MSR_VMX_CPU2) >> 32;
	unsigned int i;

	for (i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
		if (exits[i].cpu & ~cpu || exits[i].cpu2 & ~cpu2)
			continue;
		set_l2(i);
		start(exits[i].code, exits[i].cpu, CPU2_EPT | exits[i].cpu2);
		CHECK_IS(enter(true), exits[i].reason, exits[i].name);
		CHECK_IS(field(GUEST_RIP), (uint64_t)exits[i].code, "exits before it");
		if (exits[i].qualification)
			CHECK_IS(field(EXIT_QUALIFICATION), exits[i].qualification, "with its qualification");
		skip();
		CHECK_IS(enter(false), EXIT_VMCALL, "and is skipped");
		if (!runs_without(exits[i].reason))
			continue;
		set_l2(i);
		start(exits[i].code, 0, CPU2_EPT | (exits[i].cpu2 & 1u << 3));
		CHECK_IS(enter(true), EXIT_VMCALL, "without the control it is L2's own");
	}
}

/* Exits that no control makes. */
static void test_always(void)
{
	l2_regs.rcx = 1;
	start(l2_xsetbv, 0, CPU2_EPT);
	vmwrite(GUEST_CR4, read_cr4() | 1 << 18);
	vmwrite(HOST_CR4, read_cr4());
	CHECK_IS(enter(true), 55, "XSETBV");
	l2_regs.rdi = 0x300000;
	start(l2_vmxon, 0, CPU2_EPT);
	CHECK_IS(enter(true), 27, "VMXON in L2");
	start(l2_invept, 0, CPU2_EPT);
	CHECK_IS(enter(true), 50, "INVEPT in L2");
}

static void test_crs(void)
{
	l2_regs.rdi = read_cr0() ^ 8;
	start(l2_write_cr0, 0, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_VMCALL, "CR0.TS is L2's");
	CHECK_IS(field(GUEST_CR0), read_cr0() ^ 8, "and was written");
	start(l2_write_cr0, 0, CPU2_EPT);
	vmwrite(CR0_MASK, 8);
	vmwrite(CR0_SHADOW, read_cr0());
	CHECK_IS(enter(true), 28, "CR0.TS is L1's");
	CHECK_IS(field(EXIT_QUALIFICATION), 0x700, "MOV to CR0 from RDI");
	start(l2_read_cr0, 0, CPU2_EPT);
	vmwrite(CR0_MASK, 0xff);
	vmwrite(CR0_SHADOW, 0x5a);
	CHECK_IS(enter(true), EXIT_VMCALL, "reading CR0 does not exit");
	CHECK_IS(l2_regs.rax, (read_cr0() & ~0xffull) | 0x5a, "and shows L1's bits as L1 wants");
	l2_regs.rdi = read_cr4() ^ 4;
	start(l2_write_cr4, 0, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_VMCALL, "CR4.TSD is L2's");
	CHECK_IS(field(GUEST_CR4), read_cr4() ^ 4, "and was written");
	l2_regs.rdi = read_cr3();
	start(l2_write_cr3, 1 << 15, CPU2_EPT);
	CHECK_IS(enter(true), 28, "MOV to CR3 exits");
	vmwrite(CR3_TARGET_COUNT, 1);
	vmwrite(CR3_TARGET0, read_cr3());
	CHECK_IS(enter(false), EXIT_VMCALL, "but not for a CR3 target");
	vmwrite(CR3_TARGET_COUNT, 5);
	CHECK_IS(enter(false), 0x10007, "of which there are four");
	start(l2_clts, 0, CPU2_EPT);
	vmwrite(CR0_MASK, 8);
	vmwrite(CR0_SHADOW, 8);
	CHECK_IS(enter(true), 28, "CLTS of L1's bit");
	CHECK_IS(field(EXIT_QUALIFICATION), 0x20, "with its qualification");
	l2_regs.rdi = 0x9;
	start(l2_lmsw, 0, CPU2_EPT);
	vmwrite(CR0_MASK, 8);
	vmwrite(CR0_SHADOW, 1);
	CHECK_IS(enter(true), 28, "LMSW of L1's bit");
	CHECK_IS(field(EXIT_QUALIFICATION), 0x90030, "with its qualification");
}

static void test_bitmaps(void)
{
	uint8_t *io = self_page(), *io_b = self_page(), *msr = self_page();

	l2_regs.rdx = 0x71;
	start(l2_out, 1 << 25, CPU2_EPT);
	vmwrite(IO_BITMAP_A, (uint64_t)io);
	vmwrite(IO_BITMAP_B, (uint64_t)io_b);
	io[0x71 / 8] = 1 << (0x71 & 7);
	CHECK_IS(enter(true), EXIT_IO, "a port whose bit is set");
	io[0x71 / 8] = 0;
	l2_regs.rcx = MSR_EFER;
	l2_regs.rdx = 0;
	start(l2_rdmsr, 0, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_RDMSR, "RDMSR without a bitmap");
	start(l2_rdmsr, 1 << 28, CPU2_EPT);
	vmwrite(MSR_BITMAP, (uint64_t)msr);
	CHECK_IS(enter(true), EXIT_VMCALL, "RDMSR of an MSR whose bit is clear");
	CHECK_IS(l2_regs.rax | l2_regs.rdx << 32, self_rdmsr(MSR_EFER), "reads it");
	msr[1024 + 0x80 / 8] = 1;
	start(l2_rdmsr, 1 << 28, CPU2_EPT);
	vmwrite(MSR_BITMAP, (uint64_t)msr);
	CHECK_IS(enter(true), EXIT_RDMSR, "of one whose bit is set");
	l2_regs.rcx = 0x174;
	l2_regs.rax = 0x10;
	l2_regs.rdx = 0;
	start(l2_wrmsr, 1 << 28, CPU2_EPT);
	vmwrite(MSR_BITMAP, (uint64_t)msr);
	CHECK_IS(enter(true), EXIT_VMCALL, "WRMSR of one that the CPU keeps");
	CHECK_IS(field(0x482a), 0x10, "is seen in the VMCS");
	msr[2048 + 0x174 / 8] = 1 << (0x174 & 7);
	CHECK(vmwrite(GUEST_RIP, (uint64_t)l2_wrmsr) == VM_SUCCEED, "L1 changes its bitmap");
	CHECK_IS(enter(false), EXIT_WRMSR, "and the next entry knows");
	l2_regs.rcx = 0x40000000;
	start(l2_rdmsr, 1 << 28, CPU2_EPT);
	vmwrite(MSR_BITMAP, (uint64_t)msr);
	CHECK_IS(enter(true), EXIT_RDMSR, "RDMSR outside of the bitmap");
}

static void test_exceptions(void)
{
	start(l2_ud, 0, CPU2_EPT);
	vmwrite(EXCEPTION_BITMAP, 1 << 6);
	CHECK_IS(enter(true), EXIT_EXCEPTION, "#UD in the exception bitmap");
	CHECK_IS(field(EXIT_INTR_INFO), 0x80000306, "is a hardware exception");
	start(l2_int3, 0, CPU2_EPT);
	vmwrite(EXCEPTION_BITMAP, 1 << 3);
	CHECK_IS(enter(true), EXIT_EXCEPTION, "INT3 in the exception bitmap");
	CHECK_IS(field(EXIT_INTR_INFO), 0x80000603, "is a software exception");
	CHECK_IS(field(EXIT_INSN_LENGTH), 1, "of one byte");
	l2_regs.rdi = SELF_UNMAPPED;
	start(l2_write, 0, CPU2_EPT);
	vmwrite(EXCEPTION_BITMAP, 1 << 14);
	CHECK_IS(enter(true), EXIT_EXCEPTION, "a page fault of L2's");
	CHECK_IS(field(EXIT_INTR_INFO), 0x80000b0e, "has an error code");
	CHECK_IS(field(EXIT_ERROR_CODE), 2, "of a write");
	CHECK_IS(field(EXIT_QUALIFICATION), SELF_UNMAPPED, "and its address");
	start(l2_write, 0, CPU2_EPT);
	vmwrite(EXCEPTION_BITMAP, 1 << 14);
	vmwrite(0x4006, 2);
	vmwrite(0x4008, 0);
	self_recover = (uint64_t)l2_nop;
	CHECK_IS(enter(true), EXIT_VMCALL, "page faults whose error code does not match are L2's");
	CHECK_IS(self_fault.vector, 14, "and L2's handler ran");
	self_recover = 0;
	vmwrite(0x4006, 0);
}

static void test_injection(void)
{
	start(l2_spin, 0, CPU2_EPT);
	vmwrite(ENTRY_INTR_INFO, 0x80000000 | 0x30);
	CHECK_IS(enter(true), 0x80000021, "an interrupt cannot be injected with RFLAGS.IF = 0");
	CHECK_IS(field(ENTRY_INTR_INFO), 0x80000030, "and is still there");
	vmwrite(GUEST_RFLAGS, 0x202);
	self_recover = (uint64_t)l2_nop;
	self_fault.vector = -1;
	CHECK_IS(enter(true), EXIT_VMCALL, "but with RFLAGS.IF = 1");
	CHECK_IS(self_fault.vector, 0x30, "it is delivered");
	CHECK_IS(field(ENTRY_INTR_INFO), 0x30, "and not valid any more");
	start(l2_spin, 0, CPU2_EPT);
	vmwrite(ENTRY_INTR_INFO, 0x80000b0d);
	vmwrite(ENTRY_ERROR_CODE, 0x1230);
	CHECK_IS(enter(true), EXIT_VMCALL, "#GP is injected");
	CHECK_IS(self_fault.vector, 13, "and delivered");
	CHECK_IS(self_fault.error, 0x1230, "with its error code");
	start(l2_spin, 0, CPU2_EPT);
	vmwrite(ENTRY_INTR_INFO, 0x80000680 | 3);
	vmwrite(ENTRY_INSN_LENGTH, 1);
	vmwrite(ENTRY_INTR_INFO, 0x80000603);
	CHECK_IS(enter(true), EXIT_VMCALL, "INT3 is injected");
	CHECK_IS(self_fault.vector, 3, "and delivered");
	CHECK_IS(self_fault.rip, (uint64_t)l2_spin + 1, "behind its instruction");
	self_recover = 0;
	vmwrite(ENTRY_INTR_INFO, 0x80000100);
	CHECK_IS(enter(false), 0x10007, "an event of a reserved type");
	vmwrite(ENTRY_INTR_INFO, 0);
}

/* Controls that are not offered are refused, those that are taken; dependencies apart. */
static void walk_controls(uint32_t field_encoding, uint32_t msr, uint32_t base, const char *name)
{
	uint64_t cap = self_rdmsr(msr), got, refused;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		uint32_t value = base ^ 1u << bit;
		bool allowed = !((uint32_t)cap & ~value) && !(value & ~(cap >> 32));

		start(l2_nop, 0, CPU2_EPT);
		vmwrite(field_encoding, value);
		if (allowed)
			continue;
		got = enter(true);
		refused = 0x10007;
		self_check(got == refused, name, bit, got);
	}
}

static void test_controls(void)
{
	walk_controls(PIN_CONTROLS, MSR_VMX_TRUE_PIN, adjust(MSR_VMX_TRUE_PIN, 0), "a pin-based control that is not offered");
	walk_controls(CPU_CONTROLS, MSR_VMX_TRUE_CPU, adjust(MSR_VMX_TRUE_CPU, CPU_SECONDARY), "a primary control that is not offered");
	walk_controls(CPU2_CONTROLS, MSR_VMX_CPU2, adjust(MSR_VMX_CPU2, CPU2_EPT), "a secondary control that is not offered");
	walk_controls(EXIT_CONTROLS, MSR_VMX_TRUE_EXIT, adjust(MSR_VMX_TRUE_EXIT, EXIT_HOST_64), "an exit control that is not offered");
	walk_controls(ENTRY_CONTROLS, MSR_VMX_TRUE_ENTRY, adjust(MSR_VMX_TRUE_ENTRY, ENTRY_IA32E), "an entry control that is not offered");
}

/* One field that is wrong, and the verdict. */
static void refused(uint32_t encoding, uint64_t value, uint64_t verdict, const char *name)
{
	start(l2_nop, 0, CPU2_EPT);
	vmwrite(encoding, value);
	CHECK_IS(enter(true), verdict, name);
}

static void test_refusals(void)
{
	refused(HOST_CR0, 0, 0x10008, "host CR0 without its fixed bits");
	refused(HOST_RIP - 2, 1ull << 62, EXIT_VMCALL, "HOST_RSP is not checked");
	refused(HOST_ES_SELECTOR + 2, 0, 0x10008, "a host CS selector of 0");
	refused(HOST_TR_BASE, 1ull << 62, 0x10008, "a host TR base that is not canonical");
	refused(GUEST_RFLAGS, 0, 0x80000021, "guest RFLAGS without bit 1");
	refused(GUEST_CR4, 0, 0x80000021, "guest CR4 without VMXE");
	refused(GUEST_ACTIVITY, 4, 0x80000021, "an activity state that is none");
	refused(LINK_POINTER, 8, 0x80000021, "a link pointer that is not aligned");
	CHECK_IS(field(EXIT_QUALIFICATION), 4, "with its qualification");
	refused(EPT_POINTER, (uint64_t)l1.pml4, 0x10007, "an EPTP of an uncached table with one level");
	refused(GUEST_RIP, 1ull << 62, 0x80000021, "a guest RIP that is not canonical");
	start(l2_nop, 0, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_VMCALL, "and with nothing wrong it runs");
}

static void test_msr_areas(void)
{
	struct { uint32_t index, reserved; uint64_t value; } *area = self_page();

	area[0].index = 0xc0000102;	/* IA32_KERNEL_GS_BASE */
	area[0].value = 0x1234000;
	area[1].index = 0xc0000100;	/* IA32_FS_BASE: refused */
	start(l2_nop, 0, CPU2_EPT);
	vmwrite(ENTRY_MSR_LOAD, (uint64_t)area);
	vmwrite(ENTRY_MSR_LOAD_COUNT, 2);
	CHECK_IS(enter(true), 0x80000022, "an MSR that cannot be loaded");
	CHECK_IS(field(EXIT_QUALIFICATION), 2, "is told");
	vmwrite(ENTRY_MSR_LOAD_COUNT, 1);
	vmwrite(EXIT_MSR_STORE, (uint64_t)&area[2]);
	vmwrite(EXIT_MSR_STORE_COUNT, 1);
	vmwrite(EXIT_MSR_LOAD, (uint64_t)&area[3]);
	vmwrite(EXIT_MSR_LOAD_COUNT, 1);
	area[2].index = area[3].index = 0xc0000102;
	area[3].value = 0x5678000;
	CHECK_IS(enter(true), EXIT_VMCALL, "MSR areas");
	CHECK_IS(area[2].value, 0x1234000, "what the entry loaded was stored");
	CHECK_IS(self_rdmsr(0xc0000102), 0x5678000, "and the exit loaded the host's");
	self_wrmsr(0xc0000102, 0);
}

static void test_ept(void)
{
	uint64_t *pte = &split_ept()[(EPT_TEST - 0x200000) >> 12], good = EPT_TEST | 0x37;
	volatile uint64_t *page = (void *)EPT_TEST, *other = self_page();

	*(volatile uint8_t *)page = 0xc3;
	other[0] = 0x77c3;
	flush_ept();
	l2_regs.rdi = EPT_TEST;
	start(l2_read, 0, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_VMCALL, "a page of 4 KiB is read");
	*pte = 0;
	flush_ept();
	vmwrite(GUEST_RIP, (uint64_t)l2_read);
	CHECK_IS(enter(false), EXIT_EPT_VIOLATION, "a page that is not there");
	CHECK_IS(field(EXIT_QUALIFICATION) & 0x1ff, 0x181, "qualification of a read");
	CHECK_IS(field(GUEST_PHYSICAL), EPT_TEST, "guest-physical address");
	CHECK_IS(field(GUEST_LINEAR), EPT_TEST, "linear address");
	*pte = good;
	CHECK_IS(enter(false), EXIT_VMCALL, "comes with no INVEPT");
	*pte = EPT_TEST | 0x31;
	flush_ept();
	vmwrite(GUEST_RIP, (uint64_t)l2_write);
	CHECK_IS(enter(false), EXIT_EPT_VIOLATION, "a page that cannot be written");
	CHECK_IS(field(EXIT_QUALIFICATION) & 0x1ff, 0x18a, "qualification of a write");
	vmwrite(GUEST_RIP, (uint64_t)l2_call);
	CHECK_IS(enter(false), EXIT_EPT_VIOLATION, "a page that cannot be executed");
	CHECK_IS(field(EXIT_QUALIFICATION) & 0x1ff, 0x18c, "qualification of a fetch");
	if (self_rdmsr(MSR_VMX_EPT_VPID) & 1) {
		*pte = EPT_TEST | 0x34;
		flush_ept();
		start(l2_call, 0, CPU2_EPT);
		CHECK_IS(enter(true), EXIT_VMCALL, "execute-only: runs");
		vmwrite(GUEST_RIP, (uint64_t)l2_read);
		CHECK_IS(enter(false), EXIT_EPT_VIOLATION, "cannot be read");
		CHECK_IS(field(EXIT_QUALIFICATION) & 0x1ff, 0x1a1, "qualification");
		*pte = ((uint64_t)other & ~0xfffull) | 0x31;
		flush_ept();
		CHECK_IS(enter(false), EXIT_VMCALL, "and is another page when read");
		CHECK_IS(l2_regs.rax, 0x77c3, "with its own content");
	}
	*pte = EPT_TEST | 0x32;
	flush_ept();
	vmwrite(GUEST_RIP, (uint64_t)l2_read);
	CHECK_IS(enter(false), EXIT_EPT_MISCONFIG, "write-only is a misconfiguration");
	CHECK_IS(field(GUEST_PHYSICAL), EPT_TEST, "at its address");
	*pte = EPT_TEST | 0x17;
	flush_ept();
	CHECK_IS(enter(false), EXIT_EPT_MISCONFIG, "so is memory type 2");
	*pte = good;
	flush_ept();
	l2_regs.rax = 0x55;
	vmwrite(GUEST_RIP, (uint64_t)l2_write);
	CHECK_IS(enter(false), EXIT_VMCALL, "a good entry again");
	CHECK_IS(*page, 0x55, "and the write was made");
}

static void test_accessed_dirty(void)
{
	uint64_t *pte = &split_ept()[(EPT_TEST - 0x200000) >> 12];

	if (!(self_rdmsr(MSR_VMX_EPT_VPID) & 1 << 21))
		return;
	flush_ept();
	l2_regs.rdi = EPT_TEST;
	start(l2_read, 0, CPU2_EPT);
	vmwrite(EPT_POINTER, (uint64_t)l1.pml4 | 0x5e);
	CHECK_IS(enter(true), EXIT_VMCALL, "EPT with accessed and dirty flags");
	CHECK_IS(*pte & 0x300, 0x100, "a read sets accessed");
	vmwrite(GUEST_RIP, (uint64_t)l2_write);
	CHECK_IS(enter(false), EXIT_VMCALL, "a write");
	CHECK_IS(*pte & 0x300, 0x300, "sets dirty");
}

#define IN_TEST		0x2ff000ull
#define PIC_MASK	0x21

static uint64_t *next_table(uint64_t entry, unsigned int shift)
{
	return &((uint64_t *)(entry & ~0xfffull))[IN_TEST >> shift & 511];
}

/*
 * L2 may read its page table and not write to it. Without accessed and dirty flags in EPT that matters where bits are to be
 * set in it: by INS, whose data the host stores.
 */
static void test_table_writes(void)
{
	uint64_t *ept = split_ept(), *pde = next_table(*next_table(*next_table(read_cr3(), 39), 30), 21), old = *pde, i;
	volatile uint64_t *table = (void *)EPT_TEST, *pte = &table[IN_TEST >> 12 & 511];

	for (i = 0; i < 512; i++)
		table[i] = ((uint64_t *)(old & ~0xfffull))[i];
	*pde = EPT_TEST | 0x67;
	ept[(EPT_TEST - 0x200000) >> 12] = EPT_TEST | 0x35;
	flush_ept();
	l2_regs.rdi = IN_TEST;
	l2_regs.rdx = PIC_MASK;
	start(l2_ins, 0, CPU2_EPT);
	*pte = IN_TEST | 0x67;
	CHECK_IS(enter(true), EXIT_VMCALL, "INS through a page table that is read-only for L2");
	*pte = IN_TEST | 0x27;
	l2_regs.rdi = IN_TEST;
	vmwrite(GUEST_RIP, (uint64_t)l2_ins);
	CHECK_IS(enter(false), EXIT_EPT_VIOLATION, "whose dirty bit has to be set");
	CHECK_IS(field(GUEST_PHYSICAL), (uint64_t)pte, "a violation at the entry");
	CHECK_IS(field(EXIT_QUALIFICATION) & 0x1bb, 0xab, "by a write to a page table");
	CHECK_IS(*pte, IN_TEST | 0x27, "that was not made");
	ept[(EPT_TEST - 0x200000) >> 12] = EPT_TEST | 0x37;
	CHECK_IS(enter(false), EXIT_VMCALL, "L1 allows it");
	CHECK_IS(*pte, IN_TEST | 0x67, "and it is made");
	*pde = old;
}

static void test_mtf(void)
{
	if (!(self_rdmsr(MSR_VMX_TRUE_CPU) >> 59 & 1))
		return;
	start(l2_nop, 1 << 27, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_MTF, "the monitor trap flag");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_nop + 1, "steps over an instruction");
	CHECK_IS(enter(false), EXIT_MTF, "and another");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_nop + 2, "steps on");
	start(l2_wbinvd, 1 << 27, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_MTF, "an instruction that the hypervisor below executes");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_wbinvd + 2, "is a step as well");
	start(l2_hlt, 1 << 27, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_MTF, "a step over HLT");
	CHECK_IS(field(GUEST_ACTIVITY), 1, "leaves L2 halted");
}

/* VMREAD or VMWRITE of @encoding by L2, with the shadow VMCS linked and bitmaps of zeros but for @bit. */
static uint64_t access_shadow(void (*code)(void), uint64_t encoding, uint32_t bit)
{
	static uint8_t *bitmap;

	if (!bitmap)
		bitmap = self_page();
	bitmap[bit / 8] |= 1 << (bit & 7);
	l2_regs.rcx = encoding;
	start(code, 0, CPU2_EPT | CPU2_SHADOWING);
	vmwrite(VMREAD_BITMAP, (uint64_t)bitmap);
	vmwrite(VMWRITE_BITMAP, (uint64_t)bitmap);
	vmwrite(LINK_POINTER, (uint64_t)l1.other_vmcs);
	enter(true);
	bitmap[bit / 8] = 0;
	return field(EXIT_REASON);
}

static void test_shadowing(void)
{
	uint64_t shadow = (uint64_t)l1.other_vmcs;

	if (!(self_rdmsr(MSR_VMX_CPU2) >> 32 & CPU2_SHADOWING))
		return;
	vmclear(shadow);
	*(volatile uint32_t *)shadow = l1.revision | 1u << 31;
	CHECK_IS(vmptrld(shadow), VM_SUCCEED, "VMPTRLD of a shadow VMCS");
	CHECK_IS(vmwrite(GUEST_RIP, 0xc0ffee), VM_SUCCEED, "VMWRITE to it");
	CHECK_IS(vmlaunch(), VMFAIL_INVALID, "it cannot be entered");
	vmclear(shadow);

	CHECK_IS(access_shadow(l2_vmread, GUEST_RIP, 0), EXIT_VMCALL, "L2 reads it without an exit");
	CHECK_IS(l2_regs.rax, 0xc0ffee, "what L1 wrote");
	l2_regs.rax = 0x7e57;
	CHECK_IS(access_shadow(l2_vmwrite, GUEST_RIP, 0), EXIT_VMCALL, "L2 writes it");
	CHECK_IS(access_shadow(l2_vmread, 0x5fe, 0), EXIT_VMCALL, "a field that is none");
	CHECK_IS(field(GUEST_RFLAGS) & 0x41, 0x40, "fails");
	CHECK_IS(field(INSN_ERROR), 12, "with the error");
	CHECK_IS(access_shadow(l2_vmread, GUEST_RIP, GUEST_RIP), EXIT_VMREAD, "a field whose bit is set");
	CHECK_IS(access_shadow(l2_vmwrite, GUEST_RIP, GUEST_RIP), EXIT_VMWRITE, "VMWRITE to it");
	CHECK_IS(access_shadow(l2_vmread, 1 << 15, 0), EXIT_VMREAD, "a field beyond the bitmap");
	vmwrite(LINK_POINTER, ~0ull);
	vmwrite(GUEST_RIP, (uint64_t)l2_vmread);
	l2_regs.rcx = GUEST_RIP;
	CHECK_IS(enter(false), EXIT_VMCALL, "without a shadow VMCS");
	CHECK_IS(field(GUEST_RFLAGS) & 0x41, 1, "it fails");
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, CPU2_EPT));
	vmwrite(GUEST_RIP, (uint64_t)l2_vmread);
	CHECK_IS(enter(false), EXIT_VMREAD, "without the control it exits");
	vmwrite(LINK_POINTER, shadow);
	CHECK_IS(enter(false), 0x80000021, "a shadow VMCS without the control is refused");

	vmptrld(shadow);
	CHECK_IS(field(GUEST_RIP), 0x7e57, "L1 reads what L2 wrote");
	vmclear(shadow);
	*(volatile uint32_t *)shadow = l1.revision;
	CHECK_IS(access_shadow(l2_vmread, GUEST_RIP, 0), 0x80000021, "an ordinary VMCS is no shadow VMCS");
	CHECK_IS(field(EXIT_QUALIFICATION), 4, "with its qualification");
}

#define APIC_TPR	0x80
#define APIC_PPR	0xa0
#define APIC_ISR	0x100
#define APIC_IRR	0x200
#define APIC_ICR	0x300

/* The virtual-APIC page, and the page that L2 takes for its APIC. */
static volatile uint32_t *virtual_apic, *apic_access;

static uint32_t virtual_register(uint32_t offset)
{
	return virtual_apic[offset / 4];
}

static void start_apic(void (*code)(void), uint32_t cpu, uint32_t cpu2)
{
	start(code, cpu, CPU2_EPT | cpu2);
	vmwrite(VIRTUAL_APIC, (uint64_t)virtual_apic);
	vmwrite(APIC_ACCESS, (uint64_t)apic_access);
	vmwrite(TPR_THRESHOLD, 0);
}

static void test_tpr_shadow(void)
{
	l2_regs.rdi = 5;
	virtual_apic[APIC_TPR / 4] = 0x90;
	start_apic(l2_read_cr8, CPU_TPR_SHADOW, 0);
	CHECK_IS(enter(true), EXIT_VMCALL, "a TPR shadow");
	CHECK_IS(l2_regs.rax, 9, "is what L2 reads");
	vmwrite(GUEST_RIP, (uint64_t)l2_write_cr8);
	CHECK_IS(enter(false), EXIT_VMCALL, "L2 writes CR8");
	CHECK_IS(virtual_register(APIC_TPR), 0x50, "to the virtual-APIC page");
	CHECK_IS(read_cr8(), 0, "L1's CR8 stays");
	vmwrite(TPR_THRESHOLD, 5);
	vmwrite(GUEST_RIP, (uint64_t)l2_write_cr8);
	l2_regs.rdi = 4;
	CHECK_IS(enter(false), EXIT_TPR, "a TPR below the threshold");
	CHECK_IS(virtual_register(APIC_TPR), 0x40, "was written");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_write_cr8 + 4, "behind the instruction");
	CHECK_IS(enter(false), 0x10007, "an entry with such a TPR is refused");
	vmwrite(TPR_THRESHOLD, 0x14);
	CHECK_IS(enter(false), 0x10007, "and a threshold with reserved bits");
	vmwrite(TPR_THRESHOLD, 4);
	CHECK_IS(enter(false), EXIT_VMCALL, "with a TPR at it L2 runs");
	start_apic(l2_write_cr8, CPU_TPR_SHADOW | 1u << 19, 0);
	CHECK_IS(enter(true), 28, "CR8-load exiting comes first");
	start_apic(l2_read_cr8, CPU_TPR_SHADOW, 0);
	vmwrite(VIRTUAL_APIC, (uint64_t)virtual_apic + 8);
	CHECK_IS(enter(true), 0x10007, "a virtual-APIC page that is not aligned");
}

static void test_virtual_x2apic(uint32_t registers)
{
	uint8_t *bitmap = self_page();

	l2_regs.rcx = 0x808;
	l2_regs.rax = 0x70;
	l2_regs.rdx = 0;
	start_apic(l2_wrmsr, CPU_TPR_SHADOW | CPU_MSR_BITMAPS, CPU2_X2APIC | registers);
	vmwrite(MSR_BITMAP, (uint64_t)bitmap);
	CHECK_IS(enter(true), EXIT_VMCALL, "WRMSR of the TPR of a virtual x2APIC");
	CHECK_IS(virtual_register(APIC_TPR), 0x70, "writes to the virtual-APIC page");
	l2_regs.rax = 0;
	vmwrite(GUEST_RIP, (uint64_t)l2_rdmsr);
	CHECK_IS(enter(false), EXIT_VMCALL, "RDMSR of it");
	CHECK_IS(l2_regs.rax, 0x70, "reads that");
	if (registers) {
		virtual_apic[0x20 / 4] = 0x1234;
		l2_regs.rcx = 0x802;
		vmwrite(GUEST_RIP, (uint64_t)l2_rdmsr);
		CHECK_IS(enter(false), EXIT_VMCALL, "RDMSR of another register");
		CHECK_IS(l2_regs.rax, 0x1234, "reads the page");
	}
	bitmap[0x808 / 8] = 1;
	l2_regs.rcx = 0x808;
	vmwrite(GUEST_RIP, (uint64_t)l2_rdmsr);
	CHECK_IS(enter(false), EXIT_RDMSR, "L1's bitmap comes first");
	vmwrite(CPU_CONTROLS, field(CPU_CONTROLS) & ~CPU_TPR_SHADOW);
	CHECK_IS(enter(false), 0x10007, "without a TPR shadow it is refused");
	vmwrite(CPU_CONTROLS, field(CPU_CONTROLS) | CPU_TPR_SHADOW);
	vmwrite(CPU2_CONTROLS, field(CPU2_CONTROLS) | CPU2_APIC_ACCESSES);
	CHECK_IS(enter(false), 0x10007, "and so it is with an APIC-access page");
}

static void test_apic_access(uint32_t registers)
{
	l2_regs.rdi = (uint64_t)apic_access + APIC_TPR;
	virtual_apic[APIC_TPR / 4] = 0x30;
	start_apic(l2_read32, CPU_TPR_SHADOW, CPU2_APIC_ACCESSES | registers);
	CHECK_IS(enter(true), EXIT_VMCALL, "L2 reads its TPR by memory");
	CHECK_IS((uint32_t)l2_regs.rax, 0x30, "from the virtual-APIC page");
	l2_regs.rax = 0x60;
	vmwrite(GUEST_RIP, (uint64_t)l2_write32);
	CHECK_IS(enter(false), EXIT_VMCALL, "and writes it");
	CHECK_IS(virtual_register(APIC_TPR), 0x60, "there");
	CHECK_IS(apic_access[APIC_TPR / 4], 0, "and not to the APIC-access page");
	virtual_apic[APIC_ICR / 4] = 0x55;
	l2_regs.rdi = (uint64_t)apic_access + APIC_ICR;
	vmwrite(GUEST_RIP, (uint64_t)l2_read32);
	CHECK_IS(enter(false), registers ? EXIT_VMCALL : EXIT_APIC_ACCESS, "another register");
	if (registers)
		CHECK_IS((uint32_t)l2_regs.rax, 0x55, "is read from the page");
	else
		CHECK_IS(field(EXIT_QUALIFICATION), APIC_ICR, "with its qualification");
	l2_regs.rax = 0x40077;
	vmwrite(GUEST_RIP, (uint64_t)l2_write32);
	CHECK_IS(enter(false), registers ? EXIT_APIC_WRITE : EXIT_APIC_ACCESS, "is written");
	CHECK_IS(field(EXIT_QUALIFICATION), registers ? APIC_ICR : 0x1000 | APIC_ICR, "with its qualification");
	CHECK_IS(virtual_register(APIC_ICR), registers ? 0x40077 : 0x55, "in the page if at all");
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, CPU2_EPT));
	vmwrite(GUEST_RIP, (uint64_t)l2_read32);
	CHECK_IS(enter(false), EXIT_VMCALL, "without the control");
	CHECK_IS((uint32_t)l2_regs.rax, 0, "the APIC-access page is memory");
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, CPU2_EPT | CPU2_APIC_ACCESSES));
	vmwrite(APIC_ACCESS, (uint64_t)apic_access + 8);
	CHECK_IS(enter(false), 0x10007, "an APIC-access page that is not aligned");
}

/* What L2 says to the host. */
#define IN_L2_APIC	101
#define IN_L2_HALT	102

/* The host saves and sets L2's state, and takes the APIC-access page away. */
static void test_apic_state(void)
{
	l2_regs.rbx = 6;
	l2_regs.rax = IN_L2_APIC;
	l2_regs.rdi = (uint64_t)apic_access + APIC_TPR;
	start_apic(l2_say_apic, CPU_TPR_SHADOW, CPU2_APIC_ACCESSES);
	CHECK_IS(enter(true), EXIT_VMCALL, "L2 goes on after its APIC was saved and its APIC-access page has moved");
	CHECK_IS((uint32_t)l2_regs.rax, 0x60, "with its virtual APIC");
	CHECK_IS(apic_access[APIC_TPR / 4], 0, "and the APIC-access page as it is now");
}

/* The bit of a vector in the virtual-APIC page. */
static bool virtual_bit(uint32_t registers, uint8_t vector)
{
	return virtual_apic[(registers + vector / 32 * 16) / 4] >> vector % 32 & 1;
}

static void request(uint8_t vector)
{
	virtual_apic[(APIC_IRR + vector / 32 * 16) / 4] |= 1u << vector % 32;
	vmwrite(GUEST_INTR_STATUS, (field(GUEST_INTR_STATUS) & 0xff00) | vector);
}

#define POSTED		0x80u
#define ACK_ON_EXIT	0x8000u

static void start_delivery(void (*code)(void))
{
	static uint8_t *bitmap;
	unsigned int i;

	if (!bitmap)
		bitmap = self_page();
	for (i = 0; i < 1024; i++)
		virtual_apic[i] = 0;
	start_apic(code, CPU_TPR_SHADOW | CPU_MSR_BITMAPS, CPU2_X2APIC | CPU2_APIC_REGISTERS | CPU2_DELIVERY);
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, 1));
	vmwrite(MSR_BITMAP, (uint64_t)bitmap);
	vmwrite(GUEST_INTR_STATUS, 0);
	for (i = 0; i < 4; i++)
		vmwrite(EOI_EXIT_BITMAP + 2 * i, 0);
	self_fault.vector = -1;
	self_recover = (uint64_t)l2_nop;
}

static void test_delivery(void)
{
	start_delivery(l2_sti);
	request(0x41);
	CHECK_IS(enter(true), EXIT_VMCALL, "virtual-interrupt delivery");
	CHECK_IS(self_fault.vector, 0x41, "delivers what is requested");
	CHECK(virtual_bit(APIC_ISR, 0x41) && !virtual_bit(APIC_IRR, 0x41), "and notes it in the page");
	CHECK_IS(virtual_register(APIC_PPR), 0x40, "with its priority");
	CHECK_IS(field(GUEST_INTR_STATUS), 0x4100, "and in the VMCS");
	self_fault.vector = -1;
	request(0x42);
	vmwrite(GUEST_RIP, (uint64_t)l2_sti);
	CHECK_IS(enter(false), EXIT_VMCALL, "another one of that priority");
	CHECK_IS(self_fault.vector, -1, "waits");
	l2_regs.rcx = 0x80b;
	l2_regs.rax = l2_regs.rdx = 0;
	vmwrite(GUEST_RIP, (uint64_t)l2_wrmsr);
	CHECK_IS(enter(false), EXIT_VMCALL, "for an EOI");
	CHECK_IS(self_fault.vector, 0x42, "and is delivered then");
	CHECK_IS(field(GUEST_INTR_STATUS), 0x4200, "as the VMCS tells");
	vmwrite(EOI_EXIT_BITMAP + 2, 1ull << (0x42 - 0x40));
	vmwrite(GUEST_RIP, (uint64_t)l2_wrmsr);
	CHECK_IS(enter(false), EXIT_EOI, "an EOI of which L1 wants to know");
	CHECK_IS(field(EXIT_QUALIFICATION), 0x42, "with its vector");
	self_fault.vector = -1;
	l2_regs.rcx = 0x83f;
	l2_regs.rax = 0x51;
	vmwrite(GUEST_RIP, (uint64_t)l2_wrmsr);
	CHECK_IS(enter(false), EXIT_VMCALL, "a SELF IPI of L2's");
	CHECK_IS(self_fault.vector, 0x51, "is delivered");
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, 0));
	CHECK_IS(enter(false), 0x10007, "virtual-interrupt delivery without external-interrupt exiting");
	start_delivery(l2_halt);
	request(0x43);
	CHECK_IS(enter(true), EXIT_VMCALL, "a virtual interrupt ends a halt");
	CHECK_IS(self_fault.vector, 0x43, "and is delivered");
}

/* L1's APIC is an x2APIC from here on. */
static void test_posted(void)
{
	volatile uint64_t *descriptor = (void *)self_page();

	self_wrmsr(0x1b, self_rdmsr(0x1b) | 0xc00);
	self_wrmsr(0x80f, 0x1ff);
	start_delivery(l2_sti);
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, POSTED | 1));
	vmwrite(POSTED_VECTOR, 0xf0);
	vmwrite(POSTED_DESCRIPTOR, (uint64_t)descriptor);
	CHECK_IS(enter(true), 0x10007, "posted interrupts without acknowledgement on exit");
	vmwrite(EXIT_CONTROLS, adjust(MSR_VMX_TRUE_EXIT, EXIT_HOST_64 | ACK_ON_EXIT));
	vmwrite(POSTED_DESCRIPTOR, (uint64_t)descriptor + 8);
	CHECK_IS(enter(true), 0x10007, "a descriptor that is not aligned");
	vmwrite(POSTED_DESCRIPTOR, (uint64_t)descriptor);
	vmwrite(POSTED_VECTOR, 0x100);
	CHECK_IS(enter(true), 0x10007, "a vector of nine bits");
	vmwrite(POSTED_VECTOR, 0xf0);
	descriptor[0x61 / 64] = 1ull << 0x61 % 64;
	descriptor[4] = 1;
	self_wrmsr(0x83f, 0xf0);
	CHECK_IS(enter(true), EXIT_VMCALL, "a notification makes no exit");
	CHECK_IS(self_fault.vector, 0x61, "but what was posted is delivered");
	CHECK_IS(descriptor[0x61 / 64] | (descriptor[4] & 1), 0, "and taken from the descriptor");
	CHECK_IS(self_rdmsr(0x827) | self_rdmsr(0x817), 0, "the notification is over");
	self_fault.vector = -1;
	descriptor[0x73 / 64] = 1ull << 0x73 % 64;
	self_wrmsr(0x832, 0xf0);
	self_wrmsr(0x838, 1000000);
	vmwrite(GUEST_RIP, (uint64_t)l2_halt);
	CHECK_IS(enter(false), EXIT_VMCALL, "a notification while L2 is halted");
	CHECK_IS(self_fault.vector, 0x73, "ends the halt");
	self_wrmsr(0x83f, 0xf1);
	vmwrite(GUEST_RIP, (uint64_t)l2_sti);
	CHECK_IS(enter(false), 1, "another interrupt exits");
	CHECK_IS(field(EXIT_INTR_INFO), 0x800000f1, "acknowledged");
	self_wrmsr(0x80b, 0);
	self_fault.vector = -1;
	self_wrmsr(0x83f, 0xf0);
	self_wrmsr(0x83f, 0xd1);
	vmwrite(GUEST_RIP, (uint64_t)l2_sti);
	CHECK_IS(enter(false), 1, "one that waits behind a notification exits");
	CHECK_IS(field(EXIT_INTR_INFO), 0x800000d1, "as L1's");
	CHECK_IS(self_fault.vector, -1, "and is not delivered to L2");
	self_wrmsr(0x80b, 0);
	self_wrmsr(0x832, 0xf1);
	self_wrmsr(0x838, 1000000);
	l2_regs.rax = IN_L2_HALT;
	vmwrite(GUEST_RIP, (uint64_t)l2_say);
	CHECK_IS(enter(false), 1, "an interrupt ends the halt of an L2 that was restored so");
	self_wrmsr(0x80b, 0);
}

static void test_apic(void)
{
	uint64_t cpu = self_rdmsr(MSR_VMX_TRUE_CPU) >> 32, cpu2 = self_rdmsr(MSR_VMX_CPU2) >> 32;

	virtual_apic = (void *)self_page();
	apic_access = (void *)self_page();
	if (!(cpu & CPU_TPR_SHADOW))
		return;
	test_tpr_shadow();
	if (cpu2 & CPU2_X2APIC) {
		test_virtual_x2apic(0);
		if (cpu2 & CPU2_APIC_REGISTERS)
			test_virtual_x2apic(CPU2_APIC_REGISTERS);
	}
	if (cpu2 & CPU2_APIC_ACCESSES) {
		test_apic_access(0);
		if (cpu2 & CPU2_APIC_REGISTERS)
			test_apic_access(CPU2_APIC_REGISTERS);
		test_apic_state();
	}
	if (~cpu2 & (CPU2_X2APIC | CPU2_APIC_REGISTERS | CPU2_DELIVERY))
		return;
	test_delivery();
	if (self_rdmsr(MSR_VMX_TRUE_PIN) >> 32 & POSTED)
		test_posted();
	self_recover = 0;
}

static void test_timer(void)
{
	if (!(self_rdmsr(MSR_VMX_TRUE_PIN) >> 38 & 1))
		return;
	start(l2_spin, 0, CPU2_EPT);
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, 1 << 6));
	vmwrite(PREEMPTION_TIMER, 1000);
	CHECK_IS(enter(true), EXIT_TIMER, "the VMX-preemption timer");
	vmwrite(PREEMPTION_TIMER, 0);
	CHECK_IS(enter(false), EXIT_TIMER, "of 0");
	CHECK_IS(field(GUEST_RIP) - (uint64_t)l2_spin < 8, 1, "in L2");
}

#define IN_L2	100	/* what L2 says to the host */

static void test_state(void)
{
	l2_regs.rax = IN_L2;
	start(l2_say, 0, CPU2_EPT);
	vmwrite(GUEST_DR7, 0x400);
	CHECK_IS(enter(true), EXIT_VMCALL, "L2 goes on after its state was saved and set");
	CHECK_IS(field(HOST_CR3), read_cr3(), "with what L1 had");
}

static void guest(void)
{
	enable_vmx();
	make_ept();
	test_outside();
	test_vmxon();
	test_pointers();
	test_fields();
	test_invalidation();
	self_exit(1);
	test_run(0, "an L2 without EPT exits with CPUID");
	self_exit(2);
	test_run(CPU2_EPT, "an L2 with EPT exits with CPUID");
	self_exit(3);
	test_run(CPU2_EPT | CPU2_VPID | CPU2_UNRESTRICTED, "an L2 with EPT and VPID exits with CPUID");
	test_exits();
	self_exit(4);
	test_always();
	test_crs();
	self_exit(5);
	test_bitmaps();
	test_exceptions();
	self_exit(6);
	test_injection();
	test_controls();
	test_refusals();
	self_exit(7);
	test_msr_areas();
	test_ept();
	test_accessed_dirty();
	test_table_writes();
	self_exit(8);
	test_state();
	test_mtf();
	test_timer();
	test_shadowing();
	self_exit(9);
	test_apic();
	CHECK_IS(SELF_TRY("vmxoff", "m" (l1.vmcs)), -1, "VMXOFF");
	self_exit(0);
}

static struct nested_state saved;

/* Fields of a saved VMCS, whose layout is upstream's. */
enum { SAVED_ENTRY_INTR_INFO = 788, SAVED_INTERRUPTIBILITY = 912 };

static void change_saved(struct nested_state *state, unsigned int offset, uint32_t value)
{
	memcpy(state->data + offset, &value, sizeof(value));
}

/* While L2 runs: its state out and in again, and what is refused. */
static void host_in_l2(void)
{
	static struct nested_state other;
	struct kvm_vcpu_events events = {};

	tap_check(s.run->flags & KVM_RUN_X86_GUEST_MODE, "KVM_RUN_X86_GUEST_MODE");
	saved.head.size = sizeof(saved.head);
	tap_check(kvm_raw(s.vcpu, KVM_GET_NESTED_STATE, &saved) == -E2BIG && saved.head.size > sizeof(saved.head),
		  "KVM_GET_NESTED_STATE without room tells the size");
	nested_get(s.vcpu, &saved);
	tap_check(saved.head.flags == KVM_STATE_NESTED_GUEST_MODE && saved.head.format == KVM_STATE_NESTED_FORMAT_VMX &&
		  saved.head.hdr.vmx.vmcs12_pa == (uint64_t)l1.vmcs && saved.head.hdr.vmx.vmxon_pa == (uint64_t)l1.vmxon,
		  "the state of a vCPU whose L2 runs");
	other = saved;
	other.head.format = KVM_STATE_NESTED_FORMAT_SVM;
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &other) == -EINVAL, "SVM's format is refused");
	other = saved;
	other.head.hdr.vmx.vmxon_pa++;
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &other) == -EINVAL, "a VMXON pointer that is not aligned is refused");
	other = saved;
	other.data[0] ^= 1;
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &other) == -EINVAL, "another revision is refused");
	/* What an entry checks and L2, which runs, can be: blocked by MOV SS, behind an event of its entry. */
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	events.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	KVM(s.vcpu, KVM_SET_VCPU_EVENTS, &events);
	other = saved;
	change_saved(&other, SAVED_ENTRY_INTR_INFO, 0x80000202);
	change_saved(&other, SAVED_INTERRUPTIBILITY, 2);
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &other) == 0, "no entry is made again");
	other.head.flags |= KVM_STATE_NESTED_RUN_PENDING;
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &other) == -EINVAL, "but one that has not happened yet");
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &saved);
	nested_get(s.vcpu, &other);
	tap_check(!memcmp(&other, &saved, sizeof(saved)), "what is set is what is got");
}

static void host_in_l2_apic(void)
{
	nested_get(s.vcpu, &saved);
	tap_check(*(uint32_t *)(s.memory + (uint64_t)virtual_apic + APIC_TPR) == 0x60,
		  "with the state L1's memory has what L2 wrote to its virtual APIC");
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &saved);
	tap_check(!madvise(s.memory + (uint64_t)apic_access, 4096, MADV_REMOVE), "the APIC-access page is taken away");
}

static void host_in_l2_halt(void)
{
	struct kvm_mp_state halted = { .mp_state = KVM_MP_STATE_HALTED };

	nested_get(s.vcpu, &saved);
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &saved);
	KVM(s.vcpu, KVM_SET_MP_STATE, &halted);
}

static void handle(uint32_t word)
{
	if (word == IN_L2)
		host_in_l2();
	else if (word == IN_L2_APIC)
		host_in_l2_apic();
	else if (word == IN_L2_HALT)
		host_in_l2_halt();
}

int main(void)
{
	self_create_vmx(&s);
	self_run_all(&s, guest, handle);
	return tap_done();
}
