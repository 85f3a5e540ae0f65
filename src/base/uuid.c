#include "base/uuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

int uuid_generate(struct uuid *out)
{
	if (getrandom(out->bytes, UUID_BYTES, 0) != UUID_BYTES)
		return -EIO;
	out->bytes[6] = (uint8_t)((out->bytes[6] & 0x0f) | 0x40);
	out->bytes[8] = (uint8_t)((out->bytes[8] & 0x3f) | 0x80);
	return 0;
}

void uuid_format(const struct uuid *id, char text[UUID_TEXT_SIZE])
{
	const uint8_t *b = id->bytes;

	snprintf(text, UUID_TEXT_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int uuid_parse(const char *text, struct uuid *out)
{
	if (strlen(text) != UUID_TEXT_SIZE - 1)
		return -EINVAL;
	for (int i = 0, byte = 0; byte < UUID_BYTES; byte++) {
		int high, low;

		if ((i == 8 || i == 13 || i == 18 || i == 23) && text[i++] != '-')
			return -EINVAL;
		high = hex_digit(text[i++]);
		low = hex_digit(text[i++]);
		if (high < 0 || low < 0)
			return -EINVAL;
		out->bytes[byte] = (uint8_t)(high << 4 | low);
	}
	return 0;
}
