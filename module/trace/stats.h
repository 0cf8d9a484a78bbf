/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters. Plain u64, written by the vCPU's own thread; readers may see an older value. One list makes the
 * structure, the names for KVM_GET_STATS_FD and the debugfs files.
 */
#ifndef NESTOR_STATS_H
#define NESTOR_STATS_H

#include <linux/types.h>

#define VCPU_STATS(X)			\
	X(exits)			\
	X(bursts)			\
	X(io_exits)			\
	X(io_kernel)			\
	X(mmio_exits)			\
	X(mmio_kernel)			\
	X(cpuid_exits)			\
	X(msr_reads)			\
	X(msr_writes)			\
	X(cr_accesses)			\
	X(dr_accesses)			\
	X(hypercalls)			\
	X(halt_exits)			\
	X(halt_wakeup)			\
	X(halt_attempted_poll)		\
	X(halt_successful_poll)		\
	X(halt_poll_success_ns)		\
	X(halt_poll_fail_ns)		\
	X(halt_wait_ns)			\
	X(directed_yield_attempted)	\
	X(directed_yield_successful)	\
	X(preemption_reported)		\
	X(pv_eois)			\
	X(apf_not_present)		\
	X(apf_ready)			\
	X(irq_exits)			\
	X(nmi_exits)			\
	X(irq_window_exits)		\
	X(nmi_window_exits)		\
	X(irq_injections)		\
	X(nmi_injections)		\
	X(exceptions)			\
	X(signal_exits)			\
	X(request_irq_exits)		\
	X(fault_fixed)			\
	X(insn_emulation)		\
	X(insn_emulation_fail)		\
	X(tlb_flush)			\
	X(slow_exits)			\
	X(user_exits)

#define NR_EXIT_COUNTERS	256

struct vcpu_stats {
#define X(name) u64 name;
	VCPU_STATS(X)
#undef X
	u64 by_reason[NR_EXIT_COUNTERS];	/* VMX: basic reason; SVM: codes 0-0x8f as they are, 0x400.. from 0xf0 */
};

/* Where an exit reason is counted. */
static inline unsigned int stats_exit_slot(u32 reason)
{
	if (reason < 0xf0)
		return reason;
	if (reason >= 0x400 && reason < 0x40f)
		return reason - 0x400 + 0xf0;
	return NR_EXIT_COUNTERS - 1;
}

#define VM_STATS(X)			\
	X(tlb_shootdowns)		\
	X(invalidations)		\
	X(split_leaves)			\
	X(zapped_leaves)

/* What there is right now: second-level leaves by size, and pages of tables. */
#define VM_GAUGES(X)			\
	X(pages_4k)			\
	X(pages_2m)			\
	X(pages_1g)			\
	X(table_pages)

struct vm_stats {
#define X(name) atomic64_t name;
	VM_STATS(X)
	VM_GAUGES(X)
#undef X
};

/*
 * Costly operations (D5): counted only when built with NESTOR_COUNT_OPS=1, per CPU, shown in
 * debugfs nestor/ops as "name value" lines.
 */
#define COUNTED_OPS(X)			\
	X(vmread) X(vmwrite) X(vmentry) X(vmload) X(vmsave) X(rdmsr) X(wrmsr) X(cr_write) \
	X(xcr_write) X(vmxon) X(vmptrld) X(vmclear) X(tlb_flush) X(bursts)

#ifdef NESTOR_COUNT_OPS
#include <linux/percpu.h>
struct counted_ops {
#define X(name) u64 name;
	COUNTED_OPS(X)
#undef X
};
DECLARE_PER_CPU(struct counted_ops, counted_ops);
#define count_op(name)	this_cpu_inc(counted_ops.name)
#else
#define count_op(name)	do { } while (0)
#endif

#endif
