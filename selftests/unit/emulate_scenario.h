/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the emulator's scenario tests share: one machine and short names for its parts.
 */
#ifndef NESTOR_UNIT_EMULATE_SCENARIO_H
#define NESTOR_UNIT_EMULATE_SCENARIO_H

#include <string.h>

#include "emulate_machine.h"
#include "tap.h"

static struct machine m;

#define CODE(...) do { \
	static const u8 code_[] = { __VA_ARGS__ }; \
	machine_code(&m, code_, sizeof(code_)); \
} while (0)

#define GPR(r)		(m.ctx.regs.gpr[EMU_##r])
#define RIP		(m.ctx.regs.rip)
#define FLAGS		(m.ctx.regs.rflags)

static bool faulted(int rc, u8 vector, u32 error_code)
{
	const struct emu_fault *f = &m.ctx.fault;

	return rc == EMU_FAULT && f->type == EMU_EXCEPTION && f->vector == vector &&
	       (!f->has_error || f->error_code == error_code);
}

#endif
