/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NESTOR_COMPARE_GUEST_H
#define NESTOR_COMPARE_GUEST_H

/* Where the guest hypervisor of suite nested on Intel has its things; guest code and host code share this. */
#define VMX_VMXON	0xa000
#define VMX_VMCS	0xb000
#define VMX_FLAGS	0xc000	/* RFLAGS behind a VMLAUNCH that failed, 0 behind an exit */
#define L2_CODE		0xd000
#define L2_STACK	0xe000
#define VMX_WRITES	0x10000	/* pairs of field and value, up to a field of ~0 */
#define VMX_READS	0x14000	/* the same; values are filled in */

#endif
