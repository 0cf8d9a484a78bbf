// SPDX-License-Identifier: GPL-2.0
/*
 * What AVIC takes off the local APIC: delivery and EOI of interrupts, registers, IPIs.
 *
 * APM volume 2, Advanced Virtual Interrupt Controller. The CPU works on the software's page of registers, and whoever has
 * an interrupt for the vCPU sets its bit in IRR there: software, or a CPU that executes another vCPU's IPI. A vCPU can give
 * it up at any time, and then the software finds everything in that page.
 *
 * No request is lost. Who has one sets IRR first, and second looks where the vCPU is: a CPU at 'running' in the physical
 * table, software at vcpu->mode (vcpu_wake_posted()). Either rings the other CPU when the vCPU runs; when it does not, the
 * CPU exits, and the software wakes the vCPU if it sleeps. The vCPU goes the other way: mode and 'running' are written when
 * a burst begins, with full barriers, and each VMRUN looks at IRR by itself; 'running' is cleared when the burst ends, with a
 * full barrier, and IRR is looked at again before the vCPU sleeps. So one of the two sees the other. A doorbell that
 * finds the guest left is lost, but the next VMRUN looks.
 */
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/apicdef.h>
#include <asm/mem_encrypt.h>
#include <asm/msr-index.h>

#include "irq/irq.h"
#include "svm/avic_logic.h"
#include "svm/nested.h"

#define SYSCFG_SNP		BIT(24)

/**
 * struct svm_avic - the tables of a VM
 * @lock: of who makes them anew
 * @physical: entries by vCPU id: validity under @lock, the rest the vCPU's, so that changes are atomic
 * @logical: under @lock
 * @misfit: see struct avic_map; no vCPU uses AVIC then
 */
struct svm_avic {
	raw_spinlock_t lock;
	u64 *physical;
	u32 *logical;
	bool misfit;
};

/* The CPU then marks pages that VMRUN uses, and software must not write to them unless the CPU says that it may. */
static bool snp_is_on(void)
{
	u64 syscfg;

	return !nst_rdmsr_safe(MSR_AMD64_SYSCFG, &syscfg) && syscfg & SYSCFG_SNP;
}

static bool ids_too_big(void)
{
	int cpu;

	for_each_present_cpu(cpu)
		if (cpu_physical_id(cpu) > AVIC_HOST_ID)
			return true;
	return false;
}

/*
 * Does "all" include AVIC? From Zen 4 on, as for upstream: those have x2AVIC as well, which is not used here, and CPUs before
 * them have errata.
 */
static bool is_default(void)
{
	u8 family = boot_cpu_data.x86, model = boot_cpu_data.x86_model;
	bool zen4 = family == 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0x60 && model <= 0xaf));

	return boot_cpu_has(X86_FEATURE_X2AVIC) && (zen4 || family >= 0x1a);
}

/* Erratum 1235 of family 17h, of which 18h was made: a CPU may believe that a vCPU still runs that does not. */
static bool ipis_get_lost(void)
{
	return boot_cpu_data.x86 == 0x17 || boot_cpu_data.x86 == 0x18;
}

void svm_apic_setup(void)
{
	if (!(nestor_apic_accel & BIT(ACCEL_AVIC)) || (nestor_apic_accel == ACCEL_ALL && !is_default()))
		return;
	if (!boot_cpu_has(X86_FEATURE_AVIC) || snp_is_on() || ids_too_big())
		return;
	svm_features.avic = true;
	svm_features.ipis = nestor_apic_accel & BIT(ACCEL_IPI) && !ipis_get_lost();
	cpu_caps.virtual_delivery = true;
	cpu_caps.shared_irr = true;
	cpu_caps.apic_page = true;
}

int svm_apic_vm_init(struct vm *vm)
{
	struct svm_avic *avic;

	if (!svm_features.avic)
		return 0;
	avic = kzalloc(sizeof(*avic), GFP_KERNEL_ACCOUNT);
	if (!avic)
		return -ENOMEM;
	raw_spin_lock_init(&avic->lock);
	vm->avic = avic;
	avic->physical = svm_alloc_pages(0);
	avic->logical = svm_alloc_pages(0);
	if (avic->physical && avic->logical)
		return 0;
	svm_apic_vm_destroy(vm);
	return -ENOMEM;
}

void svm_apic_vm_destroy(struct vm *vm)
{
	struct svm_avic *avic = vm->avic;

	if (!avic)
		return;
	svm_free_pages(avic->physical, 0);
	svm_free_pages(avic->logical, 0);
	kfree(avic);
	vm->avic = NULL;
}

/* A full barrier. */
static void change_entry(u64 *entry, u64 clear, u64 set)
{
	u64 old = READ_ONCE(*entry);

	while (!try_cmpxchg64(entry, &old, (old & ~clear) | set))
		;
}

static u64 backing_page(struct vcpu *vcpu)
{
	return __sme_set(__pa(lapic_page(vcpu)));
}

/* Entries that do not change are not touched: other vCPUs send IPIs by them just now. */
static void write_tables(struct vm *vm, struct svm_avic *avic, const struct avic_map *map)
{
	struct vcpu *vcpu;
	int i;

	vm_for_each_vcpu(i, vcpu, vm) {
		if (avic_map_has(map, vcpu->id))
			change_entry(&avic->physical[vcpu->id], 0, AVIC_VALID | backing_page(vcpu));
		else if (vcpu->id <= AVIC_MAX_ID)
			change_entry(&avic->physical[vcpu->id], AVIC_VALID, 0);
	}
	for (i = 0; i < AVIC_LOGICAL_ENTRIES; i++)
		if (avic->logical[i] != map->logical[i])
			WRITE_ONCE(avic->logical[i], map->logical[i]);
}

/*
 * svm_apic_ids_changed - an id, a mode, or whether an APIC takes interrupts; any context
 *
 * Of two who come at once the second sees what both have changed. A vCPU that is not known yet comes by here when it enables
 * its APIC. While the others are told of a misfit their IPIs still reach one in x2APIC mode; those to an id that has changed
 * exit, and only broadcasts miss that one.
 */
void svm_apic_ids_changed(struct vm *vm)
{
	struct svm_avic *avic = vm->avic;
	struct avic_map map = {};
	struct apic_address a;
	unsigned long flags;
	struct vcpu *vcpu;
	bool changed;
	int i;

	raw_spin_lock_irqsave(&avic->lock, flags);
	vm_for_each_vcpu(i, vcpu, vm)
		if (lapic_hw_address(vcpu, &a))
			avic_map_add(&map, &a, lapic_takes_interrupts(vcpu));
	avic_map_finish(&map);
	write_tables(vm, avic, &map);
	changed = avic->misfit != map.misfit;
	WRITE_ONCE(avic->misfit, map.misfit);
	raw_spin_unlock_irqrestore(&avic->lock, flags);
	if (!changed)
		return;
	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu_request(vcpu, REQ_INTERCEPTS);
		vcpu_kick(vcpu);
	}
}

/*
 * Enlightenments may end interrupts without an EOI; a debugger that steps wants none to be delivered; a guest's guest has a
 * VMCB of its own, and GIF holds back interrupts; and no interrupt window opens, as V_IRQ means nothing.
 */
static bool usable(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	if (vcpu->id > AVIC_MAX_ID || READ_ONCE(vcpu->vm->avic->misfit))
		return false;
	if (vcpu->hv || vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ || vcpu->request_interrupt_window)
		return false;
	return !vcpu->nested.guest_mode && !(vcpu->regs.efer & EFER_SVME) && lapic_hw_fits(vcpu);
}

static void write_control(struct svm_vcpu *svm)
{
	struct vmcb_control *ctl = &svm->vmcb01->control;
	struct vcpu *vcpu = &svm->vcpu;
	const struct svm_avic *avic = vcpu->vm->avic;
	u32 last = min(vcpu->vm->max_vcpu_ids - 1, AVIC_MAX_ID);

	ctl->avic_vapic_bar = APIC_DEFAULT_PHYS_BASE;
	ctl->avic_backing_page = backing_page(vcpu);
	ctl->avic_logical_id = __sme_set(__pa(avic->logical));
	ctl->avic_physical_id = __sme_set(__pa(avic->physical)) | last;
	ctl->int_ctl = (ctl->int_ctl & ~(u32)INT_CTL_AVIC) | (svm->avic ? INT_CTL_AVIC : 0);
}

/*
 * svm_apic_changed - recompute whether AVIC is used
 *
 * Whoever changes what it depends on in a burst has requested REQ_INTERCEPTS: it does not change there.
 */
void svm_apic_changed(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	if (!vcpu->vm->avic || !vcpu->lapic || vcpu->in_burst)
		return;
	svm->avic = usable(svm);
	if (svm->avic) {
		/* What waits is the CPU's to deliver. */
		svm_open_interrupt_window(vcpu, false);
		svm_clear_intercept(svm, ICPT_CR8_WRITE);
	} else {
		svm_set_intercept(svm, ICPT_CR8_WRITE);
	}
	write_control(svm);
	lapic_hw_set_delivery(vcpu, svm->avic, svm->avic);
	lapic_hw_set_page(vcpu, svm->avic);
}

/* The guest is entered on this CPU from now on; svm->avic. Without 'running' all IPIs to others exit. */
void svm_apic_burst_enter(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	change_entry(&vcpu->vm->avic->physical[vcpu->id], AVIC_HOST_ID,
		     cpu_physical_id(smp_processor_id()) | (svm_features.ipis ? AVIC_RUNNING : 0));
}

void svm_apic_burst_leave(struct svm_vcpu *svm)
{
	struct vcpu *vcpu = &svm->vcpu;

	change_entry(&vcpu->vm->avic->physical[vcpu->id], AVIC_RUNNING, 0);
}

/* On the CPU @cpu, which may have left the guest since, or run another one: then it means nothing. */
void svm_doorbell(int cpu)
{
	nst_wrmsr(MSR_AMD64_SVM_AVIC_DOORBELL, cpu_physical_id(cpu));
}

/*
 * Where the CPU could not do all of it, some destinations may have got the interrupt, and get it again if they have taken it
 * already: as an IPI that is sent twice.
 */
int svm_handle_avic_ipi(struct vcpu *vcpu)
{
	const struct vmcb_control *ctl = &to_svm(vcpu)->vmcb->control;

	lapic_hw_ipi(vcpu, ctl->exit_info_1, avic_ipi_failure(ctl->exit_info_2) == AVIC_IPI_NOT_RUNNING);
	return RUN_GUEST;
}

/* Among the traps is the EOI of an interrupt whose TMR bit is set: it is still in service. */
int svm_handle_avic_noaccel(struct vcpu *vcpu)
{
	const struct vmcb_control *ctl = &to_svm(vcpu)->vmcb->control;
	const struct avic_access access = avic_decode_access(ctl->exit_info_1);
	const struct fault fault = {
		.gpa = APIC_DEFAULT_PHYS_BASE + access.offset,
		.write = access.write,
		.vectoring = ctl->exit_int_info & EVENT_VALID,
	};

	if (!access.trap)
		return vcpu_handle_mmio(vcpu, &fault);
	lapic_hw_written(vcpu, access.offset);
	return RUN_GUEST;
}
