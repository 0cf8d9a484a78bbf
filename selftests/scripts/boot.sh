#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Debian's kernels, as guests, reach user space, see all their CPUs, read and write a
# disk, reach the gateway of their network, and power off. On a host with two CPUs they have four
# vCPUs, on one with a single CPU it is one guest with one. The Intel host, whose emulator is slow,
# boots only the kernel that it does not run itself.
#
# Also with the host's page tables isolated, which AMD hosts do not do by themselves, and on upstream KVM.
#
# nestor-test: cpu=amd kernel=6.1,6.12,7.3 cpus=2 timeout=900
# nestor-test: cpu=amd kernel=6.1,7.3 cpus=1 append=pti=on
# nestor-test: cpu=amd kernel=6.1 cpus=1 module=kvm
# nestor-test: cpu=intel kernel=6.1,7.3 cpus=2 timeout=1200
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

vcpus=4 guests="6.1 7.3"
[ "$(nproc)" != 1 ] || vcpus=1 guests=6.1
case ${NESTOR_HOST_CPU:-amd}-${NESTOR_HOST_KERNEL:-} in
intel-6.1) guests=7.3 ;;
intel-*) guests=6.1 ;;
esac

said() { grep -qE "^guest: $1" "$log"; }
word() { sed -n "s/^guest: $1 \([0-9a-f]*\).*/\1/p" "$log" | tr -d '\r'; }
sum() { sha256sum <"$1" | cut -d' ' -f1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
disk=$work/disk log=$work/log

for guest in $guests; do
	head -c 8M /dev/urandom >"$disk"
	before=$(sum "$disk")
	timeout 400 nestor run --device "${NESTOR_DEVICE:-/dev/nestor}" --kernel "/boot/vmlinuz-$guest" --initrd "/boot/initrd-$guest" \
		--cpus $vcpus --memory 512 --disk "$disk" --net user \
		--append "console=ttyS0 quiet nestor.test=disk,net,rng,smp" >"$log" 2>&1 </dev/null
	status=$?
	sed -i 's/\r//g' "$log"
	sed 's/^/# /' "$log"
	check "$guest: status 0 after power-off" [ "$status" = 0 ]
	check "$guest: all vCPUs online" said "Linux $guest\..*, $vcpus CPUs, [0-9]+ MiB"
	check "$guest: reads what the disk holds" [ "$(word 'disk read')" = "$before" ]
	check "$guest: reads back what it wrote" said "disk ok"
	check "$guest: the disk file has it" [ "$(word 'disk now')" = "$(sum "$disk")" ]
	check "$guest: the gateway answers" said "net ok"
	check "$guest: random numbers" said "rng ok"
	check "$guest: every CPU runs" said "smp ok: $vcpus CPUs"
done
tap_done
