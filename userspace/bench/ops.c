// SPDX-License-Identifier: GPL-2.0
/* The module's counts of costly operations, one 'NAME VALUE' a line in debugfs. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

#define OPS_FILE "/sys/kernel/debug/nestor/ops"

/** ops__read() - read all counts; none when the hypervisor has no such file */
void ops__read(struct ops *ops)
{
	FILE *file = fopen(OPS_FILE, "re");
	unsigned long long value;

	ops->count = 0;
	if (!file)
		return;
	while (ops->count < OPS_MAX &&
	       fscanf(file, "%31s %llu", ops->op[ops->count].name, &value) == 2)
		ops->op[ops->count++].value = value;
	fclose(file);
}

/** ops__subtract() - what was counted since @before was read */
void ops__subtract(struct ops *ops, const struct ops *before)
{
	for (unsigned int i = 0; i < ops->count; i++)
		if (i < before->count && !strcmp(ops->op[i].name, before->op[i].name))
			ops->op[i].value -= before->op[i].value;
}

/** ops__divide() - turn counts of a run into counts per exit */
void ops__divide(struct ops *ops, unsigned int by)
{
	for (unsigned int i = 0; i < ops->count; i++)
		ops->op[i].value /= by;
}
