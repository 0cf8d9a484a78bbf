#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that trace-cmd shows the tracepoints while a Linux guest boots, each of them, in words; that
# nestor run --trace writes the same to a file; and that tracing is off again afterwards.
#
# nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

command -v trace-cmd >/dev/null || skip_all "no trace-cmd"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

guest()
{
	timeout 200 "$@" nestor run --kernel /boot/vmlinuz-6.1 --initrd /boot/initrd-6.1 \
		--memory 256 --cpus 2 "${options[@]}" --append "console=ttyS0 quiet" >out 2>&1 </dev/null
}

# check_words FILE: what every trace of a booting Linux has.
check_words()
{
	local event

	for event in enter exit fault inject msr pio mmio cpuid apic; do
		check "$1: $event appears" grep -qE "(^|[ :])(nestor:)?$event: " "$1"
	done
	case $NESTOR_HOST_CPU in
	intel) reasons="CPUID IO_INSTRUCTION MSR_WRITE HLT EPT_VIOLATION" ;;
	*) reasons="cpuid io msr hlt npf" ;;
	esac
	for event in $reasons; do
		check "$1: exit reason $event" grep -qE "exit: .*reason $event " "$1"
	done
	check "$1: every exit reason is a word" bad 'exit: .*reason (unknown|[0-9])'
	check "$1: faults have sizes and results" grep -qE 'fault: .*leaf (4K|2M|1G): fixed' "$1"
	check "$1: injections have kinds" grep -qE 'inject: .* interrupt 0x' "$1"
	check "$1: MSRs are read and written" grep -qE 'msr: .* wrmsr 0x' "$1"
	check "$1: nothing failed to be formatted" bad 'FAILED TO PARSE|bad op|ERROR'
}

# bad PATTERN: nothing in the file matches.
bad()
{
	grep -m 5 -E "$1" "$file" | sed 's/^/# /'
	! grep -qE "$1" "$file"
}

options=()
guest trace-cmd record -q -b 20000 -e nestor -o trace.dat
status=$?
note out | tail -n 5
check "trace-cmd record: status 0" [ $status = 0 ]
trace-cmd report -q trace.dat >report 2>report.err
head -n 3 report | sed 's/^/# /'
file=report
check_words report
rm -f report trace.dat

options=(--trace saved)
guest env
status=$?
check "nestor run --trace: status 0" [ $status = 0 ]
head -n 3 saved | sed 's/^/# /'
file=saved
check_words saved
check "no instance is left in tracefs" [ -z "$(ls /sys/kernel/tracing/instances)" ]
check "tracing is off again" [ "$(cat /sys/kernel/tracing/events/nestor/enable)" = 0 ]
tap_done
