// SPDX-License-Identifier: GPL-2.0
/*
 * Page-fault throughput: several vCPUs touch memory of their own at once, that the hypervisor has not mapped yet. A
 * sample is the time from the start of all to the end of the last, for one touch of one vCPU.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "bench/bench.h"
#include "bench/layout.h"
#include "util.h"

#define SLOT		2
#define TOUCHES		512
#define STRIDE		(16 * KIB(4))	/* so that mapping neighbours along does not count */
#define PER_CPU		(TOUCHES * STRIDE)

/**
 * struct start - all threads begin together, however many there are
 * @ready: posted by each that is there
 * @gate: locked for writing until they may go
 */
struct start {
	sem_t ready;
	pthread_rwlock_t gate;
};

/**
 * struct toucher - a vCPU and its thread
 * @vcpu: the vCPU
 * @start: of all
 * @good: it came to its end
 */
struct toucher {
	struct vcpu *vcpu;
	struct start *start;
	bool good;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	const struct kvm_run *run = t->vcpu->run;
	int ret;

	sem_post(&t->start->ready);
	pthread_rwlock_rdlock(&t->start->gate);
	pthread_rwlock_unlock(&t->start->gate);
	do {
		ret = ioctl(t->vcpu->fd, KVM_RUN, 0);
	} while (ret < 0 && errno == EINTR);
	t->good = !ret && run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_DONE;
	return NULL;
}

static bool set_registers(struct guest *guest, unsigned int cpu, struct bench *bench)
{
	struct kvm_regs regs;
	int fd = guest->vm.vcpus[cpu].fd;

	if (guest__enter(guest, cpu, bench->benchmark->code, bench->result) || ioctl(fd, KVM_GET_REGS, &regs))
		return false;
	regs.rbx = BENCH_FRESH + cpu * PER_CPU;
	regs.r12 = TOUCHES;
	regs.r13 = STRIDE;
	return !ioctl(fd, KVM_SET_REGS, &regs);
}

/* Return: ticks of the round, 0 when it failed. */
static uint64_t run_round(struct guest *guest, struct bench *bench)
{
	unsigned int cpus = bench->benchmark->cpus, started = 0;
	struct start start = { .gate = PTHREAD_RWLOCK_INITIALIZER };
	struct toucher touchers[8] = { 0 };
	pthread_t threads[8];
	uint64_t begin, end;
	bool good = true;

	for (unsigned int i = 0; i < cpus; i++)
		if (!set_registers(guest, i, bench))
			return 0;
	sem_init(&start.ready, 0, 0);
	pthread_rwlock_wrlock(&start.gate);
	for (; started < cpus; started++) {
		touchers[started] = (struct toucher){ &guest->vm.vcpus[started], &start, false };
		if (pthread_create(&threads[started], NULL, touch, &touchers[started]))
			break;
	}
	for (unsigned int i = 0; i < started; i++)
		while (sem_wait(&start.ready))
			;
	begin = host_tsc();
	pthread_rwlock_unlock(&start.gate);
	for (unsigned int i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
		good &= touchers[i].good;
	}
	end = host_tsc();
	pthread_rwlock_destroy(&start.gate);
	sem_destroy(&start.ready);
	return good && started == cpus ? end - begin : 0;
}

static void run_rounds(struct guest *guest, struct bench *bench, void *host, uint64_t size)
{
	struct result *result = bench->result;

	while (result->count < bench->benchmark->samples) {
		uint64_t ticks;

		if (vm__set_slot(&guest->vm, SLOT, BENCH_FRESH, size, host))
			return;
		ticks = run_round(guest, bench);
		if (!ticks) {
			result__fail(result, "a vCPU did not come to its end");
			return;
		}
		result->samples[result->count++] = ticks / (TOUCHES * bench->benchmark->cpus);
		if (vm__set_slot(&guest->vm, SLOT, BENCH_FRESH, 0, host))
			return;
	}
}

/** measure__scaling() - small page faults of as many vCPUs as the benchmark says */
void measure__scaling(struct bench *bench)
{
	uint64_t size = bench->benchmark->cpus * PER_CPU;
	void *host = memory__map(size, PAGES_4K);
	struct guest guest;

	if (!host) {
		result__fail(bench->result, "no memory: %s", strerror(errno));
		return;
	}
	for (uint64_t at = 0; at < size; at += STRIDE)
		((volatile uint8_t *)host)[at] = 0;
	if (!guest__create(&guest, bench, bench->result)) {
		run_rounds(&guest, bench, host, size);
		guest__destroy(&guest);
	}
	munmap(host, size);
}
