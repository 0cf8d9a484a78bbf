// SPDX-License-Identifier: GPL-2.0
/*
 * Registers between the VMCB and struct regs. The VMCB is memory: it may be read at any time, also outside a burst.
 */
#include <linux/uaccess.h>

#include "emulate/emulate.h"
#include "svm/nested.h"
#include "vm/memory.h"

/* struct regs keeps attributes in the VMX layout: unpacked, with a bit for 'unusable', which SVM says by P = 0. */
static void svm_get_seg(struct segment *s, const struct vmcb_seg *v)
{
	s->base = v->base;
	s->limit = v->limit;
	s->selector = v->selector;
	s->attr = (v->attrib & 0xff) | (v->attrib & 0xf00) << 4;
	if (!(s->attr & SEG_ATTR_P))
		s->attr |= SEG_ATTR_UNUSABLE;
}

static void svm_set_seg(struct vmcb_seg *v, const struct segment *s)
{
	v->base = s->base;
	v->limit = s->limit;
	v->selector = s->selector;
	v->attrib = (s->attr & 0xff) | (s->attr >> 4 & 0xf00);
	if (s->attr & SEG_ATTR_UNUSABLE)
		v->attrib &= ~SEG_ATTR_P;
}

/* The G bit of data segments is not kept by every CPU: derive it from the limit, as the limit is in bytes. */
static void svm_fix_granularity(struct segment *s)
{
	if (s->limit > 0xfffff)
		s->attr |= SEG_ATTR_G;
	else
		s->attr &= ~SEG_ATTR_G;
}

/* Those that VMLOAD loads are in vmcb01 at all times. */
static struct vmcb_seg *svm_seg(struct svm_vcpu *svm, int seg)
{
	struct vmcb_save *save = &svm->vmcb->save, *save01 = &svm->vmcb01->save;

	switch (seg) {
	case SEG_ES: return &save->es;
	case SEG_CS: return &save->cs;
	case SEG_SS: return &save->ss;
	case SEG_DS: return &save->ds;
	case SEG_FS: return &save01->fs;
	case SEG_GS: return &save01->gs;
	case SEG_LDTR: return &save01->ldtr;
	default: return &save01->tr;
	}
}

static void svm_fetch_segs(struct svm_vcpu *svm)
{
	struct regs *regs = &svm->vcpu.regs;
	int i;

	for (i = 0; i < SEG_NR; i++) {
		svm_get_seg(&regs->seg[i], svm_seg(svm, i));
		svm_fix_granularity(&regs->seg[i]);
	}
	/* A TR that VMLOAD left as available would not pass VMX's checks after a migration. */
	regs->seg[SEG_TR].attr |= 2;
	regs->cpl = svm->vmcb->save.cpl;
}

/* Groups that few handlers ask for. */
static noinline void svm_fetch_rare(struct vcpu *vcpu, u32 groups)
{
	struct vmcb_save *save01 = &to_svm(vcpu)->vmcb01->save;
	struct vmcb_save *save = &to_svm(vcpu)->vmcb->save;
	struct regs *regs = &vcpu->regs;

	if (groups & REGS_SEGS)
		svm_fetch_segs(to_svm(vcpu));
	if (groups & REGS_DTABLES) {
		regs->gdt = (struct dtable) { save->gdtr.base, save->gdtr.limit };
		regs->idt = (struct dtable) { save->idtr.base, save->idtr.limit };
	}
	if (groups & REGS_SYSCALL) {
		regs->star = save01->star;
		regs->lstar = save01->lstar;
		regs->cstar = save01->cstar;
		regs->sfmask = save01->sfmask;
		regs->kernel_gs_base = save01->kernel_gs_base;
		regs->sysenter_cs = save01->sysenter_cs;
		regs->sysenter_esp = save01->sysenter_esp;
		regs->sysenter_eip = save01->sysenter_eip;
	}
	if (groups & REGS_DR)
		regs->dr6 = save->dr6;
	if (groups & REGS_PAT)
		regs->pat = save->g_pat;
	if (groups & REGS_DEBUGCTL)
		regs->debugctl = save->dbgctl;
	/* REGS_PDPTRS: with nested paging the CPU reads the PDPTEs from memory at every use. */
	if (groups & REGS_PDPTRS)
		mmu_fetch_pdptrs(vcpu, save->cr3);
}

#define REGS_COMMON	(REGS_RIP | REGS_RSP | REGS_RFLAGS | REGS_CS | REGS_MODE | REGS_CR0 | REGS_CR3 | \
			 REGS_CR4 | REGS_SHADOW)

void svm_fetch(struct vcpu *vcpu, u32 groups)
{
	struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	struct vmcb_save *save = &vmcb->save;
	struct regs *regs = &vcpu->regs;

	if (groups & REGS_RIP)
		regs->rip = save->rip;
	if (groups & REGS_RSP)
		regs->gpr[GPR_RSP] = save->rsp;
	if (groups & REGS_RFLAGS) {
		regs->rflags = save->rflags;
		if (to_svm(vcpu)->forced_tf)
			regs->rflags &= ~X86_EFLAGS_TF;
		if (unlikely(to_svm(vcpu)->stepping))
			regs->rflags &= ~(u64)(X86_EFLAGS_TF | X86_EFLAGS_RF) | to_svm(vcpu)->stepping_had;
	}
	if (groups & (REGS_CS | REGS_MODE) && !(groups & REGS_SEGS)) {
		svm_get_seg(&regs->seg[SEG_CS], &save->cs);
		svm_fix_granularity(&regs->seg[SEG_CS]);
		regs->cpl = save->cpl;
	}
	/* The guest's CR0 is the VMCB's but for the cache bits, which it changes only through us. */
	if (groups & REGS_CR0)
		regs->cr0 = (save->cr0 & ~(X86_CR0_CD | X86_CR0_NW)) |
			    (regs->cr0 & (X86_CR0_CD | X86_CR0_NW));
	if (groups & REGS_CR3)
		regs->cr3 = save->cr3;
	if (groups & REGS_CR4)
		regs->cr4 = save->cr4;
	if (groups & REGS_SHADOW)
		regs->int_shadow = vmcb->control.int_state & INT_STATE_SHADOW ?
				   SHADOW_STI | SHADOW_MOV_SS : 0;
	if (groups & ~REGS_COMMON)
		svm_fetch_rare(vcpu, groups);
}

static void svm_flush_segs(struct svm_vcpu *svm)
{
	struct vmcb_save *save = &svm->vmcb->save;
	struct regs *regs = &svm->vcpu.regs;
	int i;

	for (i = 0; i < SEG_NR; i++)
		svm_set_seg(svm_seg(svm, i), &regs->seg[i]);
	save->cpl = regs->cpl;
	svm_dirty(svm, CLEAN_SEG);
}

static void svm_flush_cr(struct svm_vcpu *svm, u32 groups)
{
	struct vmcb_save *save = &svm->vmcb->save;
	struct regs *regs = &svm->vcpu.regs;

	if (groups & REGS_CR0) {
		u64 hw = regs->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW);

		/* A guest that runs with caches off sees its own CR0 only if reads are intercepted. */
		if (hw != regs->cr0) {
			svm_set_intercept(svm, ICPT_CR0_READ);
			svm_set_intercept(svm, ICPT_CR0_WRITE);
		} else {
			svm_clear_intercept(svm, ICPT_CR0_READ);
			svm_clear_intercept(svm, ICPT_CR0_WRITE);
		}
		save->cr0 = hw | X86_CR0_ET;
	}
	if (groups & REGS_CR3)
		save->cr3 = regs->cr3;
	if (groups & REGS_CR4)
		save->cr4 = regs->cr4;
	if (groups & REGS_EFER) {
		save->efer = regs->efer | EFER_SVME;
		if (svm_features.vgif && !svm->vcpu.nested.guest_mode)
			nested_svm_use_vgif(svm, regs->efer & EFER_SVME);
		/* Served before an L2 runs, as VMRUN exits. */
		if (svm->vcpu.vm->avic)
			vcpu_request(&svm->vcpu, REQ_INTERCEPTS);
	}
	svm_dirty(svm, CLEAN_CR);
}

/*
 * svm_flush_regs - write dirty register groups to the VMCB, before entry
 */
void svm_flush_regs(struct svm_vcpu *svm)
{
	struct regs *regs = &svm->vcpu.regs;
	struct vmcb_save *save = &svm->vmcb->save, *save01 = &svm->vmcb01->save;
	u32 dirty = regs->dirty;

	if (dirty & REGS_RIP)
		save->rip = regs->rip;
	if (dirty & REGS_RSP)
		save->rsp = regs->gpr[GPR_RSP];
	if (dirty & REGS_RFLAGS) {
		svm->forced_tf = svm->vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP &&
				 !(regs->rflags & X86_EFLAGS_TF);
		save->rflags = regs->rflags | (svm->forced_tf ? X86_EFLAGS_TF : 0) |
			       (svm->stepping ? X86_EFLAGS_TF | X86_EFLAGS_RF : 0);
	}
	if (dirty & (REGS_CR0 | REGS_CR3 | REGS_CR4 | REGS_EFER))
		svm_flush_cr(svm, dirty);
	if (dirty & REGS_SEGS)
		svm_flush_segs(svm);
	else if (dirty & REGS_CS) {
		svm_set_seg(&save->cs, &regs->seg[SEG_CS]);
		save->cpl = regs->cpl;
		svm_dirty(svm, CLEAN_SEG);
	}
	if (dirty & REGS_DTABLES) {
		save->gdtr.base = regs->gdt.base;
		save->gdtr.limit = regs->gdt.limit;
		save->idtr.base = regs->idt.base;
		save->idtr.limit = regs->idt.limit;
		svm_dirty(svm, CLEAN_DT);
	}
	if (dirty & REGS_SYSCALL) {
		save01->star = regs->star;
		save01->lstar = regs->lstar;
		save01->cstar = regs->cstar;
		save01->sfmask = regs->sfmask;
		save01->kernel_gs_base = regs->kernel_gs_base;
		save01->sysenter_cs = regs->sysenter_cs;
		save01->sysenter_esp = regs->sysenter_esp;
		save01->sysenter_eip = regs->sysenter_eip;
	}
	if (dirty & REGS_DR) {
		save->dr6 = regs->dr6;
		svm_dirty(svm, CLEAN_DR);
	}
	if (dirty & REGS_SHADOW)
		svm->vmcb->control.int_state = regs->int_shadow ? INT_STATE_SHADOW : 0;
	if (dirty & REGS_PAT) {
		save->g_pat = regs->pat;
		svm_dirty(svm, CLEAN_NPT);
	}
	if (dirty & REGS_DEBUGCTL) {
		save->dbgctl = regs->debugctl;
		svm_dirty(svm, CLEAN_LBR);
	}
	regs->dirty = 0;
}

/*
 * svm_settle_regs - the same, for a VMCB that is put aside: TF is there for our own steps and user space's, too, which
 * belong to what runs
 */
void svm_settle_regs(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	if (svm->forced_tf || svm->stepping) {
		vcpu_fetch(vcpu, REGS_RFLAGS);
		vcpu_dirty(vcpu, REGS_RFLAGS);
	}
	svm->stepping = false;
	svm_flush_regs(svm);
	if (svm->forced_tf)
		svm->vmcb->save.rflags &= ~X86_EFLAGS_TF;
	svm->forced_tf = false;
}

/* Instructions that exit most, and have one form: opcode after the prefixes, first byte lowest. @len: 0: another one. */
static u32 svm_expected_opcode(const struct vmcb_control *ctl, int *len)
{
	switch (ctl->exit_code) {
	case SVM_EXIT_CPUID:
		*len = 2;
		return 0xa20f;
	case SVM_EXIT_MSR:
		*len = 2;
		return ctl->exit_info_1 ? 0x300f : 0x320f;
	case SVM_EXIT_VMRUN ... SVM_EXIT_SKINIT:
		*len = 3;
		return (0xd8 + ctl->exit_code - SVM_EXIT_VMRUN) << 16 | 0x010f;
	case SVM_EXIT_HLT:
		*len = 1;
		return 0xf4;
	default:
		*len = 0;
		return 0;
	}
}

/* The bytes of code at a gpa, which end on its page, in the order of memory. */
static bool svm_peek_code(struct svm_vcpu *svm, u64 gpa, u64 *bytes)
{
	struct guest_page page = { .vcpu = &svm->vcpu, .gpa = gpa };
	int r;

	if (guest_page_begin(&page))
		return false;
	r = __get_user(*bytes, (const u64 __user *)page.at);
	guest_page_end(&page);
	return !r;
}

static bool is_prefix(u8 byte)
{
	return byte >> 4 == 4 || byte == 0x66 || byte == 0xf2 || byte == 0xf3;
}

/*
 * Length of one of those, without a page walk and a decoder where the last one was on the same page: 0 when it has to be found
 * the long way. The remembered page may have been remapped since, but then it does not show the opcode that
 * just exited.
 */
static int svm_quick_length(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	const struct svm_code *code = &svm->code[vcpu->nested.guest_mode];
	int len, i;
	u32 opcode = svm_expected_opcode(&svm->vmcb->control, &len);
	u64 linear, bytes;

	if (!len || !vcpu_is_64bit(vcpu))
		return 0;
	linear = vcpu_rip(vcpu);
	vcpu_fetch(vcpu, REGS_CR3);
	if (code->page != (linear & PAGE_MASK) || code->cr3 != vcpu->regs.cr3 ||
	    offset_in_page(linear) > PAGE_SIZE - sizeof(bytes) ||
	    !svm_peek_code(svm, code->gpa | offset_in_page(linear), &bytes))
		return 0;
	/* A few prefixes. */
	for (i = 0; i < sizeof(bytes) - len; i++, bytes >>= 8) {
		if ((bytes & (BIT(8 * len) - 1)) == opcode)
			return i + len;
		if (!is_prefix(bytes))
			break;
	}
	return 0;
}

/* Remember where the code is that exits. */
static void svm_remember_code(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	u64 linear = vcpu_linear_rip(vcpu), gpa;
	struct mmu_exception e;

	gpa = mmu_gva_to_gpa(vcpu, linear, PF_FETCH | (vcpu_cpl(vcpu) == 3 ? PF_USER : 0), &e);
	if (gpa == ~0ull)
		return;
	vcpu_fetch(vcpu, REGS_CR3);
	svm->code[vcpu->nested.guest_mode] = (struct svm_code) {
		.page = linear & PAGE_MASK, .cr3 = vcpu->regs.cr3, .gpa = gpa & PAGE_MASK,
	};
}

/*
 * The address of the next instruction: from the CPU, or, where it does not save it, by decoding the one at RIP. An
 * exit code does not tell the length: prefixes are allowed on all of them.
 */
u64 svm_next_rip(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	int len;

	if (svm_features.nrips && svm->vmcb->control.next_rip)
		return svm->vmcb->control.next_rip;
	if (svm->vmcb->control.exit_code == SVM_EXIT_IOIO)
		return svm->vmcb->control.exit_info_2;
	len = svm_quick_length(svm);
	if (!len) {
		len = vcpu_instruction_length(vcpu);
		svm_remember_code(svm);
	}
	if (len < 0)
		return vcpu_rip(vcpu);	/* the guest unmapped its own code: it faults when it runs on */
	return vcpu_rip(vcpu) + len;
}

static noinline void svm_end_shadow_and_rf(struct vcpu *vcpu)
{
	vcpu->regs.int_shadow = 0;
	vcpu_dirty(vcpu, REGS_SHADOW);
	if (vcpu_rflags(vcpu) & X86_EFLAGS_RF)
		vcpu_set_rflags(vcpu, vcpu->regs.rflags & ~(u64)X86_EFLAGS_RF);
}

/* RFLAGS as they are at hand; TF and RF may be there for our own stepping. */
static u64 svm_peek_rflags(struct svm_vcpu *svm)
{
	return svm->vcpu.regs.valid & REGS_RFLAGS ? svm->vcpu.regs.rflags : svm->vmcb->save.rflags;
}

/*
 * Move RIP past the instruction, which ends the interrupt shadow. SVM saves RF as the guest had it: it covers
 * breakpoints at this instruction only.
 */
void svm_advance_rip(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 old = vcpu_rip(vcpu), rip = svm_next_rip(svm);

	/* Only where bit 31 becomes 0 the code may have wrapped, outside 64-bit mode. */
	if (unlikely((old ^ rip) & ~rip & BIT(31)) && !vcpu_is_64bit(vcpu))
		rip = (u32)rip;
	vcpu_set_rip(vcpu, rip);
	if (unlikely(svm->vmcb->control.int_state & INT_STATE_SHADOW || vcpu->regs.dirty & REGS_SHADOW ||
		     svm_peek_rflags(svm) & X86_EFLAGS_RF))
		svm_end_shadow_and_rf(vcpu);
}

/*
 * Retire the instruction at RIP; a set TF, the guest's or user space's, traps behind it.
 */
int svm_skip_instruction(struct vcpu *vcpu)
{
	svm_advance_rip(vcpu);
	if (likely(!(svm_peek_rflags(to_svm(vcpu)) & X86_EFLAGS_TF ||
		     vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)))
		return RUN_GUEST;
	if (vcpu_rflags(vcpu) & X86_EFLAGS_TF || vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		return vcpu_debug_trap(vcpu, DR_STEP);
	return RUN_GUEST;
}

void svm_write_tsc_offset(struct vcpu *vcpu, u64 offset, u64 ratio)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb01->control.tsc_offset = offset;
	if (vcpu->nested.guest_mode)
		svm->vmcb->control.tsc_offset = offset + svm->nested.vmcb12->control.tsc_offset;
	svm->tsc_ratio = ratio;
	svm_dirty(svm, CLEAN_INTERCEPTS);
}
