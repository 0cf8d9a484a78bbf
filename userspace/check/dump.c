// SPDX-License-Identifier: GPL-2.0
/*
 * What kind of dump a text is.
 */
#include <string.h>

#include "dump.h"

/** dump__read() - see dump.h */
bool dump__read(struct dump *dump, char *text, const struct check_table *vendor, char *error, size_t size)
{
	memset(dump, 0, sizeof(*dump));
	if (text[strspn(text, " \t\r\n")] == '{')
		return json__read(dump, text, error, size);
	snprintf(error, size, "neither a VMCS nor a VMCB is in it");
	if (strstr(text, "*** Guest State"))
		return text__read_vmcs(dump, text);
	if (strstr(text, "VMCB Control Area"))
		return text__read_vmcb(dump, text);
	if (!vendor && strstr(text, "hardware error 0xffffffff"))
		vendor = &check_svm;
	else if (!vendor && strstr(text, "hardware error 0x"))
		vendor = &check_vmx;
	if (!vendor) {
		snprintf(error, size, "not known whose registers these are: give --vendor");
		return false;
	}
	return text__read_qemu(dump, text, vendor);
}
