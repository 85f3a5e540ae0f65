#include "base/base64.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_format(const void *data, size_t size, char *text)
{
	const uint8_t *in = data;

	for (; size >= 3; size -= 3, in += 3) {
		uint32_t three = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

		for (int shift = 18; shift >= 0; shift -= 6)
			*text++ = alphabet[three >> shift & 63];
	}
	if (size > 0) {
		uint32_t rest = (uint32_t)in[0] << 16 | (size == 2 ? (uint32_t)in[1] << 8 : 0);

		*text++ = alphabet[rest >> 18];
		*text++ = alphabet[rest >> 12 & 63];
		*text++ = size == 2 ? alphabet[rest >> 6 & 63] : '=';
		*text++ = '=';
	}
	*text = '\0';
}

static int digit(char c)
{
	const char *found = c == '\0' ? NULL : strchr(alphabet, c);

	return found == NULL ? -1 : (int)(found - alphabet);
}

int base64_parse(const char *text, void *data, size_t size, size_t *bytes)
{
	size_t length = strlen(text), used = 0;
	uint8_t *out = data;

	if (length % 4 != 0)
		return -EINVAL;
	for (; *text != '\0'; text += 4) {
		bool last = text[4] == '\0';
		unsigned pads = !last || text[3] != '=' ? 0 : text[2] != '=' ? 1 : 2;
		uint32_t three = 0;

		for (unsigned i = 0; i < 4; i++) {
			int value = i >= 4 - pads ? 0 : digit(text[i]);

			if (value < 0)
				return -EINVAL;
			three = three << 6 | (uint32_t)value;
		}
		if ((three & ((1u << 8 * pads) - 1)) != 0) /* bits that no byte has: another spelling of the same */
			return -EINVAL;
		if (used + 3 - pads > size)
			return -ENOSPC;
		for (unsigned i = 0; i < 3 - pads; i++)
			out[used++] = (uint8_t)(three >> (16 - 8 * i));
	}
	*bytes = used;
	return 0;
}
