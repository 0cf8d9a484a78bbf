// SPDX-License-Identifier: GPL-2.0
/*
 * Verify that the walker of guest page tables knows the rules of paging: which accesses are denied
 * and with which error code, which bits are reserved, where a walk ends and at which address.
 */
#include "mmu/paging.h"
#include "tap.h"

#define ERROR_P		PAGING_E_P
#define ERROR_PK	(PAGING_E_P | PAGING_E_PK)

/* SDM, Determination of Access Rights, read as it is written: one paragraph, one case. */
static bool allowed_by_rights(const struct paging *p, u64 rights, u64 access)
{
	bool user_address = rights & PAGING_U, writable = rights & PAGING_W;
	bool executable = !p->nx || !(rights & PAGING_NX);
	bool explicit_access = !(access & PAGING_IMPLICIT);

	if (access & PAGING_E_U) {
		if (!user_address)
			return false;
		if (access & PAGING_E_FETCH)
			return executable;
		return access & PAGING_E_W ? writable : true;
	}
	if (access & PAGING_E_FETCH) {
		if (user_address && p->smep)
			return false;
		return executable;
	}
	if (user_address && p->smap && !(p->ac && explicit_access))
		return false;
	if (access & PAGING_E_W)
		return p->wp ? writable : true;
	return true;
}

/* SDM, Protection Keys. */
static bool allowed_by_key(const struct paging *p, u64 rights, int key, u64 access)
{
	bool access_disable = p->pkru >> (2 * key) & 1, write_disable = p->pkru >> (2 * key + 1) & 1;

	if (!p->pke || !(rights & PAGING_U) || access & PAGING_E_FETCH)
		return true;
	if (access_disable)
		return false;
	if (!(access & PAGING_E_W) || !write_disable)
		return true;
	return !(access & PAGING_E_U) && !p->wp;
}

static u32 expected_denial(const struct paging *p, u64 rights, int key, u64 access)
{
	if (!allowed_by_key(p, rights, key, access))
		return ERROR_PK;
	return allowed_by_rights(p, rights, access) ? 0 : ERROR_P;
}

static void test_denied(void)
{
	static const u64 accesses[] = {
		0, PAGING_E_W, PAGING_E_FETCH, PAGING_E_U, PAGING_E_U | PAGING_E_W,
		PAGING_E_U | PAGING_E_FETCH, PAGING_IMPLICIT, PAGING_IMPLICIT | PAGING_E_W,
	};
	unsigned int state, r, key, a, wrong = 0, cases = 0;

	for (state = 0; state < 64; state++) {
		for (r = 0; r < 8; r++) {
			for (key = 0; key < 16; key++) {
				struct paging p = {
					.levels = 4, .maxphyaddr = 46,
					.wp = state & 1, .nx = state & 2, .smep = state & 4,
					.smap = state & 8, .ac = state & 16, .pke = state & 32,
					.pkru = 0xe4e4e4e4, /* all four settings */
				};
				u64 rights = (r & 1 ? PAGING_W : 0) | (r & 2 ? PAGING_U : 0) |
					     (r & 4 ? PAGING_NX : 0);

				for (a = 0; a < sizeof(accesses) / sizeof(accesses[0]); a++) {
					cases++;
					wrong += paging_denied(&p, rights, (u64)key << 59, accesses[a]) !=
						 expected_denial(&p, rights, key, accesses[a]);
				}
			}
		}
	}
	tap_ok(!wrong, "access rights: %u of %u cases differ from the manual", wrong, cases);
}

static void test_access_error(void)
{
	struct paging p = { .levels = 4 };

	tap_ok(paging_access_error(&p, PAGING_E_FETCH | PAGING_E_U) == PAGING_E_U,
	       "no fetch bit without NX and SMEP");
	p.nx = true;
	tap_ok(paging_access_error(&p, PAGING_E_FETCH) == PAGING_E_FETCH, "fetch bit with NX");
	p.nx = false;
	p.smep = true;
	tap_ok(paging_access_error(&p, PAGING_E_FETCH) == PAGING_E_FETCH, "fetch bit with SMEP");
	tap_ok(paging_access_error(&p, PAGING_E_W | PAGING_IMPLICIT) == PAGING_E_W,
	       "an implicit access is no bit of an error code");
}

/* Every single bit of an entry: is it reserved exactly when @reserved says so? */
static void check_bits(const struct paging *p, int level, u64 entry, u64 reserved, const char *what)
{
	u64 wrong = 0, other;
	int bit;

	for (bit = 0; bit < paging_entry_size(p) * 8; bit++) {
		other = entry | 1ull << bit;
		/* The page-size bit changes what the entry is. */
		if (1ull << bit == PAGING_PS && !(entry & PAGING_PS) && !(reserved & PAGING_PS))
			continue;
		if (!!(other & paging_reserved(p, other, level)) != !!(reserved >> bit & 1))
			wrong |= 1ull << bit;
	}
	tap_ok(!wrong, "reserved bits, %s%s", what, wrong ? " (differ)" : "");
	if (wrong)
		printf("# bits %llx\n", (unsigned long long)wrong);
}

static void test_reserved(void)
{
	struct paging p = { .levels = 4, .maxphyaddr = 39, .nx = true, .gbpages = true };
	const u64 high = paging_bits(39, 51), ps = PAGING_PS;

	check_bits(&p, 4, 1, high | ps, "PML4E");
	check_bits(&p, 3, 1, high, "PDPTE");
	check_bits(&p, 3, 1 | ps, high | paging_bits(13, 29), "1 GiB page");
	check_bits(&p, 2, 1, high, "PDE");
	check_bits(&p, 2, 1 | ps, high | paging_bits(13, 20), "2 MiB page");
	check_bits(&p, 1, 1, high, "PTE");
	p.levels = 5;
	check_bits(&p, 5, 1, high | ps, "PML5E");
	p.gbpages = false;
	check_bits(&p, 3, 1, high | ps, "PDPTE without 1 GiB pages");
	p.amd = true;
	check_bits(&p, 4, 1, high | ps | 1 << 8, "PML4E of AMD");
	check_bits(&p, 1, 1, high, "PTE of AMD");
	p.nx = false;
	check_bits(&p, 1, 1, high | PAGING_NX, "PTE without NX");
	p.maxphyaddr = 52;
	check_bits(&p, 1, 1, PAGING_NX, "PTE with 52 address bits");

	p = (struct paging) { .levels = 3, .maxphyaddr = 36, .nx = true };
	check_bits(&p, 1, 1, paging_bits(36, 62), "PTE of PAE paging");
	check_bits(&p, 2, 1 | ps, paging_bits(36, 62) | paging_bits(13, 20), "2 MiB page of PAE paging");
	tap_ok(paging_pdpte_reserved(&p) == (paging_bits(36, 63) | 0x1e6), "reserved bits, PAE PDPTE");

	p = (struct paging) { .levels = 2, .maxphyaddr = 36, .pse = true };
	check_bits(&p, 1, 1, 0, "PTE of 32-bit paging");
	check_bits(&p, 2, 1, 0, "PDE of 32-bit paging");
	check_bits(&p, 2, 1 | ps, paging_bits(17, 21), "4 MiB page, 36 address bits");
	p.maxphyaddr = 46;
	check_bits(&p, 2, 1 | ps, 1 << 21, "4 MiB page, 40 or more address bits");
	p.maxphyaddr = 32;
	check_bits(&p, 2, 1 | ps, paging_bits(13, 21), "4 MiB page, 32 address bits");
	p.pse = false;
	check_bits(&p, 2, 1 | ps, 0, "PDE without PSE");
}

static void test_walk(void)
{
	struct paging p = { .levels = 4, .maxphyaddr = 46, .gbpages = true };
	const u64 gva = 0x0000765432123456;

	tap_ok(paging_index(&p, gva, 4) == 0xec && paging_index(&p, gva, 3) == 0x150 &&
	       paging_index(&p, gva, 2) == 0x190 && paging_index(&p, gva, 1) == 0x123, "4-level indices");
	tap_ok(paging_address(&p, 0x8000000123456067ull, gva, 1) == 0x123456456, "4 KiB address");
	tap_ok(paging_address(&p, 0x80000001234000e7ull, gva, 2) == 0x123523456, "2 MiB address");
	tap_ok(paging_address(&p, 0x80000001400010e7ull, gva, 3) == 0x172123456, "1 GiB address");
	tap_ok(paging_is_leaf(&p, 1, 1) && !paging_is_leaf(&p, 1, 2) &&
	       paging_is_leaf(&p, PAGING_PS, 2) && paging_is_leaf(&p, PAGING_PS, 3) &&
	       !paging_is_leaf(&p, PAGING_PS, 4), "leaves of 4-level paging");
	tap_ok(paging_canonical(&p, 0x00007fffffffffff) && !paging_canonical(&p, 0x0000800000000000) &&
	       paging_canonical(&p, 0xffff800000000000) && !paging_canonical(&p, 0xfff8000000000000),
	       "48-bit canonical addresses");
	p.levels = 5;
	tap_ok(paging_canonical(&p, 0x00ffffffffffffff) && !paging_canonical(&p, 0x0100000000000000) &&
	       paging_canonical(&p, 0xff00000000000000), "57-bit canonical addresses");

	p = (struct paging) { .levels = 2, .maxphyaddr = 40, .pse = true };
	tap_ok(paging_index(&p, 0xfedcba98, 2) == 0x3fb && paging_index(&p, 0xfedcba98, 1) == 0x1cb,
	       "32-bit indices");
	tap_ok(paging_address(&p, 0x87654067, 0xfedcba98, 1) == 0x87654a98, "32-bit 4 KiB address");
	tap_ok(paging_address(&p, 0x0041e0e7, 0xfedcba98, 2) == 0x0f005cba98,
	       "4 MiB address above 4 GiB");
	tap_ok(paging_is_leaf(&p, PAGING_PS, 2), "4 MiB page with PSE");
	p.pse = false;
	tap_ok(!paging_is_leaf(&p, PAGING_PS, 2), "no 4 MiB page without PSE");
}

int main(void)
{
	test_denied();
	test_access_error();
	test_reserved();
	test_walk();
	return tap_done();
}
