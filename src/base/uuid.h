/* RFC 4122 version 4 identifiers: 16 bytes, shown as 36 characters. */
#ifndef OUTBOARD_BASE_UUID_H
#define OUTBOARD_BASE_UUID_H

#include <stdint.h>

enum { UUID_BYTES = 16, UUID_TEXT_SIZE = 37 };

struct uuid {
	uint8_t bytes[UUID_BYTES];
};

int uuid_generate(struct uuid *out); /* 0 or -errno */
void uuid_format(const struct uuid *id, char text[UUID_TEXT_SIZE]);
int uuid_parse(const char *text, struct uuid *out); /* 0 or -EINVAL */

#endif
