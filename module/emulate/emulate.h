/* SPDX-License-Identifier: GPL-2.0 */
/*
 * x86 instruction decoder and executor.
 *
 * A library over a small callback interface: it knows no vCPU, no kernel and no
 * vendor's control block. The caller embeds a struct emu_ctx in its vCPU, fills
 * in the inputs, and calls emu_run(). Registers are changed only when an
 * instruction, or an iteration of a REP string instruction, completed. A fault or a
 * request for help leaves them as they were before it, which for REP may be some
 * iterations on: EMU_FX_COMMITTED says so.
 *
 * Replay
 * ------
 * An instruction may need several things that only user space can do (two MMIO
 * reads, a read and a write, both halves of an access that crosses a page).
 * Everything an instruction does to memory and ports is an event; events are
 * logged in the order they happen, with the data that was read. When an event
 * cannot be completed at once, emu_run() returns EMU_IO_NEEDED; the caller
 * obtains the result, hands it over with emu_complete() and calls emu_run()
 * again. The instruction starts over, takes what was done from the log, and
 * does only what is still missing. So nothing is read or written twice, and
 * what other vCPUs do to memory meanwhile cannot make the passes diverge.
 */
#ifndef NESTOR_EMULATE_H
#define NESTOR_EMULATE_H

#include "types.h"

struct emu_ctx;

/* What emu_run(), and each callback, may answer. */
enum emu_result {
	/* Done. emu_run(): the registers in ctx->regs are those after the instruction. */
	EMU_OK,
	/* The instruction raises ctx->fault. Registers are those before it, or see EMU_FX_COMMITTED. */
	EMU_FAULT,
	/* An event needs user space; see ctx->pending, emu_complete(). */
	EMU_IO_NEEDED,
	/* Nothing to complete, but not now: call emu_run() again (e.g. a host page must be brought in). */
	EMU_RETRY,
	/* A callback found that a guest hypervisor intercepts this; the caller knows the rest. */
	EMU_INTERCEPTED,
	/* Not an instruction that this library executes; report ctx->insn_bytes. */
	EMU_UNHANDLED,
};

enum emu_mode {
	EMU_REAL,	/* CR0.PE = 0 */
	EMU_V86,	/* RFLAGS.VM = 1 */
	EMU_PROT16,	/* protected or compatibility mode, CS.D = 0 */
	EMU_PROT32,	/* protected or compatibility mode, CS.D = 1 */
	EMU_LONG64,	/* EFER.LMA = 1 and CS.L = 1 */
};

enum emu_vendor { EMU_INTEL, EMU_AMD };

/* Index in emu_regs.gpr: the hardware's register numbers. */
enum emu_gpr {
	EMU_RAX, EMU_RCX, EMU_RDX, EMU_RBX, EMU_RSP, EMU_RBP, EMU_RSI, EMU_RDI,
	EMU_R8, EMU_R9, EMU_R10, EMU_R11, EMU_R12, EMU_R13, EMU_R14, EMU_R15,
	EMU_NR_GPR
};

/* The first six in the hardware's numbering. */
enum emu_seg {
	EMU_ES, EMU_CS, EMU_SS, EMU_DS, EMU_FS, EMU_GS, EMU_TR, EMU_LDTR,
	EMU_NR_SEG
};

enum emu_table { EMU_GDTR, EMU_IDTR };

/*
 * Segment attributes: bytes 5 and 6 of a descriptor with the limit bits
 * cleared, which is also the layout of the VMX access-rights field. Present
 * clear means the register holds a null selector (VMX: unusable). The DPL of SS
 * holds the CPL even then.
 */
#define EMU_ATTR_TYPE		0x000f
#define EMU_ATTR_S		0x0010
#define EMU_ATTR_DPL		0x0060
#define EMU_ATTR_DPL_SHIFT	5
#define EMU_ATTR_P		0x0080
#define EMU_ATTR_AVL		0x1000
#define EMU_ATTR_L		0x2000
#define EMU_ATTR_DB		0x4000
#define EMU_ATTR_G		0x8000

/**
 * struct emu_segment - a segment register with its hidden part
 * @base: linear base address
 * @limit: limit in bytes, already scaled by the granularity bit
 * @selector: visible part
 * @attr: EMU_ATTR_*
 */
struct emu_segment {
	u64 base;
	u32 limit;
	u16 selector;
	u16 attr;
};

struct emu_regs {
	u64 gpr[EMU_NR_GPR];
	u64 rip;
	u64 rflags;
};

/* Kinds of events that the architecture does not deliver as plain faults. */
enum emu_fault_type {
	EMU_EXCEPTION,	/* hardware exception, a fault: RIP is the instruction's */
	EMU_SOFT_INT,	/* INT n: inject as software interrupt, length ctx->insn.len */
	EMU_SOFT_EXC,	/* INT3, INTO: inject as software exception, same length */
	EMU_PRIV_EXC,	/* INT1: privileged software exception (#DB), same length */
};

/**
 * struct emu_fault - what EMU_FAULT asks the caller to inject
 * @vector: exception or interrupt vector
 * @type: enum emu_fault_type
 * @has_error: @error_code is pushed
 * @error_code: error code
 * @address: page faults: the linear address for CR2; #DB: bits to set in DR6
 */
struct emu_fault {
	u8 vector;
	u8 type;
	bool has_error;
	u32 error_code;
	u64 address;
};

/* emu_ops.translate: why the address is wanted. */
#define EMU_ACC_READ		0x01
#define EMU_ACC_WRITE		0x02
#define EMU_ACC_FETCH		0x04
/* A user-mode access, else supervisor; ctx->cpl may differ (delivery to an inner stack). */
#define EMU_ACC_USER		0x08
/* Implicit supervisor access (descriptor tables, TSS): SMAP applies whatever RFLAGS.AC says. */
#define EMU_ACC_IMPLICIT	0x10

/* ctx->pending.kind */
enum emu_event_kind {
	EMU_EV_NONE,
	EMU_EV_READ,	/* memory at .addr (guest physical) */
	EMU_EV_WRITE,
	EMU_EV_IN,	/* port .addr, .count units of .size bytes */
	EMU_EV_OUT,
};

/* What a guest hypervisor may intercept: emu_intercept.what */
enum emu_icpt {
	EMU_ICPT_CR_READ,	/* .reg control register, .gpr destination */
	EMU_ICPT_CR_WRITE,	/* .reg, .gpr source, .value new value */
	EMU_ICPT_DR_READ, EMU_ICPT_DR_WRITE,
	EMU_ICPT_CLTS, EMU_ICPT_LMSW, EMU_ICPT_SMSW,
	EMU_ICPT_IO_IN, EMU_ICPT_IO_OUT, /* .port .size .rep .string .count .seg .value linear address */
	EMU_ICPT_MSR_READ, EMU_ICPT_MSR_WRITE, /* .value: MSR index */
	EMU_ICPT_CPUID, EMU_ICPT_HLT, EMU_ICPT_INVLPG, EMU_ICPT_INVD, EMU_ICPT_WBINVD,
	EMU_ICPT_RDTSC, EMU_ICPT_RDTSCP, EMU_ICPT_RDPMC, EMU_ICPT_PAUSE,
	EMU_ICPT_SGDT, EMU_ICPT_SIDT, EMU_ICPT_LGDT, EMU_ICPT_LIDT, /* .value: linear address */
	EMU_ICPT_SLDT, EMU_ICPT_STR, EMU_ICPT_LLDT, EMU_ICPT_LTR,
	EMU_ICPT_PUSHF, EMU_ICPT_POPF, EMU_ICPT_IRET, EMU_ICPT_INTN, /* .value: vector */
	EMU_ICPT_XSETBV, EMU_ICPT_TASK_SWITCH,
};

/**
 * struct emu_intercept - one question to emu_ops.intercept
 * @what: enum emu_icpt
 * @checked: false before, true after the privilege checks of the instruction:
 *	the vendors disagree about which comes first, per instruction
 * @rep: REP prefix (string I/O)
 * @string: INS or OUTS
 * @size: operand size in bytes
 * @adsize: address size in bytes
 * @reg: control or debug register number
 * @gpr: general register operand, or 0xff
 * @seg: segment of the memory operand
 * @port: I/O port
 * @count: iterations for REP string I/O
 * @value: see enum emu_icpt
 */
struct emu_intercept {
	u8 what;
	bool checked;
	bool rep;
	bool string;
	u8 size;
	u8 adsize;
	u8 reg;
	u8 gpr;
	u8 seg;
	u16 port;
	u64 count;
	u64 value;
};

/**
 * struct emu_ops - what the library asks of its user
 *
 * All return enum emu_result unless said otherwise; EMU_FAULT after filling
 * ctx->fault with emu_raise() or emu_raise_pf(). No access passed to @fetch,
 * @read, @write or @cmpxchg crosses a 4 KiB page.
 *
 * @fetch: read 1 to 15 instruction bytes at linear address @linear, with the
 *	checks of an instruction fetch
 * @translate: walk the guest's page tables for @access (EMU_ACC_*), set
 *	accessed and dirty bits, store the guest-physical address. Called for every
 *	page of an access before anything is read or written
 * @read, @write: @len is 1 to 8. MMIO that needs user space: EMU_IO_NEEDED. A
 *	write may instead be queued by the caller and answered EMU_OK (posted); the
 *	caller then performs it before the guest runs on
 * @read_ram, @write_ram: optional (NULL), for string I/O: all of @len bytes, up to a
 *	page, at once. EMU_UNHANDLED, with nothing done, if there is no plain memory
 * @cmpxchg: atomically replace @len (1, 2, 4, 8 or 16) bytes at @gpa by @new if they
 *	equal @old; always store the bytes found in @old. What cannot be done
 *	atomically (MMIO) is written unconditionally and @old left alone
 * @pio_in, @pio_out: @count units of @size bytes (1, 2, 4). Only INS and OUTS
 *	have @count above 1, and only if ctx->batch is given (OUTS: and @read_ram)
 * @get_segment, @set_segment: hidden part included. @set_segment cannot fail
 * @get_table, @set_table: GDTR and IDTR
 * @get_cr, @set_cr: CR0, CR2, CR3, CR4, CR8; @set_cr raises #GP for values the
 *	architecture refuses, and on success updates @cr0, @cr4 and @efer (LMA) of the
 *	context, from which reads of CR0 and CR4 are served
 * @get_dr, @set_dr: DR0 to DR7; DR4 and DR5 never
 * @get_msr, @set_msr: also of U_CET and S_CET when CR4.CET is set. EMU_FAULT (#GP)
 *	where the guest has no such MSR. @set_msr of EFER updates @efer of the context
 * @rdpmc: as RDPMC
 * @set_xcr: as XSETBV after the privilege check
 * @cpuid: leaf and subleaf in *eax, *ecx; all four are outputs
 * @read_xmm, @write_xmm: @len 8, 16 or 32 bytes of MMX/XMM/YMM register @reg;
 *	@write_xmm with 32 sets the whole YMM register. EMU_UNHANDLED if it cannot
 * @invlpg: address of INVLPG
 * @wbinvd: WBINVD, INVD, WBNOINVD
 * @intercept: may be NULL when no guest hypervisor is involved. EMU_OK or
 *	EMU_INTERCEPTED
 */
struct emu_ops {
	int (*fetch)(struct emu_ctx *ctx, u64 linear, void *buf, unsigned int len);
	int (*translate)(struct emu_ctx *ctx, u64 linear, unsigned int access, u64 *gpa);
	int (*read)(struct emu_ctx *ctx, u64 gpa, void *buf, unsigned int len);
	int (*write)(struct emu_ctx *ctx, u64 gpa, const void *buf, unsigned int len);
	int (*read_ram)(struct emu_ctx *ctx, u64 gpa, void *buf, unsigned int len);
	int (*write_ram)(struct emu_ctx *ctx, u64 gpa, const void *buf, unsigned int len);
	int (*cmpxchg)(struct emu_ctx *ctx, u64 gpa, void *old, const void *new, unsigned int len);
	int (*pio_in)(struct emu_ctx *ctx, u16 port, unsigned int size, void *buf,
		      unsigned int count);
	int (*pio_out)(struct emu_ctx *ctx, u16 port, unsigned int size, const void *buf,
		       unsigned int count);
	void (*get_segment)(struct emu_ctx *ctx, enum emu_seg seg, struct emu_segment *s);
	void (*set_segment)(struct emu_ctx *ctx, enum emu_seg seg, const struct emu_segment *s);
	void (*get_table)(struct emu_ctx *ctx, enum emu_table table, u64 *base, u16 *limit);
	void (*set_table)(struct emu_ctx *ctx, enum emu_table table, u64 base, u16 limit);
	int (*get_cr)(struct emu_ctx *ctx, unsigned int cr, u64 *val);
	int (*set_cr)(struct emu_ctx *ctx, unsigned int cr, u64 val);
	int (*get_dr)(struct emu_ctx *ctx, unsigned int dr, u64 *val);
	int (*set_dr)(struct emu_ctx *ctx, unsigned int dr, u64 val);
	int (*get_msr)(struct emu_ctx *ctx, u32 msr, u64 *val);
	int (*set_msr)(struct emu_ctx *ctx, u32 msr, u64 val);
	int (*rdpmc)(struct emu_ctx *ctx, u32 index, u64 *val);
	int (*set_xcr)(struct emu_ctx *ctx, u32 index, u64 val);
	int (*cpuid)(struct emu_ctx *ctx, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
	int (*read_xmm)(struct emu_ctx *ctx, unsigned int reg, void *buf, unsigned int len);
	int (*write_xmm)(struct emu_ctx *ctx, unsigned int reg, const void *buf, unsigned int len);
	int (*invlpg)(struct emu_ctx *ctx, u64 linear);
	int (*wbinvd)(struct emu_ctx *ctx);
	int (*intercept)(struct emu_ctx *ctx, const struct emu_intercept *info);
};

/* ctx->features: instructions that #UD (or mean another one) where the guest's CPUID lacks them. */
#define EMU_FEAT_MOVBE		0x0001
#define EMU_FEAT_POPCNT		0x0002
#define EMU_FEAT_LZCNT		0x0004	/* without it LZCNT is BSR */
#define EMU_FEAT_BMI1		0x0008	/* without it TZCNT is BSF */
#define EMU_FEAT_CX16		0x0010
#define EMU_FEAT_RDTSCP		0x0020
#define EMU_FEAT_RDPID		0x0040
#define EMU_FEAT_CLFLUSHOPT	0x0080
#define EMU_FEAT_CLWB		0x0100
#define EMU_FEAT_FSGSBASE	0x0200
#define EMU_FEAT_AVX		0x0400
#define EMU_FEAT_LAHF64		0x0800

/* ctx->effects, valid after EMU_OK; EMU_FX_COMMITTED after everything */
#define EMU_FX_STEP		0x0001	/* RFLAGS.TF was set: deliver a single-step #DB (DR6.BS) */
#define EMU_FX_SHADOW_STI	0x0002	/* interrupts blocked for one instruction by STI */
#define EMU_FX_SHADOW_SS	0x0004	/* ... by MOV SS or POP SS */
#define EMU_FX_REP		0x0008	/* REP not finished: RIP still at the instruction */
#define EMU_FX_HLT		0x0010	/* HLT executed */
#define EMU_FX_IRET		0x0020	/* IRET executed: NMIs are unblocked */
#define EMU_FX_MODE		0x0040	/* CR0, CR4, EFER, CS, CPL or RFLAGS.VM changed: derive mode anew */
#define EMU_FX_TASK_TRAP	0x0080	/* task switch to a TSS with the T bit: #DB (DR6.BT) */
/*
 * ctx->regs (and segments) changed, whatever the result: iterations before the one
 * that faults or waits are done, or a task switch happened before its fault.
 */
#define EMU_FX_COMMITTED	0x0100

/* emu_insn.prefix */
#define EMU_PFX_LOCK		0x01
#define EMU_PFX_REP		0x02	/* F3 */
#define EMU_PFX_REPNE		0x04	/* F2 */
#define EMU_PFX_OPSIZE		0x08	/* 66 */
#define EMU_PFX_ADSIZE		0x10	/* 67 */
#define EMU_PFX_REX		0x20
#define EMU_PFX_VEX		0x40	/* VEX, XOP or EVEX */
#define EMU_PFX_SEG		0x80

/* emu_insn.map: where the opcode byte is looked up */
enum emu_map {
	EMU_MAP_1BYTE, EMU_MAP_0F, EMU_MAP_0F38, EMU_MAP_0F3A, EMU_MAP_3DNOW,
	EMU_MAP_OTHER	/* XOP and EVEX maps past 3: length only */
};

/**
 * struct emu_insn - result of decoding
 * @len: length in bytes, 1 to 15
 * @prefix: EMU_PFX_*
 * @rex: REX byte or its equivalent bits from VEX (W 8, R 4, X 2, B 1)
 * @map: enum emu_map
 * @opcode: last opcode byte
 * @modrm: ModRM byte if @has_modrm
 * @opsize, @adsize: operand and address size in bytes
 * @seg: segment of the memory operand (enum emu_seg), defaults applied
 * @sib, @disp: SIB byte and displacement, as encoded
 * @has_modrm: there is a ModRM byte
 * @has_mem: ModRM names memory (or the opcode has an absolute offset): @ea is valid
 * @vex_l, @vex_v: VEX.L (0, 1; EVEX 2) and the register in VEX.vvvv
 * @ea: effective address, not yet linear (emu_linear())
 * @imm: first immediate or displacement of a branch, sign-extended as defined
 * @imm2: second one: ENTER's level, the selector of a far pointer
 * @next_rip: address of the next instruction, truncated to the mode's width
 */
struct emu_insn {
	u8 len;
	u8 prefix;
	u8 rex;
	u8 map;
	u8 opcode;
	u8 modrm;
	u8 opsize;
	u8 adsize;
	u8 seg;
	u8 vex_l;
	u8 vex_v;
	u8 sib;
	bool has_modrm;
	bool has_mem;
	u64 disp;
	u64 ea;
	u64 imm;
	u64 imm2;
	u64 next_rip;
};

#define EMU_MAX_INSN		15
#define EMU_LOG_EVENTS		72
/* Iterations of a REP string instruction that one emu_run() performs at most. */
#define EMU_REP_BATCH		64

/* Private: an operand as it is being worked on. */
struct emu_operand {
	u8 type;
	u8 size;	/* bytes */
	u8 reg;
	u64 ea;		/* memory: effective address, in segment insn.seg */
	u64 val;
	u64 orig;	/* memory: value read, for a locked write */
};

/* Private: a translation made earlier in the same emu_run(). */
struct emu_translation {
	u64 page;
	u64 frame;
	u8 access;	/* 0: empty */
};

/**
 * struct emu_ctx - one emulation; embedded in its owner
 *
 * Inputs are set by the caller before emu_start(); outputs are valid as said
 * at enum emu_result. The rest is the library's.
 *
 * @ops: the callbacks
 * @vendor: enum emu_vendor of the guest's CPU
 * @features: EMU_FEAT_*
 * @batch: buffer for string I/O, or NULL: then one unit per event
 * @batch_size: its size in bytes
 * @mode, @cpl: in and out; emu_mode_of() derives the mode
 * @cr0, @cr4, @efer: as the guest sees them
 * @regs: in and out
 * @insn_bytes, @insn_len: instruction bytes already known (0: none). Further
 *	bytes are fetched as needed
 * @effects: out, EMU_FX_*
 * @fault: out, for EMU_FAULT
 * @pending: out, the event that EMU_IO_NEEDED waits for. .data holds what is to
 *	be written; for EMU_EV_OUT with .count above 1 @batch does
 * @insn: out of emu_decode() and emu_run()
 */
struct emu_ctx {
	const struct emu_ops *ops;
	u32 features;
	u8 vendor;
	u8 mode;
	u8 cpl;
	u8 insn_len;
	u8 insn_bytes[EMU_MAX_INSN];
	u8 *batch;
	u32 batch_size;
	u32 effects;
	u64 cr0, cr4, efer;
	struct emu_regs regs;
	struct emu_fault fault;
	struct {
		u8 kind;	/* enum emu_event_kind */
		u8 size;	/* bytes; for port I/O, of one unit */
		u32 count;	/* port I/O: units */
		u64 addr;	/* guest-physical address or port */
		u64 data;
	} pending;
	struct emu_insn insn;

	/* Private from here on. */
	const struct emu_opcode *op;
	struct emu_operand dst, src;
	struct emu_regs w;		/* registers of the instruction in progress */
	struct emu_segment seg[EMU_NR_SEG];
	u8 seg_valid, seg_dirty;	/* bit per segment: in @seg; to be written back */
	u8 new_cpl;
	u8 entry_mode;			/* mode before the instruction */
	bool decoded;
	u8 log_done;			/* events done in this and earlier passes */
	u8 log_pos;			/* next event of this pass */
	u32 batch_pos, batch_end;	/* string I/O: bytes stored, bytes in @batch or @unit */
	u64 unit;			/* INS, OUTS: stands in for @batch */
	struct emu_translation tlb[2];
	u64 log[EMU_LOG_EVENTS];
};

/**
 * emu_start() - begin with the instruction at ctx->regs.rip
 * @ctx: context; inputs other than @insn_len and @insn_bytes are set
 * @bytes: instruction bytes already known, or NULL
 * @len: their number, at most 15
 *
 * Drops whatever an earlier, unfinished emulation left, so it is also the way to
 * abandon one (the guest was reset, or user space changed its registers).
 */
void emu_start(struct emu_ctx *ctx, const void *bytes, unsigned int len);

/**
 * emu_decode() - decode without executing
 * @ctx: context after emu_start()
 *
 * Return: EMU_OK with ctx->insn filled in, also for instructions that
 * emu_run() does not execute; EMU_FAULT (#UD; #GP for too many bytes; what
 * fetching raised); EMU_RETRY; EMU_UNHANDLED if the bytes could not be fetched.
 */
int emu_decode(struct emu_ctx *ctx);

/**
 * emu_run() - execute one instruction, or go on with it
 * @ctx: context after emu_start() or, following EMU_IO_NEEDED, emu_complete()
 *
 * A REP string instruction stops after EMU_REP_BATCH iterations or after a
 * batch of port I/O, with EMU_FX_REP set and RIP unchanged, so that interrupts
 * can be taken.
 *
 * Return: enum emu_result.
 */
int emu_run(struct emu_ctx *ctx);

/**
 * emu_complete() - hand over the result of ctx->pending
 * @ctx: context that returned EMU_IO_NEEDED
 * @data: for EMU_EV_READ and EMU_EV_IN, pending.size * pending.count bytes; else
 *	ignored. Read once, so it may lie in memory shared with user space
 */
void emu_complete(struct emu_ctx *ctx, const void *data);

/**
 * emu_insn_length() - length of an instruction
 * @bytes: code
 * @len: bytes there
 * @mode: enum emu_mode
 *
 * Return: 1 to 15; 0 if @len bytes do not hold a complete instruction; -1 if
 * the bytes are no instruction or longer than 15.
 */
int emu_insn_length(const void *bytes, unsigned int len, enum emu_mode mode);

/**
 * emu_task_switch() - perform a hardware task switch
 * @ctx: context after emu_start(); ctx->regs.rip is the RIP to be saved
 * @selector: selector of the new TSS
 * @reason: enum emu_task_reason
 * @has_error: push @error_code onto the new task's stack
 * @error_code: error code
 *
 * SDM, Task Management. Return: as emu_run().
 */
enum emu_task_reason { EMU_TASK_CALL, EMU_TASK_IRET, EMU_TASK_JMP, EMU_TASK_GATE };
int emu_task_switch(struct emu_ctx *ctx, u16 selector, enum emu_task_reason reason,
		    bool has_error, u32 error_code);

/**
 * emu_mode_of() - mode from register values
 * @cr0: CR0
 * @efer: EFER
 * @rflags: RFLAGS
 * @cs_attr: EMU_ATTR_* of CS
 *
 * Return: the mode.
 */
enum emu_mode emu_mode_of(u64 cr0, u64 efer, u64 rflags, u16 cs_attr);

/**
 * emu_linear() - linear address of an access by the decoded instruction
 * @ctx: context after emu_decode()
 * @seg: segment register
 * @ea: effective address
 * @len: bytes accessed; 0 checks nothing (INVLPG, decoding for an intercept)
 * @access: EMU_ACC_*
 * @linear: result
 *
 * Return: EMU_OK or EMU_FAULT (#GP, #SS) by limit, rights and canonicality.
 */
int emu_linear(struct emu_ctx *ctx, enum emu_seg seg, u64 ea, unsigned int len,
	       unsigned int access, u64 *linear);

/* For callbacks: record an exception. Both return EMU_FAULT. */
int emu_raise(struct emu_ctx *ctx, u8 vector, bool has_error, u32 error_code);
int emu_raise_pf(struct emu_ctx *ctx, u64 linear, u32 error_code);

#endif
