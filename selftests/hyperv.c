// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that enlightenments do what the kernel's own tests of them leave out: capabilities and who may
 * do what, SynIC pages, messages and EOIs, timers by message and by vector, connections to eventfds,
 * crash and reset, routes to SINTs, CPUID's invariant-TSC bit, and that MSRs can be moved to another VM.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apic.h"
#include "flat.h"
#include "tap.h"

#define MSR_GUEST_OS_ID		0x40000000
#define MSR_HYPERCALL		0x40000001
#define MSR_VP_INDEX		0x40000002
#define MSR_RESET		0x40000003
#define MSR_VP_RUNTIME		0x40000010
#define MSR_REF_COUNT		0x40000020
#define MSR_REF_TSC		0x40000021
#define MSR_HV_EOI		0x40000070
#define MSR_HV_ICR		0x40000071
#define MSR_HV_TPR		0x40000072
#define MSR_VP_ASSIST		0x40000073
#define MSR_SCONTROL		0x40000080
#define MSR_SVERSION		0x40000081
#define MSR_SIEFP		0x40000082
#define MSR_SIMP		0x40000083
#define MSR_EOM			0x40000084
#define MSR_SINT(n)		(0x40000090 + (n))
#define MSR_STIMER_CONFIG(n)	(0x400000b0 + 2 * (n))
#define MSR_STIMER_COUNT(n)	(0x400000b1 + 2 * (n))
#define MSR_DEBUG_CONTROL	0x400000f1
#define MSR_DEBUG_STATUS	0x400000f2
#define MSR_DEBUG_SEND		0x400000f3
#define MSR_CRASH_P(n)		(0x40000100 + (n))
#define MSR_CRASH_CTL		0x40000105
#define MSR_TSC_EMULATION_STATUS 0x40000108
#define MSR_TSC_INVARIANT	0x40000118

#define SINT_MASKED		(1ull << 16)
#define SINT_AUTO_EOI		(1ull << 17)
#define TIMER_ON		1ull
#define TIMER_PERIODIC		2ull
#define TIMER_AUTO		8ull
#define TIMER_DIRECT		(1ull << 12)
#define TIMER_VECTOR(v)		((uint64_t)(v) << 4)
#define TIMER_SINT(n)		((uint64_t)(n) << 16)
#define MS			10000		/* of the reference time's 100 ns */

#define CALL_SIGNAL		(0x5d | 1 << 16)	/* fast */
#define CALL_POST_MESSAGE	0x5c
#define CALL_SEND_IPI		0x0b
#define CALL_SEND_IPI_EX	0x15
#define CALL_FLUSH_EX		0x13
#define CALL_FAST		(1ull << 16)
#define CALL_VAR(n)		((uint64_t)(n) << 17)
#define CALL_REPS(n)		((uint64_t)(n) << 32)
#define STATUS_INVALID_CODE	2
#define STATUS_INVALID_INPUT	3

#define EVENT_PAGE		0x17000u
#define MESSAGE_PAGE		0x18000u
#define CALL_PAGE		0x19000u
#define INPUT_PAGE		0x1a000u
#define ASSIST_PAGE		0x1b000u
#define NO_MEMORY		0x40000000u

#define MESSAGE_TIMER		0x80000010u

FLAT_CODE_BLOCK(
	"do_wrmsr:	wrmsr\n out %al, $0xff\n"
	"do_rdmsr:	rdmsr\n out %al, $0xff\n"
	"do_call:	call *%ebp\n out %al, $0xff\n"
	"do_halt:	sti\n hlt\n cli\n out %al, $0xff\n"
	"do_cpuid:	cpuid\n out %al, $0xff\n"
);
extern const char do_wrmsr[], do_rdmsr[], do_call[], do_halt[], do_cpuid[];

static struct flat f;

struct message {
	uint32_t type;
	uint8_t size, flags, reserved[2];
	uint64_t sender, payload[30];
};

static struct message *slot(int sint)
{
	return (struct message *)(f.memory + MESSAGE_PAGE) + sint;
}

/* The plain leaves, and all enlightenments that are offered. */
static void give_cpuid(void)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } all, hv;
	unsigned int i, n = 0;

	all.list.nent = 200;
	KVM(f.sys, KVM_GET_SUPPORTED_CPUID, &all);
	hv.list.nent = 32;
	KVM(f.vcpu, KVM_GET_SUPPORTED_HV_CPUID, &hv);
	for (i = 0; i < all.list.nent; i++)
		if (all.entries[i].function >> 8 != 0x400000)
			all.entries[n++] = all.entries[i];
	for (i = 0; i < hv.list.nent; i++)
		all.entries[n++] = hv.entries[i];
	all.list.nent = n;
	KVM(f.vcpu, KVM_SET_CPUID2, &all);
}

static void open_vm(bool enlightened)
{
	flat_create_vm(&f);
	KVM_VALUE(f.vm, KVM_CREATE_IRQCHIP, 0);
	flat_create_vcpu(&f);
	if (enlightened)
		give_cpuid();
	apic_put(f.vcpu, APIC_SPIV, APIC_ENABLE);
}

static void close_vm(void)
{
	munmap(f.run, KVM_VALUE(f.sys, KVM_GET_VCPU_MMAP_SIZE, 0));
	munmap(f.memory, FLAT_SIZE);
	close(f.vcpu);
	close(f.vm);
	close(f.sys);
}

static int enable(int fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	return kvm_raw(fd, KVM_ENABLE_CAP, &enable);
}

/* The guest does it: true when it got past the instruction. */
static bool guest_write(uint32_t msr, uint64_t value)
{
	struct kvm_regs r = { .rcx = msr, .rax = (uint32_t)value, .rdx = value >> 32 };

	flat_go(&f, do_wrmsr, 0, &r);
	return flat_at_port(&f, FLAT_DONE);
}

static bool got_gp(void)
{
	return flat_at_port(&f, 13);
}

static bool guest_write_faults(uint32_t msr, uint64_t value)
{
	return !guest_write(msr, value) && got_gp();
}

static uint64_t guest_read(uint32_t msr)
{
	struct kvm_regs r = { .rcx = msr };

	flat_go(&f, do_rdmsr, 0, &r);
	if (!flat_at_port(&f, FLAT_DONE))
		return ~0ull;
	r = flat_regs(&f);
	return r.rdx << 32 | (uint32_t)r.rax;
}

static bool guest_read_faults(uint32_t msr)
{
	struct kvm_regs r = { .rcx = msr };

	flat_go(&f, do_rdmsr, 0, &r);
	return got_gp();
}

/* A hypercall up to its end or an exit. */
static void guest_call(uint64_t control, uint64_t input, uint64_t output)
{
	struct kvm_regs r = {
		.rbp = CALL_PAGE,
		.rdx = control >> 32, .rax = (uint32_t)control,
		.rbx = input >> 32, .rcx = (uint32_t)input,
		.rdi = output >> 32, .rsi = (uint32_t)output,
	};

	flat_go(&f, do_call, 0, &r);
}

static uint64_t call_result(void)
{
	struct kvm_regs r = flat_regs(&f);

	return r.rdx << 32 | (uint32_t)r.rax;
}

static uint64_t guest_calls(uint64_t control, uint64_t input, uint64_t output)
{
	guest_call(control, input, output);
	return flat_at_port(&f, FLAT_DONE) ? call_result() : ~0ull;
}

static void open_hypercalls(void)
{
	if (!guest_write(MSR_GUEST_OS_ID, 0x8100000000000000ull) || !guest_write(MSR_HYPERCALL, CALL_PAGE | 1))
		tap_fail("hypercalls cannot be set up");
}

/* The guest waits with interrupts on: the vector that ends it, or -1 after @ms. */
static int guest_waits(int ms)
{
	struct kvm_mp_state running = { .mp_state = KVM_MP_STATE_RUNNABLE };
	int r;

	flat_prepare(&f, do_halt, 0, NULL);
	r = run_for(f.vcpu, ms);
	KVM(f.vcpu, KVM_SET_MP_STATE, &running);
	return r || f.run->exit_reason != KVM_EXIT_IO ? -1 : f.run->io.port;
}

/* End the interrupt in service, and those that came meanwhile. */
static void drain(void)
{
	do
		guest_write(MSR_HV_EOI, 0);
	while (guest_waits(20) >= 0);
}

static bool synic_exit(uint32_t msr)
{
	const struct kvm_hyperv_exit *e = &f.run->hyperv;

	return f.run->exit_reason == KVM_EXIT_HYPERV && e->type == KVM_EXIT_HYPERV_SYNIC &&
	       e->u.synic.msr == msr;
}

/* A write that user space is told of: the exit, then the end. */
static bool guest_write_reported(uint32_t msr, uint64_t value)
{
	bool reported;

	guest_write(msr, value);
	reported = synic_exit(msr);
	flat_run(&f);
	return reported && flat_at_port(&f, FLAT_DONE);
}

static void test_capabilities(void)
{
	static const int caps[] = {
		KVM_CAP_HYPERV, KVM_CAP_HYPERV_VAPIC, KVM_CAP_HYPERV_SPIN, KVM_CAP_HYPERV_TIME,
		KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2, KVM_CAP_HYPERV_VP_INDEX,
		KVM_CAP_HYPERV_EVENTFD, KVM_CAP_HYPERV_TLBFLUSH, KVM_CAP_HYPERV_SEND_IPI,
		KVM_CAP_HYPERV_CPUID, KVM_CAP_SYS_HYPERV_CPUID, KVM_CAP_HYPERV_ENFORCE_CPUID,
	};
	struct kvm_enable_cap flagged = { .cap = KVM_CAP_HYPERV_SYNIC, .flags = 1 };
	struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[32]; } list = { .list.nent = 9 };
	unsigned int i, n = 0;

	flat_create_vm(&f);
	for (i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		n += kvm_cap(f.vm, caps[i]) == 1 && kvm_cap(f.sys, caps[i]) == 1;
	tap_check(n == i, "%u of %u capabilities", n, i);
	tap_check(!kvm_cap(f.vm, KVM_CAP_HYPERV_DIRECT_TLBFLUSH) || kvm_cap(f.vm, KVM_CAP_NESTED_STATE),
		  "no direct flush without nesting");
	tap_check(kvm_raw(f.sys, KVM_GET_SUPPORTED_HV_CPUID, &list) == -E2BIG, "CPUID: too little room");
	list.list.nent = 32;
	tap_check(!kvm_raw(f.sys, KVM_GET_SUPPORTED_HV_CPUID, &list) && list.list.nent == 10,
		  "CPUID: the number of entries comes back");
	tap_check(kvm_raw(f.sys, KVM_GET_SUPPORTED_HV_CPUID, (void *)8) == -EFAULT, "CPUID: a bad address");
	tap_check(enable(f.vm, KVM_CAP_HYPERV_SYNIC, 0) == -EINVAL, "SynIC is a vCPU's");

	flat_create_vcpu(&f);
	tap_check(enable(f.vcpu, KVM_CAP_HYPERV_SYNIC, 0) == -EINVAL &&
		  enable(f.vcpu, KVM_CAP_HYPERV_SYNIC2, 0) == -EINVAL, "no SynIC without local APIC");
	close_vm();

	open_vm(false);
	tap_check(enable(f.vcpu, KVM_CAP_HYPERV_SYNIC2, 1) == -EINVAL, "SynIC 2 takes no argument");
	tap_check(kvm_raw(f.vcpu, KVM_ENABLE_CAP, &flagged) == -EINVAL, "SynIC takes no flag");
	tap_check(enable(f.vcpu, KVM_CAP_HYPERV_SYNIC2, 0) == 0, "SynIC 2");
	tap_check(enable(f.vcpu, KVM_CAP_HYPERV_SYNIC, 0) == 0, "SynIC again");
	tap_check(enable(f.vcpu, KVM_CAP_HYPERV_ENFORCE_CPUID, 1) == 0, "enforcement");
	close_vm();
}

static void test_access(void)
{
	open_vm(false);
	tap_check(guest_read_faults(MSR_GUEST_OS_ID) && guest_write_faults(MSR_REF_TSC, 0),
		  "without the CPUID leaves a guest has no such MSRs");
	tap_check(msr_write(f.vcpu, MSR_GUEST_OS_ID, 5) && msr_get(f.vcpu, MSR_GUEST_OS_ID) == 5,
		  "user space has them");
	tap_check(!msr_write(f.vcpu, MSR_SCONTROL, 1) && msr_write(f.vcpu, MSR_SCONTROL, 0) &&
		  !msr_write(f.vcpu, MSR_STIMER_COUNT(1), 7) && msr_write(f.vcpu, MSR_STIMER_COUNT(1), 0),
		  "only zeroes for a SynIC that is not there");
	tap_check(guest_read_faults(MSR_GUEST_OS_ID), "the guest still does not");
	close_vm();

	open_vm(true);
	tap_check(guest_read_faults(MSR_SCONTROL) && guest_write_faults(MSR_STIMER_CONFIG(0), 1),
		  "no SynIC before it is enabled");
	tap_check(guest_write_faults(MSR_VP_INDEX, 1) && guest_write_faults(MSR_REF_COUNT, 1) &&
		  guest_write_faults(MSR_VP_RUNTIME, 1) && guest_write_faults(MSR_TSC_EMULATION_STATUS, 1),
		  "the guest cannot write what is read-only");
	tap_check(!msr_write(f.vcpu, MSR_VP_INDEX, 1 << 20) && msr_write(f.vcpu, MSR_VP_INDEX, 5) &&
		  guest_read(MSR_VP_INDEX) == 5, "the VP index is user space's, and bounded");
	tap_check(guest_write_faults(MSR_VP_ASSIST, NO_MEMORY | 1), "an assist page that is no memory");
	memset(f.memory + ASSIST_PAGE, 0xa5, 8);
	tap_check(guest_write(MSR_VP_ASSIST, ASSIST_PAGE | 1) && f.memory[ASSIST_PAGE] == 0 &&
		  f.memory[ASSIST_PAGE + 4] == 0xa5, "the first word of an assist page is cleared");
	tap_check(guest_write(MSR_HYPERCALL, CALL_PAGE | 1) && guest_read(MSR_HYPERCALL) == 0,
		  "no hypercalls for a guest without a name");
	tap_check(guest_write(MSR_GUEST_OS_ID, 1) && guest_write_faults(MSR_HYPERCALL, NO_MEMORY | 1),
		  "a hypercall page that is no memory");
	tap_check(guest_write(MSR_HV_TPR, 0x30) && apic_get(f.vcpu, APIC_TASKPRI) == 0x30 &&
		  guest_read(MSR_HV_TPR) == 0x30 && guest_write_faults(MSR_HV_TPR, 1ull << 32), "TPR by MSR");
	tap_check(guest_write(MSR_HV_ICR, 0x4041) && apic_took(f.vcpu, 0x41) && guest_read(MSR_HV_ICR) == 0x4041,
		  "an IPI by MSR, in xAPIC mode");
	tap_check(guest_read_faults(MSR_HV_EOI), "EOI cannot be read");
	close_vm();
}

static void test_pages(bool keep)
{
	const char *how = keep ? "SynIC 2" : "SynIC";

	open_vm(true);
	enable(f.vcpu, keep ? KVM_CAP_HYPERV_SYNIC2 : KVM_CAP_HYPERV_SYNIC, 0);
	memset(f.memory + MESSAGE_PAGE, 0xa5, 4096);
	tap_check(guest_read(MSR_SCONTROL) == 1 && guest_read(MSR_SVERSION) == 1 &&
		  guest_read(MSR_SINT(15)) == SINT_MASKED, "%s: registers at reset", how);
	tap_check(guest_write_reported(MSR_SIMP, MESSAGE_PAGE | 1), "%s: user space learns of the message page", how);
	tap_check(f.memory[MESSAGE_PAGE] == (keep ? 0xa5 : 0) &&
		  f.memory[MESSAGE_PAGE + 4095] == (keep ? 0xa5 : 0), "%s: the page is %s", how,
		  keep ? "left alone" : "cleared");
	guest_write(MSR_SCONTROL, 1);
	tap_check(synic_exit(MSR_SCONTROL) && f.run->hyperv.u.synic.control == 1 &&
		  f.run->hyperv.u.synic.msg_page == (MESSAGE_PAGE | 1), "%s: what user space is told", how);
	tap_check(keep ? guest_write_reported(MSR_SIEFP, NO_MEMORY | 1) : guest_write_faults(MSR_SIEFP, NO_MEMORY | 1),
		  "%s: an event page that is no memory", how);
	tap_check(guest_write_faults(MSR_SVERSION, 1), "%s: the version is read-only", how);
	tap_check(guest_write_faults(MSR_SINT(0), 15) && guest_write(MSR_SINT(0), SINT_MASKED) &&
		  guest_write(MSR_SINT(0), 16), "%s: vectors below 16", how);
	tap_check(msr_write(f.vcpu, MSR_SIMP, MESSAGE_PAGE), "%s: user space writes it without an exit", how);
	close_vm();
}

/* A SynIC with its message page, and SINT n at vector 0x50 + n. */
static void open_synic(void)
{
	int n;

	open_vm(true);
	enable(f.vcpu, KVM_CAP_HYPERV_SYNIC, 0);
	if (!guest_write_reported(MSR_SIMP, MESSAGE_PAGE | 1))
		tap_fail("no message page");
	for (n = 0; n < 16; n++)
		if (!guest_write(MSR_SINT(n), 0x50 + n))
			tap_fail("no SINT");
}

static void test_messages(void)
{
	uint64_t before;

	open_synic();
	guest_write(MSR_STIMER_COUNT(1), 1);
	before = guest_read(MSR_REF_COUNT);
	guest_write(MSR_STIMER_CONFIG(1), TIMER_ON | TIMER_SINT(2));
	tap_check(guest_waits(2000) == 0x52, "timer: a time in the past comes at once");
	tap_check(slot(2)->type == MESSAGE_TIMER && slot(2)->size == 24 && (uint32_t)slot(2)->payload[0] == 1 &&
		  slot(2)->payload[1] == 1 && slot(2)->payload[2] >= before, "timer: its message");
	tap_check(guest_read(MSR_STIMER_CONFIG(1)) == TIMER_SINT(2), "timer: it is off after one shot");
	tap_check(apic_vector(f.vcpu, APIC_ISR, 0x52), "timer: its interrupt is in service");

	/* The slot is taken: the second message waits for the first to go. */
	slot(2)->payload[3] = 0x1234;
	guest_write(MSR_STIMER_CONFIG(3), TIMER_ON | TIMER_SINT(2));
	guest_write(MSR_STIMER_COUNT(3), 2);
	guest_read(MSR_SCONTROL);
	tap_check(slot(2)->flags & 1 && (uint32_t)slot(2)->payload[0] == 1 && slot(2)->payload[3] == 0x1234,
		  "message: a slot that is taken is flagged, and left alone");
	slot(2)->type = 0;
	guest_write(MSR_EOM, 0);
	guest_read(MSR_SCONTROL);
	tap_check(slot(2)->type == MESSAGE_TIMER && (uint32_t)slot(2)->payload[0] == 3 && !slot(2)->flags,
		  "message: EOM brings the next");
	tap_check(guest_write(MSR_HV_EOI, 0) && !apic_vector(f.vcpu, APIC_ISR, 0x52) &&
		  guest_waits(2000) == 0x52, "message: and its interrupt after EOI");

	/* The same by an EOI alone. */
	guest_write(MSR_STIMER_COUNT(0), 3);
	guest_write(MSR_STIMER_CONFIG(0), TIMER_ON | TIMER_SINT(2));
	guest_read(MSR_SCONTROL);
	slot(2)->type = 0;
	guest_write(MSR_HV_EOI, 0);
	guest_read(MSR_SCONTROL);
	tap_check(slot(2)->type == MESSAGE_TIMER && (uint32_t)slot(2)->payload[0] == 0,
		  "message: EOI of the SINT brings the next");
	close_vm();
}

static void test_timers(void)
{
	uint64_t now;
	int i, n = 0;

	open_synic();
	now = guest_read(MSR_REF_COUNT);
	guest_write(MSR_STIMER_COUNT(0), now + 50 * MS);
	guest_write(MSR_STIMER_CONFIG(0), TIMER_ON | TIMER_DIRECT | TIMER_VECTOR(0x61));
	tap_check(guest_waits(5000) == 0x61 && guest_read(MSR_REF_COUNT) >= now + 50 * MS,
		  "direct: it wakes a halted vCPU, not too early");
	tap_check(!slot(0)->type && guest_read(MSR_STIMER_CONFIG(0)) == (TIMER_DIRECT | TIMER_VECTOR(0x61)),
		  "direct: no message, and off");
	guest_write(MSR_HV_EOI, 0);

	guest_write(MSR_STIMER_CONFIG(1), TIMER_AUTO | TIMER_PERIODIC | TIMER_DIRECT | TIMER_VECTOR(0x62));
	tap_check(guest_waits(20) == -1, "auto-enable: nothing before the count");
	guest_write(MSR_STIMER_COUNT(1), 20 * MS);
	for (i = 0; i < 3; i++) {
		n += guest_waits(5000) == 0x62;
		guest_write(MSR_HV_EOI, 0);
	}
	tap_check(n == 3 && guest_read(MSR_STIMER_CONFIG(1)) & TIMER_ON, "periodic: it goes on");
	guest_write(MSR_STIMER_COUNT(1), 0);
	tap_check(!(guest_read(MSR_STIMER_CONFIG(1)) & TIMER_ON), "a count of 0 stops it");
	drain();

	guest_write(MSR_STIMER_CONFIG(2), TIMER_ON | TIMER_PERIODIC | TIMER_DIRECT | TIMER_VECTOR(0x63));
	tap_check(guest_waits(20) == -1, "a period of 0 is none");
	guest_write(MSR_STIMER_CONFIG(2), TIMER_AUTO | TIMER_PERIODIC | TIMER_DIRECT | TIMER_VECTOR(0x63));
	guest_write(MSR_STIMER_COUNT(2), 1);
	for (i = n = 0; i < 20; i++)
		n += guest_read(MSR_VP_INDEX) == 0;
	tap_check(n == 20, "the shortest period leaves the guest time to run");
	guest_write(MSR_STIMER_COUNT(2), 0);
	drain();

	guest_write(MSR_STIMER_CONFIG(3), TIMER_ON | TIMER_SINT(3));
	guest_write(MSR_STIMER_CONFIG(3), TIMER_ON);
	tap_check(guest_read(MSR_STIMER_CONFIG(3)) == 0, "a timer that loses its SINT is disabled");
	guest_write(MSR_STIMER_COUNT(3), ~0ull);
	guest_write(MSR_STIMER_CONFIG(3), TIMER_ON | TIMER_PERIODIC | TIMER_SINT(3));
	tap_check(guest_waits(20) == -1, "the longest period");
	close_vm();
}

static void test_auto_eoi(void)
{
	open_synic();
	guest_write(MSR_SINT(4), 0x71 | SINT_AUTO_EOI);
	guest_write(MSR_STIMER_COUNT(0), 1);
	guest_write(MSR_STIMER_CONFIG(0), TIMER_ON | TIMER_SINT(4));
	tap_check(guest_waits(2000) == 0x71 && !apic_vector(f.vcpu, APIC_ISR, 0x71),
		  "AutoEOI: an interrupt that is never in service");
	slot(4)->type = 0;
	guest_write(MSR_SINT(4), 0x71);
	guest_write(MSR_STIMER_CONFIG(0), TIMER_ON | TIMER_SINT(4));
	tap_check(guest_waits(2000) == 0x71 && apic_vector(f.vcpu, APIC_ISR, 0x71), "AutoEOI: switched off");
	guest_write(MSR_SINT(4), SINT_MASKED | 0x71);
	slot(4)->type = 0;
	guest_write(MSR_HV_EOI, 0);
	guest_write(MSR_STIMER_CONFIG(0), TIMER_ON | TIMER_SINT(4));
	tap_check(guest_waits(50) == -1, "a masked SINT raises nothing");
	close_vm();
}

static int connection(uint32_t id, int fd, uint32_t flags)
{
	struct kvm_hyperv_eventfd arg = { .conn_id = id, .fd = fd, .flags = flags };

	return kvm_raw(f.vm, KVM_HYPERV_EVENTFD, &arg);
}

static bool signalled(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) && count == 1;
}

static void test_connections(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	open_synic();
	tap_check(connection(7, -1, 0) == -EBADF && connection(7, f.vm, 0) == -EINVAL,
		  "connection: not an eventfd");
	tap_check(connection(7, fd, 2) == -EINVAL && connection(1 << 24, fd, 0) == -EINVAL,
		  "connection: unknown flags, too large an ID");
	tap_check(connection(7, fd, KVM_HYPERV_EVENTFD_DEASSIGN) == -ENOENT, "connection: none to take away");
	tap_check(connection(7, fd, 0) == 0 && connection(7, fd, 0) == -EEXIST, "connection: one for an ID");
	open_hypercalls();
	tap_check(guest_calls(CALL_SIGNAL, 7, 0) == 0 && signalled(fd) && !signalled(fd), "signal: fast");
	*(uint64_t *)(f.memory + INPUT_PAGE) = 7;
	tap_check(guest_calls(0x5d, INPUT_PAGE, 0) == 0 && signalled(fd), "signal: from memory");
	tap_check(guest_calls(0x5d, INPUT_PAGE + 4, 0) == 4 && guest_calls(0x5d, NO_MEMORY, 0) == 4,
		  "signal: misplaced input");
	tap_check(guest_calls(CALL_SIGNAL | CALL_REPS(1), 7, 0) == STATUS_INVALID_INPUT &&
		  guest_calls(CALL_SIGNAL | CALL_VAR(1), 7, 0) == STATUS_INVALID_INPUT &&
		  guest_calls(CALL_SIGNAL | 1ull << 31, 7, 0) == STATUS_INVALID_INPUT &&
		  guest_calls(CALL_SIGNAL, 1ull << 50, 0) == STATUS_INVALID_INPUT, "signal: malformed calls");

	guest_call(CALL_SIGNAL, 8, 0);
	tap_check(f.run->exit_reason == KVM_EXIT_HYPERV && f.run->hyperv.type == KVM_EXIT_HYPERV_HCALL &&
		  f.run->hyperv.u.hcall.input == CALL_SIGNAL && f.run->hyperv.u.hcall.params[0] == 8,
		  "signal: an ID that only user space may know");
	f.run->hyperv.u.hcall.result = 0x1200000018;
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && call_result() == 0x1200000018, "user space's result");
	guest_call(CALL_POST_MESSAGE, INPUT_PAGE, 0);
	tap_check(f.run->exit_reason == KVM_EXIT_HYPERV && f.run->hyperv.u.hcall.params[0] == INPUT_PAGE,
		  "messages are user space's");
	flat_run(&f);
	tap_check(guest_calls(0x7fff, 0, 0) == STATUS_INVALID_CODE, "an unknown call");
	tap_check(connection(7, -1, KVM_HYPERV_EVENTFD_DEASSIGN) == 0, "connection: taken away");
	guest_call(CALL_SIGNAL, 7, 0);
	tap_check(f.run->exit_reason == KVM_EXIT_HYPERV && !signalled(fd), "signal: no longer");
	connection(9, fd, 0);	/* goes with the VM */
	close_vm();
	close(fd);
}

/* Sets of processors are counted, and end where the input does. */
static void test_sets(void)
{
	struct { uint32_t vector, reserved; uint64_t format, valid, bank[64]; } *ipi;
	const uint32_t end = FLAT_SIZE - 5 * 8;

	open_synic();
	open_hypercalls();
	tap_check(guest_calls(CALL_SEND_IPI | CALL_FAST, 0x81, 1) == 0 && apic_took(f.vcpu, 0x81), "IPI: fast");
	tap_check(guest_calls(CALL_SEND_IPI | CALL_FAST, 0x0f, 1) == STATUS_INVALID_INPUT &&
		  guest_calls(CALL_SEND_IPI | CALL_FAST, 0x100, 1) == STATUS_INVALID_INPUT &&
		  guest_calls(CALL_SEND_IPI | CALL_FAST, 1ull << 32 | 0x81, 1) == STATUS_INVALID_INPUT,
		  "IPI: no such vector");
	tap_check(guest_calls(CALL_SEND_IPI | CALL_FAST, 0x81, ~1ull) == 0 && !apic_took(f.vcpu, 0x81),
		  "IPI: processors that are not there");
	ipi = (void *)(f.memory + end);
	ipi->vector = 0x82;
	ipi->format = 0;
	ipi->valid = 1;
	ipi->bank[0] = 1;
	tap_check(guest_calls(CALL_SEND_IPI_EX | CALL_VAR(1), end, 0) == 0 && apic_took(f.vcpu, 0x82),
		  "set: one word");
	tap_check(guest_calls(CALL_SEND_IPI_EX | CALL_VAR(2), end, 0) == STATUS_INVALID_INPUT,
		  "set: more words than its mask says");
	ipi->valid = 3;
	ipi->bank[1] = 0;
	tap_check(guest_calls(CALL_SEND_IPI_EX | CALL_VAR(2), end, 0) == 0 && apic_took(f.vcpu, 0x82),
		  "set: up to the end of memory");
	ipi->valid = ~0ull;
	tap_check(guest_calls(CALL_SEND_IPI_EX | CALL_VAR(64), end, 0) == STATUS_INVALID_INPUT,
		  "set: beyond the end of memory");
	tap_check(guest_calls(CALL_SEND_IPI_EX | CALL_VAR(1023), end, 0) == STATUS_INVALID_INPUT,
		  "set: more words than there can be");
	ipi->valid = 0;
	ipi->format = 1;
	tap_check(guest_calls(CALL_SEND_IPI_EX, end, 0) == 0 && apic_took(f.vcpu, 0x82), "set: everybody");
	tap_check(guest_calls(CALL_FLUSH_EX | CALL_FAST | CALL_VAR(64), 0, 0) == STATUS_INVALID_INPUT,
		  "flush: more words than registers");
	tap_check(guest_calls(CALL_FLUSH_EX, NO_MEMORY, 0) == STATUS_INVALID_INPUT, "flush: input that is no memory");
	memset(f.memory + INPUT_PAGE, 0, 64);
	tap_check(guest_calls(0x02, INPUT_PAGE, 0) == 0 && guest_calls(0x03, INPUT_PAGE, 0) == STATUS_INVALID_INPUT &&
		  guest_calls(0x03 | CALL_REPS(2), INPUT_PAGE, 0) == CALL_REPS(2), "flush: of all, and of a list");
	close_vm();
}

static bool system_event(uint32_t type)
{
	return f.run->exit_reason == KVM_EXIT_SYSTEM_EVENT && f.run->system_event.type == type;
}

static void test_crash(void)
{
	open_vm(true);
	guest_write(MSR_CRASH_P(0), 0xdead);
	guest_write(MSR_CRASH_P(4), 0xbeef);
	tap_check(guest_write(MSR_CRASH_CTL, 1ull << 62), "crash: without notification nothing happens");
	guest_write(MSR_CRASH_CTL, 1ull << 63);
	tap_check(system_event(KVM_SYSTEM_EVENT_CRASH) && msr_get(f.vcpu, MSR_CRASH_P(0)) == 0xdead &&
		  msr_get(f.vcpu, MSR_CRASH_P(4)) == 0xbeef, "crash: user space is told, and can read why");
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE), "crash: the guest goes on");
	tap_check(msr_write(f.vcpu, MSR_CRASH_CTL, ~0ull) && guest_read(MSR_CRASH_CTL) == 1ull << 63,
		  "crash: user space says what is there");
	tap_check(guest_write(MSR_RESET, 2), "reset: only by 1");
	guest_write(MSR_RESET, 1);
	tap_check(system_event(KVM_SYSTEM_EVENT_RESET), "reset");
	flat_run(&f);

	tap_check(guest_write(MSR_DEBUG_SEND, 0x5000), "debugger: a page");
	guest_write(MSR_DEBUG_CONTROL, 0x11);
	tap_check(f.run->exit_reason == KVM_EXIT_HYPERV && f.run->hyperv.type == KVM_EXIT_HYPERV_SYNDBG &&
		  f.run->hyperv.u.syndbg.msr == MSR_DEBUG_CONTROL && f.run->hyperv.u.syndbg.control == 0x11 &&
		  f.run->hyperv.u.syndbg.send_page == 0x5000, "debugger: user space does the work");
	f.run->hyperv.u.syndbg.status = 0x77;
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && guest_read(MSR_DEBUG_STATUS) == 0x77, "debugger: its status");
	close_vm();
}

static int set_sint_route(uint32_t gsi, uint32_t vp, uint32_t sint, uint32_t flags)
{
	struct { struct kvm_irq_routing head; struct kvm_irq_routing_entry entry; } r = { .head.nr = 1 };

	r.entry.gsi = gsi;
	r.entry.type = KVM_IRQ_ROUTING_HV_SINT;
	r.entry.flags = flags;
	r.entry.u.hv_sint.vcpu = vp;
	r.entry.u.hv_sint.sint = sint;
	return kvm_raw(f.vm, KVM_SET_GSI_ROUTING, &r);
}

static int raise_line(uint32_t gsi)
{
	struct kvm_irq_level line = { .irq = gsi, .level = 1 };

	KVM(f.vm, KVM_IRQ_LINE_STATUS, &line);
	return (int)line.status;
}

static void test_routes(void)
{
	int event = eventfd(0, EFD_NONBLOCK), resample = eventfd(0, EFD_NONBLOCK);
	struct kvm_irqfd irqfd = { .fd = event, .gsi = 40, .flags = KVM_IRQFD_FLAG_RESAMPLE,
				   .resamplefd = resample };
	uint64_t one = 1;

	open_vm(true);
	tap_check(set_sint_route(40, 0, 5, 1) == -EINVAL, "route: no flags");
	tap_check(set_sint_route(40, 0, 5, 0) == 0, "route: before there is a SynIC");
	tap_check(raise_line(40) < 0, "route: nobody is there");
	enable(f.vcpu, KVM_CAP_HYPERV_SYNIC, 0);
	tap_check(raise_line(40) < 0, "route: a masked SINT");
	guest_write(MSR_SINT(5), 0x55);
	tap_check(raise_line(40) == 1 && apic_took(f.vcpu, 0x55), "route: to the SINT's vector");
	KVM(f.vm, KVM_IRQFD, &irqfd);
	write(event, &one, sizeof(one));
	tap_check(guest_waits(2000) == 0x55, "route: from an eventfd");
	guest_write(MSR_HV_EOI, 0);
	tap_check(signalled(resample), "route: EOI tells the device");
	guest_write(MSR_EOM, 0);
	tap_check(signalled(resample), "route: EOM too");
	tap_check(msr_write(f.vcpu, MSR_VP_INDEX, 9) && raise_line(40) < 0 && set_sint_route(40, 9, 5, 0) == 0 &&
		  raise_line(40) == 1, "route: by VP index");
	tap_check(set_sint_route(40, 9, 16, 0) == 0 && raise_line(40) < 0 &&
		  set_sint_route(40, ~0u, 5, 0) == 0 && raise_line(40) < 0, "route: to what cannot be");
	close_vm();
	close(event);
	close(resample);
}

static uint32_t invariant_tsc(void)
{
	struct kvm_regs r = { .rax = 0x80000007 };

	flat_go(&f, do_cpuid, 0, &r);
	return flat_regs(&f).rdx >> 8 & 1;
}

static void test_invariant_tsc(void)
{
	uint32_t offered;

	open_vm(false);
	offered = invariant_tsc();
	close_vm();
	if (!offered) {
		tap_skip("no invariant TSC here");
		return;
	}
	open_vm(true);
	tap_check(!invariant_tsc(), "invariant TSC: hidden");
	tap_check(guest_write_faults(MSR_TSC_INVARIANT, 2), "invariant TSC: reserved bits");
	tap_check(guest_write(MSR_TSC_INVARIANT, 1) && invariant_tsc(), "invariant TSC: shown when asked for");
	tap_check(guest_write_faults(MSR_TSC_INVARIANT, 0), "invariant TSC: it stays");
	close_vm();
}

static void test_enforcement(void)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[4]; } bare;

	open_vm(false);
	bare.entries[0] = (struct kvm_cpuid_entry2) { .function = 0x40000001, .eax = 0x31237648 };
	bare.entries[1] = (struct kvm_cpuid_entry2) { .function = 0x40000003, .eax = 1 << 5 };
	bare.list.nent = 2;
	KVM(f.vcpu, KVM_SET_CPUID2, &bare);
	tap_check(guest_write(MSR_CRASH_P(0), 1) && guest_read(MSR_VP_INDEX) == 0, "not enforced: everything is there");
	enable(f.vcpu, KVM_CAP_HYPERV_ENFORCE_CPUID, 1);
	tap_check(guest_write_faults(MSR_CRASH_P(0), 1) && guest_read_faults(MSR_VP_INDEX) &&
		  guest_write(MSR_GUEST_OS_ID, 1), "enforced: what CPUID shows");
	tap_check(msr_write(f.vcpu, MSR_CRASH_P(0), 1), "enforced: not for user space");
	enable(f.vcpu, KVM_CAP_HYPERV_ENFORCE_CPUID, 0);
	tap_check(guest_write(MSR_CRASH_P(0), 1), "no longer enforced");
	close_vm();
}

static const struct { uint32_t msr; uint64_t value; } saved[] = {
	{ MSR_GUEST_OS_ID, 0x8100000000000000ull }, { MSR_HYPERCALL, CALL_PAGE | 1 }, { MSR_VP_INDEX, 3 },
	{ MSR_SCONTROL, 1 }, { MSR_SIEFP, EVENT_PAGE | 1 }, { MSR_SIMP, MESSAGE_PAGE | 1 },
	{ MSR_SINT(2), 0x52 }, { MSR_SINT(3), 0x53 | SINT_AUTO_EOI },
	{ MSR_STIMER_CONFIG(0), TIMER_ON | TIMER_SINT(2) }, { MSR_STIMER_COUNT(0), 1 },
	{ MSR_VP_ASSIST, ASSIST_PAGE | 1 }, { MSR_CRASH_P(2), 77 }, { MSR_TSC_EMULATION_STATUS, 1 },
	{ MSR_TSC_INVARIANT, 1 },
};
#define NR_SAVED ((int)(sizeof(saved) / sizeof(saved[0])))

static void test_restore(bool backwards)
{
	const char *how = backwards ? "backwards" : "forwards";
	int i, ok = 1;

	open_vm(true);
	enable(f.vcpu, KVM_CAP_HYPERV_SYNIC2, 0);
	/* The page of hypercalls needs the guest's name. */
	msr_write(f.vcpu, saved[0].msr, saved[0].value);
	for (i = 0; i < NR_SAVED; i++)
		ok &= msr_write(f.vcpu, saved[backwards ? NR_SAVED - 1 - i : i].msr,
				saved[backwards ? NR_SAVED - 1 - i : i].value);
	for (i = 0; i < NR_SAVED; i++)
		ok &= msr_get(f.vcpu, saved[i].msr) == saved[i].value;
	tap_check(ok, "restore %s: every value", how);
	tap_check(guest_waits(2000) == 0x52 && slot(2)->type == MESSAGE_TIMER, "restore %s: the timer runs", how);
	close_vm();
}

int main(void)
{
	f.sys = device_open();
	REQUIRE_CAP(f.sys, KVM_CAP_HYPERV_SYNIC2);
	close(f.sys);
	test_capabilities();
	test_access();
	test_pages(false);
	test_pages(true);
	test_messages();
	test_timers();
	test_auto_eoi();
	test_connections();
	test_sets();
	test_crash();
	test_routes();
	test_invariant_tsc();
	test_enforcement();
	test_restore(false);
	test_restore(true);
	return tap_done();
}
