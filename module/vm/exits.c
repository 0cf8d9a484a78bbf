// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest's exits mean, whatever the vendor: the vendor decodes, these act. All return enum run_next
 * or -errno, and run inside a burst unless they answer RUN_SLOW.
 */
#include <linux/sched.h>
#include <asm/msr-index.h>

#include "cpu/cpuid.h"
#include "cpu/smm.h"
#include "irq/irq.h"
#include "vm/ops.h"
#include "trace/trace.h"

/* Finish an instruction that was handled. */
static int done(struct vcpu *vcpu)
{
	return vendor_call(skip_instruction)(vcpu);
}

/*
 * vcpu_debug_trap - #DB of an instruction that was handled or emulated
 * @dr6: the DR6 bits that tell why
 *
 * User space that steps the guest or has breakpoints of its own gets it, as it gets those that the CPU raises. It is
 * told at once: a trap that waited for the next entry would hit the guest if user space let go of it meanwhile.
 */
int vcpu_debug_trap(struct vcpu *vcpu, u64 dr6)
{
	struct kvm_run *run = vcpu->run;

	if (!(vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))) {
		vcpu_raise_db(vcpu, dr6);
		return RUN_GUEST;
	}
	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = EXC_DB;
	run->debug.arch.pc = vcpu_linear_rip(vcpu);
	run->debug.arch.dr6 = DR6_RESERVED | dr6;
	run->debug.arch.dr7 = vcpu->cpu_state.effective_dr7;
	return RUN_USER;
}

static int inject_gp(struct vcpu *vcpu)
{
	vcpu_raise_error(vcpu, EXC_GP, 0);
	return RUN_GUEST;
}

static int inject_ud(struct vcpu *vcpu)
{
	vcpu_raise(vcpu, EXC_UD);
	return RUN_GUEST;
}

static void set_cpuid_answer(struct vcpu *vcpu, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	u64 *gpr = vcpu->regs.gpr;

	trace_cpuid(vcpu->id, gpr[GPR_RAX], gpr[GPR_RCX], eax, ebx, ecx, edx);
	gpr[GPR_RAX] = eax;
	gpr[GPR_RBX] = ebx;
	gpr[GPR_RCX] = ecx;
	gpr[GPR_RDX] = edx;
}

/* A leaf that has no entry, or may show something else than its entry. */
static noinline int answer_by_query(struct vcpu *vcpu)
{
	u32 eax = vcpu->regs.gpr[GPR_RAX], ecx = vcpu->regs.gpr[GPR_RCX], ebx, edx;

	cpuid_query(vcpu, &eax, &ebx, &ecx, &edx);
	set_cpuid_answer(vcpu, eax, ebx, ecx, edx);
	return done(vcpu);
}

/* CPUID faulting (SDM, MISC_FEATURES_ENABLES) and CpuidUserDis (APM, HWCR): #GP above CPL 0. */
static noinline int answer_special(struct vcpu *vcpu)
{
	const struct cpu_state *c = &vcpu->cpu_state;

	if ((c->misc_features & MSR_MISC_FEATURES_ENABLES_CPUID_FAULT || c->hwcr & HWCR_CPUID_USER_DIS) &&
	    vcpu_cpl(vcpu))
		return inject_gp(vcpu);
	return answer_by_query(vcpu);
}

int vcpu_handle_cpuid(struct vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e;

	vcpu->stats.cpuid_exits++;
	if (unlikely(vcpu->cpu_state.cpuid_special))
		return answer_special(vcpu);
	e = cpuid_entry(vcpu, vcpu->regs.gpr[GPR_RAX], vcpu->regs.gpr[GPR_RCX]);
	if (unlikely(!e))
		return answer_by_query(vcpu);
	set_cpuid_answer(vcpu, e->eax, e->ebx, e->ecx, e->edx);
	return done(vcpu);
}

/*
 * The value of IN is put where the instruction would: AL, AX, or EAX with the upper half cleared.
 */
static void set_in_value(struct vcpu *vcpu, u8 size, u32 value)
{
	u64 *rax = &vcpu->regs.gpr[GPR_RAX];

	if (likely(size == 1))
		*(u8 *)rax = value;
	else if (size == 2)
		*(u16 *)rax = value;
	else
		*rax = value;
}

static u8 *pio_data(struct vcpu *vcpu)
{
	return (u8 *)vcpu->run + KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
}

/* User space has done the access. It may have reset the vCPU meanwhile: then there is nothing to finish. */
static int complete_pio(struct vcpu *vcpu)
{
	u32 value = 0;

	if (vcpu_rip(vcpu) != vcpu->pio_rip)
		return RUN_GUEST;
	if (vcpu->pio.in) {
		memcpy(&value, pio_data(vcpu), vcpu->pio.size);
		set_in_value(vcpu, vcpu->pio.size, value);
	}
	return done(vcpu);
}

static int pio_to_user(struct vcpu *vcpu, struct io_exit io)
{
	struct kvm_run *run = vcpu->run;
	u32 value = vcpu->regs.gpr[GPR_RAX];

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = io.in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = io.size;
	run->io.port = io.port;
	run->io.count = 1;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	if (!io.in)
		memcpy(pio_data(vcpu), &value, io.size);
	vcpu->pio = io;
	vcpu->pio_rip = vcpu_rip(vcpu);
	vcpu->complete = complete_pio;
	return RUN_USER;
}

int vcpu_handle_io(struct vcpu *vcpu, struct io_exit io)
{
	/* Not on the stack, where its address would bring in the stack protector. */
	u32 *value = &vcpu->pio_value;

	vcpu->stats.io_exits++;
	if (io.string)
		return vcpu_emulate(vcpu);

	if (io.in) {
		*value = 0;
		if (iobus_read(vcpu, IOBUS_PIO, io.port, io.size, value))
			return pio_to_user(vcpu, io);
		set_in_value(vcpu, io.size, *value);
	} else {
		*value = vcpu->regs.gpr[GPR_RAX];
		/* An OUT to port 0x7e returns to user space behind the instruction: KVM_X86_QUIRK_OUT_7E_INC_RIP. */
		if (iobus_write(vcpu, IOBUS_PIO, io.port, io.size, value)) {
			if (io.port != 0x7e || vcpu->vm->caps.disabled_quirks & KVM_X86_QUIRK_OUT_7E_INC_RIP)
				return pio_to_user(vcpu, io);
			/* The access goes before a report that the instruction was stepped over. */
			vendor_call(skip_instruction)(vcpu);
			pio_to_user(vcpu, io);
			vcpu->complete = NULL;
			return RUN_USER;
		}
	}
	vcpu->stats.io_kernel++;
	trace_pio(vcpu->id, !io.in, io.port, io.size, 1, *value);
	return done(vcpu);
}

/* MSR accesses that the VM wants to see in user space: KVM_CAP_X86_USER_SPACE_MSR. */
static int complete_msr(struct vcpu *vcpu, bool read)
{
	struct kvm_run *run = vcpu->run;

	if (READ_ONCE(run->msr.error))
		return inject_gp(vcpu);
	if (read) {
		u64 value = READ_ONCE(run->msr.data);

		vcpu->regs.gpr[GPR_RAX] = (u32)value;
		vcpu->regs.gpr[GPR_RDX] = value >> 32;
	}
	return done(vcpu);
}

static int complete_rdmsr(struct vcpu *vcpu)
{
	return complete_msr(vcpu, true);
}

static int complete_wrmsr(struct vcpu *vcpu)
{
	return complete_msr(vcpu, false);
}

static bool msr_to_user(struct vcpu *vcpu, u32 msr, u64 value, bool write, u32 reason)
{
	struct kvm_run *run = vcpu->run;

	if (!(vcpu->vm->caps.user_space_msr_mask & reason))
		return false;
	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = msr;
	run->msr.data = value;
	vcpu->complete = write ? complete_wrmsr : complete_rdmsr;
	return true;
}

/* A refused access: user space or #GP. */
static int msr_refused(struct vcpu *vcpu, u32 msr, u64 value, bool write, int err)
{
	u32 reason = err == -EPERM ? KVM_MSR_EXIT_REASON_FILTER :
		     err == -ENOENT ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;

	if (msr_to_user(vcpu, msr, value, write, reason))
		return RUN_USER;
	trace_msr(vcpu->id, write, msr, value, true);
	return inject_gp(vcpu);
}

/* Few VMs have a filter. */
static inline bool msr_allowed(struct vcpu *vcpu, u32 msr, bool write)
{
	return likely(!rcu_access_pointer(vcpu->vm->msr_filter)) || msr_filter_allows(vcpu, msr, write);
}

int vcpu_handle_rdmsr(struct vcpu *vcpu)
{
	u32 msr = vcpu->regs.gpr[GPR_RCX];
	u64 value = 0;
	int err;

	vcpu->stats.msr_reads++;
	err = msr_allowed(vcpu, msr, false) ? msr_get(vcpu, msr, &value, false) : -EPERM;
	if (err == -EAGAIN)
		return RUN_SLOW;
	if (unlikely(err))
		return msr_refused(vcpu, msr, 0, false, err);
	trace_msr(vcpu->id, false, msr, value, false);
	vcpu->regs.gpr[GPR_RAX] = (u32)value;
	vcpu->regs.gpr[GPR_RDX] = value >> 32;
	return done(vcpu);
}

int vcpu_handle_wrmsr(struct vcpu *vcpu)
{
	u32 msr = vcpu->regs.gpr[GPR_RCX];
	u64 value = (u32)vcpu->regs.gpr[GPR_RAX] | vcpu->regs.gpr[GPR_RDX] << 32;
	int err;

	vcpu->stats.msr_writes++;
	err = msr_allowed(vcpu, msr, true) ? msr_set(vcpu, msr, value, false) : -EPERM;
	if (err == -EAGAIN)
		return RUN_SLOW;
	if (unlikely(err))
		return msr_refused(vcpu, msr, value, true, err);
	trace_msr(vcpu->id, true, msr, value, false);
	return done(vcpu);
}

int vcpu_handle_xsetbv(struct vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs.gpr[GPR_RAX] | vcpu->regs.gpr[GPR_RDX] << 32;

	if (vcpu_cpl(vcpu) || (u32)vcpu->regs.gpr[GPR_RCX] || cpu_set_xcr0(vcpu, value))
		return inject_gp(vcpu);
	return done(vcpu);
}

/* MOV to and from control and debug registers: 32 bits outside 64-bit mode, whatever the upper half holds. */
static u64 operand(struct vcpu *vcpu, u64 value)
{
	return vcpu_is_64bit(vcpu) ? value : (u32)value;
}

/*
 * vcpu_task_priority_set - the guest has written CR8
 * @old: what it was before
 * @r: what the handler of the instruction answers
 *
 * A lower task priority without an in-kernel APIC: user space decides what follows.
 */
int vcpu_task_priority_set(struct vcpu *vcpu, u64 old, int r)
{
	if (r != RUN_GUEST || vcpu->lapic || cpu_get_cr8(vcpu) >= old)
		return r;
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return RUN_USER;
}

int vcpu_handle_cr_write(struct vcpu *vcpu, int cr, u64 value)
{
	u64 old_cr8 = 0;
	int err;

	value = operand(vcpu, value);
	vcpu->stats.cr_accesses++;
	switch (cr) {
	case 0:
		err = cpu_set_cr0(vcpu, value);
		break;
	case 3:
		err = cpu_set_cr3(vcpu, value);
		break;
	case 4:
		err = cpu_set_cr4(vcpu, value);
		break;
	case 8:
		old_cr8 = cpu_get_cr8(vcpu);
		err = cpu_set_cr8(vcpu, value);
		break;
	default:
		return inject_ud(vcpu);
	}
	if (err == -EAGAIN)
		return RUN_SLOW;
	if (err)
		return inject_gp(vcpu);
	return cr == 8 ? vcpu_task_priority_set(vcpu, old_cr8, done(vcpu)) : done(vcpu);
}

/* Stepped over, the vCPU is halted all the same; without an APIC in the kernel the halt is what user space is told. */
int vcpu_handle_hlt(struct vcpu *vcpu)
{
	int stepped = vendor_call(skip_instruction)(vcpu), halted = vcpu_halt(vcpu);

	return halted ?: stepped;
}

/*
 * An event could not be delivered, because a descriptor table or the stack is no memory. There is no instruction to be
 * emulated: user space learns of the guest's mistake, with the event still on its way (KVM_GET_VCPU_EVENTS).
 */
static int delivery_failed(struct vcpu *vcpu, const struct fault *fault)
{
	u64 info1, info2;
	u32 reason, intr, error;

	vendor->exit_info(vcpu, &reason, &info1, &info2, &intr, &error);
	return vcpu_internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, 5,
				   (u64[]){ info2, reason, info1, fault->gpa, vcpu_entry_cpu(vcpu) });
}

/* @fault: of what is no memory, whatever the second-level tables say. */
int vcpu_handle_mmio(struct vcpu *vcpu, const struct fault *fault)
{
	return fault->vectoring ? delivery_failed(vcpu, fault) : vcpu_emulate_mmio(vcpu, fault);
}

int vcpu_handle_fault(struct vcpu *vcpu, struct fault *fault)
{
	enum fault_result result;

	if (unlikely(vcpu->nested.walks))
		result = shadow_handle_fault(vcpu, fault, &fault->gpa);
	else
		result = mmu_handle_fault(vcpu, fault);

	switch (result) {
	case FAULT_FIXED:
		vcpu->stats.fault_fixed++;
		return RUN_GUEST;
	case FAULT_RETRY:
		return RUN_GUEST;
	case FAULT_SLOW:
		return RUN_SLOW;
	case FAULT_MMIO:
	case FAULT_READONLY:
		return vcpu_handle_mmio(vcpu, fault);
	case FAULT_NESTED:
		vendor->nested->reflect_walk(vcpu);
		return RUN_GUEST;
	default:
		return -EFAULT;
	}
}

/*
 * vcpu_handle_dr - MOV to or from a debug register
 *
 * SDM, Debug Registers: #UD for DR4 and DR5 with CR4.DE, #GP outside CPL 0, #DB when DR7.GD. DR7 is the
 * effective one: a debugger's in user space has the guest's replaced.
 */
int vcpu_handle_dr(struct vcpu *vcpu, int dr, bool write, int gpr)
{
	vcpu->stats.dr_accesses++;
	vcpu_fetch(vcpu, REGS_CR4 | REGS_DR);
	if ((dr == 4 || dr == 5) && vcpu->regs.cr4 & X86_CR4_DE)
		return inject_ud(vcpu);
	if (vcpu_cpl(vcpu))
		return inject_gp(vcpu);
	if (vcpu->cpu_state.effective_dr7 & DR7_GD)
		return vcpu_debug_trap(vcpu, DR6_BD);
	if (!write)
		vcpu_set_gpr(vcpu, gpr, operand(vcpu, cpu_get_dr(vcpu, dr)));
	else if (cpu_set_dr(vcpu, dr, operand(vcpu, vcpu_gpr(vcpu, gpr))))
		return inject_gp(vcpu);
	return done(vcpu);
}

int vcpu_handle_rdtsc(struct vcpu *vcpu, bool rdtscp)
{
	u64 tsc;

	if (rdtscp && !guest_has(vcpu, X86_FEATURE_RDTSCP))
		return inject_ud(vcpu);
	vcpu_fetch(vcpu, REGS_CR4);
	if (vcpu->regs.cr4 & X86_CR4_TSD && vcpu_cpl(vcpu))
		return inject_gp(vcpu);
	tsc = guest_tsc(vcpu);
	vcpu->regs.gpr[GPR_RAX] = (u32)tsc;
	vcpu->regs.gpr[GPR_RDX] = tsc >> 32;
	if (rdtscp)
		vcpu->regs.gpr[GPR_RCX] = (u32)vcpu->cpu_state.tsc_aux;
	return done(vcpu);
}

/* The guest has no performance counters: any index is out of range. */
int vcpu_handle_rdpmc(struct vcpu *vcpu)
{
	return inject_gp(vcpu);
}

/*
 * No device of the guest's writes memory past the caches, so there is nothing that the guest
 * could observe; upstream does the same unless a device was assigned.
 */
int vcpu_handle_wbinvd(struct vcpu *vcpu)
{
	if (vcpu_cpl(vcpu))
		return inject_gp(vcpu);
	return done(vcpu);
}

int vcpu_handle_invd(struct vcpu *vcpu)
{
	return vcpu_handle_wbinvd(vcpu);
}

/* MONITOR and MWAIT: not offered by CPUID; no-ops for guests that use them all the same, as upstream. */
int vcpu_handle_monitor(struct vcpu *vcpu, bool mwait)
{
	if (vcpu->vm->caps.disabled_quirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS &&
	    !guest_has(vcpu, X86_FEATURE_MWAIT))
		return inject_ud(vcpu);
	return done(vcpu);
}

/* A spinning guest: give the CPU to whoever wants it, the lock's holder perhaps. */
int vcpu_handle_pause(struct vcpu *vcpu)
{
	if (vcpu->in_burst)
		return RUN_SLOW;
	cond_resched();
	return done(vcpu);
}

struct invpcid_descriptor {
	u64 pcid;
	u64 address;
};

int vcpu_handle_invpcid(struct vcpu *vcpu, u64 type, u64 gva)
{
	struct invpcid_descriptor desc;
	struct mmu_exception e;
	u64 gpa;
	int err;

	if (!guest_has(vcpu, X86_FEATURE_INVPCID))
		return inject_ud(vcpu);
	if (vcpu_cpl(vcpu) || type > 3)
		return inject_gp(vcpu);
	err = mmu_read_gva(vcpu, gva, &desc, sizeof(desc), 0, &e, &gpa);
	if (err)
		return vcpu_access_failed(vcpu, err, &e);
	if (desc.pcid & ~0xfffull)
		return inject_gp(vcpu);
	vcpu_fetch(vcpu, REGS_CR4);
	if (type < 2 && desc.pcid && !(vcpu->regs.cr4 & X86_CR4_PCIDE))
		return inject_gp(vcpu);
	if (type == 0 && !__is_canonical_address(desc.address, vcpu->regs.cr4 & X86_CR4_LA57 ? 57 : 48))
		return inject_gp(vcpu);
	/* One address, one PCID, everything: a flush of all of the guest's translations does for each. */
	vendor->tlb_flush(vcpu, TLB_GUEST);
	return done(vcpu);
}

/*
 * vcpu_access_failed - what follows when a handler could not access guest memory
 * @err: from mmu_read_gva() or mmu_write_gva()
 */
int vcpu_access_failed(struct vcpu *vcpu, int err, const struct mmu_exception *e)
{
	if (err == -EAGAIN)
		return RUN_SLOW;
	if (err != -EFAULT)
		return vcpu_emulation_failed(vcpu);
	if (e->vector == EXC_NESTED)
		vendor->nested->reflect_walk(vcpu);
	else if (e->vector == EXC_PF)
		vcpu_raise_pf(vcpu, e->address, e->error);
	else
		vcpu_raise_error(vcpu, e->vector, e->error);
	return RUN_GUEST;
}

static bool at_rsm(struct vcpu *vcpu, u64 linear, u64 user)
{
	static const u8 rsm[] = { 0x0f, 0xaa };
	struct mmu_exception e;
	u8 insn[sizeof(rsm)];
	u64 gpa;

	return !mmu_read_gva(vcpu, linear, insn, sizeof(insn), PF_FETCH | user, &e, &gpa) &&
	       !memcmp(insn, rsm, sizeof(insn));
}

/*
 * vcpu_handle_ud - #UD in the guest
 *
 * A guest that came from a CPU of the other vendor may have that one's hypercall instruction in its
 * code. As upstream, put this CPU's in its place and let it run again, unless the VMM has switched
 * KVM_X86_QUIRK_FIX_HYPERCALL_INSN off. RSM is undefined where the CPU itself is not in the mode.
 * Everything else is the guest's own fault.
 */
int vcpu_handle_ud(struct vcpu *vcpu)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1 }, vmmcall[] = { 0x0f, 0x01, 0xd9 };
	bool amd = boot_cpu_has(X86_FEATURE_VMMCALL);
	u64 linear = vcpu_linear_rip(vcpu), user = vcpu_cpl(vcpu) == 3 ? PF_USER : 0, gpa;
	u8 insn[sizeof(vmcall)];
	struct mmu_exception e;
	int err;

	if (unlikely(vcpu->events.in_smm)) {
		if (vcpu->in_burst)
			return RUN_SLOW;
		if (at_rsm(vcpu, linear, user))
			return smm_resume(vcpu);
	}
	if (READ_ONCE(vcpu->vm->caps.disabled_quirks) & KVM_X86_QUIRK_FIX_HYPERCALL_INSN)
		return inject_ud(vcpu);
	err = mmu_read_gva(vcpu, linear, insn, sizeof(insn), PF_FETCH | user, &e, &gpa);
	if (err == -EAGAIN)
		return RUN_SLOW;
	if (err || memcmp(insn, amd ? vmcall : vmmcall, sizeof(insn)))
		return inject_ud(vcpu);
	err = mmu_write_gva(vcpu, linear, amd ? vmmcall : vmcall, sizeof(insn), PF_WRITE | user, &e, &gpa);
	return err ? vcpu_access_failed(vcpu, err, &e) : RUN_GUEST;
}
