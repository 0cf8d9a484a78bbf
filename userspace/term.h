/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_TERM_H
#define NESTOR_TERM_H

#include <stddef.h>
#include <stdint.h>

struct vm;
struct term;

/**
 * struct term_sink - the device that takes what is typed
 * @room: how many bytes it can take now
 * @input: give it that many bytes at most
 * @opaque: handed to both; both are called in the main thread
 */
struct term_sink {
	size_t (*room)(void *opaque);
	void (*input)(void *opaque, const uint8_t *data, size_t len);
	void *opaque;
};

int term__create(struct vm *vm);
void term__destroy(struct vm *vm);
void term__attach(struct term *term, const struct term_sink *sink);
void term__resume(struct term *term);
void term__write(struct term *term, const void *data, size_t len);
void term__restore(struct term *term);

#endif
