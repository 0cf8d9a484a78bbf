// SPDX-License-Identifier: GPL-2.0
/*
 * What VMRUN looks at, for the rules in check/: the VMCB, and what this CPU supports.
 */
#include <asm/cpufeature.h>
#include <asm/mem_encrypt.h>
#include <asm/processor.h>

#include "svm/svm.h"

#define CPUID_EXT_FEATURES	0x80000008	/* widths of addresses; EBX: features */
#define CPUID_SVM		0x8000000a
#define CPUID_ENCRYPTION	0x8000001f
#define CPUID_EXT_FEATURES_2	0x80000021

#define EFER_LMSLE_BIT	BIT_ULL(13)
#define EFER_TCE_BIT	BIT_ULL(15)
#define EFER_MCOMMIT	BIT_ULL(17)
#define EFER_INTWB	BIT_ULL(18)
#define EFER_UAIE	BIT_ULL(20)
#define EFER_AIBRSE	BIT_ULL(21)

/* APM volume 2, CR4 Register: the bits that all CPUs with SVM have, and those that come with a feature. */
static u64 cr4_settable(void)
{
	static const struct {
		u64 bit;
		u16 feature;
	} bits[] = {
		{ X86_CR4_UMIP, X86_FEATURE_UMIP }, { X86_CR4_LA57, X86_FEATURE_LA57 },
		{ X86_CR4_FSGSBASE, X86_FEATURE_FSGSBASE }, { X86_CR4_PCIDE, X86_FEATURE_PCID },
		{ X86_CR4_OSXSAVE, X86_FEATURE_XSAVE }, { X86_CR4_SMEP, X86_FEATURE_SMEP },
		{ X86_CR4_SMAP, X86_FEATURE_SMAP }, { X86_CR4_PKE, X86_FEATURE_PKU },
	};
	u64 cr4 = GENMASK_ULL(10, 0);	/* VME to OSXMMEXCPT */
	int i;

	for (i = 0; i < ARRAY_SIZE(bits); i++)
		if (boot_cpu_has(bits[i].feature))
			cr4 |= bits[i].bit;
	/* Shadow stacks: the kernel may have its own flag cleared. */
	if (boot_cpu_data.cpuid_level >= 7 && cpuid_ecx(7) & BIT(7))
		cr4 |= BIT_ULL(23);
	return cr4;
}

/* APM volume 2, Extended Feature Enable Register. */
static u64 efer_settable(void)
{
	u32 ext = cpuid_ebx(CPUID_EXT_FEATURES), ext2 = 0;

	if (boot_cpu_data.extended_cpuid_level >= CPUID_EXT_FEATURES_2)
		ext2 = cpuid_eax(CPUID_EXT_FEATURES_2);
	return EFER_SCE | EFER_LME | EFER_LMA | EFER_SVME |
	       (boot_cpu_has(X86_FEATURE_NX) ? EFER_NX : 0) |
	       (boot_cpu_has(X86_FEATURE_FXSR_OPT) ? EFER_FFXSR : 0) |
	       (boot_cpu_has(X86_FEATURE_TCE) ? EFER_TCE_BIT : 0) |
	       (ext & BIT(20) ? 0 : EFER_LMSLE_BIT) |
	       (ext & BIT(8) ? EFER_MCOMMIT : 0) |
	       (ext & BIT(13) ? EFER_INTWB : 0) |
	       (ext2 & BIT(7) ? EFER_UAIE : 0) |
	       (ext2 & BIT(8) ? EFER_AIBRSE : 0);
}

static void read_caps(u64 *caps)
{
	u32 widths = cpuid_eax(CPUID_EXT_FEATURES), sev = 0;

	if (boot_cpu_data.extended_cpuid_level >= CPUID_ENCRYPTION)
		sev = cpuid_eax(CPUID_ENCRYPTION);
	caps[SCAP_features] = cpuid_edx(CPUID_SVM);
	caps[SCAP_asids] = cpuid_ebx(CPUID_SVM);
	caps[SCAP_physical_bits] = widths & 0xff;
	caps[SCAP_linear_bits] = widths >> 8 & 0xff;
	caps[SCAP_cr4_settable] = cr4_settable();
	caps[SCAP_efer_settable] = efer_settable();
	caps[SCAP_cr3_settable] = BIT_ULL(widths & 0xff) - 1;
	caps[SCAP_long_mode] = 1;
	caps[SCAP_sev] = (sev & BIT(1) ? 1 : 0) | (sev & BIT(3) ? 2 : 0);
	caps[SCAP_cbit] = sme_me_mask;
}

static void read_fields(struct check_state *state, const struct vmcb *vmcb)
{
	unsigned int i;

	for (i = 1; i < check_svm.nr_fields; i++) {
		const struct check_field *field = &check_svm.fields[i];
		u64 value = 0;

		if (field->where == CHECK_NOWHERE)
			continue;
		memcpy(&value, (const u8 *)vmcb + field->where, field->bytes);
		check_set(state, i, value);
	}
}

/*
 * svm_note_failure - before what VMRUN was given is made ready for the next one
 *
 * A CPU may have moved the event to EXITINTINFO.
 */
void svm_note_failure(struct svm_vcpu *svm)
{
	const struct vmcb_control *ctl = &svm->vmcb->control;

	svm->failed.event = ctl->event_inj & EVENT_VALID ? ctl->event_inj : ctl->exit_int_info;
	svm->failed.tlb_control = ctl->tlb_control;
	svm->failed.clean = ctl->clean;
}

/*
 * svm_entry_state - what the last VMRUN, which failed, looked at
 */
int svm_entry_state(struct vcpu *vcpu, struct check_state *state)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	check_init(state, &check_svm);
	read_caps(state->caps);
	read_fields(state, svm->vmcb);
	check_set(state, SF_event_inj, svm->failed.event);
	check_set(state, SF_tlb_control, svm->failed.tlb_control);
	check_set(state, SF_clean, svm->failed.clean);
	check_set(state, SF_vmcb_address, svm->vmcb_pa);
	return 0;
}

/* No exit has this code: still there when VMRUN faulted. */
#define EXIT_CODE_NONE	0x7ffffffeull

static void take_result(const struct vmcb_control *ctl, struct entry_probe *probe)
{
	probe->reason = ctl->exit_code;
	probe->qualification = 0;
	probe->code = 0;
	if (ctl->exit_code == EXIT_CODE_NONE) {
		probe->effect = CHECK_GP;
		probe->code = EXC_GP;
	} else if ((u32)ctl->exit_code == (u32)SVM_EXIT_ERR) {
		probe->effect = CHECK_VMEXIT_INVALID;
	} else {
		probe->effect = CHECK_ADVICE;
	}
}

/*
 * svm_probe_entry - enter with some fields of the VMCB replaced, or with another one's address; in a burst
 */
int svm_probe_entry(struct vcpu *vcpu, struct entry_probe *probe)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 vmcb01_pa = svm->vmcb01_pa, vmcb_pa = svm->vmcb_pa;
	unsigned int i;

	svm_write_state(svm);
	memcpy(probe->scratch, svm->vmcb, sizeof(*svm->vmcb));
	for (i = 0; i < probe->nr_changes; i++) {
		const struct check_field *field = &check_svm.fields[probe->changes[i].field];

		/* VMLOAD gets it, too: it faults on the same addresses, while the handler of #GP has the host's GS. */
		if (field->where == CHECK_NOWHERE)
			svm->vmcb01_pa = svm->vmcb_pa = probe->changes[i].value;
		else
			memcpy((u8 *)svm->vmcb + field->where, &probe->changes[i].value, field->bytes);
	}
	check_init(&probe->state, &check_svm);
	read_caps(probe->state.caps);
	read_fields(&probe->state, svm->vmcb);
	check_set(&probe->state, SF_vmcb_address, svm->vmcb_pa);
	svm->vmcb->control.exit_code = EXIT_CODE_NONE;
	svm_enter_written(svm);
	take_result(&svm->vmcb->control, probe);
	svm->vmcb01_pa = vmcb01_pa;
	svm->vmcb_pa = vmcb_pa;
	memcpy(svm->vmcb, probe->scratch, sizeof(*svm->vmcb));
	svm->vmcb->control.clean = 0;
	return 0;
}
