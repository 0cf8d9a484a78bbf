/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers and layouts of the Hypervisor Top-Level Functional Specification (TLFS), as far as they are
 * served. The kernel's own header for them has another name and other contents in every version.
 */
#ifndef NESTOR_HYPERV_TLFS_H
#define NESTOR_HYPERV_TLFS_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* TLFS, Feature and Interface Discovery. */
#define HV_LEAF_VENDOR			0x40000000
#define HV_LEAF_INTERFACE		0x40000001
#define HV_LEAF_VERSION			0x40000002
#define HV_LEAF_FEATURES		0x40000003
#define HV_LEAF_HINTS			0x40000004
#define HV_LEAF_LIMITS			0x40000005
#define HV_LEAF_NESTED			0x4000000a
/* The synthetic debugger's, which the TLFS does not document. */
#define HV_LEAF_DEBUG_VENDOR		0x40000080
#define HV_LEAF_DEBUG_INTERFACE		0x40000081
#define HV_LEAF_DEBUG_CAPS		0x40000082

#define HV_SIGNATURE_HV1		0x31237648	/* "Hv#1" */
#define HV_SIGNATURE_VS1		0x31235356	/* "VS#1" */

/* HV_LEAF_FEATURES: EAX */
#define HV_CAN_VP_RUNTIME		BIT(0)
#define HV_CAN_REF_COUNTER		BIT(1)
#define HV_CAN_SYNIC			BIT(2)
#define HV_CAN_STIMER			BIT(3)
#define HV_CAN_APIC			BIT(4)
#define HV_CAN_HYPERCALL		BIT(5)
#define HV_CAN_VP_INDEX			BIT(6)
#define HV_CAN_RESET			BIT(7)
#define HV_CAN_REF_TSC			BIT(9)
#define HV_CAN_FREQUENCIES		BIT(11)
#define HV_CAN_REENLIGHTENMENT		BIT(13)
#define HV_CAN_TSC_INVARIANT		BIT(15)
/* EBX */
#define HV_CAN_POST_MESSAGES		BIT(4)
#define HV_CAN_SIGNAL_EVENTS		BIT(5)
#define HV_CAN_DEBUG			BIT(11)
#define HV_CAN_EXT_CALLS		BIT(20)
/* EDX */
#define HV_HAS_GUEST_DEBUGGING		BIT(1)
#define HV_HAS_XMM_INPUT		BIT(4)
#define HV_HAS_FREQUENCIES		BIT(8)
#define HV_HAS_CRASH			BIT(10)
#define HV_HAS_DEBUG_MSRS		BIT(11)
#define HV_HAS_EXT_GVA_RANGES		BIT(14)
#define HV_HAS_DIRECT_STIMER		BIT(19)

/* HV_LEAF_HINTS: EAX */
#define HV_HINT_REMOTE_FLUSH		BIT(2)
#define HV_HINT_APIC_MSRS		BIT(3)
#define HV_HINT_RELAXED_TIMING		BIT(5)
#define HV_HINT_NO_AUTO_EOI		BIT(9)
#define HV_HINT_CLUSTER_IPI		BIT(10)
#define HV_HINT_EX_MASKS		BIT(11)
#define HV_HINT_EVMCS			BIT(14)
#define HV_HINT_NO_CORE_SHARING		BIT(18)

/* HV_LEAF_NESTED: EAX */
#define HV_NESTED_EVMCS			GENMASK(15, 0)
#define HV_NESTED_DIRECT_FLUSH		BIT(17)
#define HV_NESTED_MSR_BITMAP		BIT(19)

/* HV_LEAF_DEBUG_CAPS: EAX */
#define HV_DEBUG_ALLOWED		BIT(1)

/* TLFS, Synthetic MSRs. */
#define HV_MSR_GUEST_OS_ID		0x40000000
#define HV_MSR_HYPERCALL		0x40000001
#define HV_MSR_VP_INDEX			0x40000002
#define HV_MSR_RESET			0x40000003
#define HV_MSR_VP_RUNTIME		0x40000010
#define HV_MSR_REF_COUNT		0x40000020
#define HV_MSR_REF_TSC			0x40000021
#define HV_MSR_TSC_FREQUENCY		0x40000022
#define HV_MSR_APIC_FREQUENCY		0x40000023
#define HV_MSR_EOI			0x40000070
#define HV_MSR_ICR			0x40000071
#define HV_MSR_TPR			0x40000072
#define HV_MSR_VP_ASSIST		0x40000073
#define HV_MSR_SCONTROL			0x40000080
#define HV_MSR_SVERSION			0x40000081
#define HV_MSR_SIEFP			0x40000082
#define HV_MSR_SIMP			0x40000083
#define HV_MSR_EOM			0x40000084
#define HV_MSR_SINT0			0x40000090
#define HV_MSR_SINT15			0x4000009f
#define HV_MSR_STIMER0_CONFIG		0x400000b0
#define HV_MSR_STIMER3_COUNT		0x400000b7
#define HV_MSR_DEBUG_CONTROL		0x400000f1
#define HV_MSR_DEBUG_STATUS		0x400000f2
#define HV_MSR_DEBUG_SEND		0x400000f3
#define HV_MSR_DEBUG_RECV		0x400000f4
#define HV_MSR_DEBUG_PENDING		0x400000f5
#define HV_MSR_DEBUG_OPTIONS		0x400000ff
#define HV_MSR_CRASH_P0			0x40000100
#define HV_MSR_CRASH_P4			0x40000104
#define HV_MSR_CRASH_CTL		0x40000105
#define HV_MSR_REENLIGHTENMENT		0x40000106
#define HV_MSR_TSC_EMULATION_CONTROL	0x40000107
#define HV_MSR_TSC_EMULATION_STATUS	0x40000108
#define HV_MSR_TSC_INVARIANT		0x40000118

/* Bit 0 of the MSRs that hold a page's address, and the address. */
#define HV_PAGE_ENABLE			BIT_ULL(0)
#define HV_PAGE_ADDRESS			GENMASK_ULL(63, 12)

/* Virtual processor assist page: features that a guest hypervisor enables. */
#define HV_ASSIST_NESTED		32
#define HV_ASSIST_DIRECT_CALLS		BIT(0)

/* And how it enters its guests: with the enlightened VMCS at @evmcs. */
#define HV_ASSIST_ENTRY			40
struct hv_assist_entry {
	u8 enlightened;
	u8 reserved[7];
	u64 evmcs;
};
static_assert(sizeof(struct hv_assist_entry) == 16);
#define HV_NO_EVMCS			U64_MAX
#define HV_EVMCS_VERSION		1

#define HV_CRASH_NOTIFY			BIT_ULL(63)
#define HV_TSC_INVARIANT_EXPOSE		BIT_ULL(0)
#define HV_DEBUG_USE_HYPERCALLS		BIT_ULL(2)

/* TLFS, Virtual Interrupt Control: SynIC. */
#define HV_SINTS			16
#define HV_SYNIC_VERSION		1
#define HV_SYNIC_ENABLE			BIT_ULL(0)
#define HV_SINT_VECTOR			GENMASK_ULL(7, 0)
#define HV_SINT_MASKED			BIT_ULL(16)
#define HV_SINT_AUTO_EOI		BIT_ULL(17)
#define HV_FIRST_VECTOR			16

#define HV_MESSAGE_NONE			0
#define HV_MESSAGE_TIMER		0x80000010
#define HV_MESSAGE_PENDING		BIT(0)

/* TLFS, HV_MESSAGE: a slot of the message page. */
struct hv_message {
	u32 type;
	u8 payload_size;
	u8 flags;
	u8 reserved[2];
	u64 sender;
	u64 payload[30];
};
static_assert(sizeof(struct hv_message) == 256 && offsetof(struct hv_message, payload) == 16);

struct hv_timer_payload {
	u32 timer;
	u32 reserved;
	u64 expired;		/* 100 ns of the reference time */
	u64 delivered;
};
static_assert(sizeof(struct hv_timer_payload) == 24);

/* TLFS, Synthetic Timers: the configuration register. */
#define HV_STIMERS			4
#define HV_STIMER_ENABLE		BIT_ULL(0)
#define HV_STIMER_PERIODIC		BIT_ULL(1)
#define HV_STIMER_AUTO_ENABLE		BIT_ULL(3)
#define HV_STIMER_VECTOR		GENMASK_ULL(11, 4)
#define HV_STIMER_DIRECT		BIT_ULL(12)
#define HV_STIMER_SINT			GENMASK_ULL(19, 16)

/* TLFS, Reference TSC Page: time = TSC * @scale / 2^64 + @offset. @sequence 0: use the MSR. */
struct hv_tsc_page {
	u32 sequence;
	u32 reserved;
	u64 scale;
	s64 offset;
};
static_assert(sizeof(struct hv_tsc_page) == 24);

/* TLFS, Hypercall Interface: the input value and the result. */
#define HV_CALL_CODE			GENMASK_ULL(15, 0)
#define HV_CALL_FAST			BIT_ULL(16)
#define HV_CALL_VAR_HEADER		GENMASK_ULL(26, 17)
#define HV_CALL_REPS			GENMASK_ULL(43, 32)
#define HV_CALL_REP_START		GENMASK_ULL(59, 48)
#define HV_CALL_RESERVED		(GENMASK_ULL(31, 27) | GENMASK_ULL(47, 44) | GENMASK_ULL(63, 60))

#define HV_CALL_FLUSH_SPACE		0x0002
#define HV_CALL_FLUSH_LIST		0x0003
#define HV_CALL_LONG_SPIN		0x0008
#define HV_CALL_SEND_IPI		0x000b
#define HV_CALL_FLUSH_SPACE_EX		0x0013
#define HV_CALL_FLUSH_LIST_EX		0x0014
#define HV_CALL_SEND_IPI_EX		0x0015
#define HV_CALL_POST_MESSAGE		0x005c
#define HV_CALL_SIGNAL_EVENT		0x005d
#define HV_CALL_POST_DEBUG		0x0069
#define HV_CALL_RETRIEVE_DEBUG		0x006a
#define HV_CALL_RESET_DEBUG		0x006b
#define HV_CALL_EXT_FIRST		0x8001		/* HvExtCallQueryCapabilities */
#define HV_CALL_EXT_LAST		(HV_CALL_EXT_FIRST + 64)

#define HV_FLUSH_ALL_VPS		BIT_ULL(0)
#define HV_SET_SPARSE			0
#define HV_SET_ALL			1
#define HV_BANKS			64		/* of 64 virtual processors each */
#define HV_IPI_FIRST_VECTOR		0x10
#define HV_IPI_LAST_VECTOR		0xff

enum hv_status {
	HV_SUCCESS,
	HV_INVALID_CODE		= 2,
	HV_INVALID_INPUT	= 3,
	HV_INVALID_ALIGNMENT	= 4,
	HV_INVALID_PARAMETER	= 5,
	HV_ACCESS_DENIED	= 6,
	HV_OPERATION_DENIED	= 8,
	HV_INVALID_PORT		= 17,
};

#endif
