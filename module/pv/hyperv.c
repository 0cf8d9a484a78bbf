// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: life of a partition and its virtual processors, and their exits to user space.
 */
#include <linux/eventfd.h>
#include <linux/slab.h>

#include "irq/irq.h"
#include "pv/hyperv.h"

/* Several vCPUs may find that there is none yet: the first one's stays. */
struct vm_hv *hv_vm_prepare(struct vm *vm)
{
	struct vm_hv *hv = vm_hv_get(vm), *other;

	if (hv)
		return hv;
	hv = kzalloc(sizeof(*hv), GFP_KERNEL_ACCOUNT);
	if (!hv)
		return NULL;
	mutex_init(&hv->lock);
	raw_spin_lock_init(&hv->tsc_lock);
	xa_init(&hv->connections);
	other = cmpxchg(&vm->hv, NULL, hv);
	if (other)
		kfree(hv);
	return other ?: hv;
}

/* Nobody can run or signal any more. */
void hv_vm_destroy(struct vm *vm)
{
	struct eventfd_ctx *ctx;
	unsigned long i;

	if (!vm->hv)
		return;
	xa_for_each(&vm->hv->connections, i, ctx)
		eventfd_ctx_put(ctx);
	xa_destroy(&vm->hv->connections);
	kfree(vm->hv);
}

/**
 * hv_vcpu_prepare - make a vCPU's state unless it has one
 * @vcpu: the vCPU; its mutex is held
 *
 * What vcpu->hv points to stays until the VM goes, so others may use it once they have seen it.
 */
int hv_vcpu_prepare(struct vcpu *vcpu)
{
	struct vcpu_hv *hv;

	if (vcpu->hv)
		return 0;
	if (!hv_vm_prepare(vcpu->vm))
		return -ENOMEM;
	hv = kzalloc(sizeof(*hv), GFP_KERNEL_ACCOUNT);
	if (!hv)
		return -ENOMEM;
	hv->vcpu = vcpu;
	hv->vp_index = vcpu->index;
	hv_synic_init(&hv->synic);
	hv_stimers_init(hv);
	smp_store_release(&vcpu->hv, hv);
	/* The CPU must not end interrupts by itself any more: see hv_synic_auto_eoi(). */
	vcpu_request(vcpu, REQ_INTERCEPTS);
	return 0;
}

void hv_vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->hv)
		return;
	hv_stimers_stop(vcpu->hv);
	kfree(vcpu->hv);
}

/* Nearly always virtual processors have the numbers of their vCPUs. */
struct vcpu *hv_find_vp(struct vm *vm, u32 vp_index)
{
	struct vcpu *vcpu;
	int i;

	if (vp_index >= NESTOR_MAX_VCPUS)
		return NULL;
	vcpu = vm_vcpu(vm, vp_index);
	if (vcpu && hv_vp_index(vcpu) == vp_index)
		return vcpu;
	vm_for_each_vcpu(i, vcpu, vm)
		if (hv_vp_index(vcpu) == vp_index)
			return vcpu;
	return NULL;
}

/**
 * hv_exit - return to user space when the instruction at hand is done
 * @vcpu: the vCPU, in its own thread
 * @exit: why; hv->detail is filled for HV_EXIT_DETAIL
 */
void hv_exit(struct vcpu *vcpu, enum hv_exit exit)
{
	__set_bit(exit, &vcpu->hv->exits);
	vcpu_request(vcpu, REQ_HYPERV);
}

/* User space has looked at what the debugger's registers ask for. */
static int complete_debug(struct vcpu *vcpu)
{
	u64 status = READ_ONCE(vcpu->run->hyperv.u.syndbg.status);
	struct vm_hv *hv = vcpu->vm->hv;

	mutex_lock(&hv->lock);
	hv->debug.u.syndbg.status = status;
	mutex_unlock(&hv->lock);
	return RUN_GUEST;
}

static int report_detail(struct vcpu *vcpu)
{
	const struct kvm_hyperv_exit *detail = &vcpu->hv->detail;

	vcpu->run->exit_reason = KVM_EXIT_HYPERV;
	vcpu->run->hyperv = *detail;
	if (detail->type == KVM_EXIT_HYPERV_SYNDBG && detail->u.syndbg.msr == HV_MSR_DEBUG_CONTROL)
		vcpu->complete = complete_debug;
	return RUN_USER;
}

static int report_system_event(struct vcpu *vcpu, u32 type)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run->system_event.type = type;
	run->system_event.ndata = 0;
	return RUN_USER;
}

static int report_exit(struct vcpu *vcpu)
{
	unsigned long *exits = &vcpu->hv->exits;

	if (__test_and_clear_bit(HV_EXIT_CRASH, exits))
		return report_system_event(vcpu, KVM_SYSTEM_EVENT_CRASH);
	if (__test_and_clear_bit(HV_EXIT_RESET, exits))
		return report_system_event(vcpu, KVM_SYSTEM_EVENT_RESET);
	__clear_bit(HV_EXIT_DETAIL, exits);
	return report_detail(vcpu);
}

/* Timers and what else there is come when user space is back. */
int hv_serve_requests(struct vcpu *vcpu)
{
	if (!vcpu_take_request(vcpu, REQ_HYPERV))
		return RUN_GUEST;
	if (vcpu->hv->exits) {
		vcpu_request(vcpu, REQ_HYPERV);
		return report_exit(vcpu);
	}
	hv_stimers_run(vcpu);
	return RUN_GUEST;
}

/* KVM_CAP_HYPERV_ENFORCE_CPUID */
int hv_enforce_cpuid(struct vcpu *vcpu, bool enforce)
{
	int r = enforce ? hv_vcpu_prepare(vcpu) : 0;

	if (!r && vcpu->hv)
		vcpu->hv->enforce = enforce;
	return r;
}

/* KVM_CAP_HYPERV_SYNIC and KVM_CAP_HYPERV_SYNIC2 */
int hv_enable_synic(struct vcpu *vcpu, bool keep_pages)
{
	struct hv_synic *synic;
	int r;

	if (!irqchip_in_kernel_apic(vcpu->vm))
		return -EINVAL;
	r = hv_vcpu_prepare(vcpu);
	if (r)
		return r;
	synic = &vcpu->hv->synic;
	synic->keep_pages = keep_pages;
	synic->control = HV_SYNIC_ENABLE;
	WRITE_ONCE(synic->active, true);
	/* Routes to it may have been set before. */
	irq_sints_changed(vcpu->vm);
	return 0;
}
