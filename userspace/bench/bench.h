/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_BENCH_H
#define NESTOR_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vm.h"

/**
 * struct ops - the hypervisor's counts of costly operations
 * @count: how many there are; 0 when it does not count
 * @op: name and value of each
 */
#define OPS_MAX		64
#define OPS_NAME	32

struct ops {
	unsigned int count;
	struct {
		char name[OPS_NAME];
		double value;
	} op[OPS_MAX];
};

/**
 * struct result - what one benchmark found
 * @reason: why there is no result; empty when there is one
 * @samples: TSC ticks of each operation; @count of them
 * @count: how many
 * @median: of the samples
 * @min: of the samples
 * @ops: operations that the hypervisor counted for one sample
 */
struct result {
	char reason[128];
	uint64_t *samples;
	unsigned int count;
	uint64_t median;
	uint64_t min;
	struct ops ops;
};

/**
 * struct report - the results on their way out
 * @device: the device node
 * @json: whether they go out as JSON, at the end, rather than as a table, one by one
 * @results: the JSON so far
 */
struct report {
	const char *device;
	bool json;
	struct json_t *results;
};

struct benchmark;

/**
 * struct bench - a benchmark under way
 * @kvm: the hypervisor
 * @benchmark: which one
 * @result: to be filled in
 */
struct bench {
	const struct kvm *kvm;
	const struct benchmark *benchmark;
	struct result *result;
};

/**
 * struct benchmark - one kind of exit
 * @name: its name in the report
 * @run: takes the samples
 * @code: the guest's entry point
 * @peer: vCPU 1's entry point, or NULL for a guest of one vCPU
 * @samples: how many samples to take
 * @divisor: how many of the operation a sample holds
 * @page: for page faults, the size of the leaf
 */
struct benchmark {
	const char *name;
	void (*run)(struct bench *bench);
	const char *code;
	const char *peer;
	unsigned int samples;
	unsigned int divisor;
	uint64_t page;
};

/**
 * struct guest - a tiny VM
 * @vm: the VM
 * @config: its configuration
 */
struct guest {
	struct vm vm;
	struct vm_config config;
};

/* guest.c; functions that fail say why in @result->reason. */
extern const char bench_code_start[], bench_code_end[];
int guest__create(struct guest *guest, const struct bench *bench, struct result *result);
void guest__destroy(struct guest *guest);
void guest__set_param(struct guest *guest, uint64_t param, uint64_t value);
int guest__enter(struct guest *guest, unsigned int cpu, const char *code,
		 struct result *result);
bool guest__run(struct guest *guest, struct result *result);
bool guest__run_to_done(struct guest *guest, struct result *result);
void guest__collect(struct guest *guest, struct result *result, unsigned int count);

/* measure.c and fault.c: the ways to take samples. */
void measure__in_guest(struct bench *bench);
void measure__in_host(struct bench *bench);
void measure__with_peer(struct bench *bench);
void measure__faults(struct bench *bench);
void measure__vm_create(struct bench *bench);

/* ops.c */
void ops__read(struct ops *ops);
void ops__subtract(struct ops *ops, const struct ops *before);
void ops__divide(struct ops *ops, unsigned int by);

/* report.c */
void result__fail(struct result *result, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void result__finish(struct result *result, unsigned int divisor);
void report__begin(struct report *report);
void report__add(struct report *report, const char *name, const struct result *result);
int report__end(struct report *report);

static inline uint64_t host_tsc(void)
{
	uint32_t low, high;

	/* Ordered after what comes before, as the operation is what is timed. */
	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

#endif
