// SPDX-License-Identifier: GPL-2.0
/*
 * ELF kernels: by the PVH protocol when they carry Xen's note for it, else by Linux's
 * 64-bit boot protocol at their entry point, as vmlinux has it.
 */
#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>

#include "boot/boot.h"
#include "util.h"
#include "vm.h"

#define XEN_NOTE_NAME		"Xen"
#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define HVM_START_MAGIC		0x336ec578
#define HVM_START_VERSION	1
#define MAX_CMDLINE		2047
#define INITRD_LIMIT		0x7fffffff

/* Xen's public interface, 'Start of day structure passed to PVH guests'. */
struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap;
	uint32_t nr_memmap;
	uint32_t reserved;
};

struct hvm_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct hvm_memmap {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

static_assert(sizeof(struct hvm_start_info) == 56, "layout of Xen's interface");
static_assert(offsetof(struct hvm_start_info, memmap) == 40, "layout of Xen's interface");

/* What lies at BOOT_PARAMS for a PVH kernel. */
struct pvh_area {
	struct hvm_start_info info;
	struct hvm_module module;
	struct hvm_memmap memmap[E820_MAX];
};

/**
 * struct elf_image - what was found in the file
 * @entry: its entry point
 * @pvh_entry: PVH's, or 0
 * @end: first address after its segments
 */
struct elf_image {
	uint64_t entry;
	uint64_t pvh_entry;
	uint64_t end;
};

/** elf__is_elf() - whether a file is ELF at all */
bool elf__is_elf(const struct file_map *kernel)
{
	return kernel->size >= SELFMAG && !memcmp(kernel->data, ELFMAG, SELFMAG);
}

/* The note holds the 32-bit entry's physical address, in 4 or 8 bytes. */
static void find_pvh_note(Elf *elf, const GElf_Phdr *phdr, struct elf_image *image)
{
	Elf_Data *data = elf_getdata_rawchunk(elf, phdr->p_offset, phdr->p_filesz,
					      phdr->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	size_t at = 0, name, desc;
	GElf_Nhdr nhdr;

	while (data && (at = gelf_getnote(data, at, &nhdr, &name, &desc)) > 0) {
		const char *bytes = data->d_buf;

		if (nhdr.n_type != XEN_ELFNOTE_PHYS32_ENTRY ||
		    nhdr.n_namesz != sizeof(XEN_NOTE_NAME) ||
		    memcmp(bytes + name, XEN_NOTE_NAME, sizeof(XEN_NOTE_NAME)) ||
		    (nhdr.n_descsz != 4 && nhdr.n_descsz != 8))
			continue;
		memcpy(&image->pvh_entry, bytes + desc, nhdr.n_descsz);
	}
}

static int load_segment(struct vm *vm, const struct file_map *kernel, const GElf_Phdr *phdr,
			struct elf_image *image)
{
	uint8_t *to = memory__ptr(vm, phdr->p_paddr, phdr->p_memsz);

	if (phdr->p_filesz > phdr->p_memsz || phdr->p_offset > kernel->size ||
	    phdr->p_filesz > kernel->size - phdr->p_offset) {
		pr_err("%s is cut short", kernel->path);
		return -ENOEXEC;
	}
	if (!to || phdr->p_paddr < BOOT_HIGH) {
		pr_err("%s does not fit into guest memory: a segment is at 0x%llx, %llu bytes",
		       kernel->path, (unsigned long long)phdr->p_paddr,
		       (unsigned long long)phdr->p_memsz);
		return -ENOEXEC;
	}
	memcpy(to, kernel->data + phdr->p_offset, phdr->p_filesz);
	memset(to + phdr->p_filesz, 0, phdr->p_memsz - phdr->p_filesz);
	if (phdr->p_paddr + phdr->p_memsz > image->end)
		image->end = phdr->p_paddr + phdr->p_memsz;
	return 0;
}

static int load_image(struct vm *vm, const struct file_map *kernel, Elf *elf,
		      struct elf_image *image)
{
	GElf_Ehdr ehdr;
	GElf_Phdr phdr;
	size_t count;
	int ret = 0;

	if (!elf || !gelf_getehdr(elf, &ehdr) || elf_getphdrnum(elf, &count) < 0) {
		pr_err("%s: %s", kernel->path, elf_errmsg(-1));
		return -ENOEXEC;
	}
	image->entry = ehdr.e_entry;
	for (size_t i = 0; i < count && !ret; i++) {
		if (!gelf_getphdr(elf, i, &phdr))
			continue;
		if (phdr.p_type == PT_NOTE)
			find_pvh_note(elf, &phdr, image);
		else if (phdr.p_type == PT_LOAD && phdr.p_memsz)
			ret = load_segment(vm, kernel, &phdr, image);
	}
	if (!ret && !image->pvh_entry && ehdr.e_machine != EM_X86_64) {
		pr_err("%s is neither a PVH nor a 64-bit kernel", kernel->path);
		ret = -ENOEXEC;
	}
	return ret;
}

static void enter_pvh(const struct vm *vm, const struct elf_image *image, uint64_t initrd,
		      uint64_t initrd_size, struct boot_entry *entry)
{
	struct pvh_area *area = memory__ptr(vm, BOOT_PARAMS, sizeof(*area));
	struct e820_range map[E820_MAX];

	memset(area, 0, sizeof(*area));
	area->info = (struct hvm_start_info){
		.magic = HVM_START_MAGIC,
		.version = HVM_START_VERSION,
		.nr_modules = initrd_size ? 1 : 0,
		.modlist = BOOT_PARAMS + offsetof(struct pvh_area, module),
		.cmdline = BOOT_CMDLINE,
		.rsdp = BOOT_ACPI,
		.memmap = BOOT_PARAMS + offsetof(struct pvh_area, memmap),
		.nr_memmap = e820__build(vm, map),
	};
	area->module = (struct hvm_module){ .paddr = initrd, .size = initrd_size };
	for (unsigned int i = 0; i < area->info.nr_memmap; i++)
		area->memmap[i] = (struct hvm_memmap){ map[i].start, map[i].size, map[i].type, 0 };
	entry->mode = BOOT_PROTECTED;
	entry->rip = image->pvh_entry;
	entry->rbx = BOOT_PARAMS;
}

static void enter_linux64(struct vm *vm, const struct elf_image *image, uint64_t initrd,
			  uint64_t initrd_size, struct boot_entry *entry)
{
	const struct setup_header header = {
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.version = 0x20c,
	};

	bootparams__fill(vm, &header, initrd, initrd_size);
	entry->mode = BOOT_LONG;
	entry->rip = image->entry;
	entry->rsi = BOOT_PARAMS;
}

/** elf__load() - load an ELF kernel with its RAM disk and command line */
int elf__load(struct vm *vm, const struct file_map *kernel,
	      const struct boot_options *options, struct boot_entry *entry)
{
	struct elf_image image = { 0 };
	uint64_t initrd, initrd_size;
	Elf *elf;
	int ret;

	elf_version(EV_CURRENT);
	elf = elf_memory((char *)kernel->data, kernel->size);
	ret = load_image(vm, kernel, elf, &image);
	elf_end(elf);
	if (!ret)
		ret = boot__load_cmdline(vm, options->append, MAX_CMDLINE);
	if (!ret)
		ret = boot__load_initrd(vm, options->initrd, image.end, INITRD_LIMIT,
					&initrd, &initrd_size);
	if (ret)
		return ret;
	entry->rsp = BOOT_PARAMS;
	if (image.pvh_entry)
		enter_pvh(vm, &image, initrd, initrd_size, entry);
	else
		enter_linux64(vm, &image, initrd, initrd_size, entry);
	return 0;
}
