/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMCS: its fields, the bits of its controls, and the VMX instructions.
 *
 * SDM, Field Encoding in VMCS, and VM-Execution, VM-Exit and VM-Entry Control Fields.
 */
#ifndef NESTOR_VMX_VMCS_H
#define NESTOR_VMX_VMCS_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>
#include <asm/asm.h>

#include "trace/stats.h"

/**
 * struct vmcs_field - the name of a VMCS field
 *
 * A structure, so that the compiler refuses a field where a value is wanted, and the reverse.
 */
struct vmcs_field {
	u32 encoding;
};

#define VMCS_FIELD(e)	((struct vmcs_field){ .encoding = (e) })

/* Bits 14:13 of an encoding. */
enum vmcs_width { VMCS_W16, VMCS_W64, VMCS_W32, VMCS_NATURAL };
#define VMCS_WIDTH_MASK	GENMASK(14, 13)

/* 16-bit control */
#define VMCS_VPID			VMCS_FIELD(0x0000)
#define VMCS_POSTED_VECTOR		VMCS_FIELD(0x0002)

/* 16-bit guest state */
#define VMCS_GUEST_ES_SELECTOR		VMCS_FIELD(0x0800)
#define VMCS_GUEST_CS_SELECTOR		VMCS_FIELD(0x0802)
#define VMCS_GUEST_SS_SELECTOR		VMCS_FIELD(0x0804)
#define VMCS_GUEST_DS_SELECTOR		VMCS_FIELD(0x0806)
#define VMCS_GUEST_FS_SELECTOR		VMCS_FIELD(0x0808)
#define VMCS_GUEST_GS_SELECTOR		VMCS_FIELD(0x080a)
#define VMCS_GUEST_LDTR_SELECTOR	VMCS_FIELD(0x080c)
#define VMCS_GUEST_TR_SELECTOR		VMCS_FIELD(0x080e)

#define VMCS_GUEST_INTR_STATUS		VMCS_FIELD(0x0810)
#define VMCS_GUEST_PML_INDEX		VMCS_FIELD(0x0812)

/* 16-bit host state */
#define VMCS_HOST_ES_SELECTOR		VMCS_FIELD(0x0c00)
#define VMCS_HOST_CS_SELECTOR		VMCS_FIELD(0x0c02)
#define VMCS_HOST_SS_SELECTOR		VMCS_FIELD(0x0c04)
#define VMCS_HOST_DS_SELECTOR		VMCS_FIELD(0x0c06)
#define VMCS_HOST_FS_SELECTOR		VMCS_FIELD(0x0c08)
#define VMCS_HOST_GS_SELECTOR		VMCS_FIELD(0x0c0a)
#define VMCS_HOST_TR_SELECTOR		VMCS_FIELD(0x0c0c)

/* 64-bit control */
#define VMCS_MSR_BITMAP			VMCS_FIELD(0x2004)
#define VMCS_EXIT_MSR_STORE_ADDRESS	VMCS_FIELD(0x2006)
#define VMCS_EXIT_MSR_LOAD_ADDRESS	VMCS_FIELD(0x2008)
#define VMCS_ENTRY_MSR_LOAD_ADDRESS	VMCS_FIELD(0x200a)
#define VMCS_PML_ADDRESS		VMCS_FIELD(0x200e)
#define VMCS_TSC_OFFSET			VMCS_FIELD(0x2010)
#define VMCS_VIRTUAL_APIC_ADDRESS	VMCS_FIELD(0x2012)
#define VMCS_APIC_ACCESS_ADDRESS	VMCS_FIELD(0x2014)
#define VMCS_POSTED_ADDRESS		VMCS_FIELD(0x2016)
#define VMCS_VMFUNC_CONTROLS		VMCS_FIELD(0x2018)
#define VMCS_EPT_POINTER		VMCS_FIELD(0x201a)
#define VMCS_EOI_EXIT_BITMAP(n)		VMCS_FIELD(0x201c + 2 * (n))	/* 0 to 3 */
#define VMCS_VMREAD_BITMAP		VMCS_FIELD(0x2026)
#define VMCS_VMWRITE_BITMAP		VMCS_FIELD(0x2028)
#define VMCS_XSS_EXIT_BITMAP		VMCS_FIELD(0x202c)
#define VMCS_ENCLS_EXIT_BITMAP		VMCS_FIELD(0x202e)
#define VMCS_TSC_MULTIPLIER		VMCS_FIELD(0x2032)

/* 64-bit read-only data */
#define VMCS_GUEST_PHYSICAL_ADDRESS	VMCS_FIELD(0x2400)

/* 64-bit guest state */
#define VMCS_LINK_POINTER		VMCS_FIELD(0x2800)
#define VMCS_GUEST_DEBUGCTL		VMCS_FIELD(0x2802)
#define VMCS_GUEST_PAT			VMCS_FIELD(0x2804)
#define VMCS_GUEST_EFER			VMCS_FIELD(0x2806)
#define VMCS_GUEST_PDPTE0		VMCS_FIELD(0x280a)
#define VMCS_GUEST_PDPTE1		VMCS_FIELD(0x280c)
#define VMCS_GUEST_PDPTE2		VMCS_FIELD(0x280e)
#define VMCS_GUEST_PDPTE3		VMCS_FIELD(0x2810)

/* 64-bit host state */
#define VMCS_HOST_PAT			VMCS_FIELD(0x2c00)
#define VMCS_HOST_EFER			VMCS_FIELD(0x2c02)

/* 32-bit control */
#define VMCS_PIN_CONTROLS		VMCS_FIELD(0x4000)
#define VMCS_CPU_CONTROLS		VMCS_FIELD(0x4002)
#define VMCS_EXCEPTION_BITMAP		VMCS_FIELD(0x4004)
#define VMCS_PF_ERROR_MASK		VMCS_FIELD(0x4006)
#define VMCS_PF_ERROR_MATCH		VMCS_FIELD(0x4008)
#define VMCS_CR3_TARGET_COUNT		VMCS_FIELD(0x400a)
#define VMCS_EXIT_CONTROLS		VMCS_FIELD(0x400c)
#define VMCS_EXIT_MSR_STORE_COUNT	VMCS_FIELD(0x400e)
#define VMCS_EXIT_MSR_LOAD_COUNT	VMCS_FIELD(0x4010)
#define VMCS_ENTRY_CONTROLS		VMCS_FIELD(0x4012)
#define VMCS_ENTRY_MSR_LOAD_COUNT	VMCS_FIELD(0x4014)
#define VMCS_ENTRY_INTR_INFO		VMCS_FIELD(0x4016)
#define VMCS_ENTRY_ERROR_CODE		VMCS_FIELD(0x4018)
#define VMCS_ENTRY_INSN_LENGTH		VMCS_FIELD(0x401a)
#define VMCS_TPR_THRESHOLD		VMCS_FIELD(0x401c)
#define VMCS_CPU2_CONTROLS		VMCS_FIELD(0x401e)
#define VMCS_PLE_GAP			VMCS_FIELD(0x4020)
#define VMCS_PLE_WINDOW			VMCS_FIELD(0x4022)

/* 32-bit read-only data */
#define VMCS_INSN_ERROR			VMCS_FIELD(0x4400)
#define VMCS_EXIT_REASON		VMCS_FIELD(0x4402)
#define VMCS_EXIT_INTR_INFO		VMCS_FIELD(0x4404)
#define VMCS_EXIT_ERROR_CODE		VMCS_FIELD(0x4406)
#define VMCS_VECTORING_INFO		VMCS_FIELD(0x4408)
#define VMCS_VECTORING_ERROR_CODE	VMCS_FIELD(0x440a)
#define VMCS_EXIT_INSN_LENGTH		VMCS_FIELD(0x440c)
#define VMCS_EXIT_INSN_INFO		VMCS_FIELD(0x440e)

/* 32-bit guest state */
#define VMCS_GUEST_ES_LIMIT		VMCS_FIELD(0x4800)
#define VMCS_GUEST_CS_LIMIT		VMCS_FIELD(0x4802)
#define VMCS_GUEST_SS_LIMIT		VMCS_FIELD(0x4804)
#define VMCS_GUEST_DS_LIMIT		VMCS_FIELD(0x4806)
#define VMCS_GUEST_FS_LIMIT		VMCS_FIELD(0x4808)
#define VMCS_GUEST_GS_LIMIT		VMCS_FIELD(0x480a)
#define VMCS_GUEST_LDTR_LIMIT		VMCS_FIELD(0x480c)
#define VMCS_GUEST_TR_LIMIT		VMCS_FIELD(0x480e)
#define VMCS_GUEST_GDTR_LIMIT		VMCS_FIELD(0x4810)
#define VMCS_GUEST_IDTR_LIMIT		VMCS_FIELD(0x4812)
#define VMCS_GUEST_ES_AR		VMCS_FIELD(0x4814)
#define VMCS_GUEST_CS_AR		VMCS_FIELD(0x4816)
#define VMCS_GUEST_SS_AR		VMCS_FIELD(0x4818)
#define VMCS_GUEST_DS_AR		VMCS_FIELD(0x481a)
#define VMCS_GUEST_FS_AR		VMCS_FIELD(0x481c)
#define VMCS_GUEST_GS_AR		VMCS_FIELD(0x481e)
#define VMCS_GUEST_LDTR_AR		VMCS_FIELD(0x4820)
#define VMCS_GUEST_TR_AR		VMCS_FIELD(0x4822)
#define VMCS_GUEST_INTERRUPTIBILITY	VMCS_FIELD(0x4824)
#define VMCS_GUEST_ACTIVITY		VMCS_FIELD(0x4826)
#define VMCS_GUEST_SYSENTER_CS		VMCS_FIELD(0x482a)
#define VMCS_PREEMPTION_TIMER		VMCS_FIELD(0x482e)

/* 32-bit host state */
#define VMCS_HOST_SYSENTER_CS		VMCS_FIELD(0x4c00)

/* Natural-width control */
#define VMCS_CR0_MASK			VMCS_FIELD(0x6000)
#define VMCS_CR4_MASK			VMCS_FIELD(0x6002)
#define VMCS_CR0_SHADOW			VMCS_FIELD(0x6004)
#define VMCS_CR4_SHADOW			VMCS_FIELD(0x6006)

/* Natural-width read-only data */
#define VMCS_EXIT_QUALIFICATION		VMCS_FIELD(0x6400)
#define VMCS_GUEST_LINEAR_ADDRESS	VMCS_FIELD(0x640a)

/* Natural-width guest state */
#define VMCS_GUEST_CR0			VMCS_FIELD(0x6800)
#define VMCS_GUEST_CR3			VMCS_FIELD(0x6802)
#define VMCS_GUEST_CR4			VMCS_FIELD(0x6804)
#define VMCS_GUEST_ES_BASE		VMCS_FIELD(0x6806)
#define VMCS_GUEST_CS_BASE		VMCS_FIELD(0x6808)
#define VMCS_GUEST_SS_BASE		VMCS_FIELD(0x680a)
#define VMCS_GUEST_DS_BASE		VMCS_FIELD(0x680c)
#define VMCS_GUEST_FS_BASE		VMCS_FIELD(0x680e)
#define VMCS_GUEST_GS_BASE		VMCS_FIELD(0x6810)
#define VMCS_GUEST_LDTR_BASE		VMCS_FIELD(0x6812)
#define VMCS_GUEST_TR_BASE		VMCS_FIELD(0x6814)
#define VMCS_GUEST_GDTR_BASE		VMCS_FIELD(0x6816)
#define VMCS_GUEST_IDTR_BASE		VMCS_FIELD(0x6818)
#define VMCS_GUEST_DR7			VMCS_FIELD(0x681a)
#define VMCS_GUEST_RSP			VMCS_FIELD(0x681c)
#define VMCS_GUEST_RIP			VMCS_FIELD(0x681e)
#define VMCS_GUEST_RFLAGS		VMCS_FIELD(0x6820)
#define VMCS_GUEST_PENDING_DEBUG	VMCS_FIELD(0x6822)
#define VMCS_GUEST_SYSENTER_ESP		VMCS_FIELD(0x6824)
#define VMCS_GUEST_SYSENTER_EIP		VMCS_FIELD(0x6826)

/* Natural-width host state */
#define VMCS_HOST_CR0			VMCS_FIELD(0x6c00)
#define VMCS_HOST_CR3			VMCS_FIELD(0x6c02)
#define VMCS_HOST_CR4			VMCS_FIELD(0x6c04)
#define VMCS_HOST_FS_BASE		VMCS_FIELD(0x6c06)
#define VMCS_HOST_GS_BASE		VMCS_FIELD(0x6c08)
#define VMCS_HOST_TR_BASE		VMCS_FIELD(0x6c0a)
#define VMCS_HOST_GDTR_BASE		VMCS_FIELD(0x6c0c)
#define VMCS_HOST_IDTR_BASE		VMCS_FIELD(0x6c0e)
#define VMCS_HOST_SYSENTER_ESP		VMCS_FIELD(0x6c10)
#define VMCS_HOST_SYSENTER_EIP		VMCS_FIELD(0x6c12)
#define VMCS_HOST_RSP			VMCS_FIELD(0x6c14)
#define VMCS_HOST_RIP			VMCS_FIELD(0x6c16)

/* Pin-based controls */
#define PIN_INTR_EXITING		BIT(0)
#define PIN_NMI_EXITING			BIT(3)
#define PIN_VIRTUAL_NMIS		BIT(5)
#define PIN_PREEMPTION_TIMER		BIT(6)
#define PIN_POSTED			BIT(7)

/* Primary processor-based controls */
#define CPU_INTR_WINDOW			BIT(2)
#define CPU_TSC_OFFSETTING		BIT(3)
#define CPU_HLT_EXITING			BIT(7)
#define CPU_INVLPG_EXITING		BIT(9)
#define CPU_MWAIT_EXITING		BIT(10)
#define CPU_RDPMC_EXITING		BIT(11)
#define CPU_RDTSC_EXITING		BIT(12)
#define CPU_CR3_LOAD_EXITING		BIT(15)
#define CPU_CR3_STORE_EXITING		BIT(16)
#define CPU_CR8_LOAD_EXITING		BIT(19)
#define CPU_CR8_STORE_EXITING		BIT(20)
#define CPU_TPR_SHADOW			BIT(21)
#define CPU_NMI_WINDOW			BIT(22)
#define CPU_MOV_DR_EXITING		BIT(23)
#define CPU_IO_EXITING			BIT(24)
#define CPU_IO_BITMAPS			BIT(25)
#define CPU_MONITOR_TRAP		BIT(27)
#define CPU_MSR_BITMAPS			BIT(28)
#define CPU_MONITOR_EXITING		BIT(29)
#define CPU_PAUSE_EXITING		BIT(30)
#define CPU_SECONDARY			BIT(31)

/* Secondary processor-based controls */
#define CPU2_APIC_ACCESSES		BIT(0)
#define CPU2_EPT			BIT(1)
#define CPU2_DESCRIPTOR_EXITING		BIT(2)
#define CPU2_RDTSCP			BIT(3)
#define CPU2_X2APIC_MODE		BIT(4)
#define CPU2_VPID			BIT(5)
#define CPU2_WBINVD_EXITING		BIT(6)
#define CPU2_UNRESTRICTED_GUEST		BIT(7)
#define CPU2_APIC_REGISTERS		BIT(8)
#define CPU2_VIRTUAL_DELIVERY		BIT(9)
#define CPU2_PAUSE_LOOP_EXITING		BIT(10)
#define CPU2_RDRAND_EXITING		BIT(11)
#define CPU2_INVPCID			BIT(12)
#define CPU2_VMFUNC			BIT(13)
#define CPU2_VMCS_SHADOWING		BIT(14)
#define CPU2_ENCLS_EXITING		BIT(15)
#define CPU2_RDSEED_EXITING		BIT(16)
#define CPU2_PML			BIT(17)
#define CPU2_VE				BIT(18)
#define CPU2_CONCEAL_FROM_PT		BIT(19)
#define CPU2_XSAVES			BIT(20)
#define CPU2_MBEC			BIT(22)
#define CPU2_TSC_SCALING		BIT(25)
#define CPU2_USER_WAIT			BIT(26)

/* VM-exit controls */
#define EXIT_SAVE_DEBUG			BIT(2)
#define EXIT_HOST_64BIT			BIT(9)
#define EXIT_ACK_INTR			BIT(15)
#define EXIT_SAVE_PAT			BIT(18)
#define EXIT_LOAD_PAT			BIT(19)
#define EXIT_SAVE_EFER			BIT(20)
#define EXIT_LOAD_EFER			BIT(21)
#define EXIT_SAVE_PREEMPTION_TIMER	BIT(22)
#define EXIT_CONCEAL_FROM_PT		BIT(24)

/* VM-entry controls */
#define ENTRY_LOAD_DEBUG		BIT(2)
#define ENTRY_IA32E			BIT(9)
#define ENTRY_LOAD_PAT			BIT(14)
#define ENTRY_LOAD_EFER			BIT(15)
#define ENTRY_CONCEAL_FROM_PT		BIT(17)

/* VM-function controls, IA32_VMX_VMFUNC */
#define VMFUNC_EPTP_SWITCHING		BIT_ULL(0)

/* Instruction information (SDM, VM-Exit Instruction-Information Field) */
#define INSN_SCALE			GENMASK(1, 0)
#define INSN_REG1			GENMASK(6, 3)
#define INSN_ADDRESS_SIZE		GENMASK(9, 7)
#define INSN_IS_REG			BIT(10)
#define INSN_SEGMENT			GENMASK(17, 15)
#define INSN_INDEX			GENMASK(21, 18)
#define INSN_NO_INDEX			BIT(22)
#define INSN_BASE			GENMASK(26, 23)
#define INSN_NO_BASE			BIT(27)
#define INSN_REG2			GENMASK(31, 28)

/* Interruption information: VM-entry, VM-exit and IDT-vectoring */
#define INTR_VECTOR			GENMASK(7, 0)
#define INTR_TYPE			GENMASK(10, 8)
#define INTR_HAS_ERROR			BIT(11)
#define INTR_NMI_UNBLOCKED		BIT(12)
#define INTR_VALID			BIT(31)

enum intr_type {
	INTR_EXTERNAL		= 0,
	INTR_NMI		= 2,
	INTR_HARD_EXCEPTION	= 3,
	INTR_SOFT_INTERRUPT	= 4,
	INTR_PRIV_EXCEPTION	= 5,	/* INT1 */
	INTR_SOFT_EXCEPTION	= 6,	/* INT3, INTO */
	INTR_OTHER		= 7,	/* a pending MTF exit; entry only */
};

/* Interruptibility state */
#define INTERRUPTIBILITY_STI		BIT(0)
#define INTERRUPTIBILITY_MOV_SS		BIT(1)
#define INTERRUPTIBILITY_NMI		BIT(3)

/* Activity state */
#define ACTIVITY_ACTIVE			0
#define ACTIVITY_HLT			1
#define ACTIVITY_SHUTDOWN		2
#define ACTIVITY_WAIT_SIPI		3

#define PENDING_DEBUG_BS		BIT(14)

/* SDM, Exit Qualification: control-register accesses. */
#define CR_NUMBER			GENMASK(3, 0)
#define CR_ACCESS			GENMASK(5, 4)
#define CR_GPR				GENMASK(11, 8)
#define CR_LMSW_SOURCE			GENMASK(31, 16)
enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

/* MOV DR */
#define DR_NUMBER			GENMASK(2, 0)
#define DR_FROM				BIT(4)
#define DR_GPR				GENMASK(11, 8)

/* I/O instructions: size less 1 */
#define IO_SIZE				GENMASK(2, 0)
#define IO_IN				BIT(3)
#define IO_STRING			BIT(4)
#define IO_REP				BIT(5)
#define IO_PORT				GENMASK(31, 16)

/* Task switches */
#define TASK_SELECTOR			GENMASK(15, 0)
#define TASK_SOURCE			GENMASK(31, 30)

/* Accesses to the APIC's page; for writes that the CPU has done the offset alone */
#define APIC_ACCESS_OFFSET		GENMASK(11, 0)
#define APIC_ACCESS_TYPE		GENMASK(15, 12)
#define APIC_ACCESS_WRITE		1
#define APIC_ACCESS_FETCH		2

/* EPT violations: exit qualification */
#define EPT_QUAL_READ			BIT(0)
#define EPT_QUAL_WRITE			BIT(1)
#define EPT_QUAL_FETCH			BIT(2)
#define EPT_QUAL_RIGHTS			GENMASK(5, 3)
#define EPT_QUAL_EXEC_USER		BIT(6)	/* with mode-based execute control */
#define EPT_QUAL_GLA_VALID		BIT(7)
#define EPT_QUAL_GLA_TRANSLATED		BIT(8)	/* the final access, not one to a page table */
#define EPT_QUAL_USER			BIT(9)		/* a user-mode address; of a final access, where the CPU tells */
#define EPT_QUAL_NMI_UNBLOCKED		BIT(12)

/* Failed entries: exit qualification */
#define ENTRY_FAIL_PDPTES		2

/* EPT entries and the EPT pointer */
#define EPT_READ			BIT_ULL(0)
#define EPT_WRITE			BIT_ULL(1)
#define EPT_EXEC			BIT_ULL(2)
#define EPT_MEMTYPE			GENMASK_ULL(5, 3)
#define EPT_MEMTYPE_WB			(6ull << 3)
#define EPT_IGNORE_PAT			BIT_ULL(6)
#define EPT_LARGE			BIT_ULL(7)
#define EPT_ACCESSED			BIT_ULL(8)
#define EPT_DIRTY			BIT_ULL(9)
#define EPT_EXEC_USER			BIT_ULL(10)	/* with mode-based execute control */
#define EPT_SUPPRESS_VE			BIT_ULL(63)
#define EPTP_MEMTYPE			GENMASK_ULL(2, 0)
#define EPTP_MEMTYPE_WB			6ull
#define EPTP_WALK_LENGTH		GENMASK_ULL(5, 3)
#define EPTP_AD				BIT_ULL(6)
#define EPTP_ROOT			GENMASK_ULL(51, 12)

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_CAP_EXEC_ONLY		BIT_ULL(0)
#define EPT_CAP_WALK_4			BIT_ULL(6)
#define EPT_CAP_WALK_5			BIT_ULL(7)
#define EPT_CAP_WB			BIT_ULL(14)
#define EPT_CAP_2M			BIT_ULL(16)
#define EPT_CAP_1G			BIT_ULL(17)
#define EPT_CAP_INVEPT			BIT_ULL(20)
#define EPT_CAP_AD			BIT_ULL(21)
#define EPT_CAP_LINEAR_INFO		BIT_ULL(22)	/* EPT_QUAL_USER */
#define EPT_CAP_INVEPT_SINGLE		BIT_ULL(25)
#define EPT_CAP_INVEPT_ALL		BIT_ULL(26)
#define EPT_CAP_INVVPID			BIT_ULL(32)
#define EPT_CAP_INVVPID_ADDRESS		BIT_ULL(40)
#define EPT_CAP_INVVPID_SINGLE		BIT_ULL(41)
#define EPT_CAP_INVVPID_ALL		BIT_ULL(42)
#define EPT_CAP_INVVPID_NON_GLOBAL	BIT_ULL(43)

enum { INVEPT_SINGLE = 1, INVEPT_ALL = 2 };
enum { INVVPID_ADDRESS = 0, INVVPID_SINGLE = 1, INVVPID_ALL = 2, INVVPID_NON_GLOBAL = 3 };

/* IA32_VMX_BASIC, IA32_VMX_MISC */
#define VMX_BASIC_REVISION		GENMASK_ULL(30, 0)
#define VMX_BASIC_SIZE			GENMASK_ULL(44, 32)
#define VMX_BASIC_MEMTYPE		GENMASK_ULL(53, 50)
#define VMX_BASIC_32BIT			BIT_ULL(48)
#define VMX_BASIC_DUAL_MONITOR		BIT_ULL(49)
#define VMX_BASIC_IO_INFO		BIT_ULL(54)
#define VMX_BASIC_TRUE_CONTROLS		BIT_ULL(55)
#define VMX_BASIC_ANY_ERROR_CODE	BIT_ULL(56)
#define VMX_MISC_TIMER_RATE		GENMASK_ULL(4, 0)
#define VMX_MISC_SAVE_LMA		BIT_ULL(5)
#define VMX_MISC_HLT			BIT_ULL(6)
#define VMX_MISC_SHUTDOWN		BIT_ULL(7)
#define VMX_MISC_WAIT_SIPI		BIT_ULL(8)
#define VMX_MISC_PT_IN_VMX		BIT_ULL(14)
#define VMX_MISC_CR3_TARGETS		GENMASK_ULL(24, 16)
#define VMX_MISC_MSRS			GENMASK_ULL(27, 25)
#define VMX_MISC_VMWRITE_ALL		BIT_ULL(29)
#define VMX_MISC_ZERO_LENGTH		BIT_ULL(30)
#define VMX_MISC_MSEG			GENMASK_ULL(63, 32)

/*
 * The VMX instructions. CF is set before each: success clears it, VMfailInvalid sets it, VMfailValid
 * sets ZF, and an instruction that faults (somebody took the CPU out of VMX operation) leaves CF as
 * it is and goes on behind itself by its exception-table entry. So 'not above' is failure in all its
 * forms, without a register.
 */
#define VMX_INSN(insn)				\
	"stc\n"					\
	"1:\t" insn "\n"			\
	"2:\n"					\
	_ASM_EXTABLE(1b, 2b)

/* Kills the VM that is on this CPU. */
void vmx_field_failed(struct vmcs_field field, bool write);

static __always_inline u64 __vmread(struct vmcs_field field)
{
	bool failed;
	u64 value;

	count_op(vmread);
	asm volatile(VMX_INSN("vmread %[field], %[value]")
		     : [value] "=r" (value), "=@ccna" (failed)
		     : [field] "r" ((u64)field.encoding));
	if (unlikely(failed)) {
		vmx_field_failed(field, false);
		return 0;
	}
	return value;
}

static __always_inline void __vmwrite(struct vmcs_field field, u64 value)
{
	bool failed;

	count_op(vmwrite);
	asm volatile(VMX_INSN("vmwrite %[value], %[field]")
		     : "=@ccna" (failed)
		     : [field] "r" ((u64)field.encoding), [value] "rm" (value));
	if (unlikely(failed))
		vmx_field_failed(field, true);
}

static __always_inline void vmcs_check_width(struct vmcs_field field, enum vmcs_width width)
{
	/* Fields from a table are not constant, and are checked where the table is used. */
	BUILD_BUG_ON_MSG(__builtin_constant_p(field.encoding) &&
			 (field.encoding & VMCS_WIDTH_MASK) >> 13 != width,
			 "VMCS field accessed with the wrong width");
}

#define VMCS_ACCESSORS(suffix, type, width)						\
static __always_inline type vmread##suffix(struct vmcs_field field)			\
{											\
	vmcs_check_width(field, width);							\
	return __vmread(field);								\
}											\
static __always_inline void vmwrite##suffix(struct vmcs_field field, type value)	\
{											\
	vmcs_check_width(field, width);							\
	__vmwrite(field, value);							\
}

VMCS_ACCESSORS(16, u16, VMCS_W16)
VMCS_ACCESSORS(32, u32, VMCS_W32)
VMCS_ACCESSORS(64, u64, VMCS_W64)
VMCS_ACCESSORS(n, u64, VMCS_NATURAL)

/* True: success. */
static inline bool vmx_vmptrld(u64 pa)
{
	bool failed;

	count_op(vmptrld);
	asm volatile(VMX_INSN("vmptrld %[pa]") : "=@ccna" (failed) : [pa] "m" (pa) : "memory");
	return !failed;
}

static inline bool vmx_vmclear(u64 pa)
{
	bool failed;

	count_op(vmclear);
	asm volatile(VMX_INSN("vmclear %[pa]") : "=@ccna" (failed) : [pa] "m" (pa) : "memory");
	return !failed;
}

/* ~0 when there is no current VMCS. */
static inline bool vmx_vmptrst(u64 *pa)
{
	bool failed;

	asm volatile(VMX_INSN("vmptrst %[pa]") : "=@ccna" (failed), [pa] "=m" (*pa));
	return !failed;
}

static inline bool vmx_vmxoff(void)
{
	bool failed;

	asm volatile(VMX_INSN("vmxoff") : "=@ccna" (failed) : : "memory");
	return !failed;
}

/**
 * vmx_vmxon - enter root mode
 *
 * 0; -EBUSY on VMfail: the CPU is in root mode already; -EIO when the instruction faults.
 */
static inline int vmx_vmxon(u64 pa)
{
	count_op(vmxon);
	asm goto("1:\tvmxon %[pa]\n\t"
		 "jna %l[failed]\n"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : [pa] "m" (pa) : "cc", "memory" : failed, fault);
	return 0;
failed:
	return -EBUSY;
fault:
	return -EIO;
}

static inline bool vmx_invept(u64 type, u64 eptp)
{
	struct { u64 eptp, zero; } descriptor = { eptp, 0 };
	bool failed;

	count_op(tlb_flush);
	asm volatile(VMX_INSN("invept %[descriptor], %[type]")
		     : "=@ccna" (failed)
		     : [descriptor] "m" (descriptor), [type] "r" (type) : "memory");
	return !failed;
}

static inline bool vmx_invvpid(u64 type, u16 vpid, u64 address)
{
	struct { u64 vpid, address; } descriptor = { vpid, address };
	bool failed;

	count_op(tlb_flush);
	asm volatile(VMX_INSN("invvpid %[descriptor], %[type]")
		     : "=@ccna" (failed)
		     : [descriptor] "m" (descriptor), [type] "r" (type) : "memory");
	return !failed;
}

#endif
