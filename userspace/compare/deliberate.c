// SPDX-License-Identifier: GPL-2.0
/*
 * The differences from upstream KVM that are meant, each with its reason. nestor compare explains what it finds by
 * them, and README.md's table is printed from here (nestor compare --deliberate).
 */
#define _GNU_SOURCE
#include <fnmatch.h>
#include <stdio.h>

#include "compare/compare.h"
#include "util.h"

const struct deliberate deliberate[] = {
	{
		.topic = "`KVM_SET_REGS`, `SREGS`, `DEBUGREGS`, `XCRS` with the values that are there",
		.nestor = "change nothing",
		.upstream = "may drop a pending exception, flush, or leave single-stepping",
		.reason = "VMMs write back what they read, at any moment",
	},
	{
		.topic = "`KVM_SET_REGS` behind `KVM_SET_VCPU_EVENTS`",
		.nestor = "keeps the exception that the latter made pending",
		.upstream = "drops it",
		.reason = "no order of setting the state loses a part of it",
	},
	{
		.topic = "`KVM_SET_MSRS` and `KVM_GET_MSRS` that stop early",
		.nestor = "the log names the MSR, the value and why",
		.upstream = "silence",
		.reason = "VMMs stop there, and their users search for the reason",
	},
	{
		.topic = "`KVM_SET_MSRS` of `IA32_TSC_DEADLINE`",
		.nestor = "counts from the next `KVM_RUN` on, with the timer mode and TSC that are there then",
		.upstream = "armed at once; ignored before the mode is there, over before the TSC is",
		.reason = "no order of setting the state loses a part of it",
	},
	{
		.topic = "an SMI while a guest hypervisor's guest runs",
		.nestor = "waits until the hypervisor runs",
		.upstream = "is taken at once",
		.reason = "the SMM handler would see, and change, the state of another guest",
	},
	{
		.topic = "`KVM_SET_TSC_KHZ` to another frequency on a CPU without TSC scaling",
		.nestor = "`-EINVAL`, with a log line",
		.upstream = "the guest's TSC jumps forward now and then",
		.reason = "the guest's clocks would be wrong without anybody knowing",
	},
	{
		.topic = "a VMCB that a guest hypervisor's VMRUN refuses",
		.nestor = "the log and the tracepoint `nested_refused` name the rule of the manual and the field",
		.upstream = "silence",
		.reason = "authors of hypervisors want to know",
	},
	{
		.topic = "registers set by ioctl while a guest's guest runs",
		.nestor = "its own; equal values change nothing",
		.upstream = "may get the other level's",
		.reason = "`KVM_RUN_X86_GUEST_MODE` says whose they are",
	},
	{
		.topic = "nested paging by a guest hypervisor that runs without PAE",
		.nestor = "VMEXIT_INVALID",
		.upstream = "works",
		.reason = "nobody uses it, and it would be one more format of tables",
	},
	{
		.topic = "what the kernel writes into guest memory without a vCPU (dirty ring)",
		.nestor = "in the ring of vCPU 0",
		.upstream = "is not reported",
		.reason = "a migration would lose it",
	},
	{
		.topic = "`KVM_CREATE_DEVICE` of a VFIO device",
		.nestor = "`-ENODEV`",
		.upstream = "a device",
		.reason = "VFIO finds KVM by the names of kvm.ko's symbols",
		.suite = "abi", .action = "KVM_CREATE_DEVICE*", .what = "KVM_CREATE_DEVICE",
		.values = "-ENODEV/*",
	},
	{
		.topic = "a route to a SINT of Hyper-V's SynIC that is set before the SynIC is enabled, or its VP index",
		.nestor = "EOIs find it",
		.upstream = "EOIs do not tell its irqfd",
		.reason = "no order of setting the state loses a part of it",
	},
	{
		.topic = "SVM for guests: decode assists; the next RIP and virtual GIF on a CPU without them",
		.nestor = "offered",
		.upstream = "not offered",
		.reason = "guest hypervisors need not decode",
	},
	{
		.topic = "VMX for guests",
		.nestor = "4 CR3 targets, 'conceal VMX from PT' accepted, zero-length injection, virtualization exceptions, the shutdown state; a VM entry that is refused shows its rule (`nestor:nested_refused`)",
		.upstream = "none of them",
		.reason = "real CPUs have them",
		.suite = "cpu", .action = "lists", .what = "feature MSR 0x4[89]?",
	},
	{
		.topic = "VMPTRLD and VMPTRST while an enlightened VMCS is the current one",
		.nestor = "VMfailInvalid",
		.upstream = "are executed for ever",
		.reason = "the TLFS says nothing, and nobody can find out why a guest hypervisor hangs",
	},
	{
		.topic = "VM-instruction errors with an enlightened VMCS",
		.nestor = "the field is written",
		.upstream = "all fields that exits write are",
		.reason = "the guest hypervisor may have written to them since its guest's last exit",
	},
	{
		.topic = "`KVM_GET_NESTED_STATE` in SMM, which has interrupted a guest's guest with an enlightened VMCS",
		.nestor = "what was interrupted",
		.upstream = "what the guest hypervisor entered",
		.reason = "RSM would go back to where its guest was long before",
	},
	{
		.topic = "`KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY` without a port address",
		.nestor = "`-EINVAL`",
		.upstream = "an eventfd that nothing can signal",
		.reason = "a bus of another architecture",
		.suite = "abi", .action = "KVM_IOEVENTFD*", .what = "KVM_IOEVENTFD",
		.values = "-EINVAL/*",
	},
	{
		.topic = "capabilities that later kernels than the host's have",
		.nestor = "theirs",
		.upstream = "the host's",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "lists", .what = "capability 0x@(42|46|81|59|80|d5|d9|da|df|e0|e5|e6|e7|e8|eb|ec|ed|ee|ef|f0|f1|f2|f3|f4|f5|f6|f7|f8)",
	},
	{
		.topic = "capabilities of device assignment by KVM, performance counters, SGX, SEV, Xen, `guest_memfd`, and `KVM_CAP_LAST_CPU`",
		.nestor = "0",
		.upstream = "1, or flags",
		.reason = "Nestor has none of these, and a number is offered when it works",
		.suite = "abi", .action = "lists", .what = "capability 0x@(26|2f|ad|b8|c4|c5|ce|e2|e9|ea)",
		.values = "0/*",
	},
	{
		.topic = "performance counters",
		.nestor = "none: their MSRs are not listed, CPUID 0xa is empty",
		.upstream = "a virtual PMU",
		.reason = "the host's perf serves KVM only",
		.suite = "cpu", .action = "*", .what = "*MSR 0x@(309|30[ab]|345|38[def]|390|3f1|3f2|600|c001000?|c001020?|186|187|c1|c2)",
	},
	{
		.topic = "names, and sizes of caches, in CPUID 0x80000002 to 0x80000005",
		.nestor = "the CPU's",
		.upstream = "zeros",
		.reason = "VMMs and guests show them",
		.suite = "cpu", .action = "lists", .what = "CPUID E?X 0x8000000[2-5]0000",
	},
	{
		.topic = "MSRs of VMX and SGX on AMD CPUs, of AMD's on Intel",
		.nestor = "not listed",
		.upstream = "listed",
		.reason = "the vCPU does not have them",
		.suite = "cpu", .action = "lists", .what = "*MSR 0x@(3a|c001011f|10a|c0000104)",
		.values = "nothing/*",
	},
	{
		.topic = "features that the host's KVM does not know yet, or that only it has",
		.nestor = "what works",
		.upstream = "what the host's version lists",
		.reason = "a feature is offered when it works, whatever the kernel",
		.suite = "cpu", .action = "lists", .what = "*CPUID*",
	},
	{
		.topic = "MSRs that later kernels than the host's list",
		.nestor = "theirs",
		.upstream = "the host's",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "cpu", .action = "lists", .what = "*MSR*",
		.values = "*/nothing",
	},
	{
		.topic = "CR4.MCE of guests on AMD",
		.nestor = "what the guest wrote",
		.upstream = "1 when the host has it",
		.reason = "a guest's register is the guest's",
	},
	{
		.topic = "instructions on memory that is not there: SSE moves, BCD, and others that upstream's emulator lacks",
		.nestor = "are emulated",
		.upstream = "`KVM_EXIT_INTERNAL_ERROR`",
		.reason = "a VMM can do nothing about it",
		.suite = "emulate", .action = "*", .what = "exit",
		.values = "*/KVM_EXIT_INTERNAL_ERROR",
	},
	{
		.topic = "the interrupt shadow of STI, when the next instruction raises an exception",
		.nestor = "ends with it",
		.upstream = "may last for the first instruction of the handler",
		.reason = "it is for one instruction",
		.suite = "cpu", .action = "*", .what = "interrupt.shadow", .values = "0x0/0x3",
	},
	{
		.topic = "`KVM_CREATE_PIT2` without an interrupt controller",
		.nestor = "`-ENOENT`, as in 7.3",
		.upstream = "a PIT",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_CREATE_PIT2*", .what = "KVM_CREATE_PIT2", .values = "-ENOENT/0",
	},
	{
		.topic = "an SMI where no memory is to save the state in",
		.nestor = "`KVM_RUN` fails with `-EIO`, as in 7.3",
		.upstream = "goes on without it",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "@(abi|irq)", .action = "*", .what = "KVM_RUN", .values = "-EIO/0",
	},
	{
		.topic = "`nmi.pending` of `KVM_GET_VCPU_EVENTS`",
		.nestor = "how many, as in 7.3",
		.upstream = "whether there is one",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "irq", .action = "KVM_NMI*", .what = "nmi.pending", .values = "0x2/0x1",
	},
	{
		.topic = "VMRUN with SEV enabled on a CPU without it",
		.nestor = "VMEXIT_INVALID",
		.upstream = "is ignored",
		.reason = "the APM says so (VMRUN), and the guest hypervisor would believe that it works",
		.suite = "nested", .action = "VMRUN with nested_ctl *", .what = "exit_code",
		.values = "0xffffffffffffffff/*",
	},
	{
		.topic = "INIT while VM_CR.R_INIT is set",
		.nestor = "#SX",
		.upstream = "resets the vCPU",
		.reason = "the APM says so (VM_CR MSR)",
	},
	{
		.topic = "`KVM_SET_GUEST_DEBUG` with bits 63:32 of DR7",
		.nestor = "ignores them",
		.upstream = "`KVM_EXIT_FAIL_ENTRY`",
		.reason = "they mean nothing, and the VM is usable",
		.suite = "abi", .action = "*", .what = "exit", .values = "*/KVM_EXIT_FAIL_ENTRY",
	},
	{
		.topic = "MOVNTI with prefix 66, on memory that is not there",
		.nestor = "#UD",
		.upstream = "executed",
		.reason = "the SDM allows no prefix there (NP), and CPUs do not",
		.suite = "emulate", .action = "*66 *0f c3 *", .what = "exit",
	},
	{
		.topic = "MOV from and to segment registers with REX.R, on memory that is not there",
		.nestor = "REX.R is ignored",
		.upstream = "#UD",
		.reason = "the SDM says so (Special Encodings for REX Prefixes), and CPUs do",
		.suite = "emulate", .action = "*4[c-f] 8[ce] *", .what = "*",
	},
	{
		.topic = "dirty bit of the entry that maps memory that is not there, after a read-modify-write instruction",
		.nestor = "1",
		.upstream = "may be 0",
		.reason = "the CPU sets it",
		.suite = "mmu", .action = "@(increment|exchange) *", .what = "P[TD]E ?",
	},
	{
		.topic = "SYSENTER of a 64-bit guest on AMD",
		.nestor = "#UD, as on the CPU",
		.upstream = "may end in `KVM_EXIT_INTERNAL_ERROR`",
		.reason = "a VMM can do nothing about it",
		.suite = "cpu", .action = "sys@(enter|exit)*", .what = "exit",
		.values = "*/KVM_EXIT_INTERNAL_ERROR",
	},
	{
		.topic = "STGI and CLGI before EFER.SVME is set, on a CPU with virtual GIF",
		.nestor = "#UD",
		.upstream = "are executed",
		.reason = "the APM says so (STGI, CLGI)",
		.suite = "cpu", .action = "@(stgi|clgi)*", .what = "port written",
		.values = "0x6/0xff",
	},
	{
		.topic = "`KVM_SIGNAL_MSI` to a destination that no APIC has",
		.nestor = "0: blocked",
		.upstream = "0 or `-EPERM`, after how its map of APICs is just now",
		.reason = "it is no error of the sender's",
		.suite = "@(irq|abi)", .action = "KVM_SIGNAL_MSI*", .what = "KVM_SIGNAL_MSI",
		.values = "0/-EPERM",
	},
	{
		.topic = "bits and registers that a local APIC does not have, set by `KVM_SET_LAPIC`",
		.nestor = "0",
		.upstream = "as they were set",
		.reason = "guests can not set them",
		.suite = "irq", .what = "local APIC register 0x*",
		.action = "KVM_SET_LAPIC with register 0x@(0|10|[3-9]0|[a-f]0|2f0|310|3[89a-f]0) *",
	},
};

const unsigned int nr_deliberate = ARRAY_SIZE(deliberate);

static bool matches(const char *pattern, const char *text)
{
	return !pattern || !fnmatch(pattern, text, FNM_EXTMATCH);
}

/** deliberate__find() - which of them explains a difference; -1: none */
int deliberate__find(const struct difference *d, bool a_is_nestor)
{
	struct words w;
	char values[2 * sizeof(w.a)];

	difference__words(d, &w);
	snprintf(values, sizeof(values), "%s/%s", a_is_nestor ? w.a : w.b, a_is_nestor ? w.b : w.a);
	for (unsigned int i = 0; i < nr_deliberate; i++) {
		const struct deliberate *k = &deliberate[i];

		if (k->suite && matches(k->suite, d->suite->name) && matches(k->action, w.action) &&
		    matches(k->what, w.what) && matches(k->values, values))
			return i;
	}
	return -1;
}

/** deliberate__print() - print them as README.md's table */
void deliberate__print(void)
{
	printf("| what | Nestor | upstream | why |\n| --- | --- | --- | --- |\n");
	for (unsigned int i = 0; i < nr_deliberate; i++)
		printf("| %s | %s | %s | %s |\n", deliberate[i].topic, deliberate[i].nestor, deliberate[i].upstream,
		       deliberate[i].reason);
}
