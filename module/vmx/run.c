// SPDX-License-Identifier: GPL-2.0
/*
 * One entry into the guest: what is written before, what has to happen right behind the exit.
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <asm/barrier.h>
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/special_insns.h>

#include "irq/lapic.h"
#include "vmx/vmx.h"

/*
 * L1 Terminal Fault: a guest can read all of L1D through not-present entries of its page tables. The
 * administrator's choice (l1tf=) is not for every module to see, so there is a parameter.
 */
enum { L1D_NEVER, L1D_COND, L1D_ALWAYS };
static int l1d_flush = L1D_COND;
module_param(l1d_flush, int, 0444);
MODULE_PARM_DESC(l1d_flush, "On CPUs with the L1TF bug flush L1D before entering a guest: 0 never, 1 when other code of the host ran (the default), 2 always");

/* 64 KiB: twice the cache, because its replacement is not exactly least-recently-used. */
#define L1D_FLUSH_ORDER	4
static void *l1d_pages;

int vmx_enter_setup(void)
{
	u64 cap = 0;
	int i;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		nst_rdmsr_safe(MSR_IA32_ARCH_CAPABILITIES, &cap);
	if (!boot_cpu_has_bug(X86_BUG_L1TF) || cap & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH ||
	    cpu_mitigations_off())
		l1d_flush = L1D_NEVER;
	if (l1d_flush == L1D_NEVER || boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	l1d_pages = (void *)__get_free_pages(GFP_KERNEL, L1D_FLUSH_ORDER);
	if (!l1d_pages)
		return -ENOMEM;
	/* No two pages alike: a hypervisor below this kernel may merge such pages into one. */
	for (i = 0; i < BIT(L1D_FLUSH_ORDER); i++)
		memset(l1d_pages + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	return 0;
}

void vmx_enter_cleanup(void)
{
	free_pages((unsigned long)l1d_pages, L1D_FLUSH_ORDER);
	l1d_pages = NULL;
}

/* Lines read in one round of the loop below: with one it would cost three times as many instructions. */
#define L1D_UNROLL	16

/* Read twice the cache's size: first a byte of each page, for the TLB, then every line. */
static void fill_l1d(void)
{
	const u8 *p = l1d_pages, *end = p + (PAGE_SIZE << L1D_FLUSH_ORDER);
	int i;

	for (; p < end; p += PAGE_SIZE)
		READ_ONCE(*p);
	barrier_nospec();
	for (p = l1d_pages; p < end; p += L1D_UNROLL * L1_CACHE_BYTES) {
#pragma GCC unroll 16
		for (i = 0; i < L1D_UNROLL; i++)
			READ_ONCE(p[i * L1_CACHE_BYTES]);
	}
	barrier_nospec();
}

static void flush_l1d(struct vmx_vcpu *vmx)
{
	if (likely(l1d_flush == L1D_NEVER))
		return;
	if (l1d_flush == L1D_COND && !vmx->flush_l1d)
		return;
	vmx->flush_l1d = false;
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		nst_wrmsr(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else
		fill_l1d();
}

/*
 * vmx_run_flags - VMX_RUN_* that depend on this CPU only
 *
 * Microarchitectural data sampling and its relatives. Of CPUs where only MMIO leaves data in the buffers it is not
 * known which VM has a device, so all entries clear them there too.
 */
u32 vmx_run_flags(void)
{
	bool verw = boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF) ||
		    (boot_cpu_has_bug(X86_BUG_MMIO_STALE_DATA) && !cpu_mitigations_off());

#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
	verw |= boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF_VM);
#endif
	return verw ? VMX_RUN_VERW : 0;
}

/*
 * INVVPID and INVEPT: of the context where the CPU can, else of all. Linear and combined translations carry the VPID,
 * guest-physical and combined ones the root, so a flush of the root covers what a changed second-level entry reached.
 */
void vmx_flush_tlb(struct vmx_vmcs *vmcs)
{
	u32 flush = vmcs->flush;

	vmcs->flush = 0;
	if (flush & FLUSH_EPT) {
		if (vmx_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE)
			vmx_invept(INVEPT_SINGLE, vmcs->lazy[LAZY_EPTP]);
		else
			vmx_invept(INVEPT_ALL, 0);
	}
	/* Without a VPID every entry and exit flushes. */
	if (flush & FLUSH_VPID && vmcs->vpid) {
		if (vmx_caps.ept_vpid & EPT_CAP_INVVPID_SINGLE)
			vmx_invvpid(INVVPID_SINGLE, vmcs->vpid, 0);
		else
			vmx_invvpid(INVVPID_ALL, 0, 0);
	}
}

/*
 * User space single-steps: TF is set at every entry, for the guest may have cleared it (POPF, an interrupt). In an
 * interrupt shadow entry wants a pending trap as well (SDM, Checks on Guest Non-Register State), which would be one
 * before the step; without the shadow it wants none.
 */
static void prepare_stepping(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	vcpu_fetch(vcpu, REGS_SHADOW | REGS_RFLAGS);
	vcpu->regs.int_shadow = 0;
	vcpu_dirty(vcpu, REGS_SHADOW | REGS_RFLAGS);
}

/* Has vmx_apic_enter() something to do? */
static inline bool apic_waits(const struct vmx_vcpu *vmx)
{
	const struct vcpu *vcpu = &vmx->vcpu;

	if (vmx->accel & VMX_ACCEL_TIMER && (vcpu->cpu_deadline || vmx->timer_value != VMX_TIMER_OFF))
		return true;
	return vmx->accel & VMX_ACCEL_DELIVERY && lapic_hw_waits(vcpu->lapic);
}

/*
 * vmx_write_state - everything that waits to be written; in a burst
 */
void vmx_write_state(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP))
		prepare_stepping(vmx);
	if (likely(vcpu->regs.dirty == REGS_RIP)) {
		vmwriten(VMCS_GUEST_RIP, vcpu->regs.rip);
		vcpu->regs.dirty = 0;
	} else if (vcpu->regs.dirty) {
		vmx_flush_regs(vmx);
	}
	vmx_set(vmx, LAZY_DR7, vcpu->cpu_state.effective_dr7);
	if (unlikely(vmx->vmcs->lazy_stale))
		vmx_write_lazy(vmx);
	if (unlikely(vcpu->nested.guest_mode))
		nested_vmx_prepare_entry(vmx);
	else if (unlikely(vmx->nested.shadow_stale))
		nested_vmx_shadowing_fill(vmx);
	if (unlikely(vmx->inject))
		vmx_write_injection(vmx);
	if (unlikely(vmx->clear_halt)) {
		vmx->clear_halt = false;
		vmwrite32(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
	}
	if (vmx->accel && unlikely(apic_waits(vmx)))
		vmx_apic_enter(vmx);
	if (unlikely(vmx->vmcs->flush)) {
		vcpu->stats.tlb_flush++;
		vmx_flush_tlb(vmx->vmcs);
	}
}

/* SDM, Machine-Check Architecture and VMX: the handler sees a trap from user mode, which it may kill. */
static void machine_check(void)
{
	struct pt_regs regs = { .cs = __USER_CS, .flags = X86_EFLAGS_IF };

	do_machine_check(&regs);
}

/*
 * Events that belong to the host and that hardware has acknowledged: NMIs are blocked since the exit, until the
 * handler's IRET. It runs through the IDT, on its own stack, with the host's state whole.
 */
static void deliver_host_events(struct vmx_vcpu *vmx)
{
	u32 intr;

	if (unlikely(vmx_basic_reason(vmx) == EXIT_REASON_MCE_DURING_VMENTRY)) {
		machine_check();
		return;
	}
	if (likely(vmx_basic_reason(vmx) != EXIT_REASON_EXCEPTION_NMI))
		return;
	intr = vmx_exit_intr(vmx);
	if (FIELD_GET(INTR_TYPE, intr) == INTR_NMI)
		asm volatile("int $2" : : : "memory");
	else if (FIELD_GET(INTR_TYPE, intr) == INTR_HARD_EXCEPTION &&
		 FIELD_GET(INTR_VECTOR, intr) == EXC_MC)
		machine_check();
}

/* The event was not given, and does not stay in the VMCS for the next entry. */
static void entry_failed(struct vmx_vcpu *vmx)
{
	vmx->failed.event = vmx->inject;
	vmx->failed.resume = vmx->vmcs->launched;
	vmwrite32(VMCS_ENTRY_INTR_INFO, 0);
	vmx->inject = 0;
}

/* The entry did not happen: registers are where they were, and the event is still to be given. */
static void entry_refused(struct vmx_vcpu *vmx)
{
	vmx->exit.reason = VMX_EXIT_REASONS_FAILED_VMENTRY;
	vmx->entry_error = 0;
	if (vmx->result == VMX_RUN_VMFAIL)
		vmx->entry_error = vmread32(VMCS_INSN_ERROR);
	entry_failed(vmx);
}

/*
 * vmx_enter - run the guest until an exit; inside a burst
 */
void vmx_enter(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_write_state(vmx);
	if (native_read_cr2() != vcpu->regs.cr2)
		native_write_cr2(vcpu->regs.cr2);
	flush_l1d(vmx);

	count_op(vmentry);
	vmx->result = vmx_run(vmx, vmx->run_flags | (vmx->vmcs->launched ? VMX_RUN_RESUME : 0));

	/* Before anything here can fault. */
	vcpu->regs.cr2 = native_read_cr2();
	/* Exits clear it. */
	if (unlikely(vmx->host.debugctl))
		nst_wrmsr(MSR_IA32_DEBUGCTLMSR, vmx->host.debugctl);
	vcpu->regs.valid = vmx_valid_after_exit(vmx);
	vmx->exit.have = 0;
	if (unlikely(vmx->result != VMX_RUN_EXIT)) {
		entry_refused(vmx);
		return;
	}
	vmx->exit.reason = vmread32(VMCS_EXIT_REASON);
	deliver_host_events(vmx);
	if (unlikely(vmx->exit.reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		entry_failed(vmx);
		return;
	}
	vmx->vmcs->launched = true;
	vmx->nested.run_pending = vmx->nested.rsm_pending = false;
	vmx_complete_events(vmx);
}

void vmx_tlb_flush(struct vcpu *vcpu, enum tlb_scope scope)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->vmcs->flush |= scope == TLB_ALL ? FLUSH_VPID | FLUSH_EPT : FLUSH_VPID;
	if (scope == TLB_LEVELS) {
		vmx->vmcs01.flush |= FLUSH_VPID;
		vmx->vmcs02.flush |= FLUSH_VPID;
	}
}

void vmx_tlb_flush_address(struct vcpu *vcpu, u64 gva)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vcpu->in_burst && vmx->vmcs->vpid && vmx_caps.ept_vpid & EPT_CAP_INVVPID_ADDRESS &&
	    vmx_invvpid(INVVPID_ADDRESS, vmx->vmcs->vpid, gva))
		return;
	vmx->vmcs->flush |= FLUSH_VPID;
}
