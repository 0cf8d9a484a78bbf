// SPDX-License-Identifier: GPL-2.0
/*
 * L2's virtual APIC: what L1 has the CPU do for L2's local APIC.
 *
 * SDM, APIC Virtualization and Virtual Interrupts. The virtual-APIC page that the CPU works on is ours: filled from
 * L1's before an entry, and what has changed is copied back behind an exit. L1 may not count on its page meanwhile
 * (SDM, Software Access to Related Structures), and no page of its memory need be held for that. The APIC-access page
 * is another matter, for L1's and L2's tables lead to it: the CPU is told the frame that it is in right now. Posted
 * interrupts arrive at L0, as the notification does; what the CPU would do with them is done here.
 */
#include <linux/gfp.h>
#include <linux/smp.h>
#include <asm/apicdef.h>

#include "irq/irq.h"
#include "vmx/vmx.h"

#define REGISTERS_SIZE	0x400
/* Behind the registers, where no CPU looks: as they were in L1's memory last. */
#define LOADED_COPY	0x800

static u32 *vtpr(const struct nested_vmx *nested)
{
	return nested->apic_page + APIC_TASKPRI;
}

/* 0 or -ENOMEM. May sleep. */
int nested_vmx_apic_init(struct nested_vmx *nested)
{
	if (!(vmx_caps.cpu_allowed & CPU_TPR_SHADOW))
		return 0;
	nested->apic_page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return nested->apic_page ? 0 : -ENOMEM;
}

void nested_vmx_apic_free(struct nested_vmx *nested)
{
	free_page((unsigned long)nested->apic_page);
	nested->apic_page = NULL;
}

/* Constants of vmcs02. */
void nested_vmx_apic_write_constants(struct nested_vmx *nested)
{
	if (!nested->apic_page)
		return;
	vmwrite64(VMCS_VIRTUAL_APIC_ADDRESS, __pa(nested->apic_page));
	nested->apic_access.written = 0;
	nested->delivery_fresh = true;
}

/* What the CPU looks at of the page. */
static unsigned int used_bytes(const struct vmcs12 *v, unsigned int *first)
{
	bool all = nested_vmx_uses(v, CPU2_APIC_REGISTERS | CPU2_VIRTUAL_DELIVERY);

	*first = all ? 0 : APIC_TASKPRI;
	return all ? REGISTERS_SIZE : 2 * sizeof(u32);
}

static bool uses_page(const struct vmcs12 *v)
{
	return v->cpu_controls & CPU_TPR_SHADOW;
}

static bool delivers(const struct vmcs12 *v)
{
	return nested_vmx_uses(v, CPU2_VIRTUAL_DELIVERY);
}

/* SDM, Guest Non-Register State: RVI, the highest request, and SVI, the highest in service. */
static u8 requested(const struct vmcs12 *v)
{
	return v->guest_intr_status;
}

static u8 in_service(const struct vmcs12 *v)
{
	return v->guest_intr_status >> 8;
}

/*
 * nested_vmx_apic_load - before an entry: L1's virtual-APIC page
 *
 * 0 or -EAGAIN. Memory that is not there reads as ones.
 */
int nested_vmx_apic_load(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;
	unsigned int first, bytes;
	int err;

	if (!uses_page(v) || nested->apic_loaded)
		return 0;
	bytes = used_bytes(v, &first);
	err = vcpu_read_guest(&vmx->vcpu, v->virtual_apic + first, nested->apic_page + first, bytes);
	if (err == -EAGAIN)
		return err;
	if (err)
		memset(nested->apic_page + first, 0xff, bytes);
	memcpy(nested->apic_page + LOADED_COPY + first, nested->apic_page + first, bytes);
	nested->apic_loaded = true;
	return 0;
}

/* Controls that L1 gives to the CPU as they are. */
#define CPU2_APIC	(CPU2_APIC_ACCESSES | CPU2_X2APIC_MODE | CPU2_APIC_REGISTERS | CPU2_VIRTUAL_DELIVERY)

/*
 * nested_vmx_apic_controls - controls of vmcs02 that are L1's alone: those of vmcs01 are about L1's APIC
 */
void nested_vmx_apic_controls(const struct vmcs12 *v, u32 *cpu, u32 *cpu2)
{
	*cpu2 = (*cpu2 & ~(u32)CPU2_APIC) | (nested_vmx_cpu2(v) & CPU2_APIC);
	if (uses_page(v))
		*cpu = (*cpu & ~(u32)(CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING)) | CPU_TPR_SHADOW;
}

/*
 * nested_vmx_apic_msrs - MSRs from IA32_X2APIC_APICID on, by bits, that the CPU takes from the virtual-APIC page
 *
 * All others are L1's own APIC's, where L1 lets L2 have them, and L0 emulates those.
 */
u64 nested_vmx_apic_msrs(const struct vmcs12 *v, bool write)
{
	if (!nested_vmx_uses(v, CPU2_X2APIC_MODE))
		return 0;
	if (!write && nested_vmx_uses(v, CPU2_APIC_REGISTERS))
		return ~0ull;
	if (write && delivers(v))
		return BIT_ULL(APIC_TASKPRI >> 4) | BIT_ULL(APIC_EOI >> 4) | BIT_ULL(APIC_SELF_IPI >> 4);
	return BIT_ULL(APIC_TASKPRI >> 4);
}

/*
 * The frame can only change when the host took it away, or slots changed, or L2 has faulted. One that the VM shares
 * with others will not do: other pages of L2's would be taken for it.
 */
static bool find_access_frame(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	struct access_frame *f = &nested->apic_access;
	const struct vm_mmu *mmu = &vcpu->vm->mmu;
	u64 gpa = nested->vmcs12->apic_access, generation = atomic64_read(&mmu->tlb_generation);
	unsigned long seq = READ_ONCE(mmu->invalidate_seq);

	if (f->known && f->gpa == gpa && f->generation == generation && f->seq == seq)
		return true;
	f->gpa = gpa;
	f->generation = generation;
	f->seq = seq;
	/* Both before the frame is looked for. */
	smp_rmb();
	f->known = mmu_frame(vcpu, gpa, &f->frame);
	return f->known;
}

/* True: there is one, or none is needed. */
bool nested_vmx_apic_has_frame(struct vcpu *vcpu)
{
	return !nested_vmx_uses(to_vmx(vcpu)->nested.vmcs12, CPU2_APIC_ACCESSES) || find_access_frame(vcpu);
}

/* A page that the host takes away as often as it was brought in, right behind that, is none to count on. */
#define BRING_IN_TRIES	8

/*
 * nested_vmx_apic_bring_in - give the APIC-access page a frame, if it has none; outside of a burst
 *
 * It may not have one yet afterwards: then the next entry asks again. Where the host's page is slow to come L2 is not
 * told so, as it did not ask for it.
 *
 * 0 or -EFAULT: it is no memory that can be written to.
 */
int nested_vmx_apic_bring_in(struct vcpu *vcpu)
{
	struct fault fault = {
		.gpa = to_vmx(vcpu)->nested.vmcs12->apic_access, .write = true, .vectoring = true,
	};
	int i;

	for (i = 0; i < BRING_IN_TRIES; i++) {
		if (nested_vmx_apic_has_frame(vcpu))
			return 0;
		switch (mmu_handle_fault(vcpu, &fault)) {
		case FAULT_FIXED:
			break;
		case FAULT_RETRY:
		case FAULT_SLOW:
			return 0;
		default:
			return -EFAULT;
		}
	}
	return -EFAULT;
}

/* Without a frame the CPU gets one that no tables lead to, and L2 does not get far. */
static void write_access_frame(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	u64 frame = __pa(nested->apic_page);

	if (likely(find_access_frame(&vmx->vcpu))) {
		frame = nested->apic_access.frame;
	} else {
		vcpu_request(&vmx->vcpu, REQ_NESTED);
		smp_send_reschedule(smp_processor_id());
	}
	if (frame == nested->apic_access.written)
		return;
	nested->apic_access.written = frame;
	/* TLBs remember which translations lead there: SDM, Guidelines for Use of the INVVPID Instruction. */
	vmx->vmcs02.flush |= FLUSH_EPT | FLUSH_VPID;
	vmwrite64(VMCS_APIC_ACCESS_ADDRESS, frame);
}

static void write_delivery(struct nested_vmx *nested)
{
	const struct vmcs12 *v = nested->vmcs12;
	const u64 eoi[] = { v->eoi_exit_bitmap0, v->eoi_exit_bitmap1, v->eoi_exit_bitmap2, v->eoi_exit_bitmap3 };
	int i;

	for (i = 0; i < ARRAY_SIZE(eoi); i++) {
		if (eoi[i] == nested->eoi_written[i] && !nested->delivery_fresh)
			continue;
		nested->eoi_written[i] = eoi[i];
		vmwrite64(VMCS_EOI_EXIT_BITMAP(i), eoi[i]);
	}
	if (v->guest_intr_status != nested->intr_status_written || nested->delivery_fresh)
		vmwrite16(VMCS_GUEST_INTR_STATUS, v->guest_intr_status);
	nested->delivery_fresh = false;
}

/*
 * nested_vmx_apic_enter - before an entry into L2, in the burst
 *
 * L0 may have emulated L2's write to CR8; and L1's memory may have changed since the check of the threshold, which the
 * CPU makes again (SDM, Checks on VM-Execution Control Fields).
 */
void nested_vmx_apic_enter(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;
	u32 threshold, *tpr = vtpr(nested);

	if (nested_vmx_uses(v, CPU2_APIC_ACCESSES))
		write_access_frame(vmx);
	if (!uses_page(v))
		return;
	if ((*tpr >> 4 & 0xf) != vmx->vcpu.nested.tpr)
		*tpr = vmx->vcpu.nested.tpr << 4;
	if (delivers(v))
		write_delivery(nested);
	threshold = delivers(v) ? 0 : v->tpr_threshold & 0xf;
	if (!nested_vmx_uses(v, CPU2_APIC_ACCESSES))
		threshold = min(threshold, *tpr >> 4 & 0xf);
	if (threshold != vmx_get(vmx, LAZY_TPR_THRESHOLD)) {
		vmx_set(vmx, LAZY_TPR_THRESHOLD, threshold);
		vmx_write_lazy(vmx);
	}
}

/* nested_vmx_apic_left - behind an exit, in the burst: what the CPU has delivered */
void nested_vmx_apic_left(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;

	if (!delivers(nested->vmcs12))
		return;
	nested->intr_status_written = vmread16(VMCS_GUEST_INTR_STATUS);
	nested->vmcs12->guest_intr_status = nested->intr_status_written;
}

/*
 * nested_vmx_apic_wakes - has L2 a virtual interrupt that ends its halt? SDM, Evaluation of Pending Virtual Interrupts
 */
bool nested_vmx_apic_wakes(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	const struct vmcs12 *v = nested->vmcs12;
	u32 priority;

	if (!delivers(v) || !nested->apic_loaded)
		return false;
	/* SDM, PPR Virtualization: the entry will do it. */
	priority = max(*vtpr(nested) >> 4 & 0xf, in_service(v) >> 4 & 0xfu);
	vcpu_fetch(vcpu, REGS_RFLAGS);
	return requested(v) >> 4 > priority && vcpu->regs.rflags & X86_EFLAGS_IF;
}

/* SDM, Posted-Interrupt Descriptor. */
#define POSTED_CONTROL	32
#define POSTED_WORDS	4

/* L1's vCPUs post as often as they like. */
#define TAKE_TRIES	64

/*
 * Clear @mask of a word of L1's memory: what of it was set, or 0 where there is no memory. *err: 0 or -EAGAIN.
 */
static u64 take_bits(struct vcpu *vcpu, u64 gpa, u64 mask, int *err)
{
	u64 old, new;
	int tries;

	*err = vcpu_read_guest(vcpu, gpa, &old, sizeof(old));
	for (tries = 0; !*err && old & mask; tries++) {
		new = old & ~mask;
		*err = vcpu_cmpxchg_guest(vcpu, gpa, &old, &new, sizeof(new));
		if (!*err)
			return old & mask;
		if (*err == 1)
			*err = tries < TAKE_TRIES ? 0 : -EAGAIN;
	}
	if (*err != -EAGAIN)
		*err = 0;
	return 0;
}

/*
 * nested_vmx_apic_merge_posted - requests that L1 has posted, if they wait, become requests of L2's virtual APIC
 *
 * SDM, Posted-Interrupt Processing. What cannot be taken now is left to REQ_NESTED.
 */
void nested_vmx_apic_merge_posted(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	struct vmcs12 *v = nested->vmcs12;
	u64 requests;
	u32 *virr;
	int i, half, err;

	if (!nested->posted_waits)
		return;
	take_bits(vcpu, v->posted_descriptor + POSTED_CONTROL, 1, &err);
	for (i = 0; i < POSTED_WORDS && !err; i++) {
		requests = take_bits(vcpu, v->posted_descriptor + i * sizeof(u64), ~0ull, &err);
		if (!requests)
			continue;
		for (half = 0; half < 2; half++) {
			virr = nested->apic_page + APIC_IRR + (2 * i + half) * 0x10;
			*virr |= requests >> 32 * half;
		}
		v->guest_intr_status = in_service(v) << 8 | max_t(u8, requested(v), 64 * i + __fls(requests));
	}
	nested->posted_waits = err;
	if (err)
		vcpu_request(vcpu, REQ_NESTED);
}

/*
 * nested_vmx_apic_store - L2 is not going to run: its registers as L1 has to see them
 *
 * Only what has changed: others of L1's vCPUs may have written to the rest, such as the TMR, which the CPU leaves
 * alone. 0 or -EAGAIN. Memory that is not there takes no writes.
 */
int nested_vmx_apic_store(struct vmx_vcpu *vmx)
{
	struct nested_vmx *nested = &vmx->nested;
	const struct vmcs12 *v = nested->vmcs12;
	unsigned int at, end;
	u32 *now, *loaded;

	if (!vmx->vcpu.nested.guest_mode || !nested->apic_loaded)
		return 0;
	nested_vmx_apic_merge_posted(&vmx->vcpu);
	if (nested->posted_waits)
		return -EAGAIN;
	end = used_bytes(v, &at);
	for (end += at; at < end; at += sizeof(*now)) {
		now = nested->apic_page + at;
		loaded = nested->apic_page + LOADED_COPY + at;
		if (likely(*now == *loaded))
			continue;
		if (vcpu_write_guest(&vmx->vcpu, v->virtual_apic + at, now, sizeof(*now)) == -EAGAIN)
			return -EAGAIN;
		*loaded = *now;
	}
	return 0;
}

/*
 * nested_vmx_apic_take_posted - an interrupt that waits for L1 is the notification of posted ones
 *
 * True: it is over, and L2 goes on. Its requests may have to be merged outside of the burst.
 */
bool nested_vmx_apic_take_posted(struct vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;
	const struct vmcs12 *v = nested->vmcs12;

	/* An APIC has no vector 0: that is the PIC's, which is not known yet. */
	if (!(v->pin_controls & PIN_POSTED) || !nested->apic_loaded || !v->posted_vector ||
	    irq_pending(vcpu) != v->posted_vector)
		return false;
	irq_take(vcpu);
	lapic_end_interrupt(vcpu);
	nested->posted_waits = true;
	nested_vmx_apic_merge_posted(vcpu);
	return true;
}

/* nested_vmx_apic_update_tpr - L2's task priority, for whoever asks in L0 */
void nested_vmx_apic_update_tpr(struct vmx_vcpu *vmx)
{
	struct vcpu_nested *n = &vmx->vcpu.nested;

	n->own_tpr = n->guest_mode && uses_page(vmx->nested.vmcs12);
	if (n->own_tpr)
		n->tpr = *vtpr(&vmx->nested) >> 4 & 0xf;
}
