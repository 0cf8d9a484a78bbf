/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small guest for tests: 32-bit protected mode, flat segments, no paging, code that is part of the
 * test program.
 *
 * Every vector of the IDT has a handler of two instructions: it writes to the port of its number and
 * stays there. So an exception or interrupt shows as KVM_EXIT_IO at port 'vector', with its frame on
 * the stack; code that comes to its end writes to FLAT_DONE.
 */
#ifndef TEST_FLAT_H
#define TEST_FLAT_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

#define FLAT_CODE	0x1000		/* linear and physical */
#define FLAT_IDT	0x4000
#define FLAT_GDT	0x5000
#define FLAT_HANDLERS	0x6000
#define FLAT_DATA	0x8000		/* the test's */
#define FLAT_STACK	0x10000		/* its top */
#define FLAT_SIZE	0x20000
#define FLAT_MMIO	0x100000	/* here is no memory */

#define FLAT_DONE	0xff		/* port */
#define FLAT_CS		8
#define FLAT_DS		16

#define FL_FIXED	0x2
#define FL_TF		0x100
#define FL_IF		0x200
#define FL_IOPL		0x3000
#define FL_RF		0x10000

struct flat {
	int sys, vm, vcpu;
	unsigned char *memory;
	struct kvm_run *run;
};

/* Guest code, 32-bit: in a section of its own, whose ends the linker names. */
#define FLAT_CODE_BLOCK(text)					\
	asm(".pushsection flat_code, \"a\"\n.code32\n"		\
	    text ".code64\n.popsection\n")

/* A VM with memory, code and tables; then what has to come before vCPUs; then vCPU 0. */
void flat_create_vm(struct flat *f);
void flat_create_vcpu(struct flat *f);
/* The same state for another vCPU. */
void flat_set_mode(int vcpu);

uint32_t flat_address(const char *label);
/* From @label with these flags: sets RIP, RSP and RFLAGS of @regs, which may be NULL. */
void flat_prepare(struct flat *f, const char *label, uint64_t flags, struct kvm_regs *regs);
/* KVM_RUN: the exit reason, 0 for -EINTR. */
int flat_run(struct flat *f);
/* flat_prepare() and flat_run(). */
int flat_go(struct flat *f, const char *label, uint64_t flags, struct kvm_regs *regs);
/* The last exit: a write to this port? */
bool flat_at_port(const struct flat *f, unsigned int port);
/* A word of the frame that a handler stands on, 0: the lowest. */
uint32_t flat_frame(struct flat *f, unsigned int index);
struct kvm_regs flat_regs(struct flat *f);
bool flat_is_amd(void);

#endif
