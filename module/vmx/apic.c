// SPDX-License-Identifier: GPL-2.0
/*
 * What VMX takes off the local APIC: CR8, delivery and EOI of interrupts, registers, the TSC deadline.
 *
 * SDM, APIC Virtualization and Virtual Interrupts. Each is used where the CPU has it and apic_accel= names it, and can be
 * given up by a vCPU at any time: the software's APIC works on the same page of registers.
 */
#include <asm/apic.h>
#include <asm/desc.h>
#include <asm/irq_vectors.h>

#include "irq/irq.h"
#include "vmx/vmx.h"

#define VMX_ACCEL_NEVER		BIT(31)

/* @needs: others of the table */
static const struct {
	u32 bit, needs;
	u32 pin, cpu, cpu2, exit;
} accels[] = {
	{ VMX_ACCEL_TPR, 0, .cpu = CPU_TPR_SHADOW },
	{ VMX_ACCEL_DELIVERY, VMX_ACCEL_TPR, .cpu2 = CPU2_VIRTUAL_DELIVERY },
	{ VMX_ACCEL_X2APIC, VMX_ACCEL_DELIVERY, .cpu2 = CPU2_X2APIC_MODE | CPU2_APIC_REGISTERS },
	{ VMX_ACCEL_XAPIC, VMX_ACCEL_DELIVERY, .cpu2 = CPU2_APIC_ACCESSES | CPU2_APIC_REGISTERS },
#if IS_ENABLED(CONFIG_KVM)
	/* The host's handler of the vector is there where its own KVM is. */
	{ VMX_ACCEL_POSTED, VMX_ACCEL_DELIVERY, .pin = PIN_POSTED, .exit = EXIT_ACK_INTR },
#else
	{ VMX_ACCEL_POSTED, VMX_ACCEL_NEVER },
#endif
	{ VMX_ACCEL_TIMER, 0, .pin = PIN_PREEMPTION_TIMER },
};

static bool possible(int i)
{
	const struct vmx_caps *caps = &vmx_caps;

	return !(accels[i].needs & ~caps->accel) && !(accels[i].pin & ~caps->pin_allowed) &&
	       !(accels[i].cpu & ~caps->cpu_allowed) && !(accels[i].cpu2 & ~caps->cpu2_allowed) &&
	       !(accels[i].exit & ~caps->exit_allowed);
}

void vmx_apic_setup(void)
{
	int i;

	vmx_caps.accel = 0;
	for (i = 0; i < ARRAY_SIZE(accels); i++)
		if (nestor_apic_accel & accels[i].bit && possible(i))
			vmx_caps.accel |= accels[i].bit;
	cpu_caps.virtual_delivery = vmx_caps.accel & VMX_ACCEL_DELIVERY;
	cpu_caps.apic_page = vmx_caps.accel & VMX_ACCEL_XAPIC;
}

/*
 * What this vCPU can use now. Enlightenments may end interrupts without an EOI; a debugger that steps wants none to be
 * delivered; an APIC that is off delivers none; and the guest of a guest in VMX operation has a VMCS of its own.
 */
static u32 usable(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 accel = vmx_caps.accel;

	if (!vcpu->lapic || vmx->nested.vmxon || vmx->nested.smm_vmxon)
		return 0;
	if (vcpu->hv || vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ ||
	    !(lapic_get_base(vcpu) & MSR_IA32_APICBASE_ENABLE))
		return accel & (VMX_ACCEL_TPR | VMX_ACCEL_TIMER);
	/* The two exclude each other: SDM, Checks on VM-Execution Control Fields. */
	if (lapic_x2apic_mode(vcpu))
		return accel & ~(u32)VMX_ACCEL_XAPIC;
	accel &= ~(u32)VMX_ACCEL_X2APIC;
	return lapic_at_default(vcpu) ? accel : accel & ~(u32)VMX_ACCEL_XAPIC;
}

/*
 * vmx_apic_changed - recompute what is used; before controls and MSR bitmap
 */
void vmx_apic_changed(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;

	vmx->accel = usable(vmx);
	if (!vcpu->lapic)
		return;
	/* It stops in deep sleep, which a guest that may execute MWAIT can ask for. */
	vcpu->cpu_timer = vmx->accel & VMX_ACCEL_TIMER && !(vcpu->vm->caps.disabled_exits & KVM_X86_DISABLE_EXITS_MWAIT);
	lapic_hw_set_delivery(vcpu, vmx->accel & VMX_ACCEL_DELIVERY, vmx->accel & VMX_ACCEL_POSTED);
	if (cpu_caps.apic_page)
		lapic_hw_set_page(vcpu, vmx->accel & VMX_ACCEL_XAPIC);
	vcpu_request(vcpu, REQ_EVENT);
}

void vmx_apic_controls(struct vmx_vcpu *vmx, u32 *cpu, u32 *cpu2)
{
	bool used;
	int i;

	for (i = 0; i < ARRAY_SIZE(accels); i++) {
		used = vmx->accel & accels[i].bit;
		vmx_set_bits(vmx, LAZY_PIN, accels[i].pin, used);
		vmx_set_bits(vmx, LAZY_EXIT, accels[i].exit, used);
		if (used) {
			*cpu |= accels[i].cpu;
			*cpu2 |= accels[i].cpu2;
		}
	}
	if (vmx->accel & VMX_ACCEL_TPR)
		*cpu &= ~(CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING);
}

/* Registers that the page always shows as the guest has to see them: not the timer's count, nor what is computed. */
static const struct { u16 first, last; } readable[] = {
	{ APIC_ID, APIC_ID }, { APIC_TASKPRI, APIC_TASKPRI }, { APIC_PROCPRI, APIC_PROCPRI },
	{ APIC_ISR, APIC_IRR + 0x70 },
};

static u32 msr_of(u32 reg)
{
	return APIC_BASE_MSR + (reg >> 4);
}

void vmx_apic_msrs(struct vmx_vcpu *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	int i;
	u32 reg;

	if (!(vmx->accel & VMX_ACCEL_X2APIC))
		return;
	for (i = 0; i < ARRAY_SIZE(readable); i++)
		for (reg = readable[i].first; reg <= readable[i].last; reg += 0x10)
			vmx_msr_intercept(vcpu, msr_of(reg), false, reg != APIC_TASKPRI);
	vmx_msr_intercept(vcpu, msr_of(APIC_EOI), true, false);
	vmx_msr_intercept(vcpu, msr_of(APIC_SELF_IPI), true, false);
}

#define EOI_EXIT_WORDS	4

static noinline void write_eoi_vectors(const u64 *vectors)
{
	int i;

	for (i = 0; i < EOI_EXIT_WORDS; i++)
		__vmwrite(VMCS_EOI_EXIT_BITMAP(i), vectors[i]);
}

void vmx_apic_write_constants(struct vmx_vcpu *vmx)
{
	static const u64 no_vectors[EOI_EXIT_WORDS];

	if (vmx_caps.accel & VMX_ACCEL_TPR && vmx->vcpu.lapic)
		vmwrite64(VMCS_VIRTUAL_APIC_ADDRESS, __pa(lapic_page(&vmx->vcpu)));
	if (vmx_caps.accel & VMX_ACCEL_XAPIC)
		vmwrite64(VMCS_APIC_ACCESS_ADDRESS, __pa(vmx->vcpu.vm->mmu.apic_page));
	if (vmx_caps.accel & VMX_ACCEL_DELIVERY)
		write_eoi_vectors(no_vectors);
	if (vmx_caps.accel & VMX_ACCEL_POSTED && vmx->vcpu.lapic) {
		vmwrite64(VMCS_POSTED_ADDRESS, __pa(lapic_posted_page(&vmx->vcpu)));
		vmwrite16(VMCS_POSTED_VECTOR, POSTED_INTR_VECTOR);
	}
	if (vmx_caps.accel & VMX_ACCEL_TIMER)
		vmwrite32(VMCS_PREEMPTION_TIMER, vmx->timer_value);
}

/*
 * vmx_host_interrupt - take an interrupt of the host's that an exit has acknowledged
 *
 * Posted interrupts need it so. Through its gate, as if it came now: interrupts go on when the handler returns, as they
 * would if it had come a moment later; a handler that finds them off would not program the timer again on 7.x.
 */
void vmx_host_interrupt(struct vcpu *vcpu)
{
	u8 vector = vcpu->host_vector;
	struct desc_ptr idt;

	vcpu->host_vector = 0;
	store_idt(&idt);
	vmx_call_interrupt(gate_offset((gate_desc *)idt.address + vector));
}

/*
 * SDM, VMX-Preemption Timer. Rounded up, so that the deadline is over when it exits. Without one it counts down all the
 * same, and an exit for nothing comes once in 2^32 of its steps.
 */
static void write_timer(struct vmx_vcpu *vmx)
{
	u64 deadline = vmx->vcpu.cpu_deadline, tsc;
	u32 value = VMX_TIMER_OFF;

	if (deadline) {
		tsc = rdtsc();
		value = deadline > tsc ? min_t(u64, ((deadline - tsc) >> vmx_caps.timer_rate) + 1, U32_MAX) : 0;
	}
	if (value == vmx->timer_value)
		return;
	vmx->timer_value = value;
	vmwrite32(VMCS_PREEMPTION_TIMER, value);
}

/*
 * vmx_apic_enter - before an entry with virtual-interrupt delivery or the preemption timer
 *
 * Only called when there may be something to do; see apic_waits().
 */
void vmx_apic_enter(struct vmx_vcpu *vmx)
{
	const u64 *vectors;
	u16 status;

	if (vmx->accel & VMX_ACCEL_TIMER)
		write_timer(vmx);
	if (!(vmx->accel & VMX_ACCEL_DELIVERY))
		return;
	if (!lapic_hw_enter(&vmx->vcpu, &status))
		return;
	vmwrite16(VMCS_GUEST_INTR_STATUS, status);
	vectors = lapic_hw_eoi_vectors(&vmx->vcpu);
	if (unlikely(vectors))
		write_eoi_vectors(vectors);
}

int vmx_handle_preemption_timer(struct vcpu *vcpu)
{
	lapic_cpu_timer_expired(vcpu);
	return RUN_GUEST;
}

/* Posted interrupts. */
void vmx_doorbell(int cpu)
{
	apic->send_IPI(cpu, POSTED_INTR_VECTOR);
}

/*
 * The guest may lower its priority without an exit down to where a request gets through. SDM, Checks on VM-Execution
 * Control Fields: a threshold above the priority is refused; there is none when the CPU delivers by itself.
 */
void vmx_update_tpr(struct vcpu *vcpu, int tpr, int max_irr)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int class = max_irr >> 4;

	if ((vmx->accel & (VMX_ACCEL_TPR | VMX_ACCEL_DELIVERY)) == VMX_ACCEL_TPR)
		vmcs_set(&vmx->vmcs01, LAZY_TPR_THRESHOLD, class > tpr ? 0 : class);
	else
		vmcs_set(&vmx->vmcs01, LAZY_TPR_THRESHOLD, 0);
}

int vmx_handle_tpr_below_threshold(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQ_EVENT);
	return RUN_GUEST;
}

int vmx_handle_eoi_induced(struct vcpu *vcpu)
{
	lapic_hw_eoi(vcpu, vmx_exit_qualification(to_vmx(vcpu)));
	return RUN_GUEST;
}

/* SDM, Exit Qualification for APIC-Access VM Exits: what the CPU does not do by itself is an access to a device. */
int vmx_handle_apic_access(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 qualification = vmx_exit_qualification(vmx);
	u32 type = FIELD_GET(APIC_ACCESS_TYPE, qualification);
	const struct fault fault = {
		.gpa = APIC_DEFAULT_PHYS_BASE + FIELD_GET(APIC_ACCESS_OFFSET, qualification),
		.write = type == APIC_ACCESS_WRITE,
		.exec = type == APIC_ACCESS_FETCH,
		.vectoring = vmx->exit.vectoring & INTR_VALID,
	};

	vmx->flush_l1d = true;
	return vcpu_handle_mmio(vcpu, &fault);
}

/* A trap: the instruction is retired. In x2APIC mode it is a SELF IPI of a vector that no APIC sends. */
int vmx_handle_apic_write(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->accel & VMX_ACCEL_XAPIC)
		lapic_hw_written(vcpu, FIELD_GET(APIC_ACCESS_OFFSET, vmx_exit_qualification(vmx)));
	return RUN_GUEST;
}
