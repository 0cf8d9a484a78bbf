#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Linux guests of Nestor and of upstream KVM, two of each at once, keep their memory: each writes files of 2 MiB,
# which it sums again and again.
#
# usage: coexist_linux.sh [SECONDS [KERNEL]]	for so long, by the guest's clock (20); the guests' Linux (6.1)
#
# nestor-test: cpu=amd kernel=6.1 module=both cpus=2 memory=3072 timeout=900
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

seconds=${1:-20} kernel=${2:-6.1}
devices=(/dev/nestor /dev/kvm /dev/nestor /dev/kvm)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# Each guest has numbers of its own, so that a page of another's is a wrong one.
cat >job <<'END_JOB'
sum() { sha256sum | cut -d' ' -f1; }
seq $first $((first + 400000)) | head -c 2097152 >/tmp/0
want=$(sum </tmp/0) rounds=0 wrong=0
echo "guest: sum $want"
read -r now _ </proc/uptime
end=$((${now%.*} + seconds))
while [ ${now%.*} -lt $end ]; do
	for n in 1 2 3 4; do
		cat /tmp/$((n - 1)) >/tmp/$n
	done
	for n in 4 3 2 1; do
		[ "$(sum </tmp/$n)" = $want ] || wrong=$((wrong + 1))
	done
	rounds=$((rounds + 1))
	read -r now _ </proc/uptime
done
echo "guest: $rounds rounds, $wrong wrong"
END_JOB

for n in 0 1 2 3; do
	first=$((1000000 + n * 100000))
	seq $first $((first + 400000)) | head -c 2097152 | sha256sum | cut -d' ' -f1 >want.$n
	nestor run --device ${devices[n]} --kernel "/boot/vmlinuz-$kernel" --initrd "/boot/initrd-$kernel" --memory 256 \
		--append "console=ttyS0 quiet nestor.run=$({ echo "seconds=$seconds first=$first"; cat job; } | base64 -w0)" \
		>log.$n 2>&1 </dev/null &
	pid[n]=$!
done
for n in 0 1 2 3; do
	wait "${pid[n]}"
	status=$?
	sed -i 's/\r//g' log.$n
	note log.$n
	what="guest $((n / 2 + 1)) of ${devices[n]}"
	check "$what: status 0 (it is $status)" [ $status = 0 ]
	check "$what: its work ended well" grep -q 'guest: run status 0' log.$n
	check "$what: the sum is the host's" grep -q "guest: sum $(cat want.$n)" log.$n
	check "$what: $(sed -n 's/^guest: \(.* wrong\)$/\1/p' log.$n)" grep -qE '^guest: [1-9][0-9]* rounds, 0 wrong' log.$n
	check "$what: its kernel has nothing to complain of" \
		[ "$(grep -cE 'BUG|Oops|cut here|stall|lockup' log.$n)" = 0 ]
done
tap_done
