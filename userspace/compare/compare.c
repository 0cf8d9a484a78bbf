// SPDX-License-Identifier: GPL-2.0
/* nestor compare: the same things on two devices, and the first difference in words. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "compare/compare.h"
#include "util.h"

enum { OPT_A = 256, OPT_B, OPT_CASE, OPT_COUNT, OPT_DELIBERATE, OPT_JOBS, OPT_JSON, OPT_SEED, OPT_STOP, OPT_SUITE };

static const struct argp_option option_table[] = {
	{ "a", OPT_A, "PATH", 0, "One device (/dev/nestor)", 0 },
	{ "b", OPT_B, "PATH", 0, "The other (/dev/kvm)", 0 },
	{ "suite", OPT_SUITE, "NAME", 0, "abi, cpu, emulate, irq, mmu or nested; may be repeated (all)", 0 },
	{ "seed", OPT_SEED, "N", 0, "Which random cases (1)", 0 },
	{ "count", OPT_COUNT, "N", 0, "How many for each suite (1000)", 0 },
	{ "case", OPT_CASE, "N", 0, "Only this one of them", 0 },
	{ "jobs", OPT_JOBS, "N", 0, "How many at once, 64 at most (1)", 0 },
	{ "stop", OPT_STOP, NULL, 0, "End a suite at its first unexplained difference", 0 },
	{ "json", OPT_JSON, NULL, 0, "Report in JSON", 0 },
	{ "deliberate", OPT_DELIBERATE, NULL, 0, "Print the differences that are meant, and why", 1 },
	{ 0 },
};

static const struct suite *const suites[] = {
	&abi_suite, &cpu_suite, &emulate_suite, &irq_suite, &mmu_suite, &nested_svm_suite, &nested_vmx_suite,
};

struct arguments {
	const char *a, *b;
	uint64_t seed, count, only;
	unsigned int jobs;
	unsigned int chosen;	/* a bit for each suite; 0: all */
	bool json, deliberate, stop;
};

/* Both vendors' nesting goes by one name. */
static void choose(struct arguments *args, const struct argp_state *state, const char *name)
{
	unsigned int before = args->chosen;

	for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
		if (!strcmp(name, suites[i]->name))
			args->chosen |= 1u << i;
	if (args->chosen == before)
		option__fail(state, "no such suite: %s", name);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		option__init(state);
		return 0;
	case OPT_A:
	case OPT_B:
		option__check_file(state, arg);
		*(key == OPT_A ? &args->a : &args->b) = arg;
		return 0;
	case OPT_SUITE:
		choose(args, state, arg);
		return 0;
	case OPT_SEED:
		args->seed = option__number(state, "--seed", arg, 0, ~0ULL);
		return 0;
	case OPT_COUNT:
		args->count = option__number(state, "--count", arg, 0, ~0ULL);
		return 0;
	case OPT_CASE:
		args->only = option__number(state, "--case", arg, 1, ~0ULL);
		return 0;
	case OPT_JOBS:
		args->jobs = option__number(state, "--jobs", arg, 1, MAX_JOBS);
		return 0;
	case OPT_STOP:
		args->stop = true;
		return 0;
	case OPT_JSON:
		args->json = true;
		return 0;
	case OPT_DELIBERATE:
		args->deliberate = true;
		return 0;
	case ARGP_KEY_ARG:
		option__fail(state, "extra argument: %s", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool compare(struct run *run, const struct arguments *args)
{
	common__init(&run->common, &run->a, &run->b);
	run->report = compare_report__begin(run, args->json);
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
		if (!args->chosen || args->chosen & 1u << i)
			run__suite(run, suites[i]);
	common__exit(&run->common);
	return compare_report__end(run->report);
}

/** compare__main() - nestor compare */
int compare__main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.doc = "Do the same things on two hypervisors and tell the first difference in words.\v"
		       "The exit status is 0 when nothing differs, or only what is meant to.",
	};
	struct arguments args = { .a = "/dev/nestor", .b = "/dev/kvm", .seed = 1, .count = 1000, .jobs = 1 };
	struct run run = { 0 };
	int status = STATUS_USAGE;

	option__parse(&argp, argc, argv, &args);
	if (args.deliberate) {
		deliberate__print();
		return STATUS_OK;
	}
	run.seed = args.seed;
	run.count = args.count;
	run.only = args.only;
	run.jobs = args.jobs;
	run.stop = args.stop;
	if (kvm__open(&run.a, args.a))
		return STATUS_USAGE;
	if (!kvm__open(&run.b, args.b)) {
		status = compare(&run, &args) ? STATUS_FAILED : STATUS_OK;
		kvm__close(&run.b);
	}
	kvm__close(&run.a);
	return status;
}
