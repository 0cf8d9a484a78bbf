/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SDM, Basic VM-Entry Checks and Checks on VMX Controls. Included by vmx.c with MUST() and ZERO() defined, twice.
 *
 * MUST(id, section, effect, fields, text, condition), ZERO(id, section, effect, fields, text, bits).
 */

#define ADDRESS_BITS	c->physical_bits

/* The physical address of a page that a control makes the CPU use. */
#define PAGE(id, sec, what, fields, enabled)							\
	ZERO(id##_aligned, sec, CONTROL, fields, what " is page-aligned",			\
	     (enabled) ? f->id & BITS(11, 0) : 0)						\
	ZERO(id##_width, sec, CONTROL, fields, what " is within the physical-address width",	\
	     (enabled) ? beyond(f->id, ADDRESS_BITS) << ADDRESS_BITS : 0)

/* Basic VM-entry checks */
MUST(mov_ss_blocking, S_BASIC, VMFAIL(26), (mov_ss_blocking),
     "no blocking by MOV SS where VMLAUNCH or VMRESUME executes", !f->mov_ss_blocking)
MUST(vmlaunch_clear, S_BASIC, VMFAIL(4), (launched, vmresume),
     "VMLAUNCH finds the VMCS's launch state clear", f->vmresume || !f->launched)
MUST(vmresume_launched, S_BASIC, VMFAIL(5), (launched, vmresume),
     "VMRESUME finds the VMCS's launch state launched", !f->vmresume || f->launched)

/* VM-execution control fields */
ZERO(pin_controls_one, S_EXEC, CONTROL, (pin_controls),
     "bits that are 1 in the low half of IA32_VMX_(TRUE_)PINBASED_CTLS are 1", (u32)c->pin & ~f->pin_controls)
ZERO(pin_controls_zero, S_EXEC, CONTROL, (pin_controls),
     "bits that are 0 in the high half of IA32_VMX_(TRUE_)PINBASED_CTLS are 0", f->pin_controls & ~(c->pin >> 32))
ZERO(cpu_controls_one, S_EXEC, CONTROL, (cpu_controls),
     "bits that are 1 in the low half of IA32_VMX_(TRUE_)PROCBASED_CTLS are 1", (u32)c->cpu & ~f->cpu_controls)
ZERO(cpu_controls_zero, S_EXEC, CONTROL, (cpu_controls),
     "bits that are 0 in the high half of IA32_VMX_(TRUE_)PROCBASED_CTLS are 0", f->cpu_controls & ~(c->cpu >> 32))
ZERO(cpu2_controls_zero, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "bits that are 0 in the high half of IA32_VMX_PROCBASED_CTLS2 are 0", cpu2(f) & ~(c->cpu2 >> 32))
ZERO(cpu2_controls_one, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "bits that are 1 in the low half of IA32_VMX_PROCBASED_CTLS2 are 1",
     f->cpu_controls & CPU_SECONDARY ? (u32)c->cpu2 & ~f->cpu2_controls : 0)
ZERO(cpu3_controls_zero, S_EXEC, CONTROL, (cpu3_controls, cpu_controls),
     "bits that are 0 in IA32_VMX_PROCBASED_CTLS3 are 0", cpu3(f) & ~c->cpu3)
MUST(cr3_target_count, S_EXEC, CONTROL, (cr3_target_count),
     "the CR3-target count is at most bits 24:16 of IA32_VMX_MISC",
     f->cr3_target_count <= (c->misc >> 16 & 0x1ff))
PAGE(io_bitmap_a, S_EXEC, "the address of I/O bitmap A", (io_bitmap_a, cpu_controls), f->cpu_controls & CPU_IO_BITMAPS)
PAGE(io_bitmap_b, S_EXEC, "the address of I/O bitmap B", (io_bitmap_b, cpu_controls), f->cpu_controls & CPU_IO_BITMAPS)
PAGE(msr_bitmap, S_EXEC, "the address of the MSR bitmap", (msr_bitmap, cpu_controls), f->cpu_controls & CPU_MSR_BITMAPS)
PAGE(virtual_apic, S_EXEC, "the virtual-APIC address", (virtual_apic, cpu_controls), f->cpu_controls & CPU_TPR_SHADOW)
ZERO(tpr_threshold, S_EXEC, CONTROL, (tpr_threshold, cpu_controls, cpu2_controls),
     "bits 31:4 of the TPR threshold are 0 without virtual-interrupt delivery",
     f->cpu_controls & CPU_TPR_SHADOW && !(cpu2(f) & CPU2_VINTR_DELIVERY) ? f->tpr_threshold & BITS(31, 4) : 0)
MUST(tpr_threshold_vtpr, S_EXEC, CONTROL, (tpr_threshold, virtual_tpr, cpu_controls, cpu2_controls),
     "bits 3:0 of the TPR threshold are not above bits 7:4 of VTPR, without virtualized APIC accesses or delivery",
     !(f->cpu_controls & CPU_TPR_SHADOW) || cpu2(f) & (CPU2_VINTR_DELIVERY | CPU2_APIC_ACCESSES) ||
     (f->tpr_threshold & 15) <= (f->virtual_tpr >> 4 & 15))
MUST(virtual_nmis, S_EXEC, CONTROL, (pin_controls),
     "virtual NMIs need NMI exiting", !(f->pin_controls & PIN_VIRTUAL_NMIS) || f->pin_controls & PIN_NMI_EXITING)
MUST(nmi_window, S_EXEC, CONTROL, (cpu_controls, pin_controls),
     "NMI-window exiting needs virtual NMIs", !(f->cpu_controls & CPU_NMI_WINDOW) || f->pin_controls & PIN_VIRTUAL_NMIS)
PAGE(apic_access, S_EXEC, "the APIC-access address", (apic_access, cpu_controls, cpu2_controls),
     cpu2(f) & CPU2_APIC_ACCESSES)
MUST(x2apic_needs_tpr_shadow, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "virtualize x2APIC mode needs the TPR shadow", !(cpu2(f) & CPU2_X2APIC) || f->cpu_controls & CPU_TPR_SHADOW)
MUST(apic_registers_need_tpr_shadow, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "APIC-register virtualization needs the TPR shadow",
     !(cpu2(f) & CPU2_APIC_REGISTERS) || f->cpu_controls & CPU_TPR_SHADOW)
MUST(vintr_needs_tpr_shadow, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "virtual-interrupt delivery needs the TPR shadow",
     !(cpu2(f) & CPU2_VINTR_DELIVERY) || f->cpu_controls & CPU_TPR_SHADOW)
MUST(ipi_needs_tpr_shadow, S_EXEC, CONTROL, (cpu3_controls, cpu_controls),
     "IPI virtualization needs the TPR shadow", !(cpu3(f) & CPU3_IPI) || f->cpu_controls & CPU_TPR_SHADOW)
MUST(x2apic_or_apic_accesses, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "virtualize x2APIC mode and virtualize APIC accesses are not both 1",
     !(cpu2(f) & CPU2_X2APIC) || !(cpu2(f) & CPU2_APIC_ACCESSES))
MUST(vintr_needs_intr_exiting, S_EXEC, CONTROL, (cpu2_controls, pin_controls, cpu_controls),
     "virtual-interrupt delivery needs external-interrupt exiting",
     !(cpu2(f) & CPU2_VINTR_DELIVERY) || f->pin_controls & PIN_INTR_EXITING)
MUST(posted_needs_vintr, S_EXEC, CONTROL, (pin_controls, cpu2_controls, cpu_controls),
     "process posted interrupts needs virtual-interrupt delivery",
     !(f->pin_controls & PIN_POSTED) || cpu2(f) & CPU2_VINTR_DELIVERY)
MUST(posted_needs_ack, S_EXEC, CONTROL, (pin_controls, exit_controls),
     "process posted interrupts needs acknowledge interrupt on exit",
     !(f->pin_controls & PIN_POSTED) || f->exit_controls & EXIT_ACK_INTR)
ZERO(posted_vector, S_EXEC, CONTROL, (posted_vector, pin_controls),
     "the posted-interrupt notification vector is at most 255",
     f->pin_controls & PIN_POSTED ? f->posted_vector & BITS(15, 8) : 0)
ZERO(posted_descriptor_aligned, S_EXEC, CONTROL, (posted_descriptor, pin_controls),
     "the posted-interrupt descriptor is 64-byte aligned",
     f->pin_controls & PIN_POSTED ? f->posted_descriptor & BITS(5, 0) : 0)
ZERO(posted_descriptor_width, S_EXEC, CONTROL, (posted_descriptor, pin_controls),
     "the posted-interrupt descriptor is within the physical-address width",
     f->pin_controls & PIN_POSTED ? beyond(f->posted_descriptor, ADDRESS_BITS) << ADDRESS_BITS : 0)
MUST(vpid, S_EXEC, CONTROL, (vpid, cpu2_controls, cpu_controls),
     "the VPID is not 0", !(cpu2(f) & CPU2_VPID) || f->vpid)
MUST(eptp_memory_type, S_EXEC, CONTROL, (eptp, cpu2_controls, cpu_controls),
     "the memory type in the EPTP is one that IA32_VMX_EPT_VPID_CAP offers",
     !(cpu2(f) & CPU2_EPT) || eptp_type_valid(f->eptp, c->ept_vpid))
MUST(eptp_walk_length, S_EXEC, CONTROL, (eptp, cpu2_controls, cpu_controls),
     "the EPT page-walk length is one that IA32_VMX_EPT_VPID_CAP offers",
     !(cpu2(f) & CPU2_EPT) || eptp_levels_valid(f->eptp, c->ept_vpid))
MUST(eptp_accessed_dirty, S_EXEC, CONTROL, (eptp, cpu2_controls, cpu_controls),
     "accessed and dirty flags for EPT are enabled only where the CPU has them",
     !(cpu2(f) & CPU2_EPT) || !(f->eptp & BIT64(6)) || c->ept_vpid & EPT_CAP_AD)
ZERO(eptp_reserved, S_EXEC, CONTROL, (eptp, cpu2_controls, cpu_controls),
     "reserved bits of the EPTP are 0",
     cpu2(f) & CPU2_EPT ? f->eptp & (BITS(11, 8) | (c->ept_vpid & EPT_CAP_SSS ? 0 : BIT64(7))) : 0)
ZERO(eptp_width, S_EXEC, CONTROL, (eptp, cpu2_controls, cpu_controls),
     "the EPTP is within the physical-address width",
     cpu2(f) & CPU2_EPT ? beyond(f->eptp, ADDRESS_BITS) << ADDRESS_BITS : 0)
MUST(pml_needs_ept, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "PML needs EPT", !(cpu2(f) & CPU2_PML) || cpu2(f) & CPU2_EPT)
PAGE(pml_address, S_EXEC, "the PML address", (pml_address, cpu2_controls, cpu_controls), cpu2(f) & CPU2_PML)
MUST(unrestricted_needs_ept, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "unrestricted guest needs EPT", !(cpu2(f) & CPU2_UNRESTRICTED) || cpu2(f) & CPU2_EPT)
MUST(mbec_needs_ept, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "mode-based execute control for EPT needs EPT", !(cpu2(f) & CPU2_MBEC) || cpu2(f) & CPU2_EPT)
MUST(spp_needs_ept, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "sub-page write permissions for EPT need EPT", !(cpu2(f) & CPU2_SPP) || cpu2(f) & CPU2_EPT)
PAGE(spptp, S_EXEC, "the sub-page-permission-table pointer", (spptp, cpu2_controls, cpu_controls), cpu2(f) & CPU2_SPP)
ZERO(vmfunc_controls, S_EXEC, CONTROL, (vmfunc_controls, cpu2_controls, cpu_controls),
     "only VM functions of IA32_VMX_VMFUNC are enabled",
     cpu2(f) & CPU2_VMFUNC ? f->vmfunc_controls & ~c->vmfunc : 0)
MUST(eptp_switching_needs_ept, S_EXEC, CONTROL, (vmfunc_controls, cpu2_controls, cpu_controls),
     "EPTP switching needs EPT", !eptp_switching(f) || cpu2(f) & CPU2_EPT)
PAGE(eptp_list, S_EXEC, "the EPTP-list address", (eptp_list, vmfunc_controls, cpu2_controls, cpu_controls),
     eptp_switching(f))
PAGE(vmread_bitmap, S_EXEC, "the VMREAD-bitmap address", (vmread_bitmap, cpu2_controls, cpu_controls),
     cpu2(f) & CPU2_SHADOWING)
PAGE(vmwrite_bitmap, S_EXEC, "the VMWRITE-bitmap address", (vmwrite_bitmap, cpu2_controls, cpu_controls),
     cpu2(f) & CPU2_SHADOWING)
PAGE(ve_info, S_EXEC, "the virtualization-exception information address", (ve_info, cpu2_controls, cpu_controls),
     cpu2(f) & CPU2_VE)
MUST(pt_gpa_needs_ept, S_EXEC, CONTROL, (cpu2_controls, cpu_controls),
     "Intel PT uses guest physical addresses needs EPT", !(cpu2(f) & CPU2_PT_GPA) || cpu2(f) & CPU2_EPT)
MUST(pt_gpa_needs_entry_load, S_EXEC, CONTROL, (cpu2_controls, cpu_controls, entry_controls),
     "Intel PT uses guest physical addresses needs load IA32_RTIT_CTL on entry",
     !(cpu2(f) & CPU2_PT_GPA) || f->entry_controls & ENTRY_LOAD_RTIT)
MUST(pt_gpa_needs_exit_clear, S_EXEC, CONTROL, (cpu2_controls, cpu_controls, exit_controls),
     "Intel PT uses guest physical addresses needs clear IA32_RTIT_CTL on exit",
     !(cpu2(f) & CPU2_PT_GPA) || f->exit_controls & EXIT_CLEAR_RTIT)
PAGE(low_pasid, S_EXEC, "the low PASID directory address", (low_pasid, cpu2_controls, cpu_controls),
     cpu2(f) & CPU2_PASID)
PAGE(high_pasid, S_EXEC, "the high PASID directory address", (high_pasid, cpu2_controls, cpu_controls),
     cpu2(f) & CPU2_PASID)
MUST(tsc_multiplier, S_EXEC, CONTROL, (tsc_multiplier, cpu2_controls, cpu_controls),
     "the TSC multiplier is not 0", !(cpu2(f) & CPU2_TSC_SCALING) || f->tsc_multiplier)
MUST(hlat_needs_ept, S_EXEC, CONTROL, (cpu3_controls, cpu2_controls, cpu_controls),
     "enable HLAT needs EPT", !(cpu3(f) & CPU3_HLAT) || cpu2(f) & CPU2_EPT)
ZERO(hlatp_reserved, S_EXEC, CONTROL, (hlatp, cpu3_controls, cpu_controls),
     "bits 2:0 and 11:5 of the HLAT pointer are 0",
     cpu3(f) & CPU3_HLAT ? f->hlatp & (BITS(2, 0) | BITS(11, 5)) : 0)
ZERO(hlatp_width, S_EXEC, CONTROL, (hlatp, cpu3_controls, cpu_controls),
     "the HLAT pointer is within the physical-address width",
     cpu3(f) & CPU3_HLAT ? beyond(f->hlatp, ADDRESS_BITS) << ADDRESS_BITS : 0)
MUST(paging_write_needs_ept, S_EXEC, CONTROL, (cpu3_controls, cpu2_controls, cpu_controls),
     "EPT paging-write control needs EPT", !(cpu3(f) & CPU3_PAGING_WRITE) || cpu2(f) & CPU2_EPT)
MUST(paging_verification_needs_ept, S_EXEC, CONTROL, (cpu3_controls, cpu2_controls, cpu_controls),
     "guest-paging verification needs EPT", !(cpu3(f) & CPU3_PAGING_VERIFY) || cpu2(f) & CPU2_EPT)
ZERO(pid_table_aligned, S_EXEC, CONTROL, (pid_table, cpu3_controls, cpu_controls),
     "bits 2:0 of the PID-pointer table address are 0", cpu3(f) & CPU3_IPI ? f->pid_table & BITS(2, 0) : 0)
ZERO(pid_table_width, S_EXEC, CONTROL, (pid_table, cpu3_controls, cpu_controls),
     "the PID-pointer table is within the physical-address width",
     cpu3(f) & CPU3_IPI ? beyond(f->pid_table, ADDRESS_BITS) << ADDRESS_BITS : 0)
MUST(pid_table_end, S_EXEC, CONTROL, (last_pid_index, pid_table, cpu3_controls, cpu_controls),
     "the PID-pointer table ends within the physical-address width",
     !(cpu3(f) & CPU3_IPI) || !area_leaves(f->pid_table, f->last_pid_index + 1, 8, ADDRESS_BITS))

/* VM-exit control fields */
ZERO(exit_controls_one, S_EXIT, CONTROL, (exit_controls),
     "bits that are 1 in the low half of IA32_VMX_(TRUE_)EXIT_CTLS are 1", (u32)c->exit & ~f->exit_controls)
ZERO(exit_controls_zero, S_EXIT, CONTROL, (exit_controls),
     "bits that are 0 in the high half of IA32_VMX_(TRUE_)EXIT_CTLS are 0", f->exit_controls & ~(c->exit >> 32))
ZERO(exit2_controls_zero, S_EXIT, CONTROL, (exit2_controls, exit_controls),
     "bits that are 0 in IA32_VMX_EXIT_CTLS2 are 0",
     f->exit_controls & EXIT_SECONDARY ? f->exit2_controls & ~c->exit2 : 0)
MUST(save_preemption_timer, S_EXIT, CONTROL, (exit_controls, pin_controls),
     "saving the VMX-preemption timer needs an active one",
     !(f->exit_controls & EXIT_SAVE_TIMER) || f->pin_controls & PIN_TIMER)
MSR_AREA(exit_msr_store, S_EXIT, "the VM-exit MSR-store area")
MSR_AREA(exit_msr_load, S_EXIT, "the VM-exit MSR-load area")

/* VM-entry control fields */
ZERO(entry_controls_one, S_ENTRY, CONTROL, (entry_controls),
     "bits that are 1 in the low half of IA32_VMX_(TRUE_)ENTRY_CTLS are 1", (u32)c->entry & ~f->entry_controls)
ZERO(entry_controls_zero, S_ENTRY, CONTROL, (entry_controls),
     "bits that are 0 in the high half of IA32_VMX_(TRUE_)ENTRY_CTLS are 0", f->entry_controls & ~(c->entry >> 32))
MUST(event_type, S_ENTRY, CONTROL, (entry_intr_info),
     "the injected event's type is not reserved: not 1, and 7 only where the CPU has the monitor trap flag",
     !event(f) || (event_type(f) != 1 && (event_type(f) != EVENT_OTHER || c->cpu >> 32 & CPU_MTF)))
MUST(event_vector_nmi, S_ENTRY, CONTROL, (entry_intr_info),
     "an injected NMI has vector 2", !event(f) || event_type(f) != EVENT_NMI || event_vector(f) == 2)
MUST(event_vector_exception, S_ENTRY, CONTROL, (entry_intr_info),
     "an injected hardware exception has a vector up to 31",
     !event(f) || event_type(f) != EVENT_EXCEPTION || event_vector(f) <= 31)
MUST(event_vector_other, S_ENTRY, CONTROL, (entry_intr_info),
     "an injected other event has vector 0: a pending MTF VM exit",
     !event(f) || event_type(f) != EVENT_OTHER || event_vector(f) == 0)
MUST(event_error_code_missing, S_ENTRY, CONTROL, (entry_intr_info, guest_cr0, cpu_controls, cpu2_controls),
     "an exception that pushes an error code in protected mode is injected with one",
     !event(f) || f->entry_intr_info & EVENT_HAS_ERROR || c->basic & BASIC_ANY_ERROR_CODE || !event_pushes_error(f, c))
MUST(event_error_code_present, S_ENTRY, CONTROL, (entry_intr_info),
     "only an exception that pushes an error code is injected with one",
     !event(f) || !(f->entry_intr_info & EVENT_HAS_ERROR) ||
     (event_type(f) == EVENT_EXCEPTION && (c->basic & BASIC_ANY_ERROR_CODE || vector_pushes_error(event_vector(f), c))))
MUST(event_error_code_real_mode, S_ENTRY, CONTROL, (entry_intr_info, guest_cr0, cpu_controls, cpu2_controls),
     "no error code is injected into a guest with CR0.PE = 0",
     !event(f) || !(f->entry_intr_info & EVENT_HAS_ERROR) || !(cpu2(f) & CPU2_UNRESTRICTED) || f->guest_cr0 & CR0_PE)
ZERO(event_reserved, S_ENTRY, CONTROL, (entry_intr_info),
     "bits 30:12 of the VM-entry interruption information are 0", event(f) ? f->entry_intr_info & BITS(30, 12) : 0)
ZERO(event_error_code, S_ENTRY, CONTROL, (entry_error_code, entry_intr_info),
     "bits 31:16 of the injected error code are 0",
     event(f) && f->entry_intr_info & EVENT_HAS_ERROR ? f->entry_error_code & BITS(31, 16) : 0)
MUST(event_insn_length, S_ENTRY, CONTROL, (entry_insn_length, entry_intr_info),
     "the instruction length of an injected software event is 1 to 15, or 0 where IA32_VMX_MISC bit 30 allows it",
     !event(f) || !event_is_software(f) ||
     (f->entry_insn_length <= 15 && (f->entry_insn_length || c->misc & BIT64(30))))
MSR_AREA(entry_msr_load, S_ENTRY, "the VM-entry MSR-load area")
MUST(entry_to_smm, S_ENTRY, CONTROL, (entry_controls),
     "entry to SMM happens from SMM only", !(f->entry_controls & ENTRY_SMM) || c->smm)
MUST(deactivate_dual_monitor, S_ENTRY, CONTROL, (entry_controls),
     "dual-monitor treatment is deactivated from SMM only", !(f->entry_controls & ENTRY_END_DUAL) || c->smm)
MUST(smm_or_deactivate, S_ENTRY, CONTROL, (entry_controls),
     "entry to SMM and deactivating dual-monitor treatment are not both 1",
     !(f->entry_controls & ENTRY_SMM) || !(f->entry_controls & ENTRY_END_DUAL))

/* Accepted, and hardly meant. */
ZERO(ignored_cpu2_controls, S_EXEC, ADVICE, (cpu2_controls, cpu_controls),
     "secondary controls are ignored while bit 31 of the primary ones is 0",
     f->cpu_controls & CPU_SECONDARY ? 0 : f->cpu2_controls)
MUST(ignored_io_exiting, S_EXEC, ADVICE, (cpu_controls),
     "unconditional I/O exiting is ignored with I/O bitmaps",
     !(f->cpu_controls & CPU_IO_BITMAPS) || !(f->cpu_controls & CPU_IO_EXITING))
MUST(no_intr_exiting, S_EXEC, ADVICE, (pin_controls),
     "without external-interrupt exiting the host's interrupts are the guest's", f->pin_controls & PIN_INTR_EXITING)
MUST(no_nmi_exiting, S_EXEC, ADVICE, (pin_controls),
     "without NMI exiting the host's NMIs are the guest's", f->pin_controls & PIN_NMI_EXITING)
MUST(no_msr_bitmap, S_EXEC, ADVICE, (cpu_controls),
     "without MSR bitmaps every RDMSR and WRMSR exits", f->cpu_controls & CPU_MSR_BITMAPS)
MUST(exit_msr_count_recommended, S_EXIT, ADVICE, (exit_msr_store_count, exit_msr_load_count),
     "more entries in an MSR area than IA32_VMX_MISC bits 27:25 recommend: exits may end in a machine check",
     f->exit_msr_store_count <= msr_count_max(c) && f->exit_msr_load_count <= msr_count_max(c))
MUST(entry_msr_count_recommended, S_ENTRY, ADVICE, (entry_msr_load_count),
     "more entries in the MSR-load area than IA32_VMX_MISC bits 27:25 recommend",
     f->entry_msr_load_count <= msr_count_max(c))
MUST(debug_controls_not_saved, S_EXIT, ADVICE, (exit_controls, entry_controls),
     "debug controls are loaded on entry, and what the guest makes of them is lost on exit",
     !(f->entry_controls & ENTRY_LOAD_DEBUG) || f->exit_controls & EXIT_SAVE_DEBUG)
MUST(pat_not_restored, S_EXIT, ADVICE, (exit_controls, entry_controls),
     "the guest's PAT is loaded on entry, and the host's not on exit",
     !(f->entry_controls & ENTRY_LOAD_PAT) || f->exit_controls & EXIT_LOAD_PAT)
MUST(efer_not_restored, S_EXIT, ADVICE, (exit_controls, entry_controls),
     "the guest's EFER is loaded on entry, and the host's not on exit",
     !(f->entry_controls & ENTRY_LOAD_EFER) || f->exit_controls & EXIT_LOAD_EFER)

#undef PAGE
