// SPDX-License-Identifier: GPL-2.0
/*
 * Nested VMX of a vCPU: lifecycle, L1's second-level tables, and the state that user space saves and restores.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "pv/hyperv.h"
#include "vmx/vmx.h"

void nested_vmx_vcpu_init(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;

	nested_vmx_caps_init(vmx);
	nested_vmx_idle_init(nested);
	nested->vmxon_pointer = NO_VMCS;
	nested->current_vmcs = NO_VMCS;
	nested->evmcs = NO_VMCS;
}

/* 0 or -ENOMEM. May sleep, unless it was done before. */
int nested_vmx_alloc(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	int err;

	nested->caps_stale = true;
	if (nested->vmcs12)
		return 0;
	err = vmx_vmcs_init(&vmx->vmcs02);
	if (err)
		return err;
	memset(vmx->vmcs02.msr_bitmap, 0xff, PAGE_SIZE);
	err = nested_vmx_shadowing_init(nested) ?: nested_vmx_apic_init(nested);
	nested->check = kzalloc(sizeof(*nested->check), GFP_KERNEL_ACCOUNT);
	nested->vmcs12 = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	nested->evmcs_copy = kzalloc(sizeof(*nested->evmcs_copy), GFP_KERNEL_ACCOUNT);
	if (!err && nested->check && nested->vmcs12 && nested->evmcs_copy)
		return 0;
	nested_vmx_vcpu_destroy(vmx);
	return -ENOMEM;
}

void nested_vmx_vcpu_destroy(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;

	hrtimer_cancel(&nested->idle_timer);
	vmx_vmcs_free(&vmx->vmcs02);
	nested_vmx_shadowing_free(nested);
	nested_vmx_apic_free(nested);
	kfree(nested->check);
	free_page((unsigned long)nested->vmcs12);
	kfree(nested->evmcs_copy);
	nested->check = NULL;
	nested->vmcs12 = NULL;
	nested->evmcs_copy = NULL;
}

/* As if L1 had never executed VMXON: its VMCSs stay in its memory as they were written last. */
void nested_vmx_vcpu_reset(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;

	nested_vmx_leave(&vmx->vcpu);
	nested->smm_vmxon = nested->smm_guest_mode = false;
	nested_vmx_set_operation(vmx, false);
	nested->vmxon_pointer = NO_VMCS;
	nested->current_vmcs = NO_VMCS;
	nested_vmx_evmcs_release(nested);
	nested_vmx_shadowing_update(vmx);
	if (vmx->vcpu.hv)
		hv_enter_l2(&vmx->vcpu, false, 0);
}

/* An entry that L1 has made comes first: vmcs12 says what it delivers. */
bool nested_vmx_blocks_smi(struct vcpu *vcpu)
{
	return vcpu->nested.guest_mode && to_vmx(vcpu)->nested.run_pending;
}

/**
 * nested_vmx_smm_enter - SMM begins: SDM, Default Treatment of SMIs and RSM
 * @vcpu: the vCPU, outside a burst
 * @vmcb: unused: vmcs12 stays where it is
 */
int nested_vmx_smm_enter(struct vcpu *vcpu, u64 *vmcb)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;

	nested->smm_vmxon = nested->vmxon;
	nested->smm_guest_mode = vcpu->nested.guest_mode;
	nested_vmx_set_operation(vmx, false);
	if (nested->smm_guest_mode) {
		nested_vmx_apic_store(vmx);
		nested_vmx_save_guest(vmx);
		nested_vmx_leave(vcpu);
		/* While no L2 runs L1's memory is what counts, for KVM_GET_NESTED_STATE, too. */
		nested_vmx_evmcs_store(vcpu);
	}
	nested_vmx_shadowing_update(vmx);
	return 0;
}

/**
 * nested_vmx_smm_leave - RSM
 * @vcpu: the vCPU, outside a burst
 * @vmcb: unused
 */
int nested_vmx_smm_leave(struct vcpu *vcpu, const u64 *vmcb)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	bool guest_mode = nested->smm_guest_mode;

	nested_vmx_set_operation(vmx, nested->smm_vmxon);
	nested->smm_vmxon = nested->smm_guest_mode = false;
	nested_vmx_shadowing_update(vmx);
	/* In SMM nobody could look for it. */
	if (nested->evmcs_restored)
		vcpu_request(vcpu, REQ_NESTED);
	if (!guest_mode)
		return 0;
	nested->rsm_pending = true;
	return nested_vmx_resume_l2(vcpu);
}

/*
 * Upstream keeps a copy of L1's shadow VMCS while L2 runs, and has it in the state. Ours is always in L1's memory, from
 * where the state gets it and to where it goes.
 */
static bool has_shadow_vmcs(const struct vmcs12 *v)
{
	return nested_vmx_uses(v, CPU2_VMCS_SHADOWING) && v->link_pointer != NO_VMCS;
}

static int copy_shadow_vmcs(struct vcpu *vcpu, struct kvm_nested_state __user *user, bool save)
{
	u64 gpa = to_vmx(vcpu)->nested.vmcs12->link_pointer;
	void __user *state = (void __user *)&user->data + VMCS12_SIZE;
	struct vmcs12 *page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!page)
		return -ENOMEM;
	/* Where no memory is nothing was lost. */
	if (save)
		vcpu_read_guest(vcpu, gpa, page, VMCS12_SIZE);
	if (save ? copy_to_user(state, page, VMCS12_SIZE) : copy_from_user(page, state, VMCS12_SIZE))
		err = -EFAULT;
	else if (!save && page->revision != (VMCS12_REVISION | VMCS12_SHADOW))
		err = -EINVAL;
	else if (!save)
		vcpu_write_guest(vcpu, gpa, page, VMCS12_SIZE);
	free_page((unsigned long)page);
	return err;
}

/* Where the current VMCS is also kept elsewhere: vmcs12 as it is now. */
static void update_vmcs12(struct vmx_vcpu *vmx)
{
	nested_vmx_apic_store(vmx);
	if (!vmx->vcpu.nested.guest_mode) {
		nested_vmx_shadowing_read(vmx);
		nested_vmx_evmcs_reload(&vmx->vcpu);
	} else if (!vmx->nested.run_pending) {
		nested_vmx_save_guest(vmx);
	}
}

/**
 * nested_vmx_get_state - KVM_GET_NESTED_STATE
 * @vcpu: the vCPU; NULL: any
 * @user: where to
 * @size: room there
 *
 * Return: bytes of the state, of any vCPU the most that there can be; those that fit into @size were written if all do. -EFAULT.
 */
long nested_vmx_get_state(struct vcpu *vcpu, struct kvm_nested_state __user *user, u32 size)
{
	struct vmx_vcpu *vmx;
	struct nested_vmx *nested;
	bool has_data, shadow;
	int err;
	struct kvm_nested_state head = {
		.format = KVM_STATE_NESTED_FORMAT_VMX,
		.size = sizeof(head),
		.hdr.vmx.vmxon_pa = NO_VMCS,
		.hdr.vmx.vmcs12_pa = NO_VMCS,
	};

	if (!vcpu)
		return sizeof(head) + sizeof(user->data.vmx[0]);
	vmx = to_vmx(vcpu);
	nested = &vmx->nested;
	if (nested->smm_vmxon)
		head.hdr.vmx.smm.flags = KVM_STATE_NESTED_SMM_VMXON |
					 (nested->smm_guest_mode ? KVM_STATE_NESTED_SMM_GUEST_MODE : 0);
	if (nested->vmxon || nested->smm_vmxon) {
		head.hdr.vmx.vmxon_pa = nested->vmxon_pointer;
		head.hdr.vmx.vmcs12_pa = nested->current_vmcs;
	}
	has_data = nested->current_vmcs != NO_VMCS || nested_vmx_evmcs_is_set(nested);
	if (has_data)
		head.size += sizeof(user->data.vmx->vmcs12);
	if (vcpu->nested.guest_mode) {
		head.flags = KVM_STATE_NESTED_GUEST_MODE;
		if (nested->run_pending)
			head.flags |= KVM_STATE_NESTED_RUN_PENDING;
		if (vcpu->nested.stepped)
			head.flags |= KVM_STATE_NESTED_MTF_PENDING;
	}
	if (nested_vmx_evmcs_is_set(nested))
		head.flags |= KVM_STATE_NESTED_EVMCS;
	/* It goes on counting in SMM. */
	if ((vcpu->nested.guest_mode || nested->smm_guest_mode) && nested->vmcs12->pin_controls & PIN_PREEMPTION_TIMER) {
		head.hdr.vmx.flags |= KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE;
		head.hdr.vmx.preemption_timer_deadline = nested->timer_deadline;
	}
	shadow = vcpu->nested.guest_mode && has_shadow_vmcs(nested->vmcs12);
	if (shadow)
		head.size += sizeof(user->data.vmx->shadow_vmcs12);
	if (size < head.size)
		return head.size;
	if (copy_to_user(user, &head, sizeof(head)))
		return -EFAULT;
	if (!has_data)
		return head.size;
	update_vmcs12(vmx);
	if (copy_to_user(&user->data, nested->vmcs12, PAGE_SIZE))
		return -EFAULT;
	if (shadow) {
		err = copy_shadow_vmcs(vcpu, user, true);
		if (err)
			return err;
	}
	return head.size;
}

static bool page_ok(struct vcpu *vcpu, u64 address)
{
	return PAGE_ALIGNED(address) && !(address >> vcpu->cpu_state.maxphyaddr);
}

/* L2 runs, says user space. 0 or -errno */
static int restore_l2(struct vcpu *vcpu, struct kvm_nested_state __user *user, const struct kvm_nested_state *head)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	int err;

	if (nested->vmcs12->revision & VMCS12_SHADOW)
		return -EINVAL;
	if (has_shadow_vmcs(nested->vmcs12)) {
		if (head->size < sizeof(*head) + 2 * VMCS12_SIZE || !page_ok(vcpu, nested->vmcs12->link_pointer))
			return -EINVAL;
		err = copy_shadow_vmcs(vcpu, user, false);
		if (err)
			return err;
	}
	nested->run_pending = head->flags & KVM_STATE_NESTED_RUN_PENDING;
	nested_vmx_start_timer(to_vmx(vcpu));
	err = nested_vmx_resume_l2(vcpu);
	if (err)
		nested->run_pending = false;
	vcpu->nested.stepped = !err && head->flags & KVM_STATE_NESTED_MTF_PENDING;
	vcpu_request(vcpu, REQ_EVENT);
	return err;
}

/* The state has a VMCS, of VMPTRLD's or an enlightened one. */
static bool has_vmcs12(const struct kvm_nested_state *head)
{
	return head->hdr.vmx.vmcs12_pa != NO_VMCS || head->flags & KVM_STATE_NESTED_EVMCS;
}

/* SMM is no VMX operation: what RSM goes back to is all that there can be. */
static bool smm_flags_ok(struct vcpu *vcpu, const struct kvm_nested_state *head)
{
	u16 flags = head->hdr.vmx.smm.flags;

	if (flags & ~(KVM_STATE_NESTED_SMM_GUEST_MODE | KVM_STATE_NESTED_SMM_VMXON))
		return false;
	if (flags & KVM_STATE_NESTED_SMM_GUEST_MODE &&
	    (!(flags & KVM_STATE_NESTED_SMM_VMXON) || !has_vmcs12(head)))
		return false;
	if (vcpu->events.in_smm)
		return !(head->flags & (KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING));
	return !flags;
}

/* What upstream refuses: it is the same structure. */
static bool head_ok(struct vcpu *vcpu, const struct kvm_nested_state *head)
{
	const struct kvm_vmx_nested_state_hdr *h = &head->hdr.vmx;
	bool guest_mode = head->flags & KVM_STATE_NESTED_GUEST_MODE;

	if (head->format != KVM_STATE_NESTED_FORMAT_VMX || !smm_flags_ok(vcpu, head) ||
	    h->flags & ~KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE)
		return false;
	if (head->flags & KVM_STATE_NESTED_EVMCS && (!guest_has(vcpu, X86_FEATURE_VMX) || !vcpu->nested.evmcs))
		return false;
	/* Once the flag was how enlightened VMCSs were enabled. */
	if (h->vmxon_pa == NO_VMCS)
		return h->vmcs12_pa == NO_VMCS && !(head->flags & ~KVM_STATE_NESTED_EVMCS) && !h->smm.flags;
	if (!guest_has(vcpu, X86_FEATURE_VMX) || !page_ok(vcpu, h->vmxon_pa))
		return false;
	if (head->size < sizeof(*head) + VMCS12_SIZE)
		return !guest_mode && !has_vmcs12(head);
	if (h->vmcs12_pa == NO_VMCS)
		return has_vmcs12(head);
	return h->vmcs12_pa != h->vmxon_pa && page_ok(vcpu, h->vmcs12_pa);
}

/**
 * nested_vmx_set_state - KVM_SET_NESTED_STATE
 * @vcpu: the vCPU
 * @user: the state
 * @head: a copy of its header
 *
 * Return: 0, -EINVAL, -EFAULT, -ENOMEM.
 */
int nested_vmx_set_state(struct vcpu *vcpu, struct kvm_nested_state __user *user, const struct kvm_nested_state *head)
{
	const struct kvm_vmx_nested_state_hdr *h = &head->hdr.vmx;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	int err;

	if (!head_ok(vcpu, head))
		return -EINVAL;
	nested_vmx_vcpu_reset(vmx);
	if (h->vmxon_pa == NO_VMCS)
		return 0;
	err = nested_vmx_alloc(vmx);
	if (err)
		return err;
	nested->smm_vmxon = h->smm.flags & KVM_STATE_NESTED_SMM_VMXON;
	nested->smm_guest_mode = h->smm.flags & KVM_STATE_NESTED_SMM_GUEST_MODE;
	nested_vmx_set_operation(vmx, !nested->smm_vmxon);
	nested->vmxon_pointer = h->vmxon_pa;
	if (!has_vmcs12(head))
		return 0;
	if (copy_from_user(nested->vmcs12, &user->data, PAGE_SIZE))
		return -EFAULT;
	if (!nested_vmx_revision_ok(nested, nested->vmcs12->revision))
		return -EINVAL;
	nested_vmx_set_vmcs12(vmx, h->vmcs12_pa);
	if (h->vmcs12_pa == NO_VMCS) {
		nested->evmcs_restored = true;
		vcpu_request(vcpu, REQ_NESTED);
	}
	if (head->flags & KVM_STATE_NESTED_GUEST_MODE)
		err = restore_l2(vcpu, user, head);
	if (!err && h->flags & KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE)
		nested->timer_deadline = h->preemption_timer_deadline;
	return err;
}

/* SDM, Restrictions on VMX Operation, and of L2's in an unrestricted guest. */
bool nested_vmx_cr0_valid(struct vcpu *vcpu, u64 cr0)
{
	const struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u64 fixed = nested->caps.cr0_fixed0;

	if (vcpu->nested.guest_mode && nested_vmx_uses(nested->vmcs12, CPU2_UNRESTRICTED_GUEST))
		fixed &= ~(u64)(X86_CR0_PE | X86_CR0_PG);
	return !(fixed & ~cr0);
}

bool nested_vmx_cr4_valid(struct vcpu *vcpu, u64 cr4)
{
	return !(to_vmx(vcpu)->nested.caps.cr4_fixed0 & ~cr4);
}
