// SPDX-License-Identifier: GPL-2.0
/*
 * A VM entry failed: judge the state by the rules, and tell.
 *
 * The numbers that user space gets are upstream's, and hardly say more than that something was wrong.
 */
#include <linux/slab.h>

#include "trace/trace.h"
#include "vm/entry_failure.h"
#include "vm/ops.h"

static u64 first_value(const struct check_state *state, const struct check_rule *rule)
{
	return state->values[rule->fields[0]];
}

static const char *first_name(const struct check_state *state, const struct check_rule *rule)
{
	return state->table->fields[rule->fields[0]].name;
}

/* One event for each broken rule, advice apart: what is accepted did not stop the entry. */
static unsigned int trace_broken(struct vcpu *vcpu, const struct entry_failure *f)
{
	const struct check_state *state = &f->state;
	struct check_result result = {};
	unsigned int broken = 0;

	while (check_next(state, &result)) {
		const struct check_rule *rule = result.rule;

		if (rule->effect == CHECK_ADVICE)
			continue;
		broken++;
		trace_entry_failed(vcpu->id, f->reason, rule->id, first_name(state, rule), first_value(state, rule),
				   rule->text);
	}
	if (!broken)
		trace_entry_failed(vcpu->id, f->reason, "none", "-", 0, "every rule that is known holds");
	return broken;
}

/* One line: the rule that decided, and how many more are broken. */
static void log_failure(struct vcpu *vcpu, const struct entry_failure *f, unsigned int broken)
{
	const struct check_state *state = &f->state;
	const struct check_rule *rule = check_verdict(state);
	const char *why = check_reason(state->table, f->reason);

	if (!rule)
		pr_err_ratelimited("vcpu %u: VM entry failed: 0x%llx, %s; qualification 0x%llx; no rule is found broken\n",
				   vcpu->id, f->reason, why, f->qualification);
	else
		pr_err_ratelimited("vcpu %u: VM entry failed: 0x%llx, %s; rule %s: %s; %s 0x%llx (%s, %s); rules broken: %u\n",
				   vcpu->id, f->reason, why, rule->id, rule->text, first_name(state, rule),
				   first_value(state, rule), state->table->manual,
				   state->table->sections[rule->section], broken);
}

static struct entry_failure *failure_of(struct vcpu *vcpu)
{
	if (!vcpu->entry_failure)
		vcpu->entry_failure = kzalloc(sizeof(*vcpu->entry_failure), GFP_KERNEL_ACCOUNT);
	return vcpu->entry_failure;
}

int vcpu_entry_failed(struct vcpu *vcpu, u64 reason, u64 qualification)
{
	struct kvm_run *run = vcpu->run;
	struct entry_failure *f = failure_of(vcpu);

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = reason;
	run->fail_entry.cpu = vcpu_entry_cpu(vcpu);
	if (!f || vendor->entry_state(vcpu, &f->state)) {
		kfree(f);
		vcpu->entry_failure = NULL;
		pr_err_ratelimited("vcpu %u: VM entry failed: 0x%llx; the state cannot be read\n", vcpu->id, reason);
		return RUN_USER;
	}
	f->reason = reason;
	f->qualification = qualification;
	f->cpu = vcpu_entry_cpu(vcpu);
	log_failure(vcpu, f, trace_broken(vcpu, f));
	return RUN_USER;
}
