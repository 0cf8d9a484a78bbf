#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that a Linux guest goes on when its host has slept, which resets the CPUs, that
# its clock is right then, and that new guests start. Beside upstream KVM the same on both at once.
#
# nestor-test: cpu=amd kernel=6.1,7.3 cpus=2 trees=disk timeout=400
# nestor-test: cpu=amd kernel=6.1 module=both cpus=2 memory=3072 trees=disk timeout=600
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

command -v rtcwake >/dev/null || skip_all "no rtcwake"
grep -q deep /sys/power/mem_sleep || skip_all "no suspend to RAM"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
printf '\xba\x04\x06\xb8\x00\x20\xef\xf4' >poweroff	# mov dx,0x604; mov ax,0x2000; out dx,ax

SLEEP=8
# One vCPU is busy, the other mostly halted.
cat >job <<'END'
taskset 2 sh -c 'while [ ! -e /tmp/enough ]; do :; done' &
i=0
while [ $i -lt 30 ]; do
	echo "guest: clock $(date +%s)"
	sleep 1
	i=$((i + 1))
done
touch /tmp/enough
wait
END
devices=("${NESTOR_DEVICE:-/dev/nestor}")
[ "${NESTOR_HOST_MODULE:-}" != both ] || devices+=(/dev/kvm)
guests=() outs=()
for device in "${devices[@]}"; do
	out=${device##*/}
	nestor run --device "$device" --kernel /boot/vmlinuz-6.1 --initrd /boot/initrd-6.1 --memory 256 --cpus 2 \
		--append "console=ttyS0 quiet nestor.run=$(base64 -w0 job)" >"$out" 2>&1 </dev/null &
	guests+=($!) outs+=("$out")
done

# ticks OUT
ticks() { grep -c 'guest: clock' "$1"; }

# next_tick OUT: wait for the guest to tell its time; set late to what it is behind the host's.
next_tick()
{
	local before _
	before=$(ticks "$1")
	for _ in $(seq 100); do
		[ "$(ticks "$1")" = "$before" ] || break
		sleep 0.3
	done
	late=$(($(date +%s) - $(grep 'guest: clock' "$1" | tail -n 1 | tr -dc '0-9')))
	[ "$(ticks "$1")" != "$before" ]
}

declare -A offset
for out in "${outs[@]}"; do
	for _ in $(seq 300); do
		[ "$(ticks "$out")" = 0 ] || break
		sleep 0.5
	done
	check "$out: the guest runs" [ "$(ticks "$out")" != 0 ]
	check "$out: the guest runs on" next_tick "$out"
	offset[$out]=$late
done
# Not s2idle: the emulator's clock does not wake its CPUs from that.
for state in mem mem; do
	before=$(date +%s)
	rtcwake -m $state -s $SLEEP >rtcwake 2>&1
	status=$?
	slept=$(($(date +%s) - before))
	note rtcwake
	check "$state: rtcwake ended well" [ $status = 0 ]
	check "$state: the host slept ($slept s)" [ $slept -ge $((SLEEP - 1)) ]
	for out in "${outs[@]}"; do
		check "$state: $out: the guest goes on" next_tick "$out"
		next_tick "$out"
		check "$state: $out: its clock is $((late - ${offset[$out]})) s late" [ ${late#-} -le $((${offset[$out]#-} + 2)) ]
		timeout 20 nestor run --device "/dev/$out" --flat poweroff --entry 0x7c00 --memory 16 </dev/null
		check "$state: $out: a new guest runs" [ $? = 0 ]
	done
done
for i in "${!outs[@]}"; do
	out=${outs[i]}
	wait "${guests[i]}"
	status=$?
	note "$out"
	check "$out: status 0 (it is $status)" [ $status = 0 ]
	check "$out: the guest's work ended well" grep -q 'guest: run status 0' "$out"
	check "$out: it saw no lockup" [ "$(grep -cE 'soft lockup|stall|Oops|clocksource: .*unstable' "$out")" = 0 ]
done
tap_done
