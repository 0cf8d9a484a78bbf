/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest hypervisors of a few instructions: the VMCB or VMCS that runs 64-bit code in the page tables of the guest
 * hypervisor itself, which are those of entry__apply().
 */
#ifndef NESTOR_L1_H
#define NESTOR_L1_H

#include <linux/kvm.h>
#include <stdint.h>

/**
 * struct l1_layout - where things are, physical and linear addresses alike
 * @code: L2's first instruction
 * @stack: L2's
 * @tables: page tables of both
 * @gdt: descriptor table of both
 * @idt: interrupt descriptor table of both
 * @permissions: on AMD, three pages of I/O permissions, then two of MSR permissions
 * @host_rip: on Intel, where L1 goes on behind an exit
 * @host_rsp: its stack then
 */
struct l1_layout {
	uint64_t code, stack, tables, gdt, idt, permissions, host_rip, host_rsp;
};

#define L1_VMX_FIRST_MSR	0x481
#define L1_VMX_LAST_MSR		0x491
#define L1_CR4_VMXE		0x2000
#define L1_EFER_SVME		0x1000
#define L1_MSR_FEATURE_CONTROL	0x3a
#define L1_FEATURE_CONTROL_VMX	5

/* The value of a field, by enum check_svm_field or enum check_vmx_field; @msrs has L1's VMX capability MSRs. */
uint64_t l1__vmcb_value(const struct l1_layout *layout, unsigned int field);
uint64_t l1__vmcs_value(const struct l1_layout *layout, const struct kvm_msrs *msrs, unsigned int field);
uint64_t l1__msr(const struct kvm_msrs *msrs, uint32_t index);
struct kvm_msrs *l1__read_vmx_msrs(int device);

#endif
