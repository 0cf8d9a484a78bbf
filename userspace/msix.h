/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_MSIX_H
#define NESTOR_MSIX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

#define MSIX_BAR_SIZE	0x1000
#define MSIX_PBA_OFFSET	0x800
#define MSIX_MAX_VECTORS 16

struct vm;

/**
 * struct msix_vector - one entry of the table
 * @words: address low and high, data, vector control
 * @pending: a signal arrived while the vector was masked
 * @gsi: its route
 * @eventfd: delivers it
 */
struct msix_vector {
	uint32_t words[4];
	bool pending;
	uint32_t gsi;
	int eventfd;
};

/**
 * struct msix - a function's MSI-X table
 * @vm: the VM
 * @lock: guards all below
 * @nr_vectors: size of the table
 * @enabled: MSI-X Enable in the capability
 * @masked: Function Mask in the capability
 * @vectors: the table
 */
struct msix {
	struct vm *vm;
	pthread_mutex_t lock;
	unsigned int nr_vectors;
	bool enabled;
	bool masked;
	struct msix_vector vectors[MSIX_MAX_VECTORS];
};

int msix__init(struct msix *msix, struct vm *vm, unsigned int nr_vectors);
void msix__exit(struct msix *msix);
void msix__access(struct msix *msix, const struct io_access *access);
void msix__control(struct msix *msix, uint16_t control);
bool msix__enabled(struct msix *msix);
void msix__signal(struct msix *msix, unsigned int vector);

#endif
