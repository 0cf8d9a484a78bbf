// SPDX-License-Identifier: GPL-2.0
/*
 * Steal time: tells the guest for how long its vCPU was ready and did not run.
 *
 * Documentation/virt/kvm/x86/msr.rst, MSR_KVM_STEAL_TIME.
 */
#include <linux/sched.h>
#include <linux/sched/stat.h>

#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "pv/pv.h"
#include "vm/ops.h"

#include <uapi/asm/kvm_para.h>

static u64 time_waited(void)
{
	return current->sched_info.run_delay;
}

int msr_set_steal_time(struct vcpu *vcpu, struct msr_access *a)
{
	struct cpu_state *c = &vcpu->cpu_state;

	if (!sched_info_on() || a->value & KVM_STEAL_RESERVED_MASK)
		return -EINVAL;
	/* What the thread waited before is not the guest's. */
	if (!(c->steal_msr & KVM_MSR_ENABLED))
		c->steal_last = time_waited();
	c->steal_msr = a->value;
	c->steal_preempted = false;
	if (a->value & KVM_MSR_ENABLED)
		vcpu_request(vcpu, REQ_STEAL_UPDATE);
	return 0;
}

void steal_time_check(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	if (c->steal_msr & KVM_MSR_ENABLED && c->steal_last != time_waited())
		vcpu_request(vcpu, REQ_STEAL_UPDATE);
}

/**
 * steal_time_preempted - the thread may be about to wait for a CPU, or to sleep
 * @vcpu: the vCPU, at the boundary between two of the guest's instructions
 *
 * Other vCPUs then do not spin for this one, and leave a TLB flush for it in the record instead of sending an
 * IPI: so the record is looked at before the guest runs again.
 */
void steal_time_preempted(struct vcpu *vcpu)
{
	static const u8 preempted = KVM_VCPU_PREEMPTED;
	struct cpu_state *c = &vcpu->cpu_state;
	u64 gpa = c->steal_msr & KVM_STEAL_VALID_BITS;

	if (!(c->steal_msr & KVM_MSR_ENABLED) || c->steal_preempted)
		return;
	/* What was half done when the burst ended may use translations that the guest flushes now. */
	if (vcpu->emu_continues || vcpu->complete)
		return;
	if (vcpu_write_pv(vcpu, gpa + offsetof(struct kvm_steal_time, preempted), &preempted, 1))
		return;
	c->steal_preempted = true;
	vcpu->stats.preemption_reported++;
	vcpu_request(vcpu, REQ_STEAL_UPDATE);
}

/* A guest that changes the byte all the time gets the flush that it may have asked for. */
#define MAX_EXCHANGES	8

/* The vCPU runs again. Takes what others left for it: at once, or their request would be lost. */
static void clear_preempted(struct vcpu *vcpu, u64 gpa, u8 old)
{
	bool flush = guest_pv_has(vcpu, KVM_FEATURE_PV_TLB_FLUSH);
	u8 none = 0;
	int i, r = 0;

	for (i = 0; i < MAX_EXCHANGES && old; i++) {
		r = vcpu_cmpxchg_guest(vcpu, gpa, &old, &none, 1);
		if (r <= 0)
			break;
	}
	if (r == 1)
		vcpu_write_pv(vcpu, gpa, &none, sizeof(none));
	vcpu->cpu_state.steal_preempted = false;
	if (flush && (old & KVM_VCPU_FLUSH_TLB || r))
		vendor->tlb_flush(vcpu, TLB_LEVELS);
}

/**
 * steal_time_update - rewrite the vCPU's steal-time record
 * @vcpu: the vCPU
 *
 * The guest reads it while the version is even and the same before and after.
 */
void steal_time_update(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u64 gpa = c->steal_msr & KVM_STEAL_VALID_BITS, now = time_waited(), last = c->steal_last;
	struct kvm_steal_time st;
	u32 version;

	/* Also where no memory is: the guest would wait for its record for ever. */
	c->steal_last = now;
	if (!(c->steal_msr & KVM_MSR_ENABLED) || vm_read(vcpu->vm, gpa, &st, sizeof(st))) {
		c->steal_preempted = false;
		return;
	}
	version = (st.version + 1) | 1;
	if (vcpu_write_pv(vcpu, gpa + offsetof(struct kvm_steal_time, version), &version,
		     sizeof(version)))
		return;
	smp_wmb();
	/* Another thread than before runs this vCPU: what it waited is not counted from zero. */
	if (now > last)
		st.steal += now - last;
	clear_preempted(vcpu, gpa + offsetof(struct kvm_steal_time, preempted), st.preempted);
	vcpu_write_pv(vcpu, gpa + offsetof(struct kvm_steal_time, steal), &st.steal, sizeof(st.steal));
	smp_wmb();
	version++;
	vcpu_write_pv(vcpu, gpa + offsetof(struct kvm_steal_time, version), &version,
		 sizeof(version));
}
