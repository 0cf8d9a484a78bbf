// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "nested.h"
#include "tap.h"
#include "vm.h"

#define MSR_TSC		0x10
#define MSR_MPERF	0xe7
#define MSR_APERF	0xe8
#define MSR_DEADLINE	0x6e0

void nested_get(int vcpu, struct nested_state *state)
{
	memset(state, 0, sizeof(*state));
	state->head.size = sizeof(*state);
	KVM(vcpu, KVM_GET_NESTED_STATE, state);
}

bool nested_is(int vcpu, const struct nested_state *state)
{
	const uint8_t *a = (const uint8_t *)state, *b;
	struct nested_state now;
	unsigned int i;

	nested_get(vcpu, &now);
	b = (const uint8_t *)&now;
	for (i = 0; i < sizeof(now) && a[i] == b[i]; i++)
		;
	if (i < sizeof(now))
		tap_note("byte %#x of the nested state: %#x, was %#x", i, b[i], a[i]);
	return i == sizeof(now);
}

struct kvm_nested_state nested_none(unsigned int format)
{
	struct kvm_nested_state none = { .format = format, .size = sizeof(none) };

	if (format == KVM_STATE_NESTED_FORMAT_VMX)
		none.hdr.vmx.vmxon_pa = none.hdr.vmx.vmcs12_pa = -1;
	else
		none.flags = KVM_STATE_NESTED_GIF_SET;
	return none;
}

void nested_put(int vcpu, const struct nested_state *state, const struct image *image)
{
	struct kvm_nested_state none = nested_none(state->head.format);

	KVM(vcpu, KVM_SET_NESTED_STATE, &none);
	KVM(vcpu, KVM_SET_SREGS, &image->sregs);
	KVM(vcpu, KVM_SET_NESTED_STATE, state);
	KVM(vcpu, KVM_SET_REGS, &image->regs);
	KVM(vcpu, KVM_SET_VCPU_EVENTS, &image->events);
	KVM(vcpu, KVM_SET_MP_STATE, &image->mp);
}

void nested_save_and_restore(int vcpu)
{
	static __thread struct nested_state state;
	static __thread struct image image;

	nested_get(vcpu, &state);
	image_take_registers(vcpu, &image);
	nested_put(vcpu, &state, &image);
}

/* What goes on by itself; and what Hyper-V and KVM have, which are clocks, too. */
static bool is_clock(uint32_t msr)
{
	return msr == MSR_TSC || msr == MSR_MPERF || msr == MSR_APERF || msr == MSR_DEADLINE || msr >> 16 == 0x4000;
}

static void take_msrs(int sys, int vcpu, struct image *image)
{
	static struct { struct kvm_msr_list list; uint32_t index[IMAGE_MSRS]; } all;
	struct { struct kvm_msrs list; struct kvm_msr_entry entry; } one = { .list.nmsrs = 1 };
	unsigned int i;

	all.list.nmsrs = IMAGE_MSRS;
	KVM(sys, KVM_GET_MSR_INDEX_LIST, &all);
	image->nr_msrs = 0;
	for (i = 0; i < all.list.nmsrs; i++) {
		one.entry.index = all.index[i];
		one.entry.data = 0;
		if (!is_clock(one.entry.index) && kvm_raw(vcpu, KVM_GET_MSRS, &one) == 1)
			image->msrs[image->nr_msrs++] = one.entry;
	}
}

void image_take_registers(int vcpu, struct image *image)
{
	KVM(vcpu, KVM_GET_REGS, &image->regs);
	KVM(vcpu, KVM_GET_SREGS, &image->sregs);
	KVM(vcpu, KVM_GET_VCPU_EVENTS, &image->events);
	KVM(vcpu, KVM_GET_MP_STATE, &image->mp);
}

void image_take(int sys, int vcpu, struct image *image)
{
	memset(image, 0, sizeof(*image));
	image_take_registers(vcpu, image);
	KVM(vcpu, KVM_GET_DEBUGREGS, &image->debug);
	KVM(vcpu, KVM_GET_XCRS, &image->xcrs);
	KVM(vcpu, KVM_GET_FPU, &image->fpu);
	take_msrs(sys, vcpu, image);
}

static bool same_msrs(const struct image *a, const struct image *b)
{
	unsigned int i;

	for (i = 0; i < a->nr_msrs && i < b->nr_msrs; i++) {
		if (a->msrs[i].data == b->msrs[i].data)
			continue;
		tap_note("MSR %#x: %#llx, was %#llx", a->msrs[i].index, (unsigned long long)b->msrs[i].data,
			 (unsigned long long)a->msrs[i].data);
		return false;
	}
	return a->nr_msrs == b->nr_msrs;
}

bool image_same(const struct image *a, const struct image *b)
{
#define PART(part) { #part, __builtin_offsetof(struct image, part), sizeof(a->part) }
	static const struct { const char *name; size_t offset, size; } parts[] = {
		PART(sregs.cs), PART(sregs.ds), PART(sregs.es), PART(sregs.fs), PART(sregs.gs), PART(sregs.ss),
		PART(sregs.tr), PART(sregs.ldt), PART(sregs.gdt), PART(sregs.idt), PART(sregs.cr0), PART(sregs.cr2),
		PART(sregs.cr3), PART(sregs.cr4), PART(sregs.cr8), PART(sregs.efer), PART(sregs.apic_base),
		PART(sregs.interrupt_bitmap), PART(debug), PART(xcrs), PART(events), PART(mp), PART(fpu),
	};
	unsigned int i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!memcmp((char *)a + parts[i].offset, (char *)b + parts[i].offset, parts[i].size))
			continue;
		tap_note("%s differs", parts[i].name);
		return false;
	}
	return same_msrs(a, b);
}
