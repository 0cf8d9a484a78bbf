// SPDX-License-Identifier: GPL-2.0
/*
 * Delivery: from a message to the local APICs that it is for.
 *
 * A map from APIC id to local APIC makes this independent of the number of vCPUs. It is a cache: the
 * guest can change an id, a logical id or a mode with interrupts off, where no memory can be had, so a
 * change only moves a generation on, and whoever finds the map older than that looks at every vCPU
 * instead and asks a work item for a new one. So the answer is right at any time, also while the guest
 * plays with its ids, and a guest that never sends an interrupt costs no map.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <uapi/linux/kvm_para.h>

#include "irq/chips.h"
#include "irq/lapic.h"
#include "vm/ops.h"

/* How logical destinations are read: all software-enabled APICs must agree. */
enum logical_mode {
	LOGICAL_NOBODY,		/* no APIC is enabled by software */
	LOGICAL_FLAT,
	LOGICAL_CLUSTER,
	LOGICAL_X2APIC,		/* the logical id follows from the id: uses apic_map.phys */
	LOGICAL_MIXED,		/* no map: look at every vCPU */
};

/* APIC id to local APIC, constant once published. */
struct apic_map {
	u64 generation;		/* vm_irq.map_generation before the registers were read */
	int nr_vcpus;
	u32 max_id;
	bool exact;		/* no two APICs answer to the same physical id */
	enum logical_mode mode;
	union {
		struct lapic *flat[8];
		struct lapic *cluster[16][4];
	};
	struct lapic *phys[];
};

void lapic_address(const struct lapic *apic, struct apic_address *a)
{
	a->x2apic = lapic_in_x2apic(apic);
	a->x2apic_id = apic->vcpu->id;
	a->xapic_id = lapic_xapic_id(apic);
	a->ldr = lapic_reg(apic, APIC_LDR);
	a->dfr = lapic_reg(apic, APIC_DFR);
}

/* The APIC of a vCPU that takes part in deliveries at all. */
static struct lapic *vcpu_present_apic(const struct vcpu *vcpu)
{
	struct lapic *apic = vcpu->lapic;

	return apic && lapic_hw_enabled(apic) ? apic : NULL;
}

/*
 * Building the map
 */

static void map_physical(struct apic_map *map, struct lapic *apic, bool ids_32bit)
{
	bool x2apic = lapic_in_x2apic(apic);
	u32 id = x2apic ? apic->vcpu->id : lapic_xapic_id(apic);

	/* A vCPU went online, or its APIC on, since the map's size was computed: it will be rebuilt. */
	if (apic->vcpu->id > map->max_id) {
		map->exact = false;
		return;
	}
	/* See apic_has_id(). */
	if (apic->vcpu->id > 0xff)
		map->phys[apic->vcpu->id] = apic;
	if (!map->phys[id])
		map->phys[id] = apic;
	else if (ids_32bit && x2apic)
		/* An xAPIC id is an x2APIC id cut to 8 bits; the real owner of the number wins. */
		map->phys[id] = apic;
	else if (!ids_32bit && map->phys[id] != apic)
		map->exact = false;
}

static void map_logical(struct apic_map *map, struct lapic *apic)
{
	enum logical_mode mode = LOGICAL_CLUSTER;
	struct lapic **slot;
	u8 id, bits;

	if (!READ_ONCE(apic->sw_enabled) || map->mode == LOGICAL_MIXED)
		return;
	id = lapic_reg(apic, APIC_LDR) >> 24;
	if (lapic_in_x2apic(apic))
		mode = LOGICAL_X2APIC;
	else if (!id)
		return;		/* never a logical destination */
	else if (lapic_reg(apic, APIC_DFR) == APIC_DFR_IS_FLAT)
		mode = LOGICAL_FLAT;

	if (map->mode != LOGICAL_NOBODY && map->mode != mode)
		goto mixed;
	map->mode = mode;
	if (mode == LOGICAL_X2APIC)
		return;

	bits = mode == LOGICAL_FLAT ? id : id & 0xf;
	if (!bits)
		return;
	slot = mode == LOGICAL_FLAT ? map->flat : map->cluster[id >> 4];
	slot += __ffs(bits);
	/* Several ids for one APIC, or several APICs for one id, do not fit in. */
	if (bits & (bits - 1) || *slot)
		goto mixed;
	*slot = apic;
	return;
mixed:
	map->mode = LOGICAL_MIXED;
}

static struct apic_map *apic_map_alloc(struct vm *vm, u64 generation)
{
	struct apic_map *map;
	struct vcpu *vcpu;
	u32 max_id = 0xff;
	int i;

	vm_for_each_vcpu(i, vcpu, vm)
		if (vcpu_present_apic(vcpu))
			max_id = max(max_id, vcpu->id);
	map = kvzalloc(struct_size(map, phys, (size_t)max_id + 1), GFP_KERNEL_ACCOUNT);
	if (!map)
		return NULL;
	map->generation = generation;
	map->max_id = max_id;
	map->exact = true;
	map->mode = LOGICAL_NOBODY;
	return map;
}

static void apic_map_rebuild(struct work_struct *work)
{
	struct vm_irq *irq = container_of(work, struct vm_irq, map_work);
	u64 generation = atomic64_read(&irq->map_generation);
	struct apic_map *map, *old;
	struct vm *vm = irq->vm;
	struct vcpu *vcpu;
	int i;

	/* The generation before the registers; pairs with apic_map_changed(). */
	smp_rmb();
	map = apic_map_alloc(vm, generation);
	if (!map)
		return;
	vm_for_each_vcpu(i, vcpu, vm) {
		struct lapic *apic = vcpu_present_apic(vcpu);

		map->nr_vcpus = i + 1;
		if (!apic)
			continue;
		map_physical(map, apic, vm->caps.x2apic_32bit_ids);
		map_logical(map, apic);
	}
	/* The only writer is this work item, which never runs twice at a time. */
	old = rcu_replace_pointer(irq->map, map, true);
	synchronize_rcu();
	kvfree(old);
}

/* What another vCPU's map says about this one has changed. Any context. */
void apic_map_changed(struct vm *vm)
{
	smp_mb__before_atomic();
	atomic64_inc(&vm->irq->map_generation);
	/* The CPU has a map of its own. */
	if (unlikely(cpu_caps.shared_irr))
		vendor->apic_ids_changed(vm);
}

void apic_map_init(struct vm_irq *irq)
{
	atomic64_set(&irq->map_generation, 1);
	INIT_WORK(&irq->map_work, apic_map_rebuild);
}

void apic_map_destroy(struct vm_irq *irq)
{
	cancel_work_sync(&irq->map_work);
	kvfree(rcu_dereference_protected(irq->map, true));
}

/* The map if it is true, under rcu_read_lock(). */
static struct apic_map *apic_map_get(struct vm *vm)
{
	struct vm_irq *irq = vm->irq;
	struct apic_map *map = rcu_dereference(irq->map);

	if (likely(map && map->generation == atomic64_read(&irq->map_generation) &&
		   map->nr_vcpus == atomic_read(&vm->nr_vcpus)))
		return map;
	schedule_work(&irq->map_work);
	return NULL;
}

/*
 * Finding destinations
 */

/*
 * KVM's quirk: a message of a device to 0xff reaches all CPUs in x2APIC mode too, because there is no
 * interrupt remapping that could give it 32 bits. KVM_CAP_X2APIC_API turns it off.
 */
static bool broadcast_quirk(struct vm *vm, struct vcpu *source, u32 dest)
{
	return dest == APIC_DEST_BROADCAST && !source && !vm->caps.x2apic_broadcast_quirk_disabled;
}

bool lapic_matches(struct lapic *apic, struct vcpu *source, u32 dest, bool logical)
{
	struct apic_address a;

	lapic_address(apic, &a);
	if (a.x2apic && broadcast_quirk(apic->vcpu->vm, source, dest))
		return true;
	return logical ? apic_match_logical(&a, dest) : apic_match_physical(&a, dest);
}

static bool msg_matches(struct lapic *apic, struct vcpu *source, const struct irq_msg *msg)
{
	switch (msg->shorthand) {
	case IRQ_TO_DEST:
		return lapic_matches(apic, source, msg->dest, msg->logical);
	case IRQ_TO_ALL:
		return true;
	default:
		return apic->vcpu != source;
	}
}

/* May the destination be a broadcast to any APIC? Then the map has no entry for it. */
static bool maybe_broadcast(u32 dest)
{
	return dest == APIC_DEST_BROADCAST || dest == X2APIC_DEST_BROADCAST;
}

/* The hint is to choose, which takes more than one: a disabled APIC that is meant alone still has its NMI. */
static bool wants_lowest(const struct irq_msg *msg)
{
	return msg->delivery_mode == APIC_DM_LOWEST_ ||
	       (msg->redir_hint && (msg->logical || maybe_broadcast(msg->dest)));
}

/* Up to 16 candidates for a logical destination: a bit in *@mask says that the slot is meant. */
static struct lapic **map_candidates(struct apic_map *map, u32 dest, u16 *mask)
{
	u32 first;

	switch (map->mode) {
	case LOGICAL_X2APIC:
		first = (dest >> 16) * 16;
		if (first > map->max_id) {
			*mask = 0;
			return map->phys;
		}
		*mask = dest & GENMASK(min(map->max_id - first, 15U), 0);
		return &map->phys[array_index_nospec(first, map->max_id + 1)];
	case LOGICAL_FLAT:
		*mask = dest & 0xff;
		return map->flat;
	case LOGICAL_CLUSTER:
		*mask = dest & 0xf;
		return map->cluster[dest >> 4 & 0xf];
	default:
		*mask = 0;
		return map->phys;
	}
}

/*
 * Lowest priority: upstream's vector hashing, which keeps a vector on one CPU where a real arbitration
 * would move it around. Among the APICs that could take it, not among the bits of the mask.
 */
static u16 choose_one(struct lapic **slots, u16 mask, u8 vector)
{
	u16 usable = 0;
	int i;

	for (i = 0; i < 16; i++)
		if (mask & BIT(i) && slots[i] && READ_ONCE(slots[i]->sw_enabled))
			usable |= BIT(i);
	return usable ? BIT(apic_nth_bit(usable, vector % hweight16(usable))) : 0;
}

static int deliver_logical(struct apic_map *map, struct vcpu *source, const struct irq_msg *msg)
{
	struct lapic **slots;
	int i, hits = 0;
	u16 mask;

	slots = map_candidates(map, msg->dest, &mask);
	if (wants_lowest(msg))
		mask = choose_one(slots, mask, msg->vector);
	for (i = 0; i < 16; i++)
		if (mask & BIT(i) && slots[i])
			hits += lapic_accept(slots[i], msg, source);
	return hits;
}

static struct lapic *map_physical_lookup(struct apic_map *map, u32 id)
{
	return id > map->max_id ? NULL : map->phys[array_index_nospec(id, map->max_id + 1)];
}

/* False: the map cannot tell. */
static bool deliver_by_map(struct vm *vm, struct vcpu *source, const struct irq_msg *msg, int *hits)
{
	struct apic_map *map;
	struct lapic *apic;

	if (msg->shorthand || maybe_broadcast(msg->dest))
		return false;
	map = apic_map_get(vm);
	if (!map || !map->exact)
		return false;
	if (msg->logical) {
		if (map->mode == LOGICAL_MIXED)
			return false;
		*hits = deliver_logical(map, source, msg);
		return true;
	}
	apic = map_physical_lookup(map, msg->dest);
	*hits = apic && lapic_accept(apic, msg, source);
	return true;
}

/* The @n-th vCPU that could take a lowest-priority message; *@count is how many there are up to there. */
static struct lapic *nth_match(struct vm *vm, struct vcpu *source, const struct irq_msg *msg,
			       unsigned int n, unsigned int *count)
{
	struct lapic *last = NULL;
	struct vcpu *vcpu;
	int i;

	*count = 0;
	vm_for_each_vcpu(i, vcpu, vm) {
		struct lapic *apic = vcpu_present_apic(vcpu);

		if (!apic || !READ_ONCE(apic->sw_enabled) || !msg_matches(apic, source, msg))
			continue;
		last = apic;
		if ((*count)++ == n)
			break;
	}
	return last;
}

static int deliver_lowest(struct vm *vm, struct vcpu *source, const struct irq_msg *msg)
{
	struct lapic *apic;
	unsigned int count;

	apic = nth_match(vm, source, msg, UINT_MAX, &count);
	if (!count)
		return 0;
	/* An APIC may have been disabled in between: then the last one that is left takes it. */
	apic = nth_match(vm, source, msg, msg->vector % count, &count) ?: apic;
	return lapic_accept(apic, msg, source);
}

static int deliver_by_search(struct vm *vm, struct vcpu *source, const struct irq_msg *msg)
{
	struct vcpu *vcpu;
	int i, hits = 0;

	vm_for_each_vcpu(i, vcpu, vm) {
		struct lapic *apic = vcpu_present_apic(vcpu);

		if (apic && msg_matches(apic, source, msg))
			hits += lapic_accept(apic, msg, source);
	}
	return hits;
}

/**
 * irq_deliver - send a message to local APICs
 * @vm: the VM
 * @source: the vCPU whose APIC sends it (an IPI, from its own exit handler); NULL: a device
 * @msg: the message
 *
 * Any context. The number of APICs that took it, -1 when the VM has none. An absent destination is no
 * error of the sender's.
 */
int irq_deliver(struct vm *vm, struct vcpu *source, const struct irq_msg *msg)
{
	struct irq_msg to_all;
	bool found;
	int hits;

	if (!irqchip_in_kernel_apic(vm))
		return -1;
	if (msg->shorthand == IRQ_TO_SELF)
		return source ? lapic_accept(source->lapic, msg, source) : -1;

	rcu_read_lock();
	found = deliver_by_map(vm, source, msg, &hits);
	rcu_read_unlock();
	if (found)
		return hits;
	if (!wants_lowest(msg))
		return deliver_by_search(vm, source, msg);
	if (msg->logical || msg->dest != APIC_DEST_BROADCAST)
		return deliver_lowest(vm, source, msg);
	/*
	 * Lowest priority among all CPUs is not defined (SDM, Lowest Priority Delivery Mode). As upstream, all get it, as an
	 * interrupt, whatever else an MSI with a redirection hint says.
	 */
	to_all = *msg;
	to_all.delivery_mode = APIC_DM_FIXED_;
	return deliver_by_search(vm, source, &to_all);
}

struct vcpu *lapic_find(struct vm *vm, u32 apic_id)
{
	struct apic_map *map;
	struct vcpu *vcpu;
	int i;

	if (!irqchip_in_kernel_apic(vm))
		return NULL;
	rcu_read_lock();
	map = apic_map_get(vm);
	if (map && map->exact) {
		struct lapic *apic = map_physical_lookup(map, apic_id);

		rcu_read_unlock();
		return apic ? apic->vcpu : NULL;
	}
	rcu_read_unlock();

	vm_for_each_vcpu(i, vcpu, vm) {
		struct apic_address a;

		if (!vcpu_present_apic(vcpu))
			continue;
		lapic_address(vcpu->lapic, &a);
		if (apic_has_id(&a, apic_id))
			return vcpu;
	}
	return NULL;
}

/**
 * lapic_pv_send_ipi - KVM_HC_SEND_IPI
 * @vcpu: the sender
 * @low: bitmap of destinations
 * @high: its second half
 * @min: physical APIC id of the first bit
 * @icr: vector and delivery mode
 * @op_64bit: the halves have 64 bits, else 32
 *
 * The number of APICs that took it, -KVM_EINVAL, or -KVM_EOPNOTSUPP without local APICs in the kernel.
 */
int lapic_pv_send_ipi(struct vcpu *vcpu, u64 low, u64 high, u32 min, u64 icr, bool op_64bit)
{
	unsigned int i, width = op_64bit ? 64 : 32;
	struct irq_msg msg = {
		.vector = icr & APIC_VECTOR_MASK,
		.delivery_mode = GET_APIC_DELIVERY_MODE((u32)icr),
		.level = icr & APIC_INT_LEVELTRIG,
		.assert = icr & APIC_INT_ASSERT,
	};
	u64 bits[2] = { low, high };
	int hits = 0;

	if (icr & (APIC_DEST_LOGICAL | APIC_DEST_ALLBUT))
		return -KVM_EINVAL;
	if (!vcpu->lapic)
		return -KVM_EOPNOTSUPP;
	if (min > NESTOR_MAX_VCPU_IDS)
		return 0;
	for (i = 0; i < 2 * width; i++) {
		struct vcpu *target;

		if (!(bits[i / width] >> (i % width) & 1))
			continue;
		/* By id, never as a broadcast: 0xff is somebody's id here. */
		target = lapic_find(vcpu->vm, min + i);
		if (target)
			hits += lapic_accept(target->lapic, &msg, vcpu);
	}
	return hits;
}
