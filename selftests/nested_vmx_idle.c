// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a guest hypervisor can enter its guest in an activity state in which it executes nothing: what ends HLT and
 * the shutdown state, and what does not; and that it can have HLT exit where its own does not.
 *
 * nestor-test: cpu=intel kernel=6.1,7.3 cpus=1 timeout=900
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "nested.h"
#include "self.h"
#include "tap.h"
#include "vmx_l1.h"

static struct self s;

/* L1 is about to enter an L2 that sleeps, until the host sends an NMI; after an SMI; or a machine check. */
enum { SLEEPS = 100, SMI_AND_NMI, MACHINE_CHECK };

#define SMM_CODE	0x38000
#define SMM_PORT	0x51
#define EXC_MC		18
#define CR4_MCE		0x40
#define MSR_MCG_STATUS	0x17a

enum { ACTIVE, HLT, SHUTDOWN };
enum { PIN_INTR = 1, PIN_NMI = 8, PIN_VIRTUAL_NMIS = 0x20, PIN_TIMER = 0x40 };
enum { CPU_INTR_WINDOW = 4, CPU_HLT_EXITING = 0x80, CPU_MWAIT_EXITING = 0x400, CPU_NMI_WINDOW = 0x400000,
       CPU_PAUSE_EXITING = 0x40000000 };

#define EXIT_ACK_INTR	0x8000
#define EXIT_INTERRUPT	1
#define EXIT_INTERRUPT_WINDOW 7
#define EXIT_NMI_WINDOW	8
#define EXIT_MWAIT	36
#define EXIT_PAUSE	40
#define INVALID_STATE	0x80000021

L2(l2_nop, "nop");

static void begin(uint64_t activity, uint32_t pin, uint32_t cpu)
{
	start(l2_nop, cpu, CPU2_EPT);
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, pin));
	vmwrite(EXIT_CONTROLS, adjust(MSR_VMX_TRUE_EXIT, EXIT_HOST_64 | EXIT_ACK_INTR));
	vmwrite(GUEST_ACTIVITY, activity);
	self_fault.vector = -1;
	self_recover = (uint64_t)l2_nop;
}

static void test_interrupt(void)
{
	self_wrmsr(0x1b, self_rdmsr(0x1b) | 0xc00);
	self_wrmsr(0x80f, 0x1ff);
	self_wrmsr(0x83f, 0xf1);
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, 0);
	self_exit(SLEEPS);
	CHECK_IS(enter(true), EXIT_EXCEPTION, "an NMI exits from the shutdown state, and no interrupt does");
	CHECK_IS(field(EXIT_INTR_INFO), 0x80000202, "with its vector");
	CHECK_IS(field(GUEST_ACTIVITY), SHUTDOWN, "the state is saved");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_nop, "and nothing was executed");
	vmwrite(GUEST_ACTIVITY, HLT);
	CHECK_IS(enter(false), EXIT_INTERRUPT, "from HLT the interrupt exits");
	CHECK_IS(field(EXIT_INTR_INFO), 0x800000f1, "with its vector");
	CHECK_IS(field(GUEST_ACTIVITY), HLT, "and the state is saved");
	self_wrmsr(0x80b, 0);
}

static void test_nmi(void)
{
	begin(SHUTDOWN, PIN_INTR, 0);
	self_exit(SLEEPS);
	CHECK_IS(enter(true), EXIT_VMCALL, "an NMI that L1 does not want ends the shutdown state");
	CHECK_IS(self_fault.vector, 2, "and is delivered");
	CHECK_IS(field(GUEST_ACTIVITY), ACTIVE, "L2 is active then");
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, 0);
	vmwrite(ENTRY_INTR_INFO, 0x80000202);
	CHECK_IS(enter(true), EXIT_VMCALL, "an NMI can be injected into it");
	CHECK_IS(self_fault.vector, 2, "and is delivered");
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, 0);
	vmwrite(GUEST_RFLAGS, 0x202);
	vmwrite(ENTRY_INTR_INFO, 0x80000030);
	CHECK_IS(enter(true), INVALID_STATE, "an interrupt cannot");
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, 0);
	vmwrite(GUEST_RFLAGS, 0x202);
	vmwrite(GUEST_INTERRUPTIBILITY, 1);
	CHECK_IS(enter(true), INVALID_STATE, "nor is it entered with blocking by STI");
}

static void test_windows(void)
{
	begin(SHUTDOWN, PIN_INTR | PIN_NMI | PIN_VIRTUAL_NMIS, CPU_NMI_WINDOW);
	CHECK_IS(enter(true), EXIT_NMI_WINDOW, "an NMI window exits from the shutdown state");
	CHECK_IS(field(GUEST_ACTIVITY), SHUTDOWN, "which is saved");
	begin(HLT, PIN_INTR | PIN_NMI | PIN_VIRTUAL_NMIS, CPU_NMI_WINDOW);
	CHECK_IS(enter(true), EXIT_NMI_WINDOW, "and from HLT");
	begin(HLT, PIN_INTR | PIN_NMI, CPU_INTR_WINDOW);
	vmwrite(GUEST_RFLAGS, 0x202);
	CHECK_IS(enter(true), EXIT_INTERRUPT_WINDOW, "an interrupt window exits from HLT");
	CHECK_IS(field(GUEST_ACTIVITY), HLT, "which is saved");
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, CPU_INTR_WINDOW);
	vmwrite(GUEST_RFLAGS, 0x202);
	self_exit(SLEEPS);
	CHECK_IS(enter(true), EXIT_EXCEPTION, "and not from the shutdown state");
}

static void test_timer(void)
{
	if (!(self_rdmsr(MSR_VMX_TRUE_PIN) >> 32 & PIN_TIMER))
		return;
	begin(SHUTDOWN, PIN_INTR | PIN_NMI | PIN_TIMER, 0);
	vmwrite(PREEMPTION_TIMER, 100000);
	CHECK_IS(enter(true), EXIT_TIMER, "the VMX-preemption timer exits from the shutdown state");
	CHECK_IS(field(GUEST_ACTIVITY), SHUTDOWN, "which is saved");
	vmwrite(GUEST_ACTIVITY, HLT);
	vmwrite(PREEMPTION_TIMER, 0);
	CHECK_IS(enter(false), EXIT_TIMER, "and from HLT");
}

/* SDM, SMI Handling: RSM goes back to where the SMI came, and of all exceptions machine checks come by themselves. */
static void test_smi_and_machine_check(void)
{
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, 0);
	self_exit(SMI_AND_NMI);
	CHECK_IS(enter(true), EXIT_EXCEPTION, "an NMI exits from the shutdown state that an SMI has interrupted");
	CHECK_IS(field(GUEST_ACTIVITY), SHUTDOWN, "which is saved");
	CHECK_IS(field(GUEST_RIP), (uint64_t)l2_nop, "and nothing was executed");
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, 0);
	vmwrite(GUEST_CR4, field(GUEST_CR4) | CR4_MCE);
	vmwrite(EXCEPTION_BITMAP, 1 << EXC_MC);
	self_exit(MACHINE_CHECK);
	CHECK_IS(enter(true), EXIT_EXCEPTION, "a machine check exits from the shutdown state");
	CHECK_IS(field(EXIT_INTR_INFO), 0x80000300 | EXC_MC, "with its vector");
	CHECK_IS(field(GUEST_ACTIVITY), SHUTDOWN, "which is saved");
	self_wrmsr(MSR_MCG_STATUS, 0);
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, 0);
	vmwrite(GUEST_CR4, field(GUEST_CR4) | CR4_MCE);
	vmwrite(EXCEPTION_BITMAP, 0);
	self_exit(MACHINE_CHECK);
	CHECK_IS(enter(true), EXIT_VMCALL, "one that L1 does not want ends it");
	CHECK_IS(self_fault.vector, EXC_MC, "and is delivered");
	CHECK_IS(field(GUEST_ACTIVITY), ACTIVE, "L2 is active then");
}

static void guest(void)
{
	enter_vmx_operation();
	make_ept();
	CHECK(self_rdmsr(MSR_VMX_MISC) >> 7 & 1, "the shutdown state is offered");
	test_interrupt();
	test_nmi();
	test_smi_and_machine_check();
	test_windows();
	test_timer();
	self_exit(0);
}

static void guest_without(void)
{
	enter_vmx_operation();
	make_ept();
	CHECK(!(self_rdmsr(MSR_VMX_MISC) >> 7 & 1), "user space takes the shutdown state away");
	begin(SHUTDOWN, PIN_INTR | PIN_NMI, 0);
	CHECK_IS(enter(true), INVALID_STATE, "and it is refused");
	self_exit(0);
}

L2(l2_hlt, "hlt");
L2(l2_pause, "pause");
L2(l2_mwait, "xor %ecx, %ecx\n mwait");

static void guest_without_exits(void)
{
	enter_vmx_operation();
	make_ept();
	start(l2_hlt, CPU_HLT_EXITING, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_HLT, "L1 has HLT exit of a VM without such exits");
	start(l2_pause, CPU_PAUSE_EXITING, CPU2_EPT);
	CHECK_IS(enter(true), EXIT_PAUSE, "and PAUSE");
	if (self_rdmsr(MSR_VMX_TRUE_CPU) >> 32 & CPU_MWAIT_EXITING) {
		start(l2_mwait, CPU_MWAIT_EXITING, CPU2_EPT);
		CHECK_IS(enter(true), EXIT_MWAIT, "and MWAIT");
	}
	self_exit(0);
}

static void take_away(void)
{
	struct { struct kvm_msrs list; struct kvm_msr_entry entry; } m = { .list.nmsrs = 1, .entry.index = MSR_VMX_MISC };

	KVM(s.vcpu, KVM_GET_MSRS, &m);
	m.entry.data &= ~(1ull << 7);
	tap_check(kvm_raw(s.vcpu, KVM_SET_MSRS, &m) == 1, "IA32_VMX_MISC without it is accepted");
}

static void nothing(int signal)
{
}

#define SAVED_ACTIVITY	916	/* in a saved VMCS, whose layout is upstream's */

static void see_it_sleep(void)
{
	const struct itimerval later = { .it_value.tv_usec = 100000 };
	int r;

	setitimer(ITIMER_REAL, &later, NULL);
	r = kvm_raw(s.vcpu, KVM_RUN, NULL);
	if (r != -EINTR)
		tap_fail("L2 does not sleep: %d, exit reason %u", r, s.run->exit_reason);
}

static void send_smi(void)
{
	static const uint8_t handler[] = { 0xe6, SMM_PORT, 0x0f, 0xaa };

	memcpy(s.memory + SMM_CODE, handler, sizeof(handler));
	KVM(s.vcpu, KVM_SMI, NULL);
	KVM(s.vcpu, KVM_RUN, NULL);
	tap_check(s.run->exit_reason == KVM_EXIT_IO && s.run->io.port == SMM_PORT, "an SMI interrupts it");
	see_it_sleep();
}

static void send_machine_check(void)
{
	struct kvm_x86_mce mce = { .status = 1ull << 63 | 1ull << 61 | 1ull << 60, .mcg_status = 5, .bank = 1 };

	KVM(s.vcpu, KVM_X86_SETUP_MCE, &(uint64_t){ 2 });
	KVM(s.vcpu, KVM_X86_SET_MCE, &mce);
}

static void check_state(void)
{
	static struct nested_state state;
	struct kvm_mp_state mp = {};
	uint32_t activity;

	KVM(s.vcpu, KVM_GET_MP_STATE, &mp);
	tap_check(mp.mp_state == KVM_MP_STATE_HALTED, "the vCPU counts as halted");
	nested_get(s.vcpu, &state);
	memcpy(&activity, state.data + SAVED_ACTIVITY, sizeof(activity));
	tap_check(activity == SHUTDOWN, "the saved VMCS tells how");
	KVM(s.vcpu, KVM_SET_NESTED_STATE, &state);
	KVM(s.vcpu, KVM_SET_MP_STATE, &mp);
	see_it_sleep();
}

static void while_it_sleeps(uint32_t word)
{
	const struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGALRM, &action, NULL);
	see_it_sleep();
	check_state();
	if (word == MACHINE_CHECK) {
		send_machine_check();
		return;
	}
	if (word == SMI_AND_NMI) {
		send_smi();
		check_state();
	}
	KVM(s.vcpu, KVM_NMI, NULL);
}

int main(void)
{
	self_create_vmx(&s);
	self_share_with_smm(&s);
	self_run_all(&s, guest, while_it_sleeps);
	self_destroy(&s);
	self_create(&s);
	take_away();
	self_run_all(&s, guest_without, NULL);
	self_destroy(&s);
	self_prepare_vm = vm_disable_exits;
	self_create(&s);
	self_run_all(&s, guest_without_exits, NULL);
	return tap_done();
}
