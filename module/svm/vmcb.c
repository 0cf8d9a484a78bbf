// SPDX-License-Identifier: GPL-2.0
/*
 * Setting up the VMCB: what is intercepted, and the state at reset.
 */
#include <linux/gfp.h>
#include <asm/mem_encrypt.h>

#include "svm/nested.h"

#define IOPM_ORDER	2	/* 12 KiB are needed */
#define MSRPM_ORDER	1	/* 8 KiB */

/* Every port is intercepted, for all VMs. */
static void *svm_iopm;

int svm_setup_maps(void)
{
	svm_iopm = svm_alloc_pages(IOPM_ORDER);
	if (!svm_iopm)
		return -ENOMEM;
	memset(svm_iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
	return 0;
}

void svm_cleanup_maps(void)
{
	svm_free_pages(svm_iopm, IOPM_ORDER);
	svm_iopm = NULL;
}

/*
 * Intercepted whatever the guest and its VMM do. #DB and #AC among them: a guest whose delivery of either
 * raises the same again keeps the CPU in microcode for ever, where no host interrupt reaches it. #UD:
 * the other vendor's hypercall instruction.
 */
static const u8 svm_always[] = {
	ICPT_CR0_SEL_WRITE, ICPT_CR4_WRITE, ICPT_CR8_WRITE,
	ICPT_EXCEPTION + EXC_DB, ICPT_EXCEPTION + EXC_UD, ICPT_EXCEPTION + EXC_MC, ICPT_EXCEPTION + EXC_AC,
	ICPT_INTR, ICPT_NMI, ICPT_SMI, ICPT_INIT,
	ICPT_RDPMC, ICPT_CPUID, ICPT_INVD, ICPT_INVLPGA, ICPT_IOIO, ICPT_MSR,
	ICPT_TASK_SWITCH, ICPT_SHUTDOWN,
	ICPT_VMRUN, ICPT_VMMCALL, ICPT_VMLOAD, ICPT_VMSAVE, ICPT_STGI, ICPT_CLGI, ICPT_SKINIT,
	ICPT_ICEBP, ICPT_WBINVD, ICPT_XSETBV, ICPT_RDPRU, ICPT_RSM,
};

/* Intercepted unless KVM_CAP_X86_DISABLE_EXITS says otherwise. */
static const struct {
	u8 intercept;
	u8 disabled_by;
} svm_optional[] = {
	{ ICPT_HLT, KVM_X86_DISABLE_EXITS_HLT },
	{ ICPT_MONITOR, KVM_X86_DISABLE_EXITS_MWAIT },
	{ ICPT_MWAIT, KVM_X86_DISABLE_EXITS_MWAIT },
};

static void svm_intercept_drs(struct svm_vcpu *svm)
{
	int i;

	for (i = 0; i < 16; i++) {
		svm_set_intercept(svm, ICPT_DR0_READ + i);
		svm_set_intercept(svm, ICPT_DR0_WRITE + i);
	}
}

static void svm_set_if(struct svm_vcpu *svm, unsigned int bit, bool on)
{
	if (on)
		svm_set_intercept(svm, bit);
	else
		svm_clear_intercept(svm, bit);
}

/*
 * svm_intercepts_changed - recompute what depends on guest_debug, CPUID and disabled exits
 */
void svm_intercepts_changed(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 disabled = vcpu->vm->caps.disabled_exits;
	u32 debug = vcpu->guest_debug;
	bool debugging = debug & KVM_GUESTDBG_ENABLE;
	int i;

	for (i = 0; i < ARRAY_SIZE(svm_optional); i++)
		svm_set_if(svm, svm_optional[i].intercept, !(disabled & svm_optional[i].disabled_by));
	/* Without TSC offset in the guest's own CPUID there is nothing to emulate; RDTSCP faults if not offered. */
	svm_set_if(svm, ICPT_RDTSCP, !guest_has(vcpu, X86_FEATURE_RDTSCP));
	if (cpu_caps.has_invpcid)
		svm_set_if(svm, ICPT_INVPCID, !guest_has(vcpu, X86_FEATURE_INVPCID));
	/* The MSR filter may have changed. */
	svm_init_msrpm(svm);
	if (vcpu->nested.guest_mode) {
		svm->nested.merge_pending = true;
		vcpu_request(vcpu, REQ_NESTED);
	}
	svm_apic_changed(svm);
	/* For svm_handle_gp(). */
	svm_set_if(svm, ICPT_EXCEPTION + EXC_GP,
		   guest_has(vcpu, X86_FEATURE_SVM) && !boot_cpu_has(X86_FEATURE_SVME_ADDR_CHK));
	svm_set_if(svm, ICPT_EXCEPTION + EXC_BP, debugging && debug & KVM_GUESTDBG_USE_SW_BP);
	if (svm_features.pause_filter && !(disabled & KVM_X86_DISABLE_EXITS_PAUSE)) {
		svm->vmcb01->control.pause_filter_count = 3000;
		if (boot_cpu_has(X86_FEATURE_PFTHRESHOLD))
			svm->vmcb01->control.pause_filter_thresh = 128;
		svm_set_intercept(svm, ICPT_PAUSE);
	} else {
		svm_clear_intercept(svm, ICPT_PAUSE);
	}
}

void svm_root_changed(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb01->control.nested_cr3 = __sme_set(vcpu_root(vcpu)->pa);
	svm_dirty(svm, CLEAN_NPT);
}

int svm_vcpu_init(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb01 = svm_alloc_pages(0);
	svm->msrpm = svm_alloc_pages(MSRPM_ORDER);
	if (!svm->vmcb01 || !svm->msrpm) {
		svm_vcpu_destroy(vcpu);
		return -ENOMEM;
	}
	svm->vmcb01_pa = __sme_set(__pa(svm->vmcb01));
	svm->vmcb = svm->vmcb01;
	svm->vmcb_pa = svm->vmcb01_pa;
	svm->tsc_ratio = cpu_caps.tsc_ratio_default;
	svm_init_msrpm(svm);
	return 0;
}

void svm_vcpu_destroy(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	nested_svm_destroy(vcpu);
	svm_free_pages(svm->msrpm, MSRPM_ORDER);
	svm_free_pages(svm->vmcb01, 0);
	svm->msrpm = NULL;
	svm->vmcb = svm->vmcb01 = NULL;
}

void svm_vcpu_reset(struct vcpu *vcpu, bool init_event)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control *ctl = &svm->vmcb01->control;
	u64 tsc_offset = ctl->tsc_offset;
	int i;

	nested_svm_reset(vcpu, init_event);
	if (!init_event)
		memset(svm->vmcb, 0, sizeof(*svm->vmcb));
	svm->virq = false;
	svm->code[0].page = svm->code[1].page = ~0ull;
	svm->nmi_masked = false;
	svm->nmi_iret = false;
	svm->stepping = false;
	svm->soft_moved = false;

	memset(ctl->intercepts, 0, sizeof(ctl->intercepts));
	for (i = 0; i < ARRAY_SIZE(svm_always); i++)
		svm_set_intercept(svm, svm_always[i]);
	svm_intercept_drs(svm);
	ctl->iopm_base_pa = __sme_set(__pa(svm_iopm));
	ctl->msrpm_base_pa = __sme_set(__pa(svm->msrpm));
	ctl->tsc_offset = tsc_offset;
	ctl->int_ctl = INT_CTL_MASKING;
	ctl->int_state = 0;
	ctl->event_inj = 0;
	ctl->nested_ctl = NESTED_CTL_NP;
	ctl->asid = svm->asid;
	svm_root_changed(vcpu);
	ctl->clean = 0;
}
