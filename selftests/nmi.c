// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that NMIs of the host that arrive while a guest runs reach the host, and it alone: the kernel
 * asks all CPUs for a backtrace by NMI, again and again.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
 * nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "vm.h"

#define NMIS		20
#define COUNTER		0x10000
#define CONSOLE_OFF	6	/* syslog(2) */
#define CONSOLE_ON	7
#define READ_ALL	3
#define CLEAR		5

/* It has no IDT: an NMI of its own would be a triple fault. */
GUEST_TEXT(count_on,
	   "1:	incl 0x10000\n"
	   "	jmp 1b\n");

static struct guest g;
static int result;

static void wake(int sig)
{
}

static void *run(void *unused)
{
	on_cpu(1);
	result = guest_run(&g, 0);
	return NULL;
}

static uint32_t counted(void)
{
	return __atomic_load_n((uint32_t *)(g.memory + COUNTER), __ATOMIC_RELAXED);
}

/* Whether the guest goes on. */
static bool alive(void)
{
	uint32_t before = counted();

	for (int i = 0; i < 1000 && counted() == before; i++)
		usleep(1000);
	return counted() != before;
}

/* How many backtraces of CPU 1 are in the kernel's log, and whether it was in this module once. */
static int backtraces(bool *in_module)
{
	static char log[1 << 20];
	int n = klogctl(READ_ALL, log, sizeof(log) - 1), found = 0;
	const char *p = log;

	log[n > 0 ? n : 0] = '\0';
	while ((p = strstr(p, "NMI backtrace for cpu 1"))) {
		found++;
		p++;
	}
	*in_module = strstr(log, "[nestor]") || strstr(log, "[kvm");
	klogctl(CLEAR, NULL, 0);
	return found;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = wake };
	int trigger = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC), asked = 0, found = 0, going = 0;
	int64_t before;
	pthread_t thread;
	bool in_module = false;

	if (trigger < 0)
		tap_skip_all("no /proc/sysrq-trigger");
	on_cpu(0);
	guest_open(&g, 1 << 20, true);
	guest_load(&g, count_on);
	guest_add_cpu(&g, 0);
	before = guest_counter(&g, 0, "nmi_exits");
	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&thread, NULL, run, NULL);
	tap_check(alive(), "the guest runs");

	klogctl(CONSOLE_OFF, NULL, 0);
	for (int i = 0; i < NMIS; i++) {
		bool was;

		klogctl(CLEAR, NULL, 0);
		asked += write(trigger, "l", 1) == 1;
		going += alive();
		found += backtraces(&was) > 0;
		in_module |= was;
	}
	klogctl(CONSOLE_ON, NULL, 0);

	tap_check(asked == NMIS, "asked for %d backtraces", asked);
	tap_check(found == NMIS, "CPU 1, with the guest, gave %d", found);
	tap_check(in_module, "from within the run loop");
	tap_check(going == NMIS, "the guest went on after %d", going);
	g.run[0]->immediate_exit = 1;
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	tap_check(result == -EINTR, "it had none itself: KVM_RUN ends with %d", result);
	if (before >= 0)
		tap_check(guest_counter(&g, 0, "nmi_exits") > before, "NMIs ended the guest's run: %d times",
			  (int)(guest_counter(&g, 0, "nmi_exits") - before));
	return tap_done();
}
