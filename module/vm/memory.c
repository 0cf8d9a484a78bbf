// SPDX-License-Identifier: GPL-2.0
/*
 * Access to guest memory from the kernel, through the VMM's own page tables.
 *
 * Every access is tried without sleeping, under SRCU: so a slot that KVM_SET_USER_MEMORY_REGION has
 * removed is not touched after it returned. When the host's page is missing, SRCU is left, the page is
 * brought in, which may take as long as user space likes (userfaultfd), and the access tried again.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "vm/slots.h"

/* Host pages may be taken back between being brought in and being used; but not for ever. */
#define MAX_ATTEMPTS	64

/**
 * struct access - one access to guest memory, within a page
 * @vm: the VM
 * @vcpu: the vCPU that is the cause, or NULL
 * @space: address space
 * @gpa: where
 * @len: bytes
 * @write: direction
 * @slot: out, valid under SRCU
 * @hva: out, valid under SRCU and for bringing the page in
 */
struct access {
	struct vm *vm;
	struct vcpu *vcpu;
	int space;
	u64 gpa;
	size_t len;
	bool write;
	const struct slot *slot;
	unsigned long hva;
};

/*
 * A burst needs no SRCU: who changes the slots waits until every vCPU has left the one that it is in, see slots_replace().
 */
#define IN_BURST	-1

static int access_begin(struct vm *vm, const struct vcpu *vcpu)
{
	int idx;

	if (vcpu && vcpu->in_burst)
		return IN_BURST;
	idx = srcu_read_lock(&vm->srcu);
	/* For sparse, which cannot follow that it is held or not. */
	__release(&vm->srcu);
	return idx;
}

static void access_end(struct vm *vm, int idx)
{
	if (idx == IN_BURST)
		return;
	__acquire(&vm->srcu);
	srcu_read_unlock(&vm->srcu, idx);
}

/* Under SRCU, or in a burst. The hva of a slot has passed access_ok(). */
static int access_resolve(struct access *a)
{
	/* User pointers mean something else in another address space. */
	if (unlikely(current->mm != a->vm->mm))
		return -EFAULT;
	a->slot = slots_find(vm_slots(a->vm, a->space), a->gpa >> PAGE_SHIFT);
	if (!a->slot || (a->write && a->slot->flags & KVM_MEM_READONLY))
		return -EFAULT;
	a->hva = slot_hva(a->slot, a->gpa >> PAGE_SHIFT) + offset_in_page(a->gpa);
	return 0;
}

/* Sleeps. 0: worth another try. */
static int access_bring_in(const struct access *a)
{
	size_t left;

	if (fatal_signal_pending(current))
		return -EFAULT;
	if (a->write)
		left = fault_in_safe_writeable((char __user *)a->hva, a->len);
	else
		left = fault_in_readable((char __user *)a->hva, a->len);
	return left ? -EFAULT : 0;
}

/*
 * Registers, entries of tables and instructions, 15 bytes at most, are most of what is read: of constant size, so that
 * neither the general routine nor a check of the buffer's object is called. Bytes that were not copied.
 */
static unsigned long copy_in(void *buf, const void __user *from, size_t len)
{
	int err;

	switch (len) {
	case 1:
		err = __get_user(*(u8 *)buf, (const u8 __user *)from);
		break;
	case 2:
		err = __get_user(*(u16 *)buf, (const u16 __user *)from);
		break;
	case 4:
		err = __get_user(*(u32 *)buf, (const u32 __user *)from);
		break;
	case 8:
		err = __get_user(*(u64 *)buf, (const u64 __user *)from);
		break;
	case 9 ... 16:
		/* The halves overlap. */
		err = __get_user(*(u64 *)buf, (const u64 __user *)from) |
		      __get_user(*(u64 *)(buf + len - 8), (const u64 __user *)(from + len - 8));
		break;
	default:
		return __copy_from_user_inatomic(buf, from, len);
	}
	return err ? len : 0;
}

/* 0, -EFAULT, or -EAGAIN with a->hva to be brought in. */
static int try_copy(struct access *a, void *buf)
{
	struct vm *vm = a->vm;
	unsigned long left;
	int idx, r;

	idx = access_begin(vm, a->vcpu);
	r = access_resolve(a);
	if (!r) {
		pagefault_disable();
		if (a->write)
			left = __copy_to_user_inatomic((void __user *)a->hva, buf, a->len);
		else
			left = copy_in(buf, (void __user *)a->hva, a->len);
		pagefault_enable();
		if (a->write && left != a->len)
			vm_mark_dirty(vm, a->vcpu, a->slot, a->gpa >> PAGE_SHIFT);
		r = left ? -EAGAIN : 0;
	}
	access_end(vm, idx);
	return r;
}

/* @what: whose memory, by whom and the direction. @buf is only read when it is a write. */
static int copy_guest(const struct access *what, u64 gpa, void *buf, size_t len, bool atomic)
{
	struct access a = *what;
	int attempts, r;

	while (len) {
		a.gpa = gpa;
		a.len = min_t(size_t, len, PAGE_SIZE - offset_in_page(gpa));
		r = try_copy(&a, buf);
		for (attempts = 0; r == -EAGAIN && !atomic; attempts++) {
			if (attempts == MAX_ATTEMPTS || access_bring_in(&a))
				return -EFAULT;
			r = try_copy(&a, buf);
		}
		if (r)
			return r;
		gpa += a.len;
		buf += a.len;
		len -= a.len;
	}
	return 0;
}

int vm_read(struct vm *vm, u64 gpa, void *buf, size_t len)
{
	return copy_guest(&(struct access){ .vm = vm }, gpa, buf, len, false);
}

int vm_write(struct vm *vm, u64 gpa, const void *buf, size_t len)
{
	return copy_guest(&(struct access){ .vm = vm, .write = true }, gpa, (void *)buf, len, false);
}

int vm_read_atomic(struct vm *vm, u64 gpa, void *buf, size_t len)
{
	return copy_guest(&(struct access){ .vm = vm }, gpa, buf, len, true);
}

int vm_write_atomic(struct vm *vm, u64 gpa, const void *buf, size_t len)
{
	return copy_guest(&(struct access){ .vm = vm, .write = true }, gpa, (void *)buf, len, true);
}

int vcpu_read_guest(struct vcpu *vcpu, u64 gpa, void *buf, size_t len)
{
	const struct access what = { .vm = vcpu->vm, .vcpu = vcpu, .space = vcpu_space(vcpu) };

	return copy_guest(&what, gpa, buf, len, vcpu->in_burst);
}

int vcpu_write_guest(struct vcpu *vcpu, u64 gpa, const void *buf, size_t len)
{
	const struct access what = { .vm = vcpu->vm, .vcpu = vcpu, .space = vcpu_space(vcpu), .write = true };

	return copy_guest(&what, gpa, (void *)buf, len, vcpu->in_burst);
}

int guest_page_begin(struct guest_page *p)
{
	struct access a = {
		.vm = p->vcpu->vm, .vcpu = p->vcpu, .space = vcpu_space(p->vcpu), .gpa = p->gpa, .write = p->write,
	};
	int r;

	p->idx = access_begin(a.vm, a.vcpu);
	r = access_resolve(&a);
	if (unlikely(r)) {
		access_end(a.vm, p->idx);
		return r;
	}
	p->slot = a.slot;
	p->at = (void __user *)a.hva;
	pagefault_disable();
	return 0;
}

void guest_page_end(struct guest_page *p)
{
	struct vm *vm = p->vcpu->vm;

	pagefault_enable();
	if (p->write)
		vm_mark_dirty(vm, p->vcpu, p->slot, p->gpa >> PAGE_SHIFT);
	access_end(vm, p->idx);
}

int guest_page_retry(struct guest_page *p, int r)
{
	const struct access a = { .write = p->write, .hva = (unsigned long)p->at, .len = 1 };

	if (r != -EAGAIN || p->vcpu->in_burst)
		return r;
	return p->attempts++ == MAX_ATTEMPTS ? -EFAULT : access_bring_in(&a);
}

int vcpu_write_pv(struct vcpu *vcpu, u64 gpa, const void *buf, size_t len)
{
	const struct access what = { .vm = vcpu->vm, .vcpu = vcpu, .write = true };

	return copy_guest(&what, gpa, (void *)buf, len, false);
}

/* The kernel's user-space compare-and-exchange ends at 8 bytes. 0, 1: differed, -EFAULT. */
static int cmpxchg16_user(void __user *p, u64 *old, const u64 *new)
{
	bool same = false;
	int err = 0;

	__uaccess_begin_nospec();
	asm volatile("1: " LOCK_PREFIX "cmpxchg16b %[ptr]\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_EFAULT_REG, %[err])
		     : "=@ccz" (same), [err] "+r" (err), [ptr] "+m" (*(__force __uint128_t *)p),
		       "+a" (old[0]), "+d" (old[1])
		     : "b" (new[0]), "c" (new[1])
		     : "memory");
	__uaccess_end();
	return err ? err : !same;
}

#define CMPXCHG_USER(type, p, old, new)						\
	__try_cmpxchg_user((type __user *)(p), (type *)(old), *(const type *)(new), fault_##type)

static int cmpxchg_user(void __user *p, void *old, const void *new, int len)
{
	switch (len) {
	case 1:
		return CMPXCHG_USER(u8, p, old, new);
	case 2:
		return CMPXCHG_USER(u16, p, old, new);
	case 4:
		return CMPXCHG_USER(u32, p, old, new);
	case 8:
		return CMPXCHG_USER(u64, p, old, new);
	default:
		return cmpxchg16_user(p, old, new);
	}
}

static int try_cmpxchg_guest(struct access *a, void *old, const void *new)
{
	struct vm *vm = a->vm;
	int idx, r;

	idx = srcu_read_lock(&vm->srcu);
	r = access_resolve(a);
	if (!r) {
		pagefault_disable();
		r = cmpxchg_user((void __user *)a->hva, old, new, a->len);
		pagefault_enable();
		if (!r)
			vm_mark_dirty(vm, a->vcpu, a->slot, a->gpa >> PAGE_SHIFT);
		else if (r < 0)
			r = -EAGAIN;
	}
	srcu_read_unlock(&vm->srcu, idx);
	return r;
}

/**
 * vcpu_cmpxchg_guest - compare-and-exchange in guest memory
 * @vcpu: the vCPU; in a burst nothing sleeps
 * @gpa: where, a multiple of @len
 * @old: expected value; out, what was found when it differed
 * @new: the new value
 * @len: 1, 2, 4, 8 or 16
 *
 * 0: exchanged; 1: differed; -EFAULT: no slot, read-only, or no host page; -EAGAIN: in a burst, and the
 * host's page is not there or not writable right now; -EINVAL: @len or alignment.
 */
int vcpu_cmpxchg_guest(struct vcpu *vcpu, u64 gpa, void *old, const void *new, int len)
{
	struct access a = {
		.vm = vcpu->vm, .vcpu = vcpu, .space = vcpu_space(vcpu), .gpa = gpa, .len = len, .write = true,
	};
	int attempts, r;

	if (len < 1 || len > 16 || len & (len - 1) || gpa & (len - 1))
		return -EINVAL;
	r = try_cmpxchg_guest(&a, old, new);
	for (attempts = 0; r == -EAGAIN && !vcpu->in_burst; attempts++) {
		if (attempts == MAX_ATTEMPTS || access_bring_in(&a))
			return -EFAULT;
		r = try_cmpxchg_guest(&a, old, new);
	}
	return r;
}

bool vm_is_memory(struct vm *vm, u64 gpa)
{
	int idx = srcu_read_lock(&vm->srcu);
	bool is = slots_find(vm_slots(vm, 0), gpa >> PAGE_SHIFT);

	srcu_read_unlock(&vm->srcu, idx);
	return is;
}
