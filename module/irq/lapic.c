// SPDX-License-Identifier: GPL-2.0
/*
 * Local APIC: life, mode, and state for user space.
 */
#include <linux/slab.h>
#include <asm/cpufeatures.h>
#include <asm/mce.h>

#include "irq/chips.h"
#include "irq/lapic.h"

#define APIC_VERSION		0x14
#define APIC_BASE_RESERVED	GENMASK_ULL(9, 9) | GENMASK_ULL(7, 0)
#define APIC_BASE_MODE		(MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE)

#define LVT_BASIC	(APIC_LVT_MASKED | APIC_SEND_PENDING | APIC_VECTOR_MASK)
#define LVT_LINT	(LVT_BASIC | APIC_MODE_MASK | APIC_INPUT_POLARITY | APIC_LVT_REMOTE_IRR | \
			 APIC_LVT_LEVEL_TRIGGER)

/* SDM, Local Vector Table (LVT): what can be written. The timer's mode bits depend on CPUID. */
static const u32 lvt_masks[LVT_NR] = {
	[LVT_TIMER]	= LVT_BASIC | APIC_LVT_TIMER_PERIODIC,
	[LVT_THERMAL]	= LVT_BASIC | APIC_MODE_MASK,
	[LVT_PMC]	= LVT_BASIC | APIC_MODE_MASK,
	[LVT_LINT0]	= LVT_LINT,
	[LVT_LINT1]	= LVT_LINT,
	[LVT_ERROR]	= LVT_BASIC,
	[LVT_CMCI]	= LVT_BASIC | APIC_MODE_MASK,
};

u32 lapic_lvt_mask(const struct lapic *apic, int lvt)
{
	u32 mask = lvt_masks[lvt];

	if (lvt == LVT_TIMER && guest_has(apic->vcpu, X86_FEATURE_TSC_DEADLINE_TIMER))
		mask |= APIC_LVT_TIMER_TSCDEADLINE;
	return mask;
}

int lapic_nr_lvt(const struct lapic *apic)
{
	return apic->vcpu->cpu_state.mcg_cap & MCG_CMCI_P ? LVT_NR : LVT_NR - 1;
}

/*
 * Suppressing EOI broadcasts is not announced with the in-kernel I/O APIC, whose model (82093AA) has no EOI register:
 * there are guests that do not look and would never end a level interrupt. With a split irqchip, user space that says
 * nothing gets what upstream always did: it is announced, and not done.
 */
static bool announces_directed_eoi(struct vm *vm)
{
	if (vm->caps.directed_eoi == DIRECTED_EOI_UNSAID)
		return irqchip_mode(vm) == IRQCHIP_SPLIT;
	return vm->caps.directed_eoi == DIRECTED_EOI_ON;
}

bool lapic_suppresses_eoi(const struct lapic *apic)
{
	struct vm *vm = apic->vcpu->vm;

	if (likely(!(lapic_reg(apic, APIC_SPIV) & APIC_SPIV_DIRECTED_EOI)))
		return false;
	if (vm->caps.directed_eoi == DIRECTED_EOI_UNSAID)
		return irqchip_mode(vm) == IRQCHIP_KERNEL;
	return vm->caps.directed_eoi == DIRECTED_EOI_ON;
}

/* The version register follows CPUID, the number of LVT entries and KVM_CAP_X2APIC_API. */
u32 lapic_version(const struct lapic *apic)
{
	u32 version = APIC_VERSION | (lapic_nr_lvt(apic) - 1) << 16;

	if (announces_directed_eoi(apic->vcpu->vm) && guest_has(apic->vcpu, X86_FEATURE_X2APIC))
		version |= APIC_LVR_DIRECTED_EOI;
	return version;
}

/* The CPU shows guests what is in the page. */
void lapic_version_changed(struct vcpu *vcpu)
{
	if (vcpu->lapic)
		lapic_set_reg(vcpu->lapic, APIC_LVR, lapic_version(vcpu->lapic));
}

/* The LVT entry for CMCI came or went with a bit of IA32_MCG_CAP. */
void lapic_cmci_changed(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	if (apic)
		lapic_set_reg(apic, APIC_LVTCMCI, lapic_nr_lvt(apic) > LVT_CMCI ? APIC_LVT_MASKED : 0);
	lapic_version_changed(vcpu);
}

void lapic_update_ppr(struct lapic *apic)
{
	lapic_set_reg(apic, APIC_PROCPRI, apic_ppr(lapic_reg(apic, APIC_TASKPRI), lapic_in_service(apic)));
}

void lapic_set_spiv(struct lapic *apic, u32 value)
{
	bool enabled = value & APIC_SPIV_APIC_ENABLED;

	lapic_set_reg(apic, APIC_SPIV, value);
	if (enabled == apic->sw_enabled)
		return;
	WRITE_ONCE(apic->sw_enabled, enabled);
	apic_map_changed(apic->vcpu->vm);
	if (enabled)
		vcpu_request(apic->vcpu, REQ_EVENT);	/* lapic_share() */
	/* Page-ready interrupts that could not be taken. */
	if (enabled && apic->vcpu->apf.enable)
		vcpu_request(apic->vcpu, REQ_APF_READY);
}

bool lapic_takes_interrupts(const struct vcpu *vcpu)
{
	const struct lapic *apic = vcpu->lapic;

	return apic && lapic_hw_enabled(apic) && apic->sw_enabled;
}

void lapic_lvt0_changed(struct lapic *apic)
{
	u32 lvt0 = lapic_reg(apic, APIC_LVT0);
	bool nmi = (lvt0 & (APIC_LVT_MASKED | APIC_MODE_MASK)) == APIC_DM_NMI;

	if (nmi != apic->lvt0_nmi) {
		apic->lvt0_nmi = nmi;
		atomic_add(nmi ? 1 : -1, &apic->vcpu->vm->irq->nmi_lvt0s);
	}
	/* The PIC's output may have been high all the time. */
	lapic_recheck(apic);
	/* AVIC leaves no way for what the PIC sends. */
	if (cpu_caps.shared_irr)
		vcpu_request(apic->vcpu, REQ_INTERCEPTS);
}

int lapic_create(struct vcpu *vcpu)
{
	struct lapic *apic;

	if (!irqchip_in_kernel_apic(vcpu->vm))
		return 0;
	apic = kzalloc(sizeof(*apic), GFP_KERNEL_ACCOUNT);
	if (!apic)
		return -ENOMEM;
	apic->regs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!apic->regs)
		goto no_memory;
	raw_spin_lock_init(&apic->trigger_lock);
	if (cpu_caps.virtual_delivery && !cpu_caps.shared_irr) {
		/* 64 bytes at a multiple of 64 would do by the SDM; there are emulators that want a page. */
		apic->posted = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!apic->posted)
			goto no_memory;
	}
	apic->vcpu = vcpu;
	apic->isr_highest = -1;
	apic->external = -1;
	lapic_timer_init(apic);
	vcpu->lapic = apic;
	if (cpu_caps.apic_page)
		mmu_forbid_apic_page(vcpu->vm);
	return 0;
no_memory:
	free_page((unsigned long)apic->regs);
	kfree(apic);
	return -ENOMEM;
}

void lapic_destroy(struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	if (!apic)
		return;
	lapic_timer_cancel(apic);
	/* Others need not do without because of this one. */
	if (cpu_caps.apic_page)
		lapic_hw_set_page(vcpu, true);
	vcpu->lapic = NULL;
	free_page((unsigned long)apic->regs);
	free_page((unsigned long)apic->posted);
	kfree(apic);
}

static void lapic_set_id(struct lapic *apic)
{
	u32 id = apic->vcpu->id;

	if (lapic_in_x2apic(apic)) {
		lapic_set_reg(apic, APIC_ID, id);
		lapic_set_reg(apic, APIC_LDR, apic_x2apic_ldr(id));
	} else {
		lapic_set_reg(apic, APIC_ID, id << 24);
	}
	apic_map_changed(apic->vcpu->vm);
}

static void set_base(struct vcpu *vcpu, u64 base)
{
	u64 changed = vcpu->apic_base ^ base;

	WRITE_ONCE(vcpu->apic_base, base);
	if (changed & MSR_IA32_APICBASE_ENABLE)
		cpuid_update_runtime(vcpu);
	if (!vcpu->lapic)
		return;
	/* What the CPU does for the APIC depends on its mode and place. */
	if (cpu_caps.virtual_delivery)
		vcpu_request(vcpu, REQ_INTERCEPTS);
	if (!(changed & APIC_BASE_MODE))
		return;
	if (base & MSR_IA32_APICBASE_ENABLE)
		lapic_set_id(vcpu->lapic);
	else
		apic_map_changed(vcpu->vm);
	lapic_recheck(vcpu->lapic);
}

u64 lapic_get_base(struct vcpu *vcpu)
{
	return vcpu->apic_base;
}

/* SDM, x2APIC State Transitions: user space may make any transition between valid states. */
static bool transition_allowed(u64 from, u64 to)
{
	from &= APIC_BASE_MODE;
	to &= APIC_BASE_MODE;
	if (from == APIC_BASE_MODE)
		return to != MSR_IA32_APICBASE_ENABLE;
	return from || to != APIC_BASE_MODE;
}

int lapic_set_base(struct vcpu *vcpu, u64 base, bool host)
{
	/* Before KVM_SET_CPUID2 upstream takes 36 bits, the architecture's default. */
	u64 reserved = APIC_BASE_RESERVED | ~GENMASK_ULL((vcpu->cpu_state.maxphyaddr ?: 36) - 1, 0);

	if (base == vcpu->apic_base)
		return 0;
	if (!guest_has(vcpu, X86_FEATURE_X2APIC))
		reserved |= X2APIC_ENABLE;
	if (base & reserved || (base & APIC_BASE_MODE) == X2APIC_ENABLE)
		return -EINVAL;
	if (!host && !transition_allowed(vcpu->apic_base, base))
		return -EINVAL;
	set_base(vcpu, base);
	return 0;
}

static void reset_registers(struct lapic *apic)
{
	struct vcpu *vcpu = apic->vcpu;
	u32 reg;
	int i;

	for (reg = 0; reg < KVM_APIC_REG_SIZE; reg += 0x10)
		if (reg != APIC_ID && reg != APIC_LDR)
			lapic_set_reg(apic, reg, 0);
	if (!lapic_in_x2apic(apic))
		lapic_set_reg(apic, APIC_LDR, 0);
	lapic_set_reg(apic, APIC_LVR, lapic_version(apic));
	lapic_set_reg(apic, APIC_DFR, APIC_DFR_FLAT);
	for (i = 0; i < lapic_nr_lvt(apic); i++)
		lapic_set_reg(apic, lvt_reg(i), APIC_LVT_MASKED);
	/* Firmware that never heard of APICs expects the PIC to get through. */
	if (vcpu->is_bsp && !(vcpu->vm->caps.disabled_quirks & KVM_X86_QUIRK_LINT0_REENABLED))
		lapic_set_reg(apic, APIC_LVT0, APIC_DM_EXTINT);
	lapic_set_spiv(apic, 0xff);
	apic_map_changed(vcpu->vm);
}

/*
 * SDM, Local APIC State After Power-Up or Reset; after INIT the id and the mode stay. The base is there without an
 * APIC in the kernel, too: user space may have one.
 */
void lapic_reset(struct vcpu *vcpu, bool init_event)
{
	struct lapic *apic = vcpu->lapic;

	if (!init_event)
		set_base(vcpu, APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE |
			       (vcpu->is_bsp ? MSR_IA32_APICBASE_BSP : 0));
	if (!apic)
		return;
	lapic_timer_cancel(apic);
	if (!init_event)
		lapic_set_id(apic);
	lapic_sync(apic);
	bitmap_zero(apic->edges, 256);
	reset_registers(apic);
	/*
	 * An interrupt that another CPU sends meanwhile may survive or not, like one that arrives
	 * around an INIT; the hint covers the first case.
	 */
	WRITE_ONCE(apic->irr_pending, true);
	apic->isr_highest = -1;
	apic->isr_stale = false;
	apic->status_stale = true;
	vcpu->pv_eoi = 0;
	vcpu->apic_attention &= ~APIC_PV_EOI;
	apic->timer.tscdeadline = 0;
	vcpu_take_request(vcpu, REQ_DEADLINE);
	apic->timer.period = 0;
	lapic_timer_lvtt_changed(apic);
	lapic_timer_tdcr_changed(apic);
	lapic_lvt0_changed(apic);
}

int lapic_get(struct vcpu *vcpu, struct kvm_lapic_state *s)
{
	struct lapic *apic = vcpu->lapic;
	u32 *id = (u32 *)(s->regs + APIC_ID);
	int i;

	if (!apic)
		return -EINVAL;
	lapic_sync(apic);
	lapic_update_ppr(apic);
	memcpy(s->regs, apic->regs, sizeof(s->regs));
	for (i = 0; i < 8; i++)
		*(u32 *)(s->regs + APIC_TMR + i * 0x10) &= ~(u32)(apic->edges[i / 2] >> i % 2 * 32);
	*(u32 *)(s->regs + APIC_LVR) = lapic_version(apic);
	*(u32 *)(s->regs + APIC_TMCCT) = lapic_timer_count(apic);
	/* The classic format has the id in the top byte, whatever the mode. */
	if (lapic_in_x2apic(apic) && !vcpu->vm->caps.x2apic_32bit_ids)
		*id <<= 24;
	return 0;
}

/* Everything that has no meaning of its own beyond the stored value. */
static void load_registers(struct lapic *apic, const struct kvm_lapic_state *s)
{
	static const struct {
		u16 reg;
		u32 mask;
	} plain[] = {
		{ APIC_TASKPRI, 0xff }, { APIC_DFR, ~0 }, { APIC_ESR, 0xff },
		{ APIC_ICR, ~APIC_ICR_BUSY }, { APIC_ICR2, ~0 }, { APIC_TMICT, ~0 },
		{ APIC_TMCCT, ~0 }, { APIC_TDCR, 0xb },
	};
	u32 reg;
	int i;

	for (i = 0; i < ARRAY_SIZE(plain); i++)
		lapic_set_reg(apic, plain[i].reg, *(u32 *)(s->regs + plain[i].reg) & plain[i].mask);
	for (reg = APIC_ISR; reg < APIC_IRR + 8 * 0x10; reg += 0x10)
		lapic_set_reg(apic, reg, *(u32 *)(s->regs + reg));
	for (i = 0; i < lapic_nr_lvt(apic); i++)
		lapic_set_reg(apic, lvt_reg(i), *(u32 *)(s->regs + lvt_reg(i)) & lapic_lvt_mask(apic, i));
}

/* In x2APIC mode ids are read-only: a wrong one is refused where the format can express it. */
static int load_ids(struct lapic *apic, const struct kvm_lapic_state *s)
{
	u32 id = *(u32 *)(s->regs + APIC_ID);

	if (lapic_in_x2apic(apic)) {
		if (apic->vcpu->vm->caps.x2apic_32bit_ids && id != apic->vcpu->id)
			return -EINVAL;
		lapic_set_id(apic);
		return 0;
	}
	lapic_set_reg(apic, APIC_ID, id & GENMASK(31, 24));
	lapic_set_reg(apic, APIC_LDR, *(u32 *)(s->regs + APIC_LDR) & APIC_LDR_MASK);
	return 0;
}

/**
 * lapic_set - KVM_SET_LAPIC
 * @vcpu: whose APIC; its mutex is held
 * @s: user space's, and may hold anything
 *
 * Only bits that the guest could have set are taken over.
 * The timer goes on from the current count.
 */
int lapic_set(struct vcpu *vcpu, const struct kvm_lapic_state *s)
{
	struct lapic *apic = vcpu->lapic;

	if (!apic || load_ids(apic, s))
		return -EINVAL;
	lapic_timer_cancel(apic);
	lapic_sync(apic);
	bitmap_zero(apic->edges, 256);
	load_registers(apic, s);
	lapic_set_spiv(apic, *(u32 *)(s->regs + APIC_SPIV) & (0x3ff | APIC_SPIV_DIRECTED_EOI));
	apic_map_changed(vcpu->vm);
	apic->isr_stale = true;
	apic->status_stale = true;
	WRITE_ONCE(apic->irr_pending, true);
	lapic_timer_lvtt_changed(apic);
	lapic_timer_tdcr_changed(apic);
	lapic_timer_start(apic, APIC_TMCCT);
	lapic_set_reg(apic, APIC_TMCCT, 0);
	lapic_lvt0_changed(apic);
	if (cpu_caps.shared_irr)
		vcpu_request(vcpu, REQ_EOI_VECTORS);
	/* Whatever is pending now, and the new TPR. */
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}
