// SPDX-License-Identifier: GPL-2.0
/*
 * A VM's set of interrupt controllers: what it has, life and state.
 */
#include <linux/slab.h>

#include "irq/chips.h"
#include "irq/lapic.h"

/*
 * vm->irq is published complete and stays. The acquire pairs with publish(), for those who do not
 * hold vm->lock.
 */
enum irqchip_mode irqchip_mode(struct vm *vm)
{
	const struct vm_irq *irq = smp_load_acquire(&vm->irq);

	return irq ? irq->mode : IRQCHIP_NONE;
}

static void publish(struct vm *vm, struct vm_irq *irq)
{
	smp_store_release(&vm->irq, irq);
}

static struct vm_irq *vm_irq_alloc(struct vm *vm, enum irqchip_mode mode)
{
	struct vm_irq *irq = kzalloc(sizeof(*irq), GFP_KERNEL_ACCOUNT);

	if (!irq)
		return NULL;
	irq->vm = vm;
	irq->mode = mode;
	mutex_init(&irq->lock);
	apic_map_init(irq);
	return irq;
}

int irqchip_create(struct vm *vm)
{
	struct vm_irq *irq;
	int r;

	if (vm->irq)
		return -EEXIST;
	if (vm->created_vcpus)
		return -EINVAL;
	irq = vm_irq_alloc(vm, IRQCHIP_KERNEL);
	if (!irq)
		return -ENOMEM;
	r = irq_default_routing(irq);
	if (r)
		goto free;
	r = pic_init(irq);
	if (r)
		goto pic;
	r = ioapic_init(irq);
	if (r)
		goto ioapic;
	publish(vm, irq);
	return 0;

	/* Some of a controller's ports may be registered; unregistering the others does nothing. */
ioapic:
	ioapic_destroy(irq);
pic:
	pic_destroy(irq);
	irq_free_routing(irq);
free:
	kfree(irq);
	return r;
}

int irqchip_create_split(struct vm *vm, u64 nr_pins)
{
	struct vm_irq *irq;
	int r;

	if (nr_pins > NESTOR_MAX_ROUTES)
		return -EINVAL;
	if (vm->irq || vm->created_vcpus)
		return -EEXIST;
	irq = vm_irq_alloc(vm, IRQCHIP_SPLIT);
	if (!irq)
		return -ENOMEM;
	irq->nr_pins = nr_pins;
	r = irq_empty_routing(irq);
	if (r) {
		kfree(irq);
		return r;
	}
	publish(vm, irq);
	return 0;
}

void irqchip_destroy(struct vm *vm)
{
	struct vm_irq *irq = vm->irq;
	struct vcpu *vcpu;
	int i;

	if (!irq)
		return;
	/* No vCPU runs that could start them again. */
	vm_for_each_vcpu(i, vcpu, vm) {
		if (vcpu->lapic)
			lapic_timer_cancel(vcpu->lapic);
	}
	if (irq->mode == IRQCHIP_KERNEL) {
		/* The PIT first: its timer drives the others. */
		pit_destroy(irq);
		ioapic_destroy(irq);
		pic_destroy(irq);
	}
	apic_map_destroy(irq);
	irq_free_routing(irq);
	vm->irq = NULL;
	kfree(irq);
}

int irqchip_get(struct vm *vm, struct kvm_irqchip *chip)
{
	if (irqchip_mode(vm) != IRQCHIP_KERNEL)
		return -ENXIO;
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
		pic_get(&vm->irq->pic, 0, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_PIC_SLAVE:
		pic_get(&vm->irq->pic, 1, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		ioapic_get(&vm->irq->ioapic, &chip->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}

int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip)
{
	if (irqchip_mode(vm) != IRQCHIP_KERNEL)
		return -ENXIO;
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
		pic_set(&vm->irq->pic, 0, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_PIC_SLAVE:
		pic_set(&vm->irq->pic, 1, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		ioapic_set(&vm->irq->ioapic, &chip->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}
