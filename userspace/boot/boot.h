/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_BOOT_H
#define NESTOR_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where things are put in the first MiB of guest memory. */
#define BOOT_GDT	0x00500
#define BOOT_PARAMS	0x07000	/* struct boot_params or struct hvm_start_info */
#define BOOT_TABLES	0x09000	/* page tables, up to 0xf000 */
#define BOOT_CMDLINE	0x20000
#define BOOT_CMDLINE_MAX 0x10000
#define BOOT_EBDA	0x9fc00	/* end of usable memory below 1 MiB */
#define BOOT_ACPI	0xe0000
#define BOOT_ACPI_MAX	0x20000
#define BOOT_HIGH	0x100000

#define E820_MAX	8

struct setup_header;
struct vcpu;
struct vm;

/**
 * struct boot_options - what to start, and how
 * @kernel: a bzImage or an ELF kernel; NULL for a flat binary
 * @initrd: its initial RAM disk, or NULL
 * @append: its command line
 * @flat: a flat binary
 * @entry: where it is loaded and starts
 * @long_mode: whether it starts in 64-bit mode rather than in real mode
 */
struct boot_options {
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *flat;
	uint64_t entry;
	bool long_mode;
};

enum boot_mode { BOOT_REAL, BOOT_PROTECTED, BOOT_LONG };

/**
 * struct boot_entry - the first vCPU's state at its first instruction
 * @mode: real mode, flat 32-bit protected mode, or 64-bit mode with 4 GiB mapped
 *	one to one
 * @rip: address of the first instruction; all of it, also in real mode
 * @rsp: stack pointer
 * @rbx: PVH's argument
 * @rsi: the Linux boot protocol's argument
 * @tables: where the page tables go, BOOT_TABLES_SIZE bytes
 * @gdt: where the descriptor table goes
 */
struct boot_entry {
	enum boot_mode mode;
	uint64_t rip;
	uint64_t rsp;
	uint64_t rbx;
	uint64_t rsi;
	uint64_t tables;
	uint64_t gdt;
};

#define BOOT_TABLES_SIZE 0x6000

/**
 * struct file_map - a file mapped for reading
 * @path: its path, for messages
 * @data: its contents
 * @size: its size
 */
struct file_map {
	const char *path;
	const uint8_t *data;
	size_t size;
};

/**
 * struct e820_range - a range of the memory map
 * @start: first address
 * @size: bytes
 * @type: 1 for RAM, 2 for reserved
 */
struct e820_range {
	uint64_t start;
	uint64_t size;
	uint32_t type;
};

#define E820_RAM	1
#define E820_RESERVED	2

/*
 * All return 0 or a negative errno, reported; -ENOENT and -ENOEXEC are the user's
 * mistakes: a file that is not there, or not what it should be.
 */
int boot__load(struct vm *vm, const struct boot_options *options);
int file__map(struct file_map *file, const char *path);
void file__unmap(struct file_map *file);

int bzimage__load(struct vm *vm, const struct file_map *kernel,
		  const struct boot_options *options, struct boot_entry *entry);
void bootparams__fill(struct vm *vm, const struct setup_header *header, uint64_t initrd,
		      uint64_t initrd_size);
bool elf__is_elf(const struct file_map *kernel);
int elf__load(struct vm *vm, const struct file_map *kernel,
	      const struct boot_options *options, struct boot_entry *entry);
int flat__load(struct vm *vm, const struct boot_options *options, struct boot_entry *entry);

int boot__load_cmdline(struct vm *vm, const char *cmdline, size_t max);
int boot__load_initrd(struct vm *vm, const char *path, uint64_t kernel_end, uint64_t limit,
		      uint64_t *start, uint64_t *size);
unsigned int e820__build(const struct vm *vm, struct e820_range *map);
int entry__apply(struct vcpu *vcpu, const struct boot_entry *entry);

#endif
