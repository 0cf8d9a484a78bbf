/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rules of a VM entry as data: what the manuals say that VMLAUNCH, VMRESUME and VMRUN check, one row per rule.
 * Knows no kernel: the same files are built into the module, into nestor(1) and into unit tests.
 *
 * A state is an array of 64-bit values, named by a table: one per VMCS or VMCB field, and a few that are no field
 * (what lies in memory that the CPU looks at). What a CPU supports is another such array. So readers, reports and
 * tests need no code per field.
 */
#ifndef NESTOR_CHECK_CHECK_H
#define NESTOR_CHECK_CHECK_H

#include "emulate/types.h"

/**
 * enum check_effect - what a CPU does when a rule is broken
 * @CHECK_VMFAIL: VMfailValid with the VM-instruction error in check_rule.code
 * @CHECK_ENTRY_FAILURE: the exit reason in check_rule.code with bit 31 set, and a qualification
 * @CHECK_VMEXIT_INVALID: #VMEXIT with VMEXIT_INVALID
 * @CHECK_GP: VMRUN raises #GP(0)
 * @CHECK_ADVICE: nothing: the state is accepted, and hardly what its author wanted
 */
enum check_effect {
	CHECK_VMFAIL,
	CHECK_ENTRY_FAILURE,
	CHECK_VMEXIT_INVALID,
	CHECK_GP,
	CHECK_ADVICE,
};

#define CHECK_MAX_FIELDS	256
#define CHECK_MAX_RULES		448
#define CHECK_MAX_CAPS		32
#define CHECK_RULE_FIELDS	8

/**
 * struct check_field - the name of a value
 * @name: in reports and JSON; unique in its table
 * @where: VMCS encoding, or offset in the VMCB; CHECK_NOWHERE for what is in neither
 * @bytes: its width
 */
struct check_field {
	const char *name;
	u32 where;
	u8 bytes;
};
#define CHECK_NOWHERE	0xffffffff

/**
 * struct check_rule - one rule
 * @id: stable name
 * @text: what has to hold
 * @section: index of the manual's section in check_table.sections
 * @effect: what the CPU does
 * @code: VM-instruction error or basic exit reason, as @effect says
 * @qualification: exit qualification of an entry failure
 * @bits: @broken returns the offending bits of the first field, not just a truth value
 * @fields: indices of all fields that the verdict depends on, the one to look at first; 0 ends the list
 * @broken: 0 while the rule holds
 */
struct check_rule {
	const char *id;
	const char *text;
	u8 section;
	u8 effect;
	u8 code;
	u8 qualification;
	bool bits;
	u8 fields[CHECK_RULE_FIELDS];
	u64 (*broken)(const u64 *values, const u64 *caps);
};

/**
 * struct check_table - all that is known about one vendor's VM entries
 * @vendor: "intel" or "amd"
 * @manual: whose sections are named: "SDM" or "APM"
 * @sections: their titles
 * @fields: names of the values; index 0 names nothing
 * @caps: names of the CPU's capabilities
 * @rules: in the order of the manual
 * @nr_fields: length of @fields
 * @nr_caps: length of @caps
 * @nr_rules: length of @rules
 */
struct check_table {
	const char *vendor;
	const char *manual;
	const char *const *sections;
	const struct check_field *fields;
	const struct check_field *caps;
	const struct check_rule *rules;
	unsigned int nr_fields, nr_caps, nr_rules;
};

extern const struct check_table check_vmx, check_svm;

/**
 * struct check_state - the state of one VM entry
 * @table: whose
 * @known: bit per value: rules that depend on an unknown one are passed over
 * @values: by index in table->fields
 * @caps: by index in table->caps
 */
struct check_state {
	const struct check_table *table;
	u64 known[CHECK_MAX_FIELDS / 64];
	u64 values[CHECK_MAX_FIELDS];
	u64 caps[CHECK_MAX_CAPS];
};

/**
 * struct check_result - a broken rule, and the position of a walk through a state's broken rules
 * @rule: the rule
 * @bits: offending bits of its first field where rule->bits, else 1
 * @next: where check_next() goes on; 0 at first
 */
struct check_result {
	const struct check_rule *rule;
	u64 bits;
	unsigned int next;
};

/**
 * struct check_index - which rules depend on a value, for entries of which most values were checked before
 * @rules: bits by position in table->rules, by field
 */
struct check_index {
	u64 rules[CHECK_MAX_FIELDS][CHECK_MAX_RULES / 64];
};

void check_index_make(struct check_index *index, const struct check_table *table);
const struct check_rule *check_verdict_changed(const struct check_state *state, const struct check_index *index,
					       const u64 *changed);

void check_init(struct check_state *state, const struct check_table *table);
bool check_known(const struct check_state *state, unsigned int field);
void check_set(struct check_state *state, unsigned int field, u64 value);
int check_find(const struct check_field *fields, unsigned int nr, const char *name);
bool check_applies(const struct check_state *state, const struct check_rule *rule);
bool check_next(const struct check_state *state, struct check_result *result);
const struct check_rule *check_verdict(const struct check_state *state);

/*
 * The verdict on a state of which everything is known, for a nested entry: enforced rules only, in order, up to the
 * first broken one. One function without calls through pointers. @values is indexed by enum check_vmx_field or enum
 * check_svm_field, @caps by enum check_vmx_cap or enum check_svm_cap; values are not wider than their fields. NULL
 * when the CPU enters the guest.
 */
const struct check_rule *check_vmx_enforce(const u64 *values, const u64 *caps);
const struct check_rule *check_svm_enforce(const u64 *values, const u64 *caps);

const char *check_vmx_error(u32 error);
const char *check_vmx_entry_failure(u32 reason);
const char *check_reason(const struct check_table *table, u64 reason);

/* Indices of the values, and their names as members of a structure: `VF_guest_cr0`, `f->guest_cr0`. */
#define VMX_FIELD(name, encoding)	VF_##name,
#define VMX_MEMORY(name)		VF_##name,
enum check_vmx_field {
	VF_none,
#include "check/vmx_fields.h"
	VF_NR
};
#undef VMX_FIELD
#undef VMX_MEMORY

#define SVM_FIELD(name, type, offset)	SF_##name,
#define SVM_MEMORY(name)		SF_##name,
enum check_svm_field {
	SF_none,
#include "check/svm_fields.h"
	SF_NR
};
#undef SVM_FIELD
#undef SVM_MEMORY

/*
 * Capabilities. VMX: those called after an MSR are that MSR, the TRUE ones where the CPU has them; *_settable are the
 * bits that may be 1 in a register; physical_bits and linear_bits the widths of addresses.
 */
#define CHECK_VMX_CAPS(X)							\
	X(basic) X(misc) X(pin) X(cpu) X(cpu2) X(cpu3) X(exit) X(exit2) X(entry)	\
	X(cr0_fixed0) X(cr0_fixed1) X(cr4_fixed0) X(cr4_fixed1)			\
	X(ept_vpid) X(vmfunc) X(physical_bits) X(linear_bits)			\
	X(debugctl_settable) X(perf_global_settable) X(efer_settable)		\
	X(rtit_settable) X(lbr_settable) X(cr3_settable)			\
	X(host_lma) X(smm) X(sgx) X(rtm) X(bus_lock)

#define CHECK_SVM_CAPS(X)							\
	X(features) X(physical_bits) X(linear_bits) X(cr4_settable) X(efer_settable)	\
	X(cr3_settable) X(long_mode) X(asids) X(sev) X(cbit)

#define X(name)	VCAP_##name,
enum check_vmx_cap { CHECK_VMX_CAPS(X) VCAP_NR };
#undef X
#define X(name)	SCAP_##name,
enum check_svm_cap { CHECK_SVM_CAPS(X) SCAP_NR };
#undef X

#endif
