#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that the host's CPUs can go offline and come back under running guests: a Linux guest with
# two busy vCPUs, driven from one CPU to the other, and small guests that start and end meanwhile. Beside
# upstream KVM the same on both at once.
#
# nestor-test: cpu=amd kernel=6.1,7.3 cpus=2
# nestor-test: cpu=amd kernel=6.1 module=both cpus=2 memory=3072
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

cpu=/sys/devices/system/cpu/cpu1/online
[ -w $cpu ] || skip_all "no CPU that can go offline"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
printf '\xba\x04\x06\xb8\x00\x20\xef\xf4' >poweroff	# mov dx,0x604; mov ax,0x2000; out dx,ax

# Both vCPUs add up numbers until the clock says that it is enough; the sums must agree.
cat >job <<'END'
sum() {
	i=0 s=0
	while [ $i -lt 20000 ]; do i=$((i + 1)); s=$((s + i * i)); done
	echo $s
}
want=$(sum)
work() {
	while [ ! -e /tmp/enough ]; do [ "$(sum)" = "$want" ] || echo bad >>/tmp/bad; done
}
echo "guest: works"
work & work &
sleep 20
touch /tmp/enough
wait
[ ! -e /tmp/bad ]
END

devices=("${NESTOR_DEVICE:-/dev/nestor}")
[ "${NESTOR_HOST_MODULE:-}" != both ] || devices+=(/dev/kvm)
guests=()
for device in "${devices[@]}"; do
	nestor run --device "$device" --kernel /boot/vmlinuz-6.1 --initrd /boot/initrd-6.1 --memory 256 --cpus 2 \
		--append "console=ttyS0 quiet nestor.test=smp nestor.run=$(base64 -w0 job)" \
		>"${device##*/}" 2>&1 </dev/null &
	guests+=($!)
done
for device in "${devices[@]}"; do
	for _ in $(seq 300); do
		grep -q 'guest: works' "${device##*/}" && break
		sleep 0.2
	done
	check "$device: the guest has started" grep -q 'guest: works' "${device##*/}"
done

# may_use CPUS: all the guests' threads.
may_use()
{
	local guest thread
	for guest in "${guests[@]}"; do
		for thread in "/proc/$guest"/task/*; do
			taskset -cp "$1" "${thread##*/}" >/dev/null 2>&1
		done
	done
}

# run_small CPUS: a guest of each.
small=0
run_small()
{
	local device
	for device in "${devices[@]}"; do
		timeout 20 taskset -c "$1" nestor run --device "$device" --flat poweroff --entry 0x7c00 --memory 16 \
			>/dev/null </dev/null && small=$((small + 1))
	done
}

changes=0 refused=0
while [ -n "$(jobs -rp)" ]; do
	# Everybody to the CPU that goes.
	may_use 1
	if echo 0 >$cpu; then changes=$((changes + 1)); else refused=$((refused + 1)); fi
	may_use 0,1
	run_small 0
	if echo 1 >$cpu; then changes=$((changes + 1)); else refused=$((refused + 1)); fi
	run_small 1
done
for i in "${!devices[@]}"; do
	device=${devices[i]} out=${devices[i]##*/}
	wait "${guests[i]}"
	status=$?
	note "$out"
	check "$device: status 0 (it is $status)" [ $status = 0 ]
	check "$device: its sums are right" grep -q 'guest: run status 0' "$out"
	check "$device: no vCPU's time is stuck" [ "$(grep -c 'soft lockup\|stall' "$out")" = 0 ]
done
check "the CPU went and came $changes times" [ $changes -ge $((10 / ${#devices[@]})) ]
check "it was not refused" [ $refused = 0 ]
check "small guests ran each time" [ $small = $((changes * ${#devices[@]})) ]
tap_done
