/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMX: what the files of this folder share. svm/svm.h is its twin.
 */
#ifndef NESTOR_VMX_VMX_H
#define NESTOR_VMX_VMX_H

#include <linux/bitfield.h>
#include <linux/nospec.h>
#include <linux/percpu.h>
#include <asm/debugreg.h>
#include <uapi/asm/vmx.h>

#include "vm/ops.h"
#include "vmx/nested.h"
#include "vmx/vmcs.h"

/**
 * struct vmx_caps - what this CPU's VMX can do, adjusted to what is used
 * @pin, @cpu, @cpu2, @exit, @entry: controls that are set for every vCPU at first
 * @pin_allowed, @cpu_allowed, @cpu2_allowed, @exit_allowed, @entry_allowed: those that may be set
 * @accel: VMX_ACCEL_*: what takes work off the local APIC
 * @timer_rate: the VMX-preemption timer counts when this bit of the TSC changes
 * @cr0_fixed0: bits of CR0 that must be set, PE and PG apart (unrestricted guest)
 * @pt_clears: entering VMX operation ends a Processor Trace; see vmx_root_enter()
 *
 * Filled by vmx_probe(), constant afterwards.
 */
struct vmx_caps {
	u32 revision;
	u32 pin, cpu, cpu2, exit, entry;
	u32 pin_allowed, cpu_allowed, cpu2_allowed, exit_allowed, entry_allowed;
	u32 accel;
	u8 timer_rate;
	u64 ept_vpid;
	u64 cr0_fixed0;
	u64 cr4_fixed0, cr4_fixed1;
	bool pt_clears;
	bool has_pebs;
};
extern struct vmx_caps vmx_caps;

/*
 * VMCS fields that are written only when they change, whoever changes them and whether the VMCS
 * is loaded or not: vmx_set() notes the value, the next entry writes it.
 */
enum vmx_lazy {
	LAZY_PIN, LAZY_CPU, LAZY_CPU2, LAZY_EXIT, LAZY_ENTRY,
	LAZY_EXCEPTIONS,
	LAZY_TSC_OFFSET, LAZY_TSC_MULTIPLIER,
	LAZY_EPTP,
	LAZY_DR7, LAZY_TPR_THRESHOLD,
	LAZY_CR0_MASK, LAZY_CR4_MASK, LAZY_CR0_SHADOW, LAZY_CR4_SHADOW,
	LAZY_HOST_CR3, LAZY_HOST_CR4, LAZY_HOST_FS_BASE,
	LAZY_PF_MASK, LAZY_PF_MATCH, LAZY_XSS_BITMAP,
	LAZY_LINK_POINTER,
	LAZY_NR
};

/**
 * struct vmx_vmcs - a VMCS of ours
 * @region: a page
 * @pa: its physical address
 * @msr_bitmap: a page
 * @vpid: 0: none
 * @used: the region was cleared and filled once
 * @active: this CPU has it, since it was loaded in this burst or visit
 * @launched: since then
 * @host_cpu: that the per-CPU host state in it is of; -1 none
 * @host_rsp: HOST_RSP in it, while it is not the current one
 * @flush: before the next entry with it: FLUSH_*
 * @lazy: values of its fields
 * @lazy_stale: bits: fields that hardware lacks
 */
struct vmx_vmcs {
	void *region;
	u64 pa;
	void *msr_bitmap;
	u16 vpid;
	bool used;
	bool active, launched;
	int host_cpu;
	u64 host_rsp;
	u32 flush;
	u64 lazy[LAZY_NR];
	u32 lazy_stale;
};

#define FLUSH_VPID	BIT(0)
#define FLUSH_EPT	BIT(1)

/* Exit information that was read: vmx_exit.have. */
#define EXIT_HAVE_QUALIFICATION	BIT(0)
#define EXIT_HAVE_INTR		BIT(1)
#define EXIT_HAVE_LENGTH	BIT(2)
#define EXIT_HAVE_ADDRESSES	BIT(3)
#define EXIT_HAVE_INSN_INFO	BIT(4)

/**
 * struct vmx_exit - the last exit
 * @reason: basic reason and flags; valid after every entry
 * @vectoring: IDT-vectoring information, 0 when no event was interrupted in its delivery
 * @have: which of the fields that follow were read; complete when the burst is left for slow
 *	  handling or user space
 */
struct vmx_exit {
	u32 reason;
	u32 vectoring, vectoring_error;
	u32 have;
	u64 qualification;
	u32 intr, intr_error;
	u32 length;
	u32 insn_info;
	u64 gla, gpa;
};

/* MSRs of the guest's that are in the CPU during a burst; see vmx_msrs_enter(). */
#define VMX_NR_SWITCHED	5

/* What vmx_run() is told; also in asm_offsets.h. */
#define VMX_RUN_RESUME		BIT(0)	/* VMRESUME, not VMLAUNCH */
#define VMX_RUN_SAVE_SPEC_CTRL	BIT(1)	/* the guest writes IA32_SPEC_CTRL without an exit */
#define VMX_RUN_VERW		BIT(2)	/* clear CPU buffers on entry */

/* What vmx_run() returns. */
enum vmx_run_result { VMX_RUN_EXIT, VMX_RUN_VMFAIL, VMX_RUN_FAULT };

/**
 * struct vmx_vcpu - a vCPU on VMX
 *
 * Fields without a mark are guarded by vcpu->mutex.
 */
struct vmx_vcpu {
	struct vcpu vcpu;		/* first: to_vmx() */

	struct vmx_vmcs *vmcs;		/* the one that is used: 02 while L2 runs */
	struct vmx_vmcs vmcs01, vmcs02;
	u64 host_rsp;			/* HOST_RSP in it, kept by vmx_run() */

	struct vmx_exit exit;
	enum vmx_run_result result;	/* of the last entry */
	u32 entry_error;		/* VM-instruction error of a VMfail */

	struct {			/* of the last failed entry, what the VMCS does not have any more */
		u32 event;
		bool resume;
	} failed;

	/* The event given to the next entry: 0 or INTR_VALID and more. */
	u32 inject;
	u32 inject_error;
	u32 inject_length;
	u32 soft_length;		/* length of the instruction whose soft event must be injected again */

	u32 interruptibility;		/* with REGS_SHADOW: the field's other bits */
	bool nmi_blocked;		/* with REGS_SHADOW */
	bool clear_halt;		/* the VMCS may say 'halted', but the guest is not any more */
	bool forced_tf;			/* RFLAGS.TF in the VMCS is user space's, not the guest's */
	bool pass_spec_ctrl;		/* the guest uses IA32_SPEC_CTRL: not intercepted any more */
	u32 run_flags;			/* VMX_RUN_* that do not change from entry to entry */

	u32 accel;			/* VMX_ACCEL_* that are in use now */
	u32 timer_value;		/* in vmcs01's preemption timer; VMX_TIMER_OFF: no deadline */

	u64 *pml;			/* the CPU's log: pml.c; NULL: none */

	bool flush_l1d;			/* [i] the host may have secrets in L1D */

	/* What the host had at burst begin. */
	struct vmx_host {
		u64 cr4;
		u16 ds, es, fs, gs, ldt;
		u64 fs_base;
		u64 debugctl;
		u64 pebs_enable;
		u64 msr[VMX_NR_SWITCHED];
		u64 loaded[VMX_NR_SWITCHED];	/* [i] the guest's value, as it was written */
		u32 msrs;		/* [i] bits: MSRs that hold the guest's value */
	} host;

	struct nested_vmx nested;
};

static inline struct vmx_vcpu *to_vmx(struct vcpu *vcpu)
{
	return container_of(vcpu, struct vmx_vcpu, vcpu);
}

static inline void vmcs_set(struct vmx_vmcs *vmcs, enum vmx_lazy field, u64 value)
{
	if (vmcs->lazy[field] != value) {
		vmcs->lazy[field] = value;
		vmcs->lazy_stale |= BIT(field);
	}
}

static inline void vmx_set(struct vmx_vcpu *vmx, enum vmx_lazy field, u64 value)
{
	vmcs_set(vmx->vmcs, field, value);
}

static inline u64 vmx_get(const struct vmx_vcpu *vmx, enum vmx_lazy field)
{
	return vmx->vmcs->lazy[field];
}

static inline void vmx_set_bits(struct vmx_vcpu *vmx, enum vmx_lazy field, u64 bits, bool on)
{
	vmx_set(vmx, field, on ? vmx_get(vmx, field) | bits : vmx_get(vmx, field) & ~bits);
}

/* What the CPU does for the local APIC: apic.c. */
#define VMX_ACCEL_TPR		BIT(ACCEL_TPR)
#define VMX_ACCEL_DELIVERY	BIT(ACCEL_DELIVERY)
#define VMX_ACCEL_X2APIC	BIT(ACCEL_X2APIC)
#define VMX_ACCEL_XAPIC		BIT(ACCEL_XAPIC)
#define VMX_ACCEL_POSTED	BIT(ACCEL_POSTED)
#define VMX_ACCEL_TIMER		BIT(ACCEL_TIMER)
#define VMX_TIMER_OFF		U32_MAX
void vmx_apic_setup(void);
void vmx_apic_changed(struct vmx_vcpu *vmx);
void vmx_apic_controls(struct vmx_vcpu *vmx, u32 *cpu, u32 *cpu2);
void vmx_host_interrupt(struct vcpu *vcpu);
void vmx_apic_msrs(struct vmx_vcpu *vmx);
void vmx_apic_write_constants(struct vmx_vcpu *vmx);
void vmx_apic_enter(struct vmx_vcpu *vmx);
void vmx_update_tpr(struct vcpu *vcpu, int tpr, int max_irr);
void vmx_doorbell(int cpu);
int vmx_handle_tpr_below_threshold(struct vcpu *vcpu);
int vmx_handle_preemption_timer(struct vcpu *vcpu);
int vmx_handle_eoi_induced(struct vcpu *vcpu);
int vmx_handle_apic_access(struct vcpu *vcpu);
int vmx_handle_apic_write(struct vcpu *vcpu);

/* pml.c: page-modification logging */
void vmx_pml_setup(void);
int vmx_pml_vcpu_init(struct vmx_vcpu *vmx);
void vmx_pml_vcpu_destroy(struct vmx_vcpu *vmx);
void vmx_pml_write_constants(struct vmx_vcpu *vmx);
void vmx_pml_collect(struct vmx_vcpu *vmx);
int vmx_handle_pml_full(struct vcpu *vcpu);

/* root.c: probing, root mode, bursts, entering the guest */
int vmx_probe(void);
int vmx_setup(void);
void vmx_cleanup(void);
int vmx_burst_enter(struct vcpu *vcpu);
void vmx_burst_leave(struct vcpu *vcpu);
int vmx_visit_begin(struct vmx_vcpu *vmx, unsigned long *flags);
void vmx_visit_end(struct vmx_vcpu *vmx, unsigned long flags);
void vmx_use_vmcs(struct vmx_vcpu *vmx, struct vmx_vmcs *vmcs);
void vmx_emergency_leave(void);

/* run.c: one entry. enter.S: vmx_run(), and where exits arrive */
int vmx_enter_setup(void);
void vmx_enter_cleanup(void);
void vmx_enter(struct vcpu *vcpu);
void vmx_write_state(struct vmx_vcpu *vmx);
enum vmx_run_result vmx_run(struct vmx_vcpu *vmx, u32 flags);
void vmx_run_exit(void);
void vmx_call_interrupt(unsigned long handler);
u32 vmx_run_flags(void);
void vmx_flush_tlb(struct vmx_vmcs *vmcs);
void vmx_tlb_flush(struct vcpu *vcpu, enum tlb_scope scope);
void vmx_tlb_flush_address(struct vcpu *vcpu, u64 gva);

/* vmcs.c: control words, and the state that is written once */
int vmx_read_caps(void);
int vmx_vmcs_init(struct vmx_vmcs *vmcs);
void vmx_vmcs_free(struct vmx_vmcs *vmcs);
u64 vmx_eptp(u64 root_pa);
int vmx_vcpu_init(struct vcpu *vcpu);
void vmx_vcpu_destroy(struct vcpu *vcpu);
void vmx_vcpu_reset(struct vcpu *vcpu, bool init_event);
void vmx_intercepts_changed(struct vcpu *vcpu);
void vmx_write_constants(struct vmx_vcpu *vmx);
void vmx_write_host_state(struct vmx_vcpu *vmx, int cpu);
void vmx_write_lazy(struct vmx_vcpu *vmx);
void vmx_root_changed(struct vcpu *vcpu);
void vmx_write_tsc_offset(struct vcpu *vcpu, u64 offset, u64 ratio);
int vmx_vpid_setup(void);
void vmx_vpid_cleanup(void);

/* regs.c: registers between struct regs and the VMCS */
void vmx_fetch(struct vcpu *vcpu, u32 groups);
void vmx_fetch_now(struct vmx_vcpu *vmx, u32 groups);
void vmx_flush_regs(struct vmx_vcpu *vmx);
u64 vmx_pending_debug(struct vmx_vcpu *vmx);
int vmx_skip_instruction(struct vcpu *vcpu);
bool vmx_cr0_valid(struct vcpu *vcpu, u64 cr0);
bool vmx_cr4_valid(struct vcpu *vcpu, u64 cr4);

/* events.c: injection */
bool vmx_interrupt_allowed(struct vcpu *vcpu);
bool vmx_nmi_allowed(struct vcpu *vcpu);
void vmx_inject_interrupt(struct vcpu *vcpu, u8 vector, bool soft);
void vmx_inject_nmi(struct vcpu *vcpu);
void vmx_inject_exception(struct vcpu *vcpu, const struct exception *e);
void vmx_cancel_injection(struct vcpu *vcpu);
void vmx_open_interrupt_window(struct vcpu *vcpu, bool open);
void vmx_open_nmi_window(struct vcpu *vcpu, bool open);
bool vmx_nmi_masked(struct vcpu *vcpu);
void vmx_set_nmi_masked(struct vcpu *vcpu, bool masked);
bool vmx_nmi_unblocked(u32 reason, u64 qualification, u32 intr);
void vmx_clear_halt(struct vcpu *vcpu);
void vmx_write_injection(struct vmx_vcpu *vmx);
void vmx_check_delivery(struct vmx_vcpu *vmx);

/* msr.c: MSR bitmap, MSRs that are the guest's during a burst */
void vmx_msr_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write);
void vmx_update_msr_bitmap(struct vmx_vcpu *vmx);
int vmx_msr_bitmap_bit(u32 msr, bool write);
void vmx_msrs_enter(struct vmx_vcpu *vmx);
void vmx_msrs_update(struct vmx_vcpu *vmx, bool rewrite);
void vmx_msrs_leave(struct vmx_vcpu *vmx);
int vmx_get_msr(struct vcpu *vcpu, u32 msr, u64 *value, bool host);
int vmx_set_msr(struct vcpu *vcpu, u32 msr, u64 value, bool host);
int vmx_get_feature_msr(u32 msr, u64 *value);

/* check.c: what failed entries looked at */
int vmx_entry_state(struct vcpu *vcpu, struct check_state *state);
int vmx_probe_entry(struct vcpu *vcpu, struct entry_probe *probe);

/* exit.c */
extern const struct exit_name vmx_exit_names[];
int vmx_handle_exit(struct vcpu *vcpu);
u64 vmx_exit_gla(struct vmx_vcpu *vmx);
void vmx_exit_info(struct vcpu *vcpu, u32 *reason, u64 *info1, u64 *info2, u32 *intr, u32 *error);
u32 vmx_exit_intr(struct vmx_vcpu *vmx);

/* Of the two shadows the CPU has one at a time (SDM, Checks on Guest Non-Register State); user space may set both. */
static inline u32 vmx_interruptibility(const struct vmx_vcpu *vmx, bool nmi_blocked)
{
	u32 shadow = vmx->vcpu.regs.int_shadow;

	return (shadow & SHADOW_MOV_SS ? INTERRUPTIBILITY_MOV_SS : shadow & SHADOW_STI ? INTERRUPTIBILITY_STI : 0) |
	       (nmi_blocked ? INTERRUPTIBILITY_NMI : 0);
}

static inline u16 vmx_basic_reason(const struct vmx_vcpu *vmx)
{
	return vmx->exit.reason;
}

static inline u64 vmx_exit_qualification(struct vmx_vcpu *vmx)
{
	struct vmx_exit *e = &vmx->exit;

	if (!(e->have & EXIT_HAVE_QUALIFICATION)) {
		e->qualification = vmreadn(VMCS_EXIT_QUALIFICATION);
		e->have |= EXIT_HAVE_QUALIFICATION;
	}
	return e->qualification;
}

static inline u32 vmx_exit_length(struct vmx_vcpu *vmx)
{
	struct vmx_exit *e = &vmx->exit;

	if (!(e->have & EXIT_HAVE_LENGTH)) {
		e->length = vmread32(VMCS_EXIT_INSN_LENGTH);
		e->have |= EXIT_HAVE_LENGTH;
	}
	return e->length;
}

static inline u32 vmx_exit_insn_info(struct vmx_vcpu *vmx)
{
	struct vmx_exit *e = &vmx->exit;

	if (!(e->have & EXIT_HAVE_INSN_INFO)) {
		e->insn_info = vmread32(VMCS_EXIT_INSN_INFO);
		e->have |= EXIT_HAVE_INSN_INFO;
	}
	return e->insn_info;
}

/*
 * vmx_valid_after_exit - groups that an exit leaves valid
 *
 * IA32_DEBUGCTL: its writes exit, but the CPU clears bits in it by itself, if any are set.
 */
static inline u32 vmx_valid_after_exit(const struct vmx_vcpu *vmx)
{
	return REGS_EFER | REGS_PAT | REGS_DR | (vmx->vcpu.regs.debugctl ? 0 : REGS_DEBUGCTL);
}

/* Exits that can come while an event is delivered; all others leave IDT-vectoring information invalid. */
#define DELIVERY_EXITS	(BIT_ULL(EXIT_REASON_EXCEPTION_NMI) | BIT_ULL(EXIT_REASON_TASK_SWITCH) | \
			 BIT_ULL(EXIT_REASON_EPT_VIOLATION) | BIT_ULL(EXIT_REASON_EPT_MISCONFIG) | \
			 BIT_ULL(EXIT_REASON_APIC_ACCESS) | BIT_ULL(EXIT_REASON_PML_FULL))

/*
 * vmx_complete_events - after an exit: what was injected has been delivered, or comes back
 */
static inline void vmx_complete_events(struct vmx_vcpu *vmx)
{
	struct events *ev = &vmx->vcpu.events;
	u16 reason = vmx_basic_reason(vmx);

	if (vmx->inject) {
		vmx->inject = 0;
		ev->exception.injected = false;
		ev->nmi.injected = false;
		ev->interrupt.injected = false;
	}
	vmx->soft_length = 0;
	vmx->exit.vectoring = 0;
	if (reason < 64 && DELIVERY_EXITS & BIT_ULL(reason))
		vmx_check_delivery(vmx);
}

#endif
