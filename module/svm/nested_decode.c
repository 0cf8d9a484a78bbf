// SPDX-License-Identifier: GPL-2.0
/*
 * Decode assists for L1 (APM volume 2, Decode Assists): what an exit tells about the instruction that made it. It is the CPU's
 * where that has them, and else the emulator's decoder's.
 */
#include "mmu/paging.h"
#include "svm/nested.h"

#define MOV_CR		BIT_ULL(63)	/* EXITINFO1: the instruction is MOV, and a register is named */

/* What EXITINFO1 holds. */
enum assist { ASSIST_NONE, ASSIST_CR, ASSIST_DR, ASSIST_VECTOR, ASSIST_LINEAR };

static enum assist assist_of(u64 code)
{
	switch (code) {
	case SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR0 + 31:
	case SVM_EXIT_CR0_SEL_WRITE:
		return ASSIST_CR;
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 31:
		return ASSIST_DR;
	case SVM_EXIT_SWINT:
		return ASSIST_VECTOR;
	case SVM_EXIT_INVLPG:
	case SVM_EXIT_INVLPGA:
		return ASSIST_LINEAR;
	default:
		return ASSIST_NONE;
	}
}

/* LMSW, SMSW and CLTS are told by the absence of a register. */
static bool is_mov_cr(const struct emu_insn *insn)
{
	return insn->map == EMU_MAP_0F && (insn->opcode == 0x20 || insn->opcode == 0x22);
}

static u64 cr_operand(const struct emu_insn *insn)
{
	return (insn->modrm >> 3 & 7) | (insn->rex & 4) << 1;
}

static u64 register_operand(const struct emu_insn *insn)
{
	return (insn->modrm & 7) | (insn->rex & 1) << 3;
}

static u64 linear_operand(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;
	u64 linear;

	/* INVLPGA has no operand but rAX. */
	if (!ctx->insn.has_mem)
		return nested_svm_operand(vcpu);
	return emu_linear(ctx, ctx->insn.seg, ctx->insn.ea, 0, EMU_ACC_READ, &linear) == EMU_OK ? linear : ctx->insn.ea;
}

static u64 info_by_decoder(struct vcpu *vcpu, enum assist assist)
{
	const struct emu_insn *insn = &vcpu->emu.insn;

	switch (assist) {
	case ASSIST_CR:
		return is_mov_cr(insn) ? MOV_CR | register_operand(insn) : 0;
	case ASSIST_DR:
		return register_operand(insn);
	case ASSIST_VECTOR:
		return insn->imm & 0xff;
	default:
		return linear_operand(vcpu);
	}
}

/**
 * nested_svm_name_cr_read - make the exit code of a read of a control register name that register
 * @svm: L2 has exited
 *
 * QEMU (up to 10.0 at least) knows reads of CR0 only: it intercepts all of them by that bit, see nested_svm_merge_intercepts(),
 * and tells of all by that code. It has no decode assists; CPUs that have them are trusted.
 *
 * Return: 0, or -EAGAIN: the instruction cannot be read now.
 */
int nested_svm_name_cr_read(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	int r;

	if (svm->vmcb->control.exit_code != SVM_EXIT_READ_CR0 || svm_features.decode_assists)
		return 0;
	r = vcpu_decode(vcpu);
	if (!r && is_mov_cr(&vcpu->emu.insn))
		svm->vmcb->control.exit_code = SVM_EXIT_READ_CR0 + cr_operand(&vcpu->emu.insn);
	return r == -EAGAIN ? r : 0;
}

/**
 * nested_svm_assist - EXITINFO1 for L1
 * @svm: L2 has exited because of an instruction
 * @code: exit code
 * @info1: EXITINFO1: of the CPU; out, for L1
 *
 * Return: 0, or -EAGAIN: the instruction cannot be read now.
 */
int nested_svm_assist(struct svm_vcpu *svm, u64 code, u64 *info1)
{
	enum assist assist = assist_of(code);
	struct vcpu *vcpu = &svm->vcpu;
	int r;

	if (assist == ASSIST_NONE)
		return 0;
	if (!guest_has(vcpu, X86_FEATURE_DECODEASSISTS)) {
		*info1 = 0;
		return 0;
	}
	if (svm_features.decode_assists)
		return 0;
	r = vcpu_decode(vcpu);
	if (r == -EAGAIN)
		return r;
	/* Another CPU has changed it meanwhile: nothing is known. */
	*info1 = r ? 0 : info_by_decoder(vcpu, assist);
	return 0;
}

/* EXITINFO1 of a change of CR0 that the emulator found L1 to intercept. */
u64 nested_svm_assist_cr0(struct vcpu *vcpu)
{
	return guest_has(vcpu, X86_FEATURE_DECODEASSISTS) ? info_by_decoder(vcpu, ASSIST_CR) : 0;
}

static bool is_page_fault(u64 code)
{
	return code == SVM_EXIT_NPF || code == SVM_EXIT_EXCP_BASE + EXC_PF;
}

/* As many of the bytes at RIP as there are. */
static unsigned int read_bytes(struct vcpu *vcpu, u8 *bytes, unsigned int max)
{
	u64 linear = vcpu_linear_rip(vcpu);
	unsigned int first = min_t(unsigned int, max, PAGE_SIZE - offset_in_page(linear));

	if (vcpu_read_code(vcpu, linear, bytes, first))
		return 0;
	if (first == max || vcpu_read_code(vcpu, linear + first, bytes + first, max - first))
		return first;
	return max;
}

/**
 * nested_svm_fill_bytes - the instruction's bytes, which page faults of data accesses come with
 * @svm: about to leave L2
 * @code: exit code for L1
 * @info1: and EXITINFO1
 *
 * Bytes that cannot be read now are left out, as a CPU leaves out those that it has not fetched.
 */
void nested_svm_fill_bytes(struct svm_vcpu *svm, u64 code, u64 info1)
{
	struct vmcb_control *ctl = &svm->vmcb->control;
	bool wanted = is_page_fault(code) && !(info1 & PF_FETCH) && guest_has(&svm->vcpu, X86_FEATURE_DECODEASSISTS);

	/* Of the exit that led here. */
	if (wanted && svm_features.decode_assists && is_page_fault(ctl->exit_code))
		return;
	ctl->insn_len = 0;
	memset(ctl->insn_bytes, 0, sizeof(ctl->insn_bytes));
	if (wanted)
		ctl->insn_len = read_bytes(&svm->vcpu, ctl->insn_bytes, sizeof(ctl->insn_bytes));
}
