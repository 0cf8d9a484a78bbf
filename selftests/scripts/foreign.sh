#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Nestor works beside a module that has taken root mode by itself, whichever came first, and leaves it what it
# took: selftests/foreign.
#
# nestor-test: cpu=amd,intel kernel=6.1,7.3 cpus=2
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

foreign=/mnt/build/foreign.ko nestor=${NESTOR_KO:-/mnt/build/nestor.ko}
work=$(mktemp -d)
# Who runs next finds Nestor as it was.
trap 'rm -rf "$work"; rmmod foreign 2>/dev/null; lsmod | grep -q "^nestor " || insmod "$nestor"' EXIT

intact() { [ "$(cat /sys/module/foreign/parameters/intact)" = Y ]; }

# A guest on each CPU, with a word of its own: mov dx,0x3f8; mov al,'G'; out dx,al; mov al,0xfe; out 0x64,al
printf '\xba\xf8\x03\xb0G\xee\xb0\xfe\xe6\x64' >"$work/guest"
runs()
{
	local cpu
	for cpu in $(seq 0 $(($(nproc) - 1))); do
		taskset -c "$cpu" nestor run --device "$1" --flat "$work/guest" --entry 0x7c00 --memory 16 >"$work/out" 2>&1 </dev/null
		[ $? = 3 ] && grep -q G "$work/out" || { note "$work/out"; return 1; }
	done
}

rmmod nestor
check "the foreign module has root mode" insmod $foreign
check "on every CPU" intact
check "Nestor loads beside it" insmod $nestor
check "and runs guests on every CPU" runs /dev/nestor
check "nothing of the other's has changed" intact
check "Nestor goes" rmmod nestor
check "the other stays" intact
check "and goes" rmmod foreign
check "Nestor loads first" insmod $nestor
check "a guest runs" runs /dev/nestor
check "the foreign module takes root mode then" insmod $foreign
check "guests run" runs /dev/nestor
check "nothing of the other's has changed" intact
check "the foreign module goes first" rmmod foreign
check "guests run on" runs /dev/nestor
check "Nestor goes" rmmod nestor
tap_done
