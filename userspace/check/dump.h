/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading dumps of failed VM entries, and saying what is wrong with them.
 */
#ifndef NESTOR_CHECK_DUMP_H
#define NESTOR_CHECK_DUMP_H

#include <stdio.h>

#include "../../module/check/check.h"

/* caps.c */
void caps__default(struct check_state *state);
void caps__finish(struct check_state *state, bool cr3_given);

/**
 * struct dump - a dump that was read
 * @state: the values in it, and the CPU's capabilities
 * @assumed: what the reader took for granted because dumps of this kind do not say it, or NULL
 * @nr_dumps: how many dumps the text held; the last one is in @state
 */
struct dump {
	struct check_state state;
	const char *assumed;
	unsigned int nr_dumps;
};

/**
 * dump__read() - read a dump of any kind
 * @text: its text, a string
 * @vendor: whose VM entry, where the text does not say it; or NULL
 * @error: buffer for what is wrong
 * @size: its size
 *
 * Return: false when it is none, or a damaged one.
 */
bool dump__read(struct dump *dump, char *text, const struct check_table *vendor, char *error, size_t size);

/* The readers. json.c also reads what json__print_state() prints. */
bool json__read(struct dump *dump, const char *text, char *error, size_t size);
bool text__read_vmcs(struct dump *dump, char *text);
bool text__read_vmcb(struct dump *dump, char *text);
bool text__read_qemu(struct dump *dump, char *text, const struct check_table *vendor);

/* report.c, json.c */
unsigned int report__print(FILE *out, const struct check_state *state);
void report__print_rules(FILE *out, const struct check_table *table);
void report__print_man(FILE *out);
unsigned int json__print(FILE *out, const struct check_state *state);
void json__print_state(FILE *out, const struct check_state *state);

/* failure.c */
struct nestor_entry_failure;
bool failure__take_state(struct check_state *state, const struct nestor_entry_failure *f, unsigned int room);
bool failure__print(FILE *out, int fd);

/* The enforced rules that could not be judged. */
unsigned int report__unjudged(const struct check_state *state);
void report__effect(char *buf, size_t size, const struct check_rule *rule);

#endif
