/* SPDX-License-Identifier: GPL-2.0 */
/* For assembly: the instructions of a guest hypervisor. */

#define L1_MSR_VMX_BASIC	0x480

/*
 * Enter VMX root mode and make a VMCS current whose fields are taken from a list: pairs of field and value, up to a
 * field of ~0. Clobbers rax, rbx, rcx, rdx.
 */
.macro l1_load_vmcs vmxon, vmcs, list
	mov	$L1_MSR_VMX_BASIC, %ecx
	rdmsr
	mov	%eax, \vmxon
	mov	%eax, \vmcs
	push	$\vmxon
	vmxon	(%rsp)
	movq	$\vmcs, (%rsp)
	vmclear	(%rsp)
	vmptrld	(%rsp)
	pop	%rax
	mov	$\list, %ebx
8:	mov	(%rbx), %rax
	cmp	$-1, %rax
	je	9f
	vmwrite	8(%rbx), %rax
	add	$16, %rbx
	jmp	8b
9:
.endm
