// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a guest hypervisor's VMRUN runs its guest, that what it intercepts exits to it with the fields that the APM
 * says and what it does not intercept does not, and that each rule of VMRUN which a VMCB breaks is found.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "nested.h"
#include "svm.h"
#include "tap.h"

L2_CODE_BLOCK(
	"l2_end: vmmcall\n"
	"i_cpuid: cpuid\n vmmcall\n"
	"i_rdtsc: rdtsc\n vmmcall\n"
	"i_pushf: pushf\n vmmcall\n"
	"i_popf: pushq $2\n popf\n vmmcall\n"
	"i_invd: invd\n vmmcall\n"
	"i_wbinvd: wbinvd\n vmmcall\n"
	"i_hlt: hlt\n vmmcall\n"
	"i_pause: pause\n vmmcall\n"
	"i_mwait: xor %ecx, %ecx\n mwait\n vmmcall\n"
	"i_invlpg: mov $0x1230, %ebx\n invlpg 8(%rbx,%rbx,2)\n vmmcall\n"
	"i_invlpga: mov $0x5000, %eax\n mov $1, %ecx\n invlpga\n vmmcall\n"
	"i_in: in $0x71, %al\n vmmcall\n"
	"i_rdmsr: mov $0x1b, %ecx\n rdmsr\n vmmcall\n"
	"i_wrmsr: mov $0x174, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n vmmcall\n"
	"i_cr0r: mov %cr0, %r9\n vmmcall\n"
	"i_cr0w: mov %cr0, %rax\n mov %rax, %cr0\n vmmcall\n"
	"i_cr3r: mov %cr3, %rax\n vmmcall\n"
	"i_cr3w: mov %cr3, %r12\n mov %r12, %cr3\n vmmcall\n"
	"i_cr4r: mov %cr4, %rax\n vmmcall\n"
	"i_cr4w: mov %cr4, %rax\n mov %rax, %cr4\n vmmcall\n"
	"i_clts: clts\n vmmcall\n"
	"i_smsw: smsw %eax\n vmmcall\n"
	"i_lmsw: smsw %eax\n lmsw %ax\n vmmcall\n"
	"i_dr0r: mov %dr0, %r10\n vmmcall\n"
	"i_dr7w: mov %dr7, %rbx\n mov %rbx, %dr7\n vmmcall\n"
	"i_cr0sel: mov %cr0, %rdx\n xor $0x40000, %rdx\n mov %rdx, %cr0\n vmmcall\n"
	"i_intn: int $0x77\n"
	"i_sidt: sidt -16(%rsp)\n vmmcall\n"
	"i_sgdt: sgdt -16(%rsp)\n vmmcall\n"
	"i_lidt: sidt -16(%rsp)\n lidt -16(%rsp)\n vmmcall\n"
	"i_lgdt: sgdt -16(%rsp)\n lgdt -16(%rsp)\n vmmcall\n"
	"i_sldt: sldt %eax\n vmmcall\n"
	"i_str: str %eax\n vmmcall\n"
	"i_lldt: xor %eax, %eax\n lldt %ax\n vmmcall\n"
	"i_vmload: mov $0x39000, %eax\n vmload\n vmmcall\n"
	"i_vmsave: mov $0x39000, %eax\n vmsave\n vmmcall\n"
	"i_stgi: stgi\n vmmcall\n"
	"i_clgi: clgi\n vmmcall\n"
	"i_vmrun: mov $0x20000, %eax\n vmrun\n vmmcall\n"
	"i_ud2: ud2\n"
	"i_mmio: flds 0x400000\n"
	"i_de: xor %ecx, %ecx\n div %ecx\n"
	"i_int3: int3\n vmmcall\n"
	"i_pf: mov 0x40000000, %eax\n"
	"i_gp: mov 0x1234, %ecx\n mov $0xc0012345, %ecx\n rdmsr\n"
	"i_out: mov $0x200, %dx\n out %al, %dx\n vmmcall\n"
	"l2_store: mov %eax, 0x3a000\n vmmcall\n"
	"l2_load_high: mov 0x200008, %eax\n vmmcall\n"
	"l2_cr4: mov $0x200, %dx\n out %al, %dx\n mov %cr4, %rax\n vmmcall\n"
	"l2_spin: jmp l2_spin\n"
	"l2_script: mov $7, %ebx\n cpuid\n push %rbx\n popq 0x3a000\n mov $0x1b, %ecx\n rdmsr\n sti\n nop\n cli\n"
	" mov %cr3, %rdx\n mov %rdx, %cr3\n in $0x71, %al\n mov %rsp, 0x3a008\n vmmcall\n"
	"l2_flush: mov $2, %ecx\n mov $0x3a000, %edx\n xor %r8d, %r8d\n l2_flushes: vmmcall\n"
	"l2_flushed: xor %ecx, %ecx\n l2_calls: vmmcall\n"
	"l2_gif: nop\n l2_stgi: stgi\n l2_stgi_end: nop\n clgi\n vmmcall\n"
	"l2_svme: mov $0xc0000080, %ecx\n rdmsr\n wrmsr\n vmmcall\n"
	"l2_branch: mov $0x1d9, %ecx\n mov $1, %eax\n xor %edx, %edx\n wrmsr\n jmp 1f\n 1: mov $0x200, %dx\n out %al, %dx\n"
	" rdmsr\n mov %eax, %ebx\n mov $0x1db, %ecx\n rdmsr\n or %rbx, %rax\n vmmcall\n"
);

extern const char l2_gif[], l2_stgi[], l2_stgi_end[];
extern const char l2_script[], l2_flush[], l2_flushes[], l2_flushed[], l2_calls[];
extern const char l2_end[], l2_store[], l2_load_high[], l2_cr4[], l2_spin[], i_out[], i_pf[], i_rdmsr[], i_cpuid[];

/* An instruction with the intercept that stops it. */
#define ROWS(X)									\
	X(cpuid, 0x72) X(rdtsc, 0x6e) X(pushf, 0x70) X(popf, 0x71) X(invd, 0x76) X(wbinvd, 0x89)		\
	X(invlpg, 0x79) X(invlpga, 0x7a) X(cr0r, 0x00) X(cr0w, 0x10) X(cr3r, 0x03) X(cr3w, 0x13)	\
	X(cr4r, 0x04) X(cr4w, 0x14) X(clts, 0x10) X(dr0r, 0x20) X(dr7w, 0x37) X(sidt, 0x66) X(sgdt, 0x67)	\
	X(lidt, 0x6a) X(lgdt, 0x6b) X(sldt, 0x68) X(str, 0x69) X(lldt, 0x6c) X(vmload, 0x82) X(vmsave, 0x83)	\
	X(stgi, 0x84) X(clgi, 0x85)
#define X(n, code) extern const char i_##n[];
ROWS(X)
#undef X
extern const char i_ud2[], i_mmio[], i_de[], i_int3[], i_gp[], i_vmrun[], i_hlt[], i_in[], i_smsw[], i_lmsw[], i_cr0sel[],
	i_intn[], l2_svme[], l2_branch[], i_pause[], i_mwait[];

static const struct row {
	const char *name, *label;
	unsigned int code;
} rows[] = {
#define X(n, c) { #n, i_##n, c },
	ROWS(X)
#undef X
};

static struct svm_test t;

static void save_and_restore(void);

static bool exited(uint64_t code)
{
	if (t.run->exit_reason == KVM_EXIT_IO && t.run->io.port == SVM_DONE && t.vmcb->exit_code == code)
		return true;
	tap_note("exit %u port %#x, exit code %#llx info %#llx %#llx, rip %#llx", t.run->exit_reason,
		 t.run->exit_reason == KVM_EXIT_IO ? t.run->io.port : 0, (unsigned long long)t.vmcb->exit_code,
		 (unsigned long long)t.vmcb->exit_info_1, (unsigned long long)t.vmcb->exit_info_2,
		 (unsigned long long)t.vmcb->rip);
	return false;
}

static void test_matrix(void)
{
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		uint64_t stopped;

		svm_prepare(&t, r->label);
		svm_run(&t);
		tap_check(exited(EXIT_VMMCALL), "%s is executed where it is not intercepted", r->name);
		stopped = t.vmcb->rip;
		svm_prepare(&t, r->label);
		svm_intercept(&t, r->code);
		svm_run(&t);
		tap_check(exited(r->code) && t.vmcb->rip < stopped, "%s exits with %#x where it is", r->name, r->code);
		tap_check(t.vmcb->next_rip > t.vmcb->rip && t.vmcb->next_rip <= stopped, "%s: the next RIP is told", r->name);
	}
}

/*
 * Who intercepts one control register sees the others read without him. QEMU, up to 10.0 at least, takes every such read for
 * one of CR0.
 */
static void test_cr_reads(void)
{
	static const struct { const char *name, *label; unsigned int code; } list[] = {
		{ "CR3", i_cr3r, 0x00 }, { "CR4", i_cr4r, 0x00 }, { "CR4", i_cr4r, 0x03 }, { "CR0", i_cr0r, 0x04 },
	};

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		svm_prepare(&t, list[i].label);
		svm_intercept(&t, list[i].code);
		svm_run(&t);
		tap_check(exited(EXIT_VMMCALL), "reading %s is none of the intercept of CR%u", list[i].name, list[i].code);
		if (list[i].label != i_cr0r)
			tap_check(t.vmcb->rax == (list[i].label == i_cr3r ? t.vmcb->cr3 : t.vmcb->cr4),
				  "and gives %s", list[i].name);
	}
}

static void test_exceptions(void)
{
	static const struct { const char *name, *label; unsigned int vector; uint64_t error, address; } list[] = {
		{ "#UD", i_ud2, 6, 0, 0 }, { "#DE", i_de, 0, 0, 0 }, { "#GP", i_gp, 13, 0, 0 },
		{ "#PF", i_pf, 14, 0, 0x40000000 }, { "#UD for what cannot be emulated", i_mmio, 6, 0, 0 },
	};

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		svm_prepare(&t, list[i].label);
		svm_intercept(&t, EXIT_EXCEPTION + list[i].vector);
		svm_run(&t);
		tap_check(exited(EXIT_EXCEPTION + list[i].vector) && t.vmcb->exit_info_1 == list[i].error &&
			  (list[i].vector != 14 || t.vmcb->exit_info_2 == list[i].address),
			  "%s exits with its error code", list[i].name);
		svm_prepare(&t, list[i].label);
		tap_check(svm_run(&t) == SVM_HANDLER + (int)list[i].vector, "%s goes to L2's handler otherwise", list[i].name);
		tap_check(t.run->flags & KVM_RUN_X86_GUEST_MODE || !kvm_cap(t.sys, KVM_CAP_X86_GUEST_MODE),
			  "and user space hears that L2 runs");
	}
}

#define FLAG_TF		0x100
#define DR6_STEP	0x4000

/* A trap of L2's that L1 takes, met between two entries, is a part of the vCPU's state. */
static void test_waiting_trap(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	struct kvm_vcpu_events events = {};

	if (kvm_raw(t.vm, KVM_ENABLE_CAP, &cap)) {
		tap_skip("no payloads of exceptions");
		return;
	}
	svm_prepare(&t, i_in);
	svm_intercept(&t, EXIT_EXCEPTION + 1);
	t.vmcb->rflags |= FLAG_TF;
	tap_check(svm_run(&t) == 0x71, "IN of an L2 that steps itself is user space's");
	t.run->immediate_exit = 1;
	tap_check(kvm_raw(t.vcpu, KVM_RUN, NULL) == -EINTR, "and ends");
	t.run->immediate_exit = 0;
	KVM(t.vcpu, KVM_GET_VCPU_EVENTS, &events);
	tap_check(events.exception.nr == 1 && events.exception.pending && !events.exception.injected &&
		  events.exception_has_payload && events.exception_payload == DR6_STEP, "its #DB is told to user space");
	KVM(t.vcpu, KVM_SET_VCPU_EVENTS, &(struct kvm_vcpu_events){ .flags = events.flags });
	KVM(t.vcpu, KVM_GET_VCPU_EVENTS, &(struct kvm_vcpu_events){});
	KVM(t.vcpu, KVM_SET_VCPU_EVENTS, &events);
	svm_continue(&t);
	tap_check(exited(EXIT_EXCEPTION + 1) && t.vmcb->dr6 & DR6_STEP && t.vmcb->rip == svm_l2_address(i_in) + 2,
		  "and goes to L1 when it was set again");
	cap.args[0] = 0;
	KVM(t.vm, KVM_ENABLE_CAP, &cap);
}

/* APM volume 2, State Saved on Exit: INT3 tells the next RIP, and returns there when it is injected as it came. */
static void test_int3(void)
{
	struct kvm_regs regs = {};

	if (svm_cpu_is_qemu() || !(t.features & SVM_NRIPS)) {
		tap_skip("INT3: QEMU's TCG does not intercept it");
		return;
	}
	svm_prepare(&t, i_int3);
	svm_intercept(&t, EXIT_EXCEPTION + 3);
	svm_run(&t);
	tap_check(exited(EXIT_EXCEPTION + 3) && t.vmcb->rip == svm_l2_address(i_int3) && t.vmcb->next_rip == t.vmcb->rip + 1,
		  "INT3 exits with the next RIP");
	t.vmcb->event_inj = 0x80000303;
	tap_check(svm_continue(&t) == SVM_HANDLER + 3, "injected, it goes to L2's handler");
	KVM(t.vcpu, KVM_GET_REGS, &regs);
	tap_check(*(uint64_t *)(t.memory + regs.rsp) == svm_l2_address(i_int3) + 1, "which returns behind it");
}

static void test_maps(void)
{
	svm_prepare(&t, i_rdmsr);
	svm_intercept(&t, EXIT_MSR);
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL), "an MSR that the map leaves out is read");
	svm_prepare(&t, i_rdmsr);
	svm_intercept(&t, EXIT_MSR);
	t.memory[L1_MSRPM + 0x1b / 4] = 1 << 0x1b % 4 * 2;
	svm_run(&t);
	tap_check(exited(EXIT_MSR) && t.vmcb->exit_info_1 == 0, "one that it has exits");
	svm_prepare(&t, i_in);
	svm_intercept(&t, EXIT_IOIO);
	tap_check(svm_run(&t) == 0x71, "a port that the map leaves out is user space's");
	svm_prepare(&t, i_in);
	svm_intercept(&t, EXIT_IOIO);
	t.memory[L1_IOPM + 0x71 / 8] = 1 << 0x71 % 8;
	svm_run(&t);
	tap_check(exited(EXIT_IOIO) && t.vmcb->exit_info_1 >> 16 == 0x71 && t.vmcb->exit_info_1 & 1 &&
		  t.vmcb->exit_info_2 == t.vmcb->rip + 2, "one that it has exits");
}

/* What the VM lets its guest do without exits L1 may intercept. */
static void test_disabled_exits(void)
{
	static const struct { const char *name, *label; unsigned int code; } list[] = {
		{ "HLT", i_hlt, 0x78 }, { "PAUSE", i_pause, 0x77 }, { "MWAIT", i_mwait, 0x8b },
	};
	struct svm_test other = t;

	svm_open_with(&t, SVM_IDLES, 0);
	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		svm_prepare(&t, list[i].label);
		svm_intercept(&t, list[i].code);
		svm_run(&t);
		tap_check(exited(list[i].code), "L1 intercepts %s of a VM without such exits", list[i].name);
	}
	svm_close(&t);
	t = other;
}

#define MOV_CR	(1ull << 63)

/* APM volume 2, Decode Assists: EXITINFO1 names the operand. */
static const struct assist {
	const char *name, *label;
	unsigned int code;
	uint64_t info;
} assists[] = {
	{ "MOV from CR", i_cr0r, 0x00, MOV_CR | 9 }, { "MOV to CR", i_cr3w, 0x13, MOV_CR | 12 },
	{ "MOV from CR4", i_cr4r, 0x04, MOV_CR },
	{ "a change of CR0", i_cr0sel, 0x65, MOV_CR | 2 }, { "SMSW", i_smsw, 0x00, 0 }, { "LMSW", i_lmsw, 0x10, 0 },
	{ "CLTS", i_clts, 0x10, 0 }, { "MOV from DR", i_dr0r, 0x20, 10 }, { "MOV to DR", i_dr7w, 0x37, 3 },
	{ "INT n", i_intn, 0x75, 0x77 }, { "INVLPG", i_invlpg, 0x79, 0x1230 * 3 + 8 },
	{ "INVLPGA", i_invlpga, 0x7a, 0x5000 },
};

static bool has_bytes(const char *label)
{
	return t.vmcb->insn_len == 15 && !memcmp(t.vmcb->insn_bytes, t.memory + svm_l2_address(label), 15);
}

static void run_assist(const struct assist *a)
{
	svm_prepare(&t, a->label);
	svm_intercept(&t, a->code);
	svm_run(&t);
}

/* A guest that is not offered them gets nothing. */
static void test_no_assists(void)
{
	struct svm_test other = t;

	svm_open_with(&t, 0, SVM_NRIPS | SVM_DECODE_ASSISTS);
	for (unsigned int i = 0; i < sizeof(assists) / sizeof(assists[0]); i++) {
		run_assist(&assists[i]);
		tap_check(exited(assists[i].code) && !t.vmcb->exit_info_1 && !t.vmcb->next_rip,
			  "%s: nothing is told without decode assists and next RIP", assists[i].name);
	}
	svm_prepare(&t, i_pf);
	svm_intercept(&t, EXIT_EXCEPTION + 14);
	svm_run(&t);
	tap_check(exited(EXIT_EXCEPTION + 14) && !t.vmcb->insn_len, "nor are the bytes at a page fault");
	svm_close(&t);
	t = other;
}

static void test_assists(void)
{
	uint64_t *pt = (uint64_t *)(t.memory + L1_NPT + 0x3000);

	if (!(t.features & SVM_DECODE_ASSISTS)) {
		tap_skip("decode assists are not offered");
		return;
	}
	for (unsigned int i = 0; i < sizeof(assists) / sizeof(assists[0]); i++) {
		run_assist(&assists[i]);
		tap_check(exited(assists[i].code) && t.vmcb->exit_info_1 == assists[i].info,
			  "%s: the operand is told", assists[i].name);
	}
	svm_prepare(&t, i_pf);
	svm_intercept(&t, EXIT_EXCEPTION + 14);
	svm_run(&t);
	tap_check(exited(EXIT_EXCEPTION + 14) && has_bytes(i_pf), "the instruction's bytes come with a page fault");
	svm_prepare(&t, l2_store);
	svm_make_npt(&t, false);
	t.vmcb->tlb_control = 1;
	pt[L2_DATA >> 12] = 0;
	svm_run(&t);
	tap_check(exited(EXIT_NPF) && has_bytes(l2_store), "and with a nested page fault");
	pt[L2_DATA >> 12] = L2_DATA | 7;
	pt[L2_CODE >> 12] = 0;
	t.vmcb->tlb_control = 1;
	svm_continue(&t);
	tap_check(exited(EXIT_NPF) && t.vmcb->exit_info_1 & 0x10 && !t.vmcb->insn_len, "but not with that of a fetch");
	test_no_assists();
}

/* APM volume 2, VM_CR MSR: SVMDIS. CPUID goes on saying that there is SVM. */
static void test_disabled(void)
{
	svm_prepare(&t, l2_svme);
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL), "EFER.SVME can be written");
	svm_set_msr(&t, MSR_VM_CR, 0x10);
	svm_prepare(&t, l2_svme);
	tap_check(svm_run(&t) == SVM_HANDLER + 13, "but not where VM_CR disables SVM");
	svm_set_msr(&t, MSR_VM_CR, 0);
}

#define MSR_DEBUGCTL	0x1d9
#define MSR_LAST_BRANCH	0x1db		/* and the three behind it */

static uint64_t get_msr(uint32_t index)
{
	struct { struct kvm_msrs list; struct kvm_msr_entry entry; } msrs = { .list.nmsrs = 1, .entry.index = index };

	if (KVM(t.vcpu, KVM_GET_MSRS, &msrs) != 1)
		tap_fail("MSR %#x cannot be read", index);
	return msrs.entry.data;
}

/* APM volume 2, LBR Virtualization: what a CPU does that lacks it, whatever the one below has. */
static void test_no_branch_records(void)
{
	static const uint64_t records[4] = { 2, 3, 4, 5 };

	tap_check(!(t.features & SVM_LBR), "LBR virtualization is not offered");
	for (unsigned int on = 0; on < 2; on++) {
		svm_prepare(&t, l2_branch);
		t.vmcb->virt_ext = on;
		t.vmcb->dbgctl = 1;
		memcpy(t.vmcb->branches, records, sizeof(records));
		svm_run(&t);
		save_and_restore();
		svm_continue(&t);
		tap_check(exited(EXIT_VMMCALL) && !t.vmcb->rax, "L2 has no branch records with the bit %u", on);
		tap_check(t.vmcb->virt_ext == on && t.vmcb->dbgctl == 1 &&
			  !memcmp(t.vmcb->branches, records, sizeof(records)), "those of the VMCB stay");
		tap_check(!get_msr(MSR_DEBUGCTL) && !get_msr(MSR_LAST_BRANCH) && !get_msr(MSR_LAST_BRANCH + 1) &&
			  !get_msr(MSR_LAST_BRANCH + 2) && !get_msr(MSR_LAST_BRANCH + 3), "and L1 has none");
	}
}

struct broken {
	const char *name;
	unsigned int offset, bytes;
	uint64_t value;
};
#define BROKEN(what, field, v) { what, __builtin_offsetof(struct test_vmcb, field), sizeof(((struct test_vmcb *)0)->field), v }

static void test_checks(void)
{
	static const struct broken list[] = {
		BROKEN("EFER.SVME is 0", efer, 0x500),
		BROKEN("a reserved bit of EFER", efer, 0x1500 | 1ull << 40),
		BROKEN("CR0.NW without CD", cr0, 0xa0000011),
		BROKEN("CR0 above bit 31", cr0, 0x80000011 | 1ull << 32),
		BROKEN("CR3 beyond the physical addresses", cr3, 1ull << 60),
		BROKEN("a reserved bit of CR4", cr4, 0x20 | 1ull << 40),
		BROKEN("long mode without PAE", cr4, 0),
		BROKEN("DR6 above bit 31", dr6, 1ull << 32),
		BROKEN("DR7 above bit 31", dr7, 1ull << 32),
		BROKEN("CS.L and CS.D", cs.attrib, 0xe9b),
		BROKEN("VMRUN is not intercepted", intercepts[4], 2),
		BROKEN("ASID 0", asid, 0),
		BROKEN("an event of type 1", event_inj, 0x80000100),
		BROKEN("an event of type 5", event_inj, 0x80000500),
		BROKEN("an NMI as an exception", event_inj, 0x80000302),
		BROKEN("an exception above 31", event_inj, 0x80000320),
	};

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		svm_prepare(&t, l2_end);
		memcpy((char *)t.vmcb + list[i].offset, &list[i].value, list[i].bytes);
		svm_run(&t);
		tap_check(exited(EXIT_INVALID), "%s is refused", list[i].name);
	}
	svm_prepare(&t, l2_end);
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL), "a VMCB without a mistake runs after all that");
}

/* Every bit of a control word: L1 gets an exit, and the VM lives. */
static void walk(const char *name, void *word, unsigned int bits)
{
	unsigned int lost = 0;

	for (unsigned int bit = 0; bit < bits; bit++) {
		/* VMMCALL is how L2 ends. */
		if (word == t.vmcb->intercepts && bit == EXIT_VMMCALL)
			continue;
		svm_prepare(&t, l2_end);
		((uint8_t *)word)[bit / 8] ^= 1 << bit % 8;
		if (svm_run(&t) != SVM_DONE) {
			tap_note("%s bit %u: exit %u", name, bit, t.run->exit_reason);
			lost++;
		}
	}
	tap_check(!lost, "each bit of %s alone leaves L1 in control", name);
}

static void test_walk(void)
{
	struct test_vmcb *v = t.vmcb;

	walk("intercepts", v->intercepts, 8 * sizeof(v->intercepts));
	walk("int_ctl", &v->int_ctl, 32);
	walk("int_state", &v->int_state, 32);
	walk("virt_ext", &v->virt_ext, 64);
	walk("tlb_control", &v->tlb_control, 8);
	walk("asid", &v->asid, 32);
	walk("clean", &v->clean, 32);
	walk("nested_ctl", (char *)&v->nested_ctl + 1, 56);
}

static void test_npt(void)
{
	uint32_t *data = (uint32_t *)(t.memory + L2_DATA);
	uint64_t *pt = (uint64_t *)(t.memory + L1_NPT + 0x3000);

	*(uint32_t *)(t.memory + L1_HIGH + 8) = 0x1234;
	for (int gigabytes = 0; gigabytes < 2; gigabytes++) {
		svm_prepare(&t, l2_load_high);
		svm_make_npt(&t, gigabytes);
		t.vmcb->tlb_control = 1;
		svm_run(&t);
		tap_check(exited(EXIT_VMMCALL) && t.vmcb->rax == 0x1234, "L2 runs on %s pages",
			  gigabytes ? "1 GiB" : "4 KiB and 2 MiB");
	}

	svm_prepare(&t, l2_store);
	svm_make_npt(&t, false);
	t.vmcb->tlb_control = 1;
	t.vmcb->rax = 0x77;
	pt[L2_DATA >> 12] = 0;
	svm_run(&t);
	tap_check(exited(EXIT_NPF) && t.vmcb->exit_info_2 == L2_DATA && (t.vmcb->exit_info_1 & 0x1f) == 6 &&
		  t.vmcb->exit_info_1 >> 32 == 1, "a page that is not there is a nested page fault");
	/* Rights that are added need no flush. */
	pt[L2_DATA >> 12] = L2_DATA | 5;
	t.vmcb->tlb_control = 0;
	svm_continue(&t);
	tap_check(exited(EXIT_NPF) && (t.vmcb->exit_info_1 & 0x1f) == 7, "a write to a read-only page is another");
	tap_check(pt[L2_DATA >> 12] == (L2_DATA | 5), "which sets neither the accessed nor the dirty bit");
	pt[L2_DATA >> 12] = L2_DATA | 7;
	svm_continue(&t);
	tap_check(exited(EXIT_VMMCALL) && *data == 0x77, "with the right to write L2 goes on");
	tap_check((pt[L2_DATA >> 12] & 0x60) == 0x60, "and the page is accessed and dirty");

	/* Another page at the same address: after a flush L2 sees that. */
	svm_prepare(&t, l2_store);
	svm_make_npt(&t, false);
	pt[L2_DATA >> 12] = (L2_DATA + 0x1000) | 7;
	t.vmcb->rax = 0x88;
	t.vmcb->tlb_control = 3;
	*data = 0;
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL) && !*data && data[0x400] == 0x88, "a flush of the ASID lets L2 see another page");

	svm_prepare(&t, l2_end);
	svm_make_npt(&t, false);
	t.vmcb->tlb_control = 1;
	pt[L2_CODE >> 12] |= 1ull << 51;
	svm_run(&t);
	tap_check(exited(EXIT_NPF) && t.vmcb->exit_info_1 & 8, "a reserved bit is told");
}

static void test_events(void)
{
	svm_prepare(&t, l2_end);
	t.vmcb->event_inj = 0x80000b0d;
	t.vmcb->event_inj_err = 0x99;
	tap_check(svm_run(&t) == SVM_HANDLER + 13, "an exception that L1 injects reaches L2's handler");
	svm_prepare(&t, l2_end);
	t.vmcb->event_inj = 0x80000b0d;
	t.vmcb->idtr.limit = 0;
	svm_intercept(&t, EXIT_EXCEPTION + 13);
	svm_intercept(&t, EXIT_EXCEPTION + 8);
	svm_intercept(&t, EXIT_SHUTDOWN);
	svm_run(&t);
	tap_check(t.run->exit_reason == KVM_EXIT_IO && t.run->io.port == SVM_DONE && t.vmcb->exit_int_info >> 31,
		  "one that cannot be delivered comes back in EXITINTINFO");
}

#define V_IRQ		(1u << 8 | 0xfu << 16)
#define V_GIF		(1u << 9)
#define V_GIF_ENABLE	(1u << 25)
#define VIRQ_VECTOR	29

/* L2, with interrupts on, meets a virtual interrupt, sets its GIF and clears it. */
static void run_gif(uint32_t int_ctl, bool vintr)
{
	svm_prepare(&t, l2_gif);
	t.vmcb->int_ctl = 1u << 24 | V_IRQ | int_ctl;
	t.vmcb->int_vector = VIRQ_VECTOR;
	t.vmcb->rflags |= 0x200;
	if (vintr)
		svm_intercept(&t, EXIT_VINTR);
}

/* APM volume 2, Virtual GIF. */
static void test_virtual_gif(void)
{
	struct svm_test other = t;

	run_gif(V_GIF_ENABLE | V_GIF, false);
	tap_check(svm_run(&t) == SVM_HANDLER + VIRQ_VECTOR, "V_GIF 1: the virtual interrupt is taken");
	run_gif(V_GIF_ENABLE, true);
	svm_run(&t);
	tap_check(exited(EXIT_VINTR) && t.vmcb->rip == svm_l2_address(l2_stgi_end), "V_GIF 0: it waits for L2's STGI");
	tap_check(t.vmcb->int_ctl & V_GIF && t.vmcb->int_ctl & 1u << 8, "which sets V_GIF");
	run_gif(V_GIF_ENABLE, false);
	tap_check(svm_run(&t) == SVM_HANDLER + VIRQ_VECTOR, "and takes it where L1 does not want to know");
	run_gif(V_GIF_ENABLE | V_GIF, false);
	t.vmcb->rflags &= ~0x200ull;
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL) && !(t.vmcb->int_ctl & V_GIF) && t.vmcb->int_ctl & 1u << 8,
		  "CLGI clears V_GIF, and V_IRQ stays");
	run_gif(V_GIF_ENABLE, false);
	svm_intercept(&t, EXIT_STGI);
	svm_run(&t);
	tap_check(exited(EXIT_STGI) && t.vmcb->rip == svm_l2_address(l2_stgi) && !(t.vmcb->int_ctl & V_GIF),
		  "STGI exits where L1 wants it to");
	run_gif(V_GIF_ENABLE, false);
	t.vmcb->rip = svm_l2_address(i_out);
	svm_run(&t);
	save_and_restore();
	svm_continue(&t);
	tap_check(exited(EXIT_VMMCALL) && !(t.vmcb->int_ctl & V_GIF) && t.vmcb->int_ctl & 1u << 8,
		  "saved and restored, V_GIF 0 holds the interrupt back");

	svm_open_with(&t, 0, SVM_VGIF);
	run_gif(V_GIF_ENABLE, true);
	svm_run(&t);
	tap_check(exited(EXIT_VINTR) && t.vmcb->rip == svm_l2_address(l2_gif), "a CPU without it ignores both bits");
	svm_close(&t);
	t = other;
}

#define HV_ASSIST	0x3c000
#define HV_PARTITION	0x3d000
#define HV_DIRECT_FLUSH	(1u << 17)

/* L2 flushes all TLBs by a hypercall (TLFS, Direct Virtual Flush), then makes one of L1's. */
static void run_flush(bool allowed, bool told)
{
	uint64_t *input = (uint64_t *)(t.memory + L2_DATA);

	svm_prepare(&t, l2_flush);
	svm_make_npt(&t, false);
	t.vmcb->rax = 0x55;
	t.vmcb->hv_control = 1;
	t.vmcb->hv_partition_assist = HV_PARTITION;
	*(uint32_t *)(t.memory + HV_ASSIST + 32) = allowed;
	*(uint32_t *)(t.memory + HV_PARTITION) = told;
	input[0] = input[2] = 0;
	input[1] = 1;
	svm_run(&t);
}

static void test_direct_flush(void)
{
	struct svm_test other = t;

	svm_open_with(&t, SVM_HYPERV, 0);
	if (!(t.hv_nested & HV_DIRECT_FLUSH)) {
		tap_skip("direct flush is not offered");
		goto out;
	}
	svm_set_msr(&t, 0x40000000, 1ull << 48 | 1);
	svm_prepare(&t, l2_flush);
	svm_set_msr(&t, 0x40000073, HV_ASSIST | 1);
	run_flush(false, false);
	tap_check(exited(EXIT_VMMCALL) && t.vmcb->rip == svm_l2_address(l2_flushes), "a flush by L2 exits to L1");
	run_flush(true, false);
	tap_check(exited(EXIT_VMMCALL) && t.vmcb->rip == svm_l2_address(l2_calls) && !t.vmcb->rax,
		  "but is done where L1 lets L2 flush directly");
	run_flush(true, true);
	tap_check(exited(0xf0000000) && t.vmcb->exit_info_1 == 1 && t.vmcb->rip == svm_l2_address(l2_flushed),
		  "and L1 hears of it when it wants to");
out:
	svm_close(&t);
	t = other;
}

static void save_and_restore(void)
{
	struct kvm_nested_state none = nested_none(KVM_STATE_NESTED_FORMAT_SVM);
	struct nested_state state;
	struct kvm_vcpu_events events = {};
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	nested_get(t.vcpu, &state);
	KVM(t.vcpu, KVM_GET_SREGS, &sregs);
	KVM(t.vcpu, KVM_GET_REGS, &regs);
	KVM(t.vcpu, KVM_GET_VCPU_EVENTS, &events);
	KVM(t.vcpu, KVM_SET_NESTED_STATE, &none);
	KVM(t.vcpu, KVM_SET_SREGS, &sregs);
	KVM(t.vcpu, KVM_SET_REGS, &regs);
	KVM(t.vcpu, KVM_SET_VCPU_EVENTS, &events);
	KVM(t.vcpu, KVM_SET_NESTED_STATE, &state);
}

/* SMI and INIT as they wait for the vCPU: bits of flags. */
#define SMI_WAITS	1
#define INIT_WAITS	2

static void set_waiting(unsigned int what)
{
	struct kvm_vcpu_events events = {};

	KVM(t.vcpu, KVM_GET_VCPU_EVENTS, &events);
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	events.smi.pending = what & SMI_WAITS;
	events.smi.latched_init = !!(what & INIT_WAITS);
	KVM(t.vcpu, KVM_SET_VCPU_EVENTS, &events);
}

static unsigned int waiting(void)
{
	struct kvm_vcpu_events events = {};

	KVM(t.vcpu, KVM_GET_VCPU_EVENTS, &events);
	return (events.smi.pending ? SMI_WAITS : 0) | (events.smi.latched_init ? INIT_WAITS : 0);
}

/* L2 runs up to its port, and goes on with @what waiting. */
static void continue_with(unsigned int what)
{
	svm_run(&t);
	set_waiting(what);
	svm_continue(&t);
}

/* APM volume 2, VM_CR MSR: R_INIT; INIT Intercept. */
static void test_init(void)
{
	struct svm_test other = t;

	svm_open_with(&t, SVM_APIC, 0);
	svm_prepare(&t, l2_end);
	svm_set_msr(&t, MSR_VM_CR, 2);
	set_waiting(INIT_WAITS);
	/* QEMU pushes no error code for #SX: L2's exit shows it. */
	tap_check(svm_run(&t) == SVM_HANDLER + 30, "R_INIT makes #SX of INIT");

	svm_prepare(&t, l2_cr4);
	svm_intercept(&t, EXIT_EXCEPTION + 30);
	continue_with(INIT_WAITS);
	tap_check(exited(EXIT_EXCEPTION + 30) && t.vmcb->exit_info_1 == 1, "which L1 takes from L2, with error code 1");

	svm_set_msr(&t, MSR_VM_CR, 0);
	svm_prepare(&t, l2_cr4);
	svm_intercept(&t, EXIT_INIT);
	continue_with(INIT_WAITS);
	tap_check(exited(EXIT_INIT) && waiting() == INIT_WAITS, "an INIT that L1 intercepts waits for its GIF");
	svm_close(&t);
	t = other;
}

/* APM volume 2, SMI Intercept; SMM Support for SVM. The handler is at SMBASE + 0x8000: a word to the test, then RSM. */
static void test_smi(void)
{
	static const uint8_t handler[] = { 0xba, 0x99, 0x02, 0xee, 0x0f, 0xaa };

	svm_prepare(&t, l2_cr4);
	svm_intercept(&t, EXIT_SMI);
	continue_with(SMI_WAITS);
	tap_check(exited(EXIT_SMI) && waiting() == SMI_WAITS, "an SMI that L1 intercepts waits for its GIF");
	set_waiting(0);

	memcpy(t.memory + SVM_SMM_CODE, handler, sizeof(handler));
	for (int spoil = 0; spoil < 2; spoil++) {
		svm_prepare(&t, l2_cr4);
		t.vmcb->cr4 |= 0x80;
		svm_run(&t);
		KVM(t.vcpu, KVM_SMI, NULL);
		tap_check(svm_continue(&t) == 0x299, "an SMI enters the handler from L2");
		if (spoil) {
			memset(t.memory + L1_HSAVE, 0, 0x1000);
			svm_continue(&t);
			tap_check(t.run->exit_reason == KVM_EXIT_SHUTDOWN, "RSM to an L1 that cannot be shuts down");
			break;
		}
		save_and_restore();
		svm_continue(&t);
		tap_check(exited(EXIT_VMMCALL) && t.vmcb->rax == 0xa0, "RSM goes on in L2, and L2 to L1");
	}
}

/* As upstream: there is no L2 of the SMM handler's, even when it enables SVM. */
static void test_vmrun_in_smm(void)
{
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_SMM, .smi.smm = 1 };

	svm_prepare(&t, l2_end);
	KVM(t.vcpu, KVM_SET_VCPU_EVENTS, &events);
	tap_check(svm_run(&t) == SVM_HANDLER + 6, "VMRUN in SMM is #UD");
	events.smi.smm = 0;
	KVM(t.vcpu, KVM_SET_VCPU_EVENTS, &events);
	svm_prepare(&t, l2_end);
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL), "and outside it is not");
}

static void test_state(void)
{
	struct kvm_nested_state small = { .size = sizeof(small) };
	struct kvm_sregs s;

	for (int npt = 0; npt < 2; npt++) {
		svm_prepare(&t, l2_cr4);
		t.vmcb->cr4 |= 0x80;
		if (npt)
			svm_make_npt(&t, false);
		tap_check(svm_run(&t) == SVM_L2_PORT, "L2 reaches user space");
		tap_check(kvm_raw(t.vcpu, KVM_GET_NESTED_STATE, &small) == -E2BIG && small.size > sizeof(small),
			  "the size of the state is told");
		small.size = sizeof(small);
		KVM(t.vcpu, KVM_GET_SREGS, &s);
		tap_check(s.cr4 == 0xa0, "the control registers that are reported are L2's");
		KVM(t.vcpu, KVM_SET_SREGS, &s);
		save_and_restore();
		svm_continue(&t);
		tap_check(exited(EXIT_VMMCALL) && t.vmcb->rax == 0xa0, "L2 goes on with its own after save and restore");
		KVM(t.vcpu, KVM_GET_SREGS, &s);
		tap_check(s.cr4 == 0x20 && s.cr3 == L1_TABLES, "and L1 with its own");
	}
}

#define MAX_EXITS	16

/* What L1 saw: the exits, and the VMCB and L2's data at the end. */
struct script {
	unsigned int exits, steps;
	struct { uint64_t code, info1, info2, rip, next_rip, rax; } exit[MAX_EXITS];
	struct test_vmcb vmcb;
	uint64_t data[2];
};

/* L1 skips what L2 exits for. With @stepping user space saves and restores the vCPU at every instruction, L1's and L2's. */
static void run_script(struct script *s, bool npt, bool stepping)
{
	struct kvm_guest_debug debug = { .control = stepping ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0 };
	unsigned int n;

	memset(s, 0, sizeof(*s));
	svm_prepare(&t, l2_script);
	if (npt)
		svm_make_npt(&t, false);
	svm_intercept(&t, EXIT_CPUID);
	svm_intercept(&t, EXIT_MSR);
	t.memory[L1_MSRPM + 0x1b / 4] = 1 << 0x1b % 4 * 2;
	svm_intercept(&t, EXIT_IOIO);
	t.memory[L1_IOPM + 0x71 / 8] = 1 << 0x71 % 8;
	memset(t.memory + L2_DATA, 0, sizeof(s->data));
	KVM(t.vcpu, KVM_SET_GUEST_DEBUG, &debug);
	while (s->exits < MAX_EXITS && s->steps < 1000) {
		svm_continue(&t);
		if (t.run->exit_reason == KVM_EXIT_DEBUG) {
			s->steps++;
			save_and_restore();
			continue;
		}
		if (t.run->exit_reason != KVM_EXIT_IO || t.run->io.port != SVM_DONE)
			break;
		n = s->exits++;
		s->exit[n].code = t.vmcb->exit_code;
		s->exit[n].info1 = t.vmcb->exit_info_1;
		s->exit[n].info2 = t.vmcb->exit_info_2;
		s->exit[n].rip = t.vmcb->rip;
		s->exit[n].next_rip = t.vmcb->next_rip;
		s->exit[n].rax = t.vmcb->rax;
		if (t.vmcb->exit_code == EXIT_VMMCALL)
			break;
		t.vmcb->rip = t.vmcb->next_rip;
	}
	debug.control = 0;
	KVM(t.vcpu, KVM_SET_GUEST_DEBUG, &debug);
	s->vmcb = *t.vmcb;
	memcpy(s->data, t.memory + L2_DATA, sizeof(s->data));
}

static void test_steps(void)
{
	static struct script whole, steps;

	if (!(t.features & SVM_NRIPS)) {
		tap_skip("without next RIP the script cannot go on");
		return;
	}
	for (int npt = 0; npt < 2; npt++) {
		run_script(&whole, npt, false);
		tap_check(exited(EXIT_VMMCALL) && whole.exits == 4 && whole.data[0] == 7, "a script with four exits runs");
		run_script(&steps, npt, true);
		tap_check(steps.steps >= 15, "saved and restored at each of %u instructions", steps.steps);
		steps.steps = 0;
		tap_check(!memcmp(&whole, &steps, sizeof(whole)), "it has the same exits and ends the same");
		if (memcmp(&whole, &steps, sizeof(whole)))
			tap_note("%u exits, the last %#llx at %#llx", steps.exits,
				 (unsigned long long)steps.vmcb.exit_code, (unsigned long long)steps.vmcb.rip);
	}
}

static void test_bad_state(void)
{
	struct nested_state good, bad;
	struct test_vmcb *v = (struct test_vmcb *)bad.data;

	svm_prepare(&t, l2_cr4);
	svm_run(&t);
	nested_get(t.vcpu, &good);
	bad = good;
	bad.head.flags |= 0x4000;
	tap_check(kvm_raw(t.vcpu, KVM_SET_NESTED_STATE, &bad) == -EINVAL, "an unknown flag");
	bad = good;
	bad.head.format = 0;
	tap_check(kvm_raw(t.vcpu, KVM_SET_NESTED_STATE, &bad) == -EINVAL, "the other vendor's format");
	bad = good;
	bad.head.hdr.svm.vmcb_pa++;
	tap_check(kvm_raw(t.vcpu, KVM_SET_NESTED_STATE, &bad) == -EINVAL, "a VMCB that is not aligned");
	bad = good;
	bad.head.size = sizeof(bad.head);
	tap_check(kvm_raw(t.vcpu, KVM_SET_NESTED_STATE, &bad) == -EINVAL, "a state without a VMCB");
	bad = good;
	v->asid = 0;
	tap_check(kvm_raw(t.vcpu, KVM_SET_NESTED_STATE, &bad) == -EINVAL, "a VMCB with ASID 0");
	bad = good;
	v->cr0 = 0x11;
	tap_check(kvm_raw(t.vcpu, KVM_SET_NESTED_STATE, &bad) == -EINVAL, "an L1 without paging");
	svm_continue(&t);
	tap_check(exited(EXIT_VMMCALL), "none of which has changed anything");
}

static volatile bool stop;

static void *mutate(void *unused)
{
	uint64_t x = 88172645463325252ull;

	while (!stop) {
		next_random(&x);
		((volatile uint8_t *)t.vmcb)[x % 0x680] = x >> 32;
	}
	return NULL;
}

static void nothing(int signal)
{
}

/* L2 may be in an endless loop: a signal ends KVM_RUN every 20 ms. */
static void set_timer(long us)
{
	const struct itimerval timer = { { 0, us }, { 0, us } };

	signal(SIGALRM, nothing);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Whatever L1's memory holds at any moment, what KVM_RUN returns is something that upstream's would. */
static void test_mutator(void)
{
	pthread_t thread;
	unsigned int strange = 0;

	stop = false;
	svm_prepare(&t, l2_end);
	pthread_create(&thread, NULL, mutate, NULL);
	set_timer(20000);
	for (int i = 0; i < 300; i++) {
		svm_prepare(&t, l2_end);
		switch (kvm_raw(t.vcpu, KVM_RUN, NULL) ? : (int)t.run->exit_reason) {
		case -EINTR:
		case KVM_EXIT_IO:
		case KVM_EXIT_MMIO:
		case KVM_EXIT_SHUTDOWN:
		case KVM_EXIT_HLT:
		case KVM_EXIT_INTERNAL_ERROR:
			break;
		default:
			strange++;
		}
	}
	stop = true;
	set_timer(0);
	pthread_join(thread, NULL);
	tap_check(!strange, "a VMCB that changes all the time harms nobody (%u)", strange);
	svm_prepare(&t, l2_end);
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL), "and the VM runs on");
}

/* Close while L2 runs; the memory of all that comes back with it (leaks.c looks at that). */
static void test_life(void)
{
	svm_prepare(&t, l2_cr4);
	svm_make_npt(&t, true);
	svm_run(&t);
	svm_close(&t);
	svm_open(&t);
	svm_prepare(&t, l2_end);
	svm_run(&t);
	tap_check(exited(EXIT_VMMCALL), "a VM that is closed while its L2 runs makes room for the next");
}

int main(void)
{
	svm_open(&t);
	test_matrix();
	test_cr_reads();
	test_exceptions();
	test_int3();
	test_waiting_trap();
	test_maps();
	test_disabled_exits();
	test_assists();
	test_disabled();
	test_no_branch_records();
	test_checks();
	test_walk();
	test_npt();
	test_events();
	test_virtual_gif();
	test_direct_flush();
	test_init();
	test_smi();
	test_vmrun_in_smm();
	test_state();
	test_steps();
	test_bad_state();
	test_mutator();
	test_life();
	return tap_done();
}
