// SPDX-License-Identifier: GPL-2.0
/*
 * What accesses to MSRs do, as far as it is not a topic of its own (tsc.c, mtrr.c, mce.c, ../pv/).
 */
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/msr-index.h>

#include "cpu/cpuid.h"
#include "cpu/guest_state.h"
#include "cpu/msr.h"
#include "irq/irq.h"
#include "vm/ops.h"

#include <uapi/asm/kvm_para.h>

/* As wide as the CPU's, not the guest's, addresses: the check that VM entry makes. */
static u8 linear_bits(void)
{
	return cpu_offers(FEAT_LA57) ? 57 : 48;
}

static u64 make_canonical(u64 address)
{
	u8 shift = 64 - linear_bits();

	return (s64)(address << shift) >> shift;
}

bool msr_address_canonical(u64 address)
{
	return make_canonical(address) == address;
}

int msr_get_const(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = a->desc->bits;
	return 0;
}

static u64 *stored(struct vcpu *vcpu, const struct msr_access *a)
{
	return (void *)&vcpu->cpu_state + a->desc->field;
}

int msr_get_stored(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = *stored(vcpu, a);
	return 0;
}

int msr_set_stored(struct vcpu *vcpu, struct msr_access *a)
{
	if (a->value & ~a->desc->bits)
		return -EINVAL;
	*stored(vcpu, a) = a->value;
	return 0;
}

/* Read-only for the guest; user space describes the CPU with it. */
int msr_set_stored_host(struct vcpu *vcpu, struct msr_access *a)
{
	if (!a->host)
		return -EINVAL;
	return msr_set_stored(vcpu, a);
}

int msr_set_ignored(struct vcpu *vcpu, struct msr_access *a)
{
	return 0;
}

static u64 *in_regs(struct vcpu *vcpu, const struct msr_access *a)
{
	vcpu_fetch(vcpu, a->desc->group);
	return (void *)&vcpu->regs + a->desc->field;
}

int msr_get_reg(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = *in_regs(vcpu, a);
	return 0;
}

int msr_set_reg(struct vcpu *vcpu, struct msr_access *a)
{
	u64 *reg = in_regs(vcpu, a);

	if (*reg == a->value)
		return 0;
	*reg = a->value;
	vcpu_dirty(vcpu, a->desc->group);
	return 0;
}

/*
 * AMD's CPUs have no upper half of the SYSENTER addresses, Intel's fault on one that is not canonical. Made
 * canonical, a guest's of the other vendor can be loaded too.
 */
int msr_set_sysenter(struct vcpu *vcpu, struct msr_access *a)
{
	if (cpu_caps.svm && vcpu->cpu_state.vendor_amd)
		a->value = (u32)a->value;
	a->value = make_canonical(a->value);
	return msr_set_reg(vcpu, a);
}

static struct segment *based_segment(struct vcpu *vcpu, const struct msr_access *a)
{
	vcpu_fetch(vcpu, REGS_SEGS);
	return &vcpu->regs.seg[a->index == MSR_FS_BASE ? SEG_FS : SEG_GS];
}

int msr_get_segment_base(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = based_segment(vcpu, a)->base;
	return 0;
}

int msr_set_segment_base(struct vcpu *vcpu, struct msr_access *a)
{
	based_segment(vcpu, a)->base = a->value;
	vcpu_dirty(vcpu, REGS_SEGS);
	return 0;
}

/* User space's is L1's where L2 has one of its own. */
static u64 *l1_pat(struct vcpu *vcpu, const struct msr_access *a)
{
	return a->host && vcpu->nested.guest_mode && vendor->nested->l1_pat ? vendor->nested->l1_pat(vcpu) : NULL;
}

int msr_get_pat(struct vcpu *vcpu, struct msr_access *a)
{
	const u64 *pat = l1_pat(vcpu, a);

	if (!pat)
		return msr_get_reg(vcpu, a);
	a->value = *pat;
	return 0;
}

/* SDM, IA32_PAT MSR: eight memory types, of which 2 and 3 do not exist. */
int msr_set_pat(struct vcpu *vcpu, struct msr_access *a)
{
	u64 *pat = l1_pat(vcpu, a);
	int i;

	for (i = 0; i < 64; i += 8) {
		u8 type = a->value >> i;

		if (type > 7 || type == 2 || type == 3)
			return -EINVAL;
	}
	if (!pat)
		return msr_set_reg(vcpu, a);
	*pat = a->value;
	return 0;
}

int msr_set_efer(struct vcpu *vcpu, struct msr_access *a)
{
	return cpu_set_efer(vcpu, a->value, a->host);
}

int msr_get_apicbase(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = lapic_get_base(vcpu);
	return 0;
}

int msr_set_apicbase(struct vcpu *vcpu, struct msr_access *a)
{
	int err = lapic_set_base(vcpu, a->value, a->host);

	if (!err)
		cpuid_mark_stale(vcpu);
	return err;
}

int msr_get_x2apic(struct vcpu *vcpu, struct msr_access *a)
{
	return vcpu->lapic ? lapic_msr_read(vcpu, a->index, &a->value) : -EINVAL;
}

int msr_set_x2apic(struct vcpu *vcpu, struct msr_access *a)
{
	return vcpu->lapic ? lapic_msr_write(vcpu, a->index, a->value, a->host) : -EINVAL;
}

int msr_get_pv_eoi(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = vcpu->pv_eoi;
	return 0;
}

int msr_set_pv_eoi(struct vcpu *vcpu, struct msr_access *a)
{
	return lapic_set_pv_eoi(vcpu, a->value);
}

int msr_get_tscdeadline(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = vcpu->lapic ? lapic_get_tscdeadline(vcpu) : 0;
	return 0;
}

int msr_set_tscdeadline(struct vcpu *vcpu, struct msr_access *a)
{
	if (!vcpu->lapic)
		return 0;
	if (a->host)
		lapic_stage_tscdeadline(vcpu, a->value);
	else
		lapic_set_tscdeadline(vcpu, a->value);
	return 0;
}

/* The upper half: reserved on Intel, ignored by AMD's CPUs. */
int msr_set_tsc_aux(struct vcpu *vcpu, struct msr_access *a)
{
	if (!vcpu->cpu_state.vendor_amd && a->value >> 32)
		return -EINVAL;
	guest_tsc_aux_set(vcpu, a->value);
	return 0;
}

/* User space may set what a guest with VMX would have: it describes a machine, not this one. */
#define FEAT_CTL_HOST_BITS	(FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_INSIDE_SMX |	\
				 FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX | FEAT_CTL_SGX_LC_ENABLED |	\
				 FEAT_CTL_SGX_ENABLED | FEAT_CTL_LMCE_ENABLED)

int msr_set_feat_ctl(struct vcpu *vcpu, struct msr_access *a)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u64 valid = FEAT_CTL_HOST_BITS;

	if (!a->host) {
		if (c->feat_ctl & FEAT_CTL_LOCKED)
			return -EINVAL;
		valid = FEAT_CTL_LOCKED;
		if (guest_has(vcpu, FEAT_VMX))
			valid |= FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
		if (c->mcg_cap & MCG_LMCE_P)
			valid |= FEAT_CTL_LMCE_ENABLED;
	}
	if (a->value & ~valid)
		return -EINVAL;
	c->feat_ctl = a->value;
	return 0;
}

/* MSRs that the vendor's own code keeps, and that are listed. */
int msr_get_vendor(struct vcpu *vcpu, struct msr_access *a)
{
	return vendor->get_msr(vcpu, a->index, &a->value, a->host);
}

int msr_set_vendor(struct vcpu *vcpu, struct msr_access *a)
{
	return vendor->set_msr(vcpu, a->index, a->value, a->host);
}

u64 msr_host_vendor(u32 msr)
{
	u64 value = 0;

	if (vendor->get_feature_msr)
		vendor->get_feature_msr(msr, &value);
	return value;
}

/* Any of the features that the bits of SPEC_CTRL belong to. */
static bool guest_has_spec_ctrl(struct vcpu *vcpu)
{
	return guest_has(vcpu, FEAT_SPEC_CTRL) || guest_has(vcpu, FEAT_STIBP) ||
	       guest_has(vcpu, FEAT_SSBD) || guest_has(vcpu, FEAT_IBRS) ||
	       guest_has(vcpu, FEAT_AMD_STIBP) || guest_has(vcpu, FEAT_AMD_SSBD);
}

#define SPEC_CTRL_IPRED_DIS	GENMASK_ULL(4, 3)
#define SPEC_CTRL_RRSBA_DIS	GENMASK_ULL(6, 5)
#define SPEC_CTRL_PSFD_BIT	BIT_ULL(7)
#define SPEC_CTRL_DDPD_U_DIS	BIT_ULL(8)
#define SPEC_CTRL_BHI_DIS	BIT_ULL(10)

/* What this CPU takes: an entry with any other bit would fault. */
static u64 spec_ctrl_bits(void)
{
	static const struct {
		enum feature feature;
		u64 bits;
	} rows[] = {
		{ FEAT_SPEC_CTRL, SPEC_CTRL_IBRS },	{ FEAT_IBRS, SPEC_CTRL_IBRS },
		{ FEAT_STIBP, SPEC_CTRL_STIBP },	{ FEAT_AMD_STIBP, SPEC_CTRL_STIBP },
		{ FEAT_SSBD, SPEC_CTRL_SSBD },		{ FEAT_AMD_SSBD, SPEC_CTRL_SSBD },
		{ FEAT_IPRED_CTRL, SPEC_CTRL_IPRED_DIS }, { FEAT_RRSBA_CTRL, SPEC_CTRL_RRSBA_DIS },
		{ FEAT_PSFD, SPEC_CTRL_PSFD_BIT },	{ FEAT_AMD_PSFD, SPEC_CTRL_PSFD_BIT },
		{ FEAT_DDPD_U, SPEC_CTRL_DDPD_U_DIS },	{ FEAT_BHI_CTRL, SPEC_CTRL_BHI_DIS },
	};
	u64 bits = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (cpu_offers(rows[i].feature))
			bits |= rows[i].bits;
	return bits;
}

int msr_get_spec_ctrl(struct vcpu *vcpu, struct msr_access *a)
{
	if (!a->host && !guest_has_spec_ctrl(vcpu))
		return -EINVAL;
	a->value = vcpu->cpu_state.spec_ctrl;
	return 0;
}

int msr_set_spec_ctrl(struct vcpu *vcpu, struct msr_access *a)
{
	struct cpu_state *c = &vcpu->cpu_state;

	if (!a->host && !guest_has_spec_ctrl(vcpu))
		return -EINVAL;
	if (a->value & ~spec_ctrl_bits())
		return -EINVAL;
	/* From its first use on the guest may write it without an exit. */
	if (!c->spec_ctrl && a->value)
		vcpu_request(vcpu, REQ_INTERCEPTS);
	c->spec_ctrl = a->value;
	return 0;
}

/* A command: the barrier is what the guest asks for, on the CPU that it runs on. */
int msr_set_pred_cmd(struct vcpu *vcpu, struct msr_access *a)
{
	bool ibpb = boot_cpu_has(X86_FEATURE_IBPB), sbpb = cpu_offers(FEAT_SBPB);

	if (!a->host) {
		ibpb &= guest_has(vcpu, FEAT_SPEC_CTRL) || guest_has(vcpu, FEAT_IBPB);
		sbpb &= guest_has(vcpu, FEAT_SBPB);
		if (!ibpb && !sbpb)
			return -EINVAL;
	}
	if (a->value & ~((ibpb ? PRED_CMD_IBPB : 0) | (sbpb ? PRED_CMD_SBPB : 0)))
		return -EINVAL;
	if (a->value)
		nst_wrmsr(MSR_IA32_PRED_CMD, a->value);
	return 0;
}

int msr_set_flush_cmd(struct vcpu *vcpu, struct msr_access *a)
{
	if (!cpu_offers(FEAT_L1D_FLUSH) || a->value & ~(u64)L1D_FLUSH)
		return -EINVAL;
	if (a->value)
		nst_wrmsr(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	return 0;
}

/* A guest writes zero before it reads the revision. */
int msr_set_ucode_rev(struct vcpu *vcpu, struct msr_access *a)
{
	if (a->host)
		vcpu->cpu_state.ucode_rev = a->value;
	return 0;
}

int msr_get_smbase(struct vcpu *vcpu, struct msr_access *a)
{
	if (!a->host && !vcpu->events.in_smm)
		return -EINVAL;
	return msr_get_stored(vcpu, a);
}

int msr_get_platform_info(struct vcpu *vcpu, struct msr_access *a)
{
	if (!a->host && !vcpu->vm->caps.platform_info_guest_read)
		return -EINVAL;
	return msr_get_stored(vcpu, a);
}

int msr_set_misc_features(struct vcpu *vcpu, struct msr_access *a)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u64 valid = 0;

	if (c->platform_info & MSR_PLATFORM_INFO_CPUID_FAULT)
		valid = MSR_MISC_FEATURES_ENABLES_CPUID_FAULT;
	if (a->value & ~valid)
		return -EINVAL;
	c->misc_features = a->value;
	cpuid_update_special(vcpu);
	return 0;
}

#define MISC_ENABLE_READ_ONLY	(MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL |	\
				 MSR_IA32_MISC_ENABLE_BTS_UNAVAIL)

int msr_set_misc_enable(struct vcpu *vcpu, struct msr_access *a)
{
	bool follows_mwait = vcpu->vm->caps.disabled_quirks & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT;
	struct cpu_state *c = &vcpu->cpu_state;
	u64 value = a->value, changed;

	if (!a->host) {
		if ((c->misc_enable ^ value) & MISC_ENABLE_READ_ONLY)
			return -EINVAL;
		/* Whether there is performance monitoring is not the guest's to say. */
		value = (value & ~MSR_IA32_MISC_ENABLE_EMON) |
			(c->misc_enable & MSR_IA32_MISC_ENABLE_EMON);
	}
	changed = c->misc_enable ^ value;
	if (follows_mwait && changed & MSR_IA32_MISC_ENABLE_MWAIT) {
		if (!guest_has(vcpu, FEAT_SSE3))
			return -EINVAL;
		cpuid_mark_stale(vcpu);
	}
	c->misc_enable = value;
	return 0;
}

/*
 * No branch records and no branch trapping: those bits are dropped, as upstream does, since no CPUID bit
 * could tell the guest.
 */
int msr_set_debugctl(struct vcpu *vcpu, struct msr_access *a)
{
	if (a->value & ~(u64)(DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF))
		return -EINVAL;
	a->value = 0;
	return msr_set_reg(vcpu, a);
}

int msr_set_xss(struct vcpu *vcpu, struct msr_access *a)
{
	struct cpu_state *c = &vcpu->cpu_state;

	if (a->value & ~c->xss_supported)
		return -EINVAL;
	if (c->fpu.xss == a->value)
		return 0;
	c->fpu.xss = a->value;
	cpuid_mark_stale(vcpu);
	if (vcpu->in_burst)
		guest_xcr_load(vcpu);
	return 0;
}

/* Caching and coherency switches that old systems write (APM, HWCR): TlbCacheDis, FFDIS, IGNNE_EM. */
#define HWCR_IGNORED		(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8))
/* McStatusWrEn, and TscFreqSel, which Linux complains about when it is clear. */
#define HWCR_STORED		(BIT_ULL(18) | BIT_ULL(24))

int msr_set_hwcr(struct vcpu *vcpu, struct msr_access *a)
{
	u64 valid = HWCR_STORED, value = a->value & ~HWCR_IGNORED;

	if (guest_has(vcpu, FEAT_CPUID_USER_DIS))
		valid |= HWCR_CPUID_USER_DIS;
	if (value & ~valid)
		return -EINVAL;
	vcpu->cpu_state.hwcr = value;
	cpuid_update_special(vcpu);
	return 0;
}

int msr_set_de_cfg(struct vcpu *vcpu, struct msr_access *a)
{
	if (a->value & ~msr_host_de_cfg(MSR_AMD64_DE_CFG))
		return -EINVAL;
	vcpu->cpu_state.de_cfg = a->value;
	return 0;
}

u64 msr_host_de_cfg(u32 msr)
{
	return boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? MSR_AMD64_DE_CFG_LFENCE_SERIALIZE : 0;
}

u64 msr_host_ucode_rev(u32 msr)
{
	u64 value;

	return nst_rdmsr_safe(MSR_IA32_UCODE_REV, &value) ? 0 : value;
}

u64 msr_host_platform_info(u32 msr)
{
	return MSR_PLATFORM_INFO_CPUID_FAULT;
}

/*
 * Statements about the CPU that hold for guests too. Left out are those that announce MSRs which guests
 * do not have (TSX_CTRL, MISC_PACKAGE_CTLS, ENERGY_FILTERING_CTL, UARCH_MISC_CTL, FB_CLEAR_CTRL,
 * XAPIC_DISABLE_STATUS, OVERCLOCKING_STATUS).
 */
#define ARCH_CAPABILITIES_PASSED						\
	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA |			\
	 ARCH_CAP_SKIP_VMENTRY_L1DFLUSH | ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO |	\
	 ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO |	\
	 ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR |		\
	 ARCH_CAP_RRSBA | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO |	\
	 ARCH_CAP_RFDS_CLEAR | ARCH_CAP_BHI_NO | ARCH_CAP_ITS_NO)

u64 msr_host_arch_capabilities(u32 msr)
{
	u64 host = 0, value;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		nst_rdmsr_safe(MSR_IA32_ARCH_CAPABILITIES, &host);
	value = host & ARCH_CAPABILITIES_PASSED;
	/* Executable large pages are split where the bug is, and L1D is flushed on entry where it must be. */
	value |= ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_SKIP_VMENTRY_L1DFLUSH;
	if (!boot_cpu_has_bug(X86_BUG_CPU_MELTDOWN))
		value |= ARCH_CAP_RDCL_NO;
	if (!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS))
		value |= ARCH_CAP_SSB_NO;
	if (!boot_cpu_has_bug(X86_BUG_MDS))
		value |= ARCH_CAP_MDS_NO;
	if (!boot_cpu_has_bug(X86_BUG_RFDS))
		value |= ARCH_CAP_RFDS_NO;
	if (!boot_cpu_has_bug(X86_BUG_ITS))
		value |= ARCH_CAP_ITS_NO;
	if (!boot_cpu_has_bug(X86_BUG_GDS))
		value |= ARCH_CAP_GDS_NO;
	/* Without TSX in the guest there is nothing to say about its aborts. */
	if (!boot_cpu_has(X86_FEATURE_RTM))
		value &= ~(u64)ARCH_CAP_TAA_NO;
	else if (!boot_cpu_has_bug(X86_BUG_TAA))
		value |= ARCH_CAP_TAA_NO;
	return value;
}

/* Upstream's numbers: high enough for guests that refuse to run without a microcode update. */
#define UCODE_REV_INTEL		0x100000000ull
#define UCODE_REV_AMD		0x01000065ull

void msr_vcpu_init(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	c->poll_control = 1;
	if (vcpu->vm->caps.disabled_quirks & KVM_X86_QUIRK_STUFF_FEATURE_MSRS)
		return;
	c->ucode_rev = cpu_caps.vmx ? UCODE_REV_INTEL : UCODE_REV_AMD;
	c->platform_info = msr_host_platform_info(MSR_PLATFORM_INFO);
	if (cpu_caps.vmx)
		c->arch_capabilities = msr_host_arch_capabilities(MSR_IA32_ARCH_CAPABILITIES);
}
