// SPDX-License-Identifier: GPL-2.0
/*
 * vmcb12: copied once by VMRUN, checked by the rules of check/, written once by #VMEXIT.
 */
#include "check/check.h"
#include "pv/hyperv.h"
#include "svm/nested.h"
#include "trace/trace.h"

#define SAVE(field)		(offsetof(struct vmcb, save) + offsetof(struct vmcb_save, field))
#define CONTROL(field)		offsetof(struct vmcb_control, field)
#define SAVE_PART(from, upto)	{ SAVE(from), SAVE(upto) - SAVE(from) + sizeof_field(struct vmcb_save, upto) }
#define CONTROL_PART(from, upto)	\
	{ CONTROL(from), CONTROL(upto) - CONTROL(from) + sizeof_field(struct vmcb_control, upto) }

/* All that VMRUN reads: FS, GS and the others that VMLOAD loads are in between, and are not looked at. */
static const struct page_part read_parts[] = {
	CONTROL_PART(intercepts, avic_physical_id),
	SAVE_PART(es, last_excp_to),
	CONTROL_PART(hv_control, hv_partition_assist),
};

/* All that #VMEXIT writes (APM volume 2, VMRUN Instruction and #VMEXIT). */
static const struct page_part written_parts[] = {
	CONTROL_PART(int_ctl, exit_int_info_err),
	CONTROL_PART(event_inj, event_inj_err),
	CONTROL_PART(next_rip, insn_bytes),
	SAVE_PART(es, ds),
	SAVE_PART(gdtr, gdtr),
	SAVE_PART(idtr, idtr),
	SAVE_PART(cpl, cpl),
	SAVE_PART(efer, efer),
	SAVE_PART(cr4, rip),
	SAVE_PART(rsp, rsp),
	SAVE_PART(rax, rax),
	SAVE_PART(cr2, cr2),
};

/* VMRUN that found the VMCB inconsistent. */
static const struct page_part invalid_parts[] = {
	CONTROL_PART(exit_code, exit_info_2),
	CONTROL_PART(event_inj, event_inj_err),
};

int nested_svm_read_vmcb12(struct svm_vcpu *svm, u64 gpa1)
{
	/* The last part is Hyper-V's. */
	return vcpu_read_parts(&svm->vcpu, gpa1, read_parts, ARRAY_SIZE(read_parts) - !svm->vcpu.hv, svm->nested.vmcb12);
}

int nested_svm_enlighten(struct svm_vcpu *svm)
{
	const struct vmcb_control *ctl12 = &svm->nested.vmcb12->control;

	if (likely(!svm->vcpu.hv))
		return 0;
	return hv_enter_l2(&svm->vcpu, ctl12->hv_control & HV_CTL_DIRECT_FLUSH, ctl12->hv_partition_assist);
}

int nested_svm_write_vmcb12(struct svm_vcpu *svm)
{
	return vcpu_write_parts(&svm->vcpu, svm->nested.vmcb12_gpa, written_parts, ARRAY_SIZE(written_parts),
				svm->nested.vmcb02);
}

int nested_svm_write_invalid(struct svm_vcpu *svm, u64 gpa1)
{
	struct vmcb_control *ctl12 = &svm->nested.vmcb12->control;

	ctl12->exit_code = (s64)SVM_EXIT_ERR;
	ctl12->exit_info_1 = ctl12->exit_info_2 = 0;
	ctl12->event_inj = ctl12->event_inj_err = 0;
	return vcpu_write_parts(&svm->vcpu, gpa1, invalid_parts, ARRAY_SIZE(invalid_parts), svm->nested.vmcb12);
}

/* The operand of VMRUN, VMLOAD and VMSAVE. */
bool nested_svm_address_valid(struct svm_vcpu *svm, u64 gpa1)
{
	return !(gpa1 & ~PAGE_MASK) && !(gpa1 >> svm->vcpu.cpu_state.maxphyaddr);
}

/* Every value that a rule which is enforced looks at. */
static void collect(const struct vmcb *v, u64 gpa1, u64 *values)
{
	const struct vmcb_control *c = &v->control;
	const struct vmcb_save *s = &v->save;
	const u64 all[SVM_CHECKED_FIELDS] = {
		gpa1, s->efer, s->cr0, s->cr3, s->cr4, s->dr6, s->dr7, s->cs.attrib, s->s_cet, s->g_pat,
		c->intercepts[3], c->intercepts[4], c->msrpm_base_pa, c->iopm_base_pa, c->asid, c->event_inj,
		c->nested_ctl, c->nested_cr3, c->int_ctl, c->avic_physical_id,
	};

	memcpy(values, all, sizeof(all));
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
	u64 values[SVM_CHECKED_FIELDS];

	collect(vmcb12, gpa1, values);
	if (likely(!memcmp(values, svm->nested.checked, sizeof(values))))
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
	memcpy(svm->nested.checked, values, sizeof(values));
	return true;
}
