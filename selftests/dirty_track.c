// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that dirty tracking loses nothing: four vCPUs write pseudo-random pages while the log is
 * collected every few milliseconds, and a copy of the memory that only ever takes the pages in the
 * log is equal to the memory in the end. With small and with huge pages, with bitmaps, with bitmaps
 * that user space clears, and with rings.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2 timeout=600
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=1800
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "flat.h"
#include "guest.h"
#include "tap.h"
#include "vm.h"

#define HUGE		(2u << 20)
#define SIZE		(8 * HUGE)
#define PAGES		(SIZE >> 12)
#define HERE		0x10000000u
#define SLOT		1
#define ROUND_US	4000
#define RING_ENTRIES	2048u

/* Count up this vCPU's (EBX) word in one page after the other, in an order that repeats after 2^32 steps. */
GUEST_TEXT(writing_guest,
	   "	mov %ebx, %eax\n"
	   "	imul $0x3c6ef35f, %eax\n"
	   "1:	imul $1664525, %eax\n"
	   "	add $1013904223, %eax\n"
	   "	mov %eax, %esi\n"
	   "	shr $8, %esi\n"
	   "	and $0xfff, %esi\n"
	   "	shl $12, %esi\n"
	   "	incl 0x10000000(%esi,%ebx,4)\n"
	   "	jmp 1b\n");
_Static_assert(PAGES == 0x1000, "the guest's mask");

enum mode { BITMAP, MANUAL, RING };
static const char *const mode_name[] = { "bitmap", "bitmap cleared by hand", "ring" };

static struct guest g;
static atomic_bool stop;
static uint32_t (*memory)[1024];
static uint32_t copy[PAGES][GUEST_CPUS];
static uint8_t taken[PAGES];
static struct kvm_dirty_gfn *ring[GUEST_CPUS];
static uint32_t next[GUEST_CPUS];
static long collected;

static void on_signal(int signal)
{
}

static void *run_cpu(void *arg)
{
	long cpu = (long)arg;

	while (!stop) {
		int r = guest_run(&g, cpu);

		if (r == KVM_EXIT_DIRTY_RING_FULL)
			usleep(ROUND_US / 4);
		else if (r != -EINTR)
			return (void *)(long)r;
	}
	return (void *)(long)KVM_EXIT_INTR;
}

static void copy_page(unsigned int page)
{
	for (int i = 0; i < GUEST_CPUS; i++)
		copy[page][i] = ((volatile uint32_t *)memory[page])[i];
	collected++;
}

static void take_bitmap(enum mode mode)
{
	static uint64_t bitmap[PAGES / 64];
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = { .slot = SLOT, .num_pages = PAGES / 4 };

	KVM(g.fd, KVM_GET_DIRTY_LOG, &log);
	/* A quarter at a time, and one of them is left for the next round. */
	for (unsigned int i = 0; mode == MANUAL && i < 3; i++) {
		clear.first_page = PAGES / 4 * ((collected + i) % 4);
		clear.dirty_bitmap = bitmap + clear.first_page / 64;
		KVM(g.fd, KVM_CLEAR_DIRTY_LOG, &clear);
	}
	for (unsigned int p = 0; p < PAGES; p++)
		if (bitmap[p / 64] >> p % 64 & 1)
			copy_page(p);
}

/* Pages are read when they were reset: what is written later is in the ring again. */
static void take_ring(void)
{
	int n = 0;

	memset(taken, 0, sizeof(taken));
	for (int i = 0; i < GUEST_CPUS; i++) {
		for (;;) {
			struct kvm_dirty_gfn *e = &ring[i][next[i] % RING_ENTRIES];

			if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
				break;
			if (e->slot != SLOT || e->offset >= PAGES)
				tap_fail("entry of slot %u, page %llu", e->slot, e->offset);
			taken[e->offset] = 1;
			__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
			next[i]++;
			n++;
		}
	}
	if (KVM(g.fd, KVM_RESET_DIRTY_RINGS, NULL) != n)
		tap_fail("not all entries were given back");
	for (unsigned int p = 0; p < PAGES; p++)
		if (taken[p])
			copy_page(p);
}

static void take(enum mode mode)
{
	if (mode == RING)
		take_ring();
	else
		take_bitmap(mode);
}

static unsigned int differences(void)
{
	unsigned int n = 0;

	for (unsigned int p = 0; p < PAGES; p++)
		n += !!memcmp(copy[p], memory[p], sizeof(copy[p]));
	return n;
}

static uint64_t writes(void)
{
	uint64_t sum = 0;

	for (unsigned int p = 0; p < PAGES; p++)
		for (int i = 0; i < GUEST_CPUS; i++)
			sum += memory[p][i];
	return sum;
}

static void set_log(uint32_t flags)
{
	int r = guest_slot(&g, SLOT, HERE, SIZE, memory, flags);

	if (r)
		tap_fail("KVM_SET_USER_MEMORY_REGION, flags %u: %d", flags, r);
}

static void open_vm(enum mode mode)
{
	struct kvm_enable_cap cap = {
		.cap = mode == RING ? KVM_CAP_DIRTY_LOG_RING : KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { mode == RING ? RING_ENTRIES * sizeof(struct kvm_dirty_gfn) :
			  KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET },
	};

	guest_open(&g, 1 << 20, false);
	guest_load(&g, writing_guest);
	if (mode != BITMAP)
		KVM(g.fd, KVM_ENABLE_CAP, &cap);
	for (int i = 0; i < GUEST_CPUS; i++) {
		guest_add_cpu(&g, i);
		next[i] = 0;
		if (mode != RING)
			continue;
		ring[i] = mmap(NULL, RING_ENTRIES * sizeof(struct kvm_dirty_gfn), PROT_READ | PROT_WRITE,
			       MAP_SHARED, g.cpu[i], KVM_DIRTY_LOG_PAGE_OFFSET * getpagesize());
		if (ring[i] == MAP_FAILED)
			tap_fail("mmap of the ring: %s", strerror(errno));
	}
}

static void close_vm(enum mode mode)
{
	for (int i = 0; i < GUEST_CPUS && mode == RING; i++)
		munmap(ring[i], RING_ENTRIES * sizeof(struct kvm_dirty_gfn));
	guest_close(&g);
}

static void open_memory(bool huge)
{
	char *p = mmap(NULL, SIZE + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		tap_fail("no memory");
	memory = (void *)(((uintptr_t)p + HUGE - 1) & ~((uintptr_t)HUGE - 1));
	madvise(memory, SIZE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(memory, 0, SIZE);
	set_log(0);
}

static void start(pthread_t *threads)
{
	stop = false;
	for (long i = 0; i < GUEST_CPUS; i++)
		pthread_create(&threads[i], NULL, run_cpu, (void *)i);
}

static int halt(const pthread_t *threads)
{
	int strange = 0;
	void *result;

	stop = true;
	for (int i = 0; i < GUEST_CPUS; i++) {
		do {
			pthread_kill(threads[i], SIGUSR1);
			usleep(1000);
		} while (pthread_tryjoin_np(threads[i], &result));
		strange += (long)result != KVM_EXIT_INTR;
	}
	return strange;
}

/* A round on Bochs takes as long as many on QEMU. */
static int rounds(void)
{
	return flat_is_amd() ? 60 : 12;
}

static void test_track(enum mode mode, bool huge)
{
	const char *name = mode_name[mode], *size = huge ? "huge pages" : "small pages";
	pthread_t threads[GUEST_CPUS];
	unsigned int lost;
	int64_t large;
	int strange;

	open_vm(mode);
	open_memory(huge);
	start(threads);
	usleep(20 * ROUND_US);
	large = guest_counter(&g, -1, "pages_2m");
	if (huge && !large)
		tap_skip("%s, %s: the host has none to give", name, size);

	/* As a migration does: switch logging on, take everything once, then what changes. */
	set_log(KVM_MEM_LOG_DIRTY_PAGES);
	for (unsigned int p = 0; p < PAGES; p++)
		copy_page(p);
	collected = 0;
	for (int i = 0; i < rounds(); i++) {
		usleep(ROUND_US);
		take(mode);
	}
	strange = halt(threads);
	/* Twice: one quarter was left out. */
	take(mode);
	take(mode);
	lost = differences();
	tap_note("%s, %s: %llu writes, %ld pages collected, %lld huge pages before", name, size,
		 (unsigned long long)writes(), collected, (long long)large);
	tap_check(!lost && !strange, "%s, %s: %u pages differ", name, size, lost);
	tap_check(collected > 0, "%s, %s: pages were found", name, size);
	set_log(0);
	close_vm(mode);
	munmap(memory, SIZE);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	for (enum mode mode = BITMAP; mode <= RING; mode++) {
		test_track(mode, false);
		test_track(mode, true);
	}
	return tap_done();
}
