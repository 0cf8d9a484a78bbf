// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

void guest_open(struct guest *g, size_t size, bool irqchip)
{
	struct kvm_pit_config pit = {};
	int r;

	memset(g, 0, sizeof(*g));
	g->dev = device_open();
	g->fd = KVM_VALUE(g->dev, KVM_CREATE_VM, 0);
	g->run_size = KVM_VALUE(g->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (irqchip) {
		KVM(g->fd, KVM_CREATE_IRQCHIP, NULL);
		KVM(g->fd, KVM_CREATE_PIT2, &pit);
	}
	g->size = size;
	g->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->memory == MAP_FAILED)
		tap_fail("no memory: %s", strerror(errno));
	r = guest_slot(g, 0, 0, size, g->memory, 0);
	if (r)
		tap_fail("KVM_SET_USER_MEMORY_REGION: %s", strerror(-r));
}

void guest_close(struct guest *g)
{
	for (int i = 0; i < g->nr_cpus; i++) {
		munmap(g->run[i], g->run_size);
		close(g->cpu[i]);
	}
	close(g->fd);
	close(g->dev);
	munmap(g->memory, g->size);
}

int guest_slot(struct guest *g, uint32_t slot, uint64_t gpa, uint64_t size, void *host,
	       uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return kvm_raw(g->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

void guest_load_code(struct guest *g, const uint8_t *code, size_t size)
{
	memcpy(g->memory + GUEST_CODE, code, size);
}

void guest_restart(struct guest *g, int cpu, uint32_t ebx)
{
	struct kvm_mp_state running = { KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2, .rbx = ebx };
	struct kvm_sregs sregs;

	if (kvm_cap(g->dev, KVM_CAP_MP_STATE))
		KVM(g->cpu[cpu], KVM_SET_MP_STATE, &running);
	KVM(g->cpu[cpu], KVM_GET_SREGS, &sregs);
	sregs.cs = (struct kvm_segment) {
		.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	sregs.ds = sregs.cs;
	sregs.ds.type = 3;
	sregs.ds.selector = 16;
	sregs.es = sregs.ss = sregs.ds;
	sregs.cr0 |= 1;
	KVM(g->cpu[cpu], KVM_SET_SREGS, &sregs);
	KVM(g->cpu[cpu], KVM_SET_REGS, &regs);
}

int guest_add_cpu(struct guest *g, uint32_t ebx)
{
	int i = g->nr_cpus;

	if (i == GUEST_CPUS)
		tap_fail("more than %d vCPUs", GUEST_CPUS);
	g->cpu[i] = KVM_VALUE(g->fd, KVM_CREATE_VCPU, i);
	g->run[i] = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->cpu[i], 0);
	if (g->run[i] == MAP_FAILED)
		tap_fail("mmap of the vCPU: %s", strerror(errno));
	g->nr_cpus++;
	guest_restart(g, i, ebx);
	return i;
}

int guest_run(struct guest *g, int cpu)
{
	int r = kvm_raw(g->cpu[cpu], KVM_RUN, NULL);

	return r ? r : (int)g->run[cpu]->exit_reason;
}

uint32_t guest_say(struct guest *g, int cpu)
{
	struct kvm_run *run = g->run[cpu];
	int r = guest_run(g, cpu);
	uint32_t value = 0;

	if (r != KVM_EXIT_IO || run->io.port != GUEST_PORT || run->io.direction != KVM_EXIT_IO_OUT)
		tap_fail("the guest did not write to the port: KVM_RUN gave %d", r);
	memcpy(&value, (uint8_t *)run + run->io.data_offset, run->io.size);
	return value;
}

int64_t guest_counter(struct guest *g, int cpu, const char *name)
{
	return kvm_counter(cpu < 0 ? g->fd : g->cpu[cpu], name);
}
