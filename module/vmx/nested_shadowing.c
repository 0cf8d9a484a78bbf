// SPDX-License-Identifier: GPL-2.0
/*
 * VMCS shadowing by the CPU: L1 reads and writes the fields that it uses all the time without an exit.
 *
 * While L1 has a current VMCS, vmcs01 links a shadow VMCS that holds these fields. They are copied there before L1 runs
 * and back when L1 does something that vmcs12 decides: an entry into L2, another VMCS, the end of VMX operation. The
 * fields that only exits write have a second life there: VMWRITE to them is what IA32_VMX_MISC bit 29 offers.
 */
#include <linux/gfp.h>
#include <linux/module.h>

#include "vmx/vmx.h"

static bool vmcs_shadowing = true;
module_param(vmcs_shadowing, bool, 0444);
MODULE_PARM_DESC(vmcs_shadowing, "Where the CPU can, it keeps fields of a guest hypervisor's VMCS, so that VMREAD and VMWRITE do not exit (default y)");

/* Those that L1 writes too are copied back. */
static const u8 written[] = {
	V12_guest_rip, V12_guest_rsp, V12_guest_rflags, V12_guest_cr0, V12_guest_cr3, V12_guest_cr4, V12_cr0_shadow,
	V12_cr4_shadow, V12_guest_cs_ar, V12_guest_ss_ar, V12_guest_interruptibility, V12_cpu_controls, V12_exception_bitmap,
	V12_entry_intr_info, V12_entry_error_code, V12_entry_insn_length, V12_preemption_timer, V12_guest_intr_status,
	V12_guest_pml_index,
};
static const u8 only_read[] = {
	V12_exit_reason, V12_exit_qualification, V12_exit_intr_info, V12_exit_error_code, V12_vectoring_info,
	V12_vectoring_error_code, V12_exit_insn_length, V12_exit_insn_info, V12_guest_linear_address,
	V12_guest_physical_address,
};
static_assert(ARRAY_SIZE(written) + ARRAY_SIZE(only_read) == NESTED_SHADOWED);

/* Those of them that this CPU has, the written ones first, ready to be copied: a round trip to L1 goes over all of them. */
static struct shadowed {
	u64 mask;
	u32 encoding;
	u16 offset;		/* in struct vmcs12, which is a page: eight bytes can be read */
	u8 index;
} shadowed[NESTED_SHADOWED];
static unsigned int nr_shadowed, nr_written;

/* Bits by encoding that make an access exit; one page each, for all vCPUs. */
static unsigned long *read_bitmap, *write_bitmap;

/* Fields that this CPU lacks cannot be in a VMCS of its. */
static bool is_here(enum vmcs12_index index)
{
	switch (index) {
	case V12_preemption_timer:
		return vmx_caps.pin_allowed & PIN_PREEMPTION_TIMER;
	case V12_guest_intr_status:
		return vmx_caps.cpu2_allowed & CPU2_VIRTUAL_DELIVERY;
	case V12_guest_pml_index:
		return vmx_caps.cpu2_allowed & CPU2_PML;
	default:
		return true;
	}
}

static void list_fields(const u8 *fields, unsigned int nr, unsigned long *write)
{
	const struct vmcs12_field *f;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!is_here(fields[i]))
			continue;
		f = &vmcs12_fields[fields[i]];
		shadowed[nr_shadowed++] = (struct shadowed){
			.mask = GENMASK_ULL(f->bytes * 8 - 1, 0), .encoding = f->encoding, .offset = f->offset,
			.index = fields[i],
		};
		__clear_bit(f->encoding, read_bitmap);
		if (write)
			__clear_bit(f->encoding, write);
	}
}

/* 0 or -ENOMEM. Without the feature there are no bitmaps. */
int nested_vmx_shadowing_setup(void)
{
	if (!vmcs_shadowing)
		return 0;
	if (!(vmx_caps.cpu2_allowed & CPU2_VMCS_SHADOWING) || !(nst_rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_ALL))
		return 0;
	read_bitmap = (void *)__get_free_page(GFP_KERNEL);
	write_bitmap = (void *)__get_free_page(GFP_KERNEL);
	if (!read_bitmap || !write_bitmap)
		return -ENOMEM;
	memset(read_bitmap, 0xff, PAGE_SIZE);
	memset(write_bitmap, 0xff, PAGE_SIZE);
	list_fields(written, ARRAY_SIZE(written), write_bitmap);
	nr_written = nr_shadowed;
	list_fields(only_read, ARRAY_SIZE(only_read), NULL);
	return 0;
}

void nested_vmx_shadowing_cleanup(void)
{
	free_page((unsigned long)read_bitmap);
	free_page((unsigned long)write_bitmap);
	read_bitmap = write_bitmap = NULL;
}

/* 0 or -ENOMEM. May sleep. */
int nested_vmx_shadowing_init(struct nested_vmx *nested)
{
	if (!read_bitmap)
		return 0;
	nested->shadow = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!nested->shadow)
		return -ENOMEM;
	*(u32 *)nested->shadow = vmx_caps.revision | VMCS12_SHADOW;
	return 0;
}

/* Nothing is left of it on a CPU: every burst and visit ends with VMCLEAR. */
void nested_vmx_shadowing_free(struct nested_vmx *nested)
{
	free_page((unsigned long)nested->shadow);
	nested->shadow = NULL;
	nested->shadow_used = nested->shadow_linked = false;
}

/* Constants of vmcs01. */
void nested_vmx_shadowing_write(void)
{
	if (!read_bitmap)
		return;
	vmwrite64(VMCS_VMREAD_BITMAP, __pa(read_bitmap));
	vmwrite64(VMCS_VMWRITE_BITMAP, __pa(write_bitmap));
}

/*
 * nested_vmx_shadowing_update - the current VMCS is another one, or none
 */
void nested_vmx_shadowing_update(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	bool on = nested->shadow && nested->current_vmcs != NO_VMCS;
	u32 controls = vmx->vmcs01.lazy[LAZY_CPU2] & ~(u32)CPU2_VMCS_SHADOWING;

	vmcs_set(&vmx->vmcs01, LAZY_CPU2, controls | (on ? CPU2_VMCS_SHADOWING : 0));
	vmcs_set(&vmx->vmcs01, LAZY_LINK_POINTER, on ? __pa(nested->shadow) : NO_VMCS);
	nested->shadow_linked = on;
	nested->shadow_stale = on;
	nested->shadow_written = false;
}

/* vmcs01 is current before and after. */
static bool load_shadow(struct nested_vmx *nested)
{
	u64 pa = __pa(nested->shadow);

	/* A region that no CPU has seen holds nothing, and copies of its values prove nothing. */
	if (!nested->shadow_used) {
		if (!vmx_vmclear(pa))
			return false;
		nested->shadow_fresh = true;
		nested->shadow_used = true;
	}
	return vmx_vmptrld(pa);
}

static void leave_shadow(struct vmx_vcpu *vmx)
{
	vmx_vmclear(__pa(vmx->nested.shadow));
	if (!vmx_vmptrld(vmx->vmcs01.pa))
		vm_kill(vmx->vcpu.vm, "its VMCS cannot be loaded");
}

/*
 * nested_vmx_shadowing_fill - before an entry into L1, in the burst: what vmcs12 says
 */
void nested_vmx_shadowing_fill(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	unsigned int i;
	u64 value;

	nested->shadow_stale = false;
	nested->shadow_written = true;
	if (!load_shadow(nested)) {
		leave_shadow(vmx);
		return;
	}
	for (i = 0; i < nr_shadowed; i++) {
		memcpy(&value, (u8 *)nested->vmcs12 + shadowed[i].offset, sizeof(value));
		value &= shadowed[i].mask;
		if (value == nested->shadow_values[i] && !nested->shadow_fresh)
			continue;
		nested->shadow_values[i] = value;
		__vmwrite(VMCS_FIELD(shadowed[i].encoding), value);
	}
	nested->shadow_fresh = false;
	leave_shadow(vmx);
}

static void read_shadow(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	unsigned int i;
	u64 value;

	if (vmx_vmptrld(__pa(nested->shadow))) {
		for (i = 0; i < nr_written; i++) {
			value = __vmread(VMCS_FIELD(shadowed[i].encoding));
			if (value == nested->shadow_values[i])
				continue;
			nested->shadow_values[i] = value;
			nested_vmx_write_field(nested, shadowed[i].index, 0, value);
		}
	}
	leave_shadow(vmx);
}

/*
 * nested_vmx_shadowing_read - what L1 has written without an exit, into vmcs12
 */
void nested_vmx_shadowing_read(struct vmx_vcpu *vmx)
{
	unsigned long flags;

	if (!vmx->nested.shadow_linked || !vmx->nested.shadow_written)
		return;
	vmx->nested.shadow_written = false;
	vmx->nested.shadow_stale = true;
	if (vmx->vcpu.in_burst) {
		read_shadow(vmx);
	} else if (!vmx_visit_begin(vmx, &flags)) {
		read_shadow(vmx);
		vmx_visit_end(vmx, flags);
	}
}

/* At the end of a burst: the CPU may have it active, for L1 has used it. */
void nested_vmx_shadowing_clear(struct nested_vmx *nested)
{
	if (nested->shadow_used)
		vmx_vmclear(__pa(nested->shadow));
}
