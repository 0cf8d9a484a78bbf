// SPDX-License-Identifier: GPL-2.0
/*
 * Exits of an SVM guest: decode, hand to the common code.
 */
#include <asm/mce.h>

#include "cpu/smm.h"
#include "pv/hyperv.h"
#include "svm/nested.h"
#include "trace/trace.h"

#ifndef SVM_EXIT_ERR
#define SVM_EXIT_ERR	-1
#endif

/* EXITINFO1 of an IOIO exit (APM volume 2, IOIO Intercept). */
#define IOIO_IN		BIT(0)
#define IOIO_STRING	BIT(2)
#define IOIO_REP	BIT(3)
#define IOIO_SIZE	GENMASK(6, 4)
#define IOIO_PORT	GENMASK(31, 16)

/* EXITINFO1 of a nested page fault. */
#define NPF_PRESENT	BIT(0)
#define NPF_WRITE	BIT(1)
#define NPF_USER	BIT(2)
#define NPF_FETCH	BIT(4)
#define NPF_IN_WALK	BIT_ULL(33)

/* With decode assists: EXITINFO1 of MOV to and from CR and DR. */
#define CR_VALID	BIT_ULL(63)
#define CR_GPR		GENMASK(3, 0)

/* EXITINFO2 of a task switch. */
#define TASK_IRET	BIT_ULL(36)
#define TASK_JMP	BIT_ULL(38)
#define TASK_HAS_ERROR	BIT_ULL(44)
#define TASK_RF		BIT_ULL(48)	/* in the old TSS */

static struct vmcb_control *control(struct vcpu *vcpu)
{
	return &to_svm(vcpu)->vmcb->control;
}

static int svm_handle_io(struct vcpu *vcpu)
{
	u64 info = control(vcpu)->exit_info_1;
	struct io_exit io = {
		.port = FIELD_GET(IOIO_PORT, info),
		.size = FIELD_GET(IOIO_SIZE, info),
		.in = info & IOIO_IN,
		.string = info & IOIO_STRING,
		.rep = info & IOIO_REP,
	};

	return vcpu_handle_io(vcpu, io);
}

static int svm_handle_msr(struct vcpu *vcpu)
{
	return control(vcpu)->exit_info_1 ? vcpu_handle_wrmsr(vcpu) : vcpu_handle_rdmsr(vcpu);
}

static int svm_handle_npf(struct vcpu *vcpu)
{
	struct vmcb_control *ctl = control(vcpu);
	u64 info = ctl->exit_info_1;
	struct fault fault = {
		.gpa = ctl->exit_info_2,
		.write = info & NPF_WRITE,
		.exec = info & NPF_FETCH,
		.user = info & NPF_USER,
		.present = info & NPF_PRESENT,
		.in_walk = info & NPF_IN_WALK,
		.vectoring = ctl->exit_int_info & EVENT_VALID,
	};

	return vcpu_handle_fault(vcpu, &fault);
}

/*
 * Accesses to control and debug registers: decode assists name the general register, else the instruction has to be
 * decoded. MOV CRn with the bit clear is LMSW or CLTS.
 */
static int svm_handle_cr_write(struct vcpu *vcpu)
{
	struct vmcb_control *ctl = control(vcpu);
	int cr = ctl->exit_code == SVM_EXIT_CR0_SEL_WRITE ? 0 : ctl->exit_code - SVM_EXIT_WRITE_CR0;

	vcpu->stats.cr_accesses++;
	/* The emulator asks whether L1 intercepts a change of CR0. */
	if (!svm_features.decode_assists || !(ctl->exit_info_1 & CR_VALID) || vcpu->nested.guest_mode)
		return vcpu_emulate(vcpu);
	return vcpu_handle_cr_write(vcpu, cr, vcpu_gpr(vcpu, ctl->exit_info_1 & CR_GPR));
}

static int svm_handle_cr8_write(struct vcpu *vcpu)
{
	u64 old = cpu_get_cr8(vcpu);

	return vcpu_task_priority_set(vcpu, old, svm_handle_cr_write(vcpu));
}

static int svm_handle_cr_read(struct vcpu *vcpu)
{
	vcpu->stats.cr_accesses++;
	return vcpu_emulate(vcpu);
}

static int svm_handle_dr(struct vcpu *vcpu)
{
	struct vmcb_control *ctl = control(vcpu);
	int dr = (ctl->exit_code - SVM_EXIT_READ_DR0) & 15;
	bool write = ctl->exit_code >= SVM_EXIT_WRITE_DR0;

	if (!svm_features.decode_assists)
		return vcpu_emulate(vcpu);
	return vcpu_handle_dr(vcpu, dr, write, ctl->exit_info_1 & CR_GPR);
}

static int svm_handle_intr(struct vcpu *vcpu)
{
	vcpu->stats.irq_exits++;
	/* Taken when the burst has ended. */
	return RUN_SLOW;
}

static int svm_handle_nothing(struct vcpu *vcpu)
{
	return RUN_GUEST;
}

/* Pending while GIF was 0: it has run when STGI opened the gate. */
static int svm_handle_nmi(struct vcpu *vcpu)
{
	vcpu->stats.nmi_exits++;
	return RUN_GUEST;
}

static int svm_handle_vintr(struct vcpu *vcpu)
{
	svm_open_interrupt_window(vcpu, false);
	vcpu_request(vcpu, REQ_EVENT);
	vcpu->stats.irq_window_exits++;
	return RUN_GUEST;
}

/* The guest's NMI handler is at its IRET. NMIs open behind it: watch RIP, by a step when one waits. */
static int svm_handle_iret(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	vcpu->stats.nmi_window_exits++;
	svm->nmi_iret = true;
	svm->nmi_iret_rip = vcpu_rip(vcpu);
	svm_clear_intercept(svm, ICPT_IRET);
	vcpu_request(vcpu, REQ_EVENT);
	return RUN_GUEST;
}

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

static int svm_handle_db(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	/* Not fetched since the entry: what the guest has seen. */
	u64 dr6, guest_dr6 = vcpu->regs.dr6;

	vcpu_fetch(vcpu, REGS_DR | REGS_RFLAGS);
	dr6 = vcpu->regs.dr6;
	if (svm->stepping) {
		/* Our own step: the NMI may go now. A TF of the guest's own traps as well. */
		svm->stepping = false;
		/* The instruction is over, which ended RF, or loaded it. */
		vcpu->regs.rflags &= ~(u64)X86_EFLAGS_RF;
		vcpu->regs.rflags |= svm->vmcb->save.rflags & X86_EFLAGS_RF;
		vcpu_dirty(vcpu, REGS_RFLAGS);
		svm_intercepts_changed(vcpu);
		vcpu_request(vcpu, REQ_EVENT);
		if (!(svm->stepping_had & X86_EFLAGS_TF) && !(dr6 & DR_TRAP_BITS)) {
			vcpu->regs.dr6 &= ~(u64)DR_STEP;
			vcpu_dirty(vcpu, REGS_DR);
			return RUN_GUEST;
		}
	}
	if (vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)) {
		vcpu->regs.dr6 = guest_dr6;
		vcpu_dirty(vcpu, REGS_DR);
		return debug_exit(vcpu, EXC_DB, dr6);
	}
	/* DR6 is already the guest's: nothing to add. */
	vcpu_raise(vcpu, EXC_DB);
	return RUN_GUEST;
}

static int svm_handle_bp(struct vcpu *vcpu)
{
	return debug_exit(vcpu, EXC_BP, 0);
}

static int svm_handle_ac(struct vcpu *vcpu)
{
	vcpu_raise_error(vcpu, EXC_AC, 0);
	return RUN_GUEST;
}

/*
 * #GP. On CPUs without SVME_ADDR_CHK VMRUN, VMLOAD and VMSAVE look at their operand first, and fault on addresses that
 * firmware reserved, although they are intercepted: addresses of the host's, that mean nothing in a guest.
 */
static int svm_handle_gp(struct vcpu *vcpu)
{
	u32 error = control(vcpu)->exit_info_1;
	struct mmu_exception e;
	u8 insn[3];
	u64 gpa;
	int r;

	if (error || !(vcpu->regs.efer & EFER_SVME) || vcpu->nested.guest_mode || vcpu_cpl(vcpu))
		goto raise;
	r = mmu_read_gva(vcpu, vcpu_linear_rip(vcpu), insn, sizeof(insn), PF_FETCH, &e, &gpa);
	if (r == -EAGAIN)
		return RUN_SLOW;
	if (!r && insn[0] == 0x0f && insn[1] == 0x01)
		switch (insn[2]) {
		case 0xd8:
			return svm_handle_vmrun(vcpu);
		case 0xda:
			return svm_handle_vmload(vcpu);
		case 0xdb:
			return svm_handle_vmsave(vcpu);
		}
raise:
	vcpu_raise_error(vcpu, EXC_GP, error);
	return RUN_GUEST;
}

/*
 * A machine check arrived while the guest ran; its handler has run at STGI. What it means for the guest is its
 * business: nothing is injected, as on upstream.
 */
static int svm_handle_mc(struct vcpu *vcpu)
{
	return RUN_GUEST;
}

/* A guest hypervisor that does not want to hear of its guest's VMMCALL makes it undefined. */
static int svm_handle_vmmcall(struct vcpu *vcpu)
{
	if (likely(!vcpu->nested.guest_mode))
		return vcpu_handle_hypercall(vcpu);
	if (hv_takes_call(vcpu))
		return hv_hypercall(vcpu);
	vcpu_raise(vcpu, EXC_UD);
	return RUN_GUEST;
}

static int svm_handle_ud(struct vcpu *vcpu)
{
	vcpu_raise(vcpu, EXC_UD);
	return RUN_GUEST;
}

/*
 * INT1: a #DB that its own intercept stops before the instruction, not behind it as the trap would be. The #DB intercept
 * does not see it; through a task gate it would save the wrong RIP.
 */
static int svm_handle_icebp(struct vcpu *vcpu)
{
	svm_advance_rip(vcpu);
	vcpu_raise(vcpu, EXC_DB);
	return RUN_GUEST;
}

/*
 * A shutdown leaves the VMCB undefined (APM volume 2, Shutdown Intercept). INIT makes of it a vCPU that can be looked at and
 * run: what many machines do to a CPU that shuts down, and upstream does. Where it was is told in the log.
 */
static int svm_handle_shutdown(struct vcpu *vcpu)
{
	if (vcpu->in_burst)
		return RUN_SLOW;
	pr_info_ratelimited("vcpu %u: shutdown (triple fault) at rip 0x%llx\n", vcpu->id, vcpu_rip(vcpu));
	vcpu_reset(vcpu, true);
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return RUN_USER;
}

/* Did an instruction raise it: INT n, INT3, INTO? */
static bool is_soft_event(u32 info)
{
	u8 vector = info & EVENT_VECTOR, type = FIELD_GET(EVENT_TYPE, info);

	return type == EVENT_TYPE_SOFT ||
	       (type == EVENT_TYPE_EXCEPTION && exception_is_software(vector));
}

static int svm_handle_task_switch(struct vcpu *vcpu)
{
	struct vmcb_control *ctl = control(vcpu);
	u64 info = ctl->exit_info_2;
	u32 intr = ctl->exit_int_info;
	int reason = info & TASK_IRET ? EMU_TASK_IRET : info & TASK_JMP ? EMU_TASK_JMP :
		     intr & EVENT_VALID ? EMU_TASK_GATE : EMU_TASK_CALL;

	if (vcpu->in_burst)
		return RUN_SLOW;
	/* The gate's event is delivered by the switch itself; what is not an instruction leaves RIP alone. */
	memset(&vcpu->events.exception, 0, sizeof(vcpu->events.exception));
	vcpu->events.interrupt.injected = false;
	vcpu->events.nmi.injected = false;
	if (reason != EMU_TASK_GATE || is_soft_event(intr))
		svm_advance_rip(vcpu);
	vcpu_set_rflags(vcpu, (vcpu_rflags(vcpu) & ~X86_EFLAGS_RF) | (info & TASK_RF ? X86_EFLAGS_RF : 0));
	return vcpu_handle_task_switch(vcpu, ctl->exit_info_1, reason, info & TASK_HAS_ERROR, info);
}

static int svm_handle_rdtsc(struct vcpu *vcpu)
{
	return vcpu_handle_rdtsc(vcpu, false);
}

static int svm_handle_rdtscp(struct vcpu *vcpu)
{
	return vcpu_handle_rdtsc(vcpu, true);
}

static int svm_handle_monitor(struct vcpu *vcpu)
{
	return vcpu_handle_monitor(vcpu, false);
}

static int svm_handle_mwait(struct vcpu *vcpu)
{
	return vcpu_handle_monitor(vcpu, true);
}

static int svm_handle_invpcid(struct vcpu *vcpu)
{
	struct vmcb_control *ctl = control(vcpu);

	return vcpu_handle_invpcid(vcpu, ctl->exit_info_2, ctl->exit_info_1);
}

/* VMRUN found the VMCB inconsistent. */
static int svm_handle_invalid(struct vcpu *vcpu)
{
	if (vcpu->nested.guest_mode)
		return nested_svm_refused_by_cpu(to_svm(vcpu));
	return vcpu->in_burst ? RUN_SLOW : vcpu_entry_failed(vcpu, control(vcpu)->exit_code, 0);
}

static int (*const svm_handlers[])(struct vcpu *vcpu) = {
	[SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR0 + 15] = svm_handle_cr_read,
	[SVM_EXIT_WRITE_CR0]			= svm_handle_cr_write,
	[SVM_EXIT_WRITE_CR4]			= svm_handle_cr_write,
	[SVM_EXIT_WRITE_CR8]			= svm_handle_cr8_write,
	[SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 15] = svm_handle_dr,
	[SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR0 + 15] = svm_handle_dr,
	[SVM_EXIT_EXCP_BASE + EXC_DB]		= svm_handle_db,
	[SVM_EXIT_EXCP_BASE + EXC_BP]		= svm_handle_bp,
	[SVM_EXIT_EXCP_BASE + EXC_UD]		= vcpu_handle_ud,
	[SVM_EXIT_EXCP_BASE + EXC_GP]		= svm_handle_gp,
	[SVM_EXIT_EXCP_BASE + EXC_AC]		= svm_handle_ac,
	[SVM_EXIT_EXCP_BASE + EXC_MC]		= svm_handle_mc,
	[SVM_EXIT_INTR]				= svm_handle_intr,
	[SVM_EXIT_NMI]				= svm_handle_nmi,
	[SVM_EXIT_SMI]				= svm_handle_nothing,
	[SVM_EXIT_INIT]				= svm_handle_nothing,
	[SVM_EXIT_VINTR]			= svm_handle_vintr,
	[SVM_EXIT_CR0_SEL_WRITE]		= svm_handle_cr_write,
	[SVM_EXIT_RDTSC]			= svm_handle_rdtsc,
	[SVM_EXIT_RDPMC]			= vcpu_handle_rdpmc,
	[SVM_EXIT_CPUID]			= vcpu_handle_cpuid,
	[SVM_EXIT_RSM]				= smm_resume,
	[SVM_EXIT_IRET]				= svm_handle_iret,
	[SVM_EXIT_INVD]				= vcpu_handle_invd,
	[SVM_EXIT_PAUSE]			= vcpu_handle_pause,
	[SVM_EXIT_HLT]				= vcpu_handle_hlt,
	[SVM_EXIT_INVLPGA]			= svm_handle_invlpga,
	[SVM_EXIT_IOIO]				= svm_handle_io,
	[SVM_EXIT_MSR]				= svm_handle_msr,
	[SVM_EXIT_TASK_SWITCH]			= svm_handle_task_switch,
	[SVM_EXIT_SHUTDOWN]			= svm_handle_shutdown,
	[SVM_EXIT_VMRUN]			= svm_handle_vmrun,
	[SVM_EXIT_VMMCALL]			= svm_handle_vmmcall,
	[SVM_EXIT_VMLOAD]			= svm_handle_vmload,
	[SVM_EXIT_VMSAVE]			= svm_handle_vmsave,
	[SVM_EXIT_STGI]				= svm_handle_stgi,
	[SVM_EXIT_CLGI]				= svm_handle_clgi,
	[SVM_EXIT_SKINIT]			= svm_handle_skinit,
	[SVM_EXIT_RDTSCP]			= svm_handle_rdtscp,
	[SVM_EXIT_ICEBP]			= svm_handle_icebp,
	[SVM_EXIT_WBINVD]			= vcpu_handle_wbinvd,
	[SVM_EXIT_MONITOR]			= svm_handle_monitor,
	[SVM_EXIT_MWAIT]			= svm_handle_mwait,
	[SVM_EXIT_XSETBV]			= vcpu_handle_xsetbv,
	[SVM_EXIT_RDPRU]			= svm_handle_ud,
	[SVM_EXIT_INVPCID]			= svm_handle_invpcid,
};

#define X(code, text)	{ .reason = SVM_EXIT_##code, .name = text }
const struct exit_name svm_exit_names[] = {
	X(READ_CR0, "read_cr0"), X(READ_CR3, "read_cr3"), X(READ_CR4, "read_cr4"), X(READ_CR8, "read_cr8"),
	X(WRITE_CR0, "write_cr0"), X(WRITE_CR3, "write_cr3"), X(WRITE_CR4, "write_cr4"),
	X(WRITE_CR8, "write_cr8"),
	X(READ_DR0, "read_dr0"), X(READ_DR1, "read_dr1"), X(READ_DR2, "read_dr2"), X(READ_DR3, "read_dr3"),
	X(READ_DR4, "read_dr4"), X(READ_DR5, "read_dr5"), X(READ_DR6, "read_dr6"), X(READ_DR7, "read_dr7"),
	X(WRITE_DR0, "write_dr0"), X(WRITE_DR1, "write_dr1"), X(WRITE_DR2, "write_dr2"),
	X(WRITE_DR3, "write_dr3"), X(WRITE_DR4, "write_dr4"), X(WRITE_DR5, "write_dr5"),
	X(WRITE_DR6, "write_dr6"), X(WRITE_DR7, "write_dr7"),
	{ SVM_EXIT_EXCP_BASE + EXC_DB, "exception_db" }, { SVM_EXIT_EXCP_BASE + EXC_BP, "exception_bp" },
	{ SVM_EXIT_EXCP_BASE + EXC_UD, "exception_ud" }, { SVM_EXIT_EXCP_BASE + EXC_PF, "exception_pf" },
	{ SVM_EXIT_EXCP_BASE + EXC_GP, "exception_gp" },
	{ SVM_EXIT_EXCP_BASE + EXC_AC, "exception_ac" }, { SVM_EXIT_EXCP_BASE + EXC_MC, "exception_mc" },
	X(INTR, "interrupt"), X(NMI, "nmi"), X(SMI, "smi"), X(INIT, "init"), X(VINTR, "interrupt_window"),
	X(CR0_SEL_WRITE, "cr0_sel_write"), X(RDTSC, "rdtsc"), X(RDPMC, "rdpmc"), X(CPUID, "cpuid"),
	X(RSM, "rsm"), X(IRET, "iret"), X(INVD, "invd"), X(PAUSE, "pause"), X(HLT, "hlt"),
	X(INVLPG, "invlpg"), X(INVLPGA, "invlpga"), X(IOIO, "io"), X(MSR, "msr"),
	X(TASK_SWITCH, "task_switch"), X(FERR_FREEZE, "ferr_freeze"), X(SHUTDOWN, "shutdown"),
	X(VMRUN, "vmrun"), X(VMMCALL, "hypercall"), X(VMLOAD, "vmload"), X(VMSAVE, "vmsave"),
	X(STGI, "stgi"), X(CLGI, "clgi"), X(SKINIT, "skinit"), X(RDTSCP, "rdtscp"), X(ICEBP, "icebp"),
	X(WBINVD, "wbinvd"), X(MONITOR, "monitor"), X(MWAIT, "mwait"), X(XSETBV, "xsetbv"),
	X(RDPRU, "rdpru"), X(INVPCID, "invpcid"), X(NPF, "npf"),
	X(AVIC_INCOMPLETE_IPI, "avic_incomplete_ipi"), X(AVIC_UNACCELERATED_ACCESS, "avic_noaccel"),
	{ (u32)SVM_EXIT_ERR, "invalid" }, {},
};
#undef X

/* Exits whose code is no number of the table. */
static noinline int svm_handle_odd_exit(struct vcpu *vcpu, u64 code)
{
	/* VMEXIT_INVALID is -1; some CPUs write only the lower half. */
	if ((u32)code == (u32)SVM_EXIT_ERR)
		return svm_handle_invalid(vcpu);
	if (code == SVM_EXIT_AVIC_INCOMPLETE_IPI && to_svm(vcpu)->avic)
		return svm_handle_avic_ipi(vcpu);
	if (code == SVM_EXIT_AVIC_UNACCELERATED_ACCESS && to_svm(vcpu)->avic)
		return svm_handle_avic_noaccel(vcpu);
	pr_err_ratelimited("vcpu %u: unexpected exit 0x%llx info 0x%llx 0x%llx\n", vcpu->id, code,
			   control(vcpu)->exit_info_1, control(vcpu)->exit_info_2);
	return vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, 2,
				   (u64[]){ code, vcpu_entry_cpu(vcpu) });
}

/*
 * Interrupts and NMIs need no handler of their own once the burst is over; everything else is called again there when
 * it asked for it.
 */
int svm_handle_exit(struct vcpu *vcpu)
{
	u64 code = control(vcpu)->exit_code;

	if (!vcpu->in_burst) {
		if (code == SVM_EXIT_INTR)
			return RUN_GUEST;
	} else {
		vcpu->stats.by_reason[stats_exit_slot(code)]++;
	}
	if (unlikely(vcpu->nested.guest_mode)) {
		int r = nested_svm_reflect_exit(to_svm(vcpu));

		if (r != -ENOENT)
			return r;
	}
	if (code == SVM_EXIT_NPF)
		return svm_handle_npf(vcpu);
	if (unlikely(code >= ARRAY_SIZE(svm_handlers)))
		return svm_handle_odd_exit(vcpu, code);
	code = array_index_nospec(code, ARRAY_SIZE(svm_handlers));
	if (unlikely(!svm_handlers[code]))
		return svm_handle_odd_exit(vcpu, code);
	return svm_handlers[code](vcpu);
}

void svm_exit_info(struct vcpu *vcpu, u32 *reason, u64 *info1, u64 *info2, u32 *intr, u32 *error)
{
	struct vmcb_control *ctl = control(vcpu);

	*reason = ctl->exit_code;
	*info1 = ctl->exit_info_1;
	*info2 = ctl->exit_info_2;
	*intr = ctl->exit_int_info;
	*error = ctl->exit_int_info_err;
}
