// SPDX-License-Identifier: GPL-2.0
/*
 * The instruction emulator on a vCPU: its callbacks, and what follows from its results.
 *
 * Inside a burst nothing may sleep: an access that would have to answers EMU_RETRY, the burst ends, and the same emulation goes
 * on outside, where the emulator's log makes sure that nothing is done twice.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "irq/irq.h"
#include "vm/ops.h"
#include "trace/trace.h"

static struct vcpu *to_vcpu(struct emu_ctx *ctx)
{
	return container_of(ctx, struct vcpu, emu);
}

/* The emulator has TR before LDTR, struct regs the order of the VMCS. */
static int seg_index(enum emu_seg seg)
{
	return seg == EMU_TR ? SEG_TR : seg == EMU_LDTR ? SEG_LDTR : (int)seg;
}

/* An error of mmu_read_gva() and friends as the emulator's result. */
static int access_result(struct emu_ctx *ctx, int err, const struct mmu_exception *e)
{
	switch (err) {
	case 0:
		return EMU_OK;
	case -EAGAIN:
		return EMU_RETRY;
	case -EFAULT:
		if (e->vector == EXC_NESTED)
			return emu_raise(ctx, EXC_NESTED, false, 0);
		if (e->vector == EXC_PF)
			return emu_raise_pf(ctx, e->address, e->error);
		return emu_raise(ctx, e->vector, true, e->error);
	default:
		return EMU_UNHANDLED;
	}
}

static u64 walk_access(unsigned int access)
{
	return (access & EMU_ACC_WRITE ? PF_WRITE : 0) | (access & EMU_ACC_FETCH ? PF_FETCH : 0) |
	       (access & EMU_ACC_USER ? PF_USER : 0) | (access & EMU_ACC_IMPLICIT ? PF_IMPLICIT : 0);
}

static int op_fetch(struct emu_ctx *ctx, u64 linear, void *buf, unsigned int len)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	struct mmu_exception e = {};
	u64 gpa;
	int err;

	err = mmu_read_gva(vcpu, linear, buf, len, PF_FETCH | (ctx->cpl == 3 ? PF_USER : 0), &e, &gpa);
	return access_result(ctx, err, &e);
}

/*
 * Was this access what faulted? Then the CPU has walked the tables for it. Where it does not tell the linear address, the
 * offset has to do: an instruction has one operand of this kind in memory, unless it is a string instruction.
 */
static bool is_faulting_access(const struct vcpu *vcpu, u64 linear, unsigned int access)
{
	const struct fault *fault = vcpu->emu_fault;

	if (!fault || fault->in_walk || fault->exec || vcpu->nested.guest_mode || !vcpu->emu.insn.has_mem ||
	    access & (EMU_ACC_IMPLICIT | EMU_ACC_FETCH) || fault->write != !!(access & EMU_ACC_WRITE))
		return false;
	return fault->gva_valid ? fault->gva == linear : offset_in_page(fault->gpa) == offset_in_page(linear);
}

static int op_translate(struct emu_ctx *ctx, u64 linear, unsigned int access, u64 *gpa)
{
	struct mmu_exception e = {};

	if (is_faulting_access(to_vcpu(ctx), linear, access)) {
		*gpa = to_vcpu(ctx)->emu_fault->gpa;
		return EMU_OK;
	}
	*gpa = mmu_gva_to_gpa(to_vcpu(ctx), linear, walk_access(access), &e);
	if (*gpa != ~0ull)
		return EMU_OK;
	return access_result(ctx, e.again ? -EAGAIN : -EFAULT, &e);
}

/* A device in the kernel, or user space. The page that the exit named is known to be no memory. */
static bool is_mmio_page(struct vcpu *vcpu, u64 gpa)
{
	return vcpu->emu_fault && PFN_DOWN(gpa) == PFN_DOWN(vcpu->emu_fault->gpa);
}

/* Memory that can not be written can be read. */
static bool is_mmio_read(struct vcpu *vcpu, u64 gpa)
{
	return is_mmio_page(vcpu, gpa) && !vcpu->emu_fault->write;
}

static int op_read(struct emu_ctx *ctx, u64 gpa, void *buf, unsigned int len)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	u64 value = 0;
	int err;

	if (!is_mmio_read(vcpu, gpa)) {
		err = vcpu_read_guest(vcpu, gpa, buf, len);
		if (err != -EFAULT)
			return err ? EMU_RETRY : EMU_OK;
	}
	vcpu->stats.mmio_exits++;
	if (iobus_read(vcpu, IOBUS_MMIO, gpa, len, buf))
		return EMU_IO_NEEDED;
	vcpu->stats.mmio_kernel++;
	memcpy(&value, buf, min_t(unsigned int, len, 8));
	trace_mmio(vcpu->id, false, gpa, len, value, true);
	return EMU_OK;
}

static int op_write(struct emu_ctx *ctx, u64 gpa, const void *buf, unsigned int len)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	u64 value = 0;
	int err;

	if (!is_mmio_page(vcpu, gpa)) {
		err = vcpu_write_guest(vcpu, gpa, buf, len);
		if (err != -EFAULT)
			return err ? EMU_RETRY : EMU_OK;
	}
	vcpu->stats.mmio_exits++;
	if (iobus_write(vcpu, IOBUS_MMIO, gpa, len, buf))
		return EMU_IO_NEEDED;
	vcpu->stats.mmio_kernel++;
	memcpy(&value, buf, min_t(unsigned int, len, 8));
	trace_mmio(vcpu->id, true, gpa, len, value, true);
	return EMU_OK;
}

/* String I/O moves up to a page at once where there is plain memory, else unit by unit. */
static int ram_result(int err)
{
	return !err ? EMU_OK : err == -EAGAIN ? EMU_RETRY : EMU_UNHANDLED;
}

static int op_read_ram(struct emu_ctx *ctx, u64 gpa, void *buf, unsigned int len)
{
	struct vcpu *vcpu = to_vcpu(ctx);

	if (is_mmio_read(vcpu, gpa))
		return EMU_UNHANDLED;
	return ram_result(vcpu_read_guest(vcpu, gpa, buf, len));
}

static int op_write_ram(struct emu_ctx *ctx, u64 gpa, const void *buf, unsigned int len)
{
	struct vcpu *vcpu = to_vcpu(ctx);

	if (is_mmio_page(vcpu, gpa))
		return EMU_UNHANDLED;
	return ram_result(vcpu_write_guest(vcpu, gpa, buf, len));
}

static int op_cmpxchg(struct emu_ctx *ctx, u64 gpa, void *old, const void *new, unsigned int len)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	int err;

	if (is_mmio_page(vcpu, gpa))
		return op_write(ctx, gpa, new, len);
	err = vcpu_cmpxchg_guest(vcpu, gpa, old, new, len);
	if (err == -EAGAIN)
		return EMU_RETRY;
	if (err < 0)
		return op_write(ctx, gpa, new, len);
	return EMU_OK;
}

static u8 *pio_data(struct vcpu *vcpu)
{
	return (u8 *)vcpu->run + KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
}

static int op_pio_in(struct emu_ctx *ctx, u16 port, unsigned int size, void *buf, unsigned int count)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	unsigned int i;

	/* A device does not leave its bus between two units: the first answers for all. */
	for (i = 0; i < count; i++)
		if (iobus_read(vcpu, IOBUS_PIO, port, size, buf + i * size))
			return i ? EMU_UNHANDLED : EMU_IO_NEEDED;
	vcpu->stats.io_kernel++;
	return EMU_OK;
}

static int op_pio_out(struct emu_ctx *ctx, u16 port, unsigned int size, const void *buf, unsigned int count)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (!iobus_write(vcpu, IOBUS_PIO, port, size, buf + i * size))
			continue;
		if (i)
			return EMU_UNHANDLED;
		memcpy(pio_data(vcpu), buf, size * count);
		return EMU_IO_NEEDED;
	}
	vcpu->stats.io_kernel++;
	return EMU_OK;
}

static void op_get_segment(struct emu_ctx *ctx, enum emu_seg seg, struct emu_segment *s)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	struct segment *from = &vcpu->regs.seg[seg_index(seg)];

	vcpu_fetch(vcpu, seg == EMU_CS ? REGS_CS : REGS_SEGS);
	*s = (struct emu_segment) {
		.base = from->base, .limit = from->limit, .selector = from->selector,
		.attr = from->attr & SEG_ATTR_UNUSABLE ? from->attr & ~SEG_ATTR_P : from->attr,
	};
}

static void op_set_segment(struct emu_ctx *ctx, enum emu_seg seg, const struct emu_segment *s)
{
	struct vcpu *vcpu = to_vcpu(ctx);

	vcpu_fetch(vcpu, REGS_SEGS);
	vcpu->regs.seg[seg_index(seg)] = (struct segment) {
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.attr = s->attr & SEG_ATTR_P ? s->attr : s->attr | SEG_ATTR_UNUSABLE,
	};
	vcpu_dirty(vcpu, REGS_SEGS | REGS_CS);
}

static void op_get_table(struct emu_ctx *ctx, enum emu_table table, u64 *base, u16 *limit)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	struct dtable *t = table == EMU_GDTR ? &vcpu->regs.gdt : &vcpu->regs.idt;

	vcpu_fetch(vcpu, REGS_DTABLES);
	*base = t->base;
	*limit = t->limit;
}

static void op_set_table(struct emu_ctx *ctx, enum emu_table table, u64 base, u16 limit)
{
	struct vcpu *vcpu = to_vcpu(ctx);
	struct dtable *t = table == EMU_GDTR ? &vcpu->regs.gdt : &vcpu->regs.idt;

	vcpu_fetch(vcpu, REGS_DTABLES);
	t->base = base;
	t->limit = limit;
	vcpu_dirty(vcpu, REGS_DTABLES);
}

static int op_get_cr(struct emu_ctx *ctx, unsigned int cr, u64 *val)
{
	struct vcpu *vcpu = to_vcpu(ctx);

	vcpu_fetch(vcpu, REGS_CR0 | REGS_CR3 | REGS_CR4);
	switch (cr) {
	case 0:
		*val = vcpu->regs.cr0;
		break;
	case 2:
		*val = vcpu->regs.cr2;
		break;
	case 3:
		*val = vcpu->regs.cr3;
		break;
	case 4:
		*val = vcpu->regs.cr4;
		break;
	default:
		*val = unlikely(vcpu->nested.own_tpr) ? vcpu->nested.tpr : cpu_get_cr8(vcpu);
		break;
	}
	return EMU_OK;
}

/* 0, -EAGAIN, or anything else for #GP. */
static int register_result(struct emu_ctx *ctx, int err)
{
	if (!err)
		return EMU_OK;
	return err == -EAGAIN ? EMU_RETRY : emu_raise(ctx, EXC_GP, true, 0);
}

static int op_set_cr(struct emu_ctx *ctx, unsigned int cr, u64 val)
{
	struct vcpu *vcpu = to_vcpu(ctx);

	switch (cr) {
	case 0:
		return register_result(ctx, cpu_set_cr0(vcpu, val));
	case 2:
		vcpu->regs.cr2 = val;
		return EMU_OK;
	case 3:
		return register_result(ctx, cpu_set_cr3(vcpu, val));
	case 4:
		return register_result(ctx, cpu_set_cr4(vcpu, val));
	default:
		if (likely(!vcpu->nested.own_tpr))
			return register_result(ctx, cpu_set_cr8(vcpu, val));
		if (val > 15)
			return register_result(ctx, -EINVAL);
		vcpu->nested.tpr = val;
		return EMU_OK;
	}
}

static int op_get_dr(struct emu_ctx *ctx, unsigned int dr, u64 *val)
{
	*val = cpu_get_dr(to_vcpu(ctx), dr);
	return EMU_OK;
}

static int op_set_dr(struct emu_ctx *ctx, unsigned int dr, u64 val)
{
	return register_result(ctx, cpu_set_dr(to_vcpu(ctx), dr, val));
}

static int op_get_msr(struct emu_ctx *ctx, u32 msr, u64 *val)
{
	return register_result(ctx, msr_get(to_vcpu(ctx), msr, val, false));
}

static int op_set_msr(struct emu_ctx *ctx, u32 msr, u64 val)
{
	return register_result(ctx, msr_set(to_vcpu(ctx), msr, val, false));
}

static int op_rdpmc(struct emu_ctx *ctx, u32 index, u64 *val)
{
	return emu_raise(ctx, EXC_GP, true, 0);
}

static int op_set_xcr(struct emu_ctx *ctx, u32 index, u64 val)
{
	return register_result(ctx, index ? -EINVAL : cpu_set_xcr0(to_vcpu(ctx), val));
}

static int op_cpuid(struct emu_ctx *ctx, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	cpuid_query(to_vcpu(ctx), eax, ebx, ecx, edx);
	return EMU_OK;
}

/* In a burst the registers are the CPU's own: go where they are in memory. */
static int op_read_xmm(struct emu_ctx *ctx, unsigned int reg, void *buf, unsigned int len)
{
	struct vcpu *vcpu = to_vcpu(ctx);

	if (vcpu->in_burst)
		return EMU_RETRY;
	return cpu_read_xmm(vcpu, reg, buf, len) ? EMU_UNHANDLED : EMU_OK;
}

static int op_write_xmm(struct emu_ctx *ctx, unsigned int reg, const void *buf, unsigned int len)
{
	struct vcpu *vcpu = to_vcpu(ctx);

	if (vcpu->in_burst)
		return EMU_RETRY;
	return cpu_write_xmm(vcpu, reg, buf, len) ? EMU_UNHANDLED : EMU_OK;
}

static int op_invlpg(struct emu_ctx *ctx, u64 linear)
{
	vendor->tlb_flush_address(to_vcpu(ctx), linear);
	return EMU_OK;
}

static int op_wbinvd(struct emu_ctx *ctx)
{
	return EMU_OK;
}

/* The emulator does for L2 only what L1 lets it do. */
static int op_intercept(struct emu_ctx *ctx, const struct emu_intercept *info)
{
	struct vcpu *vcpu = to_vcpu(ctx);

	return vcpu->nested.guest_mode ? vendor->nested->insn(vcpu, info) : EMU_OK;
}

static const struct emu_ops vcpu_emu_ops = {
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

/* Bring the vCPU's registers into the context. */
static void load_registers(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;

	vcpu_fetch(vcpu, REGS_RIP | REGS_RSP | REGS_RFLAGS | REGS_CR0 | REGS_CR4 | REGS_CS);
	memcpy(ctx->regs.gpr, vcpu->regs.gpr, sizeof(ctx->regs.gpr));
	ctx->regs.rip = vcpu->regs.rip;
	ctx->regs.rflags = vcpu->regs.rflags;
	ctx->cr0 = vcpu->regs.cr0;
	ctx->cr4 = vcpu->regs.cr4;
	ctx->efer = vcpu->regs.efer;
	ctx->cpl = vcpu->regs.cpl;
	ctx->mode = emu_mode_of(ctx->cr0, ctx->efer, ctx->regs.rflags, vcpu->regs.seg[SEG_CS].attr);
}

static void store_registers(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;

	memcpy(vcpu->regs.gpr, ctx->regs.gpr, sizeof(ctx->regs.gpr));
	vcpu->regs.rip = ctx->regs.rip;
	vcpu->regs.rflags = ctx->regs.rflags;
	vcpu_dirty(vcpu, REGS_RIP | REGS_RSP | REGS_RFLAGS);
	if (vcpu->regs.cpl != ctx->cpl) {
		vcpu_fetch(vcpu, REGS_SEGS);
		vcpu->regs.cpl = ctx->cpl;
		vcpu_dirty(vcpu, REGS_SEGS | REGS_CS);
	}
}

static const struct {
	unsigned int feature;
	u32 emu;
} emu_features[] = {
	{ X86_FEATURE_MOVBE, EMU_FEAT_MOVBE },
	{ X86_FEATURE_POPCNT, EMU_FEAT_POPCNT },
	{ X86_FEATURE_ABM, EMU_FEAT_LZCNT },
	{ X86_FEATURE_BMI1, EMU_FEAT_BMI1 },
	{ X86_FEATURE_CX16, EMU_FEAT_CX16 },
	{ X86_FEATURE_RDTSCP, EMU_FEAT_RDTSCP },
	{ X86_FEATURE_RDPID, EMU_FEAT_RDPID },
	{ X86_FEATURE_CLFLUSHOPT, EMU_FEAT_CLFLUSHOPT },
	{ X86_FEATURE_CLWB, EMU_FEAT_CLWB },
	{ X86_FEATURE_FSGSBASE, EMU_FEAT_FSGSBASE },
	{ X86_FEATURE_AVX, EMU_FEAT_AVX },
	{ X86_FEATURE_LAHF_LM, EMU_FEAT_LAHF64 },
};

/* What the guest's CPUID offers; once per change of it. */
void vcpu_emulate_cpuid_changed(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;
	int i;

	ctx->ops = &vcpu_emu_ops;
	ctx->vendor = vcpu->cpu_state.vendor_amd ? EMU_AMD : EMU_INTEL;
	ctx->features = 0;
	for (i = 0; i < ARRAY_SIZE(emu_features); i++)
		if (guest_has(vcpu, emu_features[i].feature))
			ctx->features |= emu_features[i].emu;
}

/* An instruction was executed: registers, and what comes with it. */
static int retired(struct vcpu *vcpu)
{
	u32 effects = vcpu->emu.effects;
	u32 shadow = (effects & EMU_FX_SHADOW_STI ? SHADOW_STI : 0) |
		     (effects & EMU_FX_SHADOW_SS ? SHADOW_MOV_SS : 0);
	int halted = RUN_GUEST, stepped = RUN_GUEST;

	store_registers(vcpu);
	vcpu_fetch(vcpu, REGS_SHADOW);
	if (vcpu->regs.int_shadow != shadow) {
		vcpu->regs.int_shadow = shadow;
		vcpu_dirty(vcpu, REGS_SHADOW);
	}
	vcpu_request(vcpu, REQ_EVENT);
	vcpu_stepped(vcpu);
	if (effects & EMU_FX_IRET)
		vendor->set_nmi_masked(vcpu, false);
	if (effects & EMU_FX_TASK_TRAP)
		vcpu_raise_db(vcpu, BIT(15));
	if (effects & EMU_FX_HLT)
		halted = vcpu_halt(vcpu);
	/* A step of user space's is no TF that the emulator sees. */
	if ((effects & EMU_FX_STEP || vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP) && !(effects & EMU_FX_REP))
		stepped = vcpu_debug_trap(vcpu, DR_STEP);
	return halted ?: stepped;
}

static int raise_fault(struct vcpu *vcpu)
{
	const struct emu_fault *f = &vcpu->emu.fault;

	/* Software interrupts in protected mode reach the emulator on no CPU with unrestricted guest or SVM. */
	if (f->type != EMU_EXCEPTION)
		return vcpu_emulation_failed(vcpu);
	if (f->vector == EXC_NESTED)
		vendor->nested->reflect_walk(vcpu);
	else if (f->vector == EXC_PF)
		vcpu_raise_pf(vcpu, f->address, f->error_code);
	else if (f->vector == EXC_DB)
		return vcpu_debug_trap(vcpu, f->address);
	else if (f->has_error)
		vcpu_raise_error(vcpu, f->vector, f->error_code);
	else
		vcpu_raise(vcpu, f->vector);
	return RUN_GUEST;
}

static int emulate_step(struct vcpu *vcpu);

/* User space has done the access that the instruction waits for, and may have moved the vCPU elsewhere. */
static int complete_io(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;
	const void *data = ctx->pending.kind == EMU_EV_IN ? pio_data(vcpu) : vcpu->run->mmio.data;

	if (vcpu_rip(vcpu) != ctx->regs.rip)
		return RUN_GUEST;
	load_registers(vcpu);
	emu_complete(ctx, data);
	return emulate_step(vcpu);
}

static int io_to_user(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;
	struct kvm_run *run = vcpu->run;
	bool write = ctx->pending.kind == EMU_EV_WRITE;

	vcpu->complete = complete_io;
	if (ctx->pending.kind == EMU_EV_IN || ctx->pending.kind == EMU_EV_OUT) {
		run->exit_reason = KVM_EXIT_IO;
		run->io.direction = ctx->pending.kind == EMU_EV_IN ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
		run->io.size = ctx->pending.size;
		run->io.port = ctx->pending.addr;
		run->io.count = ctx->pending.count;
		run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
		return RUN_USER;
	}
	trace_mmio(vcpu->id, write, ctx->pending.addr, ctx->pending.size, write ? ctx->pending.data : 0, false);
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = ctx->pending.addr;
	run->mmio.len = min_t(u32, ctx->pending.size, sizeof(run->mmio.data));
	run->mmio.is_write = write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (write)
		memcpy(run->mmio.data, &ctx->pending.data, run->mmio.len);
	return RUN_USER;
}

static int emulate_step(struct vcpu *vcpu)
{
	int result = emu_run(&vcpu->emu);

	vcpu->emu_continues = false;
	/* Iterations of REP before the one that faults or waits are the guest's state already. */
	if (result != EMU_OK && (vcpu->emu.effects & EMU_FX_COMMITTED))
		store_registers(vcpu);
	switch (result) {
	case EMU_OK:
		vcpu->stats.insn_emulation++;
		return retired(vcpu);
	case EMU_FAULT:
		return raise_fault(vcpu);
	case EMU_IO_NEEDED:
		return io_to_user(vcpu);
	case EMU_RETRY:
		/* What was done is in the emulator's log: go on with it, do not begin again. */
		vcpu->emu_continues = true;
		return vcpu->in_burst ? RUN_SLOW : RUN_GUEST;
	case EMU_INTERCEPTED:
		vendor->nested->reflect_insn(vcpu);
		return RUN_GUEST;
	default:
		return vcpu_emulation_failed(vcpu);
	}
}

/*
 * Emulate the instruction at RIP. The second call of a handler that answered RUN_SLOW goes on where the first stopped.
 */
int vcpu_emulate(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;

	if (vcpu->emu_continues && vcpu_rip(vcpu) == ctx->regs.rip) {
		load_registers(vcpu);
		return emulate_step(vcpu);
	}
	load_registers(vcpu);
	emu_start(ctx, NULL, 0);
	return emulate_step(vcpu);
}

int vcpu_emulate_mmio(struct vcpu *vcpu, const struct fault *fault)
{
	int r;

	vcpu->emu_fault = fault;
	r = vcpu_emulate(vcpu);
	vcpu->emu_fault = NULL;
	return r;
}

/*
 * Decode the instruction at RIP without executing it: vcpu->emu.insn. -EAGAIN: not without sleeping, or its memory changes
 * just now.
 */
int vcpu_decode(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;

	vcpu->emu_continues = false;
	load_registers(vcpu);
	emu_start(ctx, NULL, 0);
	switch (emu_decode(ctx)) {
	case EMU_OK:
		return 0;
	case EMU_RETRY:
		return -EAGAIN;
	default:
		return -EFAULT;
	}
}

/* @n bytes of code at a linear address, within a page; -errno: the CPU could not fetch them, or not without sleeping. */
int vcpu_read_code(struct vcpu *vcpu, u64 linear, u8 *bytes, unsigned int n)
{
	u64 access = PF_FETCH | (vcpu_cpl(vcpu) == 3 ? PF_USER : 0), gpa;
	struct mmu_exception e;

	return mmu_read_gva(vcpu, linear, bytes, n, access, &e, &gpa);
}

/*
 * Length of the instruction at RIP, for CPUs that do not save the next RIP. 1 to 15; -EFAULT when the bytes cannot be
 * read, -EINVAL when they are no instruction (another CPU changed them).
 */
int vcpu_instruction_length(struct vcpu *vcpu)
{
	u64 linear = vcpu_linear_rip(vcpu);
	unsigned int first = min_t(unsigned int, EMU_MAX_INSN, PAGE_SIZE - offset_in_page(linear));
	u8 bytes[EMU_MAX_INSN];
	enum emu_mode mode;
	int len;

	if (vcpu_read_code(vcpu, linear, bytes, first))
		return -EFAULT;
	if (vcpu_is_64bit(vcpu)) {
		mode = EMU_LONG64;
	} else {
		vcpu_fetch(vcpu, REGS_CR0 | REGS_RFLAGS | REGS_CS);
		mode = emu_mode_of(vcpu->regs.cr0, vcpu->regs.efer, vcpu->regs.rflags,
				   vcpu->regs.seg[SEG_CS].attr);
	}
	len = emu_insn_length(bytes, first, mode);
	if (!len && first < EMU_MAX_INSN) {
		if (vcpu_read_code(vcpu, linear + first, bytes + first, EMU_MAX_INSN - first))
			return -EFAULT;
		len = emu_insn_length(bytes, EMU_MAX_INSN, mode);
	}
	return len > 0 ? len : -EINVAL;
}

/* KVM_CAP_EXIT_ON_EMULATION_FAILURE, or the guest's own kernel: user space gets the instruction's bytes. */
int vcpu_emulation_failed(struct vcpu *vcpu)
{
	struct emu_ctx *ctx = &vcpu->emu;
	struct kvm_run *run = vcpu->run;

	vcpu->stats.insn_emulation_fail++;
	vcpu->emu_continues = false;
	/* Neither a guest's user program nor a guest's guest must be able to stop the VM. */
	if ((vcpu->nested.guest_mode || vcpu_cpl(vcpu)) && !vcpu->vm->caps.exit_on_emulation_error) {
		vcpu_raise(vcpu, EXC_UD);
		return RUN_GUEST;
	}
	memset(&run->emulation_failure, 0, sizeof(run->emulation_failure));
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 1;
	if (ctx->insn_len) {
		run->emulation_failure.ndata = 4;
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = min_t(u8, ctx->insn_len, EMU_MAX_INSN);
		memcpy(run->emulation_failure.insn_bytes, ctx->insn_bytes, EMU_MAX_INSN);
	}
	pr_info_ratelimited("vcpu %u: cannot emulate %*ph at rip 0x%llx\n", vcpu->id,
			    ctx->insn_len, ctx->insn_bytes, vcpu_rip(vcpu));
	return RUN_USER;
}

static int task_switch(struct vcpu *vcpu);

/* User space has seen the signal, and may have moved the vCPU elsewhere. */
static int continue_task_switch(struct vcpu *vcpu)
{
	return vcpu_rip(vcpu) == vcpu->emu.regs.rip ? task_switch(vcpu) : RUN_GUEST;
}

/*
 * The event that calls a task is taken back already, and nothing else would bring it: a switch that loses races against
 * other CPUs' changes to the descriptors goes on trying, across a signal too.
 */
static int task_switch(struct vcpu *vcpu)
{
	const struct task_switch *t = &vcpu->task;
	struct emu_ctx *ctx = &vcpu->emu;
	int result;

	load_registers(vcpu);
	do {
		cond_resched();
		emu_start(ctx, NULL, 0);
		result = emu_task_switch(ctx, t->selector, t->reason, t->has_error, t->error);
	} while (result == EMU_RETRY && !signal_pending(current));
	/* A fault in the new task's context finds that task's registers. */
	if (result != EMU_OK && (ctx->effects & EMU_FX_COMMITTED))
		store_registers(vcpu);
	switch (result) {
	case EMU_OK:
		return retired(vcpu);
	case EMU_FAULT:
		return raise_fault(vcpu);
	case EMU_RETRY:
		vcpu->complete = continue_task_switch;
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		vcpu->stats.signal_exits++;
		return -EINTR;
	default:
		return vcpu_emulation_failed(vcpu);
	}
}

/*
 * A task switch. The vendor has moved RIP to what the old task will resume at.
 */
int vcpu_handle_task_switch(struct vcpu *vcpu, u16 selector, int reason, bool has_error, u32 error)
{
	vcpu->task = (struct task_switch) {
		.selector = selector, .reason = reason, .has_error = has_error, .error = error,
	};
	return task_switch(vcpu);
}
