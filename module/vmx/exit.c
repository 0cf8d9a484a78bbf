// SPDX-License-Identifier: GPL-2.0
/*
 * Exits of a VMX guest: decode, hand to the common code.
 *
 * Exit information is read when it is asked for, once. When a burst is left with the exit unfinished, what was not
 * read yet is read then: outside, the VMCS is out of reach.
 */
#include "vmx/vmx.h"

u32 vmx_exit_intr(struct vmx_vcpu *vmx)
{
	struct vmx_exit *e = &vmx->exit;

	if (!(e->have & EXIT_HAVE_INTR)) {
		e->intr = vmread32(VMCS_EXIT_INTR_INFO);
		e->intr_error = 0;
		if (e->intr & INTR_VALID && e->intr & INTR_HAS_ERROR)
			e->intr_error = vmread32(VMCS_EXIT_ERROR_CODE);
		e->have |= EXIT_HAVE_INTR;
	}
	return e->intr;
}

static void read_addresses(struct vmx_vcpu *vmx)
{
	struct vmx_exit *e = &vmx->exit;

	if (e->have & EXIT_HAVE_ADDRESSES)
		return;
	e->gpa = vmread64(VMCS_GUEST_PHYSICAL_ADDRESS);
	e->gla = vmreadn(VMCS_GUEST_LINEAR_ADDRESS);
	e->have |= EXIT_HAVE_ADDRESSES;
}

u64 vmx_exit_gla(struct vmx_vcpu *vmx)
{
	read_addresses(vmx);
	return vmx->exit.gla;
}

static noinline void read_exit_info(struct vmx_vcpu *vmx)
{
	vmx_exit_qualification(vmx);
	vmx_exit_intr(vmx);
	vmx_exit_length(vmx);
	vmx_exit_insn_info(vmx);
	read_addresses(vmx);
}

/* Debugging by user space: KVM_EXIT_DEBUG. */
static int debug_exit(struct vcpu *vcpu, u8 vector, u64 dr6)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = vector;
	run->debug.arch.pc = vcpu_linear_rip(vcpu);
	run->debug.arch.dr6 = dr6;
	run->debug.arch.dr7 = vcpu->cpu_state.effective_dr7;
	return RUN_USER;
}

static int handle_db(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u64 dr6 = vmx_exit_qualification(vmx);

	if (vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))
		return debug_exit(vcpu, EXC_DB, dr6 | DR6_RESERVED);

	if (FIELD_GET(INTR_TYPE, vmx_exit_intr(vmx)) == INTR_PRIV_EXCEPTION) {
		/* INT1 is a trap, but exits as a fault does: with RIP at it. */
		vcpu_set_rip(vcpu, vcpu_rip(vcpu) + vmx_exit_length(vmx));
	}
	vcpu_raise_db(vcpu, dr6);
	return RUN_GUEST;
}

static int handle_bp(struct vmx_vcpu *vmx)
{
	/* User space may want it injected after all: KVM_GUESTDBG_INJECT_BP. */
	vmx->soft_length = vmx_exit_length(vmx);
	return debug_exit(&vmx->vcpu, EXC_BP, 0);
}

/* An exception hit while another event was delivered, of a kind that does not combine: nobody can say what follows. */
static int exception_in_delivery(struct vmx_vcpu *vmx)
{
	return vcpu_internal_error(&vmx->vcpu, KVM_INTERNAL_ERROR_SIMUL_EX, 4,
				   (u64[]){ vmx->exit.vectoring, vmx_exit_intr(vmx),
					    vmx->exit.intr_error, vcpu_entry_cpu(&vmx->vcpu) });
}

static int vmx_handle_exception(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 intr = vmx_exit_intr(vmx);
	u8 vector = FIELD_GET(INTR_VECTOR, intr);

	/* The host's NMIs and machine checks were delivered right behind the exit. */
	if (FIELD_GET(INTR_TYPE, intr) == INTR_NMI) {
		vcpu->stats.nmi_exits++;
		return RUN_GUEST;
	}
	if (vector == EXC_MC)
		return RUN_GUEST;
	if (vector == EXC_UD)
		return vcpu_handle_ud(vcpu);
	if (vmx->exit.vectoring & INTR_VALID)
		return exception_in_delivery(vmx);
	switch (vector) {
	case EXC_DB:
		return handle_db(vmx);
	case EXC_BP:
		return handle_bp(vmx);
	case EXC_AC:
		/* The guest's own alignment check, or the host's split-lock detection: its kernel's to judge. */
		vcpu_raise_error(vcpu, EXC_AC, vmx->exit.intr_error);
		return RUN_GUEST;
	default:
		vcpu->run->exit_reason = KVM_EXIT_EXCEPTION;
		vcpu->run->ex.exception = vector;
		vcpu->run->ex.error_code = vmx->exit.intr_error;
		return RUN_USER;
	}
}

static int vmx_handle_interrupt(struct vcpu *vcpu)
{
	if (!vcpu->in_burst)
		return RUN_GUEST;
	vcpu->stats.irq_exits++;
	/* It is taken when the burst has ended: by whoever acknowledges it, unless the exit has. */
	if (vmx_get(to_vmx(vcpu), LAZY_EXIT) & EXIT_ACK_INTR)
		vcpu->host_vector = FIELD_GET(INTR_VECTOR, vmx_exit_intr(to_vmx(vcpu)));
	return RUN_SLOW;
}

static int vmx_handle_nothing(struct vcpu *vcpu)
{
	return RUN_GUEST;
}

static int vmx_handle_triple_fault(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return RUN_USER;
}

static int vmx_handle_interrupt_window(struct vcpu *vcpu)
{
	vmx_open_interrupt_window(vcpu, false);
	vcpu_request(vcpu, REQ_EVENT);
	vcpu->stats.irq_window_exits++;
	return RUN_GUEST;
}

static int vmx_handle_nmi_window(struct vcpu *vcpu)
{
	vmx_open_nmi_window(vcpu, false);
	vcpu_request(vcpu, REQ_EVENT);
	vcpu->stats.nmi_window_exits++;
	return RUN_GUEST;
}

/*
 * The event that called the task through a gate is delivered by the switch itself. Traps and calls save the address
 * behind the instruction in the old TSS, faults and interrupts the address that they hit.
 */
static int vmx_handle_task_switch(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 qualification = vmx_exit_qualification(vmx);
	u32 vectoring = vmx->exit.vectoring;
	bool has_error = false, skip = true;
	u32 error = 0;

	/* The switch reads and writes guest memory; begin where that may sleep. */
	if (vcpu->in_burst)
		return RUN_SLOW;
	if (vectoring & INTR_VALID) {
		switch (FIELD_GET(INTR_TYPE, vectoring)) {
		case INTR_NMI:
			vcpu->events.nmi.injected = false;
			vmx_set_nmi_masked(vcpu, true);
			skip = false;
			break;
		case INTR_EXTERNAL:
			skip = false;
			fallthrough;
		case INTR_SOFT_INTERRUPT:
			vcpu->events.interrupt.injected = false;
			break;
		case INTR_HARD_EXCEPTION:
			has_error = vectoring & INTR_HAS_ERROR;
			error = vmx->exit.vectoring_error;
			skip = false;
			fallthrough;
		case INTR_SOFT_EXCEPTION:
			vcpu->events.exception.injected = false;
			break;
		}
	}
	if (skip)
		vcpu_set_rip(vcpu, vcpu_rip(vcpu) + vmx_exit_length(vmx));
	return vcpu_handle_task_switch(vcpu, FIELD_GET(TASK_SELECTOR, qualification),
				       FIELD_GET(TASK_SOURCE, qualification), has_error, error);
}

static int vmx_handle_invlpg(struct vcpu *vcpu)
{
	vmx_tlb_flush_address(vcpu, vmx_exit_qualification(to_vmx(vcpu)));
	return vmx_skip_instruction(vcpu);
}

static int vmx_handle_rdtsc(struct vcpu *vcpu)
{
	return vcpu_handle_rdtsc(vcpu, false);
}

static int vmx_handle_rdtscp(struct vcpu *vcpu)
{
	return vcpu_handle_rdtsc(vcpu, true);
}

/* The guest lacks the feature. */
static int vmx_handle_ud(struct vcpu *vcpu)
{
	vcpu_raise(vcpu, EXC_UD);
	return RUN_GUEST;
}

static int handle_cr_read(struct vcpu *vcpu, int cr, int gpr)
{
	u64 value;

	if (cr == 3) {
		vcpu_fetch(vcpu, REGS_CR3);
		value = vcpu->regs.cr3;
	} else {
		value = cpu_get_cr8(vcpu);
	}
	vcpu->stats.cr_accesses++;
	vcpu_set_gpr(vcpu, gpr, value);
	return vmx_skip_instruction(vcpu);
}

/* LMSW cannot clear PE. */
static int handle_lmsw(struct vcpu *vcpu, u16 source)
{
	u64 low = X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS, value;

	vcpu_fetch(vcpu, REGS_CR0);
	value = (vcpu->regs.cr0 & ~(low & ~(u64)X86_CR0_PE)) | (source & low);
	if (unlikely(vcpu->nested.guest_mode))
		value = nested_vmx_cr_write(to_vmx(vcpu), 0, value);
	return vcpu_handle_cr_write(vcpu, 0, value);
}

static int vmx_handle_cr(struct vcpu *vcpu)
{
	u64 qualification = vmx_exit_qualification(to_vmx(vcpu));
	int cr = FIELD_GET(CR_NUMBER, qualification), gpr = FIELD_GET(CR_GPR, qualification);
	u64 value;

	switch (FIELD_GET(CR_ACCESS, qualification)) {
	case CR_MOV_TO:
		value = vcpu_gpr(vcpu, gpr);
		if (unlikely(vcpu->nested.guest_mode))
			value = nested_vmx_cr_write(to_vmx(vcpu), cr, value);
		return vcpu_handle_cr_write(vcpu, cr, value);
	case CR_MOV_FROM:
		return handle_cr_read(vcpu, cr, gpr);
	case CR_CLTS:
		vcpu_fetch(vcpu, REGS_CR0);
		return vcpu_handle_cr_write(vcpu, 0, vcpu->regs.cr0 & ~(u64)X86_CR0_TS);
	default:
		return handle_lmsw(vcpu, FIELD_GET(CR_LMSW_SOURCE, qualification));
	}
}

static int vmx_handle_dr(struct vcpu *vcpu)
{
	u64 qualification = vmx_exit_qualification(to_vmx(vcpu));

	return vcpu_handle_dr(vcpu, FIELD_GET(DR_NUMBER, qualification), !(qualification & DR_FROM),
			      FIELD_GET(DR_GPR, qualification));
}

static int vmx_handle_io(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 qualification = vmx_exit_qualification(vmx);
	struct io_exit io = {
		.port = FIELD_GET(IO_PORT, qualification),
		.size = FIELD_GET(IO_SIZE, qualification) + 1,
		.in = qualification & IO_IN,
		.string = qualification & IO_STRING,
		.rep = qualification & IO_REP,
	};

	vmx->flush_l1d |= io.string;
	return vcpu_handle_io(vcpu, io);
}

/*
 * IA32_SPEC_CTRL once it is used: a guest that writes it at every system call shall not exit for it.
 * IA32_UMWAIT_CONTROL holds the guest's value in the CPU.
 */
static int vmx_handle_wrmsr(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 msr = vcpu->regs.gpr[GPR_RCX];
	int r = vcpu_handle_wrmsr(vcpu);

	if (unlikely(msr == MSR_IA32_SPEC_CTRL) && vcpu->cpu_state.spec_ctrl && !vmx->pass_spec_ctrl) {
		vmx->pass_spec_ctrl = true;
		vmx_update_msr_bitmap(vmx);
	} else if (unlikely(msr == MSR_IA32_UMWAIT_CONTROL) && vcpu->in_burst) {
		vmx_msrs_update(vmx, true);
	}
	return r;
}

static int vmx_handle_monitor(struct vcpu *vcpu)
{
	return vcpu_handle_monitor(vcpu, false);
}

static int vmx_handle_mwait(struct vcpu *vcpu)
{
	return vcpu_handle_monitor(vcpu, true);
}

/* Is the address whose translation violates EPT one of user mode's? */
static bool violation_by_user_address(u64 qualification)
{
	return qualification & EPT_QUAL_GLA_VALID && qualification & EPT_QUAL_GLA_TRANSLATED &&
	       vmx_caps.ept_vpid & EPT_CAP_LINEAR_INFO && qualification & EPT_QUAL_USER;
}

/* SDM, Exit Qualification for EPT Violations. */
static int vmx_handle_ept_violation(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 qualification = vmx_exit_qualification(vmx);
	struct fault fault;

	read_addresses(vmx);
	fault = (struct fault) {
		.gpa = vmx->exit.gpa,
		.gva = vmx->exit.gla,
		.gva_valid = qualification & EPT_QUAL_GLA_VALID,
		.user_address = violation_by_user_address(qualification),
		.write = qualification & EPT_QUAL_WRITE,
		.exec = qualification & EPT_QUAL_FETCH,
		.present = qualification & EPT_QUAL_RIGHTS,
		.in_walk = (qualification & (EPT_QUAL_GLA_VALID | EPT_QUAL_GLA_TRANSLATED)) ==
			   EPT_QUAL_GLA_VALID,
		.vectoring = vmx->exit.vectoring & INTR_VALID,
	};
	vmx->flush_l1d = true;
	vmx->nested.apic_access.known = false;
	return vcpu_handle_fault(vcpu, &fault);
}

/* Entries are written so that none is misconfigured: a bug, or memory that went bad. */
static int vmx_handle_ept_misconfig(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	read_addresses(vmx);
	pr_err_ratelimited("vcpu %u: EPT misconfiguration at guest physical address 0x%llx\n",
			   vcpu->id, vmx->exit.gpa);
	return vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, 3,
				   (u64[]){ vmx->exit.reason, vcpu_entry_cpu(vcpu), vmx->exit.gpa });
}

static int (*const vmx_handlers[])(struct vcpu *vcpu) = {
	[EXIT_REASON_EXCEPTION_NMI]		= vmx_handle_exception,
	[EXIT_REASON_EXTERNAL_INTERRUPT]	= vmx_handle_interrupt,
	[EXIT_REASON_TRIPLE_FAULT]		= vmx_handle_triple_fault,
	[EXIT_REASON_INTERRUPT_WINDOW]		= vmx_handle_interrupt_window,
	[EXIT_REASON_NMI_WINDOW]		= vmx_handle_nmi_window,
	[EXIT_REASON_TASK_SWITCH]		= vmx_handle_task_switch,
	[EXIT_REASON_CPUID]			= vcpu_handle_cpuid,
	[EXIT_REASON_HLT]			= vcpu_handle_hlt,
	[EXIT_REASON_INVD]			= vcpu_handle_invd,
	[EXIT_REASON_INVLPG]			= vmx_handle_invlpg,
	[EXIT_REASON_RDPMC]			= vcpu_handle_rdpmc,
	[EXIT_REASON_RDTSC]			= vmx_handle_rdtsc,
	[EXIT_REASON_VMCALL]			= vcpu_handle_hypercall,
	[EXIT_REASON_VMCLEAR]			= nested_vmx_handle_vmclear,
	[EXIT_REASON_VMLAUNCH]			= nested_vmx_handle_vmlaunch,
	[EXIT_REASON_VMPTRLD]			= nested_vmx_handle_vmptrld,
	[EXIT_REASON_VMPTRST]			= nested_vmx_handle_vmptrst,
	[EXIT_REASON_VMREAD]			= nested_vmx_handle_vmread,
	[EXIT_REASON_VMRESUME]			= nested_vmx_handle_vmresume,
	[EXIT_REASON_VMWRITE]			= nested_vmx_handle_vmwrite,
	[EXIT_REASON_VMOFF]			= nested_vmx_handle_vmxoff,
	[EXIT_REASON_VMON]			= nested_vmx_handle_vmxon,
	[EXIT_REASON_CR_ACCESS]			= vmx_handle_cr,
	[EXIT_REASON_DR_ACCESS]			= vmx_handle_dr,
	[EXIT_REASON_IO_INSTRUCTION]		= vmx_handle_io,
	[EXIT_REASON_MSR_READ]			= vcpu_handle_rdmsr,
	[EXIT_REASON_MSR_WRITE]			= vmx_handle_wrmsr,
	[EXIT_REASON_MWAIT_INSTRUCTION]		= vmx_handle_mwait,
	[EXIT_REASON_MONITOR_INSTRUCTION]	= vmx_handle_monitor,
	[EXIT_REASON_PAUSE_INSTRUCTION]		= vcpu_handle_pause,
	[EXIT_REASON_MCE_DURING_VMENTRY]	= vmx_handle_nothing,
	[EXIT_REASON_TPR_BELOW_THRESHOLD]	= vmx_handle_tpr_below_threshold,
	[EXIT_REASON_APIC_ACCESS]		= vmx_handle_apic_access,
	[EXIT_REASON_PREEMPTION_TIMER]		= vmx_handle_preemption_timer,
	[EXIT_REASON_EOI_INDUCED]		= vmx_handle_eoi_induced,
	[EXIT_REASON_EPT_VIOLATION]		= vmx_handle_ept_violation,
	[EXIT_REASON_EPT_MISCONFIG]		= vmx_handle_ept_misconfig,
	[EXIT_REASON_INVEPT]			= nested_vmx_handle_invept,
	[EXIT_REASON_RDTSCP]			= vmx_handle_rdtscp,
	[EXIT_REASON_INVVPID]			= nested_vmx_handle_invvpid,
	[EXIT_REASON_WBINVD]			= vcpu_handle_wbinvd,
	[EXIT_REASON_XSETBV]			= vcpu_handle_xsetbv,
	[EXIT_REASON_PML_FULL]			= vmx_handle_pml_full,
	[EXIT_REASON_RDRAND]			= vmx_handle_ud,
	[EXIT_REASON_APIC_WRITE]		= vmx_handle_apic_write,
	[EXIT_REASON_INVPCID]			= vmx_handle_ud,
	[EXIT_REASON_VMFUNC]			= nested_vmx_handle_vmfunc,
	[EXIT_REASON_ENCLS]			= vmx_handle_ud,
	[EXIT_REASON_RDSEED]			= vmx_handle_ud,
	[EXIT_REASON_UMWAIT]			= vmx_handle_ud,
	[EXIT_REASON_TPAUSE]			= vmx_handle_ud,
};

const struct exit_name vmx_exit_names[] = { VMX_EXIT_REASONS, {} };

/* Upstream's convention: VMfail shows the VM-instruction error, a failed load of state the exit reason. */
static noinline int entry_failed(struct vmx_vcpu *vmx)
{
	if (vmx->result != VMX_RUN_EXIT)
		return vmx->vcpu.in_burst ? RUN_SLOW : vcpu_entry_failed(&vmx->vcpu, vmx->entry_error, 0);
	if (vmx->vcpu.in_burst) {
		vmx_exit_qualification(vmx);
		return RUN_SLOW;
	}
	return vcpu_entry_failed(&vmx->vcpu, vmx->exit.reason, vmx_exit_qualification(vmx));
}

static noinline int unexpected_exit(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	pr_err_ratelimited("vcpu %u: unexpected exit 0x%x, qualification 0x%llx\n", vcpu->id,
			   vmx->exit.reason, vmx_exit_qualification(vmx));
	return vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, 2,
				   (u64[]){ vmx->exit.reason, vcpu_entry_cpu(vcpu) });
}

/*
 * Outside the burst only what is cached can be known: all of it where the handler runs again, the length where user
 * space completes the instruction. Interrupts have nothing to be known.
 */
static noinline void keep_exit_info(struct vmx_vcpu *vmx, int next)
{
	if (!vmx->vcpu.in_burst || vmx_basic_reason(vmx) == EXIT_REASON_EXTERNAL_INTERRUPT)
		return;
	if (next == RUN_SLOW)
		read_exit_info(vmx);
	else
		vmx_exit_length(vmx);
}

/* The upper half of the reason has flags: of failed entries, and of others that change nothing here. */
static noinline int handle_odd_exit(struct vmx_vcpu *vmx)
{
	if (!(vmx->exit.reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		if (vmx_basic_reason(vmx) >= ARRAY_SIZE(vmx_handlers))
			return unexpected_exit(vmx);
		vmx->exit.reason = vmx_basic_reason(vmx);
		return vmx_handle_exit(&vmx->vcpu);
	}
	/* A machine check during entry was the host's; the entry is simply made again. */
	if (vmx->result == VMX_RUN_EXIT && vmx_basic_reason(vmx) == EXIT_REASON_MCE_DURING_VMENTRY)
		return RUN_GUEST;
	return entry_failed(vmx);
}

int vmx_handle_exit(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 reason = vmx->exit.reason;
	int r;

	static_assert(ARRAY_SIZE(vmx_handlers) <= NR_EXIT_COUNTERS);
	if (unlikely(vcpu->nested.guest_mode) && nested_vmx_handle_exit(vmx, &r)) {
		if (r != RUN_GUEST)
			keep_exit_info(vmx, r);
		return r;
	}
	if (unlikely(reason >= ARRAY_SIZE(vmx_handlers)))
		return handle_odd_exit(vmx);
	reason = array_index_nospec(reason, ARRAY_SIZE(vmx_handlers));
	if (vcpu->in_burst)
		vcpu->stats.by_reason[reason]++;
	if (unlikely(!vmx_handlers[reason]))
		return unexpected_exit(vmx);
	r = vmx_handlers[reason](vcpu);
	if (unlikely(r != RUN_GUEST))
		keep_exit_info(vmx, r);
	return r;
}

void vmx_exit_info(struct vcpu *vcpu, u32 *reason, u64 *info1, u64 *info2, u32 *intr, u32 *error)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	*reason = vmx->exit.reason;
	*info1 = vmx_exit_qualification(vmx);
	*info2 = vmx->exit.vectoring;
	*intr = vmx_exit_intr(vmx);
	*error = vmx->exit.intr_error;
}
