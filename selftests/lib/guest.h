/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Small guests: some vCPUs in flat 32-bit protected mode, with memory from address 0, that talk to
 * the test by writing to ports.
 */
#ifndef TEST_GUEST_H
#define TEST_GUEST_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_CPUS	4
#define GUEST_CODE	0x1000u		/* where its code is */
#define GUEST_PORT	0x80		/* nobody's: an OUT ends KVM_RUN */

/* GUEST_TEXT(name, "mov ...\n" ...): 32-bit code, position-independent. */
#define GUEST_TEXT(name, text)						\
	extern const uint8_t name[], name##_end[];			\
	asm(".pushsection .rodata\n.code32\n" #name ":\n" text		\
	    #name "_end:\n.code64\n.popsection\n")

struct guest {
	int dev, fd;
	int nr_cpus;
	int cpu[GUEST_CPUS];
	struct kvm_run *run[GUEST_CPUS];
	size_t run_size;
	uint8_t *memory;	/* slot 0 */
	size_t size;
};

/* A VM with @size bytes of anonymous memory in slot 0; @irqchip: PIC, I/O APIC, local APICs, PIT. */
void guest_open(struct guest *g, size_t size, bool irqchip);
void guest_close(struct guest *g);

/* KVM_SET_USER_MEMORY_REGION: 0 or -errno. */
int guest_slot(struct guest *g, uint32_t slot, uint64_t gpa, uint64_t size, void *host,
	       uint32_t flags);

#define guest_load(g, name)	guest_load_code(g, name, name##_end - name)
void guest_load_code(struct guest *g, const uint8_t *code, size_t size);

/* One more vCPU, ready to start at the code with @ebx: returns its index. */
int guest_add_cpu(struct guest *g, uint32_t ebx);
void guest_restart(struct guest *g, int cpu, uint32_t ebx);

/* Run until user space is needed: the exit reason, or -errno. */
int guest_run(struct guest *g, int cpu);

/* The 32 bits that the guest wrote to GUEST_PORT; any other exit ends the program. */
uint32_t guest_say(struct guest *g, int cpu);

/* A counter of the VM or (@cpu >= 0) of a vCPU; -1 when there is none of that name. */
int64_t guest_counter(struct guest *g, int cpu, const char *name);

#endif
