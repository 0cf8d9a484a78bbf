// SPDX-License-Identifier: GPL-2.0
/*
 * Local APIC: the registers as the guest reads and writes them, by MMIO and by MSR.
 */
#include <linux/bitfield.h>
#include <linux/nospec.h>

#include "irq/lapic.h"
#include "trace/trace.h"

#define APIC_ICR_SHORTHAND	GENMASK(19, 18)
#define X2APIC_ICR_RESERVED	(GENMASK_ULL(31, 20) | GENMASK_ULL(17, 16) | BIT_ULL(13))

/* Above this many vCPUs, an interrupt for all of them is not sent with interrupts off. */
#define MAX_BURST_TARGETS	128

/* One bit per register: they are 16 bytes apart. */
#define REG(reg)		BIT_ULL((reg) >> 4)
#define REGS(first, last)	GENMASK_ULL((last) >> 4, (first) >> 4)

#define READABLE	(REG(APIC_ID) | REG(APIC_LVR) | REG(APIC_TASKPRI) | REG(APIC_PROCPRI) |	\
			 REG(APIC_LDR) | REG(APIC_SPIV) | REGS(APIC_ISR, APIC_IRR + 0x70) |	\
			 REG(APIC_ESR) | REG(APIC_ICR) | REGS(APIC_LVTT, APIC_LVTERR) |		\
			 REG(APIC_TMICT) | REG(APIC_TMCCT) | REG(APIC_TDCR))
#define READABLE_XAPIC	(REG(APIC_ARBPRI) | REG(APIC_DFR) | REG(APIC_ICR2))

static bool reg_readable(const struct lapic *apic, u32 reg)
{
	u64 readable = READABLE;

	if (!lapic_in_x2apic(apic))
		readable |= READABLE_XAPIC;
	if (lapic_nr_lvt(apic) > LVT_CMCI)
		readable |= REG(APIC_LVTCMCI);
	return reg <= APIC_SELF_IPI && readable & REG(reg);
}

/* KVM_TPR_ACCESS_REPORTING: user space patches the instructions that exit for the task priority. */
static void report_tpr_access(struct vcpu *vcpu, bool write)
{
	if (likely(!vcpu->tpr_access.reported))
		return;
	vcpu->tpr_access.rip = vcpu_rip(vcpu);
	vcpu->tpr_access.write = write;
	vcpu_request(vcpu, REQ_TPR_ACCESS);
}

/* @reg: a multiple of 16. -EINVAL: no such register, or one that cannot be read. */
static int reg_read(struct lapic *apic, u32 reg, u32 *value)
{
	if (!reg_readable(apic, reg))
		return -EINVAL;
	lapic_sync(apic);
	switch (reg) {
	case APIC_ARBPRI:
		*value = 0;
		break;
	case APIC_LVR:
		*value = lapic_version(apic);
		break;
	case APIC_TASKPRI:
		report_tpr_access(apic->vcpu, false);
		*value = lapic_reg(apic, reg);
		break;
	case APIC_PROCPRI:
		lapic_update_ppr(apic);
		*value = lapic_reg(apic, reg);
		break;
	case APIC_TMCCT:
		*value = lapic_timer_count(apic);
		break;
	default:
		*value = lapic_reg(apic, reg);
	}
	trace_apic(apic->vcpu->id, false, reg, *value);
	return 0;
}

static void send_ipi_as(struct lapic *apic, u32 icr, u32 dest, u8 delivery_mode)
{
	struct irq_msg msg = {
		.dest = dest,
		.vector = icr & APIC_VECTOR_MASK,
		.delivery_mode = delivery_mode,
		.logical = icr & APIC_DEST_LOGICAL,
		.level = icr & APIC_INT_LEVELTRIG,
		.assert = icr & APIC_INT_ASSERT,
		.shorthand = FIELD_GET(APIC_ICR_SHORTHAND, icr),
	};

	irq_deliver(apic->vcpu->vm, apic->vcpu, &msg);
}

static void send_ipi(struct lapic *apic, u32 icr, u32 dest)
{
	send_ipi_as(apic, icr, dest, GET_APIC_DELIVERY_MODE(icr));
}

static void write_spiv(struct lapic *apic, u32 value)
{
	u32 mask = 0x3ff;
	int i;

	if (lapic_version(apic) & APIC_LVR_DIRECTED_EOI)
		mask |= APIC_SPIV_DIRECTED_EOI;
	lapic_set_spiv(apic, value & mask);
	if (value & APIC_SPIV_APIC_ENABLED)
		return;
	/* SDM, Local APIC State After It Has Been Software Disabled. */
	for (i = 0; i < lapic_nr_lvt(apic); i++)
		lapic_set_reg(apic, lvt_reg(i), lapic_reg(apic, lvt_reg(i)) | APIC_LVT_MASKED);
	lapic_lvt0_changed(apic);
}

static int write_lvt(struct lapic *apic, u32 reg, u32 value)
{
	int lvt = reg == APIC_LVTCMCI ? LVT_CMCI : (reg - APIC_LVTT) >> 4;

	if (lvt >= lapic_nr_lvt(apic))
		return -EINVAL;
	lvt = array_index_nospec(lvt, LVT_NR);
	if (!apic->sw_enabled)
		value |= APIC_LVT_MASKED;
	lapic_set_reg(apic, reg, value & lapic_lvt_mask(apic, lvt));
	/* The deadline that user space set in the old mode goes as well. */
	if (lvt == LVT_TIMER && lapic_timer_lvtt_changed(apic))
		vcpu_take_request(apic->vcpu, REQ_DEADLINE);
	else if (lvt == LVT_LINT0)
		lapic_lvt0_changed(apic);
	return 0;
}

static void write_tmict(struct lapic *apic, u32 value)
{
	if (apic->timer.mode == APIC_LVT_TIMER_TSCDEADLINE) {
		lapic_set_reg(apic, APIC_TMICT, 0);
		return;
	}
	lapic_timer_cancel(apic);
	lapic_set_reg(apic, APIC_TMICT, value);
	lapic_timer_start(apic, APIC_TMICT);
}

/* Registers that x2APIC mode took away or made read-only. */
static int write_xapic_only(struct lapic *apic, u32 reg, u32 value)
{
	if (lapic_in_x2apic(apic))
		return -EINVAL;
	if (reg == APIC_DFR)
		value |= APIC_DFR_IS_CLUSTER;
	else
		value &= GENMASK(31, 24);
	lapic_set_reg(apic, reg, value);
	if (reg != APIC_ICR2)
		apic_map_changed(apic->vcpu->vm);
	return 0;
}

static int write_self_ipi(struct lapic *apic, u32 value)
{
	if (!lapic_in_x2apic(apic) || value & ~APIC_VECTOR_MASK)
		return -EINVAL;
	send_ipi(apic, APIC_DEST_SELF | value, 0);
	return 0;
}

/* -EINVAL: no such register, or a reserved bit. */
static int reg_write(struct lapic *apic, u32 reg, u32 value)
{
	trace_apic(apic->vcpu->id, true, reg, value);
	switch (reg) {
	case APIC_ID:
	case APIC_LDR:
	case APIC_DFR:
	case APIC_ICR2:
		return write_xapic_only(apic, reg, value);
	case APIC_TASKPRI:
		report_tpr_access(apic->vcpu, true);
		lapic_write_tpr(apic, value);
		return 0;
	case APIC_EOI:
		lapic_eoi(apic);
		return 0;
	case APIC_SPIV:
		write_spiv(apic, value);
		return 0;
	case APIC_ESR:
		if (lapic_in_x2apic(apic) && value)
			return -EINVAL;
		/* No error is ever recorded, so there is none to show. */
		lapic_set_reg(apic, reg, 0);
		return 0;
	case APIC_ICR:
		/* Sent at once: never busy. */
		value &= ~APIC_ICR_BUSY;
		lapic_set_reg(apic, reg, value);
		send_ipi(apic, value, GET_XAPIC_DEST_FIELD(lapic_reg(apic, APIC_ICR2)));
		return 0;
	case APIC_LVTCMCI:
	case APIC_LVTT:
	case APIC_LVTTHMR:
	case APIC_LVTPC:
	case APIC_LVT0:
	case APIC_LVT1:
	case APIC_LVTERR:
		return write_lvt(apic, reg, value);
	case APIC_TMICT:
		write_tmict(apic, value);
		return 0;
	case APIC_TDCR:
		lapic_set_reg(apic, reg, value & 0xb);
		lapic_timer_tdcr_changed(apic);
		return 0;
	case APIC_SELF_IPI:
		return write_self_ipi(apic, value);
	default:
		return -EINVAL;
	}
}

/* SDM, APIC-Write Emulation. What is no register shows 0. */
void lapic_hw_written(struct vcpu *vcpu, u32 offset)
{
	struct lapic *apic = vcpu->lapic;
	u32 reg = offset & GENMASK(11, 4);

	if (reg_write(apic, reg, lapic_reg(apic, reg)))
		lapic_set_reg(apic, reg, 0);
}

/* Both halves are set: whether the CPU stores them before it exits need not be known. */
void lapic_hw_ipi(struct vcpu *vcpu, u64 icr, bool requested)
{
	struct lapic *apic = vcpu->lapic;
	u32 high = icr >> 32;

	lapic_set_reg(apic, APIC_ICR2, high & GENMASK(31, 24));
	if (!requested) {
		reg_write(apic, APIC_ICR, icr);
		return;
	}
	trace_apic(vcpu->id, true, APIC_ICR, icr);
	lapic_set_reg(apic, APIC_ICR, icr & ~(u64)APIC_ICR_BUSY);
	send_ipi_as(apic, icr, GET_XAPIC_DEST_FIELD(high), APIC_DM_REQUESTED_);
}

/* The 64-bit ICR is kept in ICR and ICR2, where user space expects its halves. */
static int write_x2apic_icr(struct lapic *apic, u64 value)
{
	struct vcpu *vcpu = apic->vcpu;

	if (value & X2APIC_ICR_RESERVED)
		return -EINVAL;
	if (vcpu->in_burst && atomic_read(&vcpu->vm->nr_vcpus) > MAX_BURST_TARGETS &&
	    (value & APIC_DEST_ALLINC || value >> 32 == X2APIC_DEST_BROADCAST))
		return -EAGAIN;
	value &= ~(u64)APIC_ICR_BUSY;
	trace_apic(vcpu->id, true, APIC_ICR, value);
	lapic_set_reg(apic, APIC_ICR, value);
	lapic_set_reg(apic, APIC_ICR2, value >> 32);
	send_ipi(apic, value, lapic_in_x2apic(apic) ? value >> 32 : GET_XAPIC_DEST_FIELD((u32)(value >> 32)));
	return 0;
}

static int read_by_msr(struct lapic *apic, u32 reg, u64 *value)
{
	u32 low;

	if (reg_read(apic, reg, &low))
		return -EINVAL;
	*value = low;
	if (reg == APIC_ICR)
		*value |= (u64)lapic_reg(apic, APIC_ICR2) << 32;
	return 0;
}

static int write_by_msr(struct lapic *apic, u32 reg, u64 value)
{
	if (reg == APIC_ICR)
		return write_x2apic_icr(apic, value);
	if (value >> 32)
		return -EINVAL;
	return reg_write(apic, reg, value);
}

static bool msr_to_reg(struct vcpu *vcpu, u32 msr, u32 *reg)
{
	*reg = (msr - APIC_BASE_MSR) << 4;
	return vcpu->lapic && lapic_in_x2apic(vcpu->lapic) && *reg <= APIC_SELF_IPI;
}

int lapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	u32 reg;

	return msr_to_reg(vcpu, msr, &reg) ? read_by_msr(vcpu->lapic, reg, value) : -EINVAL;
}

int lapic_msr_write(struct vcpu *vcpu, u32 msr, u64 value, bool host)
{
	u32 reg;

	return msr_to_reg(vcpu, msr, &reg) ? write_by_msr(vcpu->lapic, reg, value) : -EINVAL;
}

int lapic_hv_read(struct vcpu *vcpu, u32 reg, u64 *value)
{
	return vcpu->lapic ? read_by_msr(vcpu->lapic, reg, value) : -EINVAL;
}

int lapic_hv_write(struct vcpu *vcpu, u32 reg, u64 value)
{
	return vcpu->lapic ? write_by_msr(vcpu->lapic, reg, value) : -EINVAL;
}

/*
 * Is @gpa in the APIC's page? With the APIC off or in x2APIC mode there is nothing behind the page,
 * and by KVM's quirk the kernel answers for it all the same: *@hole.
 */
static bool in_page(struct vcpu *vcpu, u64 gpa, bool *hole)
{
	u64 base = vcpu->apic_base;

	if (!vcpu->lapic || gpa >> PAGE_SHIFT != base >> PAGE_SHIFT)
		return false;
	*hole = (base & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE)) != MSR_IA32_APICBASE_ENABLE;
	return !*hole || !(vcpu->vm->caps.disabled_quirks & KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
}

/* SDM, The Local APIC Block Diagram: only aligned 32-bit accesses are defined; parts of one are read. */
int lapic_mmio_read(struct vcpu *vcpu, u64 gpa, int len, void *val)
{
	u32 offset = gpa & ~PAGE_MASK, value;
	bool hole;

	if (!in_page(vcpu, gpa, &hole))
		return -EOPNOTSUPP;
	memset(val, hole ? 0xff : 0, len);
	if (hole || (offset & 0xf) + len > 4 || reg_read(vcpu->lapic, offset & ~0xf, &value))
		return 0;
	memcpy(val, (u8 *)&value + (offset & 0xf), len);
	return 0;
}

int lapic_mmio_write(struct vcpu *vcpu, u64 gpa, int len, const void *val)
{
	u32 offset = gpa & ~PAGE_MASK;
	bool hole;

	if (!in_page(vcpu, gpa, &hole))
		return -EOPNOTSUPP;
	/* Anything else is undefined, and ignored. A bad register is no fault here either. */
	if (!hole && len == 4 && !(offset & 0xf))
		reg_write(vcpu->lapic, offset, *(const u32 *)val);
	return 0;
}
