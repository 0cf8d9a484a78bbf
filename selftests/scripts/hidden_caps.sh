#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that QEMU finds what it needs, capability by capability: with one hidden it refuses to start or does without, as
# it does on upstream KVM. The guest is a ROM of some bytes that ends QEMU with a status of its own, so that status is
# the proof of a first KVM_RUN. From version 8 on QEMU needs all that Linux 4.5 has.
#
# nestor-test: cpu=amd kernel=6.1 cpus=2 module=nestor,kvm timeout=900
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

shim=$(dirname "$(command -v events)")/kvm_hide.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# 64 KiB, run from its last 16 bytes: mov al,0x31; out 0xf4,al; hlt
head -c 65520 /dev/zero >rom
printf '\xb0\x31\xe6\xf4\xf4' >>rom
truncate -s 65536 rom
RAN=$((0x31 << 1 | 1))

# qemu CAPS [OPTION]...: its exit status.
qemu()
{
	local caps=$1
	shift
	KVM_HIDE_CAPS=$caps KVM_HIDE_LOG=$work/hidden LD_PRELOAD=$shim timeout 200 qemu-system-x86_64 \
		-accel kvm -machine pc -cpu host -m 16 -nodefaults -display none -no-reboot -bios rom \
		-device isa-debug-exit,iobase=0xf4,iosize=4 "$@" >out 2>&1 </dev/null
}

runs() { qemu "$@"; [ $? = $RAN ] || { note out; false; }; }
refuses()
{
	local status
	qemu "$1"
	status=$?
	[ $status != 0 ] && [ $status != $RAN ] && [ $status != 124 ] && [ -s out ]
}

needed="0 3 4 7 14 21 25 30 31" later="32 33 35 36 37 39 40 41 50 51 55 77 122"
optional="9 10 15 16 23 26 56 61 66 72 76 81 82 117 118 121 128 136 153 162 164 168 188 189 195 200 203 208 209 218 231 234"
version=$(qemu-system-x86_64 --version | sed -n 's/.* version \([0-9]*\).*/\1/p')
[ "$version" -lt 8 ] || needed="$needed $later"

check "QEMU $version runs with nothing hidden" runs ""
for cap in $needed; do
	: >hidden
	check "without capability $cap it refuses" refuses $cap
	check "... having asked for it" grep -qx "checked $cap" hidden
done
for cap in $optional; do
	check "without capability $cap it does without" runs $cap
done
check "without many of these at once it still does" runs \
	"9 10 15 16 23 26 56 61 66 72 76 81 82 117 118 128 153 162 164 168 188 195 200 203 208 209 218"
check "a split irqchip" runs "" -machine pc,kernel-irqchip=split
tap_done
