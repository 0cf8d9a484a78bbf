// SPDX-License-Identifier: GPL-2.0
/* nestor bench: what every kind of exit costs. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "bench/bench.h"
#include "command.h"
#include "util.h"

/* A guest that waits for what never comes is given up after this many seconds. */
#define PATIENCE 30

enum { OPT_DEVICE = 256, OPT_JSON };

extern const char bench_cpuid[], bench_vmcall[], bench_vmmcall[], bench_rdmsr[], bench_wrmsr[],
	bench_pio_kernel[], bench_pio_user[], bench_mmio_apic[], bench_mmio_user[],
	bench_ipi_running[], bench_peer_running[], bench_ipi_halted[], bench_peer_halted[],
	bench_timer[], bench_fault[], bench_nested_cpuid[];

static const struct argp_option options[] = {
	{ "device", OPT_DEVICE, "PATH", 0, "The hypervisor's node (/dev/nestor, else /dev/kvm)", 0 },
	{ "json", OPT_JSON, 0, 0, "Print JSON instead of a table", 0 },
	{ 0 },
};

/**
 * struct bench_arguments - what the command line says
 * @device: the device node, or NULL
 * @json: whether to print JSON
 * @chosen: the benchmarks to run, a bit each; 0 for all
 */
struct bench_arguments {
	const char *device;
	bool json;
	uint32_t chosen;
};

/* The two vendors' instructions for a hypercall differ, and each faults on the other's. */
static bool host_is_amd(const struct kvm *kvm)
{
	for (uint32_t i = 0; i < kvm->cpuid->nent; i++)
		if (kvm->cpuid->entries[i].function == 0)
			return kvm->cpuid->entries[i].ebx == 0x68747541 ||
			       kvm->cpuid->entries[i].ebx == 0x6f677948;
	return false;
}

static bool has_nested_svm(const struct kvm *kvm)
{
	for (uint32_t i = 0; i < kvm->cpuid->nent; i++)
		if (kvm->cpuid->entries[i].function == 0x80000001)
			return kvm->cpuid->entries[i].ecx & 4;
	return false;
}

static const struct benchmark benchmarks[] = {
	{ "cpuid", measure__in_guest, bench_cpuid, NULL, 1000, 1, 0 },
	{ "hypercall", measure__in_guest, bench_vmcall, NULL, 1000, 1, 0 },
	{ "rdmsr", measure__in_guest, bench_rdmsr, NULL, 1000, 1, 0 },
	{ "wrmsr", measure__in_guest, bench_wrmsr, NULL, 1000, 1, 0 },
	{ "pio_kernel", measure__in_guest, bench_pio_kernel, NULL, 1000, 1, 0 },
	{ "pio_user", measure__in_host, bench_pio_user, NULL, 1000, 1, 0 },
	{ "mmio_apic", measure__in_guest, bench_mmio_apic, NULL, 1000, 1, 0 },
	{ "mmio_user", measure__in_host, bench_mmio_user, NULL, 1000, 1, 0 },
	{ "ipi_running", measure__with_peer, bench_ipi_running, bench_peer_running, 200, 1, 0 },
	{ "ipi_halted", measure__with_peer, bench_ipi_halted, bench_peer_halted, 200, 2, 0 },
	{ "timer", measure__in_guest, bench_timer, NULL, 200, 1, 0 },
	{ "fault_4k", measure__faults, bench_fault, NULL, 512, 1, KIB(4) },
	{ "fault_2m", measure__faults, bench_fault, NULL, 128, 1, MIB(2) },
	{ "fault_1g", measure__faults, bench_fault, NULL, 8, 1, GIB(1) },
	{ "nested_cpuid", measure__in_guest, bench_nested_cpuid, NULL, 1000, 1, 0 },
	{ "vm_create", measure__vm_create, bench_pio_user, NULL, 16, 1, 0 },
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
	case OPT_JSON:
		args->json = true;
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

/* The signal ends KVM_RUN; it repeats, should it come just before. */
static void set_patience(unsigned int seconds)
{
	struct itimerval timer = { .it_value.tv_sec = seconds, .it_interval.tv_sec = seconds ? 1 : 0 };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_benchmark(const struct kvm *kvm, const struct benchmark *benchmark,
			  struct result *result)
{
	struct benchmark chosen = *benchmark;

	if (chosen.code == bench_vmcall && host_is_amd(kvm))
		chosen.code = bench_vmmcall;
	result->samples = xcalloc(chosen.samples, sizeof(*result->samples));
	set_patience(PATIENCE);
	if (chosen.code == bench_nested_cpuid && !has_nested_svm(kvm))
		result__fail(result, "guests are not offered SVM");
	else
		chosen.run(&(struct bench){ kvm, &chosen, result });
	set_patience(0);
	if (!result->reason[0] && result->count < chosen.samples)
		result__fail(result, "only %u of %u samples", result->count, chosen.samples);
	result__finish(result, chosen.divisor);
	free(result->samples);
	result->samples = NULL;
}

static int run_chosen(const struct kvm *kvm, const struct bench_arguments *args)
{
	struct sigaction sa = { .sa_handler = alarm_handler };
	struct report report = { .json = args->json, .device = kvm->path };
	struct result result;

	sigaction(SIGALRM, &sa, NULL);
	if (thread__init_kicks())
		return STATUS_FAILED;
	report__begin(&report);
	for (size_t i = 0; i < ARRAY_SIZE(benchmarks); i++) {
		if (args->chosen && !(args->chosen & 1u << i))
			continue;
		result = (struct result){ .count = 0 };
		run_benchmark(kvm, &benchmarks[i], &result);
		report__add(&report, benchmarks[i].name, &result);
	}
	return report__end(&report) ? STATUS_FAILED : STATUS_OK;
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
	struct bench_arguments args = { 0 };
	struct kvm kvm;
	int status;

	option__parse(&argp, argc, argv, &args);
	if (kvm__open(&kvm, args.device))
		return args.device ? STATUS_USAGE : STATUS_FAILED;
	status = kvm__check_capabilities(&kvm) ? STATUS_FAILED : run_chosen(&kvm, &args);
	kvm__close(&kvm);
	return status;
}
