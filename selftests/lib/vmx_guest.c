// SPDX-License-Identifier: GPL-2.0
#include "self.h"
#include "vmx_guest.h"

struct l2_regs l2_regs;

/* int vm_enter(bool launch) */
asm(".pushsection .text\n"
    ".globl vm_enter\n"
    "vm_enter:\n"
    "	push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "	mov $0x6c14, %eax\n"
    "	vmwrite %rsp, %rax\n"
    "	mov $0x6c16, %eax\n"
    "	lea 1f(%rip), %rcx\n"
    "	vmwrite %rcx, %rax\n"
    "	test %edi, %edi\n"
    "	mov l2_regs(%rip), %rax\n"
    "	mov l2_regs + 8(%rip), %rcx\n"
    "	mov l2_regs + 16(%rip), %rdx\n"
    "	mov l2_regs + 24(%rip), %rbx\n"
    "	mov l2_regs + 32(%rip), %rbp\n"
    "	mov l2_regs + 40(%rip), %rsi\n"
    "	mov l2_regs + 48(%rip), %rdi\n"
    "	mov l2_regs + 56(%rip), %r8\n"
    "	mov l2_regs + 64(%rip), %r9\n"
    "	mov l2_regs + 72(%rip), %r10\n"
    "	mov l2_regs + 80(%rip), %r11\n"
    "	mov l2_regs + 88(%rip), %r12\n"
    "	mov l2_regs + 96(%rip), %r13\n"
    "	mov l2_regs + 104(%rip), %r14\n"
    "	mov l2_regs + 112(%rip), %r15\n"
    "	jz 2f\n"
    "	vmlaunch\n"
    "	jmp 3f\n"
    "2:	vmresume\n"
    "3:	setz %al\n"
    "	movzbl %al, %eax\n"
    "	inc %eax\n"		/* VMFAIL_INVALID or VMFAIL_VALID */
    "	jmp 4f\n"
    "1:	mov %rax, l2_regs(%rip)\n"
    "	mov %rcx, l2_regs + 8(%rip)\n"
    "	mov %rdx, l2_regs + 16(%rip)\n"
    "	mov %rbx, l2_regs + 24(%rip)\n"
    "	mov %rbp, l2_regs + 32(%rip)\n"
    "	mov %rsi, l2_regs + 40(%rip)\n"
    "	mov %rdi, l2_regs + 48(%rip)\n"
    "	mov %r8, l2_regs + 56(%rip)\n"
    "	mov %r9, l2_regs + 64(%rip)\n"
    "	mov %r10, l2_regs + 72(%rip)\n"
    "	mov %r11, l2_regs + 80(%rip)\n"
    "	mov %r12, l2_regs + 88(%rip)\n"
    "	mov %r13, l2_regs + 96(%rip)\n"
    "	mov %r14, l2_regs + 104(%rip)\n"
    "	mov %r15, l2_regs + 112(%rip)\n"
    "	xor %eax, %eax\n"
    "4:	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
    "	ret\n"
    ".popsection\n");

bool self_offers_vmx(struct self *s)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } c;
	unsigned int i;

	c.list.nent = 256;
	KVM(s->vcpu, KVM_GET_CPUID2, &c);
	for (i = 0; i < c.list.nent; i++)
		if (c.entries[i].function == 1)
			return c.entries[i].ecx & 1 << 5;
	return false;
}
