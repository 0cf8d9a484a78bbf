// SPDX-License-Identifier: GPL-2.0
/*
 * String instructions. Each iteration is committed by itself, so a fault or an
 * interrupt finds the registers where the architecture wants them.
 */
#include "alu.h"
#include "handlers.h"

/* What happened in an iteration of SCAS or CMPS that ends REPE or REPNE. */
static bool rep_condition_ends(const struct emu_ctx *ctx)
{
	u8 op = ctx->insn.opcode & 0xfe;
	bool zf = ctx->w.rflags & FL_ZF;

	if (op != 0xa6 && op != 0xae)
		return false;
	return ctx->insn.prefix & EMU_PFX_REP ? !zf : zf;
}

static bool has_rep(const struct emu_ctx *ctx)
{
	return ctx->insn.prefix & (EMU_PFX_REP | EMU_PFX_REPNE);
}

static unsigned int unit_size(const struct emu_ctx *ctx)
{
	unsigned int size = ctx->insn.opcode & 1 ? ctx->insn.opsize : 1;

	/* Ports are 32 bits wide at most. */
	if (ctx->insn.opcode < 0x70 && size == 8)
		return 4;
	return size;
}

static u64 pointer(const struct emu_ctx *ctx, unsigned int reg)
{
	return emu_get_reg(ctx, reg, ctx->insn.adsize);
}

/* Step an index register over @count units. */
static void advance(struct emu_ctx *ctx, unsigned int reg, u64 count)
{
	u64 step = count * unit_size(ctx);
	u64 val = pointer(ctx, reg);

	val = ctx->w.rflags & FL_DF ? val - step : val + step;
	emu_set_reg(ctx, reg, ctx->insn.adsize, val);
}

static int load_source(struct emu_ctx *ctx, u64 *val)
{
	*val = 0;
	return emu_read_mem(ctx, ctx->insn.seg, pointer(ctx, EMU_RSI), val, unit_size(ctx));
}

int emu_op_movs(struct emu_ctx *ctx)
{
	u64 val;
	int rc;

	rc = load_source(ctx, &val);
	if (rc == EMU_OK)
		rc = emu_write_mem(ctx, EMU_ES, pointer(ctx, EMU_RDI), &val, unit_size(ctx));
	if (rc != EMU_OK)
		return rc;
	advance(ctx, EMU_RSI, 1);
	advance(ctx, EMU_RDI, 1);
	return EMU_OK;
}

int emu_op_stos(struct emu_ctx *ctx)
{
	int rc = emu_write_mem(ctx, EMU_ES, pointer(ctx, EMU_RDI), &ctx->w.gpr[EMU_RAX],
			       unit_size(ctx));

	if (rc == EMU_OK)
		advance(ctx, EMU_RDI, 1);
	return rc;
}

int emu_op_lods(struct emu_ctx *ctx)
{
	u64 val;
	int rc = load_source(ctx, &val);

	if (rc != EMU_OK)
		return rc;
	emu_set_reg(ctx, EMU_RAX, unit_size(ctx), val);
	advance(ctx, EMU_RSI, 1);
	return EMU_OK;
}

int emu_op_scas(struct emu_ctx *ctx)
{
	u64 val = 0;
	int rc;

	rc = emu_read_mem(ctx, EMU_ES, pointer(ctx, EMU_RDI), &val, unit_size(ctx));
	if (rc != EMU_OK)
		return rc;
	emu_alu_sub(ctx->w.gpr[EMU_RAX], val, 0, unit_size(ctx), &ctx->w.rflags);
	advance(ctx, EMU_RDI, 1);
	return EMU_OK;
}

int emu_op_cmps(struct emu_ctx *ctx)
{
	u64 a, b = 0;
	int rc;

	rc = load_source(ctx, &a);
	if (rc == EMU_OK)
		rc = emu_read_mem(ctx, EMU_ES, pointer(ctx, EMU_RDI), &b, unit_size(ctx));
	if (rc != EMU_OK)
		return rc;
	emu_alu_sub(a, b, 0, unit_size(ctx), &ctx->w.rflags);
	advance(ctx, EMU_RSI, 1);
	advance(ctx, EMU_RDI, 1);
	return EMU_OK;
}

/* ---- INS and OUTS ---- */

/*
 * Units that one port access may cover: what REP still wants, what fits into the
 * batch and into the page that @ea is in. Going down, or without a batch: one.
 */
static unsigned int batch_units(const struct emu_ctx *ctx, u64 ea, u64 linear)
{
	unsigned int size = unit_size(ctx);
	u64 count = pointer(ctx, EMU_RCX);
	u64 wrap = (emu_mask(ctx->insn.adsize) - ea) / size + 1;
	u64 page = (4096 - (linear & 4095)) / size;

	if (!has_rep(ctx) || !ctx->batch || (ctx->regs.rflags & (FL_DF | FL_TF)))
		return 1;
	if (count > ctx->batch_size / size)
		count = ctx->batch_size / size;
	if (count > wrap)
		count = wrap;
	if (count > page)
		count = page;
	return count ? count : 1;
}

static int check_string_io(struct emu_ctx *ctx, enum emu_icpt what, enum emu_seg seg, u64 linear)
{
	u16 port = ctx->w.gpr[EMU_RDX];
	struct emu_intercept info = {
		.what = what,
		.rep = has_rep(ctx),
		.string = true,
		.size = unit_size(ctx),
		.adsize = ctx->insn.adsize,
		.gpr = 0xff,
		.seg = seg,
		.port = port,
		.count = has_rep(ctx) ? pointer(ctx, EMU_RCX) : 1,
		.value = linear,
	};
	int rc;

	rc = emu_icpt(ctx, &info);
	if (rc == EMU_OK)
		rc = emu_io_permitted(ctx, port, unit_size(ctx));
	info.checked = true;
	return rc == EMU_OK ? emu_icpt(ctx, &info) : rc;
}

/* Fill the buffer from the port. The store must not fault once data was taken from it. */
static int ins_read(struct emu_ctx *ctx)
{
	const unsigned int access = EMU_ACC_WRITE | emu_user(ctx);
	unsigned int size = unit_size(ctx);
	u64 ea = pointer(ctx, EMU_RDI);
	u64 linear;
	int rc;

	emu_linear(ctx, EMU_ES, ea, 0, access, &linear);
	rc = check_string_io(ctx, EMU_ICPT_IO_IN, EMU_ES, linear);
	if (rc == EMU_OK)
		rc = emu_linear(ctx, EMU_ES, ea, size, access, &linear);
	if (rc == EMU_OK)
		rc = emu_probe(ctx, linear, size, access);
	if (rc != EMU_OK)
		return rc;
	return emu_port_in_batch(ctx, ctx->w.gpr[EMU_RDX], size, batch_units(ctx, ea, linear));
}

/* @units of a batch are done but for the last, which counts as any iteration does. */
static void advance_batch(struct emu_ctx *ctx, unsigned int reg, unsigned int units)
{
	advance(ctx, reg, units);
	emu_set_reg(ctx, EMU_RCX, ctx->insn.adsize, pointer(ctx, EMU_RCX) - (units - 1));
}

/* Whether @len bytes from @ea on pass the segment's checks as their first unit did. */
static bool batch_reaches(struct emu_ctx *ctx, enum emu_seg seg, u64 ea, unsigned int len,
			  unsigned int access)
{
	u64 linear;

	return emu_linear(ctx, seg, ea, len, access, &linear) == EMU_OK;
}

/* Store all of a batch at once. EMU_UNHANDLED: only unit by unit. */
static int ins_store_batch(struct emu_ctx *ctx)
{
	const unsigned int access = EMU_ACC_WRITE | emu_user(ctx);
	unsigned int len = ctx->batch_end - ctx->batch_pos;
	u64 ea = pointer(ctx, EMU_RDI);
	u64 linear, gpa;
	int rc;

	/* Whoever did the access may have lowered the count meanwhile: no more than it now says. */
	if (has_rep(ctx) && len / unit_size(ctx) > pointer(ctx, EMU_RCX))
		len = pointer(ctx, EMU_RCX) * unit_size(ctx);
	if (ctx->batch_pos || len == unit_size(ctx) || !ctx->ops->write_ram ||
	    !batch_reaches(ctx, EMU_ES, ea, len, access))
		return EMU_UNHANDLED;
	emu_linear(ctx, EMU_ES, ea, 0, access, &linear);
	rc = emu_translate(ctx, linear, access, &gpa);
	if (rc == EMU_OK)
		rc = ctx->ops->write_ram(ctx, gpa, ctx->batch, len);
	if (rc != EMU_OK)
		return rc;
	advance_batch(ctx, EMU_RDI, len / unit_size(ctx));
	ctx->batch_pos = ctx->batch_end;
	return EMU_OK;
}

int emu_op_ins(struct emu_ctx *ctx)
{
	unsigned int size = unit_size(ctx);
	const u8 *data;
	int rc;

	if (ctx->batch_pos == ctx->batch_end) {
		rc = ins_read(ctx);
		if (rc != EMU_OK)
			return rc;
	}
	rc = ins_store_batch(ctx);
	if (rc != EMU_UNHANDLED)
		return rc;
	data = ctx->batch_end > size ? ctx->batch : (const u8 *)&ctx->unit;
	rc = emu_write_mem(ctx, EMU_ES, pointer(ctx, EMU_RDI), data + ctx->batch_pos, size);
	if (rc != EMU_OK)
		return rc;
	ctx->batch_pos += size;
	advance(ctx, EMU_RDI, 1);
	return EMU_OK;
}

/* Units to write at once, gathered in ctx->batch up to batch_end; 0: take one. */
static int outs_gather(struct emu_ctx *ctx, u64 ea, u64 linear)
{
	const unsigned int access = EMU_ACC_READ | emu_user(ctx);
	unsigned int len = batch_units(ctx, ea, linear) * unit_size(ctx);
	u64 gpa;
	int rc;

	/*
	 * The source is read past the log, so it must be plain memory. A pass that
	 * finds its unit read already goes on with that one.
	 */
	if (ctx->batch_end || emu_log_pending(ctx) || len == unit_size(ctx) ||
	    !ctx->ops->read_ram || !batch_reaches(ctx, ctx->insn.seg, ea, len, access))
		return EMU_OK;
	rc = emu_translate(ctx, linear, access, &gpa);
	if (rc == EMU_OK)
		rc = ctx->ops->read_ram(ctx, gpa, ctx->batch, len);
	if (rc == EMU_OK)
		ctx->batch_end = len;
	return rc == EMU_UNHANDLED ? EMU_OK : rc;
}

static int outs_batch(struct emu_ctx *ctx)
{
	unsigned int size = unit_size(ctx);
	unsigned int count = ctx->batch_end / size;
	int rc = emu_port_out_batch(ctx, ctx->w.gpr[EMU_RDX], size, count);

	if (rc != EMU_OK)
		return rc;
	advance_batch(ctx, EMU_RSI, count);
	ctx->batch_end = 0;
	return EMU_OK;
}

int emu_op_outs(struct emu_ctx *ctx)
{
	unsigned int size = unit_size(ctx);
	u64 ea = pointer(ctx, EMU_RSI);
	u64 linear, val = 0;
	int rc;

	emu_linear(ctx, ctx->insn.seg, ea, 0, EMU_ACC_READ, &linear);
	rc = check_string_io(ctx, EMU_ICPT_IO_OUT, ctx->insn.seg, linear);
	if (rc == EMU_OK)
		rc = outs_gather(ctx, ea, linear);
	if (rc != EMU_OK)
		return rc;
	if (ctx->batch_end)
		return outs_batch(ctx);
	rc = load_source(ctx, &val);
	if (rc == EMU_OK)
		rc = emu_port_out(ctx, ctx->w.gpr[EMU_RDX], size, val);
	if (rc == EMU_OK)
		advance(ctx, EMU_RSI, 1);
	return rc;
}

/* ---- the loop ---- */

/* Commit an iteration; RIP stays until the last one. */
static void commit_iteration(struct emu_ctx *ctx, bool last)
{
	if (last) {
		ctx->w.rip = ctx->insn.next_rip;
		ctx->w.rflags &= ~FL_RF;
	} else {
		ctx->effects |= EMU_FX_REP;
	}
	emu_commit(ctx);
}

/* After an iteration: is there another? */
static bool count_down(struct emu_ctx *ctx)
{
	u64 left = pointer(ctx, EMU_RCX) - 1;

	emu_set_reg(ctx, EMU_RCX, ctx->insn.adsize, left);
	return pointer(ctx, EMU_RCX) && !rep_condition_ends(ctx);
}

/**
 * emu_run_string() - run a string instruction, or a number of its iterations
 * @ctx: context at the begin of a pass
 *
 * Data that INS took from the port is stored to the last unit whatever the limit
 * on iterations says: nobody would have it afterwards.
 *
 * Return: enum emu_result or EMU_AGAIN.
 */
int emu_run_string(struct emu_ctx *ctx)
{
	bool rep = has_rep(ctx);
	unsigned int limit = ctx->regs.rflags & FL_TF ? 1 : EMU_REP_BATCH;
	unsigned int done = 0;
	bool more;
	int rc;

	if (rep && !pointer(ctx, EMU_RCX)) {
		commit_iteration(ctx, true);
		return EMU_OK;
	}
	do {
		ctx->effects = 0;
		rc = ctx->op->exec(ctx);
		if (rc != EMU_OK) {
			ctx->effects = done ? EMU_FX_COMMITTED : 0;
			return rc;
		}
		more = rep && count_down(ctx);
		commit_iteration(ctx, !more);
		done++;
	} while (more && (done < limit || ctx->batch_pos < ctx->batch_end));
	return EMU_OK;
}
