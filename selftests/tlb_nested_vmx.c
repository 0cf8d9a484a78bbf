// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that INVEPT and INVVPID by a guest hypervisor take effect, and that its guests share no translations that
 * differ in VPID or EPTP: an L2 sees what L1's tables map, also on another CPU and after the host took memory away.
 *
 * On emulators that flush at every VM entry and exit these pass whatever the module forgets.
 *
 * nestor-test: cpu=intel kernel=6.1 tlb=tagged cpus=2 timeout=600
 */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "self.h"
#include "tap.h"
#include "vm.h"
#include "vmx_guest.h"

#define TABLE		7ull
/* Accessed and dirty already: a stale table is not written to by the CPU. */
#define PAGE		0x67ull
#define EPT_TABLE	7ull
#define EPT_LEAF	0x37ull
#define EPT_GIB		0xb7ull

#define GVA		(5ull << 30)	/* nothing of L1's own */
#define GPA2		(6ull << 30)	/* mapped by EPT only */

/* Words of self_exit(), beside 0: the end. */
enum { DROP_MEMORY = 1, CPU_0, CPU_1 };

static struct self s;

static struct l1 {
	uint64_t *vmxon, *vmcs, *stack;
	uint64_t *a, *b;		/* memory, whose first word is its address */
} l1;

/* L2's page tables, or an EPT: L1's identity, and one more page. */
struct space {
	volatile uint64_t *root, *pte;
};

static struct space tables[2], epts[2];

static volatile uint64_t *lower_table(volatile uint64_t *entry, uint64_t flags)
{
	volatile uint64_t *table = self_page();

	*entry = (uint64_t)table | flags;
	return table;
}

/* A root whose first half GiB are those of L1, and @gva leads to @gpa. */
static void make_tables(struct space *space, uint64_t gva, uint64_t gpa)
{
	const uint64_t *pml4 = (uint64_t *)read_cr3(), *low = (uint64_t *)(pml4[0] & ~0xfffull);
	volatile uint64_t *pdpt, *pd;
	int i;

	space->root = self_page();
	for (i = 0; i < 512; i++)
		space->root[i] = pml4[i];
	pdpt = lower_table(&space->root[0], TABLE);
	for (i = 0; i < 4; i++)
		pdpt[i] = low[i];
	pd = lower_table(&pdpt[gva >> 30], TABLE);
	space->pte = lower_table(&pd[0], TABLE);
	space->pte[0] = gpa | PAGE;
}

static void make_ept(struct space *space, uint64_t gpa2, uint64_t gpa)
{
	volatile uint64_t *pdpt, *pd;
	uint64_t i;

	space->root = self_page();
	pdpt = lower_table(&space->root[0], EPT_TABLE);
	for (i = 0; i < 4; i++)
		pdpt[i] = i << 30 | EPT_GIB;
	pd = lower_table(&pdpt[gpa2 >> 30], EPT_TABLE);
	space->pte = lower_table(&pd[0], EPT_TABLE);
	space->pte[0] = gpa | EPT_LEAF;
}

static uint64_t eptp(const struct space *ept)
{
	return (uint64_t)ept->root | 0x1e;
}

L2(l2_read, "mov (%rdi), %rax");

/* L2's mode, with its tables, EPT unless NULL and VPID unless 0. */
static void start(const struct space *table, const struct space *ept, uint16_t vpid)
{
	vmclear((uint64_t)l1.vmcs);
	vmptrld((uint64_t)l1.vmcs);
	fill_vmcs(l2_read, 0, (ept ? CPU2_EPT : 0) | (vpid ? CPU2_VPID : 0));
	vmwrite(VPID, vpid);
	vmwrite(GUEST_CR3, (uint64_t)table->root);
	vmwrite(GUEST_RSP, (uint64_t)l1.stack + 4096 - 8);
	if (ept)
		vmwrite(EPT_POINTER, eptp(ept));
}

/* What L2 reads at GVA; the exit reason when it does not come to its VMCALL. */
static uint64_t look(bool launch)
{
	uint64_t reason;

	vmwrite(GUEST_RIP, (uint64_t)l2_read);
	l2_regs.rdi = GVA;
	l2_regs.rax = 0;
	reason = enter(launch);
	return reason == EXIT_VMCALL ? l2_regs.rax : reason;
}

static uint64_t look_as(const struct space *table, const struct space *ept, uint16_t vpid)
{
	start(table, ept, vpid);
	return look(true);
}

static void flush_ept(uint64_t type, const struct space *ept)
{
	uint64_t d[2] = { ept ? eptp(ept) : 0, 0 };

	invept(type, d);
}

static void flush_vpid(uint64_t type, uint16_t vpid, uint64_t address)
{
	uint64_t d[2] = { vpid, address };

	invvpid(type, d);
}

#define A	((uint64_t)l1.a)
#define B	((uint64_t)l1.b)

static void test_invept(void)
{
	make_tables(&tables[0], GVA, GPA2);
	make_ept(&epts[0], GPA2, A);
	make_ept(&epts[1], GPA2, B);

	CHECK_IS(look_as(&tables[0], &epts[0], 1), A, "invept: a page of EPT");
	epts[0].pte[0] = B | EPT_LEAF;
	flush_ept(1, &epts[0]);
	CHECK_IS(look(false), B, "invept: another after INVEPT of its EPTP");
	epts[0].pte[0] = A | EPT_LEAF;
	flush_ept(2, NULL);
	CHECK_IS(look(false), A, "invept: the first after INVEPT of all");
	CHECK_IS(look_as(&tables[0], &epts[1], 1), B, "invept: another EPTP with the same VPID");
	CHECK_IS(look_as(&tables[0], &epts[0], 1), A, "invept: the first EPTP");
	epts[1].pte[0] = A | EPT_LEAF;
	flush_ept(1, &epts[1]);
	CHECK_IS(look_as(&tables[0], &epts[1], 1), A, "invept: an EPTP that did not run last");
	epts[1].pte[0] = 0;
	flush_ept(1, &epts[1]);
	CHECK_IS(look(false), EXIT_EPT_VIOLATION, "invept: a page that is gone");
}

static void test_invvpid(void)
{
	make_tables(&tables[0], GVA, A);
	CHECK_IS(look_as(&tables[0], NULL, 1), A, "invvpid: a page of L2's tables");
	tables[0].pte[0] = B | PAGE;
	flush_vpid(0, 1, GVA);
	CHECK_IS(look(false), B, "invvpid: another after INVVPID of the address");
	tables[0].pte[0] = A | PAGE;
	flush_vpid(1, 1, 0);
	CHECK_IS(look(false), A, "invvpid: the first after INVVPID of the context");
	tables[0].pte[0] = B | PAGE;
	flush_vpid(2, 0, 0);
	CHECK_IS(look(false), B, "invvpid: another after INVVPID of all");
	tables[0].pte[0] = A | PAGE;
	flush_vpid(3, 1, 0);
	CHECK_IS(look(false), A, "invvpid: the first after INVVPID of all but global ones");
	tables[0].pte[0] = 0;
	flush_vpid(1, 1, 0);
	vmwrite(EXCEPTION_BITMAP, 1 << 14);
	CHECK_IS(look(false), EXIT_EXCEPTION, "invvpid: a page that is gone");
}

static void test_vpids(void)
{
	int i;

	make_tables(&tables[0], GVA, A);
	make_tables(&tables[1], GVA, B);
	for (i = 0; i < 3; i++) {
		CHECK_IS(look_as(&tables[0], NULL, 1), A, "vpids: the first VPID");
		CHECK_IS(look_as(&tables[1], NULL, 2), B, "vpids: the second VPID");
	}
	tables[0].pte[0] = B | PAGE;
	flush_vpid(1, 1, 0);
	CHECK_IS(look_as(&tables[0], NULL, 1), B, "vpids: INVVPID of one that did not run last");
}

/* VM entries and exits without VPID flush, L1's own translations as well. */
static void test_no_vpid(void)
{
	volatile uint64_t *word = (volatile uint64_t *)GVA;
	uint64_t cr3 = read_cr3();
	struct space own;

	make_tables(&own, GVA, A);
	write_cr3((uint64_t)own.root);
	make_tables(&tables[0], GVA, A);
	CHECK_IS(look_as(&tables[0], NULL, 0), A, "no_vpid: a page of L2's tables");
	tables[0].pte[0] = B | PAGE;
	CHECK_IS(look(false), B, "no_vpid: another at the next entry");
	CHECK_IS(*word, A, "no_vpid: a page of L1's");
	own.pte[0] = B | PAGE;
	look(false);
	CHECK_IS(*word, B, "no_vpid: another after a VM exit");
	write_cr3(cr3);
}

static void test_memory(void)
{
	make_tables(&tables[0], GVA, GPA2);
	make_tables(&tables[1], GVA, A);
	make_ept(&epts[0], GPA2, A);
	CHECK_IS(look_as(&tables[0], &epts[0], 1), A, "memory: a page by EPT");
	self_exit(DROP_MEMORY);
	CHECK_IS(look(false), 0, "memory: is zero when the host has dropped it");
	if (l2_regs.rax)
		return;		/* A write would go to memory that is the host's again. */
	l1.a[0] = A;
	CHECK_IS(look_as(&tables[1], NULL, 2), A, "memory: a page without EPT");
	self_exit(DROP_MEMORY);
	CHECK_IS(look(false), 0, "memory: is zero when the host has dropped it, without EPT");
}

static void test_migration(void)
{
	make_tables(&tables[0], GVA, GPA2);
	make_ept(&epts[0], GPA2, A);
	make_tables(&tables[1], GVA, A);
	CHECK_IS(look_as(&tables[0], &epts[0], 1), A, "migration: a page by EPT on the first CPU");
	self_exit(CPU_1);
	epts[0].pte[0] = B | EPT_LEAF;
	flush_ept(1, &epts[0]);
	CHECK_IS(look(false), B, "migration: another on the second");
	self_exit(CPU_0);
	CHECK_IS(look(false), B, "migration: the same on the first again");

	CHECK_IS(look_as(&tables[1], NULL, 1), A, "migration: a page without EPT on the first CPU");
	self_exit(CPU_1);
	tables[1].pte[0] = B | PAGE;
	flush_vpid(1, 1, 0);
	CHECK_IS(look(false), B, "migration: another on the second, without EPT");
	self_exit(CPU_0);
	CHECK_IS(look(false), B, "migration: the same on the first again, without EPT");
}

static const struct { const char *name; void (*run)(void); } tests[] = {
	{ "invept", test_invept },
	{ "invvpid", test_invvpid },
	{ "vpids", test_vpids },
	{ "no_vpid", test_no_vpid },
	{ "memory", test_memory },
	{ "migration", test_migration },
};
#define NR_TESTS	(sizeof(tests) / sizeof(tests[0]))

static bool chosen[NR_TESTS];

static void guest(void)
{
	unsigned int i;

	l1.vmxon = self_page();
	l1.vmcs = self_page();
	l1.stack = self_page();
	l1.a = self_page();
	l1.b = self_page();
	*(volatile uint32_t *)l1.vmxon = *(volatile uint32_t *)l1.vmcs = self_rdmsr(MSR_VMX_BASIC);
	write_cr4(read_cr4() | CR4_VMXE);
	self_wrmsr(MSR_FEATURE_CONTROL, 5);
	CHECK_IS(vmxon((uint64_t)l1.vmxon), VM_SUCCEED, "VMXON");
	for (i = 0; i < NR_TESTS; i++) {
		if (!chosen[i])
			continue;
		l1.a[0] = A;
		l1.b[0] = B;
		/* Every test has tables of its own, for the same VPIDs. */
		flush_vpid(2, 0, 0);
		flush_ept(2, NULL);
		tests[i].run();
	}
	self_exit(0);
}

static void handle(uint32_t word)
{
	if (word == DROP_MEMORY)
		madvise(s.memory + A, 4096, MADV_REMOVE);
	else
		on_cpu(word == CPU_1);
}

int main(int argc, char **argv)
{
	unsigned int i;

	for (i = 0; i < NR_TESTS; i++)
		chosen[i] = argc < 2 || !strcmp(argv[1], tests[i].name);
	on_cpu(0);
	self_create_vmx(&s);
	self_run_all(&s, guest, handle);
	return tap_done();
}
