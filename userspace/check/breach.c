// SPDX-License-Identifier: GPL-2.0
/*
 * Breaking one rule of VM entry and no other.
 */
#include "breach.h"

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
	for (size_t i = 0; i < sizeof(inseparable) / sizeof(inseparable[0]); i++)
		if (!strcmp(rule->id, inseparable[i].id) && !strcmp(other->id, inseparable[i].with))
			return true;
	return false;
}

/** breach__is_alone() - is @rule the only broken one? Advice does not count beside a rule that is enforced. */
bool breach__is_alone(const struct check_state *state, const struct check_rule *rule)
{
	struct check_result result = {};
	bool found = false;

	if (!check_applies(state, rule) || !rule->broken(state->values, state->caps))
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
		0x80000b00, 0x93, 0xc1ff, 0xfffffffffff0ull, 0x000ffffffffffff0ull, 0xffffffffffffffe0ull,
		0x80000020, 0x80000500, 0x80000a02, 0xa093, 0xa0bb, 0xc0b3, 0xffffffffffull - 0xf,
		0xfffffffff0ull, 0x7ffffffff0ull, 0x7fffffffffull - 7,
	};

	if (n < 64)
		return value ^ 1ull << n;
	n -= 64;
	*end = n >= sizeof(special) / sizeof(special[0]);
	return *end ? 0 : special[n];
}

/**
 * breach__find() - break a rule alone
 * @rule: which
 * @valid: a state that breaks none that is enforced
 * @depth: how many values may be changed, of those that the rule depends on; a large number takes long
 * @broken: filled in
 *
 * Return: false when no way was found.
 */
bool breach__find(const struct check_rule *rule, const struct check_state *valid, unsigned int depth,
		  struct check_state *broken)
{
	struct check_state state = *valid;

	for (unsigned int i = 0; i < CHECK_RULE_FIELDS && rule->fields[i]; i++) {
		unsigned int field = rule->fields[i];
		u64 value = valid->values[field];
		bool end = false;

		if (!check_known(valid, field))
			continue;
		for (unsigned int n = 0; !end; n++) {
			/* What another of the fields has may be what it must not have. */
			check_set(&state, field, n < CHECK_RULE_FIELDS ? valid->values[rule->fields[n]] :
				  candidate(value, n - CHECK_RULE_FIELDS, &end));
			if (breach__is_alone(&state, rule)) {
				*broken = state;
				return true;
			}
			if (depth > 1 && breach__find(rule, &state, depth - 1, broken))
				return true;
		}
		check_set(&state, field, value);
	}
	return false;
}
