/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMX for guests of self.h that are hypervisors: instructions, fields, bits.
 */
#ifndef TEST_VMX_GUEST_H
#define TEST_VMX_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "self.h"

#define CR4_VMXE		0x2000

#define MSR_FEATURE_CONTROL	0x3a
#define MSR_VMX_BASIC		0x480
#define MSR_VMX_MISC		0x485
#define MSR_VMX_CPU2		0x48b
#define MSR_VMX_EPT_VPID	0x48c
#define MSR_VMX_TRUE_PIN	0x48d
#define MSR_VMX_TRUE_CPU	0x48e
#define MSR_VMX_TRUE_EXIT	0x48f
#define MSR_VMX_TRUE_ENTRY	0x490
#define MSR_VMX_VMFUNC		0x491
#define MSR_EFER		0xc0000080

/* Fields; arrays begin with ES, in the order of the manual. */
enum {
	VPID = 0x0000, POSTED_VECTOR = 0x0002, EPTP_INDEX = 0x0004, GUEST_ES_SELECTOR = 0x0800, GUEST_INTR_STATUS = 0x0810,
	PML_INDEX = 0x0812,
	HOST_ES_SELECTOR = 0x0c00, HOST_TR_SELECTOR = 0x0c0c,
	IO_BITMAP_A = 0x2000, IO_BITMAP_B = 0x2002, MSR_BITMAP = 0x2004, EXIT_MSR_STORE = 0x2006, EXIT_MSR_LOAD = 0x2008,
	ENTRY_MSR_LOAD = 0x200a, PML_ADDRESS = 0x200e, TSC_OFFSET = 0x2010, VIRTUAL_APIC = 0x2012, APIC_ACCESS = 0x2014,
	POSTED_DESCRIPTOR = 0x2016, VMFUNC_CONTROLS = 0x2018, EPT_POINTER = 0x201a, EOI_EXIT_BITMAP = 0x201c,
	EPTP_LIST = 0x2024, VMREAD_BITMAP = 0x2026, VMWRITE_BITMAP = 0x2028, VE_INFO = 0x202a, GUEST_PHYSICAL = 0x2400,
	LINK_POINTER = 0x2800, GUEST_DEBUGCTL = 0x2802, GUEST_PAT = 0x2804, GUEST_EFER = 0x2806, GUEST_PDPTE0 = 0x280a,
	HOST_PAT = 0x2c00, HOST_EFER = 0x2c02,
	PIN_CONTROLS = 0x4000, CPU_CONTROLS = 0x4002, EXCEPTION_BITMAP = 0x4004, CR3_TARGET_COUNT = 0x400a,
	EXIT_CONTROLS = 0x400c, EXIT_MSR_STORE_COUNT = 0x400e, EXIT_MSR_LOAD_COUNT = 0x4010, ENTRY_CONTROLS = 0x4012,
	ENTRY_MSR_LOAD_COUNT = 0x4014, ENTRY_INTR_INFO = 0x4016, ENTRY_ERROR_CODE = 0x4018, ENTRY_INSN_LENGTH = 0x401a,
	TPR_THRESHOLD = 0x401c, CPU2_CONTROLS = 0x401e,
	INSN_ERROR = 0x4400, EXIT_REASON = 0x4402, EXIT_INTR_INFO = 0x4404, EXIT_ERROR_CODE = 0x4406,
	VECTORING_INFO = 0x4408, EXIT_INSN_LENGTH = 0x440c, EXIT_INSN_INFO = 0x440e,
	GUEST_ES_LIMIT = 0x4800, GUEST_GDTR_LIMIT = 0x4810, GUEST_IDTR_LIMIT = 0x4812, GUEST_ES_AR = 0x4814,
	GUEST_INTERRUPTIBILITY = 0x4824, GUEST_ACTIVITY = 0x4826, PREEMPTION_TIMER = 0x482e,
	CR0_MASK = 0x6000, CR4_MASK = 0x6002, CR0_SHADOW = 0x6004, CR4_SHADOW = 0x6006, CR3_TARGET0 = 0x6008,
	EXIT_QUALIFICATION = 0x6400, GUEST_LINEAR = 0x640a,
	GUEST_CR0 = 0x6800, GUEST_CR3 = 0x6802, GUEST_CR4 = 0x6804, GUEST_ES_BASE = 0x6806, GUEST_GDTR_BASE = 0x6816,
	GUEST_IDTR_BASE = 0x6818, GUEST_DR7 = 0x681a, GUEST_RSP = 0x681c, GUEST_RIP = 0x681e, GUEST_RFLAGS = 0x6820,
	GUEST_PENDING_DEBUG = 0x6822,
	HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02, HOST_CR4 = 0x6c04, HOST_FS_BASE = 0x6c06, HOST_GS_BASE = 0x6c08,
	HOST_TR_BASE = 0x6c0a, HOST_GDTR_BASE = 0x6c0c, HOST_IDTR_BASE = 0x6c0e, HOST_RSP = 0x6c14, HOST_RIP = 0x6c16,
};

#define CPU_SECONDARY		0x80000000u
#define CPU_TPR_SHADOW		0x200000u
#define CPU_MSR_BITMAPS		0x10000000u
#define CPU2_APIC_ACCESSES	0x1u
#define CPU2_EPT		0x2u
#define CPU2_X2APIC		0x10u
#define CPU2_VPID		0x20u
#define CPU2_UNRESTRICTED	0x80u
#define CPU2_APIC_REGISTERS	0x100u
#define CPU2_DELIVERY		0x200u
#define CPU2_VMFUNC		0x2000u
#define CPU2_SHADOWING		0x4000u
#define CPU2_PML		0x20000u
#define CPU2_VE			0x40000u
#define CPU2_MBEC		0x400000u
#define EXIT_HOST_64		0x200u
#define ENTRY_IA32E		0x200u

enum { EXIT_EXCEPTION = 0, EXIT_TRIPLE_FAULT = 2, EXIT_CPUID = 10, EXIT_HLT = 12, EXIT_VMCALL = 18, EXIT_VMREAD = 23,
       EXIT_VMWRITE = 25, EXIT_IO = 30, EXIT_RDMSR = 31, EXIT_WRMSR = 32, EXIT_INVALID_STATE = 33, EXIT_MTF = 37,
       EXIT_TPR = 43, EXIT_APIC_ACCESS = 44, EXIT_EOI = 45, EXIT_EPT_VIOLATION = 48, EXIT_EPT_MISCONFIG = 49,
       EXIT_TIMER = 52, EXIT_APIC_WRITE = 56, EXIT_VMFUNC = 59, EXIT_PML_FULL = 62 };

enum { VM_SUCCEED, VMFAIL_INVALID, VMFAIL_VALID };

#define VM_RESULT(text, ...)						\
({									\
	uint8_t invalid, valid;						\
	asm volatile(text "\n setc %0\n setz %1"			\
		     : "=&q" (invalid), "=&q" (valid) : __VA_ARGS__ : "memory", "cc");	\
	invalid ? VMFAIL_INVALID : valid ? VMFAIL_VALID : VM_SUCCEED;	\
})

static inline int vmxon(uint64_t address) { return VM_RESULT("vmxon %2", "m" (address)); }
static inline int vmclear(uint64_t address) { return VM_RESULT("vmclear %2", "m" (address)); }
static inline int vmptrld(uint64_t address) { return VM_RESULT("vmptrld %2", "m" (address)); }
static inline int vmlaunch(void) { return VM_RESULT("vmlaunch", "i" (0)); }
static inline int vmwrite(uint64_t field, uint64_t value) { return VM_RESULT("vmwrite %3, %2", "r" (field), "r" (value)); }
static inline int invept(uint64_t type, const void *d) { return VM_RESULT("invept (%2), %3", "r" (d), "r" (type)); }
static inline int invvpid(uint64_t type, const void *d) { return VM_RESULT("invvpid (%2), %3", "r" (d), "r" (type)); }

static inline int vmread(uint64_t field, uint64_t *value)
{
	uint64_t v = 0;
	uint8_t invalid, valid;

	asm volatile("vmread %3, %2\n setc %0\n setz %1"
		     : "=&q" (invalid), "=&q" (valid), "+r" (v) : "r" (field) : "memory", "cc");
	*value = v;
	return invalid ? VMFAIL_INVALID : valid ? VMFAIL_VALID : VM_SUCCEED;
}

static inline uint64_t vmptrst(void)
{
	uint64_t address = 0;

	asm volatile("vmptrst %0" : "=m" (address) : : "memory", "cc");
	return address;
}

/* The VM-instruction error; 0 when the instruction did not fail with one. */
static inline uint64_t vm_error(int result)
{
	uint64_t error = 0;

	if (result == VMFAIL_VALID)
		vmread(INSN_ERROR, &error);
	return error;
}

#define CR(n)										\
static inline uint64_t read_cr##n(void)							\
{											\
	uint64_t value;									\
											\
	asm volatile("mov %%cr" #n ", %0" : "=r" (value));				\
	return value;									\
}											\
static inline void write_cr##n(uint64_t value)						\
{											\
	asm volatile("mov %0, %%cr" #n : : "r" (value) : "memory");			\
}
CR(0)
CR(3)
CR(4)
CR(8)
#undef CR

/* General registers of L2, loaded by entries and saved by exits. */
struct l2_regs {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};
extern struct l2_regs l2_regs;

/* VMLAUNCH or VMRESUME: VM_SUCCEED after an exit. Sets HOST_RSP and HOST_RIP. */
int vm_enter(bool launch);

/* Controls: what is wanted and may be set, and what has to be. */
static inline uint32_t adjust(uint32_t msr, uint32_t wanted)
{
	uint64_t cap = self_rdmsr(msr);

	return (wanted | (uint32_t)cap) & cap >> 32;
}

/* The exit reason, or 0x10000 plus the error. */
uint64_t enter(bool launch);
uint64_t field(uint32_t encoding);
/* Fields that run @function as L2 in L1's mode; its stack and the EPTP are the caller's. VPID 1. */
void fill_vmcs(void (*function)(void), uint32_t cpu, uint32_t cpu2);

/* Code of L2's: an instruction, and VMCALL behind it. */
#define L2(name, text)								\
	void name(void);							\
	asm(".pushsection .text\n" #name ":\n" text "\n vmcall\n1: jmp 1b\n.popsection\n")

/* In the host: self_create(); skips the program where the VM's CPUID has no VMX. */
void self_create_vmx(struct self *s);

#endif
