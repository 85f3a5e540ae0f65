/*
 * A keyed hash of short keys of whole 64-bit words, for tables whose keys come from outside: folded 64 x 64 -> 128 bit products of
 * words that are masked with secret seeds, so that nobody who does not know the seeds can choose keys that meet. For tables only:
 * the hash must not be shown to who chooses keys.
 */
#ifndef OUTBOARD_BASE_KEYED_HASH_H
#define OUTBOARD_BASE_KEYED_HASH_H

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

enum { KEYED_HASH_PAIRS_MAX = 4 };

struct keyed_hash {
	uint64_t seeds[2 * KEYED_HASH_PAIRS_MAX + 1];
};

static inline int keyed_hash_seed(struct keyed_hash *h)
{
	return getrandom(h->seeds, sizeof(h->seeds), 0) == (ssize_t)sizeof(h->seeds) ? 0 : -EIO;
}

static inline uint64_t keyed_hash_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of 2 * `pairs` words. The products do not depend on each other: it takes about as long as two of them. */
static inline uint64_t keyed_hash_words(const struct keyed_hash *h, const uint64_t *words, unsigned pairs)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < pairs; i++)
		sum += keyed_hash_fold(words[2 * i] ^ h->seeds[2 * i], words[2 * i + 1] ^ h->seeds[2 * i + 1]);
	return keyed_hash_fold(sum, h->seeds[2 * KEYED_HASH_PAIRS_MAX]);
}

#endif
