/* Keyed mixing of table keys. Tenants choose addresses and names, so every table is seeded: nobody can aim at one bucket. */
#ifndef OUTBOARD_VPC_KEY_MIX_H
#define OUTBOARD_VPC_KEY_MIX_H

#include <ctype.h>
#include <stdint.h>

#include "base/keyed_hash.h"

static inline uint64_t key_mix_pair(const uint64_t seed[2], uint64_t a, uint64_t b)
{
	return keyed_hash_fold(keyed_hash_fold(a ^ seed[0], b ^ seed[1]) ^ seed[0], UINT64_C(0x9e3779b97f4a7c15));
}

/* 128 bits that stand for a name, the same in upper and lower case (RFC 4343). */
static inline void key_mix_name(const uint64_t seed[2], const char *name, uint8_t family, uint64_t out[2])
{
	uint64_t low = keyed_hash_fold(seed[0] ^ family, UINT64_C(0xa0761d6478bd642f));
	uint64_t high = keyed_hash_fold(seed[1] ^ family, UINT64_C(0xe7037ed1a0b428db));

	for (; *name != '\0'; name++) {
		uint64_t c = (uint64_t)(unsigned char)tolower((unsigned char)*name) + 1;

		low = keyed_hash_fold(low ^ c, seed[1] | 1);
		high = keyed_hash_fold(high + c, seed[0] | 1);
	}
	out[0] = low;
	out[1] = high;
}

#endif
