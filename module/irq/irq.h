/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupt controllers: local APIC, I/O APIC, PIC, PIT, routing, delivery.
 *
 * Unless said otherwise an entry point runs in any context but NMI: from handlers inside bursts,
 * from hard interrupts (timers), from an irqfd's wake-up. So irq_set_gsi(), irq_send_msi() and
 * irq_deliver() never answer 'would block': whoever has an interrupt to send calls them where it is.
 *
 * Locks, outermost first; none but the two mutexes is held while sleeping:
 *
 *	vm->lock, vm->slots_lock	as everywhere
 *	pit->mutex			reinjection on or off
 *	vm_irq->lock			mutex: routing table, ack notifiers (writers)
 *	vm->irq_srcu			read side of both; notifiers are called inside it
 *	pit->lock			raw, irqsave: the three channels; cancels the PIT's hrtimer, whose
 *					callback therefore never takes it
 *	ioapic->lock, pic->lock		raw, irqsave, never nested in each other. Ack notifiers are
 *					called with neither held, because they call irq_set_gsi()
 *	RCU				the map from APIC id to local APIC
 *
 * A local APIC has no lock. Its registers belong to the vCPU's thread (vcpu->mutex), except that
 * anybody sets bits in IRR and TMR with atomic operations, and that the map builder and senders of
 * interrupts read ids, LDR, DFR and LVT0 as they are at that moment.
 */
#ifndef NESTOR_IRQ_H
#define NESTOR_IRQ_H

#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/types.h>

struct vcpu;
struct vm;
struct lapic;
struct vm_irq;
struct apic_address;

/* Delivery of an interrupt message: the encoding of ICR, MSI data and redirection entries. */
enum {
	APIC_DM_FIXED_,
	APIC_DM_LOWEST_,
	APIC_DM_SMI_,
	APIC_DM_REMRD_,		/* KVM's use of the reserved mode: wake a halted vCPU */
	APIC_DM_NMI_,
	APIC_DM_INIT_,
	APIC_DM_STARTUP_,
	APIC_DM_EXTINT_,
	APIC_DM_REQUESTED_,	/* no such encoding: fixed, and the CPU has set IRR */
};

enum { IRQ_TO_DEST, IRQ_TO_SELF, IRQ_TO_ALL, IRQ_TO_OTHERS };

/**
 * struct irq_msg - an interrupt on its way to local APICs
 * @dest: xAPIC (8 bit) or x2APIC (32 bit) destination, unless @shorthand says another
 * @delivery_mode: APIC_DM_*_
 * @level: level triggered; @assert false is then the de-assertion, which only INIT knows
 * @shorthand: IRQ_TO_*
 * @redir_hint: MSI redirection hint: one of the destinations, as with lowest priority
 */
struct irq_msg {
	u32 dest;
	u8 vector;
	u8 delivery_mode;
	bool logical;
	bool level;
	bool assert;
	u8 shorthand;
	bool redir_hint;
};

/* What the VM has: under vm->lock to change, constant once a vCPU exists. */
/* vm->caps.directed_eoi: whether local APICs can suppress the broadcast of an EOI. */
enum directed_eoi { DIRECTED_EOI_UNSAID, DIRECTED_EOI_ON, DIRECTED_EOI_OFF };

enum irqchip_mode { IRQCHIP_NONE, IRQCHIP_KERNEL, IRQCHIP_SPLIT };
enum irqchip_mode irqchip_mode(struct vm *vm);
static inline bool irqchip_in_kernel_apic(struct vm *vm)
{
	return irqchip_mode(vm) != IRQCHIP_NONE;
}

/* KVM_CREATE_IRQCHIP and KVM_CAP_SPLIT_IRQCHIP; under vm->lock; -EEXIST, -EINVAL, -ENOMEM. */
int irqchip_create(struct vm *vm);
int irqchip_create_split(struct vm *vm, u64 nr_pins);
/*
 * Stops and frees everything but the local APICs. When no vCPU runs and no irqfd is left; before
 * the vCPUs, the I/O buses and vm->irq_srcu go: the PIT's timer looks at vCPUs until then.
 */
void irqchip_destroy(struct vm *vm);
int irqchip_get(struct vm *vm, struct kvm_irqchip *chip);	/* KVM_GET_IRQCHIP: chip_id in, state out */
int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip);	/* both: -ENXIO, -EINVAL */
int pit_create(struct vm *vm, const struct kvm_pit_config *config);	/* under vm->lock: -EEXIST, -ENOENT */
int pit_get(struct vm *vm, struct kvm_pit_state2 *state);	/* these three: -ENXIO without a PIT */
int pit_set(struct vm *vm, const struct kvm_pit_state2 *state);
int pit_reinject(struct vm *vm, bool reinject);			/* may sleep */

/* Routing. */
#define NESTOR_MAX_ROUTES	4096
/* KVM_SET_GSI_ROUTING; may sleep; @entries are a kernel copy. -EINVAL, -ENOMEM. */
int irq_set_routing(struct vm *vm, const struct kvm_irq_routing_entry *entries, u32 n, u32 flags);
/* KVM_IRQ_LINE_STATUS: level of one GSI from one source. >0 delivered, 0 coalesced, <0 blocked or unknown. */
int irq_set_gsi(struct vm *vm, int source_id, u32 gsi, int level);
int irq_send_msi(struct vm *vm, const struct kvm_msi *msi);	/* KVM_SIGNAL_MSI */
/* Number of APICs that took it; -1 when the VM has none. */
int irq_deliver(struct vm *vm, struct vcpu *source, const struct irq_msg *msg);

/* A line is high while any source holds it high. */
#define IRQ_SOURCE_USER		0
#define IRQ_SOURCE_RESAMPLE	1
#define IRQ_SOURCE_PIT		2

/**
 * struct irq_ack_notifier - wants to know when the guest acknowledges a GSI (EOI)
 * @acked: any context, inside vm->irq_srcu
 * @resamples: @acked looks at the line's true level and raises it again when it is still high. Then
 *	a level interrupt that was pending while masked is not injected blindly at unmasking.
 */
struct irq_ack_notifier {
	struct hlist_node link;
	u32 gsi;
	bool resamples;
	void (*acked)(struct irq_ack_notifier *n);
};
void irq_register_ack(struct vm *vm, struct irq_ack_notifier *n);	/* may sleep */
void irq_unregister_ack(struct vm *vm, struct irq_ack_notifier *n);	/* sleeps until no caller is left */
bool irq_has_ack_notifier(struct vm *vm, u32 chip, u32 pin);
/* @chip, @pin as in the routing table; the slave PIC's pins are 8 to 15. No lock of irq/ is held. */
void irq_notify_acked(struct vm *vm, u32 chip, u32 pin);
void irq_notify_acked_gsi(struct vm *vm, u32 gsi);
/* Virtual processors or their SINTs have changed: who is told of their EOIs. Takes vm_irq->lock. */
void irq_sints_changed(struct vm *vm);

/*
 * Local APIC. Under vcpu->mutex unless said otherwise.
 */
int lapic_create(struct vcpu *vcpu);		/* sets vcpu->lapic if the VM has APICs; may sleep */
void lapic_destroy(struct vcpu *vcpu);
void lapic_reset(struct vcpu *vcpu, bool init_event);	/* sets APIC_BASE too, also without an APIC */
int lapic_get(struct vcpu *vcpu, struct kvm_lapic_state *s);	/* -EINVAL without an APIC */
int lapic_set(struct vcpu *vcpu, const struct kvm_lapic_state *s);
u64 lapic_get_base(struct vcpu *vcpu);		/* works without an in-kernel APIC too */
int lapic_set_base(struct vcpu *vcpu, u64 base, bool host);	/* 0 or -EINVAL */
void lapic_set_tpr(struct vcpu *vcpu, u8 cr8);
u8 lapic_get_cr8(struct vcpu *vcpu);
/*
 * x2APIC MSRs: 0, or -EINVAL (#GP). lapic_msr_write() is -EAGAIN for an interrupt to very many vCPUs
 * from inside a burst: leave the burst and call again.
 */
int lapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *value);
int lapic_msr_write(struct vcpu *vcpu, u32 msr, u64 value, bool host);
u64 lapic_get_tscdeadline(struct vcpu *vcpu);
void lapic_set_tscdeadline(struct vcpu *vcpu, u64 deadline);
void lapic_stage_tscdeadline(struct vcpu *vcpu, u64 deadline);	/* user space's: for the next KVM_RUN */
void lapic_arm_staged(struct vcpu *vcpu);
void lapic_timer_to_host(struct vcpu *vcpu);	/* outside bursts: vcpu->cpu_deadline, which is set, becomes a timer of the host's */
void lapic_cpu_timer_expired(struct vcpu *vcpu);	/* the CPU has counted down; may be early */
void lapic_tsc_changed(struct vcpu *vcpu);	/* offset or ratio moved: re-arm the deadline timer */
u8 lapic_max_irr(struct vcpu *vcpu);		/* for vendor->update_tpr(); 0: none */

/*
 * >= 0: an interrupt can be taken now as far as the controllers go, -1: none. The value is the vector,
 * or 0 for an external interrupt, whose vector only the acknowledge tells. irq_take() acknowledges
 * and returns the vector, or -1. Without an in-kernel APIC both are -1.
 */
int irq_pending(struct vcpu *vcpu);
int irq_take(struct vcpu *vcpu);
int irq_injectable(struct vcpu *vcpu);	/* as irq_pending(), less what the CPU delivers by itself */
/* KVM_INTERRUPT with an in-kernel APIC: -ENXIO when the PIC is there too, -EEXIST when one waits. */
int irq_queue_external(struct vcpu *vcpu, u8 vector);

/*
 * INIT and SIPI that arrived for the vCPU: acts on mp_state. Called by the run loop, may sleep. True when the
 * vCPU may run now.
 */
bool lapic_accept_events(struct vcpu *vcpu);
bool lapic_has_init_or_sipi(struct vcpu *vcpu);	/* none that could be taken now, in system-management mode */
/* An INIT waits while the vCPU is in system-management mode; a SIPI is lost. */
bool lapic_latched_init(struct vcpu *vcpu);
void lapic_latch_init(struct vcpu *vcpu, bool latched);
void lapic_drop_sipi(struct vcpu *vcpu);
void lapic_pend_sipi(struct vcpu *vcpu);	/* KVM_SET_MP_STATE with SIPI_RECEIVED */
void lapic_set_sipi_vector(struct vcpu *vcpu, u8 vector);	/* KVM_SET_VCPU_EVENTS */
u8 lapic_sipi_vector(struct vcpu *vcpu);

/*
 * A fixed, edge-triggered interrupt for one vCPU, as an IPI. True: its APIC has taken it. @source: as for
 * irq_deliver(). Any context.
 */
bool lapic_send_vector(struct vcpu *vcpu, u8 vector, struct vcpu *source);
/*
 * The registers by MSRs of a paravirtual interface, whatever the APIC's mode: as lapic_msr_read() and
 * lapic_msr_write(), the ICR in one piece.
 */
int lapic_hv_read(struct vcpu *vcpu, u32 reg, u64 *value);
int lapic_hv_write(struct vcpu *vcpu, u32 reg, u64 value);

/* The vector of KVM_EXIT_IOAPIC_EOI after REQ_IOAPIC_EOI_EXIT. */
u8 lapic_pending_ioapic_eoi(struct vcpu *vcpu);

/*
 * The APIC page, for a fast MMIO path: 0 or -EOPNOTSUPP when @gpa is not this vCPU's APIC. iobus_read/write
 * call these first.
 */
int lapic_mmio_read(struct vcpu *vcpu, u64 gpa, int len, void *val);
int lapic_mmio_write(struct vcpu *vcpu, u64 gpa, int len, const void *val);

/* Corrected machine check: as LVT CMCI says. */
void lapic_send_cmci(struct vcpu *vcpu);
/* What the version register shows has changed. */
void lapic_version_changed(struct vcpu *vcpu);
void lapic_cmci_changed(struct vcpu *vcpu);

/* The APIC is on, by hardware and by software. */
bool lapic_takes_interrupts(const struct vcpu *vcpu);

/* Bits of vcpu->apic_attention: lapic_share.c. */
enum {
	APIC_PV_EOI		= BIT(0),	/* the guest may have ended an interrupt by the word in memory */
	APIC_VAPIC		= BIT(1),	/* the VAPIC word is in use */
	APIC_VAPIC_UNREAD	= BIT(2),	/* it could not be accessed in the burst */
};
void lapic_share(struct vcpu *vcpu);
void lapic_attend(struct vcpu *vcpu);
int lapic_set_pv_eoi(struct vcpu *vcpu, u64 data);
int lapic_set_vapic(struct vcpu *vcpu, u64 gpa);

/*
 * Hardware that takes part (cpu_caps.virtual_delivery): lapic_hw.c. The vCPU's thread, but for
 * lapic_hw_eoi_vectors_changed().
 */
struct vm_irq;
void *lapic_page(struct vcpu *vcpu);		/* the registers as the CPU reads and writes them */
bool lapic_x2apic_mode(const struct vcpu *vcpu);
bool lapic_at_default(const struct vcpu *vcpu);	/* its page is where it is after a reset */
bool lapic_hw_fits(const struct vcpu *vcpu);	/* AVIC can do all of it: xAPIC mode, and the PIC does not get through */
bool lapic_hw_address(struct vcpu *vcpu, struct apic_address *a);	/* false: it is off */
void *lapic_posted_page(struct vcpu *vcpu);	/* the posted-interrupt descriptor */
void lapic_hw_set_delivery(struct vcpu *vcpu, bool on, bool posting);
/* The CPU handles accesses to the APIC's page, which is mmu.apic_page then (cpu_caps.apic_page). */
void lapic_hw_set_page(struct vcpu *vcpu, bool on);
bool lapic_hw_has_page(const struct vcpu *vcpu);
/* It has stored a value in the page, and leaves what follows from that to us. */
void lapic_hw_written(struct vcpu *vcpu, u32 offset);
void lapic_hw_show_ppr(struct vcpu *vcpu);	/* it shows the guest what is in the page */
/* An IPI that it could not send; @requested: it has set IRR of all destinations, and they are to be told. */
void lapic_hw_ipi(struct vcpu *vcpu, u64 icr, bool requested);
/* Before an entry. True: *@status is what the guest interrupt status has to be, else it is as the last exit left it. */
bool lapic_hw_enter(struct vcpu *vcpu, u16 *status);
void lapic_hw_eoi(struct vcpu *vcpu, u8 vector);	/* the guest has ended this interrupt, and the CPU noted it */
void lapic_end_interrupt(struct vcpu *vcpu);	/* the CPU writes to EOI by itself */
/* When that was true: the four words of vectors whose EOI the CPU shall tell of; NULL: it knows. Zeros at first. */
const u64 *lapic_hw_eoi_vectors(struct vcpu *vcpu);
void lapic_hw_renew_eoi_vectors(struct vcpu *vcpu);	/* REQ_EOI_VECTORS */
void lapic_hw_eoi_vectors_changed(struct vm *vm);	/* any context */

/* KVM_HC_SEND_IPI: number of targets hit, or -KVM_EINVAL. KVM_HC_KICK_CPU uses lapic_find(). */
int lapic_pv_send_ipi(struct vcpu *vcpu, u64 low, u64 high, u32 min, u64 icr, bool op_64bit);
struct vcpu *lapic_find(struct vm *vm, u32 apic_id);	/* any thread; NULL: nobody has it */

#endif
