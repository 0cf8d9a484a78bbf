// SPDX-License-Identifier: GPL-2.0
/* Guest RAM: host mappings, memory slots, and checked access to them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util.h"
#include "vm.h"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#define HUGE_FLAGS(shift) (MAP_HUGETLB | (shift) << MAP_HUGE_SHIFT)

/*
 * Reserve one GiB more than asked for and keep the aligned part: leaves of
 * 1 GiB and 2 MiB need guest and host addresses that agree modulo their size.
 */
static void *map_aligned(size_t size, size_t align)
{
	uint8_t *raw = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *start;

	if (raw == MAP_FAILED)
		return NULL;
	start = (uint8_t *)align_up((uintptr_t)raw, align);
	if (start != raw)
		munmap(raw, start - raw);
	if (start + size != raw + size + align)
		munmap(start + size, raw + align - start);
	return start;
}

/**
 * memory__map() - map host memory that suits leaves of the wanted size
 * @size: bytes; a multiple of the page size that @backing names
 * @backing: the host pages to use
 *
 * Return: the mapping (munmap() frees it), or NULL with errno set.
 */
void *memory__map(size_t size, enum page_backing backing)
{
	int shift = backing == PAGES_1G ? 30 : 21;
	void *p;

	if (backing == PAGES_2M || backing == PAGES_1G) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | HUGE_FLAGS(shift), -1, 0);
		return p == MAP_FAILED ? NULL : p;
	}
	p = map_aligned(size, GIB(1));
	if (!p)
		return NULL;
	/* Advice only: a kernel built without huge pages refuses it. */
	madvise(p, size, backing == PAGES_4K ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	return p;
}

static void explain_map_failure(uint64_t size, enum page_backing backing)
{
	int err = errno;

	if (backing == PAGES_2M || backing == PAGES_1G)
		pr_err("cannot map %llu MiB of %s huge pages: %s (is the pool in "
		       "/sys/kernel/mm/hugepages/hugepages-%dkB/nr_hugepages large enough?)",
		       (unsigned long long)(size >> 20),
		       backing == PAGES_1G ? "1 GiB" : "2 MiB", strerror(err),
		       backing == PAGES_1G ? 1048576 : 2048);
	else
		pr_err("cannot map %llu MiB of guest memory: %s",
		       (unsigned long long)(size >> 20), strerror(err));
}

/**
 * memory__init() - give a VM its RAM
 * @vm: the VM, without slots yet
 * @size: bytes; a multiple of the page size that @backing names
 * @backing: the host pages to use
 *
 * Slots 0 and 1 are RAM below and above the hole.
 *
 * Return: 0 or a negative errno, reported.
 */
int memory__init(struct vm *vm, uint64_t size, enum page_backing backing)
{
	uint64_t low = size < MEM_HOLE_START ? size : MEM_HOLE_START;
	int ret;

	vm->ram_map = memory__map(size, backing);
	if (!vm->ram_map) {
		explain_map_failure(size, backing);
		return -ENOMEM;
	}
	vm->ram_size = size;
	vm->ram[0] = (struct ram){ 0, low, vm->ram_map };
	vm->nr_ram = 1;
	if (size > low) {
		vm->ram[1] = (struct ram){ MEM_HOLE_END, size - low, vm->ram_map + low };
		vm->nr_ram = 2;
	}
	for (unsigned int i = 0; i < vm->nr_ram; i++) {
		ret = vm__set_slot(vm, i, vm->ram[i].gpa, vm->ram[i].size,
				   vm->ram[i].host);
		if (ret)
			return ret;
	}
	return 0;
}

/** memory__exit() - unmap guest RAM; no vCPU or device may touch it any more */
void memory__exit(struct vm *vm)
{
	if (vm->ram_map)
		munmap(vm->ram_map, vm->ram_size);
	vm->ram_map = NULL;
	vm->nr_ram = 0;
}

/**
 * memory__ptr() - translate a guest-physical range
 * @vm: the VM
 * @gpa: first address, chosen by the guest
 * @len: bytes, chosen by the guest
 *
 * Return: the host address, or NULL unless all of the range is in one run of RAM.
 */
void *memory__ptr(const struct vm *vm, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < vm->nr_ram; i++) {
		const struct ram *ram = &vm->ram[i];

		if (gpa >= ram->gpa && gpa - ram->gpa < ram->size &&
		    len <= ram->size - (gpa - ram->gpa))
			return ram->host + (gpa - ram->gpa);
	}
	return NULL;
}
