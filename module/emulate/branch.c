// SPDX-License-Identifier: GPL-2.0
/*
 * Near branches.
 */
#include "internal.h"
#include "handlers.h"

/**
 * emu_condition() - evaluate a condition code
 * @ctx: context
 * @cc: low four bits of the opcode of Jcc, SETcc, CMOVcc
 *
 * Return: whether it holds.
 */
bool emu_condition(const struct emu_ctx *ctx, unsigned int cc)
{
	u64 f = ctx->w.rflags;
	bool less = !(f & FL_SF) != !(f & FL_OF);
	bool r = false;

	switch (cc >> 1) {
	case 0: r = f & FL_OF; break;
	case 1: r = f & FL_CF; break;
	case 2: r = f & FL_ZF; break;
	case 3: r = f & (FL_CF | FL_ZF); break;
	case 4: r = f & FL_SF; break;
	case 5: r = f & FL_PF; break;
	case 6: r = less; break;
	case 7: r = less || (f & FL_ZF); break;
	}
	return r != (cc & 1);
}

/**
 * emu_jump() - set RIP within the current code segment
 * @ctx: context
 * @target: new RIP
 * @size: operand size: bytes of @target that count
 *
 * Return: EMU_OK, or EMU_FAULT (#GP) for a target outside.
 */
int emu_jump(struct emu_ctx *ctx, u64 target, unsigned int size)
{
	target &= emu_mask(size);
	if (ctx->mode == EMU_LONG64 ? !emu_canonical(ctx, target) :
				      target > emu_segment(ctx, EMU_CS)->limit)
		return emu_gp(ctx, 0);
	ctx->w.rip = target;
	return EMU_OK;
}

static int jump_relative(struct emu_ctx *ctx)
{
	return emu_jump(ctx, ctx->insn.next_rip + ctx->insn.imm, ctx->insn.opsize);
}

int emu_op_jcc(struct emu_ctx *ctx)
{
	return emu_condition(ctx, ctx->insn.opcode & 15) ? jump_relative(ctx) : EMU_OK;
}

int emu_op_jmp_rel(struct emu_ctx *ctx)
{
	return jump_relative(ctx);
}

int emu_op_jmp_rm(struct emu_ctx *ctx)
{
	return emu_jump(ctx, ctx->dst.val, ctx->insn.opsize);
}

/* The push comes first: its faults win over those of the target. */
static int call(struct emu_ctx *ctx, u64 target)
{
	int rc = emu_push(ctx, ctx->insn.next_rip, ctx->insn.opsize);

	return rc == EMU_OK ? emu_jump(ctx, target, ctx->insn.opsize) : rc;
}

int emu_op_call_rel(struct emu_ctx *ctx)
{
	return call(ctx, ctx->insn.next_rip + ctx->insn.imm);
}

int emu_op_call_rm(struct emu_ctx *ctx)
{
	return call(ctx, ctx->dst.val);
}

/* RET, and RET with an immediate (zero without one). */
int emu_op_ret(struct emu_ctx *ctx)
{
	u64 target;
	int rc;

	rc = emu_pop(ctx, &target, ctx->insn.opsize);
	if (rc == EMU_OK)
		rc = emu_jump(ctx, target, ctx->insn.opsize);
	if (rc == EMU_OK)
		emu_set_reg(ctx, EMU_RSP, emu_stack_size(ctx),
			    ctx->w.gpr[EMU_RSP] + (ctx->insn.imm & 0xffff));
	return rc;
}

/* LOOPNE, LOOPE, LOOP */
int emu_op_loop(struct emu_ctx *ctx)
{
	unsigned int size = ctx->insn.adsize;
	bool zf = ctx->w.rflags & FL_ZF;

	emu_set_reg(ctx, EMU_RCX, size, ctx->w.gpr[EMU_RCX] - 1);
	if (!emu_get_reg(ctx, EMU_RCX, size))
		return EMU_OK;
	if ((ctx->insn.opcode == 0xe0 && zf) || (ctx->insn.opcode == 0xe1 && !zf))
		return EMU_OK;
	return jump_relative(ctx);
}

int emu_op_jcxz(struct emu_ctx *ctx)
{
	return emu_get_reg(ctx, EMU_RCX, ctx->insn.adsize) ? EMU_OK : jump_relative(ctx);
}
