// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: the synthetic interrupt controller. Sixteen interrupt sources of a virtual processor,
 * each with a vector of the local APIC and a slot for messages (TLFS, Virtual Interrupt Control).
 */
#include <linux/bitfield.h>
#include <linux/mm.h>
#include <linux/nospec.h>

#include "cpu/msr.h"
#include "irq/irq.h"
#include "pv/hyperv.h"

void hv_synic_init(struct hv_synic *synic)
{
	int i;

	synic->version = HV_SYNIC_VERSION;
	for (i = 0; i < HV_SINTS; i++) {
		synic->sint[i] = HV_SINT_MASKED;
		synic->gsi[i] = -1;
	}
}

/* The vector of a SINT, or -1. */
static int vector_of(u64 sint)
{
	return sint & HV_SINT_MASKED ? -1 : FIELD_GET(HV_SINT_VECTOR, sint);
}

/* SINTs may share a vector: it has what one of them has. */
static void update_vector(struct hv_synic *synic, u8 vector)
{
	bool used = false, auto_eoi = false;
	int i;

	if (vector < HV_FIRST_VECTOR)
		return;
	for (i = 0; i < HV_SINTS; i++) {
		if (vector_of(synic->sint[i]) != vector)
			continue;
		used = true;
		auto_eoi |= !!(synic->sint[i] & HV_SINT_AUTO_EOI);
	}
	__assign_bit(vector, synic->vectors, used);
	__assign_bit(vector, synic->auto_eoi, auto_eoi);
}

static int set_sint(struct hv_synic *synic, unsigned int n, u64 value, bool host)
{
	u8 old = FIELD_GET(HV_SINT_VECTOR, synic->sint[n]), new = FIELD_GET(HV_SINT_VECTOR, value);

	/* A masked one may have any: guest hypervisors write what it has at reset. */
	if (new < HV_FIRST_VECTOR && !host && !(value & HV_SINT_MASKED))
		return -EINVAL;
	WRITE_ONCE(synic->sint[n], value);
	update_vector(synic, old);
	update_vector(synic, new);
	return 0;
}

/* User space keeps what it knows of the guest's pages up to date. */
static void report(struct vcpu *vcpu, u32 msr)
{
	struct hv_synic *synic = &vcpu->hv->synic;

	vcpu->hv->detail = (struct kvm_hyperv_exit) {
		.type = KVM_EXIT_HYPERV_SYNIC,
		.u.synic = {
			.msr = msr,
			.control = synic->control,
			.evt_page = synic->event_page,
			.msg_page = synic->message_page,
		},
	};
	hv_exit(vcpu, HV_EXIT_DETAIL);
}

static int set_page(struct vcpu *vcpu, struct msr_access *a, u64 *page)
{
	bool clear = a->value & HV_PAGE_ENABLE && !a->host && !vcpu->hv->synic.keep_pages;

	if (vcpu->in_burst)
		return -EAGAIN;
	if (clear && vcpu_write_pv(vcpu, a->value & HV_PAGE_ADDRESS, page_address(ZERO_PAGE(0)), PAGE_SIZE))
		return -EINVAL;
	*page = a->value;
	return 0;
}

/* The guest has taken a message from the SINT's slot, or has ended its interrupt. */
static void acknowledged(struct vcpu *vcpu, u32 sint)
{
	int gsi = READ_ONCE(vcpu->hv->synic.gsi[sint]);

	hv_stimers_retry(vcpu, sint);
	if (gsi >= 0)
		irq_notify_acked_gsi(vcpu->vm, gsi);
}

static void end_of_message(struct vcpu *vcpu)
{
	u32 sint;

	for (sint = 0; sint < HV_SINTS; sint++)
		acknowledged(vcpu, sint);
}

int hv_synic_get_msr(struct vcpu *vcpu, struct msr_access *a)
{
	const struct hv_synic *synic = &vcpu->hv->synic;

	if (!synic->active && !a->host)
		return -EINVAL;
	switch (a->index) {
	case HV_MSR_SCONTROL:
		a->value = synic->control;
		return 0;
	case HV_MSR_SVERSION:
		a->value = synic->version;
		return 0;
	case HV_MSR_SIEFP:
		a->value = synic->event_page;
		return 0;
	case HV_MSR_SIMP:
		a->value = synic->message_page;
		return 0;
	case HV_MSR_EOM:
		a->value = 0;
		return 0;
	default:
		a->value = synic->sint[array_index_nospec(a->index - HV_MSR_SINT0, HV_SINTS)];
		return 0;
	}
}

int hv_synic_set_msr(struct vcpu *vcpu, struct msr_access *a)
{
	struct hv_synic *synic = &vcpu->hv->synic;
	int r = 0;

	/* User space may write back the zeroes that it has read from a SynIC that is not there. */
	if (!synic->active && (!a->host || a->value))
		return -EINVAL;
	switch (a->index) {
	case HV_MSR_SCONTROL:
		synic->control = a->value;
		break;
	case HV_MSR_SVERSION:
		if (!a->host)
			return -EINVAL;
		synic->version = a->value;
		return 0;
	case HV_MSR_SIEFP:
		r = set_page(vcpu, a, &synic->event_page);
		break;
	case HV_MSR_SIMP:
		r = set_page(vcpu, a, &synic->message_page);
		break;
	case HV_MSR_EOM:
		if (synic->active)
			end_of_message(vcpu);
		return 0;
	default:
		return set_sint(synic, array_index_nospec(a->index - HV_MSR_SINT0, HV_SINTS), a->value,
				a->host);
	}
	if (!r && !a->host)
		report(vcpu, a->index);
	return r;
}

/* As irq_deliver(), or -errno. @source: the vCPU itself, in its own thread, or NULL. */
static int raise(struct vcpu *vcpu, struct vcpu *source, u32 sint)
{
	int vector;

	if (sint >= HV_SINTS)
		return -EINVAL;
	sint = array_index_nospec(sint, HV_SINTS);
	vector = vector_of(READ_ONCE(vcpu_hv_get(vcpu)->synic.sint[sint]));
	if (vector < 0)
		return -ENOENT;
	return lapic_send_vector(vcpu, vector, source);
}

int hv_synic_set_irq(struct vm *vm, u32 vp_index, u32 sint)
{
	struct vcpu *vcpu = hv_find_vp(vm, vp_index);
	struct vcpu_hv *hv = vcpu ? vcpu_hv_get(vcpu) : NULL;

	if (!hv || !READ_ONCE(hv->synic.active))
		return -EINVAL;
	return raise(vcpu, NULL, sint);
}

/**
 * hv_synic_post - put a message into the slot of a SINT, and raise its interrupt
 * @vcpu: the vCPU, in its own thread
 * @sint: which
 * @msg: the message
 * @retry: ask the guest to tell when the slot is free, should it be taken; else the message is lost
 *
 * TLFS, SynIC Message Flags: the guest empties the slot first and looks at the flag then. It is not
 * running, so nothing comes between our look at the slot and the flag.
 */
int hv_synic_post(struct vcpu *vcpu, u32 sint, const struct hv_message *msg, bool retry)
{
	u64 page = vcpu->hv->synic.message_page;
	u64 slot = (page & HV_PAGE_ADDRESS) + sint * sizeof(*msg);
	u8 flags = HV_MESSAGE_PENDING;
	u32 type;
	int r;

	if (!(page & HV_PAGE_ENABLE))
		return -ENOENT;
	r = vm_read(vcpu->vm, slot + offsetof(struct hv_message, type), &type, sizeof(type));
	if (r)
		return r;
	if (type != HV_MESSAGE_NONE) {
		if (!retry)
			return 0;
		r = vcpu_write_pv(vcpu, slot + offsetof(struct hv_message, flags), &flags, sizeof(flags));
		return r ?: -EAGAIN;
	}
	r = vcpu_write_pv(vcpu, slot, msg, offsetof(struct hv_message, payload) + msg->payload_size);
	if (r)
		return r;
	r = raise(vcpu, vcpu, sint);
	if (r < 0)
		return r;
	return r ? 0 : -EFAULT;
}

/* The local APIC ends an interrupt. */
void hv_synic_eoi(struct vcpu *vcpu, u8 vector)
{
	struct hv_synic *synic = &vcpu->hv->synic;
	u32 sint;

	if (!test_bit(vector, synic->vectors))
		return;
	for (sint = 0; sint < HV_SINTS; sint++)
		if (vector_of(synic->sint[sint]) == vector)
			acknowledged(vcpu, sint);
}

bool hv_synic_auto_eoi(struct vcpu *vcpu, u8 vector)
{
	return test_bit(vector, vcpu->hv->synic.auto_eoi);
}

/* Under vm_irq.lock: the routing table has changed. */
void hv_synic_set_gsis(struct vcpu_hv *hv, const int *gsis)
{
	int i;

	for (i = 0; i < HV_SINTS; i++)
		WRITE_ONCE(hv->synic.gsi[i], gsis[i]);
}
