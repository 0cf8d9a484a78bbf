// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that user space may set a vCPU's state in any order: the whole of it, as another vCPU had it, comes back the same
 * whatever was set first, and the guest goes on from it. And that setting what is there already changes nothing.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
 * nestor-test: cpu=intel kernel=6.1 cpus=1 timeout=900
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "flat.h"
#include "tap.h"

FLAT_CODE_BLOCK(
	"do_nops:	nop\n nop\n out %al, $0xff\n"
	"do_wait:	sti\n 1: jmp 1b\n"
);
extern const char do_nops[], do_wait[];

#define ROUNDS		150
#define MAX_MSRS	300
#define XSAVE_SIZE	4096
#define TIMER_VECTOR	0x91

#define MSR_TSC		0x10
#define MSR_TSC_ADJUST	0x3b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_VP_RUNTIME	0x40000010
#define MSR_REF_COUNT	0x40000020
#define MSR_LSTAR	0xc0000082
#define MSR_MTRRDEF	0x2ff
#define MSR_SMBASE	0x9e

#define APIC_SPIV	0xf0
#define APIC_TPR	0x80
#define APIC_LVTT	0x320
#define APIC_TMCCT	0x390
#define LVTT_DEADLINE	0x40000

struct msrs {
	struct kvm_msrs h;
	struct kvm_msr_entry e[MAX_MSRS];
};

struct state {
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_xcrs xcrs;
	unsigned char xsave[XSAVE_SIZE];
	struct msrs msrs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
};

static struct flat f;
static struct state saved, got;
static bool has_xcrs;

static struct kvm_msr_list *msr_list(void)
{
	static struct { struct kvm_msr_list list; uint32_t more[MAX_MSRS]; } l;

	l.list.nmsrs = MAX_MSRS;
	KVM(f.sys, KVM_GET_MSR_INDEX_LIST, &l);
	return &l.list;
}

static void get_msrs(struct msrs *m)
{
	struct kvm_msr_list *list = msr_list();
	unsigned int n = 0;

	/* One by one: some exist only for guests with the feature. */
	for (unsigned int i = 0; i < list->nmsrs; i++) {
		struct { struct kvm_msrs h; struct kvm_msr_entry e; } one = {
			.h.nmsrs = 1, .e.index = list->indices[i],
		};

		if (kvm_raw(f.vcpu, KVM_GET_MSRS, &one) == 1)
			m->e[n++] = one.e;
	}
	m->h.nmsrs = n;
}

static void get_state(struct state *s)
{
	memset(s, 0, sizeof(*s));
	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &s->events);
	KVM(f.vcpu, KVM_GET_REGS, &s->regs);
	KVM(f.vcpu, KVM_GET_SREGS2, &s->sregs);
	if (has_xcrs)
		KVM(f.vcpu, KVM_GET_XCRS, &s->xcrs);
	KVM(f.vcpu, KVM_GET_XSAVE, s->xsave);
	KVM(f.vcpu, KVM_GET_LAPIC, &s->lapic);
	KVM(f.vcpu, KVM_GET_MP_STATE, &s->mp);
	KVM(f.vcpu, KVM_GET_DEBUGREGS, &s->debug);
	get_msrs(&s->msrs);
}

static int set_regs(struct state *s) { return kvm_raw(f.vcpu, KVM_SET_REGS, &s->regs); }
static int set_sregs(struct state *s) { return kvm_raw(f.vcpu, KVM_SET_SREGS2, &s->sregs); }
static int set_xsave(struct state *s) { return kvm_raw(f.vcpu, KVM_SET_XSAVE, s->xsave); }
static int set_lapic(struct state *s) { return kvm_raw(f.vcpu, KVM_SET_LAPIC, &s->lapic); }
static int set_mp(struct state *s) { return kvm_raw(f.vcpu, KVM_SET_MP_STATE, &s->mp); }
static int set_debug(struct state *s) { return kvm_raw(f.vcpu, KVM_SET_DEBUGREGS, &s->debug); }
static int set_events(struct state *s) { return kvm_raw(f.vcpu, KVM_SET_VCPU_EVENTS, &s->events); }

static int set_xcrs(struct state *s)
{
	return has_xcrs ? kvm_raw(f.vcpu, KVM_SET_XCRS, &s->xcrs) : 0;
}

static int set_msrs(struct state *s)
{
	int n = kvm_raw(f.vcpu, KVM_SET_MSRS, &s->msrs);

	return n == (int)s->msrs.h.nmsrs ? 0 : n < 0 ? n : -EINVAL;
}

/* The MSRs in the other direction: the deadline before the TSC. */
static int set_msrs_backwards(struct state *s)
{
	static struct msrs m;

	m.h.nmsrs = s->msrs.h.nmsrs;
	for (unsigned int i = 0; i < m.h.nmsrs; i++)
		m.e[i] = s->msrs.e[m.h.nmsrs - 1 - i];
	return kvm_raw(f.vcpu, KVM_SET_MSRS, &m) == (int)m.h.nmsrs ? 0 : -EINVAL;
}

static const struct part {
	const char *name;
	int (*set)(struct state *s);
} parts[] = {
	{ "regs", set_regs }, { "sregs2", set_sregs }, { "xcrs", set_xcrs }, { "xsave", set_xsave },
	{ "msrs", set_msrs }, { "lapic", set_lapic }, { "mp_state", set_mp }, { "debugregs", set_debug },
	{ "events", set_events },
};
#define NR_PARTS	(sizeof(parts) / sizeof(parts[0]))

static bool moves(uint32_t msr)
{
	return msr == MSR_TSC || msr == MSR_REF_COUNT || msr == MSR_VP_RUNTIME;
}

/* The name of what differs, or NULL. Time goes on. */
static const char *difference(const struct state *a, const struct state *b)
{
	static char name[64];

	if (memcmp(&a->regs, &b->regs, sizeof(a->regs)))
		return "regs";
	if (memcmp(&a->sregs, &b->sregs, sizeof(a->sregs)))
		return "sregs2";
	if (memcmp(&a->xcrs, &b->xcrs, sizeof(a->xcrs)))
		return "xcrs";
	if (memcmp(a->xsave, b->xsave, sizeof(a->xsave)))
		return "xsave";
	if (memcmp(&a->mp, &b->mp, sizeof(a->mp)))
		return "mp_state";
	if (memcmp(&a->debug, &b->debug, sizeof(a->debug)))
		return "debugregs";
	if (memcmp(&a->events, &b->events, sizeof(a->events)))
		return "events";
	for (unsigned int reg = 0; reg < sizeof(a->lapic.regs); reg += 0x10)
		if (reg != APIC_TMCCT && memcmp(a->lapic.regs + reg, b->lapic.regs + reg, 4)) {
			snprintf(name, sizeof(name), "APIC register %#x", reg);
			return name;
		}
	for (unsigned int i = 0; i < a->msrs.h.nmsrs; i++)
		if (!moves(a->msrs.e[i].index) && a->msrs.e[i].data != b->msrs.e[i].data) {
			snprintf(name, sizeof(name), "MSR %#x: %#llx, not %#llx", a->msrs.e[i].index,
				 b->msrs.e[i].data, a->msrs.e[i].data);
			return name;
		}
	return NULL;
}

static void make(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };

	flat_create_vm(&f);
	KVM(f.vm, KVM_ENABLE_CAP, &cap);
	KVM(f.vm, KVM_CREATE_IRQCHIP, NULL);
	flat_create_vcpu(&f);
}

static void drop(void)
{
	munmap(f.memory, FLAT_SIZE);
	munmap(f.run, KVM(f.sys, KVM_GET_VCPU_MMAP_SIZE, NULL));
	close(f.vcpu);
	close(f.vm);
	close(f.sys);
}

static void put_msr(uint32_t index, uint64_t value)
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e; } m = {
		.h.nmsrs = 1, .e = { .index = index, .data = value },
	};

	if (KVM(f.vcpu, KVM_SET_MSRS, &m) != 1)
		tap_fail("MSR %#x", index);
}

static uint64_t tsc(void)
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e; } m = { .h.nmsrs = 1, .e.index = MSR_TSC };

	KVM(f.vcpu, KVM_GET_MSRS, &m);
	return m.e.data;
}

static void put_apic(struct kvm_lapic_state *l, uint32_t reg, uint32_t value)
{
	memcpy(l->regs + reg, &value, sizeof(value));
}

/*
 * A state in which little is as a new vCPU has it. Its TSC is far ahead, so that a deadline that is set before it looks
 * far away, and the deadline is a second later.
 */
static void make_state(void)
{
	uint64_t khz = kvm_raw(f.vcpu, KVM_GET_TSC_KHZ, NULL);
	struct kvm_regs r = { .rbx = 0x1234, .rsi = 0x5678 };
	struct kvm_lapic_state l = {};
	struct kvm_debugregs d = {};
	struct kvm_xcrs x = {};
	uint64_t now;

	flat_prepare(&f, do_wait, 0, &r);
	KVM(f.vcpu, KVM_GET_DEBUGREGS, &d);
	d.db[0] = 0x7777;
	d.dr7 |= 2;
	KVM(f.vcpu, KVM_SET_DEBUGREGS, &d);
	has_xcrs = !kvm_raw(f.vcpu, KVM_GET_XCRS, &x);
	if (has_xcrs && x.nr_xcrs) {
		x.xcrs[0].value = 3;
		KVM(f.vcpu, KVM_SET_XCRS, &x);
	}
	put_msr(MSR_LSTAR, 0xffff800000001000);
	put_msr(MSR_MTRRDEF, 0xc06);
	put_msr(MSR_SMBASE, 0xa0000);
	put_msr(MSR_TSC, 1ull << 50);
	KVM(f.vcpu, KVM_GET_LAPIC, &l);
	put_apic(&l, APIC_SPIV, 0x1ff);
	put_apic(&l, APIC_TPR, 0x20);
	put_apic(&l, APIC_LVTT, LVTT_DEADLINE | TIMER_VECTOR);
	KVM(f.vcpu, KVM_SET_LAPIC, &l);
	now = tsc();
	put_msr(MSR_TSC_DEADLINE, now + khz * 1000);
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS,
	    (&(struct kvm_vcpu_events){ .exception = { .pending = 1, .nr = 6 },
					.flags = KVM_VCPUEVENT_VALID_PAYLOAD }));
}

static void shuffle(unsigned int *order)
{
	for (unsigned int i = NR_PARTS; i-- > 1;) {
		unsigned int j = rand() % (i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

/* Restore into a new VM in this order: the first thing that goes wrong, or NULL. */
static const char *restore(const unsigned int *order, bool backwards)
{
	static char what[128];
	const char *wrong;

	for (unsigned int i = 0; i < NR_PARTS; i++) {
		const struct part *p = &parts[order[i]];
		int r = backwards && p->set == set_msrs ? set_msrs_backwards(&saved) : p->set(&saved);

		if (!r)
			continue;
		snprintf(what, sizeof(what), "%s: %s", p->name, strerror(-r));
		return what;
	}
	get_state(&got);
	wrong = difference(&saved, &got);
	if (wrong)
		return wrong;
	/* The exception that waits, then the timer. */
	flat_run(&f);
	if (!flat_at_port(&f, 6))
		return "the pending exception is lost";
	KVM(f.vcpu, KVM_GET_LAPIC, &got.lapic);
	if (got.lapic.regs[0x200 + TIMER_VECTOR / 32 * 0x10 + TIMER_VECTOR % 32 / 8] & 1 << TIMER_VECTOR % 8)
		return "the timer fired too early";
	return NULL;
}

static void describe(const unsigned int *order, const char *wrong)
{
	char text[256] = "";

	for (unsigned int i = 0; i < NR_PARTS; i++) {
		strcat(text, " ");
		strcat(text, parts[order[i]].name);
	}
	tap_note("%s, after%s", wrong, text);
}

static void test_orders(void)
{
	unsigned int order[NR_PARTS], failed = 0;

	make();
	make_state();
	get_state(&saved);
	drop();
	for (unsigned int i = 0; i < NR_PARTS; i++)
		order[i] = i;
	for (int round = 0; round < ROUNDS; round++) {
		const char *wrong;

		make();
		wrong = restore(order, round & 1);
		if (wrong && failed++ < 10)
			describe(order, wrong);
		drop();
		shuffle(order);
	}
	tap_check(!failed, "%d orders, %u of them wrong", ROUNDS, failed);
}

/* Everything once more, with an exception and an NMI on their way. */
static void test_equal(void)
{
	struct kvm_vcpu_events ev = {
		.exception = { .injected = 1, .nr = 13, .has_error_code = 1, .error_code = 0x18 },
		.nmi = { .pending = 1, .masked = 1 }, .flags = KVM_VCPUEVENT_VALID_NMI_PENDING,
	};
	const char *wrong;

	make();
	make_state();
	KVM(f.vcpu, KVM_SET_VCPU_EVENTS, &ev);
	f.run->immediate_exit = 1;
	flat_run(&f);
	f.run->immediate_exit = 0;
	get_state(&saved);
	for (unsigned int i = 0; i < NR_PARTS; i++) {
		if (parts[i].set(&saved))
			tap_fail("%s is refused", parts[i].name);
		get_state(&got);
		wrong = difference(&saved, &got);
		tap_check(!wrong, "setting equal %s changes nothing%s%s", parts[i].name, wrong ? ": " : "",
			  wrong ?: "");
	}
	drop();
}

int main(void)
{
	int dev = device_open();

	REQUIRE_CAP(dev, KVM_CAP_SREGS2);
	REQUIRE_CAP(dev, KVM_CAP_EXCEPTION_PAYLOAD);
	srand(1);
	test_orders();
	test_equal();
	return tap_done();
}
