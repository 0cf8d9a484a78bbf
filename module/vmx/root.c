// SPDX-License-Identifier: GPL-2.0
/*
 * VMX root mode: finding out whether this CPU can, and the burst that takes and gives back the mode.
 *
 * Loading the module changes no CPU state. A burst sets CR4.VMXE where it is clear and executes
 * VMXON; at its end VMXOFF and the old CR4. CR4 is read from and written to the register: the
 * kernel's shadow cannot be updated on 7.x, and whatever rewrites CR4 from the shadow inside root
 * mode faults. So nothing else runs there: interrupts are off from the first write to the last.
 *
 * Somebody else (upstream KVM) may be in root mode already. Then VMXON fails without harm, their
 * current VMCS is noted, ours is made current, and at the end theirs again. Ours is never left
 * active, so no CPU keeps a copy of it when the vCPU moves, when the CPU goes, or when they leave.
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/special_insns.h>

#include "vmx/vmx.h"

/**
 * struct vmx_cpu - one physical CPU
 * @region: VMXON region
 * @region_pa: its physical address
 * @vcpu: whose VMCS is current, for messages; NULL outside bursts and visits
 * @last_vcpu: that ran last; only compared, never followed
 * @foreign: somebody else was in root mode when this burst began
 * @foreign_vmcs: their current VMCS; ~0 none
 * @cr4: as the burst found it
 * @rtit_ctl: the same
 */
struct vmx_cpu {
	void *region;
	u64 region_pa;
	struct vcpu *vcpu;
	struct vcpu *last_vcpu;
	bool foreign;
	u64 foreign_vmcs;
	u64 cr4;
	u64 rtit_ctl;
};
static DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);

/* CR4.FRED, which older headers do not name. */
#define CR4_FRED	BIT_ULL(32)
#define CPUID1_ECX_VMX	BIT(5)

static int check_feature_control(void)
{
	u64 control;

	if (nst_rdmsr_safe(MSR_IA32_FEAT_CTL, &control)) {
		pr_err("VMX: IA32_FEATURE_CONTROL cannot be read; this is a virtual machine without nesting\n");
		return -EOPNOTSUPP;
	}
	/* The kernel locks it at boot, with VMX on, where the firmware did not. */
	if (!(control & FEAT_CTL_LOCKED)) {
		pr_err("VMX: IA32_FEATURE_CONTROL is not locked: VMXON would fault\n");
		return -EOPNOTSUPP;
	}
	if (!(control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) {
		pr_err("VMX: disabled by the firmware; enable it in the BIOS set-up\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

int vmx_probe(void)
{
	int err;

	if (!(cpuid_ecx(1) & CPUID1_ECX_VMX)) {
		pr_err("VMX: this CPU does not have it\n");
		return -EOPNOTSUPP;
	}
	err = check_feature_control();
	if (err)
		return err;
	/*
	 * With FRED an exit for an NMI can hand it to the kernel only by entry points that are not
	 * for every module; INT 2 is refused there.
	 */
	if (native_read_cr4() & CR4_FRED) {
		pr_err("VMX: the kernel uses FRED, under which NMIs that hit a guest cannot be delivered; boot with fred=off\n");
		return -EOPNOTSUPP;
	}
	return vmx_read_caps();
}

/* SDM, EPT Translation Mechanism. */
static void init_tdp_format(void)
{
	u64 cap = vmx_caps.ept_vpid;
	bool five = cap & EPT_CAP_WALK_5 && native_read_cr4() & X86_CR4_LA57 &&
		    test_bit(EXPERIMENTAL_EPT5, &nestor_experimental);

	tdp_format = (struct tdp_format) {
		.levels = five ? 5 : 4,
		.leaf_levels = BIT(0) | (cap & EPT_CAP_2M ? BIT(1) : 0) |
			       (cap & EPT_CAP_1G ? BIT(2) : 0),
		.present = EPT_READ | EPT_WRITE | EPT_EXEC,
		.read = EPT_READ,
		.write = EPT_WRITE,
		.exec = EPT_EXEC,
		.exec_user = vmx_caps.cpu2_allowed & CPU2_MBEC ? EPT_EXEC_USER : 0,
		.large = EPT_LARGE,
		.accessed = cap & EPT_CAP_AD ? EPT_ACCESSED : 0,
		.dirty = cap & EPT_CAP_AD ? EPT_DIRTY : 0,
		.table = EPT_READ | EPT_WRITE | EPT_EXEC,
		/* RAM is write-back whatever the guest's PAT says: its devices are not real. */
		.memtype_wb = EPT_MEMTYPE_WB | EPT_IGNORE_PAT,
		.memtype_uc = 0,
		.tag_per_root = true,
	};
}

/* CR4 bits that a guest may set if its CPUID has them. */
static void init_cpu_caps(void)
{
	u32 cpu2 = vmx_caps.cpu2;

	cpu_caps.vmx = true;
	cpu_caps.nrips = true;
	cpu_caps.tsc_scaling = cpu2 & CPU2_TSC_SCALING;
	cpu_caps.tsc_ratio_frac_bits = 48;
	cpu_caps.tsc_ratio_default = BIT_ULL(48);
	cpu_caps.tsc_ratio_max = ~0ull;
	cpu_caps.has_invpcid = cpu2 & CPU2_INVPCID;
	cpu_caps.has_rdtscp = cpu2 & CPU2_RDTSCP;
	cpu_caps.has_xsaves = cpu2 & CPU2_XSAVES;
	cpu_caps.has_umwait = cpu2 & CPU2_USER_WAIT;
	cpu_caps.has_mbec = vmx_caps.cpu2_allowed & CPU2_MBEC;
	cpu_caps.efer_mask = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
	cpu_caps.cr4_mask = (CPU_CR4_KNOWN | X86_CR4_VMXE) & vmx_caps.cr4_fixed1;
	cpu_caps.nested = nested_enabled;
	cpu_caps.npt_1g = tdp_format.leaf_levels & BIT(2);
}

static int init_cpu(int cpu)
{
	struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);
	struct page *page;

	page = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);
	if (!page)
		return -ENOMEM;
	c->region = page_address(page);
	c->region_pa = __pa(c->region);
	*(u32 *)c->region = vmx_caps.revision;
	return 0;
}

int vmx_setup(void)
{
	int cpu, err;

	init_tdp_format();
	vmx_pml_setup();
	init_cpu_caps();
	for_each_possible_cpu(cpu) {
		err = init_cpu(cpu);
		if (err)
			goto fail;
	}
	nested_vmx_caps_setup();
	vmx_apic_setup();
	err = vmx_vpid_setup() ?: vmx_enter_setup() ?: nested_vmx_check_setup() ?:
	      nested_vmx_shadowing_setup();
	if (err)
		goto fail;
	pr_info("VMX: EPT %d levels, leaves 4K%s%s, A/D bits %s, PML %s, VPID %s, TSC scaling %s, APIC acceleration%s%s%s%s%s%s%s\n",
		tdp_format.levels, tdp_format.leaf_levels & BIT(1) ? " 2M" : "",
		tdp_format.leaf_levels & BIT(2) ? " 1G" : "", tdp_format.accessed ? "yes" : "no", tdp_format.log ? "yes" : "no",
		vmx_caps.cpu2 & CPU2_VPID ? "yes" : "no", cpu_caps.tsc_scaling ? "yes" : "no",
		vmx_caps.accel ? "" : " none",
		vmx_caps.accel & VMX_ACCEL_TPR ? " tpr" : "",
		vmx_caps.accel & VMX_ACCEL_DELIVERY ? " delivery" : "",
		vmx_caps.accel & VMX_ACCEL_X2APIC ? " x2apic" : "",
		vmx_caps.accel & VMX_ACCEL_XAPIC ? " xapic" : "",
		vmx_caps.accel & VMX_ACCEL_POSTED ? " posted" : "",
		vmx_caps.accel & VMX_ACCEL_TIMER ? " timer" : "");
	return 0;
fail:
	vmx_cleanup();
	return err;
}

void vmx_cleanup(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		free_page((unsigned long)c->region);
		c->region = NULL;
	}
	vmx_vpid_cleanup();
	vmx_enter_cleanup();
	nested_vmx_check_cleanup();
	nested_vmx_shadowing_cleanup();
}

/* A VMREAD or VMWRITE failed: the VMCS is not what we think, and its VM must not run on it. */
void vmx_field_failed(struct vmcs_field field, bool write)
{
	struct vcpu *vcpu = this_cpu_read(vmx_cpus.vcpu);

	pr_err_ratelimited("VMX: %s of field %#x failed at %pS\n", write ? "VMWRITE" : "VMREAD",
			   field.encoding, __builtin_return_address(0));
	if (vcpu)
		vm_kill(vcpu->vm, "a VMCS access failed");
}

/* The register itself, not the kernel's shadow of it. */
static bool write_cr4(u64 cr4)
{
	count_op(cr_write);
	asm goto("1:\tmov %[cr4], %%cr4\n"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : [cr4] "r" (cr4) : "memory" : fault);
	return true;
fault:
	return false;
}

/*
 * Enter root mode, or find that we are in somebody else's. 0 or -EIO. Where a Processor Trace and
 * VMX exclude each other (IA32_VMX_MISC), VMXON ends the trace: it goes on behind VMXOFF.
 */
static int root_enter(struct vmx_cpu *c)
{
	int err;

	c->cr4 = native_read_cr4();
	c->foreign = false;
	if (unlikely(vmx_caps.pt_clears))
		c->rtit_ctl = nst_rdmsr(MSR_IA32_RTIT_CTL);
	if (!(c->cr4 & X86_CR4_VMXE) && !write_cr4(c->cr4 | X86_CR4_VMXE))
		return -EIO;
	err = vmx_vmxon(c->region_pa);
	if (likely(!err))
		return 0;
	if (err == -EBUSY && c->cr4 & X86_CR4_VMXE && vmx_vmptrst(&c->foreign_vmcs)) {
		c->foreign = true;
		return 0;
	}
	write_cr4(c->cr4);
	return -EIO;
}

static void root_leave(struct vmx_cpu *c)
{
	if (unlikely(c->foreign)) {
		if (c->foreign_vmcs != ~0ull && !vmx_vmptrld(c->foreign_vmcs))
			pr_err_ratelimited("VMX: the other hypervisor's VMCS cannot be loaded again\n");
		return;
	}
	vmx_vmxoff();
	if (!(c->cr4 & X86_CR4_VMXE))
		write_cr4(c->cr4);
	if (unlikely(vmx_caps.pt_clears) && c->rtit_ctl)
		nst_wrmsr(MSR_IA32_RTIT_CTL, c->rtit_ctl);
}

/* Make the vCPU's VMCS current; in root mode. */
static bool load_vmcs(struct vmx_vcpu *vmx)
{
	struct vmx_vmcs *vmcs = vmx->vmcs;

	/* A region that no CPU has seen has no launch state yet. */
	if ((unlikely(!vmcs->used) && !vmx_vmclear(vmcs->pa)) || !vmx_vmptrld(vmcs->pa)) {
		pr_err_ratelimited("VMX: a VMCS cannot be loaded on CPU %d\n", smp_processor_id());
		return false;
	}
	if (!vmcs->active) {
		vmcs->active = true;
		vmcs->launched = false;
	}
	if (unlikely(!vmcs->used)) {
		vmx_write_constants(vmx);
		vmcs->used = true;
	}
	return true;
}

static void clear_vmcs(struct vmx_vmcs *vmcs)
{
	if (vmcs->active)
		vmx_vmclear(vmcs->pa);
	vmcs->active = false;
}

/* Root mode with this vCPU's VMCS current. */
static int vmcs_enter(struct vmx_vcpu *vmx, struct vmx_cpu *c)
{
	if (root_enter(c)) {
		pr_err_ratelimited("VMX: cannot enter root mode on CPU %d\n", smp_processor_id());
		return -EIO;
	}
	c->vcpu = &vmx->vcpu;
	if (load_vmcs(vmx))
		return 0;
	c->vcpu = NULL;
	root_leave(c);
	return -EIO;
}

static void vmcs_leave(struct vmx_vcpu *vmx, struct vmx_cpu *c)
{
	clear_vmcs(&vmx->vmcs01);
	clear_vmcs(&vmx->vmcs02);
	nested_vmx_shadowing_clear(&vmx->nested);
	c->vcpu = NULL;
	root_leave(c);
}

/* Host state in the VMCS. CR3, CR4, FS: constant only within a burst, CR3 changes its PCID, CR4 bits follow the task. */
static void set_host_state(struct vmx_vcpu *vmx)
{
	vmx_write_host_state(vmx, vmx->vcpu.cpu);
	vmx_set(vmx, LAZY_HOST_CR3, __native_read_cr3());
	vmx_set(vmx, LAZY_HOST_CR4, vmx->host.cr4);
	vmx_set(vmx, LAZY_HOST_FS_BASE, vmx->host.fs_base);
}

/*
 * vmx_use_vmcs - run the vCPU by another VMCS from now on: L1 and L2 have one each
 *
 * In a burst both stay active until its end.
 */
void vmx_use_vmcs(struct vmx_vcpu *vmx, struct vmx_vmcs *vmcs)
{
	if (vmx->vcpu.in_burst)
		vmx_pml_collect(vmx);
	vmx->vmcs->host_rsp = vmx->host_rsp;
	vmx->vmcs = vmcs;
	vmx->host_rsp = vmcs->host_rsp;
	if (!vmx->vcpu.in_burst)
		return;
	if (!load_vmcs(vmx)) {
		vm_kill(vmx->vcpu.vm, "its VMCS cannot be loaded");
		return;
	}
	set_host_state(vmx);
}

/*
 * vmx_visit_begin - make the VMCS readable outside a burst
 *
 * Interrupts are off until vmx_visit_end(). 0 or -EIO.
 */
int vmx_visit_begin(struct vmx_vcpu *vmx, unsigned long *flags)
{
	int err;

	local_irq_save(*flags);
	err = vmcs_enter(vmx, this_cpu_ptr(&vmx_cpus));
	if (err)
		local_irq_restore(*flags);
	return err;
}

void vmx_visit_end(struct vmx_vcpu *vmx, unsigned long flags)
{
	vmcs_leave(vmx, this_cpu_ptr(&vmx_cpus));
	local_irq_restore(flags);
}

/* Host state that an exit does not bring back by itself. */
static void save_host(struct vmx_vcpu *vmx)
{
	struct vmx_host *host = &vmx->host;

	savesegment(ds, host->ds);
	savesegment(es, host->es);
	savesegment(fs, host->fs);
	savesegment(gs, host->gs);
	store_ldt(host->ldt);
	host->fs_base = x86_fsbase_read_cpu();
	host->debugctl = nst_rdmsr(MSR_IA32_DEBUGCTLMSR);
	/*
	 * A PEBS record taken in the guest would be stored through the guest's page tables. Nothing
	 * of the host's is sampled during a burst.
	 */
	host->pebs_enable = 0;
	if (vmx_caps.has_pebs) {
		host->pebs_enable = nst_rdmsr(MSR_IA32_PEBS_ENABLE);
		if (host->pebs_enable)
			nst_wrmsr(MSR_IA32_PEBS_ENABLE, 0);
	}
}

/*
 * Exits load null selectors with HOST_FS_BASE and HOST_GS_BASE, empty LDTR, and set the limits of
 * GDTR and TR to fixed values. Loading a selector loads a base: the bases come after.
 */
static void restore_host(struct vmx_vcpu *vmx, int cpu)
{
	struct vmx_host *host = &vmx->host;

	if (unlikely(host->pebs_enable))
		nst_wrmsr(MSR_IA32_PEBS_ENABLE, host->pebs_enable);
	load_fixmap_gdt(cpu);
	invalidate_tss_limit();
	if (unlikely(host->ldt))
		asm volatile("lldt %0" : : "m" (host->ldt));
	if (unlikely(host->ds | host->es)) {
		loadsegment(ds, host->ds);
		loadsegment(es, host->es);
	}
	if (unlikely(host->fs)) {
		loadsegment(fs, host->fs);
		x86_fsbase_write_cpu(host->fs_base);
	}
	if (unlikely(host->gs)) {
		u64 user_base = nst_rdmsr(MSR_KERNEL_GS_BASE);

		load_gs_index(host->gs);
		nst_wrmsr(MSR_KERNEL_GS_BASE, user_base);
	}
}

/* Another guest's branch predictions must not steer this one. */
static void switch_predictions(struct vmx_cpu *c, struct vcpu *vcpu)
{
	if (c->last_vcpu == vcpu)
		return;
	c->last_vcpu = vcpu;
	if (boot_cpu_has(X86_FEATURE_IBPB) && !cpu_mitigations_off())
		nst_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}

int vmx_burst_enter(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpus);
	int err;

	err = vmcs_enter(vmx, c);
	if (err)
		return err;
	switch_predictions(c, vcpu);
	save_host(vmx);
	vmx->host.cr4 = c->cr4 | X86_CR4_VMXE;
	set_host_state(vmx);
	vmx_msrs_enter(vmx);
	/*
	 * A CPU that this vCPU comes to may hold translations of its VPID from long ago: what the
	 * guest flushed since then was flushed where it ran.
	 */
	if (vcpu->last_cpu != vcpu->cpu) {
		vmx->vmcs01.flush |= FLUSH_VPID;
		vmx->vmcs02.flush |= FLUSH_VPID;
	}
	/*
	 * The answer is given once per CPU, whoever asks: flush now, for this burst may end without an entry. Whoever
	 * takes rights away later waits until the burst is over.
	 */
	if (mmu_needs_flush(vcpu)) {
		vcpu->stats.tlb_flush++;
		vmx->vmcs01.flush |= FLUSH_EPT;
		vmx_flush_tlb(&vmx->vmcs01);
	}
	vmx->flush_l1d = true;
	return 0;
}

/* Read in every burst's end: what the run loop shows user space, and what retiring an instruction needs. */
#define REGS_ALWAYS_SAVED	(REGS_RIP | REGS_RFLAGS | REGS_SHADOW)

void vmx_burst_leave(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpus);
	u32 missing = REGS_ALWAYS_SAVED & ~vcpu->regs.valid;

	if (missing) {
		vmx_fetch_now(vmx, missing);
		vcpu->regs.valid |= missing;
	}
	vmx_pml_collect(vmx);
	vmx_msrs_leave(vmx);
	vmcs_leave(vmx, c);
	restore_host(vmx, vcpu->cpu);
}

/*
 * The CPU dies inside a burst, or only the task does. VMX operation of our own ends, or INIT and the next kernel find a CPU
 * that does not answer. Somebody else's is theirs to end; their guests may run on, and need their VMCS.
 */
void vmx_emergency_leave(void)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpus);

	if (!c->vcpu)
		return;
	if (c->foreign) {
		vmcs_leave(to_vmx(c->vcpu), c);
		return;
	}
	c->vcpu = NULL;
	vmx_vmxoff();
	write_cr4(native_read_cr4() & ~X86_CR4_VMXE);
}
