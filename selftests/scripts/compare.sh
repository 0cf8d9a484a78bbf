#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Verify that Nestor and upstream KVM do the same: some cases of every suite of nestor compare. With arguments, those
# of nestor compare instead.
#
# nestor-test: cpu=amd kernel=6.1 module=both cpus=2 memory=3072 timeout=900
set -u

# shellcheck source=SCRIPTDIR/../lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ $# -gt 0 ]; then
	nestor compare "$@"
	exit
fi
for suite in abi cpu emulate irq mmu nested; do
	count=25
	[ $suite != nested ] || count=100
	nestor compare --suite $suite --count $count --jobs 2 >"$work/out" 2>&1
	status=$?
	[ $status = 0 ] || note "$work/out"
	check "$suite: no difference that is not meant" [ $status = 0 ]
	check "$suite: cases were compared" grep -q "^$suite: $count cases" "$work/out"
done
nestor compare --suite mmu --case 3 --json >"$work/out"
check "one case, in JSON" python3 -c "
import json, sys
r = json.load(open(sys.argv[1]))
sys.exit(r['suites'][0]['name'] != 'mmu' or r['suites'][0]['cases'] != 1)" "$work/out"
nestor compare --a /dev/nestor --b /dev/null >"$work/out" 2>&1
check "not a hypervisor" [ $? = 2 ]
nestor compare --suite frobnicate >"$work/out" 2>&1
check "no such suite" [ $? = 2 ]
nestor compare --deliberate >"$work/table"
sed -n '/^| what | Nestor | upstream | why |/,/^$/p' README.md | grep '^|' >"$work/readme"
check "README.md has the table of the differences that are meant" cmp "$work/table" "$work/readme"

# The live view, and costs compared.
printf '\xba\xf8\x03\xb0\x73\xee\xeb\xfc' >"$work/spin"	# mov dx,0x3f8; mov al,'s'; out dx,al; jmp to it
spinners=()
for name in nestor kvm; do
	nestor run --device /dev/$name --flat "$work/spin" --entry 0x7c00 --memory 16 >/dev/null 2>&1 </dev/null &
	spinners+=($!)
done
sleep 3
nestor top --once --json >"$work/out"
check "both VMs show, with exits, time in the guest and leaves" python3 -c "
import json, sys
vms = {vm['hypervisor']: vm for vm in json.load(open(sys.argv[1]))}
ok = set(vms) == {'nestor', 'kvm'}
ok = ok and all(vm['exits'] > 0 and vm['reasons'] and len(vm['vcpus']) == 1 for vm in vms.values())
ok = ok and all(sum(vm['mib'].values()) > 0 and vm['vcpus'][0]['thread'] > 0 for vm in vms.values())
sys.exit(not ok)" "$work/out"
nestor top --json >"$work/out" 2>&1
check "JSON wants --once" [ $? = 2 ]
TERM=linux timeout 60 script -qec "stty rows 24 cols 120; nestor top" /dev/null >"$work/screen" < <(sleep 3; printf sv; sleep 2; printf fq) 2>&1
check "the screen ends by a key" [ $? = 0 ]
check "and shows both" eval "grep -qa nestor '$work/screen' && grep -qa kvm '$work/screen'"
kill "${spinners[@]}"
wait "${spinners[@]}"
nestor bench --against /dev/kvm --html "$work/page.html" --json cpuid nested >"$work/out"
check "costs compared, in JSON" python3 -c "
import json, sys
results = json.load(open(sys.argv[1]))['results']
sys.exit([r['name'] for r in results] != ['cpuid', 'nested'] or
         not all(0 < r['low'] <= r['ratio'] <= r['high'] for r in results))" "$work/out"
check "and on a page" grep -q 'class="bar' "$work/page.html"
nestor bench --html "$work/page.html" >"$work/out" 2>&1
check "a page wants --against" [ $? = 2 ]
tap_done
