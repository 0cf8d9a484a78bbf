// SPDX-License-Identifier: GPL-2.0
/*
 * IN and OUT, and the permission to do them.
 */
#include "internal.h"
#include "handlers.h"

/* SDM, I/O Permission Bit Map: 16 bits at this offset point to the bitmap. */
#define TSS_IOMAP_BASE	0x66

/**
 * emu_io_permitted() - check IOPL and the I/O permission bitmap
 * @ctx: context
 * @port: first port
 * @size: ports
 *
 * Return: EMU_OK, EMU_FAULT (#GP), or what reading the TSS returned.
 */
int emu_io_permitted(struct emu_ctx *ctx, u16 port, unsigned int size)
{
	const unsigned int access = EMU_ACC_READ | EMU_ACC_IMPLICIT;
	const struct emu_segment *tr;
	unsigned int type;
	u16 base = 0, bits = 0;
	u32 byte;
	int rc;

	if (ctx->mode == EMU_REAL || (ctx->mode != EMU_V86 && ctx->cpl <= emu_iopl(ctx)))
		return EMU_OK;
	tr = emu_segment(ctx, EMU_TR);
	type = tr->attr & EMU_ATTR_TYPE;
	if (!(tr->attr & EMU_ATTR_P) || (type != SYS_TSS32 && type != SYS_TSS32_BUSY) ||
	    tr->limit < TSS_IOMAP_BASE + 1)
		return emu_gp(ctx, 0);
	rc = emu_read_linear(ctx, tr->base + TSS_IOMAP_BASE, &base, 2, access);
	if (rc != EMU_OK)
		return rc;
	/* Two bytes are always read, so the bitmap has to end with a spare one. */
	byte = base + port / 8;
	if (byte + 1 > tr->limit)
		return emu_gp(ctx, 0);
	rc = emu_read_linear(ctx, tr->base + byte, &bits, 2, access);
	if (rc != EMU_OK)
		return rc;
	if ((bits >> (port & 7)) & ((1 << size) - 1))
		return emu_gp(ctx, 0);
	return EMU_OK;
}

static u16 port_of(const struct emu_ctx *ctx)
{
	return ctx->insn.opcode & 8 ? (u16)ctx->w.gpr[EMU_RDX] : (u16)(ctx->insn.imm & 0xff);
}

static unsigned int width(const struct emu_ctx *ctx)
{
	if (!(ctx->insn.opcode & 1))
		return 1;
	return ctx->insn.opsize == 2 ? 2 : 4;
}

static int check_io(struct emu_ctx *ctx, enum emu_icpt what)
{
	struct emu_intercept info = {
		.what = what,
		.size = width(ctx),
		.adsize = ctx->insn.adsize,
		.gpr = 0xff,
		.port = port_of(ctx),
		.count = 1,
	};
	int rc;

	rc = emu_icpt(ctx, &info);
	if (rc == EMU_OK)
		rc = emu_io_permitted(ctx, info.port, info.size);
	info.checked = true;
	return rc == EMU_OK ? emu_icpt(ctx, &info) : rc;
}

int emu_op_in(struct emu_ctx *ctx)
{
	u64 val;
	int rc;

	rc = check_io(ctx, EMU_ICPT_IO_IN);
	if (rc == EMU_OK)
		rc = emu_port_in(ctx, port_of(ctx), width(ctx), &val);
	if (rc == EMU_OK)
		emu_set_reg(ctx, EMU_RAX, width(ctx), val);
	return rc;
}

int emu_op_out(struct emu_ctx *ctx)
{
	int rc = check_io(ctx, EMU_ICPT_IO_OUT);

	if (rc != EMU_OK)
		return rc;
	return emu_port_out(ctx, port_of(ctx), width(ctx), emu_get_reg(ctx, EMU_RAX, width(ctx)));
}
