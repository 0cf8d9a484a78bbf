// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs that are known to disagree with the manuals, rule by rule, and why: all of them emulated ones.
 */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "../util.h"
#include "probe.h"

static const struct known known[] = {
	{ CPU_REAL, "mov_ss_blocking", true,
	  "it is about the instruction before VMLAUNCH, which is Nestor's own" },
	{ CPU_REAL, "exit_msr_count_recommended", true, "the CPU would go on behind the end of the areas" },
	{ CPU_REAL, "entry_msr_count_recommended", true, "the CPU would go on behind the end of the area" },
	{ CPU_REAL, "pat_not_restored", true, "the host would go on with the guest's" },
	{ CPU_REAL, "efer_not_restored", true, "the host would go on with the guest's, and its NX bits be reserved" },
	{ CPU_TCG, "rflags_vm", true, "QEMU dies of virtual-8086 mode where it cannot be" },
	{ CPU_TCG, "event_bound", false, "QEMU delivers any exception that there is, whatever the mode" },
	{ CPU_TCG, "nested_cr3", false, "QEMU walks page tables wherever nCR3 says" },
	{ CPU_TCG, "g_pat", false, "QEMU knows no memory types" },
	{ CPU_TCG, "sev_unsupported", false, "QEMU does not look at bits of what it does not emulate" },
	{ CPU_TCG, "avic_unsupported", false, "QEMU does not look at bits of what it does not emulate" },
	{ CPU_BOCHS, "ignored_cpu2_controls", true,
	  "the host does not come back: the guest runs without EPT, on page tables in the host's memory" },
	{ CPU_BOCHS, "host_perf_global", false, "Bochs has no performance counters, and takes any value" },
	{ CPU_BOCHS, "guest_perf_global", false, "Bochs has no performance counters, and takes any value" },
	{ CPU_BOCHS, "guest_debugctl", false, "Bochs does not look at IA32_DEBUGCTL" },
	{ CPU_BOCHS, "ia32e_pg", false, "Bochs looks at CR4.PAE only" },
	{ CPU_BOCHS, "guest_rip", false, "Bochs does not look whether RIP is canonical" },
	{ CPU_BOCHS, "guest_rflags_vm", false, "Bochs refuses RFLAGS.VM in IA-32e mode, and takes it without CR0.PE" },
	{ CPU_BOCHS, "guest_activity_event", false, "Bochs injects any event into the HLT state" },
	{ CPU_BOCHS, "guest_pending_bs_one", false, "Bochs does not compare BS with RFLAGS.TF" },
	{ CPU_BOCHS, "guest_pending_bs_zero", false, "Bochs does not compare BS with RFLAGS.TF" },
	{ CPU_BOCHS, "msr_load_smm", false, "Bochs has no IA32_SMM_MONITOR_CTL to protect, and ignores it" },
	{ CPU_BOCHS, "entry_to_smm", false,
	  "Bochs: outside of SMM it looks at the guest's blocking by SMI first, and calls that invalid guest state" },
};

#define CPUID_HYPERVISOR	0x40000000

static bool is_tcg(void)
{
	unsigned int eax, name[3];

	__cpuid(CPUID_HYPERVISOR, eax, name[0], name[1], name[2]);
	return !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
}

/* Bochs's CPUs say that they are Intel's and AMD's; its firmware does not. */
static bool is_bochs(void)
{
	char oem[7] = "";
	FILE *table = fopen("/sys/firmware/acpi/tables/FACP", "r");

	if (!table)
		return false;
	if (fseek(table, 10, SEEK_SET) || fread(oem, 1, 6, table) != 6)
		oem[0] = 0;
	fclose(table);
	return !strcmp(oem, "BOCHS ");
}

/** known__cpu() - which of the emulators this is, if any */
enum cpu_kind known__cpu(void)
{
	/* SeaBIOS, QEMU's, has Bochs's name in its tables too. */
	return is_tcg() ? CPU_TCG : is_bochs() ? CPU_BOCHS : CPU_REAL;
}

/** known__cpu_name() - its name */
const char *known__cpu_name(enum cpu_kind cpu)
{
	static const char *const names[] = {
		[CPU_REAL] = "this CPU", [CPU_TCG] = "QEMU's TCG", [CPU_BOCHS] = "Bochs",
	};

	return names[cpu];
}

/** known__find() - what is known about a rule there; NULL: nothing */
const struct known *known__find(enum cpu_kind cpu, const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if ((known[i].cpu == cpu || known[i].cpu == CPU_REAL) && !strcmp(known[i].id, id))
			return &known[i];
	return NULL;
}
