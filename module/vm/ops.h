/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a vendor implements. One const table per vendor, chosen at load.
 */
#ifndef NESTOR_OPS_H
#define NESTOR_OPS_H

#include <linux/static_call.h>

#include "vm/entry_failure.h"
#include "vm/vm.h"

/* How far a flush of guest-virtual translations reaches. */
enum tlb_scope {
	TLB_GUEST,		/* all of this vCPU's, global ones included */
	TLB_ALL,		/* TLB_GUEST and second-level translations of its root */
	TLB_LEVELS,		/* TLB_GUEST of L1 and of every L2, whichever runs */
};

/* Exit numbers carry a vendor tag for counters and traces: see trace/stats.h. */

/**
 * struct vendor_ops - hardware virtualization of one CPU vendor
 *
 * 'burst' in a comment: only called inside a burst (interrupts off, root mode on).
 */
struct vendor_ops {
	const char *name;				/* "VMX" or "SVM" */
	size_t vcpu_size;				/* of the structure that embeds struct vcpu first */

	/* Module load: probe() logs one line that names what is missing and returns -EOPNOTSUPP. */
	int (*probe)(void);
	int (*setup)(void);				/* tables, bitmaps, per-CPU areas; fills cpu_caps */
	void (*cleanup)(void);

	int (*vm_init)(struct vm *vm);
	void (*vm_destroy)(struct vm *vm);
	int (*vcpu_init)(struct vcpu *vcpu);
	void (*vcpu_destroy)(struct vcpu *vcpu);
	void (*vcpu_reset)(struct vcpu *vcpu, bool init_event);	/* vendor state; regs are reset by common code */
	void (*cpuid_changed)(struct vcpu *vcpu);	/* intercepts and masks that depend on the guest's CPUID */

	/* Burst. enter: 0, or -EBUSY/-EIO with the reason logged. */
	int (*burst_enter)(struct vcpu *vcpu);
	void (*burst_leave)(struct vcpu *vcpu);
	void (*enter)(struct vcpu *vcpu);		/* burst: flush dirty registers, run the guest until an exit */
	int (*handle_exit)(struct vcpu *vcpu);		/* in the burst first; again outside after RUN_SLOW */
	void (*fetch)(struct vcpu *vcpu, u32 groups);	/* see vm/regs.h; opens a small burst when needed */

	/* Events: called before entry, in the burst. */
	bool (*interrupt_allowed)(struct vcpu *vcpu);	/* RFLAGS.IF, no shadow, nothing being injected */
	bool (*nmi_allowed)(struct vcpu *vcpu);
	void (*inject_interrupt)(struct vcpu *vcpu, u8 vector, bool soft);
	void (*inject_nmi)(struct vcpu *vcpu);
	void (*inject_exception)(struct vcpu *vcpu, const struct exception *e);
	void (*cancel_injection)(struct vcpu *vcpu);	/* the entry did not happen: take the event back */
	void (*open_interrupt_window)(struct vcpu *vcpu, bool open);
	void (*open_nmi_window)(struct vcpu *vcpu, bool open);
	bool (*nmi_masked)(struct vcpu *vcpu);
	void (*set_nmi_masked)(struct vcpu *vcpu, bool masked);
	void (*clear_halt)(struct vcpu *vcpu);		/* a HLT that did not exit is over */
	void (*update_tpr)(struct vcpu *vcpu, int tpr, int max_irr);	/* CR8 intercepts or TPR threshold */
	void (*host_interrupt)(struct vcpu *vcpu);	/* behind the burst: take vcpu->host_vector; NULL: never set */
	void (*doorbell)(int cpu);	/* what runs there may have requests that the CPU takes by itself; no preemption */
	void (*apic_ids_changed)(struct vm *vm);	/* with cpu_caps.shared_irr; any context */

	/* Instructions and translations. */
	int (*skip_instruction)(struct vcpu *vcpu);	/* RIP past it, shadow and RF cleared, step trap: enum run_next */
	void (*tlb_flush)(struct vcpu *vcpu, enum tlb_scope scope);	/* takes effect before the next entry */
	void (*tlb_flush_address)(struct vcpu *vcpu, u64 gva);
	void (*root_changed)(struct vcpu *vcpu);	/* vcpu_root(): reload EPTP/nCR3 */
	void (*intercepts_changed)(struct vcpu *vcpu);	/* guest_debug, disabled exits, MSR filter, XFD.. */
	void (*msr_intercept)(struct vcpu *vcpu, u32 msr, bool read, bool write);

	/* Registers with vendor rules. valid: 0 or -EINVAL (guest gets #GP). */
	bool (*cr0_valid)(struct vcpu *vcpu, u64 cr0);	/* NULL: no rules but the common ones */
	bool (*cr4_valid)(struct vcpu *vcpu, u64 cr4);
	bool (*efer_valid)(struct vcpu *vcpu, u64 efer);	/* of the guest's own writes; NULL: as cr0_valid */
	int (*get_msr)(struct vcpu *vcpu, u32 msr, u64 *value, bool host);	/* vendor-only MSRs: 0, or -ENOENT */
	int (*set_msr)(struct vcpu *vcpu, u32 msr, u64 value, bool host);	/* 0, -ENOENT, -EINVAL */
	int (*get_feature_msr)(u32 msr, u64 *value);	/* what this host offers; NULL: no such MSRs. 0, -ENOENT */
	void (*write_tsc_offset)(struct vcpu *vcpu, u64 offset, u64 ratio);

	const struct nested_ops *nested;	/* NULL: guests cannot be hypervisors */

	/* Reporting. */
	void (*exit_info)(struct vcpu *vcpu, u32 *reason, u64 *info1, u64 *info2, u32 *intr, u32 *error);
	int (*entry_state)(struct vcpu *vcpu, struct check_state *state);	/* of the last entry, which failed */
	int (*probe_entry)(struct vcpu *vcpu, struct entry_probe *probe);	/* burst: one entry; 0 or -EINVAL */
	const struct exit_name *exit_names;		/* reason -> name, for traces; ends with a NULL name */

	/* The CPU dies (oops, panic) inside a burst: leave root mode with what is at hand. Any context. */
	void (*emergency_leave)(void);
};

struct exit_name {
	u32 reason;
	const char *name;
};

extern const struct vendor_ops vmx_ops, svm_ops;
extern const struct vendor_ops *vendor;			/* main.c: the one of this CPU */

/* Features that nobody has seen work: off unless experimental= names them. */
enum experimental {
	EXPERIMENTAL_EPT5,		/* "ept5": 5-level EPT */
	EXPERIMENTAL_NR
};
extern unsigned long nestor_experimental;		/* main.c: bits by enum experimental */

/* What takes work off the local APIC: off unless apic_accel= names it, or says "all". */
enum apic_accel {
	/* VMX */
	ACCEL_TPR,			/* "tpr": CR8 is the register's, and exits come when it falls below a threshold */
	ACCEL_DELIVERY,			/* "delivery": requests are delivered and EOIs taken without an exit */
	ACCEL_X2APIC,			/* "x2apic": registers are read, TPR, EOI and SELF IPI written without one */
	ACCEL_XAPIC,			/* "xapic": the same by the page of registers, in xAPIC mode */
	ACCEL_POSTED,			/* "posted": requests by other CPUs reach the guest without one */
	ACCEL_TIMER,			/* "timer": a TSC deadline that comes while the guest runs exits by itself */
	/* SVM */
	ACCEL_AVIC,			/* "avic": in xAPIC mode all of the above but the timer */
	ACCEL_IPI,			/* "ipi": IPIs reach other vCPUs that run, with AVIC */
	ACCEL_NR
};
#define ACCEL_ALL	(~0ul)				/* what this CPU does well, which a word may go beyond */
extern unsigned long nestor_apic_accel;			/* main.c: bits by enum apic_accel */

/*
 * Verbs of every exit: vendor_call(verb)(arguments) is a direct call, patched when the module loads. Through the
 * table it would be an indirect one, which costs a retpoline.
 */
#define VENDOR_HOT_OPS(X)		\
	X(burst_enter) X(burst_leave) X(enter) X(handle_exit) X(fetch) X(skip_instruction)	\
	X(interrupt_allowed)

#define X(verb)	DECLARE_STATIC_CALL(vendor_##verb, *((struct vendor_ops *)NULL)->verb);
VENDOR_HOT_OPS(X)
#undef X
#define vendor_call(verb)	static_call(vendor_##verb)

#endif
