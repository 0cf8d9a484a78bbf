# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The Intel host, and a second AMD one: Bochs emulates a PC with VMX or SVM. It knows no 9p, so
# the checkout, the programs and the shared folder go in as disks, and the shared folder is read
# back afterwards.

boot_bochs()
{
	local share=${SHARE:-$RUN/share}
	mkdir -p "$RUN"/{iso/isolinux,trees/nestor,trees/build}
	bochs_config >"$RUN/bochsrc"
	cat >"$RUN/iso/isolinux/isolinux.cfg" <<-END
		default linux
		prompt 0
		label linux
		kernel /vmlinuz
		append initrd=/initrd $(kernel_args nestor.trees=disk)
	END
	touch "$RUN"/iso/{vmlinuz,initrd} "$RUN/root"
	mkfifo "$RUN/out" "$RUN/log"
	in_root "$TOOLS" "$RUN:/run/host" "$KERNEL/vmlinuz:/run/host/iso/vmlinuz" \
		"$INITRD:/run/host/iso/initrd" "$TREE:/run/host/trees/nestor:ro" \
		"$RUN/build:/run/host/trees/build" "$GUESTS:/run/host/trees/build/boot:ro" \
		"$share:/run/host/share:ro" "$HOSTS:/run/host/hosts:ro" -- \
		bash /run/host/hosts/make-disks >"$RUN/emulator.log" 2>&1 ||
		{ cat "$RUN/emulator.log" >&2; die "cannot make the host's disks"; }
	exec_in_root "$TOOLS" "$RUN:/run/host" "$HOSTROOT:/run/host/root" "$BOCHS:/run/bochs:ro" \
		"$HOSTS:/run/hosts:ro" -- bash -c '
			cat /run/host/out &
			awk -f /run/hosts/bochs-log.awk /run/host/log >/run/host/emulator.log &
			/run/bochs/bochs -q -f /run/host/bochsrc >/run/host/bochs.out 2>&1 </dev/null
			# Both readers wait forever for a Bochs that has not got as far as opening its files.
			for f in out log; do timeout 1 sh -c ": >/run/host/$f"; done
			wait' </dev/null &
	EMULATOR=$!
}

# The clock counts instructions: 'ips' only says how many of them are a second.
bochs_config()
{
	# The gibibyte below 4 GiB is the PCI hole.
	local memory=$((MEMORY <= 3072 ? MEMORY : MEMORY + 1024))

	cat <<-END
		config_interface: textconfig
		display_library: nogui
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/vgabios/vgabios.bin
		cpu: model=$MODEL, count=$CPUS, ips=200000000, reset_on_triple_fault=0
		memory: guest=$memory, host=$memory
		clock: sync=none, time0=$(date +%s)
		pci: enabled=1, chipset=i440fx
		ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
		ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
		ata0-master: type=cdrom, path=/run/host/boot.iso, status=inserted
		ata0-slave: type=disk, path=/run/host/root, mode=flat, model=nestor-root
		ata1-master: type=disk, path=/run/host/trees.img, mode=flat, model=nestor-trees
		ata1-slave: type=disk, path=/run/host/share.img, mode=flat, model=nestor-share
		boot: cdrom
		com1: enabled=1, mode=file, dev=/run/host/console
		com2: enabled=1, $([ -n "${TTY:-}" ] && echo "mode=term, dev=$TTY" || echo mode=file, dev=/run/host/out)
		speaker: enabled=0
		log: /run/host/log
		logprefix: %t %e%d
		panic: action=fatal
		error: action=report
		info: action=ignore
		debug: action=ignore
	END
}

# after_bochs: what the host wrote to the shared folder.
after_bochs()
{
	[ -n "$SHARE" ] || return 0
	in_root "$TOOLS" "$RUN:/run/host" "$SHARE:/run/host/share" -- \
		bash -c 'e2fsck -fp /run/host/share.img >/dev/null 2>&1
			cd /run/host/share && debugfs -R "rdump / ." /run/host/share.img >/dev/null 2>&1
			rm -rf ./lost+found' || say "cannot read the shared folder back"
}
