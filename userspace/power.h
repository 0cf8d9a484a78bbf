/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_POWER_H
#define NESTOR_POWER_H

/* Ports and values that the FADT and the DSDT tell the guest. */
#define POWER_PM1A_EVT	0x600
#define POWER_PM1A_CNT	0x604
#define POWER_PM_TIMER	0x608
#define POWER_RESET	0xcf9
#define POWER_RESET_VALUE 0x06
#define POWER_SLP_TYP_S5 0

struct vm;

int power__create(struct vm *vm);
void power__destroy(struct vm *vm);

#endif
