// SPDX-License-Identifier: GPL-2.0
/* What happened between two samples of a VM. */
#include <stdlib.h>
#include <string.h>

#include "top/top.h"
#include "util.h"

const char *const sort_names[NR_SORTS] = {
	[SORT_EXITS] = "exits", [SORT_GUEST] = "time in guest", [SORT_MEMORY] = "memory", [SORT_NAME] = "name",
};

/* Nestor counts every reason of the CPU's, upstream some kinds. */
static bool is_reason(const char *name)
{
	size_t len = strlen(name);

	return !strncmp(name, "exit_", 5) || (len > 6 && !strcmp(name + len - 6, "_exits"));
}

static double rate(const struct counters *now, const struct counters *before, const char *name, double seconds)
{
	uint64_t to = counters__get(now, name), from = before ? counters__get(before, name) : 0;

	return to > from && seconds > 0 ? (to - from) / seconds : 0;
}

static void add_reason(struct rates *r, const char *name, double rate)
{
	for (unsigned int i = 0; i < r->nr_reasons; i++)
		if (!strcmp(r->reasons[i].name, name)) {
			r->reasons[i].rate += rate;
			return;
		}
	if (r->nr_reasons < MAX_REASONS)
		r->reasons[r->nr_reasons++] = (struct reason){ name, rate };
}

static void add_reasons(struct rates *r, const struct counters *now, const struct counters *before, double seconds)
{
	bool by_cpu = counters__get(now, "bursts");	/* Nestor's: its *_exits say the same again */

	for (unsigned int i = 0; i < now->nr; i++) {
		const char *name = now->list[i].name;
		double per_second = is_reason(name) ? rate(now, before, name, seconds) : 0;

		if (per_second > 0 && (!by_cpu || !strncmp(name, "exit_", 5)))
			add_reason(r, name, per_second);
	}
}

static int most_first(const void *a, const void *b)
{
	double x = ((const struct reason *)a)->rate, y = ((const struct reason *)b)->rate;

	return x < y ? 1 : x > y ? -1 : 0;
}

static const struct top_vcpu *find_vcpu(const struct top_vm *vm, unsigned int id)
{
	for (unsigned int i = 0; vm && i < vm->nr_vcpus; i++)
		if (vm->vcpus[i].id == id)
			return &vm->vcpus[i];
	return NULL;
}

static void compute_vcpu(struct rates *r, unsigned int i, const struct top_vm *before, double seconds)
{
	const struct top_vcpu *now = &r->vm->vcpus[i], *then = find_vcpu(before, now->id);
	bool counted = counters__get(&now->counters, "exits");

	r->nested += now->nested;
	r->vcpu_exits[i] = counted && then ? rate(&now->counters, &then->counters, "exits", seconds) : counted ? 0 : -1;
	if (then && now->guest_ns > then->guest_ns && seconds > 0)
		r->vcpu_guest[i] = (now->guest_ns - then->guest_ns) / 1e9 / seconds;
	r->guest += r->vcpu_guest[i];
	if (!then || !counted)
		return;
	r->exits += r->vcpu_exits[i];
	add_reasons(r, &now->counters, &then->counters, seconds);
}

/**
 * rates__compute() - from two samples of a VM
 * @now: the later one, which outlives @rates
 * @before: the earlier one; NULL: the VM is new, and its rates are 0
 * @seconds: between them
 */
void rates__compute(struct rates *rates, const struct top_vm *now, const struct top_vm *before, double seconds)
{
	static const struct {
		const char *name;
		double mib;
	} leaves[] = { { "pages_4k", 1 / 256. }, { "pages_2m", 2 }, { "pages_1g", 1024 } };

	*rates = (struct rates){ .vm = now };
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		rates->memory[i] = counters__get(&now->counters, leaves[i].name) * leaves[i].mib;
	if (before) {
		rates->exits = rate(&now->counters, &before->counters, "exits", seconds);
		add_reasons(rates, &now->counters, &before->counters, seconds);
	}
	for (unsigned int i = 0; i < now->nr_vcpus; i++)
		compute_vcpu(rates, i, before, seconds);
	qsort(rates->reasons, rates->nr_reasons, sizeof(rates->reasons[0]), most_first);
}

static enum sort_by sorting;

static double key(const struct rates *r)
{
	return sorting == SORT_EXITS ? r->exits : sorting == SORT_GUEST ? r->guest :
	       r->memory[0] + r->memory[1] + r->memory[2];
}

static int by_key(const void *a, const void *b)
{
	const struct rates *x = a, *y = b;

	if (sorting != SORT_NAME && key(x) != key(y))
		return key(x) < key(y) ? 1 : -1;
	return strcmp(x->vm->name, y->vm->name);
}

/** rates__sort() - the largest first; by name, the other way */
void rates__sort(struct rates *rates, unsigned int nr, enum sort_by by)
{
	sorting = by;
	qsort(rates, nr, sizeof(*rates), by_key);
}
