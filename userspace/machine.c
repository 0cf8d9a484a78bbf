// SPDX-License-Identifier: GPL-2.0
/* A whole machine from power-on to its end. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "acpi.h"
#include "crashdump.h"
#include "machine.h"
#include "pci.h"
#include "power.h"
#include "rtc.h"
#include "serial.h"
#include "stats.h"
#include "term.h"
#include "trace.h"
#include "util.h"
#include "virtio/devices.h"

/*
 * Every device, in the order of creation: the terminal before the devices that use
 * it, the PCI bus before its functions, which get their slots in this order. They
 * are freed from the last to the first, also those that were never made.
 */
static const struct {
	int (*create)(struct vm *vm);
	void (*destroy)(struct vm *vm);
} devices[] = {
	{ term__create, term__destroy },
	{ serial__create, serial__destroy },
	{ rtc__create, rtc__destroy },
	{ power__create, power__destroy },
	{ pci_bus__create, pci_bus__destroy },
	{ virtio_blk__create, virtio_blk__destroy },
	{ virtio_net__create, virtio_net__destroy },
	{ virtio_rng__create, virtio_rng__destroy },
	{ virtio_console__create, virtio_console__destroy },
};

static const struct {
	int signal;
	enum vm_end end;
} end_signals[] = {
	{ SIGINT, VM_SIGINT },
	{ SIGTERM, VM_SIGTERM },
	{ SIGHUP, VM_SIGHUP },
	{ SIGQUIT, VM_SIGQUIT },
};

static const int end_status[] = {
	[VM_RUNNING] = STATUS_FAILED,
	[VM_POWEROFF] = STATUS_OK,
	[VM_REBOOT] = STATUS_REBOOT,
	[VM_ESCAPED] = STATUS_INTERRUPTED,
	[VM_SIGINT] = STATUS_INTERRUPTED,
	[VM_SIGTERM] = STATUS_TERMINATED,
	[VM_SIGHUP] = STATUS_HANGUP,
	[VM_SIGQUIT] = STATUS_QUIT,
	[VM_CRASHED] = STATUS_FAILED,
};

static int create_devices(struct vm *vm)
{
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(devices) && !ret; i++)
		ret = devices[i].create(vm);
	return ret;
}

static void destroy_devices(struct vm *vm)
{
	for (size_t i = ARRAY_SIZE(devices); i--;)
		devices[i].destroy(vm);
}

/**
 * struct signals - the signals that end the machine, as a descriptor
 * @vm: the VM
 * @event: the descriptor in the main loop
 */
struct signals {
	struct vm *vm;
	struct loop_event event;
};

static void signals__readable(void *opaque, uint32_t events)
{
	struct signals *signals = opaque;
	struct signalfd_siginfo info;

	(void)events;
	if (read(signals->event.fd, &info, sizeof(info)) != sizeof(info))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(end_signals); i++)
		if (info.ssi_signo == (uint32_t)end_signals[i].signal)
			vm__end(signals->vm, end_signals[i].end);
}

/* Before any other thread exists: each inherits the mask. */
static int block_signals(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(end_signals); i++)
		sigaddset(set, end_signals[i].signal);
	/* Output to a closed pipe is dropped, see term__write(). */
	signal(SIGPIPE, SIG_IGN);
	if (pthread_sigmask(SIG_BLOCK, set, NULL))
		return -EINVAL;
	return thread__init_kicks();
}

static int signals__init(struct signals *signals, struct vm *vm, const sigset_t *set)
{
	int fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);

	*signals = (struct signals){ vm, { fd, signals__readable, signals } };
	if (fd >= 0)
		return loop__add(&vm->loop, &signals->event, EPOLLIN);
	pr_err("signalfd: %s", strerror(errno));
	return -errno;
}

static void signals__exit(struct signals *signals)
{
	if (signals->event.fd >= 0)
		close(signals->event.fd);
}

/* Wrong files are the user's mistake and told apart by the exit status. */
static int failure_status(int err)
{
	return err == -ENOENT || err == -ENOEXEC ? STATUS_USAGE : STATUS_FAILED;
}

/* For a guest that hangs: what is every vCPU doing? */
static void report_vcpus(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		pr_err("state of vCPU %u", i);
		crashdump__print_state(&vm->vcpus[i]);
	}
}

static int run_to_end(struct vm *vm, const struct machine_options *options)
{
	struct trace trace;
	int ret = trace__start(&trace, options->trace, kvm__is_nestor(vm->kvm));

	if (ret)
		return failure_status(ret);
	if (vm__start(vm) == 0)
		loop__run(&vm->loop);
	vm__join(vm);
	trace__stop(&trace);
	/* Tell the counters apart from what the guest printed. */
	term__restore(vm->dev.term);
	if (vm__ended(vm) == VM_SIGQUIT)
		report_vcpus(vm);
	if (options->stats)
		stats__print(vm);
	return end_status[vm__ended(vm)];
}

/**
 * machine__run() - make a machine, run it to its end, and clean up
 *
 * Return: the exit status, see enum exit_status.
 */
int machine__run(const struct kvm *kvm, const struct machine_options *options)
{
	struct signals signals = { .event.fd = -1 };
	struct vm vm;
	sigset_t set;
	int ret;

	ret = block_signals(&set);
	if (!ret)
		ret = vm__create(&vm, kvm, &options->vm);
	if (ret)
		return STATUS_FAILED;
	ret = signals__init(&signals, &vm, &set);
	if (!ret)
		ret = create_devices(&vm);
	if (!ret)
		ret = acpi__build(&vm);
	if (!ret)
		ret = boot__load(&vm, &options->boot);
	ret = ret ? failure_status(ret) : run_to_end(&vm, options);
	destroy_devices(&vm);
	signals__exit(&signals);
	vm__destroy(&vm);
	return ret;
}
