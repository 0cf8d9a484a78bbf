// SPDX-License-Identifier: GPL-2.0
/*
 * Nested SVM: memory and life.
 */
#include <linux/slab.h>

#include "check/check.h"
#include "svm/nested.h"

#define MSRPM_ORDER	1

/* May sleep. 0 or -ENOMEM. All or nothing: vmcb02 says that the others are there. */
int nested_svm_prepare(struct svm_vcpu *svm)
{
	struct svm_nested *n = &svm->nested;

	n->vmcb12 = svm_alloc_pages(0);
	n->msrpm02 = svm_alloc_pages(MSRPM_ORDER);
	n->check = kmalloc(sizeof(*n->check), GFP_KERNEL_ACCOUNT);
	n->vmcb02 = svm_alloc_pages(0);
	if (!n->vmcb12 || !n->msrpm02 || !n->check || !n->vmcb02) {
		nested_svm_destroy(&svm->vcpu);
		return -ENOMEM;
	}
	n->vmcb02_pa = __sme_set(__pa(n->vmcb02));
	n->msrpm_generation = ~0ull;
	return 0;
}

void nested_svm_destroy(struct vcpu *vcpu)
{
	struct svm_nested *n = &to_svm(vcpu)->nested;

	svm_free_pages(n->vmcb12, 0);
	svm_free_pages(n->vmcb02, 0);
	svm_free_pages(n->msrpm02, MSRPM_ORDER);
	kfree(n->check);
	n->vmcb12 = n->vmcb02 = NULL;
	n->msrpm02 = NULL;
	n->check = NULL;
}

/* APM volume 2, Processor Initialization State. INIT leaves VM_HSAVE_PA and VM_CR alone. */
void nested_svm_reset(struct vcpu *vcpu, bool init_event)
{
	struct svm_nested *n = &to_svm(vcpu)->nested;

	nested_svm_leave(vcpu);
	/* EFER, which says whether there is a virtual flag, is reset as well. */
	nested_svm_use_vgif(to_svm(vcpu), false);
	n->gif = true;
	n->unwritten = false;
	if (!init_event)
		n->hsave_pa = n->vm_cr = 0;
}

const struct nested_ops svm_nested_ops = {
	.decode = nested_svm_decode,
	.intercepts = nested_svm_intercepts,
	.reflect = nested_svm_reflect,
	.reflect_walk = nested_svm_reflect_walk,
	.insn = nested_svm_intercepts_insn,
	.reflect_insn = nested_svm_reflect_insn,
	.blocks_init = nested_svm_blocks_init,
	.redirect_init = nested_svm_redirect_init,
	.blocks_smi = nested_svm_blocks_smi,
	.smm_enter = nested_svm_smm_enter,
	.smm_leave = nested_svm_smm_leave,
	.l1_pat = nested_svm_l1_pat,
	.after_flush = nested_svm_after_flush,
	.sync = nested_svm_sync,
	.leave = nested_svm_leave,
	.get_state = nested_svm_get_state,
	.set_state = nested_svm_set_state,
};
