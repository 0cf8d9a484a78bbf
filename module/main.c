// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading: which vendor, the device nodes, what happens when the host dies.
 *
 * Loading changes no CPU state: root mode is taken for bursts only (vm/run.c). CPU hotplug, suspend, reboot and kexec therefore
 * find nothing of ours; only a CPU that oopses or panics in the middle of a burst has something to undo.
 */
#include <linux/debugfs.h>
#include <linux/kdebug.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/panic_notifier.h>
#include <linux/seq_file.h>

#include "abi/abi.h"
#include "vm/ops.h"

const struct vendor_ops *vendor;
struct dentry *nestor_debugfs;

static char *kvm_node = "auto";
module_param(kvm_node, charp, 0444);
MODULE_PARM_DESC(kvm_node, "Offer /dev/kvm too: auto (when nobody holds it; the default), on (or fail), off (to run beside kvm.ko)");

static char *experimental = "";
module_param(experimental, charp, 0444);
MODULE_PARM_DESC(experimental, "Features, separated by commas, that no test has shown to work yet: ept5 (5-level EPT)");

static const char *const experimental_names[EXPERIMENTAL_NR] = {
	[EXPERIMENTAL_EPT5] = "ept5",
};

unsigned long nestor_experimental;

static char *apic_accel = "all";
module_param(apic_accel, charp, 0444);
MODULE_PARM_DESC(apic_accel, "What the CPU does for guests' local APICs, where it can: tpr, delivery, x2apic, xapic, posted, timer (VMX), avic, ipi (SVM), with commas, or all (default) or none");

static const char *const accel_names[ACCEL_NR] = {
	[ACCEL_TPR] = "tpr",
	[ACCEL_DELIVERY] = "delivery",
	[ACCEL_X2APIC] = "x2apic",
	[ACCEL_XAPIC] = "xapic",
	[ACCEL_POSTED] = "posted",
	[ACCEL_TIMER] = "timer",
	[ACCEL_AVIC] = "avic",
	[ACCEL_IPI] = "ipi",
};

unsigned long nestor_apic_accel;

/* A word that means nothing is refused: whoever wrote it would take the feature to be on. */
static int parse_words(const char *parameter, const char *value, const char *const *names, int nr, unsigned long *bits)
{
	const char *word = value;
	size_t len;
	int i;

	for (; *word; word += len + (word[len] == ',')) {
		len = strcspn(word, ",");
		for (i = 0; i < nr; i++)
			if (strlen(names[i]) == len && !memcmp(names[i], word, len))
				break;
		if (i == nr) {
			pr_err("%s=%s: '%.*s' is none of its words\n", parameter, value, (int)len, word);
			return -EINVAL;
		}
		__set_bit(i, bits);
	}
	return 0;
}

static int parse_apic_accel(void)
{
	if (!strcmp(apic_accel, "none"))
		return 0;
	if (!strcmp(apic_accel, "all")) {
		nestor_apic_accel = ACCEL_ALL;
		return 0;
	}
	return parse_words("apic_accel", apic_accel, accel_names, ACCEL_NR, &nestor_apic_accel);
}

static int parse_parameters(void)
{
	return parse_words("experimental", experimental, experimental_names, EXPERIMENTAL_NR, &nestor_experimental) ?:
	       parse_apic_accel();
}

static struct miscdevice nestor_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "nestor",
	.fops = &system_fops,
	.mode = 0660,
};

static struct miscdevice kvm_dev = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &system_fops,
};
static bool kvm_dev_taken;

static const struct vendor_ops *choose_vendor(void)
{
	switch (boot_cpu_data.x86_vendor) {
	case X86_VENDOR_INTEL:
	case X86_VENDOR_CENTAUR:
	case X86_VENDOR_ZHAOXIN:
		return &vmx_ops;
	case X86_VENDOR_AMD:
	case X86_VENDOR_HYGON:
		return &svm_ops;
	default:
		pr_err("this CPU's vendor has neither VMX nor SVM\n");
		return NULL;
	}
}

static int take_kvm_node(void)
{
	int err = nst_hold_kvm_start();

	if (err)
		return err;
	err = misc_register(&kvm_dev);
	if (err)
		nst_release_kvm_start();
	return err;
}

static void give_kvm_node(void)
{
	misc_deregister(&kvm_dev);
	nst_release_kvm_start();
}

static int register_kvm_node(void)
{
	int err;

	if (!strcmp(kvm_node, "off"))
		return 0;
	if (strcmp(kvm_node, "auto") && strcmp(kvm_node, "on")) {
		pr_err("kvm_node=%s: must be auto, on or off\n", kvm_node);
		return -EINVAL;
	}
	err = take_kvm_node();
	if (!err) {
		kvm_dev_taken = true;
		pr_info("/dev/kvm is offered: KVM's modules cannot be loaded (EBUSY) until this one goes, or has kvm_node=off\n");
		return 0;
	}
	if (!strcmp(kvm_node, "on")) {
		pr_err("/dev/kvm is held by somebody else (kvm.ko?): unload it, or use kvm_node=auto\n");
		return err;
	}
	pr_info("/dev/kvm is held by somebody else: only /dev/nestor is offered\n");
	return 0;
}

static int register_nodes(void)
{
	int err;

	err = misc_register(&nestor_dev);
	if (err)
		return err;
	err = register_kvm_node();
	if (err)
		misc_deregister(&nestor_dev);
	return err;
}

static void deregister_nodes(void)
{
	if (kvm_dev_taken)
		give_kvm_node();
	misc_deregister(&nestor_dev);
}

#ifdef NESTOR_COUNT_OPS
/* Sums over all CPUs; the counters only grow. */
static int ops_show(struct seq_file *m, void *unused)
{
	struct counted_ops sum = {};
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct counted_ops *c = per_cpu_ptr(&counted_ops, cpu);

#define X(name) sum.name += c->name;
		COUNTED_OPS(X)
#undef X
	}
#define X(name) seq_printf(m, #name " %llu\n", sum.name);
	COUNTED_OPS(X)
#undef X
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ops);
#endif

static void create_debugfs(void)
{
	nestor_debugfs = debugfs_create_dir("nestor", NULL);
#ifdef NESTOR_COUNT_OPS
	debugfs_create_file("ops", 0444, nestor_debugfs, NULL, &ops_fops);
#endif
}

/*
 * An oops or a panic inside a burst: interrupts are off, so nobody else can have started one on this CPU. The kernel cleans up
 * by itself only from 7.x on, and before that only for those who own its one callback.
 */
static int die_event(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == DIE_OOPS)
		vendor->emergency_leave();
	return NOTIFY_DONE;
}

static int panic_event(struct notifier_block *nb, unsigned long event, void *data)
{
	vendor->emergency_leave();
	return NOTIFY_DONE;
}

static struct notifier_block die_nb = { .notifier_call = die_event };
static struct notifier_block panic_nb = { .notifier_call = panic_event };

#define X(verb)	DEFINE_STATIC_CALL_NULL(vendor_##verb, *((struct vendor_ops *)NULL)->verb);
VENDOR_HOT_OPS(X)
#undef X

static void use_vendor(const struct vendor_ops *ops)
{
	vendor = ops;
#define X(verb)	static_call_update(vendor_##verb, ops->verb);
	VENDOR_HOT_OPS(X)
#undef X
}

static int __init nestor_init(void)
{
	const struct vendor_ops *ops = choose_vendor();
	int err;

	if (!ops)
		return -EOPNOTSUPP;
	use_vendor(ops);
	err = parse_parameters();
	if (err)
		return err;
	err = vendor->probe();
	if (err)
		return err;
	err = vendor->setup();
	if (err)
		return err;
	err = cpu_setup();
	if (err)
		goto fail_cpu;
	err = abi_irqfd_setup();
	if (err)
		goto fail_irqfd;
	err = vm_setup();
	if (err)
		goto fail_vm;
	create_debugfs();
	register_die_notifier(&die_nb);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_nb);
	err = register_nodes();
	if (err)
		goto fail_nodes;
	return 0;

fail_nodes:
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_nb);
	unregister_die_notifier(&die_nb);
	debugfs_remove_recursive(nestor_debugfs);
	vm_cleanup();
fail_vm:
	abi_irqfd_cleanup();
fail_irqfd:
	cpu_cleanup();
fail_cpu:
	vendor->cleanup();
	return err;
}

/* A VM, a vCPU and a device each hold the module through their file: none is left here. */
static void __exit nestor_exit(void)
{
	deregister_nodes();
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_nb);
	unregister_die_notifier(&die_nb);
	debugfs_remove_recursive(nestor_debugfs);
	vm_cleanup();
	abi_irqfd_cleanup();
	cpu_cleanup();
	vendor->cleanup();
	/* Structures freed by RCU callbacks of ours are gone before the code is. */
	rcu_barrier();
}

module_init(nestor_init);
module_exit(nestor_exit);

MODULE_DESCRIPTION("Type-2 hypervisor for VMX and SVM with the KVM ABI");
MODULE_AUTHOR("The Nestor developers");
MODULE_LICENSE("GPL");
