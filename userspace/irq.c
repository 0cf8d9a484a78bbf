// SPDX-License-Identifier: GPL-2.0
/* Interrupt lines and message-signalled interrupts by way of the in-kernel chips. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vm.h"

#define MSI_SLOTS 1024

static void irq__add_pin(struct kvm_irq_routing *routing, uint32_t gsi, uint32_t chip,
			 uint32_t pin)
{
	routing->entries[routing->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/*
 * ISA lines go to both chips, so that a guest may use either. Line 0, the PIT's,
 * is pin 2 of the I/O APIC as on every PC; the MADT says so. Line 2 is the PIC's
 * cascade.
 */
static void irq__add_pins(struct kvm_irq_routing *routing)
{
	for (uint32_t gsi = 0; gsi < IRQ_ISA_LINES; gsi++) {
		if (gsi == 2)
			continue;
		irq__add_pin(routing, gsi,
			     gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			     gsi & 7);
		irq__add_pin(routing, gsi, KVM_IRQCHIP_IOAPIC, gsi ? gsi : 2);
	}
	for (uint32_t gsi = IRQ_ISA_LINES; gsi < IRQ_IOAPIC_PINS; gsi++)
		irq__add_pin(routing, gsi, KVM_IRQCHIP_IOAPIC, gsi);
}

static int irq__commit(struct vm *vm)
{
	int ret = KVM_IOCTL(vm->fd, KVM_SET_GSI_ROUTING, vm->irq.routing);

	return ret < 0 ? ret : 0;
}

/** irq__init() - route the interrupt lines of a VM that has its irqchip */
int irq__init(struct vm *vm)
{
	struct irq_table *irq = &vm->irq;

	pthread_mutex_init(&irq->lock, NULL);
	irq->routing = xcalloc(1, sizeof(*irq->routing) +
			       (2 * IRQ_IOAPIC_PINS + MSI_SLOTS) *
			       sizeof(irq->routing->entries[0]));
	irq->next_gsi = IRQ_IOAPIC_PINS;
	irq__add_pins(irq->routing);
	return irq__commit(vm);
}

/** irq__exit() - free the table */
void irq__exit(struct vm *vm)
{
	free(vm->irq.routing);
	vm->irq.routing = NULL;
}

/** irq__set_line() - raise or lower an interrupt line; any thread */
void irq__set_line(struct vm *vm, uint32_t gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	KVM_IOCTL(vm->fd, KVM_IRQ_LINE, &line);
}

/**
 * irq__alloc_msi() - reserve a GSI for one MSI vector
 * @vm: the VM
 * @eventfd: signalling it shall deliver the vector
 *
 * The route has no destination until irq__route_msi() gives it one.
 *
 * Return: the GSI, or a negative errno.
 */
int irq__alloc_msi(struct vm *vm, int eventfd)
{
	struct irq_table *irq = &vm->irq;
	int limit = kvm__extension(vm->kvm, KVM_CAP_IRQ_ROUTING);
	struct kvm_irqfd irqfd = { .fd = eventfd };
	int ret;

	pthread_mutex_lock(&irq->lock);
	irqfd.gsi = irq->next_gsi;
	if (irqfd.gsi >= IRQ_IOAPIC_PINS + MSI_SLOTS || irqfd.gsi + 1 >= (uint32_t)limit) {
		pr_err("%s has no more than %d interrupt routes", vm->kvm->path, limit);
		ret = -ENOSPC;
	} else {
		ret = KVM_IOCTL(vm->fd, KVM_IRQFD, &irqfd);
	}
	if (ret >= 0)
		ret = irq->next_gsi++;
	pthread_mutex_unlock(&irq->lock);
	return ret;
}

/* The GSI's entry, or the first free one when it has had no destination yet. */
static struct kvm_irq_routing_entry *irq__find_msi(struct kvm_irq_routing *routing, uint32_t gsi)
{
	uint32_t i = 0;

	while (i < routing->nr && routing->entries[i].gsi != gsi)
		i++;
	return &routing->entries[i];
}

static int irq__replace(struct vm *vm, struct kvm_irq_routing_entry *entry,
			const struct kvm_irq_routing_entry *wanted)
{
	struct kvm_irq_routing *routing = vm->irq.routing;
	struct kvm_irq_routing_entry old_entry = *entry;
	uint32_t old_nr = routing->nr;
	int ret;

	*entry = *wanted;
	if (entry == &routing->entries[old_nr])
		routing->nr++;
	ret = irq__commit(vm);
	if (ret) {
		/* The whole table is refused: a guest's bad message must not poison it. */
		*entry = old_entry;
		routing->nr = old_nr;
	}
	return ret;
}

/**
 * irq__route_msi() - set where an MSI vector goes
 * @vm: the VM
 * @gsi: from irq__alloc_msi()
 * @address: the message's address, chosen by the guest
 * @data: the message's data, chosen by the guest
 */
int irq__route_msi(struct vm *vm, uint32_t gsi, uint64_t address, uint32_t data)
{
	struct kvm_irq_routing_entry wanted = {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi.address_lo = (uint32_t)address,
		.u.msi.address_hi = (uint32_t)(address >> 32),
		.u.msi.data = data,
	};
	struct kvm_irq_routing_entry *entry;
	int ret = 0;

	pthread_mutex_lock(&vm->irq.lock);
	entry = irq__find_msi(vm->irq.routing, gsi);
	/* Each change makes the kernel wait for its readers: skip idle ones. */
	if (memcmp(entry, &wanted, sizeof(wanted)))
		ret = irq__replace(vm, entry, &wanted);
	pthread_mutex_unlock(&vm->irq.lock);
	return ret;
}
