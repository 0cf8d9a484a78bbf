// SPDX-License-Identifier: GPL-2.0
/* Taking samples: in the guest, in the host, with a second vCPU, of whole VMs. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench/bench.h"
#include "bench/layout.h"
#include "util.h"

static int create_and_enter(struct guest *guest, struct bench *bench)
{
	int ret = guest__create(guest, bench, bench->result);

	if (ret)
		return ret;
	guest__set_param(guest, PARAM_COUNT, bench->benchmark->samples);
	ret = guest__enter(guest, 0, bench->benchmark->code, bench->result);
	if (ret)
		guest__destroy(guest);
	return ret;
}

/* Run the guest to its end, and count the operations of the run. */
static void run_and_collect(struct guest *guest, struct bench *bench)
{
	struct result *result = bench->result;
	struct ops before;

	ops__read(&before);
	if (!guest__run_to_done(guest, result))
		return;
	ops__read(&result->ops);
	ops__subtract(&result->ops, &before);
	guest__collect(guest, result, bench->benchmark->samples);
}

/** measure__in_guest() - operations that the guest itself can time */
void measure__in_guest(struct bench *bench)
{
	struct guest guest;

	if (create_and_enter(&guest, bench))
		return;
	run_and_collect(&guest, bench);
	guest__destroy(&guest);
}

/**
 * measure__in_host() - exits to user space, timed from one return of KVM_RUN to the next
 *
 * The guest's TSC would not do: a hypervisor on a host with an unstable TSC makes up for
 * the time outside.
 */
void measure__in_host(struct bench *bench)
{
	struct result *result = bench->result;
	struct guest guest;
	struct ops before;
	uint64_t last, now;

	if (create_and_enter(&guest, bench))
		return;
	ops__read(&before);
	last = host_tsc();
	while (result->count < bench->benchmark->samples && guest__run(&guest, result)) {
		now = host_tsc();
		result->samples[result->count++] = now - last;
		last = now;
	}
	ops__read(&result->ops);
	ops__subtract(&result->ops, &before);
	guest__destroy(&guest);
}

static void *peer_thread(void *arg)
{
	struct vcpu *vcpu = arg;

	/* Never exits to user space by itself; whatever ends it, the other side times out. */
	while (!*(volatile uint8_t *)&vcpu->run->immediate_exit)
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0 && errno != EINTR && errno != EAGAIN)
			break;
	return NULL;
}

static unsigned int usable_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
}

/** measure__with_peer() - interrupts from vCPU 0 to vCPU 1, which has a thread of its own */
void measure__with_peer(struct bench *bench)
{
	struct vcpu *peer;
	struct guest guest;

	/* Two vCPUs that wait for each other by spinning need two CPUs. */
	if (bench->benchmark->divisor == 1 && usable_cpus() < 2) {
		result__fail(bench->result, "needs two CPUs");
		return;
	}
	if (create_and_enter(&guest, bench))
		return;
	peer = &guest.vm.vcpus[1];
	if (!guest__enter(&guest, 1, bench->benchmark->peer, bench->result) &&
	    !thread__start(&peer->thread, "peer", peer_thread, peer)) {
		run_and_collect(&guest, bench);
		*(volatile uint8_t *)&peer->run->immediate_exit = 1;
		thread__join(peer->thread);
	}
	guest__destroy(&guest);
}

/** measure__vm_create() - making a VM with one vCPU, one exit of it, and its end */
void measure__vm_create(struct bench *bench)
{
	struct result *result = bench->result;
	struct guest guest;
	struct ops before;
	uint64_t start;

	ops__read(&before);
	while (result->count < bench->benchmark->samples) {
		start = host_tsc();
		if (create_and_enter(&guest, bench))
			return;
		guest__run(&guest, result);
		guest__destroy(&guest);
		if (result->reason[0])
			return;
		result->samples[result->count++] = host_tsc() - start;
	}
	ops__read(&result->ops);
	ops__subtract(&result->ops, &before);
}
