// SPDX-License-Identifier: GPL-2.0
/*
 * Memory and port accesses: segmentation, splitting at page boundaries, and the
 * event log behind replay (see emulate.h).
 */
#include "internal.h"

#define PAGE_BYTES	4096u
#define PAGE_OFFSET(a)	((unsigned int)(a) & (PAGE_BYTES - 1))

bool emu_canonical(const struct emu_ctx *ctx, u64 addr)
{
	unsigned int bits = ctx->cr4 & CR4_LA57 ? 57 : 48;

	return (u64)((s64)(addr << (64 - bits)) >> (64 - bits)) == addr;
}

/* ---- the event log ---- */

void emu_log_reset(struct emu_ctx *ctx)
{
	ctx->log_done = 0;
	ctx->log_pos = 0;
}

/* If the next event was done in an earlier pass, take its value and skip it. */
static bool log_replay(struct emu_ctx *ctx, u64 *val)
{
	if (!emu_log_pending(ctx))
		return false;
	*val = ctx->log[ctx->log_pos++];
	return true;
}

static void log_record(struct emu_ctx *ctx, u64 val)
{
	ctx->log[ctx->log_pos++] = val;
	ctx->log_done = ctx->log_pos;
}

/*
 * Whether another event can be logged. The longest instructions (ENTER at level 31,
 * task switches) stay below; one that does not must end before it does something
 * that a replay would do again.
 */
static bool log_full(const struct emu_ctx *ctx)
{
	return ctx->log_pos == EMU_LOG_EVENTS;
}

/*
 * Book the outcome of an event that was tried. @val: what was read, or for an
 * update what was found in memory.
 */
static int event_result(struct emu_ctx *ctx, int rc, u8 kind, u64 addr, unsigned int size,
			unsigned int count, u64 val, u64 data)
{
	if (rc == EMU_OK) {
		log_record(ctx, val);
	} else if (rc == EMU_IO_NEEDED) {
		ctx->log[ctx->log_pos] = val;
		ctx->pending.kind = kind;
		ctx->pending.size = size;
		ctx->pending.count = count;
		ctx->pending.addr = addr;
		ctx->pending.data = data;
	}
	return rc;
}

void emu_complete(struct emu_ctx *ctx, const void *data)
{
	unsigned int len = ctx->pending.size * ctx->pending.count;
	u8 kind = ctx->pending.kind;

	ctx->pending.kind = EMU_EV_NONE;
	if (kind == EMU_EV_NONE)
		return;
	if (kind == EMU_EV_IN && ctx->insn.opcode >= 0x6c && ctx->insn.opcode <= 0x6d) {
		memcpy(ctx->batch && ctx->pending.count > 1 ? ctx->batch : (u8 *)&ctx->unit,
		       data, len);
		ctx->batch_end = len;
		emu_log_reset(ctx);
		return;
	}
	if (kind == EMU_EV_READ || kind == EMU_EV_IN) {
		ctx->log[ctx->log_done] = 0;
		memcpy(&ctx->log[ctx->log_done], data, len);
	}
	ctx->log_done++;
}

/* ---- one event each ---- */

static int read_event(struct emu_ctx *ctx, u64 gpa, void *buf, unsigned int len)
{
	u64 val = 0;
	int rc;

	if (log_full(ctx))
		return EMU_UNHANDLED;
	rc = ctx->ops->read(ctx, gpa, &val, len);
	rc = event_result(ctx, rc, EMU_EV_READ, gpa, len, 1, val, 0);
	memcpy(buf, &val, len);
	return rc;
}

static int write_event(struct emu_ctx *ctx, u64 gpa, const void *buf, unsigned int len)
{
	u64 val = 0;

	if (log_full(ctx))
		return EMU_UNHANDLED;
	memcpy(&val, buf, len);
	return event_result(ctx, ctx->ops->write(ctx, gpa, buf, len), EMU_EV_WRITE, gpa, len, 1,
			    0, val);
}

/* Up to 8 bytes; @old is replaced by what memory held. */
static int cmpxchg_event(struct emu_ctx *ctx, u64 gpa, void *old, const void *new,
			 unsigned int len)
{
	u64 found = 0, val = 0;
	int rc;

	if (log_full(ctx))
		return EMU_UNHANDLED;
	memcpy(&found, old, len);
	memcpy(&val, new, len);
	rc = ctx->ops->cmpxchg(ctx, gpa, &found, new, len);
	rc = event_result(ctx, rc, EMU_EV_WRITE, gpa, len, 1, found, val);
	memcpy(old, &found, len);
	return rc;
}

/* ---- linear addresses ---- */

/**
 * emu_translate() - linear to guest-physical, remembered for this emu_run()
 * @ctx: context
 * @linear: linear address
 * @access: EMU_ACC_*
 * @gpa: result
 *
 * The load of a read-modify-write translates for writing already; remembering it
 * spares the second walk and keeps the store from faulting.
 *
 * Return: enum emu_result.
 */
int emu_translate(struct emu_ctx *ctx, u64 linear, unsigned int access, u64 *gpa)
{
	u64 page = linear & ~(u64)(PAGE_BYTES - 1);
	struct emu_translation *t = &ctx->tlb[(linear / PAGE_BYTES) & 1];
	const unsigned int rights = EMU_ACC_READ | EMU_ACC_WRITE;
	int rc;

	if (t->access && t->page == page && !((t->access ^ access) & ~rights) &&
	    !(access & ~t->access)) {
		*gpa = t->frame | PAGE_OFFSET(linear);
		return EMU_OK;
	}
	rc = ctx->ops->translate(ctx, linear, access, gpa);
	if (rc != EMU_OK)
		return rc;
	t->page = page;
	t->frame = *gpa & ~(u64)(PAGE_BYTES - 1);
	t->access = access;
	return EMU_OK;
}

/* Address of byte @off of an access; linear addresses wrap at 4 GiB outside 64-bit mode. */
static u64 linear_add(const struct emu_ctx *ctx, u64 linear, unsigned int off)
{
	return ctx->mode == EMU_LONG64 || (ctx->efer & EFER_LMA) ?
	       linear + off : (linear + off) & 0xffffffff;
}

/* Bytes of the next event: at most 8, none beyond the page. */
static unsigned int chunk(u64 linear, unsigned int len)
{
	unsigned int left = PAGE_BYTES - PAGE_OFFSET(linear);

	if (len > left)
		len = left;
	return len < 8 ? len : 8;
}

/**
 * emu_probe() - fault now if an access would
 * @ctx: context
 * @linear: linear address, checked by the caller
 * @len: bytes, at most a page
 * @access: EMU_ACC_*
 *
 * Return: enum emu_result.
 */
int emu_probe(struct emu_ctx *ctx, u64 linear, unsigned int len, unsigned int access)
{
	unsigned int first = PAGE_BYTES - PAGE_OFFSET(linear);
	u64 gpa;
	int rc;

	rc = emu_translate(ctx, linear, access, &gpa);
	if (rc != EMU_OK || len <= first)
		return rc;
	return emu_translate(ctx, linear_add(ctx, linear, first), access, &gpa);
}

/*
 * Nothing may be done to the first page of an access if its second one faults. What
 * a replay takes from the log needs no translation, which may have changed since.
 */
static int probe_crossing(struct emu_ctx *ctx, u64 linear, unsigned int len,
			  unsigned int access)
{
	if (PAGE_OFFSET(linear) + len <= PAGE_BYTES || emu_log_pending(ctx))
		return EMU_OK;
	return emu_probe(ctx, linear, len, access);
}

/**
 * emu_read_linear() - read memory
 * @ctx: context
 * @linear: linear address, checked by the caller
 * @buf: result
 * @len: bytes, at most a page
 * @access: EMU_ACC_READ and more
 *
 * Return: enum emu_result.
 */
int emu_read_linear(struct emu_ctx *ctx, u64 linear, void *buf, unsigned int len,
		    unsigned int access)
{
	unsigned int n;
	u64 gpa, val;
	u8 *p = buf;
	int rc;

	rc = probe_crossing(ctx, linear, len, access);
	if (rc != EMU_OK)
		return rc;
	for (; len; len -= n, p += n, linear = linear_add(ctx, linear, n)) {
		n = chunk(linear, len);
		if (log_replay(ctx, &val)) {
			memcpy(p, &val, n);
			continue;
		}
		rc = emu_translate(ctx, linear, access, &gpa);
		if (rc == EMU_OK)
			rc = read_event(ctx, gpa, p, n);
		if (rc != EMU_OK)
			return rc;
	}
	return EMU_OK;
}

/**
 * emu_write_linear() - write memory
 * @ctx: context
 * @linear: linear address, checked by the caller
 * @buf: data
 * @len: bytes, at most a page
 * @access: EMU_ACC_WRITE and more
 *
 * Return: enum emu_result.
 */
int emu_write_linear(struct emu_ctx *ctx, u64 linear, const void *buf, unsigned int len,
		     unsigned int access)
{
	const u8 *p = buf;
	unsigned int n;
	u64 gpa, val;
	int rc;

	rc = probe_crossing(ctx, linear, len, access);
	if (rc != EMU_OK)
		return rc;
	for (; len; len -= n, p += n, linear = linear_add(ctx, linear, n)) {
		n = chunk(linear, len);
		if (log_replay(ctx, &val))
			continue;
		rc = emu_translate(ctx, linear, access, &gpa);
		if (rc == EMU_OK)
			rc = write_event(ctx, gpa, p, n);
		if (rc != EMU_OK)
			return rc;
	}
	return EMU_OK;
}

/* 16 bytes at once: two log entries, and no help from user space. */
static int cmpxchg16(struct emu_ctx *ctx, u64 gpa, u64 *old, const u64 *new)
{
	u64 found[2] = { old[0], old[1] };
	int rc = ctx->ops->cmpxchg(ctx, gpa, found, new, 16);

	if (rc != EMU_OK)
		return rc == EMU_IO_NEEDED ? EMU_UNHANDLED : rc;
	log_record(ctx, found[0]);
	log_record(ctx, found[1]);
	memcpy(old, found, 16);
	return EMU_OK;
}

/**
 * emu_cmpxchg_linear() - replace memory if it still holds what was read
 * @ctx: context
 * @linear: linear address, checked by the caller
 * @old: expected value
 * @new: new value
 * @len: 1, 2, 4, 8 or 16
 * @access: EMU_ACC_READ | EMU_ACC_WRITE and more
 *
 * An update that crosses a page is not atomic: that would need both pages mapped
 * at once, and whoever relies on such a split lock is told about it by the CPU.
 *
 * Return: enum emu_result, or EMU_AGAIN when memory held something else.
 */
int emu_cmpxchg_linear(struct emu_ctx *ctx, u64 linear, void *old, const void *new,
		       unsigned int len, unsigned int access)
{
	u64 found[2] = { 0, 0 };
	u64 gpa;
	int rc;

	if (PAGE_OFFSET(linear) + len > PAGE_BYTES)
		return emu_write_linear(ctx, linear, new, len, access);
	memcpy(found, old, len);
	if (log_replay(ctx, &found[0])) {
		if (len == 16)
			log_replay(ctx, &found[1]);
	} else {
		rc = emu_translate(ctx, linear, access, &gpa);
		if (rc == EMU_OK)
			rc = len == 16 ? cmpxchg16(ctx, gpa, found, new) :
					 cmpxchg_event(ctx, gpa, found, new, len);
		if (rc != EMU_OK)
			return rc;
	}
	return memcmp(found, old, len) ? EMU_AGAIN : EMU_OK;
}

/* ---- segmentation ---- */

/* SDM, Limit Checking: the highest offset of the access must lie within. */
static bool within_limit(const struct emu_segment *s, u64 ea, unsigned int len)
{
	u64 last = ea + len - 1;
	bool code = s->attr & TYPE_CODE;

	if ((s->attr & EMU_ATTR_S) && !code && (s->attr & TYPE_DC)) {
		u64 top = s->attr & EMU_ATTR_DB ? 0xffffffff : 0xffff;

		return ea > s->limit && last <= top;
	}
	return last <= s->limit;
}

/* SDM, Type Checking. */
static bool type_allows(const struct emu_segment *s, unsigned int access)
{
	if (s->attr & TYPE_CODE)
		return !(access & EMU_ACC_WRITE) && (s->attr & TYPE_RW);
	return !(access & EMU_ACC_WRITE) || (s->attr & TYPE_RW);
}

static int segment_fault(struct emu_ctx *ctx, enum emu_seg seg)
{
	return emu_raise(ctx, seg == EMU_SS ? VEC_SS : VEC_GP, true, 0);
}

static int check_segment(struct emu_ctx *ctx, enum emu_seg seg, u64 ea, unsigned int len,
			 unsigned int access)
{
	const struct emu_segment *s = emu_segment(ctx, seg);

	if (!emu_real_or_v86(ctx)) {
		if (!(s->attr & EMU_ATTR_P))
			return segment_fault(ctx, seg);
		if (!type_allows(s, access))
			return emu_gp(ctx, 0);
	}
	return within_limit(s, ea, len) ? EMU_OK : segment_fault(ctx, seg);
}

/*
 * SDM, Alignment Check Exception: user accesses of 2, 4 and 8 bytes. AMD includes
 * those of 16; Intel leaves that to the model.
 */
static int check_alignment(struct emu_ctx *ctx, u64 linear, unsigned int len)
{
	if (!(ctx->cr0 & CR0_AM) || !(ctx->regs.rflags & FL_AC) || ctx->new_cpl != 3)
		return EMU_OK;
	if (len == 16 && ctx->vendor != EMU_AMD)
		return EMU_OK;
	if ((len != 2 && len != 4 && len != 8 && len != 16) || !(linear & (len - 1)))
		return EMU_OK;
	return emu_raise(ctx, VEC_AC, true, 0);
}

int emu_linear(struct emu_ctx *ctx, enum emu_seg seg, u64 ea, unsigned int len,
	       unsigned int access, u64 *linear)
{
	int rc;

	if (ctx->mode == EMU_LONG64) {
		*linear = seg >= EMU_FS ? emu_segment(ctx, seg)->base + ea : ea;
		if (!len)
			return EMU_OK;
		if (!emu_canonical(ctx, *linear) || !emu_canonical(ctx, *linear + len - 1))
			return segment_fault(ctx, seg);
	} else {
		*linear = (emu_segment(ctx, seg)->base + ea) & 0xffffffff;
		if (!len)
			return EMU_OK;
		rc = check_segment(ctx, seg, ea, len, access);
		if (rc != EMU_OK)
			return rc;
	}
	return check_alignment(ctx, *linear, len);
}

int emu_read_mem(struct emu_ctx *ctx, enum emu_seg seg, u64 ea, void *buf, unsigned int len)
{
	unsigned int access = EMU_ACC_READ | emu_user(ctx);
	u64 linear;
	int rc;

	rc = emu_linear(ctx, seg, ea, len, access, &linear);
	return rc == EMU_OK ? emu_read_linear(ctx, linear, buf, len, access) : rc;
}

int emu_write_mem(struct emu_ctx *ctx, enum emu_seg seg, u64 ea, const void *buf,
		  unsigned int len)
{
	unsigned int access = EMU_ACC_WRITE | emu_user(ctx);
	u64 linear;
	int rc;

	rc = emu_linear(ctx, seg, ea, len, access, &linear);
	return rc == EMU_OK ? emu_write_linear(ctx, linear, buf, len, access) : rc;
}

/* ---- ports ---- */

int emu_port_in(struct emu_ctx *ctx, u16 port, unsigned int size, u64 *val)
{
	int rc;

	if (log_replay(ctx, val))
		return EMU_OK;
	*val = 0;
	rc = ctx->ops->pio_in(ctx, port, size, val, 1);
	return event_result(ctx, rc, EMU_EV_IN, port, size, 1, *val, 0);
}

int emu_port_out(struct emu_ctx *ctx, u16 port, unsigned int size, u64 val)
{
	u64 done;
	int rc;

	if (log_replay(ctx, &done))
		return EMU_OK;
	rc = ctx->ops->pio_out(ctx, port, size, &val, 1);
	return event_result(ctx, rc, EMU_EV_OUT, port, size, 1, 0, val);
}

/* Write @count units, which ctx->batch holds. */
int emu_port_out_batch(struct emu_ctx *ctx, u16 port, unsigned int size, unsigned int count)
{
	u64 done;
	int rc;

	if (log_replay(ctx, &done))
		return EMU_OK;
	rc = ctx->ops->pio_out(ctx, port, size, ctx->batch, count);
	return event_result(ctx, rc, EMU_EV_OUT, port, size, count, 0, 0);
}

/*
 * Read @count units for INS into ctx->batch, or one into ctx->unit. They are no
 * log entry: batch_pos and batch_end tell what is still to be stored. Storing is
 * what later passes begin with, so what was logged before, reads of the I/O
 * permission bitmap, is dropped.
 */
int emu_port_in_batch(struct emu_ctx *ctx, u16 port, unsigned int size, unsigned int count)
{
	void *buf = ctx->batch && count > 1 ? ctx->batch : (void *)&ctx->unit;
	int rc = ctx->ops->pio_in(ctx, port, size, buf, count);

	ctx->batch_pos = 0;
	ctx->batch_end = rc == EMU_OK ? size * count : 0;
	if (rc == EMU_OK)
		emu_log_reset(ctx);
	else
		event_result(ctx, rc, EMU_EV_IN, port, size, count, 0, 0);
	return rc;
}

/* ---- instruction bytes ---- */

/**
 * emu_fetch_more() - get further instruction bytes
 * @ctx: context; fewer than 15 bytes are there
 *
 * Fetch no more than up to the end of the page and of the code segment: the
 * instruction may end there, and what lies beyond must not fault then.
 *
 * Return: EMU_OK with at least one byte more, or another enum emu_result.
 */
int emu_fetch_more(struct emu_ctx *ctx)
{
	unsigned int want = EMU_MAX_INSN - ctx->insn_len;
	u64 linear = ctx->regs.rip + ctx->insn_len;
	int rc;

	if (ctx->mode != EMU_LONG64) {
		const struct emu_segment *cs = emu_segment(ctx, EMU_CS);
		u64 eip = linear & 0xffffffff;

		if (eip > cs->limit)
			return emu_gp(ctx, 0);
		if (want > cs->limit - eip + 1)
			want = cs->limit - eip + 1;
		linear = (cs->base + eip) & 0xffffffff;
	} else if (!emu_canonical(ctx, linear)) {
		return emu_gp(ctx, 0);
	}
	if (want > PAGE_BYTES - PAGE_OFFSET(linear))
		want = PAGE_BYTES - PAGE_OFFSET(linear);
	rc = ctx->ops->fetch(ctx, linear, ctx->insn_bytes + ctx->insn_len, want);
	if (rc == EMU_OK)
		ctx->insn_len += want;
	/* Code in MMIO would need user space for each byte; nobody runs code there. */
	return rc == EMU_IO_NEEDED ? EMU_UNHANDLED : rc;
}
