# SPDX-License-Identifier: GPL-2.0
cpu_features_test-src := module/cpu/features.c
cpu_xsave_test-src := module/cpu/xsave.c
