// SPDX-License-Identifier: GPL-2.0
#include "xsave.h"

#define FIRST_EXTENDED	2
#define BASE_SIZE	(FXSAVE_SIZE + XSAVE_HEADER_SIZE)

static inline u64 comp(int nr)
{
	return 1ull << nr;
}

static u32 align64(u32 offset)
{
	return (offset + 63) & ~63u;
}

u32 xsave_offset(const struct xsave_layout *l, int nr, u64 compacted)
{
	u32 offset = BASE_SIZE;
	int i;

	if (!compacted)
		return l->offset[nr];
	for (i = FIRST_EXTENDED; i <= nr; i++) {
		if (!(compacted & comp(i)))
			continue;
		if (l->aligned & comp(i))
			offset = align64(offset);
		if (i < nr)
			offset += l->size[i];
	}
	return offset;
}

u32 xsave_size(const struct xsave_layout *l, u64 components, bool compacted)
{
	u32 size = BASE_SIZE, end;
	int i;

	components &= l->known;
	for (i = FIRST_EXTENDED; i < NR_XCOMPS; i++) {
		if (!(components & comp(i)))
			continue;
		end = xsave_offset(l, i, compacted ? components : 0) + l->size[i];
		if (end > size)
			size = end;
	}
	return size;
}

/*
 * In the standard format MXCSR is in the image whether SSE is marked as in use or not; in the compacted
 * one it is part of the SSE component (SDM, Operation of XSAVES).
 */
u32 xsave_mxcsr(const struct xsave_image *image, u64 compacted)
{
	if (compacted && !(image->xstate_bv & XCOMP_SSE))
		return MXCSR_INIT;
	return image->mxcsr;
}

static void legacy_to_user(const struct xsave_image *image, u64 compacted, struct xsave_image *out)
{
	out->fcw = FCW_INIT;
	if (out->xstate_bv & XCOMP_FP) {
		memcpy(out, image, offsetof(struct xsave_image, mxcsr));
		memcpy(out->st, image->st, sizeof(out->st));
	}
	out->mxcsr = xsave_mxcsr(image, compacted);
	out->mxcsr_mask = image->mxcsr_mask;
	/* A reader goes by XSTATE_BV: what is not initial must be marked. */
	if (out->mxcsr != MXCSR_INIT)
		out->xstate_bv |= XCOMP_SSE;
	if (out->xstate_bv & image->xstate_bv & XCOMP_SSE)
		memcpy(out->xmm, image->xmm, sizeof(out->xmm));
}

void xsave_to_user(const struct xsave_layout *l, const struct xsave_image *image, u64 compacted,
		   u64 components, void *buf, u32 size)
{
	struct xsave_image *out = buf;
	int i;

	memset(buf, 0, size);
	out->xstate_bv = image->xstate_bv & components;
	legacy_to_user(image, compacted, out);
	for (i = FIRST_EXTENDED; i < NR_XCOMPS; i++) {
		if (!(out->xstate_bv & l->known & comp(i)))
			continue;
		if (l->offset[i] + l->size[i] > size) {
			out->xstate_bv &= ~comp(i);
			continue;
		}
		memcpy((u8 *)buf + l->offset[i], (const u8 *)image + xsave_offset(l, i, compacted),
		       l->size[i]);
	}
}

bool xsave_user_valid(const struct xsave_image *buf, u64 components, u32 mxcsr_mask)
{
	size_t i;

	if (buf->xstate_bv & ~components || buf->xcomp_bv)
		return false;
	for (i = 0; i < sizeof(buf->reserved) / sizeof(buf->reserved[0]); i++)
		if (buf->reserved[i])
			return false;
	return !(buf->xstate_bv & (XCOMP_LEGACY | XCOMP_YMM)) || !(buf->mxcsr & ~mxcsr_mask);
}

void xsave_init(struct xsave_image *image, u64 compacted)
{
	memset(image, 0, sizeof(*image));
	image->fcw = FCW_INIT;
	image->mxcsr = MXCSR_INIT;
	if (compacted)
		image->xcomp_bv = XCOMP_BV_COMPACTED | compacted;
}

void xsave_from_user(const struct xsave_layout *l, struct xsave_image *image, u64 compacted,
		     u64 components, const struct xsave_image *buf, u32 size)
{
	int i;

	xsave_init(image, compacted);
	image->xstate_bv = buf->xstate_bv & components;
	if (image->xstate_bv & XCOMP_FP) {
		memcpy(image, buf, offsetof(struct xsave_image, mxcsr));
		memcpy(image->st, buf->st, sizeof(image->st));
	}
	if (image->xstate_bv & XCOMP_SSE)
		memcpy(image->xmm, buf->xmm, sizeof(image->xmm));
	if (image->xstate_bv & (XCOMP_LEGACY | XCOMP_YMM)) {
		image->mxcsr = buf->mxcsr;
		/* In the compacted format MXCSR comes with the SSE component. */
		if (image->mxcsr != MXCSR_INIT)
			image->xstate_bv |= XCOMP_SSE;
	}
	for (i = FIRST_EXTENDED; i < NR_XCOMPS; i++) {
		if (!(image->xstate_bv & comp(i)))
			continue;
		if (l->offset[i] + l->size[i] > size)
			image->xstate_bv &= ~comp(i);
		else
			memcpy((u8 *)image + xsave_offset(l, i, compacted),
			       (const u8 *)buf + l->offset[i], l->size[i]);
	}
}

#define XMM_SIZE	16u
#define YMM_NR		2

static void *ymm_high(const struct xsave_layout *l, const struct xsave_image *image, u64 compacted)
{
	return (u8 *)image + xsave_offset(l, YMM_NR, compacted);
}

void xsave_read_xmm(const struct xsave_layout *l, const struct xsave_image *image, u64 compacted,
		    unsigned int reg, void *buf, u32 len)
{
	memset(buf, 0, len);
	if (image->xstate_bv & XCOMP_SSE)
		memcpy(buf, image->xmm + reg * XMM_SIZE, XMM_SIZE);
	if (len > XMM_SIZE && image->xstate_bv & XCOMP_YMM)
		memcpy((u8 *)buf + XMM_SIZE,
		       (u8 *)ymm_high(l, image, compacted) + reg * XMM_SIZE, XMM_SIZE);
}

void xsave_write_xmm(const struct xsave_layout *l, struct xsave_image *image, u64 compacted,
		     unsigned int reg, const void *buf, u32 len)
{
	/* A component that is not in use has no contents yet. */
	if (!(image->xstate_bv & XCOMP_SSE)) {
		image->mxcsr = xsave_mxcsr(image, compacted);
		memset(image->xmm, 0, sizeof(image->xmm));
		image->xstate_bv |= XCOMP_SSE;
	}
	memcpy(image->xmm + reg * XMM_SIZE, buf, XMM_SIZE);
	if (len <= XMM_SIZE)
		return;
	if (!(image->xstate_bv & XCOMP_YMM)) {
		memset(ymm_high(l, image, compacted), 0, l->size[YMM_NR]);
		image->xstate_bv |= XCOMP_YMM;
	}
	memcpy((u8 *)ymm_high(l, image, compacted) + reg * XMM_SIZE, (const u8 *)buf + XMM_SIZE,
	       XMM_SIZE);
}

#define ST_SIZE		16u
#define NR_ST		8u
#define FSW_TOP_SHIFT	11
#define FSW_TOP		(7u << FSW_TOP_SHIFT)

/* The image has registers by their distance from TOP, which becomes 0. */
static void enter_mmx(struct xsave_image *image)
{
	unsigned int top, i;
	u8 st[sizeof(image->st)];

	if (!(image->xstate_bv & XCOMP_FP)) {
		memset(image, 0, offsetof(struct xsave_image, mxcsr));
		memset(image->st, 0, sizeof(image->st));
		image->fcw = FCW_INIT;
		image->xstate_bv |= XCOMP_FP;
	}
	top = (image->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
	memcpy(st, image->st, sizeof(st));
	for (i = 0; i < NR_ST; i++)
		memcpy(image->st + (i + top) % NR_ST * ST_SIZE, st + i * ST_SIZE, ST_SIZE);
	image->fsw &= ~FSW_TOP;
	image->ftw = 0xff;
}

void xsave_read_mmx(struct xsave_image *image, unsigned int reg, void *buf)
{
	enter_mmx(image);
	memcpy(buf, image->st + reg * ST_SIZE, 8);
}

void xsave_write_mmx(struct xsave_image *image, unsigned int reg, const void *buf)
{
	enter_mmx(image);
	memcpy(image->st + reg * ST_SIZE, buf, 8);
	/* Sign and exponent */
	memset(image->st + reg * ST_SIZE + 8, 0xff, 2);
}
