/* SPDX-License-Identifier: GPL-2.0 */
/* The TSC inside cpu/ and pv/. */
#ifndef NESTOR_CPU_TSC_H
#define NESTOR_CPU_TSC_H

#include <linux/types.h>

struct vcpu;

void tsc_setup(void);
void tsc_cleanup(void);
void tsc_vcpu_init(struct vcpu *vcpu);
void tsc_vcpu_reset(struct vcpu *vcpu);		/* after the vendor's part was made */
void tsc_vcpu_destroy(struct vcpu *vcpu);

/* Ends of the burst. */
void tsc_enter(struct vcpu *vcpu);
void tsc_leave(struct vcpu *vcpu);

/* What kvmclock counts when there is no master clock: ns since boot at the raw clock's rate. */
s64 kvmclock_base_ns(void);

#endif
