// SPDX-License-Identifier: GPL-2.0
/*
 * The global interrupt flag of a guest hypervisor: a variable, or the CPU's virtual one.
 *
 * With the virtual flag STGI and CLGI of L1's do not exit. Interrupts find out by their window, which opens when GIF is set;
 * for anything else STGI is intercepted while it waits. An L2 never has the CPU's: GIF is 1 while it runs, and what it does
 * to the flag, if L1 lets it, exits. Where L1 gave it a virtual one, that is in vmcb12 and holds back nothing but L1's
 * virtual interrupt (APM volume 2, Virtual GIF).
 */
#include "irq/irq.h"
#include "svm/nested.h"

#define SX_INIT		1	/* error code of #SX: INIT was redirected */

static void put(struct svm_vcpu *svm, bool gif)
{
	struct vmcb_control *ctl = &svm->vmcb01->control;

	svm->nested.gif = gif;
	if (!svm->nested.vgif)
		return;
	ctl->int_ctl = (ctl->int_ctl & ~(u32)INT_CTL_GIF) | (gif ? INT_CTL_GIF : 0);
	ctl->clean &= ~CLEAN_INTR;
}

/* While L1 runs, or is about to. */
void nested_svm_set_gif(struct svm_vcpu *svm, bool gif)
{
	put(svm, gif);
	if (!gif)
		return;
	if (svm->nested.vgif)
		svm_clear_intercept(svm, ICPT_STGI);
	vcpu_request(&svm->vcpu, REQ_EVENT);
	/* These are taken outside of bursts. */
	if (svm->vcpu.events.smi_pending)
		vcpu_request(&svm->vcpu, REQ_SMI);
	if (lapic_latched_init(&svm->vcpu))
		vcpu_request(&svm->vcpu, REQ_KICK);
}

bool nested_svm_blocks_init(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm_gif_set(svm))
		return false;
	nested_svm_watch_gif(svm);
	return true;
}

/* The state-save area of a guest without long mode has no place for an L2. */
bool nested_svm_blocks_smi(struct vcpu *vcpu)
{
	return nested_svm_blocks_init(vcpu) || (vcpu->nested.guest_mode && !guest_has(vcpu, X86_FEATURE_LM));
}

/* APM volume 2, VM_CR MSR: #SX with error code 1 instead of INIT. */
bool nested_svm_redirect_init(struct vcpu *vcpu)
{
	if (!(to_svm(vcpu)->nested.vm_cr & VM_CR_R_INIT))
		return false;
	vcpu_raise_error(vcpu, EXC_SX, SX_INIT);
	return true;
}

/* Only a guest with EFER.SVME may execute them: for others they are undefined, and have to exit. */
void nested_svm_use_vgif(struct svm_vcpu *svm, bool use)
{
	struct vmcb_control *ctl = &svm->vmcb01->control;
	bool gif = svm_gif_set(svm);

	if (use == svm->nested.vgif)
		return;
	svm->nested.vgif = use;
	if (use) {
		ctl->int_ctl |= INT_CTL_GIF_ENABLE;
		svm_clear_intercept(svm, ICPT_STGI);
		svm_clear_intercept(svm, ICPT_CLGI);
	} else {
		ctl->int_ctl &= ~(u32)(INT_CTL_GIF_ENABLE | INT_CTL_GIF);
		svm_set_intercept(svm, ICPT_STGI);
		svm_set_intercept(svm, ICPT_CLGI);
	}
	put(svm, gif);
}

static bool l2_has_gif(struct svm_vcpu *svm)
{
	return svm->nested.vmcb12->control.int_ctl & INT_CTL_GIF_ENABLE && guest_has(&svm->vcpu, X86_FEATURE_VGIF);
}

/* While L2 runs. Its virtual interrupt is then in vmcb12 only. */
bool nested_svm_holds_virq(struct svm_vcpu *svm)
{
	return l2_has_gif(svm) && !(svm->nested.vmcb12->control.int_ctl & INT_CTL_GIF);
}

static void set_l2_gif(struct svm_vcpu *svm, bool gif)
{
	struct vmcb_control *ctl12 = &svm->nested.vmcb12->control;

	nested_svm_save_int_ctl(svm);
	ctl12->int_ctl = (ctl12->int_ctl & ~(u32)INT_CTL_GIF) | (gif ? INT_CTL_GIF : 0);
	if (!svm->nested.usurped)
		nested_svm_restore_int_ctl(svm);
}

/* STGI and CLGI, executed by whoever runs. */
void nested_svm_execute_gif(struct svm_vcpu *svm, bool gif)
{
	if (svm->vcpu.nested.guest_mode && l2_has_gif(svm))
		set_l2_gif(svm, gif);
	else
		nested_svm_set_gif(svm, gif);
}

/* Something waits for GIF that no interrupt window tells about. */
void nested_svm_watch_gif(struct svm_vcpu *svm)
{
	if (svm->nested.vgif && !svm->vcpu.nested.guest_mode && !svm_gif_set(svm))
		svm_set_intercept(svm, ICPT_STGI);
}
