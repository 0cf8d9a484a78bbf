// SPDX-License-Identifier: GPL-2.0
/*
 * Walking the rules over a state.
 */
#include "check/check.h"

/**
 * check_init() - begin a state of which nothing is known
 * @state: the state
 * @table: whose
 */
void check_init(struct check_state *state, const struct check_table *table)
{
	memset(state, 0, sizeof(*state));
	state->table = table;
}

/**
 * check_known() - whether a value was given
 * @state: the state
 * @field: index of the value
 *
 * Return: true when it was.
 */
bool check_known(const struct check_state *state, unsigned int field)
{
	return state->known[field / 64] >> field % 64 & 1;
}

/**
 * check_set() - give a value
 * @state: the state
 * @field: its index
 * @value: the value
 *
 * It is cut to the field's width: hardware has no more of it.
 */
void check_set(struct check_state *state, unsigned int field, u64 value)
{
	u8 bytes = state->table->fields[field].bytes;

	state->values[field] = bytes < 8 ? value & ((1ull << bytes * 8) - 1) : value;
	state->known[field / 64] |= 1ull << field % 64;
}

/**
 * check_find() - the index of a name
 * @fields: names of fields or of capabilities
 * @nr: how many
 * @name: the name
 *
 * Return: -1 when it is none of them.
 */
int check_find(const struct check_field *fields, unsigned int nr, const char *name)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (fields[i].name && !strcmp(fields[i].name, name))
			return i;
	return -1;
}

/**
 * check_applies() - whether all is known that a rule's verdict depends on
 * @state: the state
 * @rule: the rule
 *
 * Return: true when it is.
 */
bool check_applies(const struct check_state *state, const struct check_rule *rule)
{
	unsigned int i;

	for (i = 0; i < CHECK_RULE_FIELDS && rule->fields[i]; i++)
		if (!check_known(state, rule->fields[i]))
			return false;
	return true;
}

/* The bits of a rule that are broken; 0 as well when it cannot be judged. */
static u64 judge(const struct check_state *state, const struct check_rule *rule)
{
	return check_applies(state, rule) ? rule->broken(state->values, state->caps) : 0;
}

/**
 * check_next() - the next broken rule, in the manual's order
 * @state: the state
 * @result: zeroed before the first call
 *
 * Return: false when there are no more.
 */
bool check_next(const struct check_state *state, struct check_result *result)
{
	const struct check_table *table = state->table;

	while (result->next < table->nr_rules) {
		const struct check_rule *rule = &table->rules[result->next++];

		result->bits = judge(state, rule);
		if (result->bits) {
			result->rule = rule;
			return true;
		}
	}
	return false;
}

/**
 * check_verdict() - the rule that decides what the CPU does
 * @state: the state
 *
 * The first broken one that is enforced: the table has the groups in the order in which the manual makes them take
 * effect. Where all is known, check_vmx_enforce() and check_svm_enforce() say the same faster.
 *
 * Return: NULL when the CPU enters the guest.
 */
const struct check_rule *check_verdict(const struct check_state *state)
{
	const struct check_table *table = state->table;
	unsigned int i;

	for (i = 0; i < table->nr_rules; i++)
		if (table->rules[i].effect != CHECK_ADVICE && judge(state, &table->rules[i]))
			return &table->rules[i];
	return NULL;
}

#define VMX_ENTRY_FAILED	0x80000000u

/**
 * check_reason() - what the hardware said, in words
 * @table: whose
 * @reason: hardware_entry_failure_reason of KVM_EXIT_FAIL_ENTRY
 *
 * Return: the words.
 */
const char *check_reason(const struct check_table *table, u64 reason)
{
	if (table == &check_svm)
		return (u32)reason == 0xffffffff ? "VMEXIT_INVALID" : "unknown exit code";
	if (reason & VMX_ENTRY_FAILED)
		return check_vmx_entry_failure(reason & 0xffff);
	return reason ? check_vmx_error(reason) : "the instruction faulted";
}

/**
 * check_index_make() - find out which rules depend on which values
 * @index: the result
 * @table: the rules
 */
void check_index_make(struct check_index *index, const struct check_table *table)
{
	unsigned int i, j;

	memset(index, 0, sizeof(*index));
	for (i = 0; i < table->nr_rules; i++)
		for (j = 0; j < CHECK_RULE_FIELDS && table->rules[i].fields[j]; j++)
			index->rules[table->rules[i].fields[j]][i / 64] |= 1ull << i % 64;
}

/* The rules that depend on a changed value. */
static void find_rules(const struct check_index *index, const u64 *changed, u64 *rules)
{
	unsigned int i, j;
	u64 bits;

	for (i = 0; i < CHECK_MAX_FIELDS / 64; i++)
		for (bits = changed[i]; bits; bits &= bits - 1)
			for (j = 0; j < CHECK_MAX_RULES / 64; j++)
				rules[j] |= index->rules[i * 64 + __builtin_ctzll(bits)][j];
}

/**
 * check_verdict_changed() - check_verdict() for a state that passed before and has changed since
 * @state: the state
 * @index: of its table
 * @changed: bits by field: CHECK_MAX_FIELDS of them
 *
 * Return: as check_verdict().
 */
const struct check_rule *check_verdict_changed(const struct check_state *state, const struct check_index *index,
					       const u64 *changed)
{
	u64 rules[CHECK_MAX_RULES / 64] = {};
	unsigned int i;

	find_rules(index, changed, rules);
	for (i = 0; i < CHECK_MAX_RULES / 64; i++) {
		for (; rules[i]; rules[i] &= rules[i] - 1) {
			const struct check_rule *rule = &state->table->rules[i * 64 + __builtin_ctzll(rules[i])];

			if (rule->effect != CHECK_ADVICE && judge(state, rule))
				return rule;
		}
	}
	return NULL;
}
