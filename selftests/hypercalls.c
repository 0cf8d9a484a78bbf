// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the other vendor's hypercall instruction is replaced by this CPU's, that a VMM which
 * disables KVM_X86_QUIRK_FIX_HYPERCALL_INSN gets #UD instead, and which hypercalls there are.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3
 * nestor-test: cpu=intel kernel=6.1
 */
#include <linux/kvm_para.h>
#include <string.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 }, vmmcall[] = { 0x0f, 0x01, 0xd9 };

#define CALL_AT	2	/* the offset of the instruction in both guests */

GUEST_TEXT(intel_guest,
	   "	mov %ebx, %eax\n"
	   "	.byte 0x0f, 0x01, 0xc1\n"
	   "	out %eax, $0x80\n");

GUEST_TEXT(amd_guest,
	   "	mov %ebx, %eax\n"
	   "	.byte 0x0f, 0x01, 0xd9\n"
	   "	out %eax, $0x80\n");

static struct guest g;
static bool amd;

static void start_with(bool irqchip, bool foreign, uint32_t nr)
{
	guest_open(&g, 1 << 20, irqchip);
	if (foreign == amd)
		guest_load(&g, intel_guest);
	else
		guest_load(&g, amd_guest);
	guest_add_cpu(&g, nr);
}

static void start(bool foreign, uint32_t nr)
{
	start_with(true, foreign, nr);
}

static bool code_is(bool foreign)
{
	return !memcmp(g.memory + GUEST_CODE + CALL_AT, foreign == amd ? vmcall : vmmcall, sizeof(vmcall));
}

static void test_numbers(bool foreign)
{
	static const struct {
		uint32_t nr;
		int32_t result;
	} calls[] = {
		{ KVM_HC_VAPIC_POLL_IRQ, 0 },
		{ KVM_HC_SCHED_YIELD, 0 },
		{ 2, -KVM_ENOSYS },		/* KVM_HC_MMU_OP of old */
		{ 0x7fffffff, -KVM_ENOSYS },
	};

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int32_t result;

		start(foreign, calls[i].nr);
		result = guest_say(&g, 0);
		tap_check(result == calls[i].result, "%s instruction, hypercall %u: %d",
			  foreign ? "the other's" : "the CPU's", calls[i].nr, result);
		tap_check(code_is(false), "... and the code has the CPU's");
		guest_close(&g);
	}
}

static void test_without_apic(void)
{
	int32_t result;

	start_with(false, false, KVM_HC_SEND_IPI);
	result = guest_say(&g, 0);
	tap_check(result == -KVM_EOPNOTSUPP, "IPIs without local APICs in the kernel: %d", result);
	guest_close(&g);
}

/* The guest has no IDT: #UD becomes a triple fault. */
static void test_quirk_disabled(void)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DISABLE_QUIRKS2,
		.args = { KVM_X86_QUIRK_FIX_HYPERCALL_INSN },
	};
	int r;

	start(true, KVM_HC_VAPIC_POLL_IRQ);
	KVM(g.fd, KVM_ENABLE_CAP, &cap);
	r = guest_run(&g, 0);
	tap_check(r == KVM_EXIT_SHUTDOWN, "quirk disabled: #UD (%d)", r);
	tap_check(code_is(true), "... and the code stays");
	guest_close(&g);
}

int main(void)
{
	int dev = device_open();

	amd = __builtin_cpu_is("amd");
	tap_check(kvm_cap(dev, KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_FIX_HYPERCALL_INSN,
		  "the quirk can be disabled");
	test_numbers(false);
	test_numbers(true);
	test_without_apic();
	test_quirk_disabled();
	return tap_done();
}
