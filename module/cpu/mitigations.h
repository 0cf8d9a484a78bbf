/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Speculation mitigations of the entry assembly, by the CPU's bug and feature flags. Both vendors' enter.S
 * use these; what each flag asks for follows the kernel's own entry code, with only what modules may use:
 * the selector for VERW and the IBPB sequence are our own.
 */
#ifndef NESTOR_MITIGATIONS_H
#define NESTOR_MITIGATIONS_H

#ifdef __ASSEMBLY__

#include <asm/segment.h>

#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
#define NST_CLEAR_CPU_BUF	X86_FEATURE_CLEAR_CPU_BUF_VM
#else
#define NST_CLEAR_CPU_BUF	X86_FEATURE_CLEAR_CPU_BUF
#endif

/*
 * Load the guest's SPEC_CTRL when it differs from the host's. No RET and no indirect branch may follow before the
 * entry. Clobbers RAX, RCX, RDX. \virt: feature with which hardware switches the register itself.
 */
.macro GUEST_SPEC_CTRL mem:req, virt:req
	ALTERNATIVE_2 "jmp .Lguest_sc_\@", "", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lguest_sc_\@", \virt
	mov \mem, %rdx
	cmp PER_CPU_VAR(x86_spec_ctrl_current), %rdx
	je .Lguest_sc_\@
	mov %edx, %eax
	shr $32, %rdx
	mov $MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lguest_sc_\@:
.endm

/*
 * Back to the host's SPEC_CTRL, before the first RET. With legacy IBRS the write is the barrier, so it is made even
 * when the values agree. LFENCE: a mispredicted branch must not run ahead with the guest's value.
 */
.macro HOST_SPEC_CTRL mem:req, virt:req
	ALTERNATIVE_2 "jmp .Lhost_sc_\@", "", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lhost_sc_\@", \virt
	mov PER_CPU_VAR(x86_spec_ctrl_current), %rdx
	ALTERNATIVE "jmp .Lhost_sc_cmp_\@", "jmp .Lhost_sc_write_\@", X86_FEATURE_KERNEL_IBRS
.Lhost_sc_cmp_\@:
	cmp \mem, %rdx
	je .Lhost_sc_fence_\@
.Lhost_sc_write_\@:
	mov %edx, %eax
	shr $32, %rdx
	mov $MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lhost_sc_fence_\@:
	lfence
.Lhost_sc_\@:
.endm

/* Retbleed, SRSO: untrain returns, or IBPB; reset call-depth tracking. Clobbers RAX, RCX, RDX. */
.macro UNTRAIN_RETURNS
	CALL_UNTRAIN_RET
	ALTERNATIVE "jmp .Lno_ibpb_\@", "", X86_FEATURE_IBPB_ON_VMEXIT
	mov $MSR_IA32_PRED_CMD, %ecx
	mov $PRED_CMD_IBPB, %eax
	xor %edx, %edx
	wrmsr
#ifdef X86_BUG_IBPB_NO_RET
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_BUG_IBPB_NO_RET
#endif
.Lno_ibpb_\@:
#ifdef X86_FEATURE_CALL_DEPTH
	ALTERNATIVE "", __stringify(RESET_CALL_DEPTH), X86_FEATURE_CALL_DEPTH
#endif
.endm

/*
 * VERW, which microcode turned into a clearing of CPU buffers: last before the entry, because loads after it would
 * fill them again. Clobbers ZF.
 */
.macro CLEAR_BUFFERS_BEFORE_ENTRY feature=NST_CLEAR_CPU_BUF
	ALTERNATIVE "jmp .Lno_verw_\@", "", \feature
	verw .Lverw_selector_\@(%rip)
.Lno_verw_\@:
	.pushsection .rodata
	.balign 2
.Lverw_selector_\@:
	.word __KERNEL_DS
	.popsection
.endm

#endif
#endif
