/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only file that knows that kernels differ. HAVE_* come from compat-probe.sh, which looks at the
 * headers of the kernel that the module is built for.
 */
#ifndef NESTOR_COMPAT_H
#define NESTOR_COMPAT_H

#include <linux/cpuhotplug.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/syscore_ops.h>
#include <linux/timekeeping.h>
#include <trace/events/ipi.h>	/* smp_send_reschedule() is a macro with a tracepoint in it */
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/tsc.h>

#include "compat_config.h"
#include "trace/stats.h"

#ifdef HAVE_CPUID_API
#include <asm/cpuid/api.h>
#else
#include <asm/cpuid.h>
#endif

#ifdef HAVE_ENTRY_VIRT
#include <linux/entry-virt.h>
#else
#include <linux/entry-kvm.h>
#endif

/*
 * MSRs. The primitives, not rdmsrl(): these are inline on every kernel, while the paravirtual ones
 * are calls, and bursts count instructions.
 */
static __always_inline u64 nst_rdmsr(u32 msr)
{
	count_op(rdmsr);
	return __rdmsr(msr);
}

static __always_inline void nst_wrmsr(u32 msr, u64 value)
{
	count_op(wrmsr);
#ifdef HAVE_RDMSRQ
	__wrmsrq(msr, value);
#else
	__wrmsr(msr, (u32)value, (u32)(value >> 32));
#endif
}

/* 0, or -EIO when the CPU has no such MSR. */
static inline int nst_rdmsr_safe(u32 msr, u64 *value)
{
	count_op(rdmsr);
#ifdef HAVE_RDMSRQ
	return rdmsrq_safe(msr, value);
#else
	return rdmsrl_safe(msr, value);
#endif
}

static inline int nst_wrmsr_safe(u32 msr, u64 value)
{
	count_op(wrmsr);
	return wrmsr_safe(msr, (u32)value, (u32)(value >> 32));
}

static inline void compat_hrtimer_setup(struct hrtimer *timer,
					enum hrtimer_restart (*fn)(struct hrtimer *),
					clockid_t clock, enum hrtimer_mode mode)
{
#ifdef HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, fn, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
#endif
}

static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef HAVE_EVENTFD_SIGNAL_COUNT
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

/* kvm_run's fields that user space may change at any time were renamed for those who read them. */
static inline bool compat_immediate_exit(const struct kvm_run *run)
{
#ifdef HAVE_RUN_UNSAFE_NAMES
	return READ_ONCE(run->immediate_exit__unsafe);
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

/**
 * compat_clock_snapshot - one instant on the host's TSC and clocks
 * @tsc: host TSC
 * @boot_ns: CLOCK_MONOTONIC_RAW moved to count from boot, suspend included: at the TSC's own rate,
 *	     which CLOCK_BOOTTIME is not while NTP corrects it
 * @real_ns: CLOCK_REALTIME
 *
 * False when the host's clocksource is not the TSC: then the two cannot be tied together.
 * 6.1 does not say which clocksource a snapshot is of; there its cycle count must lie between
 * two readings of the TSC.
 */
static inline bool compat_clock_snapshot(u64 *tsc, s64 *boot_ns, s64 *real_ns)
{
	s64 offs_boot = ktime_to_ns(ktime_mono_to_any(0, TK_OFFS_BOOT));
	struct system_time_snapshot snap = {};
	u64 before, after;

	before = rdtsc_ordered();
#ifdef HAVE_SNAPSHOT_ID
	ktime_get_snapshot_id(CLOCK_REALTIME, &snap);
	*real_ns = ktime_to_ns(snap.systime);
	*boot_ns = ktime_to_ns(snap.monoraw) + offs_boot;
#else
	ktime_get_snapshot(&snap);
	*real_ns = ktime_to_ns(snap.real);
	*boot_ns = ktime_to_ns(snap.raw) + offs_boot;
#endif
	after = rdtsc_ordered();
	*tsc = snap.cycles;
	return snap.cycles >= before && snap.cycles <= after;
}

/*
 * COMPAT_SYSCORE(name, suspend, resume) - callbacks around the host's sleep, both void (*)(void)
 *
 * They run on the last CPU that is on, with interrupts off. Register with compat_register_syscore(&name).
 */
#ifdef HAVE_SYSCORE_STRUCT
#define COMPAT_SYSCORE(name, suspend_fn, resume_fn)			\
	static int name##_suspend(void *data)				\
	{								\
		suspend_fn();						\
		return 0;						\
	}								\
	static void name##_resume(void *data)				\
	{								\
		resume_fn();						\
	}								\
	static const struct syscore_ops name##_ops = {			\
		.suspend = name##_suspend, .resume = name##_resume,	\
	};								\
	static struct syscore name = { .ops = &name##_ops }
#define compat_register_syscore(s)	register_syscore(s)
#define compat_unregister_syscore(s)	unregister_syscore(s)
#else
#define COMPAT_SYSCORE(name, suspend_fn, resume_fn)			\
	static int name##_suspend(void)					\
	{								\
		suspend_fn();						\
		return 0;						\
	}								\
	static struct syscore_ops name = {				\
		.suspend = name##_suspend, .resume = resume_fn,		\
	}
#define compat_register_syscore(s)	register_syscore_ops(s)
#define compat_unregister_syscore(s)	unregister_syscore_ops(s)
#endif

/**
 * compat_work_pending - must this task leave the guest for the scheduler, a signal or task work?
 */
static __always_inline bool compat_work_pending(void)
{
	return read_thread_flags() & XFER_TO_GUEST_MODE_WORK;
}

/**
 * compat_handle_work - do what compat_work_pending() saw, with interrupts on
 *
 * Up to 6.x the kernel's helper writes into a struct kvm_vcpu, and task_work_run() is not for
 * modules. Work that needs it (TIF_NOTIFY_RESUME: also every preemption of a thread that uses rseq)
 * is done on the way to user space. A system call that is restarted goes that way and comes back at
 * once, unseen by the caller, unless a signal handler runs there: then it must get -EINTR, so not
 * restart_syscall(), which restarts after handlers too.
 *
 * Return: 0; -EINTR for a signal; -ERESTARTNOHAND when KVM_RUN shall return it.
 */
static inline int compat_handle_work(void)
{
	if (signal_pending(current))
		return -EINTR;
#ifdef HAVE_ENTRY_VIRT
	return xfer_to_guest_mode_handle_work();
#else
	if (need_resched())
		schedule();
	if (read_thread_flags() & (XFER_TO_GUEST_MODE_WORK & ~_TIF_NEED_RESCHED)) {
		set_thread_flag(TIF_SIGPENDING);
		return -ERESTARTNOHAND;
	}
	cond_resched();
	return 0;
#endif
}

/* VMSCAPE: the next return to user space on this CPU is preceded by a barrier. */
static inline void compat_guest_ran(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

static inline void compat_rcu_note_guest(void)
{
#ifdef HAVE_RCU_VIRT_NOTE_CPU
	rcu_virt_note_context_switch(smp_processor_id());
#else
	rcu_virt_note_context_switch();
#endif
}

static inline void compat_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef HAVE_VM_FLAGS_SET
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/**
 * compat_follow_pfn - what a VMA without struct pages maps at an address; under mmap_lock
 *
 * 0, or -EINVAL when nothing is mapped. The frame stays valid only as far as the caller's
 * mmu_notifier says so.
 */
static inline int compat_follow_pfn(struct vm_area_struct *vma, unsigned long address,
				    unsigned long *pfn, pgprot_t *prot, bool *writable)
{
#ifdef HAVE_FOLLOW_PFNMAP
	struct follow_pfnmap_args args = { .vma = vma, .address = address };
	int r = follow_pfnmap_start(&args);

	if (r)
		return r;
	*pfn = args.pfn;
	*prot = args.pgprot;
	*writable = args.writable;
	follow_pfnmap_end(&args);
#else
	spinlock_t *lock;
	pte_t *ptep;
	int r = follow_pte(vma->vm_mm, address, &ptep, &lock);

	if (r)
		return r;
	__acquire(lock);
	*pfn = pte_pfn(*ptep);
	*prot = __pgprot(pte_flags(*ptep));
	*writable = pte_write(*ptep);
	pte_unmap_unlock(ptep, lock);
#endif
	return 0;
}

/* A large leaf of the host that maps no struct pages. Before 6.12 only DAX had leaves without the mark. */
static inline bool compat_pmd_special(pmd_t pmd)
{
#ifdef HAVE_PMD_SPECIAL
	return pmd_special(pmd);
#else
	return !pfn_valid(pmd_pfn(pmd));
#endif
}

static inline bool compat_pud_special(pud_t pud)
{
#ifdef HAVE_PMD_SPECIAL
	return pud_special(pud);
#else
	return !pfn_valid(pud_pfn(pud));
#endif
}

/* A page that only user space can provide (userfaultfd) is waited for until a signal comes. */
#ifdef HAVE_FOLL_INTERRUPTIBLE
#define COMPAT_FOLL_INTERRUPTIBLE FOLL_INTERRUPTIBLE
#else
#define COMPAT_FOLL_INTERRUPTIBLE 0
#endif

#ifdef HAVE_NOTIFIER_YOUNG_BOOL
typedef bool compat_young_t;
#else
typedef int compat_young_t;
#endif

#ifdef HAVE_ASSIGN_STR_ONE_ARG
#define compat_assign_str(dst, src)	__assign_str(dst)
#else
#define compat_assign_str(dst, src)	__assign_str(dst, src)
#endif

/*
 * KVM finds /dev/kvm taken at the very end of its start, and 6.1's then forgets to leave the list of syscore operations: the next
 * start is a BUG, and after rmmod suspend and reboot call what is gone. Before that it claims the state of CPU hotplug that is its
 * own. Whoever takes the node holds that as well: KVM gets -EBUSY while there is nothing to forget.
 */
#ifdef HAVE_CPUHP_AP_KVM_STARTING
static inline int nst_hold_kvm_start(void)
{
	return cpuhp_setup_state_nocalls(CPUHP_AP_KVM_STARTING, "nestor:kvm_node", NULL, NULL);
}

static inline void nst_release_kvm_start(void)
{
	cpuhp_remove_state_nocalls(CPUHP_AP_KVM_STARTING);
}
#else
static inline int nst_hold_kvm_start(void)
{
	return 0;
}

static inline void nst_release_kvm_start(void)
{
}
#endif

#endif
