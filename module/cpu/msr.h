/* SPDX-License-Identifier: GPL-2.0 */
/* MSRs inside cpu/ and pv/: the table's rows and the functions that they name. */
#ifndef NESTOR_CPU_MSR_H
#define NESTOR_CPU_MSR_H

#include <linux/types.h>

struct vcpu;
struct msr_desc;

/**
 * struct msr_access - one read or write
 * @value: in for a write, out for a read
 * @host: user space does it, through KVM_GET_MSRS or KVM_SET_MSRS
 */
struct msr_access {
	const struct msr_desc *desc;
	u32 index;
	bool host;
	u64 value;
};

/**
 * enum msr_flags - what a row of the table says
 * @MSR_LISTED:	in KVM_GET_MSR_INDEX_LIST
 * @MSR_PROBED:	listed only if this CPU has the MSR too
 * @MSR_FEATURE: in KVM_GET_MSR_FEATURE_INDEX_LIST; cannot change once the vCPU has run
 * @MSR_INTEL, @MSR_AMD: exists only where the host's CPU is of that kind
 * @MSR_STRICT:	without the feature it does not exist for user space either
 * @MSR_EFFECT:	a write does something, the same value as before too
 * @MSR_CANONICAL: holds an address
 */
enum msr_flags {
	MSR_LISTED	= BIT(0),
	MSR_PROBED	= BIT(1),
	MSR_FEATURE	= BIT(2),
	MSR_INTEL	= BIT(3),
	MSR_AMD		= BIT(4),
	MSR_STRICT	= BIT(5),
	MSR_EFFECT	= BIT(6),
	MSR_CANONICAL	= BIT(7),
};

/* For @feature of a row: a bit of KVM's own leaf instead of an enum feature. */
#define MSR_PV			0x8000
#define MSR_PV_FEATURE(bit)	(MSR_PV | (bit))

/**
 * struct msr_desc - a row of the table: one MSR, or a range that works alike
 * @feature: what the guest's CPUID must have (enum feature), or MSR_PV_FEATURE(); 0: nothing
 * @field: of the stored value, in struct cpu_state or struct regs
 * @group: REGS_* of a value in struct regs
 * @bits: constants: the value; stored values: bits that may be set
 * @get, @set: 0; -EINVAL: #GP; -ENOENT: no such MSR; -EAGAIN: leave the burst first. NULL: -ENOENT
 * @host_value: MSR_FEATURE: what KVM_GET_MSRS on the system file says
 */
struct msr_desc {
	u32 first, last;
	const char *name;
	u16 flags;
	u16 feature;
	u16 field;
	u32 group;
	u64 bits;
	int (*get)(struct vcpu *vcpu, struct msr_access *a);
	int (*set)(struct vcpu *vcpu, struct msr_access *a);
	u64 (*host_value)(u32 msr);
};

extern const struct msr_desc msr_table[];
extern const unsigned int msr_table_size;

int msr_setup(void);			/* after cpuid_setup() */
void msr_cleanup(void);
void msr_vcpu_init(struct vcpu *vcpu);
bool msr_address_canonical(u64 address);

/* msr_misc.c */
int msr_get_const(struct vcpu *vcpu, struct msr_access *a);
int msr_get_stored(struct vcpu *vcpu, struct msr_access *a);
int msr_set_stored(struct vcpu *vcpu, struct msr_access *a);
int msr_set_stored_host(struct vcpu *vcpu, struct msr_access *a);
int msr_set_ignored(struct vcpu *vcpu, struct msr_access *a);
int msr_get_reg(struct vcpu *vcpu, struct msr_access *a);
int msr_set_reg(struct vcpu *vcpu, struct msr_access *a);
int msr_set_sysenter(struct vcpu *vcpu, struct msr_access *a);
int msr_get_segment_base(struct vcpu *vcpu, struct msr_access *a);
int msr_set_segment_base(struct vcpu *vcpu, struct msr_access *a);
int msr_get_pat(struct vcpu *vcpu, struct msr_access *a);
int msr_set_pat(struct vcpu *vcpu, struct msr_access *a);
int msr_set_efer(struct vcpu *vcpu, struct msr_access *a);
int msr_get_apicbase(struct vcpu *vcpu, struct msr_access *a);
int msr_set_apicbase(struct vcpu *vcpu, struct msr_access *a);
int msr_get_x2apic(struct vcpu *vcpu, struct msr_access *a);
int msr_set_x2apic(struct vcpu *vcpu, struct msr_access *a);
int msr_get_tscdeadline(struct vcpu *vcpu, struct msr_access *a);
int msr_set_tscdeadline(struct vcpu *vcpu, struct msr_access *a);
int msr_set_tsc_aux(struct vcpu *vcpu, struct msr_access *a);
int msr_set_feat_ctl(struct vcpu *vcpu, struct msr_access *a);
int msr_get_vendor(struct vcpu *vcpu, struct msr_access *a);
int msr_set_vendor(struct vcpu *vcpu, struct msr_access *a);
u64 msr_host_vendor(u32 msr);
int msr_get_spec_ctrl(struct vcpu *vcpu, struct msr_access *a);
int msr_set_spec_ctrl(struct vcpu *vcpu, struct msr_access *a);
int msr_set_pred_cmd(struct vcpu *vcpu, struct msr_access *a);
int msr_set_flush_cmd(struct vcpu *vcpu, struct msr_access *a);
int msr_set_ucode_rev(struct vcpu *vcpu, struct msr_access *a);
int msr_get_smbase(struct vcpu *vcpu, struct msr_access *a);
int msr_get_platform_info(struct vcpu *vcpu, struct msr_access *a);
int msr_set_misc_features(struct vcpu *vcpu, struct msr_access *a);
int msr_set_misc_enable(struct vcpu *vcpu, struct msr_access *a);
int msr_set_debugctl(struct vcpu *vcpu, struct msr_access *a);
int msr_set_xss(struct vcpu *vcpu, struct msr_access *a);
int msr_set_hwcr(struct vcpu *vcpu, struct msr_access *a);
int msr_set_de_cfg(struct vcpu *vcpu, struct msr_access *a);
u64 msr_host_arch_capabilities(u32 msr);
u64 msr_host_ucode_rev(u32 msr);
u64 msr_host_platform_info(u32 msr);
u64 msr_host_de_cfg(u32 msr);

/* mtrr.c */
int msr_get_mtrr(struct vcpu *vcpu, struct msr_access *a);
int msr_set_mtrr(struct vcpu *vcpu, struct msr_access *a);

/* mce.c */
int msr_get_mcg_ctl(struct vcpu *vcpu, struct msr_access *a);
int msr_set_mcg_ctl(struct vcpu *vcpu, struct msr_access *a);
int msr_get_mce_bank(struct vcpu *vcpu, struct msr_access *a);
int msr_set_mce_bank(struct vcpu *vcpu, struct msr_access *a);
int msr_get_mci_ctl2(struct vcpu *vcpu, struct msr_access *a);
int msr_set_mci_ctl2(struct vcpu *vcpu, struct msr_access *a);
int msr_get_mcg_ext_ctl(struct vcpu *vcpu, struct msr_access *a);
int msr_set_mcg_ext_ctl(struct vcpu *vcpu, struct msr_access *a);

/* tsc.c */
int msr_get_tsc(struct vcpu *vcpu, struct msr_access *a);
int msr_set_tsc(struct vcpu *vcpu, struct msr_access *a);
int msr_set_tsc_adjust(struct vcpu *vcpu, struct msr_access *a);

/* pv/kvmclock.c, pv/steal.c */
int msr_get_wall_clock(struct vcpu *vcpu, struct msr_access *a);
int msr_set_wall_clock(struct vcpu *vcpu, struct msr_access *a);
int msr_set_system_time(struct vcpu *vcpu, struct msr_access *a);
int msr_set_steal_time(struct vcpu *vcpu, struct msr_access *a);

/* pv/apf.c, irq/lapic_share.c */
int msr_get_apf_enable(struct vcpu *vcpu, struct msr_access *a);
int msr_set_apf_enable(struct vcpu *vcpu, struct msr_access *a);
int msr_get_apf_vector(struct vcpu *vcpu, struct msr_access *a);
int msr_set_apf_vector(struct vcpu *vcpu, struct msr_access *a);
int msr_set_apf_ack(struct vcpu *vcpu, struct msr_access *a);
int msr_get_pv_eoi(struct vcpu *vcpu, struct msr_access *a);
int msr_set_pv_eoi(struct vcpu *vcpu, struct msr_access *a);

#endif
