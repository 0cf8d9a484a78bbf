// SPDX-License-Identifier: GPL-2.0
/*
 * What VMX a guest is offered: the capability MSRs, as they are for a new vCPU, and what user space may take away.
 *
 * SDM, VMX Capability Reporting Facility. A control is offered where this CPU has it and our code knows it, or where
 * our code alone makes it; L1's own checks and ours use these values and nothing else.
 */
#include "vmx/vmx.h"

static struct nested_caps offered;

/* DebugCtl bits that WRMSR takes, and ignores. */
#define DEBUGCTL_SETTABLE	(DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF)

/*
 * Bits of each word of controls. @known: offered where the CPU has them; @always: whether it has them or not;
 * @default1: reserved bits that read as 1 and must be 1; @free: those of them that the TRUE MSRs let be 0; @fieldless:
 * whose fields an enlightened VMCS, version 1, lacks or, for TSC scaling, lacked at first: a Hyper-V may take it for the
 * older one.
 */
static const struct {
	u32 true_msr;
	u32 known, always, default1, free, fieldless;
} control_words[NESTED_WORDS] = {
	[NESTED_PIN] = {
		.true_msr = MSR_IA32_VMX_TRUE_PINBASED_CTLS,
		.known = PIN_INTR_EXITING | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER,
		.default1 = 0x16,
		.fieldless = PIN_PREEMPTION_TIMER | PIN_POSTED,
	},
	[NESTED_CPU] = {
		.true_msr = MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		.known = CPU_INTR_WINDOW | CPU_TSC_OFFSETTING | CPU_HLT_EXITING | CPU_INVLPG_EXITING |
			 CPU_MWAIT_EXITING | CPU_RDPMC_EXITING | CPU_RDTSC_EXITING | CPU_CR3_LOAD_EXITING |
			 CPU_CR3_STORE_EXITING | CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING |
			 CPU_TPR_SHADOW | CPU_NMI_WINDOW | CPU_MOV_DR_EXITING | CPU_IO_EXITING | CPU_MONITOR_TRAP |
			 CPU_MONITOR_EXITING | CPU_PAUSE_EXITING | CPU_SECONDARY,
		/* Bitmaps of L1's are looked at by us. */
		.always = CPU_IO_BITMAPS | CPU_MSR_BITMAPS,
		.default1 = 0x0401e172,
		.free = CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING,
	},
	[NESTED_CPU2] = {
		.true_msr = MSR_IA32_VMX_PROCBASED_CTLS2,
		.known = CPU2_APIC_ACCESSES | CPU2_X2APIC_MODE | CPU2_APIC_REGISTERS | CPU2_VIRTUAL_DELIVERY |
			 CPU2_EPT | CPU2_DESCRIPTOR_EXITING | CPU2_RDTSCP | CPU2_VPID | CPU2_WBINVD_EXITING |
			 CPU2_UNRESTRICTED_GUEST | CPU2_RDRAND_EXITING | CPU2_INVPCID | CPU2_RDSEED_EXITING |
			 CPU2_XSAVES | CPU2_TSC_SCALING | CPU2_USER_WAIT | CPU2_VMFUNC | CPU2_MBEC,
		/*
		 * Guests have no Processor Trace that there would be something to conceal from. VMREAD and VMWRITE of L2's
		 * exit in any case, and we look at L1's bitmaps and at its shadow VMCS. Violations of L1's EPT are found by us, so
		 * it is us who make exceptions of them.
		 */
		.always = CPU2_CONCEAL_FROM_PT | CPU2_VMCS_SHADOWING | CPU2_VE,
		.fieldless = CPU2_APIC_ACCESSES | CPU2_APIC_REGISTERS | CPU2_VIRTUAL_DELIVERY | CPU2_VMCS_SHADOWING |
			     CPU2_TSC_SCALING | CPU2_PML | CPU2_VMFUNC | CPU2_VE,
	},
	[NESTED_EXIT] = {
		.true_msr = MSR_IA32_VMX_TRUE_EXIT_CTLS,
		.known = EXIT_HOST_64BIT | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_PREEMPTION_TIMER,
		.always = EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_ACK_INTR | EXIT_CONCEAL_FROM_PT,
		.default1 = 0x00036dff,
		.free = EXIT_SAVE_DEBUG,
		.fieldless = EXIT_SAVE_PREEMPTION_TIMER,
	},
	[NESTED_ENTRY] = {
		.true_msr = MSR_IA32_VMX_TRUE_ENTRY_CTLS,
		.known = ENTRY_IA32E | ENTRY_LOAD_PAT,
		.always = ENTRY_LOAD_EFER | ENTRY_CONCEAL_FROM_PT,
		.default1 = 0x000011ff,
		.free = ENTRY_LOAD_DEBUG,
	},
};

#define EPT_KNOWN	(EPT_CAP_EXEC_ONLY | EPT_CAP_WALK_4 | EPT_CAP_WB | EPT_CAP_INVEPT | EPT_CAP_AD)
/* Shadow tables take leaves of any size, and INVEPT and INVVPID of all types are ours. */
#define EPT_ALWAYS	(EPT_CAP_2M | EPT_CAP_1G | EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL)
#define VPID_ALWAYS	(EPT_CAP_INVVPID | EPT_CAP_INVVPID_ADDRESS | EPT_CAP_INVVPID_SINGLE | EPT_CAP_INVVPID_ALL | \
			 EPT_CAP_INVVPID_NON_GLOBAL)

/* SDM, Restrictions on VMX Operation: what every CPU fixes. */
#define CR0_FIXED	(X86_CR0_PE | X86_CR0_PG | X86_CR0_NE)

static u64 control_msr(enum nested_word word, u32 hardware)
{
	u32 may = (hardware & control_words[word].known) | control_words[word].always | control_words[word].default1;
	u32 must = control_words[word].default1 & ~control_words[word].free;

	return must | (u64)may << 32;
}

/*
 * nested_vmx_caps_setup - at load: what this host's guests are offered at most
 */
void nested_vmx_caps_setup(void)
{
	u64 misc = nst_rdmsr(MSR_IA32_VMX_MISC);

	vmcs12_setup();
	evmcs_setup();
	offered.basic = VMCS12_REVISION | FIELD_PREP(VMX_BASIC_SIZE, VMCS12_SIZE) |
			FIELD_PREP(VMX_BASIC_MEMTYPE, EPTP_MEMTYPE_WB) | VMX_BASIC_TRUE_CONTROLS |
			(nst_rdmsr(MSR_IA32_VMX_BASIC) & (VMX_BASIC_IO_INFO | VMX_BASIC_ANY_ERROR_CODE));
	offered.words[NESTED_PIN] = control_msr(NESTED_PIN, vmx_caps.pin_allowed);
	offered.words[NESTED_CPU] = control_msr(NESTED_CPU, vmx_caps.cpu_allowed);
	offered.words[NESTED_CPU2] = control_msr(NESTED_CPU2, vmx_caps.cpu2_allowed);
	offered.words[NESTED_EXIT] = control_msr(NESTED_EXIT, vmx_caps.exit_allowed);
	offered.words[NESTED_ENTRY] = control_msr(NESTED_ENTRY, vmx_caps.entry_allowed);
	offered.misc = (misc & (VMX_MISC_SAVE_LMA | VMX_MISC_ZERO_LENGTH)) | VMX_MISC_VMWRITE_ALL |
		       VMX_MISC_HLT | VMX_MISC_SHUTDOWN | VMX_MISC_WAIT_SIPI | NESTED_TIMER_RATE |
		       FIELD_PREP(VMX_MISC_CR3_TARGETS, NESTED_CR3_TARGETS);
	offered.cr0_fixed0 = CR0_FIXED;
	offered.cr4_fixed0 = X86_CR4_VMXE;
	offered.vmcs_enum = vmcs12_enum();
	offered.ept_vpid = (vmx_caps.ept_vpid & EPT_KNOWN) | EPT_ALWAYS;
	/* Whether L2 fetches from a user-mode address is what the CPU has to tell. */
	if (!(vmx_caps.ept_vpid & EPT_CAP_LINEAR_INFO))
		offered.words[NESTED_CPU2] &= ~((u64)CPU2_MBEC << 32);
	if (vmx_caps.cpu2_allowed & CPU2_VMFUNC)
		offered.vmfunc = VMFUNC_EPTP_SWITCHING;
	/* It is we who set the dirty flags in L1's tables. */
	if (offered.ept_vpid & EPT_CAP_AD)
		offered.words[NESTED_CPU2] |= (u64)CPU2_PML << 32;
	/* What L2's APIC needs of ours comes with the virtual-APIC page. */
	if (!(vmx_caps.cpu_allowed & CPU_TPR_SHADOW))
		offered.words[NESTED_CPU2] &= ~((u64)CPU2_APIC_ACCESSES << 32);
	/* Posted interrupts are ours, but for the delivery to L2. */
	if (vmx_caps.cpu2_allowed & CPU2_VIRTUAL_DELIVERY)
		offered.words[NESTED_PIN] |= (u64)PIN_POSTED << 32;
	if (vmx_caps.cpu2 & CPU2_VPID)
		offered.ept_vpid |= VPID_ALWAYS;
	else
		offered.words[NESTED_CPU2] &= ~((u64)CPU2_VPID << 32);
}

/* Everything that is offered, unless user space has asked for feature MSRs that only it fills. */
void nested_vmx_caps_init(struct vmx_vcpu *vmx)
{
	if (vmx->vcpu.vm->caps.disabled_quirks & KVM_X86_QUIRK_STUFF_FEATURE_MSRS)
		return;
	vmx->nested.caps = offered;
}

/* The bits that MOV to CR4 lets this guest set. */
static u64 cr4_fixed1(struct vcpu *vcpu)
{
	return vmx_caps.cr4_fixed1 & ~vcpu->cpu_state.cr4_reserved;
}

/* The MSR of a word of controls; @all_fixed: it is the one that knows no free bits. */
static bool find_word(u32 msr, enum nested_word *word, bool *all_fixed)
{
	static const u32 old_msrs[NESTED_WORDS] = {
		[NESTED_PIN] = MSR_IA32_VMX_PINBASED_CTLS,
		[NESTED_CPU] = MSR_IA32_VMX_PROCBASED_CTLS,
		[NESTED_EXIT] = MSR_IA32_VMX_EXIT_CTLS,
		[NESTED_ENTRY] = MSR_IA32_VMX_ENTRY_CTLS,
	};
	int i;

	for (i = 0; i < NESTED_WORDS; i++) {
		*word = i;
		*all_fixed = msr == old_msrs[i];
		if (*all_fixed || msr == control_words[i].true_msr)
			return true;
	}
	return false;
}

static u64 *find_plain(struct nested_caps *caps, u32 msr)
{
	switch (msr) {
	case MSR_IA32_VMX_BASIC:
		return &caps->basic;
	case MSR_IA32_VMX_MISC:
		return &caps->misc;
	case MSR_IA32_VMX_CR0_FIXED0:
		return &caps->cr0_fixed0;
	case MSR_IA32_VMX_CR4_FIXED0:
		return &caps->cr4_fixed0;
	case MSR_IA32_VMX_VMCS_ENUM:
		return &caps->vmcs_enum;
	case MSR_IA32_VMX_EPT_VPID_CAP:
		return &caps->ept_vpid;
	case MSR_IA32_VMX_VMFUNC:
		return &caps->vmfunc;
	default:
		return NULL;
	}
}

static u64 read_caps(struct nested_caps *caps, u32 msr)
{
	enum nested_word word;
	bool all_fixed;
	u64 *plain = find_plain(caps, msr);

	if (plain)
		return *plain;
	if (find_word(msr, &word, &all_fixed))
		return caps->words[word] | (all_fixed ? control_words[word].default1 : 0);
	return msr == MSR_IA32_VMX_CR0_FIXED1 ? U32_MAX : 0;
}

/* nested_vmx_caps_host - the MSR as KVM_GET_MSRS on the system file shows it */
u64 nested_vmx_caps_host(u32 msr)
{
	return msr == MSR_IA32_VMX_CR4_FIXED1 ? vmx_caps.cr4_fixed1 : read_caps(&offered, msr);
}

/* Controls that L1 may set: where it may use enlightened VMCSs, whether it does or not, what these can do. */
static u64 offered_to_l1(struct vcpu *vcpu, enum nested_word word)
{
	u64 value = to_vmx(vcpu)->nested.caps.words[word];

	if (nested_vmx_has_evmcs(vcpu))
		value &= ~((u64)control_words[word].fieldless << 32);
	return value;
}

/* nested_vmx_caps_get - a capability MSR: for user space, @host, as it has set it; what a VM migrates with */
u64 nested_vmx_caps_get(struct vcpu *vcpu, u32 msr, bool host)
{
	u64 value = read_caps(&to_vmx(vcpu)->nested.caps, msr);
	enum nested_word word;
	bool all_fixed;

	if (msr == MSR_IA32_VMX_CR4_FIXED1)
		return cr4_fixed1(vcpu);
	if (!host && find_word(msr, &word, &all_fixed))
		value &= offered_to_l1(vcpu, word) | U32_MAX;
	if (!host && msr == MSR_IA32_VMX_VMFUNC && nested_vmx_has_evmcs(vcpu))
		return 0;
	return value;
}

/* Bits 63:57, 47:45 and 31 are reserved; a CPU whose addresses end at 32 bits is another one. */
static bool basic_ok(u64 value)
{
	u64 features = GENMASK_ULL(63, 57) | VMX_BASIC_ANY_ERROR_CODE | VMX_BASIC_TRUE_CONTROLS | VMX_BASIC_IO_INFO |
		       VMX_BASIC_DUAL_MONITOR | GENMASK_ULL(47, 45) | BIT_ULL(31);

	return !(value & features & ~offered.basic) && !(value & VMX_BASIC_32BIT) &&
	       !((value ^ offered.basic) & VMX_BASIC_REVISION) &&
	       FIELD_GET(VMX_BASIC_SIZE, value) >= FIELD_GET(VMX_BASIC_SIZE, offered.basic);
}

static bool misc_ok(const struct nested_caps *caps, u64 value)
{
	u64 fields = VMX_MISC_TIMER_RATE | VMX_MISC_CR3_TARGETS | VMX_MISC_MSRS | VMX_MISC_MSEG;

	if (value & ~fields & ~offered.misc || (value ^ offered.misc) & VMX_MISC_MSEG)
		return false;
	if (caps->words[NESTED_PIN] >> 32 & PIN_PREEMPTION_TIMER && (value ^ offered.misc) & VMX_MISC_TIMER_RATE)
		return false;
	return FIELD_GET(VMX_MISC_CR3_TARGETS, value) <= FIELD_GET(VMX_MISC_CR3_TARGETS, offered.misc) &&
	       FIELD_GET(VMX_MISC_MSRS, value) <= FIELD_GET(VMX_MISC_MSRS, offered.misc);
}

/* What must be 1 may become more, what may be 1 less. */
static bool word_ok(enum nested_word word, u64 value)
{
	return !((u32)offered.words[word] & ~(u32)value) && !(value >> 32 & ~(offered.words[word] >> 32));
}

static bool plain_ok(const struct nested_caps *caps, u32 msr, u64 value)
{
	switch (msr) {
	case MSR_IA32_VMX_BASIC:
		return basic_ok(value);
	case MSR_IA32_VMX_MISC:
		return misc_ok(caps, value);
	case MSR_IA32_VMX_CR0_FIXED0:
		return !(offered.cr0_fixed0 & ~value);
	case MSR_IA32_VMX_CR4_FIXED0:
		return !(offered.cr4_fixed0 & ~value);
	case MSR_IA32_VMX_EPT_VPID_CAP:
		return !(value & ~offered.ept_vpid);
	case MSR_IA32_VMX_VMFUNC:
		return !(value & ~offered.vmfunc);
	default:
		return true;
	}
}

/*
 * nested_vmx_caps_set - KVM_SET_MSRS: a part of what is offered
 *
 * 0, -EBUSY in VMX operation, or -EINVAL.
 */
int nested_vmx_caps_set(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	enum nested_word word;
	bool all_fixed;
	u64 *plain = find_plain(&nested->caps, msr);

	if (value == nested_vmx_caps_get(vcpu, msr, true))
		return 0;
	if (nested->vmxon)
		return -EBUSY;
	if (plain) {
		if (!plain_ok(&nested->caps, msr, value))
			return -EINVAL;
		*plain = value;
		return 0;
	}
	/* Those that know no free bits are made from the others, and FIXED1 follows CPUID. */
	if (!find_word(msr, &word, &all_fixed) || all_fixed || !word_ok(word, value))
		return -EINVAL;
	nested->caps.words[word] = value;
	return 0;
}

/* nested_vmx_caps_check - the values for the rules of VM entry, but for what is the moment's */
void nested_vmx_caps_check(struct vcpu *vcpu, u64 *caps)
{
	const struct nested_caps *n = &to_vmx(vcpu)->nested.caps;
	const struct cpu_state *c = &vcpu->cpu_state;

	caps[VCAP_basic] = n->basic;
	caps[VCAP_misc] = n->misc;
	caps[VCAP_pin] = offered_to_l1(vcpu, NESTED_PIN);
	caps[VCAP_cpu] = offered_to_l1(vcpu, NESTED_CPU);
	caps[VCAP_cpu2] = offered_to_l1(vcpu, NESTED_CPU2);
	caps[VCAP_exit] = offered_to_l1(vcpu, NESTED_EXIT);
	caps[VCAP_entry] = offered_to_l1(vcpu, NESTED_ENTRY);
	caps[VCAP_cr0_fixed0] = n->cr0_fixed0;
	caps[VCAP_cr0_fixed1] = U32_MAX;
	caps[VCAP_cr4_fixed0] = n->cr4_fixed0;
	caps[VCAP_cr4_fixed1] = cr4_fixed1(vcpu);
	caps[VCAP_ept_vpid] = n->ept_vpid;
	caps[VCAP_vmfunc] = n->vmfunc;
	caps[VCAP_physical_bits] = c->maxphyaddr;
	caps[VCAP_linear_bits] = guest_has(vcpu, X86_FEATURE_LA57) ? 57 : 48;
	caps[VCAP_debugctl_settable] = DEBUGCTL_SETTABLE;
	caps[VCAP_efer_settable] = ~c->efer_reserved;
	caps[VCAP_cr3_settable] = GENMASK_ULL(c->maxphyaddr - 1, 0);
	caps[VCAP_rtm] = guest_has(vcpu, X86_FEATURE_RTM);
}
