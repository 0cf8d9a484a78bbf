#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify what nestor run tells about a machine's end: its exit status for every way to end, one clear
# line for a bad option or file, a report on a guest that went astray, and the terminal's keys. The
# guests are some bytes of code each. The same on upstream KVM.
#
# nestor-test: cpu=amd kernel=6.1 cpus=2 module=nestor,kvm
# nestor-test: cpu=intel kernel=6.1 cpus=2 timeout=900
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
device=${NESTOR_DEVICE:-/dev/nestor}

# Real mode, at 0x7c00.
printf '\xba\x04\x06\xb8\x00\x20\xef\xf4' >poweroff	# mov dx,0x604; mov ax,0x2000; out dx,ax: S5
printf '\xba\xf9\x0c\xb0\x06\xee\xf4' >reset	# mov dx,0xcf9; mov al,6; out dx,al
printf '\xb0\xfe\xe6\x64\xf4' >i8042		# mov al,0xfe; out 0x64,al
printf '\x0f\x01\x1e\x00\x00\xcc' >triple	# lidt [0]; int3, with a limit of 0
printf '\xba\xf8\x03\xb0\x73\xee\xeb\xfe' >spin	# print 's': mov dx,0x3f8; mov al,'s'; out dx,al; jmp $
# Print 'r', then echo what is typed: wait for LSR.DR, in al,0x3f8; out.
printf '\xba\xf8\x03\xb0\x72\xee\xba\xfd\x03\xec\xa8\x01\x74\xfb\xba\xf8\x03\xec\xee\xeb\xf1' >echo
# 64-bit: mov edx,0x3f8; mov al,'L'; out dx,al; push rax; mov edx,0x604; mov ax,0x2000; out dx,ax
printf '\xba\xf8\x03\x00\x00\xb0\x4c\xee\x50\xba\x04\x06\x00\x00\x66\xb8\x00\x20\x66\xef\xf4' >long
# 64-bit: mov eax,0xd0000000; fxsave [rax]: an instruction that no emulator knows, on no device.
printf '\xb8\x00\x00\x00\xd0\x0f\xae\x00\xf4' >fxsave
# 64-bit: mov eax,0xd0000000; jmp rax
printf '\xb8\x00\x00\x00\xd0\xff\xe0' >fetch

run() { timeout 60 nestor run --device "$device" "$@" >out 2>err </dev/null; }
real() { run --flat "$1" --entry 0x7c00 --memory 16; }
long() { run --flat "$1" --entry 0x100000 --long --memory 16; }

# status WANTED WHAT: of the last command.
status()
{
	local got=$?

	[ $got = "$1" ] || { note out; note err; }
	check "$2: status $1 (it is $got)" [ $got = "$1" ]
}

said() { grep -qE -- "$1" err; }
silent() { [ ! -s err ]; }

real poweroff
status 0 "power-off"
check "power-off: nothing is said" silent
real reset
status 3 "reset register"
real i8042
status 3 "reset by the keyboard controller"
long long
status 0 "64-bit binary"
check "64-bit binary: its output" [ "$(cat out)" = L ]

real triple
status 1 "triple fault"
check "triple fault: is called so" said 'unexpected exit of vCPU 0'
case $device in
*nestor)
	# AMD CPUs leave nothing of the vCPU: there the module's log tells.
	check "triple fault: where" said '^rip 0*7c05 |shutdown \(triple fault\) at rip 0x7c05$'
	;;
esac
long fxsave
status 1 "an instruction that cannot be emulated"
check "cannot be emulated: the reason in words" said 'suberror 1: .*emulated'
check "cannot be emulated: registers" said '^rax 00000000d0000000 '
check "cannot be emulated: segments" said '^cs .* l 1 '
check "cannot be emulated: page tables" said '^  level 4 entry at '
check "cannot be emulated: code bytes" said '^code:.* <0f> ae 00 f4'
long fetch
status 1 "code where no memory is"
check "no memory: rip" said '^rip 00000000d0000000 '
check "no memory: said so" said 'outside of RAM'
case $device in
*nestor) check "what the module said" said '^  nestor: ' ;;
esac

# wait_for TEXT: until the guest has printed it. Time is dear while a guest spins on an emulated host.
wait_for()
{
	local i

	for ((i = 0; i < 300; i++)); do
		grep -qaF "$1" out && return
		sleep 0.1
	done
}

# ended SIGNAL STATUS
ended()
{
	: >out
	nestor run --device "$device" --flat spin --entry 0x7c00 --memory 16 >out 2>err </dev/null &
	local pid=$!
	wait_for s
	kill -"$1" $pid
	wait $pid
	status "$2" "SIG$1"
}
# A shell lets its background jobs ignore SIGINT and SIGQUIT, which programs then keep.
trap : INT QUIT
ended INT 130
ended TERM 143
ended HUP 129
ended QUIT 131
check "SIGQUIT: the state of the vCPU" said 'state of vCPU 0'
check "SIGQUIT: where it is" said '^code:.* <eb> fe'

# typed STATUS WHAT KEYS...: what the guest prints when that is typed on a terminal.
typed()
{
	local want=$1 what=$2
	shift 2
	: >out
	{
		wait_for r
		for key; do
			printf "$key"
			sleep 0.2
		done
		# A closed terminal would be an end, too.
		sleep 1
	} | timeout 30 script -qe -c "stty rows 24; nestor run --device $device --flat echo --entry 0x7c00 --memory 16" \
		/dev/null >out 2>err
	status "$want" "$what"
}
printed() { tr -d '\r\n' <out | grep -qaF "$(printf "$1")"; }

if command -v script >/dev/null; then
	typed 130 "Ctrl-A x" abc '\001x'
	check "what was typed came back" printed rabc
	typed 130 "Ctrl-A Ctrl-A, Ctrl-C" 'a\001\001b\003c' '\001x'
	check "as keys of the guest's" printed 'ra\001b\003c'
else
	skip "no script(1) for a terminal"
fi

# linux STATUS END: a Linux guest that ends so.
linux()
{
	timeout 200 nestor run --device "$device" --kernel /boot/vmlinuz-6.1 --initrd /boot/initrd-6.1 \
		--memory 256 --append "console=ttyS0 quiet panic=1 nestor.end=$2" >out 2>err </dev/null
	status "$1" "a Linux guest's $2"
}
# On upstream KVM Linux guests hung here at times, on an emulated AMD host with two CPUs: QEMU may
# deliver an interrupt twice that was injected by EVENTINJ (see module/svm/events.c).
if [ "${NESTOR_HOST_CPU:-amd}" = amd ] && [ "$device" != /dev/kvm ]; then
	linux 0 poweroff
	linux 3 reboot
	linux 3 panic
	check "its panic shows" grep -q 'Kernel panic' out
fi

# wrong WHAT PATTERN ARGUMENT...: one line, status 2.
wrong()
{
	local what=$1 pattern=$2
	shift 2
	timeout 30 nestor "$@" >out 2>err </dev/null
	status 2 "$what"
	check "$what: one line" [ "$(wc -l <err)" = 1 ]
	check "$what: which says '$pattern'" said "$pattern"
}

flat="--flat poweroff --entry 0x7c00"
touch empty
wrong "no kernel" 'kernel|flat' run
wrong "no such file" 'missing.*No such file' run --kernel missing
wrong "no such initrd" 'missing.*No such file' run --kernel /boot/vmlinuz-6.1 --initrd missing
wrong "no such disk" 'missing.*No such file' run $flat --disk missing
wrong "no such device" '/dev/missing.*No such file' run $flat --device /dev/missing
wrong "not a hypervisor" '/dev/null does not speak' run $flat --device /dev/null
wrong "no kernel image" 'empty' run --device "$device" --kernel empty
wrong "unknown option" 'frobnicate' run --frobnicate
wrong "unknown command" 'frobnicate' frobnicate
wrong "no number" 'cpus many' run $flat --cpus many
wrong "no CPUs" 'cpus 0' run $flat --cpus 0
wrong "too much memory" 'memory' run $flat --memory 99999999999
wrong "unknown page size" 'hugepages 3M' run $flat --hugepages 3M
wrong "uneven memory" 'multiple' run $flat --hugepages 1G --memory 1000
wrong "no entry" 'entry' run --flat poweroff
wrong "both kinds" 'kernel' run $flat --kernel /boot/vmlinuz-6.1
wrong "extra argument" 'extra' run $flat extra
wrong "entry beyond real mode" 'first MiB' run --device "$device" --flat poweroff --entry 0x200000
wrong "does not fit" 'does not fit' run --device "$device" --flat poweroff --entry 0x40000000 --long
wrong "trace into nothing" 'missing/trace' run --device "$device" $flat --trace missing/trace
tap_done
