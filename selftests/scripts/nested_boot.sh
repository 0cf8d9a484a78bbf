#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Linux in a guest, with a hypervisor of its own, boots Linux in a guest of its own (L2), and that both
# power off.
#
# usage: nested_boot.sh [--l1 kvm|nestor] [--vmm nestor|qemu] [--cpus N] [--pages 4K|2M|1G] [--l3] [PARAMETER...]
#
# L1's hypervisor is its kernel's KVM or Nestor, with these parameters; its VMM is nestor or QEMU; L1 and L2 have N CPUs,
# and L1's memory pages of that size. With --l3 the same hypervisor in L2 runs the guests of nestor bench, each
# for a few operations.
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
l1=kvm vmm=nestor cpus=1 pages='' l3=''
while [[ ${1:-} == --* ]]; do
	case $1 in
	--l1 | --vmm | --cpus | --pages) printf -v "${1#--}" %s "$2"; shift ;;
	--l3) l3=y ;;
	*) echo "unknown option: $1" >&2; exit 2 ;;
	esac
	shift
done
case $l1 in
kvm) module=kvm-$vendor.ko node=/dev/kvm ;;
nestor) module=nestor.ko node=/dev/nestor ;;
*) echo "no such hypervisor: $l1" >&2; exit 2 ;;
esac

# reserve FOLDER N: that many pages of hugetlbfs, which may take the kernel more than one attempt.
reserve()
{
	for _ in 1 2 3; do
		echo "$2" >"/sys/kernel/mm/hugepages/$1/nr_hugepages"
		[ "$(cat "/sys/kernel/mm/hugepages/$1/nr_hugepages")" = "$2" ] && return
	done
	echo "no $2 pages of $1" >&2
	exit 1
}

backing=()
case $pages in
'') ;;
4K) echo never >/sys/kernel/mm/transparent_hugepage/enabled ;;
2M) reserve hugepages-2048kB 512; backing=(--hugepages 2M) ;;
1G) reserve hugepages-1048576kB 1; backing=(--hugepages 1G) ;;
*) echo "no such pages: $pages" >&2; exit 2 ;;
esac

# In L1 and in L2: unpack the disk and load the hypervisor.
load="mkdir /here; cd /here; tar -xf /dev/vda || exit; . ./load; insmod ./$module $* || exit"
run="./ld-linux-x86-64.so.2 --library-path /here"
append='console=ttyS0 quiet'
memory=128
if [ -n "$l3" ]; then
	append+=" nestor.run=$(base64 -w 0 <<<"$load; $run ./nestor bench --device $node --samples 4 --patience 300 | sed 's/^/L3: /'")"
	memory=320
fi
case $vmm in
nestor)
	l2="./nestor run --device $node --kernel vmlinuz --initrd initrd --disk /dev/vda --memory $memory --cpus $cpus \
		--append '$append'"
	;;
qemu)
	l2="./qemu-system-x86_64 -L . -accel kvm -cpu host -nodefaults -no-user-config -display none -serial stdio \
		-drive file=/dev/vda,format=raw,if=virtio -no-reboot -kernel vmlinuz -initrd initrd -m $memory -smp $cpus \
		-append '$append'"
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

# put_program NAME FOLDER: a program with its libraries.
put_program()
{
	local path lib
	path=$(command -v "$1")
	cp "$path" "$2/"
	ldd "$path" | grep -o '/[^ ]*' | while read -r lib; do cp -L "$lib" "$2/"; done
}

# What L1 needs: a hypervisor, a VMM with its libraries, a kernel and an initramfs for L2. It is a tar archive on a disk.
make_disk()
{
	local l2=$work/l2
	mkdir -p "$l2"
	: >"$l2/load"
	put_module "$module" "$l2"
	put_program nestor "$l2"
	if [ "$vmm" = qemu ]; then
		put_program qemu-system-x86_64 "$l2"
		cp -L /usr/share/seabios/bios-256k.bin /usr/share/qemu/{linuxboot_dma,kvmvapic}.bin "$l2/"
	fi
	cp "/boot/vmlinuz-$series" "$l2/vmlinuz"
	cp "/boot/initrd-$series" "$l2/initrd"
	tar -C "$l2" -cf "$work/disk" .
	rm -rf "$l2"
}

make_disk
log=$work/log
script="$load; $run $l2 | sed 's/^/L2: /'"
timeout 1500 nestor run --device "$device" --kernel "/boot/vmlinuz-$series" --initrd "/boot/initrd-$series" \
	--disk "$work/disk" --memory 1024 --cpus "$cpus" ${backing[@]+"${backing[@]}"} --append \
	"console=ttyS0 quiet no-kvmapf nestor.run=$(base64 -w 0 <<<"$script")" 2>&1 </dev/null | tee "$log" | sed -u 's/^/# /'
status=${PIPESTATUS[0]}
sed -i 's/\r//g' "$log"
check "status 0 after L1's power-off" [ "$status" = 0 ]
check "L2 says what it is" grep -qE "^L2: guest: Linux $series.*, $cpus CPUs" "$log"
if [ -n "$l3" ]; then
	for name in cpuid hypercall rdmsr wrmsr pio_kernel pio_user mmio_apic mmio_user ipi_halted timer \
		fault_4k faults_1 faults_2 faults_4 nested vm_create; do
		check "L3: $name" grep -qE "^L2: L3: $name +[0-9]+ +[0-9]+ " "$log"
	done
fi
tap_done
