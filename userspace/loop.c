// SPDX-License-Identifier: GPL-2.0
/* Event loops on epoll, and threads that can always be joined. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "util.h"

#define KICK_SIGNAL SIGUSR1
#define KICK_INTERVAL_NS 20000000

/** eventfd__signal() - add one to an eventfd */
void eventfd__signal(int fd)
{
	uint64_t one = 1;

	/* The only failure is a counter about to overflow: signalled anyway. */
	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		pr_warn("eventfd: %s", strerror(errno));
}

/** eventfd__clear() - take the count of a non-blocking eventfd */
void eventfd__clear(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		pr_warn("eventfd: %s", strerror(errno));
}

/** loop__init() - make an empty loop; 0 or a negative errno */
int loop__init(struct loop *loop)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int err;

	atomic_init(&loop->stopped, false);
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->epfd < 0 || loop->wake < 0 ||
	    epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->wake, &ev) < 0) {
		err = -errno;
		pr_err("cannot make an event loop: %s", strerror(-err));
		loop__exit(loop);
		return err;
	}
	return 0;
}

/** loop__exit() - close a loop's descriptors; those in it stay open */
void loop__exit(struct loop *loop)
{
	if (loop->epfd >= 0)
		close(loop->epfd);
	if (loop->wake >= 0)
		close(loop->wake);
	loop->epfd = loop->wake = -1;
}

/** loop__add() - watch a descriptor; any thread; 0 or a negative errno */
int loop__add(struct loop *loop, struct loop_event *event, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = event };

	return epoll_ctl(loop->epfd, EPOLL_CTL_ADD, event->fd, &ev) ? -errno : 0;
}

/** loop__remove() - stop watching a descriptor; from the loop's own thread */
void loop__remove(struct loop *loop, struct loop_event *event)
{
	epoll_ctl(loop->epfd, EPOLL_CTL_DEL, event->fd, NULL);
}

/**
 * loop__run() - call handlers until loop__stop()
 *
 * One event a wait: a handler may remove another event, and a batch could still
 * hold it.
 */
void loop__run(struct loop *loop)
{
	while (!atomic_load(&loop->stopped)) {
		struct epoll_event ev;
		struct loop_event *event;

		if (epoll_wait(loop->epfd, &ev, 1, -1) != 1)
			continue;
		event = ev.data.ptr;
		if (event)
			event->handler(event->opaque, ev.events);
		else
			eventfd__clear(loop->wake);
	}
}

/** loop__stop() - make loop__run() return; any thread, for good */
void loop__stop(struct loop *loop)
{
	atomic_store(&loop->stopped, true);
	eventfd__signal(loop->wake);
}

static void kick_handler(int sig)
{
	(void)sig;
}

/**
 * thread__init_kicks() - let thread__join() interrupt system calls
 *
 * The handler does nothing; without SA_RESTART its running ends KVM_RUN or a
 * write to a terminal that nobody reads with EINTR.
 */
int thread__init_kicks(void)
{
	struct sigaction sa = { .sa_handler = kick_handler };

	if (sigaction(KICK_SIGNAL, &sa, NULL) == 0)
		return 0;
	pr_err("sigaction: %s", strerror(errno));
	return -errno;
}

/** thread__start() - start a thread under a name; 0 or a negative errno */
int thread__start(pthread_t *thread, const char *name, void *(*fn)(void *), void *arg)
{
	int err = pthread_create(thread, NULL, fn, arg);

	if (err) {
		pr_err("cannot start thread %s: %s", name, strerror(err));
		return -err;
	}
	pthread_setname_np(*thread, name);
	return 0;
}

/**
 * thread__join() - wait for a thread that has been told to end
 *
 * The thread may be about to block when it is kicked, so it is kicked until it
 * is gone.
 */
void thread__join(pthread_t thread)
{
	struct timespec until;

	do {
		pthread_kill(thread, KICK_SIGNAL);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += KICK_INTERVAL_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
	} while (pthread_timedjoin_np(thread, NULL, &until) == ETIMEDOUT);
}

static void *worker__thread(void *arg)
{
	struct worker *worker = arg;

	loop__run(&worker->loop);
	return NULL;
}

/** worker__init() - make a worker whose thread does not run yet */
int worker__init(struct worker *worker)
{
	worker->running = false;
	return loop__init(&worker->loop);
}

/** worker__start() - start a worker's thread; 0 or a negative errno */
int worker__start(struct worker *worker, const char *name)
{
	int ret = thread__start(&worker->thread, name, worker__thread, worker);

	worker->running = !ret;
	return ret;
}

/** worker__stop() - end a worker's thread and wait for it */
void worker__stop(struct worker *worker)
{
	if (!worker->running)
		return;
	loop__stop(&worker->loop);
	thread__join(worker->thread);
	worker->running = false;
}

/** worker__exit() - stop a worker and close its loop */
void worker__exit(struct worker *worker)
{
	worker__stop(worker);
	loop__exit(&worker->loop);
}
