#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Nestor and upstream KVM come, run guests and go in any order, under each other's guests: neither changes a
# guest of the other's, neither goes while it has a guest, and who cannot come says why.
#
# nestor-test: cpu=amd kernel=6.1 module=both cpus=2 memory=3072
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

nestor=${NESTOR_KO:-/mnt/build/nestor.ko}
vendor=intel
grep -q AuthenticAMD /proc/cpuinfo && vendor=amd
declare -A module=([nestor]=nestor [kvm]=kvm_$vendor) device=([nestor]=/dev/nestor [kvm]=/dev/kvm) pid=()

work=$(mktemp -d)
# Who runs next finds both.
restore()
{
	[ ${#pid[@]} = 0 ] || kill "${pid[@]}"
	wait
	here nestor && rmmod nestor
	here kvm || modprobe kvm-$vendor
	insmod "$nestor" kvm_node=off
	rm -rf "$work"
}
trap restore EXIT
cd "$work" || exit 1

here() { grep -q "^${module[$1]} " /proc/modules; }

come()
{
	case $1 in
	nestor) insmod "$nestor" kvm_node="${2:-off}" ;;
	kvm) modprobe kvm-$vendor ;;
	esac 2>err
}

go() { rmmod "${module[$1]}"; }

# kept HYPERVISOR: delete_module(2) gives EAGAIN, whose number is perl's exit status, and nothing has gone.
kept()
{
	perl -e 'exit(syscall(176, $ARGV[0], 2048) == 0 ? 0 : $!)' "${module[$1]}"
	[ $? = 11 ] && here "$1"
}

# mov dx,0x3f8; mov al,'G'; out dx,al; mov al,0xfe; out 0x64,al
printf '\xba\xf8\x03\xb0G\xee\xb0\xfe\xe6\x64' >small

# small HYPERVISOR [DEVICE]: a guest on each CPU, with a word of its own.
small()
{
	local cpu
	for cpu in $(seq 0 $(($(nproc) - 1))); do
		taskset -c "$cpu" nestor run --device "${2:-${device[$1]}}" --flat small --entry 0x7c00 --memory 16 \
			>out 2>&1 </dev/null
		[ $? = 3 ] && grep -q G out || { note out; return 1; }
	done
}

# For ever: BX + n to the first word of each page from 64 to 576 KiB, read all of it back; '.' for 256 times, '!' for a wrong
# word.
#
#	xor bx,bx
# 1:	mov ax,0x1000
# 2:	mov es,ax; mov cx,ax; xor cx,bx; mov es:[0],cx; add ax,0x100; cmp ax,0x9000; jb 2b
#	mov ax,0x1000
# 3:	mov es,ax; mov cx,ax; xor cx,bx; cmp es:[0],cx; mov al,'!'; jne 4f
#	mov ax,es; add ax,0x100; cmp ax,0x9000; jb 3b
#	inc bx; test bl,bl; jne 1b
#	mov al,'.'
# 4:	mov dx,0x3f8; out dx,al; jmp 1b
printf '%b' '\x31\xdb\xb8\x00\x10\x8e\xc0\x89\xc1\x31\xd9\x26\x89\x0e\x00\x00\x05\x00\x01\x3d\x00\x90\x72\xed\xb8\x00\x10' \
	'\x8e\xc0\x89\xc1\x31\xd9\x26\x39\x0e\x00\x00\xb0\x21\x75\x11\x8c\xc0\x05\x00\x01\x3d\x00\x90\x72\xe7\x43\x84\xdb' \
	'\x75\xc9\xb0\x2e\xba\xf8\x03\xee\xeb\xc1' >live

# start HYPERVISOR [DEVICE]: a guest that lives until stop().
start()
{
	nestor run --device "${2:-${device[$1]}}" --flat live --entry 0x7c00 --memory 16 >"$1.out" 2>"$1.err" </dev/null &
	pid[$1]=$!
}

stop()
{
	kill "${pid[$1]}"
	wait "${pid[$1]}"
	unset "pid[$1]"
}

# lives HYPERVISOR: its guest gets on, and has never found a wrong word.
lives()
{
	local before _
	before=$(stat -c %s "$1.out")
	for _ in $(seq 1000); do
		[ "$(stat -c %s "$1.out")" -lt $((before + 3)) ] || break
		sleep 0.01
	done
	[ "$(stat -c %s "$1.out")" -ge $((before + 3)) ] && ! grep -q '!' "$1.out" && return
	note "$1.err"
	return 1
}

other() { [ "$1" = kvm ] && echo nestor || echo kvm; }

# order FIRST GOES: FIRST comes before the other; GOES goes, comes again and goes under the other's guest.
order()
{
	local first=$1 second goes=$2 stays h
	second=$(other "$first") stays=$(other "$goes")
	check "$first comes first" come "$first"
	check "runs guests" small "$first"
	start "$first"
	check "and one that lives on" lives "$first"
	check "$second comes" come "$second"
	check "runs guests" small "$second"
	start "$second"
	for h in $second $first; do
		check "the guest of $h lives" lives $h
	done
	for h in nestor kvm; do
		check "$h does not go while it has a guest" kept $h
		check "which lives on" lives $h
	done
	stop "$goes"
	check "$goes goes" go "$goes"
	check "the guest of $stays lives" lives "$stays"
	check "$stays runs more" small "$stays"
	check "$goes comes again" come "$goes"
	check "runs guests" small "$goes"
	check "the guest of $stays lives" lives "$stays"
	check "$goes goes again" go "$goes"
	stop "$stays"
	check "$stays goes" go "$stays"
}

echo "<4>coexist_orders begins" >/dev/kmsg
go nestor
go kvm
for first in kvm nestor; do
	for goes in kvm nestor; do
		order $first $goes
	done
done

check "Nestor comes first and has /dev/kvm" come nestor auto
check "runs guests" small nestor /dev/kvm
start nestor /dev/kvm
check "and one that lives on" lives nestor
come kvm
check "kvm is refused" [ $? != 0 ]
check "with EBUSY" grep -q 'Device or resource busy' err
check "the guest of nestor lives" lives nestor
stop nestor
check "Nestor goes" go nestor
check "kvm comes" come kvm
check "runs guests" small kvm
come nestor on
check "Nestor with kvm_node=on is refused" [ $? != 0 ]
check "with EBUSY" grep -q 'Device or resource busy' err
dmesg >log
check "and says what to do" [ "$(grep -c 'nestor: /dev/kvm is held by somebody else .*: unload it, or use kvm_node=auto' log)" = 1 ]
check "with kvm_node=auto it comes" come nestor auto
check "runs guests" small nestor
check "so does kvm" small kvm
check "Nestor goes" go nestor
check "kvm goes" go kvm

# Except for the two refusals, and what 6.12's KVM forgets in debugfs when it is refused.
dmesg --level=emerg,alert,crit,err,warn | sed '1,/coexist_orders begins/d' |
	grep -vE "misc device register failed|/dev/kvm is held|debugfs: Directory 'kvm'" >log
note log
check "the kernel has nothing to complain of" [ ! -s log ]
tap_done
