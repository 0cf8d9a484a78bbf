// SPDX-License-Identifier: GPL-2.0
/*
 * Enlightenments: hypercalls. Input comes by registers ('fast') or from the guest's memory; what the kernel
 * does not know goes to user space (TLFS, Hypercall Interface).
 */
#include <linux/bitfield.h>
#include <linux/eventfd.h>
#include <linux/sched.h>

#include "pv/hyperv.h"
#include "vm/ops.h"

/* hv_status, or: user space answers. */
#define TO_USER		U64_MAX

bool hv_call_read(struct vm *vm, struct hv_call *call, u64 *words, unsigned int n)
{
	unsigned int at = call->next;

	if (!n)
		return true;
	if (call->fast) {
		if (at > call->nr_words || n > call->nr_words - at)
			return false;
		memcpy(words, call->words + at, n * sizeof(*words));
	} else if (vm_read(vm, call->gpa + at * sizeof(*words), words, n * sizeof(*words))) {
		return false;
	}
	call->next += n;
	return true;
}

/* Calls whose fast form goes on in the XMM registers. */
static bool takes_xmm(u16 code)
{
	switch (code) {
	case HV_CALL_FLUSH_LIST:
	case HV_CALL_FLUSH_SPACE:
	case HV_CALL_FLUSH_LIST_EX:
	case HV_CALL_FLUSH_SPACE_EX:
	case HV_CALL_SEND_IPI_EX:
		return true;
	default:
		return false;
	}
}

static void read_registers(struct vcpu *vcpu, struct hv_call *call)
{
	const u64 *gpr = vcpu->regs.gpr;

	if (vcpu_is_64bit(vcpu)) {
		call->control = gpr[GPR_RCX];
		call->gpa = gpr[GPR_RDX];
		call->output = gpr[GPR_R8];
	} else {
		call->control = gpr[GPR_RDX] << 32 | (u32)gpr[GPR_RAX];
		call->gpa = gpr[GPR_RBX] << 32 | (u32)gpr[GPR_RCX];
		call->output = gpr[GPR_RDI] << 32 | (u32)gpr[GPR_RSI];
	}
	call->code = FIELD_GET(HV_CALL_CODE, call->control);
	call->fast = call->control & HV_CALL_FAST;
	call->var_header = FIELD_GET(HV_CALL_VAR_HEADER, call->control);
	call->reps = FIELD_GET(HV_CALL_REPS, call->control);
	call->rep_start = FIELD_GET(HV_CALL_REP_START, call->control);
	call->next = 0;
	call->words[0] = call->gpa;
	call->words[1] = call->output;
	call->nr_words = 2;
}

/* Not in a burst: the registers are in the CPU there. */
static void read_xmm(struct vcpu *vcpu, struct hv_call *call)
{
	unsigned int reg;

	for (reg = 0; reg < 6; reg++)
		if (cpu_read_xmm(vcpu, reg, &call->words[2 + 2 * reg], 16))
			return;
	call->nr_words = ARRAY_SIZE(call->words);
}

/* TLFS, Hypervisor Feature Identification: what gives the right to a call. */
static bool may_call(const struct vcpu_hv *hv, u16 code)
{
	const struct hv_features *f = &hv->features;

	if (!hv->enforce)
		return true;
	switch (code) {
	case HV_CALL_LONG_SPIN:
		return f->spins && f->spins != U32_MAX;
	case HV_CALL_POST_MESSAGE:
		return f->ebx & HV_CAN_POST_MESSAGES;
	case HV_CALL_SIGNAL_EVENT:
		return f->ebx & HV_CAN_SIGNAL_EVENTS;
	case HV_CALL_POST_DEBUG:
	case HV_CALL_RETRIEVE_DEBUG:
	case HV_CALL_RESET_DEBUG:
		/* Without a debugger there is no such call at all. */
		return !(f->debug & HV_DEBUG_ALLOWED) || f->ebx & HV_CAN_DEBUG;
	case HV_CALL_FLUSH_LIST_EX:
	case HV_CALL_FLUSH_SPACE_EX:
		return f->hints & HV_HINT_EX_MASKS && f->hints & HV_HINT_REMOTE_FLUSH;
	case HV_CALL_FLUSH_LIST:
	case HV_CALL_FLUSH_SPACE:
		return f->hints & HV_HINT_REMOTE_FLUSH;
	case HV_CALL_SEND_IPI_EX:
		return f->hints & HV_HINT_EX_MASKS && f->hints & HV_HINT_CLUSTER_IPI;
	case HV_CALL_SEND_IPI:
		return f->hints & HV_HINT_CLUSTER_IPI;
	case HV_CALL_EXT_FIRST ... HV_CALL_EXT_LAST:
		return f->ebx & HV_CAN_EXT_CALLS;
	default:
		return true;
	}
}

/* What a call may have: a list to repeat for, a header of variable size, a fast form. */
static const struct {
	u16 first, last;
	bool reps, var_header;
} shapes[] = {
	{ HV_CALL_FLUSH_SPACE, HV_CALL_FLUSH_SPACE, false, false },
	{ HV_CALL_FLUSH_LIST, HV_CALL_FLUSH_LIST, true, false },
	{ HV_CALL_LONG_SPIN, HV_CALL_LONG_SPIN, false, false },
	{ HV_CALL_SEND_IPI, HV_CALL_SEND_IPI, false, false },
	{ HV_CALL_FLUSH_SPACE_EX, HV_CALL_FLUSH_SPACE_EX, false, true },
	{ HV_CALL_FLUSH_LIST_EX, HV_CALL_FLUSH_LIST_EX, true, true },
	{ HV_CALL_SEND_IPI_EX, HV_CALL_SEND_IPI_EX, false, true },
	{ HV_CALL_POST_MESSAGE, HV_CALL_SIGNAL_EVENT, false, false },
};

static bool well_formed(const struct hv_call *call)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (call->code < shapes[i].first || call->code > shapes[i].last)
			continue;
		if (call->var_header && !shapes[i].var_header)
			return false;
		/* A flush is done at once: nobody comes back to its middle. */
		return shapes[i].reps ? call->reps && !call->rep_start : !call->reps && !call->rep_start;
	}
	return true;
}

/*
 * Connections: HvCallSignalEvent on an eventfd
 */

#define CONNECTION_ID		GENMASK_ULL(23, 0)
#define CONNECTION_FLAG		GENMASK_ULL(47, 32)

static u64 signal_connection(struct vcpu *vcpu, u64 param)
{
	struct eventfd_ctx *ctx;

	/* Flags are numbered from 0 in practice, and eventfds have only one. */
	if (param & CONNECTION_FLAG)
		return HV_INVALID_PORT;
	if (param & ~CONNECTION_ID)
		return HV_INVALID_INPUT;
	rcu_read_lock();
	ctx = xa_load(&vcpu->vm->hv->connections, param);
	if (ctx)
		compat_eventfd_signal(ctx);
	rcu_read_unlock();
	return ctx ? HV_SUCCESS : HV_INVALID_PORT;
}

static u64 signal_event(struct vcpu *vcpu, struct hv_call *call)
{
	u64 param, status;

	if (!call->fast && !IS_ALIGNED(call->gpa, sizeof(param)))
		return HV_INVALID_ALIGNMENT;
	if (!hv_call_read(vcpu->vm, call, &param, 1))
		return HV_INVALID_ALIGNMENT;
	/* User space is given the parameter itself. */
	call->gpa = param;
	status = signal_connection(vcpu, param);
	/* It may know ports that have no eventfd, where it has a SynIC to answer with. */
	if (status != HV_INVALID_PORT)
		return status;
	return vcpu->hv->synic.active ? TO_USER : HV_INVALID_INPUT;
}

static int assign_connection(struct vm_hv *hv, u32 id, int fd)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(fd);
	int r;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	r = xa_insert(&hv->connections, id, ctx, GFP_KERNEL_ACCOUNT);
	if (r)
		eventfd_ctx_put(ctx);
	return r == -EBUSY ? -EEXIST : r;
}

static int remove_connection(struct vm_hv *hv, u32 id)
{
	struct eventfd_ctx *ctx = xa_erase(&hv->connections, id);

	if (!ctx)
		return -ENOENT;
	/* A vCPU may be signalling it. */
	synchronize_rcu();
	eventfd_ctx_put(ctx);
	return 0;
}

int hv_eventfd(struct vm *vm, const struct kvm_hyperv_eventfd *args)
{
	struct vm_hv *hv;

	if (args->flags & ~KVM_HYPERV_EVENTFD_DEASSIGN || args->conn_id & ~(u32)CONNECTION_ID)
		return -EINVAL;
	hv = hv_vm_prepare(vm);
	if (!hv)
		return -ENOMEM;
	return args->flags ? remove_connection(hv, args->conn_id) :
			     assign_connection(hv, args->conn_id, args->fd);
}

/*
 * Dispatch
 */

static u64 debug_call(struct vcpu *vcpu, const struct hv_call *call)
{
	if (call->fast && call->code != HV_CALL_RESET_DEBUG)
		return HV_INVALID_PARAMETER;
	if (!(vcpu->hv->features.debug & HV_DEBUG_ALLOWED))
		return HV_INVALID_CODE;
	if (!(READ_ONCE(vcpu->vm->hv->debug_options) & HV_DEBUG_USE_HYPERCALLS))
		return HV_OPERATION_DENIED;
	return TO_USER;
}

/* HV_* with the repetitions done, or TO_USER. */
static u64 dispatch(struct vcpu *vcpu, struct hv_call *call)
{
	switch (call->code) {
	case HV_CALL_LONG_SPIN:
		/* Give the CPU to whoever wants it, the lock's holder perhaps. */
		cond_resched();
		return HV_SUCCESS;
	case HV_CALL_SIGNAL_EVENT:
		return signal_event(vcpu, call);
	case HV_CALL_POST_MESSAGE:
		return vcpu->hv->synic.active ? TO_USER : HV_INVALID_INPUT;
	case HV_CALL_FLUSH_LIST:
	case HV_CALL_FLUSH_SPACE:
	case HV_CALL_FLUSH_LIST_EX:
	case HV_CALL_FLUSH_SPACE_EX:
		return hv_call_flush(vcpu, call);
	case HV_CALL_SEND_IPI:
	case HV_CALL_SEND_IPI_EX:
		return hv_call_send_ipi(vcpu, call);
	case HV_CALL_POST_DEBUG:
	case HV_CALL_RETRIEVE_DEBUG:
	case HV_CALL_RESET_DEBUG:
		return debug_call(vcpu, call);
	case HV_CALL_EXT_FIRST ... HV_CALL_EXT_LAST:
		return call->fast ? HV_INVALID_PARAMETER : TO_USER;
	default:
		return HV_INVALID_CODE;
	}
}

/* The result, and past the instruction. */
static int finish(struct vcpu *vcpu, u64 result)
{
	u64 *gpr = vcpu->regs.gpr;

	if (vcpu_is_64bit(vcpu)) {
		gpr[GPR_RAX] = result;
	} else {
		gpr[GPR_RAX] = (u32)result;
		gpr[GPR_RDX] = result >> 32;
	}
	vcpu->stats.hypercalls++;
	return vendor_call(skip_instruction)(vcpu);
}

static int complete_call(struct vcpu *vcpu)
{
	return finish(vcpu, READ_ONCE(vcpu->run->hyperv.u.hcall.result));
}

static int to_user(struct vcpu *vcpu, const struct hv_call *call)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_HYPERV;
	run->hyperv = (struct kvm_hyperv_exit) {
		.type = KVM_EXIT_HYPERV_HCALL,
		.u.hcall = {
			.input = call->control,
			.params = { call->gpa, call->output },
		},
	};
	vcpu->complete = complete_call;
	return RUN_USER;
}

/* With more vCPUs than this to look through, an interrupt is not sent with interrupts off. */
#define MAX_BURST_VCPUS		128

/* Some calls come at every event; the rest may sleep: for guest memory, for other vCPUs. */
static bool may_stay_in_burst(struct vcpu *vcpu, const struct hv_call *call)
{
	if (!call->fast)
		return false;
	if (call->code == HV_CALL_SEND_IPI)
		return atomic_read(&vcpu->vm->nr_vcpus) <= MAX_BURST_VCPUS;
	return call->code == HV_CALL_SIGNAL_EVENT;
}

/* What L2 takes for a physical address is a gpa2. False: L1 does not map it. */
static bool translate_input(struct vcpu *vcpu, struct hv_call *call)
{
	if (call->fast || !vcpu->nested.walks)
		return true;
	return !nested_translate(vcpu, call->gpa, L1_READ, &(struct nested_linear){}, false, &call->gpa);
}

/* Of L2 there are flushes only, see hv_takes_call(). */
static int finish_l2(struct vcpu *vcpu, u64 result)
{
	bool tell = false;
	u64 status;
	int r;

	if ((u16)result == HV_SUCCESS) {
		status = hv_flushed(vcpu, &tell);
		result = status ?: result;
	}
	r = finish(vcpu, result);
	if (tell && r == RUN_GUEST)
		vendor->nested->after_flush(vcpu);
	return r;
}

int hv_hypercall(struct vcpu *vcpu)
{
	struct vcpu_hv *hv = vcpu->hv;
	struct hv_call call;
	u64 result;

	if (!vcpu_is_protected(vcpu) || vcpu_cpl(vcpu)) {
		vcpu_raise(vcpu, EXC_UD);
		return RUN_GUEST;
	}
	read_registers(vcpu, &call);
	if (vcpu->in_burst && !may_stay_in_burst(vcpu, &call))
		return RUN_SLOW;
	if (!may_call(hv, call.code))
		return finish(vcpu, HV_ACCESS_DENIED);
	if (call.control & HV_CALL_RESERVED)
		return finish(vcpu, HV_INVALID_INPUT);
	if (call.fast && takes_xmm(call.code)) {
		if (hv->enforce && !(hv->features.edx & HV_HAS_XMM_INPUT)) {
			vcpu_raise(vcpu, EXC_UD);
			return RUN_GUEST;
		}
		read_xmm(vcpu, &call);
	}
	result = well_formed(&call) && translate_input(vcpu, &call) ? dispatch(vcpu, &call) : HV_INVALID_INPUT;
	if (vcpu->nested.guest_mode)
		return finish_l2(vcpu, result);
	return result == TO_USER ? to_user(vcpu, &call) : finish(vcpu, result);
}
