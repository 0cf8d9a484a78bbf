/* SPDX-License-Identifier: GPL-2.0 */
/*
 * nestor probe: what the CPU at hand makes of states that break the rules of VM entry.
 */
#ifndef NESTOR_PROBE_H
#define NESTOR_PROBE_H

#include <linux/nestor.h>
#include <stdbool.h>
#include <stdint.h>

#include "../check/breach.h"
#include "../check/dump.h"

#define PAGE_BYTES	4096

/**
 * struct base - a valid state to start from
 * @mode: of the guest, for reports
 * @features: that are on, for reports
 * @vcpu: whose state it is
 * @real: as the module tells it, with nothing changed
 * @state: with the features of this base turned on
 * @memory: what the page has that the state may name
 */
struct base {
	const char *mode, *features;
	struct probe_vcpu *vcpu;
	struct check_state real;
	struct check_state state;
	uint8_t memory[PAGE_BYTES];
};

/**
 * struct verdict - what a CPU does with a state
 * @effect: enum check_effect; CHECK_ADVICE: it enters the guest
 * @code: VM-instruction error or basic exit reason
 * @qualification: of an entry failure
 * @reason: the hardware's exit reason, of an entry that was made
 * @begin: TSC before
 * @end: and behind
 */
struct verdict {
	unsigned int effect, code;
	uint64_t qualification, reason;
	uint64_t begin, end;
};

/* bases.c */
#define MAX_BASES	16
unsigned int bases__create(struct base *bases, const char *device, bool host_state);
int bases__enter(const struct base *base, const struct check_state *state, bool host_state, struct verdict *verdict);

/* known.c: what is known about CPUs that disagree with the manuals */
enum cpu_kind { CPU_REAL, CPU_TCG, CPU_BOCHS };

/**
 * struct known - a rule on which a CPU is known to disagree, or that cannot be tried there
 * @cpu: where; CPU_REAL: anywhere
 * @id: the rule
 * @skip: it is not tried
 * @why: the explanation
 */
struct known {
	enum cpu_kind cpu;
	const char *id;
	bool skip;
	const char *why;
};

enum cpu_kind known__cpu(void);
const char *known__cpu_name(enum cpu_kind cpu);
const struct known *known__find(enum cpu_kind cpu, const char *id);

#endif
