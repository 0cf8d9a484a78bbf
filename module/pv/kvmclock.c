// SPDX-License-Identifier: GPL-2.0
/*
 * kvmclock: a page per vCPU that turns its TSC into nanoseconds since the VM began.
 *
 * Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW. The time is the host's raw monotonic
 * clock moved to count from boot, suspend included: it runs at the TSC's own rate, so a page that
 * extrapolates from the TSC stays right without NTP's corrections.
 *
 * Master clock: when the host's clock is the TSC and all vCPUs' TSCs agree, one pair of TSC and time
 * taken at one instant serves every vCPU, and the pages say that they can be compared with each other
 * (PVCLOCK_TSC_STABLE_BIT). Otherwise each page has a pair of its own, rewritten when the vCPU changes
 * CPUs.
 */
#include <linux/ktime.h>
#include <linux/timekeeping.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "cpu/msr.h"
#include "cpu/timescale.h"
#include "cpu/tsc.h"
#include "pv/hyperv.h"
#include "vm/ops.h"

#include <uapi/asm/kvm_para.h>

#define CLOCK_KNOWN_FLAGS	(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

s64 kvmclock_base_ns(void)
{
	return ktime_get_raw_ns() + ktime_to_ns(ktime_mono_to_any(0, TK_OFFS_BOOT));
}

/* Host TSC cycles to nanoseconds. */
static u64 host_cycles_to_ns(u64 cycles)
{
	return timescale_apply(timescale_make((u64)tsc_khz * 1000, NSEC_PER_SEC), cycles);
}

/* Under clock->lock. */
static u64 clock_at(const struct vm_clock *clock, u64 host_tsc)
{
	return clock->master_ns + clock->kvmclock_offset +
	       host_cycles_to_ns(host_tsc - clock->master_tsc);
}

/* Under clock->lock. */
static u64 clock_now(const struct vm_clock *clock)
{
	if (clock->use_master)
		return clock_at(clock, rdtsc());
	return kvmclock_base_ns() + clock->kvmclock_offset;
}

u64 kvmclock_ns(struct vm *vm)
{
	unsigned long flags;
	u64 ns;

	raw_spin_lock_irqsave(&vm->clock.lock, flags);
	ns = clock_now(&vm->clock);
	raw_spin_unlock_irqrestore(&vm->clock.lock, flags);
	return ns;
}

/* Take a new reference. Under clock->lock. */
static void take_master(struct vm *vm)
{
	struct vm_clock *clock = &vm->clock;
	s64 boot_ns, real_ns;
	u64 tsc;
	bool ok;

	ok = compat_clock_snapshot(&tsc, &boot_ns, &real_ns) && tsc_khz &&
	     clock->vcpus_in_generation == atomic_read(&vm->nr_vcpus) && !clock->old_msr;
	WRITE_ONCE(clock->use_master, ok);
	if (ok) {
		clock->master_tsc = tsc;
		clock->master_ns = boot_ns;
	}
	clock->master_stale = false;
}

static void update_all_pages(struct vm *vm)
{
	struct vcpu *vcpu;
	int i;

	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu_request(vcpu, REQ_CLOCK_UPDATE);
		vcpu_kick(vcpu);
	}
}

/**
 * kvmclock_master_update - REQ_MASTERCLOCK: the conditions of the master clock may have changed
 * @vm: the VM
 *
 * Several vCPUs ask at once when user space sets their TSCs; the first one that runs does it for all.
 */
void kvmclock_master_update(struct vm *vm)
{
	struct vm_clock *clock = &vm->clock;
	unsigned long flags;
	bool stale;

	raw_spin_lock_irqsave(&clock->lock, flags);
	stale = clock->master_stale;
	if (stale)
		take_master(vm);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	if (!stale)
		return;
	hv_tsc_page_stale(vm);
	update_all_pages(vm);
}

/**
 * kvmclock_refresh - take a new reference and rewrite all pages, before this vCPU runs again
 * @vcpu: the vCPU
 */
void kvmclock_refresh(struct vcpu *vcpu)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	unsigned long flags;

	raw_spin_lock_irqsave(&clock->lock, flags);
	clock->master_stale = true;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	vcpu_request(vcpu, REQ_MASTERCLOCK);
}

/* One instant on the guest's TSC and on kvmclock. */
static void reference(struct vcpu *vcpu, struct pvclock_vcpu_time_info *page)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	unsigned long flags;
	u64 tsc;
	s64 ns;

	raw_spin_lock_irqsave(&clock->lock, flags);
	if (clock->use_master) {
		tsc = clock->master_tsc;
		ns = clock->master_ns;
		page->flags = PVCLOCK_TSC_STABLE_BIT;
	} else {
		tsc = rdtsc();
		ns = kvmclock_base_ns();
	}
	page->system_time = ns + clock->kvmclock_offset;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	page->tsc_timestamp = guest_tsc_of(vcpu, tsc);
}

/* What one tick of the guest's TSC is worth. */
static struct timescale guest_tsc_to_ns(const struct cpu_state *c)
{
	u64 hz = (u64)tsc_khz * 1000;

	if (c->tsc_ratio != cpu_caps.tsc_ratio_default)
		hz = tsc_scale(hz, c->tsc_ratio, cpu_caps.tsc_ratio_frac_bits);
	return timescale_make(hz ?: 1, NSEC_PER_SEC);
}

/**
 * kvmclock_update - REQ_CLOCK_UPDATE: rewrite the vCPU's page
 * @vcpu: the vCPU
 *
 * The version is odd while the page changes: other vCPUs may read it. A page that cannot be written is
 * the guest's mistake and its loss.
 */
int kvmclock_update(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u64 gpa = c->system_time_msr & ~(u64)KVM_MSR_ENABLED;
	struct pvclock_vcpu_time_info page = {}, old;
	struct timescale scale;

	if (!(c->system_time_msr & KVM_MSR_ENABLED) && !vcpu->vm->hv)
		return 0;
	scale = guest_tsc_to_ns(c);
	reference(vcpu, &page);
	page.tsc_shift = scale.shift;
	page.tsc_to_system_mul = scale.mul;
	hv_tsc_page_update(vcpu, &page);

	if (!(c->system_time_msr & KVM_MSR_ENABLED) || vm_read(vcpu->vm, gpa, &old, sizeof(old)))
		return 0;
	/* The guest clears it when it has noticed. */
	page.flags |= old.flags & PVCLOCK_GUEST_STOPPED;
	if (c->guest_stopped)
		page.flags |= PVCLOCK_GUEST_STOPPED;

	page.version = (old.version + 1) | 1;
	if (vcpu_write_pv(vcpu, gpa, &page.version, sizeof(page.version)))
		return 0;
	smp_wmb();
	vcpu_write_pv(vcpu, gpa, &page, sizeof(page));
	smp_wmb();
	page.version++;
	vcpu_write_pv(vcpu, gpa, &page.version, sizeof(page.version));
	c->guest_stopped = false;
	return 0;
}

/**
 * kvmclock_ctrl - KVM_KVMCLOCK_CTRL: the guest was stopped; its watchdogs shall forgive it
 * @vcpu: the vCPU
 */
int kvmclock_ctrl(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	if (!(c->system_time_msr & KVM_MSR_ENABLED))
		return -EINVAL;
	c->guest_stopped = true;
	vcpu_request(vcpu, REQ_CLOCK_UPDATE);
	return 0;
}

/**
 * kvmclock_get - KVM_GET_CLOCK
 * @vm: the VM
 * @data: out
 *
 * With a master clock the time comes with the host's TSC and wall clock of the same instant.
 */
int kvmclock_get(struct vm *vm, struct kvm_clock_data *data)
{
	struct vm_clock *clock = &vm->clock;
	s64 boot_ns, real_ns;
	unsigned long flags;
	u64 tsc;

	memset(data, 0, sizeof(*data));
	raw_spin_lock_irqsave(&clock->lock, flags);
	if (!clock->use_master) {
		data->clock = clock_now(clock);
	} else {
		data->flags = KVM_CLOCK_TSC_STABLE;
		data->host_tsc = rdtsc();
		if (compat_clock_snapshot(&tsc, &boot_ns, &real_ns)) {
			data->host_tsc = tsc;
			data->realtime = real_ns;
			data->flags |= KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
		}
		data->clock = clock_at(clock, data->host_tsc);
	}
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	return 0;
}

/**
 * kvmclock_set - KVM_SET_CLOCK
 * @vm: the VM
 * @data: the time, and KVM_CLOCK_*
 *
 * With KVM_CLOCK_REALTIME the time since the wall clock showed data->realtime is added, never taken
 * off: kvmclock does not go back.
 */
int kvmclock_set(struct vm *vm, const struct kvm_clock_data *data)
{
	struct vm_clock *clock = &vm->clock;
	u64 target = data->clock, now_real;
	unsigned long flags;

	if (data->flags & ~CLOCK_KNOWN_FLAGS)
		return -EINVAL;
	raw_spin_lock_irqsave(&clock->lock, flags);
	take_master(vm);
	if (data->flags & KVM_CLOCK_REALTIME) {
		now_real = ktime_get_real_ns();
		if (now_real > data->realtime)
			target += now_real - data->realtime;
	}
	/* Relative to what the pages use: a small target must not make them negative. */
	clock->kvmclock_offset = target - (clock->use_master ? clock->master_ns : kvmclock_base_ns());
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	hv_tsc_page_stale(vm);
	update_all_pages(vm);
	return 0;
}

/* Wall clock time when kvmclock was zero. */
static u64 wall_clock_epoch(struct vm *vm)
{
	struct vm_clock *clock = &vm->clock;
	s64 boot_ns, real_ns;
	unsigned long flags;
	u64 tsc, epoch;

	raw_spin_lock_irqsave(&clock->lock, flags);
	if (clock->use_master && compat_clock_snapshot(&tsc, &boot_ns, &real_ns))
		epoch = real_ns - clock_at(clock, tsc);
	else
		epoch = ktime_get_real_ns() - clock_now(clock);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	return epoch;
}

int msr_get_wall_clock(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = vcpu->vm->clock.wall_clock_msr;
	return 0;
}

/* The value is an address: the time is written there, now and once. */
int msr_set_wall_clock(struct vcpu *vcpu, struct msr_access *a)
{
	struct pvclock_wall_clock wc;
	struct vm *vm = vcpu->vm;
	u64 epoch, gpa = a->value;
	u32 version;

	if (vcpu->in_burst)
		return -EAGAIN;
	WRITE_ONCE(vm->clock.wall_clock_msr, gpa);
	if (!gpa || vm_read(vm, gpa, &version, sizeof(version)))
		return 0;
	/* Odd while it changes, whatever was there. */
	version = (version + 1) | 1;
	if (vcpu_write_pv(vcpu, gpa, &version, sizeof(version)))
		return 0;
	smp_wmb();
	epoch = wall_clock_epoch(vm);
	wc.version = version;
	wc.sec = div_u64_rem(epoch, NSEC_PER_SEC, &wc.nsec);
	vcpu_write_pv(vcpu, gpa, &wc, sizeof(wc));
	smp_wmb();
	version++;
	vcpu_write_pv(vcpu, gpa, &version, sizeof(version));
	return 0;
}

int msr_set_system_time(struct vcpu *vcpu, struct msr_access *a)
{
	struct vm_clock *clock = &vcpu->vm->clock;
	bool old_msr = a->index == MSR_KVM_SYSTEM_TIME;
	unsigned long flags;

	/*
	 * Guests that use the first MSR are of a time when pages could not be compared: they get
	 * no master clock, as upstream.
	 */
	if (!vcpu->id && !a->host && READ_ONCE(clock->old_msr) != old_msr) {
		raw_spin_lock_irqsave(&clock->lock, flags);
		clock->old_msr = old_msr;
		clock->master_stale = true;
		raw_spin_unlock_irqrestore(&clock->lock, flags);
		vcpu_request(vcpu, REQ_MASTERCLOCK);
	}
	vcpu->cpu_state.system_time_msr = a->value;
	vcpu_request(vcpu, REQ_CLOCK_UPDATE);
	return 0;
}
