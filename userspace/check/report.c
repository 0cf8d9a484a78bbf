// SPDX-License-Identifier: GPL-2.0
/*
 * Broken rules in words.
 */
#include <inttypes.h>

#include "dump.h"

/** report__effect() - what the CPU does when a rule is broken */
void report__effect(char *buf, size_t size, const struct check_rule *rule)
{
	switch (rule->effect) {
	case CHECK_VMFAIL:
		snprintf(buf, size, "VMfail, VM-instruction error %u: %s", rule->code, check_vmx_error(rule->code));
		break;
	case CHECK_ENTRY_FAILURE:
		snprintf(buf, size, "VM-entry failure, exit reason %u: %s; qualification %u", rule->code,
			 check_vmx_entry_failure(rule->code), rule->qualification);
		break;
	case CHECK_VMEXIT_INVALID:
		snprintf(buf, size, "VMEXIT_INVALID");
		break;
	case CHECK_GP:
		snprintf(buf, size, "#GP");
		break;
	default:
		snprintf(buf, size, "accepted");
	}
}

static void print_rule(FILE *out, const struct check_state *state, const struct check_result *result)
{
	const struct check_table *table = state->table;
	const struct check_rule *rule = result->rule;
	char effect[128];

	fprintf(out, "%s %s: %s\n ", rule->effect == CHECK_ADVICE ? "advice" : "broken", rule->id, rule->text);
	for (unsigned int i = 0; i < CHECK_RULE_FIELDS && rule->fields[i]; i++)
		fprintf(out, " %s 0x%" PRIx64, table->fields[rule->fields[i]].name, state->values[rule->fields[i]]);
	if (rule->bits)
		fprintf(out, "; bits 0x%" PRIx64, result->bits);
	report__effect(effect, sizeof(effect), rule);
	fprintf(out, "\n  %s, %s; %s\n", table->manual, table->sections[rule->section], effect);
}

/** report__unjudged() - the enforced rules of which some value is not known */
unsigned int report__unjudged(const struct check_state *state)
{
	unsigned int unjudged = 0;

	for (unsigned int i = 0; i < state->table->nr_rules; i++)
		unjudged += state->table->rules[i].effect != CHECK_ADVICE &&
			    !check_applies(state, &state->table->rules[i]);
	return unjudged;
}

/**
 * report__print() - print every rule that a state breaks
 *
 * Return: how many enforced ones.
 */
unsigned int report__print(FILE *out, const struct check_state *state)
{
	struct check_result result = {};
	unsigned int enforced = 0, unjudged = report__unjudged(state);

	while (check_next(state, &result)) {
		enforced += result.rule->effect != CHECK_ADVICE;
		print_rule(out, state, &result);
	}
	fprintf(out, "%s: %u rules broken", state->table->vendor, enforced);
	if (unjudged)
		fprintf(out, ", %u could not be judged by what is known", unjudged);
	fprintf(out, "\n");
	return enforced;
}

/* Text for mdoc: no line begins with a control character, no backslash is an escape. */
static void print_mdoc(FILE *out, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", out);
	for (; *s; s++)
		fputs(*s == '\\' ? "\\e" : (char[]){ *s, 0 }, out);
	fputc('\n', out);
}

static void print_man_rule(FILE *out, const struct check_table *table, const struct check_rule *rule)
{
	char effect[128];

	report__effect(effect, sizeof(effect), rule);
	fprintf(out, ".It Li %s\n", rule->id);
	print_mdoc(out, rule->text);
	fprintf(out, ".br\n");
	print_mdoc(out, effect);
	fprintf(out, ".br\n.Em");
	for (unsigned int f = 0; f < CHECK_RULE_FIELDS && rule->fields[f]; f++)
		fprintf(out, " %s", table->fields[rule->fields[f]].name);
	fprintf(out, "\n");
}

static void print_man_table(FILE *out, const struct check_table *table, const char *title)
{
	int section = -1;

	fprintf(out, ".Sh %s\n", title);
	for (unsigned int i = 0; i < table->nr_rules; i++) {
		const struct check_rule *rule = &table->rules[i];

		if (rule->section != section)
			fprintf(out, "%s.Ss %s\n.Bl -tag -width Ds\n", section < 0 ? "" : ".El\n",
				table->sections[rule->section]);
		section = rule->section;
		print_man_rule(out, table, rule);
	}
	fprintf(out, ".El\n");
}

/** report__print_man() - print both tables as a manual page */
void report__print_man(FILE *out)
{
	fprintf(out, ".Dd November 24, 2026\n.Dt NESTOR-RULES 7\n.Os\n"
		".Sh NAME\n.Nm nestor-rules\n.Nd what the CPU checks before it enters a guest\n"
		".Sh DESCRIPTION\n"
		"The rules that\n.Ql nestor check\njudges a VMCS or VMCB by, under the titles of the manuals'\n"
		"sections and in their order: name, what has to hold, what the CPU does otherwise, and the\n"
		"fields that the verdict depends on, the one to look at first.\n"
		"A rule whose breach is accepted is advice.\n");
	print_man_table(out, &check_vmx, "INTEL");
	print_man_table(out, &check_svm, "AMD");
	fprintf(out, ".Sh SEE ALSO\n.Xr nestor 1\n");
}

/** report__print_rules() - print the whole table */
void report__print_rules(FILE *out, const struct check_table *table)
{
	int section = -1;
	char effect[128];

	for (unsigned int i = 0; i < table->nr_rules; i++) {
		const struct check_rule *rule = &table->rules[i];

		if (rule->section != section)
			fprintf(out, "%s%s, %s\n", i ? "\n" : "", table->manual, table->sections[rule->section]);
		section = rule->section;
		report__effect(effect, sizeof(effect), rule);
		fprintf(out, "  %s: %s\n    %s\n   ", rule->id, rule->text, effect);
		for (unsigned int f = 0; f < CHECK_RULE_FIELDS && rule->fields[f]; f++)
			fprintf(out, " %s", table->fields[rule->fields[f]].name);
		fprintf(out, "\n");
	}
}
