// SPDX-License-Identifier: GPL-2.0
#include <stddef.h>
#include <stdlib.h>

#include "emulate_machine.h"

static struct machine *to_machine(struct emu_ctx *ctx)
{
	return (struct machine *)((char *)ctx - offsetof(struct machine, ctx));
}

static u64 chaos(struct machine *m)
{
	u64 z = m->chaos += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Long instructions, which start over, would never end if this went on for ever. */
static bool retry(struct machine *m)
{
	return m->io == IO_CHAOS && m->passes % 1024 < 512 && chaos(m) % 8 == 0;
}

static bool ask_user(struct machine *m)
{
	return m->io == IO_USER || (m->io == IO_CHAOS && chaos(m) % 2);
}

/* A device access. What is read depends on how many there have been. */
static u64 device(struct machine *m, u8 kind, u64 addr, unsigned int size, u64 data)
{
	struct machine_event *e;

	if (kind == EMU_EV_READ || kind == EMU_EV_IN)
		data = ((m->nr_events + 1) * 0x9d7f3b1246c8e5a1ULL ^ addr) & emu_mask(size);
	if (m->nr_events < MACHINE_EVENTS) {
		e = &m->events[m->nr_events++];
		e->kind = kind;
		e->size = size;
		e->addr = addr;
		e->data = data & emu_mask(size);
	}
	return data;
}

/* ---- callbacks ---- */

static int op_fetch(struct emu_ctx *ctx, u64 linear, void *buf, unsigned int len)
{
	struct machine *m = to_machine(ctx);

	if (retry(m))
		return EMU_RETRY;
	if (linear >= MACHINE_RAM || (m->page[linear >> 12] & PAGE_ABSENT))
		return emu_raise_pf(ctx, linear, 0x10);
	memcpy(buf, m->ram + linear, len);
	return EMU_OK;
}

static int op_translate(struct emu_ctx *ctx, u64 linear, unsigned int access, u64 *gpa)
{
	struct machine *m = to_machine(ctx);
	u32 error = (access & EMU_ACC_WRITE ? 2 : 0) | (access & EMU_ACC_USER ? 4 : 0);
	u8 page;

	if (retry(m))
		return EMU_RETRY;
	*gpa = linear;
	if (linear >= MACHINE_END)
		return emu_raise_pf(ctx, linear, error);
	page = m->page[linear >> 12];
	if (page & PAGE_ABSENT)
		return emu_raise_pf(ctx, linear, error);
	if (((page & PAGE_READONLY) && (access & EMU_ACC_WRITE)) ||
	    ((page & PAGE_SUPERVISOR) && (access & EMU_ACC_USER)))
		return emu_raise_pf(ctx, linear, error | 1);
	return EMU_OK;
}

static int op_read(struct emu_ctx *ctx, u64 gpa, void *buf, unsigned int len)
{
	struct machine *m = to_machine(ctx);
	u64 val;

	if (!len || len > 8 || (gpa & 4095) + len > 4096)
		abort();
	if (retry(m))
		return EMU_RETRY;
	if (gpa < MACHINE_MMIO) {
		memcpy(buf, m->ram + gpa, len);
		return EMU_OK;
	}
	if (ask_user(m))
		return EMU_IO_NEEDED;
	val = device(m, EMU_EV_READ, gpa, len, 0);
	memcpy(buf, &val, len);
	return EMU_OK;
}

static int op_write(struct emu_ctx *ctx, u64 gpa, const void *buf, unsigned int len)
{
	struct machine *m = to_machine(ctx);
	u64 val = 0;

	if (!len || len > 8 || (gpa & 4095) + len > 4096)
		abort();
	if (retry(m))
		return EMU_RETRY;
	if (gpa < MACHINE_MMIO) {
		memcpy(m->ram + gpa, buf, len);
		return EMU_OK;
	}
	if (ask_user(m))
		return EMU_IO_NEEDED;
	memcpy(&val, buf, len);
	device(m, EMU_EV_WRITE, gpa, len, val);
	return EMU_OK;
}

static int op_read_ram(struct emu_ctx *ctx, u64 gpa, void *buf, unsigned int len)
{
	struct machine *m = to_machine(ctx);

	if (retry(m))
		return EMU_RETRY;
	if (gpa >= MACHINE_MMIO)
		return EMU_UNHANDLED;
	memcpy(buf, m->ram + gpa, len);
	return EMU_OK;
}

static int op_write_ram(struct emu_ctx *ctx, u64 gpa, const void *buf, unsigned int len)
{
	struct machine *m = to_machine(ctx);

	if (retry(m))
		return EMU_RETRY;
	if (gpa >= MACHINE_MMIO)
		return EMU_UNHANDLED;
	memcpy(m->ram + gpa, buf, len);
	return EMU_OK;
}

static int op_cmpxchg(struct emu_ctx *ctx, u64 gpa, void *old, const void *new, unsigned int len)
{
	struct machine *m = to_machine(ctx);

	if (len == 16 && gpa >= MACHINE_MMIO)
		return EMU_UNHANDLED;
	if (gpa >= MACHINE_MMIO)
		return op_write(ctx, gpa, new, len);
	if (retry(m))
		return EMU_RETRY;
	if (m->contended && (!m->contended_gpa || m->contended_gpa == gpa)) {
		m->contended--;
		m->ram[gpa]++;
	}
	if (!memcmp(m->ram + gpa, old, len))
		memcpy(m->ram + gpa, new, len);
	else
		memcpy(old, m->ram + gpa, len);
	return EMU_OK;
}

static int op_pio_in(struct emu_ctx *ctx, u16 port, unsigned int size, void *buf,
		     unsigned int count)
{
	struct machine *m = to_machine(ctx);
	unsigned int i;
	u64 val;

	if (retry(m))
		return EMU_RETRY;
	if (ask_user(m))
		return EMU_IO_NEEDED;
	for (i = 0; i < count; i++) {
		val = device(m, EMU_EV_IN, port, size, 0);
		memcpy((u8 *)buf + i * size, &val, size);
	}
	return EMU_OK;
}

static int op_pio_out(struct emu_ctx *ctx, u16 port, unsigned int size, const void *buf,
		      unsigned int count)
{
	struct machine *m = to_machine(ctx);
	unsigned int i;

	if (retry(m))
		return EMU_RETRY;
	if (ask_user(m))
		return EMU_IO_NEEDED;
	for (i = 0; i < count; i++) {
		u64 val = 0;

		memcpy(&val, (const u8 *)buf + i * size, size);
		device(m, EMU_EV_OUT, port, size, val);
	}
	return EMU_OK;
}

static void op_get_segment(struct emu_ctx *ctx, enum emu_seg seg, struct emu_segment *s)
{
	*s = to_machine(ctx)->seg[seg];
}

static void op_set_segment(struct emu_ctx *ctx, enum emu_seg seg, const struct emu_segment *s)
{
	to_machine(ctx)->seg[seg] = *s;
}

static void op_get_table(struct emu_ctx *ctx, enum emu_table table, u64 *base, u16 *limit)
{
	*base = to_machine(ctx)->table_base[table];
	*limit = to_machine(ctx)->table_limit[table];
}

static void op_set_table(struct emu_ctx *ctx, enum emu_table table, u64 base, u16 limit)
{
	to_machine(ctx)->table_base[table] = base;
	to_machine(ctx)->table_limit[table] = limit;
}

static u64 *other_cr(struct machine *m, unsigned int cr)
{
	return cr == 2 ? &m->cr2 : cr == 3 ? &m->cr3 : &m->cr8;
}

static int op_get_cr(struct emu_ctx *ctx, unsigned int cr, u64 *val)
{
	*val = *other_cr(to_machine(ctx), cr);
	return EMU_OK;
}

static int op_set_cr(struct emu_ctx *ctx, unsigned int cr, u64 val)
{
	switch (cr) {
	case 0:
		/* Paging without protection is what the architecture refuses first. */
		if ((val & CR0_PG) && !(val & CR0_PE))
			return emu_gp(ctx, 0);
		ctx->cr0 = val;
		break;
	case 4:
		ctx->cr4 = val;
		break;
	default:
		*other_cr(to_machine(ctx), cr) = val;
	}
	return EMU_OK;
}

static int op_get_dr(struct emu_ctx *ctx, unsigned int dr, u64 *val)
{
	*val = to_machine(ctx)->dr[dr];
	return EMU_OK;
}

static int op_set_dr(struct emu_ctx *ctx, unsigned int dr, u64 val)
{
	to_machine(ctx)->dr[dr] = val;
	return EMU_OK;
}

static u64 *msr_slot(struct machine *m, u32 msr)
{
	switch (msr) {
	case EMU_MSR_TSC: return &m->msr_tsc;
	case EMU_MSR_TSC_AUX: return &m->msr_aux;
	case EMU_MSR_KERNEL_GS_BASE: return &m->msr_kernel_gs;
	case EMU_MSR_U_CET: return &m->msr_u_cet;
	case EMU_MSR_S_CET: return &m->msr_s_cet;
	case EMU_MSR_EFER: return &m->ctx.efer;
	}
	return NULL;
}

static int op_get_msr(struct emu_ctx *ctx, u32 msr, u64 *val)
{
	u64 *slot = msr_slot(to_machine(ctx), msr);

	if (!slot)
		return emu_gp(ctx, 0);
	*val = *slot;
	return EMU_OK;
}

static int op_set_msr(struct emu_ctx *ctx, u32 msr, u64 val)
{
	u64 *slot = msr_slot(to_machine(ctx), msr);

	/* Leaving long mode is not for this machine. */
	if (!slot || slot == &ctx->efer)
		return emu_gp(ctx, 0);
	*slot = val;
	return EMU_OK;
}

static int op_rdpmc(struct emu_ctx *ctx, u32 index, u64 *val)
{
	if (index > 3)
		return emu_gp(ctx, 0);
	*val = 0x1122334455667788ULL + index;
	return EMU_OK;
}

static int op_set_xcr(struct emu_ctx *ctx, u32 index, u64 val)
{
	if (index)
		return emu_gp(ctx, 0);
	to_machine(ctx)->xcr0 = val;
	return EMU_OK;
}

static int op_cpuid(struct emu_ctx *ctx, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	(void)ctx;
	*ebx = *eax + 1;
	*ecx = *ecx + 2;
	*edx = 3;
	*eax = 4;
	return EMU_OK;
}

static int op_read_xmm(struct emu_ctx *ctx, unsigned int reg, void *buf, unsigned int len)
{
	memcpy(buf, to_machine(ctx)->xmm[reg], len);
	return EMU_OK;
}

static int op_write_xmm(struct emu_ctx *ctx, unsigned int reg, const void *buf, unsigned int len)
{
	memcpy(to_machine(ctx)->xmm[reg], buf, len);
	return EMU_OK;
}

static int op_invlpg(struct emu_ctx *ctx, u64 linear)
{
	to_machine(ctx)->invlpg = linear;
	return EMU_OK;
}

static int op_wbinvd(struct emu_ctx *ctx)
{
	to_machine(ctx)->wbinvd++;
	return EMU_OK;
}

static int op_intercept(struct emu_ctx *ctx, const struct emu_intercept *info)
{
	struct machine *m = to_machine(ctx);

	return m->icpt && m->icpt(m, info) ? EMU_INTERCEPTED : EMU_OK;
}

static const struct emu_ops ops = {
	.fetch = op_fetch,
	.translate = op_translate,
	.read = op_read,
	.write = op_write,
	.read_ram = op_read_ram,
	.write_ram = op_write_ram,
	.cmpxchg = op_cmpxchg,
	.pio_in = op_pio_in,
	.pio_out = op_pio_out,
	.get_segment = op_get_segment,
	.set_segment = op_set_segment,
	.get_table = op_get_table,
	.set_table = op_set_table,
	.get_cr = op_get_cr,
	.set_cr = op_set_cr,
	.get_dr = op_get_dr,
	.set_dr = op_set_dr,
	.get_msr = op_get_msr,
	.set_msr = op_set_msr,
	.rdpmc = op_rdpmc,
	.set_xcr = op_set_xcr,
	.cpuid = op_cpuid,
	.read_xmm = op_read_xmm,
	.write_xmm = op_write_xmm,
	.invlpg = op_invlpg,
	.wbinvd = op_wbinvd,
	.intercept = op_intercept,
};

/* ---- set-up ---- */

static void flat_segment(struct machine *m, enum emu_seg seg, u16 selector, u16 attr)
{
	struct emu_segment *s = &m->seg[seg];

	s->selector = selector;
	s->base = 0;
	s->limit = 0xffffffff;
	s->attr = attr | EMU_ATTR_P | EMU_ATTR_S | (seg == EMU_CS ? 0xb : 3);
}

static void real_segment(struct machine *m, enum emu_seg seg, u16 attr)
{
	struct emu_segment *s = &m->seg[seg];

	s->selector = 0;
	s->base = 0;
	s->limit = 0xffff;
	s->attr = attr | EMU_ATTR_P | EMU_ATTR_S | 3;
}

static void init_segments(struct machine *m)
{
	static const u16 code_size[] = {
		[EMU_PROT16] = 0, [EMU_PROT32] = EMU_ATTR_DB, [EMU_LONG64] = EMU_ATTR_L,
	};
	enum emu_mode mode = m->ctx.mode;
	unsigned int seg;

	for (seg = EMU_ES; seg <= EMU_GS; seg++) {
		if (mode == EMU_REAL)
			real_segment(m, seg, 0);
		else if (mode == EMU_V86)
			real_segment(m, seg, EMU_ATTR_DPL);
		else if (seg == EMU_CS)
			flat_segment(m, seg, 0x08, EMU_ATTR_G | code_size[mode]);
		else
			flat_segment(m, seg, 0x10, EMU_ATTR_G |
				     (mode == EMU_PROT16 ? 0 : EMU_ATTR_DB));
	}
	m->seg[EMU_TR].selector = 0x28;
	m->seg[EMU_TR].base = 0x3000;
	m->seg[EMU_TR].limit = 0x67 + 0x2001;
	m->seg[EMU_TR].attr = EMU_ATTR_P | SYS_TSS32_BUSY;
}

void machine_init(struct machine *m, enum emu_mode mode)
{
	struct emu_ctx *ctx = &m->ctx;

	memset(m, 0, sizeof(*m));
	ctx->ops = &ops;
	ctx->features = ~0u;
	ctx->mode = mode;
	ctx->batch = m->batch;
	ctx->batch_size = sizeof(m->batch);
	ctx->cr0 = mode == EMU_REAL ? 0 : CR0_PE;
	ctx->cr4 = CR4_OSFXSR | CR4_OSXSAVE | CR4_FSGSBASE | CR4_DE;
	ctx->efer = mode == EMU_LONG64 ? EFER_LMA : 0;
	if (mode == EMU_LONG64)
		ctx->cr0 |= CR0_PG;
	ctx->regs.rflags = FL_FIXED | (mode == EMU_V86 ? FL_VM | FL_IOPL : 0);
	ctx->cpl = mode == EMU_V86 ? 3 : 0;
	ctx->regs.rip = 0x7000;
	ctx->regs.gpr[EMU_RSP] = 0x6000;
	m->table_base[EMU_GDTR] = MACHINE_GDT;
	m->table_limit[EMU_GDTR] = 0xff;
	m->table_limit[EMU_IDTR] = 0x3ff;
	init_segments(m);
}

void machine_set_cpl(struct machine *m, u8 cpl)
{
	unsigned int seg;

	m->ctx.cpl = cpl;
	for (seg = EMU_ES; seg <= EMU_GS; seg++) {
		m->seg[seg].selector = (m->seg[seg].selector & ~3) | cpl;
		m->seg[seg].attr = (m->seg[seg].attr & ~EMU_ATTR_DPL) | cpl << EMU_ATTR_DPL_SHIFT;
	}
}

void machine_code(struct machine *m, const void *code, unsigned int len)
{
	memcpy(m->ram + m->seg[EMU_CS].base + m->ctx.regs.rip, code, len);
}

void machine_desc(struct machine *m, u16 selector, u32 base, u32 limit, u16 attr)
{
	u64 d = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xf0ff) << 40 |
		(u64)((limit >> 16) & 15) << 48 | (u64)(base >> 24) << 56;

	machine_write(m, MACHINE_GDT + (selector & 0xfff8), d, 8);
}

void machine_gate(struct machine *m, u16 selector, u16 target, u32 off, u16 attr)
{
	u64 d = (off & 0xffff) | (u64)target << 16 | (u64)(attr & 0xff) << 40 |
		(u64)(off >> 16) << 48;

	machine_write(m, MACHINE_GDT + (selector & 0xfff8), d, 8);
}

/* ---- running ---- */

int machine_step(struct machine *m)
{
	emu_start(&m->ctx, NULL, 0);
	m->passes++;
	return emu_run(&m->ctx);
}

/* Do as user space does with the pending event. */
static void complete(struct machine *m)
{
	struct emu_ctx *ctx = &m->ctx;
	unsigned int size = ctx->pending.size, i;
	u8 data[512] = { 0 };
	u64 val;

	if (size * ctx->pending.count > sizeof(data))
		abort();
	for (i = 0; i < ctx->pending.count; i++) {
		val = ctx->pending.data;
		if (ctx->pending.kind == EMU_EV_OUT && ctx->pending.count > 1) {
			val = 0;
			memcpy(&val, ctx->batch + i * size, size);
		}
		val = device(m, ctx->pending.kind, ctx->pending.addr, size, val);
		memcpy(data + i * size, &val, size);
	}
	emu_complete(ctx, data);
}

int machine_finish(struct machine *m, int rc)
{
	unsigned int limit = 100000;

	while (rc == EMU_RETRY || rc == EMU_IO_NEEDED) {
		if (!limit--)
			abort();
		if (rc == EMU_IO_NEEDED)
			complete(m);
		m->passes++;
		rc = emu_run(&m->ctx);
	}
	return rc;
}

int machine_run(struct machine *m)
{
	int rc;

	do
		rc = machine_finish(m, machine_step(m));
	while (rc == EMU_OK && (m->ctx.effects & EMU_FX_REP));
	return rc;
}
