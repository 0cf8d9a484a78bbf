// SPDX-License-Identifier: GPL-2.0
/*
 * Verify vmcs12: where its fields are, so that VMs can move between Nestor and upstream KVM, and access by encoding.
 */
#include "check/check.h"
#include "tap.h"
#include "vmx/vmcs12.h"

/* Upstream's layout: encodings and offsets. */
static const struct { u32 encoding; u32 offset; } upstream[] = {
	{ 0x0000, 960 }, { 0x0002, 962 }, { 0x0800, 964 }, { 0x0802, 966 }, { 0x0804, 968 }, { 0x0806, 970 },
	{ 0x0808, 972 }, { 0x080a, 974 }, { 0x080c, 976 }, { 0x080e, 978 }, { 0x0810, 980 }, { 0x0812, 996 },
	{ 0x0c00, 982 }, { 0x0c02, 984 }, { 0x0c04, 986 }, { 0x0c06, 988 }, { 0x0c08, 990 }, { 0x0c0a, 992 },
	{ 0x0c0c, 994 }, { 0x2000, 40 }, { 0x2002, 48 }, { 0x2004, 56 }, { 0x2006, 64 }, { 0x2008, 72 },
	{ 0x200a, 80 }, { 0x200e, 312 }, { 0x2010, 88 }, { 0x2012, 96 }, { 0x2014, 104 }, { 0x2016, 112 },
	{ 0x2018, 296 }, { 0x201a, 120 }, { 0x201c, 128 }, { 0x201e, 136 }, { 0x2020, 144 }, { 0x2022, 152 },
	{ 0x2024, 304 }, { 0x2026, 280 }, { 0x2028, 288 }, { 0x2032, 328 }, { 0x2400, 168 }, { 0x2800, 176 },
	{ 0x2802, 184 }, { 0x2804, 192 }, { 0x2806, 200 }, { 0x2808, 208 }, { 0x280a, 216 }, { 0x280c, 224 },
	{ 0x280e, 232 }, { 0x2810, 240 }, { 0x2812, 248 }, { 0x2c00, 256 }, { 0x2c02, 264 }, { 0x2c04, 272 },
	{ 0x4000, 744 }, { 0x4002, 748 }, { 0x4004, 752 }, { 0x4006, 756 }, { 0x4008, 760 }, { 0x400a, 764 },
	{ 0x400c, 768 }, { 0x400e, 772 }, { 0x4010, 776 }, { 0x4012, 780 }, { 0x4014, 784 }, { 0x4016, 788 },
	{ 0x4018, 792 }, { 0x401a, 796 }, { 0x401c, 800 }, { 0x401e, 804 }, { 0x4400, 808 }, { 0x4402, 812 },
	{ 0x4404, 816 }, { 0x4406, 820 }, { 0x4408, 824 }, { 0x440a, 828 }, { 0x440c, 832 }, { 0x440e, 836 },
	{ 0x4800, 840 }, { 0x4802, 844 }, { 0x4804, 848 }, { 0x4806, 852 }, { 0x4808, 856 }, { 0x480a, 860 },
	{ 0x480c, 864 }, { 0x480e, 868 }, { 0x4810, 872 }, { 0x4812, 876 }, { 0x4814, 880 }, { 0x4816, 884 },
	{ 0x4818, 888 }, { 0x481a, 892 }, { 0x481c, 896 }, { 0x481e, 900 }, { 0x4820, 904 }, { 0x4822, 908 },
	{ 0x4824, 912 }, { 0x4826, 916 }, { 0x4c00, 924 }, { 0x6000, 344 }, { 0x6002, 352 }, { 0x6004, 360 },
	{ 0x6006, 368 }, { 0x6400, 408 }, { 0x640a, 416 }, { 0x6800, 424 }, { 0x6802, 432 }, { 0x6804, 440 },
	{ 0x6806, 448 }, { 0x6808, 456 }, { 0x680a, 464 }, { 0x680c, 472 }, { 0x680e, 480 }, { 0x6810, 488 },
	{ 0x6812, 496 }, { 0x6814, 504 }, { 0x6816, 512 }, { 0x6818, 520 }, { 0x681a, 528 }, { 0x681c, 536 },
	{ 0x681e, 544 }, { 0x6820, 552 }, { 0x6822, 560 }, { 0x6824, 568 }, { 0x6826, 576 }, { 0x6828, 704 },
	{ 0x682a, 712 }, { 0x682c, 720 }, { 0x6c00, 584 }, { 0x6c02, 592 }, { 0x6c04, 600 }, { 0x6c06, 608 },
	{ 0x6c08, 616 }, { 0x6c0a, 624 }, { 0x6c0c, 632 }, { 0x6c0e, 640 }, { 0x6c10, 648 }, { 0x6c12, 656 },
	{ 0x6c14, 664 }, { 0x6c16, 672 }, { 0x6c18, 680 }, { 0x6c1a, 688 },
};

#define NR(a)	(sizeof(a) / sizeof((a)[0]))

static void test_layout(void)
{
	unsigned int i, index;

	for (i = 0; i < NR(upstream); i++) {
		index = vmcs12_find(upstream[i].encoding);
		tap_ok(index && vmcs12_fields[index].encoding == upstream[i].encoding &&
		       vmcs12_fields[index].offset == upstream[i].offset,
		       "field %#x is at %u", upstream[i].encoding, upstream[i].offset);
	}
	tap_ok(offsetof(struct vmcs12, abort) == 4 && offsetof(struct vmcs12, launched) == 8, "the header");
	tap_ok(offsetof(struct vmcs12, cr3_target0) == 1000, "fields of Nestor's own are behind upstream's");
}

/* Bits 14:13 of the encoding say how wide a field is, but for natural width, which is 64 bits here. */
static void test_widths(void)
{
	static const u8 bytes[] = { 2, 8, 4, 8 };
	unsigned int i;
	bool good = true;

	for (i = 1; i < V12_NR; i++)
		good &= vmcs12_fields[i].bytes == bytes[vmcs12_fields[i].encoding >> 13 & 3];
	tap_ok(good, "every field is as wide as its encoding says");
}

/* Every field keeps its value, and none of another's. */
static void test_access(void)
{
	static struct vmcs12 v;
	unsigned int i;
	bool good = true;

	for (i = 1; i < V12_NR; i++)
		vmcs12_set(&v, i, 0, 0x0101010101010101ull * i);
	for (i = 1; i < V12_NR; i++) {
		unsigned int bits = 8 * vmcs12_fields[i].bytes;

		good &= vmcs12_get(&v, i, 0) == (0x0101010101010101ull * i & (~0ull >> (64 - bits)));
	}
	tap_ok(good, "fields do not overlap");
	i = vmcs12_find(0x201a);
	vmcs12_set(&v, i, 0x201a, 0x1122334455667788);
	tap_ok(vmcs12_get(&v, i, 0x201b) == 0x11223344, "the upper half of a field");
	vmcs12_set(&v, i, 0x201b, 0xffffffffaabbccdd);
	tap_ok(vmcs12_get(&v, i, 0x201a) == 0xaabbccdd55667788, "written alone");
}

static void test_encodings(void)
{
	unsigned int found = 0;
	bool good = true;
	u64 e;

	for (e = 0; e < 0x10000; e++) {
		unsigned int i = vmcs12_find(e);

		if (!i)
			continue;
		found++;
		good &= vmcs12_fields[i].encoding == (e & ~(u64)VMCS12_HIGH) && (!(e & VMCS12_HIGH) || (e >> 13 & 3) == 1);
		good &= !vmcs12_find(e | 1ull << 32) && !vmcs12_find(e | 0x8000) && !vmcs12_find(e | 0x1000);
	}
	tap_ok(good, "encodings with reserved bits are none");
	tap_ok(found > V12_NR, "%u encodings", found);
	tap_ok(vmcs12_find(0x201a) && !vmcs12_find(0x6801) && !vmcs12_find(0x0801), "only 64-bit fields have halves");
	tap_ok(vmcs12_enum() >= (0x17 << 1) && !(vmcs12_enum() & 1), "IA32_VMX_VMCS_ENUM covers them");
}

/* What VM entry checks is found by the same numbers. */
static void test_checked(void)
{
	unsigned int i, n = 0;
	bool good = true;

	for (i = 1; i < V12_NR; i++) {
		if (!vmcs12_checked[i])
			continue;
		n++;
		good &= check_vmx.fields[vmcs12_checked[i]].where == vmcs12_fields[i].encoding;
	}
	tap_ok(good && n > 100, "%u fields are values of VM entry", n);
}

int main(void)
{
	vmcs12_setup();
	test_layout();
	test_widths();
	test_access();
	test_encodings();
	test_checked();
	return tap_done();
}
