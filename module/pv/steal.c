// SPDX-License-Identifier: GPL-2.0
/*
 * Steal time: tells the guest for how long its vCPU was ready and did not run.
 *
 * Documentation/virt/kvm/x86/msr.rst, MSR_KVM_STEAL_TIME.
 */
#include <linux/sched.h>
#include <linux/sched/stat.h>

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
 * steal_time_update - rewrite the vCPU's steal-time record
 * @vcpu: the vCPU
 *
 * The guest reads it while the version is even and the same before and after.
 */
void steal_time_update(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u64 gpa = c->steal_msr & KVM_STEAL_VALID_BITS, now = time_waited();
	struct kvm_steal_time st;
	u32 version;

	if (!(c->steal_msr & KVM_MSR_ENABLED) || vm_read(vcpu->vm, gpa, &st, sizeof(st)))
		return;
	version = (st.version + 1) | 1;
	if (vcpu_write_pv(vcpu, gpa + offsetof(struct kvm_steal_time, version), &version,
		     sizeof(version)))
		return;
	smp_wmb();
	/* Another thread than before runs this vCPU: what it waited is not counted from zero. */
	if (now > c->steal_last)
		st.steal += now - c->steal_last;
	c->steal_last = now;
	st.preempted = 0;
	vcpu_write_pv(vcpu, gpa + offsetof(struct kvm_steal_time, steal), &st.steal, sizeof(st.steal));
	vcpu_write_pv(vcpu, gpa + offsetof(struct kvm_steal_time, preempted), &st.preempted,
		 sizeof(st.preempted));
	smp_wmb();
	version++;
	vcpu_write_pv(vcpu, gpa + offsetof(struct kvm_steal_time, version), &version,
		 sizeof(version));
}
