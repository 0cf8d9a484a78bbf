// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a guest with four vCPUs can virtualize itself while it runs, as hypervisors do that are loaded as a module:
 * what it does goes on as before, with locked memory accesses, IPIs and MSRs of all vCPUs, also where the host interrupts
 * them and saves and sets their state; an execute-only page is another page when read; unloading leaves no trace; and so
 * does a VM that is closed with all of its vCPUs in L2.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apic.h"
#include "nested.h"
#include "self.h"
#include "tap.h"
#include "thin.h"

#define CPUS		4
#define ROUNDS		3
#define LOOPS		1000
#define IPIS		10
#define HOOKED_READS	10

#define ICR_FIXED	0x4000u
#define ICR_INIT	0x4500u
#define ICR_STARTUP	0x4601u
#define IPI_VECTOR	0x61
#define SELF_VECTOR	0x71

#define MSR_EFER	0xc0000080
#define MSR_LSTAR	0xc0000082
#define MSR_FS_BASE	0xc0000100
#define MSR_KERNEL_GS	0xc0000102
#define MSR_SYSENTER_IP	0x176
#define MSR_VM_CR	0xc0010114
#define VM_CR_R_INIT	2
#define NO_MSR		0x12345678
#define CR4_OSXSAVE	(1ull << 18)
#define CR4_TSD		4ull
#define SX		30

static struct self s;

/* All vCPUs': what each of them counts, and how often it saw what must not be. */
static volatile struct {
	uint64_t work, ipis, selves, wrong;
} mine[CPUS];
static volatile uint64_t shared, mistakes;
static volatile bool has_xsave, has_tsc_aux;

static void mistake(uint64_t what)
{
	__atomic_fetch_or(&mistakes, 1ull << what, __ATOMIC_SEQ_CST);
}

static void meet(void)
{
	static volatile uint32_t arrived, phase;
	uint32_t now = phase;

	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST) == CPUS) {
		arrived = 0;
		__atomic_store_n(&phase, now + 1, __ATOMIC_SEQ_CST);
		return;
	}
	while (__atomic_load_n(&phase, __ATOMIC_SEQ_CST) == now)
		asm volatile("pause");
}

__attribute__((target("general-regs-only")))
static void interrupt(uint64_t vector)
{
	if (vector == IPI_VECTOR)
		mine[self_cpu()].ipis++;
	else if (vector == SELF_VECTOR)
		mine[self_cpu()].selves++;
	else
		mine[self_cpu()].wrong++;
	self_wrmsr(MSR_X2APIC(APIC_EOI), 0);
}

static void send(unsigned int cpu, uint32_t icr)
{
	self_wrmsr(MSR_X2APIC(APIC_ICR), (uint64_t)cpu << 32 | icr);
}

static void check_msr(uint32_t msr, uint64_t value, unsigned int bit)
{
	uint64_t old = self_rdmsr(msr);

	self_wrmsr(msr, value);
	if (self_rdmsr(msr) != value)
		mistake(bit);
	self_wrmsr(msr, old);
}

/* Registers that are L2's own, those that L1 passes on, and an MSR that is none. */
static void use_registers(uint64_t value)
{
	uint64_t cr4;

	check_msr(MSR_FS_BASE, value << 12, 0);
	check_msr(MSR_KERNEL_GS, value << 13, 1);
	check_msr(MSR_LSTAR, value << 14, 2);
	check_msr(MSR_SYSENTER_IP, value << 4, 3);
	if (has_tsc_aux)
		check_msr(MSR_TSC_AUX, value & 0xffff, 4);
	if (SELF_TRY("rdmsr", "c" (NO_MSR)) != 13)
		mistake(5);
	if (has_xsave)
		asm volatile("xsetbv" : : "c" (0), "a" (value & 1 ? 3 : 1), "d" (0));
	asm volatile("mov %%cr3, %%rax\n mov %%rax, %%cr3" : : : "rax", "memory");
	asm volatile("mov %%cr4, %0" : "=r" (cr4));
	asm volatile("mov %0, %%cr4" : : "r" (cr4 ^ CR4_TSD) : "memory");
	asm volatile("mov %0, %%cr4" : : "r" (cr4) : "memory");
}

/* What it does over and over again, wherever it is. */
static void step(unsigned int cpu, uint64_t i)
{
	static volatile uint64_t pattern[CPUS][64];

	__atomic_fetch_add(&shared, 1, __ATOMIC_SEQ_CST);
	mine[cpu].work++;
	pattern[cpu][i % 64] = i * 0x9e3779b97f4a7c15;
	if (pattern[cpu][i % 64] != i * 0x9e3779b97f4a7c15)
		mistake(6);
	if (self_cpu() != cpu)
		mistake(7);
}

static void work(unsigned int cpu, bool l2)
{
	unsigned int next = (cpu + 1) % CPUS;
	uint64_t ipis = mine[next].ipis, selves = mine[cpu].selves, i;

	meet();
	for (i = 0; i < LOOPS; i++) {
		step(cpu, i);
		if (i % (LOOPS / IPIS))
			continue;
		use_registers(i + cpu);
		if (thin_runs() != l2)
			mistake(8);
		/* Another one is sent when this has been taken: the APIC keeps one of a vector. */
		send(next, ICR_FIXED | IPI_VECTOR);
		for (ipis++; mine[next].ipis < ipis; )
			asm volatile("pause");
		self_wrmsr(MSR_X2APIC(APIC_SELF_IPI), SELF_VECTOR);
		for (selves++; mine[cpu].selves < selves; )
			asm volatile("pause");
	}
	meet();
}

static void check_work(const char *where)
{
	uint64_t i, work = 0, ipis = 0, selves = 0, wrong = 0;

	for (i = 0; i < CPUS; i++) {
		work += mine[i].work;
		ipis += mine[i].ipis;
		selves += mine[i].selves;
		wrong += mine[i].wrong;
	}
	self_check(shared == work, where, shared, work);
	self_check(ipis % (CPUS * IPIS) == 0 && ipis == selves, "no IPI is lost, and none comes twice", ipis, selves);
	self_check(!wrong, "nor are there others", wrong, 0);
	self_check(!mistakes, "registers and memory are right", mistakes, 0);
}

/* Once on each vCPU; with interrupts on. */
static void prepare(unsigned int cpu)
{
	uint32_t a = 1, b, c = 0, d;

	asm volatile("cpuid" : "+a" (a), "=b" (b), "+c" (c), "=d" (d));
	if (c & 1 << 26) {
		asm volatile("mov %%cr4, %%rax\n or %0, %%rax\n mov %%rax, %%cr4" : : "r" (CR4_OSXSAVE) : "rax");
		has_xsave = true;
	}
	a = 0x80000001;
	asm volatile("cpuid" : "+a" (a), "=b" (b), "=c" (c), "=d" (d));
	has_tsc_aux = d & 1 << 27;
	self_interrupt = interrupt;
	self_wrmsr(MSR_APIC_BASE, self_rdmsr(MSR_APIC_BASE) | APIC_BASE_ON | APIC_BASE_X2);
	self_wrmsr(MSR_X2APIC(APIC_SPIV), APIC_ENABLE);
	meet();
	asm volatile("sti");
}

/* What unloading has to bring back. */
struct state {
	uint64_t cr0, cr3, cr4, efer, flags, tr;
	struct thin_table gdt, idt;
};

static void get_state(struct state *state)
{
	asm volatile("mov %%cr0, %0\n mov %%cr3, %1\n mov %%cr4, %2\n str %3"
		     : "=r" (state->cr0), "=r" (state->cr3), "=r" (state->cr4), "=r" (state->tr));
	asm volatile("sgdt %0\n sidt %1" : "=m" (state->gdt), "=m" (state->idt));
	asm volatile("pushfq\n pop %0" : "=r" (state->flags));
	state->flags &= 0x200;
	state->efer = self_rdmsr(MSR_EFER);
}

static bool same(const struct state *a, const struct state *b)
{
	return a->cr0 == b->cr0 && a->cr3 == b->cr3 && a->cr4 == b->cr4 && a->efer == b->efer && a->flags == b->flags &&
	       a->tr == b->tr && a->gdt.base == b->gdt.base && a->gdt.limit == b->gdt.limit &&
	       a->idt.base == b->idt.base && a->idt.limit == b->idt.limit;
}

/* Pages with a function that returns a number. */
static volatile uint8_t *page, *other;

static void make_function(volatile uint8_t *at, uint8_t value)
{
	at[0] = 0xb8;
	at[1] = value;
	at[2] = at[3] = at[4] = 0;
	at[5] = 0xc3;
}

static uint64_t call(volatile uint8_t *function)
{
	return ((uint32_t (*)(void))function)();
}

/* On one vCPU, while the others work. */
static void test_hook(unsigned int cpu)
{
	volatile struct thin_counts *counts = &thin_counts[cpu];
	uint64_t violations = counts->violation, steps = counts->step, i, right = 0;

	if (!thin_hook((uint64_t)page, (uint64_t)other))
		return;
	for (i = 0; i < HOOKED_READS; i++)
		right += call(page) == 2 && page[1] == 1;
	CHECK_IS(right, HOOKED_READS, "a hooked page executes another, and reads as itself");
	CHECK(counts->violation - violations >= HOOKED_READS, "by a violation for each read");
	CHECK_IS(counts->step - steps, counts->violation - violations, "and a step over it");
	page[1] = 3;
	CHECK_IS(call(page), 2, "a write goes to the page itself");
	thin_unhook();
	CHECK_IS(call(page), 3, "without the hook that is executed");
	page[1] = 1;
}

/* The other vCPUs' EPTs know nothing of it. */
static void use_page(unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		step(cpu, i);
		if (call(page) == 2)
			mistake(9);
	}
}

static bool is_nestor;

/* APM volume 2, VM_CR MSR: R_INIT. The first vCPU sends INITs and what follows them. */
static void send_inits(void)
{
	unsigned int cpu;

	for (cpu = 1; cpu < CPUS; cpu++) {
		send(cpu, ICR_INIT);
		send(cpu, ICR_STARTUP);
		send(cpu, ICR_STARTUP);
	}
}

static void test_init_in_l2(unsigned int cpu)
{
	uint64_t before = thin_counts[cpu].init;

	self_wrmsr(MSR_VM_CR, VM_CR_R_INIT);
	meet();
	if (cpu) {
		while (thin_counts[cpu].init == before)
			step(cpu, 0);
		meet();
		CHECK_IS(thin_counts[cpu].init - before, 1, "R_INIT: INIT is one #SX of L2's, which L1 intercepts");
	} else {
		send_inits();
		meet();
		CHECK_IS(thin_counts[cpu].init - before, 0, "R_INIT: and none on the vCPU that has sent it");
	}
}

static void test_init_in_l1(unsigned int cpu)
{
	static volatile uint32_t ready;

	ready = 0;
	meet();
	if (cpu) {
		CHECK_IS(SELF_TRY("lock incl %0\n 1: pause\n jmp 1b", "m" (ready)), SX,
			 "R_INIT: without L2 it is #SX of the vCPU itself");
	} else {
		while (ready < CPUS - 1)
			asm volatile("pause");
		send_inits();
	}
	meet();
	self_wrmsr(MSR_VM_CR, 0);
}

static void load_and_unload(unsigned int cpu)
{
	struct state before, after;
	uint64_t failed;

	get_state(&before);
	failed = thin_load();
	CHECK_IS(failed, 0, "a vCPU virtualizes itself");
	if (failed)
		self_exit(1);
	CHECK(thin_runs(), "and goes on as L2");
	work(cpu, true);
	if (!cpu)
		check_work("locked additions in L2 are all there");
	meet();
	if (cpu == 1)
		test_hook(cpu);
	else
		use_page(cpu);
	meet();
	if (!thin_is_vmx && is_nestor)
		test_init_in_l2(cpu);
	meet();
	thin_unload();
	CHECK(!thin_runs(), "it unloads, and goes on without L2");
	get_state(&after);
	CHECK(same(&before, &after), "with the registers that it had");
	if (!thin_is_vmx && is_nestor)
		test_init_in_l1(cpu);
	work(cpu, false);
	if (!cpu)
		check_work("and so they are without L2");
	meet();
}

static void guest(void)
{
	unsigned int cpu = self_cpu(), round;

	if (!cpu) {
		page = self_page();
		other = self_page();
		make_function(page, 1);
		make_function(other, 2);
	}
	prepare(cpu);
	work(cpu, false);
	for (round = 0; round < ROUNDS; round++)
		load_and_unload(cpu);
	self_exit(0);
}

static void *run_to_end(void *arg)
{
	unsigned int cpu = (uintptr_t)arg;
	uint32_t word = self_run_cpu(&s, cpu);

	if (word)
		tap_fail("vCPU %u: L1 does not know what to do: %#x", cpu, word);
	return NULL;
}

static void reset_counters(void)
{
	memset((void *)mine, 0, sizeof(mine));
	shared = mistakes = 0;
}

static void on_all(pthread_t *threads, void (*function)(void), void *(*run)(void *))
{
	uintptr_t cpu;

	for (cpu = 0; cpu < CPUS; cpu++)
		self_start_cpu(&s, cpu, function);
	for (cpu = 0; cpu < CPUS; cpu++)
		pthread_create(&threads[cpu], NULL, run, (void *)cpu);
}

static void test_loading(void)
{
	pthread_t threads[CPUS];
	unsigned int cpu;

	reset_counters();
	on_all(threads, guest, run_to_end);
	for (cpu = 0; cpu < CPUS; cpu++)
		pthread_join(threads[cpu], NULL);
	self_report();
}

/* For ever, as L2. */
static void restless_guest(void)
{
	unsigned int cpu = self_cpu();
	uint64_t i;

	prepare(cpu);
	if (thin_load())
		self_exit(1);
	for (i = 0; ; i++) {
		step(cpu, i);
		if (i % 16)
			continue;
		use_registers(i + cpu);
		if (!thin_runs())
			mistake(8);
		send((cpu + 1) % CPUS, ICR_FIXED | IPI_VECTOR);
		self_wrmsr(MSR_X2APIC(APIC_SELF_IPI), SELF_VECTOR);
	}
}

static bool in_l2(int fd)
{
	struct nested_state saved;

	nested_get(fd, &saved);
	return saved.head.flags & KVM_STATE_NESTED_GUEST_MODE;
}

static volatile bool stop;
static volatile unsigned int interrupted[CPUS];

static void *run_restless(void *arg)
{
	unsigned int cpu = (uintptr_t)arg;
	int fd = s.cpus[cpu].fd, r;
	struct nested_state saved;

	/* L1 is interrupted as well, now and then. */
	while (!stop || !in_l2(fd)) {
		r = kvm_raw(fd, KVM_RUN, NULL);
		if (r != -EINTR)
			tap_fail("vCPU %u: KVM_RUN %d, word %#x", cpu, r, r ? 0 : self_word(&s, cpu));
		switch (interrupted[cpu]++ % 3) {
		case 0:
			nested_save_and_restore(fd);
			break;
		case 1:
			nested_get(fd, &saved);
			KVM(fd, KVM_SET_NESTED_STATE, &saved);
			break;
		}
	}
	return NULL;
}

static void nothing(int signal)
{
}

#define SIGNALS		10	/* that have interrupted each vCPU, at least */

static bool enough(unsigned int signals)
{
	unsigned int cpu;

	for (cpu = 0; cpu < CPUS; cpu++)
		if (interrupted[cpu] < signals || mine[cpu].work < 100)
			return false;
	return true;
}

static void start_restless(pthread_t *threads)
{
	reset_counters();
	stop = false;
	memset((void *)interrupted, 0, sizeof(interrupted));
	on_all(threads, restless_guest, run_restless);
}

/* All vCPUs interrupted again and again in L2, where they are when it ends. */
static void run_restlessly(void)
{
	unsigned int cpu, cpus_in_l2 = 0;
	uint64_t work = 0, ipis = 0;
	pthread_t threads[CPUS];

	signal(SIGUSR1, nothing);
	start_restless(threads);
	for (cpu = 0; !enough(SIGNALS); cpu = (cpu + 1) % CPUS) {
		sleep_ms(3);
		pthread_kill(threads[cpu], SIGUSR1);
	}
	stop = true;
	for (cpu = 0; cpu < CPUS; cpu++) {
		while (pthread_kill(threads[cpu], SIGUSR1), pthread_tryjoin_np(threads[cpu], NULL))
			sleep_ms(1);
		cpus_in_l2 += in_l2(s.cpus[cpu].fd);
		work += mine[cpu].work;
		ipis += mine[cpu].ipis;
	}
	tap_check(cpus_in_l2 == CPUS, "all vCPUs are in L2");
	tap_check(work <= shared && shared <= work + CPUS, "interrupted, saved and set they work as before");
	tap_check(ipis && !mistakes, "with interrupts, and without mistakes (%#llx)", (unsigned long long)mistakes);
}

static void set_timer(long us)
{
	const struct itimerval timer = { { 0, us }, { 0, us } };

	signal(SIGALRM, nothing);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Does a vCPU work, by itself? */
static bool works(unsigned int cpu)
{
	uint64_t before = mine[cpu].work;
	int i, r = -EINTR;

	set_timer(20000);
	for (i = 0; i < 5 && r == -EINTR && mine[cpu].work == before; i++)
		r = kvm_raw(s.cpus[cpu].fd, KVM_RUN, NULL);
	set_timer(0);
	return mine[cpu].work != before;
}

/* As a VMM that resets its machine does. */
static void wait_for_sipi(void)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	unsigned int cpu, waited = 0, work = 0;

	for (cpu = 0; cpu < CPUS; cpu++) {
		KVM(s.cpus[cpu].fd, KVM_SET_MP_STATE, &state);
		waited += !works(cpu);
	}
	tap_check(waited == CPUS, "vCPUs that are to wait for a SIPI do so in L2");
	state.mp_state = KVM_MP_STATE_RUNNABLE;
	for (cpu = 0; cpu < CPUS; cpu++) {
		KVM(s.cpus[cpu].fd, KVM_SET_MP_STATE, &state);
		work += works(cpu);
	}
	tap_check(work == CPUS, "and go on when they need not");
}

/* Without EFER.SVME there is no L2; without CR4.VMXE there is no VMX operation, which only VMXOFF ends. */
static void reset_registers(void)
{
	unsigned int cpu, refused = 0, in = 0, work = 0;

	for (cpu = 0; cpu < CPUS; cpu++) {
		int fd = s.cpus[cpu].fd;
		struct kvm_sregs sregs;

		KVM(fd, KVM_GET_SREGS, &sregs);
		sregs.cr0 = 0x60000010;
		sregs.cr3 = sregs.cr4 = sregs.efer = 0;
		sregs.cs.l = 0;
		refused += kvm_raw(fd, KVM_SET_SREGS, &sregs) == -EINVAL;
		in += in_l2(fd);
		work += works(cpu);
	}
	if (thin_is_vmx)
		/* Where L1 handles an exit there is no L2 either. */
		tap_check(refused == CPUS && work == CPUS, "the registers of a reset are refused, and it goes on");
	else
		tap_check(!refused && !in && !work, "with the registers of a reset there is no L2");
}

static void make_vm(void)
{
	struct nestor_entry_failure failure = {};

	thin_create(&s, CPUS);
	is_nestor = kvm_raw(s.vcpu, NESTOR_GET_ENTRY_FAILURE, &failure) != -EINVAL;
}

/* A VMM that dies while its vCPUs are in L2. */
static void kill_vmm(void)
{
	pthread_t threads[CPUS];
	int pipe_fds[2], status;
	pid_t child;
	char c;

	if (pipe(pipe_fds))
		tap_fail("pipe");
	child = fork();
	if (!child) {
		make_vm();
		start_restless(threads);
		while (!enough(0))
			sleep_ms(3);
		status = write(pipe_fds[1], "", 1);
		pause();
	}
	close(pipe_fds[1]);
	status = read(pipe_fds[0], &c, 1);
	tap_check(status == 1, "another VM works in L2");
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	close(pipe_fds[0]);
	tap_check(WIFSIGNALED(status), "until its VMM is killed");
}

int main(void)
{
	int ending;

	make_vm();
	test_loading();
	self_destroy(&s);
	for (ending = 0; ending < 2; ending++) {
		make_vm();
		run_restlessly();
		if (ending) {
			wait_for_sipi();
			reset_registers();
		}
		self_destroy(&s);
	}
	kill_vmm();
	return tap_done();
}
