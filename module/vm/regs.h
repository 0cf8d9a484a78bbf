/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's architectural registers as the common code sees them.
 *
 * Between an exit and the first use, a register may live only in the VMCS or VMCB. Groups say
 * what is here: a group that is not in regs.valid is fetched by vcpu_fetch() (one vendor call for
 * any set of groups; outside a burst VMX opens a small one), a group in regs.dirty is written to
 * hardware before the next entry. A dirty group is valid. GPRs other than RSP, and CR2, are always
 * here.
 */
#ifndef NESTOR_REGS_H
#define NESTOR_REGS_H

#include <linux/bits.h>
#include <linux/types.h>
#include <uapi/asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/msr-index.h>

enum { GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
       GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15, GPR_NR };

/* Segment registers in the order of the instruction encoding; then the system ones. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_NR };

#define REGS_RIP	BIT(0)
#define REGS_RSP	BIT(1)
#define REGS_RFLAGS	BIT(2)
#define REGS_CR0	BIT(3)	/* guest-visible CR0 (the guest may own CR0.TS) */
#define REGS_CR3	BIT(4)
#define REGS_CR4	BIT(5)
#define REGS_EFER	BIT(6)	/* always intercepted: valid at all times, may be dirty */
#define REGS_SEGS	BIT(7)	/* all of seg[] */
#define REGS_CS		BIT(8)	/* seg[SEG_CS] only; part of REGS_SEGS, for mode and CPL checks */
#define REGS_DTABLES	BIT(9)	/* gdt, idt */
#define REGS_PDPTRS	BIT(10)	/* the four PDPTEs of PAE paging */
#define REGS_SYSCALL	BIT(11)	/* star .. sysenter_eip, kernel_gs_base */
#define REGS_DR		BIT(12)	/* dr[0..3], dr6; dr7 is always here */
#define REGS_SHADOW	BIT(13)	/* interrupt shadow: regs.int_shadow */
#define REGS_PAT	BIT(14)
#define REGS_DEBUGCTL	BIT(15)
#define REGS_MODE	BIT(16)	/* seg[SEG_CS].attr and cpl only; part of REGS_CS */
#define REGS_ALL	GENMASK(16, 0)

/**
 * struct segment - a segment register with its hidden part
 * @attr: in the layout of the VMCS access rights: bits 3:0 type, 4 S, 6:5 DPL, 7 P, 12 AVL,
 *	  13 L, 14 D/B, 15 G, 16 unusable
 * @limit: in bytes, granularity already applied
 */
struct segment {
	u64 base;
	u32 limit;
	u32 attr;
	u16 selector;
};

#define SEG_ATTR_TYPE	GENMASK(3, 0)
#define SEG_ATTR_S	BIT(4)
#define SEG_ATTR_DPL	GENMASK(6, 5)
#define SEG_ATTR_P	BIT(7)
#define SEG_ATTR_AVL	BIT(12)
#define SEG_ATTR_L	BIT(13)
#define SEG_ATTR_DB	BIT(14)
#define SEG_ATTR_G	BIT(15)
#define SEG_ATTR_UNUSABLE BIT(16)

struct dtable {
	u64 base;
	u16 limit;
};

/* Interrupt shadow, KVM's numbers. */
#define SHADOW_MOV_SS	BIT(0)	/* KVM_X86_SHADOW_INT_MOV_SS */
#define SHADOW_STI	BIT(1)	/* KVM_X86_SHADOW_INT_STI */

#define DR6_BD		BIT(13)	/* debug register accessed while DR7.GD */
#define DR7_GD		BIT(13)	/* general detect */

struct regs {
	u64 gpr[GPR_NR];	/* first: the entry assembly indexes it */
	u64 cr2;
	u64 rip;
	u64 rflags;
	u32 valid;		/* REGS_*: what is here */
	u32 dirty;		/* REGS_*: what hardware lacks */

	u64 cr0, cr3, cr4;
	u64 cr8;		/* task priority 3:0 when there is no in-kernel APIC */
	u64 efer;
	u64 pdptr[4];
	struct segment seg[SEG_NR];
	u8 cpl;			/* with REGS_MODE, REGS_CS and REGS_SEGS: set together with the segments */
	struct dtable gdt, idt;
	u64 dr[4], dr6, dr7;
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, debugctl;
	u32 int_shadow;		/* SHADOW_* */
};

struct vcpu;

void vcpu_fetch_slow(struct vcpu *vcpu, u32 groups);	/* vm/regs.c */

/*
 * Use vcpu_fetch(vcpu, G) before reading registers of G, vcpu_dirty(vcpu, G) after writing all
 * of G (fetch first when only a part is written). Defined as macros because struct vcpu is not
 * complete here.
 */
#define vcpu_fetch(vcpu, groups)						\
	do {									\
		if ((groups) & ~(vcpu)->regs.valid)				\
			vcpu_fetch_slow(vcpu, groups);				\
	} while (0)

#define vcpu_dirty(vcpu, groups)						\
	do {									\
		(vcpu)->regs.valid |= (groups);					\
		(vcpu)->regs.dirty |= (groups);					\
	} while (0)

#endif
