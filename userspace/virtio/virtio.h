/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_VIRTIO_H
#define NESTOR_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "loop.h"
#include "pci.h"

#define VIRTQ_MAX_SIZE		256
#define VIRTIO_MAX_QUEUES	2
#define VIRTIO_NO_VECTOR	0xffff

struct vm;
struct virtio_dev;

/**
 * struct virtq - a split virtqueue; the device's lock guards all of it
 * @vdev: the device
 * @index: which of its queues
 * @size: entries; the driver may lower it from VIRTQ_MAX_SIZE
 * @enabled: whether the driver has switched it on
 * @broken: the driver broke the rules; dead until a reset
 * @vector: its MSI-X vector
 * @desc_gpa: where the driver put the descriptors
 * @avail_gpa: and the driver area
 * @used_gpa: and the device area
 * @desc: the same, checked and translated, while @enabled
 * @avail: likewise
 * @used: likewise
 * @next_avail: next entry of the available ring to take
 * @next_used: next entry of the used ring to fill
 * @signalled_used: @next_used when the driver was last considered for a signal
 * @kick: eventfd that the driver's notifications signal
 * @kick_event: @kick in the worker's loop
 */
struct virtq {
	struct virtio_dev *vdev;
	unsigned int index;
	uint16_t size;
	bool enabled;
	bool broken;
	uint16_t vector;
	uint64_t desc_gpa;
	uint64_t avail_gpa;
	uint64_t used_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail;
	uint16_t next_used;
	uint16_t signalled_used;
	int kick;
	struct loop_event kick_event;
};

/**
 * struct virtq_chain - one request that the driver made available
 * @head: its first descriptor, which names it
 * @iov: buffers to read from, then buffers to write to
 * @nr_out: how many to read from
 * @nr_in: how many to write to
 */
struct virtq_chain {
	uint16_t head;
	struct iovec iov[VIRTQ_MAX_SIZE];
	unsigned int nr_out;
	unsigned int nr_in;
};

/**
 * struct virtio_ops - a kind of device
 * @name: for messages and thread names
 * @device_id: VIRTIO_ID_*
 * @pci_class: class, subclass, programming interface
 * @nr_queues: 1 to VIRTIO_MAX_QUEUES
 * @notify: the driver has put something into a queue; called with the device's
 *	lock held, in the device's thread, only while the queue is usable
 * @start: start @worker's thread otherwise than by worker__start(); it has to end
 *	once the worker's loop is stopped
 */
struct virtio_ops {
	const char *name;
	uint16_t device_id;
	uint32_t pci_class;
	unsigned int nr_queues;
	void (*notify)(struct virtio_dev *vdev, struct virtq *vq);
	int (*start)(struct virtio_dev *vdev);
};

/**
 * struct virtio_dev - a virtio 1.x device on PCI; embedded in each device
 * @pci: the function
 * @vm: the VM
 * @ops: its kind
 * @config: its device configuration; constant
 * @config_len: bytes of it
 * @features: what it offers
 * @lock: guards all below and the device's own state
 * @driver_features: what the driver accepted
 * @feature_select: which half of @features the driver looks at
 * @driver_feature_select: which half of @driver_features it writes
 * @status: device status
 * @isr: interrupt status
 * @config_vector: MSI-X vector of configuration changes
 * @queue_select: the queue that the common configuration shows
 * @queues: @ops->nr_queues of them
 * @warned: a broken queue has been reported
 * @cfg_cap: offset of the capability that gives access to BARs
 * @worker: its thread
 */
struct virtio_dev {
	struct pci_dev pci;
	struct vm *vm;
	const struct virtio_ops *ops;
	const void *config;
	unsigned int config_len;
	uint64_t features;
	pthread_mutex_t lock;
	uint64_t driver_features;
	uint32_t feature_select;
	uint32_t driver_feature_select;
	uint8_t status;
	uint8_t isr;
	uint16_t config_vector;
	uint16_t queue_select;
	struct virtq queues[VIRTIO_MAX_QUEUES];
	bool warned;
	uint8_t cfg_cap;
	struct worker worker;
};

/* The device, whatever bus it is on. */
int virtio__init(struct virtio_dev *vdev, struct vm *vm, const struct virtio_ops *ops,
		 uint64_t features, const void *config, unsigned int config_len);
void virtio__exit(struct virtio_dev *vdev);
void virtio__kicked(struct virtq *vq);
void virtio__reset(struct virtio_dev *vdev);
void virtio__set_status(struct virtio_dev *vdev, uint8_t status);
void virtio__fail(struct virtq *vq, const char *why);
bool virtio__has(const struct virtio_dev *vdev, unsigned int feature);

/* Queues; all with the device's lock held. */
bool virtq__usable(const struct virtq *vq);
void virtq__enable(struct virtq *vq);
bool virtq__pop(struct virtq *vq, struct virtq_chain *chain);
void virtq__push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);
void virtq__signal(struct virtq *vq);

/* Buffers. */
size_t iov__size(const struct iovec *iov, unsigned int count);
size_t iov__read(const struct iovec *iov, unsigned int count, void *to, size_t len);
size_t iov__write(const struct iovec *iov, unsigned int count, const void *from, size_t len);
unsigned int iov__skip(struct iovec *iov, unsigned int count, size_t bytes);

/* The PCI transport. */
int virtio_pci__init(struct virtio_dev *vdev);
void virtio_pci__exit(struct virtio_dev *vdev);
void virtio_pci__signal_queue(struct virtq *vq);
void virtio_pci__signal_config(struct virtio_dev *vdev);

#endif
