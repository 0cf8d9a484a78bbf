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

void start(void (*function)(void), uint32_t cpu, uint32_t cpu2)
{
	vmclear((uint64_t)l1.vmcs);
	vmptrld((uint64_t)l1.vmcs);
	fill_vmcs(function, cpu, cpu2);
	vmwrite(EPT_POINTER, (uint64_t)l1.pml4 | 0x1e);
	vmwrite(GUEST_RSP, (uint64_t)l1.stack + 4096 - 8);
}

void skip(void)
{
	vmwrite(GUEST_RIP, field(GUEST_RIP) + field(EXIT_INSN_LENGTH));
}
