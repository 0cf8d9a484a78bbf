# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The outer half of selftests/batch: a list of tests is run in as few boots of a host as it takes.

# run_batch DIR PREPARE HOST-ARG...: run the tests that DIR/tests lists (NAME SECONDS [ARG...] a line; see
# selftests/batch) in a host booted with HOST-ARG..., after the shell command PREPARE. A test that
# takes the host down or hangs it has failed, and the ones after it run in a new host. DIR/share is
# what the host sees; what it leaves there may be an old copy of everything. BATCH_HOST is the
# host's process, for who gives up.
#
# For every test the caller's 'test_ended STATUS SECONDS NAME' is called; STATUS is that of
# selftests/batch, or 'down', 'hung' or, when no host could be booted, 'none'. What the test had
# to say is in DIR/excerpt then.
run_batch()
{
	local dir=$1 prepare=$2 list=$1/tests boots=0 current fd line rest status seconds name wait
	shift 2
	while [ -s "$list" ] && [ $boots -lt 8 ]; do
		boots=$((boots + 1))
		current='' status=down
		# A boot, and what is built for it. A second of the host can last several of ours.
		wait=900
		: >"$dir/excerpt"
		cp "$list" "$dir/share/tests"
		exec {fd}< <(exec "$HOSTS/host" run "$@" --share "$dir/share" --console "$dir/console" \
			--timeout "$(awk '{ s += $2 * 4 } END { print s + 900 }' "$list")" --warn-ok -- \
			bash -c "$prepare; exec bash /mnt/nestor/selftests/batch" 2>"$dir/host.log")
		BATCH_HOST=$!
		while IFS= read -r -t "$wait" -u "$fd" line; rest=$?; [ $rest = 0 ]; do
			line=${line%$'\r'}
			case $line in
			'@ begin '*)
				current=${line#@ begin }
				wait=$(awk -v name="$current" '$1 == name { print $2 * 4 + 60; exit }' "$list")
				: >"$dir/excerpt"
				;;
			'@ '*)
				read -r _ status seconds name <<<"$line"
				test_ended "$status" "$seconds" "$name"
				drop "$list" "$name"
				current='' status=down
				;;
			*) echo "$line" >>"$dir/excerpt" ;;
			esac
		done
		# read(1) says with a status above 128 that the time was up.
		if [ $rest -gt 128 ]; then
			status=hung
			kill -TERM "$BATCH_HOST" 2>/dev/null
		fi
		exec {fd}<&-
		wait "$BATCH_HOST" 2>/dev/null
		BATCH_HOST=''
		[ -s "$list" ] || break
		name=${current:-$(head -n 1 "$list" | cut -d' ' -f1)}
		tail -n 60 "$dir/host.log" >>"$dir/excerpt"
		test_ended $status - "$name"
		drop "$list" "$name"
		[ -n "$current" ] || [ $boots -lt 2 ] || break
	done
	: >"$dir/excerpt"
	while read -r name _; do
		test_ended none - "$name"
	done <"$list"
}

# drop FILE NAME: take a test off the list.
drop()
{
	awk -v name="$2" '$1 != name' "$1" >"$1.new"
	mv "$1.new" "$1"
}

# reason STATUS: in words.
reason()
{
	case $1 in
	124 | 137) echo "took too long" ;;
	250) echo "the kernel complained" ;;
	251) echo "a check failed" ;;
	down) echo "the host went down" ;;
	hung) echo "the host hung" ;;
	none) echo "did not run: the host kept going down" ;;
	*) echo "status $1" ;;
	esac
}
