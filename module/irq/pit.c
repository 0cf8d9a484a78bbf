// SPDX-License-Identifier: GPL-2.0
/*
 * The 8254 timer at ports 0x40 to 0x43, and the speaker port 0x61 that shows its channel 2.
 *
 * Channel 0 is GSI 0. Ticks that the guest is too slow to take are made up for (reinjection): a tick is
 * only sent once the one before is acknowledged, and those in between are counted. Guests that keep time
 * by counting ticks need that; KVM_REINJECT_CONTROL turns it off.
 */
#include <linux/hrtimer.h>
#include <linux/slab.h>

#include "irq/chips.h"
#include "irq/lapic.h"
#include "irq/pit_logic.h"

#define PIT_PORT	0x40
#define PIT_PORTS	4
#define PIT_COMMAND	3
#define SPEAKER_PORT	0x61
#define SPEAKER_PORTS	4
#define PIT_GSI		0

#define SPEAKER_GATE	BIT(0)
#define SPEAKER_DATA	BIT(1)
#define SPEAKER_REFRESH	BIT(4)
#define SPEAKER_OUT	BIT(5)

/* hrtimers are not throttled by the host's scheduler: a guest must not flood a CPU with them. */
#define MIN_PERIOD_NS	(200 * NSEC_PER_USEC)

#define PIT_FLAGS	(KVM_PIT_FLAGS_HPET_LEGACY | KVM_PIT_FLAGS_SPEAKER_DATA_ON)

struct pit {
	struct vm *vm;				/* [c] */
	raw_spinlock_t lock;
	struct kvm_pit_channel_state channel[3];	/* [lock] */
	u32 flags;				/* [lock] KVM_PIT_FLAGS_* */
	struct hrtimer timer;			/* channel 0 */
	s64 period;				/* 0: once; changes only while the timer is cancelled */
	struct mutex mutex;
	bool reinject;				/* [mutex] others read it */
	atomic_t owed;				/* with reinject: ticks not yet acknowledged */
	atomic_t ready;				/* with reinject: the last tick was acknowledged */
	struct irq_ack_notifier ack;
	struct iodev dev, speaker;
	bool has_speaker;			/* [c] the speaker port is registered */
};

static void reset_reinject(struct pit *pit)
{
	atomic_set(&pit->owed, 0);
	atomic_set(&pit->ready, 1);
}

static void tick(struct pit *pit)
{
	struct vcpu *vcpu;
	int i;

	irq_set_gsi(pit->vm, IRQ_SOURCE_PIT, PIT_GSI, 1);
	irq_set_gsi(pit->vm, IRQ_SOURCE_PIT, PIT_GSI, 0);

	/* The NMI watchdog of old kernels: the tick reaches LINT0 of every CPU that has it as an NMI. */
	if (likely(!atomic_read(&pit->vm->irq->nmi_lvt0s)))
		return;
	vm_for_each_vcpu(i, vcpu, pit->vm)
		if (vcpu->lapic && READ_ONCE(vcpu->lapic->lvt0_nmi))
			lapic_local_deliver(vcpu->lapic, LVT_LINT0);
}

static enum hrtimer_restart pit_timer_fn(struct hrtimer *timer)
{
	struct pit *pit = container_of(timer, struct pit, timer);

	if (READ_ONCE(pit->reinject)) {
		/* A guest that never acknowledges must not turn the counter around. */
		atomic_add_unless(&pit->owed, 1, INT_MAX);
		if (atomic_xchg(&pit->ready, 0))
			tick(pit);
	} else {
		tick(pit);
	}
	if (!pit->period)
		return HRTIMER_NORESTART;
	hrtimer_add_expires_ns(timer, pit->period);
	return HRTIMER_RESTART;
}

/*
 * The guest has taken a tick. @ready is set before @owed is read, and the callback counts before it
 * takes @ready: one of the two sends the next tick.
 */
static void pit_acked(struct irq_ack_notifier *n)
{
	struct pit *pit = container_of(n, struct pit, ack);

	atomic_set(&pit->ready, 1);
	smp_mb();
	if (atomic_dec_if_positive(&pit->owed) > 0 && atomic_xchg(&pit->ready, 0))
		tick(pit);
}

/* Whatever is owed from before the guest listened to the timer would be a burst of stale ticks. */
void pit_unmasked(struct pit *pit)
{
	if (READ_ONCE(pit->reinject))
		reset_reinject(pit);
}

static u64 elapsed(const struct pit *pit, int n)
{
	return max_t(s64, ktime_get_ns() - pit->channel[n].count_load_time, 0);
}

/* With the lock. The callback takes no lock that could be held here, so waiting for it is safe. */
static void start_channel0(struct pit *pit)
{
	struct kvm_pit_channel_state *c = &pit->channel[0];
	u64 ns = pit_ns(c->count);

	hrtimer_cancel(&pit->timer);
	/* The HPET has taken over the line; mode 5 waits for a gate that is always high. */
	if (pit->flags & KVM_PIT_FLAGS_HPET_LEGACY || c->mode > 4)
		return;
	reset_reinject(pit);
	pit->period = pit_is_periodic(c->mode) ? max_t(s64, ns, MIN_PERIOD_NS) : 0;
	hrtimer_start(&pit->timer, ktime_add_ns(ktime_get(), ns), HRTIMER_MODE_ABS_HARD);
}

/* With the lock. */
static void load_count(struct pit *pit, int n, u32 count)
{
	struct kvm_pit_channel_state *c = &pit->channel[n];

	c->count = count && count <= PIT_MAX_COUNT ? count : PIT_MAX_COUNT;
	c->count_load_time = ktime_get_ns();
	if (n == 0)
		start_channel0(pit);
}

static void read_back(struct pit *pit, u8 value)
{
	int n;

	for (n = 0; n < 3; n++) {
		if (!(value & 2 << n))
			continue;
		if (!(value & 0x20))
			pit_latch_count(&pit->channel[n], elapsed(pit, n));
		if (!(value & 0x10))
			pit_latch_status(&pit->channel[n], elapsed(pit, n));
	}
}

static int pit_write(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val)
{
	struct pit *pit = container_of(dev, struct pit, dev);
	u8 value = *(const u8 *)val;
	int n = addr & 3;
	unsigned long flags;
	u32 count;

	raw_spin_lock_irqsave(&pit->lock, flags);
	if (n != PIT_COMMAND) {
		if (pit_write_count(&pit->channel[n], value, &count))
			load_count(pit, n, count);
	} else if (value >> 6 == 3) {
		read_back(pit, value);
	} else {
		n = value >> 6;
		pit_control(&pit->channel[n], value, elapsed(pit, n));
	}
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int pit_port_read(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, void *val)
{
	struct pit *pit = container_of(dev, struct pit, dev);
	unsigned long flags;
	int n = addr & 3;

	memset(val, 0, len);
	if (n == PIT_COMMAND)
		return 0;
	raw_spin_lock_irqsave(&pit->lock, flags);
	*(u8 *)val = pit_read(&pit->channel[n], elapsed(pit, n));
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int speaker_write(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val)
{
	struct pit *pit = container_of(dev, struct pit, speaker);
	u8 value = *(const u8 *)val;
	unsigned long flags;

	if (addr != SPEAKER_PORT)
		return -EOPNOTSUPP;
	raw_spin_lock_irqsave(&pit->lock, flags);
	pit->flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (value & SPEAKER_DATA)
		pit->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (pit_gate_restarts(&pit->channel[2], value & SPEAKER_GATE))
		pit->channel[2].count_load_time = ktime_get_ns();
	pit->channel[2].gate = value & SPEAKER_GATE;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int speaker_read(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, void *val)
{
	struct pit *pit = container_of(dev, struct pit, speaker);
	unsigned long flags;
	u8 value = 0;

	if (addr != SPEAKER_PORT)
		return -EOPNOTSUPP;
	raw_spin_lock_irqsave(&pit->lock, flags);
	if (pit->channel[2].gate)
		value |= SPEAKER_GATE;
	if (pit->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON)
		value |= SPEAKER_DATA;
	if (pit_output(&pit->channel[2], elapsed(pit, 2)))
		value |= SPEAKER_OUT;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	/* DRAM refresh toggles about every 15 us; delay loops of old programs watch it. */
	if (ktime_get_ns() >> 14 & 1)
		value |= SPEAKER_REFRESH;
	memset(val, 0, len);
	*(u8 *)val = value;
	return 0;
}

static const struct iodev_ops pit_ops = { .read = pit_port_read, .write = pit_write };
static const struct iodev_ops speaker_ops = { .read = speaker_read, .write = speaker_write };

static struct pit *vm_pit(struct vm *vm)
{
	return irqchip_mode(vm) == IRQCHIP_KERNEL ? smp_load_acquire(&vm->irq->pit) : NULL;
}

int pit_get(struct vm *vm, struct kvm_pit_state2 *state)
{
	struct pit *pit = vm_pit(vm);
	unsigned long flags;

	if (!pit)
		return -ENXIO;
	memset(state, 0, sizeof(*state));
	raw_spin_lock_irqsave(&pit->lock, flags);
	memcpy(state->channels, pit->channel, sizeof(state->channels));
	state->flags = pit->flags;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

/* @state is user space's. Counts are bounded when they are loaded, the rest is used masked. */
int pit_set(struct vm *vm, const struct kvm_pit_state2 *state)
{
	struct pit *pit = vm_pit(vm);
	unsigned long flags;
	int n;

	if (!pit)
		return -ENXIO;
	raw_spin_lock_irqsave(&pit->lock, flags);
	memcpy(pit->channel, state->channels, sizeof(pit->channel));
	pit->flags = state->flags & PIT_FLAGS;
	for (n = 0; n < 3; n++) {
		pit->channel[n].gate &= 1;
		load_count(pit, n, state->channels[n].count);
	}
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static void set_reinject(struct pit *pit, bool on)
{
	mutex_lock(&pit->mutex);
	if (on && !pit->reinject) {
		reset_reinject(pit);
		irq_register_ack(pit->vm, &pit->ack);
	} else if (!on && pit->reinject) {
		irq_unregister_ack(pit->vm, &pit->ack);
	}
	WRITE_ONCE(pit->reinject, on);
	mutex_unlock(&pit->mutex);
}

int pit_reinject(struct vm *vm, bool reinject)
{
	struct pit *pit = vm_pit(vm);

	if (!pit)
		return -ENXIO;
	set_reinject(pit, reinject);
	return 0;
}

static int pit_register(struct pit *pit, bool speaker)
{
	struct vm *vm = pit->vm;
	int r;

	mutex_lock(&vm->slots_lock);
	r = iobus_register(vm, IOBUS_PIO, PIT_PORT, PIT_PORTS, &pit->dev);
	if (!r && speaker) {
		r = iobus_register(vm, IOBUS_PIO, SPEAKER_PORT, SPEAKER_PORTS, &pit->speaker);
		if (r)
			iobus_unregister(vm, IOBUS_PIO, &pit->dev);
		pit->has_speaker = !r;
	}
	mutex_unlock(&vm->slots_lock);
	return r;
}

/* Upstream's answer when the ports cannot be had is -ENOMEM, whatever the reason. */
int pit_create(struct vm *vm, const struct kvm_pit_config *config)
{
	struct pit *pit;
	int n;

	if (vm_pit(vm))
		return -EEXIST;
	if (irqchip_mode(vm) != IRQCHIP_KERNEL)
		return -ENOENT;
	pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	if (!pit)
		return -ENOMEM;
	pit->vm = vm;
	raw_spin_lock_init(&pit->lock);
	mutex_init(&pit->mutex);
	pit->ack.gsi = PIT_GSI;
	pit->ack.acked = pit_acked;
	pit->dev.ops = &pit_ops;
	pit->speaker.ops = &speaker_ops;
	compat_hrtimer_setup(&pit->timer, pit_timer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	for (n = 0; n < 3; n++) {
		pit->channel[n].mode = PIT_MODE_OFF;
		pit->channel[n].gate = n != 2;
		pit->channel[n].count = PIT_MAX_COUNT;
		pit->channel[n].count_load_time = ktime_get_ns();
	}
	if (pit_register(pit, config->flags & KVM_PIT_SPEAKER_DUMMY)) {
		kfree(pit);
		return -ENOMEM;
	}
	set_reinject(pit, true);
	smp_store_release(&vm->irq->pit, pit);
	return 0;
}

void pit_destroy(struct vm_irq *irq)
{
	struct pit *pit = irq->pit;
	struct vm *vm = irq->vm;

	if (!pit)
		return;
	mutex_lock(&vm->slots_lock);
	iobus_unregister(vm, IOBUS_PIO, &pit->dev);
	if (pit->has_speaker)
		iobus_unregister(vm, IOBUS_PIO, &pit->speaker);
	mutex_unlock(&vm->slots_lock);
	hrtimer_cancel(&pit->timer);
	set_reinject(pit, false);
	irq->pit = NULL;
	kfree(pit);
}
