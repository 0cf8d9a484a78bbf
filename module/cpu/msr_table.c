// SPDX-License-Identifier: GPL-2.0
/*
 * The MSRs of a guest, sorted by number. This one table makes the index lists, and says which CPUID
 * bit an MSR needs, who may access it, and what an access does. Vendor-only MSRs are asked of the
 * vendor.
 */
#include <asm/msr-index.h>
#include <asm/mtrr.h>

#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "vm/ops.h"

#include <uapi/asm/kvm_para.h>

#define ROW(msr)		.first = msr, .last = msr, .name = #msr
#define RANGE(msr, from, to)	.first = from, .last = to, .name = #msr

#define CONST(value)		.get = msr_get_const, .bits = value
#define IGNORED			.set = msr_set_ignored
#define STORED(member)		.field = offsetof(struct cpu_state, member), .get = msr_get_stored
#define IN_REGS(member, of)	.field = offsetof(struct regs, member), .group = of, .get = msr_get_reg

#define VCNT			8	/* variable-range MTRRs: VCNT of MTRRcap */

const struct msr_desc msr_table[] = {
	{ RANGE(IA32_P5_MC, MSR_IA32_P5_MC_ADDR, MSR_IA32_P5_MC_TYPE), CONST(0) },
	{ ROW(MSR_IA32_TSC), .flags = MSR_LISTED | MSR_EFFECT, .get = msr_get_tsc,
	  .set = msr_set_tsc },
	{ ROW(MSR_KVM_WALL_CLOCK), .flags = MSR_LISTED | MSR_STRICT | MSR_EFFECT,
	  .feature = MSR_PV_FEATURE(KVM_FEATURE_CLOCKSOURCE),
	  .get = msr_get_wall_clock, .set = msr_set_wall_clock },
	{ ROW(MSR_KVM_SYSTEM_TIME), .flags = MSR_LISTED | MSR_STRICT | MSR_EFFECT,
	  .feature = MSR_PV_FEATURE(KVM_FEATURE_CLOCKSOURCE),
	  STORED(system_time_msr), .set = msr_set_system_time },
	{ ROW(MSR_IA32_PLATFORM_ID), CONST(0) },
	{ ROW(MSR_IA32_APICBASE), .get = msr_get_apicbase, .set = msr_set_apicbase },
	{ ROW(MSR_IA32_EBL_CR_POWERON), CONST(0) },
	/* A bus ratio of one: guests divide by it. */
	{ ROW(MSR_EBC_FREQUENCY_ID), CONST(1 << 24) },
	{ ROW(MSR_SMI_COUNT), .flags = MSR_LISTED, STORED(smi_count), .bits = ~0ull,
	  .set = msr_set_stored_host },
	{ ROW(MSR_IA32_FEAT_CTL), .flags = MSR_LISTED | MSR_INTEL, STORED(feat_ctl),
	  .set = msr_set_feat_ctl },
	{ ROW(MSR_IA32_TSC_ADJUST), .flags = MSR_LISTED | MSR_EFFECT, STORED(tsc_adjust),
	  .set = msr_set_tsc_adjust },
	{ ROW(MSR_IA32_SPEC_CTRL), .flags = MSR_LISTED | MSR_PROBED, .get = msr_get_spec_ctrl,
	  .set = msr_set_spec_ctrl },
	{ ROW(MSR_IA32_PRED_CMD), .flags = MSR_EFFECT, .set = msr_set_pred_cmd },
	{ ROW(MSR_IA32_UCODE_WRITE), IGNORED },
	{ ROW(MSR_IA32_UCODE_REV), .flags = MSR_LISTED | MSR_FEATURE, STORED(ucode_rev),
	  .set = msr_set_ucode_rev, .host_value = msr_host_ucode_rev },
	{ RANGE(P6_PERFCTR, MSR_P6_PERFCTR0, MSR_P6_PERFCTR1), CONST(0), IGNORED },
	{ RANGE(FSB_FREQ, 0xcd, 0xcd), CONST(3) },
	{ ROW(MSR_PLATFORM_INFO), .flags = MSR_LISTED | MSR_FEATURE,
	  .field = offsetof(struct cpu_state, platform_info), .get = msr_get_platform_info,
	  .bits = ~0ull, .set = msr_set_stored_host, .host_value = msr_host_platform_info },
	{ ROW(MSR_IA32_UMWAIT_CONTROL), .flags = MSR_LISTED, .feature = FEAT_WAITPKG,
	  STORED(umwait_control), .bits = GENMASK_ULL(31, 2) | BIT(0), .set = msr_set_stored },
	/* Write-combining and fixed ranges. */
	{ ROW(MSR_MTRRcap), CONST(BIT(10) | BIT(8) | VCNT) },
	{ ROW(MSR_IA32_ARCH_CAPABILITIES),
	  .flags = MSR_LISTED | MSR_FEATURE | MSR_STRICT | MSR_INTEL,
	  .feature = FEAT_ARCH_CAPABILITIES, STORED(arch_capabilities), .bits = ~0ull,
	  .set = msr_set_stored_host, .host_value = msr_host_arch_capabilities },
	{ ROW(MSR_IA32_FLUSH_CMD), .flags = MSR_EFFECT, .feature = FEAT_L1D_FLUSH,
	  .set = msr_set_flush_cmd },
	/* An L2 cache of 256 KiB that is configured and on; written by old Windows. */
	{ ROW(MSR_IA32_BBL_CR_CTL3), CONST(0xbe702111), IGNORED },
	{ ROW(MSR_MISC_FEATURES_ENABLES), .flags = MSR_LISTED, STORED(misc_features),
	  .set = msr_set_misc_features },
	{ ROW(MSR_IA32_SYSENTER_CS), .flags = MSR_LISTED, IN_REGS(sysenter_cs, REGS_SYSCALL),
	  .set = msr_set_reg },
	{ ROW(MSR_IA32_SYSENTER_ESP), .flags = MSR_LISTED, IN_REGS(sysenter_esp, REGS_SYSCALL),
	  .set = msr_set_sysenter },
	{ ROW(MSR_IA32_SYSENTER_EIP), .flags = MSR_LISTED, IN_REGS(sysenter_eip, REGS_SYSCALL),
	  .set = msr_set_sysenter },
	{ ROW(MSR_IA32_MCG_CAP), STORED(mcg_cap) },
	{ ROW(MSR_IA32_MCG_STATUS), .flags = MSR_LISTED, STORED(mcg_status), .bits = ~0ull,
	  .set = msr_set_stored },
	{ ROW(MSR_IA32_MCG_CTL), .flags = MSR_LISTED, .get = msr_get_mcg_ctl,
	  .set = msr_set_mcg_ctl },
	{ RANGE(P6_EVNTSEL, MSR_P6_EVNTSEL0, MSR_P6_EVNTSEL1), CONST(0), IGNORED },
	{ ROW(MSR_IA32_PERF_STATUS), CONST(1000 | 4ull << 40) },
	{ ROW(MSR_IA32_PERF_CTL), CONST(0) },
	{ ROW(MSR_IA32_MISC_ENABLE), .flags = MSR_LISTED, STORED(misc_enable),
	  .set = msr_set_misc_enable },
	{ ROW(MSR_IA32_DEBUGCTLMSR), .flags = MSR_LISTED, IN_REGS(debugctl, REGS_DEBUGCTL),
	  .set = msr_set_debugctl },
	{ RANGE(LASTBRANCH, MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP), CONST(0) },
	{ ROW(MSR_IA32_POWER_CTL), .flags = MSR_LISTED, STORED(power_ctl), .bits = ~0ull,
	  .set = msr_set_stored },
	{ RANGE(MTRRphys, MTRRphysBase_MSR(0), MTRRphysMask_MSR(VCNT - 1)), .get = msr_get_mtrr,
	  .set = msr_set_mtrr },
	{ ROW(MSR_MTRRfix64K_00000), .get = msr_get_mtrr, .set = msr_set_mtrr },
	{ RANGE(MTRRfix16K, MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000), .get = msr_get_mtrr,
	  .set = msr_set_mtrr },
	{ RANGE(MTRRfix4K, MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_F8000), .get = msr_get_mtrr,
	  .set = msr_set_mtrr },
	{ ROW(MSR_IA32_CR_PAT), .flags = MSR_LISTED, IN_REGS(pat, REGS_PAT), .set = msr_set_pat },
	{ RANGE(IA32_MCi_CTL2, MSR_IA32_MC0_CTL2, MSR_IA32_MCx_CTL2(MCE_BANKS) - 1),
	  .get = msr_get_mci_ctl2, .set = msr_set_mci_ctl2 },
	{ ROW(MSR_MTRRdefType), .get = msr_get_mtrr, .set = msr_set_mtrr },
	{ RANGE(IA32_MCi, MSR_IA32_MC0_CTL, MSR_IA32_MCx_CTL(MCE_BANKS) - 1),
	  .get = msr_get_mce_bank, .set = msr_set_mce_bank },
	{ ROW(MSR_IA32_MCG_EXT_CTL), .flags = MSR_LISTED | MSR_INTEL, .get = msr_get_mcg_ext_ctl,
	  .set = msr_set_mcg_ext_ctl },
	/* Power metering: zero is 'nothing was used', and hides the host's. */
	{ ROW(MSR_RAPL_POWER_UNIT), CONST(0) },
	{ ROW(MSR_PKG_ENERGY_STATUS), CONST(0) },
	{ ROW(MSR_DRAM_ENERGY_STATUS), CONST(0) },
	{ ROW(MSR_PP0_ENERGY_STATUS), CONST(0) },
	{ ROW(MSR_PP1_ENERGY_STATUS), CONST(0) },
	{ ROW(MSR_IA32_TSC_DEADLINE), .flags = MSR_LISTED | MSR_EFFECT,
	  .get = msr_get_tscdeadline, .set = msr_set_tscdeadline },
	{ RANGE(x2APIC, 0x800, 0x8ff), .flags = MSR_EFFECT, .get = msr_get_x2apic,
	  .set = msr_set_x2apic },
	{ ROW(MSR_IA32_XSS), .feature = FEAT_XSAVES, .field = offsetof(struct cpu_state, fpu.xss),
	  .get = msr_get_stored, .set = msr_set_xss },
	{ ROW(MSR_KVM_WALL_CLOCK_NEW), .flags = MSR_LISTED | MSR_STRICT | MSR_EFFECT,
	  .feature = MSR_PV_FEATURE(KVM_FEATURE_CLOCKSOURCE2),
	  .get = msr_get_wall_clock, .set = msr_set_wall_clock },
	{ ROW(MSR_KVM_SYSTEM_TIME_NEW), .flags = MSR_LISTED | MSR_STRICT | MSR_EFFECT,
	  .feature = MSR_PV_FEATURE(KVM_FEATURE_CLOCKSOURCE2),
	  STORED(system_time_msr), .set = msr_set_system_time },
	{ ROW(MSR_KVM_STEAL_TIME), .flags = MSR_LISTED | MSR_STRICT,
	  .feature = MSR_PV_FEATURE(KVM_FEATURE_STEAL_TIME),
	  STORED(steal_msr), .set = msr_set_steal_time },
	{ ROW(MSR_KVM_POLL_CONTROL), .flags = MSR_LISTED | MSR_STRICT,
	  .feature = MSR_PV_FEATURE(KVM_FEATURE_POLL_CONTROL),
	  STORED(poll_control), .bits = 1, .set = msr_set_stored },
	{ ROW(MSR_EFER), .field = offsetof(struct regs, efer), .group = REGS_EFER,
	  .get = msr_get_reg, .set = msr_set_efer },
	{ ROW(MSR_STAR), .flags = MSR_LISTED, IN_REGS(star, REGS_SYSCALL), .set = msr_set_reg },
	{ ROW(MSR_LSTAR), .flags = MSR_LISTED | MSR_CANONICAL, IN_REGS(lstar, REGS_SYSCALL),
	  .set = msr_set_reg },
	{ ROW(MSR_CSTAR), .flags = MSR_LISTED | MSR_CANONICAL, IN_REGS(cstar, REGS_SYSCALL),
	  .set = msr_set_reg },
	{ ROW(MSR_SYSCALL_MASK), .flags = MSR_LISTED, IN_REGS(sfmask, REGS_SYSCALL),
	  .set = msr_set_reg },
	{ RANGE(FS_GS_BASE, MSR_FS_BASE, MSR_GS_BASE), .flags = MSR_CANONICAL,
	  .get = msr_get_segment_base, .set = msr_set_segment_base },
	{ ROW(MSR_KERNEL_GS_BASE), .flags = MSR_LISTED | MSR_CANONICAL,
	  IN_REGS(kernel_gs_base, REGS_SYSCALL), .set = msr_set_reg },
	{ ROW(MSR_TSC_AUX), .flags = MSR_LISTED, .feature = FEAT_RDTSCP, STORED(tsc_aux),
	  .set = msr_set_tsc_aux },
	{ RANGE(K7_PERF, MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3), CONST(0), IGNORED },
	{ ROW(MSR_AMD64_SYSCFG), CONST(0) },
	{ ROW(MSR_K7_HWCR), .flags = MSR_LISTED, STORED(hwcr), .set = msr_set_hwcr },
	/* The ramp-up count that Linux looks for on K7. */
	{ ROW(MSR_K7_CLK_CTL), CONST(0x20000000), IGNORED },
	{ ROW(MSR_AMD64_NB_CFG), CONST(0), IGNORED },
	{ ROW(MSR_AMD64_PATCH_LOADER), IGNORED },
	{ ROW(MSR_K8_INT_PENDING_MSG), CONST(0) },
	/* No memory-mapped configuration space by this way: only 'off' can be written. */
	{ ROW(MSR_FAM10H_MMIO_CONF_BASE), STORED(mmio_conf_base), .set = msr_set_stored },
	{ RANGE(K8_TSEG, MSR_K8_TSEG_ADDR, MSR_K8_TSEG_MASK), CONST(0) },
	{ ROW(MSR_F15H_IC_CFG), .flags = MSR_AMD, CONST(0) },
	{ RANGE(AMD64_DC_CFG, MSR_AMD64_DC_CFG, MSR_AMD64_TW_CFG), CONST(0), IGNORED },
	{ ROW(MSR_AMD64_DE_CFG), .flags = MSR_FEATURE | MSR_AMD, STORED(de_cfg),
	  .set = msr_set_de_cfg, .host_value = msr_host_de_cfg },
	{ ROW(MSR_AMD64_BU_CFG2), CONST(0), IGNORED },
	{ ROW(MSR_F15H_EX_CFG), CONST(0), IGNORED },
};

const unsigned int msr_table_size = ARRAY_SIZE(msr_table);
static_assert(ARRAY_SIZE(msr_table) <= U8_MAX + 1);	/* row_hint[] of msr.c */
