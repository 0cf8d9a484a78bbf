// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a vCPU which user space puts into an impossible state is refused with upstream's errno, or fails to
 * enter with upstream's numbers, and that Nestor then names the rule that the state breaks: by an ioctl, in the trace
 * and in the log.
 *
 * What the CPUs make of these states differs: VMX checks nearly everything, SVM little.
 *
 * nestor-test: cpu=amd,intel kernel=6.1,7.3
 * Upstream refuses the same registers since it looks at EFER as well, which 6.1 does not.
 *
 * nestor-test: cpu=amd kernel=7.3 module=kvm
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "flat.h"
#include "tap.h"
#include "vm.h"

FLAT_CODE_BLOCK("halt: hlt\n");
extern const char halt[];

/* Page tables of the 64-bit guest: 2 MiB one to one. */
#define PML4		0xa000
#define PDPT		0xb000
#define PD		0xc000
#define PRESENT_WRITE	0x3ull
#define LARGE		0x80ull

#define CR0_PE		1ull
#define CR0_NW		(1ull << 29)
#define CR0_PG		(1ull << 31)
#define CR4_PAE		(1ull << 5)
#define CR4_PCIDE	(1ull << 17)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define FL_VM		(1ull << 17)
#define SHADOW_MOV_SS	1
#define SHADOW_STI	2

#define NON_CANONICAL	0x0000900000000000ull

struct state {
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_vcpu_events events;
};

/* What comes of a state: a rule, or one of these. */
static const char einval[] = "-EINVAL";		/* the ioctl refuses it */
static const char runs[] = "runs";		/* the CPU accepts it, whatever the guest does then */
static const char kills[] = "kills";		/* QEMU's TCG accepts it and dies of it: not tried */
static const char lax[] = "lax";		/* Bochs does not check it: not tried */

/* MAKE(name, statement): a function that spoils @s. */
#define MAKE(name, statement)	static void name(struct state *s) { statement; }

static void long_paging(struct state *s)
{
	s->sregs.cr3 = PML4;
	s->sregs.cr4 |= CR4_PAE;
	s->sregs.cr0 |= CR0_PG | CR0_PE;
	s->sregs.efer |= EFER_LME | EFER_LMA;
}

static void long_mode(struct state *s)
{
	long_paging(s);
	s->sregs.cs.l = 1;
	s->sregs.cs.db = 0;
	s->sregs.tr.type = 11;
}

static void real_mode(struct state *s)
{
	struct kvm_segment data = { .limit = 0xffff, .type = 3, .s = 1, .present = 1 };

	s->sregs.cr0 &= ~CR0_PE;
	s->sregs.cs = s->sregs.ds = s->sregs.es = s->sregs.fs = s->sregs.gs = s->sregs.ss = data;
}

static void v86_mode(struct state *s)
{
	struct kvm_segment data = { .limit = 0xffff, .type = 3, .s = 1, .present = 1, .dpl = 3 };

	s->sregs.cs = s->sregs.ds = s->sregs.es = s->sregs.fs = s->sregs.gs = s->sregs.ss = data;
	s->regs.rflags |= FL_VM;
}

static void exception(struct state *s, int nr, bool has_error)
{
	s->events.exception.injected = 1;
	s->events.exception.nr = nr;
	s->events.exception.has_error_code = has_error;
}

static void shadow(struct state *s, int shadow)
{
	s->events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
	s->events.interrupt.shadow = shadow;
}

MAKE(cr4_reserved, s->sregs.cr4 |= 1ull << 63)
MAKE(cr0_high, s->sregs.cr0 |= 1ull << 32)
MAKE(pg_without_pe, s->sregs.cr0 = (s->sregs.cr0 | CR0_PG) & ~CR0_PE)
MAKE(nw_without_cd, s->sregs.cr0 = (s->sregs.cr0 | CR0_NW) & ~(1ull << 30))
MAKE(efer_reserved, s->sregs.efer |= 2)
MAKE(long_without_pae, long_mode(s); s->sregs.cr4 &= ~CR4_PAE)
MAKE(long_without_lma, long_mode(s); s->sregs.efer &= ~EFER_LMA)
MAKE(lma_without_paging, s->sregs.efer |= EFER_LME | EFER_LMA)
MAKE(l_without_long, s->sregs.cs.l = 1)
MAKE(cr3_too_wide, long_mode(s); s->sregs.cr3 |= 1ull << 52)
MAKE(exception_32, exception(s, 32, false))
MAKE(exception_nmi, exception(s, 2, false))
MAKE(events_flags, s->events.flags |= 1u << 31)
MAKE(events_payload, s->events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD)
MAKE(events_triple, s->events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT; s->events.triple_fault.pending = 1)

MAKE(rflags_63, s->regs.rflags |= 1ull << 63)
MAKE(rflags_15, s->regs.rflags |= 1ull << 15)
MAKE(rip_high, s->regs.rip |= 1ull << 32)
MAKE(rip_long, long_mode(s); s->regs.rip = 1ull << 60)
MAKE(v86_in_long, v86_mode(s); long_paging(s))
MAKE(v86_in_real, v86_mode(s); s->sregs.cr0 &= ~CR0_PE)
MAKE(v86_limit, v86_mode(s); s->sregs.cs.limit = 0xfffff; s->sregs.cs.g = 0)
MAKE(v86_base, v86_mode(s); s->sregs.ds.base = 0x10)
MAKE(v86_rights, v86_mode(s); s->sregs.es.dpl = 0)
MAKE(cs_data, s->sregs.cs.type = 1)
MAKE(cs_system, s->sregs.cs.s = 0)
MAKE(cs_absent, s->sregs.cs.present = 0)
MAKE(cs_dpl, s->sregs.cs.dpl = 1)
MAKE(cs_conforming, s->sregs.cs.type = 15; s->sregs.cs.dpl = 2)
MAKE(cs_bytes, s->sregs.cs.g = 0)
MAKE(cs_l_and_db, long_mode(s); s->sregs.cs.db = 1)
MAKE(cs_base, s->sregs.cs.base = 1ull << 32)
MAKE(ss_read_only, s->sregs.ss.type = 1)
MAKE(ss_dpl_real, real_mode(s); s->sregs.ss.dpl = 3)
MAKE(ss_base, s->sregs.ss.base = 1ull << 40)
MAKE(ds_execute_only, s->sregs.ds.type = 9)
MAKE(es_pages, s->sregs.es.limit = 0xfffff000)
MAKE(fs_base, s->sregs.fs.base = NON_CANONICAL)
MAKE(tr_absent, s->sregs.tr.unusable = 1)
MAKE(tr_type, s->sregs.tr.type = 5)
MAKE(tr_ti, s->sregs.tr.selector = 0x2c)
MAKE(ldtr_type, s->sregs.ldt.type = 3; s->sregs.ldt.present = 1; s->sregs.ldt.unusable = 0)
MAKE(ldtr_base, s->sregs.ldt.type = 2; s->sregs.ldt.present = 1; s->sregs.ldt.unusable = 0;
     s->sregs.ldt.base = NON_CANONICAL)
MAKE(gdt_base, s->sregs.gdt.base = NON_CANONICAL)
MAKE(idt_base, s->sregs.idt.base = NON_CANONICAL)
MAKE(gp_without_error, exception(s, 13, false))
MAKE(ud_with_error, exception(s, 6, true))
MAKE(error_in_real, real_mode(s); exception(s, 13, true))
MAKE(interrupt_if, s->events.interrupt.injected = 1; s->events.interrupt.nr = 0x30)
MAKE(sti_if, shadow(s, SHADOW_STI))
MAKE(interrupt_mov_ss, s->regs.rflags |= FL_IF; s->events.interrupt.injected = 1; s->events.interrupt.nr = 0x30;
     shadow(s, SHADOW_MOV_SS))
MAKE(nmi_mov_ss, s->events.nmi.injected = 1; shadow(s, SHADOW_MOV_SS))

/* With what VMX and SVM say. Refused by the ABI first, then by the CPU. */
static const struct {
	const char *what;
	void (*make)(struct state *s);
	const char *intel, *amd;
} impossible[] = {
	{ "CR4 bit 63", cr4_reserved, einval, einval },
	{ "CR0 bit 32", cr0_high, einval, einval },
	{ "CR0.PG without PE", pg_without_pe, einval, einval },
	{ "CR0.NW without CD", nw_without_cd, einval, einval },
	{ "EFER bit 1", efer_reserved, einval, einval },
	{ "long mode without CR4.PAE", long_without_pae, einval, einval },
	{ "long mode without EFER.LMA", long_without_lma, einval, einval },
	{ "EFER.LMA without paging", lma_without_paging, einval, einval },
	{ "CS.L without long mode", l_without_long, einval, einval },
	{ "CR3 bit 52 in long mode", cr3_too_wide, einval, einval },
	{ "exception 32", exception_32, einval, einval },
	{ "exception 2", exception_nmi, einval, einval },
	{ "events of an unknown kind", events_flags, einval, einval },
	{ "a payload without its capability", events_payload, einval, einval },
	{ "a triple fault without its capability", events_triple, einval, einval },

	{ "RFLAGS bit 63", rflags_63, "guest_rflags_reserved", runs },
	{ "RFLAGS bit 15", rflags_15, "guest_rflags_reserved", runs },
	{ "RIP above 4 GiB in protected mode", rip_high, "guest_rip_high", runs },
	{ "RIP not canonical", rip_long, lax, runs },
	{ "RFLAGS.VM in long mode", v86_in_long, "guest_rflags_vm", kills },
	{ "RFLAGS.VM in real mode", v86_in_real, lax, kills },
	{ "virtual-8086 mode with a large CS", v86_limit, "guest_cs_limit_v86", kills },
	{ "virtual-8086 mode with DS elsewhere", v86_base, "guest_ds_base_v86", kills },
	{ "virtual-8086 mode with ES of ring 0", v86_rights, "guest_es_ar_v86", kills },
	{ "a data segment as CS", cs_data, "guest_cs_type", runs },
	{ "a system segment as CS", cs_system, "guest_cs_s", runs },
	{ "CS not present", cs_absent, "guest_cs_present", runs },
	{ "CS of ring 1, SS of ring 0", cs_dpl, "guest_cs_dpl_nonconforming", runs },
	{ "conforming CS above SS", cs_conforming, "guest_cs_dpl_conforming", runs },
	{ "4 GiB of CS in bytes", cs_bytes, "guest_cs_granularity", runs },
	{ "CS with L and D", cs_l_and_db, "guest_cs_db", "cs_l_and_d" },
	{ "CS base above 4 GiB", cs_base, "guest_cs_base", runs },
	{ "SS that is read-only", ss_read_only, "guest_ss_type", runs },
	{ "SS of ring 3 in real mode", ss_dpl_real, "guest_ss_dpl_zero", runs },
	{ "SS base above 4 GiB", ss_base, "guest_ss_base", runs },
	{ "DS that cannot be read", ds_execute_only, "guest_ds_readable", runs },
	{ "ES in pages with a limit in bytes", es_pages, "guest_es_granularity", runs },
	{ "FS base not canonical", fs_base, "guest_fs_base", runs },
	{ "no TR", tr_absent, "guest_tr_usable", runs },
	{ "a task gate as TR", tr_type, "guest_tr_type", runs },
	{ "TR in the LDT", tr_ti, "guest_tr_ti", runs },
	{ "a TSS as LDTR", ldtr_type, "guest_ldtr_type", runs },
	{ "LDTR base not canonical", ldtr_base, "guest_ldtr_base", runs },
	{ "GDT base not canonical", gdt_base, "guest_gdtr_base", runs },
	{ "IDT base not canonical", idt_base, "guest_idtr_base", runs },
	{ "#GP without an error code", gp_without_error, "event_error_code_missing", runs },
	{ "#UD with an error code", ud_with_error, "event_error_code_present", runs },
	{ "an error code in real mode, where it is left out", error_in_real, runs, runs },
	{ "an interrupt with RFLAGS.IF = 0", interrupt_if, "guest_rflags_if", runs },
	{ "blocking by STI with RFLAGS.IF = 0", sti_if, "guest_sti_if", runs },
	{ "an interrupt while blocked by MOV SS", interrupt_mov_ss, "guest_blocking_interrupt", runs },
	{ "an NMI while blocked by MOV SS", nmi_mov_ss, "guest_mov_ss_nmi", runs },
};

static struct flat f;
static struct state good;
static bool amd, nestor;

static void on_alarm(int sig)
{
}

static void make_page_tables(void)
{
	*(uint64_t *)(f.memory + PML4) = PDPT | PRESENT_WRITE;
	*(uint64_t *)(f.memory + PDPT) = PD | PRESENT_WRITE;
	*(uint64_t *)(f.memory + PD) = LARGE | PRESENT_WRITE;
}

/* A vCPU that has not seen the last state. */
static void renew(void)
{
	if (f.vcpu) {
		close(f.vcpu);
		close(f.vm);
		close(f.sys);
	}
	flat_create_vm(&f);
	make_page_tables();
	flat_create_vcpu(&f);
	flat_prepare(&f, halt, 0, NULL);
	memset(&good, 0, sizeof(good));
	KVM(f.vcpu, KVM_GET_SREGS, &good.sregs);
	KVM(f.vcpu, KVM_GET_REGS, &good.regs);
	KVM(f.vcpu, KVM_GET_VCPU_EVENTS, &good.events);
	good.events.flags &= ~(uint32_t)KVM_VCPUEVENT_VALID_SMM;
}

/* 0, or the errno of the first ioctl that refuses a part. */
static int set_state(const struct state *s)
{
	int r = kvm_raw(f.vcpu, KVM_SET_SREGS, &s->sregs);

	r = r ?: kvm_raw(f.vcpu, KVM_SET_REGS, &s->regs);
	return r ?: kvm_raw(f.vcpu, KVM_SET_VCPU_EVENTS, &s->events);
}

/* Some of the guests go round in circles. */
static int run_briefly(void)
{
	struct itimerval on = { .it_value.tv_usec = 100000, .it_interval.tv_usec = 100000 }, off = {};
	int r;

	setitimer(ITIMER_REAL, &on, NULL);
	r = kvm_raw(f.vcpu, KVM_RUN, NULL);
	setitimer(ITIMER_REAL, &off, NULL);
	return r;
}

#define MAX_RULES	32
#define MAX_VALUES	256
static struct nestor_broken_rule rules[MAX_RULES];
static struct nestor_entry_value values[MAX_VALUES], caps[MAX_VALUES];

static int get_failure(struct nestor_entry_failure *failure)
{
	*failure = (struct nestor_entry_failure){
		.nr_rules = MAX_RULES, .nr_values = MAX_VALUES, .nr_caps = MAX_VALUES,
		.rules = (uintptr_t)rules, .values = (uintptr_t)values, .caps = (uintptr_t)caps,
	};
	return kvm_raw(f.vcpu, NESTOR_GET_ENTRY_FAILURE, failure);
}

/* The rule that decided: the first that is enforced. */
static const struct nestor_broken_rule *deciding(const struct nestor_entry_failure *failure)
{
	for (uint32_t i = 0; i < failure->nr_rules && i < MAX_RULES; i++)
		if (rules[i].effect != NESTOR_EFFECT_ADVICE)
			return &rules[i];
	return NULL;
}

/* The number that upstream shows for what the rule does. */
static uint64_t reason_of(const struct nestor_broken_rule *rule)
{
	switch (rule->effect) {
	case NESTOR_EFFECT_VMFAIL:
		return rule->code;
	case NESTOR_EFFECT_ENTRY_FAILURE:
		return 0x80000000u | rule->code;
	default:
		return ~0ull;
	}
}

static void check_named(const char *what, const char *id)
{
	uint64_t reason = f.run->fail_entry.hardware_entry_failure_reason;
	struct nestor_entry_failure failure;
	const struct nestor_broken_rule *rule;
	int r = get_failure(&failure);

	rule = r ? NULL : deciding(&failure);
	tap_check(rule && !strcmp(rule->id, id) && failure.reason == reason && reason == reason_of(rule) &&
		  !strcmp(failure.vendor, amd ? "amd" : "intel"), "%s: rule %s (it is %s; reason 0x%llx)", what, id,
		  r ? strerror(-r) : rule ? rule->id : "none", (unsigned long long)reason);
}

static void check_state(unsigned int n)
{
	const char *what = impossible[n].what, *want = amd ? impossible[n].amd : impossible[n].intel;
	struct state s;
	int r;

	if (want == kills || want == lax) {
		tap_note("%s: not tried on this host", what);
		return;
	}
	renew();
	s = good;
	impossible[n].make(&s);
	r = set_state(&s);
	if (r || want == einval) {
		tap_check(r == -EINVAL && want == einval, "%s: refused: %s", what, strerror(-r));
		return;
	}
	f.run->exit_reason = KVM_EXIT_UNKNOWN;
	r = run_briefly();
	if (want == runs || f.run->exit_reason != KVM_EXIT_FAIL_ENTRY || r) {
		tap_check((want == runs) == (f.run->exit_reason != KVM_EXIT_FAIL_ENTRY),
			  "%s: %s (%d, exit reason %u)", what, want, r, f.run->exit_reason);
		return;
	}
	if (nestor)
		check_named(what, want);
	else
		tap_check(true, "%s: reason 0x%llx", what,
			  (unsigned long long)f.run->fail_entry.hardware_entry_failure_reason);
}

static uint64_t value_of(const struct nestor_entry_value *v, uint32_t nr, const char *name)
{
	for (; nr--; v++)
		if (!strcmp(v->name, name))
			return v->value;
	tap_note("no value is called %s", name);
	return 0xdeadbeef;
}

/* CS with L and D: both vendors refuse it. */
static void fail_once(void)
{
	struct state s;

	renew();
	s = good;
	cs_l_and_db(&s);
	if (set_state(&s) || run_briefly() || f.run->exit_reason != KVM_EXIT_FAIL_ENTRY)
		tap_fail("the entry did not fail");
}

static void test_report(void)
{
	struct nestor_entry_failure failure;
	const struct nestor_broken_rule *rule;
	uint64_t rsp, cr3, bits;

	renew();
	tap_check(get_failure(&failure) == -ENOENT, "no report before an entry failed");
	fail_once();
	tap_check(get_failure(&failure) == 0, "a report behind it");
	rule = deciding(&failure);
	if (!rule)
		tap_fail("no rule");
	tap_check(rule->text[0] && rule->section[0] && rule->nr_fields >= 2, "with text '%s' and section '%s'", rule->text,
		  rule->section);
	tap_check(!strcmp(rule->fields[0].name, amd ? "cs_attrib" : "guest_cs_ar") &&
		  (rule->fields[0].value & (amd ? 0x600 : 0x6000)) == (amd ? 0x600 : 0x6000),
		  "the field to look at: %s 0x%llx", rule->fields[0].name, (unsigned long long)rule->fields[0].value);
	tap_check(failure.nr_values > 80 && failure.nr_caps >= 10, "%u values, %u capabilities", failure.nr_values,
		  failure.nr_caps);
	/* Not RIP: QEMU leaves it somewhere else. */
	rsp = value_of(values, failure.nr_values, amd ? "rsp" : "guest_rsp");
	cr3 = value_of(values, failure.nr_values, amd ? "cr3" : "guest_cr3");
	bits = value_of(caps, failure.nr_caps, "physical_bits");
	tap_check(rsp == good.regs.rsp && cr3 == PML4 && bits >= 36, "the state is in it: rsp 0x%llx, cr3 0x%llx, "
		  "%llu bits", (unsigned long long)rsp, (unsigned long long)cr3, (unsigned long long)bits);
	KVM(f.vcpu, KVM_SET_SREGS, &good.sregs);
	KVM(f.vcpu, KVM_SET_REGS, &good.regs);
	tap_check(!run_briefly() && f.run->exit_reason == KVM_EXIT_HLT, "put right, the vCPU runs");
}

static void test_room(void)
{
	struct nestor_broken_rule *rule = guarded(sizeof(*rule));
	struct nestor_entry_value *value = guarded(3 * sizeof(*value));
	struct nestor_entry_failure failure = {}, all;

	fail_once();
	get_failure(&all);
	tap_check(kvm_raw(f.vcpu, NESTOR_GET_ENTRY_FAILURE, &failure) == 0 && failure.nr_rules == all.nr_rules &&
		  failure.nr_values == all.nr_values && failure.nr_caps == all.nr_caps, "without room: the counts");
	failure = (struct nestor_entry_failure){ .nr_rules = 1, .nr_values = 3, .rules = (uintptr_t)rule,
						 .values = (uintptr_t)value };
	tap_check(kvm_raw(f.vcpu, NESTOR_GET_ENTRY_FAILURE, &failure) == 0 && !strcmp(rule->id, rules[0].id) &&
		  !memcmp(value, values, 3 * sizeof(*value)), "with little room: no more than that");
	failure = (struct nestor_entry_failure){ .nr_rules = 1, .rules = 8 };
	tap_check(kvm_raw(f.vcpu, NESTOR_GET_ENTRY_FAILURE, &failure) == -EFAULT, "rules to nowhere");
	failure = (struct nestor_entry_failure){ .nr_values = 1, .values = 8 };
	tap_check(kvm_raw(f.vcpu, NESTOR_GET_ENTRY_FAILURE, &failure) == -EFAULT, "values to nowhere");
	failure = (struct nestor_entry_failure){ .nr_caps = 1, .caps = 8 };
	tap_check(kvm_raw(f.vcpu, NESTOR_GET_ENTRY_FAILURE, &failure) == -EFAULT, "capabilities to nowhere");
	tap_check(kvm_raw(f.vcpu, NESTOR_GET_ENTRY_FAILURE, (void *)8) == -EFAULT, "a report to nowhere");
}

#define TRACING	"/sys/kernel/tracing/"
#define EVENT	TRACING "events/nestor/entry_failed/enable"

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Does the file have a line with both? It is read as far as it goes without waiting. */
static bool has_line(const char *path, const char *a, const char *b)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	bool found = false;
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, text, sizeof(text) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		char *line, *save = NULL;

		text[n > 0 ? n : 0] = 0;
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			found |= strstr(line, a) && strstr(line, b);
	}
	close(fd);
	return found;
}

static void test_trace_and_log(void)
{
	const char *rule = amd ? "rule cs_l_and_d:" : "rule guest_cs_db:";

	if (!write_text(EVENT, "1"))
		tap_fail("no tracepoint: %s", strerror(errno));
	write_text(TRACING "trace", "");
	fail_once();
	tap_check(has_line(TRACING "trace", "entry_failed: vcpu 0", rule), "the trace names the rule");
	write_text(EVENT, "0");
	tap_check(has_line("/dev/kmsg", "nestor: vcpu 0: VM entry failed", rule), "the log names the rule");
}

int main(void)
{
	struct sigaction alarm = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &alarm, NULL);
	amd = flat_is_amd();
	nestor = strcmp(device_path(), "/dev/kvm") != 0;
	/* First: the log takes only so many lines in a while. */
	if (nestor)
		test_trace_and_log();
	for (unsigned int i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++)
		check_state(i);
	if (nestor) {
		test_report();
		test_room();
	}
	return tap_done();
}
