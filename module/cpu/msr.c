// SPDX-License-Identifier: GPL-2.0
/*
 * Access to a guest's MSRs by the rules of msr_table.c.
 */
#include <linux/ratelimit.h>

#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "vm/ops.h"

/* Rows of the table that are in KVM_GET_MSR_INDEX_LIST on this host. Constant after msr_setup(). */
static unsigned long *listed;

static bool exists_here(const struct msr_desc *d)
{
	if (d->flags & MSR_INTEL && !cpu_caps.vmx)
		return false;
	return !(d->flags & MSR_AMD) || cpu_caps.svm;
}

/*
 * Which row an MSR is in, by the lower bits of its number: every RDMSR and WRMSR that exits looks. Where MSRs
 * meet, the one that comes last in the table has the place, and the others are found by the search.
 */
#define MSR_HINTS	4096
static u8 row_hint[MSR_HINTS];

static unsigned int hint_of(u32 msr)
{
	return (msr ^ msr >> 20) % MSR_HINTS;
}

static void fill_hints(void)
{
	unsigned int i;
	u32 msr;

	for (i = 0; i < msr_table_size; i++)
		for (msr = msr_table[i].first; msr <= msr_table[i].last; msr++)
			row_hint[hint_of(msr)] = i;
}

static const struct msr_desc *search(u32 msr)
{
	unsigned int low = 0, high = msr_table_size;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;
		const struct msr_desc *d = &msr_table[mid];

		if (msr < d->first)
			high = mid;
		else if (msr > d->last)
			low = mid + 1;
		else
			return exists_here(d) ? d : NULL;
	}
	return NULL;
}

/* The row of an MSR, or NULL. */
static inline const struct msr_desc *find(u32 msr)
{
	const struct msr_desc *d = &msr_table[row_hint[hint_of(msr)]];

	if (unlikely(msr - d->first > d->last - d->first))
		return search(msr);
	return exists_here(d) ? d : NULL;
}

static bool is_listed(const struct msr_desc *d)
{
	return test_bit(d - msr_table, listed);
}

static bool guest_has_feature(struct vcpu *vcpu, const struct msr_desc *d)
{
	if (!d->feature)
		return true;
	if (d->feature & MSR_PV)
		return guest_pv_has(vcpu, d->feature & ~MSR_PV);
	/* RDPID reads what RDTSCP reads. */
	if (d->feature == FEAT_RDTSCP && guest_has(vcpu, FEAT_RDPID))
		return true;
	return guest_has(vcpu, d->feature);
}

/* 0, -ENOENT: does not exist, -EINVAL: not without the feature. */
static int may_access(struct vcpu *vcpu, const struct msr_desc *d, bool host)
{
	if (!d)
		return -ENOENT;
	if (guest_has_feature(vcpu, d))
		return 0;
	if (d->flags & MSR_STRICT)
		return -ENOENT;
	return host ? 0 : -EINVAL;
}

static int table_get(struct vcpu *vcpu, const struct msr_desc *d, u32 msr, u64 *value, bool host)
{
	struct msr_access a = { .desc = d, .index = msr, .host = host };
	int err = may_access(vcpu, d, host);

	if (err)
		return err;
	if (!d->get)
		return -ENOENT;
	err = d->get(vcpu, &a);
	*value = a.value;
	return err;
}

/**
 * msr_get - RDMSR, or KVM_GET_MSRS when @host
 * @vcpu: the vCPU
 * @msr: its number
 * @value: out; 0 on failure
 * @host: user space asks
 *
 * User space can read whatever is listed: as zero if this vCPU has no such MSR.
 */
int msr_get(struct vcpu *vcpu, u32 msr, u64 *value, bool host)
{
	const struct msr_desc *d = find(msr);
	int err;

	err = d ? table_get(vcpu, d, msr, value, host) : vendor->get_msr(vcpu, msr, value, host);
	if (err)
		*value = 0;
	if (err == -ENOENT && host && d && is_listed(d))
		return 0;
	return err;
}

/* What describes the CPU model is fixed once the vCPU has run; the same value again is no change. */
static bool is_frozen(struct vcpu *vcpu, const struct msr_desc *d, u32 msr, u64 value)
{
	u64 now;

	if (!vcpu->launched_once || !(d->flags & MSR_FEATURE) || msr == MSR_IA32_UCODE_REV)
		return false;
	return msr_get(vcpu, msr, &now, true) || now != value;
}

static int table_set(struct vcpu *vcpu, const struct msr_desc *d, u32 msr, u64 value, bool host)
{
	struct msr_access a = { .desc = d, .index = msr, .host = host, .value = value };
	int err = may_access(vcpu, d, host);

	if (err)
		return err;
	if (!d->set)
		return -ENOENT;
	if (d->flags & MSR_CANONICAL && !msr_address_canonical(value))
		return -EINVAL;
	return d->set(vcpu, &a);
}

/**
 * msr_set - WRMSR, or KVM_SET_MSRS when @host
 * @vcpu: the vCPU
 * @msr: its number
 * @value: the new value
 * @host: user space asks
 *
 * User space can write zero to whatever is listed.
 */
int msr_set(struct vcpu *vcpu, u32 msr, u64 value, bool host)
{
	const struct msr_desc *d = find(msr);
	int err;

	if (!d)
		return vendor->set_msr(vcpu, msr, value, host);
	if (host && is_frozen(vcpu, d, msr, value))
		return -EINVAL;
	err = table_set(vcpu, d, msr, value, host);
	if (err == -ENOENT && host && !value && is_listed(d))
		return 0;
	return err;
}

/**
 * msr_log_refusal - tell the administrator which MSR stopped KVM_GET_MSRS or KVM_SET_MSRS
 * @vcpu: the vCPU
 * @msr: its number
 * @value: what was to be written
 * @write: KVM_SET_MSRS, not KVM_GET_MSRS
 * @err: what msr_get() or msr_set() returned
 *
 * The ioctls themselves say only how far they got.
 */
void msr_log_refusal(struct vcpu *vcpu, u32 msr, u64 value, bool write, int err)
{
	const struct msr_desc *d = find(msr);
	const char *reason = "reserved bits, or read-only";

	if (!d)
		reason = "unknown";
	else if (!guest_has_feature(vcpu, d))
		reason = "the guest's CPUID lacks the feature";
	else if (write && is_frozen(vcpu, d, msr, value))
		reason = "the vCPU has run: its model cannot change";
	else if (err == -ENOENT)
		reason = write ? "not writable" : "not readable";

	if (write)
		pr_info_ratelimited("%s vCPU %u: KVM_SET_MSRS refused %s (0x%x) = 0x%llx: %s\n",
				    vcpu->vm->name, vcpu->id, d ? d->name : "MSR", msr, value, reason);
	else
		pr_info_ratelimited("%s vCPU %u: KVM_GET_MSRS refused %s (0x%x): %s\n",
				    vcpu->vm->name, vcpu->id, d ? d->name : "MSR", msr, reason);
}

/* Copies the numbers of rows that @wanted accepts. -E2BIG with the count when there is no room. */
static int list_rows(u32 *indices, u32 *n, bool (*wanted)(const struct msr_desc *d))
{
	u32 room = *n, count = 0;
	unsigned int i;

	for (i = 0; i < msr_table_size; i++) {
		if (!wanted(&msr_table[i]))
			continue;
		if (count < room)
			indices[count] = msr_table[i].first;
		count++;
	}
	*n = count;
	return count > room ? -E2BIG : 0;
}

int msr_index_list(u32 *indices, u32 *n)
{
	return list_rows(indices, n, is_listed);
}

static bool is_feature(const struct msr_desc *d)
{
	return d->flags & MSR_FEATURE && exists_here(d);
}

int msr_feature_list(u32 *indices, u32 *n)
{
	return list_rows(indices, n, is_feature);
}

/**
 * msr_get_feature - KVM_GET_MSRS on the system file
 * @msr: its number
 * @value: what this host offers
 */
int msr_get_feature(u32 msr, u64 *value)
{
	const struct msr_desc *d = find(msr);

	if (!d || !is_feature(d))
		return -ENOENT;
	*value = d->host_value(msr);
	return 0;
}

static bool should_list(const struct msr_desc *d)
{
	u64 unused;

	if (!(d->flags & MSR_LISTED) || !exists_here(d))
		return false;
	if (d->feature && !(d->feature & MSR_PV) && !cpu_offers(d->feature))
		return false;
	return !(d->flags & MSR_PROBED) || !nst_rdmsr_safe(d->first, &unused);
}

int msr_setup(void)
{
	unsigned int i;

	listed = bitmap_zalloc(msr_table_size, GFP_KERNEL);
	if (!listed)
		return -ENOMEM;
	for (i = 0; i < msr_table_size; i++) {
		/* find() depends on the order. */
		if (i && msr_table[i].first <= msr_table[i - 1].last) {
			pr_err("the MSR table is not sorted at %s\n", msr_table[i].name);
			msr_cleanup();
			return -EINVAL;
		}
		if (should_list(&msr_table[i]))
			__set_bit(i, listed);
	}
	fill_hints();
	return 0;
}

void msr_cleanup(void)
{
	bitmap_free(listed);
	listed = NULL;
}
