/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry to and exit from an SVM guest.
 *
 * Between CLGI and STGI nothing can interrupt: not even an NMI or a machine check, whose handlers
 * need the host's GS base and TR, which are back only after the host's VMLOAD. RFLAGS.IF is 1 at
 * VMRUN, because with V_INTR_MASKING the host's IF decides whether physical interrupts leave the
 * guest, and 0 again before STGI, so that they stay pending until the burst ends.
 */
#include <linux/linkage.h>
#include <linux/export.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/frame.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>

#include "asm_offsets.h"
#include "cpu/mitigations.h"

#define GPR(n)	(VCPU_GPR + 8 * (n))

.text

/*
 * void svm_run(struct svm_vcpu *svm, u64 host_pa)
 *
 * In:	RDI: svm; RSI: physical address of the host's VMSAVE area. Interrupts off, GIF 1.
 * Out:	all guest GPRs but RAX and RSP stored in svm (those two are in the VMCB). Interrupts off, GIF 1.
 * The callee-saved registers of the ABI are kept on the stack; every other register is cleared, so that
 * no guest value is left for speculation.
 */
SYM_FUNC_START(svm_run)
	push %rbp
	mov %rsp, %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rsi
	push %rdi

	clgi
	sti
	GUEST_SPEC_CTRL SVM_SPEC_CTRL(%rdi), X86_FEATURE_V_SPEC_CTRL

	/* What VMLOAD loads is L1's and L2's alike, as on a CPU. */
	mov SVM_VMCB01_PA(%rdi), %rax
1:	vmload %rax
	mov SVM_VMCB_PA(%rdi), %rax

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

	CLEAR_BUFFERS_BEFORE_ENTRY
2:	vmrun %rax
3:
	/* RSP and RAX are the host's again; the top of the stack is svm. */
	pop %rax
	mov %rcx, GPR(1)(%rax)
	mov %rdx, GPR(2)(%rax)
	mov %rbx, GPR(3)(%rax)
	mov %rbp, GPR(5)(%rax)
	mov %rsi, GPR(6)(%rax)
	mov %rdi, GPR(7)(%rax)
	mov %r8, GPR(8)(%rax)
	mov %r9, GPR(9)(%rax)
	mov %r10, GPR(10)(%rax)
	mov %r11, GPR(11)(%rax)
	mov %r12, GPR(12)(%rax)
	mov %r13, GPR(13)(%rax)
	mov %r14, GPR(14)(%rax)
	mov %r15, GPR(15)(%rax)
	mov %rax, %rdi

	mov SVM_VMCB01_PA(%rdi), %rax
4:	vmsave %rax
5:	pop %rax
	/* GS base, TR and the syscall MSRs are the host's after this. */
6:	vmload %rax
7:
	/* Before the first RET: the guest filled the return stack buffer and trained the predictors. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	HOST_SPEC_CTRL SVM_SPEC_CTRL(%rdi), X86_FEATURE_V_SPEC_CTRL
	UNTRAIN_RETURNS

	cli
	stgi

	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET

	/* SVM was turned off under us (emergency reboot): go on as if the guest had exited. */
	_ASM_EXTABLE(1b, 3b)
	_ASM_EXTABLE(2b, 3b)
	_ASM_EXTABLE(4b, 5b)
	_ASM_EXTABLE(6b, 7b)
SYM_FUNC_END(svm_run)

/*
 * void svm_run_flusher(u64 vmcb_pa, u64 host_pa)
 *
 * Runs a guest that exits before its first instruction, for the TLB flush that VMRUN does.
 */
SYM_FUNC_START(svm_run_flusher)
	push %rbp
	mov %rsp, %rbp
	push %rsi
	clgi
	sti
	mov %rdi, %rax
1:	vmrun %rax
2:	pop %rax
3:	vmload %rax
4:	cli
	stgi
	pop %rbp
	RET
	_ASM_EXTABLE(1b, 2b)
	_ASM_EXTABLE(3b, 4b)
SYM_FUNC_END(svm_run_flusher)
