#include "cli/hex.h"

#include <errno.h>

void hex_encode(const uint8_t *data, size_t size, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		*text++ = digits[data[i] >> 4];
		*text++ = digits[data[i] & 15];
	}
	*text = '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *text, uint8_t *data, size_t max, size_t *size)
{
	*size = 0;
	while (*text != '\0') {
		int high = digit_value(text[0]), low = high < 0 ? -1 : digit_value(text[1]);

		if (low < 0 || *size == max)
			return -EINVAL;
		data[(*size)++] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *size == 0 ? -EINVAL : 0;
}
