/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VM entries that fail: which rule of the manual the state broke.
 */
#ifndef NESTOR_ENTRY_FAILURE_H
#define NESTOR_ENTRY_FAILURE_H

#include "check/check.h"

struct vcpu;

/**
 * struct entry_failure - the last VM entry of a vCPU that failed
 * @reason: as KVM_EXIT_FAIL_ENTRY has it: VM-instruction error, exit reason with bit 31, or VMEXIT_INVALID
 * @qualification: VMX: exit qualification of a failed load of state
 * @cpu: physical CPU
 * @state: what the CPU looked at
 */
struct entry_failure {
	u64 reason;
	u64 qualification;
	int cpu;
	struct check_state state;
};

#define PROBE_CHANGES	64
#define PROBE_PAGE_ORDER	1	/* user space's page, and one of zeros behind it */

/**
 * struct entry_probe - one entry for which values of the vCPU's own state are replaced
 * @changes: of the table's fields; and the value that was there, which is put back
 * @nr_changes: how many
 * @scratch: a page for the vendor's use
 * @done: the entry was made, or refused by the vendor's code
 * @effect, @code, @qualification: what the CPU did, as a rule has it; CHECK_ADVICE: it entered the guest
 * @reason: exit reason or exit code as they are
 * @state: what it entered with
 */
struct entry_probe {
	struct {
		unsigned int field;
		u64 value, old;
	} changes[PROBE_CHANGES];
	unsigned int nr_changes;
	void *scratch;
	bool done;
	u32 effect, code;
	u64 qualification, reason;
	struct check_state state;
};

int vcpu_probe_entry(struct vcpu *vcpu, struct entry_probe *probe);	/* run.c; under vcpu->mutex */

/*
 * vcpu_entry_failed - KVM_EXIT_FAIL_ENTRY, and what is wrong: in the log, in the trace, for NESTOR_GET_ENTRY_FAILURE
 *
 * Outside a burst. RUN_USER.
 */
int vcpu_entry_failed(struct vcpu *vcpu, u64 reason, u64 qualification);

#endif
