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

/** report__text_header() - print the head of the table */
void report__text_header(const char *device)
{
	/* Line by line also into a pipe: some of the benchmarks take a while. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%s, TSC ticks\n%-12s %12s %12s  %s\n", device, "", "median", "min",
	       "costly operations each");
}

/** report__text() - print one line of the table */
void report__text(const char *name, const struct result *result)
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

/** report__json() - print everything as one JSON object; 0 or -1 */
int report__json(const char *device, const struct benchmark *benchmarks,
		 const struct result *results, unsigned int count)
{
	json_t *report = json_object(), *list = json_array();
	int ret;

	for (unsigned int i = 0; i < count; i++)
		json_array_append_new(list, result_json(benchmarks[i].name, &results[i]));
	json_object_set_new(report, "device", json_string(device));
	json_object_set_new(report, "results", list);
	ret = json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
	printf("\n");
	json_decref(report);
	return ret;
}
