// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that an instruction that goes to user space, or has to be retried, ends as
 * one that does not: random instructions in all modes run on two equal machines.
 * One has devices that answer at once; on the other every access may need user space
 * or a retry. Registers, memory, segments, faults and what the devices saw must be
 * the same, each event once and in the same order.
 *
 * With that, any instruction bytes in any mode on random descriptor tables must
 * leave the emulator standing.
 *
 * Options: --count N, --seed S, --case N (only that one)
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "emulate_machine.h"
#include "random.h"
#include "tap.h"

static struct machine plain, chaotic;

/* Descriptors that are mostly good, so that transfers get beyond the first check. */
static void random_gdt(struct machine *m)
{
	static const u8 types[] = { 0x9a, 0x9b, 0x92, 0x93, 0xfa, 0xf2, 0x9e, 0xfe, 0x96, 0xba,
				    0x89, 0x8b, 0x82, 0x8c, 0xec, 0x84, 0x85, 0x81, 0xe5, 0xe9 };
	unsigned int i;
	u16 attr;

	for (i = 1; i < 32; i++) {
		attr = types[below(sizeof(types))];
		if (one_in(2))
			attr |= EMU_ATTR_G;
		if (one_in(3))
			attr |= EMU_ATTR_DB;
		else if (one_in(3))
			attr |= EMU_ATTR_L;
		if (one_in(10))
			attr ^= 1 << below(8);
		if ((attr & 0x1f) == 0xc || (attr & 0x1f) == 4 || (attr & 0x1f) == 5)
			machine_gate(m, i * 8, below(32) * 8 | below(4), rnd() & 0xffff, attr);
		else
			machine_desc(m, i * 8, one_in(2) ? 0 : below(0x40000),
				     one_in(4) ? below(0x1000) : 0xfffff, attr);
	}
}

static u64 random_value(void)
{
	switch (below(10)) {
	case 0:
		return below(40);
	case 1:
		return -(u64)below(40);
	case 2:
		return below(32) * 8 | below(4);
	case 3: case 4:
		return MACHINE_MMIO - 8 + below(16);
	case 5: case 6:
		return MACHINE_MMIO + below(0x2000);
	case 7:
		return rnd() & 0xffff;
	case 8:
		return below(MACHINE_RAM);
	}
	return rnd();
}

static void random_registers(struct machine *m)
{
	struct emu_regs *r = &m->ctx.regs;
	unsigned int i;

	for (i = 0; i < EMU_NR_GPR; i++)
		r->gpr[i] = random_value();
	if (!one_in(4))
		r->gpr[EMU_RSP] = (one_in(3) ? MACHINE_MMIO : 0x6000) + below(256);
	if (one_in(2))
		r->gpr[EMU_RCX] = below(200);
	r->rflags |= rnd() & (FL_STATUS | FL_DF | FL_IF | FL_IOPL);
	if (one_in(4))
		r->rflags |= rnd() & (FL_NT | FL_AC | FL_TF);
	if (m->ctx.mode != EMU_LONG64)
		r->rip = 0x7000 + below(0x800);
}

static void random_pages(struct machine *m)
{
	unsigned int i;

	for (i = 0; i < MACHINE_PAGES; i++)
		if (one_in(12))
			m->page[i] = 1 << below(3);
	/* REP must not change its own code: it is fetched anew at places that differ. */
	m->page[7] = PAGE_READONLY;
}

/* Segments over the device, so that stacks and string operands may lie there. */
static void random_segments(struct machine *m)
{
	unsigned int seg;

	for (seg = EMU_ES; seg <= EMU_GS; seg++) {
		if (seg == EMU_CS || !one_in(4))
			continue;
		m->seg[seg].base = MACHINE_MMIO - 0x6000 + below(64);
		if (one_in(4))
			m->seg[seg].limit = below(0x10000);
	}
	m->seg[EMU_LDTR].base = MACHINE_GDT;
	m->seg[EMU_LDTR].limit = 0xff;
	m->seg[EMU_LDTR].attr = EMU_ATTR_P | SYS_LDT;
}

static void random_code(struct machine *m)
{
	static const u8 lead[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0xf3, 0x48, 0x0f, 0x0f, 0x0f,
				   0xc5, 0x36, 0x26 };
	u8 code[15];
	unsigned int i, n = below(3);

	for (i = 0; i < sizeof(code); i++)
		code[i] = rnd();
	for (i = 0; i < n; i++)
		code[i] = lead[below(sizeof(lead))];
	/* Addresses without a base register. */
	if (one_in(4)) {
		u32 addr = MACHINE_MMIO - 8 + below(16);

		memcpy(code + n + 2 + below(2), &addr, 4);
	}
	machine_code(m, code, sizeof(code));
}

/* Make @plain random and @chaotic its equal. */
static void generate(void)
{
	struct machine *m = &plain;
	unsigned int i;

	machine_init(m, below(5));
	for (i = 0; i < 0x8000; i += 8)
		machine_write(m, i, random_value(), 8);
	random_gdt(m);
	/* A TSS whose fields make sense often enough. */
	for (i = 0; i < 104; i += 4)
		machine_write(m, 0x3000 + i, one_in(2) ? below(32) * 8 | below(4) : below(0x8000), 4);
	if (m->ctx.mode >= EMU_PROT16 && one_in(2))
		machine_set_cpl(m, 3);
	random_registers(m);
	random_segments(m);
	random_pages(m);
	random_code(m);
	m->ctx.vendor = below(2);
	m->ctx.cr4 |= rnd() & (CR4_UMIP | CR4_TSD | CR4_VME);
	if (one_in(2))
		m->ctx.cr0 |= CR0_AM;
	if (one_in(4))
		m->ctx.batch = NULL;
	memcpy(&chaotic, m, sizeof(chaotic));
	chaotic.io = one_in(3) ? IO_USER : IO_CHAOS;
	chaotic.chaos = rnd();
	if (m->ctx.batch)
		chaotic.ctx.batch = chaotic.batch;
}

static bool same_events(void)
{
	unsigned int i;

	if (plain.nr_events != chaotic.nr_events)
		return false;
	for (i = 0; i < plain.nr_events; i++) {
		const struct machine_event *a = &plain.events[i], *b = &chaotic.events[i];

		if (a->kind != b->kind || a->size != b->size || a->addr != b->addr ||
		    a->data != b->data)
			return false;
	}
	return true;
}

static bool same_state(void)
{
	const struct emu_ctx *a = &plain.ctx, *b = &chaotic.ctx;

	return !memcmp(&a->regs, &b->regs, sizeof(a->regs)) && a->mode == b->mode &&
	       a->cpl == b->cpl && a->cr0 == b->cr0 &&
	       a->cr4 == b->cr4 && plain.cr3 == chaotic.cr3 &&
	       !memcmp(plain.seg, chaotic.seg, sizeof(plain.seg)) &&
	       !memcmp(plain.xmm, chaotic.xmm, sizeof(plain.xmm)) &&
	       !memcmp(plain.table_base, chaotic.table_base, sizeof(plain.table_base)) &&
	       !memcmp(plain.ram, chaotic.ram, sizeof(plain.ram));
}

static bool same_fault(void)
{
	const struct emu_fault *a = &plain.ctx.fault, *b = &chaotic.ctx.fault;

	return a->vector == b->vector && a->type == b->type && a->has_error == b->has_error &&
	       (!a->has_error || a->error_code == b->error_code) && a->address == b->address;
}

static void show_events(const struct machine *m)
{
	unsigned int i;

	for (i = 0; i < m->nr_events && i < 12; i++)
		printf("#     %u: %llx, %u bytes, %llx\n", m->events[i].kind,
		       (unsigned long long)m->events[i].addr, m->events[i].size,
		       (unsigned long long)m->events[i].data);
}

static void show_case(unsigned long number, int rc, int chaotic_rc)
{
	const struct emu_ctx *ctx = &plain.ctx;
	unsigned int i;

	printf("# case %lu:", number);
	for (i = 0; i < 15; i++)
		printf(" %02x", ctx->insn_bytes[i]);
	printf("\n#   result %d vector %d error %x rip %llx, %u events\n", rc, ctx->fault.vector,
	       ctx->fault.error_code, (unsigned long long)ctx->regs.rip, plain.nr_events);
	show_events(&plain);
	ctx = &chaotic.ctx;
	printf("#   result %d vector %d error %x rip %llx, %u events, %u passes\n", chaotic_rc,
	       ctx->fault.vector, ctx->fault.error_code, (unsigned long long)ctx->regs.rip,
	       chaotic.nr_events, chaotic.passes);
	show_events(&chaotic);
}

struct tally {
	unsigned long done, faults, unhandled, with_events, bad;
};

static void run_case(unsigned long number, struct tally *tally)
{
	int rc, chaotic_rc;

	generate();
	rc = machine_run(&plain);
	chaotic_rc = machine_run(&chaotic);
	tally->done += rc == EMU_OK;
	tally->faults += rc == EMU_FAULT;
	tally->unhandled += rc == EMU_UNHANDLED;
	tally->with_events += plain.nr_events != 0;
	if (rc == chaotic_rc && (rc != EMU_FAULT || same_fault()) && same_state() && same_events())
		return;
	if (tally->bad++ < 10)
		show_case(number, rc, chaotic_rc);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' }, { "seed", required_argument, NULL, 's' },
		{ "case", required_argument, NULL, 'n' }, { 0 },
	};
	unsigned long count = 20000, only = 0, i;
	struct tally tally = { 0 };
	u64 seed = 1;
	int c;

	while ((c = getopt_long(argc, argv, "c:s:n:", options, NULL)) != -1) {
		if (c == 'c')
			count = strtoul(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			only = strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	for (i = only ? only : 1; i <= (only ? only : count); i++) {
		rng_state = seed * 0x100000001b3ULL + i;
		run_case(i, &tally);
	}
	printf("# seed %llu: %lu done, %lu faults, %lu not handled, %lu with device access\n",
	       (unsigned long long)seed, tally.done, tally.faults, tally.unhandled,
	       tally.with_events);
	tap_ok(!tally.bad, "replayed instructions end as others: %lu differ", tally.bad);
	return tap_done();
}
