/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupt controllers: local APIC, I/O APIC, PIC, PIT, routing. All entry points run in any
 * context unless said otherwise (spinlocks inside are raw or irqsave), because handlers run with
 * interrupts off inside bursts and timers fire in hard interrupts.
 */
#ifndef NESTOR_IRQ_H
#define NESTOR_IRQ_H

#include <linux/kvm.h>
#include <linux/types.h>

struct vcpu;
struct vm;
struct lapic;
struct vm_irq;

/* Delivery of an interrupt message. */
enum { APIC_DM_FIXED_, APIC_DM_LOWEST_, APIC_DM_SMI_, APIC_DM_REMRD_, APIC_DM_NMI_, APIC_DM_INIT_, APIC_DM_STARTUP_, APIC_DM_EXTINT_ };

struct irq_msg {
	u32 dest;
	u8 vector;
	u8 delivery_mode;	/* APIC_DM_*_ */
	bool logical;
	bool level;		/* level triggered */
	bool assert;
	u8 shorthand;		/* 0 none, 1 self, 2 all, 3 all but self */
	bool redir_hint;
};

/* What the VM has: under vm->lock to change, constant once a vCPU exists. */
enum irqchip_mode { IRQCHIP_NONE, IRQCHIP_KERNEL, IRQCHIP_SPLIT };
enum irqchip_mode irqchip_mode(struct vm *vm);
static inline bool irqchip_in_kernel_apic(struct vm *vm) { return irqchip_mode(vm) != IRQCHIP_NONE; }

int irqchip_create(struct vm *vm);				/* KVM_CREATE_IRQCHIP; under vm->lock */
int irqchip_create_split(struct vm *vm, u32 nr_pins);		/* KVM_CAP_SPLIT_IRQCHIP */
void irqchip_destroy(struct vm *vm);
int irqchip_get(struct vm *vm, struct kvm_irqchip *chip);	/* KVM_GET_IRQCHIP: chip_id in, state out */
int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip);
int pit_create(struct vm *vm, const struct kvm_pit_config *config);	/* under vm->lock */
int pit_get(struct vm *vm, struct kvm_pit_state2 *state);	/* -ENXIO without a PIT */
int pit_set(struct vm *vm, const struct kvm_pit_state2 *state);
int pit_reinject(struct vm *vm, bool reinject);

/* Routing. */
#define NESTOR_MAX_ROUTES	4096
int irq_set_routing(struct vm *vm, const struct kvm_irq_routing_entry *entries, u32 n, u32 flags);
/* Level of one GSI from one source. >0 delivered, 0 coalesced, <0 blocked or unknown: KVM_IRQ_LINE_STATUS. */
int irq_set_gsi(struct vm *vm, int source_id, u32 gsi, int level);
int irq_send_msi(struct vm *vm, const struct kvm_msi *msi);	/* KVM_SIGNAL_MSI */
int irq_deliver(struct vm *vm, struct vcpu *source, const struct irq_msg *msg);	/* number of targets hit, -1 none */
int irq_alloc_source(struct vm *vm);				/* for irqfd resampling: -1 when none is left */
void irq_free_source(struct vm *vm, int source_id);
#define IRQ_SOURCE_USER		0
#define IRQ_SOURCE_RESAMPLE	1

/* Ack notifiers: called when the guest acknowledges (EOI) @gsi, any context. */
struct irq_ack_notifier {
	struct hlist_node link;
	u32 gsi;
	void (*acked)(struct irq_ack_notifier *n);
};
void irq_register_ack(struct vm *vm, struct irq_ack_notifier *n);
void irq_unregister_ack(struct vm *vm, struct irq_ack_notifier *n);
bool irq_has_ack_notifier(struct vm *vm, u32 chip, u32 pin);
void irq_notify_acked(struct vm *vm, u32 chip, u32 pin);

/* Local APIC. */
int lapic_create(struct vcpu *vcpu);		/* sets vcpu->lapic; may sleep */
void lapic_destroy(struct vcpu *vcpu);
void lapic_reset(struct vcpu *vcpu, bool init_event);
int lapic_get(struct vcpu *vcpu, struct kvm_lapic_state *s);
int lapic_set(struct vcpu *vcpu, const struct kvm_lapic_state *s);
u64 lapic_get_base(struct vcpu *vcpu);		/* works without an in-kernel APIC too */
int lapic_set_base(struct vcpu *vcpu, u64 base, bool host);	/* 0 or -EINVAL */
void lapic_set_tpr(struct vcpu *vcpu, u8 cr8);
u8 lapic_get_cr8(struct vcpu *vcpu);
bool lapic_enabled(struct vcpu *vcpu);		/* hardware enabled in APIC_BASE */
bool lapic_x2apic(struct vcpu *vcpu);
int lapic_msr_read(struct vcpu *vcpu, u32 msr, u64 *value);	/* x2APIC MSRs: 0 or -EINVAL */
int lapic_msr_write(struct vcpu *vcpu, u32 msr, u64 value, bool host);
u64 lapic_get_tscdeadline(struct vcpu *vcpu);
void lapic_set_tscdeadline(struct vcpu *vcpu, u64 deadline);
void lapic_tsc_changed(struct vcpu *vcpu);	/* offset or ratio moved: re-arm the deadline timer */
bool lapic_has_timer_pending(struct vcpu *vcpu);
u8 lapic_max_irr(struct vcpu *vcpu);		/* for vendor->update_tpr(); 0: none */

/* 0..255: an interrupt can be taken now as far as the controllers go (lapic, PIC through LVT0/ExtINT,
 * KVM_INTERRUPT without a controller); -1: none. irq_take() acknowledges and returns the vector. */
int irq_pending(struct vcpu *vcpu);
int irq_take(struct vcpu *vcpu);

/* INIT and SIPI that arrived for the vCPU: acts on mp_state. Called by the run loop, may sleep. True when the
 * vCPU may run now. */
bool lapic_accept_events(struct vcpu *vcpu);
bool lapic_has_init_or_sipi(struct vcpu *vcpu);

/* The APIC page, for a fast MMIO path: 0 or -EOPNOTSUPP when @gpa is not this vCPU's APIC. iobus_read/write
 * call these first. */
int lapic_mmio_read(struct vcpu *vcpu, u64 gpa, int len, void *val);
int lapic_mmio_write(struct vcpu *vcpu, u64 gpa, int len, const void *val);

/* KVM_HC_KICK_CPU and KVM_HC_SEND_IPI. */
int lapic_pv_send_ipi(struct vcpu *vcpu, u64 low, u64 high, u32 min, u64 icr, bool op_64bit);
struct vcpu *lapic_find(struct vm *vm, u32 apic_id);

#endif
