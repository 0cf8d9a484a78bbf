// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the files of KVM_GET_STATS_FD describe themselves by upstream's rules, can be read from
 * any offset, and that their counters, and those in debugfs, say what the guest did.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

#define MEMORY		(4u << 20)
#define CPUIDS		100
#define MAX_FILE	(256u << 10)

/* CPUIDS times CPUID, then as many pages as EBX says written to, then a word. */
GUEST_TEXT(counted_guest,
	   "	mov %ebx, %esi\n"
	   "	mov $100, %edi\n"
	   "1:	xor %eax, %eax\n"
	   "	cpuid\n"
	   "	dec %edi\n"
	   "	jnz 1b\n"
	   "	mov $0x100000, %edi\n"
	   "2:	movl $1, (%edi)\n"
	   "	add $0x1000, %edi\n"
	   "	dec %esi\n"
	   "	jnz 2b\n"
	   "	out %al, $0x80\n");

struct stats_file {
	uint8_t *data;
	size_t size;
	const struct kvm_stats_header *header;
	size_t stride;
};

static const struct kvm_stats_desc *desc_of(const struct stats_file *f, uint32_t i)
{
	return (const void *)(f->data + f->header->desc_offset + i * f->stride);
}

static void check_header(const char *what, const struct stats_file *f)
{
	const struct kvm_stats_header *h = f->header;
	const char *id = (const char *)f->data + h->id_offset;
	size_t descs = h->num_desc * f->stride;

	tap_check(h->flags == 0, "%s: no flags are set", what);
	tap_check(h->name_size && h->name_size <= 256 && h->name_size % 8 == 0,
		  "%s: names have %u bytes", what, h->name_size);
	tap_check(h->num_desc > 0, "%s: there are %u counters", what, h->num_desc);
	tap_check(h->id_offset >= sizeof(*h) && h->id_offset + h->name_size <= h->desc_offset,
		  "%s: the id follows the header", what);
	tap_check(h->desc_offset + descs <= h->data_offset && h->data_offset % 8 == 0,
		  "%s: the descriptors lie before the values", what);
	tap_check(strnlen(id, h->name_size) < h->name_size && !strncmp(id, "kvm-", 4) &&
		  atoi(id + 4) == getpid(), "%s: its id is %.48s", what, id);
}

static bool unit_allows(const struct kvm_stats_desc *d)
{
	switch (d->flags & KVM_STATS_UNIT_MASK) {
	case KVM_STATS_UNIT_NONE:
	case KVM_STATS_UNIT_BYTES:
	case KVM_STATS_UNIT_CYCLES:
		return d->exponent >= 0;
	case KVM_STATS_UNIT_SECONDS:
		return d->exponent <= 0;
	default:
		return d->exponent == 0;
	}
}

static bool desc_good(const struct stats_file *f, const struct kvm_stats_desc *d)
{
	uint32_t type = d->flags & KVM_STATS_TYPE_MASK;
	bool histogram = type == KVM_STATS_TYPE_LINEAR_HIST || type == KVM_STATS_TYPE_LOG_HIST;
	size_t end = f->header->data_offset + d->offset + d->size * sizeof(uint64_t);

	return type <= KVM_STATS_TYPE_MAX &&
	       (d->flags & KVM_STATS_UNIT_MASK) <= KVM_STATS_UNIT_MAX &&
	       (d->flags & KVM_STATS_BASE_MASK) <= KVM_STATS_BASE_MAX && unit_allows(d) &&
	       (histogram ? d->size > 1 : d->size == 1) &&
	       !d->bucket_size == (type != KVM_STATS_TYPE_LINEAR_HIST) &&
	       d->offset % 8 == 0 && end <= f->size &&
	       d->name[0] && strnlen(d->name, f->header->name_size) < f->header->name_size;
}

static void check_descriptors(const char *what, const struct stats_file *f)
{
	int bad = 0, same_name = 0, same_place = 0;

	for (uint32_t i = 0; i < f->header->num_desc; i++) {
		const struct kvm_stats_desc *d = desc_of(f, i);

		if (!desc_good(f, d)) {
			tap_note("%s: descriptor %u, %.48s, flags 0x%x exponent %d size %u offset %u bucket %u",
				 what, i, d->name, d->flags, d->exponent, d->size, d->offset,
				 d->bucket_size);
			bad++;
		}
		for (uint32_t j = 0; j < i; j++) {
			same_name += !strcmp(d->name, desc_of(f, j)->name);
			same_place += d->offset == desc_of(f, j)->offset;
		}
	}
	tap_check(!bad, "%s: every descriptor is well formed", what);
	tap_check(!same_name && !same_place, "%s: no two have a name or a place in common", what);
}

/* The head does not change, so any piece of it must be what the whole was. */
static void check_reading(const char *what, int fd, const struct stats_file *f)
{
	static const size_t sizes[] = { 1, 7, 8, 64, 1000 };
	uint8_t piece[1000], whole[64];
	int bad = 0;

	for (size_t at = 0; at < f->header->data_offset; at += 37) {
		size_t size = sizes[at % 5];
		ssize_t got = pread(fd, piece, size, at);

		if (at + size > f->header->data_offset)
			size = f->header->data_offset - at;
		bad += got < (ssize_t)size || memcmp(piece, f->data + at, size);
	}
	tap_check(!bad, "%s: pieces are those of the whole", what);
	tap_check(pread(fd, piece, 8, f->size) == 0, "%s: nothing behind its end", what);
	tap_check(pread(fd, piece, 100, f->size - 3) == 3, "%s: a read is cut at its end", what);
	tap_check(pread(fd, guarded(4), 8, 0) < 0 && errno == EFAULT, "%s: a bad address", what);
	tap_check(write(fd, piece, 8) < 0 && errno == EBADF, "%s: it cannot be written to", what);
	tap_check(lseek(fd, 0, SEEK_SET) >= 0 && read(fd, whole, 24) >= 0, "%s: read() works", what);
}

static void check_file(const char *what, int fd)
{
	struct stats_file f = { .data = calloc(1, MAX_FILE) };
	ssize_t n = pread(fd, f.data, MAX_FILE, 0);

	if (n < (ssize_t)sizeof(*f.header) || n == MAX_FILE)
		tap_fail("%s: it has %zd bytes", what, n);
	f.size = n;
	f.header = (const void *)f.data;
	f.stride = sizeof(struct kvm_stats_desc) + f.header->name_size;
	if (f.header->desc_offset + f.header->num_desc * f.stride > f.size)
		tap_fail("%s: the descriptors end behind it", what);
	check_header(what, &f);
	check_descriptors(what, &f);
	check_reading(what, fd, &f);
	free(f.data);
	close(fd);
}

/* "NAME VALUE" of a file of counters in debugfs, or -1. */
static long debugfs_value(struct guest *g, const char *file, const char *name)
{
	char path[256], line[128], word[64];
	long value, found = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/nestor/%d-%d/%s", getpid(), g->fd, file);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", word, &value) == 2 && !strcasecmp(word, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

static void check_counts(struct guest *g, unsigned int pages)
{
	/* Each vendor's manual has its own spelling. */
	int64_t cpuids = guest_counter(g, 0, "exit_cpuid");
	long shown;

	if (cpuids < 0)
		cpuids = guest_counter(g, 0, "exit_CPUID");
	tap_check(cpuids == CPUIDS, "%d CPUIDs are %ld exits", CPUIDS, (long)cpuids);
	shown = debugfs_value(g, "vcpu0/stats", "exit_cpuid");
	tap_check(shown == CPUIDS, "debugfs says %ld", shown);
	tap_check(guest_counter(g, 0, "io_exits") == 1, "one OUT");
	tap_check(guest_counter(g, 0, "user_exits") == 1, "one exit to user space");
	/* And the code's page. */
	tap_check(guest_counter(g, -1, "pages_4k") == pages + 1, "%u pages are mapped", pages + 1);
	shown = debugfs_value(g, "stats", "pages_4k");
	tap_check(shown == pages + 1, "debugfs says %ld", shown);
	tap_check(guest_counter(g, -1, "table_pages") >= 4, "by tables");
	tap_check(guest_counter(g, -1, "pages_2m") == 0 && guest_counter(g, -1, "pages_1g") == 0,
		  "and none is large");
}

static void test_counters(struct guest *g)
{
	const unsigned int pages = 17;

	madvise(g->memory, MEMORY, MADV_NOHUGEPAGE);
	guest_load(g, counted_guest);
	guest_add_cpu(g, pages);
	guest_say(g, 0);
	if (guest_counter(g, -1, "table_pages") < 0) {
		tap_skip("these are not Nestor's counters");
		return;
	}
	check_counts(g, pages);
	guest_slot(g, 0, 0, 0, NULL, 0);
	tap_check(guest_counter(g, -1, "pages_4k") == 0, "no page is mapped without memory");
}

int main(void)
{
	struct guest g;

	guest_open(&g, MEMORY, false);
	REQUIRE_CAP(g.dev, KVM_CAP_BINARY_STATS_FD);
	test_counters(&g);
	check_file("VM", KVM(g.fd, KVM_GET_STATS_FD, NULL));
	check_file("vCPU", KVM(g.cpu[0], KVM_GET_STATS_FD, NULL));
	guest_close(&g);
	return tap_done();
}
