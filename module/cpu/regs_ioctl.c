// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_REGS, KVM_SET_REGS and their kin.
 *
 * Unlike upstream, setting what the vCPU has already changes nothing: virtual machine monitors write
 * back whole structures of which they changed one field, or none, at any time.
 */
#include <linux/bitfield.h>
#include <asm/processor-flags.h>

#include "cpu/control.h"
#include "cpu/cpuid.h"
#include "cpu/guest_state.h"
#include "irq/irq.h"
#include "vm/ops.h"

#define REGS_OF_KVM_REGS	(REGS_RIP | REGS_RSP | REGS_RFLAGS)
#define REGS_OF_KVM_SREGS	(REGS_CR0 | REGS_CR3 | REGS_CR4 | REGS_EFER | REGS_SEGS | REGS_CS | \
				 REGS_DTABLES)

/* struct kvm_regs in the order of struct regs.gpr. */
static const u16 kvm_regs_gpr[GPR_NR] = {
	[GPR_RAX] = offsetof(struct kvm_regs, rax), [GPR_RCX] = offsetof(struct kvm_regs, rcx),
	[GPR_RDX] = offsetof(struct kvm_regs, rdx), [GPR_RBX] = offsetof(struct kvm_regs, rbx),
	[GPR_RSP] = offsetof(struct kvm_regs, rsp), [GPR_RBP] = offsetof(struct kvm_regs, rbp),
	[GPR_RSI] = offsetof(struct kvm_regs, rsi), [GPR_RDI] = offsetof(struct kvm_regs, rdi),
	[GPR_R8] = offsetof(struct kvm_regs, r8), [GPR_R9] = offsetof(struct kvm_regs, r9),
	[GPR_R10] = offsetof(struct kvm_regs, r10), [GPR_R11] = offsetof(struct kvm_regs, r11),
	[GPR_R12] = offsetof(struct kvm_regs, r12), [GPR_R13] = offsetof(struct kvm_regs, r13),
	[GPR_R14] = offsetof(struct kvm_regs, r14), [GPR_R15] = offsetof(struct kvm_regs, r15),
};

int cpu_get_regs(struct vcpu *vcpu, struct kvm_regs *regs)
{
	int i;

	vcpu_fetch(vcpu, REGS_OF_KVM_REGS);
	for (i = 0; i < GPR_NR; i++)
		*(u64 *)((void *)regs + kvm_regs_gpr[i]) = vcpu->regs.gpr[i];
	regs->rip = vcpu->regs.rip;
	regs->rflags = vcpu->regs.rflags;
	return 0;
}

int cpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	struct kvm_regs now, next = *regs;
	int i;

	next.rflags |= X86_EFLAGS_FIXED;
	cpu_get_regs(vcpu, &now);
	if (!memcmp(&now, &next, sizeof(now)))
		return 0;
	for (i = 0; i < GPR_NR; i++)
		vcpu->regs.gpr[i] = *(const u64 *)((const void *)&next + kvm_regs_gpr[i]);
	vcpu->regs.rip = next.rip;
	vcpu->regs.rflags = next.rflags;
	vcpu_dirty(vcpu, REGS_OF_KVM_REGS);
	/* The exception was of the instruction at the old RIP, unless it belongs to what is being restored. */
	if (!vcpu->events.exception.restored)
		vcpu->events.exception.pending = false;
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

static void segment_to_user(const struct segment *s, struct kvm_segment *k)
{
	k->base = s->base;
	k->limit = s->limit;
	k->selector = s->selector;
	k->type = FIELD_GET(SEG_ATTR_TYPE, s->attr);
	k->s = FIELD_GET(SEG_ATTR_S, s->attr);
	k->dpl = FIELD_GET(SEG_ATTR_DPL, s->attr);
	k->avl = FIELD_GET(SEG_ATTR_AVL, s->attr);
	k->l = FIELD_GET(SEG_ATTR_L, s->attr);
	k->db = FIELD_GET(SEG_ATTR_DB, s->attr);
	k->g = FIELD_GET(SEG_ATTR_G, s->attr);
	k->unusable = FIELD_GET(SEG_ATTR_UNUSABLE, s->attr);
	k->present = FIELD_GET(SEG_ATTR_P, s->attr) && !k->unusable;
}

static void segment_from_user(const struct kvm_segment *k, struct segment *s)
{
	s->base = k->base;
	s->limit = k->limit;
	s->selector = k->selector;
	s->attr = FIELD_PREP(SEG_ATTR_TYPE, k->type & 0xf) | FIELD_PREP(SEG_ATTR_S, k->s & 1) |
		  FIELD_PREP(SEG_ATTR_DPL, k->dpl & 3) | FIELD_PREP(SEG_ATTR_P, k->present & 1) |
		  FIELD_PREP(SEG_ATTR_AVL, k->avl & 1) | FIELD_PREP(SEG_ATTR_L, k->l & 1) |
		  FIELD_PREP(SEG_ATTR_DB, k->db & 1) | FIELD_PREP(SEG_ATTR_G, k->g & 1);
	/* A register with a segment that is not present cannot be used either. */
	if (k->unusable || !k->present)
		s->attr |= SEG_ATTR_UNUSABLE;
}

/* The part that struct kvm_sregs and struct kvm_sregs2 have in common, which is the same in both. */
#define SREGS_COMMON	offsetofend(struct kvm_sregs, apic_base)
static_assert(SREGS_COMMON == offsetofend(struct kvm_sregs2, apic_base));

static struct kvm_segment *sregs_segment(struct kvm_sregs *s, int seg)
{
	switch (seg) {
	case SEG_ES:
		return &s->es;
	case SEG_CS:
		return &s->cs;
	case SEG_SS:
		return &s->ss;
	case SEG_DS:
		return &s->ds;
	case SEG_FS:
		return &s->fs;
	case SEG_GS:
		return &s->gs;
	case SEG_LDTR:
		return &s->ldt;
	default:
		return &s->tr;
	}
}

static void get_common(struct vcpu *vcpu, struct kvm_sregs *s)
{
	const struct regs *r = &vcpu->regs;
	int i;

	cpu_deliver_payload_early(vcpu);
	vcpu_fetch(vcpu, REGS_OF_KVM_SREGS);
	memset(s, 0, sizeof(*s));
	for (i = 0; i < SEG_NR; i++)
		segment_to_user(&r->seg[i], sregs_segment(s, i));
	s->gdt.base = r->gdt.base;
	s->gdt.limit = r->gdt.limit;
	s->idt.base = r->idt.base;
	s->idt.limit = r->idt.limit;
	s->cr0 = r->cr0;
	s->cr2 = r->cr2;
	s->cr3 = r->cr3;
	s->cr4 = r->cr4;
	s->cr8 = cpu_get_cr8(vcpu);
	s->efer = r->efer;
	s->apic_base = lapic_get_base(vcpu);
}

int cpu_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	get_common(vcpu, sregs);
	if (vcpu->events.interrupt.injected && !vcpu->events.interrupt.soft) {
		u8 vector = vcpu->events.interrupt.vector;

		sregs->interrupt_bitmap[vector / 64] |= BIT_ULL(vector % 64);
	}
	return 0;
}

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(efer & EFER_LMA);
}

int cpu_get_sregs2(struct vcpu *vcpu, struct kvm_sregs2 *sregs)
{
	struct kvm_sregs s;

	get_common(vcpu, &s);
	memset(sregs, 0, sizeof(*sregs));
	memcpy(sregs, &s, SREGS_COMMON);
	if (pae_paging(s.cr0, s.cr4, s.efer)) {
		vcpu_fetch(vcpu, REGS_PDPTRS);
		memcpy(sregs->pdptrs, vcpu->regs.pdptr, sizeof(sregs->pdptrs));
		sregs->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
	return 0;
}

/* Upstream's test: a combination that no sequence of instructions could make is refused. */
static bool sregs_valid(struct vcpu *vcpu, const struct kvm_sregs *s)
{
	if (s->efer & EFER_LME && s->cr0 & X86_CR0_PG) {
		if (!(s->cr4 & X86_CR4_PAE) || !(s->efer & EFER_LMA) || !cpu_cr3_valid(vcpu, s->cr3))
			return false;
	} else if (s->efer & EFER_LMA || s->cs.l) {
		return false;
	}
	return cpu_cr4_valid(vcpu, s->cr4) && cpu_cr0_valid(s->cr0) && cpu_efer_valid(vcpu, s->efer);
}

static void set_segments(struct vcpu *vcpu, struct kvm_sregs *s)
{
	struct regs *r = &vcpu->regs;
	struct segment seg[SEG_NR] = {};
	int i;

	for (i = 0; i < SEG_NR; i++)
		segment_from_user(sregs_segment(s, i), &seg[i]);
	if (!memcmp(seg, r->seg, sizeof(seg)))
		return;
	memcpy(r->seg, seg, sizeof(seg));
	/* The CPL is the DPL of SS, usable or not (SDM, Guest Register State). */
	r->cpl = s->ss.dpl & 3;
	vcpu_dirty(vcpu, REGS_SEGS | REGS_CS);
}

static void set_dtables(struct vcpu *vcpu, const struct kvm_sregs *s)
{
	struct regs *r = &vcpu->regs;

	if (r->gdt.base == s->gdt.base && r->gdt.limit == s->gdt.limit &&
	    r->idt.base == s->idt.base && r->idt.limit == s->idt.limit)
		return;
	r->gdt.base = s->gdt.base;
	r->gdt.limit = s->gdt.limit;
	r->idt.base = s->idt.base;
	r->idt.limit = s->idt.limit;
	vcpu_dirty(vcpu, REGS_DTABLES);
}

/* True when something changed that translations depend on. */
static bool set_control(struct vcpu *vcpu, const struct kvm_sregs *s)
{
	struct regs *r = &vcpu->regs;
	u64 cr0 = cpu_cr0_defined(s->cr0);

	if (r->cr0 == cr0 && r->cr3 == s->cr3 && r->cr4 == s->cr4 && r->efer == s->efer)
		return false;
	r->cr0 = cr0;
	r->cr3 = s->cr3;
	r->cr4 = s->cr4;
	r->efer = s->efer;
	vcpu_dirty(vcpu, REGS_CR0 | REGS_CR3 | REGS_CR4 | REGS_EFER);
	cpu_cr4_changed(vcpu);
	vcpu_request(vcpu, REQ_TLB_FLUSH);
	return true;
}

/* Virtual machine monitors of old reset a halted boot CPU by its registers alone. */
static void wake_if_reset(struct vcpu *vcpu, const struct kvm_sregs *s)
{
	if (vcpu->is_bsp && vcpu_rip(vcpu) == 0xfff0 && s->cs.selector == 0xf000 &&
	    s->cs.base == 0xffff0000 && !(s->cr0 & X86_CR0_PE))
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

/* @pdptes: those of the structure; NULL: read them from the guest's memory. */
static int set_common(struct vcpu *vcpu, struct kvm_sregs *s, const u64 *pdptes)
{
	bool reload;

	if (!sregs_valid(vcpu, s))
		return -EINVAL;
	/* No L2 runs without SVM: these are L1's. */
	if (vcpu->nested.guest_mode && cpu_caps.svm && !(s->efer & EFER_SVME))
		vendor->nested->leave(vcpu);
	if (s->apic_base != lapic_get_base(vcpu)) {
		if (lapic_set_base(vcpu, s->apic_base, true))
			return -EINVAL;
		cpuid_mark_stale(vcpu);
	}
	vcpu_fetch(vcpu, REGS_OF_KVM_SREGS);
	set_dtables(vcpu, s);
	set_segments(vcpu, s);
	vcpu->regs.cr2 = s->cr2;
	reload = set_control(vcpu, s);
	if (pdptes) {
		memcpy(vcpu->regs.pdptr, pdptes, sizeof(vcpu->regs.pdptr));
		vcpu_dirty(vcpu, REGS_PDPTRS);
	} else if (reload && pae_paging(s->cr0, s->cr4, s->efer)) {
		/* As upstream: what cannot be read fails when the guest runs. */
		mmu_load_pdptrs(vcpu, s->cr3);
	}
	if (s->cr8 != cpu_get_cr8(vcpu))
		cpu_set_cr8(vcpu, s->cr8);
	wake_if_reset(vcpu, s);
	return 0;
}

int cpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	struct kvm_sregs now, next = *sregs;
	unsigned int vector;
	int err;

	cpu_get_sregs(vcpu, &now);
	if (!memcmp(&now, &next, sizeof(now)))
		return 0;
	err = set_common(vcpu, &next, NULL);
	if (err)
		return err;
	for (vector = 0; vector < KVM_NR_INTERRUPTS; vector++) {
		if (!(next.interrupt_bitmap[vector / 64] & BIT_ULL(vector % 64)))
			continue;
		vcpu->events.interrupt.injected = true;
		vcpu->events.interrupt.soft = false;
		vcpu->events.interrupt.vector = vector;
		vcpu_request(vcpu, REQ_EVENT);
		break;
	}
	return 0;
}

int cpu_set_sregs2(struct vcpu *vcpu, const struct kvm_sregs2 *sregs)
{
	bool pdptes = sregs->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	struct kvm_sregs2 now;
	struct kvm_sregs s;

	if (sregs->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (pdptes && !pae_paging(sregs->cr0, sregs->cr4, sregs->efer))
		return -EINVAL;
	cpu_get_sregs2(vcpu, &now);
	if (!memcmp(&now, sregs, sizeof(now)))
		return 0;
	memset(&s, 0, sizeof(s));
	memcpy(&s, sregs, SREGS_COMMON);
	return set_common(vcpu, &s, pdptes ? sregs->pdptrs : NULL);
}

int cpu_translate(struct vcpu *vcpu, struct kvm_translation *tr)
{
	struct mmu_exception e;
	u64 gpa = mmu_gva_to_gpa(vcpu, tr->linear_address, 0, &e);

	tr->physical_address = gpa;
	tr->valid = gpa != ~0ull;
	/* Upstream says so of every address. */
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}
