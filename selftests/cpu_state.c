// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a vCPU has the state that user space gives it: CPUID, MSRs, registers, FPU, debug
 * registers, events, time; that the guest sees it, that what it does is read back, and that what no CPU
 * could have is refused.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "vm.h"

#define CODE		0x1000		/* guest physical and linear: flat segments */
#define IDT		0x2000
#define DATA		0x4000
#define STACK		0x8000
#define CLOCK_PAGE	0x9000
#define STEAL_PAGE	0xa000
#define WALL_PAGE	0xb000
#define MEMORY_SIZE	0x10000

#define PORT_DONE	0x10
#define PORT_FAULT	0x11

#define MSR_TSC			0x10
#define MSR_APICBASE		0x1b
#define MSR_MISC_ENABLE		0x1a0
#define MSR_MTRRFIX64K		0x250
#define MSR_PAT			0x277
#define MSR_MTRRDEF		0x2ff
#define MSR_MCG_CTL		0x17b
#define MSR_MC0_CTL2		0x280
#define MSR_MC0_STATUS		0x401
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_FS_BASE		0xc0000100
#define MSR_KERNEL_GS_BASE	0xc0000102

#define MCG_CMCI	0x400
#define CR0_PE		0x1
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define CR4_MCE		0x40
#define CR4_OSFXSR	0x200
#define CR4_OSXSAVE	0x40000
#define EFER_LME	0x100
#define EFER_LMA	0x400
#define EFLAGS_FIXED	0x2

/* One instruction each, then an exit: the test sets registers before and looks at them behind. */
asm(".pushsection .rodata\n"
    ".code32\n"
    "guest_code:\n"
    "insn_cpuid:	cpuid; out %al, $0x10\n"
    "insn_rdmsr:	rdmsr; out %al, $0x10\n"
    "insn_wrmsr:	wrmsr; out %al, $0x10\n"
    "insn_xsetbv:	xsetbv; out %al, $0x10\n"
    "insn_xgetbv:	xgetbv; out %al, $0x10\n"
    "insn_rdtsc:	rdtsc; out %al, $0x10\n"
    "insn_nop:		nop; nop; nop; out %al, $0x10\n"
    "insn_xmm:		movups %xmm1, 0x4000; movups 0x4010, %xmm2; fldpi; out %al, $0x10\n"
    "insn_dr:		mov %eax, %dr0; mov %ecx, %dr7; mov %dr0, %ebx; out %al, $0x10\n"
    /* Faults and machine checks: report the vector in AL, stay. */
    "on_gp:		mov $13, %al; out %al, $0x11\n"
    "on_ud:		mov $6, %al; out %al, $0x11\n"
    "on_mc:		mov $18, %al; out %al, $0x11\n"
    "guest_code_end:\n"
    ".code64\n"
    ".popsection\n");
extern const char guest_code[], guest_code_end[], insn_cpuid[], insn_rdmsr[], insn_wrmsr[], insn_xsetbv[],
	insn_xgetbv[], insn_rdtsc[], insn_nop[], insn_xmm[], insn_dr[], on_gp[], on_ud[], on_mc[];

static int sys_fd, vm_fd, vcpu_fd, other_fd;
static struct kvm_run *run;
static unsigned char *memory;
static struct kvm_cpuid2 *supported;
static bool on_nestor;

static uint32_t guest_address(const char *label)
{
	return CODE + (label - guest_code);
}

static void set_gate(int vector, const char *handler)
{
	uint32_t at = guest_address(handler);
	uint64_t gate = (at & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (uint64_t)(at >> 16) << 48;

	memcpy(memory + IDT + vector * 8, &gate, sizeof(gate));
	/* The handlers' CS: a descriptor in a GDT behind the IDT. */
	memcpy(memory + IDT + 0x808, &(uint64_t){ 0x00cf9b000000ffff }, 8);
}

/* 32-bit protected mode with flat segments, no paging. */
static void set_protected_mode(int fd, uint64_t cr4)
{
	struct kvm_segment data = { .limit = ~0u, .type = 3, .s = 1, .present = 1, .db = 1, .g = 1,
				    .selector = 16 };
	struct kvm_segment code = data;
	struct kvm_sregs s = {};

	code.type = 11;
	code.selector = 8;
	KVM(fd, KVM_GET_SREGS, &s);
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr0 |= CR0_PE;
	s.cr4 = cr4;
	s.idt.base = IDT;
	s.idt.limit = 0x7ff;
	s.gdt.base = IDT + 0x800;
	s.gdt.limit = 0xff;
	KVM(fd, KVM_SET_SREGS, &s);
}

static void make_vm(void)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY_SIZE };
	int size = KVM(sys_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);

	vm_fd = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);
	KVM(vm_fd, KVM_CREATE_IRQCHIP, NULL);
	memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	region.userspace_addr = (uintptr_t)memory;
	KVM(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
	memcpy(memory + CODE, guest_code, guest_code_end - guest_code);
	set_gate(6, on_ud);
	set_gate(13, on_gp);
	set_gate(18, on_mc);
	vcpu_fd = KVM_VALUE(vm_fd, KVM_CREATE_VCPU, 0);
	other_fd = KVM_VALUE(vm_fd, KVM_CREATE_VCPU, 1);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (memory == MAP_FAILED || run == MAP_FAILED)
		tap_fail("mmap");
}

static void guest_prepare(const char *label, struct kvm_regs *regs)
{
	regs->rip = guest_address(label);
	regs->rsp = STACK;
	regs->rflags = EFLAGS_FIXED;
	KVM(vcpu_fd, KVM_SET_REGS, regs);
}

/* Run one of the instructions. The vector of the exception that it raised, 0 for none, -1: other exit. */
static int guest_run(const char *label, struct kvm_regs *regs)
{
	guest_prepare(label, regs);
	KVM(vcpu_fd, KVM_RUN, NULL);
	KVM(vcpu_fd, KVM_GET_REGS, regs);
	if (run->exit_reason != KVM_EXIT_IO)
		return -1;
	return run->io.port == PORT_FAULT ? (int)(regs->rax & 0xff) : 0;
}

static int guest_wrmsr(uint32_t msr, uint64_t value)
{
	struct kvm_regs r = { .rcx = msr, .rax = (uint32_t)value, .rdx = value >> 32 };

	return guest_run(insn_wrmsr, &r);
}

static int guest_rdmsr(uint32_t msr, uint64_t *value)
{
	struct kvm_regs r = { .rcx = msr };
	int vector = guest_run(insn_rdmsr, &r);

	*value = (uint32_t)r.rax | r.rdx << 32;
	return vector;
}

/* 1, or 0 when it was refused. */
static int set_msr_on(int fd, uint32_t msr, uint64_t value)
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e; } m = {
		.h.nmsrs = 1, .e = { .index = msr, .data = value },
	};

	return KVM(fd, KVM_SET_MSRS, &m);
}

static int set_msr(uint32_t msr, uint64_t value)
{
	return set_msr_on(vcpu_fd, msr, value);
}

static uint64_t get_msr_of(int fd, uint32_t msr)
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e; } m = { .h.nmsrs = 1, .e.index = msr };

	return KVM(fd, KVM_GET_MSRS, &m) == 1 ? m.e.data : ~0ull;
}

static uint64_t get_msr(uint32_t msr)
{
	return get_msr_of(vcpu_fd, msr);
}

static struct kvm_cpuid_entry2 *find_leaf(struct kvm_cpuid2 *list, uint32_t function, uint32_t index)
{
	unsigned int i;

	for (i = 0; i < list->nent; i++)
		if (list->entries[i].function == function && list->entries[i].index == index)
			return &list->entries[i];
	return NULL;
}

static struct kvm_cpuid2 *cpuid_list(unsigned int nent)
{
	struct kvm_cpuid2 *list = calloc(1, sizeof(*list) + 256 * sizeof(list->entries[0]));

	list->nent = nent;
	return list;
}

static void test_supported_cpuid(void)
{
	struct kvm_cpuid2 *list = cpuid_list(1);
	struct kvm_cpuid_entry2 *e;
	bool small_ok = true;
	unsigned int n;

	supported = cpuid_list(100);
	tap_check(!kvm_raw(sys_fd, KVM_GET_SUPPORTED_CPUID, supported), "100 entries are enough");
	n = supported->nent;
	tap_note("%u entries", n);
	tap_check(kvm_raw(sys_fd, KVM_GET_SUPPORTED_CPUID, list) == -E2BIG, "1 is not");
	list->nent = n - 1;
	small_ok &= kvm_raw(sys_fd, KVM_GET_SUPPORTED_CPUID, list) == -E2BIG;
	list->nent = n;
	small_ok &= !kvm_raw(sys_fd, KVM_GET_SUPPORTED_CPUID, list) && list->nent == n;
	tap_check(small_ok, "as many as there are fit exactly");
	tap_check(!memcmp(list->entries, supported->entries, n * sizeof(list->entries[0])),
		  "and the answer is the same again");

	e = find_leaf(supported, 1, 0);
	if (on_nestor)
		tap_check(e && e->ecx >> 31, "leaf 1 tells of a hypervisor");
	tap_check(e && !(e->ecx & 1 << 27), "OSXSAVE is the guest's to set");
	e = find_leaf(supported, KVM_CPUID_SIGNATURE, 0);
	tap_check(e && !memcmp(&e->ebx, KVM_SIGNATURE, 4) && e->eax == KVM_CPUID_FEATURES,
		  "which is KVM to guests");
	e = find_leaf(supported, KVM_CPUID_FEATURES, 0);
	tap_check(e && e->eax & 1 << KVM_FEATURE_CLOCKSOURCE2, "and has a clock");
	e = find_leaf(supported, 0xd, 0);
	tap_check(e && (!e->eax || (e->eax & 3) == 3), "extended state contains x87 and SSE");
	free(list);
}

static void test_set_cpuid(void)
{
	struct kvm_cpuid2 *got = cpuid_list(256);
	unsigned int i, differ = 0;
	struct kvm_regs r;

	KVM(vcpu_fd, KVM_SET_CPUID2, supported);
	KVM(other_fd, KVM_SET_CPUID2, supported);
	KVM(vcpu_fd, KVM_GET_CPUID2, got);
	/* Upstream's before 6.8 left the number as it was. */
	if (!on_nestor)
		got->nent = supported->nent;
	tap_check(got->nent == supported->nent, "KVM_GET_CPUID2 gives as many entries");
	for (i = 0; i < got->nent; i++)
		differ += got->entries[i].function != supported->entries[i].function ||
			  got->entries[i].index != supported->entries[i].index;
	tap_check(!differ, "in the same order");

	r = (struct kvm_regs){ .rax = KVM_CPUID_SIGNATURE };
	tap_check(!guest_run(insn_cpuid, &r) && !memcmp(&(uint32_t){ r.rbx }, "KVMK", 4),
		  "the guest finds the signature");
	r = (struct kvm_regs){ .rax = 1 };
	tap_check(!guest_run(insn_cpuid, &r) && r.rcx & 1 << 27, "and OSXSAVE as in its CR4");
	got->nent = supported->nent;
	memcpy(got->entries, supported->entries, got->nent * sizeof(got->entries[0]));
	tap_check(!kvm_raw(vcpu_fd, KVM_SET_CPUID2, got), "the same CPUID can be set after it has run");
	got->entries[0].ebx ^= 1;
	tap_check(kvm_raw(vcpu_fd, KVM_SET_CPUID2, got) == -EINVAL, "another cannot");
	got->entries[0].ebx ^= 1;
	got->nent--;
	tap_check(kvm_raw(vcpu_fd, KVM_SET_CPUID2, got) == -EINVAL, "nor a shorter one");
	free(got);
}

static void test_msr_lists(void)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 256 * 4);
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + 256 * sizeof(msrs->entries[0]));
	unsigned int i;
	int n;

	tap_check(kvm_raw(sys_fd, KVM_GET_MSR_INDEX_LIST, list) == -E2BIG && list->nmsrs &&
		  list->nmsrs < 256, "the MSR list has %u entries", list->nmsrs);
	KVM(sys_fd, KVM_GET_MSR_INDEX_LIST, list);
	for (i = 0; i < list->nmsrs; i++)
		msrs->entries[i].index = list->indices[i];
	msrs->nmsrs = list->nmsrs;
	n = KVM(vcpu_fd, KVM_GET_MSRS, msrs);
	tap_check(n == (int)list->nmsrs, "all can be read%s", n == (int)list->nmsrs ? "" : ", not:");
	if (n != (int)list->nmsrs)
		tap_note("0x%x", msrs->entries[n].index);
	n = KVM(vcpu_fd, KVM_SET_MSRS, msrs);
	tap_check(n == (int)list->nmsrs, "and written back");
	if (n != (int)list->nmsrs)
		tap_note("0x%x", msrs->entries[n].index);

	list->nmsrs = 256;
	KVM(sys_fd, KVM_GET_MSR_FEATURE_INDEX_LIST, list);
	tap_check(list->nmsrs > 0, "there are feature MSRs: %u", list->nmsrs);
	for (i = 0; i < list->nmsrs; i++)
		msrs->entries[i].index = list->indices[i];
	msrs->nmsrs = list->nmsrs;
	tap_check(KVM(sys_fd, KVM_GET_MSRS, msrs) == (int)list->nmsrs, "all have values");
	msrs->nmsrs = 1;
	msrs->entries[0].index = MSR_TSC;
	tap_check(KVM(sys_fd, KVM_GET_MSRS, msrs) == 0, "the TSC is none of them");
	free(list);
	free(msrs);
}

static void test_msrs(void)
{
	uint64_t value;

	tap_check(set_msr(MSR_STAR, 0x1234567800000000) == 1 && get_msr(MSR_STAR) == 0x1234567800000000,
		  "STAR is kept");
	tap_check(!guest_rdmsr(MSR_STAR, &value) && value == 0x1234567800000000, "and the guest reads it");
	tap_check(!guest_wrmsr(MSR_LSTAR, 0xffff800000001000) && get_msr(MSR_LSTAR) == 0xffff800000001000,
		  "LSTAR as the guest wrote it");
	tap_check(set_msr(MSR_KERNEL_GS_BASE, 1ull << 62) == 0, "an address that is not canonical");
	tap_check(set_msr(MSR_FS_BASE, 0x5000) == 1 && get_msr(MSR_FS_BASE) == 0x5000, "FS base");
	tap_check(set_msr(MSR_FS_BASE, 0) == 1, "and back");
	tap_check(guest_rdmsr(0x12345, &value) == 13, "an MSR that does not exist: #GP");
	tap_check(set_msr(0x12345, 0) == 0, "refused from user space too");
	tap_check(guest_wrmsr(MSR_EFER, 1ull << 63) == 13, "EFER: a reserved bit");
	tap_check(!guest_wrmsr(MSR_PAT, 0x0006040600070406) &&
		  guest_wrmsr(MSR_PAT, 0x0002040600070406) == 13, "PAT: a type that does not exist");
	tap_check(set_msr(MSR_MTRRDEF, 0xc06) == 1 && set_msr(MSR_MTRRDEF, 0xc02) == 0,
		  "MTRRdefType the same");
	tap_check(set_msr(MSR_MTRRFIX64K, 0x0606060606060606) == 1 &&
		  set_msr(MSR_MTRRFIX64K, 0x0606060606060602) == 0, "fixed ranges the same");
	tap_check(set_msr(0x201, 1ull << 63) == 0, "a mask past the physical addresses");
	tap_check(guest_wrmsr(0xce, 0) == 13, "PLATFORM_INFO is read-only");
	tap_check(!guest_wrmsr(0x8b, 0), "the microcode revision ignores the guest's writes");
}

static void test_enforced_features(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { 1 } };
	int bare = KVM_VALUE(vm_fd, KVM_CREATE_VCPU, 2);

	tap_check(set_msr_on(bare, MSR_KVM_POLL_CONTROL, 0) == 1 && get_msr_of(bare, MSR_KVM_POLL_CONTROL) == 0,
		  "without CPUID KVM's MSRs work all the same");
	KVM(bare, KVM_ENABLE_CAP, &cap);
	tap_check(set_msr_on(bare, MSR_KVM_POLL_CONTROL, 1) == 0 && set_msr_on(bare, MSR_KVM_POLL_CONTROL, 0) == 1,
		  "unless CPUID is enforced: then only zero is taken");
	close(bare);
}

static void test_msr_filter(void)
{
	unsigned char bitmap[8] = {};
	struct kvm_msr_filter filter = {
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ, .base = MSR_STAR, .nmsrs = 1, .bitmap = bitmap },
	};
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
				      .args = { KVM_MSR_EXIT_REASON_FILTER } };
	uint64_t value;

	KVM(vm_fd, KVM_X86_SET_MSR_FILTER, &filter);
	tap_check(guest_rdmsr(MSR_STAR, &value) == 13 && !guest_wrmsr(MSR_STAR, 0),
		  "a filtered read faults, the write does not");
	KVM(vm_fd, KVM_ENABLE_CAP, &cap);
	tap_check(guest_rdmsr(MSR_STAR, &value) == -1 && run->exit_reason == KVM_EXIT_X86_RDMSR &&
		  run->msr.index == MSR_STAR && run->msr.reason == KVM_MSR_EXIT_REASON_FILTER,
		  "or goes to user space");
	run->msr.data = 0x1122334455667788;
	KVM(vcpu_fd, KVM_RUN, NULL);
	KVM(vcpu_fd, KVM_GET_REGS, &run->s.regs.regs);
	tap_check(run->exit_reason == KVM_EXIT_IO && (uint32_t)run->s.regs.regs.rdx == 0x11223344,
		  "which answers");
	filter = (struct kvm_msr_filter){ .flags = KVM_MSR_FILTER_DEFAULT_DENY };
	tap_check(kvm_raw(vm_fd, KVM_X86_SET_MSR_FILTER, &filter) == -EINVAL,
		  "a filter that denies everything is none");
	filter.flags = 0;
	KVM(vm_fd, KVM_X86_SET_MSR_FILTER, &filter);
	cap.args[0] = 0;
	KVM(vm_fd, KVM_ENABLE_CAP, &cap);
	tap_check(!guest_rdmsr(MSR_STAR, &value), "and without one all is as before");
}

static void test_sregs(void)
{
	struct kvm_sregs good = {}, s, back = {};

	KVM(other_fd, KVM_GET_SREGS, &good);
	tap_check(good.cs.base == 0xffff0000 && good.cs.selector == 0xf000 && good.cr0 == 0x60000010,
		  "a vCPU begins at the reset vector");
	s = good;
	s.efer = EFER_LMA;
	tap_check(kvm_raw(other_fd, KVM_SET_SREGS, &s) == -EINVAL, "LMA without LME and paging");
	s = good;
	s.cr0 |= CR0_PE | CR0_PG;
	s.efer = EFER_LME | EFER_LMA;
	tap_check(kvm_raw(other_fd, KVM_SET_SREGS, &s) == -EINVAL, "long mode without PAE");
	s.cr4 = CR4_PAE;
	tap_check(!kvm_raw(other_fd, KVM_SET_SREGS, &s), "long mode with it");
	s.cr3 = 1ull << 63;
	tap_check(kvm_raw(other_fd, KVM_SET_SREGS, &s) == -EINVAL, "CR3 past the physical addresses");
	s = good;
	s.cr4 = 1ull << 40;
	tap_check(kvm_raw(other_fd, KVM_SET_SREGS, &s) == -EINVAL, "a reserved bit of CR4");
	s = good;
	s.cr0 = CR0_PG;
	tap_check(kvm_raw(other_fd, KVM_SET_SREGS, &s) == -EINVAL, "paging without protection");
	s = good;
	s.cs.l = 1;
	tap_check(kvm_raw(other_fd, KVM_SET_SREGS, &s) == -EINVAL, "a 64-bit segment outside long mode");
	s = good;
	s.cr2 = 0x1234;
	s.fs.base = 0x5678;
	s.gdt.limit = 0x77;
	s.ldt.unusable = 1;
	s.ldt.present = 0;
	KVM(other_fd, KVM_SET_SREGS, &s);
	KVM(other_fd, KVM_GET_SREGS, &back);
	tap_check(!memcmp(&s, &back, sizeof(s)), "what is set is read back");
	KVM(other_fd, KVM_SET_SREGS, &good);
}

/* An exception that waits is lost when KVM_SET_REGS changes anything, and only then. */
static void test_equal_sets(void)
{
	struct kvm_vcpu_events ev = {};
	struct kvm_debugregs dr = {};
	struct kvm_sregs sregs = {};
	struct kvm_regs regs = {};

	if (!on_nestor) {
		tap_skip("equal sets: upstream drops the pending exception");
		return;
	}
	KVM(other_fd, KVM_GET_VCPU_EVENTS, &ev);
	ev.exception.injected = 1;
	ev.exception.nr = 1;
	KVM(other_fd, KVM_SET_VCPU_EVENTS, &ev);
	KVM(other_fd, KVM_GET_REGS, &regs);
	KVM(other_fd, KVM_SET_REGS, &regs);
	KVM(other_fd, KVM_GET_SREGS, &sregs);
	KVM(other_fd, KVM_SET_SREGS, &sregs);
	KVM(other_fd, KVM_GET_DEBUGREGS, &dr);
	KVM(other_fd, KVM_SET_DEBUGREGS, &dr);
	KVM(other_fd, KVM_GET_VCPU_EVENTS, &ev);
	tap_check(ev.exception.injected && ev.exception.nr == 1, "equal values change nothing");
	ev.exception.injected = 0;
	KVM(other_fd, KVM_SET_VCPU_EVENTS, &ev);
}

static void test_events(void)
{
	struct kvm_vcpu_events ev = {}, back = {};

	KVM(other_fd, KVM_GET_VCPU_EVENTS, &ev);
	ev.nmi.pending = 1;
	ev.nmi.masked = 1;
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	ev.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	KVM(other_fd, KVM_SET_VCPU_EVENTS, &ev);
	KVM(other_fd, KVM_GET_VCPU_EVENTS, &back);
	tap_check(back.nmi.pending == 1 && back.nmi.masked == 1 &&
		  back.interrupt.shadow & KVM_X86_SHADOW_INT_STI, "NMIs and the interrupt shadow");
	ev.nmi.pending = ev.nmi.masked = 0;
	ev.interrupt.shadow = 0;
	KVM(other_fd, KVM_SET_VCPU_EVENTS, &ev);
	ev.exception.injected = 1;
	ev.exception.nr = 32;
	tap_check(kvm_raw(other_fd, KVM_SET_VCPU_EVENTS, &ev) == -EINVAL, "exception 32");
	ev.exception.nr = 2;
	tap_check(kvm_raw(other_fd, KVM_SET_VCPU_EVENTS, &ev) == -EINVAL, "an NMI is none");
	ev.exception.injected = 0;
	ev.flags = 1u << 31;
	tap_check(kvm_raw(other_fd, KVM_SET_VCPU_EVENTS, &ev) == -EINVAL, "an unknown flag");
	ev.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	tap_check(kvm_raw(other_fd, KVM_SET_VCPU_EVENTS, &ev) == -EINVAL,
		  "a payload, without the capability");
}

static void test_fpu(void)
{
	struct kvm_xsave xsave = {}, back = {};
	unsigned char *raw = (void *)&xsave, *seen = (void *)&back;
	struct kvm_regs r = {};
	struct kvm_fpu fpu = {};
	int i;

	KVM(vcpu_fd, KVM_GET_XSAVE, &xsave);
	tap_check(raw[0] == 0x7f && raw[1] == 3, "FCW after reset");
	for (i = 0; i < 256; i++)
		raw[160 + i] = i * 3 + 1;
	raw[512] |= 3;				/* XSTATE_BV */
	*(uint32_t *)(raw + 24) = 0x1fa0;	/* MXCSR */
	KVM(vcpu_fd, KVM_SET_XSAVE, &xsave);
	memset(memory + DATA, 0, 16);
	memset(memory + DATA + 16, 0x5a, 16);
	tap_check(!guest_run(insn_xmm, &r), "the guest uses SSE and x87");
	tap_check(!memcmp(memory + DATA, raw + 160 + 16, 16), "XMM1 is what was set");
	KVM(vcpu_fd, KVM_GET_XSAVE, &back);
	tap_check(!memcmp(seen + 160 + 32, memory + DATA + 16, 16), "XMM2 is what the guest loaded");
	tap_check(!memcmp(seen + 160 + 48, raw + 160 + 48, 13 * 16), "the others stayed");
	tap_check(*(uint32_t *)(seen + 24) == 0x1fa0, "and MXCSR");
	KVM(vcpu_fd, KVM_GET_FPU, &fpu);
	tap_check(fpu.fcw == 0x37f && fpu.ftwx == 0x80 && !memcmp(fpu.fpr, "\x35\xc2\x68\x21\xa2\xda\x0f\xc9", 8),
		  "KVM_GET_FPU has pi on top of the stack");
	fpu.fcw = 0x27f;
	KVM(vcpu_fd, KVM_SET_FPU, &fpu);
	KVM(vcpu_fd, KVM_GET_XSAVE, &back);
	tap_check(seen[0] == 0x7f && seen[1] == 2 && *(uint32_t *)(seen + 24) == 0x1fa0,
		  "KVM_SET_FPU sets FCW and leaves MXCSR");
	*(uint32_t *)(raw + 24) = ~0u;
	tap_check(kvm_raw(vcpu_fd, KVM_SET_XSAVE, &xsave) == -EINVAL, "MXCSR with reserved bits");
	*(uint32_t *)(raw + 24) = 0x1f80;
	raw[512 + 7] = 0x40;
	tap_check(kvm_raw(vcpu_fd, KVM_SET_XSAVE, &xsave) == -EINVAL, "a component that does not exist");
}

static void test_xcr0(void)
{
	struct kvm_cpuid_entry2 *e = find_leaf(supported, 0xd, 0);
	struct kvm_xcrs xcrs = {};
	struct kvm_regs r;

	if (!e || !e->eax) {
		tap_skip("XCR0: no XSAVE");
		return;
	}
	r = (struct kvm_regs){ .rax = e->eax };
	tap_check(!guest_run(insn_xsetbv, &r), "XSETBV of all components");
	r = (struct kvm_regs){};
	tap_check(!guest_run(insn_xgetbv, &r) && (uint32_t)r.rax == e->eax, "XGETBV reads them");
	r = (struct kvm_regs){ .rax = 0xd };
	tap_check(!guest_run(insn_cpuid, &r) && (uint32_t)r.rbx == e->ebx, "CPUID's size follows");
	r = (struct kvm_regs){ .rax = 1 };
	tap_check(!guest_run(insn_xsetbv, &r), "XSETBV of x87 alone");
	r = (struct kvm_regs){ .rax = 0xd };
	tap_check(!guest_run(insn_cpuid, &r) && r.rbx == 576, "and again");
	r = (struct kvm_regs){ .rax = 2 };
	tap_check(guest_run(insn_xsetbv, &r) == 13, "x87 cannot be left out");
	r = (struct kvm_regs){ .rax = 1, .rdx = 1 << 30 };
	tap_check(guest_run(insn_xsetbv, &r) == 13, "a component that does not exist");
	r = (struct kvm_regs){ .rax = 1, .rcx = 1 };
	tap_check(guest_run(insn_xsetbv, &r) == 13, "XCR1 is not written");
	KVM(vcpu_fd, KVM_GET_XCRS, &xcrs);
	tap_check(xcrs.nr_xcrs == 1 && xcrs.xcrs[0].value == 1, "KVM_GET_XCRS");
	xcrs.xcrs[0].value = e->eax;
	KVM(vcpu_fd, KVM_SET_XCRS, &xcrs);
	xcrs.xcrs[0].value = 4;
	tap_check(kvm_raw(vcpu_fd, KVM_SET_XCRS, &xcrs) == -EINVAL, "KVM_SET_XCRS refuses AVX alone");
	xcrs.flags = 1;
	tap_check(kvm_raw(vcpu_fd, KVM_SET_XCRS, &xcrs) == -EINVAL, "and flags");
}

static void test_debug_registers(void)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP };
	struct kvm_regs r = { .rax = 0x12345678, .rcx = 0x500 };
	struct kvm_debugregs dr = {};

	tap_check(!guest_run(insn_dr, &r) && (uint32_t)r.rbx == 0x12345678, "the guest writes and reads DR0");
	KVM(vcpu_fd, KVM_GET_DEBUGREGS, &dr);
	tap_check(dr.db[0] == 0x12345678 && dr.dr7 == 0x500, "KVM_GET_DEBUGREGS shows it");
	dr.dr6 = 1ull << 32;
	tap_check(kvm_raw(vcpu_fd, KVM_SET_DEBUGREGS, &dr) == -EINVAL, "the upper half of DR6");
	dr.dr6 = 0xffff0ff0;
	dr.dr7 |= 1ull << 32;
	tap_check(kvm_raw(vcpu_fd, KVM_SET_DEBUGREGS, &dr) == -EINVAL, "and of DR7");
	dr.dr7 = 0x400;
	dr.db[3] = 0xabc;
	KVM(vcpu_fd, KVM_SET_DEBUGREGS, &dr);

	debug.arch.debugreg[0] = guest_address(insn_nop) + 1;
	debug.arch.debugreg[7] = 0x402;
	KVM(vcpu_fd, KVM_SET_GUEST_DEBUG, &debug);
	r = (struct kvm_regs){};
	tap_check(guest_run(insn_nop, &r) == -1 && run->exit_reason == KVM_EXIT_DEBUG &&
		  run->debug.arch.pc == guest_address(insn_nop) + 1 && run->debug.arch.dr6 & 1,
		  "a breakpoint of user space's");
	KVM(vcpu_fd, KVM_GET_DEBUGREGS, &dr);
	tap_check(dr.db[3] == 0xabc && dr.dr7 == 0x400, "the guest's own registers do not show it");

	debug = (struct kvm_guest_debug){ .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	/* Upstream steps from where RIP is now, and not after KVM_SET_REGS. */
	guest_prepare(insn_nop, &r);
	KVM(vcpu_fd, KVM_SET_GUEST_DEBUG, &debug);
	KVM(vcpu_fd, KVM_RUN, NULL);
	tap_check(run->exit_reason == KVM_EXIT_DEBUG &&
		  run->debug.arch.pc == guest_address(insn_nop) + 1, "one step");
	KVM(vcpu_fd, KVM_GET_REGS, &r);
	tap_check(!(r.rflags & 1 << 8), "the guest's TF is its own");
	guest_prepare(insn_cpuid, &r);
	KVM(vcpu_fd, KVM_SET_GUEST_DEBUG, &debug);
	KVM(vcpu_fd, KVM_RUN, NULL);
	tap_check(run->exit_reason == KVM_EXIT_DEBUG &&
		  run->debug.arch.pc == guest_address(insn_cpuid) + 2, "a step over an intercepted instruction");
	KVM(vcpu_fd, KVM_GET_DEBUGREGS, &dr);
	tap_check(dr.dr6 == 0xffff0ff0, "DR6 does not show the steps");
	debug.control = 0;
	KVM(vcpu_fd, KVM_SET_GUEST_DEBUG, &debug);
	tap_check(!guest_run(insn_nop, &r), "and it runs on without");
}

static uint64_t tsc_offset(int fd)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	KVM(fd, KVM_GET_DEVICE_ATTR, &attr);
	return offset;
}

/* A TSC that the kernel found unstable is no clocksource any more. */
static bool host_tsc_stable(void)
{
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/available_clocksource", "r");
	char line[256] = "";

	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = 0;
		fclose(f);
	}
	return strstr(line, "tsc") != NULL;
}

/*
 * Do both vCPUs have the same TSC? One offset, where the host's TSC can be relied on; else each goes
 * by time, and they are within a second.
 */
static bool same_tsc(int khz)
{
	int64_t apart = get_msr_of(vcpu_fd, MSR_TSC) - get_msr_of(other_fd, MSR_TSC);

	if (host_tsc_stable())
		return tsc_offset(vcpu_fd) == tsc_offset(other_fd);
	return llabs(apart) < khz * 1000ll;
}

static void test_tsc(void)
{
	struct kvm_regs r = {};
	uint64_t before, inside, after;
	int khz = KVM_VALUE(vcpu_fd, KVM_GET_TSC_KHZ, 0);

	tap_check(same_tsc(khz), "vCPUs begin with one TSC");
	before = get_msr(MSR_TSC);
	guest_run(insn_rdtsc, &r);
	inside = (uint32_t)r.rax | r.rdx << 32;
	after = get_msr(MSR_TSC);
	tap_check(before <= inside && inside <= after, "the guest's RDTSC agrees with KVM_GET_MSRS");

	set_msr(MSR_TSC, 1ull << 40);
	tap_check(get_msr(MSR_TSC) - (1ull << 40) < khz * 1000ull * 10, "the TSC is set");
	set_msr_on(other_fd, MSR_TSC, (1ull << 40) + 1000);
	tap_check(same_tsc(khz), "values within a second mean the same");
	set_msr_on(other_fd, MSR_TSC, 1ull << 50);
	tap_check(tsc_offset(vcpu_fd) != tsc_offset(other_fd), "others do not");
	set_msr_on(other_fd, MSR_TSC, 1ull << 40);
	set_msr(MSR_TSC, 0);
	tap_check(same_tsc(khz), "zero means: as the last");
	tap_check(!guest_wrmsr(MSR_TSC, 5000), "the guest sets its own");
	tap_check(get_msr(MSR_TSC) < khz * 1000ull * 60 && get_msr(0x3b) != 0,
		  "and TSC_ADJUST shows it");
	tap_check(!kvm_raw_value(vcpu_fd, KVM_SET_TSC_KHZ, khz), "the host's frequency can be set");
}

static void test_clock(void)
{
	volatile struct { uint32_t version, pad; uint64_t tsc, system; uint32_t mul; int8_t shift;
			  uint8_t flags, pad2[2]; } *page = (void *)(memory + CLOCK_PAGE);
	volatile struct kvm_steal_time *steal = (void *)(memory + STEAL_PAGE);
	volatile uint32_t *wall = (void *)(memory + WALL_PAGE);
	struct kvm_clock_data clock = {}, later = {};
	struct kvm_regs r = {};
	uint64_t first;

	tap_check(kvm_raw(vcpu_fd, KVM_KVMCLOCK_CTRL, NULL) == -EINVAL, "no clock, nothing to stop");
	tap_check(!guest_wrmsr(MSR_KVM_SYSTEM_TIME_NEW, CLOCK_PAGE | 1), "the guest turns its clock on");
	guest_run(insn_nop, &r);
	tap_check(page->version && !(page->version & 1) && page->mul, "its page is filled in");
	tap_note("shift %d, multiplier %u, flags %u", page->shift, page->mul, page->flags);
	first = page->system;
	KVM(vm_fd, KVM_GET_CLOCK, &clock);
	tap_check(clock.clock >= first && clock.clock - first < 60000000000ull, "KVM_GET_CLOCK agrees with it");
	usleep(20000);
	KVM(vm_fd, KVM_GET_CLOCK, &later);
	tap_check(later.clock - clock.clock >= 20000000 && later.clock - clock.clock < 20000000000ull,
		  "and goes on");
	clock = (struct kvm_clock_data){ .clock = 1000000000000 };
	KVM(vm_fd, KVM_SET_CLOCK, &clock);
	KVM(vm_fd, KVM_GET_CLOCK, &later);
	tap_check(later.clock - clock.clock < 20000000000ull, "it can be set");
	guest_run(insn_nop, &r);
	tap_check(page->system - clock.clock < 20000000000ull, "the guest's page too");
	clock.flags = 1;
	tap_check(kvm_raw(vm_fd, KVM_SET_CLOCK, &clock) == -EINVAL, "an unknown flag");
	KVM(vcpu_fd, KVM_KVMCLOCK_CTRL, NULL);
	guest_run(insn_nop, &r);
	tap_check(page->flags & 2, "the guest learns that it was stopped");

	tap_check(!guest_wrmsr(MSR_KVM_WALL_CLOCK_NEW, WALL_PAGE), "the wall clock");
	tap_check(!(wall[0] & 1) && time(NULL) - wall[1] >= 1000 && time(NULL) - wall[1] < 1100,
		  "is the time when the clock was zero");
	tap_check(guest_wrmsr(MSR_KVM_STEAL_TIME, STEAL_PAGE | 2) == 13, "steal time: a reserved bit");
	tap_check(!guest_wrmsr(MSR_KVM_STEAL_TIME, STEAL_PAGE | 1), "steal time");
	guest_run(insn_nop, &r);
	tap_check(steal->version && !(steal->version & 1), "its record is filled in");
	guest_wrmsr(MSR_KVM_SYSTEM_TIME_NEW, 0);
	guest_wrmsr(MSR_KVM_STEAL_TIME, 0);
}

static void test_mce(void)
{
	struct kvm_x86_mce mce = { .status = 1ull << 63 | 1ull << 61 | 1ull << 60, .mcg_status = 5,
				   .addr = 0x1000 };
	struct kvm_regs r = {};
	uint64_t cap = 0;

	KVM(sys_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap);
	tap_check(cap & 1 << 8, "MCG_CTL exists");
	cap = (cap & 0x100) | 33;
	tap_check(kvm_raw(vcpu_fd, KVM_X86_SETUP_MCE, &cap) == -EINVAL, "33 banks");
	cap = (cap & 0x100) | 10;
	KVM(vcpu_fd, KVM_X86_SETUP_MCE, &cap);
	tap_check(set_msr(MSR_MCG_CTL, ~0ull) == 1 && set_msr(MSR_MCG_CTL, 1) == 0, "MCG_CTL: all or nothing");
	tap_check(get_msr(0x400) == ~0ull && set_msr(0x400 + 4 * 10, 0) == 0, "there are 10 banks");
	tap_check(guest_wrmsr(MSR_MC0_STATUS, 1) == 13, "a guest only clears a status");
	mce.bank = 10;
	tap_check(kvm_raw(vcpu_fd, KVM_X86_SET_MCE, &mce) == -EINVAL, "an error in the 11th");
	mce.bank = 0;
	set_protected_mode(vcpu_fd, CR4_OSFXSR | CR4_MCE);
	KVM(vcpu_fd, KVM_X86_SET_MCE, &mce);
	KVM(vcpu_fd, KVM_RUN, NULL);
	KVM(vcpu_fd, KVM_GET_REGS, &r);
	tap_check(run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_FAULT && (r.rax & 0xff) == 18,
		  "an uncorrected error: #MC");
	tap_check(get_msr(MSR_MC0_STATUS) == mce.status && get_msr(0x402) == 0x1000, "the bank has it");
	tap_check(guest_wrmsr(MSR_MC0_CTL2, 0) == 13 && set_msr(MSR_MC0_CTL2, 0) && !set_msr(MSR_MC0_CTL2, 1),
		  "thresholds of corrected errors are user space's zeros");
	cap = 0;
	KVM(sys_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap);
	if (!(cap & MCG_CMCI)) {
		tap_skip("no interrupts for corrected errors");
		return;
	}
	cap = MCG_CMCI | 10;
	KVM(vcpu_fd, KVM_X86_SETUP_MCE, &cap);
	tap_check(guest_wrmsr(MSR_MC0_CTL2, 1 << 29) == 13 && guest_wrmsr(MSR_MC0_CTL2 + 10, 0) == 13,
		  "CMCI: a reserved bit, the 11th bank");
	tap_check(!guest_wrmsr(MSR_MC0_CTL2, 1 << 30 | 5) && get_msr(MSR_MC0_CTL2) == (1 << 30 | 5), "CMCI: a threshold");
}

int main(void)
{
	struct kvm_cpuid_entry2 *e;

	sys_fd = device_open();
	on_nestor = !strcmp(device_path(), "/dev/nestor");
	make_vm();
	test_supported_cpuid();
	e = find_leaf(supported, 1, 0);
	KVM(vcpu_fd, KVM_SET_CPUID2, supported);
	set_protected_mode(vcpu_fd, CR4_OSFXSR | (e && e->ecx & 1 << 26 ? CR4_OSXSAVE : 0));
	test_set_cpuid();
	test_tsc();
	test_msr_lists();
	test_msrs();
	test_enforced_features();
	test_msr_filter();
	test_sregs();
	test_equal_sets();
	test_events();
	test_fpu();
	test_xcr0();
	test_debug_registers();
	test_clock();
	test_mce();
	return tap_done();
}
