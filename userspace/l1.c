// SPDX-License-Identifier: GPL-2.0
/* VMCBs and VMCSs of guest hypervisors. */
#include <sys/ioctl.h>

#include "../module/check/check.h"
#include "l1.h"
#include "util.h"

/* Those that entry__apply() loads. */
#define SEL_CODE	0x10
#define SEL_DATA	0x18
#define SEL_TSS		0x20
#define GDT_LIMIT	0x27
#define TSS_LIMIT	0x67
#define IDT_LIMIT	0xfff

#define CR0_VALUE	0x80000031
#define CR4_PAE		0x20
#define EFER_LONG	0x500
#define PAT_AT_RESET	0x0007040600070406

/* VMRUN and VMMCALL, then SHUTDOWN and CPUID. */
#define INTERCEPT_4	(1 << 0 | 1 << 1)
#define INTERCEPT_3	(1u << 31 | 1u << 18)

#define EXIT_HOST_64	0x200
#define ENTRY_IA32E	0x200
#define UNUSABLE	0x10000

/* What is not named is 0. */
static const struct {
	uint16_t field;
	uint64_t value;
} vmcb[] = {
	{ SF_intercept_3, INTERCEPT_3 }, { SF_intercept_4, INTERCEPT_4 }, { SF_asid, 1 },
	{ SF_cs_selector, SEL_CODE }, { SF_cs_attrib, 0xa9b }, { SF_cs_limit, ~0u },
	{ SF_ss_selector, SEL_DATA }, { SF_ss_attrib, 0xc93 }, { SF_ss_limit, ~0u },
	{ SF_ds_selector, SEL_DATA }, { SF_ds_attrib, 0xc93 }, { SF_ds_limit, ~0u },
	{ SF_es_selector, SEL_DATA }, { SF_es_attrib, 0xc93 }, { SF_es_limit, ~0u },
	{ SF_gdtr_limit, GDT_LIMIT }, { SF_idtr_limit, IDT_LIMIT }, { SF_efer, EFER_LONG | L1_EFER_SVME },
	{ SF_cr0, CR0_VALUE }, { SF_cr4, CR4_PAE }, { SF_dr6, 0xffff0ff0 }, { SF_dr7, 0x400 }, { SF_rflags, 2 },
	{ SF_g_pat, PAT_AT_RESET },
}, vmcs[] = {
	{ VF_guest_es_selector, SEL_DATA }, { VF_guest_es_limit, ~0u }, { VF_guest_es_ar, 0xc093 },
	{ VF_guest_cs_selector, SEL_CODE }, { VF_guest_cs_limit, ~0u }, { VF_guest_cs_ar, 0xa09b },
	{ VF_guest_ss_selector, SEL_DATA }, { VF_guest_ss_limit, ~0u }, { VF_guest_ss_ar, 0xc093 },
	{ VF_guest_ds_selector, SEL_DATA }, { VF_guest_ds_limit, ~0u }, { VF_guest_ds_ar, 0xc093 },
	{ VF_guest_fs_ar, UNUSABLE }, { VF_guest_gs_ar, UNUSABLE }, { VF_guest_ldtr_ar, UNUSABLE },
	{ VF_guest_tr_selector, SEL_TSS }, { VF_guest_tr_limit, TSS_LIMIT }, { VF_guest_tr_ar, 0x8b },
	{ VF_guest_gdtr_limit, GDT_LIMIT }, { VF_guest_idtr_limit, IDT_LIMIT }, { VF_guest_cr0, CR0_VALUE },
	{ VF_guest_cr4, CR4_PAE | L1_CR4_VMXE }, { VF_guest_dr7, 0x400 }, { VF_guest_rflags, 2 }, { VF_link_pointer, ~0ULL },
	{ VF_host_es_selector, SEL_DATA }, { VF_host_cs_selector, SEL_CODE }, { VF_host_ss_selector, SEL_DATA },
	{ VF_host_ds_selector, SEL_DATA }, { VF_host_tr_selector, SEL_TSS }, { VF_host_cr0, CR0_VALUE },
	{ VF_host_cr4, CR4_PAE | L1_CR4_VMXE },
};

/* Controls: the low half of the MSR has the bits that have to be 1. */
static const struct {
	uint16_t field;
	uint32_t msr, wanted;
} controls[] = {
	{ VF_pin_controls, 0x48d, 0 }, { VF_cpu_controls, 0x48e, 0 }, { VF_exit_controls, 0x48f, EXIT_HOST_64 },
	{ VF_entry_controls, 0x490, ENTRY_IA32E },
};

uint64_t l1__vmcb_value(const struct l1_layout *layout, unsigned int field)
{
	switch (field) {
	case SF_rip: return layout->code;
	case SF_rsp: return layout->stack;
	case SF_cr3: return layout->tables;
	case SF_gdtr_base: return layout->gdt;
	case SF_idtr_base: return layout->idt;
	case SF_iopm_base: return layout->permissions;
	case SF_msrpm_base: return layout->permissions + 0x3000;
	}
	for (size_t i = 0; i < ARRAY_SIZE(vmcb); i++)
		if (vmcb[i].field == field)
			return vmcb[i].value;
	return 0;
}

uint64_t l1__vmcs_value(const struct l1_layout *layout, const struct kvm_msrs *msrs, unsigned int field)
{
	switch (field) {
	case VF_guest_rip: return layout->code;
	case VF_guest_rsp: return layout->stack;
	case VF_guest_cr3:
	case VF_host_cr3: return layout->tables;
	case VF_guest_gdtr_base:
	case VF_host_gdtr_base: return layout->gdt;
	case VF_guest_idtr_base:
	case VF_host_idtr_base: return layout->idt;
	case VF_host_rip: return layout->host_rip;
	case VF_host_rsp: return layout->host_rsp;
	}
	for (size_t i = 0; i < ARRAY_SIZE(vmcs); i++)
		if (vmcs[i].field == field)
			return vmcs[i].value;
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
		if (controls[i].field == field)
			return (uint32_t)l1__msr(msrs, controls[i].msr) | controls[i].wanted;
	return 0;
}

/** l1__msr() - the value of one of them; 0 when it is not there */
uint64_t l1__msr(const struct kvm_msrs *msrs, uint32_t index)
{
	for (uint32_t i = 0; i < msrs->nmsrs; i++)
		if (msrs->entries[i].index == index)
			return msrs->entries[i].data;
	return 0;
}

/** l1__read_vmx_msrs() - what VMX a device offers guests: an allocated list, empty when there is none */
struct kvm_msrs *l1__read_vmx_msrs(int device)
{
	struct kvm_msrs *msrs = xcalloc(1, sizeof(*msrs) + (L1_VMX_LAST_MSR - L1_VMX_FIRST_MSR + 1) *
					sizeof(msrs->entries[0]));
	int got;

	for (uint32_t i = L1_VMX_FIRST_MSR; i <= L1_VMX_LAST_MSR; i++)
		msrs->entries[msrs->nmsrs++].index = i;
	got = ioctl(device, KVM_GET_MSRS, msrs);
	msrs->nmsrs = got < 0 ? 0 : got;
	return msrs;
}
