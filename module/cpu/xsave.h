/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The XSAVE area: where components lie, and conversion between the image that the CPU uses and the
 * standard format of KVM_GET_XSAVE. Knows no kernel, so that unit tests can include it.
 */
#ifndef NESTOR_CPU_XSAVE_H
#define NESTOR_CPU_XSAVE_H

#include "emulate/types.h"

#define XCOMP_FP		0x1ull
#define XCOMP_SSE		0x2ull
#define XCOMP_YMM		0x4ull
#define XCOMP_LEGACY		(XCOMP_FP | XCOMP_SSE)
#define XCOMP_BNDREGS		0x8ull
#define XCOMP_BNDCSR		0x10ull
#define XCOMP_ZMM		0xe0ull
#define XCOMP_PKRU		0x200ull
#define XCOMP_PKRU_NR		9
#define XCOMP_XTILE		0x60000ull

#define FXSAVE_SIZE		512
#define XSAVE_HEADER_SIZE	64
#define XCOMP_BV_COMPACTED	(1ull << 63)

#define FCW_INIT		0x37f
#define MXCSR_INIT		0x1f80

/**
 * struct xsave_image - the fixed beginning of an XSAVE area
 *
 * SDM, XSAVE Area.
 */
struct xsave_image {
	u16 fcw, fsw;
	u8 ftw, reserved0;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[128];
	u8 xmm[256];
	u8 available[96];
	u64 xstate_bv, xcomp_bv;
	u64 reserved[6];
	u8 extended[];
};

_Static_assert(sizeof(struct xsave_image) == FXSAVE_SIZE + XSAVE_HEADER_SIZE, "XSAVE header");
_Static_assert(offsetof(struct xsave_image, mxcsr) == 24, "MXCSR");
_Static_assert(offsetof(struct xsave_image, xmm) == 160, "XMM0");

#define NR_XCOMPS	63

/**
 * struct xsave_layout - CPUID.0Dh
 * @known: components with a size, from 2 on
 * @aligned: components that begin at a multiple of 64 in the compacted format
 * @offset: in the standard format
 */
struct xsave_layout {
	u64 known;
	u64 aligned;
	u32 size[NR_XCOMPS];
	u32 offset[NR_XCOMPS];
};

/* This CPU's: fpu.c. */
extern struct xsave_layout xsave_layout;

/* Bytes of an image that holds @components. */
u32 xsave_size(const struct xsave_layout *l, u64 components, bool compacted);

/* Where component @nr of an image lies. @compacted: the image's XCOMP_BV without bit 63, or 0. */
u32 xsave_offset(const struct xsave_layout *l, int nr, u64 compacted);

/**
 * xsave_to_user - image to standard format
 * @components: what may be shown
 * @buf: @size bytes; components past the end are left out
 */
void xsave_to_user(const struct xsave_layout *l, const struct xsave_image *image, u64 compacted,
		   u64 components, void *buf, u32 size);

/**
 * xsave_user_valid - may a buffer in standard format be loaded?
 * @components: what it may hold
 * @mxcsr_mask: the CPU's valid bits
 *
 * All that XRSTOR would fault on, and what upstream refuses.
 */
bool xsave_user_valid(const struct xsave_image *buf, u64 components, u32 mxcsr_mask);

/**
 * xsave_from_user - standard format to image
 * @components: components that @image has; others of @buf are not taken
 * @buf: checked by xsave_user_valid(), and not shared with anybody since; @size bytes
 */
void xsave_from_user(const struct xsave_layout *l, struct xsave_image *image, u64 compacted,
		     u64 components, const struct xsave_image *buf, u32 size);

/* Registers XMM0 to XMM15 (@len 16), or YMM0 to YMM15 (@len 32) of an image with the AVX component. */
void xsave_read_xmm(const struct xsave_layout *l, const struct xsave_image *image, u64 compacted,
		    unsigned int reg, void *buf, u32 len);
void xsave_write_xmm(const struct xsave_layout *l, struct xsave_image *image, u64 compacted,
		     unsigned int reg, const void *buf, u32 len);

/*
 * Registers MM0 to MM7 (8 bytes). Either leaves the x87 state as every MMX instruction does (SDM, Effect of MMX
 * Instructions on the x87 FPU Tag Word): TOP is 0, all registers are valid.
 */
void xsave_read_mmx(struct xsave_image *image, unsigned int reg, void *buf);
void xsave_write_mmx(struct xsave_image *image, unsigned int reg, const void *buf);

/* MXCSR, wherever the format has it. */
u32 xsave_mxcsr(const struct xsave_image *image, u64 compacted);

/* The state after reset. */
void xsave_init(struct xsave_image *image, u64 compacted);

#endif
