/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that runs functions of the test program itself, in 64-bit mode at CPL 0.
 *
 * The program's own image is a memory slot of the guest's and mapped at the addresses that it has in the process, so
 * guest code is C, and variables are shared. Such functions call nothing of the C library. There is one vCPU at a time.
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

#define SELF_CS		8
#define SELF_DS		16
#define SELF_TSS	24

struct self {
	int sys, vm, vcpu;
	uint8_t *memory;
	struct kvm_run *run;
};

void self_create(struct self *s);
void self_destroy(struct self *s);
/* Registers for @function with a stack of its own; then self_run() until it calls self_exit(), or another exit comes. */
void self_start(struct self *s, void (*function)(void));
/* The word that self_exit() was called with; another exit ends the program. */
uint32_t self_run(struct self *s);
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

/* The last exception: vector, or -1; where execution goes on after it. 0: it ends the test. */
struct self_fault {
	int64_t vector;
	uint64_t error, rip, cr2;
};
extern volatile struct self_fault self_fault;
extern volatile uint64_t self_recover;

/* SELF_TRY(asm text, operands): the vector that the instruction raised, or -1. It is one instruction. */
#define SELF_TRY(text, ...)						\
({									\
	self_fault.vector = -1;						\
	asm volatile("lea 77f(%%rip), %%rax\n"				\
		     "mov %%rax, self_recover(%%rip)\n"			\
		     text "\n"						\
		     "77:\n"						\
		     : : __VA_ARGS__ : "rax", "memory", "cc");		\
	self_recover = 0;						\
	self_fault.vector;						\
})

/* Results that the guest collects for the host. */
void self_check(bool ok, const char *name, uint64_t a, uint64_t b);
/* TAP lines of them. */
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
