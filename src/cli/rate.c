#include "cli/rate.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char units[] = "kMGT";

static bool unit_parse(const char *text, uint64_t *factor)
{
	const char *unit;

	*factor = 1;
	if (*text == '\0')
		return true;
	unit = strchr(units, *text == 'K'				    ? 'k'
			     : *text == 'm' || *text == 'g' || *text == 't' ? toupper((unsigned char)*text)
									    : *text);
	if (unit == NULL)
		return false;
	for (; unit >= units; unit--)
		*factor *= 1000;
	return text[1] == '\0' || strcmp(text + 1, "bit") == 0 || strcmp(text + 1, "bit/s") == 0;
}

/* In whole numbers, so that 0.3G is what it says. */
int rate_parse(const char *text, uint64_t *bits_per_s)
{
	uint64_t factor, whole, part = 0, digits;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	whole = strtoull(text, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	text = end;
	if (*text == '.') {
		text++;
		digits = strspn(text, "0123456789");
		if (digits == 0 || digits > 12 || !unit_parse(text + digits, &factor))
			return -EINVAL;
		for (uint64_t scale = factor / 10; digits > 0; digits--, text++, scale /= 10) {
			if (scale == 0 && *text != '0')
				return -EINVAL; /* less than a bit */
			part += scale * (uint64_t)(*text - '0');
		}
	}
	if (!unit_parse(text, &factor))
		return -EINVAL;
	if (whole > (INT64_MAX - part) / factor)
		return -ERANGE;
	*bits_per_s = whole * factor + part;
	return 0;
}

void rate_format(uint64_t bits_per_s, char text[RATE_TEXT_SIZE])
{
	uint64_t factor = 1;
	char unit[2] = "";
	int digits = 0;

	for (const char *u = units; *u != '\0' && bits_per_s / factor >= 1000; u++) {
		factor *= 1000;
		unit[0] = *u;
	}
	for (uint64_t rest = bits_per_s % factor; rest != 0 && digits < 3; rest = rest * 10 % factor)
		digits++;
	snprintf(text, RATE_TEXT_SIZE, "%.*f %sbit/s", digits, (double)bits_per_s / (double)factor, unit);
}

void rate_format_short(double per_s, char text[RATE_TEXT_SIZE])
{
	const char *unit = units;

	if (per_s < 999.5) {
		snprintf(text, RATE_TEXT_SIZE, "%.0f", per_s);
		return;
	}
	for (per_s /= 1000; per_s >= 999.5 && unit[1] != '\0'; per_s /= 1000)
		unit++;
	snprintf(text, RATE_TEXT_SIZE, "%.*f%c", per_s < 9.995 ? 2 : per_s < 99.95 ? 1 : 0, per_s, *unit);
}
