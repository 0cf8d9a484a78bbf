// SPDX-License-Identifier: GPL-2.0
/* The hypervisor's counters, by KVM_GET_STATS_FD. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "stats.h"
#include "util.h"
#include "vm.h"

#define MAX_DESCRIPTORS	4096
#define MAX_VALUES	65536

/**
 * struct stats - one file of counters
 * @fd: the file
 * @header: its header
 * @stride: bytes from one descriptor to the next
 * @descs: its descriptors
 */
struct stats {
	int fd;
	struct kvm_stats_header header;
	size_t stride;
	uint8_t *descs;
};

static bool read_all(int fd, void *to, size_t len, off_t offset)
{
	return pread(fd, to, len, offset) == (ssize_t)len;
}

/* @fd is a VM's or a vCPU's descriptor. */
static bool stats__open(struct stats *stats, int fd)
{
	size_t size;

	*stats = (struct stats){ .fd = ioctl(fd, KVM_GET_STATS_FD, NULL) };
	if (stats->fd < 0)
		return false;
	if (!read_all(stats->fd, &stats->header, sizeof(stats->header), 0) ||
	    stats->header.num_desc > MAX_DESCRIPTORS || stats->header.name_size > 256)
		goto fail;
	stats->stride = sizeof(struct kvm_stats_desc) + stats->header.name_size;
	size = stats->stride * stats->header.num_desc;
	stats->descs = xcalloc(1, size + 1);
	if (read_all(stats->fd, stats->descs, size, stats->header.desc_offset))
		return true;
	free(stats->descs);
fail:
	close(stats->fd);
	return false;
}

static void stats__close(struct stats *stats)
{
	free(stats->descs);
	close(stats->fd);
}

static const struct kvm_stats_desc *stats__desc(const struct stats *stats, uint32_t i)
{
	return (const struct kvm_stats_desc *)(stats->descs + i * stats->stride);
}

static bool stats__value(const struct stats *stats, const struct kvm_stats_desc *desc,
			 uint64_t *values, unsigned int count)
{
	return read_all(stats->fd, values, count * sizeof(*values),
			stats->header.data_offset + desc->offset);
}

/* A histogram is printed without the buckets after its last one that counts. */
static void print_counter(const struct stats *stats, const struct kvm_stats_desc *desc,
			  const char *prefix)
{
	unsigned int count = desc->size;
	uint64_t *values;

	if (!count || count > MAX_VALUES)
		return;
	values = xcalloc(count, sizeof(*values));
	if (stats__value(stats, desc, values, count)) {
		while (count > 1 && !values[count - 1])
			count--;
		fprintf(stderr, "%s.%.*s", prefix, (int)stats->header.name_size, desc->name);
		for (unsigned int i = 0; i < count; i++)
			fprintf(stderr, " %llu", (unsigned long long)values[i]);
		fprintf(stderr, "\n");
	}
	free(values);
}

static void print_file(int fd, const char *prefix)
{
	struct stats stats;

	if (!stats__open(&stats, fd)) {
		pr_warn("%s has no counters: %s", prefix, strerror(errno));
		return;
	}
	for (uint32_t i = 0; i < stats.header.num_desc; i++)
		print_counter(&stats, stats__desc(&stats, i), prefix);
	stats__close(&stats);
}

/** stats__print() - print all counters of a VM and its vCPUs, one a line, to stderr */
void stats__print(const struct vm *vm)
{
	char prefix[16];

	print_file(vm->fd, "vm");
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		snprintf(prefix, sizeof(prefix), "vcpu%u", i);
		print_file(vm->vcpus[i].fd, prefix);
	}
}

/**
 * stats__read_one() - read a single counter
 * @fd: a VM's or a vCPU's descriptor
 * @name: the counter's name
 * @value: set to its value
 *
 * Return: whether there is such a counter.
 */
bool stats__read_one(int fd, const char *name, uint64_t *value)
{
	struct stats stats;
	bool found = false;

	if (!stats__open(&stats, fd))
		return false;
	for (uint32_t i = 0; i < stats.header.num_desc && !found; i++) {
		const struct kvm_stats_desc *desc = stats__desc(&stats, i);

		if (!strncmp(desc->name, name, stats.header.name_size))
			found = desc->size && stats__value(&stats, desc, value, 1);
	}
	stats__close(&stats);
	return found;
}
