/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_CRASHDUMP_H
#define NESTOR_CRASHDUMP_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct vm;

/* Entries of one page-table walk: five levels at most. */
#define WALK_MAX_LEVELS 5

/**
 * struct walk - a walk of the guest's page tables
 * @levels: entries read; 0 when paging is off
 * @step: level (1 is the last), and address and value of each entry
 * @mapped: whether the address is mapped
 * @gpa: the guest-physical address when it is
 * @problem: in words, why it is not
 */
struct walk {
	unsigned int levels;
	struct {
		unsigned int level;
		uint64_t address;
		uint64_t entry;
	} step[WALK_MAX_LEVELS];
	bool mapped;
	uint64_t gpa;
	const char *problem;
};

void crashdump__report(struct vcpu *vcpu);
void crashdump__report_error(struct vcpu *vcpu, int err);
void crashdump__print_state(struct vcpu *vcpu);
void crashdump__report_mmio(struct vcpu *vcpu);

/* exitreason.c */
const char *exitreason__name(uint32_t reason);
void exitreason__print(const struct kvm_run *run);

/* pagewalk.c */
void pagewalk__walk(const struct vm *vm, const struct kvm_sregs *sregs, uint64_t linear,
		    struct walk *walk);

/* kmsg.c */
void kmsg__print_tail(void);

#endif
