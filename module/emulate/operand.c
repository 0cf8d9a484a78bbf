// SPDX-License-Identifier: GPL-2.0
/*
 * Registers and operands: load before an instruction's handler, store after it.
 */
#include "internal.h"

u64 emu_get_reg(const struct emu_ctx *ctx, unsigned int reg, unsigned int size)
{
	return ctx->w.gpr[reg] & emu_mask(size);
}

/* Writes of 4 bytes clear the upper half, smaller ones leave the rest alone. */
void emu_set_reg(struct emu_ctx *ctx, unsigned int reg, unsigned int size, u64 val)
{
	u64 mask = emu_mask(size);

	if (size >= 4)
		ctx->w.gpr[reg] = val & mask;
	else
		ctx->w.gpr[reg] = (ctx->w.gpr[reg] & ~mask) | (val & mask);
}

/**
 * emu_segment() - a segment register, fetched at first use
 * @ctx: context
 * @seg: which
 *
 * Return: its value, valid until the next change of that register.
 */
const struct emu_segment *emu_segment(struct emu_ctx *ctx, enum emu_seg seg)
{
	if (!(ctx->seg_valid & (1 << seg))) {
		ctx->ops->get_segment(ctx, seg, &ctx->seg[seg]);
		ctx->seg_valid |= 1 << seg;
	}
	return &ctx->seg[seg];
}

/* Takes effect for the guest when the instruction is committed. */
void emu_set_segment(struct emu_ctx *ctx, enum emu_seg seg, const struct emu_segment *s)
{
	ctx->seg[seg] = *s;
	ctx->seg_valid |= 1 << seg;
	ctx->seg_dirty |= 1 << seg;
	if (seg == EMU_CS)
		ctx->effects |= EMU_FX_MODE;
}

/* Without REX the byte registers 4 to 7 are AH, CH, DH, BH. */
static void register_operand(struct emu_ctx *ctx, struct emu_operand *o, unsigned int reg,
			     unsigned int size)
{
	o->type = OPND_REG;
	o->size = size;
	o->reg = reg;
	if (size == 1 && reg >= 4 && reg < 8 &&
	    !(ctx->insn.prefix & (EMU_PFX_REX | EMU_PFX_VEX))) {
		o->type = OPND_REG_HIGH;
		o->reg = reg - 4;
		o->val = (ctx->w.gpr[o->reg] >> 8) & 0xff;
		return;
	}
	o->val = emu_get_reg(ctx, reg, size);
}

static void rm_operand(struct emu_ctx *ctx, struct emu_operand *o, unsigned int size)
{
	if (!ctx->insn.has_mem) {
		register_operand(ctx, o, emu_modrm_rm(&ctx->insn), size);
		return;
	}
	o->type = OPND_MEM;
	o->size = size;
	o->ea = ctx->insn.ea;
}

static void immediate_operand(struct emu_operand *o, u64 val, unsigned int size)
{
	o->type = OPND_IMM;
	o->size = size;
	o->val = val;
}

/* Bytes of an operand of this kind. */
static unsigned int kind_size(const struct emu_ctx *ctx, u8 kind)
{
	unsigned int opsize = ctx->insn.opsize;

	switch (kind) {
	case K_AL: case K_CL: case K_1: case K_Zb: case K_Ib: case K_Jb:
	case K_Ob: case K_Eb: case K_Gb:
		return 1;
	case K_Iw: case K_Ew: case K_Gw:
		return 2;
	case K_Ewv:
		return ctx->insn.has_mem ? 2 : opsize;
	case K_Ez:
		/* MOVSXD with a 16-bit operand: AMD loads 32 bits all the same. */
		return opsize < 4 && ctx->vendor != EMU_AMD ? opsize : 4;
	case K_Ey: case K_Gy:
		return opsize == 8 ? 8 : 4;
	}
	return opsize;
}

/* Find out where the operand is; registers and immediates are loaded with it. */
static void resolve(struct emu_ctx *ctx, struct emu_operand *o, u8 kind)
{
	const struct emu_insn *insn = &ctx->insn;
	unsigned int size = kind_size(ctx, kind);

	o->type = OPND_NONE;
	o->size = size;
	switch (kind) {
	case K_AL: case K_rAX:
		register_operand(ctx, o, EMU_RAX, size);
		break;
	case K_CL:
		register_operand(ctx, o, EMU_RCX, size);
		break;
	case K_1:
		immediate_operand(o, 1, size);
		break;
	case K_Zb: case K_Zv:
		register_operand(ctx, o, (insn->opcode & 7) | ((insn->rex & 1) << 3), size);
		break;
	case K_Ib: case K_Is: case K_Iw: case K_Iz: case K_Iv: case K_Jb: case K_Jz:
		immediate_operand(o, insn->imm, size);
		break;
	case K_Ob: case K_Ov:
		o->type = OPND_MEM;
		o->ea = insn->ea;
		break;
	case K_Eb: case K_Ew: case K_Ev: case K_Ez: case K_Ey: case K_Ewv:
		rm_operand(ctx, o, size);
		break;
	case K_Gb: case K_Gw: case K_Gv: case K_Gy:
		register_operand(ctx, o, emu_modrm_reg(insn), size);
		break;
	}
}

static int load(struct emu_ctx *ctx, struct emu_operand *o, bool for_write)
{
	unsigned int access = EMU_ACC_READ | emu_user(ctx);
	u64 linear;
	int rc;

	if (o->type != OPND_MEM)
		return EMU_OK;
	if (for_write)
		access |= EMU_ACC_WRITE;
	rc = emu_linear(ctx, ctx->insn.seg, o->ea, o->size, access, &linear);
	if (rc != EMU_OK)
		return rc;
	o->val = 0;
	rc = emu_read_linear(ctx, linear, &o->val, o->size, access);
	o->orig = o->val;
	return rc;
}

/*
 * BT and its kin address a bit string: a register operand reaches beyond the
 * addressed word, in both directions, in steps of the operand size.
 */
static void bit_string(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;
	s64 bit = (s64)emu_sign_extend(ctx->src.val, ctx->src.size);
	s64 words = bit >> (o->size == 8 ? 6 : o->size == 4 ? 5 : 4);

	if (o->type == OPND_MEM && ctx->src.type == OPND_REG)
		o->ea = (o->ea + (u64)words * o->size) & emu_mask(ctx->insn.adsize);
}

/**
 * emu_load_operands() - resolve and read what the table entry names
 * @ctx: decoded context
 *
 * Return: enum emu_result.
 */
int emu_load_operands(struct emu_ctx *ctx)
{
	const struct emu_opcode *op = ctx->op;
	int rc;

	resolve(ctx, &ctx->dst, op->dst);
	resolve(ctx, &ctx->src, op->src);
	if (op->flags & OPF_BITS)
		bit_string(ctx);
	rc = load(ctx, &ctx->src, false);
	if (rc != EMU_OK || (op->flags & OPF_MOV))
		return rc;
	return load(ctx, &ctx->dst, !(op->flags & OPF_NOWB));
}

static int store_memory(struct emu_ctx *ctx, struct emu_operand *o)
{
	unsigned int access = EMU_ACC_WRITE | emu_user(ctx);
	bool locked = (ctx->insn.prefix & EMU_PFX_LOCK) || (ctx->op->flags & OPF_LOCKED);
	u64 linear;
	int rc;

	if (locked)
		access |= EMU_ACC_READ;
	rc = emu_linear(ctx, ctx->insn.seg, o->ea, o->size, access, &linear);
	if (rc != EMU_OK)
		return rc;
	if (locked)
		return emu_cmpxchg_linear(ctx, linear, &o->orig, &o->val, o->size, access);
	return emu_write_linear(ctx, linear, &o->val, o->size, access);
}

/**
 * emu_store() - write an operand's value to where it came from
 * @ctx: context
 * @o: operand
 *
 * Return: enum emu_result or EMU_AGAIN.
 */
int emu_store(struct emu_ctx *ctx, struct emu_operand *o)
{
	u64 *reg = &ctx->w.gpr[o->reg];

	switch (o->type) {
	case OPND_REG:
		emu_set_reg(ctx, o->reg, o->size, o->val);
		break;
	case OPND_REG_HIGH:
		*reg = (*reg & ~0xff00ULL) | ((o->val & 0xff) << 8);
		break;
	case OPND_MEM:
		return store_memory(ctx, o);
	}
	return EMU_OK;
}
