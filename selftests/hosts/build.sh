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

# up_to_date DIR HASH COMMAND...: run COMMAND, which builds in DIR from what HASH stands for, unless it did so before; one
# at a time. When it fails the next one tries again.
up_to_date()
{
	local dir=$1 hash=$2 lock
	shift 2
	mkdir -p "$dir"
	exec {lock}>"$dir.lock"
	flock "$lock"
	if [ "$(cat "$dir/stamp" 2>/dev/null)" != "$hash" ]; then
		rm -f "$dir/stamp"
		"$@" && echo "$hash" >"$dir/stamp"
	fi
	exec {lock}>&-
}

# make_module DIR FOLDER MAKE-ARG...: make the modules of a folder of DIR for the kernel at hand, with W=1.
make_module()
{
	local dir=$1 folder=$2
	shift 2
	in_kernel_tree "$dir" make -s -k -C "/usr/src/linux-headers-$KVERSION" "M=/build$folder" -j "$(nproc)" W=1 "$@" modules
}

# build_module SERIES [MAKE-ARG...]: set REPLY to nestor.ko for that kernel. It is compiled as lint_module() compiles it, so
# that ccache serves the second of them.
build_module()
{
	local series=$1 dir flavour=''
	shift
	need_kernel "$series"
	[ -z "${OPS:-}" ] || flavour=-ops
	[ -z "${PATCH:-}" ] || flavour=$flavour-$(basename "$PATCH" .patch)
	dir=$BUILD/module-$series$flavour
	[ -f "$dir/nestor.ko" ] || rm -f "$dir/stamp"
	up_to_date "$dir" "$KVERSION $(tree_hash Kbuild module uapi) ${PATCH:+$(sha256sum <"$PATCH")} $*" \
		compile_module "$dir" "$@"
	REPLY=$dir/nestor.ko
}

compile_module()
{
	local dir=$1
	shift
	mirror_tree "$dir" Kbuild module uapi || die "cannot copy the module's source"
	[ -z "${PATCH:-}" ] || in_root "$TOOLS" "$dir:/build" -- patch -s -d /build -p1 <"$PATCH" ||
		die "$PATCH does not apply"
	compile "building nestor.ko for Linux $KVERSION" "$dir.log" \
		make_module "$dir" '' ${OPS:+NESTOR_COUNT_OPS=1} "$@" ||
		die "nestor.ko does not build for Linux $KVERSION; the whole log: $dir.log"
}

# build_foreign SERIES: set REPLY to the module of selftests/foreign for that kernel.
build_foreign()
{
	local dir
	need_kernel "$1"
	dir=$BUILD/foreign-$1
	up_to_date "$dir" "$KVERSION $(tree_hash selftests/foreign)" compile_foreign "$dir"
	REPLY=$dir/selftests/foreign/foreign.ko
}

compile_foreign()
{
	mirror_tree "$1" selftests/foreign || die "cannot copy the source of selftests/foreign"
	compile "building foreign.ko for Linux $KVERSION" "$1.log" \
		make_module "$1" /selftests/foreign || die "foreign.ko does not build: $1.log"
}

# lint_module SERIES: fail when gcc with W=1 or sparse has anything to say about our files.
lint_module()
{
	local dir
	need_kernel "$1"
	dir=$BUILD/lint-$1
	up_to_date "$dir" "$KVERSION $(tree_hash Kbuild module uapi)" compile_lint "$dir"
	say "no warnings for Linux $KVERSION"
}

compile_lint()
{
	local dir=$1
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
		make_module "$dir" '' KBUILD_CHECKSRC=2 CHECK="sparse -include /build/sparse.h" ||
		die "it does not build: $dir.log"
	# The kernel's own headers are not ours to cure.
	if grep -E '(warning|error): ' "$dir.log" | grep -v '^/usr/src/' | grep -q .; then
		die "nestor.ko has warnings for Linux $KVERSION: $dir.log"
	fi
}

# build_programs: the VMM and the selftests; set PROGRAMS to the tree that holds them.
build_programs()
{
	PROGRAMS=$BUILD/programs
	up_to_date "$PROGRAMS" "$(tree_hash module uapi userspace selftests)" compile_programs
}

compile_programs()
{
	mirror_tree "$PROGRAMS" module uapi userspace selftests ||
		die "cannot copy the programs' source"
	build_part userspace && build_part selftests
}

build_part()
{
	[ -f "$PROGRAMS/$1/Makefile" ] || return 0
	compile "building $1" "$PROGRAMS.$1.log" in_root "$TOOLS" "$PROGRAMS:/build" -- \
		make -s -k -C "/build/$1" -j "$(nproc)" && return
	say "$1 does not build whole; going on with what there is ($PROGRAMS.$1.log)"
	return 1
}
