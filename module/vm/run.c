// SPDX-License-Identifier: GPL-2.0
/*
 * The run loop: KVM_RUN's two worlds.
 *
 * Outside a burst a vCPU's thread is ordinary kernel code: it may sleep, fault pages in, wait for
 * interrupts, return to user space. Inside a burst interrupts are off, the CPU is in root mode, and
 * the guest's registers are loaded; exits that need none of the above are handled and the guest is
 * entered again. Nothing of the guest or of the hypervisor stays on the CPU between bursts.
 */
#include <linux/context_tracking.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/smp.h>
#include <linux/vtime.h>
#include <asm/fpu/api.h>

#include "cpu/smm.h"
#include "irq/irq.h"
#include "pv/hyperv.h"
#include "pv/pv.h"
#include "vm/halt.h"
#include "vm/ops.h"
#include "trace/trace.h"

static inline bool vcpu_is_running(const struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->mp_state) == KVM_MP_STATE_RUNNABLE;
}

/* The CPU that the vCPU is in a burst on, if that is another one; else -1. Preemption off. */
static int kick_target(const struct vcpu *vcpu)
{
	int cpu;

	smp_mb();
	if (READ_ONCE(vcpu->mode) != VCPU_IN_GUEST)
		return -1;
	cpu = READ_ONCE(vcpu->cpu);
	/* On its own CPU the caller is the vCPU's handler, or an interrupt that ended the burst. */
	return cpu >= 0 && cpu != smp_processor_id() && cpu_online(cpu) ? cpu : -1;
}

/*
 * vcpu_kick - make the vCPU look at its requests
 *
 * Outside a burst it looks by itself before the next one. The mode is written before the requests
 * are read there, and the request was written before the mode is read here, so one of the two sees
 * the other.
 */
void vcpu_kick(struct vcpu *vcpu)
{
	int cpu;

	preempt_disable();
	cpu = kick_target(vcpu);
	if (cpu >= 0)
		smp_send_reschedule(cpu);
	preempt_enable();
}

void vcpu_wake(struct vcpu *vcpu)
{
	if (!rcuwait_wake_up(&vcpu->wait))
		vcpu_kick(vcpu);
}

/*
 * In a burst the doorbell makes the CPU look for requests, or stays pending for the next entry to do so, or is nothing to the
 * host: the next entry looks by itself, as does a vCPU that goes to sleep.
 */
void vcpu_wake_posted(struct vcpu *vcpu)
{
	int cpu;

	if (rcuwait_wake_up(&vcpu->wait))
		return;
	preempt_disable();
	cpu = kick_target(vcpu);
	if (cpu >= 0)
		vendor->doorbell(cpu);
	preempt_enable();
}

static void ack_kick(void *unused)
{
}

/* Those that have one of the requests @reqs to serve, or all: 0. */
static void kick_sync(struct vm *vm, unsigned long reqs)
{
	struct vcpu *vcpu;
	cpumask_var_t mask;
	int i, cpu, me;

	if (!zalloc_cpumask_var(&mask, GFP_ATOMIC)) {
		on_each_cpu(ack_kick, NULL, 1);
		return;
	}
	me = get_cpu();
	/* Whatever the caller changed is visible before the modes are read; pairs with burst_begin(). */
	smp_mb();
	vm_for_each_vcpu(i, vcpu, vm) {
		if (READ_ONCE(vcpu->mode) != VCPU_IN_GUEST)
			continue;
		if (reqs && !(READ_ONCE(vcpu->requests) & reqs))
			continue;
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu >= 0 && cpu != me)
			__cpumask_set_cpu(cpu, mask);
	}
	smp_call_function_many(mask, ack_kick, NULL, true);
	put_cpu();
	free_cpumask_var(mask);
}

/*
 * vm_kick_all_sync - wait until every vCPU has left the burst that it is in
 *
 * An interrupt is taken only between bursts, so the acknowledged IPI is the proof. May sleep; not
 * from inside a burst.
 */
void vm_kick_all_sync(struct vm *vm)
{
	kick_sync(vm, 0);
}

/*
 * vm_wait_for_readers - wait for all who read what vm->srcu protects: in a burst it is not taken
 *
 * As vm_kick_all_sync(); under vm->slots_lock.
 */
void vm_wait_for_readers(struct vm *vm)
{
	synchronize_srcu_expedited(&vm->srcu);
	vm_kick_all_sync(vm);
}

/* A vCPU whose request is no longer there has left its burst to serve it. */
void vm_kick_requested_sync(struct vm *vm, enum vcpu_req req)
{
	kick_sync(vm, BIT(req));
}

bool vcpu_ready_for_interrupt_injection(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;

	if (irqchip_mode(vcpu->vm) == IRQCHIP_KERNEL)
		return true;
	/* A queued interrupt or exception comes first: user space must not overwrite it. */
	return vendor_call(interrupt_allowed)(vcpu) && !ev->interrupt.injected &&
	       !ev->exception.pending && irq_pending(vcpu) < 0;
}

#define REQS_ENDING	(BIT(REQ_TRIPLE_FAULT) | BIT(REQ_VM_DEAD))
#define REQS_WAKING	(BIT(REQ_UNHALT) | BIT(REQ_APF_READY) | REQS_ENDING)

/* Something to do for a halted vCPU? Registers that the answer needs were fetched by the HLT handler. */
static bool vcpu_has_event(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;

	if (ev->exception.pending || vcpu->nested.exception.pending)
		return true;
	if (test_bit(REQ_SMI, &vcpu->requests) && !ev->in_smm)
		return true;
	if ((ev->nmi.pending || atomic_read(&ev->nmi.queued)) && vendor->nmi_allowed(vcpu))
		return true;
	/* The rest ends a halt, and no shutdown. */
	if (unlikely(vcpu->nested.shutdown))
		return READ_ONCE(vcpu->requests) & REQS_ENDING;
	if (ev->interrupt.injected || vcpu->nested.stepped)
		return true;
	if (READ_ONCE(vcpu->requests) & REQS_WAKING)
		return true;
	if (unlikely(vcpu->nested.guest_mode) && vendor->nested->wakes && vendor->nested->wakes(vcpu))
		return true;
	return irq_pending(vcpu) >= 0 && vendor_call(interrupt_allowed)(vcpu);
}

bool vcpu_runnable(struct vcpu *vcpu)
{
	if (vcpu->lapic && lapic_has_init_or_sipi(vcpu))
		return true;
	switch (READ_ONCE(vcpu->mp_state)) {
	case KVM_MP_STATE_RUNNABLE:
		return true;
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_AP_RESET_HOLD:
		return vcpu_has_event(vcpu);
	default:
		return test_bit(REQ_VM_DEAD, &vcpu->requests);
	}
}

/* A timer that has expired is served before its vCPU is known to have something to run for. */
bool vcpu_must_wake(struct vcpu *vcpu)
{
	return vcpu_runnable(vcpu) || (READ_ONCE(vcpu->requests) & (BIT(REQ_HYPERV) | BIT(REQ_NESTED)) &&
				       vcpu->mp_state != KVM_MP_STATE_UNINITIALIZED);
}

/* enum run_next or -errno. */
static int serve_nested(struct vcpu *vcpu)
{
	return vcpu_take_request(vcpu, REQ_NESTED) ? vendor->nested->sync(vcpu) : RUN_GUEST;
}

/* A vCPU that is halted or waits for INIT or SIPI. enum run_next or -errno. */
static int vcpu_block(struct vcpu *vcpu)
{
	/* An L2 that was restored halted: until its memory was read nothing can wake it. */
	if (unlikely(test_bit(REQ_NESTED, &vcpu->requests)))
		return serve_nested(vcpu);
	/* A timer sends its interrupt here; a vCPU that goes on sleeping comes back. */
	if (unlikely(test_bit(REQ_HYPERV, &vcpu->requests)))
		return hv_serve_requests(vcpu);
	/* interrupt_allowed() asks for these on every wake-up; fetch them once, while it is allowed. */
	vcpu_fetch(vcpu, REGS_RFLAGS | REGS_SHADOW);
	if (!vcpu_runnable(vcpu)) {
		if (vcpu->cpu_deadline)
			lapic_timer_to_host(vcpu);
		if (unlikely(vcpu->nested.guest_mode) && vendor->nested->waits)
			vendor->nested->waits(vcpu);
		vcpu_wait(vcpu);
		if (!vcpu_runnable(vcpu))
			return RUN_GUEST;	/* the signal or request is seen by the caller */
		vcpu->stats.halt_wakeup++;
	}
	/* Its interrupt will end the halt. */
	if (vcpu_take_request(vcpu, REQ_APF_READY)) {
		apf_deliver(vcpu);
		return RUN_GUEST;
	}
	vcpu_take_request(vcpu, REQ_UNHALT);
	if (vcpu->lapic && lapic_has_init_or_sipi(vcpu)) {
		lapic_accept_events(vcpu);
		return RUN_GUEST;
	}
	/* What L1 takes, it takes from an L2 that is halted. */
	if (unlikely(vcpu->nested.guest_mode)) {
		if (nested_take_events(vcpu)) {
			vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
			return RUN_GUEST;
		}
		/* It may have been a notification that ends no halt. */
		if (!vcpu_runnable(vcpu))
			return RUN_GUEST;
		/* The handler of an SMI returns to it. */
		if (!test_bit(REQ_SMI, &vcpu->requests))
			vcpu->nested.shutdown = false;
	}
	switch (vcpu->mp_state) {
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_AP_RESET_HOLD:
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
		break;
	}
	return RUN_GUEST;
}

static int triple_fault(struct vcpu *vcpu)
{
	if (nested_takes(vcpu, NESTED_SHUTDOWN))
		return RUN_GUEST;
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return RUN_USER;
}

/* The request stays while it is true: the guest may not write to memory that nobody would report. */
static bool dirty_ring_exit(struct vcpu *vcpu)
{
	if (!vcpu_take_request(vcpu, REQ_DIRTY_RING_FULL) || !dirty_ring_soft_full(vcpu))
		return false;
	vcpu_request(vcpu, REQ_DIRTY_RING_FULL);
	vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
	return true;
}

/* Requests that need an ordinary context. enum run_next or -errno. */
static int vcpu_serve_requests(struct vcpu *vcpu)
{
	int r;

	if (vcpu_take_request(vcpu, REQ_VM_DEAD)) {
		/* Stays set: the VM will not run again. */
		set_bit(REQ_VM_DEAD, &vcpu->requests);
		return -EIO;
	}
	if (dirty_ring_exit(vcpu))
		return RUN_USER;
	vcpu_take_request(vcpu, REQ_KICK);
	if (vcpu_take_request(vcpu, REQ_MASTERCLOCK))
		kvmclock_master_update(vcpu->vm);
	if (vcpu_take_request(vcpu, REQ_CLOCK_UPDATE))
		kvmclock_update(vcpu);
	if (vcpu_take_request(vcpu, REQ_STEAL_UPDATE))
		steal_time_update(vcpu);
	if (vcpu_take_request(vcpu, REQ_APF_READY))
		apf_deliver(vcpu);
	/* Another vCPU does not know which level runs here. */
	if (vcpu_take_request(vcpu, REQ_TLB_FLUSH))
		vendor->tlb_flush(vcpu, TLB_LEVELS);
	if (vcpu_take_request(vcpu, REQ_INTERCEPTS))
		vendor->intercepts_changed(vcpu);
	r = serve_nested(vcpu);
	if (unlikely(r != RUN_GUEST))
		return r;
	if (vcpu_take_request(vcpu, REQ_EOI_VECTORS))
		lapic_hw_renew_eoi_vectors(vcpu);
	if (vcpu_take_request(vcpu, REQ_IOAPIC_EOI_EXIT)) {
		vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
		vcpu->run->eoi.vector = lapic_pending_ioapic_eoi(vcpu);
		return RUN_USER;
	}
	if (vcpu_take_request(vcpu, REQ_TPR_ACCESS)) {
		vcpu->run->exit_reason = KVM_EXIT_TPR_ACCESS;
		vcpu->run->tpr_access.rip = vcpu->tpr_access.rip;
		vcpu->run->tpr_access.is_write = vcpu->tpr_access.write;
		return RUN_USER;
	}
	if (vcpu_take_request(vcpu, REQ_TRIPLE_FAULT))
		return triple_fault(vcpu);
	if (vcpu_take_request(vcpu, REQ_SMI))
		smm_serve(vcpu);
	/* Behind the clock, which timers are compared with. */
	if (unlikely(test_bit(REQ_HYPERV, &vcpu->requests))) {
		r = hv_serve_requests(vcpu);
		if (r != RUN_GUEST)
			return r;
	}
	if (vcpu->lapic && lapic_has_init_or_sipi(vcpu)) {
		vcpu_fetch(vcpu, REGS_ALL);
		lapic_accept_events(vcpu);
		if (!vcpu_is_running(vcpu))
			return RUN_GUEST;
	}
	return RUN_GUEST;
}

/*
 * All others end the burst. A wake-up stays until the next HLT and makes that one return at once: it may
 * come between the guest's last look at a lock and its HLT.
 */
#define REQS_IN_BURST	(BIT(REQ_EVENT) | BIT(REQ_UNHALT))

static inline bool burst_must_end(struct vcpu *vcpu)
{
	return compat_work_pending() || local_softirq_pending() ||
	       READ_ONCE(vcpu->requests) & ~REQS_IN_BURST || !vcpu_is_running(vcpu) ||
	       (vcpu->request_interrupt_window && vcpu_ready_for_interrupt_injection(vcpu));
}

/* Does anything wait for the next entry? */
static inline bool events_waiting(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;
	/* Nearly always nothing: one branch for all. */
	bool some = ev->exception.pending | ev->exception.injected | (ev->nmi.pending != 0) | ev->nmi.injected |
		    ev->interrupt.injected | vcpu->nested.exception.pending | vcpu->request_interrupt_window;

	return READ_ONCE(vcpu->requests) & ~BIT(REQ_UNHALT) || some;
}

static void trace_exit_info(struct vcpu *vcpu)
{
	u64 info1, info2;
	u32 reason, intr, error;

	vendor->exit_info(vcpu, &reason, &info1, &info2, &intr, &error);
	trace_exit(vcpu->id, reason, vcpu_rip(vcpu), info1, info2, intr, error);
}

/* Enter, handle, enter again. enum run_next or -errno; interrupts off. */
static int burst_loop(struct vcpu *vcpu)
{
	bool pkru;
	int r;

	do {
		if (unlikely(events_waiting(vcpu))) {
			vcpu_take_request(vcpu, REQ_EVENT);
			vcpu_inject_events(vcpu);
			/* Injecting may find that the guest cannot go on: a triple fault. */
			if (unlikely(READ_ONCE(vcpu->requests) & ~REQS_IN_BURST)) {
				vendor->cancel_injection(vcpu);
				return RUN_GUEST;
			}
		}
		if (trace_enter_enabled())
			trace_enter(vcpu->id, vcpu_rip(vcpu));

		pkru = guest_uses_pkru(&vcpu->cpu_state);
		if (unlikely(pkru))
			guest_pkru_enter(vcpu);
		vendor_call(enter)(vcpu);
		if (unlikely(pkru))
			guest_pkru_leave(vcpu);

		vcpu->stats.exits++;
		if (trace_exit_enabled())
			trace_exit_info(vcpu);
		if (unlikely(vcpu->apic_attention))
			lapic_attend(vcpu);
		r = vendor_call(handle_exit)(vcpu);
	} while (r == RUN_GUEST && !burst_must_end(vcpu));
	return r;
}

/*
 * One burst. What begins here ends here in the opposite order, with interrupts off all the way: on
 * 7.x a softirq could otherwise use the FPU and find the guest's registers in it.
 *
 * Inlined, so that @loop is no indirect call.
 */
static __always_inline int burst(struct vcpu *vcpu, int (*loop)(struct vcpu *vcpu))
{
	int r = RUN_GUEST;

	local_irq_disable();
	WRITE_ONCE(vcpu->cpu, smp_processor_id());
	/* Orders the mode before the reads of requests and TLB generation; pairs with vcpu_kick(). */
	smp_store_mb(vcpu->mode, VCPU_IN_GUEST);
	if (unlikely(burst_must_end(vcpu)))
		goto out;

	kernel_fpu_begin_mask(0);
	r = vendor_call(burst_enter)(vcpu);
	if (likely(!r)) {
		compat_rcu_note_guest();
		vtime_account_guest_enter();
		guest_state_enter(vcpu);
		vcpu->in_burst = true;
		vcpu->launched_once = true;
		vcpu->stats.bursts++;
		count_op(bursts);

		r = loop(vcpu);

		vcpu->in_burst = false;
		compat_guest_ran();
		guest_state_leave(vcpu);
		vendor_call(burst_leave)(vcpu);
		vcpu->last_cpu = vcpu->cpu;
	}
	kernel_fpu_end();
	WRITE_ONCE(vcpu->cpu, -1);
	smp_store_release(&vcpu->mode, VCPU_OUTSIDE);
	/* The interrupt that ended the burst is taken here, and is the guest's time for the tick. */
	if (unlikely(vcpu->host_vector))
		vendor->host_interrupt(vcpu);
	local_irq_enable();
	local_irq_disable();
	vtime_account_guest_exit();
	local_irq_enable();
	return r;
out:
	WRITE_ONCE(vcpu->cpu, -1);
	smp_store_release(&vcpu->mode, VCPU_OUTSIDE);
	local_irq_enable();
	return r;
}

static int vcpu_burst(struct vcpu *vcpu)
{
	return burst(vcpu, burst_loop);
}

/* One round: requests, a burst, and the exit that ended it. enum run_next or -errno. */
static int vcpu_enter_guest(struct vcpu *vcpu)
{
	int r;

	if (unlikely(READ_ONCE(vcpu->requests) & ~REQS_IN_BURST)) {
		r = vcpu_serve_requests(vcpu);
		if (r != RUN_GUEST || !vcpu_is_running(vcpu))
			return r;
	}
	r = mmu_topup(vcpu);
	if (unlikely(r))
		return r;
	r = vcpu_burst(vcpu);
	/* A page that was missing in the burst is brought in now. */
	if (unlikely(vcpu->apic_attention & (APIC_PV_EOI | APIC_VAPIC_UNREAD)))
		lapic_attend(vcpu);
	if (unlikely(vcpu->events.smi_deferred)) {
		vcpu->events.smi_deferred = false;
		vcpu_request(vcpu, REQ_SMI);
	}
	if (r == RUN_SLOW) {
		vcpu->stats.slow_exits++;
		r = vendor_call(handle_exit)(vcpu);
	}
	/* An exit of L2's that needs memory is over before a signal lets user space look at registers. */
	return r == RUN_GUEST ? serve_nested(vcpu) : r;
}

static int interrupted(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	vcpu->stats.signal_exits++;
	return -EINTR;
}

/* User space asked to be told when an interrupt can be delivered: KVM_RUN's request_interrupt_window. */
static bool interrupt_window_exit(struct vcpu *vcpu)
{
	if (!vcpu->request_interrupt_window || !vcpu_ready_for_interrupt_injection(vcpu))
		return false;
	vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	vcpu->stats.request_irq_exits++;
	return true;
}

/* Scheduler, signals, task work. 0 or what KVM_RUN returns. */
static int handle_work(struct vcpu *vcpu)
{
	int r;

	steal_time_preempted(vcpu);
	r = compat_handle_work();
	if (r == -EINTR)
		return interrupted(vcpu);
	/* A restart shows as -EINTR if a signal handler comes between. */
	if (r)
		vcpu->run->exit_reason = KVM_EXIT_INTR;
	return r;
}

static int probe_once(struct vcpu *vcpu)
{
	vcpu->probe->done = true;
	return vendor->probe_entry(vcpu, vcpu->probe);
}

/*
 * vcpu_probe_entry - enter once, with a state that the CPU may refuse
 *
 * See struct entry_probe. 0, -EINTR, or what else KVM_RUN could return.
 */
int vcpu_probe_entry(struct vcpu *vcpu, struct entry_probe *probe)
{
	int r = 0;

	vcpu->probe = probe;
	while (!r && !probe->done) {
		r = vcpu_serve_requests(vcpu);
		/* It wants to leave for user space, or waits for something. */
		if (r == RUN_USER || !vcpu_is_running(vcpu))
			r = -EBUSY;
		r = r ?: mmu_topup(vcpu) ?: burst(vcpu, probe_once);
		if (!r && compat_work_pending())
			r = handle_work(vcpu);
	}
	vcpu->probe = NULL;
	return probe->done && r == -EINTR ? 0 : r;
}

static int run_loop(struct vcpu *vcpu)
{
	int r;

	for (;;) {
		if (vcpu_is_running(vcpu))
			r = vcpu_enter_guest(vcpu);
		else if (unlikely(test_bit(REQ_VM_DEAD, &vcpu->requests)))
			return -EIO;
		else
			r = vcpu_block(vcpu);
		if (r != RUN_GUEST)
			return r;
		if (unlikely(vcpu->request_interrupt_window) && interrupt_window_exit(vcpu))
			return RUN_USER;
		if (compat_work_pending()) {
			r = handle_work(vcpu);
			if (r)
				return r;
		}
	}
}

/* What user space reads in kvm_run beside the exit itself. */
static void publish_run_state(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	/* Where all of it is in the kernel, nobody reads these: save the vendor a fetch. */
	run->if_flag = irqchip_mode(vcpu->vm) == IRQCHIP_KERNEL && !(vcpu->regs.valid & REGS_RFLAGS) ?
		       0 : !!(vcpu_rflags(vcpu) & X86_EFLAGS_IF);
	run->cr8 = cpu_get_cr8(vcpu);
	run->apic_base = lapic_get_base(vcpu);
	run->ready_for_interrupt_injection = vcpu_ready_for_interrupt_injection(vcpu);
	run->flags = (vcpu->events.in_smm ? KVM_RUN_X86_SMM : 0) |
		     (vcpu->nested.guest_mode ? KVM_RUN_X86_GUEST_MODE : 0);
}

/* A vCPU that waits for its first INIT and SIPI: KVM_RUN returns -EAGAIN once they came. */
static int run_uninitialized(struct vcpu *vcpu)
{
	vcpu_sleep(vcpu);
	if (test_bit(REQ_VM_DEAD, &vcpu->requests))
		return -EIO;
	if (signal_pending(current))
		return interrupted(vcpu);
	lapic_accept_events(vcpu);
	return -EAGAIN;
}

/*
 * vcpu_run - KVM_RUN
 *
 * Caller holds vcpu->mutex and has dealt with the signal mask and synchronised registers.
 * 0 with kvm_run filled in, or -errno as upstream: -EINTR (signal or immediate_exit), -EAGAIN,
 * -EFAULT, -EIO. immediate_exit leaves the exit reason as it was: user space completes an access that
 * way and looks at the exit afterwards.
 */
int vcpu_run(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	bool immediate = compat_immediate_exit(run);
	int r;

	vcpu->request_interrupt_window = READ_ONCE(run->request_interrupt_window);
	vcpu->events.exception.restored = false;
	if (unlikely(test_bit(REQ_DEADLINE, &vcpu->requests)))
		lapic_arm_staged(vcpu);

	if (unlikely(vcpu->mp_state == KVM_MP_STATE_UNINITIALIZED)) {
		r = immediate ? -EINTR : run_uninitialized(vcpu);
		goto out;
	}
	if (!irqchip_in_kernel_apic(vcpu->vm) && cpu_set_cr8(vcpu, READ_ONCE(run->cr8))) {
		r = -EINVAL;
		goto out;
	}
	r = RUN_GUEST;
	if (vcpu->complete) {
		int (*complete)(struct vcpu *vcpu) = vcpu->complete;

		vcpu->complete = NULL;
		r = complete(vcpu);
	}
	if (r == RUN_GUEST)
		r = immediate ? -EINTR : run_loop(vcpu);
	if (r == RUN_USER) {
		vcpu->stats.user_exits++;
		r = 0;
	}
	/* Handlers return only what user space may see. */
	if (WARN_ON_ONCE(r > 0))
		r = -EIO;
out:
	if (vcpu->cpu_deadline)
		lapic_timer_to_host(vcpu);
	publish_run_state(vcpu);
	return r;
}

/*
 * vcpu_halt - the guest executed HLT; the instruction is retired
 */
int vcpu_halt(struct vcpu *vcpu)
{
	vcpu->stats.halt_exits++;
	if (!vcpu->lapic) {
		vcpu->run->exit_reason = KVM_EXIT_HLT;
		return RUN_USER;
	}
	/* The loop sees the state, leaves the burst and blocks, unless there is a reason not to. */
	vcpu_fetch(vcpu, REGS_RFLAGS | REGS_SHADOW);
	/* An L1 that steps over HLT finds L2 halted. */
	if (!vcpu_take_request(vcpu, REQ_UNHALT) && (vcpu->nested.stepped || !vcpu_has_event(vcpu)))
		vcpu->mp_state = KVM_MP_STATE_HALTED;
	return RUN_GUEST;
}

void vcpu_end_halt(struct vcpu *vcpu)
{
	vcpu->nested.shutdown = false;
	vendor->clear_halt(vcpu);
}

void vcpu_reset(struct vcpu *vcpu, bool init_event)
{
	struct events *ev = &vcpu->events;

	if (init_event)
		vcpu_fetch(vcpu, REGS_ALL);
	vcpu_emulate_cpuid_changed(vcpu);
	memset(&ev->exception, 0, sizeof(ev->exception));
	memset(&ev->interrupt, 0, sizeof(ev->interrupt));
	ev->nmi.pending = 0;
	ev->nmi.injected = false;
	ev->nmi.masked = false;
	atomic_set(&ev->nmi.queued, 0);
	smm_vcpu_reset(vcpu, init_event);
	lapic_reset(vcpu, init_event);
	vendor->vcpu_reset(vcpu, init_event);
	cpu_vcpu_reset(vcpu, init_event);
	vendor->intercepts_changed(vcpu);
	vendor->tlb_flush(vcpu, TLB_LEVELS);
	vcpu_request(vcpu, REQ_EVENT);
}

/*
 * vcpu_internal_error - KVM_EXIT_INTERNAL_ERROR
 * @suberror: KVM_INTERNAL_ERROR_*
 * @data: @ndata words of detail, at most 16
 */
int vcpu_internal_error(struct vcpu *vcpu, u32 suberror, int ndata, const u64 *data)
{
	struct kvm_run *run = vcpu->run;
	int i;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = ndata;
	for (i = 0; i < ndata; i++)
		run->internal.data[i] = data[i];
	return RUN_USER;
}
