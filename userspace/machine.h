/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_MACHINE_H
#define NESTOR_MACHINE_H

#include <stdbool.h>

#include "boot/boot.h"
#include "vm.h"

/**
 * struct machine_options - what to run
 * @vm: the machine
 * @boot: what runs on it
 * @trace: where to save a trace of the hypervisor's events, or NULL
 * @stats: whether to print the hypervisor's counters at the end
 */
struct machine_options {
	struct vm_config vm;
	struct boot_options boot;
	const char *trace;
	bool stats;
};

int machine__run(const struct kvm *kvm, const struct machine_options *options);

#endif
