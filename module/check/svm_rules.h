/* SPDX-License-Identifier: GPL-2.0 */
/*
 * APM volume 2, VMRUN Instruction: Canonicalization and Consistency Checks, and what other sections add. Included by
 * svm.c with MUST() and ZERO() defined, twice.
 *
 * The APM names no order of the checks: each of them alone ends the same way.
 */

/* The operand of VMRUN: #GP before anything is saved. */
ZERO(vmcb_aligned, S_VMRUN, GP, (vmcb_address), "the VMCB is page-aligned", f->vmcb_address & BITS(11, 0))
ZERO(vmcb_width, S_VMRUN, GP, (vmcb_address), "the VMCB is within the physical-address width",
     beyond(f->vmcb_address & ~c->cbit, c->physical_bits) << c->physical_bits)

MUST(efer_svme, S_CHECKS, INVALID, (efer), "EFER.SVME is 1", f->efer & EFER_SVME)
MUST(cr0_nw, S_CHECKS, INVALID, (cr0), "CR0.NW is 0 while CR0.CD is 0", f->cr0 & CR0_CD || !(f->cr0 & CR0_NW))
ZERO(cr0_high, S_CHECKS, INVALID, (cr0), "bits 63:32 of CR0 are 0", f->cr0 & BITS(63, 32))
ZERO(cr3_reserved, S_CHECKS, INVALID, (cr3, cr0, efer), "bits of CR3 that must be zero in long mode are 0",
     long_paging(f) ? f->cr3 & ~c->cr3_settable : 0)
ZERO(cr4_reserved, S_CHECKS, INVALID, (cr4), "bits of CR4 that must be zero are 0", f->cr4 & ~c->cr4_settable)
ZERO(dr6_high, S_CHECKS, INVALID, (dr6), "bits 63:32 of DR6 are 0", f->dr6 & BITS(63, 32))
ZERO(dr7_high, S_CHECKS, INVALID, (dr7), "bits 63:32 of DR7 are 0", f->dr7 & BITS(63, 32))
ZERO(efer_reserved, S_CHECKS, INVALID, (efer), "bits of EFER that must be zero are 0",
     f->efer & ~(c->efer_settable | EFER_SVME | EFER_LME | EFER_LMA))
ZERO(efer_long_mode, S_CHECKS, INVALID, (efer), "EFER.LMA and LME are 0 on a CPU without long mode",
     c->long_mode ? 0 : f->efer & (EFER_LMA | EFER_LME))
MUST(long_pae, S_CHECKS, INVALID, (cr4, cr0, efer),
     "CR4.PAE is 1 with EFER.LME and CR0.PG", !long_paging(f) || f->cr4 & CR4_PAE)
MUST(long_pe, S_CHECKS, INVALID, (cr0, efer), "CR0.PE is 1 with EFER.LME and CR0.PG", !long_paging(f) || f->cr0 & CR0_PE)
MUST(cs_l_and_d, S_CHECKS, INVALID, (cs_attrib, cr4, cr0, efer), "CS.L and CS.D are not both 1 in long mode",
     !long_paging(f) || !(f->cr4 & CR4_PAE) || (f->cs_attrib & (SEG_L | SEG_D)) != (SEG_L | SEG_D))
MUST(vmrun_intercept, S_CHECKS, INVALID, (intercept_4), "VMRUN is intercepted", f->intercept_4 & ICPT_VMRUN)
MUST(msrpm_width, S_CHECKS, INVALID, (msrpm_base),
     "the MSR permission map ends within the physical-address width", map_within(f->msrpm_base, 0x2000, c))
MUST(iopm_width, S_CHECKS, INVALID, (iopm_base),
     "the I/O permission map ends within the physical-address width", map_within(f->iopm_base, 0x3000, c))
MUST(asid, S_CHECKS, INVALID, (asid), "the ASID is not 0", f->asid)
MUST(cr4_cet, S_CHECKS, INVALID, (cr4, cr0), "CR4.CET needs CR0.WP", !(f->cr4 & CR4_CET) || f->cr0 & CR0_WP)
ZERO(s_cet_reserved, S_CHECKS, INVALID, (s_cet, cr4), "reserved bits of S_CET are 0",
     f->cr4 & CR4_CET ? s_cet_reserved(f->s_cet) : 0)

/* Event injection */
MUST(event_type, S_EVENT, INVALID, (event_inj), "the injected event's type is 0, 2, 3 or 4",
     !event(f) || (event_type(f) != 1 && event_type(f) < 5))
MUST(event_exception, S_EVENT, INVALID, (event_inj), "an injected exception has a vector up to 31, and not NMI's 2",
     !event(f) || event_type(f) != EVENT_EXCEPTION || (event_vector(f) <= 31 && event_vector(f) != 2))
MUST(event_bound, S_EVENT, INVALID, (event_inj, efer, cr0, cs_attrib),
     "#OF and #BR are not injected in 64-bit mode, where no instruction raises them",
     !event(f) || event_type(f) != EVENT_EXCEPTION || !(long_paging(f) && f->cs_attrib & SEG_L) ||
     (event_vector(f) != 4 && event_vector(f) != 5))
ZERO(event_reserved, S_EVENT, ADVICE, (event_inj),
     "bits 30:12 of EVENTINJ are 0", event(f) ? f->event_inj & BITS(30, 12) : 0)
MUST(event_error_missing, S_EVENT, ADVICE, (event_inj, cr0),
     "an exception that pushes an error code is injected with one",
     !event(f) || event_type(f) != EVENT_EXCEPTION || !(f->cr0 & CR0_PE) || f->event_inj & EVENT_HAS_ERROR ||
     !vector_pushes_error(event_vector(f)))
MUST(event_error_present, S_EVENT, ADVICE, (event_inj),
     "only an exception that pushes an error code is injected with one",
     !event(f) || !(f->event_inj & EVENT_HAS_ERROR) ||
     (event_type(f) == EVENT_EXCEPTION && vector_pushes_error(event_vector(f))))
MUST(event_nmi_vector, S_EVENT, ADVICE, (event_inj), "the vector of an injected NMI is ignored: 2 is meant",
     !event(f) || event_type(f) != EVENT_NMI || event_vector(f) == 2)
MUST(event_interrupt_if, S_EVENT, ADVICE, (event_inj, rflags), "an interrupt is injected although RFLAGS.IF is 0",
     !event(f) || event_type(f) != EVENT_INTR || f->rflags & RFLAGS_IF)
MUST(event_interrupt_shadow, S_EVENT, ADVICE, (event_inj, int_state), "an interrupt is injected in an interrupt shadow",
     !event(f) || event_type(f) != EVENT_INTR || !(f->int_state & 1))

/* Nested paging */
ZERO(np_unsupported, S_NP, INVALID, (nested_ctl), "nested paging is enabled only on a CPU that has it",
     c->features & FEATURE_NP ? 0 : f->nested_ctl & NESTED_NP)
ZERO(nested_cr3, S_NP, INVALID, (nested_cr3, nested_ctl), "bits of nCR3 that must be zero are 0",
     f->nested_ctl & NESTED_NP ? beyond(f->nested_cr3 & ~c->cbit, c->physical_bits) << c->physical_bits : 0)
MUST(g_pat, S_NP, INVALID, (g_pat, nested_ctl), "each byte of G_PAT is 0, 1, 4, 5, 6 or 7 with nested paging",
     !(f->nested_ctl & NESTED_NP) || pat_valid(f->g_pat))

/* Secure encrypted virtualization */
MUST(sev_unsupported, S_SEV, INVALID, (nested_ctl), "SEV is enabled only on a CPU that has it",
     c->sev & 1 || !(f->nested_ctl & NESTED_SEV))
MUST(sev_es_unsupported, S_SEV, INVALID, (nested_ctl), "SEV-ES is enabled only on a CPU that has it",
     c->sev & 2 || !(f->nested_ctl & NESTED_SEV_ES))
MUST(sev_needs_np, S_SEV, INVALID, (nested_ctl), "SEV needs nested paging",
     !(f->nested_ctl & NESTED_SEV) || f->nested_ctl & NESTED_NP)
MUST(sev_es_needs_sev, S_SEV, INVALID, (nested_ctl), "SEV-ES needs SEV",
     !(f->nested_ctl & NESTED_SEV_ES) || f->nested_ctl & NESTED_SEV)

/* AVIC */
MUST(avic_unsupported, S_AVIC, INVALID, (int_ctl), "AVIC is enabled only on a CPU that has it",
     !(f->int_ctl & INT_AVIC) || c->features & FEATURE_AVIC)
MUST(avic_needs_np, S_AVIC, INVALID, (int_ctl, nested_ctl), "AVIC needs nested paging",
     !(f->int_ctl & INT_AVIC) || f->nested_ctl & NESTED_NP)
MUST(x2avic_unsupported, S_AVIC, INVALID, (int_ctl), "x2AVIC is enabled only on a CPU that has it",
     !(f->int_ctl & INT_X2AVIC) || c->features & FEATURE_X2AVIC)
MUST(x2avic_needs_avic, S_AVIC, INVALID, (int_ctl),
     "x2AVIC needs AVIC", !(f->int_ctl & INT_X2AVIC) || f->int_ctl & INT_AVIC)
#define AVIC_PAGE(id, what)											\
	ZERO(id, S_AVIC, INVALID, (id, int_ctl), what " is within the physical-address width",		\
	     f->int_ctl & INT_AVIC ? beyond(f->id & ~c->cbit, c->physical_bits) << c->physical_bits : 0)
AVIC_PAGE(avic_backing_page, "the AVIC backing page")
AVIC_PAGE(avic_logical_table, "the AVIC logical table")
AVIC_PAGE(avic_physical_table, "the AVIC physical table")
#undef AVIC_PAGE
MUST(avic_physical_max, S_AVIC, INVALID, (avic_physical_table, int_ctl),
     "the last index of the AVIC physical table is at most 254, with x2AVIC 511",
     !(f->int_ctl & INT_AVIC) || (f->avic_physical_table & 0xfff) <= (f->int_ctl & INT_X2AVIC ? 511 : 254))

/* Virtual interrupts and NMIs */
MUST(vnmi_intercept, S_VNMI, INVALID, (int_ctl, intercept_3), "virtual NMIs need the NMI intercept",
     !(f->int_ctl & INT_VNMI_ENABLE) || !(c->features & FEATURE_VNMI) || f->intercept_3 & ICPT_NMI)
MUST(vnmi_unsupported, S_VNMI, ADVICE, (int_ctl), "virtual NMIs are ignored on a CPU that lacks them",
     !(f->int_ctl & INT_VNMI_ENABLE) || c->features & FEATURE_VNMI)
MUST(vgif_unsupported, S_VGIF, ADVICE, (int_ctl), "virtual GIF is ignored on a CPU that lacks it",
     !(f->int_ctl & INT_VGIF_ENABLE) || c->features & FEATURE_VGIF)
MUST(vgif_zero, S_VGIF, ADVICE, (int_ctl), "V_GIF is 0: no virtual interrupt is taken",
     !(f->int_ctl & INT_VGIF_ENABLE) || !(f->int_ctl & INT_VIRQ) || f->int_ctl & INT_VGIF)
MUST(virq_vector, S_VINTR, ADVICE, (int_vector, int_ctl), "a pending virtual interrupt has a vector from 16 on",
     !(f->int_ctl & INT_VIRQ) || (f->int_vector & 0xff) >= 16)
ZERO(int_vector_reserved, S_VINTR, ADVICE, (int_vector), "bits 31:8 of the virtual interrupt's vector are 0",
     f->int_vector & BITS(31, 8))
ZERO(int_state_reserved, S_VINTR, ADVICE, (int_state), "bits 31:2 of the interrupt state are 0", f->int_state & BITS(31, 2))

/* Extensions that a CPU without them ignores */
MUST(lbr_unsupported, S_LBR, ADVICE, (virt_ext), "LBR virtualization is ignored on a CPU that lacks it",
     !(f->virt_ext & EXT_LBR) || c->features & FEATURE_LBR)
MUST(vmload_unsupported, S_VLS, ADVICE, (virt_ext),
     "virtualized VMLOAD and VMSAVE are ignored on a CPU that lacks them",
     !(f->virt_ext & EXT_VLS) || c->features & FEATURE_VLS)
MUST(vmload_needs_np, S_VLS, ADVICE, (virt_ext, nested_ctl), "virtualized VMLOAD and VMSAVE need nested paging",
     !(f->virt_ext & EXT_VLS) || f->nested_ctl & NESTED_NP)
MUST(pause_filter, S_PAUSE, ADVICE, (pause_count, intercept_3), "a pause filter needs the PAUSE intercept",
     !f->pause_count || f->intercept_3 & ICPT_PAUSE)

/* TLB and caching of the VMCB */
MUST(asid_range, S_TLB, ADVICE, (asid), "the ASID is one of those that CPUID 8000_000A counts", f->asid < c->asids)
MUST(tlb_control, S_TLB, ADVICE, (tlb_control), "TLB_CONTROL is 0, 1, 3 or 7",
     f->tlb_control <= 1 || f->tlb_control == 3 || f->tlb_control == 7)
MUST(flush_by_asid, S_TLB, ADVICE, (tlb_control), "TLB_CONTROL 3 and 7 need flush by ASID",
     f->tlb_control < 3 || c->features & FEATURE_FLUSH_ASID)
MUST(clean_unsupported, S_CLEAN, ADVICE, (clean), "VMCB clean bits are ignored on a CPU that lacks them",
     !f->clean || c->features & FEATURE_CLEAN)
ZERO(clean_reserved, S_CLEAN, ADVICE, (clean), "bits 31:13 of the clean field are 0", f->clean & BITS(31, 13))

/* Intercepts without which the host loses the CPU */
MUST(intr_intercept, S_INTERCEPTS, ADVICE, (intercept_3),
     "without the INTR intercept the host's interrupts are the guest's",
     f->intercept_3 & ICPT_INTR)
MUST(nmi_intercept, S_INTERCEPTS, ADVICE, (intercept_3), "without the NMI intercept the host's NMIs are the guest's",
     f->intercept_3 & ICPT_NMI)
MUST(shutdown_intercept, S_INTERCEPTS, ADVICE, (intercept_3),
     "without the shutdown intercept a triple fault resets the machine",
     f->intercept_3 & ICPT_SHUTDOWN)
MUST(vmload_intercept, S_INTERCEPTS, ADVICE, (intercept_4, virt_ext),
     "without intercepts of VMLOAD and VMSAVE the guest reads and writes the host's memory",
     (f->intercept_4 & ICPT_VMLOADS) == ICPT_VMLOADS || f->virt_ext & EXT_VLS)
MUST(gif_intercept, S_INTERCEPTS, ADVICE, (intercept_4, int_ctl),
     "without intercepts of STGI and CLGI the guest holds off the host's interrupts",
     (f->intercept_4 & ICPT_GIFS) == ICPT_GIFS || f->int_ctl & INT_VGIF_ENABLE)
MUST(msr_intercept, S_INTERCEPTS, ADVICE, (intercept_3), "without the MSR intercept the guest owns the host's MSRs",
     f->intercept_3 & ICPT_MSR)
MUST(ioio_intercept, S_INTERCEPTS, ADVICE, (intercept_3), "without the IOIO intercept the guest owns the host's ports",
     f->intercept_3 & ICPT_IOIO)

/* States that VMRUN loads, and that a CPU does not get into by itself */
MUST(paging_pe, S_STATE, ADVICE, (cr0), "CR0.PG without CR0.PE", !(f->cr0 & CR0_PG) || f->cr0 & CR0_PE)
MUST(efer_lma, S_STATE, ADVICE, (efer, cr0), "EFER.LMA is ignored: long mode is EFER.LME with CR0.PG",
     !(f->efer & EFER_LMA) == !long_paging(f))
MUST(rflags_vm, S_STATE, ADVICE, (rflags, efer, cr0), "RFLAGS.VM in long mode, or with CR0.PE = 0",
     !(f->rflags & RFLAGS_VM) || (!long_paging(f) && f->cr0 & CR0_PE))
MUST(rflags_one, S_STATE, ADVICE, (rflags), "bit 1 of RFLAGS is 1", f->rflags & RFLAGS_ONE)
ZERO(rflags_reserved, S_STATE, ADVICE, (rflags), "reserved bits of RFLAGS are 0", f->rflags & RFLAGS_RESERVED)
MUST(rip_canonical, S_STATE, ADVICE, (rip, efer, cr0, cs_attrib), "RIP is canonical in 64-bit mode",
     !(long_paging(f) && f->cs_attrib & SEG_L) || canonical(f->rip, c->linear_bits))
ZERO(rip_high, S_STATE, ADVICE, (rip, efer, cr0, cs_attrib), "bits 63:32 of RIP are 0 outside of 64-bit mode",
     long_paging(f) && f->cs_attrib & SEG_L ? 0 : f->rip & BITS(63, 32))
MUST(cpl_ss, S_STATE, ADVICE, (cpl, ss_attrib, cr0, rflags), "the CPL is SS's DPL",
     !(f->cr0 & CR0_PE) || f->rflags & RFLAGS_VM || f->cpl == (f->ss_attrib >> 5 & 3))
MUST(cpl_v86, S_STATE, ADVICE, (cpl, cr0, rflags), "the CPL is 3 in virtual-8086 mode and 0 in real mode",
     f->cr0 & CR0_PE ? !(f->rflags & RFLAGS_VM) || f->cpl == 3 : !f->cpl)
MUST(cs_code, S_STATE, ADVICE, (cs_attrib, cr0, rflags), "CS is a present code segment in protected mode",
     !(f->cr0 & CR0_PE) || f->rflags & RFLAGS_VM || (f->cs_attrib & (SEG_P | SEG_S | 8)) == (SEG_P | SEG_S | 8))
MUST(ss_data, S_STATE, ADVICE, (ss_attrib, cr0, rflags), "a present SS is writable data in protected mode",
     !(f->cr0 & CR0_PE) || f->rflags & RFLAGS_VM || !(f->ss_attrib & SEG_P) ||
     (f->ss_attrib & (SEG_S | 0xa)) == (SEG_S | 2))
MUST(tr_type, S_STATE, ADVICE, (tr_attrib), "a present TR is a busy TSS: type 11 or 3",
     !(f->tr_attrib & SEG_P) || (f->tr_attrib & 0x17) == 3)
MUST(ldtr_type, S_STATE, ADVICE, (ldtr_attrib), "a present LDTR has type 2",
     !(f->ldtr_attrib & SEG_P) || (f->ldtr_attrib & 0x1f) == 2)
ZERO(gdtr_limit, S_STATE, ADVICE, (gdtr_limit), "bits 31:16 of the limit are ignored", f->gdtr_limit & BITS(31, 16))
ZERO(idtr_limit, S_STATE, ADVICE, (idtr_limit), "bits 31:16 of the limit are ignored", f->idtr_limit & BITS(31, 16))

/* VMRUN sign-extends bases that are not canonical. */
#define CANONICAL(id)	\
	MUST(id, S_CANON, ADVICE, (id), "the base is canonical: VMRUN makes it so", canonical(f->id, c->linear_bits))
CANONICAL(fs_base)
CANONICAL(gs_base)
CANONICAL(ldtr_base)
CANONICAL(tr_base)
CANONICAL(gdtr_base)
CANONICAL(idtr_base)
#undef CANONICAL
#define LOW_BASE(s)	\
	ZERO(s##_base, S_CANON, ADVICE, (s##_base), "bits 63:32 of the base are 0: VMRUN clears them", \
	     f->s##_base & BITS(63, 32))
LOW_BASE(es)
LOW_BASE(cs)
LOW_BASE(ss)
LOW_BASE(ds)
#undef LOW_BASE
