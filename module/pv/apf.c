// SPDX-License-Identifier: GPL-2.0
/*
 * Asynchronous page faults: while the host brings a page of guest memory in, the guest runs another of its tasks.
 *
 * Documentation/virt/kvm/x86/msr.rst, MSR_KVM_ASYNC_PF_EN. A fault on a page that is not there becomes a #PF of the
 * guest's with a token in CR2 and the reason in memory; the task sleeps. A work item brings the page in, after
 * which the guest gets the token back with an interrupt: one at a time, until it acknowledges it.
 *
 * The work item may wait as long as user space likes (userfaultfd). So a guest that is reset or turns the
 * feature off does not wait for it, its works are only forgotten; a vCPU that is destroyed does.
 */
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "pv/pv.h"
#include "vm/ops.h"

#include <uapi/asm/kvm_para.h>

#define MAX_WORKS	64
#define APF_RESERVED	GENMASK_ULL(5, 4)
#define APF_GPA		(~GENMASK_ULL(5, 0))
#define APF_ON		(KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT)
#define WAKE_ALL	(~0u)

/**
 * struct apf_work - a page on its way in
 * @work: brings it in
 * @link: in vcpu->apf's list
 * @vcpu: that waits
 * @hva: the page, in the process
 * @gfn: the page, in the guest
 * @token: what the guest knows it by
 * @write: it will be written to
 * @done: the page is there, or cannot be had: the guest will find out
 * @forgotten: the guest does not wait for it any more
 *
 * Freed by the vCPU's own thread, or when the vCPU is destroyed.
 */
struct apf_work {
	struct work_struct work;
	struct list_head link;
	struct vcpu *vcpu;
	unsigned long hva;
	u64 gfn;
	u32 token;
	bool write;
	bool done;
	bool forgotten;
};

static bool apf_on(const struct vcpu *vcpu)
{
	return (vcpu->apf.enable & APF_ON) == APF_ON;
}

static void bring_in(struct mm_struct *mm, const struct apf_work *w)
{
	struct page *page;

	/* The process is exiting: nobody will look. */
	if (!mmget_not_zero(mm))
		return;
	kthread_use_mm(mm);
	if (get_user_pages_unlocked(w->hva, 1, &page, w->write ? FOLL_WRITE : 0) == 1)
		put_page(page);
	kthread_unuse_mm(mm);
	mmput(mm);
}

static void apf_work_fn(struct work_struct *work)
{
	struct apf_work *w = container_of(work, struct apf_work, work);
	struct vcpu *vcpu = w->vcpu;

	bring_in(vcpu->vm->mm, w);
	/* From here on it may be freed. Pairs with next_done(). */
	smp_store_release(&w->done, true);
	vcpu_request(vcpu, REQ_APF_READY);
	vcpu_wake(vcpu);
}

static void free_work(struct vcpu *vcpu, struct apf_work *w)
{
	list_del(&w->link);
	vcpu->apf.nr_works--;
	/* Its last steps: the request has been seen, the wake-up may still be on its way. */
	flush_work(&w->work);
	kfree(w);
}

/* A work whose page is there, that the guest waits for. The others that are done are freed on the way. */
static struct apf_work *next_done(struct vcpu *vcpu)
{
	struct apf_work *w, *next;

	list_for_each_entry_safe(w, next, &vcpu->apf.works, link) {
		if (!smp_load_acquire(&w->done))
			continue;
		if (!w->forgotten)
			return w;
		free_work(vcpu, w);
	}
	return NULL;
}

static void forget_works(struct vcpu *vcpu)
{
	struct apf_work *w;

	list_for_each_entry(w, &vcpu->apf.works, link)
		w->forgotten = true;
	vcpu->apf.wake_all = false;
	vcpu_request(vcpu, REQ_APF_READY);
}

static bool on_its_way(const struct vcpu *vcpu, u64 gfn)
{
	const struct apf_work *w;

	list_for_each_entry(w, &vcpu->apf.works, link)
		if (w->gfn == gfn && !w->forgotten)
			return true;
	return false;
}

/**
 * apf_possible - may the guest be told of a fault that takes long?
 * @vcpu: the vCPU, outside a burst
 *
 * Its handler must be able to run: nothing else is on its way into the vCPU, and interrupts are enabled, for
 * it will switch tasks.
 */
bool apf_possible(struct vcpu *vcpu)
{
	struct events *ev = &vcpu->events;

	/* What is running may be a guest of the guest's, which knows nothing of it. */
	if (!apf_on(vcpu) || vcpu->in_burst || vcpu->nested.guest_mode)
		return false;
	if (!(vcpu->apf.enable & KVM_ASYNC_PF_SEND_ALWAYS) && !vcpu_cpl(vcpu))
		return false;
	if (ev->exception.pending || ev->exception.injected || ev->nmi.injected || ev->interrupt.injected)
		return false;
	return vcpu_is_paging(vcpu) && vendor_call(interrupt_allowed)(vcpu);
}

/* Never 0, which stands for 'none'. */
static u32 new_token(struct vcpu *vcpu)
{
	if (!(++vcpu->apf.last_id << 12))
		vcpu->apf.last_id = 1;
	return vcpu->apf.last_id << 12 | (vcpu->id & 0xfff);
}

/**
 * apf_start - bring a page in behind the guest's back, and tell the guest
 * @vcpu: apf_possible() said yes
 * @gfn: the frame
 * @hva: where the VMM has it
 * @write: it shall be writable
 *
 * False: the vCPU has to wait for the page, also when the guest has come back to one that it was told about.
 */
bool apf_start(struct vcpu *vcpu, u64 gfn, unsigned long hva, bool write)
{
	static const u32 reason = KVM_PV_REASON_PAGE_NOT_PRESENT;
	struct apf_work *w;

	next_done(vcpu);
	if (vcpu->apf.nr_works >= MAX_WORKS || on_its_way(vcpu, gfn))
		return false;
	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return false;
	if (vcpu_write_pv(vcpu, (vcpu->apf.enable & APF_GPA) + offsetof(struct kvm_vcpu_pv_apf_data, flags),
		     &reason, sizeof(reason))) {
		kfree(w);
		return false;
	}
	INIT_WORK(&w->work, apf_work_fn);
	w->vcpu = vcpu;
	w->hva = hva;
	w->gfn = gfn;
	w->write = write;
	w->token = new_token(vcpu);
	list_add_tail(&w->link, &vcpu->apf.works);
	vcpu->apf.nr_works++;
	vcpu->stats.apf_not_present++;
	vcpu_raise_pf(vcpu, w->token, 0);
	schedule_work(&w->work);
	return true;
}

/* Has the guest taken the last token? */
static bool slot_free(struct vcpu *vcpu, u64 gpa)
{
	u32 token;

	return !vm_read(vcpu->vm, gpa, &token, sizeof(token)) && !token;
}

/**
 * apf_deliver - REQ_APF_READY: a page is there, or the guest has acknowledged the last one; may sleep
 * @vcpu: the vCPU
 */
void apf_deliver(struct vcpu *vcpu)
{
	u64 gpa = (vcpu->apf.enable & APF_GPA) + offsetof(struct kvm_vcpu_pv_apf_data, token);
	struct irq_msg msg = {
		.vector = vcpu->apf.vector, .delivery_mode = APIC_DM_FIXED_, .assert = true,
		.shorthand = IRQ_TO_SELF,
	};
	struct apf_work *w = next_done(vcpu);
	u32 token;

	if ((!w && !vcpu->apf.wake_all) || !apf_on(vcpu) || !lapic_takes_interrupts(vcpu) ||
	    !slot_free(vcpu, gpa))
		return;
	token = vcpu->apf.wake_all ? WAKE_ALL : w->token;
	if (vcpu_write_pv(vcpu, gpa, &token, sizeof(token)))
		return;
	if (vcpu->apf.wake_all)
		vcpu->apf.wake_all = false;
	else
		free_work(vcpu, w);
	vcpu->stats.apf_ready++;
	irq_deliver(vcpu->vm, vcpu, &msg);
}

int msr_set_apf_enable(struct vcpu *vcpu, struct msr_access *a)
{
	u64 reserved = APF_RESERVED;

	if (!guest_pv_has(vcpu, KVM_FEATURE_ASYNC_PF_INT))
		reserved |= KVM_ASYNC_PF_DELIVERY_AS_INT;
	/* Faults while a guest of the guest's runs are brought in synchronously, as ever. */
	reserved |= KVM_ASYNC_PF_DELIVERY_AS_PF_VMEXIT;
	if (a->value & reserved)
		return -EINVAL;
	if (!vcpu->lapic)
		return a->value ? -EINVAL : 0;
	if ((a->value & APF_ON) == APF_ON && !vm_is_memory(vcpu->vm, a->value & APF_GPA))
		return -EINVAL;
	vcpu->apf.enable = a->value;
	if (!apf_on(vcpu)) {
		forget_works(vcpu);
		return 0;
	}
	/* Tasks that waited before a migration, or for another address: they look for themselves. */
	vcpu->apf.wake_all = true;
	vcpu_request(vcpu, REQ_APF_READY);
	return 0;
}

int msr_get_apf_enable(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = vcpu->apf.enable;
	return 0;
}

int msr_set_apf_vector(struct vcpu *vcpu, struct msr_access *a)
{
	if (a->value > 0xff || !vcpu->lapic)
		return -EINVAL;
	vcpu->apf.vector = a->value;
	return 0;
}

int msr_get_apf_vector(struct vcpu *vcpu, struct msr_access *a)
{
	a->value = vcpu->apf.vector;
	return 0;
}

int msr_set_apf_ack(struct vcpu *vcpu, struct msr_access *a)
{
	if (a->value & 1)
		vcpu_request(vcpu, REQ_APF_READY);
	return 0;
}

void apf_vcpu_init(struct vcpu *vcpu)
{
	INIT_LIST_HEAD(&vcpu->apf.works);
}

/* After power-up or INIT the guest's memory and tasks are others. */
void apf_vcpu_reset(struct vcpu *vcpu)
{
	vcpu->apf.enable = 0;
	vcpu->apf.vector = 0;
	forget_works(vcpu);
}

/* Sleeps until no work is left that could look at the vCPU. */
void apf_vcpu_destroy(struct vcpu *vcpu)
{
	struct apf_work *w, *next;

	list_for_each_entry_safe(w, next, &vcpu->apf.works, link) {
		cancel_work_sync(&w->work);
		free_work(vcpu, w);
	}
}
