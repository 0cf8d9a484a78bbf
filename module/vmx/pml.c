// SPDX-License-Identifier: GPL-2.0
/*
 * Page-modification logging: the CPU writes down the frames in whose leaves it sets the dirty bit.
 *
 * SDM, Page-Modification Logging. Every vCPU has it on, for leaves are made with their dirty bit set unless their slot is
 * logged. What was written down in a burst is in the dirty log when the burst has ended, so nobody else need know of it.
 */
#include <linux/gfp.h>
#include <linux/module.h>

#include "vmx/vmx.h"

#define PML_ENTRIES	(PAGE_SIZE / sizeof(u64))

static bool pml = true;
module_param(pml, bool, 0444);
MODULE_PARM_DESC(pml, "Let the CPU log writes of guests for the dirty log, where it can (default: on)");

void vmx_pml_setup(void)
{
	tdp_format.log = pml && tdp_format.dirty && vmx_caps.cpu2_allowed & CPU2_PML;
}

int vmx_pml_vcpu_init(struct vmx_vcpu *vmx)
{
	if (!tdp_format.log)
		return 0;
	vmx->pml = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vmx->pml ? 0 : -ENOMEM;
}

void vmx_pml_vcpu_destroy(struct vmx_vcpu *vmx)
{
	free_page((unsigned long)vmx->pml);
	vmx->pml = NULL;
}

void vmx_pml_write_constants(struct vmx_vcpu *vmx)
{
	if (!vmx->pml)
		return;
	vmwrite64(VMCS_PML_ADDRESS, __pa(vmx->pml));
	vmwrite16(VMCS_GUEST_PML_INDEX, PML_ENTRIES - 1);
}

/*
 * What the CPU has written down goes to the dirty log; the VMCS is loaded.
 *
 * It writes from the end to the beginning: the index is that of the next entry, and wraps when there is none.
 */
static noinline void collect(struct vmx_vcpu *vmx)
{
	u16 index, first;

	index = vmread16(VMCS_GUEST_PML_INDEX);
	if (index == PML_ENTRIES - 1)
		return;
	first = index < PML_ENTRIES ? index + 1 : 0;
	vcpu_mark_logged(&vmx->vcpu, vmx->pml + first, PML_ENTRIES - first);
	vmwrite16(VMCS_GUEST_PML_INDEX, PML_ENTRIES - 1);
}

/*
 * vmx_pml_collect - before the VMCS is left, in the burst
 */
void vmx_pml_collect(struct vmx_vcpu *vmx)
{
	if (vmx->pml && unlikely(vm_logs_writes(vmx->vcpu.vm)))
		collect(vmx);
}

int vmx_handle_pml_full(struct vcpu *vcpu)
{
	collect(to_vmx(vcpu));
	return RUN_GUEST;
}
