/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SDM, Checks on Host Control Registers, MSRs, and SSP; on Host Segment and Descriptor-Table Registers; Checks
 * Related to Address-Space Size. Included by vmx.c with MUST() and ZERO() defined, twice.
 */

ZERO(host_cr0_one, S_HOST, HOST, (host_cr0),
     "bits that are 1 in IA32_VMX_CR0_FIXED0 are 1", c->cr0_fixed0 & ~f->host_cr0)
ZERO(host_cr0_zero, S_HOST, HOST, (host_cr0),
     "bits that are 0 in IA32_VMX_CR0_FIXED1 are 0", f->host_cr0 & ~c->cr0_fixed1)
ZERO(host_cr4_one, S_HOST, HOST, (host_cr4),
     "bits that are 1 in IA32_VMX_CR4_FIXED0 are 1", c->cr4_fixed0 & ~f->host_cr4)
ZERO(host_cr4_zero, S_HOST, HOST, (host_cr4),
     "bits that are 0 in IA32_VMX_CR4_FIXED1 are 0", f->host_cr4 & ~c->cr4_fixed1)
MUST(host_cr4_cet, S_HOST, HOST, (host_cr4, host_cr0),
     "CR4.CET needs CR0.WP", !(f->host_cr4 & CR4_CET) || f->host_cr0 & CR0_WP)
ZERO(host_cr3, S_HOST, HOST, (host_cr3), "CR3 is within the physical-address width",
     f->host_cr3 & ~c->cr3_settable)
CANONICAL(host_sysenter_esp, S_HOST, HOST)
CANONICAL(host_sysenter_eip, S_HOST, HOST)
ZERO(host_perf_global, S_HOST, HOST, (host_perf_global, exit_controls),
     "reserved bits of IA32_PERF_GLOBAL_CTRL are 0",
     f->exit_controls & EXIT_LOAD_PERF_GLOBAL ? f->host_perf_global & ~c->perf_global_settable : 0)
MUST(host_pat, S_HOST, HOST, (host_pat, exit_controls),
     "each byte of IA32_PAT is 0, 1, 4, 5, 6 or 7", !(f->exit_controls & EXIT_LOAD_PAT) || pat_valid(f->host_pat))
ZERO(host_efer_reserved, S_HOST, HOST, (host_efer, exit_controls),
     "reserved bits of IA32_EFER are 0", f->exit_controls & EXIT_LOAD_EFER ? f->host_efer & ~c->efer_settable : 0)
MUST(host_efer_lma, S_HOST, HOST, (host_efer, exit_controls),
     "IA32_EFER.LMA is what the host address-space size says",
     !(f->exit_controls & EXIT_LOAD_EFER) || !(f->host_efer & EFER_LMA) == !host64(f))
MUST(host_efer_lme, S_HOST, HOST, (host_efer, exit_controls),
     "IA32_EFER.LME is what the host address-space size says",
     !(f->exit_controls & EXIT_LOAD_EFER) || !(f->host_efer & EFER_LME) == !host64(f))
MUST(host_s_cet, S_HOST, HOST, (host_s_cet, exit_controls),
     "IA32_S_CET is canonical", !(f->exit_controls & EXIT_LOAD_CET) || canonical(f->host_s_cet, c->linear_bits))
ZERO(host_s_cet_reserved, S_HOST, HOST, (host_s_cet, exit_controls),
     "bits 9:6 of IA32_S_CET are 0 and bits 11:10 not both 1",
     f->exit_controls & EXIT_LOAD_CET ? s_cet_reserved(f->host_s_cet) : 0)
MUST(host_ssp, S_HOST, HOST, (host_ssp, exit_controls),
     "SSP is canonical", !(f->exit_controls & EXIT_LOAD_CET) || canonical(f->host_ssp, c->linear_bits))
ZERO(host_ssp_aligned, S_HOST, HOST, (host_ssp, exit_controls),
     "bits 1:0 of SSP are 0", f->exit_controls & EXIT_LOAD_CET ? f->host_ssp & 3 : 0)
MUST(host_ssp_table, S_HOST, HOST, (host_ssp_table, exit_controls),
     "IA32_INTERRUPT_SSP_TABLE_ADDR is canonical",
     !(f->exit_controls & EXIT_LOAD_CET) || canonical(f->host_ssp_table, c->linear_bits))
ZERO(host_pkrs, S_HOST, HOST, (host_pkrs, exit_controls),
     "bits 63:32 of IA32_PKRS are 0", f->exit_controls & EXIT_LOAD_PKRS ? f->host_pkrs & BITS(63, 32) : 0)
FRED(host, S_HOST, HOST, exit_loads_fred(f), exit2_controls, exit_controls)

/* Segment and descriptor-table registers */
#define SELECTOR(s)											\
	ZERO(host_##s##_selector, S_HOST_SEG, HOST, (host_##s##_selector),				\
	     "RPL and TI of the selector are 0", f->host_##s##_selector & 7)
SELECTOR(es)
SELECTOR(cs)
SELECTOR(ss)
SELECTOR(ds)
SELECTOR(fs)
SELECTOR(gs)
SELECTOR(tr)
#undef SELECTOR
MUST(host_cs_null, S_HOST_SEG, HOST, (host_cs_selector), "the CS selector is not 0", f->host_cs_selector)
MUST(host_tr_null, S_HOST_SEG, HOST, (host_tr_selector), "the TR selector is not 0", f->host_tr_selector)
MUST(host_ss_null, S_HOST_SEG, HOST, (host_ss_selector, exit_controls),
     "the SS selector is not 0 for a host outside of 64-bit mode", host64(f) || f->host_ss_selector)
CANONICAL(host_fs_base, S_HOST_SEG, HOST)
CANONICAL(host_gs_base, S_HOST_SEG, HOST)
CANONICAL(host_gdtr_base, S_HOST_SEG, HOST)
CANONICAL(host_idtr_base, S_HOST_SEG, HOST)
CANONICAL(host_tr_base, S_HOST_SEG, HOST)

/* Address-space size */
MUST(host_lma_size, S_SPACE, HOST, (exit_controls),
     "host address-space size is 1 exactly when the CPU that enters is in IA-32e mode", !host64(f) == !c->host_lma)
MUST(ia32e_guest_host, S_SPACE, HOST, (entry_controls),
     "a CPU outside of IA-32e mode enters no IA-32e mode guest", c->host_lma || !ia32e(f))
MUST(ia32e_guest_size, S_SPACE, HOST, (entry_controls, exit_controls),
     "an IA-32e mode guest needs host address-space size", host64(f) || !ia32e(f))
MUST(host_pcide, S_SPACE, HOST, (host_cr4, exit_controls),
     "CR4.PCIDE is 0 without host address-space size", host64(f) || !(f->host_cr4 & CR4_PCIDE))
MUST(host_fred, S_SPACE, HOST, (host_cr4, exit_controls),
     "CR4.FRED is 0 without host address-space size", host64(f) || !(f->host_cr4 & CR4_FRED))
ZERO(host_rip_high, S_SPACE, HOST, (host_rip, exit_controls),
     "bits 63:32 of RIP are 0 without host address-space size", host64(f) ? 0 : f->host_rip & BITS(63, 32))
MUST(host_pae, S_SPACE, HOST, (host_cr4, exit_controls),
     "CR4.PAE is 1 with host address-space size", !host64(f) || f->host_cr4 & CR4_PAE)
MUST(host_rip, S_SPACE, HOST, (host_rip, exit_controls),
     "RIP is canonical", !host64(f) || canonical(f->host_rip, c->linear_bits))
