// SPDX-License-Identifier: GPL-2.0
/*
 * Linux's bzImage, by the 64-bit boot protocol ('The Linux/x86 Boot Protocol' in the
 * kernel's documentation): no real-mode set-up code runs.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "util.h"
#include "vm.h"

#define HEADER_OFFSET		0x1f1
#define HEADER_END_BYTE		0x201
#define HEADER_MIN_SIZE		0x270
#define HEADER_MAGIC		0x53726448	/* "HdrS" */
#define BOOT_FLAG		0xaa55
#define VERSION_64BIT		0x20c
#define ENTRY_64BIT		0x200
#define SECTOR			512
#define DEFAULT_SETUP_SECTS	4
#define LOADER_UNDEFINED	0xff

/*
 * The header ends where its jump instruction, two bytes at 0x200, leads; newer
 * kernels have more fields than this program's headers know.
 */
static int read_header(const struct file_map *kernel, struct setup_header *header)
{
	size_t end, size;

	memset(header, 0, sizeof(*header));
	if (kernel->size < HEADER_MIN_SIZE)
		goto bad;
	end = HEADER_END_BYTE + 1 + kernel->data[HEADER_END_BYTE];
	size = end - HEADER_OFFSET;
	memcpy(header, kernel->data + HEADER_OFFSET,
	       size < sizeof(*header) ? size : sizeof(*header));
	if (header->boot_flag != BOOT_FLAG || header->header != HEADER_MAGIC)
		goto bad;
	if (header->version < VERSION_64BIT || !(header->xloadflags & XLF_KERNEL_64)) {
		pr_err("%s has no 64-bit entry point", kernel->path);
		return -ENOEXEC;
	}
	return 0;
bad:
	pr_err("%s is neither a bzImage nor an ELF kernel", kernel->path);
	return -ENOEXEC;
}

/* Where the kernel wants to be, or else the lowest place above 1 MiB. */
static int choose_address(const struct vm *vm, const struct file_map *kernel,
			  const struct setup_header *header, uint64_t *address)
{
	uint64_t align = header->kernel_alignment ? header->kernel_alignment : MIB(2);

	*address = header->pref_address;
	if (memory__ptr(vm, *address, header->init_size))
		return 0;
	*address = (BOOT_HIGH + align - 1) / align * align;
	if (header->relocatable_kernel && memory__ptr(vm, *address, header->init_size))
		return 0;
	pr_err("%s needs %u MiB from 0x%llx on, more than the guest's memory", kernel->path,
	       (header->init_size >> 20) + 1, (unsigned long long)header->pref_address);
	return -ENOEXEC;
}

static int load_code(struct vm *vm, const struct file_map *kernel,
		     const struct setup_header *header, uint64_t address)
{
	unsigned int sects = header->setup_sects ? header->setup_sects : DEFAULT_SETUP_SECTS;
	size_t offset = (sects + 1) * SECTOR;
	void *to;

	if (offset >= kernel->size) {
		pr_err("%s is cut short", kernel->path);
		return -ENOEXEC;
	}
	to = memory__ptr(vm, address, kernel->size - offset);
	if (!to) {
		pr_err("%s does not fit into guest memory", kernel->path);
		return -ENOEXEC;
	}
	memcpy(to, kernel->data + offset, kernel->size - offset);
	return 0;
}

/**
 * bootparams__fill() - make the structure that Linux's 64-bit entry takes
 * @vm: the VM
 * @header: the kernel's set-up header
 * @initrd: where the RAM disk is
 * @initrd_size: its size, or 0
 */
void bootparams__fill(struct vm *vm, const struct setup_header *header, uint64_t initrd,
		      uint64_t initrd_size)
{
	struct boot_params *params = memory__ptr(vm, BOOT_PARAMS, sizeof(*params));
	struct e820_range map[E820_MAX];

	memset(params, 0, sizeof(*params));
	params->hdr = *header;
	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.cmd_line_ptr = BOOT_CMDLINE;
	params->hdr.ramdisk_image = initrd;
	params->hdr.ramdisk_size = initrd_size;
	params->acpi_rsdp_addr = BOOT_ACPI;
	params->e820_entries = e820__build(vm, map);
	for (unsigned int i = 0; i < params->e820_entries; i++) {
		params->e820_table[i].addr = map[i].start;
		params->e820_table[i].size = map[i].size;
		params->e820_table[i].type = map[i].type;
	}
}

/** bzimage__load() - load a bzImage with its RAM disk and command line */
int bzimage__load(struct vm *vm, const struct file_map *kernel,
		  const struct boot_options *options, struct boot_entry *entry)
{
	uint64_t address, initrd, initrd_size, limit;
	struct setup_header header;
	int ret = read_header(kernel, &header);

	if (!ret)
		ret = choose_address(vm, kernel, &header, &address);
	if (!ret)
		ret = load_code(vm, kernel, &header, address);
	if (!ret)
		ret = boot__load_cmdline(vm, options->append, header.cmdline_size);
	limit = header.initrd_addr_max ? header.initrd_addr_max : 0x37ffffff;
	if (!ret)
		ret = boot__load_initrd(vm, options->initrd, address + header.init_size, limit,
					&initrd, &initrd_size);
	if (ret)
		return ret;

	header.code32_start = address;
	bootparams__fill(vm, &header, initrd, initrd_size);
	*entry = (struct boot_entry){
		.mode = BOOT_LONG,
		.rip = address + ENTRY_64BIT,
		.rsp = BOOT_PARAMS,
		.rsi = BOOT_PARAMS,
		.tables = BOOT_TABLES,
		.gdt = BOOT_GDT,
	};
	return 0;
}
