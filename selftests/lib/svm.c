// SPDX-License-Identifier: GPL-2.0
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nested.h"
#include "svm.h"
#include "tap.h"

_Static_assert(sizeof(struct test_vmcb) == 4096 && __builtin_offsetof(struct test_vmcb, cr4) == 0x548 &&
	       __builtin_offsetof(struct test_vmcb, g_pat) == 0x668, "layout of the VMCB");

/* Empty in programs without an L2. */
extern const char __start_l2_code[] __attribute__((weak)), __stop_l2_code[] __attribute__((weak));

/* VMRUN with RAX; OUT to SVM_DONE; again if user space goes on. */
static const uint8_t l1_code[] = { 0x0f, 0x01, 0xd8, 0xe6, SVM_DONE, 0xeb, 0xf9 };

#define PTE_TABLE	0x7
#define PTE_LARGE	0x87

static uint64_t *at(struct svm_test *t, uint64_t gpa)
{
	return (uint64_t *)(t->memory + gpa);
}

/* 2 MiB pages for the first GiB. */
static void make_tables(struct svm_test *t)
{
	at(t, L1_TABLES)[0] = (L1_TABLES + 0x1000) | PTE_TABLE;
	at(t, L1_TABLES + 0x1000)[0] = (L1_TABLES + 0x2000) | PTE_TABLE;
	for (uint64_t i = 0; i < 512; i++)
		at(t, L1_TABLES + 0x2000)[i] = i << 21 | PTE_LARGE;
}

/* Exceptions in L1 or L2: mov $SVM_HANDLER + vector, %dx; out; stay. */
static void make_idt(struct svm_test *t)
{
	for (unsigned int v = 0; v < 32; v++) {
		uint64_t handler = L1_IDT + 0x800 + 16 * v, *gate = at(t, L1_IDT + 16 * v);
		uint8_t code[] = { 0x66, 0xba, (SVM_HANDLER + v) & 0xff, (SVM_HANDLER + v) >> 8, 0xee, 0xeb, 0xfd };

		memcpy(t->memory + handler, code, sizeof(code));
		gate[0] = (handler & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (handler >> 16 & 0xffff) << 48;
		gate[1] = 0;
	}
	at(t, L1_GDT)[1] = 0x00af9b000000ffff;
	at(t, L1_GDT)[2] = 0x00cf93000000ffff;
}

typedef struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } cpuid_list;

static void add_enlightenments(struct svm_test *t, cpuid_list *all)
{
	static cpuid_list hv;

	hv.list.nent = 32;
	KVM(t->vcpu, KVM_GET_SUPPORTED_HV_CPUID, &hv);
	for (unsigned int i = 0; i < hv.list.nent; i++) {
		if (hv.entries[i].function == 0x4000000a)
			t->hv_nested = hv.entries[i].eax;
		all->entries[all->list.nent++] = hv.entries[i];
	}
}

static void give_cpuid(struct svm_test *t, uint32_t hidden, bool hyperv)
{
	static cpuid_list supported;
	unsigned int n = 0;
	bool svm = false;

	supported.list.nent = 224;
	KVM(t->sys, KVM_GET_SUPPORTED_CPUID, &supported);
	for (unsigned int i = 0; i < supported.list.nent; i++) {
		struct kvm_cpuid_entry2 *e = &supported.entries[i];

		svm |= e->function == 0x80000001 && e->ecx & 4;
		if (e->function == 0x8000000a)
			t->features = e->edx &= ~hidden;
		/* The place of KVM's own leaves is Hyper-V's. */
		if (!hyperv || e->function >> 28 != 4)
			supported.entries[n++] = *e;
	}
	supported.list.nent = n;
	if (!svm)
		tap_skip_all("%s offers no nested SVM", device_path());
	if (hyperv)
		add_enlightenments(t, &supported);
	KVM(t->vcpu, KVM_SET_CPUID2, &supported);
}

void svm_set_msr(struct svm_test *t, uint32_t index, uint64_t value)
{
	struct { struct kvm_msrs list; struct kvm_msr_entry entry; } msrs = {
		.list.nmsrs = 1, .entry = { .index = index, .data = value },
	};

	if (KVM(t->vcpu, KVM_SET_MSRS, &msrs) != 1)
		tap_fail("MSR %#x cannot be set", index);
}

bool svm_cpu_is_qemu(void)
{
	uint32_t a, name[3];

	__cpuid(0x40000000, a, name[0], name[1], name[2]);
	return !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
}

void svm_open_with(struct svm_test *t, unsigned int what, uint32_t hidden)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_userspace_memory_region region = { .memory_size = SVM_MEMORY };

	memset(t, 0, sizeof(*t));
	t->sys = device_open();
	t->vm = KVM_VALUE(t->sys, KVM_CREATE_VM, 0);
	t->memory = mmap(NULL, SVM_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->memory == MAP_FAILED)
		tap_fail("no memory: %s", strerror(errno));
	region.userspace_addr = (uintptr_t)t->memory;
	KVM(t->vm, KVM_SET_USER_MEMORY_REGION, &region);
	/* SMM sees the same memory. */
	region.slot = 1 << 16;
	KVM(t->vm, KVM_SET_USER_MEMORY_REGION, &region);
	if (what & SVM_IDLES)
		vm_disable_exits(t->vm);
	if (what & SVM_APIC)
		KVM(t->vm, KVM_ENABLE_CAP, &split);
	t->vcpu = KVM_VALUE(t->vm, KVM_CREATE_VCPU, 0);
	t->run = mmap(NULL, KVM_VALUE(t->sys, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, t->vcpu, 0);
	if (t->run == MAP_FAILED)
		tap_fail("mmap of the vCPU: %s", strerror(errno));
	give_cpuid(t, hidden, what & SVM_HYPERV);
	t->vmcb = (struct test_vmcb *)(t->memory + L1_VMCB);
	memcpy(t->memory + L1_CODE, l1_code, sizeof(l1_code));
	memcpy(t->memory + L2_CODE, __start_l2_code, __stop_l2_code - __start_l2_code);
	make_tables(t);
	make_idt(t);
}

void svm_open(struct svm_test *t)
{
	svm_open_with(t, 0, 0);
}

void svm_close(struct svm_test *t)
{
	munmap(t->run, KVM_VALUE(t->sys, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(t->vcpu);
	close(t->vm);
	close(t->sys);
	munmap(t->memory, SVM_MEMORY);
}

static struct kvm_segment segment(unsigned int selector, unsigned int type, bool code)
{
	return (struct kvm_segment) {
		.limit = ~0u, .selector = selector, .type = type, .present = 1, .s = 1, .l = code, .db = !code, .g = 1,
	};
}

static void reset_l1(struct svm_test *t)
{
	struct kvm_nested_state none = nested_none(KVM_STATE_NESTED_FORMAT_SVM);
	struct kvm_regs regs = { .rip = L1_CODE, .rsp = L1_STACK, .rflags = 2, .rax = L1_VMCB };
	struct kvm_vcpu_events events = {};
	struct kvm_sregs s;

	KVM(t->vcpu, KVM_SET_NESTED_STATE, &none);
	KVM(t->vcpu, KVM_GET_SREGS, &s);
	s.cs = segment(8, 11, true);
	s.ds = s.es = s.ss = s.fs = s.gs = segment(16, 3, false);
	s.cr0 = 0x80000011;
	s.cr3 = L1_TABLES;
	s.cr4 = 0x20;
	s.efer = 0x1500;
	s.gdt = (struct kvm_dtable) { .base = L1_GDT, .limit = 23 };
	s.idt = (struct kvm_dtable) { .base = L1_IDT, .limit = 32 * 16 - 1 };
	KVM(t->vcpu, KVM_SET_SREGS, &s);
	KVM(t->vcpu, KVM_SET_REGS, &regs);
	KVM(t->vcpu, KVM_SET_VCPU_EVENTS, &events);
	svm_set_msr(t, MSR_VM_HSAVE_PA, L1_HSAVE);
}

uint64_t svm_l2_address(const char *label)
{
	return L2_CODE + (label - __start_l2_code);
}

void svm_intercept(struct svm_test *t, unsigned int bit)
{
	t->vmcb->intercepts[bit / 32] |= 1u << bit % 32;
}

void svm_prepare(struct svm_test *t, const char *label)
{
	const struct test_seg data = { 16, 0xc93, ~0u, 0 };
	struct test_vmcb *v = t->vmcb;

	reset_l1(t);
	memset(v, 0, sizeof(*v));
	memset(t->memory + L1_MSRPM, 0, 0x2000);
	memset(t->memory + L1_IOPM, 0, 0x3000);
	svm_intercept(t, EXIT_VMRUN);
	svm_intercept(t, EXIT_VMMCALL);
	v->asid = 1;
	v->iopm = L1_IOPM;
	v->msrpm = L1_MSRPM;
	v->es = v->ss = v->ds = v->fs = v->gs = data;
	v->cs = (struct test_seg) { 8, 0xa9b, ~0u, 0 };
	v->gdtr = (struct test_seg) { .limit = 23, .base = L1_GDT };
	v->idtr = (struct test_seg) { .limit = 32 * 16 - 1, .base = L1_IDT };
	v->efer = 0x1500;
	v->cr0 = 0x80000011;
	v->cr3 = L1_TABLES;
	v->cr4 = 0x20;
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	v->rflags = 2;
	v->rip = svm_l2_address(label);
	v->rsp = L2_STACK;
	v->g_pat = 0x0007040600070406ull;
}

int svm_continue(struct svm_test *t)
{
	int r = kvm_raw(t->vcpu, KVM_RUN, NULL);

	if (r < 0)
		tap_fail("KVM_RUN: %s", strerror(-r));
	return t->run->exit_reason == KVM_EXIT_IO ? t->run->io.port : -1;
}

int svm_run(struct svm_test *t)
{
	return svm_continue(t);
}

void svm_make_npt(struct svm_test *t, bool gigabytes)
{
	uint64_t i;

	memset(t->memory + L1_NPT, 0, 0x4000);
	at(t, L1_NPT)[0] = (L1_NPT + 0x1000) | PTE_TABLE;
	if (gigabytes) {
		for (i = 0; i < 512; i++)
			at(t, L1_NPT + 0x1000)[i] = i << 30 | PTE_LARGE;
	} else {
		at(t, L1_NPT + 0x1000)[0] = (L1_NPT + 0x2000) | PTE_TABLE;
		at(t, L1_NPT + 0x2000)[0] = (L1_NPT + 0x3000) | PTE_TABLE;
		at(t, L1_NPT + 0x2000)[1] = L1_HIGH | PTE_LARGE;
		for (i = 0; i < 512; i++)
			at(t, L1_NPT + 0x3000)[i] = i << 12 | PTE_TABLE;
	}
	t->vmcb->nested_ctl = 1;
	t->vmcb->nested_cr3 = L1_NPT;
}
