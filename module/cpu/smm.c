// SPDX-License-Identifier: GPL-2.0
/*
 * System-management mode: entry, RSM, and what the state-save area looks like.
 *
 * SDM, System Management Mode; APM, System-Management Mode. The area is AMD's for guests with long mode and the older
 * one of 32-bit CPUs for others, as upstream has it and firmware expects. A vCPU in this mode sees address space 1.
 */
#include <linux/bitfield.h>
#include <linux/stddef.h>
#include <asm/processor-flags.h>

#include "cpu/control.h"
#include "cpu/cpuid.h"
#include "cpu/smm.h"
#include "irq/irq.h"
#include "vm/ops.h"

#define SMBASE_AT_RESET		0x30000
#define SMM_ENTRY_RIP		0x8000
#define SMM_STATE_AREA		0xfe00		/* from SMBASE */
#define SMM_REVISION_32		0x00020000	/* SMBASE can be relocated */
#define SMM_REVISION_64		0x00020064
#define SMM_SEGMENT_ATTR	(0x3 | SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_G)

#define RFLAGS_DEFINED								\
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |	\
	 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF |	\
	 X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF |	\
	 X86_EFLAGS_VM | X86_EFLAGS_AC | X86_EFLAGS_VIF | X86_EFLAGS_VIP | X86_EFLAGS_ID)

struct smram_segment_64 {
	u16 selector, attr;
	u32 limit;
	u64 base;
} __packed;

/* Fields that are always zero here have the names of the APM's table. */
struct smram_64 {
	struct smram_segment_64 seg[6];		/* 0xfe00, in the order of SEG_ES to SEG_GS */
	struct smram_segment_64 gdtr, ldtr, idtr, tr;
	u64 io_restart_rip, io_restart_rcx, io_restart_rsi, io_restart_rdi;
	u32 io_restart, reserved1;
	u8 io_insn_restart, auto_halt_restart, nmi_mask, int_shadow;	/* 0xfec8 */
	u32 reserved2;
	u64 efer;				/* 0xfed0 */
	u64 svm_guest, svm_vmcb, svm_virtual_int;
	u32 reserved3[3];
	u32 revision;				/* 0xfefc */
	u32 smbase;				/* 0xff00 */
	u32 reserved4[5];
	u64 ssp, svm_pat, svm_efer, svm_cr4, svm_cr3, svm_cr0;
	u64 cr4, cr3, cr0;			/* 0xff48 */
	u64 dr7, dr6, rflags, rip;
	u64 gpr[GPR_NR];			/* 0xff80: R15 first */
} __packed;

static_assert(sizeof(struct smram_64) == SMRAM_BYTES);
static_assert(offsetof(struct smram_64, gdtr) == 0x60);
static_assert(offsetof(struct smram_64, int_shadow) == 0xcb);
static_assert(offsetof(struct smram_64, efer) == 0xd0);
static_assert(offsetof(struct smram_64, revision) == 0xfc);
static_assert(offsetof(struct smram_64, cr4) == 0x148);
static_assert(offsetof(struct smram_64, gpr) == 0x180);

struct smram_segment_32 {
	u32 flags, limit, base;			/* flags: as in the second half of a descriptor */
} __packed;

struct smram_32 {
	u32 reserved1[62];
	u32 smbase, revision;			/* 0xfef8 */
	u16 io_insn_restart, auto_halt_restart;
	u32 io_restart_rdi, io_restart_rcx, io_restart_rsi, io_restart_rip;
	u32 cr4;				/* 0xff14 */
	u16 reserved2;
	u8 int_shadow;				/* 0xff1a */
	u8 reserved3[17];
	struct smram_segment_32 ds, fs, gs, idtr, tr;	/* 0xff2c */
	u32 reserved4;
	struct smram_segment_32 gdtr, ldtr, es, cs, ss;	/* 0xff6c */
	u32 selector[6];			/* 0xffa8, in the order of SEG_ES to SEG_GS */
	u32 ldtr_selector, tr_selector;
	u32 dr7, dr6;				/* 0xffc8 */
	u32 gpr[8];				/* EAX first */
	u32 eip, eflags, cr3, cr0;		/* 0xfff0 */
} __packed;

static_assert(sizeof(struct smram_32) == SMRAM_BYTES);
static_assert(offsetof(struct smram_32, smbase) == 0xf8);
static_assert(offsetof(struct smram_32, int_shadow) == 0x11a);
static_assert(offsetof(struct smram_32, ds) == 0x12c);
static_assert(offsetof(struct smram_32, selector) == 0x1a8);
static_assert(offsetof(struct smram_32, gpr) == 0x1d0);

union smram {
	struct smram_64 s64;
	struct smram_32 s32;
};

/* The registers that RSM loads and that must be right together. */
struct control_state {
	u64 cr0, cr3, cr4, efer;
};

static u16 save_attr(const struct segment *s)
{
	u32 attr = s->attr & (SEG_ATTR_UNUSABLE - 1);

	return s->attr & SEG_ATTR_UNUSABLE ? attr & ~(u32)SEG_ATTR_P : attr;
}

static u32 load_attr(u16 saved)
{
	u32 attr = saved & (SEG_ATTR_TYPE | SEG_ATTR_S | SEG_ATTR_DPL | SEG_ATTR_P | SEG_ATTR_AVL | SEG_ATTR_L |
			    SEG_ATTR_DB | SEG_ATTR_G);

	return attr & SEG_ATTR_P ? attr : attr | SEG_ATTR_UNUSABLE;
}

static struct smram_segment_64 *segment_64(struct smram_64 *s, int seg)
{
	switch (seg) {
	case SEG_LDTR:
		return &s->ldtr;
	case SEG_TR:
		return &s->tr;
	default:
		return &s->seg[seg];
	}
}

static struct smram_segment_32 *segment_32(struct smram_32 *s, int seg)
{
	struct smram_segment_32 *const where[SEG_NR] = {
		[SEG_ES] = &s->es, [SEG_CS] = &s->cs, [SEG_SS] = &s->ss, [SEG_DS] = &s->ds,
		[SEG_FS] = &s->fs, [SEG_GS] = &s->gs, [SEG_LDTR] = &s->ldtr, [SEG_TR] = &s->tr,
	};

	return where[seg];
}

static u32 *selector_32(struct smram_32 *s, int seg)
{
	switch (seg) {
	case SEG_LDTR:
		return &s->ldtr_selector;
	case SEG_TR:
		return &s->tr_selector;
	default:
		return &s->selector[seg];
	}
}

static void save_64(const struct vcpu *vcpu, struct smram_64 *s)
{
	const struct regs *r = &vcpu->regs;
	int i;

	for (i = 0; i < SEG_NR; i++)
		*segment_64(s, i) = (struct smram_segment_64) {
			.selector = r->seg[i].selector, .attr = save_attr(&r->seg[i]),
			.limit = r->seg[i].limit, .base = r->seg[i].base,
		};
	s->gdtr.limit = r->gdt.limit;
	s->gdtr.base = r->gdt.base;
	s->idtr.limit = r->idt.limit;
	s->idtr.base = r->idt.base;
	for (i = 0; i < GPR_NR; i++)
		s->gpr[GPR_NR - 1 - i] = r->gpr[i];
	s->rip = r->rip;
	s->rflags = r->rflags;
	s->int_shadow = r->int_shadow;
	s->cr0 = r->cr0;
	s->cr3 = r->cr3;
	s->cr4 = r->cr4;
	s->efer = r->efer;
	s->dr6 = r->dr6;
	s->dr7 = r->dr7;
	s->smbase = vcpu->cpu_state.smbase;
	s->revision = SMM_REVISION_64;
}

static void save_32(const struct vcpu *vcpu, struct smram_32 *s)
{
	const struct regs *r = &vcpu->regs;
	int i;

	for (i = 0; i < SEG_NR; i++) {
		*segment_32(s, i) = (struct smram_segment_32) {
			.flags = (u32)save_attr(&r->seg[i]) << 8,
			.limit = r->seg[i].limit, .base = r->seg[i].base,
		};
		*selector_32(s, i) = r->seg[i].selector;
	}
	s->gdtr.limit = r->gdt.limit;
	s->gdtr.base = r->gdt.base;
	s->idtr.limit = r->idt.limit;
	s->idtr.base = r->idt.base;
	for (i = 0; i < ARRAY_SIZE(s->gpr); i++)
		s->gpr[i] = r->gpr[i];
	s->eip = r->rip;
	s->eflags = r->rflags;
	s->int_shadow = r->int_shadow;
	s->cr0 = r->cr0;
	s->cr3 = r->cr3;
	s->cr4 = r->cr4;
	s->dr6 = r->dr6;
	s->dr7 = r->dr7;
	s->smbase = vcpu->cpu_state.smbase;
	s->revision = SMM_REVISION_32;
}

/* All but control registers, which load_control() checks first. */
static void load_64(struct vcpu *vcpu, struct smram_64 *s)
{
	struct regs *r = &vcpu->regs;
	int i;

	for (i = 0; i < SEG_NR; i++) {
		const struct smram_segment_64 *from = segment_64(s, i);

		r->seg[i] = (struct segment) {
			.selector = from->selector, .attr = load_attr(from->attr),
			.limit = from->limit, .base = from->base,
		};
	}
	r->gdt = (struct dtable) { .base = s->gdtr.base, .limit = s->gdtr.limit };
	r->idt = (struct dtable) { .base = s->idtr.base, .limit = s->idtr.limit };
	for (i = 0; i < GPR_NR; i++)
		r->gpr[i] = s->gpr[GPR_NR - 1 - i];
	r->rip = s->rip;
	r->rflags = (s->rflags & RFLAGS_DEFINED) | X86_EFLAGS_FIXED;
	r->int_shadow = s->int_shadow;
	vcpu->cpu_state.smbase = s->smbase;
}

static void load_32(struct vcpu *vcpu, struct smram_32 *s)
{
	struct regs *r = &vcpu->regs;
	int i;

	for (i = 0; i < SEG_NR; i++) {
		const struct smram_segment_32 *from = segment_32(s, i);

		r->seg[i] = (struct segment) {
			.selector = *selector_32(s, i), .attr = load_attr(from->flags >> 8),
			.limit = from->limit, .base = from->base,
		};
	}
	r->gdt = (struct dtable) { .base = s->gdtr.base, .limit = s->gdtr.limit };
	r->idt = (struct dtable) { .base = s->idtr.base, .limit = s->idtr.limit };
	for (i = 0; i < ARRAY_SIZE(s->gpr); i++)
		r->gpr[i] = s->gpr[i];
	r->rip = s->eip;
	r->rflags = (s->eflags & RFLAGS_DEFINED) | X86_EFLAGS_FIXED;
	r->int_shadow = s->int_shadow;
	vcpu->cpu_state.smbase = s->smbase;
}

/* False: RSM shuts the CPU down. SDM, Returning from SMM. */
static bool control_valid(struct vcpu *vcpu, const struct control_state *c)
{
	bool long_mode = c->efer & EFER_LME && c->cr0 & X86_CR0_PG;

	if (long_mode && !(c->cr4 & X86_CR4_PAE))
		return false;
	if (!long_mode && c->cr4 & X86_CR4_PCIDE)
		return false;
	return cpu_cr0_valid(c->cr0) && cpu_cr3_valid(vcpu, c->cr3) && cpu_cr4_valid(vcpu, c->cr4) &&
	       cpu_efer_valid(vcpu, c->efer) && !(c->efer & ~cpu_caps.efer_mask);
}

static bool load_control(struct vcpu *vcpu, struct control_state c)
{
	struct regs *r = &vcpu->regs;

	c.efer &= ~(u64)EFER_LMA;
	if (!control_valid(vcpu, &c))
		return false;
	if (c.efer & EFER_LME && c.cr0 & X86_CR0_PG)
		c.efer |= EFER_LMA;
	r->cr0 = cpu_cr0_defined(c.cr0);
	r->cr3 = c.cr3;
	r->cr4 = c.cr4;
	r->efer = c.efer;
	vcpu_dirty(vcpu, REGS_CR0 | REGS_CR3 | REGS_CR4 | REGS_EFER);
	cpu_cr4_changed(vcpu);
	if (r->cr0 & X86_CR0_PG && r->cr4 & X86_CR4_PAE && !(r->efer & EFER_LMA))
		return !mmu_load_pdptrs(vcpu, r->cr3);
	return true;
}

/**
 * smm_set - enter or leave the mode, all else as it is
 * @vcpu: the vCPU, outside a burst
 * @in_smm: the mode
 */
void smm_set(struct vcpu *vcpu, bool in_smm)
{
	struct events *ev = &vcpu->events;

	if (ev->in_smm == in_smm)
		return;
	ev->in_smm = in_smm;
	vendor->root_changed(vcpu);
	vendor->tlb_flush(vcpu, TLB_ALL);
	if (in_smm)
		return;
	/* An INIT or SMI that came meanwhile is due; a SIPI was for nobody who waited. */
	ev->smm_inside_nmi = false;
	lapic_drop_sipi(vcpu);
	if (ev->smi_pending)
		vcpu_request(vcpu, REQ_SMI);
	vcpu_request(vcpu, REQ_EVENT);
}

/* The state in which the handler begins. */
static void load_entry_state(struct vcpu *vcpu)
{
	u64 smbase = vcpu->cpu_state.smbase;
	struct regs *r = &vcpu->regs;
	int i;

	for (i = SEG_ES; i <= SEG_GS; i++)
		r->seg[i] = (struct segment) { .limit = U32_MAX, .attr = SMM_SEGMENT_ATTR };
	r->seg[SEG_CS].selector = smbase >> 4;
	r->seg[SEG_CS].base = smbase;
	r->cpl = 0;
	r->idt = (struct dtable) {};
	r->rip = SMM_ENTRY_RIP;
	r->rflags = X86_EFLAGS_FIXED;
	r->int_shadow = 0;
	r->cr0 &= ~(u64)(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG);
	r->cr4 = 0;
	r->efer = 0;
	vcpu_dirty(vcpu, REGS_ALL & ~(REGS_CR3 | REGS_PDPTRS | REGS_SYSCALL | REGS_PAT | REGS_DEBUGCTL));
	cpu_cr4_changed(vcpu);
	cpu_set_dr(vcpu, 7, 0);
}

static void smm_enter(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;
	union smram smram = {};
	u64 vmcb;
	int kept;

	vcpu_fetch(vcpu, REGS_ALL);
	if (guest_has(vcpu, X86_FEATURE_LM))
		save_64(vcpu, &smram.s64);
	else
		save_32(vcpu, &smram.s32);
	vcpu->cpu_state.smi_count++;
	/* An instruction that was half emulated begins anew. */
	vcpu->emu_continues = false;
	kept = vendor->nested ? vendor->nested->smm_enter(vcpu, &vmcb) : 0;
	if (kept < 0) {
		vm_kill(vcpu->vm, "no memory at VM_HSAVE_PA");
		return;
	}
	if (kept) {
		smram.s64.svm_guest = 1;
		smram.s64.svm_vmcb = vmcb;
	}
	smm_set(vcpu, true);
	if (vcpu_write_guest(vcpu, vcpu->cpu_state.smbase + SMM_STATE_AREA, &smram, sizeof(smram))) {
		vm_kill(vcpu->vm, "no memory at SMBASE");
		return;
	}
	ev->smm_inside_nmi = vendor->nmi_masked(vcpu);
	vendor->set_nmi_masked(vcpu, true);
	load_entry_state(vcpu);
	vcpu_request(vcpu, REQ_EVENT);
}

/**
 * smm_serve - REQ_SMI: an SMI has come, or one that waited may go now
 * @vcpu: the vCPU, outside a burst
 *
 * It is taken between instructions: an event that is on its way comes first, and the entry that delivers it is
 * left at once.
 */
void smm_serve(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;

	ev->smi_pending = true;
	if (ev->in_smm || vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ)
		return;
	ev->smi_deferred = ev->exception.pending || event_injected(ev) || (vendor->nested && vendor->nested->blocks_smi(vcpu)) ||
			   nested_takes(vcpu, NESTED_SMI);
	if (ev->smi_deferred)
		return;
	ev->smi_pending = false;
	smm_enter(vcpu);
}

/**
 * smm_resume - RSM
 * @vcpu: the vCPU
 *
 * #UD outside the mode. What SMRAM says and no CPU could be in shuts the CPU down.
 */
int smm_resume(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;
	struct control_state control;
	union smram smram;
	u64 dr6, dr7;

	if (!ev->in_smm) {
		vcpu_raise(vcpu, EXC_UD);
		return RUN_GUEST;
	}
	if (vcpu->in_burst)
		return RUN_SLOW;
	vcpu_fetch(vcpu, REGS_ALL);
	if (vcpu_read_guest(vcpu, vcpu->cpu_state.smbase + SMM_STATE_AREA, &smram, sizeof(smram)))
		goto shutdown;
	if (!ev->smm_inside_nmi)
		vendor->set_nmi_masked(vcpu, false);
	smm_set(vcpu, false);
	if (vendor->nested && vendor->nested->smm_leave(vcpu, guest_has(vcpu, X86_FEATURE_LM) && smram.s64.svm_guest ?
							&smram.s64.svm_vmcb : NULL))
		goto shutdown;

	if (guest_has(vcpu, X86_FEATURE_LM)) {
		load_64(vcpu, &smram.s64);
		control = (struct control_state) {
			.cr0 = smram.s64.cr0, .cr3 = smram.s64.cr3, .cr4 = smram.s64.cr4, .efer = smram.s64.efer,
		};
		dr6 = smram.s64.dr6;
		dr7 = smram.s64.dr7;
	} else {
		load_32(vcpu, &smram.s32);
		control = (struct control_state) {
			.cr0 = smram.s32.cr0, .cr3 = smram.s32.cr3, .cr4 = smram.s32.cr4,
		};
		dr6 = smram.s32.dr6;
		dr7 = smram.s32.dr7;
	}
	vcpu->regs.int_shadow &= SHADOW_MOV_SS | SHADOW_STI;
	vcpu->regs.cpl = FIELD_GET(SEG_ATTR_DPL, vcpu->regs.seg[SEG_SS].attr);
	vcpu_dirty(vcpu, REGS_RIP | REGS_RSP | REGS_RFLAGS | REGS_SEGS | REGS_CS | REGS_DTABLES | REGS_SHADOW);
	if (cpu_set_dr(vcpu, 6, dr6) || cpu_set_dr(vcpu, 7, dr7) || !load_control(vcpu, control))
		goto shutdown;
	return RUN_GUEST;
shutdown:
	vcpu_request(vcpu, REQ_TRIPLE_FAULT);
	return RUN_GUEST;
}

void smm_vcpu_reset(struct vcpu *vcpu, bool init_event)
{
	struct events *ev = &vcpu->events;

	smm_set(vcpu, false);
	vcpu_take_request(vcpu, REQ_SMI);
	ev->smi_pending = false;
	ev->smi_deferred = false;
	if (!init_event)
		vcpu->cpu_state.smbase = SMBASE_AT_RESET;
}

/* Any context. */
void vcpu_send_smi(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQ_SMI);
	vcpu_wake(vcpu);
}
