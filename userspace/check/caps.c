// SPDX-License-Identifier: GPL-2.0
/*
 * A CPU that has everything the manuals describe: what a dump is judged by that does not say where it was made. So no
 * rule is reported broken that some CPU would accept.
 */
#include "dump.h"

#define BIT(n)		(1ULL << (n))
#define BITS(high, low)	((~0ULL >> (63 - (high))) & (~0ULL << (low)))

/* A capability MSR of controls: bits that have to be 1, and those that may be. */
#define CONTROLS(one, may)	((uint64_t)((one) | (may)) << 32 | (one))

static const uint64_t vmx_caps[VCAP_NR] = {
	[VCAP_basic] = 0x00d8100000000012ULL,
	[VCAP_misc] = BIT(30) | BIT(29) | 4 << 16 | 7 << 6,
	[VCAP_pin] = CONTROLS(0x16, 0xe9),
	[VCAP_cpu] = CONTROLS(0x04006172, 0xfbfb9e8c),
	[VCAP_cpu2] = CONTROLS(0, 0xdfffffff),
	[VCAP_cpu3] = 0x9f,
	[VCAP_exit] = CONTROLS(0x00036dfb, 0xfffc9204),
	[VCAP_exit2] = 0xf,
	[VCAP_entry] = CONTROLS(0x000011fb, 0x00ffee04),
	[VCAP_cr0_fixed0] = 0x80000021,
	[VCAP_cr0_fixed1] = 0xffffffff,
	[VCAP_cr4_fixed0] = 0x2000,
	[VCAP_cr4_fixed1] = 0x11bff7fffULL,
	[VCAP_ept_vpid] = 0xf0106ff41c1ULL,
	[VCAP_vmfunc] = 1,
	[VCAP_physical_bits] = 52,
	[VCAP_linear_bits] = 48,
	[VCAP_debugctl_settable] = 0xdfc7,
	[VCAP_perf_global_settable] = BIT(48) | 0xfULL << 32 | 0xff,
	[VCAP_efer_settable] = 0xd01,
	[VCAP_rtit_settable] = BITS(56, 55) | BITS(47, 0),
	[VCAP_lbr_settable] = 0x7f000f,
	[VCAP_host_lma] = 1,
	[VCAP_sgx] = 1,
	[VCAP_rtm] = 1,
	[VCAP_bus_lock] = 1,
};

static const uint64_t svm_caps[SCAP_NR] = {
	[SCAP_features] = 0xffffffff,
	[SCAP_physical_bits] = 52,
	[SCAP_linear_bits] = 48,
	[SCAP_cr4_settable] = 0xf71fff,
	[SCAP_efer_settable] = 0x36fd01,
	[SCAP_long_mode] = 1,
	[SCAP_asids] = 0x10000,
	[SCAP_sev] = 3,
};

/** caps__default() - let a state be that of a CPU with all features */
void caps__default(struct check_state *state)
{
	if (state->table == &check_vmx)
		memcpy(state->caps, vmx_caps, sizeof(vmx_caps));
	else
		memcpy(state->caps, svm_caps, sizeof(svm_caps));
	caps__finish(state, false);
}

/**
 * caps__finish() - derive what follows from the widths of addresses
 * @cr3_given: the bits that may be set in CR3 are known
 *
 * Linear-address masking has two bits of its own in CR3.
 */
void caps__finish(struct check_state *state, bool cr3_given)
{
	if (cr3_given)
		return;
	if (state->table == &check_vmx)
		state->caps[VCAP_cr3_settable] = BITS(state->caps[VCAP_physical_bits] - 1, 0) | BITS(62, 61);
	else
		state->caps[SCAP_cr3_settable] = BITS(state->caps[SCAP_physical_bits] - 1, 0);
}
