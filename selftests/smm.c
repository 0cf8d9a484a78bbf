// SPDX-License-Identifier: GPL-2.0
/*
 * Verify system-management mode: an SMI is taken between two instructions, the state-save area holds what
 * was, RSM brings it back, or what the handler made of it; SMIs, NMIs and INITs that come meanwhile wait;
 * memory of address space 1 is seen in this mode only and has a dirty log of its own; user space saves and
 * restores a vCPU in the mode; and what no CPU could be in shuts it down.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=intel kernel=6.1 cpus=1 timeout=900
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "flat.h"
#include "tap.h"

#define SMBASE		0xa0000u	/* no memory in address space 0 */
#define SMRAM_SIZE	0x20000u
#define ENTRY		0x8000u		/* from SMBASE */
#define STATE		0xfe00u
#define SPACE(n)	((n) << 16)
#define SMM_PORT	0x51

/* Offsets of the area that CPUs with long mode have, from STATE. */
#define S64_CS		0x010
#define S64_SMBASE	0x100
#define S64_REVISION	0x0fc
#define S64_CR4		0x148
#define S64_CR0		0x158
#define S64_RFLAGS	0x170
#define S64_RIP		0x178
#define S64_RAX		0x1f8
#define S64_RBX		0x1e0
/* ... and of the other one. */
#define S32_REVISION	0x0fc
#define S32_EIP		0x1f0
#define S32_EAX		0x1d0

#define MSR_SMI_COUNT	0x34
#define MSR_SMBASE	0x9e

#define ICR		0x300
#define ICR_SMI		0x200
#define ICR_SELF	0x40000

FLAT_CODE_BLOCK(
	"do_nops:	nop\n nop\n out %al, $0xff\n"
	"do_rsm:	rsm\n out %al, $0xff\n"
	"do_ud2:	ud2\n out %al, $0xff\n"
	"do_other:	out %al, $0x77\n"
	"do_read:	mov 0xa0000, %eax\n out %al, $0xff\n"
	"do_self:	movl $0x40200, 0xfee00300\n nop\n out %al, $0xff\n"
);
extern const char do_nops[], do_rsm[], do_ud2[], do_other[], do_read[], do_self[];

/* The handler, 16-bit: tells that it runs, marks its memory, goes back. */
static const unsigned char handler[] = {
	0xe6, SMM_PORT,					/* out %al, $0x51 */
	0x2e, 0xc7, 0x06, 0x00, 0x00, 0x34, 0x12,	/* movw $0x1234, %cs:0 */
	0x0f, 0xaa,					/* rsm */
};

static struct flat f;
static unsigned char *smram;

static uint64_t word(uint32_t at, int len)
{
	uint64_t value = 0;

	memcpy(&value, smram + STATE + at, len);
	return value;
}

static void set_word(uint32_t at, uint64_t value, int len)
{
	memcpy(smram + STATE + at, &value, len);
}

static int slot(uint32_t id, uint64_t gpa, uint64_t size, void *host, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = id, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return kvm_raw(f.vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static uint64_t msr(uint32_t index)
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e; } m = { .h.nmsrs = 1, .e.index = index };

	if (KVM(f.vcpu, KVM_GET_MSRS, &m) != 1)
		tap_fail("MSR %#x cannot be read", index);
	return m.e.data;
}

static void set_msr(uint32_t index, uint64_t value)
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e; } m = {
		.h.nmsrs = 1, .e = { .index = index, .data = value },
	};

	if (KVM(f.vcpu, KVM_SET_MSRS, &m) != 1)
		tap_fail("MSR %#x cannot be written", index);
}

static struct kvm_vcpu_events events(void)
{
	struct kvm_vcpu_events ev = {};

	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &ev);
	return ev;
}

static void make(bool long_mode)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } cpuid;

	flat_create_vm(&f);
	KVM(f.vm, KVM_CREATE_IRQCHIP, NULL);
	flat_create_vcpu(&f);
	if (!long_mode) {
		cpuid.list.nent = 256;
		KVM(f.vcpu, KVM_GET_CPUID2, &cpuid);
		for (unsigned int i = 0; i < cpuid.list.nent; i++)
			if (cpuid.list.entries[i].function == 0x80000001)
				cpuid.list.entries[i].edx &= ~(1u << 29);
		KVM(f.vcpu, KVM_SET_CPUID2, &cpuid);
	}
	smram = mmap(NULL, SMRAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (smram == MAP_FAILED)
		tap_fail("mmap");
	memcpy(smram + ENTRY, handler, sizeof(handler));
	if (slot(SPACE(1) | 0, SMBASE, SMRAM_SIZE, smram, KVM_MEM_LOG_DIRTY_PAGES))
		tap_fail("no slot in address space 1");
	set_msr(MSR_SMBASE, SMBASE);
}

static void drop(void)
{
	munmap(smram, SMRAM_SIZE);
	munmap(f.memory, FLAT_SIZE);
}

static bool in_handler(void)
{
	return flat_at_port(&f, SMM_PORT) && f.run->flags & KVM_RUN_X86_SMM;
}

static void send_smi(void)
{
	KVM(f.vcpu, KVM_SMI, NULL);
}

static uint64_t dirty(void)
{
	uint64_t bitmap = 0;
	struct kvm_dirty_log log = { .slot = SPACE(1), .dirty_bitmap = &bitmap };

	KVM(f.vm, KVM_GET_DIRTY_LOG, &log);
	return bitmap;
}

static void test_round_trip(void)
{
	struct kvm_regs r = { .rax = 0x1122, .rbx = 0x3344 };
	struct kvm_sregs before = {}, in = {}, after = {};

	KVM(f.vcpu, KVM_GET_SREGS, &before);
	flat_prepare(&f, do_nops, 0x8d5, &r);
	send_smi();
	tap_check(events().smi.pending && !events().smi.smm, "an SMI waits");
	flat_run(&f);
	tap_check(in_handler(), "the handler runs, and kvm_run says so");
	tap_check(!events().smi.pending && events().smi.smm, "KVM_GET_VCPU_EVENTS too");
	KVM(f.vcpu, KVM_GET_SREGS, &in);
	tap_check(in.cs.base == SMBASE && in.cs.selector == SMBASE >> 4 && in.ds.base == 0 && !(in.cr0 & 1) &&
		  in.cr4 == 0 && in.efer == 0, "in the mode's state");
	tap_check(word(S64_RIP, 8) == flat_address(do_nops) && word(S64_RFLAGS, 8) == 0x8d7 &&
		  word(S64_RAX, 8) == 0x1122 && word(S64_RBX, 8) == 0x3344 && word(S64_CR0, 8) == before.cr0 &&
		  word(S64_CR4, 8) == before.cr4 && word(S64_CS, 2) == FLAT_CS, "the state is saved");
	tap_check(word(S64_REVISION, 4) == 0x20064 && word(S64_SMBASE, 4) == SMBASE, "revision and SMBASE");
	flat_run(&f);
	r = flat_regs(&f);
	KVM(f.vcpu, KVM_GET_SREGS, &after);
	tap_check(flat_at_port(&f, FLAT_DONE) && !(f.run->flags & KVM_RUN_X86_SMM), "RSM goes back");
	tap_check(r.rax == 0x1122 && r.rbx == 0x3344 && r.rflags == 0x8d7, "to the registers");
	tap_check(!memcmp(&before, &after, sizeof(before)), "and to the system's");
	tap_check(!memcmp(smram, "\x34\x12", 2), "the handler's write is in its memory");
	tap_check(dirty() == (1 | 1ull << 15), "and in its log, beside the state");
	tap_check(!dirty(), "once");
	tap_check(msr(MSR_SMI_COUNT) == 1, "one SMI is counted");
	tap_check(flat_go(&f, do_read, 0, NULL) == KVM_EXIT_MMIO, "outside the mode its memory is not there");
}

static void test_changes(void)
{
	flat_prepare(&f, do_nops, 0, NULL);
	send_smi();
	flat_run(&f);
	set_word(S64_RIP, flat_address(do_other), 8);
	set_word(S64_SMBASE, SMBASE + 0x10000, 4);
	flat_run(&f);
	tap_check(flat_at_port(&f, 0x77), "RSM goes where the handler wants");
	tap_check(msr(MSR_SMBASE) == SMBASE + 0x10000, "SMBASE is relocated");
	memcpy(smram + 0x10000 + ENTRY, handler, sizeof(handler));
	flat_prepare(&f, do_nops, 0, NULL);
	send_smi();
	tap_check(flat_run(&f) == KVM_EXIT_IO && in_handler(), "the next SMI is taken there");
	flat_run(&f);
	set_msr(MSR_SMBASE, SMBASE);
}

static void test_waiting(void)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_vcpu_events ev;

	flat_prepare(&f, do_nops, 0, NULL);
	send_smi();
	flat_run(&f);
	send_smi();
	KVM(f.vcpu, KVM_NMI, NULL);
	ev = events();
	tap_check(ev.nmi.masked && !ev.smi.smm_inside_nmi, "NMIs are masked in the mode");
	tap_check(kvm_raw(f.vcpu, KVM_SET_MP_STATE, &mp) == -EINVAL, "INIT is not for user space to force");
	tap_check(flat_run(&f) == KVM_EXIT_IO && in_handler() && word(S64_RIP, 8) == flat_address(do_nops),
		  "an SMI that came in the mode is taken behind RSM");
	flat_run(&f);
	tap_check(flat_at_port(&f, 2), "then the NMI");
	/* Its handler has not executed IRET. */
	flat_prepare(&f, do_nops, 0, NULL);
	send_smi();
	flat_run(&f);
	tap_check(events().smi.smm_inside_nmi, "an SMI inside an NMI is told");
	flat_run(&f);
	tap_check(events().nmi.masked, "and RSM leaves NMIs masked");
	ev = events();
	ev.nmi.masked = 0;
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
}

static void test_exception_first(void)
{
	flat_prepare(&f, do_ud2, 0, NULL);
	flat_run(&f);
	tap_check(flat_at_port(&f, 6), "#UD arrives");
	flat_prepare(&f, do_nops, 0, NULL);
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS,
	    (&(struct kvm_vcpu_events){ .exception = { .injected = 1, .nr = 6 } }));
	send_smi();
	flat_run(&f);
	tap_check(in_handler() && word(S64_RIP, 8) == FLAT_HANDLERS + 4 * 6,
		  "an exception on its way comes before the SMI");
	flat_run(&f);
	tap_check(flat_at_port(&f, 6), "and its handler goes on behind RSM");
}

static void test_restore(void)
{
	struct kvm_vcpu_events ev;
	struct kvm_sregs sregs = {};
	struct kvm_regs regs;

	flat_prepare(&f, do_nops, 0, NULL);
	send_smi();
	flat_run(&f);
	f.run->immediate_exit = 1;
	flat_run(&f);
	f.run->immediate_exit = 0;
	ev = events();
	regs = flat_regs(&f);
	KVM(f.vcpu, KVM_GET_SREGS, &sregs);

	/* Elsewhere, and back, registers before the mode. */
	ev.flags |= KVM_VCPUEVENT_VALID_SMM;
	ev.smi.smm = 0;
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	flat_set_mode(f.vcpu);
	tap_check(flat_go(&f, do_read, 0, NULL) == KVM_EXIT_MMIO, "SET_VCPU_EVENTS leaves the mode");
	KVM(f.vcpu, KVM_SET_SREGS, &sregs);
	KVM(f.vcpu, KVM_SET_REGS, &regs);
	ev.smi.smm = 1;
	ev.smi.latched_init = 1;
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	tap_check(events().smi.smm && events().smi.latched_init, "and enters it, with an INIT that waits");
	ev.smi.latched_init = 0;
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rip > flat_address(do_nops), "RSM works then");
}

static void test_ipi(void)
{
	struct kvm_lapic_state lapic = {};

	KVM(f.vcpu, KVM_GET_LAPIC, &lapic);
	memcpy(lapic.regs + 0xf0, &(uint32_t){ 0x1ff }, 4);
	KVM(f.vcpu, KVM_SET_LAPIC, &lapic);
	flat_prepare(&f, do_self, 0, NULL);
	flat_run(&f);
	tap_check(in_handler(), "an SMI by the local APIC");
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE), "and back");
}

static void test_refusals(void)
{
	struct kvm_vcpu_events ev = {};
	uint64_t bitmap[2];
	struct kvm_dirty_log log = { .slot = SPACE(2), .dirty_bitmap = bitmap };

	flat_go(&f, do_rsm, 0, NULL);
	tap_check(flat_at_port(&f, 6), "RSM outside the mode is undefined");
	tap_check(slot(SPACE(2), 0x200000, 0x1000, smram, 0) == -EINVAL, "there is no address space 2");
	tap_check(kvm_raw(f.vm, KVM_GET_DIRTY_LOG, &log) == -EINVAL, "nor a log of it");
	tap_check(slot(SPACE(1) | 1, SMBASE, 0x1000, smram, 0) == -EEXIST, "slots of one space may not overlap");
	tap_check(slot(1, SMBASE + SMRAM_SIZE, 0x1000, smram, 0) == 0 && slot(1, 0, 0, NULL, 0) == 0,
		  "those of two may share memory");
	ev.flags = KVM_VCPUEVENT_VALID_SMM;
	ev.smi.smm = 1;
	KVM(f.vcpu, KVM_SET_MP_STATE, (&(struct kvm_mp_state){ KVM_MP_STATE_INIT_RECEIVED }));
	tap_check(kvm_raw(f.vcpu, KVM_SET_VCPU_EVENTS, &ev) == -EINVAL, "no mode for a vCPU that waits for a SIPI");
	KVM(f.vcpu, KVM_SET_MP_STATE, (&(struct kvm_mp_state){ KVM_MP_STATE_RUNNABLE }));
}

/* Long mode with PAE off: what no CPU could be in. */
static void test_shutdown(void)
{
	flat_set_mode(f.vcpu);
	flat_prepare(&f, do_nops, 0, NULL);
	send_smi();
	flat_run(&f);
	set_word(S64_CR0, 0x80000000, 8);
	tap_check(flat_run(&f) == KVM_EXIT_SHUTDOWN, "RSM into paging without protection shuts down");
	drop();

	make(true);
	flat_prepare(&f, do_nops, 0, NULL);
	set_msr(MSR_SMBASE, 0x40000000);
	send_smi();
	tap_check(kvm_raw(f.vcpu, KVM_RUN, NULL) == -EIO, "an SMI without memory at SMBASE kills the VM");
	tap_check(kvm_raw(f.vcpu, KVM_RUN, NULL) == -EIO, "which stays dead");
	drop();
}

static void test_without_long_mode(void)
{
	make(false);
	flat_prepare(&f, do_nops, 0, (&(struct kvm_regs){ .rax = 0x55 }));
	send_smi();
	flat_run(&f);
	tap_check(in_handler() && word(S32_REVISION, 4) == 0x20000 && word(S32_EIP, 4) == flat_address(do_nops) &&
		  word(S32_EAX, 4) == 0x55, "a guest without long mode has the older area");
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rax == 0x55, "and goes back by it");
	drop();
}

int main(void)
{
	int dev = device_open();

	REQUIRE_CAP(dev, KVM_CAP_X86_SMM);
	tap_check(kvm_cap(dev, KVM_CAP_MULTI_ADDRESS_SPACE) == 2, "two address spaces");
	make(true);
	test_round_trip();
	test_changes();
	test_waiting();
	test_exception_first();
	test_restore();
	test_ipi();
	test_refusals();
	test_shutdown();
	test_without_long_mode();
	return tap_done();
}
