/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_TRACE_H
#define NESTOR_TRACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/**
 * struct trace - a trace of this process's hypervisor events
 * @dir: descriptor of our tracefs instance, or -1
 * @name: the instance's name
 * @pipe: the instance's trace_pipe
 * @file: where the text goes
 * @thread: copies from @pipe to @file
 * @stopping: tells the thread to end once the pipe is empty
 */
struct trace {
	int dir;
	char name[32];
	int pipe;
	int file;
	pthread_t thread;
	atomic_bool stopping;
};

int trace__start(struct trace *trace, const char *path, bool nestor);
void trace__stop(struct trace *trace);

#endif
