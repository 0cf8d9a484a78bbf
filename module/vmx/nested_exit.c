// SPDX-License-Identifier: GPL-2.0
/*
 * Exits of L2's: whose they are, and how L1 gets those that it asked for.
 *
 * SDM, VM Exits. An exit of the CPU's is L1's when L1 has a reason of its own to see it, never else: all other exits are
 * handled as if L2 were the vCPU's own guest.
 */
#include <asm/cpufeature.h>

#include "irq/irq.h"
#include "pv/hyperv.h"
#include "trace/trace.h"
#include "vmx/vmx.h"

/* Exits that VMX operation always makes, or that no control of L0's could have made. */
#define ALWAYS_L1	(BIT_ULL(EXIT_REASON_TRIPLE_FAULT) | BIT_ULL(EXIT_REASON_TASK_SWITCH) |			\
			 BIT_ULL(EXIT_REASON_CPUID) | BIT_ULL(EXIT_REASON_INVD) | BIT_ULL(EXIT_REASON_VMCALL) |	\
			 BIT_ULL(EXIT_REASON_VMCLEAR) | BIT_ULL(EXIT_REASON_VMLAUNCH) |			\
			 BIT_ULL(EXIT_REASON_VMPTRLD) | BIT_ULL(EXIT_REASON_VMPTRST) |				\
			 BIT_ULL(EXIT_REASON_VMRESUME) | BIT_ULL(EXIT_REASON_VMOFF) | BIT_ULL(EXIT_REASON_VMON) | \
			 BIT_ULL(EXIT_REASON_INVEPT) | BIT_ULL(EXIT_REASON_INVVPID) |				\
			 BIT_ULL(EXIT_REASON_XSETBV) | BIT_ULL(EXIT_REASON_MONITOR_TRAP_FLAG) |			\
			 BIT_ULL(EXIT_REASON_PREEMPTION_TIMER) | BIT_ULL(EXIT_REASON_XSAVES))

/* Exits that are L1's if it set a control. */
static const struct {
	u32 cpu, cpu2;
} wanted_by[] = {
	[EXIT_REASON_INTERRUPT_WINDOW]		= { .cpu = CPU_INTR_WINDOW },
	[EXIT_REASON_NMI_WINDOW]		= { .cpu = CPU_NMI_WINDOW },
	[EXIT_REASON_HLT]			= { .cpu = CPU_HLT_EXITING },
	[EXIT_REASON_INVLPG]			= { .cpu = CPU_INVLPG_EXITING },
	[EXIT_REASON_RDPMC]			= { .cpu = CPU_RDPMC_EXITING },
	[EXIT_REASON_RDTSC]			= { .cpu = CPU_RDTSC_EXITING },
	[EXIT_REASON_DR_ACCESS]			= { .cpu = CPU_MOV_DR_EXITING },
	[EXIT_REASON_MWAIT_INSTRUCTION]		= { .cpu = CPU_MWAIT_EXITING },
	[EXIT_REASON_MONITOR_INSTRUCTION]	= { .cpu = CPU_MONITOR_EXITING },
	[EXIT_REASON_PAUSE_INSTRUCTION]		= { .cpu = CPU_PAUSE_EXITING },
	[EXIT_REASON_TPR_BELOW_THRESHOLD]	= { .cpu = CPU_TPR_SHADOW },
	[EXIT_REASON_APIC_ACCESS]		= { .cpu2 = CPU2_APIC_ACCESSES },
	[EXIT_REASON_APIC_WRITE]		= { .cpu2 = CPU2_APIC_REGISTERS | CPU2_VIRTUAL_DELIVERY },
	[EXIT_REASON_EOI_INDUCED]		= { .cpu2 = CPU2_VIRTUAL_DELIVERY },
	[EXIT_REASON_GDTR_IDTR]			= { .cpu2 = CPU2_DESCRIPTOR_EXITING },
	[EXIT_REASON_LDTR_TR]			= { .cpu2 = CPU2_DESCRIPTOR_EXITING },
	[EXIT_REASON_RDTSCP]			= { .cpu = CPU_RDTSC_EXITING },
	[EXIT_REASON_WBINVD]			= { .cpu2 = CPU2_WBINVD_EXITING },
	[EXIT_REASON_RDRAND]			= { .cpu2 = CPU2_RDRAND_EXITING },
	[EXIT_REASON_INVPCID]			= { .cpu = CPU_INVLPG_EXITING },
	[EXIT_REASON_RDSEED]			= { .cpu2 = CPU2_RDSEED_EXITING },
	[EXIT_REASON_XRSTORS]			= { .cpu2 = CPU2_XSAVES },
	[EXIT_REASON_UMWAIT]			= { .cpu = CPU_RDTSC_EXITING },
	[EXIT_REASON_TPAUSE]			= { .cpu = CPU_RDTSC_EXITING },
};

/* SDM, Exception Bitmap. */
static bool wants_exception(const struct vmcs12 *v, u8 vector, u32 error)
{
	bool in_bitmap = v->exception_bitmap & BIT(vector);

	if (vector == EXC_PF && (error & v->pf_error_mask) != v->pf_error_match)
		return !in_bitmap;
	return in_bitmap;
}

static bool wants_exception_exit(struct vmx_vcpu *vmx, const struct vmcs12 *v)
{
	u32 intr = vmx_exit_intr(vmx);
	u8 vector = FIELD_GET(INTR_VECTOR, intr);

	/* The host's. */
	if (FIELD_GET(INTR_TYPE, intr) == INTR_NMI || vector == EXC_MC)
		return false;
	/* A debugger in user space comes first. */
	if ((vector == EXC_DB && vmx->vcpu.guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)) ||
	    (vector == EXC_BP && vmx->vcpu.guest_debug & KVM_GUESTDBG_USE_SW_BP))
		return false;
	return wants_exception(v, vector, vmx->exit.intr_error);
}

static bool is_cr3_target(const struct vmcs12 *v, u64 value)
{
	const u64 targets[NESTED_CR3_TARGETS] = { v->cr3_target0, v->cr3_target1, v->cr3_target2, v->cr3_target3 };
	unsigned int i;

	for (i = 0; i < min_t(u32, v->cr3_target_count, NESTED_CR3_TARGETS); i++)
		if (targets[i] == value)
			return true;
	return false;
}

static bool wants_cr_write(const struct vmcs12 *v, int cr, u64 value)
{
	switch (cr) {
	case 0:
		return (value ^ v->cr0_shadow) & v->cr0_mask;
	case 3:
		return v->cpu_controls & CPU_CR3_LOAD_EXITING && !is_cr3_target(v, value);
	case 4:
		return (value ^ v->cr4_shadow) & v->cr4_mask;
	default:
		return v->cpu_controls & CPU_CR8_LOAD_EXITING;
	}
}

/* LMSW writes the low four bits, but cannot clear PE. */
static bool wants_lmsw(const struct vmcs12 *v, u16 value)
{
	u64 changed = (value ^ v->cr0_shadow) & v->cr0_mask;

	if (changed & (X86_CR0_MP | X86_CR0_EM | X86_CR0_TS))
		return true;
	return changed & X86_CR0_PE && value & X86_CR0_PE;
}

/* SDM, VM-Execution Control Fields: Guest/Host Masks and Read Shadows for CR0 and CR4. */
static bool wants_cr(struct vmx_vcpu *vmx, const struct vmcs12 *v)
{
	u64 qualification = vmx_exit_qualification(vmx);
	int cr = FIELD_GET(CR_NUMBER, qualification);
	u64 value;

	switch (FIELD_GET(CR_ACCESS, qualification)) {
	case CR_MOV_TO:
		value = vcpu_gpr(&vmx->vcpu, FIELD_GET(CR_GPR, qualification));
		return wants_cr_write(v, cr, vcpu_is_64bit(&vmx->vcpu) ? value : (u32)value);
	case CR_MOV_FROM:
		return v->cpu_controls & (cr == 3 ? CPU_CR3_STORE_EXITING : CPU_CR8_STORE_EXITING);
	case CR_CLTS:
		return v->cr0_mask & v->cr0_shadow & X86_CR0_TS;
	default:
		return wants_lmsw(v, FIELD_GET(CR_LMSW_SOURCE, qualification));
	}
}

enum verdict { L0_HANDLES, L1_WANTS, ASK_OUTSIDE };

/* A byte of a bitmap in L1's memory; what is not memory reads as ones. False: not in a burst. */
static bool read_bitmap(struct vcpu *vcpu, u64 gpa, u8 *byte)
{
	int err = vcpu_read_guest(vcpu, gpa, byte, 1);

	if (err)
		*byte = 0xff;
	return err != -EAGAIN;
}

/* SDM, I/O-Bitmap Addresses: an access that wraps around exits. */
static enum verdict wants_io(struct vmx_vcpu *vmx, const struct vmcs12 *v, unsigned int port, unsigned int size)
{
	unsigned int end = port + size;
	u8 byte;

	if (!(v->cpu_controls & CPU_IO_BITMAPS))
		return v->cpu_controls & CPU_IO_EXITING ? L1_WANTS : L0_HANDLES;
	if (end > 0x10000)
		return L1_WANTS;
	for (; port < end; port++) {
		u64 bitmap = port < 0x8000 ? v->io_bitmap_a : v->io_bitmap_b;

		if (!read_bitmap(&vmx->vcpu, bitmap + (port & 0x7fff) / 8, &byte))
			return ASK_OUTSIDE;
		if (byte & BIT(port & 7))
			return L1_WANTS;
	}
	return L0_HANDLES;
}

static enum verdict wants_msr(struct vmx_vcpu *vmx, const struct vmcs12 *v, u32 msr, bool write)
{
	int bit = vmx_msr_bitmap_bit(msr, write);
	u8 byte;

	if (!(v->cpu_controls & CPU_MSR_BITMAPS) || bit < 0)
		return L1_WANTS;
	if (!read_bitmap(&vmx->vcpu, v->msr_bitmap + bit / 8, &byte))
		return ASK_OUTSIDE;
	return byte & BIT(bit & 7) ? L1_WANTS : L0_HANDLES;
}

/* SDM, VMREAD-Bitmap Address and VMWRITE-Bitmap Address. */
static enum verdict wants_vmcs_access(struct vmx_vcpu *vmx, const struct vmcs12 *v, u64 bitmap)
{
	u64 encoding = nested_vmx_operand(&vmx->vcpu, FIELD_GET(INSN_REG2, vmx_exit_insn_info(vmx)));
	u8 byte;

	if (!nested_vmx_uses(v, CPU2_VMCS_SHADOWING) || encoding >> 15)
		return L1_WANTS;
	if (!read_bitmap(&vmx->vcpu, bitmap + encoding / 8, &byte))
		return ASK_OUTSIDE;
	return byte & BIT(encoding & 7) ? L1_WANTS : L0_HANDLES;
}

static enum verdict wants_by_control(const struct vmcs12 *v, u16 reason)
{
	if (reason < 64 && ALWAYS_L1 & BIT_ULL(reason))
		return L1_WANTS;
	if (reason >= ARRAY_SIZE(wanted_by))
		return L0_HANDLES;
	return v->cpu_controls & wanted_by[reason].cpu || nested_vmx_cpu2(v) & wanted_by[reason].cpu2 ?
	       L1_WANTS : L0_HANDLES;
}

static enum verdict whose(struct vmx_vcpu *vmx)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;
	u16 reason = vmx_basic_reason(vmx);
	u64 qualification;

	switch (reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		return wants_exception_exit(vmx, v) ? L1_WANTS : L0_HANDLES;
	case EXIT_REASON_CR_ACCESS:
		return wants_cr(vmx, v) ? L1_WANTS : L0_HANDLES;
	case EXIT_REASON_IO_INSTRUCTION:
		qualification = vmx_exit_qualification(vmx);
		return wants_io(vmx, v, FIELD_GET(IO_PORT, qualification), FIELD_GET(IO_SIZE, qualification) + 1);
	case EXIT_REASON_MSR_READ:
	case EXIT_REASON_MSR_WRITE:
		return wants_msr(vmx, v, vmx->vcpu.regs.gpr[GPR_RCX], reason == EXIT_REASON_MSR_WRITE);
	case EXIT_REASON_VMCALL:
		return hv_takes_call(&vmx->vcpu) ? L0_HANDLES : L1_WANTS;
	case EXIT_REASON_VMREAD:
		return wants_vmcs_access(vmx, v, v->vmread_bitmap);
	case EXIT_REASON_VMWRITE:
		return wants_vmcs_access(vmx, v, v->vmwrite_bitmap);
	}
	return wants_by_control(v, reason);
}

/* Exits with a field of their own that tells about the instruction (SDM, VM-Exit Instruction-Information Field). */
#define HAVE_INSN_INFO	(BIT_ULL(EXIT_REASON_VMCLEAR) | BIT_ULL(EXIT_REASON_VMPTRLD) | BIT_ULL(EXIT_REASON_VMPTRST) |	\
			 BIT_ULL(EXIT_REASON_VMREAD) | BIT_ULL(EXIT_REASON_VMWRITE) | BIT_ULL(EXIT_REASON_VMON) |	\
			 BIT_ULL(EXIT_REASON_INVEPT) | BIT_ULL(EXIT_REASON_INVVPID) |				\
			 BIT_ULL(EXIT_REASON_INVPCID) | BIT_ULL(EXIT_REASON_GDTR_IDTR) |				\
			 BIT_ULL(EXIT_REASON_LDTR_TR) | BIT_ULL(EXIT_REASON_RDRAND) | BIT_ULL(EXIT_REASON_RDSEED) |	\
			 BIT_ULL(EXIT_REASON_IO_INSTRUCTION) | BIT_ULL(EXIT_REASON_XSAVES))

/* nested_vmx_reflect_exit - an exit that the CPU made becomes L1's, with what the CPU said about it */
void nested_vmx_reflect_exit(struct vmx_vcpu *vmx)
{
	struct nested_exit *e = &vmx->nested.exit;
	u16 reason = vmx_basic_reason(vmx);

	*e = (struct nested_exit) {
		.reason = reason,
		.qualification = vmx_exit_qualification(vmx),
		.vectoring = vmx->exit.vectoring,
		.vectoring_error = vmx->exit.vectoring_error,
		.length = vmx_exit_length(vmx),
	};
	if (reason == EXIT_REASON_EXCEPTION_NMI) {
		e->intr = vmx_exit_intr(vmx);
		e->intr_error = vmx->exit.intr_error;
	}
	if ((reason < 64 && HAVE_INSN_INFO & BIT_ULL(reason)) || reason == EXIT_REASON_XRSTORS ||
	    reason == EXIT_REASON_UMWAIT || reason == EXIT_REASON_TPAUSE)
		e->insn_info = vmx_exit_insn_info(vmx);
	if (reason == EXIT_REASON_IO_INSTRUCTION || reason == EXIT_REASON_LDTR_TR || reason == EXIT_REASON_GDTR_IDTR)
		e->gla = vmx_exit_gla(vmx);
	nested_vmx_exit(vmx);
}

/*
 * nested_vmx_handle_exit - an exit of L2's
 *
 * True: it was L1's, or has to be asked about outside of the burst; *next is what the handler returns.
 */
bool nested_vmx_handle_exit(struct vmx_vcpu *vmx, int *next)
{
	if (unlikely(vmx->exit.reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		/* L0's own rules let it pass, and the CPU's did not. */
		if (vmx->result != VMX_RUN_EXIT || vmx_basic_reason(vmx) == EXIT_REASON_MCE_DURING_VMENTRY)
			return false;
		/* SDM, Returning from SMM: SMRAM holds what no RSM gets past. */
		if (vmx->nested.rsm_pending) {
			vmx->vcpu.run->exit_reason = KVM_EXIT_SHUTDOWN;
			*next = RUN_USER;
			return true;
		}
		/* L1 has seen its entry succeed: what user space has made of L2 since is no failure of it. As upstream. */
		if (!vmx->nested.run_pending) {
			nested_vmx_reflect(&vmx->vcpu, NESTED_SHUTDOWN);
			*next = RUN_GUEST;
			return true;
		}
		nested_vmx_entry_failure(vmx, vmx_basic_reason(vmx), vmx_exit_qualification(vmx));
		*next = RUN_GUEST;
		return true;
	}
	if (vmx->vcpu.in_burst)
		nested_vmx_apic_left(vmx);
	nested_vmx_apic_update_tpr(vmx);
	switch (whose(vmx)) {
	case L1_WANTS:
		*next = RUN_GUEST;
		nested_vmx_reflect_exit(vmx);
		return true;
	case ASK_OUTSIDE:
		*next = RUN_SLOW;
		return true;
	default:
		return false;
	}
}

/* Events that wait while L2 runs. */
bool nested_vmx_intercepts(struct vcpu *vcpu, enum nested_event event, u8 vector, u32 error)
{
	const struct vmcs12 *v = to_vmx(vcpu)->nested.vmcs12;

	switch (event) {
	case NESTED_EXCEPTION:
		return wants_exception(v, vector, error);
	case NESTED_INTERRUPT:
		return v->pin_controls & PIN_INTR_EXITING;
	case NESTED_NMI:
		return v->pin_controls & PIN_NMI_EXITING;
	case NESTED_SMI:
		return false;
	default:
		return true;
	}
}

bool nested_vmx_blocks_init(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;

	return nested->vmxon && (!vcpu->nested.guest_mode || nested->run_pending || nested->exit_waits ||
				 nested->violation_waits);
}

/* nested_vmx_save_vectoring - an event that was to be injected again goes to L1 as what the exit interrupted */
void nested_vmx_save_vectoring(struct vmx_vcpu *vmx, struct nested_exit *e)
{
	struct events *ev = &vmx->vcpu.events;

	if (ev->exception.injected) {
		enum intr_type type = exception_is_software(ev->exception.vector) ? INTR_SOFT_EXCEPTION :
										    INTR_HARD_EXCEPTION;

		e->vectoring = INTR_VALID | FIELD_PREP(INTR_TYPE, type) | ev->exception.vector |
			       (ev->exception.has_error ? INTR_HAS_ERROR : 0);
		e->vectoring_error = ev->exception.error;
	} else if (ev->nmi.injected) {
		e->vectoring = INTR_VALID | FIELD_PREP(INTR_TYPE, INTR_NMI) | EXC_NMI;
	} else if (ev->interrupt.injected) {
		e->vectoring = INTR_VALID | ev->interrupt.vector |
			       FIELD_PREP(INTR_TYPE, ev->interrupt.soft ? INTR_SOFT_INTERRUPT : INTR_EXTERNAL);
	}
	if (e->vectoring)
		e->length = vmx->soft_length;
}

static void reflect_exception(struct vcpu *vcpu, struct nested_exit *e)
{
	struct exception *exc = &vcpu->nested.exception;
	enum intr_type type = exception_is_software(exc->vector) ? INTR_SOFT_EXCEPTION : INTR_HARD_EXCEPTION;

	exc->pending = false;
	e->reason = EXIT_REASON_EXCEPTION_NMI;
	e->intr = INTR_VALID | FIELD_PREP(INTR_TYPE, type) | exc->vector | (exc->has_error ? INTR_HAS_ERROR : 0);
	e->intr_error = (u16)exc->error;	/* user space may have set more */
	/* DR6 and CR2 stay as they are: the qualification tells. */
	if (exc->has_payload)
		e->qualification = exc->payload;
	else if (exc->vector == EXC_PF)
		e->qualification = vcpu->regs.cr2;
	else if (exc->vector == EXC_DB)
		e->qualification = vcpu->regs.dr6 & (DR_TRAP_BITS | DR6_BD | DR_STEP);
}

static void reflect_interrupt(struct vcpu *vcpu, struct nested_exit *e)
{
	int vector;

	e->reason = EXIT_REASON_EXTERNAL_INTERRUPT;
	if (!(to_vmx(vcpu)->nested.vmcs12->exit_controls & EXIT_ACK_INTR))
		return;
	vector = irq_take(vcpu);
	if (vector >= 0)
		e->intr = INTR_VALID | vector;
}

void nested_vmx_reflect(struct vcpu *vcpu, enum nested_event event)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_exit *e = &vmx->nested.exit;

	if (event == NESTED_INTERRUPT && nested_vmx_apic_take_posted(vcpu))
		return;
	*e = (struct nested_exit){};
	nested_vmx_save_vectoring(vmx, e);
	switch (event) {
	case NESTED_EXCEPTION:
		reflect_exception(vcpu, e);
		break;
	case NESTED_INTERRUPT:
		reflect_interrupt(vcpu, e);
		break;
	case NESTED_NMI:
		vcpu->events.nmi.pending += atomic_xchg(&vcpu->events.nmi.queued, 0);
		vcpu->events.nmi.pending = min(vcpu->events.nmi.pending, 2u) - 1;
		e->reason = EXIT_REASON_EXCEPTION_NMI;
		e->intr = INTR_VALID | FIELD_PREP(INTR_TYPE, INTR_NMI) | EXC_NMI;
		break;
	case NESTED_INIT:
		/* While it waits for a SIPI, INIT changes nothing. */
		if (vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED)
			return;
		e->reason = EXIT_REASON_INIT_SIGNAL;
		break;
	case NESTED_SIPI:
		e->reason = EXIT_REASON_SIPI_SIGNAL;
		e->qualification = lapic_sipi_vector(vcpu);
		break;
	case NESTED_SHUTDOWN:
		e->reason = EXIT_REASON_TRIPLE_FAULT;
		break;
	case NESTED_STEP:
		e->reason = EXIT_REASON_MONITOR_TRAP_FLAG;
		break;
	case NESTED_SMI:
		return;		/* never L1's */
	}
	nested_vmx_exit(vmx);
}

/* Exits of what the emulator does; those with more to it are in ask_insn(). 0: none, as no instruction exits as 0. */
static const u8 insn_reasons[] = {
	[EMU_ICPT_CPUID] = EXIT_REASON_CPUID, [EMU_ICPT_HLT] = EXIT_REASON_HLT,
	[EMU_ICPT_INVLPG] = EXIT_REASON_INVLPG, [EMU_ICPT_INVD] = EXIT_REASON_INVD,
	[EMU_ICPT_WBINVD] = EXIT_REASON_WBINVD, [EMU_ICPT_RDTSC] = EXIT_REASON_RDTSC,
	[EMU_ICPT_RDTSCP] = EXIT_REASON_RDTSCP, [EMU_ICPT_RDPMC] = EXIT_REASON_RDPMC,
	[EMU_ICPT_PAUSE] = EXIT_REASON_PAUSE_INSTRUCTION,
	[EMU_ICPT_SGDT] = EXIT_REASON_GDTR_IDTR, [EMU_ICPT_SIDT] = EXIT_REASON_GDTR_IDTR,
	[EMU_ICPT_LGDT] = EXIT_REASON_GDTR_IDTR, [EMU_ICPT_LIDT] = EXIT_REASON_GDTR_IDTR,
	[EMU_ICPT_SLDT] = EXIT_REASON_LDTR_TR, [EMU_ICPT_STR] = EXIT_REASON_LDTR_TR,
	[EMU_ICPT_LLDT] = EXIT_REASON_LDTR_TR, [EMU_ICPT_LTR] = EXIT_REASON_LDTR_TR,
	[EMU_ICPT_XSETBV] = EXIT_REASON_XSETBV, [EMU_ICPT_TASK_SWITCH] = EXIT_REASON_TASK_SWITCH,
	[EMU_ICPT_CR_READ] = EXIT_REASON_CR_ACCESS, [EMU_ICPT_CR_WRITE] = EXIT_REASON_CR_ACCESS,
	[EMU_ICPT_CLTS] = EXIT_REASON_CR_ACCESS, [EMU_ICPT_LMSW] = EXIT_REASON_CR_ACCESS,
	[EMU_ICPT_DR_READ] = EXIT_REASON_DR_ACCESS, [EMU_ICPT_DR_WRITE] = EXIT_REASON_DR_ACCESS,
	[EMU_ICPT_IO_IN] = EXIT_REASON_IO_INSTRUCTION, [EMU_ICPT_IO_OUT] = EXIT_REASON_IO_INSTRUCTION,
	[EMU_ICPT_MSR_READ] = EXIT_REASON_MSR_READ, [EMU_ICPT_MSR_WRITE] = EXIT_REASON_MSR_WRITE,
	[EMU_ICPT_PUSHF] = 0, [EMU_ICPT_POPF] = 0, [EMU_ICPT_IRET] = 0, [EMU_ICPT_INTN] = 0, [EMU_ICPT_SMSW] = 0,
};

static enum verdict ask_insn(struct vmx_vcpu *vmx, const struct emu_intercept *info)
{
	const struct vmcs12 *v = vmx->nested.vmcs12;

	switch (info->what) {
	case EMU_ICPT_CR_READ:
		if (info->reg != 3 && info->reg != 8)
			return L0_HANDLES;
		return v->cpu_controls & (info->reg == 3 ? CPU_CR3_STORE_EXITING : CPU_CR8_STORE_EXITING) ?
		       L1_WANTS : L0_HANDLES;
	case EMU_ICPT_CR_WRITE:
		return wants_cr_write(v, info->reg, info->value) ? L1_WANTS : L0_HANDLES;
	case EMU_ICPT_CLTS:
		return v->cr0_mask & v->cr0_shadow & X86_CR0_TS ? L1_WANTS : L0_HANDLES;
	case EMU_ICPT_LMSW:
		return wants_lmsw(v, info->value) ? L1_WANTS : L0_HANDLES;
	case EMU_ICPT_IO_IN:
	case EMU_ICPT_IO_OUT:
		return wants_io(vmx, v, info->port, info->size);
	case EMU_ICPT_MSR_READ:
	case EMU_ICPT_MSR_WRITE:
		return wants_msr(vmx, v, info->value, info->what == EMU_ICPT_MSR_WRITE);
	default:
		return wants_by_control(v, insn_reasons[info->what]);
	}
}

static u64 insn_qualification(const struct emu_intercept *info)
{
	switch (info->what) {
	case EMU_ICPT_CR_READ:
	case EMU_ICPT_CR_WRITE:
		return FIELD_PREP(CR_NUMBER, info->reg) | FIELD_PREP(CR_GPR, info->gpr & 15) |
		       FIELD_PREP(CR_ACCESS, info->what == EMU_ICPT_CR_READ ? CR_MOV_FROM : CR_MOV_TO);
	case EMU_ICPT_CLTS:
		return FIELD_PREP(CR_ACCESS, CR_CLTS);
	case EMU_ICPT_LMSW:
		return FIELD_PREP(CR_ACCESS, CR_LMSW) | FIELD_PREP(CR_LMSW_SOURCE, info->value & 0xffff);
	case EMU_ICPT_DR_READ:
	case EMU_ICPT_DR_WRITE:
		return FIELD_PREP(DR_NUMBER, info->reg) | FIELD_PREP(DR_GPR, info->gpr & 15) |
		       (info->what == EMU_ICPT_DR_READ ? DR_FROM : 0);
	case EMU_ICPT_IO_IN:
	case EMU_ICPT_IO_OUT:
		return FIELD_PREP(IO_SIZE, info->size - 1) | (info->what == EMU_ICPT_IO_IN ? IO_IN : 0) |
		       (info->string ? IO_STRING : 0) | (info->rep ? IO_REP : 0) | FIELD_PREP(IO_PORT, info->port);
	case EMU_ICPT_INVLPG:
		return info->value;
	default:
		return 0;
	}
}

/*
 * nested_vmx_insn - what the emulator is about to do for L2, and L1 may want to see
 *
 * SDM, Relative Priority of Faults and VM Exits: faults of privilege come first.
 */
int nested_vmx_insn(struct vcpu *vcpu, const struct emu_intercept *info)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u8 reason = insn_reasons[info->what];

	if (!info->checked || !reason)
		return EMU_OK;
	switch (ask_insn(vmx, info)) {
	case L0_HANDLES:
		return EMU_OK;
	case ASK_OUTSIDE:
		return EMU_RETRY;
	default:
		break;
	}
	vmx->nested.exit = (struct nested_exit) {
		.reason = reason,
		.qualification = insn_qualification(info),
	};
	if (info->string)
		vmx->nested.exit.gla = info->value;
	return EMU_INTERCEPTED;
}

void nested_vmx_reflect_insn(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->nested.exit.length = vcpu->emu.insn.len;
	nested_vmx_exit(vmx);
}
