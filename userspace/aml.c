// SPDX-License-Identifier: GPL-2.0
/*
 * A builder for ACPI Machine Language ('AML Grammar Definition' and 'Resource Data
 * Types' in the ACPI specification), just enough of it for a small DSDT.
 */
#include <stdlib.h>
#include <string.h>

#include "aml.h"
#include "util.h"

#define OP_ZERO		0x00
#define OP_ONE		0x01
#define OP_NAME		0x08
#define OP_BYTE		0x0a
#define OP_WORD		0x0b
#define OP_DWORD	0x0c
#define OP_SCOPE	0x10
#define OP_BUFFER	0x11
#define OP_PACKAGE	0x12
#define OP_EXT		0x5b
#define OP_EXT_DEVICE	0x82
#define DUAL_NAME	0x2e

#define RES_IRQ		0x22	/* two bytes follow */
#define RES_IO		0x47	/* seven bytes follow */
#define RES_END		0x79
#define RES_DWORD	0x87
#define RES_WORD	0x88
#define RES_TYPE_MEMORY	0
#define RES_TYPE_IO	1
#define RES_TYPE_BUS	2
#define RES_FIXED_PRODUCER 0x0c	/* both ends fixed, a window for what is below */
#define RES_IO_ENTIRE	3
#define RES_MEMORY_RW	1

static void aml__reserve(struct aml *aml, size_t more)
{
	if (aml->len + more <= aml->size)
		return;
	aml->size = (aml->len + more) * 2;
	aml->data = realloc(aml->data, aml->size);
	if (!aml->data)
		abort();
}

/** aml__free() - free what was built */
void aml__free(struct aml *aml)
{
	free(aml->data);
	*aml = (struct aml){ 0 };
}

/** aml__bytes() - append bytes as they are */
void aml__bytes(struct aml *aml, const void *bytes, size_t len)
{
	aml__reserve(aml, len);
	memcpy(aml->data + aml->len, bytes, len);
	aml->len += len;
}

/** aml__byte() - append a byte */
void aml__byte(struct aml *aml, uint8_t byte)
{
	aml__bytes(aml, &byte, sizeof(byte));
}

/** aml__word() - append 16 bits */
void aml__word(struct aml *aml, uint16_t word)
{
	aml__bytes(aml, &word, sizeof(word));
}

/** aml__dword() - append 32 bits */
void aml__dword(struct aml *aml, uint32_t dword)
{
	aml__bytes(aml, &dword, sizeof(dword));
}

/** aml__integer() - append a constant in its shortest form */
void aml__integer(struct aml *aml, uint32_t value)
{
	if (value <= 1) {
		aml__byte(aml, value ? OP_ONE : OP_ZERO);
	} else if (value <= 0xff) {
		aml__byte(aml, OP_BYTE);
		aml__byte(aml, value);
	} else if (value <= 0xffff) {
		aml__byte(aml, OP_WORD);
		aml__word(aml, value);
	} else {
		aml__byte(aml, OP_DWORD);
		aml__dword(aml, value);
	}
}

/* One segment: four letters, filled up with underscores. */
static void aml__segment(struct aml *aml, const char *name)
{
	char segment[4] = { '_', '_', '_', '_' };

	for (size_t i = 0; i < sizeof(segment) && name[i] && name[i] != '.'; i++)
		segment[i] = name[i];
	aml__bytes(aml, segment, sizeof(segment));
}

static void aml__path(struct aml *aml, const char *name)
{
	const char *dot = strchr(name, '.');

	if (*name == '\\')
		aml__byte(aml, *name++);
	if (dot)
		aml__byte(aml, DUAL_NAME);
	aml__segment(aml, name);
	if (dot)
		aml__segment(aml, dot + 1);
}

/** aml__name() - append Name(@name, ...); its value comes next */
void aml__name(struct aml *aml, const char *name)
{
	aml__byte(aml, OP_NAME);
	aml__path(aml, name);
}

static unsigned int hex_digit(char c)
{
	return c >= 'A' ? c - 'A' + 10 : c - '0';
}

/** aml__eisa_id() - append a compressed identifier such as "PNP0A03" */
void aml__eisa_id(struct aml *aml, const char *id)
{
	uint32_t v = (id[0] & 0x1fu) << 26 | (id[1] & 0x1fu) << 21 | (id[2] & 0x1fu) << 16 |
		     hex_digit(id[3]) << 12 | hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 |
		     hex_digit(id[6]);

	aml__byte(aml, OP_DWORD);
	aml__dword(aml, __builtin_bswap32(v));
}

/** aml__begin_scope() - open Scope(@name) */
size_t aml__begin_scope(struct aml *aml, const char *name)
{
	size_t mark;

	aml__byte(aml, OP_SCOPE);
	mark = aml->len;
	aml__path(aml, name);
	return mark;
}

/** aml__begin_device() - open Device(@name) */
size_t aml__begin_device(struct aml *aml, const char *name)
{
	size_t mark;

	aml__byte(aml, OP_EXT);
	aml__byte(aml, OP_EXT_DEVICE);
	mark = aml->len;
	aml__path(aml, name);
	return mark;
}

/** aml__begin_package() - open Package of @count elements */
size_t aml__begin_package(struct aml *aml, uint8_t count)
{
	size_t mark;

	aml__byte(aml, OP_PACKAGE);
	mark = aml->len;
	aml__byte(aml, count);
	return mark;
}

/*
 * PkgLength counts itself: one byte up to 63, else a lead byte with the low four
 * bits and the number of bytes that follow.
 */
static size_t encode_length(uint8_t *to, size_t body)
{
	size_t bytes = body + 1 < 64 ? 1 : body + 2 < 4096 ? 2 : 3;
	size_t total = body + bytes;

	if (bytes == 1) {
		to[0] = total;
		return bytes;
	}
	to[0] = (bytes - 1) << 6 | (total & 0xf);
	for (size_t i = 1; i < bytes; i++)
		to[i] = total >> (4 + 8 * (i - 1));
	return bytes;
}

/** aml__end() - close what was opened at @mark: put its length in */
void aml__end(struct aml *aml, size_t mark)
{
	uint8_t length[4];
	size_t body = aml->len - mark;
	size_t n = encode_length(length, body);

	aml__reserve(aml, n);
	memmove(aml->data + mark + n, aml->data + mark, body);
	memcpy(aml->data + mark, length, n);
	aml->len += n;
}

/** aml__begin_resources() - open a resource template */
size_t aml__begin_resources(struct aml *aml)
{
	aml__byte(aml, OP_BUFFER);
	return aml->len;
}

/** aml__end_resources() - close it with an end tag, and put in its sizes */
void aml__end_resources(struct aml *aml, size_t mark)
{
	struct aml size = { 0 };

	aml__byte(aml, RES_END);
	aml__byte(aml, 0);	/* no checksum */
	aml__integer(&size, aml->len - mark);
	aml__reserve(aml, size.len);
	memmove(aml->data + mark + size.len, aml->data + mark, aml->len - mark);
	memcpy(aml->data + mark, size.data, size.len);
	aml->len += size.len;
	aml__free(&size);
	aml__end(aml, mark);
}

/** aml__io() - ports at a fixed address */
void aml__io(struct aml *aml, uint16_t base, uint8_t len)
{
	aml__byte(aml, RES_IO);
	aml__byte(aml, 1);	/* 16 address bits are decoded */
	aml__word(aml, base);
	aml__word(aml, base);
	aml__byte(aml, 1);
	aml__byte(aml, len);
}

/** aml__irq() - an edge-triggered ISA interrupt */
void aml__irq(struct aml *aml, unsigned int irq)
{
	aml__byte(aml, RES_IRQ);
	aml__word(aml, 1u << irq);
}

static void aml__window16(struct aml *aml, uint8_t type, uint8_t flags, uint16_t first,
			  uint16_t last)
{
	aml__byte(aml, RES_WORD);
	aml__word(aml, 13);
	aml__byte(aml, type);
	aml__byte(aml, RES_FIXED_PRODUCER);
	aml__byte(aml, flags);
	aml__word(aml, 0);
	aml__word(aml, first);
	aml__word(aml, last);
	aml__word(aml, 0);
	aml__word(aml, last - first + 1);
}

/** aml__bus_window() - bus numbers behind a bridge */
void aml__bus_window(struct aml *aml, uint16_t first, uint16_t last)
{
	aml__window16(aml, RES_TYPE_BUS, 0, first, last);
}

/** aml__io_window() - ports that a bridge passes on */
void aml__io_window(struct aml *aml, uint16_t first, uint16_t last)
{
	aml__window16(aml, RES_TYPE_IO, RES_IO_ENTIRE, first, last);
}

/** aml__memory_window() - memory that a bridge passes on */
void aml__memory_window(struct aml *aml, uint32_t first, uint32_t last)
{
	aml__byte(aml, RES_DWORD);
	aml__word(aml, 23);
	aml__byte(aml, RES_TYPE_MEMORY);
	aml__byte(aml, RES_FIXED_PRODUCER);
	aml__byte(aml, RES_MEMORY_RW);
	aml__dword(aml, 0);
	aml__dword(aml, first);
	aml__dword(aml, last);
	aml__dword(aml, 0);
	aml__dword(aml, last - first + 1);
}
