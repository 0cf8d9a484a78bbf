// SPDX-License-Identifier: GPL-2.0
/* The user's terminal: raw input with an escape key, and output. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include "term.h"
#include "util.h"
#include "vm.h"

#define ESCAPE_KEY	0x01	/* Ctrl-A */
#define TERM_BUFFER	256

/**
 * struct term - standard input and output of the program
 * @vm: the VM
 * @stdin_event: standard input in the main loop
 * @watching: whether it is there at all: a file or /dev/null cannot be polled
 * @sink: who gets the input
 * @saved: the terminal's modes before
 * @raw: whether the terminal is in raw mode
 * @escaped: whether the last key was the escape key
 */
struct term {
	struct vm *vm;
	struct loop_event stdin_event;
	atomic_bool watching;
	struct term_sink sink;
	struct termios saved;
	atomic_bool raw;
	bool escaped;
};

/* Output processing stays on: messages of this program end in plain newlines. */
static void term__set_raw(struct term *term)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &term->saved) < 0)
		return;
	raw = term->saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0)
		atomic_store(&term->raw, true);
}

/** term__restore() - put the terminal back into its old modes; any thread, repeatedly */
void term__restore(struct term *term)
{
	if (term && atomic_exchange(&term->raw, false))
		tcsetattr(STDIN_FILENO, TCSANOW, &term->saved);
}

/*
 * Take the escape key's sequences out of the input: Ctrl-A x ends the program,
 * Ctrl-A Ctrl-A types one Ctrl-A. Without a terminal there is no escape key and
 * every byte is the guest's.
 */
static size_t term__filter(struct term *term, uint8_t *data, size_t len)
{
	size_t kept = 0;

	if (!atomic_load(&term->raw))
		return len;
	for (size_t i = 0; i < len; i++) {
		if (!term->escaped && data[i] == ESCAPE_KEY) {
			term->escaped = true;
			continue;
		}
		if (term->escaped && (data[i] == 'x' || data[i] == 'X'))
			vm__end(term->vm, VM_ESCAPED);
		else
			data[kept++] = data[i];
		term->escaped = false;
	}
	return kept;
}

static void term__readable(void *opaque, uint32_t events)
{
	struct term *term = opaque;
	uint8_t data[TERM_BUFFER];
	size_t room = term->sink.room ? term->sink.room(term->sink.opaque) : 0;
	ssize_t n;

	(void)events;
	/*
	 * Leave it unread until the device has taken what it has. Waiting for no
	 * events would not do: a closed pipe is reported all the same.
	 */
	if (!room) {
		loop__remove(&term->vm->loop, &term->stdin_event);
		/* The device may have made room before the change. */
		if (term->sink.room && term->sink.room(term->sink.opaque))
			term__resume(term);
		return;
	}
	n = read(STDIN_FILENO, data, room < sizeof(data) ? room : sizeof(data));
	if (n > 0) {
		n = term__filter(term, data, n);
		if (n)
			term->sink.input(term->sink.opaque, data, n);
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		/* End of input leaves the guest without a keyboard, not without power. */
		loop__remove(&term->vm->loop, &term->stdin_event);
		term->watching = false;
	}
}

/** term__resume() - watch the input (again), as its device has room; any thread */
void term__resume(struct term *term)
{
	if (term->watching)
		loop__add(&term->vm->loop, &term->stdin_event, EPOLLIN);
}

/** term__attach() - name the device that gets the input; before the VM starts */
void term__attach(struct term *term, const struct term_sink *sink)
{
	term->sink = *sink;
	term->watching = !loop__add(&term->vm->loop, &term->stdin_event, EPOLLIN);
	term__set_raw(term);
}

/**
 * term__write() - print what a device sends
 *
 * Blocks while nobody reads the output, as a slow serial line would, but not
 * beyond the VM's end. Output that cannot be written is dropped.
 */
void term__write(struct term *term, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n > 0) {
			p += n;
			len -= n;
		} else if (errno != EINTR || vm__ended(term->vm) != VM_RUNNING) {
			return;
		}
	}
}

/** term__create() - make the VM's terminal */
int term__create(struct vm *vm)
{
	struct term *term = xcalloc(1, sizeof(*term));

	term->vm = vm;
	term->stdin_event = (struct loop_event){ STDIN_FILENO, term__readable, term };
	vm->dev.term = term;
	return 0;
}

/** term__destroy() - restore the user's terminal and free ours */
void term__destroy(struct vm *vm)
{
	term__restore(vm->dev.term);
	free(vm->dev.term);
	vm->dev.term = NULL;
}
