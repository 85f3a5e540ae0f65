#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char units[] = "KMGTPE";

int size_parse(const char *text, uint64_t *bytes)
{
	unsigned long long number;
	const char *unit;
	unsigned shift = 0;
	char *end;

	if (!isdigit((unsigned char)*text)) /* strtoull would take blanks and signs */
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end != '\0') {
		unit = strchr(units, toupper((unsigned char)*end));
		if (unit == NULL || (end[1] != '\0' && strcmp(end + 1, "iB") != 0))
			return -EINVAL;
		shift = 10 * ((unsigned)(unit - units) + 1);
	}
	if (number > (unsigned long long)INT64_MAX >> shift)
		return -ERANGE;
	*bytes = (uint64_t)number << shift;
	return 0;
}

void size_format(uint64_t bytes, char text[SIZE_TEXT_SIZE])
{
	unsigned shift = 0;
	uint64_t tenths;

	while (shift < 60 && bytes >> shift >= 1024)
		shift += 10;
	if (shift == 0) {
		snprintf(text, SIZE_TEXT_SIZE, "%u B", (unsigned)bytes);
		return;
	}
	/* Rounded down: a volume is never shown larger than it is. */
	tenths = ((bytes >> shift) * 10) + ((((bytes >> (shift - 10)) & 1023) * 10) >> 10);
	if (tenths % 10 == 0)
		snprintf(text, SIZE_TEXT_SIZE, "%u %ciB", (unsigned)(tenths / 10), units[shift / 10 - 1]);
	else
		snprintf(text, SIZE_TEXT_SIZE, "%u.%u %ciB", (unsigned)(tenths / 10), (unsigned)(tenths % 10),
			 units[shift / 10 - 1]);
}
