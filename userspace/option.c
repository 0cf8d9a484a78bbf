// SPDX-License-Identifier: GPL-2.0
/* What the option parsers of all subcommands share: every mistake is one line and status 2. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "util.h"

/**
 * option__init() - for ARGP_KEY_INIT: keep a mistake's message to one line
 *
 * getopt has said what is wrong by the time argp adds where to find help.
 */
void option__init(struct argp_state *state)
{
	FILE *null = fopen("/dev/null", "w");

	if (null)
		state->err_stream = null;
}

/** option__parse() - parse a subcommand's options, or exit with STATUS_USAGE */
void option__parse(const struct argp *argp, int argc, char **argv, void *input)
{
	argp_err_exit_status = STATUS_USAGE;
	if (argp_parse(argp, argc, argv, 0, NULL, input))
		exit(STATUS_USAGE);
}

/** option__fail() - say in one line what is wrong with the options, and exit */
void option__fail(const struct argp_state *state, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", state->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(STATUS_USAGE);
}

/**
 * option__number() - parse a number, decimal or hexadecimal with 0x
 * @state: the parser's state
 * @name: the option, for the message
 * @arg: its argument
 * @min: smallest value
 * @max: largest value
 */
uint64_t option__number(const struct argp_state *state, const char *name, const char *arg,
			uint64_t min, uint64_t max)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(arg, &end, 0);
	if (errno || end == arg || *end || *arg == '-' || v < min || v > max)
		option__fail(state, "%s %s: not a number from %llu to %llu", name, arg,
			     (unsigned long long)min, (unsigned long long)max);
	return v;
}

/** option__check_file() - refuse a file that cannot be read before anything is begun */
void option__check_file(const struct argp_state *state, const char *path)
{
	if (path && access(path, R_OK))
		option__fail(state, "%s: %s", path, strerror(errno));
}
