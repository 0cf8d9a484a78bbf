#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that a guest of Nestor and one of upstream KVM boot Linux in a guest of their own (L2) at the same time:
# nested_boot.sh on each.
#
# usage: coexist_nested.sh [OPTION of nested_boot.sh...]
#
# nestor-test: cpu=amd kernel=6.1 module=both cpus=2 memory=3072 timeout=900
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

devices=(/dev/nestor /dev/kvm) pid=()
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for i in "${!devices[@]}"; do
	NESTOR_DEVICE=${devices[i]} bash "$(dirname "$0")/nested_boot.sh" "$@" >"$work/$i" 2>&1 &
	pid[i]=$!
done
for i in "${!devices[@]}"; do
	wait "${pid[i]}"
	status=$?
	note "$work/$i"
	check "${devices[i]}: L2 boots, and L1 and L2 power off" [ $status = 0 ]
done
tap_done
