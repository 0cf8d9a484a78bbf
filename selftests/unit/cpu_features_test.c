// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the rules of CPUID features give guests what the CPU, the kernel and the XSAVE components
 * allow, and nothing that has no row.
 */
#include <string.h>

#include "cpu/features.h"
#include "tap.h"

#define ALL_STATE	(X_YMM | X_ZMM | X_PKRU)

static void test_rows(void)
{
	static const struct {
		const char *name;
		int feature, word;
	} rows[] = {
#define X(name, word, bit, source, state) { #name, FEAT_##name, FW_##word },
		GUEST_FEATURES(X)
#undef X
	};
	bool unique = true, leaf = true;
	size_t i, j;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		leaf &= FEATURE_WORD(rows[i].feature) == rows[i].word &&
			feature_leaves[rows[i].word].function != 0;
		for (j = 0; j < i; j++)
			unique &= rows[i].feature != rows[j].feature;
	}
	tap_ok(unique, "no bit has two names");
	tap_ok(leaf, "every feature is in a word that CPUID reports");
}

static void test_leaves(void)
{
	bool unique = true;
	int i, j;

	for (i = 0; i < FW_NR; i++)
		for (j = 0; feature_leaves[i].function && j < i; j++)
			unique &= memcmp(&feature_leaves[i], &feature_leaves[j],
					 sizeof(feature_leaves[i])) != 0;
	tap_ok(unique, "no output of CPUID is two words");
}

static u32 filter(int word, u32 raw, u32 kernel)
{
	return feature_filter(word, raw, kernel, ALL_STATE);
}

static void test_sources(void)
{
	u32 emulated = FEATURE_BIT(FEAT_X2APIC) | FEATURE_BIT(FEAT_TSC_DEADLINE) |
		       FEATURE_BIT(FEAT_HYPERVISOR);

	tap_ok(filter(FW_1_ECX, 0, ~0u) == emulated, "a CPU without features: what Nestor provides");
	tap_ok(filter(FW_1_ECX, ~0u, 0) == emulated, "the kernel turned all off: the same");
	tap_ok(filter(FW_1_ECX, ~0u, ~0u) & FEATURE_BIT(FEAT_AESNI), "CPU and kernel have AES");
	tap_ok(!(filter(FW_1_ECX, ~0u, ~0u) & FEATURE_BIT(FEAT_OSXSAVE)),
	       "OSXSAVE follows CR4 and is not offered");
	tap_ok(feature_runtime(FW_1_ECX) == (FEATURE_BIT(FEAT_OSXSAVE) | FEATURE_BIT(FEAT_MONITOR)),
	       "a guest may be given OSXSAVE and MONITOR");
	tap_ok(feature_runtime(FW_7_ECX) == FEATURE_BIT(FEAT_OSPKE), "and OSPKE");
	tap_ok(filter(FW_7_ECX, FEATURE_BIT(FEAT_LA57), 0) == FEATURE_BIT(FEAT_LA57),
	       "five-level paging needs no kernel that uses it");
	tap_ok(!filter(FW_7_ECX, 0, ~0u), "but a CPU that has it");
	tap_ok(!(filter(FW_7_EDX, ~0u, ~0u) & FEATURE_BIT(FEAT_ARCH_CAPABILITIES)),
	       "what the load decides is not decided here");
}

static void test_state(void)
{
	u32 avx = FEATURE_BIT(FEAT_AVX) | FEATURE_BIT(FEAT_FMA) | FEATURE_BIT(FEAT_F16C);

	tap_ok(!(feature_filter(FW_1_ECX, ~0u, ~0u, 0) & avx), "no AVX without its state");
	tap_ok((feature_filter(FW_1_ECX, ~0u, ~0u, X_YMM) & avx) == avx, "AVX with it");
	tap_ok(feature_filter(FW_7_EBX, ~0u, ~0u, X_YMM) & FEATURE_BIT(FEAT_AVX2), "AVX2 too");
	tap_ok(!(feature_filter(FW_7_EBX, ~0u, ~0u, X_YMM) & FEATURE_BIT(FEAT_AVX512F)),
	       "AVX-512 needs more");
	tap_ok(!(feature_filter(FW_7_EBX, ~0u, ~0u, X_YMM | 0x60) & FEATURE_BIT(FEAT_AVX512F)),
	       "and all of it");
	tap_ok(feature_filter(FW_7_EBX, ~0u, ~0u, X_YMM | X_ZMM) & FEATURE_BIT(FEAT_AVX512F),
	       "which then suffices");
	tap_ok(!(feature_filter(FW_7_ECX, ~0u, ~0u, X_YMM) & FEATURE_BIT(FEAT_PKU)),
	       "protection keys need PKRU");
}

/* Bits of features that are not for guests, on a CPU that has everything. */
static void test_withheld(void)
{
	static const struct {
		const char *name;
		int word, bit;
	} withheld[] = {
		{ "VMX", FW_1_ECX, 5 }, { "SMX", FW_1_ECX, 6 }, { "PDCM", FW_1_ECX, 15 },
		{ "DS", FW_1_EDX, 21 }, { "HTT", FW_1_EDX, 28 }, { "SGX", FW_7_EBX, 2 },
		{ "MPX", FW_7_EBX, 14 }, { "Intel PT", FW_7_EBX, 25 }, { "CET_SS", FW_7_ECX, 7 },
		{ "bus-lock detection", FW_7_ECX, 24 }, { "ENQCMD", FW_7_ECX, 29 },
		{ "CET_IBT", FW_7_EDX, 20 }, { "AMX-TILE", FW_7_EDX, 24 }, { "LAM", FW_7_1_EAX, 26 },
		{ "FRED", FW_7_1_EAX, 17 }, { "XFD", FW_D_1_EAX, 4 }, { "SVM", FW_80000001_ECX, 2 },
		{ "PerfCtrExtCore", FW_80000001_ECX, 23 }, { "VIRT_SSBD", FW_80000008_EBX, 25 },
	};
	size_t i;

	for (i = 0; i < sizeof(withheld) / sizeof(withheld[0]); i++)
		tap_ok(!(filter(withheld[i].word, ~0u, ~0u) & 1u << withheld[i].bit),
		       "guests do not get %s", withheld[i].name);
}

int main(void)
{
	test_rows();
	test_leaves();
	test_sources();
	test_state();
	test_withheld();
	return tap_done();
}
