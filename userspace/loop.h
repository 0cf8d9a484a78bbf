/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_LOOP_H
#define NESTOR_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct loop - waits for descriptors and calls their handlers
 * @epfd: the epoll descriptor
 * @wake: eventfd that ends a wait
 * @stopped: set once, by loop__stop()
 */
struct loop {
	int epfd;
	int wake;
	atomic_bool stopped;
};

/**
 * struct loop_event - one descriptor in a loop; it must outlive its stay there
 * @fd: the descriptor
 * @handler: called in the loop's thread with the epoll events
 * @opaque: handed to @handler
 */
struct loop_event {
	int fd;
	void (*handler)(void *opaque, uint32_t events);
	void *opaque;
};

/**
 * struct worker - a device's thread, which runs a loop
 * @loop: its loop
 * @thread: the thread, once @running
 * @running: whether there is a thread to join
 */
struct worker {
	struct loop loop;
	pthread_t thread;
	bool running;
};

int loop__init(struct loop *loop);
void loop__exit(struct loop *loop);
int loop__add(struct loop *loop, struct loop_event *event, uint32_t events);
void loop__remove(struct loop *loop, struct loop_event *event);
void loop__run(struct loop *loop);
void loop__stop(struct loop *loop);

int worker__init(struct worker *worker);
int worker__start(struct worker *worker, const char *name);
void worker__stop(struct worker *worker);
void worker__exit(struct worker *worker);

int thread__init_kicks(void);
int thread__start(pthread_t *thread, const char *name, void *(*fn)(void *), void *arg);
void thread__join(pthread_t thread);

void eventfd__signal(int fd);
void eventfd__clear(int fd);

#endif
