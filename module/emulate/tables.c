// SPDX-License-Identifier: GPL-2.0
/*
 * The opcode map. Every opcode is here with at least its length; those without a
 * handler are decoded and then reported as not handled.
 */
#include "handlers.h"

#define OP(fn, d, s, f)		{ .exec = emu_op_##fn, .dst = K_##d, .src = K_##s, .flags = (f) }
#define OPI(fn, d, s, i, f)	{ .exec = emu_op_##fn, .dst = K_##d, .src = K_##s, \
				  .imm = K_##i, .flags = (f) }
#define REFINE(how, table)	{ .sub = (table), .by = SUB_##how }
/* Undefined. */
#define UD			{ .flags = OPF_UD }
/* Known by length only: without and with ModRM, with an immediate. */
#define LEN			{ .dst = K_none }
#define LENM			{ .dst = K_X }
#define LENMI(i)		{ .dst = K_X, .imm = K_##i }

#define X4(...)	__VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__
#define X8(...)	X4(__VA_ARGS__), X4(__VA_ARGS__)
#define X16(...) X8(__VA_ARGS__), X8(__VA_ARGS__)

/* The six encodings of a two-operand ALU instruction. */
#define ALU(fn, f) \
	OP(fn, Eb, Gb, f), OP(fn, Ev, Gv, f), OP(fn, Gb, Eb, (f) & ~OPF_LOCK), \
	OP(fn, Gv, Ev, (f) & ~OPF_LOCK), OP(fn, AL, Ib, (f) & ~OPF_LOCK), OP(fn, rAX, Iz, (f) & ~OPF_LOCK)

#define GROUP1(d, i, f) { \
	OP(add, d, i, OPF_LOCK | (f)), OP(or, d, i, OPF_LOCK | (f)), OP(adc, d, i, OPF_LOCK | (f)), \
	OP(sbb, d, i, OPF_LOCK | (f)), OP(and, d, i, OPF_LOCK | (f)), OP(sub, d, i, OPF_LOCK | (f)), \
	OP(xor, d, i, OPF_LOCK | (f)), OP(sub, d, i, OPF_NOWB | (f)) }

static const struct emu_opcode group1_80[8] = GROUP1(Eb, Ib, 0);
static const struct emu_opcode group1_81[8] = GROUP1(Ev, Iz, 0);
static const struct emu_opcode group1_82[8] = GROUP1(Eb, Ib, OPF_NO64);
static const struct emu_opcode group1_83[8] = GROUP1(Ev, Is, 0);

static const struct emu_opcode group1a[8] = {
	OP(pop, Ev, none, OPF_MOV | OPF_D64), UD, UD, UD, UD, UD, UD, UD,
};

static const struct emu_opcode group3_f6[8] = {
	OP(and, Eb, Ib, OPF_NOWB), OP(and, Eb, Ib, OPF_NOWB), OP(not, Eb, none, OPF_LOCK),
	OP(neg, Eb, none, OPF_LOCK), OP(mul, Eb, none, OPF_NOWB), OP(imul, Eb, none, OPF_NOWB),
	OP(div, Eb, none, OPF_NOWB), OP(idiv, Eb, none, OPF_NOWB),
};

static const struct emu_opcode group3_f7[8] = {
	OP(and, Ev, Iz, OPF_NOWB), OP(and, Ev, Iz, OPF_NOWB), OP(not, Ev, none, OPF_LOCK),
	OP(neg, Ev, none, OPF_LOCK), OP(mul, Ev, none, OPF_NOWB), OP(imul, Ev, none, OPF_NOWB),
	OP(div, Ev, none, OPF_NOWB), OP(idiv, Ev, none, OPF_NOWB),
};

static const struct emu_opcode group4[8] = {
	OP(inc, Eb, none, OPF_LOCK), OP(dec, Eb, none, OPF_LOCK), UD, UD, UD, UD, UD, UD,
};

static const struct emu_opcode group5[8] = {
	OP(inc, Ev, none, OPF_LOCK), OP(dec, Ev, none, OPF_LOCK),
	OP(call_rm, Ev, none, OPF_NOWB | OPF_NEAR | OPF_SHSTK | OPF_IBT),
	OP(far_mem, none, M, OPF_SHSTK | OPF_IBT),
	OP(jmp_rm, Ev, none, OPF_NOWB | OPF_NEAR | OPF_IBT),
	OP(far_mem, none, M, OPF_IBT),
	OP(push, Ev, none, OPF_NOWB | OPF_D64), UD,
};

/* C6 F8 and C7 F8 are XABORT and XBEGIN; all else with ModRM.reg 7 is undefined. */
static const struct emu_opcode group11_c6_reg7[8] = { LENMI(Ib), UD, UD, UD, UD, UD, UD, UD };
static const struct emu_opcode group11_c7_reg7[8] = { LENMI(Jz), UD, UD, UD, UD, UD, UD, UD };
static const struct emu_opcode group11_c6_7[2] = { UD, REFINE(RM, group11_c6_reg7) };
static const struct emu_opcode group11_c7_7[2] = { UD, REFINE(RM, group11_c7_reg7) };

static const struct emu_opcode group11_c6[8] = {
	OP(mov, Eb, Ib, OPF_MOV), UD, UD, UD, UD, UD, UD, REFINE(MOD, group11_c6_7),
};

static const struct emu_opcode group11_c7[8] = {
	OP(mov, Ev, Iz, OPF_MOV), UD, UD, UD, UD, UD, UD, REFINE(MOD, group11_c7_7),
};

static const struct emu_opcode op_63[2] = {
	OP(arpl, Ew, Gw, OPF_PROT | OPF_NOWB), OP(movsx, Gv, Ez, OPF_MOV),
};

static const struct emu_opcode op_90[4] = {
	OP(xchg, Zv, rAX, 0), OP(xchg, Zv, rAX, 0), OP(pause, Zv, rAX, 0),
	OP(xchg, Zv, rAX, 0),
};

static const struct emu_opcode one_byte[256] = {
	/* 00 */
	ALU(add, OPF_LOCK), OP(push_seg, none, none, OPF_NO64), OP(pop_seg, none, none, OPF_NO64),
	ALU(or, OPF_LOCK), OP(push_seg, none, none, OPF_NO64), UD,
	/* 10 */
	ALU(adc, OPF_LOCK), OP(push_seg, none, none, OPF_NO64), OP(pop_seg, none, none, OPF_NO64),
	ALU(sbb, OPF_LOCK), OP(push_seg, none, none, OPF_NO64), OP(pop_seg, none, none, OPF_NO64),
	/* 20 */
	ALU(and, OPF_LOCK), UD, OP(daa, none, none, OPF_NO64),
	ALU(sub, OPF_LOCK), UD, OP(das, none, none, OPF_NO64),
	/* 30 */
	ALU(xor, OPF_LOCK), UD, OP(aaa, none, none, OPF_NO64),
	ALU(sub, OPF_NOWB), UD, OP(aas, none, none, OPF_NO64),
	/* 40: REX in 64-bit mode */
	X8(OP(inc, Zv, none, 0)), X8(OP(dec, Zv, none, 0)),
	/* 50 */
	X8(OP(push, Zv, none, OPF_D64 | OPF_NOWB)), X8(OP(pop, Zv, none, OPF_D64 | OPF_MOV)),
	/* 60 */
	OP(pusha, none, none, OPF_NO64), OP(popa, none, none, OPF_NO64),
	OP(bound, Gv, M, OPF_NO64 | OPF_NOWB), REFINE(LONG, op_63), UD, UD, UD, UD,
	OP(push, Iz, none, OPF_D64 | OPF_NOWB), OPI(imul3, Gv, Ev, Iz, OPF_MOV),
	OP(push, Is, none, OPF_D64 | OPF_NOWB), OPI(imul3, Gv, Ev, Is, OPF_MOV),
	OP(ins, none, none, OPF_STRING), OP(ins, none, none, OPF_STRING),
	OP(outs, none, none, OPF_STRING), OP(outs, none, none, OPF_STRING),
	/* 70 */
	X16(OP(jcc, Jb, none, OPF_NEAR)),
	/* 80 */
	REFINE(REG, group1_80), REFINE(REG, group1_81), REFINE(REG, group1_82),
	REFINE(REG, group1_83), OP(and, Eb, Gb, OPF_NOWB), OP(and, Ev, Gv, OPF_NOWB),
	OP(xchg, Eb, Gb, OPF_LOCK | OPF_LOCKED), OP(xchg, Ev, Gv, OPF_LOCK | OPF_LOCKED),
	OP(mov, Eb, Gb, OPF_MOV), OP(mov, Ev, Gv, OPF_MOV), OP(mov, Gb, Eb, OPF_MOV),
	OP(mov, Gv, Ev, OPF_MOV), OP(mov_from_seg, Ewv, none, OPF_MOV), OP(lea, Gv, M, OPF_MOV),
	OP(mov_to_seg, none, Ew, 0), REFINE(REG, group1a),
	/* 90 */
	REFINE(PREFIX, op_90), OP(xchg, Zv, rAX, 0), OP(xchg, Zv, rAX, 0),
	OP(xchg, Zv, rAX, 0), X4(OP(xchg, Zv, rAX, 0)),
	OP(cbw, none, none, 0), OP(cwd, none, none, 0),
	OP(far_imm, Ap, none, OPF_NO64 | OPF_SHSTK | OPF_IBT), LEN,
	OP(pushf, none, none, OPF_D64), OP(popf, none, none, OPF_D64), OP(sahf, none, none, 0),
	OP(lahf, none, none, 0),
	/* A0 */
	OP(mov, AL, Ob, OPF_MOV), OP(mov, rAX, Ov, OPF_MOV), OP(mov, Ob, AL, OPF_MOV),
	OP(mov, Ov, rAX, OPF_MOV),
	OP(movs, none, none, OPF_STRING), OP(movs, none, none, OPF_STRING),
	OP(cmps, none, none, OPF_STRING), OP(cmps, none, none, OPF_STRING),
	OP(and, AL, Ib, OPF_NOWB), OP(and, rAX, Iz, OPF_NOWB),
	OP(stos, none, none, OPF_STRING), OP(stos, none, none, OPF_STRING),
	OP(lods, none, none, OPF_STRING), OP(lods, none, none, OPF_STRING),
	OP(scas, none, none, OPF_STRING), OP(scas, none, none, OPF_STRING),
	/* B0 */
	X8(OP(mov, Zb, Ib, OPF_MOV)), X8(OP(mov, Zv, Iv, OPF_MOV)),
	/* C0 */
	OP(shift, Eb, Ib, 0), OP(shift, Ev, Ib, 0),
	OP(ret, Iw, none, OPF_NEAR | OPF_NOWB | OPF_SHSTK),
	OP(ret, none, none, OPF_NEAR | OPF_SHSTK), OP(load_far, Gv, M, OPF_NO64 | OPF_MOV),
	OP(load_far, Gv, M, OPF_NO64 | OPF_MOV), REFINE(REG, group11_c6), REFINE(REG, group11_c7),
	OP(enter, IwIb, none, OPF_D64 | OPF_NOWB), OP(leave, none, none, OPF_D64),
	OP(ret_far, Iw, none, OPF_NOWB | OPF_SHSTK), OP(ret_far, none, none, OPF_SHSTK),
	OP(int3, none, none, 0),
	OP(int, Ib, none, OPF_NOWB), OP(into, none, none, OPF_NO64), OP(iret, none, none, OPF_SHSTK),
	/* D0 */
	OP(shift, Eb, 1, 0), OP(shift, Ev, 1, 0), OP(shift, Eb, CL, 0), OP(shift, Ev, CL, 0),
	OP(aam, Ib, none, OPF_NO64 | OPF_NOWB), OP(aad, Ib, none, OPF_NO64 | OPF_NOWB),
	OP(salc, none, none, OPF_NO64), OP(xlat, none, none, 0), X8(LENM),
	/* E0 */
	OP(loop, Jb, none, OPF_NEAR | OPF_NOWB), OP(loop, Jb, none, OPF_NEAR | OPF_NOWB),
	OP(loop, Jb, none, OPF_NEAR | OPF_NOWB), OP(jcxz, Jb, none, OPF_NEAR | OPF_NOWB),
	OP(in, Ib, none, OPF_NOWB), OP(in, Ib, none, OPF_NOWB), OP(out, Ib, none, OPF_NOWB),
	OP(out, Ib, none, OPF_NOWB), OP(call_rel, Jz, none, OPF_NEAR | OPF_NOWB | OPF_SHSTK),
	OP(jmp_rel, Jz, none, OPF_NEAR | OPF_NOWB), OP(far_imm, Ap, none, OPF_NO64 | OPF_IBT),
	OP(jmp_rel, Jb, none, OPF_NEAR | OPF_NOWB), OP(in, none, none, 0), OP(in, none, none, 0),
	OP(out, none, none, 0), OP(out, none, none, 0),
	/* F0 */
	UD, OP(int1, none, none, 0), UD, UD, OP(hlt, none, none, OPF_PRIV),
	OP(flag, none, none, 0), REFINE(REG, group3_f6), REFINE(REG, group3_f7),
	OP(flag, none, none, 0), OP(flag, none, none, 0), OP(cli, none, none, 0),
	OP(sti, none, none, 0), OP(flag, none, none, 0), OP(flag, none, none, 0),
	REFINE(REG, group4), REFINE(REG, group5),
};

/* ---- 0F ---- */

static const struct emu_opcode group6[8] = {
	OP(sldt, Ewv, none, OPF_PROT | OPF_MOV), OP(str, Ewv, none, OPF_PROT | OPF_MOV),
	OP(lldt, Ew, none, OPF_PROT | OPF_PRIV | OPF_NOWB),
	OP(ltr, Ew, none, OPF_PROT | OPF_PRIV | OPF_NOWB),
	OP(verify, Ew, none, OPF_PROT | OPF_NOWB), OP(verify, Ew, none, OPF_PROT | OPF_NOWB), UD, UD,
};

static const struct emu_opcode group7_mem[8] = {
	OP(sgdt, none, M, 0), OP(sidt, none, M, 0), OP(lgdt, none, M, OPF_PRIV),
	OP(lidt, none, M, OPF_PRIV), OP(smsw, Ewv, none, OPF_MOV), LENM,
	OP(lmsw, Ew, none, OPF_PRIV | OPF_NOWB), OP(invlpg, none, M, OPF_PRIV),
};

/* 0F 01 C8: MONITOR, MWAIT, CLAC, STAC, ... ENCLS */
static const struct emu_opcode group7_reg1[8] = {
	LENM, LENM, OP(clac, none, X, OPF_PRIV), OP(stac, none, X, OPF_PRIV), LENM, LENM, LENM, LENM,
};

/* 0F 01 D0: XGETBV, XSETBV, VMFUNC, XEND, XTEST, ENCLU */
static const struct emu_opcode group7_reg2[8] = {
	LENM, OP(xsetbv, none, X, 0), LENM, LENM, LENM, LENM, LENM, LENM,
};

/* 0F 01 F8: SWAPGS, RDTSCP, MONITORX, MWAITX, CLZERO, RDPRU, INVLPGB, TLBSYNC */
static const struct emu_opcode group7_reg7[8] = {
	OP(swapgs, none, X, 0), OP(rdtscp, none, X, 0), LENM, LENM, LENM, LENM, LENM, LENM,
};

static const struct emu_opcode group7_reg[8] = {
	LENM, REFINE(RM, group7_reg1), REFINE(RM, group7_reg2), LENM,
	OP(smsw, Ewv, none, OPF_MOV), LENM, OP(lmsw, Ew, none, OPF_PRIV | OPF_NOWB),
	REFINE(RM, group7_reg7),
};

static const struct emu_opcode group7[2] = {
	REFINE(REG, group7_mem), REFINE(REG, group7_reg),
};

static const struct emu_opcode group8[8] = {
	UD, UD, UD, UD, OP(bt, Ev, Ib, OPF_NOWB), OP(bt, Ev, Ib, OPF_LOCK), OP(bt, Ev, Ib, OPF_LOCK),
	OP(bt, Ev, Ib, OPF_LOCK),
};

static const struct emu_opcode rdpid_rdseed[4] = { LENM, LENM, OP(rdpid, none, X, 0), LENM };

static const struct emu_opcode group9_mem[8] = {
	UD, OP(cmpxchg8b, none, M, OPF_LOCK), UD, LENM, LENM, LENM, LENM, LENM,
};

static const struct emu_opcode group9_reg[8] = {
	UD, UD, UD, UD, UD, UD, LENM, REFINE(PREFIX, rdpid_rdseed),
};

static const struct emu_opcode group9[2] = {
	REFINE(REG, group9_mem), REFINE(REG, group9_reg),
};

static const struct emu_opcode clwb[4] = { LENM, OP(clwb, none, M, 0), LENM, LENM };
static const struct emu_opcode clflush[4] = {
	OP(clflush, none, M, 0), OP(clflushopt, none, M, 0), LENM, LENM,
};

static const struct emu_opcode group15_mem[8] = {
	LENM, LENM, LENM, LENM, LENM, LENM, REFINE(PREFIX, clwb), REFINE(PREFIX, clflush),
};

static const struct emu_opcode rdfsgs[4] = { UD, UD, OP(rdfsgsbase, Ey, none, OPF_MOV), UD };
static const struct emu_opcode wrfsgs[4] = { UD, UD, OP(wrfsgsbase, Ey, none, OPF_NOWB), UD };
static const struct emu_opcode fence[4] = { OP(nop, none, X, 0), LENM, LENM, LENM };

static const struct emu_opcode group15_reg[8] = {
	REFINE(PREFIX, rdfsgs), REFINE(PREFIX, rdfsgs), REFINE(PREFIX, wrfsgs),
	REFINE(PREFIX, wrfsgs), LENM, REFINE(PREFIX, fence), REFINE(PREFIX, fence),
	REFINE(PREFIX, fence),
};

static const struct emu_opcode group15[2] = {
	REFINE(REG, group15_mem), REFINE(REG, group15_reg),
};

#define SIMD(fn, d, s, f)	OP(fn, d, s, OPF_SSE | (f))
#define LOAD			SIMD(simd_load, none, X, OPF_VEX)
#define LOAD_ALIGNED		SIMD(simd_load, none, X, OPF_VEX | OPF_ALIGN)
#define STORE			SIMD(simd_store, none, X, OPF_VEX)
#define STORE_ALIGNED		SIMD(simd_store, none, X, OPF_VEX | OPF_ALIGN)
#define STORE_STREAM		SIMD(simd_store, none, M, OPF_VEX | OPF_ALIGN)
#define LOAD_SCALAR		SIMD(simd_load_scalar, none, X, OPF_VEX)
#define STORE_SCALAR		SIMD(simd_store_scalar, none, X, OPF_VEX)
#define LOAD_MMX		OP(mmx_load, none, X, OPF_MMX)
#define STORE_MMX		OP(mmx_store, none, X, OPF_MMX)

/* None, 66, F3, F2. */
static const struct emu_opcode op_0f10[4] = { LOAD, LOAD, LOAD_SCALAR, LOAD_SCALAR };
static const struct emu_opcode op_0f11[4] = { STORE, STORE, STORE_SCALAR, STORE_SCALAR };
static const struct emu_opcode half_load[2] = { SIMD(simd_load_half, none, M, 0), LENM };
static const struct emu_opcode op_0f12[4] = {
	REFINE(MOD, half_load), SIMD(simd_load_half, none, M, 0), LENM, LENM,
};
static const struct emu_opcode op_0f13[4] = {
	SIMD(simd_store_half, none, M, OPF_VEX), SIMD(simd_store_half, none, M, OPF_VEX), UD, UD,
};
static const struct emu_opcode op_0f28[4] = { LOAD_ALIGNED, LOAD_ALIGNED, UD, UD };
static const struct emu_opcode op_0f29[4] = { STORE_ALIGNED, STORE_ALIGNED, UD, UD };
static const struct emu_opcode op_0f2b[4] = { STORE_STREAM, STORE_STREAM, LENM, LENM };
static const struct emu_opcode op_0f6e[4] = {
	LENM, SIMD(movd_load, X, Ey, OPF_VEX), UD, UD,
};
static const struct emu_opcode op_0f6f[4] = { LOAD_MMX, LOAD_ALIGNED, LOAD, UD };
static const struct emu_opcode op_0f7e[4] = {
	LENM, SIMD(movd_store, Ey, none, OPF_VEX | OPF_MOV), SIMD(movq_load, none, X, OPF_VEX), UD,
};
static const struct emu_opcode op_0f7f[4] = { STORE_MMX, STORE_ALIGNED, STORE, UD };
static const struct emu_opcode op_0fd6[4] = { UD, SIMD(movq_store, none, X, OPF_VEX), LENM, LENM };
static const struct emu_opcode op_0fe7[4] = { LENM, STORE_STREAM, UD, UD };
static const struct emu_opcode lddqu[2] = { LOAD, UD };
static const struct emu_opcode op_0ff0[4] = { UD, UD, UD, REFINE(MOD, lddqu) };

/* VMREAD; EXTRQ; INSERTQ */
static const struct emu_opcode op_0f78[4] = { LENM, LENMI(IbIb), LENM, LENMI(IbIb) };
static const struct emu_opcode op_0fb8[4] = { LEN, LEN, OP(popcnt, Gv, Ev, OPF_MOV), LEN };
static const struct emu_opcode op_0fbc[4] = {
	OP(bsf, Gv, Ev, 0), OP(bsf, Gv, Ev, 0), OP(tzcnt, Gv, Ev, 0), OP(bsf, Gv, Ev, 0),
};
static const struct emu_opcode op_0fbd[4] = {
	OP(bsr, Gv, Ev, 0), OP(bsr, Gv, Ev, 0), OP(lzcnt, Gv, Ev, 0), OP(bsr, Gv, Ev, 0),
};

static const struct emu_opcode op_0fc3[4] = { OP(movnti, Ey, Gy, OPF_MOV), UD, UD, UD };

#define NOPM	OP(nop, none, X, 0)

static const struct emu_opcode two_byte[256] = {
	/* 00 */
	REFINE(REG, group6), REFINE(MOD, group7), OP(lar, Gv, Ew, OPF_PROT),
	OP(lsl, Gv, Ew, OPF_PROT), UD, LEN, OP(clts, none, none, OPF_PRIV), LEN,
	OP(wbinvd, none, none, OPF_PRIV), OP(wbinvd, none, none, OPF_PRIV), UD, UD, UD,
	NOPM, LEN, UD,
	/* 10 */
	REFINE(PREFIX, op_0f10), REFINE(PREFIX, op_0f11), REFINE(PREFIX, op_0f12),
	REFINE(PREFIX, op_0f13), LENM, LENM, REFINE(PREFIX, op_0f12), REFINE(PREFIX, op_0f13),
	X8(NOPM),
	/* 20 */
	OP(mov_from_cr, none, R, 0), OP(mov_from_dr, none, R, 0), OP(mov_to_cr, none, R, 0),
	OP(mov_to_dr, none, R, 0), UD, UD, UD, UD,
	REFINE(PREFIX, op_0f28), REFINE(PREFIX, op_0f29), LENM, REFINE(PREFIX, op_0f2b),
	X4(LENM),
	/* 30 */
	OP(wrmsr, none, none, OPF_PRIV), OP(rdtsc, none, none, 0), OP(rdmsr, none, none, OPF_PRIV),
	OP(rdpmc, none, none, 0), LEN, LEN, UD, LEN, X8(UD),
	/* 40 */
	X16(OP(cmov, Gv, Ev, 0)),
	/* 50 */
	X16(LENM),
	/* 60 */
	X8(LENM), X4(LENM), LENM, LENM, REFINE(PREFIX, op_0f6e), REFINE(PREFIX, op_0f6f),
	/* 70 */
	X4(LENMI(Ib)), LENM, LENM, LENM, LEN, REFINE(PREFIX, op_0f78), LENM, UD, UD,
	LENM, LENM, REFINE(PREFIX, op_0f7e), REFINE(PREFIX, op_0f7f),
	/* 80 */
	X16(OP(jcc, Jz, none, OPF_NEAR)),
	/* 90 */
	X16(OP(setcc, Eb, none, OPF_MOV)),
	/* A0 */
	OP(push_seg, none, none, OPF_D64), OP(pop_seg, none, none, OPF_D64),
	OP(cpuid, none, none, 0), OP(bt, Ev, Gv, OPF_NOWB | OPF_BITS), OPI(shld, Ev, Gv, Ib, 0),
	OP(shld, Ev, Gv, 0), UD, UD, OP(push_seg, none, none, OPF_D64),
	OP(pop_seg, none, none, OPF_D64), LEN, OP(bt, Ev, Gv, OPF_LOCK | OPF_BITS),
	OPI(shrd, Ev, Gv, Ib, 0), OP(shrd, Ev, Gv, 0), REFINE(MOD, group15),
	OP(imul2, Gv, Ev, 0),
	/* B0 */
	OP(cmpxchg, Eb, Gb, OPF_LOCK), OP(cmpxchg, Ev, Gv, OPF_LOCK), OP(load_far, Gv, M, OPF_MOV),
	OP(bt, Ev, Gv, OPF_LOCK | OPF_BITS), OP(load_far, Gv, M, OPF_MOV), OP(load_far, Gv, M, OPF_MOV),
	OP(mov, Gv, Eb, OPF_MOV), OP(mov, Gv, Ew, OPF_MOV), REFINE(PREFIX, op_0fb8),
	{ .dst = K_X, .flags = OPF_UD }, REFINE(REG, group8), OP(bt, Ev, Gv, OPF_LOCK | OPF_BITS),
	REFINE(PREFIX, op_0fbc), REFINE(PREFIX, op_0fbd), OP(movsx, Gv, Eb, OPF_MOV),
	OP(movsx, Gv, Ew, OPF_MOV),
	/* C0 */
	OP(xadd, Eb, Gb, OPF_LOCK), OP(xadd, Ev, Gv, OPF_LOCK), LENMI(Ib), REFINE(PREFIX, op_0fc3),
	LENMI(Ib), LENMI(Ib), LENMI(Ib), REFINE(MOD, group9), X8(OP(bswap, Zv, none, 0)),
	/* D0 */
	X4(LENM), LENM, LENM, REFINE(PREFIX, op_0fd6), LENM, X8(LENM),
	/* E0 */
	X4(LENM), LENM, LENM, LENM, REFINE(PREFIX, op_0fe7), X8(LENM),
	/* F0 */
	REFINE(PREFIX, op_0ff0), LENM, LENM, LENM, X4(LENM), X4(LENM), LENM, LENM, LENM,
	{ .dst = K_X, .flags = OPF_UD },
};

/* ---- 0F 38, 0F 3A ---- */

static const struct emu_opcode movbe_load[4] = {
	OP(movbe, Gv, Ev, OPF_MOV), OP(movbe, Gv, Ev, OPF_MOV), LENM, LENM,
};

static const struct emu_opcode movbe_store[4] = {
	OP(movbe, Ev, Gv, OPF_MOV), OP(movbe, Ev, Gv, OPF_MOV), LENM, LENM,
};

static const struct emu_opcode movntdqa[4] = {
	UD, SIMD(simd_load, none, M, OPF_VEX | OPF_ALIGN), UD, UD,
};

static const struct emu_opcode op_0f38f0 = REFINE(PREFIX, movbe_load);
static const struct emu_opcode op_0f38f1 = REFINE(PREFIX, movbe_store);
static const struct emu_opcode op_0f382a = REFINE(PREFIX, movntdqa);
static const struct emu_opcode any_modrm = LENM;
static const struct emu_opcode any_modrm_imm = LENMI(Ib);

const struct emu_opcode emu_unhandled_op = LEN;

/**
 * emu_lookup() - entry of the opcode map
 * @map: enum emu_map
 * @opcode: opcode byte
 *
 * Return: the entry; refine it while its @by is not SUB_NONE.
 */
const struct emu_opcode *emu_lookup(u8 map, u8 opcode)
{
	switch (map) {
	case EMU_MAP_1BYTE:
		return &one_byte[opcode];
	case EMU_MAP_0F:
		return &two_byte[opcode];
	case EMU_MAP_0F38:
		switch (opcode) {
		case 0x2a:
			return &op_0f382a;
		case 0xf0:
			return &op_0f38f0;
		case 0xf1:
			return &op_0f38f1;
		}
		return &any_modrm;
	}
	/* 0F 3A, and 3DNow!, whose opcode has the place of an immediate. */
	return &any_modrm_imm;
}
