// SPDX-License-Identifier: GPL-2.0
/*
 * I/O APIC: an 82093AA with 24 pins at 0xfec00000.
 */
#include <linux/bitfield.h>
#include <linux/nospec.h>

#include "irq/chips.h"
#include "irq/lapic.h"

#define IOAPIC_BASE		0xfec00000
#define IOAPIC_SIZE		0x100
#define IOAPIC_VERSION		0x11

/* Directly addressed: an index and a window. */
#define IOAPIC_IOREGSEL		0x00
#define IOAPIC_IOWIN		0x10

/* Behind the window. */
#define IOAPIC_ID		0x00
#define IOAPIC_VER		0x01
#define IOAPIC_ARB		0x02
#define IOAPIC_REDTBL		0x10

#define REDIR_VECTOR		GENMASK_ULL(7, 0)
#define REDIR_MODE		GENMASK_ULL(10, 8)
#define REDIR_LOGICAL		BIT_ULL(11)
#define REDIR_STATUS		BIT_ULL(12)
#define REDIR_REMOTE_IRR	BIT_ULL(14)
#define REDIR_LEVEL		BIT_ULL(15)
#define REDIR_MASKED		BIT_ULL(16)
#define REDIR_DEST		GENMASK_ULL(63, 56)
#define REDIR_READ_ONLY		(REDIR_STATUS | REDIR_REMOTE_IRR)

/*
 * A guest that ends a level interrupt without calming its device gets it again at once, for ever.
 * Real buses leave it some time in between; after this many in a row, so does the timer tick.
 */
#define STORM_LIMIT		10000
#define STORM_DELAY		(HZ / 100)

/* With the lock. Send pin's interrupt if it can be sent now: as irq_deliver(), -1 when it cannot. */
static int ioapic_service(struct ioapic *ioapic, u32 pin)
{
	u64 *redir = &ioapic->redir[pin];
	const struct irq_msg msg = {
		.dest = FIELD_GET(REDIR_DEST, *redir),
		.vector = FIELD_GET(REDIR_VECTOR, *redir),
		.delivery_mode = FIELD_GET(REDIR_MODE, *redir),
		.logical = *redir & REDIR_LOGICAL,
		.level = *redir & REDIR_LEVEL,
		.assert = true,
	};
	int r;

	if (*redir & REDIR_MASKED || (msg.level && *redir & REDIR_REMOTE_IRR))
		return -1;
	if (!msg.level)
		ioapic->delivered |= BIT(pin);
	r = irq_deliver(ioapic->vm, NULL, &msg);
	if (r && msg.level)
		*redir |= REDIR_REMOTE_IRR;
	return r;
}

/* With the lock. */
static int ioapic_input(struct ioapic *ioapic, u32 pin, bool level)
{
	bool was = ioapic->irr & BIT(pin);

	if (!level) {
		ioapic->irr &= ~BIT(pin);
		return 1;
	}
	ioapic->irr |= BIT(pin);
	if (!(ioapic->redir[pin] & REDIR_LEVEL)) {
		ioapic->delivered &= ~BIT(pin);
		if (was)
			return 0;
	}
	return ioapic_service(ioapic, pin);
}

int ioapic_set_pin(struct ioapic *ioapic, u32 pin, int source, bool level)
{
	unsigned long flags;
	int r;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	level = irq_line(&ioapic->lines[pin], source, level);
	r = ioapic_input(ioapic, pin, level);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return r;
}

/*
 * With the lock. Which vectors' EOIs are looked at: those of level pins and of pins whose
 * acknowledge somebody waits for. Masked pins too: guests mask before they end the interrupt.
 */
static void collect_eoi_vectors(struct ioapic *ioapic)
{
	DECLARE_BITMAP(vectors, 256) = {};
	u32 pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (ioapic->redir[pin] & REDIR_LEVEL ||
		    irq_has_ack_notifier(ioapic->vm, KVM_IRQCHIP_IOAPIC, pin))
			__set_bit(FIELD_GET(REDIR_VECTOR, ioapic->redir[pin]), vectors);
	irq_publish_eoi_vectors(container_of(ioapic, struct vm_irq, ioapic), vectors);
}

void ioapic_update_eoi_vectors(struct ioapic *ioapic)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	collect_eoi_vectors(ioapic);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

static u32 read_window(const struct ioapic *ioapic)
{
	u32 pin = (ioapic->select - IOAPIC_REDTBL) >> 1;
	u64 redir = ~0ULL;

	switch (ioapic->select) {
	case IOAPIC_VER:
		return IOAPIC_VERSION | (IOAPIC_PINS - 1) << 16;
	case IOAPIC_ID:
	case IOAPIC_ARB:
		return (ioapic->id & 0xf) << 24;
	}
	if (pin < IOAPIC_PINS)
		redir = ioapic->redir[array_index_nospec(pin, IOAPIC_PINS)];
	return ioapic->select & 1 ? redir >> 32 : redir;
}

/*
 * A level that waited behind the mask may be gone by now: a guest that handles the interrupt in a
 * thread calms the device after the EOI, before it unmasks, and nobody has told us. Where somebody can
 * look at the line, let him, and raise it again. Otherwise one interrupt too many is better than one
 * too few. True: ask them, without the lock.
 */
static bool send_waiting_level(struct ioapic *ioapic, u32 pin)
{
	u64 redir = ioapic->redir[pin];

	if (!(redir & REDIR_LEVEL) || !(ioapic->irr & BIT(pin)) ||
	    redir & (REDIR_MASKED | REDIR_REMOTE_IRR))
		return false;
	if (!irq_resample(ioapic->vm, KVM_IRQCHIP_IOAPIC, pin, false)) {
		ioapic_service(ioapic, pin);
		return false;
	}
	ioapic->irr &= ~BIT(pin);
	return true;
}

/* With the lock. Half of a redirection entry; what to do without the lock is left in the flags. */
static void write_redir(struct ioapic *ioapic, u32 pin, u32 value, bool *unmasked, bool *resample)
{
	u64 old = ioapic->redir[pin], redir;

	if (ioapic->select & 1)
		redir = (u64)value << 32 | (u32)old;
	else
		redir = (old & GENMASK_ULL(63, 32)) | value;
	redir = (redir & ~REDIR_READ_ONLY) | (old & REDIR_READ_ONLY);
	/* Linux and Xen switch a pin to edge and back to end an interrupt: this model has no EOI register. */
	if (!(redir & REDIR_LEVEL))
		redir &= ~REDIR_REMOTE_IRR;
	ioapic->redir[pin] = redir;
	collect_eoi_vectors(ioapic);
	*unmasked = old & REDIR_MASKED && !(redir & REDIR_MASKED);
	*resample = send_waiting_level(ioapic, pin);
}

static void write_window(struct ioapic *ioapic, u32 value)
{
	bool unmasked = false, resample = false;
	unsigned long flags;
	u32 pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	pin = (ioapic->select - IOAPIC_REDTBL) >> 1;
	if (ioapic->select == IOAPIC_ID) {
		ioapic->id = value >> 24 & 0xf;
	} else if (pin < IOAPIC_PINS) {
		pin = array_index_nospec(pin, IOAPIC_PINS);
		write_redir(ioapic, pin, value, &unmasked, &resample);
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);

	if (unmasked)
		irq_unmasked(ioapic->vm, KVM_IRQCHIP_IOAPIC, pin);
	if (resample)
		irq_resample(ioapic->vm, KVM_IRQCHIP_IOAPIC, pin, true);
}

static int mmio_read(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, void *val)
{
	struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
	unsigned long flags;
	u64 value = 0;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	if ((addr & 0xff) == IOAPIC_IOREGSEL)
		value = ioapic->select;
	else if ((addr & 0xff) == IOAPIC_IOWIN)
		value = read_window(ioapic);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	memset(val, 0, len);
	memcpy(val, &value, min_t(int, len, sizeof(value)));
	return 0;
}

static int mmio_write(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val)
{
	struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
	u32 value = 0;

	memcpy(&value, val, min_t(int, len, sizeof(value)));
	if ((addr & 0xff) == IOAPIC_IOREGSEL)
		WRITE_ONCE(ioapic->select, value & 0xff);
	else if ((addr & 0xff) == IOAPIC_IOWIN)
		write_window(ioapic, value);
	return 0;
}

static const struct iodev_ops ioapic_ops = { .read = mmio_read, .write = mmio_write };

/*
 * With the lock. The EOI message for a level pin: it is ready for the next one. With EOI broadcasts
 * suppressed there is no message, and the guest ends it with the edge trick of write_redir().
 */
static void end_level(struct ioapic *ioapic, u32 pin)
{
	ioapic->redir[pin] &= ~REDIR_REMOTE_IRR;
	if (ioapic->redir[pin] & REDIR_MASKED || !(ioapic->irr & BIT(pin))) {
		ioapic->storm[pin] = 0;
		return;
	}
	if (++ioapic->storm[pin] < STORM_LIMIT) {
		ioapic_service(ioapic, pin);
		return;
	}
	ioapic->storm[pin] = 0;
	schedule_delayed_work(&ioapic->reinject, STORM_DELAY);
}

static void ioapic_reinject(struct work_struct *work)
{
	struct ioapic *ioapic = container_of(work, struct ioapic, reinject.work);
	unsigned long flags;
	u32 pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (ioapic->redir[pin] & REDIR_LEVEL && ioapic->irr & BIT(pin))
			ioapic_service(ioapic, pin);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* Pins that an EOI of @vector by @vcpu is for: level pins if it was a level interrupt, else its own. */
static unsigned long pins_of_eoi(struct ioapic *ioapic, struct vcpu *vcpu, u8 vector, bool level)
{
	unsigned long flags, pins = 0;
	u32 pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 redir = ioapic->redir[pin];

		if (FIELD_GET(REDIR_VECTOR, redir) != vector)
			continue;
		if (level ? redir & REDIR_LEVEL :
			    lapic_matches(vcpu->lapic, NULL, FIELD_GET(REDIR_DEST, redir),
					  redir & REDIR_LOGICAL))
			pins |= BIT(pin);
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return pins;
}

/**
 * ioapic_eoi - a local APIC has ended an interrupt
 * @vcpu: whose APIC
 * @vector: the interrupt
 * @level: the APIC's TMR says that it was level triggered
 *
 * Those who wait for the acknowledge come first, because they may lower the line; remote IRR holds
 * back a second interrupt until they have.
 */
void ioapic_eoi(struct vcpu *vcpu, u8 vector, bool level)
{
	struct ioapic *ioapic = &vcpu->vm->irq->ioapic;
	unsigned long flags, pins = pins_of_eoi(ioapic, vcpu, vector, level);
	int pin;

	for_each_set_bit(pin, &pins, IOAPIC_PINS)
		irq_notify_acked(vcpu->vm, KVM_IRQCHIP_IOAPIC, pin);
	if (!level || lapic_suppresses_eoi(vcpu->lapic))
		return;
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	for_each_set_bit(pin, &pins, IOAPIC_PINS)
		end_level(ioapic, pin);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

void ioapic_get(struct ioapic *ioapic, struct kvm_ioapic_state *state)
{
	unsigned long flags;
	int pin;

	memset(state, 0, sizeof(*state));
	state->base_address = IOAPIC_BASE;
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	state->ioregsel = ioapic->select;
	state->id = ioapic->id;
	state->irr = ioapic->irr & ~ioapic->delivered;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		state->redirtbl[pin].bits = ioapic->redir[pin];
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* @state is user space's. The base address does not move: the chipset of a PC cannot either. */
void ioapic_set(struct ioapic *ioapic, const struct kvm_ioapic_state *state)
{
	unsigned long flags;
	int pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->select = state->ioregsel & 0xff;
	ioapic->id = state->id & 0xf;
	ioapic->irr = 0;
	ioapic->delivered = 0;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->redir[pin] = state->redirtbl[pin].bits;
	collect_eoi_vectors(ioapic);
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (state->irr & BIT(pin))
			ioapic_input(ioapic, pin, true);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

int ioapic_init(struct vm_irq *irq)
{
	struct ioapic *ioapic = &irq->ioapic;
	struct vm *vm = irq->vm;
	int pin, r;

	raw_spin_lock_init(&ioapic->lock);
	INIT_DELAYED_WORK(&ioapic->reinject, ioapic_reinject);
	ioapic->vm = vm;
	ioapic->dev.ops = &ioapic_ops;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->redir[pin] = REDIR_MASKED;

	mutex_lock(&vm->slots_lock);
	r = iobus_register(vm, IOBUS_MMIO, IOAPIC_BASE, IOAPIC_SIZE, &ioapic->dev);
	mutex_unlock(&vm->slots_lock);
	return r;
}

void ioapic_destroy(struct vm_irq *irq)
{
	struct vm *vm = irq->vm;

	cancel_delayed_work_sync(&irq->ioapic.reinject);
	mutex_lock(&vm->slots_lock);
	iobus_unregister(vm, IOBUS_MMIO, &irq->ioapic.dev);
	mutex_unlock(&vm->slots_lock);
}
