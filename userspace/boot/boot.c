// SPDX-License-Identifier: GPL-2.0
/* Loading what the user wants to run, and the parts that all formats share. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"
#include "util.h"
#include "vm.h"

#define PAGE_SIZE 4096

/** file__map() - map a file for reading; -ENOENT, reported, when that fails */
int file__map(struct file_map *file, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	*file = (struct file_map){ .path = path };
	if (fd < 0 || fstat(fd, &st) < 0) {
		pr_err("%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -ENOENT;
	}
	if (!S_ISREG(st.st_mode) || !st.st_size) {
		pr_err("%s: %s", path, S_ISREG(st.st_mode) ? "is empty" : "is not a file");
		close(fd);
		return -ENOENT;
	}
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED) {
		pr_err("%s: %s", path, strerror(errno));
		return -ENOENT;
	}
	file->data = p;
	file->size = st.st_size;
	return 0;
}

/** file__unmap() - undo file__map() */
void file__unmap(struct file_map *file)
{
	if (file->data)
		munmap((void *)file->data, file->size);
	file->data = NULL;
}

/**
 * e820__build() - describe the guest's memory
 * @vm: the VM
 * @map: E820_MAX entries to fill
 *
 * Return: how many were filled.
 */
unsigned int e820__build(const struct vm *vm, struct e820_range *map)
{
	unsigned int n = 0;

	map[n++] = (struct e820_range){ 0, BOOT_EBDA, E820_RAM };
	map[n++] = (struct e820_range){ BOOT_EBDA, BOOT_HIGH - BOOT_EBDA, E820_RESERVED };
	map[n++] = (struct e820_range){ BOOT_HIGH, vm->ram[0].size - BOOT_HIGH, E820_RAM };
	if (vm->nr_ram > 1)
		map[n++] = (struct e820_range){ vm->ram[1].gpa, vm->ram[1].size, E820_RAM };
	return n;
}

/** boot__load_cmdline() - put the kernel's command line into memory */
int boot__load_cmdline(struct vm *vm, const char *cmdline, size_t max)
{
	size_t len = strlen(cmdline);

	if (len > max || len >= BOOT_CMDLINE_MAX) {
		pr_err("the kernel takes a command line of %zu bytes, not of %zu", max, len);
		return -ENOEXEC;
	}
	memcpy(memory__ptr(vm, BOOT_CMDLINE, len + 1), cmdline, len + 1);
	return 0;
}

/**
 * boot__load_initrd() - put the initial RAM disk as high as it may be
 * @vm: the VM
 * @path: the file, or NULL
 * @kernel_end: it has to lie above
 * @limit: its last byte may be here at most
 * @start: set to its address; 0 without one
 * @size: set to its size
 */
int boot__load_initrd(struct vm *vm, const char *path, uint64_t kernel_end, uint64_t limit,
		      uint64_t *start, uint64_t *size)
{
	uint64_t end = vm->ram[0].size;
	struct file_map initrd;
	int ret;

	*start = *size = 0;
	if (!path)
		return 0;
	ret = file__map(&initrd, path);
	if (ret)
		return ret;
	if (limit < end)
		end = limit + 1;
	if (initrd.size > end || align_down(end - initrd.size, PAGE_SIZE) < kernel_end) {
		pr_err("%s does not fit into %llu MiB of guest memory beside the kernel", path,
		       (unsigned long long)(vm->ram_size >> 20));
		ret = -ENOEXEC;
	} else {
		*start = align_down(end - initrd.size, PAGE_SIZE);
		*size = initrd.size;
		memcpy(memory__ptr(vm, *start, *size), initrd.data, *size);
	}
	file__unmap(&initrd);
	return ret;
}

static int boot__load_kernel(struct vm *vm, const struct boot_options *options,
			     struct boot_entry *entry)
{
	struct file_map kernel;
	int ret = file__map(&kernel, options->kernel);

	if (ret)
		return ret;
	if (elf__is_elf(&kernel))
		ret = elf__load(vm, &kernel, options, entry);
	else
		ret = bzimage__load(vm, &kernel, options, entry);
	file__unmap(&kernel);
	return ret;
}

/** boot__load() - load a kernel or a flat binary and point the first vCPU at it */
int boot__load(struct vm *vm, const struct boot_options *options)
{
	struct boot_entry entry = { .tables = BOOT_TABLES, .gdt = BOOT_GDT };
	int ret;

	if (options->kernel)
		ret = boot__load_kernel(vm, options, &entry);
	else
		ret = flat__load(vm, options, &entry);
	return ret ? ret : entry__apply(&vm->vcpus[0], &entry);
}
