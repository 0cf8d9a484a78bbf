// SPDX-License-Identifier: GPL-2.0
/*
 * SVM: the table of rules, made of svm_rules.h.
 */
#include "check/rules.h"

/* The same values with names. */
struct check_svm {
	u64 none;
#define SVM_FIELD(name, type, offset)	u64 name;
#define SVM_MEMORY(name)		u64 name;
#include "check/svm_fields.h"
#undef SVM_FIELD
#undef SVM_MEMORY
};
_Static_assert(sizeof(struct check_svm) == SF_NR * sizeof(u64), "a value without a name");
_Static_assert(SF_NR <= CHECK_MAX_FIELDS && SCAP_NR <= CHECK_MAX_CAPS, "more values than a state holds");

struct check_svm_caps {
#define X(name)	u64 name;
	CHECK_SVM_CAPS(X)
#undef X
};

/* Intercepts: the third and fourth word. */
#define ICPT_INTR	BIT64(0)
#define ICPT_NMI	BIT64(1)
#define ICPT_PAUSE	BIT64(23)
#define ICPT_IOIO	BIT64(27)
#define ICPT_MSR	BIT64(28)
#define ICPT_SHUTDOWN	BIT64(31)
#define ICPT_VMRUN	BIT64(0)
#define ICPT_VMLOADS	(BIT64(2) | BIT64(3))
#define ICPT_GIFS	(BIT64(4) | BIT64(5))

/* int_ctl */
#define INT_VIRQ	BIT64(8)
#define INT_VGIF	BIT64(9)
#define INT_VGIF_ENABLE	BIT64(25)
#define INT_VNMI_ENABLE	BIT64(26)
#define INT_X2AVIC	BIT64(30)
#define INT_AVIC	BIT64(31)

#define NESTED_NP	BIT64(0)
#define NESTED_SEV	BIT64(1)
#define NESTED_SEV_ES	BIT64(2)
#define EXT_LBR		BIT64(0)
#define EXT_VLS		BIT64(1)

/* CPUID 8000_000A EDX */
#define FEATURE_NP		BIT64(0)
#define FEATURE_LBR		BIT64(1)
#define FEATURE_CLEAN		BIT64(5)
#define FEATURE_FLUSH_ASID	BIT64(6)
#define FEATURE_AVIC		BIT64(13)
#define FEATURE_VLS		BIT64(15)
#define FEATURE_VGIF		BIT64(16)
#define FEATURE_X2AVIC		BIT64(18)
#define FEATURE_VNMI		BIT64(25)

#define EVENT_HAS_ERROR	BIT64(11)
#define EVENT_VALID	BIT64(31)
enum { EVENT_INTR = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3 };

/* Segment attributes: bits 55:52 and 47:40 of a descriptor. */
#define SEG_S		BIT64(4)
#define SEG_P		BIT64(7)
#define SEG_L		BIT64(9)
#define SEG_D		BIT64(10)

static inline bool long_paging(const struct check_svm *f)
{
	return f->efer & EFER_LME && f->cr0 & CR0_PG;
}

static inline bool event(const struct check_svm *f)
{
	return f->event_inj & EVENT_VALID;
}

static inline u64 event_type(const struct check_svm *f)
{
	return f->event_inj >> 8 & 7;
}

static inline u64 event_vector(const struct check_svm *f)
{
	return f->event_inj & 0xff;
}

static inline bool vector_pushes_error(u64 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 ||
	       vector == 30;
}

/* Bits 11:0 of a map's address are ignored. */
static inline bool map_within(u64 base, u64 size, const struct check_svm_caps *c)
{
	u64 limit = ~0ull >> (64 - c->physical_bits), start = base & ~c->cbit & ~0xfffull;

	return start <= limit && size - 1 <= limit - start;
}

enum {
	S_VMRUN, S_CHECKS, S_EVENT, S_NP, S_SEV, S_AVIC, S_VNMI, S_VGIF, S_VINTR, S_LBR, S_VLS, S_PAUSE, S_TLB, S_CLEAN,
	S_INTERCEPTS, S_STATE, S_CANON,
};

static const char *const sections[] = {
	[S_VMRUN] = "VMRUN",
	[S_CHECKS] = "Canonicalization and Consistency Checks",
	[S_EVENT] = "Event Injection",
	[S_NP] = "Nested Paging",
	[S_SEV] = "Secure Encrypted Virtualization",
	[S_AVIC] = "Advanced Virtual Interrupt Controller",
	[S_VNMI] = "NMI Virtualization",
	[S_VGIF] = "Global Interrupt Flag, STGI and CLGI Instructions",
	[S_VINTR] = "Interrupt and Local APIC Support",
	[S_LBR] = "Last Branch Record Virtualization",
	[S_VLS] = "Virtual VMLOAD and VMSAVE",
	[S_PAUSE] = "Pause Intercept Filtering",
	[S_TLB] = "TLB Control",
	[S_CLEAN] = "VMCB State Caching",
	[S_INTERCEPTS] = "Intercept Operation",
	[S_STATE] = "VMRUN Instruction",
	[S_CANON] = "Canonicalization and Consistency Checks",
};

/* Effect, code, qualification. */
#define GP	(CHECK_GP, 13, 0)
#define INVALID	(CHECK_VMEXIT_INVALID, 0, 0)
#define ADVICE	(CHECK_ADVICE, 0, 0)

/* First the predicates, then the table. */
#define PREDICATE(id, bits)									\
static u64 broken_##id(const u64 *values, const u64 *caps)					\
{												\
	const struct check_svm *f = (const struct check_svm *)values;				\
	const struct check_svm_caps *c = (const struct check_svm_caps *)caps;			\
												\
	(void)c;										\
	return (bits);										\
}
#define ZERO(id, section, effect, fields, text, bits)		PREDICATE(id, bits)
#define MUST(id, section, effect, fields, text, condition)	PREDICATE(id, !(condition))

#include "check/svm_rules.h"
#undef ZERO
#undef MUST

#define P(name)	SF_##name
#define RULE(id, section, effect, fields, text, bits)						\
	{ #id, text, section, E effect, bits, F fields, broken_##id },
#define ZERO(id, section, effect, fields, text, expression)	RULE(id, section, effect, fields, text, true)
#define MUST(id, section, effect, fields, text, expression)	RULE(id, section, effect, fields, text, false)

static const struct check_rule rules[] = {
#include "check/svm_rules.h"
};

/* The same rules once more, as one function; see check.h. */
#undef ZERO
#undef MUST
#define POSITION(id, ...)	RULE_##id,
#define ZERO	POSITION
#define MUST	POSITION
enum {
#include "check/svm_rules.h"
};
#undef ZERO
#undef MUST
#define ENFORCE(id, section, effect, ...)							\
	if (EFFECT effect != CHECK_ADVICE && broken_##id(values, caps))				\
		return &rules[RULE_##id];
#define ZERO	ENFORCE
#define MUST	ENFORCE

const struct check_rule *check_svm_enforce(const u64 *values, const u64 *caps)
{
#include "check/svm_rules.h"
	return NULL;
}

#define SVM_FIELD(id, type, offset)	[SF_##id] = { #id, offset, sizeof(type) },
#define SVM_MEMORY(id)			[SF_##id] = { #id, CHECK_NOWHERE, 8 },
static const struct check_field fields[SF_NR] = {
#include "check/svm_fields.h"
};

#define X(id)	[SCAP_##id] = { #id, CHECK_NOWHERE, 8 },
static const struct check_field caps[SCAP_NR] = { CHECK_SVM_CAPS(X) };
#undef X

const struct check_table check_svm = {
	.vendor = "amd",
	.manual = "APM",
	.sections = sections,
	.fields = fields,
	.caps = caps,
	.rules = rules,
	.nr_fields = SF_NR,
	.nr_caps = SCAP_NR,
	.nr_rules = sizeof(rules) / sizeof(rules[0]),
};
