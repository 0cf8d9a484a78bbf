// SPDX-License-Identifier: GPL-2.0
#include "self.h"
#include "vmx_l1.h"

struct l1 l1;

uint64_t *new_region(uint32_t revision)
{
	uint64_t *page = self_page();

	*(volatile uint32_t *)page = revision;
	return page;
}

void enter_vmx_operation(void)
{
	l1.revision = self_rdmsr(MSR_VMX_BASIC);
	l1.vmxon = new_region(l1.revision);
	l1.vmcs = new_region(l1.revision);
	l1.other_vmcs = new_region(l1.revision);
	l1.stack = self_page();
	self_wrmsr(MSR_FEATURE_CONTROL, 5);
	write_cr4(read_cr4() | CR4_VMXE);
	CHECK_IS(vmxon((uint64_t)l1.vmxon), VM_SUCCEED, "VMXON");
}

void make_ept(void)
{
	uint64_t i;

	l1.pml4 = self_page();
	l1.pdpt = self_page();
	l1.pml4[0] = (uint64_t)l1.pdpt | 7;
	for (i = 0; i < 8; i++)
		l1.pdpt[i] = i << 30 | 0xb7;
}

uint64_t *split_ept(void)
{
	uint64_t *pd = self_page(), *pt = self_page(), i;

	for (i = 0; i < 512; i++) {
		pd[i] = i << 21 | 0xb7;
		pt[i] = (0x200000 + (i << 12)) | 0x37;
	}
	pd[1] = (uint64_t)pt | 7;
	l1.pdpt[0] = (uint64_t)pd | 7;
	return pt;
}

void flush_ept(void)
{
	struct { uint64_t eptp, zero; } d = { (uint64_t)l1.pml4 | 0x1e, 0 };

	invept(1, &d);
}

static void set_segment(uint32_t number, uint16_t selector, uint64_t base, uint32_t limit, uint32_t ar)
{
	vmwrite(GUEST_ES_SELECTOR + 2 * number, selector);
	vmwrite(GUEST_ES_BASE + 2 * number, base);
	vmwrite(GUEST_ES_LIMIT + 2 * number, limit);
	vmwrite(GUEST_ES_AR + 2 * number, ar);
}

/* A VMCS that runs @function as L2, in the mode that L1 is in. */
static void fill_vmcs(void (*function)(void), uint32_t cpu, uint32_t cpu2)
{
	struct descriptor { uint16_t limit; uint64_t base; } __attribute__((packed)) gdt, idt;
	unsigned int i;

	asm volatile("sgdt %0\n sidt %1" : "=m" (gdt), "=m" (idt));
	vmwrite(PIN_CONTROLS, adjust(MSR_VMX_TRUE_PIN, 0));
	vmwrite(CPU_CONTROLS, adjust(MSR_VMX_TRUE_CPU, cpu | CPU_SECONDARY));
	vmwrite(CPU2_CONTROLS, adjust(MSR_VMX_CPU2, cpu2));
	vmwrite(EXIT_CONTROLS, adjust(MSR_VMX_TRUE_EXIT, EXIT_HOST_64));
	vmwrite(ENTRY_CONTROLS, adjust(MSR_VMX_TRUE_ENTRY, ENTRY_IA32E));
	vmwrite(EPT_POINTER, (uint64_t)l1.pml4 | 0x1e);
	vmwrite(VPID, 1);
	vmwrite(EXCEPTION_BITMAP, 0);
	vmwrite(LINK_POINTER, ~0ull);
	vmwrite(CR0_MASK, 0);
	vmwrite(CR4_MASK, 0);
	vmwrite(ENTRY_INTR_INFO, 0);
	vmwrite(ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(EXIT_MSR_STORE_COUNT, 0);
	vmwrite(CR3_TARGET_COUNT, 0);

	for (i = 0; i < 6; i++)
		set_segment(i, SELF_DS, 0, ~0u, 0xc093);
	set_segment(1, SELF_CS, 0, ~0u, 0xa09b);
	set_segment(6, 0, 0, 0, 0x10000);
	set_segment(7, SELF_TSS, 0x42000, 0x67, 0x8b);
	vmwrite(GUEST_GDTR_BASE, gdt.base);
	vmwrite(GUEST_GDTR_LIMIT, gdt.limit);
	vmwrite(GUEST_IDTR_BASE, idt.base);
	vmwrite(GUEST_IDTR_LIMIT, idt.limit);
	vmwrite(GUEST_CR0, read_cr0());
	vmwrite(GUEST_CR3, read_cr3());
	vmwrite(GUEST_CR4, read_cr4());
	vmwrite(GUEST_EFER, self_rdmsr(MSR_EFER));
	vmwrite(GUEST_DR7, 0x400);
	vmwrite(GUEST_RIP, (uint64_t)function);
	vmwrite(GUEST_RSP, (uint64_t)l1.stack + 4096 - 8);
	vmwrite(GUEST_RFLAGS, 2);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(GUEST_PENDING_DEBUG, 0);
	vmwrite(GUEST_DEBUGCTL, 0);

	for (i = 0; i < 6; i++)
		vmwrite(HOST_ES_SELECTOR + 2 * i, i == 1 ? SELF_CS : SELF_DS);
	vmwrite(HOST_TR_SELECTOR, SELF_TSS);
	vmwrite(HOST_FS_BASE, 0);
	vmwrite(HOST_GS_BASE, 0);
	vmwrite(HOST_TR_BASE, 0x42000);
	vmwrite(HOST_GDTR_BASE, gdt.base);
	vmwrite(HOST_IDTR_BASE, idt.base);
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, read_cr3());
	vmwrite(HOST_CR4, read_cr4());
	vmwrite(HOST_EFER, self_rdmsr(MSR_EFER));
}

uint64_t field(uint32_t encoding)
{
	uint64_t value = 0;

	vmread(encoding, &value);
	return value;
}

uint64_t enter(bool launch)
{
	int r = vm_enter(launch);

	return r == VM_SUCCEED ? field(EXIT_REASON) : r == VMFAIL_INVALID ? 0x10000 : 0x10000 + field(INSN_ERROR);
}

void start(void (*function)(void), uint32_t cpu, uint32_t cpu2)
{
	vmclear((uint64_t)l1.vmcs);
	vmptrld((uint64_t)l1.vmcs);
	fill_vmcs(function, cpu, cpu2);
}

void skip(void)
{
	vmwrite(GUEST_RIP, field(GUEST_RIP) + field(EXIT_INSN_LENGTH));
}
