// SPDX-License-Identifier: GPL-2.0
/*
 * Capabilities: one table says what is offered, with which value, and how it is switched on.
 *
 * A capability stands here when all of what it promises works. One that is missing answers 0 and
 * cannot be enabled, as on a kernel that is too old for it; programs then do without. The reverse
 * is what breaks them: they do not try again when an offered capability refuses.
 */
#include <linux/capability.h>
#include <linux/cpu.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/sched/stat.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>

#include "abi/abi.h"
#include "irq/irq.h"
#include "pv/hyperv.h"
#include "vm/vm.h"

#include <uapi/linux/kvm_para.h>

/**
 * struct capability - a line of the table
 * @cap: KVM_CAP_*
 * @value: what KVM_CHECK_EXTENSION answers, unless @get is there
 * @get: the value where it depends on the CPU or the VM; @vm is NULL on the system fd
 * @enable_vm: KVM_ENABLE_CAP on a VM; flags are checked already. -EINVAL without
 * @enable_vcpu: the same on a vCPU, under its mutex
 */
struct capability {
	u32 cap;
	u32 value;
	long (*get)(struct vm *vm);
	int (*enable_vm)(struct vm *vm, const struct kvm_enable_cap *cap);
	int (*enable_vcpu)(struct vcpu *vcpu, const struct kvm_enable_cap *cap);
};

static long get_nr_vcpus(struct vm *vm)
{
	return min_t(unsigned int, num_online_cpus(), NESTOR_MAX_VCPUS);
}

static long get_xcrs(struct vm *vm)
{
	return boot_cpu_has(X86_FEATURE_XSAVE);
}

/* Where the CPU handles accesses to the task priority, user space has nothing to patch, and is told of none. */
static long get_vapic(struct vm *vm)
{
	return !cpu_caps.apic_page;
}

static long get_tsc_control(struct vm *vm)
{
	return cpu_caps.tsc_scaling;
}

static long get_steal_time(struct vm *vm)
{
	return sched_info_on();
}

static long get_nested_state(struct vm *vm)
{
	return nested_state_size();
}

u32 abi_xsave_size(void)
{
	return max_t(u32, cpu_caps.xsave_size, sizeof(struct kvm_xsave));
}

static long get_xsave2(struct vm *vm)
{
	return abi_xsave_size();
}

/* One nanosecond to a tick, 1 GHz, unless the VM was told otherwise. */
static long get_apic_bus_cycle(struct vm *vm)
{
	return vm ? vm->caps.apic_bus_cycle_ns : 1;
}

static int enable_apic_bus_cycle(struct vm *vm, const struct kvm_enable_cap *cap)
{
	u64 ns = cap->args[0], longest;
	int r = 0;

	/* The longest time that the timer can be given must not overflow: count times divider 128. */
	if (!ns || check_mul_overflow((u64)U32_MAX * 128, ns, &longest))
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (!irqchip_in_kernel_apic(vm))
		r = -ENXIO;
	else if (vm->created_vcpus)
		r = -EINVAL;
	else
		vm->caps.apic_bus_cycle_ns = ns;
	mutex_unlock(&vm->lock);
	return r;
}

static int enable_split_irqchip(struct vm *vm, const struct kvm_enable_cap *cap)
{
	int r;

	mutex_lock(&vm->lock);
	r = irqchip_create_split(vm, cap->args[0]);
	mutex_unlock(&vm->lock);
	return r;
}

#define DIRECTED_EOI_FLAGS	(KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST | KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST)
#define X2APIC_API_FLAGS	(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK | DIRECTED_EOI_FLAGS)

/* Only an I/O APIC of user space's may have an EOI register. */
static long get_x2apic_api(struct vm *vm)
{
	if (vm && irqchip_mode(vm) != IRQCHIP_SPLIT)
		return X2APIC_API_FLAGS & ~KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST;
	return X2APIC_API_FLAGS;
}

static int enable_x2apic_api(struct vm *vm, const struct kvm_enable_cap *cap)
{
	bool on = cap->args[0] & KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST;

	if (cap->args[0] & ~X2APIC_API_FLAGS || (cap->args[0] & DIRECTED_EOI_FLAGS) == DIRECTED_EOI_FLAGS ||
	    (on && irqchip_mode(vm) != IRQCHIP_SPLIT))
		return -EINVAL;
	if (cap->args[0] & DIRECTED_EOI_FLAGS)
		vm->caps.directed_eoi = on ? DIRECTED_EOI_ON : DIRECTED_EOI_OFF;
	if (cap->args[0] & KVM_X2APIC_API_USE_32BIT_IDS)
		vm->caps.x2apic_32bit_ids = true;
	if (cap->args[0] & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		vm->caps.x2apic_broadcast_quirk_disabled = true;
	return 0;
}

/* Once set, the limit stays: vCPU ids may have been handed out below it. */
static int enable_max_vcpu_id(struct vm *vm, const struct kvm_enable_cap *cap)
{
	u64 max = cap->args[0];
	int r = 0;

	if (max > NESTOR_MAX_VCPU_IDS)
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (vm->bsp_id > max || (vm->max_vcpu_ids && vm->max_vcpu_ids != max))
		r = -EINVAL;
	else
		vm->max_vcpu_ids = max;
	mutex_unlock(&vm->lock);
	return r;
}

static int enable_exception_payload(struct vm *vm, const struct kvm_enable_cap *cap)
{
	vm->caps.exception_payload = cap->args[0];
	return 0;
}

static int enable_triple_fault_event(struct vm *vm, const struct kvm_enable_cap *cap)
{
	vm->caps.triple_fault_event = cap->args[0];
	return 0;
}

#define MSR_EXIT_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
				 KVM_MSR_EXIT_REASON_FILTER)

static int enable_user_space_msr(struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->args[0] & ~(u64)MSR_EXIT_REASONS)
		return -EINVAL;
	vm->caps.user_space_msr_mask = cap->args[0];
	return 0;
}

/*
 * The quirks of upstream's that this module has, and can be told to do without. SLOT_ZAP_ALL is one that
 * it never has: a slot that goes takes only its own translations along, which is what a VMM asks for
 * that disables it.
 */
#define QUIRKS	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE | \
		 KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | \
		 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | KVM_X86_QUIRK_STUFF_FEATURE_MSRS | \
		 KVM_X86_QUIRK_FIX_HYPERCALL_INSN | KVM_X86_QUIRK_SLOT_ZAP_ALL | \
		 KVM_X86_QUIRK_NESTED_SVM_SHARED_PAT)

/* The older one ignores what it does not know. */
static int enable_disable_quirks(struct vm *vm, const struct kvm_enable_cap *cap)
{
	mutex_lock(&vm->lock);
	WRITE_ONCE(vm->caps.disabled_quirks, vm->caps.disabled_quirks | (cap->args[0] & QUIRKS));
	mutex_unlock(&vm->lock);
	return 0;
}

static int enable_disable_quirks2(struct vm *vm, const struct kvm_enable_cap *cap)
{
	return cap->args[0] & ~(u64)QUIRKS ? -EINVAL : enable_disable_quirks(vm, cap);
}

static int enable_enforce_pv(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	vcpu->cpu_state.pv_enforce = cap->args[0];
	return 0;
}

static int enable_hv_synic(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	return hv_enable_synic(vcpu, false);
}

static int enable_hv_synic2(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	return cap->args[0] ? -EINVAL : hv_enable_synic(vcpu, true);
}

static int enable_hv_enforce_cpuid(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	return hv_enforce_cpuid(vcpu, cap->args[0]);
}

static long get_hv_evmcs(struct vm *vm)
{
	return hv_evmcs_versions(NULL) != 0;
}

/* @args[0] is where user space wants to have the versions. */
static int enable_hv_evmcs(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	u16 versions;
	int r = hv_enable_evmcs(vcpu, &versions);

	if (!r && copy_to_user(u64_to_user_ptr(cap->args[0]), &versions, sizeof(versions)))
		r = -EFAULT;
	return r;
}

/* Nobody below takes flushes of a guest's guest; -ENOTTY is upstream's word for that. */
static int enable_hv_direct_flush(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	return -ENOTTY;
}

static int enable_platform_info(struct vm *vm, const struct kvm_enable_cap *cap)
{
	vm->caps.platform_info_guest_read = cap->args[0];
	return 0;
}

/* A guest that fetches through large pages can stop the machine: for those who may do that by reboot(2). */
static int enable_disable_nx_huge_pages(struct vm *vm, const struct kvm_enable_cap *cap)
{
	int r = -EINVAL;

	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	if (cap->args[0])
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (!vm->created_vcpus) {
		vm->caps.exec_huge_pages = true;
		r = 0;
	}
	mutex_unlock(&vm->lock);
	return r;
}

static int enable_exit_on_emulation_failure(struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->args[0] & ~1ull)
		return -EINVAL;
	vm->caps.exit_on_emulation_error = cap->args[0];
	return 0;
}

/* The hypercalls that user space may ask for. */
#define EXIT_HYPERCALLS	BIT(KVM_HC_MAP_GPA_RANGE)

static int enable_exit_hypercall(struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->args[0] & ~(u64)EXIT_HYPERCALLS)
		return -EINVAL;
	WRITE_ONCE(vm->caps.exit_hypercalls, cap->args[0]);
	return 0;
}

static int enable_halt_poll(struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->args[0] != (u32)cap->args[0])
		return -EINVAL;
	WRITE_ONCE(vm->caps.halt_poll_ns, cap->args[0]);
	/* Pairs with halt_poll_limit(). */
	smp_store_release(&vm->caps.halt_poll_set, true);
	return 0;
}

#define DIRTY_LOG_MANUAL_CAPS	(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)

static int enable_manual_dirty_log(struct vm *vm, const struct kvm_enable_cap *cap)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	/* Bitmaps that begin all ones make sense only where clearing them is a call of its own. */
	if (cap->args[0] & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed = DIRTY_LOG_MANUAL_CAPS;
	if (cap->args[0] & ~allowed)
		return -EINVAL;
	vm->caps.manual_dirty_log = cap->args[0];
	return 0;
}

static int enable_dirty_ring(struct vm *vm, const struct kvm_enable_cap *cap)
{
	return dirty_ring_enable(vm, cap->args[0]);
}

/* What two threads of a core share has to be cleaned when one of them halts: HLT and MWAIT have to exit for that. */
#define EXITS_WITHOUT_IDLE	KVM_X86_DISABLE_EXITS_PAUSE

static bool mitigate_smt_rsb;
module_param(mitigate_smt_rsb, bool, 0444);
MODULE_PARM_DESC(mitigate_smt_rsb, "On CPUs whose threads share return predictions keep HLT, MWAIT and C-state exits (default n)");

static bool shares_return_predictions(void)
{
#ifdef X86_BUG_SMT_RSB
	return boot_cpu_has_bug(X86_BUG_SMT_RSB) && cpu_smt_possible();
#else
	return false;
#endif
}

static long get_disable_exits(struct vm *vm)
{
	u32 exits = KVM_X86_DISABLE_EXITS_PAUSE;

	if (mitigate_smt_rsb && shares_return_predictions())
		return exits;
	exits |= KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_CSTATE;
	/* The host's timer must go on in the C-state that a guest chooses. */
	if (boot_cpu_has(X86_FEATURE_MWAIT) && !boot_cpu_has_bug(X86_BUG_MONITOR) &&
	    boot_cpu_has(X86_FEATURE_ARAT))
		exits |= KVM_X86_DISABLE_EXITS_MWAIT;
	return exits;
}

static int enable_disable_exits(struct vm *vm, const struct kvm_enable_cap *cap)
{
	u64 exits = cap->args[0];
	int r = -EINVAL;

	if (exits & ~(u64)get_disable_exits(vm))
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (!vm->created_vcpus) {
		if (exits & ~(u64)EXITS_WITHOUT_IDLE && shares_return_predictions())
			pr_warn_once("a guest idles by itself, and this CPU's threads share return predictions: trust it, or disable SMT\n");
		vm->caps.disabled_exits |= exits;
		r = 0;
	}
	mutex_unlock(&vm->lock);
	return r;
}

/* All of the ABI's; <asm/kvm.h> has no name for their sum. */
#define GUEST_DEBUG_FLAGS	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | \
				 KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP | \
				 KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_INJECT_DB | \
				 KVM_GUESTDBG_BLOCKIRQ)

#define ON(name)			{ .cap = KVM_CAP_##name, .value = 1 }
#define VALUE(name, v)			{ .cap = KVM_CAP_##name, .value = (v) }
#define GET(name, fn)			{ .cap = KVM_CAP_##name, .get = (fn) }
#define ENABLE(name, v, fn)		{ .cap = KVM_CAP_##name, .value = (v), .enable_vm = (fn) }
#define ENABLE_VCPU(name, v, fn)	{ .cap = KVM_CAP_##name, .value = (v), .enable_vcpu = (fn) }
#define GET_ENABLE(name, g, fn)		{ .cap = KVM_CAP_##name, .get = (g), .enable_vm = (fn) }
#define GET_ENABLE_VCPU(name, g, fn)	{ .cap = KVM_CAP_##name, .get = (g), .enable_vcpu = (fn) }

#define CLOCK_FLAGS	(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

static const struct capability capabilities[] = {
	/* Asking and enabling. */
	ON(CHECK_EXTENSION_VM),
	ON(ENABLE_CAP),
	ON(ENABLE_CAP_VM),
	VALUE(VM_TYPES, BIT(KVM_X86_DEFAULT_VM)),
	ON(DEVICE_CTRL),
	ON(SYS_ATTRIBUTES),
	ON(VCPU_ATTRIBUTES),
	ON(BINARY_STATS_FD),

	/* Memory. */
	ON(USER_MEMORY),
	ON(USER_MEMORY2),
	ON(DESTROY_MEMORY_REGION_WORKS),
	ON(JOIN_MEMORY_REGIONS_WORKS),
	VALUE(NR_MEMSLOTS, NESTOR_MAX_SLOTS),
	ON(READONLY_MEM),
	VALUE(MULTI_ADDRESS_SPACE, NESTOR_ADDRESS_SPACES),
	ON(SYNC_MMU),
	ON(MEMORY_FAULT_INFO),
	ON(PRE_FAULT_MEMORY),
	ENABLE(MANUAL_DIRTY_LOG_PROTECT2, DIRTY_LOG_MANUAL_CAPS, enable_manual_dirty_log),
	ENABLE(DIRTY_LOG_RING, DIRTY_RING_MAX_BYTES, enable_dirty_ring),
	ENABLE(DIRTY_LOG_RING_ACQ_REL, DIRTY_RING_MAX_BYTES, enable_dirty_ring),
	ON(MMU_SHADOW_CACHE_CONTROL),
	ENABLE(VM_DISABLE_NX_HUGE_PAGES, 1, enable_disable_nx_huge_pages),
	ON(SET_TSS_ADDR),
	ON(SET_IDENTITY_MAP_ADDR),

	/* vCPUs. */
	GET(NR_VCPUS, get_nr_vcpus),
	VALUE(MAX_VCPUS, NESTOR_MAX_VCPUS),
	ENABLE(MAX_VCPU_ID, NESTOR_MAX_VCPU_IDS, enable_max_vcpu_id),
	ON(SET_BOOT_CPU_ID),
	ON(MP_STATE),
	ON(HLT),
	ON(IMMEDIATE_EXIT),
	VALUE(SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS),
	ON(INTERNAL_ERROR_DATA),
	ON(SYSTEM_EVENT_DATA),
	ENABLE(EXIT_ON_EMULATION_FAILURE, 1, enable_exit_on_emulation_failure),
	GET_ENABLE(X86_DISABLE_EXITS, get_disable_exits, enable_disable_exits),
	ENABLE(EXIT_HYPERCALL, EXIT_HYPERCALLS, enable_exit_hypercall),
	ENABLE(HALT_POLL, 1, enable_halt_poll),
	ENABLE(DISABLE_QUIRKS, 1, enable_disable_quirks),
	ENABLE(DISABLE_QUIRKS2, QUIRKS, enable_disable_quirks2),

	/* CPUID, MSRs, registers. */
	ON(EXT_CPUID),
	ON(EXT_EMUL_CPUID),
	ON(GET_MSR_FEATURES),
	ON(ONE_REG),
	ENABLE(X86_USER_SPACE_MSR, 1, enable_user_space_msr),
	ON(X86_MSR_FILTER),
	ENABLE(MSR_PLATFORM_INFO, 1, enable_platform_info),
	ENABLE_VCPU(ENFORCE_PV_FEATURE_CPUID, 1, enable_enforce_pv),
	VALUE(MCE, MCE_BANKS),
	ON(DEBUGREGS),
	ON(SREGS2),
	ON(XSAVE),
	GET(XSAVE2, get_xsave2),
	GET(XCRS, get_xcrs),

	/* Events and debugging. */
	ON(VCPU_EVENTS),
	ENABLE(EXCEPTION_PAYLOAD, 1, enable_exception_payload),
	ENABLE(X86_TRIPLE_FAULT_EVENT, 1, enable_triple_fault_event),
	ON(ASYNC_PF),
	ON(ASYNC_PF_INT),
	ON(USER_NMI),
	ON(X86_SMM),
	ON(SET_GUEST_DEBUG),
	VALUE(SET_GUEST_DEBUG2, GUEST_DEBUG_FLAGS),
	ON(X86_ROBUST_SINGLESTEP),

	/* Guests that are hypervisors. */
	GET(NESTED_STATE, get_nested_state),
	ON(X86_GUEST_MODE),

	/* Time. */
	ON(CLOCKSOURCE),
	ON(NOP_IO_DELAY),
	GET(STEAL_TIME, get_steal_time),
	VALUE(ADJUST_CLOCK, CLOCK_FLAGS),
	ON(KVMCLOCK_CTRL),
	ON(GET_TSC_KHZ),
	GET(TSC_CONTROL, get_tsc_control),
	GET(VM_TSC_CONTROL, get_tsc_control),
	ON(TSC_DEADLINE_TIMER),
	GET_ENABLE(X86_APIC_BUS_CYCLES_NS, get_apic_bus_cycle, enable_apic_bus_cycle),

	/* Interrupts and I/O. */
	ON(IRQCHIP),
	ENABLE(SPLIT_IRQCHIP, 1, enable_split_irqchip),
	GET_ENABLE(X2APIC_API, get_x2apic_api, enable_x2apic_api),
	VALUE(IRQ_ROUTING, NESTOR_MAX_ROUTES),
	ON(IRQ_INJECT_STATUS),
	ON(IOAPIC_POLARITY_IGNORED),
	GET(VAPIC, get_vapic),
	ON(SIGNAL_MSI),
	ON(IRQFD),
	ON(IRQFD_RESAMPLE),
	ON(PIT),
	ON(PIT2),
	ON(PIT_STATE2),
	ON(REINJECT_CONTROL),
	ON(IOEVENTFD),
	ON(IOEVENTFD_NO_LENGTH),
	ON(IOEVENTFD_ANY_LENGTH),
	VALUE(COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET),
	ON(COALESCED_PIO),

	/* Enlightenments. */
	ON(HYPERV),
	ON(HYPERV_VAPIC),
	ON(HYPERV_SPIN),
	ON(HYPERV_TIME),
	ENABLE_VCPU(HYPERV_SYNIC, 1, enable_hv_synic),
	ENABLE_VCPU(HYPERV_SYNIC2, 1, enable_hv_synic2),
	ON(HYPERV_VP_INDEX),
	ON(HYPERV_EVENTFD),
	ON(HYPERV_TLBFLUSH),
	ON(HYPERV_SEND_IPI),
	ON(HYPERV_CPUID),
	ON(SYS_HYPERV_CPUID),
	ENABLE_VCPU(HYPERV_ENFORCE_CPUID, 1, enable_hv_enforce_cpuid),
	GET_ENABLE_VCPU(HYPERV_ENLIGHTENED_VMCS, get_hv_evmcs, enable_hv_evmcs),
	ENABLE_VCPU(HYPERV_DIRECT_TLBFLUSH, 0, enable_hv_direct_flush),
};

static const struct capability *find_capability(u64 cap)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (capabilities[i].cap == cap)
			return &capabilities[i];
	return NULL;
}

/**
 * abi_check_extension - KVM_CHECK_EXTENSION
 * @vm: NULL on the system fd
 * @cap: any number
 */
long abi_check_extension(struct vm *vm, long cap)
{
	const struct capability *c = find_capability(cap);

	if (!c)
		return 0;
	return c->get ? c->get(vm) : c->value;
}

/* KVM_ENABLE_CAP on a VM. */
int abi_enable_vm_cap(struct vm *vm, const struct kvm_enable_cap *cap)
{
	const struct capability *c = find_capability(cap->cap);

	if (cap->flags || !c || !c->enable_vm)
		return -EINVAL;
	return c->enable_vm(vm, cap);
}

/* KVM_ENABLE_CAP on a vCPU. */
int abi_enable_vcpu_cap(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	const struct capability *c = find_capability(cap->cap);

	if (cap->flags || !c || !c->enable_vcpu)
		return -EINVAL;
	return c->enable_vcpu(vcpu, cap);
}
