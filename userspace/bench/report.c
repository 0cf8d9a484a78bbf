// SPDX-License-Identifier: GPL-2.0
/* What the benchmarks found, as a table or as JSON. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"

/** result__fail() - say why there is no result; the first reason stays */
void result__fail(struct result *result, const char *fmt, ...)
{
	va_list ap;

	if (result->reason[0])
		return;
	va_start(ap, fmt);
	vsnprintf(result->reason, sizeof(result->reason), fmt, ap);
	va_end(ap);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/**
 * result__finish() - reduce the samples to what is reported
 * @result: the result
 * @divisor: how many operations a sample holds
 */
void result__finish(struct result *result, unsigned int divisor)
{
	if (result->reason[0] || !result->count)
		return;
	qsort(result->samples, result->count, sizeof(result->samples[0]), compare);
	result->median = result->samples[result->count / 2] / divisor;
	result->min = result->samples[0] / divisor;
	ops__divide(&result->ops, result->count * divisor);
}

/* Two digits: enough to see that an operation is not in every exit. */
static double rounded(double value)
{
	return (double)(int64_t)(value * 100 + 0.5) / 100;
}

static void print_line(const char *name, const struct result *result)
{
	if (result->reason[0]) {
		printf("%-12s %12s %12s  %s\n", name, "-", "-", result->reason);
		return;
	}
	printf("%-12s %12llu %12llu ", name, (unsigned long long)result->median,
	       (unsigned long long)result->min);
	for (unsigned int i = 0; i < result->ops.count; i++)
		if (rounded(result->ops.op[i].value) > 0)
			printf(" %s %.4g", result->ops.op[i].name,
			       rounded(result->ops.op[i].value));
	printf("\n");
}

static json_t *result_json(const char *name, const struct result *result)
{
	json_t *object = json_object(), *ops = json_object();

	json_object_set_new(object, "name", json_string(name));
	if (result->reason[0]) {
		json_object_set_new(object, "median", json_null());
		json_object_set_new(object, "min", json_null());
		json_object_set_new(object, "reason", json_string(result->reason));
	} else {
		json_object_set_new(object, "median", json_integer(result->median));
		json_object_set_new(object, "min", json_integer(result->min));
		for (unsigned int i = 0; i < result->ops.count; i++)
			json_object_set_new(ops, result->ops.op[i].name,
					    json_real(rounded(result->ops.op[i].value)));
	}
	json_object_set_new(object, "ops", ops);
	return object;
}

/** report__begin() - begin a report: print the table's head, or collect for JSON */
void report__begin(struct report *report)
{
	/* Line by line also into a pipe: some of the benchmarks take a while. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (report->json)
		report->results = json_array();
	else
		printf("%s, TSC ticks\n%-12s %12s %12s  %s\n", report->device, "", "median",
		       "min", "costly operations each");
}

/** report__add() - report on one benchmark */
void report__add(struct report *report, const char *name, const struct result *result)
{
	if (report->json)
		json_array_append_new(report->results, result_json(name, result));
	else
		print_line(name, result);
}

/** report__end() - print what was collected; 0, or -1 when that fails */
int report__end(struct report *report)
{
	json_t *object;
	int ret;

	if (!report->json)
		return 0;
	object = json_object();
	json_object_set_new(object, "device", json_string(report->device));
	json_object_set_new(object, "results", report->results);
	ret = json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
	printf("\n");
	json_decref(object);
	return ret;
}
