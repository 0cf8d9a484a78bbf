// SPDX-License-Identifier: GPL-2.0
/*
 * States and reports in JSON:
 *
 *	{ "vendor": "intel", "capabilities": { "cr4_fixed1": "0x3767ff", ... }, "state": { "guest_cr0": "0x31", ... } }
 *
 * Numbers are strings, because JSON's own lose bits beyond 2^53 in many readers; integers are read as well.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

static bool number(const json_t *value, uint64_t *out)
{
	const char *s = json_string_value(value);
	char *end;

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*out = json_integer_value(value);
		return true;
	}
	if (!s || *s < '0' || *s > '9')
		return false;
	errno = 0;
	*out = strtoull(s, &end, 0);
	return !errno && !*end;
}

static bool read_state(struct check_state *state, json_t *values, char *error, size_t size)
{
	const struct check_table *table = state->table;
	const char *name;
	json_t *value;

	json_object_foreach(values, name, value) {
		int i = check_find(table->fields, table->nr_fields, name);
		uint64_t v;

		if (i < 0 || !number(value, &v)) {
			snprintf(error, size, i < 0 ? "no field is called %.40s" : "%.40s is not a number", name);
			return false;
		}
		check_set(state, i, v);
		if (state->values[i] != v) {
			snprintf(error, size, "%.40s has %u bytes", name, table->fields[i].bytes);
			return false;
		}
	}
	return true;
}

/* Widths are shift counts: only such that a CPU can have. */
static bool width_valid(const char *name, uint64_t v)
{
	if (!strcmp(name, "physical_bits"))
		return v >= 32 && v <= 52;
	return strcmp(name, "linear_bits") || v == 48 || v == 57;
}

static bool read_caps(struct check_state *state, json_t *values, char *error, size_t size)
{
	const struct check_table *table = state->table;
	const char *name;
	json_t *value;

	json_object_foreach(values, name, value) {
		int i = check_find(table->caps, table->nr_caps, name);
		uint64_t v;

		if (i < 0 || !number(value, &v) || !width_valid(name, v)) {
			snprintf(error, size, i < 0 ? "no capability is called %.40s" : "%.40s has a bad value", name);
			return false;
		}
		state->caps[i] = v;
	}
	caps__finish(state, json_object_get(values, "cr3_settable"));
	return true;
}

static bool read_object(struct dump *dump, json_t *root, char *error, size_t size)
{
	const char *vendor = json_string_value(json_object_get(root, "vendor"));
	json_t *state = json_object_get(root, "state"), *caps = json_object_get(root, "capabilities");

	if (!vendor || (strcmp(vendor, "intel") && strcmp(vendor, "amd"))) {
		snprintf(error, size, "\"vendor\" has to be \"intel\" or \"amd\"");
		return false;
	}
	if (!json_is_object(state) || (caps && !json_is_object(caps))) {
		snprintf(error, size, "\"state\" is no object");
		return false;
	}
	check_init(&dump->state, strcmp(vendor, "amd") ? &check_vmx : &check_svm);
	caps__default(&dump->state);
	dump->nr_dumps = 1;
	dump->assumed = NULL;
	return read_state(&dump->state, state, error, size) && (!caps || read_caps(&dump->state, caps, error, size));
}

/** json__read() - read a state; false with @error when it is none */
bool json__read(struct dump *dump, const char *text, char *error, size_t size)
{
	json_error_t why;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	bool ok;

	if (!root) {
		snprintf(error, size, "line %d: %s", why.line, why.text);
		return false;
	}
	ok = read_object(dump, root, error, size);
	json_decref(root);
	return ok;
}

static json_t *hex(uint64_t v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "0x%" PRIx64, v);
	return json_string(buf);
}

static json_t *rule_object(const struct check_state *state, const struct check_result *result)
{
	const struct check_table *table = state->table;
	const struct check_rule *rule = result->rule;
	json_t *fields = json_object(), *o;
	char effect[128];

	for (unsigned int i = 0; i < CHECK_RULE_FIELDS && rule->fields[i]; i++)
		json_object_set_new(fields, table->fields[rule->fields[i]].name,
				    hex(state->values[rule->fields[i]]));
	report__effect(effect, sizeof(effect), rule);
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "id", rule->id, "rule", rule->text, "manual",
		      table->manual, "section", table->sections[rule->section], "effect", effect, "enforced",
		      rule->effect != CHECK_ADVICE, "fields", fields);
	if (rule->bits)
		json_object_set_new(o, "bits", hex(result->bits));
	return o;
}

/**
 * json__print() - print the report on a state
 *
 * Return: how many enforced rules are broken.
 */
unsigned int json__print(FILE *out, const struct check_state *state)
{
	json_t *broken = json_array(), *root;
	struct check_result result = {};
	unsigned int enforced = 0;

	while (check_next(state, &result)) {
		enforced += result.rule->effect != CHECK_ADVICE;
		json_array_append_new(broken, rule_object(state, &result));
	}
	root = json_pack("{s:s, s:i, s:i, s:o}", "vendor", state->table->vendor, "enforced_broken", (int)enforced,
			 "not_judged", (int)report__unjudged(state), "broken", broken);
	json_dumpf(root, out, JSON_INDENT(2));
	fputc('\n', out);
	json_decref(root);
	return enforced;
}

/** json__print_state() - print a state as json__read() reads it */
void json__print_state(FILE *out, const struct check_state *state)
{
	const struct check_table *table = state->table;
	json_t *values = json_object(), *caps = json_object(), *root;

	for (unsigned int i = 1; i < table->nr_fields; i++)
		if (check_known(state, i))
			json_object_set_new(values, table->fields[i].name, hex(state->values[i]));
	for (unsigned int i = 0; i < table->nr_caps; i++)
		json_object_set_new(caps, table->caps[i].name, hex(state->caps[i]));
	root = json_pack("{s:s, s:o, s:o}", "vendor", table->vendor, "capabilities", caps, "state", values);
	json_dumpf(root, out, JSON_INDENT(2));
	fputc('\n', out);
	json_decref(root);
}
