// SPDX-License-Identifier: GPL-2.0
/*
 * The stack, and the flags that are pushed on it.
 */
#include "internal.h"
#include "handlers.h"

/* Bytes of the stack pointer that count. */
unsigned int emu_stack_size(struct emu_ctx *ctx)
{
	if (ctx->mode == EMU_LONG64)
		return 8;
	return emu_segment(ctx, EMU_SS)->attr & EMU_ATTR_DB ? 4 : 2;
}

static void move_rsp(struct emu_ctx *ctx, u64 delta)
{
	emu_set_reg(ctx, EMU_RSP, emu_stack_size(ctx), ctx->w.gpr[EMU_RSP] + delta);
}

/**
 * emu_push() - push onto the current stack
 * @ctx: context
 * @val: value
 * @size: bytes: 2, 4, 8
 *
 * Return: enum emu_result.
 */
int emu_push(struct emu_ctx *ctx, u64 val, unsigned int size)
{
	u64 sp = (ctx->w.gpr[EMU_RSP] - size) & emu_mask(emu_stack_size(ctx));
	int rc;

	rc = emu_write_mem(ctx, EMU_SS, sp, &val, size);
	if (rc == EMU_OK)
		move_rsp(ctx, -(u64)size);
	return rc;
}

/**
 * emu_pop() - pop from the current stack
 * @ctx: context
 * @val: result
 * @size: bytes: 2, 4, 8
 *
 * Return: enum emu_result.
 */
int emu_pop(struct emu_ctx *ctx, u64 *val, unsigned int size)
{
	int rc;

	*val = 0;
	rc = emu_read_mem(ctx, EMU_SS, emu_get_reg(ctx, EMU_RSP, emu_stack_size(ctx)), val, size);
	if (rc == EMU_OK)
		move_rsp(ctx, size);
	return rc;
}

int emu_op_push(struct emu_ctx *ctx)
{
	return emu_push(ctx, ctx->dst.val, ctx->insn.opsize);
}

int emu_op_pop(struct emu_ctx *ctx)
{
	const struct emu_insn *insn = &ctx->insn;
	int rc;

	rc = emu_pop(ctx, &ctx->dst.val, insn->opsize);
	if (rc != EMU_OK || !insn->has_mem)
		return rc;
	/* An address based on rSP is computed with its value after the pop. */
	if (insn->adsize != 2 && (insn->modrm & 7) == 4 && (insn->sib & 7) == 4 &&
	    !(insn->rex & 1))
		ctx->dst.ea = (ctx->dst.ea + insn->opsize) & emu_mask(insn->adsize);
	return EMU_OK;
}

/* Which segment register an opcode of PUSH and POP names. */
static enum emu_seg opcode_segment(const struct emu_ctx *ctx)
{
	return (ctx->insn.opcode >> 3) & 7;
}

int emu_op_push_seg(struct emu_ctx *ctx)
{
	return emu_push(ctx, emu_segment(ctx, opcode_segment(ctx))->selector, ctx->insn.opsize);
}

int emu_op_pop_seg(struct emu_ctx *ctx)
{
	enum emu_seg seg = opcode_segment(ctx);
	u64 val;
	int rc;

	rc = emu_pop(ctx, &val, ctx->insn.opsize);
	if (rc == EMU_OK)
		rc = emu_load_segment(ctx, seg, val);
	if (rc == EMU_OK && seg == EMU_SS)
		ctx->effects |= EMU_FX_SHADOW_SS;
	return rc;
}

int emu_op_pusha(struct emu_ctx *ctx)
{
	unsigned int reg;
	int rc;

	for (reg = 0; reg < 8; reg++) {
		/* SP is pushed as it was before the first push. */
		rc = emu_push(ctx, ctx->regs.gpr[reg], ctx->insn.opsize);
		if (rc != EMU_OK)
			return rc;
	}
	return EMU_OK;
}

int emu_op_popa(struct emu_ctx *ctx)
{
	unsigned int reg;
	u64 val;
	int rc;

	for (reg = 8; reg--;) {
		rc = emu_pop(ctx, &val, ctx->insn.opsize);
		if (rc != EMU_OK)
			return rc;
		if (reg != EMU_RSP)
			emu_set_reg(ctx, reg, ctx->insn.opsize, val);
	}
	return EMU_OK;
}

/*
 * Copy the outer frame pointers of a nested procedure. SDM, ENTER.
 */
static int enter_display(struct emu_ctx *ctx, unsigned int level, u64 frame)
{
	unsigned int size = ctx->insn.opsize;
	u64 mask = emu_mask(emu_stack_size(ctx));
	u64 bp = ctx->w.gpr[EMU_RBP];
	u64 val;
	int rc;

	while (--level) {
		bp = (bp - size) & mask;
		val = 0;
		rc = emu_read_mem(ctx, EMU_SS, bp, &val, size);
		if (rc == EMU_OK)
			rc = emu_push(ctx, val, size);
		if (rc != EMU_OK)
			return rc;
	}
	return emu_push(ctx, frame, size);
}

int emu_op_enter(struct emu_ctx *ctx)
{
	unsigned int size = ctx->insn.opsize;
	unsigned int level = ctx->insn.imm2 & 31;
	unsigned int access = EMU_ACC_WRITE | emu_user(ctx);
	u64 frame, linear;
	int rc;

	rc = emu_push(ctx, ctx->w.gpr[EMU_RBP], size);
	if (rc != EMU_OK)
		return rc;
	frame = ctx->w.gpr[EMU_RSP];
	if (level)
		rc = enter_display(ctx, level, frame);
	if (rc != EMU_OK)
		return rc;
	move_rsp(ctx, -ctx->insn.imm);
	emu_set_reg(ctx, EMU_RBP, size, frame);
	/* The new top of the stack must be writable, though nothing is written. */
	rc = emu_linear(ctx, EMU_SS, emu_get_reg(ctx, EMU_RSP, emu_stack_size(ctx)), size, access,
			&linear);
	return rc == EMU_OK ? emu_probe(ctx, linear, size, access) : rc;
}

int emu_op_leave(struct emu_ctx *ctx)
{
	u64 val;
	int rc;

	emu_set_reg(ctx, EMU_RSP, emu_stack_size(ctx), ctx->w.gpr[EMU_RBP]);
	rc = emu_pop(ctx, &val, ctx->insn.opsize);
	if (rc == EMU_OK)
		emu_set_reg(ctx, EMU_RBP, ctx->insn.opsize, val);
	return rc;
}

/**
 * emu_flags_writable() - which flags POPF and IRET may change
 * @ctx: context
 * @size: operand size
 *
 * Return: mask of RFLAGS.
 */
u64 emu_flags_writable(const struct emu_ctx *ctx, unsigned int size)
{
	u64 mask = FL_STATUS | FL_TF | FL_DF | FL_NT;

	if (size >= 4)
		mask |= FL_AC | FL_ID;
	if (ctx->mode == EMU_V86)
		return mask | FL_IF;
	if (!ctx->cpl)
		mask |= FL_IOPL;
	if (ctx->cpl <= emu_iopl(ctx))
		mask |= FL_IF;
	return mask;
}

/*
 * Virtual-8086 mode needs IOPL 3 for what touches IF. The virtual interrupt flag
 * (CR4.VME) is not emulated.
 */
static int check_v86_flags(struct emu_ctx *ctx)
{
	if (ctx->mode != EMU_V86 || emu_iopl(ctx) == 3)
		return EMU_OK;
	return ctx->cr4 & CR4_VME ? EMU_UNHANDLED : emu_gp(ctx, 0);
}

int emu_op_pushf(struct emu_ctx *ctx)
{
	int rc = emu_icpt_simple(ctx, EMU_ICPT_PUSHF, false);

	if (rc == EMU_OK)
		rc = check_v86_flags(ctx);
	if (rc != EMU_OK)
		return rc;
	return emu_push(ctx, ctx->w.rflags & ~(FL_VM | FL_RF), ctx->insn.opsize);
}

int emu_op_popf(struct emu_ctx *ctx)
{
	u64 mask = emu_flags_writable(ctx, ctx->insn.opsize);
	u64 val;
	int rc;

	rc = emu_icpt_simple(ctx, EMU_ICPT_POPF, false);
	if (rc == EMU_OK)
		rc = check_v86_flags(ctx);
	if (rc == EMU_OK)
		rc = emu_pop(ctx, &val, ctx->insn.opsize);
	if (rc == EMU_OK)
		ctx->w.rflags = (ctx->w.rflags & ~mask) | (val & mask);
	return rc;
}

/* CLI, STI */
static int check_if_access(struct emu_ctx *ctx)
{
	if (ctx->mode == EMU_REAL || ctx->cpl <= emu_iopl(ctx))
		return EMU_OK;
	if (ctx->mode == EMU_V86)
		return check_v86_flags(ctx);
	/* Protected-mode virtual interrupts: likewise not emulated. */
	if (ctx->cpl == 3 && (ctx->cr4 & CR4_PVI))
		return EMU_UNHANDLED;
	return emu_gp(ctx, 0);
}

int emu_op_cli(struct emu_ctx *ctx)
{
	int rc = check_if_access(ctx);

	if (rc == EMU_OK)
		ctx->w.rflags &= ~FL_IF;
	return rc;
}

int emu_op_sti(struct emu_ctx *ctx)
{
	int rc = check_if_access(ctx);

	if (rc != EMU_OK)
		return rc;
	if (!(ctx->w.rflags & FL_IF))
		ctx->effects |= EMU_FX_SHADOW_STI;
	ctx->w.rflags |= FL_IF;
	return EMU_OK;
}

int emu_op_clac(struct emu_ctx *ctx)
{
	ctx->w.rflags &= ~FL_AC;
	return EMU_OK;
}

int emu_op_stac(struct emu_ctx *ctx)
{
	ctx->w.rflags |= FL_AC;
	return EMU_OK;
}
