/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the two vendors' tables share: bits of registers, and predicates on addresses.
 */
#ifndef NESTOR_CHECK_RULES_H
#define NESTOR_CHECK_RULES_H

#include "check/check.h"

#define BITS(high, low)	((~0ull >> (63 - (high))) & (~0ull << (low)))
#define BIT64(n)	(1ull << (n))

#define CR0_PE		BIT64(0)
#define CR0_WP		BIT64(16)
#define CR0_NW		BIT64(29)
#define CR0_CD		BIT64(30)
#define CR0_PG		BIT64(31)
#define CR4_PAE		BIT64(5)
#define CR4_PCIDE	BIT64(17)
#define CR4_CET		BIT64(23)
#define CR4_FRED	BIT64(32)
#define EFER_LME	BIT64(8)
#define EFER_LMA	BIT64(10)
#define EFER_SVME	BIT64(12)
#define RFLAGS_TF	BIT64(8)
#define RFLAGS_IF	BIT64(9)
#define RFLAGS_VM	BIT64(17)
#define RFLAGS_ONE	BIT64(1)
#define RFLAGS_RESERVED	(BITS(63, 22) | BIT64(15) | BIT64(5) | BIT64(3))
#define DEBUGCTL_BTF	BIT64(1)

/* What has to be zero in a page's address, or in any address that is aligned to @align bits. */
static inline u64 beyond(u64 address, u64 bits)
{
	return bits < 64 ? address >> bits : 0;
}

/* Bits 63 to @bits - 1 are all equal. */
static inline bool canonical(u64 address, u64 bits)
{
	u64 top = address >> (bits - 1);

	return !top || top == ~0ull >> (bits - 1);
}

/* The memory types of all eight entries exist. */
static inline bool pat_valid(u64 pat)
{
	int i;

	for (i = 0; i < 8; i++, pat >>= 8)
		if ((pat & 0xff) > 7 || (pat & 0xff) == 2 || (pat & 0xff) == 3)
			return false;
	return true;
}

/* The limit and the granularity bit say the same: in pages the low 12 bits are ones, in bytes the high ones zeros. */
static inline bool granular(u64 limit, bool pages)
{
	return pages ? (limit & 0xfff) == 0xfff : !(limit & 0xfff00000);
}

/* IA32_S_CET apart from the base of the legacy bitmap: bits 9:6, and suppression and waiting at once. */
static inline u64 s_cet_reserved(u64 s_cet)
{
	u64 both = BIT64(10) | BIT64(11);

	return (s_cet & BITS(9, 6)) | ((s_cet & both) == both ? both : 0);
}

/* E (effect, code, qualification), which a rule has in parentheses as well. */
#define E(effect, code, qualification)	effect, code, qualification

/* EFFECT (effect, code, qualification): the first of them. */
#define EFFECT(effect, code, qualification)	effect

/* F (a, b, ...): the initializer of a rule's list of fields, which the rule has in parentheses. */
#define F_1(a)			P(a)
#define F_2(a, ...)		P(a), F_1(__VA_ARGS__)
#define F_3(a, ...)		P(a), F_2(__VA_ARGS__)
#define F_4(a, ...)		P(a), F_3(__VA_ARGS__)
#define F_5(a, ...)		P(a), F_4(__VA_ARGS__)
#define F_6(a, ...)		P(a), F_5(__VA_ARGS__)
#define F_7(a, ...)		P(a), F_6(__VA_ARGS__)
#define F_8(a, ...)		P(a), F_7(__VA_ARGS__)
#define F_N(_1, _2, _3, _4, _5, _6, _7, _8, n, ...)	n
#define F(...)			{ F_N(__VA_ARGS__, F_8, F_7, F_6, F_5, F_4, F_3, F_2, F_1)(__VA_ARGS__) }

#endif
