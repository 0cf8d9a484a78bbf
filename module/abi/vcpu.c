// SPDX-License-Identifier: GPL-2.0
/*
 * The vCPU fd: KVM_RUN, the shared pages, and the ioctls on a vCPU's state. One at a time, under the
 * vCPU's mutex.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "abi/abi.h"
#include "cpu/smm.h"
#include "irq/irq.h"
#include "vm/vm.h"

static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	switch (vmf->pgoff) {
	case 0:
	case KVM_PIO_PAGE_OFFSET:
		page = vcpu->run_pages + vmf->pgoff;
		break;
	case KVM_COALESCED_MMIO_PAGE_OFFSET:
		page = vcpu->vm->coalesced_page;
		break;
	default:
		page = dirty_ring_page(vcpu, vmf->pgoff);
		if (!page)
			return VM_FAULT_SIGBUS;
	}
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	const struct vcpu *vcpu = file->private_data;
	unsigned long last = vma->vm_pgoff + vma_pages(vma) - 1;

	/* A private copy of the ring would never tell anything. */
	if ((dirty_ring_has_pgoff(vcpu->vm, vma->vm_pgoff) || dirty_ring_has_pgoff(vcpu->vm, last)) &&
	    (vma->vm_flags & VM_EXEC || !(vma->vm_flags & VM_SHARED)))
		return -EINVAL;
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

/* Who runs the vCPU, for those who look at it. */
static void vcpu_note_thread(struct vcpu *vcpu)
{
	struct pid *old = vcpu->pid;
	struct pid *new;

	if (likely(old == task_pid(current)))
		return;
	new = get_task_pid(current, PIDTYPE_PID);
	spin_lock(&vcpu->pid_lock);
	vcpu->pid = new;
	spin_unlock(&vcpu->pid_lock);
	put_pid(old);
}

/* KVM_SET_SIGNAL_MASK is the thread's mask while it is in KVM_RUN. */
static void sigset_begin(struct vcpu *vcpu)
{
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
}

static void sigset_end(struct vcpu *vcpu)
{
	if (!vcpu->sigset_active)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

union sync_copy {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
};

/*
 * Take what user space changed in kvm_run. Everything is copied before it is used: the page may
 * change under our hands. A refused group stays marked dirty.
 */
static int sync_regs_in(struct vcpu *vcpu, u64 dirty)
{
	struct kvm_sync_regs *s = &vcpu->run->s.regs;
	union sync_copy copy;

	if (dirty & KVM_SYNC_X86_REGS) {
		copy.regs = s->regs;
		if (cpu_set_regs(vcpu, &copy.regs))
			return -EINVAL;
		vcpu->run->kvm_dirty_regs &= ~KVM_SYNC_X86_REGS;
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		copy.sregs = s->sregs;
		if (cpu_set_sregs(vcpu, &copy.sregs))
			return -EINVAL;
		vcpu->run->kvm_dirty_regs &= ~KVM_SYNC_X86_SREGS;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		copy.events = s->events;
		if (cpu_set_events(vcpu, &copy.events))
			return -EINVAL;
		vcpu->run->kvm_dirty_regs &= ~KVM_SYNC_X86_EVENTS;
	}
	return 0;
}

/* Through a copy: the page belongs to user space, and nobody else knows that it may change. */
static void sync_regs_out(struct vcpu *vcpu, u64 valid)
{
	struct kvm_sync_regs *s = &vcpu->run->s.regs;
	union sync_copy copy = {};

	if (valid & KVM_SYNC_X86_REGS && !cpu_get_regs(vcpu, &copy.regs))
		s->regs = copy.regs;
	memset(&copy, 0, sizeof(copy));
	if (valid & KVM_SYNC_X86_SREGS && !cpu_get_sregs(vcpu, &copy.sregs))
		s->sregs = copy.sregs;
	memset(&copy, 0, sizeof(copy));
	if (valid & KVM_SYNC_X86_EVENTS && !cpu_get_events(vcpu, &copy.events))
		s->events = copy.events;
}

static int vcpu_run_synced(struct vcpu *vcpu)
{
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);
	int r;

	/* A vCPU that waits for INIT has no registers to speak of yet. */
	if (vcpu->mp_state == KVM_MP_STATE_UNINITIALIZED) {
		dirty = 0;
		valid &= KVM_SYNC_X86_VALID_FIELDS;
	}
	if ((valid | dirty) & ~(u64)KVM_SYNC_X86_VALID_FIELDS)
		return -EINVAL;
	r = dirty ? sync_regs_in(vcpu, dirty) : 0;
	if (!r)
		r = vcpu_run(vcpu);
	if (valid)
		sync_regs_out(vcpu, valid);
	return r;
}

static int vcpu_ioctl_run(struct vcpu *vcpu, unsigned long arg)
{
	int r;

	if (arg)
		return -EINVAL;
	vcpu_note_thread(vcpu);
	sigset_begin(vcpu);
	r = vcpu_run_synced(vcpu);
	sigset_end(vcpu);
	return r;
}

static int vcpu_get_regs(struct vcpu *vcpu, void *arg)
{
	return cpu_get_regs(vcpu, arg);
}

static int vcpu_set_regs(struct vcpu *vcpu, void *arg)
{
	return cpu_set_regs(vcpu, arg);
}

static int vcpu_get_sregs(struct vcpu *vcpu, void *arg)
{
	return cpu_get_sregs(vcpu, arg);
}

static int vcpu_set_sregs(struct vcpu *vcpu, void *arg)
{
	return cpu_set_sregs(vcpu, arg);
}

static int vcpu_get_sregs2(struct vcpu *vcpu, void *arg)
{
	return cpu_get_sregs2(vcpu, arg);
}

static int vcpu_set_sregs2(struct vcpu *vcpu, void *arg)
{
	return cpu_set_sregs2(vcpu, arg);
}

static int vcpu_get_fpu(struct vcpu *vcpu, void *arg)
{
	return cpu_get_fpu(vcpu, arg);
}

static int vcpu_set_fpu(struct vcpu *vcpu, void *arg)
{
	return cpu_set_fpu(vcpu, arg);
}

static int vcpu_get_xcrs(struct vcpu *vcpu, void *arg)
{
	return cpu_get_xcrs(vcpu, arg);
}

static int vcpu_set_xcrs(struct vcpu *vcpu, void *arg)
{
	return cpu_set_xcrs(vcpu, arg);
}

static int vcpu_get_debugregs(struct vcpu *vcpu, void *arg)
{
	return cpu_get_debugregs(vcpu, arg);
}

static int vcpu_set_debugregs(struct vcpu *vcpu, void *arg)
{
	return cpu_set_debugregs(vcpu, arg);
}

static int vcpu_get_events(struct vcpu *vcpu, void *arg)
{
	return cpu_get_events(vcpu, arg);
}

static int vcpu_set_events(struct vcpu *vcpu, void *arg)
{
	return cpu_set_events(vcpu, arg);
}

static int vcpu_set_guest_debug(struct vcpu *vcpu, void *arg)
{
	return cpu_set_guest_debug(vcpu, arg);
}

static int vcpu_translate(struct vcpu *vcpu, void *arg)
{
	return cpu_translate(vcpu, arg);
}

static int vcpu_get_lapic(struct vcpu *vcpu, void *arg)
{
	return lapic_get(vcpu, arg);
}

static int vcpu_set_lapic(struct vcpu *vcpu, void *arg)
{
	return lapic_set(vcpu, arg);
}

static int vcpu_get_mp_state(struct vcpu *vcpu, void *arg)
{
	struct kvm_mp_state *state = arg;

	/* An INIT or SIPI that has arrived counts, also when the vCPU has not run since. */
	if (vcpu->lapic)
		lapic_accept_events(vcpu);
	state->mp_state = vcpu->mp_state;
	if (vcpu->mp_state == KVM_MP_STATE_HALTED && test_bit(REQ_UNHALT, &vcpu->requests))
		state->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

static int vcpu_set_mp_state(struct vcpu *vcpu, void *arg)
{
	const struct kvm_mp_state *state = arg;

	switch (state->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_AP_RESET_HOLD:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		if (!vcpu->lapic)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	/* INIT waits in system-management mode: it is among the events then. */
	if (vcpu->events.in_smm && (state->mp_state == KVM_MP_STATE_INIT_RECEIVED ||
				    state->mp_state == KVM_MP_STATE_SIPI_RECEIVED))
		return -EINVAL;
	vcpu->mp_state = state->mp_state;
	if (state->mp_state != KVM_MP_STATE_HALTED)
		vcpu_end_halt(vcpu);
	/* The obsolete state: waiting for a SIPI, and one is there. */
	if (state->mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		lapic_pend_sipi(vcpu);
	}
	vcpu_request(vcpu, REQ_EVENT);
	return 0;
}

static int vcpu_interrupt(struct vcpu *vcpu, void *arg)
{
	const struct kvm_interrupt *irq = arg;

	if (irq->irq >= 256)
		return -EINVAL;
	if (irqchip_in_kernel_apic(vcpu->vm))
		return irq_queue_external(vcpu, irq->irq);
	vcpu_queue_interrupt(vcpu, irq->irq);
	return 0;
}

static int vcpu_tpr_reporting(struct vcpu *vcpu, void *arg)
{
	const struct kvm_tpr_access_ctl *ctl = arg;

	if (ctl->flags)
		return -EINVAL;
	vcpu->tpr_access.reported = ctl->enabled;
	return 0;
}

static int vcpu_set_vapic_addr(struct vcpu *vcpu, void *arg)
{
	const struct kvm_vapic_addr *addr = arg;

	return lapic_set_vapic(vcpu, addr->vapic_addr);
}

static int vcpu_setup_mce(struct vcpu *vcpu, void *arg)
{
	return cpu_setup_mce(vcpu, *(u64 *)arg);
}

static int vcpu_set_mce(struct vcpu *vcpu, void *arg)
{
	return cpu_set_mce(vcpu, arg);
}

static int vcpu_enable_cap(struct vcpu *vcpu, void *arg)
{
	return abi_enable_vcpu_cap(vcpu, arg);
}

static int vcpu_get_entry_failure(struct vcpu *vcpu, void *arg)
{
	return abi_get_entry_failure(vcpu, arg);
}

static int vcpu_probe(struct vcpu *vcpu, void *arg)
{
	return abi_probe_entry(vcpu, arg);
}

static int vcpu_get_attr(struct vcpu *vcpu, void *arg)
{
	return abi_vcpu_attr(vcpu, KVM_GET_DEVICE_ATTR, arg);
}

static int vcpu_set_attr(struct vcpu *vcpu, void *arg)
{
	return abi_vcpu_attr(vcpu, KVM_SET_DEVICE_ATTR, arg);
}

static int vcpu_has_attr(struct vcpu *vcpu, void *arg)
{
	return abi_vcpu_attr(vcpu, KVM_HAS_DEVICE_ATTR, arg);
}

/**
 * struct vcpu_ioctl - a vCPU ioctl whose argument is one structure
 * @cmd: KVM_*
 * @size: of the structure
 * @dir: ARG_*
 * @fn: gets the copy; called under the vCPU's mutex
 */
struct vcpu_ioctl {
	u32 cmd;
	u16 size;
	u8 dir;
	int (*fn)(struct vcpu *vcpu, void *arg);
};

/* The ones that some VMM calls at every exit come first. */
static const struct vcpu_ioctl vcpu_ioctls[] = {
	{ KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events), ARG_OUT, vcpu_get_events },
	{ KVM_SET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events), ARG_IN, vcpu_set_events },
	{ KVM_GET_REGS, sizeof(struct kvm_regs), ARG_OUT, vcpu_get_regs },
	{ KVM_SET_REGS, sizeof(struct kvm_regs), ARG_IN, vcpu_set_regs },
	{ KVM_GET_SREGS, sizeof(struct kvm_sregs), ARG_OUT, vcpu_get_sregs },
	{ KVM_SET_SREGS, sizeof(struct kvm_sregs), ARG_IN, vcpu_set_sregs },
	{ KVM_INTERRUPT, sizeof(struct kvm_interrupt), ARG_IN, vcpu_interrupt },
	{ KVM_GET_SREGS2, sizeof(struct kvm_sregs2), ARG_OUT, vcpu_get_sregs2 },
	{ KVM_SET_SREGS2, sizeof(struct kvm_sregs2), ARG_IN, vcpu_set_sregs2 },
	{ KVM_GET_FPU, sizeof(struct kvm_fpu), ARG_OUT, vcpu_get_fpu },
	{ KVM_SET_FPU, sizeof(struct kvm_fpu), ARG_IN, vcpu_set_fpu },
	{ KVM_GET_XCRS, sizeof(struct kvm_xcrs), ARG_OUT, vcpu_get_xcrs },
	{ KVM_SET_XCRS, sizeof(struct kvm_xcrs), ARG_IN, vcpu_set_xcrs },
	{ KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs), ARG_OUT, vcpu_get_debugregs },
	{ KVM_SET_DEBUGREGS, sizeof(struct kvm_debugregs), ARG_IN, vcpu_set_debugregs },
	{ KVM_GET_MP_STATE, sizeof(struct kvm_mp_state), ARG_OUT, vcpu_get_mp_state },
	{ KVM_SET_MP_STATE, sizeof(struct kvm_mp_state), ARG_IN, vcpu_set_mp_state },
	{ KVM_GET_LAPIC, sizeof(struct kvm_lapic_state), ARG_OUT | ARG_APIC, vcpu_get_lapic },
	{ KVM_SET_LAPIC, sizeof(struct kvm_lapic_state), ARG_IN | ARG_APIC, vcpu_set_lapic },
	{ KVM_TRANSLATE, sizeof(struct kvm_translation), ARG_INOUT, vcpu_translate },
	{ KVM_SET_GUEST_DEBUG, sizeof(struct kvm_guest_debug), ARG_IN, vcpu_set_guest_debug },
	{ KVM_TPR_ACCESS_REPORTING, sizeof(struct kvm_tpr_access_ctl), ARG_INOUT, vcpu_tpr_reporting },
	{ KVM_SET_VAPIC_ADDR, sizeof(struct kvm_vapic_addr), ARG_IN | ARG_APIC, vcpu_set_vapic_addr },
	{ KVM_X86_SETUP_MCE, sizeof(u64), ARG_IN, vcpu_setup_mce },
	{ KVM_X86_SET_MCE, sizeof(struct kvm_x86_mce), ARG_IN, vcpu_set_mce },
	{ KVM_ENABLE_CAP, sizeof(struct kvm_enable_cap), ARG_IN, vcpu_enable_cap },
	{ KVM_GET_DEVICE_ATTR, sizeof(struct kvm_device_attr), ARG_IN, vcpu_get_attr },
	{ KVM_SET_DEVICE_ATTR, sizeof(struct kvm_device_attr), ARG_IN, vcpu_set_attr },
	{ KVM_HAS_DEVICE_ATTR, sizeof(struct kvm_device_attr), ARG_IN, vcpu_has_attr },
	{ NESTOR_GET_ENTRY_FAILURE, sizeof(struct nestor_entry_failure), ARG_INOUT, vcpu_get_entry_failure },
	{ NESTOR_PROBE_ENTRY, sizeof(struct nestor_probe_entry), ARG_INOUT, vcpu_probe },
};

static long vcpu_table_ioctl(struct vcpu *vcpu, unsigned int cmd, void __user *argp)
{
	const struct vcpu_ioctl *e;
	struct abi_arg arg;
	int r;

	for (e = vcpu_ioctls; e < vcpu_ioctls + ARRAY_SIZE(vcpu_ioctls); e++) {
		if (e->cmd != cmd)
			continue;
		if (e->dir & ARG_APIC && !vcpu->lapic)
			return -EINVAL;
		r = abi_arg_begin(&arg, e->dir, e->size, argp);
		if (r)
			return r;
		r = e->fn(vcpu, arg.buf);
		return abi_arg_end(&arg, e->dir, e->size, argp, r);
	}
	return -EINVAL;
}

static int vcpu_set_sigset(struct vcpu *vcpu, sigset_t *sigset)
{
	vcpu->sigset_active = sigset;
	if (sigset) {
		sigdelsetmask(sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
		vcpu->sigset = *sigset;
	}
	return 0;
}

static int vcpu_set_signal_mask(struct vcpu *vcpu, const struct kvm_signal_mask __user *argp)
{
	sigset_t sigset;
	u32 len;

	if (!argp)
		return vcpu_set_sigset(vcpu, NULL);
	if (get_user(len, &argp->len))
		return -EFAULT;
	if (len != sizeof(sigset))
		return -EINVAL;
	if (copy_from_user(&sigset, argp->sigset, sizeof(sigset)))
		return -EFAULT;
	return vcpu_set_sigset(vcpu, &sigset);
}

/* The image is as large as KVM_CAP_XSAVE2 says; KVM_GET_XSAVE cannot return a larger one than its own. */
static int vcpu_get_xsave(struct vcpu *vcpu, unsigned int cmd, void __user *argp)
{
	u32 size = abi_xsave_size();
	void *image;
	int r;

	if (cmd == KVM_GET_XSAVE && size > sizeof(struct kvm_xsave))
		return -EINVAL;
	image = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!image)
		return -ENOMEM;
	r = cpu_get_xsave(vcpu, image, size);
	if (!r && copy_to_user(argp, image, size))
		r = -EFAULT;
	kvfree(image);
	return r;
}

static int vcpu_set_xsave(struct vcpu *vcpu, const void __user *argp)
{
	u32 size = abi_xsave_size();
	void *image = vmemdup_user(argp, size);
	int r;

	if (IS_ERR(image))
		return PTR_ERR(image);
	r = cpu_set_xsave(vcpu, image, size);
	kvfree(image);
	return r;
}

/* 0 when at least one page was mapped; the range is moved past what was. */
static int pre_fault(struct vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	bool some = false;
	long r;

	if (range->flags || !PAGE_ALIGNED(range->gpa) || !PAGE_ALIGNED(range->size) ||
	    range->gpa + range->size <= range->gpa)
		return -EINVAL;
	do {
		r = mmu_prefault(vcpu, range->gpa);
		if (r < 0)
			return some ? 0 : r;
		r = min_t(u64, r, range->size);
		range->gpa += r;
		range->size -= r;
		some = true;
	} while (range->size);
	return 0;
}

/* What is left is told whatever the result, as upstream does. */
static int vcpu_pre_fault_memory(struct vcpu *vcpu, void __user *argp)
{
	struct kvm_pre_fault_memory range;
	int r;

	if (copy_from_user(&range, argp, sizeof(range)))
		return -EFAULT;
	r = pre_fault(vcpu, &range);
	return copy_to_user(argp, &range, sizeof(range)) ? -EFAULT : r;
}

/* Under the vCPU's mutex. */
static long vcpu_locked_ioctl(struct vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case KVM_RUN:
		return vcpu_ioctl_run(vcpu, arg);
	case KVM_SET_SIGNAL_MASK:
		return vcpu_set_signal_mask(vcpu, argp);
	case KVM_NMI:
		vcpu_send_nmi(vcpu);
		return 0;
	case KVM_SMI:
		vcpu_send_smi(vcpu);
		return 0;
	case KVM_SET_CPUID:
		return abi_set_cpuid(vcpu, argp);
	case KVM_SET_CPUID2:
		return abi_set_cpuid2(vcpu, argp);
	case KVM_GET_CPUID2:
		return abi_get_cpuid2(vcpu, argp);
	case KVM_GET_SUPPORTED_HV_CPUID:
		return abi_get_hv_cpuid(vcpu, argp);
	case KVM_GET_MSRS:
		return abi_get_msrs(vcpu, argp);
	case KVM_SET_MSRS:
		return abi_set_msrs(vcpu, argp);
	case KVM_GET_ONE_REG:
	case KVM_SET_ONE_REG:
		return abi_one_reg(vcpu, cmd, argp);
	case KVM_GET_REG_LIST:
		return abi_get_reg_list(argp);
	case KVM_GET_XSAVE:
	case KVM_GET_XSAVE2:
		return vcpu_get_xsave(vcpu, cmd, argp);
	case KVM_SET_XSAVE:
		return vcpu_set_xsave(vcpu, argp);
	case KVM_SET_TSC_KHZ:
		return tsc_set_khz(vcpu, arg);
	case KVM_GET_TSC_KHZ:
		return vcpu->cpu_state.tsc_khz;
	case KVM_KVMCLOCK_CTRL:
		return kvmclock_ctrl(vcpu);
	case KVM_GET_STATS_FD:
		return abi_vcpu_stats_fd(vcpu);
	case KVM_GET_NESTED_STATE:
		return cpu_caps.nested ? nested_get_state(vcpu, argp) : -EINVAL;
	case KVM_SET_NESTED_STATE:
		return cpu_caps.nested ? nested_set_state(vcpu, argp) : -EINVAL;
	case KVM_PRE_FAULT_MEMORY:
		return vcpu_pre_fault_memory(vcpu, argp);
	case KVM_MEMORY_ENCRYPT_OP:
		return -ENOTTY;
	default:
		return vcpu_table_ioctl(vcpu, cmd, argp);
	}
}

static int vcpu_check_caller(struct vcpu *vcpu)
{
	return vcpu->vm->mm != current->mm || READ_ONCE(vcpu->vm->dead) ? -EIO : 0;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vcpu *vcpu = file->private_data;
	long r = vcpu_check_caller(vcpu);

	if (r)
		return r;
	if (unlikely(_IOC_TYPE(cmd) != KVMIO))
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	r = vcpu_locked_ioctl(vcpu, cmd, arg);
	mutex_unlock(&vcpu->mutex);
	return r;
}

#ifdef CONFIG_COMPAT
static long compat_set_signal_mask(struct vcpu *vcpu, const struct kvm_signal_mask __user *argp)
{
	sigset_t sigset;
	u32 len;
	long r;

	if (argp) {
		if (get_user(len, &argp->len))
			return -EFAULT;
		if (len != sizeof(compat_sigset_t))
			return -EINVAL;
		if (get_compat_sigset(&sigset, (const compat_sigset_t __user *)argp->sigset))
			return -EFAULT;
	}
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	r = vcpu_set_sigset(vcpu, argp ? &sigset : NULL);
	mutex_unlock(&vcpu->mutex);
	return r;
}

static long vcpu_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vcpu *vcpu = file->private_data;
	int r = vcpu_check_caller(vcpu);

	if (r)
		return r;
	if (cmd == KVM_SET_SIGNAL_MASK)
		return compat_set_signal_mask(vcpu, compat_ptr(arg));
	return vcpu_ioctl(file, cmd, arg);
}
#endif

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vcpu *vcpu = file->private_data;

	/* The vCPU itself lives as long as the VM: interrupts may be on their way to it. */
	if (vcpu)
		vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = vcpu_compat_ioctl,
#endif
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

/**
 * abi_create_vcpu - KVM_CREATE_VCPU
 * @vm: whose
 * @id: user space's, not checked yet
 *
 * The file is made first: once the vCPU is published nothing may fail.
 *
 * Return: a file descriptor, or -errno.
 */
int abi_create_vcpu(struct vm *vm, unsigned long id)
{
	struct vcpu *vcpu;
	struct file *file;
	char name[32];
	int fd;

	/* Upstream's order of errors: an impossible id comes before a full table of files. */
	if (id >= NESTOR_MAX_VCPU_IDS)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "kvm-vcpu:%lu", id);
	file = anon_inode_getfile(name, &vcpu_fops, NULL, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	mutex_lock(&vm->lock);
	vcpu = vcpu_create(vm, id);
	mutex_unlock(&vm->lock);
	if (IS_ERR(vcpu)) {
		fput(file);
		put_unused_fd(fd);
		return PTR_ERR(vcpu);
	}
	vm_get(vm);
	file->private_data = vcpu;
	fd_install(fd, file);
	return fd;
}
