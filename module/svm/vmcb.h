/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtual machine control block (APM volume 2, Layout of VMCB).
 */
#ifndef NESTOR_SVM_VMCB_H
#define NESTOR_SVM_VMCB_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

/* Intercepts: bit numbers in vmcb_control.intercepts, counted over all its words. */
enum svm_intercept {
	ICPT_CR0_READ = 0, ICPT_CR4_READ = 4, ICPT_CR8_READ = 8,
	ICPT_CR0_WRITE = 16, ICPT_CR3_WRITE = 19, ICPT_CR4_WRITE = 20, ICPT_CR8_WRITE = 24,
	ICPT_DR0_READ = 32, ICPT_DR0_WRITE = 48,
	ICPT_EXCEPTION = 64,
	ICPT_INTR = 96, ICPT_NMI, ICPT_SMI, ICPT_INIT, ICPT_VINTR, ICPT_CR0_SEL_WRITE,
	ICPT_IDTR_READ, ICPT_GDTR_READ, ICPT_LDTR_READ, ICPT_TR_READ,
	ICPT_IDTR_WRITE, ICPT_GDTR_WRITE, ICPT_LDTR_WRITE, ICPT_TR_WRITE,
	ICPT_RDTSC, ICPT_RDPMC, ICPT_PUSHF, ICPT_POPF, ICPT_CPUID, ICPT_RSM, ICPT_IRET, ICPT_INTN,
	ICPT_INVD, ICPT_PAUSE, ICPT_HLT, ICPT_INVLPG, ICPT_INVLPGA, ICPT_IOIO, ICPT_MSR,
	ICPT_TASK_SWITCH, ICPT_FERR_FREEZE, ICPT_SHUTDOWN,
	ICPT_VMRUN = 128, ICPT_VMMCALL, ICPT_VMLOAD, ICPT_VMSAVE, ICPT_STGI, ICPT_CLGI, ICPT_SKINIT,
	ICPT_RDTSCP, ICPT_ICEBP, ICPT_WBINVD, ICPT_MONITOR, ICPT_MWAIT, ICPT_MWAIT_ARMED,
	ICPT_XSETBV, ICPT_RDPRU, ICPT_EFER_WRITE_TRAP,
	ICPT_INVLPGB = 160, ICPT_INVLPGB_ILLEGAL, ICPT_INVPCID, ICPT_MCOMMIT, ICPT_TLBSYNC,
	ICPT_BUS_LOCK, ICPT_HLT_SHADOW,
	ICPT_NR_WORDS = 6,
};

/* Clean bits: what the CPU may take from its cache of the VMCB. */
#define CLEAN_INTERCEPTS	BIT(0)	/* intercepts, TSC offset, pause filter */
#define CLEAN_PERM_MAPS		BIT(1)
#define CLEAN_ASID		BIT(2)
#define CLEAN_INTR		BIT(3)	/* int_ctl, int_vector */
#define CLEAN_NPT		BIT(4)	/* nested_cr3, g_pat */
#define CLEAN_CR		BIT(5)	/* CR0, CR3, CR4, EFER */
#define CLEAN_DR		BIT(6)
#define CLEAN_DT		BIT(7)
#define CLEAN_SEG		BIT(8)	/* CS, DS, SS, ES, CPL */
#define CLEAN_CR2		BIT(9)
#define CLEAN_LBR		BIT(10)	/* DEBUGCTL, last-branch MSRs */
#define CLEAN_ALL		GENMASK(10, 0)
#define CLEAN_HV		BIT(31)	/* of a guest hypervisor: what hv_control is about */

/* hv_control */
#define HV_CTL_DIRECT_FLUSH	BIT(0)
#define HV_CTL_MSR_BITMAP	BIT(1)

/* tlb_control */
#define TLB_CTL_NOTHING		0
#define TLB_CTL_FLUSH_ALL	1
#define TLB_CTL_FLUSH_ASID	3
#define TLB_CTL_FLUSH_ASID_LOCAL 7	/* but for global translations */

/* int_ctl */
#define INT_CTL_TPR		GENMASK(3, 0)
#define INT_CTL_IRQ		BIT(8)
#define INT_CTL_GIF		BIT(9)
#define INT_CTL_PRIO		GENMASK(19, 16)
#define INT_CTL_IGN_TPR		BIT(20)
#define INT_CTL_MASKING		BIT(24)
#define INT_CTL_GIF_ENABLE	BIT(25)
#define INT_CTL_AVIC		BIT(31)

/* Those that a virtual interrupt consists of, with int_vector. */
#define INT_CTL_INJECTION	(INT_CTL_IRQ | INT_CTL_PRIO | INT_CTL_IGN_TPR)

#define INT_STATE_SHADOW	BIT(0)
#define NESTED_CTL_NP		BIT(0)

/* event_inj and exit_int_info */
#define EVENT_VECTOR		GENMASK(7, 0)
#define EVENT_TYPE		GENMASK(10, 8)
#define EVENT_TYPE_INTR		0
#define EVENT_TYPE_NMI		2
#define EVENT_TYPE_EXCEPTION	3
#define EVENT_TYPE_SOFT		4
#define EVENT_ERROR_VALID	BIT(11)
#define EVENT_VALID		BIT(31)

struct vmcb_seg {
	u16 selector;
	u16 attrib;		/* descriptor bits 55:52 in 11:8, 47:40 in 7:0 */
	u32 limit;
	u64 base;
} __packed;

struct vmcb_control {
	u32 intercepts[ICPT_NR_WORDS];
	u8 reserved_018[0x3c - 0x18];
	u16 pause_filter_thresh;
	u16 pause_filter_count;
	u64 iopm_base_pa;
	u64 msrpm_base_pa;
	u64 tsc_offset;
	u32 asid;
	u8 tlb_control;
	u8 reserved_05d[3];
	u32 int_ctl;
	u32 int_vector;
	u32 int_state;
	u32 reserved_06c;
	u64 exit_code;
	u64 exit_info_1;
	u64 exit_info_2;
	u32 exit_int_info;
	u32 exit_int_info_err;
	u64 nested_ctl;
	u64 avic_vapic_bar;
	u64 ghcb_gpa;
	u32 event_inj;
	u32 event_inj_err;
	u64 nested_cr3;
	u64 virt_ext;
	u32 clean;
	u32 reserved_0c4;
	u64 next_rip;
	u8 insn_len;
	u8 insn_bytes[15];
	u64 avic_backing_page;
	u8 reserved_0e8[8];
	u64 avic_logical_id;
	u64 avic_physical_id;
	u8 reserved_100[0x3e0 - 0x100];
	u32 hv_control;		/* software's, here Hyper-V's (TLFS, Nested Virtualization) */
	u32 hv_vp_id;
	u64 hv_vm_id;
	u64 hv_partition_assist;
	u64 reserved_3f8;
} __packed;
static_assert(offsetof(struct vmcb_control, pause_filter_thresh) == 0x3c);
static_assert(offsetof(struct vmcb_control, asid) == 0x58);
static_assert(offsetof(struct vmcb_control, exit_code) == 0x70);
static_assert(offsetof(struct vmcb_control, event_inj) == 0xa8);
static_assert(offsetof(struct vmcb_control, clean) == 0xc0);
static_assert(offsetof(struct vmcb_control, next_rip) == 0xc8);
static_assert(offsetof(struct vmcb_control, hv_control) == 0x3e0);
static_assert(sizeof(struct vmcb_control) == 0x400);

struct vmcb_save {
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved_0a0[0xcb - 0xa0];
	u8 cpl;
	u32 reserved_0cc;
	u64 efer;
	u8 reserved_0d8[0x148 - 0xd8];
	u64 cr4;
	u64 cr3;
	u64 cr0;
	u64 dr7;
	u64 dr6;
	u64 rflags;
	u64 rip;
	u8 reserved_180[0x1d8 - 0x180];
	u64 rsp;
	u64 s_cet;
	u64 ssp;
	u64 isst_addr;
	u64 rax;
	u64 star;
	u64 lstar;
	u64 cstar;
	u64 sfmask;
	u64 kernel_gs_base;
	u64 sysenter_cs;
	u64 sysenter_esp;
	u64 sysenter_eip;
	u64 cr2;
	u8 reserved_248[0x268 - 0x248];
	u64 g_pat;
	u64 dbgctl;
	u64 br_from;
	u64 br_to;
	u64 last_excp_from;
	u64 last_excp_to;
	u8 reserved_298[0x2e0 - 0x298];
	u64 spec_ctrl;		/* with V_SPEC_CTRL */
	u8 reserved_2e8[0xc00 - 0x2e8];
} __packed;
static_assert(offsetof(struct vmcb_save, cpl) == 0xcb);
static_assert(offsetof(struct vmcb_save, cr4) == 0x148);
static_assert(offsetof(struct vmcb_save, rsp) == 0x1d8);
static_assert(offsetof(struct vmcb_save, rax) == 0x1f8);
static_assert(offsetof(struct vmcb_save, g_pat) == 0x268);
static_assert(offsetof(struct vmcb_save, spec_ctrl) == 0x2e0);

struct vmcb {
	struct vmcb_control control;
	struct vmcb_save save;
};
static_assert(sizeof(struct vmcb) == 4096);

#endif
