// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a KVM_RUN which fails with -EFAULT tells in kvm_run which guest memory could not be
 * had, and that the guest goes on where it was once the memory is there.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3
 * nestor-test: cpu=intel kernel=6.1
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

#define PAGE		0x1000u
#define PAGES		4u
#define AT		0x10000000u
#define SLOT		1

GUEST_TEXT(reader,
	   "	mov (%ebx), %eax\n"
	   "	out %eax, $0x80\n");

GUEST_TEXT(writer,
	   "	movl $0x1234, (%ebx)\n"
	   "	mov (%ebx), %eax\n"
	   "	out %eax, $0x80\n");

GUEST_TEXT(jumper,
	   "	jmp *%ebx\n");

GUEST_TEXT(speaker,
	   "	mov $0x5678, %eax\n"
	   "	out %eax, $0x80\n");

static struct guest g;
static uint8_t *memory;

static void map(uint32_t page, int prot)
{
	void *p = mmap(memory + page * PAGE, PAGE, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		tap_fail("no memory");
}

static void check_fault(const char *what, uint64_t gpa)
{
	const struct nestor_memory_fault *fault = nestor_run_memory_fault(g.run[0]);
	int r;

	for (int again = 0; again < 2; again++) {
		memset((void *)fault, 0xff, sizeof(*fault));
		g.run[0]->exit_reason = 0;
		r = guest_run(&g, 0);
		tap_check(r == -EFAULT && g.run[0]->exit_reason == KVM_EXIT_MEMORY_FAULT,
			  "%s%s: %d, exit reason %u", what, again ? ", again" : "", r,
			  g.run[0]->exit_reason);
		tap_check(fault->gpa == gpa && fault->size == PAGE && !fault->flags,
			  "... 0x%llx bytes at 0x%llx, flags 0x%llx", fault->size, fault->gpa, fault->flags);
	}
}

int main(void)
{
	uint32_t said;

	guest_open(&g, 1 << 20, false);
	REQUIRE_CAP(g.dev, KVM_CAP_MEMORY_FAULT_INFO);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || guest_slot(&g, SLOT, AT, PAGES * PAGE, memory, 0))
		tap_fail("no memory");
	guest_load(&g, reader);
	guest_add_cpu(&g, AT + PAGE + 8);
	munmap(memory + PAGE, PAGE);
	check_fault("a read of memory that is gone", AT + PAGE);
	map(1, PROT_READ | PROT_WRITE);
	memory[PAGE + 8] = 42;
	said = guest_say(&g, 0);
	tap_check(said == 42, "the read is done when the memory is back: %u", said);

	guest_load(&g, writer);
	guest_restart(&g, 0, AT + 2 * PAGE);
	map(2, PROT_READ);
	check_fault("a write to memory that may only be read", AT + 2 * PAGE);
	mprotect(memory + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	said = guest_say(&g, 0);
	tap_check(said == 0x1234, "the write is done when it may be: 0x%x", said);

	guest_load(&g, jumper);
	guest_restart(&g, 0, AT + 3 * PAGE);
	munmap(memory + 3 * PAGE, PAGE);
	check_fault("an instruction in memory that is gone", AT + 3 * PAGE);
	map(3, PROT_READ | PROT_WRITE);
	memcpy(memory + 3 * PAGE, speaker, speaker_end - speaker);
	said = guest_say(&g, 0);
	tap_check(said == 0x5678, "it is executed when it is there: 0x%x", said);
	guest_close(&g);
	return tap_done();
}
