// SPDX-License-Identifier: GPL-2.0
#include "self.h"
#include "tap.h"
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

static void set_segment(uint32_t number, uint16_t selector, uint64_t base, uint32_t limit, uint32_t ar)
{
	vmwrite(GUEST_ES_SELECTOR + 2 * number, selector);
	vmwrite(GUEST_ES_BASE + 2 * number, base);
	vmwrite(GUEST_ES_LIMIT + 2 * number, limit);
	vmwrite(GUEST_ES_AR + 2 * number, ar);
}

void fill_vmcs(void (*function)(void), uint32_t cpu, uint32_t cpu2)
{
	struct descriptor { uint16_t limit; uint64_t base; } __attribute__((packed)) gdt, idt;
	unsigned int i;

	asm volatile("sgdt %0\n sidt %1" : "=m" (gdt), "=m" (idt));
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, 0));
	vmwrite(CPU_CONTROLS, adjust(MSR_VMX_TRUE_CPU, cpu | CPU_SECONDARY));
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, cpu2));
	vmwrite(EXIT_CONTROLS, adjust(MSR_VMX_TRUE_EXIT, EXIT_HOST_64));
	vmwrite(ENTRY_CONTROLS, adjust(MSR_VMX_TRUE_ENTRY, ENTRY_IA32E));
	vmwrite(VPID, 1);
	vmwrite(EXCEPTION_BITMAP, 0);
	vmwrite(LINK_POINTER, ~0ull);
	vmwrite(CR0_MASK, 0);
	vmwrite(CR4_MASK, 0);
	vmwrite(ENTRY_INTR_INFO, 0);
	vmwrite(ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(EXIT_MSR_STORE_COUNT, 0);
	vmwrite(CR3_TARGET_COUNT, 0);

	for (i = 0; i < 6; i++)
		set_segment(i, SELF_DS, 0, ~0u, 0xc093);
	set_segment(1, SELF_CS, 0, ~0u, 0xa09b);
	set_segment(6, 0, 0, 0, 0x10000);
	set_segment(7, SELF_TSS, SELF_TSS_BASE, 0x67, 0x8b);
	vmwrite(GUEST_GDTR_BASE, gdt.base);
	vmwrite(GUEST_GDTR_LIMIT, gdt.limit);
	vmwrite(GUEST_IDTR_BASE, idt.base);
	vmwrite(GUEST_IDTR_LIMIT, idt.limit);
	vmwrite(GUEST_CR0, read_cr0());
	vmwrite(GUEST_CR3, read_cr3());
	vmwrite(GUEST_CR4, read_cr4());
	vmwrite(GUEST_EFER, self_rdmsr(MSR_EFER));
	vmwrite(GUEST_DR7, 0x400);
	vmwrite(GUEST_RIP, (uint64_t)function);
	vmwrite(GUEST_RFLAGS, 2);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(GUEST_PENDING_DEBUG, 0);
	vmwrite(GUEST_DEBUGCTL, 0);

	for (i = 0; i < 6; i++)
		vmwrite(HOST_ES_SELECTOR + 2 * i, i == 1 ? SELF_CS : SELF_DS);
	vmwrite(HOST_TR_SELECTOR, SELF_TSS);
	vmwrite(HOST_FS_BASE, 0);
	vmwrite(HOST_GS_BASE, 0);
	vmwrite(HOST_TR_BASE, SELF_TSS_BASE);
	vmwrite(HOST_GDTR_BASE, gdt.base);
	vmwrite(HOST_IDTR_BASE, idt.base);
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, read_cr3());
	vmwrite(HOST_CR4, read_cr4());
	vmwrite(HOST_EFER, self_rdmsr(MSR_EFER));
}

uint64_t field(uint32_t encoding)
{
	uint64_t value = 0;

	vmread(encoding, &value);
	return value;
}

uint64_t enter(bool launch)
{
	int r = vm_enter(launch);

	return r == VM_SUCCEED ? field(EXIT_REASON) : r == VMFAIL_INVALID ? 0x10000 : 0x10000 + field(INSN_ERROR);
}

void self_create_vmx(struct self *s)
{
	self_create(s);
	if (!(self_cpuid_ecx(s, 1) & 1 << 5))
		tap_skip_all("no VMX for guests here");
}
