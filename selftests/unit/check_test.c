// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that no valid state breaks a rule of VM entry, that each rule can be broken alone, that a rule depends on no
 * value that it does not name, and that no state whatever makes the checker read or compute what it must not.
 */
#include <stdlib.h>

#include "check_states.h"
#include "random.h"
#include "tap.h"

static const struct check_table *const tables[] = { &check_vmx, &check_svm };

#define MAX_STATES	32
static struct check_state states[MAX_STATES];
static const char *names[MAX_STATES];
static unsigned int nr_states;

static void load_states(const struct check_table *table)
{
	for (nr_states = 0; nr_states < MAX_STATES; nr_states++) {
		names[nr_states] = valid_state(table, nr_states, &states[nr_states]);
		if (!names[nr_states])
			break;
	}
}

static void test_valid(const struct check_table *table)
{
	unsigned int i;

	for (i = 0; i < nr_states; i++) {
		struct check_result result = {};

		while (check_next(&states[i], &result))
			printf("# %s: %s (%#llx)\n", names[i], result.rule->id, (unsigned long long)result.bits);
		tap_ok(!result.rule && !check_verdict(&states[i]), "%s: valid: %s", table->vendor, names[i]);
	}
}

/* Rules that cannot be broken without another: who enters long mode from outside breaks what the other says, too. */
static const struct {
	const char *id, *with;
} inseparable[] = {
	{ "ia32e_guest_host", "ia32e_guest_size" },
	{ "ia32e_guest_size", "ia32e_guest_host" },
	{ "entry_to_smm", "guest_blocking_smi_entry" },
};

static bool comes_with(const struct check_rule *rule, const struct check_rule *other)
{
	unsigned int i;

	for (i = 0; i < sizeof(inseparable) / sizeof(inseparable[0]); i++)
		if (!strcmp(rule->id, inseparable[i].id) && !strcmp(other->id, inseparable[i].with))
			return true;
	return false;
}

/* Is @rule the only broken one? Advice does not count beside a rule that is enforced. */
static bool breaks_alone(const struct check_state *state, const struct check_rule *rule)
{
	struct check_result result = {};
	bool found = false;

	if (!rule->broken(state->values, state->caps))
		return false;
	while (check_next(state, &result)) {
		if (result.rule == rule)
			found = true;
		else if ((rule->effect == CHECK_ADVICE || result.rule->effect != CHECK_ADVICE) &&
			 !comes_with(rule, result.rule))
			return false;
	}
	return found;
}

/* Values worth trying in a field: each bit the other way, and a few that rules name. */
static u64 candidate(u64 value, unsigned int n, bool *end)
{
	static const u64 special[] = {
		0, ~0ull, 1, 2, 3, 4, 9, 0xff, 0x200, 0x8000, 0x800, 0xc0000100, 0x9b, 0x7000, 0x80000012, 0x12,
		0xf3, 0xfffff000, 0x82, 0x83, 0x8b, 0x80000013, 0x12345000, 0x80000100, 0x80000101, 0x80000301,
		0x80000302, 0x80000305, 0x80000320, 0x8000030d, 0x80000701, 0x80000800, 0x80000030, 0x80000203,
		0x80000b00, 0x800, 0x93, 0xc1ff, 0xfffffffffff0ull, 0x000ffffffffffff0ull, 0xffffffffffffffe0ull,
		0x80000020, 0x80000500, 0x80000a02, 0xa093, 0xa0bb, 0xc0b3,
	};

	if (n < 64)
		return value ^ 1ull << n;
	n -= 64;
	*end = n >= sizeof(special) / sizeof(special[0]);
	return *end ? 0 : special[n];
}

static bool break_one(const struct check_rule *rule, const struct check_state *valid, unsigned int depth)
{
	struct check_state state = *valid;
	unsigned int i, n;
	bool end;

	for (i = 0; i < CHECK_RULE_FIELDS && rule->fields[i]; i++) {
		unsigned int field = rule->fields[i];
		u64 value = valid->values[field];

		for (n = 0, end = false; !end; n++) {
			check_set(&state, field, candidate(value, n, &end));
			if (breaks_alone(&state, rule))
				return true;
			if (depth > 1 && break_one(rule, &state, depth - 1))
				return true;
		}
		check_set(&state, field, value);
	}
	return false;
}

static bool can_break(const struct check_rule *rule)
{
	unsigned int depth, i;

	for (depth = 1; depth <= 2; depth++)
		for (i = 0; i < nr_states; i++)
			if (break_one(rule, &states[i], depth))
				return true;
	return false;
}

/* Rules about what a CPU lacks, or the mode it is in: the CPU that has it all cannot break them. */
static const struct {
	const char *id;
	int cap;
	u64 value;
} other_cpu[] = {
	{ "cpu2_controls_one", VCAP_cpu2, 0xdfffffff00000020 },
	{ "eptp_accessed_dirty", VCAP_ept_vpid, 0xf0106df41c1 },
	{ "exit_controls_zero", VCAP_exit, 0x7fffffff00036dfb },
	{ "host_lma_size", VCAP_host_lma, 1 },
	{ "guest_enclave", VCAP_sgx, 0 },
	{ "efer_long_mode", SCAP_long_mode, 0 },
	{ "np_unsupported", SCAP_features, 0xfffffffe },
	{ "avic_unsupported", SCAP_features, ~(1ull << 13) },
	{ "x2avic_unsupported", SCAP_features, ~(1ull << 18) },
	{ "vnmi_unsupported", SCAP_features, ~(1ull << 25) },
	{ "vgif_unsupported", SCAP_features, ~(1ull << 16) },
	{ "lbr_unsupported", SCAP_features, ~(1ull << 1) },
	{ "vmload_unsupported", SCAP_features, ~(1ull << 15) },
	{ "clean_unsupported", SCAP_features, ~(1ull << 5) },
	{ "flush_by_asid", SCAP_features, ~(1ull << 6) },
	{ "sev_unsupported", SCAP_sev, 2 },
	{ "sev_es_unsupported", SCAP_sev, 1 },
};

static bool can_break_elsewhere(const struct check_rule *rule)
{
	unsigned int i, n;
	u64 saved;
	bool found = false;

	for (n = 0; n < sizeof(other_cpu) / sizeof(other_cpu[0]); n++) {
		if (strcmp(rule->id, other_cpu[n].id))
			continue;
		for (i = 0; i < nr_states && !found; i++) {
			saved = states[i].caps[other_cpu[n].cap];
			states[i].caps[other_cpu[n].cap] = other_cpu[n].value;
			found = breaks_alone(&states[i], rule) || break_one(rule, &states[i], 2);
			states[i].caps[other_cpu[n].cap] = saved;
		}
	}
	return found;
}

static void test_each_rule(const struct check_table *table)
{
	unsigned int i, missed = 0;

	for (i = 0; i < table->nr_rules; i++) {
		const struct check_rule *rule = &table->rules[i];

		if (can_break_elsewhere(rule) || can_break(rule))
			continue;
		printf("# %s: no state found that breaks %s alone\n", table->vendor, rule->id);
		missed++;
	}
	tap_ok(!missed, "%s: each of %u rules is broken alone by some state", table->vendor, table->nr_rules);
}

static u64 any_value(u64 value)
{
	switch (below(6)) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return rnd();
	case 3: return value ^ 1ull << below(64);
	case 4: return rnd() & rnd() & rnd();
	default: return value;
	}
}

/* A state somewhere between valid and random. */
static void any_state(struct check_state *state)
{
	unsigned int i, changes;

	*state = states[below(nr_states)];
	changes = one_in(4) ? state->table->nr_fields : below(8);
	while (changes--) {
		i = 1 + below(state->table->nr_fields - 1);
		check_set(state, i, any_value(state->values[i]));
	}
}

static bool names_field(const struct check_rule *rule, unsigned int field)
{
	unsigned int i;

	for (i = 0; i < CHECK_RULE_FIELDS && rule->fields[i]; i++)
		if (rule->fields[i] == field)
			return true;
	return false;
}

static void test_dependencies(const struct check_table *table)
{
	unsigned int round, i, field, wrong = 0;
	struct check_state state, other;

	for (round = 0; round < 20000 && wrong < 20; round++) {
		any_state(&state);
		other = state;
		field = 1 + below(table->nr_fields - 1);
		check_set(&other, field, any_value(state.values[field]));
		for (i = 0; i < table->nr_rules; i++) {
			const struct check_rule *rule = &table->rules[i];

			if (names_field(rule, field) ||
			    rule->broken(state.values, state.caps) == rule->broken(other.values, other.caps))
				continue;
			printf("# %s: %s depends on %s\n", table->vendor, rule->id, table->fields[field].name);
			wrong++;
		}
	}
	tap_ok(!wrong, "%s: no rule depends on a value that it does not name", table->vendor);
}

static void test_table(const struct check_table *table)
{
	unsigned int i, j, enforced = 0;
	bool unique = true, texts = true;

	for (i = 0; i < table->nr_rules; i++) {
		const struct check_rule *rule = &table->rules[i];

		enforced += rule->effect != CHECK_ADVICE;
		texts &= rule->text[0] && table->sections[rule->section] && rule->fields[0];
		for (j = 0; j < i; j++)
			unique &= strcmp(rule->id, table->rules[j].id) != 0;
	}
	for (i = 1; i < table->nr_fields; i++)
		unique &= check_find(table->fields, table->nr_fields, table->fields[i].name) == (int)i;
	tap_ok(unique, "%s: no two rules or fields have one name", table->vendor);
	tap_ok(texts, "%s: each rule has a text, a section and a field", table->vendor);
	printf("# %s: %u rules enforced, %u advice\n", table->vendor, enforced, table->nr_rules - enforced);
}

static const struct check_rule *enforce(const struct check_state *state)
{
	return (state->table == &check_vmx ? check_vmx_enforce : check_svm_enforce)(state->values, state->caps);
}

/* CHECK_FUZZ=N: how many states. */
static void test_random(const struct check_table *table)
{
	unsigned long rounds = getenv("CHECK_FUZZ") ? strtoul(getenv("CHECK_FUZZ"), NULL, 0) : 1000000, i;
	unsigned int f;
	struct check_state state;
	bool orderly = true;

	for (i = 0; i < rounds; i++) {
		struct check_result result = {};
		const struct check_rule *verdict, *first = NULL;

		any_state(&state);
		for (f = 0; f < table->nr_caps && one_in(4); f++)
			if (strcmp(table->caps[f].name, "physical_bits") && strcmp(table->caps[f].name, "linear_bits"))
				state.caps[f] = any_value(state.caps[f]);
		verdict = check_verdict(&state);
		while (check_next(&state, &result))
			if (!first && result.rule->effect != CHECK_ADVICE)
				first = result.rule;
		orderly &= first == verdict && enforce(&state) == verdict;
	}
	tap_ok(orderly, "%s: %lu random states", table->vendor, rounds);
}

/* Nothing is judged by what is not known. */
static void test_unknown(const struct check_table *table)
{
	struct check_state state;
	struct check_result result = {};

	check_init(&state, table);
	memset(state.values, 0xff, sizeof(state.values));
	state.caps[0] = 0;
	tap_ok(!check_next(&state, &result), "%s: nothing known, nothing broken", table->vendor);
}

int main(void)
{
	unsigned int i;

	rng_state = 4711;
	for (i = 0; i < 2; i++) {
		load_states(tables[i]);
		test_table(tables[i]);
		test_valid(tables[i]);
		test_unknown(tables[i]);
		test_each_rule(tables[i]);
		test_dependencies(tables[i]);
		test_random(tables[i]);
	}
	return tap_done();
}
