/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: nestor:{enter,exit,fault,inject,msr,pio,mmio,cpuid,apic,entry_failed,nested_enter,nested_exit,
 *	nested_refused}.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM nestor

#if !defined(NESTOR_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define NESTOR_TRACE_H

#include <linux/tracepoint.h>

#include "compat.h"

const char *trace_exit_name(u32 reason);

TRACE_EVENT(enter,
	TP_PROTO(u32 vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->rip = rip;
	),
	TP_printk("vcpu %u rip 0x%llx", __entry->vcpu, __entry->rip)
);

/* info1, info2: exit qualification and guest-physical address; or EXITINFO1 and EXITINFO2. */
DECLARE_EVENT_CLASS(exit_class,
	TP_PROTO(u32 vcpu, u32 reason, u64 rip, u64 info1, u64 info2, u32 intr, u32 error),
	TP_ARGS(vcpu, reason, rip, info1, info2, intr, error),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, reason)
		__field(u64, rip)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, intr)
		__field(u32, error)
		__string(name, trace_exit_name(reason))
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->reason = reason;
		__entry->rip = rip;
		__entry->info1 = info1;
		__entry->info2 = info2;
		__entry->intr = intr;
		__entry->error = error;
		compat_assign_str(name, trace_exit_name(reason));
	),
	TP_printk("vcpu %u reason %s (0x%x) rip 0x%llx info1 0x%llx info2 0x%llx intr 0x%x error 0x%x",
		  __entry->vcpu, __get_str(name), __entry->reason, __entry->rip,
		  __entry->info1, __entry->info2, __entry->intr, __entry->error)
);

DEFINE_EVENT(exit_class, exit,
	TP_PROTO(u32 vcpu, u32 reason, u64 rip, u64 info1, u64 info2, u32 intr, u32 error),
	TP_ARGS(vcpu, reason, rip, info1, info2, intr, error));

#define trace_fault_result(r)					\
	__print_symbolic(r, { 0, "fixed" }, { 1, "mmio" }, { 2, "readonly" }, { 3, "slow" },	\
			 { 4, "retry" }, { 5, "error" })

TRACE_EVENT(fault,
	TP_PROTO(u32 vcpu, u64 gpa, bool write, bool exec, bool present, int level, int result),
	TP_ARGS(vcpu, gpa, write, exec, present, level, result),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, gpa)
		__field(bool, write)
		__field(bool, exec)
		__field(bool, present)
		__field(int, level)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->gpa = gpa;
		__entry->write = write;
		__entry->exec = exec;
		__entry->present = present;
		__entry->level = level;
		__entry->result = result;
	),
	TP_printk("vcpu %u gpa 0x%llx %s%s leaf %s: %s", __entry->vcpu, __entry->gpa,
		  __entry->write ? "write" : __entry->exec ? "fetch" : "read",
		  __entry->present ? " (protection)" : "",
		  __print_symbolic(__entry->level, { 0, "none" }, { 1, "4K" }, { 2, "2M" }, { 3, "1G" }),
		  trace_fault_result(__entry->result))
);

#define trace_inject_kind(k)					\
	__print_symbolic(k, { 0, "interrupt" }, { 1, "nmi" }, { 2, "exception" }, { 3, "soft interrupt" })

TRACE_EVENT(inject,
	TP_PROTO(u32 vcpu, int kind, u8 vector, bool has_error, u32 error, bool again),
	TP_ARGS(vcpu, kind, vector, has_error, error, again),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(int, kind)
		__field(u8, vector)
		__field(bool, has_error)
		__field(u32, error)
		__field(bool, again)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->kind = kind;
		__entry->vector = vector;
		__entry->has_error = has_error;
		__entry->error = error;
		__entry->again = again;
	),
	TP_printk("vcpu %u %s 0x%x%s error 0x%x%s", __entry->vcpu, trace_inject_kind(__entry->kind),
		  __entry->vector, __entry->has_error ? "" : " (none)", __entry->error,
		  __entry->again ? " again" : "")
);

TRACE_EVENT(msr,
	TP_PROTO(u32 vcpu, bool write, u32 index, u64 value, bool fault),
	TP_ARGS(vcpu, write, index, value, fault),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, write)
		__field(u32, index)
		__field(u64, value)
		__field(bool, fault)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->write = write;
		__entry->index = index;
		__entry->value = value;
		__entry->fault = fault;
	),
	TP_printk("vcpu %u %s 0x%x = 0x%llx%s", __entry->vcpu, __entry->write ? "wrmsr" : "rdmsr",
		  __entry->index, __entry->value, __entry->fault ? " (#GP)" : "")
);

TRACE_EVENT(pio,
	TP_PROTO(u32 vcpu, bool write, u16 port, u8 size, u32 count, u32 value),
	TP_ARGS(vcpu, write, port, size, count, value),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, write)
		__field(u16, port)
		__field(u8, size)
		__field(u32, count)
		__field(u32, value)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->write = write;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->value = value;
	),
	TP_printk("vcpu %u %s port 0x%x size %u count %u value 0x%x", __entry->vcpu,
		  __entry->write ? "out" : "in", __entry->port, __entry->size, __entry->count,
		  __entry->value)
);

TRACE_EVENT(mmio,
	TP_PROTO(u32 vcpu, bool write, u64 gpa, u8 len, u64 value, bool kernel),
	TP_ARGS(vcpu, write, gpa, len, value, kernel),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, write)
		__field(u64, gpa)
		__field(u8, len)
		__field(u64, value)
		__field(bool, kernel)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->write = write;
		__entry->gpa = gpa;
		__entry->len = len;
		__entry->value = value;
		__entry->kernel = kernel;
	),
	TP_printk("vcpu %u %s gpa 0x%llx len %u value 0x%llx%s", __entry->vcpu,
		  __entry->write ? "write" : "read", __entry->gpa, __entry->len, __entry->value,
		  __entry->kernel ? " (kernel)" : " (user)")
);

TRACE_EVENT(cpuid,
	TP_PROTO(u32 vcpu, u32 function, u32 index, u32 eax, u32 ebx, u32 ecx, u32 edx),
	TP_ARGS(vcpu, function, index, eax, ebx, ecx, edx),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, function)
		__field(u32, index)
		__field(u32, eax)
		__field(u32, ebx)
		__field(u32, ecx)
		__field(u32, edx)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->function = function;
		__entry->index = index;
		__entry->eax = eax;
		__entry->ebx = ebx;
		__entry->ecx = ecx;
		__entry->edx = edx;
	),
	TP_printk("vcpu %u function 0x%x index 0x%x: eax 0x%x ebx 0x%x ecx 0x%x edx 0x%x",
		  __entry->vcpu, __entry->function, __entry->index, __entry->eax, __entry->ebx,
		  __entry->ecx, __entry->edx)
);

/* reg: offset in the APIC page. */
TRACE_EVENT(apic,
	TP_PROTO(u32 vcpu, bool write, u32 reg, u64 value),
	TP_ARGS(vcpu, write, reg, value),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, write)
		__field(u32, reg)
		__field(u64, value)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->write = write;
		__entry->reg = reg;
		__entry->value = value;
	),
	TP_printk("vcpu %u apic %s 0x%x = 0x%llx", __entry->vcpu, __entry->write ? "write" : "read",
		  __entry->reg, __entry->value)
);

/* One for each broken rule; field: the one to look at first. */
TRACE_EVENT(entry_failed,
	TP_PROTO(u32 vcpu, u64 reason, const char *rule, const char *field, u64 value, const char *expected),
	TP_ARGS(vcpu, reason, rule, field, value, expected),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, reason)
		__field(u64, value)
		__string(rule, rule)
		__string(field, field)
		__string(expected, expected)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->reason = reason;
		__entry->value = value;
		compat_assign_str(rule, rule);
		compat_assign_str(field, field);
		compat_assign_str(expected, expected);
	),
	TP_printk("vcpu %u reason 0x%llx rule %s: %s; %s 0x%llx", __entry->vcpu, __entry->reason,
		  __get_str(rule), __get_str(expected), __get_str(field), __entry->value)
);

/* block: gpa of L1's VMCB or VMCS. rip: L2's. */
TRACE_EVENT(nested_enter,
	TP_PROTO(u32 vcpu, u64 block, u64 rip, u32 event),
	TP_ARGS(vcpu, block, rip, event),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, block)
		__field(u64, rip)
		__field(u32, event)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->block = block;
		__entry->rip = rip;
		__entry->event = event;
	),
	TP_printk("vcpu %u block 0x%llx rip 0x%llx event 0x%x", __entry->vcpu, __entry->block, __entry->rip,
		  __entry->event)
);

/* As exit, of L2 to L1. */
DEFINE_EVENT(exit_class, nested_exit,
	TP_PROTO(u32 vcpu, u32 reason, u64 rip, u64 info1, u64 info2, u32 intr, u32 error),
	TP_ARGS(vcpu, reason, rip, info1, info2, intr, error));

/* rule: of check/, the first one that the entry of an L2 breaks; value: of its first field. */
TRACE_EVENT(nested_refused,
	TP_PROTO(u32 vcpu, u64 block, const char *rule, u64 value),
	TP_ARGS(vcpu, block, rule, value),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, block)
		__string(rule, rule)
		__field(u64, value)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->block = block;
		compat_assign_str(rule, rule);
		__entry->value = value;
	),
	TP_printk("vcpu %u block 0x%llx rule %s value 0x%llx", __entry->vcpu, __entry->block, __get_str(rule),
		  __entry->value)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH trace
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
