// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the decoder stands any bytes, that the lengths it finds do not depend
 * on what follows, and that they are those of an independent disassembler.
 *
 * Options: --count N, --seed S, --verbose (show every difference)
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emulate/emulate.h"
#include "random.h"
#include "tap.h"

static const char *const mode_names[] = { "real", "v86", "16", "32", "64" };


/* Random bytes, with more prefixes and escapes than chance would give. */
static void random_bytes(u8 *bytes, unsigned int len)
{
	static const u8 lead[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x48, 0x2e, 0x64, 0x0f, 0x0f,
				   0xc4, 0xc5, 0x62, 0x8f };
	unsigned int i, n = rnd() % 4;

	for (i = 0; i < len; i++)
		bytes[i] = rnd();
	for (i = 0; i < n; i++)
		bytes[i] = lead[rnd() % sizeof(lead)];
	if (n && bytes[n - 1] == 0x0f && rnd() % 4 == 0)
		bytes[n] = rnd() % 2 ? 0x38 : 0x3a;
}

static void show(const u8 *bytes, unsigned int len)
{
	unsigned int i;

	for (i = 0; i < len; i++)
		printf(" %02x", bytes[i]);
	printf("\n");
}

/*
 * With n bytes the answer is the length if n is enough, else 0. Bytes beyond are
 * on the heap's edge, where a sanitizer sees a read.
 */
static bool length_is_stable(const u8 *bytes, enum emu_mode mode)
{
	int len = emu_insn_length(bytes, 15, mode);
	int n, got;

	if (len < -1 || len > 15)
		return false;
	for (n = 0; n <= 15; n++) {
		u8 *part = malloc(n ? n : 1);

		memcpy(part, bytes, n);
		got = emu_insn_length(part, n, mode);
		free(part);
		if (len > 0 ? got != (n >= len ? len : 0) : got > 0)
			return false;
	}
	return true;
}

static void test_random_bytes(unsigned long count)
{
	unsigned long i, bad = 0;
	u8 bytes[15];
	unsigned int mode;

	for (i = 0; i < count; i++) {
		random_bytes(bytes, sizeof(bytes));
		mode = rnd() % 5;
		if (length_is_stable(bytes, mode))
			continue;
		if (bad++ < 10) {
			printf("# mode %s:", mode_names[mode]);
			show(bytes, sizeof(bytes));
		}
	}
	tap_ok(!bad, "decoder: %lu of %lu random byte strings misjudged", bad, count);
}

struct known {
	u8 mode;
	s8 len;
	u8 bytes[15];
};

/* One of each shape, lengths from the manual. */
static const struct known known[] = {
	{ EMU_LONG64, 1, { 0x90 } },
	{ EMU_LONG64, 2, { 0x0f, 0xa2 } },
	{ EMU_LONG64, 3, { 0x0f, 0x01, 0xd1 } },
	{ EMU_LONG64, 3, { 0x0f, 0x01, 0xf9 } },		/* RDTSCP */
	{ EMU_LONG64, 2, { 0x0f, 0x31 } },			/* RDTSC */
	{ EMU_LONG64, 3, { 0x0f, 0x01, 0xd9 } },		/* VMMCALL */
	{ EMU_LONG64, 3, { 0x0f, 0x01, 0xc1 } },		/* VMCALL */
	{ EMU_LONG64, 3, { 0x0f, 0x22, 0xd8 } },
	{ EMU_LONG64, 3, { 0x0f, 0x20, 0x05 } },		/* mod is ignored */
	{ EMU_LONG64, 4, { 0x66, 0x0f, 0x01, 0xc8 } },
	{ EMU_LONG64, 10, { 0x48, 0xb8 } },
	{ EMU_LONG64, 9, { 0xa0 } },
	{ EMU_LONG64, 6, { 0x67, 0xa0, 0, 0, 0 } },
	{ EMU_LONG64, 7, { 0x48, 0x8b, 0x05 } },
	{ EMU_LONG64, 8, { 0x48, 0x8b, 0x04, 0x25 } },
	{ EMU_LONG64, 11, { 0x48, 0xc7, 0x80 } },
	{ EMU_LONG64, -1, { 0x06 } },
	{ EMU_LONG64, -1, { 0x0f, 0x0b } },
	{ EMU_LONG64, 4, { 0xc5, 0xfa, 0x6f, 0x00 } },
	{ EMU_LONG64, 6, { 0x62, 0xf1, 0x7f, 0x48, 0x6f, 0x00 } },
	{ EMU_LONG64, -1, { 0x66, 0xc5, 0xfa, 0x6f, 0x00 } },
	{ EMU_PROT32, 2, { 0xc5, 0x00 } },			/* LDS */
	{ EMU_PROT32, 7, { 0x9a } },
	{ EMU_PROT16, 5, { 0x9a } },
	{ EMU_PROT16, 8, { 0x66, 0x9a } },
	{ EMU_REAL, 3, { 0xb8 } },
	{ EMU_REAL, 6, { 0x66, 0xb8 } },
	{ EMU_REAL, 4, { 0x8b, 0x06 } },
	{ EMU_REAL, 4, { 0x8b, 0x87 } },
	{ EMU_REAL, 7, { 0x67, 0x8b, 0x05 } },
	{ EMU_REAL, 4, { 0xc8 } },
	{ EMU_REAL, 5, { 0xea } },
	{ EMU_REAL, -1, { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
			  0x66, 0x66, 0x66 } },
};

static void test_known(void)
{
	unsigned int i, bad = 0;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct known *k = &known[i];
		int len = emu_insn_length(k->bytes, 15, k->mode);

		if (len == k->len || (k->len == -1 && len == -1))
			continue;
		bad++;
		printf("# mode %s: %d instead of %d for", mode_names[k->mode], len, k->len);
		show(k->bytes, 15);
	}
	tap_ok(!bad, "decoder: %u of the known lengths wrong", bad);
}

/* ---- against objdump ---- */

#define SLOT	32	/* 15 random bytes, NOPs to get in step again */

static const char *machine_of(enum emu_mode mode)
{
	return mode == EMU_LONG64 ? "i386:x86-64" : mode == EMU_PROT32 ? "i386" : "i8086";
}

static bool starts_with_word(const char *text, const char *const *words, unsigned int n)
{
	while (n--)
		if (!strncmp(text, words[n], strlen(words[n])))
			return true;
	return false;
}

/*
 * What objdump cannot judge: prefixes that it prints on a line of their own, and
 * instructions that no current CPU has.
 */
static bool inconclusive(const char *text, int len)
{
	static const char *const prefixes[] = {
		"rex", "data16", "addr32", "addr16", "data32", "lock", "rep", "cs", "ds", "es",
		"ss", "fs", "gs", "bnd", "xacquire", "xrelease", "notrack",
	};
	static const char *const special[] = { "xbegin", "xabort", ".byte" };
	const char *last = strrchr(text, ' ');

	if (!*text || strstr(text, "(bad)") || strstr(text, "%tr") || strchr(text, '{'))
		return true;
	if (starts_with_word(text, special, sizeof(special) / sizeof(special[0])))
		return true;
	if (starts_with_word(last ? last + 1 : text, prefixes,
			     sizeof(prefixes) / sizeof(prefixes[0])))
		return true;
	/* UD0 to UD2 have no length here; VIA's instructions are not known. */
	return len < 0 && (strstr(text, "ud") || strchr(text, 'x') == text || strstr(text, " x"));
}

/* VEX, EVEX or XOP after a prefix that makes it undefined, which objdump overlooks. */
static bool prefixed_vex(const u8 *bytes)
{
	unsigned int i;

	for (i = 1; i < 7; i++)
		if (bytes[i] == 0xc4 || bytes[i] == 0xc5 || bytes[i] == 0x62 || bytes[i] == 0x8f)
			return true;
	return false;
}

/*
 * Near branches with an operand-size prefix are as long as the vendor likes; FWAIT
 * is shown as part of the x87 instruction behind it.
 */
static bool ambiguous(const u8 *bytes, enum emu_mode mode)
{
	return memchr(bytes, 0x9b, 6) || (mode == EMU_LONG64 && memchr(bytes, 0x66, 6));
}

struct comparison {
	unsigned int compared, differ;
	bool verbose;
};

static void compare_line(struct comparison *c, const u8 *code, enum emu_mode mode,
			 unsigned long addr, unsigned long next, const char *text)
{
	const u8 *bytes = code + addr;
	int len = emu_insn_length(bytes, 15, mode);

	if (inconclusive(text, len) || ambiguous(bytes, mode) || (len < 0 && prefixed_vex(bytes)))
		return;
	c->compared++;
	if (len == (int)(next - addr))
		return;
	if (c->differ++ < 10 || c->verbose) {
		printf("# mode %s: %d, objdump %lu, %s:", mode_names[mode], len, next - addr, text);
		show(bytes, 15);
	}
}

static void parse_objdump(struct comparison *c, FILE *f, const u8 *code, enum emu_mode mode)
{
	unsigned long addr, pending = 0;
	char line[256], text[128] = "", colon, *tab;
	bool have = false;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %lx%c", &addr, &colon) != 2 || colon != ':')
			continue;
		if (have)
			compare_line(c, code, mode, pending, addr, text);
		have = addr % SLOT == 0;
		pending = addr;
		tab = strrchr(line, '\t');
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(tab ? tab + 1 : "", "\n"),
			 tab ? tab + 1 : "");
	}
}

static void test_objdump(enum emu_mode mode, unsigned int slots, bool verbose)
{
	struct comparison c = { .verbose = verbose };
	char path[] = "/tmp/emulate-XXXXXX", command[256];
	u8 *code = malloc(slots * SLOT);
	int fd = mkstemp(path);
	unsigned int i;
	FILE *f;

	memset(code, 0x90, slots * SLOT);
	for (i = 0; i < slots; i++)
		random_bytes(code + i * SLOT, 15);
	if (fd < 0 || write(fd, code, slots * SLOT) != (ssize_t)(slots * SLOT)) {
		tap_skip("lengths as objdump's", "no temporary file");
		goto out;
	}
	snprintf(command, sizeof(command), "objdump -D -w -b binary --no-show-raw-insn -m %s %s",
		 machine_of(mode), path);
	f = popen(command, "r");
	if (f) {
		parse_objdump(&c, f, code, mode);
		pclose(f);
	}
	tap_ok(c.compared && !c.differ, "lengths as objdump's, mode %s: %u of %u differ",
	       mode_names[mode], c.differ, c.compared);
out:
	if (fd >= 0)
		close(fd);
	unlink(path);
	free(code);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' }, { "seed", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' }, { 0 },
	};
	unsigned long count = 50000;
	bool verbose = false;
	int c;

	rng_state = 1;
	while ((c = getopt_long(argc, argv, "c:s:v", options, NULL)) != -1) {
		if (c == 'c')
			count = strtoul(optarg, NULL, 0);
		else if (c == 's')
			rng_state = strtoull(optarg, NULL, 0);
		else if (c == 'v')
			verbose = true;
		else
			return 2;
	}
	test_known();
	test_random_bytes(count);
	if (system("objdump --version >/dev/null 2>&1")) {
		tap_skip("lengths as objdump's", "no objdump");
		return tap_done();
	}
	test_objdump(EMU_LONG64, count / 10, verbose);
	test_objdump(EMU_PROT32, count / 10, verbose);
	test_objdump(EMU_PROT16, count / 10, verbose);
	return tap_done();
}
