/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arithmetic with flags: pure functions on values of 1, 2, 4 or 8 bytes. Each
 * takes the flags before and stores those after. Flags that the SDM calls
 * undefined are set as current CPUs set them where that costs nothing.
 */
#ifndef NESTOR_EMULATE_ALU_H
#define NESTOR_EMULATE_ALU_H

#include "internal.h"

u64 emu_flags_szp(u64 result, unsigned int size);
u64 emu_alu_add(u64 a, u64 b, unsigned int carry, unsigned int size, u64 *flags);
u64 emu_alu_sub(u64 a, u64 b, unsigned int borrow, unsigned int size, u64 *flags);
u64 emu_alu_logic(u64 result, unsigned int size, u64 *flags);

/* ModRM.reg of the shift group selects: ROL ROR RCL RCR SHL SHR SAL SAR */
u64 emu_alu_shift(unsigned int which, u64 val, unsigned int count, unsigned int size, u64 *flags);
u64 emu_alu_shld(u64 val, u64 fill, unsigned int count, unsigned int size, u64 *flags);
u64 emu_alu_shrd(u64 val, u64 fill, unsigned int count, unsigned int size, u64 *flags);

void emu_alu_mul(u64 a, u64 b, unsigned int size, u64 *low, u64 *high, u64 *flags);
void emu_alu_imul(u64 a, u64 b, unsigned int size, u64 *low, u64 *high, u64 *flags);

/* @high:@low by @divisor; false: #DE */
bool emu_alu_div(u64 high, u64 low, u64 divisor, unsigned int size, u64 *quot, u64 *rem);
bool emu_alu_idiv(u64 high, u64 low, u64 divisor, unsigned int size, u64 *quot, u64 *rem);

#endif
