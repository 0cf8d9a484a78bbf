# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every part of the emulated hosts uses: messages, the cache of things made once, and
# commands run inside a root of its own.

HOSTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TREE=$(cd "$HOSTS/../.." && pwd)
CACHE=${NESTOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nestor}
BUILD=$TREE/build

# Exit status of the host itself failing, as opposed to the command that ran in it. They are
# the values of timeout(1) and of its 'the command could not be run'.
readonly EXIT_TIMEOUT=124 EXIT_HOST=125

say() { printf 'host: %s\n' "$*" >&2; }
die() { say "$*"; exit "$EXIT_HOST"; }
usage_error() { say "$*"; say "try 'host --help'"; exit 2; }

# become_root ARGS...: building roots, private mounts and device nodes need root.
become_root()
{
	[ "$(id -u)" = 0 ] && return
	command -v sudo >/dev/null || die "needs root: install sudo, or run as root"
	exec sudo NESTOR_CACHE="$CACHE" NESTOR_MIRROR="${NESTOR_MIRROR:-}" "$0" "$@"
}

# with_progress WHAT LOG COMMAND...: run COMMAND with its output in LOG. A terminal sees one
# line that follows the log; anything else sees a line a minute, so that a long build is not
# taken for a hang.
with_progress()
{
	local what=$1 log=$2 start=$SECONDS pid rc last line
	shift 2
	say "$what ..."
	( set -euo pipefail; "$@" ) >"$log" 2>&1 </dev/null &
	pid=$!
	last=$SECONDS
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		if [ -t 2 ]; then
			line=$(tail -n 1 "$log" 2>/dev/null | tr -d '\000-\037')
			printf '\r\033[K%4d s  %.90s' $((SECONDS - start)) "$line" >&2
		elif [ $((SECONDS - last)) -ge 60 ]; then
			say "$what: $((SECONDS - start)) s so far"
			last=$SECONDS
		fi
	done
	[ -t 2 ] && printf '\r\033[K' >&2
	rc=0
	wait "$pid" || rc=$?
	if [ "$rc" != 0 ]; then
		tail -n 40 "$log" >&2
		die "$what failed (status $rc); the whole log: $log"
	fi
	say "$what: done in $((SECONDS - start)) s"
}

# cached NAME WHAT RECIPE ARG...: set REPLY to the directory that RECIPE (a function, called
# with the directory to fill and ARG...) makes. The directory's name holds a hash of the
# recipe's text, its arguments and $RECIPE_INPUTS, so a changed recipe makes a new one. It is
# filled under another name and renamed when whole: an interrupted build leaves nothing that
# looks finished, and parallel callers wait for one of them to build.
cached()
{
	local name=$1 what=$2 recipe=$3 key dir tmp lock
	shift 3
	key=$({ declare -f "$recipe"; printf '%s\n' "$@" "${RECIPE_INPUTS:-}"; } |
		sha256sum | cut -c1-12)
	dir=$CACHE/$name-$key
	REPLY=$dir
	if [ -d "$dir" ]; then
		touch "$dir"
		return
	fi
	mkdir -p "$CACHE/log" "$CACHE/lock"
	exec {lock}>"$CACHE/lock/$name"
	if ! flock -n "$lock"; then
		say "waiting for another run that is $what"
		flock "$lock"
	fi
	if [ ! -d "$dir" ]; then
		rm -rf "$CACHE/tmp-$name".*
		tmp=$(mktemp -d "$CACHE/tmp-$name.XXXXXX") || die "cannot write to $CACHE"
		chmod 755 "$tmp"
		with_progress "$what" "$CACHE/log/$name.log" "$recipe" "$tmp" "$@"
		mv -T "$tmp" "$dir" || die "cannot rename $tmp"
		# Nobody has used these for a week.
		find "$CACHE" -maxdepth 1 -name "$name-????????????" -mtime +7 -exec rm -rf {} +
	fi
	exec {lock}>&-
	REPLY=$dir
}

# file_hash FILE...: one word that changes with any of the files.
file_hash() { cat "$@" | sha256sum | cut -c1-16; }

# in_root ROOT [SRC:DST[:ro]]... -- COMMAND...: run COMMAND in ROOT with SRC seen at DST. The
# mounts live in a private namespace, so parallel runs share one ROOT, and nothing is left to
# unmount. Whatever COMMAND starts dies with it (--kill-child), and it dies with the caller
# (--pdeathsig; hence exec, so that no shell stands between them).
in_root() { (exec_in_root "$@"); }

exec_in_root()
{
	exec setpriv --pdeathsig KILL \
		unshare --mount --pid --fork --kill-child --propagation private \
		bash -c '
			set -e
			root=$1; shift
			mount -t proc proc "$root/proc"
			mount --rbind /dev "$root/dev"
			mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
			while [ "$1" != -- ]; do
				IFS=: read -r src dst ro <<<"$1"
				[ -f "$src" ] || mkdir -p "$root$dst"
				mount --bind "$src" "$root$dst"
				[ -z "$ro" ] || mount -o remount,bind,ro "$root$dst"
				shift
			done
			shift
			export HOME=/root LC_ALL=C.UTF-8 TMPDIR=/tmp
			export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
			exec chroot "$root" "$@"
		' in_root "$@"
}

# need_commands COMMAND:PACKAGE...: install what the machine itself lacks.
need_commands()
{
	local pair missing=()
	for pair in "$@"; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
	done
	[ ${#missing[@]} = 0 ] && return
	mkdir -p "$CACHE/log"
	with_progress "installing ${missing[*]} on this machine" "$CACHE/log/apt.log" \
		apt_install "${missing[@]}"
}

apt_install()
{
	export DEBIAN_FRONTEND=noninteractive
	apt-get update
	apt-get install -y --no-install-recommends "$@"
}

# mirror: set REPLY to the Debian mirror that this machine itself uses. It is asked for once:
# it is part of what is cached, and apt takes a while to answer.
mirror()
{
	REPLY=${NESTOR_MIRROR:-$(cat "$CACHE/mirror" 2>/dev/null)}
	[ -z "$REPLY" ] || return 0
	REPLY=$(debian_uri)
	if [ -z "$REPLY" ]; then
		# A new machine may never have fetched its package lists.
		apt-get update >/dev/null 2>&1
		REPLY=$(debian_uri)
	fi
	[ -n "$REPLY" ] || die "no Debian mirror in apt's sources; set NESTOR_MIRROR"
	mkdir -p "$CACHE"
	echo "$REPLY" >"$CACHE/mirror"
}

debian_uri()
{
	apt-get indextargets --format '$(REPO_URI) $(SUITE)' 'Created-By: Packages' |
		awk '$1 ~ /\/debian\/?$/ && $2 !~ /security/ { print $1; exit }'
}
