// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-net on a user-mode network: libslirp answers DHCP, DNS, ARP and pings of
 * the gateway, and makes the guest's connections from this process. No privileges
 * are needed, and nobody outside can reach the guest.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util.h"
#include "virtio/devices.h"
#include "virtio/virtio.h"
#include "vm.h"

#define PCI_CLASS_NETWORK	0x020000
#define QUEUE_RX		0
#define QUEUE_TX		1
#define FRAME_MAX		65536
#define POLL_MAX		1024
#define NSEC_PER_SEC		1000000000LL
#define NSEC_PER_MSEC		1000000

/* Descriptors of our own at the start of the poll list. */
enum { POLL_RX, POLL_TX, POLL_STOP, POLL_OWN };

/**
 * struct net_timer - one of libslirp's timers
 * @next: in the card's list
 * @fn: what to call
 * @opaque: handed to it
 * @expires: when, in milliseconds; -1 when it is not armed
 */
struct net_timer {
	struct net_timer *next;
	SlirpTimerCb fn;
	void *opaque;
	int64_t expires;
};

/**
 * struct virtio_net - the network card
 * @vdev: the virtio device
 * @config: its device configuration
 * @slirp: the network; the card's thread alone uses it and all below
 * @timers: its timers
 * @fds: what the thread waits for
 * @nr_fds: how many
 */
struct virtio_net {
	struct virtio_dev vdev;
	struct virtio_net_config config;
	Slirp *slirp;
	struct net_timer *timers;
	struct pollfd fds[POLL_MAX];
	unsigned int nr_fds;
};

/* A frame from the network to the guest; dropped while the guest has no buffer. */
static ssize_t net_receive(const void *frame, size_t len, void *opaque)
{
	struct virtio_net *net = opaque;
	struct virtq *vq = &net->vdev.queues[QUEUE_RX];
	struct virtio_net_hdr_v1 header = { .num_buffers = 1 };
	struct virtq_chain chain;
	unsigned int used;
	struct iovec *in;

	if (!virtq__pop(vq, &chain))
		return len;
	in = &chain.iov[chain.nr_out];
	if (iov__size(in, chain.nr_in) < sizeof(header) + len) {
		virtq__push(vq, &chain, 0);
		return len;
	}
	iov__write(in, chain.nr_in, &header, sizeof(header));
	used = iov__skip(in, chain.nr_in, sizeof(header));
	iov__write(in + used, chain.nr_in - used, frame, len);
	virtq__push(vq, &chain, sizeof(header) + len);
	return len;
}

static void net_guest_error(const char *message, void *opaque)
{
	(void)message;
	(void)opaque;
}

static int64_t net_clock_ns(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

static void *net_timer_new(SlirpTimerCb fn, void *cb_opaque, void *opaque)
{
	struct virtio_net *net = opaque;
	struct net_timer *timer = xcalloc(1, sizeof(*timer));

	*timer = (struct net_timer){ net->timers, fn, cb_opaque, -1 };
	net->timers = timer;
	return timer;
}

static void net_timer_free(void *timer, void *opaque)
{
	struct virtio_net *net = opaque;
	struct net_timer **at = &net->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = (*at)->next;
	free(timer);
}

static void net_timer_mod(void *timer, int64_t expires, void *opaque)
{
	(void)opaque;
	((struct net_timer *)timer)->expires = expires;
}

/* The poll list is built anew for every wait, by one thread. */
static void net_ignore_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void net_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb net_callbacks = {
	.send_packet = net_receive,
	.guest_error = net_guest_error,
	.clock_get_ns = net_clock_ns,
	.timer_new = net_timer_new,
	.timer_free = net_timer_free,
	.timer_mod = net_timer_mod,
	.register_poll_fd = net_ignore_fd,
	.unregister_poll_fd = net_ignore_fd,
	.notify = net_notify,
};

static const struct {
	int slirp;
	short poll;
} poll_bits[] = {
	{ SLIRP_POLL_IN, POLLIN }, { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI },
	{ SLIRP_POLL_ERR, POLLERR }, { SLIRP_POLL_HUP, POLLHUP },
};

static int net_add_poll(int fd, int events, void *opaque)
{
	struct virtio_net *net = opaque;
	short wanted = 0;

	/* A connection past the limit waits for its turn in a later list. */
	if (net->nr_fds == POLL_MAX)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(poll_bits); i++)
		if (events & poll_bits[i].slirp)
			wanted |= poll_bits[i].poll;
	net->fds[net->nr_fds] = (struct pollfd){ .fd = fd, .events = wanted };
	return net->nr_fds++;
}

static int net_get_revents(int index, void *opaque)
{
	const struct virtio_net *net = opaque;
	int events = 0;

	if (index < 0 || (unsigned int)index >= net->nr_fds)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(poll_bits); i++)
		if (net->fds[index].revents & poll_bits[i].poll)
			events |= poll_bits[i].slirp;
	return events;
}

static void net_run_timers(struct virtio_net *net)
{
	int64_t now = net_clock_ns(net) / NSEC_PER_MSEC;

	for (struct net_timer *t = net->timers, *next; t; t = next) {
		next = t->next;
		if (t->expires < 0 || t->expires > now)
			continue;
		t->expires = -1;
		t->fn(t->opaque);
	}
}

static uint32_t net_timeout(const struct virtio_net *net, uint32_t timeout)
{
	int64_t now = net_clock_ns(NULL) / NSEC_PER_MSEC;

	for (const struct net_timer *t = net->timers; t; t = t->next) {
		int64_t left = t->expires > now ? t->expires - now : 0;

		if (t->expires >= 0 && left < timeout)
			timeout = left;
	}
	return timeout;
}

static void virtio_net__transmit(struct virtio_net *net, struct virtq *vq)
{
	uint8_t frame[sizeof(struct virtio_net_hdr_v1) + FRAME_MAX];
	struct virtq_chain chain;

	while (virtq__pop(vq, &chain)) {
		size_t n = iov__read(chain.iov, chain.nr_out, frame, sizeof(frame));

		if (n > sizeof(struct virtio_net_hdr_v1))
			slirp_input(net->slirp, frame + sizeof(struct virtio_net_hdr_v1),
				    n - sizeof(struct virtio_net_hdr_v1));
		virtq__push(vq, &chain, 0);
	}
	virtq__signal(vq);
}

/* New buffers to receive into need no answer: the network drops what finds none. */
static void virtio_net__notify(struct virtio_dev *vdev, struct virtq *vq)
{
	struct virtio_net *net = container_of(vdev, struct virtio_net, vdev);

	if (vq->index == QUEUE_TX)
		virtio_net__transmit(net, vq);
}

static void net_wait(struct virtio_net *net)
{
	uint32_t timeout = UINT32_MAX;

	net->fds[POLL_RX] = (struct pollfd){ net->vdev.queues[QUEUE_RX].kick, POLLIN, 0 };
	net->fds[POLL_TX] = (struct pollfd){ net->vdev.queues[QUEUE_TX].kick, POLLIN, 0 };
	net->fds[POLL_STOP] = (struct pollfd){ net->vdev.worker.loop.wake, POLLIN, 0 };
	net->nr_fds = POLL_OWN;
	slirp_pollfds_fill(net->slirp, &timeout, net_add_poll, net);
	timeout = net_timeout(net, timeout);
	if (poll(net->fds, net->nr_fds, timeout > INT32_MAX ? -1 : (int)timeout) < 0)
		for (unsigned int i = 0; i < net->nr_fds; i++)
			net->fds[i].revents = 0;
}

/*
 * libslirp keeps its own list of descriptors and timers and expects one thread, so
 * the card waits with poll() instead of the loop that other devices use.
 */
static void *net_thread(void *arg)
{
	struct virtio_net *net = arg;
	struct virtio_dev *vdev = &net->vdev;

	while (!atomic_load(&vdev->worker.loop.stopped)) {
		net_wait(net);
		for (unsigned int i = 0; i < vdev->ops->nr_queues; i++)
			if (net->fds[POLL_RX + i].revents)
				virtio__kicked(&vdev->queues[i]);
		pthread_mutex_lock(&vdev->lock);
		slirp_pollfds_poll(net->slirp, 0, net_get_revents, net);
		net_run_timers(net);
		virtq__signal(&vdev->queues[QUEUE_RX]);
		pthread_mutex_unlock(&vdev->lock);
	}
	return NULL;
}

static int virtio_net__start(struct virtio_dev *vdev)
{
	struct virtio_net *net = container_of(vdev, struct virtio_net, vdev);
	int ret = thread__start(&vdev->worker.thread, vdev->ops->name, net_thread, net);

	vdev->worker.running = !ret;
	return ret;
}

static const struct virtio_ops virtio_net_ops = {
	.name = "virtio-net",
	.device_id = VIRTIO_ID_NET,
	.pci_class = PCI_CLASS_NETWORK,
	.nr_queues = 2,
	.notify = virtio_net__notify,
	.start = virtio_net__start,
};

/* The addresses that user networking has everywhere: 10.0.2.0/24, gateway .2, DNS .3. */
static Slirp *new_slirp(struct virtio_net *net)
{
	const SlirpConfig config = {
		.version = 1,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(0x0a000200),
		.vnetmask.s_addr = htonl(0xffffff00),
		.vhost.s_addr = htonl(0x0a000202),
		.vdhcp_start.s_addr = htonl(0x0a00020f),
		.vnameserver.s_addr = htonl(0x0a000203),
	};

	return slirp_new(&config, &net_callbacks, net);
}

/** virtio_net__create() - make the network card, if there is to be one */
int virtio_net__create(struct vm *vm)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
	struct virtio_net *net;

	if (!vm->config->net)
		return 0;
	net = xcalloc(1, sizeof(*net));
	vm->dev.net = net;
	memcpy(net->config.mac, mac, sizeof(mac));
	net->config.status = VIRTIO_NET_S_LINK_UP;
	net->slirp = new_slirp(net);
	if (!net->slirp) {
		pr_err("libslirp refuses to make a network");
		return -EIO;
	}
	return virtio__init(&net->vdev, vm, &virtio_net_ops,
			    1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS,
			    &net->config, sizeof(net->config));
}

/** virtio_net__destroy() - stop and free it */
void virtio_net__destroy(struct vm *vm)
{
	struct virtio_net *net = vm->dev.net;

	if (!net)
		return;
	if (net->vdev.ops)
		virtio__exit(&net->vdev);
	if (net->slirp)
		slirp_cleanup(net->slirp);
	free(net);
	vm->dev.net = NULL;
}
