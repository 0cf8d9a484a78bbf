/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_STATS_H
#define NESTOR_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

void stats__print(const struct vm *vm);
bool stats__read_one(int fd, const char *name, uint64_t *value);

#endif
