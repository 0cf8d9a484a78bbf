// SPDX-License-Identifier: GPL-2.0
/*
 * Decoder: prefixes, opcode, ModRM, SIB, displacement, immediates.
 *
 * It works on bytes alone, so that the length of an instruction can be had
 * without a context; with one it fetches further bytes as it needs them.
 * Without a context its results are EMU_RETRY for 'not enough bytes' and
 * EMU_FAULT for 'no instruction'.
 */
#include "internal.h"

static int undefined(struct emu_decoder *d)
{
	return d->ctx ? emu_ud(d->ctx) : EMU_FAULT;
}

static int next_byte(struct emu_decoder *d, u8 *b)
{
	int rc;

	*b = 0;
	if (d->pos == EMU_MAX_INSN)
		return d->ctx ? emu_gp(d->ctx, 0) : EMU_FAULT;
	if (d->pos == d->len) {
		if (!d->ctx)
			return EMU_RETRY;
		rc = emu_fetch_more(d->ctx);
		if (rc != EMU_OK)
			return rc;
		d->len = d->ctx->insn_len;
	}
	*b = d->bytes[d->pos++];
	return EMU_OK;
}

/* Little-endian value of @size bytes, sign-extended. */
static int next_value(struct emu_decoder *d, unsigned int size, u64 *val)
{
	unsigned int i;
	u64 v = 0;
	int rc;
	u8 b;

	for (i = 0; i < size; i++) {
		rc = next_byte(d, &b);
		if (rc != EMU_OK)
			return rc;
		v |= (u64)b << (i * 8);
	}
	*val = size ? emu_sign_extend(v, size) : 0;
	return EMU_OK;
}

/* Segment that an override prefix names, or -1. */
static int override_segment(u8 b)
{
	switch (b) {
	case 0x26: return EMU_ES;
	case 0x2e: return EMU_CS;
	case 0x36: return EMU_SS;
	case 0x3e: return EMU_DS;
	case 0x64: return EMU_FS;
	case 0x65: return EMU_GS;
	}
	return -1;
}

/*
 * Take one legacy prefix into account. Of F2 and F3 the last one counts; 64-bit
 * mode ignores the overrides of the four segments that have no base there, and an
 * ignored one does not cancel an FS or GS before it.
 */
static bool legacy_prefix(struct emu_decoder *d, u8 b)
{
	struct emu_insn *insn = d->insn;
	int seg = override_segment(b);

	if (seg >= 0) {
		if (d->mode != EMU_LONG64 || seg >= EMU_FS) {
			insn->seg = seg;
			insn->prefix |= EMU_PFX_SEG;
		}
		return true;
	}
	switch (b) {
	case 0x66:
		insn->prefix |= EMU_PFX_OPSIZE;
		return true;
	case 0x67:
		insn->prefix |= EMU_PFX_ADSIZE;
		return true;
	case 0xf0:
		insn->prefix |= EMU_PFX_LOCK;
		return true;
	case 0xf2:
		insn->prefix = (insn->prefix & ~EMU_PFX_REP) | EMU_PFX_REPNE;
		return true;
	case 0xf3:
		insn->prefix = (insn->prefix & ~EMU_PFX_REPNE) | EMU_PFX_REP;
		return true;
	}
	return false;
}

/* Consume the prefixes; @b becomes the first byte after them. */
static int decode_prefixes(struct emu_decoder *d, u8 *b)
{
	struct emu_insn *insn = d->insn;
	int rc;

	for (;;) {
		rc = next_byte(d, b);
		if (rc != EMU_OK)
			return rc;
		if (legacy_prefix(d, *b)) {
			/* REX counts only directly before the opcode. */
			insn->rex = 0;
			insn->prefix &= ~EMU_PFX_REX;
		} else if (d->mode == EMU_LONG64 && (*b & 0xf0) == 0x40) {
			insn->rex = *b;
			insn->prefix |= EMU_PFX_REX;
		} else {
			return EMU_OK;
		}
	}
}

/* The second byte of VEX, XOP and EVEX holds R, X and B inverted. */
static u8 rex_from_inverted(u8 b)
{
	return (~b >> 5) & 7;
}

/* ... and what replaces a mandatory prefix. */
static void mandatory_prefix(struct emu_decoder *d, u8 pp)
{
	static const u8 prefix[4] = { 0, EMU_PFX_OPSIZE, EMU_PFX_REP, EMU_PFX_REPNE };

	d->insn->prefix |= prefix[pp];
}

static int decode_vex2(struct emu_decoder *d)
{
	struct emu_insn *insn = d->insn;
	u8 b;
	int rc = next_byte(d, &b);

	if (rc != EMU_OK)
		return rc;
	insn->map = EMU_MAP_0F;
	insn->rex = (~b >> 5) & 4;
	insn->vex_v = (~b >> 3) & 15;
	insn->vex_l = (b >> 2) & 1;
	mandatory_prefix(d, b & 3);
	return EMU_OK;
}

/* VEX with three bytes, or XOP; @map_bits receives the map number. */
static int decode_vex3(struct emu_decoder *d, u8 *map_bits)
{
	struct emu_insn *insn = d->insn;
	u8 b1, b2;
	int rc = next_byte(d, &b1);

	if (rc == EMU_OK)
		rc = next_byte(d, &b2);
	if (rc != EMU_OK)
		return rc;
	*map_bits = b1 & 0x1f;
	insn->rex = rex_from_inverted(b1) | (b2 & 0x80 ? 8 : 0);
	insn->vex_v = (~b2 >> 3) & 15;
	insn->vex_l = (b2 >> 2) & 1;
	mandatory_prefix(d, b2 & 3);
	return EMU_OK;
}

static int decode_evex(struct emu_decoder *d, u8 *map_bits)
{
	struct emu_insn *insn = d->insn;
	u8 p[3];
	unsigned int i;
	int rc;

	for (i = 0; i < 3; i++) {
		rc = next_byte(d, &p[i]);
		if (rc != EMU_OK)
			return rc;
	}
	/* One fixed bit that is not 1 in the second byte: no EVEX encoding. */
	if (!(p[1] & 4))
		return undefined(d);
	*map_bits = p[0] & 7;
	insn->rex = rex_from_inverted(p[0]) | (p[1] & 0x80 ? 8 : 0);
	insn->vex_v = (~p[1] >> 3) & 15;
	insn->vex_l = (p[2] >> 5) & 3;
	mandatory_prefix(d, p[1] & 3);
	return EMU_OK;
}

/* Immediate bytes of an opcode in the VEX, EVEX and XOP maps. */
static unsigned int vex_imm_size(u8 first, u8 map_bits, u8 opcode)
{
	if (first == 0x8f)
		return map_bits == 8 ? 1 : map_bits == 10 ? 4 : 0;
	if (map_bits == 3)
		return 1;
	if (map_bits != 1)
		return 0;
	return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 ||
	       (opcode >= 0xc4 && opcode <= 0xc6);
}

static bool vex_map_known(u8 first, u8 map_bits)
{
	if (first == 0x8f)
		return map_bits >= 8 && map_bits <= 10;
	if (first == 0x62)
		return (map_bits >= 1 && map_bits <= 3) || map_bits == 5 || map_bits == 6;
	return map_bits >= 1 && map_bits <= 3;
}

static int decode_modrm(struct emu_decoder *d);
static int refine(struct emu_decoder *d);

/* The entry of the legacy form, if its handler knows the VEX form as well. */
static int lookup_vex(struct emu_decoder *d)
{
	int rc;

	if (d->insn->map == EMU_MAP_OTHER || !d->insn->has_modrm) {
		d->op = &emu_unhandled_op;
		return EMU_OK;
	}
	d->op = emu_lookup(d->insn->map, d->insn->opcode);
	rc = refine(d);
	if (!(d->op->flags & OPF_VEX))
		d->op = &emu_unhandled_op;
	return rc;
}

/*
 * What follows a VEX, EVEX or XOP prefix. Their instructions all have a ModRM
 * byte but VZEROUPPER and VZEROALL.
 */
static int decode_vex(struct emu_decoder *d, u8 first)
{
	struct emu_insn *insn = d->insn;
	u8 map_bits = 1;
	int rc;

	if (insn->prefix & (EMU_PFX_LOCK | EMU_PFX_REP | EMU_PFX_REPNE | EMU_PFX_OPSIZE |
			    EMU_PFX_REX))
		return undefined(d);
	insn->prefix |= EMU_PFX_VEX;
	if (first == 0xc5)
		rc = decode_vex2(d);
	else if (first == 0x62)
		rc = decode_evex(d, &map_bits);
	else
		rc = decode_vex3(d, &map_bits);
	if (rc != EMU_OK)
		return rc;
	if (!vex_map_known(first, map_bits))
		return undefined(d);
	/* Outside 64-bit mode these bits select nothing. */
	if (d->mode != EMU_LONG64) {
		insn->rex = 0;
		insn->vex_v &= 7;
	}
	insn->map = first == 0xc4 || first == 0xc5 ? map_bits : EMU_MAP_OTHER;
	rc = next_byte(d, &insn->opcode);
	if (rc != EMU_OK)
		return rc;
	if (insn->map != EMU_MAP_0F || insn->opcode != 0x77) {
		rc = decode_modrm(d);
		if (rc != EMU_OK)
			return rc;
	}
	rc = next_value(d, vex_imm_size(first, map_bits, insn->opcode), &insn->imm);
	return rc == EMU_OK ? lookup_vex(d) : rc;
}

/*
 * C4, C5 and 62 are LES, LDS and BOUND outside 64-bit mode when they name memory,
 * and in real and virtual-8086 mode they are never a prefix. 8F is POP unless the
 * field that would be ModRM.reg and more says XOP.
 */
static int is_vex(struct emu_decoder *d, u8 first, bool *vex)
{
	u8 b;
	int rc;

	*vex = false;
	if (first != 0xc4 && first != 0xc5 && first != 0x62 && first != 0x8f)
		return EMU_OK;
	rc = next_byte(d, &b);
	if (rc != EMU_OK)
		return rc;
	d->pos--;
	if (first == 0x8f)
		*vex = (b & 0x1f) >= 8 && !(d->mode == EMU_REAL || d->mode == EMU_V86);
	else if (d->mode == EMU_LONG64)
		*vex = true;
	else
		*vex = d->mode >= EMU_PROT16 && b >= 0xc0;
	return EMU_OK;
}

static int decode_opcode(struct emu_decoder *d, u8 b)
{
	struct emu_insn *insn = d->insn;
	int rc;

	insn->map = EMU_MAP_1BYTE;
	insn->opcode = b;
	if (b != 0x0f)
		return EMU_OK;
	rc = next_byte(d, &insn->opcode);
	if (rc != EMU_OK)
		return rc;
	insn->map = EMU_MAP_0F;
	switch (insn->opcode) {
	case 0x38:
		insn->map = EMU_MAP_0F38;
		return next_byte(d, &insn->opcode);
	case 0x3a:
		insn->map = EMU_MAP_0F3A;
		return next_byte(d, &insn->opcode);
	case 0x0f:
		/* 3DNow!: the opcode is the byte that ends the instruction. */
		insn->map = EMU_MAP_3DNOW;
		return EMU_OK;
	}
	return EMU_OK;
}

static unsigned int address_size(const struct emu_decoder *d)
{
	bool toggled = d->insn->prefix & EMU_PFX_ADSIZE;

	if (d->mode == EMU_LONG64)
		return toggled ? 4 : 8;
	return (d->mode == EMU_PROT32) != toggled ? 4 : 2;
}

static int modrm_displacement16(struct emu_decoder *d)
{
	struct emu_insn *insn = d->insn;
	u8 mod = insn->modrm >> 6;
	u8 rm = insn->modrm & 7;
	unsigned int size = mod == 0 ? (rm == 6 ? 2 : 0) : mod;

	if (!(insn->prefix & EMU_PFX_SEG))
		insn->seg = (rm == 2 || rm == 3 || (rm == 6 && mod)) ? EMU_SS : EMU_DS;
	return next_value(d, size, &insn->disp);
}

static int modrm_displacement32(struct emu_decoder *d)
{
	struct emu_insn *insn = d->insn;
	u8 mod = insn->modrm >> 6;
	u8 base = insn->modrm & 7;
	unsigned int size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	bool stack;
	int rc;

	if (base == 4) {
		rc = next_byte(d, &insn->sib);
		if (rc != EMU_OK)
			return rc;
		base = insn->sib & 7;
	}
	if (mod == 0 && base == 5)
		size = 4;
	stack = !(insn->rex & 1) && (base == 4 || (base == 5 && mod));
	if (!(insn->prefix & EMU_PFX_SEG))
		insn->seg = stack ? EMU_SS : EMU_DS;
	return next_value(d, size, &insn->disp);
}

static int decode_modrm(struct emu_decoder *d)
{
	struct emu_insn *insn = d->insn;
	int rc;

	rc = next_byte(d, &insn->modrm);
	if (rc != EMU_OK)
		return rc;
	insn->has_modrm = true;
	/* MOV to and from control and debug registers: always registers. */
	if (insn->map == EMU_MAP_0F && (insn->opcode & 0xfc) == 0x20 &&
	    !(insn->prefix & EMU_PFX_VEX))
		return EMU_OK;
	if (insn->modrm >= 0xc0)
		return EMU_OK;
	insn->has_mem = true;
	insn->adsize = address_size(d);
	return insn->adsize == 2 ? modrm_displacement16(d) : modrm_displacement32(d);
}

static const struct emu_opcode *refine_by_prefix(const struct emu_opcode *op,
						 const struct emu_insn *insn)
{
	if (insn->prefix & EMU_PFX_REPNE)
		return &op->sub[3];
	if (insn->prefix & EMU_PFX_REP)
		return &op->sub[2];
	return &op->sub[insn->prefix & EMU_PFX_OPSIZE ? 1 : 0];
}

/* Follow the refining tables; reads the ModRM byte where one selects. */
static int refine(struct emu_decoder *d)
{
	struct emu_insn *insn = d->insn;
	const struct emu_opcode *op = d->op;
	int rc;

	while (op->by != SUB_NONE) {
		if (op->by <= SUB_MOD && !insn->has_modrm) {
			rc = decode_modrm(d);
			if (rc != EMU_OK)
				return rc;
		}
		switch (op->by) {
		case SUB_REG:
			op = &op->sub[(insn->modrm >> 3) & 7];
			break;
		case SUB_RM:
			op = &op->sub[insn->modrm & 7];
			break;
		case SUB_MOD:
			op = &op->sub[insn->has_mem ? 0 : 1];
			break;
		case SUB_PREFIX:
			op = refine_by_prefix(op, insn);
			break;
		default:
			op = &op->sub[d->mode == EMU_LONG64];
			break;
		}
	}
	d->op = op;
	return EMU_OK;
}

static unsigned int operand_size(const struct emu_decoder *d)
{
	const struct emu_insn *insn = d->insn;
	bool toggled = insn->prefix & EMU_PFX_OPSIZE;

	if (d->mode != EMU_LONG64)
		return (d->mode == EMU_PROT32) != toggled ? 4 : 2;
	if (insn->rex & 8)
		return 8;
	if ((d->op->flags & OPF_NEAR) && d->vendor == EMU_INTEL)
		return 8;
	if (toggled)
		return 2;
	return d->op->flags & (OPF_D64 | OPF_NEAR) ? 8 : 4;
}

/* Far pointer: offset, then selector. */
static int far_immediate(struct emu_decoder *d)
{
	struct emu_insn *insn = d->insn;
	int rc;

	rc = next_value(d, insn->opsize == 2 ? 2 : 4, &insn->imm);
	if (rc != EMU_OK)
		return rc;
	rc = next_value(d, 2, &insn->imm2);
	insn->imm &= emu_mask(insn->opsize);
	insn->imm2 &= 0xffff;
	return rc;
}

static int two_immediates(struct emu_decoder *d, unsigned int first)
{
	int rc = next_value(d, first, &d->insn->imm);

	if (rc == EMU_OK)
		rc = next_value(d, 1, &d->insn->imm2);
	d->insn->imm &= 0xffff;
	d->insn->imm2 &= 0xff;
	return rc;
}

static int decode_immediate(struct emu_decoder *d, u8 kind)
{
	struct emu_insn *insn = d->insn;
	unsigned int z = insn->opsize == 2 ? 2 : 4;
	u64 *imm = &insn->imm;

	switch (kind) {
	case K_Ib:
	case K_Is:
	case K_Jb:
		return next_value(d, 1, imm);
	case K_Iw:
		return next_value(d, 2, imm);
	case K_Id:
		return next_value(d, 4, imm);
	case K_Iz:
	case K_Jz:
		return next_value(d, z, imm);
	case K_Iv:
		return next_value(d, insn->opsize, imm);
	case K_Ap:
		return far_immediate(d);
	case K_IwIb:
		return two_immediates(d, 2);
	case K_IbIb:
		return two_immediates(d, 1);
	case K_Ob:
	case K_Ov:
		insn->has_mem = true;
		insn->adsize = address_size(d);
		if (!(insn->prefix & EMU_PFX_SEG))
			insn->seg = EMU_DS;
		return next_value(d, insn->adsize, &insn->disp);
	}
	return EMU_OK;
}

static int decode_operands(struct emu_decoder *d)
{
	const struct emu_opcode *op = d->op;
	struct emu_insn *insn = d->insn;
	const u8 kinds[3] = { op->dst, op->src, op->imm };
	unsigned int i;
	int rc;

	for (i = 0; i < 3; i++) {
		if (kinds[i] < K_MODRM_FIRST || insn->has_modrm)
			continue;
		rc = decode_modrm(d);
		if (rc != EMU_OK)
			return rc;
	}
	for (i = 0; i < 3; i++) {
		if (!emu_kind_is_imm(kinds[i]))
			continue;
		rc = decode_immediate(d, kinds[i]);
		if (rc != EMU_OK)
			return rc;
	}
	return EMU_OK;
}

static int decode_legacy(struct emu_decoder *d, u8 first)
{
	struct emu_insn *insn = d->insn;
	int rc;

	rc = decode_opcode(d, first);
	if (rc != EMU_OK)
		return rc;
	d->op = emu_lookup(insn->map, insn->opcode);
	rc = refine(d);
	if (rc != EMU_OK)
		return rc;
	insn->opsize = operand_size(d);
	return decode_operands(d);
}

/**
 * emu_decode_bytes() - decode
 * @d: decoder; @insn zeroed, @pos 0
 *
 * Return: enum emu_result.
 */
int emu_decode_bytes(struct emu_decoder *d)
{
	struct emu_insn *insn = d->insn;
	bool vex;
	u8 b;
	int rc;

	insn->seg = EMU_DS;
	rc = decode_prefixes(d, &b);
	if (rc == EMU_OK)
		rc = is_vex(d, b, &vex);
	if (rc != EMU_OK)
		return rc;
	insn->adsize = address_size(d);
	rc = vex ? decode_vex(d, b) : decode_legacy(d, b);
	if (rc != EMU_OK)
		return rc;
	if (vex)
		insn->opsize = insn->rex & 8 ? 8 : 4;
	insn->len = d->pos;
	return EMU_OK;
}

int emu_insn_length(const void *bytes, unsigned int len, enum emu_mode mode)
{
	struct emu_insn insn;
	struct emu_decoder d = {
		.insn = &insn,
		.bytes = bytes,
		.len = len < EMU_MAX_INSN ? len : EMU_MAX_INSN,
		.mode = mode,
	};

	memset(&insn, 0, sizeof(insn));
	switch (emu_decode_bytes(&d)) {
	case EMU_OK:
		if ((d.op->flags & OPF_NO64) && mode == EMU_LONG64)
			return -1;
		return d.op->flags & OPF_UD ? -1 : insn.len;
	case EMU_RETRY:
		return 0;
	}
	return -1;
}

static u64 modrm_address16(const struct emu_ctx *ctx)
{
	/* First and second register by ModRM.rm; EMU_NR_GPR: none. */
	static const u8 first[8] = { EMU_RBX, EMU_RBX, EMU_RBP, EMU_RBP,
				     EMU_RSI, EMU_RDI, EMU_RBP, EMU_RBX };
	static const u8 second[8] = { EMU_RSI, EMU_RDI, EMU_RSI, EMU_RDI,
				      EMU_NR_GPR, EMU_NR_GPR, EMU_NR_GPR, EMU_NR_GPR };
	const struct emu_insn *insn = &ctx->insn;
	u8 rm = insn->modrm & 7;
	u64 ea = insn->disp;

	if (rm == 6 && insn->modrm < 0x40)
		return ea;
	ea += ctx->regs.gpr[first[rm]];
	if (second[rm] != EMU_NR_GPR)
		ea += ctx->regs.gpr[second[rm]];
	return ea;
}

static u64 sib_address(const struct emu_ctx *ctx)
{
	const struct emu_insn *insn = &ctx->insn;
	unsigned int index = ((insn->sib >> 3) & 7) | ((insn->rex & 2) << 2);
	unsigned int base = insn->sib & 7;
	u64 ea = insn->disp;

	if (index != 4)
		ea += ctx->regs.gpr[index] << (insn->sib >> 6);
	if (base != 5 || insn->modrm >= 0x40)
		ea += ctx->regs.gpr[base | ((insn->rex & 1) << 3)];
	return ea;
}

static u64 modrm_address32(const struct emu_ctx *ctx)
{
	const struct emu_insn *insn = &ctx->insn;
	unsigned int rm = insn->modrm & 7;

	if (rm == 4)
		return sib_address(ctx);
	if (rm == 5 && insn->modrm < 0x40)
		return insn->disp + (ctx->mode == EMU_LONG64 ? insn->next_rip : 0);
	return insn->disp + ctx->regs.gpr[rm | ((insn->rex & 1) << 3)];
}

/**
 * emu_effective_address() - compute insn.ea from the registers
 * @ctx: context whose instruction has been decoded
 */
void emu_effective_address(struct emu_ctx *ctx)
{
	struct emu_insn *insn = &ctx->insn;

	if (!insn->has_mem)
		return;
	if (!insn->has_modrm)
		insn->ea = insn->disp;
	else if (insn->adsize == 2)
		insn->ea = modrm_address16(ctx);
	else
		insn->ea = modrm_address32(ctx);
	insn->ea &= emu_mask(insn->adsize);
}

/* Width of the instruction pointer: wraps there. */
static u64 rip_mask(enum emu_mode mode)
{
	if (mode == EMU_LONG64)
		return ~0ULL;
	/* A 16-bit code segment may be longer than 64 KiB only by mistake; EIP is 32 bits wide. */
	return 0xffffffff;
}

int emu_decode(struct emu_ctx *ctx)
{
	struct emu_decoder d = {
		.ctx = ctx,
		.insn = &ctx->insn,
		.bytes = ctx->insn_bytes,
		.len = ctx->insn_len,
		.mode = ctx->mode,
		.vendor = ctx->vendor,
	};
	int rc;

	if (ctx->decoded)
		return EMU_OK;
	memset(&ctx->insn, 0, sizeof(ctx->insn));
	rc = emu_decode_bytes(&d);
	if (rc != EMU_OK)
		return rc;
	ctx->insn.next_rip = (ctx->regs.rip + ctx->insn.len) & rip_mask(ctx->mode);
	ctx->op = d.op;
	ctx->decoded = true;
	emu_effective_address(ctx);
	return EMU_OK;
}
