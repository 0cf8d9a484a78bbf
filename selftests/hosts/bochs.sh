# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The Intel host, and a second AMD one: Bochs emulates a PC with VMX or SVM. It knows no 9p, so
# the checkout, the programs and the shared folder go in as disks, and the shared folder is read
# back afterwards.

boot_bochs()
{
	mkdir -p "$RUN/iso/isolinux"
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
	make_disks iso trees share
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
