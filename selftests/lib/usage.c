// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "usage.h"
#include "vm.h"

#define SETTLE_ROUNDS	3
#define SETTLE_US	300000
#define ATTEMPTS	4
#define DRAIN_S		6	/* kfree_rcu() collects for 5 seconds, on some kernels */

int module_users(void)
{
	FILE *f = fopen("/sys/module/nestor/refcnt", "r");
	int n = -1;

	if (!f || strcmp(device_path(), "/dev/nestor"))
		return -1;
	if (fscanf(f, "%d", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		tap_note("cannot write to %s", path);
	close(fd);
}

/* Opened once: files come and go in the caches that are counted, and whoever takes one slab takes all of its objects. */
static FILE *slabinfo;
static int shrinkers[USAGE_CACHES];
static int nr_shrinkers;

static void open_files(void)
{
	struct dirent *d;
	char path[512];
	DIR *dir;

	if (slabinfo)
		return;
	slabinfo = fopen("/proc/slabinfo", "re");
	dir = opendir("/sys/kernel/slab");
	while (dir && (d = readdir(dir)) && nr_shrinkers < USAGE_CACHES) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", d->d_name);
		shrinkers[nr_shrinkers] = open(path, O_WRONLY | O_CLOEXEC);
		if (shrinkers[nr_shrinkers] >= 0)
			nr_shrinkers++;
	}
	if (dir)
		closedir(dir);
}

/* Objects that wait in per-CPU lists are free, but only this tells. */
static void shrink_slabs(void)
{
	for (int i = 0; i < nr_shrinkers; i++)
		if (pwrite(shrinkers[i], "1", 1, 0) < 0)
			tap_note("cannot shrink a cache");
}

static void read_slabs(struct usage *u)
{
	char line[256];

	u->nr_caches = 0;
	if (slabinfo)
		rewind(slabinfo);
	while (slabinfo && fgets(line, sizeof(line), slabinfo) && u->nr_caches < USAGE_CACHES) {
		int n = u->nr_caches;

		if (sscanf(line, "%31s %ld", u->cache[n].name, &u->cache[n].objects) == 2)
			u->nr_caches++;
	}
}

static long meminfo_kib(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128], key[64];
	long value, found = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[^:]: %ld", key, &value) == 2 && !strcmp(key, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

/* Free pages in the lists of the CPUs are in no other count. */
static long pages_on_cpu_lists(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	long n, sum = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &n) == 1)
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

static void read_pages(struct usage *u)
{
	static const char *const known[] = {
		"MemFree", "Buffers", "Cached", "AnonPages", "Slab", "KernelStack", "PageTables",
		"SecPageTables", "Percpu",
	};
	long kib = meminfo_kib("MemTotal");

	for (unsigned int i = 0; i < sizeof(known) / sizeof(*known); i++)
		kib -= meminfo_kib(known[i]);
	u->pages = kib / 4 - pages_on_cpu_lists();
	u->page_tables = (meminfo_kib("PageTables") + meminfo_kib("SecPageTables")) / 4;
	u->percpu_kib = meminfo_kib("Percpu");
	u->vmalloc_kib = meminfo_kib("VmallocUsed");
}

/*
 * Shrinking and counting open files, whose objects come from a slab of the CPU that does it, and
 * all of that slab's objects count. On one CPU it is one slab each time.
 */
static void stay_on_one_cpu(cpu_set_t *allowed)
{
	cpu_set_t one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(*allowed), allowed))
		tap_fail("sched_getaffinity");
	while (!CPU_ISSET(cpu, allowed))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

void usage_take(struct usage *u)
{
	cpu_set_t allowed;

	open_files();
	stay_on_one_cpu(&allowed);
	/* What is freed after a grace period may free more after the next. */
	for (int i = 0; i < SETTLE_ROUNDS; i++) {
		sync();
		put("/proc/sys/vm/drop_caches", "3");
		usleep(SETTLE_US);
	}
	shrink_slabs();
	usleep(SETTLE_US);
	read_slabs(u);
	read_pages(u);
	u->users = module_users();
	sched_setaffinity(0, sizeof(allowed), &allowed);
}

static long objects_of(const struct usage *u, const char *name)
{
	for (int i = 0; i < u->nr_caches; i++)
		if (!strcmp(u->cache[i].name, name))
			return u->cache[i].objects;
	return 0;
}

/* Kernel stacks' address ranges are given back by the thousand; VmallocUsed has those in use. */
static bool freed_lazily(const char *cache)
{
	return !strcmp(cache, "vmap_area");
}

/* The cache of @after that grew most. */
static int worst_cache(const struct usage *before, const struct usage *after, long *grown)
{
	int at = 0;

	*grown = 0;
	for (int i = 0; i < after->nr_caches; i++) {
		long n = after->cache[i].objects - objects_of(before, after->cache[i].name);

		if (freed_lazily(after->cache[i].name) || n <= *grown)
			continue;
		*grown = n;
		at = i;
	}
	return at;
}

/* Where the kernel looks for unreferenced memory itself. It asks for two scans to be sure. */
static void check_kmemleak(const char *what)
{
	static const char path[] = "/sys/kernel/debug/kmemleak";
	char line[256];
	bool ours = false;
	FILE *f;

	if (access(path, W_OK)) {
		tap_skip("%s: this kernel has no kmemleak", what);
		return;
	}
	put(path, "scan");
	sleep(5);
	put(path, "scan");
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		tap_note("%s", line);
		ours |= strstr(line, "nestor") != NULL;
	}
	if (f)
		fclose(f);
	tap_check(!ours, "%s: kmemleak finds nothing of this module", what);
}

void usage_check(const char *what, const struct usage *before, long times)
{
	static struct usage after;
	long limit = times * 3 / 4, grown;
	int worst;

	/* Somebody may just be using a slab, all of whose objects then count; not for ever. */
	for (int i = 0; i < ATTEMPTS; i++) {
		if (i)
			sleep(DRAIN_S);
		usage_take(&after);
		worst = worst_cache(before, &after, &grown);
		if (grown <= limit && after.pages - before->pages <= limit)
			break;
	}
	if (after.nr_caches)
		tap_check(grown <= limit, "%s: slab caches grew by %ld objects at most (%s)", what,
			  grown, after.cache[worst].name);
	else
		tap_skip("%s: no /proc/slabinfo", what);
	tap_check(after.pages - before->pages <= limit, "%s: %ld more pages in use", what,
		  after.pages - before->pages);
	tap_check(after.page_tables - before->page_tables <= limit, "%s: %ld more page-table pages",
		  what, after.page_tables - before->page_tables);
	tap_check(after.percpu_kib - before->percpu_kib <= limit, "%s: %ld KiB more per-CPU memory",
		  what, after.percpu_kib - before->percpu_kib);
	tap_check(after.vmalloc_kib - before->vmalloc_kib <= 4 * limit, "%s: %ld KiB more vmalloc'ed",
		  what, after.vmalloc_kib - before->vmalloc_kib);
	check_kmemleak(what);
	if (before->users >= 0)
		tap_check(after.users == before->users, "%s: the module has %d users, had %d", what,
			  after.users, before->users);
}
