/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Port and memory I/O handled in the kernel: interrupt controllers, PIT, ioeventfds, coalesced
 * zones. Handlers run in any context, also inside a burst: they must not sleep.
 */
#ifndef NESTOR_IOBUS_H
#define NESTOR_IOBUS_H

#include <linux/types.h>

struct vcpu;
struct vm;

enum { IOBUS_PIO, IOBUS_MMIO, IOBUS_NR };

struct iodev;

/**
 * struct iodev_ops - what a device on a bus does
 * @read:  0 when handled; -EOPNOTSUPP when this access is not the device's after all, and the
 *	   search goes on; NULL: never its
 * @write: the same
 * @release: the bus lets go of the device (VM destruction, not iobus_unregister()); may be NULL
 * @ioeventfd: not counted against the limit of devices
 */
struct iodev_ops {
	int (*read)(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, void *val);
	int (*write)(struct vcpu *vcpu, struct iodev *dev, u64 addr, int len, const void *val);
	void (*release)(struct iodev *dev);
	bool ioeventfd;
};

struct iodev {
	const struct iodev_ops *ops;
};

/*
 * Under vm->slots_lock. @len 0 (an ioeventfd of any length) matches an access that begins at @addr.
 * 0, -ENOSPC or -ENOMEM. Once iobus_unregister() returns, no handler of the device runs.
 */
int iobus_register(struct vm *vm, int bus, u64 addr, u64 len, struct iodev *dev);
void iobus_unregister(struct vm *vm, int bus, struct iodev *dev);
void iobus_destroy(struct vm *vm);

/* 0 when a device handled it, -EOPNOTSUPP when nobody did. Any context. */
int iobus_read(struct vcpu *vcpu, int bus, u64 addr, int len, void *val);
int iobus_write(struct vcpu *vcpu, int bus, u64 addr, int len, const void *val);

/* A port access, as the vendor decoded it. Passed by value: it fits into a register. */
struct io_exit {
	u16 port;
	u8 size;		/* 1, 2, 4 */
	bool in;
	bool string;
	bool rep;
};

#endif
