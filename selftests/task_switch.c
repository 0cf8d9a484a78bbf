// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that events which call a task, through a gate of the IDT, switch to it once: what the old TSS
 * saves, what the new task finds, error codes, NMIs.
 *
 * On Intel CPUs a task switch exits and is emulated. On AMD ones too, but QEMU's does it by itself.
 *
 * nestor-test: cpu=amd kernel=6.1 cpus=1 timeout=600
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 */
#include <string.h>

#include "flat.h"
#include "tap.h"

#define OLD_TSS		FLAT_DATA
#define NEW_TSS		(FLAT_DATA + 0x100)
#define NEW_STACK	(FLAT_STACK - 0x2000)
#define SEL_OLD		0x20
#define SEL_NEW		0x28
#define TSS_EIP		32
#define TSS_FLAGS	36

FLAT_CODE_BLOCK(
	"do_ud2:	ud2\n"
	"do_int:	int $0x40\n int_end: out %al, $0xff\n"
	"do_int3:	int3\n int3_end: out %al, $0xff\n"
	"do_int1:	.byte 0xf1\n int1_end: out %al, $0xff\n"
	/* QEMU cannot begin the push of the error code again: have the page of the new stack mapped. */
	"do_gp:		mov $0x1000, %eax\n mov %eax, 0xdf00\n gp_at: mov %eax, %ds\n"
	"do_nop:	nop\n out %al, $0xff\n"
	"new_task:	out %al, $0xfe\n iret\n out %al, $0xfd\n"
);
extern const char do_ud2[], do_int[], int_end[], do_int3[], int3_end[], do_int1[], int1_end[], do_gp[], gp_at[],
	do_nop[], new_task[];

static struct flat f;

static void put(uint32_t at, uint32_t value)
{
	memcpy(f.memory + at, &value, sizeof(value));
}

static uint32_t get(uint32_t at)
{
	uint32_t value;

	memcpy(&value, f.memory + at, sizeof(value));
	return value;
}

static void put_tss_descriptor(unsigned int selector, uint32_t base, unsigned int type)
{
	uint64_t d = 0x67 | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(0x80 | type) << 40 |
		     (uint64_t)(base >> 24) << 56;

	memcpy(f.memory + FLAT_GDT + selector, &d, sizeof(d));
}

/* Two tasks; every exception and vector 0x40 calls the second. */
static void two_tasks(void)
{
	static const unsigned int vectors[] = { 1, 2, 3, 6, 13, 0x40 };
	struct kvm_sregs s = {};
	unsigned int i;

	memset(f.memory + OLD_TSS, 0, 0x200);
	put_tss_descriptor(SEL_OLD, OLD_TSS, 11);
	put_tss_descriptor(SEL_NEW, NEW_TSS, 9);
	put(NEW_TSS + TSS_EIP, flat_address(new_task));
	put(NEW_TSS + TSS_FLAGS, FL_FIXED);
	put(NEW_TSS + 56, NEW_STACK);
	for (i = 0; i < 6; i++)
		put(NEW_TSS + 72 + 4 * i, i == 1 ? FLAT_CS : FLAT_DS);
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		uint64_t gate = (uint64_t)SEL_NEW << 16 | 0x8500ull << 32;

		memcpy(f.memory + FLAT_IDT + 8 * vectors[i], &gate, sizeof(gate));
	}
	flat_set_mode(f.vcpu);
	KVM(f.vcpu, KVM_GET_SREGS, &s);
	s.tr = (struct kvm_segment){ .base = OLD_TSS, .limit = 0x67, .selector = SEL_OLD, .type = 11,
				     .present = 1 };
	KVM(f.vcpu, KVM_SET_SREGS, &s);
}

static bool in_new_task(uint32_t saved_eip, uint32_t sp)
{
	struct kvm_sregs s = {};

	KVM(f.vcpu, KVM_GET_SREGS, &s);
	if (flat_at_port(&f, 0xfe) && s.tr.selector == SEL_NEW && get(OLD_TSS + TSS_EIP) == saved_eip &&
	    flat_regs(&f).rsp == sp && (get(NEW_TSS) & 0xffff) == SEL_OLD)
		return true;
	tap_note("exit %u, TR %#x, saved EIP %#x (expected %#x), ESP %#llx", f.run->exit_reason, s.tr.selector,
		 get(OLD_TSS + TSS_EIP), saved_eip, flat_regs(&f).rsp);
	return false;
}

static void test_events(void)
{
	static const struct {
		const char *name, *begin, *saved;
	} events[] = {
		{ "INT n", do_int, int_end }, { "INT3", do_int3, int3_end }, { "INT1", do_int1, int1_end },
		{ "a fault", do_ud2, do_ud2 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		two_tasks();
		flat_go(&f, events[i].begin, 0, NULL);
		tap_check(in_new_task(flat_address(events[i].saved), NEW_STACK), "%s calls the task", events[i].name);
		tap_check(!(get(OLD_TSS + TSS_FLAGS) & FL_RF) == (events[i].begin != do_ud2),
			  "%s: the old TSS has RF if it is to be executed again", events[i].name);
	}
	two_tasks();
	flat_go(&f, do_gp, 0, NULL);
	tap_check(in_new_task(flat_address(gp_at), NEW_STACK - 4) && get(NEW_STACK - 4) == 0x1000,
		  "a fault with an error code has it on the new stack");

	two_tasks();
	flat_go(&f, do_int, 0, NULL);
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rip >= flat_address(int_end),
		  "IRET switches back, behind the instruction");
}

static void test_nmi(void)
{
	struct kvm_vcpu_events ev = {};

	two_tasks();
	flat_prepare(&f, do_nop, 0, NULL);
	KVM(f.vcpu, KVM_NMI, NULL);
	flat_run(&f);
	tap_check(in_new_task(flat_address(do_nop), NEW_STACK), "an NMI calls the task");
	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &ev);
	tap_check(!ev.nmi.injected && !ev.nmi.pending && ev.nmi.masked, "once, and blocks others");
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE), "its IRET switches back");
	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &ev);
	tap_check(!ev.nmi.masked, "and ends the blocking");
}

static void test_injected(void)
{
	struct kvm_vcpu_events ev = {};

	two_tasks();
	flat_prepare(&f, do_nop, 0, NULL);
	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &ev);
	ev.exception.injected = 1;
	ev.exception.nr = 13;
	ev.exception.has_error_code = 1;
	ev.exception.error_code = 0x50;
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	flat_run(&f);
	tap_check(in_new_task(flat_address(do_nop), NEW_STACK - 4) && get(NEW_STACK - 4) == 0x50,
		  "an exception that user space injects calls the task");
	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &ev);
	tap_check(!ev.exception.injected, "and is over");
}

int main(void)
{
	flat_create_vm(&f);
	flat_create_vcpu(&f);
	test_events();
	test_nmi();
	test_injected();
	return tap_done();
}
