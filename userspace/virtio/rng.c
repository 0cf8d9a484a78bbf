// SPDX-License-Identifier: GPL-2.0
/* virtio-rng: the host's random numbers. */
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "util.h"
#include "virtio/devices.h"
#include "virtio/virtio.h"
#include "vm.h"

#define PCI_CLASS_OTHER 0x00ff00

/* A request gets less than it asks for rather than keep the thread for long. */
#define RNG_MAX 4096

struct virtio_rng {
	struct virtio_dev vdev;
};

static void virtio_rng__notify(struct virtio_dev *vdev, struct virtq *vq)
{
	struct virtq_chain chain;
	uint8_t data[RNG_MAX];

	(void)vdev;
	while (virtq__pop(vq, &chain)) {
		const struct iovec *in = &chain.iov[chain.nr_out];
		size_t wanted = iov__size(in, chain.nr_in);
		ssize_t n = getrandom(data, wanted < RNG_MAX ? wanted : RNG_MAX, 0);

		virtq__push(vq, &chain, n > 0 ? iov__write(in, chain.nr_in, data, n) : 0);
	}
	virtq__signal(vq);
}

static const struct virtio_ops virtio_rng_ops = {
	.name = "virtio-rng",
	.device_id = VIRTIO_ID_RNG,
	.pci_class = PCI_CLASS_OTHER,
	.nr_queues = 1,
	.notify = virtio_rng__notify,
};

/** virtio_rng__create() - make the entropy source */
int virtio_rng__create(struct vm *vm)
{
	vm->dev.rng = xcalloc(1, sizeof(*vm->dev.rng));
	return virtio__init(&vm->dev.rng->vdev, vm, &virtio_rng_ops, 0, NULL, 0);
}

/** virtio_rng__destroy() - stop and free it */
void virtio_rng__destroy(struct vm *vm)
{
	if (!vm->dev.rng)
		return;
	virtio__exit(&vm->dev.rng->vdev);
	free(vm->dev.rng);
	vm->dev.rng = NULL;
}
