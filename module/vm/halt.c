// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting for a halted vCPU's next event: a while spinning, then asleep.
 *
 * A wake-up through the scheduler costs more than a short halt lasts. How long it pays to spin is learnt from the halts
 * that went before: the time grows while sleeping would have been in vain, and is given up when halts get long.
 */
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>

#include "pv/pv.h"
#include "vm/halt.h"
#include "vm/vm.h"

/* Names, meanings and defaults are those of upstream's parameters. */
static unsigned int halt_poll_ns = 200000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns, "Longest time that a halted vCPU waits for an event before it sleeps (default 200000)");

static unsigned int halt_poll_ns_grow = 2;
module_param(halt_poll_ns_grow, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow, "What that time is multiplied by to make it longer; 0: it stays (default 2)");

static unsigned int halt_poll_ns_grow_start = 10000;
module_param(halt_poll_ns_grow_start, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow_start, "The shortest time but none (default 10000)");

static unsigned int halt_poll_ns_shrink = 2;
module_param(halt_poll_ns_shrink, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_shrink, "What it is divided by to make it shorter; 0: down to none (default 2)");

static u32 halt_poll_limit(const struct vm *vm)
{
	/* Pairs with the release where KVM_CAP_HALT_POLL is enabled. */
	if (smp_load_acquire(&vm->caps.halt_poll_set))
		return READ_ONCE(vm->caps.halt_poll_ns);
	return READ_ONCE(halt_poll_ns);
}

static u32 longer(u32 ns, u32 limit)
{
	u32 by = READ_ONCE(halt_poll_ns_grow);

	if (!by)
		return ns;
	return clamp_t(u64, (u64)ns * by, min(READ_ONCE(halt_poll_ns_grow_start), limit), limit);
}

static u32 shorter(u32 ns)
{
	u32 by = READ_ONCE(halt_poll_ns_shrink);

	ns = by ? ns / by : 0;
	return ns < READ_ONCE(halt_poll_ns_grow_start) ? 0 : ns;
}

/* After a halt of @halted nanoseconds in all. */
static void learn(struct vcpu *vcpu, u64 halted)
{
	u32 limit = halt_poll_limit(vcpu->vm), ns = min(vcpu->halt_poll_ns, limit);

	if (ns && halted > limit)
		ns = shorter(ns);
	else if (halted > ns && halted < limit)
		ns = longer(ns, limit);
	vcpu->halt_poll_ns = ns;
}

/* A guest that polls for itself before it halts turns the host's polling off: MSR_KVM_POLL_CONTROL. */
static bool may_poll(const struct vcpu *vcpu)
{
	return vcpu->mp_state == KVM_MP_STATE_HALTED && vcpu->cpu_state.poll_control & 1;
}

static bool must_wait(struct vcpu *vcpu)
{
	return !vcpu_must_wake(vcpu) && !signal_pending(current);
}

/* True when the event came. */
static bool poll(struct vcpu *vcpu, ktime_t start)
{
	ktime_t stop = ktime_add_ns(start, min(vcpu->halt_poll_ns, halt_poll_limit(vcpu->vm))), now;

	vcpu->stats.halt_attempted_poll++;
	do {
		if (!must_wait(vcpu)) {
			vcpu->stats.halt_successful_poll++;
			vcpu->stats.halt_poll_success_ns += ktime_to_ns(ktime_sub(ktime_get(), start));
			return true;
		}
		cpu_relax();
		now = ktime_get();
	} while (single_task_running() && !need_resched() && ktime_before(now, stop));
	vcpu->stats.halt_poll_fail_ns += ktime_to_ns(ktime_sub(now, start));
	return false;
}

/**
 * vcpu_sleep - until there is something to do, or a signal
 * @vcpu: the vCPU, in any state but running
 */
void vcpu_sleep(struct vcpu *vcpu)
{
	prepare_to_rcuwait(&vcpu->wait);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!must_wait(vcpu))
			break;
		schedule();
	}
	finish_rcuwait(&vcpu->wait);
}

/**
 * vcpu_wait - like vcpu_sleep(), but short halts are waited for awake
 * @vcpu: the vCPU
 */
void vcpu_wait(struct vcpu *vcpu)
{
	bool polls = may_poll(vcpu);
	ktime_t start = ktime_get(), asleep;

	if (!polls || !vcpu->halt_poll_ns || !poll(vcpu, start)) {
		asleep = ktime_get();
		steal_time_preempted(vcpu);
		vcpu_sleep(vcpu);
		vcpu->stats.halt_wait_ns += ktime_to_ns(ktime_sub(ktime_get(), asleep));
	}
	if (polls)
		learn(vcpu, ktime_to_ns(ktime_sub(ktime_get(), start)));
}
