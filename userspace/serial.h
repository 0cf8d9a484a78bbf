/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_SERIAL_H
#define NESTOR_SERIAL_H

#define SERIAL_PORT 0x3f8

struct vm;

int serial__create(struct vm *vm);
void serial__destroy(struct vm *vm);

#endif
