/* SPDX-License-Identifier: GPL-2.0 */
/* nestor top: what the VMs of both hypervisors do right now. */
#ifndef NESTOR_TOP_H
#define NESTOR_TOP_H

#include <stdbool.h>
#include <stdint.h>

#define COUNTER_NAME	48
#define MAX_VCPUS	64	/* shown of a VM */
#define MAX_VMS		64

/**
 * struct counter - a counter as debugfs has it
 * @name: its name
 * @value: its value
 */
struct counter {
	char name[COUNTER_NAME];
	uint64_t value;
};

/**
 * struct counters - some of them
 * @list: the counters
 * @nr: how many
 * @max: room in @list
 */
struct counters {
	struct counter *list;
	unsigned int nr, max;
};

/**
 * struct top_vcpu - a virtual CPU
 * @id: its number
 * @tid: its thread, or 0
 * @nested: its guest's guest runs
 * @guest_ns: time in guest mode so far
 * @counters: its own; upstream has them for the whole VM only
 */
struct top_vcpu {
	unsigned int id;
	int tid;
	bool nested;
	uint64_t guest_ns;
	struct counters counters;
};

/**
 * struct top_vm - a VM
 * @hypervisor: "nestor" or "kvm"
 * @name: its folder in debugfs, PID-FD
 * @command: of the process
 * @counters: of the VM; of upstream's those of its vCPUs together, too
 * @vcpus: by number
 * @nr_vcpus: how many
 */
struct top_vm {
	const char *hypervisor;
	char name[32];
	char command[32];
	struct counters counters;
	struct top_vcpu vcpus[MAX_VCPUS];
	unsigned int nr_vcpus;
};

/**
 * struct sample - all VMs at one moment
 * @ns: the moment
 * @vms: the VMs
 * @nr_vms: how many
 */
struct sample {
	uint64_t ns;
	struct top_vm *vms;
	unsigned int nr_vms;
};

/* scan.c */
bool sample__take(struct sample *sample);
void sample__free(struct sample *sample);
uint64_t counters__get(const struct counters *counters, const char *name);
const struct top_vm *sample__find(const struct sample *sample, const struct top_vm *vm);

/* rates.c: what happened between two samples. */
#define MAX_REASONS	64

struct reason {
	const char *name;
	double rate;
};

/**
 * struct rates - of a VM
 * @vm: as it is in the later sample
 * @exits: a second
 * @guest: CPUs' worth of time in the guest
 * @vcpu_exits: exits of each vCPU a second; below 0: not known
 * @vcpu_guest: part of the time that each spent in the guest
 * @reasons: exits by reason, the most frequent first
 * @nr_reasons: how many
 * @memory: MiB mapped by leaves of 4 KiB, 2 MiB, 1 GiB
 * @nested: vCPUs whose guest's guest runs
 */
struct rates {
	const struct top_vm *vm;
	double exits, guest;
	double vcpu_exits[MAX_VCPUS], vcpu_guest[MAX_VCPUS];
	struct reason reasons[MAX_REASONS];
	unsigned int nr_reasons;
	double memory[3];
	unsigned int nested;
};

void rates__compute(struct rates *rates, const struct top_vm *now, const struct top_vm *before, double seconds);

enum sort_by { SORT_EXITS, SORT_GUEST, SORT_MEMORY, SORT_NAME, NR_SORTS };
extern const char *const sort_names[NR_SORTS];
void rates__sort(struct rates *rates, unsigned int nr, enum sort_by by);

/* screen.c */
int screen__run(double interval);

#endif
