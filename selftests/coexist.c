// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that guests of Nestor and of upstream KVM run at the same time, each with its own memory: two on each
 * device, at the same guest-physical addresses, fill their pages and read them back; so does the host. On all CPUs, on
 * one CPU in turn, and driven from one CPU to another.
 *
 * usage: coexist [SECONDS]	of each of the three (until each guest has done it 2000 times)
 *
 * Not for seconds by default: those of an emulator whose clock counts instructions can last minutes.
 *
 * nestor-test: cpu=amd,intel kernel=6.1 module=both cpus=2 memory=3072
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"

#define GUESTS		4
#define MEMORY		0x200000u
#define FIRST		0x10000u
#define STRIDE		0x1040u		/* another word of each page */
#define NEXT_SEED	0x01000193u
#define PASSES		2000
#define TURNS		50		/* of TURN_USEC, and as many moves between CPUs */
#define TURN_USEC	1000

/* With EBX as the seed, word at A = seed ^ A; 0 to the port when all are there again, else the address. */
GUEST_TEXT(fill_and_check,
	"1:	mov $0x10000, %edi\n"
	"2:	mov %ebx, %eax\n"
	"	xor %edi, %eax\n"
	"	mov %eax, (%edi)\n"
	"	add $0x1040, %edi\n"
	"	cmp $0x1ff000, %edi\n"
	"	jb 2b\n"
	"	mov $0x10000, %edi\n"
	"3:	mov %ebx, %eax\n"
	"	xor %edi, %eax\n"
	"	cmp %eax, (%edi)\n"
	"	jne 4f\n"
	"	add $0x1040, %edi\n"
	"	cmp $0x1ff000, %edi\n"
	"	jb 3b\n"
	"	xor %eax, %eax\n"
	"	out %eax, $0x80\n"
	"	add $0x01000193, %ebx\n"
	"	jmp 1b\n"
	"4:	mov %edi, %eax\n"
	"	out %eax, $0x80\n"
	"	jmp 4b\n");

static const char *const devices[GUESTS] = { "/dev/nestor", "/dev/kvm", "/dev/nestor", "/dev/kvm" };

static struct runner {
	struct guest guest;
	pthread_t thread;
	uint32_t seed;
	atomic_ulong passes;
	uint32_t bad_in_guest, bad_in_host;	/* address, or 0 */
} runners[GUESTS];

static atomic_bool stop;

static uint32_t wrong_word(const struct runner *r)
{
	uint32_t at, word;

	for (at = FIRST; at < MEMORY - 0x1000; at += STRIDE) {
		memcpy(&word, r->guest.memory + at, sizeof(word));
		if (word != (r->seed ^ at))
			return at;
	}
	return 0;
}

static void *run(void *arg)
{
	struct runner *r = arg;

	while (!stop && !r->bad_in_guest && !r->bad_in_host) {
		r->bad_in_guest = guest_say(&r->guest, 0);
		r->bad_in_host = wrong_word(r);
		r->seed += NEXT_SEED;
		r->passes++;
	}
	return NULL;
}

static void create(struct runner *r, unsigned int number)
{
	setenv("NESTOR_DEVICE", devices[number], 1);
	guest_open(&r->guest, MEMORY, false);
	/* A second-level entry for each page, and so as many to mix up. */
	madvise(r->guest.memory, MEMORY, MADV_NOHUGEPAGE);
	guest_load(&r->guest, fill_and_check);
	r->seed = 0x12345678u * (number + 1);
	guest_add_cpu(&r->guest, r->seed);
}

static void pin(pthread_t thread, int cpu, int nr_cpus)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < nr_cpus; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

/* All have run enough, or are done. */
static bool enough(void)
{
	int i;

	for (i = 0; i < GUESTS; i++)
		if (runners[i].passes < PASSES && !runners[i].bad_in_guest && !runners[i].bad_in_host)
			return false;
	return true;
}

enum where { ALL_CPUS, ONE_CPU, MOVING };

static void run_all(enum where where, int seconds)
{
	static const char *const names[] = { "on all CPUs", "on one CPU", "driven from CPU to CPU" };
	int nr_cpus = sysconf(_SC_NPROCESSORS_ONLN), i, turn;
	time_t end = time(NULL) + seconds;

	stop = false;
	for (i = 0; i < GUESTS; i++) {
		runners[i].passes = 0;
		if (pthread_create(&runners[i].thread, NULL, run, &runners[i]))
			tap_fail("pthread_create");
		pin(runners[i].thread, where == ONE_CPU ? 0 : -1, nr_cpus);
	}
	for (turn = 0; seconds ? time(NULL) < end : turn < TURNS || !enough(); turn++) {
		if (where == MOVING)
			/* Who comes first to a CPU runs first, and the other perhaps not until both move again: in turn. */
			for (i = turn; i < turn + GUESTS; i++)
				pin(runners[i % GUESTS].thread, (turn + i) % nr_cpus, nr_cpus);
		usleep(TURN_USEC);
	}
	stop = true;
	for (i = 0; i < GUESTS; i++) {
		struct runner *r = &runners[i];

		pthread_join(r->thread, NULL);
		tap_check(!r->bad_in_guest && !r->bad_in_host && r->passes,
			  "%s, guest %d of %s: %lu passes, first wrong word at %#x for it, %#x for the host", names[where],
			  i / 2 + 1, devices[i], (unsigned long)r->passes, r->bad_in_guest, r->bad_in_host);
	}
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 0, i;

	for (i = 0; i < GUESTS; i++)
		create(&runners[i], i);
	for (enum where where = ALL_CPUS; where <= MOVING; where++)
		run_all(where, seconds);
	for (i = 0; i < GUESTS; i++)
		guest_close(&runners[i].guest);
	return tap_done();
}
