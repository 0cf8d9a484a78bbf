// SPDX-License-Identifier: GPL-2.0
/*
 * VMX: the table of rules, made of vmx_controls.h, vmx_host.h and vmx_guest.h.
 */
#include "check/rules.h"

/* The same values with names. */
struct check_vmx {
	u64 none;
#define VMX_FIELD(name, encoding)	u64 name;
#define VMX_MEMORY(name)		u64 name;
#include "check/vmx_fields.h"
#undef VMX_FIELD
#undef VMX_MEMORY
};
_Static_assert(sizeof(struct check_vmx) == VF_NR * sizeof(u64), "a value without a name");
_Static_assert(VF_NR <= CHECK_MAX_FIELDS && VCAP_NR <= CHECK_MAX_CAPS, "more values than a state holds");

struct check_vmx_caps {
#define X(name)	u64 name;
	CHECK_VMX_CAPS(X)
#undef X
};

/* Pin-based controls */
#define PIN_INTR_EXITING	BIT64(0)
#define PIN_NMI_EXITING		BIT64(3)
#define PIN_VIRTUAL_NMIS	BIT64(5)
#define PIN_TIMER		BIT64(6)
#define PIN_POSTED		BIT64(7)

/* Primary processor-based controls */
#define CPU_TERTIARY		BIT64(17)
#define CPU_TPR_SHADOW		BIT64(21)
#define CPU_NMI_WINDOW		BIT64(22)
#define CPU_IO_EXITING		BIT64(24)
#define CPU_IO_BITMAPS		BIT64(25)
#define CPU_MTF			BIT64(27)
#define CPU_MSR_BITMAPS		BIT64(28)
#define CPU_SECONDARY		BIT64(31)

/* Secondary */
#define CPU2_APIC_ACCESSES	BIT64(0)
#define CPU2_EPT		BIT64(1)
#define CPU2_X2APIC		BIT64(4)
#define CPU2_VPID		BIT64(5)
#define CPU2_UNRESTRICTED	BIT64(7)
#define CPU2_APIC_REGISTERS	BIT64(8)
#define CPU2_VINTR_DELIVERY	BIT64(9)
#define CPU2_VMFUNC		BIT64(13)
#define CPU2_SHADOWING		BIT64(14)
#define CPU2_PML		BIT64(17)
#define CPU2_VE			BIT64(18)
#define CPU2_PASID		BIT64(21)
#define CPU2_MBEC		BIT64(22)
#define CPU2_SPP		BIT64(23)
#define CPU2_PT_GPA		BIT64(24)
#define CPU2_TSC_SCALING	BIT64(25)

/* Tertiary */
#define CPU3_HLAT		BIT64(1)
#define CPU3_PAGING_WRITE	BIT64(2)
#define CPU3_PAGING_VERIFY	BIT64(3)
#define CPU3_IPI		BIT64(4)

/* VM-exit controls */
#define EXIT_SAVE_DEBUG		BIT64(2)
#define EXIT_HOST_64		BIT64(9)
#define EXIT_LOAD_PERF_GLOBAL	BIT64(12)
#define EXIT_ACK_INTR		BIT64(15)
#define EXIT_LOAD_PAT		BIT64(19)
#define EXIT_LOAD_EFER		BIT64(21)
#define EXIT_SAVE_TIMER		BIT64(22)
#define EXIT_CLEAR_RTIT		BIT64(25)
#define EXIT_LOAD_CET		BIT64(28)
#define EXIT_LOAD_PKRS		BIT64(29)
#define EXIT_SECONDARY		BIT64(31)
#define EXIT2_LOAD_FRED		BIT64(1)

/* VM-entry controls */
#define ENTRY_LOAD_DEBUG	BIT64(2)
#define ENTRY_IA32E		BIT64(9)
#define ENTRY_SMM		BIT64(10)
#define ENTRY_END_DUAL		BIT64(11)
#define ENTRY_LOAD_PERF_GLOBAL	BIT64(13)
#define ENTRY_LOAD_PAT		BIT64(14)
#define ENTRY_LOAD_EFER		BIT64(15)
#define ENTRY_LOAD_BNDCFGS	BIT64(16)
#define ENTRY_LOAD_RTIT		BIT64(18)
#define ENTRY_LOAD_UINV		BIT64(19)
#define ENTRY_LOAD_CET		BIT64(20)
#define ENTRY_LOAD_LBR		BIT64(21)
#define ENTRY_LOAD_PKRS		BIT64(22)
#define ENTRY_LOAD_FRED		BIT64(23)

/* IA32_VMX_BASIC, IA32_VMX_EPT_VPID_CAP */
#define BASIC_ANY_ERROR_CODE	BIT64(56)
#define EPT_CAP_WALK_4		BIT64(6)
#define EPT_CAP_WALK_5		BIT64(7)
#define EPT_CAP_UC		BIT64(8)
#define EPT_CAP_WB		BIT64(14)
#define EPT_CAP_AD		BIT64(21)
#define EPT_CAP_SSS		BIT64(23)

/* VM-entry interruption information */
#define EVENT_HAS_ERROR		BIT64(11)
#define EVENT_VALID		BIT64(31)
enum { EVENT_INTR = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3, EVENT_OTHER = 7 };

/* Access rights */
#define AR_S			BIT64(4)
#define AR_P			BIT64(7)
#define AR_L			BIT64(13)
#define AR_DB			BIT64(14)
#define AR_G			BIT64(15)
#define AR_UNUSABLE		BIT64(16)
#define AR(s)			(f->guest_##s##_ar)
#define TYPE(s)			(AR(s) & 15)
#define DPL(s)			(AR(s) >> 5 & 3)
#define USABLE(s)		(!(AR(s) & AR_UNUSABLE))

enum { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_SIPI };

/* Interruptibility, pending debug exceptions */
#define BLOCKING_STI		BIT64(0)
#define BLOCKING_MOV_SS		BIT64(1)
#define BLOCKING_SMI		BIT64(2)
#define BLOCKING_NMI		BIT64(3)
#define BLOCKING_ENCLAVE	BIT64(4)
#define PENDING_ENABLED		BIT64(12)
#define PENDING_BS		BIT64(14)
#define PENDING_RTM		BIT64(16)

static inline u64 cpu2(const struct check_vmx *f)
{
	return f->cpu_controls & CPU_SECONDARY ? f->cpu2_controls : 0;
}

static inline u64 cpu3(const struct check_vmx *f)
{
	return f->cpu_controls & CPU_TERTIARY ? f->cpu3_controls : 0;
}

static inline bool host64(const struct check_vmx *f)
{
	return f->exit_controls & EXIT_HOST_64;
}

static inline bool ia32e(const struct check_vmx *f)
{
	return f->entry_controls & ENTRY_IA32E;
}

static inline bool code64(const struct check_vmx *f)
{
	return ia32e(f) && f->guest_cs_ar & AR_L;
}

static inline bool v86(const struct check_vmx *f)
{
	return f->guest_rflags & RFLAGS_VM;
}

static inline bool pae_paging(const struct check_vmx *f)
{
	return f->guest_cr0 & CR0_PG && f->guest_cr4 & CR4_PAE && !ia32e(f);
}

static inline bool eptp_switching(const struct check_vmx *f)
{
	return cpu2(f) & CPU2_VMFUNC && f->vmfunc_controls & 1;
}

static inline bool exit_loads_fred(const struct check_vmx *f)
{
	return f->exit_controls & EXIT_SECONDARY && f->exit2_controls & EXIT2_LOAD_FRED;
}

static inline bool eptp_type_valid(u64 eptp, u64 cap)
{
	u64 type = eptp & 7;

	return (type == 0 && cap & EPT_CAP_UC) || (type == 6 && cap & EPT_CAP_WB);
}

static inline bool eptp_levels_valid(u64 eptp, u64 cap)
{
	u64 levels = (eptp >> 3 & 7) + 1;

	return (levels == 4 && cap & EPT_CAP_WALK_4) || (levels == 5 && cap & EPT_CAP_WALK_5);
}

/* Does an area of @count entries of @size bytes begin within the width and end beyond it? Nothing overflows. */
static inline bool area_leaves(u64 address, u64 count, u64 size, u64 bits)
{
	u64 limit = ~0ull >> (64 - bits);

	return address <= limit && count * size - 1 > limit - address;
}

/* SDM, Miscellaneous Data: the recommended maximum of each MSR area. */
static inline u64 msr_count_max(const struct check_vmx_caps *c)
{
	return 512 * ((c->misc >> 25 & 7) + 1);
}

static inline bool event(const struct check_vmx *f)
{
	return f->entry_intr_info & EVENT_VALID;
}

static inline u64 event_type(const struct check_vmx *f)
{
	return f->entry_intr_info >> 8 & 7;
}

static inline u64 event_vector(const struct check_vmx *f)
{
	return f->entry_intr_info & 0xff;
}

static inline bool event_is_software(const struct check_vmx *f)
{
	return event_type(f) >= 4 && event_type(f) <= 6;
}

/* #DF, #TS, #NP, #SS, #GP, #PF, #AC, and #CP on a CPU with CET. */
static inline bool vector_pushes_error(u64 vector, const struct check_vmx_caps *c)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 ||
	       (vector == 21 && c->cr4_fixed1 & CR4_CET);
}

static inline bool event_pushes_error(const struct check_vmx *f, const struct check_vmx_caps *c)
{
	bool protected = !(cpu2(f) & CPU2_UNRESTRICTED) || f->guest_cr0 & CR0_PE;

	return protected && event_type(f) == EVENT_EXCEPTION && vector_pushes_error(event_vector(f), c);
}

/* SDM, Checks on Guest Non-Register State: what may be injected into a CPU that is not active. */
static inline bool event_wakes(const struct check_vmx *f)
{
	u64 type = event_type(f), vector = event_vector(f);
	bool machine_check = type == EVENT_EXCEPTION && vector == 18;

	switch (f->guest_activity) {
	case ACTIVITY_ACTIVE:
		return true;
	case ACTIVITY_HLT:
		return type == EVENT_INTR || type == EVENT_NMI || machine_check ||
		       (type == EVENT_EXCEPTION && vector == 1) || (type == EVENT_OTHER && !vector);
	case ACTIVITY_SHUTDOWN:
		return type == EVENT_NMI || machine_check;
	case ACTIVITY_SIPI:
		return false;
	default:
		return true;	/* no activity state: another rule's matter */
	}
}

static inline bool step_pending(const struct check_vmx *f)
{
	return f->guest_interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS) || f->guest_activity == ACTIVITY_HLT;
}

static inline bool steps(const struct check_vmx *f)
{
	return f->guest_rflags & RFLAGS_TF && !(f->guest_debugctl & DEBUGCTL_BTF);
}

enum {
	S_BASIC, S_EXEC, S_EXIT, S_ENTRY, S_HOST, S_HOST_SEG, S_SPACE, S_GUEST, S_GUEST_SEG, S_GUEST_DT, S_GUEST_RIP,
	S_GUEST_OTHER, S_PDPTE, S_MSRS,
};

static const char *const sections[] = {
	[S_BASIC] = "Basic VM-Entry Checks",
	[S_EXEC] = "VM-Execution Control Fields",
	[S_EXIT] = "VM-Exit Control Fields",
	[S_ENTRY] = "VM-Entry Control Fields",
	[S_HOST] = "Checks on Host Control Registers, MSRs, and SSP",
	[S_HOST_SEG] = "Checks on Host Segment and Descriptor-Table Registers",
	[S_SPACE] = "Checks Related to Address-Space Size",
	[S_GUEST] = "Checks on Guest Control Registers, Debug Registers, and MSRs",
	[S_GUEST_SEG] = "Checks on Guest Segment Registers",
	[S_GUEST_DT] = "Checks on Guest Descriptor-Table Registers",
	[S_GUEST_RIP] = "Checks on Guest RIP, RFLAGS, and SSP",
	[S_GUEST_OTHER] = "Checks on Guest Non-Register State",
	[S_PDPTE] = "Checks on Guest Page-Directory-Pointer-Table Entries",
	[S_MSRS] = "Loading MSRs",
};

/* Effect, code, qualification. */
#define VMFAIL(error)	(CHECK_VMFAIL, error, 0)
#define CONTROL		VMFAIL(7)
#define HOST		VMFAIL(8)
#define GUEST		(CHECK_ENTRY_FAILURE, 33, 0)
#define GUEST_PDPTE	(CHECK_ENTRY_FAILURE, 33, 2)
#define GUEST_LINK	(CHECK_ENTRY_FAILURE, 33, 4)
#define MSR_LOAD	(CHECK_ENTRY_FAILURE, 34, 1)	/* the number of the entry: the state has one */
#define ADVICE		(CHECK_ADVICE, 0, 0)

/* Families of rules. */
#define CANONICAL(id, sec, effect)								\
	MUST(id, sec, effect, (id), "the address is canonical", canonical(f->id, c->linear_bits))

#define MSR_AREA(id, sec, what)									\
	ZERO(id##_aligned, sec, CONTROL, (id, id##_count), what " is 16-byte aligned",		\
	     f->id##_count ? f->id & 15 : 0)							\
	ZERO(id##_width, sec, CONTROL, (id, id##_count), what " is within the physical-address width",	\
	     f->id##_count ? beyond(f->id, c->physical_bits) << c->physical_bits : 0)		\
	MUST(id##_end, sec, CONTROL, (id##_count, id), what " ends within the physical-address width",	\
	     !f->id##_count || !area_leaves(f->id, f->id##_count, 16, c->physical_bits))

/* FRED's MSRs, where they are loaded; the variable arguments are the controls that say so. */
#define FRED(who, sec, effect, loads, ...)							\
	ZERO(who##_fred_config_reserved, sec, effect, (who##_fred_config, __VA_ARGS__),	\
	     "bits 11, 5:4 and 2 of IA32_FRED_CONFIG are 0", loads ? f->who##_fred_config & 0x834 : 0)	\
	MUST(who##_fred_config, sec, effect, (who##_fred_config, __VA_ARGS__),			\
	     "IA32_FRED_CONFIG is canonical", !(loads) || canonical(f->who##_fred_config, c->linear_bits))	\
	FRED_LEVEL(who, 1, sec, effect, loads, __VA_ARGS__)					\
	FRED_LEVEL(who, 2, sec, effect, loads, __VA_ARGS__)					\
	FRED_LEVEL(who, 3, sec, effect, loads, __VA_ARGS__)

#define FRED_LEVEL(who, n, sec, effect, loads, ...)						\
	ZERO(who##_fred_rsp##n##_aligned, sec, effect, (who##_fred_rsp##n, __VA_ARGS__),	\
	     "the stack pointer of a FRED level is 64-byte aligned", loads ? f->who##_fred_rsp##n & 0x3f : 0)	\
	MUST(who##_fred_rsp##n, sec, effect, (who##_fred_rsp##n, __VA_ARGS__),			\
	     "the stack pointer of a FRED level is canonical",					\
	     !(loads) || canonical(f->who##_fred_rsp##n, c->linear_bits))			\
	ZERO(who##_fred_ssp##n##_aligned, sec, effect, (who##_fred_ssp##n, __VA_ARGS__),	\
	     "the shadow-stack pointer of a FRED level is 8-byte aligned", loads ? f->who##_fred_ssp##n & 7 : 0)	\
	MUST(who##_fred_ssp##n, sec, effect, (who##_fred_ssp##n, __VA_ARGS__),			\
	     "the shadow-stack pointer of a FRED level is canonical",				\
	     !(loads) || canonical(f->who##_fred_ssp##n, c->linear_bits))

/* First the predicates, then the table. */
#define PREDICATE(id, bits)									\
static u64 broken_##id(const u64 *values, const u64 *caps)					\
{												\
	const struct check_vmx *f = (const struct check_vmx *)values;				\
	const struct check_vmx_caps *c = (const struct check_vmx_caps *)caps;			\
												\
	(void)c;										\
	return (bits);										\
}
#define ZERO(id, section, effect, fields, text, bits)		PREDICATE(id, bits)
#define MUST(id, section, effect, fields, text, condition)	PREDICATE(id, !(condition))

#include "check/vmx_controls.h"
#include "check/vmx_host.h"
#include "check/vmx_guest.h"
#undef ZERO
#undef MUST

#define P(name)	VF_##name
#define RULE(id, section, effect, fields, text, bits)						\
	{ #id, text, section, E effect, bits, F fields, broken_##id },
#define ZERO(id, section, effect, fields, text, expression)	RULE(id, section, effect, fields, text, true)
#define MUST(id, section, effect, fields, text, expression)	RULE(id, section, effect, fields, text, false)

static const struct check_rule rules[] = {
#include "check/vmx_controls.h"
#include "check/vmx_host.h"
#include "check/vmx_guest.h"
};

_Static_assert(sizeof(rules) / sizeof(rules[0]) <= CHECK_MAX_RULES, "more rules than an index holds");

/* The same rules once more, as one function; see check.h. */
#undef ZERO
#undef MUST
#define POSITION(id, ...)	RULE_##id,
#define ZERO	POSITION
#define MUST	POSITION
enum {
#include "check/vmx_controls.h"
#include "check/vmx_host.h"
#include "check/vmx_guest.h"
};
#undef ZERO
#undef MUST
#define ENFORCE(id, section, effect, ...)							\
	if (EFFECT effect != CHECK_ADVICE && broken_##id(values, caps))				\
		return &rules[RULE_##id];
#define ZERO	ENFORCE
#define MUST	ENFORCE

const struct check_rule *check_vmx_enforce(const u64 *values, const u64 *caps)
{
#include "check/vmx_controls.h"
#include "check/vmx_host.h"
#include "check/vmx_guest.h"
	return NULL;
}

/* Bits 14:13 of an encoding: 16, 64, 32 bits, natural width. */
#define VMX_FIELD(id, encoding)								\
	[VF_##id] = { #id, encoding, ((encoding) >> 13 & 3) == 0 ? 2 : ((encoding) >> 13 & 3) == 2 ? 4 : 8 },
#define VMX_MEMORY(id)	[VF_##id] = { #id, CHECK_NOWHERE, 8 },
static const struct check_field fields[VF_NR] = {
#include "check/vmx_fields.h"
};

#define X(id)	[VCAP_##id] = { #id, CHECK_NOWHERE, 8 },
static const struct check_field caps[VCAP_NR] = { CHECK_VMX_CAPS(X) };
#undef X

const struct check_table check_vmx = {
	.vendor = "intel",
	.manual = "SDM",
	.sections = sections,
	.fields = fields,
	.caps = caps,
	.rules = rules,
	.nr_fields = VF_NR,
	.nr_caps = VCAP_NR,
	.nr_rules = sizeof(rules) / sizeof(rules[0]),
};

/**
 * check_vmx_error() - a VM-instruction error in words
 * @error: its number
 *
 * SDM, VM-Instruction Error Numbers.
 *
 * Return: the words.
 */
const char *check_vmx_error(u32 error)
{
	static const char *const names[] = {
		[1] = "VMCALL executed in VMX root operation",
		[2] = "VMCLEAR with invalid physical address",
		[3] = "VMCLEAR with VMXON pointer",
		[4] = "VMLAUNCH with non-clear VMCS",
		[5] = "VMRESUME with non-launched VMCS",
		[6] = "VMRESUME after VMXOFF",
		[7] = "VM entry with invalid control field",
		[8] = "VM entry with invalid host-state field",
		[9] = "VMPTRLD with invalid physical address",
		[10] = "VMPTRLD with VMXON pointer",
		[11] = "VMPTRLD with incorrect VMCS revision identifier",
		[12] = "VMREAD or VMWRITE of an unsupported field",
		[13] = "VMWRITE to a read-only field",
		[15] = "VMXON executed in VMX root operation",
		[16] = "VM entry with invalid executive-VMCS pointer",
		[17] = "VM entry with non-launched executive VMCS",
		[18] = "VM entry with executive-VMCS pointer not VMXON pointer",
		[19] = "VMCALL with non-clear VMCS",
		[20] = "VMCALL with invalid VM-exit control fields",
		[22] = "VMCALL with incorrect MSEG revision identifier",
		[23] = "VMXOFF under dual-monitor treatment",
		[24] = "VMCALL with invalid SMM-monitor features",
		[25] = "VM entry with invalid VM-execution control fields in executive VMCS",
		[26] = "VM entry with events blocked by MOV SS",
		[28] = "invalid operand to INVEPT or INVVPID",
	};

	return error < sizeof(names) / sizeof(names[0]) && names[error] ? names[error] : "unknown VM-instruction error";
}

/**
 * check_vmx_entry_failure() - the basic exit reason of a failed load of state in words
 * @reason: its number, without bit 31
 *
 * SDM, VM-Entry Failures During or After Loading Guest State.
 *
 * Return: the words.
 */
const char *check_vmx_entry_failure(u32 reason)
{
	switch (reason) {
	case 33:
		return "invalid guest state";
	case 34:
		return "MSR loading";
	case 41:
		return "machine check";
	default:
		return "unknown basic reason";
	}
}
