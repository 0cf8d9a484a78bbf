// SPDX-License-Identifier: GPL-2.0
#include "vm/ops.h"

/* The name of an exit reason for a trace line: found once per line, so a linear search will do. */
const char *trace_exit_name(u32 reason);

const char *trace_exit_name(u32 reason)
{
	const struct exit_name *n;

	for (n = vendor->exit_names; n->name; n++)
		if (n->reason == reason)
			return n->name;
	return "unknown";
}

#define CREATE_TRACE_POINTS
#include "trace/trace.h"

#ifdef NESTOR_COUNT_OPS
DEFINE_PER_CPU(struct counted_ops, counted_ops);
#endif
