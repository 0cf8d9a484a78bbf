/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events on their way into a vCPU.
 *
 * 'pending' waits for the next entry; 'injected' was given to hardware and, when an exit interrupts
 * its delivery, is given again. At most one of exception, interrupt and NMI is injected at a time.
 */
#ifndef NESTOR_EVENTS_H
#define NESTOR_EVENTS_H

#include <linux/types.h>

struct vcpu;

enum { EXC_DE, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF, EXC_CSO, EXC_TS,
       EXC_NP, EXC_SS, EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC, EXC_MC, EXC_XF, EXC_VE, EXC_CP,
       EXC_SX = 30 };

struct exception {
	bool pending;
	bool injected;
	bool has_error;
	bool restored;		/* by KVM_SET_VCPU_EVENTS, and no KVM_RUN since */
	bool has_payload;	/* payload not yet in CR2 or DR6 (KVM_CAP_EXCEPTION_PAYLOAD) */
	u8 vector;
	u32 error;
	u64 payload;
};

/* Raised by an instruction that RIP is still at, and whose end is pushed: INT3, INTO. */
static inline bool exception_is_software(u8 vector)
{
	return vector == EXC_BP || vector == EXC_OF;
}

struct events {
	struct exception exception;
	struct {
		bool injected;
		bool soft;	/* INT n: RIP moves past the instruction at delivery */
		u8 vector;
	} interrupt;
	struct {
		unsigned int pending;	/* 0, 1, or 2 while one is being handled */
		atomic_t queued;	/* sent by others, moved to pending by the vCPU */
		bool injected;
		bool masked;
	} nmi;
	bool smi_pending;		/* waits for the end of the mode, or of what is being delivered */
	bool smi_deferred;		/* ... of the latter: look again behind the next entry */
	bool in_smm;
	bool smm_inside_nmi;		/* NMIs were masked when the mode was entered, and stay so */
};

/* Is something delivered by the next entry, for the first time or again? */
static inline bool event_injected(const struct events *ev)
{
	return ev->exception.injected || ev->nmi.injected || ev->interrupt.injected;
}

/* vm/events.c. Raise: exceptions combine into #DF and triple fault as the SDM says. */
void vcpu_raise(struct vcpu *vcpu, u8 vector);
void vcpu_raise_error(struct vcpu *vcpu, u8 vector, u32 error);
void vcpu_raise_pf(struct vcpu *vcpu, u64 address, u32 error);
void vcpu_raise_db(struct vcpu *vcpu, u64 dr6_payload);
void vcpu_send_nmi(struct vcpu *vcpu);				/* any context */
void vcpu_collect_nmis(struct vcpu *vcpu);
void vcpu_queue_interrupt(struct vcpu *vcpu, u8 vector);		/* KVM_INTERRUPT */
void vcpu_add_dr6(struct vcpu *vcpu, u64 payload);		/* what a #DB that is delivered puts there */
void vcpu_exit_behind_event(struct vcpu *vcpu);			/* and look for the next event */
void vcpu_deliver_payload(struct vcpu *vcpu, struct exception *e);	/* into CR2 or DR6 */

/* Before entry, with interrupts off or on: give hardware the next event, open windows. */
void vcpu_inject_events(struct vcpu *vcpu);

#endif
