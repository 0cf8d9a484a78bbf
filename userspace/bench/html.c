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
#define BAR_WIDTH	360.0
#define BAR_HEIGHT	18
#define FULL_RATIO	2.0
#define CHART_WIDTH	640.0
#define CHART_HEIGHT	240.0
#define MARGIN		40.0
#define NAMES_WIDTH	140.0	/* right of the lines */

/* Ratios nearer to 1 are printed as 1.00. */
#define EVEN		0.005

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
	"body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 66em; padding: 0 1em; color: #222; }\n"
	"h2 { margin: 1.5em 0 .3em; } .wide { overflow-x: auto; } svg { display: block; }\n"
	"table { border-collapse: collapse; table-layout: fixed; width: 64em; font-variant-numeric: tabular-nums; }\n"
	"th, td { padding: .2em 0 .2em 1.2em; text-align: right; white-space: nowrap; } th { font-weight: 600; }\n"
	"th:first-child, td:first-child { text-align: left; padding-left: 0; width: 7em; } th:nth-child(4) { width: 3em; }\n"
	"th:nth-child(5) { width: 6.5em; } th:last-child { width: 360px; padding-left: 2em; } td:last-child { padding-left: 2em; }\n"
	"thead { border-bottom: 1px solid #999; } td.why { text-align: left; color: #777; padding-left: 1.2em; }\n"
	"svg text { font-size: 12px; fill: currentColor; } .spread { stroke: #222; } .even { stroke: #999; }\n"
	".faster { fill: #2a7f4f; } .slower { fill: #b5482a; } .same { fill: #8a8a8a; }\n"
	".a, .b { fill: none; stroke-width: 2; } .a { stroke: #2a7f4f; } .b { stroke: #4a74c9; }\n"
	".dot.a { fill: #2a7f4f; } .dot.b { fill: #4a74c9; }\n"
	"@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd; }\n"
	".spread { stroke: #ddd; } .faster { fill: #3a9a66; } }\n</style></head><body>\n<h1>nestor bench</h1>\n";

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

static const char *verdict(double ratio)
{
	return ratio < 1 - EVEN ? "faster" : ratio > 1 + EVEN ? "slower" : "same";
}

static void put_bar(FILE *f, const struct pair *p)
{
	fprintf(f, "<svg width=\"%g\" height=\"%d\" role=\"img\" aria-label=\"ratio %.2f\">"
		"<rect class=\"bar %s\" y=\"2\" width=\"%.1f\" height=\"%d\"/>"
		"<line class=\"even\" x1=\"%g\" x2=\"%g\" y1=\"0\" y2=\"%d\"/>"
		"<line class=\"spread\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/></svg>",
		BAR_WIDTH, BAR_HEIGHT, p->ratio, verdict(p->ratio), place(p->ratio), BAR_HEIGHT - 4, place(1), place(1),
		BAR_HEIGHT, place(p->low), place(p->high), BAR_HEIGHT / 2, BAR_HEIGHT / 2);
}

/* What is where along the bars. */
static void put_scale(FILE *f)
{
	fprintf(f, "<svg width=\"%g\" height=\"%d\"><text x=\"0\" y=\"14\">0</text><text x=\"%g\" y=\"14\" "
		"text-anchor=\"middle\">1</text><text x=\"%g\" y=\"14\" text-anchor=\"end\">%g and more</text></svg>",
		BAR_WIDTH, BAR_HEIGHT, place(1), BAR_WIDTH, FULL_RATIO);
}

/* With narrow spaces between thousands. */
static void put_number(FILE *f, uint64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);

	for (int i = 0; i < n; i++)
		fprintf(f, "%s%c", i && !((n - i) % 3) ? "&#8239;" : "", digits[i]);
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
	fprintf(f, "<td>");
	put_number(f, p->a.median);
	fprintf(f, "</td><td>");
	put_number(f, p->b.median);
	fprintf(f, "</td><td>%.2f</td><td>%.2f&#8211;%.2f</td><td>", p->ratio, p->low, p->high);
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

/**
 * struct scale - where the points of the chart go
 * @most: the largest throughput
 * @cpus: the largest number of vCPUs
 */
struct scale {
	double most;
	unsigned int cpus;
};

static double chart_x(const struct scale *scale, unsigned int cpus)
{
	return MARGIN + (CHART_WIDTH - 2 * MARGIN - NAMES_WIDTH) * cpus / scale->cpus;
}

static double chart_y(const struct scale *scale, double faults)
{
	return CHART_HEIGHT - MARGIN - (CHART_HEIGHT - 2 * MARGIN) * faults / scale->most;
}

static double point_of(const struct row *row, bool of_a)
{
	return throughput(of_a ? &row->pair.a : &row->pair.b);
}

/* Names of two lines that end near each other would cover each other: each goes to its own side. */
static void put_name(struct page *page, const struct scale *scale, const struct row *last, bool of_a)
{
	bool above = point_of(last, of_a) > point_of(last, !of_a);

	fprintf(page->file, "<text x=\"%.1f\" y=\"%.1f\">", chart_x(scale, last->benchmark->cpus) + 10,
		chart_y(scale, point_of(last, of_a)) + (above ? -2 : 10));
	put_text(page->file, of_a ? page->a : page->b);
	fprintf(page->file, "</text>");
}

static void put_line(struct page *page, const struct scale *scale, bool of_a)
{
	const char *class = of_a ? "a" : "b";
	const struct row *last = NULL;

	fprintf(page->file, "<polyline class=\"%s\" points=\"", class);
	for (unsigned int i = 0; i < page->nr_rows; i++) {
		const struct row *row = &page->rows[i];

		if (!is_point(row))
			continue;
		fprintf(page->file, "%.1f,%.1f ", chart_x(scale, row->benchmark->cpus), chart_y(scale, point_of(row, of_a)));
		last = row;
	}
	fprintf(page->file, "\"/>");
	for (unsigned int i = 0; i < page->nr_rows; i++)
		if (is_point(&page->rows[i]))
			fprintf(page->file, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", class,
				chart_x(scale, page->rows[i].benchmark->cpus),
				chart_y(scale, point_of(&page->rows[i], of_a)));
	put_name(page, scale, last, of_a);
}

static void put_axes(struct page *page, const struct scale *scale)
{
	fprintf(page->file, "<line class=\"even\" x1=\"%g\" x2=\"%g\" y1=\"%g\" y2=\"%g\"/>"
		"<line class=\"even\" x1=\"%g\" x2=\"%g\" y1=\"%g\" y2=\"%g\" stroke-dasharray=\"2 4\"/>"
		"<text x=\"%g\" y=\"%g\" text-anchor=\"end\">0</text><text x=\"%g\" y=\"%g\" text-anchor=\"end\">%.1f</text>"
		"<text x=\"%g\" y=\"14\">Faults in a million ticks, all vCPUs together, by their number</text>",
		MARGIN, chart_x(scale, scale->cpus), CHART_HEIGHT - MARGIN, CHART_HEIGHT - MARGIN,
		MARGIN, chart_x(scale, scale->cpus), MARGIN, MARGIN,
		MARGIN - 8, CHART_HEIGHT - MARGIN + 4, MARGIN - 8, MARGIN + 4, scale->most, MARGIN);
	for (unsigned int i = 0; i < page->nr_rows; i++)
		if (is_point(&page->rows[i]))
			fprintf(page->file, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%u</text>",
				chart_x(scale, page->rows[i].benchmark->cpus), CHART_HEIGHT - MARGIN / 2,
				page->rows[i].benchmark->cpus);
}

static void put_chart(struct page *page)
{
	struct scale scale = { 0 };

	for (unsigned int i = 0; i < page->nr_rows; i++) {
		const struct row *row = &page->rows[i];

		if (!is_point(row))
			continue;
		scale.cpus = row->benchmark->cpus;
		scale.most = point_of(row, true) > scale.most ? point_of(row, true) : scale.most;
		scale.most = point_of(row, false) > scale.most ? point_of(row, false) : scale.most;
	}
	if (!scale.cpus || scale.most <= 0)
		return;
	fprintf(page->file, "<div class=\"wide\"><svg class=\"chart\" width=\"%g\" height=\"%g\" role=\"img\" aria-label=\"faults by vCPUs\">",
		CHART_WIDTH, CHART_HEIGHT);
	put_axes(page, &scale);
	put_line(page, &scale, true);
	put_line(page, &scale, false);
	fprintf(page->file, "</svg></div>\n");
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
	fprintf(page->file, "<h2>%s</h2>\n<div class=\"wide\"><table><thead><tr><th></th><th>", headings[group]);
	put_text(page->file, page->a);
	fprintf(page->file, "</th><th>");
	put_text(page->file, page->b);
	fprintf(page->file, "</th><th>ratio</th><th>spread</th><th>");
	put_scale(page->file);
	fprintf(page->file, "</th></tr></thead>\n<tbody>\n");
	for (unsigned int i = 0; i < page->nr_rows; i++)
		if (page->rows[i].benchmark->group == group)
			put_row(page->file, &page->rows[i]);
	fprintf(page->file, "</tbody></table></div>\n");
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
	fprintf(page->file, "</b> took turns. The ratio is the median of the rounds' ratios: below 1 the first is faster. The thin"
		" line over its bar is the spread of the rounds.</p>\n");
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
