/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guests that nestor bench times. 64-bit code, position-independent, loaded at
 * BENCH_CODE; paging is one to one. Each entry point takes as many samples as
 * PARAM_COUNT says, stores them from BENCH_SAMPLES on, and writes to PORT_DONE.
 *
 * A sample is the difference of two RDTSC around one operation, so it holds the cost
 * of the operation, of the exit that it causes, and of one RDTSC. The TSC offset
 * cancels out.
 *
 * Registers: r12 samples left, r13 where the next one goes, r14 the first TSC value;
 * rax and rdx are the time stamp's.
 */
#include "bench/layout.h"
#include "l1_code.h"

#define MSR_APIC_BASE		0x1b
#define APIC_BASE_X2APIC	0xc00
#define MSR_MISC_ENABLE		0x1a0
#define X2APIC_EOI		0x80b
#define X2APIC_SVR		0x80f
#define X2APIC_ICR		0x830
#define X2APIC_LVT_TIMER	0x832
#define X2APIC_TIMER_COUNT	0x838
#define X2APIC_TIMER_DIVIDE	0x83e
#define TIMER_DIVIDE_BY_1	0xb
#define SVR_ENABLE		0x1ff
#define XAPIC_VERSION		0xfee00030
#define MSR_FEATURE_CONTROL	0x3a
#define FEATURE_CONTROL_VMX	5
#define MSR_EFER		0xc0000080
#define EFER_SVME		0x1000
#define MSR_VM_HSAVE_PA		0xc0010117
#define CR4_VMXE		0x2000
#define PORT_PIC_MASK		0x21
#define KVM_HC_VAPIC_POLL_IRQ	1	/* does nothing and returns 0 */

	.section .rodata
	.balign	16
	.globl	bench_code_start
bench_code_start:
	.code64

.macro entry name
	.globl	bench_\name
bench_\name:
	mov	PARAM_COUNT, %r12
	mov	$BENCH_SAMPLES, %r13d
.endm

.macro stamp reg
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, \reg
.endm

/* Time the operation, a macro, once per sample. */
.macro samples op
1:	stamp	%r14
	\op
	stamp	%rax
	sub	%r14, %rax
	mov	%rax, (%r13)
	add	$8, %r13
	dec	%r12
	jnz	1b
	jmp	finish
.endm

.macro write_msr msr, low, high=0
	mov	$\msr, %ecx
	mov	$\low, %eax
	mov	$\high, %edx
	wrmsr
.endm

.macro enable_x2apic
	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	or	$APIC_BASE_X2APIC, %eax
	wrmsr
	write_msr X2APIC_SVR, SVR_ENABLE
.endm

finish:
	out	%al, $PORT_DONE
	jmp	finish

.macro op_cpuid
	xor	%eax, %eax
	cpuid
.endm
	entry	cpuid
	samples	op_cpuid

.macro op_vmcall
	mov	$KVM_HC_VAPIC_POLL_IRQ, %eax
	vmcall
.endm
	entry	vmcall
	samples	op_vmcall

.macro op_vmmcall
	mov	$KVM_HC_VAPIC_POLL_IRQ, %eax
	vmmcall
.endm
	entry	vmmcall
	samples	op_vmmcall

.macro op_rdmsr
	rdmsr
.endm
	entry	rdmsr
	mov	$MSR_APIC_BASE, %ecx
	samples	op_rdmsr

/* Write back what is there: no hypervisor passes this MSR through. */
.macro op_wrmsr
	mov	%r8d, %eax
	mov	%r9d, %edx
	wrmsr
.endm
	entry	wrmsr
	mov	$MSR_MISC_ENABLE, %ecx
	rdmsr
	mov	%eax, %r8d
	mov	%edx, %r9d
	samples	op_wrmsr

.macro op_in
	in	$PORT_PIC_MASK, %al
.endm
	entry	pio_kernel
	samples	op_in

.macro op_apic
	mov	(%rbx), %eax
.endm
	entry	mmio_apic
	mov	$XAPIC_VERSION, %ebx
	samples	op_apic

/* These two are timed by the host: each exit ends KVM_RUN. */
	.globl	bench_pio_user
bench_pio_user:
	out	%al, $PORT_USER
	jmp	bench_pio_user

	.globl	bench_mmio_user
bench_mmio_user:
	mov	$MMIO_USER, %ebx
1:	mov	(%rbx), %eax
	jmp	1b

.macro op_touch
	movb	$1, (%rbx)
.endm
	entry	fault
	mov	PARAM_ADDRESS, %rbx
	sub	PARAM_STRIDE, %rbx
1:	add	PARAM_STRIDE, %rbx
	stamp	%r14
	op_touch
	stamp	%rax
	sub	%r14, %rax
	mov	%rax, (%r13)
	add	$8, %r13
	dec	%r12
	jnz	1b
	jmp	finish

/* r12 touches from rbx on, r13 apart: several vCPUs at once, and the host takes the time. */
	.globl	bench_touch
bench_touch:
	movb	$1, (%rbx)
	add	%r13, %rbx
	dec	%r12
	jnz	bench_touch
	jmp	finish

/*
 * L2 exits by its only instruction, in front of which it is again at the next entry. A sample has the instructions that
 * hypervisors have around VMRUN.
 */
.macro op_vmrun
	clgi
	mov	$BENCH_VMCB, %eax
	vmload
	vmrun
	vmsave
	mov	$BENCH_L1_SAVED, %eax
	vmload
	stgi
.endm
	entry	nested_svm
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_SVME, %eax
	wrmsr
	write_msr MSR_VM_HSAVE_PA, BENCH_HSAVE
	mov	$BENCH_L1_SAVED, %eax
	vmsave
	samples	op_vmrun

/* The first sample is that of VMLAUNCH. */
	entry	nested_vmx
	mov	%cr4, %rax
	or	$CR4_VMXE, %rax
	mov	%rax, %cr4
	write_msr MSR_FEATURE_CONTROL, FEATURE_CONTROL_VMX
	l1_load_vmcs BENCH_HSAVE, BENCH_VMCB, BENCH_VMWRITES
	stamp	%r14
	vmlaunch
	ud2
	.globl	bench_nested_vmx_exit
bench_nested_vmx_exit:
	stamp	%rax
	sub	%r14, %rax
	mov	%rax, (%r13)
	add	$8, %r13
	dec	%r12
	jz	finish
	stamp	%r14
	vmresume
	ud2

/* Arm the one-shot timer with the smallest count, and spin until its interrupt came. */
.macro op_timer
	write_msr X2APIC_TIMER_COUNT, 1
	sti
2:	cmp	%r8, PARAM_EVENTS
	je	2b
	cli
	mov	PARAM_EVENTS, %r8
.endm
	entry	timer
	enable_x2apic
	write_msr X2APIC_LVT_TIMER, VECTOR_EVENT
	write_msr X2APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_1
	mov	PARAM_EVENTS, %r8
	samples	op_timer

.macro wait_for_peer
3:	cmpq	$0, PARAM_READY
	je	3b
.endm

/* Send an IPI and spin until the other vCPU has taken it. */
.macro op_ipi
	write_msr X2APIC_ICR, VECTOR_EVENT, 1
2:	cmp	%r8, PARAM_EVENTS
	je	2b
	mov	PARAM_EVENTS, %r8
.endm
	entry	ipi_running
	enable_x2apic
	wait_for_peer
	mov	PARAM_EVENTS, %r8
	samples	op_ipi

	.globl	bench_peer_running
bench_peer_running:
	enable_x2apic
	movq	$1, PARAM_READY
	sti
1:	jmp	1b

/*
 * Send an IPI to a halted vCPU, which answers with one to this vCPU, halted too. The
 * answer cannot slip in between STI and HLT.
 */
.macro op_ping
	write_msr X2APIC_ICR, VECTOR_ANSWER, 1
	sti
	hlt
	cli
.endm
	entry	ipi_halted
	enable_x2apic
	wait_for_peer
	samples	op_ping

	.globl	bench_peer_halted
bench_peer_halted:
	enable_x2apic
	movq	$1, PARAM_READY
1:	sti
	hlt
	cli
	jmp	1b

/* The end of the interrupt comes first: whoever waits may send the next one at once. */
	.globl	bench_handle_event
bench_handle_event:
	push	%rax
	push	%rcx
	push	%rdx
	write_msr X2APIC_EOI, 0
	incq	PARAM_EVENTS
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

	.globl	bench_handle_answer
bench_handle_answer:
	push	%rax
	push	%rcx
	push	%rdx
	write_msr X2APIC_EOI, 0
	write_msr X2APIC_ICR, VECTOR_EVENT, 0
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

	.globl	bench_code_end
bench_code_end:

	.section .note.GNU-stack, "", @progbits
