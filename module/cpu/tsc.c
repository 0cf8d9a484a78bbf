// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's time-stamp counter: guest TSC = host TSC * ratio + offset.
 *
 * User space sets the TSCs of a VM's vCPUs one after the other; writes that come close together are
 * taken as meant to be the same (KVM_SET_MSRS has no other way to say it), and get one offset. Such
 * vCPUs are of one generation. When all are, and the host's own clock is its TSC, kvmclock can be one
 * line for the whole VM (the master clock, pv/kvmclock.c).
 */
#include <asm/tsc.h>

#include "cpu/msr.h"
#include "cpu/timescale.h"
#include "cpu/tsc.h"
#include "irq/irq.h"
#include "vm/ops.h"

/* Frequencies this close to the host's need no scaling. */
#define TSC_TOLERANCE_PPM	250

/* Cycles that the host's TSC lost in suspend, all in all: a CPU may restart at zero. */
static u64 cycles_lost, suspended_at;
static u32 resumes;

static u64 scale(const struct cpu_state *c, u64 tsc)
{
	if (c->tsc_ratio == cpu_caps.tsc_ratio_default)
		return tsc;
	return tsc_scale(tsc, c->tsc_ratio, cpu_caps.tsc_ratio_frac_bits);
}

u64 guest_tsc_of(struct vcpu *vcpu, u64 host_tsc)
{
	return scale(&vcpu->cpu_state, host_tsc) + vcpu->cpu_state.tsc_offset;
}

u64 guest_tsc(struct vcpu *vcpu)
{
	return guest_tsc_of(vcpu, rdtsc());
}

/* Offset or ratio changed: tell the CPU, and those who computed with the old ones. */
static void tsc_changed(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	vendor->write_tsc_offset(vcpu, c->tsc_offset, c->tsc_ratio);
	if (vcpu->lapic)
		lapic_tsc_changed(vcpu);
	vcpu_request(vcpu, REQ_CLOCK_UPDATE);
}

static u64 ns_to_cycles(const struct cpu_state *c, u64 ns)
{
	return timescale_apply(timescale_make(NSEC_PER_SEC, (u64)c->tsc_khz * 1000), ns);
}

/* Joins the vCPU to the current generation, or begins one with it. Under clock->lock. */
static void join_generation(struct vcpu *vcpu, bool matched)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	struct cpu_state *c = &vcpu->cpu_state;

	if (!matched) {
		clock->generation++;
		clock->vcpus_in_generation = 1;
		clock->generation_offset = c->tsc_offset;
	} else if (c->tsc_generation != clock->generation) {
		clock->vcpus_in_generation++;
	}
	c->tsc_generation = clock->generation;
	clock->master_stale = true;
	vcpu_request(vcpu, REQ_MASTERCLOCK);
}

static void remember_write(struct vcpu *vcpu, u64 value, s64 now)
{
	struct vm_clock *clock = &vcpu->vm->clock;

	clock->last_tsc_ns = now;
	clock->last_tsc_write = value;
	clock->last_tsc_khz = vcpu->cpu_state.tsc_khz;
	clock->last_tsc_offset = vcpu->cpu_state.tsc_offset;
}

/*
 * Is @value meant to be what the vCPU written last has by now? Zero is: 'the same as the others'. Else
 * within a second, once user space has written at all: what a VM that is younger than that gets restored
 * must not be bent to what its creation left.
 */
static bool means_same(struct vcpu *vcpu, u64 value, u64 elapsed_ns)
{
	const struct vm_clock *clock = &vcpu->vm->clock;
	const struct cpu_state *c = &vcpu->cpu_state;
	u64 second = (u64)c->tsc_khz * 1000;
	u64 expected;

	if (!c->tsc_khz || c->tsc_khz != clock->last_tsc_khz)
		return false;
	if (!value)
		return true;
	if (!clock->user_set_tsc)
		return false;
	expected = clock->last_tsc_write + ns_to_cycles(c, elapsed_ns);
	return value < expected + second && value + second > expected;
}

/* Set the TSC with all others of the VM in mind. @user: KVM_SET_MSRS, not the vCPU's creation. */
static void synchronize(struct vcpu *vcpu, u64 value, bool user)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	struct cpu_state *c = &vcpu->cpu_state;
	unsigned long flags;
	u64 elapsed;
	bool same;
	s64 now;

	raw_spin_lock_irqsave(&clock->lock, flags);
	now = kvmclock_base_ns();
	elapsed = now - clock->last_tsc_ns;
	same = means_same(vcpu, value, elapsed);
	if (same && check_tsc_unstable())
		/* Offsets mean nothing across CPUs: go by time. */
		value = clock->last_tsc_write + ns_to_cycles(c, elapsed);
	c->tsc_offset = same && !check_tsc_unstable() ? clock->generation_offset :
							value - scale(c, rdtsc());
	if (user)
		clock->user_set_tsc = true;
	remember_write(vcpu, value, now);
	join_generation(vcpu, same);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
}

/**
 * tsc_write - the TSC is written
 * @vcpu: the vCPU
 * @value: what the guest is to read now
 * @host: by user space: synchronised with the other vCPUs' as described above
 */
void tsc_write(struct vcpu *vcpu, u64 value, bool host)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u64 delta;

	if (host) {
		synchronize(vcpu, value, true);
	} else {
		delta = value - guest_tsc(vcpu);
		c->tsc_offset += delta;
		/* SDM, IA32_TSC_ADJUST MSR: it shows by how much the TSC was moved. */
		c->tsc_adjust += delta;
	}
	tsc_changed(vcpu);
}

/**
 * tsc_set_offset - KVM_VCPU_TSC_OFFSET: exact, without guessing
 * @vcpu: the vCPU
 * @offset: to the host TSC times the ratio
 */
void tsc_set_offset(struct vcpu *vcpu, u64 offset)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	struct cpu_state *c = &vcpu->cpu_state;
	unsigned long flags;
	bool matched;

	raw_spin_lock_irqsave(&clock->lock, flags);
	matched = c->tsc_khz && clock->last_tsc_khz == c->tsc_khz && clock->last_tsc_offset == offset;
	c->tsc_offset = offset;
	clock->user_set_tsc = true;
	remember_write(vcpu, guest_tsc(vcpu), kvmclock_base_ns());
	join_generation(vcpu, matched);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	tsc_changed(vcpu);
}

/* The ratio for a frequency, or 0 when this host cannot give it. */
static u64 ratio_for(u32 khz)
{
	u64 ratio;

	if (khz_within(khz, tsc_khz, TSC_TOLERANCE_PPM))
		return cpu_caps.tsc_ratio_default;
	if (!cpu_caps.tsc_scaling)
		return 0;
	ratio = tsc_ratio(khz, tsc_khz, cpu_caps.tsc_ratio_frac_bits);
	return ratio < cpu_caps.tsc_ratio_max ? ratio : 0;
}

/**
 * tsc_khz_possible - can a guest's TSC run at this frequency on this host?
 * @khz: 0: the host's
 */
bool tsc_khz_possible(u32 khz)
{
	return ratio_for(khz ?: tsc_khz);
}

/* Without a vendor call: at creation the vendor's part does not exist yet. */
static int set_khz(struct cpu_state *c, u32 khz)
{
	u64 ratio;

	if (!khz)
		khz = tsc_khz;
	/* Calibration failed: there is no frequency to speak of. */
	if (!khz)
		return -EINVAL;
	ratio = ratio_for(khz);
	if (!ratio)
		return -EINVAL;
	c->tsc_khz = khz;
	c->tsc_ratio = ratio;
	return 0;
}

/**
 * tsc_set_khz - KVM_SET_TSC_KHZ
 * @vcpu: the vCPU
 * @khz: 0: the host's
 *
 * -EINVAL when the frequency differs from the host's and the CPU has no TSC scaling. (Upstream lets the
 * guest's TSC jump forward now and then instead.)
 */
int tsc_set_khz(struct vcpu *vcpu, u32 khz)
{
	int err = set_khz(&vcpu->cpu_state, khz);

	if (err) {
		pr_info_ratelimited("%s vCPU %u: no TSC of %u kHz on this host of %u kHz\n",
				    vcpu->vm->name, vcpu->id, khz, tsc_khz);
		return err;
	}
	tsc_changed(vcpu);
	return 0;
}

int msr_get_tsc(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = guest_tsc(vcpu);
	return 0;
}

int msr_set_tsc(struct vcpu *vcpu, struct msr_access *a)
{
	tsc_write(vcpu, a->value, a->host);
	return 0;
}

int msr_set_tsc_adjust(struct vcpu *vcpu, struct msr_access *a)
{
	struct cpu_state *c = &vcpu->cpu_state;

	if (!guest_has(vcpu, X86_FEATURE_TSC_ADJUST))
		return 0;
	/* User space restores the TSC itself apart from this. */
	if (!a->host && a->value != c->tsc_adjust) {
		c->tsc_offset += a->value - c->tsc_adjust;
		tsc_changed(vcpu);
	}
	c->tsc_adjust = a->value;
	return 0;
}

/* Around the host's sleep: one CPU is on, no task runs. */
static void tsc_suspend(void)
{
	suspended_at = rdtsc();
}

static void tsc_resume(void)
{
	u64 now = rdtsc();

	if (now < suspended_at)
		cycles_lost += suspended_at - now;
	resumes++;
}

COMPAT_SYSCORE(tsc_syscore, tsc_suspend, tsc_resume);

void tsc_setup(void)
{
	compat_register_syscore(&tsc_syscore);
}

void tsc_cleanup(void)
{
	compat_unregister_syscore(&tsc_syscore);
}

/* The first burst after a resume: guest TSCs go on from where they were, all by the same amount. */
static void after_resume(struct vcpu *vcpu)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	struct cpu_state *c = &vcpu->cpu_state;
	u64 lost = cycles_lost;
	unsigned long flags;

	raw_spin_lock_irqsave(&clock->lock, flags);
	c->tsc_offset += scale(c, lost - c->cycles_lost);
	if (c->tsc_generation == clock->generation)
		clock->generation_offset = c->tsc_offset;
	clock->master_stale = true;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	c->cycles_lost = lost;
	c->resumes = resumes;
	vcpu_request(vcpu, REQ_MASTERCLOCK);
	tsc_changed(vcpu);
}

/* On another CPU than before. */
static void cpu_changed(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u64 now;

	if (unlikely(check_tsc_unstable()) && c->last_guest_tsc) {
		now = guest_tsc(vcpu);
		if (now < c->last_guest_tsc) {
			c->tsc_offset += c->last_guest_tsc - now;
			tsc_changed(vcpu);
		}
	}
	/* Without a master clock a vCPU's clock is tied to its CPU's TSC. */
	if (!READ_ONCE(vcpu->vm->clock.use_master))
		vcpu_request(vcpu, REQ_CLOCK_UPDATE);
}

void tsc_enter(struct vcpu *vcpu)
{
	if (unlikely(vcpu->cpu_state.resumes != resumes))
		after_resume(vcpu);
	if (unlikely(vcpu->cpu != vcpu->last_cpu))
		cpu_changed(vcpu);
}

void tsc_leave(struct vcpu *vcpu)
{
	/* What cpu_changed() looks at; a stable TSC needs no such care. */
	if (unlikely(check_tsc_unstable()))
		vcpu->cpu_state.last_guest_tsc = guest_tsc(vcpu);
}

void tsc_vcpu_init(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	c->tsc_ratio = cpu_caps.tsc_ratio_default;
	c->cycles_lost = cycles_lost;
	c->resumes = resumes;
	/* What KVM_SET_TSC_KHZ on the VM accepted; at worst the host's. */
	if (set_khz(c, vcpu->vm->clock.default_tsc_khz))
		set_khz(c, 0);
	synchronize(vcpu, 0, false);
}

void tsc_vcpu_reset(struct vcpu *vcpu)
{
	tsc_changed(vcpu);
}

void tsc_vcpu_destroy(struct vcpu *vcpu)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	unsigned long flags;

	/* A vCPU whose creation failed is not waited for. */
	raw_spin_lock_irqsave(&clock->lock, flags);
	if (vcpu->cpu_state.tsc_generation == clock->generation)
		clock->vcpus_in_generation--;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
}

void cpu_vm_init(struct vm *vm)
{
	struct vm_clock *clock = &vm->clock;

	raw_spin_lock_init(&clock->lock);
	clock->default_tsc_khz = tsc_khz;
	/* kvmclock begins at zero with the VM. */
	clock->kvmclock_offset = -kvmclock_base_ns();
}
