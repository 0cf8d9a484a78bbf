// SPDX-License-Identifier: GPL-2.0
/*
 * vmcb12: copied once by VMRUN, checked by the rules of check/, written once by #VMEXIT.
 */
#include "check/check.h"
#include "pv/hyperv.h"
#include "svm/nested_words.h"
#include "trace/trace.h"

/* CPL is a byte, between others that are reserved. */
#define CPL_WORD	(SAVE(cpl) & ~7ul)

/*
 * All that VMRUN reads, as Nestor has it: not FS, GS and the others that VMLOAD loads. AVIC's last field is there because a rule
 * looks at it.
 */
#define VMRUN_WORDS(W)									\
	W(CONTROL(intercepts), 3) W(CONTROL(reserved_018) + 32, 18) W(CONTROL(next_rip), 1)	\
	W(CONTROL(avic_physical_id), 1)							\
	W(SAVE(es), 8) W(SAVE(gdtr), 2) W(SAVE(idtr), 2) W(CPL_WORD, 1) W(SAVE(efer), 1)	\
	W(SAVE(cr4), 7) W(SAVE(rsp), 5) W(SAVE(cr2), 1) W(SAVE(g_pat), 1)
DEFINE_READ_WORDS(read_vmcb12, VMRUN_WORDS)
static_assert(CONTROL(reserved_018) + 32 == 0x38 && CONTROL(clean) == 0xc0);

#define HYPERV_WORDS(W)	W(CONTROL(hv_control), 3)
DEFINE_READ_WORDS(read_enlightenments, HYPERV_WORDS)

/* All that #VMEXIT writes (APM volume 2, VMRUN Instruction and #VMEXIT). */
#define EXIT_WORDS(W)									\
	W(CONTROL(int_ctl), 6) W(CONTROL(event_inj), 1) W(CONTROL(next_rip), 3)			\
	W(SAVE(es), 8) W(SAVE(gdtr), 2) W(SAVE(idtr), 2) W(SAVE(efer), 1) W(SAVE(cr4), 7) W(SAVE(rsp), 1)	\
	W(SAVE(rax), 1) W(SAVE(cr2), 1) WRITE_BYTE(SAVE(cpl));
DEFINE_WRITE_WORDS(write_vmcb12, EXIT_WORDS)

/* And of an L2 with its own. */
#define PAT_WORDS(W)	W(SAVE(g_pat), 1)
DEFINE_WRITE_WORDS(write_pat, PAT_WORDS)

/* VMRUN that found the VMCB inconsistent. */
#define INVALID_WORDS(W) W(CONTROL(exit_code), 3) W(CONTROL(event_inj), 1)
DEFINE_WRITE_WORDS(write_invalid, INVALID_WORDS)

int nested_svm_read_vmcb12(struct svm_vcpu *svm, u64 gpa1)
{
	struct vmcb *vmcb12 = svm->nested.vmcb12;
	int r = copy_words(svm, gpa1, false, read_vmcb12, vmcb12);

	if (likely(r || !svm->vcpu.hv))
		return r;
	return copy_words(svm, gpa1, false, read_enlightenments, vmcb12);
}

int nested_svm_write_vmcb12(struct svm_vcpu *svm)
{
	const struct vmcb *vmcb02 = svm->nested.vmcb02;
	int r = copy_words(svm, svm->nested.vmcb12_gpa, true, write_vmcb12, vmcb02);

	if (likely(r || !svm->nested.own_pat))
		return r;
	return copy_words(svm, svm->nested.vmcb12_gpa, true, write_pat, vmcb02);
}

int nested_svm_write_invalid(struct svm_vcpu *svm, u64 gpa1)
{
	struct vmcb *vmcb12 = svm->nested.vmcb12;

	vmcb12->control.exit_code = (s64)SVM_EXIT_ERR;
	vmcb12->control.exit_info_1 = vmcb12->control.exit_info_2 = 0;
	vmcb12->control.event_inj = vmcb12->control.event_inj_err = 0;
	return copy_words(svm, gpa1, true, write_invalid, vmcb12);
}

int nested_svm_enlighten(struct svm_vcpu *svm)
{
	const struct vmcb_control *ctl12 = &svm->nested.vmcb12->control;

	if (likely(!svm->vcpu.hv))
		return 0;
	return hv_enter_l2(&svm->vcpu, ctl12->hv_control & HV_CTL_DIRECT_FLUSH, ctl12->hv_partition_assist);
}

/* The operand of VMRUN, VMLOAD and VMSAVE. */
bool nested_svm_address_valid(struct svm_vcpu *svm, u64 gpa1)
{
	return !(gpa1 & ~PAGE_MASK) && !(gpa1 >> svm->vcpu.cpu_state.maxphyaddr);
}

/* Every value that a rule which is enforced looks at, beside the address. */
#define CHECKED(X)									\
	X(save.efer) X(save.cr0) X(save.cr3) X(save.cr4) X(save.dr6) X(save.dr7) X(save.cs.attrib) X(save.s_cet)	\
	X(save.g_pat) X(control.intercepts[3]) X(control.intercepts[4]) X(control.msrpm_base_pa)		\
	X(control.iopm_base_pa) X(control.asid) X(control.event_inj) X(control.nested_ctl) X(control.nested_cr3)	\
	X(control.int_ctl) X(control.avic_physical_id)

/* The same as in the VMCB that passed last. */
static bool passed_before(const struct svm_nested *n, const struct vmcb *vmcb12, u64 gpa1)
{
	const u64 *value = n->checked;
	u64 differs = *value++ ^ gpa1;

#define X(field)	differs |= *value++ ^ vmcb12->field;
	CHECKED(X)
#undef X
	return !differs;
}

static void remember_passed(struct svm_nested *n, const struct vmcb *vmcb12, u64 gpa1)
{
	u64 *value = n->checked;

	*value++ = gpa1;
#define X(field)	*value++ = vmcb12->field;
	CHECKED(X)
#undef X
}

static u64 field_value(const struct vmcb *v, const struct check_field *f)
{
	const void *p = (const void *)v + f->where;

	switch (f->bytes) {
	case 1:
		return *(const u8 *)p;
	case 2:
		return *(const u16 *)p;
	case 4:
		return *(const u32 *)p;
	default:
		return *(const u64 *)p;
	}
}

#define X(field)	+ 1
static_assert(ARRAY_SIZE(((struct svm_nested *)0)->checked) == 1 CHECKED(X));
#undef X

static u32 svm_feature_word(struct vcpu *vcpu, u32 *asids)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(vcpu, 0x8000000a, 0);

	*asids = e ? e->ebx : 0;
	return e ? e->edx : 0;
}

static void fill_state(struct svm_vcpu *svm, const struct vmcb *vmcb12, u64 gpa1, struct check_state *state)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct cpu_state *c = &vcpu->cpu_state;
	unsigned int i;
	u32 asids;

	check_init(state, &check_svm);
	for (i = 1; i < SF_NR; i++)
		if (check_svm.fields[i].where != CHECK_NOWHERE)
			check_set(state, i, field_value(vmcb12, &check_svm.fields[i]));
	check_set(state, SF_vmcb_address, gpa1);
	state->caps[SCAP_features] = svm_feature_word(vcpu, &asids);
	state->caps[SCAP_asids] = asids;
	state->caps[SCAP_physical_bits] = c->maxphyaddr;
	state->caps[SCAP_linear_bits] = guest_has(vcpu, X86_FEATURE_LA57) ? 57 : 48;
	state->caps[SCAP_cr4_settable] = ~c->cr4_reserved;
	state->caps[SCAP_efer_settable] = ~c->efer_reserved;
	state->caps[SCAP_cr3_settable] = GENMASK_ULL(c->maxphyaddr - 1, 0);
	state->caps[SCAP_long_mode] = guest_has(vcpu, X86_FEATURE_LM);
}

/**
 * nested_svm_check - the verdict of the CPU that L1 believes to run on
 * @svm: of L1
 * @vmcb12: a copy
 * @gpa1: where it was
 *
 * The same fields as last time have the same verdict. The author of L1 reads the name of the rule in the log and in the
 * trace: VMEXIT_INVALID alone says nothing.
 */
bool nested_svm_check(struct svm_vcpu *svm, const struct vmcb *vmcb12, u64 gpa1)
{
	struct check_state *state = svm->nested.check;
	const struct check_rule *rule;

	if (likely(passed_before(&svm->nested, vmcb12, gpa1)))
		return true;
	fill_state(svm, vmcb12, gpa1, state);
	rule = check_verdict(state);
	if (rule) {
		trace_nested_refused(svm->vcpu.id, gpa1, rule->id, state->values[rule->fields[0]]);
		pr_info_ratelimited("vcpu %u: VMRUN of the VMCB at 0x%llx failed: %s (%s): %s 0x%llx\n", svm->vcpu.id,
				    gpa1, rule->id, rule->text, check_svm.fields[rule->fields[0]].name,
				    state->values[rule->fields[0]]);
		return false;
	}
	remember_passed(&svm->nested, vmcb12, gpa1);
	return true;
}
