// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: the reference time, which is kvmclock's in units of 100 ns, and the page by which the
 * guest computes it from the TSC.
 */
#include <linux/math64.h>
#include <asm/pvclock-abi.h>

#include "pv/hyperv.h"

/**
 * hv_reference_time - the partition's reference time
 * @vm: the VM
 *
 * While the page is there the counter says what the page says.
 */
u64 hv_reference_time(struct vm *vm)
{
	struct vm_hv *hv = vm_hv_get(vm);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	unsigned long flags;
	bool valid = false;
	s64 offset = 0;
	u64 scale = 0;

	if (hv && vcpu) {
		raw_spin_lock_irqsave(&hv->tsc_lock, flags);
		valid = hv->tsc_state == HV_TSC_VALID;
		scale = hv->tsc_scale;
		offset = hv->tsc_offset;
		raw_spin_unlock_irqrestore(&hv->tsc_lock, flags);
	}
	if (!valid)
		return div_u64(kvmclock_ns(vm), 100);
	return mul_u64_u64_shr(guest_tsc(vcpu), scale, 64) + offset;
}

static void set_state(struct vm_hv *hv, enum hv_tsc_state state, u64 scale, s64 offset)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&hv->tsc_lock, flags);
	hv->tsc_state = state;
	hv->tsc_scale = scale;
	hv->tsc_offset = offset;
	raw_spin_unlock_irqrestore(&hv->tsc_lock, flags);
}

/* HV_MSR_REF_TSC: the page is filled when the clock's master copy is taken next, which is now. */
void hv_set_ref_tsc(struct vcpu *vcpu, u64 value, bool host)
{
	struct vm_hv *hv = vcpu->vm->hv;

	hv->ref_tsc = value;
	if (!(value & HV_PAGE_ENABLE)) {
		set_state(hv, HV_TSC_OFF, 0, 0);
		return;
	}
	set_state(hv, host ? HV_TSC_HOST_CHANGED : HV_TSC_GUEST_CHANGED, 0, 0);
	kvmclock_refresh(vcpu);
}

/*
 * A guest that came from another host, and whose TSC that one's frequency was, computes with the page's
 * old values until it has switched TSC emulation off: user space keeps frequency and value of its TSC.
 */
static bool must_stay(const struct vm_hv *hv)
{
	return hv->tsc_state != HV_TSC_GUEST_CHANGED && hv->tsc_emulation_control;
}

/*
 * kvmclock's page says ns = (tsc - timestamp) * mul * 2^(shift - 32) + system_time. With a scale of
 * mul * 2^(shift + 32) / 100 the same is 100 ns = tsc * scale / 2^64 + offset.
 */
static bool compute(const struct pvclock_vcpu_time_info *page, struct hv_tsc_page *out)
{
	int shift = page->tsc_shift;

	if (!(page->flags & PVCLOCK_TSC_STABLE_BIT) || shift < -32 || shift > 31)
		return false;
	/* A TSC below 10 MHz has no scale. */
	if (page->tsc_to_system_mul >= 100ull << (32 - max(shift, 0)))
		return false;
	out->scale = mul_u64_u32_div(1ull << (32 + shift), page->tsc_to_system_mul, 100);
	out->offset = div_u64(page->system_time, 100) -
		      mul_u64_u64_shr(page->tsc_timestamp, out->scale, 64);
	return true;
}

/* No valid sequence number is 0 or all ones. */
static u32 next_sequence(u32 sequence)
{
	sequence++;
	return sequence && sequence != U32_MAX ? sequence : 1;
}

/* The guest takes the counter while the sequence is 0. */
static bool write_page(struct vcpu *vcpu, u64 gpa, u32 old_sequence,
		       const struct pvclock_vcpu_time_info *clock, struct hv_tsc_page *page)
{
	*page = (struct hv_tsc_page) { 0 };
	if (vcpu_write_pv(vcpu, gpa, page, sizeof(page->sequence)) || !compute(clock, page))
		return false;
	smp_wmb();
	if (vcpu_write_pv(vcpu, gpa, page, sizeof(*page)))
		return false;
	smp_wmb();
	page->sequence = next_sequence(old_sequence);
	return !vcpu_write_pv(vcpu, gpa, page, sizeof(page->sequence));
}

void hv_tsc_page_update(struct vcpu *vcpu, const struct pvclock_vcpu_time_info *clock)
{
	struct vm_hv *hv = vm_hv_get(vcpu->vm);
	struct hv_tsc_page page;
	bool ok;
	u64 gpa;

	if (!hv)
		return;
	mutex_lock(&hv->lock);
	if (hv->tsc_state != HV_TSC_GUEST_CHANGED && hv->tsc_state != HV_TSC_HOST_CHANGED)
		goto out;
	gpa = hv->ref_tsc & HV_PAGE_ADDRESS;
	ok = !vm_read(vcpu->vm, gpa, &page, sizeof(page));
	if (ok && !(page.sequence && must_stay(hv)))
		ok = write_page(vcpu, gpa, page.sequence, clock, &page);
	if (ok)
		set_state(hv, HV_TSC_VALID, page.scale, page.offset);
	else
		set_state(hv, HV_TSC_BROKEN, 0, 0);
out:
	mutex_unlock(&hv->lock);
}

void hv_tsc_page_stale(struct vm *vm)
{
	struct vm_hv *hv = vm_hv_get(vm);

	if (!hv)
		return;
	mutex_lock(&hv->lock);
	if (hv->tsc_state == HV_TSC_VALID && !must_stay(hv))
		set_state(hv, HV_TSC_HOST_CHANGED, 0, 0);
	mutex_unlock(&hv->lock);
}
