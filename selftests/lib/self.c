// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "self.h"
#include "tap.h"

/* Where the linker put the image. */
extern const char __executable_start[], _end[];

#define PAGE		4096ull
#define PML4		0x1000
#define PDPT_LOW	0x2000
#define PD_LOW		0x3000
#define TABLES		0x10000		/* those of the image; up to GDT */
#define GDT		0x40000
#define IDT		0x41000
#define TSS		0x42000
#define STACK		0x60000		/* its top */
#define FAULT_STACK	0x70000

#define PTE_TABLE	7ull
#define PTE_PAGE	7ull

#define MAX_CHECKS	2048

volatile struct self_fault self_fault;
volatile uint64_t self_recover;
volatile uint64_t self_pages;

static struct { const char *name; uint64_t a, b; bool ok; } checks[MAX_CHECKS];
static volatile unsigned int nr_checks;

static uint64_t image_start(void)
{
	return (uint64_t)__executable_start & -PAGE;
}

static uint64_t image_size(void)
{
	return (((uint64_t)_end + PAGE - 1) & -PAGE) - image_start();
}

uint64_t self_gpa(const volatile void *p)
{
	uint64_t address = (uint64_t)p;

	return address < SELF_MEMORY ? address : address - image_start() + SELF_IMAGE;
}

/* Every vector's stub pushes an error code where the CPU does not, and its number. */
asm(".pushsection .text\n"
    ".balign 16\n"
    "self_stubs:\n"
    ".set vector, 0\n"
    ".rept 256\n"
    ".balign 16\n"
    ".if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17\n"
    "	push $0\n"
    ".endif\n"
    "	push $vector\n"
    "	jmp self_stub_common\n"
    ".set vector, vector + 1\n"
    ".endr\n"
    "self_stub_common:\n"
    "	push %rax\n"
    "	mov 8(%rsp), %rax\n"
    "	mov %rax, self_fault(%rip)\n"
    "	mov 16(%rsp), %rax\n"
    "	mov %rax, self_fault + 8(%rip)\n"
    "	mov 24(%rsp), %rax\n"
    "	mov %rax, self_fault + 16(%rip)\n"
    "	mov %cr2, %rax\n"
    "	mov %rax, self_fault + 24(%rip)\n"
    "	mov self_recover(%rip), %rax\n"
    "	test %rax, %rax\n"
    "	jz 1f\n"
    "	mov %rax, 24(%rsp)\n"
    "	pop %rax\n"
    "	add $16, %rsp\n"
    "	iretq\n"
    "1:	mov $0xdead, %eax\n"
    "	out %eax, $0x80\n"
    "	jmp 1b\n"
    ".popsection\n");
extern const char self_stubs[];

void self_exit(uint32_t word)
{
	asm volatile("out %0, $0x80" : : "a" (word) : "memory");
}

void *self_page(void)
{
	uint64_t *page = (void *)self_pages;
	int i;

	self_pages += PAGE;
	for (i = 0; i < 512; i++)
		((volatile uint64_t *)page)[i] = 0;
	return page;
}

void self_check(bool ok, const char *name, uint64_t a, uint64_t b)
{
	unsigned int n = nr_checks;

	if (n >= MAX_CHECKS)
		return;
	checks[n].ok = ok;
	checks[n].name = name;
	checks[n].a = a;
	checks[n].b = b;
	nr_checks = n + 1;
}

void self_report(void)
{
	unsigned int i;

	for (i = 0; i < nr_checks; i++) {
		tap_check(checks[i].ok, "%s", checks[i].name);
		if (!checks[i].ok)
			tap_note("%#llx, %#llx", (unsigned long long)checks[i].a, (unsigned long long)checks[i].b);
	}
	nr_checks = 0;
}

static void put64(struct self *s, uint64_t at, uint64_t value)
{
	memcpy(s->memory + at, &value, sizeof(value));
}

static uint64_t get64(struct self *s, uint64_t at)
{
	uint64_t value;

	memcpy(&value, s->memory + at, sizeof(value));
	return value;
}

static void map_page(struct self *s, uint64_t gva, uint64_t gpa, uint64_t *next_table)
{
	uint64_t table = PML4, at;
	int shift;

	for (shift = 39; shift > 12; shift -= 9) {
		at = table + (gva >> shift & 511) * 8;
		if (!get64(s, at)) {
			if (*next_table >= GDT)
				tap_fail("the program is too large to be mapped");
			put64(s, at, *next_table | PTE_TABLE);
			*next_table += PAGE;
		}
		table = get64(s, at) & 0xffffffffff000;
	}
	put64(s, table + (gva >> 12 & 511) * 8, gpa | PTE_PAGE);
}

static void make_tables(struct self *s)
{
	uint64_t next = TABLES, gva;

	for (gva = 0; gva < SELF_MEMORY; gva += PAGE)
		map_page(s, gva, gva, &next);
	for (gva = 0; gva < image_size(); gva += PAGE)
		map_page(s, image_start() + gva, SELF_IMAGE + gva, &next);
}

static void make_descriptors(struct self *s)
{
	unsigned int v;

	put64(s, GDT + SELF_CS, 0x00af9b000000ffff);
	put64(s, GDT + SELF_DS, 0x00cf93000000ffff);
	put64(s, GDT + SELF_TSS, 0x67 | (uint64_t)(TSS & 0xffffff) << 16 | 0x8bull << 40);
	for (v = 0; v < 256; v++) {
		uint64_t at = (uint64_t)self_stubs + 16 * v;

		put64(s, IDT + 16 * v, (at & 0xffff) | SELF_CS << 16 | 0x8e00ull << 32 | (at >> 16 & 0xffff) << 48);
		put64(s, IDT + 16 * v + 8, at >> 32);
	}
	put64(s, TSS + 4, FAULT_STACK);
}

static void add_slot(struct self *s, uint32_t slot, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = (uintptr_t)host,
	};

	KVM(s->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static void give_cpuid(struct self *s)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } supported;

	supported.list.nent = 256;
	KVM(s->sys, KVM_GET_SUPPORTED_CPUID, &supported);
	KVM(s->vcpu, KVM_SET_CPUID2, &supported);
}

static void set_mode(struct self *s)
{
	struct kvm_segment data = { .limit = ~0u, .type = 3, .s = 1, .present = 1, .db = 1, .g = 1, .selector = SELF_DS };
	struct kvm_segment code = data;
	struct kvm_sregs r = {};

	code.type = 11;
	code.l = 1;
	code.db = 0;
	code.selector = SELF_CS;
	KVM(s->vcpu, KVM_GET_SREGS, &r);
	r.cs = code;
	r.ds = r.es = r.fs = r.gs = r.ss = data;
	r.tr = (struct kvm_segment) { .base = TSS, .limit = 0x67, .type = 11, .present = 1, .selector = SELF_TSS };
	r.cr0 = 0x80000033;
	r.cr3 = PML4;
	r.cr4 = 0x620;
	r.efer = 0x500;
	r.idt.base = IDT;
	r.idt.limit = 0xfff;
	r.gdt.base = GDT;
	r.gdt.limit = 0x27;
	KVM(s->vcpu, KVM_SET_SREGS, &r);
}

void self_create(struct self *s)
{
	int size;

	s->sys = device_open();
	s->vm = KVM_VALUE(s->sys, KVM_CREATE_VM, 0);
	s->memory = mmap(NULL, SELF_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->memory == MAP_FAILED)
		tap_fail("mmap");
	add_slot(s, 0, 0, SELF_MEMORY, s->memory);
	add_slot(s, 1, SELF_IMAGE, image_size(), (void *)image_start());
	make_tables(s);
	make_descriptors(s);
	self_pages = SELF_FREE;
	KVM(s->vm, KVM_CREATE_IRQCHIP, NULL);
	s->vcpu = KVM_VALUE(s->vm, KVM_CREATE_VCPU, 0);
	size = KVM(s->sys, KVM_GET_VCPU_MMAP_SIZE, NULL);
	s->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->vcpu, 0);
	if (s->run == MAP_FAILED)
		tap_fail("mmap of the vCPU");
	give_cpuid(s);
	set_mode(s);
}

void self_start(struct self *s, void (*function)(void))
{
	struct kvm_regs r = { .rip = (uintptr_t)function, .rsp = STACK - 8, .rflags = 2 };

	KVM(s->vcpu, KVM_SET_REGS, &r);
}

uint32_t self_run(struct self *s)
{
	const struct kvm_run *run = s->run;
	uint32_t word;
	int r;

	do {
		r = kvm_raw(s->vcpu, KVM_RUN, NULL);
	} while (r == -EINTR);
	if (r < 0)
		tap_fail("KVM_RUN: %s", strerror(-r));
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != SELF_PORT) {
		tap_note("exit reason %u, hardware reason %#llx", run->exit_reason,
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		tap_fail("an exit that nobody expects");
	}
	memcpy(&word, (const char *)run + run->io.data_offset, sizeof(word));
	if (word == 0xdead) {
		tap_note("vector %lld, error %#llx, RIP %#llx (image at %#llx), CR2 %#llx", (long long)self_fault.vector,
			 (unsigned long long)self_fault.error, (unsigned long long)self_fault.rip,
			 (unsigned long long)image_start(), (unsigned long long)self_fault.cr2);
		tap_fail("an exception that nobody expects");
	}
	return word;
}

void self_run_all(struct self *s, void (*function)(void), void (*handle)(uint32_t word))
{
	uint32_t word;

	self_start(s, function);
	do {
		word = self_run(s);
		self_report();
		if (word && handle)
			handle(word);
	} while (word);
}

void self_destroy(struct self *s)
{
	close(s->vcpu);
	close(s->vm);
	close(s->sys);
	munmap(s->memory, SELF_MEMORY);
}
