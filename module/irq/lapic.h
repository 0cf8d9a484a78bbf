/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The local APIC inside irq/.
 */
#ifndef NESTOR_LAPIC_H
#define NESTOR_LAPIC_H

#include <linux/bitops.h>
#include <linux/hrtimer.h>
#include <asm/apicdef.h>

#include "irq/apic_logic.h"
#include "irq/irq.h"
#include "vm/vm.h"

enum { LAPIC_INIT, LAPIC_SIPI };		/* bits of lapic.events */

enum {
	LVT_TIMER, LVT_THERMAL, LVT_PMC, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_CMCI, LVT_NR
};

/**
 * struct lapic_timer - one hrtimer serves all three modes
 * @timer: its callback runs in hard interrupts and sets IRR itself. Other fields are the vCPU's; the
 *	callback reads @mode and @period and moves @target, so they change under hrtimer_cancel(),
 *	or in a way that a callback may see halfway.
 * @mode: APIC_LVT_TIMER_*, a copy of LVTT's field
 * @period: initial count in nanoseconds; 0: stopped
 * @target: when the count reaches 0
 * @tscdeadline: IA32_TSC_DEADLINE; 0: not armed
 * @user_deadline: the same as user space has set it since the last KVM_RUN, where REQ_DEADLINE says so
 */
struct lapic_timer {
	struct hrtimer timer;
	u32 mode;
	u32 divisor;
	s64 period;
	ktime_t target;
	u64 tscdeadline;
	u64 user_deadline;
};

/**
 * struct lapic_posted - requests by others, where the CPU itself takes interrupts out of the registers' page
 * @requests: like IRR
 * @control: POSTED_*; all bits but the first are software's
 *
 * The CPU owns IRR while the guest runs and changes it without the bus lock, so nobody else may. In the layout of
 * the SDM's posted-interrupt descriptor.
 */
struct lapic_posted {
	unsigned long requests[256 / BITS_PER_LONG];
	unsigned long control;
	unsigned long reserved[3];
};
static_assert(sizeof(struct lapic_posted) == 64);

/* Bits: there are requests, or ones in lapic.kept; whoever sets one tells the vCPU. */
#define POSTED_OUTSTANDING	0
#define POSTED_KEPT		1

/**
 * struct lapic - a local APIC
 * @regs: the register page in the layout that the guest sees: what hardware calls the virtual-APIC
 *	page. It may write TPR there, so what depends on TPR is computed when it is asked for.
 * @irr_pending: false: IRR is empty. A hint that saves the search; see lapic_set_irr().
 * @isr_highest: highest vector in service, -1: none; lapic_in_service() unless it is known to be right
 * @isr_stale: ISR may be another one since; always so with @delivery
 * @posted: where others put requests; NULL: into IRR
 * @kept: ... those whose EOI somebody waits for: not for the CPU to take, as it may not know yet that it has to tell
 * @edges: where others set IRR, vectors whose TMR bit is set though they are edge triggered: what the CPU tells of
 *	by itself is the EOI of level-triggered ones
 * @trigger_lock: of changes of @edges and TMR together, there
 * @eoi_told: vectors whose EOI it knows that it has to tell
 * @eoi_stale: and they may have changed; never without @status_stale
 * @delivery: the CPU delivers requests and ends interrupts by itself
 * @posting: ... and takes them, out of @posted or IRR, when the doorbell reaches it
 * @status_stale: ... and does not know what has changed in IRR and ISR
 * @page: the CPU handles accesses to the registers' page
 * @sw_enabled: SPIV bit 8
 * @lvt0_nmi: LVT0 is unmasked with delivery mode NMI: PIT ticks are NMIs (the NMI watchdog)
 * @events: LAPIC_INIT, LAPIC_SIPI
 * @external: vector of KVM_INTERRUPT in a split irqchip, -1: none
 * @ioapic_eoi: vector for KVM_EXIT_IOAPIC_EOI
 */
struct lapic {
	struct vcpu *vcpu;			/* [c] */
	void *regs;				/* [c] */
	bool irr_pending;			/* [a] */
	bool sw_enabled;			/* [v] others read it */
	bool lvt0_nmi;				/* [v] */
	int isr_highest;			/* [v] */
	bool isr_stale;				/* [v] */
	bool delivery;				/* [v] */
	bool posting;				/* [v] others read it */
	bool status_stale;			/* [v] */
	bool page;				/* [v] */
	struct lapic_posted *posted;		/* [c] its requests [a] */
	unsigned long kept[256 / BITS_PER_LONG];	/* [a] */
	unsigned long edges[256 / BITS_PER_LONG];	/* written under trigger_lock */
	raw_spinlock_t trigger_lock;
	u64 eoi_told[4];			/* [v] */
	bool eoi_stale;				/* [v] */
	int external;				/* [v] */
	u8 ioapic_eoi;				/* [v] */
	u8 sipi_vector;				/* [a] valid while LAPIC_SIPI is set */
	unsigned long events;			/* [a] */
	struct lapic_timer timer;
};

static inline u32 lapic_reg(const struct lapic *apic, u32 reg)
{
	return READ_ONCE(*(const u32 *)(apic->regs + reg));
}

static inline void lapic_set_reg(struct lapic *apic, u32 reg, u32 value)
{
	WRITE_ONCE(*(u32 *)(apic->regs + reg), value);
}

/* set_bit() and the like work on longs; the words are 16 bytes apart, so the upper half is padding. */
static inline unsigned long *lapic_bits(struct lapic *apic, u32 base, u8 vector)
{
	return apic->regs + base + vector / 32 * 0x10;
}

static inline bool lapic_test_vector(struct lapic *apic, u32 base, u8 vector)
{
	return lapic_reg(apic, base + vector / 32 * 0x10) & BIT(vector % 32);
}

static inline bool lapic_hw_enabled(const struct lapic *apic)
{
	return READ_ONCE(apic->vcpu->apic_base) & MSR_IA32_APICBASE_ENABLE;
}

static inline bool lapic_in_x2apic(const struct lapic *apic)
{
	return READ_ONCE(apic->vcpu->apic_base) & X2APIC_ENABLE;
}

static inline u8 lapic_xapic_id(const struct lapic *apic)
{
	return lapic_reg(apic, APIC_ID) >> 24;
}

/* Does the PIC's output reach this CPU? SDM, Virtual Wire Mode; a disabled APIC is not in the way. */
static inline bool lapic_accepts_extint(const struct lapic *apic)
{
	return !lapic_hw_enabled(apic) ||
	       (lapic_reg(apic, APIC_LVT0) & (APIC_LVT_MASKED | APIC_MODE_MASK)) == APIC_DM_EXTINT;
}

static inline u32 lvt_reg(int lvt)
{
	return lvt == LVT_CMCI ? APIC_LVTCMCI : APIC_LVTT + 0x10 * lvt;
}

/* lapic_hw.c: the CPU's part */
void lapic_take_posted(struct lapic *apic);
void lapic_hw_set_trigger(struct lapic *apic, u8 vector, bool level);

/* Before IRR is looked at. */
static inline void lapic_sync(struct lapic *apic)
{
	if (apic->posted && READ_ONCE(apic->posted->control))
		lapic_take_posted(apic);
}

/* Before an entry: something that the CPU does not know yet. */
static inline bool lapic_hw_waits(const struct lapic *apic)
{
	return apic->status_stale || READ_ONCE(apic->posted->control);
}

static inline int lapic_in_service(struct lapic *apic)
{
	if (apic->isr_stale || apic->delivery) {
		apic->isr_highest = apic_highest(apic->regs, APIC_ISR);
		apic->isr_stale = false;
	}
	return apic->isr_highest;
}

/* lapic.c */
int lapic_nr_lvt(const struct lapic *apic);
u32 lapic_version(const struct lapic *apic);
bool lapic_suppresses_eoi(const struct lapic *apic);	/* the guest tells I/O APICs itself */
u32 lapic_lvt_mask(const struct lapic *apic, int lvt);
void lapic_update_ppr(struct lapic *apic);
void lapic_set_spiv(struct lapic *apic, u32 value);
void lapic_lvt0_changed(struct lapic *apic);

/* lapic_irq.c */
bool lapic_accept(struct lapic *apic, const struct irq_msg *msg, struct vcpu *source);
bool lapic_local_deliver(struct lapic *apic, int lvt);
void lapic_recheck(struct lapic *apic);		/* something that blocked an interrupt may have gone */
void lapic_write_tpr(struct lapic *apic, u8 tpr);
void lapic_eoi(struct lapic *apic);
void lapic_send_eoi(struct lapic *apic, u8 vector);

/* lapic_timer.c */
void lapic_timer_init(struct lapic *apic);
void lapic_timer_cancel(struct lapic *apic);
void lapic_timer_start(struct lapic *apic, u32 count_reg);
bool lapic_timer_lvtt_changed(struct lapic *apic);
void lapic_timer_tdcr_changed(struct lapic *apic);
u32 lapic_timer_count(struct lapic *apic);

/* deliver.c */
void apic_map_changed(struct vm *vm);
void lapic_address(const struct lapic *apic, struct apic_address *a);
bool lapic_matches(struct lapic *apic, struct vcpu *source, u32 dest, bool logical);

#endif
