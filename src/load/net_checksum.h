/*
 * The Internet checksum (RFC 1071) by parts: sums are added up in any order and in any width, and folded once. They are kept as the
 * processor reads them: the sum of swapped bytes is the swapped sum, so nothing is ever turned round.
 */
#ifndef OUTBOARD_LOAD_NET_CHECKSUM_H
#define OUTBOARD_LOAD_NET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `data` starts at an even offset of what is summed. At most 2^32 additions fit. */
static inline uint64_t net_checksum_add(uint64_t sum, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint32_t word;
	uint16_t half;

	for (; bytes >= 4; bytes -= 4, p += 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (bytes >= 2) {
		memcpy(&half, p, 2);
		sum += half;
		bytes -= 2;
		p += 2;
	}
	if (bytes > 0) {
		half = 0;
		memcpy(&half, p, 1);
		sum += half;
	}
	return sum;
}

/* To 16 bits, not inverted. */
static inline uint16_t net_checksum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)sum;
}

#endif
