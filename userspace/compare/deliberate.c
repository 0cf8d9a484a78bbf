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

#define B(n)	(1ULL << (n))

/* Places of CPUID are function and index, 16 bits. */
static const struct place later_features[] = {
	{ "CPUID EAX 0x0", "0x2[0-4]/0x1f", 0, 0 },			/* the last leaf */
	{ "CPUID EAX 0x800000000000", "0x80000022/0x80000021", 0, 0 },
	{ "CPUID E?X 0x2[0-4]0000", "0x0/nothing", 0, 0 },
	{ "CPUID E?X 0x800000220000", "0x0/nothing", 0, 0 },
	{ "CPUID ECX 0x10000", NULL, B(24) | B(31), 0 },		/* TSC deadline, hypervisor */
	{ "CPUID EDX 0x70000", NULL, B(28), 0 },			/* L1D flush */
	{ "CPUID EAX 0x70001", NULL, 0x841c87, 0 },			/* SHA512 to AVX-IFMA */
	{ "CPUID EDX 0x70001", NULL, B(4) | B(5) | B(10) | B(14) | B(19), 0 },
	{ "CPUID EBX 0x240000", NULL, 0x700ff, 0 },			/* AVX10 */
	{ "CPUID EDX 0x800000070000", NULL, B(8), 0 },			/* invariant TSC */
	{ "CPUID EBX 0x800000080000", NULL, B(19) | B(20) | B(28) | B(30), 0 },
	{ "CPUID EAX 0x800000080000", NULL, 0xff0000, 0 },		/* width of guest-physical addresses */
	{ "CPUID EAX 0x800000210000", NULL, B(1) | B(8) | B(17) | B(20) | 0xfULL << 27, 0 },
	{ 0 },
};

static const struct place reserved_debug_bits[] = {
	{ "dr6", NULL, 0, B(12) },
	{ "dr7", NULL, 0, B(12) | B(14) | B(15) },
	{ "rax", NULL, 0, B(12) | B(14) | B(15) },
	{ 0 },
};

static const struct place segment_bits[] = {
	{ "?s.type", NULL, 0, 1 },
	{ "*.present", "0x0/0x1", 0, 0 },
	{ "tr.type", NULL, 0, 3 },
	{ "@(?s|tr|ldt).g", NULL, 1, 1 },
	{ "@(?s|tr|ldt).unusable", NULL, 0, 1 },
	{ "ss.db", NULL, 1, 0 },
	{ 0 },
};

static const struct place undecoded[] = {
	{ "rip", "0xc00?/0xc00?", 0, 0 },
	{ "exit", "*/KVM_EXIT_INTERNAL_ERROR 1", 0, 0 },
	{ 0 },
};

static const struct place sti_shadow[] = {
	{ "interrupt.shadow", "0x0/0x3", 0, 0 },
	{ "int_state", "0x0/0x1", 0, 0 },
	{ 0 },
};

static const struct place refused_control[] = {
	{ "exit_code", "0xffffffffffffffff/*", 0, 0 },
	{ "port written", "0xff/*", 0, 0 },
	{ "exit", "KVM_EXIT_IO/*", 0, 0 },
	{ 0 },
};

static const struct place accepted_control[] = {
	{ "exit_code", "*/0xffffffffffffffff", 0, 0 },
	{ "exit", "*/KVM_EXIT_IO", 0, 0 },
	{ "port @(written|read)", "*/*0xff", 0, 0 },
	{ 0 },
};

static const struct place refused_event[] = {
	{ "exit_code", "0xffffffffffffffff/*", 0, 0 },
	{ "rip", "0xc000/*", 0, 0 },
	{ "@(cr2|dr6)", NULL, 0, 0 },		/* of an L2 that is not entered */
	{ "port written", "0xff/*", 0, 0 },
	{ 0 },
};

static const struct place virtual_8086_ud[] = {
	{ "exit_int_info", "0x80000306/*", 0, 0 },
	{ "exit_code", "@(0x46|0x7f)/@(0x41|0x81)", 0, 0 },
	{ "exit", "*/KVM_EXIT_INTERNAL_ERROR 1", 0, 0 },
	{ 0 },
};

static const struct place stepped_handler[] = {
	{ "exit", "KVM_EXIT_DEBUG/KVM_EXIT_IO", 0, 0 },
	{ "its address", "0x38*/*", 0, 0 },	/* SMM's */
	{ 0 },
};

static const struct place later_fields[] = {
	{ "VM-instruction error", "0x0/0xc", 0, 0 },
	{ "@(guest|host)_@(ssp|ssp_table|s_cet)", "*/0x0", 0, 0 },
	{ "@(ve_info|ve_index|eptp_index)", "*/0x0", 0, 0 },
	{ 0 },
};

static const struct place lost_delivery[] = {
	{ "KVM_RUN", "0/-EINTR", 0, 0 },
	{ "exit", "KVM_EXIT_INTERNAL_ERROR 3/KVM_EXIT_IO", 0, 0 },
	{ 0 },
};

static const struct place missing_features[] = {
	{ "CPUID ECX 0x10000", NULL, B(24) | B(31), B(2) | B(15) },	/* DTES64, PDCM */
	{ "CPUID EDX 0x10000", NULL, 0, B(21) },			/* DS */
	{ "CPUID EBX 0x70000", NULL, 0, B(2) | B(14) | B(25) },		/* SGX, MPX, PT */
	{ "CPUID ECX 0x70000", NULL, 0, B(2) | B(7) | B(24) | B(30) },	/* UMIP, shadow stacks, bus locks, SGX */
	{ "CPUID EDX 0x70000", NULL, B(28), B(20) | B(22) | B(24) | B(25) | B(29) },
	{ "CPUID EAX 0x70001", NULL, 0x841c87, B(19) | B(21) | B(26) | B(31) },
	{ "CPUID ECX 0x70001", NULL, 0, B(5) },				/* MSR instructions' immediate forms */
	{ "CPUID EDX 0x70001", NULL, 0, B(8) },
	{ "CPUID EAX 0xd0000", NULL, 0, B(3) | B(4) | B(17) | B(18) },
	{ "CPUID EAX 0xd0001", NULL, 0, B(4) },				/* XFD */
	{ "CPUID ECX 0xd0001", NULL, 0, B(11) | B(12) },
	{ "CPUID E?X 0xd00@(03|04|0b|0c|11|12)", "nothing/*", 0, 0 },
	{ "CPUID E?X 0x@(a|12|14|1d|1e)000?", "@(0x0|nothing)/*", 0, 0 },
	{ "CPUID ECX 0x800000010000", NULL, 0, B(23) | B(26) },		/* counters, breakpoints */
	{ "CPUID EBX 0x800000080000", NULL, B(19) | B(20) | B(28) | B(30), B(25) },
	{ "CPUID EAX 0x800000210000", NULL, B(1) | B(8) | B(17) | B(20) | 0xfULL << 27, B(23) | B(24) },
	{ "CPUID E?X 0x800000@(19|1f|22)0000", "@(0x0|nothing)/*", 0, 0 },
	{ "CPUID EAX 0x400000010000", NULL, 0, B(10) },			/* asynchronous page faults as exits */
	{ "emulated CPUID ECX 0x@(1|7)0000", NULL, 0, B(22) },		/* MOVBE, RDPID */
	{ 0 },
};

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
		.topic = "registers set, or read, by ioctl while a guest's guest runs",
		.nestor = "its own; equal values change nothing",
		.upstream = "may get the other level's",
		.reason = "`KVM_RUN_X86_GUEST_MODE` says whose they are",
		.suite = "nested", .action = "VMRUN*with dr7 *", .place.what = "dr7", .place.values = "*/0x400",
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
		.suite = "abi", .action = "KVM_CREATE_DEVICE*", .place.what = "KVM_CREATE_DEVICE",
		.place.values = "-ENODEV/*",
	},
	{
		.topic = "a route to a SINT of Hyper-V's SynIC that is set before the SynIC is enabled, or its VP index",
		.nestor = "EOIs find it",
		.upstream = "EOIs do not tell its irqfd",
		.reason = "no order of setting the state loses a part of it",
	},
	{
		.topic = "SVM for guests: decode assists; the next RIP and virtual GIF on a CPU without them; virtual NMIs, LBRs, VMLOAD and TSC ratios",
		.nestor = "offered, but for the last four",
		.upstream = "the last four",
		.reason = "guest hypervisors need not decode",
		.suite = "cpu", .action = "lists", .place.what = "CPUID EDX 0x8000000a0000",
		.place.ours = B(3) | B(5) | B(6) | B(7) | B(16), .place.theirs = B(1) | B(4) | B(15) | B(17) | B(25),
	},
	{
		.topic = "VMX for guests",
		.nestor = "4 CR3 targets, 'conceal VMX from PT' accepted, zero-length injection, virtualization exceptions, the shutdown state; a VM entry that is refused shows its rule (`nestor:nested_refused`)",
		.upstream = "none of them",
		.reason = "real CPUs have them",
		.suite = "cpu", .action = "@(lists|rdmsr *rcx 0x4[89]?, *)", .place.what = "@(feature MSR 0x4[89]?|rax|rdx|data)",
	},
	{
		.topic = "VMPTRLD and VMPTRST while an enlightened VMCS is the current one",
		.nestor = "VMfailInvalid",
		.upstream = "are executed for ever",
		.reason = "the TLFS says nothing, and nobody can find out why a guest hypervisor hangs",
	},
	{
		.topic = "VMCS fields of CET, of virtualization exceptions and of EPTP switching",
		.nestor = "are there",
		.upstream = "are unknown (VM-instruction error 12), those of CET before 6.18",
		.reason = "real CPUs have them",
		.suite = "nested", .action = "VMLAUNCH*", .places = later_fields,
	},
	{
		.topic = "reserved bits of access rights in a VMCS",
		.nestor = "are kept by VMWRITE, and VM entry fails",
		.upstream = "are dropped by VMWRITE, as by some CPUs",
		.reason = "the SDM says so (Checks on Guest Segment Registers)",
		.suite = "nested", .action = "VMLAUNCH*guest_@(?s|tr|ldtr)_ar *",
		.place.what = "@(guest_*_ar|exit reason|port written|exit)",
	},
	{
		.topic = "VM entry with a RIP that is not canonical",
		.nestor = "fails",
		.upstream = "is left to the CPU, and Bochs's does not look",
		.reason = "the SDM says so (Checks on Guest RIP, RFLAGS, and SSP)",
		.suite = "nested", .action = "VMLAUNCH*guest_rip *", .place.what = "@(port written|exit reason|exit)",
	},
	{
		.topic = "which of several failures of a VM entry is told",
		.nestor = "the first one, in the SDM's order",
		.upstream = "that of the VMCS link pointer before others",
		.reason = "the SDM allows any order, and describes one",
		.suite = "nested", .action = "VMLAUNCH*link_pointer *", .place.what = "exit qualification",
		.place.values = "0x0/0x4",
	},
	{
		.topic = "VM entry with both a guest state that is not valid and MSRs that cannot be loaded",
		.nestor = "fails for the guest's state",
		.upstream = "fails for the MSRs, if it leaves the state to the CPU",
		.reason = "the SDM loads MSRs behind the checks (VM Entries)",
		.suite = "nested", .action = "VMLAUNCH*entry_msr_load_*", .place.what = "exit reason",
		.place.values = "0x80000021/0x80000022",
	},
	{
		.topic = "VM entry with reserved bits in the upper half of the pending debug exceptions",
		.nestor = "fails",
		.upstream = "is left to the CPU, and Bochs's looks at the lower half",
		.reason = "the SDM says so (Checks on Guest Non-Register State)",
		.suite = "nested", .action = "VMLAUNCH*guest_pending_debug *", .place.what = "@(port written|exit reason)",
		.place.values = "@(0xff|0x80000021)/*",
	},
	{
		.topic = "CR0.CD and NW of the host state, at a VM exit",
		.nestor = "are not loaded",
		.upstream = "are loaded",
		.reason = "the SDM says so (Loading Host Control Registers, Debug Registers, MSRs)",
		.suite = "nested", .action = "VMLAUNCH*host_cr0 *", .place.what = "cr0", .place.theirs = B(29) | B(30),
	},
	{
		.topic = "segment registers behind a VM entry that fails for the guest's state",
		.nestor = "the host's, as behind a VM exit",
		.upstream = "as they were before, if the CPU found it",
		.reason = "the SDM says so (VM-Entry Failures During or After Loading Guest State)",
		.suite = "nested", .action = "VMLAUNCH*", .place.what = "[d-gs]s.*",
	},
	{
		.topic = "PUSHF of a guest's guest whose stack is where no memory is, on Intel",
		.nestor = "is emulated",
		.upstream = "#UD",
		.reason = "the SDM knows no such exception (PUSHF)",
		.suite = "nested", .action = "VMLAUNCH*guest_rsp *, L2 executes pushf", .place.what = "exit",
		.place.values = "KVM_EXIT_MMIO/*",
	},
	{
		.topic = "the guest-linear address of an exit that does not define it",
		.nestor = "0",
		.upstream = "may be that of an exit which the guest hypervisor does not see",
		.reason = "it is none of its own",
		.suite = "nested", .action = "VMLAUNCH*", .place.what = "guest-linear address", .place.values = "0x0/*",
	},
	{
		.topic = "the qualification of an exit for VMREAD between registers",
		.nestor = "the CPU's, and Bochs's is left from somewhere",
		.upstream = "the same",
		.reason = "the SDM does not define it",
		.suite = "nested", .action = "VMLAUNCH*, L2 executes vmread *", .place.what = "exit qualification",
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
		.suite = "abi", .action = "KVM_IOEVENTFD*", .place.what = "KVM_IOEVENTFD",
		.place.values = "-EINVAL/*",
	},
	{
		.topic = "capabilities that later kernels than the host's have",
		.nestor = "theirs",
		.upstream = "the host's",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "@(lists|KVM_CHECK_EXTENSION*)", .place.what = "capability 0x@(42|46|81|59|80|d5|d9|da|df|e0|e5|e6|e7|e8|eb|ec|ed|ee|ef|f0|f1|f2|f3|f4|f5|f6|f7|f8)",
	},
	{
		.topic = "capabilities of device assignment by KVM, performance counters, SGX, SEV, Xen, `guest_memfd`, and `KVM_CAP_LAST_CPU`",
		.nestor = "0",
		.upstream = "1, or flags",
		.reason = "Nestor has none of these, and a number is offered when it works",
		.suite = "abi", .action = "@(lists|KVM_CHECK_EXTENSION*)", .place.what = "capability 0x@(26|2f|ad|b8|c4|c5|ce|e2|e9|ea)",
		.place.values = "0/*",
	},
	{
		.topic = "`KVM_CAP_VAPIC` where the CPU handles accesses to the task priority",
		.nestor = "0",
		.upstream = "1",
		.reason = "VMMs have nothing to patch",
		.suite = "abi", .action = "@(lists|KVM_CHECK_EXTENSION*)", .place.what = "capability 0x6", .place.values = "0/1",
	},
	{
		.topic = "performance counters",
		.nestor = "none: their MSRs are not listed, CPUID 0xa is empty",
		.upstream = "a virtual PMU",
		.reason = "the host's perf serves KVM only",
		.suite = "cpu", .action = "*", .place.what = "*MSR 0x@(309|30[ab]|345|38[def]|390|3f1|3f2|600|c001000?|c001020?|186|187|c1|c2)",
	},
	{
		.topic = "names, and sizes of caches, in CPUID 0x80000002 to 0x80000005",
		.nestor = "the CPU's",
		.upstream = "zeros",
		.reason = "VMMs and guests show them",
		.suite = "cpu", .action = "lists", .place.what = "CPUID E?X 0x8000000[2-5]0000",
	},
	{
		.topic = "MSRs of VMX and SGX on AMD CPUs, of AMD's on Intel",
		.nestor = "not listed",
		.upstream = "listed",
		.reason = "the vCPU does not have them",
		.suite = "cpu", .action = "lists", .place.what = "*MSR 0x@(3a|c001011[7f]|10a|c0000104)",
		.place.values = "nothing/*",
	},
	{
		.topic = "RDMSR and WRMSR of AMD's MSRs on Intel",
		.nestor = "#GP",
		.upstream = "0, and is ignored",
		.reason = "the vCPU does not have them",
		.suite = "cpu", .action = "@(rdmsr|wrmsr) *rcx 0xc001*", .place.what = "port written", .place.values = "0xd/@(0xff|0x1)",
	},
	{
		.topic = "CPUID: features that only later kernels' KVM has",
		.nestor = "what works",
		.upstream = "what the host's version lists",
		.reason = "a feature is offered when it works, whatever the kernel",
		.suite = "cpu", .action = "lists", .places = later_features,
	},
	{
		.topic = "CPUID: AMX, CET, Intel PT, LAM, MPX, SEV, SGX, bus locks, breakpoint extensions, immediate forms of MSR instructions, performance counters, `ARCH_CAPABILITIES` on AMD, TLBs of 1 GiB pages, instructions, and UMIP, that are emulated though the CPU lacks them",
		.nestor = "none",
		.upstream = "what the host's version has",
		.reason = "a feature is offered when it works",
		.suite = "cpu", .action = "lists", .places = missing_features,
	},
	{
		.topic = "MSRs that later kernels than the host's list",
		.nestor = "theirs",
		.upstream = "the host's",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "cpu", .action = "lists", .place.what = "*MSR*",
		.place.values = "*/nothing",
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
		.suite = "emulate", .action = "*", .place.what = "exit",
		.place.values = "*/KVM_EXIT_INTERNAL_ERROR 1",
	},
	{
		.topic = "reserved bits of `IA32_DEBUGCTL` on AMD without LBR virtualization",
		.nestor = "#GP, as in 7.3",
		.upstream = "are ignored",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "cpu", .action = "wrmsr *rcx 0x1d9, *", .place.what = "port written",
		.place.values = "0xd/@(0xff|0x1)",
	},
	{
		.topic = "the interrupt shadow of STI, when the next instruction raises an exception",
		.nestor = "ends with it",
		.upstream = "may last for the first instruction of the handler",
		.reason = "it is for one instruction",
		.suite = "@(cpu|nested)", .action = "*", .places = sti_shadow,
	},
	{
		.topic = "`KVM_CREATE_VCPU` with any of bits 63:32",
		.nestor = "`-EINVAL`, as in 7.3",
		.upstream = "ignores them",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_CREATE_VCPU(*", .place.what = "KVM_CREATE_VCPU", .place.values = "-EINVAL/@(0|-EEXIST)",
	},
	{
		.topic = "`KVM_CREATE_VCPU` with an ID from 4096 on",
		.nestor = "a vCPU, up to 16383, as in 7.3",
		.upstream = "`-EINVAL`",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_CREATE_VCPU(*", .place.what = "KVM_CREATE_VCPU", .place.values = "0/-EINVAL",
	},
	{
		.topic = "`interrupt.shadow` of `KVM_SET_VCPU_EVENTS`",
		.nestor = "its two bits as they are set",
		.upstream = "on AMD both, when any bit is set; on Intel one, when both are",
		.reason = "values that are read and set change nothing",
		.suite = "abi", .action = "KVM_SET_VCPU_EVENTS,*interrupt.shadow *", .place.what = "interrupt.shadow",
		.place.values = "@(0x[012]/0x3|0x3/0x1)",
	},
	{
		.topic = "`KVM_SET_VCPU_EVENTS` that is refused because of its triple fault",
		.nestor = "changes nothing",
		.upstream = "has set everything else",
		.reason = "values that are refused change nothing",
		.suite = "abi", .action = "KVM_SET_VCPU_EVENTS,*flags *",
		.place.what = "@(exception|interrupt|nmi|smi)*",
	},
	{
		.topic = "memory where upstream has pages of its own, on Intel (the APIC's, a TSS, an identity map)",
		.nestor = "can be set",
		.upstream = "`-EEXIST`",
		.reason = "guests are given no page that user space does not know",
		.suite = "abi", .action = "KVM_SET_USER_MEMORY_REGION*", .place.what = "KVM_SET_USER_MEMORY_REGION",
		.place.values = "0/-EEXIST",
	},
	{
		.topic = "`KVM_RUN` of a vCPU that waits for INIT, with an exception pending",
		.nestor = "waits",
		.upstream = "`-EAGAIN`, again and again",
		.reason = "what it waits for has not come",
		.suite = "abi", .action = "KVM_RUN", .place.what = "KVM_RUN", .place.values = "-EINTR/-EAGAIN",
	},
	{
		.topic = "MOV to CR8 with any of bits 63:8, on Intel",
		.nestor = "#GP",
		.upstream = "ignores them",
		.reason = "the SDM says so (MOV to and from Control Registers)",
		.suite = "cpu", .action = "mov %rax, %cr8 *", .place.what = "port written", .place.values = "0xd/@(0xff|0x1)",
	},
	{
		.topic = "`KVM_SET_REGS` that changes bits 63:32 of RIP outside 64-bit mode, behind an exit for OUT",
		.nestor = "the guest goes on at that address",
		.upstream = "and behind the OUT",
		.reason = "the VMM has said where",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_REGS,*rip *", .place.what = "port written",
		.place.values = "0xfc/0xff",
	},
	{
		.topic = "TF in `KVM_GET_REGS` while user space single-steps the guest",
		.nestor = "the guest's",
		.upstream = "0",
		.reason = "values that are read and set change nothing",
		.suite = "abi", .action = "*", .after = "KVM_SET_GUEST_DEBUG*", .place.what = "rflags", .place.ours = 0x100,
	},
	{
		.topic = "`KVM_SIGNAL_MSI`, as an NMI or the like, before anybody has touched the local APIC",
		.nestor = "1: delivered",
		.upstream = "0: its map of APICs lacks it",
		.reason = "interrupts are not lost",
		.suite = "abi", .action = "KVM_SIGNAL_MSI*", .place.what = "KVM_SIGNAL_MSI", .place.values = "1/0",
	},
	{
		.topic = "`KVM_SET_NESTED_STATE` with GIF 0 and nothing else, without EFER.SVME",
		.nestor = "is accepted, as in 7.3",
		.upstream = "`-EINVAL`",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_SET_NESTED_STATE*", .place.what = "KVM_SET_NESTED_STATE", .place.values = "0/-EINVAL",
	},
	{
		.topic = "`KVM_SET_GUEST_DEBUG` that injects an exception while another one is injected",
		.nestor = "`-EBUSY`, as in 7.3",
		.upstream = "takes its place",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_SET_GUEST_DEBUG*", .place.what = "KVM_SET_GUEST_DEBUG",
		.place.values = "-EBUSY/0",
	},
	{
		.topic = "`KVM_SET_MSRS` of reserved bits of `IA32_SPEC_CTRL` and `IA32_PRED_CMD`",
		.nestor = "fails",
		.upstream = "is left to the CPU, and QEMU's takes all",
		.reason = "the APM says so (Speculation Control MSRs)",
		.suite = "abi", .action = "KVM_SET_MSRS,*entry.index 0x4[89]*", .place.what = "KVM_SET_MSRS",
		.place.values = "0/1",
	},
	{
		.topic = "GIF 0, set by `KVM_SET_NESTED_STATE` while EFER.SVME is 0",
		.nestor = "holds nothing back until that bit is 1",
		.upstream = "holds back NMIs, SMIs and interrupts",
		.reason = "such a guest has no way to set GIF",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_NESTED_STATE*", .place.what = "port written",
		.place.values = "*/0xff",
	},
	{
		.topic = "`KVM_SET_MSRS` of `MSR_PLATFORM_INFO` to another value once the vCPU has run",
		.nestor = "fails, as that of any feature MSR in 7.3",
		.upstream = "is accepted",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_SET_MSRS,*entry.index 0xce*", .after = "KVM_RUN", .place.what = "KVM_SET_MSRS",
		.place.values = "0/1",
	},
	{
		.topic = "`KVM_CREATE_PIT2` without an interrupt controller",
		.nestor = "`-ENOENT`, as in 7.3",
		.upstream = "a PIT",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_CREATE_PIT2*", .place.what = "KVM_CREATE_PIT2", .place.values = "-ENOENT/0",
	},
	{
		.topic = "the interrupt shadow when an SMI is taken",
		.nestor = "is saved, and ends, as in 7.3",
		.upstream = "lasts in the handler",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "@(abi|irq)", .action = "KVM_RUN", .place.what = "interrupt.shadow", .place.values = "0x0/0x3",
	},
	{
		.topic = "`KVM_SET_SREGS` with bits of EFER that the guest's CPU does not have",
		.nestor = "`-EINVAL`, as in 7.3",
		.upstream = "accepts them",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_SET_SREGS,*efer *", .place.what = "KVM_SET_SREGS", .place.values = "-EINVAL/0",
	},
	{
		.topic = "reserved bits of CR0, and ET, set by `KVM_SET_SREGS`",
		.nestor = "0, and 1",
		.upstream = "as they were set",
		.reason = "CPUs ignore them",
		.suite = "abi", .action = "KVM_SET_SREGS,*cr0 *", .place.what = "cr0", .place.ours = 0x10,
		.place.theirs = 0x1ffaffc0,
	},
	{
		.topic = "the accessed bit of CS after INIT, on AMD",
		.nestor = "1, as on Intel",
		.upstream = "0",
		.reason = "the SDM says so (Processor State After Reset)",
		.suite = "abi", .action = "*", .place.what = "cs.type", .place.values = "0xb/0xa",
	},
	{
		.topic = "the reason of `KVM_EXIT_FAIL_ENTRY` on AMD",
		.nestor = "all 64 bits of VMEXIT_INVALID, as in 7.3",
		.upstream = "32 of them",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "abi", .action = "KVM_RUN", .place.what = "hardware's reason",
		.place.values = "0xffffffffffffffff/0xffffffff",
	},
	{
		.topic = "`KVM_ENABLE_CAP` of SEV's capabilities, and of exits for bus locks",
		.nestor = "`-EINVAL`",
		.upstream = "looks at their arguments",
		.reason = "Nestor does not have them",
		.suite = "abi", .action = "KVM_ENABLE_CAP,*", .place.what = "KVM_ENABLE_CAP",
		.place.values = "-EINVAL/@(-EBADF|0)",
	},
	{
		.topic = "an SMI where no memory is to save the state in",
		.nestor = "`KVM_RUN` fails with `-EIO`, as in 7.3",
		.upstream = "goes on without it",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "@(abi|irq)", .action = "*", .place.what = "KVM_RUN", .place.values = "-EIO/0",
	},
	{
		.topic = "`nmi.pending` of `KVM_GET_VCPU_EVENTS`",
		.nestor = "how many, as in 7.3",
		.upstream = "whether there is one",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "@(abi|irq)", .action = "*", .place.what = "nmi.pending",
		.place.values = "0x2/0x1",
	},
	{
		.topic = "VMRUN with SEV or AVIC enabled on a CPU without it",
		.nestor = "VMEXIT_INVALID",
		.upstream = "is ignored",
		.reason = "the APM says so (VMRUN), and the guest hypervisor would believe that it works",
		.suite = "nested", .action = "VMRUN*with @(nested_ctl|int_ctl) *", .places = refused_control,
	},
	{
		.topic = "VMRUN with an event of a type, or an exception of a number, that there is not",
		.nestor = "VMEXIT_INVALID, as in 7.3",
		.upstream = "is left to the CPU, and QEMU's ignores it",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "nested", .action = "VMRUN*with event_inj *", .places = refused_event,
	},
	{
		.topic = "VMRUN with virtual NMIs enabled, and NMIs not intercepted, on a CPU without virtual NMIs",
		.nestor = "ignores them",
		.upstream = "VMEXIT_INVALID",
		.reason = "such CPUs do",
		.suite = "nested", .action = "VMRUN*with int_ctl 0x*[4-7c-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]*",
		.places = accepted_control,
	},
	{
		.topic = "SVM's instructions of a guest's guest in protected mode without paging",
		.nestor = "are executed",
		.upstream = "#UD",
		.reason = "the APM says so (VMLOAD)",
		.suite = "nested", .action = "VMRUN*with cr0 *, L2 executes @(vmload|clgi|invlpga)", .place.what = "port written",
		.place.values = "0xff/*",
	},
	{
		.topic = "SVM's instructions of a guest's guest in virtual-8086 mode",
		.nestor = "#UD",
		.upstream = "are executed",
		.reason = "the APM says so (VMLOAD)",
		.suite = "nested", .action = "VMRUN*with rflags *, L2 executes @(vmload|clgi|invlpga)",
		.places = virtual_8086_ud,
	},
	{
		.topic = "DR7.GD after a debug exception of a guest's guest",
		.nestor = "0",
		.upstream = "may be 1",
		.reason = "the APM says so (General Detect)",
		.suite = "nested", .action = "VMRUN*with dr7 *", .place.what = "dr7", .place.theirs = 0x2000,
	},
	{
		.topic = "SGDT and SIDT of a guest's guest to where no memory is",
		.nestor = "exit for it",
		.upstream = "are executed for ever",
		.reason = "nobody can find out why a guest hangs",
		.suite = "nested", .action = "@(VMRUN*with |VMLAUNCH*guest_)rsp *, L2 executes sgdt*", .place.what = "KVM_RUN",
		.place.values = "0/-EINTR",
	},
	{
		.topic = "RF behind an instruction that the hypervisor has executed for a guest's guest",
		.nestor = "0",
		.upstream = "as it was",
		.reason = "the APM says so (Resume Flag)",
		.suite = "nested", .action = "VMRUN*with rflags *", .place.what = "@(rflags|memory 0x*)", .place.theirs = B(16),
	},
	{
		.topic = "RF of a guest's guest that shuts down at an exception's delivery",
		.nestor = "as the CPU leaves it",
		.upstream = "may be 1: its own injection sets it, where it has written to page tables for the CPU",
		.reason = "the CPU raises the exception",
		.suite = "nested", .action = "VMRUN*", .place.what = "rflags", .place.theirs = B(16),
	},
	{
		.topic = "INT3 of a guest's guest whose delivery faults, on AMD without the next RIP",
		.nestor = "the fault's RIP is that of INT3",
		.upstream = "may be the one behind it",
		.reason = "the APM says so (Faults)",
		.suite = "nested", .action = "VMRUN*, L2 executes int3", .place.what = "memory 0x*", .place.values = "*c000*/*c001*",
	},
	{
		.topic = "the host save area, which a guest's guest in real mode may come to execute",
		.nestor = "a format of its own",
		.upstream = "another",
		.reason = "the APM says nothing (Host Save Area)",
		.suite = "nested", .action = "VMRUN*with cr0 0x*[02468ace]@( |,)*", .place.what = "KVM_RUN",
		.place.values = "0/-EINTR",
	},
	{
		.topic = "INT3 of a guest's guest in 64-bit mode with a base of CS, on AMD without the next RIP",
		.nestor = "#BP",
		.upstream = "may be skipped",
		.reason = "the APM says so (Segment Registers in 64-Bit Mode)",
		.suite = "nested", .action = "VMRUN*with cs_base *, L2 executes int3", .place.what = "@(port written|rip)",
		.place.values = "@(0x3/0xff|0xd/0xff|0xc000/0xc001)",
	},
	{
		.topic = "software interrupts that a guest hypervisor injects, on AMD without the next RIP",
		.nestor = "are delivered",
		.upstream = "may be lost",
		.reason = "the APM says so (Event Injection)",
		.suite = "nested", .action = "VMRUN*with event_inj 0x*[4c][0-9a-f][0-9a-f]@( |,)*",
		.place.what = "@(port written|exit_int_info|exit_code|exit)",
		.place.values = "@(0xfe|0x?(1)[0-9a-f]|0x800004*|0x7f|KVM_EXIT_IO)/*",
	},
	{
		.topic = "EXITINFO1 of a fetch that has no nested translation, where the guest hypervisor does not use NX",
		.nestor = "has the bit of a fetch",
		.upstream = "does not",
		.reason = "the APM says so (Nested versus Guest Page Faults, Fault Ordering)",
		.suite = "nested", .action = "VMRUN*", .place.what = "exit_info_1", .place.ours = B(4),
	},
	{
		.topic = "EXITINFO1 of an exception that has no error code",
		.nestor = "0",
		.upstream = "may be that of an exit which the guest hypervisor does not see",
		.reason = "it is none of its own",
		.suite = "nested", .action = "VMRUN*with *intercept_exceptions *", .place.what = "exit_info_1",
		.place.values = "0x0/*",
	},
	{
		.topic = "a guest's guest that executes where no memory is, on AMD",
		.nestor = "#UD",
		.upstream = "#UD, or #GP if an instruction there could reach beyond the limit of CS",
		.reason = "there is no instruction",
		.suite = "nested", .action = "VMRUN*with @(rip|cs_base) *", .place.what = "port written",
		.place.values = "0x6/0xd",
	},
	{
		.topic = "VMLOAD and VMSAVE of a VMCB that is where no memory is",
		.nestor = "`KVM_EXIT_INTERNAL_ERROR`, as in 7.3",
		.upstream = "#GP",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "nested", .action = "VMRUN*with rax *, L2 executes vmload", .place.what = "exit",
		.place.values = "KVM_EXIT_INTERNAL_ERROR 1/KVM_EXIT_IO",
	},
	{
		.topic = "HLT of a guest's guest in 64-bit mode with RFLAGS.VM and a base of CS, on AMD without the next RIP",
		.nestor = "its own length is skipped",
		.upstream = "that of the instruction that the base leads to",
		.reason = "the APM says so (Segment Registers in 64-Bit Mode)",
		.suite = "nested", .action = "VMRUN*with cs_base *, L2 executes hlt", .place.what = "rip",
		.place.values = "0xc001/*",
	},
	{
		.topic = "RF that INT3 of a guest's guest pushes, on AMD without the next RIP",
		.nestor = "is left to the CPU, and QEMU's keeps it",
		.upstream = "0 when it has to inject the exception",
		.reason = "only the CPU executes the instruction",
		.suite = "nested", .action = "VMRUN*with rflags *, L2 executes int3",
		.place.what = "@(rflags|memory 0x*)", .place.ours = B(16),
	},
	{
		.topic = "WBINVD of a guest's guest above ring 0, on a CPU that exits for it nevertheless",
		.nestor = "#GP",
		.upstream = "is executed",
		.reason = "the APM says so (WBINVD), and QEMU does not",
		.suite = "nested", .action = "VMRUN*with ss_attrib *, L2 executes wbinvd",
		.place.what = "@(port written|exit_code)", .place.values = "@(0xd/0xff|0x7f/0x81)",
	},
	{
		.topic = "VMMCALL of a guest's guest whose hypervisor does not intercept it",
		.nestor = "#UD",
		.upstream = "may be executed for ever",
		.reason = "the APM says so (VMMCALL)",
		.suite = "nested", .action = "VMRUN*with intercept_4 *", .place.what = "KVM_RUN", .place.values = "0/-EINTR",
	},
	{
		.topic = "VMRUN with another EFER.LMA than LME and CR0.PG make",
		.nestor = "takes LMA from those",
		.upstream = "VMEXIT_INVALID, or is left to the CPU, and QEMU's believes it",
		.reason = "the APM has no such rule (Canonicalization and Consistency Checks)",
		.suite = "nested", .action = "VMRUN*with efer 0x*[13469bce][0-9a-f][0-9a-f]@( |,)*",
		.place.what = "@(exit_code|exit|KVM_RUN|port @(read|written))",
	},
	{
		.topic = "CR0.ET of a guest's guest, on AMD",
		.nestor = "1",
		.upstream = "as it was set",
		.reason = "the APM says so (CR0 Register)",
		.suite = "nested", .action = "VMRUN*with cr0 *", .place.what = "@(cr0|rax)", .place.ours = 0x10,
	},
	{
		.topic = "the error code in EVENTINJ after an exit to a guest hypervisor",
		.nestor = "0, as in 7.3",
		.upstream = "as it was",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "nested", .action = "VMRUN*", .place.what = "event_inj_error",
		.place.values = "0x0/*",
	},
	{
		.topic = "instructions that a guest's guest executes in a segment that is not present, on AMD without the next RIP",
		.nestor = "are executed, as by the CPU",
		.upstream = "may be executed again",
		.reason = "VMRUN does not look at it",
		.suite = "nested", .action = "VMRUN*with cs_attrib *", .places = undecoded,
	},
	{
		.topic = "V_TPR after an exit to a guest hypervisor that shares its TPR with the guest",
		.nestor = "as it was",
		.upstream = "the TPR",
		.reason = "it means nothing without V_INTR_MASKING",
		.suite = "nested", .action = "VMRUN*with int_ctl *", .place.what = "int_ctl",
		.place.ours = 0xf, .place.theirs = 0xf,
	},
	{
		.topic = "segments in `KVM_GET_SREGS`: accessed bits; on AMD the busy bit of TR, granularity, and when they are not present usability and the size of SS; on Intel the present bit",
		.nestor = "as they were set",
		.upstream = "1, 1, what the limit needs, 0, and 1 unless the segment is unusable",
		.reason = "values that are read and set change nothing",
		.suite = "@(abi|cpu|nested)", .action = "@(VMRUN*with ?s_attrib *|KVM_SET_SREGS*|* CPL [0-3]*)",
		.places = segment_bits,
	},
	{
		.topic = "limits of segments that their granularity can not say, behind an SMI and RSM",
		.nestor = "as they were set",
		.upstream = "the lower 20 bits as if they were scaled",
		.reason = "values that are read and set change nothing",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_SREGS,*.limit *", .place.what = "?s.limit",
	},
	{
		.topic = "reserved bits of RFLAGS, set by `KVM_SET_REGS`, behind an SMI and RSM",
		.nestor = "0",
		.upstream = "as they were set",
		.reason = "CPUs ignore them",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_S@(MI*|ET_VCPU_EVENTS*smi.pending *)", .place.what = "rflags",
		.place.theirs = ~0x3f7fd7ull,
	},
	{
		.topic = "a segment, set by `KVM_SET_SREGS`, that no descriptor describes, behind an SMI and RSM",
		.nestor = "is as it was, and VM entry fails",
		.upstream = "has a limit that its granularity allows",
		.reason = "RSM restores what the SMI has saved",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_SREGS,*?s.@(g|limit) *", .place.what = "exit",
		.place.values = "KVM_EXIT_FAIL_ENTRY/*",
	},
	{
		.topic = "the interrupt shadow at the first instruction of an SMM handler",
		.nestor = "none",
		.upstream = "that of the interrupted program, before 6.2",
		.reason = "the SDM says so (System Management Mode, Interrupt Handling)",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_S@(MI*|ET_VCPU_EVENTS*smi.pending *)",
		.place.what = "interrupt.shadow", .place.values = "0x0/*",
	},
	{
		.topic = "IRET whose stack is where no memory is",
		.nestor = "is emulated",
		.upstream = "`KVM_EXIT_INTERNAL_ERROR`",
		.reason = "a VMM can do nothing about it",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_REGS,*rsp *", .place.what = "exit",
		.place.values = "*/KVM_EXIT_INTERNAL_ERROR 1",
	},
	{
		.topic = "RSM to a CS that is not present, on AMD without the next RIP",
		.nestor = "goes on there, as the CPU does",
		.upstream = "`KVM_EXIT_INTERNAL_ERROR`",
		.reason = "a VMM can do nothing about it",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_SREGS,*cs.@(unusable|present) *", .place.what = "exit",
		.place.values = "*/KVM_EXIT_INTERNAL_ERROR 1",
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
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_GUEST_DEBUG*", .place.what = "exit",
		.place.values = "*/KVM_EXIT_FAIL_ENTRY",
	},
	{
		.topic = "MOVNTI with prefix 66, F2 or F3, on memory that is not there",
		.nestor = "#UD",
		.upstream = "executed",
		.reason = "the SDM allows no prefix there (NP), and CPUs do not",
		.suite = "emulate", .action = "*@(66|f2|f3) *0f c3 *", .place.what = "exit",
	},
	{
		.topic = "MOV from and to segment registers with REX.R, on memory that is not there",
		.nestor = "REX.R is ignored",
		.upstream = "#UD",
		.reason = "the SDM says so (Special Encodings for REX Prefixes), and CPUs do",
		.suite = "emulate", .action = "*4[c-f] 8[ce] *", .place.what = "*",
	},
	{
		.topic = "a guest's page tables where no memory is",
		.nestor = "#PF",
		.upstream = "may take the address of an entry for that of the operand, and exit for it",
		.reason = "the guest did not access anything there",
		.suite = "mmu", .action = "*000 at CPL*", .place.what = "exit", .place.values = "KVM_EXIT_IO/KVM_EXIT_MMIO",
	},
	{
		.topic = "MOV of a segment register with REX.W to memory that is not there",
		.nestor = "writes 2 bytes",
		.upstream = "writes 8",
		.reason = "the SDM says so (MOV)",
		.suite = "emulate", .action = "*48 8c *", .place.what = "@(length|exit)",
		.place.values = "@(0x[12]/*|KVM_EXIT_IO/KVM_EXIT_MMIO)",
	},
	{
		.topic = "dirty bit of the entry that maps memory that is not there, after a read-modify-write instruction",
		.nestor = "1",
		.upstream = "may be 0",
		.reason = "the CPU sets it",
		.suite = "mmu", .action = "@(increment|exchange) *", .place.what = "P[TD]E ?",
	},
	{
		.topic = "SYSENTER of a 64-bit guest on AMD",
		.nestor = "#UD, as on the CPU",
		.upstream = "may end in `KVM_EXIT_INTERNAL_ERROR`",
		.reason = "a VMM can do nothing about it",
		.suite = "cpu", .action = "sys@(enter|exit)*", .place.what = "exit",
		.place.values = "*/KVM_EXIT_INTERNAL_ERROR 1",
	},
	{
		.topic = "STGI and CLGI before EFER.SVME is set, on a CPU with virtual GIF",
		.nestor = "#UD",
		.upstream = "are executed",
		.reason = "the APM says so (STGI, CLGI)",
		.suite = "cpu", .action = "@(stgi|clgi)*", .place.what = "port written",
		.place.values = "0x6/@(0xff|0x1)",
	},
	{
		.topic = "`KVM_SIGNAL_MSI` to a destination that no APIC has",
		.nestor = "0: blocked",
		.upstream = "0 or `-EPERM`, after how its map of APICs is just now",
		.reason = "it is no error of the sender's",
		.suite = "@(irq|abi)", .action = "KVM_SIGNAL_MSI*", .place.what = "KVM_SIGNAL_MSI",
		.place.values = "0/-EPERM",
	},
	{
		.topic = "the PIC's answer to a poll when there is an interrupt",
		.nestor = "has bit 7, as in 7.3",
		.upstream = "may lack it",
		.reason = "one ABI on every kernel: that of Linux 7.3",
		.suite = "irq", .action = "in from port 0x@(20|21|a0|a1)", .place.what = "@(data|rax)", .place.ours = 0x80,
	},
	{
		.topic = "the second PIC's request at the first one, when that is polled",
		.nestor = "stays while the second has an interrupt",
		.upstream = "is taken back, and the interrupt waits for another one",
		.reason = "interrupts are not lost",
		.suite = "irq", .action = "in from port 0x@(20|21)", .place.what = "PIC irr", .place.ours = 4,
	},
	{
		.topic = "the real-time clock's interrupt (GSI 8), while its vector is pending or in service",
		.nestor = "waits, like any other's, and is coalesced with one that waits",
		.upstream = "is dropped, and `KVM_IRQ_LINE_STATUS` says so",
		.reason = "interrupts are not lost",
		.suite = "irq", .action = "KVM_IRQ_LINE_STATUS of GSI 8,*",
		.place.what = "@(I/O APIC irr|KVM_IRQ_LINE_STATUS|its status|local APIC register 0x2[0-7]0)",
	},
	{
		.topic = "bits and registers that a local APIC does not have, set by `KVM_SET_LAPIC`",
		.nestor = "0",
		.upstream = "as they were set",
		.reason = "guests can not set them",
		.suite = "irq", .action = "KVM_SET_LAPIC with register 0x*", .place.what = "local APIC register 0x*",
		.place.theirs = UINT32_MAX,
	},
	{
		.topic = "bits 3:0 of the TPR and of the PPR, on AMD",
		.nestor = "as they were written",
		.upstream = "0 as soon as the guest runs",
		.reason = "the SDM says so (Task and Processor Priorities)",
		.suite = "irq", .action = "*", .place.what = "local APIC register 0x@(80|a0)", .place.ours = 0xf,
	},
	{
		.topic = "the local APIC's page while the APIC is disabled, on Intel with virtual APICs",
		.nestor = "reads as ones, as on AMD",
		.upstream = "reads as 0",
		.reason = "one behaviour on both vendors",
		.suite = "irq", .action = "read of the APIC's register *", .place.what = "@(data|rax)", .place.values = "0xff*/0x0",
	},
	{
		.topic = "RDMSR of registers that an x2APIC does not have, on Intel with virtual APICs",
		.nestor = "#GP",
		.upstream = "0",
		.reason = "the SDM says so (x2APIC Register Address Space)",
		.suite = "irq", .action = "rdmsr of 0x8*", .place.what = "port written", .place.values = "0xd/0xff",
	},
	{
		.topic = "the local APIC's ESR when it was written, on Intel with virtual APICs",
		.nestor = "0: no errors",
		.upstream = "what was written",
		.reason = "the SDM says so (Error Handling)",
		.suite = "irq", .action = "write of * to the APIC's register 0x280", .place.what = "local APIC register 0x280",
		.place.values = "0x0/*",
	},
	{
		.topic = "ICR2 in `KVM_GET_LAPIC` behind the switch to x2APIC mode, on Intel with virtual APICs",
		.nestor = "as it was",
		.upstream = "0",
		.reason = "one behaviour on both vendors",
		.suite = "irq", .action = "*", .place.what = "local APIC register 0x310", .place.values = "*/0x0",
	},
	{
		.topic = "the PPR behind `KVM_SET_LAPIC`",
		.nestor = "that of the registers",
		.upstream = "may be the former",
		.reason = "the SDM says so (Task and Processor Priorities)",
		.suite = "irq", .action = "KVM_SET_LAPIC with register 0x1[0-7]0 *", .place.what = "local APIC register 0xa0",
	},
	{
		.topic = "`KVM_SET_VAPIC_ADDR` while the local APIC is disabled by its spurious-interrupt register",
		.nestor = "the TPR stays",
		.upstream = "`KVM_RUN` reads it from where nobody has written it",
		.reason = "no order of setting the state loses a part of it",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_VAPIC_ADDR*", .place.what = "cr8",
	},
	{
		.topic = "reads of registers of a local APIC that can not be read, or are not there",
		.nestor = "0",
		.upstream = "what was read from memory or an APIC before",
		.reason = "it is none of the guest's values",
		.suite = "irq", .action = "read of the APIC's register 0x@(0|10|40|b0|c0|2f0|3f0|400|ff0)",
		.place.what = "@(data|rax)", .place.values = "0x0/*",
	},
	{
		.topic = "bits 63:32 of MOV to CR0 and CR4 on AMD without decode assists",
		.nestor = "#GP when they are set",
		.upstream = "are ignored",
		.reason = "the APM says so (MOV CRn)",
	},
	{
		.topic = "reserved bits of DR6 and DR7 that a guest sets",
		.nestor = "0",
		.upstream = "is left to the CPU, and QEMU's keeps them",
		.reason = "the SDM says so (Debug Registers)",
		.suite = "cpu", .action = "mov %*dr[4-7]*", .places = reserved_debug_bits,
	},
	{
		.topic = "a breakpoint that DR7 does not enable, at the address of a single step's #DB",
		.nestor = "is not in DR6",
		.upstream = "may be, once the guest has moved to a debug register",
		.reason = "CPUs may tell it or not, and the guest's addresses are loaded when one is enabled",
		.suite = "cpu", .action = "*rflags 0x*([0-9a-f])[13579bdf][0-9a-f][0-9a-f]*",
		.place.what = "dr6", .place.theirs = 0xf,
	},
	{
		.topic = "VMCALL of a single-stepping guest on AMD, VMMCALL on Intel",
		.nestor = "the hypercall, then #DB",
		.upstream = "#DB, then the hypercall",
		.reason = "an instruction traps when it is done",
		.suite = "cpu", .action = "vm?(m)call *rflags 0x*([0-9a-f])[13579bdf][0-9a-f][0-9a-f]*",
		.place.what = "@(data|rax|memory 0x*)",
	},
	{
		.topic = "an exception whose handler's stack, or its page tables, are where no memory is, on AMD",
		.nestor = "`KVM_EXIT_INTERNAL_ERROR`, as on Intel",
		.upstream = "raises it for ever, or executes the guest's next instruction instead",
		.reason = "nobody can find out why a guest hangs",
		.suite = "@(abi|emulate|nested)", .action = "@(KVM_RUN|VMRUN*with @(cr3|rsp|gdtr_base|idtr_base|tr_base) *|*90 90 *)", .places = lost_delivery,
	},
	{
		.topic = "POPF that sets TF, with the stack where no memory is",
		.nestor = "`KVM_EXIT_INTERNAL_ERROR` by the trap behind the next instruction",
		.upstream = "the trap is lost",
		.reason = "a debugger in the guest would wait for it",
		.suite = "emulate", .action = "*9d 90 90 *", .place.what = "exit",
		.place.values = "KVM_EXIT_INTERNAL_ERROR 3/KVM_EXIT_IO",
	},
	{
		.topic = "bases of FS and GS that are not canonical, written by a guest on AMD",
		.nestor = "are left to the CPU, and QEMU's makes them canonical at VMLOAD only",
		.upstream = "the same, at another time",
		.reason = "CPUs refuse such a base",
		.suite = "cpu", .action = "*", .place.what = "[fg]s.base", .place.ours = 0xffffull << 48,
		.place.theirs = 0xffffull << 48,
	},
	{
		.topic = "INS and OUTS of a guest that single-steps itself, to user space",
		.nestor = "#DB behind them",
		.upstream = "the trap is lost",
		.reason = "an instruction traps when it is done",
		.suite = "cpu", .action = "@(outsl|insb) *rflags 0x*([0-9a-f])[13579bdf][0-9a-f][0-9a-f]*",
		.place.what = "port written", .place.values = "0x1/0xff",
	},
	{
		.topic = "RDPMC",
		.nestor = "#GP",
		.upstream = "0 on AMD, for four counters",
		.reason = "the guest has none",
		.suite = "cpu", .action = "rdpmc*", .place.what = "port written", .place.values = "0xd/@(0xff|0x1)",
	},
	{
		.topic = "CMPXCHG16B on memory that is not there, where CPUID does not have it",
		.nestor = "#UD",
		.upstream = "accesses it",
		.reason = "the SDM says so (CMPXCHG16B)",
		.suite = "emulate", .action = "*0f c7 *", .place.what = "exit", .place.values = "KVM_EXIT_IO/KVM_EXIT_MMIO",
	},
	{
		.topic = "MOVSXD with a 16-bit operand, on memory that is not there",
		.nestor = "reads 2 bytes",
		.upstream = "reads 4",
		.reason = "the SDM says so (MOVSXD)",
		.suite = "emulate", .action = "*66 *63 *", .place.what = "@(length|exit)",
		.place.values = "@(0x[12]/0x[34]|KVM_EXIT_IO/KVM_EXIT_MMIO)",
	},
	{
		.topic = "`KVM_GUESTDBG_SINGLESTEP` when an exception, an interrupt or an SMI is taken",
		.nestor = "its handler is stepped through",
		.upstream = "stepping ends until the next `KVM_SET_GUEST_DEBUG`",
		.reason = "a debugger asked for every instruction",
		.suite = "abi", .action = "KVM_RUN", .after = "KVM_SET_GUEST_DEBUG*", .places = stepped_handler,
	},
};

const unsigned int nr_deliberate = ARRAY_SIZE(deliberate);

static bool matches(const char *pattern, const char *text)
{
	return !pattern || !fnmatch(pattern, text, FNM_EXTMATCH);
}

static bool bits_match(const struct place *p, uint64_t nestor, uint64_t upstream)
{
	return !(p->ours | p->theirs) || !((nestor & ~upstream & ~p->ours) | (upstream & ~nestor & ~p->theirs));
}

static bool is_at(const struct place *p, const char *what, const char *values, uint64_t nestor, uint64_t upstream)
{
	return matches(p->what, what) && matches(p->values, values) && bits_match(p, nestor, upstream);
}

static bool is_at_any(const struct place *p, const char *what, const char *values, uint64_t nestor, uint64_t upstream)
{
	while (p->what && !is_at(p, what, values, nestor, upstream))
		p++;
	return p->what;
}

/* Is the step that differs, or one before it, such a one? */
static bool comes_after(const char *pattern, const struct difference *d)
{
	char action[sizeof(((struct words *)0)->action)];

	for (unsigned int i = 0; pattern && i <= d->a.step; i++) {
		d->suite->describe(&d->c.steps[i], action, sizeof(action));
		if (matches(pattern, action))
			return true;
	}
	return !pattern;
}

/** deliberate__find() - which of them explains a difference; -1: none */
int deliberate__find(const struct difference *d, bool a_is_nestor)
{
	uint64_t nestor = a_is_nestor ? d->a.value : d->b.value, upstream = a_is_nestor ? d->b.value : d->a.value;
	struct words w;
	char values[2 * sizeof(w.a)];

	difference__words(d, &w);
	snprintf(values, sizeof(values), "%s/%s", a_is_nestor ? w.a : w.b, a_is_nestor ? w.b : w.a);
	for (unsigned int i = 0; i < nr_deliberate; i++) {
		const struct deliberate *k = &deliberate[i];

		if (!k->suite || !matches(k->suite, d->suite->name) || !matches(k->action, w.action) ||
		    !comes_after(k->after, d))
			continue;
		if (k->places ? is_at_any(k->places, w.what, values, nestor, upstream) :
				is_at(&k->place, w.what, values, nestor, upstream))
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
