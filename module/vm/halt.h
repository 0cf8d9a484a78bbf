/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_HALT_H
#define NESTOR_HALT_H

#include <linux/types.h>

struct vcpu;

/* Is there something to do for a vCPU that does not run? */
bool vcpu_must_wake(struct vcpu *vcpu);

/* Both return when the vCPU is runnable or a signal is pending; they sleep. */
void vcpu_wait(struct vcpu *vcpu);
void vcpu_sleep(struct vcpu *vcpu);

#endif
