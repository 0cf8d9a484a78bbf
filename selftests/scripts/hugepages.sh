#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that a Linux guest on 1 GiB or 2 MiB pages of hugetlbfs, or on transparent huge pages, is
# mapped by leaves of that size.
#
# nestor-test: cpu=amd kernel=6.1,7.3 cpus=1 memory=4096
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# pool KIB NUMBER: how many pages hugetlbfs has then.
pool()
{
	local file=/sys/kernel/mm/hugepages/hugepages-$1kB/nr_hugepages

	echo "$2" >"$file" && cat "$file"
}

counter() { sed -n "s/^vm\.$1 //p" "$work/err"; }
leaves() { [ "$(counter "$1")" -ge "$2" ]; }

# guest MEMORY TEST OPTION...
guest()
{
	local memory=$1 test=$2
	shift 2
	timeout 120 nestor run --kernel /boot/vmlinuz-6.1 --initrd /boot/initrd-6.1 --memory "$memory" \
		--stats "$@" --append "console=ttyS0 quiet nestor.test=$test" \
		>"$work/out" 2>"$work/err" </dev/null
	status=$?
	note "$work/out"
	sed -n '/^vm\./s/^/# /p' "$work/err"
	check "$memory MiB $*: status 0" [ $status = 0 ]
	check "$memory MiB $*: $test" grep -q "guest: $test ok" "$work/out"
}

if [ "$(pool 1048576 1)" = 1 ]; then
	guest 1024 mem --hugepages 1G
	check "one leaf of 1 GiB" [ "$(counter pages_1g)" = 1 ]
	check "none of the guest's own of 4 KiB" [ "$(counter pages_4k)" -lt 64 ]
	pool 1048576 0 >/dev/null
else
	skip "the host has no free GiB in one piece"
fi
pool 2048 256 >/dev/null
guest 512 smp --hugepages 2M
check "leaves of 2 MiB, of hugetlbfs" leaves pages_2m 16
pool 2048 0 >/dev/null
guest 512 smp
check "leaves of 2 MiB, transparent" leaves pages_2m 16

nestor run --kernel /boot/vmlinuz-6.1 --memory 512 --hugepages 2M >"$work/out" 2>&1 </dev/null
status=$?
note "$work/out"
check "an empty pool: status 1" [ $status = 1 ]
check "and one line that names it" grep -q 'nr_hugepages' "$work/out"
tap_done
