/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Copying chosen words of a VMCB from and to L1's memory: a list of words is a macro, LIST(W), of W(offset, number), so that the
 * copy has neither loop nor table. Both sides are words of eight bytes: a field that is smaller comes with its neighbours.
 */
#ifndef NESTOR_SVM_NESTED_WORDS_H
#define NESTOR_SVM_NESTED_WORDS_H

#include <linux/uaccess.h>

#include "svm/nested.h"
#include "vm/memory.h"

#define SAVE(field)	(offsetof(struct vmcb, save) + offsetof(struct vmcb_save, field))
#define CONTROL(field)	offsetof(struct vmcb_control, field)

/* One word; or a byte, of a field whose neighbours are not to be touched. */
#define READ_WORD(at)	unsafe_get_user(*(u64 *)(image + (at)), (const u64 __user *)(page + (at)), fault)
#define WRITE_WORD(at)	unsafe_put_user(*(const u64 *)(image + (at)), (u64 __user *)(page + (at)), fault)
#define WRITE_BYTE(at)	unsafe_put_user(*(const u8 *)(image + (at)), (u8 __user *)(page + (at)), fault)

/* n words */
#define WORDS_1(op, at)	op(at);
#define WORDS_2(op, at)	WORDS_1(op, at) WORDS_1(op, (at) + 8)
#define WORDS_3(op, at)	WORDS_2(op, at) WORDS_1(op, (at) + 16)
#define WORDS_4(op, at)	WORDS_2(op, at) WORDS_2(op, (at) + 16)
#define WORDS_5(op, at)	WORDS_4(op, at) WORDS_1(op, (at) + 32)
#define WORDS_6(op, at)	WORDS_4(op, at) WORDS_2(op, (at) + 32)
#define WORDS_7(op, at)	WORDS_4(op, at) WORDS_3(op, (at) + 32)
#define WORDS_8(op, at)	WORDS_4(op, at) WORDS_4(op, (at) + 32)
#define WORDS_18(op, at) WORDS_8(op, at) WORDS_8(op, (at) + 64) WORDS_2(op, (at) + 128)

#define READ_WORDS(at, n)	WORDS_##n(READ_WORD, at)
#define WRITE_WORDS(at, n)	WORDS_##n(WRITE_WORD, at)

/* name(page, image): 0, -EFAULT or -EAGAIN. */
#define DEFINE_READ_WORDS(name, list)							\
static __always_inline int name(const void __user *page, void *image)			\
{											\
	if (!user_read_access_begin(page, PAGE_SIZE))					\
		return -EFAULT;								\
	list(READ_WORDS)								\
	user_read_access_end();								\
	return 0;									\
fault:											\
	user_read_access_end();								\
	return -EAGAIN;									\
}

#define DEFINE_WRITE_WORDS(name, list)							\
static __always_inline int name(void __user *page, const void *image)			\
{											\
	if (!user_write_access_begin(page, PAGE_SIZE))					\
		return -EFAULT;								\
	list(WRITE_WORDS)								\
	user_write_access_end();							\
	return 0;									\
fault:											\
	user_write_access_end();							\
	return -EAGAIN;									\
}

/* @copy, defined above, with the page at @gpa1. 0, -EFAULT, or in a burst -EAGAIN. */
#define copy_words(svm, gpa1, to_guest, copy, image)					\
({											\
	struct guest_page __p = { .vcpu = &(svm)->vcpu, .gpa = (gpa1), .write = (to_guest) };	\
	int __r;									\
											\
	do {										\
		__r = guest_page_begin(&__p);						\
		if (unlikely(__r))							\
			break;								\
		__r = copy(__p.at, image);						\
		guest_page_end(&__p);							\
		if (likely(!__r))							\
			break;								\
		__r = guest_page_retry(&__p, __r);					\
	} while (!__r);									\
	__r;										\
})

#endif
