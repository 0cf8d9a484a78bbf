// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the emulator gets device accesses, ports and real mode right, which
 * cannot be compared with this machine's CPU.
 */
#include "emulate_scenario.h"

static bool event(unsigned int i, u8 kind, u64 addr, unsigned int size, u64 data)
{
	const struct machine_event *e = &m.events[i];

	return i < m.nr_events && e->kind == kind && e->addr == addr && e->size == size &&
	       (kind == EMU_EV_READ || kind == EMU_EV_IN || e->data == data);
}

static bool pending(u8 kind, u64 addr, unsigned int size)
{
	return m.ctx.pending.kind == kind && m.ctx.pending.addr == addr &&
	       m.ctx.pending.size == size;
}

/* ---- device memory ---- */

static void test_mmio_load(void)
{
	u32 data = 0xcafe1234;
	int rc;

	machine_init(&m, EMU_LONG64);
	m.io = IO_USER;
	GPR(RAX) = ~0ULL;
	GPR(RBX) = MACHINE_MMIO + 0x10;
	CODE(0x8b, 0x43, 0x04);		/* mov eax, [rbx+4] */
	rc = machine_step(&m);
	tap_ok(rc == EMU_IO_NEEDED && pending(EMU_EV_READ, MACHINE_MMIO + 0x14, 4) &&
	       GPR(RAX) == ~0ULL && RIP == 0x7000, "a load asks user space, nothing changes");
	emu_complete(&m.ctx, &data);
	rc = emu_run(&m.ctx);
	tap_ok(rc == EMU_OK && GPR(RAX) == 0xcafe1234 && RIP == 0x7003,
	       "it completes with user space's data");
}

static void test_mmio_update(void)
{
	u32 data = 0x10;
	int rc;

	machine_init(&m, EMU_PROT32);
	m.io = IO_USER;
	GPR(RBX) = MACHINE_MMIO;
	CODE(0x83, 0x03, 0x05);		/* add dword [ebx], 5 */
	rc = machine_step(&m);
	tap_ok(rc == EMU_IO_NEEDED && pending(EMU_EV_READ, MACHINE_MMIO, 4),
	       "an update reads first");
	emu_complete(&m.ctx, &data);
	rc = emu_run(&m.ctx);
	tap_ok(rc == EMU_IO_NEEDED && pending(EMU_EV_WRITE, MACHINE_MMIO, 4) &&
	       m.ctx.pending.data == 0x15 && RIP == 0x7000, "then writes");
	emu_complete(&m.ctx, NULL);
	rc = emu_run(&m.ctx);
	tap_ok(rc == EMU_OK && RIP == 0x7003, "then is done");
}

static void test_mmio_split(void)
{
	int rc;

	machine_init(&m, EMU_LONG64);
	GPR(RBX) = MACHINE_MMIO + 0xffd;
	GPR(RAX) = 0x1122334455667788ULL;
	CODE(0x48, 0x89, 0x03);		/* mov [rbx], rax */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.nr_events == 2 &&
	       event(0, EMU_EV_WRITE, MACHINE_MMIO + 0xffd, 3, 0x667788) &&
	       event(1, EMU_EV_WRITE, MACHINE_MMIO + 0x1000, 5, 0x1122334455),
	       "a store across pages is two accesses");

	machine_init(&m, EMU_LONG64);
	m.io = IO_USER;
	GPR(RBX) = MACHINE_MMIO;
	CODE(0xf3, 0x0f, 0x6f, 0x0b);	/* movdqu xmm1, [rbx] */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.nr_events == 2 && event(0, EMU_EV_READ, MACHINE_MMIO, 8, 0) &&
	       event(1, EMU_EV_READ, MACHINE_MMIO + 8, 8, 0) &&
	       !memcmp(&m.xmm[1][0], &m.events[0].data, 8) &&
	       !memcmp(&m.xmm[1][8], &m.events[1].data, 8), "16 bytes are two accesses");

	machine_init(&m, EMU_LONG64);
	m.io = IO_USER;
	GPR(RBX) = MACHINE_MMIO;
	CODE(0x4c, 0x0f, 0x6f, 0x0b, 0x0f, 0x7f, 0x4b, 0x08);	/* movq mm1, [rbx], with a REX.R that means nothing; and back */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.nr_events == 1 && event(0, EMU_EV_READ, MACHINE_MMIO, 8, 0) &&
	       !memcmp(m.xmm[1], &m.events[0].data, 8), "MMX load");
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.nr_events == 2 && m.events[1].kind == EMU_EV_WRITE && m.events[1].data == m.events[0].data,
	       "MMX store");
}

/* Neither half of a store may happen if one of them faults. */
static void test_store_fault_in_second_page(void)
{
	int rc;

	machine_init(&m, EMU_LONG64);
	m.page[0x9] = PAGE_READONLY;
	GPR(RBX) = 0x8ffe;
	GPR(RAX) = 0x11223344;
	CODE(0x89, 0x03);		/* mov [rbx], eax */
	rc = machine_run(&m);
	tap_ok(faulted(rc, VEC_PF, 3) && m.ctx.fault.address == 0x9000 &&
	       !machine_read(&m, 0x8ffe, 2), "a store that faults in its second page does nothing");
}

static void test_movs_to_mmio(void)
{
	unsigned int i;
	bool ok = true;
	int rc;

	machine_init(&m, EMU_PROT32);
	m.io = IO_USER;
	for (i = 0; i < 100; i++)
		machine_write(&m, 0x8000 + i * 4, i * 3, 4);
	GPR(RSI) = 0x8000;
	GPR(RDI) = MACHINE_MMIO;
	GPR(RCX) = 100;
	CODE(0xf3, 0xa5);		/* rep movsd */
	rc = machine_run(&m);
	for (i = 0; i < 100; i++)
		ok = ok && event(i, EMU_EV_WRITE, MACHINE_MMIO + i * 4, 4, i * 3);
	tap_ok(rc == EMU_OK && ok && m.nr_events == 100 && GPR(RCX) == 0 &&
	       GPR(RDI) == MACHINE_MMIO + 400 && RIP == 0x7002, "rep movs to a device");
}

/* What is done before the wait for the device is the guest's state. */
static void test_rep_progress(void)
{
	int rc;

	machine_init(&m, EMU_PROT32);
	m.io = IO_USER;
	GPR(RDI) = MACHINE_MMIO - 8;
	GPR(RCX) = 4;
	CODE(0xf3, 0xab);		/* rep stosd */
	rc = machine_step(&m);
	tap_ok(rc == EMU_IO_NEEDED && GPR(RCX) == 2 && GPR(RDI) == MACHINE_MMIO &&
	       RIP == 0x7000 && (m.ctx.effects & EMU_FX_COMMITTED),
	       "rep commits iterations before one that waits");
	rc = machine_finish(&m, rc);
	tap_ok(rc == EMU_OK && GPR(RCX) == 0 && m.nr_events == 2 && RIP == 0x7002,
	       "and goes on from there");
	machine_init(&m, EMU_PROT32);
	GPR(RDI) = 0x8000;
	GPR(RCX) = 1000;
	CODE(0xf3, 0xab);
	rc = machine_step(&m);
	tap_ok(rc == EMU_OK && GPR(RCX) == 1000 - EMU_REP_BATCH && RIP == 0x7000 &&
	       (m.ctx.effects & EMU_FX_REP), "rep lets interrupts in");
	m.ctx.regs.rflags |= FL_TF;
	rc = machine_step(&m);
	tap_ok(rc == EMU_OK && GPR(RCX) == 999 - EMU_REP_BATCH &&
	       (m.ctx.effects & EMU_FX_STEP), "rep traps after each iteration with TF");
}

static void test_locked(void)
{
	int rc;

	machine_init(&m, EMU_LONG64);
	machine_write(&m, 0x8000, 5, 4);
	m.contended = 3;
	GPR(RBX) = 0x8000;
	CODE(0xf0, 0xff, 0x03);		/* lock inc dword [rbx] */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && machine_read(&m, 0x8000, 4) == 9,
	       "a locked update that loses a race reads again");
	machine_init(&m, EMU_LONG64);
	m.contended = 1000;
	GPR(RBX) = 0x8000;
	CODE(0xf0, 0xff, 0x03);
	rc = machine_step(&m);
	tap_ok(rc == EMU_RETRY && RIP == 0x7000, "and gives up for a while if it always does");
	machine_init(&m, EMU_LONG64);
	m.io = IO_USER;
	GPR(RBX) = MACHINE_MMIO;
	GPR(RAX) = 7;
	CODE(0x87, 0x03);		/* xchg [rbx], eax */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.nr_events == 2 && event(1, EMU_EV_WRITE, MACHINE_MMIO, 4, 7) &&
	       GPR(RAX) == m.events[0].data, "xchg with a device");
	machine_init(&m, EMU_LONG64);
	CODE(0xf0, 0x89, 0x03);		/* lock mov */
	tap_ok(faulted(machine_run(&m), VEC_UD, 0), "LOCK where it is illegal");
	CODE(0xf0, 0x01, 0xc3);		/* lock add ebx, eax */
	tap_ok(faulted(machine_run(&m), VEC_UD, 0), "LOCK with a register destination");
}

static void test_cmpxchg16b(void)
{
	int rc;

	machine_init(&m, EMU_LONG64);
	machine_write(&m, 0x8000, 1, 8);
	machine_write(&m, 0x8008, 2, 8);
	GPR(RAX) = 1;
	GPR(RDX) = 2;
	GPR(RBX) = 3;
	GPR(RCX) = 4;
	GPR(RDI) = 0x8000;
	CODE(0xf0, 0x48, 0x0f, 0xc7, 0x0f);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && (FLAGS & FL_ZF) && machine_read(&m, 0x8000, 8) == 3 &&
	       machine_read(&m, 0x8008, 8) == 4, "cmpxchg16b");
	RIP = 0x7000;
	m.ctx.features &= ~EMU_FEAT_CX16;
	tap_ok(faulted(machine_run(&m), VEC_UD, 0), "cmpxchg16b that CPUID does not offer");
}

static void test_avx(void)
{
	unsigned int i;
	int rc;

	machine_init(&m, EMU_LONG64);
	for (i = 0; i < 32; i++)
		m.ram[0x8000 + i] = i + 1;
	GPR(RBX) = 0x8000;
	CODE(0xc5, 0xfe, 0x6f, 0x13, 0xc5, 0xfe, 0x7f, 0x53, 0x40, 0xc5, 0xfa, 0x6f, 0x13);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && !memcmp(m.xmm[2], m.ram + 0x8000, 32), "vmovdqu ymm2, [rbx]");
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && !memcmp(m.ram + 0x8040, m.ram + 0x8000, 32),
	       "vmovdqu [rbx+64], ymm2");
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.xmm[2][15] == 16 && !m.xmm[2][16],
	       "a 128-bit load clears the upper half");
	RIP = 0x7000;
	m.ctx.cr4 &= ~CR4_OSXSAVE;
	tap_ok(faulted(machine_run(&m), VEC_UD, 0), "AVX before the system enabled it");
	m.ctx.cr4 |= CR4_OSXSAVE;
	m.ctx.cr0 |= CR0_TS;
	tap_ok(faulted(machine_run(&m), VEC_NM, 0), "AVX with CR0.TS");
}

/* ---- ports ---- */

static void test_ports(void)
{
	int rc;

	machine_init(&m, EMU_REAL);
	m.io = IO_USER;
	GPR(RAX) = 0x12345678;
	CODE(0xe6, 0x70, 0xe4, 0x71);	/* out 0x70, al; in al, 0x71 */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && event(0, EMU_EV_OUT, 0x70, 1, 0x78), "out");
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && event(1, EMU_EV_IN, 0x71, 1, 0) &&
	       GPR(RAX) == (0x12345600 | m.events[1].data), "in");
}

static void test_string_ports(enum machine_io io, const char *name)
{
	unsigned int i;
	bool ok = true;
	int rc;

	machine_init(&m, EMU_PROT32);
	m.io = io;
	GPR(RDI) = 0x8f00;
	GPR(RDX) = 0x1f0;
	GPR(RCX) = 256;
	CODE(0xf3, 0x66, 0x6d);		/* rep insw */
	rc = machine_run(&m);
	for (i = 0; i < 256; i++)
		ok = ok && machine_read(&m, 0x8f00 + i * 2, 2) == m.events[i].data;
	tap_ok(rc == EMU_OK && ok && m.nr_events == 256 && GPR(RCX) == 0 && GPR(RDI) == 0x9100,
	       "rep insw, %s, %u passes", name, m.passes);
	RIP = 0x7000;
	m.nr_events = 0;
	GPR(RSI) = 0x8f00;
	GPR(RCX) = 256;
	CODE(0xf3, 0x66, 0x6f);		/* rep outsw */
	rc = machine_run(&m);
	for (i = 0, ok = true; i < 256; i++)
		ok = ok && event(i, EMU_EV_OUT, 0x1f0, 2, machine_read(&m, 0x8f00 + i * 2, 2));
	tap_ok(rc == EMU_OK && ok && m.nr_events == 256 && GPR(RCX) == 0 && GPR(RSI) == 0x9100,
	       "rep outsw, %s", name);
}

static void test_port_permission(void)
{
	machine_init(&m, EMU_PROT32);
	machine_set_cpl(&m, 3);
	CODE(0xee);			/* out dx, al */
	GPR(RDX) = 0x64;
	machine_write(&m, 0x3066, 0x68, 2);
	tap_ok(machine_run(&m) == EMU_OK && m.nr_events == 1, "the I/O bitmap allows a port");
	RIP = 0x7000;
	machine_write(&m, 0x3068 + 0x64 / 8, 1 << (0x64 & 7), 1);
	tap_ok(faulted(machine_run(&m), VEC_GP, 0) && m.nr_events == 1, "and denies one");
	machine_write(&m, 0x3068 + 0x64 / 8, 0, 1);
	m.seg[EMU_TR].limit = 0x68 + 0x64 / 8;
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "a bitmap without a byte to spare ends early");
	FLAGS |= FL_IOPL;
	tap_ok(machine_run(&m) == EMU_OK && m.nr_events == 2, "IOPL overrides it");
}

/* ---- real mode ---- */

static void test_real_interrupt(void)
{
	int rc;

	machine_init(&m, EMU_REAL);
	machine_write(&m, 0x10 * 4, 0x123, 2);
	machine_write(&m, 0x10 * 4 + 2, 0x200, 2);
	FLAGS |= FL_IF | FL_CF;
	CODE(0xcd, 0x10);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x123 && m.seg[EMU_CS].selector == 0x200 &&
	       m.seg[EMU_CS].base == 0x2000 && !(FLAGS & FL_IF) && GPR(RSP) == 0x5ffa &&
	       machine_read(&m, 0x5ffa, 2) == 0x7002, "int in real mode");
	CODE(0xcf);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x7002 && !m.seg[EMU_CS].selector && (FLAGS & FL_IF) &&
	       GPR(RSP) == 0x6000 && (m.ctx.effects & EMU_FX_IRET), "iret in real mode");
	RIP = 0x7000;
	m.table_limit[EMU_IDTR] = 0x42;
	rc = machine_run(&m);
	tap_ok(rc == EMU_FAULT && m.ctx.fault.vector == VEC_GP && !m.ctx.fault.has_error,
	       "a vector beyond the table; no error code in real mode");
}

static void test_real_segments(void)
{
	int rc;

	machine_init(&m, EMU_REAL);
	machine_write(&m, 0x12345, 0x55, 1);
	GPR(RAX) = 0x1234;
	CODE(0x8e, 0xd8, 0xa0, 0x05, 0x00);	/* mov ds, ax; mov al, [5] */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.seg[EMU_DS].base == 0x12340, "a segment load in real mode");
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && (GPR(RAX) & 0xff) == 0x55, "and an access through it");
	GPR(RBX) = 0xffff;
	RIP = 0x7000;
	CODE(0x8b, 0x07);		/* mov ax, [bx] */
	tap_ok(faulted(machine_run(&m), VEC_GP, 0), "a word at the segment's last byte");
	m.seg[EMU_DS].base = 0;
	m.seg[EMU_DS].limit = 0xffffffff;
	GPR(RBX) = 0x15000;
	machine_write(&m, 0x15000, 0x77, 1);
	CODE(0x67, 0x8a, 0x03);		/* mov al, [ebx] */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && (GPR(RAX) & 0xff) == 0x77, "big real mode");
	GPR(RAX) = 0x20;
	RIP = 0x7000;
	CODE(0x8e, 0xd8);
	machine_run(&m);
	tap_ok(m.seg[EMU_DS].limit == 0xffffffff && m.seg[EMU_DS].base == 0x200,
	       "a segment load keeps the limit");
	machine_init(&m, EMU_REAL);
	CODE(0x0f, 0x00, 0xd8);		/* ltr ax */
	tap_ok(faulted(machine_run(&m), VEC_UD, 0), "ltr in real mode");
}

static void test_real_far(void)
{
	int rc;

	machine_init(&m, EMU_REAL);
	CODE(0x9a, 0x34, 0x12, 0x00, 0x01);	/* call 0100:1234 */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x1234 && m.seg[EMU_CS].base == 0x1000 &&
	       machine_read(&m, 0x5ffc, 4) == 0x7005, "far call");
	CODE(0xca, 0x02, 0x00);			/* retf 2 */
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && RIP == 0x7005 && !m.seg[EMU_CS].base && GPR(RSP) == 0x6002,
	       "far return");
}

/* The way that boot loaders go: CR0.PE, then a far jump to a 32-bit segment. */
static void test_enter_protected(void)
{
	int rc;

	machine_init(&m, EMU_REAL);
	machine_desc(&m, 0x08, 0, 0xfffff, 0xc09a);
	machine_write(&m, 0x8000, 0xff, 2);
	machine_write(&m, 0x8002, 0xff001000, 4);
	CODE(0x0f, 0x01, 0x16, 0x00, 0x80,	/* lgdt [8000] */
	     0x0f, 0x20, 0xc0, 0x0c, 0x01,	/* mov eax, cr0; or al, 1 */
	     0x0f, 0x22, 0xc0,			/* mov cr0, eax */
	     0x66, 0xea, 0x00, 0x75, 0x00, 0x00, 0x08, 0x00);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.table_base[EMU_GDTR] == 0x1000 && m.table_limit[EMU_GDTR] == 0xff,
	       "lgdt with a 16-bit operand takes 24 bits");
	machine_run(&m);
	machine_run(&m);
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.ctx.mode == EMU_PROT16 && (m.ctx.effects & EMU_FX_MODE),
	       "mov cr0 enters protected mode");
	rc = machine_run(&m);
	tap_ok(rc == EMU_OK && m.ctx.mode == EMU_PROT32 && RIP == 0x7500 &&
	       m.seg[EMU_CS].selector == 8 && m.seg[EMU_CS].limit == 0xffffffff &&
	       machine_read(&m, 0x100d, 1) == 0x9b, "the far jump enters 32-bit code");
}

int main(void)
{
	test_mmio_load();
	test_mmio_update();
	test_mmio_split();
	test_store_fault_in_second_page();
	test_movs_to_mmio();
	test_rep_progress();
	test_locked();
	test_cmpxchg16b();
	test_avx();
	test_ports();
	test_string_ports(IO_DIRECT, "devices in the kernel");
	test_string_ports(IO_USER, "devices in user space");
	test_port_permission();
	test_real_interrupt();
	test_real_segments();
	test_real_far();
	test_enter_protected();
	return tap_done();
}
