// SPDX-License-Identifier: GPL-2.0
/*
 * Suite irq: interrupts from outside and the guest's accesses to the local APIC, the I/O APIC and the PICs; all
 * registers of theirs behind each. No timer is ever armed: what comes of it depends on the time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compare/compare.h"
#include "util.h"

#define APIC_MMIO	0xfee00000ULL
#define IOAPIC_MMIO	0xfec00000ULL
#define MSR_APIC_BASE	0x1b
#define MSR_X2APIC	0x800
#define RFLAGS_IF	0x200

enum kind {
	LINE, MSI, APIC_WRITE, APIC_READ, X2APIC_WRITE, X2APIC_READ, IOAPIC_WRITE, PIC_WRITE, PIC_READ, NMI, INTERRUPT,
	TAKE, MODE, SET_LAPIC, EOI, NR_KINDS,
};

/* Words of a step. */
enum { W_KIND, W_WHAT, W_VALUE, W_VALUE2 };

/* By offset in the page: all but those of the timer. */
static const uint16_t apic_regs[] = {
	0x80, 0x20, 0x30, 0x90, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0, 0x100, 0x180, 0x200, 0x210, 0x270, 0x280, 0x300, 0x310,
	0x2f0, 0x330, 0x340, 0x350, 0x360, 0x370, 0x3e0, 0x3f0, 0x00, 0x10, 0x40, 0x400, 0xff0,
};

static const uint16_t pic_ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };

static const uint64_t apic_modes[] = { 0x800, 0xc00, 0, 0x400 };

static enum kind kind_of(const struct step *step)
{
	return step__pick(step, W_KIND, NR_KINDS);
}

/* Vectors and modes are worth more than other bits. */
static uint32_t word_value(const struct step *step)
{
	uint64_t v = step->word[W_VALUE];

	return v & 0x100 ? step__mutate(0, v) : (v & 0xff) | (v >> 9 & 0x7) << 8 | (v >> 13 & 7) << 13;
}

static unsigned int apic_reg(const struct step *step)
{
	return apic_regs[step__pick(step, W_WHAT, ARRAY_SIZE(apic_regs))];
}

static unsigned int pic_port(const struct step *step)
{
	return pic_ports[step__pick(step, W_WHAT, ARRAY_SIZE(pic_ports))];
}

static struct kvm_msi msi_of(const struct step *step)
{
	uint64_t v = step->word[W_WHAT];

	return (struct kvm_msi){ .address_lo = 0xfee00000 | (v & 1 ? 0xff000 : 0) | (v >> 1 & 3) << 2, .data = word_value(step) };
}

static void irq__describe(const struct step *step, char *buf, size_t size)
{
	struct kvm_msi msi = msi_of(step);
	uint32_t value = word_value(step);

	switch (kind_of(step)) {
	case LINE:
		snprintf(buf, size, "KVM_IRQ_LINE_STATUS of GSI %u, level %u", (unsigned int)step__pick(step, W_WHAT, 26),
			 (unsigned int)(step->word[W_VALUE] & 1));
		break;
	case MSI:
		snprintf(buf, size, "KVM_SIGNAL_MSI to 0x%x with 0x%x", msi.address_lo, msi.data);
		break;
	case APIC_WRITE:
		snprintf(buf, size, "write of 0x%x to the APIC's register 0x%x", value, apic_reg(step));
		break;
	case APIC_READ:
		snprintf(buf, size, "read of the APIC's register 0x%x", apic_reg(step));
		break;
	case X2APIC_WRITE:
		snprintf(buf, size, "wrmsr of 0x%x to 0x%x", value, MSR_X2APIC + (apic_reg(step) >> 4));
		break;
	case X2APIC_READ:
		snprintf(buf, size, "rdmsr of 0x%x", MSR_X2APIC + (apic_reg(step) >> 4));
		break;
	case IOAPIC_WRITE:
		snprintf(buf, size, "write of 0x%x to the I/O APIC's register 0x%x", value,
			 (unsigned int)step__pick(step, W_WHAT, 0x42));
		break;
	case PIC_WRITE:
		snprintf(buf, size, "out of 0x%x to port 0x%x", value & 0xff, pic_port(step));
		break;
	case PIC_READ:
		snprintf(buf, size, "in from port 0x%x", pic_port(step));
		break;
	case NMI:
		snprintf(buf, size, "KVM_NMI");
		break;
	case INTERRUPT:
		snprintf(buf, size, "KVM_INTERRUPT 0x%x", value & 0xff);
		break;
	case TAKE:
		snprintf(buf, size, "a NOP with interrupts on");
		break;
	case MODE:
		snprintf(buf, size, "wrmsr of APIC mode 0x%" PRIx64, apic_modes[step__pick(step, W_WHAT, ARRAY_SIZE(apic_modes))]);
		break;
	case SET_LAPIC:
		snprintf(buf, size, "KVM_SET_LAPIC with register 0x%x 0x%x", apic_reg(step), value);
		break;
	default:
		snprintf(buf, size, "end of interrupt");
	}
}

static void execute(struct subject *s, const void *insn, size_t size, struct kvm_regs regs)
{
	regs.rsp = GUEST_STACK;
	regs.rflags |= 2;
	subject__execute(s, insn, size, &regs);
	if (s->over)
		return;
	observe__regs(s);
	observe__memory(s);
}

#define EXECUTE(s, regs, ...) execute(s, (uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }), regs)

static void set_lapic(struct subject *s, unsigned int reg, uint32_t value)
{
	struct kvm_lapic_state lapic = { 0 };

	if (reg + sizeof(value) > sizeof(lapic.regs) ||
	    subject__ioctl(s->vcpu.fd, KVM_GET_LAPIC, &lapic))
		return;
	memcpy(lapic.regs + reg, &value, sizeof(value));
	observe__result(s, "KVM_SET_LAPIC", subject__ioctl(s->vcpu.fd, KVM_SET_LAPIC, &lapic));
}

/* What comes from outside, by ioctls. Return: whether it was that. */
static bool from_outside(struct subject *s, const struct step *step)
{
	struct kvm_irq_level level = { .irq = step__pick(step, W_WHAT, 26), .level = step->word[W_VALUE] & 1 };
	struct kvm_interrupt interrupt = { .irq = word_value(step) & 0xff };
	struct kvm_msi msi = msi_of(step);

	switch (kind_of(step)) {
	case LINE:
		observe__result(s, "KVM_IRQ_LINE_STATUS", subject__ioctl(s->vm.fd, KVM_IRQ_LINE_STATUS, &level));
		observe__number(s, "its status", level.status);
		return true;
	case MSI:
		observe__result(s, "KVM_SIGNAL_MSI", subject__ioctl(s->vm.fd, KVM_SIGNAL_MSI, &msi));
		return true;
	case NMI:
		observe__result(s, "KVM_NMI", subject__ioctl(s->vcpu.fd, KVM_NMI, NULL));
		return true;
	case INTERRUPT:
		observe__result(s, "KVM_INTERRUPT", subject__ioctl(s->vcpu.fd, KVM_INTERRUPT, &interrupt));
		return true;
	case SET_LAPIC:
		set_lapic(s, apic_reg(step), word_value(step));
		return true;
	default:
		return false;
	}
}

static void by_guest(struct subject *s, const struct step *step)
{
	uint32_t value = word_value(step), mode = apic_modes[step__pick(step, W_WHAT, ARRAY_SIZE(apic_modes))];
	struct kvm_regs apic = { .rax = value, .rbx = APIC_MMIO + apic_reg(step) };
	struct kvm_regs msr = { .rax = value, .rcx = MSR_X2APIC + (apic_reg(step) >> 4), .rdx = step->word[W_VALUE2] & 1 };
	struct kvm_regs port = { .rax = value & 0xff, .rdx = pic_port(step) };

	switch (kind_of(step)) {
	case APIC_WRITE:
		EXECUTE(s, apic, 0x89, 0x03);			/* mov %eax, (%rbx) */
		break;
	case APIC_READ:
		EXECUTE(s, apic, 0x8b, 0x03);			/* mov (%rbx), %eax */
		break;
	case X2APIC_WRITE:
		EXECUTE(s, msr, 0x0f, 0x30);			/* wrmsr */
		break;
	case X2APIC_READ:
		EXECUTE(s, msr, 0x0f, 0x32);			/* rdmsr */
		break;
	case IOAPIC_WRITE:
		apic = (struct kvm_regs){ .rax = step__pick(step, W_WHAT, 0x42), .rbx = IOAPIC_MMIO, .rcx = value };
		EXECUTE(s, apic, 0x89, 0x03, 0x89, 0x4b, 0x10);	/* mov %eax, (%rbx); mov %ecx, 0x10(%rbx) */
		break;
	case PIC_WRITE:
		EXECUTE(s, port, 0xee);				/* out %al, %dx */
		break;
	case PIC_READ:
		EXECUTE(s, port, 0xec);				/* in %dx, %al */
		break;
	case TAKE:
		EXECUTE(s, (struct kvm_regs){ .rflags = RFLAGS_IF }, 0x90, 0x90);
		break;
	case MODE:
		msr = (struct kvm_regs){ .rax = APIC_MMIO | mode | 0x100, .rcx = MSR_APIC_BASE };
		EXECUTE(s, msr, 0x0f, 0x30);
		break;
	default:
		apic.rbx = APIC_MMIO + 0xb0;
		apic.rax = 0;
		EXECUTE(s, apic, 0x89, 0x03);
	}
}

static void irq__step(struct subject *s, const struct step *step)
{
	struct kvm_vcpu_events events = { 0 };

	if (!from_outside(s, step))
		by_guest(s, step);
	if (s->over)
		return;
	observe__lapic(s);
	observe__irqchip(s);
	subject__ioctl(s->vcpu.fd, KVM_GET_VCPU_EVENTS, &events);
	observe__fields(s, events_fields, &events);
}

static int irq__open(struct subject *s, const struct compare_case *c)
{
	int ret = subject__create_in_long_mode(s, CHIPS_FULL);

	(void)c;
	/* Most of what there is to see needs it on. */
	if (!ret)
		set_lapic(s, 0xf0, 0x1ff);
	return ret;
}

const struct suite irq_suite = {
	.name = "irq", .summary = "local APIC, I/O APIC, PICs, interrupts taken", .max_steps = MAX_STEPS,
	.open = irq__open, .step = irq__step, .describe = irq__describe,
};
