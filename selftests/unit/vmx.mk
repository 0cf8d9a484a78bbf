# SPDX-License-Identifier: GPL-2.0
vmx_vmcs12_test-src := $(check-lib) module/vmx/vmcs12.c
vmx_evmcs_test-src := $(check-lib) module/vmx/vmcs12.c module/vmx/evmcs.c
