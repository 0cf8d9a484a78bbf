/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Virtual machines and virtual CPUs: the objects that every folder shares.
 *
 * Who guards a field stands beside it:
 *	[c]	set at creation, constant afterwards
 *	[l]	vm->lock
 *	[v]	vcpu->mutex (one ioctl at a time on a vCPU); the vCPU's own thread while it runs
 *	[s]	written under vm->slots_lock, read under SRCU (vm->srcu)
 *	[m]	vm->mmu.lock
 *	[a]	atomic, any context
 *	[i]	interrupts off on the CPU that runs the vCPU (inside a burst)
 */
#ifndef NESTOR_VM_H
#define NESTOR_VM_H

#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rcuwait.h>
#include <linux/refcount.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include <linux/nestor.h>

#include "compat.h"
#include "cpu/cpu.h"
#include "emulate/emulate.h"
#include "mmu/mmu.h"
#include "nested/nested.h"
#include "pv/pv.h"
#include "vm/dirty_ring.h"
#include "vm/events.h"
#include "vm/iobus.h"
#include "vm/memory.h"
#include "vm/regs.h"
#include "trace/stats.h"

struct vcpu;
struct vm;
struct vm_irq;
struct lapic;
struct vcpu_hv;
struct vm_hv;
struct entry_failure;
struct entry_probe;

#define NESTOR_MAX_VCPUS	4096
#define NESTOR_MAX_VCPU_IDS	(NESTOR_MAX_VCPUS * 4)

/**
 * enum run_next - what the run loop does after a handler
 * @RUN_GUEST:	enter the guest again
 * @RUN_SLOW:	only inside a burst: end the burst and call the same handler again with
 *		vcpu->in_burst clear, where it may sleep and fault
 * @RUN_USER:	return to user space; struct kvm_run is filled in
 *
 * A handler may also return a negative errno, which KVM_RUN then returns.
 */
enum run_next {
	RUN_GUEST = 0,
	RUN_SLOW = 1,
	RUN_USER = 2,
};

/*
 * Requests: bits in vcpu->requests, set by anybody (vcpu_request()), consumed by the vCPU's
 * own thread before it enters the guest.
 */
enum vcpu_req {
	REQ_EVENT,		/* look for interrupts, NMIs and exceptions to inject */
	REQ_KICK,		/* nothing but leave the guest */
	REQ_TLB_FLUSH,		/* flush this vCPU's guest-virtual translations */
	REQ_CLOCK_UPDATE,	/* rewrite the kvmclock page */
	REQ_MASTERCLOCK,	/* take a new VM-wide clock reference */
	REQ_STEAL_UPDATE,	/* rewrite the steal-time page */
	REQ_TPR_ACCESS,		/* KVM_EXIT_TPR_ACCESS */
	REQ_TRIPLE_FAULT,	/* KVM_EXIT_SHUTDOWN */
	REQ_IOAPIC_EOI_EXIT,	/* KVM_EXIT_IOAPIC_EOI */
	REQ_UNHALT,		/* a wake-up that is no interrupt */
	REQ_VM_DEAD,		/* the VM was killed: KVM_RUN returns -EIO */
	REQ_SMI,		/* system-management interrupt: events.smi_pending */
	REQ_EOI_VECTORS,	/* which EOIs the CPU has to tell of */
	REQ_SYSTEM_EVENT,	/* KVM_EXIT_SYSTEM_EVENT; vcpu->run is filled at exit */
	REQ_DIRTY_RING_FULL,	/* KVM_EXIT_DIRTY_RING_FULL, while the ring is that full */
	REQ_HYPERV,		/* enlightenments: an exit to user space, or a timer */
	REQ_APF_READY,		/* a page of an asynchronous fault is there, or its slot is free */
	REQ_DEADLINE,		/* user space has set the APIC timer's deadline */
	REQ_INTERCEPTS,		/* vendor: recompute intercepts and MSR bitmap */
	REQ_NESTED,		/* nested_ops.sync */
	REQ_NR
};

/* vcpu->mode: where the vCPU's thread is, for those who must kick it. */
enum vcpu_mode {
	VCPU_OUTSIDE,		/* no burst: requests will be seen before the next one */
	VCPU_IN_GUEST,		/* in a burst: a reschedule IPI makes it look */
};

/**
 * struct vcpu - a virtual CPU; embedded as the first member of the vendor's own structure
 */
struct vcpu {
	struct vm *vm;				/* [c] */
	struct kvm_run *run;			/* [c] shared with user space: hostile */
	struct page *run_pages;			/* [c] kvm_run, then PIO data; each its own page */
	u32 id;					/* [c] KVM's vcpu_id, also the initial APIC id */
	u32 index;				/* [c] position in vm->vcpus */
	bool is_bsp;				/* [c] */
	struct mutex mutex;
	struct pid *pid;			/* [v] the thread of the last KVM_RUN; others: under pid_lock */
	spinlock_t pid_lock;

	/* Hot: touched on every exit. */
	struct regs regs;			/* [v] */
	unsigned long requests;			/* [a] */
	int mode;				/* [a] enum vcpu_mode */
	int cpu;				/* [i] physical CPU of the burst; -1 outside; read by kickers */
	int last_cpu;				/* [v] physical CPU of the last burst, -1 at first */
	bool in_burst;				/* [v] interrupts off, root mode on */
	u8 host_vector;				/* [i] interrupt of the host's that the exit has acknowledged; 0 none */
	bool launched_once;			/* [v] KVM_RUN has entered the guest at least once */
	struct events events;			/* [v] exceptions, interrupts, NMIs on their way */
	struct vcpu_stats stats;		/* [v] */

	struct cpu_state cpu_state;		/* [v] CPUID, MSRs, FPU, TSC */
	struct vcpu_mmu mmu;			/* [v] */
	struct vcpu_nested nested;		/* [v] a guest of the guest's */
	struct dirty_ring dirty_ring;
	struct lapic *lapic;			/* [c] after creation; NULL without an in-kernel APIC */
	struct vcpu_hv *hv;			/* [v] enlightenments; NULL: never used. Others: vcpu_hv_get() */
	bool cpu_timer;				/* [v] the CPU can exit at cpu_deadline */
	u64 cpu_deadline;			/* [v] in a burst and on the way to the next: the host's TSC; 0: none */
	u8 apic_attention;			/* [v] APIC_*: to be done around entries, mostly nothing */
	u64 pv_eoi;				/* [v] where the guest's EOI word is, and KVM_MSR_ENABLED */
	struct {				/* [v] KVM_TPR_ACCESS_REPORTING */
		bool reported, write;
		u64 rip;
	} tpr_access;
	u64 vapic_gpa;				/* [v] KVM_SET_VAPIC_ADDR */
	struct vcpu_apf apf;
	u64 apic_base;				/* [v] IA32_APIC_BASE, also without an in-kernel APIC; others read it */

	/* Halting and start-up. */
	int mp_state;				/* [v] KVM_MP_STATE_* (others set it through irq/) */
	struct rcuwait wait;			/* where a halted vCPU sleeps */
	u32 halt_poll_ns;			/* [v] how long it waits awake before */

	/* Instruction emulation; continued after user space has done the I/O. */
	struct emu_ctx emu;			/* [v] */
	bool emu_continues;			/* [v] emu holds a half-done instruction */
	const struct fault *emu_fault;		/* [v] whose page is known to be no memory; or NULL */
	int (*complete)(struct vcpu *vcpu);	/* [v] called first by the next KVM_RUN; enum run_next or -errno */
	struct task_switch {			/* [v] that goes on after a signal */
		u16 selector;
		int reason;			/* enum emu_task_reason */
		bool has_error;
		u32 error;
	} task;
	u32 iobus_hint[IOBUS_NR];		/* [v] position of the device that it used last */
	struct io_exit pio;			/* [v] the port access that user space completes */
	u64 pio_rip;				/* [v] where it was made */
	u32 pio_value;				/* [v] what goes through a port of a device in the kernel */

	struct entry_failure *entry_failure;	/* [v] of the last entry that failed; NULL: none has */
	struct entry_probe *probe;		/* [v] while NESTOR_PROBE_ENTRY enters */
	void *probe_page;			/* [v] memory for the states that it enters with; NULL: never asked for */
	sigset_t sigset;			/* [v] KVM_SET_SIGNAL_MASK */
	bool sigset_active;			/* [v] */
	u32 guest_debug;			/* [v] KVM_GUESTDBG_* */
	u64 guest_debug_dr[8];			/* [v] */
	bool request_interrupt_window;		/* [v] kvm_run's, read once per KVM_RUN */
	u64 cr8_user;				/* [v] */
	struct dentry *debugfs;
};

/**
 * struct vm - a virtual machine: guest memory, interrupt controllers, vCPUs
 */
struct vm {
	struct mm_struct *mm;			/* [c] only callers with this mm may use the VM */
	refcount_t users;			/* the VM's fd, its vCPUs' and its devices' */
	struct mutex lock;			/* vCPU creation, irqchip set-up, capabilities */
	struct mutex slots_lock;		/* memory slots, I/O buses */
	struct srcu_struct srcu;		/* slots, buses, routing */
	struct srcu_struct irq_srcu;		/* routing and irqfds */
	struct list_head link;			/* vm.c's list of all VMs */
	pid_t pid;				/* [c] who created it */
	char name[32];				/* [c] "pid-fd" in debugfs and messages */
	unsigned long type;			/* [c] KVM_VM_TYPE: 0 */
	bool dead;				/* [a] a vendor error killed it: ioctls return -EIO */

	struct xarray vcpus;			/* index -> vcpu; written under [l] */
	atomic_t nr_vcpus;			/* online ones: indices 0 .. nr_vcpus - 1 are valid */
	u32 created_vcpus;			/* [l] */
	u32 max_vcpu_ids;			/* [l] KVM_CAP_MAX_VCPU_ID */
	u32 bsp_id;				/* [l] KVM_SET_BOOT_CPU_ID */
	u32 dirty_ring_bytes;			/* [l], constant with the first vCPU: of each ring; 0 none */

	struct vm_memory memory;		/* slots [s] */
	struct vm_mmu mmu;			/* second-level tables [m] */
	struct iobus __rcu *iobus[IOBUS_NR];	/* [s] */
	struct vm_irq *irq;			/* [l], then constant: NULL without an in-kernel irqchip */
	struct svm_avic *avic;			/* [c] NULL: not used */
	struct vm_clock clock;			/* kvmclock reference, TSC */
	struct vm_caps {			/* [l] KVM_ENABLE_CAP */
		u64 disabled_quirks;
		u64 disabled_exits;		/* KVM_X86_DISABLE_EXITS_* */
		bool exception_payload;
		bool triple_fault_event;
		bool x2apic_32bit_ids;
		bool x2apic_broadcast_quirk_disabled;
		u8 directed_eoi;		/* enum directed_eoi */
		bool exit_on_emulation_error;
		bool exec_huge_pages;		/* trusted with the iTLB multihit erratum */
		u32 user_space_msr_mask;	/* KVM_MSR_EXIT_REASON_* */
		bool platform_info_guest_read;
		u64 apic_bus_cycle_ns;
		u32 manual_dirty_log;
		u32 exit_hypercalls;		/* bits by KVM_HC_*: user space's */
		bool halt_poll_set;		/* @halt_poll_ns is user space's, not the module's */
		u32 halt_poll_ns;
	} caps;
	struct msr_filter __rcu *msr_filter;	/* [s] */
	struct vm_hv *hv;			/* enlightenments: vm_hv_get(); NULL until somebody uses them */
	unsigned long tss_addr;			/* [l] KVM_SET_TSS_ADDR (unused by hardware: unrestricted guest) */
	u64 identity_map_addr;			/* [l] */

	struct list_head irqfds;		/* guarded by irqfd_lock */
	spinlock_t irqfd_lock;
	struct list_head resamplers;		/* guarded by resampler_lock */
	struct mutex resampler_lock;
	struct list_head ioeventfds;		/* [s] */
	struct list_head coalesced_zones;	/* [s] */
	struct page *coalesced_page;		/* [c] ring shared with user space: hostile */
	spinlock_t coalesced_lock;		/* one writer of the ring */
	struct vm_stats stats;			/* [a] */
	struct dentry *debugfs;
};

/* The address space that a vCPU sees. */
static inline int vcpu_space(const struct vcpu *vcpu)
{
	return vcpu->events.in_smm;
}

static inline struct tdp_root *vcpu_root(struct vcpu *vcpu)
{
	return &vcpu->vm->mmu.roots[vcpu_space(vcpu)];
}

static inline struct vcpu *vm_vcpu(struct vm *vm, int index)
{
	/* Pairs with the release in vcpu creation: an index below nr_vcpus is fully set up. */
	if (index >= atomic_read_acquire(&vm->nr_vcpus))
		return NULL;
	return xa_load(&vm->vcpus, index);
}

#define vm_for_each_vcpu(i, v, vm) \
	for ((i) = 0; ((v) = vm_vcpu(vm, i)); (i)++)

struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id);

/* The physical CPU of the last VM entry, for reports: in a burst or behind it. */
static inline int vcpu_entry_cpu(const struct vcpu *vcpu)
{
	return vcpu->cpu >= 0 ? vcpu->cpu : vcpu->last_cpu;
}

extern struct dentry *nestor_debugfs;			/* main.c: debugfs nestor/ */

/* vm/vm.c: lifecycle. */
int vm_setup(void);					/* module load */
void vm_cleanup(void);
struct vm *vm_create(unsigned long type, int fd);	/* @fd: for its name only */
void vm_get(struct vm *vm);
void vm_put(struct vm *vm);
struct vcpu *vcpu_create(struct vm *vm, u32 id);	/* under vm->lock; publishes it */
void vm_kill(struct vm *vm, const char *why);		/* marks dead, logs once, kicks all */

/* vm/run.c: the run loop. Caller holds vcpu->mutex. */
int vcpu_run(struct vcpu *vcpu);			/* KVM_RUN: 0 or -errno */
void vcpu_kick(struct vcpu *vcpu);			/* make it leave the guest; any context */
void vcpu_wake(struct vcpu *vcpu);			/* wake it if it sleeps, kick it if it runs */
void vcpu_wake_posted(struct vcpu *vcpu);		/* the same for requests that the CPU takes without an exit */
void vm_kick_all_sync(struct vm *vm);			/* returns when no vCPU is in a burst begun before */
void vm_wait_for_readers(struct vm *vm);		/* of what vm->srcu protects, and bursts read without it */
void vm_kick_requested_sync(struct vm *vm, enum vcpu_req req);	/* the same for those that have @req to serve */
void vcpu_reset(struct vcpu *vcpu, bool init_event);	/* power-up or INIT state */
bool vcpu_runnable(struct vcpu *vcpu);
int vcpu_halt(struct vcpu *vcpu);			/* HLT retired: enum run_next */
void vcpu_end_halt(struct vcpu *vcpu);			/* user space runs it, halted by the CPU or not */
bool vcpu_ready_for_interrupt_injection(struct vcpu *vcpu);
int vcpu_internal_error(struct vcpu *vcpu, u32 suberror, int ndata, const u64 *data); /* RUN_USER */
int vcpu_emulation_failed(struct vcpu *vcpu);		/* KVM_INTERNAL_ERROR_EMULATION with bytes; RUN_USER */

static inline void vcpu_request(struct vcpu *vcpu, enum vcpu_req req)
{
	/* Whatever the requester wrote before is visible to the vCPU that consumes the bit. */
	smp_wmb();
	set_bit(req, &vcpu->requests);
}

/* An instruction of the guest's was executed: an L1 that steps through L2 (SDM, Monitor Trap Flag) wants to know. */
static inline void vcpu_stepped(struct vcpu *vcpu)
{
	if (likely(!vcpu->nested.steps))
		return;
	vcpu->nested.stepped = true;
	vcpu_request(vcpu, REQ_EVENT);
}

static inline bool vcpu_take_request(struct vcpu *vcpu, enum vcpu_req req)
{
	if (!test_bit(req, &vcpu->requests))
		return false;
	clear_bit(req, &vcpu->requests);
	smp_mb__after_atomic();
	return true;
}

/*
 * Registers and mode questions; each fetches what it needs. Inline, because every exit asks: a call costs
 * more than the answer, most of all where returns are mitigated.
 */
static inline u64 vcpu_rip(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_RIP);
	return vcpu->regs.rip;
}

static inline u64 vcpu_rflags(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_RFLAGS);
	return vcpu->regs.rflags;
}

static inline void vcpu_set_rip(struct vcpu *vcpu, u64 rip)
{
	vcpu->regs.rip = rip;
	vcpu_dirty(vcpu, REGS_RIP);
}

static inline void vcpu_set_rflags(struct vcpu *vcpu, u64 rflags)
{
	vcpu->regs.rflags = rflags | X86_EFLAGS_FIXED;
	vcpu_dirty(vcpu, REGS_RFLAGS);
}

/* Any of GPR_*. */
static inline u64 vcpu_gpr(struct vcpu *vcpu, int gpr)
{
	if (gpr == GPR_RSP)
		vcpu_fetch(vcpu, REGS_RSP);
	return vcpu->regs.gpr[gpr];
}

static inline void vcpu_set_gpr(struct vcpu *vcpu, int gpr, u64 value)
{
	vcpu->regs.gpr[gpr] = value;
	if (gpr == GPR_RSP)
		vcpu_dirty(vcpu, REGS_RSP);
}

/* Segments that are here, dirty ones above all, are not read again for the mode. */
static inline void vcpu_fetch_mode(struct vcpu *vcpu)
{
	if (!(vcpu->regs.valid & (REGS_MODE | REGS_CS | REGS_SEGS)))
		vcpu_fetch_slow(vcpu, REGS_MODE);
}

static inline bool vcpu_is_long_mode(struct vcpu *vcpu)
{
	return vcpu->regs.efer & EFER_LMA;
}

static inline bool vcpu_is_64bit(struct vcpu *vcpu)
{
	if (!vcpu_is_long_mode(vcpu))
		return false;
	vcpu_fetch_mode(vcpu);
	return vcpu->regs.seg[SEG_CS].attr & SEG_ATTR_L;
}

/* The DPL of SS on both vendors; real mode is 0 and virtual-8086 mode 3. */
static inline int vcpu_cpl(struct vcpu *vcpu)
{
	vcpu_fetch_mode(vcpu);
	return vcpu->regs.cpl;
}

static inline bool vcpu_is_protected(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_CR0);
	return vcpu->regs.cr0 & X86_CR0_PE;
}

static inline bool vcpu_is_paging(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_CR0);
	return vcpu->regs.cr0 & X86_CR0_PG;
}

u64 vcpu_linear_rip(struct vcpu *vcpu);

/* Common exit handlers (vm/exits.c): the vendor decodes, these act. All: enum run_next or -errno. */
int vcpu_handle_cpuid(struct vcpu *vcpu);
int vcpu_handle_io(struct vcpu *vcpu, struct io_exit io);
int vcpu_handle_rdmsr(struct vcpu *vcpu);		/* ECX, EDX:EAX; injects #GP itself */
int vcpu_handle_wrmsr(struct vcpu *vcpu);
int vcpu_handle_xsetbv(struct vcpu *vcpu);
int vcpu_handle_hypercall(struct vcpu *vcpu);
int vcpu_handle_cr_write(struct vcpu *vcpu, int cr, u64 value);	/* skips the instruction when it succeeds */
int vcpu_task_priority_set(struct vcpu *vcpu, u64 old, int r);	/* behind a write to CR8 */
int vcpu_handle_hlt(struct vcpu *vcpu);
int vcpu_handle_fault(struct vcpu *vcpu, struct fault *fault);	/* second-level fault: map, or emulate MMIO */
int vcpu_handle_mmio(struct vcpu *vcpu, const struct fault *fault);
int vcpu_handle_dr(struct vcpu *vcpu, int dr, bool write, int gpr);
int vcpu_handle_task_switch(struct vcpu *vcpu, u16 selector, int reason, bool has_error, u32 error);
int vcpu_handle_rdtsc(struct vcpu *vcpu, bool rdtscp);
int vcpu_handle_rdpmc(struct vcpu *vcpu);
int vcpu_handle_wbinvd(struct vcpu *vcpu);
int vcpu_handle_invd(struct vcpu *vcpu);
int vcpu_handle_monitor(struct vcpu *vcpu, bool mwait);
int vcpu_handle_pause(struct vcpu *vcpu);
int vcpu_handle_invpcid(struct vcpu *vcpu, u64 type, u64 gva_of_descriptor);
int vcpu_handle_ud(struct vcpu *vcpu);			/* #UD intercept: emulate what is emulated, else reflect */
int vcpu_access_failed(struct vcpu *vcpu, int err, const struct mmu_exception *e);
int vcpu_debug_trap(struct vcpu *vcpu, u64 dr6);	/* #DB of an instruction that was handled or emulated */

/* vm/emulate.c: the instruction emulator on a vCPU. enum run_next or -errno. */
int vcpu_emulate(struct vcpu *vcpu);			/* the instruction at RIP */
int vcpu_emulate_mmio(struct vcpu *vcpu, const struct fault *fault);	/* ... that faulted on no memory */
void vcpu_emulate_cpuid_changed(struct vcpu *vcpu);	/* the instruction set follows the guest's CPUID */
int vcpu_decode(struct vcpu *vcpu);			/* the instruction at RIP, into vcpu->emu: 0, -EAGAIN, -EFAULT: there is none */
int vcpu_read_code(struct vcpu *vcpu, u64 linear, u8 *bytes, unsigned int n);
int vcpu_instruction_length(struct vcpu *vcpu);		/* of the instruction at RIP: 1-15, or -errno; no NRIPS */

#endif
