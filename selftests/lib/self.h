/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that runs functions of the test program itself, in 64-bit mode at CPL 0.
 *
 * The program's own image is a memory slot of the guest's and mapped at the addresses that it has in the process, so
 * guest code is C, and variables are shared. Such functions call nothing of the C library.
 *
 * Most tests have one vCPU, and a vCPU is not named in their calls. Others run each of theirs in a thread of its own.
 */
#ifndef TEST_SELF_H
#define TEST_SELF_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

#define SELF_MEMORY	0x400000ull	/* bytes from gpa 0 on, at gva = gpa, for page tables, stacks, what tests want */
#define SELF_FREE	0x100000ull	/* from here on the test's */
#define SELF_IMAGE	0x40000000ull	/* gpa of the program's image */
#define SELF_UNMAPPED	0x30000000ull	/* a gva at which nothing is */
#define SELF_PORT	0x80		/* self_exit() */
#define SELF_CPUS	8		/* at most */

#define SELF_CS		8
#define SELF_DS		16
#define SELF_TSS	24		/* the first vCPU's; the others' are behind it, 16 bytes each */
#define SELF_TSS_BASE	0x42000ull
#define SELF_TSS_SIZE	0x80

struct self {
	int sys, vm, vcpu;		/* the first of them */
	uint8_t *memory;
	struct kvm_run *run;
	unsigned int nr_cpus;
	struct { int fd; struct kvm_run *run; } cpus[SELF_CPUS];
};

/* What a VM needs before it has vCPUs; NULL at first. */
extern void (*self_prepare_vm)(int vm);
void self_create(struct self *s);
/* With @nr_cpus vCPUs, whose ids and APIC ids count from 0. */
void self_create_cpus(struct self *s, unsigned int nr_cpus);
/* Again, where somebody has taken it away. */
void self_add_memory(struct self *s);
/* SMM sees the same memory. */
void self_share_with_smm(struct self *s);
void self_destroy(struct self *s);
/* ECX of what the VM's CPUID says of @function, subleaf 0; 0 where there is none. */
uint32_t self_cpuid_ecx(struct self *s, uint32_t function);
/* Registers for @function with a stack of its own; then self_run() until it calls self_exit(), or another exit comes. */
void self_start(struct self *s, void (*function)(void));
void self_start_cpu(struct self *s, unsigned int cpu, void (*function)(void));
/* The word that self_exit() was called with; another exit ends the program. */
uint32_t self_run(struct self *s);
uint32_t self_run_cpu(struct self *s, unsigned int cpu);
/* The same after an ioctl KVM_RUN that has returned 0. */
uint32_t self_word(struct self *s, unsigned int cpu);
/*
 * @function until it says 0. At every word what the guest has collected is reported, and @handle, which may be NULL, is
 * called for each but 0.
 */
void self_run_all(struct self *s, void (*function)(void), void (*handle)(uint32_t word));
uint64_t self_gpa(const volatile void *p);

/* In the guest. */
void self_exit(uint32_t word);
/* A page that nobody else has; zeroed by the guest. Its gpa and gva are the same. */
void *self_page(void);
extern volatile uint64_t self_pages;	/* next page of self_page() */
/* Maps the 2 MiB each around the local APIC and the I/O APIC where they are, uncached, for the vCPUs that share the tables. */
void self_map_apics(void);

struct self_exception {
	int64_t vector;
	uint64_t error, rip, cr2;
};

/* What a vCPU has of its own, at whatever level of virtualization its code runs: that has the vCPU's TR. */
struct self_cpu {
	struct self_exception fault;
	uint64_t recover;
};
extern volatile struct self_cpu self_cpus[SELF_CPUS];

static inline unsigned int self_cpu(void)
{
	uint64_t selector;

	asm volatile("str %0" : "=r" (selector));
	return (selector - SELF_TSS) / 16;
}

/* The last exception: vector, or -1; where execution goes on after it. 0: it ends the test. */
#define self_fault	(self_cpus[self_cpu()].fault)
#define self_recover	(self_cpus[self_cpu()].recover)

/*
 * Called for vectors from 32 on instead, when there is one; execution goes on where it was. It is compiled for general
 * registers only, as the code that it interrupts may use the others.
 */
extern void (*volatile self_interrupt)(uint64_t vector);

/* SELF_TRY(asm text, operands): the vector that the instruction raised, or -1. It is one instruction. */
#define SELF_TRY(text, ...)						\
({									\
	self_fault.vector = -1;						\
	asm volatile("lea 77f(%%rip), %%rax\n"				\
		     "mov %%rax, %[recover]\n"				\
		     text "\n"						\
		     "77:\n"						\
		     : : __VA_ARGS__, [recover] "m" (self_recover)	\
		     : "rax", "memory", "cc");				\
	self_recover = 0;						\
	self_fault.vector;						\
})

/* Results that the guest collects for the host. */
void self_check(bool ok, const char *name, uint64_t a, uint64_t b);
#define CHECK(ok, name)			self_check(ok, name, 0, 0)
#define CHECK_IS(value, wanted, name)						\
	do {									\
		uint64_t got = (value);						\
										\
		self_check(got == (uint64_t)(wanted), name, got, wanted);	\
	} while (0)
/* TAP lines of them; when no vCPU is in it. */
void self_report(void);

static inline uint64_t self_rdmsr(uint32_t msr)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (msr));
	return low | (uint64_t)high << 32;
}

static inline void self_wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr" : : "c" (msr), "a" ((uint32_t)value), "d" ((uint32_t)(value >> 32)) : "memory");
}

#endif
