/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest of self.h that is a hypervisor with VMX: its structures, and how it runs functions of the program as L2.
 */
#ifndef TEST_VMX_L1_H
#define TEST_VMX_L1_H

#include "vmx_guest.h"

/* L1's VMX structures. */
struct l1 {
	uint32_t revision;
	uint64_t *vmxon, *vmcs, *other_vmcs, *stack;
	uint64_t *pml4, *pdpt;
};
extern struct l1 l1;

uint64_t *new_region(uint32_t revision);

/* Into VMX operation, and nothing else checked. */
void enter_vmx_operation(void);

/* Identity by leaves of 1 GiB. */
void make_ept(void);
/* With small pages for 2 MiB from 0x200000 on: those. EPT_TEST is in it. */
uint64_t *split_ept(void);
void flush_ept(void);

#define EPT_TEST	0x300000ull

/* A new VMCS that runs @function as L2, in the mode that L1 is in. */
void start(void (*function)(void), uint32_t cpu, uint32_t cpu2);
/* L2's instruction that has exited is done. */
void skip(void);

#endif
