// SPDX-License-Identifier: GPL-2.0
/* Flat binaries: loaded at an address and started there. */
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "util.h"
#include "vm.h"

#define REAL_MODE_END 0x100000

/*
 * In 64-bit mode the tables go to the end of memory below 4 GiB, out of the way
 * of a binary that may be anywhere else.
 */
static void place_tables(const struct vm *vm, struct boot_entry *entry)
{
	entry->tables = vm->ram[0].size - BOOT_TABLES_SIZE;
	entry->gdt = entry->tables - 0x1000;
}

/**
 * flat__load() - load a flat binary
 *
 * In real mode CS and the other segments start at the entry's 64 KiB segment, so
 * that offsets in the binary are those of its address, as boot sectors have it. The
 * stack lies below the binary in both modes.
 */
int flat__load(struct vm *vm, const struct boot_options *options, struct boot_entry *entry)
{
	struct file_map file;
	void *to;
	int ret;

	if (!options->long_mode && options->entry >= REAL_MODE_END) {
		pr_err("--entry 0x%llx is beyond real mode's first MiB; --long starts in 64-bit mode",
		       (unsigned long long)options->entry);
		return -ENOEXEC;
	}
	ret = file__map(&file, options->flat);
	if (ret)
		return ret;
	to = memory__ptr(vm, options->entry, file.size);
	if (to) {
		memcpy(to, file.data, file.size);
		entry->mode = options->long_mode ? BOOT_LONG : BOOT_REAL;
		entry->rip = options->entry;
		entry->rsp = options->long_mode ? options->entry : options->entry & 0xfff0;
		if (options->long_mode)
			place_tables(vm, entry);
	} else {
		pr_err("%s does not fit into guest memory at 0x%llx", options->flat,
		       (unsigned long long)options->entry);
		ret = -ENOEXEC;
	}
	file__unmap(&file);
	return ret;
}
