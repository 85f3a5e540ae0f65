/* Bytes as text (RFC 4648, section 4: the usual alphabet, with padding). */
#ifndef OUTBOARD_BASE_BASE64_H
#define OUTBOARD_BASE_BASE64_H

#include <stddef.h>

#define BASE64_TEXT_SIZE(bytes) (((bytes) + 2) / 3 * 4 + 1)

void base64_format(const void *data, size_t size, char *text); /* BASE64_TEXT_SIZE(size) bytes of room; ends with a zero */

#endif
