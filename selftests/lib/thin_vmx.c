// SPDX-License-Identifier: GPL-2.0
#include "self.h"
#include "thin.h"
#include "vmx_guest.h"

#pragma GCC target("general-regs-only")

#define PAGE		4096
#define ENTRIES		512

#define CPU_CR3_LOAD	(1u << 15)
#define CPU_MTF		(1u << 27)
#define CPU2_RDTSCP	(1u << 3)
#define CPU2_INVPCID	(1u << 12)
#define CPU2_XSAVES	(1u << 20)
#define EXIT_CR_ACCESS	28
#define EXIT_XSETBV	55

#define EPT_TABLE	7ull
#define EPT_GIB		0xb7ull
#define EPT_LEAF	0x37ull
#define EPT_READ_WRITE	0x33ull
#define EPT_EXECUTE	0x34ull

#define MSR_FS_BASE	0xc0000100
#define MSR_GS_BASE	0xc0000101
#define MSR_SYSENTER_CS	0x174

struct page {
	uint64_t word[ENTRIES];
} __attribute__((aligned(PAGE)));

static struct thin_vmx {
	struct page vmxon, vmcs, pml4, pdpt, pd, pt, stack;
	uint64_t *hooked;	/* the entry; NULL: none */
	uint64_t page, code;
} cpus[SELF_CPUS];

/* Reads and writes of low MSRs, then of high ones, in KiB. */
static uint8_t bitmap[4][1024] __attribute__((aligned(PAGE)));

/* uint64_t thin_vmx_enter(void): 0 in L2, or a VMfail. */
uint64_t thin_vmx_enter(void);
void thin_vmx_exit(void);
bool thin_vmx_handle(struct thin_regs *regs, struct thin_frame *frame);
asm(".pushsection .text\n"
    "thin_vmx_enter:\n"
    "	push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "	mov $0x681c, %eax\n"		/* GUEST_RSP */
    "	vmwrite %rsp, %rax\n"
    "	mov $0x681e, %eax\n"		/* GUEST_RIP */
    "	lea 1f(%rip), %rcx\n"
    "	vmwrite %rcx, %rax\n"
    "	vmlaunch\n"
    "	setz %al\n"
    "	movzbl %al, %eax\n"
    "	inc %eax\n"
    "	jmp 2f\n"
    "1:	xor %eax, %eax\n"
    "2:	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
    "	ret\n"
    "thin_vmx_exit:\n"			/* RSP: struct thin_frame */
    "	push %r15\n push %r14\n push %r13\n push %r12\n push %r11\n push %r10\n push %r9\n push %r8\n"
    "	push %rdi\n push %rsi\n push %rbp\n push %rbx\n push %rdx\n push %rcx\n push %rax\n"
    "	mov %rsp, %rdi\n"
    "	lea 120(%rsp), %rsi\n"
    "	cld\n"
    "	call thin_vmx_handle\n"
    "	test %al, %al\n"
    "	pop %rax\n pop %rcx\n pop %rdx\n pop %rbx\n pop %rbp\n pop %rsi\n pop %rdi\n"
    "	pop %r8\n pop %r9\n pop %r10\n pop %r11\n pop %r12\n pop %r13\n pop %r14\n pop %r15\n"
    "	jnz 1f\n"
    "	vmresume\n"
    "	mov $0xdead, %eax\n"
    "	out %eax, $0x80\n"
    "1:	add $16, %rsp\n"
    "	iretq\n"
    ".popsection\n");

static struct thin_frame *frame_of(struct thin_vmx *v)
{
	return (struct thin_frame *)(&v->stack + 1) - 1;
}

static uint64_t eptp(struct thin_vmx *v)
{
	return self_gpa(&v->pml4) | 0x1e;
}

static void flush(struct thin_vmx *v)
{
	struct { uint64_t eptp, zero; } d = { eptp(v), 0 };

	if (invept(1, &d) != VM_SUCCEED)
		thin_lost(0x1000);
}

static void make_ept(struct thin_vmx *v)
{
	uint64_t i;

	v->pml4.word[0] = self_gpa(&v->pdpt) | EPT_TABLE;
	for (i = 0; i < ENTRIES; i++)
		v->pdpt.word[i] = i << 30 | EPT_GIB;
	v->hooked = NULL;
}

static void copy_segment(uint32_t number, uint16_t selector, uint64_t base)
{
	vmwrite(GUEST_ES_SELECTOR + 2 * number, selector);
	vmwrite(GUEST_ES_BASE + 2 * number, base);
	vmwrite(GUEST_ES_LIMIT + 2 * number, thin_limit(selector));
	vmwrite(GUEST_ES_AR + 2 * number, thin_rights(selector));
}

/* L2 and L1 begin as the vCPU is now. */
static void copy_state(void)
{
	uint64_t selectors[8], fs_base = self_rdmsr(MSR_FS_BASE), gs_base = self_rdmsr(MSR_GS_BASE), tr_base, flags, dr7;
	struct thin_table gdt, idt;
	unsigned int i;

	asm volatile("mov %%es, %0\n mov %%cs, %1\n mov %%ss, %2\n mov %%ds, %3\n mov %%fs, %4\n mov %%gs, %5\n"
		     : "=r" (selectors[0]), "=r" (selectors[1]), "=r" (selectors[2]), "=r" (selectors[3]),
		       "=r" (selectors[4]), "=r" (selectors[5]));
	asm volatile("sldt %0\n str %1\n sgdt %2\n sidt %3\n"
		     : "=r" (selectors[6]), "=r" (selectors[7]), "=m" (gdt), "=m" (idt));
	asm volatile("pushfq\n pop %0\n mov %%dr7, %1" : "=r" (flags), "=r" (dr7));
	tr_base = SELF_TSS_BASE + self_cpu() * SELF_TSS_SIZE;
	for (i = 0; i < 8; i++) {
		copy_segment(i, selectors[i], i == 4 ? fs_base : i == 5 ? gs_base : i == 7 ? tr_base : 0);
		if (i < 6)
			vmwrite(HOST_ES_SELECTOR + 2 * i, selectors[i]);
	}
	vmwrite(HOST_TR_SELECTOR, selectors[7]);
	vmwrite(HOST_FS_BASE, fs_base);
	vmwrite(HOST_GS_BASE, gs_base);
	vmwrite(HOST_TR_BASE, tr_base);
	vmwrite(GUEST_GDTR_BASE, gdt.base);
	vmwrite(GUEST_GDTR_LIMIT, gdt.limit);
	vmwrite(GUEST_IDTR_BASE, idt.base);
	vmwrite(GUEST_IDTR_LIMIT, idt.limit);
	vmwrite(HOST_GDTR_BASE, gdt.base);
	vmwrite(HOST_IDTR_BASE, idt.base);
	vmwrite(GUEST_CR0, read_cr0());
	vmwrite(GUEST_CR3, read_cr3());
	vmwrite(GUEST_CR4, read_cr4());
	vmwrite(CR4_MASK, CR4_VMXE);
	vmwrite(CR4_SHADOW, read_cr4() & ~CR4_VMXE);
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, read_cr3());
	vmwrite(HOST_CR4, read_cr4());
	vmwrite(GUEST_DR7, dr7);
	vmwrite(GUEST_RFLAGS, flags);
	vmwrite(GUEST_DEBUGCTL, self_rdmsr(0x1d9));
	for (i = 0; i < 3; i++) {
		static const struct { uint32_t guest, host; } sysenter[] = {
			{ 0x482a, 0x4c00 }, { 0x6824, 0x6c10 }, { 0x6826, 0x6c12 },
		};

		vmwrite(sysenter[i].guest, self_rdmsr(MSR_SYSENTER_CS + i));
		vmwrite(sysenter[i].host, self_rdmsr(MSR_SYSENTER_CS + i));
	}
}

static void set_controls(struct thin_vmx *v)
{
	unsigned int i;

	/* Read and write of the MSR that is passed on. */
	for (i = 1; i < 4; i += 2)
		bitmap[i][(MSR_TSC_AUX & 0x1fff) / 8] = 1 << MSR_TSC_AUX % 8;
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, 0));
	vmwrite(CPU_CONTROLS, adjust(MSR_VMX_TRUE_CPU, CPU_SECONDARY | CPU_MSR_BITMAPS | CPU_CR3_LOAD));
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, CPU2_EPT | CPU2_VPID | CPU2_RDTSCP | CPU2_INVPCID | CPU2_XSAVES));
	vmwrite(EXIT_CONTROLS, adjust(MSR_VMX_TRUE_EXIT, EXIT_HOST_64));
	vmwrite(ENTRY_CONTROLS, adjust(MSR_VMX_TRUE_ENTRY, ENTRY_IA32E));
	vmwrite(MSR_BITMAP, self_gpa(bitmap));
	vmwrite(EPT_POINTER, eptp(v));
	vmwrite(VPID, 1);
	vmwrite(LINK_POINTER, ~0ull);
	vmwrite(HOST_RSP, (uint64_t)frame_of(v));
	vmwrite(HOST_RIP, (uint64_t)thin_vmx_exit);
}

/* A VMCS's fields are undefined at first. */
static void clear_fields(void)
{
	static const uint16_t fields[] = {
		EXCEPTION_BITMAP, 0x4006, 0x4008, CR3_TARGET_COUNT, EXIT_MSR_STORE_COUNT, EXIT_MSR_LOAD_COUNT,
		ENTRY_MSR_LOAD_COUNT, ENTRY_INTR_INFO, CR0_MASK, GUEST_INTERRUPTIBILITY, GUEST_ACTIVITY,
		GUEST_PENDING_DEBUG, TSC_OFFSET,
	};
	unsigned int i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		vmwrite(fields[i], 0);
}

uint64_t thin_vmx_load(void)
{
	struct thin_vmx *v = &cpus[self_cpu()];
	uint64_t failed;

	if (!(self_rdmsr(MSR_FEATURE_CONTROL) & 1))
		self_wrmsr(MSR_FEATURE_CONTROL, 5);
	write_cr4(read_cr4() | CR4_VMXE);
	v->vmxon.word[0] = v->vmcs.word[0] = (uint32_t)self_rdmsr(MSR_VMX_BASIC);
	make_ept(v);
	if (vmxon(self_gpa(&v->vmxon)) != VM_SUCCEED)
		return 0x100;
	if (vmclear(self_gpa(&v->vmcs)) != VM_SUCCEED || vmptrld(self_gpa(&v->vmcs)) != VM_SUCCEED)
		return 0x101;
	clear_fields();
	set_controls(v);
	copy_state();
	flush(v);
	failed = thin_vmx_enter();
	return failed ? 0x200 + field(INSN_ERROR) : 0;
}

static void skip(void)
{
	vmwrite(GUEST_RIP, field(GUEST_RIP) + field(EXIT_INSN_LENGTH));
}

static void handle_msr(bool (*access)(struct thin_regs *regs), struct thin_regs *regs)
{
	if (access(regs)) {
		skip();
	} else {
		vmwrite(ENTRY_INTR_INFO, 0x80000b0d);
		vmwrite(ENTRY_ERROR_CODE, 0);
	}
}

/* In the order of the exit qualification; of RSP nobody makes use. */
static uint64_t *register_of(struct thin_regs *regs, unsigned int number)
{
	uint64_t *const list[] = { &regs->rax, &regs->rcx, &regs->rdx, &regs->rbx, NULL, &regs->rbp, &regs->rsi, &regs->rdi,
				   &regs->r8, &regs->r9, &regs->r10, &regs->r11, &regs->r12, &regs->r13, &regs->r14,
				   &regs->r15 };

	return list[number & 15];
}

static void handle_cr(struct thin_regs *regs)
{
	uint64_t q = field(EXIT_QUALIFICATION), *from = register_of(regs, q >> 8);
	struct { uint64_t vpid, address; } d = { 1, 0 };

	if ((q & 0x3f) != 3 || !from)
		thin_lost(0x2000 | (q & 0xfff));
	thin_counts[self_cpu()].cr3++;
	vmwrite(GUEST_CR3, *from);
	invvpid(3, &d);
	skip();
}

static void set_hook(struct thin_vmx *v, uint64_t page, uint64_t flags)
{
	*v->hooked = page | flags;
	flush(v);
}

/* The leaf of 1 GiB becomes leaves of 2 MiB, and one of these pages of 4 KiB. */
static bool hook(struct thin_vmx *v, uint64_t page, uint64_t code)
{
	uint64_t gib = page & -(1ull << 30), large = page & -(1ull << 21), i;

	if (!(self_rdmsr(MSR_VMX_EPT_VPID) & 1))
		return false;
	for (i = 0; i < ENTRIES; i++) {
		v->pd.word[i] = (gib + (i << 21)) | EPT_GIB;
		v->pt.word[i] = (large + (i << 12)) | EPT_LEAF;
	}
	v->pd.word[page >> 21 & 511] = self_gpa(&v->pt) | EPT_TABLE;
	v->pdpt.word[page >> 30] = self_gpa(&v->pd) | EPT_TABLE;
	v->hooked = &v->pt.word[page >> 12 & 511];
	v->page = page;
	v->code = code;
	set_hook(v, code, EPT_EXECUTE);
	return true;
}

static void unhook(struct thin_vmx *v)
{
	v->pdpt.word[v->page >> 30] = (v->page & -(1ull << 30)) | EPT_GIB;
	v->hooked = NULL;
	flush(v);
}

/* A read or a write of the hooked page: it is there for one instruction. */
static void handle_violation(struct thin_vmx *v)
{
	uint64_t q = field(EXIT_QUALIFICATION);

	if (!v->hooked || (field(GUEST_PHYSICAL) & -4096ull) != v->page || !(q & 3))
		thin_lost(0x3000 | (q & 0xfff));
	thin_counts[self_cpu()].violation++;
	set_hook(v, v->page, EPT_READ_WRITE);
	vmwrite(CPU_CONTROLS, field(CPU_CONTROLS) | CPU_MTF);
}

static void handle_step(struct thin_vmx *v)
{
	thin_counts[self_cpu()].step++;
	set_hook(v, v->code, EPT_EXECUTE);
	vmwrite(CPU_CONTROLS, field(CPU_CONTROLS) & ~(uint64_t)CPU_MTF);
}

/* As L2 is, without VMX. The frame is what IRET loads. */
static void unload(struct thin_vmx *v, struct thin_frame *frame)
{
	struct thin_table gdt = { field(GUEST_GDTR_LIMIT), field(GUEST_GDTR_BASE) };
	struct thin_table idt = { field(GUEST_IDTR_LIMIT), field(GUEST_IDTR_BASE) };
	uint64_t cr0 = field(GUEST_CR0), cr3 = field(GUEST_CR3), cr4 = field(GUEST_CR4), dr7 = field(GUEST_DR7);
	uint64_t fs_base = field(GUEST_ES_BASE + 8), gs_base = field(GUEST_ES_BASE + 10), sysenter[3];
	unsigned int i;

	sysenter[0] = field(0x482a);
	sysenter[1] = field(0x6824);
	sysenter[2] = field(0x6826);
	skip();
	*frame = (struct thin_frame) {
		.rip = field(GUEST_RIP), .cs = field(GUEST_ES_SELECTOR + 2), .rflags = field(GUEST_RFLAGS),
		.rsp = field(GUEST_RSP), .ss = field(GUEST_ES_SELECTOR + 4),
	};
	vmclear(self_gpa(&v->vmcs));
	asm volatile("vmxoff" : : : "cc");
	write_cr0(cr0);
	write_cr3(cr3);
	write_cr4(cr4 & ~(uint64_t)CR4_VMXE);
	asm volatile("lgdt %0\n lidt %1\n mov %2, %%dr7" : : "m" (gdt), "m" (idt), "r" (dr7));
	self_wrmsr(MSR_FS_BASE, fs_base);
	self_wrmsr(MSR_GS_BASE, gs_base);
	for (i = 0; i < 3; i++)
		self_wrmsr(MSR_SYSENTER_CS + i, sysenter[i]);
}

/* True: unloaded. */
static bool handle_call(struct thin_vmx *v, struct thin_regs *regs, struct thin_frame *frame)
{
	thin_counts[self_cpu()].hypercall++;
	switch (regs->rax) {
	case THIN_UNLOAD:
		unload(v, frame);
		return true;
	case THIN_HOOK:
		regs->rax = hook(v, regs->rcx, regs->rdx);
		break;
	case THIN_UNHOOK:
		unhook(v);
		break;
	}
	skip();
	return false;
}

bool thin_vmx_handle(struct thin_regs *regs, struct thin_frame *frame)
{
	struct thin_vmx *v = &cpus[self_cpu()];

	switch (field(EXIT_REASON)) {
	case EXIT_CPUID:
		thin_cpuid(regs);
		skip();
		break;
	case EXIT_VMCALL:
		return handle_call(v, regs, frame);
	case EXIT_CR_ACCESS:
		handle_cr(regs);
		break;
	case EXIT_RDMSR:
		handle_msr(thin_rdmsr, regs);
		break;
	case EXIT_WRMSR:
		handle_msr(thin_wrmsr, regs);
		break;
	case EXIT_MTF:
		handle_step(v);
		break;
	case EXIT_EPT_VIOLATION:
		handle_violation(v);
		break;
	case EXIT_XSETBV:
		thin_xsetbv(regs);
		skip();
		break;
	default:
		thin_lost(field(EXIT_REASON));
	}
	return false;
}
