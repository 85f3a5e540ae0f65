/* Sizes as people write them: "4096", "512M", "10G", "1T" (binary units; "10GiB" is the same), and as they read them. */
#ifndef OUTBOARD_BASE_SIZE_H
#define OUTBOARD_BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

enum { SIZE_TEXT_SIZE = 16 };

int size_parse(const char *text, uint64_t *bytes);	     /* 0, -EINVAL, or -ERANGE over 2^63 - 1 */
void size_format(uint64_t bytes, char text[SIZE_TEXT_SIZE]); /* "10 GiB", "1.5 TiB", "512 B" */

#endif
