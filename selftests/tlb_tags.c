// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that no guest uses a translation that it should not have: not another vCPU's or VM's, not one that a finished
 * ioctl or the host's memory management took away, none that was left on a CPU that the vCPU comes back to.
 *
 * On emulators that flush at every VM entry and exit these pass whatever the module forgets.
 *
 * nestor-test: cpu=intel kernel=6.1 tlb=tagged cpus=2 timeout=600
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

#define SIZE		0x100000u
#define VCPU(n)		(0x10000u + (n) * 0x4000u)	/* page directory, tables of 0 and of WINDOW, mailbox */
#define PAGE(n)		(0x40000u + (n) * 0x1000u)	/* some memory, which has n + 1 in its first word */
#define NR_PAGES	2
#define WINDOW		0x400000u			/* linear */
#define NR_WINDOWS	4
#define SLOT		1
#define SLOT_GPA	0x800000u
#define SLOT_SIZE	0x1000u
#define NOTHING		0xffffffffu			/* what user space answers where no memory is */

/* Present, writable, accessed and dirty: a stale table is not written to by the CPU. */
#define PTE		0x63u

enum op { READ, WRITE, REMAP };

/* Paging on, with the tables at EBX; then what the mailbox says, and the word at the window. */
GUEST_TEXT(window_guest,
	   "	mov %ebx, %cr3\n"
	   "	mov %cr0, %eax\n"
	   "	or $0x80000000, %eax\n"
	   "	mov %eax, %cr0\n"
	   "	jmp 1f\n"
	   "1:	mov 0x3000(%ebx), %ecx\n"
	   "	mov 0x3004(%ebx), %eax\n"
	   "	mov 0x3008(%ebx), %edx\n"
	   "	cmp $1, %ecx\n"
	   "	jne 2f\n"
	   "	mov %eax, (%edx)\n"
	   "2:	cmp $2, %ecx\n"
	   "	jne 3f\n"
	   "	mov %eax, 0x2000(%ebx)\n"
	   "	invlpg (%edx)\n"
	   "3:	mov (%edx), %eax\n"
	   "	out %eax, $0x80\n"
	   "	jmp 1b\n");

static uint32_t *word(struct guest *g, uint32_t gpa)
{
	return (uint32_t *)(g->memory + gpa);
}

/* Its windows show the page of its number. */
static void add_cpu(struct guest *g)
{
	uint32_t base = VCPU(g->nr_cpus), i;

	word(g, base)[0] = (base + 0x1000) | PTE;
	word(g, base)[WINDOW >> 22] = (base + 0x2000) | PTE;
	for (i = 0; i < 1024; i++)
		word(g, base + 0x1000)[i] = i << 12 | PTE;
	for (i = 0; i < NR_WINDOWS; i++)
		word(g, base + 0x2000)[i] = PAGE(g->nr_cpus) | PTE;
	guest_add_cpu(g, base);
}

static void open_vm(struct guest *g, int nr_cpus, uint32_t first)
{
	uint32_t i;

	guest_open(g, SIZE, false);
	guest_load(g, window_guest);
	for (i = 0; i < NR_PAGES; i++)
		*word(g, PAGE(i)) = first + i;
	while (nr_cpus--)
		add_cpu(g);
}

/* The one that guests look through; only the first is for REMAP. */
static unsigned int window;

/* Do it, and tell the word at the window: NOTHING when there is no memory. */
static uint32_t ask(struct guest *g, int cpu, enum op op, uint32_t value)
{
	const uint32_t nothing = NOTHING;
	struct kvm_run *run = g->run[cpu];
	int r;

	word(g, VCPU(cpu) + 0x3000)[0] = op;
	word(g, VCPU(cpu) + 0x3000)[1] = value;
	word(g, VCPU(cpu) + 0x3000)[2] = WINDOW + window * 0x1000;
	while ((r = guest_run(g, cpu)) == KVM_EXIT_MMIO)
		memcpy(run->mmio.data, &nothing, sizeof(nothing));
	if (r != KVM_EXIT_IO)
		tap_fail("KVM_RUN gave %d", r);
	memcpy(&value, (uint8_t *)run + run->io.data_offset, sizeof(value));
	return value;
}

static uint32_t look(struct guest *g, int cpu)
{
	return ask(g, cpu, READ, 0);
}

static void *make_slot(struct guest *g, uint32_t first, uint32_t flags)
{
	uint32_t *memory = mmap(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		tap_fail("no memory");
	*memory = first;
	if (guest_slot(g, SLOT, SLOT_GPA, SLOT_SIZE, memory, flags))
		tap_fail("no slot");
	return memory;
}

static void test_vms(void)
{
	struct guest a, b;
	int i;

	open_vm(&a, 1, 0xa0);
	open_vm(&b, 1, 0xb0);
	for (i = 0; i < 3; i++) {
		tap_check(look(&a, 0) == 0xa0, "the first VM sees its memory, %d", i);
		tap_check(look(&b, 0) == 0xb0, "the second VM sees its memory, %d", i);
	}
	guest_close(&a);
	guest_close(&b);
}

static void test_vcpus(void)
{
	struct guest g;
	int i;

	open_vm(&g, 2, 1);
	for (i = 0; i < 3; i++) {
		tap_check(look(&g, 0) == 1, "the first vCPU sees what its tables map, %d", i);
		tap_check(look(&g, 1) == 2, "the second vCPU sees what its tables map, %d", i);
	}
	guest_close(&g);
}

static void test_migration(void)
{
	struct guest g;

	open_vm(&g, 2, 1);
	tap_check(look(&g, 0) == 1, "a vCPU on the first CPU");
	on_cpu(1);
	tap_check(ask(&g, 0, REMAP, PAGE(1) | PTE) == 2, "changes a translation on the second");
	on_cpu(0);
	tap_check(look(&g, 0) == 2, "and finds it changed on the first");
	on_cpu(1);
	tap_check(look(&g, 1) == 2, "another vCPU on the second CPU");
	tap_check(ask(&g, 1, REMAP, PAGE(0) | PTE) == 1, "changes it there");
	on_cpu(0);
	tap_check(look(&g, 1) == 1, "and finds it changed on the first, where the other vCPU was");
	tap_check(look(&g, 0) == 2, "which keeps its own");
	guest_close(&g);
}

static void test_slots(void)
{
	uint32_t *first, *second;
	struct guest g;

	open_vm(&g, 1, 1);
	first = make_slot(&g, 11, 0);
	tap_check(ask(&g, 0, REMAP, SLOT_GPA | PTE) == 11, "a slot's memory");
	guest_slot(&g, SLOT, SLOT_GPA, 0, NULL, 0);
	tap_check(look(&g, 0) == NOTHING, "is gone with the slot");
	second = make_slot(&g, 12, 0);
	tap_check(look(&g, 0) == 12, "another slot's memory in its place");
	guest_slot(&g, SLOT, SLOT_GPA + SLOT_SIZE, SLOT_SIZE, second, 0);
	tap_check(look(&g, 0) == NOTHING, "is gone when the slot moves");
	tap_check(ask(&g, 0, REMAP, (SLOT_GPA + SLOT_SIZE) | PTE) == 12, "and is where it went");
	tap_check(ask(&g, 0, WRITE, 13) == 13 && *second == 13, "can be written");
	guest_slot(&g, SLOT, SLOT_GPA + SLOT_SIZE, 0, NULL, 0);
	guest_slot(&g, SLOT, SLOT_GPA + SLOT_SIZE, SLOT_SIZE, second, KVM_MEM_READONLY);
	tap_check(ask(&g, 0, WRITE, 14) == 13 && *second == 13, "and no more in a read-only slot");
	guest_close(&g);
	munmap(first, SLOT_SIZE);
	munmap(second, SLOT_SIZE);
}

static bool logged(struct guest *g)
{
	uint64_t bitmap = 0;
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = &bitmap };

	KVM(g->fd, KVM_GET_DIRTY_LOG, &log);
	return bitmap & 1;
}

static void test_dirty_log(void)
{
	struct guest g;
	void *memory;
	int i;

	open_vm(&g, 1, 1);
	memory = make_slot(&g, 11, 0);
	ask(&g, 0, REMAP, SLOT_GPA | PTE);
	ask(&g, 0, WRITE, 12);
	guest_slot(&g, SLOT, SLOT_GPA, SLOT_SIZE, memory, KVM_MEM_LOG_DIRTY_PAGES);
	for (i = 0; i < 3; i++) {
		ask(&g, 0, WRITE, 13);
		tap_check(logged(&g), "a write is logged, %d", i);
		look(&g, 0);
		tap_check(!logged(&g), "reads are not, %d", i);
	}
	guest_close(&g);
	munmap(memory, SLOT_SIZE);
}

/* The guest writes while a child of fork() has the same memory: does the child see it? */
static bool child_sees_write(struct guest *g, volatile uint32_t *memory)
{
	int to_child[2], status;
	uint32_t before = *memory;
	pid_t child;
	char c = 0;

	if (pipe(to_child))
		tap_fail("pipe");
	child = fork();
	if (!child)
		_exit(read(to_child[0], &c, 1) != 1 || *memory != before);
	ask(g, 0, WRITE, before + 1);
	if (write(to_child[1], &c, 1) != 1 || waitpid(child, &status, 0) != child)
		tap_fail("the child");
	close(to_child[0]);
	close(to_child[1]);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static void test_notifier(void)
{
	volatile uint32_t *memory;
	struct guest g;

	open_vm(&g, 1, 1);
	memory = make_slot(&g, 11, 0);
	tap_check(ask(&g, 0, REMAP, SLOT_GPA | PTE) == 11, "memory");
	madvise((void *)memory, SLOT_SIZE, MADV_DONTNEED);
	tap_check(look(&g, 0) == 0, "is zero after MADV_DONTNEED");
	*memory = 12;
	tap_check(look(&g, 0) == 12, "is the process's again");
	mmap((void *)memory, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	*memory = 13;
	/* Or else a write would go to memory that is the host's again. */
	if (!tap_check(look(&g, 0) == 13, "is what is mapped in its place"))
		goto out;
	tap_check(ask(&g, 0, WRITE, 14) == 14 && *memory == 14, "is written by the guest");
	tap_check(!child_sees_write(&g, memory), "is copied before a write after fork()");
	tap_check(*memory == 15 && look(&g, 0) == 15, "and the guest has the copy");
out:
	guest_close(&g);
	munmap((void *)memory, SLOT_SIZE);
}

#define NR_VMS	40	/* more than the emulator has tags */

static void test_many(void)
{
	static struct guest g[NR_VMS];
	int i, round, wrong = 0;

	for (i = 0; i < NR_VMS; i++)
		open_vm(&g[i], 1, 0x100 + i);
	for (round = 0; round < 3; round++)
		for (i = 0; i < NR_VMS; i++)
			wrong += look(&g[i], 0) != 0x100u + i;
	tap_check(!wrong, "%d VMs at a time see their memory", NR_VMS);
	for (i = 0; i < NR_VMS; i++)
		guest_close(&g[i]);
}

/* Both CPUs have translations by tables that are freed and become another VM's. */
/* Looks through the window of the @apart-th VM before, which nobody has looked through since. Return: whether it saw another's. */
static bool sees_another(int i, int apart)
{
	bool wrong = false;
	struct guest g;
	int cpu;

	open_vm(&g, 1, 0x100 + i);
	window = i % apart;
	for (cpu = 0; cpu < 2; cpu++) {
		on_cpu(cpu);
		wrong |= look(&g, 0) != 0x100u + i;
	}
	guest_close(&g);
	return wrong;
}

/* Whose memory for the root of its tables a VM gets is the kernel's business: that of one of the last, in most cases. */
static void test_successors(void)
{
	int i, apart, wrong = 0;

	for (apart = 1; apart <= NR_WINDOWS; apart++)
		for (i = 0; i < NR_VMS; i++)
			wrong += sees_another(i, apart);
	window = 0;
	on_cpu(0);
	tap_check(!wrong, "%d VMs, one after the other, see their memory", NR_WINDOWS * NR_VMS);
}

static const struct { const char *name; void (*run)(void); } tests[] = {
	{ "vms", test_vms },
	{ "vcpus", test_vcpus },
	{ "migration", test_migration },
	{ "slots", test_slots },
	{ "dirty_log", test_dirty_log },
	{ "notifier", test_notifier },
	{ "many", test_many },
	{ "successors", test_successors },
};

int main(int argc, char **argv)
{
	unsigned int i;

	on_cpu(0);
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			tests[i].run();
	return tap_done();
}
