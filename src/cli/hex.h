#ifndef OUTBOARD_CLI_HEX_H
#define OUTBOARD_CLI_HEX_H

#include <stddef.h>
#include <stdint.h>

void hex_encode(const uint8_t *data, size_t size, char *text /* 2 * size + 1 */);
/* 0, or -EINVAL: odd, empty, not hexadecimal, or more than `max` bytes. */
int hex_decode(const char *text, uint8_t *data, size_t max, size_t *size);

#endif
