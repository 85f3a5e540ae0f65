/*
 * The Internet checksum (RFC 1071) by parts. Sums are kept as the processor reads them from memory: the sum of swapped bytes is the
 * swapped sum (RFC 1071 2(B)), so that a folded one is stored as it is and nothing is ever turned round.
 */
#ifndef OUTBOARD_VPC_CHECKSUM_H
#define OUTBOARD_VPC_CHECKSUM_H

#include <stdint.h>
#include <string.h>

#include "base/packet.h"

/* Sum over bytes, folded to 16 bits, not inverted. */
uint16_t checksum_of(const void *data, uint32_t bytes);
uint16_t checksum_pseudo(const struct net_address *source, const struct net_address *destination, uint8_t protocol,
			 uint32_t l4_bytes);
/* The same over `bytes` of a packet from `offset` on, tail included. They are there. */
uint16_t checksum_of_packet(const struct packet *p, uint32_t offset, uint32_t bytes);

static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16 & UINT16_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* A part that lies `position` bytes behind the beginning of what is summed: at an odd one its bytes change places. */
static inline uint16_t checksum_placed(uint16_t sum, uint32_t position)
{
	return (position & 1) != 0 ? __builtin_bswap16(sum) : sum;
}

static inline uint16_t checksum_load(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static inline void checksum_store(uint8_t *at, uint16_t v)
{
	memcpy(at, &v, sizeof(v));
}

/* What a change of bytes adds to a sum (RFC 1624 eqn. 3: ~m + m'); both folded sums over what changed. */
static inline uint32_t checksum_change(uint16_t from, uint16_t to)
{
	return (uint32_t)(uint16_t)~from + to;
}

/* Applies a change to a complete checksum in a header. */
static inline void checksum_adjust(uint8_t *field, uint64_t change)
{
	checksum_store(field, (uint16_t)~checksum_fold((uint16_t)~checksum_load(field) + change));
}

#endif
