// SPDX-License-Identifier: GPL-2.0
/*
 * L2 in an activity state in which it executes nothing.
 *
 * SDM, Activity State and VM Entries to Inactive States. The CPU is never in one of them for L2: the vCPU sleeps. So what
 * ends the state, or exits from it, is found here: a window that is open, the VMX-preemption timer. Interrupts, NMIs, INIT
 * and SIPI are those of any vCPU that sleeps.
 */
#include "irq/apic_logic.h"
#include "vmx/vmx.h"

static enum hrtimer_restart idle_timer_fn(struct hrtimer *timer)
{
	struct nested_vmx *nested = container_of(timer, struct nested_vmx, idle_timer);
	struct vcpu *vcpu = &container_of(nested, struct vmx_vcpu, nested)->vcpu;

	vcpu_request(vcpu, REQ_NESTED);
	vcpu_wake(vcpu);
	return HRTIMER_NORESTART;
}

void nested_vmx_idle_init(struct nested_vmx *nested)
{
	compat_hrtimer_setup(&nested->idle_timer, idle_timer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
}

/* What the state is, for vmcs12. */
u32 nested_vmx_activity(const struct vcpu *vcpu)
{
	if (vcpu->nested.shutdown)
		return ACTIVITY_SHUTDOWN;
	switch (vcpu->mp_state) {
	case KVM_MP_STATE_HALTED:
		return ACTIVITY_HLT;
	case KVM_MP_STATE_INIT_RECEIVED:
		return ACTIVITY_WAIT_SIPI;
	default:
		return ACTIVITY_ACTIVE;
	}
}

static void exit_idle(struct vmx_vcpu *vmx, u32 reason)
{
	vmx->nested.exit = (struct nested_exit){ .reason = reason };
	nested_vmx_exit(vmx);
}

/*
 * SDM, Interrupt-Window Exiting and NMI-Window Exiting: they come at once, from HLT, and the latter from the shutdown
 * state, too. 0: neither does.
 */
static u32 open_window(const struct vmcs12 *v)
{
	if (v->guest_activity == ACTIVITY_WAIT_SIPI)
		return 0;
	if (v->guest_activity == ACTIVITY_HLT && v->cpu_controls & CPU_INTR_WINDOW && v->guest_rflags & X86_EFLAGS_IF)
		return EXIT_REASON_INTERRUPT_WINDOW;
	if (v->cpu_controls & CPU_NMI_WINDOW && !(v->guest_interruptibility & INTERRUPTIBILITY_NMI))
		return EXIT_REASON_NMI_WINDOW;
	return 0;
}

/*
 * nested_vmx_load_activity - L1 has entered L2; an event that is injected ends the state
 *
 * enum run_next.
 */
int nested_vmx_load_activity(struct vmx_vcpu *vmx)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;
	struct vcpu *vcpu = &vmx->vcpu;
	u32 window;

	if (v->guest_activity == ACTIVITY_ACTIVE || v->entry_intr_info & INTR_VALID)
		return RUN_GUEST;
	/* Nothing runs that an event would have to wait for. */
	vmx->nested.run_pending = false;
	vcpu->mp_state = v->guest_activity == ACTIVITY_WAIT_SIPI ? KVM_MP_STATE_INIT_RECEIVED : KVM_MP_STATE_HALTED;
	vcpu->nested.shutdown = v->guest_activity == ACTIVITY_SHUTDOWN;
	window = open_window(v);
	if (window) {
		exit_idle(vmx, window);
		return RUN_GUEST;
	}
	/* Without an APIC here user space knows what ends it, as behind HLT. */
	if (v->guest_activity == ACTIVITY_HLT && !vcpu->lapic) {
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
		return vcpu_halt(vcpu);
	}
	return RUN_GUEST;
}

/*
 * nested_vmx_restore_activity - L2 goes on where its state was saved: KVM_MP_STATE_* has the state, but for shutdown
 */
void nested_vmx_restore_activity(struct vmx_vcpu *vmx)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;

	if (v->guest_activity != ACTIVITY_SHUTDOWN || (vmx->nested.run_pending && v->entry_intr_info & INTR_VALID))
		return;
	vmx->vcpu.nested.shutdown = true;
	vmx->vcpu.mp_state = KVM_MP_STATE_HALTED;
}

static bool timer_exits(const struct vmx_vcpu *vmx)
{
	return vmx->nested.timer_runs && vmx->vcpu.mp_state == KVM_MP_STATE_HALTED;
}

/*
 * nested_vmx_waits - the vCPU is about to sleep
 *
 * SDM, VMX-Preemption Timer: it counts on in HLT and shutdown, and exits from both.
 */
void nested_vmx_waits(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 khz = vcpu->cpu_state.tsc_khz;
	u64 ns;

	if (!timer_exits(vmx) || !khz)
		return;
	ns = apic_cycles_to_ns(nested_vmx_ticks_left(vmx), khz, KTIME_MAX);
	hrtimer_start(&vmx->nested.idle_timer, ktime_add_safe(ktime_get(), ns), HRTIMER_MODE_ABS_HARD);
}

/* nested_vmx_timer_ends_wait - the timer of an L2 that is halted has expired: L1 runs */
bool nested_vmx_timer_ends_wait(struct vmx_vcpu *vmx)
{
	if (!timer_exits(vmx) || nested_vmx_ticks_left(vmx))
		return false;
	exit_idle(vmx, EXIT_REASON_PREEMPTION_TIMER);
	return true;
}
