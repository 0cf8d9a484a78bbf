/* SPDX-License-Identifier: GPL-2.0 */
/*
 * CPUID feature bits that guests can have: one row per bit. Knows no kernel, so that unit tests can
 * include it.
 */
#ifndef NESTOR_CPU_FEATURES_H
#define NESTOR_CPU_FEATURES_H

#include "emulate/types.h"

/*
 * Words of feature bits. Those below FW_OWN have the kernel's numbers, so that an X86_FEATURE_*
 * number of a hardware-defined word is also one of ours (cpuid.c asserts it); the rest are words
 * that the kernel scatters or does not keep.
 */
enum feature_word {
	FW_1_EDX = 0,
	FW_80000001_EDX = 1,
	FW_1_ECX = 4,
	FW_80000001_ECX = 6,
	FW_7_EBX = 9,
	FW_D_1_EAX = 10,
	FW_7_1_EAX = 12,
	FW_80000008_EBX = 13,
	FW_8000000A_EDX = 15,
	FW_7_ECX = 16,
	FW_7_EDX = 18,
	FW_80000021_EAX = 20,
	FW_OWN = 24,
	FW_7_1_EDX = FW_OWN,
	FW_7_2_EDX,
	FW_80000007_EDX,
	FW_80000021_ECX,
	FW_24_EBX,
	FW_NR
};

/**
 * enum feature_source - on what ground guests get a feature
 * @SRC_HW:  the CPU has it and the kernel did not turn it off
 * @SRC_RAW: the CPU has it, whether the kernel uses it or not
 * @SRC_EMU: always: Nestor provides it
 * @SRC_RUN: follows a control register or MSR; a guest may have it, but it is not advertised
 * @SRC_ADD: cpuid.c decides at load (a vendor control, another spelling of the feature)
 */
enum feature_source { SRC_HW, SRC_RAW, SRC_EMU, SRC_RUN, SRC_ADD };

/* XCR0 components that an instruction set needs, for the fourth column below. */
#define X_NONE	0x0
#define X_YMM	0x4
#define X_ZMM	0xe0
#define X_PKRU	0x200

/*
 * name, word, bit, source (SRC_*), state. Names are the manuals'. What is not here, guests do not get: AMX,
 * SGX, CET, Intel PT, MPX, LAM, performance monitoring, bus-lock detection.
 */
#define GUEST_FEATURES(X)						\
	X(FPU,			1_EDX,		0,  HW,  X_NONE)	\
	X(VME,			1_EDX,		1,  HW,  X_NONE)	\
	X(DE,			1_EDX,		2,  HW,  X_NONE)	\
	X(PSE,			1_EDX,		3,  HW,  X_NONE)	\
	X(TSC,			1_EDX,		4,  HW,  X_NONE)	\
	X(MSR,			1_EDX,		5,  HW,  X_NONE)	\
	X(PAE,			1_EDX,		6,  HW,  X_NONE)	\
	X(MCE,			1_EDX,		7,  HW,  X_NONE)	\
	X(CX8,			1_EDX,		8,  HW,  X_NONE)	\
	X(APIC,			1_EDX,		9,  HW,  X_NONE)	\
	X(SEP,			1_EDX,		11, HW,  X_NONE)	\
	X(MTRR,			1_EDX,		12, HW,  X_NONE)	\
	X(PGE,			1_EDX,		13, HW,  X_NONE)	\
	X(MCA,			1_EDX,		14, HW,  X_NONE)	\
	X(CMOV,			1_EDX,		15, HW,  X_NONE)	\
	X(PAT,			1_EDX,		16, HW,  X_NONE)	\
	X(PSE36,		1_EDX,		17, HW,  X_NONE)	\
	X(CLFSH,		1_EDX,		19, HW,  X_NONE)	\
	X(MMX,			1_EDX,		23, HW,  X_NONE)	\
	X(FXSR,			1_EDX,		24, HW,  X_NONE)	\
	X(SSE,			1_EDX,		25, HW,  X_NONE)	\
	X(SSE2,			1_EDX,		26, HW,  X_NONE)	\
	X(SS,			1_EDX,		27, HW,  X_NONE)	\
	X(SSE3,			1_ECX,		0,  HW,  X_NONE)	\
	X(PCLMULQDQ,		1_ECX,		1,  HW,  X_NONE)	\
	X(MONITOR,		1_ECX,		3,  RUN, X_NONE)	\
	X(VMX,			1_ECX,		5,  ADD, X_NONE)	\
	X(SSSE3,		1_ECX,		9,  HW,  X_NONE)	\
	X(FMA,			1_ECX,		12, HW,  X_YMM)		\
	X(CMPXCHG16B,		1_ECX,		13, HW,  X_NONE)	\
	X(PCID,			1_ECX,		17, HW,  X_NONE)	\
	X(SSE4_1,		1_ECX,		19, HW,  X_NONE)	\
	X(SSE4_2,		1_ECX,		20, HW,  X_NONE)	\
	X(X2APIC,		1_ECX,		21, EMU, X_NONE)	\
	X(MOVBE,		1_ECX,		22, HW,  X_NONE)	\
	X(POPCNT,		1_ECX,		23, HW,  X_NONE)	\
	X(TSC_DEADLINE,		1_ECX,		24, EMU, X_NONE)	\
	X(AESNI,		1_ECX,		25, HW,  X_NONE)	\
	X(XSAVE,		1_ECX,		26, HW,  X_NONE)	\
	X(OSXSAVE,		1_ECX,		27, RUN, X_NONE)	\
	X(AVX,			1_ECX,		28, HW,  X_YMM)		\
	X(F16C,			1_ECX,		29, HW,  X_YMM)		\
	X(RDRAND,		1_ECX,		30, HW,  X_NONE)	\
	X(HYPERVISOR,		1_ECX,		31, EMU, X_NONE)	\
	X(FSGSBASE,		7_EBX,		0,  HW,  X_NONE)	\
	X(TSC_ADJUST,		7_EBX,		1,  EMU, X_NONE)	\
	X(BMI1,			7_EBX,		3,  HW,  X_NONE)	\
	X(HLE,			7_EBX,		4,  HW,  X_NONE)	\
	X(AVX2,			7_EBX,		5,  HW,  X_YMM)		\
	X(FDP_EXCPTN_ONLY,	7_EBX,		6,  HW,  X_NONE)	\
	X(SMEP,			7_EBX,		7,  HW,  X_NONE)	\
	X(BMI2,			7_EBX,		8,  HW,  X_NONE)	\
	X(ERMS,			7_EBX,		9,  HW,  X_NONE)	\
	X(INVPCID,		7_EBX,		10, HW,  X_NONE)	\
	X(RTM,			7_EBX,		11, HW,  X_NONE)	\
	X(ZERO_FCS_FDS,		7_EBX,		13, HW,  X_NONE)	\
	X(AVX512F,		7_EBX,		16, HW,  X_ZMM)		\
	X(AVX512DQ,		7_EBX,		17, HW,  X_ZMM)		\
	X(RDSEED,		7_EBX,		18, HW,  X_NONE)	\
	X(ADX,			7_EBX,		19, HW,  X_NONE)	\
	X(SMAP,			7_EBX,		20, HW,  X_NONE)	\
	X(AVX512_IFMA,		7_EBX,		21, HW,  X_ZMM)		\
	X(CLFLUSHOPT,		7_EBX,		23, HW,  X_NONE)	\
	X(CLWB,			7_EBX,		24, HW,  X_NONE)	\
	X(AVX512PF,		7_EBX,		26, HW,  X_ZMM)		\
	X(AVX512ER,		7_EBX,		27, HW,  X_ZMM)		\
	X(AVX512CD,		7_EBX,		28, HW,  X_ZMM)		\
	X(SHA,			7_EBX,		29, HW,  X_NONE)	\
	X(AVX512BW,		7_EBX,		30, HW,  X_ZMM)		\
	X(AVX512VL,		7_EBX,		31, HW,  X_ZMM)		\
	X(AVX512_VBMI,		7_ECX,		1,  HW,  X_ZMM)		\
	X(UMIP,			7_ECX,		2,  HW,  X_NONE)	\
	X(PKU,			7_ECX,		3,  HW,  X_PKRU)	\
	X(OSPKE,		7_ECX,		4,  RUN, X_NONE)	\
	X(WAITPKG,		7_ECX,		5,  HW,  X_NONE)	\
	X(AVX512_VBMI2,		7_ECX,		6,  HW,  X_ZMM)		\
	X(GFNI,			7_ECX,		8,  HW,  X_NONE)	\
	X(VAES,			7_ECX,		9,  HW,  X_YMM)		\
	X(VPCLMULQDQ,		7_ECX,		10, HW,  X_YMM)		\
	X(AVX512_VNNI,		7_ECX,		11, HW,  X_ZMM)		\
	X(AVX512_BITALG,	7_ECX,		12, HW,  X_ZMM)		\
	X(AVX512_VPOPCNTDQ,	7_ECX,		14, HW,  X_ZMM)		\
	X(LA57,			7_ECX,		16, RAW, X_NONE)	\
	X(RDPID,		7_ECX,		22, HW,  X_NONE)	\
	X(CLDEMOTE,		7_ECX,		25, HW,  X_NONE)	\
	X(MOVDIRI,		7_ECX,		27, HW,  X_NONE)	\
	X(MOVDIR64B,		7_ECX,		28, HW,  X_NONE)	\
	X(AVX512_4VNNIW,	7_EDX,		2,  HW,  X_ZMM)		\
	X(AVX512_4FMAPS,	7_EDX,		3,  HW,  X_ZMM)		\
	X(FSRM,			7_EDX,		4,  HW,  X_NONE)	\
	X(AVX512_VP2INTERSECT,	7_EDX,		8,  HW,  X_ZMM)		\
	X(MD_CLEAR,		7_EDX,		10, HW,  X_NONE)	\
	X(SERIALIZE,		7_EDX,		14, HW,  X_NONE)	\
	X(TSXLDTRK,		7_EDX,		16, HW,  X_NONE)	\
	X(AVX512_FP16,		7_EDX,		23, HW,  X_ZMM)		\
	X(SPEC_CTRL,		7_EDX,		26, HW,  X_NONE)	\
	X(STIBP,		7_EDX,		27, HW,  X_NONE)	\
	X(L1D_FLUSH,		7_EDX,		28, HW,  X_NONE)	\
	X(ARCH_CAPABILITIES,	7_EDX,		29, ADD, X_NONE)	\
	X(SSBD,			7_EDX,		31, HW,  X_NONE)	\
	X(SHA512,		7_1_EAX,	0,  HW,  X_YMM)		\
	X(SM3,			7_1_EAX,	1,  HW,  X_YMM)		\
	X(SM4,			7_1_EAX,	2,  HW,  X_YMM)		\
	X(AVX_VNNI,		7_1_EAX,	4,  HW,  X_YMM)		\
	X(AVX512_BF16,		7_1_EAX,	5,  HW,  X_ZMM)		\
	X(CMPCCXADD,		7_1_EAX,	7,  HW,  X_NONE)	\
	X(FZRM,			7_1_EAX,	10, HW,  X_NONE)	\
	X(FSRS,			7_1_EAX,	11, HW,  X_NONE)	\
	X(FSRC,			7_1_EAX,	12, HW,  X_NONE)	\
	X(LKGS,			7_1_EAX,	18, HW,  X_NONE)	\
	X(AVX_IFMA,		7_1_EAX,	23, HW,  X_YMM)		\
	X(AVX_VNNI_INT8,	7_1_EDX,	4,  RAW, X_YMM)		\
	X(AVX_NE_CONVERT,	7_1_EDX,	5,  RAW, X_YMM)		\
	X(AVX_VNNI_INT16,	7_1_EDX,	10, RAW, X_YMM)		\
	X(PREFETCHI,		7_1_EDX,	14, RAW, X_NONE)	\
	X(AVX10,		7_1_EDX,	19, RAW, X_ZMM)		\
	X(PSFD,			7_2_EDX,	0,  RAW, X_NONE)	\
	X(IPRED_CTRL,		7_2_EDX,	1,  RAW, X_NONE)	\
	X(RRSBA_CTRL,		7_2_EDX,	2,  RAW, X_NONE)	\
	X(DDPD_U,		7_2_EDX,	3,  RAW, X_NONE)	\
	X(BHI_CTRL,		7_2_EDX,	4,  RAW, X_NONE)	\
	X(MCDT_NO,		7_2_EDX,	5,  RAW, X_NONE)	\
	X(XSAVEOPT,		D_1_EAX,	0,  HW,  X_NONE)	\
	X(XSAVEC,		D_1_EAX,	1,  HW,  X_NONE)	\
	X(XGETBV1,		D_1_EAX,	2,  HW,  X_NONE)	\
	X(XSAVES,		D_1_EAX,	3,  HW,  X_NONE)	\
	X(AVX10_128,		24_EBX,		16, RAW, X_ZMM)		\
	X(AVX10_256,		24_EBX,		17, RAW, X_ZMM)		\
	X(AVX10_512,		24_EBX,		18, RAW, X_ZMM)		\
	X(LAHF_LM,		80000001_ECX,	0,  HW,  X_NONE)	\
	X(CMP_LEGACY,		80000001_ECX,	1,  HW,  X_NONE)	\
	X(SVM,			80000001_ECX,	2,  ADD, X_NONE)	\
	X(CR8_LEGACY,		80000001_ECX,	4,  HW,  X_NONE)	\
	X(ABM,			80000001_ECX,	5,  HW,  X_NONE)	\
	X(SSE4A,		80000001_ECX,	6,  HW,  X_NONE)	\
	X(MISALIGNSSE,		80000001_ECX,	7,  HW,  X_NONE)	\
	X(3DNOWPREFETCH,	80000001_ECX,	8,  HW,  X_NONE)	\
	X(XOP,			80000001_ECX,	11, HW,  X_YMM)		\
	X(FMA4,			80000001_ECX,	16, HW,  X_YMM)		\
	X(TBM,			80000001_ECX,	21, HW,  X_NONE)	\
	X(TOPOEXT,		80000001_ECX,	22, HW,  X_NONE)	\
	X(AMD_FPU,		80000001_EDX,	0,  HW,  X_NONE)	\
	X(AMD_VME,		80000001_EDX,	1,  HW,  X_NONE)	\
	X(AMD_DE,		80000001_EDX,	2,  HW,  X_NONE)	\
	X(AMD_PSE,		80000001_EDX,	3,  HW,  X_NONE)	\
	X(AMD_TSC,		80000001_EDX,	4,  HW,  X_NONE)	\
	X(AMD_MSR,		80000001_EDX,	5,  HW,  X_NONE)	\
	X(AMD_PAE,		80000001_EDX,	6,  HW,  X_NONE)	\
	X(AMD_MCE,		80000001_EDX,	7,  HW,  X_NONE)	\
	X(AMD_CX8,		80000001_EDX,	8,  HW,  X_NONE)	\
	X(AMD_APIC,		80000001_EDX,	9,  HW,  X_NONE)	\
	X(SYSCALL,		80000001_EDX,	11, HW,  X_NONE)	\
	X(AMD_MTRR,		80000001_EDX,	12, HW,  X_NONE)	\
	X(AMD_PGE,		80000001_EDX,	13, HW,  X_NONE)	\
	X(AMD_MCA,		80000001_EDX,	14, HW,  X_NONE)	\
	X(AMD_CMOV,		80000001_EDX,	15, HW,  X_NONE)	\
	X(AMD_PAT,		80000001_EDX,	16, HW,  X_NONE)	\
	X(AMD_PSE36,		80000001_EDX,	17, HW,  X_NONE)	\
	X(NX,			80000001_EDX,	20, HW,  X_NONE)	\
	X(MMXEXT,		80000001_EDX,	22, HW,  X_NONE)	\
	X(AMD_MMX,		80000001_EDX,	23, HW,  X_NONE)	\
	X(AMD_FXSR,		80000001_EDX,	24, HW,  X_NONE)	\
	X(FFXSR,		80000001_EDX,	25, HW,  X_NONE)	\
	X(PAGE1GB,		80000001_EDX,	26, HW,  X_NONE)	\
	X(RDTSCP,		80000001_EDX,	27, HW,  X_NONE)	\
	X(LM,			80000001_EDX,	29, HW,  X_NONE)	\
	X(3DNOWEXT,		80000001_EDX,	30, HW,  X_NONE)	\
	X(3DNOW,		80000001_EDX,	31, HW,  X_NONE)	\
	X(INVARIANT_TSC,	80000007_EDX,	8,  ADD, X_NONE)	\
	X(CLZERO,		80000008_EBX,	0,  HW,  X_NONE)	\
	X(XSAVEERPTR,		80000008_EBX,	2,  HW,  X_NONE)	\
	X(WBNOINVD,		80000008_EBX,	9,  HW,  X_NONE)	\
	X(IBPB,			80000008_EBX,	12, HW,  X_NONE)	\
	X(IBRS,			80000008_EBX,	14, HW,  X_NONE)	\
	X(AMD_STIBP,		80000008_EBX,	15, HW,  X_NONE)	\
	X(STIBP_ALWAYS_ON,	80000008_EBX,	17, HW,  X_NONE)	\
	X(IBRS_SAME_MODE,	80000008_EBX,	19, HW,  X_NONE)	\
	X(EFER_LMSLE_MBZ,	80000008_EBX,	20, RAW, X_NONE)	\
	X(AMD_SSBD,		80000008_EBX,	24, HW,  X_NONE)	\
	X(SSB_NO,		80000008_EBX,	26, HW,  X_NONE)	\
	X(AMD_PSFD,		80000008_EBX,	28, HW,  X_NONE)	\
	X(IBPB_RET,		80000008_EBX,	30, HW,  X_NONE)	\
	X(NPT,			8000000A_EDX,	0,  ADD, X_NONE)	\
	X(NRIPS,		8000000A_EDX,	3,  ADD, X_NONE)	\
	X(VMCBCLEAN,		8000000A_EDX,	5,  ADD, X_NONE)	\
	X(FLUSHBYASID,		8000000A_EDX,	6,  ADD, X_NONE)	\
	X(DECODEASSISTS,	8000000A_EDX,	7,  ADD, X_NONE)	\
	X(PAUSEFILTER,		8000000A_EDX,	10, ADD, X_NONE)	\
	X(PFTHRESHOLD,		8000000A_EDX,	12, ADD, X_NONE)	\
	X(VGIF,			8000000A_EDX,	16, ADD, X_NONE)	\
	X(SVME_ADDR_CHK,	8000000A_EDX,	28, ADD, X_NONE)	\
	X(NO_NESTED_DATA_BP,	80000021_EAX,	0,  HW,  X_NONE)	\
	X(FSGS_KGS_BASE_NS,	80000021_EAX,	1,  HW,  X_NONE)	\
	X(LFENCE_SERIALIZING,	80000021_EAX,	2,  ADD, X_NONE)	\
	X(VERW_CLEAR,		80000021_EAX,	5,  HW,  X_NONE)	\
	X(NULL_SEL_CLEARS_BASE,	80000021_EAX,	6,  HW,  X_NONE)	\
	X(AUTO_IBRS,		80000021_EAX,	8,  HW,  X_NONE)	\
	X(NO_SMM_CTL_MSR,	80000021_EAX,	9,  EMU, X_NONE)	\
	X(CPUID_USER_DIS,	80000021_EAX,	17, EMU, X_NONE)	\
	X(AMD_PREFETCHI,	80000021_EAX,	20, HW,  X_NONE)	\
	X(SBPB,			80000021_EAX,	27, HW,  X_NONE)	\
	X(IBPB_BRTYPE,		80000021_EAX,	28, HW,  X_NONE)	\
	X(SRSO_NO,		80000021_EAX,	29, HW,  X_NONE)	\
	X(SRSO_USER_KERNEL_NO,	80000021_EAX,	30, HW,  X_NONE)	\
	X(TSA_SQ_NO,		80000021_ECX,	1,  RAW, X_NONE)	\
	X(TSA_L1_NO,		80000021_ECX,	2,  RAW, X_NONE)

enum feature {
#define X(name, word, bit, source, state) FEAT_##name = FW_##word * 32 + (bit),
	GUEST_FEATURES(X)
#undef X
};

#define FEATURE_WORD(feature)	((feature) / 32)
#define FEATURE_BIT(feature)	(1u << ((feature) % 32))

/* Which output of CPUID a word is. */
enum cpuid_reg { CPUID_REG_EAX, CPUID_REG_EBX, CPUID_REG_ECX, CPUID_REG_EDX };

/**
 * struct feature_leaf - where CPUID reports a word
 * @function: 0 for words that are no CPUID output
 */
struct feature_leaf {
	u32 function;
	u32 index;
	enum cpuid_reg reg;
};

extern const struct feature_leaf feature_leaves[FW_NR];

/**
 * feature_filter - the bits of a word that guests can be given
 * @word: enum feature_word
 * @raw: what the CPU's CPUID says
 * @kernel: what the kernel left of it; all ones for words that the kernel does not keep
 * @xcr0: XSAVE components that guests can have
 */
u32 feature_filter(int word, u32 raw, u32 kernel, u64 xcr0);

/* The bits of a word that follow registers: never advertised, honoured when user space sets them. */
u32 feature_runtime(int word);

#endif
