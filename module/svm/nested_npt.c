// SPDX-License-Identifier: GPL-2.0
/*
 * L1's nested page tables: their format, which are those of long mode or PAE paging (APM volume 2, Nested Paging), the
 * faults that L1 gets, and its flushes.
 */
#include "mmu/paging.h"
#include "svm/nested.h"

/* shadow_key.mode */
#define KEY_NX		BIT(0)
#define KEY_GBPAGES	BIT(1)
#define KEY_WIDTH	GENMASK(15, 8)

static u8 l1_levels(const struct vmcb_save *save01)
{
	if (save01->efer & EFER_LMA)
		return save01->cr4 & X86_CR4_LA57 ? 5 : 4;
	return 3;
}

/* The host's paging mode is that of nested paging, and L1 is the host. */
void nested_svm_key(struct svm_vcpu *svm, struct shadow_key *key)
{
	const struct vmcb_control *ctl12 = &svm->nested.vmcb12->control;
	const struct vmcb_save *save01 = &svm->vmcb01->save;

	*key = (struct shadow_key) { .tag = ctl12->asid };
	if (!(ctl12->nested_ctl & NESTED_CTL_NP))
		return;
	key->levels = l1_levels(save01);
	key->root = ctl12->nested_cr3 & (key->levels == 3 ? GENMASK_ULL(31, 5) : GENMASK_ULL(51, 12));
	key->mode = (save01->efer & EFER_NX ? KEY_NX : 0) | FIELD_PREP(KEY_WIDTH, svm->vcpu.cpu_state.maxphyaddr) |
		    (guest_has(&svm->vcpu, X86_FEATURE_GBPAGES) ? KEY_GBPAGES : 0);
}

static struct paging paging_of(const struct shadow_key *key)
{
	return (struct paging) {
		.levels = key->levels, .maxphyaddr = FIELD_GET(KEY_WIDTH, key->mode), .nx = key->mode & KEY_NX,
		.gbpages = key->mode & KEY_GBPAGES, .amd = true,
	};
}

/* Every access by a guest is a user's: an entry without U lets nothing through. */
void nested_svm_decode(const struct shadow_key *key, u64 entry, int level, struct l1_entry *out)
{
	const struct paging p = paging_of(key);
	bool pdpte = key->levels == 3 && level == 3;

	*out = (struct l1_entry) { .present = entry & PAGING_P };
	if (!out->present)
		return;
	if (pdpte) {
		out->bad = entry & paging_pdpte_reserved(&p);
		out->rights = L1_ALL;
		out->gpa = paging_table(&p, entry);
		return;
	}
	out->bad = entry & paging_reserved(&p, entry, level);
	out->leaf = paging_is_leaf(&p, entry, level);
	if (entry & PAGING_U)
		out->rights = L1_READ | (entry & PAGING_W ? L1_WRITE : 0) |
			      (p.nx && entry & PAGING_NX ? 0 : L1_FETCH);
	out->gpa = out->leaf ? paging_address(&p, entry, 0, level) : paging_table(&p, entry);
	out->accessed = PAGING_A;
	out->dirty = out->leaf ? PAGING_D : 0;
}

/* EXITINFO1 of a nested page fault: the error code, and which kind of access it was. */
#define NPF_FINAL	BIT_ULL(32)
#define NPF_IN_WALK	BIT_ULL(33)

void nested_svm_reflect_walk(struct vcpu *vcpu)
{
	const struct nested_walk *w = &vcpu->nested.failed;
	u64 info = PF_USER | (w->linear.in_walk ? NPF_IN_WALK : NPF_FINAL);

	if (w->present || w->bad)
		info |= PF_PRESENT;
	if (w->bad)
		info |= PF_RSVD;
	if (w->access & L1_WRITE)
		info |= PF_WRITE;
	if (w->access & L1_FETCH)
		info |= PF_FETCH;
	nested_svm_exit(to_svm(vcpu), SVM_EXIT_NPF, info, w->gpa2);
}

static bool of_asid(const struct shadow_key *key, const void *asid12)
{
	return key->tag == *(const u32 *)asid12;
}

void nested_svm_flush_asid(struct vcpu *vcpu, u32 asid12)
{
	shadow_flush_match(vcpu, of_asid, &asid12);
}

/* What VMRUN flushes. Of L1's own translations ASID 0 has none that L2 could share. */
void nested_svm_tlb_control(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	switch (svm->nested.vmcb12->control.tlb_control) {
	case TLB_CTL_NOTHING:
		break;
	case TLB_CTL_FLUSH_ASID:
	case TLB_CTL_FLUSH_ASID_LOCAL:
		nested_svm_flush_asid(vcpu, svm->nested.vmcb12->control.asid);
		break;
	default:
		shadow_flush_match(vcpu, NULL, NULL);
		svm_tlb_flush(vcpu, TLB_GUEST);
		break;
	}
}
