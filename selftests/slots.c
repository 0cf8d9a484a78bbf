// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that memory slots can be added, moved, deleted, replaced by read-only ones and logged while
 * vCPUs read and write them: the guest sees the old memory, the new or none, never anything else, and
 * nothing is written to memory that a finished ioctl took away.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

#define PAGES		512u
#define SIZE		(PAGES << 12)
#define HERE		0x10000000u
#define THERE		0x20000000u
#define SLOT		1
#define NOTHING		0xffffffffu		/* what the test answers where there is no memory */
#define ROUNDS		40
#define ROUND_US	3000

/* Read the first and write the second word of every page from EBX on, for ever. EAX: what was read. */
GUEST_TEXT(touching_guest,
	   "1:	xor %esi, %esi\n"
	   "2:	mov (%ebx,%esi), %eax\n"
	   "	cmp $0xffffffff, %eax\n"
	   "	je 3f\n"
	   "	cmp $0xaaaaaaaa, %eax\n"
	   "	je 3f\n"
	   "	cmp $0xbbbbbbbb, %eax\n"
	   "	jne 4f\n"
	   "3:	incl 4(%ebx,%esi)\n"
	   "	add $0x1000, %esi\n"
	   "	and $0x1ff000, %esi\n"
	   "	jmp 2b\n"
	   "4:	out %eax, $0x80\n"
	   "	hlt\n");

static struct guest g;
static uint32_t *first, *second;	/* two memories, filled with these */
#define FIRST	0xaaaaaaaau
#define SECOND	0xbbbbbbbbu

static atomic_bool stop;
static atomic_long absent_reads, absent_writes;

static void on_signal(int signal)
{
}

/* What a VMM does that has no device there. */
static void answer_mmio(struct kvm_run *run)
{
	uint32_t nothing = NOTHING;

	if (run->mmio.is_write) {
		absent_writes++;
		return;
	}
	absent_reads++;
	memcpy(run->mmio.data, &nothing, sizeof(nothing));
}

static void *run_cpu(void *arg)
{
	long cpu = (long)arg;

	while (!stop) {
		int r = guest_run(&g, cpu);

		if (r == KVM_EXIT_MMIO)
			answer_mmio(g.run[cpu]);
		else if (r != -EINTR)
			return (void *)(long)r;
	}
	return (void *)(long)KVM_EXIT_INTR;
}

static uint32_t *fill(uint32_t value)
{
	uint32_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		tap_fail("no memory");
	for (unsigned int i = 0; i < PAGES; i++)
		p[i * 1024] = value;
	return p;
}

/* How often the guest wrote to a memory. */
static uint64_t writes(const uint32_t *memory)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		sum += ((volatile const uint32_t *)memory)[i * 1024 + 1];
	return sum;
}

static void place(uint32_t gpa, uint32_t *memory, uint32_t flags)
{
	int r = guest_slot(&g, SLOT, gpa, memory ? SIZE : 0, memory, flags);

	if (r)
		tap_fail("KVM_SET_USER_MEMORY_REGION at 0x%x, flags %u: %d", gpa, flags, r);
}

static bool silent(const uint32_t *memory)
{
	uint64_t before = writes(memory);

	usleep(ROUND_US);
	return writes(memory) == before;
}

/* The guest gets so far that it writes to @memory; the host gives up after some seconds. */
static bool written(const uint32_t *memory)
{
	uint64_t before = writes(memory);

	for (int i = 0; i < 1000; i++) {
		usleep(ROUND_US);
		if (writes(memory) != before)
			return true;
	}
	return false;
}

static bool counts(const atomic_long *counter)
{
	long before = *counter;

	for (int i = 0; i < 1000 && *counter == before; i++)
		usleep(ROUND_US);
	return *counter != before;
}

struct tally {
	int loud, unseen;
};

static void check_tally(const struct tally *t, const char *what)
{
	tap_check(!t->unseen, "%s: the guest sees every change", what);
	tap_check(!t->loud, "%s: memory that is taken away stays as it is", what);
}

static void test_delete_and_add(void)
{
	struct tally t = {};

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t *memory = i & 1 ? first : second;

		place(HERE, memory, 0);
		t.unseen += !written(memory);
		place(HERE, NULL, 0);
		t.loud += !silent(memory);
		t.unseen += !counts(&absent_reads);
	}
	check_tally(&t, "deleted and added");
}

static void test_move(void)
{
	struct tally t = {};

	place(THERE, first, 0);
	for (int i = 0; i < ROUNDS; i++) {
		t.loud += !silent(first);
		place(HERE, first, 0);
		t.unseen += !written(first);
		place(THERE, first, 0);
	}
	place(THERE, NULL, 0);
	check_tally(&t, "moved");
}

static void test_readonly(void)
{
	struct tally t = {};
	int r;

	for (int i = 0; i < ROUNDS; i++) {
		place(HERE, first, 0);
		t.unseen += !written(first);
		r = guest_slot(&g, SLOT, HERE, SIZE, first, KVM_MEM_READONLY);
		if (r != -EINVAL)
			tap_fail("a slot becomes read-only in place: %d", r);
		place(HERE, NULL, 0);
		place(HERE, first, KVM_MEM_READONLY);
		t.loud += !silent(first);
		t.unseen += !counts(&absent_writes);
		place(HERE, NULL, 0);
	}
	check_tally(&t, "made read-only");
}

/* Every page written between two looks at the log is in the second: compare the words themselves. */
static void test_dirty_log(void)
{
	static uint32_t seen[PAGES];
	uint64_t bitmap[PAGES / 64];
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };
	int missed = 0, found = 0;

	place(HERE, first, 0);
	written(first);
	for (int i = 0; i < ROUNDS; i++) {
		place(HERE, first, KVM_MEM_LOG_DIRTY_PAGES);
		/* The words are read after the log is taken: what changed since is not missed. */
		KVM(g.fd, KVM_GET_DIRTY_LOG, &log);
		for (unsigned int p = 0; p < PAGES; p++)
			seen[p] = first[p * 1024 + 1];
		written(first);
		place(THERE, first, KVM_MEM_LOG_DIRTY_PAGES);
		KVM(g.fd, KVM_GET_DIRTY_LOG, &log);
		for (unsigned int p = 0; p < PAGES; p++) {
			bool changed = first[p * 1024 + 1] != seen[p];
			bool logged = bitmap[p / 64] >> p % 64 & 1;

			missed += changed && !logged;
			found += logged;
		}
		place(HERE, first, 0);
	}
	place(HERE, NULL, 0);
	tap_check(!missed, "logged: no page that was written to is missing in the log");
	tap_check(found > 0, "logged: %d pages were found", found);
}

/* Slots around the one in use come and go, so that its place in the tables changes. */
static void test_neighbours(void)
{
	struct tally t = {};
	int r = 0;

	place(HERE, first, 0);
	for (int i = 0; i < ROUNDS && !r; i++) {
		for (unsigned int n = 1; n < 20 && !r; n++)
			r = guest_slot(&g, SLOT + n, HERE + (n & 1 ? -n : n) * SIZE, SIZE, second, 0);
		t.unseen += !written(first);
		for (unsigned int n = 1; n < 20 && !r; n++)
			r = guest_slot(&g, SLOT + n, 0, 0, NULL, 0);
	}
	place(HERE, NULL, 0);
	tap_check(!r, "neighbours come and go: %d", r);
	check_tally(&t, "neighbours");
}

/* Two slots show the same memory at two addresses. */
static void test_twice(void)
{
	place(HERE, first, 0);
	tap_check(!guest_slot(&g, SLOT + 1, THERE, SIZE, first, 0), "the same memory twice");
	tap_check(written(first), "both are written to");
	place(HERE, NULL, 0);
	tap_check(!guest_slot(&g, SLOT + 1, 0, 0, NULL, 0) && silent(first), "and none of them then");
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t thread[2];
	void *result;

	guest_open(&g, 1 << 20, false);
	guest_load(&g, touching_guest);
	first = fill(FIRST);
	second = fill(SECOND);
	sigaction(SIGUSR1, &action, NULL);
	for (long i = 0; i < 2; i++) {
		guest_add_cpu(&g, HERE);
		pthread_create(&thread[i], NULL, run_cpu, (void *)i);
	}
	test_delete_and_add();
	test_move();
	test_readonly();
	test_dirty_log();
	test_neighbours();
	test_twice();
	stop = true;
	for (int i = 0; i < 2; i++) {
		do {
			pthread_kill(thread[i], SIGUSR1);
			usleep(1000);
		} while (pthread_tryjoin_np(thread[i], &result));
		tap_check((long)result == KVM_EXIT_INTR, "vCPU %d saw nothing else: %ld", i, (long)result);
	}
	guest_close(&g);
	return tap_done();
}
