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
#define TSS(cpu)	(SELF_TSS_BASE + (cpu) * SELF_TSS_SIZE)
#define STACK(cpu)	(0x60000ull + (cpu) * 0x10000)	/* its top */
#define FAULT_STACK(cpu) (0xe2000ull + (cpu) * 0x2000)

#define PTE_TABLE	7ull
#define PTE_PAGE	7ull
#define UNCACHED_LARGE	0x9bull		/* 2 MiB, the system's */

#define LOCAL_APIC	0xfee00000ull
#define IO_APIC		0xfec00000ull

#define MAX_CHECKS	2048

volatile struct self_cpu self_cpus[SELF_CPUS];
void (*self_prepare_vm)(int vm);
void (*volatile self_interrupt)(uint64_t vector);
volatile uint64_t self_pages;

/* The stubs know the layout. */
_Static_assert(sizeof(struct self_cpu) == 40 && offsetof(struct self_cpu, recover) == 32, "struct self_cpu");

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

/*
 * Every vector's stub pushes an error code where the CPU does not, and its number. Emulators differ in whether #SX has
 * one: the CPU aligns the stack before what it pushes.
 */
asm(".pushsection .text\n"
    ".balign 16\n"
    "self_stubs:\n"
    ".set vector, 0\n"
    ".rept 256\n"
    ".balign 16\n"
    ".if vector == 30\n"
    "	test $8, %spl\n"
    "	jz 1f\n"
    "	push $0\n"
    "1:\n"
    ".elseif vector != 8 && (vector < 10 || vector > 14) && vector != 17\n"
    "	push $0\n"
    ".endif\n"
    "	push $vector\n"
    "	jmp self_stub_common\n"
    ".set vector, vector + 1\n"
    ".endr\n"
    "self_stub_common:\n"
    "	push %rax\n"
    "	push %rbx\n"
    "	cmpq $32, 16(%rsp)\n"
    "	jb 1f\n"
    "	mov self_interrupt(%rip), %rax\n"
    "	test %rax, %rax\n"
    "	jnz 3f\n"
    "1:	str %ebx\n"
    "	sub $24, %ebx\n"		/* SELF_TSS; 16 bytes of the GDT are 40 of self_cpus */
    "	imul $40, %rbx, %rbx\n"
    "	shr $4, %rbx\n"
    "	lea self_cpus(%rip), %rax\n"
    "	add %rax, %rbx\n"
    "	mov 16(%rsp), %rax\n"
    "	mov %rax, (%rbx)\n"
    "	mov 24(%rsp), %rax\n"
    "	mov %rax, 8(%rbx)\n"
    "	mov 32(%rsp), %rax\n"
    "	mov %rax, 16(%rbx)\n"
    "	mov %cr2, %rax\n"
    "	mov %rax, 24(%rbx)\n"
    "	mov 32(%rbx), %rax\n"
    "	test %rax, %rax\n"
    "	jz 2f\n"
    "	mov %rax, 32(%rsp)\n"
    "	pop %rbx\n"
    "	pop %rax\n"
    "	add $16, %rsp\n"
    "	iretq\n"
    "2:	mov $0xdead, %eax\n"
    "	out %eax, $0x80\n"
    "	jmp 2b\n"
    "3:	push %rcx\n push %rdx\n push %rsi\n push %rdi\n push %r8\n push %r9\n push %r10\n push %r11\n"
    "	mov 80(%rsp), %rdi\n"
    "	mov %rsp, %rbx\n"
    "	and $-16, %rsp\n"
    "	cld\n"
    "	call *%rax\n"
    "	mov %rbx, %rsp\n"
    "	pop %r11\n pop %r10\n pop %r9\n pop %r8\n pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n"
    "	pop %rbx\n"
    "	pop %rax\n"
    "	add $16, %rsp\n"
    "	iretq\n"
    ".popsection\n");
extern const char self_stubs[];

void self_exit(uint32_t word)
{
	asm volatile("out %0, $0x80" : : "a" (word) : "memory");
}

void *self_page(void)
{
	uint64_t *page = (void *)__atomic_fetch_add(&self_pages, PAGE, __ATOMIC_SEQ_CST);
	int i;

	for (i = 0; i < 512; i++)
		((volatile uint64_t *)page)[i] = 0;
	return page;
}

void self_map_apics(void)
{
	uint64_t cr3, *pdpt, *pd = self_page();

	asm volatile("mov %%cr3, %0" : "=r" (cr3));
	pdpt = (void *)(*(uint64_t *)(cr3 & -PAGE) & -PAGE);
	pd[LOCAL_APIC >> 21 & 511] = LOCAL_APIC | UNCACHED_LARGE;
	pd[IO_APIC >> 21 & 511] = IO_APIC | UNCACHED_LARGE;
	pdpt[LOCAL_APIC >> 30] = (uint64_t)pd | 3;
}

void self_check(bool ok, const char *name, uint64_t a, uint64_t b)
{
	unsigned int n = __atomic_fetch_add(&nr_checks, 1, __ATOMIC_SEQ_CST);

	if (n >= MAX_CHECKS)
		return;
	checks[n].ok = ok;
	checks[n].name = name;
	checks[n].a = a;
	checks[n].b = b;
}

void self_report(void)
{
	unsigned int i;

	if (nr_checks > MAX_CHECKS)
		tap_fail("more checks than there is room for");
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
	unsigned int v, cpu;

	put64(s, GDT + SELF_CS, 0x00af9b000000ffff);
	put64(s, GDT + SELF_DS, 0x00cf93000000ffff);
	for (cpu = 0; cpu < SELF_CPUS; cpu++) {
		put64(s, GDT + SELF_TSS + 16 * cpu, 0x67 | (TSS(cpu) & 0xffffff) << 16 | 0x8bull << 40);
		put64(s, TSS(cpu) + 4, FAULT_STACK(cpu));
	}
	for (v = 0; v < 256; v++) {
		uint64_t at = (uint64_t)self_stubs + 16 * v;

		put64(s, IDT + 16 * v, (at & 0xffff) | SELF_CS << 16 | 0x8e00ull << 32 | (at >> 16 & 0xffff) << 48);
		put64(s, IDT + 16 * v + 8, at >> 32);
	}
}

static void add_slot(struct self *s, uint32_t slot, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = (uintptr_t)host,
	};

	KVM(s->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static void add_space(struct self *s, uint32_t space)
{
	add_slot(s, space << 16, 0, SELF_MEMORY, s->memory);
	add_slot(s, space << 16 | 1, SELF_IMAGE, image_size(), (void *)image_start());
}

void self_add_memory(struct self *s)
{
	add_space(s, 0);
}

void self_share_with_smm(struct self *s)
{
	add_space(s, 1);
}

static void give_cpuid(struct self *s, int vcpu)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } supported;

	supported.list.nent = 256;
	KVM(s->sys, KVM_GET_SUPPORTED_CPUID, &supported);
	KVM(vcpu, KVM_SET_CPUID2, &supported);
}

static void set_mode(int vcpu, unsigned int cpu)
{
	struct kvm_segment data = { .limit = ~0u, .type = 3, .s = 1, .present = 1, .db = 1, .g = 1, .selector = SELF_DS };
	struct kvm_segment code = data;
	struct kvm_sregs r = {};

	code.type = 11;
	code.l = 1;
	code.db = 0;
	code.selector = SELF_CS;
	KVM(vcpu, KVM_GET_SREGS, &r);
	r.cs = code;
	r.ds = r.es = r.fs = r.gs = r.ss = data;
	r.tr = (struct kvm_segment) {
		.base = TSS(cpu), .limit = 0x67, .type = 11, .present = 1, .selector = SELF_TSS + 16 * cpu,
	};
	r.cr0 = 0x80000033;
	r.cr3 = PML4;
	r.cr4 = 0x620;
	r.efer = 0x500;
	r.idt.base = IDT;
	r.idt.limit = 0xfff;
	r.gdt.base = GDT;
	r.gdt.limit = SELF_TSS + 16 * SELF_CPUS - 1;
	KVM(vcpu, KVM_SET_SREGS, &r);
}

static void add_cpu(struct self *s, unsigned int cpu)
{
	const struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	int fd = KVM_VALUE(s->vm, KVM_CREATE_VCPU, cpu);

	s->cpus[cpu].fd = fd;
	s->cpus[cpu].run = mmap(NULL, KVM(s->sys, KVM_GET_VCPU_MMAP_SIZE, NULL), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s->cpus[cpu].run == MAP_FAILED)
		tap_fail("mmap of the vCPU");
	give_cpuid(s, fd);
	set_mode(fd, cpu);
	KVM(fd, KVM_SET_MP_STATE, &runnable);
}

void self_create_cpus(struct self *s, unsigned int nr_cpus)
{
	unsigned int cpu;

	s->sys = device_open();
	s->vm = KVM_VALUE(s->sys, KVM_CREATE_VM, 0);
	if (self_prepare_vm)
		self_prepare_vm(s->vm);
	s->memory = mmap(NULL, SELF_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->memory == MAP_FAILED)
		tap_fail("mmap");
	self_add_memory(s);
	make_tables(s);
	make_descriptors(s);
	self_pages = SELF_FREE;
	KVM(s->vm, KVM_CREATE_IRQCHIP, NULL);
	s->nr_cpus = nr_cpus;
	for (cpu = 0; cpu < nr_cpus; cpu++)
		add_cpu(s, cpu);
	s->vcpu = s->cpus[0].fd;
	s->run = s->cpus[0].run;
}

void self_create(struct self *s)
{
	self_create_cpus(s, 1);
}

uint32_t self_cpuid_ecx(struct self *s, uint32_t function)
{
	static struct { struct kvm_cpuid2 list; struct kvm_cpuid_entry2 entries[256]; } c;
	unsigned int i;

	c.list.nent = 256;
	KVM(s->vcpu, KVM_GET_CPUID2, &c);
	for (i = 0; i < c.list.nent; i++)
		if (c.entries[i].function == function && !c.entries[i].index)
			return c.entries[i].ecx;
	return 0;
}

void self_start_cpu(struct self *s, unsigned int cpu, void (*function)(void))
{
	struct kvm_regs r = { .rip = (uintptr_t)function, .rsp = STACK(cpu) - 8, .rflags = 2 };

	KVM(s->cpus[cpu].fd, KVM_SET_REGS, &r);
}

void self_start(struct self *s, void (*function)(void))
{
	self_start_cpu(s, 0, function);
}

uint32_t self_word(struct self *s, unsigned int cpu)
{
	volatile const struct self_exception *fault = &self_cpus[cpu].fault;
	const struct kvm_run *run = s->cpus[cpu].run;
	uint32_t word;

	if (run->exit_reason != KVM_EXIT_IO || run->io.port != SELF_PORT) {
		tap_note("vCPU %u: exit reason %u, hardware reason %#llx", cpu, run->exit_reason,
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		tap_fail("an exit that nobody expects");
	}
	memcpy(&word, (const char *)run + run->io.data_offset, sizeof(word));
	if (word == 0xdead) {
		tap_note("vCPU %u: vector %lld, error %#llx, RIP %#llx (image at %#llx), CR2 %#llx", cpu,
			 (long long)fault->vector, (unsigned long long)fault->error, (unsigned long long)fault->rip,
			 (unsigned long long)image_start(), (unsigned long long)fault->cr2);
		tap_fail("an exception that nobody expects");
	}
	return word;
}

uint32_t self_run_cpu(struct self *s, unsigned int cpu)
{
	int r;

	do {
		r = kvm_raw(s->cpus[cpu].fd, KVM_RUN, NULL);
	} while (r == -EINTR);
	if (r < 0)
		tap_fail("KVM_RUN: %s", strerror(-r));
	return self_word(s, cpu);
}

uint32_t self_run(struct self *s)
{
	return self_run_cpu(s, 0);
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
	int size = KVM(s->sys, KVM_GET_VCPU_MMAP_SIZE, NULL);
	unsigned int cpu;

	for (cpu = 0; cpu < s->nr_cpus; cpu++) {
		munmap(s->cpus[cpu].run, size);
		close(s->cpus[cpu].fd);
	}
	close(s->vm);
	close(s->sys);
	munmap(s->memory, SELF_MEMORY);
}
