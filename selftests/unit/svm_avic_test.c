// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that AVIC's tables send IPIs where the local APICs' rules send them, and that its exits are read right.
 */
#include "svm/avic_logic.h"
#include "random.h"
#include "tap.h"

#define APICS	12
#define SELF	0x40000u
#define ALL	0x80000u
#define OTHERS	0xc0000u

struct machine {
	int n;
	bool enabled[APICS];
	struct apic_address apic[APICS];
	struct avic_map map;
};

/* A destination that the CPU cannot find: it exits, and the software sends the IPI. */
#define EXITS	(-1)

static int index_of(const struct machine *m, u32 id)
{
	for (int i = 0; i < m->n; i++)
		if (m->apic[i].x2apic_id == id)
			return i;
	return EXITS;
}

/* By the physical table: a bit by vCPU, or EXITS. */
static int cpu_unicast(const struct machine *m, u32 id)
{
	return avic_map_has(&m->map, id) ? 1 << index_of(m, id) : EXITS;
}

/* Entries that are not valid are passed over. */
static int cpu_broadcast(const struct machine *m)
{
	int hits = 0;

	for (u32 id = 0; id <= AVIC_MAX_ID; id++)
		if (avic_map_has(&m->map, id))
			hits |= 1 << index_of(m, id);
	return hits;
}

/* APM volume 2, Logical APIC ID Table: by the DFR of the sender. */
static int cpu_logical(const struct machine *m, const struct apic_address *from, u8 dest)
{
	bool flat = from->dfr == APIC_DFR_IS_FLAT;
	u32 first = flat ? 0 : (dest >> 4) * 4, bits = flat ? dest : dest & 0xf, entry;
	int hits = 0, hit;

	for (u32 bit = 0; bit < 8; bit++) {
		if (!(bits >> bit & 1))
			continue;
		entry = m->map.logical[first + bit];
		hit = entry & AVIC_LOGICAL_VALID ? cpu_unicast(m, entry & 0xff) : EXITS;
		if (hit == EXITS)
			return EXITS;
		hits |= hit;
	}
	return hits;
}

/* @as_broadcast: whether the CPU takes the logical destination 0xff for one is not said. */
static int cpu_sends(const struct machine *m, int source, u32 icr, u8 dest, bool as_broadcast)
{
	switch (icr & OTHERS) {
	case SELF:
		return cpu_unicast(m, m->apic[source].xapic_id);
	case ALL:
		return cpu_broadcast(m);
	case OTHERS:
		return cpu_broadcast(m) & ~(1 << source);
	}
	if (dest == 0xff && (as_broadcast || !(icr & 0x800)))
		return cpu_broadcast(m);
	return icr & 0x800 ? cpu_logical(m, &m->apic[source], dest) : cpu_unicast(m, dest);
}

static int rules_send(const struct machine *m, int source, u32 icr, u8 dest)
{
	int hits = 0;
	bool match;

	for (int i = 0; i < m->n; i++) {
		switch (icr & OTHERS) {
		case SELF:
			match = i == source;
			break;
		case ALL:
			match = true;
			break;
		case OTHERS:
			match = i != source;
			break;
		default:
			match = icr & 0x800 ? apic_match_logical(&m->apic[i], dest) : apic_match_physical(&m->apic[i], dest);
		}
		if (match && m->enabled[i])
			hits |= 1 << i;
	}
	return hits;
}

static void make_map(struct machine *m)
{
	memset(&m->map, 0, sizeof(m->map));
	for (int i = 0; i < m->n; i++)
		avic_map_add(&m->map, &m->apic[i], m->enabled[i]);
	avic_map_finish(&m->map);
}

/* Mostly as guests do it, with something odd here and there. */
static void random_machine(struct machine *m)
{
	bool flat = one_in(2), odd = one_in(2);
	u32 id = below(4);

	m->n = 1 + below(APICS);
	for (int i = 0; i < m->n; i++) {
		u8 logical = flat ? 1 << i % 8 : (i / 4) << 4 | 1 << i % 4;

		m->apic[i] = (struct apic_address) {
			.x2apic_id = id, .xapic_id = id, .ldr = (u32)logical << 24,
			.dfr = flat ? APIC_DFR_IS_FLAT : APIC_DFR_IS_CLUSTER,
		};
		m->enabled[i] = !odd || !one_in(6);
		id += 1 + (one_in(4) ? below(30) : 0);
		if (!odd || !one_in(12))
			continue;
		switch (below(6)) {
		case 0:
			m->apic[i].x2apic = true;
			break;
		case 1:
			m->apic[i].xapic_id = rnd();
			break;
		case 2:
			m->apic[i].ldr = (u32)rnd() & 0xff000000;
			break;
		case 3:
			m->apic[i].dfr ^= 0xf0000000;
			break;
		case 4:
			m->apic[i].dfr = (u32)rnd() | APIC_DFR_IS_CLUSTER;
			break;
		default:
			id = 250 + below(10);
		}
	}
	make_map(m);
}

static u8 random_dest(const struct machine *m)
{
	const struct apic_address *a = &m->apic[below(m->n)];

	switch (below(5)) {
	case 0:
		return a->x2apic_id;
	case 1:
		return a->ldr >> 24;
	case 2:
		return a->ldr >> 24 | m->apic[below(m->n)].ldr >> 24;
	case 3:
		return 0xff;
	default:
		return rnd();
	}
}

/* See avic_map_add(). */
static bool undefined(const struct machine *m, int source, u32 icr, u8 dest)
{
	return icr == 0x800 && m->map.model == AVIC_MIXED && m->apic[source].dfr != APIC_DFR_IS_FLAT && !(dest & 0xf);
}

static void test_delivery(void)
{
	int sent = 0, logical = 0, fit = 0, exits = 0;
	bool ok = true;

	rng_state = 1;
	for (int i = 0; i < 3000; i++) {
		struct machine m;

		random_machine(&m);
		fit += !m.map.misfit;
		for (int j = 0; j < 20 && !m.map.misfit; j++) {
			u32 icr = (one_in(2) ? 0x800 : 0) | (one_in(4) ? (u32)below(4) << 18 : 0);
			u8 dest = random_dest(&m);
			int source = below(m.n), hits = cpu_sends(&m, source, icr, dest, one_in(2));

			if (hits == EXITS) {
				exits++;
				continue;
			}
			sent++;
			logical += icr == 0x800 && hits;
			ok &= hits == rules_send(&m, source, icr, dest) || undefined(&m, source, icr, dest);
		}
	}
	tap_ok(ok, "the CPU sends IPIs as the local APICs' rules do");
	tap_ok(fit > 1000 && fit < 3000 && sent > 10000 && logical > 1000 && exits > 1000,
	       "%d machines that fit, %d IPIs by the CPU, %d to logical ids, %d that exit", fit, sent, logical, exits);
}

/* What Linux does must not exit. */
static void test_common(void)
{
	struct machine m = { .n = 8 };
	bool flat = true, cluster = true;

	for (int i = 0; i < 8; i++) {
		m.enabled[i] = true;
		m.apic[i] = (struct apic_address) {
			.x2apic_id = i, .xapic_id = i, .ldr = 1u << (24 + i), .dfr = APIC_DFR_IS_FLAT,
		};
	}
	make_map(&m);
	for (int dest = 0; dest < 0x100; dest++)
		flat &= cpu_sends(&m, 0, 0x800, dest, false) == dest;
	tap_ok(!m.map.misfit && flat, "flat: any set of 8 CPUs");

	for (int i = 0; i < 8; i++) {
		m.apic[i].dfr = APIC_DFR_IS_CLUSTER;
		m.apic[i].ldr = (u32)((i / 4) << 4 | 1 << i % 4) << 24;
	}
	make_map(&m);
	for (int dest = 0; dest < 0x20; dest++)
		cluster &= cpu_sends(&m, 0, 0x800, dest, false) == (dest & 0xf) << (dest >> 4) * 4;
	tap_ok(!m.map.misfit && cluster, "cluster: any set of a cluster");
	tap_ok(cpu_sends(&m, 0, 0x800, 0x21, false) == EXITS, "a cluster without CPUs exits");
	m.enabled[3] = false;
	make_map(&m);
	tap_ok(cpu_sends(&m, 0, 0x800, 0x0f, false) == EXITS && cpu_sends(&m, 0, 0, 3, false) == EXITS &&
	       cpu_sends(&m, 0, ALL, 0, false) == 0xf7, "an APIC that takes no interrupts gets none");
}

static void test_index(void)
{
	tap_ok(avic_logical_index(0x80, true) == 7 && avic_logical_index(0x82, true) == -1 &&
	       avic_logical_index(0, true) == -1, "flat: the bit, if there is one");
	tap_ok(avic_logical_index(0x01, false) == 0 && avic_logical_index(0xe8, false) == 59 &&
	       avic_logical_index(0x23, false) == -1 && avic_logical_index(0x20, false) == -1 &&
	       avic_logical_index(0xf1, false) == -1, "cluster: the bit of 15 clusters");
}

static void test_misfits(void)
{
	const struct apic_address good = { .x2apic_id = 254, .xapic_id = 254, .ldr = 1 << 24, .dfr = APIC_DFR_IS_FLAT };
	struct apic_address bad[] = { good, good, good };
	struct avic_map map = {};
	bool ok = true;

	avic_map_add(&map, &good, true);
	tap_ok(!map.misfit && avic_map_has(&map, 254) && !avic_map_has(&map, 253), "ids up to 254");
	bad[0].xapic_id = 9;
	bad[1].x2apic = true;
	bad[2].x2apic_id = bad[2].xapic_id = 255;
	for (unsigned int i = 0; i < 3; i++) {
		struct avic_map one = {};

		avic_map_add(&one, &bad[i], true);
		ok &= one.misfit && one.model == AVIC_MIXED && avic_map_has(&one, 254) == bad[i].x2apic && !avic_map_has(&one, 9) &&
		      !avic_map_has(&one, 255);
	}
	tap_ok(ok, "another id, x2APIC mode and the broadcast's id do not fit; in x2APIC mode it is found by its id");
}

static void test_exits(void)
{
	static const u16 traps[] = {
		0x20, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0, 0x280, 0x300, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0,
	};
	bool ok = true;

	for (u32 offset = 0; offset < 0x1000; offset += 4) {
		struct avic_access r = avic_decode_access(offset), w = avic_decode_access(1ull << 32 | offset);
		bool trap = false;

		for (unsigned int i = 0; i < sizeof(traps) / sizeof(*traps); i++)
			trap |= traps[i] == (offset & ~0xfu);
		ok &= r.offset == (offset & ~0xfu) && w.offset == r.offset && !r.write && w.write;
		ok &= !r.trap && w.trap == trap;
	}
	for (int i = 0; i < 100000; i++) {
		struct avic_access a = avic_decode_access(rnd());

		ok &= a.offset < 0x1000 && !(a.offset & 0xf) && (a.write || !a.trap);
	}
	tap_ok(ok, "accesses that the CPU leaves to software: which have been stored already");
	tap_ok(avic_ipi_failure(1ull << 32 | 0xfff) == AVIC_IPI_NOT_RUNNING && avic_ipi_failure(0) == AVIC_IPI_TYPE,
	       "why an IPI was not sent");
}

int main(void)
{
	test_index();
	test_common();
	test_misfits();
	test_delivery();
	test_exits();
	return tap_done();
}
