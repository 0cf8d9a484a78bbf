# SPDX-License-Identifier: GPL-2.0
check-lib := $(patsubst $(TOP)/%,%,$(sort $(wildcard $(TOP)/module/check/*.c))) userspace/check/caps.c
check_states-src := $(check-lib) selftests/unit/check_states.c
check_test-src := $(check_states-src) userspace/check/breach.c
check_dump_test-src := $(check_states-src) $(addprefix userspace/check/,dump.c failure.c json.c report.c text.c) userspace/util.c
check_dump_test-libs := -ljansson
