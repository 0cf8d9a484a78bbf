/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fields of a VMCB (APM volume 2, Layout of VMCB). Included with SVM_FIELD(name, type, offset) and
 * SVM_MEMORY(name) defined, more than once.
 */
#define SVM_SEGMENT(s, offset)			\
	SVM_FIELD(s##_selector, u16, offset)	\
	SVM_FIELD(s##_attrib, u16, offset + 2)	\
	SVM_FIELD(s##_limit, u32, offset + 4)	\
	SVM_FIELD(s##_base, u64, offset + 8)

/* Control area */
SVM_FIELD(intercept_cr, u32, 0x000)
SVM_FIELD(intercept_dr, u32, 0x004)
SVM_FIELD(intercept_exceptions, u32, 0x008)
SVM_FIELD(intercept_3, u32, 0x00c)
SVM_FIELD(intercept_4, u32, 0x010)
SVM_FIELD(intercept_5, u32, 0x014)
SVM_FIELD(pause_threshold, u16, 0x03c)
SVM_FIELD(pause_count, u16, 0x03e)
SVM_FIELD(iopm_base, u64, 0x040)
SVM_FIELD(msrpm_base, u64, 0x048)
SVM_FIELD(tsc_offset, u64, 0x050)
SVM_FIELD(asid, u32, 0x058)
SVM_FIELD(tlb_control, u8, 0x05c)
SVM_FIELD(int_ctl, u32, 0x060)
SVM_FIELD(int_vector, u32, 0x064)
SVM_FIELD(int_state, u32, 0x068)
SVM_FIELD(nested_ctl, u64, 0x090)
SVM_FIELD(avic_bar, u64, 0x098)
SVM_FIELD(event_inj, u32, 0x0a8)
SVM_FIELD(event_inj_error, u32, 0x0ac)
SVM_FIELD(nested_cr3, u64, 0x0b0)
SVM_FIELD(virt_ext, u64, 0x0b8)
SVM_FIELD(clean, u32, 0x0c0)
SVM_FIELD(next_rip, u64, 0x0c8)
SVM_FIELD(avic_backing_page, u64, 0x0e0)
SVM_FIELD(avic_logical_table, u64, 0x0f0)
SVM_FIELD(avic_physical_table, u64, 0x0f8)

/* State save area */
SVM_SEGMENT(es, 0x400)
SVM_SEGMENT(cs, 0x410)
SVM_SEGMENT(ss, 0x420)
SVM_SEGMENT(ds, 0x430)
SVM_SEGMENT(fs, 0x440)
SVM_SEGMENT(gs, 0x450)
SVM_FIELD(gdtr_limit, u32, 0x464)
SVM_FIELD(gdtr_base, u64, 0x468)
SVM_SEGMENT(ldtr, 0x470)
SVM_FIELD(idtr_limit, u32, 0x484)
SVM_FIELD(idtr_base, u64, 0x488)
SVM_SEGMENT(tr, 0x490)
SVM_FIELD(cpl, u8, 0x4cb)
SVM_FIELD(efer, u64, 0x4d0)
SVM_FIELD(cr4, u64, 0x548)
SVM_FIELD(cr3, u64, 0x550)
SVM_FIELD(cr0, u64, 0x558)
SVM_FIELD(dr7, u64, 0x560)
SVM_FIELD(dr6, u64, 0x568)
SVM_FIELD(rflags, u64, 0x570)
SVM_FIELD(rip, u64, 0x578)
SVM_FIELD(rsp, u64, 0x5d8)
SVM_FIELD(s_cet, u64, 0x5e0)
SVM_FIELD(ssp, u64, 0x5e8)
SVM_FIELD(ssp_table, u64, 0x5f0)
SVM_FIELD(rax, u64, 0x5f8)
SVM_FIELD(star, u64, 0x600)
SVM_FIELD(lstar, u64, 0x608)
SVM_FIELD(cstar, u64, 0x610)
SVM_FIELD(sfmask, u64, 0x618)
SVM_FIELD(kernel_gs_base, u64, 0x620)
SVM_FIELD(sysenter_cs, u64, 0x628)
SVM_FIELD(sysenter_esp, u64, 0x630)
SVM_FIELD(sysenter_eip, u64, 0x638)
SVM_FIELD(cr2, u64, 0x640)
SVM_FIELD(g_pat, u64, 0x668)
SVM_FIELD(debugctl, u64, 0x670)

/* The operand of VMRUN. */
SVM_MEMORY(vmcb_address)

#undef SVM_SEGMENT
