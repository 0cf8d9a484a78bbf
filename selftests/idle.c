// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that guests which idle by themselves (KVM_CAP_X86_DISABLE_EXITS) do so without exits and are
 * woken by interrupts, IPIs, NMIs and user space.
 *
 * nestor-test: cpu=amd kernel=6.1 cpus=1
 * nestor-test: cpu=amd kernel=7.3 cpus=2
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "flat.h"
#include "tap.h"

#define APIC		"0xfee00000"
#define TIMER_VECTOR	0x40
#define IPI_VECTOR	0x50	/* of a higher priority: nobody ends the interrupt before */

FLAT_CODE_BLOCK(
	/* Software-enable the APIC, arm its one-shot timer for EBX ticks of the divided bus clock, halt. */
	"halt_for_timer: movl $0x1ff, " APIC " + 0xf0\n"
	"	movl $0xb, " APIC " + 0x3e0\n movl $0x40, " APIC " + 0x320\n movl %ebx, " APIC " + 0x380\n"
	"	sti\n1: hlt\n jmp 1b\n"
	/*
	 * A mark in memory, and wait for what comes. Exits end a HLT on AMD CPUs, and on Bochs; with
	 * interrupts disabled Bochs keeps even those of the host from ending it.
	 */
	"halt_for_ipi:	movl $0x1ff, " APIC " + 0xf0\n movl $1, 0x8000\n sti\n1: hlt\n jmp 1b\n"
	"halt_alone:	sti\n1: incl 0x8000\n hlt\n jmp 1b\n"
	"send_ipi:	movl $0x1ff, " APIC " + 0xf0\n"
	"1:	cmpl $0, 0x8000\n je 1b\n mov $100000, %ecx\n2: loop 2b\n"
	"	movl $0, " APIC " + 0x310\n movl $0x4050, " APIC " + 0x300\n out %al, $0xfe\n"
	"do_rdmsr:	rdmsr\n out %al, $0xff\n"
	"do_nop:	nop\n out %al, $0xff\n"
);
extern const char halt_for_timer[], halt_for_ipi[], halt_alone[], send_ipi[], do_rdmsr[], do_nop[];

static struct flat f;
static int second;
static struct kvm_run *second_run;

static int disable(int vm, uint64_t exits)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS, .args[0] = exits };

	return kvm_raw(vm, KVM_ENABLE_CAP, &cap);
}

static void test_errors(int allowed)
{
	int vm = KVM_VALUE(f.sys, KVM_CREATE_VM, 0);

	tap_check(!(allowed & ~0xf), "only known bits are offered: %#x", allowed);
	tap_check(disable(vm, 1ull << 40) == -EINVAL, "an unknown bit");
	tap_check(disable(vm, 0x10) == -EINVAL || allowed & 0x10, "a bit that is not offered");
	tap_check(!disable(vm, allowed), "all that is offered");
	KVM_VALUE(vm, KVM_CREATE_VCPU, 0);
	tap_check(disable(vm, allowed) == -EINVAL, "not when there is a vCPU");
	close(vm);
}

static void on_alarm(int sig)
{
}

/* The vCPU does not come back by itself: see what it does for a while. */
static int run_for_a_while(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	int r;

	sigaction(SIGALRM, &sa, NULL);
	ualarm(300000, 0);
	r = flat_run(&f);
	ualarm(0, 0);
	return r;
}

static void test_halt(void)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	int64_t before = kvm_counter(f.vcpu, "halt_exits");

	flat_go(&f, halt_for_timer, 0, &(struct kvm_regs){ .rbx = 100000000 });
	tap_check(flat_at_port(&f, TIMER_VECTOR), "a halted vCPU is woken by its timer");
	tap_check(kvm_counter(f.vcpu, "halt_exits") == before, "and did not exit for the HLT");

	flat_prepare(&f, halt_alone, 0, NULL);
	memset(f.memory + FLAT_DATA, 0, 4);
	tap_check(run_for_a_while() == 0 && f.memory[FLAT_DATA], "with nothing to come it halts, and signals get it out");
	KVM(f.vcpu, KVM_GET_MP_STATE, &mp);
	tap_check(mp.mp_state == KVM_MP_STATE_RUNNABLE, "for user space it runs");
	KVM(f.vcpu, KVM_NMI, NULL);
	run_for_a_while();
	tap_check(flat_at_port(&f, 2), "an NMI wakes it");

	flat_prepare(&f, halt_alone, 0, NULL);
	run_for_a_while();
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	KVM(f.vcpu, KVM_SET_MP_STATE, &mp);
	flat_prepare(&f, do_nop, 0, NULL);
	run_for_a_while();
	tap_check(flat_at_port(&f, FLAT_DONE), "and KVM_SET_MP_STATE, for a VMM that resets it");
}

static void *run_second(void *unused)
{
	struct kvm_regs r = { .rip = flat_address(send_ipi), .rsp = FLAT_STACK - 0x1000, .rflags = FL_FIXED };

	flat_set_mode(second);
	KVM(second, KVM_SET_REGS, &r);
	KVM(second, KVM_RUN, NULL);
	return NULL;
}

static void test_ipi(void)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	pthread_t thread;

	KVM(second, KVM_SET_MP_STATE, &mp);
	memset(f.memory + FLAT_DATA, 0, 4);
	pthread_create(&thread, NULL, run_second, NULL);
	flat_go(&f, halt_for_ipi, 0, NULL);
	tap_check(flat_at_port(&f, IPI_VECTOR), "a halted vCPU is woken by another's IPI");
	pthread_join(thread, NULL);
	tap_check(second_run->exit_reason == KVM_EXIT_IO && second_run->io.port == 0xfe, "which goes on");
}

/* C-state counters: what the CPU says, a value or a fault, without user space being asked. */
static void test_cstate_msrs(void)
{
	if (flat_is_amd()) {
		tap_skip("AMD CPUs have no C-state counters");
		return;
	}
	flat_go(&f, do_rdmsr, 0, &(struct kvm_regs){ .rcx = 0x3fd });
	tap_check(flat_at_port(&f, FLAT_DONE) || flat_at_port(&f, 13), "a C-state counter is the CPU's");
	flat_go(&f, do_rdmsr, 0, &(struct kvm_regs){ .rcx = 0x3fff });
	tap_check(f.run->exit_reason == KVM_EXIT_X86_RDMSR, "another MSR is not");
}

int main(void)
{
	struct kvm_enable_cap msrs = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
				       .args[0] = KVM_MSR_EXIT_REASON_UNKNOWN };
	int allowed, size;

	flat_create_vm(&f);
	allowed = kvm_cap(f.sys, KVM_CAP_X86_DISABLE_EXITS);
	test_errors(allowed);
	if (!(allowed & KVM_X86_DISABLE_EXITS_HLT)) {
		tap_skip("HLT exits cannot be disabled here");
		return tap_done();
	}
	KVM(f.vm, KVM_CREATE_IRQCHIP, NULL);
	KVM(f.vm, KVM_ENABLE_CAP, &msrs);
	disable(f.vm, allowed);
	flat_create_vcpu(&f);
	second = KVM_VALUE(f.vm, KVM_CREATE_VCPU, 1);
	size = KVM(f.sys, KVM_GET_VCPU_MMAP_SIZE, NULL);
	second_run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, second, 0);
	test_halt();
	test_ipi();
	test_cstate_msrs();
	return tap_done();
}
