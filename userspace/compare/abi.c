// SPDX-License-Identifier: GPL-2.0
/*
 * Suite abi: ioctls in random order with arguments that are right but for a field or two; results, errors, and the
 * state of the vCPU read back behind each.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compare/compare.h"
#include "util.h"

#define NR_CAPS		260
#define ARGUMENT_SIZE	4096

enum object { SYSTEM, VM, VCPU };

/**
 * struct call - an ioctl
 * @name: its name
 * @request: its number
 * @on: what kind of descriptor it is for
 * @get: the one that fills its argument, of the same kind; 0: it begins as zeros
 * @fields: of the argument; none: the argument is a number
 * @prepare: makes the argument a good one
 */
struct call {
	const char *name;
	unsigned long request;
	enum object on;
	unsigned long get;
	const struct field *fields;
	void (*prepare)(struct subject *s, void *arg);
};

#define F(type, member) FIELD(struct type, #member, member)

static const struct field region_fields[] = {
	F(kvm_userspace_memory_region, slot), F(kvm_userspace_memory_region, flags),
	F(kvm_userspace_memory_region, guest_phys_addr), F(kvm_userspace_memory_region, memory_size),
	F(kvm_userspace_memory_region, userspace_addr), { 0 },
};

static const struct field level_fields[] = { F(kvm_irq_level, irq), F(kvm_irq_level, level), { 0 } };

static const struct field msi_fields[] = {
	F(kvm_msi, address_lo), F(kvm_msi, address_hi), F(kvm_msi, data), F(kvm_msi, flags), F(kvm_msi, devid), { 0 },
};

static const struct field cap_fields[] = {
	F(kvm_enable_cap, cap), F(kvm_enable_cap, flags), F(kvm_enable_cap, args[0]), F(kvm_enable_cap, args[1]), { 0 },
};

static const struct field ioeventfd_fields[] = {
	F(kvm_ioeventfd, addr), F(kvm_ioeventfd, len), F(kvm_ioeventfd, fd), F(kvm_ioeventfd, flags),
	F(kvm_ioeventfd, datamatch), { 0 },
};

static const struct field irqfd_fields[] = {
	F(kvm_irqfd, fd), F(kvm_irqfd, gsi), F(kvm_irqfd, flags), F(kvm_irqfd, resamplefd), { 0 },
};

struct one_route {
	struct kvm_irq_routing list;
	struct kvm_irq_routing_entry entry;
};

static const struct field route_fields[] = {
	F(one_route, list.nr), F(one_route, list.flags), F(one_route, entry.gsi), F(one_route, entry.type),
	F(one_route, entry.flags), F(one_route, entry.u.msi.address_lo), F(one_route, entry.u.msi.address_hi),
	F(one_route, entry.u.msi.data), { 0 },
};

static const struct field zone_fields[] = {
	F(kvm_coalesced_mmio_zone, addr), F(kvm_coalesced_mmio_zone, size), F(kvm_coalesced_mmio_zone, pio), { 0 },
};

static const struct field device_fields[] = {
	F(kvm_create_device, type), F(kvm_create_device, flags), { 0 },
};

static const struct field pit_config_fields[] = { F(kvm_pit_config, flags), { 0 } };

static const struct field address_fields[] = { { "address", 0, 8 }, { 0 } };

static const struct field translation_fields[] = { F(kvm_translation, linear_address), { 0 } };

static const struct field interrupt_fields[] = { F(kvm_interrupt, irq), { 0 } };

static const struct field debug_fields[] = {
	F(kvm_guest_debug, control), F(kvm_guest_debug, arch.debugreg[0]), F(kvm_guest_debug, arch.debugreg[7]), { 0 },
};

static const struct field tpr_fields[] = { F(kvm_tpr_access_ctl, enabled), F(kvm_tpr_access_ctl, flags), { 0 } };

static const struct field mce_fields[] = {
	F(kvm_x86_mce, status), F(kvm_x86_mce, bank), F(kvm_x86_mce, mcg_status), F(kvm_x86_mce, addr), { 0 },
};

static const struct field lapic_fields[] = {
	{ "ID", 0x20, 4 }, { "TPR", 0x80, 4 }, { "LDR", 0xd0, 4 }, { "DFR", 0xe0, 4 }, { "SVR", 0xf0, 4 },
	{ "ISR", 0x100, 4 }, { "TMR", 0x190, 4 }, { "IRR", 0x220, 4 }, { "ICR", 0x300, 4 }, { "ICR2", 0x310, 4 },
	{ "LVT0", 0x350, 4 }, { "LVT1", 0x360, 4 }, { 0 },
};

static const struct field nested_fields[] = {
	F(kvm_nested_state, flags), F(kvm_nested_state, format), F(kvm_nested_state, size), { 0 },
};

struct one_msr {
	struct kvm_msrs list;
	struct kvm_msr_entry entry;
};

static const struct field msr_fields[] = {
	F(one_msr, entry.data), F(one_msr, list.nmsrs), F(one_msr, entry.index), { 0 },
};

static const struct field signal_fields[] = { F(kvm_signal_mask, len), { 0 } };

static void prepare_region(struct subject *s, void *arg)
{
	*(struct kvm_userspace_memory_region *)arg = (struct kvm_userspace_memory_region){
		.slot = 1, .guest_phys_addr = GUEST_SIZE, .memory_size = 0x10000,
		.userspace_addr = (uintptr_t)s->memory + 0x100000,
	};
}

static void prepare_msi(struct subject *s, void *arg)
{
	(void)s;
	*(struct kvm_msi *)arg = (struct kvm_msi){ .address_lo = 0xfee00000, .data = 0x41 };
}

static void prepare_ioeventfd(struct subject *s, void *arg)
{
	(void)s;
	*(struct kvm_ioeventfd *)arg = (struct kvm_ioeventfd){ .addr = GUEST_MMIO, .len = 4, .fd = -1 };
}

static void prepare_irqfd(struct subject *s, void *arg)
{
	(void)s;
	*(struct kvm_irqfd *)arg = (struct kvm_irqfd){ .fd = -1, .gsi = 4 };
}

static void prepare_route(struct subject *s, void *arg)
{
	(void)s;
	*(struct one_route *)arg = (struct one_route){
		.list.nr = 1, .entry = { .gsi = 4, .type = KVM_IRQ_ROUTING_MSI },
	};
	((struct one_route *)arg)->entry.u.msi.address_lo = 0xfee00000;
	((struct one_route *)arg)->entry.u.msi.data = 0x42;
}

static void prepare_zone(struct subject *s, void *arg)
{
	(void)s;
	*(struct kvm_coalesced_mmio_zone *)arg = (struct kvm_coalesced_mmio_zone){ .addr = GUEST_MMIO, .size = 4096 };
}

static void prepare_cap(struct subject *s, void *arg)
{
	(void)s;
	((struct kvm_enable_cap *)arg)->cap = KVM_CAP_X86_USER_SPACE_MSR;
}

static void prepare_device(struct subject *s, void *arg)
{
	(void)s;
	((struct kvm_create_device *)arg)->flags = KVM_CREATE_DEVICE_TEST;
}

static void prepare_interrupt(struct subject *s, void *arg)
{
	(void)s;
	((struct kvm_interrupt *)arg)->irq = 0x41;
}

static void prepare_nested(struct subject *s, void *arg)
{
	((struct kvm_nested_state *)arg)->size = ARGUMENT_SIZE;
	subject__ioctl(s->vcpu.fd, KVM_GET_NESTED_STATE, arg);
}

static void prepare_msr(struct subject *s, void *arg)
{
	struct one_msr *m = arg;

	m->list.nmsrs = 1;
	m->entry.index = 0x277;
	subject__ioctl(s->vcpu.fd, KVM_GET_MSRS, m);
}

static const struct call calls[] = {
	{ "KVM_CHECK_EXTENSION", KVM_CHECK_EXTENSION, VM, 0, NULL, NULL },
	{ "KVM_SET_REGS", KVM_SET_REGS, VCPU, KVM_GET_REGS, regs_fields, NULL },
	{ "KVM_SET_SREGS", KVM_SET_SREGS, VCPU, KVM_GET_SREGS, sregs_fields, NULL },
	{ "KVM_SET_SREGS", KVM_SET_SREGS, VCPU, KVM_GET_SREGS, sregs_fields, NULL },
	{ "KVM_SET_VCPU_EVENTS", KVM_SET_VCPU_EVENTS, VCPU, KVM_GET_VCPU_EVENTS, events_fields, NULL },
	{ "KVM_SET_VCPU_EVENTS", KVM_SET_VCPU_EVENTS, VCPU, KVM_GET_VCPU_EVENTS, events_fields, NULL },
	{ "KVM_SET_DEBUGREGS", KVM_SET_DEBUGREGS, VCPU, KVM_GET_DEBUGREGS, debugregs_fields, NULL },
	{ "KVM_SET_XCRS", KVM_SET_XCRS, VCPU, KVM_GET_XCRS, xcrs_fields, NULL },
	{ "KVM_SET_MP_STATE", KVM_SET_MP_STATE, VCPU, KVM_GET_MP_STATE, mp_state_fields, NULL },
	{ "KVM_SET_FPU", KVM_SET_FPU, VCPU, KVM_GET_FPU, fpu_fields, NULL },
	{ "KVM_SET_LAPIC", KVM_SET_LAPIC, VCPU, KVM_GET_LAPIC, lapic_fields, NULL },
	{ "KVM_SET_MSRS", KVM_SET_MSRS, VCPU, 0, msr_fields, prepare_msr },
	{ "KVM_SET_NESTED_STATE", KVM_SET_NESTED_STATE, VCPU, 0, nested_fields, prepare_nested },
	{ "KVM_NMI", KVM_NMI, VCPU, 0, NULL, NULL },
	{ "KVM_SMI", KVM_SMI, VCPU, 0, NULL, NULL },
	{ "KVM_INTERRUPT", KVM_INTERRUPT, VCPU, 0, interrupt_fields, prepare_interrupt },
	{ "KVM_SET_GUEST_DEBUG", KVM_SET_GUEST_DEBUG, VCPU, 0, debug_fields, NULL },
	{ "KVM_TRANSLATE", KVM_TRANSLATE, VCPU, 0, translation_fields, NULL },
	{ "KVM_TPR_ACCESS_REPORTING", KVM_TPR_ACCESS_REPORTING, VCPU, 0, tpr_fields, NULL },
	{ "KVM_SET_VAPIC_ADDR", KVM_SET_VAPIC_ADDR, VCPU, 0, address_fields, NULL },
	{ "KVM_X86_SETUP_MCE", KVM_X86_SETUP_MCE, VCPU, 0, address_fields, NULL },
	{ "KVM_X86_SET_MCE", KVM_X86_SET_MCE, VCPU, 0, mce_fields, NULL },
	{ "KVM_SET_SIGNAL_MASK", KVM_SET_SIGNAL_MASK, VCPU, 0, signal_fields, NULL },
	{ "KVM_KVMCLOCK_CTRL", KVM_KVMCLOCK_CTRL, VCPU, 0, NULL, NULL },
	{ "KVM_ENABLE_CAP of the vCPU", KVM_ENABLE_CAP, VCPU, 0, cap_fields, NULL },
	{ "KVM_ENABLE_CAP", KVM_ENABLE_CAP, VM, 0, cap_fields, prepare_cap },
	{ "KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION, VM, 0, region_fields, prepare_region },
	{ "KVM_CREATE_VCPU", KVM_CREATE_VCPU, VM, 0, NULL, NULL },
	{ "KVM_CREATE_IRQCHIP", KVM_CREATE_IRQCHIP, VM, 0, NULL, NULL },
	{ "KVM_CREATE_PIT2", KVM_CREATE_PIT2, VM, 0, pit_config_fields, NULL },
	{ "KVM_SET_TSS_ADDR", KVM_SET_TSS_ADDR, VM, 0, NULL, NULL },
	{ "KVM_SET_IDENTITY_MAP_ADDR", KVM_SET_IDENTITY_MAP_ADDR, VM, 0, address_fields, NULL },
	{ "KVM_SET_BOOT_CPU_ID", KVM_SET_BOOT_CPU_ID, VM, 0, NULL, NULL },
	{ "KVM_IRQ_LINE", KVM_IRQ_LINE, VM, 0, level_fields, NULL },
	{ "KVM_IRQ_LINE_STATUS", KVM_IRQ_LINE_STATUS, VM, 0, level_fields, NULL },
	{ "KVM_SIGNAL_MSI", KVM_SIGNAL_MSI, VM, 0, msi_fields, prepare_msi },
	{ "KVM_SET_GSI_ROUTING", KVM_SET_GSI_ROUTING, VM, 0, route_fields, prepare_route },
	{ "KVM_IOEVENTFD", KVM_IOEVENTFD, VM, 0, ioeventfd_fields, prepare_ioeventfd },
	{ "KVM_IRQFD", KVM_IRQFD, VM, 0, irqfd_fields, prepare_irqfd },
	{ "KVM_REGISTER_COALESCED_MMIO", KVM_REGISTER_COALESCED_MMIO, VM, 0, zone_fields, prepare_zone },
	{ "KVM_UNREGISTER_COALESCED_MMIO", KVM_UNREGISTER_COALESCED_MMIO, VM, 0, zone_fields, prepare_zone },
	{ "KVM_CREATE_DEVICE", KVM_CREATE_DEVICE, VM, 0, device_fields, prepare_device },
	{ "KVM_GET_API_VERSION", KVM_GET_API_VERSION, SYSTEM, 0, NULL, NULL },
};

/* Words of a step: the call, a field, its value, another field, its value; the last two do nothing when they are 0. */
enum { W_CALL, W_FIELD, W_VALUE, W_FIELD2, W_VALUE2, W_RUN };

#define RUN_ONE_IN	4

static const struct call *call_of(const struct step *step)
{
	return &calls[step__pick(step, W_CALL, ARRAY_SIZE(calls))];
}

static void mutate(const struct step *step, const struct call *call, void *arg)
{
	unsigned int nr = fields__count(call->fields);

	for (unsigned int w = W_FIELD; w <= W_FIELD2; w += W_FIELD2 - W_FIELD) {
		const struct field *f = &call->fields[step__pick(step, w, nr)];

		field__set(f, arg, step__mutate(field__get(f, arg), step->word[w + 1]));
	}
}

/* The step is an ioctl; now and then the vCPU runs instead. */
static bool runs(const struct step *step)
{
	return step->word[W_RUN] && !(step->word[W_RUN] % RUN_ONE_IN);
}

static void abi__describe(const struct step *step, char *buf, size_t size)
{
	const struct call *call = call_of(step);
	char words[48];
	int n;

	if (runs(step)) {
		snprintf(buf, size, "KVM_RUN");
		return;
	}
	n = snprintf(buf, size, "%s", call->name);
	if (!call->fields) {
		snprintf(buf + n, size - n, "(%" PRIu64 ")", step__mutate(0, step->word[W_VALUE]));
		return;
	}
	for (unsigned int w = W_FIELD; w <= W_FIELD2; w += W_FIELD2 - W_FIELD) {
		const struct field *f = &call->fields[step__pick(step, w, fields__count(call->fields))];

		if (!step->word[w + 1])
			continue;
		step__words(step->word[w + 1], words, sizeof(words));
		n += snprintf(buf + n, size - n, ", %s %s", f->name, words);
	}
}

static int descriptor(const struct subject *s, enum object on)
{
	return on == SYSTEM ? s->kvm->fd : on == VM ? s->vm.fd : s->vcpu.fd;
}

/* A new descriptor's number says nothing. */
static long without_descriptor(const struct call *call, long ret)
{
	if (call->request != KVM_CREATE_VCPU || ret < 0)
		return ret;
	close(ret);
	return 0;
}

static void abi__step(struct subject *s, const struct step *step)
{
	static union { uint8_t bytes[ARGUMENT_SIZE]; uint64_t align; } arg;
	const struct call *call = call_of(step);
	int fd = descriptor(s, call->on);
	long ret;

	if (runs(step)) {
		if (subject__run(s) >= 0 && !s->over)
			observe__vcpu(s);
		return;
	}
	if (call->fields) {
		memset(&arg, 0, sizeof(arg));
		if (call->get)
			subject__ioctl(fd, call->get, &arg);
		if (call->prepare)
			call->prepare(s, &arg);
		mutate(step, call, &arg);
		ret = subject__ioctl(fd, call->request, &arg);
	} else {
		ret = subject__ioctl(fd, call->request, (void *)(uintptr_t)step__mutate(0, step->word[W_VALUE]));
	}
	if (call->request == KVM_CHECK_EXTENSION)
		trace__add(s->trace, "capability", step__mutate(0, step->word[W_VALUE]), ret, SHOWN_RESULT);
	else
		observe__result(s, call->name, without_descriptor(call, ret));
	if (call->on == VCPU)
		observe__vcpu(s);
}

static int abi__open(struct subject *s, const struct compare_case *c)
{
	static const uint8_t code[] = { 0xe6, PORT_DONE, 0xeb, 0xfc };
	int ret = subject__create_in_long_mode(s, c->steps[0].word[W_RUN] & 1 ? CHIPS_FULL : CHIPS_NONE);

	if (!ret)
		memcpy(s->memory + GUEST_CODE, code, sizeof(code));
	return ret;
}

static void abi__lists(struct subject *s)
{
	for (unsigned int cap = 0; cap < NR_CAPS; cap++)
		trace__add(s->trace, "capability", cap, subject__ioctl(s->kvm->fd, KVM_CHECK_EXTENSION,
								  (void *)(uintptr_t)cap), SHOWN_RESULT);
	observe__number(s, "KVM_GET_VCPU_MMAP_SIZE", s->kvm->run_size);
}

const struct suite abi_suite = {
	.name = "abi", .summary = "ioctls, their errors and the state behind them", .max_steps = MAX_STEPS,
	.lists = abi__lists, .open = abi__open, .step = abi__step, .describe = abi__describe,
};
