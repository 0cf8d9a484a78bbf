# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian guests in unmodified QEMU, for test scripts on a host that was booted with --vmms. The guest's
# first serial port and QEMU's monitor (QMP) are FIFOs; one guest at a time is driven.
#
# The work folder is in /dev/shm: the root of the old QEMU sees it there, too.

work=$(mktemp -d /dev/shm/qemu.XXXXXX)
mkfifo "$work/never"
exec {never}<>"$work/never"
trap 'qemu_kill; rm -rf "$work"' EXIT

# Everything here takes as long as it takes on a busy machine; what has not come by then never will.
: "${patience:=600}"

# nap SECONDS: without a process for it.
nap() { read -r -t "$1" -u "$never"; return 0; }

# soon COMMAND...: wait until it succeeds, or fail.
soon()
{
	local end=$((SECONDS + patience))
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		nap 0.5
	done
}

# guest_disk FILE: a disk of Debian's that remembers what was changed on it, and snapshots.
guest_disk() { qemu-img create -q -f qcow2 -F raw -b /mnt/vmms/debian.img "$1"; }

# qemu_command VERSION DEVICE ARG...: QEMU 10.0 of the host, or 7.2 of Debian 12. DEVICE takes the
# place of /dev/kvm, which is the only one that every QEMU looks for.
qemu_command()
{
	exec unshare --mount --propagation private bash -c '
		version=$1 device=$2 root=/mnt/vmms/bookworm
		shift 2
		[ "$device" = /dev/kvm ] || mount --bind "$device" /dev/kvm || exit
		[ "$version" = 7.2 ] || exec qemu-system-x86_64 "$@"
		mount --rbind /dev $root/dev && mount -t proc proc $root/proc && mount -t tmpfs tmpfs $root/tmp &&
			mount --bind /mnt/vmms $root/mnt/vmms && exec chroot $root qemu-system-x86_64 "$@"
	' qemu "$@"
}

# qemu_start VERSION DEVICE ARG...: in the background; $serial is what the guest writes.
qemu_start()
{
	local version=$1 device=$2
	shift 2
	rm -f "$work"/{serial,mon}.{in,out}
	mkfifo "$work"/{serial,mon}.{in,out}
	serial=$work/serial mark=0
	: >"$serial"
	exec {serial_in}<>"$work/serial.in" {serial_out}<>"$work/serial.out"
	exec {mon_in}<>"$work/mon.in" {mon_out}<>"$work/mon.out"
	cat <&"$serial_out" >>"$serial" &
	reader=$!
	(qemu_command "$version" "$device" -nodefaults -no-user-config -display none \
		-chardev pipe,id=serial,path="$work/serial" -serial chardev:serial \
		-chardev pipe,id=mon,path="$work/mon" -mon chardev=mon,mode=control "$@") \
		>"$work/qemu.log" 2>&1 </dev/null &
	qemu=$!
	qmp '{"execute": "qmp_capabilities"}' || { note "$work/qemu.log"; return 1; }
}

# qemu_end SECONDS: wait until QEMU has ended by itself, and say its status: 124 when it does not.
qemu_end()
{
	local end=$((SECONDS + $1)) status
	while kill -0 "$qemu" 2>/dev/null; do
		if [ $SECONDS -ge $end ]; then
			qemu_kill
			return 124
		fi
		nap 0.5
	done
	wait "$qemu"
	status=$?
	qemu_kill
	return $status
}

qemu_kill()
{
	[ -n "${qemu:-}" ] || return 0
	kill -KILL "$qemu" "$reader" 2>/dev/null
	wait "$qemu" "$reader" 2>/dev/null
	qemu=''
	exec {serial_in}>&- {serial_out}>&- {mon_in}>&- {mon_out}>&-
}

# qmp JSON: one command of QEMU's monitor; $answer is what it says. Fails for an error.
qmp()
{
	local end=$((SECONDS + patience)) line part
	echo "$1" >&"$mon_in"
	line=''
	while kill -0 "$qemu" 2>/dev/null && [ $SECONDS -lt $end ]; do
		IFS= read -r -t 1 -u "$mon_out" part
		[ $? -le 128 ] || { line+=$part; continue; }
		answer=$line${part%$'\r'} line=''
		case $answer in
		'{"return"'*) return 0 ;;
		'{"error"'*) return 1 ;;
		esac
	done
	answer='no answer'
	return 1
}

# monitor COMMAND: as a user types it. Those that are used here have nothing to say when they work.
monitor()
{
	qmp "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"$1\"}}"
	[ "$answer" = '{"return": ""}' ] || { echo "# $1: $answer"; return 1; }
}

# explain: what there is to know about a guest that did not do what it should: what was said last, and, twice, where
# its CPUs are.
explain()
{
	echo "# last: ${output:-} ${answer:-}"
	note "$serial" | tail -n 40
	note "$work/qemu.log"
	for _ in 1 2; do
		patience=60 qmp '{"execute": "human-monitor-command", "arguments": {"command-line": "info registers -a"}}'
		echo "${answer//'\r\n'/$'\n'}" | sed -n 's/^\({"return": "\)\?\(CPU#\|RAX\|EAX\|RSP\|R12\|RIP\|EIP\|CS \|CR0\)/# \2/p'
		nap 1
	done
}

# wait_for PATTERN [SECONDS]: in what the guest wrote after the last thing that was waited for. Sets
# $before to what came before it, and $captured to the pattern's first group.
wait_for()
{
	local end=$((SECONDS + ${2:-$patience})) text
	while :; do
		text=$(tr -d '\r\000' <"$serial")
		text=${text:mark}
		if [[ $text =~ $1 ]]; then
			captured=${BASH_REMATCH[1]:-} before=${text%%"${BASH_REMATCH[0]}"*}
			mark=$((mark + ${#before} + ${#BASH_REMATCH[0]}))
			return 0
		fi
		kill -0 "$qemu" 2>/dev/null && [ $SECONDS -lt $end ] || return 1
		nap 0.5
	done
}

type_line() { printf '%s\n' "$1" >&"$serial_in"; }

# log_in: at the prompt. Then the guest's shell neither echoes, nor prompts, nor edits lines; it says so
# when it is about to read.
log_in()
{
	wait_for 'guest login: ' && type_line root && wait_for 'root@guest' || return 1
	type_line "stty -echo; dmesg -n 1; PROMPT_COMMAND='unset PROMPT_COMMAND; echo ready=\$((6 * 7))' PS1= PS2= exec bash --norc --noediting"
	wait_for 'ready=42'
}

# guest COMMAND: run it in the guest's shell. Its status, or 255; $output is what it wrote.
guest()
{
	output=''
	type_line "{ $1; } 2>&1; echo \"<\$?>\""
	wait_for '<([0-9]+)>' || return 255
	output=${before%$'\n'} output=${output#$'\n'}
	return "$captured"
}
