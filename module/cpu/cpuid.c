// SPDX-License-Identifier: GPL-2.0
/*
 * What CPUID can say to guests: the list of KVM_GET_SUPPORTED_CPUID, made from this CPU's answers and
 * the rules of features.h.
 */
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/types.h>
#include <linux/mm.h>
#include <linux/sched/stat.h>

#include "cpu/cpuid.h"
#include "cpu/xsave.h"
#include "mmu/mmu.h"
#include "vm/ops.h"

#include <uapi/asm/kvm_para.h>

#define SAME_WORD(ours, kernels)	static_assert((int)(ours) == (int)(kernels))
SAME_WORD(FW_1_EDX, CPUID_1_EDX);
SAME_WORD(FW_80000001_EDX, CPUID_8000_0001_EDX);
SAME_WORD(FW_1_ECX, CPUID_1_ECX);
SAME_WORD(FW_80000001_ECX, CPUID_8000_0001_ECX);
SAME_WORD(FW_7_EBX, CPUID_7_0_EBX);
SAME_WORD(FW_D_1_EAX, CPUID_D_1_EAX);
SAME_WORD(FW_7_1_EAX, CPUID_7_1_EAX);
SAME_WORD(FW_80000008_EBX, CPUID_8000_0008_EBX);
SAME_WORD(FW_8000000A_EDX, CPUID_8000_000A_EDX);
SAME_WORD(FW_7_ECX, CPUID_7_ECX);
SAME_WORD(FW_7_EDX, CPUID_7_EDX);
SAME_WORD(FW_80000021_EAX, CPUID_8000_0021_EAX);
static_assert(NCAPINTS <= FW_OWN);

/* The highest leaves that the list goes to. */
#define MAX_BASIC_LEAF		0x24
#define MAX_EXTENDED_LEAF	0x80000022

/* What guests can be given, by word. Constant after cpuid_setup(). */
static u32 offered[FW_NR];

bool cpu_offers(enum feature feature)
{
	return offered[FEATURE_WORD(feature)] & FEATURE_BIT(feature);
}

u32 cpu_offered_word(int word)
{
	return offered[word];
}

static void offer(enum feature feature, bool yes)
{
	if (yes)
		offered[FEATURE_WORD(feature)] |= FEATURE_BIT(feature);
	else
		offered[FEATURE_WORD(feature)] &= ~FEATURE_BIT(feature);
}

static void withdraw_unless(bool condition, enum feature feature)
{
	if (!condition)
		offer(feature, false);
}

static void offer_if(bool condition, enum feature feature)
{
	if (condition)
		offer(feature, true);
}

u32 *cpuid_entry_reg(struct kvm_cpuid_entry2 *e, enum cpuid_reg reg)
{
	switch (reg) {
	case CPUID_REG_EAX:
		return &e->eax;
	case CPUID_REG_EBX:
		return &e->ebx;
	case CPUID_REG_ECX:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

static void host_cpuid(struct kvm_cpuid_entry2 *e, u32 function, u32 index)
{
	*e = (struct kvm_cpuid_entry2) { .function = function, .index = index };
	/* Beyond the highest leaf a CPU answers with another leaf's values. */
	if (function <= cpuid_eax(function & 0x80000000))
		cpuid_count(function, index, &e->eax, &e->ebx, &e->ecx, &e->edx);
}

/*
 * AMD and Intel report the controls of speculation in different leaves. The kernel knows under
 * either name what the CPU has; guests of both kinds shall find it.
 */
static void offer_speculation_controls(void)
{
	bool amd_all = boot_cpu_has(X86_FEATURE_AMD_IBPB) && boot_cpu_has(X86_FEATURE_AMD_IBRS);

	offer_if(amd_all && cpu_offers(FEAT_IBPB_RET), FEAT_SPEC_CTRL);
	offer_if(boot_cpu_has(X86_FEATURE_STIBP), FEAT_STIBP);
	offer_if(boot_cpu_has(X86_FEATURE_AMD_SSBD), FEAT_SSBD);
	offer_if(boot_cpu_has(X86_FEATURE_IBPB), FEAT_IBPB);
	offer_if(boot_cpu_has(X86_FEATURE_IBRS), FEAT_IBRS);
	offer_if(boot_cpu_has(X86_FEATURE_STIBP), FEAT_AMD_STIBP);
	offer_if(boot_cpu_has(X86_FEATURE_SPEC_CTRL_SSBD), FEAT_AMD_SSBD);
	offer_if(!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS), FEAT_SSB_NO);
	/* AMD parts have no such MSR, and their guests would look for bits that speak of Intel's. */
	offer_if(cpu_caps.vmx, FEAT_ARCH_CAPABILITIES);
	offer_if(cpu_caps.nested && cpu_caps.vmx, FEAT_VMX);
}

/*
 * What a guest's VMRUN can do. The software's own: the next RIP and decode assists where the CPU does not save them, flushes by
 * ASID, virtual GIF, and clean bits, which say what VMRUN need not look at and it looks at all the same.
 */
static void offer_nested_svm(void)
{
	static const enum feature software[] = {
		FEAT_SVM, FEAT_NPT, FEAT_NRIPS, FEAT_VMCBCLEAN, FEAT_FLUSHBYASID, FEAT_DECODEASSISTS,
		FEAT_VGIF, FEAT_SVME_ADDR_CHK,
	};
	unsigned int i;

	if (!cpu_caps.nested || !cpu_caps.svm)
		return;
	for (i = 0; i < ARRAY_SIZE(software); i++)
		offer(software[i], true);
	offer_if(boot_cpu_has(X86_FEATURE_PAUSEFILTER), FEAT_PAUSEFILTER);
	offer_if(boot_cpu_has(X86_FEATURE_PFTHRESHOLD), FEAT_PFTHRESHOLD);
}

/* Bits of CR4 and EFER that a guest may set only with the feature. */
static const struct control_bit {
	enum feature feature;
	u64 cr4, efer;
} control_bits[] = {
	{ FEAT_XSAVE,		X86_CR4_OSXSAVE },
	{ FEAT_SMEP,		X86_CR4_SMEP },
	{ FEAT_SMAP,		X86_CR4_SMAP },
	{ FEAT_FSGSBASE,	X86_CR4_FSGSBASE },
	{ FEAT_PKU,		X86_CR4_PKE },
	{ FEAT_LA57,		X86_CR4_LA57 },
	{ FEAT_UMIP,		X86_CR4_UMIP },
	{ FEAT_PCID,		X86_CR4_PCIDE },
	{ FEAT_VMX,		X86_CR4_VMXE },
	{ FEAT_LM,		0, EFER_LME | EFER_LMA },
	{ FEAT_NX,		0, EFER_NX },
	{ FEAT_FFXSR,		0, EFER_FFXSR },
	{ FEAT_AUTO_IBRS,	0, EFER_AUTOIBRS },
	{ FEAT_SVM,		0, EFER_SVME },
};

void cpu_reserved_controls(const u32 *words, u64 *cr4, u64 *efer)
{
	const struct control_bit *c;

	*cr4 = ~cpu_caps.cr4_mask;
	*efer = ~cpu_caps.efer_mask;
	for (c = control_bits; c < control_bits + ARRAY_SIZE(control_bits); c++) {
		if (words[FEATURE_WORD(c->feature)] & FEATURE_BIT(c->feature))
			continue;
		*cr4 |= c->cr4;
		*efer |= c->efer;
	}
}

/* What the vendor's controls cannot give to guests. */
static void withdraw_unsupported(void)
{
	const struct control_bit *c;

	for (c = control_bits; c < control_bits + ARRAY_SIZE(control_bits); c++)
		withdraw_unless(!(c->cr4 & ~cpu_caps.cr4_mask) && !(c->efer & ~cpu_caps.efer_mask),
				c->feature);
	withdraw_unless(cpu_caps.has_invpcid, FEAT_INVPCID);
	withdraw_unless(cpu_caps.has_rdtscp, FEAT_RDTSCP);
	withdraw_unless(cpu_caps.has_rdtscp, FEAT_RDPID);
	withdraw_unless(cpu_caps.has_umwait, FEAT_WAITPKG);
	withdraw_unless(cpu_caps.has_xsaves, FEAT_XSAVES);
	/* The kernel's own switch: with nopku XSAVE may hold the state and CR4.PKE is unusable. */
	withdraw_unless(boot_cpu_has(X86_FEATURE_OSPKE), FEAT_PKU);
}

void cpuid_setup(void)
{
	struct kvm_cpuid_entry2 e;
	int word;

	for (word = 0; word < FW_NR; word++) {
		const struct feature_leaf *leaf = &feature_leaves[word];
		u32 kernel = word < NCAPINTS ? boot_cpu_data.x86_capability[word] : ~0u;

		if (!leaf->function)
			continue;
		host_cpuid(&e, leaf->function, leaf->index);
		offered[word] = feature_filter(word, *cpuid_entry_reg(&e, leaf->reg), kernel,
					       cpu_caps.guest_xcr0);
	}
	offer_speculation_controls();
	offer_nested_svm();
	offer_if(boot_cpu_has(X86_FEATURE_CONSTANT_TSC), FEAT_INVARIANT_TSC);
	offer_if(boot_cpu_has(X86_FEATURE_LFENCE_RDTSC), FEAT_LFENCE_SERIALIZING);
	offer_if(!boot_cpu_has_bug(X86_BUG_NULL_SEG), FEAT_NULL_SEL_CLEARS_BASE);
	withdraw_unsupported();
}

/* A list under construction; full: -E2BIG. */
struct list {
	struct kvm_cpuid_entry2 *entries;
	u32 n, max;
};

/* Functions whose answer depends on ECX. */
static bool is_indexed(u32 function)
{
	switch (function) {
	case 0x4:
	case 0x7:
	case 0xb:
	case 0xd:
	case 0xf:
	case 0x10:
	case 0x12:
	case 0x14:
	case 0x17:
	case 0x18:
	case 0x1d:
	case 0x1e:
	case 0x1f:
	case 0x24:
	case 0x8000001d:
		return true;
	}
	return false;
}

static struct kvm_cpuid_entry2 *add(struct list *l, u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *e;

	if (l->n == l->max)
		return NULL;
	e = &l->entries[l->n++];
	host_cpuid(e, function, index);
	if (is_indexed(function))
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	return e;
}

static void clear(struct kvm_cpuid_entry2 *e)
{
	e->eax = e->ebx = e->ecx = e->edx = 0;
}

/*
 * Fillers: adjust what the CPU says in @e, which is subleaf 0 and the last of the list, and add further
 * subleaves. Words of feature bits are put in afterwards, for all of them.
 */
static int fill_0(struct list *l, struct kvm_cpuid_entry2 *e)
{
	e->eax = min_t(u32, e->eax, MAX_BASIC_LEAF);
	return 0;
}

/* Cache parameters: subleaves up to the first of type 'no more'. */
static int fill_caches(struct list *l, struct kvm_cpuid_entry2 *e)
{
	u32 i;

	for (i = 1; e->eax & GENMASK(4, 0) && i < 16; i++) {
		e = add(l, e->function, i);
		if (!e)
			return -E2BIG;
	}
	return 0;
}

/* The APIC timer keeps running in deep sleep states; nothing else of power management. */
static int fill_6(struct list *l, struct kvm_cpuid_entry2 *e)
{
	clear(e);
	e->eax = BIT(2);
	return 0;
}

static int fill_7(struct list *l, struct kvm_cpuid_entry2 *e)
{
	u32 i, last = min(e->eax, 2u);

	e->eax = last;
	for (i = 1; i <= last; i++) {
		e = add(l, 7, i);
		if (!e)
			return -E2BIG;
		/* Only feature bits are known in these. */
		clear(e);
	}
	return 0;
}

/* No topology: that is user space's. A subleaf 1 would say that there is one. */
static int fill_topology(struct list *l, struct kvm_cpuid_entry2 *e)
{
	e->eax = e->ebx = e->ecx = 0;
	return 0;
}

/* Processor extended state: sizes for what guests can enable, then one subleaf per component. */
static int fill_d(struct list *l, struct kvm_cpuid_entry2 *e)
{
	u64 xcr0 = cpu_caps.guest_xcr0, xss = cpu_caps.guest_xss;
	int i;

	e->eax &= (u32)xcr0;
	e->edx &= (u32)(xcr0 >> 32);
	e->ebx = e->ecx = xsave_size(&xsave_layout, xcr0, false);
	if (!xcr0)
		return 0;

	e = add(l, 0xd, 1);
	if (!e)
		return -E2BIG;
	e->ebx = cpu_offers(FEAT_XSAVES) || cpu_offers(FEAT_XSAVEC) ?
		 xsave_size(&xsave_layout, xcr0 | xss, true) : 0;
	e->ecx &= (u32)xss;
	e->edx &= (u32)(xss >> 32);

	for (i = 2; i < 64; i++) {
		if (!((xcr0 | xss) & BIT_ULL(i)))
			continue;
		e = add(l, 0xd, i);
		if (!e)
			return -E2BIG;
		/* Bit 2 says that XFD can disable the component: there is no XFD. */
		e->ecx &= GENMASK(1, 0);
		e->edx = 0;
	}
	return 0;
}

static int fill_24(struct list *l, struct kvm_cpuid_entry2 *e)
{
	u32 version = min(e->ebx & 0xffu, 2u);

	clear(e);
	/* Feature bits are or-ed into EBX beside the version. */
	if (cpu_offers(FEAT_AVX10))
		e->ebx = version;
	return 0;
}

static int fill_80000000(struct list *l, struct kvm_cpuid_entry2 *e)
{
	e->eax = min_t(u32, e->eax, MAX_EXTENDED_LEAF);
	/*
	 * Guests learn from 80000021h that LFENCE serialises and null selectors clear bases, which older
	 * CPUs do without saying it. Where AMD's leaf 8000001Dh is missing the maximum stays: QEMU
	 * asks the host for that leaf as soon as the maximum includes it.
	 */
	if (e->eax >= 0x8000001d &&
	    (cpu_offers(FEAT_LFENCE_SERIALIZING) || cpu_offers(FEAT_NULL_SEL_CLEARS_BASE)))
		e->eax = max(e->eax, 0x80000021u);
	return 0;
}

static int fill_80000001(struct list *l, struct kvm_cpuid_entry2 *e)
{
	e->ebx &= ~(u32)GENMASK(27, 16);
	return 0;
}

static int fill_80000006(struct list *l, struct kvm_cpuid_entry2 *e)
{
	e->edx &= ~(u32)GENMASK(17, 16);
	return 0;
}

static int fill_80000007(struct list *l, struct kvm_cpuid_entry2 *e)
{
	clear(e);
	return 0;
}

/* Address widths: physical, linear, and what second-level tables can translate. */
static int fill_80000008(struct list *l, struct kvm_cpuid_entry2 *e)
{
	u32 phys = e->eax & 0xff, linear = max(e->eax >> 8 & 0xff, 48u);
	u32 guest_phys = tdp_format.levels < 5 ? min(phys, 48u) : phys;

	e->eax = phys | linear << 8 | guest_phys << 16;
	e->ecx &= ~(u32)(GENMASK(31, 16) | GENMASK(11, 8));
	e->edx = 0;
	return 0;
}

/* SVM revision 1. As many ASIDs as upstream says: they are names, not the CPU's. */
static int fill_8000000a(struct list *l, struct kvm_cpuid_entry2 *e)
{
	clear(e);
	if (!cpu_offers(FEAT_SVM))
		return 0;
	e->eax = 1;
	e->ebx = 8;
	return 0;
}

static int fill_8000001a(struct list *l, struct kvm_cpuid_entry2 *e)
{
	e->eax &= GENMASK(2, 0);
	e->ebx = e->ecx = e->edx = 0;
	return 0;
}

static int fill_kvm_signature(struct list *l, struct kvm_cpuid_entry2 *e)
{
	const u32 *signature = (const u32 *)KVM_SIGNATURE;

	e->eax = KVM_CPUID_FEATURES;
	e->ebx = signature[0];
	e->ecx = signature[1];
	e->edx = signature[2];
	return 0;
}

#define KVM_FEATURES_OFFERED						\
	(BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_NOP_IO_DELAY) |	\
	 BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) | \
	 BIT(KVM_FEATURE_ASYNC_PF) | BIT(KVM_FEATURE_ASYNC_PF_INT) |	\
	 BIT(KVM_FEATURE_PV_EOI) |					\
	 BIT(KVM_FEATURE_PV_UNHALT) | BIT(KVM_FEATURE_PV_TLB_FLUSH) |	\
	 BIT(KVM_FEATURE_PV_SEND_IPI) | BIT(KVM_FEATURE_POLL_CONTROL) |	\
	 BIT(KVM_FEATURE_PV_SCHED_YIELD))

static int fill_kvm_features(struct list *l, struct kvm_cpuid_entry2 *e)
{
	clear(e);
	e->eax = KVM_FEATURES_OFFERED;
	if (sched_info_on())
		e->eax |= BIT(KVM_FEATURE_STEAL_TIME);
	return 0;
}

static int fill_copy(struct list *l, struct kvm_cpuid_entry2 *e)
{
	return 0;
}

/*
 * Leaves that say something. All others up to the maximum are zero: power management and MONITOR
 * (3, 5, 9), performance monitoring (0Ah, 80000022h), resource control, SGX, Intel PT, AMX,
 * encryption, and what is not known.
 */
static const struct leaf_rule {
	u32 function;
	int (*fill)(struct list *l, struct kvm_cpuid_entry2 *e);
} leaf_rules[] = {
	{ 0x0,		fill_0 },
	{ 0x1,		fill_copy },
	{ 0x2,		fill_copy },
	{ 0x4,		fill_caches },
	{ 0x6,		fill_6 },
	{ 0x7,		fill_7 },
	{ 0xb,		fill_topology },
	{ 0xd,		fill_d },
	{ 0x1f,		fill_topology },
	{ 0x24,		fill_24 },
	{ 0x80000000,	fill_80000000 },
	{ 0x80000001,	fill_80000001 },
	{ 0x80000002,	fill_copy },
	{ 0x80000003,	fill_copy },
	{ 0x80000004,	fill_copy },
	{ 0x80000005,	fill_copy },
	{ 0x80000006,	fill_80000006 },
	{ 0x80000007,	fill_80000007 },
	{ 0x80000008,	fill_80000008 },
	{ 0x8000000a,	fill_8000000a },
	{ 0x8000001a,	fill_8000001a },
	{ 0x8000001d,	fill_caches },
	{ KVM_CPUID_SIGNATURE,	fill_kvm_signature },
	{ KVM_CPUID_FEATURES,	fill_kvm_features },
};

static const struct leaf_rule *leaf_rule(u32 function)
{
	const struct leaf_rule *r;

	for (r = leaf_rules; r < leaf_rules + ARRAY_SIZE(leaf_rules); r++)
		if (r->function == function)
			return r;
	return NULL;
}

/* Outputs that are words of feature bits hold what is offered and nothing else. */
static void put_features(struct kvm_cpuid_entry2 *e)
{
	int word;

	for (word = 0; word < FW_NR; word++) {
		const struct feature_leaf *leaf = &feature_leaves[word];
		u32 *reg;

		if (!leaf->function || leaf->function != e->function || leaf->index != e->index)
			continue;
		reg = cpuid_entry_reg(e, leaf->reg);
		*reg = word == FW_24_EBX ? *reg | offered[word] : offered[word];
	}
}

static int add_function(struct list *l, u32 function)
{
	const struct leaf_rule *r = leaf_rule(function);
	struct kvm_cpuid_entry2 *e = add(l, function, 0);
	u32 first = l->n - 1, i;
	int err = 0;

	if (!e)
		return -E2BIG;
	if (r)
		err = r->fill(l, e);
	else
		clear(e);
	for (i = first; i < l->n; i++)
		put_features(&l->entries[i]);
	return err;
}

/* A class of leaves: its first one says in EAX which is the last. */
static int add_class(struct list *l, u32 first)
{
	u32 function, last, at = l->n;
	int err = add_function(l, first);

	if (err)
		return err;
	last = l->entries[at].eax;
	for (function = first + 1; function <= last; function++) {
		err = add_function(l, function);
		if (err)
			return err;
	}
	return 0;
}

/**
 * cpuid_supported - KVM_GET_SUPPORTED_CPUID
 * @entries: room for *@nent entries
 * @nent: in: room; out: entries written
 *
 * -E2BIG when there is not room enough.
 */
int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nent)
{
	static const u32 classes[] = { 0, 0x80000000, KVM_CPUID_SIGNATURE };
	struct list l = { .entries = entries, .max = *nent };
	unsigned int i;
	int err = 0;

	/* CPUs of one machine may differ in topology; one of them answers. */
	get_cpu();
	for (i = 0; i < ARRAY_SIZE(classes) && !err; i++)
		err = add_class(&l, classes[i]);
	put_cpu();
	*nent = l.n;
	return err;
}

/**
 * cpuid_emulated - KVM_GET_EMULATED_CPUID
 * @entries: room for *@nent entries
 * @nent: in: room; out: entries written
 *
 * Features that the CPU lacks and the emulator gives. There are none, for invalid opcodes go to the
 * guest; the leaves say so.
 */
int cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 *nent)
{
	static const struct kvm_cpuid_entry2 leaves[] = {
		{ .function = 0, .eax = 7 },
		{ .function = 1 },
		{ .function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
	};

	if (*nent < ARRAY_SIZE(leaves))
		return -E2BIG;
	memcpy(entries, leaves, sizeof(leaves));
	*nent = ARRAY_SIZE(leaves);
	return 0;
}
