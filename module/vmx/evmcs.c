// SPDX-License-Identifier: GPL-2.0
/*
 * The enlightened VMCS's fields: where they are, which clean bit is theirs, and who writes them.
 */
#include "vmx/evmcs.h"

const struct evmcs_field evmcs_fields[EVMCS_NR] = {
#define EVMCS(type, name, group, way)						\
	[EVMCS_NR_##name] = { .index = V12_##name, .direction = EVMCS_##way,	\
			      .offset = offsetof(struct evmcs, name), .clean = EVMCS_CLEAN_##group },
#define EVMCS_OWN(type, name)
#define EVMCS_GAP(type, name, count)
#include "vmx/evmcs_fields.h"
#undef EVMCS
#undef EVMCS_OWN
#undef EVMCS_GAP
};

/* Offsets by vmcs12's fields, 0: not there. Filled at load, constant afterwards. */
static u16 offsets[V12_NR];

/**
 * evmcs_setup() - fill the table; once, before evmcs_place()
 */
void evmcs_setup(void)
{
	unsigned int i;

	for (i = 0; i < EVMCS_NR; i++)
		offsets[evmcs_fields[i].index] = evmcs_fields[i].offset;
}

/**
 * evmcs_place() - where a field is
 * @index: vmcs12_find() of the encoding
 * @encoding: for the upper half of a field
 * @bytes: out: how many of it
 *
 * Return: the offset of the first, 0: the enlightened VMCS has no such field.
 */
unsigned int evmcs_place(enum vmcs12_index index, u64 encoding, unsigned int *bytes)
{
	unsigned int in_vmcs12 = vmcs12_place(index, encoding, bytes);

	return offsets[index] ? offsets[index] + in_vmcs12 - vmcs12_fields[index].offset : 0;
}

/**
 * evmcs_get() - the value of a field
 * @evmcs: of what
 * @field: of evmcs_fields
 *
 * Return: the value, with zeros above it.
 */
u64 evmcs_get(const struct evmcs *evmcs, const struct evmcs_field *field)
{
	u64 value = 0;

	memcpy(&value, (const u8 *)evmcs + field->offset, vmcs12_fields[field->index].bytes);
	return value;
}

/**
 * evmcs_is_read() - does an entry read the field?
 * @field: of evmcs_fields
 * @clean: clean_fields
 */
bool evmcs_is_read(const struct evmcs_field *field, u32 clean)
{
	return field->direction & EVMCS_IN && !(field->clean & clean);
}

/**
 * evmcs_fill() - what an exit writes
 * @evmcs: out; other fields stay
 * @vmcs12: with what
 */
void evmcs_fill(struct evmcs *evmcs, const struct vmcs12 *vmcs12)
{
	const struct evmcs_field *f;
	unsigned int i;
	u64 value;

	for (i = 0; i < EVMCS_NR; i++) {
		f = &evmcs_fields[i];
		if (!(f->direction & EVMCS_OUT))
			continue;
		value = vmcs12_get(vmcs12, f->index, 0);
		memcpy((u8 *)evmcs + f->offset, &value, vmcs12_fields[f->index].bytes);
	}
}

/**
 * evmcs_run() - fields side by side that an exit writes
 * @from: where to begin, of evmcs_fields
 * @offset: out: of the first
 * @bytes: out: of all of them, 0: there are no more
 *
 * L1 may be writing to the others at the same time.
 *
 * Return: where to go on.
 */
unsigned int evmcs_run(unsigned int from, unsigned int *offset, unsigned int *bytes)
{
	unsigned int i = from;

	*bytes = 0;
	while (i < EVMCS_NR && !(evmcs_fields[i].direction & EVMCS_OUT))
		i++;
	if (i == EVMCS_NR)
		return i;
	*offset = evmcs_fields[i].offset;
	while (i < EVMCS_NR && evmcs_fields[i].direction & EVMCS_OUT && evmcs_fields[i].offset == *offset + *bytes)
		*bytes += vmcs12_fields[evmcs_fields[i++].index].bytes;
	return i;
}
