// SPDX-License-Identifier: GPL-2.0
/*
 * Suite emulate: random instructions whose memory operand is where no memory is, so that the hypervisor executes them
 * itself: each access, all registers, flags and memory. The answers to reads depend on the address alone.
 */
#include <stdio.h>
#include <string.h>

#include "compare/compare.h"
#include "compare/undefined.h"
#include "util.h"

/* How an opcode comes to its operand in memory. */
enum form { MODRM, STRING, MOFFS, STACK, XLAT };

static const struct opcode {
	uint8_t form, map, first, last;	/* map: 0: one byte; else behind 0x0f */
	bool immediate;
} opcodes[] = {
	{ MODRM, 0, 0x88, 0x8b, false }, { MODRM, 0, 0x00, 0x03, false }, { MODRM, 0, 0x08, 0x0b, false }, { MODRM, 0, 0x10, 0x13, false },
	{ MODRM, 0, 0x18, 0x1b, false }, { MODRM, 0, 0x20, 0x23, false }, { MODRM, 0, 0x28, 0x2b, false }, { MODRM, 0, 0x30, 0x33, false },
	{ MODRM, 0, 0x38, 0x3b, false }, { MODRM, 0, 0x63, 0x63, false }, { MODRM, 0, 0x69, 0x69, true }, { MODRM, 0, 0x6b, 0x6b, true },
	{ MODRM, 0, 0x80, 0x81, true }, { MODRM, 0, 0x83, 0x83, true }, { MODRM, 0, 0x84, 0x87, false }, { MODRM, 0, 0x8c, 0x8c, false }, { MODRM, 0, 0x8f, 0x8f, false },
	{ MODRM, 0, 0xc0, 0xc1, true }, { MODRM, 0, 0xc6, 0xc7, true }, { MODRM, 0, 0xd0, 0xd3, false }, { MODRM, 0, 0xf6, 0xf7, true },
	{ MODRM, 0, 0xfe, 0xff, false }, { STRING, 0, 0xa4, 0xa7, false }, { STRING, 0, 0xaa, 0xaf, false }, { MOFFS, 0, 0xa0, 0xa3, false },
	{ STACK, 0, 0x50, 0x53, false }, { STACK, 0, 0x58, 0x5b, false }, { STACK, 0, 0x68, 0x68, true }, { STACK, 0, 0x6a, 0x6a, true },
	{ STACK, 0, 0x9c, 0x9d, false }, { XLAT, 0, 0xd7, 0xd7, false },
	{ MODRM, 1, 0x10, 0x11, false }, { MODRM, 1, 0x28, 0x29, false }, { MODRM, 1, 0x2b, 0x2b, false }, { MODRM, 1, 0x40, 0x4f, false },
	{ MODRM, 1, 0x6e, 0x6f, false }, { MODRM, 1, 0x7e, 0x7f, false }, { MODRM, 1, 0x90, 0x9f, false }, { MODRM, 1, 0xa3, 0xa3, false }, { MODRM, 1, 0xa4, 0xa4, true }, { MODRM, 1, 0xa5, 0xa5, false },
	{ MODRM, 1, 0xab, 0xab, false }, { MODRM, 1, 0xac, 0xac, true }, { MODRM, 1, 0xad, 0xad, false }, { MODRM, 1, 0xaf, 0xb1, false }, { MODRM, 1, 0xb3, 0xb3, false }, { MODRM, 1, 0xb6, 0xb7, false },
	{ MODRM, 1, 0xba, 0xba, true }, { MODRM, 1, 0xbb, 0xbb, false }, { MODRM, 1, 0xbe, 0xc1, false }, { MODRM, 1, 0xc3, 0xc3, false }, { MODRM, 1, 0xc7, 0xc7, false },
	{ MODRM, 1, 0xc8, 0xcb, false }, { MODRM, 1, 0xd6, 0xd6, false }, { MODRM, 1, 0xe7, 0xe7, false },
};

/* Words of a step; the low half of W_REGS is the flags. */
enum { W_OPCODE, W_PREFIX, W_MODRM, W_IMMEDIATE, W_ADDRESS, W_REGS };

struct made {
	uint8_t bytes[16];
	unsigned int len;
	const struct opcode *opcode;
	struct emu_insn insn;		/* as far as undefined_flags() looks at it */
	struct kvm_regs regs;
};

static void emit(struct made *m, uint8_t byte)
{
	m->bytes[m->len++] = byte;
}

static void emit_prefixes(struct made *m, uint64_t word, bool long_mode)
{
	if (word & 1)
		emit(m, 0x66);
	if ((word & 6) == 6)
		emit(m, word & 8 ? 0xf3 : 0xf2);
	if ((word & 0x70) == 0x70)
		emit(m, 0xf0);
	m->insn.opsize = word & 1 ? 2 : 4;
	if (!long_mode || !(word & 0x80))
		return;
	emit(m, 0x48 | (word >> 8 & 4));
	m->insn.opsize = 8;
}

/* (%rbx), with or without a displacement. */
static void emit_operand(struct made *m, uint64_t word, uint64_t address)
{
	bool displaced = word & 8;

	m->insn.modrm = (displaced ? 0x40 : 0) | (word & 7) << 3 | 3;
	emit(m, m->insn.modrm);
	if (displaced)
		emit(m, 0x10);
	m->regs.rbx = address - (displaced ? 0x10 : 0);
}

static void emit_moffs(struct made *m, uint64_t address, bool long_mode)
{
	for (unsigned int i = 0; i < (long_mode ? 8 : 4); i++)
		emit(m, address >> 8 * i);
}

/* Nothing is there from its beginning or, for the third of them, from its middle on. */
static uint64_t address_of(const struct step *step)
{
	static const uint64_t pages[] = { GUEST_MMIO, GUEST_MMIO + 0xffa, GUEST_SIZE - 6 };

	return pages[step__pick(step, W_ADDRESS, ARRAY_SIZE(pages))] + (step->word[W_ADDRESS] >> 8 & 7);
}

static void set_registers(struct made *m, const struct step *step, bool long_mode)
{
	uint64_t v = step->word[W_REGS], mask = long_mode ? ~0ULL : 0xffffffff;

	m->regs = (struct kvm_regs){
		.rax = v & mask, .rcx = step__mutate(0, v >> 8) & mask, .rdx = v * 0x9e3779b97f4a7c15ULL & mask,
		.rbp = (v >> 16) & mask, .rsi = GUEST_DATA + 0x40, .rdi = GUEST_DATA + 0x80, .rsp = GUEST_STACK - 0x40,
		.rflags = 2 | ((v >> 24) & FL_STATUS),
	};
}

static void make(struct made *m, const struct step *step, bool long_mode)
{
	uint64_t word = step->word[W_OPCODE], address = address_of(step);
	const struct opcode *o = &opcodes[word % ARRAY_SIZE(opcodes)];
	bool immediate;

	*m = (struct made){ .opcode = o };
	set_registers(m, step, long_mode);
	emit_prefixes(m, step->word[W_PREFIX], long_mode);
	m->insn.map = o->map ? EMU_MAP_0F : EMU_MAP_1BYTE;
	if (o->map)
		emit(m, 0x0f);
	m->insn.opcode = o->first + (word >> 8) % (o->last - o->first + 1);
	emit(m, m->insn.opcode);
	switch (o->form) {
	case MODRM:
		emit_operand(m, step->word[W_MODRM], address);
		break;
	case MOFFS:
		emit_moffs(m, address, long_mode);
		break;
	case STRING:
		*(step->word[W_MODRM] & 1 ? &m->regs.rsi : &m->regs.rdi) = address;
		m->regs.rcx = step->word[W_MODRM] >> 8 & 3;
		m->regs.rflags |= step->word[W_MODRM] & 2 ? FL_DF : 0;
		break;
	case STACK:
		m->regs.rsp = address;
		break;
	case XLAT:
		m->regs.rbx = address - (m->regs.rax & 0xff);
		break;
	}
	/* The immediate may be shorter: NOPs follow, then. Of the group of F6 and F7 only TEST has one. */
	immediate = o->immediate && ((m->insn.opcode & 0xfe) != 0xf6 || (m->insn.modrm >> 3 & 7) < 2);
	m->insn.imm = immediate ? step->word[W_IMMEDIATE] & 0xff : 0x90;
	emit(m, m->insn.imm);
	for (unsigned int i = 0; i < 3; i++)
		emit(m, 0x90);
}

static void emulate__describe(const struct step *step, char *buf, size_t size)
{
	struct made m;
	int n = 0;

	make(&m, step, true);
	for (unsigned int i = 0; i < m.len; i++)
		n += snprintf(buf + n, size - n, "%02x ", m.bytes[i]);
	snprintf(buf + n, size - n, "with rax 0x%llx, rbx 0x%llx, rcx 0x%llx, rdx 0x%llx, rflags 0x%llx", m.regs.rax,
		 m.regs.rbx, m.regs.rcx, m.regs.rdx, m.regs.rflags);
}

/* In own[0]: whether it is a case of long mode. */
static void emulate__step(struct subject *s, const struct step *step)
{
	struct kvm_fpu fpu = { 0 };
	struct kvm_regs regs;
	struct made m;

	make(&m, step, s->own[0]);
	subject__execute(s, m.bytes, m.len, &m.regs);
	if (s->over)
		return;
	subject__get_regs(s, &regs);
	regs.rflags &= ~undefined_flags(&m.insn, m.regs.rcx);
	observe__fields(s, regs_fields, &regs);
	observe__memory(s);
	if (!m.opcode->map)
		return;
	subject__ioctl(s->vcpu.fd, KVM_GET_FPU, &fpu);
	for (unsigned int i = 0; i < 16; i++) {
		uint64_t half[2];

		memcpy(half, fpu.xmm[i], sizeof(half));
		observe__at(s, "low half of XMM", i, half[0]);
		observe__at(s, "high half of XMM", i, half[1]);
	}
}

static int emulate__open(struct subject *s, const struct compare_case *c)
{
	struct kvm_sregs sregs;
	int ret = subject__create(s, CHIPS_NONE);

	if (ret)
		return ret;
	s->own[0] = !(c->steps[0].word[W_PREFIX] >> 60 & 1);
	ret = s->own[0] ? subject__enter_long_mode(s) : subject__enter_protected_mode(s);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < 0x200; i++)
		s->memory[GUEST_DATA + i] = 0x11 + 7 * i;
	subject__get_sregs(s, &sregs);
	sregs.cr4 |= CR4_OSFXSR;
	return subject__set_sregs(s, &sregs);
}

const struct suite emulate_suite = {
	.name = "emulate", .summary = "instructions on memory that is not there", .max_steps = MAX_STEPS,
	.open = emulate__open, .step = emulate__step, .describe = emulate__describe,
};
