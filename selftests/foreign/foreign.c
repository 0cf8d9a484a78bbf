// SPDX-License-Identifier: GPL-2.0
/*
 * A hypervisor that asks nobody: takes root mode on every CPU behind the kernel's back, as modules from outside the tree do,
 * and keeps it. Whether all of it is still there is in /sys/module/foreign/parameters/intact.
 *
 * SVM: EFER.SVME and VM_HSAVE_PA. VMX: CR4.VMXE, root operation, and a current VMCS with a value in a field.
 */
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/special_insns.h>

#define GUEST_RIP	0x681eul

/* VMXON region and VMCS, or the host save area. */
struct own {
	void *page[2];
	bool taken;
	bool intact;
};
static DEFINE_PER_CPU(struct own, owns);

static u64 msr_read(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (msr));
	return low | (u64)high << 32;
}

static void msr_write(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c" (msr), "a" ((u32)value), "d" ((u32)(value >> 32)) : "memory");
}

static void cr4_write(unsigned long value)
{
	asm volatile("mov %0, %%cr4" : : "r" (value) : "memory");
}

static bool is_amd(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD;
}

/* Whether an instruction of VMX's with the address of a structure has succeeded. */
#define VMX_OP(name, own, n)						\
({									\
	u64 pa = __pa((own)->page[n]);					\
	bool ok;							\
									\
	asm volatile(name " %1\n\tseta %0" : "=q" (ok) : "m" (pa) : "memory", "cc");	\
	ok;								\
})

static unsigned long magic(void)
{
	return 0xf04e1600ul + smp_processor_id();
}

static bool take_vmx(struct own *own)
{
	unsigned long field = GUEST_RIP, value = magic();

	*(u32 *)own->page[0] = *(u32 *)own->page[1] = (u32)msr_read(MSR_IA32_VMX_BASIC);
	cr4_write(native_read_cr4() | X86_CR4_VMXE);
	if (!VMX_OP("vmxon", own, 0)) {
		cr4_write(native_read_cr4() & ~X86_CR4_VMXE);
		return false;
	}
	VMX_OP("vmclear", own, 1);
	VMX_OP("vmptrld", own, 1);
	asm volatile("vmwrite %1, %0" : : "r" (field), "r" (value) : "cc");
	return true;
}

static bool vmx_intact(struct own *own)
{
	unsigned long field = GUEST_RIP, value = 0;
	u64 current_pa = 0;

	if (!(native_read_cr4() & X86_CR4_VMXE))
		return false;
	asm volatile("vmptrst %0" : "=m" (current_pa) : : "cc");
	if (current_pa != __pa(own->page[1]))
		return false;
	asm volatile("vmread %1, %0" : "=r" (value) : "r" (field) : "cc");
	return value == magic();
}

static void leave_vmx(struct own *own)
{
	VMX_OP("vmclear", own, 1);
	asm volatile("vmxoff" : : : "cc");
	cr4_write(native_read_cr4() & ~X86_CR4_VMXE);
}

static void take(void *unused)
{
	struct own *own = this_cpu_ptr(&owns);

	if (is_amd()) {
		msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME);
		msr_write(MSR_VM_HSAVE_PA, __pa(own->page[0]));
		own->taken = true;
	} else {
		own->taken = take_vmx(own);
	}
}

static void look(void *unused)
{
	struct own *own = this_cpu_ptr(&owns);

	if (is_amd())
		own->intact = msr_read(MSR_EFER) & EFER_SVME && msr_read(MSR_VM_HSAVE_PA) == __pa(own->page[0]);
	else
		own->intact = own->taken && vmx_intact(own);
}

static void leave(void *unused)
{
	struct own *own = this_cpu_ptr(&owns);

	if (!own->taken)
		return;
	if (is_amd()) {
		msr_write(MSR_VM_HSAVE_PA, 0);
		msr_write(MSR_EFER, msr_read(MSR_EFER) & ~EFER_SVME);
	} else {
		leave_vmx(own);
	}
}

static int get_intact(char *buffer, const struct kernel_param *kp)
{
	bool intact = true;
	int cpu;

	on_each_cpu(look, NULL, 1);
	for_each_online_cpu(cpu)
		intact &= per_cpu(owns, cpu).intact;
	return sysfs_emit(buffer, "%c\n", intact ? 'Y' : 'N');
}

static const struct kernel_param_ops intact_ops = { .get = get_intact };
module_param_cb(intact, &intact_ops, NULL, 0444);
MODULE_PARM_DESC(intact, "Is root mode as it was taken, on every CPU?");

static bool oops;
module_param(oops, bool, 0444);
MODULE_PARM_DESC(oops, "Kill the task that loads the module, and take nothing");

static void put_pages(void)
{
	int cpu, i;

	for_each_possible_cpu(cpu)
		for (i = 0; i < 2; i++)
			free_page((unsigned long)per_cpu(owns, cpu).page[i]);
}

static int __init foreign_init(void)
{
	int cpu, i;

	BUG_ON(oops);
	for_each_possible_cpu(cpu)
		for (i = 0; i < 2; i++) {
			per_cpu(owns, cpu).page[i] = (void *)get_zeroed_page(GFP_KERNEL);
			if (!per_cpu(owns, cpu).page[i]) {
				put_pages();
				return -ENOMEM;
			}
		}
	on_each_cpu(take, NULL, 1);
	for_each_online_cpu(cpu)
		if (!per_cpu(owns, cpu).taken) {
			on_each_cpu(leave, NULL, 1);
			put_pages();
			return -EBUSY;
		}
	return 0;
}

static void __exit foreign_exit(void)
{
	on_each_cpu(leave, NULL, 1);
	put_pages();
}

module_init(foreign_init);
module_exit(foreign_exit);
MODULE_DESCRIPTION("Root mode for nobody, for tests of those who share it");
MODULE_LICENSE("GPL");
