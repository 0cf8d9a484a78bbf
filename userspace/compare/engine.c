// SPDX-License-Identifier: GPL-2.0
/* Run a case on both devices, look for the first thing that differs, and make the case small. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "compare/compare.h"
#include "util.h"

/* A guest that does not come back is given up after this many seconds. */
#define PATIENCE	20
/* A case is run this often to make it smaller. */
#define SHRINK_RUNS	60

static void on_alarm(int sig)
{
	(void)sig;
}

/* The signal ends KVM_RUN; it repeats, should it come just before. */
static void set_patience(unsigned int seconds)
{
	struct itimerval timer = { .it_value.tv_sec = seconds, .it_interval.tv_sec = seconds ? 1 : 0 };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_on(const struct run *run, const struct kvm *kvm, const struct suite *suite, const struct compare_case *c,
		   struct trace *trace)
{
	struct subject s = { .kvm = kvm, .common = &run->common, .trace = trace };
	int ret;

	trace->nr = trace->step = 0;
	set_patience(PATIENCE);
	ret = suite->open(&s, c);
	observe__result(&s, "the VM", ret);
	for (unsigned int i = 0; !ret && i < c->nr_steps && !s.over; i++) {
		trace->step = i;
		suite->step(&s, &c->steps[i]);
	}
	set_patience(0);
	subject__destroy(&s);
}

static bool equal(const struct observation *a, const struct observation *b)
{
	return a->value == b->value && a->at == b->at && a->step == b->step && !strcmp(a->what, b->what);
}

/* The first difference of two records of the same steps. */
static bool find_difference(const struct trace *a, const struct trace *b, struct difference *d)
{
	size_t nr = a->nr < b->nr ? a->nr : b->nr, i = 0;

	while (i < nr && equal(&a->list[i], &b->list[i]))
		i++;
	d->found = i < a->nr || i < b->nr;
	d->a = i < a->nr ? a->list[i] : (struct observation){ .step = i < b->nr ? b->list[i].step : 0 };
	d->b = i < b->nr ? b->list[i] : (struct observation){ .step = d->a.step };
	return d->found;
}

/* Both traces are kept from one case to the next: they are large. */
static struct trace trace_a, trace_b;

static bool differs(const struct run *run, const struct suite *suite, const struct compare_case *c, struct difference *d)
{
	run_on(run, &run->a, suite, c, &trace_a);
	run_on(run, &run->b, suite, c, &trace_b);
	d->suite = suite;
	d->c = *c;
	return find_difference(&trace_a, &trace_b, d);
}

static const char *name_of(const struct difference *d)
{
	return d->a.what ?: d->b.what ?: "";
}

static int explanation(const struct run *run, const struct difference *d)
{
	return deliberate__find(d, kvm__is_nestor(&run->a));
}

/* Is it still the same difference with this case? */
static bool try_case(const struct run *run, const struct compare_case *c, struct difference *d, unsigned int *left)
{
	struct difference now = { .number = d->number };

	if (!*left)
		return false;
	--*left;
	if (!differs(run, d->suite, c, &now) || strcmp(name_of(&now), name_of(d)) || explanation(run, &now) >= 0)
		return false;
	*d = now;
	return true;
}

static void drop_steps(const struct run *run, struct difference *d, unsigned int *left)
{
	/* What comes after the difference does not matter. */
	d->c.nr_steps = d->a.step + 1;
	for (unsigned int i = d->c.nr_steps; i-- > 0 && d->c.nr_steps > 1;) {
		struct compare_case c = d->c;

		if (i >= c.nr_steps)
			continue;
		memmove(&c.steps[i], &c.steps[i + 1], (c.nr_steps - i - 1) * sizeof(c.steps[0]));
		c.nr_steps--;
		try_case(run, &c, d, left);
	}
}

static void simplify_words(const struct run *run, struct difference *d, unsigned int *left)
{
	for (unsigned int i = 0; i < d->c.nr_steps; i++)
		for (unsigned int w = 0; w < STEP_WORDS; w++) {
			struct compare_case c = d->c;

			if (!c.steps[i].word[w])
				continue;
			c.steps[i].word[w] = 0;
			if (try_case(run, &c, d, left))
				continue;
			/* Choices need few bits, and mutations little more. */
			for (unsigned int bits = 16; bits < 64; bits *= 2) {
				c.steps[i].word[w] = d->c.steps[i].word[w] & ((1ULL << bits) - 1);
				if (try_case(run, &c, d, left))
					break;
			}
		}
}

static void shrink(const struct run *run, struct difference *d)
{
	unsigned int left = SHRINK_RUNS, before;

	do {
		before = d->c.nr_steps;
		drop_steps(run, d, &left);
		simplify_words(run, d, &left);
	} while (d->c.nr_steps < before);
}

static void report(struct run *run, struct difference *d)
{
	int index = explanation(run, d);

	if (index < 0 && !compare_report__knows(run->report, d) && d->number)
		shrink(run, d);
	compare_report__difference(run->report, d, index < 0 ? NULL : deliberate[index].reason);
}

static bool same_place(const struct observation *a, const struct observation *b)
{
	return a->at == b->at && !strcmp(a->what, b->what);
}

static const struct observation *find_place(const struct trace *t, const struct observation *o)
{
	for (size_t i = 0; i < t->nr; i++)
		if (same_place(&t->list[i], o))
			return &t->list[i];
	return NULL;
}

static void report_lists(struct run *run, const struct suite *suite)
{
	for (size_t i = 0; i < trace_a.nr; i++) {
		const struct observation *other = find_place(&trace_b, &trace_a.list[i]);
		struct difference d = { .suite = suite, .found = true, .a = trace_a.list[i] };

		if (other && other->value == trace_a.list[i].value)
			continue;
		if (other)
			d.b = *other;
		report(run, &d);
	}
	for (size_t i = 0; i < trace_b.nr; i++)
		if (!find_place(&trace_a, &trace_b.list[i]))
			report(run, &(struct difference){ .suite = suite, .found = true, .b = trace_b.list[i] });
}

static void compare_lists(struct run *run, const struct suite *suite)
{
	struct subject a = { .kvm = &run->a, .common = &run->common, .trace = &trace_a };
	struct subject b = { .kvm = &run->b, .common = &run->common, .trace = &trace_b };

	trace_a.nr = trace_b.nr = trace_a.step = trace_b.step = 0;
	suite->lists(&a);
	suite->lists(&b);
	report_lists(run, suite);
}

/** run__suite() - compare by one suite: its lists, then random cases */
void run__suite(struct run *run, const struct suite *suite)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	const char *missing = suite->missing ? suite->missing(&run->common) : NULL;
	uint64_t first = run->only ?: 1, last = run->only ?: run->count, number;

	sigaction(SIGALRM, &sa, NULL);
	if (missing) {
		compare_report__skip(run->report, suite, missing);
		return;
	}
	if (suite->lists && !run->only)
		compare_lists(run, suite);
	for (number = first; number <= last && !(run->stop && compare_report__unexplained(run->report, suite)); number++) {
		struct difference d = { .number = number };
		struct compare_case c;

		case__generate(&c, suite->max_steps, run->seed, number);
		if (differs(run, suite, &c, &d))
			report(run, &d);
	}
	compare_report__suite(run->report, suite, number - first);
	free(trace_a.list);
	free(trace_b.list);
	trace_a = trace_b = (struct trace){ 0 };
}
