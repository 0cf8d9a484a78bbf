# SPDX-License-Identifier: GPL-2.0
#
# Bochs reports every fault that a guest takes: gigabytes in a long run.
# Keep the first lines of each kind, and more of those about VM entries that the CPU refused, with
# the check that failed: no other machine names it. Show these at once.
{
	entry = /VMFAIL|VMENTER FAIL|VMENTRY|VMX LoadMSRs|VMABORT|PANIC/ && !/soft power off/
	kind = $0
	gsub(/0x[0-9a-fA-F]+|[0-9]+/, "N", kind)
	if (++seen[kind] <= 20 || (entry && ++entries <= 5000)) {
		print
		fflush()
	}
	if (entry && ++shown <= 200) {
		sub(/^[0-9]+ */, "")
		print "bochs: " $0 >"/dev/stderr"
	}
}
