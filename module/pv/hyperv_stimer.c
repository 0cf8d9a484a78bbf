// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: synthetic timers. Four of them tell a virtual processor that the reference time has come,
 * by a message of its SynIC or directly by a vector of its local APIC (TLFS, Synthetic Timers).
 *
 * The host's timer only makes the vCPU look: what follows needs the guest's memory and its clock, and a
 * period shorter than its own handling then costs nobody but this vCPU.
 */
#include <linux/bitfield.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/nospec.h>
#include <linux/overflow.h>

#include "cpu/msr.h"
#include "irq/irq.h"
#include "pv/hyperv.h"

/* A guest must not flood a CPU with interrupts of the host: as for the local APIC's timer. 100 ns. */
#define MIN_PERIOD	(200 * NSEC_PER_USEC / 100)

static void mark_expired(struct hv_stimer *t)
{
	set_bit(t->index, &t->vcpu->hv->expired);
	vcpu_request(t->vcpu, REQ_HYPERV);
}

static enum hrtimer_restart timer_fn(struct hrtimer *timer)
{
	struct hv_stimer *t = container_of(timer, struct hv_stimer, timer);

	mark_expired(t);
	vcpu_wake(t->vcpu);
	return HRTIMER_NORESTART;
}

void hv_stimers_init(struct vcpu_hv *hv)
{
	int i;

	for (i = 0; i < HV_STIMERS; i++) {
		hv->stimer[i].index = i;
		hv->stimer[i].vcpu = hv->vcpu;
		compat_hrtimer_setup(&hv->stimer[i].timer, timer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	}
}

static void stop(struct vcpu_hv *hv, struct hv_stimer *t)
{
	hrtimer_cancel(&t->timer);
	clear_bit(t->index, &hv->expired);
	t->undelivered = false;
	t->expires = 0;
}

void hv_stimers_stop(struct vcpu_hv *hv)
{
	int i;

	for (i = 0; i < HV_STIMERS; i++)
		stop(hv, &hv->stimer[i]);
}

/* Periods that were missed are not made up for. */
static u64 next_period(const struct hv_stimer *t, u64 now)
{
	u64 period = max_t(u64, t->count, MIN_PERIOD), expires, late;

	if (t->expires && now < t->expires)
		return t->expires;
	late = 0;
	if (t->expires)
		div64_u64_rem(now - t->expires, period, &late);
	return check_add_overflow(now, period - late, &expires) ? U64_MAX : expires;
}

static ktime_t deadline(u64 from, u64 to)
{
	u64 ns;

	if (check_mul_overflow(to - from, (u64)100, &ns) || ns > KTIME_MAX)
		return KTIME_MAX;
	return ktime_add_safe(ktime_get(), ns);
}

/* It is enabled and has a count. */
static void start(struct hv_stimer *t)
{
	u64 now = hv_reference_time(t->vcpu->vm);

	if (t->config & HV_STIMER_PERIODIC) {
		t->expires = next_period(t, now);
	} else {
		t->expires = t->count;
		/* A time in the past has come. */
		if (now >= t->count) {
			mark_expired(t);
			return;
		}
	}
	hrtimer_start(&t->timer, deadline(now, t->expires), HRTIMER_MODE_ABS_HARD);
}

static int send_message(struct hv_stimer *t)
{
	struct hv_timer_payload payload = {
		.timer = t->index,
		.expired = t->expires,
		.delivered = hv_reference_time(t->vcpu->vm),
	};
	struct hv_message msg = {
		.type = HV_MESSAGE_TIMER,
		.payload_size = sizeof(payload),
	};

	memcpy(msg.payload, &payload, sizeof(payload));
	/* Of a periodic timer the next message tells as much. */
	return hv_synic_post(t->vcpu, FIELD_GET(HV_STIMER_SINT, t->config), &msg,
			     !(t->config & HV_STIMER_PERIODIC));
}

static int send_vector(struct hv_stimer *t)
{
	if (!t->vcpu->lapic)
		return 0;
	return lapic_send_vector(t->vcpu, FIELD_GET(HV_STIMER_VECTOR, t->config), t->vcpu) ? 0 : -EFAULT;
}

static void expire(struct hv_stimer *t)
{
	int r = t->config & HV_STIMER_DIRECT ? send_vector(t) : send_message(t);

	t->undelivered = r;
	if (!r && !(t->config & HV_STIMER_PERIODIC))
		t->config &= ~HV_STIMER_ENABLE;
}

static void run_timer(struct vcpu_hv *hv, struct hv_stimer *t)
{
	if (!(t->config & HV_STIMER_ENABLE))
		return;
	if (t->expires && hv_reference_time(t->vcpu->vm) >= t->expires)
		expire(t);
	if (!(t->config & HV_STIMER_ENABLE) || !t->count)
		stop(hv, t);
	else if (!t->undelivered)
		start(t);
}

void hv_stimers_run(struct vcpu *vcpu)
{
	struct vcpu_hv *hv = vcpu->hv;
	int i;

	for (i = 0; i < HV_STIMERS; i++)
		if (test_and_clear_bit(i, &hv->expired))
			run_timer(hv, &hv->stimer[i]);
}

void hv_stimers_retry(struct vcpu *vcpu, u32 sint)
{
	struct hv_stimer *t;
	int i;

	for (i = 0; i < HV_STIMERS; i++) {
		t = &vcpu->hv->stimer[i];
		if (t->undelivered && t->config & HV_STIMER_ENABLE && !(t->config & HV_STIMER_DIRECT) &&
		    FIELD_GET(HV_STIMER_SINT, t->config) == sint)
			mark_expired(t);
	}
}

static int set_config(struct vcpu *vcpu, struct hv_stimer *t, u64 config, bool host)
{
	struct vcpu_hv *hv = vcpu->hv;

	if (!host && hv->enforce && config & HV_STIMER_DIRECT && !(hv->features.edx & HV_HAS_DIRECT_STIMER))
		return -EINVAL;
	stop(hv, t);
	/* TLFS, Synthetic Timer Configuration Register: without a SINT an enabled timer becomes disabled. */
	if (t->config & HV_STIMER_ENABLE && !(config & (HV_STIMER_DIRECT | HV_STIMER_SINT)))
		config &= ~HV_STIMER_ENABLE;
	t->config = config;
	return 0;
}

static int set_count(struct vcpu *vcpu, struct hv_stimer *t, u64 count, bool host)
{
	stop(vcpu->hv, t);
	t->count = count;
	/* User space restores configuration and count as they were, in any order. */
	if (host)
		return 0;
	if (!count)
		t->config &= ~HV_STIMER_ENABLE;
	else if (t->config & HV_STIMER_AUTO_ENABLE)
		t->config |= HV_STIMER_ENABLE;
	return 0;
}

/* Configuration and count take turns. */
static struct hv_stimer *timer_of(struct vcpu *vcpu, u32 msr, bool *is_count)
{
	u32 n = msr - HV_MSR_STIMER0_CONFIG;

	*is_count = n & 1;
	return &vcpu->hv->stimer[array_index_nospec(n / 2, HV_STIMERS)];
}

int hv_stimer_get_msr(struct vcpu *vcpu, struct msr_access *a)
{
	bool is_count;
	const struct hv_stimer *t = timer_of(vcpu, a->index, &is_count);

	a->value = is_count ? t->count : t->config;
	return 0;
}

int hv_stimer_set_msr(struct vcpu *vcpu, struct msr_access *a)
{
	bool is_count;
	struct hv_stimer *t = timer_of(vcpu, a->index, &is_count);
	int r;

	if (!vcpu->hv->synic.active && (!a->host || a->value))
		return -EINVAL;
	r = is_count ? set_count(vcpu, t, a->value, a->host) : set_config(vcpu, t, a->value, a->host);
	/* It is started where it may be compared with the clock, behind whatever else is set. */
	if (!r && t->config & HV_STIMER_ENABLE)
		mark_expired(t);
	return r;
}
