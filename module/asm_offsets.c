// SPDX-License-Identifier: GPL-2.0
/* Offsets for the entry assembly; Kbuild turns this file into asm_offsets.h. */
#define COMPILE_OFFSETS

#include <linux/kbuild.h>

#include "svm/svm.h"
#include "vmx/vmx.h"

static void __used offsets(void)
{
	OFFSET(VCPU_GPR, vcpu, regs.gpr);
	OFFSET(SVM_VMCB_PA, svm_vcpu, vmcb_pa);
	OFFSET(SVM_SPEC_CTRL, svm_vcpu, vcpu.cpu_state.spec_ctrl);
}
