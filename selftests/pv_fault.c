// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that a guest that can is told of pages which take long to come (KVM's asynchronous page faults), gets each
 * token back when its page is there, and that neither a reset nor the end of the VM leaves anything behind.
 *
 * The pages are held back by userfaultfd.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3
 * nestor-test: cpu=intel kernel=6.1 timeout=900
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_para.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "apic.h"
#include "flat.h"
#include "guest.h"
#include "tap.h"

#define APF		0x8000		/* struct kvm_vcpu_pv_apf_data: flags, token */
#define PAGE_DIRECTORY	0x9000
#define LATE		0x200000	/* memory that is not there yet */
#define LATE_PAGES	8
#define READY		0xf3
#define PAGE		4096

FLAT_CODE_BLOCK(
	"touch:	mov (%ebx), %eax\n out %al, $0xff\n"
	/* The task that waits: the CPU does something else, with interrupts on. */
	"not_present:	out %al, $0x0e\n"
	"wait_ready:	sti\n1: hlt\n jmp 1b\n"
);
extern const char touch[], not_present[], wait_ready[];

static struct flat f;
static int uffd;
static uint8_t *late;
static volatile uint32_t *apf;

static void on_alarm(int sig)
{
}

/* KVM_RUN, for a second at most. */
static int run(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval second = { .it_value = { .tv_sec = 1 } }, off = {};
	int r;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &second, NULL);
	r = flat_run(&f);
	setitimer(ITIMER_REAL, &off, NULL);
	return r;
}

static int go(const char *label, uint64_t flags, uint32_t ebx)
{
	struct kvm_mp_state running = { KVM_MP_STATE_RUNNABLE };

	/* The last one may have left it halted. */
	KVM(f.vcpu, KVM_SET_MP_STATE, &running);
	flat_prepare(&f, label, flags, &(struct kvm_regs){ .rbx = ebx });
	return run();
}

static void hold_back(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)late, LATE_PAGES * PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		tap_skip_all("no userfaultfd: %s", strerror(errno));
	if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg))
		tap_fail("userfaultfd: %s", strerror(errno));
}

static void bring(int page)
{
	static uint8_t content[PAGE];
	struct uffdio_copy copy = { .dst = (uintptr_t)late + page * PAGE, .src = (uintptr_t)content, .len = PAGE };

	memset(content, 0x5a, sizeof(content));
	if (ioctl(uffd, UFFDIO_COPY, &copy) && errno != EEXIST)
		tap_fail("UFFDIO_COPY: %s", strerror(errno));
}

static int64_t counter(const char *name)
{
	struct guest g = { .fd = f.vm, .cpu = { f.vcpu } };

	return guest_counter(&g, 0, name);
}

static void *bring_soon(void *page)
{
	sleep_ms(300);
	bring((long)page);
	return NULL;
}

/* The guest touches a page that comes a little later, and is not told: it has to wait. */
static bool waits(uint64_t flags, long page)
{
	int64_t told = counter("apf_not_present");
	pthread_t thread;

	pthread_create(&thread, NULL, bring_soon, (void *)page);
	flat_go(&f, touch, flags, &(struct kvm_regs){ .rbx = LATE + page * PAGE });
	pthread_join(thread, NULL);
	return flat_at_port(&f, FLAT_DONE) && (uint8_t)flat_regs(&f).rax == 0x5a && counter("apf_not_present") == told;
}

static void set_gate(uint8_t vector, const char *label)
{
	uint32_t at = flat_address(label), gate[2] = { FLAT_CS << 16 | (at & 0xffff), (at & ~0xffffu) | 0x8e00 };

	memcpy(f.memory + FLAT_IDT + vector * 8, gate, sizeof(gate));
}

static void set_up(void)
{
	struct kvm_userspace_memory_region slot = { .slot = 7, .guest_phys_addr = LATE,
						    .memory_size = LATE_PAGES * PAGE };
	struct kvm_sregs s;

	flat_create_vm(&f);
	REQUIRE_CAP(f.sys, KVM_CAP_ASYNC_PF_INT);
	KVM(f.vm, KVM_CREATE_IRQCHIP, NULL);
	flat_create_vcpu(&f);
	late = mmap(NULL, LATE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	slot.userspace_addr = (uintptr_t)late;
	KVM(f.vm, KVM_SET_USER_MEMORY_REGION, &slot);
	/* 4 MiB, one to one: the guest must have paging for its page faults. */
	*(uint32_t *)(f.memory + PAGE_DIRECTORY) = 0x83;
	KVM(f.vcpu, KVM_GET_SREGS, &s);
	s.cr3 = PAGE_DIRECTORY;
	s.cr4 |= 0x10;
	s.cr0 |= 1u << 31;
	KVM(f.vcpu, KVM_SET_SREGS, &s);
	set_gate(14, not_present);
	apf = (volatile uint32_t *)(f.memory + APF);
	apic_put(f.vcpu, APIC_SPIV, APIC_ENABLE);
}

static bool enable(void)
{
	bool ok = msr_write(f.vcpu, MSR_KVM_ASYNC_PF_INT, READY) &&
		  msr_write(f.vcpu, MSR_KVM_ASYNC_PF_EN, APF | KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_SEND_ALWAYS |
			    KVM_ASYNC_PF_DELIVERY_AS_INT);

	/* Whatever it waited for: the guest is told to look. */
	go(wait_ready, 0, 0);
	ok = ok && flat_at_port(&f, READY) && apf[1] == ~0u;
	return ok;
}

static uint32_t cr2(void)
{
	struct kvm_sregs s;

	KVM(f.vcpu, KVM_GET_SREGS, &s);
	return s.cr2;
}

/* The handler of the vector has not ended it, and the guest has taken the token. */
static void acknowledge(void)
{
	apf[1] = 0;
	for (int i = 0; i < 8; i++)
		apic_put(f.vcpu, APIC_ISR + i * 0x10, 0);
	msr_write(f.vcpu, MSR_KVM_ASYNC_PF_ACK, 1);
}

static void test_faults(void)
{
	uint32_t token[2];

	bring(0);
	go(touch, FL_IF, LATE);
	tap_check(flat_at_port(&f, FLAT_DONE) && (uint8_t)flat_regs(&f).rax == 0x5a, "a page that is there is no matter");
	go(touch, FL_IF, LATE + PAGE);
	token[0] = cr2();
	tap_check(flat_at_port(&f, 14) && apf[0] == KVM_PV_REASON_PAGE_NOT_PRESENT && token[0],
		  "a page that is missing is a #PF, token 0x%x", token[0]);
	apf[0] = 0;
	go(touch, FL_IF, LATE + 2 * PAGE);
	token[1] = cr2();
	tap_check(flat_at_port(&f, 14) && apf[0] == KVM_PV_REASON_PAGE_NOT_PRESENT && token[1] != token[0],
		  "another page has another token, 0x%x", token[1]);
	apf[0] = 0;
	tap_check(!go(wait_ready, 0, 0) && !apf[1], "nothing is ready yet");
	bring(2);
	go(wait_ready, 0, 0);
	tap_check(flat_at_port(&f, READY) && apf[1] == token[1], "the page that came first is told first");
	bring(1);
	sleep_ms(50);
	tap_check(!go(wait_ready, 0, 0), "the next one waits for the guest");
	acknowledge();
	go(wait_ready, 0, 0);
	tap_check(flat_at_port(&f, READY) && apf[1] == token[0], "until it has acknowledged");
	acknowledge();
	go(touch, FL_IF, LATE + PAGE);
	tap_check(flat_at_port(&f, FLAT_DONE) && (uint8_t)flat_regs(&f).rax == 0x5a, "and the page is there");
	tap_check(counter("apf_not_present") == 2 && counter("apf_ready") == 3, "counters say so");
}

static void test_synchronous(void)
{
	pthread_t thread;

	tap_check(waits(0, 3), "with interrupts off the vCPU waits");
	go(touch, FL_IF, LATE + 5 * PAGE);
	tap_check(flat_at_port(&f, 14), "with interrupts on the guest is told");
	apf[0] = 0;
	pthread_create(&thread, NULL, bring_soon, (void *)5l);
	flat_go(&f, touch, FL_IF, &(struct kvm_regs){ .rbx = LATE + 5 * PAGE });
	pthread_join(thread, NULL);
	tap_check(flat_at_port(&f, FLAT_DONE) || flat_at_port(&f, READY), "once: then the vCPU waits");
	go(wait_ready, 0, 0);
	acknowledge();
}

/* With a page outstanding: none of it waits for user space. */
static void test_forgotten(void)
{
	go(touch, FL_IF, LATE + 4 * PAGE);
	tap_check(flat_at_port(&f, 14), "one more page is missing");
	apf[0] = 0;
	tap_check(msr_write(f.vcpu, MSR_KVM_ASYNC_PF_EN, 0) == 1, "the feature is turned off at once");
	bring(4);
	sleep_ms(50);
	tap_check(!go(wait_ready, 0, 0) && !apf[1], "what comes then is nobody's");
	tap_check(enable(), "on again");
	acknowledge();
	go(touch, FL_IF, LATE + 6 * PAGE);
	tap_check(flat_at_port(&f, 14), "and the last page");
}

int main(void)
{
	set_up();
	hold_back();
	tap_check(waits(FL_IF, 7), "off: the vCPU waits");
	tap_check(enable(), "on: the guest is told to look at whatever it waited for");
	acknowledge();
	test_faults();
	test_synchronous();
	test_forgotten();
	/* The VM goes with a page outstanding, whose work item ends with the userfaultfd. */
	close(uffd);
	munmap(f.run, KVM(f.sys, KVM_GET_VCPU_MMAP_SIZE, NULL));
	close(f.vcpu);
	close(f.vm);
	tap_check(true, "the VM is gone");
	return tap_done();
}
