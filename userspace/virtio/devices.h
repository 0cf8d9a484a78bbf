/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_VIRTIO_DEVICES_H
#define NESTOR_VIRTIO_DEVICES_H

struct vm;

/* Each makes the device that the VM's configuration asks for, or frees it. */
int virtio_blk__create(struct vm *vm);
void virtio_blk__destroy(struct vm *vm);
int virtio_console__create(struct vm *vm);
void virtio_console__destroy(struct vm *vm);
int virtio_net__create(struct vm *vm);
void virtio_net__destroy(struct vm *vm);
int virtio_rng__create(struct vm *vm);
void virtio_rng__destroy(struct vm *vm);

#endif
