// SPDX-License-Identifier: GPL-2.0
/* What was compared and what differs, in words or as JSON. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "compare/compare.h"
#include "crashdump.h"
#include "util.h"

/* Of one kind of difference, one is enough. */
#define MAX_KINDS	64

struct kind {
	const struct suite *suite;
	const char *explained;
	char what[96];
	uint64_t times;
};

/**
 * struct compare_report - a report under way
 * @run: what it is about
 * @json: JSON so far, or NULL: lines are printed at once
 * @kinds: different differences
 * @nr_kinds: how many
 * @lost: unexplained differences that found no room in @kinds
 */
struct compare_report {
	const struct run *run;
	json_t *json;
	struct kind kinds[MAX_KINDS];
	unsigned int nr_kinds;
	uint64_t lost;
};

static void value_words(const struct observation *o, char *buf, size_t size)
{
	if (!o->what)
		snprintf(buf, size, "nothing");
	else if (o->shown == SHOWN_RESULT && (int64_t)o->value < 0)
		snprintf(buf, size, "-%s", strerrorname_np(-(int64_t)o->value) ?: "?");
	else if (o->shown == SHOWN_RESULT)
		snprintf(buf, size, "%" PRId64, (int64_t)o->value);
	else if (o->shown == SHOWN_EXIT && o->value >> 32)
		snprintf(buf, size, "%s %u", exitreason__name((uint32_t)o->value), (unsigned int)(o->value >> 32));
	else if (o->shown == SHOWN_EXIT)
		snprintf(buf, size, "%s", exitreason__name(o->value));
	else
		snprintf(buf, size, "0x%" PRIx64, o->value);
}

/** difference__words() - see struct words; when the two saw different things, their names are in the values */
void difference__words(const struct difference *d, struct words *words)
{
	const struct observation *first = d->a.what ? &d->a : &d->b;
	bool same = !d->a.what || !d->b.what || (!strcmp(d->a.what, d->b.what) && d->a.at == d->b.at);
	char value[48];

	snprintf(words->action, sizeof(words->action), "lists");
	if (d->number)
		d->suite->describe(&d->c.steps[d->a.step], words->action, sizeof(words->action));
	if (first->at == NO_PLACE)
		snprintf(words->what, sizeof(words->what), "%s", first->what);
	else
		snprintf(words->what, sizeof(words->what), "%s 0x%" PRIx64, first->what, first->at);
	value_words(&d->a, words->a, sizeof(words->a));
	value_words(&d->b, words->b, sizeof(words->b));
	if (same)
		return;
	value_words(&d->b, value, sizeof(value));
	snprintf(words->b, sizeof(words->b), "%s: %s", d->b.what, value);
}

struct compare_report *compare_report__begin(const struct run *run, bool json)
{
	struct compare_report *r = xcalloc(1, sizeof(*r));

	/* Line by line also into a pipe: it takes a while. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	r->run = run;
	if (json)
		r->json = json_pack("{s:s, s:s, s:I, s:[], s:[]}", "a", run->a.path, "b", run->b.path, "seed",
				    (json_int_t)run->seed, "suites", "differences");
	return r;
}

static struct kind *find_kind(const struct compare_report *r, const struct suite *suite, const char *explained,
			      const char *what)
{
	for (unsigned int i = 0; i < r->nr_kinds; i++) {
		const struct kind *k = &r->kinds[i];

		if (k->suite == suite && k->explained == explained && (explained || !strcmp(k->what, what)))
			return (struct kind *)k;
	}
	return NULL;
}

/** compare_report__knows() - was such an unexplained difference reported already? */
bool compare_report__knows(const struct compare_report *r, const struct difference *d)
{
	struct words w;

	difference__words(d, &w);
	return find_kind(r, d->suite, NULL, w.what);
}

static void print_difference(const struct compare_report *r, const struct difference *d, const struct words *w,
			     const char *explained)
{
	char action[sizeof(w->action)];

	printf("%s: %s%s: %s on %s, %s on %s\n", d->suite->name, explained ? "deliberate: " : "", w->what, w->a,
	       r->run->a.path, w->b, r->run->b.path);
	if (explained)
		printf("    %s\n", explained);
	if (!d->number)
		return;
	printf("    case %" PRIu64 " of seed %" PRIu64 "%s\n", d->number, r->run->seed, explained ? "" : ", made small:");
	for (unsigned int i = explained ? d->a.step : 0; i < d->c.nr_steps && i <= d->a.step; i++) {
		d->suite->describe(&d->c.steps[i], action, sizeof(action));
		printf("    %u. %s\n", i + 1, action);
	}
}

static json_t *difference_json(const struct difference *d, const struct words *w, const char *explained)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:o}", "suite", d->suite->name, "what", w->what, "a", w->a, "b", w->b,
			      "deliberate", explained ? json_string(explained) : json_null());
	json_t *steps = json_array();
	char action[sizeof(w->action)];

	for (unsigned int i = 0; d->number && i < d->c.nr_steps && i <= d->a.step; i++) {
		d->suite->describe(&d->c.steps[i], action, sizeof(action));
		json_array_append_new(steps, json_string(action));
	}
	json_object_set_new(o, "case", json_integer(d->number));
	json_object_set_new(o, "steps", steps);
	return o;
}

/**
 * compare_report__difference() - tell a difference, unless one of its kind was told
 * @explained: the reason, if it is deliberate
 */
void compare_report__difference(struct compare_report *r, const struct difference *d, const char *explained)
{
	struct words w;
	struct kind *k;

	difference__words(d, &w);
	k = find_kind(r, d->suite, explained, w.what);
	if (k) {
		k->times++;
		return;
	}
	if (r->nr_kinds == MAX_KINDS) {
		r->lost += !explained;
		return;
	}
	k = &r->kinds[r->nr_kinds++];
	*k = (struct kind){ .suite = d->suite, .explained = explained, .times = 1 };
	snprintf(k->what, sizeof(k->what), "%s", w.what);
	if (r->json)
		json_array_append_new(json_object_get(r->json, "differences"), difference_json(d, &w, explained));
	else
		print_difference(r, d, &w, explained);
}

/** compare_report__also() - tell what else differs in the step of the difference that was told last; not in JSON */
void compare_report__also(const struct compare_report *r, const struct difference *d)
{
	struct words w;

	if (r->json)
		return;
	difference__words(d, &w);
	printf("    %s: %s, %s\n", w.what, w.a, w.b);
}

static uint64_t count(const struct compare_report *r, const struct suite *suite, bool explained)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < r->nr_kinds; i++)
		if ((!suite || r->kinds[i].suite == suite) && !r->kinds[i].explained == !explained)
			n += r->kinds[i].times;
	return n;
}

/** compare_report__unexplained() - did a suite, or any if it is NULL, find something unexplained? */
bool compare_report__unexplained(const struct compare_report *r, const struct suite *suite)
{
	return count(r, suite, false) || r->lost;
}

/** compare_report__suite() - tell what came of a suite */
void compare_report__suite(struct compare_report *r, const struct suite *suite, uint64_t cases)
{
	uint64_t unexplained = count(r, suite, false), explained = count(r, suite, true);

	if (!r->json)
		printf("%s: %" PRIu64 " cases, %" PRIu64 " unexplained differences, %" PRIu64 " deliberate ones\n",
		       suite->name, cases, unexplained, explained);
	else
		json_array_append_new(json_object_get(r->json, "suites"),
				      json_pack("{s:s, s:I, s:I, s:I}", "name", suite->name, "cases", (json_int_t)cases,
						"unexplained", (json_int_t)unexplained, "deliberate", (json_int_t)explained));
}

void compare_report__skip(struct compare_report *r, const struct suite *suite, const char *why)
{
	if (!r->json)
		printf("%s: skipped: %s\n", suite->name, why);
	else
		json_array_append_new(json_object_get(r->json, "suites"),
				      json_pack("{s:s, s:s}", "name", suite->name, "skipped", why));
}

bool compare_report__end(struct compare_report *r)
{
	bool unexplained = compare_report__unexplained(r, NULL);

	if (r->json) {
		json_dumpf(r->json, stdout, JSON_INDENT(1));
		printf("\n");
		json_decref(r->json);
	}
	free(r);
	return unexplained;
}
