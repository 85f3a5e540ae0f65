/*
 * Log-linear histogram of durations: four buckets an octave (at most 25 % wide), from 1 tick to 2^40. 640 bytes, one writer, any
 * number of readers (relaxed atomics: a reader may see a record half way, never a torn counter). Counters are 32 bit and stop at
 * their maximum instead of wrapping.
 */
#ifndef OUTBOARD_BASE_HISTOGRAM_H
#define OUTBOARD_BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 160 };

struct histogram {
	uint32_t count[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned octave, bucket;

	if (value < 4)
		return (unsigned)value;
	octave = 63u - (unsigned)__builtin_clzll(value);
	bucket = (octave - 1) * 4 + (unsigned)((value >> (octave - 2)) & 3);
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t value, uint32_t times)
{
	uint32_t *c = &h->count[histogram_bucket(value)];
	uint32_t old = __atomic_load_n(c, __ATOMIC_RELAXED), sum;

	if (__builtin_add_overflow(old, times, &sum))
		sum = UINT32_MAX;
	__atomic_store_n(c, sum, __ATOMIC_RELAXED);
}

uint64_t histogram_bucket_max(unsigned bucket); /* largest value that falls into it */
uint64_t histogram_total(const struct histogram *h);
/* The value below which `part_per_million` of the records lie (upper edge of their bucket); 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *h, uint32_t part_per_million);
/* a += b */
void histogram_merge(struct histogram *a, const struct histogram *b);
/* out = newer - older, for rates over an interval */
void histogram_difference(struct histogram *out, const struct histogram *newer, const struct histogram *older);

#endif
