#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Linux in a guest, with its own KVM, boots Linux in a guest of its own (L2), and that both power off.
#
# nestor-test: cpu=intel kernel=6.1 cpus=1 timeout=1800
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

device=${NESTOR_DEVICE:-/dev/nestor}
release=$(uname -r)
modules=/lib/modules/$release/kernel
case $release in
6.1.*) series=6.1 ;;
6.12.*) series=6.12 ;;
*) series=7.3 ;;
esac
vendor=intel
grep -q AuthenticAMD /proc/cpuinfo && vendor=amd

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What L1 needs: KVM, a VMM with its libraries, a kernel and an initramfs for L2. It is a tar archive on a disk.
make_disk()
{
	local l2=$work/l2 m lib
	mkdir -p "$l2"
	for m in irqbypass kvm "kvm-$vendor"; do
		lib=$(find "$modules" -name "$m.ko*" | head -n 1)
		case $lib in
		'') ;;
		*.xz) xz -dc "$lib" >"$l2/$m.ko" ;;
		*) cp "$lib" "$l2/$m.ko" ;;
		esac
	done
	cp "$(command -v nestor)" "$l2/"
	ldd "$l2/nestor" | grep -o '/[^ ]*' | while read -r lib; do cp -L "$lib" "$l2/"; done
	cp "/boot/vmlinuz-$series" "$l2/vmlinuz"
	cp "/boot/initrd-$series" "$l2/initrd"
	tar -C "$l2" -cf "$work/disk" .
	rm -rf "$l2"
}

# boot NAME PARAMETERS: L1 with these for its KVM
boot()
{
	local name=$1 log=$work/$1.log script
	shift
	script="mkdir /l2; cd /l2; tar -xf /dev/vda || exit; insmod ./irqbypass.ko; insmod ./kvm.ko && insmod ./kvm-$vendor.ko $*
		./ld-linux-x86-64.so.2 --library-path /l2 ./nestor run --device /dev/kvm --kernel vmlinuz --initrd initrd \
		--memory 128 --append 'console=ttyS0 quiet' | sed 's/^/L2: /'"
	timeout 900 nestor run --device "$device" --kernel "/boot/vmlinuz-$series" --initrd "/boot/initrd-$series" \
		--disk "$work/disk" --memory 512 --append \
		"console=ttyS0 quiet no-kvmapf nestor.run=$(base64 -w 0 <<<"$script")" 2>&1 </dev/null | tee "$log" | sed 's/^/# /'
	status=${PIPESTATUS[0]}
	sed -i 's/\r//g' "$log"
	check "$name: status 0 after L1's power-off" [ "$status" = 0 ]
	check "$name: L2 says what it is" grep -qE "^L2: guest: Linux $series" "$log"
}

make_disk
boot plain
tap_done
