// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that features of a VM work while a guest's guest runs: debugging by user space, dirty bitmap and ring, the MSR
 * filter, the TSC as user space sets it, the local APIC in both of its modes, EOIs by memory, NMIs, XSAVES.
 *
 * SMM is in nested_state; exits that are disabled, MBEC, execute-only pages, VMCS shadowing, enlightened VMCSs and virtual
 * GIF are in the tests of nested VMX and SVM.
 *
 * Upstream's kvm-amd (7.3) stops single steps at VMEXITs to L1, and lets a new MSR filter wait for L1's next VMRUN.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=intel kernel=6.1,7.3 cpus=1 timeout=900
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apic.h"
#include "nested.h"
#include "tap.h"
#include "thin.h"

#define PAGE		4096
#define MSR_LSTAR	0xc0000082
#define MSR_PV_EOI	0x4b564d04
#define FEATURE_PV_EOI	(1u << 6)
#define CR4_OSXSAVE	(1ull << 18)

/* What L2 says; thin_load() did not work. */
enum { READY = 1, AGAIN, FAILED };

static struct self s;

/* From L2. */
static volatile uint64_t told[8];

static void load(void)
{
	if (thin_load())
		self_exit(FAILED);
}

static void start_l2(void (*guest)(void))
{
	thin_create(&s, 1);
	self_start(&s, guest);
	memset((void *)told, 0, sizeof(told));
	tap_check(self_run(&s) == READY, "L2 runs");
}

static bool in_l2(void)
{
	static struct nested_state state;

	nested_get(s.vcpu, &state);
	return state.head.flags & KVM_STATE_NESTED_GUEST_MODE;
}

/* Instructions of L2's, of which L1 executes CPUID, at labels. */
void stepped_code(void);
asm(".pushsection .text\n"
    "stepped_code: push %rbx\n"
    "stepped_0: mov $0x4fffff00, %eax\n"
    "stepped_1: xor %ecx, %ecx\n"
    "stepped_2: cpuid\n"
    "stepped_3: mov %eax, told(%rip)\n"
    "stepped_4: nop\n"
    "stepped_5: pop %rbx\n"
    "stepped_6: ret\n"
    ".popsection\n");
extern const char stepped_0[], stepped_1[], stepped_2[], stepped_4[], stepped_5[], stepped_6[];

/* A step of L1's over its VM entry is one of L2's: there is no stop in between. */
static const char *const stops[] = { stepped_0, stepped_1, stepped_2, stepped_4, stepped_5, stepped_6 };
#define NR_STOPS	(sizeof(stops) / sizeof(stops[0]))

static void debugged_guest(void)
{
	int i;

	load();
	for (i = 0; i < 3; i++) {
		self_exit(READY);
		told[0] = 0;
		stepped_code();
	}
	thin_unload();
	self_exit(0);
}

static uint64_t debug_exit(void)
{
	KVM(s.vcpu, KVM_RUN, NULL);
	return s.run->exit_reason == KVM_EXIT_DEBUG ? s.run->debug.arch.pc : 0;
}

/* L2 stops there. */
static bool stops_at(const char *label)
{
	uint64_t pc = debug_exit();

	if (pc == (uint64_t)label && in_l2())
		return true;
	tap_note("exit reason %u at %lld from it", s.run->exit_reason, (long long)(pc - (uint64_t)label));
	return false;
}

static void set_debug(struct kvm_guest_debug *debug, uint32_t control)
{
	debug->control = control ? KVM_GUESTDBG_ENABLE | control : 0;
	KVM(s.vcpu, KVM_SET_GUEST_DEBUG, debug);
}

#define MAX_STEPS	3000

static void test_stepping(void)
{
	struct kvm_guest_debug debug = {};
	unsigned int seen = 0, of_l1 = 0, steps;
	uint64_t pc;

	set_debug(&debug, KVM_GUESTDBG_SINGLESTEP);
	for (steps = 0; steps < MAX_STEPS && (pc = debug_exit()); steps++) {
		if (!in_l2())
			of_l1++;
		else if (seen < NR_STOPS && pc == (uint64_t)stops[seen])
			seen++;
	}
	set_debug(&debug, 0);
	tap_check(seen == NR_STOPS, "single steps: %u of L2's instructions, one by one", seen);
	tap_check(of_l1 > 10, "and L1's when L2 exits to it: %u", of_l1);
	tap_check(self_word(&s, 0) == READY && told[0] == THIN_SIGNATURE, "which has done what L1 does");
}

/* False where L2 cannot go on. */
static bool test_breakpoints(void)
{
	struct kvm_guest_debug debug = {
		.arch.debugreg = { [0] = (uint64_t)stepped_4, [7] = 0x402 },
	};
	volatile uint8_t *code = (uint8_t *)stepped_5;
	uint8_t old = *code;
	bool stopped;

	set_debug(&debug, KVM_GUESTDBG_USE_HW_BP);
	tap_check(stops_at(stepped_4) && s.run->debug.arch.dr6 & 1, "a breakpoint register stops L2, behind an exit to L1");
	set_debug(&debug, 0);
	if (mprotect((void *)((uint64_t)code & -PAGE), PAGE, PROT_READ | PROT_WRITE | PROT_EXEC))
		tap_fail("mprotect");
	*code = 0xcc;
	set_debug(&debug, KVM_GUESTDBG_USE_SW_BP);
	stopped = stops_at(stepped_5);
	if (!stopped && !thin_is_vmx && self_cpus[0].fault.vector == 3) {
		tap_skip("INT3 of L2's: QEMU's TCG does not intercept it");
		*code = old;
		return false;
	}
	tap_check(stopped, "so does INT3, which L1 hears nothing of");
	*code = old;
	set_debug(&debug, 0);
	tap_check(self_run(&s) == READY && told[0] == THIN_SIGNATURE, "L2 goes on without");
	return true;
}

static void test_debug(void)
{
	start_l2(debugged_guest);
	test_stepping();
	if (test_breakpoints())
		tap_check(self_run(&s) == 0, "and ends");
	self_destroy(&s);
}

/* A page that L2 writes to, and its neighbour, which nobody does. */
static volatile uint64_t *page;
static volatile bool writes;

static void writing_guest(void)
{
	page = self_page();
	self_page();
	load();
	for (;;) {
		self_exit(READY);
		if (writes)
			page[1]++;
	}
}

static void set_logging(bool on)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = SELF_MEMORY, .userspace_addr = (uintptr_t)s.memory, .flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0,
	};

	KVM(s.vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static uint64_t page_number(void)
{
	return (uint64_t)page / PAGE;
}

/* In the bitmap: 1 the page, 2 its neighbour. */
static unsigned int logged(void)
{
	static uint64_t bitmap[SELF_MEMORY / PAGE / 64];
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };
	uint64_t n = page_number();

	KVM(s.vm, KVM_GET_DIRTY_LOG, &log);
	return (bitmap[n / 64] >> n % 64 & 1) | (bitmap[(n + 1) / 64] >> (n + 1) % 64 & 1) << 1;
}

static void let_write(bool yes)
{
	writes = yes;
	self_run(&s);
}

static void test_dirty_bitmap(void)
{
	unsigned int i, right = 0;

	start_l2(writing_guest);
	let_write(true);
	set_logging(true);
	logged();
	for (i = 0; i < 6; i++) {
		let_write(i & 1);
		right += logged() == (i & 1);
	}
	tap_check(right == 6, "a dirty bitmap has what L2 writes, each time (%u of 6)", right);
	set_logging(false);
	let_write(true);
	set_logging(true);
	logged();
	let_write(true);
	tap_check(logged() == 1, "and so it has when logging was off in between");
	self_destroy(&s);
}

#define RING_ENTRIES	1024u
#define RING_BYTES	(RING_ENTRIES * sizeof(struct kvm_dirty_gfn))

static void enable_ring(int vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { RING_BYTES } };

	KVM(vm, KVM_ENABLE_CAP, &cap);
}

/* How often the page is in the ring; what is in it is reset. */
static unsigned int harvest(struct kvm_dirty_gfn *ring, unsigned int *next)
{
	unsigned int found = 0;

	for (;;) {
		struct kvm_dirty_gfn *e = &ring[*next % RING_ENTRIES];

		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		found += e->slot == 0 && e->offset == page_number();
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		++*next;
	}
	KVM(s.vm, KVM_RESET_DIRTY_RINGS, NULL);
	return found;
}

static void test_dirty_ring(void)
{
	unsigned int next = 0, i, right = 0;
	struct kvm_dirty_gfn *ring;

	self_prepare_vm = enable_ring;
	start_l2(writing_guest);
	self_prepare_vm = NULL;
	ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, s.vcpu, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
	if (ring == MAP_FAILED)
		tap_fail("mmap of the ring");
	set_logging(true);
	for (i = 0; i < 6; i++) {
		let_write(i & 1);
		right += harvest(ring, &next) == (i & 1);
	}
	tap_check(right == 6, "a dirty ring has what L2 writes, each time (%u of 6)", right);
	munmap(ring, RING_BYTES);
	self_destroy(&s);
}

/* LSTAR, which L1 lets L2 have: the value, or ~0 for #GP. */
static void reading_guest(void)
{
	load();
	self_wrmsr(MSR_LSTAR, 0x7777);
	for (;;) {
		self_exit(READY);
		told[0] = SELF_TRY("rdmsr\n", "c" (MSR_LSTAR)) == 13 ? ~0ull : self_rdmsr(MSR_LSTAR);
	}
}

static void set_filter(bool deny)
{
	uint8_t bitmap = 0;
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };

	if (deny)
		filter.ranges[0] = (struct kvm_msr_filter_range) {
			.flags = KVM_MSR_FILTER_READ, .nmsrs = 1, .base = MSR_LSTAR, .bitmap = &bitmap,
		};
	KVM(s.vm, KVM_X86_SET_MSR_FILTER, &filter);
}

static void set_user_msrs(bool on)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { on ? KVM_MSR_EXIT_REASON_FILTER : 0 },
	};

	KVM(s.vm, KVM_ENABLE_CAP, &cap);
}

static bool answers_rdmsr(uint64_t value)
{
	KVM(s.vcpu, KVM_RUN, NULL);
	if (s.run->exit_reason != KVM_EXIT_X86_RDMSR || s.run->msr.index != MSR_LSTAR || !in_l2())
		return false;
	s.run->msr.error = 0;
	s.run->msr.data = value;
	return true;
}

static void test_msr_filter(void)
{
	start_l2(reading_guest);
	self_run(&s);
	tap_check(told[0] == 0x7777, "an MSR that L1 lets L2 have is read");
	set_filter(true);
	self_run(&s);
	tap_check(told[0] == ~0ull, "an MSR filter that is set while L2 runs makes #GP of it");
	set_user_msrs(true);
	tap_check(answers_rdmsr(1) && answers_rdmsr(0x1234), "or an exit to user space");
	self_run(&s);
	tap_check(told[0] == 0x1234, "whose answer L2 gets");
	set_filter(false);
	self_run(&s);
	tap_check(told[0] == 0x7777, "and without the filter L2 has its own");
	self_destroy(&s);
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a" (low), "=d" (high));
	return low | (uint64_t)high << 32;
}

static void timing_guest(void)
{
	load();
	told[0] = rdtsc();
	self_exit(READY);
	told[1] = rdtsc();
	self_exit(AGAIN);
	told[2] = rdtsc();
	thin_unload();
	told[3] = rdtsc();
	self_exit(0);
}

#define LITTLE	(1ull << 40)
#define FAR	(1ull << 50)

static bool shortly_after(uint64_t time, uint64_t before)
{
	return time >= before && time - before < LITTLE;
}

static void test_tsc(void)
{
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET };
	uint64_t offset;

	start_l2(timing_guest);
	if (!msr_write(s.vcpu, MSR_TSC, FAR))
		tap_fail("the TSC cannot be set");
	tap_check(self_run(&s) == AGAIN && shortly_after(told[1], FAR), "a TSC that is set while L2 runs is L2's as well");
	attr.addr = (uintptr_t)&offset;
	KVM(s.vcpu, KVM_GET_DEVICE_ATTR, &attr);
	offset += FAR;
	KVM(s.vcpu, KVM_SET_DEVICE_ATTR, &attr);
	self_run(&s);
	tap_check(shortly_after(told[2], told[1] + FAR), "so is its offset");
	tap_check(shortly_after(told[3], told[2]), "and L1 goes on with them");
	self_destroy(&s);
}

#define APIC_GPA	0xfee00000ull
#define VECTOR		0x61

static volatile bool x2apic, by_memory;
static volatile uint32_t pv_eoi;

static void write_apic(uint32_t reg, uint32_t value)
{
	if (x2apic)
		self_wrmsr(MSR_X2APIC(reg), value);
	else
		*(volatile uint32_t *)(APIC_GPA + reg) = value;
}

/* EOIs by memory: the hypervisor says where it is to be by a bit that the guest clears. */
__attribute__((target("general-regs-only")))
static void interrupt(uint64_t vector)
{
	told[0] += vector == VECTOR;
	if (pv_eoi & 1) {
		pv_eoi = 0;
		told[1]++;
	} else {
		write_apic(APIC_EOI, 0);
	}
}

#define IPIS	5

/* To itself; each is taken before the next is sent. */
static void send_ipis(void)
{
	uint64_t before, i;

	for (i = 0; i < IPIS; i++) {
		before = told[0];
		write_apic(APIC_ICR, 0x40000 | VECTOR);
		while (told[0] == before)
			asm volatile("pause");
	}
}

static void interrupted_guest(void)
{
	uint32_t a = 0x40000001, b, c = 0, d;

	self_map_apics();
	self_interrupt = interrupt;
	load();
	write_apic(APIC_SPIV, APIC_ENABLE);
	write_apic(APIC_TASKPRI, 0x20);
	asm volatile("mov %%cr8, %0" : "=r" (told[2]));
	asm volatile("sti");
	send_ipis();
	told[3] = told[0];
	asm volatile("cpuid" : "+a" (a), "=b" (b), "+c" (c), "=d" (d));
	if (a & FEATURE_PV_EOI) {
		self_wrmsr(MSR_PV_EOI, self_gpa(&pv_eoi) | 1);
		send_ipis();
		told[4] = told[1];
		self_wrmsr(MSR_PV_EOI, 0);
		told[5] = 1;
	}
	self_wrmsr(MSR_APIC_BASE, self_rdmsr(MSR_APIC_BASE) | APIC_BASE_X2);
	x2apic = true;
	told[0] = 0;
	send_ipis();
	self_exit(READY);
	asm volatile("cli");
	thin_unload();
	self_exit(0);
}

static void test_apic(void)
{
	start_l2(interrupted_guest);
	tap_check(told[2] == 2, "L2 has the local APIC's TPR by memory and by CR8");
	tap_check(told[3] == IPIS, "sends itself IPIs by memory");
	if (told[5])
		tap_check(told[4] > 0, "ends %llu of %u of them by the bit in memory", (unsigned long long)told[4], IPIS);
	else
		tap_skip("no PV EOI");
	tap_check(told[0] == IPIS, "and by MSRs when it has made it an x2APIC");
	tap_check(self_run(&s) == 0, "and goes on");
	x2apic = false;
	self_interrupt = NULL;
	self_destroy(&s);
}

static void waiting_guest(void)
{
	int i;

	load();
	/* self_exit(READY), and the NMI may come at once. */
	for (i = 0; i < 3; i++)
		told[0] += SELF_TRY("mov %0, %%eax\n out %%eax, $0x80\n 1: pause\n jmp 1b", "i" (READY)) == 2;
	self_exit(AGAIN);
	thin_unload();
	self_exit(0);
}

static void test_nmi(void)
{
	int i;

	start_l2(waiting_guest);
	for (i = 0; i < 3; i++) {
		KVM(s.vcpu, KVM_NMI, NULL);
		self_run(&s);
	}
	tap_check(told[0] == 3, "NMIs that L1 does not intercept are L2's (%llu of 3)", (unsigned long long)told[0]);
	tap_check(self_run(&s) == 0, "and it ends");
	self_destroy(&s);
}

#define XCOMP_BV	520	/* of the area; bit 63: the compacted format */

static uint8_t area[PAGE] __attribute__((aligned(64)));

static void saving_guest(void)
{
	uint32_t a = 0xd, b, c = 1, d;

	asm volatile("mov %%cr4, %%rax\n or %0, %%rax\n mov %%rax, %%cr4" : : "r" (CR4_OSXSAVE) : "rax");
	load();
	asm volatile("xsetbv" : : "c" (0), "a" (3), "d" (0));
	asm volatile("cpuid" : "+a" (a), "=b" (b), "+c" (c), "=d" (d));
	told[0] = a;
	if (a & 8) {
		told[1] = SELF_TRY("mov $3, %%eax\n xsaves %0", "m" (area), "d" (0));
		told[2] = SELF_TRY("mov $3, %%eax\n xrstors %0", "m" (area), "d" (0));
	}
	self_exit(READY);
	thin_unload();
	self_exit(0);
}

static void test_xsaves(void)
{
	thin_create(&s, 1);
	if (!(self_cpuid_ecx(&s, 1) & 1 << 26)) {
		tap_skip("no XSAVE");
		self_destroy(&s);
		return;
	}
	self_destroy(&s);
	start_l2(saving_guest);
	if (!(told[0] & 8))
		tap_skip("no XSAVES");
	else if (!tap_check(told[1] == ~0ull && told[2] == ~0ull && area[XCOMP_BV + 7] & 0x80, "L2 has XSAVES and XRSTORS"))
		tap_note("vectors %lld and %lld, XCOMP_BV %#x...", (long long)told[1], (long long)told[2], area[XCOMP_BV + 7]);
	tap_check(self_run(&s) == 0, "L2 ends");
	self_destroy(&s);
}

int main(void)
{
	test_debug();
	test_dirty_bitmap();
	test_dirty_ring();
	test_msr_filter();
	test_tsc();
	test_apic();
	test_nmi();
	test_xsaves();
	return tap_done();
}
