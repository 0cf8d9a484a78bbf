// SPDX-License-Identifier: GPL-2.0
/* PCI bus 0: configuration mechanism 1, BARs, capabilities, interrupt pins. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "pci.h"
#include "util.h"
#include "vm.h"

#define CONFIG_ENABLE		(1u << 31)
#define CONFIG_BUS(a)		((a) >> 16 & 0xff)
#define CONFIG_SLOT(a)		((a) >> 11 & 0x1f)
#define CONFIG_FUNCTION(a)	((a) >> 8 & 7)
#define CONFIG_REGISTER(a)	((a) & 0xfc)

#define BAR_OFFSET(i)		(PCI_BASE_ADDRESS_0 + 4 * (i))
#define CAPS_START		0x40

#define HOST_BRIDGE_VENDOR	0x1b36
#define HOST_BRIDGE_DEVICE	0x0008
#define HOST_BRIDGE_CLASS	0x060000

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void pci_bar__unmap(struct pci_dev *dev, struct pci_bar *bar)
{
	bus__remove(&dev->vm->bus, &bar->region);
	bar->mapped = false;
	if (bar->moved)
		bar->moved(dev, &bar->region, false);
}

static void pci_bar__map(struct pci_dev *dev, struct pci_bar *bar, uint64_t base)
{
	bar->region = (struct io_region){
		.space = IO_MMIO,
		.base = base,
		.size = bar->size,
		.handler = bar->handler,
		.opaque = dev,
	};
	/* A guest may put BARs on top of each other: the first one answers. */
	if (bus__add(&dev->vm->bus, &bar->region))
		return;
	bar->mapped = true;
	if (bar->moved)
		bar->moved(dev, &bar->region, true);
}

/* Make the mapped ranges agree with the BARs and the command register. */
static void pci_dev__update_bars(struct pci_dev *dev)
{
	bool enabled = get16(&dev->config[PCI_COMMAND]) & PCI_COMMAND_MEMORY;

	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &dev->bars[i];
		uint64_t base = get32(&dev->config[BAR_OFFSET(i)]) & PCI_BASE_ADDRESS_MEM_MASK;

		base &= 0xffffffff;
		if (!bar->size || (bar->mapped && enabled && bar->region.base == base))
			continue;
		if (bar->mapped)
			pci_bar__unmap(dev, bar);
		if (enabled)
			pci_bar__map(dev, bar, base);
	}
}

static bool overlaps(unsigned int offset, unsigned int len, unsigned int start,
		     unsigned int size)
{
	return offset < start + size && start < offset + len;
}

static void pci_dev__write(struct pci_dev *dev, unsigned int offset, const uint8_t *data,
			   unsigned int len)
{
	for (unsigned int i = 0; i < len; i++) {
		uint8_t mask = dev->wmask[offset + i];

		dev->config[offset + i] = (dev->config[offset + i] & ~mask) | (data[i] & mask);
	}
	if (overlaps(offset, len, PCI_COMMAND, 2) ||
	    overlaps(offset, len, BAR_OFFSET(0), 4 * PCI_BARS))
		pci_dev__update_bars(dev);
	if (dev->msix_cap && overlaps(offset, len, dev->msix_cap + PCI_MSIX_FLAGS, 2))
		msix__control(&dev->msix, get16(&dev->config[dev->msix_cap + PCI_MSIX_FLAGS]));
	if (dev->access)
		dev->access(dev, offset, len, true);
}

static void pci_dev__read(struct pci_dev *dev, unsigned int offset, uint8_t *data,
			  unsigned int len)
{
	if (dev->access)
		dev->access(dev, offset, len, false);
	memcpy(data, &dev->config[offset], len);
}

static void pci_bus__address(void *opaque, const struct io_access *access)
{
	struct pci_bus *bus = opaque;

	/* Anything but a double word at 0xcf8 is ordinary I/O, to nobody. */
	if (access->len != 4)
		return;
	pthread_mutex_lock(&bus->lock);
	if (access->write)
		bus->address = io__value(access);
	else
		io__answer(access, bus->address);
	pthread_mutex_unlock(&bus->lock);
}

static void pci_bus__data(void *opaque, const struct io_access *access)
{
	struct pci_bus *bus = opaque;
	struct pci_dev *dev = NULL;
	unsigned int offset;
	uint32_t a;

	if (access->offset + access->len > 4)
		return;
	pthread_mutex_lock(&bus->lock);
	a = bus->address;
	offset = CONFIG_REGISTER(a) + access->offset;
	if ((a & CONFIG_ENABLE) && !CONFIG_BUS(a) && !CONFIG_FUNCTION(a))
		dev = bus->devices[CONFIG_SLOT(a)];
	if (dev && access->write)
		pci_dev__write(dev, offset, access->data, access->len);
	else if (dev)
		pci_dev__read(dev, offset, access->data, access->len);
	pthread_mutex_unlock(&bus->lock);
}

/**
 * pci_dev__register() - put a function into the next free slot of bus 0
 * @dev: zeroed or with its hooks set
 * @vm: the VM
 * @id: its identity
 *
 * Return: 0, or -ENOSPC when the bus is full.
 */
int pci_dev__register(struct pci_dev *dev, struct vm *vm, const struct pci_id *id)
{
	struct pci_bus *bus = vm->dev.pci;

	if (bus->next_slot == PCI_SLOTS) {
		pr_err("the PCI bus is full");
		return -ENOSPC;
	}
	dev->vm = vm;
	dev->slot = bus->next_slot++;
	put16(&dev->config[PCI_VENDOR_ID], id->vendor);
	put16(&dev->config[PCI_DEVICE_ID], id->device);
	put32(&dev->config[PCI_CLASS_REVISION], id->class << 8 | id->revision);
	put16(&dev->config[PCI_SUBSYSTEM_VENDOR_ID], id->vendor);
	put16(&dev->config[PCI_SUBSYSTEM_ID], id->subsystem);
	put16(&dev->wmask[PCI_COMMAND],
	      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	dev->wmask[PCI_INTERRUPT_LINE] = 0xff;
	dev->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	dev->next_cap = CAPS_START;
	dev->last_cap = PCI_CAPABILITY_LIST;
	bus->devices[dev->slot] = dev;
	return 0;
}

/**
 * pci_dev__add_bar() - give a function a 32-bit memory BAR
 *
 * There is no firmware to place it, so it gets its address here; a guest may
 * move it. It answers once the guest sets Memory Space Enable.
 */
void pci_dev__add_bar(struct pci_dev *dev, unsigned int index, const struct pci_bar *bar)
{
	struct pci_bus *bus = dev->vm->dev.pci;
	uint64_t base = align_up(bus->next_mmio, bar->size);

	bus->next_mmio = base + bar->size;
	dev->bars[index] = *bar;
	put32(&dev->config[BAR_OFFSET(index)], base);
	put32(&dev->wmask[BAR_OFFSET(index)], ~(uint32_t)(bar->size - 1));
}

/**
 * pci_dev__add_cap() - append a capability
 * @dev: the function
 * @id: PCI_CAP_ID_*
 * @body: what follows the link byte
 * @len: its length
 *
 * Return: the capability's offset.
 */
uint8_t pci_dev__add_cap(struct pci_dev *dev, uint8_t id, const void *body, unsigned int len)
{
	uint8_t at = dev->next_cap;

	dev->config[at] = id;
	memcpy(&dev->config[at + 2], body, len);
	dev->config[dev->last_cap] = at;
	dev->last_cap = at + PCI_CAP_LIST_NEXT;
	dev->next_cap = align_up(at + 2 + len, 4);
	put16(&dev->config[PCI_STATUS], get16(&dev->config[PCI_STATUS]) | PCI_STATUS_CAP_LIST);
	return at;
}

static void pci_dev__msix_bar(void *opaque, const struct io_access *access)
{
	struct pci_dev *dev = opaque;

	msix__access(&dev->msix, access);
}

/** pci_dev__add_msix() - give a function MSI-X, its table in a BAR of its own, and pin A */
int pci_dev__add_msix(struct pci_dev *dev, unsigned int bar, unsigned int nr_vectors)
{
	struct {
		uint16_t control;
		uint32_t table;
		uint32_t pba;
	} __attribute__((packed)) cap = {
		.control = nr_vectors - 1,
		.table = bar,
		.pba = MSIX_PBA_OFFSET | bar,
	};
	int ret = msix__init(&dev->msix, dev->vm, nr_vectors);

	if (ret)
		return ret;
	pci_dev__add_bar(dev, bar, &(struct pci_bar){
		.size = MSIX_BAR_SIZE,
		.handler = pci_dev__msix_bar,
	});
	dev->msix_cap = pci_dev__add_cap(dev, PCI_CAP_ID_MSIX, &cap, sizeof(cap));
	put16(&dev->wmask[dev->msix_cap + PCI_MSIX_FLAGS],
	      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	dev->config[PCI_INTERRUPT_PIN] = 1;
	dev->config[PCI_INTERRUPT_LINE] = IRQ_PCI_BASE + dev->slot % IRQ_PCI_LINES;
	return 0;
}

/** pci_dev__set_intx() - drive the function's interrupt pin; any thread */
void pci_dev__set_intx(struct pci_dev *dev, bool level)
{
	struct pci_bus *bus = dev->vm->dev.pci;
	unsigned int line = dev->slot % IRQ_PCI_LINES;
	uint32_t before;

	pthread_mutex_lock(&bus->intx_lock);
	before = bus->intx[line];
	if (level)
		bus->intx[line] |= 1u << dev->slot;
	else
		bus->intx[line] &= ~(1u << dev->slot);
	if (!before != !bus->intx[line])
		irq__set_line(dev->vm, IRQ_PCI_BASE + line, level);
	pthread_mutex_unlock(&bus->intx_lock);
}

/* Guests look for a host bridge before they believe that there is a bus. */
static int pci_bus__add_host_bridge(struct vm *vm)
{
	return pci_dev__register(xcalloc(1, sizeof(struct pci_dev)), vm, &(struct pci_id){
		.vendor = HOST_BRIDGE_VENDOR,
		.device = HOST_BRIDGE_DEVICE,
		.class = HOST_BRIDGE_CLASS,
	});
}

/**
 * pci_bus__create() - make bus 0 with its host bridge
 *
 * The reset register at port 0xcf9 lies inside the address register; an access
 * belongs to the port at which it starts.
 */
int pci_bus__create(struct vm *vm)
{
	struct pci_bus *bus = xcalloc(1, sizeof(*bus));
	const struct io_region regions[] = {
		{ IO_PORT, PCI_CONFIG_ADDRESS, 1, pci_bus__address, bus },
		{ IO_PORT, PCI_CONFIG_DATA, 4, pci_bus__data, bus },
	};
	int ret = 0;

	pthread_mutex_init(&bus->lock, NULL);
	pthread_mutex_init(&bus->intx_lock, NULL);
	bus->vm = vm;
	bus->next_mmio = PCI_MMIO_START;
	vm->dev.pci = bus;
	for (size_t i = 0; i < ARRAY_SIZE(regions) && !ret; i++)
		ret = bus__add(&vm->bus, &regions[i]);
	return ret ? ret : pci_bus__add_host_bridge(vm);
}

/** pci_bus__destroy() - free the bus; every other function is gone already */
void pci_bus__destroy(struct vm *vm)
{
	if (!vm->dev.pci)
		return;
	free(vm->dev.pci->devices[0]);
	free(vm->dev.pci);
	vm->dev.pci = NULL;
}
