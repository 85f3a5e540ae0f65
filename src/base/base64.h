/* Bytes as text (RFC 4648, section 4: the usual alphabet, with padding). */
#ifndef OUTBOARD_BASE_BASE64_H
#define OUTBOARD_BASE_BASE64_H

#include <stddef.h>

#define BASE64_TEXT_SIZE(bytes) (((bytes) + 2) / 3 * 4 + 1)

void base64_format(const void *data, size_t size, char *text); /* BASE64_TEXT_SIZE(size) bytes of room; ends with a zero */
/* The bytes of a whole text. 0, -EINVAL for what base64_format() would not have written, -ENOSPC when `size` is too little. */
int base64_parse(const char *text, void *data, size_t size, size_t *bytes);

#endif
