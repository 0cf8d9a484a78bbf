// SPDX-License-Identifier: GPL-2.0
/*
 * Verify segment loads, far transfers, privilege checks, system instructions,
 * intercepts and task switches of the emulator.
 */
#include "emulate_scenario.h"

struct load_case {
	const char *name;
	u16 selector;
	u16 attr;
	u8 vector;	/* 0: loads */
	u16 error;
};

/* MOV DS at privilege level 3, descriptor 0x20. */
static const struct load_case load_cases[] = {
	{ "data", 0x23, 0xc0f2, 0, 0 },
	{ "null", 0x03, 0, 0, 0 },
	{ "readable code", 0x23, 0xc0fa, 0, 0 },
	{ "execute-only code", 0x23, 0xc0f8, VEC_GP, 0x20 },
	{ "conforming code of level 0", 0x23, 0xc09e, 0, 0 },
	{ "data of level 0", 0x23, 0xc092, VEC_GP, 0x20 },
	{ "a TSS", 0x23, 0x00e9, VEC_GP, 0x20 },
	{ "absent data", 0x23, 0xc072, VEC_NP, 0x20 },
	{ "beyond the table", 0x103, 0xc0f2, VEC_GP, 0x100 },
	{ "in an absent LDT", 0x27, 0xc0f2, VEC_GP, 0x24 },
};

static void test_data_segments(void)
{
	unsigned int i;
	int rc;

	for (i = 0; i < sizeof(load_cases) / sizeof(load_cases[0]); i++) {
		const struct load_case *c = &load_cases[i];

		machine_init(&m, EMU_PROT32);
		machine_set_cpl(&m, 3);
		machine_desc(&m, 0x20, 0x5000, 0xfffff, c->attr);
		GPR(RAX) = c->selector;
		CODE(0x8e, 0xd8);
		rc = machine_run(&m);
		tap_ok(c->vector ? faulted(rc, c->vector, c->error) && m.seg[EMU_DS].base == 0 :
		       rc == EMU_OK && m.seg[EMU_DS].selector == c->selector,
		       "mov ds: %s", c->name);
	}
}

static void test_stack_segment(void)
{
	int rc;

	machine_init(&m, EMU_PROT32);
	machine_desc(&m, 0x20, 0, 0xfffff, 0xc092);
	machine_desc(&m, 0x28, 0, 0xfffff, 0xc012);
	GPR(RAX) = 0x20;
	CODE(0x8e, 0xd0);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.seg[EMU_SS].selector == 0x20 &&
	       (m.ctx.effects & EMU_FX_SHADOW_SS) && machine_read(&m, MACHINE_GDT + 0x25, 1) == 0x93,
	       "mov ss blocks interrupts, sets the accessed bit");
	RIP = 0x7000;
	GPR(RAX) = 0;
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "mov ss: null");
	GPR(RAX) = 0x23;
	tap_ok(faulted(machine_run(&m), VEC_GP, 0x20), "mov ss: wrong privilege level");
	GPR(RAX) = 0x28;
	tap_ok(faulted(machine_run(&m), VEC_SS, 0x28), "mov ss: absent");
	m.ctx.mode = EMU_LONG64;
	m.ctx.efer = EFER_LMA;
	GPR(RAX) = 0;
	tap_ok(machine_run(&m) == EMU_OK && !(m.seg[EMU_SS].attr & EMU_ATTR_P),
	       "mov ss: null in 64-bit mode");
}

static void test_limits(void)
{
	machine_init(&m, EMU_PROT32);
	m.seg[EMU_DS].limit = 0x8fff;
	GPR(RBX) = 0x8ffc;
	CODE(0x8b, 0x03);
	tap_ok(machine_run(&m) == EMU_OK, "the last dword of a segment");
	RIP = 0x7000;
	GPR(RBX) = 0x8ffd;
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "one byte too far");
	m.seg[EMU_DS].attr |= TYPE_DC;
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "expand-down: still within the limit");
	GPR(RBX) = 0x9000;
	tap_ok(machine_run(&m) == EMU_OK, "expand-down: above the limit");
	RIP = 0x7000;
	m.seg[EMU_SS].limit = 0x5fff;
	CODE(0x8b, 0x04, 0x24);			/* mov eax, [esp] */
	tap_ok(faulted(machine_run(&m), VEC_SS, 0), "beyond the stack's limit: #SS");
	m.seg[EMU_DS].attr &= ~EMU_ATTR_P;
	CODE(0x8b, 0x03);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "through a null selector");
	CODE(0x2e, 0x89, 0x03);			/* mov cs:[ebx], eax */
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "a store to a code segment");
	RIP = 0x7ff0;
	m.seg[EMU_CS].limit = 0x7ff1;
	CODE(0xb8, 1, 2, 3, 4);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "an instruction beyond the code segment");
	machine_init(&m, EMU_LONG64);
	GPR(RBX) = 0x800000000000ULL;
	CODE(0x8b, 0x03);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "a non-canonical address");
	GPR(RSP) = 0x7ffffffffff9ULL;
	CODE(0x58);				/* pop rax */
	tap_ok(faulted(machine_run(&m), VEC_SS, 0), "a stack that ends non-canonical");
}

static void test_fetch(void)
{
	static const u8 prefixes[15] = { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
					 0x66, 0x66, 0x66, 0x66, 0x66, 0x90 };

	machine_init(&m, EMU_PROT32);
	RIP = 0x8fff;
	m.page[9] = PAGE_ABSENT;
	CODE(0x90);
	tap_ok(machine_run(&m) == EMU_OK && RIP == 0x9000, "the last byte of a page");
	RIP = 0x8fff;
	CODE(0xb0);
	tap_ok(faulted(machine_run(&m), VEC_PF, 0x10) && m.ctx.fault.address == 0x9000,
	       "the rest of an instruction in an absent page");
	RIP = 0x7000;
	machine_code(&m, prefixes, 15);
	tap_ok(machine_run(&m) == EMU_OK && RIP == 0x700f, "15 bytes");
	RIP = 0x7000;
	m.ram[0x700e] = 0x66;
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "16 bytes");
	emu_start(&m.ctx, "\x90", 1);
	tap_ok(emu_run(&m.ctx) == EMU_OK && RIP == 0x7001, "bytes that the caller has");
}

/* Level 3 code at 0x18, data 0x20; level 0 code 0x08, data 0x10; TSS at 0x28. */
static void two_levels(enum emu_mode mode)
{
	machine_init(&m, mode);
	machine_desc(&m, 0x08, 0, 0xfffff, mode == EMU_LONG64 ? 0xa09b : 0xc09b);
	machine_desc(&m, 0x10, 0, 0xfffff, 0xc093);
	machine_desc(&m, 0x18, 0, 0xfffff, mode == EMU_LONG64 ? 0xa0fb : 0xc0fb);
	machine_desc(&m, 0x20, 0, 0xfffff, 0xc0f3);
	machine_write(&m, 0x3004, 0x5000, 4);
	machine_write(&m, 0x3008, 0x10, 4);
}

static void test_call_gate(void)
{
	int rc;

	two_levels(EMU_PROT32);
	machine_set_cpl(&m, 3);
	m.seg[EMU_CS].selector = 0x1b;
	m.seg[EMU_SS].selector = 0x23;
	machine_gate(&m, 0x40, 0x08, 0x7600, 0xec);
	m.ram[MACHINE_GDT + 0x44] = 2;		/* two parameters */
	machine_write(&m, 0x6000, 0x1111, 4);
	machine_write(&m, 0x6004, 0x2222, 4);
	CODE(0x9a, 0, 0, 0, 0, 0x40, 0x00);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x7600 && m.ctx.cpl == 0 && m.seg[EMU_SS].selector == 0x10 &&
	       m.seg[EMU_CS].selector == 0x08, "a call gate to level 0");
	tap_ok(GPR(RSP) == 0x5000 - 24 && machine_read(&m, 0x4ffc, 4) == 0x23 &&
	       machine_read(&m, 0x4ff8, 4) == 0x6000 && machine_read(&m, 0x4ff4, 4) == 0x2222 &&
	       machine_read(&m, 0x4ff0, 4) == 0x1111 && machine_read(&m, 0x4fec, 4) == 0x1b &&
	       machine_read(&m, 0x4fe8, 4) == 0x7007, "its stack and parameters");
	CODE(0xca, 0x08, 0x00);			/* retf 8 */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x7007 && m.ctx.cpl == 3 && GPR(RSP) == 0x6008 &&
	       m.seg[EMU_SS].selector == 0x23 && (m.ctx.effects & EMU_FX_MODE),
	       "and the return to level 3");
	machine_gate(&m, 0x40, 0x08, 0x7600, 0x8c);
	RIP = 0x7000;
	tap_ok(faulted(machine_run(&m), VEC_GP, 0x40), "a gate that level 3 may not use");
}

static void test_iret(void)
{
	int rc;

	two_levels(EMU_PROT32);
	m.seg[EMU_DS].selector = 0x10;
	GPR(RSP) = 0x5000 - 20;
	machine_write(&m, 0x5000 - 20, 0x7700, 4);
	machine_write(&m, 0x5000 - 16, 0x1b, 4);
	machine_write(&m, 0x5000 - 12, FL_IF | FL_CF | FL_FIXED, 4);
	machine_write(&m, 0x5000 - 8, 0x6000, 4);
	machine_write(&m, 0x5000 - 4, 0x23, 4);
	CODE(0xcf);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x7700 && m.ctx.cpl == 3 && GPR(RSP) == 0x6000 &&
	       (FLAGS & FL_IF) && !(m.seg[EMU_DS].attr & EMU_ATTR_P),
	       "iret to level 3 drops data segments of level 0");
	two_levels(EMU_LONG64);
	GPR(RSP) = 0x5000 - 40;
	machine_write(&m, 0x5000 - 40, 0x7700, 8);
	machine_write(&m, 0x5000 - 32, 0x08, 8);
	machine_write(&m, 0x5000 - 24, FL_FIXED, 8);
	machine_write(&m, 0x5000 - 16, 0x6100, 8);
	machine_write(&m, 0x5000 - 8, 0, 8);
	CODE(0x48, 0xcf);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x7700 && m.ctx.cpl == 0 && GPR(RSP) == 0x6100,
	       "iretq within level 0 pops the stack pointer");
	two_levels(EMU_PROT32);
	GPR(RSP) = 0x5000 - 36;
	machine_write(&m, 0x5000 - 36, 0x123, 4);
	machine_write(&m, 0x5000 - 32, 0x700, 4);
	machine_write(&m, 0x5000 - 28, FL_VM | FL_IF | FL_FIXED, 4);
	machine_write(&m, 0x5000 - 24, 0xfffe, 4);
	machine_write(&m, 0x5000 - 20, 0x800, 4);
	CODE(0xcf);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.ctx.mode == EMU_V86 && m.ctx.cpl == 3 && RIP == 0x123 &&
	       m.seg[EMU_CS].base == 0x7000 && m.seg[EMU_SS].base == 0x8000 &&
	       GPR(RSP) == 0xfffe, "iret to virtual-8086 mode");
}

static void test_far_jumps(void)
{
	two_levels(EMU_PROT32);
	CODE(0xea, 0x00, 0x75, 0, 0, 0x00, 0x00);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "far jump: null");
	CODE(0xea, 0x00, 0x75, 0, 0, 0x10, 0x00);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0x10), "far jump: data");
	CODE(0xea, 0x00, 0x75, 0, 0, 0x1b, 0x00);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0x18), "far jump: another level");
	machine_desc(&m, 0x30, 0, 0x74ff, 0x409b);
	CODE(0xea, 0x00, 0x75, 0, 0, 0x30, 0x00);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0) && RIP == 0x7000 && m.seg[EMU_CS].selector == 8,
	       "far jump: beyond the limit");
	machine_desc(&m, 0x30, 0, 0xfffff, 0xa09b);
	m.ctx.efer = EFER_LMA;
	tap_ok(machine_run(&m) == EMU_OK && m.ctx.mode == EMU_LONG64, "far jump to 64-bit code");
}

static void test_soft_interrupt(void)
{
	int rc;

	machine_init(&m, EMU_PROT32);
	CODE(0xcd, 0x80);
	rc = machine_run(&m);
	tap_ok(rc == EMU_FAULT && m.ctx.fault.type == EMU_SOFT_INT && m.ctx.fault.vector == 0x80 &&
	       m.ctx.insn.len == 2 && RIP == 0x7000, "int in protected mode is to be injected");
	CODE(0xcc);
	rc = machine_run(&m);
	tap_ok(rc == EMU_FAULT && m.ctx.fault.type == EMU_SOFT_EXC && m.ctx.fault.vector == 3,
	       "int3 likewise");
	machine_init(&m, EMU_V86);
	FLAGS &= ~FL_IOPL;
	CODE(0xcd, 0x10);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "int in virtual-8086 mode without IOPL");
	CODE(0x9c);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "pushf in virtual-8086 mode without IOPL");
}

static void test_tables_and_types(void)
{
	two_levels(EMU_PROT32);
	machine_desc(&m, 0x28, 0x3000, 0x67, 0x89);
	GPR(RAX) = 0x28;
	CODE(0x0f, 0x00, 0xd8);			/* ltr ax */
	tap_ok(machine_run(&m) == EMU_OK && m.seg[EMU_TR].base == 0x3000 &&
	       machine_read(&m, MACHINE_GDT + 0x2d, 1) == 0x8b, "ltr marks the TSS busy");
	RIP = 0x7000;
	tap_ok(faulted(machine_run(&m), VEC_GP, 0x28), "ltr of a busy TSS");
	machine_desc(&m, 0x30, 0x8000, 0xff, 0x82);
	GPR(RAX) = 0x30;
	CODE(0x0f, 0x00, 0xd0);			/* lldt ax */
	tap_ok(machine_run(&m) == EMU_OK && m.seg[EMU_LDTR].base == 0x8000 &&
	       m.seg[EMU_LDTR].limit == 0xff, "lldt");
	RIP = 0x7000;
	GPR(RAX) = 0x20;
	CODE(0x0f, 0x02, 0xd8);			/* lar ebx, ax */
	tap_ok(machine_run(&m) == EMU_OK && (FLAGS & FL_ZF) && (GPR(RBX) & 0xf0ff00) == 0xc0f300,
	       "lar");
	RIP = 0x7000;
	CODE(0x0f, 0x03, 0xd8);			/* lsl ebx, ax */
	tap_ok(machine_run(&m) == EMU_OK && GPR(RBX) == 0xffffffff, "lsl");
	RIP = 0x7000;
	GPR(RAX) = 0x08;
	CODE(0x0f, 0x00, 0xe8);			/* verw ax */
	tap_ok(machine_run(&m) == EMU_OK && !(FLAGS & FL_ZF), "verw of a code segment");
}

/* ---- system instructions ---- */

static void test_privilege(void)
{
	static const struct {
		const char *name;
		u8 code[4];
	} privileged[] = {
		{ "hlt", { 0xf4 } }, { "cli", { 0xfa } }, { "mov cr0", { 0x0f, 0x22, 0xc0 } },
		{ "mov dr7", { 0x0f, 0x23, 0xf8 } }, { "wrmsr", { 0x0f, 0x30 } },
		{ "lgdt", { 0x0f, 0x01, 0x13 } }, { "invlpg", { 0x0f, 0x01, 0x3b } },
		{ "clts", { 0x0f, 0x06 } }, { "lmsw", { 0x0f, 0x01, 0xf0 } },
		{ "wbinvd", { 0x0f, 0x09 } }, { "in", { 0xec } }, { "xsetbv", { 0x0f, 0x01, 0xd1 } },
		{ "sgdt with UMIP", { 0x0f, 0x01, 0x03 } }, { "str with UMIP", { 0x0f, 0x00, 0xc8 } },
		{ "rdtsc with TSD", { 0x0f, 0x31 } }, { "rdpmc", { 0x0f, 0x33 } },
		{ "swapgs", { 0x0f, 0x01, 0xf8 } },
	};
	unsigned int i;

	for (i = 0; i < sizeof(privileged) / sizeof(privileged[0]); i++) {
		machine_init(&m, EMU_LONG64);
		machine_set_cpl(&m, 3);
		m.ctx.cr4 |= CR4_UMIP | CR4_TSD;
		m.seg[EMU_TR].limit = 0x67;
		machine_write(&m, 0x3066, 0x68, 2);
		GPR(RBX) = 0x8000;
		machine_code(&m, privileged[i].code, 4);
		tap_ok(faulted(machine_run(&m), VEC_GP, 0), "privileged: %s", privileged[i].name);
	}
}

static void test_system(void)
{
	machine_init(&m, EMU_LONG64);
	m.msr_tsc = 0x1234567890ULL;
	m.msr_aux = 42;
	CODE(0x0f, 0x01, 0xf9);
	tap_ok(machine_run(&m) == EMU_OK && GPR(RAX) == 0x34567890 && GPR(RDX) == 0x12 &&
	       GPR(RCX) == 42 && RIP == 0x7003, "rdtscp");
	CODE(0x0f, 0xa2);
	GPR(RAX) = 7;
	tap_ok(machine_run(&m) == EMU_OK && GPR(RAX) == 4 && GPR(RBX) == 8, "cpuid");
	CODE(0x44, 0x0f, 0x22, 0xc0);		/* mov cr8, rax */
	tap_ok(machine_run(&m) == EMU_OK && m.cr8 == 4, "mov cr8");
	CODE(0x0f, 0x22, 0xc8);			/* mov cr1, rax */
	tap_ok(faulted(machine_run(&m), VEC_UD, 0), "mov cr1");
	m.dr[7] = DR7_GD;
	CODE(0x0f, 0x21, 0xf0);			/* mov rax, dr6 */
	tap_ok(faulted(machine_run(&m), VEC_DB, 0) && m.ctx.fault.address == DR6_BD,
	       "mov dr with DR7.GD");
	CODE(0x0f, 0x21, 0xe0);			/* mov rax, dr4 */
	tap_ok(faulted(machine_run(&m), VEC_UD, 0), "mov dr4 with CR4.DE");
	CODE(0xfb);
	tap_ok(machine_run(&m) == EMU_OK && (m.ctx.effects & EMU_FX_SHADOW_STI), "sti");
	CODE(0xfb);
	tap_ok(machine_run(&m) == EMU_OK && !(m.ctx.effects & EMU_FX_SHADOW_STI),
	       "sti with interrupts enabled already");
	CODE(0xf4);
	tap_ok(machine_run(&m) == EMU_OK && (m.ctx.effects & EMU_FX_HLT), "hlt");
	GPR(RBX) = 0x8000;
	CODE(0x0f, 0x01, 0x03);			/* sgdt [rbx] */
	tap_ok(machine_run(&m) == EMU_OK && machine_read(&m, 0x8000, 2) == 0xff &&
	       machine_read(&m, 0x8002, 8) == MACHINE_GDT, "sgdt");
	CODE(0x0f, 0x0b);
	tap_ok(faulted(machine_run(&m), VEC_UD, 0), "ud2");
	CODE(0x0f, 0x01, 0xc1);
	tap_ok(machine_run(&m) == EMU_UNHANDLED && m.ctx.insn.len == 3, "vmcall is the caller's");
}

static struct emu_intercept seen;

static bool intercept_all(struct machine *machine, const struct emu_intercept *info)
{
	(void)machine;
	seen = *info;
	return info->checked;
}

static void test_intercepts(void)
{
	machine_init(&m, EMU_LONG64);
	m.icpt = intercept_all;
	CODE(0x41, 0x0f, 0x22, 0xd9);		/* mov cr3, r9 */
	GPR(R9) = 0x5000;
	tap_ok(machine_run(&m) == EMU_INTERCEPTED && seen.what == EMU_ICPT_CR_WRITE &&
	       seen.reg == 3 && seen.gpr == EMU_R9 && seen.value == 0x5000 && RIP == 0x7000 &&
	       !m.cr3, "an intercepted mov cr3 does nothing");
	CODE(0xf3, 0x6e);			/* rep outsb */
	GPR(RCX) = 5;
	GPR(RDX) = 0x3f8;
	GPR(RSI) = 0x8000;
	tap_ok(machine_run(&m) == EMU_INTERCEPTED && seen.what == EMU_ICPT_IO_OUT &&
	       seen.port == 0x3f8 && seen.count == 5 && seen.string && seen.rep &&
	       seen.value == 0x8000 && !m.nr_events, "an intercepted rep outsb");
	CODE(0x0f, 0x01, 0x3b);			/* invlpg [rbx] */
	GPR(RBX) = 0x9000;
	tap_ok(machine_run(&m) == EMU_INTERCEPTED && seen.what == EMU_ICPT_INVLPG &&
	       seen.value == 0x9000, "an intercepted invlpg");
}

static void test_effective_addresses(void)
{
	machine_init(&m, EMU_LONG64);
	CODE(0x48, 0x8d, 0x05, 0x10, 0, 0, 0);	/* lea rax, [rip+16] */
	tap_ok(machine_run(&m) == EMU_OK && GPR(RAX) == 0x7017, "rip-relative");
	m.seg[EMU_GS].base = 0x1000;
	machine_write(&m, 0x8008, 0x99, 8);
	CODE(0x65, 0x48, 0x8b, 0x04, 0x25, 0x08, 0x70, 0, 0);
	tap_ok(machine_run(&m) == EMU_OK && GPR(RAX) == 0x99, "gs: base");
	m.seg[EMU_DS].base = 0x1000;
	GPR(RBX) = 0x8008;
	CODE(0x3e, 0x48, 0x8b, 0x03);
	tap_ok(machine_run(&m) == EMU_OK && GPR(RAX) == 0x99, "no ds base in 64-bit mode");
	machine_init(&m, EMU_REAL);
	m.seg[EMU_SS].base = 0x1000;
	machine_write(&m, 0x9004, 0x66, 2);
	GPR(RBP) = 0x8000;
	CODE(0x8b, 0x46, 0x04);			/* mov ax, [bp+4] */
	tap_ok(machine_run(&m) == EMU_OK && GPR(RAX) == 0x66, "bp means the stack segment");
	GPR(RBX) = 0xfff0;
	GPR(RSI) = 0x8020;
	machine_write(&m, 0x8010, 0x77, 2);
	CODE(0x8b, 0x00);			/* mov ax, [bx+si] */
	tap_ok(machine_run(&m) == EMU_OK && GPR(RAX) == 0x77, "16-bit addresses wrap");
}

/* ---- task switches ---- */

#define OLD_TSS	0x3000
#define NEW_TSS	0x4000

static void two_tasks(void)
{
	static const u8 seg_off[] = { 72, 76, 80, 84, 88, 92 };
	static const u8 sel[] = { 0x10, 0x08, 0x10, 0x10, 0, 0 };
	unsigned int i;

	two_levels(EMU_PROT32);
	machine_desc(&m, 0x28, OLD_TSS, 0x67, 0x8b);
	machine_desc(&m, 0x30, NEW_TSS, 0x67, 0x89);
	m.seg[EMU_TR].limit = 0x67;
	for (i = 0; i < 6; i++)
		machine_write(&m, NEW_TSS + seg_off[i], sel[i], 4);
	machine_write(&m, NEW_TSS + 28, 0xabc000, 4);
	machine_write(&m, NEW_TSS + 32, 0x7800, 4);
	machine_write(&m, NEW_TSS + 36, FL_FIXED | FL_CF, 4);
	machine_write(&m, NEW_TSS + 40, 0x1234, 4);
	machine_write(&m, NEW_TSS + 56, 0x5800, 4);
}

static void test_task_switch(void)
{
	int rc;

	two_tasks();
	m.ctx.cr0 |= CR0_PG;
	GPR(RBX) = 0x77;
	CODE(0x9a, 0, 0, 0, 0, 0x30, 0);	/* call 30:0 */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x7800 && GPR(RAX) == 0x1234 && GPR(RSP) == 0x5800 &&
	       m.seg[EMU_TR].selector == 0x30 && m.cr3 == 0xabc000 && (m.ctx.cr0 & CR0_TS) &&
	       (FLAGS & FL_NT), "a call switches tasks");
	tap_ok(machine_read(&m, NEW_TSS, 2) == 0x28 && machine_read(&m, OLD_TSS + 32, 4) == 0x7007 &&
	       machine_read(&m, OLD_TSS + 52, 4) == 0x77 &&
	       machine_read(&m, MACHINE_GDT + 0x2d, 1) == 0x8b &&
	       machine_read(&m, MACHINE_GDT + 0x35, 1) == 0x8b, "the old task is saved and linked");
	CODE(0xcf);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x7007 && GPR(RBX) == 0x77 && m.seg[EMU_TR].selector == 0x28 &&
	       machine_read(&m, MACHINE_GDT + 0x35, 1) == 0x89 && !(FLAGS & FL_NT),
	       "iret switches back");
}

static void test_task_switch_exit(void)
{
	int rc;

	two_tasks();
	emu_start(&m.ctx, NULL, 0);
	rc = emu_task_switch(&m.ctx, 0x30, EMU_TASK_GATE, true, 0x55);
	tap_ok(rc == EMU_OK && GPR(RSP) == 0x57fc && machine_read(&m, 0x57fc, 4) == 0x55,
	       "a task gate pushes the error code on the new stack");
	two_tasks();
	machine_desc(&m, 0x30, NEW_TSS, 0x66, 0x89);
	emu_start(&m.ctx, NULL, 0);
	rc = emu_task_switch(&m.ctx, 0x30, EMU_TASK_JMP, false, 0);
	tap_ok(faulted(rc, VEC_TS, 0x30) && RIP == 0x7000 && !(m.ctx.effects & EMU_FX_COMMITTED),
	       "a TSS too short: #TS in the old task");
	two_tasks();
	machine_write(&m, NEW_TSS + 80, 0x20, 4);	/* SS of level 3 */
	emu_start(&m.ctx, NULL, 0);
	rc = emu_task_switch(&m.ctx, 0x30, EMU_TASK_JMP, false, 0);
	tap_ok(faulted(rc, VEC_TS, 0x20) && RIP == 0x7800 && m.seg[EMU_TR].selector == 0x30 &&
	       (m.ctx.effects & EMU_FX_COMMITTED), "a bad stack segment: #TS in the new task");
	two_tasks();
	machine_desc(&m, 0x30, NEW_TSS, 0x2b, 0x81);
	machine_write(&m, NEW_TSS + 14, 0x7900, 2);
	machine_write(&m, NEW_TSS + 16, FL_FIXED, 2);
	machine_write(&m, NEW_TSS + 34, 0x10, 2);
	machine_write(&m, NEW_TSS + 36, 0x08, 2);
	machine_write(&m, NEW_TSS + 38, 0x10, 2);
	machine_write(&m, NEW_TSS + 40, 0x10, 4);
	emu_start(&m.ctx, NULL, 0);
	rc = emu_task_switch(&m.ctx, 0x30, EMU_TASK_JMP, false, 0);
	tap_ok(rc == EMU_OK && RIP == 0x7900 && machine_read(&m, MACHINE_GDT + 0x2d, 1) == 0x89,
	       "a 16-bit TSS; a jump releases the old one");
}

/* Another CPU changes a descriptor of the switch between its being read and updated. */
static void test_task_switch_race(void)
{
	int rc;

	two_tasks();
	m.contended = 1;
	m.contended_gpa = MACHINE_GDT + 0x34;
	emu_start(&m.ctx, NULL, 0);
	rc = emu_task_switch(&m.ctx, 0x30, EMU_TASK_CALL, false, 0);
	tap_ok(rc != EMU_OK || m.seg[EMU_TR].base != NEW_TSS, "a TSS that moves is read again");
	two_tasks();
	machine_write(&m, MACHINE_GDT + 0x15, 0x92, 1);
	m.contended = 1;
	m.contended_gpa = MACHINE_GDT + 0x14;
	emu_start(&m.ctx, NULL, 0);
	rc = emu_task_switch(&m.ctx, 0x30, EMU_TASK_JMP, false, 0);
	tap_ok(rc == EMU_OK && RIP == 0x7800 && m.seg[EMU_TR].selector == 0x30 &&
	       m.seg[EMU_SS].base == 0x10000 && machine_read(&m, MACHINE_GDT + 0x15, 1) == 0x93,
	       "a segment of the new task that moves is loaded as it is then");
	m.contended_gpa = 0;
}

static void test_cet(void)
{
	machine_init(&m, EMU_LONG64);
	m.ctx.cr4 |= CR4_CET;
	CODE(0xe8, 0, 0, 0, 0);
	tap_ok(machine_run(&m) == EMU_OK, "call with CR4.CET alone");
	m.msr_u_cet = CET_SHSTK_EN;
	tap_ok((RIP = 0x7000) && machine_run(&m) == EMU_OK, "call in level 0, shadow stacks in 3");
	m.msr_s_cet = CET_SHSTK_EN;
	RIP = 0x7000;
	tap_ok(machine_run(&m) == EMU_UNHANDLED && RIP == 0x7000, "call with a shadow stack");
	CODE(0xff, 0xe0);
	tap_ok(machine_run(&m) == EMU_OK, "an indirect jump with shadow stacks only");
	m.msr_s_cet = CET_ENDBR_EN;
	RIP = 0x7000;
	CODE(0xff, 0xe0);
	tap_ok(machine_run(&m) == EMU_UNHANDLED, "an indirect jump with branch tracking");
}

static void test_decode_only(void)
{
	machine_init(&m, EMU_LONG64);
	GPR(RBX) = 0x9000;
	CODE(0x0f, 0x01, 0x7b, 0x10);		/* invlpg [rbx+16] */
	emu_start(&m.ctx, NULL, 0);
	tap_ok(emu_decode(&m.ctx) == EMU_OK && m.ctx.insn.len == 4 && m.ctx.insn.has_mem &&
	       m.ctx.insn.ea == 0x9010 && m.ctx.insn.opcode == 1 && m.ctx.insn.map == EMU_MAP_0F,
	       "decoding alone yields the effective address");
}

int main(void)
{
	test_data_segments();
	test_stack_segment();
	test_limits();
	test_fetch();
	test_call_gate();
	test_iret();
	test_far_jumps();
	test_soft_interrupt();
	test_tables_and_types();
	test_privilege();
	test_system();
	test_intercepts();
	test_effective_addresses();
	test_task_switch();
	test_task_switch_exit();
	test_task_switch_race();
	test_cet();
	test_decode_only();
	return tap_done();
}
