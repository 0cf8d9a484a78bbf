/* SPDX-License-Identifier: GPL-2.0 */
/* System-management mode. */
#ifndef NESTOR_CPU_SMM_H
#define NESTOR_CPU_SMM_H

#include <linux/types.h>

struct vcpu;

#define SMRAM_BYTES	512	/* the state-save area, up to the end of the 64 KiB behind SMBASE */

void vcpu_send_smi(struct vcpu *vcpu);			/* any context */
void smm_serve(struct vcpu *vcpu);
int smm_resume(struct vcpu *vcpu);			/* enum run_next */
void smm_set(struct vcpu *vcpu, bool in_smm);
void smm_vcpu_reset(struct vcpu *vcpu, bool init_event);

#endif
