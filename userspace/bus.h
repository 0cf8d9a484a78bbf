/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_BUS_H
#define NESTOR_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum io_space { IO_PORT, IO_MMIO, IO_SPACES };

/**
 * struct io_access - one access by the guest, to a port or to memory
 * @offset: distance from the region's base
 * @data: @len bytes, little endian; a read that leaves them alone yields all ones
 * @len: 1 to 8
 * @write: whether the guest writes
 */
struct io_access {
	uint64_t offset;
	uint8_t *data;
	unsigned int len;
	bool write;
};

typedef void (*io_handler_t)(void *opaque, const struct io_access *access);

/**
 * struct io_region - a range of ports or addresses and who answers there
 * @space: ports or memory
 * @base: first port or guest-physical address
 * @size: how many
 * @handler: called for every access that starts in the range; any vCPU's thread
 * @opaque: handed to @handler
 */
struct io_region {
	enum io_space space;
	uint64_t base;
	uint64_t size;
	io_handler_t handler;
	void *opaque;
};

/**
 * struct bus - the registry of all regions
 * @lock: guards the arrays
 * @regions: per space, sorted by base, without overlap
 * @count: how many there are per space
 */
struct bus {
	pthread_rwlock_t lock;
	struct io_region *regions[IO_SPACES];
	unsigned int count[IO_SPACES];
};

void bus__init(struct bus *bus);
void bus__exit(struct bus *bus);
int bus__add(struct bus *bus, const struct io_region *region);
void bus__remove(struct bus *bus, const struct io_region *region);
bool bus__access(struct bus *bus, enum io_space space, uint64_t addr,
		 uint8_t *data, unsigned int len, bool write);

/* The access's data as a number; a read's answer cut to the access's length. */
uint64_t io__value(const struct io_access *access);
void io__answer(const struct io_access *access, uint64_t value);

#endif
