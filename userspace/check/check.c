// SPDX-License-Identifier: GPL-2.0
/*
 * nestor check: which rules of VM entry a dumped state breaks.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../command.h"
#include "../util.h"
#include "dump.h"

/* Kernel logs are smaller than this, and what comes from a pipe need not end. */
#define INPUT_MAX	MIB(16)

struct options {
	const struct check_table *vendor;
	const char *file;
	bool json;
	bool list;
	bool man;
};

enum { OPT_VENDOR = 256, OPT_JSON, OPT_LIST, OPT_MAN };

static const struct argp_option option_table[] = {
	{ "vendor", OPT_VENDOR, "intel|amd", 0, "whose VM entry, where the dump does not tell", 0 },
	{ "json", OPT_JSON, NULL, 0, "report in JSON", 0 },
	{ "list", OPT_LIST, NULL, 0, "print the rules instead", 0 },
	{ "man", OPT_MAN, NULL, 0, "print them as the manual page nestor-rules(7)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case OPT_VENDOR:
		if (!strcmp(arg, "intel"))
			o->vendor = &check_vmx;
		else if (!strcmp(arg, "amd"))
			o->vendor = &check_svm;
		else
			option__fail(state, "--vendor %s: neither intel nor amd", arg);
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_LIST:
		o->list = true;
		return 0;
	case OPT_MAN:
		o->man = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->file)
			option__fail(state, "one file only");
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->file && !o->list && !o->man)
			option__fail(state, "no file given (- is the standard input)");
		return 0;
	case ARGP_KEY_INIT:
		option__init(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "FILE|-",
	.doc = "Name the rules of VM entry that a dumped VMCS or VMCB breaks.",
};

/* The whole input as a string, NULL with a message when it cannot be read or is none. */
static char *read_input(const char *name, FILE *in)
{
	char *text = xcalloc(1, INPUT_MAX + 1);
	size_t n = fread(text, 1, INPUT_MAX + 1, in);

	if (ferror(in))
		pr_err("%s: %s", name, strerror(errno));
	else if (n > INPUT_MAX)
		pr_err("%s: more than %llu MiB", name, (unsigned long long)(INPUT_MAX >> 20));
	else if (memchr(text, 0, n))
		pr_err("%s: not a text", name);
	else
		return text;
	free(text);
	return NULL;
}

static char *read_file(const char *name)
{
	FILE *in = strcmp(name, "-") ? fopen(name, "r") : stdin;
	char *text;

	if (!in) {
		pr_err("%s: %s", name, strerror(errno));
		return NULL;
	}
	text = read_input(name, in);
	if (in != stdin)
		fclose(in);
	return text;
}

static int check_dump(const struct options *o, char *text)
{
	struct dump dump;
	char error[160];
	unsigned int broken;

	if (!dump__read(&dump, text, o->vendor, error, sizeof(error))) {
		pr_err("%s: %s", o->file, error);
		return STATUS_USAGE;
	}
	if (o->vendor && dump.state.table != o->vendor) {
		pr_err("%s: this is %s's", o->file, dump.state.table->vendor);
		return STATUS_USAGE;
	}
	if (dump.nr_dumps > 1)
		pr_warn("%s: %u dumps; this is about the last", o->file, dump.nr_dumps);
	if (dump.assumed)
		pr_warn("%s: registers only: %s", o->file, dump.assumed);
	broken = o->json ? json__print(stdout, &dump.state) : report__print(stdout, &dump.state);
	return broken ? STATUS_FAILED : STATUS_OK;
}

/** check__main() - nestor check */
int check__main(int argc, char **argv)
{
	struct options o = {};
	char *text;
	int status;

	option__parse(&argp, argc, argv, &o);
	if (o.man) {
		report__print_man(stdout);
		return STATUS_OK;
	}
	if (o.list) {
		if (o.vendor != &check_svm)
			report__print_rules(stdout, &check_vmx);
		if (o.vendor != &check_vmx)
			report__print_rules(stdout, &check_svm);
		return STATUS_OK;
	}
	text = read_file(o.file);
	if (!text)
		return STATUS_USAGE;
	status = check_dump(&o, text);
	free(text);
	return status;
}
