// SPDX-License-Identifier: GPL-2.0
/*
 * The task-state segment: inner stacks and hardware task switches. SDM, Task
 * Management.
 */
#include "internal.h"

#define SYSTEM_READ	(EMU_ACC_READ | EMU_ACC_IMPLICIT)
#define SYSTEM_WRITE	(EMU_ACC_WRITE | EMU_ACC_IMPLICIT)

/* Order of the segment selectors in a TSS. */
static const u8 tss_segs[] = { EMU_ES, EMU_CS, EMU_SS, EMU_DS, EMU_FS, EMU_GS };

/* Layout of a TSS as offsets; @size: bytes of a register. */
struct tss_layout {
	u8 size;
	u8 cr3;		/* 0: none */
	u8 eip;
	u8 eflags;
	u8 gpr;
	u8 seg;
	u8 nr_seg;
	u8 ldt;
	u8 trap;	/* 0: none */
	u8 bytes;
};

static const struct tss_layout layout16 = {
	.size = 2, .eip = 14, .eflags = 16, .gpr = 18, .seg = 34, .nr_seg = 4, .ldt = 42,
	.bytes = 44,
};

static const struct tss_layout layout32 = {
	.size = 4, .cr3 = 28, .eip = 32, .eflags = 36, .gpr = 40, .seg = 72, .nr_seg = 6,
	.ldt = 96, .trap = 100, .bytes = 104,
};

static u64 get_field(const u8 *tss, unsigned int off, unsigned int size)
{
	u64 val = 0;

	memcpy(&val, tss + off, size);
	return val;
}

static void put_field(u8 *tss, unsigned int off, unsigned int size, u64 val)
{
	memcpy(tss + off, &val, size);
}

/**
 * emu_tss_stack() - stack of an inner privilege level
 * @ctx: context, protected mode
 * @dpl: privilege level 0 to 2
 * @ss: its stack segment; null in long mode
 * @rsp: its stack pointer
 *
 * Return: enum emu_result.
 */
int emu_tss_stack(struct emu_ctx *ctx, unsigned int dpl, u16 *ss, u64 *rsp)
{
	const struct emu_segment *tr = emu_segment(ctx, EMU_TR);
	bool is32 = tr->attr & 8;
	bool is64 = ctx->efer & EFER_LMA;
	unsigned int size = is64 ? 8 : is32 ? 4 : 2;
	unsigned int off = is64 ? 4 + dpl * 8 : is32 ? 4 + dpl * 8 : 2 + dpl * 4;
	unsigned int len = is64 ? 8 : size + 2;
	u8 raw[8];
	int rc;

	if (off + len - 1 > tr->limit)
		return emu_raise_sel(ctx, VEC_TS, tr->selector);
	rc = emu_read_linear(ctx, tr->base + off, raw, len, SYSTEM_READ);
	if (rc != EMU_OK)
		return rc;
	*rsp = get_field(raw, 0, size);
	*ss = is64 ? dpl : get_field(raw, size, 2);
	if (is64 && !emu_canonical(ctx, *rsp))
		return emu_raise(ctx, VEC_SS, true, 0);
	return EMU_OK;
}

/* ---- task switch ---- */

static const struct tss_layout *layout_of(unsigned int type)
{
	return type & 8 ? &layout32 : &layout16;
}

/* Read and check the descriptor of the new TSS. */
static int new_tss(struct emu_ctx *ctx, u16 selector, enum emu_task_reason reason,
		   struct emu_desc *d, struct emu_segment *s)
{
	u8 vector = reason == EMU_TASK_IRET ? VEC_TS : VEC_GP;
	bool busy;
	int rc;

	if ((selector & 4) || !(selector & ~3))
		return emu_raise_sel(ctx, vector, selector);
	rc = emu_read_desc(ctx, selector, vector, d);
	if (rc != EMU_OK)
		return rc;
	if (DESC_S(d) || (DESC_TYPE(d) & ~(SYS_TSS32_BUSY & ~SYS_TSS16)) != SYS_TSS16)
		return emu_raise_sel(ctx, vector, selector);
	busy = DESC_TYPE(d) & 2;
	if (busy != (reason == EMU_TASK_IRET))
		return emu_raise_sel(ctx, vector, selector);
	if (!DESC_P(d))
		return emu_raise_sel(ctx, VEC_NP, selector);
	emu_desc_to_segment(d, selector, s);
	if (s->limit < layout_of(DESC_TYPE(d))->bytes - 1u)
		return emu_raise_sel(ctx, VEC_TS, selector);
	return EMU_OK;
}

/* Store the dynamic fields: EIP up to the last segment selector. */
static int save_task(struct emu_ctx *ctx, u64 flags)
{
	const struct emu_segment *tr = emu_segment(ctx, EMU_TR);
	const struct tss_layout *l = layout_of(tr->attr);
	unsigned int first = l->eip;
	unsigned int i;
	u8 tss[104] = { 0 };

	put_field(tss, l->eip, l->size, ctx->w.rip);
	put_field(tss, l->eflags, l->size, flags);
	for (i = 0; i < 8; i++)
		put_field(tss, l->gpr + i * l->size, l->size, ctx->w.gpr[i]);
	for (i = 0; i < l->nr_seg; i++)
		put_field(tss, l->seg + i * l->size, 2, emu_segment(ctx, tss_segs[i])->selector);
	return emu_write_linear(ctx, tr->base + first, tss + first, l->ldt - first, SYSTEM_WRITE);
}

/* The old TSS stops being busy unless the new task is nested in it. */
static int release_old_tss(struct emu_ctx *ctx)
{
	struct emu_desc d;
	int rc;

	rc = emu_read_desc(ctx, emu_segment(ctx, EMU_TR)->selector, VEC_GP, &d);
	return rc == EMU_OK ? emu_touch_desc(ctx, &d, 0, 2) : rc;
}

/* General registers, RIP and flags of the new task. */
static void load_registers(struct emu_ctx *ctx, const struct tss_layout *l, const u8 *tss,
			   bool nested)
{
	u64 flags = get_field(tss, l->eflags, l->size);
	unsigned int i;

	for (i = 0; i < 8; i++)
		ctx->w.gpr[i] = get_field(tss, l->gpr + i * l->size, l->size);
	ctx->w.rip = get_field(tss, l->eip, l->size);
	ctx->w.rflags = (flags & (FL_STATUS | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF |
				  FL_VM | FL_AC | FL_VIF | FL_VIP | FL_ID)) | FL_FIXED;
	if (nested)
		ctx->w.rflags |= FL_NT;
}

/* The visible parts come first: what faults while loading a descriptor finds them. */
static void load_selectors(struct emu_ctx *ctx, const struct tss_layout *l, const u8 *tss)
{
	unsigned int i;

	for (i = 0; i < l->nr_seg; i++)
		emu_null_segment(ctx, tss_segs[i], get_field(tss, l->seg + i * l->size, 2));
	for (; i < 6; i++)
		emu_null_segment(ctx, tss_segs[i], 0);
	emu_null_segment(ctx, EMU_LDTR, get_field(tss, l->ldt, 2));
}

static int load_task_cs(struct emu_ctx *ctx, u16 selector)
{
	struct emu_segment s;
	struct emu_desc d;
	unsigned int dpl;
	bool conforming;
	int rc;

	if (!(selector & ~3))
		return emu_raise_sel(ctx, VEC_TS, selector);
	rc = emu_read_desc(ctx, selector, VEC_TS, &d);
	if (rc != EMU_OK)
		return rc;
	dpl = DESC_DPL(&d);
	conforming = DESC_TYPE(&d) & TYPE_DC;
	if (!DESC_S(&d) || !(DESC_TYPE(&d) & TYPE_CODE) ||
	    (conforming ? dpl > (selector & 3u) : dpl != (selector & 3u)))
		return emu_raise_sel(ctx, VEC_TS, selector);
	if (!DESC_P(&d))
		return emu_raise_sel(ctx, VEC_NP, selector);
	rc = emu_touch_desc(ctx, &d, TYPE_ACCESSED, 0);
	if (rc != EMU_OK)
		return rc;
	emu_desc_to_segment(&d, selector, &s);
	emu_set_segment(ctx, EMU_CS, &s);
	return EMU_OK;
}

/* Hidden parts of the segment registers of the new task. */
static int load_segments(struct emu_ctx *ctx)
{
	static const u8 data[] = { EMU_ES, EMU_DS, EMU_FS, EMU_GS };
	u8 cpl = ctx->new_cpl;
	unsigned int i;
	int rc;

	rc = emu_load_ldtr(ctx, ctx->seg[EMU_LDTR].selector, VEC_TS);
	if (rc != EMU_OK)
		return rc;
	if (ctx->w.rflags & FL_VM) {
		for (i = 0; i < 6; i++)
			emu_load_segment_real(ctx, tss_segs[i], ctx->seg[tss_segs[i]].selector);
		return EMU_OK;
	}
	rc = load_task_cs(ctx, ctx->seg[EMU_CS].selector);
	if (rc == EMU_OK)
		rc = emu_load_segment_as(ctx, EMU_SS, ctx->seg[EMU_SS].selector, cpl, VEC_TS);
	for (i = 0; rc == EMU_OK && i < 4; i++)
		rc = emu_load_segment_as(ctx, data[i], ctx->seg[data[i]].selector, cpl, VEC_TS);
	return rc;
}

/* What is done in the context of the new task, so that its faults are that task's. */
static int enter_task(struct emu_ctx *ctx, const struct tss_layout *l, bool has_error,
		      u32 error_code)
{
	int rc = load_segments(ctx);

	if (rc != EMU_OK)
		return rc;
	emu_mode_changed(ctx);
	if (has_error)
		rc = emu_push(ctx, error_code, l->size);
	if (rc == EMU_OK && ctx->w.rip > emu_segment(ctx, EMU_CS)->limit)
		rc = emu_gp(ctx, 0);
	return rc;
}

/* Mark the new TSS busy, link it, make it current. */
static int take_tss(struct emu_ctx *ctx, struct emu_desc *d, struct emu_segment *s,
		    enum emu_task_reason reason)
{
	u16 old = emu_segment(ctx, EMU_TR)->selector;
	bool nested = reason == EMU_TASK_CALL || reason == EMU_TASK_GATE;
	int rc = EMU_OK;

	if (!nested)
		rc = release_old_tss(ctx);
	else
		rc = emu_write_linear(ctx, s->base, &old, 2, SYSTEM_WRITE);
	if (rc == EMU_OK && reason != EMU_TASK_IRET)
		rc = emu_touch_desc(ctx, d, 2, 0);
	if (rc != EMU_OK)
		return rc;
	s->attr |= 2;
	emu_set_segment(ctx, EMU_TR, s);
	return EMU_OK;
}

/* Page tables first: what follows is read through the new ones. */
static int load_control(struct emu_ctx *ctx, const struct tss_layout *l, const u8 *tss)
{
	int rc = EMU_OK;

	if (l->cr3 && (ctx->cr0 & CR0_PG))
		rc = ctx->ops->set_cr(ctx, 3, get_field(tss, l->cr3, 4));
	ctx->tlb[0].access = 0;
	ctx->tlb[1].access = 0;
	if (rc == EMU_OK && !(ctx->cr0 & CR0_TS))
		rc = ctx->ops->set_cr(ctx, 0, ctx->cr0 | CR0_TS);
	return rc;
}

/**
 * emu_switch_task() - switch tasks within a pass
 * @ctx: context; w.rip is the RIP to be saved
 * @selector: selector of the new TSS
 * @reason: what caused it
 * @has_error: push an error code
 * @error_code: error code
 *
 * Once the old state is saved and the new registers are loaded the switch has
 * happened: a fault from there on finds the new task committed, and a descriptor
 * that another CPU changes under our hands is read again, but not the whole switch:
 * the new TSS is busy now.
 *
 * Return: enum emu_result or EMU_AGAIN.
 */
int emu_switch_task(struct emu_ctx *ctx, u16 selector, enum emu_task_reason reason,
		    bool has_error, u32 error_code)
{
	bool nested = reason == EMU_TASK_CALL || reason == EMU_TASK_GATE;
	u64 flags = ctx->w.rflags & ~(reason == EMU_TASK_IRET ? FL_NT : 0);
	const struct tss_layout *l;
	struct emu_segment s;
	struct emu_desc d;
	unsigned int i;
	u8 tss[104];
	int rc;

	rc = new_tss(ctx, selector, reason, &d, &s);
	if (rc != EMU_OK)
		return rc;
	l = layout_of(DESC_TYPE(&d));
	rc = emu_read_linear(ctx, s.base, tss, l->bytes, SYSTEM_READ);
	if (rc == EMU_OK)
		rc = save_task(ctx, flags);
	if (rc == EMU_OK)
		rc = take_tss(ctx, &d, &s, reason);
	if (rc == EMU_OK)
		rc = load_control(ctx, l, tss);
	if (rc != EMU_OK)
		return rc;
	load_registers(ctx, l, tss, nested);
	ctx->new_cpl = ctx->w.rflags & FL_VM ? 3 : get_field(tss, l->seg + l->size, 1) & 3;
	load_selectors(ctx, l, tss);
	ctx->effects |= EMU_FX_MODE;
	if (l->trap && (tss[l->trap] & 1))
		ctx->effects |= EMU_FX_TASK_TRAP;
	for (i = 0; i < EMU_MAX_ATTEMPTS; i++) {
		rc = enter_task(ctx, l, has_error, error_code);
		if (rc != EMU_AGAIN)
			break;
		emu_log_reset(ctx);
	}
	if (rc == EMU_FAULT)
		emu_commit(ctx);
	return rc == EMU_AGAIN ? EMU_UNHANDLED : rc;
}
