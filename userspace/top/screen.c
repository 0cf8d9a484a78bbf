// SPDX-License-Identifier: GPL-2.0
/* The live view: the terminal belongs to ncurses, keys sort and freeze. */
#include <curses.h>
#include <stdlib.h>

#include "top/top.h"
#include "util.h"

#define SHOWN_REASONS	6

/**
 * struct screen - the view
 * @sample: the later sample
 * @before: the earlier one
 * @rates: between them
 * @sort: how VMs are sorted
 * @frozen: nothing new is read
 * @vcpus: each vCPU has a line
 */
struct screen {
	struct sample sample, before;
	struct rates *rates;
	enum sort_by sort;
	bool frozen, vcpus;
};

static void refresh_rates(struct screen *s)
{
	double seconds = (s->sample.ns - s->before.ns) / 1e9;

	for (unsigned int i = 0; i < s->sample.nr_vms; i++)
		rates__compute(&s->rates[i], &s->sample.vms[i], sample__find(&s->before, &s->sample.vms[i]), seconds);
	rates__sort(s->rates, s->sample.nr_vms, s->sort);
}

static bool take(struct screen *s)
{
	sample__free(&s->before);
	s->before = s->sample;
	if (!sample__take(&s->sample))
		return false;
	refresh_rates(s);
	return true;
}

static void draw_vcpus(const struct rates *r)
{
	for (unsigned int v = 0; v < r->vm->nr_vcpus; v++) {
		const struct top_vcpu *vcpu = &r->vm->vcpus[v];

		printw("    vCPU %-4u thread %-8d", vcpu->id, vcpu->tid);
		if (r->vcpu_exits[v] >= 0)
			printw(" %10.0f exits/s", r->vcpu_exits[v]);
		printw(" %5.1f %% in guest%s\n", 100 * r->vcpu_guest[v], vcpu->nested ? ", nested" : "");
	}
}

static void draw_vm(const struct screen *s, const struct rates *r)
{
	attron(A_BOLD);
	printw("%-6s %-14s %-16.16s %4u %10.0f %7.1f %8.0f %8.0f %8.0f %6u\n", r->vm->hypervisor, r->vm->name, r->vm->command,
	       r->vm->nr_vcpus, r->exits, 100 * r->guest, r->memory[0], r->memory[1], r->memory[2], r->nested);
	attroff(A_BOLD);
	printw("   ");
	for (unsigned int i = 0; i < r->nr_reasons && i < SHOWN_REASONS; i++)
		printw(" %s %.0f", r->reasons[i].name, r->reasons[i].rate);
	printw("\n");
	if (s->vcpus)
		draw_vcpus(r);
}

static void draw(const struct screen *s)
{
	erase();
	printw("nestor top: %u VMs, by %s%s   s: sort  v: vCPUs  f: freeze  q: quit\n\n", s->sample.nr_vms,
	       sort_names[s->sort], s->frozen ? ", FROZEN" : "");
	attron(A_REVERSE);
	printw("%-6s %-14s %-16s %4s %10s %7s %8s %8s %8s %6s\n", "", "PID-FD", "command", "CPUs", "exits/s", "guest %",
	       "MiB 4k", "MiB 2M", "MiB 1G", "nested");
	attroff(A_REVERSE);
	for (unsigned int i = 0; i < s->sample.nr_vms; i++)
		draw_vm(s, &s->rates[i]);
	refresh();
}

/* Return: false to end. */
static bool handle_key(struct screen *s, int key)
{
	switch (key) {
	case 'q':
		return false;
	case 's':
		s->sort = (s->sort + 1) % NR_SORTS;
		rates__sort(s->rates, s->sample.nr_vms, s->sort);
		return true;
	case 'v':
		s->vcpus = !s->vcpus;
		return true;
	case 'f':
	case ' ':
		s->frozen = !s->frozen;
		return true;
	case ERR:
		return s->frozen || take(s);
	default:
		return true;
	}
}

/** screen__run() - show until the user ends it; the exit status */
int screen__run(double interval)
{
	struct screen s = { .rates = xcalloc(MAX_VMS, sizeof(*s.rates)) };
	bool good = sample__take(&s.sample);

	if (good) {
		refresh_rates(&s);
		initscr();
		cbreak();
		noecho();
		curs_set(0);
		timeout(interval * 1000);
		do {
			draw(&s);
		} while (handle_key(&s, getch()));
		endwin();
	}
	sample__free(&s.sample);
	sample__free(&s.before);
	free(s.rates);
	return good ? STATUS_OK : STATUS_FAILED;
}
