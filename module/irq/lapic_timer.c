// SPDX-License-Identifier: GPL-2.0
/*
 * Local APIC timer: one-shot, periodic and TSC-deadline mode on one hrtimer. A deadline that is set in a burst can be left to
 * the CPU, which counts down to it while the guest runs: then nothing has to be programmed, and no interrupt of the host's
 * ends the burst. Whoever stops the vCPU from running gives it to the hrtimer.
 *
 * The callback delivers the interrupt itself, so nothing is left for the vCPU to pick up but IRR.
 * hrtimer_cancel() waits for a callback on another CPU, never longer than the callback takes, and is
 * therefore allowed inside bursts like any spinlock.
 */
#include <linux/ktime.h>

#include "irq/lapic.h"

/* hrtimers are not throttled by the host's scheduler: a guest must not flood a CPU with them. */
#define MIN_PERIOD_NS	(200 * NSEC_PER_USEC)
#define LVTT_MODE	(APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)

static inline bool is_periodic(const struct lapic_timer *t)
{
	return READ_ONCE(t->mode) == APIC_LVT_TIMER_PERIODIC;
}

static inline bool is_tscdeadline(const struct lapic_timer *t)
{
	return t->mode == APIC_LVT_TIMER_TSCDEADLINE;
}

/* Nanoseconds of one count. */
static u64 count_ns(const struct lapic *apic)
{
	u64 cycle_ns = READ_ONCE(apic->vcpu->vm->caps.apic_bus_cycle_ns) ?: 1;

	return apic_mul_max(cycle_ns, apic->timer.divisor, KTIME_MAX);
}

static void set_period(struct lapic *apic)
{
	struct lapic_timer *t = &apic->timer;
	s64 period = apic_mul_max(lapic_reg(apic, APIC_TMICT), count_ns(apic), KTIME_MAX);

	if (period && is_periodic(t))
		period = max_t(s64, period, MIN_PERIOD_NS);
	WRITE_ONCE(t->period, period);
}

static void expired(struct lapic *apic)
{
	lapic_local_deliver(apic, LVT_TIMER);
	if (is_tscdeadline(&apic->timer))
		WRITE_ONCE(apic->timer.tscdeadline, 0);
}

/* Missed periods are not made up for: IRR holds one interrupt, however many there were. */
static void advance_target(struct lapic_timer *t)
{
	ktime_t now = ktime_get();

	t->target = ktime_add_safe(t->target, READ_ONCE(t->period));
	if (ktime_before(t->target, now))
		t->target = now;
}

static enum hrtimer_restart timer_fn(struct hrtimer *timer)
{
	struct lapic *apic = container_of(timer, struct lapic, timer.timer);
	struct lapic_timer *t = &apic->timer;

	expired(apic);
	if (!is_periodic(t) || !READ_ONCE(t->period))
		return HRTIMER_NORESTART;
	advance_target(t);
	hrtimer_set_expires(timer, t->target);
	return HRTIMER_RESTART;
}

void lapic_timer_init(struct lapic *apic)
{
	compat_hrtimer_setup(&apic->timer.timer, timer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	apic->timer.divisor = apic_divisor(0);
}

void lapic_timer_cancel(struct lapic *apic)
{
	apic->vcpu->cpu_deadline = 0;
	hrtimer_cancel(&apic->timer.timer);
}

static void start_until(struct lapic_timer *t, ktime_t when)
{
	hrtimer_start(&t->timer, when, HRTIMER_MODE_ABS_HARD);
}

static void arm_count(struct lapic *apic)
{
	struct lapic_timer *t = &apic->timer;

	if (!t->period)
		return;
	if (ktime_after(ktime_get(), t->target)) {
		expired(apic);
		if (!is_periodic(t))
			return;
		advance_target(t);
	}
	start_until(t, t->target);
}

/* The CPU counts the host's TSC. One that is scaled would need a division, and gets the hrtimer. */
static bool leave_to_cpu(struct vcpu *vcpu, u64 deadline)
{
	if (!vcpu->in_burst || !vcpu->cpu_timer || vcpu->cpu_state.tsc_ratio != cpu_caps.tsc_ratio_default ||
	    deadline <= guest_tsc(vcpu))
		return false;
	vcpu->cpu_deadline = deadline - vcpu->cpu_state.tsc_offset;
	return true;
}

static void arm_tscdeadline(struct lapic *apic)
{
	struct lapic_timer *t = &apic->timer;
	u32 khz = apic->vcpu->cpu_state.tsc_khz;
	unsigned long flags;
	ktime_t now;
	u64 tsc, ns;

	if (!t->tscdeadline || !khz)
		return;
	if (leave_to_cpu(apic->vcpu, t->tscdeadline))
		return;
	/* Nothing comes between the readings of the two clocks. */
	local_irq_save(flags);
	now = ktime_get();
	tsc = guest_tsc(apic->vcpu);
	if (t->tscdeadline > tsc) {
		ns = apic_cycles_to_ns(t->tscdeadline - tsc, khz, KTIME_MAX);
		start_until(t, ktime_add_safe(now, ns));
	} else {
		expired(apic);
	}
	local_irq_restore(flags);
}

static void arm(struct lapic *apic)
{
	if (is_tscdeadline(&apic->timer))
		arm_tscdeadline(apic);
	else
		arm_count(apic);
}

/*
 * How long the first period lasts. KVM_SET_LAPIC continues from the current count (@count_reg is
 * TMCCT): 0 there means a full period in periodic mode and 'expired' in one-shot mode, and a count
 * above the initial one is not possible.
 */
static s64 first_period(struct lapic *apic, u32 count_reg)
{
	struct lapic_timer *t = &apic->timer;
	s64 ns;

	if (count_reg == APIC_TMICT)
		return t->period;
	ns = apic_mul_max(lapic_reg(apic, count_reg), count_ns(apic), KTIME_MAX);
	if (!ns)
		return is_periodic(t) ? t->period : 0;
	return min(ns, t->period);
}

/**
 * lapic_timer_start - start from the registers; the timer is cancelled
 * @apic: whose timer
 * @count_reg: APIC_TMICT, or APIC_TMCCT to continue
 */
void lapic_timer_start(struct lapic *apic, u32 count_reg)
{
	struct lapic_timer *t = &apic->timer;

	if (!is_tscdeadline(t)) {
		set_period(apic);
		t->target = ktime_add_safe(ktime_get(), first_period(apic, count_reg));
	}
	arm(apic);
}

/*
 * SDM, TSC-Deadline Mode: a switch to or from it disarms the timer; one-shot and periodic mix freely. True: it was such a
 * switch.
 */
bool lapic_timer_lvtt_changed(struct lapic *apic)
{
	struct lapic_timer *t = &apic->timer;
	u32 mode = lapic_reg(apic, APIC_LVTT) & LVTT_MODE;
	bool switched = (mode == APIC_LVT_TIMER_TSCDEADLINE) != is_tscdeadline(t);

	if (mode == t->mode)
		return false;
	if (switched) {
		lapic_timer_cancel(apic);
		lapic_set_reg(apic, APIC_TMICT, 0);
		WRITE_ONCE(t->period, 0);
		WRITE_ONCE(t->tscdeadline, 0);
	}
	WRITE_ONCE(t->mode, mode);
	if (t->period && mode == APIC_LVT_TIMER_PERIODIC)
		WRITE_ONCE(t->period, max_t(s64, t->period, MIN_PERIOD_NS));
	return switched;
}

static s64 remaining_ns(const struct lapic_timer *t)
{
	return clamp_t(s64, ktime_to_ns(ktime_sub(t->target, ktime_get())), 0, t->period);
}

/* The divisor takes effect at once: what is left of the count goes on at the new speed. */
void lapic_timer_tdcr_changed(struct lapic *apic)
{
	struct lapic_timer *t = &apic->timer;
	u32 old = t->divisor;
	u64 left;

	t->divisor = apic_divisor(lapic_reg(apic, APIC_TDCR));
	if (t->divisor == old || !t->period || !hrtimer_cancel(&t->timer))
		return;
	left = apic_mul_max(remaining_ns(t) / old, t->divisor, KTIME_MAX);
	set_period(apic);
	t->target = ktime_add_safe(ktime_get(), left);
	arm(apic);
}

/* TMCCT */
u32 lapic_timer_count(struct lapic *apic)
{
	struct lapic_timer *t = &apic->timer;

	if (is_tscdeadline(t) || !t->period)
		return 0;
	return div64_u64(remaining_ns(t), count_ns(apic));
}

u64 lapic_get_tscdeadline(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	if (!apic || !lapic_hw_enabled(apic) || !is_tscdeadline(&apic->timer))
		return 0;
	if (test_bit(REQ_DEADLINE, &vcpu->requests))
		return apic->timer.user_deadline;
	return READ_ONCE(apic->timer.tscdeadline);
}

/*
 * User space restores the deadline, the timer's mode and the TSC in any order: what it has set counts when the vCPU
 * runs. Armed at once, a deadline would be ignored before the mode is there, or be over before the TSC is.
 */
void lapic_stage_tscdeadline(struct vcpu *vcpu, u64 deadline)
{
	if (is_tscdeadline(&vcpu->lapic->timer))
		lapic_timer_cancel(vcpu->lapic);
	vcpu->lapic->timer.user_deadline = deadline;
	vcpu_request(vcpu, REQ_DEADLINE);
}

void lapic_arm_staged(struct vcpu *vcpu)
{
	if (vcpu->lapic && vcpu_take_request(vcpu, REQ_DEADLINE))
		lapic_set_tscdeadline(vcpu, vcpu->lapic->timer.user_deadline);
}

void lapic_set_tscdeadline(struct vcpu *vcpu, u64 deadline)
{
	struct lapic *apic = vcpu->lapic;

	if (!apic || !lapic_hw_enabled(apic) || !is_tscdeadline(&apic->timer))
		return;
	lapic_timer_cancel(apic);
	apic->timer.tscdeadline = deadline;
	arm(apic);
}

void lapic_tsc_changed(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	if (!apic || !is_tscdeadline(&apic->timer))
		return;
	lapic_timer_cancel(apic);
	arm(apic);
}

void lapic_timer_to_host(struct vcpu *vcpu)
{
	lapic_timer_cancel(vcpu->lapic);
	arm_tscdeadline(vcpu->lapic);
}

void lapic_cpu_timer_expired(struct vcpu *vcpu)
{
	if (!vcpu->cpu_deadline || rdtsc() < vcpu->cpu_deadline)
		return;
	vcpu->cpu_deadline = 0;
	expired(vcpu->lapic);
}
