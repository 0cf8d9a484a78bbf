// SPDX-License-Identifier: GPL-2.0
/* The virtio 1.x PCI transport ('Virtio Over PCI Bus' in the virtio specification). */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>
#include <sys/ioctl.h>

#include "util.h"
#include "virtio/virtio.h"
#include "vm.h"

#define VIRTIO_VENDOR		0x1af4
#define VIRTIO_DEVICE_BASE	0x1040
#define VIRTIO_REVISION		1

/* One BAR, one page per structure. */
#define VIRTIO_BAR		0
#define MSIX_BAR		1
#define BAR_COMMON		0x0000
#define BAR_ISR			0x1000
#define BAR_DEVICE		0x2000
#define BAR_NOTIFY		0x3000
#define BAR_PART		0x1000
#define BAR_SIZE		0x4000
#define NOTIFY_STRIDE		4

#define ISR_QUEUE		1
#define ISR_CONFIG		2

static struct virtio_dev *to_virtio(struct pci_dev *dev)
{
	return container_of(dev, struct virtio_dev, pci);
}

static struct virtq *selected_queue(struct virtio_dev *vdev)
{
	return vdev->queue_select < vdev->ops->nr_queues ? &vdev->queues[vdev->queue_select] :
							   NULL;
}

static void signal_vector(struct virtio_dev *vdev, uint16_t vector, uint8_t isr)
{
	if (msix__enabled(&vdev->pci.msix)) {
		if (vector != VIRTIO_NO_VECTOR)
			msix__signal(&vdev->pci.msix, vector);
		return;
	}
	vdev->isr |= isr;
	pci_dev__set_intx(&vdev->pci, true);
}

/** virtio_pci__signal_queue() - interrupt the driver for a queue; lock held */
void virtio_pci__signal_queue(struct virtq *vq)
{
	signal_vector(vq->vdev, vq->vector, ISR_QUEUE);
}

/** virtio_pci__signal_config() - interrupt the driver for the configuration; lock held */
void virtio_pci__signal_config(struct virtio_dev *vdev)
{
	signal_vector(vdev, vdev->config_vector, ISR_CONFIG);
}

static void read_common(struct virtio_dev *vdev, const struct io_access *access)
{
	const struct virtq *vq = selected_queue(vdev);
	struct virtio_pci_common_cfg cfg = {
		.device_feature_select = vdev->feature_select,
		.guest_feature_select = vdev->driver_feature_select,
		.msix_config = vdev->config_vector,
		.num_queues = vdev->ops->nr_queues,
		.device_status = vdev->status,
		.queue_select = vdev->queue_select,
	};

	if (vdev->feature_select < 2)
		cfg.device_feature = vdev->features >> 32 * vdev->feature_select;
	if (vdev->driver_feature_select < 2)
		cfg.guest_feature = vdev->driver_features >> 32 * vdev->driver_feature_select;
	/* A queue of size 0 tells the driver that there is no such queue. */
	if (vq) {
		cfg.queue_size = vq->size;
		cfg.queue_msix_vector = vq->vector;
		cfg.queue_enable = vq->enabled;
		cfg.queue_notify_off = vq->index;
		cfg.queue_desc_lo = vq->desc_gpa;
		cfg.queue_desc_hi = vq->desc_gpa >> 32;
		cfg.queue_avail_lo = vq->avail_gpa;
		cfg.queue_avail_hi = vq->avail_gpa >> 32;
		cfg.queue_used_lo = vq->used_gpa;
		cfg.queue_used_hi = vq->used_gpa >> 32;
	}
	if (access->offset + access->len <= sizeof(cfg))
		memcpy(access->data, (uint8_t *)&cfg + access->offset, access->len);
}

/* A vector that is not there reads back as none, which tells the driver so. */
static uint16_t checked_vector(const struct virtio_dev *vdev, uint16_t vector)
{
	return vector < vdev->pci.msix.nr_vectors ? vector : VIRTIO_NO_VECTOR;
}

static void set_half(uint64_t *field, unsigned int high, uint32_t value)
{
	unsigned int shift = 32 * high;

	*field = (*field & ~(0xffffffffULL << shift)) | (uint64_t)value << shift;
}

static void write_queue(struct virtq *vq, unsigned int offset, uint32_t value)
{
	/* An enabled queue stands as it is until a reset. */
	if (vq->enabled && offset != VIRTIO_PCI_COMMON_Q_MSIX)
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (value && value <= VIRTQ_MAX_SIZE && !(value & (value - 1)))
			vq->size = value;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		vq->vector = checked_vector(vq->vdev, value);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value == 1)
			virtq__enable(vq);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&vq->desc_gpa, offset == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&vq->avail_gpa, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&vq->used_gpa, offset == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

/* One field; the driver writes each by its own width, 64-bit ones in halves. */
static void write_common(struct virtio_dev *vdev, unsigned int offset, uint32_t value)
{
	struct virtq *vq = selected_queue(vdev);

	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		vdev->feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		vdev->driver_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		/* Settled once FEATURES_OK is set. */
		if (vdev->driver_feature_select < 2 &&
		    !(vdev->status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&vdev->driver_features, vdev->driver_feature_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		vdev->config_vector = checked_vector(vdev, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio__set_status(vdev, value);
		if (!vdev->status) {
			vdev->isr = 0;
			pci_dev__set_intx(&vdev->pci, false);
		}
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		vdev->queue_select = value;
		break;
	default:
		if (vq)
			write_queue(vq, offset, value);
	}
}

static void access_common(struct virtio_dev *vdev, const struct io_access *access)
{
	uint64_t value;

	if (!access->write) {
		read_common(vdev, access);
		return;
	}
	value = io__value(access);
	write_common(vdev, access->offset, value);
	if (access->len == 8)
		write_common(vdev, access->offset + 4, value >> 32);
}

/* Reading the interrupt status is what acknowledges it. */
static void access_isr(struct virtio_dev *vdev, const struct io_access *access)
{
	if (access->write)
		return;
	io__answer(access, vdev->isr);
	vdev->isr = 0;
	pci_dev__set_intx(&vdev->pci, false);
}

static void access_device(struct virtio_dev *vdev, const struct io_access *access)
{
	if (!access->write && access->offset + access->len <= vdev->config_len)
		memcpy(access->data, (const uint8_t *)vdev->config + access->offset, access->len);
}

/* Only for writes that did not reach the ioeventfd, such as those by a capability. */
static void access_notify(struct virtio_dev *vdev, const struct io_access *access)
{
	unsigned int queue = access->offset / NOTIFY_STRIDE;

	if (access->write && queue < vdev->ops->nr_queues)
		eventfd__signal(vdev->queues[queue].kick);
}

static void virtio_pci__bar(void *opaque, const struct io_access *access)
{
	struct virtio_dev *vdev = to_virtio(opaque);
	struct io_access part = *access;

	part.offset %= BAR_PART;
	pthread_mutex_lock(&vdev->lock);
	switch (access->offset - part.offset) {
	case BAR_COMMON:
		access_common(vdev, &part);
		break;
	case BAR_ISR:
		access_isr(vdev, &part);
		break;
	case BAR_DEVICE:
		access_device(vdev, &part);
		break;
	case BAR_NOTIFY:
		access_notify(vdev, &part);
		break;
	}
	pthread_mutex_unlock(&vdev->lock);
}

/*
 * Let the kernel turn notifications into eventfd signals while the BAR is mapped.
 * Length 0 matches a write of any length, and is the one for which the kernel need
 * not look at the instruction.
 */
static void virtio_pci__bar_moved(struct pci_dev *dev, const struct io_region *region,
				  bool mapped)
{
	struct virtio_dev *vdev = to_virtio(dev);
	bool any_length = kvm__extension(vdev->vm->kvm, KVM_CAP_IOEVENTFD_ANY_LENGTH);

	for (unsigned int i = 0; i < vdev->ops->nr_queues; i++) {
		struct kvm_ioeventfd ioeventfd = {
			.addr = region->base + BAR_NOTIFY + i * NOTIFY_STRIDE,
			.len = any_length ? 0 : 2,
			.fd = vdev->queues[i].kick,
			.flags = mapped ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
		};

		/* Without it the notification arrives as MMIO, which works as well. */
		ioctl(vdev->vm->fd, KVM_IOEVENTFD, &ioeventfd);
	}
}

/* The window into the BAR that the capability VIRTIO_PCI_CAP_PCI_CFG opens. */
static void virtio_pci__config_access(struct pci_dev *dev, unsigned int offset,
				      unsigned int len, bool write)
{
	struct virtio_dev *vdev = to_virtio(dev);
	struct virtio_pci_cfg_cap cap;
	unsigned int data = vdev->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	if (offset >= data + sizeof(cap.pci_cfg_data) || offset + len <= data)
		return;
	memcpy(&cap, &dev->config[vdev->cfg_cap], sizeof(cap));
	if (cap.cap.bar != VIRTIO_BAR || cap.cap.offset >= BAR_SIZE ||
	    (cap.cap.length != 1 && cap.cap.length != 2 && cap.cap.length != 4) ||
	    cap.cap.offset % cap.cap.length)
		return;
	virtio_pci__bar(dev, &(struct io_access){
		.offset = cap.cap.offset,
		.data = &dev->config[data],
		.len = cap.cap.length,
		.write = write,
	});
}

static uint8_t add_virtio_cap(struct virtio_dev *vdev, uint8_t type, uint32_t offset,
			      uint32_t length, unsigned int extra)
{
	struct {
		struct virtio_pci_cap cap;
		uint32_t extra;
	} c = {
		.cap = {
			.cap_len = sizeof(c.cap) + extra,
			.cfg_type = type,
			.bar = VIRTIO_BAR,
			.offset = offset,
			.length = length,
		},
		.extra = type == VIRTIO_PCI_CAP_NOTIFY_CFG ? NOTIFY_STRIDE : 0,
	};

	return pci_dev__add_cap(&vdev->pci, PCI_CAP_ID_VNDR, (uint8_t *)&c + 2,
				c.cap.cap_len - 2);
}

static void add_virtio_caps(struct virtio_dev *vdev)
{
	uint8_t *wmask = vdev->pci.wmask;

	add_virtio_cap(vdev, VIRTIO_PCI_CAP_COMMON_CFG, BAR_COMMON,
		       sizeof(struct virtio_pci_common_cfg), 0);
	add_virtio_cap(vdev, VIRTIO_PCI_CAP_ISR_CFG, BAR_ISR, 1, 0);
	if (vdev->config_len)
		add_virtio_cap(vdev, VIRTIO_PCI_CAP_DEVICE_CFG, BAR_DEVICE, vdev->config_len, 0);
	add_virtio_cap(vdev, VIRTIO_PCI_CAP_NOTIFY_CFG, BAR_NOTIFY,
		       NOTIFY_STRIDE * vdev->ops->nr_queues, sizeof(uint32_t));
	vdev->cfg_cap = add_virtio_cap(vdev, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, sizeof(uint32_t));
	wmask += vdev->cfg_cap;
	wmask[offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(&wmask[offsetof(struct virtio_pci_cap, offset)], 0xff, 12);
}

/** virtio_pci__init() - put a device on the PCI bus; 0 or a negative errno, reported */
int virtio_pci__init(struct virtio_dev *vdev)
{
	int ret;

	vdev->pci.access = virtio_pci__config_access;
	ret = pci_dev__register(&vdev->pci, vdev->vm, &(struct pci_id){
		.vendor = VIRTIO_VENDOR,
		.device = VIRTIO_DEVICE_BASE + vdev->ops->device_id,
		.subsystem = VIRTIO_DEVICE_BASE + vdev->ops->device_id,
		.class = vdev->ops->pci_class,
		.revision = VIRTIO_REVISION,
	});
	if (ret)
		return ret;
	pci_dev__add_bar(&vdev->pci, VIRTIO_BAR, &(struct pci_bar){
		.size = BAR_SIZE,
		.handler = virtio_pci__bar,
		.moved = virtio_pci__bar_moved,
	});
	add_virtio_caps(vdev);
	/* A vector per queue and one for the configuration. */
	return pci_dev__add_msix(&vdev->pci, MSIX_BAR, vdev->ops->nr_queues + 1);
}

/** virtio_pci__exit() - free the vectors */
void virtio_pci__exit(struct virtio_dev *vdev)
{
	msix__exit(&vdev->pci.msix);
}
