// SPDX-License-Identifier: GPL-2.0
/* nestor top: a live view of the VMs of Nestor and of upstream KVM, or one look at them for a pipe. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "top/top.h"
#include "util.h"

enum { OPT_INTERVAL = 256, OPT_JSON, OPT_ONCE };

static const struct argp_option option_table[] = {
	{ "interval", OPT_INTERVAL, "SECONDS", 0, "Between two looks (1)", 0 },
	{ "once", OPT_ONCE, NULL, 0, "Print what one interval brings, and end; so does a pipe", 0 },
	{ "json", OPT_JSON, NULL, 0, "In JSON; needs --once", 0 },
	{ 0 },
};

struct arguments {
	uint64_t interval;
	bool once, json;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		option__init(state);
		return 0;
	case OPT_INTERVAL:
		args->interval = option__number(state, "--interval", arg, 1, 3600);
		return 0;
	case OPT_ONCE:
		args->once = true;
		return 0;
	case OPT_JSON:
		args->json = true;
		return 0;
	case ARGP_KEY_ARG:
		option__fail(state, "extra argument: %s", arg);
	case ARGP_KEY_END:
		if (args->json && !args->once)
			option__fail(state, "--json needs --once");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_vm(const struct rates *r)
{
	printf("%s %s (%s): %u vCPUs, %.0f exits/s, %.1f %% in guest, MiB by 4k %.0f 2M %.0f 1G %.0f, %u nested\n",
	       r->vm->hypervisor, r->vm->name, r->vm->command, r->vm->nr_vcpus, r->exits, 100 * r->guest, r->memory[0],
	       r->memory[1], r->memory[2], r->nested);
	for (unsigned int i = 0; i < r->nr_reasons; i++)
		printf("    %-32s %10.0f\n", r->reasons[i].name, r->reasons[i].rate);
}

static json_t *vcpu_json(const struct rates *r, unsigned int i)
{
	const struct top_vcpu *v = &r->vm->vcpus[i];

	return json_pack("{s:i, s:i, s:o, s:f, s:b}", "id", v->id, "thread", v->tid, "exits",
			 r->vcpu_exits[i] < 0 ? json_null() : json_real(r->vcpu_exits[i]), "guest", r->vcpu_guest[i],
			 "nested", v->nested);
}

static json_t *vm_json(const struct rates *r)
{
	json_t *reasons = json_object(), *vcpus = json_array();

	for (unsigned int i = 0; i < r->nr_reasons; i++)
		json_object_set_new(reasons, r->reasons[i].name, json_real(r->reasons[i].rate));
	for (unsigned int i = 0; i < r->vm->nr_vcpus; i++)
		json_array_append_new(vcpus, vcpu_json(r, i));
	return json_pack("{s:s, s:s, s:s, s:f, s:f, s:{s:f, s:f, s:f}, s:i, s:o, s:o}", "hypervisor", r->vm->hypervisor,
			 "name", r->vm->name, "command", r->vm->command, "exits", r->exits, "guest", r->guest, "mib",
			 "4k", r->memory[0], "2m", r->memory[1], "1g", r->memory[2], "nested", (int)r->nested, "reasons",
			 reasons, "vcpus", vcpus);
}

static void print_rates(const struct rates *rates, unsigned int nr, bool json)
{
	json_t *list = json ? json_array() : NULL;

	for (unsigned int i = 0; i < nr; i++) {
		if (list)
			json_array_append_new(list, vm_json(&rates[i]));
		else
			print_vm(&rates[i]);
	}
	if (list) {
		json_dumpf(list, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
		printf("\n");
		json_decref(list);
	}
}

static int look_once(const struct arguments *args)
{
	struct rates *rates = xcalloc(MAX_VMS, sizeof(*rates));
	struct timespec rest = { .tv_sec = args->interval };
	struct sample before, now;
	bool good = sample__take(&before);

	if (good) {
		while (nanosleep(&rest, &rest) && errno == EINTR)
			;
		good = sample__take(&now);
		for (unsigned int i = 0; i < now.nr_vms; i++)
			rates__compute(&rates[i], &now.vms[i], sample__find(&before, &now.vms[i]),
				       (now.ns - before.ns) / 1e9);
		rates__sort(rates, now.nr_vms, SORT_EXITS);
		if (good)
			print_rates(rates, now.nr_vms, args->json);
		sample__free(&now);
	}
	sample__free(&before);
	free(rates);
	return good ? STATUS_OK : STATUS_FAILED;
}

/** top__main() - nestor top */
int top__main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.doc = "Show what the VMs of Nestor and of upstream KVM do.\v"
		       "Keys: s sorts by something else, v shows each vCPU, f freezes, q ends. Needs debugfs.",
	};
	struct arguments args = { .interval = 1 };

	option__parse(&argp, argc, argv, &args);
	return args.once || !isatty(STDOUT_FILENO) ? look_once(&args) : screen__run(args.interval);
}
