#include "base/base64.h"

#include <stdint.h>

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
