// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: synthetic MSRs, but for SynIC and timers. Some belong to a virtual processor, the others
 * to the partition.
 */
#include <linux/math64.h>
#include <linux/nospec.h>
#include <linux/sched/cputime.h>

#include "cpu/msr.h"
#include "irq/irq.h"
#include "pv/hyperv.h"

/* TLFS, Hypervisor Feature Identification: what gives the right to which MSRs. */
static const struct {
	u32 first, last;
	u32 eax, edx;		/* of HV_LEAF_FEATURES: one of the bits */
} rights[] = {
	{ HV_MSR_GUEST_OS_ID, HV_MSR_HYPERCALL, HV_CAN_HYPERCALL },
	{ HV_MSR_VP_INDEX, HV_MSR_VP_INDEX, HV_CAN_VP_INDEX },
	{ HV_MSR_RESET, HV_MSR_RESET, HV_CAN_RESET },
	{ HV_MSR_VP_RUNTIME, HV_MSR_VP_RUNTIME, HV_CAN_VP_RUNTIME },
	{ HV_MSR_REF_COUNT, HV_MSR_REF_COUNT, HV_CAN_REF_COUNTER },
	{ HV_MSR_REF_TSC, HV_MSR_REF_TSC, HV_CAN_REF_TSC },
	{ HV_MSR_TSC_FREQUENCY, HV_MSR_APIC_FREQUENCY, HV_CAN_FREQUENCIES },
	{ HV_MSR_EOI, HV_MSR_VP_ASSIST, HV_CAN_APIC },
	{ HV_MSR_SCONTROL, HV_MSR_SINT15, HV_CAN_SYNIC },
	{ HV_MSR_STIMER0_CONFIG, HV_MSR_STIMER3_COUNT, HV_CAN_STIMER },
	{ HV_MSR_DEBUG_CONTROL, HV_MSR_DEBUG_OPTIONS, 0, HV_HAS_DEBUG_MSRS },
	{ HV_MSR_CRASH_P0, HV_MSR_CRASH_CTL, 0, HV_HAS_CRASH },
	{ HV_MSR_REENLIGHTENMENT, HV_MSR_TSC_EMULATION_STATUS, HV_CAN_REENLIGHTENMENT },
	{ HV_MSR_TSC_INVARIANT, HV_MSR_TSC_INVARIANT, HV_CAN_TSC_INVARIANT },
};

static bool may_access(const struct vcpu_hv *hv, u32 msr)
{
	unsigned int i;

	if (!hv->enforce)
		return true;
	for (i = 0; i < ARRAY_SIZE(rights); i++)
		if (msr >= rights[i].first && msr <= rights[i].last)
			return hv->features.eax & rights[i].eax || hv->features.edx & rights[i].edx;
	return false;
}

/* What the vCPU's thread has run, in units of 100 ns. */
static u64 thread_runtime(void)
{
	u64 user, system;

	task_cputime_adjusted(current, &user, &system);
	return div_u64(user + system, 100);
}

/* TLFS, Virtual APIC Registers: the same as x2APIC's, in xAPIC mode too. */
static u32 apic_reg(u32 msr)
{
	return msr == HV_MSR_EOI ? APIC_EOI : msr == HV_MSR_ICR ? APIC_ICR : APIC_TASKPRI;
}

static int set_vp_index(struct vcpu *vcpu, const struct msr_access *a)
{
	u32 index = a->value;

	if (!a->host || index >= NESTOR_MAX_VCPUS)
		return -EINVAL;
	if (index == vcpu->hv->vp_index)
		return 0;
	WRITE_ONCE(vcpu->hv->vp_index, index);
	/* Routes to SINTs name their virtual processor. */
	irq_sints_changed(vcpu->vm);
	return 0;
}

/* TLFS, Virtual Processor Assist Page. Only its first word is ours; the rest may hold what migrated. */
static int set_assist(struct vcpu *vcpu, const struct msr_access *a)
{
	u32 none = 0;

	if (vcpu->in_burst)
		return -EAGAIN;
	if (a->value & HV_PAGE_ENABLE &&
	    vcpu_write_pv(vcpu, a->value & HV_PAGE_ADDRESS, &none, sizeof(none)))
		return -EINVAL;
	vcpu->hv->assist = a->value;
	return 0;
}

static int get_vp_msr(struct vcpu *vcpu, struct msr_access *a)
{
	struct vcpu_hv *hv = vcpu->hv;

	switch (a->index) {
	case HV_MSR_VP_INDEX:
		a->value = hv->vp_index;
		return 0;
	case HV_MSR_VP_RUNTIME:
		if (vcpu->in_burst)
			return -EAGAIN;
		a->value = thread_runtime() + hv->runtime_offset;
		return 0;
	case HV_MSR_REF_COUNT:
		a->value = hv_reference_time(vcpu->vm);
		return 0;
	case HV_MSR_TSC_FREQUENCY:
		a->value = (u64)vcpu->cpu_state.tsc_khz * 1000;
		return 0;
	case HV_MSR_APIC_FREQUENCY:
		a->value = div64_u64(NSEC_PER_SEC, vcpu->vm->caps.apic_bus_cycle_ns);
		return 0;
	case HV_MSR_EOI:
	case HV_MSR_ICR:
	case HV_MSR_TPR:
		return lapic_hv_read(vcpu, apic_reg(a->index), &a->value);
	case HV_MSR_VP_ASSIST:
		a->value = hv->assist;
		return 0;
	case HV_MSR_SCONTROL ... HV_MSR_SINT15:
		return hv_synic_get_msr(vcpu, a);
	case HV_MSR_STIMER0_CONFIG ... HV_MSR_STIMER3_COUNT:
		return hv_stimer_get_msr(vcpu, a);
	default:
		return -ENOENT;
	}
}

static int set_vp_msr(struct vcpu *vcpu, struct msr_access *a)
{
	switch (a->index) {
	case HV_MSR_VP_INDEX:
		return set_vp_index(vcpu, a);
	case HV_MSR_VP_RUNTIME:
		if (!a->host)
			return -EINVAL;
		vcpu->hv->runtime_offset = a->value - thread_runtime();
		return 0;
	case HV_MSR_REF_COUNT:
	case HV_MSR_TSC_FREQUENCY:
	case HV_MSR_APIC_FREQUENCY:
		/* Read-only; user space may restore what it saved. */
		return a->host ? 0 : -EINVAL;
	case HV_MSR_EOI:
	case HV_MSR_ICR:
	case HV_MSR_TPR:
		return lapic_hv_write(vcpu, apic_reg(a->index), a->value);
	case HV_MSR_VP_ASSIST:
		return set_assist(vcpu, a);
	case HV_MSR_SCONTROL ... HV_MSR_SINT15:
		return hv_synic_set_msr(vcpu, a);
	case HV_MSR_STIMER0_CONFIG ... HV_MSR_STIMER3_COUNT:
		return hv_stimer_set_msr(vcpu, a);
	default:
		return -ENOENT;
	}
}

/*
 * The partition's
 */

/* Code that makes a hypercall and returns, in the page that the guest has chosen. */
static int set_hypercall(struct vcpu *vcpu, u64 value)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1, 0xc3 }, vmmcall[] = { 0x0f, 0x01, 0xd9, 0xc3 };
	struct vm_hv *hv = vcpu->vm->hv;

	/* TLFS, Establishing the Hypercall Interface: the guest says first who it is. */
	if (!hv->guest_os_id)
		return 0;
	if (value & HV_PAGE_ENABLE &&
	    vcpu_write_pv(vcpu, value & HV_PAGE_ADDRESS, cpu_caps.svm ? vmmcall : vmcall, sizeof(vmcall)))
		return -EINVAL;
	WRITE_ONCE(hv->hypercall, value);
	return 0;
}

static int set_guest_os_id(struct vcpu *vcpu, u64 value)
{
	struct vm_hv *hv = vcpu->vm->hv;

	WRITE_ONCE(hv->guest_os_id, value);
	if (!value)
		WRITE_ONCE(hv->hypercall, hv->hypercall & ~HV_PAGE_ENABLE);
	return 0;
}

static int set_tsc_invariant(struct vm_hv *hv, u64 value, bool host)
{
	if (value & ~HV_TSC_INVARIANT_EXPOSE)
		return -EINVAL;
	/* What CPUID has shown stays there. */
	if (!host && hv->tsc_invariant && !value)
		return -EINVAL;
	WRITE_ONCE(hv->tsc_invariant, value);
	return 0;
}

static int set_crash_ctl(struct vcpu *vcpu, u64 value, bool host)
{
	if (host)
		vcpu->vm->hv->crash_ctl = value & HV_CRASH_NOTIFY;
	else if (value & HV_CRASH_NOTIFY)
		hv_exit(vcpu, HV_EXIT_CRASH);
	return 0;
}

static u64 *debug_reg(struct vm_hv *hv, u32 msr)
{
	switch (msr) {
	case HV_MSR_DEBUG_CONTROL:
		return &hv->debug.u.syndbg.control;
	case HV_MSR_DEBUG_STATUS:
		return &hv->debug.u.syndbg.status;
	case HV_MSR_DEBUG_SEND:
		return &hv->debug.u.syndbg.send_page;
	case HV_MSR_DEBUG_RECV:
		return &hv->debug.u.syndbg.recv_page;
	case HV_MSR_DEBUG_PENDING:
		return &hv->debug.u.syndbg.pending_page;
	default:
		return &hv->debug_options;
	}
}

static bool debug_allowed(struct vcpu *vcpu, bool host)
{
	return host || vcpu->hv->features.debug & HV_DEBUG_ALLOWED;
}

/* The debugger is in user space: it acts on the pages and the control register. */
static int set_debug(struct vcpu *vcpu, const struct msr_access *a)
{
	struct vm_hv *hv = vcpu->vm->hv;

	if (!debug_allowed(vcpu, a->host))
		return -EINVAL;
	WRITE_ONCE(*debug_reg(hv, a->index), a->value);
	if (a->host || (a->index != HV_MSR_DEBUG_CONTROL && a->index != HV_MSR_DEBUG_PENDING))
		return 0;
	vcpu->hv->detail = hv->debug;
	vcpu->hv->detail.type = KVM_EXIT_HYPERV_SYNDBG;
	vcpu->hv->detail.u.syndbg.msr = a->index;
	vcpu->hv->detail.u.syndbg.status = 0;
	hv_exit(vcpu, HV_EXIT_DETAIL);
	return 0;
}

static u64 *crash_param(struct vm_hv *hv, u32 msr)
{
	return &hv->crash[array_index_nospec(msr - HV_MSR_CRASH_P0, ARRAY_SIZE(hv->crash))];
}

/* Values that are read in one piece: no lock. */
static int get_partition_msr(struct vcpu *vcpu, struct msr_access *a)
{
	struct vm_hv *hv = vcpu->vm->hv;
	const u64 *value;

	switch (a->index) {
	case HV_MSR_GUEST_OS_ID:
		value = &hv->guest_os_id;
		break;
	case HV_MSR_HYPERCALL:
		value = &hv->hypercall;
		break;
	case HV_MSR_REF_TSC:
		value = &hv->ref_tsc;
		break;
	case HV_MSR_RESET:
		a->value = 0;
		return 0;
	case HV_MSR_CRASH_P0 ... HV_MSR_CRASH_P4:
		value = crash_param(hv, a->index);
		break;
	case HV_MSR_CRASH_CTL:
		value = &hv->crash_ctl;
		break;
	case HV_MSR_REENLIGHTENMENT:
		value = &hv->reenlightenment;
		break;
	case HV_MSR_TSC_EMULATION_CONTROL:
		value = &hv->tsc_emulation_control;
		break;
	case HV_MSR_TSC_EMULATION_STATUS:
		value = &hv->tsc_emulation_status;
		break;
	case HV_MSR_TSC_INVARIANT:
		value = &hv->tsc_invariant;
		break;
	default:
		if (!debug_allowed(vcpu, a->host))
			return -EINVAL;
		value = debug_reg(hv, a->index);
	}
	a->value = READ_ONCE(*value);
	return 0;
}

/* Under vm_hv.lock. */
static int set_partition_msr(struct vcpu *vcpu, struct msr_access *a)
{
	struct vm_hv *hv = vcpu->vm->hv;

	switch (a->index) {
	case HV_MSR_GUEST_OS_ID:
		return set_guest_os_id(vcpu, a->value);
	case HV_MSR_HYPERCALL:
		return set_hypercall(vcpu, a->value);
	case HV_MSR_REF_TSC:
		hv_set_ref_tsc(vcpu, a->value, a->host);
		return 0;
	case HV_MSR_RESET:
		/* Upstream resets for user space too. */
		if (a->value == 1)
			hv_exit(vcpu, HV_EXIT_RESET);
		return 0;
	case HV_MSR_CRASH_P0 ... HV_MSR_CRASH_P4:
		WRITE_ONCE(*crash_param(hv, a->index), a->value);
		return 0;
	case HV_MSR_CRASH_CTL:
		return set_crash_ctl(vcpu, a->value, a->host);
	case HV_MSR_REENLIGHTENMENT:
		WRITE_ONCE(hv->reenlightenment, a->value);
		return 0;
	case HV_MSR_TSC_EMULATION_CONTROL:
		WRITE_ONCE(hv->tsc_emulation_control, a->value);
		return 0;
	case HV_MSR_TSC_EMULATION_STATUS:
		if (a->value && !a->host)
			return -EINVAL;
		WRITE_ONCE(hv->tsc_emulation_status, a->value);
		return 0;
	case HV_MSR_TSC_INVARIANT:
		return set_tsc_invariant(hv, a->value, a->host);
	default:
		return set_debug(vcpu, a);
	}
}

static bool is_partitions(u32 msr)
{
	switch (msr) {
	case HV_MSR_GUEST_OS_ID:
	case HV_MSR_HYPERCALL:
	case HV_MSR_RESET:
	case HV_MSR_REF_TSC:
	case HV_MSR_DEBUG_CONTROL ... HV_MSR_TSC_INVARIANT:
		return true;
	default:
		return false;
	}
}

/* 0, or what the access is refused with. */
static int prepare(struct vcpu *vcpu, const struct msr_access *a)
{
	if (!a->host)
		return vcpu->hv && vcpu->hv->enabled && may_access(vcpu->hv, a->index) ? 0 : -EINVAL;
	/* KVM_SET_MSRS and KVM_GET_MSRS, before or after KVM_SET_CPUID2. */
	return hv_vcpu_prepare(vcpu) ? -EINVAL : 0;
}

int hv_msr_get(struct vcpu *vcpu, struct msr_access *a)
{
	int r = prepare(vcpu, a);

	if (r)
		return r;
	return is_partitions(a->index) ? get_partition_msr(vcpu, a) : get_vp_msr(vcpu, a);
}

int hv_msr_set(struct vcpu *vcpu, struct msr_access *a)
{
	int r = prepare(vcpu, a);

	if (r)
		return r;
	if (!is_partitions(a->index))
		return set_vp_msr(vcpu, a);
	if (vcpu->in_burst)
		return -EAGAIN;
	mutex_lock(&vcpu->vm->hv->lock);
	r = set_partition_msr(vcpu, a);
	mutex_unlock(&vcpu->vm->hv->lock);
	return r;
}
