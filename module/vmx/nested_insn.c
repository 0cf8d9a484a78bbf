// SPDX-License-Identifier: GPL-2.0
/*
 * L1's VMX instructions, but for VM entry.
 *
 * SDM, VMX Instruction Reference: order of the checks, VM-instruction errors. Mode checks that come before the exit
 * (protected mode, no compatibility mode) the CPU has made; CR4.VMXE and VMX operation are L1's own and ours to check.
 * A handler may run twice, in the burst and again outside: nothing changes before its last step that can fail.
 */
#include <asm/msr-index.h>

#include "vmx/vmx.h"

#define STATUS_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

static int finish(struct vcpu *vcpu, u64 flags)
{
	vcpu_set_rflags(vcpu, (vcpu_rflags(vcpu) & ~(u64)STATUS_FLAGS) | flags);
	return vmx_skip_instruction(vcpu);
}

int nested_vmx_succeed(struct vcpu *vcpu)
{
	return finish(vcpu, 0);
}

int nested_vmx_fail_invalid(struct vcpu *vcpu)
{
	return finish(vcpu, X86_EFLAGS_CF);
}

/* SDM, Conventions: VMfailValid where there is a current VMCS to tell the error. A handler's last step that can fail. */
int nested_vmx_fail(struct vcpu *vcpu, enum vmx_error error)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;

	if (nested_vmx_vmcs_address(nested) == NO_VMCS)
		return nested_vmx_fail_invalid(vcpu);
	nested->vmcs12->insn_error = error;
	if (unlikely(nested->evmcs != NO_VMCS) && nested_vmx_evmcs_store_error(vcpu))
		return RUN_SLOW;
	return finish(vcpu, X86_EFLAGS_ZF);
}

/* False: an exception was raised. */
bool nested_vmx_permitted(struct vcpu *vcpu)
{
	if (!to_vmx(vcpu)->nested.vmxon) {
		vcpu_raise(vcpu, EXC_UD);
		return false;
	}
	if (vcpu_cpl(vcpu)) {
		vcpu_raise_error(vcpu, EXC_GP, 0);
		return false;
	}
	return true;
}

static bool page_address_ok(struct vcpu *vcpu, u64 address)
{
	return PAGE_ALIGNED(address) && !(address >> vcpu->cpu_state.maxphyaddr);
}

static bool fixed_bits_ok(struct vcpu *vcpu)
{
	struct regs *r = &vcpu->regs;

	vcpu_fetch(vcpu, REGS_CR0 | REGS_CR4);
	return nested_vmx_cr0_valid(vcpu, r->cr0) && nested_vmx_cr4_valid(vcpu, r->cr4);
}

/**
 * nested_vmx_set_operation - L1 enters or leaves VMX operation
 * @vmx: the vCPU
 * @on: is it in VMX operation now?
 *
 * In it the CPU does nothing for L1's APIC: see usable() in apic.c.
 */
void nested_vmx_set_operation(struct vmx_vcpu *vmx, bool on)
{
	vmx->nested.vmxon = on;
	vcpu_request(&vmx->vcpu, REQ_INTERCEPTS);
}

int nested_vmx_handle_vmxon(struct vcpu *vcpu)
{
	const u64 enabled = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	u64 address;
	u32 revision;
	int r;

	vcpu_fetch(vcpu, REGS_CR4);
	if (!(vcpu->regs.cr4 & X86_CR4_VMXE)) {
		vcpu_raise(vcpu, EXC_UD);
		return RUN_GUEST;
	}
	if (vcpu_cpl(vcpu))
		goto gp;
	if (nested->vmxon)
		return nested_vmx_fail(vcpu, VMX_ERROR_VMXON_ROOT);
	if (!fixed_bits_ok(vcpu) || (vcpu->cpu_state.feat_ctl & enabled) != enabled)
		goto gp;
	if (!nested_vmx_read_operand(vcpu, &address, sizeof(address), &r))
		return r;
	if (!page_address_ok(vcpu, address))
		return nested_vmx_fail_invalid(vcpu);
	r = vcpu_read_guest(vcpu, address, &revision, sizeof(revision));
	if (r == -EAGAIN || (vcpu->in_burst && !nested->vmcs12))
		return RUN_SLOW;
	if (r || revision != VMCS12_REVISION)
		return nested_vmx_fail_invalid(vcpu);
	r = nested_vmx_alloc(vmx);
	if (r)
		return r;
	nested_vmx_set_operation(vmx, true);
	nested->vmxon_pointer = address;
	nested->current_vmcs = NO_VMCS;
	nested_vmx_evmcs_release(nested);
	return nested_vmx_succeed(vcpu);
gp:
	vcpu_raise_error(vcpu, EXC_GP, 0);
	return RUN_GUEST;
}

/* Write the current VMCS back to L1's memory, if it is one of VMPTRLD's; then none is current. 0 or RUN_SLOW. */
int nested_vmx_release_vmcs12(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;

	if (nested->current_vmcs == NO_VMCS)
		return 0;
	nested_vmx_shadowing_read(vmx);
	/* Memory that is not there takes no writes, as on a bus. */
	if (vcpu_write_guest(vcpu, nested->current_vmcs, nested->vmcs12, sizeof(*nested->vmcs12)) == -EAGAIN)
		return RUN_SLOW;
	nested->current_vmcs = NO_VMCS;
	nested_vmx_shadowing_update(vmx);
	return 0;
}

int nested_vmx_handle_vmxoff(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;

	if (!nested_vmx_permitted(vcpu))
		return RUN_GUEST;
	/* Tables are freed. */
	if (vcpu->in_burst || nested_vmx_release_vmcs12(vcpu))
		return RUN_SLOW;
	nested_vmx_evmcs_release(nested);
	nested_vmx_set_operation(vmx, false);
	nested->vmxon_pointer = NO_VMCS;
	shadow_destroy(vcpu);
	/* INIT was blocked. */
	vcpu_request(vcpu, REQ_EVENT);
	return nested_vmx_succeed(vcpu);
}

int nested_vmx_handle_vmclear(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u32 clear = 0;
	u64 address;
	int r;

	if (!nested_vmx_permitted(vcpu) || !nested_vmx_read_operand(vcpu, &address, sizeof(address), &r))
		return nested->vmxon ? r : RUN_GUEST;
	if (!page_address_ok(vcpu, address))
		return nested_vmx_fail(vcpu, VMX_ERROR_VMCLEAR_ADDRESS);
	if (address == nested->vmxon_pointer)
		return nested_vmx_fail(vcpu, VMX_ERROR_VMCLEAR_VMXON_POINTER);
	r = nested_vmx_evmcs_clear(vcpu, address);
	if (r != -ENOENT)
		return r ? RUN_SLOW : nested_vmx_succeed(vcpu);
	if (address == nested->current_vmcs && nested_vmx_release_vmcs12(vcpu))
		return RUN_SLOW;
	if (vcpu_write_guest(vcpu, address + offsetof(struct vmcs12, launched), &clear, sizeof(clear)) == -EAGAIN)
		return RUN_SLOW;
	return nested_vmx_succeed(vcpu);
}

/* vmcs12 holds another VMCS. */
void nested_vmx_set_vmcs12(struct vmx_vcpu *vmx, u64 address)
{
	struct nested_vmx *nested = &vmx->nested;

	nested->current_vmcs = address;
	bitmap_fill(nested->stale, V12_NR);
	bitmap_fill(nested->dirty, V12_NR);
	nested_vmx_shadowing_update(vmx);
}

/* L1 can make a shadow VMCS the current one, and read and write it, but not enter with it. */
bool nested_vmx_revision_ok(const struct nested_vmx *nested, u32 revision)
{
	if (nested_vmx_offers(nested, NESTED_CPU2, CPU2_VMCS_SHADOWING))
		revision &= ~VMCS12_SHADOW;
	return revision == VMCS12_REVISION;
}

/* A page with another revision, or none at all, which would read as all ones. */
static int load_vmcs12(struct vcpu *vcpu, u64 address)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u32 revision;
	int err;

	err = vcpu_read_guest(vcpu, address, &revision, sizeof(revision));
	if (err == -EAGAIN)
		return RUN_SLOW;
	if (err || !nested_vmx_revision_ok(nested, revision))
		return nested_vmx_fail(vcpu, VMX_ERROR_VMPTRLD_REVISION);
	if (nested_vmx_release_vmcs12(vcpu))
		return RUN_SLOW;
	err = vcpu_read_guest(vcpu, address, nested->vmcs12, sizeof(*nested->vmcs12));
	if (err == -EAGAIN)
		return RUN_SLOW;
	if (err)
		return nested_vmx_fail(vcpu, VMX_ERROR_VMPTRLD_REVISION);
	/* It was read twice. */
	nested->vmcs12->revision = revision;
	nested_vmx_set_vmcs12(to_vmx(vcpu), address);
	return nested_vmx_succeed(vcpu);
}

int nested_vmx_handle_vmptrld(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u64 address;
	int r;

	if (!nested_vmx_permitted(vcpu))
		return RUN_GUEST;
	if (!nested_vmx_read_operand(vcpu, &address, sizeof(address), &r))
		return r;
	if (!page_address_ok(vcpu, address))
		return nested_vmx_fail(vcpu, VMX_ERROR_VMPTRLD_ADDRESS);
	if (address == nested->vmxon_pointer)
		return nested_vmx_fail(vcpu, VMX_ERROR_VMPTRLD_VMXON_POINTER);
	/* VMCLEAR comes first: upstream executes it for ever. */
	if (nested->evmcs != NO_VMCS)
		return nested_vmx_fail_invalid(vcpu);
	if (address == nested->current_vmcs)
		return nested_vmx_succeed(vcpu);
	return load_vmcs12(vcpu, address);
}

int nested_vmx_handle_vmptrst(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	int r;

	if (!nested_vmx_permitted(vcpu))
		return RUN_GUEST;
	if (nested->evmcs != NO_VMCS)
		return nested_vmx_fail_invalid(vcpu);
	if (!nested_vmx_write_operand(vcpu, &nested->current_vmcs, sizeof(nested->current_vmcs), &r))
		return r;
	return nested_vmx_succeed(vcpu);
}

/*
 * VMREAD and VMWRITE by L1 find its current VMCS; by L2, where L1 lets it, the one that is linked, in L1's memory. SDM,
 * VMCS Shadowing.
 */
static u64 accessed_vmcs(struct vcpu *vcpu)
{
	const struct nested_vmx *nested = &to_vmx(vcpu)->nested;

	return vcpu->nested.guest_mode ? nested->vmcs12->link_pointer : nested_vmx_vmcs_address(nested);
}

/* An enlightened VMCS is read by VMREAD, but L1 writes to its memory itself. */
static bool is_written_directly(struct vcpu *vcpu)
{
	return to_vmx(vcpu)->nested.evmcs != NO_VMCS && !vcpu->nested.guest_mode;
}

/* 0, -EAGAIN, or -ENOENT: no such field. Memory that is not there reads as ones and takes no writes. */
static int read_field(struct vcpu *vcpu, enum vmcs12_index index, u64 encoding, u64 *value)
{
	unsigned int offset, bytes;
	int err;

	if (unlikely(is_written_directly(vcpu)))
		return nested_vmx_evmcs_read(vcpu, index, encoding, value);
	if (likely(!vcpu->nested.guest_mode)) {
		*value = vmcs12_get(to_vmx(vcpu)->nested.vmcs12, index, encoding);
		return 0;
	}
	offset = vmcs12_place(index, encoding, &bytes);
	*value = 0;
	err = vcpu_read_guest(vcpu, accessed_vmcs(vcpu) + offset, value, bytes);
	if (err && err != -EAGAIN)
		memset(value, 0xff, bytes);
	return err == -EAGAIN ? err : 0;
}

static int write_field(struct vcpu *vcpu, enum vmcs12_index index, u64 encoding, u64 value)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	unsigned int offset, bytes;

	if (likely(!vcpu->nested.guest_mode)) {
		nested_vmx_write_field(nested, index, encoding, value);
		nested->shadow_stale = nested->shadow_linked;
		return 0;
	}
	offset = vmcs12_place(index, encoding, &bytes);
	return vcpu_write_guest(vcpu, accessed_vmcs(vcpu) + offset, &value, bytes) == -EAGAIN ? -EAGAIN : 0;
}

static unsigned int operand_size(struct vcpu *vcpu)
{
	return vcpu_is_64bit(vcpu) ? 8 : 4;
}

/* Outside of 64-bit mode the upper half of a register is not looked at. */
u64 nested_vmx_operand(struct vcpu *vcpu, int gpr)
{
	u64 value = vcpu_gpr(vcpu, gpr);

	return vcpu_is_64bit(vcpu) ? value : (u32)value;
}

int nested_vmx_handle_vmread(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 info = vmx_exit_insn_info(vmx);
	enum vmcs12_index index;
	u64 encoding, value;
	int r;

	if (!nested_vmx_permitted(vcpu))
		return RUN_GUEST;
	if (accessed_vmcs(vcpu) == NO_VMCS)
		return nested_vmx_fail_invalid(vcpu);
	encoding = nested_vmx_operand(vcpu, FIELD_GET(INSN_REG2, info));
	index = vmcs12_find(encoding);
	r = index == V12_none ? -ENOENT : read_field(vcpu, index, encoding, &value);
	if (r)
		return r == -ENOENT ? nested_vmx_fail(vcpu, VMX_ERROR_NO_FIELD) : RUN_SLOW;
	if (info & INSN_IS_REG)
		vcpu_set_gpr(vcpu, FIELD_GET(INSN_REG1, info), operand_size(vcpu) == 8 ? value : (u32)value);
	else if (!nested_vmx_write_operand(vcpu, &value, operand_size(vcpu), &r))
		return r;
	return nested_vmx_succeed(vcpu);
}

int nested_vmx_handle_vmwrite(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	u32 info = vmx_exit_insn_info(vmx);
	enum vmcs12_index index;
	u64 encoding, value = 0;
	int r;

	if (!nested_vmx_permitted(vcpu))
		return RUN_GUEST;
	if (accessed_vmcs(vcpu) == NO_VMCS || is_written_directly(vcpu))
		return nested_vmx_fail_invalid(vcpu);
	if (info & INSN_IS_REG)
		value = nested_vmx_operand(vcpu, FIELD_GET(INSN_REG1, info));
	else if (!nested_vmx_read_operand(vcpu, &value, operand_size(vcpu), &r))
		return r;
	encoding = nested_vmx_operand(vcpu, FIELD_GET(INSN_REG2, info));
	index = vmcs12_find(encoding);
	if (index == V12_none)
		return nested_vmx_fail(vcpu, VMX_ERROR_NO_FIELD);
	if (vmcs12_type(encoding) == VMCS12_READ_ONLY && !(nested->caps.misc & VMX_MISC_VMWRITE_ALL))
		return nested_vmx_fail(vcpu, VMX_ERROR_READ_ONLY_FIELD);
	if (write_field(vcpu, index, encoding, value))
		return RUN_SLOW;
	return nested_vmx_succeed(vcpu);
}

/* Reads the type and the descriptor. True: done. */
static bool read_invalidation(struct vcpu *vcpu, u64 types, u64 *type, u64 descriptor[2], int *next)
{
	*type = nested_vmx_operand(vcpu, FIELD_GET(INSN_REG2, vmx_exit_insn_info(to_vmx(vcpu))));
	if (*type >= 4 || !(types & BIT(*type))) {
		*next = nested_vmx_fail(vcpu, VMX_ERROR_INVALIDATION);
		return false;
	}
	/* Also where the type makes it not needed. */
	return nested_vmx_read_operand(vcpu, descriptor, 16, next);
}

/* The two bits of types have the numbers of the types. */
#define INVEPT_TYPES(cap)	((cap) >> 24 & (BIT(INVEPT_SINGLE) | BIT(INVEPT_ALL)))
#define INVVPID_TYPES(cap)	((cap) >> 40 & 0xf)

static bool same_table(const struct shadow_key *key, const void *arg)
{
	return key->levels && key->root == *(const u64 *)arg;
}

int nested_vmx_handle_invept(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	u64 descriptor[2], type, root;
	int r;

	if (!nested_vmx_offers(nested, NESTED_CPU2, CPU2_EPT) || !(nested->caps.ept_vpid & EPT_CAP_INVEPT)) {
		vcpu_raise(vcpu, EXC_UD);
		return RUN_GUEST;
	}
	if (!nested_vmx_permitted(vcpu))
		return RUN_GUEST;
	if (!read_invalidation(vcpu, INVEPT_TYPES(nested->caps.ept_vpid), &type, descriptor, &r))
		return r;
	if (type == INVEPT_SINGLE) {
		if (!nested_vmx_eptp_valid(vcpu, descriptor[0]))
			return nested_vmx_fail(vcpu, VMX_ERROR_INVALIDATION);
		root = descriptor[0] & EPTP_ROOT;
		shadow_flush_match(vcpu, same_table, &root);
	} else {
		shadow_flush_match(vcpu, NULL, NULL);
	}
	/* Combined translations go too, and the tables that a gpa of theirs led to. */
	to_vmx(vcpu)->vmcs02.flush |= FLUSH_VPID;
	return nested_vmx_succeed(vcpu);
}

int nested_vmx_handle_invvpid(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct nested_vmx *nested = &vmx->nested;
	u64 descriptor[2], type;
	int r;

	if (!nested_vmx_offers(nested, NESTED_CPU2, CPU2_VPID) || !(nested->caps.ept_vpid & EPT_CAP_INVVPID)) {
		vcpu_raise(vcpu, EXC_UD);
		return RUN_GUEST;
	}
	if (!nested_vmx_permitted(vcpu))
		return RUN_GUEST;
	if (!read_invalidation(vcpu, INVVPID_TYPES(nested->caps.ept_vpid), &type, descriptor, &r))
		return r;
	if (descriptor[0] >> 16 || (type != INVVPID_ALL && !descriptor[0]))
		return nested_vmx_fail(vcpu, VMX_ERROR_INVALIDATION);
	if (type == INVVPID_ADDRESS) {
		vcpu_fetch(vcpu, REGS_CR4);
		if (!__is_canonical_address(descriptor[1], vcpu->regs.cr4 & X86_CR4_LA57 ? 57 : 48))
			return nested_vmx_fail(vcpu, VMX_ERROR_INVALIDATION);
	}
	/* VPID02 holds translations of one VPID12 at a time. */
	if (type == INVVPID_ALL || descriptor[0] == nested->vpid12)
		vmx->vmcs02.flush |= FLUSH_VPID;
	return nested_vmx_succeed(vcpu);
}
