// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's hypercalls.
 *
 * Documentation/virt/kvm/x86/hypercalls.rst. What a guest asks for is a hint or a question, so a number that is
 * not known, or that its CPUID does not announce where that is enforced, is answered with -KVM_ENOSYS.
 */
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>
#include <linux/timekeeping.h>

#include "cpu/cpuid.h"
#include "irq/irq.h"
#include "pv/hyperv.h"
#include "vm/ops.h"

#include <uapi/asm/kvm_para.h>
#include <uapi/linux/kvm_para.h>

/**
 * struct hypercall_args - a hypercall as the guest made it
 * @a: arguments
 * @wide: made in 64-bit mode; else arguments and result have 32 bits
 * @ret: out
 */
struct hypercall_args {
	u64 a[4];
	bool wide;
	long ret;
};

/*
 * Is there a thread that runs this vCPU and waits for a CPU? A vCPU in its burst has one, and with nobody else to
 * run here there is nothing to be given.
 */
static bool yield_helps(const struct vcpu *vcpu, const struct vcpu *target)
{
	return target && target != vcpu && READ_ONCE(target->mode) != VCPU_IN_GUEST &&
	       READ_ONCE(target->mp_state) == KVM_MP_STATE_RUNNABLE && !single_task_running();
}

static void yield_to_vcpu(struct vcpu *vcpu, struct vcpu *target)
{
	struct task_struct *task;

	spin_lock(&target->pid_lock);
	task = get_pid_task(target->pid, PIDTYPE_PID);
	spin_unlock(&target->pid_lock);
	if (!task)
		return;
	if (yield_to(task, true) > 0)
		vcpu->stats.directed_yield_successful++;
	put_task_struct(task);
}

/* enum run_next */
static int give_time(struct vcpu *vcpu, u32 apic_id)
{
	struct vcpu *target = lapic_find(vcpu->vm, apic_id);

	if (yield_helps(vcpu, target)) {
		if (vcpu->in_burst)
			return RUN_SLOW;
		yield_to_vcpu(vcpu, target);
	}
	vcpu->stats.directed_yield_attempted++;
	return RUN_GUEST;
}

static int poll_irq(struct vcpu *vcpu, struct hypercall_args *h)
{
	return RUN_GUEST;
}

static int kick_cpu(struct vcpu *vcpu, struct hypercall_args *h)
{
	struct vcpu *target = lapic_find(vcpu->vm, h->a[1]);

	if (target) {
		vcpu_request(target, REQ_UNHALT);
		vcpu_wake(target);
	}
	return RUN_GUEST;
}

static int send_ipi(struct vcpu *vcpu, struct hypercall_args *h)
{
	h->ret = lapic_pv_send_ipi(vcpu, h->a[0], h->a[1], h->a[2], h->a[3], h->wide);
	return RUN_GUEST;
}

static int sched_yield(struct vcpu *vcpu, struct hypercall_args *h)
{
	return give_time(vcpu, h->a[0]);
}

/* One instant on the guest's TSC and on the host's wall clock: only where the latter is computed from the TSC. */
static int clock_pairing(struct vcpu *vcpu, struct hypercall_args *h)
{
	struct kvm_clock_pairing pair = {};
	s64 boot_ns, real_ns;
	u64 tsc;
	s32 rest;

	if (vcpu->in_burst)
		return RUN_SLOW;
	h->ret = -KVM_EOPNOTSUPP;
	if (h->a[1] != KVM_CLOCK_PAIRING_WALLCLOCK || !compat_clock_snapshot(&tsc, &boot_ns, &real_ns))
		return RUN_GUEST;
	pair.sec = div_s64_rem(real_ns, NSEC_PER_SEC, &rest);
	pair.nsec = rest;
	pair.tsc = guest_tsc_of(vcpu, tsc);
	h->ret = vcpu_write_pv(vcpu, h->a[0], &pair, sizeof(pair)) ? -KVM_EFAULT : 0;
	return RUN_GUEST;
}

static int complete_map_gpa_range(struct vcpu *vcpu)
{
	u64 ret = READ_ONCE(nestor_run_hypercall(vcpu->run)->ret);

	vcpu->regs.gpr[GPR_RAX] = vcpu_is_64bit(vcpu) ? ret : (u32)ret;
	return vendor_call(skip_instruction)(vcpu);
}

/* Memory becomes private or shared: user space's business, if it said so (KVM_CAP_EXIT_HYPERCALL). */
static int map_gpa_range(struct vcpu *vcpu, struct hypercall_args *h)
{
	u64 gfn = h->a[0] >> PAGE_SHIFT, npages = h->a[1];

	if (!(vcpu->vm->caps.exit_hypercalls & BIT(KVM_HC_MAP_GPA_RANGE))) {
		h->ret = -KVM_ENOSYS;
		return RUN_GUEST;
	}
	if (!PAGE_ALIGNED(h->a[0]) || !npages || gfn + npages <= gfn) {
		h->ret = -KVM_EINVAL;
		return RUN_GUEST;
	}
	vcpu->run->exit_reason = KVM_EXIT_HYPERCALL;
	/* User space that does not write the result has agreed. */
	*nestor_run_hypercall(vcpu->run) = (struct nestor_hypercall) {
		.nr = KVM_HC_MAP_GPA_RANGE,
		.args = { h->a[0], npages, h->a[2] },
		.flags = h->wide ? KVM_EXIT_HYPERCALL_LONG_MODE : 0,
	};
	vcpu->complete = complete_map_gpa_range;
	return RUN_USER;
}

#define ANY_GUEST	-1

/* @feature: the bit of KVM's CPUID leaf that announces it. */
static const struct hypercall {
	u8 nr;
	s8 feature;
	int (*fn)(struct vcpu *vcpu, struct hypercall_args *h);
} hypercalls[] = {
	{ KVM_HC_VAPIC_POLL_IRQ, ANY_GUEST, poll_irq },
	{ KVM_HC_KICK_CPU, KVM_FEATURE_PV_UNHALT, kick_cpu },
	{ KVM_HC_CLOCK_PAIRING, ANY_GUEST, clock_pairing },
	{ KVM_HC_SEND_IPI, KVM_FEATURE_PV_SEND_IPI, send_ipi },
	{ KVM_HC_SCHED_YIELD, KVM_FEATURE_PV_SCHED_YIELD, sched_yield },
	{ KVM_HC_MAP_GPA_RANGE, ANY_GUEST, map_gpa_range },
};

/* enum run_next */
static int dispatch(struct vcpu *vcpu, u64 nr, struct hypercall_args *h)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hypercalls); i++) {
		const struct hypercall *hc = &hypercalls[i];

		if (hc->nr != nr)
			continue;
		if (hc->feature != ANY_GUEST && !guest_pv_has(vcpu, hc->feature))
			break;
		return hc->fn(vcpu, h);
	}
	h->ret = -KVM_ENOSYS;
	return RUN_GUEST;
}

/* VMCALL and VMMCALL: number in RAX, arguments in RBX, RCX, RDX and RSI, result in RAX. enum run_next. */
int vcpu_handle_hypercall(struct vcpu *vcpu)
{
	u64 *gpr = vcpu->regs.gpr, nr = gpr[GPR_RAX];
	struct hypercall_args h = {
		.a = { gpr[GPR_RBX], gpr[GPR_RCX], gpr[GPR_RDX], gpr[GPR_RSI] },
		.wide = vcpu_is_64bit(vcpu),
	};
	int i, r = RUN_GUEST;

	if (unlikely(vcpu->hv) && hv_hypercalls_enabled(vcpu))
		return hv_hypercall(vcpu);
	if (!h.wide) {
		nr = (u32)nr;
		for (i = 0; i < ARRAY_SIZE(h.a); i++)
			h.a[i] = (u32)h.a[i];
	}
	if (vcpu_cpl(vcpu))
		h.ret = -KVM_EPERM;
	else
		r = dispatch(vcpu, nr, &h);
	if (r == RUN_SLOW)
		return r;
	vcpu->stats.hypercalls++;
	if (r != RUN_GUEST)
		return r;
	gpr[GPR_RAX] = h.wide ? h.ret : (u32)h.ret;
	return vendor_call(skip_instruction)(vcpu);
}
