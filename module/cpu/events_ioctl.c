// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS.
 */
#include "cpu/guest_state.h"
#include "cpu/smm.h"
#include "irq/irq.h"
#include "vm/ops.h"

/* Two NMIs at most wait: one being handled, one latched behind it. */

#define EVENTS_KNOWN_FLAGS							\
	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |	\
	 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM |			\
	 KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT)

/* What is told as the exception: one that L1 takes is not L2's, but pending all the same. */
static struct exception *told_exception(struct vcpu *vcpu)
{
	struct exception *e = &vcpu->events.exception;

	return vcpu->nested.exception.pending && !e->pending && !e->injected ? &vcpu->nested.exception : e;
}

/**
 * cpu_deliver_payload_early - for user space without KVM_CAP_EXCEPTION_PAYLOAD
 * @vcpu: the vCPU
 *
 * It does not carry the payload along when it saves and restores the vCPU, so CR2 or DR6 must have it
 * by the time it reads either.
 */
void cpu_deliver_payload_early(struct vcpu *vcpu)
{
	struct exception *e = told_exception(vcpu);

	if (!vcpu->vm->caps.exception_payload && e->pending && e->has_payload)
		vcpu_deliver_payload(vcpu, e);
}

static void get_exception(struct vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	const struct exception *e = told_exception(vcpu);
	bool payload = vcpu->vm->caps.exception_payload;

	/* INT3 and INTO come again when the instruction does: the ABI has no room for its length. */
	if (!exception_is_software(e->vector)) {
		ev->exception.pending = e->pending;
		/* Older user space knows no 'pending'. */
		ev->exception.injected = e->injected || (e->pending && !payload);
	}
	ev->exception.nr = e->vector;
	ev->exception.has_error_code = e->has_error;
	ev->exception.error_code = e->error;
	ev->exception_has_payload = e->has_payload;
	ev->exception_payload = e->payload;
}

int cpu_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	const struct events *e = &vcpu->events;

	cpu_deliver_payload_early(vcpu);
	vcpu_collect_nmis(vcpu);
	vcpu_fetch(vcpu, REGS_SHADOW);
	memset(ev, 0, sizeof(*ev));
	get_exception(vcpu, ev);

	ev->interrupt.injected = e->interrupt.injected && !e->interrupt.soft;
	ev->interrupt.nr = e->interrupt.vector;
	ev->interrupt.shadow = vcpu->regs.int_shadow;

	ev->nmi.injected = e->nmi.injected;
	ev->nmi.pending = e->nmi.pending;
	ev->nmi.masked = vendor->nmi_masked(vcpu);

	ev->smi.smm = e->in_smm;
	ev->smi.pending = e->smi_pending || test_bit(REQ_SMI, &vcpu->requests);
	ev->smi.smm_inside_nmi = e->smm_inside_nmi;
	ev->smi.latched_init = lapic_latched_init(vcpu);

	ev->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
		    KVM_VCPUEVENT_VALID_SMM;
	if (vcpu->vm->caps.exception_payload)
		ev->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vcpu->vm->caps.triple_fault_event) {
		ev->triple_fault.pending = test_bit(REQ_TRIPLE_FAULT, &vcpu->requests);
		ev->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
	return 0;
}

/* Everything that can be wrong, before anything is changed. */
static bool events_valid(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	const struct vm_caps *caps = &vcpu->vm->caps;
	bool pending = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD && ev->exception.pending;

	if (ev->flags & ~EVENTS_KNOWN_FLAGS)
		return false;
	if (ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD && !caps->exception_payload)
		return false;
	if (ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT && !caps->triple_fault_event)
		return false;
	if ((ev->exception.injected || pending) &&
	    (ev->exception.nr > 31 || ev->exception.nr == EXC_NMI))
		return false;
	/* A vCPU that waits for a SIPI is not in the mode, nor goes there. */
	return !(ev->flags & KVM_VCPUEVENT_VALID_SMM) || !(ev->smi.smm || ev->smi.pending) ||
	       vcpu->mp_state != KVM_MP_STATE_INIT_RECEIVED;
}

static void set_exception(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	bool payload = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD;
	struct exception *e = &vcpu->events.exception;

	e->pending = payload && ev->exception.pending;
	e->injected = ev->exception.injected && !e->pending;
	e->vector = ev->exception.nr;
	e->has_error = ev->exception.has_error_code;
	e->error = ev->exception.error_code;
	e->has_payload = e->pending && ev->exception_has_payload;
	e->payload = ev->exception_payload;
	e->restored = true;
	vcpu->nested.exception.pending = false;
}

static void set_nmi(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	struct events *e = &vcpu->events;

	e->nmi.injected = ev->nmi.injected;
	if (ev->flags & KVM_VCPUEVENT_VALID_NMI_PENDING) {
		e->nmi.pending = 0;
		atomic_set(&e->nmi.queued, ev->nmi.pending);
	}
	if (vendor->nmi_masked(vcpu) != !!ev->nmi.masked)
		vendor->set_nmi_masked(vcpu, ev->nmi.masked);
}

static void set_smi(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	struct events *e = &vcpu->events;

	smm_set(vcpu, ev->smi.smm);
	vcpu_take_request(vcpu, REQ_SMI);
	e->smi_deferred = false;
	e->smi_pending = ev->smi.pending;
	if (e->smi_pending)
		vcpu_request(vcpu, REQ_SMI);
	if (e->in_smm)
		e->smm_inside_nmi = ev->smi.smm_inside_nmi;
	/* A guest hypervisor makes it wait, too. */
	lapic_latch_init(vcpu, ev->smi.latched_init);
}

int cpu_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	struct events *e = &vcpu->events;

	if (!events_valid(vcpu, ev))
		return -EINVAL;
	set_exception(vcpu, ev);
	e->interrupt.injected = ev->interrupt.injected;
	e->interrupt.vector = ev->interrupt.nr;
	e->interrupt.soft = ev->interrupt.soft;
	if (ev->flags & KVM_VCPUEVENT_VALID_SHADOW) {
		vcpu_fetch(vcpu, REGS_SHADOW);
		if (vcpu->regs.int_shadow != ev->interrupt.shadow) {
			vcpu->regs.int_shadow = ev->interrupt.shadow & (SHADOW_MOV_SS | SHADOW_STI);
			vcpu_dirty(vcpu, REGS_SHADOW);
		}
	}
	set_nmi(vcpu, ev);
	if (ev->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR && vcpu->lapic)
		lapic_set_sipi_vector(vcpu, ev->sipi_vector);
	if (ev->flags & KVM_VCPUEVENT_VALID_SMM)
		set_smi(vcpu, ev);
	if (ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (ev->triple_fault.pending)
			vcpu_request(vcpu, REQ_TRIPLE_FAULT);
		else
			vcpu_take_request(vcpu, REQ_TRIPLE_FAULT);
	}
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}
