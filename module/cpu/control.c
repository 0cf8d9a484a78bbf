// SPDX-License-Identifier: GPL-2.0
/*
 * Control registers, EFER and XCR0: what a write may change and what follows from it.
 *
 * SDM, Control Registers and MOV - Move to/from Control Registers; APM, System-Control Registers. Callers
 * turn -EINVAL into #GP(0).
 */
#include <asm/processor-flags.h>

#include "cpu/control.h"
#include "cpu/cpuid.h"
#include "cpu/guest_state.h"
#include "cpu/xsave.h"
#include "irq/irq.h"
#include "vm/ops.h"

#define CR0_DEFINED								\
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET |	\
	 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

/* Changes of these bits reload the PDPTEs of PAE paging. */
#define CR0_PDPTE_BITS		(X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_PDPTE_BITS		(X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP)

#define CR3_NOFLUSH		BIT_ULL(63)
#define CR3_PCID		GENMASK_ULL(11, 0)
#define CR8_TPR			GENMASK_ULL(3, 0)

static void flush_translations(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQ_TLB_FLUSH);
}

u64 cpu_cr0_defined(u64 cr0)
{
	return (cr0 & CR0_DEFINED) | X86_CR0_ET;
}

bool cpu_cr0_valid(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if (cr0 & X86_CR0_NW && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || cr0 & X86_CR0_PE;
}

bool cpu_cr3_valid(struct vcpu *vcpu, u64 cr3)
{
	return !(cr3 >> vcpu->cpu_state.maxphyaddr);
}

bool cpu_cr4_valid(struct vcpu *vcpu, u64 cr4)
{
	return !(cr4 & vcpu->cpu_state.cr4_reserved) && vendor->cr4_valid(vcpu, cr4);
}

bool cpu_efer_valid(struct vcpu *vcpu, u64 efer)
{
	return !(efer & vcpu->cpu_state.efer_reserved);
}

/* With paging, LMA follows LME; turning it on with a 64-bit code segment or without PAE is refused. */
static int check_long_mode(struct vcpu *vcpu, u64 cr0)
{
	struct regs *r = &vcpu->regs;

	if (!(r->efer & EFER_LME) || r->cr0 & X86_CR0_PG || !(cr0 & X86_CR0_PG))
		return 0;
	vcpu_fetch(vcpu, REGS_CS);
	if (!(r->cr4 & X86_CR4_PAE) || r->seg[SEG_CS].attr & SEG_ATTR_L)
		return -EINVAL;
	return 0;
}

static int load_pdptes(struct vcpu *vcpu, u64 cr0)
{
	struct regs *r = &vcpu->regs;

	if (r->efer & EFER_LME || !(cr0 & X86_CR0_PG) || !(r->cr4 & X86_CR4_PAE) ||
	    !((cr0 ^ r->cr0) & CR0_PDPTE_BITS))
		return 0;
	return mmu_load_pdptrs(vcpu, r->cr3);
}

static void update_lma(struct vcpu *vcpu, u64 cr0)
{
	struct segment *tr = &vcpu->regs.seg[SEG_TR];
	struct regs *r = &vcpu->regs;
	u64 efer = r->efer & ~EFER_LMA;

	if (efer & EFER_LME && cr0 & X86_CR0_PG)
		efer |= EFER_LMA;
	if (efer == r->efer)
		return;
	r->efer = efer;
	vcpu_dirty(vcpu, REGS_EFER);
	if (!(efer & EFER_LMA))
		return;
	/*
	 * IA-32e mode knows one busy TSS. Firmware often never loads TR, and some CPUs come out of reset
	 * with a 16-bit one; VMX refuses to enter with that.
	 */
	vcpu_fetch(vcpu, REGS_SEGS);
	if ((tr->attr & SEG_ATTR_TYPE) != SEG_TYPE_BUSY_TSS) {
		tr->attr = (tr->attr & ~(u32)SEG_ATTR_TYPE) | SEG_TYPE_BUSY_TSS;
		vcpu_dirty(vcpu, REGS_SEGS);
	}
}

int cpu_set_cr0(struct vcpu *vcpu, u64 cr0)
{
	struct regs *r = &vcpu->regs;
	u64 old;
	int err;

	vcpu_fetch(vcpu, REGS_CR0 | REGS_CR3 | REGS_CR4);
	old = r->cr0;
	if (!cpu_cr0_valid(cr0))
		return -EINVAL;
	if (vendor->cr0_valid && !vendor->cr0_valid(vcpu, cr0))
		return -EINVAL;
	cr0 = cpu_cr0_defined(cr0);
	err = check_long_mode(vcpu, cr0);
	if (err)
		return err;
	if (!(cr0 & X86_CR0_PG) && (r->cr4 & X86_CR4_PCIDE || vcpu_is_64bit(vcpu)))
		return -EINVAL;
	err = load_pdptes(vcpu, cr0);
	if (err)
		return err;

	update_lma(vcpu, cr0);
	r->cr0 = cr0;
	vcpu_dirty(vcpu, REGS_CR0);
	if (old & ~cr0 & X86_CR0_PG)
		flush_translations(vcpu);
	return 0;
}

static bool pae_paging(const struct regs *r)
{
	return r->cr0 & X86_CR0_PG && r->cr4 & X86_CR4_PAE && !(r->efer & EFER_LMA);
}

int cpu_set_cr3(struct vcpu *vcpu, u64 cr3)
{
	struct regs *r = &vcpu->regs;
	bool flush = true;
	int err;

	vcpu_fetch(vcpu, REGS_CR0 | REGS_CR3 | REGS_CR4);
	if (r->cr4 & X86_CR4_PCIDE) {
		flush = !(cr3 & CR3_NOFLUSH);
		cr3 &= ~CR3_NOFLUSH;
	}
	if (!cpu_cr3_valid(vcpu, cr3))
		return -EINVAL;
	if (pae_paging(r)) {
		err = mmu_load_pdptrs(vcpu, cr3);
		if (err)
			return err;
	}
	r->cr3 = cr3;
	vcpu_dirty(vcpu, REGS_CR3);
	if (flush)
		flush_translations(vcpu);
	return 0;
}

/* What CR4 says and others ask for without fetching it: the guest never owns these bits. */
void cpu_cr4_changed(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	bool osxsave = vcpu->regs.cr4 & X86_CR4_OSXSAVE;
	bool pke = vcpu->regs.cr4 & X86_CR4_PKE;

	if (osxsave == c->cr4_osxsave && pke == c->cr4_pke)
		return;
	c->cr4_osxsave = osxsave;
	c->cr4_pke = pke;
	cpuid_mark_stale(vcpu);
	if (vcpu->in_burst)
		guest_xcr_load(vcpu);
}

int cpu_set_cr4(struct vcpu *vcpu, u64 cr4)
{
	struct regs *r = &vcpu->regs;
	u64 changed;
	int err;

	vcpu_fetch(vcpu, REGS_CR0 | REGS_CR3 | REGS_CR4);
	changed = cr4 ^ r->cr4;
	if (!cpu_cr4_valid(vcpu, cr4))
		return -EINVAL;
	if (r->efer & EFER_LMA) {
		if (!(cr4 & X86_CR4_PAE) || changed & X86_CR4_LA57)
			return -EINVAL;
	} else if (r->cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && changed & CR4_PDPTE_BITS) {
		err = mmu_load_pdptrs(vcpu, r->cr3);
		if (err)
			return err;
	}
	if (cr4 & changed & X86_CR4_PCIDE && (r->cr3 & CR3_PCID || !(r->efer & EFER_LMA)))
		return -EINVAL;

	r->cr4 = cr4;
	vcpu_dirty(vcpu, REGS_CR4);
	cpu_cr4_changed(vcpu);
	/* SDM, Operations that Invalidate TLBs and Paging-Structure Caches. */
	if (changed & (X86_CR4_PGE | X86_CR4_PAE) || changed & ~cr4 & X86_CR4_PCIDE ||
	    changed & cr4 & X86_CR4_SMEP)
		flush_translations(vcpu);
	return 0;
}

int cpu_set_cr8(struct vcpu *vcpu, u64 cr8)
{
	if (cr8 & ~CR8_TPR)
		return -EINVAL;
	if (vcpu->lapic) {
		lapic_set_tpr(vcpu, cr8);
	} else if (vcpu->regs.cr8 != cr8) {
		vcpu->regs.cr8 = cr8;
		vcpu_request(vcpu, REQ_EVENT);	/* vendor->update_tpr() */
	}
	return 0;
}

u64 cpu_get_cr8(struct vcpu *vcpu)
{
	return vcpu->lapic ? lapic_get_cr8(vcpu) : vcpu->regs.cr8;
}

/* XSETBV's rules (SDM, Extended Control Registers): AVX needs SSE, the three parts of AVX-512 need AVX. */
static bool xcr0_valid(struct vcpu *vcpu, u64 xcr0)
{
	if (xcr0 & ~(vcpu->cpu_state.xcr0_supported | XCOMP_FP) || !(xcr0 & XCOMP_FP))
		return false;
	if (xcr0 & XCOMP_YMM && !(xcr0 & XCOMP_SSE))
		return false;
	return !(xcr0 & XCOMP_ZMM) || (xcr0 & XCOMP_YMM && (xcr0 & XCOMP_ZMM) == XCOMP_ZMM);
}

int cpu_set_xcr0(struct vcpu *vcpu, u64 xcr0)
{
	struct guest_fpu *fpu = &vcpu->cpu_state.fpu;

	if (!xcr0_valid(vcpu, xcr0))
		return -EINVAL;
	if (fpu->xcr0 == xcr0)
		return 0;
	fpu->xcr0 = xcr0;
	cpuid_mark_stale(vcpu);
	if (vcpu->in_burst)
		guest_xcr_load(vcpu);
	return 0;
}

/**
 * cpu_set_efer - WRMSR of EFER
 * @vcpu: the vCPU
 * @efer: the new value; LMA is ignored
 * @host: user space writes: bits that its CPUID lacks are its affair, as upstream
 */
int cpu_set_efer(struct vcpu *vcpu, u64 efer, bool host)
{
	struct regs *r = &vcpu->regs;

	if (efer & ~cpu_caps.efer_mask)
		return -EINVAL;
	if (!host) {
		if (!cpu_efer_valid(vcpu, efer))
			return -EINVAL;
		if (vendor->efer_valid && !vendor->efer_valid(vcpu, efer))
			return -EINVAL;
		if ((efer ^ r->efer) & EFER_LME && vcpu_is_paging(vcpu))
			return -EINVAL;
	}
	/*
	 * What follows when a guest that VMRUN runs clears EFER.SVME is undefined (APM volume 2, Extended Feature Enable
	 * Register). As upstream: the guest hypervisor that lets it shuts down.
	 */
	if (vcpu->nested.guest_mode && !host && r->efer & ~efer & EFER_SVME) {
		vendor->nested->leave(vcpu);
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
		return 0;
	}
	/* LMA is read-only: a write is ignored. */
	efer = (efer & ~EFER_LMA) | (r->efer & EFER_LMA);
	if (efer == r->efer)
		return 0;
	r->efer = efer;
	vcpu_dirty(vcpu, REGS_EFER);
	return 0;
}
