// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults: the guest's first touch of memory that the host has, but that the
 * hypervisor has not mapped yet. Clearing fresh host memory is left out: it would hide
 * the hypervisor's own part, and costs the same on every hypervisor.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/bench.h"
#include "bench/layout.h"
#include "stats.h"
#include "util.h"

#define FRESH_SLOT	2

/* Touch one small page in 16, so that mapping neighbours along does not count. */
#define SMALL_STRIDE	(16 * KIB(4))
#define ROUND_BYTES	MIB(64)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/**
 * struct fresh - memory to be touched
 * @host: where it is mapped here
 * @size: bytes
 * @stride: from one touch to the next
 * @touches: how many fit
 */
struct fresh {
	void *host;
	uint64_t size;
	uint64_t stride;
	unsigned int touches;
};

static void populate(void *p, size_t size)
{
	if (madvise(p, size, MADV_POPULATE_WRITE) == 0)
		return;
	for (size_t i = 0; i < size; i += KIB(4))
		((volatile uint8_t *)p)[i] = 0;
}

static void *map_fresh(uint64_t page, uint64_t size)
{
	void *p;

	if (page == GIB(1))
		return memory__map(size, PAGES_1G);
	if (page == KIB(4))
		return memory__map(size, PAGES_4K);
	/* Huge pages from the pool are certain, transparent ones are likely. */
	p = memory__map(size, PAGES_2M);
	return p ? p : memory__map(size, PAGES_ANY);
}

static bool fresh__init(struct fresh *fresh, uint64_t page, struct result *result)
{
	fresh->size = page == GIB(1) ? page : ROUND_BYTES;
	fresh->stride = page == KIB(4) ? SMALL_STRIDE : page;
	fresh->touches = fresh->size / fresh->stride;
	fresh->host = map_fresh(page, fresh->size);
	if (!fresh->host) {
		result__fail(result, "no %s pages: %s", page == GIB(1) ? "1 GiB" : "2 MiB",
			     strerror(errno));
		return false;
	}
	populate(fresh->host, fresh->size);
	return true;
}

static const char *leaf_counter(uint64_t page)
{
	return page == GIB(1) ? "pages_1g" : page == MIB(2) ? "pages_2m" : "pages_4k";
}

/* One round: map the slot, touch each page, check the leaves' size, unmap the slot. */
static bool run_round(struct guest *guest, struct bench *bench, const struct fresh *fresh,
		      unsigned int touches)
{
	const char *counter = leaf_counter(bench->benchmark->page);
	uint64_t before = 0, after = 0;
	bool counted;

	guest__set_param(guest, PARAM_COUNT, touches);
	if (guest__enter(guest, 0, bench->benchmark->code, bench->result) ||
	    vm__set_slot(&guest->vm, FRESH_SLOT, BENCH_FRESH, fresh->size, fresh->host)) {
		result__fail(bench->result, "the slot cannot be set");
		return false;
	}
	counted = stats__read_one(guest->vm.fd, counter, &before);
	if (!guest__run_to_done(guest, bench->result))
		return false;
	if (counted && stats__read_one(guest->vm.fd, counter, &after) &&
	    after - before < touches) {
		result__fail(bench->result, "%u touches made %lld leaves of this size", touches,
			     (long long)(after - before));
		return false;
	}
	guest__collect(guest, bench->result, touches);
	return !vm__set_slot(&guest->vm, FRESH_SLOT, BENCH_FRESH, 0, fresh->host);
}

static void run_rounds(struct guest *guest, struct bench *bench, const struct fresh *fresh)
{
	struct result *result = bench->result;
	struct ops before;

	guest__set_param(guest, PARAM_ADDRESS, BENCH_FRESH);
	guest__set_param(guest, PARAM_STRIDE, fresh->stride);
	ops__read(&before);
	while (result->count < bench->benchmark->samples) {
		unsigned int left = bench->benchmark->samples - result->count;

		if (!run_round(guest, bench, fresh,
			       left < fresh->touches ? left : fresh->touches))
			break;
	}
	ops__read(&result->ops);
	ops__subtract(&result->ops, &before);
}

/** measure__faults() - first touches of memory, with leaves of the benchmark's page size */
void measure__faults(struct bench *bench)
{
	struct fresh fresh;
	struct guest guest;

	if (!fresh__init(&fresh, bench->benchmark->page, bench->result))
		return;
	if (!guest__create(&guest, bench, bench->result)) {
		run_rounds(&guest, bench, &fresh);
		guest__destroy(&guest);
	}
	munmap(fresh.host, fresh.size);
}
