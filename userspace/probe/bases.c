// SPDX-License-Identifier: GPL-2.0
/*
 * Valid states of the CPU at hand to start from: one vCPU for each mode of a guest, and what its features add.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "../kvm.h"
#include "../util.h"
#include "probe.h"

/* The guest's memory: CPUID, which exits in every mode and ring, and page tables that map nothing. */
#define GUEST_SIZE	0x10000
#define GUEST_CODE	0x1000
#define GUEST_TABLES	0x2000

#define CR0_PE		1
#define CR0_NE		0x20
#define CR0_WP		0x10000
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define EFER_LONG	0x500
#define RFLAGS_VM	0x20000

/* Where things are in the page that a state may name. */
#define PAGE_VTPR	0x80	/* as in a virtual-APIC page */
#define PAGE_LOAD	0x100	/* MSR areas of one entry */
#define PAGE_STORE	0x110
#define PAGE_RESTORE	0x120

#define MSR_TSC		0x10
#define MSR_SYSENTER_CS	0x174
#define MSR_PAT		0x277
#define SHADOW_VMCS	0x80000000

/**
 * struct probe_vcpu - a vCPU of its own VM
 * @sregs: of its mode
 * @regs: the same
 */
struct probe_vcpu {
	int vm, fd;
	uint8_t *memory;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
};

/* The table's values that are no fields but memory: in @memory of the base, from there in the page. */
static const struct {
	unsigned int field, offset, bytes;
} in_memory[] = {
	{ VF_link_revision, 0, 4 },
	{ VF_virtual_tpr, PAGE_VTPR, 1 },
	{ VF_msr_index, PAGE_LOAD, 4 },
	{ VF_msr_reserved, PAGE_LOAD + 4, 4 },
};

static bool is_in_memory(const struct check_state *s, unsigned int field)
{
	return s->table == &check_vmx &&
	       (field == VF_link_revision || field == VF_virtual_tpr || field == VF_msr_index ||
		field == VF_msr_reserved || field == VF_mov_ss_blocking || field == VF_vmcs_pointer);
}

static unsigned int list_changes(const struct base *base, const struct check_state *state,
				 struct nestor_entry_value *changes)
{
	const struct check_table *table = state->table;
	unsigned int nr = 0;

	for (unsigned int i = 1; i < table->nr_fields && nr < NESTOR_PROBE_CHANGES; i++) {
		if (!check_known(&base->real, i) || state->values[i] == base->real.values[i] || is_in_memory(state, i))
			continue;
		snprintf(changes[nr].name, sizeof(changes[nr].name), "%s", table->fields[i].name);
		changes[nr++].value = state->values[i];
	}
	return nr;
}

static int set_registers(const struct probe_vcpu *v)
{
	struct kvm_vcpu_events none = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW };
	int r = ioctl(v->fd, KVM_SET_SREGS, &v->sregs);

	r = r ?: ioctl(v->fd, KVM_SET_REGS, &v->regs);
	return r ?: ioctl(v->fd, KVM_SET_VCPU_EVENTS, &none);
}

static int enter(const struct base *base, const struct check_state *state, bool host_state, struct verdict *verdict,
		 struct nestor_probe_entry *p)
{
	struct nestor_entry_value changes[NESTOR_PROBE_CHANGES] = {};
	uint8_t memory[PAGE_BYTES];

	memcpy(memory, base->memory, sizeof(memory));
	for (size_t i = 0; state && state->table == &check_vmx && i < ARRAY_SIZE(in_memory); i++)
		memcpy(memory + in_memory[i].offset, &state->values[in_memory[i].field], in_memory[i].bytes);
	if (state)
		p->nr_changes = list_changes(base, state, changes);
	p->changes = (uintptr_t)changes;
	p->memory = (uintptr_t)memory;
	p->flags = host_state ? NESTOR_PROBE_HOST_STATE : 0;
	if (set_registers(base->vcpu))
		return -errno;
	verdict->begin = __rdtsc();
	if (ioctl(base->vcpu->fd, NESTOR_PROBE_ENTRY, p))
		return -errno;
	verdict->end = __rdtsc();
	verdict->effect = p->effect;
	verdict->code = p->code;
	verdict->qualification = p->qualification;
	verdict->reason = p->state.reason;
	return 0;
}

/**
 * bases__enter() - enter once with a state
 * @base: that it was made of
 * @state: the state
 * @host_state: host state may differ from the real one
 * @verdict: filled in
 *
 * Return: 0 or a negative errno.
 */
int bases__enter(const struct base *base, const struct check_state *state, bool host_state, struct verdict *verdict)
{
	struct nestor_probe_entry p = {};

	return enter(base, state, host_state, verdict, &p);
}

/* The state as it is: what the module enters with when nothing is changed. */
static int read_real(struct base *base, uint64_t *page)
{
	static struct nestor_entry_value values[2][CHECK_MAX_FIELDS];
	struct nestor_probe_entry p = {
		.state.nr_values = CHECK_MAX_FIELDS, .state.values = (uintptr_t)values[0],
		.state.nr_caps = CHECK_MAX_FIELDS, .state.caps = (uintptr_t)values[1],
	};
	struct verdict verdict;
	int ret = enter(base, NULL, false, &verdict, &p);

	if (ret)
		return ret;
	if (!failure__take_state(&base->real, &p.state, CHECK_MAX_FIELDS))
		return -EINVAL;
	base->state = base->real;
	*page = p.page;
	return 0;
}

static struct kvm_segment segment(unsigned int type, unsigned int selector)
{
	return (struct kvm_segment){ .limit = ~0u, .type = type, .s = 1, .present = 1, .db = 1, .g = 1,
				     .selector = selector };
}

static void set_segments(struct kvm_sregs *s, struct kvm_segment code, struct kvm_segment data)
{
	s->cs = code;
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1, .selector = 0x40 };
	s->ldt = (struct kvm_segment){ .limit = 0xfff, .type = 2, .present = 1, .selector = 0x48 };
}

static void enter_protected(struct probe_vcpu *v)
{
	set_segments(&v->sregs, segment(11, 8), segment(3, 16));
	v->sregs.cr0 = CR0_PE | CR0_NE | CR0_WP;
}

static void enter_pae(struct probe_vcpu *v)
{
	enter_protected(v);
	v->sregs.cr3 = GUEST_TABLES;
	v->sregs.cr4 = CR4_PAE;
	v->sregs.cr0 |= CR0_PG;
}

static void enter_long(struct probe_vcpu *v)
{
	enter_pae(v);
	v->sregs.efer = EFER_LONG;
	v->sregs.cs.l = 1;
	v->sregs.cs.db = 0;
}

static void enter_small(struct probe_vcpu *v, unsigned int dpl)
{
	struct kvm_segment data = { .limit = 0xffff, .type = 3, .s = 1, .present = 1, .dpl = dpl };

	set_segments(&v->sregs, data, data);
}

static void enter_real(struct probe_vcpu *v)
{
	enter_small(v, 0);
	v->sregs.cr0 = CR0_NE;
}

static void enter_v86(struct probe_vcpu *v)
{
	enter_small(v, 3);
	v->sregs.cr0 = CR0_PE | CR0_NE;
	v->regs.rflags |= RFLAGS_VM;
}

/*
 * Should a state turn EPT or nested paging off, and be accepted, CR3 is an address of the host's: so it is that of
 * the page of zeros from the beginning, and such a guest faults at once.
 */
static void use_no_page_tables(struct base *base, uint64_t page)
{
	bool vmx = base->state.table == &check_vmx;

	if (base->state.values[vmx ? VF_guest_cr0 : SF_cr0] & CR0_PG)
		check_set(&base->state, vmx ? VF_guest_cr3 : SF_cr3, page + PAGE_BYTES);
}

static int create_vcpu(struct probe_vcpu *v, const struct kvm *kvm, void (*mode)(struct probe_vcpu *v))
{
	struct kvm_userspace_memory_region region = { .memory_size = GUEST_SIZE };

	v->memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->memory == MAP_FAILED)
		return -ENOMEM;
	memcpy(v->memory + GUEST_CODE, (uint8_t[]){ 0x0f, 0xa2 }, 2);
	region.userspace_addr = (uintptr_t)v->memory;
	v->vm = KVM_IOCTL(kvm->fd, KVM_CREATE_VM, 0);
	if (v->vm < 0 || KVM_IOCTL(v->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -EIO;
	v->fd = KVM_IOCTL(v->vm, KVM_CREATE_VCPU, 0);
	if (v->fd < 0 || KVM_IOCTL(v->fd, KVM_SET_CPUID2, kvm->cpuid) < 0 ||
	    KVM_IOCTL(v->fd, KVM_GET_SREGS, &v->sregs) < 0)
		return -EIO;
	v->regs = (struct kvm_regs){ .rip = GUEST_CODE, .rsp = GUEST_SIZE, .rflags = 2 };
	mode(v);
	return 0;
}

/* Turn on what the CPU has and the rules allow. Return: whether the bit is on now. */
static bool turn_on(struct check_state *s, unsigned int field, unsigned int bit)
{
	uint64_t value = s->values[field];

	check_set(s, field, value | 1ULL << bit);
	if (!check_verdict(s))
		return true;
	check_set(s, field, value);
	return false;
}

/* Every address that a control may make the CPU use is the page's. */
static void name_page(struct base *base, uint64_t page)
{
	static const unsigned int pages[] = {
		VF_io_bitmap_a, VF_io_bitmap_b, VF_virtual_apic, VF_apic_access, VF_pml_address, VF_eptp_list,
		VF_vmread_bitmap, VF_vmwrite_bitmap, VF_ve_info, VF_spptp, VF_low_pasid, VF_high_pasid, VF_hlatp,
		VF_pid_table, VF_posted_descriptor,
	};
	struct check_state *s = &base->state;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		if (check_known(s, pages[i]))
			check_set(s, pages[i], page);
	check_set(s, VF_entry_msr_load, page + PAGE_LOAD);
	check_set(s, VF_exit_msr_store, page + PAGE_STORE);
	check_set(s, VF_exit_msr_load, page + PAGE_RESTORE);
	if (check_known(s, VF_tsc_multiplier))
		check_set(s, VF_tsc_multiplier, 1ULL << 48);
	if (check_known(s, VF_posted_vector))
		check_set(s, VF_posted_vector, 0xf2);
}

static void set_memory(struct base *base, unsigned int field, uint64_t value)
{
	for (size_t i = 0; i < ARRAY_SIZE(in_memory); i++)
		if (in_memory[i].field == field)
			memcpy(base->memory + in_memory[i].offset, &value, in_memory[i].bytes);
	check_set(&base->state, field, value);
}

static void add_msr_areas(struct base *base)
{
	uint32_t index = MSR_TSC;

	set_memory(base, VF_msr_index, MSR_SYSENTER_CS);
	set_memory(base, VF_msr_reserved, 0);
	memcpy(base->memory + PAGE_STORE, &index, sizeof(index));
	index = MSR_PAT;
	memcpy(base->memory + PAGE_RESTORE, &index, sizeof(index));
	memcpy(base->memory + PAGE_RESTORE + 8, &base->state.values[VF_host_pat], 8);
	check_set(&base->state, VF_entry_msr_load_count, 1);
	check_set(&base->state, VF_exit_msr_store_count, 1);
	check_set(&base->state, VF_exit_msr_load_count, 1);
}

static void link_page(struct base *base, uint64_t page, uint32_t shadow)
{
	check_set(&base->state, VF_link_pointer, page);
	set_memory(base, VF_link_revision, (base->state.caps[VCAP_basic] & 0x7fffffff) | shadow);
}

/* All features together that go together. The order is that of what each needs. */
static void add_vmx_all(struct base *base, uint64_t page, bool host_state)
{
	static const struct {
		unsigned int field, bit;
		bool host;	/* an exit loads what the host has of it */
	} bits[] = {
		{ VF_cpu_controls, 21, false }, { VF_exit_controls, 15, false }, { VF_pin_controls, 6, false },
		{ VF_exit_controls, 22, false }, { VF_cpu_controls, 17, false }, { VF_cpu2_controls, 4, false },
		{ VF_cpu2_controls, 8, false }, { VF_cpu2_controls, 9, false }, { VF_pin_controls, 7, false },
		{ VF_cpu2_controls, 13, false }, { VF_vmfunc_controls, 0, false }, { VF_cpu2_controls, 14, false },
		{ VF_cpu2_controls, 17, false }, { VF_cpu2_controls, 18, false }, { VF_cpu2_controls, 21, false },
		{ VF_cpu2_controls, 22, false }, { VF_cpu2_controls, 23, false }, { VF_cpu2_controls, 25, false },
		{ VF_exit_controls, 25, false }, { VF_entry_controls, 18, false }, { VF_cpu2_controls, 24, false },
		{ VF_cpu3_controls, 1, false }, { VF_cpu3_controls, 2, false }, { VF_cpu3_controls, 3, false },
		{ VF_cpu3_controls, 4, false }, { VF_entry_controls, 13, false }, { VF_entry_controls, 16, false },
		{ VF_entry_controls, 19, false }, { VF_entry_controls, 20, false }, { VF_entry_controls, 21, false },
		{ VF_entry_controls, 22, false }, { VF_entry_controls, 23, false }, { VF_exit_controls, 12, true },
		{ VF_exit_controls, 28, true }, { VF_exit_controls, 29, true }, { VF_exit_controls, 31, true },
		{ VF_exit2_controls, 1, true },
	};

	name_page(base, page);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if (check_known(&base->state, bits[i].field) && (host_state || !bits[i].host))
			turn_on(&base->state, bits[i].field, bits[i].bit);
	link_page(base, page, base->state.values[VF_cpu2_controls] >> 14 & 1 ? SHADOW_VMCS : 0);
}

/* I/O bitmaps exclude unconditional I/O exiting. */
static void add_vmx_areas(struct base *base, uint64_t page)
{
	name_page(base, page);
	add_msr_areas(base);
	check_set(&base->state, VF_cpu_controls, base->state.values[VF_cpu_controls] & ~(1ULL << 24));
	turn_on(&base->state, VF_cpu_controls, 25);
	link_page(base, page, 0);
}

/* A TPR shadow without virtual-interrupt delivery, with and without virtualized accesses. */
static void add_vmx_tpr(struct base *base, uint64_t page, bool accesses)
{
	name_page(base, page);
	set_memory(base, VF_virtual_tpr, 0x50);
	turn_on(&base->state, VF_cpu_controls, 21);
	if (accesses)
		turn_on(&base->state, VF_cpu2_controls, 0);
	else
		check_set(&base->state, VF_tpr_threshold, 2);
}

static void drop_unrestricted(struct base *base, uint64_t page)
{
	name_page(base, page);
	check_set(&base->state, VF_cpu2_controls, base->state.values[VF_cpu2_controls] & ~0x80ULL);
}

/* What SVM adds: nothing that points anywhere. */
static void add_svm_all(struct base *base)
{
	static const struct {
		unsigned int field, bit;
	} bits[] = {
		{ SF_virt_ext, 0 }, { SF_virt_ext, 1 }, { SF_int_ctl, 25 }, { SF_int_ctl, 9 }, { SF_int_ctl, 26 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		turn_on(&base->state, bits[i].field, bits[i].bit);
}

static struct base *add_base(struct base *bases, unsigned int *nr, const struct base *like, const char *features)
{
	struct base *b = &bases[(*nr)++];

	*b = *like;
	b->features = features;
	return b;
}

static void add_features(struct base *bases, unsigned int *nr, const struct base *like, uint64_t page,
			 bool host_state)
{
	if (like->real.table == &check_svm) {
		add_svm_all(add_base(bases, nr, like, "all features"));
		return;
	}
	add_vmx_all(add_base(bases, nr, like, "all features"), page, host_state);
	add_vmx_areas(add_base(bases, nr, like, "MSR areas"), page);
	add_vmx_tpr(add_base(bases, nr, like, "TPR shadow"), page, false);
	add_vmx_tpr(add_base(bases, nr, like, "virtualized APIC accesses"), page, true);
	drop_unrestricted(add_base(bases, nr, like, "no unrestricted guest"), page);
}

/**
 * bases__create() - make the states to start from
 * @bases: MAX_BASES of them
 * @device: the hypervisor's node, or NULL
 * @host_state: host state may be replaced
 *
 * Return: how many there are; 0 when the hypervisor refuses, which is reported.
 */
unsigned int bases__create(struct base *bases, const char *device, bool host_state)
{
	static const struct {
		const char *name;
		void (*mode)(struct probe_vcpu *v);
	} modes[] = {
		{ "long mode", enter_long }, { "protected mode", enter_protected }, { "PAE", enter_pae },
		{ "real mode", enter_real }, { "virtual-8086 mode", enter_v86 },
	};
	unsigned int nr = 0;
	struct kvm kvm;

	if (kvm__open(&kvm, device))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct base *base = &bases[nr++];
		uint64_t page;
		int ret;

		*base = (struct base){
			.mode = modes[i].name, .features = "nothing more", .vcpu = xcalloc(1, sizeof(*base->vcpu)),
		};
		ret = create_vcpu(base->vcpu, &kvm, modes[i].mode) ?: read_real(base, &page);
		if (ret) {
			pr_err("NESTOR_PROBE_ENTRY: %s%s", strerror(-ret), ret == -EOPNOTSUPP ?
			       " (load the module with probe_entry=y)" : "");
			nr = 0;
			break;
		}
		use_no_page_tables(base, page);
		if (i == 0)
			add_features(bases, &nr, base, page, host_state);
	}
	kvm__close(&kvm);
	return nr;
}
