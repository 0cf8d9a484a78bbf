/* SPDX-License-Identifier: GPL-2.0 */
/* The FPU inside cpu/. */
#ifndef NESTOR_CPU_FPU_H
#define NESTOR_CPU_FPU_H

struct vcpu;

int fpu_setup(void);			/* XSAVE fields of cpu_caps; before cpuid_setup() */
int fpu_vcpu_init(struct vcpu *vcpu);
void fpu_vcpu_destroy(struct vcpu *vcpu);

void fpu_load(struct vcpu *vcpu);
void fpu_save(struct vcpu *vcpu);

#endif
