// SPDX-License-Identifier: GPL-2.0
/*
 * vmcs12's fields by their encodings.
 */
#include "check/check.h"
#include "vmx/vmcs12.h"

const struct vmcs12_field vmcs12_fields[V12_NR] = {
#define V12(type, name, enc)	\
	[V12_##name] = { .encoding = enc, .offset = offsetof(struct vmcs12, name), .bytes = sizeof(type) },
#define V12_GAP(type, name, count)
#include "vmx/vmcs12_fields.h"
#undef V12
#undef V12_GAP
};

u8 vmcs12_checked[V12_NR];

/*
 * Fields by width, type and number, the parts of an encoding: six bits of number are more than any type has. Filled at
 * load, constant afterwards.
 */
#define NUMBERS	64
static u8 by_place[4 * 4 * NUMBERS];
_Static_assert(V12_NR <= 256, "more fields than a u8 tells");

/* SDM, Structure of VMCS Component Encoding: bits 31:15 and 12 are reserved, bits 9:1 are the number. */
#define ENCODING_RESERVED	(~0x6fffull)
#define ENCODING_NUMBER(e)	((e) >> 1 & 0x1ff)
#define ENCODING_WIDTH(e)	((e) >> 13 & 3)
#define WIDTH_64		1

static unsigned int place(u32 encoding)
{
	return (ENCODING_WIDTH(encoding) << 2 | vmcs12_type(encoding)) * NUMBERS + ENCODING_NUMBER(encoding);
}

/**
 * vmcs12_setup() - fill the tables; once, before any other call
 */
void vmcs12_setup(void)
{
	unsigned int i, j;

	for (i = 1; i < V12_NR; i++) {
		by_place[place(vmcs12_fields[i].encoding)] = i;
		for (j = 1; j < check_vmx.nr_fields; j++)
			if (check_vmx.fields[j].where == vmcs12_fields[i].encoding)
				vmcs12_checked[i] = j;
	}
}

/**
 * vmcs12_find() - the field of an encoding
 * @encoding: VMREAD's or VMWRITE's operand
 *
 * Return: 0 (V12_none) when there is none: also for the upper half of a field that has no halves.
 */
enum vmcs12_index vmcs12_find(u64 encoding)
{
	if (encoding & ENCODING_RESERVED || ENCODING_NUMBER(encoding) >= NUMBERS)
		return V12_none;
	if (encoding & VMCS12_HIGH && ENCODING_WIDTH(encoding) != WIDTH_64)
		return V12_none;
	return by_place[place(encoding)];
}

/**
 * vmcs12_place() - where in a VMCS's region a field is
 * @index: vmcs12_find() of the encoding
 * @encoding: for the upper half of a field
 * @bytes: out: how many of it
 *
 * Return: the offset of the first.
 */
unsigned int vmcs12_place(enum vmcs12_index index, u64 encoding, unsigned int *bytes)
{
	const struct vmcs12_field *f = &vmcs12_fields[index];

	*bytes = encoding & VMCS12_HIGH ? 4 : f->bytes;
	return f->offset + (encoding & VMCS12_HIGH ? 4 : 0);
}

/**
 * vmcs12_get() - VMREAD
 * @vmcs12: of what
 * @index: vmcs12_find() of the encoding
 * @encoding: for the upper half of a field
 *
 * Return: the value, with zeros above it.
 */
u64 vmcs12_get(const struct vmcs12 *vmcs12, enum vmcs12_index index, u64 encoding)
{
	unsigned int bytes, offset = vmcs12_place(index, encoding, &bytes);
	u64 value = 0;

	memcpy(&value, (const u8 *)vmcs12 + offset, bytes);
	return value;
}

/**
 * vmcs12_set() - VMWRITE
 * @vmcs12: of what
 * @index: vmcs12_find() of the encoding
 * @encoding: for the upper half of a field
 * @value: the value; bits beyond the field's width are ignored
 */
void vmcs12_set(struct vmcs12 *vmcs12, enum vmcs12_index index, u64 encoding, u64 value)
{
	unsigned int bytes, offset = vmcs12_place(index, encoding, &bytes);

	memcpy((u8 *)vmcs12 + offset, &value, bytes);
}

/**
 * vmcs12_enum() - IA32_VMX_VMCS_ENUM
 *
 * SDM, VMCS Enumeration: the highest number of a field, in bits 9:1.
 *
 * Return: the MSR's value.
 */
u64 vmcs12_enum(void)
{
	u64 highest = 0;
	unsigned int i;

	for (i = 1; i < V12_NR; i++)
		if (ENCODING_NUMBER(vmcs12_fields[i].encoding) > highest)
			highest = ENCODING_NUMBER(vmcs12_fields[i].encoding);
	return highest << 1;
}
