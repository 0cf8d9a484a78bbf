// SPDX-License-Identifier: GPL-2.0
/*
 * Verify the conversion between XSAVE images and the standard format of the ABI: offsets, components
 * in their initial state, MXCSR, buffers that are too short, and what is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/xsave.h"
#include "tap.h"

#define STANDARD	0ull
#define COMPONENTS	(XCOMP_LEGACY | XCOMP_YMM | XCOMP_ZMM)
#define MXCSR_MASK	0xffff

/* A CPU with AVX-512 and PKRU, as Skylake reports it; ZMM_Hi256 and Hi16_ZMM are aligned here. */
static const struct xsave_layout layout = {
	.known = XCOMP_YMM | XCOMP_ZMM | XCOMP_PKRU,
	.aligned = 0xc0,
	.size = { [2] = 256, [5] = 64, [6] = 512, [7] = 1024, [9] = 8 },
	.offset = { [2] = 576, [5] = 1088, [6] = 1152, [7] = 1664, [9] = 2688 },
};

static struct xsave_image *image, *buf;

static void fill(void *p, u8 first, size_t n)
{
	u8 *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		b[i] = first + i * 7;
}

static bool filled(const void *p, u8 first, size_t n)
{
	const u8 *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (b[i] != (u8)(first + i * 7))
			return false;
	return true;
}

static bool zero(const void *p, size_t n)
{
	const u8 *b = p;

	while (n--)
		if (*b++)
			return false;
	return true;
}

static void test_layout(void)
{
	tap_ok(xsave_size(&layout, XCOMP_LEGACY, false) == 576, "x87 and SSE: the fixed part");
	tap_ok(xsave_size(&layout, XCOMP_LEGACY | XCOMP_PKRU, false) == 2696,
	       "standard: PKRU lies where it lies");
	tap_ok(xsave_size(&layout, XCOMP_LEGACY | XCOMP_PKRU, true) == 584, "compacted: right behind");
	tap_ok(xsave_size(&layout, COMPONENTS, false) == 2688, "standard: AVX-512");
	/* 576 + 256 = 832; 64 more: 896; aligned: 896; 1408; 2432. */
	tap_ok(xsave_size(&layout, COMPONENTS, true) == 2432, "compacted: AVX-512");
	tap_ok(xsave_offset(&layout, 6, COMPONENTS) == 896, "compacted: an aligned component");
	tap_ok(xsave_offset(&layout, 6, XCOMP_LEGACY | 0x60) == 640, "without AVX it moves up");
	tap_ok(xsave_offset(&layout, 7, STANDARD) == 1664, "standard offsets are the CPU's");
	tap_ok(xsave_size(&layout, 1ull << 40, false) == 576, "an unknown component has no size");
}

/* User format -> image -> user format. */
static void test_round_trip(u64 compacted, const char *name)
{
	u64 parts = COMPONENTS;
	struct xsave_image *out = calloc(1, 4096);

	memset(buf, 0, 4096);
	fill(buf, 1, 24);
	buf->mxcsr = 0x1fa0;
	fill(buf->st, 2, sizeof(buf->st));
	fill(buf->xmm, 3, sizeof(buf->xmm));
	fill((u8 *)buf + 576, 4, 256);
	fill((u8 *)buf + 1088, 5, 64);
	fill((u8 *)buf + 1152, 6, 512);
	fill((u8 *)buf + 1664, 7, 1024);
	buf->xstate_bv = parts;

	memset(image, 0xee, 4096);
	xsave_from_user(&layout, image, compacted, parts, buf, 4096);
	xsave_to_user(&layout, image, compacted, parts, out, 4096);
	tap_ok(!memcmp(buf, out, 4096), "%s: all components there and back", name);
	tap_ok(image->xcomp_bv == (compacted ? XCOMP_BV_COMPACTED | compacted : 0),
	       "%s: XCOMP_BV says so", name);
	tap_ok(filled((u8 *)image + xsave_offset(&layout, 7, compacted), 7, 1024),
	       "%s: Hi16_ZMM is where the CPU looks", name);

	xsave_to_user(&layout, image, compacted, XCOMP_LEGACY | XCOMP_YMM, out, 4096);
	tap_ok(out->xstate_bv == (XCOMP_LEGACY | XCOMP_YMM) && zero((u8 *)out + 1088, 4096 - 1088),
	       "%s: what is not to be shown is not", name);
	xsave_to_user(&layout, image, compacted, parts, out, 1700);
	tap_ok(!(out->xstate_bv & 0x80) && out->xstate_bv & 0x40,
	       "%s: a component that does not fit is left out", name);
	xsave_from_user(&layout, image, compacted, parts, buf, 1200);
	tap_ok(image->xstate_bv == (XCOMP_LEGACY | XCOMP_YMM | 0x20),
	       "%s: nor is one read past the end", name);
	free(out);
}

static void test_initial(u64 compacted, const char *name)
{
	xsave_init(image, compacted);
	fill(image->xmm, 9, sizeof(image->xmm));
	xsave_to_user(&layout, image, compacted, COMPONENTS, buf, 4096);
	tap_ok(buf->fcw == FCW_INIT && buf->mxcsr == MXCSR_INIT && !buf->xstate_bv,
	       "%s: initial state has FCW and MXCSR", name);
	tap_ok(zero(buf->xmm, sizeof(buf->xmm)), "%s: and no stale registers", name);

	memset(buf, 0, 4096);
	xsave_from_user(&layout, image, compacted, COMPONENTS, buf, 4096);
	tap_ok(image->fcw == FCW_INIT && image->mxcsr == MXCSR_INIT && !image->xstate_bv,
	       "%s: a buffer that marks nothing means the initial state", name);

	memset(buf, 0, 4096);
	buf->mxcsr = 0x1f00;
	buf->xstate_bv = XCOMP_YMM;
	xsave_from_user(&layout, image, compacted, COMPONENTS, buf, 4096);
	tap_ok(image->mxcsr == 0x1f00 && image->xstate_bv & XCOMP_SSE,
	       "%s: MXCSR counts when AVX state is there", name);
	tap_ok(zero(image->xmm, sizeof(image->xmm)), "%s: and XMM is zero then", name);
}

static void test_mxcsr(void)
{
	xsave_init(image, STANDARD);
	image->mxcsr = 0x1f81;
	xsave_to_user(&layout, image, STANDARD, COMPONENTS, buf, 4096);
	tap_ok(buf->mxcsr == 0x1f81 && buf->xstate_bv == XCOMP_SSE,
	       "standard: MXCSR is valid with SSE not in use, and gets it marked");
	xsave_init(image, COMPONENTS);
	image->mxcsr = 0x1f81;
	tap_ok(xsave_mxcsr(image, COMPONENTS) == MXCSR_INIT, "compacted: it is stale then");
}

static void test_valid(void)
{
	memset(buf, 0, 4096);
	buf->xstate_bv = COMPONENTS;
	buf->mxcsr = MXCSR_INIT;
	tap_ok(xsave_user_valid(buf, COMPONENTS, MXCSR_MASK), "a good buffer");
	tap_ok(!xsave_user_valid(buf, XCOMP_LEGACY, MXCSR_MASK), "a component that is not allowed");
	buf->mxcsr = 0x10000;
	tap_ok(!xsave_user_valid(buf, COMPONENTS, MXCSR_MASK), "a reserved bit in MXCSR");
	buf->xstate_bv = 0;
	tap_ok(xsave_user_valid(buf, COMPONENTS, MXCSR_MASK), "nobody looks at it when nothing is marked");
	buf->xcomp_bv = XCOMP_BV_COMPACTED;
	tap_ok(!xsave_user_valid(buf, COMPONENTS, MXCSR_MASK), "the compacted format");
	buf->xcomp_bv = 0;
	buf->reserved[5] = 1;
	tap_ok(!xsave_user_valid(buf, COMPONENTS, MXCSR_MASK), "the header's last reserved byte");
}

static void test_xmm(u64 compacted, const char *name)
{
	u8 value[32], back[32];

	fill(value, 11, sizeof(value));
	xsave_init(image, compacted);
	memset(image->xmm, 0xcc, sizeof(image->xmm));
	memset((u8 *)image + xsave_offset(&layout, 2, compacted), 0xcc, 256);
	xsave_read_xmm(&layout, image, compacted, 3, back, 32);
	tap_ok(zero(back, 32), "%s: registers in their initial state read as zero", name);

	xsave_write_xmm(&layout, image, compacted, 3, value, 16);
	xsave_read_xmm(&layout, image, compacted, 3, back, 32);
	tap_ok(!memcmp(back, value, 16) && zero(back + 16, 16), "%s: XMM3, its upper half zero", name);
	xsave_read_xmm(&layout, image, compacted, 2, back, 16);
	tap_ok(zero(back, 16), "%s: its neighbour is still zero", name);
	tap_ok(xsave_mxcsr(image, compacted) == MXCSR_INIT, "%s: and MXCSR what it was", name);

	xsave_write_xmm(&layout, image, compacted, 15, value, 32);
	xsave_read_xmm(&layout, image, compacted, 15, back, 32);
	tap_ok(!memcmp(back, value, 32), "%s: YMM15", name);
	xsave_read_xmm(&layout, image, compacted, 14, back, 32);
	tap_ok(zero(back, 32), "%s: YMM14 is still zero", name);
}

static void test_mmx(void)
{
	u8 value[8], back[8];

	fill(value, 7, sizeof(value));
	xsave_init(image, 0);
	memset(image->st, 0xcc, sizeof(image->st));
	xsave_read_mmx(image, 5, back);
	tap_ok(zero(back, 8) && image->fcw == FCW_INIT && image->ftw == 0xff, "MMX registers in their initial state");

	xsave_init(image, 0);
	image->xstate_bv = XCOMP_FP;
	image->fsw = 0x4745;	/* TOP is 0, and C3 and flags of exceptions are set */
	image->fsw |= 6 << 11;
	memset(image->st, 0, sizeof(image->st));
	image->st[0] = 0x66;	/* ST(0) is physical register 6 */
	image->st[3 * 16] = 0x11;
	xsave_write_mmx(image, 2, value);
	xsave_read_mmx(image, 2, back);
	tap_ok(!memcmp(back, value, 8) && image->st[2 * 16 + 8] == 0xff && image->st[2 * 16 + 9] == 0xff, "MM2");
	tap_ok(image->st[6 * 16] == 0x66 && image->st[1 * 16] == 0x11, "x87 registers are where MMX finds them");
	tap_ok(image->fsw == 0x4745 && image->ftw == 0xff, "TOP is 0, the rest of the status word as it was");
}

int main(void)
{
	image = calloc(1, 4096);
	buf = calloc(1, 4096);
	test_layout();
	test_round_trip(STANDARD, "standard");
	test_round_trip(COMPONENTS, "compacted");
	test_initial(STANDARD, "standard");
	test_initial(COMPONENTS, "compacted");
	test_mxcsr();
	test_valid();
	test_mmx();
	test_xmm(STANDARD, "standard");
	test_xmm(COMPONENTS, "compacted");
	free(image);
	free(buf);
	return tap_done();
}
