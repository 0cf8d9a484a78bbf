// SPDX-License-Identifier: GPL-2.0
/* The registry of port and memory regions that devices answer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "util.h"

/** bus__init() - make an empty registry */
void bus__init(struct bus *bus)
{
	memset(bus, 0, sizeof(*bus));
	pthread_rwlock_init(&bus->lock, NULL);
}

/** bus__exit() - forget every region */
void bus__exit(struct bus *bus)
{
	for (int space = 0; space < IO_SPACES; space++) {
		free(bus->regions[space]);
		bus->regions[space] = NULL;
		bus->count[space] = 0;
	}
	pthread_rwlock_destroy(&bus->lock);
}

/* Index of the first region that ends after @addr. */
static unsigned int bus__search(const struct bus *bus, enum io_space space, uint64_t addr)
{
	const struct io_region *r = bus->regions[space];
	unsigned int low = 0, high = bus->count[space];

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (r[mid].base + (r[mid].size - 1) < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int bus__insert(struct bus *bus, const struct io_region *region)
{
	unsigned int count = bus->count[region->space];
	unsigned int at = bus__search(bus, region->space, region->base);
	struct io_region *r = bus->regions[region->space];

	if (at < count && r[at].base <= region->base + (region->size - 1))
		return -EEXIST;
	r = realloc(r, (count + 1) * sizeof(*r));
	if (!r)
		return -ENOMEM;
	memmove(&r[at + 1], &r[at], (count - at) * sizeof(*r));
	r[at] = *region;
	bus->regions[region->space] = r;
	bus->count[region->space] = count + 1;
	return 0;
}

/**
 * bus__add() - let a device answer a range
 *
 * Return: 0; -EEXIST when it overlaps another region, as a guest can make
 * its PCI BARs do; -ENOMEM.
 */
int bus__add(struct bus *bus, const struct io_region *region)
{
	int ret;

	pthread_rwlock_wrlock(&bus->lock);
	ret = bus__insert(bus, region);
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

/** bus__remove() - take back what bus__add() added; calls under way may still run */
void bus__remove(struct bus *bus, const struct io_region *region)
{
	struct io_region *r;
	unsigned int at;

	pthread_rwlock_wrlock(&bus->lock);
	r = bus->regions[region->space];
	at = bus__search(bus, region->space, region->base);
	if (at < bus->count[region->space] && r[at].base == region->base &&
	    r[at].opaque == region->opaque) {
		bus->count[region->space]--;
		memmove(&r[at], &r[at + 1],
			(bus->count[region->space] - at) * sizeof(*r));
	}
	pthread_rwlock_unlock(&bus->lock);
}

/**
 * bus__access() - let the device at @addr answer
 *
 * The handler runs without the lock: a write to a PCI command register changes
 * the registry from inside a handler. Devices live as long as their VM, so a
 * region that is removed meanwhile leaves nothing dangling.
 *
 * Return: whether any device answers there.
 */
bool bus__access(struct bus *bus, enum io_space space, uint64_t addr,
		 uint8_t *data, unsigned int len, bool write)
{
	struct io_region region;
	unsigned int at;
	bool found;

	pthread_rwlock_rdlock(&bus->lock);
	at = bus__search(bus, space, addr);
	found = at < bus->count[space] && bus->regions[space][at].base <= addr;
	if (found)
		region = bus->regions[space][at];
	pthread_rwlock_unlock(&bus->lock);

	if (!write)
		memset(data, 0xff, len);
	if (found)
		region.handler(region.opaque, &(struct io_access){
			.offset = addr - region.base,
			.data = data,
			.len = len,
			.write = write,
		});
	return found;
}

/** io__value() - the data of a write as a number */
uint64_t io__value(const struct io_access *access)
{
	uint64_t v = 0;

	memcpy(&v, access->data, access->len);
	return v;
}

/** io__answer() - answer a read with a number, cut to the access's length */
void io__answer(const struct io_access *access, uint64_t value)
{
	memcpy(access->data, &value, access->len);
}
