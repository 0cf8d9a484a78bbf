// SPDX-License-Identifier: GPL-2.0
/*
 * Dumps in text: what upstream's kvm_intel and kvm_amd write to the kernel's log with dump_invalid_vmcs and
 * dump_invalid_vmcb, and the registers that QEMU prints when an entry fails.
 *
 * Lines may have anything in front (time stamps, syslog's prefix), may be missing, and may be damaged: what does not
 * parse is a value that is not known.
 */
#include <stdlib.h>
#include <string.h>

#include "dump.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/**
 * struct pattern - where a value is in a dump
 * @section: the part of the dump, 0 any
 * @line: what the line begins with, NULL anything
 * @key: what stands before the value
 * @field: which value
 * @decimal: it is printed in decimal
 * @colon: it follows the next colon behind @key
 * @shift: its position within the field, for a field that is printed in parts
 */
struct pattern {
	char section;
	const char *line;
	const char *key;
	unsigned int field;
	bool decimal;
	bool colon;
	unsigned int shift;
};

/* What the kernel and its log daemons put in front of a message. */
static char *message(char *line)
{
	static const char *const prefixes[] = { "kvm_intel: ", "kvm_amd: ", "SVM: ", "kvm: ", "kernel: " };
	char *p;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		p = strstr(line, prefixes[i]);
		if (p) {
			line = p + strlen(prefixes[i]);
			break;
		}
	}
	line += strspn(line, " \t");
	if (*line == '[' && (p = strchr(line, ']')))
		line = p + 1;
	return line + strspn(line, " \t");
}

/* @key where a word begins. */
static const char *find_key(const char *line, const char *key)
{
	const char *p;

	for (p = strstr(line, key); p; p = strstr(p + 1, key))
		if (p == line || strchr(" \t,|", p[-1]))
			return p + strlen(key);
	return NULL;
}

static bool number(const char *p, int base, uint64_t *value)
{
	char *end;

	p += strspn(p, " \t");
	if (*p == '-' || *p == '+')
		return false;
	*value = strtoull(p, &end, base);
	return end != p && !strchr("ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ_", *end ? *end : ' ');
}

static void match(struct check_state *state, const struct pattern *p, const char *line)
{
	const char *at;
	uint64_t value;

	if (p->line && strncmp(line, p->line, strlen(p->line)))
		return;
	at = find_key(line, p->key);
	if (at && p->colon) {
		at = strchr(at, ':');
		at = at ? at + 1 : NULL;
	}
	if (!at || !number(at, p->decimal ? 10 : 16, &value))
		return;
	if (p->shift)
		value = state->values[p->field] | value << p->shift;
	check_set(state, p->field, value);
}

static void match_all(struct check_state *state, const struct pattern *patterns, size_t count, char section,
		      const char *line)
{
	for (size_t i = 0; i < count; i++)
		if (!patterns[i].section || patterns[i].section == section)
			match(state, &patterns[i], line);
}

static bool anything_known(const struct check_state *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(state->known); i++)
		if (state->known[i])
			return true;
	return false;
}

static void begin(struct dump *dump, const struct check_table *table)
{
	check_init(&dump->state, table);
	caps__default(&dump->state);
	dump->assumed = NULL;
}

#define AT(where, start, what, id, ...) \
	{ .section = where, .line = start, .key = what, .field = id, ##__VA_ARGS__ }

#define SEGMENT(name, s)						\
	AT('G', name, "sel=", VF_guest_##s##_selector),			\
	AT('G', name, "attr=", VF_guest_##s##_ar),			\
	AT('G', name, "limit=", VF_guest_##s##_limit),			\
	AT('G', name, "base=", VF_guest_##s##_base)

static const struct pattern vmcs_patterns[] = {
	AT('G', "CR0:", "actual=", VF_guest_cr0),
	AT('G', "CR0:", "shadow=", VF_cr0_shadow),
	AT('G', "CR0:", "gh_mask=", VF_cr0_mask),
	AT('G', "CR4:", "actual=", VF_guest_cr4),
	AT('G', "CR4:", "shadow=", VF_cr4_shadow),
	AT('G', "CR4:", "gh_mask=", VF_cr4_mask),
	AT('G', NULL, "CR3 =", VF_guest_cr3),
	AT('G', NULL, "PDPTR0 =", VF_guest_pdpte0),
	AT('G', NULL, "PDPTR1 =", VF_guest_pdpte1),
	AT('G', NULL, "PDPTR2 =", VF_guest_pdpte2),
	AT('G', NULL, "PDPTR3 =", VF_guest_pdpte3),
	AT('G', NULL, "RSP =", VF_guest_rsp),
	AT('G', NULL, "RIP =", VF_guest_rip),
	AT('G', NULL, "RFLAGS=", VF_guest_rflags),
	AT('G', NULL, "DR7 =", VF_guest_dr7),
	AT('G', "Sysenter", "RSP=", VF_guest_sysenter_esp),
	AT('G', "Sysenter", "CS:RIP=", VF_guest_sysenter_cs),
	AT('G', "Sysenter", "CS:RIP=", VF_guest_sysenter_eip, .colon = true),
	SEGMENT("CS:", cs), SEGMENT("DS:", ds), SEGMENT("SS:", ss), SEGMENT("ES:", es), SEGMENT("FS:", fs),
	SEGMENT("GS:", gs), SEGMENT("LDTR:", ldtr), SEGMENT("TR:", tr),
	AT('G', "GDTR:", "limit=", VF_guest_gdtr_limit),
	AT('G', "GDTR:", "base=", VF_guest_gdtr_base),
	AT('G', "IDTR:", "limit=", VF_guest_idtr_limit),
	AT('G', "IDTR:", "base=", VF_guest_idtr_base),
	AT('G', NULL, "EFER=", VF_guest_efer),
	AT('G', NULL, "PAT =", VF_guest_pat),
	AT('G', NULL, "DebugCtl =", VF_guest_debugctl),
	AT('G', NULL, "DebugExceptions =", VF_guest_pending_debug),
	AT('G', NULL, "PerfGlobCtl =", VF_guest_perf_global),
	AT('G', NULL, "BndCfgS =", VF_guest_bndcfgs),
	AT('G', NULL, "Interruptibility =", VF_guest_interruptibility),
	AT('G', NULL, "ActivityState =", VF_guest_activity),
	AT('G', NULL, "InterruptStatus =", VF_guest_intr_status),
	AT('G', NULL, "S_CET =", VF_guest_s_cet),
	AT('G', NULL, "SSP =", VF_guest_ssp),
	AT('G', NULL, "SSP TABLE =", VF_guest_ssp_table),
	AT('H', NULL, "RIP =", VF_host_rip),
	AT('H', NULL, "RSP =", VF_host_rsp),
	AT('H', NULL, "CS=", VF_host_cs_selector),
	AT('H', NULL, "SS=", VF_host_ss_selector),
	AT('H', NULL, "DS=", VF_host_ds_selector),
	AT('H', NULL, "ES=", VF_host_es_selector),
	AT('H', NULL, "FS=", VF_host_fs_selector),
	AT('H', NULL, "GS=", VF_host_gs_selector),
	AT('H', NULL, "TR=", VF_host_tr_selector),
	AT('H', NULL, "FSBase=", VF_host_fs_base),
	AT('H', NULL, "GSBase=", VF_host_gs_base),
	AT('H', NULL, "TRBase=", VF_host_tr_base),
	AT('H', NULL, "GDTBase=", VF_host_gdtr_base),
	AT('H', NULL, "IDTBase=", VF_host_idtr_base),
	AT('H', NULL, "CR0=", VF_host_cr0),
	AT('H', NULL, "CR3=", VF_host_cr3),
	AT('H', NULL, "CR4=", VF_host_cr4),
	AT('H', "Sysenter", "RSP=", VF_host_sysenter_esp),
	AT('H', "Sysenter", "CS:RIP=", VF_host_sysenter_cs),
	AT('H', "Sysenter", "CS:RIP=", VF_host_sysenter_eip, .colon = true),
	AT('H', NULL, "EFER=", VF_host_efer),
	AT('H', NULL, "PAT =", VF_host_pat),
	AT('H', NULL, "PerfGlobCtl =", VF_host_perf_global),
	AT('H', NULL, "S_CET =", VF_host_s_cet),
	AT('H', NULL, "SSP =", VF_host_ssp),
	AT('H', NULL, "SSP TABLE =", VF_host_ssp_table),
	AT('C', NULL, "CPUBased=", VF_cpu_controls),
	AT('C', NULL, "SecondaryExec=", VF_cpu2_controls),
	AT('C', NULL, "TertiaryExec=", VF_cpu3_controls),
	AT('C', NULL, "PinBased=", VF_pin_controls),
	AT('C', NULL, "EntryControls=", VF_entry_controls),
	AT('C', NULL, "ExitControls=", VF_exit_controls),
	AT('C', NULL, "ExceptionBitmap=", VF_exception_bitmap),
	AT('C', NULL, "PFECmask=", VF_pf_error_mask),
	AT('C', NULL, "PFECmatch=", VF_pf_error_match),
	AT('C', "VMEntry:", "intr_info=", VF_entry_intr_info),
	AT('C', "VMEntry:", "errcode=", VF_entry_error_code),
	AT('C', "VMEntry:", "ilen=", VF_entry_insn_length),
	AT('C', NULL, "TSC Offset =", VF_tsc_offset),
	AT('C', NULL, "TSC Multiplier =", VF_tsc_multiplier),
	AT('C', NULL, "TPR Threshold =", VF_tpr_threshold),
	AT('C', NULL, "APIC-access addr =", VF_apic_access),
	AT('C', NULL, "virt-APIC addr =", VF_virtual_apic),
	AT('C', NULL, "PostedIntrVec =", VF_posted_vector),
	AT('C', NULL, "EPT pointer =", VF_eptp),
	AT('C', NULL, "Virtual processor ID =", VF_vpid),
	AT('C', NULL, "VE info address =", VF_ve_info),
};

/** text__read_vmcs() - read the last dump of a VMCS; false when there is none */
bool text__read_vmcs(struct dump *dump, char *text)
{
	char *line, *save = NULL, section = 0;

	begin(dump, &check_vmx);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line = message(line);
		if (!strncmp(line, "*** Guest State", 15)) {
			begin(dump, &check_vmx);
			dump->nr_dumps++;
			section = 'G';
		} else if (!strncmp(line, "*** Host State", 14)) {
			section = 'H';
		} else if (!strncmp(line, "*** Control State", 17)) {
			section = 'C';
		} else if (section) {
			match_all(&dump->state, vmcs_patterns, ARRAY_SIZE(vmcs_patterns), section, line);
		}
	}
	return anything_known(&dump->state);
}

#define VMCB_SEGMENT(name, s)						\
	AT('S', name, "s:", SF_##s##_selector),				\
	AT('S', name, "a:", SF_##s##_attrib),				\
	AT('S', name, "l:", SF_##s##_limit),				\
	AT('S', name, "b:", SF_##s##_base)
#define WORD(name, id)	AT('S', NULL, name ":", SF_##id)

static const struct pattern vmcb_patterns[] = {
	AT('C', "cr_read:", "cr_read:", SF_intercept_cr),
	AT('C', "cr_write:", "cr_write:", SF_intercept_cr, .shift = 16),
	AT('C', "dr_read:", "dr_read:", SF_intercept_dr),
	AT('C', "dr_write:", "dr_write:", SF_intercept_dr, .shift = 16),
	AT('C', NULL, "exceptions:", SF_intercept_exceptions),
	AT('C', NULL, "intercepts:", SF_intercept_3),
	AT('C', NULL, "pause filter count:", SF_pause_count, .decimal = true),
	AT('C', NULL, "pause filter threshold:", SF_pause_threshold, .decimal = true),
	AT('C', NULL, "iopm_base_pa:", SF_iopm_base),
	AT('C', NULL, "msrpm_base_pa:", SF_msrpm_base),
	AT('C', NULL, "tsc_offset:", SF_tsc_offset),
	AT('C', NULL, "asid:", SF_asid, .decimal = true),
	AT('C', NULL, "tlb_ctl:", SF_tlb_control, .decimal = true),
	AT('C', NULL, "int_ctl:", SF_int_ctl),
	AT('C', NULL, "int_vector:", SF_int_vector),
	AT('C', NULL, "int_state:", SF_int_state),
	AT('C', NULL, "nested_ctl:", SF_nested_ctl, .decimal = true),
	AT('C', NULL, "misc_ctl:", SF_nested_ctl, .decimal = true),
	AT('C', NULL, "nested_cr3:", SF_nested_cr3),
	AT('C', NULL, "avic_vapic_bar:", SF_avic_bar),
	AT('C', NULL, "event_inj:", SF_event_inj),
	AT('C', NULL, "event_inj_err:", SF_event_inj_error),
	AT('C', NULL, "virt_ext:", SF_virt_ext, .decimal = true),
	AT('C', NULL, "misc_ctl2:", SF_virt_ext, .decimal = true),
	AT('C', NULL, "next_rip:", SF_next_rip),
	AT('C', NULL, "avic_backing_page:", SF_avic_backing_page),
	AT('C', NULL, "avic_logical_id:", SF_avic_logical_table),
	AT('C', NULL, "avic_physical_id:", SF_avic_physical_table),
	VMCB_SEGMENT("es:", es), VMCB_SEGMENT("cs:", cs), VMCB_SEGMENT("ss:", ss), VMCB_SEGMENT("ds:", ds),
	VMCB_SEGMENT("fs:", fs), VMCB_SEGMENT("gs:", gs), VMCB_SEGMENT("ldtr:", ldtr), VMCB_SEGMENT("tr:", tr),
	AT('S', "gdtr:", "l:", SF_gdtr_limit),
	AT('S', "gdtr:", "b:", SF_gdtr_base),
	AT('S', "idtr:", "l:", SF_idtr_limit),
	AT('S', "idtr:", "b:", SF_idtr_base),
	AT('S', NULL, "cpl:", SF_cpl, .decimal = true),
	WORD("efer", efer), WORD("cr0", cr0), WORD("cr2", cr2), WORD("cr3", cr3), WORD("cr4", cr4),
	WORD("dr6", dr6), WORD("dr7", dr7), WORD("rip", rip), WORD("rflags", rflags), WORD("rsp", rsp),
	WORD("rax", rax), WORD("s_cet", s_cet), WORD("ssp", ssp), WORD("isst_addr", ssp_table),
	WORD("star", star), WORD("lstar", lstar), WORD("cstar", cstar), WORD("sfmask", sfmask),
	WORD("kernel_gs_base", kernel_gs_base), WORD("sysenter_cs", sysenter_cs),
	WORD("sysenter_esp", sysenter_esp), WORD("sysenter_eip", sysenter_eip), WORD("gpat", g_pat),
	WORD("dbgctl", debugctl),
};

/* The intercepts' two words are on one line. */
static void match_intercepts(struct check_state *state, const char *line)
{
	const char *at = find_key(line, "intercepts:");
	char *end;
	uint64_t value;

	if (!at)
		return;
	strtoull(at, &end, 16);
	if (end != at && *end == ' ' && number(end, 16, &value))
		check_set(state, SF_intercept_4, value);
}

/** text__read_vmcb() - read the last dump of a VMCB; false when there is none */
bool text__read_vmcb(struct dump *dump, char *text)
{
	char *line, *save = NULL, section = 0;

	begin(dump, &check_svm);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line = message(line);
		if (!strncmp(line, "VMCB Control Area", 17)) {
			begin(dump, &check_svm);
			dump->nr_dumps++;
			section = 'C';
		} else if (!strncmp(line, "VMCB State Save Area", 20)) {
			section = 'S';
		} else if (section) {
			match_all(&dump->state, vmcb_patterns, ARRAY_SIZE(vmcb_patterns), section, line);
			if (section == 'C')
				match_intercepts(&dump->state, line);
		}
	}
	return anything_known(&dump->state);
}

/* The registers of a dump, with both vendors' names. */
static const struct {
	const char *key;
	unsigned int vmx, svm;
} qemu_registers[] = {
	{ "EIP=", VF_guest_rip, SF_rip }, { "RIP=", VF_guest_rip, SF_rip },
	{ "ESP=", VF_guest_rsp, SF_rsp }, { "RSP=", VF_guest_rsp, SF_rsp },
	{ "EFL=", VF_guest_rflags, SF_rflags }, { "RFL=", VF_guest_rflags, SF_rflags },
	{ "CR0=", VF_guest_cr0, SF_cr0 }, { "CR3=", VF_guest_cr3, SF_cr3 }, { "CR4=", VF_guest_cr4, SF_cr4 },
	{ "DR6=", 0, SF_dr6 }, { "DR7=", VF_guest_dr7, SF_dr7 }, { "EFER=", VF_guest_efer, SF_efer },
	{ "CPL=", 0, SF_cpl },
};

/* Segment registers: selector, base, limit, and the high half of the descriptor. */
static const struct {
	const char *key;
	unsigned int vmx[4], svm[4];
} qemu_segments[] = {
#define S(key, s)									\
	{ key, { VF_guest_##s##_selector, VF_guest_##s##_base, VF_guest_##s##_limit, VF_guest_##s##_ar },	\
	  { SF_##s##_selector, SF_##s##_base, SF_##s##_limit, SF_##s##_attrib } }
	S("ES =", es), S("CS =", cs), S("SS =", ss), S("DS =", ds), S("FS =", fs), S("GS =", gs), S("LDT=", ldtr),
	S("TR =", tr),
#undef S
};

static const struct {
	const char *key;
	unsigned int vmx[2], svm[2];
} qemu_tables[] = {
	{ "GDT=", { VF_guest_gdtr_base, VF_guest_gdtr_limit }, { SF_gdtr_base, SF_gdtr_limit } },
	{ "IDT=", { VF_guest_idtr_base, VF_guest_idtr_limit }, { SF_idtr_base, SF_idtr_limit } },
};

/* Up to @n hexadecimal numbers. Return: how many there are. */
static unsigned int numbers(const char *p, uint64_t *values, unsigned int n)
{
	unsigned int i;
	char *end;

	for (i = 0; i < n; i++, p = end) {
		values[i] = strtoull(p, &end, 16);
		if (end == p)
			break;
	}
	return i;
}

/* The high half of a descriptor as VMX's access rights: a segment that is not present counts as unusable. */
static uint64_t vmx_rights(uint64_t flags)
{
	return (flags >> 8 & 0xf0ff) | (flags & 0x8000 ? 0 : 0x10000);
}

static uint64_t svm_attributes(uint64_t flags)
{
	return (flags >> 8 & 0xff) | (flags >> 12 & 0xf00);
}

static void qemu_line(struct check_state *state, const char *line)
{
	bool vmx = state->table == &check_vmx;
	uint64_t v[4];

	for (size_t i = 0; i < ARRAY_SIZE(qemu_registers); i++) {
		const char *at = find_key(line, qemu_registers[i].key);
		unsigned int field = vmx ? qemu_registers[i].vmx : qemu_registers[i].svm;

		if (at && field && number(at, 16, v))
			check_set(state, field, v[0]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(qemu_segments); i++) {
		const unsigned int *f = vmx ? qemu_segments[i].vmx : qemu_segments[i].svm;

		if (strncmp(line, qemu_segments[i].key, 4) || numbers(line + 4, v, 4) != 4)
			continue;
		v[3] = vmx ? vmx_rights(v[3]) : svm_attributes(v[3]);
		for (int j = 0; j < 4; j++)
			check_set(state, f[j], v[j]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(qemu_tables); i++) {
		const unsigned int *f = vmx ? qemu_tables[i].vmx : qemu_tables[i].svm;

		if (strncmp(line, qemu_tables[i].key, 4) || numbers(line + 4, v, 2) != 2)
			continue;
		check_set(state, f[0], v[0]);
		check_set(state, f[1], v[1]);
	}
}

#define EFER_LMA	0x400
#define EFER_SVME	0x1000
#define CR0_NE		0x20
#define CR4_VMXE	0x2000

/* Registers alone decide little: add how a hypervisor enters such a guest. */
static void assume_vmx(struct dump *dump)
{
	struct check_state *s = &dump->state;

	dump->assumed = "EPT, unrestricted guest, CR0.NE, CR4.VMXE, EFER and debug controls loaded are assumed";
	check_set(s, VF_cpu_controls, 0x90000000);
	check_set(s, VF_cpu2_controls, 0x82);
	check_set(s, VF_entry_controls, 0x91ff | (s->values[VF_guest_efer] & EFER_LMA ? 0x200 : 0));
	if (check_known(s, VF_guest_cr0))
		check_set(s, VF_guest_cr0, s->values[VF_guest_cr0] | CR0_NE);
	if (check_known(s, VF_guest_cr4))
		check_set(s, VF_guest_cr4, s->values[VF_guest_cr4] | CR4_VMXE);
	/* The controls are not the dump's: nothing is to be said about them. */
	s->caps[VCAP_cpu] = s->caps[VCAP_entry] = ~0ULL << 32;
}

static void assume_svm(struct dump *dump)
{
	struct check_state *s = &dump->state;

	dump->assumed = "EFER.SVME is assumed";
	if (check_known(s, SF_efer))
		check_set(s, SF_efer, s->values[SF_efer] | EFER_SVME);
}

/** text__read_qemu() - read the last registers that QEMU printed; false when there are none */
bool text__read_qemu(struct dump *dump, char *text, const struct check_table *vendor)
{
	char *line, *save = NULL;
	bool found = false;

	begin(dump, vendor);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "EAX=", 4) || !strncmp(line, "RAX=", 4)) {
			begin(dump, vendor);
			dump->nr_dumps++;
			found = true;
		}
		if (found)
			qemu_line(&dump->state, line);
	}
	if (!anything_known(&dump->state))
		return false;
	if (vendor == &check_vmx)
		assume_vmx(dump);
	else
		assume_svm(dump);
	return true;
}
