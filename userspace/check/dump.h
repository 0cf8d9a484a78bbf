/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_CHECK_DUMP_H
#define NESTOR_CHECK_DUMP_H

#include "../../module/check/check.h"

void caps__default(struct check_state *state);
void caps__finish(struct check_state *state, bool cr3_given);

#endif
