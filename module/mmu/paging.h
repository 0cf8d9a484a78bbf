/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rules of x86 paging (SDM, Paging; APM, Page Translation and Protection) without the memory:
 * what bits of an entry mean, which are reserved, whether an access is allowed. No kernel header, so
 * that unit tests run on any machine.
 */
#ifndef NESTOR_PAGING_H
#define NESTOR_PAGING_H

#include "emulate/types.h"

#define PAGING_P	(1ull << 0)
#define PAGING_W	(1ull << 1)
#define PAGING_U	(1ull << 2)
#define PAGING_A	(1ull << 5)
#define PAGING_D	(1ull << 6)
#define PAGING_PS	(1ull << 7)
#define PAGING_NX	(1ull << 63)

/* Error code of #PF, and one bit that is not in it. */
#define PAGING_E_P	(1u << 0)
#define PAGING_E_W	(1u << 1)
#define PAGING_E_U	(1u << 2)
#define PAGING_E_RSVD	(1u << 3)
#define PAGING_E_FETCH	(1u << 4)
#define PAGING_E_PK	(1u << 5)
#define PAGING_IMPLICIT	(1ull << 48)

#define PAGING_MAX_LEVELS	5

/**
 * struct paging - the state of a CPU that decides about translations
 * @levels: 0 no paging, 2 32-bit, 3 PAE, 4, 5
 * @maxphyaddr: the guest's physical address width
 * @wp: CR0.WP
 * @pse: CR4.PSE (4 MiB pages in 32-bit paging)
 * @nx: EFER.NXE, in a paging mode that has the bit
 * @smep, @smap: CR4
 * @ac: RFLAGS.AC
 * @gbpages: 1 GiB pages exist
 * @amd: bit 8 of entries at levels 4 and 5 is reserved
 * @pke: CR4.PKE, in a paging mode that has protection keys
 * @pkru: PKRU
 */
struct paging {
	u8 levels;
	u8 maxphyaddr;
	bool wp, pse, nx, smep, smap, ac, gbpages, amd, pke;
	u32 pkru;
};

/* Bits [low, high], none when high < low. */
static inline u64 paging_bits(int low, int high)
{
	return high < low ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

static inline int paging_entry_size(const struct paging *p)
{
	return p->levels == 2 ? 4 : 8;
}

/* Lowest bit of the linear address that an entry of @level translates. */
static inline int paging_shift(const struct paging *p, int level)
{
	return 12 + (level - 1) * (p->levels == 2 ? 10 : 9);
}

static inline u64 paging_index(const struct paging *p, u64 gva, int level)
{
	return (gva >> paging_shift(p, level)) & (p->levels == 2 ? 0x3ff : 0x1ff);
}

/* Does the walk end here? Where bit 7 is no page size, it is reserved or ignored. */
static inline bool paging_is_leaf(const struct paging *p, u64 entry, int level)
{
	if (level == 1)
		return true;
	if (!(entry & PAGING_PS))
		return false;
	if (p->levels == 2)
		return p->pse;
	return level == 2 || (level == 3 && p->levels > 3 && p->gbpages);
}

/**
 * paging_reserved - bits that must be zero in a present entry
 *
 * SDM, Formats of Paging-Structure Entries. Not for PDPTEs of PAE paging: paging_pdpte_reserved().
 */
static inline u64 paging_reserved(const struct paging *p, u64 entry, int level)
{
	bool leaf = paging_is_leaf(p, entry, level);
	u64 r;

	if (p->levels == 2) {
		/* PSE-36: bits 20:13 of a 4 MiB page are address bits 39:32, as far as there are any. */
		int m = p->maxphyaddr < 40 ? p->maxphyaddr : 40;

		return level == 2 && leaf ? paging_bits(m > 32 ? m - 19 : 13, 21) : 0;
	}
	r = paging_bits(p->maxphyaddr, p->levels == 3 ? 62 : 51);
	if (!p->nx)
		r |= PAGING_NX;
	if (leaf && level > 1)
		r |= paging_bits(13, paging_shift(p, level) - 1);
	if (level >= 4 || (level == 3 && !p->gbpages))
		r |= PAGING_PS;
	if (p->amd && level >= 4)
		r |= 1ull << 8;
	return r;
}

static inline u64 paging_pdpte_reserved(const struct paging *p)
{
	return paging_bits(p->maxphyaddr, 63) | paging_bits(5, 8) | paging_bits(1, 2);
}

/* Address of the next table. */
static inline u64 paging_table(const struct paging *p, u64 entry)
{
	return entry & (p->levels == 2 ? paging_bits(12, 31) : paging_bits(12, 51));
}

/* Physical address that a leaf gives a linear address. */
static inline u64 paging_address(const struct paging *p, u64 entry, u64 gva, int level)
{
	int shift = paging_shift(p, level);
	u64 base = entry & (p->levels == 2 ? paging_bits(shift, 31) : paging_bits(shift, 51));

	if (p->levels == 2 && level == 2)
		base |= (entry & paging_bits(13, 20)) << 19;
	return base | (gva & paging_bits(0, shift - 1));
}

/**
 * paging_denied - is an access to a present page a fault?
 * @rights: U and W ANDed over all levels, NX ORed
 * @entry: the leaf, for its protection key
 * @access: PAGING_E_W, PAGING_E_U, PAGING_E_FETCH, PAGING_IMPLICIT
 *
 * SDM, Determination of Access Rights; Protection Keys. 0, or the bits that the denial puts into
 * the error code: PAGING_E_P, and PAGING_E_PK when the key denies.
 */
static inline u32 paging_denied(const struct paging *p, u64 rights, u64 entry, u64 access)
{
	bool write = access & PAGING_E_W, user = access & PAGING_E_U;
	bool fetch = access & PAGING_E_FETCH, page_user = rights & PAGING_U;
	u32 error = 0, key;

	if (user && !page_user)
		error = PAGING_E_P;
	if (write && !(rights & PAGING_W) && (user || p->wp))
		error = PAGING_E_P;
	if (fetch && ((p->nx && rights & PAGING_NX) || (p->smep && !user && page_user)))
		error = PAGING_E_P;
	/* RFLAGS.AC lets explicit accesses through SMAP, implicit ones never. */
	if (p->smap && !fetch && !user && page_user && (!p->ac || access & PAGING_IMPLICIT))
		error = PAGING_E_P;
	if (p->pke && page_user && !fetch) {
		key = p->pkru >> 2 * (entry >> 59 & 15);
		if (key & 1 || (key & 2 && write && (user || p->wp)))
			error = PAGING_E_P | PAGING_E_PK;
	}
	return error;
}

/* Bits of the error code that tell the access. The fetch bit exists only with NX or SMEP. */
static inline u32 paging_access_error(const struct paging *p, u64 access)
{
	u32 error = access & (PAGING_E_W | PAGING_E_U);

	if (access & PAGING_E_FETCH && (p->nx || p->smep))
		error |= PAGING_E_FETCH;
	return error;
}

/* Linear addresses have 48 or 57 bits, sign-extended, in 64-bit paging. */
static inline bool paging_canonical(const struct paging *p, u64 gva)
{
	int unused = p->levels == 5 ? 7 : 16;

	return p->levels < 4 || (u64)((s64)(gva << unused) >> unused) == gva;
}

#endif
