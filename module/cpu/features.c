// SPDX-License-Identifier: GPL-2.0
#include "features.h"

#define NR_ELEMENTS(a)	(sizeof(a) / sizeof((a)[0]))

static const struct feature_rule {
	unsigned short feature;
	unsigned char source;
	unsigned short state;
} rules[] = {
#define X(name, word, bit, source, state) { FEAT_##name, SRC_##source, state },
	GUEST_FEATURES(X)
#undef X
};

const struct feature_leaf feature_leaves[FW_NR] = {
	[FW_1_EDX]		= { 0x1, 0, CPUID_REG_EDX },
	[FW_1_ECX]		= { 0x1, 0, CPUID_REG_ECX },
	[FW_7_EBX]		= { 0x7, 0, CPUID_REG_EBX },
	[FW_7_ECX]		= { 0x7, 0, CPUID_REG_ECX },
	[FW_7_EDX]		= { 0x7, 0, CPUID_REG_EDX },
	[FW_7_1_EAX]		= { 0x7, 1, CPUID_REG_EAX },
	[FW_7_1_EDX]		= { 0x7, 1, CPUID_REG_EDX },
	[FW_7_2_EDX]		= { 0x7, 2, CPUID_REG_EDX },
	[FW_D_1_EAX]		= { 0xd, 1, CPUID_REG_EAX },
	[FW_24_EBX]		= { 0x24, 0, CPUID_REG_EBX },
	[FW_80000001_ECX]	= { 0x80000001, 0, CPUID_REG_ECX },
	[FW_80000001_EDX]	= { 0x80000001, 0, CPUID_REG_EDX },
	[FW_80000007_EDX]	= { 0x80000007, 0, CPUID_REG_EDX },
	[FW_80000008_EBX]	= { 0x80000008, 0, CPUID_REG_EBX },
	[FW_8000000A_EDX]	= { 0x8000000a, 0, CPUID_REG_EDX },
	[FW_80000021_EAX]	= { 0x80000021, 0, CPUID_REG_EAX },
	[FW_80000021_ECX]	= { 0x80000021, 0, CPUID_REG_ECX },
};

/* The bits of @word whose source is @source and whose state is within @xcr0. */
static u32 rule_mask(int word, enum feature_source source, u64 xcr0)
{
	u32 mask = 0;
	size_t i;

	for (i = 0; i < NR_ELEMENTS(rules); i++) {
		const struct feature_rule *r = &rules[i];

		if (FEATURE_WORD(r->feature) == word && r->source == source &&
		    !(r->state & ~xcr0))
			mask |= FEATURE_BIT(r->feature);
	}
	return mask;
}

u32 feature_filter(int word, u32 raw, u32 kernel, u64 xcr0)
{
	return (rule_mask(word, SRC_HW, xcr0) & raw & kernel) |
	       (rule_mask(word, SRC_RAW, xcr0) & raw) | rule_mask(word, SRC_EMU, xcr0);
}

u32 feature_runtime(int word)
{
	return rule_mask(word, SRC_RUN, ~0ull);
}
