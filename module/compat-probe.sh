#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Prints module/compat_config.h for a kernel: compat-probe.sh HEADERS...
# HEADERS are the kernel's source and build trees. Features are looked for in the headers rather
# than told from the version, because stable kernels carry large backports.
set -eu

# probe NAME FILE PATTERN: "#define HAVE_NAME 1" when PATTERN (ERE) occurs in FILE.
probe()
{
	for tree in $trees; do
		if [ -f "$tree/$2" ] && grep -qE "$3" "$tree/$2"; then
			echo "#define HAVE_$1 1"
			return
		fi
	done
}

trees=$*
echo "/* Made by module/compat-probe.sh. */"
probe RDMSRQ arch/x86/include/asm/msr.h '\<rdmsrq_safe\('
probe CPUID_API arch/x86/include/asm/cpuid/api.h '\<cpuid_eax\('
probe HRTIMER_SETUP include/linux/hrtimer.h '\<hrtimer_setup\('
probe SNAPSHOT_ID include/linux/timekeeping.h '\<ktime_get_snapshot_id\('
probe EVENTFD_SIGNAL_COUNT include/linux/eventfd.h '\<eventfd_signal\(struct eventfd_ctx \*ctx, __u64 n\)'
probe RUN_UNSAFE_NAMES include/uapi/linux/kvm.h 'HINT_UNSAFE_IN_KVM\(immediate_exit\)'
probe SYSCORE_STRUCT include/linux/syscore_ops.h '^struct syscore \{'
probe ENTRY_VIRT include/linux/entry-virt.h 'xfer_to_guest_mode_handle_work\(void\)'
probe ASSIGN_STR_ONE_ARG include/trace/stages/stage6_event_callback.h '^#define __assign_str\(dst\)'
probe FOLLOW_PFNMAP include/linux/mm.h '\<follow_pfnmap_start\('
probe PMD_SPECIAL include/linux/mm.h '\<pud_special\('
probe FOLL_INTERRUPTIBLE include/linux/mm_types.h '\<FOLL_INTERRUPTIBLE\>'
probe NOTIFIER_YOUNG_BOOL include/linux/mmu_notifier.h 'bool \(\*(clear_flush_young|test_young)\)'
probe VM_FLAGS_SET include/linux/mm.h '\<vm_flags_set\('
probe GUP_VMAS include/linux/mm.h 'struct vm_area_struct \*\*vmas'
probe RCU_VIRT_NOTE_CPU include/linux/rcutree.h 'rcu_virt_note_context_switch\(int cpu\)'
probe EMERGENCY_CALLBACK arch/x86/include/asm/reboot.h 'cpu_emergency_register_virt_callback'
probe CLASS_CREATE_OWNER include/linux/device/class.h 'class_create\(owner'
probe CPUHP_AP_KVM_STARTING include/linux/cpuhotplug.h '\<CPUHP_AP_KVM_STARTING\>'
