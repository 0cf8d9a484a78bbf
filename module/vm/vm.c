// SPDX-License-Identifier: GPL-2.0
/*
 * The life of virtual machines and virtual CPUs.
 *
 * A VM lives as long as any file refers to it: its own, its vCPUs', those of its statistics. A vCPU
 * lives as long as its VM. What is made in order is unmade in the opposite order.
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#include "irq/irq.h"
#include "pv/hyperv.h"
#include "vm/ops.h"

static LIST_HEAD(vms);
static DEFINE_MUTEX(vms_lock);

static int vcpu_stats_show(struct seq_file *m, void *unused)
{
	struct vcpu *vcpu = m->private;
	const struct exit_name *n;

	spin_lock(&vcpu->pid_lock);
	seq_printf(m, "%-20s %d\n", "pid", pid_nr(vcpu->pid));
	spin_unlock(&vcpu->pid_lock);
	seq_printf(m, "%-20s %d\n", "guest_mode", READ_ONCE(vcpu->nested.guest_mode));
#define X(name) seq_printf(m, "%-20s %llu\n", #name, READ_ONCE(vcpu->stats.name));
	VCPU_STATS(X)
#undef X
	for (n = vendor->exit_names; n->name; n++)
		seq_printf(m, "exit_%-15s %llu\n", n->name,
			   READ_ONCE(vcpu->stats.by_reason[stats_exit_slot(n->reason)]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vcpu_stats);

static int vm_stats_show(struct seq_file *m, void *unused)
{
	struct vm *vm = m->private;

	seq_printf(m, "%-20s %d\n", "vcpus", atomic_read(&vm->nr_vcpus));
#define X(name) seq_printf(m, "%-20s %lld\n", #name, atomic64_read(&vm->stats.name));
	VM_STATS(X)
	VM_GAUGES(X)
#undef X
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vm_stats);

static bool vm_name_taken(const struct vm *vm)
{
	const struct vm *other;

	list_for_each_entry(other, &vms, link)
		if (!strcmp(other->name, vm->name))
			return true;
	return false;
}

/*
 * debugfs is for looking at: where it fails, the VM goes on without. A VM outlives its file
 * descriptor when a vCPU's is left: then the next one with that number needs a name of its own.
 */
static void vm_debugfs_create(struct vm *vm)
{
	static unsigned int serial;

	lockdep_assert_held(&vms_lock);
	if (vm_name_taken(vm))
		snprintf(vm->name + strlen(vm->name), sizeof(vm->name) - strlen(vm->name), ".%u",
			 ++serial);
	vm->debugfs = debugfs_create_dir(vm->name, nestor_debugfs);
	debugfs_create_file("stats", 0444, vm->debugfs, vm, &vm_stats_fops);
}

static void vcpu_debugfs_create(struct vcpu *vcpu)
{
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	vcpu->debugfs = debugfs_create_dir(name, vcpu->vm->debugfs);
	debugfs_create_file("stats", 0444, vcpu->debugfs, vcpu, &vcpu_stats_fops);
}

/* Nothing here fails or needs undoing. */
static void vm_init(struct vm *vm, int fd)
{
	refcount_set(&vm->users, 1);
	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	xa_init(&vm->vcpus);
	INIT_LIST_HEAD(&vm->irqfds);
	spin_lock_init(&vm->irqfd_lock);
	INIT_LIST_HEAD(&vm->resamplers);
	mutex_init(&vm->resampler_lock);
	INIT_LIST_HEAD(&vm->ioeventfds);
	INIT_LIST_HEAD(&vm->coalesced_zones);
	spin_lock_init(&vm->coalesced_lock);
	vm->type = KVM_X86_DEFAULT_VM;
	vm->caps.apic_bus_cycle_ns = 1;
	vm->caps.platform_info_guest_read = true;
	vm->pid = task_pid_nr(current);
	snprintf(vm->name, sizeof(vm->name), "%d-%d", vm->pid, fd);
	cpu_vm_init(vm);
}

/**
 * vm_create - make an empty VM that belongs to the calling process
 * @type: only KVM_X86_DEFAULT_VM
 * @fd: the file descriptor that it is going to have
 *
 * Return: the VM with one reference, or ERR_PTR.
 */
struct vm *vm_create(unsigned long type, int fd)
{
	struct vm *vm;
	int r;

	if (type != KVM_X86_DEFAULT_VM)
		return ERR_PTR(-EINVAL);
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	vm_init(vm, fd);

	r = init_srcu_struct(&vm->srcu);
	if (r)
		goto free;
	r = init_srcu_struct(&vm->irq_srcu);
	if (r)
		goto cleanup_srcu;
	r = -ENOMEM;
	vm->coalesced_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vm->coalesced_page)
		goto cleanup_irq_srcu;
	r = vm_memory_init(vm);
	if (r)
		goto free_page;
	r = vendor->vm_init(vm);
	if (r)
		goto destroy_memory;
	/* Last: from here on the process's mm may call back. */
	r = mmu_vm_init(vm);
	if (r)
		goto destroy_vendor;

	mutex_lock(&vms_lock);
	vm_debugfs_create(vm);
	list_add(&vm->link, &vms);
	mutex_unlock(&vms_lock);
	return vm;

destroy_vendor:
	vendor->vm_destroy(vm);
destroy_memory:
	vm_memory_destroy(vm);
free_page:
	__free_page(vm->coalesced_page);
cleanup_irq_srcu:
	cleanup_srcu_struct(&vm->irq_srcu);
cleanup_srcu:
	cleanup_srcu_struct(&vm->srcu);
free:
	mmdrop(vm->mm);
	kfree(vm);
	return ERR_PTR(r);
}

static void vcpu_free(struct vcpu *vcpu)
{
	put_pid(vcpu->pid);
	kfree(vcpu->entry_failure);
	free_pages((unsigned long)vcpu->probe_page, PROBE_PAGE_ORDER);
	free_page((unsigned long)vcpu->emu.batch);
	__free_page(vcpu->run_pages);
	__free_page(vcpu->run_pages + 1);
	kfree(vcpu);
}

/* The opposite of vcpu_setup(). */
static void vcpu_destroy(struct vcpu *vcpu)
{
	/* Its timers send interrupts. */
	hv_vcpu_destroy(vcpu);
	apf_vcpu_destroy(vcpu);
	if (vcpu->lapic)
		lapic_destroy(vcpu);
	vendor->vcpu_destroy(vcpu);
	cpu_vcpu_destroy(vcpu);
	dirty_ring_destroy(vcpu);
	mmu_vcpu_destroy(vcpu);
	vcpu_free(vcpu);
}

static void vm_destroy_vcpus(struct vm *vm)
{
	struct vcpu *vcpu;
	unsigned long i;

	/* None can be found any more before the first is gone. */
	atomic_set(&vm->nr_vcpus, 0);
	xa_for_each(&vm->vcpus, i, vcpu)
		vcpu_destroy(vcpu);
	xa_destroy(&vm->vcpus);
}

static void vm_destroy(struct vm *vm)
{
	struct mm_struct *mm = vm->mm;

	debugfs_remove_recursive(vm->debugfs);
	mutex_lock(&vms_lock);
	list_del(&vm->link);
	mutex_unlock(&vms_lock);

	/* Timers and notifiers first: they look at vCPUs. */
	irqchip_destroy(vm);
	iobus_destroy(vm);
	mmu_vm_release(vm);
	vm_destroy_vcpus(vm);
	hv_vm_destroy(vm);
	msr_filter_free(rcu_dereference_protected(vm->msr_filter, true));
	mmu_vm_destroy(vm);
	vendor->vm_destroy(vm);
	vm_memory_destroy(vm);
	__free_page(vm->coalesced_page);
	/* What was replaced lately is freed by callbacks. */
	srcu_barrier(&vm->irq_srcu);
	cleanup_srcu_struct(&vm->irq_srcu);
	srcu_barrier(&vm->srcu);
	cleanup_srcu_struct(&vm->srcu);
	kfree(vm);
	mmdrop(mm);
}

void vm_get(struct vm *vm)
{
	refcount_inc(&vm->users);
}

/* The last one destroys the VM: may sleep. */
void vm_put(struct vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		vm_destroy(vm);
}

/* ids are most often the order of creation. */
struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id)
{
	struct vcpu *vcpu = id < NESTOR_MAX_VCPUS ? vm_vcpu(vm, id) : NULL;
	int i;

	if (vcpu && vcpu->id == id)
		return vcpu;
	vm_for_each_vcpu(i, vcpu, vm)
		if (vcpu->id == id)
			return vcpu;
	return NULL;
}

/**
 * vm_kill - stop a VM for good
 * @vm: which
 * @why: for the log
 *
 * For states of which the hypervisor cannot tell what they are, never for what a guest may cause.
 * Any context.
 */
void vm_kill(struct vm *vm, const char *why)
{
	struct vcpu *vcpu;
	int i;

	if (xchg(&vm->dead, true))
		return;
	pr_err_ratelimited("VM %s killed: %s\n", vm->name, why);
	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu_request(vcpu, REQ_VM_DEAD);
		vcpu_wake(vcpu);
	}
}

/* The structure and the pages that it shares with user space. */
static struct vcpu *vcpu_alloc(struct vm *vm, u32 id)
{
	struct vcpu *vcpu = kzalloc(vendor->vcpu_size, GFP_KERNEL_ACCOUNT);

	if (!vcpu)
		return NULL;
	/* String I/O goes through a buffer of our own, as large as what user space gets at once. */
	vcpu->emu.batch = (u8 *)__get_free_page(GFP_KERNEL_ACCOUNT);
	vcpu->emu.batch_size = PAGE_SIZE;
	vcpu->run_pages = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, 1);
	if (!vcpu->emu.batch || !vcpu->run_pages)
		goto fail;
	/* User space maps them one by one. */
	split_page(vcpu->run_pages, 1);
	vcpu->run = page_address(vcpu->run_pages);

	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->index = atomic_read(&vm->nr_vcpus);
	vcpu->is_bsp = id == vm->bsp_id;
	vcpu->mp_state = vcpu->is_bsp || !irqchip_in_kernel_apic(vm) ? KVM_MP_STATE_RUNNABLE :
								       KVM_MP_STATE_UNINITIALIZED;
	vcpu->cpu = -1;
	vcpu->last_cpu = -1;
	mutex_init(&vcpu->mutex);
	spin_lock_init(&vcpu->pid_lock);
	rcuwait_init(&vcpu->wait);
	return vcpu;
fail:
	if (vcpu->run_pages)
		__free_pages(vcpu->run_pages, 1);
	free_page((unsigned long)vcpu->emu.batch);
	kfree(vcpu);
	return NULL;
}

/* Everything that the other folders keep for a vCPU, in its power-up state. */
static int vcpu_setup(struct vcpu *vcpu)
{
	int r;

	apf_vcpu_init(vcpu);
	mmu_vcpu_init(vcpu);
	r = dirty_ring_init(vcpu);
	if (r)
		goto destroy_mmu;
	r = cpu_vcpu_init(vcpu);
	if (r)
		goto destroy_ring;
	r = vendor->vcpu_init(vcpu);
	if (r)
		goto destroy_cpu;
	r = lapic_create(vcpu);
	if (r)
		goto destroy_vendor;
	vcpu_reset(vcpu, false);
	return 0;

destroy_vendor:
	vendor->vcpu_destroy(vcpu);
destroy_cpu:
	cpu_vcpu_destroy(vcpu);
destroy_ring:
	dirty_ring_destroy(vcpu);
destroy_mmu:
	mmu_vcpu_destroy(vcpu);
	return r;
}

/* Upstream's order of errors. */
static int vcpu_check_id(struct vm *vm, u32 id)
{
	if (id >= NESTOR_MAX_VCPU_IDS || vm->created_vcpus >= NESTOR_MAX_VCPUS)
		return -EINVAL;
	if (vm_vcpu_by_id(vm, id))
		return -EEXIST;
	/* The first vCPU settles the limit. */
	if (!vm->max_vcpu_ids)
		vm->max_vcpu_ids = NESTOR_MAX_VCPU_IDS;
	return id >= vm->max_vcpu_ids ? -EINVAL : 0;
}

/**
 * vcpu_create - make a vCPU and publish it
 * @vm: whose
 * @id: any below the VM's limit that no other has
 *
 * Under vm->lock. The vCPU is destroyed with the VM.
 */
struct vcpu *vcpu_create(struct vm *vm, u32 id)
{
	struct vcpu *vcpu;
	int r;

	lockdep_assert_held(&vm->lock);
	r = vcpu_check_id(vm, id);
	if (r)
		return ERR_PTR(r);
	vcpu = vcpu_alloc(vm, id);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	/* Before the set-up looks at it: what depends on having no vCPU is settled now. */
	vm->created_vcpus++;
	r = vcpu_setup(vcpu);
	if (r)
		goto free;
	r = xa_insert(&vm->vcpus, vcpu->index, vcpu, GFP_KERNEL_ACCOUNT);
	if (r)
		goto destroy;
	/* Pairs with vm_vcpu(). */
	atomic_set_release(&vm->nr_vcpus, vcpu->index + 1);
	vcpu_debugfs_create(vcpu);
	return vcpu;

destroy:
	vm->created_vcpus--;
	vcpu_destroy(vcpu);
	return ERR_PTR(r);
free:
	vm->created_vcpus--;
	vcpu_free(vcpu);
	return ERR_PTR(r);
}

/*
 * The guests are about to miss some time: tell those that use kvmclock, or their watchdogs find the
 * CPUs stuck afterwards. -EINVAL is a guest that does not use it.
 */
static int vm_suspend_notify(struct notifier_block *nb, unsigned long event, void *unused)
{
	struct vcpu *vcpu;
	struct vm *vm;
	int i;

	if (event != PM_SUSPEND_PREPARE && event != PM_HIBERNATION_PREPARE)
		return NOTIFY_DONE;
	mutex_lock(&vms_lock);
	list_for_each_entry(vm, &vms, link)
		vm_for_each_vcpu(i, vcpu, vm)
			kvmclock_ctrl(vcpu);
	mutex_unlock(&vms_lock);
	return NOTIFY_OK;
}

static struct notifier_block vm_suspend_nb = {
	.notifier_call = vm_suspend_notify,
};

/* Module load and unload. */
int vm_setup(void)
{
	return register_pm_notifier(&vm_suspend_nb);
}

void vm_cleanup(void)
{
	unregister_pm_notifier(&vm_suspend_nb);
}
