// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE, in upstream's layout: after the header a VMCB whose control area is what L1
 * wrote for L2, and whose save area is what L1 goes on with. L2's own registers are those that the other ioctls have.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cpu/control.h"
#include "svm/nested.h"

/* The header as it is now. */
#define svm_hdr(head)	((struct nestor_svm_nested_state_hdr *)&(head)->hdr)
static_assert(sizeof(struct nestor_svm_nested_state_hdr) <= sizeof_field(struct kvm_nested_state, hdr));

#define STATE_SIZE	(sizeof(struct kvm_nested_state) + KVM_STATE_NESTED_SVM_VMCB_SIZE)
static_assert(sizeof(struct vmcb) <= KVM_STATE_NESTED_SVM_VMCB_SIZE);

/*
 * What the CPU saved at L2's last exit, or would have: the exits that reach user space are of instructions that have been
 * retired, but for I/O, which says where it goes on.
 */
static u64 saved_next_rip(struct svm_vcpu *svm)
{
	const struct vmcb_control *ctl = &svm->vmcb->control;

	if (!nested_svm_tells_next_rip(svm, ctl->exit_code))
		return 0;
	if (svm_features.nrips)
		return ctl->next_rip;
	return ctl->exit_code == SVM_EXIT_IOIO ? ctl->exit_info_2 : vcpu_rip(&svm->vcpu);
}

/*
 * A software event that L1 injects is not in KVM_GET_VCPU_EVENTS, which has no room for the address that it pushes: it goes
 * back to where VMRUN found it.
 */
static void fill_vmcb(struct svm_vcpu *svm, struct vmcb *out, u16 *flags)
{
	struct vcpu *vcpu = &svm->vcpu;

	svm_flush_regs(svm);
	out->control = svm->nested.vmcb12->control;
	out->control.int_ctl = nested_svm_int_ctl(svm);
	out->control.int_state = svm->vmcb->control.int_state;
	out->control.next_rip = saved_next_rip(svm);
	if (svm->nested.soft_from_l1) {
		out->control.event_inj = nested_svm_event_info(vcpu, &out->control.event_inj_err);
		out->control.next_rip = svm->nested.soft_next_rip;
		*flags |= KVM_STATE_NESTED_RUN_PENDING;
	}
	out->save = svm->vmcb01->save;
	out->save.cr0 |= svm->nested.cr0_cache_bits;
}

static int put_vmcb(struct svm_vcpu *svm, struct kvm_nested_state __user *user, u16 *flags)
{
	struct vmcb *vmcb = kzalloc(sizeof(*vmcb), GFP_KERNEL_ACCOUNT);
	int r = 0;

	if (!vmcb)
		return -ENOMEM;
	fill_vmcb(svm, vmcb, flags);
	if (copy_to_user(&user->data, vmcb, sizeof(*vmcb)))
		r = -EFAULT;
	kfree(vmcb);
	return r;
}

/* What an exit to L1 could not write yet belongs to the memory that user space is about to save. */
static void write_rest(struct vcpu *vcpu)
{
	if (to_svm(vcpu)->nested.unwritten)
		nested_svm_sync(vcpu);
}

long nested_svm_get_state(struct vcpu *vcpu, struct kvm_nested_state __user *user, u32 size)
{
	struct kvm_nested_state head = { .format = KVM_STATE_NESTED_FORMAT_SVM, .size = sizeof(head) };
	struct svm_vcpu *svm;
	int r;

	if (!vcpu)
		return STATE_SIZE;
	svm = to_svm(vcpu);
	write_rest(vcpu);
	if (vcpu->nested.guest_mode) {
		head.size = STATE_SIZE;
		head.flags = KVM_STATE_NESTED_GUEST_MODE;
		head.hdr.svm.vmcb_pa = svm->nested.vmcb12_gpa;
	}
	if (size < head.size)
		return head.size;
	if (svm_gif_set(svm))
		head.flags |= KVM_STATE_NESTED_GIF_SET;
	if (vcpu->nested.guest_mode) {
		r = put_vmcb(svm, user, &head.flags);
		if (r)
			return r;
		if (svm->nested.own_pat)
			svm_hdr(&head)->gpat = svm->vmcb->save.g_pat;
	}
	return copy_to_user(user, &head, sizeof(head)) ? -EFAULT : head.size;
}

/*
 * L1's state, and the controls that it runs L2 with. VMRUN was executed in protected mode with paging, by a CPU with SVM;
 * the exit from L2 makes a state of what it saved that the CPU has to accept. Not of the event, which is L2's, nor of
 * G_PAT, which #VMEXIT does not load.
 */
static bool l1_valid(struct svm_vcpu *svm, struct vmcb *l1, u64 gpa1)
{
	const struct vmcb_save *save = &l1->save;

	if (!(save->cr0 & X86_CR0_PG) || !(save->cr0 & X86_CR0_PE) || save->rflags & X86_EFLAGS_VM)
		return false;
	if (save->efer & EFER_LMA && !(save->efer & EFER_LME))
		return false;
	l1->control.event_inj = 0;
	l1->save.g_pat = svm->vmcb01->save.g_pat;
	return nested_svm_check(svm, l1, gpa1);
}

/* The registers that are there are L2's; into vmcb02 with them. */
static void move_l2(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	vcpu_fetch(vcpu, REGS_ALL);
	svm_flush_regs(svm);
	svm->vmcb->save.rax = vcpu->regs.gpr[GPR_RAX];
	svm->vmcb->save.efer = vcpu->regs.efer;
	if (!vcpu->nested.guest_mode)
		svm->nested.vmcb02->save = svm->vmcb01->save;
}

/* What VMRUN saves of the host, from the structure of user space. */
static void put_l1(struct svm_vcpu *svm, const struct vmcb_save *from)
{
	struct vmcb_save *to = &svm->vmcb01->save;

	to->es = from->es;
	to->cs = from->cs;
	to->ss = from->ss;
	to->ds = from->ds;
	to->gdtr = from->gdtr;
	to->idtr = from->idtr;
	to->efer = from->efer;
	to->cr0 = (from->cr0 & ~(u64)CR0_CACHE_BITS) | X86_CR0_ET;
	to->cr3 = from->cr3;
	to->cr4 = from->cr4;
	to->rflags = from->rflags | X86_EFLAGS_FIXED;
	to->rip = from->rip;
	to->rsp = from->rsp;
	to->rax = from->rax;
	to->cpl = 0;
	svm->nested.cr0_cache_bits = from->cr0 & CR0_CACHE_BITS;
}

/* @l2: its controls, and its registers. Would VMRUN have accepted it? @l1: the controls with L1's registers; changed. */
static int adopt(struct svm_vcpu *svm, const struct vmcb *l2, struct vmcb *l1, u64 gpa1)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct shadow_root *root;
	struct shadow_key key;

	if (!l1_valid(svm, l1, gpa1) || !nested_svm_check(svm, l2, gpa1))
		return -EINVAL;
	*svm->nested.vmcb12 = *l2;
	if (nested_svm_enlighten(svm))
		return -EINVAL;
	put_l1(svm, &l1->save);
	nested_svm_key(svm, &key);
	root = shadow_root(vcpu, &key);
	if (!root)
		return -ENOMEM;
	/* Until the map is merged everything is intercepted. */
	memset(svm->nested.msrpm02, 0xff, 2 * PAGE_SIZE);
	svm->nested.msrpm_generation = ~0ull;
	svm->nested.vmcb02->control.msrpm_base_pa = __sme_set(__pa(svm->nested.msrpm02));
	svm->nested.merge_pending = true;
	vcpu_request(vcpu, REQ_NESTED);
	nested_svm_switch_to_l2(svm, root, gpa1);
	if (svm->nested.own_pat)
		svm->vmcb->save.g_pat = l2->save.g_pat;
	root->flush = true;
	if (l2->control.event_inj & EVENT_VALID)
		nested_svm_take_event(svm);
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

static int set_guest_mode(struct svm_vcpu *svm, struct kvm_nested_state __user *user,
			  const struct kvm_nested_state *head)
{
	struct vmcb *from, *l2;
	int r = -ENOMEM;

	if (!nested_svm_address_valid(svm, head->hdr.svm.vmcb_pa) || head->size < STATE_SIZE)
		return -EINVAL;
	if (!svm->nested.vmcb02 && nested_svm_prepare(svm))
		return -ENOMEM;
	from = memdup_user(&user->data, sizeof(*from));
	if (IS_ERR(from))
		return PTR_ERR(from);
	l2 = kmemdup(from, sizeof(*from), GFP_KERNEL_ACCOUNT);
	if (l2) {
		move_l2(svm);
		l2->save = svm->nested.vmcb02->save;
		l2->save.cr0 |= svm->vcpu.regs.cr0 & CR0_CACHE_BITS;
		if (nested_svm_wants_own_pat(svm, l2))
			l2->save.g_pat = svm_hdr(head)->gpat;
		r = adopt(svm, l2, from, head->hdr.svm.vmcb_pa);
		if (!r)
			svm->nested.gif = head->flags & KVM_STATE_NESTED_GIF_SET;
	}
	kfree(l2);
	kfree(from);
	return r;
}

int nested_svm_set_state(struct vcpu *vcpu, struct kvm_nested_state __user *user, const struct kvm_nested_state *head)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (head->format != KVM_STATE_NESTED_FORMAT_SVM ||
	    head->flags & ~(KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING | KVM_STATE_NESTED_GIF_SET))
		return -EINVAL;
	/* The handler of an SMI runs without SVM, unless it enables it; VMRUN is none of its instructions (see there). */
	if (vcpu->events.in_smm && head->flags & KVM_STATE_NESTED_GUEST_MODE)
		return -EINVAL;
	/* Without SVM there is no state but GIF. */
	if (!(vcpu->regs.efer & EFER_SVME) && head->flags && head->flags != KVM_STATE_NESTED_GIF_SET)
		return -EINVAL;
	if (head->flags & KVM_STATE_NESTED_GUEST_MODE)
		return set_guest_mode(svm, user, head);
	nested_svm_leave(vcpu);
	nested_svm_set_gif(svm, head->flags & KVM_STATE_NESTED_GIF_SET);
	return 0;
}

/* Where upstream keeps L1's state in the page at VM_HSAVE_PA. */
#define HSAVE_L1	0x400

/**
 * nested_svm_smm_enter - SMM begins
 * @vcpu: the vCPU, outside a burst
 * @vmcb: out: gpa1 of vmcb12, if L2 runs
 *
 * APM volume 2, SMM Support for SVM. The handler runs on vmcb01: what that holds for L1 goes where VMRUN may keep it.
 *
 * Return: 1 if L2 runs, 0, -ENOMEM, -EFAULT.
 */
int nested_svm_smm_enter(struct vcpu *vcpu, u64 *vmcb)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save *l1;
	int r;

	if (!vcpu->nested.guest_mode)
		return 0;
	*vmcb = svm->nested.vmcb12_gpa;
	nested_svm_exit(svm, SVM_EXIT_SMI, 0, 0);
	l1 = kmemdup(&svm->vmcb01->save, sizeof(*l1), GFP_KERNEL_ACCOUNT);
	if (!l1)
		return -ENOMEM;
	l1->cr0 |= svm->nested.cr0_cache_bits;
	r = vcpu_write_guest(vcpu, svm->nested.hsave_pa + HSAVE_L1, l1, sizeof(*l1));
	kfree(l1);
	return r ?: 1;
}

/**
 * nested_svm_smm_leave - RSM
 * @vcpu: the vCPU, outside a burst
 * @vmcb: gpa1 of vmcb12, from SMRAM; NULL: L2 did not run
 *
 * All of it is memory that the guest may have changed.
 */
int nested_svm_smm_leave(struct vcpu *vcpu, const u64 *vmcb)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb *l1;
	int r;

	if (!vmcb)
		return 0;
	if (!guest_has(vcpu, X86_FEATURE_SVM) || !nested_svm_address_valid(svm, *vmcb) || !svm->nested.hsave_pa)
		return -EINVAL;
	if (!svm->nested.vmcb02 && nested_svm_prepare(svm))
		return -ENOMEM;
	l1 = kmalloc(sizeof(*l1), GFP_KERNEL_ACCOUNT);
	if (!l1)
		return -ENOMEM;
	r = vcpu_read_guest(vcpu, svm->nested.hsave_pa + HSAVE_L1, &l1->save, sizeof(l1->save)) ?:
	    nested_svm_read_vmcb12(svm, *vmcb);
	if (!r) {
		l1->control = svm->nested.vmcb12->control;
		r = adopt(svm, svm->nested.vmcb12, l1, *vmcb);
	}
	kfree(l1);
	if (!r)
		nested_svm_load_l2(svm);
	return r;
}
