// SPDX-License-Identifier: GPL-2.0
/*
 * Far transfers: JMP, CALL, RET, IRET, INT n.
 */
#include "internal.h"
#include "handlers.h"

static bool long_active(const struct emu_ctx *ctx)
{
	return ctx->efer & EFER_LMA;
}

static bool is_code(const struct emu_desc *d)
{
	return DESC_S(d) && (DESC_TYPE(d) & TYPE_CODE);
}

static bool conforming(const struct emu_desc *d)
{
	return DESC_TYPE(d) & TYPE_DC;
}

/* In long mode L and D exclude each other. */
static bool bad_size_bits(const struct emu_ctx *ctx, const struct emu_desc *d)
{
	return long_active(ctx) && DESC_L(d) && DESC_DB(d);
}

/* Offsets outside the new code segment raise #GP(0). */
static int check_offset(struct emu_ctx *ctx, const struct emu_desc *d, u64 off)
{
	struct emu_segment s;

	if (long_active(ctx) && DESC_L(d))
		return emu_canonical(ctx, off) ? EMU_OK : emu_gp(ctx, 0);
	emu_desc_to_segment(d, 0, &s);
	return off > s.limit ? emu_gp(ctx, 0) : EMU_OK;
}

/* Load CS at privilege @cpl and jump. The descriptor passed the checks for its use. */
static int enter_code(struct emu_ctx *ctx, struct emu_desc *d, u16 selector, u64 off, u8 cpl)
{
	struct emu_segment s;
	int rc;

	rc = check_offset(ctx, d, off);
	if (rc == EMU_OK)
		rc = emu_touch_desc(ctx, d, TYPE_ACCESSED, 0);
	if (rc != EMU_OK)
		return rc;
	emu_desc_to_segment(d, (selector & ~3) | cpl, &s);
	emu_set_segment(ctx, EMU_CS, &s);
	ctx->w.rip = off;
	ctx->new_cpl = cpl;
	return EMU_OK;
}

static int enter_code_real(struct emu_ctx *ctx, u16 selector, u64 off)
{
	if (off > emu_segment(ctx, EMU_CS)->limit)
		return emu_gp(ctx, 0);
	emu_load_segment_real(ctx, EMU_CS, selector);
	ctx->w.rip = off;
	return EMU_OK;
}

/* CS and RIP as they are now, for the return. */
static int push_far_return(struct emu_ctx *ctx, u16 cs, unsigned int size)
{
	int rc = emu_push(ctx, cs, size);

	return rc == EMU_OK ? emu_push(ctx, ctx->insn.next_rip, size) : rc;
}

/* ---- JMP and CALL ---- */

/* SDM, Accessing a Code Segment Through... : direct, so the privilege level stays. */
static int direct_transfer(struct emu_ctx *ctx, struct emu_desc *d, u16 selector, u64 off,
			   bool call)
{
	u16 cs = emu_segment(ctx, EMU_CS)->selector;
	unsigned int dpl = DESC_DPL(d);
	int rc;

	if (conforming(d) ? dpl > ctx->cpl : dpl != ctx->cpl || (selector & 3) > ctx->cpl)
		return emu_raise_sel(ctx, VEC_GP, selector);
	if (bad_size_bits(ctx, d))
		return emu_raise_sel(ctx, VEC_GP, selector);
	if (!DESC_P(d))
		return emu_raise_sel(ctx, VEC_NP, selector);
	rc = call ? push_far_return(ctx, cs, ctx->insn.opsize) : EMU_OK;
	return rc == EMU_OK ? enter_code(ctx, d, selector, off, ctx->cpl) : rc;
}

/* Copy the parameters of a call gate from the old stack to the new one. */
static int copy_parameters(struct emu_ctx *ctx, const struct emu_segment *old_ss, u64 old_sp,
			   unsigned int count, unsigned int size)
{
	u64 mask = emu_mask(old_ss->attr & EMU_ATTR_DB ? 4 : 2);
	struct emu_segment new_ss = *emu_segment(ctx, EMU_SS);
	u8 new_cpl = ctx->new_cpl;
	u64 val;
	int rc;

	while (count--) {
		val = 0;
		ctx->seg[EMU_SS] = *old_ss;
		ctx->new_cpl = ctx->cpl;
		rc = emu_read_mem(ctx, EMU_SS, (old_sp + count * size) & mask, &val, size);
		ctx->seg[EMU_SS] = new_ss;
		ctx->new_cpl = new_cpl;
		if (rc == EMU_OK)
			rc = emu_push(ctx, val, size);
		if (rc != EMU_OK)
			return rc;
	}
	return EMU_OK;
}

/* Change to the stack that the TSS names for @cpl. */
static int switch_stack(struct emu_ctx *ctx, u8 cpl)
{
	struct emu_segment s;
	u16 ss;
	u64 rsp;
	int rc;

	rc = emu_tss_stack(ctx, cpl, &ss, &rsp);
	if (rc != EMU_OK)
		return rc;
	if (!long_active(ctx)) {
		rc = emu_load_ss(ctx, ss, cpl, VEC_TS, &s);
		if (rc != EMU_OK)
			return rc;
		emu_set_segment(ctx, EMU_SS, &s);
		ctx->new_cpl = cpl;
	} else {
		ctx->new_cpl = cpl;
		emu_null_segment(ctx, EMU_SS, cpl);
	}
	ctx->w.gpr[EMU_RSP] = rsp;
	return EMU_OK;
}

struct call_gate {
	u16 selector;		/* code segment */
	u64 off;
	unsigned int size;	/* bytes pushed per value */
	unsigned int params;
};

static int gate_call_inner(struct emu_ctx *ctx, const struct call_gate *gate,
			   struct emu_desc *code)
{
	struct emu_segment old_ss = *emu_segment(ctx, EMU_SS);
	u16 cs = emu_segment(ctx, EMU_CS)->selector;
	u64 old_sp = emu_get_reg(ctx, EMU_RSP, emu_stack_size(ctx));
	u8 mode = ctx->mode;
	int rc;

	rc = switch_stack(ctx, DESC_DPL(code));
	if (rc != EMU_OK)
		return rc;
	/* A 64-bit gate pushes as 64-bit mode does, from compatibility mode too. */
	if (gate->size == 8)
		ctx->mode = EMU_LONG64;
	rc = emu_push(ctx, old_ss.selector, gate->size);
	if (rc == EMU_OK)
		rc = emu_push(ctx, old_sp, gate->size);
	if (rc == EMU_OK)
		rc = copy_parameters(ctx, &old_ss, old_sp, gate->params, gate->size);
	if (rc == EMU_OK)
		rc = push_far_return(ctx, cs, gate->size);
	ctx->mode = mode;
	if (rc != EMU_OK)
		return rc;
	return enter_code(ctx, code, gate->selector, gate->off, DESC_DPL(code));
}

static int gate_same_level(struct emu_ctx *ctx, const struct call_gate *gate,
			   struct emu_desc *code, bool call)
{
	u16 cs = emu_segment(ctx, EMU_CS)->selector;
	u8 mode = ctx->mode;
	int rc = EMU_OK;

	if (gate->size == 8)
		ctx->mode = EMU_LONG64;
	if (call)
		rc = push_far_return(ctx, cs, gate->size);
	ctx->mode = mode;
	return rc == EMU_OK ? enter_code(ctx, code, gate->selector, gate->off, ctx->cpl) : rc;
}

static void parse_gate(const struct emu_ctx *ctx, const struct emu_desc *d,
		       struct call_gate *gate)
{
	gate->selector = d->low >> 16;
	gate->params = (d->low >> 32) & 31;
	gate->off = (d->low & 0xffff) | ((d->low >> 32) & 0xffff0000);
	gate->size = 4;
	if (long_active(ctx)) {
		gate->off |= d->high << 32;
		gate->size = 8;
		gate->params = 0;
	} else if (DESC_TYPE(d) == SYS_CALL16) {
		gate->off &= 0xffff;
		gate->size = 2;
	}
}

/* SDM, Accessing a Code Segment Through a Call Gate. */
static int gate_transfer(struct emu_ctx *ctx, struct emu_desc *d, u16 selector, bool call)
{
	struct call_gate gate;
	struct emu_desc code;
	unsigned int dpl;
	int rc;

	if (DESC_DPL(d) < ctx->cpl || DESC_DPL(d) < (selector & 3))
		return emu_raise_sel(ctx, VEC_GP, selector);
	if (!DESC_P(d))
		return emu_raise_sel(ctx, VEC_NP, selector);
	if (long_active(ctx)) {
		rc = emu_read_desc_high(ctx, selector, VEC_GP, d);
		if (rc != EMU_OK)
			return rc;
	}
	parse_gate(ctx, d, &gate);
	if (!(gate.selector & ~3))
		return emu_gp(ctx, 0);
	rc = emu_read_desc(ctx, gate.selector, VEC_GP, &code);
	if (rc != EMU_OK)
		return rc;
	dpl = DESC_DPL(&code);
	if (!is_code(&code) || dpl > ctx->cpl || bad_size_bits(ctx, &code) ||
	    (long_active(ctx) && !DESC_L(&code)) ||
	    (!call && !conforming(&code) && dpl != ctx->cpl))
		return emu_raise_sel(ctx, VEC_GP, gate.selector);
	if (!DESC_P(&code))
		return emu_raise_sel(ctx, VEC_NP, gate.selector);
	if (call && !conforming(&code) && dpl < ctx->cpl)
		return gate_call_inner(ctx, &gate, &code);
	return gate_same_level(ctx, &gate, &code, call);
}

/* A TSS, directly or by a task gate. */
static int task_transfer(struct emu_ctx *ctx, struct emu_desc *d, u16 selector, bool call)
{
	u16 tss = selector;

	if (DESC_DPL(d) < ctx->cpl || DESC_DPL(d) < (selector & 3))
		return emu_raise_sel(ctx, VEC_GP, selector);
	if (DESC_TYPE(d) == SYS_TASK_GATE) {
		if (!DESC_P(d))
			return emu_raise_sel(ctx, VEC_NP, selector);
		tss = d->low >> 16;
	}
	return emu_switch_task(ctx, tss, call ? EMU_TASK_CALL : EMU_TASK_JMP, false, 0);
}

static int system_transfer(struct emu_ctx *ctx, struct emu_desc *d, u16 selector, bool call)
{
	switch (DESC_TYPE(d)) {
	case SYS_CALL32:
		return gate_transfer(ctx, d, selector, call);
	case SYS_CALL16:
		if (long_active(ctx))
			break;
		return gate_transfer(ctx, d, selector, call);
	case SYS_TASK_GATE:
	case SYS_TSS16:
	case SYS_TSS32:
		if (long_active(ctx))
			break;
		return task_transfer(ctx, d, selector, call);
	}
	return emu_raise_sel(ctx, VEC_GP, selector);
}

static int far_transfer(struct emu_ctx *ctx, u16 selector, u64 off, bool call)
{
	u16 cs = emu_segment(ctx, EMU_CS)->selector;
	struct emu_desc d;
	int rc;

	if (emu_real_or_v86(ctx)) {
		rc = call ? push_far_return(ctx, cs, ctx->insn.opsize) : EMU_OK;
		return rc == EMU_OK ? enter_code_real(ctx, selector, off) : rc;
	}
	if (!(selector & ~3))
		return emu_gp(ctx, 0);
	rc = emu_read_desc(ctx, selector, VEC_GP, &d);
	if (rc != EMU_OK)
		return rc;
	if (!DESC_S(&d))
		return system_transfer(ctx, &d, selector, call);
	if (!is_code(&d))
		return emu_raise_sel(ctx, VEC_GP, selector);
	return direct_transfer(ctx, &d, selector, off, call);
}

/* JMP and CALL with the pointer in the instruction. */
int emu_op_far_imm(struct emu_ctx *ctx)
{
	return far_transfer(ctx, ctx->insn.imm2, ctx->insn.imm, ctx->insn.opcode == 0x9a);
}

/*
 * JMP and CALL with the pointer in memory. AMD has no 64-bit offsets there and
 * ignores REX.W.
 */
int emu_op_far_mem(struct emu_ctx *ctx)
{
	bool call = ((ctx->insn.modrm >> 3) & 7) == 3;
	u8 raw[10];
	u16 selector;
	u64 off = 0;
	int rc;

	if (ctx->vendor == EMU_AMD && ctx->insn.opsize == 8)
		ctx->insn.opsize = 4;
	rc = emu_read_mem(ctx, ctx->insn.seg, ctx->insn.ea, raw, ctx->insn.opsize + 2);
	if (rc != EMU_OK)
		return rc;
	memcpy(&off, raw, ctx->insn.opsize);
	memcpy(&selector, raw + ctx->insn.opsize, 2);
	return far_transfer(ctx, selector, off, call);
}

/* ---- RET and IRET ---- */

static void add_rsp(struct emu_ctx *ctx, u64 bytes)
{
	emu_set_reg(ctx, EMU_RSP, emu_stack_size(ctx), ctx->w.gpr[EMU_RSP] + bytes);
}

/* Data segments that the outer level may not use become null. */
static void drop_inner_segments(struct emu_ctx *ctx)
{
	static const u8 segs[] = { EMU_ES, EMU_DS, EMU_FS, EMU_GS };
	const struct emu_segment *s;
	unsigned int i, dpl;

	for (i = 0; i < sizeof(segs); i++) {
		s = emu_segment(ctx, segs[i]);
		dpl = (s->attr & EMU_ATTR_DPL) >> EMU_ATTR_DPL_SHIFT;
		if (dpl >= ctx->new_cpl)
			continue;
		if ((s->attr & (TYPE_CODE | TYPE_DC)) == (TYPE_CODE | TYPE_DC))
			continue;
		if (s->attr & EMU_ATTR_P)
			emu_null_segment(ctx, segs[i], 0);
	}
}

/* Read and check the code segment of a return. */
static int return_code(struct emu_ctx *ctx, u16 cs, struct emu_desc *d)
{
	unsigned int rpl = cs & 3;
	int rc;

	if (!(cs & ~3))
		return emu_gp(ctx, 0);
	rc = emu_read_desc(ctx, cs, VEC_GP, d);
	if (rc != EMU_OK)
		return rc;
	if (rpl < ctx->cpl || !is_code(d) || bad_size_bits(ctx, d) ||
	    (conforming(d) ? DESC_DPL(d) > rpl : DESC_DPL(d) != rpl))
		return emu_raise_sel(ctx, VEC_GP, cs);
	if (!DESC_P(d))
		return emu_raise_sel(ctx, VEC_NP, cs);
	return EMU_OK;
}

/* Pop RSP and SS from the old stack, with everything of the old privilege level. */
static int pop_outer_stack(struct emu_ctx *ctx, const struct emu_desc *code, u8 cpl,
			   unsigned int size, u64 *rsp, struct emu_segment *s)
{
	bool to_64 = long_active(ctx) && DESC_L(code);
	u64 ss;
	int rc;

	rc = emu_pop(ctx, rsp, size);
	if (rc == EMU_OK)
		rc = emu_pop(ctx, &ss, size);
	if (rc != EMU_OK)
		return rc;
	if (!(ss & 0xfffc) && to_64 && cpl != 3 && (ss & 3) == cpl) {
		memset(s, 0, sizeof(*s));
		s->selector = ss;
		s->attr = cpl << EMU_ATTR_DPL_SHIFT;
		return EMU_OK;
	}
	return emu_load_ss(ctx, ss, cpl, VEC_GP, s);
}

/* Bytes of RSP that a return to @code with stack segment @ss sets. */
static unsigned int outer_stack_size(struct emu_ctx *ctx, const struct emu_desc *code,
				     const struct emu_segment *ss)
{
	if (long_active(ctx) && DESC_L(code))
		return 8;
	return ss->attr & EMU_ATTR_DB ? 4 : 2;
}

/* Return with a change of stack. @release: bytes that RET n drops on both stacks */
static int return_outer(struct emu_ctx *ctx, struct emu_desc *d, u16 cs, u64 rip,
			unsigned int size, u64 release)
{
	struct emu_segment ss;
	unsigned int width;
	u64 rsp;
	int rc;

	rc = pop_outer_stack(ctx, d, cs & 3, size, &rsp, &ss);
	if (rc == EMU_OK)
		rc = enter_code(ctx, d, cs, rip, cs & 3);
	if (rc != EMU_OK)
		return rc;
	emu_set_segment(ctx, EMU_SS, &ss);
	width = outer_stack_size(ctx, d, &ss);
	emu_set_reg(ctx, EMU_RSP, width, rsp + release);
	drop_inner_segments(ctx);
	return EMU_OK;
}

int emu_op_ret_far(struct emu_ctx *ctx)
{
	unsigned int size = ctx->insn.opsize;
	u64 release = ctx->insn.imm & 0xffff;
	struct emu_desc d;
	u64 rip, cs;
	int rc;

	rc = emu_pop(ctx, &rip, size);
	if (rc == EMU_OK)
		rc = emu_pop(ctx, &cs, size);
	if (rc != EMU_OK)
		return rc;
	cs &= 0xffff;
	if (emu_real_or_v86(ctx)) {
		add_rsp(ctx, release);
		return enter_code_real(ctx, cs, rip);
	}
	rc = return_code(ctx, cs, &d);
	if (rc != EMU_OK)
		return rc;
	add_rsp(ctx, release);
	if ((cs & 3) != ctx->cpl)
		return return_outer(ctx, &d, cs, rip, size, release);
	return enter_code(ctx, &d, cs, rip, ctx->cpl);
}

/* Real mode, and virtual-8086 mode with IOPL 3. */
static int iret_real(struct emu_ctx *ctx, u64 rip, u16 cs, u64 flags, u64 writable)
{
	int rc;

	rc = enter_code_real(ctx, cs, rip);
	if (rc == EMU_OK)
		ctx->w.rflags = (ctx->w.rflags & ~writable) | (flags & writable);
	return rc;
}

/* SDM, IRET: RETURN-TO-VIRTUAL-8086-MODE. */
static int iret_to_v86(struct emu_ctx *ctx, u64 rip, u16 cs, u64 flags)
{
	static const u8 segs[] = { EMU_SS, EMU_ES, EMU_DS, EMU_FS, EMU_GS };
	u64 rsp, sel[5];
	unsigned int i;
	int rc;

	rc = emu_pop(ctx, &rsp, 4);
	for (i = 0; rc == EMU_OK && i < 5; i++)
		rc = emu_pop(ctx, &sel[i], 4);
	if (rc != EMU_OK)
		return rc;
	if (rip > 0xffff)
		return emu_gp(ctx, 0);
	ctx->w.rflags = (flags & (FL_STATUS | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF |
				  FL_VM | FL_AC | FL_VIF | FL_VIP | FL_ID)) | FL_FIXED;
	ctx->new_cpl = 3;
	emu_load_segment_real(ctx, EMU_CS, cs);
	for (i = 0; i < 5; i++)
		emu_load_segment_real(ctx, segs[i], sel[i]);
	ctx->w.gpr[EMU_RSP] = rsp;
	ctx->w.rip = rip;
	return EMU_OK;
}

static int iret_protected(struct emu_ctx *ctx, u64 rip, u16 cs, u64 flags, u64 writable)
{
	unsigned int size = ctx->insn.opsize;
	struct emu_desc d;
	int rc;

	rc = return_code(ctx, cs, &d);
	if (rc != EMU_OK)
		return rc;
	/* 64-bit mode always pops the stack pointer. */
	if ((cs & 3) != ctx->cpl || ctx->mode == EMU_LONG64)
		rc = return_outer(ctx, &d, cs, rip, size, 0);
	else
		rc = enter_code(ctx, &d, cs, rip, ctx->cpl);
	if (rc == EMU_OK)
		ctx->w.rflags = (ctx->w.rflags & ~writable) | (flags & writable);
	return rc;
}

/* IRET with NT set returns to the task that the TSS links to. */
static int iret_task(struct emu_ctx *ctx)
{
	u16 link = 0;
	int rc;

	if (long_active(ctx))
		return emu_gp(ctx, 0);
	rc = emu_read_linear(ctx, emu_segment(ctx, EMU_TR)->base, &link, 2,
			     EMU_ACC_READ | EMU_ACC_IMPLICIT);
	return rc == EMU_OK ? emu_switch_task(ctx, link, EMU_TASK_IRET, false, 0) : rc;
}

static u64 iret_writable(const struct emu_ctx *ctx)
{
	u64 mask = emu_flags_writable(ctx, ctx->insn.opsize);

	if (ctx->insn.opsize >= 4) {
		mask |= FL_RF;
		if (!ctx->cpl && ctx->mode != EMU_V86 && ctx->mode != EMU_REAL)
			mask |= FL_VIF | FL_VIP;
	}
	return mask;
}

static int iret_frame(struct emu_ctx *ctx)
{
	u64 writable = iret_writable(ctx);
	unsigned int size = ctx->insn.opsize;
	u64 rip, cs, flags;
	int rc;

	rc = emu_pop(ctx, &rip, size);
	if (rc == EMU_OK)
		rc = emu_pop(ctx, &cs, size);
	if (rc == EMU_OK)
		rc = emu_pop(ctx, &flags, size);
	if (rc != EMU_OK)
		return rc;
	if (emu_real_or_v86(ctx))
		return iret_real(ctx, rip, cs, flags, writable);
	if ((flags & FL_VM) && size == 4 && !ctx->cpl && !long_active(ctx))
		return iret_to_v86(ctx, rip, cs, flags);
	return iret_protected(ctx, rip, cs, flags, writable);
}

int emu_op_iret(struct emu_ctx *ctx)
{
	int rc = emu_icpt_simple(ctx, EMU_ICPT_IRET, false);

	if (rc != EMU_OK)
		return rc;
	if (ctx->mode == EMU_V86 && emu_iopl(ctx) < 3)
		rc = ctx->cr4 & CR4_VME ? EMU_UNHANDLED : emu_gp(ctx, 0);
	else if (!emu_real_or_v86(ctx) && (ctx->regs.rflags & FL_NT))
		rc = iret_task(ctx);
	else
		rc = iret_frame(ctx);
	if (rc == EMU_OK)
		ctx->effects |= EMU_FX_IRET;
	return rc;
}

/* ---- software interrupts ---- */

/* SDM, Interrupt and Exception handling in Real-Address Mode. */
static int interrupt_real(struct emu_ctx *ctx, u8 vector)
{
	u16 vec[2] = { 0, 0 };
	u64 base;
	u16 limit;
	int rc;

	ctx->ops->get_table(ctx, EMU_IDTR, &base, &limit);
	if (vector * 4 + 3 > limit)
		return emu_gp(ctx, vector * 8 + 2);
	rc = emu_push(ctx, ctx->w.rflags, 2);
	if (rc == EMU_OK)
		rc = push_far_return(ctx, emu_segment(ctx, EMU_CS)->selector, 2);
	if (rc == EMU_OK)
		rc = emu_read_linear(ctx, (base + vector * 4) & 0xffffffff, vec, 4,
				     EMU_ACC_READ | EMU_ACC_IMPLICIT);
	if (rc != EMU_OK)
		return rc;
	ctx->w.rflags &= ~(FL_IF | FL_TF | FL_AC | FL_RF);
	return enter_code_real(ctx, vec[1], vec[0]);
}

/*
 * In protected and virtual-8086 mode the caller injects the interrupt, and the
 * CPU does the many checks of its delivery.
 */
static int software_interrupt(struct emu_ctx *ctx, u8 vector, enum emu_fault_type type)
{
	if (ctx->mode == EMU_REAL)
		return interrupt_real(ctx, vector);
	emu_raise(ctx, vector, false, 0);
	ctx->fault.type = type;
	return EMU_FAULT;
}

int emu_op_int(struct emu_ctx *ctx)
{
	struct emu_intercept info = {
		.what = EMU_ICPT_INTN,
		.gpr = 0xff,
		.value = ctx->insn.imm & 0xff,
	};
	int rc;

	rc = emu_icpt(ctx, &info);
	if (rc != EMU_OK)
		return rc;
	/* With CR4.VME the redirection bitmap decides, which injection consults. */
	if (ctx->mode == EMU_V86 && emu_iopl(ctx) < 3 && !(ctx->cr4 & CR4_VME))
		return emu_gp(ctx, 0);
	return software_interrupt(ctx, info.value, EMU_SOFT_INT);
}

int emu_op_int3(struct emu_ctx *ctx)
{
	return software_interrupt(ctx, VEC_BP, EMU_SOFT_EXC);
}

int emu_op_into(struct emu_ctx *ctx)
{
	if (!(ctx->w.rflags & FL_OF))
		return EMU_OK;
	return software_interrupt(ctx, VEC_OF, EMU_SOFT_EXC);
}

int emu_op_int1(struct emu_ctx *ctx)
{
	return software_interrupt(ctx, VEC_DB, EMU_PRIV_EXC);
}
