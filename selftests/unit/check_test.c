// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that no valid state breaks a rule of VM entry, that each rule can be broken alone, that a rule depends on no
 * value that it does not name, and that no state whatever makes the checker read or compute what it must not.
 */
#include <linux/nestor.h>
#include <stdlib.h>

#include "../../userspace/check/breach.h"
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

static bool can_break(const struct check_rule *rule)
{
	struct check_state broken;
	unsigned int depth, i;

	for (depth = 1; depth <= 2; depth++)
		for (i = 0; i < nr_states; i++)
			if (breach__find(rule, &states[i], depth, &broken))
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
	struct check_state broken;
	unsigned int i, n;
	u64 saved;
	bool found = false;

	for (n = 0; n < sizeof(other_cpu) / sizeof(other_cpu[0]); n++) {
		if (strcmp(rule->id, other_cpu[n].id))
			continue;
		for (i = 0; i < nr_states && !found; i++) {
			saved = states[i].caps[other_cpu[n].cap];
			states[i].caps[other_cpu[n].cap] = other_cpu[n].value;
			found = breach__is_alone(&states[i], rule) || breach__find(rule, &states[i], 2, &broken);
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

/* In each mode of a guest, with and without EPT, most rules can be broken by one value alone. */
static const char *const modes[] = {
	"real mode", "protected mode", "PAE", "long mode", "virtual-8086 mode", "long mode without EPT",
};

static void test_modes(const struct check_table *table)
{
	struct check_state broken;
	unsigned int m, i, n, alone;

	for (m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		for (n = 0; n < nr_states && strcmp(names[n], modes[m]); n++)
			;
		if (n == nr_states)
			continue;
		for (i = 0, alone = 0; i < table->nr_rules; i++)
			alone += breach__find(&table->rules[i], &states[n], 1, &broken);
		tap_ok(alone >= (table == &check_vmx ? 140 : 60), "%s: %u rules broken alone from %s", table->vendor,
		       alone, names[n]);
	}
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
	bool unique = true, texts = true, fit = true;
	struct nestor_broken_rule wire;

	for (i = 0; i < table->nr_rules; i++) {
		const struct check_rule *rule = &table->rules[i];

		enforced += rule->effect != CHECK_ADVICE;
		texts &= rule->text[0] && table->sections[rule->section] && rule->fields[0];
		fit &= strlen(rule->id) < sizeof(wire.id) && strlen(rule->text) < sizeof(wire.text) &&
		       strlen(table->sections[rule->section]) < sizeof(wire.section);
		for (j = 0; j < i; j++)
			unique &= strcmp(rule->id, table->rules[j].id) != 0;
	}
	for (i = 1; i < table->nr_fields; i++) {
		unique &= check_find(table->fields, table->nr_fields, table->fields[i].name) == (int)i;
		fit &= strlen(table->fields[i].name) < sizeof(wire.fields[0].name);
	}
	for (i = 0; i < table->nr_caps; i++)
		fit &= strlen(table->caps[i].name) < sizeof(wire.fields[0].name);
	tap_ok(unique, "%s: no two rules or fields have one name", table->vendor);
	tap_ok(fit, "%s: names and texts fit into the report", table->vendor);
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
		test_modes(tables[i]);
		test_dependencies(tables[i]);
		test_random(tables[i]);
	}
	return tap_done();
}
