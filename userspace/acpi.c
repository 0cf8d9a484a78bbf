// SPDX-License-Identifier: GPL-2.0
/* ACPI tables: what the guest is told about the machine. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "acpi.h"
#include "aml.h"
#include "boot/boot.h"
#include "power.h"
#include "serial.h"
#include "util.h"
#include "vm.h"

#define PACKED __attribute__((packed))

#define FADT_FLAGS_WBINVD	(1u << 0)
#define FADT_FLAGS_PROC_C1	(1u << 2)
#define FADT_FLAGS_SLEEP_BUTTON	(1u << 5)	/* not a fixed-feature button */
#define FADT_FLAGS_POWER_BUTTON	(1u << 4)	/* likewise */
#define FADT_FLAGS_RESET_REG	(1u << 10)
#define FADT_BOOT_LEGACY	(1u << 0)
#define FADT_BOOT_NO_VGA	(1u << 2)
#define GAS_IO			1
#define GAS_BYTE		1

#define MADT_PCAT_COMPAT	1u
#define MADT_LAPIC		0
#define MADT_IOAPIC		1
#define MADT_OVERRIDE		2
#define MADT_LAPIC_NMI		4
#define MADT_ALL_CPUS		0xff
#define IRQ_FLAGS_LEVEL_HIGH	0x0d

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;

struct acpi_gas {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access;
	uint64_t address;
} PACKED;

/* ACPI specification, 'Fixed ACPI Description Table', revision 6.0. */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable;
	uint8_t acpi_disable;
	uint8_t s4bios_req;
	uint8_t pstate_cnt;
	uint32_t pm1a_evt_blk;
	uint32_t pm1b_evt_blk;
	uint32_t pm1a_cnt_blk;
	uint32_t pm1b_cnt_blk;
	uint32_t pm2_cnt_blk;
	uint32_t pm_tmr_blk;
	uint32_t gpe0_blk;
	uint32_t gpe1_blk;
	uint8_t pm1_evt_len;
	uint8_t pm1_cnt_len;
	uint8_t pm2_cnt_len;
	uint8_t pm_tmr_len;
	uint8_t gpe0_blk_len;
	uint8_t gpe1_blk_len;
	uint8_t gpe1_base;
	uint8_t cst_cnt;
	uint16_t p_lvl2_lat;
	uint16_t p_lvl3_lat;
	uint16_t flush_size;
	uint16_t flush_stride;
	uint8_t duty_offset;
	uint8_t duty_width;
	uint8_t day_alarm;
	uint8_t month_alarm;
	uint8_t century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct acpi_gas x_blocks[8];
	struct acpi_gas sleep_control;
	struct acpi_gas sleep_status;
	uint64_t hypervisor_id;
} PACKED;

struct acpi_facs {
	char signature[4];
	uint32_t length;
	uint8_t zero[56];
} PACKED;

struct madt {
	struct acpi_header header;
	uint32_t lapic_address;
	uint32_t flags;
} PACKED;

struct madt_lapic {
	uint8_t type, length;
	uint8_t processor;
	uint8_t apic_id;
	uint32_t flags;
} PACKED;

struct madt_ioapic {
	uint8_t type, length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
} PACKED;

struct madt_override {
	uint8_t type, length;
	uint8_t bus;
	uint8_t source;
	uint32_t gsi;
	uint16_t flags;
} PACKED;

struct madt_lapic_nmi {
	uint8_t type, length;
	uint8_t processor;
	uint16_t flags;
	uint8_t lint;
} PACKED;

static_assert(sizeof(struct acpi_header) == 36, "ACPI, System Description Table Header");
static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI, Root System Description Pointer");
static_assert(sizeof(struct acpi_fadt) == 276, "ACPI, Fixed ACPI Description Table");
static_assert(offsetof(struct acpi_fadt, reset_reg) == 116, "ACPI, RESET_REG");
static_assert(sizeof(struct acpi_facs) == 64, "ACPI, Firmware ACPI Control Structure");

/**
 * struct acpi_area - the memory that holds the tables
 * @host: where it is mapped here
 * @used: bytes taken
 */
struct acpi_area {
	uint8_t *host;
	size_t used;
};

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return -sum;
}

/* Copy a table into the area; its guest-physical address, or 0 when it is full. */
static uint64_t place(struct acpi_area *area, const void *data, size_t len)
{
	size_t at = align_up(area->used, 64);

	if (len > BOOT_ACPI_MAX || at > BOOT_ACPI_MAX - len)
		return 0;
	memcpy(area->host + at, data, len);
	area->used = at + len;
	return BOOT_ACPI + at;
}

static struct acpi_header header(const char *signature, uint8_t revision, uint32_t length)
{
	struct acpi_header h = {
		.length = length,
		.revision = revision,
		.oem_id = "NESTOR",
		.oem_table_id = { 'N', 'E', 'S', 'T', 'O', 'R', 'V', 'M' },
		.oem_revision = 1,
		.creator_id = { 'N', 'E', 'S', 'T' },
		.creator_revision = 1,
	};

	memcpy(h.signature, signature, sizeof(h.signature));
	return h;
}

static uint64_t place_table(struct acpi_area *area, void *table)
{
	struct acpi_header *h = table;

	h->checksum = 0;
	h->checksum = checksum(table, h->length);
	return place(area, table, h->length);
}

static void add_serial(struct aml *aml)
{
	size_t device = aml__begin_device(aml, "COM1"), resources;

	aml__name(aml, "_HID");
	aml__eisa_id(aml, "PNP0501");
	aml__name(aml, "_UID");
	aml__integer(aml, 1);
	aml__name(aml, "_CRS");
	resources = aml__begin_resources(aml);
	aml__io(aml, SERIAL_PORT, 8);
	aml__irq(aml, IRQ_SERIAL);
	aml__end_resources(aml, resources);
	aml__end(aml, device);
}

/* Without an interrupt, which tells drivers that there are no alarms. */
static void add_rtc(struct aml *aml)
{
	size_t device = aml__begin_device(aml, "RTC"), resources;

	aml__name(aml, "_HID");
	aml__eisa_id(aml, "PNP0B00");
	aml__name(aml, "_CRS");
	resources = aml__begin_resources(aml);
	aml__io(aml, 0x70, 2);
	aml__end_resources(aml, resources);
	aml__end(aml, device);
}

/* Pin A of each slot is wired to one of the I/O APIC's inputs. */
static void add_interrupt_routes(struct aml *aml)
{
	size_t routes, route;

	aml__name(aml, "_PRT");
	routes = aml__begin_package(aml, 32);
	for (uint32_t slot = 0; slot < 32; slot++) {
		route = aml__begin_package(aml, 4);
		aml__integer(aml, slot << 16 | 0xffff);
		aml__integer(aml, 0);
		aml__integer(aml, 0);
		aml__integer(aml, IRQ_PCI_BASE + slot % IRQ_PCI_LINES);
		aml__end(aml, route);
	}
	aml__end(aml, routes);
}

/* One bus only: a guest need not look for more. */
static void add_pci(struct aml *aml)
{
	size_t device = aml__begin_device(aml, "PCI0"), resources;

	aml__name(aml, "_HID");
	aml__eisa_id(aml, "PNP0A03");
	aml__name(aml, "_UID");
	aml__integer(aml, 0);
	aml__name(aml, "_BBN");
	aml__integer(aml, 0);
	aml__name(aml, "_CRS");
	resources = aml__begin_resources(aml);
	aml__bus_window(aml, 0, 0);
	aml__io(aml, 0xcf8, 8);
	aml__io_window(aml, 0, 0xcf7);
	aml__io_window(aml, 0xd00, 0xffff);
	aml__memory_window(aml, PCI_MMIO_START, PCI_MMIO_END - 1);
	aml__end_resources(aml, resources);
	add_interrupt_routes(aml);
	add_serial(aml);
	add_rtc(aml);
	aml__end(aml, device);
}

static uint64_t build_dsdt(struct acpi_area *area)
{
	struct acpi_header h = header("DSDT", 2, 0);
	struct aml aml = { 0 };
	size_t mark;
	uint64_t at;

	aml__bytes(&aml, &h, sizeof(h));
	aml__name(&aml, "\\_S5");
	mark = aml__begin_package(&aml, 4);
	aml__integer(&aml, POWER_SLP_TYP_S5);
	for (int i = 0; i < 3; i++)
		aml__integer(&aml, 0);
	aml__end(&aml, mark);
	mark = aml__begin_scope(&aml, "\\_SB");
	add_pci(&aml);
	aml__end(&aml, mark);

	h.length = aml.len;
	memcpy(aml.data, &h, sizeof(h));
	at = place_table(area, aml.data);
	aml__free(&aml);
	return at;
}

/* The keyboard controller bit is clear: a guest does not wait for a keyboard. */
static uint64_t build_fadt(struct acpi_area *area, uint64_t dsdt, uint64_t facs)
{
	struct acpi_fadt fadt = {
		.header = header("FACP", 6, sizeof(fadt)),
		.facs = facs,
		.dsdt = dsdt,
		.sci_int = IRQ_SCI,
		.pm1a_evt_blk = POWER_PM1A_EVT,
		.pm1a_cnt_blk = POWER_PM1A_CNT,
		.pm_tmr_blk = POWER_PM_TIMER,
		.pm1_evt_len = 4,
		.pm1_cnt_len = 2,
		.pm_tmr_len = 4,
		.p_lvl2_lat = 0xffff,
		.p_lvl3_lat = 0xffff,
		.century = 0x32,
		.boot_arch = FADT_BOOT_LEGACY | FADT_BOOT_NO_VGA,
		.flags = FADT_FLAGS_WBINVD | FADT_FLAGS_PROC_C1 | FADT_FLAGS_POWER_BUTTON |
			 FADT_FLAGS_SLEEP_BUTTON | FADT_FLAGS_RESET_REG,
		.reset_reg = { GAS_IO, 8, 0, GAS_BYTE, POWER_RESET },
		.reset_value = POWER_RESET_VALUE,
		.x_dsdt = dsdt,
	};

	return place_table(area, &fadt);
}

static void add_override(struct aml *madt, uint8_t source, uint32_t gsi, uint16_t flags)
{
	aml__bytes(madt, &(struct madt_override){
		.type = MADT_OVERRIDE, .length = sizeof(struct madt_override),
		.source = source, .gsi = gsi, .flags = flags,
	}, sizeof(struct madt_override));
}

/* The byte builder serves for a table of variable length, too. */
static uint64_t build_madt(struct acpi_area *area, const struct vm *vm)
{
	struct aml table = { 0 };
	struct acpi_header *h;
	uint64_t at;

	aml__bytes(&table, &(struct madt){
		.header = header("APIC", 4, 0),
		.lapic_address = LAPIC_BASE,
		.flags = MADT_PCAT_COMPAT,
	}, sizeof(struct madt));
	for (unsigned int i = 0; i < vm->config->cpus; i++)
		aml__bytes(&table, &(struct madt_lapic){
			.type = MADT_LAPIC, .length = sizeof(struct madt_lapic),
			.processor = i, .apic_id = i, .flags = 1,
		}, sizeof(struct madt_lapic));
	aml__bytes(&table, &(struct madt_ioapic){
		.type = MADT_IOAPIC, .length = sizeof(struct madt_ioapic),
		.id = 0, .address = IOAPIC_BASE,
	}, sizeof(struct madt_ioapic));
	add_override(&table, 0, 2, 0);
	add_override(&table, IRQ_SCI, IRQ_SCI, IRQ_FLAGS_LEVEL_HIGH);
	aml__bytes(&table, &(struct madt_lapic_nmi){
		.type = MADT_LAPIC_NMI, .length = sizeof(struct madt_lapic_nmi),
		.processor = MADT_ALL_CPUS, .lint = 1,
	}, sizeof(struct madt_lapic_nmi));

	h = (struct acpi_header *)table.data;
	h->length = table.len;
	at = place_table(area, table.data);
	aml__free(&table);
	return at;
}

static uint64_t build_xsdt(struct acpi_area *area, uint64_t fadt, uint64_t madt)
{
	struct {
		struct acpi_header header;
		uint64_t tables[2];
	} PACKED xsdt = {
		.header = header("XSDT", 1, sizeof(xsdt)),
		.tables = { fadt, madt },
	};

	return place_table(area, &xsdt);
}

static void write_rsdp(struct acpi_area *area, uint64_t xsdt)
{
	struct acpi_rsdp rsdp = {
		.signature = { 'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ' },
		.oem_id = "NESTOR",
		.revision = 2,
		.length = sizeof(rsdp),
		.xsdt = xsdt,
	};

	/* The first checksum covers what ACPI 1.0 knew. */
	rsdp.checksum = checksum(&rsdp, offsetof(struct acpi_rsdp, length));
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(area->host, &rsdp, sizeof(rsdp));
}

/**
 * acpi__build() - write the tables into guest memory, the RSDP at BOOT_ACPI
 *
 * Return: 0, or -ENOSPC when they do not fit.
 */
int acpi__build(struct vm *vm)
{
	struct acpi_area area = {
		.host = memory__ptr(vm, BOOT_ACPI, BOOT_ACPI_MAX),
		.used = sizeof(struct acpi_rsdp),
	};
	const struct acpi_facs facs = { { 'F', 'A', 'C', 'S' }, sizeof(facs), { 0 } };
	uint64_t at_facs = place(&area, &facs, sizeof(facs));
	uint64_t dsdt = build_dsdt(&area);
	uint64_t fadt = build_fadt(&area, dsdt, at_facs);
	uint64_t madt = build_madt(&area, vm);
	uint64_t xsdt = build_xsdt(&area, fadt, madt);

	if (!dsdt || !fadt || !madt || !xsdt) {
		pr_err("the ACPI tables need more than %u bytes", BOOT_ACPI_MAX);
		return -ENOSPC;
	}
	write_rsdp(&area, xsdt);
	return 0;
}
