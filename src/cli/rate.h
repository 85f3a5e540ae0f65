/* Bits a second as people write them: decimal units, unlike sizes. */
#ifndef OUTBOARD_CLI_RATE_H
#define OUTBOARD_CLI_RATE_H

#include <stdint.h>

enum { RATE_TEXT_SIZE = 24 };

int rate_parse(const char *text, uint64_t *bits_per_s);		  /* "10M", "2.5G", "1000000"; 0, -EINVAL, or -ERANGE */
void rate_format(uint64_t bits_per_s, char text[RATE_TEXT_SIZE]); /* "10 Mbit/s", "2.5 Gbit/s" */
void rate_format_short(double per_s, char text[RATE_TEXT_SIZE]);  /* three digits, for tables: "987", "12.3k", "3.37M", "1.20G" */

#endif
