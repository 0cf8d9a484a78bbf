// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that every ioctl refuses what upstream refuses, with upstream's errno: null, unmapped,
 * truncated and unaligned arguments, unknown numbers, unknown flags, values out of range, calls in the
 * wrong order and from the wrong process. What is expected was taken from Linux 7.3, and the test passes
 * on its /dev/kvm. Linux 6.1's accepts seven things that were bugs: a PIT without a PIC (three checks),
 * numbers cut to 32 bits (two), a VM's TSC frequency after a vCPU, and another errno for
 * KVM_MEMORY_ENCRYPT_OP.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "vm.h"

/* An address that is the kernel's, and one that nobody has. */
#define KERNEL_ADDRESS	((void *)0xffff888000000000ul)

static int sys_fd;

/* A VM of each kind, with one vCPU, and an unused one. */
static struct {
	int vm, vcpu;
} bare, full, split;

static const char *name_of(int result)
{
	static char text[4][32];
	static unsigned int next;
	char *s = text[next++ % 4];

	if (result < 0)
		snprintf(s, sizeof(text[0]), "-%s", strerrorname_np(-result));
	else
		snprintf(s, sizeof(text[0]), "%d", result);
	return s;
}

static void expect_result(int want, int got, const char *what, const char *how)
{
	bool ok = want >= 0 && got >= 0 ? true : want == got;

	tap_check(ok, "%s, %s: %s%s%s", what, how, name_of(got), ok ? "" : ", expected ",
		  ok ? "" : name_of(want));
}

/* The call returns -errno as wanted, or any success for 0. */
#define EXPECT(want, fd, cmd, arg, how) \
	expect_result(want, kvm_raw(fd, cmd, arg), #cmd, how)
#define EXPECT_VALUE(want, fd, cmd, value, how) \
	expect_result(want, kvm_raw_value(fd, cmd, value), #cmd, how)

/* A compound literal as an argument. */
#define ARG(type, ...)	(&(struct type){ __VA_ARGS__ })

static void make_vms(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	bare.vm = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);
	bare.vcpu = KVM_VALUE(bare.vm, KVM_CREATE_VCPU, 0);
	full.vm = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);
	KVM(full.vm, KVM_CREATE_IRQCHIP, NULL);
	full.vcpu = KVM_VALUE(full.vm, KVM_CREATE_VCPU, 0);
	split.vm = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);
	KVM(split.vm, KVM_ENABLE_CAP, &cap);
	split.vcpu = KVM_VALUE(split.vm, KVM_CREATE_VCPU, 0);
}

/**
 * struct row - an ioctl that takes a pointer, and how it refuses a bad one
 * @bare: on a VM without interrupt controllers
 * @full: on one with all of them in the kernel
 * @cap: without this capability -EINVAL and -ENOTTY are right too
 *
 * -EFAULT unless something else is looked at before the argument.
 */
struct row {
	const char *name;
	unsigned long cmd;
	int bare, full;
	int cap;
};

#define ROW(cmd)			{ #cmd, cmd, -EFAULT, -EFAULT, 0 }
#define ROW_OTHER(cmd, bare, full)	{ #cmd, cmd, bare, full, 0 }
#define ROW_CAP(cmd, cap)		{ #cmd, cmd, -EFAULT, -EFAULT, cap }

static const struct row system_rows[] = {
	ROW(KVM_GET_MSR_INDEX_LIST),
	ROW(KVM_GET_MSR_FEATURE_INDEX_LIST),
	ROW(KVM_GET_SUPPORTED_CPUID),
	ROW(KVM_GET_EMULATED_CPUID),
	ROW(KVM_GET_MSRS),
	ROW(KVM_X86_GET_MCE_CAP_SUPPORTED),
	ROW(KVM_GET_DEVICE_ATTR),
	ROW(KVM_HAS_DEVICE_ATTR),
	ROW_CAP(KVM_GET_SUPPORTED_HV_CPUID, KVM_CAP_SYS_HYPERV_CPUID),
};

static const struct row vm_rows[] = {
	ROW(KVM_ENABLE_CAP),
	ROW(KVM_SET_USER_MEMORY_REGION),
	ROW_CAP(KVM_SET_USER_MEMORY_REGION2, KVM_CAP_USER_MEMORY2),
	ROW(KVM_GET_DIRTY_LOG),
	ROW(KVM_CLEAR_DIRTY_LOG),
	ROW(KVM_REGISTER_COALESCED_MMIO),
	ROW(KVM_UNREGISTER_COALESCED_MMIO),
	ROW(KVM_IRQFD),
	ROW(KVM_IOEVENTFD),
	ROW(KVM_SIGNAL_MSI),
	ROW(KVM_IRQ_LINE),
	ROW(KVM_IRQ_LINE_STATUS),
	ROW(KVM_SET_GSI_ROUTING),
	ROW(KVM_CREATE_DEVICE),
	/* The vCPU is there already. */
	ROW_OTHER(KVM_SET_IDENTITY_MAP_ADDR, -EINVAL, -EINVAL),
	ROW(KVM_CREATE_PIT2),
	ROW(KVM_GET_IRQCHIP),
	ROW(KVM_SET_IRQCHIP),
	ROW(KVM_GET_PIT),
	ROW(KVM_SET_PIT),
	/* Nothing is read, and there is no PIT. */
	ROW_OTHER(KVM_GET_PIT2, -ENXIO, -ENXIO),
	ROW(KVM_SET_PIT2),
	ROW(KVM_REINJECT_CONTROL),
	ROW(KVM_GET_CLOCK),
	ROW(KVM_SET_CLOCK),
	ROW(KVM_X86_SET_MSR_FILTER),
	ROW_CAP(KVM_SET_PMU_EVENT_FILTER, KVM_CAP_PMU_EVENT_FILTER),
	ROW_CAP(KVM_HYPERV_EVENTFD, KVM_CAP_HYPERV_EVENTFD),
};

static const struct row vcpu_rows[] = {
	ROW(KVM_GET_REGS),
	ROW(KVM_SET_REGS),
	ROW(KVM_GET_SREGS),
	ROW(KVM_SET_SREGS),
	ROW(KVM_GET_SREGS2),
	ROW(KVM_SET_SREGS2),
	ROW(KVM_GET_FPU),
	ROW(KVM_SET_FPU),
	ROW(KVM_SET_XSAVE),
	ROW(KVM_GET_XSAVE2),
	ROW(KVM_GET_XCRS),
	ROW(KVM_SET_XCRS),
	ROW(KVM_GET_MSRS),
	ROW(KVM_SET_MSRS),
	ROW(KVM_SET_CPUID),
	ROW(KVM_SET_CPUID2),
	ROW(KVM_GET_CPUID2),
	ROW(KVM_GET_DEBUGREGS),
	ROW(KVM_SET_DEBUGREGS),
	ROW(KVM_GET_VCPU_EVENTS),
	ROW(KVM_SET_VCPU_EVENTS),
	ROW(KVM_GET_MP_STATE),
	ROW(KVM_SET_MP_STATE),
	ROW_OTHER(KVM_GET_LAPIC, -EINVAL, -EFAULT),
	ROW_OTHER(KVM_SET_LAPIC, -EINVAL, -EFAULT),
	ROW(KVM_INTERRUPT),
	ROW(KVM_TPR_ACCESS_REPORTING),
	ROW_OTHER(KVM_SET_VAPIC_ADDR, -EINVAL, -EFAULT),
	ROW(KVM_X86_SETUP_MCE),
	ROW(KVM_X86_SET_MCE),
	ROW(KVM_SET_GUEST_DEBUG),
	ROW(KVM_TRANSLATE),
	ROW(KVM_ENABLE_CAP),
	ROW(KVM_GET_DEVICE_ATTR),
	ROW(KVM_SET_DEVICE_ATTR),
	ROW(KVM_HAS_DEVICE_ATTR),
	ROW_CAP(KVM_GET_NESTED_STATE, KVM_CAP_NESTED_STATE),
	ROW_CAP(KVM_SET_NESTED_STATE, KVM_CAP_NESTED_STATE),
	ROW_CAP(KVM_GET_SUPPORTED_HV_CPUID, KVM_CAP_HYPERV_CPUID),
	ROW_CAP(KVM_GET_REG_LIST, KVM_CAP_ONE_REG),
	ROW_CAP(KVM_GET_ONE_REG, KVM_CAP_ONE_REG),
	ROW_CAP(KVM_SET_ONE_REG, KVM_CAP_ONE_REG),
	ROW_CAP(KVM_PRE_FAULT_MEMORY, KVM_CAP_PRE_FAULT_MEMORY),
};

static void bad_pointer(const struct row *row, int fd, int want, const void *arg, const char *how)
{
	int got = kvm_raw(fd, row->cmd, arg);

	if (row->cap && !kvm_cap(sys_fd, row->cap)) {
		tap_check(got == -EINVAL || got == -ENOTTY, "%s, %s, not offered: %s", row->name, how,
			  name_of(got));
		return;
	}
	expect_result(want, got, row->name, how);
}

static void bad_pointers(const struct row *rows, size_t n, int fd, bool with_irqchip)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const struct row *row = &rows[i];
		int want = with_irqchip ? row->full : row->bare;
		size_t size = _IOC_SIZE(row->cmd);

		bad_pointer(row, fd, want, NULL, "null");
		bad_pointer(row, fd, want, KERNEL_ADDRESS, "kernel address");
		/* Nested state and register lists go by their own length field. */
		if (size && !row->cap)
			bad_pointer(row, fd, want, guarded(size - 1), "one byte short");
	}
}

static void test_pointers(void)
{
	size_t n_vm = sizeof(vm_rows) / sizeof(*vm_rows);
	size_t n_vcpu = sizeof(vcpu_rows) / sizeof(*vcpu_rows);

	bad_pointers(system_rows, sizeof(system_rows) / sizeof(*system_rows), sys_fd, true);
	tap_note("VM without interrupt controllers");
	bad_pointers(vm_rows, n_vm, bare.vm, false);
	tap_note("VM with interrupt controllers");
	bad_pointers(vm_rows, n_vm, full.vm, true);
	tap_note("vCPU without interrupt controllers");
	bad_pointers(vcpu_rows, n_vcpu, bare.vcpu, false);
	tap_note("vCPU with interrupt controllers");
	bad_pointers(vcpu_rows, n_vcpu, full.vcpu, true);
}

static void test_unknown_numbers(void)
{
	const unsigned long nobody = _IOWR(KVMIO, 0xff, struct kvm_regs);
	const unsigned long foreign = _IOWR('x', 1, struct kvm_regs);
	/* The right number with the wrong size is another ioctl. */
	const unsigned long resized = _IOR(KVMIO, 0x81, struct kvm_sregs);
	char buffer[4096] = {};

	EXPECT(-EINVAL, sys_fd, nobody, buffer, "system");
	EXPECT(-EINVAL, sys_fd, foreign, buffer, "system");
	EXPECT(-ENOTTY, bare.vm, nobody, buffer, "VM");
	EXPECT(-ENOTTY, bare.vm, foreign, buffer, "VM");
	EXPECT(-EINVAL, bare.vcpu, nobody, buffer, "vCPU");
	EXPECT(-EINVAL, bare.vcpu, foreign, buffer, "vCPU");
	EXPECT(-EINVAL, bare.vcpu, resized, buffer, "vCPU");
	/* Each on the fd of another. */
	EXPECT(-EINVAL, sys_fd, KVM_CREATE_VCPU, NULL, "on the system fd");
	EXPECT(-EINVAL, sys_fd, KVM_RUN, NULL, "on the system fd");
	EXPECT(-ENOTTY, bare.vm, KVM_GET_REGS, buffer, "on a VM");
	EXPECT(-ENOTTY, bare.vm, KVM_CREATE_VM, NULL, "on a VM");
	EXPECT(-EINVAL, bare.vcpu, KVM_CREATE_VCPU, NULL, "on a vCPU");
	EXPECT(-EINVAL, bare.vcpu, KVM_CHECK_EXTENSION, NULL, "on a vCPU");
}

/* Some VMMs keep the number in an int: it arrives sign-extended. */
static void test_sign_extended_number(void)
{
	struct kvm_regs regs;
	long cmd = (long)0xffffffff00000000 | KVM_GET_REGS;
	long r = syscall(SYS_ioctl, bare.vcpu, cmd, &regs);

	tap_check(r == 0, "KVM_GET_REGS with a sign-extended number");
}

static void test_system(void)
{
	EXPECT_VALUE(-EINVAL, sys_fd, KVM_GET_API_VERSION, 1, "argument");
	EXPECT_VALUE(-EINVAL, sys_fd, KVM_GET_VCPU_MMAP_SIZE, 1, "argument");
	EXPECT_VALUE(-EINVAL, sys_fd, KVM_CREATE_VM, 31, "unknown type");
	EXPECT_VALUE(-EINVAL, sys_fd, KVM_CREATE_VM, -1, "unknown type");
	EXPECT(-ENXIO, sys_fd, KVM_HAS_DEVICE_ATTR, ARG(kvm_device_attr, .group = 99), "group");
	EXPECT(-ENXIO, sys_fd, KVM_HAS_DEVICE_ATTR, ARG(kvm_device_attr, .attr = 99), "attribute");
	EXPECT(-ENXIO, sys_fd, KVM_GET_DEVICE_ATTR, ARG(kvm_device_attr, .group = 99), "group");
	EXPECT(0, sys_fd, KVM_HAS_DEVICE_ATTR, ARG(kvm_device_attr, .attr = 0), "XCOMP_GUEST_SUPP");
	EXPECT(-EFAULT, sys_fd, KVM_GET_DEVICE_ATTR, ARG(kvm_device_attr, .attr = 0), "null value");
	tap_check(KVM_VALUE(sys_fd, KVM_GET_API_VERSION, 0) == 12, "API version 12");
	tap_check(KVM_VALUE(sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0) >= 3 * 4096, "three pages to map");
}

static void test_lists(void)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 257 * sizeof(cpuid->entries[0]));
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 1024 * sizeof(list->indices[0]));
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + 256 * sizeof(msrs->entries[0]));
	int r;

	EXPECT(-E2BIG, sys_fd, KVM_GET_SUPPORTED_CPUID, cpuid, "no room");
	cpuid->nent = 1;
	EXPECT(-E2BIG, sys_fd, KVM_GET_SUPPORTED_CPUID, cpuid, "room for one");
	cpuid->nent = 100;
	EXPECT(0, sys_fd, KVM_GET_SUPPORTED_CPUID, cpuid, "room for 100");
	tap_check(cpuid->nent > 0 && cpuid->nent < 100, "the number of entries is written back");
	cpuid->nent = ~0u;
	EXPECT(0, sys_fd, KVM_GET_SUPPORTED_CPUID, cpuid, "huge length is taken as the maximum");
	cpuid->nent = 257;
	EXPECT(-E2BIG, bare.vcpu, KVM_SET_CPUID2, cpuid, "too many entries");
	EXPECT(-E2BIG, bare.vcpu, KVM_SET_CPUID, cpuid, "too many entries");
	cpuid->nent = ~0u;
	EXPECT(-E2BIG, bare.vcpu, KVM_SET_CPUID2, cpuid, "huge length");
	cpuid->nent = 256;
	KVM(sys_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
	EXPECT(0, bare.vcpu, KVM_SET_CPUID2, cpuid, "the supported ones");
	cpuid->nent = 1;
	EXPECT(-E2BIG, bare.vcpu, KVM_GET_CPUID2, cpuid, "room for one");
	cpuid->nent = 256;
	EXPECT(0, bare.vcpu, KVM_GET_CPUID2, cpuid, "room enough");

	EXPECT(-E2BIG, sys_fd, KVM_GET_MSR_INDEX_LIST, list, "no room");
	tap_check(list->nmsrs > 0 && list->nmsrs <= 256, "%u MSRs", list->nmsrs);
	list->nmsrs--;
	EXPECT(-E2BIG, sys_fd, KVM_GET_MSR_INDEX_LIST, list, "room for one less");
	EXPECT(0, sys_fd, KVM_GET_MSR_INDEX_LIST, list, "room enough");
	list->nmsrs = 0;
	EXPECT(-E2BIG, sys_fd, KVM_GET_MSR_FEATURE_INDEX_LIST, list, "no room");
	tap_check(list->nmsrs > 0 && list->nmsrs <= 256, "%u feature MSRs", list->nmsrs);

	msrs->nmsrs = 256;
	EXPECT(-E2BIG, bare.vcpu, KVM_GET_MSRS, msrs, "256 at once");
	EXPECT(-E2BIG, bare.vcpu, KVM_SET_MSRS, msrs, "256 at once");
	EXPECT(-E2BIG, sys_fd, KVM_GET_MSRS, msrs, "256 at once");
	msrs->nmsrs = ~0u;
	EXPECT(-E2BIG, bare.vcpu, KVM_GET_MSRS, msrs, "huge length");
	msrs->nmsrs = 0;
	tap_check(kvm_raw(bare.vcpu, KVM_GET_MSRS, msrs) == 0, "KVM_GET_MSRS of none does none");
	msrs->nmsrs = 3;
	msrs->entries[0].index = 0x174;		/* SYSENTER_CS */
	msrs->entries[1].index = 0xdeadbeef;
	msrs->entries[2].index = 0x175;
	r = kvm_raw(bare.vcpu, KVM_GET_MSRS, msrs);
	tap_check(r == 1, "KVM_GET_MSRS stops at an unknown MSR: %d", r);
	r = kvm_raw(bare.vcpu, KVM_SET_MSRS, msrs);
	tap_check(r == 1, "KVM_SET_MSRS stops at an unknown MSR: %d", r);
	msrs->nmsrs = 1;
	msrs->entries[0].index = 0xdeadbeef;
	r = kvm_raw(sys_fd, KVM_GET_MSRS, msrs);
	tap_check(r == 0, "KVM_GET_MSRS of an unknown feature does none: %d", r);
	free(msrs);
	free(list);
	free(cpuid);
}

static void test_capabilities(void)
{
	/* Programs compare these with 1. */
	static const int booleans[] = {
		KVM_CAP_IRQCHIP, KVM_CAP_HLT, KVM_CAP_USER_MEMORY, KVM_CAP_SET_TSS_ADDR,
		KVM_CAP_EXT_CPUID, KVM_CAP_MP_STATE, KVM_CAP_SYNC_MMU, KVM_CAP_USER_NMI,
		KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
		KVM_CAP_IRQFD, KVM_CAP_PIT2, KVM_CAP_PIT_STATE2, KVM_CAP_IOEVENTFD,
		KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_SET_IDENTITY_MAP_ADDR,
		KVM_CAP_INTERNAL_ERROR_DATA, KVM_CAP_VCPU_EVENTS, KVM_CAP_DEBUGREGS,
		KVM_CAP_X86_ROBUST_SINGLESTEP, KVM_CAP_XSAVE, KVM_CAP_GET_TSC_KHZ,
		KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_SIGNAL_MSI, KVM_CAP_READONLY_MEM,
		KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_IMMEDIATE_EXIT,
		KVM_CAP_GET_MSR_FEATURES, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_USER_SPACE_MSR,
		KVM_CAP_X86_MSR_FILTER, KVM_CAP_SREGS2, KVM_CAP_BINARY_STATS_FD,
	};
	size_t i;

	for (i = 0; i < sizeof(booleans) / sizeof(*booleans); i++)
		tap_check(kvm_cap(sys_fd, booleans[i]) == 1, "capability %d is 1", booleans[i]);
	tap_check(kvm_cap(sys_fd, KVM_CAP_COALESCED_MMIO) == 2, "coalesced ring at page 2");
	tap_check(kvm_cap(sys_fd, KVM_CAP_MCE) >= 10, "at least 10 machine-check banks");
	tap_check(kvm_cap(sys_fd, KVM_CAP_NR_MEMSLOTS) >= 509, "at least 509 memory slots");
	tap_check(kvm_cap(sys_fd, KVM_CAP_XSAVE2) >= 4096, "XSAVE image of at least 4096 bytes");
	tap_check(kvm_raw_value(sys_fd, KVM_CHECK_EXTENSION, 9999) == 0, "unknown capability is 0");
	tap_check(kvm_raw_value(sys_fd, KVM_CHECK_EXTENSION, -1) == 0, "capability -1 is 0");
	tap_check(kvm_raw_value(sys_fd, KVM_CHECK_EXTENSION, 1ul << 32) == 0,
		  "capability numbers are not cut to 32 bits");
	tap_check(kvm_raw_value(bare.vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) == 1, "a VM answers too");

	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = 9999), "unknown");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = KVM_CAP_HLT), "not to be enabled");
	EXPECT(-EINVAL, bare.vcpu, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = 9999), "unknown, vCPU");
	EXPECT(-EINVAL, bare.vcpu, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_EXCEPTION_PAYLOAD), "a VM's, on a vCPU");
	EXPECT(0, bare.vcpu, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID), "a vCPU's");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID), "a vCPU's, on a VM");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_EXCEPTION_PAYLOAD, .flags = 1), "flags");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { 8 }), "unknown MSR exit reason");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 2 }),
	       "initially set without manual protection");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 4 }), "unknown bit");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_X2APIC_API, .args = { 1ul << 40 }), "unknown bit");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_MAX_VCPU_ID, .args = { 1ul << 32 }), "out of range");
	EXPECT(-EEXIST, full.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 }), "the full one is there");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP,
	       ARG(kvm_enable_cap, .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 5000 }), "too many pins");
	if (kvm_cap(sys_fd, KVM_CAP_X86_APIC_BUS_CYCLES_NS)) {
		const int cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS;

		EXPECT(-EINVAL, full.vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap), "0 ns");
		EXPECT(-EINVAL, full.vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap, .args = { 1ul << 60 }),
		       "overflow");
		EXPECT(-EINVAL, full.vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap, .args = { 10 }),
		       "after a vCPU");
		EXPECT(-ENXIO, bare.vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap, .args = { 10 }),
		       "no APIC");
	}
}

/* Executable large pages on CPUs with the iTLB multihit erratum: for those who may stop the machine. */
static void test_nx_huge_pages(void)
{
	const int cap = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES;
	int vm = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);

	tap_check(kvm_cap(vm, cap) == 1, "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES is 1");
	EXPECT(-EINVAL, vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap, .flags = 1), "flags");
	EXPECT(-EINVAL, vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap, .args = { 1 }), "an argument");
	if (seteuid(65534))
		tap_fail("cannot become nobody");
	EXPECT(-EPERM, vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap), "without CAP_SYS_BOOT");
	EXPECT(-EPERM, vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap, .args = { 1 }),
	       "without CAP_SYS_BOOT, with an argument");
	if (seteuid(0))
		tap_fail("cannot become root again");
	EXPECT(0, vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap), "before vCPUs");
	EXPECT(0, vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap), "again");
	EXPECT(-EINVAL, bare.vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = cap), "after a vCPU");
	close(vm);
}

/* MSRs as registers. */
static void test_one_reg(void)
{
	const uint64_t star = KVM_X86_REG_MSR(0xc0000081u);
	uint64_t value = 0x12345678ull << 32, got = 0;
	const uint64_t where = (uintptr_t)&got;
	struct kvm_reg_list list = { .n = 0 };

	if (!kvm_cap(sys_fd, KVM_CAP_ONE_REG))
		return;
	EXPECT(0, bare.vcpu, KVM_SET_ONE_REG, ARG(kvm_one_reg, .id = star, .addr = (uintptr_t)&value), "STAR");
	EXPECT(0, bare.vcpu, KVM_GET_ONE_REG, ARG(kvm_one_reg, .id = star, .addr = where), "STAR");
	tap_check(got == value, "the value comes back: 0x%lx", got);
	EXPECT(-EFAULT, bare.vcpu, KVM_SET_ONE_REG, ARG(kvm_one_reg, .id = star), "null value");
	EXPECT(-EFAULT, bare.vcpu, KVM_GET_ONE_REG, ARG(kvm_one_reg, .id = star), "null value");
	EXPECT(-EINVAL, bare.vcpu, KVM_GET_ONE_REG,
	       ARG(kvm_one_reg, .id = KVM_X86_REG_MSR(0x4fffu), .addr = where), "an MSR that nobody has");
	EXPECT(-EINVAL, bare.vcpu, KVM_GET_ONE_REG, ARG(kvm_one_reg, .addr = where), "id 0");
	EXPECT(-EINVAL, bare.vcpu, KVM_GET_ONE_REG,
	       ARG(kvm_one_reg, .id = star ^ KVM_REG_X86 ^ KVM_REG_ARM64, .addr = where), "another architecture");
	EXPECT(-EINVAL, bare.vcpu, KVM_GET_ONE_REG,
	       ARG(kvm_one_reg, .id = star ^ KVM_REG_SIZE_U64 ^ KVM_REG_SIZE_U32, .addr = where), "another size");
	EXPECT(-EINVAL, bare.vcpu, KVM_GET_ONE_REG,
	       ARG(kvm_one_reg, .id = star + (2ull << 32), .addr = where), "another type");
	EXPECT(-EINVAL, bare.vcpu, KVM_GET_ONE_REG,
	       ARG(kvm_one_reg, .id = star | 1ull << 40, .addr = where), "a reserved bit");
	EXPECT(0, bare.vcpu, KVM_GET_REG_LIST, &list, "others");
	tap_check(!list.n, "no others: %llu", list.n);
}

static void test_order(void)
{
	int vm = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);
	struct kvm_pit_config pit = {};
	uint64_t address = 0xfffbc000;
	int max_id = kvm_cap(vm, KVM_CAP_MAX_VCPU_ID);
	int vcpu;

	EXPECT(-ENOENT, vm, KVM_CREATE_PIT2, &pit, "without a PIC");
	EXPECT(-ENOENT, vm, KVM_CREATE_PIT, NULL, "without a PIC");
	EXPECT(0, vm, KVM_SET_IDENTITY_MAP_ADDR, &address, "before a vCPU");
	EXPECT_VALUE(0, vm, KVM_SET_TSS_ADDR, 0xfffbd000, "usual place");
	EXPECT_VALUE(-EINVAL, vm, KVM_SET_TSS_ADDR, 0xffffe000, "no room below 4 GiB");
	EXPECT_VALUE(-EINVAL, vm, KVM_SET_TSS_ADDR, 1ul << 32, "above 4 GiB");
	EXPECT_VALUE(-EINVAL, vm, KVM_SET_NR_MMU_PAGES, 63, "too few");
	EXPECT_VALUE(0, vm, KVM_SET_NR_MMU_PAGES, 64, "the minimum");
	EXPECT_VALUE(-EINVAL, vm, KVM_SET_BOOT_CPU_ID, 1ul << 40, "out of range");
	EXPECT_VALUE(0, vm, KVM_SET_BOOT_CPU_ID, 0, "before a vCPU");
	EXPECT_VALUE(-EINVAL, vm, KVM_CREATE_VCPU, max_id, "first impossible id");
	EXPECT_VALUE(-EINVAL, vm, KVM_CREATE_VCPU, -1, "id -1");
	EXPECT_VALUE(-EINVAL, vm, KVM_CREATE_VCPU, 1ul << 32, "ids are not cut to 32 bits");
	vcpu = KVM_VALUE(vm, KVM_CREATE_VCPU, 3);
	EXPECT_VALUE(-EEXIST, vm, KVM_CREATE_VCPU, 3, "twice");
	EXPECT_VALUE(0, vm, KVM_CREATE_VCPU, max_id - 1, "last possible id");
	EXPECT(-EINVAL, vm, KVM_CREATE_IRQCHIP, NULL, "after a vCPU");
	EXPECT(-EINVAL, vm, KVM_SET_IDENTITY_MAP_ADDR, &address, "after a vCPU");
	EXPECT_VALUE(-EBUSY, vm, KVM_SET_BOOT_CPU_ID, 0, "after a vCPU");
	EXPECT_VALUE(-EINVAL, vm, KVM_SET_TSC_KHZ, 0, "after a vCPU");
	close(vcpu);
	EXPECT_VALUE(-EEXIST, vm, KVM_CREATE_VCPU, 3, "after its fd was closed");
	close(vm);

	EXPECT(-EEXIST, full.vm, KVM_CREATE_IRQCHIP, NULL, "twice");
	EXPECT(-EEXIST, split.vm, KVM_CREATE_IRQCHIP, NULL, "after the split one");
	EXPECT(-ENOENT, split.vm, KVM_CREATE_PIT2, &pit, "split irqchip");
	EXPECT(0, full.vm, KVM_CREATE_PIT2, &pit, "first");
	EXPECT(-EEXIST, full.vm, KVM_CREATE_PIT2, &pit, "twice");
	EXPECT(-EEXIST, full.vm, KVM_CREATE_PIT, NULL, "twice");

	vm = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);
	EXPECT(0, vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = KVM_CAP_MAX_VCPU_ID, .args = { 8 }), "8");
	EXPECT(-EINVAL, vm, KVM_ENABLE_CAP, ARG(kvm_enable_cap, .cap = KVM_CAP_MAX_VCPU_ID, .args = { 9 }),
	       "changed");
	EXPECT_VALUE(-EINVAL, vm, KVM_CREATE_VCPU, 8, "at the limit that was set");
	EXPECT_VALUE(0, vm, KVM_CREATE_VCPU, 7, "below the limit that was set");
	close(vm);
}

static struct kvm_userspace_memory_region region(uint32_t slot, uint64_t gpa, uint64_t size, void *hva)
{
	return (struct kvm_userspace_memory_region){
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = (uintptr_t)hva,
	};
}

static void test_memory(void)
{
	const size_t size = 4 << 20;
	int vm = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t slots = kvm_cap(vm, KVM_CAP_NR_MEMSLOTS);
	struct kvm_userspace_memory_region r;
	struct kvm_clear_dirty_log clear = {};
	struct kvm_dirty_log log = {};
	static uint64_t bitmap[1024];

#define SET(want, how, ...) \
	do { \
		r = region(__VA_ARGS__); \
		EXPECT(want, vm, KVM_SET_USER_MEMORY_REGION, &r, how); \
	} while (0)

	SET(-EINVAL, "slot out of range", slots, 0, size, mem);
	SET(-EINVAL, "address space out of range", 99 << 16, 0, size, mem);
	SET(-EINVAL, "size not of pages", 0, 0, size + 1, mem);
	SET(-EINVAL, "guest address not at a page", 0, 1, size, mem);
	SET(-EINVAL, "host address not at a page", 0, 0, size, mem + 1);
	SET(-EINVAL, "host address is the kernel's", 0, 0, size, KERNEL_ADDRESS);
	SET(-EINVAL, "guest range wraps", 0, ~0ul << 12, 2 * 4096, mem);
	SET(-EINVAL, "delete what is not there", 0, 0, 0, mem);
	r = region(0, 0, size, mem);
	r.flags = 1u << 31;
	EXPECT(-EINVAL, vm, KVM_SET_USER_MEMORY_REGION, &r, "unknown flag");
	SET(0, "create", 0, 0, size, mem);
	SET(-EEXIST, "overlap", 1, size / 2, size, mem);
	SET(-EINVAL, "other size", 0, 0, size / 2, mem);
	SET(-EINVAL, "other host address", 0, 0, size, mem + 4096);
	r = region(0, 0, size, mem);
	r.flags = KVM_MEM_READONLY;
	EXPECT(-EINVAL, vm, KVM_SET_USER_MEMORY_REGION, &r, "make read-only");

	log.slot = 0;
	log.dirty_bitmap = bitmap;
	EXPECT(-ENOENT, vm, KVM_GET_DIRTY_LOG, &log, "slot without a log");
	log.slot = 7;
	EXPECT(-ENOENT, vm, KVM_GET_DIRTY_LOG, &log, "no such slot");
	log.slot = slots;
	EXPECT(-EINVAL, vm, KVM_GET_DIRTY_LOG, &log, "slot out of range");
	r.flags = KVM_MEM_LOG_DIRTY_PAGES;
	EXPECT(0, vm, KVM_SET_USER_MEMORY_REGION, &r, "start the log");
	log.slot = 0;
	EXPECT(0, vm, KVM_GET_DIRTY_LOG, &log, "with a log");
	log.dirty_bitmap = NULL;
	EXPECT(-EFAULT, vm, KVM_GET_DIRTY_LOG, &log, "null bitmap");
	clear.dirty_bitmap = bitmap;
	clear.first_page = 1;
	clear.num_pages = 64;
	EXPECT(-EINVAL, vm, KVM_CLEAR_DIRTY_LOG, &clear, "first page not a multiple of 64");
	clear.first_page = 0;
	clear.num_pages = 63;
	EXPECT(-EINVAL, vm, KVM_CLEAR_DIRTY_LOG, &clear, "length not a multiple of 64");
	clear.num_pages = size / 4096 + 64;
	EXPECT(-EINVAL, vm, KVM_CLEAR_DIRTY_LOG, &clear, "beyond the slot");
	clear.num_pages = 64;
	EXPECT(0, vm, KVM_CLEAR_DIRTY_LOG, &clear, "64 pages");
	clear.slot = 7;
	EXPECT(-ENOENT, vm, KVM_CLEAR_DIRTY_LOG, &clear, "no such slot");
	SET(0, "delete", 0, 0, 0, mem);
	if (kvm_cap(sys_fd, KVM_CAP_USER_MEMORY2)) {
		struct kvm_userspace_memory_region2 r2 = {
			.memory_size = size, .userspace_addr = (uintptr_t)mem,
		};

		r2.flags = 1u << 31;
		EXPECT(-EINVAL, vm, KVM_SET_USER_MEMORY_REGION2, &r2, "unknown flag");
		r2.flags = 0;
		EXPECT(0, vm, KVM_SET_USER_MEMORY_REGION2, &r2, "create");
	}
#undef SET
	munmap(mem, size);
	close(vm);
}

static void test_irqs(void)
{
	struct kvm_irq_routing *routing = calloc(1, sizeof(*routing) + 4097 * sizeof(routing->entries[0]));
	struct kvm_irq_level line = { .irq = 5 };
	struct kvm_msi msi = { .address_lo = 0xfee00000 };
	struct kvm_irqchip chip = {};
	struct kvm_pit_state2 pit = {};
	struct kvm_reinject_control reinject = {};

	EXPECT(-ENXIO, bare.vm, KVM_IRQ_LINE, &line, "no irqchip");
	EXPECT(-ENXIO, bare.vm, KVM_IRQ_LINE_STATUS, &line, "no irqchip");
	EXPECT(-EINVAL, bare.vm, KVM_SIGNAL_MSI, &msi, "no irqchip");
	EXPECT(-ENXIO, bare.vm, KVM_GET_IRQCHIP, &chip, "no irqchip");
	EXPECT(-ENXIO, split.vm, KVM_GET_IRQCHIP, &chip, "split irqchip");
	EXPECT(-ENXIO, split.vm, KVM_SET_IRQCHIP, &chip, "split irqchip");
	EXPECT(-ENXIO, bare.vm, KVM_GET_PIT2, &pit, "no PIT");
	EXPECT(-ENXIO, bare.vm, KVM_SET_PIT2, &pit, "no PIT");
	EXPECT(-ENXIO, bare.vm, KVM_REINJECT_CONTROL, &reinject, "no PIT");
	EXPECT(-EINVAL, bare.vm, KVM_SET_GSI_ROUTING, routing, "no irqchip");
	EXPECT(0, full.vm, KVM_IRQ_LINE, &line, "lower");
	chip.chip_id = 3;
	EXPECT(-EINVAL, full.vm, KVM_GET_IRQCHIP, &chip, "unknown chip");
	EXPECT(-EINVAL, full.vm, KVM_SET_IRQCHIP, &chip, "unknown chip");
	msi.flags = 1u << 31;
	EXPECT(-EINVAL, full.vm, KVM_SIGNAL_MSI, &msi, "unknown flag");

	routing->nr = 4097;
	EXPECT(-EINVAL, full.vm, KVM_SET_GSI_ROUTING, routing, "too many");
	routing->nr = ~0u;
	EXPECT(-EINVAL, full.vm, KVM_SET_GSI_ROUTING, routing, "huge number");
	routing->nr = 1;
	routing->flags = 1;
	EXPECT(-EINVAL, full.vm, KVM_SET_GSI_ROUTING, routing, "flags");
	routing->flags = 0;
	routing->entries[0].type = 99;
	EXPECT(-EINVAL, full.vm, KVM_SET_GSI_ROUTING, routing, "unknown type");
	routing->entries[0].type = KVM_IRQ_ROUTING_IRQCHIP;
	routing->entries[0].u.irqchip.irqchip = 3;
	EXPECT(-EINVAL, full.vm, KVM_SET_GSI_ROUTING, routing, "unknown chip");
	routing->entries[0].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	routing->entries[0].u.irqchip.pin = 24;
	EXPECT(-EINVAL, full.vm, KVM_SET_GSI_ROUTING, routing, "pin out of range");
	routing->entries[0].u.irqchip.pin = 0;
	routing->entries[0].gsi = 4096;
	EXPECT(-EINVAL, full.vm, KVM_SET_GSI_ROUTING, routing, "GSI out of range");
	routing->entries[0].gsi = 0;
	EXPECT(-EINVAL, split.vm, KVM_SET_GSI_ROUTING, routing, "a pin, split irqchip");
	EXPECT(0, full.vm, KVM_SET_GSI_ROUTING, routing, "one pin");
	routing->nr = 0;
	EXPECT(0, full.vm, KVM_SET_GSI_ROUTING, routing, "none");
	free(routing);
}

static void test_eventfds(void)
{
	int event = eventfd(0, EFD_CLOEXEC), resample = eventfd(0, EFD_CLOEXEC);
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct kvm_irqfd irqfd = { .fd = event, .gsi = 3 };
	struct kvm_ioeventfd io = { .fd = event, .addr = 0x1000, .len = 4 };
	struct kvm_coalesced_mmio_zone zone = { .addr = 0x1000, .size = 16, .pio = 2 };

	EXPECT(-EINVAL, bare.vm, KVM_IRQFD, &irqfd, "no irqchip");
	irqfd.flags = 1u << 31;
	EXPECT(-EINVAL, full.vm, KVM_IRQFD, &irqfd, "unknown flag");
	irqfd.flags = 0;
	irqfd.fd = 9999;
	EXPECT(-EBADF, full.vm, KVM_IRQFD, &irqfd, "no such fd");
	irqfd.fd = -1;
	EXPECT(-EBADF, full.vm, KVM_IRQFD, &irqfd, "fd -1");
	irqfd.fd = file;
	EXPECT(-EINVAL, full.vm, KVM_IRQFD, &irqfd, "no eventfd");
	irqfd.fd = event;
	irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
	irqfd.resamplefd = file;
	EXPECT(-EINVAL, full.vm, KVM_IRQFD, &irqfd, "resample fd is no eventfd");
	irqfd.resamplefd = resample;
	EXPECT(-EINVAL, split.vm, KVM_IRQFD, &irqfd, "resampling needs the full irqchip");
	EXPECT(0, full.vm, KVM_IRQFD, &irqfd, "with resampling");
	EXPECT(-EBUSY, full.vm, KVM_IRQFD, &irqfd, "twice");
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	EXPECT(0, full.vm, KVM_IRQFD, &irqfd, "deassign");
	EXPECT(0, full.vm, KVM_IRQFD, &irqfd, "deassign again");
	irqfd.flags = 0;
	EXPECT(0, full.vm, KVM_IRQFD, &irqfd, "assign again");
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	EXPECT(0, full.vm, KVM_IRQFD, &irqfd, "deassign");
	irqfd.fd = 9999;
	EXPECT(-EBADF, full.vm, KVM_IRQFD, &irqfd, "deassign, no such fd");

	io.len = 3;
	EXPECT(-EINVAL, bare.vm, KVM_IOEVENTFD, &io, "length 3");
	io.len = 16;
	EXPECT(-EINVAL, bare.vm, KVM_IOEVENTFD, &io, "length 16");
	io.len = 4;
	io.addr = ~0ul;
	EXPECT(-EINVAL, bare.vm, KVM_IOEVENTFD, &io, "range wraps");
	io.addr = 0x1000;
	io.flags = 1u << 31;
	EXPECT(-EINVAL, bare.vm, KVM_IOEVENTFD, &io, "unknown flag");
	io.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	io.len = 0;
	EXPECT(-EINVAL, bare.vm, KVM_IOEVENTFD, &io, "match without a length");
	io.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	EXPECT(-ENOENT, bare.vm, KVM_IOEVENTFD, &io, "deassign what is not there");
	io.flags = 0;
	io.len = 4;
	io.fd = 9999;
	EXPECT(-EBADF, bare.vm, KVM_IOEVENTFD, &io, "no such fd");
	io.fd = file;
	EXPECT(-EINVAL, bare.vm, KVM_IOEVENTFD, &io, "no eventfd");
	io.fd = event;
	EXPECT(0, bare.vm, KVM_IOEVENTFD, &io, "4 bytes");
	EXPECT(-EEXIST, bare.vm, KVM_IOEVENTFD, &io, "twice");
	io.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	EXPECT(-EEXIST, bare.vm, KVM_IOEVENTFD, &io, "a value of what matches all");
	io.flags = 0;
	io.len = 8;
	EXPECT(0, bare.vm, KVM_IOEVENTFD, &io, "8 bytes, same address");
	io.len = 0;
	EXPECT(-EEXIST, bare.vm, KVM_IOEVENTFD, &io, "any length, same address");
	io.flags = KVM_IOEVENTFD_FLAG_PIO;
	EXPECT(0, bare.vm, KVM_IOEVENTFD, &io, "a port of the same number");
	io.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	io.len = 8;
	EXPECT(0, bare.vm, KVM_IOEVENTFD, &io, "deassign");
	EXPECT(-ENOENT, bare.vm, KVM_IOEVENTFD, &io, "deassign again");

	EXPECT(-EINVAL, bare.vm, KVM_REGISTER_COALESCED_MMIO, &zone, "neither memory nor ports");
	EXPECT(-EINVAL, bare.vm, KVM_UNREGISTER_COALESCED_MMIO, &zone, "neither memory nor ports");
	zone.pio = 1;
	EXPECT(0, bare.vm, KVM_UNREGISTER_COALESCED_MMIO, &zone, "not there");
	EXPECT(0, bare.vm, KVM_REGISTER_COALESCED_MMIO, &zone, "ports");
	EXPECT(0, bare.vm, KVM_UNREGISTER_COALESCED_MMIO, &zone, "ports");
	close(event);
	close(resample);
	close(file);
}

static void test_vcpu_state(void)
{
	struct kvm_vcpu_events events = {};
	struct kvm_debugregs debugregs;
	struct kvm_signal_mask *mask = calloc(1, sizeof(*mask) + 8);
	struct kvm_xcrs xcrs = {};
	struct kvm_sregs2 sregs2;
	struct kvm_sregs sregs;
	struct kvm_device_attr attr = {};
	uint64_t mce;

	EXPECT_VALUE(-EINVAL, bare.vcpu, KVM_RUN, 1, "argument");
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_MP_STATE, ARG(kvm_mp_state, .mp_state = 99), "unknown");
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_MP_STATE, ARG(kvm_mp_state, .mp_state = KVM_MP_STATE_HALTED),
	       "halted without an APIC");
	EXPECT(0, bare.vcpu, KVM_SET_MP_STATE, ARG(kvm_mp_state, .mp_state = KVM_MP_STATE_RUNNABLE), "runnable");
	EXPECT(-EINVAL, bare.vcpu, KVM_INTERRUPT, ARG(kvm_interrupt, .irq = 256), "vector 256");
	EXPECT(0, bare.vcpu, KVM_INTERRUPT, ARG(kvm_interrupt, .irq = 32), "no irqchip");
	EXPECT(0, bare.vcpu, KVM_INTERRUPT, ARG(kvm_interrupt, .irq = 33), "in place of the last one");
	EXPECT(-ENXIO, full.vcpu, KVM_INTERRUPT, ARG(kvm_interrupt, .irq = 32), "with a PIC in the kernel");
	EXPECT(0, split.vcpu, KVM_INTERRUPT, ARG(kvm_interrupt, .irq = 32), "split irqchip");
	EXPECT(-EEXIST, split.vcpu, KVM_INTERRUPT, ARG(kvm_interrupt, .irq = 33), "before the last one was taken");
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_VAPIC_ADDR, ARG(kvm_vapic_addr, .vapic_addr = 0), "no APIC");
	EXPECT(0, full.vcpu, KVM_SET_VAPIC_ADDR, ARG(kvm_vapic_addr, .vapic_addr = 0), "off");
	EXPECT(-EINVAL, full.vcpu, KVM_TPR_ACCESS_REPORTING, ARG(kvm_tpr_access_ctl, .flags = 1), "flags");
	EXPECT(0, full.vcpu, KVM_TPR_ACCESS_REPORTING, ARG(kvm_tpr_access_ctl, .enabled = 0), "off");
	EXPECT(-EINVAL, full.vcpu, KVM_KVMCLOCK_CTRL, NULL, "the guest uses no kvmclock");

	events.flags = 1u << 31;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_VCPU_EVENTS, &events, "unknown flag");
	events.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_VCPU_EVENTS, &events, "payload that was not enabled");
	events.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_VCPU_EVENTS, &events, "triple fault that was not enabled");
	events.flags = 0;
	events.exception.injected = 1;
	events.exception.nr = 32;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_VCPU_EVENTS, &events, "exception 32");
	events.exception.nr = 2;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_VCPU_EVENTS, &events, "NMI as an exception");

	KVM(bare.vcpu, KVM_GET_DEBUGREGS, &debugregs);
	debugregs.flags = 1;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_DEBUGREGS, &debugregs, "flags");
	debugregs.flags = 0;
	debugregs.dr7 = 1ul << 32;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_DEBUGREGS, &debugregs, "upper half of DR7");

	xcrs.nr_xcrs = KVM_MAX_XCRS + 1;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_XCRS, &xcrs, "too many");
	xcrs.nr_xcrs = 1;
	xcrs.flags = 1;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_XCRS, &xcrs, "flags");
	xcrs.flags = 0;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_XCRS, &xcrs, "XCR0 without x87");

	KVM(bare.vcpu, KVM_GET_SREGS, &sregs);
	sregs.efer |= 1ul << 10;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_SREGS, &sregs, "long mode active without paging");
	KVM(bare.vcpu, KVM_GET_SREGS, &sregs);
	sregs.cr4 |= 1ul << 63;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_SREGS, &sregs, "reserved CR4 bit");
	KVM(bare.vcpu, KVM_GET_SREGS, &sregs);
	sregs.cr0 |= 1ul << 31;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_SREGS, &sregs, "paging without protection");

	KVM(bare.vcpu, KVM_GET_SREGS2, &sregs2);
	sregs2.flags = 2;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_SREGS2, &sregs2, "unknown flag");
	sregs2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_SREGS2, &sregs2, "PDPTRs without PAE");

	EXPECT(0, bare.vcpu, KVM_SET_GUEST_DEBUG,
	       ARG(kvm_guest_debug, .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP), "inject #BP");
	EXPECT(-EBUSY, bare.vcpu, KVM_SET_GUEST_DEBUG,
	       ARG(kvm_guest_debug, .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB), "before it was taken");
	EXPECT(0, bare.vcpu, KVM_SET_GUEST_DEBUG, ARG(kvm_guest_debug, .control = 0), "off");
	EXPECT(0, bare.vcpu, KVM_SET_VCPU_EVENTS, ARG(kvm_vcpu_events, .flags = 0), "nothing pending");

	mce = 0;
	EXPECT(-EINVAL, bare.vcpu, KVM_X86_SETUP_MCE, &mce, "no bank");
	mce = 33;
	EXPECT(-EINVAL, bare.vcpu, KVM_X86_SETUP_MCE, &mce, "33 banks");
	mce = 10 | 1ul << 63;
	EXPECT(-EINVAL, bare.vcpu, KVM_X86_SETUP_MCE, &mce, "unknown capability");
	mce = 10;
	EXPECT(0, bare.vcpu, KVM_X86_SETUP_MCE, &mce, "10 banks");
	EXPECT(-EINVAL, bare.vcpu, KVM_X86_SET_MCE, ARG(kvm_x86_mce, .bank = 10, .status = 1ul << 63), "bank 10");
	EXPECT(-EINVAL, bare.vcpu, KVM_X86_SET_MCE, ARG(kvm_x86_mce, .bank = 1), "not valid");

	EXPECT(0, bare.vcpu, KVM_SET_SIGNAL_MASK, NULL, "off");
	mask->len = 4;
	EXPECT(-EINVAL, bare.vcpu, KVM_SET_SIGNAL_MASK, mask, "length of a 32-bit set");
	mask->len = 8;
	EXPECT(0, bare.vcpu, KVM_SET_SIGNAL_MASK, mask, "empty set");
	EXPECT(0, bare.vcpu, KVM_SET_SIGNAL_MASK, NULL, "off again");

	attr.group = 99;
	EXPECT(-ENXIO, bare.vcpu, KVM_HAS_DEVICE_ATTR, &attr, "group");
	attr.group = KVM_VCPU_TSC_CTRL;
	attr.attr = 99;
	EXPECT(-ENXIO, bare.vcpu, KVM_HAS_DEVICE_ATTR, &attr, "attribute");
	EXPECT(-ENXIO, bare.vcpu, KVM_SET_DEVICE_ATTR, &attr, "attribute");
	attr.attr = KVM_VCPU_TSC_OFFSET;
	EXPECT(0, bare.vcpu, KVM_HAS_DEVICE_ATTR, &attr, "TSC offset");
	EXPECT(-EFAULT, bare.vcpu, KVM_GET_DEVICE_ATTR, &attr, "null value");
	EXPECT(-EFAULT, bare.vcpu, KVM_SET_DEVICE_ATTR, &attr, "null value");
	EXPECT_VALUE(-ENOTTY, bare.vcpu, KVM_MEMORY_ENCRYPT_OP, 0, "not an encrypted VM");
	free(mask);
}

static void test_vm_state(void)
{
	struct kvm_clock_data clock = { .flags = 1 };
	struct kvm_msr_filter filter = { .flags = 2 };
	uint8_t bits[8] = {};

	EXPECT(-EINVAL, bare.vm, KVM_SET_CLOCK, &clock, "unknown flag");
	EXPECT(-EINVAL, bare.vm, KVM_X86_SET_MSR_FILTER, &filter, "unknown flag");
	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	EXPECT(-EINVAL, bare.vm, KVM_X86_SET_MSR_FILTER, &filter, "deny all without a range");
	filter.ranges[0].nmsrs = 64;
	filter.ranges[0].bitmap = bits;
	EXPECT(-EINVAL, bare.vm, KVM_X86_SET_MSR_FILTER, &filter, "range for neither reads nor writes");
	filter.ranges[0].flags = 4;
	EXPECT(-EINVAL, bare.vm, KVM_X86_SET_MSR_FILTER, &filter, "unknown range flag");
	filter.ranges[0].flags = KVM_MSR_FILTER_READ;
	filter.ranges[0].nmsrs = ~0u;
	EXPECT(-EINVAL, bare.vm, KVM_X86_SET_MSR_FILTER, &filter, "bitmap too large");
	filter.ranges[0].nmsrs = 64;
	filter.ranges[0].bitmap = NULL;
	EXPECT(-EFAULT, bare.vm, KVM_X86_SET_MSR_FILTER, &filter, "null bitmap");
	filter.ranges[0].bitmap = bits;
	EXPECT(0, bare.vm, KVM_X86_SET_MSR_FILTER, &filter, "one range");
	EXPECT(-ENODEV, bare.vm, KVM_CREATE_DEVICE, ARG(kvm_create_device, .type = 9999), "unknown type");
	EXPECT(-ENODEV, bare.vm, KVM_CREATE_DEVICE,
	       ARG(kvm_create_device, .type = KVM_DEV_TYPE_XICS, .flags = KVM_CREATE_DEVICE_TEST),
	       "another architecture's");
}

/* x86 does not mind: unaligned structures work like aligned ones. */
static void test_unaligned(void)
{
	char *regs = guarded(sizeof(struct kvm_regs) + 1);
	char *events = guarded(sizeof(struct kvm_vcpu_events) + 3);

	EXPECT(0, bare.vcpu, KVM_GET_REGS, regs, "unaligned");
	EXPECT(0, bare.vcpu, KVM_SET_REGS, regs, "unaligned");
	EXPECT(0, bare.vcpu, KVM_GET_VCPU_EVENTS, events, "unaligned");
	EXPECT(-EFAULT, bare.vcpu, KVM_GET_REGS, regs + 2, "unaligned and one byte short");
}

static sigjmp_buf bus_error;

static void on_bus_error(int signal)
{
	siglongjmp(bus_error, 1);
}

static bool readable(const volatile char *p)
{
	if (sigsetjmp(bus_error, 1))
		return false;
	(void)*p;
	return true;
}

static void test_mapping(void)
{
	size_t size = KVM_VALUE(sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	char *run = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, bare.vcpu, 0);
	struct sigaction action = { .sa_handler = on_bus_error };
	size_t i;

	tap_check(run != MAP_FAILED, "a vCPU can be mapped");
	if (run == MAP_FAILED)
		return;
	sigaction(SIGBUS, &action, NULL);
	for (i = 0; i < 4; i++)
		tap_check(readable(run + i * 4096) == (i * 4096 < size), "page %zu is %s", i,
			  i * 4096 < size ? "there" : "a bus error");
	signal(SIGBUS, SIG_DFL);
	munmap(run, 16 * 4096);
	tap_check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, bare.vm, 0) == MAP_FAILED && errno == ENODEV,
		  "a VM cannot be mapped");
}

/* Registers that KVM_RUN takes from the mapping and leaves there. */
static void test_sync_regs(void)
{
	struct kvm_run *run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, bare.vcpu, 0);
	int fields = kvm_cap(sys_fd, KVM_CAP_SYNC_REGS);

	if (run == MAP_FAILED)
		tap_fail("mmap of the vCPU");
	run->immediate_exit = 1;
	run->kvm_valid_regs = fields + 1;
	EXPECT(-EINVAL, bare.vcpu, KVM_RUN, NULL, "to leave an unknown kind of registers");
	run->kvm_valid_regs = fields;
	EXPECT(-EINTR, bare.vcpu, KVM_RUN, NULL, "to leave all kinds");
	run->kvm_dirty_regs = fields + 1;
	EXPECT(-EINVAL, bare.vcpu, KVM_RUN, NULL, "to take an unknown kind of registers");
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	run->s.regs.sregs.cr4 |= 1ul << 63;
	EXPECT(-EINVAL, bare.vcpu, KVM_RUN, NULL, "to take a reserved CR4 bit");
	run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	run->s.regs.events.flags = 1u << 31;
	EXPECT(-EINVAL, bare.vcpu, KVM_RUN, NULL, "to take an unknown kind of event");
	memset(run, 0, sizeof(*run));
	munmap(run, 4096);
}

/* A VM belongs to the process that made it. */
static void test_foreign_process(void)
{
	static const char *const what[] = { "VM", "vCPU", "unknown number, VM", "system" };
	struct kvm_regs regs;
	int results[4], pipefd[2];
	pid_t child;
	size_t i;

	if (pipe(pipefd))
		tap_fail("pipe");
	child = fork();
	if (!child) {
		results[0] = kvm_raw_value(bare.vm, KVM_CHECK_EXTENSION, KVM_CAP_HLT);
		results[1] = kvm_raw(bare.vcpu, KVM_GET_REGS, &regs);
		results[2] = kvm_raw(bare.vm, _IO(KVMIO, 0xff), NULL);
		results[3] = kvm_raw(sys_fd, KVM_GET_API_VERSION, NULL);
		_exit(write(pipefd[1], results, sizeof(results)) != sizeof(results));
	}
	if (read(pipefd[0], results, sizeof(results)) != sizeof(results))
		tap_fail("the other process died");
	waitpid(child, NULL, 0);
	close(pipefd[0]);
	close(pipefd[1]);
	for (i = 0; i < 4; i++)
		expect_result(i < 3 ? -EIO : 0, results[i], "from another process", what[i]);
}

static void test_stats(void)
{
	struct kvm_stats_header header;
	int fd = kvm_raw(bare.vcpu, KVM_GET_STATS_FD, NULL);
	char id[49] = {};

	if (!tap_check(fd >= 0, "KVM_GET_STATS_FD on a vCPU: %s", name_of(fd)))
		return;
	tap_check(read(fd, &header, sizeof(header)) == sizeof(header), "the header can be read");
	tap_check(header.name_size == 48 && header.num_desc > 0, "%u counters", header.num_desc);
	tap_check(pread(fd, id, 48, header.id_offset) == 48 && !strncmp(id, "kvm-", 4), "id %s", id);
	tap_check(pread(fd, id, 8, header.data_offset) == 8, "a value can be read");
	tap_check(pread(fd, id, 8, 1 << 20) == 0, "nothing beyond the end");
	tap_check(write(fd, id, 8) < 0 && errno == EBADF, "it cannot be written");
	close(fd);
	fd = kvm_raw(bare.vm, KVM_GET_STATS_FD, NULL);
	tap_check(fd >= 0, "KVM_GET_STATS_FD on a VM: %s", name_of(fd));
	if (fd >= 0)
		close(fd);
}

int main(void)
{
	sys_fd = device_open();
	make_vms();
	test_pointers();
	test_unknown_numbers();
	test_sign_extended_number();
	test_system();
	test_lists();
	test_capabilities();
	test_nx_huge_pages();
	test_one_reg();
	test_order();
	test_memory();
	test_irqs();
	test_eventfds();
	test_vcpu_state();
	test_vm_state();
	test_unaligned();
	test_mapping();
	test_sync_regs();
	test_foreign_process();
	test_stats();
	return tap_done();
}
