// SPDX-License-Identifier: GPL-2.0
/*
 * Life of the guest's CPU: module load, creation, reset.
 */
#include <asm/processor-flags.h>

#include "cpu/cpuid.h"
#include "cpu/control.h"
#include "cpu/fpu.h"
#include "cpu/guest_state.h"
#include "cpu/msr.h"
#include "cpu/tsc.h"
#include "cpu/xsave.h"
#include "vm/ops.h"

struct cpu_caps cpu_caps;

/* After reset: what the SDM gives as the PAT, WB WT UC- UC twice. */
#define PAT_AT_RESET		0x0007040600070406ull
/* Family 6, model 0: what RDX holds for a guest whose CPUID says nothing. */
#define DEFAULT_SIGNATURE	0x600

int cpu_setup(void)
{
	int err = fpu_setup();

	if (err)
		return err;
	cpuid_setup();
	err = msr_setup();
	if (!err)
		tsc_setup();
	return err;
}

void cpu_cleanup(void)
{
	tsc_cleanup();
	msr_cleanup();
}

int cpu_vcpu_init(struct vcpu *vcpu)
{
	int err = fpu_vcpu_init(vcpu);

	if (err)
		return err;
	vcpu->cpu_state.mcg_cap = MCE_BANKS;
	msr_vcpu_init(vcpu);
	cpuid_vcpu_init(vcpu);
	tsc_vcpu_init(vcpu);
	return 0;
}

void cpu_vcpu_destroy(struct vcpu *vcpu)
{
	tsc_vcpu_destroy(vcpu);
	cpuid_vcpu_destroy(vcpu);
	fpu_vcpu_destroy(vcpu);
}

/* SDM, Processor State After Reset: segment registers are the same after power-up and INIT. */
static const struct segment segments_at_reset[SEG_NR] = {
	[SEG_ES] = { .limit = 0xffff, .attr = 0x93 },
	[SEG_CS] = { .limit = 0xffff, .attr = 0x9b, .base = 0xffff0000, .selector = 0xf000 },
	[SEG_SS] = { .limit = 0xffff, .attr = 0x93 },
	[SEG_DS] = { .limit = 0xffff, .attr = 0x93 },
	[SEG_FS] = { .limit = 0xffff, .attr = 0x93 },
	[SEG_GS] = { .limit = 0xffff, .attr = 0x93 },
	[SEG_LDTR] = { .limit = 0xffff, .attr = 0x82 },
	[SEG_TR] = { .limit = 0xffff, .attr = 0x80 | SEG_TYPE_BUSY_TSS },
};

/* What power-up sets and INIT leaves alone. */
static void reset_at_power_up(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	struct regs *r = &vcpu->regs;

	r->cr0 = X86_CR0_CD | X86_CR0_NW;
	r->pat = PAT_AT_RESET;
	r->star = r->lstar = r->cstar = r->sfmask = r->kernel_gs_base = 0;
	r->sysenter_cs = r->sysenter_esp = r->sysenter_eip = 0;
	c->misc_features = 0;
	cpuid_update_special(vcpu);
	c->misc_enable = MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL;
	c->fpu.xcr0 = XCOMP_FP;
	c->fpu.xss = 0;
	c->fpu.pkru = 0;
}

static void reset_registers(struct vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *signature = cpuid_find(vcpu, 1, 0);
	struct regs *r = &vcpu->regs;

	memset(r->gpr, 0, sizeof(r->gpr));
	r->gpr[GPR_RDX] = signature ? signature->eax : DEFAULT_SIGNATURE;
	r->rip = 0xfff0;
	r->rflags = X86_EFLAGS_FIXED;
	r->int_shadow = 0;
	memcpy(r->seg, segments_at_reset, sizeof(r->seg));
	r->cpl = 0;
	r->gdt = r->idt = (struct dtable) { .limit = 0xffff };
	r->cr0 = (r->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
	r->cr2 = r->cr3 = r->cr4 = r->efer = 0;
	memset(r->pdptr, 0, sizeof(r->pdptr));
	r->debugctl = 0;
}

/**
 * cpu_vcpu_reset - power-up, or INIT
 * @vcpu: the vCPU
 * @init_event: INIT: the FPU, XCR0, most MSRs and CR0.CD and NW stay
 *
 * Caller has fetched all registers for INIT, and made the vendor's part.
 */
void cpu_vcpu_reset(struct vcpu *vcpu, bool init_event)
{
	struct cpu_state *c = &vcpu->cpu_state;

	if (!init_event)
		reset_at_power_up(vcpu);
	reset_registers(vcpu);
	vcpu_dirty(vcpu, REGS_ALL);
	cpu_reset_dr(vcpu);
	cpu_cr4_changed(vcpu);
	cpuid_mark_stale(vcpu);

	c->spec_ctrl = 0;
	c->umwait_control = 0;
	c->smi_count = 0;
	/* Pages that the guest shares with the host: its memory is somebody else's after a reset. */
	c->system_time_msr = 0;
	c->steal_msr = 0;
	apf_vcpu_reset(vcpu);
	if (!init_event)
		tsc_vcpu_reset(vcpu);
}
