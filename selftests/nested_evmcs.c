// SPDX-License-Identifier: GPL-2.0
/*
 * Verify enlightened VMCSs: the capability and what it offers L1, which VMCS an entry uses, what it reads of it by clean
 * bits and exits write, the VMX instructions beside it, the enlightened MSR bitmap, direct flushes, saved state.
 *
 * nestor-test: cpu=intel kernel=6.1 cpus=1 timeout=900
 */
#include <errno.h>
#include <string.h>

#include "nested.h"
#include "self.h"
#include "tap.h"
#include "vmx_guest.h"

#define MSR_HV_GUEST_OS_ID	0x40000000
#define MSR_HV_VP_ASSIST	0x40000073

#define HV_LEAF_HINTS		0x40000004
#define HV_LEAF_NESTED		0x4000000a
#define HV_DIRECT_FLUSH		(1u << 17)

/* Offsets in an enlightened VMCS; of arrays that begin with ES, in the order of the manual. */
enum {
	E_REVISION = 0, E_HOST_ES = 8, E_HOST_TR = 20, E_HOST_EFER = 32, E_HOST_CR0 = 40, E_HOST_CR3 = 48, E_HOST_CR4 = 56,
	E_PIN = 92, E_EXIT_CONTROLS = 96, E_CPU2 = 100, E_MSR_BITMAP = 120, E_ES = 128, E_ES_LIMIT = 144,
	E_GDTR_LIMIT = 176, E_IDTR_LIMIT = 180, E_ES_AR = 184, E_ES_BASE = 216, E_GDTR_BASE = 280, E_IDTR_BASE = 288,
	E_MSR_LOAD_COUNT = 396, E_LINK = 416, E_EFER = 440, E_CR0 = 544, E_CR3 = 552, E_CR4 = 560, E_DR7 = 568,
	E_HOST_TR_BASE = 592, E_HOST_GDTR = 600, E_HOST_IDTR = 608, E_INSN_ERROR = 688, E_EXIT_REASON = 692,
	E_EXIT_LENGTH = 712, E_RSP = 768, E_RFLAGS = 776, E_CPU = 788, E_ENTRY_CONTROLS = 796, E_RIP = 816, E_CLEAN = 824,
	E_ENLIGHTENMENTS = 836, E_PARTITION = 856,
};

#define CLEAN_ALL		0xffffu
#define CLEAN_MSR_BITMAP	(1u << 1)
#define CLEAN_PROC		(1u << 4)
#define CLEAN_ENLIGHTENMENTS	(1u << 15)
#define DIRECT_FLUSH		1u
#define ENLIGHTENED_BITMAP	2u

#define CPU_RDTSC		(1u << 12)
#define PIN_TIMER		(1u << 6)
#define EXIT_RDTSC		16
#define EXIT_AFTER_FLUSH	0x10000031

#define IN_L2			100	/* what L2 says to the host */
#define REFUSED			0x10000	/* run_l2(): and the error */

static struct self s;

static struct l1 {
	uint32_t revision;
	uint64_t *vmxon, *vmcs, *stack, *bitmap;
	uint8_t *evmcs, *other, *assist, *partition;
} l1;

#define AT(type, page, offset)	(*(volatile type *)((page) + (offset)))

static void put(unsigned int offset, uint64_t value)
{
	AT(uint64_t, l1.evmcs, offset) = value;
}

static void put32(unsigned int offset, uint32_t value)
{
	AT(uint32_t, l1.evmcs, offset) = value;
}

static uint32_t get32(unsigned int offset)
{
	return AT(uint32_t, l1.evmcs, offset);
}

L2(l2_cpuid, "cpuid");
L2(l2_rdtsc, "rdtsc");
L2(l2_rdmsr, "rdmsr");
L2(l2_say, "out %eax, $0x80");

/* L2 flushes all TLBs, fast; then calls L1. */
#define FLUSH_SPACE	0x10002ull
L2(l2_flush, "vmcall\nl2_flushed: xor %ecx, %ecx\nl2_calls:");
void l2_flushed(void);
void l2_calls(void);

/* int evmcs_enter(void *evmcs, bool launch): as vm_enter(); L2 changes no registers but these. */
int evmcs_enter(void *evmcs, bool launch);
asm(".pushsection .text\n"
    "evmcs_enter:\n"
    "	mov %rsp, 616(%rdi)\n"
    "	lea 1f(%rip), %rax\n"
    "	mov %rax, 80(%rdi)\n"
    "	andl $0xffff9fff, 824(%rdi)\n"
    "	test %esi, %esi\n"
    "	mov l2_regs(%rip), %rax\n"
    "	mov l2_regs + 8(%rip), %rcx\n"
    "	mov l2_regs + 16(%rip), %rdx\n"
    "	mov l2_regs + 56(%rip), %r8\n"
    "	jz 2f\n"
    "	vmlaunch\n"
    "	jmp 3f\n"
    "2:	vmresume\n"
    "3:	setz %al\n"
    "	movzbl %al, %eax\n"
    "	inc %eax\n"
    "	ret\n"
    "1:	mov %rax, l2_regs(%rip)\n"
    "	mov %rcx, l2_regs + 8(%rip)\n"
    "	xor %eax, %eax\n"
    "	ret\n"
    ".popsection\n");

/* The exit reason, or REFUSED plus the error. */
static uint64_t run_l2(bool launch)
{
	int r = evmcs_enter(l1.evmcs, launch);

	return r == VM_SUCCEED ? get32(E_EXIT_REASON) : r == VMFAIL_INVALID ? REFUSED : REFUSED + get32(E_INSN_ERROR);
}

static void use(uint8_t *evmcs)
{
	l1.evmcs = evmcs;
	AT(uint64_t, l1.assist, 48) = (uint64_t)evmcs;
	AT(uint8_t, l1.assist, 40) = evmcs != NULL;
}

static void set_segment(unsigned int nr, uint16_t selector, uint64_t base, uint32_t limit, uint32_t ar)
{
	AT(uint16_t, l1.evmcs, E_ES + 2 * nr) = selector;
	put(E_ES_BASE + 8 * nr, base);
	put32(E_ES_LIMIT + 4 * nr, limit);
	put32(E_ES_AR + 4 * nr, ar);
}

static void fill_guest(void (*function)(void))
{
	struct descriptor { uint16_t limit; uint64_t base; } __attribute__((packed)) gdt, idt;
	unsigned int i;

	asm volatile("sgdt %0\n sidt %1" : "=m" (gdt), "=m" (idt));
	for (i = 0; i < 6; i++)
		set_segment(i, SELF_DS, 0, ~0u, 0xc093);
	set_segment(1, SELF_CS, 0, ~0u, 0xa09b);
	set_segment(6, 0, 0, 0, 0x10000);
	set_segment(7, SELF_TSS, SELF_TSS_BASE, 0x67, 0x8b);
	put(E_GDTR_BASE, gdt.base);
	put32(E_GDTR_LIMIT, gdt.limit);
	put(E_IDTR_BASE, idt.base);
	put32(E_IDTR_LIMIT, idt.limit);
	put(E_HOST_GDTR, gdt.base);
	put(E_HOST_IDTR, idt.base);
	put(E_CR0, read_cr0());
	put(E_CR3, read_cr3());
	put(E_CR4, read_cr4());
	put(E_EFER, self_rdmsr(MSR_EFER));
	put(E_DR7, 0x400);
	put(E_RIP, (uint64_t)function);
	put(E_RSP, (uint64_t)l1.stack + 4096 - 8);
	put(E_RFLAGS, 2);
	put(E_LINK, ~0ull);
}

/* One that runs @function as L2, in the mode that L1 is in, without EPT. Nothing of it is clean. */
static void fill(uint8_t *evmcs, void (*function)(void), uint32_t cpu)
{
	unsigned int i;

	use(evmcs);
	for (i = 0; i < 1024; i += 8)
		put(i, 0);
	put32(E_REVISION, 1);
	put32(E_PIN, adjust(MSR_VMX_TRUE_PIN, 0));
	put32(E_CPU, adjust(MSR_VMX_TRUE_CPU, cpu));
	put32(E_EXIT_CONTROLS, adjust(MSR_VMX_TRUE_EXIT, EXIT_HOST_64));
	put32(E_ENTRY_CONTROLS, adjust(MSR_VMX_TRUE_ENTRY, ENTRY_IA32E));
	put(E_MSR_BITMAP, (uint64_t)l1.bitmap);
	fill_guest(function);
	for (i = 0; i < 6; i++)
		AT(uint16_t, evmcs, E_HOST_ES + 2 * i) = i == 1 ? SELF_CS : SELF_DS;
	AT(uint16_t, evmcs, E_HOST_TR) = SELF_TSS;
	put(E_HOST_TR_BASE, SELF_TSS_BASE);
	put(E_HOST_CR0, read_cr0());
	put(E_HOST_CR3, read_cr3());
	put(E_HOST_CR4, read_cr4());
	put(E_HOST_EFER, self_rdmsr(MSR_EFER));
}

static void skip(void)
{
	put(E_RIP, AT(uint64_t, l1.evmcs, E_RIP) + get32(E_EXIT_LENGTH));
}

static void enable(void)
{
	l1.revision = self_rdmsr(MSR_VMX_BASIC);
	l1.vmxon = self_page();
	l1.vmcs = self_page();
	l1.stack = self_page();
	l1.bitmap = self_page();
	l1.evmcs = self_page();
	l1.other = self_page();
	l1.assist = self_page();
	l1.partition = self_page();
	*(volatile uint32_t *)l1.vmxon = *(volatile uint32_t *)l1.vmcs = l1.revision;
	self_wrmsr(MSR_HV_GUEST_OS_ID, 1ull << 48 | 1);
	self_wrmsr(MSR_FEATURE_CONTROL, 5);
	write_cr4(read_cr4() | CR4_VMXE);
	CHECK_IS(vmxon((uint64_t)l1.vmxon), VM_SUCCEED, "VMXON");
}

/* Controls without fields in an enlightened VMCS. */
static void test_offer(void)
{
	CHECK_IS(self_rdmsr(MSR_VMX_TRUE_PIN) >> 32 & 0xc0, 0, "no VMX-preemption timer, no posted interrupts");
	CHECK_IS(self_rdmsr(0x481) >> 32 & 0xc0, 0, "by the older MSR neither");
	CHECK_IS(self_rdmsr(MSR_VMX_CPU2) >> 32 & (CPU2_APIC_ACCESSES | CPU2_APIC_REGISTERS | CPU2_DELIVERY |
						     CPU2_SHADOWING | 1u << 25), 0, "nor those of the secondary controls");
	CHECK_IS(self_rdmsr(MSR_VMX_TRUE_EXIT) >> 32 & 1u << 22, 0, "nor that of the exit controls");
}

/* Which VMCS does an entry use? */
static void test_pointers(void)
{
	fill(l1.evmcs, l2_cpuid, 0);
	CHECK_IS(run_l2(true), REFUSED, "without an assist page there is no VMCS");
	self_wrmsr(MSR_HV_VP_ASSIST, (uint64_t)l1.assist | 1);
	AT(uint8_t, l1.assist, 40) = 0;
	CHECK_IS(run_l2(true), REFUSED, "nor where it does not say so");
	AT(uint8_t, l1.assist, 40) = 1;
	AT(uint64_t, l1.assist, 48) = 0xdeadb000;
	CHECK_IS(SELF_TRY("vmlaunch", "i" (0)), 6, "one where no memory is");
	AT(uint64_t, l1.assist, 48) = 1ull << 62;
	CHECK_IS(SELF_TRY("vmlaunch", "i" (0)), 6, "or no address");
	use(l1.evmcs);
	put32(E_REVISION, 2);
	CHECK_IS(run_l2(true), REFUSED, "one of another version");
	put32(E_REVISION, l1.revision | 1u << 31);
	CHECK_IS(run_l2(true), REFUSED, "a shadow VMCS");
	put32(E_REVISION, 1);
	CHECK_IS(run_l2(false), EXIT_CPUID, "VMRESUME needs no VMLAUNCH");
	CHECK_IS(get32(E_EXIT_LENGTH), 2, "the exit is told");
	CHECK_IS(AT(uint64_t, l1.evmcs, E_RIP), (uint64_t)l2_cpuid, "and where");
	CHECK_IS(get32(E_CLEAN), CLEAN_ALL, "all is clean");
	skip();
	CHECK_IS(run_l2(false), EXIT_VMCALL, "and on to VMCALL");
	fill(l1.other, l2_cpuid, 0);
	put32(E_REVISION, l1.revision);
	CHECK_IS(run_l2(true), EXIT_CPUID, "another one, with the revision that Hyper-V writes");
	AT(uint64_t, l1.assist, 48) = (uint64_t)l1.other | 8;
	CHECK_IS(run_l2(true), EXIT_CPUID, "offsets in the page do not matter");
}

static void test_clean(void)
{
	fill(l1.other, l2_rdtsc, 0);
	CHECK_IS(run_l2(true), EXIT_VMCALL, "an L2 that may read the TSC");
	put(E_RIP, (uint64_t)l2_rdtsc);
	put32(E_CPU, get32(E_CPU) | CPU_RDTSC);
	CHECK_IS(run_l2(false), EXIT_VMCALL, "a control that is said to be clean is not read");
	put(E_RIP, (uint64_t)l2_rdtsc);
	put32(E_CPU, get32(E_CPU) | CPU_RDTSC);
	put32(E_CLEAN, get32(E_CLEAN) & ~CLEAN_PROC);
	CHECK_IS(run_l2(false), EXIT_RDTSC, "else it is");
	put32(E_CPU, get32(E_CPU) & ~CPU_RDTSC);
	CHECK_IS(run_l2(true), EXIT_VMCALL, "VMLAUNCH reads all");
	CHECK_IS(get32(E_CLEAN), CLEAN_ALL, "all is clean again");
}

/* What L1 does with it besides entering. */
static void test_instructions(void)
{
	uint64_t value;
	int r;

	fill(l1.other, l2_cpuid, 0);
	run_l2(true);
	CHECK_IS(vmread(EXIT_REASON, &value), VM_SUCCEED, "VMREAD");
	CHECK_IS(value, EXIT_CPUID, "reads its memory");
	put(E_RSP, 0x1122334455667788);
	vmread(GUEST_RSP, &value);
	CHECK_IS(value, 0x1122334455667788, "as it is now");
	CHECK_IS(vmread(PREEMPTION_TIMER, &value), VMFAIL_VALID, "VMREAD of a field that it does not have");
	CHECK_IS(get32(E_INSN_ERROR), 12, "with the error");
	CHECK_IS(AT(uint64_t, l1.evmcs, E_RSP), 0x1122334455667788, "which is all that is written");
	CHECK_IS(vmwrite(GUEST_RSP, 0), VMFAIL_INVALID, "VMWRITE");
	CHECK_IS(vmptrld((uint64_t)l1.vmcs), VMFAIL_INVALID, "VMPTRLD");
	r = VM_RESULT("vmptrst %2", "m" (value));
	CHECK_IS(r, VMFAIL_INVALID, "VMPTRST");
	put32(E_CLEAN, 0);
	put32(E_PIN, get32(E_PIN) | PIN_TIMER);
	CHECK_IS(run_l2(false), REFUSED + 7, "a control that it has no field for");
	put32(E_PIN, get32(E_PIN) & ~PIN_TIMER);
	put32(E_MSR_LOAD_COUNT, 1);
	put32(E_CLEAN, 0);
	CHECK_IS(run_l2(false), EXIT_CPUID, "MSR areas are not used");
	AT(uint16_t, l1.evmcs, E_HOST_ES) = 0x1230;
	CHECK_IS(vmclear((uint64_t)l1.evmcs), VM_SUCCEED, "VMCLEAR");
	CHECK_IS(AT(uint16_t, l1.evmcs, E_HOST_ES), 0x1230, "writes nothing");
	CHECK_IS(vmread(EXIT_REASON, &value), VMFAIL_INVALID, "and then it is not the current one");
	use(NULL);
	CHECK_IS(vmclear((uint64_t)l1.vmcs), VM_SUCCEED, "VMCLEAR of one of VMPTRLD's");
	CHECK_IS(vmptrld((uint64_t)l1.vmcs), VM_SUCCEED, "VMPTRLD works again");
	CHECK_IS(vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, 0) | PIN_TIMER), VM_SUCCEED, "VMWRITE, too");
	CHECK_IS(vm_error(vmlaunch()), 7, "the control is not for this L1");
	fill(l1.other, l2_cpuid, 0);
	CHECK_IS(run_l2(true), EXIT_CPUID, "the assist page takes precedence");
}

#define MSR_GS_BASE	0xc0000101
#define BITMAP_BIT(msr)	((msr) & 0x1fff)

/* Reads of high MSRs: the second KiB. */
static void intercept(uint32_t msr)
{
	((volatile uint8_t *)l1.bitmap)[1024 + BITMAP_BIT(msr) / 8] |= 1 << (msr & 7);
}

static uint64_t read_msr_in_l2(uint32_t clean)
{
	l2_regs.rcx = MSR_GS_BASE;
	put(E_RIP, (uint64_t)l2_rdmsr);
	put32(E_CLEAN, clean);
	return run_l2(false);
}

static void test_bitmap(void)
{
	fill(l1.other, l2_rdmsr, CPU_MSR_BITMAPS);
	l2_regs.rcx = MSR_GS_BASE;
	CHECK_IS(run_l2(true), EXIT_VMCALL, "an MSR that L2 may read");
	intercept(MSR_GS_BASE);
	CHECK_IS(read_msr_in_l2(CLEAN_ALL), EXIT_RDMSR, "a bitmap that is not enlightened is read at every entry");
	((volatile uint64_t *)l1.bitmap)[128 + BITMAP_BIT(MSR_GS_BASE) / 64] = 0;
	put32(E_ENLIGHTENMENTS, ENLIGHTENED_BITMAP);
	CHECK_IS(read_msr_in_l2(CLEAN_ALL & ~CLEAN_MSR_BITMAP), EXIT_VMCALL, "an enlightened one");
	intercept(MSR_GS_BASE);
	CHECK_IS(read_msr_in_l2(CLEAN_ALL), EXIT_VMCALL, "is not, while it is clean");
	CHECK_IS(read_msr_in_l2(CLEAN_ALL & ~CLEAN_PROC), EXIT_RDMSR, "unless controls have changed");
	((volatile uint64_t *)l1.bitmap)[128 + BITMAP_BIT(MSR_GS_BASE) / 64] = 0;
	CHECK_IS(read_msr_in_l2(CLEAN_ALL & ~CLEAN_MSR_BITMAP), EXIT_VMCALL, "or it has");
}

static void flush_in_l2(uint32_t enlightenments, bool allowed, bool told)
{
	fill(l1.other, l2_flush, 0);
	put32(E_ENLIGHTENMENTS, enlightenments);
	put(E_PARTITION, (uint64_t)l1.partition);
	AT(uint32_t, l1.assist, 32) = allowed;
	AT(uint32_t, l1.partition, 0) = told;
	l2_regs.rax = 0x55;
	l2_regs.rcx = FLUSH_SPACE;
	l2_regs.rdx = 0;
	l2_regs.r8 = 3;
}

static void test_direct_flush(void)
{
	flush_in_l2(DIRECT_FLUSH, false, false);
	CHECK_IS(run_l2(true), EXIT_VMCALL, "a flush by L2 exits to L1");
	CHECK_IS(AT(uint64_t, l1.evmcs, E_RIP), (uint64_t)l2_flush, "where the assist page does not allow it");
	flush_in_l2(0, true, false);
	run_l2(true);
	CHECK_IS(AT(uint64_t, l1.evmcs, E_RIP), (uint64_t)l2_flush, "or the enlightened VMCS does not");
	flush_in_l2(DIRECT_FLUSH, true, false);
	CHECK_IS(run_l2(true), EXIT_VMCALL, "else it is done");
	CHECK_IS(AT(uint64_t, l1.evmcs, E_RIP), (uint64_t)l2_calls, "and L2 goes on");
	CHECK_IS(l2_regs.rax, 0, "with success");
	flush_in_l2(DIRECT_FLUSH, true, true);
	CHECK_IS(run_l2(true), EXIT_AFTER_FLUSH, "L1 hears of it when it wants to");
	CHECK_IS(AT(uint64_t, l1.evmcs, E_RIP), (uint64_t)l2_flushed, "behind the call");
	flush_in_l2(DIRECT_FLUSH, true, false);
	put(E_PARTITION, 1ull << 62);
	CHECK_IS(run_l2(true), EXIT_VMCALL, "without a partition assist page");
	CHECK(l2_regs.rax != 0, "it fails");
}

static void test_state(void)
{
	fill(l1.other, l2_say, 0);
	l2_regs.rax = IN_L2;
	CHECK_IS(run_l2(true), EXIT_VMCALL, "L2 goes on after its state was saved and set");
	CHECK_IS(AT(uint64_t, l1.evmcs, E_HOST_CR3), read_cr3(), "with what L1 had");
	put(E_RIP, (uint64_t)l2_say);
	self_exit(IN_L2 + 1);
	CHECK_IS(AT(uint64_t, l1.evmcs, E_RIP), (uint64_t)l2_say, "what L1 has written is in its state");
}

static void guest(void)
{
	enable();
	test_offer();
	test_pointers();
	self_exit(1);
	test_clean();
	test_instructions();
	self_exit(2);
	test_bitmap();
	test_direct_flush();
	self_exit(3);
	test_state();
	CHECK_IS(SELF_TRY("vmxoff", "m" (l1.vmcs)), -1, "VMXOFF");
	self_exit(0);
}

static struct hv_list { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } cpuid;

static const struct kvm_cpuid_entry2 *find(const struct hv_list *l, uint32_t leaf)
{
	for (unsigned int i = 0; i < l->list.nent; i++)
		if (l->entries[i].function == leaf)
			return &l->entries[i];
	tap_fail("no CPUID leaf %#x", leaf);
}

static void get_hv_cpuid(int fd, struct hv_list *l)
{
	l->list.nent = 256;
	KVM(fd, KVM_GET_SUPPORTED_HV_CPUID, l);
}

/* All of Hyper-V's leaves instead of KVM's. */
static void set_hv_cpuid(void)
{
	static struct hv_list hv;
	unsigned int i, n = 0;

	get_hv_cpuid(s.sys, &hv);
	cpuid.list.nent = 256;
	KVM(s.vcpu, KVM_GET_CPUID2, &cpuid);
	for (i = 0; i < cpuid.list.nent; i++)
		if (cpuid.entries[i].function >> 8 != 0x400000)
			cpuid.entries[n++] = cpuid.entries[i];
	for (i = 0; i < hv.list.nent; i++)
		cpuid.entries[n++] = hv.entries[i];
	cpuid.list.nent = n;
	KVM(s.vcpu, KVM_SET_CPUID2, &cpuid);
}

static int enable_evmcs(uint32_t flags, void *versions)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_ENLIGHTENED_VMCS, .flags = flags,
				      .args = { (uintptr_t)versions } };

	return kvm_raw(s.vcpu, KVM_ENABLE_CAP, &cap);
}

static void host_capability(void)
{
	struct kvm_nested_state empty = {
		.flags = KVM_STATE_NESTED_EVMCS, .format = KVM_STATE_NESTED_FORMAT_VMX, .size = sizeof(empty),
		.hdr.vmx = { .vmxon_pa = -1, .vmcs12_pa = -1 },
	};
	static struct hv_list hv;
	uint16_t versions = 0;

	get_hv_cpuid(s.vcpu, &hv);
	tap_check(!(find(&hv, HV_LEAF_NESTED)->eax & 0xffff) && !(find(&hv, HV_LEAF_HINTS)->eax & 1 << 14),
		  "a vCPU offers enlightened VMCSs when they are enabled");
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &empty) == -EINVAL, "before it takes no state with one");
	tap_check(enable_evmcs(1, &versions) == -EINVAL, "the capability knows no flag");
	tap_check(enable_evmcs(0, (void *)8) == -EFAULT, "it needs room for the versions");
	tap_check(!enable_evmcs(0, &versions) && versions == 0x101, "which are 1 to 1");
	tap_check(!enable_evmcs(0, &versions) && versions == 0x101, "enabled twice");
	get_hv_cpuid(s.vcpu, &hv);
	tap_check((find(&hv, HV_LEAF_NESTED)->eax & 0xffff) == 0x101 && find(&hv, HV_LEAF_HINTS)->eax & 1 << 14,
		  "CPUID of the vCPU says so");
	get_hv_cpuid(s.sys, &hv);
	tap_check((find(&hv, HV_LEAF_NESTED)->eax & (0xffff | HV_DIRECT_FLUSH)) == (0x101 | HV_DIRECT_FLUSH),
		  "that of the system, too, and tells of direct flushes");
	tap_check(!kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &empty), "the flag alone is taken");
}

/* User space sees the MSRs as it may set them. */
static void host_msrs(void)
{
	struct { struct kvm_msrs head; struct kvm_msr_entry entry; } msr = {
		.head.nmsrs = 1, .entry.index = MSR_VMX_CPU2,
	};

	KVM(s.vcpu, KVM_GET_MSRS, &msr);
	tap_check(msr.entry.data >> 32 & CPU2_SHADOWING, "user space reads what L1 does not");
	tap_check(kvm_raw(s.vcpu, KVM_SET_MSRS, &msr) == 1, "and may write it back");
}

static struct nested_state saved;

static void save_and_restore(uint16_t flags, const char *what)
{
	static struct nested_state other;

	nested_get(s.vcpu, &saved);
	tap_check(saved.head.flags == flags && saved.head.hdr.vmx.vmcs12_pa == ~0ull &&
		  saved.head.hdr.vmx.vmxon_pa == (uint64_t)l1.vmxon, "%s", what);
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &saved);
	nested_get(s.vcpu, &other);
	tap_check(!memcmp(&other, &saved, sizeof(saved)), "what is set is what is got, before it runs");
}

static void host_in_l2(void)
{
	static struct nested_state other;
	uint32_t *revision = (uint32_t *)(s.memory + (uint64_t)l1.evmcs);

	save_and_restore(KVM_STATE_NESTED_EVMCS | KVM_STATE_NESTED_GUEST_MODE, "the state of an L2 with one");
	other = saved;
	other.head.size = sizeof(other.head);
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &other) == -EINVAL, "there is none without vmcs12");
	other = saved;
	other.head.flags &= ~KVM_STATE_NESTED_EVMCS;
	tap_check(kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, &other) == -EINVAL, "L2 has a VMCS");
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &saved);
	*revision = 99;
	tap_check(!kvm_raw(s.vcpu, KVM_RUN, NULL) && s.run->exit_reason == KVM_EXIT_INTERNAL_ERROR,
		  "what L1's memory has instead is no enlightened VMCS");
	*revision = 1;
}

/* A write of L1's, whatever the clean bits say, and L1's memory as it was restored. */
static void host_in_l1(void)
{
	uint64_t rip;

	memcpy(&rip, s.memory + (uint64_t)l1.evmcs + E_RIP, sizeof(rip));
	save_and_restore(KVM_STATE_NESTED_EVMCS, "the state of an L1 with one");
	memset(s.memory + (uint64_t)l1.evmcs + E_RIP, 0, sizeof(rip));
}

static void handle(uint32_t word)
{
	if (word == IN_L2)
		host_in_l2();
	else if (word == IN_L2 + 1)
		host_in_l1();
}

int main(void)
{
	self_create_vmx(&s);
	REQUIRE_CAP(s.vm, KVM_CAP_HYPERV_ENLIGHTENED_VMCS);
	set_hv_cpuid();
	host_capability();
	host_msrs();
	self_run_all(&s, guest, handle);
	return tap_done();
}
