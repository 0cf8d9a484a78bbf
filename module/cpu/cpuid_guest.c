// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's CPUID: what user space set, what follows from it, and what the CPUID instruction
 * answers.
 */
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <linux/slab.h>

#include "cpu/cpuid.h"
#include "cpu/xsave.h"
#include "irq/irq.h"
#include "pv/hyperv.h"
#include "vm/ops.h"

#include <uapi/asm/kvm_para.h>

/* AMD's and Hygon's leaf 0: EBX, EDX, ECX. */
static const u32 amd_signatures[][3] = {
	{ 0x68747541, 0x69746e65, 0x444d4163 },		/* AuthenticAMD */
	{ 0x69444d41, 0x74656273, 0x21726574 },		/* AMDisbetter! */
	{ 0x6f677948, 0x6e65476e, 0x656e6975 },		/* HygonGenuine */
};

/* Without leaf 80000008h: what the first CPUs with PAE had. */
#define DEFAULT_MAXPHYADDR	36
/* Leaf 80000007h, EDX: the TSC runs at one rate, whatever the CPU's state. */
#define CPUID_INVARIANT_TSC	BIT(8)
/* The most that page tables have room for, whatever user space says. */
#define ARCH_MAXPHYADDR		52

/*
 * Lookups begin at the first entry whose function has the same hash, so that the CPUID exit does
 * not walk the list. The order of the list is user space's: it gets it back from KVM_GET_CPUID2, and
 * the first of several matching entries counts.
 */
static unsigned int bucket(u32 function)
{
	return (function ^ function >> 24) % CPUID_BUCKETS;
}

static void index_entries(struct cpu_state *c)
{
	u32 i;

	memset(c->cpuid_first, 0, sizeof(c->cpuid_first));
	for (i = c->nr_cpuid; i-- > 0;)
		c->cpuid_first[bucket(c->cpuid[i].function)] = i + 1;
}

static __always_inline struct kvm_cpuid_entry2 *find(const struct cpu_state *c, u32 function, u32 index)
{
	u32 first = c->cpuid_first[bucket(function)];
	struct kvm_cpuid_entry2 *e, *end;

	if (!first)
		return NULL;
	end = c->cpuid + c->nr_cpuid;
	for (e = c->cpuid + first - 1; e < end; e++)
		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	return NULL;
}

const struct kvm_cpuid_entry2 *cpuid_find(struct vcpu *vcpu, u32 function, u32 index)
{
	return find(&vcpu->cpu_state, function, index);
}

bool guest_has(struct vcpu *vcpu, unsigned int feature)
{
	if (FEATURE_WORD(feature) >= FW_NR)
		return false;
	return vcpu->cpu_state.feature_words[FEATURE_WORD(feature)] & FEATURE_BIT(feature);
}

bool guest_pv_has(struct vcpu *vcpu, unsigned int kvm_feature)
{
	const struct cpu_state *c = &vcpu->cpu_state;

	/* Unless told otherwise KVM serves guests that do not look at CPUID. */
	return !c->pv_enforce || c->kvm_features & BIT(kvm_feature);
}

static void set_runtime(struct cpu_state *c, struct kvm_cpuid_entry2 *e, enum feature feature, bool on)
{
	u32 *reg = cpuid_entry_reg(e, feature_leaves[FEATURE_WORD(feature)].reg);

	if (on) {
		*reg |= FEATURE_BIT(feature);
		c->feature_words[FEATURE_WORD(feature)] |= FEATURE_BIT(feature);
	} else {
		*reg &= ~FEATURE_BIT(feature);
		c->feature_words[FEATURE_WORD(feature)] &= ~FEATURE_BIT(feature);
	}
}

/**
 * cpuid_update_runtime - put into the entries what follows registers
 * @vcpu: the vCPU
 *
 * CR4.OSXSAVE and PKE, the APIC's enable bit, MISC_ENABLE, XCR0, XSS.
 */
void cpuid_update_runtime(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	struct kvm_cpuid_entry2 *e = find(c, 1, 0);

	c->cpuid_stale = false;
	if (e) {
		set_runtime(c, e, FEAT_OSXSAVE, c->cr4_osxsave);
		set_runtime(c, e, FEAT_APIC, lapic_get_base(vcpu) & MSR_IA32_APICBASE_ENABLE);
		if (vcpu->vm->caps.disabled_quirks & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)
			set_runtime(c, e, FEAT_MONITOR, c->misc_enable & MSR_IA32_MISC_ENABLE_MWAIT);
	}
	e = find(c, 7, 0);
	if (e)
		set_runtime(c, e, FEAT_OSPKE, c->cr4_pke);
	e = find(c, 0xd, 0);
	if (e)
		e->ebx = xsave_size(&xsave_layout, c->fpu.xcr0, false);
	e = find(c, 0xd, 1);
	if (e && e->eax & (FEATURE_BIT(FEAT_XSAVES) | FEATURE_BIT(FEAT_XSAVEC)))
		e->ebx = xsave_size(&xsave_layout, c->fpu.xcr0 | c->fpu.xss, true);
}

/* Something of it changed: the entries are rewritten when somebody looks at them next. */
void cpuid_mark_stale(struct vcpu *vcpu)
{
	vcpu->cpu_state.cpuid_stale = true;
}

static __always_inline void refresh(struct vcpu *vcpu)
{
	if (unlikely(vcpu->cpu_state.cpuid_stale))
		cpuid_update_runtime(vcpu);
}

/**
 * cpuid_entry - the entry of a leaf, as the CPUID instruction shows it
 * @vcpu: the vCPU
 * @function: the leaf
 * @index: the subleaf
 *
 * NULL when there is none; what the instruction answers then, cpuid_query() knows.
 */
const struct kvm_cpuid_entry2 *cpuid_entry(struct vcpu *vcpu, u32 function, u32 index)
{
	refresh(vcpu);
	return find(&vcpu->cpu_state, function, index);
}

/* The base of KVM's hypervisor leaves: beside another hypervisor's they are at 40000100h and so on. */
static struct kvm_cpuid_entry2 *find_kvm_features(struct cpu_state *c)
{
	struct kvm_cpuid_entry2 *e;
	u32 base;

	for (base = 0x40000000; base < 0x40010000; base += 0x100) {
		e = find(c, base, 0);
		if (e && !memcmp((u32[]){ e->ebx, e->ecx, e->edx }, KVM_SIGNATURE, 12))
			return find(c, base | KVM_CPUID_FEATURES, 0);
	}
	return NULL;
}

static u32 derive_kvm_features(struct vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *e = find_kvm_features(&vcpu->cpu_state);

	/* A guest that halts for itself cannot be woken by a hypercall. */
	if (e && vcpu->vm->caps.disabled_exits & KVM_X86_DISABLE_EXITS_HLT)
		e->eax &= ~BIT(KVM_FEATURE_PV_UNHALT);
	return e ? e->eax : 0;
}

static bool is_amd_signature(const struct kvm_cpuid_entry2 *e)
{
	unsigned int i;

	for (i = 0; e && i < ARRAY_SIZE(amd_signatures); i++)
		if (e->ebx == amd_signatures[i][0] && e->edx == amd_signatures[i][1] &&
		    e->ecx == amd_signatures[i][2])
			return true;
	return false;
}

static u8 maxphyaddr(struct cpu_state *c)
{
	const struct kvm_cpuid_entry2 *e = find(c, 0x80000000, 0);

	if (!e || e->eax < 0x80000008)
		return DEFAULT_MAXPHYADDR;
	e = find(c, 0x80000008, 0);
	return e ? min_t(u8, e->eax, ARCH_MAXPHYADDR) : DEFAULT_MAXPHYADDR;
}

/* A guest has what user space gave it, as far as Nestor can give it. */
static void derive_features(struct cpu_state *c)
{
	struct kvm_cpuid_entry2 *e;
	int word;

	memset(c->feature_words, 0, sizeof(c->feature_words));
	for (word = 0; word < FW_NR; word++) {
		const struct feature_leaf *leaf = &feature_leaves[word];

		e = leaf->function ? find(c, leaf->function, leaf->index) : NULL;
		if (e)
			c->feature_words[word] = *cpuid_entry_reg(e, leaf->reg) &
						 (cpu_offered_word(word) | feature_runtime(word));
	}
	/* Hardware walks the guest's tables and takes 1 GiB leaves, whatever CPUID says. */
	if (cpu_offers(FEAT_PAGE1GB))
		c->feature_words[FW_80000001_EDX] |= FEATURE_BIT(FEAT_PAGE1GB);
}

static void derive(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	struct kvm_cpuid_entry2 *e;

	derive_features(c);
	cpuid_update_runtime(vcpu);
	e = find(c, 0xd, 0);
	c->xcr0_supported = e ? (e->eax | (u64)e->edx << 32) & cpu_caps.guest_xcr0 : 0;
	e = find(c, 0xd, 1);
	c->xss_supported = e ? (e->ecx | (u64)e->edx << 32) & cpu_caps.guest_xss : 0;
	c->kvm_features = derive_kvm_features(vcpu);
	c->vendor_amd = is_amd_signature(find(c, 0, 0));
	c->maxphyaddr = maxphyaddr(c);
	cpu_reserved_controls(c->feature_words, &c->cr4_reserved, &c->efer_reserved);
	hv_cpuid_changed(vcpu);
	cpuid_update_special(vcpu);
}

/* CPUID's handler answers all other vCPUs by a look at the entry. */
void cpuid_update_special(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;

	c->cpuid_special = c->misc_features & MSR_MISC_FEATURES_ENABLES_CPUID_FAULT ||
			   c->hwcr & HWCR_CPUID_USER_DIS || hv_may_hide_invariant_tsc(vcpu);
}

/* 0 or what upstream says to entries that no guest can have. */
static int check(struct cpu_state *c)
{
	const struct kvm_cpuid_entry2 *e = find(c, 0x80000008, 0);
	u32 linear = e ? e->eax >> 8 & 0xff : 0;

	if (linear != 0 && linear != 48 && linear != 57)
		return -EINVAL;
	e = find(c, 0xd, 0);
	/* Components that must be asked for with arch_prctl(2) before a guest can have them: AMX. */
	if (e && e->eax & XFEATURE_MASK_XTILE_DATA)
		return -EPERM;
	return 0;
}

/* What cpuid_set() replaces, to go back to. */
struct old_cpuid {
	struct kvm_cpuid_entry2 *entries;
	u32 n;
	u32 words[FW_NR];
};

static void adopt(struct cpu_state *c, struct kvm_cpuid_entry2 *entries, u32 n)
{
	c->cpuid = entries;
	c->nr_cpuid = n;
	index_entries(c);
}

static bool same_entries(const struct cpu_state *c, const struct old_cpuid *old)
{
	u32 i;

	if (c->nr_cpuid != old->n)
		return false;
	for (i = 0; i < old->n; i++)
		/* Everything but the padding. */
		if (memcmp(&c->cpuid[i], &old->entries[i], offsetof(struct kvm_cpuid_entry2, padding)))
			return false;
	return true;
}

/**
 * cpuid_set - KVM_SET_CPUID2
 * @vcpu: the vCPU
 * @entries: kvmalloc()ed; the vCPU's when 0 is returned, the caller's otherwise
 * @nent: their number, at most 256
 *
 * Once the vCPU has run only what it has already is accepted (virtual machine monitors set it again at
 * reset): -EINVAL.
 */
int cpuid_set(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nent)
{
	struct cpu_state *c = &vcpu->cpu_state;
	struct old_cpuid old = { .entries = c->cpuid, .n = c->nr_cpuid };
	int err;

	refresh(vcpu);
	memcpy(old.words, c->feature_words, sizeof(old.words));
	adopt(c, entries, nent);
	if (vcpu->launched_once) {
		/* Compare with the runtime bits as the vCPU has them: they are not user space's. */
		cpuid_update_runtime(vcpu);
		derive_kvm_features(vcpu);
		err = same_entries(c, &old) ? 0 : -EINVAL;
	} else {
		err = check(c) ?: hv_cpuid_prepare(vcpu);
		if (!err) {
			derive(vcpu);
			vendor->cpuid_changed(vcpu);
			lapic_version_changed(vcpu);
			vcpu_request(vcpu, REQ_INTERCEPTS);
		}
	}
	if (err) {
		adopt(c, old.entries, old.n);
		memcpy(c->feature_words, old.words, sizeof(old.words));
		return err;
	}
	kvfree(old.entries);
	return 0;
}

/*
 * Intel's CPUs answer a leaf past the maximum of its class with the highest basic leaf; AMD's with
 * zeroes (SDM, CPUID instruction reference).
 */
static const struct kvm_cpuid_entry2 *out_of_range(struct cpu_state *c, u32 *function, u32 index)
{
	const struct kvm_cpuid_entry2 *basic = find(c, 0, 0), *class;
	u32 f = *function;

	if (!basic || c->vendor_amd)
		return NULL;
	if (f >= 0x40000000 && f <= 0x4fffffff)
		class = find(c, f & 0xffffff00, 0);
	else if (f >= 0xc0000000)
		class = find(c, 0xc0000000, 0);
	else
		class = find(c, f & 0x80000000, 0);
	if (class && f <= class->eax)
		return NULL;
	*function = basic->eax;
	return find(c, basic->eax, index);
}

/**
 * cpuid_query - what the CPUID instruction answers
 * @vcpu: the vCPU
 * @eax: in: the leaf; all four are out
 * @ebx: out
 * @ecx: in: the subleaf
 * @edx: out
 */
void cpuid_query(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	struct cpu_state *c = &vcpu->cpu_state;
	u32 function = *eax, index = *ecx;
	const struct kvm_cpuid_entry2 *e;

	refresh(vcpu);
	e = find(c, function, index);
	if (!e)
		e = out_of_range(c, &function, index);
	if (e) {
		*eax = e->eax;
		*ebx = e->ebx;
		*ecx = e->ecx;
		*edx = e->edx;
		if (function == 0x80000007 && hv_hides_invariant_tsc(vcpu))
			*edx &= ~CPUID_INVARIANT_TSC;
		return;
	}
	*eax = *ebx = *ecx = *edx = 0;
	if (function != 0xb && function != 0x1f)
		return;
	/* Topology: CL comes back and EDX is the x2APIC ID, for undefined subleaves too. */
	e = find(c, function, 1);
	if (e) {
		*ecx = index & 0xff;
		*edx = e->edx;
	}
}

void cpuid_vcpu_init(struct vcpu *vcpu)
{
	derive(vcpu);
}

void cpuid_vcpu_destroy(struct vcpu *vcpu)
{
	kvfree(vcpu->cpu_state.cpuid);
}
