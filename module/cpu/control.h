/* SPDX-License-Identifier: GPL-2.0 */
/* Validity of control registers, for those inside cpu/ that set many at once. */
#ifndef NESTOR_CPU_CONTROL_H
#define NESTOR_CPU_CONTROL_H

#include <linux/types.h>

struct vcpu;

bool cpu_cr0_valid(u64 cr0);
u64 cpu_cr0_defined(u64 cr0);		/* without bits that do not exist; ET is always one */
bool cpu_cr3_valid(struct vcpu *vcpu, u64 cr3);
bool cpu_cr4_valid(struct vcpu *vcpu, u64 cr4);
bool cpu_efer_valid(struct vcpu *vcpu, u64 efer);
void cpu_cr4_changed(struct vcpu *vcpu);	/* after regs.cr4 was written */

#define SEG_TYPE_BUSY_TSS	0xb

#endif
