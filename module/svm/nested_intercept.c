// SPDX-License-Identifier: GPL-2.0
/*
 * Whose exit is it? What L1 intercepts in L2, what L0 needs beside it, and the two permission maps.
 */
#include "pv/hyperv.h"
#include "svm/nested.h"

/*
 * Intercepts that L1 may have. The others are those of features that L1 is not offered (traps behind writes to EFER and CR,
 * bus locks, an idle HLT), whose exits nobody would understand.
 */
static const u32 l1_allowed[ICPT_NR_WORDS] = {
	~0u, ~0u, ~0u, ~0u, GENMASK(ICPT_RDPRU % 32, 0), GENMASK(ICPT_TLBSYNC % 32, 0),
};

void nested_svm_merge_intercepts(struct svm_vcpu *svm, unsigned int word)
{
	svm->nested.vmcb02->control.intercepts[word] = svm->vmcb01->control.intercepts[word] |
		(svm->nested.vmcb12->control.intercepts[word] & l1_allowed[word]);
	/* See nested_svm_name_cr_read(). */
	if (!word && !svm_features.decode_assists && svm->nested.vmcb12->control.intercepts[0] & GENMASK(15, 0))
		svm->nested.vmcb02->control.intercepts[0] |= BIT(ICPT_CR0_READ);
	/* L1's virtual GIF is not L2's to change. */
	if (word == ICPT_STGI / 32)
		svm->nested.vmcb02->control.intercepts[word] |= BIT(ICPT_STGI % 32) | BIT(ICPT_CLGI % 32);
}

void nested_svm_merge_all_intercepts(struct svm_vcpu *svm)
{
	unsigned int word;

	for (word = 0; word < ICPT_NR_WORDS; word++)
		nested_svm_merge_intercepts(svm, word);
}

/* The only words of the map where L0 lets anything through: SYSENTER's MSRs, SYSCALL's, and the segment bases'. */
static const u16 msrpm_words[] = {
	MSR_IA32_SYSENTER_CS / 4 & ~7, 0x800 + (MSR_STAR & 0x1fff) / 4, 0x800 + (MSR_FS_BASE & 0x1fff) / 4,
};
static_assert(ARRAY_SIZE(msrpm_words) == sizeof_field(struct svm_nested, msrpm12_merged) / 8);

/* A Hyper-V says by the same VMCB that it has not touched its map. */
static bool map12_unchanged(struct svm_vcpu *svm, u64 gpa1)
{
	const struct vmcb_control *ctl12 = &svm->nested.vmcb12->control;
	const struct svm_nested *n = &svm->nested;

	return svm->vcpu.hv && hv_hypercalls_enabled(&svm->vcpu) && ctl12->hv_control & HV_CTL_MSR_BITMAP &&
	       ctl12->clean & CLEAN_HV && n->msrpm_generation == svm->msrpm_generation && n->msrpm_vmcb12 == gpa1;
}

/*
 * L2 accesses an MSR without an exit where neither L0 nor L1 wants one. Merged again only when one of the two maps has
 * changed. 0, -EFAULT or -EAGAIN.
 */
int nested_svm_merge_msrpm(struct svm_vcpu *svm, u64 gpa1)
{
	struct svm_nested *n = &svm->nested;
	u64 words12[ARRAY_SIZE(msrpm_words)] = {}, at;
	int i, r;

	if (!l1_intercepts(svm, ICPT_MSR)) {
		n->vmcb02->control.msrpm_base_pa = __sme_set(__pa(svm->msrpm));
		return 0;
	}
	n->vmcb02->control.msrpm_base_pa = __sme_set(__pa(n->msrpm02));
	if (map12_unchanged(svm, gpa1))
		return 0;
	for (i = 0; i < ARRAY_SIZE(msrpm_words); i++) {
		at = (n->vmcb12->control.msrpm_base_pa & PAGE_MASK) + msrpm_words[i];
		r = vcpu_read_guest(&svm->vcpu, at, &words12[i], sizeof(u64));
		if (r)
			return r;
	}
	n->msrpm_vmcb12 = gpa1;
	if (n->msrpm_generation == svm->msrpm_generation && !memcmp(words12, n->msrpm12_merged, sizeof(words12)))
		return 0;
	memset(n->msrpm02, 0xff, 2 * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(msrpm_words); i++)
		*(u64 *)(n->msrpm02 + msrpm_words[i]) =
			*(u64 *)(svm->msrpm + msrpm_words[i]) | words12[i];
	memcpy(n->msrpm12_merged, words12, sizeof(words12));
	n->msrpm_generation = svm->msrpm_generation;
	return 0;
}

/* A run of bits in one of L1's maps: 1 when any is set, or the map is no memory; 0; -EAGAIN. */
static int map_bits(struct svm_vcpu *svm, u64 base, unsigned int bit, unsigned int mask)
{
	u8 bytes[2];
	int r;

	r = vcpu_read_guest(&svm->vcpu, (base & PAGE_MASK) + bit / 8, bytes, sizeof(bytes));
	if (r)
		return r == -EAGAIN ? r : 1;
	return !!((bytes[0] | bytes[1] << 8) >> bit % 8 & mask);
}

static int wants_msr(struct svm_vcpu *svm, u32 msr, bool write)
{
	int bit = svm_msrpm_bit(msr);

	if (!l1_intercepts(svm, ICPT_MSR))
		return 0;
	if (bit < 0)
		return 1;
	return map_bits(svm, svm->nested.vmcb12->control.msrpm_base_pa, bit + write, 1);
}

static int wants_io(struct svm_vcpu *svm, u16 port, unsigned int size)
{
	if (!l1_intercepts(svm, ICPT_IOIO))
		return 0;
	return map_bits(svm, svm->nested.vmcb12->control.iopm_base_pa, port, (1 << size) - 1);
}

/* Exits that tell about L0's host, or about what L0 is doing with the guest, are L0's whoever intercepts them. */
static bool is_ours(struct svm_vcpu *svm, u64 code)
{
	switch (code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	case SVM_EXIT_EXCP_BASE + EXC_MC:
		return true;
	case SVM_EXIT_VINTR:
		return svm->nested.usurped;
	case SVM_EXIT_EXCP_BASE + EXC_DB:
		return svm->stepping || svm->vcpu.guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP);
	case SVM_EXIT_EXCP_BASE + EXC_BP:
		return svm->vcpu.guest_debug & KVM_GUESTDBG_USE_SW_BP;
	case SVM_EXIT_IRET:
		return !l1_intercepts(svm, ICPT_IRET);
	case SVM_EXIT_VMMCALL:
		return hv_takes_call(&svm->vcpu);
	default:
		return false;
	}
}

#define EXIT_TO_INTERCEPT	(ICPT_NR_WORDS * 32)

/* Exit codes number the intercepts. */
int nested_svm_wants_exit(struct svm_vcpu *svm)
{
	struct vmcb_control *ctl = &svm->vmcb->control;
	u64 code = ctl->exit_code;

	if (code >= EXIT_TO_INTERCEPT || is_ours(svm, code))
		return 0;
	switch (code) {
	case SVM_EXIT_MSR:
		return wants_msr(svm, svm->vcpu.regs.gpr[GPR_RCX], ctl->exit_info_1 & 1);
	case SVM_EXIT_IOIO:
		return wants_io(svm, ctl->exit_info_1 >> 16, ctl->exit_info_1 >> 4 & 7);
	default:
		return l1_intercepts(svm, array_index_nospec(code, EXIT_TO_INTERCEPT));
	}
}

/* Exit codes of what the emulator asks about; those with more to it are in nested_svm_intercepts_insn(). */
static const u8 insn_codes[] = {
	[EMU_ICPT_CPUID] = SVM_EXIT_CPUID, [EMU_ICPT_HLT] = SVM_EXIT_HLT, [EMU_ICPT_INVLPG] = SVM_EXIT_INVLPG,
	[EMU_ICPT_INVD] = SVM_EXIT_INVD, [EMU_ICPT_WBINVD] = SVM_EXIT_WBINVD, [EMU_ICPT_RDTSC] = SVM_EXIT_RDTSC,
	[EMU_ICPT_RDTSCP] = SVM_EXIT_RDTSCP, [EMU_ICPT_RDPMC] = SVM_EXIT_RDPMC, [EMU_ICPT_PAUSE] = SVM_EXIT_PAUSE,
	[EMU_ICPT_SGDT] = SVM_EXIT_GDTR_READ, [EMU_ICPT_SIDT] = SVM_EXIT_IDTR_READ,
	[EMU_ICPT_LGDT] = SVM_EXIT_GDTR_WRITE, [EMU_ICPT_LIDT] = SVM_EXIT_IDTR_WRITE,
	[EMU_ICPT_SLDT] = SVM_EXIT_LDTR_READ, [EMU_ICPT_STR] = SVM_EXIT_TR_READ,
	[EMU_ICPT_LLDT] = SVM_EXIT_LDTR_WRITE, [EMU_ICPT_LTR] = SVM_EXIT_TR_WRITE,
	[EMU_ICPT_PUSHF] = SVM_EXIT_PUSHF, [EMU_ICPT_POPF] = SVM_EXIT_POPF, [EMU_ICPT_IRET] = SVM_EXIT_IRET,
	[EMU_ICPT_INTN] = SVM_EXIT_SWINT, [EMU_ICPT_XSETBV] = SVM_EXIT_XSETBV,
	[EMU_ICPT_TASK_SWITCH] = SVM_EXIT_TASK_SWITCH, [EMU_ICPT_SMSW] = SVM_EXIT_READ_CR0,
};

/* A change of CR0 beside TS and MP, where L1 asks for those only. LMSW changes PE, MP, EM and TS. */
static bool selective(struct svm_vcpu *svm, const struct emu_intercept *info)
{
	u64 changed, mask = info->what == EMU_ICPT_LMSW ? 0xf : ~0ull;

	if (!l1_intercepts(svm, ICPT_CR0_SEL_WRITE) || info->what == EMU_ICPT_CLTS)
		return false;
	vcpu_fetch(&svm->vcpu, REGS_CR0);
	changed = (svm->vcpu.regs.cr0 ^ info->value) & mask;
	return changed & ~(u64)(X86_CR0_TS | X86_CR0_MP);
}

static int intercepted(struct svm_vcpu *svm, u64 code)
{
	svm->nested.insn_code = code;
	return EMU_INTERCEPTED;
}

static int check_code(struct svm_vcpu *svm, u64 code)
{
	return l1_intercepts(svm, code) ? intercepted(svm, code) : EMU_OK;
}

static int check_cr0_write(struct svm_vcpu *svm, const struct emu_intercept *info)
{
	if (l1_intercepts(svm, ICPT_CR0_WRITE))
		return intercepted(svm, SVM_EXIT_WRITE_CR0);
	return selective(svm, info) ? intercepted(svm, SVM_EXIT_CR0_SEL_WRITE) : EMU_OK;
}

static int check_map(struct svm_vcpu *svm, int wants, u64 code)
{
	if (wants == -EAGAIN)
		return EMU_RETRY;
	return wants ? intercepted(svm, code) : EMU_OK;
}

int nested_svm_intercepts_insn(struct vcpu *vcpu, const struct emu_intercept *info)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	/* SVM checks privilege first, but for port I/O and CR accesses, whose exits were asked about before. */
	switch (info->what) {
	case EMU_ICPT_CR_READ:
		return check_code(svm, SVM_EXIT_READ_CR0 + info->reg);
	case EMU_ICPT_CR_WRITE:
		if (info->reg)
			return check_code(svm, SVM_EXIT_WRITE_CR0 + info->reg);
		return check_cr0_write(svm, info);
	case EMU_ICPT_CLTS:
	case EMU_ICPT_LMSW:
		return check_cr0_write(svm, info);
	case EMU_ICPT_DR_READ:
		return check_code(svm, SVM_EXIT_READ_DR0 + info->reg);
	case EMU_ICPT_DR_WRITE:
		return check_code(svm, SVM_EXIT_WRITE_DR0 + info->reg);
	case EMU_ICPT_IO_IN:
	case EMU_ICPT_IO_OUT:
		return check_map(svm, wants_io(svm, info->port, info->size), SVM_EXIT_IOIO);
	case EMU_ICPT_MSR_READ:
	case EMU_ICPT_MSR_WRITE:
		return check_map(svm, wants_msr(svm, info->value, info->what == EMU_ICPT_MSR_WRITE), SVM_EXIT_MSR);
	default:
		return check_code(svm, insn_codes[info->what]);
	}
}
