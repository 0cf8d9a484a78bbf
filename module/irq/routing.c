// SPDX-License-Identifier: GPL-2.0
/*
 * Routing: from a GSI to the pins and messages behind it, and from a pin back to those who wait for
 * its acknowledge.
 */
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "irq/chips.h"
#include "irq/lapic.h"
#include "pv/hyperv.h"

#define NR_CHIPS	KVM_NR_IRQCHIPS

/* One thing that a GSI does. */
struct irq_route {
	u32 type;			/* KVM_IRQ_ROUTING_* */
	u16 next;			/* index of the GSI's next route, plus 1 */
	u8 chip, pin;			/* IRQCHIP; the slave PIC's pins are 8 to 15 */
	union {
		struct {
			u32 address_lo, address_hi, data;	/* MSI */
		};
		struct {
			u32 vp, sint;				/* HV_SINT */
		};
	};
};

/* A routing table, constant once published. */
struct irq_table {
	u32 nr_gsis;
	bool has_sints;			/* some route is a SINT */
	u16 *heads;			/* per GSI, index of its first route, plus 1 */
	s16 gsi_of[NR_CHIPS][IOAPIC_PINS];	/* the GSI that leads to a pin, or -1 */
	struct irq_route routes[];
};

static struct irq_table *get_table(struct vm *vm)
{
	return srcu_dereference(vm->irq->table, &vm->irq_srcu);
}

static const struct irq_route *first_route(const struct irq_table *t, u32 gsi)
{
	u16 head;

	if (gsi >= t->nr_gsis)
		return NULL;
	head = t->heads[array_index_nospec(gsi, t->nr_gsis)];
	return head ? &t->routes[head - 1] : NULL;
}

static const struct irq_route *next_route(const struct irq_table *t, const struct irq_route *r)
{
	return r->next ? &t->routes[r->next - 1] : NULL;
}

#define for_each_route(r, t, gsi) \
	for ((r) = first_route(t, gsi); (r); (r) = next_route(t, r))

/*
 * Messages
 */

static bool msi_valid(const struct vm *vm, u32 address_hi)
{
	/* With 32-bit ids the upper address is a destination, whose low byte is in the lower one. */
	return !vm->caps.x2apic_32bit_ids || !(address_hi & 0xff);
}

static void msi_decode(const struct vm *vm, u32 lo, u32 hi, u32 data, struct irq_msg *msg)
{
	*msg = (struct irq_msg) {
		.dest = apic_msi_dest(lo, hi, vm->caps.x2apic_32bit_ids),
		.vector = data & 0xff,
		.delivery_mode = data >> 8 & 7,
		.logical = lo & BIT(2),
		.redir_hint = lo & BIT(3),
		.level = data & BIT(15),
		.assert = true,
	};
}

static int send_msi(struct vm *vm, u32 lo, u32 hi, u32 data)
{
	struct irq_msg msg;

	if (!msi_valid(vm, hi))
		return -EINVAL;
	msi_decode(vm, lo, hi, data, &msg);
	return irq_deliver(vm, NULL, &msg);
}

int irq_send_msi(struct vm *vm, const struct kvm_msi *msi)
{
	if (!irqchip_in_kernel_apic(vm) || msi->flags & ~KVM_MSI_VALID_DEVID)
		return -EINVAL;
	return send_msi(vm, msi->address_lo, msi->address_hi, msi->data);
}

static int set_route(struct vm *vm, const struct irq_route *r, int source, bool level)
{
	if (r->type == KVM_IRQ_ROUTING_HV_SINT)
		return level ? hv_synic_set_irq(vm, r->vp, r->sint) : -1;
	if (r->type == KVM_IRQ_ROUTING_MSI)
		return level ? send_msi(vm, r->address_lo, r->address_hi, r->data) : -1;
	if (r->chip == KVM_IRQCHIP_IOAPIC)
		return ioapic_set_pin(&vm->irq->ioapic, r->pin, source, level);
	return pic_set_pin(&vm->irq->pic, r->pin, source, level);
}

/**
 * irq_set_gsi - level of a GSI
 * @vm: the VM
 * @source_id: who holds it at that level
 * @gsi: any number; without a route nothing happens
 * @level: 0: low, else high; a message is sent when it is high
 *
 * PIC and I/O APIC both get it, as in a PC: the guest masks the one that it does not use.
 */
int irq_set_gsi(struct vm *vm, int source_id, u32 gsi, int level)
{
	const struct irq_table *table;
	const struct irq_route *route;
	int idx, r, sum = -1;

	if (!irqchip_in_kernel_apic(vm))
		return -1;
	idx = srcu_read_lock(&vm->irq_srcu);
	table = get_table(vm);
	for_each_route(route, table, gsi) {
		r = set_route(vm, route, source_id, level);
		if (r >= 0)
			sum = max(sum, 0) + r;
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
	return sum;
}

/*
 * Acknowledge notifiers
 */

/* Under irq_srcu. -1: no GSI leads to this pin. */
static int pin_gsi(struct vm *vm, u32 chip, u32 pin)
{
	return get_table(vm)->gsi_of[chip][pin];
}

#define for_each_notifier(n, vm, gsi_)							\
	hlist_for_each_entry_srcu(n, &(vm)->irq->acks, link, srcu_read_lock_held(&(vm)->irq_srcu)) \
		if ((int)(n)->gsi == (gsi_))

bool irq_has_ack_notifier(struct vm *vm, u32 chip, u32 pin)
{
	struct irq_ack_notifier *n;
	bool found = false;
	int idx, gsi;

	idx = srcu_read_lock(&vm->irq_srcu);
	gsi = pin_gsi(vm, chip, pin);
	for_each_notifier(n, vm, gsi)
		found = true;
	srcu_read_unlock(&vm->irq_srcu, idx);
	return found;
}

void irq_notify_acked(struct vm *vm, u32 chip, u32 pin)
{
	struct irq_ack_notifier *n;
	int idx, gsi;

	idx = srcu_read_lock(&vm->irq_srcu);
	gsi = pin_gsi(vm, chip, pin);
	for_each_notifier(n, vm, gsi)
		n->acked(n);
	srcu_read_unlock(&vm->irq_srcu, idx);
}

void irq_notify_acked_gsi(struct vm *vm, u32 gsi)
{
	struct irq_ack_notifier *n;
	int idx;

	idx = srcu_read_lock(&vm->irq_srcu);
	for_each_notifier(n, vm, (int)gsi)
		n->acked(n);
	srcu_read_unlock(&vm->irq_srcu, idx);
}

bool irq_resample(struct vm *vm, u32 chip, u32 pin, bool ask)
{
	struct irq_ack_notifier *n;
	bool found = false;
	int idx, gsi;

	idx = srcu_read_lock(&vm->irq_srcu);
	gsi = pin_gsi(vm, chip, pin);
	for_each_notifier(n, vm, gsi) {
		if (!n->resamples)
			continue;
		found = true;
		if (ask)
			n->acked(n);
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
	return found;
}

/* The guest listens to a pin from now on: only the PIT cares, and only about its own. */
void irq_unmasked(struct vm *vm, u32 chip, u32 pin)
{
	struct pit *pit = smp_load_acquire(&vm->irq->pit);
	int idx, gsi;

	if (!pit)
		return;
	idx = srcu_read_lock(&vm->irq_srcu);
	gsi = pin_gsi(vm, chip, pin);
	srcu_read_unlock(&vm->irq_srcu, idx);
	if (gsi == 0)
		pit_unmasked(pit);
}

/* Readers test single bits: they may see old and new ones side by side, as if they had come in between. */
void irq_publish_eoi_vectors(struct vm_irq *irq, const unsigned long *vectors)
{
	bool changed = false;
	int i;

	for (i = 0; i < ARRAY_SIZE(irq->eoi_vectors); i++)
		if (irq->eoi_vectors[i] != vectors[i]) {
			WRITE_ONCE(irq->eoi_vectors[i], vectors[i]);
			changed = true;
		}
	if (changed)
		lapic_hw_eoi_vectors_changed(irq->vm);
}

void irq_register_ack(struct vm *vm, struct irq_ack_notifier *n)
{
	struct vm_irq *irq = vm->irq;

	mutex_lock(&irq->lock);
	hlist_add_head_rcu(&n->link, &irq->acks);
	mutex_unlock(&irq->lock);
	if (irq->mode == IRQCHIP_KERNEL)
		ioapic_update_eoi_vectors(&irq->ioapic);
}

void irq_unregister_ack(struct vm *vm, struct irq_ack_notifier *n)
{
	struct vm_irq *irq = vm->irq;

	mutex_lock(&irq->lock);
	hlist_del_init_rcu(&n->link);
	mutex_unlock(&irq->lock);
	synchronize_srcu_expedited(&vm->irq_srcu);
	if (irq->mode == IRQCHIP_KERNEL)
		ioapic_update_eoi_vectors(&irq->ioapic);
}

/*
 * Split irqchip: the first GSIs are the pins of user space's I/O APIC, routed as messages
 */

/* With irq->lock. The vectors whose EOI user space may want: those of level-triggered messages. */
static void collect_split_vectors(struct vm_irq *irq, const struct irq_table *table)
{
	DECLARE_BITMAP(vectors, 256) = {};
	const struct irq_route *r;
	struct irq_msg msg;
	u32 gsi;

	for (gsi = 0; gsi < min(irq->nr_pins, table->nr_gsis); gsi++) {
		for_each_route(r, table, gsi) {
			msi_decode(irq->vm, r->address_lo, r->address_hi, r->data, &msg);
			if (msg.level)
				__set_bit(msg.vector, vectors);
		}
	}
	irq_publish_eoi_vectors(irq, vectors);
}

/*
 * Guests use one vector number for different interrupts on different CPUs. A vector that was level
 * triggered here, or whose message is for this vCPU, is the pin's; any other is not worth an exit.
 */
bool irq_split_wants_eoi(struct vcpu *vcpu, u8 vector, bool level)
{
	struct vm_irq *irq = vcpu->vm->irq;
	const struct irq_table *table;
	const struct irq_route *r;
	struct irq_msg msg;
	bool wants = false;
	u32 gsi, end;
	int idx;

	idx = srcu_read_lock(&vcpu->vm->irq_srcu);
	table = get_table(vcpu->vm);
	end = min(irq->nr_pins, table->nr_gsis);
	for (gsi = 0; gsi < end && !wants; gsi++) {
		for_each_route(r, table, gsi) {
			msi_decode(vcpu->vm, r->address_lo, r->address_hi, r->data, &msg);
			if (msg.level && msg.vector == vector)
				wants |= level || lapic_matches(vcpu->lapic, NULL, msg.dest, msg.logical);
		}
	}
	srcu_read_unlock(&vcpu->vm->irq_srcu, idx);
	return wants;
}

/*
 * Building tables
 */

static int check_route(const struct vm_irq *irq, const struct kvm_irq_routing_entry *e, struct irq_route *r)
{
	switch (e->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (irq->mode != IRQCHIP_KERNEL || e->flags)
			return -EINVAL;
		r->chip = e->u.irqchip.irqchip;
		r->pin = e->u.irqchip.pin;
		switch (e->u.irqchip.irqchip) {
		case KVM_IRQCHIP_PIC_SLAVE:
			r->pin += PIC_PINS / 2;
			fallthrough;
		case KVM_IRQCHIP_PIC_MASTER:
			return e->u.irqchip.pin < PIC_PINS / 2 ? 0 : -EINVAL;
		case KVM_IRQCHIP_IOAPIC:
			return e->u.irqchip.pin < IOAPIC_PINS ? 0 : -EINVAL;
		}
		return -EINVAL;
	case KVM_IRQ_ROUTING_MSI:
		if (e->flags & ~KVM_MSI_VALID_DEVID || !msi_valid(irq->vm, e->u.msi.address_hi))
			return -EINVAL;
		r->address_lo = e->u.msi.address_lo;
		r->address_hi = e->u.msi.address_hi;
		r->data = e->u.msi.data;
		return 0;
	case KVM_IRQ_ROUTING_HV_SINT:
		/* Neither has to be there: it is looked for when the interrupt comes. */
		r->vp = e->u.hv_sint.vcpu;
		r->sint = e->u.hv_sint.sint;
		return e->flags ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

/* A GSI is one message, or a pin of each chip at most. */
static bool conflicts(const struct irq_table *t, u32 gsi, const struct irq_route *new)
{
	const struct irq_route *r;

	for_each_route(r, t, gsi)
		if (r->type != KVM_IRQ_ROUTING_IRQCHIP || new->type != KVM_IRQ_ROUTING_IRQCHIP ||
		    r->chip == new->chip)
			return true;
	return false;
}

static struct irq_table *alloc_table(u32 nr_gsis, u32 n)
{
	struct irq_table *t;
	size_t size;

	size = size_add(struct_size(t, routes, n), array_size(nr_gsis, sizeof(*t->heads)));
	t = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!t)
		return NULL;
	t->nr_gsis = nr_gsis;
	t->heads = (u16 *)&t->routes[n];
	memset(t->gsi_of, 0xff, sizeof(t->gsi_of));
	return t;
}

static struct irq_table *build_table(const struct vm_irq *irq, const struct kvm_irq_routing_entry *entries,
				     u32 n)
{
	u32 i, gsi, nr_gsis = 1;
	struct irq_table *t;
	int r = 0;

	if (n > NESTOR_MAX_ROUTES)
		return ERR_PTR(-EINVAL);
	for (i = 0; i < n; i++) {
		if (entries[i].gsi >= NESTOR_MAX_ROUTES)
			return ERR_PTR(-EINVAL);
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}
	t = alloc_table(nr_gsis, n);
	if (!t)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < n && !r; i++) {
		struct irq_route *route = &t->routes[i];

		gsi = array_index_nospec(entries[i].gsi, nr_gsis);
		route->type = entries[i].type;
		r = check_route(irq, &entries[i], route);
		if (!r && conflicts(t, gsi, route))
			r = -EINVAL;
		if (r)
			break;
		route->next = t->heads[gsi];
		t->heads[gsi] = i + 1;
		if (route->type == KVM_IRQ_ROUTING_HV_SINT)
			t->has_sints = true;
		if (route->type == KVM_IRQ_ROUTING_IRQCHIP)
			t->gsi_of[route->chip][array_index_nospec(route->pin, IOAPIC_PINS)] = gsi;
	}
	if (r) {
		kvfree(t);
		return ERR_PTR(r);
	}
	return t;
}

/* With irq->lock. Tell every SynIC which GSIs its SINTs are, so that its EOIs find the notifiers. */
static void publish_sints(struct vm *vm, const struct irq_table *t)
{
	const struct irq_route *r;
	struct vcpu_hv *hv;
	struct vcpu *vcpu;
	int gsis[HV_SINTS];
	u32 gsi;
	int i;

	vm_for_each_vcpu(i, vcpu, vm) {
		hv = vcpu_hv_get(vcpu);
		if (!hv)
			continue;
		memset(gsis, 0xff, sizeof(gsis));
		for (gsi = 0; t->has_sints && gsi < t->nr_gsis; gsi++)
			for_each_route(r, t, gsi)
				if (r->type == KVM_IRQ_ROUTING_HV_SINT && r->vp == hv_vp_index(vcpu) &&
				    r->sint < HV_SINTS)
					gsis[array_index_nospec(r->sint, HV_SINTS)] = gsi;
		hv_synic_set_gsis(hv, gsis);
		cond_resched();
	}
}

void irq_sints_changed(struct vm *vm)
{
	struct vm_irq *irq = vm->irq;

	if (!irqchip_in_kernel_apic(vm))
		return;
	mutex_lock(&irq->lock);
	publish_sints(vm, rcu_dereference_protected(irq->table, lockdep_is_held(&irq->lock)));
	mutex_unlock(&irq->lock);
}

/**
 * irq_set_routing - replace the table
 * @vm: the VM
 * @entries: a kernel copy
 * @n: number of entries
 * @flags: none is defined
 *
 * Returns when nobody uses the old table any more. 0, -EINVAL or -ENOMEM.
 */
int irq_set_routing(struct vm *vm, const struct kvm_irq_routing_entry *entries, u32 n, u32 flags)
{
	struct vm_irq *irq = vm->irq;
	struct irq_table *new, *old;

	if (!irqchip_in_kernel_apic(vm) || flags)
		return -EINVAL;
	new = build_table(irq, entries, n);
	if (IS_ERR(new))
		return PTR_ERR(new);

	mutex_lock(&irq->lock);
	old = rcu_replace_pointer(irq->table, new, lockdep_is_held(&irq->lock));
	if (irq->mode == IRQCHIP_KERNEL)
		ioapic_update_eoi_vectors(&irq->ioapic);
	else
		collect_split_vectors(irq, new);
	if (new->has_sints || old->has_sints)
		publish_sints(vm, new);
	mutex_unlock(&irq->lock);

	synchronize_srcu_expedited(&vm->irq_srcu);
	kvfree(old);
	return 0;
}

static int install_first(struct vm_irq *irq, const struct kvm_irq_routing_entry *entries, u32 n)
{
	struct irq_table *table = build_table(irq, entries, n);

	if (IS_ERR(table))
		return PTR_ERR(table);
	rcu_assign_pointer(irq->table, table);
	return 0;
}

/* A PC: GSI n is pin n of the I/O APIC, and the first 16 are the PIC's inputs too. */
int irq_default_routing(struct vm_irq *irq)
{
	struct kvm_irq_routing_entry *entries, *e;
	u32 gsi;
	int r;

	entries = kcalloc(IOAPIC_PINS + PIC_PINS, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	for (gsi = 0, e = entries; gsi < IOAPIC_PINS; gsi++) {
		*e++ = (struct kvm_irq_routing_entry) {
			.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi },
		};
		if (gsi < PIC_PINS)
			*e++ = (struct kvm_irq_routing_entry) {
				.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
				.u.irqchip = { .irqchip = gsi / 8, .pin = gsi % 8 },
			};
	}
	r = install_first(irq, entries, e - entries);
	kfree(entries);
	return r;
}

int irq_empty_routing(struct vm_irq *irq)
{
	return install_first(irq, NULL, 0);
}

void irq_free_routing(struct vm_irq *irq)
{
	kvfree(rcu_dereference_protected(irq->table, true));
}
