// SPDX-License-Identifier: GPL-2.0
/*
 * L1's enlightened VMCS: from L1's memory into vmcs12 for an entry, and back behind an exit.
 *
 * TLFS, Nested Virtualization: Enlightened VMCS for Intel. Where L1 may use them, its virtual processor assist page says
 * at every VMLAUNCH and VMRESUME whether an enlightened VMCS is meant, and which. It is then the current VMCS, and none
 * of VMPTRLD's is. L1 writes to it at any moment: an entry copies it, once, and looks at nothing but the copy. What is
 * kept of it is its address.
 */
#include "pv/hyperv.h"
#include "vmx/vmx.h"

/*
 * nested_vmx_has_evmcs - may L1 use enlightened VMCSs?
 *
 * User space has enabled them, and CPUID tells of the TLFS's interface.
 */
bool nested_vmx_has_evmcs(const struct vcpu *vcpu)
{
	return unlikely(vcpu->nested.evmcs) && vcpu->hv && vcpu->hv->enabled;
}

/* Exits have written it as they went: L1's memory is complete. */
void nested_vmx_evmcs_release(struct nested_vmx *nested)
{
	nested->evmcs = NO_VMCS;
	nested->evmcs_restored = nested->evmcs_stale = false;
}

/* 0, -EAGAIN or -EFAULT. Also for user space, while SMM sees other memory. */
static int read_copy(struct vcpu *vcpu, u64 address)
{
	struct evmcs *copy = to_vmx(vcpu)->nested.evmcs_copy;

	if (vcpu->in_burst)
		return vm_read_atomic(vcpu->vm, address & PAGE_MASK, copy, sizeof(*copy));
	return vm_read(vcpu->vm, address & PAGE_MASK, copy, sizeof(*copy));
}

/* Memory that is not there takes no writes. 0 or -EAGAIN. */
static int write_part(struct vcpu *vcpu, unsigned int offset, unsigned int bytes)
{
	const struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u64 gpa = nested_vmx_vmcs_address(nested) + offset;

	return vcpu_write_guest(vcpu, gpa, (u8 *)nested->evmcs_copy + offset, bytes) == -EAGAIN ? -EAGAIN : 0;
}

/* Hyper-V itself says what IA32_VMX_BASIC does, and not the version. */
static bool revision_ok(const struct evmcs *copy)
{
	return copy->revision == HV_EVMCS_VERSION || copy->revision == VMCS12_REVISION;
}

static void take_fields(struct nested_vmx *nested, u32 clean)
{
	const struct evmcs_field *f;
	unsigned int i;
	u64 value;

	for (i = 0; i < EVMCS_NR; i++) {
		f = &evmcs_fields[i];
		if (!evmcs_is_read(f, clean))
			continue;
		value = evmcs_get(nested->evmcs_copy, f);
		if (value != vmcs12_get(nested->vmcs12, f->index, 0))
			nested_vmx_write_field(nested, f->index, 0, value);
	}
}

/* Controls that say what a merged MSR bitmap is made from. */
#define BITMAP_CONTROLS	(EVMCS_CLEAN_CONTROL_GRP1 | EVMCS_CLEAN_CONTROL_GRP2 | EVMCS_CLEAN_CONTROL_PROC)

/* TLFS, Enlightened MSR Bitmap, and Direct Virtual Flush. */
static void take_enlightenments(struct nested_vmx *nested, u32 clean)
{
	const u32 unchanged = BITMAP_CONTROLS | EVMCS_CLEAN_MSR_BITMAP;
	const struct evmcs *copy = nested->evmcs_copy;

	if (!(copy->enlightenments & EVMCS_MSR_BITMAP) || (clean & unchanged) != unchanged)
		nested->bitmap_merged = false;
	nested->evmcs_direct_flush = copy->enlightenments & EVMCS_DIRECT_FLUSH;
	if (!(clean & EVMCS_CLEAN_ENLIGHTENMENTS))
		nested->evmcs_partition = copy->partition_assist;
}

/* The copy is of another one than the current one. 0, -EAGAIN or -EINVAL. */
static int make_current(struct vcpu *vcpu, u64 address)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;

	if (!revision_ok(nested->evmcs_copy))
		return -EINVAL;
	if (nested_vmx_release_vmcs12(vcpu))
		return -EAGAIN;
	/* Not all fields are there: those of another VMCS must not stay. */
	memset(nested->vmcs12, 0, sizeof(*nested->vmcs12));
	nested->vmcs12->revision = VMCS12_REVISION;
	nested_vmx_set_vmcs12(vmx, NO_VMCS);
	nested->evmcs = address;
	nested->evmcs_restored = nested->evmcs_stale = false;
	nested->evmcs_fresh = true;
	return 0;
}

/**
 * nested_vmx_evmcs_enter - VMLAUNCH or VMRESUME begins: find the current VMCS, into vmcs12 if it is an enlightened one
 * @vcpu: the vCPU
 * @resume: VMRESUME
 *
 * An enlightened VMCS has no launch state: either instruction is right. No group of fields is clean for VMLAUNCH, nor
 * before an entry with this VMCS has succeeded.
 *
 * Return: 0; -EAGAIN: not in this burst; -EFAULT: no memory is there; -EINVAL: nor an enlightened VMCS of a known version.
 */
int nested_vmx_evmcs_enter(struct vcpu *vcpu, bool resume)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u64 address = NO_VMCS;
	u32 clean;
	int err;

	if (nested_vmx_has_evmcs(vcpu) && hv_current_evmcs(vcpu, &address))
		return -EAGAIN;
	if (likely(address == NO_VMCS)) {
		nested_vmx_evmcs_release(nested);
		return 0;
	}
	err = read_copy(vcpu, address);
	if (!err && address != nested->evmcs)
		err = make_current(vcpu, address);
	if (err) {
		if (err != -EAGAIN)
			nested_vmx_evmcs_release(nested);
		return err;
	}
	if (!resume)
		nested->evmcs_fresh = true;
	clean = nested->evmcs_fresh ? 0 : nested->evmcs_copy->clean_fields;
	take_fields(nested, clean);
	take_enlightenments(nested, clean);
	nested->vmcs12->launched = resume;
	return 0;
}

/**
 * nested_vmx_evmcs_prepare - the entry has passed its checks: everything is clean now
 * @vcpu: the vCPU, with any VMCS
 *
 * Hyper-V clears bits when it writes to fields, and never sets one.
 *
 * Return: 0 or -EAGAIN.
 */
int nested_vmx_evmcs_prepare(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	bool current_one = nested->evmcs != NO_VMCS;
	struct evmcs *copy = nested->evmcs_copy;

	if (likely(!vcpu->hv))
		return 0;
	if (hv_enter_l2(vcpu, current_one && nested->evmcs_direct_flush, nested->evmcs_partition) == -EAGAIN)
		return -EAGAIN;
	if (!current_one)
		return 0;
	if ((copy->clean_fields & EVMCS_CLEAN_ALL) != EVMCS_CLEAN_ALL) {
		copy->clean_fields |= EVMCS_CLEAN_ALL;
		if (write_part(vcpu, offsetof(struct evmcs, clean_fields), sizeof(copy->clean_fields)))
			return -EAGAIN;
	}
	nested->evmcs_fresh = false;
	return 0;
}

/*
 * KVM_SET_NESTED_STATE knows that there is one, but the MSR that leads to it may be set later. What was restored counts:
 * to L1 it is what its memory says. 0, -EAGAIN, -EFAULT or -EINVAL.
 */
static int find_restored(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u64 address;
	int err;

	if (!nested_vmx_has_evmcs(vcpu))
		return 0;
	err = hv_current_evmcs(vcpu, &address);
	if (err)
		return err;
	if (address == NO_VMCS) {
		nested_vmx_evmcs_release(nested);
		return 0;
	}
	err = read_copy(vcpu, address);
	if (err)
		return err;
	if (!revision_ok(nested->evmcs_copy))
		return -EINVAL;
	take_enlightenments(nested, 0);
	if (vcpu->nested.guest_mode &&
	    hv_enter_l2(vcpu, nested->evmcs_direct_flush, nested->evmcs_partition) == -EAGAIN)
		return -EAGAIN;
	nested->evmcs = address;
	nested->evmcs_restored = false;
	nested->evmcs_fresh = true;
	if (!vcpu->nested.guest_mode)
		nested->evmcs_stale = true;
	return 0;
}

/**
 * nested_vmx_evmcs_sync - L1's memory as vmcs12 says, if it says something else
 * @vcpu: the vCPU
 *
 * SMM sees other memory, where there is none.
 *
 * Return: 0; -EAGAIN: not in this burst; -EFAULT, -EINVAL: what was restored is not where L1 says.
 */
int nested_vmx_evmcs_sync(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	unsigned int i = 0, offset, bytes;
	int err;

	if (vcpu->events.in_smm)
		return 0;
	if (nested->evmcs_restored) {
		err = find_restored(vcpu);
		if (err)
			return err;
	}
	if (!nested->evmcs_stale || nested->evmcs == NO_VMCS)
		return 0;
	evmcs_fill(nested->evmcs_copy, nested->vmcs12);
	for (i = evmcs_run(i, &offset, &bytes); bytes; i = evmcs_run(i, &offset, &bytes))
		if (write_part(vcpu, offset, bytes))
			return -EAGAIN;
	nested->evmcs_stale = false;
	return 0;
}

/**
 * nested_vmx_evmcs_store - an exit has filled vmcs12
 * @vcpu: the vCPU
 *
 * L1 does not run before REQ_NESTED has done what cannot be done now.
 */
void nested_vmx_evmcs_store(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;

	if (likely(!nested_vmx_evmcs_is_set(nested)))
		return;
	nested->evmcs_stale = true;
	if (nested_vmx_evmcs_sync(vcpu))
		vcpu_request(vcpu, REQ_NESTED);
}

/*
 * nested_vmx_evmcs_store_error - an instruction has failed, and L1 may have written to other fields since its last exit
 *
 * 0 or -EAGAIN.
 */
int nested_vmx_evmcs_store_error(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;

	nested->evmcs_copy->insn_error = nested->vmcs12->insn_error;
	return write_part(vcpu, offsetof(struct evmcs, insn_error), sizeof(u32));
}

/*
 * nested_vmx_evmcs_reload - into vmcs12 what L1's memory says while L1 runs, for KVM_GET_NESTED_STATE
 *
 * Clean bits say nothing before L1 makes an entry.
 */
void nested_vmx_evmcs_reload(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;

	if (nested->evmcs == NO_VMCS || nested->evmcs_stale || read_copy(vcpu, nested->evmcs))
		return;
	take_fields(nested, 0);
}

/**
 * nested_vmx_evmcs_read - VMREAD of the current VMCS, which is an enlightened one
 * @vcpu: the vCPU, L1 runs
 * @index: vmcs12_find() of the encoding
 * @encoding: for the upper half of a field
 * @value: out
 *
 * The TLFS has L1 not do that, but some Windows does.
 *
 * Return: 0, -EAGAIN, or -ENOENT: it has no such field.
 */
int nested_vmx_evmcs_read(struct vcpu *vcpu, enum vmcs12_index index, u64 encoding, u64 *value)
{
	unsigned int bytes, offset = evmcs_place(index, encoding, &bytes);
	int err;

	if (!offset)
		return -ENOENT;
	*value = 0;
	err = vcpu_read_guest(vcpu, nested_vmx_vmcs_address(&to_vmx(vcpu)->nested) + offset, value, bytes);
	if (err && err != -EAGAIN)
		memset(value, 0xff, bytes);
	return err == -EAGAIN ? err : 0;
}

/**
 * nested_vmx_evmcs_clear - VMCLEAR where L1 uses enlightened VMCSs
 * @vcpu: the vCPU
 * @address: of the VMCS
 *
 * Nobody can tell whether that is an enlightened one: nothing is written, as it would have no launch state there.
 *
 * Return: 0: done; -EAGAIN; -ENOENT: it does not use them now, and means a VMCS of VMPTRLD's.
 */
int nested_vmx_evmcs_clear(struct vcpu *vcpu, u64 address)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u64 current_one = NO_VMCS;

	if (nested_vmx_has_evmcs(vcpu) && hv_current_evmcs(vcpu, &current_one))
		return -EAGAIN;
	if (current_one == NO_VMCS)
		return -ENOENT;
	if (address == nested->evmcs)
		nested_vmx_evmcs_release(nested);
	return 0;
}

/* An exit that no CPU makes (TLFS, Synthetic VM-Exit). */
#define EXIT_REASON_AFTER_FLUSH	0x10000031

void nested_vmx_after_flush(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->nested.exit = (struct nested_exit) { .reason = EXIT_REASON_AFTER_FLUSH };
	nested_vmx_exit(vmx);
}

/* User space lets L1 use them. What L1 is offered changes with it. */
void nested_vmx_enable_evmcs(struct vcpu *vcpu)
{
	vcpu->nested.evmcs = true;
	to_vmx(vcpu)->nested.caps_stale = true;
}
