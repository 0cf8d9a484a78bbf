/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_PCI_H
#define NESTOR_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "irq.h"
#include "msix.h"

#define PCI_CONFIG_ADDRESS	0xcf8
#define PCI_CONFIG_DATA		0xcfc
#define PCI_SLOTS		32
#define PCI_CONFIG_SIZE		256
#define PCI_BARS		6

struct vm;
struct pci_dev;

/**
 * struct pci_bar - a memory BAR
 * @size: bytes, a power of two; 0 for a BAR that is not there
 * @handler: answers accesses
 * @moved: told when the BAR's range appears or goes; may be NULL
 * @region: the range where it is mapped
 * @mapped: whether it is
 */
struct pci_bar {
	uint64_t size;
	io_handler_t handler;
	void (*moved)(struct pci_dev *dev, const struct io_region *region, bool mapped);
	struct io_region region;
	bool mapped;
};

/**
 * struct pci_dev - a PCI function
 * @vm: the VM
 * @slot: device number on bus 0
 * @config: configuration space
 * @wmask: bits of it that the guest may write
 * @next_cap: where the next capability goes
 * @last_cap: the capability that will link to it
 * @bars: its BARs
 * @msix: MSI-X, when msix->nr_vectors is not 0
 * @msix_cap: offset of the MSI-X capability
 * @access: told before a read and after a write of configuration space; may be NULL
 */
struct pci_dev {
	struct vm *vm;
	unsigned int slot;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t wmask[PCI_CONFIG_SIZE];
	uint8_t next_cap;
	uint8_t last_cap;
	struct pci_bar bars[PCI_BARS];
	struct msix msix;
	uint8_t msix_cap;
	void (*access)(struct pci_dev *dev, unsigned int offset, unsigned int len, bool write);
};

/**
 * struct pci_bus - bus 0
 * @vm: the VM
 * @lock: guards @address and the devices' configuration space and BARs;
 *	outside of every device's lock
 * @address: the configuration address register
 * @devices: by slot
 * @next_slot: first free slot
 * @next_mmio: first free address for a BAR
 * @intx_lock: guards @intx; inside of every device's lock
 * @intx: per interrupt line, the slots that assert it
 */
struct pci_bus {
	struct vm *vm;
	pthread_mutex_t lock;
	uint32_t address;
	struct pci_dev *devices[PCI_SLOTS];
	unsigned int next_slot;
	uint64_t next_mmio;
	pthread_mutex_t intx_lock;
	uint32_t intx[IRQ_PCI_LINES];
};

int pci_bus__create(struct vm *vm);
void pci_bus__destroy(struct vm *vm);

struct pci_id {
	uint16_t vendor;
	uint16_t device;
	uint16_t subsystem;
	uint32_t class;		/* class, subclass, programming interface */
	uint8_t revision;
};

int pci_dev__register(struct pci_dev *dev, struct vm *vm, const struct pci_id *id);
void pci_dev__add_bar(struct pci_dev *dev, unsigned int index, const struct pci_bar *bar);
uint8_t pci_dev__add_cap(struct pci_dev *dev, uint8_t id, const void *body, unsigned int len);
int pci_dev__add_msix(struct pci_dev *dev, unsigned int bar, unsigned int nr_vectors);
void pci_dev__set_intx(struct pci_dev *dev, bool level);

#endif
