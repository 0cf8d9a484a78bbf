/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_ACPI_H
#define NESTOR_ACPI_H

struct vm;

int acpi__build(struct vm *vm);

#endif
