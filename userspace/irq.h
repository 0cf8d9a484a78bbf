/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_IRQ_H
#define NESTOR_IRQ_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>

/* Global system interrupts: 16 ISA lines, 8 for PCI INTx, the rest for MSIs. */
#define IRQ_ISA_LINES	16
#define IRQ_PCI_BASE	16
#define IRQ_PCI_LINES	8
#define IRQ_IOAPIC_PINS	24

#define IRQ_RTC		8
#define IRQ_SERIAL	4
#define IRQ_SCI		9

struct vm;

/**
 * struct irq_table - the VM's interrupt routes, as KVM_SET_GSI_ROUTING takes them
 * @lock: guards all below
 * @routing: the table; grows by one entry per MSI vector
 * @next_gsi: first GSI that no MSI vector has
 */
struct irq_table {
	pthread_mutex_t lock;
	struct kvm_irq_routing *routing;
	uint32_t next_gsi;
};

int irq__init(struct vm *vm);
void irq__exit(struct vm *vm);
void irq__set_line(struct vm *vm, uint32_t gsi, int level);
int irq__alloc_msi(struct vm *vm, int eventfd);
int irq__route_msi(struct vm *vm, uint32_t gsi, uint64_t address, uint32_t data);

#endif
