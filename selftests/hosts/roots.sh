# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The things that are made once and cached: the root that builds and emulates (tools), the
# root that the emulated host runs (hostroot), a folder per kernel, a disk for guests of other
# VMMs (vmms), and the emulators (qemu, bochs).

# Compilers for the three kernels (6.1's headers want gcc-12), what the emulators are built from and
# run on, what makes disk images, and the libraries of the VMM. Every build happens in this root, so
# that it fits the library versions of the host's root, whatever the machine runs.
TOOLS_PACKAGES="gcc gcc-14 gcc-12 g++ ccache make libc6-dev pkgconf sparse pahole bc bison flex python3-minimal
	libelf-dev libslirp-dev libjansson-dev libncurses-dev zlib1g-dev libssl-dev
	kmod cpio zstd xz-utils rsync squashfs-tools e2fsprogs xorriso isolinux
	patch syslinux-common busybox-static qemu-system-x86 seabios ovmf bochsbios vgabios
	mandoc uuid-dev syslinux mtools dosfstools fdisk systemd-boot-efi
	ninja-build meson python3-venv python3-pycotap libglib2.0-dev libattr1-dev libcap-ng-dev libfdt-dev"

HOST_PACKAGES="kmod procps iproute2 iputils-ping qemu-system-x86 seabios ovmf
	libslirp0 libjansson4 libncurses6 libelf1t64 zlib1g trace-cmd strace kexec-tools
	stress-ng mount util-linux util-linux-extra e2fsprogs numactl python3-minimal
	qemu-utils gdb-minimal libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients"

# Modules that the host loads before it has a root, and all that it may want later.
BOOT_MODULES="virtio_pci virtio_blk ata_piix ata_generic sd_mod sr_mod isofs loop squashfs
	overlay 9pnet_virtio 9p ext4"
HOST_MODULES="$BOOT_MODULES kvm kvm-amd kvm-intel irqbypass virtio_net virtio_console
	virtio-rng virtio_balloon virtio_scsi virtiofs e1000 tun tap vhost vhost_net vhost_vsock
	vsock vmw_vsock_virtio_transport bridge veth dummy msr cpuid brd zram fuse nbd dm-mod
	vfio vfio-pci vfio_iommu_type1 mce-inject vfat nls_ascii nls_cp437 edac_mce_amd
	crc32c-intel crct10dif-pclmul ghash-clmulni-intel aesni-intel hwpoison-inject netconsole
	binfmt_misc failover net_failover"

# What a guest can meet: virtio, and the disk and network card of QEMU's pc.
GUEST_MODULES="virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio-rng
	virtio_balloon virtio_scsi sd_mod ata_piix e1000 rtc-cmos ext4 9pnet_virtio 9p"

SLIM="--dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/man/*
	--dpkgopt=path-exclude=/usr/share/locale/* --dpkgopt=path-exclude=/usr/share/info/*"

recipe_tools()
{
	local list
	list=$(echo $TOOLS_PACKAGES | tr ' ' ,)
	# shellcheck disable=SC2086
	mmdebstrap --mode=root --variant=essential $SLIM --include="$list" trixie "$1" "deb $2 trixie main"
	mkdir -p "$1/kernel" "$1/nestor"
}

need_tools()
{
	[ -n "${TOOLS:-}" ] && return
	need_commands mmdebstrap:mmdebstrap unshare:util-linux mount:mount xz:xz-utils
	mirror
	RECIPE_INPUTS="$TOOLS_PACKAGES $SLIM" cached tools \
		"building the tools root (compilers; 1-3 minutes)" recipe_tools "$REPLY"
	TOOLS=$REPLY
}

recipe_hostroot()
{
	local list root=$1/root
	list=$(echo $HOST_PACKAGES | tr ' ' ,)
	# shellcheck disable=SC2086
	mmdebstrap --mode=root --variant=essential $SLIM --include="$list" trixie "$root" "deb $2 trixie main"
	rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{locale,doc,man}
	rm -f "$root"/usr/share/qemu/{edk2-*,opensbios*,skiboot*,openbios*,u-boot*,hppa*}
	echo nestor-host >"$root/etc/hostname"
	mkdir -p "$root"/mnt/{share,nestor,build}
	in_root "$TOOLS" "$1:/out" -- mksquashfs /out/root /out/root.squashfs \
		-comp zstd -Xcompression-level 9 -noappend -no-progress
	pad_disk "$1/root.squashfs"
	rm -rf "$root"
}

# pad_disk FILE: Bochs sees whole cylinders of a disk image only.
pad_disk() { truncate -s "%$((16 * 63 * 512))" "$1"; }

need_hostroot()
{
	need_tools
	mirror
	RECIPE_INPUTS="$HOST_PACKAGES $SLIM" cached hostroot "building the host's root" \
		recipe_hostroot "$REPLY"
	HOSTROOT=$REPLY/root.squashfs
}

# The oldest QEMU that has to work; the host's root has the newest.
OLD_VMM_PACKAGES="qemu-system-x86 seabios ovmf"

# A guest as a user installs it: Debian's kernel, its initramfs and an init, no more.
DISK_PACKAGES="linux-image-cloud-amd64 initramfs-tools zstd sysvinit-core initscripts login kmod procps
	iproute2 iputils-ping"

# recipe_vmms DIR MIRROR: vmms.squashfs, with a root of Debian 12 in bookworm/ and the disk of a
# Debian 13 guest, which BIOS and UEFI can boot, in debian.img.
recipe_vmms()
{
	local out=$1 old guest
	mkdir "$out/tree"
	old=$(echo $OLD_VMM_PACKAGES | tr ' ' ,)
	mmdebstrap --mode=root --variant=essential --include="$old" bookworm "$out/tree/bookworm" \
		"deb $2 bookworm main"
	mkdir -p "$out/tree/bookworm/mnt/vmms"
	guest=$(echo $DISK_PACKAGES | tr ' ' ,)
	mmdebstrap --mode=root --variant=minbase --include="$guest" trixie "$out/guest" "deb $2 trixie main"
	"$HOSTS/../guests/debian" "$out/guest"
	rm -rf "$out"/{guest,tree/bookworm}/{usr/share/{locale,doc,man},var/{cache,lib}/apt}
	in_root "$TOOLS" "$out:/out" "$HOSTS:/run/hosts:ro" -- bash -c 'bash /run/hosts/make-guest-disk /out &&
		mksquashfs /out/tree /out/vmms.squashfs -comp zstd -Xcompression-level 9 -noappend -no-progress'
	rm -rf "$out/tree" "$out/guest"
}

# need_vmms: set VMMS to a file that the host mounts at /mnt/vmms.
need_vmms()
{
	need_tools
	mirror
	RECIPE_INPUTS="$OLD_VMM_PACKAGES $DISK_PACKAGES $(file_hash "$HOSTS/make-guest-disk" \
		"$HOSTS/../guests/debian")" cached vmms "building a guest's disk, and a root with an old QEMU" \
		recipe_vmms "$REPLY"
	VMMS=$REPLY/vmms.squashfs
}

# A browser, to look at pages; nothing else needs it.
BROWSER_PACKAGES="chromium fonts-dejavu-core"

recipe_browser()
{
	local list
	list=$(echo $BROWSER_PACKAGES | tr ' ' ,)
	# shellcheck disable=SC2086
	mmdebstrap --mode=root --variant=essential $SLIM --include="$list" trixie "$1" "deb $2 trixie main"
	rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*
	mkdir -p "$1/page"
}

# need_browser: set BROWSER to a root with one.
need_browser()
{
	need_tools
	mirror
	RECIPE_INPUTS="$BROWSER_PACKAGES $SLIM" cached browser "building a root with a browser" recipe_browser "$REPLY"
	BROWSER=$REPLY
}

# Which suite of Debian has the newest kernel of a series.
kernel_suite()
{
	case $1 in
	6.1) REPLY=bookworm ;;
	6.12) REPLY=trixie ;;
	7.3) REPLY=trixie-backports ;;
	*) usage_error "no such kernel: $1 (6.1, 6.12 or 7.3)" ;;
	esac
}

# apt with one suite and package lists of its own: the machine's stay untouched.
apt_of()
{
	local lists=$1 tool=$2
	shift 2
	"$tool" -o Dir::Etc::sourcelist="$lists.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::Lists="$lists" -o Dir::Cache::pkgcache="$lists/pkgcache.bin" \
		-o Dir::Cache::srcpkgcache="$lists/srcpkgcache.bin" \
		-o Dir::State::status=/dev/null -o APT::Sandbox::User=root "$@"
}

# recipe_kernel DIR MIRROR SUITE SERIES BOOT_MODULES HOST_MODULES GUEST_MODULES: fill DIR with
# vmlinuz, headers below src/ and usr/, modules.squashfs, boot/ (the modules that mount the
# root, uncompressed, with their order of loading) and guest/ (the same for a guest).
recipe_kernel()
{
	local out=$1 suite=$3 series=$4 lists=$1/lists deb=$1/deb x=$1/x version packages p
	mkdir -p "$lists/partial" "$deb" "$x"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $2 $suite main" \
		>"$lists.list"
	apt_of "$lists" apt-get update
	version=$(apt_of "$lists" apt-cache pkgnames linux-headers- |
		sed -n "s/^linux-headers-\(${series//./\\.}[.0-9a-z+-]*-amd64\)\$/\1/p" |
		grep -v -e cloud -e -rt- | sort -V | tail -n 1)
	[ -n "$version" ]
	echo "Linux $version"
	packages=$(apt_of "$lists" apt-cache depends "linux-headers-$version" |
		sed -n 's/^ *Depends: \(linux-\(kbuild\|headers\)-.*\)/\1/p')
	packages="$packages linux-headers-$version"
	if apt_of "$lists" apt-cache show "linux-modules-$version" >/dev/null 2>&1; then
		packages="$packages linux-modules-$version linux-binary-$version linux-base-$version"
	else
		packages="$packages linux-image-$version"
	fi
	# shellcheck disable=SC2086
	(cd "$deb" && apt_of "$lists" apt-get download $packages)
	for p in "$deb"/*.deb; do
		dpkg-deb --fsys-tarfile "$p" | tar -x -C "$x" --keep-directory-symlink
	done
	echo "$version" >"$out/version"
	p=$(find "$x" -name "vmlinuz*" -type f | head -n 1)
	cp "$p" "$out/vmlinuz"
	find "$x" -name "config-$version" -exec cp {} "$out/config" \;
	mv "$x/usr/src" "$out/src"
	mkdir "$out/lib"
	mv "$x"/usr/lib/linux-kbuild-* "$out/lib/"
	mkdir -p "$out/all/lib"
	if [ -d "$x/usr/lib/modules/$version/kernel" ]; then
		mv "$x/usr/lib/modules" "$out/all/lib/modules"
	else
		mv "$x/lib/modules" "$out/all/lib/modules"
	fi
	rm -rf "$x" "$deb" "$lists" "$lists.list"
	cp "$HOSTS/pick-modules" "$out/pick-modules"
	in_root "$TOOLS" "$out:/kernel" -- sh /kernel/pick-modules "$version" "$5" "$6" "$7"
	rm -rf "$out/all" "$out/pick-modules"
}

# need_kernel SERIES: set KERNEL to its folder and KVERSION to its release.
need_kernel()
{
	local suite
	need_tools
	kernel_suite "$1"
	suite=$REPLY
	mirror
	RECIPE_INPUTS=$(file_hash "$HOSTS/pick-modules") cached "linux-$1" \
		"downloading Linux $1 and its headers" recipe_kernel "$REPLY" "$suite" "$1" \
		"$BOOT_MODULES" "$HOST_MODULES" "$GUEST_MODULES"
	KERNEL=$REPLY
	KVERSION=$(cat "$KERNEL/version")
}

# recipe_boot DIR KERNEL-FOLDER: the initramfs that finds the host's root.
recipe_boot()
{
	local out=$1
	mkdir -p "$out/tree/bin" "$out/tree/modules"
	cp "$TOOLS/usr/bin/busybox" "$out/tree/bin/busybox"
	cp "$HOSTS/init" "$HOSTS/hostinit" "$out/tree/"
	cp "$2"/boot/*.ko "$out/tree/modules/"
	cp "$2/boot/order" "$out/tree/modules/order"
	cp "$2/modules.squashfs" "$out/tree/modules.squashfs"
	pack_initramfs "$out" initrd
}

# recipe_guests DIR KERNEL-FOLDER...: Debian's kernels as guests, with an initramfs for each.
recipe_guests()
{
	local out=$1 kernel series
	shift
	for kernel; do
		series=$(cut -d. -f1-2 "$kernel/version")
		cp "$kernel/vmlinuz" "$out/vmlinuz-$series"
		mkdir -p "$out/tree/bin" "$out/tree/modules"
		cp "$TOOLS/usr/bin/busybox" "$out/tree/bin/busybox"
		cp "$HOSTS/../guests/init" "$out/tree/init"
		cp "$kernel"/guest/* "$out/tree/modules/"
		pack_initramfs "$out" "initrd-$series"
	done
}

# need_guests: set GUESTS to the folder that the host sees as /boot.
need_guests()
{
	local series kernels=()
	for series in 6.1 6.12 7.3; do
		need_kernel "$series"
		kernels+=("$KERNEL")
	done
	RECIPE_INPUTS=$(file_hash "$HOSTS/../guests/init") cached guests 		"making the guests' initramfs" recipe_guests "${kernels[@]}"
	GUESTS=$REPLY
}

# pack_initramfs DIR NAME: turn DIR/tree into DIR/NAME.
pack_initramfs()
{
	in_root "$TOOLS" "$1:/out" -- sh -c 'cd /out/tree && find . | sort |
		cpio --quiet -o -H newc -R 0:0 | zstd -q -9 -o "/out/$1"' sh "$2"
	rm -rf "$1/tree"
}

# need_boot: after need_kernel; set INITRD.
need_boot()
{
	RECIPE_INPUTS=$(file_hash "$HOSTS/init" "$HOSTS/hostinit") cached "boot-$KVERSION" \
		"making the host's initramfs" recipe_boot "$KERNEL"
	INITRD=$REPLY/initrd
}

# Emulators are built, with changes that the patches here explain.

# Debian's own Bochs has the debugger compiled in, which halves its speed. vmx=2 brings EPT,
# VPID and unrestricted guest; the rest is what guests are offered on Intel CPUs of the same age.
BOCHS_CONFIGURE="--enable-x86-64 --enable-cpu-level=6 --enable-vmx=2 --enable-svm --enable-smp
	--enable-all-optimizations --enable-avx --enable-evex --enable-cet
	--enable-protection-keys --enable-uintr --enable-memtype --enable-pci
	--enable-long-phy-address --with-nogui --disable-docbook --disable-large-ramfile"

# fetch_source NAME DIR MIRROR: Debian's upstream tarball of NAME, unpacked into DIR/src.
fetch_source()
{
	local name=$1 out=$2 lists=$2/lists
	mkdir -p "$lists/partial" "$out/src"
	echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $3 trixie main" \
		>"$lists.list"
	apt_of "$lists" apt-get update
	# Only the upstream tarball is needed; the package's other files may be gone already.
	(cd "$out" && apt_of "$lists" apt-get source --download-only "$name") || true
	tar -xf "$out/${name}"_*.orig.tar.* -C "$out/src" --strip-components=1
	rm -rf "$lists" "$lists.list" "$out/${name}"_*
}

# recipe_bochs DIR MIRROR PATCH...
recipe_bochs()
{
	local out=$1
	fetch_source bochs "$1" "$2"
	shift 2
	# shellcheck disable=SC2086
	in_root "$TOOLS" "$out/src:/build" "$HOSTS:/run/hosts:ro" -- sh -c 'cd /build &&
		for p; do patch -p1 -i "/run/hosts/$p" || exit; done &&
		./configure '"$(echo $BOCHS_CONFIGURE)"' CXXFLAGS="-O2 -fno-plt" CFLAGS=-O2 &&
		make -s -j "$(nproc)" && strip bochs' sh "$@"
	mv "$out/src/bochs" "$out/bochs"
	rm -rf "$out/src"
}

# need_bochs flushed|tagged: set BOCHS to that which flushes translations at every VM entry and exit, or keeps them.
need_bochs()
{
	local name=bochs patches=("$HOSTS/bochs.patch" "$HOSTS/bochs-avic.patch")
	if [ "$1" = tagged ]; then
		name=bochs-tagged
		patches+=("$HOSTS/bochs-tags.patch")
	fi
	need_tools
	mirror
	RECIPE_INPUTS=$BOCHS_CONFIGURE$(file_hash "${patches[@]}") cached $name "building Bochs (about 3 minutes)" \
		recipe_bochs "$REPLY" "${patches[@]##*/}"
	BOCHS=$REPLY
}

QEMU_CONFIGURE="--target-list=x86_64-softmmu --without-default-features --enable-system --enable-tcg
	--enable-virtfs --enable-attr --enable-cap-ng --disable-docs --disable-tools --disable-guest-agent
	--disable-install-blobs"

# recipe_qemu DIR MIRROR
recipe_qemu()
{
	local out=$1
	fetch_source qemu "$1" "$2"
	in_root "$TOOLS" "$out/src:/build" "$HOSTS:/run/hosts:ro" -- sh -c 'cd /build &&
		patch -p1 -i /run/hosts/qemu.patch && mkdir b && cd b &&
		../configure '"$(echo $QEMU_CONFIGURE)"' &&
		ninja qemu-system-x86_64 && strip qemu-system-x86_64'
	mv "$out/src/b/qemu-system-x86_64" "$out/qemu"
	rm -rf "$out/src"
}

# need_qemu: set QEMU to the folder of the emulator of AMD hosts.
need_qemu()
{
	need_tools
	mirror
	RECIPE_INPUTS=$QEMU_CONFIGURE$(file_hash "$HOSTS/qemu.patch") cached qemu "building QEMU (about 4 minutes)" \
		recipe_qemu "$REPLY"
	QEMU=$REPLY
}
