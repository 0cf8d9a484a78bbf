// SPDX-License-Identifier: GPL-2.0
/*
 * --trace: the hypervisor's tracepoints, by a tracefs instance of our own, so that
 * nobody else's tracing is disturbed and no other program is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"
#include "trace.h"
#include "util.h"

#define TRACEFS_INSTANCES	"/sys/kernel/tracing/instances"
#define COPY_SIZE		65536
#define POLL_MS			100

static int write_file(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int err = errno;

	if (fd >= 0)
		close(fd);
	return n < 0 ? -err : 0;
}

static void copy_pipe(struct trace *trace)
{
	char data[COPY_SIZE];
	ssize_t n;

	while ((n = read(trace->pipe, data, sizeof(data))) > 0)
		if (write(trace->file, data, n) != n)
			break;
}

static void *trace__thread(void *arg)
{
	struct trace *trace = arg;
	struct pollfd pfd = { .fd = trace->pipe, .events = POLLIN };

	while (!atomic_load(&trace->stopping)) {
		poll(&pfd, 1, POLL_MS);
		copy_pipe(trace);
	}
	copy_pipe(trace);
	return NULL;
}

/*
 * The main thread's ID and event-fork: vCPU threads, which start later, are
 * followed. Interrupts and other processes are not.
 */
static int enable_events(struct trace *trace, bool nestor)
{
	const char *events = nestor ? "events/nestor/enable" : "events/kvm/enable";
	char pid[16];
	int ret;

	snprintf(pid, sizeof(pid), "%d", getpid());
	ret = write_file(trace->dir, "options/event-fork", "1");
	if (!ret)
		ret = write_file(trace->dir, "set_event_pid", pid);
	if (!ret)
		ret = write_file(trace->dir, events, "1");
	if (ret)
		pr_err("cannot enable %s in tracefs: %s", nestor ? "nestor:*" : "kvm:*",
		       strerror(-ret));
	return ret;
}

static int make_instance(struct trace *trace)
{
	int instances = open(TRACEFS_INSTANCES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	snprintf(trace->name, sizeof(trace->name), "nestor-%d", getpid());
	if (instances >= 0 && mkdirat(instances, trace->name, 0700) == 0)
		trace->dir = openat(instances, trace->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (trace->dir >= 0)
		trace->pipe = openat(trace->dir, "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (trace->pipe < 0)
		pr_err("cannot make a trace instance in %s: %s (is tracefs mounted?)",
		       TRACEFS_INSTANCES, strerror(errno));
	if (instances >= 0)
		close(instances);
	return trace->pipe < 0 ? -EIO : 0;
}

/* The instance can go only when none of its files is open. */
static void trace__close(struct trace *trace)
{
	char path[sizeof(TRACEFS_INSTANCES) + sizeof(trace->name)];

	if (trace->pipe >= 0)
		close(trace->pipe);
	if (trace->dir >= 0)
		close(trace->dir);
	if (trace->name[0]) {
		snprintf(path, sizeof(path), "%s/%s", TRACEFS_INSTANCES, trace->name);
		rmdir(path);
	}
	if (trace->file >= 0)
		close(trace->file);
	trace->file = -1;
}

/**
 * trace__start() - begin to save a trace of this process
 * @trace: filled in
 * @path: the file to write, or NULL for no trace at all
 * @nestor: whether the events are nestor:* rather than kvm:*
 *
 * Before vCPU threads start, as these are followed from their creation.
 *
 * Return: 0 or a negative errno, reported; -ENOENT when the file is at fault.
 */
int trace__start(struct trace *trace, const char *path, bool nestor)
{
	int ret;

	*trace = (struct trace){ .dir = -1, .pipe = -1, .file = -1 };
	if (!path)
		return 0;
	trace->file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (trace->file < 0) {
		pr_err("%s: %s", path, strerror(errno));
		return -ENOENT;
	}
	ret = make_instance(trace);
	if (!ret)
		ret = enable_events(trace, nestor);
	if (!ret)
		ret = thread__start(&trace->thread, "trace", trace__thread, trace);
	if (ret)
		trace__close(trace);
	return ret == -ENOENT ? -EIO : ret;
}

/** trace__stop() - end a trace and save what is left of it */
void trace__stop(struct trace *trace)
{
	if (trace->file < 0)
		return;
	write_file(trace->dir, "tracing_on", "0");
	atomic_store(&trace->stopping, true);
	pthread_join(trace->thread, NULL);
	trace__close(trace);
}
