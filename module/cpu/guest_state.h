/* SPDX-License-Identifier: GPL-2.0 */
/* The burst's register switch and debug registers inside cpu/. */
#ifndef NESTOR_CPU_GUEST_STATE_H
#define NESTOR_CPU_GUEST_STATE_H

#include <linux/types.h>

struct vcpu;
struct cpu_state;

/* In a burst: hardware gets what changed since guest_state_enter(). */
void guest_xcr_load(struct vcpu *vcpu);		/* XCR0, XSS, or CR4.OSXSAVE */
void guest_dr_load(struct vcpu *vcpu);		/* effective_db, effective_dr7 */

/* The guest's TSC_AUX, in the CPU too when that is in a burst. */
void guest_tsc_aux_set(struct vcpu *vcpu, u32 value);

bool cpu_breakpoints_enabled(const struct cpu_state *c);
void cpu_reset_dr(struct vcpu *vcpu);

/* User space that does not know exception payloads reads state that they go to: deliver them now. */
void cpu_deliver_payload_early(struct vcpu *vcpu);

#endif
