// SPDX-License-Identifier: GPL-2.0
/*
 * Decimal arithmetic, as the SDM's operation sections have it.
 */
#include "alu.h"
#include "handlers.h"

static u8 get_al(const struct emu_ctx *ctx)
{
	return ctx->w.gpr[EMU_RAX];
}

static void set_flags(struct emu_ctx *ctx, u8 al, bool af, bool cf)
{
	ctx->w.rflags &= ~FL_STATUS;
	ctx->w.rflags |= emu_flags_szp(al, 1) | (af ? FL_AF : 0) | (cf ? FL_CF : 0);
}

/* DAA and DAS differ in the direction of the correction only. */
static int adjust_packed(struct emu_ctx *ctx, bool add)
{
	u8 old = get_al(ctx);
	bool old_cf = ctx->w.rflags & FL_CF;
	bool af = (old & 15) > 9 || (ctx->w.rflags & FL_AF);
	bool high = old > 0x99 || old_cf;
	u8 correction = (af ? 6 : 0) + (high ? 0x60 : 0);
	u8 al = add ? old + correction : old - correction;
	/* The low digit's borrow out of AL counts for DAS. */
	bool cf = high || (!add && af && old < 6);

	emu_set_reg(ctx, EMU_RAX, 1, al);
	set_flags(ctx, al, af, cf);
	return EMU_OK;
}

int emu_op_daa(struct emu_ctx *ctx)
{
	return adjust_packed(ctx, true);
}

int emu_op_das(struct emu_ctx *ctx)
{
	return adjust_packed(ctx, false);
}

static int adjust_unpacked(struct emu_ctx *ctx, bool add)
{
	u16 ax = ctx->w.gpr[EMU_RAX];
	bool adjust = (ax & 15) > 9 || (ctx->w.rflags & FL_AF);

	if (adjust)
		ax = add ? ax + 0x106 : ax - 0x106;
	ax &= 0xff0f;
	emu_set_reg(ctx, EMU_RAX, 2, ax);
	set_flags(ctx, ax, adjust, adjust);
	return EMU_OK;
}

int emu_op_aaa(struct emu_ctx *ctx)
{
	return adjust_unpacked(ctx, true);
}

int emu_op_aas(struct emu_ctx *ctx)
{
	return adjust_unpacked(ctx, false);
}

int emu_op_aam(struct emu_ctx *ctx)
{
	u8 base = ctx->insn.imm;
	u8 al = get_al(ctx);

	if (!base)
		return emu_raise(ctx, VEC_DE, false, 0);
	emu_set_reg(ctx, EMU_RAX, 2, ((al / base) << 8) | (al % base));
	set_flags(ctx, al % base, false, false);
	return EMU_OK;
}

int emu_op_aad(struct emu_ctx *ctx)
{
	u16 ax = ctx->w.gpr[EMU_RAX];
	u8 al = ax + (ax >> 8) * (u8)ctx->insn.imm;

	emu_set_reg(ctx, EMU_RAX, 2, al);
	set_flags(ctx, al, false, false);
	return EMU_OK;
}
