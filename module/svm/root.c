// SPDX-License-Identifier: GPL-2.0
/*
 * SVM root mode: finding out whether this CPU can, and the burst that takes and gives back the mode.
 *
 * Loading the module changes no CPU state. A burst sets EFER.SVME and puts its own save area into VM_HSAVE_PA; at its
 * end both are as they were. Somebody else (upstream KVM) may have SVME set already: their save area is never used, for it
 * may be freed any time, and since they number ASIDs from 1 just as we do, our ASID is flushed at both ends of the burst.
 */
#include <linux/cc_platform.h>
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/mem_encrypt.h>

#include "svm/nested.h"

DEFINE_PER_CPU(struct svm_cpu, svm_cpus);
struct svm_features svm_features;

/* What VMRUN needs and Nestor builds on; each with the word for the log. */
static const struct {
	unsigned int feature;
	const char *name;
} svm_required[] = {
	{ X86_FEATURE_SVM, "SVM (is it disabled by the firmware?)" },
	{ X86_FEATURE_NPT, "nested paging (NPT)" },
};

int svm_probe(void)
{
	u64 vm_cr;
	int i;

	for (i = 0; i < ARRAY_SIZE(svm_required); i++) {
		if (!boot_cpu_has(svm_required[i].feature)) {
			pr_err("SVM cannot be used: the CPU lacks %s\n", svm_required[i].name);
			return -EOPNOTSUPP;
		}
	}
	if (nst_rdmsr_safe(MSR_VM_CR, &vm_cr) || vm_cr & VM_CR_SVMDIS) {
		pr_err("SVM cannot be used: the firmware disabled it (VM_CR.SVMDIS)\n");
		return -EOPNOTSUPP;
	}
	if (cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT)) {
		pr_err("SVM cannot be used: this is an encrypted guest (SEV)\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

/*
 * On an SNP host the CPU corrupts a 2 MiB page whose first 4 KiB page is a VMCB or a save area (erratum of the RMP check):
 * take such a page aside and allocate another.
 */
void *svm_alloc_pages(unsigned int order)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO;
	unsigned long p = __get_free_pages(gfp, order), other;

	if (!p || !IS_ALIGNED(__pa(p), PMD_SIZE))
		return (void *)p;
	other = __get_free_pages(gfp, order);
	free_pages(p, order);
	return (void *)other;
}

void svm_free_pages(void *p, unsigned int order)
{
	free_pages((unsigned long)p, order);
}

static void svm_free_cpu(struct svm_cpu *c)
{
	svm_free_pages(c->hsave, 0);
	svm_free_pages(c->host, 0);
	svm_free_pages(c->flusher, 0);
	svm_free_pages(c->flusher_root, 0);
	memset(c, 0, sizeof(*c));
}

/*
 * A guest that never executes anything: its nested page table is empty, so that even fetching the first instruction
 * exits.
 */
static void svm_init_flusher(struct svm_cpu *c)
{
	struct vmcb_control *ctl = &c->flusher->control;
	struct vmcb_save *save = &c->flusher->save;

	ctl->intercepts[ICPT_VMRUN / 32] = BIT(ICPT_VMRUN % 32);
	ctl->intercepts[ICPT_INTR / 32] = BIT(ICPT_INTR % 32) | BIT(ICPT_NMI % 32) | BIT(ICPT_SMI % 32) |
					  BIT(ICPT_INIT % 32) | BIT(ICPT_VINTR % 32) |
					  BIT(ICPT_SHUTDOWN % 32);
	ctl->int_ctl = INT_CTL_MASKING | INT_CTL_IRQ | INT_CTL_IGN_TPR;
	ctl->nested_ctl = NESTED_CTL_NP;
	ctl->nested_cr3 = __sme_set(__pa(c->flusher_root));
	save->efer = EFER_SVME;
	save->cr0 = X86_CR0_ET;
	save->rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IF;
	save->dr6 = 0xffff0ff0;
	save->dr7 = 0x400;
	save->g_pat = 0x0007040600070406ull;
	save->cs.limit = save->ds.limit = save->es.limit = save->ss.limit = 0xffff;
	save->cs.attrib = 0x9b;
	save->ds.attrib = save->es.attrib = save->ss.attrib = 0x93;
}

static int svm_init_cpu(struct svm_cpu *c)
{
	c->hsave = svm_alloc_pages(0);
	c->host = svm_alloc_pages(0);
	c->flusher = svm_alloc_pages(0);
	c->flusher_root = svm_alloc_pages(0);
	if (!c->hsave || !c->host || !c->flusher || !c->flusher_root)
		return -ENOMEM;
	c->host_pa = __sme_set(__pa(c->host));
	/* Generation 0 means 'none yet' in a vCPU. */
	c->asid_generation = 1;
	c->next_asid = 1;
	svm_init_flusher(c);
	return 0;
}

/* How the CPU writes nested page tables (APM volume 2, Nested Paging): those of long mode, every access a user's. */
static void svm_init_tdp_format(void)
{
	tdp_format = (struct tdp_format) {
		.levels = boot_cpu_has(X86_FEATURE_LA57) && native_read_cr4() & X86_CR4_LA57 ? 5 : 4,
		.leaf_levels = BIT(0) | BIT(1) | (boot_cpu_has(X86_FEATURE_GBPAGES) ? BIT(2) : 0),
		.present = _PAGE_PRESENT,
		.read = _PAGE_PRESENT,
		.write = _PAGE_RW,
		.noexec = _PAGE_NX,
		.user = _PAGE_USER,
		.large = _PAGE_PSE,
		.accessed = _PAGE_ACCESSED,
		.dirty = _PAGE_DIRTY,
		.table = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED,
		.enc_mask = sme_me_mask,
		.memtype_wb = 0,
		.memtype_uc = _PAGE_PCD | _PAGE_PWT,
	};
}

static void svm_read_features(void)
{
	u32 eax, ebx, ecx, edx;

	cpuid(0x8000000a, &eax, &ebx, &ecx, &edx);
	svm_features = (struct svm_features) {
		.nr_asids = ebx,
		.nrips = boot_cpu_has(X86_FEATURE_NRIPS),
		.decode_assists = boot_cpu_has(X86_FEATURE_DECODEASSISTS),
		.flush_by_asid = boot_cpu_has(X86_FEATURE_FLUSHBYASID),
		.clean_bits = boot_cpu_has(X86_FEATURE_VMCBCLEAN),
		.tsc_rate = boot_cpu_has(X86_FEATURE_TSCRATEMSR),
		.pause_filter = boot_cpu_has(X86_FEATURE_PAUSEFILTER),
		.vgif = boot_cpu_has(X86_FEATURE_VGIF),
	};
	svm_apic_setup();
}

int svm_setup(void)
{
	int cpu, err;

	svm_read_features();
	if (svm_features.nr_asids < 2) {
		pr_err("SVM cannot be used: the CPU has no ASID for guests\n");
		return -EOPNOTSUPP;
	}
	svm_init_tdp_format();
	cpu_caps.svm = true;
	cpu_caps.nrips = svm_features.nrips;
	cpu_caps.tsc_scaling = svm_features.tsc_rate;
	cpu_caps.tsc_ratio_frac_bits = 32;
	cpu_caps.tsc_ratio_default = BIT_ULL(32);
	cpu_caps.tsc_ratio_max = 0x000000ffffffffffull;
	cpu_caps.has_invpcid = boot_cpu_has(X86_FEATURE_INVPCID);
	cpu_caps.has_rdtscp = boot_cpu_has(X86_FEATURE_RDTSCP);
	cpu_caps.has_xsaves = boot_cpu_has(X86_FEATURE_XSAVES);
	cpu_caps.nested = nested_enabled;
	cpu_caps.efer_mask = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_FFXSR | EFER_AUTOIBRS |
			     (cpu_caps.nested ? EFER_SVME : 0);
	cpu_caps.cr4_mask = CPU_CR4_KNOWN;
	cpu_caps.npt_1g = boot_cpu_has(X86_FEATURE_GBPAGES);

	for_each_possible_cpu(cpu) {
		err = svm_init_cpu(per_cpu_ptr(&svm_cpus, cpu));
		if (err)
			goto fail;
	}
	err = svm_setup_maps();
	if (err)
		goto fail;
	pr_info("SVM: %u ASIDs, NPT leaves 4K 2M%s, next RIP %s, decode assists %s, flush by ASID %s, clean bits %s, TSC ratio %s, APIC acceleration%s%s%s\n",
		svm_features.nr_asids, cpu_caps.npt_1g ? " 1G" : "",
		str_yes_no(svm_features.nrips), str_yes_no(svm_features.decode_assists),
		str_yes_no(svm_features.flush_by_asid), str_yes_no(svm_features.clean_bits),
		str_yes_no(svm_features.tsc_rate), svm_features.avic ? "" : " none", svm_features.avic ? " avic" : "",
		svm_features.ipis ? " ipi" : "");
	return 0;
fail:
	svm_cleanup();
	return err;
}

void svm_cleanup(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		svm_free_cpu(per_cpu_ptr(&svm_cpus, cpu));
	svm_cleanup_maps();
}

/*
 * ASIDs are per CPU. A vCPU takes the next one when it comes to a CPU or when its own belongs to an older generation; when
 * they are used up, everything is flushed and the count begins anew.
 */
static u32 svm_new_asid(struct vmcb_control *ctl, struct svm_cpu *c)
{
	if (c->next_asid >= svm_features.nr_asids) {
		c->asid_generation++;
		c->next_asid = 1;
		ctl->tlb_control = TLB_CTL_FLUSH_ALL;
		count_op(tlb_flush);
	}
	return c->next_asid++;
}

static void svm_assign_asid(struct svm_vcpu *svm, struct svm_cpu *c)
{
	struct vmcb_control *ctl = &svm->vmcb->control;

	if (svm->asid_generation != c->asid_generation || svm->asid_cpu != smp_processor_id()) {
		svm->asid = svm_new_asid(ctl, c);
		svm->asid_generation = c->asid_generation;
		svm->asid_cpu = smp_processor_id();
	}
	ctl->asid = svm->asid;
}

/* Of an L2: its root's. */
static void svm_assign_asid02(struct svm_vcpu *svm, struct svm_cpu *c)
{
	struct vmcb_control *ctl = &svm->vmcb->control;
	struct shadow_root *root = svm->vcpu.nested.root;

	if (root->asid_generation != c->asid_generation || root->asid_cpu != smp_processor_id()) {
		root->asid = svm_new_asid(ctl, c);
		root->asid_generation = c->asid_generation;
		root->asid_cpu = smp_processor_id();
	}
	ctl->asid = root->asid;
	c->nested = true;
}

static void svm_flush_by(struct svm_vcpu *svm, struct vmcb *vmcb)
{
	struct vmcb_control *ctl = &vmcb->control;

	if (ctl->tlb_control == TLB_CTL_FLUSH_ALL)
		return;
	ctl->tlb_control = svm_features.flush_by_asid ? TLB_CTL_FLUSH_ASID : TLB_CTL_FLUSH_ALL;
	count_op(tlb_flush);
	svm->vcpu.stats.tlb_flush++;
}

static void svm_flush_asid(struct svm_vcpu *svm)
{
	svm_flush_by(svm, svm->vmcb);
}

/* The scope of one level is the ASID's: it tags guest-virtual and guest-physical translations alike. */
void svm_tlb_flush(struct vcpu *vcpu, enum tlb_scope scope)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm_flush_asid(svm);
	if (scope == TLB_LEVELS && vcpu->nested.shadow) {
		svm_flush_by(svm, svm->vmcb01);
		shadow_flush_tlb(vcpu);
	}
}

/**
 * svm_keep_flush - the VMCB of an L2 is given up before it was entered with the flush that it had to make
 * @svm: its L2 still runs
 *
 * What the flush was for is the root's, and of a flush of all ASIDs this CPU's, which may be numbering them anew.
 */
void svm_keep_flush(struct svm_vcpu *svm)
{
	struct vmcb_control *ctl = &svm->vmcb->control;

	if (ctl->tlb_control == TLB_CTL_NOTHING)
		return;
	svm->vcpu.nested.root->flush = true;
	if (ctl->tlb_control == TLB_CTL_FLUSH_ALL)
		svm->vmcb01->control.tlb_control = TLB_CTL_FLUSH_ALL;
	ctl->tlb_control = TLB_CTL_NOTHING;
}

void svm_tlb_flush_address(struct vcpu *vcpu, u64 gva)
{
	svm_flush_asid(to_svm(vcpu));
}

/*
 * Another guest's branch predictions must not steer this one. Newer kernels do not let a module see
 * whether the administrator wants it, so wherever the CPU can.
 */
static void svm_switch_predictions(struct svm_cpu *c, struct vcpu *vcpu)
{
	if (c->last_vcpu == vcpu)
		return;
	c->last_vcpu = vcpu;
	if (cpu_feature_enabled(X86_FEATURE_IBPB))
		nst_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}

/* An ASID for the VMCB that runs, and the flush that its translations need on this CPU. */
static void svm_prepare_translations(struct svm_vcpu *svm, struct svm_cpu *c)
{
	struct vcpu *vcpu = &svm->vcpu;

	if (unlikely(vcpu->nested.guest_mode)) {
		svm_assign_asid02(svm, c);
		if (shadow_needs_flush(vcpu, vcpu->nested.root))
			svm_flush_asid(svm);
	} else {
		svm_assign_asid(svm, c);
		if (mmu_needs_flush(vcpu))
			svm_flush_asid(svm);
	}
}

void svm_vmcb_switched(struct svm_vcpu *svm)
{
	struct svm_cpu *c;

	svm->vmcb->control.clean = 0;
	if (!svm->vcpu.in_burst)
		return;
	c = this_cpu_ptr(&svm_cpus);
	svm_prepare_translations(svm, c);
	if (c->foreign)
		svm_flush_asid(svm);
}

int svm_burst_enter(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *c = this_cpu_ptr(&svm_cpus);

	c->saved_efer = nst_rdmsr(MSR_EFER);
	c->foreign = c->saved_efer & EFER_SVME;
	if (!c->foreign)
		nst_wrmsr(MSR_EFER, c->saved_efer | EFER_SVME);
	c->saved_hsave_pa = nst_rdmsr(MSR_VM_HSAVE_PA);
	nst_wrmsr(MSR_VM_HSAVE_PA, __sme_set(__pa(c->hsave)));
	if (svm_features.tsc_rate) {
		c->saved_tsc_ratio = nst_rdmsr(MSR_AMD64_TSC_RATIO);
		if (c->saved_tsc_ratio != svm->tsc_ratio)
			nst_wrmsr(MSR_AMD64_TSC_RATIO, svm->tsc_ratio);
	}
	/* VMLOAD and VMSAVE switch these; the host's do not change during a burst. */
	asm volatile("vmsave %%rax" : : "a" (c->host_pa) : "memory");
	count_op(vmsave);

	c->nested = false;
	svm_prepare_translations(svm, c);
	if (c->foreign)
		svm_flush_asid(svm);
	if (unlikely(c->flush_all)) {
		c->flush_all = false;
		svm->vmcb->control.tlb_control = TLB_CTL_FLUSH_ALL;
	}
	svm_switch_predictions(c, vcpu);
	/* The block may have run on another CPU since, and that CPU keeps its own copies. */
	svm->vmcb->control.clean = 0;
	if (unlikely(svm->avic))
		svm_apic_burst_enter(svm);
	return 0;
}

/* Leave nothing under our ASID's number for the SVM user whose burst we interrupted. */
static void svm_flush_for_foreigner(struct svm_vcpu *svm, struct svm_cpu *c)
{
	struct vmcb_control *ctl = &c->flusher->control;

	ctl->asid = svm->vmcb->control.asid;
	ctl->tlb_control = svm_features.flush_by_asid && !c->nested ? TLB_CTL_FLUSH_ASID : TLB_CTL_FLUSH_ALL;
	ctl->clean = 0;
	count_op(tlb_flush);
	svm_run_flusher(__sme_set(__pa(c->flusher)), c->host_pa);
}

void svm_burst_leave(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *c = this_cpu_ptr(&svm_cpus);

	if (unlikely(svm->avic))
		svm_apic_burst_leave(svm);
	/* Not entered: the ASIDs that were numbered anew are to be flushed by whoever comes next. */
	if (unlikely(svm->vmcb->control.tlb_control == TLB_CTL_FLUSH_ALL))
		c->flush_all = true;
	if (c->foreign)
		svm_flush_for_foreigner(svm, c);
	if (svm_features.tsc_rate && c->saved_tsc_ratio != svm->tsc_ratio)
		nst_wrmsr(MSR_AMD64_TSC_RATIO, c->saved_tsc_ratio);
	nst_wrmsr(MSR_VM_HSAVE_PA, c->saved_hsave_pa);
	if (!c->foreign)
		nst_wrmsr(MSR_EFER, c->saved_efer);
}

/*
 * The CPU dies, or only the task does. In a burst, the save area and SVME go back to whose they were: a later INIT and the next
 * kernel find a plain CPU, and somebody else's guests run on. Outside of one, SVME is not ours. GIF is 1 outside svm_run().
 */
void svm_emergency_leave(void)
{
	struct svm_cpu *c = this_cpu_ptr(&svm_cpus);
	u64 hsave_pa;

	if (nst_rdmsr_safe(MSR_VM_HSAVE_PA, &hsave_pa) || hsave_pa != __sme_set(__pa(c->hsave)))
		return;
	nst_wrmsr_safe(MSR_VM_HSAVE_PA, c->saved_hsave_pa);
	if (!c->foreign)
		nst_wrmsr_safe(MSR_EFER, c->saved_efer);
}

/*
 * svm_write_state - everything that waits to be written to the VMCB
 */
void svm_write_state(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	/* The guest may have loaded RFLAGS since the last step: TF is set at every entry. */
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)) {
		vcpu_fetch(vcpu, REGS_RFLAGS);
		vcpu_dirty(vcpu, REGS_RFLAGS);
	}
	if (likely(vcpu->regs.dirty == REGS_RIP)) {
		svm->vmcb->save.rip = vcpu->regs.rip;
		vcpu->regs.dirty = 0;
	} else if (vcpu->regs.dirty) {
		svm_flush_regs(svm);
	}
	if (svm->vmcb->save.dr7 != vcpu->cpu_state.effective_dr7) {
		svm->vmcb->save.dr7 = vcpu->cpu_state.effective_dr7;
		svm_dirty(svm, CLEAN_DR);
	}
	svm->vmcb->save.rax = vcpu->regs.gpr[GPR_RAX];
	if (svm->vmcb->save.cr2 != vcpu->regs.cr2) {
		svm->vmcb->save.cr2 = vcpu->regs.cr2;
		svm_dirty(svm, CLEAN_CR2);
	}
	if (unlikely(vcpu->nested.guest_mode))
		nested_svm_before_entry(svm);
}

/*
 * svm_enter_written - run the guest by the VMCB as it is
 */
void svm_enter_written(struct svm_vcpu *svm)
{
	struct vmcb_control *ctl = &svm->vmcb->control;
	struct vcpu *vcpu = &svm->vcpu;

	count_op(vmload);
	count_op(vmentry);
	svm_run(svm, this_cpu_read(svm_cpus.host_pa));
	count_op(vmsave);
	count_op(vmload);

	vcpu->regs.gpr[GPR_RAX] = svm->vmcb->save.rax;
	vcpu->regs.cr2 = svm->vmcb->save.cr2;
	/* RIP is in memory already, and nearly every handler looks at it. */
	vcpu->regs.rip = svm->vmcb->save.rip;
	vcpu->regs.valid = REGS_EFER | REGS_RIP;
	if (unlikely((u32)ctl->exit_code == (u32)SVM_EXIT_ERR))
		svm_note_failure(svm);
	ctl->tlb_control = TLB_CTL_NOTHING;
	ctl->clean = svm_features.clean_bits ? CLEAN_ALL : 0;
	svm_complete_events(svm);
}

void svm_enter(struct vcpu *vcpu)
{
	svm_write_state(to_svm(vcpu));
	svm_enter_written(to_svm(vcpu));
}
