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
	OFFSET(SVM_VMCB01_PA, svm_vcpu, vmcb01_pa);
	OFFSET(SVM_SPEC_CTRL, svm_vcpu, vcpu.cpu_state.spec_ctrl);
	OFFSET(VMX_HOST_RSP, vmx_vcpu, host_rsp);
	OFFSET(VMX_SPEC_CTRL, vmx_vcpu, vcpu.cpu_state.spec_ctrl);
	DEFINE(VMX_FIELD_HOST_RSP, VMCS_HOST_RSP.encoding);
	DEFINE(VMX_RUN_RESUME, VMX_RUN_RESUME);
	DEFINE(VMX_RUN_SAVE_SPEC_CTRL, VMX_RUN_SAVE_SPEC_CTRL);
	DEFINE(VMX_RUN_VERW, VMX_RUN_VERW);
	DEFINE(VMX_RUN_VMFAIL, VMX_RUN_VMFAIL);
	DEFINE(VMX_RUN_FAULT, VMX_RUN_FAULT);
}
