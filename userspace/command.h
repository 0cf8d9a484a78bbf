/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_COMMAND_H
#define NESTOR_COMMAND_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct command - a subcommand
 * @name: its name
 * @summary: one line for the list of commands
 * @main: runs it; argv[0] is "nestor NAME"; returns the exit status
 */
struct command {
	const char *name;
	const char *summary;
	int (*main)(int argc, char **argv);
};

int run__main(int argc, char **argv);
int compare__main(int argc, char **argv);
int top__main(int argc, char **argv);
int bench__main(int argc, char **argv);
int check__main(int argc, char **argv);
int probe__main(int argc, char **argv);

/* option.c: what the subcommands' option parsers share */
void option__parse(const struct argp *argp, int argc, char **argv, void *input);
void option__init(struct argp_state *state);
void option__fail(const struct argp_state *state, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
uint64_t option__number(const struct argp_state *state, const char *name, const char *arg,
			uint64_t min, uint64_t max);
void option__check_file(const struct argp_state *state, const char *path);

#endif
