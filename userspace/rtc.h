/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_RTC_H
#define NESTOR_RTC_H

struct vm;

int rtc__create(struct vm *vm);
void rtc__destroy(struct vm *vm);

#endif
