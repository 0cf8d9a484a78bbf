// SPDX-License-Identifier: GPL-2.0
/*
 * The MC146818 clock and its CMOS memory. It shows the host's time in UTC; what
 * the guest writes into the clock is ignored, and there are no interrupts.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "rtc.h"
#include "util.h"
#include "vm.h"

#define CMOS_PORT	0x70
#define CMOS_PORTS	2
#define CMOS_SIZE	128

#define RTC_SECONDS	0x00
#define RTC_MINUTES	0x02
#define RTC_HOURS	0x04
#define RTC_WEEKDAY	0x06
#define RTC_DAY		0x07
#define RTC_MONTH	0x08
#define RTC_YEAR	0x09
#define RTC_REG_A	0x0a
#define RTC_REG_B	0x0b
#define RTC_REG_C	0x0c
#define RTC_REG_D	0x0d
#define RTC_CENTURY	0x32

#define RTC_A_32KHZ	0x26
#define RTC_B_24H	0x02
#define RTC_D_VALID	0x80

/**
 * struct rtc - the clock
 * @lock: guards all below
 * @index: the CMOS register that the data port shows
 * @cmos: memory, where a register is not the clock's own
 */
struct rtc {
	pthread_mutex_t lock;
	uint8_t index;
	uint8_t cmos[CMOS_SIZE];
};

static uint8_t to_bcd(int v)
{
	return (v / 10 % 10) << 4 | v % 10;
}

static uint8_t rtc__read(const struct rtc *rtc)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	switch (rtc->index) {
	case RTC_SECONDS:
		return to_bcd(tm.tm_sec);
	case RTC_MINUTES:
		return to_bcd(tm.tm_min);
	case RTC_HOURS:
		return to_bcd(tm.tm_hour);
	case RTC_WEEKDAY:
		return to_bcd(tm.tm_wday + 1);
	case RTC_DAY:
		return to_bcd(tm.tm_mday);
	case RTC_MONTH:
		return to_bcd(tm.tm_mon + 1);
	case RTC_YEAR:
		return to_bcd(tm.tm_year % 100);
	case RTC_CENTURY:
		return to_bcd((tm.tm_year + 1900) / 100);
	case RTC_REG_A:
		/* Never 'update in progress': the time is taken afresh at every read. */
		return RTC_A_32KHZ;
	case RTC_REG_B:
		return RTC_B_24H;
	case RTC_REG_C:
		return 0;
	case RTC_REG_D:
		return RTC_D_VALID;
	default:
		return rtc->cmos[rtc->index];
	}
}

static void rtc__access(void *opaque, const struct io_access *access)
{
	struct rtc *rtc = opaque;

	pthread_mutex_lock(&rtc->lock);
	if (access->write && access->offset == 0)
		/* Bit 7 masks NMIs, of which there are none. */
		rtc->index = access->data[0] % CMOS_SIZE;
	else if (access->write)
		rtc->cmos[rtc->index] = access->data[0];
	else if (access->offset == 1)
		access->data[0] = rtc__read(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

/** rtc__create() - make the clock */
int rtc__create(struct vm *vm)
{
	struct rtc *rtc = xcalloc(1, sizeof(*rtc));

	pthread_mutex_init(&rtc->lock, NULL);
	vm->dev.rtc = rtc;
	return bus__add(&vm->bus, &(struct io_region){
		.space = IO_PORT,
		.base = CMOS_PORT,
		.size = CMOS_PORTS,
		.handler = rtc__access,
		.opaque = rtc,
	});
}

/** rtc__destroy() - free the clock */
void rtc__destroy(struct vm *vm)
{
	free(vm->dev.rtc);
	vm->dev.rtc = NULL;
}
