// SPDX-License-Identifier: GPL-2.0
/*
 * The structure behind an ioctl's pointer: copied in once, copied out once, never touched in between.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "abi/abi.h"

static void arg_free(struct abi_arg *arg)
{
	if (arg->buf != arg->small)
		kfree(arg->buf);
}

int abi_arg_begin(struct abi_arg *arg, u8 dir, size_t size, const void __user *argp)
{
	arg->buf = arg->small;
	if (size > sizeof(arg->small)) {
		arg->buf = kmalloc(size, GFP_KERNEL_ACCOUNT);
		if (!arg->buf)
			return -ENOMEM;
	}
	if (!(dir & ARG_IN)) {
		/* Padding and fields that nobody fills must not carry kernel memory to user space. */
		memset(arg->buf, 0, size);
		return 0;
	}
	if (copy_from_user(arg->buf, argp, size)) {
		arg_free(arg);
		return -EFAULT;
	}
	return 0;
}

long abi_arg_end(struct abi_arg *arg, u8 dir, size_t size, void __user *argp, long r)
{
	if (r >= 0 && dir & ARG_OUT && copy_to_user(argp, arg->buf, size))
		r = -EFAULT;
	arg_free(arg);
	return r;
}
