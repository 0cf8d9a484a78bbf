// SPDX-License-Identifier: GPL-2.0
/*
 * The frame around every instruction: checks that precede it, operands in and
 * out, commit.
 */
#include "internal.h"

int emu_raise(struct emu_ctx *ctx, u8 vector, bool has_error, u32 error_code)
{
	ctx->fault.vector = vector;
	ctx->fault.type = EMU_EXCEPTION;
	/* Real mode pushes no error codes. */
	ctx->fault.has_error = has_error && ctx->mode != EMU_REAL;
	ctx->fault.error_code = error_code;
	ctx->fault.address = 0;
	return EMU_FAULT;
}

int emu_raise_pf(struct emu_ctx *ctx, u64 linear, u32 error_code)
{
	emu_raise(ctx, VEC_PF, true, error_code);
	ctx->fault.address = linear;
	return EMU_FAULT;
}

int emu_gp(struct emu_ctx *ctx, u32 error_code)
{
	return emu_raise(ctx, VEC_GP, true, error_code);
}

int emu_ud(struct emu_ctx *ctx)
{
	return emu_raise(ctx, VEC_UD, false, 0);
}

/* Ask whether a guest hypervisor wants this; nothing to ask, nothing intercepted. */
int emu_icpt(struct emu_ctx *ctx, const struct emu_intercept *info)
{
	return ctx->ops->intercept ? ctx->ops->intercept(ctx, info) : EMU_OK;
}

int emu_icpt_simple(struct emu_ctx *ctx, enum emu_icpt what, bool checked)
{
	struct emu_intercept info = { .what = what, .checked = checked, .gpr = 0xff };

	return emu_icpt(ctx, &info);
}

enum emu_mode emu_mode_of(u64 cr0, u64 efer, u64 rflags, u16 cs_attr)
{
	if (!(cr0 & CR0_PE))
		return EMU_REAL;
	if (rflags & FL_VM)
		return EMU_V86;
	if ((efer & EFER_LMA) && (cs_attr & EMU_ATTR_L))
		return EMU_LONG64;
	return cs_attr & EMU_ATTR_DB ? EMU_PROT32 : EMU_PROT16;
}

/* The working state (CS, CR0, EFER, RFLAGS) may say another mode now. */
void emu_mode_changed(struct emu_ctx *ctx)
{
	ctx->mode = emu_mode_of(ctx->cr0, ctx->efer, ctx->w.rflags,
				emu_segment(ctx, EMU_CS)->attr);
}

void emu_start(struct emu_ctx *ctx, const void *bytes, unsigned int len)
{
	if (len > EMU_MAX_INSN)
		len = EMU_MAX_INSN;
	ctx->insn_len = bytes ? len : 0;
	if (ctx->insn_len)
		memcpy(ctx->insn_bytes, bytes, len);
	ctx->decoded = false;
	ctx->seg_valid = 0;
	ctx->seg_dirty = 0;
	ctx->batch_pos = 0;
	ctx->batch_end = 0;
	ctx->pending.kind = EMU_EV_NONE;
	ctx->new_cpl = ctx->cpl;
	ctx->entry_mode = ctx->mode;
	ctx->w = ctx->regs;
	emu_log_reset(ctx);
}

/* Begin a pass: what an earlier one left undone is forgotten, but for the log. */
static void begin_pass(struct emu_ctx *ctx)
{
	ctx->seg_valid &= ~ctx->seg_dirty;
	ctx->seg_dirty = 0;
	ctx->effects = 0;
	ctx->new_cpl = ctx->cpl;
	ctx->mode = ctx->entry_mode;
	ctx->w = ctx->regs;
	ctx->log_pos = 0;
}

/**
 * emu_commit() - make the working state the guest's
 * @ctx: context
 */
void emu_commit(struct emu_ctx *ctx)
{
	unsigned int seg;

	for (seg = 0; ctx->seg_dirty; seg++) {
		if (ctx->seg_dirty & (1 << seg))
			ctx->ops->set_segment(ctx, seg, &ctx->seg[seg]);
		ctx->seg_dirty &= ~(1 << seg);
	}
	if (ctx->new_cpl != ctx->cpl || ((ctx->regs.rflags ^ ctx->w.rflags) & FL_VM))
		ctx->effects |= EMU_FX_MODE;
	ctx->cpl = ctx->new_cpl;
	if (ctx->regs.rflags & FL_TF)
		ctx->effects |= EMU_FX_STEP;
	if (ctx->effects & EMU_FX_MODE)
		emu_mode_changed(ctx);
	ctx->entry_mode = ctx->mode;
	ctx->regs = ctx->w;
	ctx->effects |= EMU_FX_COMMITTED;
	emu_log_reset(ctx);
}

/* SDM, Device-Not-Available and SIMD state: what CR0 and CR4 demand. */
static int check_simd(struct emu_ctx *ctx)
{
	if (ctx->insn.prefix & EMU_PFX_VEX) {
		if (emu_real_or_v86(ctx) || !(ctx->cr4 & CR4_OSXSAVE) ||
		    !(ctx->features & EMU_FEAT_AVX))
			return emu_ud(ctx);
	} else if ((ctx->cr0 & CR0_EM) || !(ctx->cr4 & CR4_OSFXSR)) {
		return emu_ud(ctx);
	}
	if (ctx->cr0 & CR0_TS)
		return emu_raise(ctx, VEC_NM, false, 0);
	return EMU_OK;
}

static bool lock_legal(const struct emu_ctx *ctx)
{
	const struct emu_insn *insn = &ctx->insn;

	/* AMD: MOV CR0 with LOCK is MOV CR8, for use outside 64-bit mode. */
	if (ctx->vendor == EMU_AMD && insn->map == EMU_MAP_0F && (insn->opcode & 0xfd) == 0x20)
		return !emu_modrm_reg(insn);
	return (ctx->op->flags & OPF_LOCK) && ctx->insn.has_mem;
}

static bool needs_memory(const struct emu_opcode *op)
{
	return op->dst == K_M || op->src == K_M;
}

/* Whether control-flow enforcement is on in any way that @op would have to heed. */
static bool cet_active(struct emu_ctx *ctx, const struct emu_opcode *op)
{
	bool near = op->flags & OPF_NEAR;
	u64 wanted = 0, user = 0, super = 0;

	if (!(ctx->cr4 & CR4_CET) || emu_real_or_v86(ctx))
		return false;
	if (op->flags & OPF_SHSTK)
		wanted |= CET_SHSTK_EN;
	if (op->flags & OPF_IBT)
		wanted |= CET_ENDBR_EN;
	/* A far transfer may change the privilege level. When in doubt it is on. */
	if ((!near || ctx->cpl == 3) && ctx->ops->get_msr(ctx, EMU_MSR_U_CET, &user) != EMU_OK)
		return true;
	if ((!near || ctx->cpl != 3) && ctx->ops->get_msr(ctx, EMU_MSR_S_CET, &super) != EMU_OK)
		return true;
	return (user | super) & wanted;
}

/* Everything that makes the instruction illegal whatever its operands hold. */
static int check_instruction(struct emu_ctx *ctx)
{
	const struct emu_opcode *op = ctx->op;

	if (op->flags & OPF_UD)
		return emu_ud(ctx);
	if ((op->flags & OPF_NO64) && ctx->mode == EMU_LONG64)
		return emu_ud(ctx);
	if ((op->flags & OPF_PROT) && emu_real_or_v86(ctx))
		return emu_ud(ctx);
	if ((ctx->insn.prefix & EMU_PFX_LOCK) && !lock_legal(ctx))
		return emu_ud(ctx);
	if (needs_memory(op) && !ctx->insn.has_mem)
		return emu_ud(ctx);
	if (!op->exec)
		return EMU_UNHANDLED;
	/* Shadow stacks are not emulated, and a branch must not get around them. */
	if ((op->flags & (OPF_SHSTK | OPF_IBT)) && cet_active(ctx, op))
		return EMU_UNHANDLED;
	if (op->flags & OPF_SSE)
		return check_simd(ctx);
	if (op->flags & OPF_MMX && ctx->cr0 & CR0_EM)
		return emu_ud(ctx);
	if (op->flags & OPF_MMX && ctx->cr0 & CR0_TS)
		return emu_raise(ctx, VEC_NM, false, 0);
	return EMU_OK;
}

/* One pass over an instruction that is no string instruction. */
static int run_pass(struct emu_ctx *ctx)
{
	const struct emu_opcode *op = ctx->op;
	int rc;

	begin_pass(ctx);
	/* Handlers that set RF (IRET, task switch) do it after this. */
	ctx->w.rflags &= ~FL_RF;
	ctx->w.rip = ctx->insn.next_rip;
	if ((op->flags & OPF_PRIV) && ctx->cpl)
		return emu_gp(ctx, 0);
	rc = emu_load_operands(ctx);
	if (rc == EMU_OK)
		rc = op->exec(ctx);
	if (rc == EMU_OK && !(op->flags & OPF_NOWB))
		rc = emu_store(ctx, &ctx->dst);
	if (rc == EMU_OK)
		emu_commit(ctx);
	return rc;
}

/*
 * Run passes until one is not beaten by another CPU. What earlier passes logged is
 * void then: memory changed, and the locked access has to read it again. It cannot
 * have gone to user space, which answers updates as if they matched.
 */
static int run_attempts(struct emu_ctx *ctx)
{
	unsigned int i;
	int rc;

	for (i = 0; i < EMU_MAX_ATTEMPTS; i++) {
		rc = ctx->op->flags & OPF_STRING ? emu_run_string(ctx) : run_pass(ctx);
		if (rc != EMU_AGAIN)
			return rc;
		emu_log_reset(ctx);
	}
	return EMU_RETRY;
}

int emu_run(struct emu_ctx *ctx)
{
	int rc;

	ctx->tlb[0].access = 0;
	ctx->tlb[1].access = 0;
	ctx->effects = 0;
	ctx->pending.kind = EMU_EV_NONE;
	rc = emu_decode(ctx);
	if (rc == EMU_OK)
		rc = check_instruction(ctx);
	if (rc != EMU_OK)
		return rc;
	if (ctx->op->flags & OPF_STRING)
		begin_pass(ctx);
	return run_attempts(ctx);
}

int emu_task_switch(struct emu_ctx *ctx, u16 selector, enum emu_task_reason reason,
		    bool has_error, u32 error_code)
{
	unsigned int i;
	int rc;

	ctx->tlb[0].access = 0;
	ctx->tlb[1].access = 0;
	ctx->pending.kind = EMU_EV_NONE;
	for (i = 0; i < EMU_MAX_ATTEMPTS; i++) {
		begin_pass(ctx);
		rc = emu_switch_task(ctx, selector, reason, has_error, error_code);
		if (rc == EMU_OK)
			emu_commit(ctx);
		if (rc != EMU_AGAIN)
			return rc;
		emu_log_reset(ctx);
	}
	return EMU_RETRY;
}
