// SPDX-License-Identifier: GPL-2.0
/*
 * VMCS set-up: which controls are used, and the fields that do not change from entry to entry.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/special_insns.h>

#include "vmx/vmx.h"

struct vmx_caps vmx_caps;

/* The words of controls, each with its capability MSRs. */
enum word { WORD_PIN, WORD_CPU, WORD_CPU2, WORD_EXIT, WORD_ENTRY, WORD_NR };

/*
 * @wanted: set where the CPU has them, done without where not
 * @reserved: bits that old CPUs keep at 1, whose meaning is 'as ever'
 */
static const struct {
	u32 msr, true_msr;
	u32 wanted;
	u32 reserved;
} words[WORD_NR] = {
	[WORD_PIN] = {
		MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
		.reserved = 0x16,
	},
	[WORD_CPU] = {
		MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		.reserved = 0x04006172,
	},
	[WORD_CPU2] = {
		MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2,
		.wanted = CPU2_RDTSCP | CPU2_VPID | CPU2_WBINVD_EXITING | CPU2_PAUSE_LOOP_EXITING |
			  CPU2_RDRAND_EXITING | CPU2_INVPCID | CPU2_ENCLS_EXITING |
			  CPU2_RDSEED_EXITING | CPU2_CONCEAL_FROM_PT | CPU2_XSAVES |
			  CPU2_TSC_SCALING | CPU2_USER_WAIT,
	},
	[WORD_EXIT] = {
		MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
		.wanted = EXIT_CONCEAL_FROM_PT,
		.reserved = 0x00036dfb,
	},
	[WORD_ENTRY] = {
		MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
		.wanted = ENTRY_CONCEAL_FROM_PT,
		.reserved = 0x000011fb,
	},
};

/* Without these there is no guest: each with the name that the refusal shows. */
static const struct {
	enum word word;
	u32 bit;
	const char *name;
} required[] = {
	{ WORD_PIN, PIN_INTR_EXITING, "external-interrupt exiting" },
	{ WORD_PIN, PIN_NMI_EXITING, "NMI exiting" },
	{ WORD_PIN, PIN_VIRTUAL_NMIS, "virtual NMIs" },
	{ WORD_CPU, CPU_TSC_OFFSETTING, "TSC offsetting" },
	{ WORD_CPU, CPU_HLT_EXITING, "HLT exiting" },
	{ WORD_CPU, CPU_MWAIT_EXITING, "MWAIT exiting" },
	{ WORD_CPU, CPU_MONITOR_EXITING, "MONITOR exiting" },
	{ WORD_CPU, CPU_RDPMC_EXITING, "RDPMC exiting" },
	{ WORD_CPU, CPU_CR8_LOAD_EXITING, "CR8-load exiting" },
	{ WORD_CPU, CPU_CR8_STORE_EXITING, "CR8-store exiting" },
	{ WORD_CPU, CPU_MOV_DR_EXITING, "MOV-DR exiting" },
	{ WORD_CPU, CPU_IO_EXITING, "unconditional I/O exiting" },
	{ WORD_CPU, CPU_MSR_BITMAPS, "MSR bitmaps" },
	{ WORD_CPU, CPU_SECONDARY, "secondary controls" },
	{ WORD_CPU2, CPU2_EPT, "EPT" },
	{ WORD_CPU2, CPU2_UNRESTRICTED_GUEST, "unrestricted guest" },
	{ WORD_EXIT, EXIT_SAVE_DEBUG, "saving of debug controls" },
	{ WORD_EXIT, EXIT_HOST_64BIT, "64-bit host" },
	{ WORD_EXIT, EXIT_LOAD_PAT, "loading of the host's PAT" },
	{ WORD_EXIT, EXIT_LOAD_EFER, "loading of the host's EFER" },
	{ WORD_ENTRY, ENTRY_LOAD_DEBUG, "loading of debug controls" },
	{ WORD_ENTRY, ENTRY_IA32E, "64-bit guests" },
	{ WORD_ENTRY, ENTRY_LOAD_PAT, "loading of the guest's PAT" },
	{ WORD_ENTRY, ENTRY_LOAD_EFER, "loading of the guest's EFER" },
};

/* Set by the vCPU while it waits, so not at first; but it must be possible. */
#define CPU_WINDOWS	(CPU_INTR_WINDOW | CPU_NMI_WINDOW)

/* One word's value; -EOPNOTSUPP after naming what the CPU lacks or forces. */
static int adjust_word(enum word word, bool true_controls, u32 *value, u32 *allowed)
{
	u32 msr = true_controls ? words[word].true_msr : words[word].msr;
	u32 must, may, want = words[word].wanted;
	u64 cap;
	int i;

	if (nst_rdmsr_safe(msr, &cap)) {
		pr_err("VMX: this CPU has no capability MSR %#x\n", msr);
		return -EOPNOTSUPP;
	}
	must = cap;
	may = cap >> 32;
	for (i = 0; i < ARRAY_SIZE(required); i++) {
		if (required[i].word != word)
			continue;
		want |= required[i].bit;
		if (may & required[i].bit)
			continue;
		pr_err("VMX: this CPU lacks %s\n", required[i].name);
		return -EOPNOTSUPP;
	}
	*value = (want & may) | must;
	*allowed = may;
	/* What is forced must be something that the exit handlers know. */
	if (must & ~(want | words[word].reserved)) {
		pr_err("VMX: this CPU forces controls %#x of MSR %#x\n",
		       must & ~(want | words[word].reserved), msr);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* EPT and VPID: what the walker and the flushes need. */
static int check_ept(u64 cap)
{
	static const struct {
		u64 bits;	/* any of them */
		const char *name;
	} needed[] = {
		{ EPT_CAP_WALK_4, "EPT with 4 levels" },
		{ EPT_CAP_WB, "write-back EPT tables" },
		{ EPT_CAP_INVEPT, "INVEPT" },
		{ EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL, "INVEPT of a context" },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		if (cap & needed[i].bits)
			continue;
		pr_err("VMX: this CPU lacks %s\n", needed[i].name);
		return -EOPNOTSUPP;
	}
	return 0;
}

/*
 * vmx_read_caps - fill vmx_caps from the capability MSRs
 *
 * SDM, VMX Capability Reporting Facility. 0, or -EOPNOTSUPP with what is missing in the log.
 */
int vmx_read_caps(void)
{
	struct vmx_caps *caps = &vmx_caps;
	u64 basic, misc, fixed0, pebs;
	bool true_controls;
	int err;

	if (nst_rdmsr_safe(MSR_IA32_VMX_BASIC, &basic) ||
	    nst_rdmsr_safe(MSR_IA32_VMX_MISC, &misc)) {
		pr_err("VMX: the capability MSRs cannot be read\n");
		return -EOPNOTSUPP;
	}
	caps->revision = FIELD_GET(VMX_BASIC_REVISION, basic);
	if (FIELD_GET(VMX_BASIC_SIZE, basic) > PAGE_SIZE ||
	    FIELD_GET(VMX_BASIC_MEMTYPE, basic) != EPTP_MEMTYPE_WB) {
		pr_err("VMX: VMCS regions of an unknown kind (IA32_VMX_BASIC %#llx)\n", basic);
		return -EOPNOTSUPP;
	}
	caps->timer_rate = FIELD_GET(VMX_MISC_TIMER_RATE, misc);
	true_controls = basic & VMX_BASIC_TRUE_CONTROLS;
	err = adjust_word(WORD_PIN, true_controls, &caps->pin, &caps->pin_allowed) ?:
	      adjust_word(WORD_CPU, true_controls, &caps->cpu, &caps->cpu_allowed) ?:
	      adjust_word(WORD_CPU2, false, &caps->cpu2, &caps->cpu2_allowed) ?:
	      adjust_word(WORD_EXIT, true_controls, &caps->exit, &caps->exit_allowed) ?:
	      adjust_word(WORD_ENTRY, true_controls, &caps->entry, &caps->entry_allowed);
	if (err)
		return err;

	caps->ept_vpid = nst_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	err = check_ept(caps->ept_vpid);
	if (err)
		return err;
	/* A VPID that cannot be flushed would keep the translations of the vCPU that had it before. */
	if (!(caps->ept_vpid & EPT_CAP_INVVPID) ||
	    !(caps->ept_vpid & (EPT_CAP_INVVPID_SINGLE | EPT_CAP_INVVPID_ALL)))
		caps->cpu2 &= ~CPU2_VPID;

	fixed0 = nst_rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	caps->cr0_fixed0 = fixed0 & ~(u64)(X86_CR0_PE | X86_CR0_PG);
	caps->cr4_fixed0 = nst_rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	caps->cr4_fixed1 = nst_rdmsr(MSR_IA32_VMX_CR4_FIXED1);
	caps->pt_clears = boot_cpu_has(X86_FEATURE_INTEL_PT) && !(misc & VMX_MISC_PT_IN_VMX);
	caps->has_pebs = boot_cpu_has(X86_FEATURE_PEBS) && !nst_rdmsr_safe(MSR_IA32_PEBS_ENABLE, &pebs);
	return 0;
}

/*
 * VPIDs: one per vCPU, no two alike, so that a vCPU that comes back to a CPU finds nobody else's
 * translations there. Where none is left a vCPU does without, and every entry flushes.
 */
static unsigned long *vpids;
static DEFINE_SPINLOCK(vpid_lock);

#define NR_VPIDS	BIT(16)

int vmx_vpid_setup(void)
{
	if (!(vmx_caps.cpu2 & CPU2_VPID))
		return 0;
	vpids = kvcalloc(BITS_TO_LONGS(NR_VPIDS), sizeof(long), GFP_KERNEL);
	if (!vpids)
		return -ENOMEM;
	__set_bit(0, vpids);
	return 0;
}

void vmx_vpid_cleanup(void)
{
	kvfree(vpids);
	vpids = NULL;
}

static u16 vpid_alloc(void)
{
	unsigned long vpid;

	if (!vpids)
		return 0;
	spin_lock(&vpid_lock);
	vpid = find_first_zero_bit(vpids, NR_VPIDS);
	if (vpid < NR_VPIDS)
		__set_bit(vpid, vpids);
	else
		vpid = 0;
	spin_unlock(&vpid_lock);
	return vpid;
}

static void vpid_free(u16 vpid)
{
	if (!vpid)
		return;
	spin_lock(&vpid_lock);
	__clear_bit(vpid, vpids);
	spin_unlock(&vpid_lock);
}

/* Secondary controls that follow the guest's CPUID: @exiting ones are set when it lacks the feature. */
static const struct {
	u32 control;
	bool exiting;
	u16 features[2];
} feature_controls[] = {
	{ CPU2_RDTSCP, false, { X86_FEATURE_RDTSCP, X86_FEATURE_RDPID } },
	{ CPU2_INVPCID, false, { X86_FEATURE_INVPCID } },
	{ CPU2_XSAVES, false, { X86_FEATURE_XSAVES } },
	{ CPU2_USER_WAIT, false, { X86_FEATURE_WAITPKG } },
	{ CPU2_RDRAND_EXITING, true, { X86_FEATURE_RDRAND } },
	{ CPU2_RDSEED_EXITING, true, { X86_FEATURE_RDSEED } },
};

static u32 secondary_controls(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 controls = vmx_caps.cpu2;
	int i;

	for (i = 0; i < ARRAY_SIZE(feature_controls); i++) {
		const u16 *f = feature_controls[i].features;
		bool has = guest_has(vcpu, f[0]) || (f[1] && guest_has(vcpu, f[1]));

		if (has == feature_controls[i].exiting)
			controls &= ~feature_controls[i].control;
	}
	if (!vmx->vmcs01.vpid)
		controls &= ~CPU2_VPID;
	if (vmx->nested.shadow_linked)
		controls |= CPU2_VMCS_SHADOWING;
	if (vmx->pml)
		controls |= CPU2_PML;
	if (vcpu->vm->caps.disabled_exits & KVM_X86_DISABLE_EXITS_PAUSE)
		controls &= ~CPU2_PAUSE_LOOP_EXITING;
	return controls;
}

static u32 primary_controls(struct vmx_vcpu *vmx)
{
	u64 disabled = vmx->vcpu.vm->caps.disabled_exits;
	u32 controls = vmx_caps.cpu | (vmx->vmcs01.lazy[LAZY_CPU] & CPU_WINDOWS);

	if (disabled & KVM_X86_DISABLE_EXITS_HLT)
		controls &= ~CPU_HLT_EXITING;
	if (disabled & KVM_X86_DISABLE_EXITS_MWAIT)
		controls &= ~(CPU_MWAIT_EXITING | CPU_MONITOR_EXITING);
	return controls;
}

/*
 * #DB and #AC: their delivery can raise them again without end, inside one instruction, where no
 * interrupt gets in. #UD: the other vendor's hypercall instruction. #MC: the host's own.
 */
static u32 exception_bitmap(struct vmx_vcpu *vmx)
{
	u32 bitmap = BIT(EXC_DB) | BIT(EXC_AC) | BIT(EXC_UD) | BIT(EXC_MC);

	if ((vmx->vcpu.guest_debug & (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP)) ==
	    (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP))
		bitmap |= BIT(EXC_BP);
	return bitmap;
}

/* CR4 bits whose change the hypervisor need not see, where the guest may set them at all. */
#define CR4_GUEST_OWNABLE	(X86_CR4_PVI | X86_CR4_DE | X86_CR4_PCE | X86_CR4_OSFXSR | \
				 X86_CR4_OSXMMEXCPT | X86_CR4_PGE | X86_CR4_TSD | X86_CR4_FSGSBASE)

static void update_cr4_mask(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u64 mask = ~(CR4_GUEST_OWNABLE & ~vcpu->cpu_state.cr4_reserved);

	if (mask == vmx->vmcs01.lazy[LAZY_CR4_MASK])
		return;
	/* Bits that change hands: take what the guest has now before the mask says otherwise. */
	if (vmx->vmcs == &vmx->vmcs01) {
		vcpu_fetch(vcpu, REGS_CR4);
		vcpu_dirty(vcpu, REGS_CR4);
	}
	vmcs_set(&vmx->vmcs01, LAZY_CR4_MASK, mask);
}

/*
 * vmx_intercepts_changed - recompute controls, exception and MSR bitmap
 */
void vmx_intercepts_changed(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 cpu, cpu2;

	vmx_apic_changed(vmx);
	cpu = primary_controls(vmx);
	cpu2 = secondary_controls(vmx);
	vmx_apic_controls(vmx, &cpu, &cpu2);
	vmcs_set(&vmx->vmcs01, LAZY_CPU, cpu);
	vmcs_set(&vmx->vmcs01, LAZY_CPU2, cpu2);
	vmcs_set(&vmx->vmcs01, LAZY_EXCEPTIONS, exception_bitmap(vmx));
	update_cr4_mask(vmx);
	vmx_update_msr_bitmap(vmx);
	if (vcpu->nested.guest_mode) {
		nested_vmx_update_controls(vmx);
		/* Whatever is intercepted now is, until L1's bitmap can be read. */
		memset(vmx->vmcs02.msr_bitmap, 0xff, PAGE_SIZE);
		vmx->nested.merge_waits = true;
		vcpu_request(vcpu, REQ_NESTED);
	}
}

/* vmx_eptp - the EPTP of a root table in the format of this CPU */
u64 vmx_eptp(u64 root_pa)
{
	return root_pa | EPTP_MEMTYPE_WB | FIELD_PREP(EPTP_WALK_LENGTH, tdp_format.levels - 1) |
	       (tdp_format.accessed ? EPTP_AD : 0);
}

void vmx_root_changed(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmcs_set(&vmx->vmcs01, LAZY_EPTP, vmx_eptp(vcpu_root(vcpu)->pa));
	vmx->vmcs01.flush |= FLUSH_EPT;
}

void vmx_write_tsc_offset(struct vcpu *vcpu, u64 offset, u64 ratio)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmcs_set(&vmx->vmcs01, LAZY_TSC_OFFSET, offset);
	vmcs_set(&vmx->vmcs01, LAZY_TSC_MULTIPLIER, ratio);
	if (vcpu->nested.guest_mode)
		nested_vmx_update_tsc(vmx);
}

int vmx_vmcs_init(struct vmx_vmcs *vmcs)
{
	vmcs->region = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vmcs->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!vmcs->region || !vmcs->msr_bitmap) {
		vmx_vmcs_free(vmcs);
		return -ENOMEM;
	}
	*(u32 *)vmcs->region = vmx_caps.revision;
	vmcs->pa = __pa(vmcs->region);
	vmcs->vpid = vpid_alloc();
	vmcs->host_cpu = -1;
	vmcs->used = false;
	vmcs->lazy_stale = GENMASK(LAZY_NR - 1, 0);
	vmcs->lazy[LAZY_PIN] = vmx_caps.pin;
	vmcs->lazy[LAZY_EXIT] = vmx_caps.exit;
	vmcs->lazy[LAZY_ENTRY] = vmx_caps.entry & ~ENTRY_IA32E;
	vmcs->lazy[LAZY_TSC_MULTIPLIER] = cpu_caps.tsc_ratio_default;
	vmcs->lazy[LAZY_CR0_MASK] = ~(u64)X86_CR0_TS;
	vmcs->lazy[LAZY_CR4_MASK] = ~0ull;
	vmcs->lazy[LAZY_LINK_POINTER] = ~0ull;
	return 0;
}

/* The VMCS is not active on any CPU: every burst and visit ends with VMCLEAR. */
void vmx_vmcs_free(struct vmx_vmcs *vmcs)
{
	vpid_free(vmcs->vpid);
	free_page((unsigned long)vmcs->region);
	free_page((unsigned long)vmcs->msr_bitmap);
	memset(vmcs, 0, sizeof(*vmcs));
}

int vmx_vcpu_init(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int err = vmx_vmcs_init(&vmx->vmcs01);

	if (err)
		return err;
	err = vmx_pml_vcpu_init(vmx);
	if (err) {
		vmx_vmcs_free(&vmx->vmcs01);
		return err;
	}
	vmx->vmcs = &vmx->vmcs01;
	vmx->run_flags = vmx_run_flags();
	vmx_root_changed(vcpu);
	nested_vmx_vcpu_init(vmx);
	return 0;
}

void vmx_vcpu_destroy(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	nested_vmx_vcpu_destroy(vmx);
	vmx_pml_vcpu_destroy(vmx);
	vmx_vmcs_free(&vmx->vmcs01);
}

void vmx_vcpu_reset(struct vcpu *vcpu, bool init_event)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	nested_vmx_vcpu_reset(vmx);
	vmx->inject = 0;
	vmx->soft_length = 0;
	vmx->nmi_blocked = false;
	vmx->interruptibility = 0;
	vmx_clear_halt(vcpu);
	vcpu->regs.int_shadow = 0;
	vcpu_dirty(vcpu, REGS_SHADOW);
	vmx_set_bits(vmx, LAZY_CPU, CPU_WINDOWS, false);
	if (!init_event)
		vmx->pass_spec_ctrl = false;
}

/* Fields of 16 bits are zero in a new VMCS only on some CPUs: everything that is used is written. */
static const struct vmcs_field zero_fields[] = {
	VMCS_CR3_TARGET_COUNT,
	VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_COUNT,
	VMCS_ENTRY_INTR_INFO,
	VMCS_GUEST_ACTIVITY, VMCS_GUEST_PENDING_DEBUG,
	VMCS_HOST_ES_SELECTOR, VMCS_HOST_DS_SELECTOR, VMCS_HOST_FS_SELECTOR, VMCS_HOST_GS_SELECTOR,
};

/* PAUSE loops: cycles between two PAUSEs of one loop, and how long it may spin. */
#define PLE_GAP		128
#define PLE_WINDOW	4096

/*
 * vmx_write_constants - fill a VMCS that was just cleared; it is loaded
 */
void vmx_write_constants(struct vmx_vcpu *vmx)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(zero_fields); i++)
		__vmwrite(zero_fields[i], 0);
	vmwrite64(VMCS_MSR_BITMAP, __pa(vmx->vmcs->msr_bitmap));
	if (vmx->vmcs->vpid)
		vmwrite16(VMCS_VPID, vmx->vmcs->vpid);
	if (vmx_caps.cpu2 & CPU2_PAUSE_LOOP_EXITING) {
		vmwrite32(VMCS_PLE_GAP, PLE_GAP);
		vmwrite32(VMCS_PLE_WINDOW, PLE_WINDOW);
	}
	vmx_apic_write_constants(vmx);
	vmx_pml_write_constants(vmx);
	if (vmx->vmcs == &vmx->vmcs02)
		nested_vmx_write_constants(&vmx->nested);
	if (vmx_caps.cpu2 & CPU2_ENCLS_EXITING)
		vmwrite64(VMCS_ENCLS_EXIT_BITMAP, ~0ull);

	nested_vmx_shadowing_write();

	vmwrite16(VMCS_HOST_CS_SELECTOR, __KERNEL_CS);
	vmwrite16(VMCS_HOST_SS_SELECTOR, __KERNEL_DS);
	vmwrite16(VMCS_HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmwriten(VMCS_HOST_RIP, (unsigned long)vmx_run_exit);
	vmwriten(VMCS_HOST_CR0, native_read_cr0());
	vmwrite64(VMCS_HOST_PAT, nst_rdmsr(MSR_IA32_CR_PAT));
	vmwrite64(VMCS_HOST_EFER, nst_rdmsr(MSR_EFER));
}

/*
 * vmx_write_host_state - host state that differs between CPUs; the VMCS is loaded
 *
 * With page-table isolation the TSS in cpu_tss_rw is not what TR points to: exits must load the
 * CPU entry area's. The GDT is the read-only alias in the fixmap, for the same reason as on the
 * kernel's own way in.
 */
void vmx_write_host_state(struct vmx_vcpu *vmx, int cpu)
{
	struct desc_ptr idt;

	if (vmx->vmcs->host_cpu == cpu)
		return;
	store_idt(&idt);
	vmwriten(VMCS_HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmwriten(VMCS_HOST_GDTR_BASE, (unsigned long)get_current_gdt_ro());
	vmwriten(VMCS_HOST_IDTR_BASE, idt.address);
	vmwriten(VMCS_HOST_GS_BASE, nst_rdmsr(MSR_GS_BASE));
	vmwrite32(VMCS_HOST_SYSENTER_CS, nst_rdmsr(MSR_IA32_SYSENTER_CS));
	vmwriten(VMCS_HOST_SYSENTER_ESP, nst_rdmsr(MSR_IA32_SYSENTER_ESP));
	vmwriten(VMCS_HOST_SYSENTER_EIP, nst_rdmsr(MSR_IA32_SYSENTER_EIP));
	vmx->vmcs->host_cpu = cpu;
}

static const struct vmcs_field lazy_fields[LAZY_NR] = {
	[LAZY_PIN] = VMCS_PIN_CONTROLS,
	[LAZY_CPU] = VMCS_CPU_CONTROLS,
	[LAZY_CPU2] = VMCS_CPU2_CONTROLS,
	[LAZY_EXIT] = VMCS_EXIT_CONTROLS,
	[LAZY_ENTRY] = VMCS_ENTRY_CONTROLS,
	[LAZY_EXCEPTIONS] = VMCS_EXCEPTION_BITMAP,
	[LAZY_TSC_OFFSET] = VMCS_TSC_OFFSET,
	[LAZY_TSC_MULTIPLIER] = VMCS_TSC_MULTIPLIER,
	[LAZY_EPTP] = VMCS_EPT_POINTER,
	[LAZY_DR7] = VMCS_GUEST_DR7,
	[LAZY_TPR_THRESHOLD] = VMCS_TPR_THRESHOLD,
	[LAZY_CR0_MASK] = VMCS_CR0_MASK,
	[LAZY_CR4_MASK] = VMCS_CR4_MASK,
	[LAZY_CR0_SHADOW] = VMCS_CR0_SHADOW,
	[LAZY_CR4_SHADOW] = VMCS_CR4_SHADOW,
	[LAZY_HOST_CR3] = VMCS_HOST_CR3,
	[LAZY_HOST_CR4] = VMCS_HOST_CR4,
	[LAZY_HOST_FS_BASE] = VMCS_HOST_FS_BASE,
	[LAZY_PF_MASK] = VMCS_PF_ERROR_MASK,
	[LAZY_PF_MATCH] = VMCS_PF_ERROR_MATCH,
	[LAZY_XSS_BITMAP] = VMCS_XSS_EXIT_BITMAP,
	[LAZY_LINK_POINTER] = VMCS_LINK_POINTER,
};
static_assert(LAZY_NR <= 32);

void vmx_write_lazy(struct vmx_vcpu *vmx)
{
	struct vmx_vmcs *vmcs = vmx->vmcs;
	unsigned long stale = vmcs->lazy_stale;
	int i;

	vmcs->lazy_stale = 0;
	if (!cpu_caps.tsc_scaling)
		__clear_bit(LAZY_TSC_MULTIPLIER, &stale);
	if (!(vmx_caps.cpu_allowed & CPU_TPR_SHADOW))
		__clear_bit(LAZY_TPR_THRESHOLD, &stale);
	if (!cpu_caps.has_xsaves)
		__clear_bit(LAZY_XSS_BITMAP, &stale);
	for_each_set_bit(i, &stale, LAZY_NR)
		__vmwrite(lazy_fields[i], vmcs->lazy[i]);
	if (stale & BIT(LAZY_CPU2))
		vmx_msrs_update(vmx, false);
}
