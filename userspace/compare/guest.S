/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest hypervisor of suite nested on Intel. 64-bit code, position-independent, in an identity map: enter root
 * mode, fill a VMCS from a list, VMLAUNCH, read it back into another list.
 */
#include "compare/guest.h"
#include "l1_code.h"

#define PORT_DONE	0xff

	.section .rodata
	.balign	16
	.globl	compare_vmx_l1
compare_vmx_l1:
	.code64
	l1_load_vmcs VMX_VMXON, VMX_VMCS, VMX_WRITES
	vmlaunch
	pushf
	pop	%rax
	jmp	1f
	.globl	compare_vmx_l1_exit
compare_vmx_l1_exit:
	xor	%eax, %eax
1:	mov	%rax, VMX_FLAGS
	mov	$VMX_READS, %ebx
2:	mov	(%rbx), %rax
	cmp	$-1, %rax
	je	3f
	vmread	%rax, 8(%rbx)
	add	$16, %rbx
	jmp	2b
3:	out	%al, $PORT_DONE
	jmp	3b
	.globl	compare_vmx_l1_end
compare_vmx_l1_end:

	.section .note.GNU-stack, "", @progbits
