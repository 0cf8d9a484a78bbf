/* SPDX-License-Identifier: GPL-2.0 */
/* CPUID inside cpu/: what is offered to guests. cpu.h has what others call. */
#ifndef NESTOR_CPU_CPUID_H
#define NESTOR_CPU_CPUID_H

#include <linux/kvm.h>
#include <linux/types.h>

#include "cpu/features.h"

struct vcpu;

/* APM, HWCR: CPUID above CPL 0 is a #GP. The kernel has a name for it only since 6.15. */
#define HWCR_CPUID_USER_DIS	BIT_ULL(35)

void cpuid_setup(void);			/* after the vendor's setup and fpu_setup() */

/* Can guests be given @feature at all? For one guest ask guest_has(). */
bool cpu_offers(enum feature feature);
u32 cpu_offered_word(int word);

/* Bits of CR4 and EFER that are reserved for a guest with the feature words @words. */
void cpu_reserved_controls(const u32 *words, u64 *cr4, u64 *efer);

u32 *cpuid_entry_reg(struct kvm_cpuid_entry2 *e, enum cpuid_reg reg);

/* What cpuid_update_runtime() looks at has changed. */
void cpuid_mark_stale(struct vcpu *vcpu);

/* What may keep the CPUID instruction from just showing an entry has changed. */
void cpuid_update_special(struct vcpu *vcpu);

/* CPUID as of vCPU creation: none, and what follows from that. */
void cpuid_vcpu_init(struct vcpu *vcpu);
void cpuid_vcpu_destroy(struct vcpu *vcpu);

#endif
