/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AMD SVM: what the files of this folder share. Twin of vmx/vmx.h.
 */
#ifndef NESTOR_SVM_H
#define NESTOR_SVM_H

#include <linux/bitfield.h>
#include <linux/nospec.h>
#include <uapi/asm/svm.h>

#include "svm/vmcb.h"
#include "vm/ops.h"

#define VM_CR_DPD	BIT(0)
#define VM_CR_R_INIT	BIT(1)
#define VM_CR_DIS_A20M	BIT(2)
#define VM_CR_LOCK	BIT(3)
#define VM_CR_SVMDIS	BIT(4)
#define VM_CR_VALID	GENMASK(4, 0)

struct check_state;

/* What the verdict of the checks depends on: unchanged, it is the same. */
#define SVM_CHECKED_FIELDS	20

/**
 * struct svm_nested - a guest that is a hypervisor
 * @vmcb02: runs L2; @vmcb02_pa with the SME C-bit. NULL until the first VMRUN, like all that is allocated
 * @vmcb12: what VMRUN copied of L1's; only what VMRUN and #VMEXIT look at
 * @msrpm02: both permission maps, two pages
 * @msrpm12_merged: the parts of L1's map that @msrpm02 was made from
 * @msrpm_generation: and of ours: svm_vcpu.msrpm_generation
 * @msrpm_vmcb12: gpa1 of the VMCB that it was merged for
 * @check: work space of the checks
 * @checked: the fields of the last VMCB that passed them
 * @vmcb12_gpa: of the L2 that runs, or, with @unwritten, whose exit L1 has yet to be told
 * @hsave_pa, @vm_cr: MSRs
 * @gif: global interrupt flag; while L1 runs with @vgif it is in vmcb01 instead
 * @vgif: the CPU keeps it, and STGI and CLGI of L1's do not exit
 * @unwritten: #VMEXIT could not write to L1's memory without sleeping: REQ_NESTED does
 * @usurped: V_IRQ in vmcb02 is our interrupt window's; L1's is in @vmcb12
 * @cr0_cache_bits: CD and NW of L1's CR0, which are in no VMCB
 * @soft_next_rip: what the software event that L1 injects pushes, with @soft_from_l1
 * @nmi_from_l1: L1 injects an NMI: it keeps account of NMI blocking itself
 * @insn_code: exit code of what the emulator was not let do for L2
 * @own_pat: PAT in vmcb02 is L2's own, and L1's in vmcb01
 * @merge_pending: KVM_SET_NESTED_STATE has left the permission map for REQ_NESTED to merge
 */
struct svm_nested {
	struct vmcb *vmcb02;
	u64 vmcb02_pa;
	struct vmcb *vmcb12;
	void *msrpm02;
	u64 msrpm12_merged[3];
	u64 msrpm_generation;
	u64 msrpm_vmcb12;
	struct check_state *check;
	u64 checked[SVM_CHECKED_FIELDS];
	u64 vmcb12_gpa;
	u64 hsave_pa, vm_cr;
	bool gif, vgif;
	bool unwritten;
	bool usurped;
	bool soft_from_l1;
	bool nmi_from_l1;
	bool merge_pending;
	bool own_pat;
	u64 cr0_cache_bits;
	u64 soft_next_rip;
	u64 insn_code;
};

/* Where code was that exits: svm_quick_length(). */
struct svm_code {
	u64 page, cr3, gpa;
};

/**
 * struct svm_vcpu - a vCPU on SVM
 * @vcpu: first, so that to_svm() is free
 * @vmcb: the control block that runs: @vmcb01 or nested.vmcb02; @vmcb_pa with the SME C-bit
 * @vmcb01: the guest's own. Also holds what VMLOAD and VMSAVE switch, for a guest's guest as well
 * @msrpm: MSR permission map, two pages
 * @asid, @asid_generation: valid on @asid_cpu only, see svm_assign_asid()
 * @virq: an interrupt on its way as the CPU's virtual interrupt
 * @nmi_iret: the guest's NMI handler is at its IRET; NMIs open when RIP has left @nmi_iret_rip
 * @code: the page of the last instruction whose length was sought; L1's and L2's
 * @stepping: TF was set by us to see the end of that IRET
 * @soft_moved: RIP stands behind the instruction at @soft_rip whose software event is injected
 * @forced_tf: TF in the VMCB is KVM_GUESTDBG_SINGLESTEP's, not the guest's
 * @avic: the CPU does the local APIC's work, see svm/apic.c
 * @failed: what the last VMRUN that failed was given, and the VMCB does not have any more
 */
struct svm_vcpu {
	struct vcpu vcpu;
	struct vmcb *vmcb;
	u64 vmcb_pa;
	struct vmcb *vmcb01;
	u64 vmcb01_pa;
	void *msrpm;
	u64 msrpm_generation;
	u32 asid;
	int asid_cpu;
	u64 asid_generation;
	bool virq;
	bool avic;
	bool nmi_masked;
	bool nmi_iret;
	bool stepping;
	u32 stepping_had;	/* TF and RF of the guest's, meanwhile */
	bool forced_tf;
	bool soft_moved;
	u64 soft_rip;
	u64 nmi_iret_rip;
	struct svm_code code[2];
	u64 tsc_ratio;
	struct {
		u32 event;
		u8 tlb_control;
		u32 clean;
	} failed;
	struct svm_nested nested;
};

static inline struct svm_vcpu *to_svm(struct vcpu *vcpu)
{
	return container_of(vcpu, struct svm_vcpu, vcpu);
}

static inline bool svm_gif_set(const struct svm_vcpu *svm)
{
	if (svm->nested.vgif && !svm->vcpu.nested.guest_mode)
		return svm->vmcb01->control.int_ctl & INT_CTL_GIF;
	return svm->nested.gif;
}

/* Without SVM there is no global interrupt flag. */
static inline bool svm_gif(const struct svm_vcpu *svm)
{
	return !(svm->vcpu.regs.efer & EFER_SVME) || svm_gif_set(svm);
}

/**
 * struct svm_cpu - one physical CPU
 * @hsave: host save area that the CPU uses during our bursts
 * @host: VMSAVE of the host, taken at burst begin
 * @flusher: a guest that exits at once, to flush an ASID at burst end
 * @foreign: somebody else had SVME set when this burst began
 * @nested: an L2 ran in this burst, so under more than one ASID
 * @flush_all: the next entry flushes all ASIDs
 */
struct svm_cpu {
	void *hsave;
	struct vmcb *host;
	u64 host_pa;
	struct vmcb *flusher;
	void *flusher_root;
	u64 saved_efer;
	u64 saved_hsave_pa;
	u64 saved_tsc_ratio;
	bool foreign;
	bool nested;
	bool flush_all;
	u64 asid_generation;
	u32 next_asid;
	struct vcpu *last_vcpu;
};
DECLARE_PER_CPU(struct svm_cpu, svm_cpus);

struct svm_features {
	bool nrips;
	bool decode_assists;
	bool flush_by_asid;
	bool clean_bits;
	bool tsc_rate;
	bool pause_filter;
	bool vgif;
	bool avic;
	bool ipis;
	u32 nr_asids;
};
extern struct svm_features svm_features;

void nested_svm_merge_intercepts(struct svm_vcpu *svm, unsigned int word);

static __always_inline void svm_dirty(struct svm_vcpu *svm, u32 clean_bits)
{
	svm->vmcb->control.clean &= ~clean_bits;
}

/* Intercepts are kept in vmcb01; what runs an L2 has L1's in addition. */
static inline void svm_set_intercept(struct svm_vcpu *svm, unsigned int bit)
{
	svm->vmcb01->control.intercepts[bit / 32] |= BIT(bit % 32);
	svm->vmcb->control.intercepts[bit / 32] |= BIT(bit % 32);
	svm_dirty(svm, CLEAN_INTERCEPTS);
}

static inline void svm_clear_intercept(struct svm_vcpu *svm, unsigned int bit)
{
	svm->vmcb01->control.intercepts[bit / 32] &= ~BIT(bit % 32);
	if (svm->vcpu.nested.guest_mode)
		nested_svm_merge_intercepts(svm, bit / 32);
	svm_dirty(svm, CLEAN_INTERCEPTS);
}

/* root.c: probe, root mode, bursts */
int svm_probe(void);
int svm_setup(void);
void svm_cleanup(void);
int svm_burst_enter(struct vcpu *vcpu);
void svm_burst_leave(struct vcpu *vcpu);
void svm_emergency_leave(void);
void svm_enter(struct vcpu *vcpu);
void svm_write_state(struct svm_vcpu *svm);
void svm_enter_written(struct svm_vcpu *svm);
void svm_vmcb_switched(struct svm_vcpu *svm);	/* in a burst or not: another VMCB will run */
void svm_tlb_flush(struct vcpu *vcpu, enum tlb_scope scope);
void svm_keep_flush(struct svm_vcpu *svm);
void svm_tlb_flush_address(struct vcpu *vcpu, u64 gva);
void *svm_alloc_pages(unsigned int order);
void svm_free_pages(void *p, unsigned int order);

/* vmcb.c: set-up */
int svm_vcpu_init(struct vcpu *vcpu);
void svm_vcpu_destroy(struct vcpu *vcpu);
void svm_vcpu_reset(struct vcpu *vcpu, bool init_event);
void svm_intercepts_changed(struct vcpu *vcpu);
void svm_root_changed(struct vcpu *vcpu);
int svm_setup_maps(void);
void svm_cleanup_maps(void);

/* regs.c: registers */
void svm_fetch(struct vcpu *vcpu, u32 groups);
void svm_flush_regs(struct svm_vcpu *svm);
void svm_settle_regs(struct svm_vcpu *svm);
void svm_advance_rip(struct vcpu *vcpu);
int svm_skip_instruction(struct vcpu *vcpu);
void svm_write_tsc_offset(struct vcpu *vcpu, u64 offset, u64 ratio);
u64 svm_next_rip(struct svm_vcpu *svm);

/* events.c */
bool svm_interrupt_allowed(struct vcpu *vcpu);
bool svm_nmi_allowed(struct vcpu *vcpu);
void svm_inject_interrupt(struct vcpu *vcpu, u8 vector, bool soft);
void svm_inject_nmi(struct vcpu *vcpu);
void svm_inject_exception(struct vcpu *vcpu, const struct exception *e);
void svm_cancel_injection(struct vcpu *vcpu);
void svm_open_interrupt_window(struct vcpu *vcpu, bool open);
void svm_open_nmi_window(struct vcpu *vcpu, bool open);
bool svm_nmi_masked(struct vcpu *vcpu);
void svm_set_nmi_masked(struct vcpu *vcpu, bool masked);
void svm_update_tpr(struct vcpu *vcpu, int tpr, int max_irr);
void svm_complete_events(struct svm_vcpu *svm);
void svm_withdraw_virq(struct svm_vcpu *svm);

/* apic.c */
void svm_apic_setup(void);
int svm_apic_vm_init(struct vm *vm);
void svm_apic_vm_destroy(struct vm *vm);
void svm_apic_changed(struct svm_vcpu *svm);
void svm_apic_ids_changed(struct vm *vm);
void svm_apic_burst_enter(struct svm_vcpu *svm);
void svm_apic_burst_leave(struct svm_vcpu *svm);
void svm_doorbell(int cpu);
int svm_handle_avic_ipi(struct vcpu *vcpu);
int svm_handle_avic_noaccel(struct vcpu *vcpu);

/* check.c: what failed entries looked at */
int svm_entry_state(struct vcpu *vcpu, struct check_state *state);
int svm_probe_entry(struct vcpu *vcpu, struct entry_probe *probe);
void svm_note_failure(struct svm_vcpu *svm);

/* exit.c */
int svm_handle_exit(struct vcpu *vcpu);
void svm_exit_info(struct vcpu *vcpu, u32 *reason, u64 *info1, u64 *info2, u32 *intr, u32 *error);
extern const struct exit_name svm_exit_names[];

/* msr.c */
int svm_msrpm_bit(u32 msr);			/* -1: always intercepted */
void svm_msr_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write);
void svm_init_msrpm(struct svm_vcpu *svm);
int svm_get_msr(struct vcpu *vcpu, u32 msr, u64 *value, bool host);
int svm_set_msr(struct vcpu *vcpu, u32 msr, u64 value, bool host);

/* enter.S. @host_pa: the host's VMSAVE area. */
void svm_run(struct svm_vcpu *svm, u64 host_pa);
/* VMRUN alone, of the flusher: GIF and registers as svm_run() keeps them. */
void svm_run_flusher(u64 vmcb_pa, u64 host_pa);

#endif
