// SPDX-License-Identifier: GPL-2.0
/*
 * Reading counters of VMs that other processes own. Only a VM's own process may ask it for a statistics descriptor, so
 * this is debugfs: Nestor has a file of lines for a VM and for each vCPU, upstream a file for each counter of a VM.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "top/top.h"
#include "util.h"

#define DEBUGFS	"/sys/kernel/debug"

static const char *const hypervisors[] = { "nestor", "kvm" };

static void add(struct counters *c, const char *name, uint64_t value)
{
	if (c->nr == c->max) {
		c->max = c->max ? 2 * c->max : 64;
		c->list = realloc(c->list, c->max * sizeof(c->list[0]));
		if (!c->list) {
			pr_err("out of memory");
			exit(STATUS_FAILED);
		}
	}
	snprintf(c->list[c->nr].name, sizeof(c->list[0].name), "%.47s", name);
	c->list[c->nr++].value = value;
}

/** counters__get() - the value of one; 0 when there is none of that name */
uint64_t counters__get(const struct counters *counters, const char *name)
{
	for (unsigned int i = 0; i < counters->nr; i++)
		if (!strcmp(counters->list[i].name, name))
			return counters->list[i].value;
	return 0;
}

/* A file of 'NAME VALUE' lines. */
static bool read_lines(const char *path, struct counters *counters)
{
	FILE *f = fopen(path, "re");
	unsigned long long value;
	char name[COUNTER_NAME];

	if (!f)
		return false;
	while (fscanf(f, "%47s %llu", name, &value) == 2)
		add(counters, name, value);
	fclose(f);
	return true;
}

/* A folder of files with a number in each. Histograms have more and are no counters. */
static void read_files(const char *path, struct counters *counters)
{
	char file[sizeof(DEBUGFS) + 384];
	unsigned long long value;
	struct dirent *e;
	DIR *dir = opendir(path);
	FILE *f;

	while (dir && (e = readdir(dir))) {
		if (e->d_type != DT_REG)
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		f = fopen(file, "re");
		if (f && fscanf(f, "%llu", &value) == 1)
			add(counters, e->d_name, value);
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
}

/* proc(5): the 43rd word of stat, in clock ticks; the second one, a name, may have spaces. */
static uint64_t guest_time(int pid, int tid)
{
	unsigned long long ticks = 0;
	char path[64], line[1024], *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f) && (p = strrchr(line, ')'))) {
		for (unsigned int word = 2; p && word < 43; word++)
			p = strchr(p + 1, ' ');
		ticks = p ? strtoull(p, NULL, 10) : 0;
	}
	fclose(f);
	return ticks * (1000000000ULL / sysconf(_SC_CLK_TCK));
}

static void read_vcpu(struct top_vm *vm, const char *path, unsigned int id, int pid)
{
	struct top_vcpu *v = &vm->vcpus[vm->nr_vcpus];
	char file[sizeof(DEBUGFS) + 384];

	*v = (struct top_vcpu){ .id = id };
	snprintf(file, sizeof(file), "%s/stats", path);
	if (!read_lines(file, &v->counters))
		read_files(path, &v->counters);
	v->tid = counters__get(&v->counters, "pid");
	v->nested = counters__get(&v->counters, "guest_mode");
	v->guest_ns = v->tid ? guest_time(pid, v->tid) : 0;
	vm->nr_vcpus++;
}

static int by_id(const void *a, const void *b)
{
	return (int)((const struct top_vcpu *)a)->id - (int)((const struct top_vcpu *)b)->id;
}

static void read_vcpus(struct top_vm *vm, const char *path, int pid)
{
	char folder[sizeof(DEBUGFS) + 320];
	struct dirent *e;
	DIR *dir = opendir(path);
	unsigned int id;

	while (dir && (e = readdir(dir))) {
		if (sscanf(e->d_name, "vcpu%u", &id) != 1 || vm->nr_vcpus == MAX_VCPUS)
			continue;
		snprintf(folder, sizeof(folder), "%s/%.32s", path, e->d_name);
		read_vcpu(vm, folder, id, pid);
	}
	if (dir)
		closedir(dir);
	qsort(vm->vcpus, vm->nr_vcpus, sizeof(vm->vcpus[0]), by_id);
}

static void read_command(struct top_vm *vm, int pid)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(vm->command, sizeof(vm->command), f))
		snprintf(vm->command, sizeof(vm->command), "?");
	vm->command[strcspn(vm->command, "\n")] = 0;
	if (f)
		fclose(f);
}

static void read_vm(struct sample *sample, const char *hypervisor, const char *name)
{
	struct top_vm *vm = &sample->vms[sample->nr_vms++];
	char path[sizeof(DEBUGFS) + 280], file[sizeof(path) + 8];
	int pid = atoi(name);

	*vm = (struct top_vm){ .hypervisor = hypervisor };
	snprintf(vm->name, sizeof(vm->name), "%.31s", name);
	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", hypervisor, name);
	snprintf(file, sizeof(file), "%s/stats", path);
	if (!read_lines(file, &vm->counters))
		read_files(path, &vm->counters);
	read_command(vm, pid);
	read_vcpus(vm, path, pid);
}

/**
 * sample__take() - read the counters of all VMs
 *
 * Return: false when neither hypervisor has anything in debugfs, which is reported.
 */
bool sample__take(struct sample *sample)
{
	struct timespec now;
	bool any = false;

	*sample = (struct sample){ .vms = xcalloc(MAX_VMS, sizeof(*sample->vms)) };
	clock_gettime(CLOCK_MONOTONIC, &now);
	sample->ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	for (size_t i = 0; i < ARRAY_SIZE(hypervisors); i++) {
		char path[64];
		struct dirent *e;
		DIR *dir;

		snprintf(path, sizeof(path), DEBUGFS "/%s", hypervisors[i]);
		dir = opendir(path);
		any |= dir != NULL;
		while (dir && (e = readdir(dir)))
			if (isdigit((unsigned char)e->d_name[0]) && strchr(e->d_name, '-') && sample->nr_vms < MAX_VMS)
				read_vm(sample, hypervisors[i], e->d_name);
		if (dir)
			closedir(dir);
	}
	if (!any)
		pr_err("%s has neither nestor nor kvm: is it mounted, may you read it, is the module loaded?", DEBUGFS);
	return any;
}

/** sample__free() - give back what sample__take() took */
void sample__free(struct sample *sample)
{
	for (unsigned int i = 0; i < sample->nr_vms; i++) {
		free(sample->vms[i].counters.list);
		for (unsigned int v = 0; v < sample->vms[i].nr_vcpus; v++)
			free(sample->vms[i].vcpus[v].counters.list);
	}
	free(sample->vms);
	*sample = (struct sample){ 0 };
}

/** sample__find() - the same VM in another sample, or NULL */
const struct top_vm *sample__find(const struct sample *sample, const struct top_vm *vm)
{
	for (unsigned int i = 0; i < sample->nr_vms; i++)
		if (sample->vms[i].hypervisor == vm->hypervisor && !strcmp(sample->vms[i].name, vm->name))
			return &sample->vms[i];
	return NULL;
}
