// SPDX-License-Identifier: GPL-2.0
/*
 * Registers between the VMCS and struct regs. The VMCS is readable in root mode only: a fetch outside a burst
 * visits it.
 */
#include "vmx/vmx.h"

/* A segment register's four fields, in the order of SEG_*. */
#define SEG(name) {				\
	VMCS_GUEST_##name##_SELECTOR,		\
	VMCS_GUEST_##name##_BASE,		\
	VMCS_GUEST_##name##_LIMIT,		\
	VMCS_GUEST_##name##_AR,			\
}
static const struct seg_fields {
	struct vmcs_field selector, base, limit, ar;
} seg_fields[SEG_NR] = {
	[SEG_ES] = SEG(ES), [SEG_CS] = SEG(CS), [SEG_SS] = SEG(SS), [SEG_DS] = SEG(DS),
	[SEG_FS] = SEG(FS), [SEG_GS] = SEG(GS), [SEG_LDTR] = SEG(LDTR), [SEG_TR] = SEG(TR),
};
#undef SEG

static void fetch_seg(struct regs *regs, int seg)
{
	const struct seg_fields *f = &seg_fields[seg];
	struct segment *s = &regs->seg[seg];

	s->selector = vmread16(f->selector);
	s->base = vmreadn(f->base);
	s->limit = vmread32(f->limit);
	s->attr = vmread32(f->ar);
}

/* SDM, Guest Register State: the DPL of SS is the CPL, in every mode. */
static void set_cpl(struct regs *regs, u32 ar)
{
	regs->cpl = FIELD_GET(SEG_ATTR_DPL, ar);
}

/* A code segment that is not conforming has the DPL of SS, in every mode: VM entries check it. */
static bool cs_has_cpl(u32 cs_ar)
{
	const u32 code = 8, conforming = 4;

	return (cs_ar & (SEG_ATTR_S | code | conforming)) == (SEG_ATTR_S | code);
}

static void fetch_segs(struct regs *regs)
{
	int i;

	for (i = 0; i < SEG_NR; i++)
		fetch_seg(regs, i);
	set_cpl(regs, regs->seg[SEG_SS].attr);
}

/*
 * What the guest has in CR0 and CR4: bits that it owns are in the register, the others where it wrote them, in struct
 * regs.
 */
static void fetch_crs(struct vmx_vcpu *vmx, u32 groups)
{
	struct regs *regs = &vmx->vcpu.regs;
	u64 owned;

	if (groups & REGS_CR0) {
		owned = ~vmx_get(vmx, LAZY_CR0_MASK);
		regs->cr0 = (vmreadn(VMCS_GUEST_CR0) & owned) | (regs->cr0 & ~owned);
	}
	if (groups & REGS_CR3)
		regs->cr3 = vmreadn(VMCS_GUEST_CR3);
	if (groups & REGS_CR4) {
		owned = ~vmx_get(vmx, LAZY_CR4_MASK);
		regs->cr4 = (vmreadn(VMCS_GUEST_CR4) & owned) | (regs->cr4 & ~owned);
	}
}

static __always_inline void fetch_rflags(struct vmx_vcpu *vmx)
{
	struct regs *regs = &vmx->vcpu.regs;

	regs->rflags = vmreadn(VMCS_GUEST_RFLAGS);
	if (unlikely(vmx->forced_tf))
		regs->rflags &= ~(u64)X86_EFLAGS_TF;
}

static __always_inline void fetch_shadow(struct vmx_vcpu *vmx)
{
	u32 state = vmread32(VMCS_GUEST_INTERRUPTIBILITY);

	vmx->vcpu.regs.int_shadow = 0;
	vmx->nmi_blocked = state & INTERRUPTIBILITY_NMI;
	if (unlikely(state & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)))
		vmx->vcpu.regs.int_shadow = (state & INTERRUPTIBILITY_STI ? SHADOW_STI : 0) |
					    (state & INTERRUPTIBILITY_MOV_SS ? SHADOW_MOV_SS : 0);
}

/* IA32_KERNEL_GS_BASE is in the CPU during a burst, and in struct regs otherwise. */
static void fetch_syscall(struct vmx_vcpu *vmx)
{
	struct regs *regs = &vmx->vcpu.regs;

	regs->sysenter_cs = vmread32(VMCS_GUEST_SYSENTER_CS);
	regs->sysenter_esp = vmreadn(VMCS_GUEST_SYSENTER_ESP);
	regs->sysenter_eip = vmreadn(VMCS_GUEST_SYSENTER_EIP);
	if (vmx->vcpu.in_burst)
		regs->kernel_gs_base = nst_rdmsr(MSR_KERNEL_GS_BASE);
}

/* Groups that few handlers ask for. */
static void fetch_rare(struct vmx_vcpu *vmx, u32 groups)
{
	struct regs *regs = &vmx->vcpu.regs;
	u32 cs_ar;

	if (groups & (REGS_CR0 | REGS_CR3 | REGS_CR4))
		fetch_crs(vmx, groups);
	if (groups & REGS_SEGS) {
		fetch_segs(regs);
	} else if (groups & (REGS_CS | REGS_MODE)) {
		if (groups & REGS_CS)
			fetch_seg(regs, SEG_CS);
		else
			regs->seg[SEG_CS].attr = vmread32(VMCS_GUEST_CS_AR);
		cs_ar = regs->seg[SEG_CS].attr;
		set_cpl(regs, cs_has_cpl(cs_ar) ? cs_ar : vmread32(VMCS_GUEST_SS_AR));
	}
	if (groups & REGS_DTABLES) {
		regs->gdt.base = vmreadn(VMCS_GUEST_GDTR_BASE);
		regs->gdt.limit = vmread32(VMCS_GUEST_GDTR_LIMIT);
		regs->idt.base = vmreadn(VMCS_GUEST_IDTR_BASE);
		regs->idt.limit = vmread32(VMCS_GUEST_IDTR_LIMIT);
	}
	if (groups & REGS_PDPTRS) {
		regs->pdptr[0] = vmread64(VMCS_GUEST_PDPTE0);
		regs->pdptr[1] = vmread64(VMCS_GUEST_PDPTE1);
		regs->pdptr[2] = vmread64(VMCS_GUEST_PDPTE2);
		regs->pdptr[3] = vmread64(VMCS_GUEST_PDPTE3);
	}
	if (groups & REGS_SYSCALL)
		fetch_syscall(vmx);
	if (groups & REGS_DEBUGCTL)
		regs->debugctl = vmread64(VMCS_GUEST_DEBUGCTL);
}

#define REGS_COMMON	(REGS_RIP | REGS_RSP | REGS_RFLAGS | REGS_SHADOW)

/*
 * vmx_fetch_now - read register groups; the VMCS is loaded
 *
 * REGS_EFER, REGS_PAT, REGS_DR: the guest changes them only by exits, so they are always here.
 */
void vmx_fetch_now(struct vmx_vcpu *vmx, u32 groups)
{
	struct regs *regs = &vmx->vcpu.regs;

	if (groups & REGS_RIP)
		regs->rip = vmreadn(VMCS_GUEST_RIP);
	if (groups & REGS_RSP)
		regs->gpr[GPR_RSP] = vmreadn(VMCS_GUEST_RSP);
	if (groups & REGS_RFLAGS)
		fetch_rflags(vmx);
	if (groups & REGS_SHADOW)
		fetch_shadow(vmx);
	if (groups & ~REGS_COMMON)
		fetch_rare(vmx, groups);
}

/* A group that was never flushed is in struct regs: what is not valid is in a VMCS that was used. */
void vmx_fetch(struct vcpu *vcpu, u32 groups)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long flags;

	if (vcpu->in_burst) {
		vmx_fetch_now(vmx, groups);
		return;
	}
	if (vmx_visit_begin(vmx, &flags)) {
		vm_kill(vcpu->vm, "its VMCS cannot be read");
		return;
	}
	vmx_fetch_now(vmx, groups);
	vmx_visit_end(vmx, flags);
}

/* vmx_pending_debug - debug exceptions that wait in the VMCS */
u64 vmx_pending_debug(struct vmx_vcpu *vmx)
{
	unsigned long flags;
	u64 pending;

	if (vmx->vcpu.in_burst)
		return vmreadn(VMCS_GUEST_PENDING_DEBUG);
	if (vmx_visit_begin(vmx, &flags))
		return 0;
	pending = vmreadn(VMCS_GUEST_PENDING_DEBUG);
	vmx_visit_end(vmx, flags);
	return pending;
}

/*
 * Attributes as VM entry wants them. User space that was written for hardware with laxer checks leaves 'accessed' clear
 * in segments, and the TSS available; a CPU that has loaded them never does.
 */
static u32 entry_attributes(const struct regs *regs, int seg)
{
	u32 attr = regs->seg[seg].attr;

	if (attr & SEG_ATTR_UNUSABLE || !(attr & SEG_ATTR_P))
		return attr | SEG_ATTR_UNUSABLE;
	if (seg == SEG_TR)
		return (attr | 2) & ~(u32)SEG_ATTR_S;
	if (seg != SEG_LDTR)
		attr |= 1;
	return attr;
}

static void flush_seg(struct regs *regs, int seg)
{
	const struct seg_fields *f = &seg_fields[seg];
	struct segment *s = &regs->seg[seg];

	vmwrite16(f->selector, s->selector);
	vmwriten(f->base, s->base);
	vmwrite32(f->limit, s->limit);
	vmwrite32(f->ar, entry_attributes(regs, seg));
}

/*
 * Cache control is the host's: CD and NW stay clear in the register and are seen in the shadow. NE and what else VMX
 * operation forces is set.
 */
static void flush_crs(struct vmx_vcpu *vmx, u32 groups)
{
	struct regs *regs = &vmx->vcpu.regs;

	if (groups & REGS_CR0) {
		vmwriten(VMCS_GUEST_CR0, (regs->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW)) |
			 vmx_caps.cr0_fixed0);
		vmx_set(vmx, LAZY_CR0_SHADOW, nested_vmx_cr0_shadow(vmx, regs->cr0));
	}
	if (groups & REGS_CR3)
		vmwriten(VMCS_GUEST_CR3, regs->cr3);
	if (groups & REGS_CR4) {
		vmwriten(VMCS_GUEST_CR4, regs->cr4 | vmx_caps.cr4_fixed0);
		vmx_set(vmx, LAZY_CR4_SHADOW, nested_vmx_cr4_shadow(vmx, regs->cr4));
	}
	if (groups & REGS_EFER) {
		vmwrite64(VMCS_GUEST_EFER, regs->efer);
		vmx_set_bits(vmx, LAZY_ENTRY, ENTRY_IA32E, regs->efer & EFER_LMA);
		vmx_msrs_update(vmx, false);
	}
}

static void flush_pdptrs(struct regs *regs)
{
	vmwrite64(VMCS_GUEST_PDPTE0, regs->pdptr[0]);
	vmwrite64(VMCS_GUEST_PDPTE1, regs->pdptr[1]);
	vmwrite64(VMCS_GUEST_PDPTE2, regs->pdptr[2]);
	vmwrite64(VMCS_GUEST_PDPTE3, regs->pdptr[3]);
}

static void flush_tables(struct regs *regs)
{
	vmwriten(VMCS_GUEST_GDTR_BASE, regs->gdt.base);
	vmwrite32(VMCS_GUEST_GDTR_LIMIT, regs->gdt.limit);
	vmwriten(VMCS_GUEST_IDTR_BASE, regs->idt.base);
	vmwrite32(VMCS_GUEST_IDTR_LIMIT, regs->idt.limit);
}

static void flush_syscall(struct vmx_vcpu *vmx)
{
	struct regs *regs = &vmx->vcpu.regs;

	vmwrite32(VMCS_GUEST_SYSENTER_CS, regs->sysenter_cs);
	vmwriten(VMCS_GUEST_SYSENTER_ESP, regs->sysenter_esp);
	vmwriten(VMCS_GUEST_SYSENTER_EIP, regs->sysenter_eip);
	vmx_msrs_update(vmx, true);
}

static void flush_shadow(struct vmx_vcpu *vmx)
{
	vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, vmx_interruptibility(vmx, vmx->nmi_blocked));
}

/* KVM_GUESTDBG_SINGLESTEP: TF on top of the guest's own. */
static void flush_rflags(struct vmx_vcpu *vmx)
{
	u64 rflags = vmx->vcpu.regs.rflags;

	vmx->forced_tf = vmx->vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP && !(rflags & X86_EFLAGS_TF);
	vmwriten(VMCS_GUEST_RFLAGS, rflags | (vmx->forced_tf ? X86_EFLAGS_TF : 0));
}

/* Groups that are dirty on few entries. */
static void flush_rare(struct vmx_vcpu *vmx, u32 dirty)
{
	struct regs *regs = &vmx->vcpu.regs;
	int i;

	if (dirty & (REGS_CR0 | REGS_CR3 | REGS_CR4 | REGS_EFER))
		flush_crs(vmx, dirty);
	if (dirty & REGS_SEGS) {
		for (i = 0; i < SEG_NR; i++)
			flush_seg(regs, i);
	} else if (dirty & REGS_CS) {
		flush_seg(regs, SEG_CS);
	}
	if (dirty & REGS_DTABLES)
		flush_tables(regs);
	if (dirty & REGS_PDPTRS)
		flush_pdptrs(regs);
	if (dirty & REGS_SYSCALL)
		flush_syscall(vmx);
	if (dirty & REGS_PAT)
		vmwrite64(VMCS_GUEST_PAT, regs->pat);
	if (dirty & REGS_DEBUGCTL)
		vmwrite64(VMCS_GUEST_DEBUGCTL, regs->debugctl);
}

/*
 * vmx_flush_regs - write dirty register groups to the VMCS, before entry
 */
void vmx_flush_regs(struct vmx_vcpu *vmx)
{
	struct regs *regs = &vmx->vcpu.regs;
	u32 dirty = regs->dirty;

	regs->dirty = 0;
	if (dirty & REGS_RIP)
		vmwriten(VMCS_GUEST_RIP, regs->rip);
	if (dirty & REGS_RSP)
		vmwriten(VMCS_GUEST_RSP, regs->gpr[GPR_RSP]);
	if (dirty & REGS_RFLAGS)
		flush_rflags(vmx);
	if (dirty & REGS_SHADOW)
		flush_shadow(vmx);
	if (unlikely(dirty & ~REGS_COMMON))
		flush_rare(vmx, dirty);
}

/* What retiring an instruction reads. */
#define REGS_RETIRED	(REGS_RIP | REGS_RFLAGS | REGS_SHADOW)

static noinline int retired_specially(struct vcpu *vcpu)
{
	if (vcpu->regs.int_shadow) {
		vcpu->regs.int_shadow = 0;
		vcpu_dirty(vcpu, REGS_SHADOW);
	}
	if (vcpu->regs.rflags & X86_EFLAGS_RF)
		vcpu_set_rflags(vcpu, vcpu->regs.rflags & ~(u64)X86_EFLAGS_RF);
	vcpu_stepped(vcpu);
	if (vcpu->regs.rflags & X86_EFLAGS_TF || vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		return vcpu_debug_trap(vcpu, DR_STEP);
	return RUN_GUEST;
}

/*
 * Retire the instruction that exited: RIP moves, the interrupt shadow and RF end, and a set TF, the guest's or user
 * space's, traps; for L1 as well, where it steps through L2 (SDM, Monitor Trap Flag).
 */
int vmx_skip_instruction(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 missing = REGS_RETIRED & ~vcpu->regs.valid;
	u64 old, rip;

	if (likely(missing == REGS_RETIRED && vcpu->in_burst)) {
		/* Nearly every exit of an instruction: read without a look at each group. */
		vcpu->regs.rip = vmreadn(VMCS_GUEST_RIP);
		fetch_rflags(vmx);
		fetch_shadow(vmx);
		vcpu->regs.valid |= REGS_RETIRED;
	} else if (missing) {
		vcpu_fetch_slow(vcpu, missing);
	}
	old = vcpu->regs.rip;
	rip = old + vmx_exit_length(vmx);
	/* Only where bit 31 becomes 0 the code may have wrapped, outside 64-bit mode. */
	if (unlikely((old ^ rip) & ~rip & BIT(31)) && !vcpu_is_64bit(vcpu))
		rip = (u32)rip;
	vcpu_set_rip(vcpu, rip);
	if (unlikely(vcpu->regs.int_shadow || vcpu->regs.rflags & (X86_EFLAGS_TF | X86_EFLAGS_RF) ||
		     vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP || vcpu->nested.steps))
		return retired_specially(vcpu);
	return RUN_GUEST;
}

/* SDM, Restrictions on VMX Operation: bits that the CPU does not take, and those that the guest's own VMX fixes. */
bool vmx_cr4_valid(struct vcpu *vcpu, u64 cr4)
{
	if (cr4 & ~vmx_caps.cr4_fixed1)
		return false;
	return !to_vmx(vcpu)->nested.vmxon || nested_vmx_cr4_valid(vcpu, cr4);
}

bool vmx_cr0_valid(struct vcpu *vcpu, u64 cr0)
{
	return !to_vmx(vcpu)->nested.vmxon || nested_vmx_cr0_valid(vcpu, cr0);
}
