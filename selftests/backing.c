// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that any memory that a process can have can be guest memory, is mapped by leaves as large as
 * its pages, and may be taken back, shared, swapped or replaced by the host at any time.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2 memory=4096
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

#define PAGE		0x1000u
#define MIB		(1ul << 20)
#define GIB		(1ul << 30)
#define SLOT		1
#define AT		0x40000000u		/* where the guest sees it: aligned to every page size */
#define HUGE_2M		(MAP_HUGETLB | 21 << 26)
#define HUGE_1G		(MAP_HUGETLB | 30 << 26)

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

/* What the guest is to do; in its memory at 0x8000. */
struct task {
	uint32_t base, step, count, seed, check, add;
};
#define TASK		0x8000

/* Write (or check) COUNT words, STEP apart: the first is SEED, each of the others ADD more. Then the
 * number of wrong ones.
 */
GUEST_TEXT(worker,
	   "1:	mov 0x8000, %ebx\n"
	   "	mov 0x8008, %ecx\n"
	   "	mov 0x800c, %edx\n"
	   "	xor %esi, %esi\n"
	   "2:	cmpl $0, 0x8010\n"
	   "	jne 3f\n"
	   "	mov %edx, (%ebx)\n"
	   "	jmp 4f\n"
	   "3:	cmp %edx, (%ebx)\n"
	   "	je 4f\n"
	   "	inc %esi\n"
	   "4:	add 0x8004, %ebx\n"
	   "	add 0x8014, %edx\n"
	   "	dec %ecx\n"
	   "	jnz 2b\n"
	   "	mov %esi, %eax\n"
	   "	out %eax, $0x80\n"
	   "	jmp 1b\n");

static struct guest g;

static void set_task(size_t size, uint32_t step, uint32_t seed, uint32_t add, bool check)
{
	struct task task = { AT, step, size / step, seed, check, add };

	memcpy(g.memory + TASK, &task, sizeof(task));
}

static void guest_write(size_t size, uint32_t step, uint32_t seed)
{
	set_task(size, step, seed, 1, false);
	guest_say(&g, 0);
}

/* How many words are not what they should be. */
static uint32_t guest_check(size_t size, uint32_t step, uint32_t seed, uint32_t add)
{
	set_task(size, step, seed, add, true);
	return guest_say(&g, 0);
}

static void host_write(uint8_t *p, size_t size, uint32_t step, uint32_t seed)
{
	for (size_t at = 0; at < size; at += step, seed++)
		*(volatile uint32_t *)(p + at) = seed;
}

static uint32_t host_check(const uint8_t *p, size_t size, uint32_t step, uint32_t seed)
{
	uint32_t bad = 0;

	for (size_t at = 0; at < size; at += step, seed++)
		bad += *(volatile const uint32_t *)(p + at) != seed;
	return bad;
}

static void attach(void *p, size_t size, uint32_t flags)
{
	int r = guest_slot(&g, SLOT, AT, size, p, flags);

	if (r)
		tap_fail("KVM_SET_USER_MEMORY_REGION: %s", strerror(-r));
}

static void detach(void)
{
	guest_slot(&g, SLOT, 0, 0, NULL, 0);
}

/* Anonymous, aligned to 2 MiB. */
static uint8_t *map_anonymous(size_t size)
{
	uint8_t *p = mmap(NULL, size + 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (p == MAP_FAILED)
		tap_fail("no memory");
	return (uint8_t *)(((uintptr_t)p + 2 * MIB - 1) & -(2 * MIB));
}

static uint8_t *map_small(size_t size)
{
	uint8_t *p = map_anonymous(size);

	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

static uint8_t *map_transparent(size_t size)
{
	uint8_t *p = map_anonymous(size);

	return madvise(p, size, MADV_HUGEPAGE) ? NULL : p;
}

static bool write_number(const char *path, long value)
{
	FILE *f = fopen(path, "w");
	bool ok = f && fprintf(f, "%ld\n", value) > 0;

	if (f)
		ok &= !fclose(f);
	return ok;
}

static uint8_t *map_huge(size_t size, int flags, int pool_kib)
{
	char path[128];
	uint8_t *p;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%dkB/nr_hugepages", pool_kib);
	write_number(path, size / 1024 / pool_kib);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static uint8_t *map_2m(size_t size)
{
	return map_huge(size, HUGE_2M, 2048);
}

static uint8_t *map_1g(size_t size)
{
	return map_huge(size, HUGE_1G, 1048576);
}

static uint8_t *map_file(int fd, size_t size, int flags)
{
	uint8_t *p;

	if (fd < 0 || ftruncate(fd, size))
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static uint8_t *map_memfd(size_t size)
{
	return map_file(memfd_create("guest", MFD_CLOEXEC), size, MAP_SHARED);
}

static uint8_t *map_huge_memfd(size_t size)
{
	write_number("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", size / (2 * MIB));
	return map_file(memfd_create("guest", MFD_CLOEXEC | MFD_HUGETLB | 21u << 26), size, MAP_SHARED);
}

static int new_file(void)
{
	char path[] = "/var/tmp/guest-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd >= 0)
		unlink(path);
	return fd;
}

static uint8_t *map_shared_file(size_t size)
{
	return map_file(new_file(), size, MAP_SHARED);
}

static uint8_t *map_private_file(size_t size)
{
	return map_file(new_file(), size, MAP_PRIVATE);
}

static const struct backing {
	const char *name;
	uint8_t *(*map)(size_t size);
	size_t size;
	uint32_t step;		/* from one word to the next that is touched */
	const char *counter;	/* of these leaves ... */
	long leaves;		/* ... this many at least */
} backings[] = {
	{ "4 KiB pages", map_small, 4 * MIB, PAGE, "pages_4k", 1024 },
	{ "transparent huge pages", map_transparent, 8 * MIB, PAGE, "pages_2m", 1 },
	{ "2 MiB hugetlbfs", map_2m, 8 * MIB, PAGE, "pages_2m", 4 },
	{ "1 GiB hugetlbfs", map_1g, GIB, 2 * MIB, "pages_1g", 1 },
	{ "memfd", map_memfd, 4 * MIB, PAGE, "pages_4k", 1024 },
	{ "2 MiB hugetlbfs memfd", map_huge_memfd, 8 * MIB, PAGE, "pages_2m", 4 },
	{ "a shared file", map_shared_file, 4 * MIB, PAGE, "pages_4k", 1024 },
	{ "a private file", map_private_file, 4 * MIB, PAGE, "pages_4k", 1024 },
};

static void test_backing(const struct backing *b)
{
	uint8_t *p = b->map(b->size);
	int64_t before, leaves;

	if (!p) {
		tap_skip("%s: the host has none", b->name);
		return;
	}
	attach(p, b->size, 0);
	before = guest_counter(&g, -1, b->counter);
	guest_write(b->size, b->step, 1000);
	leaves = guest_counter(&g, -1, b->counter) - before;
	if (before >= 0)
		tap_check(leaves >= b->leaves, "%s: %ld leaves in %s", b->name, (long)leaves, b->counter);
	tap_check(!host_check(p, b->size, b->step, 1000), "%s: the host sees what the guest wrote", b->name);
	host_write(p, b->size, b->step, 5000);
	tap_check(!guest_check(b->size, b->step, 5000, 1), "%s: and the other way round", b->name);
	/* The slot stays: what it shows goes under it. */
	munmap(p, b->size);
	tap_check(guest_run(&g, 0) == -EFAULT, "%s: nothing after munmap()", b->name);
	detach();
	guest_restart(&g, 0, 0);
}

#define SIZE	(4 * MIB)

static void test_discarded(void)
{
	uint8_t *p = map_transparent(SIZE);

	attach(p, SIZE, 0);
	guest_write(SIZE, PAGE, 7);
	madvise(p, SIZE, MADV_DONTNEED);
	tap_check(!guest_check(SIZE, PAGE, 0, 0), "discarded memory reads as zeros");
	guest_write(SIZE, PAGE, 7);
	tap_check(!host_check(p, SIZE, PAGE, 7), "and is written to again");
	if (mmap(p, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p)
		tap_fail("mmap");
	host_write(p, SIZE, PAGE, 70);
	tap_check(!guest_check(SIZE, PAGE, 70, 1), "other memory at the same address is seen");
	detach();
	munmap(p, SIZE);
}

static void test_protected(void)
{
	uint8_t *p = map_small(SIZE);

	attach(p, SIZE, 0);
	guest_write(SIZE, PAGE, 7);
	mprotect(p, SIZE, PROT_READ);
	tap_check(!guest_check(SIZE, PAGE, 7, 1), "read-only memory can be read");
	set_task(SIZE, PAGE, 8, 1, false);
	tap_check(guest_run(&g, 0) == -EFAULT, "but not written to");
	tap_check(!host_check(p, SIZE, PAGE, 7), "and is as it was");
	mprotect(p, SIZE, PROT_READ | PROT_WRITE);
	tap_check(guest_say(&g, 0) == 0 && !host_check(p, SIZE, PAGE, 8), "until it is writable again");
	detach();
	munmap(p, SIZE);
}

/* What a child process shares is copied when the guest writes to it. */
static void test_forked(void)
{
	uint8_t *p = map_transparent(SIZE);
	int go[2], status;
	pid_t child;
	char c;

	attach(p, SIZE, 0);
	guest_write(SIZE, PAGE, 7);
	if (pipe(go))
		tap_fail("pipe");
	fflush(stdout);
	child = fork();
	if (!child)
		_exit(read(go[0], &c, 1) != 1 || host_check(p, SIZE, PAGE, 7));
	guest_write(SIZE, PAGE, 8);
	tap_check(!host_check(p, SIZE, PAGE, 8), "the parent sees what the guest writes after fork()");
	if (write(go[1], "x", 1) != 1 || waitpid(child, &status, 0) != child)
		tap_fail("the child is lost");
	tap_check(status == 0, "the child does not");
	close(go[0]);
	close(go[1]);
	detach();
	munmap(p, SIZE);
}

static void test_truncated(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint8_t *p = map_file(dup(fd), SIZE, MAP_SHARED);

	attach(p, SIZE, 0);
	guest_write(SIZE, PAGE, 7);
	if (ftruncate(fd, SIZE / 2))
		tap_fail("ftruncate");
	set_task(SIZE, PAGE, 7, 1, true);
	tap_check(guest_run(&g, 0) == -EFAULT, "nothing behind the end of a file");
	if (ftruncate(fd, SIZE))
		tap_fail("ftruncate");
	host_write(p + SIZE / 2, SIZE / 2, PAGE, 7 + SIZE / 2 / PAGE);
	tap_check(guest_say(&g, 0) == 0, "until it grows");
	detach();
	munmap(p, SIZE);
	close(fd);
}

static long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long value = -1;

	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

#define KSM "/sys/kernel/mm/ksm/"

static void test_merged(void)
{
	uint8_t *p = map_small(SIZE);
	long shared = 0;

	attach(p, SIZE, 0);
	set_task(SIZE, PAGE, 77, 0, false);
	guest_say(&g, 0);
	if (madvise(p, SIZE, MADV_MERGEABLE) || !write_number(KSM "run", 1)) {
		tap_skip("no KSM");
		goto out;
	}
	write_number(KSM "sleep_millisecs", 0);
	write_number(KSM "pages_to_scan", 5000);
	for (int i = 0; i < 300 && shared < 900; i++) {
		usleep(50000);
		shared = read_number(KSM "pages_sharing");
	}
	tap_check(shared >= 900, "%ld pages of the guest are merged", shared);
	tap_check(!guest_check(SIZE, PAGE, 77, 0), "and read as before");
	guest_write(SIZE, PAGE, 500);
	tap_check(!host_check(p, SIZE, PAGE, 500), "written to, each is one of its own again");
	write_number(KSM "run", 2);
out:
	detach();
	munmap(p, SIZE);
}

/* A swap device in memory: whether there is one now. */
static bool swap_on(void)
{
	if (read_number("/sys/block/zram0/initstate") != 1 &&
	    (system("modprobe zram 2>/dev/null") || !write_number("/sys/block/zram0/disksize", 256 * MIB) ||
	     system("mkswap /dev/zram0 >/dev/null")))
		return false;
	return !swapon("/dev/zram0", 0);
}

static long swapped_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmSwap: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static atomic_bool stop;

/* The host wants memory back all the time. */
static void *page_out(void *p)
{
	while (!stop) {
		madvise(p, SIZE, MADV_PAGEOUT);
		usleep(500);
	}
	return NULL;
}

static void test_swapped(void)
{
	uint8_t *p = map_small(SIZE);
	pthread_t thread;
	uint32_t bad = 0;

	attach(p, SIZE, 0);
	guest_write(SIZE, PAGE, 7);
	/* On some kernels the first time only finds that the guest has used them lately. */
	madvise(p, SIZE, MADV_PAGEOUT);
	madvise(p, SIZE, MADV_PAGEOUT);
	tap_check(swapped_kib() > (long)(SIZE / 1024 / 2), "%ld KiB of the guest are swapped out",
		  swapped_kib());
	tap_check(!guest_check(SIZE, PAGE, 7, 1), "and come back");
	pthread_create(&thread, NULL, page_out, p);
	for (uint32_t i = 0; i < 10; i++) {
		guest_write(SIZE, PAGE, i);
		bad += guest_check(SIZE, PAGE, i, 1);
	}
	stop = true;
	pthread_join(thread, NULL);
	tap_check(!bad, "also while the guest uses them");
	detach();
	munmap(p, SIZE);
}

#define GROUP	"/sys/fs/cgroup/guest"
#define LIMIT	(24 * MIB)

static bool enter_group(void)
{
	return !system("echo +memory >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null") &&
	       !system("mkdir -p " GROUP) && write_number(GROUP "/memory.max", LIMIT) &&
	       write_number(GROUP "/cgroup.procs", getpid());
}

static void leave_group(void)
{
	write_number("/sys/fs/cgroup/cgroup.procs", getpid());
	rmdir(GROUP);
}

/* The guest has three times the memory that its process may have. */
static void test_pressed(void)
{
	const size_t size = 3 * LIMIT;
	uint8_t *p = map_transparent(size);

	if (!enter_group()) {
		tap_skip("no control group for memory");
		return;
	}
	attach(p, size, 0);
	guest_write(size, PAGE, 7);
	tap_check(!guest_check(size, PAGE, 7, 1), "a guest three times as large as its memory works");
	tap_check(!host_check(p, size, PAGE, 7), "and its memory is right");
	detach();
	munmap(p, size);
	leave_group();
}

/* The BIOS at its old place: device memory without struct pages, in the eyes of the host. */
#define BIOS		0xf0000
#define BIOS_SIZE	0x10000

static void test_device_memory(void)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC), bad = 0;
	uint8_t *p = MAP_FAILED;

	if (fd >= 0)
		p = mmap(NULL, BIOS_SIZE, PROT_READ, MAP_SHARED, fd, BIOS);
	if (p == MAP_FAILED) {
		tap_skip("/dev/mem cannot be mapped");
		return;
	}
	close(fd);
	attach(p, BIOS_SIZE, KVM_MEM_READONLY);
	for (unsigned int at = 0; at < BIOS_SIZE; at += PAGE) {
		struct task task = { AT + at, PAGE, 1, *(volatile uint32_t *)(p + at), 1, 0 };

		memcpy(g.memory + TASK, &task, sizeof(task));
		bad += guest_say(&g, 0);
	}
	tap_check(!bad, "device memory reads as the host reads it");
	munmap(p, BIOS_SIZE);
	tap_check(guest_run(&g, 0) == -EFAULT, "until it is unmapped");
	detach();
	guest_restart(&g, 0, 0);
}

int main(void)
{
	guest_open(&g, MIB, false);
	guest_load(&g, worker);
	guest_add_cpu(&g, 0);
	for (unsigned int i = 0; i < sizeof(backings) / sizeof(*backings); i++)
		test_backing(&backings[i]);
	test_discarded();
	test_protected();
	test_forked();
	test_truncated();
	test_merged();
	if (swap_on()) {
		test_swapped();
		test_pressed();
		swapoff("/dev/zram0");
	} else {
		tap_skip("nothing to swap to");
	}
	test_device_memory();
	guest_close(&g);
	return tap_done();
}
