// SPDX-License-Identifier: GPL-2.0
#include "self.h"
#include "svm.h"
#include "thin.h"

#pragma GCC target("general-regs-only")

#define PAGE		4096
#define ENTRIES		512

#define EXIT_CR3_WRITE	0x13
#define EXIT_XSETBV	0x8d
#define SX		30
#define EFER_SVME	0x1000ull
#define NPT_TABLE	7ull
#define NPT_GIB		0x87ull

struct page {
	uint64_t word[ENTRIES];
} __attribute__((aligned(PAGE)));

static struct thin_svm {
	struct test_vmcb vmcb __attribute__((aligned(PAGE)));
	struct page host_vmcb, hsave, pml4, pdpt, stack;
} cpus[SELF_CPUS];

static uint8_t msrpm[2 * PAGE] __attribute__((aligned(PAGE)));

/* uint64_t thin_svm_enter(struct thin_frame *frame, struct test_vmcb *vmcb): 0 in L2. The frame's words: both VMCBs. */
uint64_t thin_svm_enter(struct thin_frame *frame, struct test_vmcb *vmcb);
bool thin_svm_handle(struct thin_regs *regs, struct thin_frame *frame);
asm(".pushsection .text\n"
    "thin_svm_enter:\n"
    "	push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "	mov %rsp, 0x5d8(%rsi)\n"
    "	lea 2f(%rip), %rax\n"
    "	mov %rax, 0x578(%rsi)\n"
    "	mov %rdi, %rsp\n"
    "1:	mov (%rsp), %rax\n"		/* RSP: struct thin_frame */
    "	vmload %rax\n"
    "	vmrun %rax\n"
    "	vmsave %rax\n"
    "	push %r15\n push %r14\n push %r13\n push %r12\n push %r11\n push %r10\n push %r9\n push %r8\n"
    "	push %rdi\n push %rsi\n push %rbp\n push %rbx\n push %rdx\n push %rcx\n push %rax\n"
    "	mov 128(%rsp), %rax\n"
    "	vmload %rax\n"
    "	mov %rsp, %rdi\n"
    "	lea 120(%rsp), %rsi\n"
    "	cld\n"
    "	call thin_svm_handle\n"
    "	test %al, %al\n"
    "	pop %rax\n pop %rcx\n pop %rdx\n pop %rbx\n pop %rbp\n pop %rsi\n pop %rdi\n"
    "	pop %r8\n pop %r9\n pop %r10\n pop %r11\n pop %r12\n pop %r13\n pop %r14\n pop %r15\n"
    "	jz 1b\n"
    "	add $16, %rsp\n"
    "	iretq\n"
    "2:	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
    "	xor %eax, %eax\n"
    "	ret\n"
    ".popsection\n");

static void intercept(struct test_vmcb *v, unsigned int bit)
{
	v->intercepts[bit / 32] |= 1u << bit % 32;
}

static struct test_seg segment(uint64_t selector)
{
	uint32_t rights = thin_rights(selector);

	return (struct test_seg) { selector, (rights & 0xff) | (rights >> 4 & 0xf00), thin_limit(selector), 0 };
}

static void vmsave(uint64_t address)
{
	asm volatile("vmsave %0" : : "a" (address) : "memory");
}

#define READ(text)				\
({						\
	uint64_t value;				\
	asm volatile(text : "=r" (value));	\
	value;					\
})

/* L2 begins as the vCPU is now. */
static void copy_state(struct test_vmcb *v)
{
	struct thin_table gdt, idt;

	vmsave(self_gpa(v));
	asm volatile("sgdt %0\n sidt %1" : "=m" (gdt), "=m" (idt));
	v->es = segment(READ("mov %%es, %0"));
	v->cs = segment(READ("mov %%cs, %0"));
	v->ss = segment(READ("mov %%ss, %0"));
	v->ds = segment(READ("mov %%ds, %0"));
	v->gdtr = (struct test_seg) { .limit = gdt.limit, .base = gdt.base };
	v->idtr = (struct test_seg) { .limit = idt.limit, .base = idt.base };
	v->cpl = 0;
	v->efer = self_rdmsr(MSR_EFER);
	v->cr0 = READ("mov %%cr0, %0");
	v->cr2 = READ("mov %%cr2, %0");
	v->cr3 = READ("mov %%cr3, %0");
	v->cr4 = READ("mov %%cr4, %0");
	v->dr6 = READ("mov %%dr6, %0");
	v->dr7 = READ("mov %%dr7, %0");
	v->rflags = READ("pushfq\n pop %0");
	v->g_pat = self_rdmsr(0x277);
}

static void set_controls(struct thin_svm *c)
{
	unsigned int bit = ((MSR_TSC_AUX & 0x1fff) * 2) + 2048 * 8;	/* the second 2 KiB: from 0xc0000000 on */
	struct test_vmcb *v = &c->vmcb;

	msrpm[bit / 8] |= 3 << bit % 8;
	intercept(v, EXIT_CR3_WRITE);
	intercept(v, EXIT_EXCEPTION + SX);
	intercept(v, EXIT_CPUID);
	intercept(v, EXIT_MSR);
	intercept(v, EXIT_VMRUN);
	intercept(v, EXIT_VMMCALL);
	intercept(v, EXIT_XSETBV);
	v->msrpm = self_gpa(msrpm);
	v->asid = 1;
	v->tlb_control = 1;
	v->nested_ctl = 1;
	v->nested_cr3 = self_gpa(&c->pml4);
}

uint64_t thin_svm_load(void)
{
	struct thin_svm *c = &cpus[self_cpu()];
	struct thin_frame *frame = (struct thin_frame *)(&c->stack + 1) - 1;
	uint64_t i;

	self_wrmsr(MSR_EFER, self_rdmsr(MSR_EFER) | EFER_SVME);
	self_wrmsr(MSR_VM_HSAVE_PA, self_gpa(&c->hsave));
	for (i = 0; i < sizeof(c->vmcb) / 8; i++)
		((volatile uint64_t *)&c->vmcb)[i] = 0;
	c->pml4.word[0] = self_gpa(&c->pdpt) | NPT_TABLE;
	for (i = 0; i < ENTRIES; i++)
		c->pdpt.word[i] = i << 30 | NPT_GIB;
	set_controls(c);
	copy_state(&c->vmcb);
	vmsave(self_gpa(&c->host_vmcb));
	frame->word[0] = self_gpa(&c->vmcb);
	frame->word[1] = self_gpa(&c->host_vmcb);
	return thin_svm_enter(frame, &c->vmcb);
}

static void handle_msr(struct test_vmcb *v, struct thin_regs *regs)
{
	if (v->exit_info_1 & 1 ? thin_wrmsr(regs) : thin_rdmsr(regs)) {
		v->rip += 2;
	} else {
		v->event_inj = 0x80000b0d;
		v->event_inj_err = 0;
	}
}

/* As L2 is, without SVM. The frame is what IRET loads; interrupts wait for it. */
static void unload(struct test_vmcb *v, struct thin_frame *frame)
{
	struct thin_table gdt = { v->gdtr.limit, v->gdtr.base }, idt = { v->idtr.limit, v->idtr.base };

	asm volatile("vmload %0" : : "a" (self_gpa(v)) : "memory");
	asm volatile("cli\n stgi" : : : "memory");
	asm volatile("mov %0, %%cr0\n mov %1, %%cr3\n mov %2, %%cr4"
		     : : "r" (v->cr0), "r" (v->cr3), "r" (v->cr4) : "memory");
	asm volatile("lgdt %0\n lidt %1\n mov %2, %%dr7" : : "m" (gdt), "m" (idt), "r" (v->dr7));
	self_wrmsr(MSR_EFER, v->efer & ~EFER_SVME);
	*frame = (struct thin_frame) {
		.rip = v->rip + 3, .cs = v->cs.selector, .rflags = v->rflags, .rsp = v->rsp, .ss = v->ss.selector,
	};
}

bool thin_svm_handle(struct thin_regs *regs, struct thin_frame *frame)
{
	struct test_vmcb *v = &cpus[self_cpu()].vmcb;
	volatile struct thin_counts *counts = &thin_counts[self_cpu()];

	regs->rax = v->rax;
	v->tlb_control = 0;
	switch (v->exit_code) {
	case EXIT_CPUID:
		thin_cpuid(regs);
		v->rip += 2;
		break;
	case EXIT_CR3_WRITE:
		counts->cr3++;
		v->cr3 = regs->rax;
		v->tlb_control = 3;
		v->rip += 3;
		break;
	case EXIT_MSR:
		handle_msr(v, regs);
		break;
	case EXIT_XSETBV:
		thin_xsetbv(regs);
		v->rip += 3;
		break;
	case EXIT_EXCEPTION + SX:
		/* An INIT, where L2 can go on. */
		if (v->exit_info_1 != 1)
			thin_lost(v->exit_info_1);
		counts->init++;
		break;
	case EXIT_VMMCALL:
		counts->hypercall++;
		if (regs->rax == THIN_UNLOAD) {
			unload(v, frame);
			return true;
		}
		v->rip += 3;
		break;
	default:
		thin_lost(v->exit_code);
	}
	v->rax = regs->rax;
	return false;
}
