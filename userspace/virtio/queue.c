// SPDX-License-Identifier: GPL-2.0
/*
 * Split virtqueues. The rings are the guest's memory, and the guest is hostile:
 * every index and descriptor is read once into a local that is then checked, and
 * every buffer is checked to lie in RAM. A driver that breaks the rules loses the
 * queue until it resets the device.
 */
#include <string.h>

#include "util.h"
#include "virtio/virtio.h"
#include "vm.h"

#define DESC_ALIGN	16
#define AVAIL_ALIGN	2
#define USED_ALIGN	4

/* The ring's flags, index, entries, and the event index after them. */
#define AVAIL_SIZE(n)	(sizeof(struct vring_avail) + 2 * (n) + 2)
#define USED_SIZE(n)	(sizeof(struct vring_used) + 8 * (n) + 2)

/** virtq__usable() - whether the device may take requests from a queue */
bool virtq__usable(const struct virtq *vq)
{
	return vq->enabled && !vq->broken && (vq->vdev->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void *translate(const struct vm *vm, uint64_t gpa, size_t size, size_t align)
{
	return gpa % align ? NULL : memory__ptr(vm, gpa, size);
}

/** virtq__enable() - take a queue into use at the addresses that the driver has set */
void virtq__enable(struct virtq *vq)
{
	const struct vm *vm = vq->vdev->vm;

	if (vq->enabled)
		return;
	vq->desc = translate(vm, vq->desc_gpa, sizeof(*vq->desc) * vq->size, DESC_ALIGN);
	vq->avail = translate(vm, vq->avail_gpa, AVAIL_SIZE(vq->size), AVAIL_ALIGN);
	vq->used = translate(vm, vq->used_gpa, USED_SIZE(vq->size), USED_ALIGN);
	if (!vq->desc || !vq->avail || !vq->used) {
		virtio__fail(vq, "a ring is misaligned or outside of RAM");
		return;
	}
	vq->enabled = true;
}

/* Where the driver says from which used entry on it wants a signal, and vice versa. */
static uint16_t *used_event(const struct virtq *vq)
{
	return &vq->avail->ring[vq->size];
}

static uint16_t *avail_event(const struct virtq *vq)
{
	return (uint16_t *)&vq->used->ring[vq->size];
}

static bool chain__add(struct virtq *vq, struct virtq_chain *chain, const struct vring_desc *d)
{
	unsigned int n = chain->nr_out + chain->nr_in;
	void *p = memory__ptr(vq->vdev->vm, d->addr, d->len);

	if (!p) {
		virtio__fail(vq, "a buffer is outside of RAM");
		return false;
	}
	if (n == VIRTQ_MAX_SIZE) {
		virtio__fail(vq, "a request has too many buffers");
		return false;
	}
	if (!(d->flags & VRING_DESC_F_WRITE) && chain->nr_in) {
		virtio__fail(vq, "a buffer to read follows one to write");
		return false;
	}
	chain->iov[n] = (struct iovec){ p, d->len };
	if (d->flags & VRING_DESC_F_WRITE)
		chain->nr_in++;
	else
		chain->nr_out++;
	return true;
}

static struct vring_desc read_desc(const struct vring_desc *d)
{
	struct vring_desc copy;

	memcpy(&copy, d, sizeof(copy));
	/* The compiler must not go back to the guest's memory for a field. */
	__asm__ volatile("" : : : "memory");
	return copy;
}

/* Follow one table from @at on; a loop runs into the limit on buffers. */
static bool chain__walk(struct virtq *vq, struct virtq_chain *chain,
			const struct vring_desc *table, uint32_t count, uint16_t at, bool indirect)
{
	for (uint32_t steps = 0; steps < count; steps++) {
		struct vring_desc d;

		if (at >= count) {
			virtio__fail(vq, "a descriptor's number is out of range");
			return false;
		}
		d = read_desc(&table[at]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			const struct vring_desc *inner = memory__ptr(vq->vdev->vm, d.addr, d.len);
			uint32_t n = d.len / sizeof(*inner);

			if (indirect || (d.flags & VRING_DESC_F_NEXT) || !inner ||
			    d.len % sizeof(*inner) || !n || n > VIRTQ_MAX_SIZE) {
				virtio__fail(vq, "an indirect table is malformed");
				return false;
			}
			return chain__walk(vq, chain, inner, n, 0, true);
		}
		if (!chain__add(vq, chain, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		at = d.next;
	}
	virtio__fail(vq, "a request's descriptors form a loop");
	return false;
}

static bool virtq__empty(const struct virtq *vq)
{
	return __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE) == vq->next_avail;
}

/*
 * Ask for a notification of the next request, then look again: the driver may
 * have made it available before it saw the question.
 */
static bool virtq__drained(struct virtq *vq)
{
	if (!virtio__has(vq->vdev, VIRTIO_RING_F_EVENT_IDX))
		return virtq__empty(vq);
	__atomic_store_n(avail_event(vq), vq->next_avail, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq__empty(vq);
}

/**
 * virtq__pop() - take the next request out of the available ring
 *
 * Return: whether there was one and it is well-formed.
 */
bool virtq__pop(struct virtq *vq, struct virtq_chain *chain)
{
	uint16_t pending;

	if (!virtq__usable(vq))
		return false;
	if (virtq__empty(vq) && virtq__drained(vq))
		return false;
	pending = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE) - vq->next_avail;
	if (pending > vq->size) {
		virtio__fail(vq, "the available index ran ahead");
		return false;
	}
	chain->head = __atomic_load_n(&vq->avail->ring[vq->next_avail % vq->size],
				      __ATOMIC_RELAXED);
	chain->nr_out = chain->nr_in = 0;
	vq->next_avail++;
	return chain__walk(vq, chain, vq->desc, vq->size, chain->head, false);
}

/**
 * virtq__push() - give a request back
 * @vq: the queue
 * @chain: from virtq__pop()
 * @written: bytes written into its buffers
 */
void virtq__push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	vq->used->ring[vq->next_used % vq->size] = (struct vring_used_elem){
		.id = chain->head,
		.len = written,
	};
	__atomic_store_n(&vq->used->idx, ++vq->next_used, __ATOMIC_RELEASE);
}

/** virtq__signal() - interrupt the driver for what was pushed, if it wants to know */
void virtq__signal(struct virtq *vq)
{
	uint16_t old = vq->signalled_used;
	bool wanted;

	if (old == vq->next_used || !virtq__usable(vq))
		return;
	vq->signalled_used = vq->next_used;
	/* The used index must be out before the driver's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (virtio__has(vq->vdev, VIRTIO_RING_F_EVENT_IDX))
		wanted = vring_need_event(__atomic_load_n(used_event(vq), __ATOMIC_RELAXED),
					  vq->next_used, old);
	else
		wanted = !(__atomic_load_n(&vq->avail->flags, __ATOMIC_RELAXED) &
			   VRING_AVAIL_F_NO_INTERRUPT);
	if (wanted)
		virtio_pci__signal_queue(vq);
}

/** iov__size() - bytes in a list of buffers */
size_t iov__size(const struct iovec *iov, unsigned int count)
{
	size_t size = 0;

	for (unsigned int i = 0; i < count; i++)
		size += iov[i].iov_len;
	return size;
}

/** iov__read() - copy from the start of a list of buffers; bytes copied */
size_t iov__read(const struct iovec *iov, unsigned int count, void *to, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < len; i++) {
		size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy((uint8_t *)to + done, iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/** iov__write() - copy to the start of a list of buffers; bytes copied */
size_t iov__write(const struct iovec *iov, unsigned int count, const void *from, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < len; i++) {
		size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy(iov[i].iov_base, (const uint8_t *)from + done, n);
		done += n;
	}
	return done;
}

/**
 * iov__skip() - cut bytes off the front of a list of buffers
 *
 * Return: how many leading buffers are used up; the one after is shortened.
 */
unsigned int iov__skip(struct iovec *iov, unsigned int count, size_t bytes)
{
	unsigned int i = 0;

	while (i < count && bytes >= iov[i].iov_len)
		bytes -= iov[i++].iov_len;
	if (i < count) {
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + bytes;
		iov[i].iov_len -= bytes;
	}
	return i;
}
