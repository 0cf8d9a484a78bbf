/* SPDX-License-Identifier: GPL-2.0 */
/*
 * nestor compare: the same thing on two devices.
 *
 * A case is some steps, and a step some random words: a suite makes of them what it does, and records what comes of
 * it. Both devices' records have to be equal. As zero is the simplest value of every word, and steps can be left out,
 * a case that shows a difference shrinks to a small one without knowing what it is about.
 */
#ifndef NESTOR_COMPARE_H
#define NESTOR_COMPARE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "vm.h"

#define STEP_WORDS	6
#define MAX_STEPS	12

struct step {
	uint64_t word[STEP_WORDS];
};

struct compare_case {
	unsigned int nr_steps;
	struct step steps[MAX_STEPS];
};

/* step.c: words to choices, values and states of a CPU. */
void case__generate(struct compare_case *c, unsigned int max_steps, uint64_t seed, uint64_t number);
uint64_t step__mutate(uint64_t old, uint64_t word);
void step__words(uint64_t word, char *buf, size_t size);

static inline unsigned int step__pick(const struct step *step, unsigned int word, unsigned int count)
{
	return step->word[word] % count;
}

/** enum shown - how a value is told: as a number, as the result of an ioctl, as a KVM_EXIT_* with its kind in bits 63:32 */
enum shown { SHOWN_NUMBER, SHOWN_RESULT, SHOWN_EXIT, SHOWN_TEXT };

#define NO_PLACE	(~0ULL)

/**
 * struct observation - one thing that was seen
 * @what: its name; constant
 * @at: where, if there are several of that name: an address, an index; or NO_PLACE
 * @value: what it was
 * @step: of which step
 * @shown: how to tell it
 */
struct observation {
	const char *what;
	uint64_t at, value;
	uint16_t step;
	uint8_t shown;
};

/**
 * struct trace - all that one device did in one case
 * @list: what was seen, in order
 * @nr: how much of it
 * @max: room in @list
 * @step: the current one
 * @given_up: a guest did not come back in time
 */
struct trace {
	struct observation *list;
	size_t nr, max;
	unsigned int step;
	bool given_up;
};

void trace__add(struct trace *trace, const char *what, uint64_t at, uint64_t value, enum shown shown);

/**
 * struct common - what both devices offer guests, so that a guest meets the same CPU on either
 * @cpuid: CPUID
 * @msrs: what VMX offers guest hypervisors
 */
struct common {
	struct kvm_cpuid2 *cpuid;
	struct kvm_msrs *msrs;
};

void common__init(struct common *common, const struct kvm *a, const struct kvm *b);
void common__exit(struct common *common);

enum chips { CHIPS_NONE, CHIPS_FULL };

/* Guest-physical memory, which long mode's page tables map one to one; what is below WATCHED is compared. */
#define GUEST_CODE	0x1000u
#define GUEST_IDT	0x2000u
#define GUEST_HANDLERS	0x3000u
#define GUEST_STACK	0x8000u		/* its top */
#define GUEST_DATA	0x8000u		/* 8 KiB */
#define GUEST_OWN	0xa000u		/* the suite's */
#define WATCHED		0x20000u
#define GUEST_TABLES	0x20000u
#define GUEST_SIZE	0x200000u
#define GUEST_MMIO	0x40000000u	/* here is nothing */

/* SMM has the same memory; see SDM, SMRAM. */
#define SMM_HANDLER	0x38000u

/* Vectors below 0x20 end in an OUT to the port of their number, others to PORT_INTERRUPT, code to PORT_DONE. */
#define PORT_SMM	0xfc
#define PORT_ASTRAY	0xfd	/* what is at address 0, and where zeros end */
#define PORT_INTERRUPT	0xfe
#define PORT_DONE	0xff

/**
 * struct patience - how long a case may wait for its guest, in seconds
 * @asleep: in KVM_RUN without executing anything: the guest halts
 * @awake: in KVM_RUN, of executing: it loops
 * @total: for the whole case
 */
struct patience {
	unsigned int asleep, awake, total;
};

/**
 * struct subject - a VM with one vCPU on one of the devices
 * @kvm: the device
 * @common: what its CPUID is made of
 * @trace: where it is recorded
 * @patience: for its guest; signals that end KVM_RUN remind of it
 * @begin: when the case began, in nanoseconds
 * @vm: the VM, only as far as entry__apply() looks at it
 * @vcpu: its vCPU
 * @memory: GUEST_SIZE bytes from address 0 on
 * @seen: the first WATCHED bytes, as they were recorded last
 * @over: the vCPU is in a state after which nothing can be compared
 * @own: the suite's; zeroed
 */
struct subject {
	const struct kvm *kvm;
	const struct common *common;
	struct trace *trace;
	const struct patience *patience;
	uint64_t begin;
	struct vm vm;
	struct vcpu vcpu;
	uint8_t *memory;
	uint8_t *seen;
	bool over;
	uint64_t own[16];
};

/* subject.c */
int subject__create(struct subject *s, enum chips chips);
int subject__create_in_long_mode(struct subject *s, enum chips chips);
void subject__destroy(struct subject *s);
int subject__enter_long_mode(struct subject *s);
int subject__enter_protected_mode(struct subject *s);
int subject__enter_real_mode(struct subject *s);
long subject__ioctl(int fd, unsigned long request, const void *arg);
void subject__get_regs(struct subject *s, struct kvm_regs *regs);
void subject__set_regs(struct subject *s, const struct kvm_regs *regs);
void subject__get_sregs(struct subject *s, struct kvm_sregs *sregs);
int subject__set_sregs(struct subject *s, const struct kvm_sregs *sregs);
void subject__set_msr(struct subject *s, uint32_t index, uint64_t value);
uint64_t subject__now(clockid_t clock);
/* Run until the guest comes to an end; see PORT_DONE. Return: its exit reason, or -1. */
int subject__run(struct subject *s);
/* Put the instruction at GUEST_CODE and run it with those registers. */
int subject__execute(struct subject *s, const void *insn, size_t size, struct kvm_regs *regs);

/* observe.c: what there is to see of a VM. */
struct field {
	const char *name;
	uint16_t offset;
	uint8_t size;
};

#define FIELD(type, name, member) { name, offsetof(type, member), sizeof(((type *)0)->member) }

extern const struct field regs_fields[], sregs_fields[], events_fields[], debugregs_fields[], xcrs_fields[],
	mp_state_fields[], fpu_fields[];
unsigned int fields__count(const struct field *fields);
uint64_t field__get(const struct field *field, const void *data);
void field__set(const struct field *field, void *data, uint64_t value);

void observe__result(struct subject *s, const char *what, long result);
void observe__number(struct subject *s, const char *what, uint64_t value);
void observe__at(struct subject *s, const char *what, uint64_t at, uint64_t value);
void observe__fields(struct subject *s, const struct field *fields, const void *data);
void observe__regs(struct subject *s);
void observe__vcpu(struct subject *s);
void observe__memory(struct subject *s);
void observe__lapic(struct subject *s);
void observe__irqchip(struct subject *s);

/**
 * struct suite - a kind of things to compare
 * @name: its name
 * @summary: what it is, in a line
 * @max_steps: of a case
 * @missing: why this host cannot; NULL: it can
 * @lists: records lists whose elements are compared one by one; may be NULL
 * @open: makes the VM for a case; 0 or a negative errno
 * @step: does a step of it and records what came of it
 * @describe: tells a step in words
 */
struct suite {
	const char *name, *summary;
	unsigned int max_steps;
	const char *(*missing)(const struct common *common);
	void (*lists)(struct subject *s);
	int (*open)(struct subject *s, const struct compare_case *c);
	void (*step)(struct subject *s, const struct step *step);
	void (*describe)(const struct step *step, char *buf, size_t size);
};

extern const struct suite abi_suite, cpu_suite, emulate_suite, irq_suite, mmu_suite, nested_svm_suite, nested_vmx_suite;

/**
 * struct difference - the first thing that two traces disagree about
 * @suite: where
 * @number: of the case; 0 for lists
 * @c: the case
 * @found: whether there is one
 * @a: what the first device did; what NULL: nothing more
 * @b: the same of the second
 */
struct difference {
	const struct suite *suite;
	uint64_t number;
	struct compare_case c;
	bool found;
	struct observation a, b;
};

/* The difference in words. */
struct words {
	char action[160];	/* the step */
	char what[96];		/* what differs */
	char a[64], b[64];	/* and how */
};

void difference__words(const struct difference *d, struct words *words);

/* deliberate.c */

/**
 * struct place - one of those where a difference is meant
 * @what: pattern of struct words.what
 * @values: pattern of both values, Nestor's first, as "A/B"; NULL: any
 * @ours: bits that may be set in Nestor's value and not in upstream's
 * @theirs: the other way round; with both 0 the values may be any
 */
struct place {
	const char *what, *values;
	uint64_t ours, theirs;
};

/**
 * struct deliberate - a difference that is meant
 * @topic: what it is about
 * @nestor: what Nestor does
 * @upstream: what upstream does
 * @reason: why
 * @suite: where nestor compare meets it, a pattern; NULL: nowhere
 * @action: pattern of struct words.action
 * @after: pattern of what that step or an earlier one of the case is; NULL: whatever they are
 * @place: where there
 * @places: when that is several, instead; up to one without @what
 */
struct deliberate {
	const char *topic, *nestor, *upstream, *reason;
	const char *suite, *action, *after;
	struct place place;
	const struct place *places;
};

extern const struct deliberate deliberate[];
extern const unsigned int nr_deliberate;
/* The index of the one that explains it, or -1. */
int deliberate__find(const struct difference *d, bool a_is_nestor);
void deliberate__print(void);

/* engine.c */
#define MAX_JOBS	64

/**
 * struct run - a comparison under way
 * @a: one device
 * @b: the other
 * @common: what they have in common
 * @seed: of the random cases
 * @count: how many for each suite
 * @only: this case only, unless 0
 * @jobs: processes that run cases
 * @stop: a suite ends at its first unexplained difference
 * @report: where results go
 */
struct run {
	struct kvm a, b;
	struct common common;
	uint64_t seed, count, only;
	unsigned int jobs;
	bool stop;
	struct compare_report *report;
};

void run__suite(struct run *run, const struct suite *suite);

/* report.c */
struct compare_report *compare_report__begin(const struct run *run, bool json);
void compare_report__skip(struct compare_report *r, const struct suite *suite, const char *why);
void compare_report__difference(struct compare_report *r, const struct difference *d, const char *explained);
void compare_report__also(const struct compare_report *r, const struct difference *d);
void compare_report__suite(struct compare_report *r, const struct suite *suite, uint64_t cases);
/* Return: whether anything unexplained was reported. */
bool compare_report__end(struct compare_report *r);
bool compare_report__unexplained(const struct compare_report *r, const struct suite *suite);
bool compare_report__knows(const struct compare_report *r, const struct difference *d);

#endif
