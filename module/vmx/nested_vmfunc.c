// SPDX-License-Identifier: GPL-2.0
/*
 * VM functions of L2's.
 *
 * SDM, VM Functions. L2 has the instruction where L1 lets it, but vmcs02 enables none of the functions: each exits and is
 * done here, with L1's controls and in L1's memory. L1 itself has no VM functions.
 */
#include "vmx/vmx.h"

enum { VMFUNC_EPTP = 0, VMFUNC_MAX = 63 };

#define EPTP_LIST_ENTRIES	512

/* 0; -EAGAIN; -EINVAL: it is none that VM entry would take. */
static int read_eptp(struct vcpu *vcpu, u32 index, u64 *eptp)
{
	u64 gpa = to_vmx(vcpu)->nested.vmcs12->eptp_list + index * sizeof(*eptp);
	int err = vcpu_read_guest(vcpu, gpa, eptp, sizeof(*eptp));

	if (err)
		return err == -EAGAIN ? err : -EINVAL;
	return nested_vmx_eptp_valid(vcpu, *eptp) ? 0 : -EINVAL;
}

/*
 * SDM, EPTP Switching: the register is ECX. Translations are kept apart by EPTP, so none is flushed.
 * 0; -EINVAL: L1 gets an exit; -EAGAIN: not in a burst; -ENOMEM.
 */
static int switch_eptp(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	struct vcpu *vcpu = &vmx->vcpu;
	u32 index = vcpu->regs.gpr[GPR_RCX];
	struct shadow_root *root;
	struct shadow_key key;
	u64 eptp;
	int err;

	if (index >= EPTP_LIST_ENTRIES)
		return -EINVAL;
	index = array_index_nospec(index, EPTP_LIST_ENTRIES);
	err = read_eptp(vcpu, index, &eptp);
	if (err)
		return err;
	nested_vmx_ept_key(vcpu, eptp, &key);
	root = shadow_root(vcpu, &key);
	if (!root)
		return vcpu->in_burst ? -EAGAIN : -ENOMEM;
	nested->vmcs12->eptp = eptp;
	__set_bit(V12_eptp, nested->stale);
	if (nested_vmx_offers(nested, NESTED_CPU2, CPU2_VE))
		nested->vmcs12->eptp_index = index;
	nested_vmx_use_tables(vcpu, root);
	nested_vmx_update_controls(vmx);
	return 0;
}

/*
 * nested_vmx_handle_vmfunc - VMFUNC, by L2 of an L1 that enables VM functions
 */
int nested_vmx_handle_vmfunc(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct vmcs12 *v = vmx->nested.vmcs12;
	u32 function = vcpu->regs.gpr[GPR_RAX];
	int r = -EINVAL;

	/* The CPU has found the same. */
	if (!vcpu->nested.guest_mode || !nested_vmx_uses(v, CPU2_VMFUNC) || function > VMFUNC_MAX) {
		vcpu_raise(vcpu, EXC_UD);
		return RUN_GUEST;
	}
	if (v->vmfunc_controls & BIT_ULL(function) && function == VMFUNC_EPTP)
		r = switch_eptp(vmx);
	switch (r) {
	case 0:
		return vmx_skip_instruction(vcpu);
	case -EINVAL:
		nested_vmx_reflect_exit(vmx);
		return RUN_GUEST;
	case -EAGAIN:
		return RUN_SLOW;
	default:
		return r;
	}
}
