#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Nestor and upstream KVM load, run and unload beside each other in any order, under running guests of the
# other one as well, and that two Linux guests on each at once compute what they should. With an argument the Linux
# guests go on for that many seconds.
#
# nestor-test: cpu=amd kernel=6.1 module=both cpus=2 memory=3072 timeout=900
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

seconds=${1:-10}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
vendor=kvm_amd nested=nested_svm
grep -qw svm /proc/cpuinfo || vendor=kvm_intel nested=nested_vmx
# Bochs wants more of posted-interrupt descriptors than the SDM does: upstream goes without.
vendor_params=
[ $vendor = kvm_amd ] || vendor_params=enable_apicv=0
complaints=$(dmesg | grep -cE 'WARNING|BUG|Oops')

printf '\xba\x04\x06\xb8\x00\x20\xef\xf4' >poweroff	# mov dx,0x604; mov ax,0x2000; out dx,ax
printf '\xba\xf8\x03\xb0\x73\xee\xeb\xfe' >spin	# print 's': mov dx,0x3f8; mov al,'s'; out dx,al; jmp $

load()
{
	case $1 in
	kvm) modprobe $vendor $vendor_params ;;
	nestor) insmod /mnt/build/nestor.ko kvm_node=off ;;
	esac
}

unload()
{
	case $1 in
	kvm) rmmod $vendor kvm ;;
	nestor) rmmod nestor ;;
	esac
}

guest() { timeout 60 nestor run --device "/dev/$1" --flat poweroff --entry 0x7c00 --memory 16 >/dev/null 2>&1 </dev/null; }

other() { if [ "$1" = kvm ]; then echo nestor; else echo kvm; fi; }

# spinning NAME: a guest that runs; its process is $spinner.
spinning()
{
	local i

	nestor run --device "/dev/$1" --flat spin --entry 0x7c00 --memory 16 >spun 2>&1 </dev/null &
	spinner=$!
	for ((i = 0; i < 300; i++)); do
		grep -qa s spun && return
		sleep 0.1
	done
	return 1
}

stop() { kill -TERM $spinner; wait $spinner; [ $? = 143 ]; }

unload nestor
unload kvm
for first in kvm nestor; do
	second=$(other $first)
	for gone in $first $second; do
		stays=$(other $gone)
		order="$first, $second loaded; $gone unloaded"
		check "$order: $first loads alone" load $first
		check "$order: a guest of $first" guest $first
		check "$order: a guest of $first runs on" spinning $first
		check "$order: $second loads under it" load $second
		check "$order: a guest of $second beside it" guest $second
		check "$order: $first is not unloaded under it" eval "! unload $first 2>/dev/null"
		check "$order: it ends as it is told" stop
		check "$order: a guest of $stays runs on" spinning $stays
		check "$order: $gone goes under it" unload $gone
		check "$order: it ends as it is told" stop
		check "$order: another guest of $stays" guest $stays
		check "$order: $gone comes back" load $gone
		check "$order: and runs a guest" guest $gone
		check "$order: $stays goes" unload $stays
		check "$order: a guest of $gone alone" guest $gone
		check "$order: $gone goes" unload $gone
	done
done
load kvm
load nestor

# Guest hypervisors on both.
NESTOR_DEVICE=/dev/kvm $nested >nested.kvm 2>&1 &
kvm_nested=$!
NESTOR_DEVICE=/dev/nestor $nested >nested.nestor 2>&1
check "nested guests of nestor" [ $? = 0 ]
# What upstream fails there alone it may fail here; the host must not suffer.
wait $kvm_nested
check "nested guests of kvm beside them end" grep -q '^1\.\.' nested.kvm

# Linux guests: the sum of the same bytes over and over, by two busy processes.
cat >job <<END
seq 1 300000 | head -c 1500000 >/tmp/bytes
want=\$(sha256sum </tmp/bytes)
check() {
	cp /tmp/bytes /tmp/bytes.\$1
	while [ ! -e /tmp/enough ]; do
		cp /tmp/bytes.\$1 /tmp/copy.\$1
		[ "\$(sha256sum </tmp/copy.\$1)" = "\$want" ] || echo bad >>/tmp/bad
		echo >>/tmp/passes
		mv /tmp/copy.\$1 /tmp/bytes.\$1
	done
}
check 1 & check 2 &
sleep $seconds
touch /tmp/enough
wait
echo "guest: \$(wc -l </tmp/passes) passes"
[ ! -e /tmp/bad ]
END
pids=()
for n in 1 2; do
	for name in nestor kvm; do
		timeout $((seconds * 10 + 600)) nestor run --device /dev/$name --kernel /boot/vmlinuz-6.1 \
			--initrd /boot/initrd-6.1 --memory 192 --cpus 1 \
			--append "console=ttyS0 quiet nestor.run=$(base64 -w0 job)" >linux.$name.$n 2>&1 </dev/null &
		pids+=($!)
	done
done
for pid in "${pids[@]}"; do wait "$pid"; done
for n in 1 2; do
	for name in nestor kvm; do
		check "Linux guest $n of $name: $(grep -ao 'guest: .* passes' linux.$name.$n)" \
			grep -qa 'guest: run status 0' linux.$name.$n
		grep -qa 'guest: run status 0' linux.$name.$n || { tail -n 5 linux.$name.$n >last; note last; }
	done
done
check "nothing in the kernel log" [ "$(dmesg | grep -cE 'WARNING|BUG|Oops')" = "$complaints" ]
tap_done
