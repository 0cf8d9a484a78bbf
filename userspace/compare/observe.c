// SPDX-License-Identifier: GPL-2.0
/* What there is to see of a VM from outside, field by field. */
#include <stdlib.h>
#include <string.h>

#include "compare/compare.h"
#include "util.h"

#define REG(name) FIELD(struct kvm_regs, #name, name)
const struct field regs_fields[] = {
	REG(rip), REG(rflags), REG(rax), REG(rbx), REG(rcx), REG(rdx), REG(rsi), REG(rdi), REG(rsp), REG(rbp), REG(r8),
	REG(r9), REG(r10), REG(r11), REG(r12), REG(r13), REG(r14), REG(r15), { 0 },
};

#define SREG(name) FIELD(struct kvm_sregs, #name, name)
#define SEGMENT(seg)										\
	SREG(seg.base), SREG(seg.limit), SREG(seg.selector), SREG(seg.type), SREG(seg.present),	\
	SREG(seg.dpl), SREG(seg.db), SREG(seg.s), SREG(seg.l), SREG(seg.g), SREG(seg.avl), SREG(seg.unusable)
const struct field sregs_fields[] = {
	SREG(cr0), SREG(cr2), SREG(cr3), SREG(cr4), SREG(cr8), SREG(efer), SREG(apic_base),
	SREG(gdt.base), SREG(gdt.limit), SREG(idt.base), SREG(idt.limit),
	SREG(interrupt_bitmap[0]), SREG(interrupt_bitmap[1]), SREG(interrupt_bitmap[2]), SREG(interrupt_bitmap[3]),
	SEGMENT(cs), SEGMENT(ss), SEGMENT(ds), SEGMENT(es), SEGMENT(fs), SEGMENT(gs), SEGMENT(tr), SEGMENT(ldt), { 0 },
};

#define EVENT(name) FIELD(struct kvm_vcpu_events, #name, name)
const struct field events_fields[] = {
	EVENT(exception.injected), EVENT(exception.nr), EVENT(exception.has_error_code), EVENT(exception.pending),
	EVENT(exception.error_code), EVENT(interrupt.injected), EVENT(interrupt.nr), EVENT(interrupt.soft),
	EVENT(interrupt.shadow), EVENT(nmi.injected), EVENT(nmi.pending), EVENT(nmi.masked), EVENT(sipi_vector),
	EVENT(flags), EVENT(smi.smm), EVENT(smi.pending), EVENT(smi.smm_inside_nmi), EVENT(smi.latched_init),
	EVENT(triple_fault.pending), EVENT(exception_has_payload), EVENT(exception_payload), { 0 },
};

#define DEBUG(name) FIELD(struct kvm_debugregs, #name, name)
const struct field debugregs_fields[] = {
	DEBUG(db[0]), DEBUG(db[1]), DEBUG(db[2]), DEBUG(db[3]), DEBUG(dr6), DEBUG(dr7), DEBUG(flags), { 0 },
};

#define XCR(name) FIELD(struct kvm_xcrs, #name, name)
const struct field xcrs_fields[] = {
	XCR(nr_xcrs), XCR(flags), XCR(xcrs[0].xcr), XCR(xcrs[0].value), { 0 },
};

const struct field mp_state_fields[] = {
	FIELD(struct kvm_mp_state, "mp_state", mp_state), { 0 },
};

#define FPU(name) FIELD(struct kvm_fpu, #name, name)
const struct field fpu_fields[] = {
	FPU(fcw), FPU(fsw), FPU(ftwx), FPU(last_opcode), FPU(last_ip), FPU(last_dp), FPU(mxcsr), { 0 },
};

/** fields__count() - how many a table has */
unsigned int fields__count(const struct field *fields)
{
	unsigned int n = 0;

	while (fields[n].name)
		n++;
	return n;
}

uint64_t field__get(const struct field *field, const void *data)
{
	uint64_t value = 0;

	memcpy(&value, (const uint8_t *)data + field->offset, field->size);
	return value;
}

void field__set(const struct field *field, void *data, uint64_t value)
{
	memcpy((uint8_t *)data + field->offset, &value, field->size);
}

/** trace__add() - record something; see struct observation */
void trace__add(struct trace *trace, const char *what, uint64_t at, uint64_t value, enum shown shown)
{
	if (trace->nr == trace->max) {
		size_t max = trace->max ? 2 * trace->max : 1024;
		struct observation *list = xcalloc(max, sizeof(*list));

		if (trace->nr)
			memcpy(list, trace->list, trace->nr * sizeof(*list));
		free(trace->list);
		trace->list = list;
		trace->max = max;
	}
	trace->list[trace->nr++] = (struct observation){
		.what = what, .at = at, .value = value, .step = trace->step, .shown = shown,
	};
}

void observe__result(struct subject *s, const char *what, long result)
{
	trace__add(s->trace, what, NO_PLACE, result, SHOWN_RESULT);
}

void observe__number(struct subject *s, const char *what, uint64_t value)
{
	trace__add(s->trace, what, NO_PLACE, value, SHOWN_NUMBER);
}

void observe__at(struct subject *s, const char *what, uint64_t at, uint64_t value)
{
	trace__add(s->trace, what, at, value, SHOWN_NUMBER);
}

void observe__fields(struct subject *s, const struct field *fields, const void *data)
{
	for (; fields->name; fields++)
		observe__number(s, fields->name, field__get(fields, data));
}

void observe__regs(struct subject *s)
{
	struct kvm_regs regs = { 0 };

	subject__get_regs(s, &regs);
	observe__fields(s, regs_fields, &regs);
}

/* What is left of an event that was delivered means nothing. */
static void forget_delivered(struct kvm_vcpu_events *events)
{
	if (!events->exception.injected && !events->exception.pending) {
		memset(&events->exception, 0, sizeof(events->exception));
		events->exception_has_payload = 0;
		events->exception_payload = 0;
	}
	if (!events->interrupt.injected)
		events->interrupt.nr = events->interrupt.soft = 0;
}

/** observe__vcpu() - all that ioctls tell about the vCPU and that does not depend on time */
void observe__vcpu(struct subject *s)
{
	struct kvm_sregs sregs = { 0 };
	struct kvm_vcpu_events events = { 0 };
	struct kvm_debugregs debugregs = { 0 };
	struct kvm_xcrs xcrs = { 0 };
	struct kvm_mp_state mp_state = { 0 };

	observe__regs(s);
	subject__get_sregs(s, &sregs);
	observe__fields(s, sregs_fields, &sregs);
	subject__ioctl(s->vcpu.fd, KVM_GET_VCPU_EVENTS, &events);
	forget_delivered(&events);
	observe__fields(s, events_fields, &events);
	subject__ioctl(s->vcpu.fd, KVM_GET_DEBUGREGS, &debugregs);
	observe__fields(s, debugregs_fields, &debugregs);
	subject__ioctl(s->vcpu.fd, KVM_GET_XCRS, &xcrs);
	observe__fields(s, xcrs_fields, &xcrs);
	subject__ioctl(s->vcpu.fd, KVM_GET_MP_STATE, &mp_state);
	observe__fields(s, mp_state_fields, &mp_state);
}

/** observe__memory() - what changed below WATCHED since it was looked at */
void observe__memory(struct subject *s)
{
	for (uint32_t page = 0; page < WATCHED; page += 4096) {
		if (!memcmp(s->memory + page, s->seen + page, 4096))
			continue;
		for (uint32_t at = page; at < page + 4096; at += sizeof(uint64_t)) {
			uint64_t value;

			memcpy(&value, s->memory + at, sizeof(value));
			if (memcmp(&value, s->seen + at, sizeof(value)))
				observe__at(s, "memory", at, value);
		}
		memcpy(s->seen + page, s->memory + page, 4096);
	}
}

#define APIC_TIMER_CURRENT 0x390

/** observe__lapic() - the local APIC's registers, but for the one that counts */
void observe__lapic(struct subject *s)
{
	struct kvm_lapic_state lapic = { 0 };
	uint32_t value;

	observe__result(s, "KVM_GET_LAPIC", subject__ioctl(s->vcpu.fd, KVM_GET_LAPIC, &lapic));
	for (uint32_t reg = 0; reg < sizeof(lapic.regs); reg += 16) {
		memcpy(&value, lapic.regs + reg, sizeof(value));
		if (reg != APIC_TIMER_CURRENT)
			observe__at(s, "local APIC register", reg, value);
	}
}

#define PIC(name) FIELD(struct kvm_pic_state, "PIC " #name, name)
static const struct field pic_fields[] = {
	PIC(last_irr), PIC(irr), PIC(imr), PIC(isr), PIC(priority_add), PIC(irq_base), PIC(read_reg_select), PIC(poll),
	PIC(special_mask), PIC(init_state), PIC(auto_eoi), PIC(rotate_on_auto_eoi), PIC(special_fully_nested_mode),
	PIC(init4), PIC(elcr), PIC(elcr_mask), { 0 },
};

/** observe__irqchip() - both PICs and the I/O APIC */
void observe__irqchip(struct subject *s)
{
	for (unsigned int chip = KVM_IRQCHIP_PIC_MASTER; chip <= KVM_IRQCHIP_IOAPIC; chip++) {
		struct kvm_irqchip state = { .chip_id = chip };

		observe__result(s, "KVM_GET_IRQCHIP", subject__ioctl(s->vm.fd, KVM_GET_IRQCHIP, &state));
		if (chip != KVM_IRQCHIP_IOAPIC) {
			observe__fields(s, pic_fields, &state.chip.pic);
			continue;
		}
		observe__number(s, "I/O APIC IOREGSEL", state.chip.ioapic.ioregsel);
		observe__number(s, "I/O APIC id", state.chip.ioapic.id);
		observe__number(s, "I/O APIC irr", state.chip.ioapic.irr);
		for (unsigned int pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
			observe__at(s, "I/O APIC pin", pin, state.chip.ioapic.redirtbl[pin].bits);
	}
}
