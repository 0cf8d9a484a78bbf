// SPDX-License-Identifier: GPL-2.0
/* The report on a guest that ended in a way it should not have. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "check/dump.h"
#include "crashdump.h"
#include "term.h"
#include "util.h"
#include "vm.h"

#define CODE_BEFORE	16
#define CODE_AFTER	32
#define PAGE_SIZE	4096
#define EFER_LMA	(1ULL << 10)

/* Enough to see a pattern, few enough that a guest cannot flood the terminal. */
#define MMIO_REPORTS	16

typedef unsigned long long ull;

static void print_gprs(const struct kvm_regs *r)
{
	fprintf(stderr,
		"rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n"
		"rsi %016llx  rdi %016llx  rsp %016llx  rbp %016llx\n"
		"r8  %016llx  r9  %016llx  r10 %016llx  r11 %016llx\n"
		"r12 %016llx  r13 %016llx  r14 %016llx  r15 %016llx\n"
		"rip %016llx  rflags %08llx\n",
		r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rsp, r->rbp,
		r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
		r->rip, r->rflags);
}

static void print_segment(const char *name, const struct kvm_segment *s)
{
	fprintf(stderr,
		"%-4s %04x  base %016llx  limit %08x  type %x s %u dpl %u p %u avl %u l %u db %u g %u%s\n",
		name, s->selector, s->base, s->limit, s->type, s->s, s->dpl, s->present,
		s->avl, s->l, s->db, s->g, s->unusable ? "  unusable" : "");
}

static void print_sregs(const struct kvm_sregs *s)
{
	print_segment("cs", &s->cs);
	print_segment("ss", &s->ss);
	print_segment("ds", &s->ds);
	print_segment("es", &s->es);
	print_segment("fs", &s->fs);
	print_segment("gs", &s->gs);
	print_segment("tr", &s->tr);
	print_segment("ldt", &s->ldt);
	fprintf(stderr,
		"gdt  base %016llx  limit %04x    idt  base %016llx  limit %04x\n"
		"cr0 %08llx  cr2 %016llx  cr3 %016llx  cr4 %08llx  cr8 %llx\n"
		"efer %llx  apic base %llx\n",
		s->gdt.base, s->gdt.limit, s->idt.base, s->idt.limit,
		s->cr0, s->cr2, s->cr3, s->cr4, s->cr8, s->efer, s->apic_base);
}

static void print_walk(uint64_t linear, const struct walk *walk)
{
	fprintf(stderr, "page tables of rip, linear %llx:\n", (ull)linear);
	if (!walk->levels && walk->mapped)
		fprintf(stderr, "  paging is off\n");
	for (unsigned int i = 0; i < walk->levels; i++)
		fprintf(stderr, "  level %u entry at %012llx: %016llx\n", walk->step[i].level,
			(ull)walk->step[i].address, (ull)walk->step[i].entry);
	if (walk->mapped)
		fprintf(stderr, "  guest-physical %llx\n", (ull)walk->gpa);
	else
		fprintf(stderr, "  no translation: %s\n", walk->problem);
}

/* The bytes around rip, as far as they are on its page; <> marks rip's own. */
static void print_code(const struct vm *vm, const struct walk *walk)
{
	uint64_t in_page = walk->gpa & (PAGE_SIZE - 1);
	uint64_t before = in_page < CODE_BEFORE ? in_page : CODE_BEFORE;
	uint64_t after = PAGE_SIZE - in_page < CODE_AFTER ? PAGE_SIZE - in_page : CODE_AFTER;
	const uint8_t *code;

	if (!walk->mapped)
		return;
	code = memory__ptr(vm, walk->gpa - before, before + after);
	if (!code) {
		fprintf(stderr, "code: rip is outside of RAM\n");
		return;
	}
	fprintf(stderr, "code:");
	for (uint64_t i = 0; i < before + after; i++)
		fprintf(stderr, i == before ? " <%02x>" : " %02x", code[i]);
	fprintf(stderr, "\n");
}

/** crashdump__print_state() - print a stopped vCPU's registers, page-table walk and code */
void crashdump__print_state(struct vcpu *vcpu)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct walk walk;
	uint64_t linear;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		fprintf(stderr, "the registers cannot be read\n");
		return;
	}
	print_gprs(&regs);
	print_sregs(&sregs);
	linear = sregs.cs.base + regs.rip;
	if (!(sregs.efer & EFER_LMA))
		linear = (uint32_t)linear;
	pagewalk__walk(vcpu->vm, &sregs, linear, &walk);
	print_walk(linear, &walk);
	print_code(vcpu->vm, &walk);
}

/* Only the first vCPU that crashes reports: the others go down with it. */
static bool crashdump__begin(struct vcpu *vcpu)
{
	if (!vm__end(vcpu->vm, VM_CRASHED))
		return false;
	term__restore(vcpu->vm->dev.term);
	return true;
}

/** crashdump__report() - report an exit that the run loop has no answer to, and end the VM */
void crashdump__report(struct vcpu *vcpu)
{
	if (!crashdump__begin(vcpu))
		return;
	pr_err("unexpected exit of vCPU %u", vcpu->id);
	exitreason__print(vcpu->run);
	if (vcpu->run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		failure__print(stderr, vcpu->fd);
	crashdump__print_state(vcpu);
	kmsg__print_tail();
}

/** crashdump__report_error() - report that KVM_RUN itself failed, and end the VM */
void crashdump__report_error(struct vcpu *vcpu, int err)
{
	if (!crashdump__begin(vcpu))
		return;
	pr_err("KVM_RUN of vCPU %u: %s", vcpu->id, strerror(err));
	crashdump__print_state(vcpu);
	kmsg__print_tail();
}

/** crashdump__report_mmio() - report an access where no device answers; the VM goes on */
void crashdump__report_mmio(struct vcpu *vcpu)
{
	unsigned int n = atomic_fetch_add(&vcpu->vm->unknown_mmio, 1);

	if (n < MMIO_REPORTS)
		pr_warn("vCPU %u: %u-byte %s at guest-physical 0x%llx, where no device answers%s",
			vcpu->id, vcpu->run->mmio.len,
			vcpu->run->mmio.is_write ? "write" : "read",
			vcpu->run->mmio.phys_addr,
			n == MMIO_REPORTS - 1 ? " (further ones are not reported)" : "");
}
