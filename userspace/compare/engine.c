// SPDX-License-Identifier: GPL-2.0
/* Run a case on both devices, look for the first thing that differs, and make the case small. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare/compare.h"
#include "util.h"

/*
 * A guest that does not come back is given up soon. Should that make a difference, both get more time: a machine may be
 * slow, but most that are given up halt or loop, and are many.
 */
static const struct patience hasty = { .asleep = 1, .awake = 1, .total = 1 };
static const struct patience patient = { .asleep = 3, .awake = 3, .total = 20 };

/* A case is run this often to make it smaller; one that ran out of time counts as several. */
#define SHRINK_RUNS	60
#define GIVEN_UP_RUNS	4

static void on_alarm(int sig)
{
	(void)sig;
}

/* The signal ends KVM_RUN; it repeats, should it come just before, or be ignored. */
static void set_alarms(bool on)
{
	struct itimerval timer = { .it_value.tv_sec = on, .it_interval.tv_sec = on };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_on(const struct run *run, const struct kvm *kvm, const struct suite *suite, const struct compare_case *c,
		   const struct patience *patience, struct trace *trace)
{
	struct subject s = {
		.kvm = kvm, .common = &run->common, .trace = trace, .patience = patience,
		.begin = subject__now(CLOCK_MONOTONIC),
	};
	int ret;

	trace->nr = trace->step = 0;
	trace->given_up = false;
	set_alarms(true);
	ret = suite->open(&s, c);
	observe__result(&s, "the VM", ret);
	for (unsigned int i = 0; !ret && i < c->nr_steps && !s.over; i++) {
		trace->step = i;
		suite->step(&s, &c->steps[i]);
	}
	set_alarms(false);
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

static bool given_up(void)
{
	return trace_a.given_up || trace_b.given_up;
}

static bool differs_within(const struct run *run, const struct compare_case *c, const struct patience *patience,
			   struct difference *d)
{
	run_on(run, &run->a, d->suite, c, patience, &trace_a);
	run_on(run, &run->b, d->suite, c, patience, &trace_b);
	d->c = *c;
	return find_difference(&trace_a, &trace_b, d);
}

static int explanation(const struct run *run, const struct difference *d)
{
	return deliberate__find(d, kvm__is_nestor(&run->a));
}

/* What is explained needs no patience. */
static bool differs(const struct run *run, const struct suite *suite, const struct compare_case *c, struct difference *d)
{
	d->suite = suite;
	if (!differs_within(run, c, &hasty, d))
		return false;
	return !given_up() || explanation(run, d) >= 0 || differs_within(run, c, &patient, d);
}

static const char *name_of(const struct difference *d)
{
	return d->a.what ?: d->b.what ?: "";
}

/* Is it still the same difference with this case? Without much patience: shrink() asks again. */
static bool try_case(const struct run *run, const struct compare_case *c, struct difference *d, unsigned int *left)
{
	struct difference now = { .suite = d->suite, .number = d->number };
	unsigned int cost;
	bool still;

	if (!*left)
		return false;
	still = differs_within(run, c, &hasty, &now);
	cost = given_up() ? GIVEN_UP_RUNS : 1;
	*left -= cost < *left ? cost : *left;
	if (!still || strcmp(name_of(&now), name_of(d)) || explanation(run, &now) >= 0)
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
	struct difference small = *d;
	unsigned int left = SHRINK_RUNS, before;

	do {
		before = small.c.nr_steps;
		drop_steps(run, &small, &left);
		simplify_words(run, &small, &left);
	} while (small.c.nr_steps < before);
	/* What was left of it in haste has to be there with patience, too. */
	if (differs(run, d->suite, &small.c, &small) && !strcmp(name_of(&small), name_of(d)) && explanation(run, &small) < 0)
		*d = small;
}

static bool same_place(const struct observation *a, const struct observation *b)
{
	return a->step == b->step && a->at == b->at && !strcmp(a->what, b->what);
}

static const struct observation *find_place(const struct trace *t, size_t from, const struct observation *o)
{
	for (size_t i = from; i < t->nr; i++)
		if (same_place(&t->list[i], o))
			return &t->list[i];
	return NULL;
}

/* Of a single case, all that differs in the step helps to see why. What both have seen is in the same order. */
static void report_step(const struct run *run, struct difference *d)
{
	struct difference one = *d;
	size_t from = 0;

	if (!differs_within(run, &d->c, &patient, d))
		return;
	for (size_t i = 0; i < trace_a.nr; i++) {
		const struct observation *other = find_place(&trace_b, from, &trace_a.list[i]);

		if (other)
			from = other - trace_b.list + 1;
		if (trace_a.list[i].step != d->a.step || (other && other->value == trace_a.list[i].value))
			continue;
		one.a = trace_a.list[i];
		one.b = other ? *other : (struct observation){ .step = one.a.step };
		compare_report__also(run->report, &one);
	}
}

static void report(struct run *run, struct difference *d)
{
	int index = explanation(run, d);

	if (index < 0 && !compare_report__knows(run->report, d) && d->number)
		shrink(run, d);
	compare_report__difference(run->report, d, index < 0 ? NULL : deliberate[index].reason);
	if (run->only)
		report_step(run, d);
}

static void report_lists(struct run *run, const struct suite *suite)
{
	for (size_t i = 0; i < trace_a.nr; i++) {
		const struct observation *other = find_place(&trace_b, 0, &trace_a.list[i]);
		struct difference d = { .suite = suite, .found = true, .a = trace_a.list[i] };

		if (other && other->value == trace_a.list[i].value)
			continue;
		if (other)
			d.b = *other;
		report(run, &d);
	}
	for (size_t i = 0; i < trace_b.nr; i++)
		if (!find_place(&trace_a, 0, &trace_b.list[i]))
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

static bool differs_in(const struct run *run, const struct suite *suite, uint64_t number, struct difference *d)
{
	struct compare_case c;

	*d = (struct difference){ .number = number };
	case__generate(&c, suite->max_steps, run->seed, number);
	return differs(run, suite, &c, d);
}

static bool is_enough(const struct run *run, const struct suite *suite)
{
	return run->stop && compare_report__unexplained(run->report, suite);
}

/* Return: how many cases there were. */
static uint64_t run_cases(struct run *run, const struct suite *suite, uint64_t first, uint64_t last)
{
	struct difference d;
	uint64_t number;

	for (number = first; number <= last && !is_enough(run, suite); number++)
		if (differs_in(run, suite, number, &d))
			report(run, &d);
	return number - first;
}

/*
 * Making and taking apart a VM is mostly waiting, so several processes at once get further. They tell the first one
 * what they find through a pipe, in which what is shorter than PIPE_BUF stays whole.
 */
static _Noreturn void work(const struct run *run, const struct suite *suite, unsigned int first, int pipe, uint64_t *done)
{
	struct difference d;

	for (uint64_t number = first; number <= run->count; number += run->jobs) {
		if (differs_in(run, suite, number, &d) && write(pipe, &d, sizeof(d)) != sizeof(d))
			_exit(STATUS_FAILED);
		__atomic_fetch_add(done, 1, __ATOMIC_RELAXED);
	}
	_exit(STATUS_OK);
}

static void read_findings(struct run *run, const struct suite *suite, int pipe)
{
	struct difference d;
	ssize_t n;

	do {
		n = read(pipe, &d, sizeof(d));
		if (n == sizeof(d))
			report(run, &d);
	} while ((n == sizeof(d) || (n < 0 && errno == EINTR)) && !is_enough(run, suite));
}

/* What was not compared is not equal. Processes that are left find the pipe closed. */
static _Noreturn void fail(const struct suite *suite, const char *why)
{
	pr_err("%s: %s", suite->name, why);
	exit(STATUS_FAILED);
}

static uint64_t run_jobs(struct run *run, const struct suite *suite)
{
	uint64_t *done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), cases;
	pid_t workers[MAX_JOBS];
	int ends[2], status;

	_Static_assert(sizeof(struct difference) <= 4096, "PIPE_BUF");
	if (done == MAP_FAILED || pipe(ends))
		fail(suite, "no pipe");
	fflush(stdout);
	for (unsigned int i = 0; i < run->jobs; i++) {
		workers[i] = fork();
		if (!workers[i])
			work(run, suite, i + 1, ends[1], done);
	}
	close(ends[1]);
	read_findings(run, suite, ends[0]);
	for (unsigned int i = 0; i < run->jobs; i++) {
		if (is_enough(run, suite) && workers[i] > 0)
			kill(workers[i], SIGTERM);
		if (workers[i] < 0 || waitpid(workers[i], &status, 0) < 0 || (status && !is_enough(run, suite)))
			fail(suite, "a process ended early");
	}
	close(ends[0]);
	cases = *done;
	munmap(done, sizeof(*done));
	return cases;
}

/** run__suite() - compare by one suite: its lists, then random cases */
void run__suite(struct run *run, const struct suite *suite)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	const char *missing = suite->missing ? suite->missing(&run->common) : NULL;
	uint64_t cases;

	sigaction(SIGALRM, &sa, NULL);
	if (missing) {
		compare_report__skip(run->report, suite, missing);
		return;
	}
	if (suite->lists && !run->only)
		compare_lists(run, suite);
	if (run->jobs > 1 && !run->only)
		cases = run_jobs(run, suite);
	else
		cases = run_cases(run, suite, run->only ?: 1, run->only ?: run->count);
	compare_report__suite(run->report, suite, cases);
	free(trace_a.list);
	free(trace_b.list);
	trace_a = trace_b = (struct trace){ 0 };
}
