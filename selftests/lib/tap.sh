# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What a test script prints, as tap.h for programs.

tap_checks=0 tap_failures=0
echo "TAP version 13"

# check WHAT COMMAND...: one check, by COMMAND's status.
check()
{
	local what=$1
	shift
	tap_checks=$((tap_checks + 1))
	if "$@"; then
		echo "ok $tap_checks $what"
	else
		echo "not ok $tap_checks $what"
		tap_failures=$((tap_failures + 1))
	fi
}

# skip WHAT: a check that cannot be made here.
skip()
{
	tap_checks=$((tap_checks + 1))
	echo "ok $tap_checks # SKIP $*"
}

# skip_all WHY: nothing can be checked here.
skip_all()
{
	echo "1..0 # SKIP $*"
	exit 4
}

# note FILE: for the reader.
note() { sed 's/\r//g; s/^/# /' "$1"; }

tap_done()
{
	echo "1..$tap_checks"
	[ $tap_failures = 0 ] || echo "# $tap_failures of $tap_checks failed"
	exit $((tap_failures != 0))
}
