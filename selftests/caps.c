// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that no capability promises more than it has: those that can be enabled refuse every bit that is not theirs, all
 * others refuse to be enabled, on a VM as on a vCPU, and what is not offered cannot be enabled either.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=intel kernel=6.1 cpus=1 timeout=900
 */
#include <errno.h>
#include <unistd.h>

#include "tap.h"
#include "vm.h"

#define LAST_CAP	400

enum kind {
	ANY,		/* args[0] is a switch */
	BITS,		/* args[0] has bits of @bits */
	OFFERED,	/* args[0] has bits of what KVM_CHECK_EXTENSION says */
	NUMBER,		/* tested elsewhere */
};

/* On a VM. */
static const struct row {
	int cap;
	enum kind kind;
	uint64_t bits;
} rows[] = {
	{ KVM_CAP_SPLIT_IRQCHIP, NUMBER, 0 },
	{ KVM_CAP_X2APIC_API, BITS, 0xb },
	{ KVM_CAP_MAX_VCPU_ID, NUMBER, 0 },
	{ KVM_CAP_EXCEPTION_PAYLOAD, ANY, 0 },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, ANY, 0 },
	{ KVM_CAP_X86_USER_SPACE_MSR, BITS, 7 },
	{ KVM_CAP_DISABLE_QUIRKS, ANY, 0 },
	{ KVM_CAP_DISABLE_QUIRKS2, OFFERED, 0 },
	{ KVM_CAP_MSR_PLATFORM_INFO, ANY, 0 },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, BITS, 1 },
	{ KVM_CAP_EXIT_HYPERCALL, OFFERED, 0 },
	{ KVM_CAP_HALT_POLL, BITS, ~0u },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, BITS, 3 },
	{ KVM_CAP_DIRTY_LOG_RING, NUMBER, 0 },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, NUMBER, 0 },
	{ KVM_CAP_X86_DISABLE_EXITS, OFFERED, 0 },
	{ KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, BITS, 0 },
	{ KVM_CAP_X86_APIC_BUS_CYCLES_NS, NUMBER, 0 },
};
#define NR_ROWS	(sizeof(rows) / sizeof(rows[0]))

static const int vcpu_caps[] = {
	KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2,
	KVM_CAP_HYPERV_ENFORCE_CPUID, KVM_CAP_HYPERV_ENLIGHTENED_VMCS,
};

static int dev;

static const struct row *find(int cap)
{
	for (unsigned int i = 0; i < NR_ROWS; i++)
		if (rows[i].cap == cap)
			return &rows[i];
	return NULL;
}

static int is_vcpu_cap(int cap)
{
	for (unsigned int i = 0; i < sizeof(vcpu_caps) / sizeof(vcpu_caps[0]); i++)
		if (vcpu_caps[i] == cap)
			return 1;
	return 0;
}

static int enable(int fd, int cap, uint32_t flags, uint64_t arg)
{
	struct kvm_enable_cap e = { .cap = cap, .flags = flags, .args = { arg } };

	return kvm_raw(fd, KVM_ENABLE_CAP, &e);
}

static void test_bits(int vm, const struct row *row)
{
	uint64_t bits = row->kind == OFFERED ? (uint64_t)kvm_cap(vm, row->cap) : row->bits;
	unsigned int taken = 0;

	if (row->kind != BITS && row->kind != OFFERED)
		return;
	for (int bit = 0; bit < 64; bit++)
		if (!(bits >> bit & 1) && enable(vm, row->cap, 0, 1ull << bit) != -EINVAL)
			taken++;
	tap_check(!taken, "capability %d refuses all bits but %#llx", row->cap, (unsigned long long)bits);
}

/* What upstream says where it is not offered. */
static int refusal(int cap)
{
	return cap == KVM_CAP_HYPERV_ENLIGHTENED_VMCS || cap == KVM_CAP_HYPERV_DIRECT_TLBFLUSH ? -ENOTTY : -EINVAL;
}

int main(void)
{
	unsigned int on_vm = 0, on_vcpu = 0, flags = 0, missing = 0;
	int vm, vcpu;

	dev = device_open();
	vm = KVM_VALUE(dev, KVM_CREATE_VM, 0);
	for (unsigned int i = 0; i < NR_ROWS; i++)
		if (kvm_cap(vm, rows[i].cap))
			test_bits(vm, &rows[i]);
	vcpu = KVM_VALUE(vm, KVM_CREATE_VCPU, 0);
	for (int cap = 0; cap < LAST_CAP; cap++) {
		int offered = kvm_cap(vm, cap);

		if (offered && (enable(vm, cap, 1, 0) != -EINVAL || enable(vcpu, cap, 1, 0) != -EINVAL))
			flags++;
		if ((!offered || !find(cap)) && enable(vm, cap, 0, 1) != -EINVAL)
			on_vm++;
		if ((!offered || !is_vcpu_cap(cap)) && enable(vcpu, cap, 0, 1) != refusal(cap))
			on_vcpu++;
		if (!offered && (find(cap) || is_vcpu_cap(cap)))
			missing++;
	}
	tap_check(!flags, "no capability knows a flag: %u do", flags);
	tap_check(!on_vm, "what a VM cannot enable is refused: %u are not", on_vm);
	tap_check(!on_vcpu, "what a vCPU cannot enable is refused: %u are not", on_vcpu);
	tap_note("%u of those that can be enabled are not offered on this CPU", missing);
	return tap_done();
}
