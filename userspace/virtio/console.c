// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-console: hvc0, on the user's terminal. Its output always shows; the input
 * is its own when the configuration says so, else the serial port's.
 */
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "term.h"
#include "util.h"
#include "virtio/devices.h"
#include "virtio/virtio.h"
#include "vm.h"

#define PCI_CLASS_COMMUNICATION	0x078000
#define QUEUE_RX		0
#define QUEUE_TX		1
#define INPUT_SIZE		256

/* A buffer of output is printed in pieces of this size. */
#define OUTPUT_PIECE		4096

/**
 * struct virtio_console - the console
 * @vdev: the virtio device, whose lock guards all below
 * @input: what was typed and has found no buffer yet
 * @input_len: bytes of it
 */
struct virtio_console {
	struct virtio_dev vdev;
	uint8_t input[INPUT_SIZE];
	size_t input_len;
};

static void virtio_console__deliver(struct virtio_console *con)
{
	struct virtq *vq = &con->vdev.queues[QUEUE_RX];
	struct virtq_chain chain;

	while (con->input_len && virtq__pop(vq, &chain)) {
		size_t n = iov__write(&chain.iov[chain.nr_out], chain.nr_in, con->input,
				      con->input_len);

		virtq__push(vq, &chain, n);
		con->input_len -= n;
		memmove(con->input, con->input + n, con->input_len);
	}
	virtq__signal(vq);
}

static void virtio_console__print(struct virtio_console *con, const struct virtq_chain *chain)
{
	for (unsigned int i = 0; i < chain->nr_out; i++) {
		const uint8_t *p = chain->iov[i].iov_base;
		size_t left = chain->iov[i].iov_len;

		while (left) {
			size_t n = left < OUTPUT_PIECE ? left : OUTPUT_PIECE;

			term__write(con->vdev.vm->dev.term, p, n);
			p += n;
			left -= n;
		}
	}
}

static void virtio_console__notify(struct virtio_dev *vdev, struct virtq *vq)
{
	struct virtio_console *con = container_of(vdev, struct virtio_console, vdev);
	struct virtq_chain chain;

	if (vq->index == QUEUE_RX) {
		virtio_console__deliver(con);
		if (vdev->vm->config->virtio_console)
			term__resume(vdev->vm->dev.term);
		return;
	}
	while (virtq__pop(vq, &chain)) {
		virtio_console__print(con, &chain);
		virtq__push(vq, &chain, 0);
	}
	virtq__signal(vq);
}

static size_t virtio_console__room(void *opaque)
{
	struct virtio_console *con = opaque;
	size_t room;

	pthread_mutex_lock(&con->vdev.lock);
	room = INPUT_SIZE - con->input_len;
	pthread_mutex_unlock(&con->vdev.lock);
	return room;
}

static void virtio_console__input(void *opaque, const uint8_t *data, size_t len)
{
	struct virtio_console *con = opaque;

	pthread_mutex_lock(&con->vdev.lock);
	memcpy(con->input + con->input_len, data, len);
	con->input_len += len;
	virtio_console__deliver(con);
	pthread_mutex_unlock(&con->vdev.lock);
}

static const struct virtio_ops virtio_console_ops = {
	.name = "virtio-console",
	.device_id = VIRTIO_ID_CONSOLE,
	.pci_class = PCI_CLASS_COMMUNICATION,
	.nr_queues = 2,
	.notify = virtio_console__notify,
};

/** virtio_console__create() - make hvc0, and give it the input if it is to have it */
int virtio_console__create(struct vm *vm)
{
	struct virtio_console *con = xcalloc(1, sizeof(*con));
	int ret;

	vm->dev.console = con;
	ret = virtio__init(&con->vdev, vm, &virtio_console_ops, 0, NULL, 0);
	if (!ret && vm->config->virtio_console)
		term__attach(vm->dev.term, &(struct term_sink){
			.room = virtio_console__room,
			.input = virtio_console__input,
			.opaque = con,
		});
	return ret;
}

/** virtio_console__destroy() - stop and free it */
void virtio_console__destroy(struct vm *vm)
{
	if (!vm->dev.console)
		return;
	virtio__exit(&vm->dev.console->vdev);
	free(vm->dev.console);
	vm->dev.console = NULL;
}
