/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the SDM leaves undefined after an instruction. @rcx is RCX before it.
 */
#ifndef NESTOR_COMPARE_UNDEFINED_H
#define NESTOR_COMPARE_UNDEFINED_H

#include "emulate/internal.h"

static inline unsigned int shift_count(const struct emu_insn *insn, u64 rcx)
{
	unsigned int count;

	if (insn->map == EMU_MAP_0F)
		count = insn->opcode & 1 ? rcx : insn->imm;
	else if (insn->opcode < 0xd0)
		count = insn->imm;
	else
		count = insn->opcode < 0xd2 ? 1 : rcx;
	return count & (insn->opsize == 8 && (insn->opcode & 1 || insn->map == EMU_MAP_0F) ?
			63 : 31);
}

static inline unsigned int operand_bits(const struct emu_insn *insn)
{
	return insn->map == EMU_MAP_1BYTE && !(insn->opcode & 1) ? 8 : insn->opsize * 8;
}

static inline u64 undefined_shift(const struct emu_insn *insn, u64 rcx)
{
	unsigned int count = shift_count(insn, rcx);
	unsigned int which = (insn->modrm >> 3) & 7;
	u64 undefined = count == 1 ? 0 : FL_OF;

	if (!count)
		return 0;
	if (which >= 4)
		undefined |= FL_AF;
	if (which >= 4 && which != 7 && count >= operand_bits(insn))
		undefined |= FL_CF;
	return undefined;
}

/* Flags that the SDM leaves undefined, by instruction. */
static inline u64 undefined_flags(const struct emu_insn *insn, u64 rcx)
{
	unsigned int reg = (insn->modrm >> 3) & 7;
	u8 b = insn->opcode;

	if (insn->map == EMU_MAP_1BYTE) {
		if (b < 0x40 && (b & 7) < 6 && ((b >> 3) == 1 || (b >> 3) == 4 || (b >> 3) == 6))
			return FL_AF;
		if (b >= 0x80 && b <= 0x83 && (reg == 1 || reg == 4 || reg == 6))
			return FL_AF;
		if (b == 0x84 || b == 0x85 || b == 0xa8 || b == 0xa9)
			return FL_AF;
		if (b == 0xc0 || b == 0xc1 || (b >= 0xd0 && b <= 0xd3))
			return undefined_shift(insn, rcx);
		if (b == 0x69 || b == 0x6b)
			return FL_SF | FL_ZF | FL_AF | FL_PF;
		if ((b == 0xf6 || b == 0xf7) && reg < 2)
			return FL_AF;
		if ((b == 0xf6 || b == 0xf7) && reg >= 6)
			return FL_STATUS;
		if ((b == 0xf6 || b == 0xf7) && reg >= 4)
			return FL_SF | FL_ZF | FL_AF | FL_PF;
		if (b == 0x27 || b == 0x2f)
			return FL_OF;
		if (b == 0x37 || b == 0x3f)
			return FL_OF | FL_SF | FL_ZF | FL_PF;
		if (b == 0xd4 || b == 0xd5)
			return FL_OF | FL_AF | FL_CF;
		return 0;
	}
	if (insn->map != EMU_MAP_0F)
		return 0;
	if (b == 0xa3 || b == 0xab || b == 0xb3 || b == 0xba || b == 0xbb)
		return FL_OF | FL_SF | FL_AF | FL_PF;
	if (b == 0xbc || b == 0xbd)
		return FL_OF | FL_SF | FL_AF | FL_PF | FL_CF;
	if (b == 0xaf)
		return FL_SF | FL_ZF | FL_AF | FL_PF;
	if (b == 0xa4 || b == 0xa5 || b == 0xac || b == 0xad)
		return shift_count(insn, rcx) > operand_bits(insn) ? FL_STATUS :
		       FL_AF | (shift_count(insn, rcx) == 1 ? 0 : FL_OF);
	return 0;
}

/* SHLD and SHRD by more than the operand's width: the result is undefined as well. */
static inline bool undefined_result(const struct emu_insn *insn, u64 rcx)
{
	return insn->map == EMU_MAP_0F && (insn->opcode & 0xf6) == 0xa4 &&
	       shift_count(insn, rcx) > operand_bits(insn);
}

/* With REP the bit scans are LZCNT and TZCNT, whose CF is defined. */
static inline u64 tzcnt_flags(const struct emu_insn *insn)
{
	bool count = insn->map == EMU_MAP_0F && (insn->opcode & 0xfe) == 0xbc &&
		     (insn->prefix & EMU_PFX_REP);

	return count ? FL_CF : 0;
}

#endif
