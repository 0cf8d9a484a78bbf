/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Nested VMX: a guest that uses VMX. Suffixes: 01 is what runs L1, 12 what L1 wrote for L2, 02 what runs L2.
 */
#ifndef NESTOR_VMX_NESTED_H
#define NESTOR_VMX_NESTED_H

#include <linux/bitmap.h>
#include <linux/build_bug.h>
#include <linux/hrtimer.h>
#include <linux/types.h>

#include "check/check.h"
#include "nested/nested.h"
#include "vmx/evmcs.h"
#include "vmx/vmcs12.h"

struct emu_intercept;
struct vmx_vcpu;

#define NO_VMCS		(~0ull)		/* an address that means 'none' */

#define NESTED_CR3_TARGETS	4
#define NESTED_TIMER_RATE	5	/* of the VMX-preemption timer that L1 sees: a tick is 2^5 of the TSC's */

enum nested_word { NESTED_PIN, NESTED_CPU, NESTED_CPU2, NESTED_EXIT, NESTED_ENTRY, NESTED_WORDS };

/**
 * struct nested_caps - the capability MSRs of a guest
 * @words: those of the controls, TRUE where there are two: low half must be 1, high half may be 1
 */
struct nested_caps {
	u64 basic, misc;
	u64 words[NESTED_WORDS];
	u64 cr0_fixed0, cr4_fixed0;
	u64 vmcs_enum;
	u64 ept_vpid;
	u64 vmfunc;
};

#define CHECK_WORDS	(CHECK_MAX_FIELDS / 64)

#define NESTED_SHADOWED	29	/* fields that L1 reads or writes without an exit */

/**
 * struct nested_exit - an exit of L2's on its way to L1, as the fields of the VMCS that tell of it
 */
struct nested_exit {
	u32 reason;
	u64 qualification;
	u32 intr, intr_error;
	u32 vectoring, vectoring_error;
	u32 length, insn_info;
	u64 gla, gpa;
};

/* An entry of an MSR area (SDM, VM-Exit Controls for MSRs). */
struct nested_msr {
	u32 index, reserved;
	u64 value;
};
static_assert(sizeof(struct nested_msr) == 16);

#define NESTED_MAX_MSRS	512	/* in an area: what IA32_VMX_MISC recommends, and more is not looked at */

/**
 * struct access_frame - the frame of a page of L1's
 * @known: it is @frame, as @gpa was found at @generation of the VM's tables and @seq of the host's
 * @written: what vmcs02 says
 */
struct access_frame {
	bool known;
	unsigned long seq;
	u64 generation, gpa, frame, written;
};

/**
 * struct nested_vmx - nested VMX of a vCPU. All guarded by vcpu->mutex
 * @vmxon: L1 is in VMX operation
 * @smm_vmxon, @smm_guest_mode: what RSM goes back to: VMX operation, L2 (SDM, Default Treatment of SMIs)
 * @vmxon_pointer: of its VMXON region
 * @current_vmcs: L1's current VMCS, of which @vmcs12 is our copy; NO_VMCS
 * @run_pending: L1 has entered L2, and L2 has not run since: its first event is vmcs12's
 * @rsm_pending: RSM has gone back to L2, which has not run since
 * @check: the values that VM entry checks, as of the last entry
 * @stale: bits by enum vmcs12_index: fields that differ from @check
 * @dirty: those of them that L1 wrote
 * @caps_stale: @check says nothing
 * @nmi_blocked01: L1's blocking by NMI
 * @vpid12: whose translations VPID02 holds
 * @timer_runs: L2's VMX-preemption timer does; @timer_deadline: L1's TSC when it expires; @idle_timer: ends the wait of an
 *	L2 that is halted
 * @windows: of vmcs02's controls, what L0 waits for
 * @exit_at_once: something waits for L1 that L2's entry must not miss
 * @pending_debug: L2's pending debug exceptions, if @pending_debug_stale: vmcs02 lacks them
 * @shadow: a shadow VMCS, NULL where the CPU has none; @shadow_used: it was cleared once
 * @shadow_values: what it holds, unless it is @shadow_fresh
 * @shadow_linked: vmcs01 uses it
 * @shadow_stale: vmcs12 says something else; @shadow_written: L1 may have written to it
 * @apic_page: the virtual-APIC page that the CPU uses for L2, NULL where it uses none
 * @apic_loaded: it has L2's registers
 * @apic_access: where L1's APIC-access page is
 * @delivery_fresh: vmcs02 has nothing yet of what follows
 * @intr_status_written, @eoi_written: guest interrupt status and EOI-exit bitmap in vmcs02
 * @posted_waits: REQ_NESTED has to merge what L1 has posted
 * @exit: an exit of L2's
 * @exit_waits: REQ_NESTED has to finish it
 * @violation_waits: it is an EPT violation that REQ_NESTED may have to make an exception of
 * @merge_waits: REQ_NESTED has to read what L1's memory says about L2, which was restored
 * @evmcs: address of the enlightened VMCS that is L1's current one; NO_VMCS: none is
 * @evmcs_restored: user space says that there is one, and nobody has looked yet where
 * @evmcs_fresh: no entry with it has succeeded
 * @evmcs_stale: vmcs12 says something else, and REQ_NESTED has to write it
 * @evmcs_direct_flush: its L2 flushes TLBs by hypercalls to L0; @evmcs_partition: its partition assist page
 * @evmcs_copy: what L1's memory said last
 * @bitmap_merged: vmcs02's MSR bitmap is made from the one that L1 has, if L1 would tell of a change
 */
struct nested_vmx {
	struct nested_caps caps;
	bool vmxon, smm_vmxon, smm_guest_mode;
	u64 vmxon_pointer;
	u64 current_vmcs;
	struct vmcs12 *vmcs12;
	bool run_pending, rsm_pending;
	struct check_state *check;
	DECLARE_BITMAP(stale, V12_NR);
	DECLARE_BITMAP(dirty, V12_NR);
	bool caps_stale;
	bool nmi_blocked01;
	u16 vpid12;
	bool timer_runs;
	u64 timer_deadline;
	struct hrtimer idle_timer;
	u32 windows;
	bool exit_at_once;
	bool pending_debug_stale;
	u64 pending_debug;
	void *shadow;
	bool shadow_used, shadow_fresh, shadow_linked, shadow_stale, shadow_written;
	u64 shadow_values[NESTED_SHADOWED];
	void *apic_page;
	bool apic_loaded;
	struct access_frame apic_access;
	bool delivery_fresh, posted_waits;
	u16 intr_status_written;
	u64 eoi_written[4];
	struct nested_exit exit;
	bool exit_waits, violation_waits;
	bool merge_waits;
	u64 evmcs;
	bool evmcs_restored, evmcs_fresh, evmcs_stale;
	bool evmcs_direct_flush;
	u64 evmcs_partition;
	struct evmcs *evmcs_copy;
	bool bitmap_merged;
};

/*
 * shadow_key.mode: EPT's accessed and dirty bits, execute-only entries, mode-based execute control, the width of L1's
 * addresses.
 */
#define NESTED_KEY_AD		BIT(0)
#define NESTED_KEY_EXEC_ONLY	BIT(1)
#define NESTED_KEY_MBEC		BIT(2)
#define NESTED_KEY_WIDTH_SHIFT	8

static inline u32 nested_vmx_cpu2(const struct vmcs12 *v)
{
	return v->cpu_controls & BIT(31) ? v->cpu2_controls : 0;
}

static inline bool nested_vmx_uses(const struct vmcs12 *v, u32 control)
{
	return nested_vmx_cpu2(v) & control;
}

/* KVM_GET_NESTED_STATE has to tell of an enlightened VMCS. */
static inline bool nested_vmx_evmcs_is_set(const struct nested_vmx *nested)
{
	return nested->evmcs != NO_VMCS || nested->evmcs_restored;
}

/* Where L1's current VMCS is, of either kind. Of an enlightened one's address the offset in its page means nothing. */
static inline u64 nested_vmx_vmcs_address(const struct nested_vmx *nested)
{
	return unlikely(nested->evmcs != NO_VMCS) ? nested->evmcs & PAGE_MASK : nested->current_vmcs;
}

/* L1 wrote a field. */
static inline void nested_vmx_write_field(struct nested_vmx *nested, enum vmcs12_index index, u64 encoding, u64 value)
{
	vmcs12_set(nested->vmcs12, index, encoding, value);
	__set_bit(index, nested->stale);
	__set_bit(index, nested->dirty);
}

/* VM-instruction errors (SDM, VM-Instruction Error Numbers). */
enum vmx_error {
	VMX_ERROR_VMCLEAR_ADDRESS = 2,
	VMX_ERROR_VMCLEAR_VMXON_POINTER = 3,
	VMX_ERROR_VMPTRLD_ADDRESS = 9,
	VMX_ERROR_VMPTRLD_VMXON_POINTER = 10,
	VMX_ERROR_VMPTRLD_REVISION = 11,
	VMX_ERROR_NO_FIELD = 12,
	VMX_ERROR_READ_ONLY_FIELD = 13,
	VMX_ERROR_VMXON_ROOT = 15,
	VMX_ERROR_INVALIDATION = 28,
};

/* nested_caps.c */
void nested_vmx_caps_setup(void);
void nested_vmx_caps_init(struct vmx_vcpu *vmx);
u64 nested_vmx_caps_host(u32 msr);
u64 nested_vmx_caps_get(struct vcpu *vcpu, u32 msr, bool host);
int nested_vmx_caps_set(struct vcpu *vcpu, u32 msr, u64 value);
void nested_vmx_caps_check(struct vcpu *vcpu, u64 *caps);

static inline bool nested_vmx_offers(const struct nested_vmx *nested, enum nested_word word, u32 control)
{
	return nested->caps.words[word] >> 32 & control;
}

/* nested_operand.c. True: done. False: *next is what the handler returns, with an exception raised perhaps. */
bool nested_vmx_read_operand(struct vcpu *vcpu, void *buf, unsigned int size, int *next);
bool nested_vmx_write_operand(struct vcpu *vcpu, const void *buf, unsigned int size, int *next);

/* nested_insn.c */
void nested_vmx_set_operation(struct vmx_vcpu *vmx, bool on);
int nested_vmx_handle_vmxon(struct vcpu *vcpu);
int nested_vmx_handle_vmxoff(struct vcpu *vcpu);
int nested_vmx_handle_vmclear(struct vcpu *vcpu);
int nested_vmx_handle_vmptrld(struct vcpu *vcpu);
int nested_vmx_handle_vmptrst(struct vcpu *vcpu);
int nested_vmx_handle_vmread(struct vcpu *vcpu);
int nested_vmx_handle_vmwrite(struct vcpu *vcpu);
int nested_vmx_handle_invept(struct vcpu *vcpu);
int nested_vmx_handle_invvpid(struct vcpu *vcpu);
bool nested_vmx_revision_ok(const struct nested_vmx *nested, u32 revision);
u64 nested_vmx_operand(struct vcpu *vcpu, int gpr);
int nested_vmx_succeed(struct vcpu *vcpu);
int nested_vmx_fail(struct vcpu *vcpu, enum vmx_error error);
int nested_vmx_fail_invalid(struct vcpu *vcpu);
bool nested_vmx_permitted(struct vcpu *vcpu);
void nested_vmx_set_vmcs12(struct vmx_vcpu *vmx, u64 address);
int nested_vmx_release_vmcs12(struct vcpu *vcpu);

/* nested_entry.c */
int nested_vmx_check_setup(void);
void nested_vmx_check_cleanup(void);
int nested_vmx_handle_vmlaunch(struct vcpu *vcpu);
int nested_vmx_handle_vmresume(struct vcpu *vcpu);
int nested_vmx_resume_l2(struct vcpu *vcpu);
int nested_vmx_read_memory(struct vcpu *vcpu);

/* nested_vmcs02.c: what the CPU is told for L2 */
void nested_vmx_write_constants(struct nested_vmx *nested);
void nested_vmx_update_controls(struct vmx_vcpu *vmx);
void nested_vmx_update_tsc(struct vmx_vcpu *vmx);
int nested_vmx_merge_msr_bitmaps(struct vmx_vcpu *vmx);
void nested_vmx_use_vmcs02(struct vmx_vcpu *vmx);
void nested_vmx_start_timer(struct vmx_vcpu *vmx);
u64 nested_vmx_ticks_left(struct vmx_vcpu *vmx);
u32 nested_vmx_timer_left(struct vmx_vcpu *vmx);
void nested_vmx_prepare_entry(struct vmx_vcpu *vmx);
u64 nested_vmx_cr0_shadow(const struct vmx_vcpu *vmx, u64 cr0);
u64 nested_vmx_cr4_shadow(const struct vmx_vcpu *vmx, u64 cr4);
u64 nested_vmx_cr_write(struct vmx_vcpu *vmx, int cr, u64 value);

/* nested_exit.c */
bool nested_vmx_handle_exit(struct vmx_vcpu *vmx, int *next);
void nested_vmx_reflect_exit(struct vmx_vcpu *vmx);
bool nested_vmx_intercepts(struct vcpu *vcpu, enum nested_event event, u8 vector, u32 error);
void nested_vmx_reflect(struct vcpu *vcpu, enum nested_event event);
void nested_vmx_save_vectoring(struct vmx_vcpu *vmx, struct nested_exit *e);
bool nested_vmx_blocks_init(struct vcpu *vcpu);
bool nested_vmx_blocks_smi(struct vcpu *vcpu);
int nested_vmx_smm_enter(struct vcpu *vcpu, u64 *vmcb);
int nested_vmx_smm_leave(struct vcpu *vcpu, const u64 *vmcb);
int nested_vmx_insn(struct vcpu *vcpu, const struct emu_intercept *info);
void nested_vmx_reflect_insn(struct vcpu *vcpu);

/* nested_idle.c */
void nested_vmx_idle_init(struct nested_vmx *nested);
int nested_vmx_load_activity(struct vmx_vcpu *vmx);
void nested_vmx_restore_activity(struct vmx_vcpu *vmx);
u32 nested_vmx_activity(const struct vcpu *vcpu);
void nested_vmx_waits(struct vcpu *vcpu);
bool nested_vmx_timer_ends_wait(struct vmx_vcpu *vmx);

/* nested_ept.c */
bool nested_vmx_eptp_valid(struct vcpu *vcpu, u64 eptp);
void nested_vmx_ept_key(struct vcpu *vcpu, u64 eptp, struct shadow_key *key);
void nested_vmx_decode(const struct shadow_key *key, u64 entry, int level, struct l1_entry *out);
void nested_vmx_use_tables(struct vcpu *vcpu, struct shadow_root *root);
void nested_vmx_reflect_walk(struct vcpu *vcpu);

/* nested_vmfunc.c */
int nested_vmx_handle_vmfunc(struct vcpu *vcpu);

/* nested_ve.c */
bool nested_vmx_converts(struct vmx_vcpu *vmx, const struct nested_walk *w);
void nested_vmx_violation(struct vmx_vcpu *vmx);

/* nested_switch.c */
void nested_vmx_exit(struct vmx_vcpu *vmx);
void nested_vmx_entry_failure(struct vmx_vcpu *vmx, u32 reason, u64 qualification);
int nested_vmx_sync(struct vcpu *vcpu);
void nested_vmx_save_guest(struct vmx_vcpu *vmx);
void nested_vmx_leave(struct vcpu *vcpu);

/* nested_apic.c */
int nested_vmx_apic_init(struct nested_vmx *nested);
void nested_vmx_apic_free(struct nested_vmx *nested);
void nested_vmx_apic_write_constants(struct nested_vmx *nested);
int nested_vmx_apic_load(struct vmx_vcpu *vmx);
int nested_vmx_apic_store(struct vmx_vcpu *vmx);
void nested_vmx_apic_controls(const struct vmcs12 *v, u32 *cpu, u32 *cpu2);
u64 nested_vmx_apic_msrs(const struct vmcs12 *v, bool write);
int nested_vmx_apic_bring_in(struct vcpu *vcpu);
bool nested_vmx_apic_has_frame(struct vcpu *vcpu);
void nested_vmx_apic_enter(struct vmx_vcpu *vmx);
void nested_vmx_apic_left(struct vmx_vcpu *vmx);
bool nested_vmx_apic_wakes(struct vcpu *vcpu);
void nested_vmx_apic_merge_posted(struct vcpu *vcpu);
bool nested_vmx_apic_take_posted(struct vcpu *vcpu);
void nested_vmx_apic_update_tpr(struct vmx_vcpu *vmx);

/* nested_evmcs.c */
bool nested_vmx_has_evmcs(const struct vcpu *vcpu);
void nested_vmx_evmcs_release(struct nested_vmx *nested);
int nested_vmx_evmcs_enter(struct vcpu *vcpu, bool resume);
int nested_vmx_evmcs_prepare(struct vcpu *vcpu);
int nested_vmx_evmcs_sync(struct vcpu *vcpu);
void nested_vmx_evmcs_store(struct vcpu *vcpu);
int nested_vmx_evmcs_store_error(struct vcpu *vcpu);
void nested_vmx_evmcs_reload(struct vcpu *vcpu);
int nested_vmx_evmcs_read(struct vcpu *vcpu, enum vmcs12_index index, u64 encoding, u64 *value);
int nested_vmx_evmcs_clear(struct vcpu *vcpu, u64 address);
void nested_vmx_after_flush(struct vcpu *vcpu);
void nested_vmx_enable_evmcs(struct vcpu *vcpu);

/* nested_shadowing.c */
int nested_vmx_shadowing_setup(void);
void nested_vmx_shadowing_cleanup(void);
int nested_vmx_shadowing_init(struct nested_vmx *nested);
void nested_vmx_shadowing_free(struct nested_vmx *nested);
void nested_vmx_shadowing_write(void);
void nested_vmx_shadowing_update(struct vmx_vcpu *vmx);
void nested_vmx_shadowing_fill(struct vmx_vcpu *vmx);
void nested_vmx_shadowing_read(struct vmx_vcpu *vmx);
void nested_vmx_shadowing_clear(struct nested_vmx *nested);

/* nested_state.c */
void nested_vmx_vcpu_init(struct vmx_vcpu *vmx);
void nested_vmx_vcpu_destroy(struct vmx_vcpu *vmx);
void nested_vmx_vcpu_reset(struct vmx_vcpu *vmx);
int nested_vmx_alloc(struct vmx_vcpu *vmx);
long nested_vmx_get_state(struct vcpu *vcpu, struct kvm_nested_state __user *user, u32 size);
int nested_vmx_set_state(struct vcpu *vcpu, struct kvm_nested_state __user *user, const struct kvm_nested_state *head);
bool nested_vmx_cr0_valid(struct vcpu *vcpu, u64 cr0);
bool nested_vmx_cr4_valid(struct vcpu *vcpu, u64 cr4);

#endif
