# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The AMD host: QEMU's TCG emulates an EPYC with SVM and nested paging.

# What TCG emulates of later AMD CPUs on top of the EPYC; what it does not is named to keep its
# warnings away.
AMD_MODEL=EPYC,+svm,+npt,+vgif,+svme-addr-chk,+pdpe1gb,+x2apic,+umip,+pku,+rdpid,+clwb
AMD_MODEL+=,+wbnoinvd,+erms,+fsrm,-xsavec,-nrip-save,-topoext,-osvw,-misalignsse,-fxsr-opt

# boot_qemu: start the emulator in the background, its pid in EMULATOR. More than one CPU runs
# on one thread: with one thread per CPU, TCG translates kernel text while another CPU patches
# it, and the host oopses. All CPUs' TSCs are one clock, which Linux does not know: before 6.12
# it takes those of an AMD with several CPUs to differ, and on a busy machine the emulator may rest
# between two readings that its watchdog compares. Upstream's tests of clocks skip then.
boot_qemu()
{
	local args=() share=${SHARE:-$RUN/share} tag

	args=(
		-L /usr/share/qemu -L /usr/share/seabios -nodefaults -no-user-config -display none -no-reboot
		-machine pc -accel tcg,thread=single,tb-size=512
		-cpu "${MODEL:-$AMD_MODEL}" -smp "$CPUS" -m "$MEMORY"
		-kernel /run/host/vmlinuz -initrd /run/host/initrd
		-append "$(kernel_args unknown_nmi_panic tsc=reliable "nestor.trees=$TREES")"
		-chardev file,id=console,path=/run/host/console -serial chardev:console
		-chardev stdio,id=out,signal=off -serial chardev:out
		-chardev pipe,id=monitor,path=/run/host/monitor -mon chardev=monitor
		-drive file=/run/host/root,format=raw,if=none,id=root,read-only=on,file.locking=off
		-device virtio-blk-pci,drive=root,serial=nestor-root
		-device virtio-rng-pci
	)
	if [ "$TREES" = disk ]; then
		make_disks trees share
		for tag in trees share; do
			args+=(-drive "file=/run/host/$tag.img,format=raw,if=none,id=$tag,file.locking=off"
				-device "virtio-blk-pci,drive=$tag,serial=nestor-$tag")
		done
	else
		for tag in nestor build; do
			args+=(-virtfs "local,path=/run/host/$tag,mount_tag=$tag,security_model=none,readonly=on,multidevs=remap")
		done
		args+=(-virtfs local,path=/run/host/share,mount_tag=share,security_model=none,multidevs=remap)
	fi
	[ -z "$COUNT" ] || args+=(-icount shift=0,sleep=off)
	touch "$RUN"/{vmlinuz,initrd,root}
	mkfifo "$RUN"/monitor.{in,out}
	exec_in_root "$TOOLS" "$RUN:/run/host" "$QEMU:/run/qemu:ro" "$KERNEL/vmlinuz:/run/host/vmlinuz" \
		"$INITRD:/run/host/initrd" "$HOSTROOT:/run/host/root" \
		"$TREE:/run/host/nestor:ro" \
		"$GUESTS:/run/host/build/boot:ro" "$share:/run/host/share" \
		${VMMS:+"$VMMS:/run/host/build/vmms.squashfs:ro"} \
		-- /run/qemu/qemu "${args[@]}" 2>"$RUN/emulator.log" <"${TTY:-/dev/null}" &
	EMULATOR=$!
}

# ask_qemu COMMAND: what the emulator's monitor answers within a second.
ask_qemu()
{
	echo "$1" >"$RUN/monitor.in"
	timeout 1 cat "$RUN/monitor.out" | tr -d '\r'
}

# where_it_hangs: where the CPUs are, a few times; then an NMI, at which the host's kernel
# prints its stack and panics.
where_it_hangs()
{
	[ -p "$RUN/monitor.in" ] || return 0
	for _ in 1 2 3; do
		ask_qemu "info registers -a" | grep -E '^(CPU#|RIP|EIP|CR0|CR3|CS )'
	done
	ask_qemu nmi >/dev/null
	sleep 5
}

# kernel_args ARG...: what the host's kernel is booted with. A crash ends the run at once
# instead of leaving a machine that looks like a hang.
kernel_args()
{
	echo "console=ttyS0,115200 panic=-1 oops=panic quiet $* $APPEND"
}
