/* SPDX-License-Identifier: GPL-2.0 */
/* Paravirtual time inside cpu/ and pv/. */
#ifndef NESTOR_PV_H
#define NESTOR_PV_H

struct vcpu;

/* At burst begin: ask for steal_time_update() when this thread has waited for a CPU since the last. */
void steal_time_check(struct vcpu *vcpu);
void steal_time_preempted(struct vcpu *vcpu);

#endif
