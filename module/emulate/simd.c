// SPDX-License-Identifier: GPL-2.0
/*
 * Moves between memory and vector registers, which drivers use on MMIO and
 * frame buffers.
 */
#include "internal.h"
#include "handlers.h"

static unsigned int full_width(const struct emu_ctx *ctx)
{
	return (ctx->insn.prefix & EMU_PFX_VEX) && ctx->insn.vex_l ? 32 : 16;
}

/* A load through VEX clears the rest of the register, a legacy one keeps it. */
static int set_xmm(struct emu_ctx *ctx, unsigned int reg, const void *buf, unsigned int len)
{
	u8 wide[32] = { 0 };

	memcpy(wide, buf, len);
	return ctx->ops->write_xmm(ctx, reg, wide, ctx->insn.prefix & EMU_PFX_VEX ? 32 : 16);
}

static int access_memory(struct emu_ctx *ctx, void *buf, unsigned int len, bool write)
{
	const unsigned int access = (write ? EMU_ACC_WRITE : EMU_ACC_READ) | emu_user(ctx);
	u64 linear;
	int rc;

	/* Before #AC, which such an address would raise too. */
	emu_linear(ctx, ctx->insn.seg, ctx->insn.ea, 0, access, &linear);
	if ((ctx->op->flags & OPF_ALIGN) && (linear & (len - 1)))
		return emu_gp(ctx, 0);
	rc = emu_linear(ctx, ctx->insn.seg, ctx->insn.ea, len, access, &linear);
	if (rc != EMU_OK)
		return rc;
	return write ? emu_write_linear(ctx, linear, buf, len, access) :
		       emu_read_linear(ctx, linear, buf, len, access);
}

/* These forms have no second source: VEX.vvvv must say so. */
static bool spare_operand_used(const struct emu_ctx *ctx)
{
	return (ctx->insn.prefix & EMU_PFX_VEX) && ctx->insn.vex_v;
}

/* Whole register, from register or memory. */
int emu_op_simd_load(struct emu_ctx *ctx)
{
	unsigned int len = full_width(ctx);
	u8 buf[32];
	int rc;

	if (spare_operand_used(ctx))
		return emu_ud(ctx);
	if (ctx->insn.has_mem)
		rc = access_memory(ctx, buf, len, false);
	else
		rc = ctx->ops->read_xmm(ctx, emu_modrm_rm(&ctx->insn), buf, len);
	return rc == EMU_OK ? set_xmm(ctx, emu_modrm_reg(&ctx->insn), buf, len) : rc;
}

int emu_op_simd_store(struct emu_ctx *ctx)
{
	unsigned int len = full_width(ctx);
	u8 buf[32];
	int rc;

	if (spare_operand_used(ctx))
		return emu_ud(ctx);
	rc = ctx->ops->read_xmm(ctx, emu_modrm_reg(&ctx->insn), buf, len);
	if (rc != EMU_OK)
		return rc;
	if (ctx->insn.has_mem)
		return access_memory(ctx, buf, len, true);
	return set_xmm(ctx, emu_modrm_rm(&ctx->insn), buf, len);
}

/* MOVQ of MMX, whose eight registers REX does not extend. */
#define MMX_SIZE	8u

int emu_op_mmx_load(struct emu_ctx *ctx)
{
	u8 buf[MMX_SIZE];
	int rc;

	if (ctx->insn.has_mem)
		rc = access_memory(ctx, buf, MMX_SIZE, false);
	else
		rc = ctx->ops->read_xmm(ctx, emu_modrm_rm(&ctx->insn) & 7, buf, MMX_SIZE);
	return rc == EMU_OK ? ctx->ops->write_xmm(ctx, emu_modrm_reg(&ctx->insn) & 7, buf, MMX_SIZE) : rc;
}

int emu_op_mmx_store(struct emu_ctx *ctx)
{
	u8 buf[MMX_SIZE];
	int rc = ctx->ops->read_xmm(ctx, emu_modrm_reg(&ctx->insn) & 7, buf, MMX_SIZE);

	if (rc != EMU_OK)
		return rc;
	if (ctx->insn.has_mem)
		return access_memory(ctx, buf, MMX_SIZE, true);
	return ctx->ops->write_xmm(ctx, emu_modrm_rm(&ctx->insn) & 7, buf, MMX_SIZE);
}

/* Load @len bytes into the low part of a register and clear the rest. */
static int load_low(struct emu_ctx *ctx, unsigned int len)
{
	u8 buf[16] = { 0 };
	int rc;

	if (spare_operand_used(ctx))
		return emu_ud(ctx);
	rc = access_memory(ctx, buf, len, false);
	return rc == EMU_OK ? set_xmm(ctx, emu_modrm_reg(&ctx->insn), buf, 16) : rc;
}

/* Copy @len low bytes between registers: the rest of the destination stays. */
static int copy_low(struct emu_ctx *ctx, unsigned int from, unsigned int to, unsigned int len)
{
	u8 src[16], dst[16];
	int rc;

	/* With VEX the upper part comes from a third register. */
	if (ctx->insn.prefix & EMU_PFX_VEX)
		return EMU_UNHANDLED;
	rc = ctx->ops->read_xmm(ctx, from, src, 16);
	if (rc == EMU_OK)
		rc = ctx->ops->read_xmm(ctx, to, dst, 16);
	if (rc != EMU_OK)
		return rc;
	memcpy(dst, src, len);
	return ctx->ops->write_xmm(ctx, to, dst, 16);
}

/* Store part of a register, @off bytes up. */
static int store_part(struct emu_ctx *ctx, unsigned int off, unsigned int len)
{
	u8 buf[16];
	int rc;

	if (spare_operand_used(ctx))
		return emu_ud(ctx);
	rc = ctx->ops->read_xmm(ctx, emu_modrm_reg(&ctx->insn), buf, 16);
	return rc == EMU_OK ? access_memory(ctx, buf + off, len, true) : rc;
}

/* MOVSS and MOVSD: which one is told by the prefix. */
static unsigned int scalar_size(const struct emu_ctx *ctx)
{
	return ctx->insn.prefix & EMU_PFX_REPNE ? 8 : 4;
}

int emu_op_simd_load_scalar(struct emu_ctx *ctx)
{
	if (ctx->insn.has_mem)
		return load_low(ctx, scalar_size(ctx));
	return copy_low(ctx, emu_modrm_rm(&ctx->insn), emu_modrm_reg(&ctx->insn),
			scalar_size(ctx));
}

int emu_op_simd_store_scalar(struct emu_ctx *ctx)
{
	if (ctx->insn.has_mem)
		return store_part(ctx, 0, scalar_size(ctx));
	return copy_low(ctx, emu_modrm_reg(&ctx->insn), emu_modrm_rm(&ctx->insn),
			scalar_size(ctx));
}

/* MOVLPS, MOVLPD, MOVHPS, MOVHPD: half a register, bit 2 of the opcode tells which. */
static unsigned int half_offset(const struct emu_ctx *ctx)
{
	return ctx->insn.opcode & 4 ? 8 : 0;
}

int emu_op_simd_load_half(struct emu_ctx *ctx)
{
	unsigned int reg = emu_modrm_reg(&ctx->insn);
	u8 buf[16];
	int rc;

	rc = ctx->ops->read_xmm(ctx, reg, buf, 16);
	if (rc == EMU_OK)
		rc = access_memory(ctx, buf + half_offset(ctx), 8, false);
	return rc == EMU_OK ? ctx->ops->write_xmm(ctx, reg, buf, 16) : rc;
}

int emu_op_simd_store_half(struct emu_ctx *ctx)
{
	return store_part(ctx, half_offset(ctx), 8);
}

/* MOVD and MOVQ have no 256-bit form. */
static bool bad_vex_movd(const struct emu_ctx *ctx)
{
	return spare_operand_used(ctx) || ctx->insn.vex_l;
}

/* MOVD and MOVQ between a vector register and a general one or memory. */
int emu_op_movd_load(struct emu_ctx *ctx)
{
	u8 buf[16] = { 0 };

	if (bad_vex_movd(ctx))
		return emu_ud(ctx);
	memcpy(buf, &ctx->src.val, ctx->src.size);
	return set_xmm(ctx, emu_modrm_reg(&ctx->insn), buf, 16);
}

int emu_op_movd_store(struct emu_ctx *ctx)
{
	u8 buf[16];
	int rc;

	if (bad_vex_movd(ctx))
		return emu_ud(ctx);
	rc = ctx->ops->read_xmm(ctx, emu_modrm_reg(&ctx->insn), buf, 16);
	if (rc == EMU_OK)
		memcpy(&ctx->dst.val, buf, 8);
	return rc;
}

/* MOVQ: the low half, the rest of a destination register is cleared. */
static int movq(struct emu_ctx *ctx, unsigned int from, unsigned int to)
{
	u8 buf[16];
	int rc;

	if (bad_vex_movd(ctx))
		return emu_ud(ctx);
	rc = ctx->ops->read_xmm(ctx, from, buf, 16);
	memset(buf + 8, 0, 8);
	return rc == EMU_OK ? set_xmm(ctx, to, buf, 16) : rc;
}

int emu_op_movq_load(struct emu_ctx *ctx)
{
	if (ctx->insn.has_mem && !ctx->insn.vex_l)
		return load_low(ctx, 8);
	return movq(ctx, emu_modrm_rm(&ctx->insn), emu_modrm_reg(&ctx->insn));
}

int emu_op_movq_store(struct emu_ctx *ctx)
{
	if (ctx->insn.has_mem && !ctx->insn.vex_l)
		return store_part(ctx, 0, 8);
	return movq(ctx, emu_modrm_reg(&ctx->insn), emu_modrm_rm(&ctx->insn));
}
