// SPDX-License-Identifier: GPL-2.0
/*
 * Verify the dirty ring's interface: sizes and order of calls that are refused, the exit at the soft limit,
 * what user space scribbles into entries, and that what the kernel writes for the guest is in the ring
 * of the vCPU that it was for.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

#define ENTRIES		2048u
#define BYTES		(ENTRIES * sizeof(struct kvm_dirty_gfn))
#define PAGES		4096u
#define HERE		0x10000000u
#define SLOT		1
#define MAX_BYTES	(65536 * sizeof(struct kvm_dirty_gfn))
#define PORT_IN		0x81
#define MSR_SYSTEM_TIME	0x4b564d01

#ifndef KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225
#endif

/* Write one page after the other (EBX: how many), then read a string of 16 bytes into page EBX, for ever. */
GUEST_TEXT(ring_guest,
	   "	mov %ebx, %ecx\n"
	   "	xor %esi, %esi\n"
	   "1:	incl 0x10000000(%esi)\n"
	   "	add $0x1000, %esi\n"
	   "	loop 1b\n"
	   "2:	out %eax, $0x80\n"
	   "	mov %ebx, %edi\n"
	   "	shl $12, %edi\n"
	   "	add $0x10000000, %edi\n"
	   "	mov $16, %ecx\n"
	   "	mov $0x81, %dx\n"
	   "	cld\n"
	   "	rep insb\n"
	   "	jmp 2b\n");

static struct guest g;
static struct kvm_dirty_gfn *ring[GUEST_CPUS];
static uint32_t next[GUEST_CPUS];

static int enable(int fd, uint64_t bytes, uint32_t flags)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DIRTY_LOG_RING, .flags = flags, .args = { bytes },
	};

	return kvm_raw(fd, KVM_ENABLE_CAP, &cap);
}

static void test_enable(void)
{
	struct kvm_enable_cap both = { .cap = KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP };
	int sys = device_open(), vm = KVM_VALUE(sys, KVM_CREATE_VM, 0);

	tap_check(kvm_cap(sys, KVM_CAP_DIRTY_LOG_RING) == MAX_BYTES &&
		  kvm_cap(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL) == MAX_BYTES, "the capability is the largest size");
	tap_check(!kvm_cap(vm, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP) &&
		  kvm_raw(vm, KVM_ENABLE_CAP, &both) == -EINVAL, "a bitmap beside it is not offered");
	tap_check(kvm_raw(vm, KVM_RESET_DIRTY_RINGS, NULL) == -EINVAL, "nothing to reset");
	tap_check(enable(vm, 0, 0) == -EINVAL && enable(vm, 3 * 4096, 0) == -EINVAL &&
		  enable(vm, 2048, 0) == -EINVAL, "sizes: none, no power of two, less than a page");
	tap_check(enable(vm, 2 * MAX_BYTES, 0) == -E2BIG, "size: too large");
	tap_check(enable(vm, BYTES, 1) == -EINVAL, "flags");
	KVM_VALUE(vm, KVM_CREATE_VCPU, 0);
	tap_check(enable(vm, BYTES, 0) == -EINVAL, "after the first vCPU");
	close(vm);
	vm = KVM_VALUE(sys, KVM_CREATE_VM, 0);
	tap_check(enable(vm, MAX_BYTES, 0) == 0 && enable(vm, BYTES, 0) == -EINVAL, "once");
	close(vm);
	close(sys);
}

static void open_guest(int cpus, uint32_t pages)
{
	char *memory = mmap(NULL, PAGES << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	guest_open(&g, 1 << 20, false);
	guest_load(&g, ring_guest);
	if (enable(g.fd, BYTES, 0))
		tap_fail("the ring cannot be enabled");
	for (int i = 0; i < cpus; i++) {
		guest_add_cpu(&g, pages);
		next[i] = 0;
		ring[i] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, g.cpu[i],
			       KVM_DIRTY_LOG_PAGE_OFFSET * getpagesize());
		if (ring[i] == MAP_FAILED)
			tap_fail("mmap of the ring: %s", strerror(errno));
	}
	if (guest_slot(&g, SLOT, HERE, PAGES << 12, memory, KVM_MEM_LOG_DIRTY_PAGES))
		tap_fail("slot");
}

static void close_guest(void)
{
	for (int i = 0; i < g.nr_cpus; i++)
		munmap(ring[i], BYTES);
	guest_close(&g);
}

/* The next entry of a vCPU's ring; page, or -1. */
static long harvest(int cpu)
{
	struct kvm_dirty_gfn *e = &ring[cpu][next[cpu] % ENTRIES];

	if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
		return -1;
	next[cpu]++;
	__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	return e->slot == SLOT ? (long)e->offset : -2;
}

static void test_refused(void)
{
	uint64_t bitmap[PAGES / 64];
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = { .slot = SLOT, .num_pages = 64, .dirty_bitmap = bitmap };
	off_t at = KVM_DIRTY_LOG_PAGE_OFFSET * getpagesize();

	open_guest(1, 1);
	tap_check(kvm_raw(g.fd, KVM_GET_DIRTY_LOG, &log) == -ENXIO &&
		  kvm_raw(g.fd, KVM_CLEAR_DIRTY_LOG, &clear) == -ENXIO, "there are no bitmaps");
	tap_check(mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, g.cpu[0], at) == MAP_FAILED && errno == EINVAL,
		  "a private mapping");
	/* Since Linux 6.17 the kernel itself refuses it, as anonymous inodes are noexec. */
	tap_check(mmap(NULL, BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, g.cpu[0], at) == MAP_FAILED &&
		  (errno == EINVAL || errno == EPERM), "an executable mapping");
	tap_check(KVM(g.fd, KVM_RESET_DIRTY_RINGS, NULL) == 0, "an empty ring");
	close_guest();
}

static void test_full(void)
{
	static uint8_t seen[PAGES];
	unsigned int exits = 0, found = 0, missing = 0;
	bool again = true;
	int r, n;

	open_guest(1, PAGES);
	while ((r = guest_run(&g, 0)) == KVM_EXIT_DIRTY_RING_FULL) {
		long page;

		if (!exits++)
			again = guest_run(&g, 0) == KVM_EXIT_DIRTY_RING_FULL;
		for (n = 0; (page = harvest(0)) >= 0 && page < PAGES; n++)
			seen[page] = 1;
		if (page != -1 || KVM(g.fd, KVM_RESET_DIRTY_RINGS, NULL) != n || exits > PAGES)
			tap_fail("page %ld, %d entries", page, n);
		found += n;
	}
	tap_check(r == KVM_EXIT_IO && exits, "the soft limit ends KVM_RUN: %u times", exits);
	tap_check(again, "and again, until there is room");
	while ((r = harvest(0)) >= 0)
		seen[r] = 1;
	for (unsigned int i = 0; i < PAGES; i++)
		missing += !seen[i];
	tap_check(!missing, "%u entries, no page of %u is missing", found, PAGES);
	close_guest();
}

/* Entries belong to user space: the kernel believes none of it. */
static void test_hostile(void)
{
	int total;

	open_guest(1, 100);
	guest_run(&g, 0);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		ring[0][i].slot = i % 3 ? random() : (uint32_t)random() << 16 | SLOT;
		ring[0][i].offset = i % 2 ? ~0ull - random() % 128 : (uint64_t)random() << 20;
		ring[0][i].flags = ~0u;
	}
	total = KVM(g.fd, KVM_RESET_DIRTY_RINGS, NULL);
	tap_check(total >= 100 && total < 200, "no more is reset than was written: %d", total);
	tap_check(KVM(g.fd, KVM_RESET_DIRTY_RINGS, NULL) == 0, "and that once");
	for (unsigned int i = 0; i < ENTRIES; i++)
		ring[0][i].flags = 0;
	next[0] = total;
	guest_restart(&g, 0, 100);
	tap_check(guest_run(&g, 0) == KVM_EXIT_IO, "the guest goes on");
	/* Slots that have gone. */
	while (harvest(0) >= 0)
		;
	tap_check(!guest_slot(&g, SLOT, 0, 0, NULL, 0) && kvm_raw(g.fd, KVM_RESET_DIRTY_RINGS, NULL) >= 0,
		  "entries of a slot that has gone");
	close_guest();
}

static bool in_ring(int cpu, long page)
{
	bool found = false;
	long p;

	while ((p = harvest(cpu)) >= 0)
		found |= p == page;
	KVM(g.fd, KVM_RESET_DIRTY_RINGS, NULL);
	return found;
}

static void test_kernel_writes(void)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} clock = {
		.head.nmsrs = 1,
		.entry = { .index = MSR_SYSTEM_TIME, .data = (HERE + 200 * 4096) | 1 },
	};
	bool other;
	int r;

	open_guest(2, 100);
	for (int cpu = 0; cpu < 2; cpu++) {
		guest_say(&g, cpu);
		in_ring(cpu, 0);
	}
	/* String input: user space has the bytes, the kernel writes them. */
	r = guest_run(&g, 1);
	if (r != KVM_EXIT_IO || g.run[1]->io.direction != KVM_EXIT_IO_IN || g.run[1]->io.port != PORT_IN)
		tap_fail("no string input: %d", r);
	while (g.run[1]->io.direction == KVM_EXIT_IO_IN)
		guest_run(&g, 1);
	other = in_ring(0, 100);
	tap_check(in_ring(1, 100) && !other, "string input is in its vCPU's ring");

	KVM(g.cpu[1], KVM_SET_MSRS, &clock);
	guest_run(&g, 1);
	other = in_ring(0, 200);
	tap_check(in_ring(1, 200) && !other, "kvmclock is in its vCPU's ring");
	close_guest();
}

int main(void)
{
	test_enable();
	test_refused();
	test_full();
	test_hostile();
	test_kernel_writes();
	return tap_done();
}
