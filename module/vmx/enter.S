/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entering the guest, and where its exits arrive.
 *
 * The order of the steps against speculation, and which CPUs need which, follow the kernel's own
 * rules for VM entry (Documentation/admin-guide/hw-vuln): on the way in IA32_SPEC_CTRL first and
 * VERW last; on the way out nothing returns or branches through a register before the return stack
 * was filled and IA32_SPEC_CTRL is the host's.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

#include "asm_offsets.h"

/* The name that the flag has had since 6.17; it says when the loop below is needed. */
#ifndef X86_FEATURE_CLEAR_BHB_VMEXIT
#define X86_FEATURE_CLEAR_BHB_VMEXIT X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#endif

#define GPR(n) (VCPU_GPR + (n) * 8)

	.section .rodata
	.balign 2
	/* Only VERW of a memory operand clears buffers; a writable data segment is the fastest. */
.Lverw_selector:
	.word __KERNEL_DS

	.section .noinstr.text, "ax"

/*
 * enum vmx_run_result vmx_run(struct vmx_vcpu *vmx, u32 flags)
 *
 * In: the VMCS is loaded and complete but for HOST_RSP; interrupts are off.
 * Out: VMX_RUN_EXIT with the guest's registers in vcpu.regs.gpr, or VMX_RUN_VMFAIL or
 * VMX_RUN_FAULT with nothing changed.
 * Stack while the guest runs: (%rsp) flags, 8(%rsp) vmx.
 */
SYM_FUNC_START(vmx_run)
	push %rbp
	mov %rsp, %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rdi
	push %rsi

	/* The stack is nearly always as deep as it was: a comparison is cheaper than a VMWRITE. */
	cmp %rsp, VMX_HOST_RSP(%rdi)
	je .Lhost_rsp_done
	mov $VMX_FIELD_HOST_RSP, %eax
	stc
.Lwrite_rsp:
	vmwrite %rsp, %rax
.Lwrote_rsp:
	jna .Lvmfail
	mov %rsp, VMX_HOST_RSP(%rdi)
.Lhost_rsp_done:

	/* From here to the entry there must be no return and no indirect branch. */
	ALTERNATIVE "jmp .Lguest_spec_ctrl_done", "", X86_FEATURE_MSR_SPEC_CTRL
	mov VMX_SPEC_CTRL(%rdi), %rdx
	cmp PER_CPU_VAR(x86_spec_ctrl_current), %rdx
	je .Lguest_spec_ctrl_done
	mov %edx, %eax
	shr $32, %rdx
	mov $MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lguest_spec_ctrl_done:

	mov GPR(0)(%rdi), %rax
	mov GPR(1)(%rdi), %rcx
	mov GPR(2)(%rdi), %rdx
	mov GPR(3)(%rdi), %rbx
	mov GPR(5)(%rdi), %rbp
	mov GPR(6)(%rdi), %rsi
	mov GPR(8)(%rdi), %r8
	mov GPR(9)(%rdi), %r9
	mov GPR(10)(%rdi), %r10
	mov GPR(11)(%rdi), %r11
	mov GPR(12)(%rdi), %r12
	mov GPR(13)(%rdi), %r13
	mov GPR(14)(%rdi), %r14
	mov GPR(15)(%rdi), %r15
	mov GPR(7)(%rdi), %rdi

	/* Entries serialize on CPUs that leak: skipping the VERW in speculation gains nothing. */
	testl $VMX_RUN_VERW, (%rsp)
	jz .Lverw_done
	verw .Lverw_selector(%rip)
.Lverw_done:
	testl $VMX_RUN_RESUME, (%rsp)
	jz .Llaunch

	/* The exit arrives below by HOST_RIP, with the stack as it is now. */
	UNWIND_HINT_SAVE
.Lresume:
	vmresume
	jmp .Lvmfail
.Llaunch:
	vmlaunch
	jmp .Lvmfail

SYM_INNER_LABEL_ALIGN(vmx_run_exit, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR

	push %rdi
	mov 16(%rsp), %rdi
	mov %rax, GPR(0)(%rdi)
	mov %rcx, GPR(1)(%rdi)
	mov %rdx, GPR(2)(%rdi)
	mov %rbx, GPR(3)(%rdi)
	mov %rbp, GPR(5)(%rdi)
	mov %rsi, GPR(6)(%rdi)
	pop GPR(7)(%rdi)
	mov %r8, GPR(8)(%rdi)
	mov %r9, GPR(9)(%rdi)
	mov %r10, GPR(10)(%rdi)
	mov %r11, GPR(11)(%rdi)
	mov %r12, GPR(12)(%rdi)
	mov %r13, GPR(13)(%rdi)
	mov %r14, GPR(14)(%rdi)
	mov %r15, GPR(15)(%rdi)
	xor %ebx, %ebx

.Lclear_registers:
	/* No value of the guest's is left for speculation; RBX is what is returned. */
	xor %eax, %eax
	xor %ecx, %ecx
	xor %edx, %edx
	xor %ebp, %ebp
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d

	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE

	ALTERNATIVE "jmp .Lhost_spec_ctrl_done", "", X86_FEATURE_MSR_SPEC_CTRL
	mov 8(%rsp), %rdi
	mov $MSR_IA32_SPEC_CTRL, %ecx
	testl $VMX_RUN_SAVE_SPEC_CTRL, (%rsp)
	jz .Lspec_ctrl_known
	rdmsr
	mov %eax, VMX_SPEC_CTRL(%rdi)
	mov %edx, VMX_SPEC_CTRL + 4(%rdi)
.Lspec_ctrl_known:
	mov PER_CPU_VAR(x86_spec_ctrl_current), %rdx
	cmp VMX_SPEC_CTRL(%rdi), %rdx
	/* Legacy IBRS acts when it is written after leaving the less privileged predictor mode. */
	ALTERNATIVE "je .Lhost_spec_ctrl_done", "", X86_FEATURE_KERNEL_IBRS
	mov %edx, %eax
	shr $32, %rdx
	wrmsr
.Lhost_spec_ctrl_done:
	/* With enhanced IBRS the branch above could be taken in speculation, up to the RET below. */
	ALTERNATIVE_2 "", "lfence", X86_FEATURE_MSR_SPEC_CTRL, \
		      "", X86_FEATURE_KERNEL_IBRS

	ALTERNATIVE "", "call vmx_clear_branch_history", X86_FEATURE_CLEAR_BHB_VMEXIT

	mov %ebx, %eax
	pop %rsi
	pop %rdi
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET

.Lvmfail:
	mov $VMX_RUN_VMFAIL, %ebx
	jmp .Lclear_registers
.Lfault:
	mov $VMX_RUN_FAULT, %ebx
	jmp .Lclear_registers

	/* CF was set before the VMWRITE: a fault there ends as a VMfail. */
	_ASM_EXTABLE(.Lwrite_rsp, .Lwrote_rsp)
	_ASM_EXTABLE(.Lresume, .Lfault)
	_ASM_EXTABLE(.Llaunch, .Lfault)
SYM_FUNC_END(vmx_run)

/*
 * void vmx_call_interrupt(unsigned long handler)
 *
 * Calls the entry point of an interrupt's gate with the frame that the CPU would push, interrupts enabled; the call
 * itself pushes RIP. RBP brings the stack back whatever the alignment took.
 */
SYM_FUNC_START(vmx_call_interrupt)
	push %rbp
	mov %rsp, %rbp
	and $-16, %rsp
	push $__KERNEL_DS
	push %rbp
	pushf
	orq $X86_EFLAGS_IF, (%rsp)
	push $__KERNEL_CS
	CALL_NOSPEC rdi
	mov %rbp, %rsp
	pop %rbp
	RET
SYM_FUNC_END(vmx_call_interrupt)

/*
 * Branch history injection, on CPUs without BHI_DIS_S: enough taken branches push out what the guest
 * left in the history (Intel, Branch History Injection: software BHB-clearing sequence). The kernel's
 * own sequence is not for every module.
 *
 * Calls are needed, or the loop stream detector would replay the loop without recording branches.
 * Each RET lies in the upper half of a cache line, where indirect target selection does not reach.
 * Clobbers RAX, RCX, flags. RBP keeps the frame for the unwinder, as the depth of the stack varies.
 */
SYM_FUNC_START_LOCAL(vmx_clear_branch_history)
	push %rbp
	mov %rsp, %rbp
	mov $5, %ecx
	ANNOTATE_INTRA_FUNCTION_CALL
	call .Louter
	jmp .Lhistory_cleared
	.balign 64, 0xcc
	.skip 32 - (.Louter_ret - .Louter), 0xcc
	ANNOTATE_INTRA_FUNCTION_CALL
.Louter:
	call .Linner
.Louter_ret:
	RET
	.balign 64, 0xcc
	.skip 14, 0xcc
.Linner:
	mov $5, %eax
.Lstep:
	jmp .Ltaken
	nop
.Ltaken:
	sub $1, %eax
	jnz .Lstep
	sub $1, %ecx
	jnz .Louter
	RET
.Lhistory_cleared:
	lfence
	pop %rbp
	RET
SYM_FUNC_END(vmx_clear_branch_history)
STACK_FRAME_NON_STANDARD vmx_clear_branch_history
