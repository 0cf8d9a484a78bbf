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

/**
 * struct pair - one benchmark on two devices, in turn
 * @a: the first device's last result; its median is that of all rounds
 * @b: the same of the other
 * @ratio: of the medians, the median of all rounds: below 1, the first is faster
 * @low: the smallest of a round
 * @high: the largest
 */
struct pair {
	struct result a, b;
	double ratio, low, high;
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

/* Under which heading a benchmark is shown. */
enum bench_group { BENCH_EXIT, BENCH_EVENT, BENCH_FAULT, BENCH_SCALING, BENCH_NESTED, BENCH_VM, NR_BENCH_GROUPS };

/**
 * struct benchmark - one kind of exit
 * @name: its name in the report
 * @group: what it is about
 * @run: takes the samples
 * @code: the guest's entry point
 * @peer: vCPU 1's entry point, or NULL for a guest of one vCPU
 * @samples: how many samples to take
 * @divisor: how many of the operation a sample holds
 * @page: for page faults, the size of the leaf
 * @cpus: for page faults of several vCPUs at once, how many
 */
struct benchmark {
	const char *name;
	enum bench_group group;
	void (*run)(struct bench *bench);
	const char *code;
	const char *peer;
	unsigned int samples;
	unsigned int divisor;
	uint64_t page;
	unsigned int cpus;
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

/* scaling.c and nested.c */
void measure__scaling(struct bench *bench);
void measure__nested(struct bench *bench);

/* against.c: both devices in one run. */
struct comparison;
void pair__add_round(struct pair *pair, const struct result *a, const struct result *b, unsigned int round);
struct comparison *comparison__begin(const char *a, const char *b, bool json, const char *html);
void comparison__add(struct comparison *c, const struct benchmark *benchmark, const struct pair *pair);
int comparison__end(struct comparison *c);

#define BENCH_ROUNDS	5	/* odd: the median is one of them */

/* html.c */
struct page;
struct page *page__open(const char *path, const char *a, const char *b);
void page__add(struct page *page, const struct benchmark *benchmark, const struct pair *pair);
int page__close(struct page *page);

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
