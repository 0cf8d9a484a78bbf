#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Linux in a guest, with its own KVM, boots Linux in a guest of its own (L2), and that both power off.
#
# usage: nested_boot.sh [CPUS [PARAMETER...]]	CPUs of L1 and of L2 (1), parameters of L1's kvm-amd or kvm-intel
#
# nestor-test: cpu=amd,intel kernel=6.1 cpus=1 timeout=1800
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

device=${NESTOR_DEVICE:-/dev/nestor}
release=$(uname -r)
case $release in
6.1.*) series=6.1 ;;
6.12.*) series=6.12 ;;
*) series=7.3 ;;
esac
vendor=intel
grep -q AuthenticAMD /proc/cpuinfo && vendor=amd
cpus=${1:-1}
shift $(($# > 0))

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What L1 needs: KVM, a VMM with its libraries, a kernel and an initramfs for L2. It is a tar archive on a disk.
make_disk()
{
	local l2=$work/l2 m lib
	mkdir -p "$l2"
	modprobe --show-depends "kvm-$vendor" | sed -n 's/^insmod \([^ ]*\).*/\1/p' >"$work/modules"
	while read -r m; do
		lib=$l2/$(basename "${m%.xz}")
		case $m in
		*.xz) xz -dc "$m" >"$lib" ;;
		*) cp "$m" "$lib" ;;
		esac
		[ "$lib" = "$l2/kvm-$vendor.ko" ] || echo "insmod ./$(basename "$lib")" >>"$l2/load"
	done <"$work/modules"
	cp "$(command -v nestor)" "$l2/"
	ldd "$l2/nestor" | grep -o '/[^ ]*' | while read -r lib; do cp -L "$lib" "$l2/"; done
	cp "/boot/vmlinuz-$series" "$l2/vmlinuz"
	cp "/boot/initrd-$series" "$l2/initrd"
	tar -C "$l2" -cf "$work/disk" .
	rm -rf "$l2"
}

make_disk
log=$work/log
script="mkdir /l2; cd /l2; tar -xf /dev/vda || exit; . ./load; insmod ./kvm-$vendor.ko $* || exit
	./ld-linux-x86-64.so.2 --library-path /l2 ./nestor run --device /dev/kvm --kernel vmlinuz --initrd initrd \
	--memory 128 --cpus $cpus --append 'console=ttyS0 quiet' | sed 's/^/L2: /'"
timeout 900 nestor run --device "$device" --kernel "/boot/vmlinuz-$series" --initrd "/boot/initrd-$series" \
	--disk "$work/disk" --memory 512 --cpus "$cpus" --append \
	"console=ttyS0 quiet no-kvmapf nestor.run=$(base64 -w 0 <<<"$script")" 2>&1 </dev/null | tee "$log" | sed -u 's/^/# /'
status=${PIPESTATUS[0]}
sed -i 's/\r//g' "$log"
check "status 0 after L1's power-off" [ "$status" = 0 ]
check "L2 says what it is" grep -qE "^L2: guest: Linux $series.*, $cpus CPUs" "$log"
tap_done
