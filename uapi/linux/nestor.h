/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Nestor's additions to the KVM ABI, and KVM numbers that an older <linux/kvm.h> lacks.
 */
#ifndef _UAPI_LINUX_NESTOR_H
#define _UAPI_LINUX_NESTOR_H

#include <linux/kvm.h>

#endif
