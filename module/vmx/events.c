// SPDX-License-Identifier: GPL-2.0
/*
 * Giving events to the guest, and taking back those whose delivery an exit interrupted.
 *
 * An event waits in vmx->inject for the entry, because it may be prepared before the VMCS is loaded.
 */
#include "vmx/vmx.h"

static void inject(struct vmx_vcpu *vmx, enum intr_type type, u8 vector)
{
	vmx->inject = INTR_VALID | FIELD_PREP(INTR_TYPE, type) | vector;
	vmx->inject_length = 0;
}

/*
 * Software events push the address behind their instruction: its length is that of the exit that
 * interrupted them. One that user space asks for is taken to have the usual opcode.
 */
static void inject_soft(struct vmx_vcpu *vmx, enum intr_type type, u8 vector)
{
	inject(vmx, type, vector);
	vmx->inject_length = vmx->soft_length ?: type == INTR_SOFT_INTERRUPT ? 2 : 1;
}

void vmx_inject_exception(struct vcpu *vcpu, const struct exception *e)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (exception_is_software(e->vector)) {
		inject_soft(vmx, INTR_SOFT_EXCEPTION, e->vector);
		return;
	}
	inject(vmx, INTR_HARD_EXCEPTION, e->vector);
	/* Real mode pushes no error codes. CR0.PE is not the guest's to change, so it is here. */
	if (e->has_error && vcpu->regs.cr0 & X86_CR0_PE) {
		vmx->inject |= INTR_HAS_ERROR;
		/* SDM, Checks on VM-Entry Control Fields: the upper half must be zero. */
		vmx->inject_error = e->error & 0xffff;
	}
}

void vmx_inject_interrupt(struct vcpu *vcpu, u8 vector, bool soft)
{
	if (soft)
		inject_soft(to_vmx(vcpu), INTR_SOFT_INTERRUPT, vector);
	else
		inject(to_vmx(vcpu), INTR_EXTERNAL, vector);
}

/* Delivering it blocks further NMIs until IRET: virtual NMIs. */
void vmx_inject_nmi(struct vcpu *vcpu)
{
	inject(to_vmx(vcpu), INTR_NMI, EXC_NMI);
}

/* The core still has the event as injected, and gives it again. */
void vmx_cancel_injection(struct vcpu *vcpu)
{
	to_vmx(vcpu)->inject = 0;
}

/*
 * L2 has not begun, or has an event that comes first, or is about to leave: what L1 takes waits for the next exit, which
 * comes at once.
 */
static bool nested_busy(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;

	return to_vmx(vcpu)->nested.run_pending || ev->exception.injected || ev->nmi.injected ||
	       ev->interrupt.injected || test_bit(REQ_NESTED, &vcpu->requests);
}

bool vmx_interrupt_allowed(struct vcpu *vcpu)
{
	if (unlikely(vcpu->nested.guest_mode)) {
		if (nested_busy(vcpu) || vcpu->nested.shutdown)
			return false;
		if (nested_vmx_intercepts(vcpu, NESTED_INTERRUPT, 0, 0))
			return true;
	}
	vcpu_fetch(vcpu, REGS_RFLAGS | REGS_SHADOW);
	return vcpu->regs.rflags & X86_EFLAGS_IF && !vcpu->regs.int_shadow;
}

bool vmx_nmi_allowed(struct vcpu *vcpu)
{
	if (unlikely(vcpu->nested.guest_mode)) {
		if (nested_busy(vcpu))
			return false;
		if (nested_vmx_intercepts(vcpu, NESTED_NMI, 0, 0))
			return true;
	}
	vcpu_fetch(vcpu, REGS_SHADOW);
	return !to_vmx(vcpu)->nmi_blocked && !vcpu->regs.int_shadow;
}

/* While L2 runs, L1 may have a window open as well. */
static void open_window(struct vcpu *vcpu, u32 window, bool open)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (unlikely(vcpu->nested.guest_mode)) {
		vmx->nested.windows = open ? vmx->nested.windows | window : vmx->nested.windows & ~window;
		open |= !!(vmx->nested.vmcs12->cpu_controls & window);
	}
	vmx_set_bits(vmx, LAZY_CPU, window, open);
}

void vmx_open_interrupt_window(struct vcpu *vcpu, bool open)
{
	if (unlikely(vcpu->nested.guest_mode) && open && nested_vmx_intercepts(vcpu, NESTED_INTERRUPT, 0, 0))
		to_vmx(vcpu)->nested.exit_at_once = true;
	else
		open_window(vcpu, CPU_INTR_WINDOW, open);
}

/*
 * NMI-window exits come when virtual NMIs are not blocked, but STI's shadow may block them on some
 * CPUs and VM entry then refuses the event: wait for the end of that shadow as for an interrupt.
 */
void vmx_open_nmi_window(struct vcpu *vcpu, bool open)
{
	if (unlikely(vcpu->nested.guest_mode) && open && nested_vmx_intercepts(vcpu, NESTED_NMI, 0, 0)) {
		to_vmx(vcpu)->nested.exit_at_once = true;
		return;
	}
	if (open) {
		vcpu_fetch(vcpu, REGS_SHADOW);
		if (vcpu->regs.int_shadow & SHADOW_STI) {
			vmx_open_interrupt_window(vcpu, true);
			return;
		}
	}
	open_window(vcpu, CPU_NMI_WINDOW, open);
}

bool vmx_nmi_masked(struct vcpu *vcpu)
{
	vcpu_fetch(vcpu, REGS_SHADOW);
	return to_vmx(vcpu)->nmi_blocked;
}

void vmx_set_nmi_masked(struct vcpu *vcpu, bool masked)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vcpu_fetch(vcpu, REGS_SHADOW);
	if (vmx->nmi_blocked == masked)
		return;
	vmx->nmi_blocked = masked;
	vcpu_dirty(vcpu, REGS_SHADOW);
}

/* HLT without an exit leaves the VMCS halted until an event ends that, or the vCPU is put elsewhere. */
void vmx_clear_halt(struct vcpu *vcpu)
{
	to_vmx(vcpu)->clear_halt = vcpu->vm->caps.disabled_exits & KVM_X86_DISABLE_EXITS_HLT;
}

/*
 * In an interrupt shadow with TF set, entry wants the step trap pending although the #DB that is injected is that trap
 * (SDM, Checks on Guest Non-Register State).
 */
static void pend_step(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	vcpu_fetch(vcpu, REGS_SHADOW | REGS_RFLAGS | REGS_DEBUGCTL);
	if (vcpu->regs.int_shadow && vcpu->regs.rflags & X86_EFLAGS_TF &&
	    !(vcpu->regs.debugctl & DEBUGCTLMSR_BTF))
		vmwriten(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_BS);
}

/*
 * vmx_write_injection - the event in vmx->inject into the VMCS
 */
void vmx_write_injection(struct vmx_vcpu *vmx)
{
	if (vmx->inject == (INTR_VALID | FIELD_PREP(INTR_TYPE, INTR_HARD_EXCEPTION) | EXC_DB))
		pend_step(vmx);
	/* A guest that halted without an exit runs again. */
	vmx_clear_halt(&vmx->vcpu);
	vmwrite32(VMCS_ENTRY_INTR_INFO, vmx->inject);
	if (vmx->inject & INTR_HAS_ERROR)
		vmwrite32(VMCS_ENTRY_ERROR_CODE, vmx->inject_error);
	if (vmx->inject_length)
		vmwrite32(VMCS_ENTRY_INSN_LENGTH, vmx->inject_length);
}

/*
 * vmx_nmi_unblocked - does an exit tell that IRET had unblocked NMIs, and was then not executed?
 *
 * SDM, Information About NMI Unblocking Due to IRET.
 */
bool vmx_nmi_unblocked(u32 reason, u64 qualification, u32 intr)
{
	switch (reason) {
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_PML_FULL:
		return qualification & EPT_QUAL_NMI_UNBLOCKED;
	case EXIT_REASON_EXCEPTION_NMI:
		return intr & INTR_NMI_UNBLOCKED && FIELD_GET(INTR_VECTOR, intr) != EXC_DF;
	default:
		return false;
	}
}

/* Its handler runs IRET again: until then they are blocked. */
static void restore_nmi_blocking(struct vmx_vcpu *vmx)
{
	u32 reason = vmx_basic_reason(vmx);
	u64 qualification = 0;
	u32 intr = 0;

	switch (reason) {
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_PML_FULL:
		qualification = vmx_exit_qualification(vmx);
		break;
	case EXIT_REASON_EXCEPTION_NMI:
		intr = vmx_exit_intr(vmx);
		break;
	}
	if (vmx_nmi_unblocked(reason, qualification, intr))
		vmx_set_nmi_masked(&vmx->vcpu, true);
}

/* The interrupted event is injected again: SDM, Information for VM Exits During Event Delivery. */
static void requeue(struct vmx_vcpu *vmx, u32 info)
{
	struct events *ev = &vmx->vcpu.events;
	u8 vector = FIELD_GET(INTR_VECTOR, info);

	vcpu_request(&vmx->vcpu, REQ_EVENT);
	switch (FIELD_GET(INTR_TYPE, info)) {
	case INTR_NMI:
		ev->nmi.injected = true;
		/* Its delivery did block NMIs; the next one would be refused. */
		vmx_set_nmi_masked(&vmx->vcpu, false);
		break;
	case INTR_SOFT_EXCEPTION:
		vmx->soft_length = vmx_exit_length(vmx);
		fallthrough;
	case INTR_HARD_EXCEPTION:
		if (info & INTR_HAS_ERROR)
			vmx->exit.vectoring_error = vmread32(VMCS_VECTORING_ERROR_CODE);
		ev->exception = (struct exception) {
			.injected = true, .vector = vector,
			.has_error = info & INTR_HAS_ERROR,
			.error = info & INTR_HAS_ERROR ? vmx->exit.vectoring_error : 0,
		};
		break;
	case INTR_SOFT_INTERRUPT:
		vmx->soft_length = vmx_exit_length(vmx);
		fallthrough;
	case INTR_EXTERNAL:
		ev->interrupt.injected = true;
		ev->interrupt.soft = FIELD_GET(INTR_TYPE, info) == INTR_SOFT_INTERRUPT;
		ev->interrupt.vector = vector;
		break;
	/* INT1: RIP is still at it, and it runs again. */
	}
}

/*
 * vmx_check_delivery - after an exit that can come while an event is delivered
 */
void vmx_check_delivery(struct vmx_vcpu *vmx)
{
	vmx->exit.vectoring = vmread32(VMCS_VECTORING_INFO);
	if (unlikely(vmx->exit.vectoring & INTR_VALID))
		requeue(vmx, vmx->exit.vectoring);
	else
		restore_nmi_blocking(vmx);
}
