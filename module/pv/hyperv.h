/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Enlightenments: the paravirtual interface that Windows knows, by the Hypervisor Top-Level Functional
 * Specification (TLFS), as upstream offers it.
 *
 * A guest that has none of it costs a test of vcpu->hv for NULL: a vCPU's state is made when its CPUID
 * says "Hv#1", when a capability asks for it, or when user space accesses one of the MSRs.
 */
#ifndef NESTOR_HYPERV_H
#define NESTOR_HYPERV_H

#include <linux/bitmap.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "pv/hyperv_tlfs.h"
#include "vm/vm.h"

struct msr_access;
struct pvclock_vcpu_time_info;

/**
 * struct hv_features - what the guest's CPUID says, for those who enforce it
 * @eax: HV_CAN_*, the MSRs
 * @ebx: HV_CAN_*, the hypercalls
 * @edx: HV_HAS_*
 * @hints: EAX of HV_LEAF_HINTS
 * @spins: EBX of HV_LEAF_HINTS
 * @nested: EAX of HV_LEAF_NESTED
 * @debug: HV_DEBUG_ALLOWED
 */
struct hv_features {
	u32 eax, ebx, edx;
	u32 hints, spins;
	u32 nested;
	u32 debug;
};

/**
 * struct hv_stimer - a synthetic timer
 * @timer: its callback only asks the vCPU to look
 * @config: HV_STIMER_*
 * @count: period, or time of expiry; 100 ns
 * @expires: on the reference clock; 0: not started
 * @undelivered: it has expired and its message waits for the slot to become free
 */
struct hv_stimer {
	struct hrtimer timer;
	struct vcpu *vcpu;		/* [c] */
	u8 index;			/* [c] */
	u64 config, count, expires;	/* [v] */
	bool undelivered;		/* [v] */
};

/**
 * struct hv_synic - a vCPU's synthetic interrupt controller
 * @active: user space has enabled it; it never goes back
 * @keep_pages: KVM_CAP_HYPERV_SYNIC2: the guest clears its pages itself
 * @sint: HV_SINT_*
 * @gsi: whose route is the SINT, -1: nobody's
 * @vectors: that some SINT has
 * @auto_eoi: the ones among them that never are in service
 */
struct hv_synic {
	bool active;			/* [a] */
	bool keep_pages;		/* [v] */
	u64 control, version;		/* [v] */
	u64 event_page, message_page;	/* [v] */
	u64 sint[HV_SINTS];		/* [v] others read it */
	int gsi[HV_SINTS];		/* vm_irq->lock; the vCPU reads it */
	DECLARE_BITMAP(vectors, 256);	/* [v] */
	DECLARE_BITMAP(auto_eoi, 256);	/* [v] */
};

/* Bits of vcpu_hv.exits: what KVM_RUN returns to user space with. */
enum hv_exit { HV_EXIT_CRASH, HV_EXIT_RESET, HV_EXIT_DETAIL };

/**
 * struct vcpu_hv - a virtual processor
 * @enabled: CPUID says that the guest may use all this
 * @enforce: KVM_CAP_HYPERV_ENFORCE_CPUID: only what CPUID offers
 * @vp_index: as hypercalls name it
 * @assist: HV_MSR_VP_ASSIST
 * @direct_flush: the L2 that runs, or ran last, flushes TLBs by hypercalls to this hypervisor
 * @partition_assist: gpa1 of its partition's assist page
 * @runtime_offset: what migration adds to the time that the thread has run, 100 ns
 * @exits: HV_EXIT_* under way
 * @detail: of HV_EXIT_DETAIL
 * @expired: timers to look at
 * @banks: room for the set of processors of a hypercall, too large for the stack
 */
struct vcpu_hv {
	struct vcpu *vcpu;		/* [c] */
	bool enabled, enforce;		/* [v] */
	struct hv_features features;	/* [v] */
	u32 vp_index;			/* [v] others read it */
	u64 assist;			/* [v] */
	bool direct_flush;		/* [v] */
	u64 partition_assist;		/* [v] */
	u64 runtime_offset;		/* [v] */
	struct hv_synic synic;
	unsigned long exits;		/* [v] */
	struct kvm_hyperv_exit detail;	/* [v] */
	unsigned long expired;		/* [a] */
	struct hv_stimer stimer[HV_STIMERS];
	u64 banks[HV_BANKS];		/* [v] */
};

/* The reference TSC page: who wrote it last. */
enum hv_tsc_state {
	HV_TSC_OFF,
	HV_TSC_GUEST_CHANGED,		/* to be filled: the guest has set its address */
	HV_TSC_HOST_CHANGED,		/* to be filled: user space did, or the clock changed */
	HV_TSC_VALID,
	HV_TSC_BROKEN,			/* cannot be written, or the clock is no multiple of the TSC */
};

/**
 * struct vm_hv - a partition
 * @lock: writers of the MSRs that all virtual processors share, and of the TSC page
 * @tsc_lock: @tsc_state, @tsc_scale and @tsc_offset belong together; readers may be in a burst
 * @connections: connection ID to eventfd
 */
struct vm_hv {
	struct mutex lock;
	u64 guest_os_id, hypercall;	/* lock; read without */
	u64 ref_tsc;			/* lock */
	u64 crash[5], crash_ctl;	/* lock */
	u64 reenlightenment, tsc_emulation_control, tsc_emulation_status;	/* lock */
	u64 tsc_invariant;		/* lock; read without */
	struct kvm_hyperv_exit debug;	/* lock: the synthetic debugger's registers */
	u64 debug_options;		/* lock; read without */
	raw_spinlock_t tsc_lock;
	enum hv_tsc_state tsc_state;
	u64 tsc_scale;
	s64 tsc_offset;
	struct xarray connections;
};

/* Other threads than the vCPU's own look at it through this. */
static inline struct vcpu_hv *vcpu_hv_get(struct vcpu *vcpu)
{
	/* Pairs with hv_vcpu_prepare(). */
	return smp_load_acquire(&vcpu->hv);
}

static inline struct vm_hv *vm_hv_get(struct vm *vm)
{
	/* Pairs with hv_vm_prepare(). */
	return smp_load_acquire(&vm->hv);
}

static inline u32 hv_vp_index(struct vcpu *vcpu)
{
	struct vcpu_hv *hv = vcpu_hv_get(vcpu);

	return hv ? READ_ONCE(hv->vp_index) : vcpu->index;
}

/* hyperv.c */
struct vm_hv *hv_vm_prepare(struct vm *vm);	/* its partition, made if need be; NULL: no memory */
void hv_vm_destroy(struct vm *vm);
int hv_vcpu_prepare(struct vcpu *vcpu);		/* 0 or -ENOMEM */
void hv_vcpu_destroy(struct vcpu *vcpu);
struct vcpu *hv_find_vp(struct vm *vm, u32 vp_index);
void hv_exit(struct vcpu *vcpu, enum hv_exit exit);
int hv_serve_requests(struct vcpu *vcpu);	/* REQ_HYPERV: enum run_next; may sleep */
int hv_enforce_cpuid(struct vcpu *vcpu, bool enforce);
int hv_enable_synic(struct vcpu *vcpu, bool keep_pages);

/* hyperv_cpuid.c */
#define HV_CPUID_ENTRIES	10
/* KVM_GET_SUPPORTED_HV_CPUID: of @vcpu, NULL: of one that has everything. */
void hv_cpuid_supported(struct kvm_cpuid_entry2 *entries, const struct vcpu *vcpu);
int hv_cpuid_prepare(struct vcpu *vcpu);	/* new entries are in place: 0 or -ENOMEM */
void hv_cpuid_changed(struct vcpu *vcpu);	/* they are here to stay */
bool hv_may_hide_invariant_tsc(struct vcpu *vcpu);	/* now or later, by its CPUID */
bool hv_hides_invariant_tsc(struct vcpu *vcpu);

/* hyperv_msr.c: rows of the MSR table. */
int hv_msr_get(struct vcpu *vcpu, struct msr_access *a);
int hv_msr_set(struct vcpu *vcpu, struct msr_access *a);

/* hyperv_time.c */
u64 hv_reference_time(struct vm *vm);		/* 100 ns; any context */
void hv_set_ref_tsc(struct vcpu *vcpu, u64 value, bool host);		/* under vm_hv.lock */
/* @page: what a kvmclock page would say now. May sleep. */
void hv_tsc_page_update(struct vcpu *vcpu, const struct pvclock_vcpu_time_info *page);
void hv_tsc_page_stale(struct vm *vm);		/* the VM's clock has changed; may sleep */

/* hyperv_synic.c */
void hv_synic_init(struct hv_synic *synic);
int hv_synic_get_msr(struct vcpu *vcpu, struct msr_access *a);
int hv_synic_set_msr(struct vcpu *vcpu, struct msr_access *a);
int hv_synic_set_irq(struct vm *vm, u32 vp_index, u32 sint);	/* as irq_deliver(); any context */
/* 0; -EAGAIN: the slot is taken, EOM or EOI will tell; or another error. May sleep. */
int hv_synic_post(struct vcpu *vcpu, u32 sint, const struct hv_message *msg, bool retry);
void hv_synic_eoi(struct vcpu *vcpu, u8 vector);
bool hv_synic_auto_eoi(struct vcpu *vcpu, u8 vector);
void hv_synic_set_gsis(struct vcpu_hv *hv, const int *gsis);

/* hyperv_stimer.c */
void hv_stimers_init(struct vcpu_hv *hv);
void hv_stimers_stop(struct vcpu_hv *hv);
int hv_stimer_get_msr(struct vcpu *vcpu, struct msr_access *a);
int hv_stimer_set_msr(struct vcpu *vcpu, struct msr_access *a);
void hv_stimers_run(struct vcpu *vcpu);		/* may sleep */
void hv_stimers_retry(struct vcpu *vcpu, u32 sint);	/* its message slot may be free */

/**
 * struct hv_call - a hypercall's input
 * @words: a fast call's: two registers, then six XMM registers
 * @nr_words: how many of them there are
 * @gpa: where the input is, unless @fast
 * @next: word that hv_call_read() reads next
 */
struct hv_call {
	u16 code;
	u16 reps, rep_start, var_header;
	bool fast;
	u64 control;
	u64 gpa, output;
	u64 words[14];
	unsigned int nr_words, next;
};

/* hyperv_hypercall.c */
static inline bool hv_hypercalls_enabled(struct vcpu *vcpu)
{
	return vcpu->hv->enabled && READ_ONCE(vcpu->vm->hv->guest_os_id);
}
int hv_hypercall(struct vcpu *vcpu);		/* VMCALL or VMMCALL: enum run_next */
/* The next @n words of the input. False: there are not so many, or no memory is there. */
bool hv_call_read(struct vm *vm, struct hv_call *call, u64 *words, unsigned int n);
int hv_eventfd(struct vm *vm, const struct kvm_hyperv_eventfd *args);	/* KVM_HYPERV_EVENTFD */

/*
 * hyperv_nested.c. hv_evmcs_versions(): the lowest version of enlightened VMCSs, and above it the highest, that @vcpu
 * may use, NULL: any can; 0: none. hv_enable_evmcs(): KVM_CAP_HYPERV_ENLIGHTENED_VMCS: 0 or -ENOTTY.
 * hv_current_evmcs(): the one that the assist page says to enter L2 with, or HV_NO_EVMCS; 0 or -EAGAIN. hv_enter_l2():
 * the guest enters L2; what it says of that: @direct flushes by L2, and the @partition assist page. 0; -EAGAIN; -EFAULT:
 * no memory. hv_takes_call(): VMCALL or VMMCALL of L2's is no exit. hv_flushed(): L2 has flushed: HV_*, and whether L1
 * wants to be told, by nested_ops.after_flush().
 */
u16 hv_evmcs_versions(const struct vcpu *vcpu);
int hv_enable_evmcs(struct vcpu *vcpu, u16 *versions);
int hv_current_evmcs(struct vcpu *vcpu, u64 *address);
int hv_enter_l2(struct vcpu *vcpu, bool direct, u64 partition);
bool hv_takes_call(struct vcpu *vcpu);
u64 hv_flushed(struct vcpu *vcpu, bool *tell);

/* hyperv_vp.c: hypercalls to other virtual processors; not in a burst, unless said. */
u64 hv_call_flush(struct vcpu *vcpu, struct hv_call *call);
u64 hv_call_send_ipi(struct vcpu *vcpu, struct hv_call *call);	/* in a burst: fast calls for few vCPUs */

#endif
