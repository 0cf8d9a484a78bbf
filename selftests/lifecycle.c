// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that VMs and vCPUs go away when the last file that refers to them does, in whatever order
 * files are closed and processes die, and that a call that fails for want of a file descriptor leaves
 * nothing behind. What is left behind shows in the module's reference count.
 *
 * nestor-test: cpu=amd kernel=6.1 cpus=2
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "usage.h"
#include "vm.h"

#define CODE	0x1000

static int sys_fd;

static int users_before;

/* Files are released by the closing task itself, but a killed one takes its time. */
static void check_nothing_left(const char *what)
{
	int i, users = -1;

	if (users_before < 0) {
		tap_skip("%s: no reference count to look at", what);
		return;
	}
	for (i = 0; i < 200; i++) {
		users = module_users();
		if (users == users_before)
			break;
		usleep(10000);
	}
	tap_check(users == users_before, "%s: the module has %d users, had %d", what, users, users_before);
}

struct vm {
	int fd, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *mem;
};

/* One vCPU in real mode at CODE, where it halts for ever. */
static struct vm make_vm(bool irqchip)
{
	static const uint8_t code[] = { 0xf4, 0xeb, 0xfd };	/* hlt; jmp back */
	struct kvm_userspace_memory_region region = { .memory_size = 0x10000 };
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;
	struct vm vm;

	vm.fd = KVM_VALUE(sys_fd, KVM_CREATE_VM, 0);
	if (irqchip)
		KVM(vm.fd, KVM_CREATE_IRQCHIP, NULL);
	vm.mem = mmap(NULL, region.memory_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memcpy(vm.mem + CODE, code, sizeof(code));
	region.userspace_addr = (uintptr_t)vm.mem;
	KVM(vm.fd, KVM_SET_USER_MEMORY_REGION, &region);
	vm.vcpu = KVM_VALUE(vm.fd, KVM_CREATE_VCPU, 0);
	vm.run_size = KVM_VALUE(sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm.run = mmap(NULL, vm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm.vcpu, 0);
	if (vm.run == MAP_FAILED)
		tap_fail("mmap of the vCPU: %s", strerror(errno));
	KVM(vm.vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.selector = 0;
	sregs.cs.base = 0;
	KVM(vm.vcpu, KVM_SET_SREGS, &sregs);
	KVM(vm.vcpu, KVM_SET_REGS, &regs);
	return vm;
}

static void unmap(struct vm *vm)
{
	munmap(vm->run, vm->run_size);
	munmap(vm->mem, 0x10000);
}

static void test_close_orders(void)
{
	struct vm vm = make_vm(false);
	int stats;
	char c;

	close(vm.fd);
	tap_check(kvm_raw(vm.vcpu, KVM_RUN, NULL) == 0 && vm.run->exit_reason == KVM_EXIT_HLT,
		  "a vCPU runs after the VM's fd was closed");
	close(vm.vcpu);
	tap_check(vm.run->exit_reason == KVM_EXIT_HLT, "its pages stay mapped after its own was");
	unmap(&vm);
	check_nothing_left("VM, vCPU, mapping");

	vm = make_vm(true);
	close(vm.vcpu);
	unmap(&vm);
	close(vm.fd);
	check_nothing_left("vCPU, VM");

	vm = make_vm(false);
	stats = KVM(vm.vcpu, KVM_GET_STATS_FD, NULL);
	close(vm.vcpu);
	unmap(&vm);
	close(vm.fd);
	tap_check(read(stats, &c, 1) == 1, "statistics outlive the VM's and the vCPU's fd");
	close(stats);
	check_nothing_left("statistics last");
}

static void test_memory_unmapped_first(void)
{
	struct vm vm = make_vm(false);
	int r;

	tap_check(kvm_raw(vm.vcpu, KVM_RUN, NULL) == 0, "the guest runs");
	munmap(vm.mem, 0x10000);
	r = kvm_raw(vm.vcpu, KVM_RUN, NULL);
	tap_check(r == -EFAULT, "without its memory KVM_RUN fails: %d", r);
	munmap(vm.run, vm.run_size);
	close(vm.fd);
	close(vm.vcpu);
	check_nothing_left("memory unmapped first");
}

/* Run the child until it blocks in KVM_RUN, then kill it. */
static void test_killed(void)
{
	int ready[2], status;
	pid_t child;
	char c;

	if (pipe(ready))
		tap_fail("pipe");
	child = fork();
	if (!child) {
		struct vm vm = make_vm(true);

		if (write(ready[1], "x", 1) == 1)
			kvm_raw(vm.vcpu, KVM_RUN, NULL);
		_exit(0);
	}
	if (read(ready[0], &c, 1) != 1)
		tap_fail("the other process died");
	usleep(100000);
	kill(child, SIGKILL);
	tap_check(waitpid(child, &status, 0) == child && WIFSIGNALED(status),
		  "a process that waits in KVM_RUN can be killed");
	close(ready[0]);
	close(ready[1]);
	check_nothing_left("killed");
}

static void on_signal(int signal)
{
}

static void *run_thread(void *arg)
{
	struct vm *vm = arg;

	return (void *)(long)kvm_raw(vm->vcpu, KVM_RUN, NULL);
}

static void test_signal(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct vm vm = make_vm(true);
	pthread_t thread;
	void *result;
	int i;

	sigaction(SIGUSR1, &action, NULL);
	vm.run->exit_reason = 99;
	pthread_create(&thread, NULL, run_thread, &vm);
	usleep(100000);
	/* While it waits, everybody else may close what they have. */
	close(vm.fd);
	for (i = 0; pthread_kill(thread, 0) == 0 && i < 100; i++) {
		pthread_kill(thread, SIGUSR1);
		if (!pthread_tryjoin_np(thread, &result))
			break;
		usleep(10000);
	}
	tap_check((long)result == -EINTR && vm.run->exit_reason == KVM_EXIT_INTR,
		  "a signal ends KVM_RUN: %ld, exit reason %u", (long)result, vm.run->exit_reason);
	close(vm.vcpu);
	unmap(&vm);
	check_nothing_left("signal");
}

/* No file descriptor is left: the call fails, and is not half done. */
static void test_no_descriptor(void)
{
	struct rlimit limit, tight;
	struct vm vm = make_vm(true);
	int r, lowest = dup(0);

	close(lowest);
	getrlimit(RLIMIT_NOFILE, &limit);
	tight = limit;
	tight.rlim_cur = lowest;
	setrlimit(RLIMIT_NOFILE, &tight);
	r = kvm_raw_value(sys_fd, KVM_CREATE_VM, 0);
	tap_check(r == -EMFILE, "KVM_CREATE_VM without a descriptor: %d", r);
	r = kvm_raw_value(vm.fd, KVM_CREATE_VCPU, 1);
	tap_check(r == -EMFILE, "KVM_CREATE_VCPU without a descriptor: %d", r);
	r = kvm_raw(vm.vcpu, KVM_GET_STATS_FD, NULL);
	tap_check(r == -EMFILE, "KVM_GET_STATS_FD without a descriptor: %d", r);
	setrlimit(RLIMIT_NOFILE, &limit);
	r = kvm_raw_value(vm.fd, KVM_CREATE_VCPU, 1);
	tap_check(r >= 0, "the vCPU's id is still free: %d", r);
	close(r);
	close(vm.vcpu);
	unmap(&vm);
	close(vm.fd);
	check_nothing_left("no descriptor");
}

static void test_eventfds_left(void)
{
	int event = eventfd(0, EFD_CLOEXEC), gone = eventfd(0, EFD_CLOEXEC);
	int resample = eventfd(0, EFD_CLOEXEC);
	struct kvm_irqfd irqfd = { .fd = event, .gsi = 5 };
	struct kvm_ioeventfd io = { .fd = event, .addr = 0x2000, .len = 4 };
	struct kvm_coalesced_mmio_zone zone = { .addr = 0x3000, .size = 16 };
	struct vm vm = make_vm(true);
	uint64_t one = 1;

	KVM(vm.fd, KVM_IRQFD, &irqfd);
	irqfd.fd = gone;
	irqfd.gsi = 6;
	irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
	irqfd.resamplefd = resample;
	KVM(vm.fd, KVM_IRQFD, &irqfd);
	KVM(vm.fd, KVM_IOEVENTFD, &io);
	KVM(vm.fd, KVM_REGISTER_COALESCED_MMIO, &zone);
	/* One eventfd closes before the VM, the other is signalled after it is gone. */
	close(gone);
	close(vm.fd);
	close(vm.vcpu);
	unmap(&vm);
	check_nothing_left("irqfds, ioeventfd and zone left registered");
	tap_check(write(event, &one, 8) == 8, "the eventfd works on");
	tap_check(read(event, &one, 8) == 8 && one == 1, "and its event is ours again");
	close(event);
	close(resample);
}

static void test_unload_refused(void)
{
	struct vm vm;
	long r;

	if (users_before < 0) {
		tap_skip("unloading: not this module");
		return;
	}
	vm = make_vm(false);
	close(vm.vcpu);
	unmap(&vm);
	r = syscall(SYS_delete_module, "nestor", O_NONBLOCK);
	tap_check(r < 0 && (errno == EWOULDBLOCK || errno == EBUSY),
		  "the module cannot be unloaded under a VM: %s", r ? strerror(errno) : "it was");
	close(vm.fd);
}

static void test_many(void)
{
	int i, r = 0;

	for (i = 0; i < 200 && r >= 0; i++) {
		int vm = kvm_raw_value(sys_fd, KVM_CREATE_VM, 0);

		r = vm < 0 ? vm : kvm_raw(vm, KVM_CREATE_IRQCHIP, NULL);
		if (r >= 0)
			r = kvm_raw_value(vm, KVM_CREATE_VCPU, i);
		close(r);
		close(vm);
	}
	tap_check(r >= 0, "%d VMs one after the other: %d", i, r);
	check_nothing_left("many");
}

int main(void)
{
	sys_fd = device_open();
	users_before = module_users();
	test_close_orders();
	test_memory_unmapped_first();
	test_killed();
	test_signal();
	test_no_descriptor();
	test_eventfds_left();
	test_unload_refused();
	test_many();
	return tap_done();
}
