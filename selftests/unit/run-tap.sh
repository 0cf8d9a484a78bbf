#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run TAP programs one after the other, show their output, sum up. A program that
# dies, or runs fewer tests than it planned, counts as one more failure.

passed=0 failed=0 skipped=0
out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT

for program in "$@"; do
	echo "# ${program##*/}"
	"$program" >"$out" 2>&1
	status=$?
	cat "$out"
	set -- $(awk '
		/^ok .*# SKIP/ { s++; next }
		/^ok / { p++ }
		/^not ok / { f++ }
		/^1\.\./ { plan = substr($0, 4) + 0; planned = 1 }
		END { print p + 0, f + 0, s + 0, (!planned || p + f + s != plan) }' "$out")
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
	if [ "$4" -ne 0 ] || { [ "$status" -ne 0 ] && [ "$2" -eq 0 ]; }; then
		echo "not ok - ${program##*/} ended early, status $status"
		failed=$((failed + 1))
	fi
done
echo "# unit: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
