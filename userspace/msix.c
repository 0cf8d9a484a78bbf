// SPDX-License-Identifier: GPL-2.0
/* MSI-X: the vector table, and signals by irqfd ('MSI-X Capability and Table' in the PCI specification). */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "msix.h"
#include "util.h"
#include "vm.h"

#define ENTRY_SIZE	16
#define WORD_CONTROL	3
#define CONTROL_MASKED	1u

/**
 * msix__init() - make a table of masked vectors
 *
 * Return: 0 or a negative errno, reported.
 */
int msix__init(struct msix *msix, struct vm *vm, unsigned int nr_vectors)
{
	*msix = (struct msix){ .vm = vm };
	pthread_mutex_init(&msix->lock, NULL);
	for (; msix->nr_vectors < nr_vectors; msix->nr_vectors++) {
		struct msix_vector *v = &msix->vectors[msix->nr_vectors];
		int gsi;

		v->words[WORD_CONTROL] = CONTROL_MASKED;
		v->eventfd = eventfd(0, EFD_CLOEXEC);
		if (v->eventfd < 0) {
			pr_err("eventfd: %s", strerror(errno));
			return -errno;
		}
		gsi = irq__alloc_msi(vm, v->eventfd);
		if (gsi < 0) {
			close(v->eventfd);
			return gsi;
		}
		v->gsi = gsi;
	}
	return 0;
}

/** msix__exit() - close the vectors' eventfds; the VM's end detaches them */
void msix__exit(struct msix *msix)
{
	for (unsigned int i = 0; i < msix->nr_vectors; i++)
		close(msix->vectors[i].eventfd);
	msix->nr_vectors = 0;
}

static bool msix__deliverable(const struct msix *msix, const struct msix_vector *v)
{
	return msix->enabled && !msix->masked && !(v->words[WORD_CONTROL] & CONTROL_MASKED);
}

/* Bring a vector's route up to date, and deliver what was held back. */
static void msix__refresh(struct msix *msix, struct msix_vector *v)
{
	if (!msix__deliverable(msix, v))
		return;
	if (irq__route_msi(msix->vm, v->gsi, v->words[0] | (uint64_t)v->words[1] << 32,
			   v->words[2]))
		return;
	if (v->pending)
		eventfd__signal(v->eventfd);
	v->pending = false;
}

static uint64_t msix__pending_bits(const struct msix *msix)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < msix->nr_vectors; i++)
		bits |= (uint64_t)msix->vectors[i].pending << i;
	return bits;
}

static void msix__write(struct msix *msix, const struct io_access *access)
{
	struct msix_vector *v = &msix->vectors[access->offset / ENTRY_SIZE];

	memcpy((uint8_t *)v->words + access->offset % ENTRY_SIZE, access->data, access->len);
	msix__refresh(msix, v);
}

/**
 * msix__access() - answer an access to the BAR that holds the table
 *
 * Naturally aligned words of 4 or 8 bytes only, as the specification allows;
 * other writes are dropped and other reads yield all ones.
 */
void msix__access(struct msix *msix, const struct io_access *access)
{
	if ((access->len != 4 && access->len != 8) || access->offset % access->len)
		return;
	pthread_mutex_lock(&msix->lock);
	if (access->offset < msix->nr_vectors * ENTRY_SIZE) {
		const uint8_t *words =
			(uint8_t *)msix->vectors[access->offset / ENTRY_SIZE].words;

		if (access->write)
			msix__write(msix, access);
		else
			memcpy(access->data, words + access->offset % ENTRY_SIZE, access->len);
	} else if (!access->write) {
		uint64_t bits = msix__pending_bits(msix);

		if (access->offset == MSIX_PBA_OFFSET + 4)
			bits >>= 32;
		else if (access->offset != MSIX_PBA_OFFSET)
			bits = 0;
		io__answer(access, bits);
	}
	pthread_mutex_unlock(&msix->lock);
}

/** msix__control() - take a new value of the capability's message control */
void msix__control(struct msix *msix, uint16_t control)
{
	pthread_mutex_lock(&msix->lock);
	msix->enabled = control & PCI_MSIX_FLAGS_ENABLE;
	msix->masked = control & PCI_MSIX_FLAGS_MASKALL;
	for (unsigned int i = 0; i < msix->nr_vectors; i++)
		msix__refresh(msix, &msix->vectors[i]);
	pthread_mutex_unlock(&msix->lock);
}

/** msix__enabled() - whether the guest uses MSI-X rather than the interrupt pin */
bool msix__enabled(struct msix *msix)
{
	bool enabled;

	pthread_mutex_lock(&msix->lock);
	enabled = msix->enabled;
	pthread_mutex_unlock(&msix->lock);
	return enabled;
}

/** msix__signal() - deliver a vector, or remember it while it is masked; any thread */
void msix__signal(struct msix *msix, unsigned int vector)
{
	struct msix_vector *v;

	if (vector >= msix->nr_vectors)
		return;
	v = &msix->vectors[vector];
	pthread_mutex_lock(&msix->lock);
	if (msix__deliverable(msix, v))
		eventfd__signal(v->eventfd);
	else
		v->pending = true;
	pthread_mutex_unlock(&msix->lock);
}
