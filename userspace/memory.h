/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_MEMORY_H
#define NESTOR_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The guest-physical map: RAM, a hole below 4 GiB for PCI and the interrupt
 * controllers, and the rest of RAM above 4 GiB. The hole starts on a 1 GiB
 * boundary so that RAM can be mapped by 1 GiB leaves right up to it.
 */
#define MEM_HOLE_START	0xc0000000ULL
#define MEM_HOLE_END	0x100000000ULL
#define PCI_MMIO_START	0xc0000000ULL
#define PCI_MMIO_END	0xfec00000ULL
#define IOAPIC_BASE	0xfec00000ULL
#define LAPIC_BASE	0xfee00000ULL
#define IDENTITY_MAP	0xfffbc000ULL
#define TSS_BASE	0xfffbd000ULL

/**
 * enum page_backing - host pages under guest memory
 * @PAGES_ANY: anonymous memory; transparent huge pages when the host gives them
 * @PAGES_4K: anonymous memory, never huge
 * @PAGES_2M: hugetlbfs, 2 MiB
 * @PAGES_1G: hugetlbfs, 1 GiB
 */
enum page_backing { PAGES_ANY, PAGES_4K, PAGES_2M, PAGES_1G };

/**
 * struct ram - one run of guest RAM, which is one memory slot
 * @gpa: first guest-physical address
 * @size: bytes
 * @host: where it is mapped here
 */
struct ram {
	uint64_t gpa;
	uint64_t size;
	uint8_t *host;
};

struct vm;

void *memory__map(size_t size, enum page_backing backing);
int memory__init(struct vm *vm, uint64_t size, enum page_backing backing);
void memory__exit(struct vm *vm);
void *memory__ptr(const struct vm *vm, uint64_t gpa, uint64_t len);

#endif
