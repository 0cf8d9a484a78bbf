// SPDX-License-Identifier: GPL-2.0
/*
 * System instructions. Their effects cannot be taken back, so each comes after
 * every event of its instruction.
 */
#include "internal.h"
#include "handlers.h"

/* ---- control and debug registers ---- */

static unsigned int wide(const struct emu_ctx *ctx)
{
	return ctx->mode == EMU_LONG64 ? 8 : 4;
}

static int read_cr(struct emu_ctx *ctx, unsigned int cr, u64 *val)
{
	switch (cr) {
	case 0:
		*val = ctx->cr0;
		return EMU_OK;
	case 4:
		*val = ctx->cr4;
		return EMU_OK;
	}
	return ctx->ops->get_cr(ctx, cr, val);
}

static int icpt_cr(struct emu_ctx *ctx, enum emu_icpt what, u8 reg, u8 gpr, u64 val)
{
	struct emu_intercept info = {
		.what = what, .checked = true, .reg = reg, .gpr = gpr, .value = val,
	};

	return emu_icpt(ctx, &info);
}

/* A change of CR0 or CR4 may change the mode, and what is known of translations. */
static int write_cr(struct emu_ctx *ctx, unsigned int cr, u64 val)
{
	int rc = ctx->ops->set_cr(ctx, cr, val);

	if (rc == EMU_OK && (cr == 0 || cr == 4))
		ctx->effects |= EMU_FX_MODE;
	return rc;
}

/* The control register that ModRM names; LOCK before CR0 is AMD's way to CR8. */
static unsigned int cr_number(const struct emu_ctx *ctx)
{
	return ctx->insn.prefix & EMU_PFX_LOCK ? 8 : emu_modrm_reg(&ctx->insn);
}

static bool cr_exists(unsigned int cr)
{
	return cr == 0 || (cr >= 2 && cr <= 4) || cr == 8;
}

int emu_op_mov_from_cr(struct emu_ctx *ctx)
{
	unsigned int cr = cr_number(ctx);
	unsigned int gpr = emu_modrm_rm(&ctx->insn);
	u64 val;
	int rc;

	if (!cr_exists(cr))
		return emu_ud(ctx);
	if (ctx->cpl)
		return emu_gp(ctx, 0);
	rc = icpt_cr(ctx, EMU_ICPT_CR_READ, cr, gpr, 0);
	if (rc == EMU_OK)
		rc = read_cr(ctx, cr, &val);
	if (rc == EMU_OK)
		emu_set_reg(ctx, gpr, wide(ctx), val);
	return rc;
}

int emu_op_mov_to_cr(struct emu_ctx *ctx)
{
	unsigned int cr = cr_number(ctx);
	unsigned int gpr = emu_modrm_rm(&ctx->insn);
	u64 val = emu_get_reg(ctx, gpr, wide(ctx));
	int rc;

	if (!cr_exists(cr))
		return emu_ud(ctx);
	if (ctx->cpl)
		return emu_gp(ctx, 0);
	rc = icpt_cr(ctx, EMU_ICPT_CR_WRITE, cr, gpr, val);
	return rc == EMU_OK ? write_cr(ctx, cr, val) : rc;
}

int emu_op_clts(struct emu_ctx *ctx)
{
	int rc = emu_icpt_simple(ctx, EMU_ICPT_CLTS, true);

	return rc == EMU_OK ? write_cr(ctx, 0, ctx->cr0 & ~CR0_TS) : rc;
}

/* LMSW sets PE but never clears it. */
int emu_op_lmsw(struct emu_ctx *ctx)
{
	u64 val = ctx->dst.val & 15;
	int rc = icpt_cr(ctx, EMU_ICPT_LMSW, 0, 0xff, ctx->dst.val);

	if (rc != EMU_OK)
		return rc;
	return write_cr(ctx, 0, (ctx->cr0 & ~(u64)14) | val);
}

int emu_op_smsw(struct emu_ctx *ctx)
{
	int rc = emu_check_umip(ctx);

	if (rc == EMU_OK)
		rc = emu_icpt_simple(ctx, EMU_ICPT_SMSW, true);
	ctx->dst.val = ctx->cr0;
	return rc;
}

/* The checks that MOV to and from a debug register share; aliases are resolved. */
static int check_dr(struct emu_ctx *ctx, unsigned int *dr)
{
	u64 dr7;
	int rc;

	*dr = emu_modrm_reg(&ctx->insn);
	if (*dr > 7)
		return emu_ud(ctx);
	if (*dr == 4 || *dr == 5) {
		if (ctx->cr4 & CR4_DE)
			return emu_ud(ctx);
		*dr += 2;
	}
	if (ctx->cpl)
		return emu_gp(ctx, 0);
	rc = ctx->ops->get_dr(ctx, 7, &dr7);
	if (rc == EMU_OK && (dr7 & DR7_GD)) {
		emu_raise(ctx, VEC_DB, false, 0);
		ctx->fault.address = DR6_BD;
		return EMU_FAULT;
	}
	return rc;
}

int emu_op_mov_from_dr(struct emu_ctx *ctx)
{
	unsigned int gpr = emu_modrm_rm(&ctx->insn);
	unsigned int dr;
	u64 val;
	int rc;

	rc = check_dr(ctx, &dr);
	if (rc == EMU_OK)
		rc = icpt_cr(ctx, EMU_ICPT_DR_READ, dr, gpr, 0);
	if (rc == EMU_OK)
		rc = ctx->ops->get_dr(ctx, dr, &val);
	if (rc == EMU_OK)
		emu_set_reg(ctx, gpr, wide(ctx), val);
	return rc;
}

int emu_op_mov_to_dr(struct emu_ctx *ctx)
{
	unsigned int gpr = emu_modrm_rm(&ctx->insn);
	u64 val = emu_get_reg(ctx, gpr, wide(ctx));
	unsigned int dr;
	int rc;

	rc = check_dr(ctx, &dr);
	if (rc == EMU_OK)
		rc = icpt_cr(ctx, EMU_ICPT_DR_WRITE, dr, gpr, val);
	return rc == EMU_OK ? ctx->ops->set_dr(ctx, dr, val) : rc;
}

/* ---- MSRs, time, counters ---- */

static void set_edx_eax(struct emu_ctx *ctx, u64 val)
{
	emu_set_reg(ctx, EMU_RAX, 4, val);
	emu_set_reg(ctx, EMU_RDX, 4, val >> 32);
}

static u64 get_edx_eax(const struct emu_ctx *ctx)
{
	return emu_get_reg(ctx, EMU_RAX, 4) | emu_get_reg(ctx, EMU_RDX, 4) << 32;
}

static int icpt_msr(struct emu_ctx *ctx, enum emu_icpt what)
{
	struct emu_intercept info = {
		.what = what, .checked = true, .gpr = 0xff,
		.value = emu_get_reg(ctx, EMU_RCX, 4),
	};

	return emu_icpt(ctx, &info);
}

int emu_op_rdmsr(struct emu_ctx *ctx)
{
	u64 val;
	int rc = icpt_msr(ctx, EMU_ICPT_MSR_READ);

	if (rc == EMU_OK)
		rc = ctx->ops->get_msr(ctx, ctx->w.gpr[EMU_RCX], &val);
	if (rc == EMU_OK)
		set_edx_eax(ctx, val);
	return rc;
}

int emu_op_wrmsr(struct emu_ctx *ctx)
{
	u32 msr = ctx->w.gpr[EMU_RCX];
	int rc = icpt_msr(ctx, EMU_ICPT_MSR_WRITE);

	if (rc == EMU_OK)
		rc = ctx->ops->set_msr(ctx, msr, get_edx_eax(ctx));
	if (rc == EMU_OK && msr == EMU_MSR_EFER)
		ctx->effects |= EMU_FX_MODE;
	return rc;
}

static int read_tsc(struct emu_ctx *ctx, enum emu_icpt what)
{
	u64 val;
	int rc;

	if ((ctx->cr4 & CR4_TSD) && ctx->cpl)
		return emu_gp(ctx, 0);
	rc = emu_icpt_simple(ctx, what, true);
	if (rc == EMU_OK)
		rc = ctx->ops->get_msr(ctx, EMU_MSR_TSC, &val);
	if (rc == EMU_OK)
		set_edx_eax(ctx, val);
	return rc;
}

int emu_op_rdtsc(struct emu_ctx *ctx)
{
	return read_tsc(ctx, EMU_ICPT_RDTSC);
}

int emu_op_rdtscp(struct emu_ctx *ctx)
{
	u64 aux;
	int rc;

	if (!(ctx->features & EMU_FEAT_RDTSCP))
		return emu_ud(ctx);
	rc = read_tsc(ctx, EMU_ICPT_RDTSCP);
	if (rc == EMU_OK)
		rc = ctx->ops->get_msr(ctx, EMU_MSR_TSC_AUX, &aux);
	if (rc == EMU_OK)
		emu_set_reg(ctx, EMU_RCX, 4, aux);
	return rc;
}

int emu_op_rdpid(struct emu_ctx *ctx)
{
	u64 aux;
	int rc;

	if (!(ctx->features & EMU_FEAT_RDPID))
		return emu_ud(ctx);
	rc = ctx->ops->get_msr(ctx, EMU_MSR_TSC_AUX, &aux);
	if (rc == EMU_OK)
		emu_set_reg(ctx, emu_modrm_rm(&ctx->insn), wide(ctx), (u32)aux);
	return rc;
}

int emu_op_rdpmc(struct emu_ctx *ctx)
{
	u64 val;
	int rc;

	if (!(ctx->cr4 & CR4_PCE) && ctx->cpl)
		return emu_gp(ctx, 0);
	rc = emu_icpt_simple(ctx, EMU_ICPT_RDPMC, true);
	if (rc == EMU_OK)
		rc = ctx->ops->rdpmc(ctx, ctx->w.gpr[EMU_RCX], &val);
	if (rc == EMU_OK)
		set_edx_eax(ctx, val);
	return rc;
}

int emu_op_xsetbv(struct emu_ctx *ctx)
{
	int rc;

	if (!(ctx->cr4 & CR4_OSXSAVE))
		return emu_ud(ctx);
	if (ctx->cpl)
		return emu_gp(ctx, 0);
	rc = emu_icpt_simple(ctx, EMU_ICPT_XSETBV, true);
	if (rc != EMU_OK)
		return rc;
	return ctx->ops->set_xcr(ctx, ctx->w.gpr[EMU_RCX], get_edx_eax(ctx));
}

int emu_op_cpuid(struct emu_ctx *ctx)
{
	u32 a = ctx->w.gpr[EMU_RAX];
	u32 b = ctx->w.gpr[EMU_RBX];
	u32 c = ctx->w.gpr[EMU_RCX];
	u32 d = ctx->w.gpr[EMU_RDX];
	int rc = emu_icpt_simple(ctx, EMU_ICPT_CPUID, true);

	if (rc == EMU_OK)
		rc = ctx->ops->cpuid(ctx, &a, &b, &c, &d);
	if (rc != EMU_OK)
		return rc;
	emu_set_reg(ctx, EMU_RAX, 4, a);
	emu_set_reg(ctx, EMU_RBX, 4, b);
	emu_set_reg(ctx, EMU_RCX, 4, c);
	emu_set_reg(ctx, EMU_RDX, 4, d);
	return EMU_OK;
}

/* ---- descriptor table registers ---- */

static int icpt_table(struct emu_ctx *ctx, enum emu_icpt what)
{
	struct emu_intercept info = { .what = what, .checked = true, .gpr = 0xff };

	emu_linear(ctx, ctx->insn.seg, ctx->insn.ea, 0, EMU_ACC_READ, &info.value);
	return emu_icpt(ctx, &info);
}

static int store_table(struct emu_ctx *ctx, enum emu_table table, enum emu_icpt what)
{
	unsigned int len = ctx->mode == EMU_LONG64 ? 10 : 6;
	u8 raw[10];
	u64 base;
	u16 limit;
	int rc;

	rc = emu_check_umip(ctx);
	if (rc == EMU_OK)
		rc = icpt_table(ctx, what);
	if (rc != EMU_OK)
		return rc;
	ctx->ops->get_table(ctx, table, &base, &limit);
	memcpy(raw, &limit, 2);
	memcpy(raw + 2, &base, 8);
	return emu_write_mem(ctx, ctx->insn.seg, ctx->insn.ea, raw, len);
}

static int load_table(struct emu_ctx *ctx, enum emu_table table, enum emu_icpt what)
{
	unsigned int len = ctx->mode == EMU_LONG64 ? 10 : 6;
	u8 raw[10];
	u64 base = 0;
	u16 limit;
	int rc;

	rc = icpt_table(ctx, what);
	if (rc == EMU_OK)
		rc = emu_read_mem(ctx, ctx->insn.seg, ctx->insn.ea, raw, len);
	if (rc != EMU_OK)
		return rc;
	memcpy(&limit, raw, 2);
	memcpy(&base, raw + 2, len - 2);
	/* A 16-bit operand size loads 24 bits of the base. */
	if (ctx->insn.opsize == 2 && ctx->mode != EMU_LONG64)
		base &= 0xffffff;
	if (!emu_canonical(ctx, base))
		return emu_gp(ctx, 0);
	ctx->ops->set_table(ctx, table, base, limit);
	return EMU_OK;
}

int emu_op_sgdt(struct emu_ctx *ctx)
{
	return store_table(ctx, EMU_GDTR, EMU_ICPT_SGDT);
}

int emu_op_sidt(struct emu_ctx *ctx)
{
	return store_table(ctx, EMU_IDTR, EMU_ICPT_SIDT);
}

int emu_op_lgdt(struct emu_ctx *ctx)
{
	return load_table(ctx, EMU_GDTR, EMU_ICPT_LGDT);
}

int emu_op_lidt(struct emu_ctx *ctx)
{
	return load_table(ctx, EMU_IDTR, EMU_ICPT_LIDT);
}

/* ---- FS and GS base ---- */

static int check_fsgsbase(struct emu_ctx *ctx)
{
	if (!(ctx->features & EMU_FEAT_FSGSBASE) || ctx->mode != EMU_LONG64 ||
	    !(ctx->cr4 & CR4_FSGSBASE))
		return emu_ud(ctx);
	return EMU_OK;
}

/* ModRM.reg: 0 and 2 name FS, 1 and 3 GS. */
static enum emu_seg fsgs(const struct emu_ctx *ctx)
{
	return ctx->insn.modrm & 8 ? EMU_GS : EMU_FS;
}

int emu_op_rdfsgsbase(struct emu_ctx *ctx)
{
	int rc = check_fsgsbase(ctx);

	if (rc == EMU_OK)
		ctx->dst.val = emu_segment(ctx, fsgs(ctx))->base;
	return rc;
}

int emu_op_wrfsgsbase(struct emu_ctx *ctx)
{
	struct emu_segment s;
	int rc = check_fsgsbase(ctx);

	if (rc != EMU_OK)
		return rc;
	if (!emu_canonical(ctx, ctx->dst.val))
		return emu_gp(ctx, 0);
	s = *emu_segment(ctx, fsgs(ctx));
	s.base = ctx->dst.val;
	emu_set_segment(ctx, fsgs(ctx), &s);
	return EMU_OK;
}

int emu_op_swapgs(struct emu_ctx *ctx)
{
	struct emu_segment s = *emu_segment(ctx, EMU_GS);
	u64 base;
	int rc;

	if (ctx->mode != EMU_LONG64)
		return emu_ud(ctx);
	if (ctx->cpl)
		return emu_gp(ctx, 0);
	rc = ctx->ops->get_msr(ctx, EMU_MSR_KERNEL_GS_BASE, &base);
	if (rc == EMU_OK)
		rc = ctx->ops->set_msr(ctx, EMU_MSR_KERNEL_GS_BASE, s.base);
	if (rc != EMU_OK)
		return rc;
	s.base = base;
	emu_set_segment(ctx, EMU_GS, &s);
	return EMU_OK;
}

/* ---- caches, TLB, halting ---- */

int emu_op_invlpg(struct emu_ctx *ctx)
{
	struct emu_intercept info = { .what = EMU_ICPT_INVLPG, .checked = true, .gpr = 0xff };
	u64 linear;
	int rc;

	emu_linear(ctx, ctx->insn.seg, ctx->insn.ea, 0, EMU_ACC_READ, &linear);
	info.value = linear;
	rc = emu_icpt(ctx, &info);
	if (rc != EMU_OK)
		return rc;
	/* A non-canonical address is a no-op. */
	return emu_canonical(ctx, linear) ? ctx->ops->invlpg(ctx, linear) : EMU_OK;
}

int emu_op_wbinvd(struct emu_ctx *ctx)
{
	bool invd = ctx->insn.opcode == 0x08;
	int rc = emu_icpt_simple(ctx, invd ? EMU_ICPT_INVD : EMU_ICPT_WBINVD, true);

	return rc == EMU_OK ? ctx->ops->wbinvd(ctx) : rc;
}

/* CLFLUSH and kin are loads as far as protection goes; MMIO is not read for them. */
static int flush_line(struct emu_ctx *ctx)
{
	const unsigned int access = EMU_ACC_READ | emu_user(ctx);
	u64 linear;
	int rc;

	rc = emu_linear(ctx, ctx->insn.seg, ctx->insn.ea, 1, access, &linear);
	return rc == EMU_OK ? emu_probe(ctx, linear, 1, access) : rc;
}

int emu_op_clflush(struct emu_ctx *ctx)
{
	return flush_line(ctx);
}

int emu_op_clflushopt(struct emu_ctx *ctx)
{
	return ctx->features & EMU_FEAT_CLFLUSHOPT ? flush_line(ctx) : emu_ud(ctx);
}

int emu_op_clwb(struct emu_ctx *ctx)
{
	return ctx->features & EMU_FEAT_CLWB ? flush_line(ctx) : emu_ud(ctx);
}

/* With REX.B it is XCHG, and the prefix means nothing. */
int emu_op_pause(struct emu_ctx *ctx)
{
	if (ctx->insn.rex & 1)
		return emu_op_xchg(ctx);
	ctx->dst.type = OPND_NONE;
	return emu_icpt_simple(ctx, EMU_ICPT_PAUSE, true);
}

int emu_op_hlt(struct emu_ctx *ctx)
{
	int rc = emu_icpt_simple(ctx, EMU_ICPT_HLT, true);

	ctx->effects |= EMU_FX_HLT;
	return rc;
}
