// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptors and the loading of segment registers. SDM, Protection.
 */
#include "internal.h"
#include "handlers.h"

static bool is_null(u16 selector)
{
	return !(selector & ~3);
}

/* Raise @vector with a selector as its error code. */
int emu_raise_sel(struct emu_ctx *ctx, u8 vector, u16 selector)
{
	return emu_raise(ctx, vector, true, selector & ~3u);
}

/* Base and limit of the table that holds @selector; false: there is none. */
static bool descriptor_table(struct emu_ctx *ctx, u16 selector, u64 *base, u32 *limit)
{
	const struct emu_segment *ldt;
	u16 gdt_limit;

	if (!(selector & 4)) {
		ctx->ops->get_table(ctx, EMU_GDTR, base, &gdt_limit);
		*limit = gdt_limit;
		return true;
	}
	ldt = emu_segment(ctx, EMU_LDTR);
	*base = ldt->base;
	*limit = ldt->limit;
	return ldt->attr & EMU_ATTR_P;
}

/* Read the 8 bytes at offset @off of a selector's descriptor. */
static int read_desc_part(struct emu_ctx *ctx, u16 selector, unsigned int off, u8 vector,
			  u64 *val, u64 *addr)
{
	u32 index = (selector & 0xfff8) + off;
	u64 base;
	u32 limit;

	if (!descriptor_table(ctx, selector, &base, &limit) || index + 7 > limit)
		return emu_raise_sel(ctx, vector, selector);
	*addr = base + index;
	if (!(ctx->efer & EFER_LMA))
		*addr &= 0xffffffff;
	return emu_read_linear(ctx, *addr, val, 8, EMU_ACC_READ | EMU_ACC_IMPLICIT);
}

/**
 * emu_read_desc() - read a descriptor
 * @ctx: context
 * @selector: selector, not null
 * @vector: exception for a selector beyond its table
 * @d: result
 *
 * Return: enum emu_result.
 */
int emu_read_desc(struct emu_ctx *ctx, u16 selector, u8 vector, struct emu_desc *d)
{
	d->high = 0;
	return read_desc_part(ctx, selector, 0, vector, &d->low, &d->addr);
}

/**
 * emu_read_desc_high() - read the second half of a 16-byte system descriptor
 * @ctx: context, long mode
 * @selector: selector
 * @vector: exception for a malformed one
 * @d: descriptor whose first half has been read
 *
 * Return: enum emu_result.
 */
int emu_read_desc_high(struct emu_ctx *ctx, u16 selector, u8 vector, struct emu_desc *d)
{
	u64 addr;
	int rc;

	rc = read_desc_part(ctx, selector, 8, vector, &d->high, &addr);
	if (rc != EMU_OK)
		return rc;
	/* The type field of the upper half must be 0. */
	if ((d->high >> 40) & 0x1f)
		return emu_raise_sel(ctx, vector, selector);
	return EMU_OK;
}

/**
 * emu_touch_desc() - change type bits of a descriptor in memory
 * @ctx: context
 * @d: descriptor, updated too
 * @set: bits of the type field to set
 * @clear: bits of the type field to clear
 *
 * Return: enum emu_result or EMU_AGAIN.
 */
int emu_touch_desc(struct emu_ctx *ctx, struct emu_desc *d, unsigned int set, unsigned int clear)
{
	u64 low = (d->low & ~((u64)clear << 40)) | ((u64)set << 40);
	u32 old = d->low >> 32;
	u32 new = low >> 32;

	if (old == new)
		return EMU_OK;
	d->low = low;
	return emu_cmpxchg_linear(ctx, d->addr + 4, &old, &new, 4,
				  EMU_ACC_READ | EMU_ACC_WRITE | EMU_ACC_IMPLICIT);
}

void emu_desc_to_segment(const struct emu_desc *d, u16 selector, struct emu_segment *s)
{
	u64 low = d->low;

	s->selector = selector;
	s->base = ((low >> 16) & 0xffffff) | ((low >> 32) & 0xff000000);
	s->base |= d->high << 32;
	s->attr = (low >> 40) & 0xf0ff;
	s->limit = (low & 0xffff) | ((low >> 32) & 0xf0000);
	if (s->attr & EMU_ATTR_G)
		s->limit = (s->limit << 12) | 0xfff;
}

/* Real and virtual-8086 mode. In real mode limit and rights stay ('big real mode'). */
void emu_load_segment_real(struct emu_ctx *ctx, enum emu_seg seg, u16 selector)
{
	struct emu_segment s = *emu_segment(ctx, seg);

	s.selector = selector;
	s.base = (u32)selector << 4;
	if (ctx->w.rflags & FL_VM) {
		s.limit = 0xffff;
		s.attr = EMU_ATTR_P | EMU_ATTR_DPL | EMU_ATTR_S | TYPE_RW | TYPE_ACCESSED;
	}
	emu_set_segment(ctx, seg, &s);
}

void emu_null_segment(struct emu_ctx *ctx, enum emu_seg seg, u16 selector)
{
	struct emu_segment s = { .selector = selector };

	if (seg == EMU_SS)
		s.attr = ctx->new_cpl << EMU_ATTR_DPL_SHIFT;
	emu_set_segment(ctx, seg, &s);
}

static bool data_allowed(const struct emu_desc *d, u16 selector, u8 cpl)
{
	unsigned int type = DESC_TYPE(d);
	unsigned int rpl = selector & 3;
	bool conforming = (type & TYPE_CODE) && (type & TYPE_DC);

	if (!DESC_S(d) || ((type & TYPE_CODE) && !(type & TYPE_RW)))
		return false;
	return conforming || (rpl <= DESC_DPL(d) && cpl <= DESC_DPL(d));
}

/**
 * emu_load_ss() - check and read a stack segment
 * @ctx: context
 * @selector: selector
 * @cpl: privilege level the stack is for
 * @vector: exception for a bad selector: #GP, or #TS if it came from a TSS
 * @s: result
 *
 * Null selectors are the caller's business.
 *
 * Return: enum emu_result.
 */
int emu_load_ss(struct emu_ctx *ctx, u16 selector, u8 cpl, u8 vector, struct emu_segment *s)
{
	struct emu_desc d;
	int rc;

	if (is_null(selector))
		return emu_raise(ctx, vector, true, 0);
	rc = emu_read_desc(ctx, selector, vector, &d);
	if (rc != EMU_OK)
		return rc;
	if ((selector & 3) != cpl || !DESC_S(&d) || (DESC_TYPE(&d) & TYPE_CODE) ||
	    !(DESC_TYPE(&d) & TYPE_RW) || DESC_DPL(&d) != cpl)
		return emu_raise_sel(ctx, vector, selector);
	if (!DESC_P(&d))
		return emu_raise_sel(ctx, VEC_SS, selector);
	rc = emu_touch_desc(ctx, &d, TYPE_ACCESSED, 0);
	if (rc == EMU_OK)
		emu_desc_to_segment(&d, selector, s);
	return rc;
}

static int load_stack(struct emu_ctx *ctx, u16 selector, u8 cpl, u8 vector)
{
	struct emu_segment s;
	int rc;

	if (is_null(selector) && ctx->mode == EMU_LONG64 && cpl != 3 && (selector & 3) == cpl) {
		emu_null_segment(ctx, EMU_SS, selector);
		return EMU_OK;
	}
	rc = emu_load_ss(ctx, selector, cpl, vector, &s);
	if (rc == EMU_OK)
		emu_set_segment(ctx, EMU_SS, &s);
	return rc;
}

/**
 * emu_load_segment_as() - load ES, SS, DS, FS or GS in protected mode
 * @ctx: context
 * @seg: which
 * @selector: selector
 * @cpl: privilege level to check against
 * @vector: #GP, or #TS during a task switch
 *
 * Return: enum emu_result or EMU_AGAIN.
 */
int emu_load_segment_as(struct emu_ctx *ctx, enum emu_seg seg, u16 selector, u8 cpl, u8 vector)
{
	struct emu_segment s;
	struct emu_desc d;
	int rc;

	if (seg == EMU_SS)
		return load_stack(ctx, selector, cpl, vector);
	if (is_null(selector)) {
		emu_null_segment(ctx, seg, selector);
		return EMU_OK;
	}
	rc = emu_read_desc(ctx, selector, vector, &d);
	if (rc != EMU_OK)
		return rc;
	if (!data_allowed(&d, selector, cpl))
		return emu_raise_sel(ctx, vector, selector);
	if (!DESC_P(&d))
		return emu_raise_sel(ctx, VEC_NP, selector);
	rc = emu_touch_desc(ctx, &d, TYPE_ACCESSED, 0);
	if (rc != EMU_OK)
		return rc;
	emu_desc_to_segment(&d, selector, &s);
	emu_set_segment(ctx, seg, &s);
	return EMU_OK;
}

/**
 * emu_load_segment() - load a segment register other than CS, in any mode
 * @ctx: context
 * @seg: which
 * @selector: selector
 *
 * Return: enum emu_result or EMU_AGAIN.
 */
int emu_load_segment(struct emu_ctx *ctx, enum emu_seg seg, u16 selector)
{
	if (!emu_real_or_v86(ctx))
		return emu_load_segment_as(ctx, seg, selector, ctx->cpl, VEC_GP);
	emu_load_segment_real(ctx, seg, selector);
	return EMU_OK;
}

/**
 * emu_load_ldtr() - load LDTR
 * @ctx: context
 * @selector: selector
 * @vector: #GP, or #TS during a task switch
 *
 * Return: enum emu_result.
 */
int emu_load_ldtr(struct emu_ctx *ctx, u16 selector, u8 vector)
{
	struct emu_segment s;
	struct emu_desc d;
	int rc;

	if (is_null(selector)) {
		emu_null_segment(ctx, EMU_LDTR, selector);
		return EMU_OK;
	}
	if (selector & 4)
		return emu_raise_sel(ctx, vector, selector);
	rc = emu_read_desc(ctx, selector, vector, &d);
	if (rc != EMU_OK)
		return rc;
	if (DESC_S(&d) || DESC_TYPE(&d) != SYS_LDT)
		return emu_raise_sel(ctx, vector, selector);
	if (!DESC_P(&d))
		return emu_raise_sel(ctx, vector == VEC_TS ? VEC_TS : VEC_NP, selector);
	if (ctx->efer & EFER_LMA)
		rc = emu_read_desc_high(ctx, selector, vector, &d);
	if (rc != EMU_OK)
		return rc;
	emu_desc_to_segment(&d, selector, &s);
	if (!emu_canonical(ctx, s.base))
		return emu_raise_sel(ctx, vector, selector);
	emu_set_segment(ctx, EMU_LDTR, &s);
	return EMU_OK;
}

/* ---- instructions ---- */

/* MOV from a segment register. */
int emu_op_mov_from_seg(struct emu_ctx *ctx)
{
	unsigned int seg = (ctx->insn.modrm >> 3) & 7;

	if (seg > EMU_GS)
		return emu_ud(ctx);
	ctx->dst.val = emu_segment(ctx, seg)->selector;
	return EMU_OK;
}

/* MOV to a segment register. */
int emu_op_mov_to_seg(struct emu_ctx *ctx)
{
	unsigned int seg = (ctx->insn.modrm >> 3) & 7;
	int rc;

	if (seg > EMU_GS || seg == EMU_CS)
		return emu_ud(ctx);
	rc = emu_load_segment(ctx, seg, ctx->src.val);
	if (rc == EMU_OK && seg == EMU_SS)
		ctx->effects |= EMU_FX_SHADOW_SS;
	return rc;
}

/* LES, LDS, LSS, LFS, LGS: segment register by opcode. */
int emu_op_load_far(struct emu_ctx *ctx)
{
	unsigned int size = ctx->insn.opsize;
	enum emu_seg seg;
	u8 raw[10];
	u16 selector;
	int rc;

	switch (ctx->insn.opcode) {
	case 0xc4: seg = EMU_ES; break;
	case 0xc5: seg = EMU_DS; break;
	default: seg = ctx->insn.opcode & 7; break;
	}
	rc = emu_read_mem(ctx, ctx->insn.seg, ctx->insn.ea, raw, size + 2);
	if (rc != EMU_OK)
		return rc;
	ctx->dst.val = 0;
	memcpy(&ctx->dst.val, raw, size);
	memcpy(&selector, raw + size, 2);
	return emu_load_segment(ctx, seg, selector);
}

int emu_op_lldt(struct emu_ctx *ctx)
{
	int rc = emu_icpt_simple(ctx, EMU_ICPT_LLDT, true);

	return rc == EMU_OK ? emu_load_ldtr(ctx, ctx->dst.val, VEC_GP) : rc;
}

int emu_op_ltr(struct emu_ctx *ctx)
{
	u16 selector = ctx->dst.val;
	struct emu_segment s;
	struct emu_desc d;
	int rc;

	rc = emu_icpt_simple(ctx, EMU_ICPT_LTR, true);
	if (rc != EMU_OK)
		return rc;
	if (is_null(selector))
		return emu_gp(ctx, 0);
	if (selector & 4)
		return emu_raise_sel(ctx, VEC_GP, selector);
	rc = emu_read_desc(ctx, selector, VEC_GP, &d);
	if (rc != EMU_OK)
		return rc;
	if (DESC_S(&d) || (DESC_TYPE(&d) != SYS_TSS32 &&
			   (DESC_TYPE(&d) != SYS_TSS16 || (ctx->efer & EFER_LMA))))
		return emu_raise_sel(ctx, VEC_GP, selector);
	if (!DESC_P(&d))
		return emu_raise_sel(ctx, VEC_NP, selector);
	if (ctx->efer & EFER_LMA)
		rc = emu_read_desc_high(ctx, selector, VEC_GP, &d);
	if (rc == EMU_OK)
		rc = emu_touch_desc(ctx, &d, SYS_TSS16_BUSY & ~SYS_TSS16, 0);
	if (rc != EMU_OK)
		return rc;
	emu_desc_to_segment(&d, selector, &s);
	if (!emu_canonical(ctx, s.base))
		return emu_raise_sel(ctx, VEC_GP, selector);
	emu_set_segment(ctx, EMU_TR, &s);
	return EMU_OK;
}

/* The user-mode instruction prevention check of SLDT, STR, SGDT, SIDT and SMSW. */
int emu_check_umip(struct emu_ctx *ctx)
{
	return (ctx->cr4 & CR4_UMIP) && ctx->cpl ? emu_gp(ctx, 0) : EMU_OK;
}

int emu_op_sldt(struct emu_ctx *ctx)
{
	int rc = emu_check_umip(ctx);

	if (rc == EMU_OK)
		rc = emu_icpt_simple(ctx, EMU_ICPT_SLDT, true);
	ctx->dst.val = emu_segment(ctx, EMU_LDTR)->selector;
	return rc;
}

int emu_op_str(struct emu_ctx *ctx)
{
	int rc = emu_check_umip(ctx);

	if (rc == EMU_OK)
		rc = emu_icpt_simple(ctx, EMU_ICPT_STR, true);
	ctx->dst.val = emu_segment(ctx, EMU_TR)->selector;
	return rc;
}

/* ---- LAR, LSL, VERR, VERW: ZF tells whether the selector is of use ---- */

/* System types that LAR and LSL accept, a bit each. */
static unsigned int known_system_types(const struct emu_ctx *ctx, bool limit)
{
	const unsigned int segments = 1 << SYS_LDT | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY;
	const unsigned int old = 1 << SYS_TSS16 | 1 << SYS_TSS16_BUSY;
	const unsigned int gates = 1 << SYS_CALL16 | 1 << SYS_TASK_GATE;

	if (ctx->efer & EFER_LMA)
		return segments | (limit ? 0 : 1 << SYS_CALL32);
	return segments | old | (limit ? 0 : gates | 1 << SYS_CALL32);
}

/* Find the descriptor; *found is false for what these instructions answer with ZF clear. */
static int probe_desc(struct emu_ctx *ctx, u16 selector, struct emu_desc *d, bool *found)
{
	u32 limit;
	u64 base;

	*found = false;
	ctx->w.rflags &= ~FL_ZF;
	if (is_null(selector) || !descriptor_table(ctx, selector, &base, &limit) ||
	    (selector & 0xfff8) + 7u > limit)
		return EMU_OK;
	*found = true;
	return emu_read_desc(ctx, selector, VEC_GP, d);
}

static bool visible(const struct emu_ctx *ctx, const struct emu_desc *d, u16 selector)
{
	unsigned int type = DESC_TYPE(d);

	if (DESC_S(d) && (type & TYPE_CODE) && (type & TYPE_DC))
		return true;
	return ctx->cpl <= DESC_DPL(d) && (selector & 3) <= DESC_DPL(d);
}

static int lar_lsl(struct emu_ctx *ctx, bool limit)
{
	u16 selector = ctx->src.val;
	struct emu_segment s;
	struct emu_desc d;
	bool found;
	int rc;

	ctx->dst.type = OPND_NONE;
	rc = probe_desc(ctx, selector, &d, &found);
	if (rc != EMU_OK || !found)
		return rc;
	if (!DESC_S(&d) && !((known_system_types(ctx, limit) >> DESC_TYPE(&d)) & 1))
		return EMU_OK;
	if (!visible(ctx, &d, selector))
		return EMU_OK;
	emu_desc_to_segment(&d, selector, &s);
	ctx->dst.type = OPND_REG;
	ctx->dst.val = limit ? s.limit : (d.low >> 32) & 0x00ffff00;
	ctx->w.rflags |= FL_ZF;
	return EMU_OK;
}

int emu_op_lar(struct emu_ctx *ctx)
{
	return lar_lsl(ctx, false);
}

int emu_op_lsl(struct emu_ctx *ctx)
{
	return lar_lsl(ctx, true);
}

/* VERR and VERW: ModRM.reg 4 and 5. */
int emu_op_verify(struct emu_ctx *ctx)
{
	u16 selector = ctx->dst.val;
	bool write = ctx->insn.modrm & 8;
	struct emu_desc d;
	unsigned int type;
	bool found;
	int rc;

	rc = probe_desc(ctx, selector, &d, &found);
	if (rc != EMU_OK || !found || !DESC_S(&d) || !visible(ctx, &d, selector))
		return rc;
	type = DESC_TYPE(&d);
	if (type & TYPE_CODE ? !write && (type & TYPE_RW) : !write || (type & TYPE_RW))
		ctx->w.rflags |= FL_ZF;
	return EMU_OK;
}
