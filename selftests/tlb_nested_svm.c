// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that TLB_CONTROL and INVLPGA of a guest hypervisor take effect, and that its guests share no translations that
 * differ in ASID: an L2 sees what L1's tables map, also on another CPU and after the host took memory away.
 *
 * On emulators that flush at every VM entry and exit these pass whatever the module forgets.
 *
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 */
#include <string.h>
#include <sys/mman.h>

#include "svm.h"
#include "tap.h"
#include "vm.h"

L2_CODE_BLOCK(
	"l2_look: mov 0x3a000, %eax\n vmmcall\n"
	/* L1's: INVLPGA of L2_DATA and ASID 1, then as always. */
	"l1_invlpga: mov $0x3a000, %eax\n mov $1, %ecx\n invlpga\n"
	" mov $0x20000, %eax\n 1: vmrun\n out %al, $0x70\n jmp 1b\n"
);
extern const char l2_look[], l1_invlpga[];

#define A		0x3b000ull	/* memory, whose first word is its address */
#define B		0x3c000ull
#define NPT_TABLE	(L1_NPT + 0x3000)
#define OTHER_NPT	0x60000ull	/* as L1_NPT */
#define L2_TABLES(n)	(0x70000ull + (n) * 0x4000)

/* Accessed and dirty already: a stale table is not written to by the CPU. */
#define PTE		0x67ull
#define LARGE		0xe7ull

enum { FLUSH_NOTHING, FLUSH_ALL, FLUSH_ASID = 3, FLUSH_ASID_LOCAL = 7 };

static struct svm_test t;

static uint64_t *at(uint64_t gpa)
{
	return (uint64_t *)(t.memory + gpa);
}

/* The entry of L2_DATA in a table of the first 2 MiB. */
static void map(uint64_t table, uint64_t gpa)
{
	at(table)[L2_DATA >> 12] = gpa | PTE;
}

/* Four pages: an identity but for L2_DATA, as tables of L2's own or as nested ones. */
static void make_tables(uint64_t root, uint64_t gpa)
{
	uint64_t i;

	at(root)[0] = (root + 0x1000) | PTE;
	at(root + 0x1000)[0] = (root + 0x2000) | PTE;
	for (i = 0; i < 512; i++) {
		at(root + 0x2000)[i] = i << 21 | LARGE;
		at(root + 0x3000)[i] = i << 12 | PTE;
	}
	at(root + 0x2000)[0] = (root + 0x3000) | PTE;
	map(root + 0x3000, gpa);
}

static void prepare(bool npt)
{
	svm_prepare(&t, l2_look);
	*at(A) = A;
	*at(B) = B;
	if (npt) {
		svm_make_npt(&t, false);
		make_tables(L1_NPT, A);
	}
}

/* What L2 reads at L2_DATA; L1 goes on where it is. */
static uint64_t look(unsigned int tlb_control)
{
	int port;

	t.vmcb->rip = svm_l2_address(l2_look);
	t.vmcb->rax = 0;
	t.vmcb->tlb_control = tlb_control;
	port = svm_run(&t);
	if (port != SVM_DONE || t.vmcb->exit_code != EXIT_VMMCALL)
		tap_note("port %#x, exit code %#llx", port, (unsigned long long)t.vmcb->exit_code);
	return t.vmcb->rax;
}

static uint64_t look_with_invlpga(void)
{
	struct kvm_regs regs = {};

	KVM(t.vcpu, KVM_GET_REGS, &regs);
	regs.rip = svm_l2_address(l1_invlpga);
	KVM(t.vcpu, KVM_SET_REGS, &regs);
	return look(FLUSH_NOTHING);
}

static void test_tlb_control(void)
{
	prepare(true);
	tap_check(look(FLUSH_NOTHING) == A, "a page of nested tables");
	map(NPT_TABLE, B);
	tap_check(look(FLUSH_ASID) == B, "another with TLB_CONTROL 3");
	map(NPT_TABLE, A);
	tap_check(look(FLUSH_ASID_LOCAL) == A, "the first with TLB_CONTROL 7");
	map(NPT_TABLE, B);
	tap_check(look(FLUSH_ALL) == B, "another with TLB_CONTROL 1");

	prepare(false);
	make_tables(L2_TABLES(0), A);
	t.vmcb->cr3 = L2_TABLES(0);
	tap_check(look(FLUSH_ALL) == A, "a page of L2's own tables");
	map(L2_TABLES(0) + 0x3000, B);
	tap_check(look(FLUSH_ASID) == B, "another with TLB_CONTROL 3");
	map(L2_TABLES(0) + 0x3000, A);
	tap_check(look(FLUSH_ASID_LOCAL) == A, "the first with TLB_CONTROL 7");
	map(L2_TABLES(0) + 0x3000, B);
	tap_check(look(FLUSH_ALL) == B, "another with TLB_CONTROL 1");
}

static void test_invlpga(void)
{
	prepare(true);
	tap_check(look(FLUSH_ALL) == A, "a page of nested tables");
	map(NPT_TABLE, B);
	tap_check(look_with_invlpga() == B, "another after INVLPGA");
	prepare(false);
	make_tables(L2_TABLES(0), A);
	t.vmcb->cr3 = L2_TABLES(0);
	tap_check(look(FLUSH_ALL) == A, "a page of L2's own tables");
	map(L2_TABLES(0) + 0x3000, B);
	tap_check(look_with_invlpga() == B, "another after INVLPGA");
}

static void test_asids(void)
{
	int i;

	prepare(true);
	make_tables(OTHER_NPT, B);
	for (i = 0; i < 6; i++) {
		t.vmcb->asid = 1 + i % 2;
		t.vmcb->nested_cr3 = i % 2 ? OTHER_NPT : L1_NPT;
		tap_check(look(i ? FLUSH_NOTHING : FLUSH_ALL) == (i % 2 ? B : A), "ASID %d with nested tables", 1 + i % 2);
	}
	prepare(false);
	make_tables(L2_TABLES(0), A);
	make_tables(L2_TABLES(1), B);
	for (i = 0; i < 6; i++) {
		t.vmcb->asid = 1 + i % 2;
		t.vmcb->cr3 = L2_TABLES(i % 2);
		tap_check(look(i ? FLUSH_NOTHING : FLUSH_ALL) == (i % 2 ? B : A), "ASID %d with tables of its own", 1 + i % 2);
	}
}

static void test_memory(void)
{
	prepare(true);
	tap_check(look(FLUSH_ALL) == A, "a page of nested tables");
	madvise(at(A), 4096, MADV_REMOVE);
	tap_check(look(FLUSH_NOTHING) == 0, "is zero when the host has dropped it");
	prepare(false);
	make_tables(L2_TABLES(0), A);
	t.vmcb->cr3 = L2_TABLES(0);
	tap_check(look(FLUSH_ALL) == A, "a page of L2's own tables");
	madvise(at(A), 4096, MADV_REMOVE);
	tap_check(look(FLUSH_NOTHING) == 0, "is zero when the host has dropped it");
}

static void test_migration(void)
{
	prepare(true);
	tap_check(look(FLUSH_ALL) == A, "a page of nested tables on the first CPU");
	on_cpu(1);
	map(NPT_TABLE, B);
	tap_check(look(FLUSH_ASID) == B, "another on the second");
	on_cpu(0);
	tap_check(look(FLUSH_NOTHING) == B, "the same on the first again");
}

static const struct { const char *name; void (*run)(void); } tests[] = {
	{ "tlb_control", test_tlb_control },
	{ "invlpga", test_invlpga },
	{ "asids", test_asids },
	{ "memory", test_memory },
	{ "migration", test_migration },
};

int main(int argc, char **argv)
{
	unsigned int i;

	on_cpu(0);
	svm_open(&t);
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			tests[i].run();
	svm_close(&t);
	return tap_done();
}
