// SPDX-License-Identifier: GPL-2.0
#include "tap.h"
#include "thin.h"

#pragma GCC target("general-regs-only")	/* L1 keeps no other registers of L2's */

bool thin_is_vmx;
volatile struct thin_counts thin_counts[SELF_CPUS];

void thin_create(struct self *s, unsigned int nr_cpus)
{
	self_create_cpus(s, nr_cpus);
	thin_is_vmx = self_cpuid_ecx(s, 1) & 1 << 5;
	if (!thin_is_vmx && !(self_cpuid_ecx(s, 0x80000001) & 1 << 2))
		tap_skip_all("%s offers guests neither VMX nor SVM", device_path());
}

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	asm volatile("cpuid" : "=a" (out[0]), "=b" (out[1]), "=c" (out[2]), "=d" (out[3]) : "a" (leaf), "c" (sub));
}

uint64_t thin_load(void)
{
	return thin_is_vmx ? thin_vmx_load() : thin_svm_load();
}

uint64_t thin_call(uint64_t number, uint64_t a, uint64_t b)
{
	uint64_t result = number;

	if (thin_is_vmx)
		asm volatile("vmcall" : "+a" (result) : "c" (a), "d" (b) : "memory");
	else
		asm volatile("vmmcall" : "+a" (result) : "c" (a), "d" (b) : "memory");
	return result;
}

void thin_unload(void)
{
	thin_call(THIN_UNLOAD, 0, 0);
}

bool thin_runs(void)
{
	uint32_t r[4];

	cpuid(THIN_LEAF, 0, r);
	return r[0] == THIN_SIGNATURE && r[1] == self_cpu();
}

bool thin_hook(uint64_t page, uint64_t code)
{
	return thin_is_vmx && thin_call(THIN_HOOK, page, code);
}

void thin_unhook(void)
{
	thin_call(THIN_UNHOOK, 0, 0);
}

void thin_cpuid(struct thin_regs *regs)
{
	uint32_t r[4];

	thin_counts[self_cpu()].cpuid++;
	cpuid(regs->rax, regs->rcx, r);
	if ((uint32_t)regs->rax == THIN_LEAF) {
		r[0] = THIN_SIGNATURE;
		r[1] = self_cpu();
	}
	regs->rax = r[0];
	regs->rbx = r[1];
	regs->rcx = r[2];
	regs->rdx = r[3];
}

bool thin_rdmsr(struct thin_regs *regs)
{
	/* L2 may be in a SELF_TRY() itself, which is this vCPU's as well. */
	const struct self_cpu l2 = self_cpus[self_cpu()];
	uint32_t low, high;
	bool done;

	thin_counts[self_cpu()].msr++;
	self_fault.vector = -1;
	asm volatile("lea 77f(%%rip), %%rax\n"
		     "mov %%rax, %[recover]\n"
		     "rdmsr\n"
		     "77:\n"
		     : "=&a" (low), "=d" (high) : "c" ((uint32_t)regs->rcx), [recover] "m" (self_recover) : "memory");
	done = self_fault.vector < 0;
	self_cpus[self_cpu()] = l2;
	if (done) {
		regs->rax = low;
		regs->rdx = high;
	}
	return done;
}

bool thin_wrmsr(struct thin_regs *regs)
{
	const struct self_cpu l2 = self_cpus[self_cpu()];
	bool done;

	thin_counts[self_cpu()].msr++;
	done = SELF_TRY("mov %2, %%eax\n wrmsr", "c" ((uint32_t)regs->rcx), "d" ((uint32_t)regs->rdx),
			"r" ((uint32_t)regs->rax)) < 0;
	self_cpus[self_cpu()] = l2;
	return done;
}

void thin_xsetbv(const struct thin_regs *regs)
{
	thin_counts[self_cpu()].xsetbv++;
	asm volatile("xsetbv" : : "c" ((uint32_t)regs->rcx), "a" ((uint32_t)regs->rax), "d" ((uint32_t)regs->rdx));
}

void thin_lost(uint64_t reason)
{
	for (;;)
		self_exit(0x7e000000 | (reason & 0xffffff));
}
