/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Breaking one rule of VM entry and no other: for the rules' unit test, and for the probe of CPUs.
 */
#ifndef NESTOR_CHECK_BREACH_H
#define NESTOR_CHECK_BREACH_H

#include "../../module/check/check.h"

bool breach__is_alone(const struct check_state *state, const struct check_rule *rule);
bool breach__find(const struct check_rule *rule, const struct check_state *valid, unsigned int depth,
		  struct check_state *broken);

#endif
