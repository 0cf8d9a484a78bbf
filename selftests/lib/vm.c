// SPDX-License-Identifier: GPL-2.0
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"
#include "vm.h"

const char *device_path(void)
{
	const char *path = getenv("NESTOR_DEVICE");

	return path && *path ? path : "/dev/nestor";
}

int device_open(void)
{
	int fd = open(device_path(), O_RDWR | O_CLOEXEC);

	if (fd < 0)
		tap_skip_all("%s: %s", device_path(), strerror(errno));
	return fd;
}

int kvm_raw(int fd, unsigned long cmd, const void *arg)
{
	int r = ioctl(fd, cmd, arg);

	return r < 0 ? -errno : r;
}

int kvm_raw_value(int fd, unsigned long cmd, unsigned long arg)
{
	return kvm_raw(fd, cmd, (const void *)arg);
}

int kvm_must(int fd, unsigned long cmd, const void *arg, const char *name)
{
	int r = kvm_raw(fd, cmd, arg);

	if (r < 0)
		tap_fail("%s: %s", name, strerror(-r));
	return r;
}

int kvm_cap(int fd, int cap)
{
	return KVM_VALUE(fd, KVM_CHECK_EXTENSION, cap);
}

void vm_disable_exits(int vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_DISABLE_EXITS, .args[0] = kvm_cap(vm, KVM_CAP_X86_DISABLE_EXITS),
	};

	KVM(vm, KVM_ENABLE_CAP, &cap);
}

void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		tap_skip_all("there is no CPU %d", cpu);
}

void *guarded(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t body = (size + page - 1) / page * page;
	char *p = mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + body, page, PROT_NONE))
		tap_fail("no memory");
	return p + body - size;
}

int64_t stats_counter(int fd, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	int64_t value = -1;
	size_t stride;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		tap_fail("statistics have no header");
	stride = sizeof(*desc) + header.name_size;
	desc = calloc(1, stride);
	for (uint32_t i = 0; i < header.num_desc && value < 0; i++) {
		if (pread(fd, desc, stride, header.desc_offset + i * stride) != (ssize_t)stride)
			tap_fail("descriptor %u cannot be read", i);
		if (!strcmp(desc->name, name) &&
		    pread(fd, &value, sizeof(value), header.data_offset + desc->offset) != sizeof(value))
			tap_fail("counter %s cannot be read", name);
	}
	free(desc);
	return value;
}

int64_t kvm_counter(int of, const char *name)
{
	int fd = KVM(of, KVM_GET_STATS_FD, NULL);
	int64_t value = stats_counter(fd, name);

	close(fd);
	return value;
}

int64_t vm_leaves(int vm)
{
	return kvm_counter(vm, "pages_4k") + kvm_counter(vm, "pages_2m") + kvm_counter(vm, "pages_1g");
}

unsigned int physical_bits(void)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(0x80000008, eax, ebx, ecx, edx);
	return eax & 0xff;
}
