/* SPDX-License-Identifier: GPL-2.0 */
/* Paravirtual interfaces: what the run loop, cpu/ and mmu/ need of them. */
#ifndef NESTOR_PV_H
#define NESTOR_PV_H

#include <linux/list.h>
#include <linux/types.h>

struct vcpu;

/**
 * struct vcpu_apf - asynchronous page faults, all [v]
 * @enable: MSR_KVM_ASYNC_PF_EN
 * @vector: MSR_KVM_ASYNC_PF_INT
 * @wake_all: the guest shall be told to look at all pages that it waits for
 * @works: pages on their way in
 */
struct vcpu_apf {
	u64 enable;
	u8 vector;
	bool wake_all;
	u32 last_id;
	u32 nr_works;
	struct list_head works;
};

void apf_vcpu_init(struct vcpu *vcpu);
void apf_vcpu_reset(struct vcpu *vcpu);
void apf_vcpu_destroy(struct vcpu *vcpu);
bool apf_possible(struct vcpu *vcpu);
bool apf_start(struct vcpu *vcpu, u64 gfn, unsigned long hva, bool write);
void apf_deliver(struct vcpu *vcpu);

/* At burst begin: ask for steal_time_update() when this thread has waited for a CPU since the last. */
void steal_time_check(struct vcpu *vcpu);
void steal_time_preempted(struct vcpu *vcpu);

#endif
