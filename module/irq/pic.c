// SPDX-License-Identifier: GPL-2.0
/*
 * The pair of 8259A interrupt controllers at ports 0x20, 0xa0 and 0x4d0.
 */
#include "irq/chips.h"
#include "irq/lapic.h"

/* The PIC has one INTR: the first CPU that listens to it gets the interrupt. */
static void pic_wake(struct pic *pic)
{
	struct vcpu *vcpu;
	int i;

	vm_for_each_vcpu(i, vcpu, pic->vm) {
		if (!vcpu->lapic || !lapic_accepts_extint(vcpu->lapic))
			continue;
		vcpu_request(vcpu, REQ_EVENT);
		vcpu_wake(vcpu);
		return;
	}
}

/* With pic->lock. True: INTR has risen, call pic_wake() after the lock. */
static bool pic_refresh_output(struct pic *pic)
{
	bool was = pic->pair.output;

	pic_refresh(&pic->pair);
	return pic->pair.output && !was;
}

/*
 * What an access set off, without the lock: first tell those who wait for the acknowledge, since they
 * may lower their line, then see what is requested.
 */
static noinline void do_effects(struct pic *pic, const struct pic_effect *e)
{
	unsigned long pins = e->acked, flags;
	bool rose;
	int pin;

	for_each_set_bit(pin, &pins, PIC_PINS)
		irq_notify_acked(pic->vm, pin / 8, pin);
	pins = e->unmasked;
	for_each_set_bit(pin, &pins, PIC_PINS)
		irq_unmasked(pic->vm, pin / 8, pin);
	if (!e->refresh)
		return;
	raw_spin_lock_irqsave(&pic->lock, flags);
	rose = pic_refresh_output(pic);
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	if (rose)
		pic_wake(pic);
}

static inline void pic_finish(struct pic *pic, const struct pic_effect *e)
{
	if (e->acked || e->unmasked || e->refresh)
		do_effects(pic, e);
}

int pic_set_pin(struct pic *pic, u32 pin, int source, bool level)
{
	unsigned long flags;
	bool rose;
	int r;

	raw_spin_lock_irqsave(&pic->lock, flags);
	level = irq_line(&pic->lines[pin], source, level);
	r = pic_input(&pic->pair.chip[pin / 8], pin % 8, level);
	rose = pic_refresh_output(pic);
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	if (rose)
		pic_wake(pic);
	return r;
}

/* The CPU acknowledges: the vector. */
int pic_take(struct pic *pic)
{
	struct pic_effect e = {};
	unsigned long flags;
	u8 vector;

	raw_spin_lock_irqsave(&pic->lock, flags);
	pic->pair.output = false;
	vector = pic_acknowledge(&pic->pair, &e);
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	pic_finish(pic, &e);
	return vector;
}

static int pic_port_read(struct pic *pic, int chip, u64 port, int len, void *val)
{
	struct pic_effect e = {};
	unsigned long flags;

	/* Byte registers; a wider access reads nothing. */
	if (len != 1) {
		memset(val, 0, len);
		return 0;
	}
	raw_spin_lock_irqsave(&pic->lock, flags);
	*(u8 *)val = pic_read(&pic->pair, chip, port & 1, &e);
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	pic_finish(pic, &e);
	return 0;
}

static int pic_port_write(struct pic *pic, int chip, u64 port, int len, const void *val)
{
	struct pic_effect e = {};
	unsigned long flags;

	if (len != 1)
		return 0;
	raw_spin_lock_irqsave(&pic->lock, flags);
	if (port & 1)
		pic_write_data(&pic->pair, chip, *(const u8 *)val, &e);
	else
		pic_write_command(&pic->pair, chip, *(const u8 *)val, &e);
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	pic_finish(pic, &e);
	return 0;
}

static int master_read(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, void *val)
{
	return pic_port_read(container_of(dev, struct pic, master), 0, addr, len, val);
}

static int master_write(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val)
{
	return pic_port_write(container_of(dev, struct pic, master), 0, addr, len, val);
}

static int slave_read(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, void *val)
{
	return pic_port_read(container_of(dev, struct pic, slave), 1, addr, len, val);
}

static int slave_write(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val)
{
	return pic_port_write(container_of(dev, struct pic, slave), 1, addr, len, val);
}

/* ELCR: level or edge, a register of the chipset. */
static int elcr_read(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, void *val)
{
	struct pic *pic = container_of(dev, struct pic, elcr);

	memset(val, 0, len);
	if (len == 1)
		*(u8 *)val = READ_ONCE(pic->pair.chip[addr & 1].elcr);
	return 0;
}

static int elcr_write(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val)
{
	struct pic *pic = container_of(dev, struct pic, elcr);
	struct kvm_pic_state *chip = &pic->pair.chip[addr & 1];
	unsigned long flags;

	if (len != 1)
		return 0;
	raw_spin_lock_irqsave(&pic->lock, flags);
	chip->elcr = *(const u8 *)val & chip->elcr_mask;
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	return 0;
}

static const struct iodev_ops master_ops = { .read = master_read, .write = master_write };
static const struct iodev_ops slave_ops = { .read = slave_read, .write = slave_write };
static const struct iodev_ops elcr_ops = { .read = elcr_read, .write = elcr_write };

void pic_get(struct pic *pic, int chip, struct kvm_pic_state *state)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pic->lock, flags);
	*state = pic->pair.chip[chip];
	raw_spin_unlock_irqrestore(&pic->lock, flags);
}

/* @state is user space's. Every field is used masked or as a truth value, so any value is safe. */
void pic_set(struct pic *pic, int chip, const struct kvm_pic_state *state)
{
	u8 elcr_mask = chip ? PIC_ELCR_MASK_SLAVE : PIC_ELCR_MASK_MASTER;
	const struct pic_effect e = { .refresh = true };
	unsigned long flags;

	raw_spin_lock_irqsave(&pic->lock, flags);
	pic->pair.chip[chip] = *state;
	pic->pair.chip[chip].elcr_mask = elcr_mask;
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	pic_finish(pic, &e);
}

int pic_init(struct vm_irq *irq)
{
	struct pic *pic = &irq->pic;
	struct vm *vm = irq->vm;
	int r;

	raw_spin_lock_init(&pic->lock);
	pic->vm = vm;
	pic->pair.chip[0].elcr_mask = PIC_ELCR_MASK_MASTER;
	pic->pair.chip[1].elcr_mask = PIC_ELCR_MASK_SLAVE;
	pic->master.ops = &master_ops;
	pic->slave.ops = &slave_ops;
	pic->elcr.ops = &elcr_ops;

	mutex_lock(&vm->slots_lock);
	r = iobus_register(vm, IOBUS_PIO, 0x20, 2, &pic->master);
	if (!r)
		r = iobus_register(vm, IOBUS_PIO, 0xa0, 2, &pic->slave);
	if (!r)
		r = iobus_register(vm, IOBUS_PIO, 0x4d0, 2, &pic->elcr);
	mutex_unlock(&vm->slots_lock);
	return r;
}

void pic_destroy(struct vm_irq *irq)
{
	struct pic *pic = &irq->pic;
	struct vm *vm = irq->vm;

	mutex_lock(&vm->slots_lock);
	iobus_unregister(vm, IOBUS_PIO, &pic->master);
	iobus_unregister(vm, IOBUS_PIO, &pic->slave);
	iobus_unregister(vm, IOBUS_PIO, &pic->elcr);
	mutex_unlock(&vm->slots_lock);
}
