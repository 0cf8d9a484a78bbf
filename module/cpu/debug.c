// SPDX-License-Identifier: GPL-2.0
/*
 * Debug registers: the guest's own, and those that KVM_SET_GUEST_DEBUG puts in their place.
 *
 * MOV DR is always intercepted, so regs.dr[], dr6 and dr7 are always here. The CPU gets DR0-DR3 only
 * when the effective DR7 enables a breakpoint. DR7 itself, and on SVM DR6, travel in the VMCS or VMCB.
 */
#include "cpu/guest_state.h"
#include "vm/ops.h"

#define DR6_FIXED_1		0xfffe07f0ull
#define DR6_BUS_LOCK_BIT	BIT_ULL(11)
#define DR6_RTM_BIT		BIT_ULL(16)
/* Bits of DR6 that software can change, where RTM and bus-lock detection exist. */
#define DR6_WRITABLE		0x1e80full
#define DR7_FIXED_1		0x400ull
#define DR7_WRITABLE		0xffff2bffull
#define DR7_ENABLES		0xffull

static bool upper_half_clear(u64 value)
{
	return !(value >> 32);
}

/* Bits of DR6 that read as one for this guest (SDM, Debug Status Register). */
static u64 dr6_fixed(struct vcpu *vcpu)
{
	u64 fixed = DR6_FIXED_1 | DR6_BUS_LOCK_BIT;

	if (!guest_has(vcpu, X86_FEATURE_RTM))
		fixed |= DR6_RTM_BIT;
	return fixed;
}

/**
 * cpu_update_dr7 - DR7, DR0-DR3 or guest_debug changed: recompute what hardware shall have
 * @vcpu: the vCPU
 */
void cpu_update_dr7(struct vcpu *vcpu)
{
	struct cpu_state *c = &vcpu->cpu_state;
	bool host_owned = vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP;

	vcpu_fetch(vcpu, REGS_DR);
	c->effective_dr7 = host_owned ? vcpu->guest_debug_dr[7] : vcpu->regs.dr7;
	memcpy(c->effective_db, host_owned ? vcpu->guest_debug_dr : vcpu->regs.dr,
	       sizeof(c->effective_db));
	/* The vendor writes effective_dr7 before the next entry. */
	vcpu_dirty(vcpu, REGS_DR);
	if (vcpu->in_burst)
		guest_dr_load(vcpu);
}

bool cpu_breakpoints_enabled(const struct cpu_state *c)
{
	return c->effective_dr7 & DR7_ENABLES;
}

int cpu_set_dr(struct vcpu *vcpu, int dr, u64 value)
{
	vcpu_fetch(vcpu, REGS_DR);
	switch (dr) {
	case 0 ... 3:
		vcpu->regs.dr[dr] = value;
		break;
	case 4:
	case 6:
		if (!upper_half_clear(value))
			return -EINVAL;
		vcpu->regs.dr6 = (value & DR6_WRITABLE) | dr6_fixed(vcpu);
		break;
	default:
		if (!upper_half_clear(value))
			return -EINVAL;
		vcpu->regs.dr7 = (value & DR7_WRITABLE) | DR7_FIXED_1;
		break;
	}
	cpu_update_dr7(vcpu);
	return 0;
}

u64 cpu_get_dr(struct vcpu *vcpu, int dr)
{
	vcpu_fetch(vcpu, REGS_DR);
	switch (dr) {
	case 0 ... 3:
		return vcpu->regs.dr[dr];
	case 4:
	case 6:
		return vcpu->regs.dr6;
	default:
		return vcpu->regs.dr7;
	}
}

void cpu_reset_dr(struct vcpu *vcpu)
{
	memset(vcpu->regs.dr, 0, sizeof(vcpu->regs.dr));
	vcpu->regs.dr6 = DR6_FIXED_1 | DR6_RTM_BIT | DR6_BUS_LOCK_BIT;
	vcpu->regs.dr7 = DR7_FIXED_1;
	vcpu_dirty(vcpu, REGS_DR);
	cpu_update_dr7(vcpu);
}

int cpu_get_debugregs(struct vcpu *vcpu, struct kvm_debugregs *dbg)
{
	cpu_deliver_payload_early(vcpu);
	vcpu_fetch(vcpu, REGS_DR);
	memset(dbg, 0, sizeof(*dbg));
	memcpy(dbg->db, vcpu->regs.dr, sizeof(dbg->db));
	dbg->dr6 = vcpu->regs.dr6;
	dbg->dr7 = vcpu->regs.dr7;
	return 0;
}

int cpu_set_debugregs(struct vcpu *vcpu, const struct kvm_debugregs *dbg)
{
	struct regs *r = &vcpu->regs;

	if (dbg->flags || !upper_half_clear(dbg->dr6) || !upper_half_clear(dbg->dr7))
		return -EINVAL;
	vcpu_fetch(vcpu, REGS_DR);
	if (!memcmp(r->dr, dbg->db, sizeof(r->dr)) && r->dr6 == dbg->dr6 && r->dr7 == dbg->dr7)
		return 0;
	memcpy(r->dr, dbg->db, sizeof(r->dr));
	r->dr6 = dbg->dr6;
	r->dr7 = dbg->dr7;
	cpu_update_dr7(vcpu);
	return 0;
}

/**
 * cpu_set_guest_debug - KVM_SET_GUEST_DEBUG
 * @vcpu: the vCPU
 * @dbg: KVM_GUESTDBG_* and debug registers
 *
 * -EBUSY when an exception is asked for while one is on its way. Single-stepping is RFLAGS.TF on top of
 * the guest's own: the vendor adds it at entry and takes it off when it reads RFLAGS back.
 */
int cpu_set_guest_debug(struct vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	const struct exception *e = &vcpu->events.exception;
	u32 control = dbg->control;

	if (control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (e->pending || e->injected || vcpu->nested.exception.pending || test_bit(REQ_TRIPLE_FAULT, &vcpu->requests))
			return -EBUSY;
		vcpu_raise(vcpu, control & KVM_GUESTDBG_INJECT_DB ? EXC_DB : EXC_BP);
	}
	/* With the old guest_debug, which tells whose TF it is. */
	vcpu_fetch(vcpu, REGS_RFLAGS);

	vcpu->guest_debug = control & KVM_GUESTDBG_ENABLE ? control : 0;
	memcpy(vcpu->guest_debug_dr, dbg->arch.debugreg, sizeof(vcpu->guest_debug_dr));
	/* A VM entry with the upper half set fails. */
	vcpu->guest_debug_dr[7] = (u32)vcpu->guest_debug_dr[7] | DR7_FIXED_1;
	cpu_update_dr7(vcpu);
	vcpu_dirty(vcpu, REGS_RFLAGS);
	vcpu_request(vcpu, REQ_INTERCEPTS);
	vcpu_request(vcpu, REQ_EVENT);
	/* One that KVM_GUESTDBG_BLOCKIRQ held back. */
	if (vcpu->events.smi_pending)
		vcpu_request(vcpu, REQ_SMI);
	return 0;
}
