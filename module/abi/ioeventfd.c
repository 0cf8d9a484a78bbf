// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_IOEVENTFD: a guest's write to an address signals an eventfd, inside the burst.
 */
#include <linux/eventfd.h>
#include <linux/slab.h>

#include "abi/abi.h"
#include "vm/vm.h"

/**
 * struct ioeventfd - an address that signals
 * @dev: its place on the bus
 * @link: in vm->ioeventfds, under vm->slots_lock
 * @ctx: what is signalled
 * @addr: guest physical address, or port
 * @datamatch: with @match
 * @len: 1, 2, 4 or 8: only accesses of this size; 0: of any size
 * @bus: IOBUS_*
 * @match: only writes of the value @datamatch
 */
struct ioeventfd {
	struct iodev dev;
	struct list_head link;
	struct eventfd_ctx *ctx;
	u64 addr;
	u64 datamatch;
	u32 len;
	u8 bus;
	bool match;
};

static int ioeventfd_write(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val)
{
	struct ioeventfd *p = container_of(dev, struct ioeventfd, dev);
	u64 data = 0;

	if (addr != p->addr || (p->len && len != p->len))
		return -EOPNOTSUPP;
	if (p->match) {
		/* Sizes are checked above; the CPU is little endian. */
		memcpy(&data, val, p->len);
		if (data != p->datamatch)
			return -EOPNOTSUPP;
	}
	compat_eventfd_signal(p->ctx);
	return 0;
}

static void ioeventfd_free(struct ioeventfd *p)
{
	list_del(&p->link);
	eventfd_ctx_put(p->ctx);
	kfree(p);
}

static void ioeventfd_release(struct iodev *dev)
{
	ioeventfd_free(container_of(dev, struct ioeventfd, dev));
}

static const struct iodev_ops ioeventfd_ops = {
	.write = ioeventfd_write,
	.release = ioeventfd_release,
	.ioeventfd = true,
};

/* Would one write signal both? */
static bool ioeventfd_collides(struct vm *vm, const struct ioeventfd *new)
{
	struct ioeventfd *p;

	list_for_each_entry(p, &vm->ioeventfds, link) {
		if (p->bus != new->bus || p->addr != new->addr)
			continue;
		if (!p->len || !new->len)
			return true;
		if (p->len == new->len &&
		    (!p->match || !new->match || p->datamatch == new->datamatch))
			return true;
	}
	return false;
}

static int check_assign(const struct kvm_ioeventfd *args)
{
	const u32 known = KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO |
			  KVM_IOEVENTFD_FLAG_DEASSIGN | KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY;

	switch (args->len) {
	case 0:
	case 1:
	case 2:
	case 4:
	case 8:
		break;
	default:
		return -EINVAL;
	}
	if (args->addr + args->len < args->addr || args->flags & ~known)
		return -EINVAL;
	/* The s390 bus; nothing on x86 would ever write to it. */
	if (args->flags & KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY && !(args->flags & KVM_IOEVENTFD_FLAG_PIO))
		return -EINVAL;
	if (!args->len && args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH)
		return -EINVAL;
	return 0;
}

static u8 bus_of(const struct kvm_ioeventfd *args)
{
	return args->flags & KVM_IOEVENTFD_FLAG_PIO ? IOBUS_PIO : IOBUS_MMIO;
}

static int ioeventfd_assign(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *ctx;
	struct ioeventfd *p;
	int r;

	r = check_assign(args);
	if (r)
		return r;
	ctx = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p) {
		eventfd_ctx_put(ctx);
		return -ENOMEM;
	}
	p->dev.ops = &ioeventfd_ops;
	p->ctx = ctx;
	p->addr = args->addr;
	p->len = args->len;
	p->bus = bus_of(args);
	p->match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	p->datamatch = args->datamatch;

	mutex_lock(&vm->slots_lock);
	r = ioeventfd_collides(vm, p) ? -EEXIST :
	    iobus_register(vm, p->bus, p->addr, p->len, &p->dev);
	if (!r)
		list_add_tail(&p->link, &vm->ioeventfds);
	mutex_unlock(&vm->slots_lock);
	if (r) {
		eventfd_ctx_put(ctx);
		kfree(p);
	}
	return r;
}

static bool ioeventfd_is(const struct ioeventfd *p, const struct kvm_ioeventfd *args,
			 const struct eventfd_ctx *ctx)
{
	bool match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;

	return p->bus == bus_of(args) && p->ctx == ctx && p->addr == args->addr &&
	       p->len == args->len && p->match == match &&
	       (!match || p->datamatch == args->datamatch);
}

static int ioeventfd_deassign(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	struct ioeventfd *p;
	int r = -ENOENT;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	mutex_lock(&vm->slots_lock);
	list_for_each_entry(p, &vm->ioeventfds, link) {
		if (!ioeventfd_is(p, args, ctx))
			continue;
		/* No write is on its way to it when this returns. */
		iobus_unregister(vm, p->bus, &p->dev);
		ioeventfd_free(p);
		r = 0;
		break;
	}
	mutex_unlock(&vm->slots_lock);
	eventfd_ctx_put(ctx);
	return r;
}

int abi_ioeventfd(struct vm *vm, const struct kvm_ioeventfd *args)
{
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return ioeventfd_deassign(vm, args);
	return ioeventfd_assign(vm, args);
}
