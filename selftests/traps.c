// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that an instruction which exits traps like one that does not: single steps of user space's
 * and of the guest's own, breakpoints behind it, RFLAGS.RF, INT1 and INT3.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <asm/processor-flags.h>
#include <string.h>
#include <unistd.h>

#include "flat.h"
#include "tap.h"

#define DR6_INIT	0xffff0ff0
#define DR6_BS		0x4000
#define FAR		0x40000000u	/* linear, of the second PDPTE */
#define MSR_APICBASE	0x1b
#define MSR_TSC_AUX	0xc0000103

FLAT_CODE_BLOCK(
	"step_cpuid:	cpuid\n step_cpuid_end: nop\n out %al, $0xff\n"
	"step_rdmsr:	rdmsr\n step_rdmsr_end: nop\n out %al, $0xff\n"
	"step_wrmsr:	wrmsr\n step_wrmsr_end: nop\n out %al, $0xff\n"
	"step_prefix:	.byte 0x2e, 0x0f, 0xa2\n step_prefix_end: nop\n out %al, $0xff\n"
	"step_cr0:	mov %eax, %cr0\n step_cr0_end: nop\n out %al, $0xff\n"
	"step_cr4:	mov %eax, %cr4\n step_cr4_end: nop\n out %al, $0xff\n"
	"step_dr:	mov %eax, %dr0\n step_dr_end: nop\n out %al, $0xff\n"
	"step_wbinvd:	wbinvd\n step_wbinvd_end: nop\n out %al, $0xff\n"
	"step_out:	out %al, $0x80\n step_out_end: nop\n out %al, $0xff\n"
	"step_mmio:	mov %eax, 0x100000\n step_mmio_end: nop\n out %al, $0xff\n"
	"step_hlt:	hlt\n step_hlt_end: nop\n out %al, $0xff\n"
	"step_sti:	sti\n step_sti_end: cpuid\n step_sti_cpuid_end: nop\n out %al, $0xff\n"
	"do_int1:	.byte 0xf1\n int1_end: nop\n out %al, $0xff\n"
	"do_int3:	int3\n int3_end: nop\n out %al, $0xff\n"
	"pae_far:	cpuid\n out %al, $0xff\n"
	"pae_near:	mov %ebx, %cr3\n jmp *%ecx\n"
	"do_popf:	pushl %eax\n popf\n popf_end: cpuid\n popf_cpuid_end: nop\n out %al, $0xff\n"
);
#define LABELS(X) X(cpuid) X(rdmsr) X(wrmsr) X(prefix) X(cr0) X(cr4) X(dr) X(wbinvd) X(out) X(mmio) X(hlt) X(sti)
#define X(n) extern const char step_##n[], step_##n##_end[];
LABELS(X)
#undef X
extern const char step_sti_cpuid_end[], do_int1[], int1_end[], do_int3[], int3_end[], do_popf[], popf_end[],
	popf_cpuid_end[], pae_far[], pae_near[];

static struct flat f;

/* An instruction that always exits, with the registers that it wants. */
static const struct step {
	const char *name, *begin, *end;
	struct kvm_regs regs;
	unsigned int user_exit;		/* reason of the exit in its middle */
} steps[] = {
	{ "CPUID", step_cpuid, step_cpuid_end, .regs.rax = 0 },
	{ "RDMSR", step_rdmsr, step_rdmsr_end, .regs.rcx = MSR_APICBASE },
	{ "WRMSR", step_wrmsr, step_wrmsr_end, .regs.rcx = 0x10 },
	{ "CPUID with a prefix", step_prefix, step_prefix_end, .regs.rax = 0 },
	{ "MOV to CR0", step_cr0, step_cr0_end, .regs.rax = 0x60000011 },
	{ "MOV to CR4", step_cr4, step_cr4_end, .regs.rax = 0 },
	{ "MOV to DR0", step_dr, step_dr_end, .regs.rax = 0x1234 },
	{ "WBINVD", step_wbinvd, step_wbinvd_end, .regs.rax = 0 },
	{ "OUT to user space", step_out, step_out_end, .user_exit = KVM_EXIT_IO },
	{ "a write to MMIO", step_mmio, step_mmio_end, .user_exit = KVM_EXIT_MMIO },
};

static void guest_debug(uint32_t control, uint64_t dr0)
{
	struct kvm_guest_debug debug = { .control = control };

	debug.arch.debugreg[0] = dr0;
	debug.arch.debugreg[7] = dr0 ? 0x402 : 0x400;
	KVM(f.vcpu, KVM_SET_GUEST_DEBUG, &debug);
}

static struct kvm_debugregs debugregs(void)
{
	struct kvm_debugregs d = {};

	KVM(f.vcpu, KVM_GET_DEBUGREGS, &d);
	return d;
}

static void set_debugregs(uint64_t dr0, uint64_t dr7)
{
	struct kvm_debugregs d = { .db[0] = dr0, .dr6 = DR6_INIT, .dr7 = dr7 };

	KVM(f.vcpu, KVM_SET_DEBUGREGS, &d);
}

/* Run on until what the instruction asked of user space is done. */
static int run_past(const struct step *s)
{
	int reason = flat_run(&f);

	if (s->user_exit && reason == (int)s->user_exit)
		reason = flat_run(&f);
	return reason;
}

static bool stopped_at(const char *label)
{
	const struct kvm_debug_exit_arch *d = &f.run->debug.arch;

	if (f.run->exit_reason == KVM_EXIT_DEBUG && d->exception == 1 && d->pc == flat_address(label) &&
	    d->dr6 == (DR6_INIT | DR6_BS) && flat_regs(&f).rip == flat_address(label))
		return true;
	tap_note("exit %u, exception %u at %#llx, DR6 %#llx; expected %#x", f.run->exit_reason, d->exception,
		 d->pc, d->dr6, flat_address(label));
	return false;
}

static void test_user_steps(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct kvm_regs r = steps[i].regs;

		flat_prepare(&f, steps[i].begin, 0, &r);
		guest_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0);
		run_past(&steps[i]);
		tap_check(stopped_at(steps[i].end), "a step of user space's over %s", steps[i].name);
		tap_check(debugregs().dr6 == DR6_INIT && !(flat_regs(&f).rflags & FL_TF),
			  "leaves no trace in the guest");
		guest_debug(0, 0);
		flat_run(&f);
		tap_check(flat_at_port(&f, FLAT_DONE), "and it goes on without another");
	}
}

/* STI and what follows it: the shadow ends with the instruction. */
static void test_step_over_shadow(void)
{
	flat_prepare(&f, step_sti, 0, NULL);
	guest_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0);
	flat_run(&f);
	tap_check(stopped_at(step_sti_end), "a step over STI");
	flat_run(&f);
	tap_check(stopped_at(step_sti_cpuid_end), "and over CPUID in its shadow");
	guest_debug(0, 0);
}

/* Halted it is all the same; there is no local APIC that could wake it, so user space hears of the HLT. */
static void test_step_over_halt(void)
{
	flat_prepare(&f, step_hlt, 0, NULL);
	guest_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0);
	tap_check(flat_run(&f) == KVM_EXIT_HLT && flat_regs(&f).rip == flat_address(step_hlt_end),
		  "a step over HLT says that it halts");
	guest_debug(0, 0);
}

static bool guest_trapped(const char *label, uint64_t dr6)
{
	struct kvm_debugregs d = debugregs();

	if (flat_at_port(&f, 1) && flat_frame(&f, 0) == flat_address(label) && d.dr6 == dr6)
		return true;
	tap_note("exit %u, port %#x, frame %#x, DR6 %#llx; expected %#x", f.run->exit_reason,
		 f.run->exit_reason == KVM_EXIT_IO ? f.run->io.port : 0, flat_frame(&f, 0), d.dr6,
		 flat_address(label));
	return false;
}

static void test_guest_steps(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct kvm_regs r = steps[i].regs;

		set_debugregs(0, 0x400);
		flat_prepare(&f, steps[i].begin, FL_TF, &r);
		run_past(&steps[i]);
		tap_check(guest_trapped(steps[i].end, DR6_INIT | DR6_BS), "the guest's own step over %s",
			  steps[i].name);
		tap_check(flat_frame(&f, 2) & FL_TF && !(flat_regs(&f).rflags & FL_TF),
			  "its TF is on the stack, and off in the handler");
	}
	set_debugregs(0, 0x400);
	flat_go(&f, do_popf, 0, &(struct kvm_regs){ .rax = FL_FIXED | FL_TF });
	tap_check(guest_trapped(popf_cpuid_end, DR6_INIT | DR6_BS), "TF that POPF sets traps one instruction later");
}

/* RF hides the breakpoint at one instruction, not at those behind it. */
static void test_resume_flag(void)
{
	set_debugregs(flat_address(step_cpuid_end), 0x402);
	flat_go(&f, step_cpuid, FL_RF, NULL);
	tap_check(guest_trapped(step_cpuid_end, DR6_INIT | 1), "RF ends with an instruction that exits");
	set_debugregs(flat_address(step_cpuid), 0x402);
	flat_go(&f, step_cpuid, FL_RF, NULL);
	tap_check(flat_at_port(&f, FLAT_DONE), "and covers that instruction");
	set_debugregs(0, 0x400);
	guest_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, flat_address(step_cpuid_end));
	flat_go(&f, step_cpuid, FL_RF, NULL);
	tap_check(f.run->exit_reason == KVM_EXIT_DEBUG &&
		  f.run->debug.arch.pc == flat_address(step_cpuid_end), "for user space's breakpoints as well");
	guest_debug(0, 0);
}

static void test_software_events(void)
{
	struct kvm_vcpu_events ev = {};

	set_debugregs(0, 0x400);
	flat_go(&f, do_int1, 0, NULL);
	tap_check(guest_trapped(int1_end, DR6_INIT), "INT1 pushes the address behind it");
	flat_go(&f, do_int3, 0, NULL);
	tap_check(flat_at_port(&f, 3) && flat_frame(&f, 0) == flat_address(int3_end), "and so does INT3");

	flat_prepare(&f, do_int3, 0, NULL);
	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &ev);
	ev.exception.injected = 1;
	ev.exception.nr = 3;
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	flat_run(&f);
	tap_check(flat_at_port(&f, 3) && flat_frame(&f, 0) == flat_address(int3_end),
		  "and INT3 that user space injects");

	flat_prepare(&f, do_int3, 0, NULL);
	guest_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, 0);
	flat_run(&f);
	/* QEMU's TCG does not intercept INT3. */
	if (f.run->exit_reason != KVM_EXIT_DEBUG && flat_is_amd()) {
		tap_skip("this CPU does not intercept INT3");
		guest_debug(0, 0);
		return;
	}
	tap_check(f.run->exit_reason == KVM_EXIT_DEBUG && f.run->debug.arch.exception == 3 &&
		  f.run->debug.arch.pc == flat_address(do_int3), "user space sees INT3");
	guest_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP, 0);
	flat_run(&f);
	tap_check(flat_at_port(&f, 3) && flat_frame(&f, 0) == flat_address(int3_end), "and gives it to the guest");
	guest_debug(0, 0);
}

/*
 * The length of an instruction has to be found where the CPU does not tell it. With nested paging a guest changes CR3 alone,
 * and QEMU sets the accessed bit in PDPTEs as it uses them.
 */
static void test_pae(void)
{
	struct kvm_regs r = { .rbx = FLAT_DATA + 0x20, .rcx = FAR + flat_address(pae_far) };
	uint64_t *pdpt = (uint64_t *)(f.memory + FLAT_DATA), *pd = (uint64_t *)(f.memory + FLAT_DATA + 0x1000);
	struct kvm_sregs s;

	pd[0] = 0x83;				/* 2 MiB */
	pdpt[0] = FLAT_DATA + 0x1001;
	pdpt[4] = pdpt[5] = pdpt[0];		/* another CR3's, with FAR */
	KVM(f.vcpu, KVM_GET_SREGS, &s);
	s.cr3 = FLAT_DATA;
	s.cr4 |= X86_CR4_PAE;
	s.cr0 |= X86_CR0_PG;
	KVM(f.vcpu, KVM_SET_SREGS, &s);
	alarm(60);				/* it would be executed for ever */
	flat_go(&f, pae_near, 0, &r);
	alarm(0);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rip >= FAR,
		  "CPUID of a guest with PAE paging, which has changed CR3, has an end");
	flat_set_mode(f.vcpu);
}

int main(void)
{
	flat_create_vm(&f);
	flat_create_vcpu(&f);
	test_pae();
	test_user_steps();
	test_step_over_shadow();
	test_step_over_halt();
	test_guest_steps();
	test_resume_flag();
	test_software_events();
	return tap_done();
}
