// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that KVM's paravirtual interfaces do what they promise: hypercalls, EOIs through memory, the preempted flag of
 * steal time with its TLB flush, the VAPIC word and task-priority reports; and that they refuse what cannot be.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3
 * nestor-test: cpu=intel kernel=6.1 timeout=900
 * nestor-test: cpu=intel kernel=6.1 params=apic_accel=none timeout=900
 */
#include <errno.h>
#include <linux/kvm_para.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apic.h"
#include "flat.h"
#include "guest.h"
#include "tap.h"

#define BASE		"0xfee00000"
#define EOI_WORD	0x8000
#define VAPIC_WORD	0x8010
#define VAPIC_FRESH	0xd000
#define STEAL		0x8040
#define CLOCKS		0x8100
#define NOWHERE		0x40000000ull
#define VECTOR		0x50
#define IPIS		20

FLAT_CODE_BLOCK(
	"vmcall_once:	vmcall\n out %al, $0xff\n"
	"vmmcall_once:	vmmcall\n out %al, $0xff\n"
	/* EBX IPIs to itself, one after the other. */
	"self_ipis:	movl $0x1ff, " BASE " + 0xf0\n xor %esi, %esi\n xor %edi, %edi\n sti\n"
	"1:	movl $0x40050, " BASE " + 0x300\n nop\n nop\n dec %ebx\n jnz 1b\n cli\n out %al, $0xff\n"
	/* Counts in ESI the interrupts that it needs not end itself, in EDI the others. */
	"eoi_handler:	btrl $0, 0x8000\n jnc 1f\n inc %esi\n iret\n"
	"1:	movl $0, " BASE " + 0xb0\n inc %edi\n iret\n"
	"write_tpr:	movl $0x20, " BASE " + 0x80\n out %al, $0xff\n"
	"read_tpr:	movl " BASE " + 0x80, %eax\n out %al, $0xff\n"
	"patched_tpr:	movb $0x30, 0x8010\n out %al, $0xff\n"
	"halt:	sti\n1: hlt\n jmp 1b\n"
	"nothing:	nop\n out %al, $0xff\n"
);
extern const char vmcall_once[], vmmcall_once[], self_ipis[], eoi_handler[], write_tpr[], read_tpr[],
	patched_tpr[], halt[], nothing[];

static struct flat f;

static bool sets(uint32_t msr, uint64_t value)
{
	return msr_write(f.vcpu, msr, value) == 1;
}

static void test_msrs(void)
{
	uint64_t value;

	tap_check(!sets(MSR_KVM_PV_EOI_EN, EOI_WORD | 3), "PV EOI: not aligned");
	tap_check(!sets(MSR_KVM_PV_EOI_EN, NOWHERE | 1), "PV EOI: no memory");
	tap_check(sets(MSR_KVM_PV_EOI_EN, NOWHERE), "PV EOI: off, anywhere");
	tap_check(sets(MSR_KVM_PV_EOI_EN, EOI_WORD | 1) && msr_get(f.vcpu, MSR_KVM_PV_EOI_EN) == (EOI_WORD | 1),
		  "PV EOI: on");
	tap_check(sets(MSR_KVM_PV_EOI_EN, 0), "PV EOI: off");
	tap_check(!sets(MSR_KVM_STEAL_TIME, STEAL | 3), "steal time: reserved bits");
	tap_check(!sets(MSR_KVM_POLL_CONTROL, 2), "poll control: reserved bits");
	tap_check(msr_get(f.vcpu, MSR_KVM_POLL_CONTROL) == 1 && sets(MSR_KVM_POLL_CONTROL, 0) &&
		  sets(MSR_KVM_POLL_CONTROL, 1), "poll control: one bit");
	tap_check(!sets(MSR_KVM_ASYNC_PF_EN, STEAL | 0x10) && !sets(MSR_KVM_ASYNC_PF_EN, STEAL | 0x20),
		  "async page faults: reserved bits");
	tap_check(!sets(MSR_KVM_ASYNC_PF_EN, NOWHERE | 9), "async page faults: no memory");
	tap_check(!sets(MSR_KVM_ASYNC_PF_INT, 0x100), "async page faults: vectors have 8 bits");
	tap_check(sets(MSR_KVM_ASYNC_PF_INT, 0xf3) && msr_get(f.vcpu, MSR_KVM_ASYNC_PF_INT) == 0xf3 &&
		  sets(MSR_KVM_ASYNC_PF_INT, 0), "async page faults: vector");
	tap_check(sets(MSR_KVM_ASYNC_PF_ACK, 1) && msr_get(f.vcpu, MSR_KVM_ASYNC_PF_ACK) == 0,
		  "async page faults: acknowledge reads as zero");
	tap_check(msr_read(f.vcpu, MSR_KVM_MIGRATION_CONTROL, &value) == 0,
		  "migration control is user space's to offer");
}

static void test_without_apic(void)
{
	int vm = KVM_VALUE(f.sys, KVM_CREATE_VM, 0);
	int cpu = KVM_VALUE(vm, KVM_CREATE_VCPU, 0);
	struct kvm_vapic_addr addr = {};

	tap_check(!msr_write(cpu, MSR_KVM_ASYNC_PF_EN, 9) && msr_write(cpu, MSR_KVM_ASYNC_PF_EN, 0),
		  "without an APIC: no async page faults");
	tap_check(!msr_write(cpu, MSR_KVM_ASYNC_PF_INT, 0), "without an APIC: nor their vector");
	tap_check(kvm_raw(cpu, KVM_SET_VAPIC_ADDR, &addr) == -EINVAL, "without an APIC: no VAPIC");
	close(cpu);
	close(vm);
}

static int enable(int fd, uint32_t cap, uint32_t flags, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .flags = flags, .args[0] = arg };

	return kvm_raw(fd, KVM_ENABLE_CAP, &c);
}

static void test_caps(void)
{
	tap_check(kvm_cap(f.vm, KVM_CAP_ASYNC_PF) == 1 && kvm_cap(f.vm, KVM_CAP_ASYNC_PF_INT) == 1 &&
		  kvm_cap(f.vm, KVM_CAP_HALT_POLL) == 1 && kvm_cap(f.vm, KVM_CAP_EXIT_HYPERCALL) == 1 << 12,
		  "caps: values");
	tap_check(enable(f.vm, KVM_CAP_EXIT_HYPERCALL, 0, 1) == -EINVAL &&
		  enable(f.vm, KVM_CAP_EXIT_HYPERCALL, 1, 1 << 12) == -EINVAL &&
		  enable(f.vcpu, KVM_CAP_EXIT_HYPERCALL, 0, 1 << 12) == -EINVAL, "caps: exit hypercall");
	tap_check(enable(f.vm, KVM_CAP_HALT_POLL, 0, 1ull << 32) == -EINVAL &&
		  enable(f.vm, KVM_CAP_HALT_POLL, 1, 0) == -EINVAL &&
		  enable(f.vcpu, KVM_CAP_HALT_POLL, 0, 0) == -EINVAL, "caps: halt polling");
	tap_check(!enable(f.vm, KVM_CAP_HALT_POLL, 0, 100000), "caps: halt polling, 100 us");
	tap_check(enable(f.vm, KVM_CAP_ASYNC_PF, 0, 0) == -EINVAL, "caps: async page faults are not enabled");
}

static struct kvm_regs hypercall_regs(uint32_t nr, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3)
{
	return (struct kvm_regs){ .rax = nr, .rbx = a0, .rcx = a1, .rdx = a2, .rsi = a3 };
}

static int hypercall(uint32_t nr, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3)
{
	struct kvm_regs r = hypercall_regs(nr, a0, a1, a2, a3);

	flat_go(&f, flat_is_amd() ? vmmcall_once : vmcall_once, 0, &r);
	if (!flat_at_port(&f, FLAT_DONE))
		return INT32_MIN;
	return flat_regs(&f).rax;
}

static void test_map_gpa_range(void)
{
	tap_check(hypercall(KVM_HC_MAP_GPA_RANGE, 0x1000, 1, 0, 0) == -KVM_ENOSYS, "map GPA range: not asked for");
	if (enable(f.vm, KVM_CAP_EXIT_HYPERCALL, 0, 1 << KVM_HC_MAP_GPA_RANGE))
		tap_fail("KVM_CAP_EXIT_HYPERCALL");
	tap_check(hypercall(KVM_HC_MAP_GPA_RANGE, 0x1001, 1, 0, 0) == -KVM_EINVAL &&
		  hypercall(KVM_HC_MAP_GPA_RANGE, 0x1000, 0, 0, 0) == -KVM_EINVAL, "map GPA range: bad ranges");
	hypercall(KVM_HC_MAP_GPA_RANGE, 0x1000, 3, 0x10, 0);
	tap_check(f.run->exit_reason == KVM_EXIT_HYPERCALL && f.run->hypercall.nr == KVM_HC_MAP_GPA_RANGE &&
		  f.run->hypercall.args[0] == 0x1000 && f.run->hypercall.args[1] == 3 &&
		  f.run->hypercall.args[2] == 0x10 && !f.run->hypercall.longmode, "map GPA range: exit");
	f.run->hypercall.ret = 0x1234;
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rax == 0x1234, "map GPA range: answer");
}

static void test_hypercalls(void)
{
	struct { int64_t sec, nsec; uint64_t tsc; uint32_t flags; } *pair = (void *)(f.memory + CLOCKS);
	int r;

	tap_check(hypercall(0x777, 0, 0, 0, 0) == -KVM_ENOSYS, "an unknown hypercall");
	tap_check(hypercall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0) == 0, "poll irq");
	tap_check(hypercall(KVM_HC_KICK_CPU, 0, 0, 0, 0) == 0 && hypercall(KVM_HC_KICK_CPU, 0, 99, 0, 0) == 0,
		  "kick: somebody, nobody");
	tap_check(hypercall(KVM_HC_SCHED_YIELD, 0, 0, 0, 0) == 0 && hypercall(KVM_HC_SCHED_YIELD, 99, 0, 0, 0) == 0,
		  "yield: to itself, to nobody");
	apic_put(f.vcpu, APIC_SPIV, APIC_ENABLE);
	tap_check(hypercall(KVM_HC_SEND_IPI, 1, 0, 0, VECTOR) == 1 && apic_took(f.vcpu, VECTOR), "IPI: to one");
	tap_check(hypercall(KVM_HC_SEND_IPI, 2, 0, 0, VECTOR) == 0, "IPI: to nobody");
	tap_check(hypercall(KVM_HC_SEND_IPI, 1, 0, 0, 0x800 | VECTOR) == -KVM_EINVAL, "IPI: logical");
	tap_check(hypercall(KVM_HC_CLOCK_PAIRING, CLOCKS, 1, 0, 0) == -KVM_EOPNOTSUPP, "clock pairing: another type");
	r = hypercall(KVM_HC_CLOCK_PAIRING, CLOCKS, 0, 0, 0);
	tap_check(r == -KVM_EOPNOTSUPP || (r == 0 && pair->sec > 1000000000 && pair->nsec < 1000000000 && pair->tsc),
		  "clock pairing: %d, %lld s", r, (long long)pair->sec);
	if (!r)
		tap_check(hypercall(KVM_HC_CLOCK_PAIRING, NOWHERE, 0, 0, 0) == -KVM_EFAULT, "clock pairing: no memory");
	test_map_gpa_range();
}

/* Only what the guest's CPUID announces. The leaf has been changed before the vCPU ran. */
static void test_enforced(void)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } cpuid;
	struct flat old = f;

	flat_create_vm(&f);
	KVM(f.vm, KVM_CREATE_IRQCHIP, NULL);
	flat_create_vcpu(&f);
	cpuid.list.nent = 256;
	KVM(f.sys, KVM_GET_SUPPORTED_CPUID, &cpuid);
	for (uint32_t i = 0; i < cpuid.list.nent; i++)
		if (cpuid.entries[i].function == 0x40000001)
			cpuid.entries[i].eax = 0;
	KVM(f.vcpu, KVM_SET_CPUID2, &cpuid);
	tap_check(hypercall(KVM_HC_SCHED_YIELD, 0, 0, 0, 0) == 0, "not enforced: a guest that does not look is served");
	tap_check(!enable(f.vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 0, 1), "CPUID is enforced");
	tap_check(hypercall(KVM_HC_SCHED_YIELD, 0, 0, 0, 0) == -KVM_ENOSYS &&
		  hypercall(KVM_HC_SEND_IPI, 1, 0, 0, VECTOR) == -KVM_ENOSYS &&
		  hypercall(KVM_HC_KICK_CPU, 0, 0, 0, 0) == -KVM_ENOSYS, "enforced: hypercalls");
	/* User space may write 0 to any MSR that is listed. */
	tap_check(!sets(MSR_KVM_PV_EOI_EN, EOI_WORD | 1) && !sets(MSR_KVM_ASYNC_PF_EN, STEAL | 9) &&
		  !sets(MSR_KVM_ASYNC_PF_INT, 0xf3) && !sets(MSR_KVM_ASYNC_PF_ACK, 1) &&
		  sets(MSR_KVM_PV_EOI_EN, 0), "enforced: MSRs");
	close(f.vcpu);
	close(f.vm);
	f = old;
}

static void set_gate(uint8_t vector, const char *label)
{
	uint32_t at = flat_address(label), gate[2] = { FLAT_CS << 16 | (at & 0xffff), (at & ~0xffffu) | 0x8e00 };

	memcpy(f.memory + FLAT_IDT + vector * 8, gate, sizeof(gate));
}

static int64_t counter(const char *name)
{
	struct guest g = { .fd = f.vm, .cpu = { f.vcpu } };

	return guest_counter(&g, 0, name);
}

static void test_pv_eoi(void)
{
	uint32_t *word = (uint32_t *)(f.memory + EOI_WORD);
	int64_t before;
	struct kvm_regs r;

	apic_put(f.vcpu, APIC_SPIV, APIC_ENABLE);
	/* AVIC keeps off where the PIC interrupts. */
	apic_put(f.vcpu, APIC_LVT0, 0x10000);
	set_gate(VECTOR, eoi_handler);
	*word = 0;
	flat_go(&f, self_ipis, 0, &(struct kvm_regs){ .rbx = IPIS });
	r = flat_regs(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && r.rsi == 0 && r.rdi == IPIS, "EOI: off, %lld by the register",
		  (long long)r.rdi);
	before = counter("pv_eois");
	if (!sets(MSR_KVM_PV_EOI_EN, EOI_WORD | 1))
		tap_fail("MSR_KVM_PV_EOI_EN");
	flat_go(&f, self_ipis, 0, &(struct kvm_regs){ .rbx = IPIS });
	r = flat_regs(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && r.rsi + r.rdi == IPIS, "EOI: on, %lld by memory, %lld by the register",
		  (long long)r.rsi, (long long)r.rdi);
	/* An exit of the host's own within a handler takes the offer back: rare. Where the CPU ends interrupts, none is made. */
	if (apic_accelerated(false))
		tap_check(r.rsi == 0, "EOI: the CPU's need no word in memory");
	else
		tap_check(r.rsi > IPIS / 2, "EOI: most need no exit");
	tap_check(counter("pv_eois") - before == (int64_t)r.rsi, "EOI: each of them was noticed");
	tap_check(!apic_vector(f.vcpu, APIC_ISR, VECTOR) && !(*word & 1), "EOI: nothing is in service, nothing is offered");
	sets(MSR_KVM_PV_EOI_EN, 0);
}

static void test_vapic(void)
{
	struct kvm_tpr_access_ctl report = { .enabled = 1 };
	struct kvm_vapic_addr addr = { NOWHERE };
	uint8_t *word = f.memory + VAPIC_WORD;

	if (kvm_cap(f.vm, KVM_CAP_VAPIC) != 1) {
		tap_skip("the CPU accelerates the task priority: no VAPIC");
		return;
	}
	KVM(f.vcpu, KVM_TPR_ACCESS_REPORTING, &report);
	flat_go(&f, write_tpr, 0, NULL);
	tap_check(f.run->exit_reason == KVM_EXIT_TPR_ACCESS && f.run->tpr_access.is_write &&
		  f.run->tpr_access.rip == flat_address(write_tpr), "a TPR write is reported");
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && apic_get(f.vcpu, APIC_TASKPRI) == 0x20, "and done");
	flat_go(&f, read_tpr, 0, NULL);
	tap_check(f.run->exit_reason == KVM_EXIT_TPR_ACCESS && !f.run->tpr_access.is_write, "and a read");
	flat_run(&f);
	tap_check(flat_at_port(&f, FLAT_DONE) && flat_regs(&f).rax == 0x20, "which reads it");
	report.enabled = 0;
	KVM(f.vcpu, KVM_TPR_ACCESS_REPORTING, &report);

	tap_check(kvm_raw(f.vcpu, KVM_SET_VAPIC_ADDR, &addr) == -EINVAL, "VAPIC: no memory");
	addr.vapic_addr = FLAT_SIZE - 1;
	tap_check(kvm_raw(f.vcpu, KVM_SET_VAPIC_ADDR, &addr) == -EINVAL, "VAPIC: memory that ends in the word");
	addr.vapic_addr = VAPIC_WORD;
	KVM(f.vcpu, KVM_SET_VAPIC_ADDR, &addr);
	apic_put(f.vcpu, APIC_TASKPRI, 0x10);
	apic_put(f.vcpu, APIC_IRR + 0x20, 1 << (VECTOR - 64));
	flat_go(&f, nothing, 0, NULL);
	tap_check(word[0] == 0x10 && word[3] == VECTOR, "VAPIC: shows TPR 0x%x and request 0x%x", word[0], word[3]);
	flat_go(&f, patched_tpr, 0, NULL);
	tap_check(apic_get(f.vcpu, APIC_TASKPRI) == 0x30, "VAPIC: the guest's byte becomes the TPR");
	apic_put(f.vcpu, APIC_IRR + 0x20, 0);
	apic_put(f.vcpu, APIC_TASKPRI, 0);

	madvise(f.memory + VAPIC_FRESH, 4096, MADV_DONTNEED);
	addr.vapic_addr = VAPIC_FRESH;
	KVM(f.vcpu, KVM_SET_VAPIC_ADDR, &addr);
	flat_go(&f, nothing, 0, NULL);
	tap_check(flat_at_port(&f, FLAT_DONE), "VAPIC: in a page that nobody has written to");
	apic_put(f.vcpu, APIC_SPIV, 0xff);
	memset(f.memory + VAPIC_FRESH, 0x55, 4);
	flat_go(&f, nothing, 0, NULL);
	tap_check(f.memory[VAPIC_FRESH] == 0x55 && !apic_get(f.vcpu, APIC_TASKPRI), "VAPIC: not of an APIC that is off");
	apic_put(f.vcpu, APIC_SPIV, APIC_ENABLE);
	flat_go(&f, nothing, 0, NULL);
	tap_check(!f.memory[VAPIC_FRESH] && !apic_get(f.vcpu, APIC_TASKPRI), "VAPIC: and again of one that is on");
	addr.vapic_addr = 0;
	KVM(f.vcpu, KVM_SET_VAPIC_ADDR, &addr);
}

static void *run_halted(void *unused)
{
	flat_go(&f, halt, 0, NULL);
	return NULL;
}

static bool becomes(volatile uint8_t *byte, uint8_t value)
{
	for (int i = 0; i < 5000; i++) {
		if (*byte == value)
			return true;
		sleep_ms(1);
	}
	return false;
}

static void test_preempted(void)
{
	volatile uint8_t *preempted = f.memory + STEAL + 16;
	struct kvm_msi msi = { .address_lo = MSI_TO(0), .data = VECTOR + 1 };
	int64_t before = counter("tlb_flush");
	pthread_t thread;

	if (!kvm_cap(f.vm, KVM_CAP_STEAL_TIME)) {
		tap_skip("this kernel does not measure steal time");
		return;
	}
	memset(f.memory + STEAL, 0, 64);
	if (!sets(MSR_KVM_STEAL_TIME, STEAL | 1))
		tap_fail("MSR_KVM_STEAL_TIME");
	pthread_create(&thread, NULL, run_halted, NULL);
	tap_check(becomes(preempted, KVM_VCPU_PREEMPTED), "a vCPU that sleeps is marked as preempted");
	*preempted |= KVM_VCPU_FLUSH_TLB;
	KVM(f.vm, KVM_SIGNAL_MSI, &msi);
	pthread_join(thread, NULL);
	tap_check(flat_at_port(&f, VECTOR + 1) && !*preempted, "and no more when it runs");
	tap_check(counter("tlb_flush") > before, "the flush that another left for it is made");
	/* Where no memory is; a thread that wakes has waited. */
	sets(MSR_KVM_STEAL_TIME, NOWHERE | 1);
	sleep_ms(20);
	alarm(60);
	flat_go(&f, nothing, 0, NULL);
	alarm(0);
	tap_check(flat_at_port(&f, FLAT_DONE), "a vCPU runs whose record cannot be written");
	sets(MSR_KVM_STEAL_TIME, 0);
	tap_note("halts: %lld, polled %lld, successfully %lld", (long long)counter("halt_exits"),
		 (long long)counter("halt_attempted_poll"), (long long)counter("halt_successful_poll"));
}

int main(void)
{
	flat_create_vm(&f);
	REQUIRE_CAP(f.sys, KVM_CAP_ASYNC_PF_INT);
	KVM(f.vm, KVM_CREATE_IRQCHIP, NULL);
	flat_create_vcpu(&f);
	test_msrs();
	test_without_apic();
	test_caps();
	test_hypercalls();
	test_enforced();
	test_pv_eoi();
	test_vapic();
	test_preempted();
	return tap_done();
}
