// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE know all edges: any size, flag and address has upstream's errno,
 * alone and at random; memory that cannot be read or written, or that another thread changes meanwhile, harms nobody; what
 * is got is written to the last byte and has nothing of the kernel's in it; and what is set is got again, with L2 running,
 * halted, not entered yet, and interrupted by an SMI.
 *
 * Random values come from the seed that is printed; $SEED is another one. Upstream's kvm-amd tells who asks for the size of
 * L2's state the header's at first, and fails the checks of that.
 *
 * nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
 * nestor-test: cpu=amd-bochs kernel=6.1 tlb=tagged cpus=2 timeout=600
 * nestor-test: cpu=intel kernel=6.1,7.3 cpus=2 timeout=900
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nested.h"
#include "tap.h"
#include "thin.h"

#define PAGE		4096
#define HEAD		sizeof(struct kvm_nested_state)
#define NO_VMCS		(~0ull)
#define EFER_SVME	0x1000
#define SMM_CODE	0x38000
#define SMM_PORT	0x51
#define SHADOW_VMCS	(HEAD + 2 * PAGE)

/* What L2 says. */
enum { IN_L2 = 1, AWAKE, FAILED };

static struct self s;
static uint64_t seed;

static uint64_t any(void)
{
	return next_random(&seed);
}

static void guest(void)
{
	if (thin_load())
		self_exit(FAILED);
	self_exit(IN_L2);
	asm volatile("cli\n hlt");
	self_exit(AWAKE);
	thin_unload();
	self_exit(0);
}

static int get(void *state)
{
	return kvm_raw(s.vcpu, KVM_GET_NESTED_STATE, state);
}

static int set(const void *state)
{
	return kvm_raw(s.vcpu, KVM_SET_NESTED_STATE, state);
}

/* A vCPU as it was, to come back to whatever was set. */
static struct {
	struct nested_state nested;
	struct image image;
} saved;

/* The first of them. */
static struct nested_state in_l2;

static void save(void)
{
	nested_get(s.vcpu, &saved.nested);
	image_take_registers(s.vcpu, &saved.image);
}

static void restore(void)
{
	nested_put(s.vcpu, &saved.nested, &saved.image);
}

static bool is_saved(void)
{
	return nested_is(s.vcpu, &saved.nested);
}

static bool page_ok(uint64_t address)
{
	return !(address % PAGE) && !(address >> physical_bits());
}

/* The verdict on a header of which the data are right, by a vCPU that is not in SMM and has no enlightened VMCS. */
static int vmx_verdict(const struct kvm_nested_state *head)
{
	const struct kvm_vmx_nested_state_hdr *h = &head->hdr.vmx;

	if (head->format != KVM_STATE_NESTED_FORMAT_VMX || h->smm.flags || head->flags & KVM_STATE_NESTED_EVMCS)
		return -EINVAL;
	if (h->vmxon_pa == NO_VMCS)
		return h->vmcs12_pa != NO_VMCS || head->flags || h->flags & ~KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE ? -EINVAL : 0;
	if (!page_ok(h->vmxon_pa) || h->flags & ~KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE)
		return -EINVAL;
	if (head->size < HEAD + PAGE)
		return head->flags & KVM_STATE_NESTED_GUEST_MODE || h->vmcs12_pa != NO_VMCS ? -EINVAL : 0;
	return h->vmcs12_pa == h->vmxon_pa || !page_ok(h->vmcs12_pa) ? -EINVAL : 0;
}

static int svm_verdict(const struct kvm_nested_state *head)
{
	const unsigned int known = KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING | KVM_STATE_NESTED_GIF_SET;

	if (head->format != KVM_STATE_NESTED_FORMAT_SVM || head->flags & ~known)
		return -EINVAL;
	if (!(head->flags & KVM_STATE_NESTED_GUEST_MODE))
		return 0;
	return !page_ok(head->hdr.svm.vmcb_pa) || head->size < HEAD + PAGE ? -EINVAL : 0;
}

static int verdict(const struct kvm_nested_state *head)
{
	const unsigned int known = KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING | KVM_STATE_NESTED_EVMCS |
				   KVM_STATE_NESTED_MTF_PENDING | KVM_STATE_NESTED_GIF_SET;

	if (head->size < HEAD || head->flags & ~known ||
	    (head->flags & KVM_STATE_NESTED_RUN_PENDING && !(head->flags & KVM_STATE_NESTED_GUEST_MODE)))
		return -EINVAL;
	return thin_is_vmx ? vmx_verdict(head) : svm_verdict(head);
}

static unsigned int mistakes;

/* Whatever comes of it: then the vCPU is as before. */
static void try_state(const struct nested_state *state, const char *what, uint64_t value)
{
	int wanted = verdict(&state->head), r = set(state);

	if (r != wanted) {
		tap_note("%s %#llx: %d instead of %d; flags %#x, format %u, size %#x, %#llx %#llx", what,
			 (unsigned long long)value, r, wanted, state->head.flags, state->head.format, state->head.size,
			 (unsigned long long)state->head.hdr.vmx.vmxon_pa, (unsigned long long)state->head.hdr.vmx.vmcs12_pa);
		mistakes++;
	}
	if (r && !is_saved()) {
		tap_note("%s %#llx: refused, and something has changed", what, (unsigned long long)value);
		mistakes++;
	}
	if (!r)
		restore();
}

static void check_mistakes(const char *what)
{
	tap_check(!mistakes, "%s: upstream's errno, and what is refused changes nothing", what);
	mistakes = 0;
	if (!tap_check(is_saved(), "%s: the vCPU is as it was", what))
		restore();
}

static void test_sizes(void)
{
	static const uint32_t sizes[] = {
		0, 1, HEAD - 1, HEAD, HEAD + 1, HEAD + PAGE - 1, HEAD + PAGE, HEAD + PAGE + 1, SHADOW_VMCS - 1, SHADOW_VMCS,
		SHADOW_VMCS + 1, 0x7fffffff, 0x80000000, ~0u,
	};
	struct nested_state state;
	unsigned int i, guest_mode;

	for (guest_mode = 0; guest_mode < 2; guest_mode++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			state = saved.nested;
			state.head.size = sizes[i];
			if (!guest_mode)
				state.head.flags &= ~KVM_STATE_NESTED_GUEST_MODE;
			try_state(&state, "size", sizes[i]);
		}
	}
	check_mistakes("KVM_SET_NESTED_STATE of any size");
}

static void test_words(void)
{
	struct nested_state state;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		state = saved.nested;
		state.head.flags ^= 1 << i;
		try_state(&state, "flag", 1 << i);
		state.head.flags = 1 << i;
		try_state(&state, "flag alone", 1 << i);
		state = saved.nested;
		state.head.format ^= 1 << i;
		try_state(&state, "format", state.head.format);
	}
	check_mistakes("KVM_SET_NESTED_STATE of any flag and format");
}

/* Of a header: each bit of it the other way. Those that nobody reads make no difference. */
static void test_header_bits(void)
{
	struct nested_state state;
	unsigned int i;

	for (i = offsetof(struct kvm_nested_state, hdr) * 8; i < HEAD * 8; i++) {
		uint8_t *byte = (uint8_t *)&state + i / 8;

		state = saved.nested;
		*byte ^= 1 << i % 8;
		/* Another timer, a PAT that quirks ask for: not in what is got. */
		if (!verdict(&state.head) && i >= offsetof(struct kvm_nested_state, hdr.vmx.smm) * 8)
			continue;
		try_state(&state, "bit", i);
	}
	check_mistakes("KVM_SET_NESTED_STATE with a bit of the header changed");
}

static void test_random_headers(void)
{
	static const uint64_t addresses[] = { 0, 1, PAGE, PAGE - 1, NO_VMCS, NO_VMCS - 1, 1ull << 63, 0x20000000, 0x200000 };
	static const uint32_t sizes[] = { HEAD - 1, HEAD, HEAD + PAGE - 1, HEAD + PAGE, SHADOW_VMCS, ~0u };
	struct nested_state state;
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		uint64_t choice = any();

		state = saved.nested;
		if (choice & 1)
			state.head.flags = any() & any() & 0x11f;
		if (choice & 2)
			state.head.size = sizes[any() % (sizeof(sizes) / sizeof(sizes[0]))];
		if (choice & 4)
			state.head.hdr.vmx.vmxon_pa = addresses[any() % (sizeof(addresses) / sizeof(addresses[0]))];
		if (choice & 8)
			state.head.hdr.vmx.vmcs12_pa = addresses[any() % (sizeof(addresses) / sizeof(addresses[0]))];
		if (thin_is_vmx && !(any() % 8))
			state.head.hdr.vmx.smm.flags = any() & any() & 7;
		if (!(any() % 16))
			state.head.format = any() % 3;
		try_state(&state, "random header", i);
	}
	check_mistakes("KVM_SET_NESTED_STATE with random headers");
}

/* Refused or not, a VMCS or VMCB with random bits harms nobody. */
static void test_random_data(void)
{
	unsigned int i, n, refused = 0, strange = 0;
	struct nested_state state;
	int r;

	for (i = 0; i < 300; i++) {
		state = saved.nested;
		for (n = any() % 8 + 1; n; n--)
			state.data[any() % PAGE] ^= 1 << any() % 8;
		if (any() & 1)
			state.head.flags |= KVM_STATE_NESTED_RUN_PENDING;
		r = set(&state);
		refused += r == -EINVAL;
		strange += r && r != -EINVAL;
		/* Whatever was taken can be got, and set. */
		nested_get(s.vcpu, &state);
		if (!r)
			strange += set(&state) != 0;
		restore();
	}
	tap_check(!strange && refused && refused < 300, "of 300 random states %u are refused", refused);
	tap_check(is_saved(), "and the vCPU is as it was");
}

/* Memory of two pages, of which the second cannot be accessed as @protection forbids. */
static uint8_t *half(int protection)
{
	uint8_t *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + PAGE, PAGE, protection))
		tap_fail("no memory");
	return p;
}

static void test_bad_memory(void)
{
	uint8_t *p = half(PROT_NONE), *at = p + PAGE - HEAD;
	struct kvm_nested_state *head = (void *)at;

	tap_check(get(NULL) == -EFAULT && set(NULL) == -EFAULT, "no pointer");
	tap_check(get((void *)~0xfffull) == -EFAULT && set((void *)~0xfffull) == -EFAULT, "a pointer into the kernel");
	tap_check(get(p + PAGE) == -EFAULT && set(p + PAGE) == -EFAULT, "memory that cannot be accessed");
	tap_check(get(p + PAGE - 4) == -EFAULT && set(p + PAGE - HEAD + 1) == -EFAULT, "a header of which a byte is missing");
	memcpy(at, &saved.nested, HEAD);
	head->size = sizeof(saved.nested);
	tap_check(get(at) == -EFAULT, "KVM_GET_NESTED_STATE: room for the header only");
	memcpy(at, &saved.nested, HEAD);
	tap_check(set(at) == -EFAULT, "KVM_SET_NESTED_STATE: a header without data");
	restore();
	at = p + PAGE - HEAD - 100;
	memcpy(at, &saved.nested, HEAD + 100);
	tap_check(set(at) == -EFAULT, "KVM_SET_NESTED_STATE: and with a part of them");
	restore();
	munmap(p, 2 * PAGE);

	p = half(PROT_READ);
	memcpy(p, &saved.nested, HEAD);
	mprotect(p, PAGE, PROT_READ);
	tap_check(get(p) == -EFAULT, "KVM_GET_NESTED_STATE to read-only memory");
	mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	((struct kvm_nested_state *)p)->size = HEAD;
	mprotect(p, PAGE, PROT_READ);
	tap_check(get(p) == -EFAULT, "also where only the size is to be told");
	munmap(p, 2 * PAGE);

	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(p, &saved.nested, saved.nested.head.size);
	mprotect(p, 4 * PAGE, PROT_READ);
	tap_check(set(p) == 0, "KVM_SET_NESTED_STATE from read-only memory");
	munmap(p, 4 * PAGE);
	restore();
	tap_check(is_saved(), "the vCPU is as it was");
}

/* Each byte of the state is written, none behind it, and two of them are the same. */
static void check_bytes(const char *what)
{
	static uint8_t got[2][3 * PAGE];
	struct kvm_nested_state *head;
	uint32_t size, sizes[] = { 0, 0, 0, 3 * PAGE, ~0u };
	unsigned int i, j, behind = 0;

	head = (void *)got[0];
	head->size = 0;
	tap_check(get(got[0]) == -E2BIG && head->size >= HEAD, "%s: the size is told", what);
	size = head->size;
	sizes[0] = size;
	sizes[1] = size + 1;
	sizes[2] = size - 1;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (j = 0; j < 2; j++) {
			memset(got[j], j ? 0x5a : 0xa5, sizeof(got[j]));
			((struct kvm_nested_state *)got[j])->size = sizes[i];
			if (get(got[j]) != (sizes[i] < size ? -E2BIG : 0))
				break;
			for (unsigned int at = sizes[i] < size ? HEAD : size; at < sizeof(got[j]); at++)
				behind += got[j][at] != (j ? 0x5a : 0xa5);
		}
		tap_check(j == 2 && (sizes[i] < size || !memcmp(got[0], got[1], size)), "%s: %#x bytes", what, sizes[i]);
	}
	tap_check(!behind, "%s: nothing is written behind it", what);
}

/* What is set is got; whether L2 is halted is told by KVM_GET_MP_STATE. */
static void check_again(const char *what)
{
	save();
	check_bytes(what);
	tap_check(set(&saved.nested) == 0, "%s: it can be set", what);
	KVM(s.vcpu, KVM_SET_MP_STATE, &saved.image.mp);
	tap_check(is_saved(), "%s: and is got again", what);
	restore();
	tap_check(is_saved(), "%s: also behind another state", what);
}

static void test_run_pending(void)
{
	struct nested_state state = saved.nested, now;

	state.head.flags |= KVM_STATE_NESTED_RUN_PENDING;
	/* SVM tells it of an event that L1 injects, which is what is left to do of VMRUN. */
	if (!thin_is_vmx)
		((uint32_t *)(state.data + 0xa8))[0] = 0x80000421;
	tap_check(set(&state) == 0, "an entry that has not happened is set");
	nested_get(s.vcpu, &now);
	tap_check(now.head.flags == state.head.flags, "and got");
	check_bytes("with it");
	restore();
}

static struct nested_state shared;
static volatile bool stop;

static void *mutate(void *unused)
{
	static const uint32_t sizes[] = { 0, HEAD, HEAD + PAGE, SHADOW_VMCS, ~0u };
	uint64_t x = 88172645463325252ull;
	unsigned int i;

	for (i = 0; !stop; i++) {
		next_random(&x);
		if (i % 4 == 0)
			((volatile struct kvm_nested_state *)&shared.head)->size = sizes[x % 5];
		else if (i % 4 == 1)
			((volatile struct kvm_nested_state *)&shared.head)->flags = x & 3;
		else
			((volatile uint8_t *)&shared)[x % (HEAD + PAGE)] ^= 1 << (x >> 60 & 7);
		if (i % 64 == 0)
			memcpy(&shared, &saved.nested, sizeof(shared));
	}
	return NULL;
}

static void test_mutator(void)
{
	unsigned int i, strange = 0, set_ones = 0;
	struct nested_state now;
	pthread_t thread;
	int r;

	shared = saved.nested;
	stop = false;
	pthread_create(&thread, NULL, mutate, NULL);
	for (i = 0; i < 500; i++) {
		r = set(&shared);
		strange += r && r != -EINVAL;
		set_ones += !r;
		nested_get(s.vcpu, &now);
		strange += now.head.size < HEAD || now.head.size > sizeof(now) || set(&now);
		r = get(&shared);
		strange += r && r != -E2BIG;
		if (i % 16 == 0)
			restore();
	}
	stop = true;
	pthread_join(thread, NULL);
	tap_check(!strange, "a state that changes all the time: set %u times, and no surprise (%u)", set_ones, strange);
	restore();
	tap_check(is_saved(), "and the vCPU is as it was");
}

static void nothing(int signal)
{
}

static void set_timer(long us)
{
	const struct itimerval timer = { { 0, us }, { 0, us } };
	const struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void test_halted(void)
{
	struct kvm_mp_state mp;
	int r;

	set_timer(50000);
	r = kvm_raw(s.vcpu, KVM_RUN, NULL);
	set_timer(0);
	KVM(s.vcpu, KVM_GET_MP_STATE, &mp);
	tap_check(r == -EINTR && mp.mp_state == KVM_MP_STATE_HALTED, "L2 is halted");
	check_again("halted");
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	KVM(s.vcpu, KVM_SET_MP_STATE, &mp);
	tap_check(self_run(&s) == AWAKE, "and goes on");
}

/* SMM sees the same memory. The handler: a word to the host; RSM. */
static void test_smm(void)
{
	static const uint8_t handler[] = { 0xe6, SMM_PORT, 0x0f, 0xaa };
	struct nested_state state;
	struct kvm_sregs sregs;

	if (!kvm_cap(s.sys, KVM_CAP_X86_SMM)) {
		tap_skip("no SMM");
		return;
	}
	self_share_with_smm(&s);
	memcpy(s.memory + SMM_CODE, handler, sizeof(handler));
	KVM(s.vcpu, KVM_SMI, NULL);
	KVM(s.vcpu, KVM_RUN, NULL);
	if (!tap_check(s.run->exit_reason == KVM_EXIT_IO && s.run->io.port == SMM_PORT, "an SMI interrupts L2"))
		tap_fail("exit reason %u", s.run->exit_reason);
	check_again("in SMM");
	tap_check(!(saved.nested.head.flags & KVM_STATE_NESTED_GUEST_MODE), "in SMM: no L2 runs");
	if (thin_is_vmx)
		tap_check(saved.nested.head.hdr.vmx.smm.flags == (KVM_STATE_NESTED_SMM_GUEST_MODE | KVM_STATE_NESTED_SMM_VMXON),
			  "in SMM: it is told what RSM goes back to");
	if (!thin_is_vmx) {
		sregs = saved.image.sregs;
		sregs.efer |= EFER_SVME;
		KVM(s.vcpu, KVM_SET_SREGS, &sregs);
	}
	tap_check(set(&in_l2) == -EINVAL && is_saved(), "in SMM: and none can be set");
	KVM(s.vcpu, KVM_SET_SREGS, &saved.image.sregs);
	if (thin_is_vmx) {
		state = saved.nested;
		state.head.hdr.vmx.smm.flags = KVM_STATE_NESTED_SMM_GUEST_MODE;
		tap_check(set(&state) == -EINVAL, "in SMM: what RSM goes back to is VMX operation");
		state.head.hdr.vmx.smm.flags = 7;
		tap_check(set(&state) == -EINVAL && is_saved(), "in SMM: and nothing else");
	}
}

/* Without VMX operation or EFER.SVME. */
static void test_nothing(void)
{
	struct nested_state state;

	nested_get(s.vcpu, &saved.nested);
	check_bytes("nothing");
	state = saved.nested;
	state.head.size = sizeof(state);
	state.head.flags |= KVM_STATE_NESTED_GUEST_MODE;
	tap_check(set(&state) == -EINVAL && is_saved(), "nothing: no L2 without a VMCS or VMCB");
	tap_check(set(&saved.nested) == 0 && is_saved(), "nothing: it is set");
	if (!thin_is_vmx) {
		state = saved.nested;
		state.head.flags = 0;
		tap_check(set(&state) == 0, "GIF can be clear without SVM");
		set(&saved.nested);
	}
}

/* L2 goes on with whatever was accepted, and may write to the program that it is in: another one, which is to end soon. */
static void run_wild(void)
{
	struct nested_state state;
	unsigned int i, n;

	thin_create(&s, 1);
	self_start(&s, guest);
	self_run(&s);
	save();
	set_timer(5000);
	for (i = 0; i < 40; i++) {
		state = saved.nested;
		for (n = any() % 16 + 1; n; n--)
			state.data[any() % PAGE] ^= 1 << any() % 8;
		if (!set(&state))
			kvm_raw(s.vcpu, KVM_RUN, NULL);
		restore();
	}
	_exit(0);
}

#define WILD_SECONDS	20

/* Did it end by itself, whatever its guest has made of it? */
static bool ends(pid_t child)
{
	int status, i;

	for (i = 0; i < WILD_SECONDS * 100; i++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status);
		usleep(10000);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return false;
}

static void test_wild(void)
{
	unsigned int i, overwritten = 0;
	pid_t child;

	for (i = 0; i < 4; i++) {
		any();
		child = fork();
		if (!child)
			run_wild();
		overwritten += !ends(child);
	}
	tap_check(overwritten < i, "random states have run; %u of %u programs were overwritten by their guests", overwritten, i);
}

int main(void)
{
	const char *given = getenv("SEED");

	seed = given ? strtoull(given, NULL, 0) : 0x9e3779b97f4a7c15;
	tap_note("SEED=%#llx", (unsigned long long)seed);
	thin_create(&s, 1);
	test_nothing();
	self_start(&s, guest);
	tap_check(self_run(&s) == IN_L2, "L2 runs");
	check_again("in L2");
	in_l2 = saved.nested;
	test_sizes();
	test_words();
	test_header_bits();
	test_random_headers();
	test_random_data();
	test_bad_memory();
	test_run_pending();
	test_mutator();
	test_halted();
	test_smm();
	tap_check(self_run(&s) == 0, "RSM goes on in L2, which ends");
	self_destroy(&s);
	test_wild();
	return tap_done();
}
