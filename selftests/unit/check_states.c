// SPDX-License-Identifier: GPL-2.0
/*
 * Valid states of the modes that a guest can be in: a long-mode guest, and what each other one does differently.
 */
#include "../../userspace/check/dump.h"
#include "check_states.h"

struct value {
	unsigned int field;
	u64 value;
};

#define END	{ 0, 0 }
#define ALL_SEGS(X)	X(es) X(cs) X(ss) X(ds) X(fs) X(gs)

/* A guest in 64-bit mode, EPT, no feature that has structures of its own. */
static const struct value vmx_long[] = {
	{ VF_pin_controls, 0x3f }, { VF_cpu_controls, 0x9500e1f2 | 0x80000000 },
	{ VF_cpu2_controls, 0xa2 }, { VF_exit_controls, 0x003fefff }, { VF_entry_controls, 0xd3ff },
	{ VF_vpid, 1 }, { VF_eptp, 0x10000005e }, { VF_msr_bitmap, 0x4000 },
	{ VF_link_pointer, ~0ull }, { VF_link_revision, 0x12 }, { VF_vmcs_pointer, 0x7000 },
	{ VF_tsc_multiplier, 1 },
	{ VF_host_cr0, 0x80050033 }, { VF_host_cr3, 0x1000 }, { VF_host_cr4, 0x26f0 }, { VF_host_efer, 0xd01 },
	{ VF_host_pat, 0x0007040600070406 },
	{ VF_host_cs_selector, 0x10 }, { VF_host_ss_selector, 0x18 }, { VF_host_tr_selector, 0x40 },
	{ VF_host_rip, 0xffffffff81000000 }, { VF_host_rsp, 0xffffc90000000000 },
	{ VF_host_gs_base, 0xffff888000000000 }, { VF_host_gdtr_base, 0xfffffe0000001000 },
	{ VF_host_idtr_base, 0xfffffe0000000000 }, { VF_host_tr_base, 0xfffffe0000003000 },
	{ VF_host_sysenter_esp, 0xfffffe0000002000 }, { VF_host_sysenter_eip, 0xffffffff81001000 },
	{ VF_guest_cr0, 0x80050033 }, { VF_guest_cr3, 0x2000 }, { VF_guest_cr4, 0x26f0 },
	{ VF_guest_efer, 0xd01 }, { VF_guest_pat, 0x0007040600070406 }, { VF_guest_dr7, 0x400 },
	{ VF_guest_rflags, 0x202 }, { VF_guest_rip, 0xffffffff81000000 },
	{ VF_guest_cs_selector, 0x10 }, { VF_guest_cs_ar, 0xa09b }, { VF_guest_cs_limit, 0xffffffff },
	{ VF_guest_ss_selector, 0x18 }, { VF_guest_ss_ar, 0xc093 }, { VF_guest_ss_limit, 0xffffffff },
	{ VF_guest_ds_selector, 0x18 }, { VF_guest_ds_ar, 0xc093 }, { VF_guest_ds_limit, 0xffffffff },
	{ VF_guest_es_selector, 0x18 }, { VF_guest_es_ar, 0xc093 }, { VF_guest_es_limit, 0xffffffff },
	{ VF_guest_fs_selector, 0x18 }, { VF_guest_fs_ar, 0xc093 }, { VF_guest_fs_limit, 0xffffffff },
	{ VF_guest_gs_selector, 0x18 }, { VF_guest_gs_ar, 0xc093 }, { VF_guest_gs_limit, 0xffffffff },
	{ VF_guest_tr_selector, 0x40 }, { VF_guest_tr_ar, 0x8b }, { VF_guest_tr_limit, 0x67 },
	{ VF_guest_ldtr_selector, 0x48 }, { VF_guest_ldtr_ar, 0x82 }, { VF_guest_ldtr_limit, 0xfff },
	{ VF_guest_gdtr_limit, 0x7f }, { VF_guest_idtr_limit, 0xfff },
	END
};

/* Everything that can be on at once is. */
static const struct value vmx_full[] = {
	{ VF_pin_controls, 0xff }, { VF_cpu_controls, 0xf6fbfffe & ~0x01000000 },
	{ VF_cpu2_controls, 0x1bffffff & ~0x11 }, { VF_cpu3_controls, 0x9f },
	{ VF_exit_controls, 0xffffffff }, { VF_exit2_controls, 0xf }, { VF_entry_controls, 0xfff3ff },
	{ VF_io_bitmap_a, 0x11000 }, { VF_io_bitmap_b, 0x12000 }, { VF_virtual_apic, 0x13000 },
	{ VF_posted_vector, 0xf2 }, { VF_posted_descriptor, 0x14040 }, { VF_pml_address, 0x15000 },
	{ VF_vmfunc_controls, 1 }, { VF_eptp_list, 0x16000 }, { VF_vmread_bitmap, 0x17000 },
	{ VF_vmwrite_bitmap, 0x18000 }, { VF_ve_info, 0x19000 }, { VF_spptp, 0x1a000 },
	{ VF_low_pasid, 0x1b000 }, { VF_high_pasid, 0x1c000 }, { VF_hlatp, 0x1d018 }, { VF_pid_table, 0x1e000 },
	{ VF_last_pid_index, 7 }, { VF_apic_access, 0x1f000 },
	{ VF_link_pointer, 0x20000 }, { VF_link_revision, 0x80000012 },
	{ VF_exit_msr_store, 0x21000 }, { VF_exit_msr_store_count, 1 },
	{ VF_exit_msr_load, 0x22000 }, { VF_exit_msr_load_count, 2 },
	{ VF_entry_msr_load, 0x23000 }, { VF_entry_msr_load_count, 3 },
	END
};

/* Without virtual-interrupt delivery the TPR threshold counts. */
static const struct value vmx_tpr[] = {
	{ VF_cpu_controls, 0x9520e1f2 }, { VF_virtual_apic, 0x13000 }, { VF_tpr_threshold, 2 },
	{ VF_virtual_tpr, 0x50 },
	END
};

/* No EPT, no unrestricted guest. */
static const struct value vmx_shadow_paging[] = {
	{ VF_cpu2_controls, 0x20 },
	END
};

/* Virtualized APIC accesses. */
static const struct value vmx_apic_access[] = {
	{ VF_cpu_controls, 0x9520e1f2 }, { VF_virtual_apic, 0x13000 }, { VF_cpu2_controls, 0xa3 },
	{ VF_apic_access, 0x1f000 },
	END
};

static const struct value vmx_compat[] = {
	{ VF_guest_cs_ar, 0xc09b }, { VF_guest_rip, 0x400000 },
	END
};

static const struct value vmx_pae[] = {
	{ VF_entry_controls, 0xd1ff }, { VF_guest_efer, 0x801 }, { VF_guest_cs_ar, 0xc09b },
	{ VF_guest_rip, 0xc0000000 }, { VF_guest_cr4, 0x20b0 },
	{ VF_guest_pdpte0, 0x3001 }, { VF_guest_pdpte1, 0x4001 }, { VF_guest_pdpte2, 0x5001 },
	{ VF_guest_pdpte3, 0x6001 },
	END
};

static const struct value vmx_protected[] = {
	{ VF_entry_controls, 0xd1ff }, { VF_guest_efer, 0 }, { VF_guest_cs_ar, 0xc09b },
	{ VF_guest_rip, 0x100000 }, { VF_guest_cr4, 0x2000 }, { VF_guest_cr0, 0x31 },
	END
};

#define REAL(s)	{ VF_guest_##s##_selector, 0 }, { VF_guest_##s##_ar, 0x93 }, { VF_guest_##s##_limit, 0xffff },
static const struct value vmx_real[] = {
	{ VF_entry_controls, 0xd1ff }, { VF_guest_efer, 0 }, { VF_guest_rip, 0x7c00 },
	{ VF_guest_cr4, 0x2000 }, { VF_guest_cr0, 0x30 }, { VF_guest_rflags, 2 },
	ALL_SEGS(REAL)
	END
};

#define V86(s)	{ VF_guest_##s##_selector, 0x1000 }, { VF_guest_##s##_base, 0x10000 }, \
		{ VF_guest_##s##_ar, 0xf3 }, { VF_guest_##s##_limit, 0xffff },
static const struct value vmx_v86[] = {
	{ VF_entry_controls, 0xd1ff }, { VF_guest_efer, 0 }, { VF_guest_rip, 0x100 },
	{ VF_guest_cr4, 0x2001 }, { VF_guest_rflags, 0x23202 },
	ALL_SEGS(V86)
	END
};

/* User mode, conforming code, interrupts and a step held off. */
#define USER(s)	{ VF_guest_##s##_selector, 0x2b }, { VF_guest_##s##_ar, 0xc0f3 },
static const struct value vmx_user[] = {
	USER(es) USER(ss) USER(ds) USER(fs) USER(gs)
	{ VF_guest_cs_selector, 0x33 }, { VF_guest_cs_ar, 0xa09f },
	{ VF_guest_interruptibility, 1 }, { VF_guest_rflags, 0x302 }, { VF_guest_pending_debug, 0x4000 },
	{ VF_cpu2_controls, 0x22 },
	END
};

static const struct value vmx_halted[] = {
	{ VF_guest_activity, 1 },
	END
};

static const struct value vmx_shutdown[] = {
	{ VF_guest_activity, 2 },
	END
};

static const struct value vmx_wait_sipi[] = {
	{ VF_guest_activity, 3 },
	END
};

static const struct value vmx_inject_nmi[] = {
	{ VF_entry_intr_info, 0x80000202 },
	END
};

static const struct value vmx_inject_gp[] = {
	{ VF_entry_intr_info, 0x80000b0d },
	END
};

static const struct value vmx_inject_interrupt[] = {
	{ VF_entry_intr_info, 0x80000030 },
	END
};

static const struct value vmx_inject_soft[] = {
	{ VF_entry_intr_info, 0x80000480 }, { VF_entry_insn_length, 2 },
	END
};

static const struct value vmx_inject_mtf[] = {
	{ VF_entry_intr_info, 0x80000700 },
	END
};

static const struct value vmx_resume[] = {
	{ VF_vmresume, 1 }, { VF_launched, 1 },
	END
};

static const struct value vmx_trace[] = {
	{ VF_cpu2_controls, 0x10000a2 & ~0x80 }, { VF_entry_controls, 0x4d3ff }, { VF_exit_controls, 0x023fefff },
	END
};

/* From SMM, back into it. */
static const struct value vmx_smm[] = {
	{ VF_entry_controls, 0xd7ff }, { VF_guest_interruptibility, 4 },
	END
};

/* A host outside of IA-32e mode. */
static const struct value vmx_host32[] = {
	{ VF_exit_controls, 0x003fedff }, { VF_host_efer, 0 }, { VF_host_rip, 0xc0000000 },
	{ VF_entry_controls, 0x51ff }, { VF_guest_cs_ar, 0xc09b },
	{ VF_guest_rip, 0x100000 }, { VF_guest_cr4, 0x2020 }, { VF_guest_cr0, 0x80000031 },
	END
};

static const struct value vmx_rtm[] = {
	{ VF_guest_pending_debug, 0x11000 },
	END
};

/* A long-mode guest under nested paging, all that must be intercepted. */
static const struct value svm_long[] = {
	{ SF_vmcb_address, 0x1000 },
	{ SF_intercept_3, 0x98000003 }, { SF_intercept_4, 0x3f }, { SF_asid, 1 },
	{ SF_iopm_base, 0x10000 }, { SF_msrpm_base, 0x20000 }, { SF_nested_ctl, 1 }, { SF_nested_cr3, 0x30000 },
	{ SF_g_pat, 0x0007040600070406 },
	{ SF_efer, 0x1d01 }, { SF_cr0, 0x80050033 }, { SF_cr3, 0x2000 }, { SF_cr4, 0x6f0 },
	{ SF_dr6, 0xffff0ff0 }, { SF_dr7, 0x400 }, { SF_rflags, 0x202 }, { SF_rip, 0xffffffff81000000 },
	{ SF_cs_selector, 0x10 }, { SF_cs_attrib, 0xa9b }, { SF_cs_limit, 0xffffffff },
	{ SF_ss_selector, 0x18 }, { SF_ss_attrib, 0xc93 }, { SF_ss_limit, 0xffffffff },
	{ SF_ds_selector, 0x18 }, { SF_ds_attrib, 0xc93 }, { SF_ds_limit, 0xffffffff },
	{ SF_es_selector, 0x18 }, { SF_es_attrib, 0xc93 }, { SF_es_limit, 0xffffffff },
	{ SF_tr_selector, 0x40 }, { SF_tr_attrib, 0x8b }, { SF_tr_limit, 0x67 },
	{ SF_gdtr_limit, 0x7f }, { SF_idtr_limit, 0xfff },
	END
};

static const struct value svm_avic[] = {
	{ SF_int_ctl, 0x80000000 }, { SF_avic_backing_page, 0x40000 }, { SF_avic_logical_table, 0x50000 },
	{ SF_avic_physical_table, 0x60010 },
	END
};

static const struct value svm_sev[] = {
	{ SF_nested_ctl, 7 }, { SF_virt_ext, 3 },
	END
};

static const struct value svm_virtual_events[] = {
	{ SF_int_ctl, 0x06000300 }, { SF_int_vector, 0x30 }, { SF_clean, 0xff }, { SF_tlb_control, 3 },
	END
};

static const struct value svm_cet[] = {
	{ SF_cr4, 0x8006f0 }, { SF_s_cet, 1 },
	END
};

static const struct value svm_protected[] = {
	{ SF_efer, 0x1000 }, { SF_cr0, 0x31 }, { SF_cr4, 0 }, { SF_rip, 0x100000 }, { SF_cs_attrib, 0xc9b },
	END
};

static const struct value svm_pae[] = {
	{ SF_efer, 0x1800 }, { SF_cr0, 0x80000031 }, { SF_cr4, 0x20 }, { SF_rip, 0x100000 }, { SF_cs_attrib, 0xc9b },
	{ SF_ldtr_selector, 0x48 }, { SF_ldtr_attrib, 0x82 },
	END
};

#define SVM_REAL(s)	{ SF_##s##_selector, 0 }, { SF_##s##_attrib, 0x93 }, { SF_##s##_limit, 0xffff },
static const struct value svm_real[] = {
	{ SF_efer, 0x1000 }, { SF_cr0, 0x30 }, { SF_cr4, 0 }, { SF_rip, 0x7c00 }, { SF_rflags, 2 },
	ALL_SEGS(SVM_REAL)
	END
};

#define SVM_V86(s)	{ SF_##s##_selector, 0x1000 }, { SF_##s##_base, 0x10000 }, \
			{ SF_##s##_attrib, 0xf3 }, { SF_##s##_limit, 0xffff },
static const struct value svm_v86[] = {
	{ SF_efer, 0x1000 }, { SF_cr0, 0x80000031 }, { SF_cr4, 1 }, { SF_rip, 0x100 }, { SF_rflags, 0x23202 },
	{ SF_cpl, 3 },
	ALL_SEGS(SVM_V86)
	END
};

static const struct value svm_inject_gp[] = {
	{ SF_event_inj, 0x80000b0d },
	END
};

static const struct value svm_inject_interrupt[] = {
	{ SF_event_inj, 0x80000030 },
	END
};

static const struct value svm_inject_nmi[] = {
	{ SF_event_inj, 0x80000202 },
	END
};

static const struct value nothing[] = { END };

static const struct {
	const char *name;
	const struct value *change;
} vmx_states[] = {
	{ "long mode", nothing },
	{ "all features", vmx_full },
	{ "TPR shadow", vmx_tpr },
	{ "virtualized APIC accesses", vmx_apic_access },
	{ "long mode without EPT", vmx_shadow_paging },
	{ "compatibility mode", vmx_compat },
	{ "PAE", vmx_pae },
	{ "protected mode", vmx_protected },
	{ "real mode", vmx_real },
	{ "virtual-8086 mode", vmx_v86 },
	{ "user mode without unrestricted guest", vmx_user },
	{ "halted", vmx_halted },
	{ "shut down", vmx_shutdown },
	{ "waiting for SIPI", vmx_wait_sipi },
	{ "NMI injected", vmx_inject_nmi },
	{ "#GP injected", vmx_inject_gp },
	{ "interrupt injected", vmx_inject_interrupt },
	{ "INT n injected", vmx_inject_soft },
	{ "MTF exit pending", vmx_inject_mtf },
	{ "VMRESUME", vmx_resume },
	{ "#DB of a transaction pending", vmx_rtm },
	{ "Intel PT", vmx_trace },
	{ "entry to SMM", vmx_smm },
	{ "32-bit host", vmx_host32 },
}, svm_states[] = {
	{ "long mode", nothing },
	{ "AVIC", svm_avic },
	{ "SEV-ES", svm_sev },
	{ "virtual interrupt and NMI", svm_virtual_events },
	{ "CET", svm_cet },
	{ "protected mode", svm_protected },
	{ "PAE", svm_pae },
	{ "real mode", svm_real },
	{ "virtual-8086 mode", svm_v86 },
	{ "#GP injected", svm_inject_gp },
	{ "interrupt injected", svm_inject_interrupt },
	{ "NMI injected", svm_inject_nmi },
};

static void apply(struct check_state *state, const struct value *v)
{
	for (; v->field; v++)
		check_set(state, v->field, v->value);
}

const char *valid_state(const struct check_table *table, unsigned int n, struct check_state *state)
{
	bool vmx = table == &check_vmx;
	unsigned int i;

	if (n >= (vmx ? sizeof(vmx_states) / sizeof(vmx_states[0]) : sizeof(svm_states) / sizeof(svm_states[0])))
		return NULL;
	check_init(state, table);
	caps__default(state);
	for (i = 1; i < table->nr_fields; i++)
		check_set(state, i, 0);
	apply(state, vmx ? vmx_long : svm_long);
	apply(state, vmx ? vmx_states[n].change : svm_states[n].change);
	if (vmx && vmx_states[n].change == vmx_smm)
		state->caps[VCAP_smm] = 1;
	if (vmx && vmx_states[n].change == vmx_host32)
		state->caps[VCAP_host_lma] = 0;
	return vmx ? vmx_states[n].name : svm_states[n].name;
}
