// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the host is as it was after 200 VMs, made and unmade four at a time; after 200 VMMs
 * killed at any moment, some of them with a Linux guest; and that the module can then be unloaded
 * and loaded again, but not unloaded while there is a VM.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2 timeout=900
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "usage.h"
#include "vm.h"

#define VMS		200
#define WARM_UP		24
#define AT_A_TIME	4
#define CPUS		2
#define MEMORY		(2u << 20)
#define KILL_MS		60	/* from nothing to the middle of the guest's run */
#define LINUX_GUESTS	6
#define LINUX_KILL_MS	5000
#define SEED		20240

/*
 * Both vCPUs run this for ever: write to every page, have the in-kernel PIC and then user space do
 * something.
 */
GUEST_TEXT(busy_guest,
	   "1:	mov $0x10000, %edi\n"
	   "2:	incl (%edi)\n"
	   "	add $0x1000, %edi\n"
	   "	cmp $0x200000, %edi\n"
	   "	jb 2b\n"
	   "	in $0x21, %al\n"
	   "	out %al, $0x80\n"
	   "	jmp 1b\n");

struct vm {
	struct guest guest;
	int event, stats;
};

/* As much as one VM can have: everything here is memory that has to go with it. */
static void make_vm(struct vm *vm)
{
	struct kvm_irqfd irqfd = { .gsi = 5 };
	struct kvm_ioeventfd io = { .addr = 0xf000, .len = 4, .flags = KVM_IOEVENTFD_FLAG_PIO };
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xd0000000, .size = 16 };
	struct guest *g = &vm->guest;

	guest_open(g, MEMORY, true);
	guest_load(g, busy_guest);
	if (guest_slot(g, 0, 0, MEMORY, g->memory, KVM_MEM_LOG_DIRTY_PAGES))
		tap_fail("cannot log dirty pages");
	vm->event = eventfd(0, EFD_CLOEXEC);
	irqfd.fd = io.fd = vm->event;
	KVM(g->fd, KVM_IRQFD, &irqfd);
	KVM(g->fd, KVM_IOEVENTFD, &io);
	KVM(g->fd, KVM_REGISTER_COALESCED_MMIO, &zone);
	vm->stats = KVM(g->fd, KVM_GET_STATS_FD, NULL);
	for (int i = 0; i < CPUS; i++)
		guest_add_cpu(g, 0);
}

static void free_vm(struct vm *vm)
{
	close(vm->stats);
	close(vm->event);
	guest_close(&vm->guest);
}

struct runner {
	struct guest *guest;
	int cpu;
	int rounds;
};

static void *run_cpu(void *arg)
{
	const struct runner *r = arg;

	for (int i = 0; i != r->rounds; i++)
		guest_say(r->guest, r->cpu);
	return NULL;
}

static void run_vm(struct vm *vm, int rounds)
{
	struct runner runner[CPUS];
	pthread_t thread[CPUS];

	for (int i = 0; i < CPUS; i++) {
		runner[i] = (struct runner) { &vm->guest, i, rounds };
		pthread_create(&thread[i], NULL, run_cpu, &runner[i]);
	}
	for (int i = 0; i < CPUS; i++)
		pthread_join(thread[i], NULL);
}

static void live_and_die(int number)
{
	struct vm vm;

	make_vm(&vm);
	run_vm(&vm, 2);
	free_vm(&vm);
	_exit(0);
}

static void live_on(int number)
{
	struct vm vm;

	make_vm(&vm);
	run_vm(&vm, -1);
	_exit(1);
}

static void boot_linux(int number)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	execlp("nestor", "nestor", "run", "--kernel", "/boot/vmlinuz-6.1", "--initrd",
	       "/boot/initrd-6.1", "--cpus", "2", "--memory", "256", "--append",
	       "console=ttyS0 quiet", NULL);
	_exit(1);
}

struct child {
	pid_t pid;
	struct timespec until;
};

static void sleep_until(const struct timespec *until)
{
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, until, NULL) == EINTR)
		;
}

static void start(struct child *child, void (*body)(int number), int number, unsigned int ms)
{
	clock_gettime(CLOCK_MONOTONIC, &child->until);
	child->until.tv_nsec += ms % 1000 * 1000000L;
	child->until.tv_sec += ms / 1000 + child->until.tv_nsec / 1000000000;
	child->until.tv_nsec %= 1000000000;
	child->pid = fork();
	if (!child->pid)
		body(number);
	if (child->pid < 0)
		tap_fail("fork: %s", strerror(errno));
}

/* Let it end, or kill it when its time has come. Whether it ended as it should. */
static bool finish(struct child *child, bool killed)
{
	int status;

	if (killed) {
		sleep_until(&child->until);
		kill(child->pid, SIGKILL);
	}
	if (waitpid(child->pid, &status, 0) != child->pid)
		return false;
	child->pid = 0;
	if (killed)
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* @kill_ms: at a moment before that, or 0 for not at all. Returns how many ended as they should. */
static int run_many(void (*body)(int number), int number, int at_a_time, unsigned int kill_ms)
{
	struct child child[AT_A_TIME] = {};
	int good = 0;

	/* What is in stdio's buffer is not each child's to write again. */
	fflush(stdout);
	for (int i = 0; i < number; i++) {
		struct child *c = &child[i % at_a_time];

		if (c->pid)
			good += finish(c, kill_ms);
		start(c, body, i, kill_ms ? rand() % kill_ms : 0);
	}
	for (int i = 0; i < at_a_time; i++)
		if (child[i].pid)
			good += finish(&child[i], kill_ms);
	return good;
}

static void test_many(struct usage *before)
{
	int good;

	run_many(live_and_die, WARM_UP, AT_A_TIME, 0);
	usage_take(before);
	good = run_many(live_and_die, VMS, AT_A_TIME, 0);
	tap_check(good == VMS, "%d of %d VMs lived and died", good, VMS);
	usage_check("made and unmade", before, VMS);
}

static void test_killed(struct usage *before)
{
	int good;

	srand(SEED);
	run_many(live_on, WARM_UP, AT_A_TIME, KILL_MS);
	usage_take(before);
	good = run_many(live_on, VMS, AT_A_TIME, KILL_MS);
	tap_check(good == VMS, "%d of %d VMMs were killed", good, VMS);
	usage_check("killed", before, VMS);
}

static void test_killed_linux(struct usage *before)
{
	int good;

	if (access("/boot/vmlinuz-6.1", R_OK)) {
		tap_skip("no Linux guest");
		return;
	}
	run_many(boot_linux, 2, 2, LINUX_KILL_MS);
	usage_take(before);
	good = run_many(boot_linux, LINUX_GUESTS, 2, LINUX_KILL_MS);
	tap_check(good == LINUX_GUESTS, "%d of %d Linux guests were killed", good, LINUX_GUESTS);
	/* A guest has hundreds of pages of every kind: one that is lost shows. */
	usage_check("killed with Linux", before, 200);
}

/* "name=value ..." of the module as it is loaded, for loading it again. */
static void read_parameters(char *to, size_t size)
{
	static const char *const names[] = { "kvm_node", "nx_huge_pages", "l1d_flush" };
	size_t n = 0;

	to[0] = '\0';
	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[128], value[32];
		FILE *f;

		snprintf(path, sizeof(path), "/sys/module/nestor/parameters/%s", names[i]);
		f = fopen(path, "r");
		if (f && fscanf(f, "%31s", value) == 1)
			n += snprintf(to + n, size - n, "%s=%s ", names[i], value);
		if (f)
			fclose(f);
	}
}

static long unload(void)
{
	return syscall(SYS_delete_module, "nestor", O_NONBLOCK) ? -errno : 0;
}

static void test_reload(void)
{
	const char *path = getenv("NESTOR_KO");
	char parameters[256];
	int file, good;
	struct vm vm;
	long r;

	if (!path || module_users() < 0) {
		tap_skip("no module to load again: $NESTOR_KO");
		return;
	}
	make_vm(&vm);
	r = unload();
	tap_check(r == -EWOULDBLOCK || r == -EBUSY, "it cannot be unloaded with a VM alive: %ld", r);
	free_vm(&vm);

	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		tap_fail("%s: %s", path, strerror(errno));
	read_parameters(parameters, sizeof(parameters));
	r = unload();
	tap_check(!r, "it can be without: %ld", r);
	tap_check(access("/dev/nestor", F_OK) && access("/sys/module/nestor", F_OK),
		  "then nothing of it is there");
	r = syscall(SYS_finit_module, file, parameters, 0) ? -errno : 0;
	tap_check(!r, "it can be loaded again with '%s': %ld", parameters, r);
	close(file);
	good = run_many(live_and_die, 1, 1, 0);
	tap_check(good == 1, "and runs a VM");
}

int main(void)
{
	static struct usage before;

	close(device_open());
	test_many(&before);
	test_killed(&before);
	test_killed_linux(&before);
	test_reload();
	return tap_done();
}
