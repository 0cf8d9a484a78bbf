// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that KVM_PRE_FAULT_MEMORY maps what a slot has, says how far it came, and refuses what is
 * wrong with upstream's errnos.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3
 * nestor-test: cpu=intel kernel=6.1
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

#define PAGE		0x1000u
#define PAGES		8u
#define AT		0x10000000u
#define SLOT		1

GUEST_TEXT(reader,
	   "	mov (%ebx), %eax\n"
	   "	out %eax, $0x80\n");

static struct guest g;

static int prefault(struct kvm_pre_fault_memory *range, uint64_t gpa, uint64_t size)
{
	*range = (struct kvm_pre_fault_memory){ .gpa = gpa, .size = size };
	return kvm_raw(g.cpu[0], KVM_PRE_FAULT_MEMORY, range);
}

static void test_refused(void)
{
	static const struct {
		const char *what;
		struct kvm_pre_fault_memory range;
		int error;
	} bad[] = {
		{ "a flag", { .gpa = AT, .size = PAGE, .flags = 1 }, EINVAL },
		{ "an address inside a page", { .gpa = AT + 1, .size = PAGE }, EINVAL },
		{ "half a page", { .gpa = AT, .size = PAGE / 2 }, EINVAL },
		{ "nothing", { .gpa = AT }, EINVAL },
		{ "a range that wraps", { .gpa = -(uint64_t)PAGE, .size = 2 * PAGE }, EINVAL },
		{ "a range that ends at 2^64", { .gpa = -(uint64_t)PAGE, .size = PAGE }, EINVAL },
		{ "no memory", { .gpa = AT - PAGE, .size = PAGE }, ENOENT },
		{ "an address that no CPU has", { .gpa = 1ull << 62, .size = PAGE }, ENOENT },
	};
	struct kvm_pre_fault_memory range;
	int r;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		range = bad[i].range;
		r = kvm_raw(g.cpu[0], KVM_PRE_FAULT_MEMORY, &range);
		tap_check(r == -bad[i].error, "%s: %d", bad[i].what, r);
		tap_check(!memcmp(&range, &bad[i].range, sizeof(range)), "... and the range stays");
	}
	r = kvm_raw(g.cpu[0], KVM_PRE_FAULT_MEMORY, NULL);
	tap_check(r == -EFAULT, "no range: %d", r);
}

static void test_mapped(void)
{
	struct kvm_pre_fault_memory range;
	int64_t leaves = guest_counter(&g, -1, "pages_4k"), faults;
	int r;

	r = prefault(&range, AT, PAGES * PAGE);
	tap_check(!r && !range.size && range.gpa == AT + PAGES * PAGE,
		  "a whole slot: %d, 0x%llx left at 0x%llx", r, range.size, range.gpa);
	leaves = guest_counter(&g, -1, "pages_4k") - leaves;
	tap_check(leaves == PAGES, "%ld pages are mapped", (long)leaves);
	r = prefault(&range, AT, PAGES * PAGE);
	tap_check(!r && !range.size, "once more: %d", r);

	/* The code itself faults, the data must not. */
	guest_restart(&g, 0, GUEST_CODE);
	guest_say(&g, 0);
	faults = guest_counter(&g, 0, "fault_fixed");
	for (unsigned int i = 0; i < PAGES; i++) {
		guest_restart(&g, 0, AT + i * PAGE);
		guest_say(&g, 0);
	}
	faults = guest_counter(&g, 0, "fault_fixed") - faults;
	tap_check(!faults, "the guest reads all of it: %ld faults", (long)faults);

	r = prefault(&range, AT + (PAGES - 1) * PAGE, 2 * PAGE);
	tap_check(!r && range.size == PAGE && range.gpa == AT + PAGES * PAGE,
		  "past the end of the slot: %d, 0x%llx left", r, range.size);
	r = kvm_raw(g.cpu[0], KVM_PRE_FAULT_MEMORY, &range);
	tap_check(r == -ENOENT && range.size == PAGE, "and the rest alone: %d", r);
}

static void test_nothing_behind(uint8_t *memory)
{
	struct kvm_pre_fault_memory range;
	int r;

	munmap(memory + PAGE, PAGE);
	r = prefault(&range, AT, 3 * PAGE);
	tap_check(!r && range.gpa == AT + PAGE, "up to a hole in the VMM's memory: %d", r);
	r = kvm_raw(g.cpu[0], KVM_PRE_FAULT_MEMORY, &range);
	tap_check(r == -EFAULT && range.size == 2 * PAGE, "in the hole: %d", r);
}

int main(void)
{
	uint8_t *memory;

	guest_open(&g, 1 << 20, false);
	REQUIRE_CAP(g.dev, KVM_CAP_PRE_FAULT_MEMORY);
	tap_check(kvm_cap(g.fd, KVM_CAP_PRE_FAULT_MEMORY) == 1, "the capability is 1");
	guest_load(&g, reader);
	guest_add_cpu(&g, AT);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || guest_slot(&g, SLOT, AT, PAGES * PAGE, memory, 0))
		tap_fail("no memory");
	test_refused();
	test_mapped();
	test_nothing_behind(memory);
	guest_close(&g);
	return tap_done();
}
