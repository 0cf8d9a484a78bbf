/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the emulator's files; nobody else includes it.
 *
 * Internal functions return enum emu_result, so that a fault or a request for
 * help travels up unchanged. Handlers change ctx->w and ctx->seg only, which
 * emu_run() commits; what cannot be undone (control registers, MSRs, descriptor
 * table registers) they do last, after every event.
 */
#ifndef NESTOR_EMULATE_INTERNAL_H
#define NESTOR_EMULATE_INTERNAL_H

#include "emulate.h"

/* Attempts of a locked update against other CPUs before the caller gets a say. */
#define EMU_MAX_ATTEMPTS	16

/* RFLAGS */
#define FL_CF		0x000001ULL
#define FL_FIXED	0x000002ULL
#define FL_PF		0x000004ULL
#define FL_AF		0x000010ULL
#define FL_ZF		0x000040ULL
#define FL_SF		0x000080ULL
#define FL_TF		0x000100ULL
#define FL_IF		0x000200ULL
#define FL_DF		0x000400ULL
#define FL_OF		0x000800ULL
#define FL_IOPL		0x003000ULL
#define FL_IOPL_SHIFT	12
#define FL_NT		0x004000ULL
#define FL_RF		0x010000ULL
#define FL_VM		0x020000ULL
#define FL_AC		0x040000ULL
#define FL_VIF		0x080000ULL
#define FL_VIP		0x100000ULL
#define FL_ID		0x200000ULL
#define FL_STATUS	(FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

#define CR0_PE		0x00000001ULL
#define CR0_MP		0x00000002ULL
#define CR0_EM		0x00000004ULL
#define CR0_TS		0x00000008ULL
#define CR0_AM		0x00040000ULL
#define CR0_PG		0x80000000ULL
#define CR4_VME		0x00000001ULL
#define CR4_PVI		0x00000002ULL
#define CR4_TSD		0x00000004ULL
#define CR4_DE		0x00000008ULL
#define CR4_PCE		0x00000100ULL
#define CR4_OSFXSR	0x00000200ULL
#define CR4_UMIP	0x00000800ULL
#define CR4_LA57	0x00001000ULL
#define CR4_FSGSBASE	0x00010000ULL
#define CR4_OSXSAVE	0x00040000ULL
#define CR4_CET		0x00800000ULL
#define EFER_LMA	0x00000400ULL
#define CET_SHSTK_EN	0x00000001ULL
#define CET_ENDBR_EN	0x00000004ULL
#define DR6_BD		0x00002000ULL
#define DR7_GD		0x00002000ULL

#define EMU_MSR_TSC		0x00000010
#define EMU_MSR_U_CET		0x000006a0
#define EMU_MSR_S_CET		0x000006a2
#define EMU_MSR_EFER		0xc0000080
#define EMU_MSR_KERNEL_GS_BASE	0xc0000102
#define EMU_MSR_TSC_AUX		0xc0000103

enum vector {
	VEC_DE = 0, VEC_DB = 1, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6, VEC_NM = 7,
	VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14, VEC_AC = 17,
};

/*
 * Private result, beyond enum emu_result: a locked update lost a race against
 * another CPU, begin this instruction anew. emu_run() deals with it.
 */
#define EMU_AGAIN	100

/*
 * How an operand is encoded, in the notation of the opcode map in the SDM: E is
 * the r/m field of ModRM, G its reg field, Z the low bits of the opcode, I an
 * immediate, J a branch displacement, O an absolute address. b, w, d: 1, 2, 4
 * bytes; v: operand size; z: the same but at most 4; y: 4 or, with REX.W, 8; s:
 * a byte that is sign-extended.
 */
enum emu_kind {
	K_none,
	K_AL, K_rAX, K_CL, K_1, K_Zb, K_Zv,
	K_Ib, K_Is, K_Iw, K_Iz, K_Iv, K_Jb, K_Jz, K_Ap, K_IwIb, K_IbIb, K_Id,
	K_Ob, K_Ov,
	/* From here on there is a ModRM byte. */
	K_X,			/* left to the handler */
	K_M,			/* memory only, left to the handler */
	K_R,			/* register only (ModRM.mod is ignored), left to the handler */
	K_Eb, K_Ew, K_Ev, K_Ez, K_Ey,
	K_Ewv,			/* 2 bytes in memory, operand size in a register */
	K_Gb, K_Gw, K_Gv, K_Gy,
};

#define K_MODRM_FIRST	K_X

/* How the entry is refined by what follows the opcode byte. */
enum emu_sub {
	SUB_NONE,
	SUB_REG,	/* ModRM.reg: 8 entries */
	SUB_RM,		/* ModRM.rm: 8 entries */
	SUB_MOD,	/* memory, register */
	SUB_PREFIX,	/* none, 66, F3, F2 */
	SUB_LONG,	/* other modes, 64-bit mode */
};

typedef int (*emu_exec_t)(struct emu_ctx *ctx);

/* emu_opcode.flags */
#define OPF_LOCK		0x0001	/* LOCK is legal with a memory destination */
#define OPF_MOV		0x0002	/* destination is not read */
#define OPF_NOWB		0x0004	/* destination is not written */
#define OPF_D64		0x0008	/* 64-bit mode: operand size is 8 (or 2) without REX.W */
#define OPF_NEAR		0x0010	/* near branch: as OPF_D64, and Intel ignores 66 */
#define OPF_NO64		0x0020	/* #UD in 64-bit mode */
#define OPF_PROT		0x0040	/* #UD in real and virtual-8086 mode */
#define OPF_PRIV		0x0080	/* #GP(0) unless CPL is 0 */
#define OPF_STRING	0x0100	/* REP applies */
#define OPF_UD		0x0200	/* #UD */
#define OPF_BITS		0x0400	/* memory operand is a bit string addressed by the source */
#define OPF_SSE		0x0800	/* #UD, #NM as CR0 and CR4 say */
#define OPF_ALIGN		0x1000	/* SSE: #GP unless memory is aligned to its size */
#define OPF_LOCKED	0x2000	/* atomic without LOCK (XCHG) */
#define OPF_VEX		0x4000	/* the handler does the VEX form too */
#define OPF_SHSTK	0x8000	/* uses the shadow stack, if there is one */
#define OPF_IBT		0x10000	/* its target must be ENDBRANCH, if that is on */
#define OPF_MMX		0x20000	/* #UD, #NM as CR0 says */

/**
 * struct emu_opcode - one entry of the opcode tables
 * @exec: handler; NULL: known for its length only
 * @sub: refining table if @by is not SUB_NONE
 * @flags: OPF_*
 * @by: enum emu_sub
 * @dst, @src, @imm: enum emu_kind; only immediates in @imm
 */
struct emu_opcode {
	union {
		emu_exec_t exec;
		const struct emu_opcode *sub;
	};
	u32 flags;
	u8 by;
	u8 dst, src, imm;
};

/* emu_operand.type */
enum { OPND_NONE, OPND_REG, OPND_REG_HIGH, OPND_MEM, OPND_IMM };

/* tables.c */
extern const struct emu_opcode emu_unhandled_op;
const struct emu_opcode *emu_lookup(u8 map, u8 opcode);

/* decode.c */

/**
 * struct emu_decoder - decoding in progress
 * @ctx: where to fetch further bytes; NULL: there are only those in @bytes
 * @insn: result
 * @op: resulting table entry; NULL for an undefined opcode
 * @bytes, @len: code
 * @pos: bytes consumed
 * @mode, @vendor: as in struct emu_ctx
 */
struct emu_decoder {
	struct emu_ctx *ctx;
	struct emu_insn *insn;
	const struct emu_opcode *op;
	const u8 *bytes;
	u8 len;
	u8 pos;
	u8 mode;
	u8 vendor;
};

int emu_decode_bytes(struct emu_decoder *d);
void emu_effective_address(struct emu_ctx *ctx);

static inline bool emu_kind_is_imm(u8 kind)
{
	return kind >= K_Ib && kind <= K_Ov;
}

/* memory.c */
int emu_read_linear(struct emu_ctx *ctx, u64 linear, void *buf, unsigned int len,
		    unsigned int access);
int emu_write_linear(struct emu_ctx *ctx, u64 linear, const void *buf, unsigned int len,
		     unsigned int access);
int emu_cmpxchg_linear(struct emu_ctx *ctx, u64 linear, void *old, const void *new,
		       unsigned int len, unsigned int access);
int emu_translate(struct emu_ctx *ctx, u64 linear, unsigned int access, u64 *gpa);
int emu_probe(struct emu_ctx *ctx, u64 linear, unsigned int len, unsigned int access);
int emu_read_mem(struct emu_ctx *ctx, enum emu_seg seg, u64 ea, void *buf, unsigned int len);
int emu_write_mem(struct emu_ctx *ctx, enum emu_seg seg, u64 ea, const void *buf,
		  unsigned int len);
int emu_port_in(struct emu_ctx *ctx, u16 port, unsigned int size, u64 *val);
int emu_port_out(struct emu_ctx *ctx, u16 port, unsigned int size, u64 val);
int emu_port_out_batch(struct emu_ctx *ctx, u16 port, unsigned int size, unsigned int count);
int emu_port_in_batch(struct emu_ctx *ctx, u16 port, unsigned int size, unsigned int count);
int emu_fetch_more(struct emu_ctx *ctx);
bool emu_canonical(const struct emu_ctx *ctx, u64 addr);
void emu_log_reset(struct emu_ctx *ctx);

/* The next event was done in an earlier pass. */
static inline bool emu_log_pending(const struct emu_ctx *ctx)
{
	return ctx->log_pos < ctx->log_done;
}

/* EMU_ACC_USER or 0, for the instruction's own accesses. */
static inline unsigned int emu_user(const struct emu_ctx *ctx)
{
	return ctx->new_cpl == 3 ? EMU_ACC_USER : 0;
}

/* operand.c */
int emu_load_operands(struct emu_ctx *ctx);
int emu_store(struct emu_ctx *ctx, struct emu_operand *o);
u64 emu_get_reg(const struct emu_ctx *ctx, unsigned int reg, unsigned int size);
void emu_set_reg(struct emu_ctx *ctx, unsigned int reg, unsigned int size, u64 val);
const struct emu_segment *emu_segment(struct emu_ctx *ctx, enum emu_seg seg);
void emu_set_segment(struct emu_ctx *ctx, enum emu_seg seg, const struct emu_segment *s);

/* Register numbers out of ModRM, extended by REX. */
static inline unsigned int emu_modrm_reg(const struct emu_insn *insn)
{
	return ((insn->modrm >> 3) & 7) | ((insn->rex & 4) << 1);
}

static inline unsigned int emu_modrm_rm(const struct emu_insn *insn)
{
	return (insn->modrm & 7) | ((insn->rex & 1) << 3);
}

/* run.c */
int emu_gp(struct emu_ctx *ctx, u32 error_code);
int emu_ud(struct emu_ctx *ctx);
int emu_icpt(struct emu_ctx *ctx, const struct emu_intercept *info);
int emu_icpt_simple(struct emu_ctx *ctx, enum emu_icpt what, bool checked);
void emu_mode_changed(struct emu_ctx *ctx);
void emu_commit(struct emu_ctx *ctx);

static inline bool emu_real_or_v86(const struct emu_ctx *ctx)
{
	return ctx->mode == EMU_REAL || ctx->mode == EMU_V86;
}

static inline unsigned int emu_iopl(const struct emu_ctx *ctx)
{
	return (ctx->regs.rflags & FL_IOPL) >> FL_IOPL_SHIFT;
}

static inline u64 emu_mask(unsigned int size)
{
	return size >= 8 ? ~0ULL : (1ULL << (size * 8)) - 1;
}

static inline u64 emu_sign_extend(u64 val, unsigned int size)
{
	unsigned int shift = 64 - size * 8;

	return (u64)((s64)(val << shift) >> shift);
}

/* stack.c */
int emu_push(struct emu_ctx *ctx, u64 val, unsigned int size);
int emu_pop(struct emu_ctx *ctx, u64 *val, unsigned int size);
unsigned int emu_stack_size(struct emu_ctx *ctx);
u64 emu_flags_writable(const struct emu_ctx *ctx, unsigned int size);

/* branch.c */
int emu_jump(struct emu_ctx *ctx, u64 target, unsigned int size);
bool emu_condition(const struct emu_ctx *ctx, unsigned int cc);

/* segment.c */

/**
 * struct emu_desc - a segment or gate descriptor as read from memory
 * @low, @high: the descriptor; @high is used by 16-byte ones only
 * @addr: linear address
 */
struct emu_desc {
	u64 low;
	u64 high;
	u64 addr;
};

#define DESC_TYPE(d)	((unsigned int)((d)->low >> 40) & 0x0f)
#define DESC_S(d)	((unsigned int)((d)->low >> 44) & 1)
#define DESC_DPL(d)	((unsigned int)((d)->low >> 45) & 3)
#define DESC_P(d)	((unsigned int)((d)->low >> 47) & 1)
#define DESC_L(d)	((unsigned int)((d)->low >> 53) & 1)
#define DESC_DB(d)	((unsigned int)((d)->low >> 54) & 1)

/* DESC_TYPE() of code and data segments */
#define TYPE_ACCESSED	0x1
#define TYPE_RW		0x2	/* data: writable; code: readable */
#define TYPE_DC		0x4	/* data: expands down; code: conforming */
#define TYPE_CODE	0x8
/* DESC_TYPE() of system descriptors */
#define SYS_TSS16	0x1
#define SYS_LDT		0x2
#define SYS_TSS16_BUSY	0x3
#define SYS_CALL16	0x4
#define SYS_TASK_GATE	0x5
#define SYS_TSS32	0x9
#define SYS_TSS32_BUSY	0xb
#define SYS_CALL32	0xc

int emu_raise_sel(struct emu_ctx *ctx, u8 vector, u16 selector);
int emu_read_desc(struct emu_ctx *ctx, u16 selector, u8 vector, struct emu_desc *d);
int emu_read_desc_high(struct emu_ctx *ctx, u16 selector, u8 vector, struct emu_desc *d);
int emu_touch_desc(struct emu_ctx *ctx, struct emu_desc *d, unsigned int set, unsigned int clear);
void emu_desc_to_segment(const struct emu_desc *d, u16 selector, struct emu_segment *s);
void emu_load_segment_real(struct emu_ctx *ctx, enum emu_seg seg, u16 selector);
int emu_load_segment(struct emu_ctx *ctx, enum emu_seg seg, u16 selector);
int emu_load_segment_as(struct emu_ctx *ctx, enum emu_seg seg, u16 selector, u8 cpl, u8 vector);
int emu_load_ss(struct emu_ctx *ctx, u16 selector, u8 cpl, u8 vector, struct emu_segment *s);
int emu_load_ldtr(struct emu_ctx *ctx, u16 selector, u8 vector);
void emu_null_segment(struct emu_ctx *ctx, enum emu_seg seg, u16 selector);

/* tss.c */
int emu_tss_stack(struct emu_ctx *ctx, unsigned int dpl, u16 *ss, u64 *rsp);
int emu_switch_task(struct emu_ctx *ctx, u16 selector, enum emu_task_reason reason,
		    bool has_error, u32 error_code);

/* io.c */
int emu_io_permitted(struct emu_ctx *ctx, u16 port, unsigned int size);

/* string.c */
int emu_run_string(struct emu_ctx *ctx);

#endif
