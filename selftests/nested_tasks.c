// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a task switch of L2's exits to an L1 that intercepts it, before anything is done and with what the APM says of
 * its cause, and that without the intercept L2 goes on in the new task, whatever else L1 intercepts.
 *
 * QEMU's CPU has no such intercept: it switches by itself, and only what L2 sees of that is checked.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 */
#include <string.h>

#include "svm.h"
#include "tap.h"

#define L2_GDT		L2_DATA
#define L2_IDT		(L2_DATA + 0x1000)
#define OLD_TSS		(L2_DATA + 0x2000)
#define NEW_TSS		(L2_DATA + 0x2100)
#define NEW_STACK	(L2_DATA + 0x3800)
#define OLD_PAGES	0x50000		/* page directories of the two tasks */
#define NEW_PAGES	0x51000

#define SEL_CODE	0x08
#define SEL_DATA	0x10
#define SEL_OLD		0x20
#define SEL_NEW		0x28
#define TSS_AVAILABLE	0x89
#define TSS_BUSY	0x8b
#define TSS_LINK	0
#define TSS_CR3		28
#define TSS_EIP		32
#define TSS_FLAGS	36
#define TSS_ESP		56
#define TSS_SEGMENTS	72
#define TSS_CS		76
#define TSS_LIMIT	0x67

#define FL_FIXED	0x2u
#define FL_IF		0x200u
#define FL_NT		0x4000u
#define FL_RF		0x10000u
#define CR0_TS		8u
#define CR0_PG		0x80000000u
#define CR4_PSE		0x10u

L2_CODE_BLOCK(
	".code32\n"
	"by_jmp:	ljmp $0x28, $0\n jmp_end: vmmcall\n"
	"by_call:	lcall $0x28, $0\n call_end: vmmcall\n"
	"by_iret:	iret\n iret_end: vmmcall\n"
	"by_int:	int $0x40\n int_end: vmmcall\n"
	"by_int3:	int3\n int3_end: vmmcall\n"
	"by_int1:	.byte 0xf1\n int1_end: vmmcall\n"
	"by_ud:		ud2\n"
	"by_gp:		mov %eax, %ds\n"
	"by_event:	vmmcall\n"
	"new_task:	vmmcall\n iret\n"
	/* QEMU loses a switch that a page which is not mapped yet interrupts. */
	"touch:		lock addl $0, 0x3a000\n lock addl $0, 0x3b000\n lock addl $0, 0x3c000\n lock addl $0, 0x3d000\n"
	"		lock addl $0, 0x50000\n lock addl $0, 0x51000\n lock addl $0, -4(%esp)\n vmmcall\n"
	".code64\n"
);
extern const char by_jmp[], jmp_end[], by_call[], call_end[], by_iret[], iret_end[], by_int[], int_end[], by_int3[], int3_end[],
	by_int1[], int1_end[], by_ud[], by_gp[], by_event[], new_task[], touch[];

#define VMMCALL_BYTES	3

/* APM volume 2, Task Switch Intercept: EXITINFO2. */
#define INFO_IRET	(1ull << 36)
#define INFO_JMP	(1ull << 38)
#define INFO_ERROR	(1ull << 44)
#define INFO_RF		(1ull << 48)

/* EVENTINJ and EXITINTINFO. */
#define EVENT(type, vector)	(1u << 31 | (type) << 8 | (vector))
#define EVENT_ERROR		(1u << 11)
#define INTERRUPT		EVENT(0u, 0x41)

/* What can switch tasks. @saved: the EIP that the old task goes on at. */
static const struct cause {
	const char *name, *begin, *saved;
	uint64_t info2;
	uint32_t event;
	enum { BY_L2, BY_EVENTINJ, BY_VIRQ } how;
} causes[] = {
	{ "far JMP", by_jmp, jmp_end, INFO_JMP, 0, BY_L2 },
	{ "far CALL", by_call, call_end, 0, 0, BY_L2 },
	{ "IRET", by_iret, iret_end, INFO_IRET, 0, BY_L2 },
	{ "INT n", by_int, int_end, 0, EVENT(4u, 0x40), BY_L2 },
	{ "INT3", by_int3, int3_end, 0, EVENT(3u, 3), BY_L2 },
	{ "INT1", by_int1, int1_end, 0, EVENT(3u, 1), BY_L2 },
	{ "#UD", by_ud, by_ud, INFO_RF, EVENT(3u, 6), BY_L2 },
	{ "#GP", by_gp, by_gp, INFO_RF | INFO_ERROR | 0x1000, EVENT(3u, 13) | EVENT_ERROR, BY_L2 },
	{ "#GP that L1 injects", by_event, by_event, INFO_ERROR | 0x50, EVENT(3u, 13) | EVENT_ERROR, BY_EVENTINJ },
	{ "an interrupt that L1 injects", by_event, by_event, 0, INTERRUPT, BY_EVENTINJ },
	{ "an NMI that L1 injects", by_event, by_event, 0, EVENT(2u, 2), BY_EVENTINJ },
	{ "a virtual interrupt", by_event, by_event, 0, INTERRUPT, BY_VIRQ },
};
#define NR_CAUSES	(sizeof(causes) / sizeof(causes[0]))

static struct svm_test t;

/* The CPU, not QEMU's. */
static bool intercepts;

/* How L2 runs. */
static bool paging, npt;
static char how[64];

static void put(uint64_t at, uint32_t value)
{
	memcpy(t.memory + at, &value, sizeof(value));
}

static uint32_t get(uint64_t at)
{
	uint32_t value;

	memcpy(&value, t.memory + at, sizeof(value));
	return value;
}

static void put_tss_descriptor(unsigned int selector, uint32_t base, uint32_t limit, unsigned int rights)
{
	put(L2_GDT + selector, limit | base << 16);
	put(L2_GDT + selector + 4, (base >> 16 & 0xff) | rights << 8 | (base & 0xff000000));
}

static unsigned int rights_of(unsigned int selector)
{
	return get(L2_GDT + selector + 4) >> 8 & 0xff;
}

/* The handlers of svm.c for exceptions, but for those that call the new task. */
static void make_idt(void)
{
	static const unsigned int tasks[] = { 1, 2, 3, 6, 13, 0x40, 0x41 };

	for (unsigned int v = 0; v < 32; v++) {
		put(L2_IDT + 8 * v, SEL_CODE << 16 | ((L1_IDT + 0x800 + 16 * v) & 0xffff));
		put(L2_IDT + 8 * v + 4, 0x8e00);
	}
	for (unsigned int i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
		put(L2_IDT + 8 * tasks[i], SEL_NEW << 16);
		put(L2_IDT + 8 * tasks[i] + 4, 0x8500);
	}
}

static void make_tasks(void)
{
	memset(t.memory + L2_GDT, 0, 0x3000);
	put(L2_GDT + SEL_CODE, 0x0000ffff);
	put(L2_GDT + SEL_CODE + 4, 0x00cf9b00);
	put(L2_GDT + SEL_DATA, 0x0000ffff);
	put(L2_GDT + SEL_DATA + 4, 0x00cf9300);
	put_tss_descriptor(SEL_OLD, OLD_TSS, TSS_LIMIT, TSS_BUSY);
	put_tss_descriptor(SEL_NEW, NEW_TSS, TSS_LIMIT, TSS_AVAILABLE);
	put(OLD_TSS + TSS_CR3, OLD_PAGES);
	put(NEW_TSS + TSS_CR3, NEW_PAGES);
	put(NEW_TSS + TSS_EIP, svm_l2_address(new_task));
	put(NEW_TSS + TSS_FLAGS, FL_FIXED);
	put(NEW_TSS + TSS_ESP, NEW_STACK);
	for (unsigned int i = 0; i < 6; i++)
		put(NEW_TSS + TSS_SEGMENTS + 4 * i, SEL_DATA);
	put(NEW_TSS + TSS_CS, SEL_CODE);
	put(OLD_PAGES, 0x83);
	put(NEW_PAGES, 0x83);
	make_idt();
}

/* L2 is in protected mode. VMRUN loads no TR: L2's is L1's. */
static void prepare(const char *begin)
{
	struct kvm_sregs s = {};

	svm_prepare(&t, touch);
	make_tasks();
	t.vmcb->cs = (struct test_seg) { SEL_CODE, 0xc9b, ~0u, 0 };
	t.vmcb->gdtr = (struct test_seg) { .limit = SEL_NEW + 7, .base = L2_GDT };
	t.vmcb->idtr = (struct test_seg) { .limit = 0x42 * 8 - 1, .base = L2_IDT };
	t.vmcb->cr0 = 0x11 | (paging ? CR0_PG : 0);
	t.vmcb->cr3 = OLD_PAGES;
	t.vmcb->cr4 = CR4_PSE;
	t.vmcb->efer = 0x1000;
	t.vmcb->tlb_control = 1;
	if (npt)
		svm_make_npt(&t, false);
	KVM(t.vcpu, KVM_GET_SREGS, &s);
	s.tr = (struct kvm_segment) { .base = OLD_TSS, .limit = TSS_LIMIT, .selector = SEL_OLD, .type = 11, .present = 1 };
	KVM(t.vcpu, KVM_SET_SREGS, &s);
	svm_run(&t);
	if (t.vmcb->exit_code != EXIT_VMMCALL)
		tap_fail("L2 in protected mode: exit code %#llx", (unsigned long long)t.vmcb->exit_code);
	t.vmcb->tlb_control = 0;
	t.vmcb->rip = svm_l2_address(begin);
	t.vmcb->rax = 0x1000;
}

static void prepare_cause(const struct cause *c)
{
	prepare(c->begin);
	if (c->begin == by_iret) {
		put_tss_descriptor(SEL_NEW, NEW_TSS, TSS_LIMIT, TSS_BUSY);
		put(OLD_TSS + TSS_LINK, SEL_NEW);
		t.vmcb->rflags |= FL_NT;
	}
	if (c->how == BY_EVENTINJ) {
		t.vmcb->event_inj = c->event;
		t.vmcb->event_inj_err = (uint32_t)c->info2;
	} else if (c->how == BY_VIRQ) {
		t.vmcb->int_ctl = 1u << 24 | 0xfu << 16 | 1u << 8;
		t.vmcb->int_vector = c->event & 0xff;
		t.vmcb->rflags |= FL_IF;
	}
}

static unsigned int task(void)
{
	struct kvm_sregs s = {};

	KVM(t.vcpu, KVM_GET_SREGS, &s);
	return s.tr.selector;
}

static bool exited(uint64_t code, const char *at)
{
	if (t.run->exit_reason == KVM_EXIT_IO && t.run->io.port == SVM_DONE && t.vmcb->exit_code == code &&
	    t.vmcb->rip == svm_l2_address(at))
		return true;
	tap_note("exit %u port %#x, exit code %#llx info %#llx %#llx, eip %#llx and not %#llx", t.run->exit_reason,
		 t.run->exit_reason == KVM_EXIT_IO ? t.run->io.port : 0, (unsigned long long)t.vmcb->exit_code,
		 (unsigned long long)t.vmcb->exit_info_1, (unsigned long long)t.vmcb->exit_info_2,
		 (unsigned long long)t.vmcb->rip, (unsigned long long)svm_l2_address(at));
	return false;
}

/* EXITINTINFO of what is under way, and nothing else. */
static bool tells_event(const struct cause *c)
{
	if (t.vmcb->exit_int_info == c->event &&
	    (!(c->event & EVENT_ERROR) || t.vmcb->exit_int_info_err == (uint32_t)c->info2))
		return true;
	tap_note("EXITINTINFO %#x %#x", t.vmcb->exit_int_info, t.vmcb->exit_int_info_err);
	return false;
}

static bool nothing_done(const struct cause *c)
{
	return task() == SEL_OLD && !get(OLD_TSS + TSS_EIP) && rights_of(SEL_OLD) == TSS_BUSY &&
	       rights_of(SEL_NEW) == (c->begin == by_iret ? TSS_BUSY : TSS_AVAILABLE) && !(t.vmcb->cr0 & CR0_TS) &&
	       t.vmcb->cr3 == OLD_PAGES && t.vmcb->rsp == L2_STACK;
}

static void test_intercepted(const struct cause *c)
{
	/* The hypervisor executes INT1, and its #DB comes behind that. */
	const char *at = c->begin == by_int1 ? c->saved : c->begin;

	prepare_cause(c);
	svm_intercept(&t, EXIT_TASK_SWITCH);
	svm_run(&t);
	tap_check(exited(EXIT_TASK_SWITCH, at) && t.vmcb->exit_info_1 == SEL_NEW && t.vmcb->exit_info_2 == c->info2,
		  "%s: a task switch exits with its cause%s", c->name, how);
	tap_check(tells_event(c) && !t.vmcb->next_rip, "%s: and with the event that calls the task", c->name);
	tap_check(nothing_done(c), "%s: before anything is done", c->name);
}

/* Is the new task nested in the old one? */
static bool nests(const struct cause *c)
{
	return c->begin != by_jmp && c->begin != by_iret;
}

static bool old_task_saved(const struct cause *c)
{
	bool resumes = get(OLD_TSS + TSS_FLAGS) & FL_RF;

	if (get(OLD_TSS + TSS_EIP) == svm_l2_address(c->saved) && get(OLD_TSS + TSS_ESP) == L2_STACK &&
	    (resumes == !!(c->info2 & INFO_RF) || !intercepts) && !(get(OLD_TSS + TSS_FLAGS) & FL_NT) &&
	    rights_of(SEL_OLD) == (nests(c) ? TSS_BUSY : TSS_AVAILABLE))
		return true;
	tap_note("EIP %#x and not %#llx, ESP %#x, EFLAGS %#x, rights %#x", get(OLD_TSS + TSS_EIP),
		 (unsigned long long)svm_l2_address(c->saved), get(OLD_TSS + TSS_ESP), get(OLD_TSS + TSS_FLAGS),
		 rights_of(SEL_OLD));
	return false;
}

static bool new_task_loaded(const struct cause *c)
{
	uint32_t sp = NEW_STACK - (c->event & EVENT_ERROR ? 4 : 0);

	if (task() == SEL_NEW && rights_of(SEL_NEW) == TSS_BUSY && t.vmcb->cr0 & CR0_TS &&
	    t.vmcb->cr3 == (paging ? NEW_PAGES : OLD_PAGES) && !(t.vmcb->rflags & FL_NT) == !nests(c) &&
	    (!nests(c) || (get(NEW_TSS + TSS_LINK) & 0xffff) == SEL_OLD) && t.vmcb->rsp == sp &&
	    (sp == NEW_STACK || get(sp) == (uint32_t)c->info2))
		return true;
	tap_note("TR %#x, rights %#x, CR0 %#llx, CR3 %#llx, RFLAGS %#llx, link %#x, ESP %#llx", task(), rights_of(SEL_NEW),
		 (unsigned long long)t.vmcb->cr0, (unsigned long long)t.vmcb->cr3, (unsigned long long)t.vmcb->rflags,
		 get(NEW_TSS + TSS_LINK), (unsigned long long)t.vmcb->rsp);
	return false;
}

/* What a task switch loads is none of the intercepts of the instructions that do (APM volume 2, Task Switch Intercept). */
static void intercept_loads(void)
{
	svm_intercept(&t, EXIT_CR0_WRITE);
	svm_intercept(&t, EXIT_CR3_WRITE);
	svm_intercept(&t, EXIT_LDTR_WRITE);
	svm_intercept(&t, EXIT_TR_WRITE);
}

static void test_switched(const struct cause *c)
{
	prepare_cause(c);
	intercept_loads();
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL, new_task), "%s: L2 goes on in the new task%s", c->name, how);
	tap_check(old_task_saved(c), "%s: the old task is saved", c->name);
	tap_check(new_task_loaded(c), "%s: and the new one loaded", c->name);
	/* A fault comes again. */
	if (!nests(c) || c->begin == by_ud || c->event & EVENT_ERROR)
		return;
	t.vmcb->rip += VMMCALL_BYTES;
	svm_continue(&t);
	tap_check(exited(EXIT_VMMCALL, c->saved) && task() == SEL_OLD && rights_of(SEL_NEW) == TSS_AVAILABLE &&
		  t.vmcb->rsp == L2_STACK, "%s: IRET switches back", c->name);
}

/* The new TSS is looked at before the exit. */
static void test_bad_tss(bool intercept)
{
	static const struct { const char *name; unsigned int rights, limit, vector; } list[] = {
		{ "that is not present is #NP", TSS_AVAILABLE & 0x7f, TSS_LIMIT, 11 },
		{ "that is too small is #TS", TSS_AVAILABLE, TSS_LIMIT - 1, 10 },
	};

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		prepare(by_jmp);
		put_tss_descriptor(SEL_NEW, NEW_TSS, list[i].limit, list[i].rights);
		if (intercept)
			svm_intercept(&t, EXIT_TASK_SWITCH);
		svm_intercept(&t, EXIT_EXCEPTION + list[i].vector);
		svm_run(&t);
		tap_check(exited(EXIT_EXCEPTION + list[i].vector, by_jmp) && t.vmcb->exit_info_1 == SEL_NEW && task() == SEL_OLD,
			  "a TSS %s%s", list[i].name, intercept ? ", and no exit for a task switch" : "");
	}
}

/* Where the hypervisor switches tasks, L1 intercepts the exceptions of that all the same. QEMU has another EIP. */
static void test_new_task_faults(void)
{
	prepare(by_jmp);
	put(NEW_TSS + TSS_CS, SEL_DATA);
	svm_intercept(&t, EXIT_EXCEPTION + 10);
	svm_run(&t);
	tap_check(exited(EXIT_EXCEPTION + 10, new_task) && t.vmcb->exit_info_1 == SEL_DATA && task() == SEL_NEW,
		  "a new task without a code segment is #TS, in that task");
}

int main(void)
{
	svm_open(&t);
	intercepts = !svm_cpu_is_qemu();
	if (!intercepts)
		tap_skip("the intercept: QEMU's TCG has none");
	for (unsigned int mode = 0; mode < 4; mode++) {
		paging = mode & 1;
		npt = mode & 2;
		strcpy(how, paging ? ", with paging" : "");
		strcat(how, npt ? ", with nested paging" : "");
		for (unsigned int i = 0; i < NR_CAUSES; i++) {
			if (intercepts)
				test_intercepted(&causes[i]);
			test_switched(&causes[i]);
		}
		if (intercepts)
			test_new_task_faults();
	}
	test_bad_tss(false);
	if (intercepts)
		test_bad_tss(true);
	svm_close(&t);
	return tap_done();
}
