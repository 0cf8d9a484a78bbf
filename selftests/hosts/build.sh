# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The module and the programs, built in the tools root from a copy of the checkout: builds for
# several kernels do not meet, and the checkout stays as it is.

# mirror_tree DIR PART...: bring those parts of the checkout up to date in DIR. Files are compared by
# content and get the time of the copy, so make rebuilds exactly what changed.
mirror_tree()
{
	local dir=$1
	shift
	in_root "$TOOLS" "$TREE:/nestor:ro" "$dir:/build" -- sh -c '
		cd /nestor && exec rsync -a --no-times --checksum --delete --relative \
			--exclude=*.o --exclude=*.ko --exclude=*.cmd --exclude=*.mod \
			--exclude=*.mod.c --exclude=*.d --exclude=*.a --exclude=*.s \
			--exclude=.module-common.c --exclude=Module.symvers \
			--exclude=modules.order --exclude=asm_offsets.h \
			--exclude=compat_config.h --exclude=/build --exclude=/.git \
			--exclude=/userspace/nestor --exclude=/userspace/obj --exclude=/stamp --exclude=/selftests/bin \
			$(for part; do [ ! -e "$part" ] || echo "$part"; done) /build/' sh "$@"
}

# tree_hash PART...: one word for the content of these parts of the checkout.
tree_hash()
{
	(cd "$TREE" && find "$@" -type f \( -name '*.[chS]' -o -name Makefile -o -name Kbuild \
		-o -name '*.sh' -o -name '*.mk' \) -print0 2>/dev/null | sort -z |
		xargs -0 sha256sum | sha256sum | cut -c1-16)
}

# in_kernel_tree DIR COMMAND...: run COMMAND in the tools root with DIR at /build and the
# headers of $KERNEL where they expect to be.
in_kernel_tree()
{
	local dir=$1 kbuild
	shift
	kbuild=$(cd "$KERNEL/lib" && echo linux-kbuild-*)
	mkdir -p "$CACHE/ccache"
	in_root "$TOOLS" "$dir:/build" "$KERNEL/src:/usr/src" "$CACHE/ccache:/ccache" \
		"$KERNEL/lib/$kbuild:/usr/lib/$kbuild" -- \
		env CCACHE_DIR=/ccache DEBIAN_KERNEL_USE_CCACHE=1 "$@"
}

# compile WHAT LOG COMMAND...: compiler output goes to the caller as it comes, with the names
# that the files have in the checkout.
compile()
{
	local what=$1 log=$2 rc
	shift 2
	say "$what ..."
	"$@" >"$log" 2>&1
	rc=$?
	grep -E -A 4 'warning:|error:|undefined|\*\*\* ' "$log" | sed 's|/build/||g' |
		head -n 100 >&2
	return $rc
}

# build_module SERIES [MAKE-ARG...]: set REPLY to nestor.ko for that kernel. It is compiled as lint_module() compiles it, so
# that ccache serves the second of them.
build_module()
{
	local series=$1 dir lock hash flavour=''
	shift
	need_kernel "$series"
	[ -z "${OPS:-}" ] || flavour=-ops
	[ -z "${PATCH:-}" ] || flavour=$flavour-$(basename "$PATCH" .patch)
	dir=$BUILD/module-$series$flavour
	mkdir -p "$dir"
	exec {lock}>"$dir.lock"
	flock "$lock"
	hash="$KVERSION $(tree_hash Kbuild module uapi) ${PATCH:+$(sha256sum <"$PATCH")} $*"
	if [ ! -f "$dir/nestor.ko" ] || [ "$(cat "$dir/stamp" 2>/dev/null)" != "$hash" ]; then
		rm -f "$dir/stamp"
		mirror_tree "$dir" Kbuild module uapi || die "cannot copy the module's source"
		[ -z "${PATCH:-}" ] || in_root "$TOOLS" "$dir:/build" -- patch -s -d /build -p1 <"$PATCH" ||
			die "$PATCH does not apply"
		compile "building nestor.ko for Linux $KVERSION" "$dir.log" \
			in_kernel_tree "$dir" make -s -k -C "/usr/src/linux-headers-$KVERSION" \
			M=/build -j "$(nproc)" W=1 ${OPS:+NESTOR_COUNT_OPS=1} "$@" modules ||
			die "nestor.ko does not build for Linux $KVERSION; the whole log: $dir.log"
		echo "$hash" >"$dir/stamp"
	fi
	exec {lock}>&-
	REPLY=$dir/nestor.ko
}

# build_foreign SERIES: set REPLY to the module of selftests/foreign for that kernel.
build_foreign()
{
	local series=$1 dir lock hash
	need_kernel "$series"
	dir=$BUILD/foreign-$series
	mkdir -p "$dir"
	exec {lock}>"$dir.lock"
	flock "$lock"
	hash="$KVERSION $(tree_hash selftests/foreign)"
	if [ "$(cat "$dir/stamp" 2>/dev/null)" != "$hash" ]; then
		mirror_tree "$dir" selftests/foreign || die "cannot copy the source of selftests/foreign"
		compile "building foreign.ko for Linux $KVERSION" "$dir.log" \
			in_kernel_tree "$dir" make -s -C "/usr/src/linux-headers-$KVERSION" \
			M=/build/selftests/foreign W=1 modules || die "foreign.ko does not build: $dir.log"
		echo "$hash" >"$dir/stamp"
	fi
	exec {lock}>&-
	REPLY=$dir/selftests/foreign/foreign.ko
}

# lint_module SERIES: fail when gcc with W=1 or sparse has anything to say about our files.
lint_module()
{
	local series=$1 dir lock hash
	need_kernel "$series"
	dir=$BUILD/lint-$series
	mkdir -p "$dir"
	exec {lock}>"$dir.lock"
	flock "$lock"
	hash="$KVERSION $(tree_hash Kbuild module uapi)"
	if [ "$(cat "$dir/stamp" 2>/dev/null)" != "$hash" ]; then
		rm -rf "$dir"
		mkdir "$dir"
		mirror_tree "$dir" Kbuild module uapi || die "cannot copy the module's source"
		# Two words of newer compilers that kernel headers use and Debian's sparse lacks.
		# KBUILD_CHECKSRC and not C: the header packages miss a script that C would run.
		cat >"$dir/sparse.h" <<-'END'
			#define __typeof_unqual__ __typeof__
			#define __builtin_strlen(s) (sizeof(s) - 1)
		END
		compile "checking nestor.ko for Linux $KVERSION with W=1 and sparse" "$dir.log" \
			in_kernel_tree "$dir" make -s -k -C "/usr/src/linux-headers-$KVERSION" \
			M=/build -j "$(nproc)" W=1 KBUILD_CHECKSRC=2 \
			CHECK="sparse -include /build/sparse.h" modules || die "it does not build: $dir.log"
		# The kernel's own headers are not ours to cure.
		if grep -E '(warning|error): ' "$dir.log" | grep -v '^/usr/src/' | grep -q .; then
			die "nestor.ko has warnings for Linux $KVERSION: $dir.log"
		fi
		echo "$hash" >"$dir/stamp"
	fi
	exec {lock}>&-
	say "no warnings for Linux $KVERSION"
}

# build_programs: the VMM and the selftests; set PROGRAMS to the tree that holds them.
build_programs()
{
	local lock hash
	PROGRAMS=$BUILD/programs
	mkdir -p "$PROGRAMS"
	exec {lock}>"$PROGRAMS.lock"
	flock "$lock"
	hash=$(tree_hash module uapi userspace selftests)
	if [ "$(cat "$PROGRAMS/stamp" 2>/dev/null)" != "$hash" ]; then
		mirror_tree "$PROGRAMS" module uapi userspace selftests ||
			die "cannot copy the programs' source"
		rm -f "$PROGRAMS/stamp"
		if build_part userspace && build_part selftests; then
			echo "$hash" >"$PROGRAMS/stamp"
		fi
	fi
	exec {lock}>&-
}

build_part()
{
	[ -f "$PROGRAMS/$1/Makefile" ] || return 0
	compile "building $1" "$PROGRAMS.$1.log" in_root "$TOOLS" "$PROGRAMS:/build" -- \
		make -s -k -C "/build/$1" -j "$(nproc)" && return
	say "$1 does not build whole; going on with what there is ($PROGRAMS.$1.log)"
	return 1
}
