// SPDX-License-Identifier: GPL-2.0
/*
 * Nestor's own account of a failed VM entry: NESTOR_GET_ENTRY_FAILURE.
 */
#include <errno.h>
#include <linux/nestor.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "dump.h"
#include "../util.h"

static void take_values(struct check_state *state, const struct nestor_entry_value *v, unsigned int n)
{
	for (; n--; v++) {
		int i = check_find(state->table->fields, state->table->nr_fields, v->name);

		if (i > 0)
			check_set(state, i, v->value);
	}
}

static void take_caps(struct check_state *state, const struct nestor_entry_value *v, unsigned int n)
{
	for (; n--; v++) {
		int i = check_find(state->table->caps, state->table->nr_caps, v->name);

		if (i >= 0)
			state->caps[i] = v->value;
	}
}

/**
 * failure__take_state() - make a state of what the module tells
 * @state: filled in
 * @f: from an ioctl, with its arrays
 * @room: of each of the arrays
 *
 * Names that are newer than this program are passed over.
 *
 * Return: false when the vendor is none that is known.
 */
bool failure__take_state(struct check_state *state, const struct nestor_entry_failure *f, unsigned int room)
{
	bool intel = !strcmp(f->vendor, check_vmx.vendor);

	if (!intel && strcmp(f->vendor, check_svm.vendor))
		return false;
	check_init(state, intel ? &check_vmx : &check_svm);
	caps__default(state);
	take_values(state, (void *)(uintptr_t)f->values, f->nr_values < room ? f->nr_values : room);
	take_caps(state, (void *)(uintptr_t)f->caps, f->nr_caps < room ? f->nr_caps : room);
	return true;
}

/**
 * failure__print() - say which rules the failed entry of a vCPU broke
 * @out: where
 * @fd: the vCPU
 *
 * When none is found, the state follows in JSON, for `nestor check` of another version or another eye.
 *
 * Return: false when the hypervisor does not tell.
 */
bool failure__print(FILE *out, int fd)
{
	struct nestor_entry_value *values = xcalloc(2 * CHECK_MAX_FIELDS, sizeof(*values));
	struct nestor_entry_failure f = {
		.nr_values = CHECK_MAX_FIELDS, .nr_caps = CHECK_MAX_FIELDS,
		.values = (uintptr_t)values, .caps = (uintptr_t)(values + CHECK_MAX_FIELDS),
	};
	struct check_state state;
	bool told = ioctl(fd, NESTOR_GET_ENTRY_FAILURE, &f) == 0 &&
		    failure__take_state(&state, &f, CHECK_MAX_FIELDS);

	free(values);
	if (!told)
		return false;
	if (!report__print(out, &state)) {
		fprintf(out, "no rule is found broken; the state is\n");
		json__print_state(out, &state);
	}
	return true;
}
