// SPDX-License-Identifier: GPL-2.0
/* The VM that a case runs in: some memory, one vCPU, and handlers that tell which exception or interrupt came. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "compare/compare.h"
#include "util.h"

#define SEL_CODE	0x10	/* entry__apply()'s */
#define GATE_INTERRUPT	0x8e00ULL
#define NR_VECTORS	256

#define ADDRESS_SPACE_SMM	1

/* A guest that makes more exits than this repeats itself. */
#define MAX_EXITS	40

/** subject__ioctl() - an ioctl whose failure is a result; the result or a negative errno */
long subject__ioctl(int fd, unsigned long request, const void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

/*
 * out %al, $port; jmp to it. The same at address 0, where CPUs that take what they have for something else go most
 * often, and would find nothing but zeros to execute for a long time; a TSS does not use these bytes in long mode. And
 * once more, behind NOPs, where those end that execute zeros from elsewhere on: next come page tables.
 */
static void make_handlers(struct subject *s)
{
	static const uint8_t astray[] = { 0xe6, PORT_ASTRAY, 0xeb, 0xfc }, smm[] = { 0xe6, PORT_SMM, 0x0f, 0xaa };
	uint8_t *end = s->memory + WATCHED - 16;

	memcpy(s->memory, astray, sizeof(astray));
	memset(end, 0x90, 12);
	memcpy(end + 12, astray, sizeof(astray));
	memcpy(s->memory + SMM_HANDLER, smm, sizeof(smm));
	for (unsigned int v = 0; v < NR_VECTORS; v++) {
		uint8_t code[] = { 0xe6, v < 32 ? v : PORT_INTERRUPT, 0xeb, 0xfc };

		memcpy(s->memory + GUEST_HANDLERS + v * sizeof(code), code, sizeof(code));
	}
}

static int create_vcpu(struct subject *s)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = GUEST_SIZE, .userspace_addr = (uintptr_t)s->memory,
	};
	long ret = subject__ioctl(s->vm.fd, KVM_SET_USER_MEMORY_REGION, &region);

	region.slot = ADDRESS_SPACE_SMM << 16;
	if (!ret)
		ret = subject__ioctl(s->vm.fd, KVM_SET_USER_MEMORY_REGION, &region);
	if (!ret) {
		s->vcpu.fd = subject__ioctl(s->vm.fd, KVM_CREATE_VCPU, NULL);
		ret = s->vcpu.fd < 0 ? s->vcpu.fd : 0;
	}
	if (!ret)
		ret = subject__ioctl(s->vcpu.fd, KVM_SET_CPUID2, s->common->cpuid);
	if (ret)
		return ret;
	s->vcpu.run = mmap(NULL, s->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->vcpu.fd, 0);
	return s->vcpu.run == MAP_FAILED ? -errno : 0;
}

/**
 * subject__create() - make the VM; @s has the device, the common CPUID and the trace already
 *
 * Return: 0 or a negative errno; subject__destroy() is due in both cases.
 */
int subject__create(struct subject *s, enum chips chips)
{
	long ret;

	s->vm.fd = s->vcpu.fd = -1;
	s->vcpu.run = MAP_FAILED;
	s->vcpu.vm = &s->vm;
	s->seen = xcalloc(1, WATCHED);
	s->memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->memory == MAP_FAILED)
		return -ENOMEM;
	s->vm.kvm = s->kvm;
	s->vm.ram[0] = (struct ram){ 0, GUEST_SIZE, s->memory };
	s->vm.nr_ram = 1;
	make_handlers(s);
	do {
		ret = subject__ioctl(s->kvm->fd, KVM_CREATE_VM, NULL);
	} while (ret == -EINTR);
	if (ret < 0)
		return ret;
	s->vm.fd = ret;
	ret = chips == CHIPS_FULL ? subject__ioctl(s->vm.fd, KVM_CREATE_IRQCHIP, NULL) : 0;
	return ret ? ret : create_vcpu(s);
}

/** subject__destroy() - give back what subject__create() took */
void subject__destroy(struct subject *s)
{
	if (s->vcpu.run != MAP_FAILED)
		munmap(s->vcpu.run, s->kvm->run_size);
	if (s->vcpu.fd >= 0)
		close(s->vcpu.fd);
	if (s->vm.fd >= 0)
		close(s->vm.fd);
	if (s->memory != MAP_FAILED)
		munmap(s->memory, GUEST_SIZE);
	free(s->seen);
}

static uint64_t handler(unsigned int vector)
{
	return GUEST_HANDLERS + 4 * vector;
}

static int set_idt(struct subject *s, unsigned int entry_size)
{
	struct kvm_sregs sregs;

	subject__get_sregs(s, &sregs);
	sregs.idt = (struct kvm_dtable){ .base = GUEST_IDT, .limit = NR_VECTORS * entry_size - 1 };
	/* What was set up is where the comparison starts from. */
	memcpy(s->seen, s->memory, WATCHED);
	return subject__set_sregs(s, &sregs);
}

/** subject__enter_long_mode() - 64-bit mode, with the first 4 GiB mapped one to one */
int subject__enter_long_mode(struct subject *s)
{
	uint32_t stack = GUEST_STACK;
	int ret = entry__apply(&s->vcpu, &(struct boot_entry){
		.mode = BOOT_LONG, .rip = GUEST_CODE, .rsp = GUEST_STACK, .tables = GUEST_TABLES, .gdt = BOOT_GDT,
	});

	if (ret)
		return ret;
	for (unsigned int v = 0; v < NR_VECTORS; v++) {
		uint64_t gate[2] = { (handler(v) & 0xffff) | SEL_CODE << 16 | GATE_INTERRUPT << 32, 0 };

		memcpy(s->memory + GUEST_IDT + v * sizeof(gate), gate, sizeof(gate));
	}
	/* The TSS is at 0: RSP0. */
	memcpy(s->memory + 4, &stack, sizeof(stack));
	return set_idt(s, 16);
}

/** subject__create_in_long_mode() - what most suites begin with; as subject__create() */
int subject__create_in_long_mode(struct subject *s, enum chips chips)
{
	int ret = subject__create(s, chips);

	return ret ? ret : subject__enter_long_mode(s);
}

/** subject__enter_protected_mode() - flat, 32-bit, without paging */
int subject__enter_protected_mode(struct subject *s)
{
	int ret = entry__apply(&s->vcpu, &(struct boot_entry){
		.mode = BOOT_PROTECTED, .rip = GUEST_CODE, .rsp = GUEST_STACK, .gdt = BOOT_GDT,
	});

	if (ret)
		return ret;
	for (unsigned int v = 0; v < NR_VECTORS; v++) {
		uint64_t gate = (handler(v) & 0xffff) | SEL_CODE << 16 | GATE_INTERRUPT << 32;

		memcpy(s->memory + GUEST_IDT + v * sizeof(gate), &gate, sizeof(gate));
	}
	return set_idt(s, 8);
}

/** subject__enter_real_mode() - real mode, all segments at 0 */
int subject__enter_real_mode(struct subject *s)
{
	int ret = entry__apply(&s->vcpu, &(struct boot_entry){ .mode = BOOT_REAL, .rip = GUEST_CODE, .rsp = GUEST_STACK });

	if (ret)
		return ret;
	for (unsigned int v = 0; v < NR_VECTORS; v++) {
		uint32_t vector = handler(v);

		memcpy(s->memory + GUEST_IDT + v * sizeof(vector), &vector, sizeof(vector));
	}
	return set_idt(s, 4);
}

void subject__get_regs(struct subject *s, struct kvm_regs *regs)
{
	subject__ioctl(s->vcpu.fd, KVM_GET_REGS, regs);
}

void subject__set_regs(struct subject *s, const struct kvm_regs *regs)
{
	subject__ioctl(s->vcpu.fd, KVM_SET_REGS, regs);
}

void subject__get_sregs(struct subject *s, struct kvm_sregs *sregs)
{
	subject__ioctl(s->vcpu.fd, KVM_GET_SREGS, sregs);
}

int subject__set_sregs(struct subject *s, const struct kvm_sregs *sregs)
{
	return subject__ioctl(s->vcpu.fd, KVM_SET_SREGS, sregs);
}

void subject__set_msr(struct subject *s, uint32_t index, uint64_t value)
{
	struct { struct kvm_msrs list; struct kvm_msr_entry entry; } msrs = {
		.list.nmsrs = 1, .entry = { .index = index, .data = value },
	};

	trace__add(s->trace, "KVM_SET_MSRS of MSR", index, subject__ioctl(s->vcpu.fd, KVM_SET_MSRS, &msrs), SHOWN_RESULT);
}

/* What reads get: no two places the same, and no address that is canonical. */
static void answer(void *data, size_t size, uint64_t where)
{
	uint64_t value = (where + 1) * 0x8f3a92b64dc7e1b5ULL;

	memcpy(data, &value, size < sizeof(value) ? size : sizeof(value));
}

static bool is_end(unsigned int port)
{
	return port < 32 || port == PORT_DONE || port == PORT_INTERRUPT || port == PORT_ASTRAY ||
	       port == PORT_SMM;
}

/* Return: whether the guest goes on. */
static bool handle_io(struct subject *s, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	size_t size = (size_t)run->io.size * run->io.count;
	uint64_t value = 0;

	observe__number(s, run->io.direction == KVM_EXIT_IO_OUT ? "port written" : "port read", run->io.port);
	observe__number(s, "size", run->io.size);
	observe__number(s, "count", run->io.count);
	if (run->io.direction == KVM_EXIT_IO_IN) {
		for (size_t i = 0; i < size && i < 4096; i += run->io.size)
			answer(data + i, run->io.size, run->io.port);
		return true;
	}
	memcpy(&value, data, size < sizeof(value) ? size : sizeof(value));
	observe__number(s, "data", value);
	return !is_end(run->io.port);
}

static void handle_mmio(struct subject *s, struct kvm_run *run)
{
	uint64_t value = 0;

	observe__number(s, run->mmio.is_write ? "memory written" : "memory read", run->mmio.phys_addr);
	observe__number(s, "length", run->mmio.len);
	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, run->mmio.len < 8 ? run->mmio.len : 8);
		observe__number(s, "data", value);
	} else {
		answer(run->mmio.data, 8, run->mmio.phys_addr);
	}
}

/* Exits that say that this vCPU cannot go on, and what of it is defined. */
static void handle_end(struct subject *s, struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_FAIL_ENTRY:
		observe__number(s, "hardware's reason", run->fail_entry.hardware_entry_failure_reason);
		s->over = true;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_UNKNOWN:
		s->over = true;
		break;
	case KVM_EXIT_DEBUG:
		observe__number(s, "debug exception", run->debug.arch.exception);
		observe__number(s, "its address", run->debug.arch.pc);
		observe__number(s, "its DR6", run->debug.arch.dr6);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		observe__number(s, "system event", run->system_event.type);
		break;
	}
}

#define SECOND 1000000000ULL

/** subject__now() - a clock, in nanoseconds */
uint64_t subject__now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

/*
 * A signal has ended KVM_RUN. Time alone does not tell a guest that never comes back from one whose machine is busy: one
 * that halts uses no time of the CPU, and one that loops uses all that it gets.
 */
static bool is_patient(const struct subject *s, uint64_t time, uint64_t cpu_time)
{
	const struct patience *p = s->patience;

	if (subject__now(CLOCK_MONOTONIC) - s->begin >= p->total * SECOND || cpu_time >= p->awake * SECOND)
		return false;
	return cpu_time > time / 16 || time < p->asleep * SECOND;
}

static long enter(struct subject *s)
{
	uint64_t time = subject__now(CLOCK_MONOTONIC), cpu_time = subject__now(CLOCK_THREAD_CPUTIME_ID);
	long ret;

	do {
		ret = subject__ioctl(s->vcpu.fd, KVM_RUN, NULL);
	} while (ret == -EINTR && is_patient(s, subject__now(CLOCK_MONOTONIC) - time,
					     subject__now(CLOCK_THREAD_CPUTIME_ID) - cpu_time));
	return ret;
}

/* An internal error is of a kind. */
static uint64_t exit_value(const struct kvm_run *run)
{
	uint64_t kind = run->exit_reason == KVM_EXIT_INTERNAL_ERROR ? run->internal.suberror : 0;

	return run->exit_reason | kind << 32;
}

int subject__run(struct subject *s)
{
	struct kvm_run *run = s->vcpu.run;
	bool more = true;

	for (unsigned int i = 0; more; i++) {
		long ret = i < MAX_EXITS ? enter(s) : -ELOOP;

		observe__result(s, "KVM_RUN", ret);
		if (ret < 0) {
			s->over = ret == -EINTR || ret == -ELOOP;
			s->trace->given_up |= ret == -EINTR;
			return -1;
		}
		trace__add(s->trace, "exit", NO_PLACE, exit_value(run), SHOWN_EXIT);
		more = run->exit_reason == KVM_EXIT_MMIO;
		if (run->exit_reason == KVM_EXIT_IO)
			more = handle_io(s, run);
		else if (run->exit_reason == KVM_EXIT_MMIO)
			handle_mmio(s, run);
		else
			handle_end(s, run);
	}
	return run->exit_reason;
}

int subject__execute(struct subject *s, const void *insn, size_t size, struct kvm_regs *regs)
{
	static const uint8_t end[] = { 0xe6, PORT_DONE, 0xeb, 0xfc };

	memcpy(s->memory + GUEST_CODE, insn, size);
	memcpy(s->memory + GUEST_CODE + size, end, sizeof(end));
	memcpy(s->seen + GUEST_CODE, s->memory + GUEST_CODE, size + sizeof(end));
	regs->rip = GUEST_CODE;
	subject__set_regs(s, regs);
	return subject__run(s);
}
