/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AVIC as data (APM volume 2, Advanced Virtual Interrupt Controller): its two tables of APIC ids, and what its exits say.
 * No kernel header, so that the unit tests build it too.
 */
#ifndef NESTOR_SVM_AVIC_LOGIC_H
#define NESTOR_SVM_AVIC_LOGIC_H

#include "irq/apic_logic.h"

/* Physical APIC ID table: 255 is the broadcast and nobody's. */
#define AVIC_MAX_ID		254u
#define AVIC_HOST_ID		0xfffull
#define AVIC_BACKING_PAGE	0x000ffffffffff000ull
#define AVIC_RUNNING		(1ull << 62)
#define AVIC_VALID		(1ull << 63)

/* Logical APIC ID table: a bit each of a flat id, or the 4 of each of 15 clusters. */
#define AVIC_LOGICAL_ENTRIES	64
#define AVIC_LOGICAL_VALID	(1u << 31)

/* Where the CPU looks for the one bit of a logical id, or -1: nowhere, or in several places. */
static inline int avic_logical_index(u8 id, bool flat)
{
	u8 bits = flat ? id : id & 0xf;

	if (!bits || bits & (bits - 1) || (!flat && id >> 4 == 0xf))
		return -1;
	return __builtin_ctz(bits) + (flat ? 0 : (id >> 4) * 4);
}

enum avic_model { AVIC_NO_MODEL, AVIC_FLAT, AVIC_CLUSTER, AVIC_MIXED };

/**
 * struct avic_map - the tables, made anew when an APIC has changed
 * @valid: entries of the physical table, a bit each
 * @logical: the logical table; nothing in it where one APIC does not fit in: each such IPI then exits, and is the software's
 * @model: of @logical
 * @misfit: an APIC is in x2APIC mode, or not in the physical table, where broadcasts by the CPU would miss it
 */
struct avic_map {
	u64 valid[4];
	u32 logical[AVIC_LOGICAL_ENTRIES];
	enum avic_model model;
	bool misfit;
};

static inline bool avic_map_has(const struct avic_map *map, u32 id)
{
	return id <= AVIC_MAX_ID && map->valid[id / 64] >> id % 64 & 1;
}

static inline void avic_map_add_logical(struct avic_map *map, const struct apic_address *a, bool takes)
{
	enum avic_model model = a->dfr == APIC_DFR_IS_FLAT ? AVIC_FLAT :
				a->dfr == APIC_DFR_IS_CLUSTER ? AVIC_CLUSTER : AVIC_MIXED;
	int index = avic_logical_index(a->ldr >> 24, model == AVIC_FLAT);

	if (map->model && map->model != model)
		model = AVIC_MIXED;
	if (takes && (index < 0 || map->logical[index]))
		model = AVIC_MIXED;
	map->model = model;
	if (takes && model != AVIC_MIXED)
		map->logical[index] = AVIC_LOGICAL_VALID | a->x2apic_id;
}

/*
 * For each APIC that is not off. Only those that take interrupts are in the tables, as the CPU does not look at that; but the
 * others may send, by the id and the model that they have. (By the manual all have the same model. If not, an IPI from the
 * cluster model to none of a cluster's bits reaches nobody, where it might mean somebody in the flat one.)
 */
static inline void avic_map_add(struct avic_map *map, const struct apic_address *a, bool takes)
{
	bool found = a->x2apic_id <= AVIC_MAX_ID && (a->x2apic || a->xapic_id == a->x2apic_id);

	if (takes && found)
		map->valid[a->x2apic_id / 64] |= 1ull << a->x2apic_id % 64;
	if (a->x2apic || !found) {
		map->misfit = true;
		map->model = AVIC_MIXED;
	}
	if (map->model != AVIC_MIXED)
		avic_map_add_logical(map, a, takes);
}

static inline void avic_map_finish(struct avic_map *map)
{
	if (map->model == AVIC_MIXED)
		memset(map->logical, 0, sizeof(map->logical));
}

/* EXITINFO2 63:32 of AVIC_INCOMPLETE_IPI. A trap; EXITINFO1 is the ICR. */
enum avic_ipi_failure {
	AVIC_IPI_TYPE,			/* no fixed, edge-triggered interrupt */
	AVIC_IPI_NOT_RUNNING,		/* IRR is set everywhere, and one of the destinations does not run */
	AVIC_IPI_TARGET,		/* no valid entry */
	AVIC_IPI_BACKING_PAGE,
	AVIC_IPI_VECTOR,
};

static inline enum avic_ipi_failure avic_ipi_failure(u64 info2)
{
	return info2 >> 32;
}

/**
 * struct avic_access - what AVIC_NOACCEL is about
 * @offset: of the register in the page
 * @trap: the value is stored and the instruction retired; else it was not executed
 */
struct avic_access {
	u16 offset;
	bool write;
	bool trap;
};

/* APM volume 2, Guest vAPIC Register Access Behavior: offsets in units of 16 bytes. */
#define AVIC_REG(offset)	(1ull << ((offset) >> 4))
#define AVIC_TRAPS										\
	(AVIC_REG(0x20) | AVIC_REG(0xb0) | AVIC_REG(0xc0) | AVIC_REG(0xd0) | AVIC_REG(0xe0) |	\
	 AVIC_REG(0xf0) | AVIC_REG(0x280) | AVIC_REG(0x300) | AVIC_REG(0x320) | AVIC_REG(0x330) |	\
	 AVIC_REG(0x340) | AVIC_REG(0x350) | AVIC_REG(0x360) | AVIC_REG(0x370) | AVIC_REG(0x380) |	\
	 AVIC_REG(0x3e0))

static inline struct avic_access avic_decode_access(u64 info1)
{
	struct avic_access a = { .offset = info1 & 0xff0, .write = info1 >> 32 & 1 };

	a.trap = a.write && a.offset < 0x400 && AVIC_TRAPS & AVIC_REG(a.offset);
	return a;
}

#endif
