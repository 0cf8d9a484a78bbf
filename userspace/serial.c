// SPDX-License-Identifier: GPL-2.0
/* A 16550A serial port, ttyS0, on the user's terminal. */
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "serial.h"
#include "term.h"
#include "util.h"
#include "vm.h"

#define SERIAL_PORTS	8
#define FIFO_SIZE	64

/**
 * struct serial - the port's registers
 * @vm: the VM
 * @lock: guards all below: vCPUs and the main thread come here
 * @divisor: baud rate divisor; kept, without effect
 * @ier: interrupt enable register
 * @fcr: FIFO control register, only its enable bit
 * @lcr: line control register
 * @mcr: modem control register
 * @scr: scratch register
 * @thr_empty: an interrupt for the empty transmitter is due
 * @level: the interrupt line, as last set
 * @fifo: received bytes, oldest at @head
 * @head: index of the oldest
 * @count: how many there are
 */
struct serial {
	struct vm *vm;
	pthread_mutex_t lock;
	uint16_t divisor;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	bool thr_empty;
	bool level;
	uint8_t fifo[FIFO_SIZE];
	unsigned int head;
	unsigned int count;
};

/* The pending interrupt of the highest priority, as IIR tells it. */
static uint8_t serial__pending(const struct serial *s)
{
	if ((s->ier & UART_IER_RDI) && s->count)
		return UART_IIR_RDI;
	if ((s->ier & UART_IER_THRI) && s->thr_empty)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void serial__update_irq(struct serial *s)
{
	bool level = serial__pending(s) != UART_IIR_NO_INT;

	if (level == s->level)
		return;
	s->level = level;
	irq__set_line(s->vm, IRQ_SERIAL, level);
}

static uint8_t serial__read_rx(struct serial *s)
{
	uint8_t c = 0;

	if (s->count) {
		c = s->fifo[s->head];
		s->head = (s->head + 1) % FIFO_SIZE;
		s->count--;
	}
	/* Not at every byte: the main thread's read is cheaper for many. */
	if (!s->count)
		term__resume(s->vm->dev.term);
	return c;
}

static uint8_t serial__read_iir(struct serial *s)
{
	uint8_t iir = serial__pending(s);

	/* Reading it is what acknowledges an empty transmitter. */
	if (iir == UART_IIR_THRI)
		s->thr_empty = false;
	return iir | (s->fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0);
}

/* In loopback, which drivers use to tell whether a port is there, MCR feeds MSR. */
static uint8_t serial__read_msr(const struct serial *s)
{
	uint8_t msr = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;

	if (!(s->mcr & UART_MCR_LOOP))
		return msr;
	return (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static uint8_t serial__read(struct serial *s, unsigned int reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return dlab ? s->divisor & 0xff : serial__read_rx(s);
	case UART_IER:
		return dlab ? s->divisor >> 8 : s->ier;
	case UART_IIR:
		return serial__read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE | (s->count ? UART_LSR_DR : 0);
	case UART_MSR:
		return serial__read_msr(s);
	default:
		return s->scr;
	}
}

static void serial__receive(struct serial *s, uint8_t c)
{
	if (s->count < FIFO_SIZE)
		s->fifo[(s->head + s->count++) % FIFO_SIZE] = c;
}

static void serial__write_tx(struct serial *s, uint8_t c)
{
	if (s->mcr & UART_MCR_LOOP)
		serial__receive(s, c);
	else
		term__write(s->vm->dev.term, &c, 1);
	s->thr_empty = true;
}

static void serial__write(struct serial *s, unsigned int reg, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab)
			s->divisor = (s->divisor & 0xff00) | value;
		else
			serial__write_tx(s, value);
		break;
	case UART_IER:
		if (dlab) {
			s->divisor = (s->divisor & 0xff) | value << 8;
			break;
		}
		/* The transmitter is always empty: enabling its interrupt raises it. */
		if (~s->ier & value & UART_IER_THRI)
			s->thr_empty = true;
		s->ier = value & 0xf;
		break;
	case UART_FCR:
		s->fcr = value & UART_FCR_ENABLE_FIFO;
		if (value & UART_FCR_CLEAR_RCVR)
			s->count = 0;
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & 0x1f;
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

static void serial__access(void *opaque, const struct io_access *access)
{
	struct serial *s = opaque;

	pthread_mutex_lock(&s->lock);
	if (access->write)
		serial__write(s, access->offset, access->data[0]);
	else
		access->data[0] = serial__read(s, access->offset);
	serial__update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static size_t serial__room(void *opaque)
{
	struct serial *s = opaque;
	size_t room;

	pthread_mutex_lock(&s->lock);
	room = FIFO_SIZE - s->count;
	pthread_mutex_unlock(&s->lock);
	return room;
}

static void serial__input(void *opaque, const uint8_t *data, size_t len)
{
	struct serial *s = opaque;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < len; i++)
		serial__receive(s, data[i]);
	serial__update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

/** serial__create() - make ttyS0, and give it the input unless the virtio console has it */
int serial__create(struct vm *vm)
{
	struct serial *s = xcalloc(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	s->vm = vm;
	vm->dev.serial = s;
	if (!vm->config->virtio_console)
		term__attach(vm->dev.term, &(struct term_sink){
			.room = serial__room,
			.input = serial__input,
			.opaque = s,
		});
	return bus__add(&vm->bus, &(struct io_region){
		.space = IO_PORT,
		.base = SERIAL_PORT,
		.size = SERIAL_PORTS,
		.handler = serial__access,
		.opaque = s,
	});
}

/** serial__destroy() - free the port */
void serial__destroy(struct vm *vm)
{
	free(vm->dev.serial);
	vm->dev.serial = NULL;
}
