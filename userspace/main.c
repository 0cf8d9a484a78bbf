// SPDX-License-Identifier: GPL-2.0
/* nestor: the command line's first word. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "util.h"

static const struct command commands[] = {
	{ "run", "run a virtual machine", run__main },
	{ "check", "name the rules that a failed VM entry broke", check__main },
	{ "probe", "break each of those rules and see what this CPU does", probe__main },
	{ "compare", "do the same on two hypervisors and tell what differs", compare__main },
	{ "bench", "time every kind of VM exit", bench__main },
	{ "top", "show what all virtual machines do right now", top__main },
};

static void print_help(FILE *out)
{
	fprintf(out, "Usage: nestor COMMAND [OPTION...]\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n'nestor COMMAND --help' tells a command's options, nestor(1) the rest.\n");
}

static int run_command(const struct command *command, int argc, char **argv)
{
	char name[32];

	/* Messages and usage then begin with both words. */
	snprintf(name, sizeof(name), "nestor %s", command->name);
	argv[0] = name;
	return command->main(argc, argv);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return STATUS_OK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return run_command(&commands[i], argc - 1, argv + 1);
	fprintf(stderr, "nestor: no such command: %s (see nestor --help)\n", argv[1]);
	return STATUS_USAGE;
}
