# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
build_programs() { :; }
need_guests() { GUESTS=/var/empty; mkdir -p /var/empty; }
