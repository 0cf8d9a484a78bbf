/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The enlightened VMCS, version 1 (TLFS, Nested Virtualization: Enlightened VMCS for Intel): a VMCS that a guest
 * hypervisor keeps in its memory in a format that is known to it, and accesses without VMREAD and VMWRITE. Knows no kernel.
 */
#ifndef NESTOR_VMX_EVMCS_H
#define NESTOR_VMX_EVMCS_H

#include "vmx/vmcs12.h"

struct evmcs {
#define EVMCS(type, name, group, direction)	type name;
#define EVMCS_OWN(type, name)			type name;
#define EVMCS_GAP(type, name, count)		type name[count];
#include "vmx/evmcs_fields.h"
#undef EVMCS
#undef EVMCS_OWN
#undef EVMCS_GAP
} __attribute__((packed));
_Static_assert(sizeof(struct evmcs) == 1024, "an enlightened VMCS of another version");
_Static_assert(offsetof(struct evmcs, abort) == offsetof(struct vmcs12, abort), "SDM, Format of the VMCS Region");

/* Bits of clean_fields: what L1 has not written to since its last entry. */
enum evmcs_clean {
	EVMCS_CLEAN_NONE		= 0,	/* no bit says so: it is always read */
	EVMCS_CLEAN_IO_BITMAP		= 1 << 0,
	EVMCS_CLEAN_MSR_BITMAP		= 1 << 1,
	EVMCS_CLEAN_CONTROL_GRP2	= 1 << 2,
	EVMCS_CLEAN_CONTROL_GRP1	= 1 << 3,
	EVMCS_CLEAN_CONTROL_PROC	= 1 << 4,
	EVMCS_CLEAN_CONTROL_EVENT	= 1 << 5,
	EVMCS_CLEAN_CONTROL_ENTRY	= 1 << 6,
	EVMCS_CLEAN_CONTROL_EXCPN	= 1 << 7,
	EVMCS_CLEAN_CRDR		= 1 << 8,
	EVMCS_CLEAN_CONTROL_XLAT	= 1 << 9,
	EVMCS_CLEAN_GUEST_BASIC		= 1 << 10,
	EVMCS_CLEAN_GUEST_GRP1		= 1 << 11,
	EVMCS_CLEAN_GUEST_GRP2		= 1 << 12,
	EVMCS_CLEAN_HOST_POINTER	= 1 << 13,
	EVMCS_CLEAN_HOST_GRP1		= 1 << 14,
	EVMCS_CLEAN_ENLIGHTENMENTS	= 1 << 15,
	EVMCS_CLEAN_ALL			= 0xffff,
};

/* enlightenments */
#define EVMCS_DIRECT_FLUSH	(1u << 0)
#define EVMCS_MSR_BITMAP	(1u << 1)

/* Entries read it; exits write it. */
enum evmcs_direction { EVMCS_UNUSED, EVMCS_IN, EVMCS_OUT, EVMCS_BOTH };

/**
 * struct evmcs_field - one that is a field of vmcs12, too
 * @index: there
 * @direction: enum evmcs_direction
 * @offset: in struct evmcs; it has as many bytes as in vmcs12
 * @clean: the bit of its group
 */
struct evmcs_field {
	u8 index;
	u8 direction;
	u16 offset;
	u16 clean;
};

enum {
#define EVMCS(type, name, group, direction)	EVMCS_NR_##name,
#define EVMCS_OWN(type, name)
#define EVMCS_GAP(type, name, count)
#include "vmx/evmcs_fields.h"
#undef EVMCS
#undef EVMCS_OWN
#undef EVMCS_GAP
	EVMCS_NR
};

/* In the order of the layout. */
extern const struct evmcs_field evmcs_fields[EVMCS_NR];

void evmcs_setup(void);
unsigned int evmcs_place(enum vmcs12_index index, u64 encoding, unsigned int *bytes);
u64 evmcs_get(const struct evmcs *evmcs, const struct evmcs_field *field);
bool evmcs_is_read(const struct evmcs_field *field, u32 clean);
void evmcs_fill(struct evmcs *evmcs, const struct vmcs12 *vmcs12);
unsigned int evmcs_run(unsigned int from, unsigned int *offset, unsigned int *bytes);

#endif
