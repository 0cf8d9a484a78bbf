#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Linux in a guest, with a hypervisor of its own, boots Linux in a guest of its own (L2), and that both
# power off.
#
# usage: nested_boot.sh [--l1 kvm|nestor] [--vmm nestor|qemu] [--cpus N] [PARAMETER...]
#
# L1's hypervisor is its kernel's KVM or Nestor, with these parameters; its VMM is nestor or QEMU; L1 and L2 have N CPUs.
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
l1=kvm vmm=nestor cpus=1
while [[ ${1:-} == --* ]]; do
	case $1 in
	--l1 | --vmm | --cpus) printf -v "${1#--}" %s "$2" ;;
	*) echo "unknown option: $1" >&2; exit 2 ;;
	esac
	shift 2
done
case $l1 in
kvm) module=kvm-$vendor.ko node=/dev/kvm ;;
nestor) module=nestor.ko node=/dev/nestor ;;
*) echo "no such hypervisor: $l1" >&2; exit 2 ;;
esac
l2='--append "console=ttyS0 quiet"'
case $vmm in
nestor) l2="./nestor run --device $node --kernel vmlinuz --initrd initrd --memory 128 --cpus $cpus $l2" ;;
qemu)
	l2="./qemu-system-x86_64 -L . -accel kvm -cpu host -nodefaults -no-user-config -display none -serial stdio \
		-no-reboot -kernel vmlinuz -initrd initrd -m 128 -smp $cpus -append \"console=ttyS0 quiet\""
	;;
*) echo "no such VMM: $vmm" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# put_module NAME.ko FOLDER: L1's hypervisor; FOLDER/load loads what it needs.
put_module()
{
	local m to
	if [ "$1" = nestor.ko ]; then
		cp "${NESTOR_KO:-/mnt/build/nestor.ko}" "$2/nestor.ko"
		set -- irqbypass "$2"
	else
		set -- "${1%.ko}" "$2"
	fi
	modprobe --show-depends "$1" | sed -n 's/^insmod \([^ ]*\).*/\1/p' >"$work/modules"
	while read -r m; do
		to=$2/$(basename "${m%.xz}")
		case $m in
		*.xz) xz -dc "$m" >"$to" ;;
		*) cp "$m" "$to" ;;
		esac
		[ "$to" = "$2/$module" ] || echo "insmod ./$(basename "$to")" >>"$2/load"
	done <"$work/modules"
}

# What L1 needs: a hypervisor, a VMM with its libraries, a kernel and an initramfs for L2. It is a tar archive on a disk.
make_disk()
{
	local l2=$work/l2 program lib
	mkdir -p "$l2"
	: >"$l2/load"
	put_module "$module" "$l2"
	program=$(command -v nestor)
	if [ "$vmm" = qemu ]; then
		program=$(command -v qemu-system-x86_64)
		cp -L /usr/share/seabios/bios-256k.bin /usr/share/qemu/{linuxboot_dma,kvmvapic}.bin "$l2/"
	fi
	cp "$program" "$l2/"
	ldd "$program" | grep -o '/[^ ]*' | while read -r lib; do cp -L "$lib" "$l2/"; done
	cp "/boot/vmlinuz-$series" "$l2/vmlinuz"
	cp "/boot/initrd-$series" "$l2/initrd"
	tar -C "$l2" -cf "$work/disk" .
	rm -rf "$l2"
}

make_disk
log=$work/log
script="mkdir /l2; cd /l2; tar -xf /dev/vda || exit; . ./load; insmod ./$module $* || exit
	./ld-linux-x86-64.so.2 --library-path /l2 $l2 | sed 's/^/L2: /'"
timeout 900 nestor run --device "$device" --kernel "/boot/vmlinuz-$series" --initrd "/boot/initrd-$series" \
	--disk "$work/disk" --memory 768 --cpus "$cpus" --append \
	"console=ttyS0 quiet no-kvmapf nestor.run=$(base64 -w 0 <<<"$script")" 2>&1 </dev/null | tee "$log" | sed -u 's/^/# /'
status=${PIPESTATUS[0]}
sed -i 's/\r//g' "$log"
check "status 0 after L1's power-off" [ "$status" = 0 ]
check "L2 says what it is" grep -qE "^L2: guest: Linux $series.*, $cpus CPUs" "$log"
tap_done
