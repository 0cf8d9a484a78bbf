// SPDX-License-Identifier: GPL-2.0
/*
 * The ways in which a guest ends its machine: the ACPI PM1a block (power-off), the
 * reset register at port 0xcf9, and the keyboard controller's reset line.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "power.h"
#include "util.h"
#include "vm.h"

#define PM_PORTS		12
#define PM1_STS			0
#define PM1_EN			2
#define PM1_CNT			4
#define PM_TMR			8

#define PM1_CNT_SCI_EN		(1u << 0)
#define PM1_CNT_SLP_TYP_SHIFT	10
#define PM1_CNT_SLP_TYP_MASK	7u
#define PM1_CNT_SLP_EN		(1u << 13)

#define PM_TIMER_HZ		3579545ULL
#define PM_TIMER_MASK		0xffffffU

#define RESET_CPU		(1u << 2)

#define I8042_PORT		0x60
#define I8042_PORTS		5
#define I8042_COMMAND		4
#define I8042_PULSE_RESET	0xfe
#define I8042_STATUS_IDLE	0

/**
 * struct power - the power management registers
 * @vm: the VM
 * @lock: guards all below
 * @pm1_en: event enables; kept, as there are no events
 * @pm1_cnt: the control register
 * @reset: what was last written to the reset register
 */
struct power {
	struct vm *vm;
	pthread_mutex_t lock;
	uint16_t pm1_en;
	uint16_t pm1_cnt;
	uint8_t reset;
};

/* ACPI specification, 'Power Management Timer': 24 bits at 3.579545 MHz. */
static uint32_t pm_timer(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec * PM_TIMER_HZ + now.tv_nsec * PM_TIMER_HZ / 1000000000) &
	       PM_TIMER_MASK;
}

static void power__write_pm1_cnt(struct power *power, uint16_t value)
{
	unsigned int type = (value >> PM1_CNT_SLP_TYP_SHIFT) & PM1_CNT_SLP_TYP_MASK;

	if ((value & PM1_CNT_SLP_EN) && type == POWER_SLP_TYP_S5)
		vm__end(power->vm, VM_POWEROFF);
	power->pm1_cnt = value & ~PM1_CNT_SLP_EN;
}

static void power__pm(void *opaque, const struct io_access *access)
{
	struct power *power = opaque;

	pthread_mutex_lock(&power->lock);
	switch (access->offset) {
	case PM1_STS:
		if (!access->write)
			io__answer(access, (uint32_t)power->pm1_en << 16);
		break;
	case PM1_EN:
		if (access->write)
			power->pm1_en = io__value(access);
		else
			io__answer(access, power->pm1_en);
		break;
	case PM1_CNT:
		/* Always in ACPI mode: there is no SMI to switch it on or off. */
		if (access->write)
			power__write_pm1_cnt(power, io__value(access));
		else
			io__answer(access, power->pm1_cnt | PM1_CNT_SCI_EN);
		break;
	case PM_TMR:
		if (!access->write)
			io__answer(access, pm_timer());
		break;
	}
	pthread_mutex_unlock(&power->lock);
}

static void power__reset(void *opaque, const struct io_access *access)
{
	struct power *power = opaque;

	pthread_mutex_lock(&power->lock);
	if (!access->write) {
		io__answer(access, power->reset);
	} else {
		power->reset = access->data[0];
		if (power->reset & RESET_CPU)
			vm__end(power->vm, VM_REBOOT);
	}
	pthread_mutex_unlock(&power->lock);
}

/*
 * A keyboard controller without a keyboard. Its status is 'ready for a command',
 * so that a guest that resets through it does not wait for it first. Port 0x61
 * lies between and is the in-kernel PIT's.
 */
static void power__i8042(void *opaque, const struct io_access *access)
{
	struct power *power = opaque;

	if (!access->write)
		io__answer(access, access->offset == I8042_COMMAND ? I8042_STATUS_IDLE : 0);
	else if (access->offset == I8042_COMMAND && access->data[0] == I8042_PULSE_RESET)
		vm__end(power->vm, VM_REBOOT);
}

/** power__create() - make the registers */
int power__create(struct vm *vm)
{
	struct power *power = xcalloc(1, sizeof(*power));
	const struct io_region regions[] = {
		{ IO_PORT, POWER_PM1A_EVT, PM_PORTS, power__pm, power },
		{ IO_PORT, POWER_RESET, 1, power__reset, power },
		{ IO_PORT, I8042_PORT, I8042_PORTS, power__i8042, power },
	};
	int ret = 0;

	pthread_mutex_init(&power->lock, NULL);
	power->vm = vm;
	vm->dev.power = power;
	for (size_t i = 0; i < ARRAY_SIZE(regions) && !ret; i++)
		ret = bus__add(&vm->bus, &regions[i]);
	return ret;
}

/** power__destroy() - free the registers */
void power__destroy(struct vm *vm)
{
	free(vm->dev.power);
	vm->dev.power = NULL;
}
