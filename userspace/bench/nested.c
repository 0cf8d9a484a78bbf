// SPDX-License-Identifier: GPL-2.0
/* Exits of a guest's guest to the guest hypervisor and back: L2 executes nothing but VMCALL or VMMCALL. */
#include <stdlib.h>
#include <string.h>

#include "../module/check/check.h"
#include "bench/bench.h"
#include "bench/layout.h"
#include "boot/boot.h"
#include "l1.h"
#include "util.h"

extern const char bench_nested_svm[], bench_nested_vmx_exit[];

static bool has_nesting(const struct kvm *kvm, bool amd)
{
	const struct kvm_cpuid_entry2 *e = cpuid__find(kvm->cpuid, amd ? 0x80000001 : 1, 0);

	return e && e->ecx & (amd ? 1 << 2 : 1 << 5);
}

static void put(struct guest *guest, uint64_t at, const void *data, size_t size)
{
	memcpy(memory__ptr(&guest->vm, at, size), data, size);
}

static void make_vmcb(struct guest *guest, const struct l1_layout *layout)
{
	static const uint8_t vmmcall[] = { 0x0f, 0x01, 0xd9 };

	for (unsigned int i = 1; i < check_svm.nr_fields; i++) {
		const struct check_field *f = &check_svm.fields[i];
		uint64_t value = l1__vmcb_value(layout, i);

		if (f->where != CHECK_NOWHERE)
			put(guest, BENCH_VMCB + f->where, &value, f->bytes);
	}
	put(guest, BENCH_L2_CODE, vmmcall, sizeof(vmmcall));
}

static void make_vmcs(struct guest *guest, const struct l1_layout *layout, const struct kvm_msrs *msrs)
{
	static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };
	uint64_t at = BENCH_VMWRITES, pair[2];

	for (unsigned int i = 1; i < check_vmx.nr_fields; i++) {
		pair[0] = check_vmx.fields[i].where;
		pair[1] = l1__vmcs_value(layout, msrs, i);
		if (pair[0] == CHECK_NOWHERE || !pair[1])
			continue;
		put(guest, at, pair, sizeof(pair));
		at += sizeof(pair);
	}
	pair[0] = ~0ULL;
	put(guest, at, pair, sizeof(pair));
	put(guest, BENCH_L2_CODE, vmcall, sizeof(vmcall));
}

static void make_l2(struct guest *guest, const struct kvm *kvm, bool amd)
{
	const struct l1_layout layout = {
		.code = BENCH_L2_CODE, .stack = BENCH_L2_STACK, .tables = BENCH_TABLES, .gdt = BOOT_GDT, .idt = BENCH_IDT,
		.permissions = BENCH_PERMISSIONS,
		.host_rip = BENCH_CODE + (uint64_t)(bench_nested_vmx_exit - bench_code_start), .host_rsp = BENCH_STACK,
	};
	struct kvm_msrs *msrs = l1__read_vmx_msrs(kvm->fd);

	if (amd)
		make_vmcb(guest, &layout);
	else
		make_vmcs(guest, &layout, msrs);
	free(msrs);
}

/** measure__nested() - round trips between L2 and L1 */
void measure__nested(struct bench *bench)
{
	bool amd = bench->benchmark->code == bench_nested_svm;
	struct guest guest;

	if (!has_nesting(bench->kvm, amd)) {
		result__fail(bench->result, "no nesting");
		return;
	}
	if (guest__create(&guest, bench, bench->result))
		return;
	make_l2(&guest, bench->kvm, amd);
	guest__set_param(&guest, PARAM_COUNT, bench->benchmark->samples);
	if (!guest__enter(&guest, 0, bench->benchmark->code, bench->result) && guest__run_to_done(&guest, bench->result))
		guest__collect(&guest, bench->result, bench->benchmark->samples);
	guest__destroy(&guest);
}
