// SPDX-License-Identifier: GPL-2.0
/*
 * What of the guest's is in the CPU during a burst, and what the host had there.
 *
 *	register	who reads the host's		loaded			put back
 *	x87 ... AVX-512	kernel_fpu_begin_mask()		burst begin		by the kernel, on return to user
 *	XCR0, XSS	guest_state_enter()		if it differs		burst end, if it was loaded
 *	TSC_AUX		guest_state_enter()		if it differs		burst end, if it was loaded
 *	DR0-DR3		guest_state_enter(), if	used	if guest's are used	burst end, if host's were used
 *	DR7		guest_state_enter(), if	used	entry, by the CPU	burst end; exits clear it
 *	DR6		-			entry, by SVM		burst end, to its reset value
 *	PKRU		guest_state_enter()		each entry		each exit
 *
 * The rest of the table is the vendors': syscall MSRs, segment bases, DEBUGCTL, SPEC_CTRL.
 *
 * Nothing is remembered from one burst to the next: the values may be another hypervisor's. A register
 * is not written when the values agree.
 */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>
#include <asm/special_insns.h>

#include "cpu/fpu.h"
#include "cpu/guest_state.h"
#include "cpu/tsc.h"
#include "cpu/xsave.h"
#include "pv/pv.h"
#include "vm/ops.h"

static void load_xcr0(struct host_state *h, u64 value)
{
	if (h->current_xcr0 == value)
		return;
	count_op(xcr_write);
	xsetbv(XCR_XFEATURE_ENABLED_MASK, value);
	h->current_xcr0 = value;
}

static void load_xss(struct host_state *h, u64 value)
{
	if (h->current_xss == value)
		return;
	nst_wrmsr(MSR_IA32_XSS, value);
	h->current_xss = value;
}

/*
 * A guest without CR4.OSXSAVE can neither use nor read what these enable: firmware then costs no XSETBV.
 * Both follow writes of CR4, XCR0 and XSS inside the burst, which are all intercepted.
 */
void guest_xcr_load(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	struct host_state *h = &c->host;

	if (!c->cr4_osxsave)
		return;
	load_xcr0(h, c->fpu.xcr0);
	/* XSAVES runs in the guest wherever the CPU and the vendor's controls have it. */
	if (!cpu_caps.has_xsaves)
		return;
	if (!h->xss_read) {
		h->xss = h->current_xss = nst_rdmsr(MSR_IA32_XSS);
		h->xss_read = true;
	}
	load_xss(h, c->fpu.xss);
}

static void xcr_enter(struct vcpu *vcpu)
{
	struct host_state *h = &vcpu->cpu_state.host;

	if (!cpu_caps.guest_xcr0)
		return;
	h->xcr0 = h->current_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	h->xss_read = false;
	guest_xcr_load(vcpu);
}

static void xcr_leave(struct vcpu *vcpu)
{
	struct host_state *h = &vcpu->cpu_state.host;

	if (!cpu_caps.guest_xcr0)
		return;
	load_xcr0(h, h->xcr0);
	if (h->xss_read)
		load_xss(h, h->xss);
}

/* RDTSCP gives the host's TSC_AUX for less than RDMSR, nested especially. */
static u32 read_tsc_aux(void)
{
	u32 aux;

	asm volatile("rdtscp" : "=c" (aux) : : "eax", "edx");
	return aux;
}

static void tsc_aux_enter(struct cpu_state *c)
{
	if (!cpu_caps.has_rdtscp)
		return;
	c->host.tsc_aux = read_tsc_aux();
	if (c->tsc_aux != c->host.tsc_aux)
		nst_wrmsr(MSR_TSC_AUX, c->tsc_aux);
}

static void tsc_aux_leave(struct cpu_state *c)
{
	if (cpu_caps.has_rdtscp && c->tsc_aux != c->host.tsc_aux)
		nst_wrmsr(MSR_TSC_AUX, c->host.tsc_aux);
}

void guest_tsc_aux_set(struct vcpu *vcpu, u32 value)
{
	struct cpu_state *c = &vcpu->cpu_state;

	/* What tsc_aux_leave() compares is what is in the CPU. */
	if (vcpu->in_burst && cpu_caps.has_rdtscp && value != c->tsc_aux)
		nst_wrmsr(MSR_TSC_AUX, value);
	c->tsc_aux = value;
}

void guest_dr_load(struct vcpu *vcpu)
{
	const struct cpu_state *c = &vcpu->cpu_state;

	if (!cpu_breakpoints_enabled(c))
		return;
	set_debugreg(c->effective_db[0], 0);
	set_debugreg(c->effective_db[1], 1);
	set_debugreg(c->effective_db[2], 2);
	set_debugreg(c->effective_db[3], 3);
}

static void dr_enter(struct vcpu *vcpu)
{
	struct host_state *h = &vcpu->cpu_state.host;

	h->dr_saved = hw_breakpoint_active();
	if (unlikely(h->dr_saved)) {
		get_debugreg(h->dr[0], 0);
		get_debugreg(h->dr[1], 1);
		get_debugreg(h->dr[2], 2);
		get_debugreg(h->dr[3], 3);
		get_debugreg(h->dr6, 6);
		get_debugreg(h->dr7, 7);
		/* The guest's addresses are not for the host's breakpoints. */
		set_debugreg(0UL, 7);
	}
	guest_dr_load(vcpu);
}

static void dr_leave(struct vcpu *vcpu)
{
	struct host_state *h = &vcpu->cpu_state.host;

	if (unlikely(h->dr_saved)) {
		set_debugreg(h->dr[0], 0);
		set_debugreg(h->dr[1], 1);
		set_debugreg(h->dr[2], 2);
		set_debugreg(h->dr[3], 3);
		set_debugreg(h->dr6, 6);
		set_debugreg(h->dr7, 7);
	} else if (cpu_caps.svm && vcpu->regs.dr6 != DR6_RESERVED) {
		/* VMRUN loads DR6; the host's next #DB would find the guest's reasons in it. */
		set_debugreg(DR6_RESERVED, 6);
	}
}

void guest_pkru_enter(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	if (c->fpu.pkru != c->host.pkru)
		wrpkru(c->fpu.pkru);
}

void guest_pkru_leave(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	c->fpu.pkru = rdpkru();
	if (c->fpu.pkru != c->host.pkru)
		wrpkru(c->host.pkru);
}

void guest_state_enter(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	/* With the host's XCR0, which holds every component of the image. */
	fpu_load(vcpu);
	xcr_enter(vcpu);
	tsc_aux_enter(c);
	dr_enter(vcpu);
	if (cpu_caps.guest_xcr0 & XCOMP_PKRU)
		c->host.pkru = rdpkru();
	tsc_enter(vcpu);
	steal_time_check(vcpu);
}

void guest_state_leave(struct vcpu *vcpu)
{
	tsc_leave(vcpu);
	dr_leave(vcpu);
	tsc_aux_leave(&vcpu->cpu_state);
	xcr_leave(vcpu);
	fpu_save(vcpu);
}
