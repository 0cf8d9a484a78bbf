/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel holds, to compare before and after: objects of every slab cache, pages that are
 * neither free nor cached nor anybody's, page tables. Needs root.
 */
#ifndef TEST_USAGE_H
#define TEST_USAGE_H

#include <stdbool.h>

#define USAGE_CACHES	512
#define USAGE_NAME	32

struct usage {
	int nr_caches;
	struct {
		char name[USAGE_NAME];
		long objects;
	} cache[USAGE_CACHES];
	long pages;		/* in use by the kernel outside of slabs */
	long page_tables;	/* pages; second-level ones too where the kernel counts them */
	long percpu_kib;
	long vmalloc_kib;
	int users;		/* of the module, or -1 */
};

/* After giving the kernel the time and the reason to free what it frees late. */
void usage_take(struct usage *u);

/**
 * usage_check() - one check for each kind of memory that what ran in between may not have kept
 * @what: for the description
 * @before: taken when everything that is made once was there
 * @times: how often something was made and unmade; three quarters of that is noise, once each a leak
 */
void usage_check(const char *what, const struct usage *before, long times);

/* Users of the module, or -1 when the device is not Nestor's. */
int module_users(void);

#endif
