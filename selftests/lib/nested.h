/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What KVM_GET_NESTED_STATE gives, and the rest of a vCPU's state that a level of virtualization must leave alone.
 */
#ifndef TEST_NESTED_H
#define TEST_NESTED_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* Room for any: two VMCSs with VMX, one VMCB with SVM. */
struct nested_state {
	struct kvm_nested_state head;
	uint8_t data[8192];
};

/* Bytes that are not of the state are 0. */
void nested_get(int vcpu, struct nested_state *state);
/* Is it what the vCPU has? Notes where not. */
bool nested_is(int vcpu, const struct nested_state *state);
/* Nothing: no VMX operation, or GIF alone. */
struct kvm_nested_state nested_none(unsigned int format);

#define IMAGE_MSRS	512

/* All that user space can read of a vCPU but for nested state, clocks and the local APIC's timer. */
struct image {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debug;
	struct kvm_xcrs xcrs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_fpu fpu;
	unsigned int nr_msrs;
	struct kvm_msr_entry msrs[IMAGE_MSRS];
};

void image_take(int sys, int vcpu, struct image *image);
/* The part of it that nesting changes: registers, system registers, events, whether it is halted. */
void image_take_registers(int vcpu, struct image *image);
/* But for general registers, which are the caller's to look at. Notes the first difference. */
bool image_same(const struct image *a, const struct image *b);

/* Whatever level the vCPU is at: to this state, and that part of an image. */
void nested_put(int vcpu, const struct nested_state *state, const struct image *image);
/* All that nesting adds to a vCPU out and in again, with nothing between. */
void nested_save_and_restore(int vcpu);

#endif
