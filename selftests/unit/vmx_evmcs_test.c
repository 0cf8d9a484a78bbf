// SPDX-License-Identifier: GPL-2.0
/*
 * Verify the enlightened VMCS: where its fields are, which clean bit is theirs, what entries read and exits write.
 */
#include "check/check.h"
#include "tap.h"
#include "vmx/evmcs.h"

/* The TLFS's layout: encodings, offsets, bits of the clean fields; all of these for fields that have none of their own. */
static const struct { u16 encoding, offset, clean; } layout[] = {
	{ 0x0000, 632, 0x200 }, { 0x0800, 128, 0x1000 }, { 0x0802, 130, 0x1000 }, { 0x0804, 132, 0x1000 },
	{ 0x0806, 134, 0x1000 }, { 0x0808, 136, 0x1000 }, { 0x080a, 138, 0x1000 }, { 0x080c, 140, 0x1000 },
	{ 0x080e, 142, 0x1000 }, { 0x0c00, 8, 0x4000 }, { 0x0c02, 10, 0x4000 }, { 0x0c04, 12, 0x4000 },
	{ 0x0c06, 14, 0x4000 }, { 0x0c08, 16, 0x4000 }, { 0x0c0a, 18, 0x4000 }, { 0x0c0c, 20, 0x4000 },
	{ 0x2000, 104, 0x1 }, { 0x2002, 112, 0x1 }, { 0x2004, 120, 0x2 }, { 0x2006, 320, 0xffff },
	{ 0x2008, 328, 0xffff }, { 0x200a, 336, 0xffff }, { 0x2010, 400, 0x4 }, { 0x2012, 408, 0x4 },
	{ 0x201a, 624, 0x200 }, { 0x202c, 960, 0x4 }, { 0x202e, 968, 0x4 }, { 0x2032, 984, 0x4 },
	{ 0x2400, 680, 0x0 }, { 0x2800, 416, 0x800 }, { 0x2802, 424, 0x800 }, { 0x2804, 432, 0x800 },
	{ 0x2806, 440, 0x800 }, { 0x2808, 904, 0x800 }, { 0x280a, 448, 0x800 }, { 0x280c, 456, 0x800 },
	{ 0x280e, 464, 0x800 }, { 0x2810, 472, 0x800 }, { 0x2812, 896, 0x800 }, { 0x2c00, 24, 0x4000 },
	{ 0x2c02, 32, 0x4000 }, { 0x2c04, 976, 0x4000 }, { 0x4000, 92, 0x8 }, { 0x4002, 788, 0x10 },
	{ 0x4004, 792, 0x80 }, { 0x4006, 376, 0xffff }, { 0x4008, 380, 0xffff }, { 0x400a, 384, 0xffff },
	{ 0x400c, 96, 0x8 }, { 0x400e, 388, 0xffff }, { 0x4010, 392, 0xffff }, { 0x4012, 796, 0x40 },
	{ 0x4014, 396, 0xffff }, { 0x4016, 800, 0x20 }, { 0x4018, 804, 0x20 }, { 0x401a, 808, 0x20 },
	{ 0x401c, 812, 0x0 }, { 0x401e, 100, 0x8 }, { 0x4400, 688, 0x0 }, { 0x4402, 692, 0x0 },
	{ 0x4404, 696, 0x0 }, { 0x4406, 700, 0x0 }, { 0x4408, 704, 0x0 }, { 0x440a, 708, 0x0 },
	{ 0x440c, 712, 0x0 }, { 0x440e, 716, 0x0 }, { 0x4800, 144, 0x1000 }, { 0x4802, 148, 0x1000 },
	{ 0x4804, 152, 0x1000 }, { 0x4806, 156, 0x1000 }, { 0x4808, 160, 0x1000 }, { 0x480a, 164, 0x1000 },
	{ 0x480c, 168, 0x1000 }, { 0x480e, 172, 0x1000 }, { 0x4810, 176, 0x1000 }, { 0x4812, 180, 0x1000 },
	{ 0x4814, 184, 0x1000 }, { 0x4816, 188, 0x1000 }, { 0x4818, 192, 0x1000 }, { 0x481a, 196, 0x1000 },
	{ 0x481c, 200, 0x1000 }, { 0x481e, 204, 0x1000 }, { 0x4820, 208, 0x1000 }, { 0x4822, 212, 0x1000 },
	{ 0x4824, 784, 0x400 }, { 0x4826, 504, 0x800 }, { 0x482a, 508, 0x800 }, { 0x4c00, 88, 0x4000 },
	{ 0x6000, 512, 0x100 }, { 0x6002, 520, 0x100 }, { 0x6004, 528, 0x100 }, { 0x6006, 536, 0x100 },
	{ 0x6400, 720, 0x0 }, { 0x640a, 760, 0x0 }, { 0x6800, 544, 0x100 }, { 0x6802, 552, 0x100 },
	{ 0x6804, 560, 0x100 }, { 0x6806, 216, 0x1000 }, { 0x6808, 224, 0x1000 }, { 0x680a, 232, 0x1000 },
	{ 0x680c, 240, 0x1000 }, { 0x680e, 248, 0x1000 }, { 0x6810, 256, 0x1000 }, { 0x6812, 264, 0x1000 },
	{ 0x6814, 272, 0x1000 }, { 0x6816, 280, 0x1000 }, { 0x6818, 288, 0x1000 }, { 0x681a, 568, 0x100 },
	{ 0x681c, 768, 0x400 }, { 0x681e, 816, 0x0 }, { 0x6820, 776, 0x400 }, { 0x6822, 480, 0x800 },
	{ 0x6824, 488, 0x800 }, { 0x6826, 496, 0x800 }, { 0x6c00, 40, 0x4000 }, { 0x6c02, 48, 0x4000 },
	{ 0x6c04, 56, 0x4000 }, { 0x6c06, 576, 0x2000 }, { 0x6c08, 584, 0x2000 }, { 0x6c0a, 592, 0x2000 },
	{ 0x6c0c, 600, 0x2000 }, { 0x6c0e, 608, 0x2000 }, { 0x6c10, 64, 0x4000 }, { 0x6c12, 72, 0x4000 },
	{ 0x6c14, 616, 0x2000 }, { 0x6c16, 80, 0x4000 },
};

#define NR(a)	(sizeof(a) / sizeof((a)[0]))

static const struct evmcs_field *find(u32 encoding)
{
	unsigned int i;

	for (i = 0; i < EVMCS_NR; i++)
		if (vmcs12_fields[evmcs_fields[i].index].encoding == encoding)
			return &evmcs_fields[i];
	return NULL;
}

static void test_layout(void)
{
	const struct evmcs_field *f;
	unsigned int i, bytes;

	for (i = 0; i < NR(layout); i++) {
		f = find(layout[i].encoding);
		tap_ok(f && f->offset == layout[i].offset && f->clean == layout[i].clean &&
		       evmcs_place(f->index, layout[i].encoding, &bytes) == layout[i].offset,
		       "field %#x is at %u, of group %#x", layout[i].encoding, layout[i].offset, layout[i].clean);
	}
	tap_ok(NR(layout) == EVMCS_NR, "and there are no others");
	tap_ok(offsetof(struct evmcs, clean_fields) == 824 && offsetof(struct evmcs, enlightenments) == 836 &&
	       offsetof(struct evmcs, partition_assist) == 856, "what is no field");
}

/* In the order of the layout, without an overlap. */
static void test_order(void)
{
	unsigned int i, end = 0;
	bool good = true;

	for (i = 0; i < EVMCS_NR; i++) {
		good &= evmcs_fields[i].offset >= end;
		end = evmcs_fields[i].offset + vmcs12_fields[evmcs_fields[i].index].bytes;
	}
	tap_ok(good && end <= sizeof(struct evmcs), "fields do not overlap");
}

static void test_places(void)
{
	static const u16 missing[] = { 0x0002, 0x0810, 0x0812, 0x2014, 0x2016, 0x2018, 0x201c, 0x2026, 0x2028, 0x482e,
				       0x6008, 0x6828 };
	unsigned int i, bytes;
	bool good = true;

	for (i = 0; i < NR(missing); i++)
		good &= vmcs12_find(missing[i]) && !evmcs_place(vmcs12_find(missing[i]), missing[i], &bytes);
	tap_ok(good, "fields of vmcs12 that it does not have");
	tap_ok(evmcs_place(vmcs12_find(0x201b), 0x201b, &bytes) == 628 && bytes == 4, "the upper half of a field");
	tap_ok(evmcs_place(vmcs12_find(0), 0, &bytes) == 632 && bytes == 2, "a field of 16 bits");
}

/* A group's bit leaves out its fields and no others. */
static void test_clean(void)
{
	unsigned int bit, i, always = 0, read = 0;
	bool good = true;

	for (i = 0; i < EVMCS_NR; i++) {
		const struct evmcs_field *f = &evmcs_fields[i];

		for (bit = 0; bit < 32; bit++)
			good &= evmcs_is_read(f, 1u << bit) == (f->direction & EVMCS_IN && !(f->clean >> bit & 1));
		always += evmcs_is_read(f, EVMCS_CLEAN_ALL);
		read += evmcs_is_read(f, 0);
		/* Those of no group are not read at all, or a clear bit would not be enough. */
		good &= f->clean != EVMCS_CLEAN_ALL || f->direction == EVMCS_UNUSED;
	}
	tap_ok(good, "a clean bit is about the fields of its group");
	tap_ok(always == 2 && evmcs_is_read(find(0x681e), ~0u) && evmcs_is_read(find(0x401c), ~0u),
	       "RIP and the TPR threshold are always read");
	tap_ok(read > 100, "%u fields are read if nothing is clean", read);
}

static void test_exit(void)
{
	static struct evmcs evmcs, before;
	static struct vmcs12 v;
	static u8 written[sizeof(evmcs)];
	unsigned int i, at, from = 0, runs = 0, offset = 0, bytes;
	bool values = true, others = true, covered = true;

	memset(&evmcs, 0xa5, sizeof(evmcs));
	before = evmcs;
	for (i = 1; i < V12_NR; i++)
		vmcs12_set(&v, i, 0, 0x0101010101010101ull * i);
	evmcs_fill(&evmcs, &v);
	for (from = evmcs_run(0, &offset, &bytes); bytes; from = evmcs_run(from, &offset, &bytes), runs++)
		memset(written + offset, 1, bytes);
	for (i = 0; i < EVMCS_NR; i++) {
		const struct evmcs_field *f = &evmcs_fields[i];
		bool out = f->direction & EVMCS_OUT;

		values &= evmcs_get(out ? &evmcs : &before, f) == evmcs_get(&evmcs, f);
		values &= !out || evmcs_get(&evmcs, f) == vmcs12_get(&v, f->index, 0);
		for (at = f->offset; at < f->offset + vmcs12_fields[f->index].bytes; at++)
			covered &= written[at] == out;
	}
	for (at = 0; at < sizeof(evmcs); at++)
		others &= written[at] || !memcmp((u8 *)&evmcs + at, (u8 *)&before + at, 1);
	tap_ok(values, "an exit fills its fields with vmcs12's");
	tap_ok(others, "and changes nothing else");
	tap_ok(covered && runs < 16, "which is written in %u pieces", runs);
	tap_ok(!(find(0x2004)->direction & EVMCS_OUT) && !(find(0x6c16)->direction & EVMCS_OUT) &&
	       !(find(0x4004)->direction & EVMCS_OUT), "L1's own fields stay L1's");
	tap_ok(!(find(0x4402)->direction & EVMCS_IN) && find(0x681e)->direction == EVMCS_BOTH, "and exits', exits'");
}

int main(void)
{
	vmcs12_setup();
	evmcs_setup();
	test_layout();
	test_order();
	test_places();
	test_clean();
	test_exit();
	return tap_done();
}
