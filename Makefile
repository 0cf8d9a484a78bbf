# SPDX-License-Identifier: GPL-2.0
#
# Nestor: the module, its VMM and the tests. `make help` says what there is.

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
DESTDIR ?=
UDEVDIR ?= /etc/udev/rules.d
SRCDIR := /usr/src/nestor-$(VERSION)

# For `make run` and `make modules-all`.
HOST ?= amd
KERNEL ?= 6.1
KERNELS := 6.1 6.12 7.3
GUEST ?= 6.1
RUN := selftests/hosts/host

all: module userspace

module:
	@if [ -d "$(KDIR)" ]; then \
		$(MAKE) -C "$(KDIR)" M="$(CURDIR)" modules; \
	else \
		echo "no headers for Linux $$(uname -r) in $(KDIR): nestor.ko is not built"; \
	fi

userspace:
	$(MAKE) -C userspace

# A Linux guest on Nestor, on an emulated host.
run:
	@$(RUN) run --cpu $(HOST) --kernel $(KERNEL) --timeout 1200 -- \
		nestor run --kernel /boot/vmlinuz-$(GUEST) --initrd /boot/initrd-$(GUEST) \
		--cpus 2 --memory 512 --append "console=ttyS0 quiet"

check:
	@selftests/run

modules-all:
	@set -e; for k in $(KERNELS); do $(RUN) lint --kernel $$k; done

# On a real machine: the module through DKMS, so that it follows the kernel's updates.
install: userspace
	install -d "$(DESTDIR)$(SRCDIR)"
	cp -r Kbuild dkms.conf module uapi "$(DESTDIR)$(SRCDIR)/"
	find "$(DESTDIR)$(SRCDIR)" \( -name '*.o' -o -name '*.cmd' -o -name '*.ko' -o \
		-name asm_offsets.[hs] -o -name compat_config.h \) -delete
	$(MAKE) -C userspace install PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)"
	install -d "$(DESTDIR)$(UDEVDIR)"
	echo 'KERNEL=="nestor", GROUP="kvm", MODE="0660"' > "$(DESTDIR)$(UDEVDIR)/60-nestor.rules"
ifeq ($(DESTDIR),)
	@command -v dkms >/dev/null || { echo "dkms is missing: apt-get install dkms"; exit 1; }
	getent group kvm >/dev/null || groupadd --system kvm
	dkms add nestor/$(VERSION) 2>/dev/null || true
	dkms install --force nestor/$(VERSION)
	udevadm control --reload 2>/dev/null || true
	@echo
	@echo "Installed. Load the module with:  modprobe nestor"
	@echo "Use it as a member of group kvm:  nestor run --kernel FILE"
	@if mokutil --sb-state 2>/dev/null | grep -q enabled; then \
		echo "Secure Boot is on: enroll the key that DKMS signs with, then restart:"; \
		echo "    mokutil --import /var/lib/dkms/mok.pub"; \
	fi
endif

uninstall:
ifeq ($(DESTDIR),)
	-dkms remove nestor/$(VERSION) --all
endif
	rm -rf "$(DESTDIR)$(SRCDIR)"
	rm -f "$(DESTDIR)$(UDEVDIR)/60-nestor.rules"
	$(MAKE) -C userspace uninstall PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)"

clean:
	@[ ! -d "$(KDIR)" ] || $(MAKE) -C "$(KDIR)" M="$(CURDIR)" clean
	$(MAKE) -C userspace clean
	rm -rf build

help:
	@echo "make                 nestor.ko for this kernel, and the VMM"
	@echo "make run             a Linux guest on Nestor in an emulated host"
	@echo "                     (HOST=amd|intel KERNEL=6.1|6.12|7.3 GUEST=6.1|6.12|7.3)"
	@echo "make check           all tests"
	@echo "make modules-all     nestor.ko for $(KERNELS), with W=1 and sparse"
	@echo "make install         module (DKMS), VMM, man page, udev rule; as root"
	@echo "make uninstall       take them away"
	@echo "make clean           delete what was built here"

.PHONY: all module userspace run check modules-all install uninstall clean help
