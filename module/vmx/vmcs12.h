/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMCS that a guest hypervisor keeps for its guest, and its fields by their encodings. Knows no kernel.
 *
 * vmcs12 lies in the guest's memory, in a format of our own (SDM, Software Use of Virtual-Machine Control Structures:
 * only VMREAD and VMWRITE may access it). While it is current, we work on a copy.
 */
#ifndef NESTOR_VMX_VMCS12_H
#define NESTOR_VMX_VMCS12_H

#include "emulate/types.h"

#define VMCS12_REVISION		0x11e57ed0	/* upstream's, as the layout is */
#define VMCS12_SHADOW		0x80000000	/* of the revision: this is a shadow VMCS */
#define VMCS12_SIZE		4096

struct vmcs12 {
	u32 revision;
	u32 abort;		/* SDM, VMX Aborts */
	u32 launched;		/* 0 by VMCLEAR, 1 by VMLAUNCH */
	u32 gap[7];
#define V12(type, name, encoding)	type name;
#define V12_GAP(type, name, count)	type name[count];
#include "vmx/vmcs12_fields.h"
#undef V12
#undef V12_GAP
} __attribute__((packed));
_Static_assert(sizeof(struct vmcs12) <= VMCS12_SIZE, "vmcs12 does not fit its region");

/* A number for each field. */
enum vmcs12_index {
	V12_none,
#define V12(type, name, encoding)	V12_##name,
#define V12_GAP(type, name, count)
#include "vmx/vmcs12_fields.h"
#undef V12
#undef V12_GAP
	V12_NR
};

/**
 * struct vmcs12_field - one field
 * @encoding: SDM, Field Encoding in VMCS
 * @offset: in struct vmcs12
 * @bytes: of it there
 */
struct vmcs12_field {
	u16 encoding;
	u16 offset;
	u8 bytes;
};

extern const struct vmcs12_field vmcs12_fields[V12_NR];

/* The same field among the values that VM entry checks (enum check_vmx_field), 0: it is none. */
extern u8 vmcs12_checked[V12_NR];

#define VMCS12_HIGH	1u	/* of an encoding: the upper half of a 64-bit field */

/* What a field holds: bits 11:10 of its encoding. */
enum vmcs12_type { VMCS12_CONTROL, VMCS12_READ_ONLY, VMCS12_GUEST, VMCS12_HOST };

static inline enum vmcs12_type vmcs12_type(u32 encoding)
{
	return encoding >> 10 & 3;
}

void vmcs12_setup(void);
unsigned int vmcs12_place(enum vmcs12_index index, u64 encoding, unsigned int *bytes);
enum vmcs12_index vmcs12_find(u64 encoding);
u64 vmcs12_get(const struct vmcs12 *vmcs12, enum vmcs12_index index, u64 encoding);
void vmcs12_set(struct vmcs12 *vmcs12, enum vmcs12_index index, u64 encoding, u64 value);
u64 vmcs12_enum(void);

#endif
