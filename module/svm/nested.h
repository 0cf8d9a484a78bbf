/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Nested SVM: what the files svm/nested_*.c share.
 *
 * L1's state while L2 runs is in vmcb01, all of it: VMRUN puts there what was dirty. L2's VMCB, vmcb02, is made from what
 * VMRUN copied of vmcb12 and from L0's needs; every control of L1's goes through an allow-list. vmcb12 itself is read
 * once, by VMRUN, and written once, by #VMEXIT.
 */
#ifndef NESTOR_SVM_NESTED_H
#define NESTOR_SVM_NESTED_H

#include "nested/nested.h"
#include "svm/svm.h"

static inline bool l1_intercepts(const struct svm_vcpu *svm, unsigned int bit)
{
	return svm->nested.vmcb12->control.intercepts[bit / 32] & BIT(bit % 32);
}

/* L2's interrupts are virtual ones: RFLAGS.IF and TPR of L1's own decide about L1's. */
static inline bool l1_masks_interrupts(const struct svm_vcpu *svm)
{
	return svm->nested.vmcb12->control.int_ctl & INT_CTL_MASKING;
}

/* vmcb01 and vmcb02 have them as the host wants: what the guest sees is kept apart. */
#define CR0_CACHE_BITS		(X86_CR0_CD | X86_CR0_NW)

extern const struct nested_ops svm_nested_ops;

/* nested.c: life */
int nested_svm_prepare(struct svm_vcpu *svm);
void nested_svm_destroy(struct vcpu *vcpu);
void nested_svm_reset(struct vcpu *vcpu, bool init_event);

/* nested_vmcb.c: copying and checking vmcb12. @gpa1: of vmcb12. 0, -EFAULT, -EAGAIN */
int nested_svm_read_vmcb12(struct svm_vcpu *svm, u64 gpa1);
int nested_svm_write_vmcb12(struct svm_vcpu *svm);
int nested_svm_write_invalid(struct svm_vcpu *svm, u64 gpa1);
bool nested_svm_check(struct svm_vcpu *svm, const struct vmcb *vmcb12, u64 gpa1);
int nested_svm_enlighten(struct svm_vcpu *svm);		/* what vmcb12 says to a Hyper-V. 0, -EFAULT, -EAGAIN */
bool nested_svm_address_valid(struct svm_vcpu *svm, u64 gpa1);

/* nested_intercept.c: who intercepts what */
void nested_svm_merge_all_intercepts(struct svm_vcpu *svm);
int nested_svm_merge_msrpm(struct svm_vcpu *svm, u64 gpa1);	/* @gpa1: of vmcb12 */
int nested_svm_wants_exit(struct svm_vcpu *svm);	/* 1, 0, or -EAGAIN: only without sleeping */
int nested_svm_intercepts_insn(struct vcpu *vcpu, const struct emu_intercept *info);

/* nested_enter.c */
int svm_handle_vmrun(struct vcpu *vcpu);
u64 *nested_svm_l1_pat(struct vcpu *vcpu);
bool nested_svm_wants_own_pat(struct svm_vcpu *svm, const struct vmcb *vmcb12);
void nested_svm_switch_to_l2(struct svm_vcpu *svm, struct shadow_root *root, u64 gpa1);
void nested_svm_load_l2(struct svm_vcpu *svm);
void nested_svm_registers_loaded(struct vcpu *vcpu, u64 old_cr0);
void nested_svm_take_event(struct svm_vcpu *svm);
void nested_svm_before_entry(struct svm_vcpu *svm);

/* nested_decode.c: decode assists */
int nested_svm_name_cr_read(struct svm_vcpu *svm);
int nested_svm_assist(struct svm_vcpu *svm, u64 code, u64 *info1);
u64 nested_svm_assist_cr0(struct vcpu *vcpu);
void nested_svm_fill_bytes(struct svm_vcpu *svm, u64 code, u64 info1);

/* nested_exit.c */
void nested_svm_exit(struct svm_vcpu *svm, u64 code, u64 info1, u64 info2);
int nested_svm_reflect_exit(struct svm_vcpu *svm);
int nested_svm_refused_by_cpu(struct svm_vcpu *svm);
void nested_svm_reflect_insn(struct vcpu *vcpu);
void nested_svm_reflect(struct vcpu *vcpu, enum nested_event event);
bool nested_svm_intercepts(struct vcpu *vcpu, enum nested_event event, u8 vector, u32 error);
int nested_svm_sync(struct vcpu *vcpu);
void nested_svm_leave(struct vcpu *vcpu);
void nested_svm_after_flush(struct vcpu *vcpu);
bool nested_svm_tells_next_rip(struct svm_vcpu *svm, u64 code);
u32 nested_svm_event_info(struct vcpu *vcpu, u32 *error);
u32 nested_svm_int_ctl(struct svm_vcpu *svm);
u32 nested_svm_injection(struct svm_vcpu *svm);
void nested_svm_restore_int_ctl(struct svm_vcpu *svm);
void nested_svm_save_int_ctl(struct svm_vcpu *svm);

/* nested_gif.c */
void nested_svm_use_vgif(struct svm_vcpu *svm, bool use);
void nested_svm_set_gif(struct svm_vcpu *svm, bool gif);
void nested_svm_execute_gif(struct svm_vcpu *svm, bool gif);
bool nested_svm_holds_virq(struct svm_vcpu *svm);
void nested_svm_watch_gif(struct svm_vcpu *svm);
bool nested_svm_blocks_init(struct vcpu *vcpu);
bool nested_svm_blocks_smi(struct vcpu *vcpu);
bool nested_svm_redirect_init(struct vcpu *vcpu);

/* nested_insn.c */
int svm_handle_vmload(struct vcpu *vcpu);
int svm_handle_vmsave(struct vcpu *vcpu);
int svm_handle_stgi(struct vcpu *vcpu);
int svm_handle_clgi(struct vcpu *vcpu);
int svm_handle_invlpga(struct vcpu *vcpu);
int svm_handle_skinit(struct vcpu *vcpu);
bool nested_svm_may_execute(struct vcpu *vcpu);		/* false: an exception is raised */
u64 nested_svm_operand(struct vcpu *vcpu);
int nested_svm_no_memory(struct vcpu *vcpu);

/* nested_state.c */
long nested_svm_get_state(struct vcpu *vcpu, struct kvm_nested_state __user *user, u32 size);
int nested_svm_smm_enter(struct vcpu *vcpu, u64 *vmcb);
int nested_svm_smm_leave(struct vcpu *vcpu, const u64 *vmcb);
int nested_svm_set_state(struct vcpu *vcpu, struct kvm_nested_state __user *user, const struct kvm_nested_state *head);

/* nested_npt.c */
void nested_svm_key(struct svm_vcpu *svm, struct shadow_key *key);
void nested_svm_decode(const struct shadow_key *key, u64 entry, int level, struct l1_entry *out);
void nested_svm_reflect_walk(struct vcpu *vcpu);
void nested_svm_tlb_control(struct svm_vcpu *svm);
void nested_svm_flush_asid(struct vcpu *vcpu, u32 asid12);

#endif
