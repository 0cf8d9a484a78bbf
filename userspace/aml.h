/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_AML_H
#define NESTOR_AML_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct aml - AML under construction
 * @data: the bytes so far
 * @len: how many
 * @size: how many fit
 */
struct aml {
	uint8_t *data;
	size_t len;
	size_t size;
};

void aml__free(struct aml *aml);
void aml__bytes(struct aml *aml, const void *bytes, size_t len);
void aml__byte(struct aml *aml, uint8_t byte);
void aml__word(struct aml *aml, uint16_t word);
void aml__dword(struct aml *aml, uint32_t dword);

/* Terms; a name is up to four letters, or a path of them with a leading backslash. */
void aml__integer(struct aml *aml, uint32_t value);
void aml__name(struct aml *aml, const char *name);
void aml__eisa_id(struct aml *aml, const char *id);

/* Terms with a length; each begin returns the mark that aml__end() takes. */
size_t aml__begin_scope(struct aml *aml, const char *name);
size_t aml__begin_device(struct aml *aml, const char *name);
size_t aml__begin_package(struct aml *aml, uint8_t count);
void aml__end(struct aml *aml, size_t mark);

/* A resource template, which is a buffer. */
size_t aml__begin_resources(struct aml *aml);
void aml__end_resources(struct aml *aml, size_t mark);
void aml__io(struct aml *aml, uint16_t base, uint8_t len);
void aml__irq(struct aml *aml, unsigned int irq);
void aml__bus_window(struct aml *aml, uint16_t first, uint16_t last);
void aml__io_window(struct aml *aml, uint16_t first, uint16_t last);
void aml__memory_window(struct aml *aml, uint32_t first, uint32_t last);

#endif
