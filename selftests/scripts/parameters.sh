#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that module parameters with a wrong value keep the module from loading, and that right ones
# do not.
#
# nestor-test: cpu=amd kernel=6.1,7.3 cpus=1
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

module=/mnt/build/nestor.ko

# loads PARAMETER...: does the module load with them, and go again?
loads() { insmod "$module" "$@" 2>/dev/null && rmmod nestor; }
refused() { ! loads "$@"; }
logged() { dmesg | tail -n 5 | grep -qF -- "$1"; }

rmmod nestor || exit 1
check "no feature is experimental by default" loads
check "one is named" loads experimental=ept5
check "twice" loads experimental=ept5,ept5
check "an empty word" refused experimental=ept5,,ept5
check "a feature that there is not" refused experimental=ept5,warp
check "the log says which word it was" logged "'warp'"
check "part of a name is none" refused experimental=ept
check "accelerations that this CPU does not have" loads apic_accel=avic,ipi,tpr
check "the log says so" logged "APIC acceleration none"
check "none" loads apic_accel=none
check "one that there is not" refused apic_accel=avic,all
check "a node that is neither on nor off" refused kvm_node=perhaps
check "exits that a guest's idling keeps" loads mitigate_smt_rsb=1
insmod "$module"
tap_done
