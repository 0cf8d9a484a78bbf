/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SDM, Checks on the Guest State Area and Loading MSRs. Included by vmx.c with MUST() and ZERO() defined, twice.
 */

/* Control registers, debug registers, MSRs */
ZERO(guest_cr0_one, S_GUEST, GUEST, (guest_cr0, cpu2_controls, cpu_controls),
     "bits that are 1 in IA32_VMX_CR0_FIXED0 are 1; PE and PG may be 0 in an unrestricted guest",
     c->cr0_fixed0 & ~f->guest_cr0 & ~(cpu2(f) & CPU2_UNRESTRICTED ? CR0_PE | CR0_PG : 0) & ~(CR0_NW | CR0_CD))
ZERO(guest_cr0_zero, S_GUEST, GUEST, (guest_cr0),
     "bits that are 0 in IA32_VMX_CR0_FIXED1 are 0", f->guest_cr0 & ~c->cr0_fixed1 & ~(CR0_NW | CR0_CD))
MUST(guest_cr0_pg, S_GUEST, GUEST, (guest_cr0),
     "CR0.PG needs CR0.PE", !(f->guest_cr0 & CR0_PG) || f->guest_cr0 & CR0_PE)
ZERO(guest_cr4_one, S_GUEST, GUEST, (guest_cr4),
     "bits that are 1 in IA32_VMX_CR4_FIXED0 are 1", c->cr4_fixed0 & ~f->guest_cr4)
ZERO(guest_cr4_zero, S_GUEST, GUEST, (guest_cr4),
     "bits that are 0 in IA32_VMX_CR4_FIXED1 are 0", f->guest_cr4 & ~c->cr4_fixed1)
MUST(guest_cr4_cet, S_GUEST, GUEST, (guest_cr4, guest_cr0),
     "CR4.CET needs CR0.WP", !(f->guest_cr4 & CR4_CET) || f->guest_cr0 & CR0_WP)
ZERO(guest_debugctl, S_GUEST, GUEST, (guest_debugctl, entry_controls),
     "reserved bits of IA32_DEBUGCTL are 0",
     f->entry_controls & ENTRY_LOAD_DEBUG ? f->guest_debugctl & ~c->debugctl_settable : 0)
MUST(ia32e_pg, S_GUEST, GUEST, (guest_cr0, entry_controls),
     "an IA-32e mode guest has CR0.PG", !ia32e(f) || f->guest_cr0 & CR0_PG)
MUST(ia32e_pae, S_GUEST, GUEST, (guest_cr4, entry_controls),
     "an IA-32e mode guest has CR4.PAE", !ia32e(f) || f->guest_cr4 & CR4_PAE)
MUST(guest_pcide, S_GUEST, GUEST, (guest_cr4, entry_controls),
     "CR4.PCIDE is 0 outside of IA-32e mode", ia32e(f) || !(f->guest_cr4 & CR4_PCIDE))
MUST(guest_fred, S_GUEST, GUEST, (guest_cr4, entry_controls),
     "CR4.FRED is 0 outside of IA-32e mode", ia32e(f) || !(f->guest_cr4 & CR4_FRED))
ZERO(guest_cr3, S_GUEST, GUEST, (guest_cr3), "CR3 is within the physical-address width", f->guest_cr3 & ~c->cr3_settable)
ZERO(guest_dr7, S_GUEST, GUEST, (guest_dr7, entry_controls),
     "bits 63:32 of DR7 are 0", f->entry_controls & ENTRY_LOAD_DEBUG ? f->guest_dr7 & BITS(63, 32) : 0)
CANONICAL(guest_sysenter_esp, S_GUEST, GUEST)
CANONICAL(guest_sysenter_eip, S_GUEST, GUEST)
ZERO(guest_perf_global, S_GUEST, GUEST, (guest_perf_global, entry_controls),
     "reserved bits of IA32_PERF_GLOBAL_CTRL are 0",
     f->entry_controls & ENTRY_LOAD_PERF_GLOBAL ? f->guest_perf_global & ~c->perf_global_settable : 0)
MUST(guest_pat, S_GUEST, GUEST, (guest_pat, entry_controls),
     "each byte of IA32_PAT is 0, 1, 4, 5, 6 or 7", !(f->entry_controls & ENTRY_LOAD_PAT) || pat_valid(f->guest_pat))
ZERO(guest_efer_reserved, S_GUEST, GUEST, (guest_efer, entry_controls),
     "reserved bits of IA32_EFER are 0", f->entry_controls & ENTRY_LOAD_EFER ? f->guest_efer & ~c->efer_settable : 0)
MUST(guest_efer_lma, S_GUEST, GUEST, (guest_efer, entry_controls),
     "IA32_EFER.LMA is what the IA-32e mode guest control says",
     !(f->entry_controls & ENTRY_LOAD_EFER) || !(f->guest_efer & EFER_LMA) == !ia32e(f))
MUST(guest_efer_lme, S_GUEST, GUEST, (guest_efer, guest_cr0, entry_controls),
     "IA32_EFER.LME equals LMA while CR0.PG is 1",
     !(f->entry_controls & ENTRY_LOAD_EFER) || !(f->guest_cr0 & CR0_PG) ||
     !(f->guest_efer & EFER_LMA) == !(f->guest_efer & EFER_LME))
ZERO(guest_bndcfgs_reserved, S_GUEST, GUEST, (guest_bndcfgs, entry_controls),
     "bits 11:2 of IA32_BNDCFGS are 0", f->entry_controls & ENTRY_LOAD_BNDCFGS ? f->guest_bndcfgs & BITS(11, 2) : 0)
MUST(guest_bndcfgs, S_GUEST, GUEST, (guest_bndcfgs, entry_controls),
     "the address in IA32_BNDCFGS is canonical",
     !(f->entry_controls & ENTRY_LOAD_BNDCFGS) || canonical(f->guest_bndcfgs, c->linear_bits))
ZERO(guest_rtit_ctl, S_GUEST, GUEST, (guest_rtit_ctl, entry_controls),
     "reserved bits of IA32_RTIT_CTL are 0",
     f->entry_controls & ENTRY_LOAD_RTIT ? f->guest_rtit_ctl & ~c->rtit_settable : 0)
MUST(guest_s_cet, S_GUEST, GUEST, (guest_s_cet, entry_controls),
     "IA32_S_CET is canonical", !(f->entry_controls & ENTRY_LOAD_CET) || canonical(f->guest_s_cet, c->linear_bits))
ZERO(guest_s_cet_reserved, S_GUEST, GUEST, (guest_s_cet, entry_controls),
     "bits 9:6 of IA32_S_CET are 0 and bits 11:10 not both 1",
     f->entry_controls & ENTRY_LOAD_CET ? s_cet_reserved(f->guest_s_cet) : 0)
MUST(guest_ssp_table, S_GUEST, GUEST, (guest_ssp_table, entry_controls),
     "IA32_INTERRUPT_SSP_TABLE_ADDR is canonical",
     !(f->entry_controls & ENTRY_LOAD_CET) || canonical(f->guest_ssp_table, c->linear_bits))
ZERO(guest_lbr_ctl, S_GUEST, GUEST, (guest_lbr_ctl, entry_controls),
     "reserved bits of IA32_LBR_CTL are 0",
     f->entry_controls & ENTRY_LOAD_LBR ? f->guest_lbr_ctl & ~c->lbr_settable : 0)
ZERO(guest_pkrs, S_GUEST, GUEST, (guest_pkrs, entry_controls),
     "bits 63:32 of IA32_PKRS are 0", f->entry_controls & ENTRY_LOAD_PKRS ? f->guest_pkrs & BITS(63, 32) : 0)
ZERO(guest_uinv, S_GUEST, GUEST, (guest_uinv, entry_controls),
     "bits 15:8 of UINV are 0", f->entry_controls & ENTRY_LOAD_UINV ? f->guest_uinv & BITS(15, 8) : 0)
FRED(guest, S_GUEST, GUEST, f->entry_controls & ENTRY_LOAD_FRED, entry_controls)

/* Segment registers: selectors */
MUST(guest_tr_ti, S_GUEST_SEG, GUEST, (guest_tr_selector), "TI of TR's selector is 0", !(f->guest_tr_selector & 4))
MUST(guest_ldtr_ti, S_GUEST_SEG, GUEST, (guest_ldtr_selector, guest_ldtr_ar),
     "TI of LDTR's selector is 0 while LDTR is usable", !USABLE(ldtr) || !(f->guest_ldtr_selector & 4))
MUST(guest_ss_rpl, S_GUEST_SEG, GUEST,
     (guest_ss_selector, guest_cs_selector, guest_rflags, cpu2_controls, cpu_controls),
     "RPL of SS and of CS are equal, except in virtual-8086 mode and in an unrestricted guest",
     v86(f) || cpu2(f) & CPU2_UNRESTRICTED || !((f->guest_ss_selector ^ f->guest_cs_selector) & 3))

/* Base addresses */
#define V86_BASE(s)											\
	MUST(guest_##s##_base_v86, S_GUEST_SEG, GUEST, (guest_##s##_base, guest_##s##_selector, guest_rflags),	\
	     "the base is the selector times 16 in virtual-8086 mode",					\
	     !v86(f) || f->guest_##s##_base == f->guest_##s##_selector << 4)
V86_BASE(cs)
V86_BASE(ss)
V86_BASE(ds)
V86_BASE(es)
V86_BASE(fs)
V86_BASE(gs)
#undef V86_BASE
CANONICAL(guest_tr_base, S_GUEST_SEG, GUEST)
CANONICAL(guest_fs_base, S_GUEST_SEG, GUEST)
CANONICAL(guest_gs_base, S_GUEST_SEG, GUEST)
MUST(guest_ldtr_base, S_GUEST_SEG, GUEST, (guest_ldtr_base, guest_ldtr_ar),
     "the base is canonical while LDTR is usable", !USABLE(ldtr) || canonical(f->guest_ldtr_base, c->linear_bits))
ZERO(guest_cs_base, S_GUEST_SEG, GUEST, (guest_cs_base), "bits 63:32 of the base are 0", f->guest_cs_base & BITS(63, 32))
#define LOW_BASE(s)											\
	ZERO(guest_##s##_base, S_GUEST_SEG, GUEST, (guest_##s##_base, guest_##s##_ar),			\
	     "bits 63:32 of the base are 0 while the segment is usable",				\
	     USABLE(s) ? f->guest_##s##_base & BITS(63, 32) : 0)
LOW_BASE(ss)
LOW_BASE(ds)
LOW_BASE(es)
#undef LOW_BASE

/* Limits and access rights in virtual-8086 mode */
#define V86(s)												\
	MUST(guest_##s##_limit_v86, S_GUEST_SEG, GUEST, (guest_##s##_limit, guest_rflags),		\
	     "the limit is 0xffff in virtual-8086 mode", !v86(f) || f->guest_##s##_limit == 0xffff)	\
	MUST(guest_##s##_ar_v86, S_GUEST_SEG, GUEST, (guest_##s##_ar, guest_rflags),			\
	     "access rights are 0xf3 in virtual-8086 mode", !v86(f) || f->guest_##s##_ar == 0xf3)
V86(cs)
V86(ss)
V86(ds)
V86(es)
V86(fs)
V86(gs)
#undef V86

/* Access rights otherwise. What holds for all segments that are checked: */
#define AR_COMMON(s, when, fields, limit_fields)							\
	MUST(guest_##s##_present, S_GUEST_SEG, GUEST, fields, "P is 1", !(when) || AR(s) & AR_P)	\
	ZERO(guest_##s##_reserved, S_GUEST_SEG, GUEST, fields,						\
	     "bits 11:8 of the access rights are 0", when ? AR(s) & BITS(11, 8) : 0)			\
	MUST(guest_##s##_granularity, S_GUEST_SEG, GUEST, limit_fields,					\
	     "G is 0 unless bits 11:0 of the limit are ones, and 1 if any of bits 31:20 is 1",		\
	     !(when) || granular(f->guest_##s##_limit, AR(s) & AR_G))					\
	ZERO(guest_##s##_ar_high, S_GUEST_SEG, GUEST, fields,						\
	     "bits 31:17 of the access rights are 0", when ? AR(s) & BITS(31, 17) : 0)

MUST(guest_cs_type, S_GUEST_SEG, GUEST, (guest_cs_ar, guest_rflags, cpu2_controls, cpu_controls),
     "CS's type is accessed code: 9, 11, 13 or 15; or 3 in an unrestricted guest",
     v86(f) || (AR(cs) & 9) == 9 || (cpu2(f) & CPU2_UNRESTRICTED && TYPE(cs) == 3))
MUST(guest_cs_s, S_GUEST_SEG, GUEST, (guest_cs_ar, guest_rflags), "S is 1", v86(f) || AR(cs) & AR_S)
MUST(guest_cs_dpl_data, S_GUEST_SEG, GUEST, (guest_cs_ar, guest_rflags),
     "CS's DPL is 0 with type 3", v86(f) || TYPE(cs) != 3 || !DPL(cs))
MUST(guest_cs_dpl_nonconforming, S_GUEST_SEG, GUEST, (guest_cs_ar, guest_ss_ar, guest_rflags),
     "CS's DPL equals SS's with type 9 or 11", v86(f) || (AR(cs) & 0xd) != 9 || DPL(cs) == DPL(ss))
MUST(guest_cs_dpl_conforming, S_GUEST_SEG, GUEST, (guest_cs_ar, guest_ss_ar, guest_rflags),
     "CS's DPL is not above SS's with type 13 or 15", v86(f) || (AR(cs) & 0xd) != 13 || DPL(cs) <= DPL(ss))
AR_COMMON(cs, !v86(f), (guest_cs_ar, guest_rflags), (guest_cs_ar, guest_cs_limit, guest_rflags))
MUST(guest_cs_db, S_GUEST_SEG, GUEST, (guest_cs_ar, entry_controls, guest_rflags),
     "CS's D/B is 0 where L is 1 in IA-32e mode", v86(f) || !ia32e(f) || !(AR(cs) & AR_L) || !(AR(cs) & AR_DB))

MUST(guest_ss_type, S_GUEST_SEG, GUEST, (guest_ss_ar, guest_rflags),
     "SS's type is 3 or 7: accessed, writable data", v86(f) || !USABLE(ss) || (AR(ss) & 0xb) == 3)
MUST(guest_ss_s, S_GUEST_SEG, GUEST, (guest_ss_ar, guest_rflags), "S is 1", v86(f) || !USABLE(ss) || AR(ss) & AR_S)
MUST(guest_ss_dpl_rpl, S_GUEST_SEG, GUEST, (guest_ss_ar, guest_ss_selector, guest_rflags, cpu2_controls, cpu_controls),
     "SS's DPL equals its RPL, except in an unrestricted guest",
     v86(f) || cpu2(f) & CPU2_UNRESTRICTED || DPL(ss) == (f->guest_ss_selector & 3))
MUST(guest_ss_dpl_zero, S_GUEST_SEG, GUEST, (guest_ss_ar, guest_cs_ar, guest_cr0, guest_rflags),
     "SS's DPL is 0 with CR0.PE = 0 or type 3 of CS",
     v86(f) || !DPL(ss) || (f->guest_cr0 & CR0_PE && TYPE(cs) != 3))
AR_COMMON(ss, (!v86(f) && USABLE(ss)), (guest_ss_ar, guest_rflags), (guest_ss_ar, guest_ss_limit, guest_rflags))

#define DATA(s)												\
	MUST(guest_##s##_accessed, S_GUEST_SEG, GUEST, (guest_##s##_ar, guest_rflags),			\
	     "the type is accessed", v86(f) || !USABLE(s) || AR(s) & 1)					\
	MUST(guest_##s##_readable, S_GUEST_SEG, GUEST, (guest_##s##_ar, guest_rflags),			\
	     "a code segment's type is readable", v86(f) || !USABLE(s) || (AR(s) & 0xa) != 8)		\
	MUST(guest_##s##_s, S_GUEST_SEG, GUEST, (guest_##s##_ar, guest_rflags),			\
	     "S is 1", v86(f) || !USABLE(s) || AR(s) & AR_S)						\
	MUST(guest_##s##_dpl, S_GUEST_SEG, GUEST,							\
	     (guest_##s##_ar, guest_##s##_selector, guest_rflags, cpu2_controls, cpu_controls),	\
	     "DPL is not below RPL with types 0 to 11, except in an unrestricted guest",		\
	     v86(f) || !USABLE(s) || cpu2(f) & CPU2_UNRESTRICTED || TYPE(s) > 11 ||			\
	     DPL(s) >= (f->guest_##s##_selector & 3))							\
	AR_COMMON(s, (!v86(f) && USABLE(s)), (guest_##s##_ar, guest_rflags),				\
		  (guest_##s##_ar, guest_##s##_limit, guest_rflags))
DATA(ds)
DATA(es)
DATA(fs)
DATA(gs)
#undef DATA

MUST(guest_tr_type, S_GUEST_SEG, GUEST, (guest_tr_ar, entry_controls),
     "TR's type is 11, busy TSS; or 3, busy 16-bit TSS, outside of IA-32e mode",
     TYPE(tr) == 11 || (TYPE(tr) == 3 && !ia32e(f)))
MUST(guest_tr_s, S_GUEST_SEG, GUEST, (guest_tr_ar), "S is 0", !(AR(tr) & AR_S))
AR_COMMON(tr, true, (guest_tr_ar), (guest_tr_ar, guest_tr_limit))
MUST(guest_tr_usable, S_GUEST_SEG, GUEST, (guest_tr_ar), "TR is usable: bit 16 of the access rights is 0", USABLE(tr))

MUST(guest_ldtr_type, S_GUEST_SEG, GUEST, (guest_ldtr_ar), "LDTR's type is 2", !USABLE(ldtr) || TYPE(ldtr) == 2)
MUST(guest_ldtr_s, S_GUEST_SEG, GUEST, (guest_ldtr_ar), "S is 0", !USABLE(ldtr) || !(AR(ldtr) & AR_S))
AR_COMMON(ldtr, USABLE(ldtr), (guest_ldtr_ar), (guest_ldtr_ar, guest_ldtr_limit))
MUST(guest_cs_usable, S_GUEST_SEG, ADVICE, (guest_cs_ar), "an unusable CS runs as if it were usable", USABLE(cs))
#undef AR_COMMON

/* Descriptor-table registers */
CANONICAL(guest_gdtr_base, S_GUEST_DT, GUEST)
CANONICAL(guest_idtr_base, S_GUEST_DT, GUEST)
ZERO(guest_gdtr_limit, S_GUEST_DT, GUEST, (guest_gdtr_limit), "bits 31:16 of the limit are 0",
     f->guest_gdtr_limit & BITS(31, 16))
ZERO(guest_idtr_limit, S_GUEST_DT, GUEST, (guest_idtr_limit), "bits 31:16 of the limit are 0",
     f->guest_idtr_limit & BITS(31, 16))

/* RIP, RFLAGS, SSP */
ZERO(guest_rip_high, S_GUEST_RIP, GUEST, (guest_rip, entry_controls, guest_cs_ar),
     "bits 63:32 of RIP are 0 outside of 64-bit mode", code64(f) ? 0 : f->guest_rip & BITS(63, 32))
MUST(guest_rip, S_GUEST_RIP, GUEST, (guest_rip, entry_controls, guest_cs_ar),
     "bits of RIP above the linear-address width are all equal",
     !code64(f) || canonical(f->guest_rip, c->linear_bits + 1))
ZERO(guest_rflags_reserved, S_GUEST_RIP, GUEST, (guest_rflags),
     "bits 63:22, 15, 5 and 3 of RFLAGS are 0", f->guest_rflags & RFLAGS_RESERVED)
MUST(guest_rflags_one, S_GUEST_RIP, GUEST, (guest_rflags), "bit 1 of RFLAGS is 1", f->guest_rflags & RFLAGS_ONE)
MUST(guest_rflags_vm, S_GUEST_RIP, GUEST, (guest_rflags, guest_cr0, entry_controls),
     "RFLAGS.VM is 0 in IA-32e mode and with CR0.PE = 0", !v86(f) || (!ia32e(f) && f->guest_cr0 & CR0_PE))
MUST(guest_rflags_if, S_GUEST_RIP, GUEST, (guest_rflags, entry_intr_info),
     "RFLAGS.IF is 1 where an external interrupt is injected",
     !event(f) || event_type(f) != EVENT_INTR || f->guest_rflags & RFLAGS_IF)
MUST(guest_ssp, S_GUEST_RIP, GUEST, (guest_ssp, entry_controls),
     "SSP is canonical", !(f->entry_controls & ENTRY_LOAD_CET) || canonical(f->guest_ssp, c->linear_bits))
ZERO(guest_ssp_aligned, S_GUEST_RIP, GUEST, (guest_ssp, entry_controls),
     "bits 1:0 of SSP are 0", f->entry_controls & ENTRY_LOAD_CET ? f->guest_ssp & 3 : 0)
ZERO(guest_ssp_high, S_GUEST_RIP, GUEST, (guest_ssp, entry_controls, guest_cs_ar),
     "bits 63:32 of SSP are 0 outside of 64-bit mode",
     f->entry_controls & ENTRY_LOAD_CET && !code64(f) ? f->guest_ssp & BITS(63, 32) : 0)

/* Non-register state: activity */
MUST(guest_activity, S_GUEST_OTHER, GUEST, (guest_activity),
     "the activity state is 0 to 3, and one that IA32_VMX_MISC bits 8:6 offer",
     !f->guest_activity || (f->guest_activity <= 3 && c->misc >> (5 + f->guest_activity) & 1))
MUST(guest_activity_hlt, S_GUEST_OTHER, GUEST, (guest_activity, guest_ss_ar),
     "the activity state is not HLT unless SS's DPL is 0", f->guest_activity != ACTIVITY_HLT || !DPL(ss))
MUST(guest_activity_blocking, S_GUEST_OTHER, GUEST, (guest_activity, guest_interruptibility),
     "the activity state is active with blocking by STI or by MOV SS",
     !f->guest_activity || !(f->guest_interruptibility & 3))
MUST(guest_activity_event, S_GUEST_OTHER, GUEST, (guest_activity, entry_intr_info),
     "the injected event is one that ends the activity state", !event(f) || event_wakes(f))
MUST(guest_activity_smm, S_GUEST_OTHER, GUEST, (guest_activity, entry_controls),
     "the activity state is not wait-for-SIPI on entry to SMM",
     !(f->entry_controls & ENTRY_SMM) || f->guest_activity != ACTIVITY_SIPI)

/* Interruptibility */
ZERO(guest_interruptibility, S_GUEST_OTHER, GUEST, (guest_interruptibility),
     "bits 31:5 of the interruptibility state are 0", f->guest_interruptibility & BITS(31, 5))
MUST(guest_sti_or_mov_ss, S_GUEST_OTHER, GUEST, (guest_interruptibility),
     "blocking by STI and by MOV SS are not both 1", (f->guest_interruptibility & 3) != 3)
MUST(guest_sti_if, S_GUEST_OTHER, GUEST, (guest_interruptibility, guest_rflags),
     "no blocking by STI with RFLAGS.IF = 0", !(f->guest_interruptibility & BLOCKING_STI) || f->guest_rflags & RFLAGS_IF)
MUST(guest_blocking_interrupt, S_GUEST_OTHER, GUEST, (guest_interruptibility, entry_intr_info),
     "no blocking by STI or MOV SS where an external interrupt is injected",
     !event(f) || event_type(f) != EVENT_INTR || !(f->guest_interruptibility & 3))
MUST(guest_mov_ss_nmi, S_GUEST_OTHER, GUEST, (guest_interruptibility, entry_intr_info),
     "no blocking by MOV SS where an NMI is injected",
     !event(f) || event_type(f) != EVENT_NMI || !(f->guest_interruptibility & BLOCKING_MOV_SS))
MUST(guest_sti_nmi, S_GUEST_OTHER, ADVICE, (guest_interruptibility, entry_intr_info),
     "some CPUs refuse to inject an NMI with blocking by STI",
     !event(f) || event_type(f) != EVENT_NMI || !(f->guest_interruptibility & BLOCKING_STI))
MUST(guest_blocking_smi, S_GUEST_OTHER, GUEST, (guest_interruptibility),
     "no blocking by SMI outside of SMM", c->smm || !(f->guest_interruptibility & BLOCKING_SMI))
MUST(guest_blocking_smi_entry, S_GUEST_OTHER, GUEST, (guest_interruptibility, entry_controls),
     "blocking by SMI on entry to SMM", !(f->entry_controls & ENTRY_SMM) || f->guest_interruptibility & BLOCKING_SMI)
MUST(guest_blocking_nmi, S_GUEST_OTHER, GUEST, (guest_interruptibility, entry_intr_info, pin_controls),
     "no blocking by NMI where an NMI is injected with virtual NMIs",
     !event(f) || event_type(f) != EVENT_NMI || !(f->pin_controls & PIN_VIRTUAL_NMIS) ||
     !(f->guest_interruptibility & BLOCKING_NMI))
MUST(guest_enclave, S_GUEST_OTHER, GUEST, (guest_interruptibility),
     "an enclave interruption only on a CPU with SGX, and without blocking by MOV SS",
     !(f->guest_interruptibility & BLOCKING_ENCLAVE) || (c->sgx && !(f->guest_interruptibility & BLOCKING_MOV_SS)))

/* Pending debug exceptions */
ZERO(guest_pending_debug, S_GUEST_OTHER, GUEST, (guest_pending_debug),
     "bits 63:17, 15, 13 and 10:4 of the pending debug exceptions are 0; 16 without RTM, 11 without bus locks",
     f->guest_pending_debug & (BITS(63, 17) | BIT64(15) | BIT64(13) | BITS(10, 4) |
			       (c->rtm ? 0 : BIT64(16)) | (c->bus_lock ? 0 : BIT64(11))))
MUST(guest_pending_bs_one, S_GUEST_OTHER, GUEST,
     (guest_pending_debug, guest_interruptibility, guest_activity, guest_rflags, guest_debugctl),
     "BS of the pending debug exceptions is 1 with RFLAGS.TF = 1 and BTF = 0, while blocked by STI or MOV SS or halted",
     !step_pending(f) || !steps(f) || f->guest_pending_debug & PENDING_BS)
MUST(guest_pending_bs_zero, S_GUEST_OTHER, GUEST,
     (guest_pending_debug, guest_interruptibility, guest_activity, guest_rflags, guest_debugctl),
     "BS of the pending debug exceptions is 0 with RFLAGS.TF = 0 or BTF = 1, while blocked by STI or MOV SS or halted",
     !step_pending(f) || steps(f) || !(f->guest_pending_debug & PENDING_BS))
MUST(guest_pending_rtm, S_GUEST_OTHER, GUEST, (guest_pending_debug, guest_interruptibility),
     "RTM of the pending debug exceptions comes with bit 12 alone, and without blocking by MOV SS",
     !(f->guest_pending_debug & PENDING_RTM) ||
     (f->guest_pending_debug == (PENDING_RTM | PENDING_ENABLED) && !(f->guest_interruptibility & BLOCKING_MOV_SS)))

/* VMCS link pointer */
#define LINK(id, fields, text, bits)									\
	ZERO(id, S_GUEST_OTHER, GUEST_LINK, fields, text, ~f->link_pointer ? (bits) : 0)
LINK(link_pointer_aligned, (link_pointer), "the VMCS link pointer is page-aligned, or all ones",
     f->link_pointer & BITS(11, 0))
LINK(link_pointer_width, (link_pointer), "the VMCS link pointer is within the physical-address width, or all ones",
     beyond(f->link_pointer, c->physical_bits) << c->physical_bits)
LINK(link_revision, (link_revision, link_pointer), "the linked VMCS has the CPU's revision identifier",
     (f->link_revision ^ c->basic) & BITS(30, 0))
LINK(link_shadow, (link_revision, link_pointer, cpu2_controls, cpu_controls),
     "the linked VMCS is a shadow VMCS exactly with VMCS shadowing",
     !(f->link_revision & BIT64(31)) == !!(cpu2(f) & CPU2_SHADOWING))
LINK(link_current, (link_pointer, vmcs_pointer), "the VMCS link pointer is not the current VMCS",
     f->link_pointer == f->vmcs_pointer && !c->smm)
#undef LINK

/* Page-directory-pointer-table entries */
#define PDPTE(n)												\
	ZERO(guest_pdpte##n, S_PDPTE, GUEST_PDPTE,							\
	     (guest_pdpte##n, guest_cr0, guest_cr4, entry_controls, cpu2_controls, cpu_controls),	\
	     "reserved bits of a present PDPTE are 0",							\
	     pae_paging(f) && cpu2(f) & CPU2_EPT && f->guest_pdpte##n & 1 ?				\
	     f->guest_pdpte##n & (BITS(2, 1) | BITS(8, 5) | ~0ull << c->physical_bits) : 0)
PDPTE(0)
PDPTE(1)
PDPTE(2)
PDPTE(3)
#undef PDPTE

/* Loading MSRs: about one entry of the area. */
MUST(msr_load_base, S_MSRS, MSR_LOAD, (msr_index),
     "IA32_FS_BASE and IA32_GS_BASE are not loaded from the MSR-load area",
     f->msr_index != 0xc0000100 && f->msr_index != 0xc0000101)
MUST(msr_load_x2apic, S_MSRS, MSR_LOAD, (msr_index),
     "no x2APIC MSR is loaded from the MSR-load area", f->msr_index >> 8 != 8)
MUST(msr_load_smm, S_MSRS, MSR_LOAD, (msr_index),
     "IA32_SMM_MONITOR_CTL is not loaded outside of SMM", c->smm || f->msr_index != 0x9b)
MUST(msr_load_reserved, S_MSRS, MSR_LOAD, (msr_reserved), "bits 63:32 of the entry are 0", !f->msr_reserved)
