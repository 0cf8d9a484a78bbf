// SPDX-License-Identifier: GPL-2.0
/*
 * Coalesced writes: a guest's writes to a registered zone are put into a ring that user space reads
 * when it next gets to it, instead of an exit for each.
 */
#include <linux/slab.h>

#include "abi/abi.h"
#include "vm/vm.h"

/* A zone. */
struct coalesced {
	struct iodev dev;
	struct list_head link;	/* in vm->coalesced_zones, under vm->slots_lock */
	struct vm *vm;
	u64 addr;
	u32 size;
	bool pio;
};

static bool in_zone(const struct coalesced *zone, u64 addr, u64 len)
{
	return addr >= zone->addr && addr + len >= addr && addr + len <= zone->addr + zone->size;
}

/*
 * The ring is user space's memory: @last is checked before it is an index, @first only decides
 * whether there is room.
 */
static bool ring_put(struct kvm_coalesced_mmio_ring *ring, const struct coalesced *zone,
		     u64 addr, u32 len, const void *val)
{
	u32 last = READ_ONCE(ring->last);
	struct kvm_coalesced_mmio *entry;
	u32 next;

	if (last >= KVM_COALESCED_MMIO_MAX)
		return false;
	/* One entry stays empty: a full ring must not look like an empty one. */
	next = (last + 1) % KVM_COALESCED_MMIO_MAX;
	if (next == READ_ONCE(ring->first))
		return false;

	entry = &ring->coalesced_mmio[last];
	entry->phys_addr = addr;
	entry->len = len;
	memcpy(entry->data, val, len);
	entry->pio = zone->pio;
	/* The reader sees the entry before the index that covers it. */
	smp_store_release(&ring->last, next);
	return true;
}

static int coalesced_write(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val)
{
	struct coalesced *zone = container_of(dev, struct coalesced, dev);
	struct vm *vm = zone->vm;
	bool put;

	if (len > sizeof_field(struct kvm_coalesced_mmio, data) || !in_zone(zone, addr, len))
		return -EOPNOTSUPP;
	spin_lock(&vm->coalesced_lock);
	put = ring_put(page_address(vm->coalesced_page), zone, addr, len, val);
	spin_unlock(&vm->coalesced_lock);
	/* When the ring is full the write is an ordinary exit, before which user space empties it. */
	return put ? 0 : -EOPNOTSUPP;
}

static void coalesced_release(struct iodev *dev)
{
	struct coalesced *zone = container_of(dev, struct coalesced, dev);

	list_del(&zone->link);
	kfree(zone);
}

static const struct iodev_ops coalesced_ops = {
	.write = coalesced_write,
	.release = coalesced_release,
};

static int zone_bus(bool pio)
{
	return pio ? IOBUS_PIO : IOBUS_MMIO;
}

int abi_register_coalesced(struct vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	struct coalesced *zone;
	int r;

	if (args->pio > 1)
		return -EINVAL;
	zone = kzalloc(sizeof(*zone), GFP_KERNEL_ACCOUNT);
	if (!zone)
		return -ENOMEM;
	zone->dev.ops = &coalesced_ops;
	zone->vm = vm;
	zone->addr = args->addr;
	zone->size = args->size;
	zone->pio = args->pio;

	mutex_lock(&vm->slots_lock);
	r = iobus_register(vm, zone_bus(zone->pio), zone->addr, zone->size, &zone->dev);
	if (!r)
		list_add_tail(&zone->link, &vm->coalesced_zones);
	mutex_unlock(&vm->slots_lock);
	if (r)
		kfree(zone);
	return r;
}

/* Unregisters every zone that contains the given one; none is no error. */
int abi_unregister_coalesced(struct vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	struct coalesced *zone, *next;

	if (args->pio > 1)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	list_for_each_entry_safe(zone, next, &vm->coalesced_zones, link) {
		if (zone->pio != args->pio || !in_zone(zone, args->addr, args->size))
			continue;
		iobus_unregister(vm, zone_bus(zone->pio), &zone->dev);
		coalesced_release(&zone->dev);
	}
	mutex_unlock(&vm->slots_lock);
	return 0;
}
