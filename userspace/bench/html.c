// SPDX-License-Identifier: GPL-2.0
/* A comparison as one page: tables and drawings, without scripts and without anything from elsewhere. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "util.h"

#define MAX_ROWS	64

/* Of the drawings, in pixels; a ratio of 2 and more fills them. */
#define BAR_WIDTH	420.0
#define BAR_HEIGHT	18
#define FULL_RATIO	2.0
#define CHART_WIDTH	460.0
#define CHART_HEIGHT	220.0
#define MARGIN		40.0

struct row {
	const struct benchmark *benchmark;
	struct pair pair;
};

/**
 * struct page - a page under way
 * @file: the file
 * @path: its name
 * @a: the first device's node
 * @b: the other's
 * @rows: what is to be shown
 * @nr_rows: how many
 */
struct page {
	FILE *file;
	const char *path, *a, *b;
	struct row rows[MAX_ROWS];
	unsigned int nr_rows;
};

static const char *const headings[NR_BENCH_GROUPS] = {
	[BENCH_EXIT] = "Exits", [BENCH_EVENT] = "Interrupts and timers", [BENCH_FAULT] = "Page faults, by leaf size",
	[BENCH_SCALING] = "Page faults, by number of vCPUs", [BENCH_NESTED] = "Nested", [BENCH_VM] = "Virtual machines",
};

static const char head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n<title>nestor bench</title>\n<style>\n"
	"body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222; }\n"
	"table { border-collapse: collapse; } th, td { padding: .2em .8em; text-align: right; }\n"
	"th:first-child, td:first-child { text-align: left; } thead { border-bottom: 1px solid #999; }\n"
	"td.why { text-align: left; color: #666; } svg text { font-size: 12px; }\n"
	".faster { fill: #2a7f4f; } .slower { fill: #b5482a; } .spread { stroke: #222; } .even { stroke: #999; }\n"
	".a { stroke: #2a7f4f; fill: none; stroke-width: 2; } .b { stroke: #3a5fa8; fill: none; stroke-width: 2; }\n"
	"@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd; } svg text { fill: #ddd; }\n"
	".spread { stroke: #ddd; } }\n</style></head><body>\n<h1>nestor bench</h1>\n";

/* Names of devices are the user's. */
static void put_text(FILE *f, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<': fputs("&lt;", f); break;
		case '&': fputs("&amp;", f); break;
		case '"': fputs("&quot;", f); break;
		default: fputc(*text, f);
		}
}

/** page__open() - begin a page; NULL when the file cannot be written, which is reported */
struct page *page__open(const char *path, const char *a, const char *b)
{
	struct page *page = xcalloc(1, sizeof(*page));

	page->file = fopen(path, "we");
	if (!page->file) {
		pr_err("%s: %s", path, strerror(errno));
		free(page);
		return NULL;
	}
	page->path = path;
	page->a = a;
	page->b = b;
	return page;
}

/** page__add() - add a benchmark */
void page__add(struct page *page, const struct benchmark *benchmark, const struct pair *pair)
{
	if (page->nr_rows < MAX_ROWS)
		page->rows[page->nr_rows++] = (struct row){ benchmark, *pair };
}

static double place(double ratio)
{
	return (ratio < FULL_RATIO ? ratio : FULL_RATIO) / FULL_RATIO * BAR_WIDTH;
}

static void put_bar(FILE *f, const struct pair *p)
{
	fprintf(f, "<svg width=\"%g\" height=\"%d\" role=\"img\" aria-label=\"ratio %.2f\">"
		"<rect class=\"bar %s\" y=\"2\" width=\"%.1f\" height=\"%d\"/>"
		"<line class=\"even\" x1=\"%g\" x2=\"%g\" y1=\"0\" y2=\"%d\"/>"
		"<line class=\"spread\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/></svg>",
		BAR_WIDTH, BAR_HEIGHT, p->ratio, p->ratio <= 1 ? "faster" : "slower", place(p->ratio), BAR_HEIGHT - 4,
		place(1), place(1), BAR_HEIGHT, place(p->low), place(p->high), BAR_HEIGHT / 2, BAR_HEIGHT / 2);
}

static void put_row(FILE *f, const struct row *row)
{
	const struct pair *p = &row->pair;
	const char *reason = p->a.reason[0] ? p->a.reason : p->b.reason;

	fprintf(f, "<tr><td>%s</td>", row->benchmark->name);
	if (reason[0]) {
		fprintf(f, "<td class=\"why\" colspan=\"5\">");
		put_text(f, reason);
		fprintf(f, "</td></tr>\n");
		return;
	}
	fprintf(f, "<td>%llu</td><td>%llu</td><td>%.2f</td><td>%.2f&#8211;%.2f</td><td>", (unsigned long long)p->a.median,
		(unsigned long long)p->b.median, p->ratio, p->low, p->high);
	put_bar(f, p);
	fprintf(f, "</td></tr>\n");
}

/* Faults per million ticks, all vCPUs together: a sample is the time of one. */
static double throughput(const struct result *r)
{
	return r->median ? 1e6 / r->median : 0;
}

static bool is_point(const struct row *row)
{
	return row->benchmark->group == BENCH_SCALING && !row->pair.a.reason[0] && !row->pair.b.reason[0];
}

static void put_line(struct page *page, bool of_a, double most, unsigned int cpus)
{
	fprintf(page->file, "<polyline class=\"%s\" points=\"", of_a ? "a" : "b");
	for (unsigned int i = 0; i < page->nr_rows; i++) {
		const struct row *row = &page->rows[i];

		if (is_point(row))
			fprintf(page->file, "%.1f,%.1f ",
				MARGIN + (CHART_WIDTH - 2 * MARGIN) * row->benchmark->cpus / cpus,
				CHART_HEIGHT - MARGIN - (CHART_HEIGHT - 2 * MARGIN) *
				throughput(of_a ? &row->pair.a : &row->pair.b) / most);
	}
	fprintf(page->file, "\"/>");
}

static void put_chart(struct page *page)
{
	unsigned int cpus = 0;
	double most = 0;

	for (unsigned int i = 0; i < page->nr_rows; i++) {
		const struct pair *p = &page->rows[i].pair;

		if (!is_point(&page->rows[i]))
			continue;
		cpus = page->rows[i].benchmark->cpus;
		most = throughput(&p->a) > most ? throughput(&p->a) : most;
		most = throughput(&p->b) > most ? throughput(&p->b) : most;
	}
	if (!cpus || most <= 0)
		return;
	fprintf(page->file, "<p><svg class=\"chart\" width=\"%g\" height=\"%g\" role=\"img\" aria-label=\"faults by vCPUs\">"
		"<line class=\"even\" x1=\"%g\" x2=\"%g\" y1=\"%g\" y2=\"%g\"/>"
		"<text x=\"%g\" y=\"%g\">vCPUs: %u</text><text x=\"%g\" y=\"%g\">%.1f faults in a million ticks</text>",
		CHART_WIDTH, CHART_HEIGHT, MARGIN, CHART_WIDTH - MARGIN, CHART_HEIGHT - MARGIN, CHART_HEIGHT - MARGIN,
		CHART_WIDTH - 2 * MARGIN, CHART_HEIGHT - MARGIN / 2, cpus, MARGIN, MARGIN / 2, most);
	put_line(page, true, most, cpus);
	put_line(page, false, most, cpus);
	fprintf(page->file, "</svg></p>\n");
}

static bool has_group(const struct page *page, enum bench_group group)
{
	for (unsigned int i = 0; i < page->nr_rows; i++)
		if (page->rows[i].benchmark->group == group)
			return true;
	return false;
}

static void put_group(struct page *page, enum bench_group group)
{
	if (!has_group(page, group))
		return;
	fprintf(page->file, "<h2>%s</h2>\n<table><thead><tr><th></th><th>", headings[group]);
	put_text(page->file, page->a);
	fprintf(page->file, "</th><th>");
	put_text(page->file, page->b);
	fprintf(page->file, "</th><th>ratio</th><th>spread</th><th></th></tr></thead>\n<tbody>\n");
	for (unsigned int i = 0; i < page->nr_rows; i++)
		if (page->rows[i].benchmark->group == group)
			put_row(page->file, &page->rows[i]);
	fprintf(page->file, "</tbody></table>\n");
	if (group == BENCH_SCALING)
		put_chart(page);
}

/** page__close() - write the page; 0, or -1 when that fails, which is reported */
int page__close(struct page *page)
{
	bool good;

	fputs(head, page->file);
	fprintf(page->file, "<p>TSC ticks of one operation, medians of %d rounds in which <b class=\"name\">", BENCH_ROUNDS);
	put_text(page->file, page->a);
	fprintf(page->file, "</b> and <b class=\"name\">");
	put_text(page->file, page->b);
	fprintf(page->file, "</b> took turns. Bars show the ratio: left of the line the first is faster; the thin line is the"
		" spread of the rounds.</p>\n");
	for (enum bench_group group = 0; group < NR_BENCH_GROUPS; group++)
		put_group(page, group);
	fprintf(page->file, "</body></html>\n");
	good = !ferror(page->file);
	if (fclose(page->file) || !good) {
		pr_err("%s: %s", page->path, strerror(errno));
		good = false;
	}
	free(page);
	return good ? 0 : -1;
}
