// SPDX-License-Identifier: GPL-2.0
/*
 * Verify who may enter guests with any state (NESTOR_PROBE_ENTRY), and with what: only root of a machine that is
 * not locked down, when the module's parameter says so.
 *
 * nestor-test: kernel=6.1,7.3
 * nestor-test: kernel=6.1,7.3 params=probe_entry=y
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nestor.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "flat.h"
#include "guest.h"
#include "tap.h"
#include "vm.h"

GUEST_TEXT(nothing, "	hlt\n");

static struct guest g;
static struct nestor_probe_entry probe;
static struct nestor_entry_value change[NESTOR_PROBE_CHANGES + 1];

static int enter(void)
{
	return kvm_raw(g.cpu[0], NESTOR_PROBE_ENTRY, &probe);
}

static int change_one(const char *name, uint64_t value)
{
	memset(change, 0, sizeof(change));
	strncpy(change[0].name, name, sizeof(change[0].name) - 1);
	change[0].value = value;
	probe = (struct nestor_probe_entry){ .changes = (uintptr_t)change, .nr_changes = 1 };
	return enter();
}

static char read_char(const char *path)
{
	int fd = open(path, O_RDONLY);
	char c = 0;

	if (fd < 0 || read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c;
}

/* Entering with nothing changed, with all that root may but CAP_SYS_ADMIN. */
static int enter_without_capability(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int r;

	if (syscall(SYS_capget, &header, data))
		tap_fail("capget");
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	if (syscall(SYS_capset, &header, data))
		tap_fail("capset");
	probe = (struct nestor_probe_entry){};
	r = enter();
	data[0].effective |= 1u << CAP_SYS_ADMIN;
	if (syscall(SYS_capset, &header, data))
		tap_fail("capset");
	return r;
}

/* 0 when the kernel cannot be locked down. */
static int lock_down(void)
{
	const char *path = "/sys/kernel/security/lockdown";
	int fd, r;

	mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return 0;
	r = write(fd, "integrity", 9);
	close(fd);
	return r == 9;
}

static void test_arguments(void)
{
	tap_check(change_one("no such field", 0) == -EINVAL, "a field that does not exist");
	tap_check(change_one("", 0) == -EINVAL, "a field without a name");
	if (!flat_is_amd())
		tap_check(change_one("host_cr0", 0) == -EPERM, "host state that is not asked for");
	probe = (struct nestor_probe_entry){ .flags = ~0u };
	tap_check(enter() == -EINVAL, "flags that do not exist");
	probe = (struct nestor_probe_entry){ .changes = (uintptr_t)change, .nr_changes = NESTOR_PROBE_CHANGES + 1 };
	tap_check(enter() == -EINVAL, "too many changes");
	probe = (struct nestor_probe_entry){ .nr_changes = 1 };
	tap_check(enter() == -EFAULT, "changes that are nowhere");
	probe = (struct nestor_probe_entry){ .memory = 1ull << 63 };
	tap_check(enter() == -EFAULT, "memory that is nowhere");
}

int main(void)
{
	bool allowed = read_char("/sys/module/nestor/parameters/probe_entry") == 'Y';

	guest_open(&g, 1 << 20, false);
	guest_load(&g, nothing);
	guest_add_cpu(&g, 0);
	tap_check(enter_without_capability() == -EPERM, "without CAP_SYS_ADMIN");
	probe = (struct nestor_probe_entry){};
	if (!allowed) {
		tap_check(enter() == -EOPNOTSUPP, "without the module's parameter");
		return tap_done();
	}
	tap_check(!enter() && probe.effect == NESTOR_EFFECT_ADVICE, "a state as it is is entered");
	test_arguments();
	tap_check(!change_one(flat_is_amd() ? "intercept_4" : "guest_rflags", 0) && probe.effect != NESTOR_EFFECT_ADVICE,
		  "a state that is refused: no VMRUN intercept, or RFLAGS without its fixed bit");
	guest_restart(&g, 0, 0);
	tap_check(guest_run(&g, 0) == KVM_EXIT_HLT, "the guest is as before");
	if (lock_down())
		tap_check(enter() == -EPERM, "on a kernel that is locked down");
	else
		tap_skip("this kernel cannot be locked down");
	return tap_done();
}
