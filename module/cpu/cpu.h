/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's CPU: CPUID, MSRs, control registers, FPU and XSAVE, TSC and kvmclock, debug
 * registers, machine-check banks.
 */
#ifndef NESTOR_CPU_H
#define NESTOR_CPU_H

#include <linux/kvm.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "cpu/features.h"

struct vcpu;
struct vm;

/**
 * struct cpu_caps - what this host's CPU and the vendor code can give to guests
 *
 * Filled by vendor->setup() and cpu_setup(), constant afterwards.
 */
struct cpu_caps {
	bool vmx, svm;
	bool nested;			/* guests may be hypervisors */
	u64 host_xcr0, guest_xcr0;	/* what guests may set */
	u64 host_xss, guest_xss;
	u32 xsave_size;			/* largest image of guest_xcr0 | guest_xss, standard format */
	bool tsc_scaling;
	u8 tsc_ratio_frac_bits;
	u64 tsc_ratio_max;
	u64 tsc_ratio_default;
	bool has_invpcid, has_rdtscp, has_xsaves, has_umwait, has_mbec;
	bool nrips;
	bool virtual_delivery;		/* the CPU may deliver interrupts from the local APIC's registers */
	bool shared_irr;		/* ... while others set IRR: struct lapic_posted is not needed */
	bool apic_page;			/* ... and handle accesses to its page */
	u64 efer_mask;			/* EFER bits that guests may set */
	u64 cr4_mask;			/* CR4 bits that guests may set */
	bool npt_1g;
};
extern struct cpu_caps cpu_caps;

/* CR4 bits that the common code knows how to give to guests; a vendor takes away what its hardware refuses. */
#define CPU_CR4_KNOWN	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |		\
			 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |	\
			 X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | X86_CR4_LA57 | X86_CR4_FSGSBASE |		\
			 X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE)

#define MCE_BANKS	32
#define CPUID_BUCKETS	64

/**
 * struct guest_fpu - the guest's extended state
 * @image: compacted or standard XSAVE image, 64-byte aligned; valid outside a burst
 */
struct guest_fpu {
	void *image;
	u64 xcr0, xss;
	u32 pkru;
};

struct cpu_state {
	struct kvm_cpuid_entry2 *cpuid;
	u32 nr_cpuid;
	u16 cpuid_first[CPUID_BUCKETS];	/* by hash of the function: index of the first entry, plus one */
	bool cpuid_stale;		/* entries do not show the registers that they follow */
	bool cpuid_special;		/* the instruction may fault, or hide what an entry shows */
	/* Derived from CPUID by cpuid_set(); hot flags as bits, see guest_has(). */
	u32 feature_words[FW_NR];
	u8 maxphyaddr;
	u64 cr4_reserved, efer_reserved;
	u64 xcr0_supported, xss_supported;
	u32 kvm_features;		/* leaf 0x40000001 EAX */
	bool pv_enforce;		/* KVM_CAP_ENFORCE_PV_FEATURE_CPUID: only what kvm_features says */
	bool vendor_amd;		/* the guest's vendor string is AMD or Hygon */
	bool cr4_osxsave, cr4_pke;	/* as in regs.cr4, without a fetch: guests never own these bits */

	struct guest_fpu fpu;

	/* MSRs that are plain storage. */
	u64 tsc_aux, spec_ctrl, arch_capabilities, ucode_rev, misc_enable, feat_ctl, tsc_adjust;
	u64 misc_features, platform_info, hwcr, de_cfg, umwait_control;
	u64 smi_count, smbase, power_ctl, mmio_conf_base;
	u64 mtrr_def, mtrr_fixed[11], mtrr_var[16];
	u64 mcg_cap, mcg_status, mcg_ctl, mcg_ext_ctl;
	u64 mce_banks[MCE_BANKS * 4], mce_ctl2[MCE_BANKS];

	/* Time. */
	u64 tsc_offset;			/* guest TSC = host TSC * ratio + offset */
	u64 tsc_ratio;
	u32 tsc_khz;
	u32 resumes;			/* of the host that tsc_offset has taken into account */
	u64 cycles_lost;
	u64 tsc_generation;		/* see struct vm_clock */
	u64 last_guest_tsc;		/* at the end of the last burst; only while the TSC is unstable */
	u64 system_time_msr, steal_msr, poll_control;
	u64 steal_last;
	bool steal_preempted;		/* the record says so */
	bool guest_stopped;		/* KVM_KVMCLOCK_CTRL, for the next kvmclock_update() */

	/* Debug: values hardware shall have while guest_debug overrides the guest's own. */
	u64 effective_db[4], effective_dr7;

	/* What the host had at burst begin; put back at burst end (D4). */
	struct host_state {
		u64 xcr0, xss;
		u64 current_xcr0, current_xss;	/* what the CPU has now */
		u64 tsc_aux;
		unsigned long dr[4], dr6, dr7;
		u32 pkru;
		bool xss_read, dr_saved;
	} host;
};

/**
 * struct vm_clock - VM-wide time; all under @lock
 * @use_master: @master_tsc and @master_ns are one instant and serve all vCPUs' kvmclock pages
 * @master_stale: what decides that changed since
 * @generation: vCPUs whose TSCs were set to agree have its number; @vcpus_in_generation counts them
 */
struct vm_clock {
	raw_spinlock_t lock;
	s64 kvmclock_offset;		/* kvmclock = kvmclock_base_ns() + offset */
	u64 wall_clock_msr;
	bool use_master, master_stale;
	bool old_msr;			/* the boot vCPU uses MSR_KVM_SYSTEM_TIME, not _NEW */
	bool user_set_tsc;
	u64 master_tsc;
	s64 master_ns;
	u64 last_tsc_write, last_tsc_offset;	/* of the vCPU whose TSC was set last */
	s64 last_tsc_ns;
	u32 last_tsc_khz;
	u64 generation, generation_offset;
	int vcpus_in_generation;
	u32 default_tsc_khz;
};

/* Module load; after vendor->setup(). */
int cpu_setup(void);
void cpu_cleanup(void);

int cpu_vcpu_init(struct vcpu *vcpu);
void cpu_vcpu_destroy(struct vcpu *vcpu);
void cpu_vcpu_reset(struct vcpu *vcpu, bool init_event);	/* regs and MSRs: SDM, Processor State After Reset */
void cpu_vm_init(struct vm *vm);

/* CPUID. Lists are kvm_cpuid_entry2 arrays; see KVM_GET_SUPPORTED_CPUID for E2BIG. */
int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nent);	/* -E2BIG when *nent is too small */
int cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 *nent);
int cpuid_set(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nent);	/* takes over the array on success */
void cpuid_update_runtime(struct vcpu *vcpu);	/* OSXSAVE, OSPKE, APIC bit, XSAVE sizes, MWAIT */
const struct kvm_cpuid_entry2 *cpuid_entry(struct vcpu *vcpu, u32 function, u32 index);
/* The guest-visible answer, with the out-of-range redirection of Intel CPUs. */
void cpuid_query(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
const struct kvm_cpuid_entry2 *cpuid_find(struct vcpu *vcpu, u32 function, u32 index);
/*
 * @feature: a FEAT_* of features.h, or an X86_FEATURE_* of the kernel's as far as it is a hardware-defined
 * bit; the kernel's scattered and synthetic ones have other numbers.
 */
bool guest_has(struct vcpu *vcpu, unsigned int feature);
bool guest_pv_has(struct vcpu *vcpu, unsigned int kvm_feature);	/* KVM_FEATURE_* */

/*
 * MSRs: one table drives CPUID bit, index list, get and set. @host: user space asks through
 * KVM_SET_MSRS. 0; -EINVAL: #GP; -ENOENT: unknown; -EAGAIN: leave the burst first.
 */
int msr_get(struct vcpu *vcpu, u32 msr, u64 *value, bool host);
int msr_set(struct vcpu *vcpu, u32 msr, u64 value, bool host);
void msr_log_refusal(struct vcpu *vcpu, u32 msr, u64 value, bool write, int err);	/* for KVM_{GET,SET}_MSRS */
int msr_index_list(u32 *indices, u32 *n);	/* -E2BIG when *n is too small */
int msr_feature_list(u32 *indices, u32 *n);
int msr_get_feature(u32 msr, u64 *value);
/* MSR filter and user-space MSR exits. */
struct msr_filter;
bool msr_filter_allows(struct vcpu *vcpu, u32 msr, bool write);
/* @filter: a copy; its bitmaps are still in user space. */
int msr_filter_set(struct vm *vm, const struct kvm_msr_filter *filter);
void msr_filter_free(struct msr_filter *filter);

/* Control registers: 0, or -EINVAL for #GP, -EAGAIN in a burst. Side effects (paging mode, PDPTEs, TLB) included. */
int cpu_set_cr0(struct vcpu *vcpu, u64 cr0);
int cpu_set_cr3(struct vcpu *vcpu, u64 cr3);
int cpu_set_cr4(struct vcpu *vcpu, u64 cr4);
int cpu_set_cr8(struct vcpu *vcpu, u64 cr8);
u64 cpu_get_cr8(struct vcpu *vcpu);
int cpu_set_xcr0(struct vcpu *vcpu, u64 xcr0);		/* XSETBV's checks */
int cpu_set_efer(struct vcpu *vcpu, u64 efer, bool host);
int cpu_set_dr(struct vcpu *vcpu, int dr, u64 value);	/* -EINVAL: #GP */
u64 cpu_get_dr(struct vcpu *vcpu, int dr);
void cpu_update_dr7(struct vcpu *vcpu);			/* recompute effective_dr7 after guest_debug or DR7 changed */

/* ioctls: structures as in <linux/kvm.h>; 0 or upstream's errno. */
int cpu_get_regs(struct vcpu *vcpu, struct kvm_regs *regs);
int cpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);
int cpu_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs);
int cpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
int cpu_get_sregs2(struct vcpu *vcpu, struct kvm_sregs2 *sregs);
int cpu_set_sregs2(struct vcpu *vcpu, const struct kvm_sregs2 *sregs);
int cpu_get_fpu(struct vcpu *vcpu, struct kvm_fpu *fpu);
int cpu_set_fpu(struct vcpu *vcpu, const struct kvm_fpu *fpu);
int cpu_read_xmm(struct vcpu *vcpu, unsigned int reg, void *buf, unsigned int len);	/* 16: XMM, 32: YMM */
int cpu_write_xmm(struct vcpu *vcpu, unsigned int reg, const void *buf, unsigned int len);
int cpu_get_xsave(struct vcpu *vcpu, void *buf, u32 size);
int cpu_set_xsave(struct vcpu *vcpu, const void *buf, u32 size);
int cpu_get_xcrs(struct vcpu *vcpu, struct kvm_xcrs *xcrs);
int cpu_set_xcrs(struct vcpu *vcpu, const struct kvm_xcrs *xcrs);
int cpu_get_debugregs(struct vcpu *vcpu, struct kvm_debugregs *dbg);
int cpu_set_debugregs(struct vcpu *vcpu, const struct kvm_debugregs *dbg);
int cpu_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *ev);
int cpu_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev);
int cpu_setup_mce(struct vcpu *vcpu, u64 mcg_cap);
int cpu_set_mce(struct vcpu *vcpu, const struct kvm_x86_mce *mce);
int cpu_set_guest_debug(struct vcpu *vcpu, const struct kvm_guest_debug *dbg);
int cpu_translate(struct vcpu *vcpu, struct kvm_translation *tr);
u64 cpu_mce_cap_supported(void);

/*
 * Burst bracket, vendor-neutral half of D4's table: FPU image, XCR0, XSS, PKRU, TSC_AUX, debug
 * registers. Interrupts off, inside kernel_fpu_begin_mask(0). guest_state_leave() puts back exactly
 * what guest_state_enter() read.
 */
void guest_state_enter(struct vcpu *vcpu);
void guest_state_leave(struct vcpu *vcpu);
/* Around each single entry: PKRU (handlers read guest memory through the caller's own mappings). */
static inline bool guest_uses_pkru(const struct cpu_state *c)
{
	return c->cr4_pke || c->fpu.xcr0 & BIT_ULL(9);	/* XFEATURE_PKRU */
}

/* Only for guests that use it. */
void guest_pkru_enter(struct vcpu *vcpu);
void guest_pkru_leave(struct vcpu *vcpu);

/* TSC and kvmclock (cpu/tsc.c, pv/kvmclock.c). */
u64 guest_tsc(struct vcpu *vcpu);			/* the guest's TSC now */
u64 guest_tsc_of(struct vcpu *vcpu, u64 host_tsc);
bool tsc_khz_possible(u32 khz);
int tsc_set_khz(struct vcpu *vcpu, u32 khz);		/* 0 or -EINVAL */
void tsc_write(struct vcpu *vcpu, u64 value, bool host);
void tsc_set_offset(struct vcpu *vcpu, u64 offset);
u64 kvmclock_ns(struct vm *vm);
int kvmclock_get(struct vm *vm, struct kvm_clock_data *data);
int kvmclock_set(struct vm *vm, const struct kvm_clock_data *data);
int kvmclock_ctrl(struct vcpu *vcpu);			/* KVM_KVMCLOCK_CTRL: -EINVAL when not set up */
int kvmclock_update(struct vcpu *vcpu);			/* REQ_CLOCK_UPDATE; may sleep */
void kvmclock_master_update(struct vm *vm);		/* REQ_MASTERCLOCK */
void kvmclock_refresh(struct vcpu *vcpu);		/* ask for that, and so for REQ_CLOCK_UPDATE of all */
void steal_time_update(struct vcpu *vcpu);		/* REQ_STEAL_UPDATE; may sleep */

#endif
