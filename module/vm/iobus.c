// SPDX-License-Identifier: GPL-2.0
/*
 * I/O buses: who handles a port or an address in the kernel.
 *
 * Readers see an array under SRCU, or in a burst; a device that is added brings a new array, one that is removed leaves a
 * hole, so that removal cannot fail.
 */
#include <linux/slab.h>
#include <linux/srcu.h>

#include "irq/irq.h"
#include "vm/vm.h"

/* As upstream: of ioeventfds there may be more, as many as the process may open files. */
#define IOBUS_MAX_DEVICES	1000

/**
 * struct iobus_range - where a device listens
 * @addr: first port or address
 * @len: 0: any access that begins at @addr
 * @max_end: the largest end of this and all earlier ranges, exclusive, so that a search for what may
 *	contain an address knows where to begin
 * @alone: no other range overlaps it, so nobody else is to be asked
 * @dev: NULL when it was removed
 */
struct iobus_range {
	u64 addr;
	u64 len;
	u64 max_end;
	bool alone;
	struct iodev *dev;
};

struct iobus {
	u32 nr;
	struct iobus_range range[];	/* sorted by address, then by age */
};

static struct iobus *iobus_of(struct vm *vm, int bus)
{
	/* Interrupts are off in a burst: see vm_wait_for_readers(). */
	return srcu_dereference_check(vm->iobus[bus], &vm->srcu,
				      lockdep_is_held(&vm->slots_lock) || irqs_disabled() ||
				      !refcount_read(&vm->users));
}

static void append(struct iobus *bus, const struct iobus_range *r)
{
	struct iobus_range *to = &bus->range[bus->nr];
	u64 end = r->addr + max(r->len, 1ull);

	/* A range that ends at the very top of the address space. */
	if (end < r->addr)
		end = ~0ull;
	*to = *r;
	to->max_end = bus->nr ? max(end, to[-1].max_end) : end;
	to->alone = !bus->nr || to[-1].max_end <= r->addr;
	if (!to->alone)
		to[-1].alone = false;
	bus->nr++;
}

/**
 * iobus_register - let a device handle accesses
 * @vm: the VM
 * @bus: IOBUS_PIO or IOBUS_MMIO
 * @addr: first port or address
 * @len: 0: any access that begins at @addr
 * @dev: the device
 *
 * Under vm->slots_lock. -ENOSPC: too many devices; -ENOMEM.
 */
int iobus_register(struct vm *vm, int bus, u64 addr, u64 len, struct iodev *dev)
{
	struct iobus_range r = { .addr = addr, .len = len, .dev = dev };
	struct iobus *old = iobus_of(vm, bus), *new;
	u32 i, nr = old ? old->nr : 0, counted = 0;
	bool added = false;

	for (i = 0; i < nr; i++)
		counted += old->range[i].dev && !old->range[i].dev->ops->ioeventfd;
	if (counted >= IOBUS_MAX_DEVICES)
		return -ENOSPC;

	new = kvzalloc(struct_size(new, range, nr + 1), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (!added && old->range[i].addr > addr) {
			append(new, &r);
			added = true;
		}
		if (old->range[i].dev)
			append(new, &old->range[i]);
	}
	if (!added)
		append(new, &r);

	rcu_assign_pointer(vm->iobus[bus], new);
	if (old) {
		vm_wait_for_readers(vm);
		kvfree(old);
	}
	return 0;
}

/* Under vm->slots_lock. When it returns, no handler of the device runs; the caller may free it. */
void iobus_unregister(struct vm *vm, int bus, struct iodev *dev)
{
	struct iobus *b = iobus_of(vm, bus);
	bool found = false;
	u32 i;

	for (i = 0; b && i < b->nr; i++) {
		if (b->range[i].dev == dev) {
			WRITE_ONCE(b->range[i].dev, NULL);
			found = true;
		}
	}
	if (found)
		vm_wait_for_readers(vm);
}

/* VM destruction: nobody uses the buses any more. */
void iobus_destroy(struct vm *vm)
{
	struct iobus *b;
	struct iodev *dev;
	int bus;
	u32 i;

	for (bus = 0; bus < IOBUS_NR; bus++) {
		b = rcu_dereference_protected(vm->iobus[bus], true);
		RCU_INIT_POINTER(vm->iobus[bus], NULL);
		for (i = 0; b && i < b->nr; i++) {
			dev = b->range[i].dev;
			if (dev && dev->ops->release)
				dev->ops->release(dev);
		}
		kvfree(b);
	}
}

/* The first range that can contain an access at @addr: before it, everything ends too early. */
static u32 first_candidate(const struct iobus *b, u64 addr)
{
	u32 low = 0, high = b->nr, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (b->range[mid].max_end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool range_has(const struct iobus_range *r, u64 addr, int len)
{
	if (!r->len)
		return addr == r->addr;
	return addr - r->addr <= r->len && len <= r->len - (addr - r->addr);
}

static __always_inline int dev_access(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, void *val,
				      bool write)
{
	const struct iodev_ops *ops = dev->ops;

	if (write)
		return ops->write ? ops->write(vcpu, dev, addr, len, val) : -EOPNOTSUPP;
	return ops->read ? ops->read(vcpu, dev, addr, len, val) : -EOPNOTSUPP;
}

/* Ask whoever may be listening, in their order. */
static int search(struct vcpu *vcpu, const struct iobus *b, int bus, u64 addr, int len, void *val,
		  bool write)
{
	struct iodev *dev;
	int r;
	u32 i;

	for (i = first_candidate(b, addr); i < b->nr && b->range[i].addr <= addr; i++) {
		dev = READ_ONCE(b->range[i].dev);
		if (!dev || !range_has(&b->range[i], addr, len))
			continue;
		r = dev_access(vcpu, dev, addr, len, val, write);
		if (r != -EOPNOTSUPP) {
			vcpu->iobus_hint[bus] = i;
			return r;
		}
	}
	return -EOPNOTSUPP;
}

/* A guest often goes on with the device that it used last: look there first. */
static __always_inline int find_and_access(struct vcpu *vcpu, int bus, u64 addr, int len, void *val, bool write)
{
	const struct iobus *b = iobus_of(vcpu->vm, bus);
	u32 hint = vcpu->iobus_hint[bus];
	const struct iobus_range *range;
	struct iodev *dev;

	if (!b)
		return -EOPNOTSUPP;
	/* The hint may be of another array. */
	range = &b->range[hint < b->nr ? hint : 0];
	dev = b->nr && range->alone && range_has(range, addr, len) ? READ_ONCE(range->dev) : NULL;
	if (dev)
		return dev_access(vcpu, dev, addr, len, val, write);
	return search(vcpu, b, bus, addr, len, val, write);
}

static noinline int access_outside_bursts(struct vcpu *vcpu, int bus, u64 addr, int len, void *val, bool write)
{
	int idx, r;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	r = find_and_access(vcpu, bus, addr, len, val, write);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return r;
}

static __always_inline int iobus_access(struct vcpu *vcpu, int bus, u64 addr, int len, void *val, bool write)
{
	if (likely(vcpu->in_burst))
		return find_and_access(vcpu, bus, addr, len, val, write);
	return access_outside_bursts(vcpu, bus, addr, len, val, write);
}

int iobus_read(struct vcpu *vcpu, int bus, u64 addr, int len, void *val)
{
	if (bus == IOBUS_MMIO && vcpu->lapic && !lapic_mmio_read(vcpu, addr, len, val))
		return 0;
	return iobus_access(vcpu, bus, addr, len, val, false);
}

int iobus_write(struct vcpu *vcpu, int bus, u64 addr, int len, const void *val)
{
	if (bus == IOBUS_MMIO && vcpu->lapic && !lapic_mmio_write(vcpu, addr, len, val))
		return 0;
	/* Handlers of writes only read the value. */
	return iobus_access(vcpu, bus, addr, len, (void *)val, true);
}
