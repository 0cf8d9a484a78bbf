/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The handlers that the opcode tables name. Operands are loaded before and, unless
 * the table says otherwise, the destination is stored after a handler ran.
 */
#ifndef NESTOR_EMULATE_HANDLERS_H
#define NESTOR_EMULATE_HANDLERS_H

#include "internal.h"

/* integer.c */
int emu_op_mov(struct emu_ctx *ctx);
int emu_op_movsx(struct emu_ctx *ctx);
int emu_op_lea(struct emu_ctx *ctx);
int emu_op_add(struct emu_ctx *ctx);
int emu_op_adc(struct emu_ctx *ctx);
int emu_op_sub(struct emu_ctx *ctx);
int emu_op_sbb(struct emu_ctx *ctx);
int emu_op_and(struct emu_ctx *ctx);
int emu_op_or(struct emu_ctx *ctx);
int emu_op_xor(struct emu_ctx *ctx);
int emu_op_inc(struct emu_ctx *ctx);
int emu_op_dec(struct emu_ctx *ctx);
int emu_op_not(struct emu_ctx *ctx);
int emu_op_neg(struct emu_ctx *ctx);
int emu_op_shift(struct emu_ctx *ctx);
int emu_op_shld(struct emu_ctx *ctx);
int emu_op_shrd(struct emu_ctx *ctx);
int emu_op_mul(struct emu_ctx *ctx);
int emu_op_imul(struct emu_ctx *ctx);
int emu_op_imul2(struct emu_ctx *ctx);
int emu_op_imul3(struct emu_ctx *ctx);
int emu_op_div(struct emu_ctx *ctx);
int emu_op_idiv(struct emu_ctx *ctx);
int emu_op_bt(struct emu_ctx *ctx);
int emu_op_bsf(struct emu_ctx *ctx);
int emu_op_bsr(struct emu_ctx *ctx);
int emu_op_tzcnt(struct emu_ctx *ctx);
int emu_op_lzcnt(struct emu_ctx *ctx);
int emu_op_popcnt(struct emu_ctx *ctx);
int emu_op_bswap(struct emu_ctx *ctx);
int emu_op_movbe(struct emu_ctx *ctx);
int emu_op_xchg(struct emu_ctx *ctx);
int emu_op_movnti(struct emu_ctx *ctx);
int emu_op_xadd(struct emu_ctx *ctx);
int emu_op_cmpxchg(struct emu_ctx *ctx);
int emu_op_cmpxchg8b(struct emu_ctx *ctx);
int emu_op_cmov(struct emu_ctx *ctx);
int emu_op_setcc(struct emu_ctx *ctx);
int emu_op_cbw(struct emu_ctx *ctx);
int emu_op_cwd(struct emu_ctx *ctx);
int emu_op_xlat(struct emu_ctx *ctx);
int emu_op_lahf(struct emu_ctx *ctx);
int emu_op_sahf(struct emu_ctx *ctx);
int emu_op_flag(struct emu_ctx *ctx);
int emu_op_nop(struct emu_ctx *ctx);
int emu_op_salc(struct emu_ctx *ctx);
int emu_op_bound(struct emu_ctx *ctx);
int emu_op_arpl(struct emu_ctx *ctx);

/* decimal.c */
int emu_op_daa(struct emu_ctx *ctx);
int emu_op_das(struct emu_ctx *ctx);
int emu_op_aaa(struct emu_ctx *ctx);
int emu_op_aas(struct emu_ctx *ctx);
int emu_op_aam(struct emu_ctx *ctx);
int emu_op_aad(struct emu_ctx *ctx);

/* stack.c */
int emu_op_push(struct emu_ctx *ctx);
int emu_op_pop(struct emu_ctx *ctx);
int emu_op_push_seg(struct emu_ctx *ctx);
int emu_op_pop_seg(struct emu_ctx *ctx);
int emu_op_pusha(struct emu_ctx *ctx);
int emu_op_popa(struct emu_ctx *ctx);
int emu_op_enter(struct emu_ctx *ctx);
int emu_op_leave(struct emu_ctx *ctx);
int emu_op_pushf(struct emu_ctx *ctx);
int emu_op_popf(struct emu_ctx *ctx);
int emu_op_cli(struct emu_ctx *ctx);
int emu_op_sti(struct emu_ctx *ctx);
int emu_op_clac(struct emu_ctx *ctx);
int emu_op_stac(struct emu_ctx *ctx);

/* branch.c */
int emu_op_jcc(struct emu_ctx *ctx);
int emu_op_jmp_rel(struct emu_ctx *ctx);
int emu_op_jmp_rm(struct emu_ctx *ctx);
int emu_op_call_rel(struct emu_ctx *ctx);
int emu_op_call_rm(struct emu_ctx *ctx);
int emu_op_ret(struct emu_ctx *ctx);
int emu_op_loop(struct emu_ctx *ctx);
int emu_op_jcxz(struct emu_ctx *ctx);

/* string.c */
int emu_op_movs(struct emu_ctx *ctx);
int emu_op_stos(struct emu_ctx *ctx);
int emu_op_lods(struct emu_ctx *ctx);
int emu_op_scas(struct emu_ctx *ctx);
int emu_op_cmps(struct emu_ctx *ctx);
int emu_op_ins(struct emu_ctx *ctx);
int emu_op_outs(struct emu_ctx *ctx);

/* io.c */
int emu_op_in(struct emu_ctx *ctx);
int emu_op_out(struct emu_ctx *ctx);

/* segment.c */
int emu_op_mov_from_seg(struct emu_ctx *ctx);
int emu_op_mov_to_seg(struct emu_ctx *ctx);
int emu_op_load_far(struct emu_ctx *ctx);
int emu_op_lldt(struct emu_ctx *ctx);
int emu_op_ltr(struct emu_ctx *ctx);
int emu_check_umip(struct emu_ctx *ctx);
int emu_op_sldt(struct emu_ctx *ctx);
int emu_op_str(struct emu_ctx *ctx);
int emu_op_lar(struct emu_ctx *ctx);
int emu_op_lsl(struct emu_ctx *ctx);
int emu_op_verify(struct emu_ctx *ctx);

/* far.c */
int emu_op_far_imm(struct emu_ctx *ctx);
int emu_op_far_mem(struct emu_ctx *ctx);
int emu_op_ret_far(struct emu_ctx *ctx);
int emu_op_iret(struct emu_ctx *ctx);
int emu_op_int(struct emu_ctx *ctx);
int emu_op_int3(struct emu_ctx *ctx);
int emu_op_into(struct emu_ctx *ctx);
int emu_op_int1(struct emu_ctx *ctx);

/* system.c */
int emu_op_mov_from_cr(struct emu_ctx *ctx);
int emu_op_mov_to_cr(struct emu_ctx *ctx);
int emu_op_clts(struct emu_ctx *ctx);
int emu_op_lmsw(struct emu_ctx *ctx);
int emu_op_smsw(struct emu_ctx *ctx);
int emu_op_mov_from_dr(struct emu_ctx *ctx);
int emu_op_mov_to_dr(struct emu_ctx *ctx);
int emu_op_rdmsr(struct emu_ctx *ctx);
int emu_op_wrmsr(struct emu_ctx *ctx);
int emu_op_rdtsc(struct emu_ctx *ctx);
int emu_op_rdtscp(struct emu_ctx *ctx);
int emu_op_rdpid(struct emu_ctx *ctx);
int emu_op_rdpmc(struct emu_ctx *ctx);
int emu_op_xsetbv(struct emu_ctx *ctx);
int emu_op_cpuid(struct emu_ctx *ctx);
int emu_op_sgdt(struct emu_ctx *ctx);
int emu_op_sidt(struct emu_ctx *ctx);
int emu_op_lgdt(struct emu_ctx *ctx);
int emu_op_lidt(struct emu_ctx *ctx);
int emu_op_rdfsgsbase(struct emu_ctx *ctx);
int emu_op_wrfsgsbase(struct emu_ctx *ctx);
int emu_op_swapgs(struct emu_ctx *ctx);
int emu_op_invlpg(struct emu_ctx *ctx);
int emu_op_wbinvd(struct emu_ctx *ctx);
int emu_op_clflush(struct emu_ctx *ctx);
int emu_op_clflushopt(struct emu_ctx *ctx);
int emu_op_clwb(struct emu_ctx *ctx);
int emu_op_pause(struct emu_ctx *ctx);
int emu_op_hlt(struct emu_ctx *ctx);

/* simd.c */
int emu_op_simd_load(struct emu_ctx *ctx);
int emu_op_simd_store(struct emu_ctx *ctx);
int emu_op_mmx_load(struct emu_ctx *ctx);
int emu_op_mmx_store(struct emu_ctx *ctx);
int emu_op_simd_load_scalar(struct emu_ctx *ctx);
int emu_op_simd_store_scalar(struct emu_ctx *ctx);
int emu_op_simd_load_half(struct emu_ctx *ctx);
int emu_op_simd_store_half(struct emu_ctx *ctx);
int emu_op_movd_load(struct emu_ctx *ctx);
int emu_op_movd_store(struct emu_ctx *ctx);
int emu_op_movq_load(struct emu_ctx *ctx);
int emu_op_movq_store(struct emu_ctx *ctx);

#endif
