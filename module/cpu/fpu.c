// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's x87, SSE, AVX... state. The kernel's own containers for guests are not for modules, so
 * an XSAVE image of our own is loaded when a burst begins and saved when it ends.
 *
 * The image's format is the CPU's best: XSAVES (compacted; leaves out what is in its initial state or
 * unmodified), XSAVEOPT, XSAVE, or FXSAVE on CPUs without XSAVE. XSAVEC would help only CPUs that have
 * it without XSAVES. PKRU is never part of it: handlers read guest memory through the caller's
 * mappings, so it is swapped around each entry (guest_pkru_enter()).
 */
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/asm.h>

#include "cpu/fpu.h"
#include "cpu/xsave.h"
#include "vm/ops.h"

/* Components that guests can have, if the host has them. MPX is obsolete, AMX needs XFD. */
#define GUEST_COMPONENTS	(XCOMP_LEGACY | XCOMP_YMM | XCOMP_ZMM | XCOMP_PKRU)

static enum { FORMAT_FXSAVE, FORMAT_XSAVE, FORMAT_XSAVEOPT, FORMAT_XSAVES } format;

struct xsave_layout xsave_layout;

/* Components of the image (RFBM of XSAVE and XRSTOR), and its XCOMP_BV: 0 for the standard format. */
static u64 image_components, image_compacted;
static unsigned int image_order;
static u32 mxcsr_valid;

/* Runs @insn, an XSAVE or XRSTOR of some kind, on an image. 0, or -EIO when it faults. */
#define xsave_op(insn, image, mask)						\
({										\
	int err_ = -EIO;							\
										\
	asm volatile("1:\t" insn " (%[area])\n\t"				\
		     "xor %[err], %[err]\n"					\
		     "2:\n"							\
		     _ASM_EXTABLE(1b, 2b)					\
		     : [err] "+r" (err_)					\
		     : [area] "r" (image), "a" ((u32)(mask)),			\
		       "d" ((u32)((mask) >> 32))				\
		     : "memory");						\
	err_;									\
})

static inline int restore(struct xsave_image *image)
{
	switch (format) {
	case FORMAT_XSAVES:
		return xsave_op("xrstors64", image, image_components);
	case FORMAT_XSAVEOPT:
	case FORMAT_XSAVE:
		return xsave_op("xrstor64", image, image_components);
	default:
		return xsave_op("fxrstor64", image, image_components);
	}
}

/**
 * fpu_load - put the guest's state into the registers
 * @vcpu: the vCPU
 *
 * In the burst, inside kernel_fpu_begin_mask(0), with the host's XCR0 and XSS.
 */
void fpu_load(struct vcpu *vcpu)
{
	struct xsave_image *image = vcpu->cpu_state.fpu.image;

	/* Some CPUs keep the last x87 pointers when the image has no exception pending: hide the host's. */
	if (static_cpu_has_bug(X86_BUG_FXSAVE_LEAK))
		asm volatile("fnclex\n\temms\n\tfildl %0" : : "m" (image->fcw));

	if (unlikely(restore(image))) {
		/* Images come from the CPU or were checked; still the guest must not see the host's state. */
		pr_warn_ratelimited("vCPU %u: the CPU refuses the guest's FPU state; reset\n",
				    vcpu->id);
		xsave_init(image, image_compacted);
		restore(image);
	}
}

/**
 * fpu_save - take the guest's state out of the registers; counterpart of fpu_load()
 * @vcpu: the vCPU
 */
void fpu_save(struct vcpu *vcpu)
{
	struct xsave_image *image = vcpu->cpu_state.fpu.image;

	switch (format) {
	case FORMAT_XSAVES:
		xsave_op("xsaves64", image, image_components);
		break;
	case FORMAT_XSAVEOPT:
		xsave_op("xsaveopt64", image, image_components);
		break;
	case FORMAT_XSAVE:
		xsave_op("xsave64", image, image_components);
		break;
	default:
		xsave_op("fxsave64", image, image_components);
		/* FXSAVE writes no header; the rest of this file goes by it. */
		image->xstate_bv = XCOMP_LEGACY;
		break;
	}
}

static void read_layout(void)
{
	u32 size, offset, flags, unused;
	int i;

	for (i = 2; i < NR_XCOMPS; i++) {
		cpuid_count(0xd, i, &size, &offset, &flags, &unused);
		if (!size)
			continue;
		xsave_layout.known |= BIT_ULL(i);
		xsave_layout.size[i] = size;
		xsave_layout.offset[i] = offset;
		if (flags & BIT(1))
			xsave_layout.aligned |= BIT_ULL(i);
	}
}

/* MXCSR bits that this CPU has: FXSAVE says it (SDM, Guidelines for Writing to the MXCSR Register). */
static u32 read_mxcsr_mask(struct xsave_image *scratch)
{
	memset(scratch, 0, FXSAVE_SIZE);
	kernel_fpu_begin();
	xsave_op("fxsave64", scratch, 0ull);
	kernel_fpu_end();
	return scratch->mxcsr_mask ?: 0xffbf;
}

int fpu_setup(void)
{
	struct xsave_image *scratch = (void *)get_zeroed_page(GFP_KERNEL);

	if (!scratch)
		return -ENOMEM;
	mxcsr_valid = read_mxcsr_mask(scratch);
	free_page((unsigned long)scratch);

	image_components = XCOMP_LEGACY;
	if (boot_cpu_has(X86_FEATURE_XSAVE)) {
		read_layout();
		cpu_caps.host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		cpu_caps.guest_xcr0 = cpu_caps.host_xcr0 & GUEST_COMPONENTS;
		if (!boot_cpu_has(X86_FEATURE_OSPKE))
			cpu_caps.guest_xcr0 &= ~XCOMP_PKRU;
		image_components = cpu_caps.guest_xcr0 & ~XCOMP_PKRU;
		format = boot_cpu_has(X86_FEATURE_XSAVES) ? FORMAT_XSAVES :
			 boot_cpu_has(X86_FEATURE_XSAVEOPT) ? FORMAT_XSAVEOPT : FORMAT_XSAVE;
	}
	if (format == FORMAT_XSAVES)
		image_compacted = image_components;
	cpu_caps.xsave_size = xsave_size(&xsave_layout, cpu_caps.guest_xcr0, false);
	image_order = get_order(xsave_size(&xsave_layout, image_components, image_compacted));
	return 0;
}

int fpu_vcpu_init(struct vcpu *vcpu)
{
	struct guest_fpu *fpu = &vcpu->cpu_state.fpu;

	/* Pages: XSAVE wants 64-byte alignment, which kmalloc() does not promise. */
	fpu->image = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, image_order);
	if (!fpu->image)
		return -ENOMEM;
	xsave_init(fpu->image, image_compacted);
	fpu->xcr0 = XCOMP_FP;
	return 0;
}

void fpu_vcpu_destroy(struct vcpu *vcpu)
{
	free_pages((unsigned long)vcpu->cpu_state.fpu.image, image_order);
}

#define MMX_SIZE	8u
#define FSW_ES		BIT(7)

/*
 * Has the guest XMM (@len 16) or YMM (32) register @reg, or MMX (8)? An MMX instruction may have to raise #MF first: not
 * emulated.
 */
static bool has_xmm(const struct vcpu *vcpu, unsigned int reg, unsigned int len)
{
	const struct xsave_image *image = vcpu->cpu_state.fpu.image;

	if (len == MMX_SIZE)
		return reg < 8 && !(image->xstate_bv & XCOMP_FP && image->fsw & FSW_ES);
	return reg < 16 && (len == 16 || (len == 32 && image_components & XCOMP_YMM));
}

/**
 * cpu_read_xmm - a vector register of the guest's, for the emulator
 * @vcpu: the vCPU; not in a burst, where the registers are in the CPU
 * @reg: 0 to 15
 * @buf: out
 * @len: 8: MMX; 16: XMM; 32: YMM
 *
 * 0, or -EINVAL when the guest has no such register.
 */
int cpu_read_xmm(struct vcpu *vcpu, unsigned int reg, void *buf, unsigned int len)
{
	if (!has_xmm(vcpu, reg, len))
		return -EINVAL;
	if (len == MMX_SIZE)
		xsave_read_mmx(vcpu->cpu_state.fpu.image, reg, buf);
	else
		xsave_read_xmm(&xsave_layout, vcpu->cpu_state.fpu.image, image_compacted, reg, buf, len);
	return 0;
}

/**
 * cpu_write_xmm - counterpart of cpu_read_xmm()
 * @vcpu: the vCPU
 * @reg: 0 to 15
 * @buf: the new value
 * @len: 8: MMX; 16: XMM, the upper half of YMM stays; 32: YMM
 */
int cpu_write_xmm(struct vcpu *vcpu, unsigned int reg, const void *buf, unsigned int len)
{
	if (!has_xmm(vcpu, reg, len))
		return -EINVAL;
	if (len == MMX_SIZE)
		xsave_write_mmx(vcpu->cpu_state.fpu.image, reg, buf);
	else
		xsave_write_xmm(&xsave_layout, vcpu->cpu_state.fpu.image, image_compacted, reg, buf, len);
	return 0;
}

int cpu_get_fpu(struct vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct xsave_image *image = vcpu->cpu_state.fpu.image;
	struct xsave_image legacy;

	xsave_to_user(&xsave_layout, image, image_compacted, XCOMP_LEGACY, &legacy, sizeof(legacy));
	memset(fpu, 0, sizeof(*fpu));
	static_assert(sizeof(fpu->fpr) == sizeof(legacy.st) && sizeof(fpu->xmm) == sizeof(legacy.xmm));
	memcpy(fpu->fpr, legacy.st, sizeof(fpu->fpr));
	memcpy(fpu->xmm, legacy.xmm, sizeof(fpu->xmm));
	fpu->fcw = legacy.fcw;
	fpu->fsw = legacy.fsw;
	fpu->ftwx = legacy.ftw;
	fpu->last_opcode = legacy.fop;
	fpu->last_ip = legacy.fip;
	fpu->last_dp = legacy.fdp;
	fpu->mxcsr = legacy.mxcsr;
	return 0;
}

/* MXCSR stays: upstream does not take it from here, and user space leaves it zero. */
int cpu_set_fpu(struct vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct xsave_image *image = vcpu->cpu_state.fpu.image;
	u32 mxcsr = xsave_mxcsr(image, image_compacted);

	memcpy(image->st, fpu->fpr, sizeof(image->st));
	memcpy(image->xmm, fpu->xmm, sizeof(image->xmm));
	image->fcw = fpu->fcw;
	image->fsw = fpu->fsw;
	image->ftw = fpu->ftwx;
	image->fop = fpu->last_opcode;
	image->fip = fpu->last_ip;
	image->fdp = fpu->last_dp;
	image->mxcsr = mxcsr;
	image->xstate_bv |= XCOMP_LEGACY;
	return 0;
}

/**
 * cpu_get_xsave - KVM_GET_XSAVE and KVM_GET_XSAVE2
 * @vcpu: the vCPU
 * @buf: gets the standard format
 * @size: of @buf, at least 4096
 */
int cpu_get_xsave(struct vcpu *vcpu, void *buf, u32 size)
{
	struct guest_fpu *fpu = &vcpu->cpu_state.fpu;
	u64 shown = vcpu->cpu_state.xcr0_supported | XCOMP_LEGACY;
	u32 offset = xsave_layout.offset[XCOMP_PKRU_NR];
	struct xsave_image *out = buf;

	xsave_to_user(&xsave_layout, fpu->image, image_compacted, shown & ~XCOMP_PKRU, buf, size);
	if (shown & XCOMP_PKRU && offset + sizeof(fpu->pkru) <= size) {
		memcpy(buf + offset, &fpu->pkru, sizeof(fpu->pkru));
		out->xstate_bv |= XCOMP_PKRU;
	}
	return 0;
}

/**
 * cpu_set_xsave - KVM_SET_XSAVE
 * @vcpu: the vCPU
 * @buf: standard format
 * @size: of @buf, at least 4096
 *
 * As upstream, PKRU stays when the buffer's XSTATE_BV lacks it. -EINVAL for what XRSTOR would refuse.
 */
int cpu_set_xsave(struct vcpu *vcpu, const void *buf, u32 size)
{
	u64 allowed = cpu_caps.guest_xcr0 | XCOMP_LEGACY;
	struct guest_fpu *fpu = &vcpu->cpu_state.fpu;
	u32 offset = xsave_layout.offset[XCOMP_PKRU_NR];
	const struct xsave_image *in = buf;

	if (!xsave_user_valid(in, allowed, mxcsr_valid))
		return -EINVAL;
	if (in->xstate_bv & XCOMP_PKRU && offset + sizeof(fpu->pkru) <= size)
		memcpy(&fpu->pkru, buf + offset, sizeof(fpu->pkru));
	xsave_from_user(&xsave_layout, fpu->image, image_compacted, image_components, in, size);
	return 0;
}

int cpu_get_xcrs(struct vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	if (!cpu_caps.guest_xcr0)
		return 0;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->cpu_state.fpu.xcr0;
	return 0;
}

int cpu_set_xcrs(struct vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	u32 i;

	if (!cpu_caps.guest_xcr0 || xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++)
		if (xcrs->xcrs[i].xcr == XCR_XFEATURE_ENABLED_MASK)
			return cpu_set_xcr0(vcpu, xcrs->xcrs[i].value);
	return 0;
}
