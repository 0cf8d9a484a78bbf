// SPDX-License-Identifier: GPL-2.0
/*
 * Virtualization exceptions: violations of L1's EPT that L2 handles itself, if L1 lets it.
 *
 * SDM, Virtualization Exceptions. vmcs02 never enables them: what the CPU would convert are violations of shadow tables,
 * of which most are L0's to handle. The walk of L1's tables finds those that are L1's.
 */
#include "vmx/vmx.h"

/* SDM, Format of the Virtualization-Exception Information Area. Not zero in @busy: L2 has not handled the last one. */
struct ve_info {
	u32 reason;
	u32 busy;
	u64 qualification;
	u64 linear_address;
	u64 physical_address;
	u16 eptp_index;
} __packed;
static_assert(sizeof(struct ve_info) == 34 && offsetof(struct ve_info, busy) == 4);

#define VE_BUSY	0xffffffffu

/*
 * nested_vmx_converts - may the violation that nested.exit and @w tell of become an exception?
 *
 * SDM, Convertible EPT Violations: the entry that is not present, or that maps the page, says so; none that points to a
 * table does. Delivery of an event and real mode rule it out.
 */
bool nested_vmx_converts(struct vmx_vcpu *vmx, const struct nested_walk *w)
{
	struct vcpu *vcpu = &vmx->vcpu;

	if (likely(!nested_vmx_uses(vmx->nested.vmcs12, CPU2_VE)) || !w->level || w->entry[w->level] & EPT_SUPPRESS_VE)
		return false;
	vcpu_fetch(vcpu, REGS_CR0);
	return vcpu->regs.cr0 & X86_CR0_PE && !(vmx->nested.exit.vectoring & INTR_VALID);
}

/*
 * The information, and last that it is there: L2 may look at it from another CPU. 0; -EAGAIN; -EBUSY: what is there is in
 * use, or no memory.
 */
static int write_info(struct vcpu *vcpu, u64 area, const struct ve_info *info)
{
	const unsigned int rest = offsetof(struct ve_info, qualification);
	u32 busy, claimed = VE_BUSY;
	int r;

	r = vcpu_read_guest(vcpu, area + offsetof(struct ve_info, busy), &busy, sizeof(busy));
	if (!r && busy)
		return -EBUSY;
	r = r ?: vcpu_write_guest(vcpu, area, &info->reason, sizeof(info->reason));
	r = r ?: vcpu_write_guest(vcpu, area + rest, (const u8 *)info + rest, sizeof(*info) - rest);
	r = r ?: vcpu_cmpxchg_guest(vcpu, area + offsetof(struct ve_info, busy), &busy, &claimed, sizeof(claimed));
	return !r || r == -EAGAIN ? r : -EBUSY;
}

/* L2 goes on, in its handler. IRET of an NMI's handler had unblocked NMIs, and is not executed again. */
static void raise(struct vmx_vcpu *vmx)
{
	if (vmx->nested.exit.qualification & EPT_QUAL_NMI_UNBLOCKED)
		vmx_set_nmi_masked(&vmx->vcpu, false);
	vcpu_raise(&vmx->vcpu, EXC_VE);
}

/*
 * nested_vmx_violation - the convertible violation in nested.exit becomes an exception of L2's, or an exit
 *
 * What cannot be written in the burst is left to REQ_NESTED.
 */
void nested_vmx_violation(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct nested_exit *e = &nested->exit;
	const struct ve_info info = {
		.reason = e->reason,
		.qualification = e->qualification,
		.linear_address = e->gla,
		.physical_address = e->gpa,
		.eptp_index = nested->vmcs12->eptp_index,
	};
	int r = write_info(&vmx->vcpu, nested->vmcs12->ve_info, &info);

	nested->violation_waits = r == -EAGAIN;
	if (r == -EAGAIN)
		vcpu_request(&vmx->vcpu, REQ_NESTED);
	else if (r)
		nested_vmx_exit(vmx);
	else
		raise(vmx);
}
