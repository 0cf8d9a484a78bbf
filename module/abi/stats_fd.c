// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_STATS_FD: counters as a file that describes itself: header, an id string, one descriptor per
 * counter, then the values. The first three are made when the file is opened.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "abi/abi.h"
#include "vm/ops.h"

#define STATS_NAME_SIZE		48

struct stats_desc {
	u32 flags;
	s16 exponent;
	u16 size;		/* number of u64 values */
	u32 offset;		/* of the first one, in the data */
	u32 bucket_size;
	char name[STATS_NAME_SIZE];
};
static_assert(sizeof(struct stats_desc) == 16 + STATS_NAME_SIZE);

/* All that stands before the values. */
struct stats_head {
	struct kvm_stats_header header;
	char id[STATS_NAME_SIZE];
	struct stats_desc desc[];
};

/**
 * struct stats_file - an open statistics file
 * @vm: a reference
 * @counters: the u64 array that @index points into
 * @nr: number of values
 * @index: where each value is; not all of the array has a name
 * @head_size: bytes of @head
 * @head: made when the file is opened
 */
struct stats_file {
	struct vm *vm;
	const u64 *counters;
	unsigned int nr;
	u16 *index;
	size_t head_size;
	struct stats_head *head;
};

struct stat_name {
	const char *name;
	u32 type;
};

static const struct stat_name vm_names[] = {
#define X(name) { #name, KVM_STATS_TYPE_CUMULATIVE },
	VM_STATS(X)
#undef X
#define X(name) { #name, KVM_STATS_TYPE_INSTANT },
	VM_GAUGES(X)
#undef X
};

static const struct stat_name vcpu_names[] = {
#define X(name) { #name, KVM_STATS_TYPE_CUMULATIVE },
	VCPU_STATS(X)
#undef X
};

/* Both structures begin with the named counters, in the order of the names. */
static_assert(sizeof(struct vm_stats) == ARRAY_SIZE(vm_names) * sizeof(u64));
static_assert(offsetof(struct vcpu_stats, by_reason) == ARRAY_SIZE(vcpu_names) * sizeof(u64));

static void stats_add(struct stats_file *f, unsigned int index, u32 type, const char *prefix,
		      const char *name)
{
	struct stats_desc *desc = &f->head->desc[f->nr];

	desc->flags = type | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10;
	desc->size = 1;
	desc->offset = f->nr * sizeof(u64);
	snprintf(desc->name, sizeof(desc->name), "%s%s", prefix, name);
	f->index[f->nr++] = index;
}

static void stats_add_names(struct stats_file *f, const struct stat_name *names, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		stats_add(f, i, names[i].type, "", names[i].name);
}

/* One counter for each exit reason that the vendor has a name for. */
static void stats_add_exits(struct stats_file *f)
{
	const struct exit_name *n;

	for (n = vendor->exit_names; n->name; n++)
		stats_add(f, ARRAY_SIZE(vcpu_names) + stats_exit_slot(n->reason),
			  KVM_STATS_TYPE_CUMULATIVE, "exit_", n->name);
}

static unsigned int nr_exit_names(void)
{
	const struct exit_name *n = vendor->exit_names;

	while (n->name)
		n++;
	return n - vendor->exit_names;
}

static void stats_free(struct stats_file *f)
{
	kvfree(f->head);
	kfree(f->index);
	kfree(f);
}

/* Room for @max counters. */
static struct stats_file *stats_alloc(struct vm *vm, const void *counters, unsigned int max)
{
	struct stats_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return NULL;
	f->vm = vm;
	f->counters = counters;
	f->index = kcalloc(max, sizeof(*f->index), GFP_KERNEL_ACCOUNT);
	f->head = kvzalloc(struct_size(f->head, desc, max), GFP_KERNEL_ACCOUNT);
	if (!f->index || !f->head) {
		stats_free(f);
		return NULL;
	}
	return f;
}

static void stats_finish(struct stats_file *f)
{
	struct kvm_stats_header *h = &f->head->header;

	f->head_size = struct_size(f->head, desc, f->nr);
	h->name_size = STATS_NAME_SIZE;
	h->num_desc = f->nr;
	h->id_offset = offsetof(struct stats_head, id);
	h->desc_offset = offsetof(struct stats_head, desc);
	h->data_offset = f->head_size;
}

/* The part [@pos, @pos + @size) of the values; @pos counts from the first of them. */
static ssize_t stats_read_values(const struct stats_file *f, char __user *to, size_t size, size_t pos)
{
	u64 *values = kmalloc_array(f->nr, sizeof(*values), GFP_KERNEL);
	unsigned int i;
	ssize_t r = size;

	if (!values)
		return -ENOMEM;
	for (i = 0; i < f->nr; i++)
		values[i] = READ_ONCE(f->counters[f->index[i]]);
	if (copy_to_user(to, (char *)values + pos, size))
		r = -EFAULT;
	kfree(values);
	return r;
}

static ssize_t stats_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	const struct stats_file *f = file->private_data;
	size_t total = f->head_size + f->nr * sizeof(u64);
	size_t from_head = 0;
	ssize_t r;

	if (*offset < 0 || *offset >= total)
		return 0;
	size = min_t(size_t, size, total - *offset);
	if (*offset < f->head_size) {
		from_head = min_t(size_t, size, f->head_size - *offset);
		if (copy_to_user(to, (const char *)f->head + *offset, from_head))
			return -EFAULT;
	}
	if (size > from_head) {
		r = stats_read_values(f, to + from_head, size - from_head,
				      *offset + from_head - f->head_size);
		if (r < 0)
			return r;
	}
	*offset += size;
	return size;
}

static int stats_release(struct inode *inode, struct file *file)
{
	struct stats_file *f = file->private_data;

	vm_put(f->vm);
	stats_free(f);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.read = stats_read,
	.release = stats_release,
	.llseek = noop_llseek,
};

/* Takes over @f. */
static int stats_install(struct stats_file *f, const char *name)
{
	struct file *file;
	int fd, r;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		stats_free(f);
		return fd;
	}
	file = anon_inode_getfile(name, &stats_fops, f, O_RDONLY);
	if (IS_ERR(file)) {
		r = PTR_ERR(file);
		put_unused_fd(fd);
		stats_free(f);
		return r;
	}
	vm_get(f->vm);
	file->f_mode |= FMODE_PREAD;
	fd_install(fd, file);
	return fd;
}

int abi_vm_stats_fd(struct vm *vm)
{
	struct stats_file *f = stats_alloc(vm, &vm->stats, ARRAY_SIZE(vm_names));

	if (!f)
		return -ENOMEM;
	stats_add_names(f, vm_names, ARRAY_SIZE(vm_names));
	snprintf(f->head->id, sizeof(f->head->id), "kvm-%d", vm->pid);
	stats_finish(f);
	return stats_install(f, "kvm-vm-stats");
}

int abi_vcpu_stats_fd(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct stats_file *f;
	char name[32];

	f = stats_alloc(vm, &vcpu->stats, ARRAY_SIZE(vcpu_names) + nr_exit_names());
	if (!f)
		return -ENOMEM;
	stats_add_names(f, vcpu_names, ARRAY_SIZE(vcpu_names));
	stats_add_exits(f);
	snprintf(f->head->id, sizeof(f->head->id), "kvm-%d/vcpu-%u", vm->pid, vcpu->id);
	stats_finish(f);
	snprintf(name, sizeof(name), "kvm-vcpu-stats:%u", vcpu->id);
	return stats_install(f, name);
}
