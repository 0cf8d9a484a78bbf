// SPDX-License-Identifier: GPL-2.0
/*
 * nestor probe: break each rule of VM entry alone, enter, and compare what the CPU does with what the rule says.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../command.h"
#include "../util.h"
#include "probe.h"

struct options {
	const char *device;
	const char *rule;
	bool dangerous;
	bool json;
	bool tsc;
};

enum { OPT_DEVICE = 256, OPT_DANGEROUS, OPT_JSON, OPT_RULE, OPT_TSC };

static const struct argp_option option_table[] = {
	{ "device", OPT_DEVICE, "PATH", 0, "the hypervisor's device node", 0 },
	{ "rule", OPT_RULE, "ID", 0, "this rule only", 0 },
	{ "dangerous", OPT_DANGEROUS, NULL, 0, "host state too, on a CPU that is not emulated", 0 },
	{ "json", OPT_JSON, NULL, 0, "report in JSON", 0 },
	{ "tsc", OPT_TSC, NULL, 0, "a line more for each entry: '@ BEGIN END RULE entered|refused'", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case OPT_DEVICE:
		o->device = arg;
		return 0;
	case OPT_RULE:
		o->rule = arg;
		return 0;
	case OPT_DANGEROUS:
		o->dangerous = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_TSC:
		o->tsc = true;
		return 0;
	case ARGP_KEY_ARG:
		option__fail(state, "extra argument: %s", arg);
	case ARGP_KEY_INIT:
		option__init(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_table,
	.parser = parse_option,
	.doc = "Break each rule of VM entry on the CPU at hand and see what it does.",
};

/* What came of a rule. */
enum outcome { AGREES, DIFFERS, KNOWN, UNREACHABLE, SKIPPED, NR_OUTCOMES };

static const char *const outcome_names[] = {
	[AGREES] = "agrees", [DIFFERS] = "DIFFERS", [KNOWN] = "differs", [UNREACHABLE] = "unreachable",
	[SKIPPED] = "skipped",
};

/**
 * struct probe - the whole run
 * @bases: to start from
 * @nr_bases: how many
 * @cpu: whose CPU this is
 * @host_state: rules about host state are tried
 * @tsc: tell when, so that the log of an emulator can be compared
 * @count: of the outcomes
 * @report: JSON, or NULL
 */
struct probe {
	struct base bases[MAX_BASES];
	unsigned int nr_bases;
	enum cpu_kind cpu;
	bool host_state;
	bool tsc;
	unsigned int count[NR_OUTCOMES];
	json_t *report;
};

/* VM-instruction error 8: host state, and the size of its address space. */
#define ERROR_HOST_STATE	8

static bool about_host(const struct check_rule *rule)
{
	return rule->effect == CHECK_VMFAIL && rule->code == ERROR_HOST_STATE;
}

static void describe(char *buf, size_t size, const struct verdict *v)
{
	struct check_rule as_rule = { .effect = v->effect, .code = v->code, .qualification = v->qualification };

	report__effect(buf, size, &as_rule);
	if (v->effect == CHECK_ADVICE)
		snprintf(buf, size, "accepted, exit 0x%" PRIx64, v->reason);
}

static bool as_expected(const struct check_rule *rule, const struct verdict *v)
{
	if (rule->effect != v->effect)
		return false;
	if (rule->effect == CHECK_VMFAIL)
		return rule->code == v->code;
	return rule->effect != CHECK_ENTRY_FAILURE ||
	       (rule->code == v->code && rule->qualification == v->qualification);
}

static void tell(struct probe *probe, const struct check_rule *rule, enum outcome outcome, const struct base *base,
		 const struct verdict *v, const char *why)
{
	char expected[128], did[128] = "";
	json_t *o;

	probe->count[outcome]++;
	report__effect(expected, sizeof(expected), rule);
	if (v)
		describe(did, sizeof(did), v);
	if (v && probe->tsc)
		printf("@ %" PRIu64 " %" PRIu64 " %s %s\n", v->begin, v->end, rule->id,
		       v->effect == CHECK_ADVICE ? "entered" : "refused");
	if (!probe->report) {
		printf("%-11s %s: %s", outcome_names[outcome], rule->id, rule->text);
		if (base)
			printf("\n            from %s with %s: %s", base->mode, base->features, did);
		if (outcome == DIFFERS || outcome == KNOWN)
			printf("\n            by the manual: %s", expected);
		printf("%s%s\n", why ? "\n            " : "", why ?: "");
		fflush(stdout);
		return;
	}
	o = json_pack("{s:s, s:s, s:s}", "id", rule->id, "outcome", outcome_names[outcome], "expected", expected);
	if (base)
		json_object_update_new(o, json_pack("{s:s, s:s}", "mode", base->mode, "with", base->features));
	if (v)
		json_object_update_new(o, json_pack("{s:s, s:[I, I]}", "did", did, "tsc", (json_int_t)v->begin,
						    (json_int_t)v->end));
	if (why)
		json_object_set_new(o, "why", json_string(why));
	json_array_append_new(probe->report, o);
}

/* A state that breaks the rule alone: by one value if possible. */
static const struct base *find_breach(const struct probe *probe, const struct check_rule *rule,
				      struct check_state *broken)
{
	for (unsigned int depth = 1; depth <= 2; depth++)
		for (unsigned int i = 0; i < probe->nr_bases; i++)
			if (breach__find(rule, &probe->bases[i].state, depth, broken))
				return &probe->bases[i];
	return NULL;
}

static void probe_rule(struct probe *probe, const struct check_rule *rule)
{
	const struct known *known = known__find(probe->cpu, rule->id);
	const struct base *base;
	struct check_state broken;
	struct verdict verdict;
	int ret;

	if (known && known->skip) {
		tell(probe, rule, SKIPPED, NULL, NULL, known->why);
		return;
	}
	if (about_host(rule) && !probe->host_state) {
		tell(probe, rule, SKIPPED, NULL, NULL, "a CPU that accepts a broken host state is lost (--dangerous)");
		return;
	}
	base = find_breach(probe, rule, &broken);
	if (!base) {
		tell(probe, rule, UNREACHABLE, NULL, NULL, "this CPU lacks what it is about");
		return;
	}
	ret = bases__enter(base, &broken, probe->host_state, &verdict);
	if (ret)
		tell(probe, rule, DIFFERS, base, NULL, strerror(-ret));
	else if (as_expected(rule, &verdict))
		tell(probe, rule, AGREES, base, &verdict, NULL);
	else
		tell(probe, rule, known ? KNOWN : DIFFERS, base, &verdict, known ? known->why : NULL);
}

/* A base that the CPU refuses, although no rule is broken, is a rule that is missing. */
static unsigned int check_bases(struct probe *probe)
{
	unsigned int good = 0;

	for (unsigned int i = 0; i < probe->nr_bases; i++) {
		struct base *base = &probe->bases[i];
		const struct check_rule *rule = check_verdict(&base->state);
		struct verdict v;
		char did[128];
		int ret = rule ? 0 : bases__enter(base, &base->state, probe->host_state, &v);

		if (rule)
			pr_warn("%s with %s: left out: %s is broken", base->mode, base->features, rule->id);
		else if (ret)
			pr_err("%s with %s: %s", base->mode, base->features, strerror(-ret));
		else if (v.effect != CHECK_ADVICE) {
			describe(did, sizeof(did), &v);
			pr_err("%s with %s: no rule is broken, but: %s", base->mode, base->features, did);
			probe->count[DIFFERS]++;
		} else {
			probe->bases[good++] = *base;
		}
	}
	return good;
}

static void print_summary(const struct probe *probe, const struct check_table *table)
{
	char buf[160];

	snprintf(buf, sizeof(buf), "%u rules: %u agree, %u differ, %u differ as is known, %u unreachable, %u skipped",
		 table->nr_rules, probe->count[AGREES], probe->count[DIFFERS], probe->count[KNOWN],
		 probe->count[UNREACHABLE], probe->count[SKIPPED]);
	if (!probe->report) {
		printf("%s: %s\n", known__cpu_name(probe->cpu), buf);
		return;
	}
	json_dumpf(json_pack("{s:s, s:s, s:s, s:O}", "vendor", table->vendor, "cpu", known__cpu_name(probe->cpu),
			     "summary", buf, "rules", probe->report), stdout, JSON_INDENT(1));
	putchar('\n');
}

/** probe__main() - nestor probe */
int probe__main(int argc, char **argv)
{
	static struct probe probe;
	const struct check_table *table;
	struct options o = {};

	option__parse(&argp, argc, argv, &o);
	probe.cpu = known__cpu();
	probe.host_state = o.dangerous || probe.cpu != CPU_REAL;
	probe.nr_bases = bases__create(probe.bases, o.device, probe.host_state);
	if (!probe.nr_bases)
		return STATUS_FAILED;
	table = probe.bases[0].state.table;
	probe.nr_bases = check_bases(&probe);
	probe.tsc = o.tsc;
	if (o.json)
		probe.report = json_array();
	for (unsigned int i = 0; i < table->nr_rules; i++)
		if (!o.rule || !strcmp(o.rule, table->rules[i].id))
			probe_rule(&probe, &table->rules[i]);
	print_summary(&probe, table);
	return probe.count[DIFFERS] ? STATUS_FAILED : STATUS_OK;
}
