// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the emulator does what the CPU does: random instructions run in
 * both, in 64-bit, 32-bit and 16-bit code segments, and registers, flags, memory
 * and exceptions are compared.
 *
 * The instruction is single-stepped in this very process. A breakpoint enters the
 * signal handler, which swaps in the registers of the test; the trap or fault that
 * follows enters it again, and it swaps them back.
 *
 * Options: --count N, --seed S, --case N (only that one)
 */
#include <asm/ldt.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../../userspace/compare/undefined.h"
#include "random.h"
#include "tap.h"

#define BASE		0x20000000UL
#define PAGE		4096UL
#define CODE		BASE
#define DATA		(BASE + 2 * PAGE)	/* two pages, read and write */
#define DATA_SIZE	(2 * PAGE)
#define RODATA		(DATA + DATA_SIZE)	/* one page */
#define END		(BASE + 8 * PAGE)	/* the other pages are not accessible */
#define SEG16_LIMIT	0x7fff

#define USER_CS64	0x33
#define USER_CS32	0x23
#define USER_DS		0x2b
#define LDT_CODE16	0x07
#define LDT_DATA16	0x0f

#define COMPARED_FLAGS	(FL_STATUS | FL_DF | FL_IF | FL_AC | FL_ID | FL_NT | FL_TF)

struct state {
	struct emu_regs regs;
	u8 xmm[16][16];
};

/* How a step ended: a vector, or STEPPED. */
#define STEPPED		0x100
#define SKIPPED		0x101
#define UNHANDLED	0x102

struct outcome {
	struct state state;
	unsigned int how;
	u32 error_code;
	u64 address;
};

struct test {
	struct emu_ctx ctx;
	struct state before;
	struct outcome native, emulated;
	u8 bytes[16];
	unsigned int len;
	enum emu_mode mode;
	bool outside;		/* touched memory that is not the test's */
};

static struct test t;
static u8 shadow[END - BASE];	/* memory as the emulator sees it */
static bool have_ldt;

/* ---- the CPU ---- */

static const int greg_of[EMU_NR_GPR] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static struct {
	volatile bool inside;
	gregset_t host;
	u8 host_xmm[256];
} native;

static u64 selectors(u16 cs, u16 ss, u64 old)
{
	return (old & 0x0000ffffffff0000ULL) | cs | (u64)ss << 48;
}

static void enter_guest(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	unsigned int i;
	u16 cs = USER_CS64, ss = USER_DS;

	if (t.mode == EMU_PROT32) {
		cs = USER_CS32;
	} else if (t.mode == EMU_PROT16) {
		cs = LDT_CODE16;
		ss = LDT_DATA16;
	}
	memcpy(native.host, g, sizeof(native.host));
	memcpy(native.host_xmm, uc->uc_mcontext.fpregs->_xmm, 256);
	for (i = 0; i < EMU_NR_GPR; i++)
		g[greg_of[i]] = t.before.regs.gpr[i];
	g[REG_RIP] = t.before.regs.rip;
	g[REG_EFL] = t.before.regs.rflags;
	g[REG_CSGSFS] = selectors(cs, ss, g[REG_CSGSFS]);
	memcpy(uc->uc_mcontext.fpregs->_xmm, t.before.xmm, 256);
	native.inside = true;
}

static void leave_guest(int sig, const siginfo_t *si, ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	struct outcome *o = &t.native;
	unsigned int i;

	for (i = 0; i < EMU_NR_GPR; i++)
		o->state.regs.gpr[i] = g[greg_of[i]];
	o->state.regs.rip = g[REG_RIP];
	o->state.regs.rflags = g[REG_EFL];
	memcpy(o->state.xmm, uc->uc_mcontext.fpregs->_xmm, 256);
	o->how = sig == SIGTRAP ? STEPPED : (unsigned int)g[REG_TRAPNO];
	o->error_code = g[REG_ERR];
	o->address = o->how == VEC_PF ? (u64)si->si_addr : 0;
	memcpy(g, native.host, sizeof(native.host));
	memcpy(uc->uc_mcontext.fpregs->_xmm, native.host_xmm, 256);
	native.inside = false;
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	/*
	 * The kernel leaves these as the test set them. The handler does not stand
	 * AC, and returning from a signal does not change NT and ID.
	 */
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() &
				       ~(FL_AC | FL_NT | FL_ID));
	if (native.inside) {
		leave_guest(sig, si, context);
	} else if (sig == SIGTRAP) {
		enter_guest(context);
	} else {
		signal(sig, SIG_DFL);
	}
}

static void run_native(void)
{
	memset((void *)CODE, 0xcc, PAGE);
	memcpy((void *)t.before.regs.rip + (t.mode == EMU_PROT16 ? BASE : 0), t.bytes, t.len);
	asm volatile("int3" ::: "memory");
}

static void set_up_signals(void)
{
	static const int sigs[] = { SIGTRAP, SIGSEGV, SIGFPE, SIGILL, SIGBUS };
	static u8 stack[65536] __attribute__((aligned(64)));
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	unsigned int i;

	sigaltstack(&ss, NULL);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
}

/* 16-bit code and data segments over the test's memory. */
static bool set_up_ldt(void)
{
	struct user_desc d = {
		.entry_number = LDT_CODE16 >> 3, .base_addr = BASE, .limit = SEG16_LIMIT,
		.contents = MODIFY_LDT_CONTENTS_CODE,
	};

	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
		return false;
	d.entry_number = LDT_DATA16 >> 3;
	d.contents = MODIFY_LDT_CONTENTS_DATA;
	return !syscall(SYS_modify_ldt, 1, &d, sizeof(d));
}

/*
 * Compatibility mode uses DS and ES; 64-bit code does not care what they hold. False if the selector is void: there
 * are machines that lose a process's LDT.
 */
static bool set_data_segments(u16 sel)
{
	bool writable;

	asm volatile("verw %1" : "=@ccz"(writable) : "r"(sel));
	if (writable)
		asm volatile("mov %0, %%ds; mov %0, %%es" :: "r"(sel));
	return writable;
}

static bool set_up_memory(void)
{
	void *p = mmap((void *)BASE, END - BASE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != (void *)BASE)
		return false;
	return !mprotect((void *)CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) &&
	       !mprotect((void *)DATA, DATA_SIZE, PROT_READ | PROT_WRITE) &&
	       !mprotect((void *)RODATA, PAGE, PROT_READ);
}

/* ---- the emulator's callbacks ---- */

static int op_translate(struct emu_ctx *ctx, u64 linear, unsigned int access, u64 *gpa)
{
	bool data = linear >= DATA && linear < DATA + DATA_SIZE;
	bool ro = linear >= RODATA && linear < RODATA + PAGE;

	*gpa = linear;
	if (data || (ro && !(access & EMU_ACC_WRITE)))
		return EMU_OK;
	/* Its own code page would do for reading, but the emulator's copy has no code. */
	if (linear < BASE + PAGE || linear >= END)
		t.outside = true;
	return emu_raise_pf(ctx, linear, (access & EMU_ACC_WRITE ? 2 : 0) | (ro ? 1 : 0) | 4);
}

static int op_read(struct emu_ctx *ctx, u64 gpa, void *buf, unsigned int len)
{
	(void)ctx;
	memcpy(buf, shadow + (gpa - BASE), len);
	return EMU_OK;
}

static int op_write(struct emu_ctx *ctx, u64 gpa, const void *buf, unsigned int len)
{
	(void)ctx;
	memcpy(shadow + (gpa - BASE), buf, len);
	return EMU_OK;
}

static int op_cmpxchg(struct emu_ctx *ctx, u64 gpa, void *old, const void *new, unsigned int len)
{
	u8 *p = shadow + (gpa - BASE);

	(void)ctx;
	if (!memcmp(p, old, len))
		memcpy(p, new, len);
	else
		memcpy(old, p, len);
	return EMU_OK;
}

static void op_get_segment(struct emu_ctx *ctx, enum emu_seg seg, struct emu_segment *s)
{
	const bool code = seg == EMU_CS;
	static const u16 names[3][2] = {
		{ LDT_DATA16, LDT_CODE16 }, { USER_DS, USER_CS32 }, { USER_DS, USER_CS64 },
	};
	unsigned int i = ctx->mode == EMU_PROT16 ? 0 : ctx->mode == EMU_PROT32 ? 1 : 2;

	s->attr = EMU_ATTR_P | EMU_ATTR_S | EMU_ATTR_DPL | (code ? 0xb : 3);
	s->selector = names[i][code];
	s->limit = i ? 0xffffffff : SEG16_LIMIT;
	s->base = i ? 0 : BASE;
	if (i == 1 || (i == 2 && !code))
		s->attr |= EMU_ATTR_DB | EMU_ATTR_G;
	if (i == 2 && code)
		s->attr |= EMU_ATTR_L;
	/* Null, as 64-bit processes have them; their bases are never used here. */
	if (seg == EMU_FS || seg == EMU_GS)
		memset(s, 0, sizeof(*s));
}

static int op_read_xmm(struct emu_ctx *ctx, unsigned int reg, void *buf, unsigned int len)
{
	(void)ctx;
	if (len != 16)
		return EMU_UNHANDLED;
	memcpy(buf, t.emulated.state.xmm[reg], 16);
	return EMU_OK;
}

static int op_write_xmm(struct emu_ctx *ctx, unsigned int reg, const void *buf, unsigned int len)
{
	(void)ctx;
	if (len == 8)
		return EMU_UNHANDLED;
	memcpy(t.emulated.state.xmm[reg], buf, 16);
	return EMU_OK;
}

static const struct emu_ops ops = {
	.translate = op_translate,
	.read = op_read,
	.write = op_write,
	.cmpxchg = op_cmpxchg,
	.get_segment = op_get_segment,
	.read_xmm = op_read_xmm,
	.write_xmm = op_write_xmm,
};

static void prepare_context(void)
{
	struct emu_ctx *ctx = &t.ctx;

	ctx->ops = &ops;
	ctx->vendor = __builtin_cpu_is("amd") ? EMU_AMD : EMU_INTEL;
	ctx->features = ~0u & ~EMU_FEAT_AVX;
	ctx->mode = t.mode;
	ctx->cpl = 3;
	/* AM as Linux has it; TS is lazily handled by nobody any more. */
	ctx->cr0 = CR0_PE | CR0_PG | CR0_AM | CR0_MP;
	ctx->cr4 = CR4_OSFXSR;
	ctx->efer = EFER_LMA;
	ctx->regs = t.before.regs;
	emu_start(ctx, t.bytes, 15);
}

static void run_emulated(void)
{
	struct outcome *o = &t.emulated;
	int rc;

	t.outside = false;
	memcpy(o->state.xmm, t.before.xmm, sizeof(o->state.xmm));
	prepare_context();
	rc = emu_run(&t.ctx);
	o->state.regs = t.ctx.regs;
	o->error_code = 0;
	o->address = 0;
	switch (rc) {
	case EMU_OK:
		o->how = STEPPED;
		break;
	case EMU_FAULT:
		o->how = t.ctx.fault.vector;
		o->error_code = t.ctx.fault.has_error ? t.ctx.fault.error_code : 0;
		o->address = t.ctx.fault.address;
		break;
	default:
		o->how = UNHANDLED;
	}
	if (t.outside)
		o->how = SKIPPED;
}

/* ---- random instructions ---- */

struct range {
	u8 first, last;
};

/* Left out: I/O, far transfers, segment loads, interrupts, escapes, prefixes. */
static const struct range one_byte_ok[] = {
	{ 0x00, 0x05 }, { 0x08, 0x0d }, { 0x10, 0x15 }, { 0x18, 0x1d }, { 0x20, 0x25 },
	{ 0x27, 0x2d }, { 0x2f, 0x35 }, { 0x37, 0x3d }, { 0x3f, 0x63 }, { 0x68, 0x6b },
	{ 0x70, 0x8d }, { 0x8f, 0x99 }, { 0x9c, 0xc3 }, { 0xc6, 0xc9 }, { 0xd0, 0xd7 },
	{ 0xe0, 0xe3 }, { 0xe8, 0xe9 }, { 0xeb, 0xeb }, { 0xf4, 0xfe }, { 0xff, 0xff },
};

static const struct range two_byte_ok[] = {
	{ 0x06, 0x06 }, { 0x09, 0x09 }, { 0x10, 0x13 }, { 0x16, 0x18 }, { 0x1f, 0x23 },
	{ 0x28, 0x29 }, { 0x2b, 0x2b }, { 0x30, 0x30 }, { 0x32, 0x32 }, { 0x40, 0x4f },
	{ 0x6e, 0x6f }, { 0x7e, 0x9f }, { 0xa3, 0xa5 }, { 0xab, 0xad }, { 0xaf, 0xb1 },
	{ 0xb3, 0xb3 }, { 0xb6, 0xb8 }, { 0xba, 0xc1 }, { 0xc3, 0xc3 }, { 0xc7, 0xcf },
	{ 0xd6, 0xd6 }, { 0xe7, 0xe7 }, { 0xf0, 0xf0 },
};

#define RANGES(a)	(a), sizeof(a) / sizeof((a)[0])

static bool in_ranges(const struct range *r, unsigned int n, u8 b)
{
	while (n--)
		if (b >= r[n].first && b <= r[n].last)
			return true;
	return false;
}

static u8 pick(const struct range *r, unsigned int n)
{
	const struct range *p = &r[below(n)];
	u8 b;

	/* Half of the time spread over the ranges, else over the opcodes. */
	if (one_in(2))
		return p->first + below(p->last - p->first + 1);
	do
		b = rnd();
	while (!in_ranges(r, n, b));
	return b;
}

static void emit(u8 b)
{
	if (t.len < 15)
		t.bytes[t.len++] = b;
}

static void emit_prefixes(void)
{
	if (one_in(12))
		emit(0xf0);
	if (one_in(4))
		emit(0x66);
	if (one_in(8))
		emit(0x67);
	if (one_in(5))
		emit(one_in(2) ? 0xf2 : 0xf3);
	if (t.mode == EMU_LONG64 && one_in(2))
		emit(0x40 | below(16));
}

static void emit_opcode(void)
{
	switch (below(8)) {
	case 0: case 1: case 2: case 3:
		emit(pick(RANGES(one_byte_ok)));
		break;
	case 7:
		emit(0x0f);
		emit(0x38);
		emit(0xf0 + below(2));
		break;
	default:
		emit(0x0f);
		emit(pick(RANGES(two_byte_ok)));
	}
}

static u64 random_value(void)
{
	switch (below(6)) {
	case 0:
		return below(70);
	case 1:
		return -(u64)below(70);
	case 2:
		return DATA + below(DATA_SIZE);
	case 3:
		return 1ULL << below(64);
	case 4:
		return rnd() & emu_mask(1 << below(4));
	}
	return rnd();
}

/* Point the base register at the data if there is one; else the displacement. */
static void aim(void)
{
	struct emu_ctx *ctx = &t.ctx;
	struct emu_insn *insn = &ctx->insn;
	u64 segment_base = t.mode == EMU_PROT16 ? BASE : 0;
	u64 target = DATA - segment_base + below(DATA_SIZE + PAGE + 32);
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7, reg;
	static const u8 base16[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };

	if (!insn->has_modrm || !insn->has_mem)
		return;
	reg = rm;
	if (insn->adsize == 2) {
		if (mod == 0 && rm == 6)
			return;
		reg = base16[rm];
	} else if (rm == 4) {
		reg = insn->sib & 7;
		if (reg == 5 && !mod)
			return;
	} else if (rm == 5 && !mod) {
		return;
	}
	if (insn->adsize != 2 && (insn->rex & 1))
		reg |= 8;
	t.before.regs.gpr[reg] += target - insn->ea;
	if (t.mode != EMU_LONG64)
		t.before.regs.gpr[reg] &= 0xffffffff;
}

/* Without a base register the address is in the instruction: put it there. */
static void aim_absolute(void)
{
	struct emu_insn *insn = &t.ctx.insn;
	unsigned int i;
	u64 segment_base = t.mode == EMU_PROT16 ? BASE : 0;
	u32 target = DATA - segment_base + below(DATA_SIZE);
	bool absolute = insn->has_mem && (!insn->has_modrm || insn->modrm < 0x40);
	unsigned int size = insn->adsize == 2 ? 2 : 4;
	u32 disp = target + insn->disp - insn->ea;

	if (!absolute || !insn->disp)
		return;
	for (i = 1; i + size <= insn->len; i++) {
		if (memcmp(t.bytes + i, &insn->disp, size))
			continue;
		memcpy(t.bytes + i, &disp, size);
		/* moffs in 64-bit mode: 8 bytes */
		if (!insn->has_modrm && insn->adsize == 8)
			memset(t.bytes + i + 4, 0, 4);
		return;
	}
}

static void random_state(void)
{
	struct emu_regs *r = &t.before.regs;
	unsigned int i;

	for (i = 0; i < EMU_NR_GPR; i++) {
		r->gpr[i] = random_value();
		/* What 32-bit code leaves in the upper halves is nobody's business. */
		if (t.mode != EMU_LONG64)
			r->gpr[i] &= 0xffffffff;
	}
	r->gpr[EMU_RSP] = DATA + 512 + below(DATA_SIZE - 1024);
	if (one_in(2))
		r->gpr[EMU_RSI] = DATA + below(DATA_SIZE + PAGE);
	if (one_in(2))
		r->gpr[EMU_RDI] = DATA + below(DATA_SIZE);
	if (one_in(2))
		r->gpr[EMU_RBP] = DATA + 512 + below(DATA_SIZE - 1024);
	if (one_in(4))
		r->gpr[EMU_RCX] = below(4);
	if (one_in(3))
		r->gpr[EMU_RDX] = one_in(2) ? 0 : ~0ULL & (t.mode == EMU_LONG64 ? ~0ULL : ~0u);
	r->rip = CODE + 64 + below(1024);
	if (t.mode == EMU_PROT16) {
		static const u8 point[] = { EMU_RSP, EMU_RSI, EMU_RDI, EMU_RBP };

		for (i = 0; i < 4; i++)
			r->gpr[point[i]] &= 0x7fff;
		r->rip -= BASE;
	}
	r->rflags = (rnd() & (FL_STATUS | FL_DF)) | FL_FIXED | FL_IF | FL_TF;
	if (one_in(16))
		r->rflags |= FL_AC;
	for (i = 0; i < 16 * 16; i++)
		((u8 *)t.before.xmm)[i] = rnd();
}

static void random_mode(void)
{
	unsigned int n = below(8);

	t.mode = n < 5 ? EMU_LONG64 : n == 5 && have_ldt ? EMU_PROT16 : EMU_PROT32;
}

static bool acceptable(void)
{
	const struct emu_insn *insn = &t.ctx.insn;
	const struct emu_opcode *op = t.ctx.op;
	unsigned int reg = (insn->modrm >> 3) & 7;

	if (!op->exec || (insn->prefix & (EMU_PFX_SEG | EMU_PFX_VEX)))
		return false;
	/* The bytes that follow a prefix or REX are random. */
	if (insn->map == EMU_MAP_1BYTE && !in_ranges(RANGES(one_byte_ok), insn->opcode))
		return false;
	if (insn->map == EMU_MAP_0F && !in_ranges(RANGES(two_byte_ok), insn->opcode))
		return false;
	if (insn->map == EMU_MAP_1BYTE && insn->opcode == 0xff && (reg == 3 || reg == 5))
		return false;
	if (insn->map == EMU_MAP_0F && insn->opcode == 0xc7 && !insn->has_mem)
		return false;
	/* LOOPcc with REP or REPNE: undefined, and AMD takes the condition from there. */
	if (insn->map == EMU_MAP_1BYTE && (insn->opcode == 0xe0 || insn->opcode == 0xe1) &&
	    (insn->prefix & (EMU_PFX_REP | EMU_PFX_REPNE)))
		return false;
	return true;
}

/* Make a case. Returns false if the random bytes are of no use. */
static bool generate(void)
{
	unsigned int i;

	random_mode();
	random_state();
	t.len = 0;
	emit_prefixes();
	emit_opcode();
	for (i = t.len; i < 15; i++)
		t.bytes[i] = rnd();
	/* Small displacements and immediates. */
	if (one_in(2))
		for (i = t.len + 2; i < 15; i++)
			if (one_in(2))
				t.bytes[i] = 0;
	prepare_context();
	if (emu_decode(&t.ctx) != EMU_OK || !acceptable())
		return false;
	t.len = t.ctx.insn.len;
	aim_absolute();
	prepare_context();
	if (emu_decode(&t.ctx) != EMU_OK || !acceptable())
		return false;
	if (!one_in(20))
		aim();
	return true;
}

/* ---- comparison ---- */

static bool same_registers(void)
{
	const struct emu_regs *n = &t.native.state.regs, *e = &t.emulated.state.regs;
	u64 mask = t.mode == EMU_LONG64 ? ~0ULL : 0xffffffff;
	unsigned int i, last = t.mode == EMU_LONG64 ? 16 : 8;

	for (i = 0; i < last; i++)
		if ((n->gpr[i] ^ e->gpr[i]) & mask)
			return false;
	return n->rip == e->rip && !memcmp(t.native.state.xmm, t.emulated.state.xmm, 256);
}

static bool same(void)
{
	const struct outcome *n = &t.native, *e = &t.emulated;
	const struct emu_insn *insn = &t.ctx.insn;
	u64 rcx = t.before.regs.gpr[EMU_RCX];
	u64 flags = COMPARED_FLAGS & ~(undefined_flags(insn, rcx) & ~tzcnt_flags(insn));

	/* Which of the two loads of CMPS comes first is up to the CPU. */
	if (t.ctx.insn.map == EMU_MAP_1BYTE && (t.ctx.insn.opcode & 0xfe) == 0xa6 &&
	    n->how != STEPPED && e->how != STEPPED)
		return true;
	if (n->how != e->how)
		return false;
	if (n->how != STEPPED)
		return n->error_code == e->error_code && n->address == e->address &&
		       n->state.regs.rip == e->state.regs.rip;
	if (undefined_result(insn, rcx))
		return true;
	return same_registers() && !((n->state.regs.rflags ^ e->state.regs.rflags) & flags) &&
	       !memcmp((void *)DATA, shadow + (DATA - BASE), DATA_SIZE);
}

static void show_state(const char *name, const struct state *s)
{
	unsigned int i;

	printf("# %-8s rip %016llx flags %06llx\n", name, (unsigned long long)s->regs.rip,
	       (unsigned long long)s->regs.rflags);
	for (i = 0; i < 16; i++)
		printf("%s%016llx%s", i % 4 ? " " : "#   ", (unsigned long long)s->regs.gpr[i],
		       i % 4 == 3 ? "\n" : "");
}

static void show_case(unsigned long number)
{
	static const char *const modes[] = { "real", "v86", "16", "32", "64" };
	unsigned int i;

	printf("# case %lu mode %s:", number, modes[t.mode]);
	for (i = 0; i < t.len; i++)
		printf(" %02x", t.bytes[i]);
	printf("\n# native %x error %x address %llx; emulated %x error %x address %llx\n",
	       t.native.how, t.native.error_code, (unsigned long long)t.native.address,
	       t.emulated.how, t.emulated.error_code, (unsigned long long)t.emulated.address);
	show_state("before", &t.before);
	show_state("native", &t.native.state);
	show_state("emulated", &t.emulated.state);
	for (i = 0; i < DATA_SIZE; i++)
		if (((u8 *)DATA)[i] != shadow[DATA - BASE + i])
			printf("# memory %lx: native %02x emulated %02x\n", DATA + i,
			       ((u8 *)DATA)[i], shadow[DATA - BASE + i]);
}

/* Memory of both sides the same again. */
static void equalize(void)
{
	memcpy(shadow + (DATA - BASE), (void *)DATA, DATA_SIZE);
	memcpy(shadow + (RODATA - BASE), (void *)RODATA, PAGE);
}

struct tally {
	unsigned long run, faults, skipped, foreign, mismatches;
};

/*
 * Does the machine run a NOP from the state of the case? Some machines are guests of hypervisors that run no 32-bit
 * code, or none with a stack pointer that is not canonical: then it is not the instruction that faults there.
 */
static bool state_runs(void)
{
	struct outcome outcome = t.native;
	u8 bytes[sizeof(t.bytes)];
	unsigned int len = t.len;
	bool stepped;

	memcpy(bytes, t.bytes, sizeof(bytes));
	t.bytes[0] = 0x90;
	t.len = 1;
	run_native();
	stepped = t.native.how == STEPPED;
	memcpy(t.bytes, bytes, sizeof(bytes));
	t.len = len;
	t.native = outcome;
	return stepped;
}

static void run_case(unsigned long number, struct tally *tally)
{
	run_emulated();
	if (t.emulated.how == SKIPPED || t.emulated.how == UNHANDLED) {
		tally->skipped++;
		equalize();
		return;
	}
	tally->run++;
	if (!set_data_segments(t.mode == EMU_PROT16 ? LDT_DATA16 : USER_DS)) {
		tally->foreign++;
		equalize();
		return;
	}
	run_native();
	tally->faults += t.native.how != STEPPED;
	if (!same()) {
		if (!state_runs())
			tally->foreign++;
		else if (tally->mismatches++ < 10)
			show_case(number);
		equalize();
	} else if (t.native.how != STEPPED ||
		   undefined_result(&t.ctx.insn, t.before.regs.gpr[EMU_RCX])) {
		equalize();
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' }, { "seed", required_argument, NULL, 's' },
		{ "case", required_argument, NULL, 'n' }, { 0 },
	};
	unsigned long count = 100000, only = 0, i;
	u64 seed = 1;
	struct tally tally = { 0 };
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
	if (!set_up_memory()) {
		tap_skip("random instructions as on the CPU", "no memory at the fixed address");
		return tap_done();
	}
	have_ldt = set_up_ldt();
	set_up_signals();
	rng_state = seed;
	for (i = 0; i < DATA_SIZE; i++)
		((u8 *)DATA)[i] = rnd();
	equalize();
	for (i = only ? only : 1; i <= (only ? only : count); i++) {
		rng_state = seed * 0x100000001b3ULL + i;
		if (generate())
			run_case(i, &tally);
	}
	set_data_segments(USER_DS);
	printf("# seed %llu: %lu run, %lu of them faults, %lu from states that the machine does not run; %lu left out\n",
	       (unsigned long long)seed, tally.run, tally.faults, tally.foreign, tally.skipped);
	if (tally.foreign)
		tap_skip("all states", "the machine does not run them all, whatever the instruction");
	tap_ok(tally.run - tally.foreign > (only ? 0 : count / 3) && !tally.mismatches,
	       "random instructions as on the CPU: %lu differ", tally.mismatches);
	return tap_done();
}
