// SPDX-License-Identifier: GPL-2.0
/*
 * NESTOR_GET_ENTRY_FAILURE: the report on a failed VM entry.
 */
#include <linux/uaccess.h>

#include "abi/abi.h"
#include "vm/vm.h"
#include "vm/entry_failure.h"

static_assert((int)NESTOR_EFFECT_ADVICE == (int)CHECK_ADVICE && (int)NESTOR_EFFECT_GP == (int)CHECK_GP);
static_assert(NESTOR_RULE_FIELDS == CHECK_RULE_FIELDS);

static void fill_value(struct nestor_entry_value *v, const char *name, u64 value)
{
	memset(v, 0, sizeof(*v));
	strscpy(v->name, name, sizeof(v->name));
	v->value = value;
}

static void fill_rule(struct nestor_broken_rule *r, const struct check_state *state,
		      const struct check_result *result)
{
	const struct check_rule *rule = result->rule;
	u32 i;

	memset(r, 0, sizeof(*r));
	strscpy(r->id, rule->id, sizeof(r->id));
	strscpy(r->text, rule->text, sizeof(r->text));
	strscpy(r->section, state->table->sections[rule->section], sizeof(r->section));
	r->effect = rule->effect;
	r->code = rule->code;
	r->qualification = rule->qualification;
	r->bits = result->bits;
	for (i = 0; i < CHECK_RULE_FIELDS && rule->fields[i]; i++)
		fill_value(&r->fields[i], state->table->fields[rule->fields[i]].name, state->values[rule->fields[i]]);
	r->nr_fields = i;
}

/* Each returns how many there are, or -EFAULT; @room of them are copied. */
static int copy_rules(const struct check_state *state, struct nestor_broken_rule __user *to, u32 room)
{
	struct check_result result = {};
	struct nestor_broken_rule *rule = kmalloc(sizeof(*rule), GFP_KERNEL_ACCOUNT);
	u32 n = 0;

	if (!rule)
		return -ENOMEM;
	while (check_next(state, &result)) {
		if (n < room) {
			fill_rule(rule, state, &result);
			if (copy_to_user(to + n, rule, sizeof(*rule))) {
				kfree(rule);
				return -EFAULT;
			}
		}
		n++;
	}
	kfree(rule);
	return n;
}

static int copy_values(const struct check_state *state, struct nestor_entry_value __user *to, u32 room)
{
	const struct check_table *table = state->table;
	struct nestor_entry_value value;
	unsigned int i;
	u32 n = 0;

	for (i = 1; i < table->nr_fields; i++) {
		if (!check_known(state, i))
			continue;
		fill_value(&value, table->fields[i].name, state->values[i]);
		if (n < room && copy_to_user(to + n, &value, sizeof(value)))
			return -EFAULT;
		n++;
	}
	return n;
}

static int copy_caps(const struct check_state *state, struct nestor_entry_value __user *to, u32 room)
{
	const struct check_table *table = state->table;
	struct nestor_entry_value value;
	u32 n;

	for (n = 0; n < table->nr_caps; n++) {
		fill_value(&value, table->caps[n].name, state->caps[n]);
		if (n < room && copy_to_user(to + n, &value, sizeof(value)))
			return -EFAULT;
	}
	return n;
}

/**
 * abi_copy_entry_state - a state and its broken rules to user space
 * @state: the state
 * @f: where to, and for how many; vendor and the counts are filled in
 *
 * Return: 0, -EFAULT or -ENOMEM.
 */
int abi_copy_entry_state(const struct check_state *state, struct nestor_entry_failure *f)
{
	int rules = copy_rules(state, u64_to_user_ptr(f->rules), f->nr_rules);
	int values = copy_values(state, u64_to_user_ptr(f->values), f->nr_values);
	int caps = copy_caps(state, u64_to_user_ptr(f->caps), f->nr_caps);

	if (rules < 0 || values < 0 || caps < 0)
		return rules < 0 ? rules : -EFAULT;
	strscpy_pad(f->vendor, state->table->vendor, sizeof(f->vendor));
	f->nr_rules = rules;
	f->nr_values = values;
	f->nr_caps = caps;
	return 0;
}

/**
 * abi_get_entry_failure - NESTOR_GET_ENTRY_FAILURE
 * @vcpu: under its mutex
 * @arg: struct nestor_entry_failure
 */
int abi_get_entry_failure(struct vcpu *vcpu, void *arg)
{
	const struct entry_failure *failure = vcpu->entry_failure;
	struct nestor_entry_failure *f = arg;

	if (!failure)
		return -ENOENT;
	f->reason = failure->reason;
	f->qualification = failure->qualification;
	f->cpu = failure->cpu;
	return abi_copy_entry_state(&failure->state, f);
}
