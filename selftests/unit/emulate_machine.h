/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small machine around the instruction emulator: memory, a device that answers
 * differently every time it is asked, ports, segment registers, MSRs. Linear
 * addresses are physical ones.
 */
#ifndef NESTOR_UNIT_EMULATE_MACHINE_H
#define NESTOR_UNIT_EMULATE_MACHINE_H

#include "emulate/internal.h"

#define MACHINE_RAM	0x20000u	/* RAM from 0 on */
#define MACHINE_MMIO	0x20000u	/* then two pages of device registers */
#define MACHINE_END	0x22000u
#define MACHINE_PAGES	(MACHINE_END >> 12)

/* Flags per page. */
#define PAGE_ABSENT	1
#define PAGE_READONLY	2
#define PAGE_SUPERVISOR	4

/* How the device and the ports answer. */
enum machine_io {
	IO_DIRECT,	/* at once, as a device in the kernel */
	IO_USER,	/* through EMU_IO_NEEDED */
	IO_CHAOS,	/* either, and anything may ask for a retry */
};

/**
 * struct machine_event - something that a device saw
 * @kind: enum emu_event_kind
 * @size: bytes
 * @addr: address or port
 * @data: what was read or written
 */
struct machine_event {
	u8 kind;
	u8 size;
	u64 addr;
	u64 data;
};

#define MACHINE_EVENTS	1024

struct machine {
	struct emu_ctx ctx;
	u8 ram[MACHINE_RAM];
	u8 page[MACHINE_PAGES];
	enum machine_io io;
	u64 chaos;			/* state of its random numbers */
	struct machine_event events[MACHINE_EVENTS];
	unsigned int nr_events;
	unsigned int passes;		/* calls of emu_run() */
	struct emu_segment seg[EMU_NR_SEG];
	u64 table_base[2];
	u16 table_limit[2];
	u64 cr2, cr3, cr8;
	u64 dr[8];
	u64 msr_tsc, msr_aux, msr_kernel_gs, msr_u_cet, msr_s_cet, xcr0;
	u8 xmm[16][32];
	u64 invlpg;
	unsigned int wbinvd;
	unsigned int contended;		/* that many compare-and-exchanges lose */
	uint64_t contended_gpa;		/* those at this address only, 0: all */
	bool (*icpt)(struct machine *m, const struct emu_intercept *info);
	u8 batch[512];
};

/**
 * machine_init() - a machine in @mode at privilege level 0 with flat segments
 * @m: machine
 * @mode: mode
 */
void machine_init(struct machine *m, enum emu_mode mode);

/**
 * machine_set_cpl() - change the privilege level and the segments with it
 * @m: machine
 * @cpl: 0 to 3
 */
void machine_set_cpl(struct machine *m, u8 cpl);

/**
 * machine_code() - place code at RIP
 * @m: machine
 * @code: bytes
 * @len: their number
 */
void machine_code(struct machine *m, const void *code, unsigned int len);

/**
 * machine_step() - emu_start() and emu_run(), once
 * @m: machine
 *
 * Return: what emu_run() returned.
 */
int machine_step(struct machine *m);

/**
 * machine_finish() - do what the emulator waits for and call it until it is done
 * @m: machine
 * @rc: what emu_run() returned last
 *
 * Return: EMU_OK, EMU_FAULT, EMU_UNHANDLED or EMU_INTERCEPTED.
 */
int machine_finish(struct machine *m, int rc);

/**
 * machine_run() - run one instruction to its end, all iterations of REP included
 * @m: machine
 *
 * Return: as machine_finish().
 */
int machine_run(struct machine *m);

/* Descriptors in the table at 0x1000, entry by entry. */
#define MACHINE_GDT	0x1000u
void machine_desc(struct machine *m, u16 selector, u32 base, u32 limit, u16 attr);
void machine_gate(struct machine *m, u16 selector, u16 target, u32 off, u16 attr);

static inline u64 machine_read(const struct machine *m, u64 addr, unsigned int len)
{
	u64 val = 0;

	memcpy(&val, m->ram + addr, len);
	return val;
}

static inline void machine_write(struct machine *m, u64 addr, u64 val, unsigned int len)
{
	memcpy(m->ram + addr, &val, len);
}

#endif
