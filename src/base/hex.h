/* Bytes as lower-case hexadecimal text and back (either case). */
#ifndef OUTBOARD_BASE_HEX_H
#define OUTBOARD_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

void hex_format(const uint8_t *bytes, size_t size, char *text); /* 2 * size + 1 characters */
/* All of `text`: at most `size_max` bytes. 0; -EINVAL: not pairs of hexadecimal digits; -EMSGSIZE. */
int hex_parse(const char *text, uint8_t *bytes, size_t size_max, size_t *size);

#endif
