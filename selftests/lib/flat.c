// SPDX-License-Identifier: GPL-2.0
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "flat.h"
#include "tap.h"

/* Empty in programs that use another guest. */
extern const char __start_flat_code[] __attribute__((weak)), __stop_flat_code[] __attribute__((weak));

/* Handlers: out %al, $vector; jmp to itself. Four bytes each. */
static void fill_tables(struct flat *f)
{
	unsigned int v;

	for (v = 0; v < 256; v++) {
		uint32_t at = FLAT_HANDLERS + 4 * v;
		uint64_t gate = (at & 0xffff) | FLAT_CS << 16 | 0x8e00ull << 32 | (uint64_t)(at >> 16) << 48;

		memcpy(f->memory + FLAT_IDT + 8 * v, &gate, sizeof(gate));
		memcpy(f->memory + at, (unsigned char[]){ 0xe6, v, 0xeb, 0xfc }, 4);
	}
	memcpy(f->memory + FLAT_GDT + FLAT_CS, &(uint64_t){ 0x00cf9b000000ffff }, 8);
	memcpy(f->memory + FLAT_GDT + FLAT_DS, &(uint64_t){ 0x00cf93000000ffff }, 8);
}

void flat_create_vm(struct flat *f)
{
	struct kvm_userspace_memory_region region = { .memory_size = FLAT_SIZE };

	f->sys = device_open();
	f->vm = KVM_VALUE(f->sys, KVM_CREATE_VM, 0);
	f->memory = mmap(NULL, FLAT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->memory == MAP_FAILED)
		tap_fail("mmap");
	region.userspace_addr = (uintptr_t)f->memory;
	KVM(f->vm, KVM_SET_USER_MEMORY_REGION, &region);
	memcpy(f->memory + FLAT_CODE, __start_flat_code, __stop_flat_code - __start_flat_code);
	fill_tables(f);
}

void flat_set_mode(int vcpu)
{
	struct kvm_segment data = { .limit = ~0u, .type = 3, .s = 1, .present = 1, .db = 1, .g = 1,
				    .selector = FLAT_DS };
	struct kvm_segment code = data;
	struct kvm_sregs s = {};

	code.type = 11;
	code.selector = FLAT_CS;
	KVM(vcpu, KVM_GET_SREGS, &s);
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr0 |= 1;
	s.idt.base = FLAT_IDT;
	s.idt.limit = 0x7ff;
	s.gdt.base = FLAT_GDT;
	s.gdt.limit = 0xff;
	KVM(vcpu, KVM_SET_SREGS, &s);
}

static void give_cpuid(struct flat *f)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } supported;

	supported.list.nent = 256;
	KVM(f->sys, KVM_GET_SUPPORTED_CPUID, &supported);
	KVM(f->vcpu, KVM_SET_CPUID2, &supported);
}

void flat_create_vcpu(struct flat *f)
{
	int size = KVM(f->sys, KVM_GET_VCPU_MMAP_SIZE, NULL);

	f->vcpu = KVM_VALUE(f->vm, KVM_CREATE_VCPU, 0);
	f->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f->vcpu, 0);
	if (f->run == MAP_FAILED)
		tap_fail("mmap of the vCPU");
	give_cpuid(f);
	flat_set_mode(f->vcpu);
}

uint32_t flat_address(const char *label)
{
	return FLAT_CODE + (label - __start_flat_code);
}

void flat_prepare(struct flat *f, const char *label, uint64_t flags, struct kvm_regs *regs)
{
	struct kvm_regs none = {};

	if (!regs)
		regs = &none;
	regs->rip = flat_address(label);
	regs->rsp = FLAT_STACK;
	regs->rflags = FL_FIXED | flags;
	KVM(f->vcpu, KVM_SET_REGS, regs);
}

int flat_run(struct flat *f)
{
	int r = kvm_raw(f->vcpu, KVM_RUN, NULL);

	if (r < 0 && r != -EINTR)
		tap_fail("KVM_RUN: %s", strerror(-r));
	return r < 0 ? 0 : (int)f->run->exit_reason;
}

int flat_go(struct flat *f, const char *label, uint64_t flags, struct kvm_regs *regs)
{
	flat_prepare(f, label, flags, regs);
	return flat_run(f);
}

bool flat_at_port(const struct flat *f, unsigned int port)
{
	return f->run->exit_reason == KVM_EXIT_IO && f->run->io.direction == KVM_EXIT_IO_OUT &&
	       f->run->io.port == port;
}

struct kvm_regs flat_regs(struct flat *f)
{
	struct kvm_regs r = {};

	KVM(f->vcpu, KVM_GET_REGS, &r);
	return r;
}

uint32_t flat_frame(struct flat *f, unsigned int index)
{
	uint32_t at = flat_regs(f).rsp + 4 * index, word = 0;

	if (at <= FLAT_SIZE - sizeof(word))
		memcpy(&word, f->memory + at, sizeof(word));
	return word;
}

bool flat_is_amd(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && ecx == signature_AMD_ecx;
}
