// SPDX-License-Identifier: GPL-2.0
/*
 * L1's EPT: its format, the log of what L2 writes to, and the exits that L1 gets from it.
 */
#include "vmx/vmx.h"

/* SDM, INVEPT: as an EPTP that VM entry would take. */
bool nested_vmx_eptp_valid(struct vcpu *vcpu, u64 eptp)
{
	u64 cap = to_vmx(vcpu)->nested.caps.ept_vpid, levels = FIELD_GET(EPTP_WALK_LENGTH, eptp) + 1;

	if ((eptp & EPTP_MEMTYPE) != EPTP_MEMTYPE_WB || eptp & GENMASK_ULL(11, 7) ||
	    eptp >> vcpu->cpu_state.maxphyaddr || (eptp & EPTP_AD && !(cap & EPT_CAP_AD)))
		return false;
	return (levels == 4 && cap & EPT_CAP_WALK_4) || (levels == 5 && cap & EPT_CAP_WALK_5);
}

/* SDM, EPT Entries: memory types 2, 3 and 7 are none. */
static bool memtype_reserved(u64 entry)
{
	u64 type = FIELD_GET(EPT_MEMTYPE, entry);

	return type == 2 || type == 3 || type == 7;
}

static_assert(L1_READ == EPT_READ && L1_WRITE == EPT_WRITE && L1_EXEC == EPT_EXEC);

/* SDM, Mode-Based Execute Control for EPT: without it bit 2 is for all addresses, and bit 10 is ignored. */
static u8 rights_of(const struct shadow_key *key, u64 entry)
{
	u8 rights = entry & (EPT_READ | EPT_WRITE | EPT_EXEC);

	if (entry & (key->mode & NESTED_KEY_MBEC ? EPT_EXEC_USER : EPT_EXEC))
		rights |= L1_EXEC_USER;
	return rights;
}

/* SDM, EPT Entries. @level 1 is that of 4 KiB pages. */
void nested_vmx_decode(const struct shadow_key *key, u64 entry, int level, struct l1_entry *out)
{
	u8 rights = rights_of(key, entry);
	bool exec_only = key->mode & NESTED_KEY_EXEC_ONLY;
	unsigned int bits = key->mode >> NESTED_KEY_WIDTH_SHIFT;

	*out = (struct l1_entry) {
		.present = rights,
		.leaf = level == 1 || (level <= 3 && entry & EPT_LARGE),
		.rights = rights,
		.accessed = key->mode & NESTED_KEY_AD ? EPT_ACCESSED : 0,
		.dirty = key->mode & NESTED_KEY_AD ? EPT_DIRTY : 0,
	};
	out->gpa = entry & GENMASK_ULL(51, out->leaf ? PAGE_SHIFT + 9 * (level - 1) : PAGE_SHIFT);
	/* SDM, EPT Misconfigurations. */
	if (!(rights & L1_READ) && (rights & L1_WRITE || (rights && !exec_only)))
		out->bad = true;
	if (entry & GENMASK_ULL(51, 12) & ~GENMASK_ULL(bits - 1, 0))
		out->bad = true;
	if (!out->leaf)
		out->bad |= entry & (level > 3 ? GENMASK_ULL(7, 3) : GENMASK_ULL(6, 3));
	else
		out->bad |= memtype_reserved(entry) ||
			    (level > 1 && entry & GENMASK_ULL(PAGE_SHIFT + 9 * (level - 1) - 1, PAGE_SHIFT));
}

/* What L1's tables are called by (SDM, EPT Translation Mechanism). */
void nested_vmx_ept_key(struct vcpu *vcpu, u64 eptp, struct shadow_key *key)
{
	const struct nested_vmx *nested = &to_vmx(vcpu)->nested;

	*key = (struct shadow_key){};
	if (!nested_vmx_uses(nested->vmcs12, CPU2_EPT))
		return;
	key->root = eptp & EPTP_ROOT;
	key->levels = FIELD_GET(EPTP_WALK_LENGTH, eptp) + 1;
	key->mode = vcpu->cpu_state.maxphyaddr << NESTED_KEY_WIDTH_SHIFT | (eptp & EPTP_AD ? NESTED_KEY_AD : 0);
	if (nested->caps.ept_vpid & EPT_CAP_EXEC_ONLY)
		key->mode |= NESTED_KEY_EXEC_ONLY;
	if (nested_vmx_uses(nested->vmcs12, CPU2_MBEC))
		key->mode |= NESTED_KEY_MBEC;
}

/*
 * nested_vmx_use_tables - L2's physical addresses are those of @root from now on
 *
 * SDM, Accessed and Dirty Flags for EPT: with them the CPU's accesses to L2's page tables count as writes. Without them
 * there is nothing that the CPU would log.
 */
void nested_vmx_use_tables(struct vcpu *vcpu, struct shadow_root *root)
{
	struct vmcs12 *v = to_vmx(vcpu)->nested.vmcs12;
	bool flags = root->key.mode & NESTED_KEY_AD, logs = flags && nested_vmx_uses(v, CPU2_PML);

	vcpu->nested.root = root;
	vcpu->nested.walks = root->key.levels;
	vcpu->nested.table_access = L1_READ | (flags ? L1_WRITE : 0);
	vcpu->nested.log = (struct nested_log){ v->pml_address, logs ? &v->guest_pml_index : NULL };
}

/* What it tells of L2's linear address: as upstream's, nothing of the rights that L2's page tables give. */
static u64 linear_qualification(const struct nested_linear *linear)
{
	if (!linear->valid)
		return 0;
	return linear->in_walk ? EPT_QUAL_GLA_VALID : EPT_QUAL_GLA_VALID | EPT_QUAL_GLA_TRANSLATED;
}

/* SDM, Exit Qualification for EPT Violations. */
static u64 violation_qualification(const struct nested_vmx *nested, const struct nested_walk *w)
{
	u64 q = linear_qualification(&w->linear);

	if (w->access & L1_READ)
		q |= EPT_QUAL_READ;
	if (w->access & L1_WRITE)
		q |= EPT_QUAL_WRITE;
	if (w->access & L1_FETCH)
		q |= EPT_QUAL_FETCH;
	if (!w->present)
		return q;
	if (w->rights & L1_EXEC_USER && nested_vmx_uses(nested->vmcs12, CPU2_MBEC))
		q |= EPT_QUAL_EXEC_USER;
	return q | FIELD_PREP(EPT_QUAL_RIGHTS, w->rights & (L1_READ | L1_WRITE | L1_EXEC));
}

/* IRET had unblocked NMIs when the access that the CPU made was not let through. */
static u64 nmi_unblocked(struct vmx_vcpu *vmx)
{
	if (vmx_basic_reason(vmx) != EXIT_REASON_EPT_VIOLATION)
		return 0;
	return vmx_exit_qualification(vmx) & EPT_QUAL_NMI_UNBLOCKED;
}

void nested_vmx_reflect_walk(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_exit *e = &vmx->nested.exit;
	const struct nested_walk *w = &vcpu->nested.failed;

	*e = (struct nested_exit){};
	nested_vmx_save_vectoring(vmx, e);
	if (w->log_full) {
		e->reason = EXIT_REASON_PML_FULL;
		e->qualification = nmi_unblocked(vmx);
	} else if (w->bad) {
		e->reason = EXIT_REASON_EPT_MISCONFIG;
		e->gpa = w->gpa2;
	} else {
		e->reason = EXIT_REASON_EPT_VIOLATION;
		e->qualification = violation_qualification(&vmx->nested, w) | nmi_unblocked(vmx);
		e->gpa = w->gpa2;
		e->gla = w->linear.valid ? w->linear.address : 0;
	}
	if (e->reason == EXIT_REASON_EPT_VIOLATION && nested_vmx_converts(vmx, w))
		nested_vmx_violation(vmx);
	else
		nested_vmx_exit(vmx);
}
