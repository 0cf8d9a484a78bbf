// SPDX-License-Identifier: GPL-2.0
/*
 * NESTOR_PROBE_ENTRY: entries with states that may be impossible.
 */
#include <linux/capability.h>
#include <linux/moduleparam.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "abi/abi.h"
#include "vm/entry_failure.h"
#include "vm/vm.h"

static bool probe_entry;
module_param(probe_entry, bool, 0444);
MODULE_PARM_DESC(probe_entry, "Let privileged programs enter guests with any state, for nestor probe (default n)");

static_assert(NESTOR_PROBE_CHANGES == PROBE_CHANGES);

/* Bits 11:10 of a VMCS encoding: host state. */
static bool is_host_state(const struct check_table *table, unsigned int field)
{
	u32 where = table->fields[field].where;

	return table == &check_vmx && where != CHECK_NOWHERE && (where & 0xc00) == 0xc00;
}

static int take_changes(struct entry_probe *probe, const struct nestor_probe_entry *p)
{
	const struct nestor_entry_value __user *from = u64_to_user_ptr(p->changes);
	const struct check_table *table = cpu_caps.vmx ? &check_vmx : &check_svm;
	struct nestor_entry_value change;
	u32 i;

	if (p->nr_changes > PROBE_CHANGES)
		return -EINVAL;
	for (i = 0; i < p->nr_changes; i++) {
		int field;

		if (copy_from_user(&change, from + i, sizeof(change)))
			return -EFAULT;
		change.name[sizeof(change.name) - 1] = 0;
		field = check_find(table->fields, table->nr_fields, change.name);
		if (field <= 0)
			return -EINVAL;
		if (is_host_state(table, field) && !(p->flags & NESTOR_PROBE_HOST_STATE))
			return -EPERM;
		probe->changes[i].field = field;
		probe->changes[i].value = change.value;
	}
	probe->nr_changes = p->nr_changes;
	return 0;
}

static int prepare_page(struct vcpu *vcpu, struct nestor_probe_entry *p)
{
	if (!vcpu->probe_page)
		vcpu->probe_page = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, PROBE_PAGE_ORDER);
	if (!vcpu->probe_page)
		return -ENOMEM;
	p->page = __pa(vcpu->probe_page);
	if (p->memory && copy_from_user(vcpu->probe_page, u64_to_user_ptr(p->memory), PAGE_SIZE))
		return -EFAULT;
	return 0;
}

static int probe_and_tell(struct vcpu *vcpu, struct entry_probe *probe, struct nestor_probe_entry *p)
{
	int r;

	probe->scratch = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!probe->scratch)
		return -ENOMEM;
	r = vcpu_probe_entry(vcpu, probe);
	free_page((unsigned long)probe->scratch);
	if (r)
		return r;
	p->effect = probe->effect;
	p->code = probe->code;
	p->qualification = probe->qualification;
	p->state.reason = probe->reason;
	p->state.qualification = probe->qualification;
	p->state.cpu = vcpu_entry_cpu(vcpu);
	return abi_copy_entry_state(&probe->state, &p->state);
}

/**
 * abi_probe_entry - NESTOR_PROBE_ENTRY
 * @vcpu: under its mutex
 * @arg: struct nestor_probe_entry
 */
int abi_probe_entry(struct vcpu *vcpu, void *arg)
{
	struct nestor_probe_entry *p = arg;
	struct entry_probe *probe;
	int r;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	/* What it allows is what /dev/mem does. */
	r = security_locked_down(LOCKDOWN_DEV_MEM);
	if (r)
		return r;
	if (!probe_entry)
		return -EOPNOTSUPP;
	if (p->flags & ~NESTOR_PROBE_HOST_STATE)
		return -EINVAL;
	probe = kzalloc(sizeof(*probe), GFP_KERNEL_ACCOUNT);
	if (!probe)
		return -ENOMEM;
	r = take_changes(probe, p) ?: prepare_page(vcpu, p) ?: probe_and_tell(vcpu, probe, p);
	kfree(probe);
	return r;
}
