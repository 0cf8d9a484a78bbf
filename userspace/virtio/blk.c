// SPDX-License-Identifier: GPL-2.0
/* virtio-blk: disks on raw image files or block devices. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "util.h"
#include "virtio/devices.h"
#include "virtio/virtio.h"
#include "vm.h"

#define SECTOR_SIZE		512
#define PCI_CLASS_STORAGE	0x018000
#define MAX_SEGMENTS		(VIRTQ_MAX_SIZE - 2)
#define MAX_DISCARD_SECTORS	0x400000

/**
 * struct virtio_blk - one disk
 * @vdev: the virtio device
 * @fd: the image
 * @index: its number, which makes its serial number
 * @config: its device configuration
 */
struct virtio_blk {
	struct virtio_dev vdev;
	int fd;
	unsigned int index;
	struct virtio_blk_config config;
};

static bool in_bounds(const struct virtio_blk *blk, uint64_t sector, uint64_t bytes)
{
	return bytes % SECTOR_SIZE == 0 && sector <= blk->config.capacity &&
	       bytes / SECTOR_SIZE <= blk->config.capacity - sector;
}

/* Move all the data, however few bytes the kernel moves at a time. */
static uint8_t transfer(const struct virtio_blk *blk, struct iovec *iov, unsigned int count,
			uint64_t sector, bool write)
{
	off_t offset = sector * SECTOR_SIZE;

	if (!in_bounds(blk, sector, iov__size(iov, count)))
		return VIRTIO_BLK_S_IOERR;
	for (;;) {
		unsigned int used;
		ssize_t n;

		/* Past buffers of no length, which would look like the end. */
		used = iov__skip(iov, count, 0);
		iov += used;
		count -= used;
		if (!count)
			return VIRTIO_BLK_S_OK;
		n = write ? pwritev(blk->fd, iov, count, offset) :
			    preadv(blk->fd, iov, count, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return VIRTIO_BLK_S_IOERR;
		offset += n;
		used = iov__skip(iov, count, n);
		iov += used;
		count -= used;
	}
}

static uint8_t get_id(const struct virtio_blk *blk, struct iovec *iov, unsigned int count)
{
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };

	snprintf(id, sizeof(id), "disk%u", blk->index);
	iov__write(iov, count, id, sizeof(id));
	return VIRTIO_BLK_S_OK;
}

static uint8_t discard(const struct virtio_blk *blk, struct iovec *iov, unsigned int count,
		       uint32_t type)
{
	struct virtio_blk_discard_write_zeroes range;
	uint64_t bytes;
	int mode;

	if (iov__size(iov, count) != sizeof(range))
		return VIRTIO_BLK_S_UNSUPP;
	iov__read(iov, count, &range, sizeof(range));
	bytes = (uint64_t)range.num_sectors * SECTOR_SIZE;
	if (range.num_sectors > MAX_DISCARD_SECTORS || !in_bounds(blk, range.sector, bytes))
		return VIRTIO_BLK_S_IOERR;
	mode = type == VIRTIO_BLK_T_DISCARD ||
	       (range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) ? FALLOC_FL_PUNCH_HOLE :
								    FALLOC_FL_ZERO_RANGE;
	if (!bytes || fallocate(blk->fd, mode | FALLOC_FL_KEEP_SIZE,
				range.sector * SECTOR_SIZE, bytes) == 0)
		return VIRTIO_BLK_S_OK;
	return errno == EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* @out and @in are the data buffers: the header and the status are cut off. */
static uint8_t execute(const struct virtio_blk *blk, const struct virtio_blk_outhdr *header,
		       struct iovec *out, unsigned int nr_out, struct iovec *in,
		       unsigned int nr_in)
{
	bool read_only = blk->vdev.features >> VIRTIO_BLK_F_RO & 1;

	switch (header->type) {
	case VIRTIO_BLK_T_IN:
		return transfer(blk, in, nr_in, header->sector, false);
	case VIRTIO_BLK_T_OUT:
		return read_only ? VIRTIO_BLK_S_IOERR :
				   transfer(blk, out, nr_out, header->sector, true);
	case VIRTIO_BLK_T_FLUSH:
		return fdatasync(blk->fd) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		return get_id(blk, in, nr_in);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return read_only ? VIRTIO_BLK_S_IOERR :
				   discard(blk, out, nr_out, header->type);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/*
 * Cut the status byte off the end and the header off the start. Both may lie
 * anywhere in the buffers: their layout is the driver's business.
 */
static void virtio_blk__serve(struct virtio_blk *blk, struct virtq *vq,
			      struct virtq_chain *chain)
{
	struct iovec *in = &chain->iov[chain->nr_out], *last;
	struct virtio_blk_outhdr header;
	unsigned int used;
	uint32_t written;
	uint8_t *status;

	while (chain->nr_in && !in[chain->nr_in - 1].iov_len)
		chain->nr_in--;
	if (!chain->nr_in || iov__read(chain->iov, chain->nr_out, &header, sizeof(header)) !=
	    sizeof(header)) {
		virtio__fail(vq, "a request lacks its header or status");
		return;
	}
	used = iov__skip(chain->iov, chain->nr_out, sizeof(header));
	last = &in[chain->nr_in - 1];
	status = (uint8_t *)last->iov_base + --last->iov_len;
	written = iov__size(in, chain->nr_in) + 1;
	*status = execute(blk, &header, chain->iov + used, chain->nr_out - used, in,
			  chain->nr_in);
	virtq__push(vq, chain, written);
}

static void virtio_blk__notify(struct virtio_dev *vdev, struct virtq *vq)
{
	struct virtio_blk *blk = container_of(vdev, struct virtio_blk, vdev);
	struct virtq_chain chain;

	/* Signal each request: a driver with few of them waits for the first. */
	while (virtq__pop(vq, &chain)) {
		virtio_blk__serve(blk, vq, &chain);
		virtq__signal(vq);
	}
}

static const struct virtio_ops virtio_blk_ops = {
	.name = "virtio-blk",
	.device_id = VIRTIO_ID_BLOCK,
	.pci_class = PCI_CLASS_STORAGE,
	.nr_queues = 1,
	.notify = virtio_blk__notify,
};

/* An image that only its reader may open is a read-only disk. */
static int open_image(const char *path, uint64_t *features)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == EACCES || errno == EROFS)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		*features |= 1ULL << VIRTIO_BLK_F_RO;
	}
	if (fd < 0)
		pr_err("%s: %s", path, strerror(errno));
	return fd;
}

static int virtio_blk__init(struct virtio_blk *blk, struct vm *vm, const char *path)
{
	uint64_t features = 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_SEG_MAX |
			    1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_DISCARD |
			    1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	off_t size;

	blk->fd = open_image(path, &features);
	if (blk->fd < 0)
		return -ENOENT;
	size = lseek(blk->fd, 0, SEEK_END);
	if (size < 0) {
		pr_err("%s: %s", path, strerror(errno));
		return -ENOENT;
	}
	blk->config = (struct virtio_blk_config){
		.capacity = size / SECTOR_SIZE,
		.seg_max = MAX_SEGMENTS,
		.blk_size = SECTOR_SIZE,
		.max_discard_sectors = MAX_DISCARD_SECTORS,
		.max_discard_seg = 1,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = MAX_DISCARD_SECTORS,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
	return virtio__init(&blk->vdev, vm, &virtio_blk_ops, features, &blk->config,
			    sizeof(blk->config));
}

/** virtio_blk__create() - make all disks; -ENOENT when an image cannot be used */
int virtio_blk__create(struct vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->config->nr_disks && !ret; i++) {
		struct virtio_blk *blk = xcalloc(1, sizeof(*blk));

		blk->index = i;
		vm->dev.disks[i] = blk;
		ret = virtio_blk__init(blk, vm, vm->config->disks[i]);
	}
	return ret;
}

/** virtio_blk__destroy() - stop and free all disks */
void virtio_blk__destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < VM_MAX_DISKS; i++) {
		struct virtio_blk *blk = vm->dev.disks[i];

		if (!blk)
			continue;
		/* Without operations the device was not begun. */
		if (blk->vdev.ops)
			virtio__exit(&blk->vdev);
		if (blk->fd >= 0)
			close(blk->fd);
		free(blk);
		vm->dev.disks[i] = NULL;
	}
}
