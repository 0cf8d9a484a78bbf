// SPDX-License-Identifier: GPL-2.0
/* What all virtio devices have in common, above the transport. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util.h"
#include "virtio/virtio.h"
#include "vm.h"

#define COMMON_FEATURES (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | \
			 1ULL << VIRTIO_RING_F_EVENT_IDX)

/** virtio__has() - whether the driver accepted a feature */
bool virtio__has(const struct virtio_dev *vdev, unsigned int feature)
{
	return vdev->driver_features >> feature & 1;
}

static void virtq__init(struct virtq *vq)
{
	vq->size = VIRTQ_MAX_SIZE;
	vq->enabled = vq->broken = false;
	vq->vector = VIRTIO_NO_VECTOR;
	vq->desc_gpa = vq->avail_gpa = vq->used_gpa = 0;
	vq->next_avail = vq->next_used = vq->signalled_used = 0;
}

/** virtio__reset() - bring a device back to its initial state; lock held */
void virtio__reset(struct virtio_dev *vdev)
{
	vdev->driver_features = 0;
	vdev->feature_select = vdev->driver_feature_select = 0;
	vdev->status = 0;
	vdev->config_vector = VIRTIO_NO_VECTOR;
	vdev->queue_select = 0;
	for (unsigned int i = 0; i < vdev->ops->nr_queues; i++)
		virtq__init(&vdev->queues[i]);
}

/** virtio__set_status() - take the driver's write of the device status; lock held */
void virtio__set_status(struct virtio_dev *vdev, uint8_t status)
{
	bool started = ~vdev->status & status & VIRTIO_CONFIG_S_DRIVER_OK;

	if (!status) {
		virtio__reset(vdev);
		return;
	}
	/* A refused set of features shows in the bit's staying clear. */
	if ((vdev->driver_features & ~vdev->features) ||
	    !virtio__has(vdev, VIRTIO_F_VERSION_1))
		status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	vdev->status = status | (vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Requests may have been queued before the device was ready to see them. */
	for (unsigned int i = 0; started && i < vdev->ops->nr_queues; i++)
		eventfd__signal(vdev->queues[i].kick);
}

/** virtio__fail() - give up on a queue whose driver broke the rules; lock held */
void virtio__fail(struct virtq *vq, const char *why)
{
	struct virtio_dev *vdev = vq->vdev;

	vq->broken = true;
	vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	/* Once a device: a guest must not fill the log by resetting it again. */
	if (!vdev->warned)
		pr_warn("%s queue %u: %s; the device needs a reset", vdev->ops->name,
			vq->index, why);
	vdev->warned = true;
	if (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_pci__signal_config(vdev);
}

/** virtio__kicked() - serve a queue whose eventfd was signalled; the device's thread */
void virtio__kicked(struct virtq *vq)
{
	struct virtio_dev *vdev = vq->vdev;

	eventfd__clear(vq->kick);
	pthread_mutex_lock(&vdev->lock);
	if (virtq__usable(vq))
		vdev->ops->notify(vdev, vq);
	pthread_mutex_unlock(&vdev->lock);
}

static void virtio__kick_event(void *opaque, uint32_t events)
{
	(void)events;
	virtio__kicked(opaque);
}

static int virtio__init_queues(struct virtio_dev *vdev)
{
	for (unsigned int i = 0; i < vdev->ops->nr_queues; i++) {
		struct virtq *vq = &vdev->queues[i];

		vq->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (vq->kick < 0) {
			pr_err("eventfd: %s", strerror(errno));
			return -errno;
		}
	}
	virtio__reset(vdev);
	return 0;
}

static int virtio__start(struct virtio_dev *vdev)
{
	int ret = 0;

	if (vdev->ops->start)
		return vdev->ops->start(vdev);
	for (unsigned int i = 0; i < vdev->ops->nr_queues && !ret; i++) {
		struct virtq *vq = &vdev->queues[i];

		vq->kick_event = (struct loop_event){ vq->kick, virtio__kick_event, vq };
		ret = loop__add(&vdev->worker.loop, &vq->kick_event, EPOLLIN);
	}
	return ret ? ret : worker__start(&vdev->worker, vdev->ops->name);
}

/**
 * virtio__init() - make a virtio device and start its thread
 * @vdev: zeroed
 * @vm: the VM, which has its PCI bus
 * @ops: the kind of device
 * @features: device features to offer besides the common ones
 * @config: device configuration; constant, must outlive the device
 * @config_len: bytes of it
 *
 * On failure too, virtio__exit() frees what was taken.
 *
 * Return: 0 or a negative errno, reported.
 */
int virtio__init(struct virtio_dev *vdev, struct vm *vm, const struct virtio_ops *ops,
		 uint64_t features, const void *config, unsigned int config_len)
{
	int ret;

	vdev->vm = vm;
	vdev->ops = ops;
	vdev->features = features | COMMON_FEATURES;
	vdev->config = config;
	vdev->config_len = config_len;
	pthread_mutex_init(&vdev->lock, NULL);
	for (unsigned int i = 0; i < ops->nr_queues; i++)
		vdev->queues[i] = (struct virtq){ .vdev = vdev, .index = i, .kick = -1 };
	ret = worker__init(&vdev->worker);
	if (!ret)
		ret = virtio__init_queues(vdev);
	if (!ret)
		ret = virtio_pci__init(vdev);
	return ret ? ret : virtio__start(vdev);
}

/** virtio__exit() - stop a device's thread and free what virtio__init() took */
void virtio__exit(struct virtio_dev *vdev)
{
	worker__exit(&vdev->worker);
	virtio_pci__exit(vdev);
	for (unsigned int i = 0; i < vdev->ops->nr_queues; i++)
		if (vdev->queues[i].kick >= 0)
			close(vdev->queues[i].kick);
}
