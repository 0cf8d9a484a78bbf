// SPDX-License-Identifier: GPL-2.0
/*
 * Arithmetic and its flags. SDM, EFLAGS Register: Status Flags.
 */
#include "alu.h"

static u64 sign_bit(unsigned int size)
{
	return 1ULL << (size * 8 - 1);
}

static bool negative(u64 val, unsigned int size)
{
	return val & sign_bit(size);
}

static u64 flag_if(bool cond, u64 flag)
{
	return cond ? flag : 0;
}

static bool parity_even(u8 val)
{
	val ^= val >> 4;
	return !((0x6996 >> (val & 15)) & 1);
}

u64 emu_flags_szp(u64 result, unsigned int size)
{
	return flag_if(!(result & emu_mask(size)), FL_ZF) |
	       flag_if(negative(result, size), FL_SF) | flag_if(parity_even(result), FL_PF);
}

u64 emu_alu_add(u64 a, u64 b, unsigned int carry, unsigned int size, u64 *flags)
{
	u64 mask = emu_mask(size);
	u64 r;

	a &= mask;
	b &= mask;
	r = (a + b + carry) & mask;
	*flags = (*flags & ~FL_STATUS) | emu_flags_szp(r, size) |
		 flag_if(r < a || (carry && r == a), FL_CF) |
		 flag_if(negative((a ^ r) & (b ^ r), size), FL_OF) | ((a ^ b ^ r) & FL_AF);
	return r;
}

u64 emu_alu_sub(u64 a, u64 b, unsigned int borrow, unsigned int size, u64 *flags)
{
	u64 mask = emu_mask(size);
	u64 r;

	a &= mask;
	b &= mask;
	r = (a - b - borrow) & mask;
	*flags = (*flags & ~FL_STATUS) | emu_flags_szp(r, size) |
		 flag_if(a < b || (borrow && a == b), FL_CF) |
		 flag_if(negative((a ^ b) & (a ^ r), size), FL_OF) | ((a ^ b ^ r) & FL_AF);
	return r;
}

u64 emu_alu_logic(u64 result, unsigned int size, u64 *flags)
{
	*flags = (*flags & ~FL_STATUS) | emu_flags_szp(result, size);
	return result;
}

static u64 rotate(bool left, u64 val, unsigned int count, unsigned int size, u64 *flags)
{
	unsigned int bits = size * 8;
	unsigned int n = count % bits;
	u64 r = val;
	bool cf, of;

	if (n && left)
		r = (val << n) | (val >> (bits - n));
	else if (n)
		r = (val >> n) | (val << (bits - n));
	r &= emu_mask(size);
	if (left) {
		cf = r & 1;
		of = negative(r, size) != cf;
	} else {
		cf = negative(r, size);
		of = cf != negative(r << 1, size);
	}
	*flags = (*flags & ~(FL_CF | FL_OF)) | flag_if(cf, FL_CF) | flag_if(of, FL_OF);
	return r;
}

/* Through carry the value is one bit longer; a step at a time keeps it readable. */
static u64 rotate_carry(bool left, u64 val, unsigned int count, unsigned int size, u64 *flags)
{
	bool cf = *flags & FL_CF;
	unsigned int n = count % (size * 8 + 1);
	bool of;

	while (n--) {
		bool out = left ? negative(val, size) : val & 1;

		if (left)
			val = ((val << 1) | cf) & emu_mask(size);
		else
			val = (val >> 1) | (cf ? sign_bit(size) : 0);
		cf = out;
	}
	of = negative(val, size) != (left ? cf : negative(val << 1, size));
	*flags = (*flags & ~(FL_CF | FL_OF)) | flag_if(cf, FL_CF) | flag_if(of, FL_OF);
	return val;
}

static u64 shift_left(u64 val, unsigned int count, unsigned int size, u64 *flags)
{
	u64 r = (val << count) & emu_mask(size);
	bool cf = count <= size * 8 && ((val >> (size * 8 - count)) & 1);

	emu_alu_logic(r, size, flags);
	*flags |= flag_if(cf, FL_CF) | flag_if(negative(r, size) != cf, FL_OF);
	return r;
}

static u64 shift_right(u64 val, unsigned int count, unsigned int size, u64 *flags)
{
	u64 r = val >> count;
	bool cf = (val >> (count - 1)) & 1;

	emu_alu_logic(r, size, flags);
	*flags |= flag_if(cf, FL_CF) |
		  flag_if(negative(r, size) != negative(r << 1, size), FL_OF);
	return r;
}

static u64 shift_arithmetic(u64 val, unsigned int count, unsigned int size, u64 *flags)
{
	s64 wide = (s64)emu_sign_extend(val, size);
	u64 r = (u64)(wide >> count) & emu_mask(size);
	bool cf = (wide >> (count - 1)) & 1;

	emu_alu_logic(r, size, flags);
	*flags |= flag_if(cf, FL_CF);
	return r;
}

u64 emu_alu_shift(unsigned int which, u64 val, unsigned int count, unsigned int size, u64 *flags)
{
	count &= size == 8 ? 63 : 31;
	val &= emu_mask(size);
	if (!count)
		return val;
	switch (which) {
	case 0:
	case 1:
		return rotate(which == 0, val, count, size, flags);
	case 2:
	case 3:
		return rotate_carry(which == 2, val, count, size, flags);
	case 5:
		return shift_right(val, count, size, flags);
	case 7:
		return shift_arithmetic(val, count, size, flags);
	}
	return shift_left(val, count, size, flags);
}

/*
 * With 16-bit operands counts above 16 are undefined; rotate the fill in again, as
 * CPUs do that treat the operands as one ring of val:fill:val.
 */
static unsigned __int128 double_ring(u64 high, u64 low, unsigned int size)
{
	unsigned int bits = size * 8;

	return ((unsigned __int128)high << bits) | low;
}

u64 emu_alu_shld(u64 val, u64 fill, unsigned int count, unsigned int size, u64 *flags)
{
	unsigned int bits = size * 8;
	u64 mask = emu_mask(size);
	u64 r;
	bool cf;

	count &= size == 8 ? 63 : 31;
	val &= mask;
	fill &= mask;
	if (!count)
		return val;
	if (count > bits) {
		count -= bits;
		r = val;
		val = fill;
		fill = r;
	}
	r = (u64)(double_ring(val, fill, size) >> (bits - count)) & mask;
	cf = (val >> (bits - count)) & 1;
	emu_alu_logic(r, size, flags);
	*flags |= flag_if(cf, FL_CF) | flag_if(negative(r ^ val, size), FL_OF);
	return r;
}

u64 emu_alu_shrd(u64 val, u64 fill, unsigned int count, unsigned int size, u64 *flags)
{
	unsigned int bits = size * 8;
	u64 mask = emu_mask(size);
	u64 r;
	bool cf;

	count &= size == 8 ? 63 : 31;
	val &= mask;
	fill &= mask;
	if (!count)
		return val;
	if (count > bits) {
		count -= bits;
		r = val;
		val = fill;
		fill = r;
	}
	r = (u64)(double_ring(fill, val, size) >> count) & mask;
	cf = (val >> (count - 1)) & 1;
	emu_alu_logic(r, size, flags);
	*flags |= flag_if(cf, FL_CF) | flag_if(negative(r ^ val, size), FL_OF);
	return r;
}

void emu_alu_mul(u64 a, u64 b, unsigned int size, u64 *low, u64 *high, u64 *flags)
{
	u64 mask = emu_mask(size);
	unsigned __int128 p = (unsigned __int128)(a & mask) * (b & mask);

	*low = (u64)p & mask;
	*high = (u64)(p >> (size * 8)) & mask;
	*flags = (*flags & ~(FL_STATUS)) | emu_flags_szp(*low, size) |
		 flag_if(*high, FL_CF | FL_OF);
}

void emu_alu_imul(u64 a, u64 b, unsigned int size, u64 *low, u64 *high, u64 *flags)
{
	u64 mask = emu_mask(size);
	__int128 p = (__int128)(s64)emu_sign_extend(a, size) * (s64)emu_sign_extend(b, size);

	*low = (u64)p & mask;
	*high = (u64)(p >> (size * 8)) & mask;
	*flags = (*flags & ~(FL_STATUS)) | emu_flags_szp(*low, size) |
		 flag_if((s64)emu_sign_extend(*low, size) != p, FL_CF | FL_OF);
}

/*
 * 128 by 64 bits, quotient of 64. Bit by bit: the compiler would call a library
 * function that the kernel lacks.
 */
static void divide128(u64 high, u64 low, u64 divisor, u64 *quot, u64 *rem)
{
	unsigned int i;

	for (i = 0; i < 64; i++) {
		bool carry = high >> 63;

		high = (high << 1) | (low >> 63);
		low <<= 1;
		if (carry || high >= divisor) {
			high -= divisor;
			low |= 1;
		}
	}
	*quot = low;
	*rem = high;
}

bool emu_alu_div(u64 high, u64 low, u64 divisor, unsigned int size, u64 *quot, u64 *rem)
{
	u64 mask = emu_mask(size);
	u64 n;

	high &= mask;
	low &= mask;
	divisor &= mask;
	/* A quotient that does not fit, division by zero included. */
	if (high >= divisor)
		return false;
	if (size == 8) {
		divide128(high, low, divisor, quot, rem);
		return true;
	}
	n = (high << (size * 8)) | low;
	*quot = n / divisor;
	*rem = n % divisor;
	return true;
}

bool emu_alu_idiv(u64 high, u64 low, u64 divisor, unsigned int size, u64 *quot, u64 *rem)
{
	u64 mask = emu_mask(size);
	bool minus_n = negative(high, size);
	bool minus_d = negative(divisor, size);
	u64 limit = sign_bit(size);

	if (minus_n) {
		low = -low & mask;
		high = (~high + !low) & mask;
	}
	if (minus_d)
		divisor = -divisor;
	if (!emu_alu_div(high, low, divisor, size, quot, rem))
		return false;
	if (*quot > (minus_n != minus_d ? limit : limit - 1))
		return false;
	if (minus_n != minus_d)
		*quot = -*quot & mask;
	if (minus_n)
		*rem = -*rem & mask;
	return true;
}
