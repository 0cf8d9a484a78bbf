/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest hypervisor of a few instructions: 64-bit code in an identity map, whose VMCBs the test writes from outside.
 *
 * L1 executes VMRUN of the VMCB in RAX and says by a write to a port that L2 has exited. L2 is 64-bit code as well,
 * in L1's own page tables, and says VMMCALL when it comes to its end.
 */
#ifndef TEST_SVM_H
#define TEST_SVM_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

#define L1_CODE		0x1000ull
#define L1_STACK	0x8000ull
#define L1_GDT		0x9000ull
#define L1_IDT		0xa000ull
#define L1_TABLES	0x10000ull	/* PML4, PDPT, page directory */
#define L1_VMCB		0x20000ull
#define L1_HSAVE	0x21000ull
#define L1_MSRPM	0x22000ull
#define L1_IOPM		0x24000ull
#define L2_CODE		0x30000ull
#define L2_STACK	0x38000ull
#define SVM_SMM_CODE	0x38000ull	/* where SMM begins after reset */
#define L2_DATA		0x3a000ull
#define L1_NPT		0x40000ull	/* PML4, PDPT, page directory, page table */
#define L1_HIGH		0x200000ull	/* a second 2 MiB, the test's */
#define SVM_MEMORY	0x400000ull

#define SVM_DONE	0x70		/* port: L2 has exited */
#define SVM_HANDLER	0x100		/* port: an exception in L1, by vector */
#define SVM_L2_PORT	0x200		/* L2's */

/* Intercepts and exit codes that are not a row of a test's own. */
#define EXIT_CR0_WRITE	0x10
#define EXIT_CR3_WRITE	0x13
#define EXIT_EXCEPTION	0x40
#define EXIT_INTR	0x60
#define EXIT_SMI	0x62
#define EXIT_INIT	0x63
#define EXIT_VINTR	0x64
#define EXIT_LDTR_WRITE	0x6c
#define EXIT_TR_WRITE	0x6d
#define EXIT_CPUID	0x72
#define EXIT_IOIO	0x7b
#define EXIT_MSR	0x7c
#define EXIT_TASK_SWITCH 0x7d
#define EXIT_SHUTDOWN	0x7f
#define EXIT_VMRUN	0x80
#define EXIT_VMMCALL	0x81
#define EXIT_STGI	0x84
#define EXIT_NPF	0x400
#define EXIT_INVALID	(~0ull)

/* CPUID 8000000A, EDX */
#define SVM_LBR			(1u << 1)
#define SVM_NRIPS		(1u << 3)
#define SVM_DECODE_ASSISTS	(1u << 7)
#define SVM_VGIF		(1u << 16)

#define MSR_EFER	0xc0000080
#define MSR_VM_CR	0xc0010114
#define MSR_VM_HSAVE_PA	0xc0010117

struct test_seg {
	uint16_t selector, attrib;
	uint32_t limit;
	uint64_t base;
};

/* APM volume 2, Layout of VMCB. */
struct test_vmcb {
	uint32_t intercepts[6];
	uint8_t r018[0x3c - 0x18];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm, msrpm, tsc_offset;
	uint32_t asid;
	uint8_t tlb_control, r05d[3];
	uint32_t int_ctl, int_vector, int_state, r06c;
	uint64_t exit_code, exit_info_1, exit_info_2;
	uint32_t exit_int_info, exit_int_info_err;
	uint64_t nested_ctl, r098[2];
	uint32_t event_inj, event_inj_err;
	uint64_t nested_cr3, virt_ext;
	uint32_t clean, r0c4;
	uint64_t next_rip;
	uint8_t insn_len, insn_bytes[15];
	uint8_t r0e0[0x3e0 - 0xe0];
	uint32_t hv_control, hv_vp_id;
	uint64_t hv_vm_id, hv_partition_assist, r3f8;
	struct test_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t r4a0[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t r4cc;
	uint64_t efer;
	uint8_t r4d8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t r580[0x5d8 - 0x580];
	uint64_t rsp, s_cet, ssp, isst, rax, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t r648[0x668 - 0x648];
	uint64_t g_pat, dbgctl, branches[4];	/* BR_FROM, BR_TO, LASTEXCPFROM, LASTEXCPTO */
	uint8_t r698[0x1000 - 0x698];
};

struct svm_test {
	int sys, vm, vcpu;
	uint8_t *memory;
	struct kvm_run *run;
	struct test_vmcb *vmcb;		/* at L1_VMCB */
	uint32_t features;		/* CPUID 8000000A, EDX, as the guest has it */
	uint32_t hv_nested;		/* CPUID 4000000A, EAX; 0 without enlightenments */
};

/* L2's code: in a section of its own, position-independent. */
#define L2_CODE_BLOCK(text) asm(".pushsection l2_code, \"ax\"\n" text ".popsection\n")

void svm_open(struct svm_test *t);		/* skips the program where there is no nested SVM */
/* What else the VM has, and what of SVM its CPUID does not show. */
#define SVM_APIC	1	/* a local APIC, as INIT needs one */
#define SVM_HYPERV	2	/* enlightenments */
#define SVM_IDLES	4	/* no exits of what KVM_CAP_X86_DISABLE_EXITS offers */
void svm_open_with(struct svm_test *t, unsigned int what, uint32_t hidden);
void svm_close(struct svm_test *t);
void svm_set_msr(struct svm_test *t, uint32_t index, uint64_t value);
/* The host's CPU is TCG's, which intercepts neither task switches nor INT3. */
bool svm_cpu_is_qemu(void);
/* A VMCB that runs L2 at @label, with nothing intercepted but VMRUN and VMMCALL; L1 in its initial state. */
void svm_prepare(struct svm_test *t, const char *label);
void svm_intercept(struct svm_test *t, unsigned int bit);
/* L1 executes VMRUN. The port at which user space is told something, or -1 for any other exit. */
int svm_run(struct svm_test *t);
int svm_continue(struct svm_test *t);
uint64_t svm_l2_address(const char *label);
/* Nested page tables at L1_NPT: the first 2 MiB by 4 KiB pages, the second by one of 2 MiB, or all by 1 GiB. */
void svm_make_npt(struct svm_test *t, bool gigabytes);

#endif
