// SPDX-License-Identifier: GPL-2.0
/*
 * Integer instructions that touch nothing but operands and flags.
 */
#include "alu.h"
#include "handlers.h"

/* Bits of the opcode that select among the eight ALU operations, or shifts. */
static unsigned int group_index(const struct emu_ctx *ctx)
{
	return (ctx->insn.modrm >> 3) & 7;
}

int emu_op_mov(struct emu_ctx *ctx)
{
	ctx->dst.val = ctx->src.val;
	return EMU_OK;
}

int emu_op_movsx(struct emu_ctx *ctx)
{
	ctx->dst.val = emu_sign_extend(ctx->src.val, ctx->src.size);
	return EMU_OK;
}

int emu_op_lea(struct emu_ctx *ctx)
{
	ctx->dst.val = ctx->insn.ea;
	return EMU_OK;
}

int emu_op_add(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_add(o->val, ctx->src.val, 0, o->size, &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_adc(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_add(o->val, ctx->src.val, ctx->w.rflags & FL_CF, o->size,
			     &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_sub(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_sub(o->val, ctx->src.val, 0, o->size, &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_sbb(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_sub(o->val, ctx->src.val, ctx->w.rflags & FL_CF, o->size,
			     &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_and(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_logic(o->val & ctx->src.val, o->size, &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_or(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_logic(o->val | ctx->src.val, o->size, &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_xor(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_logic(o->val ^ ctx->src.val, o->size, &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_inc(struct emu_ctx *ctx)
{
	u64 cf = ctx->w.rflags & FL_CF;

	ctx->dst.val = emu_alu_add(ctx->dst.val, 1, 0, ctx->dst.size, &ctx->w.rflags);
	ctx->w.rflags = (ctx->w.rflags & ~FL_CF) | cf;
	return EMU_OK;
}

int emu_op_dec(struct emu_ctx *ctx)
{
	u64 cf = ctx->w.rflags & FL_CF;

	ctx->dst.val = emu_alu_sub(ctx->dst.val, 1, 0, ctx->dst.size, &ctx->w.rflags);
	ctx->w.rflags = (ctx->w.rflags & ~FL_CF) | cf;
	return EMU_OK;
}

int emu_op_not(struct emu_ctx *ctx)
{
	ctx->dst.val = ~ctx->dst.val;
	return EMU_OK;
}

int emu_op_neg(struct emu_ctx *ctx)
{
	ctx->dst.val = emu_alu_sub(0, ctx->dst.val, 0, ctx->dst.size, &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_shift(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_shift(group_index(ctx), o->val, ctx->src.val & 0xff, o->size,
			       &ctx->w.rflags);
	return EMU_OK;
}

/* The count of SHLD and SHRD: an immediate, or CL in the odd opcodes. */
static unsigned int double_shift_count(const struct emu_ctx *ctx)
{
	return ctx->insn.opcode & 1 ? ctx->w.gpr[EMU_RCX] & 0xff : ctx->insn.imm & 0xff;
}

int emu_op_shld(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_shld(o->val, ctx->src.val, double_shift_count(ctx), o->size,
			      &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_shrd(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	o->val = emu_alu_shrd(o->val, ctx->src.val, double_shift_count(ctx), o->size,
			      &ctx->w.rflags);
	return EMU_OK;
}

/* AX, or rDX:rAX: where the one-operand forms of MUL and DIV have their other operand. */
static void set_wide(struct emu_ctx *ctx, unsigned int size, u64 low, u64 high)
{
	if (size == 1) {
		emu_set_reg(ctx, EMU_RAX, 2, (high << 8) | low);
		return;
	}
	emu_set_reg(ctx, EMU_RAX, size, low);
	emu_set_reg(ctx, EMU_RDX, size, high);
}

int emu_op_mul(struct emu_ctx *ctx)
{
	u64 low, high;

	emu_alu_mul(ctx->w.gpr[EMU_RAX], ctx->dst.val, ctx->dst.size, &low, &high,
		    &ctx->w.rflags);
	set_wide(ctx, ctx->dst.size, low, high);
	return EMU_OK;
}

int emu_op_imul(struct emu_ctx *ctx)
{
	u64 low, high;

	emu_alu_imul(ctx->w.gpr[EMU_RAX], ctx->dst.val, ctx->dst.size, &low, &high,
		     &ctx->w.rflags);
	set_wide(ctx, ctx->dst.size, low, high);
	return EMU_OK;
}

int emu_op_imul2(struct emu_ctx *ctx)
{
	u64 high;

	emu_alu_imul(ctx->dst.val, ctx->src.val, ctx->dst.size, &ctx->dst.val, &high,
		     &ctx->w.rflags);
	return EMU_OK;
}

int emu_op_imul3(struct emu_ctx *ctx)
{
	u64 high;

	emu_alu_imul(ctx->src.val, ctx->insn.imm, ctx->dst.size, &ctx->dst.val, &high,
		     &ctx->w.rflags);
	return EMU_OK;
}

static int divide(struct emu_ctx *ctx,
		  bool (*fn)(u64 high, u64 low, u64 d, unsigned int size, u64 *q, u64 *r))
{
	unsigned int size = ctx->dst.size;
	u64 low = emu_get_reg(ctx, EMU_RAX, size);
	u64 high = size == 1 ? emu_get_reg(ctx, EMU_RAX, 2) >> 8 : emu_get_reg(ctx, EMU_RDX, size);
	u64 quot, rem;

	if (!fn(high, low, ctx->dst.val, size, &quot, &rem))
		return emu_raise(ctx, VEC_DE, false, 0);
	set_wide(ctx, size, quot, rem);
	return EMU_OK;
}

int emu_op_div(struct emu_ctx *ctx)
{
	return divide(ctx, emu_alu_div);
}

int emu_op_idiv(struct emu_ctx *ctx)
{
	return divide(ctx, emu_alu_idiv);
}

/* BT, BTS, BTR, BTC; which one is in bits 3 and 4 of opcode, or ModRM of the group. */
int emu_op_bt(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;
	unsigned int which = ctx->insn.opcode == 0xba ? group_index(ctx) : ctx->insn.opcode >> 3;
	u64 bit = 1ULL << (ctx->src.val & (o->size * 8 - 1));

	ctx->w.rflags &= ~FL_CF;
	if (o->val & bit)
		ctx->w.rflags |= FL_CF;
	switch (which & 3) {
	case 1:
		o->val |= bit;
		break;
	case 2:
		o->val &= ~bit;
		break;
	case 3:
		o->val ^= bit;
		break;
	}
	return EMU_OK;
}

/* ZF tells that the source was zero; the destination keeps its value then. */
static int bit_scan(struct emu_ctx *ctx, bool reverse)
{
	u64 src = ctx->src.val;

	ctx->w.rflags &= ~FL_ZF;
	if (!src) {
		ctx->w.rflags |= FL_ZF;
		ctx->dst.type = OPND_NONE;
		return EMU_OK;
	}
	ctx->dst.val = reverse ? 63 - __builtin_clzll(src) : __builtin_ctzll(src);
	return EMU_OK;
}

int emu_op_bsf(struct emu_ctx *ctx)
{
	return bit_scan(ctx, false);
}

int emu_op_bsr(struct emu_ctx *ctx)
{
	return bit_scan(ctx, true);
}

static int count_zeros(struct emu_ctx *ctx, bool leading)
{
	unsigned int bits = ctx->dst.size * 8;
	u64 src = ctx->src.val;
	u64 n = bits;

	if (src && leading)
		n = (unsigned int)__builtin_clzll(src) - (64 - bits);
	else if (src)
		n = (unsigned int)__builtin_ctzll(src);
	ctx->w.rflags &= ~(FL_CF | FL_ZF);
	ctx->w.rflags |= (src ? 0 : FL_CF) | (n ? 0 : FL_ZF);
	ctx->dst.val = n;
	return EMU_OK;
}

/* On a CPU without them these are BSF and BSR with a prefix that means nothing. */
int emu_op_tzcnt(struct emu_ctx *ctx)
{
	return ctx->features & EMU_FEAT_BMI1 ? count_zeros(ctx, false) : bit_scan(ctx, false);
}

int emu_op_lzcnt(struct emu_ctx *ctx)
{
	return ctx->features & EMU_FEAT_LZCNT ? count_zeros(ctx, true) : bit_scan(ctx, true);
}

int emu_op_popcnt(struct emu_ctx *ctx)
{
	u64 v = ctx->src.val;
	u64 n;

	if (!(ctx->features & EMU_FEAT_POPCNT))
		return emu_ud(ctx);
	for (n = 0; v; n++)
		v &= v - 1;
	ctx->dst.val = n;
	ctx->w.rflags &= ~FL_STATUS;
	if (!n)
		ctx->w.rflags |= FL_ZF;
	return EMU_OK;
}

int emu_op_bswap(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	/* Undefined with 16 bits; CPUs clear the register. */
	if (o->size == 2)
		o->val = 0;
	else if (o->size == 4)
		o->val = __builtin_bswap32(o->val);
	else
		o->val = __builtin_bswap64(o->val);
	return EMU_OK;
}

int emu_op_movbe(struct emu_ctx *ctx)
{
	if (!(ctx->features & EMU_FEAT_MOVBE) || !ctx->insn.has_mem)
		return emu_ud(ctx);
	ctx->dst.val = __builtin_bswap64(ctx->src.val) >> (64 - ctx->dst.size * 8);
	return EMU_OK;
}

int emu_op_xchg(struct emu_ctx *ctx)
{
	u64 val = ctx->dst.val;

	/* 90 is NOP: unlike XCHG EAX, EAX it keeps the upper half of RAX. */
	if (ctx->insn.opcode == 0x90 && !(ctx->insn.rex & 1)) {
		ctx->dst.type = OPND_NONE;
		return EMU_OK;
	}
	ctx->dst.val = ctx->src.val;
	ctx->src.val = val;
	return emu_store(ctx, &ctx->src);
}

int emu_op_movnti(struct emu_ctx *ctx)
{
	if (!ctx->insn.has_mem)
		return emu_ud(ctx);
	return emu_op_mov(ctx);
}

int emu_op_xadd(struct emu_ctx *ctx)
{
	u64 val = ctx->dst.val;
	int rc;

	rc = emu_op_add(ctx);
	ctx->src.val = val;
	return rc == EMU_OK ? emu_store(ctx, &ctx->src) : rc;
}

/* Memory is written in either case, if only with what it held. */
int emu_op_cmpxchg(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	emu_alu_sub(ctx->w.gpr[EMU_RAX], o->val, 0, o->size, &ctx->w.rflags);
	if (ctx->w.rflags & FL_ZF) {
		o->val = ctx->src.val;
		return EMU_OK;
	}
	emu_set_reg(ctx, EMU_RAX, o->size, o->val);
	if (o->type != OPND_MEM)
		o->type = OPND_NONE;
	return EMU_OK;
}

/* CMPXCHG8B, CMPXCHG16B. Always done atomically: it costs no more here. */
int emu_op_cmpxchg8b(struct emu_ctx *ctx)
{
	unsigned int half = ctx->insn.opsize == 8 ? 8 : 4;
	unsigned int access = EMU_ACC_READ | EMU_ACC_WRITE | emu_user(ctx);
	u64 old[2] = { 0, 0 }, new[2];
	u8 was[16], is[16];
	u64 linear;
	int rc;

	if (half == 8 && !(ctx->features & EMU_FEAT_CX16))
		return emu_ud(ctx);
	emu_linear(ctx, ctx->insn.seg, ctx->insn.ea, 0, access, &linear);
	if (half == 8 && (linear & 15))
		return emu_gp(ctx, 0);
	rc = emu_linear(ctx, ctx->insn.seg, ctx->insn.ea, half * 2, access, &linear);
	if (rc != EMU_OK)
		return rc;
	rc = emu_read_linear(ctx, linear, was, half * 2, access);
	if (rc != EMU_OK)
		return rc;
	memcpy(&old[0], was, half);
	memcpy(&old[1], was + half, half);
	new[0] = old[0];
	new[1] = old[1];
	ctx->w.rflags &= ~FL_ZF;
	if (old[0] == emu_get_reg(ctx, EMU_RAX, half) &&
	    old[1] == emu_get_reg(ctx, EMU_RDX, half)) {
		ctx->w.rflags |= FL_ZF;
		new[0] = ctx->w.gpr[EMU_RBX];
		new[1] = ctx->w.gpr[EMU_RCX];
	} else {
		emu_set_reg(ctx, EMU_RAX, half, old[0]);
		emu_set_reg(ctx, EMU_RDX, half, old[1]);
	}
	memcpy(is, &new[0], half);
	memcpy(is + half, &new[1], half);
	return emu_cmpxchg_linear(ctx, linear, was, is, half * 2, access);
}

int emu_op_cmov(struct emu_ctx *ctx)
{
	if (emu_condition(ctx, ctx->insn.opcode & 15))
		ctx->dst.val = ctx->src.val;
	return EMU_OK;
}

int emu_op_setcc(struct emu_ctx *ctx)
{
	ctx->dst.val = emu_condition(ctx, ctx->insn.opcode & 15);
	return EMU_OK;
}

/* CBW, CWDE, CDQE */
int emu_op_cbw(struct emu_ctx *ctx)
{
	unsigned int size = ctx->insn.opsize;

	emu_set_reg(ctx, EMU_RAX, size, emu_sign_extend(ctx->w.gpr[EMU_RAX], size / 2));
	return EMU_OK;
}

/* CWD, CDQ, CQO */
int emu_op_cwd(struct emu_ctx *ctx)
{
	unsigned int size = ctx->insn.opsize;
	bool minus = (s64)emu_sign_extend(ctx->w.gpr[EMU_RAX], size) < 0;

	emu_set_reg(ctx, EMU_RDX, size, minus ? ~0ULL : 0);
	return EMU_OK;
}

int emu_op_xlat(struct emu_ctx *ctx)
{
	u64 ea = ctx->w.gpr[EMU_RBX] + (ctx->w.gpr[EMU_RAX] & 0xff);
	u8 val;
	int rc;

	rc = emu_read_mem(ctx, ctx->insn.seg, ea & emu_mask(ctx->insn.adsize), &val, 1);
	if (rc == EMU_OK)
		emu_set_reg(ctx, EMU_RAX, 1, val);
	return rc;
}

int emu_op_lahf(struct emu_ctx *ctx)
{
	u64 flags = (ctx->w.rflags & FL_STATUS & 0xff) | FL_FIXED;

	if (ctx->mode == EMU_LONG64 && !(ctx->features & EMU_FEAT_LAHF64))
		return emu_ud(ctx);
	ctx->w.gpr[EMU_RAX] = (ctx->w.gpr[EMU_RAX] & ~0xff00ULL) | (flags << 8);
	return EMU_OK;
}

int emu_op_sahf(struct emu_ctx *ctx)
{
	const u64 mask = FL_STATUS & 0xff;

	if (ctx->mode == EMU_LONG64 && !(ctx->features & EMU_FEAT_LAHF64))
		return emu_ud(ctx);
	ctx->w.rflags = (ctx->w.rflags & ~mask) | ((ctx->w.gpr[EMU_RAX] >> 8) & mask);
	return EMU_OK;
}

/* CMC, CLC, STC, CLD, STD */
int emu_op_flag(struct emu_ctx *ctx)
{
	switch (ctx->insn.opcode) {
	case 0xf5:
		ctx->w.rflags ^= FL_CF;
		break;
	case 0xf8:
		ctx->w.rflags &= ~FL_CF;
		break;
	case 0xf9:
		ctx->w.rflags |= FL_CF;
		break;
	case 0xfc:
		ctx->w.rflags &= ~FL_DF;
		break;
	case 0xfd:
		ctx->w.rflags |= FL_DF;
		break;
	}
	return EMU_OK;
}

int emu_op_nop(struct emu_ctx *ctx)
{
	(void)ctx;
	return EMU_OK;
}

int emu_op_salc(struct emu_ctx *ctx)
{
	emu_set_reg(ctx, EMU_RAX, 1, ctx->w.rflags & FL_CF ? 0xff : 0);
	return EMU_OK;
}

int emu_op_bound(struct emu_ctx *ctx)
{
	unsigned int size = ctx->insn.opsize;
	s64 index = (s64)emu_sign_extend(ctx->dst.val, size);
	u64 ea = ctx->insn.ea;
	u64 low = 0, high = 0;
	int rc;

	rc = emu_read_mem(ctx, ctx->insn.seg, ea, &low, size);
	if (rc == EMU_OK)
		rc = emu_read_mem(ctx, ctx->insn.seg, (ea + size) & emu_mask(ctx->insn.adsize),
				  &high, size);
	if (rc != EMU_OK)
		return rc;
	if (index < (s64)emu_sign_extend(low, size) || index > (s64)emu_sign_extend(high, size))
		return emu_raise(ctx, VEC_BR, false, 0);
	return EMU_OK;
}

/* Memory that needs no adjustment is not written. */
int emu_op_arpl(struct emu_ctx *ctx)
{
	struct emu_operand *o = &ctx->dst;

	ctx->w.rflags &= ~FL_ZF;
	if ((o->val & 3) >= (ctx->src.val & 3))
		return EMU_OK;
	o->val = (o->val & ~3ULL) | (ctx->src.val & 3);
	ctx->w.rflags |= FL_ZF;
	return emu_store(ctx, o);
}
