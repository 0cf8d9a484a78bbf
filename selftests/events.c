// SPDX-License-Identifier: GPL-2.0
/*
 * Verify what user space is told of events that cannot be delivered, of interrupts that it delivers
 * itself, and of instructions that nobody can run: KVM_INTERNAL_ERROR_DELIVERY_EV and _EMULATION, shutdown,
 * the interrupt window, task priority.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <string.h>
#include <sys/mman.h>

#include "flat.h"
#include "tap.h"

FLAT_CODE_BLOCK(
	"do_ud2:	ud2\n"
	"do_out:	out %al, $0xff\n"
	"do_int:	int $0x40\n out %al, $0xff\n"
	"do_push:	pushl %eax\n out %al, $0xff\n"
	"do_sti:	sti\n nop\n sti_shadow_end: nop\n nop\n out %al, $0xff\n"
	"do_nops:	nop\n nop\n out %al, $0xff\n"
	"do_flds:	flds 0x100000\n do_flds_end: out %al, $0xff\n"
	"do_wait:	out %al, $0x70\n sti\n nop\n out %al, $0x71\n cli\n out %al, $0xff\n"
	".code64\n"
	"do_cr8:	mov %rax, %cr8\n out %al, $0xff\n"
	"get_cr8:	mov %cr8, %rax\n out %al, $0xff\n"
	".code32\n"
);
extern const char do_ud2[], do_out[], do_int[], do_push[], do_sti[], sti_shadow_end[], do_nops[], do_flds[], do_flds_end[], do_wait[],
	do_cr8[], get_cr8[];

static struct flat f;

static void set_idt(uint64_t base, uint16_t limit)
{
	struct kvm_sregs s = {};

	KVM(f.vcpu, KVM_GET_SREGS, &s);
	s.idt.base = base;
	s.idt.limit = limit;
	KVM(f.vcpu, KVM_SET_SREGS, &s);
}

static void clear_events(void)
{
	struct kvm_vcpu_events ev = {};

	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
}

/* Upstream's: exit information 2, exit reason, exit information 1, address, CPU. */
static bool delivery_error(uint64_t gpa)
{
	const struct kvm_run *run = f.run;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    run->internal.suberror == KVM_INTERNAL_ERROR_DELIVERY_EV && run->internal.ndata == 5 &&
	    run->internal.data[1] == (flat_is_amd() ? 0x400 : 48) && run->internal.data[3] == gpa &&
	    run->internal.data[4] < 4096)
		return true;
	tap_note("exit %u, suberror %u, %u words: %#llx %#llx %#llx %#llx %#llx", run->exit_reason,
		 run->internal.suberror, run->internal.ndata, run->internal.data[0], run->internal.data[1],
		 run->internal.data[2], run->internal.data[3], run->internal.data[4]);
	return false;
}

static void test_delivery_into_mmio(void)
{
	struct kvm_vcpu_events ev = {};
	struct kvm_regs r = {};

	set_idt(FLAT_MMIO, 0x7ff);
	flat_go(&f, do_ud2, 0, NULL);
	tap_check(delivery_error(FLAT_MMIO + 6 * 8), "an exception through an IDT that is no memory");
	tap_check(flat_regs(&f).rip == flat_address(do_ud2), "RIP is where it was");
	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &ev);
	tap_check(ev.exception.injected && ev.exception.nr == 6, "the exception is still on its way");
	set_idt(FLAT_IDT, 0x7ff);
	flat_run(&f);
	tap_check(flat_at_port(&f, 6) && flat_frame(&f, 0) == flat_address(do_ud2),
		  "and arrives when user space gives the guest an IDT");

	set_idt(FLAT_MMIO, 0x7ff);
	flat_go(&f, do_int, 0, NULL);
	tap_check(delivery_error(FLAT_MMIO + 0x40 * 8), "INT n");
	clear_events();
	set_idt(FLAT_IDT, 0x7ff);
	flat_go(&f, do_int, 0, NULL);
	tap_check(flat_at_port(&f, 0x40) && flat_frame(&f, 0) == flat_address(do_int) + 2, "which runs again as well");

	/* The stack: three words below the end of memory's neighbour. */
	flat_prepare(&f, do_ud2, 0, NULL);
	r = flat_regs(&f);
	r.rsp = FLAT_MMIO + 0x1000;
	KVM(f.vcpu, KVM_SET_REGS, &r);
	flat_run(&f);
	tap_check(f.run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
		  f.run->internal.suberror == KVM_INTERNAL_ERROR_DELIVERY_EV, "onto a stack that is none");
	clear_events();
	/* An instruction's own access there is no such error. */
	r.rip = flat_address(do_push);
	KVM(f.vcpu, KVM_SET_REGS, &r);
	tap_check(flat_run(&f) == KVM_EXIT_MMIO && f.run->mmio.phys_addr == FLAT_MMIO + 0xffc,
		  "a PUSH to it is an MMIO exit");
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE), "that goes on");
}

/* The delivery is the first to use the stack's page: it exits, and the interrupt has to come again. */
static void test_delivery_to_new_memory(void)
{
	static const uint32_t vectors[] = { 3, 4, 13, 0x50 };
	unsigned int i;

	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		struct kvm_interrupt irq = { .irq = vectors[i] };

		madvise(f.memory + FLAT_STACK - 4096, 4096, MADV_DONTNEED);
		KVM(f.vcpu, KVM_INTERRUPT, &irq);
		flat_go(&f, do_nops, FL_IF, NULL);
		tap_check(flat_at_port(&f, vectors[i]), "interrupt %u is delivered to memory that was not mapped", vectors[i]);
	}
}

/* What user space restores was taken already: neither RFLAGS.IF nor a shadow stops it. VMX refuses to enter so. */
static void test_restored_interrupt(void)
{
	struct kvm_vcpu_events ev = { .interrupt = { .injected = 1, .nr = 0x50 } };

	if (!flat_is_amd())
		return;
	flat_prepare(&f, do_nops, 0, NULL);
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	flat_run(&f);
	tap_check(flat_at_port(&f, 0x50), "an interrupt that is restored is taken with IF clear");
}

/* In a handler's frame. QEMU, up to 10.0 at least, takes an NMI for a fault, and pushes RF. */
static uint32_t pushed_flags(unsigned int index)
{
	return flat_frame(&f, index) & ~FL_RF;
}

/* SVM steps over the shadow, by flags of its own. */
static void test_nmi_in_shadow(void)
{
	struct kvm_vcpu_events ev = {
		.flags = KVM_VCPUEVENT_VALID_SHADOW, .interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS,
	};

	flat_prepare(&f, do_out, 0, NULL);
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	KVM(f.vcpu, KVM_NMI, NULL);
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rflags == FL_FIXED,
		  "an NMI waits for the end of a shadow, with RFLAGS as they were");
	flat_run(&f);
	tap_check(flat_at_port(&f, 2) && pushed_flags(2) == FL_FIXED, "and is taken there");
	/* Its handler does not return. */
	ev = (struct kvm_vcpu_events){};
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
}

/* It comes between the delivery and the handler, and nobody sees how the hypervisor stops there. */
static void test_nmi_behind_exception(void)
{
	struct kvm_vcpu_events ev = { .exception = { .injected = 1, .nr = 6 } };

	flat_prepare(&f, do_nops, 0, NULL);
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	KVM(f.vcpu, KVM_NMI, NULL);
	flat_run(&f);
	tap_check(flat_at_port(&f, 2), "an NMI that waits for an exception's delivery is taken behind it");
	tap_check(flat_frame(&f, 3) == flat_address(do_nops) && pushed_flags(2) == FL_FIXED && pushed_flags(5) == FL_FIXED,
		  "before the handler's first instruction, with RFLAGS as they were");
	clear_events();
}

/* User space may set both shadows; VMX has only one of them at a time. */
static void test_both_shadows(void)
{
	struct kvm_vcpu_events ev = {
		.flags = KVM_VCPUEVENT_VALID_SHADOW,
		.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI,
	};

	flat_prepare(&f, do_nops, FL_IF, NULL);
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE), "a vCPU with both shadows runs");
}

static void test_shutdown(void)
{
	struct kvm_sregs s = {};

	set_idt(FLAT_IDT, 0);
	tap_check(flat_go(&f, do_ud2, 0, NULL) == KVM_EXIT_SHUTDOWN, "no IDT at all: shutdown");
	KVM(f.vcpu, KVM_GET_SREGS, &s);
	if (flat_is_amd())
		tap_check(flat_regs(&f).rip == 0xfff0 && s.cs.base == 0xffff0000 && !(s.cr0 & 1),
			  "the vCPU is as after INIT, because SVM leaves nothing of it");
	clear_events();
	flat_set_mode(f.vcpu);
	flat_go(&f, do_nops, 0, NULL);
	tap_check(flat_at_port(&f, FLAT_DONE), "it can be used again");
}

static int run_with_window(bool request)
{
	f.run->request_interrupt_window = request;
	return flat_run(&f);
}

static void test_interrupt_window(void)
{
	struct kvm_interrupt irq = { .irq = 0x50 };

	flat_prepare(&f, do_nops, FL_IF, NULL);
	tap_check(run_with_window(true) == KVM_EXIT_IRQ_WINDOW_OPEN &&
		  f.run->ready_for_interrupt_injection && f.run->if_flag, "the window is open at once with IF set");
	run_with_window(false);
	tap_check(flat_at_port(&f, FLAT_DONE), "nobody who does not ask is told");

	flat_prepare(&f, do_wait, 0, NULL);
	run_with_window(true);
	tap_check(flat_at_port(&f, 0x70) && !f.run->if_flag && !f.run->ready_for_interrupt_injection,
		  "closed while the guest has interrupts off");
	tap_check(run_with_window(true) == KVM_EXIT_IRQ_WINDOW_OPEN && f.run->if_flag &&
		  f.run->ready_for_interrupt_injection &&
		  flat_regs(&f).rip >= flat_address(do_wait) + 3, "open when it has turned them on");
	KVM(f.vcpu, KVM_INTERRUPT, &irq);
	run_with_window(false);
	tap_check(flat_at_port(&f, 0x50), "the interrupt is taken there");
	tap_check(!f.run->if_flag && !f.run->ready_for_interrupt_injection, "its handler has them off");

	flat_prepare(&f, do_sti, 0, NULL);
	tap_check(run_with_window(true) == KVM_EXIT_IRQ_WINDOW_OPEN &&
		  flat_regs(&f).rip >= flat_address(sti_shadow_end), "the window opens behind STI's shadow");

	flat_prepare(&f, do_nops, FL_IF, NULL);
	KVM(f.vcpu, KVM_INTERRUPT, &irq);
	run_with_window(true);
	tap_check(flat_at_port(&f, 0x50), "a queued interrupt goes before the window");
	f.run->request_interrupt_window = 0;
	irq.irq = 256;
	tap_check(kvm_raw(f.vcpu, KVM_INTERRUPT, &irq) == -22, "vector 256");
}

/* The guest's user mode; its handlers' segment lets them stay there. */
static void enter_user_mode(void)
{
	const uint64_t conforming = 0x00cf9f000000ffff;
	struct kvm_sregs s = {};

	memcpy(f.memory + FLAT_GDT + FLAT_CS, &conforming, sizeof(conforming));
	KVM(f.vcpu, KVM_GET_SREGS, &s);
	s.cs.dpl = s.ss.dpl = 3;
	s.cs.selector |= 3;
	s.ss.selector |= 3;
	KVM(f.vcpu, KVM_SET_SREGS, &s);
}

static bool told_of_instruction(void)
{
	const struct kvm_run *run = f.run;
	unsigned int size = do_flds_end - do_flds;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    run->emulation_failure.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES &&
	    run->emulation_failure.insn_size >= size && !memcmp(run->emulation_failure.insn_bytes, do_flds, size) &&
	    flat_regs(&f).rip == flat_address(do_flds))
		return true;
	tap_note("exit %u, suberror %u", run->exit_reason, run->internal.suberror);
	return false;
}

/* A load of the FPU's from where no memory is. */
static void test_emulation_failure(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = { 1 } };
	struct kvm_regs r;

	flat_go(&f, do_flds, 0, NULL);
	tap_check(told_of_instruction(), "what cannot be emulated ends KVM_RUN, with its bytes");
	clear_events();
	enter_user_mode();
	flat_go(&f, do_flds, FL_IOPL, NULL);
	tap_check(flat_at_port(&f, 6) && flat_frame(&f, 0) == flat_address(do_flds),
		  "but a user program gets #UD for it");
	KVM(f.vm, KVM_ENABLE_CAP, &cap);
	enter_user_mode();
	flat_go(&f, do_flds, FL_IOPL, NULL);
	tap_check(told_of_instruction(), "unless user space has asked to be told");
	r = flat_regs(&f);
	r.rip = flat_address(do_flds_end);
	KVM(f.vcpu, KVM_SET_REGS, &r);
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE), "and goes on when that has done its work");
	flat_set_mode(f.vcpu);
}

/* CR8 exists in 64-bit mode only: identity page tables of 1 GiB would do, 2 MiB are everywhere. */
static void enter_long_mode(void)
{
	struct kvm_segment code = { .limit = ~0u, .type = 11, .s = 1, .present = 1, .l = 1, .g = 1,
				    .selector = FLAT_CS };
	uint64_t *tables = (uint64_t *)(f.memory + FLAT_STACK);
	struct kvm_sregs s = {};

	tables[0] = (FLAT_STACK + 0x1000) | 3;
	tables[512] = (FLAT_STACK + 0x2000) | 3;
	tables[1024] = 0x83;
	KVM(f.vcpu, KVM_GET_SREGS, &s);
	s.cs = code;
	s.cr3 = FLAT_STACK;
	s.cr4 |= 0x20;
	s.cr0 |= 0x80000001;
	s.efer |= 0x500;
	KVM(f.vcpu, KVM_SET_SREGS, &s);
}

static void test_task_priority(void)
{
	enter_long_mode();
	f.run->cr8 = 3;
	flat_go(&f, do_cr8, 0, &(struct kvm_regs){ .rax = 5 });
	tap_check(flat_at_port(&f, FLAT_DONE) && f.run->cr8 == 5, "a higher task priority is nobody's business");
	tap_check(flat_go(&f, do_cr8, 0, &(struct kvm_regs){ .rax = 2 }) == KVM_EXIT_SET_TPR && f.run->cr8 == 2,
		  "a lower one is user space's");
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE), "that goes on behind the instruction");
	flat_go(&f, get_cr8, 0, NULL);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rax == 2, "the guest reads what it wrote");
	f.run->cr8 = 9;
	flat_go(&f, get_cr8, 0, NULL);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rax == 9, "and what user space wrote");
}

int main(void)
{
	flat_create_vm(&f);
	flat_create_vcpu(&f);
	test_delivery_into_mmio();
	test_interrupt_window();
	test_delivery_to_new_memory();
	test_restored_interrupt();
	test_nmi_in_shadow();
	test_nmi_behind_exception();
	test_both_shadows();
	test_shutdown();
	test_emulation_failure();
	test_task_priority();
	return tap_done();
}
