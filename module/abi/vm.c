// SPDX-License-Identifier: GPL-2.0
/*
 * The VM fd.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "abi/abi.h"
#include "irq/irq.h"
#include "pv/hyperv.h"
#include "vm/vm.h"

static int vm_set_region(struct vm *vm, void *arg)
{
	return vm_set_memory_region(vm, arg);
}

/* guest_memfd is not offered: its flag is refused like any unknown one, its fields have no meaning. */
static int vm_set_region2(struct vm *vm, void *arg)
{
	const struct kvm_userspace_memory_region2 *region2 = arg;
	const struct kvm_userspace_memory_region region = {
		.slot = region2->slot,
		.flags = region2->flags,
		.guest_phys_addr = region2->guest_phys_addr,
		.memory_size = region2->memory_size,
		.userspace_addr = region2->userspace_addr,
	};

	return vm_set_memory_region(vm, &region);
}

static int vm_get_dirty(struct vm *vm, void *arg)
{
	return vm_get_dirty_log(vm, arg);
}

static int vm_clear_dirty(struct vm *vm, void *arg)
{
	return vm_clear_dirty_log(vm, arg);
}

static int vm_register_coalesced(struct vm *vm, void *arg)
{
	return abi_register_coalesced(vm, arg);
}

static int vm_unregister_coalesced(struct vm *vm, void *arg)
{
	return abi_unregister_coalesced(vm, arg);
}

static int vm_irqfd(struct vm *vm, void *arg)
{
	return abi_irqfd(vm, arg);
}

static int vm_ioeventfd(struct vm *vm, void *arg)
{
	return abi_ioeventfd(vm, arg);
}

static int vm_signal_msi(struct vm *vm, void *arg)
{
	return irq_send_msi(vm, arg);
}

/* Also KVM_IRQ_LINE_STATUS, which copies the status back. */
static int vm_irq_line(struct vm *vm, void *arg)
{
	struct kvm_irq_level *line = arg;

	if (!irqchip_in_kernel_apic(vm))
		return -ENXIO;
	line->status = irq_set_gsi(vm, IRQ_SOURCE_USER, line->irq, line->level);
	return 0;
}

static int vm_create_device(struct vm *vm, void *arg)
{
	return abi_create_device(vm, arg);
}

static int vm_get_irqchip(struct vm *vm, void *arg)
{
	return irqchip_get(vm, arg);
}

static int vm_set_irqchip(struct vm *vm, void *arg)
{
	return irqchip_set(vm, arg);
}

static int vm_create_pit2(struct vm *vm, void *arg)
{
	int r;

	mutex_lock(&vm->lock);
	r = pit_create(vm, arg);
	mutex_unlock(&vm->lock);
	return r;
}

static int vm_get_pit2(struct vm *vm, void *arg)
{
	return pit_get(vm, arg);
}

static int vm_set_pit2(struct vm *vm, void *arg)
{
	return pit_set(vm, arg);
}

/* The older pair lacks the flags. */
static int vm_get_pit(struct vm *vm, void *arg)
{
	struct kvm_pit_state *old = arg;
	struct kvm_pit_state2 state;
	int r;

	r = pit_get(vm, &state);
	if (!r)
		memcpy(old->channels, state.channels, sizeof(old->channels));
	return r;
}

static int vm_set_pit(struct vm *vm, void *arg)
{
	const struct kvm_pit_state *old = arg;
	struct kvm_pit_state2 state;
	int r;

	r = pit_get(vm, &state);
	if (r)
		return r;
	memcpy(state.channels, old->channels, sizeof(state.channels));
	return pit_set(vm, &state);
}

static int vm_reinject_control(struct vm *vm, void *arg)
{
	const struct kvm_reinject_control *control = arg;

	return pit_reinject(vm, control->pit_reinject);
}

static int vm_get_clock(struct vm *vm, void *arg)
{
	return kvmclock_get(vm, arg);
}

static int vm_set_clock(struct vm *vm, void *arg)
{
	return kvmclock_set(vm, arg);
}

static int vm_enable_cap(struct vm *vm, void *arg)
{
	return abi_enable_vm_cap(vm, arg);
}

static int vm_set_msr_filter(struct vm *vm, void *arg)
{
	return msr_filter_set(vm, arg);
}

static int vm_hv_eventfd(struct vm *vm, void *arg)
{
	return hv_eventfd(vm, arg);
}

/**
 * struct vm_ioctl - a VM ioctl whose argument is one structure
 * @cmd: KVM_*
 * @size: of the structure
 * @dir: ARG_*
 * @fn: gets the copy
 */
struct vm_ioctl {
	u32 cmd;
	u16 size;
	u8 dir;
	int (*fn)(struct vm *vm, void *arg);
};

/* The ones that VMMs call while the guest runs come first. */
static const struct vm_ioctl vm_ioctls[] = {
	{ KVM_SIGNAL_MSI, sizeof(struct kvm_msi), ARG_IN, vm_signal_msi },
	{ KVM_IRQ_LINE, sizeof(struct kvm_irq_level), ARG_IN, vm_irq_line },
	{ KVM_IRQ_LINE_STATUS, sizeof(struct kvm_irq_level), ARG_INOUT, vm_irq_line },
	{ KVM_GET_DIRTY_LOG, sizeof(struct kvm_dirty_log), ARG_IN, vm_get_dirty },
	{ KVM_CLEAR_DIRTY_LOG, sizeof(struct kvm_clear_dirty_log), ARG_IN, vm_clear_dirty },
	{ KVM_SET_USER_MEMORY_REGION, sizeof(struct kvm_userspace_memory_region), ARG_IN, vm_set_region },
	{ KVM_SET_USER_MEMORY_REGION2, sizeof(struct kvm_userspace_memory_region2), ARG_IN, vm_set_region2 },
	{ KVM_IRQFD, sizeof(struct kvm_irqfd), ARG_IN, vm_irqfd },
	{ KVM_IOEVENTFD, sizeof(struct kvm_ioeventfd), ARG_IN, vm_ioeventfd },
	{ KVM_REGISTER_COALESCED_MMIO, sizeof(struct kvm_coalesced_mmio_zone), ARG_IN, vm_register_coalesced },
	{ KVM_UNREGISTER_COALESCED_MMIO, sizeof(struct kvm_coalesced_mmio_zone), ARG_IN, vm_unregister_coalesced },
	{ KVM_GET_CLOCK, sizeof(struct kvm_clock_data), ARG_OUT, vm_get_clock },
	{ KVM_SET_CLOCK, sizeof(struct kvm_clock_data), ARG_IN, vm_set_clock },
	{ KVM_ENABLE_CAP, sizeof(struct kvm_enable_cap), ARG_IN, vm_enable_cap },
	{ KVM_GET_IRQCHIP, sizeof(struct kvm_irqchip), ARG_INOUT, vm_get_irqchip },
	{ KVM_SET_IRQCHIP, sizeof(struct kvm_irqchip), ARG_IN, vm_set_irqchip },
	{ KVM_CREATE_PIT2, sizeof(struct kvm_pit_config), ARG_IN, vm_create_pit2 },
	{ KVM_GET_PIT2, sizeof(struct kvm_pit_state2), ARG_OUT, vm_get_pit2 },
	{ KVM_SET_PIT2, sizeof(struct kvm_pit_state2), ARG_IN, vm_set_pit2 },
	{ KVM_GET_PIT, sizeof(struct kvm_pit_state), ARG_INOUT, vm_get_pit },
	{ KVM_SET_PIT, sizeof(struct kvm_pit_state), ARG_IN, vm_set_pit },
	{ KVM_REINJECT_CONTROL, sizeof(struct kvm_reinject_control), ARG_IN, vm_reinject_control },
	{ KVM_X86_SET_MSR_FILTER, sizeof(struct kvm_msr_filter), ARG_IN, vm_set_msr_filter },
	{ KVM_HYPERV_EVENTFD, sizeof(struct kvm_hyperv_eventfd), ARG_IN, vm_hv_eventfd },
	{ KVM_CREATE_DEVICE, sizeof(struct kvm_create_device), ARG_INOUT, vm_create_device },
};

static long vm_table_ioctl(struct vm *vm, unsigned int cmd, void __user *argp)
{
	const struct vm_ioctl *e;
	struct abi_arg arg;
	int r;

	for (e = vm_ioctls; e < vm_ioctls + ARRAY_SIZE(vm_ioctls); e++) {
		if (e->cmd != cmd)
			continue;
		r = abi_arg_begin(&arg, e->dir, e->size, argp);
		if (r)
			return r;
		r = e->fn(vm, arg.buf);
		return abi_arg_end(&arg, e->dir, e->size, argp, r);
	}
	return -ENOTTY;
}

/* Nothing lies at these addresses: every CPU that is supported runs real mode without their help. */
static int set_tss_addr(struct vm *vm, unsigned long addr)
{
	if (addr > (u32)(-3 * PAGE_SIZE))
		return -EINVAL;
	vm->tss_addr = addr;
	return 0;
}

static int set_identity_map_addr(struct vm *vm, const void __user *argp)
{
	u64 addr;
	int r = 0;

	mutex_lock(&vm->lock);
	if (vm->created_vcpus)
		r = -EINVAL;
	else if (copy_from_user(&addr, argp, sizeof(addr)))
		r = -EFAULT;
	else
		vm->identity_map_addr = addr;
	mutex_unlock(&vm->lock);
	return r;
}

static int create_irqchip(struct vm *vm)
{
	int r;

	mutex_lock(&vm->lock);
	r = irqchip_create(vm);
	mutex_unlock(&vm->lock);
	return r;
}

static int create_pit(struct vm *vm)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

	return vm_create_pit2(vm, &config);
}

/* A bound on shadow page tables, of which there are none: the CPU walks guest tables by itself. */
#define MIN_MMU_PAGES	64

static int set_nr_mmu_pages(unsigned long n)
{
	return n < MIN_MMU_PAGES ? -EINVAL : 0;
}

static int set_boot_cpu_id(struct vm *vm, unsigned long id)
{
	int r = 0;

	mutex_lock(&vm->lock);
	if (vm->created_vcpus)
		r = -EBUSY;
	else if (id > NESTOR_MAX_VCPU_IDS || (vm->max_vcpu_ids && id > vm->max_vcpu_ids))
		r = -EINVAL;
	else
		vm->bsp_id = id;
	mutex_unlock(&vm->lock);
	return r;
}

/* For vCPUs to come. */
static int set_default_tsc_khz(struct vm *vm, u32 khz)
{
	int r = 0;

	if (!tsc_khz_possible(khz))
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (vm->created_vcpus)
		r = -EINVAL;
	else
		vm->clock.default_tsc_khz = khz ?: tsc_khz;
	mutex_unlock(&vm->lock);
	return r;
}

static int set_gsi_routing(struct vm *vm, struct kvm_irq_routing __user *argp)
{
	struct kvm_irq_routing_entry *entries = NULL;
	struct kvm_irq_routing head;
	int r;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if (!irqchip_in_kernel_apic(vm) || head.nr > NESTOR_MAX_ROUTES || head.flags)
		return -EINVAL;
	if (head.nr) {
		entries = vmemdup_user(argp->entries, array_size(head.nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	r = irq_set_routing(vm, entries, head.nr, head.flags);
	kvfree(entries);
	return r;
}

/*
 * A VM belongs to the process that made it: its memory is that process's, and so are the limits
 * that it is held to.
 */
static int vm_check_caller(struct vm *vm)
{
	return vm->mm != current->mm || READ_ONCE(vm->dead) ? -EIO : 0;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vm *vm = file->private_data;
	void __user *argp = (void __user *)arg;
	int r = vm_check_caller(vm);

	if (r)
		return r;
	switch (cmd) {
	case KVM_CREATE_VCPU:
		return abi_create_vcpu(vm, arg);
	case KVM_CHECK_EXTENSION:
		return abi_check_extension(vm, arg);
	case KVM_GET_STATS_FD:
		return abi_vm_stats_fd(vm);
	case KVM_SET_TSS_ADDR:
		return set_tss_addr(vm, arg);
	case KVM_SET_IDENTITY_MAP_ADDR:
		return set_identity_map_addr(vm, argp);
	case KVM_CREATE_IRQCHIP:
		return create_irqchip(vm);
	case KVM_CREATE_PIT:
		return create_pit(vm);
	case KVM_SET_NR_MMU_PAGES:
		return set_nr_mmu_pages(arg);
	case KVM_SET_BOOT_CPU_ID:
		return set_boot_cpu_id(vm, arg);
	case KVM_SET_GSI_ROUTING:
		return set_gsi_routing(vm, argp);
	case KVM_RESET_DIRTY_RINGS:
		return dirty_rings_reset(vm);
	case KVM_SET_TSC_KHZ:
		return set_default_tsc_khz(vm, arg);
	case KVM_GET_TSC_KHZ:
		return READ_ONCE(vm->clock.default_tsc_khz);
	default:
		return vm_table_ioctl(vm, cmd, argp);
	}
}

#ifdef CONFIG_COMPAT
/* The structures with pointers in them, as 32-bit programs lay them out. */
struct compat_dirty_log {
	u32 slot;
	u32 padding;
	union {
		compat_uptr_t bitmap;
		u64 padding2;
	};
};

struct compat_clear_dirty_log {
	u32 slot;
	u32 num_pages;
	u64 first_page;
	union {
		compat_uptr_t bitmap;
		u64 padding2;
	};
};

struct compat_msr_filter {
	u32 flags;
	struct compat_msr_filter_range {
		u32 flags;
		u32 nmsrs;
		u32 base;
		compat_uptr_t bitmap;
	} ranges[KVM_MSR_FILTER_MAX_RANGES];
};

#define COMPAT_KVM_X86_SET_MSR_FILTER	_IOW(KVMIO, 0xc6, struct compat_msr_filter)

static int compat_get_dirty(struct vm *vm, const void __user *argp)
{
	struct compat_dirty_log c;
	struct kvm_dirty_log log = {};

	if (copy_from_user(&c, argp, sizeof(c)))
		return -EFAULT;
	log.slot = c.slot;
	log.dirty_bitmap = compat_ptr(c.bitmap);
	return vm_get_dirty_log(vm, &log);
}

static int compat_clear_dirty(struct vm *vm, const void __user *argp)
{
	struct compat_clear_dirty_log c;
	struct kvm_clear_dirty_log log = {};

	if (copy_from_user(&c, argp, sizeof(c)))
		return -EFAULT;
	log.slot = c.slot;
	log.num_pages = c.num_pages;
	log.first_page = c.first_page;
	log.dirty_bitmap = compat_ptr(c.bitmap);
	return vm_clear_dirty_log(vm, &log);
}

static int compat_set_msr_filter(struct vm *vm, const void __user *argp)
{
	struct compat_msr_filter c;
	struct kvm_msr_filter filter;
	unsigned int i;

	if (copy_from_user(&c, argp, sizeof(c)))
		return -EFAULT;
	filter.flags = c.flags;
	for (i = 0; i < ARRAY_SIZE(filter.ranges); i++) {
		filter.ranges[i].flags = c.ranges[i].flags;
		filter.ranges[i].nmsrs = c.ranges[i].nmsrs;
		filter.ranges[i].base = c.ranges[i].base;
		/* The ABI's structure has a plain pointer; it is only ever given to copy_from_user(). */
		filter.ranges[i].bitmap = (__force __u8 *)compat_ptr(c.ranges[i].bitmap);
	}
	return msr_filter_set(vm, &filter);
}

static long vm_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vm *vm = file->private_data;
	void __user *argp = compat_ptr(arg);
	int r = vm_check_caller(vm);

	if (r)
		return r;
	switch (cmd) {
	case KVM_GET_DIRTY_LOG:
		return compat_get_dirty(vm, argp);
	case KVM_CLEAR_DIRTY_LOG:
		return compat_clear_dirty(vm, argp);
	case COMPAT_KVM_X86_SET_MSR_FILTER:
		return compat_set_msr_filter(vm, argp);
	default:
		return vm_ioctl(file, cmd, arg);
	}
}
#endif

static int vm_release(struct inode *inode, struct file *file)
{
	struct vm *vm = file->private_data;

	abi_irqfd_release(vm);
	vm_put(vm);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = vm_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = vm_compat_ioctl,
#endif
	.llseek = noop_llseek,
};

/**
 * abi_create_vm - KVM_CREATE_VM
 * @type: only KVM_X86_DEFAULT_VM
 *
 * Return: a file descriptor, or -errno.
 */
int abi_create_vm(unsigned long type)
{
	struct file *file;
	struct vm *vm;
	int fd, r;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vm = vm_create(type, fd);
	if (IS_ERR(vm)) {
		r = PTR_ERR(vm);
		goto put_fd;
	}
	file = anon_inode_getfile("kvm-vm", &vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		r = PTR_ERR(file);
		goto put_vm;
	}
	fd_install(fd, file);
	return fd;
put_vm:
	vm_put(vm);
put_fd:
	put_unused_fd(fd);
	return r;
}
