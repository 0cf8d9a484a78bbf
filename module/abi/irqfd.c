// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_IRQFD: an eventfd that raises an interrupt, and for level-triggered ones a second eventfd that
 * tells the device when the guest is done with it.
 *
 * The interrupt is raised from the eventfd's wake-up callback, whatever its context: irq/ may be
 * called with interrupts off. Only taking an irqfd apart needs a worker, because the callback that
 * reports the last close of the eventfd runs under the wait queue's lock.
 *
 * Order of locks: an eventfd's wait queue > vm->irqfd_lock.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "abi/abi.h"
#include "irq/irq.h"
#include "vm/vm.h"

/* The irqfds of all VMs are taken apart here, so that deassigning can wait for it. */
static struct workqueue_struct *irqfd_wq;

/**
 * struct resampler - the resampling irqfds of one GSI
 * @vm: theirs
 * @irqfds: read under vm->irq_srcu, changed under vm->resampler_lock
 * @link: in vm->resamplers, under vm->resampler_lock
 * @notifier: of the GSI's acknowledgement
 *
 * They share one interrupt source, so the line falls once at EOI, and then all of them are asked
 * whether they still want it up.
 */
struct resampler {
	struct vm *vm;
	struct list_head irqfds;
	struct list_head link;
	struct irq_ack_notifier notifier;
};

/**
 * struct irqfd - an eventfd bound to a GSI
 * @vm: holds no reference; the VM's fd outlives its irqfds
 * @gsi: any number: routes come and go
 * @ctx: what raises the interrupt
 * @link: in vm->irqfds, under vm->irqfd_lock; off the list: being taken apart
 * @wait: calls irqfd_wakeup()
 * @shutdown: takes it apart
 * @resampler: NULL for an edge
 * @resample_ctx: signalled at EOI
 * @resampler_link: in resampler->irqfds
 */
struct irqfd {
	struct vm *vm;
	u32 gsi;
	struct eventfd_ctx *ctx;
	struct list_head link;
	wait_queue_entry_t wait;
	struct work_struct shutdown;

	struct resampler *resampler;
	struct eventfd_ctx *resample_ctx;
	struct list_head resampler_link;
};

static void irqfd_inject(struct irqfd *irqfd)
{
	if (irqfd->resampler) {
		irq_set_gsi(irqfd->vm, IRQ_SOURCE_RESAMPLE, irqfd->gsi, 1);
		return;
	}
	irq_set_gsi(irqfd->vm, IRQ_SOURCE_USER, irqfd->gsi, 1);
	irq_set_gsi(irqfd->vm, IRQ_SOURCE_USER, irqfd->gsi, 0);
}

/* The guest has finished with the interrupt. */
static void resampler_acked(struct irq_ack_notifier *n)
{
	struct resampler *resampler = container_of(n, struct resampler, notifier);
	struct vm *vm = resampler->vm;
	struct irqfd *irqfd;
	int idx;

	irq_set_gsi(vm, IRQ_SOURCE_RESAMPLE, n->gsi, 0);

	idx = srcu_read_lock(&vm->irq_srcu);
	list_for_each_entry_srcu(irqfd, &resampler->irqfds, resampler_link,
				 srcu_read_lock_held(&vm->irq_srcu))
		compat_eventfd_signal(irqfd->resample_ctx);
	srcu_read_unlock(&vm->irq_srcu, idx);
}

static struct resampler *find_resampler(struct vm *vm, u32 gsi)
{
	struct resampler *resampler;

	list_for_each_entry(resampler, &vm->resamplers, link)
		if (resampler->notifier.gsi == gsi)
			return resampler;
	return NULL;
}

static int resampler_join(struct irqfd *irqfd)
{
	struct vm *vm = irqfd->vm;
	struct resampler *resampler;
	int r = 0;

	mutex_lock(&vm->resampler_lock);
	resampler = find_resampler(vm, irqfd->gsi);
	if (!resampler) {
		resampler = kzalloc(sizeof(*resampler), GFP_KERNEL_ACCOUNT);
		if (!resampler) {
			r = -ENOMEM;
			goto unlock;
		}
		resampler->vm = vm;
		INIT_LIST_HEAD(&resampler->irqfds);
		resampler->notifier.gsi = irqfd->gsi;
		resampler->notifier.acked = resampler_acked;
		resampler->notifier.resamples = true;
		list_add(&resampler->link, &vm->resamplers);
		irq_register_ack(vm, &resampler->notifier);
	}
	list_add_rcu(&irqfd->resampler_link, &resampler->irqfds);
	irqfd->resampler = resampler;
unlock:
	mutex_unlock(&vm->resampler_lock);
	return r;
}

static void resampler_leave(struct irqfd *irqfd)
{
	struct resampler *resampler = irqfd->resampler;
	struct vm *vm = irqfd->vm;

	mutex_lock(&vm->resampler_lock);
	list_del_rcu(&irqfd->resampler_link);
	/* Either way nobody signals the second eventfd of this irqfd afterwards. */
	if (list_empty(&resampler->irqfds)) {
		list_del(&resampler->link);
		irq_unregister_ack(vm, &resampler->notifier);
		irq_set_gsi(vm, IRQ_SOURCE_RESAMPLE, irqfd->gsi, 0);
		kfree(resampler);
	} else {
		synchronize_srcu_expedited(&vm->irq_srcu);
	}
	mutex_unlock(&vm->resampler_lock);
}

static void irqfd_free(struct irqfd *irqfd)
{
	if (irqfd->resampler)
		resampler_leave(irqfd);
	if (irqfd->resample_ctx)
		eventfd_ctx_put(irqfd->resample_ctx);
	if (irqfd->ctx)
		eventfd_ctx_put(irqfd->ctx);
	kfree(irqfd);
}

static void irqfd_shutdown(struct work_struct *work)
{
	struct irqfd *irqfd = container_of(work, struct irqfd, shutdown);
	u64 count;

	/* After this the callback neither runs nor will run. */
	eventfd_ctx_remove_wait_queue(irqfd->ctx, &irqfd->wait, &count);
	irqfd_free(irqfd);
}

/* Under irqfd_lock, once: whoever takes the irqfd off the list has it taken apart. */
static void irqfd_deactivate(struct irqfd *irqfd)
{
	lockdep_assert_held(&irqfd->vm->irqfd_lock);
	list_del_init(&irqfd->link);
	queue_work(irqfd_wq, &irqfd->shutdown);
}

/* Under the wait queue's lock, interrupts off. Tells the eventfd whether its event was consumed. */
static int irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	unsigned long flags;
	u64 count;
	int r = 0;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->ctx, &count);
		irqfd_inject(irqfd);
		r = 1;
	}
	if (events & EPOLLHUP) {
		/*
		 * The eventfd is closed for good. Nobody can be assigning it: the assigner holds a
		 * reference to the file.
		 */
		spin_lock_irqsave(&irqfd->vm->irqfd_lock, flags);
		if (!list_empty(&irqfd->link))
			irqfd_deactivate(irqfd);
		spin_unlock_irqrestore(&irqfd->vm->irqfd_lock, flags);
	}
	return r;
}

struct irqfd_poll {
	poll_table table;
	struct irqfd *irqfd;
	int error;
};

/*
 * First in the eventfd's queue, and alone to be woken: the event is the guest's, and a program that
 * reads the eventfd too does not get it. So there can be only one, whichever VM it belongs to.
 */
static void irqfd_queue(struct file *file, wait_queue_head_t *wqh, poll_table *table)
{
	struct irqfd_poll *poll = container_of(table, struct irqfd_poll, table);
	wait_queue_entry_t *wait = &poll->irqfd->wait, *first;

	init_waitqueue_func_entry(wait, irqfd_wakeup);
	wait->flags = WQ_FLAG_EXCLUSIVE | WQ_FLAG_PRIORITY;

	spin_lock_irq(&wqh->lock);
	first = list_first_entry_or_null(&wqh->head, wait_queue_entry_t, entry);
	if (first && first->flags & WQ_FLAG_PRIORITY)
		poll->error = -EBUSY;
	else
		__add_wait_queue(wqh, wait);
	spin_unlock_irq(&wqh->lock);
}

/*
 * Bind a complete irqfd to its eventfd. Until it is on the list nobody else can take it apart: the
 * eventfd does not close while the caller holds the file.
 */
static int irqfd_bind(struct irqfd *irqfd, struct file *file)
{
	struct irqfd_poll poll = { .irqfd = irqfd };
	struct vm *vm = irqfd->vm;
	__poll_t events;

	init_poll_funcptr(&poll.table, irqfd_queue);
	events = vfs_poll(file, &poll.table);
	if (poll.error) {
		irqfd_free(irqfd);
		return poll.error;
	}
	/* It was signalled before. */
	if (events & EPOLLIN)
		irqfd_inject(irqfd);

	spin_lock_irq(&vm->irqfd_lock);
	list_add_tail(&irqfd->link, &vm->irqfds);
	spin_unlock_irq(&vm->irqfd_lock);
	return 0;
}

static struct irqfd *irqfd_create(struct vm *vm, const struct kvm_irqfd *args, struct file *file)
{
	struct irqfd *irqfd;
	int r;

	irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	if (!irqfd)
		return ERR_PTR(-ENOMEM);
	irqfd->vm = vm;
	irqfd->gsi = args->gsi;
	INIT_LIST_HEAD(&irqfd->link);
	INIT_WORK(&irqfd->shutdown, irqfd_shutdown);

	irqfd->ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(irqfd->ctx)) {
		r = PTR_ERR(irqfd->ctx);
		irqfd->ctx = NULL;
		goto fail;
	}
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE) {
		irqfd->resample_ctx = eventfd_ctx_fdget(args->resamplefd);
		if (IS_ERR(irqfd->resample_ctx)) {
			r = PTR_ERR(irqfd->resample_ctx);
			irqfd->resample_ctx = NULL;
			goto fail;
		}
		r = resampler_join(irqfd);
		if (r)
			goto fail;
	}
	return irqfd;
fail:
	irqfd_free(irqfd);
	return ERR_PTR(r);
}

static int irqfd_assign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct irqfd *irqfd;
	struct file *file;
	int r;

	/* EOIs, which resampling waits for, are seen only by an I/O APIC in the kernel. */
	if (!irqchip_in_kernel_apic(vm) ||
	    (args->flags & KVM_IRQFD_FLAG_RESAMPLE && irqchip_mode(vm) != IRQCHIP_KERNEL))
		return -EINVAL;
	file = fget(args->fd);
	if (!file)
		return -EBADF;
	irqfd = irqfd_create(vm, args, file);
	r = IS_ERR(irqfd) ? PTR_ERR(irqfd) : irqfd_bind(irqfd, file);
	fput(file);
	return r;
}

static int irqfd_deassign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	struct irqfd *irqfd, *next;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	spin_lock_irq(&vm->irqfd_lock);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, link)
		if (irqfd->ctx == ctx && irqfd->gsi == args->gsi)
			irqfd_deactivate(irqfd);
	spin_unlock_irq(&vm->irqfd_lock);
	eventfd_ctx_put(ctx);

	/* The caller may rely on no interrupt from this eventfd from here on. */
	flush_workqueue(irqfd_wq);
	return 0;
}

int abi_irqfd(struct vm *vm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return irqfd_deassign(vm, args);
	return irqfd_assign(vm, args);
}

/**
 * abi_irqfd_release - take all of a VM's irqfds apart
 * @vm: whose fd is being closed
 *
 * They hold no reference to the VM, and nobody can add one: its fd is gone.
 */
void abi_irqfd_release(struct vm *vm)
{
	struct irqfd *irqfd, *next;

	spin_lock_irq(&vm->irqfd_lock);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, link)
		irqfd_deactivate(irqfd);
	spin_unlock_irq(&vm->irqfd_lock);
	flush_workqueue(irqfd_wq);
}

int abi_irqfd_setup(void)
{
	irqfd_wq = alloc_workqueue("nestor-irqfd", WQ_UNBOUND, 0);
	return irqfd_wq ? 0 : -ENOMEM;
}

void abi_irqfd_cleanup(void)
{
	destroy_workqueue(irqfd_wq);
}
