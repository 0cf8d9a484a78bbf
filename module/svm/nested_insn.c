// SPDX-License-Identifier: GPL-2.0
/*
 * SVM's instructions but VMRUN, executed by a guest.
 */
#include "svm/nested_words.h"

/* What VMLOAD and VMSAVE move (APM volume 2, VMSAVE and VMLOAD Instructions). */
#define VMLOAD_WORDS(W)	W(SAVE(fs), 4) W(SAVE(ldtr), 2) W(SAVE(tr), 2) W(SAVE(star), 8)
DEFINE_READ_WORDS(read_vmload, VMLOAD_WORDS)
DEFINE_WRITE_WORDS(write_vmload, VMLOAD_WORDS)
static_assert(SAVE(star) + 8 * 8 == SAVE(cr2));

static int gp(struct vcpu *vcpu)
{
	vcpu_raise_error(vcpu, EXC_GP, 0);
	return RUN_GUEST;
}

/* The rules that all of these instructions share. False: an exception is raised. */
bool nested_svm_may_execute(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_CR0 | REGS_RFLAGS | REGS_MODE);
	if (!(vcpu->regs.efer & EFER_SVME) || !(vcpu->regs.cr0 & X86_CR0_PE) || vcpu->regs.rflags & X86_EFLAGS_VM) {
		vcpu_raise(vcpu, EXC_UD);
		return false;
	}
	if (vcpu_cpl(vcpu)) {
		gp(vcpu);
		return false;
	}
	return true;
}

/* As upstream: user space learns that its guest's VMCB is where no memory is. */
int nested_svm_no_memory(struct vcpu *vcpu)
{
	return vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
}

/* rAX, as wide as addresses are. */
u64 nested_svm_operand(struct vcpu *vcpu)
{
	return vcpu_is_64bit(vcpu) ? vcpu->regs.gpr[GPR_RAX] : (u32)vcpu->regs.gpr[GPR_RAX];
}

/* 0, or what the handler answers. */
static int move_state(struct vcpu *vcpu, bool load)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 gpa1 = nested_svm_operand(vcpu);
	int r;

	if (!nested_svm_address_valid(svm, gpa1))
		return gp(vcpu);
	/* vmcb01 has what the registers are, and after VMLOAD the registers are what it has. */
	svm_flush_regs(svm);
	if (load)
		r = copy_words(svm, gpa1, false, read_vmload, svm->vmcb01);
	else
		r = copy_words(svm, gpa1, true, write_vmload, svm->vmcb01);
	if (r)
		return r == -EAGAIN ? RUN_SLOW : nested_svm_no_memory(vcpu);
	if (load)
		vcpu->regs.valid &= ~(REGS_SEGS | REGS_SYSCALL);
	return svm_skip_instruction(vcpu);
}

int svm_handle_vmload(struct vcpu *vcpu)
{
	return nested_svm_may_execute(vcpu) ? move_state(vcpu, true) : RUN_GUEST;
}

int svm_handle_vmsave(struct vcpu *vcpu)
{
	return nested_svm_may_execute(vcpu) ? move_state(vcpu, false) : RUN_GUEST;
}

int svm_handle_stgi(struct vcpu *vcpu)
{
	if (!nested_svm_may_execute(vcpu))
		return RUN_GUEST;
	nested_svm_execute_gif(to_svm(vcpu), true);
	return svm_skip_instruction(vcpu);
}

int svm_handle_clgi(struct vcpu *vcpu)
{
	if (!nested_svm_may_execute(vcpu))
		return RUN_GUEST;
	nested_svm_execute_gif(to_svm(vcpu), false);
	return svm_skip_instruction(vcpu);
}

/* An ASID's translations of one address: all of them go. ASID 0 is L1 itself. */
int svm_handle_invlpga(struct vcpu *vcpu)
{
	u32 asid12 = vcpu->regs.gpr[GPR_RCX];

	if (!nested_svm_may_execute(vcpu))
		return RUN_GUEST;
	if (asid12)
		nested_svm_flush_asid(vcpu, asid12);
	else
		svm_tlb_flush_address(vcpu, nested_svm_operand(vcpu));
	return svm_skip_instruction(vcpu);
}

/* Not offered: without a security processor there is nothing that could verify a loader. */
int svm_handle_skinit(struct vcpu *vcpu)
{
	vcpu_raise(vcpu, EXC_UD);
	return RUN_GUEST;
}
