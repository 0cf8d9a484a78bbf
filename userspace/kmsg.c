// SPDX-License-Identifier: GPL-2.0
/* What the hypervisor said last in the kernel's log. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crashdump.h"

#define KMSG_LINES	8
#define KMSG_RECORD	8192
#define KMSG_LINE	256

/* A record is "priority,sequence,time,flags;text\n" and further lines of properties. */
static const char *record_text(char *record)
{
	char *text = strchr(record, ';');
	char *end;

	if (!text)
		return NULL;
	end = strchr(++text, '\n');
	if (end)
		*end = '\0';
	/* Not just anywhere in the line: devices are named after the project, too. */
	return !strncmp(text, "nestor:", 7) || strstr(text, "kvm") ? text : NULL;
}

/**
 * kmsg__print_tail() - print the last kernel messages about the hypervisor
 *
 * Quiet when the log may not be read: a restricted log is no fault of the guest.
 */
void kmsg__print_tail(void)
{
	char lines[KMSG_LINES][KMSG_LINE];
	char record[KMSG_RECORD];
	unsigned int count = 0;
	const char *text;
	ssize_t n;
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	/* EPIPE: the record was overwritten meanwhile, the next one is there. */
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		record[n > 0 ? n : 0] = '\0';
		text = record_text(record);
		if (text)
			snprintf(lines[count++ % KMSG_LINES], KMSG_LINE, "%s", text);
	}
	close(fd);
	if (!count)
		return;
	fprintf(stderr, "kernel log:\n");
	for (unsigned int i = count < KMSG_LINES ? 0 : count - KMSG_LINES; i < count; i++)
		fprintf(stderr, "  %s\n", lines[i % KMSG_LINES]);
}
