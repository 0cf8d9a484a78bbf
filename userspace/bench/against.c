// SPDX-License-Identifier: GPL-2.0
/* Two devices compared: ratios with their spread, as a table, as JSON and on a page. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "util.h"

/**
 * struct comparison - a comparison under way
 * @a: the first device's node
 * @b: the other's
 * @results: JSON so far; NULL when lines are printed
 * @page: the page, or NULL
 */
struct comparison {
	const char *a, *b;
	json_t *results;
	struct page *page;
};

static int compare_ticks(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int compare_ratios(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/**
 * pair__add_round() - take both results of a round
 * @round: its number, below BENCH_ROUNDS; the last one makes the pair whole
 */
void pair__add_round(struct pair *pair, const struct result *a, const struct result *b, unsigned int round)
{
	static uint64_t of_a[BENCH_ROUNDS], of_b[BENCH_ROUNDS];
	static double ratios[BENCH_ROUNDS];

	pair->a = *a;
	pair->b = *b;
	if (a->reason[0] || b->reason[0])
		return;
	of_a[round] = a->median;
	of_b[round] = b->median;
	ratios[round] = (double)a->median / (b->median ?: 1);
	if (round < BENCH_ROUNDS - 1)
		return;
	qsort(of_a, BENCH_ROUNDS, sizeof(of_a[0]), compare_ticks);
	qsort(of_b, BENCH_ROUNDS, sizeof(of_b[0]), compare_ticks);
	qsort(ratios, BENCH_ROUNDS, sizeof(ratios[0]), compare_ratios);
	pair->a.median = of_a[BENCH_ROUNDS / 2];
	pair->b.median = of_b[BENCH_ROUNDS / 2];
	pair->ratio = ratios[BENCH_ROUNDS / 2];
	pair->low = ratios[0];
	pair->high = ratios[BENCH_ROUNDS - 1];
}

/**
 * comparison__begin() - begin a report on two devices
 * @json: in JSON rather than as a table
 * @html: a file for the page, or NULL
 *
 * Return: NULL when the file cannot be written, which is reported.
 */
struct comparison *comparison__begin(const char *a, const char *b, bool json, const char *html)
{
	struct comparison *c = xcalloc(1, sizeof(*c));

	c->a = a;
	c->b = b;
	if (html) {
		c->page = page__open(html, a, b);
		if (!c->page) {
			free(c);
			return NULL;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (json)
		c->results = json_array();
	else
		printf("TSC ticks, medians of %d rounds\n%-12s %12s %12s %7s  %s\n", BENCH_ROUNDS, "", a, b, "ratio",
		       "of a round");
	return c;
}

static const char *reason(const struct pair *pair)
{
	return pair->a.reason[0] ? pair->a.reason : pair->b.reason;
}

static json_t *pair_json(const char *name, const struct pair *pair)
{
	if (reason(pair)[0])
		return json_pack("{s:s, s:n, s:n, s:n, s:s}", "name", name, "median", "against", "ratio", "reason",
				 reason(pair));
	return json_pack("{s:s, s:I, s:I, s:f, s:f, s:f}", "name", name, "median", (json_int_t)pair->a.median, "against",
			 (json_int_t)pair->b.median, "ratio", pair->ratio, "low", pair->low, "high", pair->high);
}

void comparison__add(struct comparison *c, const struct benchmark *benchmark, const struct pair *pair)
{
	if (c->page)
		page__add(c->page, benchmark, pair);
	if (c->results)
		json_array_append_new(c->results, pair_json(benchmark->name, pair));
	else if (reason(pair)[0])
		printf("%-12s %12s %12s %7s  %s\n", benchmark->name, "-", "-", "-", reason(pair));
	else
		printf("%-12s %12llu %12llu %7.2f  %.2f to %.2f\n", benchmark->name, (unsigned long long)pair->a.median,
		       (unsigned long long)pair->b.median, pair->ratio, pair->low, pair->high);
}

/** comparison__end() - print and write what is left; 0, or -1 when that fails */
int comparison__end(struct comparison *c)
{
	int ret = c->page ? page__close(c->page) : 0;
	json_t *object;

	if (c->results) {
		object = json_pack("{s:s, s:s, s:o}", "device", c->a, "against", c->b, "results", c->results);
		if (json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(5)))
			ret = -1;
		printf("\n");
		json_decref(object);
	}
	free(c);
	return ret;
}
