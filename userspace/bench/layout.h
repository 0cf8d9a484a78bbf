/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_BENCH_LAYOUT_H
#define NESTOR_BENCH_LAYOUT_H

/* Where things are in the guest; guest code and host code share this. */
#define BENCH_PARAMS	0x10000	/* what the host tells the guest, see below */
#define BENCH_IDT	0x11000
#define BENCH_STACK	0x20000	/* top of vCPU 0's stack, vCPU 1's is one page below */
#define BENCH_TABLES	0x30000	/* vCPU 0's, the others' follow */
#define BENCH_VMCB	0x60000	/* of nested guests: the VMCB or VMCS, */
#define BENCH_HSAVE	0x61000	/* the host save area or VMXON region, */
#define BENCH_PERMISSIONS 0x62000 /* I/O and MSR permissions, */
#define BENCH_L2_CODE	0x68000
#define BENCH_L2_STACK	0x6a000
#define BENCH_VMWRITES	0x6b000	/* fields of the VMCS, */
#define BENCH_L1_SAVED	0x6c000	/* and what VMSAVE saves of L1 */
#define BENCH_CODE	0x100000
#define BENCH_SAMPLES	0x200000
#define BENCH_MEMORY	0x800000
#define BENCH_FRESH	0x40000000

#define PARAM_COUNT	(BENCH_PARAMS + 0)	/* samples to take */
#define PARAM_ADDRESS	(BENCH_PARAMS + 8)	/* first address to touch */
#define PARAM_STRIDE	(BENCH_PARAMS + 16)	/* from one to the next */
#define PARAM_READY	(BENCH_PARAMS + 24)	/* vCPU 1 is ready */
#define PARAM_EVENTS	(BENCH_PARAMS + 64)	/* interrupts taken; a line of its own */

#define BENCH_MAX_SAMPLES 4096

/* Ports that no in-kernel device claims: the end of a run, and the user-space exit. */
#define PORT_DONE	0xe0
#define PORT_USER	0xe1
/* Memory that nothing backs. */
#define MMIO_USER	0xd0000000

#define VECTOR_EVENT	0x40	/* counts itself */
#define VECTOR_ANSWER	0x41	/* answers with an IPI to vCPU 0 */

#endif
