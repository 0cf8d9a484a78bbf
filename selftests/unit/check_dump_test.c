// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that dumps of VM entries are read back as what they are of, that in a dump with one spoiled field that field
 * is named, and that damaged dumps do no harm.
 */
#include <linux/nestor.h>
#include <stdlib.h>

#include "../../userspace/check/dump.h"
#include "check_states.h"
#include "random.h"
#include "tap.h"

static char text[1 << 16];

typedef unsigned long long ull;
#define V(field)	((ull)s->values[VF_##field])
#define S(field)	((ull)s->values[SF_##field])
#define LINE(...)	do { fprintf(out, "[  123.456789] kvm_intel: "); fprintf(out, __VA_ARGS__); } while (0)
#define LINE_AMD(...)	do { fprintf(out, "Nov 24 03:12:00 box kernel: kvm_amd: "); fprintf(out, __VA_ARGS__); } \
			while (0)

/* The lines that upstream's kvm_intel logs with dump_invalid_vmcs=1. */
static void print_vmcs(FILE *out, const struct check_state *s)
{
	fprintf(out, "[  123.456700] unrelated: *** nothing ***\n");
	LINE("VMCS 00000000deadbeef, last attempted VM-entry on CPU 3\n");
	LINE("*** Guest State ***\n");
	LINE("CR0: actual=0x%016llx, shadow=0x%016llx, gh_mask=%016llx\n", V(guest_cr0), V(cr0_shadow), V(cr0_mask));
	LINE("CR4: actual=0x%016llx, shadow=0x%016llx, gh_mask=%016llx\n", V(guest_cr4), V(cr4_shadow), V(cr4_mask));
	LINE("CR3 = 0x%016llx\n", V(guest_cr3));
	LINE("PDPTR0 = 0x%016llx  PDPTR1 = 0x%016llx\n", V(guest_pdpte0), V(guest_pdpte1));
	LINE("PDPTR2 = 0x%016llx  PDPTR3 = 0x%016llx\n", V(guest_pdpte2), V(guest_pdpte3));
	LINE("RSP = 0x%016llx  RIP = 0x%016llx\n", V(guest_rsp), V(guest_rip));
	LINE("RFLAGS=0x%08llx         DR7 = 0x%016llx\n", V(guest_rflags), V(guest_dr7));
	LINE("Sysenter RSP=%016llx CS:RIP=%04llx:%016llx\n", V(guest_sysenter_esp), V(guest_sysenter_cs),
	     V(guest_sysenter_eip));
#define SEG(name, r)										\
	LINE("%s sel=0x%04llx, attr=0x%05llx, limit=0x%08llx, base=0x%016llx\n", name,		\
	     V(guest_##r##_selector), V(guest_##r##_ar), V(guest_##r##_limit), V(guest_##r##_base))
	SEG("CS:  ", cs);
	SEG("DS:  ", ds);
	SEG("SS:  ", ss);
	SEG("ES:  ", es);
	SEG("FS:  ", fs);
	SEG("GS:  ", gs);
	LINE("GDTR:                           limit=0x%08llx, base=0x%016llx\n", V(guest_gdtr_limit),
	     V(guest_gdtr_base));
	SEG("LDTR:", ldtr);
	LINE("IDTR:                           limit=0x%08llx, base=0x%016llx\n", V(guest_idtr_limit),
	     V(guest_idtr_base));
	SEG("TR:  ", tr);
#undef SEG
	LINE("EFER= 0x%016llx\n", V(guest_efer));
	LINE("PAT = 0x%016llx\n", V(guest_pat));
	LINE("DebugCtl = 0x%016llx  DebugExceptions = 0x%016llx\n", V(guest_debugctl), V(guest_pending_debug));
	LINE("Interruptibility = %08llx  ActivityState = %08llx\n", V(guest_interruptibility), V(guest_activity));
	LINE("*** Host State ***\n");
	LINE("RIP = 0x%016llx  RSP = 0x%016llx\n", V(host_rip), V(host_rsp));
	LINE("CS=%04llx SS=%04llx DS=%04llx ES=%04llx FS=%04llx GS=%04llx TR=%04llx\n", V(host_cs_selector),
	     V(host_ss_selector), V(host_ds_selector), V(host_es_selector), V(host_fs_selector),
	     V(host_gs_selector), V(host_tr_selector));
	LINE("FSBase=%016llx GSBase=%016llx TRBase=%016llx\n", V(host_fs_base), V(host_gs_base), V(host_tr_base));
	LINE("GDTBase=%016llx IDTBase=%016llx\n", V(host_gdtr_base), V(host_idtr_base));
	LINE("CR0=%016llx CR3=%016llx CR4=%016llx\n", V(host_cr0), V(host_cr3), V(host_cr4));
	LINE("Sysenter RSP=%016llx CS:RIP=%04llx:%016llx\n", V(host_sysenter_esp), V(host_sysenter_cs),
	     V(host_sysenter_eip));
	LINE("EFER= 0x%016llx\n", V(host_efer));
	LINE("PAT = 0x%016llx\n", V(host_pat));
	LINE("*** Control State ***\n");
	LINE("CPUBased=0x%08llx SecondaryExec=0x%08llx TertiaryExec=0x%016llx\n", V(cpu_controls),
	     V(cpu2_controls), V(cpu3_controls));
	LINE("PinBased=0x%08llx EntryControls=%08llx ExitControls=%08llx\n", V(pin_controls), V(entry_controls),
	     V(exit_controls));
	LINE("ExceptionBitmap=%08llx PFECmask=%08llx PFECmatch=%08llx\n", V(exception_bitmap), V(pf_error_mask),
	     V(pf_error_match));
	LINE("VMEntry: intr_info=%08llx errcode=%08llx ilen=%08llx\n", V(entry_intr_info), V(entry_error_code),
	     V(entry_insn_length));
	LINE("VMExit: intr_info=00000000 errcode=00000000 ilen=00000000\n");
	LINE("        reason=80000021 qualification=0000000000000000\n");
	LINE("IDTVectoring: info=00000000 errcode=00000000\n");
	LINE("TSC Offset = 0x%016llx\n", V(tsc_offset));
	LINE("TPR Threshold = 0x%02llx\n", V(tpr_threshold));
	LINE("virt-APIC addr = 0x%016llx\n", V(virtual_apic));
	LINE("EPT pointer = 0x%016llx\n", V(eptp));
	LINE("Virtual processor ID = 0x%04llx\n", V(vpid));
}

/* And kvm_amd with dump_invalid_vmcb=1. */
static void print_vmcb(FILE *out, const struct check_state *s)
{
	LINE_AMD("SVM vCPU0 VMCB 00000000deadbeef, last attempted VMRUN on CPU 1\n");
	LINE_AMD("VMCB Control Area:\n");
	LINE_AMD("%-20s%04llx\n", "cr_read:", S(intercept_cr) & 0xffff);
	LINE_AMD("%-20s%04llx\n", "cr_write:", S(intercept_cr) >> 16);
	LINE_AMD("%-20s%08llx %08llx\n", "intercepts:", S(intercept_3), S(intercept_4));
	LINE_AMD("%-20s%lld\n", "pause filter count:", S(pause_count));
	LINE_AMD("%-20s%016llx\n", "iopm_base_pa:", S(iopm_base));
	LINE_AMD("%-20s%016llx\n", "msrpm_base_pa:", S(msrpm_base));
	LINE_AMD("%-20s%lld\n", "asid:", S(asid));
	LINE_AMD("%-20s%lld\n", "tlb_ctl:", S(tlb_control));
	LINE_AMD("%-20s%08llx\n", "int_ctl:", S(int_ctl));
	LINE_AMD("%-20s%08llx\n", "int_vector:", S(int_vector));
	LINE_AMD("%-20s%08llx\n", "int_state:", S(int_state));
	LINE_AMD("%-20s%016llx\n", "exit_code:", ~0ull);
	LINE_AMD("%-20s%lld\n", "misc_ctl:", S(nested_ctl));
	LINE_AMD("%-20s%016llx\n", "nested_cr3:", S(nested_cr3));
	LINE_AMD("%-20s%08llx\n", "event_inj:", S(event_inj));
	LINE_AMD("%-20s%lld\n", "misc_ctl2:", S(virt_ext));
	LINE_AMD("VMCB State Save Area:\n");
#define SEG(name, r)										\
	LINE_AMD("%-5s s: %04llx a: %04llx l: %08llx b: %016llx\n", name, S(r##_selector),	\
		 S(r##_attrib), S(r##_limit), S(r##_base))
	SEG("es:", es);
	SEG("cs:", cs);
	SEG("ss:", ss);
	SEG("ds:", ds);
	SEG("fs:", fs);
	SEG("gs:", gs);
	SEG("ldtr:", ldtr);
	SEG("tr:", tr);
#undef SEG
	LINE_AMD("gdtr: s: 0000 a: 0000 l: %08llx b: %016llx\n", S(gdtr_limit), S(gdtr_base));
	LINE_AMD("idtr: s: 0000 a: 0000 l: %08llx b: %016llx\n", S(idtr_limit), S(idtr_base));
	LINE_AMD("vmpl: 0   cpl:  %lld               efer:          %016llx\n", S(cpl), S(efer));
#define PAIR(a, x, b, y)	LINE_AMD("%-15s %016llx %-13s %016llx\n", a, S(x), b, S(y))
	PAIR("cr0:", cr0, "cr2:", cr2);
	PAIR("cr3:", cr3, "cr4:", cr4);
	PAIR("dr6:", dr6, "dr7:", dr7);
	PAIR("rip:", rip, "rflags:", rflags);
	PAIR("s_cet:", s_cet, "ssp:", ssp);
	PAIR("gpat:", g_pat, "dbgctl:", debugctl);
#undef PAIR
}

/* What QEMU prints of a guest in real mode, or with a CS of any other kind. */
static void print_qemu(FILE *out, const char *error, const char *cs, unsigned long cr0, unsigned long efl)
{
	fprintf(out, "KVM: entry failed, hardware error %s\n"
		"EAX=00000000 EBX=00000000 ECX=00000000 EDX=000806ec\n"
		"ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000\n"
		"EIP=0000fff0 EFL=%08lx [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n"
		"ES =0000 00000000 0000ffff 00009300\n"
		"CS =%s\n"
		"SS =0000 00000000 0000ffff 00009300\n"
		"DS =0000 00000000 0000ffff 00009300\n"
		"FS =0000 00000000 0000ffff 00009300\n"
		"GS =0000 00000000 0000ffff 00009300\n"
		"LDT=0000 00000000 0000ffff 00008200\n"
		"TR =0000 00000000 0000ffff 00008b00\n"
		"GDT=     00000000 0000ffff\n"
		"IDT=     00000000 0000ffff\n"
		"CR0=%08lx CR2=00000000 CR3=00000000 CR4=00000000\n"
		"DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000\n"
		"DR6=00000000ffff0ff0 DR7=0000000000000400\n"
		"EFER=0000000000000000\n"
		"Code=00 00 00 00\n", error, efl, cs, cr0);
}

typedef void printer(FILE *out, const struct check_state *s);

static bool read_printed(struct dump *dump, printer *print, const struct check_state *state)
{
	FILE *out = fmemopen(text, sizeof(text), "w");
	char error[160];

	print(out, state);
	fclose(out);
	return dump__read(dump, text, NULL, error, sizeof(error));
}

/* Does a rule that is broken have @field among its fields? */
static bool names(const struct check_state *state, unsigned int field)
{
	struct check_result result = {};
	unsigned int i;

	while (check_next(state, &result))
		for (i = 0; i < CHECK_RULE_FIELDS && result.rule->fields[i]; i++)
			if (result.rule->fields[i] == field)
				return true;
	return false;
}

static void test_round_trip(const struct check_table *table, printer *print)
{
	struct check_state state;
	struct dump dump;
	const char *name;
	unsigned int n, i, known;

	for (n = 0; (name = valid_state(table, n, &state)); n++) {
		bool ok = read_printed(&dump, print, &state) && dump.state.table == table;

		for (i = 1, known = 0; ok && i < table->nr_fields; i++) {
			if (!check_known(&dump.state, i))
				continue;
			known++;
			if (dump.state.values[i] == state.values[i])
				continue;
			printf("# %s: %#llx, not %#llx\n", table->fields[i].name, (ull)dump.state.values[i],
			       (ull)state.values[i]);
			ok = false;
		}
		tap_ok(ok && known > 50, "%s: the dump of '%s' is read back (%u values)", table->vendor, name, known);
	}
}

struct spoiled {
	unsigned int field;
	u64 value;
};

static const struct spoiled spoiled_vmx[] = {
	{ VF_guest_cr0, 0x80050032 }, { VF_guest_cr4, 0x6f0 }, { VF_guest_cr3, 1ull << 60 },
	{ VF_guest_rip, 0x0123456789abcdef }, { VF_guest_rflags, 0x200 }, { VF_guest_dr7, 0x100000400 },
	{ VF_guest_cs_ar, 0xa091 }, { VF_guest_ss_ar, 0x1c0d3 }, { VF_guest_tr_ar, 0x89 }, { VF_guest_ldtr_ar, 0x2 },
	{ VF_guest_fs_base, 0x0000800000000000 }, { VF_guest_gdtr_limit, 0x1ffff }, { VF_guest_efer, 0x100 },
	{ VF_guest_pat, 0x0207040600070406 }, { VF_guest_interruptibility, 3 }, { VF_guest_activity, 4 },
	{ VF_guest_pending_debug, 0x10 }, { VF_guest_sysenter_eip, 1ull << 63 }, { VF_entry_intr_info, 0x80000120 },
	{ VF_eptp, 0x10000005f }, { VF_vpid, 0 }, { VF_pin_controls, 0x16 | 0x28 | 0x100 }, { VF_host_cr4, 0x6f0 },
	{ VF_host_cs_selector, 0x13 }, { VF_host_tr_selector, 0 }, { VF_host_rip, 1ull << 50 },
	{ VF_host_gs_base, 1ull << 47 }, { VF_exit_controls, 0x003fedff }, { VF_guest_ds_limit, 0xfffff000 },
	{ VF_guest_sysenter_esp, 0xfff8000000000000 },
};

static const struct spoiled spoiled_svm[] = {
	{ SF_efer, 0xd01 }, { SF_cr0, 0xa0050033 }, { SF_cr3, 1ull << 52 }, { SF_cr4, 0x80000000 },
	{ SF_dr6, 1ull << 32 }, { SF_dr7, 1ull << 40 }, { SF_cs_attrib, 0xe9b }, { SF_intercept_4, 0x3e },
	{ SF_msrpm_base, 1ull << 52 }, { SF_iopm_base, 1ull << 53 }, { SF_asid, 0 }, { SF_event_inj, 0x80000302 },
	{ SF_nested_cr3, 1ull << 55 }, { SF_g_pat, 2 },
};

static void test_spoiled(const struct check_table *table, printer *print, const struct spoiled *list,
			 unsigned int count)
{
	struct check_state state;
	struct dump dump;
	unsigned int i;

	for (i = 0; i < count; i++) {
		valid_state(table, 0, &state);
		check_set(&state, list[i].field, list[i].value);
		tap_ok(read_printed(&dump, print, &state) && names(&dump.state, list[i].field) &&
		       check_verdict(&dump.state), "%s: %s spoiled in a dump is named", table->vendor,
		       table->fields[list[i].field].name);
	}
}

static bool read_qemu(struct dump *dump, const char *hardware_error, const char *cs, unsigned long cr0,
		      unsigned long efl)
{
	FILE *out = fmemopen(text, sizeof(text), "w");
	char error[160];

	print_qemu(out, hardware_error, cs, cr0, efl);
	fclose(out);
	return dump__read(dump, text, NULL, error, sizeof(error));
}

static void test_qemu(void)
{
	const char *real = "f000 ffff0000 0000ffff 00009b00", *absent = "f000 ffff0000 0000ffff 00000300";
	struct dump d;

	tap_ok(read_qemu(&d, "0x80000021", real, 0x60000010, 2) && d.state.table == &check_vmx && d.assumed &&
	       !check_verdict(&d.state), "QEMU's registers at reset are valid");
	tap_ok(read_qemu(&d, "0x80000021", absent, 0x60000010, 2) && names(&d.state, VF_guest_cs_ar),
	       "QEMU: a CS that is not present is named");
	tap_ok(read_qemu(&d, "0x80000021", real, 0x80000010, 2) && names(&d.state, VF_guest_cr0),
	       "QEMU: paging without protection is named");
	tap_ok(read_qemu(&d, "0x80000021", real, 0x60000010, 0) && names(&d.state, VF_guest_rflags),
	       "QEMU: RFLAGS without bit 1 is named");
	tap_ok(read_qemu(&d, "0xffffffff", real, 0x60000010, 2) && d.state.table == &check_svm &&
	       !check_verdict(&d.state), "QEMU: error 0xffffffff is SVM's");
	tap_ok(read_qemu(&d, "0xffffffff", real, 0x20000010, 2) && names(&d.state, SF_cr0),
	       "QEMU: CR0.NW without CD is named");
}

static void test_json(const struct check_table *table)
{
	struct check_state state;
	struct dump dump;
	char error[160];
	unsigned int n;
	bool same = true;
	FILE *out;

	for (n = 0; valid_state(table, n, &state); n++) {
		out = fmemopen(text, sizeof(text), "w");
		json__print_state(out, &state);
		fclose(out);
		same &= dump__read(&dump, text, NULL, error, sizeof(error)) &&
			!memcmp(dump.state.values, state.values, sizeof(state.values)) &&
			!memcmp(dump.state.caps, state.caps, sizeof(state.caps)) &&
			!memcmp(dump.state.known, state.known, sizeof(state.known));
	}
	tap_ok(same, "%s: states survive JSON", table->vendor);
}

/* As NESTOR_GET_ENTRY_FAILURE tells a state, with names that are not known yet. */
static unsigned int tell(struct nestor_entry_value *to, const struct check_field *fields, unsigned int nr,
			 const uint64_t *values)
{
	unsigned int i, told = 0;

	snprintf(to[told].name, sizeof(to[0].name), "of_the_future");
	to[told++].value = 1;
	for (i = 0; i < nr; i++) {
		if (!fields[i].name)
			continue;
		snprintf(to[told].name, sizeof(to[0].name), "%s", fields[i].name);
		to[told++].value = values[i];
	}
	return told;
}

static void test_told(const struct check_table *table)
{
	static struct nestor_entry_value values[CHECK_MAX_FIELDS + 1], caps[CHECK_MAX_CAPS + 1];
	struct nestor_entry_failure f = { .values = (uintptr_t)values, .caps = (uintptr_t)caps };
	struct check_state state, taken;
	bool same = true;
	unsigned int n;

	snprintf(f.vendor, sizeof(f.vendor), "%s", table->vendor);
	for (n = 0; valid_state(table, n, &state); n++) {
		f.nr_values = tell(values, table->fields, table->nr_fields, state.values);
		f.nr_caps = tell(caps, table->caps, table->nr_caps, state.caps);
		same &= failure__take_state(&taken, &f, CHECK_MAX_FIELDS + 1) && taken.table == table &&
			!memcmp(taken.values, state.values, sizeof(state.values)) &&
			!memcmp(taken.caps, state.caps, sizeof(state.caps));
	}
	tap_ok(same, "%s: states that the module tells", table->vendor);
	f.vendor[0] = 'x';
	tap_ok(!failure__take_state(&taken, &f, CHECK_MAX_FIELDS), "%s: of nobody else", table->vendor);
}

static void test_refused(void)
{
	static const char *const bad[] = {
		"", "no dump", "{", "{}", "{\"vendor\":\"via\",\"state\":{}}", "{\"vendor\":\"amd\"}",
		"{\"vendor\":\"amd\",\"state\":{\"guest_cr0\":\"1\"}}",
		"{\"vendor\":\"amd\",\"state\":{\"cr0\":\"x\"}}",
		"{\"vendor\":\"amd\",\"state\":{\"cr0\":-1}}", "{\"vendor\":\"amd\",\"state\":{\"cr0\":\"\"}}",
		"{\"vendor\":\"amd\",\"state\":{\"cpl\":256}}", "{\"vendor\":\"amd\",\"state\":{\"cr0\":null}}",
		"{\"vendor\":\"amd\",\"state\":{},\"capabilities\":[]}",
		"{\"vendor\":\"amd\",\"state\":{},\"capabilities\":{\"physical_bits\":0}}",
		"{\"vendor\":\"amd\",\"state\":{},\"capabilities\":{\"linear_bits\":0}}",
		"{\"vendor\":\"intel\",\"state\":{},\"capabilities\":{\"asids\":\"1\"}}",
		"*** Guest State ***\n", "VMCB Control Area:\nasid: x\n", "EAX=\n", "KVM: hardware error 0x7\n",
		"EAX=00000000 EBX=00000000\nEIP=00000000\n",
	};
	struct dump dump;
	char error[160];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(text, bad[i]);
		tap_ok(!dump__read(&dump, text, NULL, error, sizeof(error)) && error[0], "refused: %.*s",
		       (int)strcspn(bad[i], "\n"), bad[i]);
	}
}

static void damage(char *t)
{
	size_t length = strlen(t), from, n;
	unsigned int k = 1 + below(20);

	while (k-- && length > 8) {
		switch (below(5)) {
		case 0:
			t[below(length)] = 1 + below(255);
			break;
		case 1:
			t[below(length)] = "0123456789abcdef:= \n-{}\"x"[below(25)];
			break;
		case 2:	/* cut out a piece */
			from = below(length);
			n = below(length - from);
			n = n > 40 ? below(40) : n;
			memmove(t + from, t + from + n, length - from - n + 1);
			length -= n;
			break;
		case 3:	/* copy one over another */
			from = below(length);
			n = below(length - from) % 64;
			memmove(t + below(length - n), t + from, n);
			break;
		default:
			length = below(one_in(10) ? length : length / 2) + length / 2;
			t[length] = 0;
		}
	}
}

static void test_damaged(void)
{
	unsigned int rounds = 20000, i;
	FILE *null = fopen("/dev/null", "w");
	struct check_state state;
	struct dump dump;
	char error[160];
	FILE *out;

	for (i = 0; i < rounds; i++) {
		const struct check_table *table = one_in(2) ? &check_vmx : &check_svm;

		valid_state(table, below(10), &state);
		out = fmemopen(text, sizeof(text), "w");
		switch (below(4)) {
		case 0: json__print_state(out, &state); break;
		case 1: print_qemu(out, "0x80000021", "f000 ffff0000 0000ffff 00009b00", rnd(), rnd()); break;
		default: table == &check_vmx ? print_vmcs(out, &state) : print_vmcb(out, &state);
		}
		fclose(out);
		damage(text);
		if (!dump__read(&dump, text, one_in(2) ? table : NULL, error, sizeof(error)))
			continue;
		if (one_in(20)) {
			report__print(null, &dump.state);
			json__print(null, &dump.state);
		}
	}
	fclose(null);
	tap_ok(true, "%u damaged dumps", rounds);
}

int main(void)
{
	rng_state = 42;
	test_round_trip(&check_vmx, print_vmcs);
	test_round_trip(&check_svm, print_vmcb);
	test_spoiled(&check_vmx, print_vmcs, spoiled_vmx, sizeof(spoiled_vmx) / sizeof(spoiled_vmx[0]));
	test_spoiled(&check_svm, print_vmcb, spoiled_svm, sizeof(spoiled_svm) / sizeof(spoiled_svm[0]));
	test_qemu();
	test_json(&check_vmx);
	test_json(&check_svm);
	test_told(&check_vmx);
	test_told(&check_svm);
	test_refused();
	test_damaged();
	return tap_done();
}
