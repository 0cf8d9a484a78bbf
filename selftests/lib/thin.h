/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest of self.h whose vCPUs virtualize themselves, as hypervisors do that are loaded into a running system: on each the
 * code that calls thin_load() goes on as L2, in the state that the vCPU is in, and L1 is what handles its exits. Nested
 * paging is an identity map of 512 GiB by leaves of 1 GiB, of each vCPU's own.
 *
 * L1 hides nothing but CR4.VMXE, adds a CPUID leaf, and does for L2 what it intercepts: CPUID, XSETBV, MOV to CR3 (on SVM:
 * from RAX), IA32_TSC_AUX, MSRs that do not exist.
 */
#ifndef TEST_THIN_H
#define TEST_THIN_H

#include <stdbool.h>
#include <stdint.h>

#include "self.h"

#define THIN_LEAF	0x4fffff00u
#define THIN_SIGNATURE	0x6e696874u	/* its EAX; EBX is what self_cpu() returns */
#define MSR_TSC_AUX	0xc0000103

/* In the host: self_create_cpus(); skips the program where the VM's CPUID has neither VMX nor SVM. */
void thin_create(struct self *s, unsigned int nr_cpus);
extern bool thin_is_vmx;

/* In the guest, on the vCPU that calls them. 0, or why L2 was not entered. */
uint64_t thin_load(void);
void thin_unload(void);
bool thin_runs(void);

/* Exits that L1 has handled. */
struct thin_counts {
	uint64_t cpuid, msr, cr3, xsetbv, hypercall, violation, step, init;
};
extern volatile struct thin_counts thin_counts[SELF_CPUS];

/*
 * From now on what L2 executes in the page at gpa @page is the page at @code; it reads and writes @page itself. False
 * without execute-only EPT.
 */
bool thin_hook(uint64_t page, uint64_t code);
void thin_unhook(void);

/* What follows is between thin.c and the vendors' files. */
enum { THIN_UNLOAD = 0x7e570000, THIN_HOOK, THIN_UNHOOK };

/* L2's, in the order in which the exits push them. */
struct thin_regs {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

/* At the top of L1's stack: what its entry code wants to know, and where to go on with IRET after unloading. */
struct thin_frame {
	uint64_t word[2];
	uint64_t rip, cs, rflags, rsp, ss;
};

void thin_cpuid(struct thin_regs *regs);
/* False: #GP for L2. */
bool thin_rdmsr(struct thin_regs *regs);
bool thin_wrmsr(struct thin_regs *regs);
void thin_xsetbv(const struct thin_regs *regs);
/* An exit that L1 knows nothing about. */
void thin_lost(uint64_t reason);
uint64_t thin_call(uint64_t number, uint64_t a, uint64_t b);

uint64_t thin_vmx_load(void);
uint64_t thin_svm_load(void);

/* A descriptor's attributes without the reserved bits, as VMX has them, and its limit; of a selector that may be 0. */
static inline uint32_t thin_rights(uint64_t selector)
{
	uint64_t rights = 0;

	if (!selector)
		return 0x10000;
	asm volatile("lar %1, %0" : "+r" (rights) : "r" (selector) : "cc");
	return rights >> 8 & 0xf0ff;
}

static inline uint32_t thin_limit(uint64_t selector)
{
	uint64_t limit = 0;

	if (selector)
		asm volatile("lsl %1, %0" : "+r" (limit) : "r" (selector) : "cc");
	return limit;
}

struct thin_table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#endif
