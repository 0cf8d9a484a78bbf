// SPDX-License-Identifier: GPL-2.0
/* nestor bench: what every kind of exit costs. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "bench/bench.h"
#include "command.h"
#include "util.h"

#define PATIENCE 30	/* seconds; see set_patience() */

enum { OPT_DEVICE = 256, OPT_AGAINST, OPT_HTML, OPT_JSON, OPT_PATIENCE, OPT_SAMPLES };

extern const char bench_cpuid[], bench_vmcall[], bench_vmmcall[], bench_rdmsr[], bench_wrmsr[],
	bench_pio_kernel[], bench_pio_user[], bench_mmio_apic[], bench_mmio_user[],
	bench_ipi_running[], bench_peer_running[], bench_ipi_halted[], bench_peer_halted[],
	bench_timer[], bench_fault[], bench_touch[],
	bench_nested_svm[], bench_nested_vmx[];

static const struct argp_option options[] = {
	{ "device", OPT_DEVICE, "PATH", 0, "The hypervisor's node (/dev/nestor, else /dev/kvm)", 0 },
	{ "against", OPT_AGAINST, "PATH", 0, "Another one: both in turn, and how they compare", 0 },
	{ "html", OPT_HTML, "FILE", 0, "Draw the comparison on a page", 0 },
	{ "json", OPT_JSON, 0, 0, "Print JSON instead of a table", 0 },
	{ "patience", OPT_PATIENCE, "SECONDS", 0, "Give up what takes longer (30)", 0 },
	{ "samples", OPT_SAMPLES, "N", 0, "Take at most N of each (8 to 1000)", 0 },
	{ 0 },
};

/**
 * struct bench_arguments - what the command line says
 * @device: the device node, or NULL
 * @against: another one to compare it with, or NULL
 * @html: where the page goes, or NULL
 * @json: whether to print JSON
 * @chosen: the benchmarks to run, a bit each; 0 for all
 * @patience: seconds for the samples of one
 * @samples: at most so many of each
 */
struct bench_arguments {
	const char *device, *against, *html;
	bool json;
	uint32_t chosen;
	unsigned int patience;
	unsigned int samples;
};

static const struct benchmark benchmarks[] = {
	{ "cpuid", BENCH_EXIT, measure__in_guest, bench_cpuid, NULL, 1000, 1, 0, 0 },
	{ "hypercall", BENCH_EXIT, measure__in_guest, bench_vmcall, NULL, 1000, 1, 0, 0 },
	{ "rdmsr", BENCH_EXIT, measure__in_guest, bench_rdmsr, NULL, 1000, 1, 0, 0 },
	{ "wrmsr", BENCH_EXIT, measure__in_guest, bench_wrmsr, NULL, 1000, 1, 0, 0 },
	{ "pio_kernel", BENCH_EXIT, measure__in_guest, bench_pio_kernel, NULL, 1000, 1, 0, 0 },
	{ "pio_user", BENCH_EXIT, measure__in_host, bench_pio_user, NULL, 1000, 1, 0, 0 },
	{ "mmio_apic", BENCH_EXIT, measure__in_guest, bench_mmio_apic, NULL, 1000, 1, 0, 0 },
	{ "mmio_user", BENCH_EXIT, measure__in_host, bench_mmio_user, NULL, 1000, 1, 0, 0 },
	{ "ipi_running", BENCH_EVENT, measure__with_peer, bench_ipi_running, bench_peer_running, 200, 1, 0, 0 },
	{ "ipi_halted", BENCH_EVENT, measure__with_peer, bench_ipi_halted, bench_peer_halted, 200, 2, 0, 0 },
	{ "timer", BENCH_EVENT, measure__in_guest, bench_timer, NULL, 200, 1, 0, 0 },
	{ "fault_4k", BENCH_FAULT, measure__faults, bench_fault, NULL, 512, 1, KIB(4), 0 },
	{ "fault_2m", BENCH_FAULT, measure__faults, bench_fault, NULL, 128, 1, MIB(2), 0 },
	{ "fault_1g", BENCH_FAULT, measure__faults, bench_fault, NULL, 8, 1, GIB(1), 0 },
	{ "faults_1", BENCH_SCALING, measure__scaling, bench_touch, NULL, 8, 1, KIB(4), 1 },
	{ "faults_2", BENCH_SCALING, measure__scaling, bench_touch, NULL, 8, 1, KIB(4), 2 },
	{ "faults_4", BENCH_SCALING, measure__scaling, bench_touch, NULL, 8, 1, KIB(4), 4 },
	{ "nested", BENCH_NESTED, measure__nested, bench_nested_vmx, NULL, 200, 1, 0, 0 },
	{ "vm_create", BENCH_VM, measure__vm_create, bench_pio_user, NULL, 16, 1, 0, 0 },
};

static void choose(struct bench_arguments *args, const struct argp_state *state, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(benchmarks); i++) {
		if (strcmp(name, benchmarks[i].name))
			continue;
		args->chosen |= 1u << i;
		return;
	}
	option__fail(state, "no such benchmark: %s", name);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct bench_arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		option__init(state);
		break;
	case OPT_DEVICE:
		option__check_file(state, arg);
		args->device = arg;
		break;
	case OPT_AGAINST:
		option__check_file(state, arg);
		args->against = arg;
		break;
	case OPT_HTML:
		args->html = arg;
		break;
	case OPT_JSON:
		args->json = true;
		break;
	case OPT_PATIENCE:
		args->patience = option__number(state, "--patience", arg, 1, INT_MAX);
		break;
	case OPT_SAMPLES:
		args->samples = option__number(state, "--samples", arg, 1, UINT_MAX);
		break;
	case ARGP_KEY_END:
		if (args->html && !args->against)
			option__fail(state, "--html needs --against");
		break;
	case ARGP_KEY_ARG:
		choose(args, state, arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static void alarm_handler(int sig)
{
	(void)sig;
}

/* A guest that waits for what never comes is given up: the signal ends KVM_RUN; it repeats, should it come just before. */
static void set_patience(unsigned int seconds)
{
	struct itimerval timer = { .it_value.tv_sec = seconds, .it_interval.tv_sec = seconds ? 1 : 0 };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_benchmark(const struct kvm *kvm, const struct benchmark *benchmark,
			  const struct bench_arguments *args, struct result *result)
{
	struct benchmark chosen = *benchmark;

	if (args->samples < chosen.samples)
		chosen.samples = args->samples;
	/* The vendors' instructions differ, and each faults on the other's. */
	if (chosen.code == bench_vmcall && cpuid__is_amd(kvm->cpuid))
		chosen.code = bench_vmmcall;
	if (chosen.code == bench_nested_vmx && cpuid__is_amd(kvm->cpuid))
		chosen.code = bench_nested_svm;
	result->samples = xcalloc(chosen.samples, sizeof(*result->samples));
	set_patience(args->patience);
	chosen.run(&(struct bench){ kvm, &chosen, result });
	set_patience(0);
	if (!result->reason[0] && result->count < chosen.samples)
		result__fail(result, "only %u of %u samples", result->count, chosen.samples);
	result__finish(result, chosen.divisor);
	free(result->samples);
	result->samples = NULL;
}

static bool is_chosen(const struct bench_arguments *args, size_t i)
{
	return !args->chosen || args->chosen & 1u << i;
}

static int run_chosen(const struct kvm *kvm, const struct bench_arguments *args)
{
	struct report report = { .json = args->json, .device = kvm->path };
	struct result result;

	report__begin(&report);
	for (size_t i = 0; i < ARRAY_SIZE(benchmarks); i++) {
		if (!is_chosen(args, i))
			continue;
		result = (struct result){ .count = 0 };
		run_benchmark(kvm, &benchmarks[i], args, &result);
		report__add(&report, benchmarks[i].name, &result);
	}
	return report__end(&report) ? STATUS_FAILED : STATUS_OK;
}

/* In turn: whatever else the machine does then meets both. */
static int run_against(const struct kvm *a, const struct kvm *b, const struct bench_arguments *args)
{
	struct comparison *c = comparison__begin(a->path, b->path, args->json, args->html);

	if (!c)
		return STATUS_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(benchmarks); i++) {
		struct pair pair = { 0 };

		if (!is_chosen(args, i))
			continue;
		for (unsigned int round = 0; round < BENCH_ROUNDS; round++) {
			struct result of_a = { .count = 0 }, of_b = { .count = 0 };

			run_benchmark(a, &benchmarks[i], args, &of_a);
			if (!of_a.reason[0])
				run_benchmark(b, &benchmarks[i], args, &of_b);
			pair__add_round(&pair, &of_a, &of_b, round);
			if (of_a.reason[0] || of_b.reason[0])
				break;
		}
		comparison__add(c, &benchmarks[i], &pair);
	}
	return comparison__end(c) ? STATUS_FAILED : STATUS_OK;
}

/** bench__main() - nestor bench */
int bench__main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "[NAME...]",
		.doc = "Time every kind of VM exit with the TSC, or those that are named.\v"
		       "Median and minimum are TSC ticks for one operation. What cannot be "
		       "measured on this machine is listed with the reason.",
	};
	struct sigaction sa = { .sa_handler = alarm_handler };
	struct bench_arguments args = { .patience = PATIENCE, .samples = UINT_MAX };
	struct kvm kvm, other;
	int status = STATUS_FAILED;

	option__parse(&argp, argc, argv, &args);
	if (kvm__open(&kvm, args.device))
		return args.device ? STATUS_USAGE : STATUS_FAILED;
	sigaction(SIGALRM, &sa, NULL);
	if (kvm__check_capabilities(&kvm) || thread__init_kicks())
		goto out;
	if (!args.against) {
		status = run_chosen(&kvm, &args);
	} else if (kvm__open(&other, args.against)) {
		status = STATUS_USAGE;
	} else {
		if (!kvm__check_capabilities(&other))
			status = run_against(&kvm, &other, &args);
		kvm__close(&other);
	}
out:
	kvm__close(&kvm);
	return status;
}
