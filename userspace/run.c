// SPDX-License-Identifier: GPL-2.0
/* nestor run: options and start. */
#include <errno.h>
#include <string.h>

#include "command.h"
#include "machine.h"
#include "util.h"

#define DEFAULT_MEMORY_MIB	512
#define MIN_MEMORY_MIB		4
#define MAX_MEMORY_MIB		(16ULL << 20)

enum {
	OPT_KERNEL = 256, OPT_INITRD, OPT_APPEND, OPT_CPUS, OPT_MEMORY, OPT_HUGEPAGES, OPT_DISK,
	OPT_NET, OPT_CONSOLE, OPT_FLAT, OPT_ENTRY, OPT_LONG, OPT_DEVICE, OPT_TRACE, OPT_STATS,
};

static const struct argp_option options[] = {
	{ 0, 0, 0, 0, "What to run:", 1 },
	{ "kernel", OPT_KERNEL, "FILE", 0, "Linux kernel (bzImage), or ELF kernel (PVH or 64-bit)", 1 },
	{ "initrd", OPT_INITRD, "FILE", 0, "The kernel's initial RAM disk", 1 },
	{ "append", OPT_APPEND, "STRING", 0, "The kernel's command line", 1 },
	{ "flat", OPT_FLAT, "FILE", 0, "Flat binary, started in real mode", 1 },
	{ "entry", OPT_ENTRY, "ADDRESS", 0, "Where the flat binary is loaded and starts", 1 },
	{ "long", OPT_LONG, 0, 0, "Start the flat binary in 64-bit mode", 1 },
	{ 0, 0, 0, 0, "The machine:", 2 },
	{ "cpus", OPT_CPUS, "N", 0, "Number of vCPUs (1)", 2 },
	{ "memory", OPT_MEMORY, "MIB", 0, "Memory in MiB (512)", 2 },
	{ "hugepages", OPT_HUGEPAGES, "SIZE", 0, "Back memory by hugetlbfs pages, 2M or 1G", 2 },
	{ "disk", OPT_DISK, "FILE", 0, "Raw disk image; may be repeated", 2 },
	{ "net", OPT_NET, "KIND", 0, "user: network by libslirp; none (none)", 2 },
	{ "console", OPT_CONSOLE, "KIND", 0, "Who gets the input: serial (ttyS0) or virtio (hvc0) (serial)", 2 },
	{ 0, 0, 0, 0, "The hypervisor:", 3 },
	{ "device", OPT_DEVICE, "PATH", 0, "Its device node (/dev/nestor, else /dev/kvm)", 3 },
	{ "trace", OPT_TRACE, "FILE", 0, "Save a trace of its events", 3 },
	{ "stats", OPT_STATS, 0, 0, "Print its counters at the end", 3 },
	{ 0 },
};

/**
 * struct run_arguments - what the command line says
 * @machine: the machine and what runs on it
 * @device: the device node, or NULL
 * @entry_given: whether there is an entry address
 */
struct run_arguments {
	struct machine_options machine;
	const char *device;
	bool entry_given;
};

static void parse_hugepages(const struct argp_state *state, const char *arg,
			    struct vm_config *vm)
{
	if (!strcmp(arg, "2M"))
		vm->backing = PAGES_2M;
	else if (!strcmp(arg, "1G"))
		vm->backing = PAGES_1G;
	else
		option__fail(state, "--hugepages %s: neither 2M nor 1G", arg);
}

/* Whether @arg is the second of two words. */
static bool parse_choice(const struct argp_state *state, const char *name, const char *arg,
			 const char *first, const char *second)
{
	if (strcmp(arg, first) && strcmp(arg, second))
		option__fail(state, "%s %s: neither %s nor %s", name, arg, first, second);
	return !strcmp(arg, second);
}

static void add_disk(const struct argp_state *state, const char *path, struct vm_config *vm)
{
	if (vm->nr_disks == VM_MAX_DISKS)
		option__fail(state, "more than %d disks", VM_MAX_DISKS);
	option__check_file(state, path);
	vm->disks[vm->nr_disks++] = path;
}

static void check_boot(const struct argp_state *state, const struct run_arguments *args)
{
	const struct boot_options *boot = &args->machine.boot;

	if (!boot->kernel == !boot->flat)
		option__fail(state, "give either --kernel FILE or --flat FILE");
	if (boot->flat && !args->entry_given)
		option__fail(state, "--flat needs --entry ADDRESS");
	if (boot->kernel && (args->entry_given || boot->long_mode))
		option__fail(state, "--entry and --long are for --flat");
	if (boot->flat && (boot->initrd || boot->append[0]))
		option__fail(state, "--initrd and --append are for --kernel");
	option__check_file(state, boot->kernel);
	option__check_file(state, boot->initrd);
	option__check_file(state, boot->flat);
	option__check_file(state, args->device);
}

static void check_memory(const struct argp_state *state, const struct vm_config *vm)
{
	uint64_t page = vm->backing == PAGES_1G ? GIB(1) : MIB(2);

	if ((vm->backing == PAGES_1G || vm->backing == PAGES_2M) && vm->memory % page)
		option__fail(state, "--memory %llu: not a multiple of the huge page size",
			     (unsigned long long)(vm->memory >> 20));
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct run_arguments *args = state->input;
	struct boot_options *boot = &args->machine.boot;
	struct vm_config *vm = &args->machine.vm;

	switch (key) {
	case ARGP_KEY_INIT:
		option__init(state);
		break;
	case OPT_KERNEL:
		boot->kernel = arg;
		break;
	case OPT_INITRD:
		boot->initrd = arg;
		break;
	case OPT_APPEND:
		boot->append = arg;
		break;
	case OPT_FLAT:
		boot->flat = arg;
		break;
	case OPT_ENTRY:
		boot->entry = option__number(state, "--entry", arg, 0, UINT64_MAX);
		args->entry_given = true;
		break;
	case OPT_LONG:
		boot->long_mode = true;
		break;
	case OPT_CPUS:
		vm->cpus = option__number(state, "--cpus", arg, 1, VM_MAX_CPUS);
		break;
	case OPT_MEMORY:
		vm->memory = MIB(option__number(state, "--memory", arg, MIN_MEMORY_MIB,
						MAX_MEMORY_MIB));
		break;
	case OPT_HUGEPAGES:
		parse_hugepages(state, arg, vm);
		break;
	case OPT_DISK:
		add_disk(state, arg, vm);
		break;
	case OPT_NET:
		vm->net = parse_choice(state, "--net", arg, "none", "user");
		break;
	case OPT_CONSOLE:
		vm->virtio_console = parse_choice(state, "--console", arg, "serial", "virtio");
		break;
	case OPT_DEVICE:
		args->device = arg;
		break;
	case OPT_TRACE:
		args->machine.trace = arg;
		break;
	case OPT_STATS:
		args->machine.stats = true;
		break;
	case ARGP_KEY_ARG:
		option__fail(state, "unexpected argument '%s'", arg);
	case ARGP_KEY_END:
		check_boot(state, args);
		check_memory(state, vm);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static int check_cpus(const struct kvm *kvm, unsigned int cpus)
{
	int max = kvm__extension(kvm, KVM_CAP_MAX_VCPUS);

	if (!max || cpus <= (unsigned int)max)
		return 0;
	pr_err("--cpus %u: %s runs no more than %d", cpus, kvm->path, max);
	return -EINVAL;
}

/** run__main() - nestor run */
int run__main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Run a virtual machine.\v"
		       "On a terminal, Ctrl-A x ends the machine and Ctrl-A Ctrl-A types a Ctrl-A.\n\n"
		       "Exit status: 0 the guest powered off, 1 it crashed or the hypervisor "
		       "failed, 2 a bad option or file, 3 it asked for a reset, 129 SIGHUP, "
		       "130 SIGINT or Ctrl-A x, 131 SIGQUIT, 143 SIGTERM.",
	};
	struct run_arguments args = {
		.machine.vm = { .cpus = 1, .memory = MIB(DEFAULT_MEMORY_MIB) },
		.machine.boot.append = "",
	};
	struct kvm kvm;
	int status;

	option__parse(&argp, argc, argv, &args);
	/* A wrong node is the user's mistake only if the user named it. */
	if (kvm__open(&kvm, args.device))
		return args.device ? STATUS_USAGE : STATUS_FAILED;
	if (check_cpus(&kvm, args.machine.vm.cpus))
		status = STATUS_USAGE;
	else if (kvm__check_capabilities(&kvm))
		status = STATUS_FAILED;
	else
		status = machine__run(&kvm, &args.machine);
	kvm__close(&kvm);
	return status;
}
