/* SPDX-License-Identifier: GPL-2.0 */
/* Valid states, to be broken. */
#ifndef NESTOR_UNIT_CHECK_STATES_H
#define NESTOR_UNIT_CHECK_STATES_H

#include "check/check.h"

/* Return: the name of state @n of a vendor, NULL past the last. All values are known in @state. */
const char *valid_state(const struct check_table *table, unsigned int n, struct check_state *state);

#endif
